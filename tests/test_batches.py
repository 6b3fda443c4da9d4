"""Batches of sequences: each sequence once, similar lengths together, little padding; and padding itself."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_np.data import BATCHES_A_BUCKET, batches, pad
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
