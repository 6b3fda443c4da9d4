"""Rows of the primitives that reduce axes, and of softmax."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_np.check.draw import (
    Arguments,
    Draw,
    Rng,
    Shape,
    Values,
    distinct,
    filled,
    nonzero,
    real,
    some_axes,
    wave,
)
from tinygrad_np.check.rows import Edge, Op

CUBE = wave(2, 3, 4)


def reduction(values: Values, full: bool = False, **static: Any) -> Draw:
    def draw(rng: Rng, shape: Shape) -> Arguments:
        shape = filled(shape) if full else shape
        keepdims = {"keepdims": bool(rng.random() < 0.5)}
        return [values(rng, shape)], {"axis": some_axes(rng, shape), **keepdims, **static}

    return draw


def variance(rng: Rng, shape: Shape) -> Arguments:
    arrays, static = reduction(real, full=True)(rng, tuple(n + 2 for n in shape) or (2,))
    return arrays, {**static, "ddof": float(rng.integers(2))}


def with_zero(rng: Rng, shape: Shape) -> np.ndarray:
    """Numbers away from 0, or one that is 0: a difference of the product of several is small, and no 0."""
    x = nonzero(rng, shape)
    if x.size and rng.random() < 0.6:
        x.reshape(-1)[rng.integers(x.size)] = 0
    return x


def along_axes(rng: Rng, shape: Shape) -> Arguments:
    shape = filled(shape, 1)
    return [real(rng, shape)], {"axis": some_axes(rng, shape)}


def dims(x: Any, axis: Any) -> tuple[int, ...]:
    """PyTorch's ``dim`` for an axis of NumPy; a number without axes has an axis 0 there."""
    return axis if isinstance(axis, tuple) else tuple(range(x.ndim)) or (0,) if axis is None else (axis,)


def reduced(name: str) -> Callable[..., Any]:
    """A reduction of PyTorch, called as NumPy's is."""
    return lambda torch, x, axis=None, keepdims=False: getattr(torch, name)(
        x, dim=dims(x, axis), keepdim=keepdims
    )


def torch_prod(torch: Any, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """PyTorch multiplies along one axis, or all."""
    for dim in sorted((d % (x.ndim or 1) for d in dims(x, axis)), reverse=True):
        x = torch.prod(x, dim, keepdim=keepdims)
    return x


def torch_softmax(torch: Any, x: Any, axis: Any) -> Any:
    """PyTorch normalises one axis only; its logsumexp takes several."""
    if isinstance(axis, int):
        return torch.softmax(x, dim=axis)
    return torch.exp(x - torch.logsumexp(x, dim=dims(x, axis), keepdim=True))


REDUCE = {
    "sum": Op(
        reduction(real),
        torch=reduced("sum"),
        calls=[
            (lambda x: np.sum(x), [CUBE]),
            (lambda x: np.sum(x, 1), [CUBE]),
            (lambda x: np.sum(a=x, axis=(0, -1), keepdims=True), [CUBE]),
        ],
        edges=[Edge([2], 3, [3], {"axis": 0})],  # NumPy lets axis 0 of a single number pass
    ),
    "prod": Op(
        reduction(with_zero),
        torch=torch_prod,
        calls=[
            (lambda x: np.prod(x), [CUBE]),
            (lambda x: np.prod(x, axis=(2, 0), keepdims=True), [np.where(CUBE > 0.9, 0, CUBE)]),
        ],
        edges=[
            Edge([[2, 0, 3]], 1, [[0, 6, 0]]),
            Edge([[[2, 0, 0], [0, 2, 3]]], [1, 1], [[[0, 0, 0], [6, 0, 0]]], {"axis": 1}),
            Edge([0], 2, [2], {"axis": 0}),
            Edge([[1e200, 1e200]], 1, [[1e200, 1e200]], torch="differs"),  # the product itself overflows
            Edge([[[2, 3], [np.inf, 1]]], [1, 0], [[[3, 2], [0, 0]]], {"axis": 1}, "differs"),
            Edge([np.zeros((2, 0))], [1, 1], [np.zeros((2, 0))], {"axis": 1}),  # of nothing, 1
        ],
        more=[
            ([np.array([[2.0, 0, 3, 0], [1, 2, 3, 0], [4, 0, 1, 2]])], {"axis": 0}),
            ([np.array([[2.0, 0, 3, 0], [1, 2, 3, 0], [4, 0, 1, 2]])], {"axis": 1}),
            ([np.array([[2.0, 0], [1, 3]])], {"axis": ()}),
            ([np.where(np.arange(8).reshape(2, 2, 2) == 3, 0, wave(2, 2, 2))], {"axis": 0}),
        ],
    ),
    "mean": Op(
        reduction(real, full=True),
        torch=reduced("mean"),
        calls=[(lambda x: np.mean(x, 0), [CUBE]), (lambda x: np.mean(x, axis=(1, 2), keepdims=True), [CUBE])],
        # the mean of nothing is 0 / 0, but on the way back nothing is divided by 0
        edges=[Edge([[]], 1, [[]])],
    ),
    "var": Op(
        variance,
        torch=lambda torch, x, axis=None, keepdims=False, ddof=0: torch.var(
            x, dims(x, axis), correction=ddof, keepdim=keepdims
        ),
        analytic=False,
        calls=[
            (lambda x: np.var(x, 0), [CUBE]),
            (lambda x: np.var(x, axis=-1, ddof=1, keepdims=True), [CUBE]),
            (lambda x: np.var(x, axis=1, correction=1.5), [CUBE]),
        ],
        more=[([wave(3, 4)], {"axis": 0, "ddof": 1}), ([wave(3, 4)], {"ddof": 2})],
    ),
    "max": Op(
        reduction(distinct, full=True),
        torch=reduced("amax"),
        calls=[(lambda x: np.max(x, 1), [CUBE]), (lambda x: np.amax(x, axis=(0, 2), keepdims=True), [CUBE])],
        edges=[
            Edge([[[3, 1, 3], [0, 1, 0]]], [3, 5], [[[1.5, 0, 1.5], [0, 5, 0]]], {"axis": 1}),
            Edge([[[1, 3, 3], [2, 2, 2]]], 1, [[[0, 0.5, 0.5], [0, 0, 0]]]),
            Edge(
                [[np.nan, 1, np.nan]], 1, [[0.5, 0, 0.5]], torch="differs"
            ),  # amax: all NaN; torch.max: as here
        ],
    ),
    "min": Op(
        reduction(distinct, full=True),
        torch=reduced("amin"),
        calls=[(lambda x: np.min(x, -1), [CUBE]), (lambda x: np.amin(x, keepdims=True), [CUBE])],
        edges=[
            Edge([[[3, 1], [1, 1]]], 3, [[[0, 1], [1, 1]]]),
            Edge([[np.nan, 1, 0]], 1, [[1, 0, 0]], torch="differs"),
        ],
    ),
    "logsumexp": Op(
        reduction(real, full=True),
        reference=lambda x, **static: np.log(np.sum(np.exp(x), **static)),
        torch=reduced("logsumexp"),
        edges=[
            Edge([[[-np.inf, 1], [-np.inf, -np.inf]]], [1, 1], [[[0, 1], [0, 0]]], {"axis": 1}, "differs"),
            Edge([[0, np.inf]], 1, [[0, 1]], torch="differs"),
            Edge(
                [[[np.inf, np.inf], [np.inf, 0]]], [1, 1], [[[0.5, 0.5], [1, 0]]], {"axis": 1}, "differs"
            ),  # equal infinities share the gradient
            Edge([np.zeros((4, 0))], [1] * 4, [np.zeros((4, 0))], {"axis": 1}),  # of nothing, -inf
        ],
    ),
    "softmax": Op(
        along_axes,
        reference=lambda x, axis: np.exp(x) / np.sum(np.exp(x), axis=axis, keepdims=True),
        torch=torch_softmax,
        edges=[Edge([np.zeros((4, 0))], np.zeros((4, 0)), [np.zeros((4, 0))], {"axis": 1})],
    ),
}
