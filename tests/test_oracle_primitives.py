"""Every primitive against PyTorch, forward and back in float64; and the conventions at kinks and ties.

PyTorch is an oracle here: others wrote it, many use it, and it shares no reading of a formula with us.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_np import Tensor, tape
from tinygrad_np import functional as F
from tinygrad_np.samples import concatenate_outputs
from tinygrad_np.testing import arguments, generators

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install -e '.[oracle]'")
pytestmark = pytest.mark.oracle


def axes(x: Any, axis: Any) -> tuple[int, ...]:
    """The `dim` of PyTorch for an axis of NumPy; a number without axes has an axis 0 there."""
    return axis if isinstance(axis, tuple) else tuple(range(x.ndim)) or (0,) if axis is None else (axis,)


def reduced(f: Callable[..., Any]) -> Callable[..., Any]:
    """A reduction of PyTorch, called as NumPy's is."""
    return lambda x, axis, keepdims: f(x, dim=axes(x, axis), keepdim=keepdims)


def concatenated(*xs: Any, axis: Any) -> Any:
    return torch.cat([x.flatten() for x in xs] if axis is None else xs, dim=axis or 0)


def softmax(x: Any, axis: Any) -> Any:
    """PyTorch normalises one axis only; its logsumexp takes several."""
    if isinstance(axis, int):
        return torch.softmax(x, dim=axis)
    return torch.exp(x - torch.logsumexp(x, dim=axes(x, axis), keepdim=True))


def indexed(x: Any, index: Any) -> Any:
    """PyTorch has no negative steps: that sample is turned around with flip."""
    if isinstance(index, slice) and index.step == -1:
        return torch.flip(x, (0,))
    return x[as_torch(index)]


def scattered(values: Any, index: Any, shape: Any) -> Any:
    """Zeros with values added: into the places where the numbers of all places are looked up."""
    places = torch.from_numpy(np.arange(np.prod(shape)).reshape(shape)[index].copy())
    flat = torch.zeros(int(np.prod(shape)), dtype=values.dtype)
    return flat.index_add(0, places.flatten(), values.flatten()).reshape(shape)


def as_torch(index: Any) -> Any:
    if isinstance(index, tuple):
        return tuple(as_torch(i) for i in index)
    return torch.from_numpy(index) if isinstance(index, np.ndarray) else index


COUNTERPARTS: dict[str, Callable[..., Any]] = {
    **{
        name: getattr(torch, name) for name in ("add", "subtract", "multiply", "divide", "negative", "square")
    },
    **{
        name: getattr(torch, name) for name in ("sqrt", "exp", "log", "logaddexp", "absolute", "tanh", "relu")
    },
    **{name: getattr(torch, name) for name in ("maximum", "minimum", "where", "sigmoid", "matmul")},
    "power": torch.pow,
    "clip": lambda x, a_min=None, a_max=None: torch.clamp(x, a_min, a_max),
    "cast": lambda x, dtype: x.to(torch.float64),
    "identity": lambda x: x.view_as(x),
    "sum": reduced(torch.sum),
    "mean": reduced(torch.mean),
    "var": lambda x, axis, keepdims, ddof: torch.var(x, axes(x, axis), correction=ddof, keepdim=keepdims),
    "max": reduced(torch.amax),
    "min": reduced(torch.amin),
    "logsumexp": reduced(torch.logsumexp),
    "softmax": softmax,
    "reshape": lambda x, shape: torch.reshape(x, (shape,) if isinstance(shape, int) else shape),
    "transpose": lambda x, axes: torch.permute(x, axes if axes is not None else tuple(range(x.ndim))[::-1]),
    "expand_dims": lambda x, axis: torch.unsqueeze(x, axis),
    "squeeze": lambda x, axis: torch.squeeze(x) if axis is None else torch.squeeze(x, axis),
    "broadcast_to": lambda x, shape: torch.broadcast_to(x, shape),
    "concatenate": concatenated,
    "stack": lambda *xs, axis: torch.stack(xs, dim=axis),
    "split_at": lambda x, ends, axis: torch.tensor_split(x, tuple(ends[1:-1]), axis),
    "getitem": indexed,
    "scatter": scattered,
    "einsum": lambda *xs, subscripts: torch.einsum(subscripts, *xs),
}


def both(
    mine: Callable[..., Any], theirs: Callable[..., Any], arrays: list[np.ndarray], rng: np.random.Generator
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Value and gradients of the same function here and in PyTorch, for one random cotangent."""
    tensors = [Tensor(x, requires_grad=x.dtype.kind == "f") for x in arrays]
    others = [torch.tensor(x, requires_grad=x.dtype.kind == "f") for x in map(np.array, arrays)]
    out, other = concatenate_outputs(mine(*tensors)), theirs(*others)
    if isinstance(other, tuple):
        other = torch.cat([part.flatten() for part in other])
    g = rng.standard_normal(out.shape)
    out.backward(g)
    assert tuple(other.shape) == out.shape
    other.backward(torch.tensor(g))
    here, there = [out.data], [other.detach().numpy()]
    for t, o in zip(tensors, others):
        if t.requires_grad:
            # an argument on which nothing depends has no gradient at all in one of them
            here.append(np.zeros(t.shape) if t.grad is None else t.grad)
            there.append(np.zeros(t.shape) if o.grad is None else o.grad.numpy())
    return here, there


def compare(mine: Any, theirs: Any, arrays: list[np.ndarray], rng: np.random.Generator) -> None:
    here, there = both(mine, theirs, arrays, rng)
    for a, b in zip(here, there):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def test_every_primitive_has_a_counterpart() -> None:
    layers = {"lstm", "gru"}  # compared in test_oracle_layers.py
    assert set(COUNTERPARTS) | layers == set(tape.PRIMITIVES)


@pytest.mark.parametrize("name", COUNTERPARTS)
@given(data=st.data(), rng=generators())
def test_primitive(name: str, data: st.DataObject, rng: np.random.Generator) -> None:
    arrays, static = data.draw(arguments(name))
    compare(
        lambda *xs: tape.PRIMITIVES[name](*xs, **static),
        lambda *xs: COUNTERPARTS[name](*xs, **static),
        arrays,
        rng,
    )


def test_the_comparison_can_fail(rng: np.random.Generator) -> None:
    x = [rng.standard_normal((2, 3))]
    compare(lambda x: np.tanh(x), torch.tanh, x, rng)
    for wrong in (
        lambda x: np.tanh(x) * (1 + 1e-9),
        lambda x: np.tanh(x) + (x - x.detach()) * 1e-9,  # right value, wrong gradient
    ):
        with pytest.raises(AssertionError):
            compare(wrong, torch.tanh, x, rng)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((3,), (3,)),
        ((2, 3), (3,)),
        ((3,), (3, 4)),
        ((5, 2, 3), (3, 4)),
        ((2, 3), (5, 3, 4)),
        ((5, 1, 2, 3), (6, 3, 4)),
        ((1, 2, 3), (5, 3, 4)),
        ((5, 2, 3), (3,)),
        ((3,), (5, 3, 4)),
        ((2, 0), (0, 4)),
        ((0, 2, 3), (3, 4)),
    ],
)
def test_matmul_broadcasts(left: tuple[int, ...], right: tuple[int, ...], rng: np.random.Generator) -> None:
    arrays = [rng.standard_normal(left), rng.standard_normal(right)]
    compare(lambda x, y: x @ y, lambda x, y: x @ y, arrays, rng)


@pytest.mark.parametrize(
    ("subscripts", "shapes"),
    [
        ("ij,jk->ik", [(2, 3), (3, 4)]),
        ("bhqd,bhkd->bhqk", [(2, 3, 4, 5), (2, 3, 6, 5)]),
        ("...i,...i->...", [(2, 1, 3), (4, 3)]),
        ("i,ij,j->", [(2,), (2, 3), (3,)]),
        ("ii->i", [(3, 3)]),
        ("iij->j", [(3, 3, 2)]),
        ("ij->ji", [(2, 3)]),
        ("ijk->k", [(2, 3, 4)]),
        ("ab,cd->abcd", [(2, 3), (1, 2)]),
        ("i...,i...->...i", [(2, 3, 1), (2, 1, 4)]),
    ],
)
def test_einsum(subscripts: str, shapes: list[tuple[int, ...]], rng: np.random.Generator) -> None:
    arrays = [rng.standard_normal(s) for s in shapes]
    compare(lambda *xs: np.einsum(subscripts, *xs), lambda *xs: torch.einsum(subscripts, *xs), arrays, rng)


ONE = np.array([0, 3, 3, -1])
TWO = np.array([1, 0, 0, 2])


@pytest.mark.parametrize(
    "index",
    [
        ONE,
        (ONE, TWO),
        (ONE[:, None], TWO),
        (slice(None), TWO),
        (ONE, slice(1, 3)),
        (ONE, slice(None), TWO % 2),
        (..., TWO % 2),
        (None, ONE, None, TWO),
        (0, TWO),
        (slice(0, 4, 2), None, ..., -1),
        np.arange(4) % 2 == 0,
        (slice(None), np.array([True, False, True])),
        np.arange(24).reshape(4, 3, 2) % 5 == 0,
        (np.zeros((0,), dtype=int), 1),
        2,
        (1, 2, -1),
    ],
)
def test_indexing(index: Any, rng: np.random.Generator) -> None:
    x = [rng.standard_normal((4, 3, 2))]
    compare(lambda x: x[index], lambda x: x[as_torch(index)], x, rng)


@given(rng=generators(), axis=st.integers(-3, 2))
def test_gathering(rng: np.random.Generator, axis: int) -> None:
    x = [rng.standard_normal((4, 3, 2))]
    shape = [4, 3, 2]
    shape[axis] = 5
    places = rng.integers(0, x[0].shape[axis], shape)
    compare(
        lambda x: np.take_along_axis(x, places, axis),
        lambda x: torch.gather(x, axis, torch.from_numpy(places)),
        x,
        rng,
    )


# --- kinks and ties: what is taken where there is no derivative ---------------------------------------


def at(mine: Any, theirs: Any, *arrays: Any) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The gradients of the sum, here and in PyTorch."""
    tensors = [Tensor(np.array(x, dtype=float), requires_grad=True) for x in arrays]
    others = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in arrays]
    mine(*tensors).sum().backward()
    theirs(*others).sum().backward()
    return [t.grad for t in tensors], [o.grad.numpy() for o in others]  # type: ignore[misc]


TIES = [[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]]


@pytest.mark.parametrize(
    ("mine", "theirs", "arrays", "expected"),
    [
        (F.relu, torch.relu, ([-1.0, 0.0, -0.0, 1.0],), ([0, 0, 0, 1],)),
        (np.abs, torch.abs, ([-1.0, 0.0, -0.0, 1.0],), ([-1, 0, 0, 1],)),
        (
            lambda x: np.clip(x, -1, 1),
            lambda x: torch.clamp(x, -1, 1),
            ([-2.0, -1.0, 0.0, 1.0, 2.0],),
            ([0, 1, 1, 1, 0],),
        ),
        (np.maximum, torch.maximum, ([1.0, 2.0, 3.0], [2.0, 2.0, 2.0]), ([0, 0.5, 1], [1, 0.5, 0])),
        (np.minimum, torch.minimum, ([1.0, 2.0, 3.0], [2.0, 2.0, 2.0]), ([1, 0.5, 0], [0, 0.5, 1])),
        (
            lambda x: np.max(x, axis=1),
            lambda x: torch.amax(x, dim=1),
            (TIES,),
            ([[0, 1 / 2, 1 / 2], [1 / 3, 1 / 3, 1 / 3]],),
        ),
        (lambda x: np.max(x), lambda x: torch.max(x), (TIES,), ([[0, 1 / 2, 1 / 2], [0, 0, 0]],)),
        (
            lambda x: np.min(x, axis=1),
            lambda x: torch.amin(x, dim=1),
            (TIES,),
            ([[1, 0, 0], [1 / 3, 1 / 3, 1 / 3]],),
        ),
        (np.sqrt, torch.sqrt, ([4.0, 1.0],), ([0.25, 0.5],)),
        (lambda x: x**2.0, lambda x: x**2.0, ([0.0, -3.0],), ([0, -6],)),
        (lambda x: x**0.0, lambda x: x**0.0, ([0.0, 2.0],), ([0, 0],)),
        (
            lambda y: np.power(0.0, y),
            lambda y: torch.pow(torch.tensor(0.0), y),
            ([0.0, 1.0, 2.5],),
            ([0, 0, 0],),
        ),
        (
            lambda x: np.where([True, False], x, 0),
            lambda x: torch.where(torch.tensor([True, False]), x, 0.0),
            ([1.0, 2.0],),
            ([1, 0],),
        ),
    ],
)
def test_the_same_is_taken_as_in_pytorch(mine: Any, theirs: Any, arrays: Any, expected: Any) -> None:
    here, there = at(mine, theirs, *arrays)
    for a, b, values in zip(here, there, expected):
        np.testing.assert_allclose(a, values, rtol=1e-15)
        np.testing.assert_allclose(b, values, rtol=1e-15)


def test_where_it_differs_the_largest_over_one_axis_is_shared() -> None:
    # torch.max(x, dim) also returns the place, and sends all of the gradient there. np.max has no place
    # to return; torch.amax is its counterpart, and shares as we do.
    here, there = at(lambda x: np.max(x, axis=1), lambda x: torch.max(x, dim=1).values, TIES)
    np.testing.assert_allclose(here[0], [[0, 1 / 2, 1 / 2], [1 / 3, 1 / 3, 1 / 3]])
    np.testing.assert_array_equal(np.sort(there[0]), [[0, 0, 1], [0, 0, 1]])


@pytest.mark.parametrize(
    ("mine", "theirs", "x", "expected"),
    [
        (
            lambda x: np.where(x > 0, np.sqrt(x), x),
            lambda x: torch.where(x > 0, torch.sqrt(x), x),
            [0.0, 4.0],
            [1, 0.25],
        ),
        (
            lambda x: np.where(x > 0, np.power(x, 0.5), x),
            lambda x: torch.where(x > 0, torch.pow(x, 0.5), x),
            [0.0, 4.0],
            [1, 0.25],
        ),
    ],
)
def test_where_it_differs_zero_times_infinity_is_zero(mine: Any, theirs: Any, x: Any, expected: Any) -> None:
    # The root that was not chosen has an infinite derivative, and its incoming gradient is exactly 0.
    # PyTorch multiplies them to NaN. Here nothing depends on it, so nothing comes back.
    here, there = at(mine, theirs, x)
    np.testing.assert_array_equal(here[0], expected)
    np.testing.assert_array_equal(there[0], [np.nan, expected[1]])
