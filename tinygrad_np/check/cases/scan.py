"""Rows of what runs along an axis: running sums, products and extremes, differences, integrals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_np import functional
from tinygrad_np.check.cases.reduce import with_zero
from tinygrad_np.check.draw import Arguments, Draw, Rng, Shape, Values, distinct, filled, real, wave
from tinygrad_np.check.rows import Edge, Op

X, CUBE = wave(2, 3), wave(2, 3, 4)


def along(values: Values, all_axes: bool = True, least: int = 1, **static: Any) -> Draw:
    """Arrays whose axes have this length at least, and one of their axes, or None."""

    def draw(rng: Rng, shape: Shape) -> Arguments:
        shape = tuple(max(n, least) for n in filled(shape, 1))
        flat = all_axes and rng.random() < 0.2
        axis = None if flat else int(rng.integers(-len(shape), len(shape)))
        return [values(rng, shape)], {"axis": axis, **static}

    return draw


def scanned(name: str) -> Callable[..., Any]:
    """A scan of PyTorch, over the flattened array when axis is None."""
    return lambda torch, x, axis=None: getattr(torch, name)(
        x.flatten() if axis is None else x, dim=0 if axis is None else axis
    )


def values_of(name: str) -> Callable[..., Any]:
    """A scan or a selection of ours, without the indices."""
    return lambda x, **static: getattr(functional, name)(x, **static).values


def torch_values(name: str) -> Callable[..., Any]:
    """The same of PyTorch."""
    return lambda torch, x, axis, **static: getattr(torch, name)(x, dim=axis, **static).values


def repeated(rng: Rng, shape: Shape) -> Arguments:
    arrays, static = along(real, all_axes=False, least=2)(rng, shape)
    return arrays, {**static, "n": int(rng.integers(3))}


def uneven(rng: Rng, shape: Shape) -> Arguments:
    """Values and the coordinates of an axis, which are two arrays that are differentiated."""
    (y,), static = along(real, all_axes=False, least=2)(rng, shape)
    return [y, np.cumsum(rng.uniform(0.5, 2, y.shape[static["axis"]]))], static


def plain_cumulative_trapezoid(y: np.ndarray, x: np.ndarray, axis: int) -> np.ndarray:
    y = np.moveaxis(y, axis, -1)
    areas = [(x[i + 1] - x[i]) * (y[..., i + 1] + y[..., i]) / 2 for i in range(len(x) - 1)]
    return np.moveaxis(np.cumsum(np.stack(areas, -1), -1), -1, axis)


def sloped(rng: Rng, shape: Shape) -> Arguments:
    arrays, static = along(real, all_axes=False, least=3)(rng, shape)
    return arrays, {**static, "edge_order": int(rng.integers(1, 3))}


INF = np.inf

SCAN = {
    "cumsum": Op(
        along(real),
        torch=scanned("cumsum"),
        calls=[
            (lambda x: np.cumsum(x), [CUBE]),
            (lambda x: np.cumsum(x, 1), [CUBE]),
            (lambda x: np.cumsum(x, axis=-2), [CUBE]),
        ],
        edges=[
            Edge([[]], [], [[]]),
            Edge([2], [3], [3]),
        ],  # of a number NumPy makes a vector
    ),
    "cumprod": Op(
        along(with_zero),
        torch=scanned("cumprod"),
        calls=[
            (lambda x: np.cumprod(x), [CUBE]),
            (lambda x: np.cumprod(x, 1), [CUBE]),
            (lambda x: np.cumprod(x, axis=-2), [np.where(CUBE > 0.5, 0, CUBE)]),
        ],
        edges=[
            Edge([[2, 0, 3]], [1, 1, 1], [[1, 8, 0]]),
            Edge([[2, 0, 3, 0, 5]], [1, 1, 1, 1, 1], [[1, 8, 0, 0, 0]]),
            Edge([[[0, 0], [0, 4]]], [[1, 1], [1, 1]], [[[1, 0], [5, 0]]], {"axis": 1}),
            Edge([[]], [], [[]]),
            Edge([[1e200, 1e200]], [1, 1], [[1e200, 1e200]], torch="differs"),  # the last product overflows
            Edge([[0.5, INF]], [1, 0], [[1, 0]], torch="differs"),
            Edge([[0.5, INF]], [1, 1], [[INF, 0.5]], torch="differs"),
        ],
        more=[
            ([np.array([2.0, 0, 3, 4, 0, 5, 6])], {}),
            ([np.array([[2.0, 0, 3], [0, 0, 2]])], {"axis": 1}),
            ([np.where(np.arange(8).reshape(2, 2, 2) == 3, 0, wave(2, 2, 2))], {"axis": 0}),
        ],
    ),
    "logcumsumexp": Op(
        along(real, all_axes=False),
        reference=lambda x, axis: np.log(np.cumsum(np.exp(x), axis=axis)),
        torch=lambda torch, x, axis: torch.logcumsumexp(x, dim=axis),
        analytic=False,
        edges=[
            Edge([[1000, 1000]], [0, 2], [[1, 1]], {"axis": 0}),
            Edge([[-INF, -INF, 1, -INF]], [1, 1, 1, 1], [[0, 0, 2, 0]], {"axis": 0}, "differs"),
            # equal infinities share the gradient of each step
            Edge([[1, INF, 2, INF]], [1, 1, 1, 2], [[1, 3, 0, 1]], {"axis": 0}, "differs"),
            Edge([np.zeros((2, 0))], np.zeros((2, 0)), [np.zeros((2, 0))], {"axis": 1}),
        ],
    ),
    "cummax": Op(
        along(distinct, all_axes=False),
        reference=lambda x, axis: np.maximum.accumulate(x, axis),
        torch=torch_values("cummax"),
        analytic=False,
        edges=[
            Edge([[2, 1, 2, 3]], [1, 1, 1, 1], [[2, 0, 1, 1]], {"axis": 0}),
            Edge([[1, np.nan, 3, np.nan]], [1, 1, 1, 1], [[1, 2, 0, 1]], {"axis": 0}),
            Edge([2], 3, [3], {"axis": 0}),
        ],
        function=values_of("cummax"),
    ),
    "cummin": Op(
        along(distinct, all_axes=False),
        reference=lambda x, axis: np.minimum.accumulate(x, axis),
        torch=torch_values("cummin"),
        analytic=False,
        edges=[
            Edge([[2, 3, 2, 1]], [1, 1, 1, 1], [[2, 0, 1, 1]], {"axis": 0}),
            Edge([[1, np.nan, 3, np.nan]], [1, 1, 1, 1], [[1, 2, 0, 1]], {"axis": 0}),
        ],
        function=values_of("cummin"),
    ),
    "diff": Op(
        repeated,
        torch=lambda torch, x, axis, n: torch.diff(x, n, axis),
        calls=[
            (lambda x: np.diff(x), [CUBE]),
            (lambda x: np.diff(x, 2, 1), [CUBE]),
            (lambda x, y: np.diff(x, axis=0, prepend=y, append=[[1.0, 2, 3]]), [X, X[:1]]),
            (lambda x: np.diff(x, n=5, prepend=2, append=0.5), [X]),
            (lambda x: np.ediff1d(x), [X]),
            (lambda x, y: np.ediff1d(x, to_end=y, to_begin=[1, 2]), [X, X[0]]),
        ],
        function=np.diff,
    ),
    "trapezoid": Op(
        uneven,
        torch=lambda torch, y, x, axis: torch.trapezoid(y, x, dim=axis),
        calls=[
            (lambda y: np.trapezoid(y), [CUBE]),
            (lambda y: np.trapezoid(y, None, 0.5, 1), [CUBE]),
            (lambda y, x: np.trapezoid(y, x), [CUBE, CUBE**2]),
            (lambda y, x: np.trapezoid(y, x=x, axis=0), [CUBE, X[0, :2]]),
        ],
        function=np.trapezoid,
    ),
    "cumulative_trapezoid": Op(
        uneven,
        reference=plain_cumulative_trapezoid,
        torch=lambda torch, y, x, axis: torch.cumulative_trapezoid(y, x, dim=axis),
        function=functional.cumulative_trapezoid,
    ),
    "gradient": Op(
        sloped,
        torch=lambda torch, x, axis, edge_order: torch.gradient(x, dim=axis, edge_order=edge_order)[0],
        calls=[
            (lambda f: np.gradient(f, axis=1, edge_order=2), [CUBE]),
            (lambda f: np.gradient(f)[1], [CUBE]),
            (lambda f: np.gradient(f, 0.5, axis=(1, 0))[1], [CUBE]),
            (lambda f: np.gradient(f, 2, [1.0, 2, 4, 8], axis=(1, -1), edge_order=2)[1], [CUBE]),
            (lambda f, x: np.gradient(f, x, axis=2, edge_order=2), [CUBE, np.array([1.0, 2, 4, 8])]),
            (lambda f, x: np.gradient(f, x, axis=2), [CUBE, np.array([8.0, 2, 1, -1])]),
        ],
        function=np.gradient,
    ),
}

if hasattr(np, "cumulative_sum"):  # since NumPy 2.1
    SCAN["cumulative_sum"] = Op(
        along(real, all_axes=False),
        torch=None,
        calls=[
            (lambda x: np.cumulative_sum(x), [X[0]]),
            (lambda x: np.cumulative_sum(x, axis=-2, include_initial=True), [CUBE]),
            (lambda x: np.cumulative_prod(x, axis=-1), [CUBE]),
            (lambda x: np.cumulative_prod(x, axis=1, include_initial=True), [CUBE]),
        ],
        function=np.cumulative_sum,
    )
