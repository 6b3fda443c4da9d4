"""Batches: each row once, similar lengths together, little padding, gone on with anywhere; and padding itself."""

import json
from itertools import islice, pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_np import Tensor
from tinygrad_np.data import BATCHES_A_BUCKET, Batches, batches, pad
from tinygrad_np.testing import generators

numbers = st.integers(-(2**63), 2**63 - 1)
sequences = st.lists(st.lists(numbers, max_size=6), max_size=6)


def padding(lengths: np.ndarray, groups: list[np.ndarray]) -> int:
    """How many places are filled up when each batch is as long as its longest sequence."""
    return int(sum(lengths[group].max() * len(group) - lengths[group].sum() for group in groups))


def padding_of_both(lengths: np.ndarray, size: int, seed: int) -> tuple[int, int]:
    """The padding of `batches`, and of batches taken at random."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(lengths))
    at_random = [order[i : i + size] for i in range(0, len(order), size)]
    return padding(lengths, batches(lengths, size, shuffle=True, rng=rng)), padding(lengths, at_random)


# --- pad ----------------------------------------------------------------------------------------------


@given(items=sequences, value=numbers)
def test_pad_keeps_every_sequence_and_fills_up_at_the_end(items: list[list[int]], value: int) -> None:
    array, lengths = pad(items, value)
    assert array.dtype == lengths.dtype == np.int64
    assert array.shape == (len(items), max(map(len, items), default=0))
    assert lengths.tolist() == [len(s) for s in items]
    for row, sequence in zip(array.tolist(), items):
        assert row == sequence + [value] * (len(row) - len(sequence))


def test_pad_with_zeros_unless_told() -> None:
    array, lengths = pad([np.array([5], dtype=np.uint8), (), range(1, 4)])
    assert array.tolist() == [[5, 0, 0], [0, 0, 0], [1, 2, 3]]
    assert lengths.tolist() == [1, 0, 3]


def test_pad_copies() -> None:
    one = np.arange(3)
    array, _ = pad([one])
    array[:] = 7
    assert one.tolist() == [0, 1, 2]


@pytest.mark.parametrize("sequence", [[1.5, 2.0], [True, False], [[1, 2], [3, 4]], 5, ["a"]])
def test_pad_refuses_what_is_no_sequence_of_whole_numbers(sequence: Any) -> None:
    with pytest.raises(ValueError, match=r"^pad takes sequences of whole numbers, and number 1 is "):
        pad([[1, 2], sequence])


# --- batches ------------------------------------------------------------------------------------------


@given(
    lengths=st.lists(st.integers(0, 30), max_size=300),
    size=st.integers(1, 40),
    shuffled=st.one_of(st.just({}), st.builds(lambda rng: {"shuffle": True, "rng": rng}, generators())),
)
def test_each_sequence_is_in_exactly_one_batch(lengths: list[int], size: int, shuffled: Any) -> None:
    groups = batches(lengths, size, **shuffled)
    assert sorted(i for group in groups for i in group.tolist()) == list(range(len(lengths)))
    assert all(group.dtype == np.int64 for group in groups)
    full, rest = divmod(len(lengths), size)
    assert sorted(map(len, groups)) == [rest] * (rest > 0) + [size] * full


@given(lengths=st.lists(st.integers(0, 30), max_size=100), size=st.integers(1, 12))
def test_unshuffled_batches_go_from_the_shortest_to_the_longest(lengths: list[int], size: int) -> None:
    groups = batches(lengths, size)
    order = [i for group in groups for i in group.tolist()]
    assert order == sorted(range(len(lengths)), key=lambda i: (lengths[i], i))
    assert all(len(group) == size for group in groups[:-1])  # the last one is the smaller


@given(lengths=st.lists(st.integers(0, 1000), max_size=200), size=st.integers(1, 12), rng=generators())
def test_lengths_within_a_bucket_are_divided_without_overlap(
    lengths: list[int], size: int, rng: np.random.Generator
) -> None:
    # all fit into one bucket here: of two batches one has all the shorter sequences
    groups = batches(lengths, size, shuffle=True, rng=rng)
    if len(lengths) > BATCHES_A_BUCKET * size:
        return
    spans = sorted((min(lengths[i] for i in g), max(lengths[i] for i in g)) for g in groups)
    for (_, longest), (shortest, _) in pairwise(spans):
        assert longest <= shortest


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["even", "long tail"])
def test_little_is_filled_up(kind: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 400, 5000) if kind == "even" else rng.lognormal(5, 0.6, 5000).astype(int)
    mine, at_random = padding_of_both(lengths, 32, seed)
    assert mine < 0.1 * at_random


def test_the_measure_of_padding_tells_unsorted_batches_apart() -> None:
    lengths = np.random.default_rng(0).integers(1, 400, 5000)
    order = np.arange(5000)
    assert padding(lengths, np.split(order, 50)) > 0.5 * lengths.sum()
    assert padding(lengths, [np.array([i]) for i in order]) == 0
    assert padding(np.array([1, 4, 2]), [np.array([0, 1]), np.array([2])]) == 3


def test_the_seed_decides() -> None:
    lengths = np.random.default_rng(0).integers(1, 100, 1000)
    one, same, other, fresh = (
        [group.tolist() for group in batches(lengths, 8, shuffle=True, rng=rng)]
        for rng in (np.random.default_rng(1), 1, 2, None)
    )
    assert one == same
    assert one != other
    assert fresh not in (one, other)
    # written down once, so that a seed keeps its meaning
    fixed = batches([3, 1, 4, 1, 5, 9, 2, 6], 3, shuffle=True, rng=0)
    assert [group.tolist() for group in fixed] == [[0, 2, 4], [7, 5], [3, 1, 6]]


def test_a_generator_without_shuffle_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^batches takes rng only where it shuffles: add shuffle=True"):
        batches([1, 2], 1, rng=0)
    with pytest.raises(TypeError, match="positional"):  # as it would be taken for shuffle=True
        batches([1, 2], 1, np.random.default_rng(0))  # type: ignore[misc]


def test_batches_come_in_random_order() -> None:
    lengths = np.arange(8 * BATCHES_A_BUCKET)  # one bucket, sorted as a whole
    means = [group.mean() for group in batches(lengths, 8, shuffle=True, rng=0)]
    assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.5  # neither rising nor falling


def test_batches_are_composed_anew_each_time() -> None:
    lengths = np.arange(3200)
    rng = np.random.default_rng(0)
    first, second = (
        {tuple(sorted(g.tolist())) for g in batches(lengths, 8, shuffle=True, rng=rng)} for _ in range(2)
    )
    assert len(first & second) < 0.05 * len(first)


def test_lengths_are_left_as_they_are() -> None:
    lengths = np.array([3, 1, 2])
    lengths.flags.writeable = False
    batches(lengths, 2, shuffle=True, rng=0)
    assert batches([], 4) == batches(np.array([], dtype=int), 4, shuffle=True, rng=0) == []


@pytest.mark.parametrize("size", [0, -1])
def test_a_batch_without_sequences_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match=f"^a batch has one sequence at least, not {size}$"):
        batches([1, 2], size)


# --- Batches ------------------------------------------------------------------------------------------

X, Y = np.arange(22.0).reshape(11, 2), np.arange(11)
TEXTS = [[1], [2, 3, 4], [], [5, 6], [7], [8, 9], [1, 2, 3, 4, 5]]


class Squares:
    """A source of one's own."""

    def __len__(self) -> int:
        return 7

    def __getitem__(self, rows: np.ndarray) -> tuple[np.ndarray, list[int]]:
        return rows**2, rows.tolist()


def listed(batch: Any) -> list[Any]:
    return [np.asarray(array).tolist() for array in batch]


@pytest.mark.parametrize("source", [(X, Y), (X.tolist(), Y.tolist()), (Tensor(X), Y)])
def test_an_epoch_has_the_rows_in_their_order(source: Any) -> None:
    data = Batches(source, 4)
    assert len(data) == 3
    for _ in range(2):
        found = [listed(batch) for batch in data]
        assert found == [[X[i : i + 4].tolist(), Y[i : i + 4].tolist()] for i in (0, 4, 8)]
    assert [listed(batch)[1] for batch in Batches(source, 4, drop_last=True)] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert len(Batches(source, 4, drop_last=True)) == 2
    assert [listed(batch) for batch in Batches(Y, 6)] == [[[0, 1, 2, 3, 4, 5]], [[6, 7, 8, 9, 10]]]


def test_shuffled_epochs_have_each_row_once_with_what_belongs_to_it() -> None:
    data = Batches((X, Y), 4, shuffle=True, rng=3)
    epochs = []
    for _ in range(3):
        order = []
        for x, y in data:
            assert x.tolist() == X[y].tolist()
            order += y.tolist()
        assert sorted(order) == Y.tolist()
        epochs.append(order)
    assert len({tuple(order) for order in epochs}) == 3
    rng = np.random.default_rng(3)
    assert epochs == [rng.permutation(11).tolist() for _ in range(3)]


def test_sequences_are_padded_and_followed_by_their_lengths_the_short_ones_together() -> None:
    data = Batches((TEXTS, Y[:7]), 3)
    assert [listed(batch) for batch in data] == [
        [[[0], [1], [7]], [0, 1, 1], [2, 0, 4]],
        [[[5, 6, 0], [8, 9, 0], [2, 3, 4]], [2, 2, 3], [3, 5, 1]],
        [[[1, 2, 3, 4, 5]], [5], [6]],
    ]
    shuffled = Batches((TEXTS, Y[:7]), 3, shuffle=True, rng=0)
    rows = [group.tolist() for group in shuffled.rows()]
    assert rows == [group.tolist() for group in batches([len(t) for t in TEXTS], 3, shuffle=True, rng=0)]
    told = Batches((X, Y), 4, lengths=[5, 1, 1, 5, 5, 1, 1, 5, 2, 2, 2])
    assert [group.tolist() for group in told.rows()] == [[1, 2, 5, 6], [8, 9, 10, 0], [3, 4, 7]]


def test_any_object_with_rows_is_a_source() -> None:
    assert [listed(batch) for batch in Batches(Squares(), 4)] == [
        [[0, 1, 4, 9], [0, 1, 2, 3]],
        [[16, 25, 36], [4, 5, 6]],
    ]


def test_a_part_of_a_batch_has_the_shape_of_the_whole() -> None:
    rows = np.array([6, 0, 3, 2])
    data = Batches((TEXTS, Y[:7]), 4)
    assert listed(data.shard(rows, slice(1, None, 2))) == [[[1, 0, 0, 0, 0], [0] * 5], [1, 0], [0, 2]]
    assert listed(Batches(Squares(), 4).shard(rows, slice(0, None, 3))) == [[36, 4], [6, 2]]


SOURCES: list[Any] = [(X, Y), (TEXTS, Y[:7]), Squares()]


@pytest.mark.parametrize("source", SOURCES, ids=["arrays", "texts", "squares"])
@pytest.mark.parametrize("shuffle", [True, False])
def test_it_goes_on_inside_an_epoch(source: Any, shuffle: bool) -> None:
    def made(seed: int) -> Batches:
        return Batches(source, 2, shuffle=shuffle, rng=seed if shuffle else None)

    whole = made(5)
    expected = [[rows.tolist() for rows in whole.rows()] for _ in range(3)]
    for k in range(len(whole) + 1):
        data = made(5)
        list(data.rows())
        given = list(islice(data.rows(), k)) if k else []
        kept = json.loads(json.dumps(data.state_dict()))
        del data
        other = made(9)
        list(islice(other.rows(), 1))  # it has been elsewhere
        other.load_state_dict(kept)
        assert other.inside == (0 < k < len(whole))
        rest = [rows.tolist() for rows in other.rows()] if k else []
        assert [rows.tolist() for rows in given] + rest == (expected[1] if k else [])
        assert [rows.tolist() for rows in other.rows()] == expected[2 if k else 1]


def test_what_else_its_generator_draws_goes_on_too() -> None:
    def drawn(stop: int | None) -> tuple[list[list[int]], list[float]]:
        """Two epochs of a generator that a layer has too, stopped after so many batches and gone on with."""
        orders, numbers = [], []
        data = Batches(Y, 2, shuffle=True, rng=np.random.default_rng(1))
        for _ in range(2):
            for rows in data.rows():
                orders.append(rows.tolist())
                numbers.append(float(data.rng.random()))  # type: ignore[union-attr]
                if len(orders) == stop:
                    break
            if len(orders) == stop:
                kept = data.state_dict()
                data = Batches(Y, 2, shuffle=True, rng=0)
                data.load_state_dict(kept)
                for rows in data.rows():
                    orders.append(rows.tolist())
                    numbers.append(float(data.rng.random()))  # type: ignore[union-attr]
        return orders, numbers

    for stop in range(1, 13):
        assert drawn(stop) == drawn(None)


def test_an_epoch_that_was_left_is_not_gone_on_with() -> None:
    data = Batches(Y, 4)
    for _ in range(2):
        assert next(iter(data))[0].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (Batches((X[:9], Y[:9]), 4, shuffle=True, rng=0), "rows is 11 and should be 9"),
        (Batches((X, Y), 5, shuffle=True, rng=0), "batch_size is 4 and should be 5"),
        (Batches((X, Y), 4), "it shuffles by PCG64, and these by None"),
        (
            Batches((X, Y), 4, shuffle=True, rng=np.random.Generator(np.random.SFC64(0))),
            "it shuffles by PCG64, and these by SFC64",
        ),
    ],
)
def test_the_state_of_other_data_is_refused(other: Batches, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        other.load_state_dict(Batches((X, Y), 4, shuffle=True, rng=0).state_dict())


@pytest.mark.parametrize(
    ("source", "settings", "said"),
    [
        ((X, Y[:9]), {}, r"arrays of as many rows, not of \[11, 9\]"),
        ((), {}, r"arrays of as many rows, not of \[\]"),
        ((X, 3.0), {}, "arrays with rows, not 3.0"),
        (([[1.5], [2.0, 3.0]],), {}, "arrays, and lists of sequences of whole numbers: "),
        (5, {}, "arrays, or an object with __len__ and __getitem__"),
        ((X, Y), {"lengths": [1, 2]}, r"takes 11 lengths for as many rows, not \[2\]"),
        ((X, Y), {"rng": 0}, "rng only where it shuffles"),
        ((X, Y), {"batch_size": 0}, "one row at least, not 0"),
    ],
)
def test_what_makes_no_batches_is_refused(source: Any, settings: Any, said: str) -> None:
    with pytest.raises((ValueError, TypeError), match=said):
        Batches(source, **{"batch_size": 4, **settings})
