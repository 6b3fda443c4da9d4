"""Gradients of the rows of a table that were read, and of no others; what optimizers and clipping make of them."""

import copy
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinygrad_np import RowGrad, Tensor, checkpoint, grad, nn, optim, parallel, value_and_grad
from tinygrad_np import functional as F
from tinygrad_np.row_grad import add_rows

READ = np.array([[4, 1, 4], [0, 1, 4]])


def table(rows: int = 6, dtype: Any = np.float64) -> Tensor:
    return Tensor(np.sin(np.arange(rows * 2.0)).reshape(rows, 2), requires_grad=True, dtype=dtype)


def loss(weight: Tensor, indices: Any = READ, sparse: bool = True) -> Tensor:
    rows = F.embedding(indices, weight, sparse=sparse)
    return (rows * rows * np.arange(1, 1 + rows.size).reshape(rows.shape)).sum()


def dense_gradient(f: Callable[..., Tensor], weight: Tensor, *args: Any, **kwargs: Any) -> np.ndarray:
    twin = Tensor(weight.data, requires_grad=True)
    f(twin, *args, sparse=False, **kwargs).backward()
    assert isinstance(twin.grad, np.ndarray)
    return twin.grad


def rows_of(weight: Tensor) -> RowGrad:
    g: Any = weight.grad
    assert type(g) is RowGrad
    return g


# --- how they are made and add up ---------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_the_gradient_is_that_of_the_rows_that_were_read(dtype: Any) -> None:
    weight = table(dtype=dtype)
    loss(weight).backward()
    g = rows_of(weight)
    assert g.rows.tolist() == [0, 1, 4]
    assert g.values.shape == (3, 2)
    assert g.dtype == g.values.dtype == g.to_dense().dtype == dtype
    assert g.shape == weight.shape
    np.testing.assert_array_equal(g.to_dense(), dense_gradient(loss, weight))
    np.testing.assert_array_equal(np.asarray(g), g.to_dense())
    assert repr(g) == f"RowGrad(3 rows of {np.dtype(dtype)}[6, 2])"


def test_several_uses_and_several_passes_add_up() -> None:
    weight = table()

    def both(w: Tensor, sparse: bool = True) -> Tensor:
        return loss(w, READ, sparse) + loss(w, [5], sparse) + loss(w, [[1], [1]], sparse)

    both(weight).backward()
    assert rows_of(weight).rows.tolist() == [0, 1, 4, 5]
    np.testing.assert_allclose(rows_of(weight).to_dense(), dense_gradient(both, weight), rtol=1e-15)
    once = rows_of(weight).to_dense()
    loss(weight, [2]).backward()
    assert rows_of(weight).rows.tolist() == [0, 1, 2, 4, 5]
    np.testing.assert_allclose(
        rows_of(weight).to_dense(), once + dense_gradient(loss, weight, [2]), rtol=1e-15
    )


USES: dict[str, Callable[[Tensor, bool], Tensor]] = {
    "tied to a last layer": lambda w, sparse: (F.embedding(READ, w, sparse=sparse) @ w.T).sum(),
    "read first": lambda w, sparse: loss(w, READ, sparse) + (w * w).sum(),
    "read last": lambda w, sparse: (w * w).sum() + loss(w, READ, sparse),
    "a slice first": lambda w, sparse: (w[1:3] ** 2).sum() + loss(w, READ, sparse),
    "a slice last": lambda w, sparse: loss(w, READ, sparse) + (w[1:3] ** 2).sum() + (w[[1, 1]] ** 2).sum(),
    "a result": lambda w, sparse: loss(w * 2, READ, sparse),
    "a result and a leaf": lambda w, sparse: loss(w * 2, READ, sparse) * loss(w, [2], sparse),
}


@pytest.mark.parametrize("name", USES)
def test_with_an_array_they_make_an_array(name: str) -> None:
    weight = table()
    USES[name](weight, True).backward()
    assert isinstance(weight.grad, np.ndarray)
    twin = Tensor(weight.data, requires_grad=True)
    USES[name](twin, False).backward()
    np.testing.assert_allclose(weight.grad, twin.grad, rtol=1e-14)


def test_passes_with_and_without_rows_add_up_to_an_array() -> None:
    for first, second in ((True, False), (False, True)):
        weight = table()
        loss(weight, sparse=first).backward()
        loss(weight, sparse=second).backward()
        assert isinstance(weight.grad, np.ndarray)
        np.testing.assert_allclose(weight.grad, 2 * dense_gradient(loss, weight), rtol=1e-15)


def test_functions_of_functions_give_arrays() -> None:
    weight = table().data
    value, gradient = value_and_grad(loss)(weight)
    np.testing.assert_allclose(gradient.data, dense_gradient(loss, Tensor(weight)))
    assert value.item() == loss(Tensor(weight)).item()
    twice = grad(lambda w: (grad(loss)(w) ** 2).sum())
    expected = grad(lambda w: (grad(lambda v: loss(v, sparse=False))(w) ** 2).sum())(weight)
    np.testing.assert_allclose(twice(weight).data, expected.data)
    traced = table()  # a function inside of what is recorded: its gradient goes on to the leaf
    (grad(loss)(traced) ** 2).sum().backward()
    np.testing.assert_allclose(traced.grad, expected.data)


def test_through_a_checkpoint_they_stay_what_they_are() -> None:
    weight = table()
    checkpoint(lambda scale: loss(weight) * scale)(Tensor(2.0, requires_grad=True)).backward()
    np.testing.assert_allclose(rows_of(weight).to_dense(), 2 * dense_gradient(loss, weight))
    checkpoint(loss)(again := table()).backward()
    np.testing.assert_allclose(rows_of(again).to_dense(), dense_gradient(loss, weight))
    checkpoint(loss)(result := table() * 1.0).backward()
    assert result.requires_grad


def test_they_are_copied_set_and_seen_by_hooks() -> None:
    weight = table()
    loss(weight).backward()
    twin = copy.deepcopy(weight)
    rows_of(twin).values[:] = 0
    assert rows_of(weight).values.any()
    other = table()
    other.grad = weight.grad
    rows_of(other).values[:] = 0
    assert rows_of(weight).values.any()
    with pytest.raises(ValueError, match=r"^a gradient of float64\[6, 2\] for a Tensor of float64\[5, 2\]"):
        table(5).grad = weight.grad
    seen: list[Any] = []
    weight.grad = None
    weight.register_hook(seen.append)
    loss(weight).backward()
    assert [type(g) for g in seen] == [RowGrad]


def test_indices_that_are_written_to_later_do_no_harm() -> None:
    weight, indices = table(), READ.copy()
    out = loss(weight, indices)
    out.backward()
    indices[:] = 3
    assert rows_of(weight).rows.tolist() == [0, 1, 4]


def test_zero_grad_forgets_rows_or_leaves_none() -> None:
    layer = nn.Embedding(6, 2, sparse=True, rng=0)
    optimizer = optim.SGD(layer.parameters())
    for owner in (layer, optimizer):
        layer(READ).sum().backward()
        owner.zero_grad(set_to_none=False)  # type: ignore[attr-defined]
        assert rows_of(layer.weight).rows.tolist() == []
        assert rows_of(layer.weight).to_dense().tolist() == [[0, 0]] * 6
        layer([2]).sum().backward()
        assert rows_of(layer.weight).rows.tolist() == [2]
        owner.zero_grad()  # type: ignore[attr-defined]
        assert layer.weight.grad is None
    with pytest.raises(
        ValueError, match=r"^a gradient of few rows is filled with 0 only, not 1; use to_dense"
    ):
        RowGrad(np.array([1]), np.ones((1, 2)), (3, 2)).fill(1)


def test_rows_without_features_and_of_more_axes() -> None:
    for shape in ((3, 0), (3, 2, 2), (3,)):
        weight = Tensor(np.ones(shape), requires_grad=True)
        rows = F.embedding([[2, 1], [2, 2]], weight, sparse=True)
        rows.sum().backward()
        expected = np.zeros(shape)
        expected[[1, 2]] = np.array([1, 3]).reshape(2, *[1] * (len(shape) - 1))
        np.testing.assert_array_equal(rows_of(weight).to_dense(), expected)


@pytest.mark.parametrize("shape", [(7,), (7, 1), (7, 3), (7, 2, 3), (7, 0)])
@pytest.mark.parametrize("count", [0, 1, 50])
def test_rows_are_added_as_numpy_adds_them(shape: tuple[int, ...], count: int) -> None:
    rng = np.random.default_rng(count)
    rows = rng.integers(0, 7, count)
    values = rng.integers(-9, 9, (count, *shape[1:])).astype(np.float32)  # whole: no order of adding rounds
    for some in (rows, np.sort(rows), np.zeros_like(rows)):
        for start in (np.ones(shape, np.float32), np.ones((*shape, 2), np.float32)[..., 0]):
            found, expected = start.copy(), start.copy()
            add_rows(found, some, values)
            np.add.at(expected, some, values)
            np.testing.assert_array_equal(found, expected)
            view = np.ones((*shape, 2), np.float32)[..., 0]
            add_rows(view, some, values)
            np.testing.assert_array_equal(view, expected)


def test_a_row_counted_from_the_end_is_the_same_row() -> None:
    weight = table()
    (weight[np.array([[5, -1], [-6, 0]])] * np.array([[[1.0], [2.0]], [[4.0], [8.0]]])).sum().backward()
    np.testing.assert_array_equal(weight.grad, [[12, 12]] + [[0, 0]] * 4 + [[3, 3]])


def test_rows_of_nothing() -> None:
    weight = table()
    F.embedding([], weight, sparse=True).sum().backward()
    assert rows_of(weight).rows.tolist() == []
    for kind in (optim.SGD, optim.Adagrad, optim.SparseAdam):
        before = weight.data.copy()
        kind([weight], lr=0.1).step()
        np.testing.assert_array_equal(weight.data, before)


# --- optimizers, clipping, workers --------------------------------------------------------------------

STEPS: list[tuple[Any, dict[str, Any]]] = [
    (optim.SGD, {"lr": 0.1}),
    (optim.SGD, {"lr": 0.1, "maximize": True}),
    (optim.Adagrad, {"lr": 0.1, "lr_decay": 0.1}),
    (optim.Adagrad, {"lr": 0.1, "initial_accumulator_value": 0.3, "maximize": True}),
]


@pytest.mark.parametrize(("kind", "settings"), STEPS)
def test_steps_are_those_of_the_whole_gradient(
    kind: Any, settings: dict[str, Any], rng: np.random.Generator
) -> None:
    one, two = table(dtype=np.float32), table(dtype=np.float32)
    optimizers = [kind([p], **settings) for p in (one, two)]
    for _ in range(5):
        indices = rng.integers(0, 6, 3)
        for p, sparse, optimizer in ((one, True, optimizers[0]), (two, False, optimizers[1])):
            optimizer.zero_grad()
            loss(p, indices, sparse).backward()
            optim.clip_grad_norm([p], 1.0)
            optim.clip_grad_value([p], 0.5)
            optimizer.step()
    np.testing.assert_array_equal(one.data, two.data)
    assert one.dtype == np.float32
    for name, kept in optimizers[0].state[0].items():
        np.testing.assert_array_equal(kept, optimizers[1].state[0][name])


def test_sparse_adam_moves_only_what_was_read(rng: np.random.Generator) -> None:
    weight = table()
    optimizer = optim.SparseAdam([weight], lr=0.1)
    loss(weight, [1, 3]).backward()
    optimizer.step()
    before = weight.data.copy()
    mean = optimizer.state[0]["mean"].copy()
    optimizer.zero_grad()
    loss(weight, [2, 3]).backward()
    optimizer.step()
    moved = (weight.data != before).any(axis=1)
    assert moved.tolist() == [False, False, True, True, False, False]
    changed = (optimizer.state[0]["mean"] != mean).any(axis=1)
    assert changed.tolist() == moved.tolist()
    assert optimizer.state[0]["step"] == 2


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (optim.Adam, {}),
        (optim.AdamW, {}),
        (optim.RMSprop, {}),
        (optim.Lion, {}),
        (optim.SGD, {"momentum": 0.9}),
        (optim.SGD, {"weight_decay": 0.1}),
        (optim.Adagrad, {"weight_decay": 0.1}),
    ],
)
def test_optimizers_that_move_every_row_refuse_in_a_sentence(kind: Any, settings: dict[str, Any]) -> None:
    weight = table()
    loss(weight).backward()
    optimizer, before = kind([weight], lr=0.1, **settings), weight.data.copy()
    with pytest.raises(TypeError) as caught:
        optimizer.step()
    assert str(caught.value) == (
        f"{kind.__name__}: parameter 0 has a gradient of few rows, and this rule moves all of them; use "
        "SparseAdam, Adagrad or SGD, without momentum and weight_decay, or make an array of it with "
        "p.grad = p.grad.to_dense()"
    )
    np.testing.assert_array_equal(weight.data, before)
    weight.grad = rows_of(weight).to_dense()
    optimizer.step()
    assert (weight.data != before).any()


def test_clipping_counts_a_row_that_was_read_twice_once() -> None:
    weight = table()
    for sparse in (True, False):
        weight.grad = None
        loss(weight, sparse=sparse).backward()
        norm = optim.clip_grad_norm({"w": weight}, 1.0)
        assert norm == pytest.approx(np.linalg.norm(dense_gradient(loss, weight)), rel=1e-14)
        assert np.linalg.norm(np.asarray(weight.grad)) == pytest.approx(1)
    loss(weight).backward()


def test_workers_are_told_to_add_arrays() -> None:
    weight = table()
    loss(weight).backward()
    g: Any = weight.grad
    with pytest.raises(
        TypeError, match=r"^all_reduce takes arrays, not RowGrad\(3 rows of float64\[6, 2\]\); make"
    ):
        parallel._pack([g], np.zeros(20))


def test_a_table_of_a_million_rows_costs_a_step_nothing() -> None:
    layer = nn.Embedding(1_000_000, 64, sparse=True, rng=0)
    indices = np.random.default_rng(0).integers(0, 1_000_000, 32)
    optimizer = optim.SGD(layer.parameters(), lr=0.1)
    before = layer.weight.data[indices].copy()
    untouched = layer.weight.data[(indices + 1) % 1_000_000].copy()

    def step() -> None:
        optimizer.zero_grad()
        (layer(indices) ** 2).sum().backward()
        optim.clip_grad_norm(layer.named_parameters(), 100.0)
        optimizer.step()

    step()
    np.testing.assert_allclose(layer.weight.data[indices], 0.8 * before, rtol=1e-6)
    np.testing.assert_array_equal(layer.weight.data[(indices + 1) % 1_000_000], untouched)
    tracemalloc.start()
    try:
        step()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20 * before.nbytes + 50_000 < layer.weight.data.nbytes / 500
    start = time.perf_counter()
    for _ in range(10):
        step()
    assert time.perf_counter() - start < 0.5  # one pass over the table takes longer


# --- PyTorch ------------------------------------------------------------------------------------------


@pytest.mark.oracle
@pytest.mark.filterwarnings("ignore:Sparse invariant checks")
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("SGD", {"lr": 0.1}),
        ("Adagrad", {"lr": 0.1, "lr_decay": 0.1}),
        ("SparseAdam", {"lr": 0.1}),
        ("SparseAdam", {"lr": 0.1, "betas": (0.5, 0.8), "eps": 0.1, "maximize": True}),
    ],
)
def test_steps_by_rows_are_pytorchs(name: str, settings: dict[str, Any], rng: np.random.Generator) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install -e '.[oracle]'")
    mine = nn.Embedding(8, 3, padding_idx=0, sparse=True, rng=0, dtype=np.float64)
    theirs = torch.nn.Embedding(8, 3, padding_idx=0, sparse=True, dtype=torch.float64)
    theirs.load_state_dict({"weight": torch.from_numpy(mine.weight.data.copy())})
    ours = getattr(optim, name)(mine.parameters(), **settings)
    others = getattr(torch.optim, name)(theirs.parameters(), **settings)
    for _ in range(20):
        indices, g = rng.integers(0, 8, (2, 3)), rng.standard_normal((2, 3, 3))
        ours.zero_grad()
        others.zero_grad()
        mine(indices).backward(g)
        theirs(torch.from_numpy(indices)).backward(torch.from_numpy(g))
        np.testing.assert_allclose(
            rows_of(mine.weight).to_dense(), theirs.weight.grad.to_dense().numpy(), rtol=1e-14
        )
        ours.step()
        others.step()
        np.testing.assert_allclose(mine.weight.data, theirs.weight.detach().numpy(), rtol=1e-12, atol=1e-14)
