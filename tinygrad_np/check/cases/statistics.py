"""Rows of statistics: spread, averages, order, and what leaves NaN out."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from tinygrad_np import functional
from tinygrad_np.check.cases.reduce import dims, reduced, reduction, variance
from tinygrad_np.check.cases.scan import along, torch_values, values_of
from tinygrad_np.check.draw import Arguments, Draw, Rng, Shape, distinct, filled, positive, real, wave
from tinygrad_np.check.rows import Edge, Op

X, CUBE = wave(2, 3), wave(2, 3, 4)
NAN = np.nan


def over_axes(function: Callable[..., Any]) -> Callable[..., Any]:
    """A reduction of PyTorch over the last axis, called as NumPy's is over several."""

    def call(torch: Any, x: Any, axis: Any = None, keepdims: bool = False, **static: Any) -> Any:
        named = [d % max(x.ndim, 1) for d in dims(x, axis)] if x.ndim else []
        kept = [i for i in range(x.ndim) if i not in named]
        y = function(torch, x.permute(kept + named).reshape([x.shape[i] for i in kept] + [-1]), **static)
        more = list(y.shape[: y.ndim - len(kept)])  # several quantiles come first
        return y.reshape(more + [1 if i in named else n for i, n in enumerate(x.shape)]) if keepdims else y

    return call


def gap(x: Any) -> Any:
    """x with NaN in the middle, where no gradient comes back."""
    return np.where(np.arange(x.size).reshape(x.shape) == x.size // 2, NAN, x)


def without_nan(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of NumPy that leaves NaN out, of an array that has one."""
    return lambda x, **static: function(gap(x), **static)


def torch_without_nan(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same of PyTorch."""

    def call(torch: Any, x: Any, **static: Any) -> Any:
        middle = torch.from_numpy(np.isnan(gap(np.zeros(tuple(x.shape)))))
        return function(torch, torch.where(middle, NAN, x), **static)

    return call


def gaps(**static: Any) -> Draw:
    """Arrays, and axes over which more than two elements are left when one is NaN."""

    def draw(rng: Rng, shape: Shape) -> Arguments:
        return reduction(distinct, **static)(rng, tuple(n + 4 for n in shape[:2]) or (5,))

    return draw


def quantile(values: Callable[[Rng, Shape], np.ndarray]) -> Draw:
    def draw(rng: Rng, shape: Shape) -> Arguments:
        arrays, static = reduction(values, full=True)(rng, tuple(n + 2 for n in shape) or (3,))
        q = [0.5, 0.0, 1.0, float(rng.random()), rng.random(2)][rng.integers(5)]
        method = ["linear", "lower", "higher", "midpoint", "nearest"][rng.integers(5)]
        return arrays, {**static, "q": q, "method": method}

    return draw


def torch_quantile(name: str) -> Callable[..., Any]:
    return over_axes(
        lambda torch, rows, q, method="linear": getattr(torch, name)(
            rows, torch.as_tensor(q, dtype=rows.dtype), -1, interpolation=method
        )
    )


def weighted(rng: Rng, shape: Shape) -> Arguments:
    """Weights of the whole shape, or of one axis."""
    shape = filled(shape, 1)
    axis = int(rng.integers(-len(shape), len(shape)))
    whole = rng.random() < 0.5
    return [real(rng, shape), positive(rng, shape if whole else (shape[axis],))], {"axis": axis}


def torch_average(torch: Any, a: Any, weights: Any, axis: int) -> Any:
    if weights.ndim != a.ndim:
        weights = weights.reshape([-1 if i == axis % a.ndim else 1 for i in range(a.ndim)])
    weights = weights.expand_as(a)
    return (a * weights).sum(axis) / weights.sum(axis)


def chosen(rng: Rng, shape: Shape) -> Arguments:
    arrays, static = along(distinct, all_axes=False)(rng, shape)
    return arrays, {**static, "k": int(rng.integers(1, arrays[0].shape[static["axis"]] + 1))}


def extremes(rng: Rng, shape: Shape) -> Arguments:
    arrays, static = chosen(rng, shape)
    return arrays, {**static, "largest": bool(rng.integers(2))}


def plain_topk(x: np.ndarray, k: int, axis: int, largest: bool) -> np.ndarray:
    rising = np.sort(x, axis)
    return np.take(np.flip(rising, axis) if largest else rising, range(k), axis)


def plain_and_mean(
    plain: Callable[..., Any], x: Any, axis: Any, keepdims: bool, ddof: Any
) -> tuple[Any, Any]:
    return plain(x, axis, ddof=ddof, keepdims=keepdims), np.mean(x, axis, keepdims=keepdims)


def torch_and_mean(name: str, torch: Any, x: Any, axis: Any, keepdims: bool, ddof: Any) -> Any:
    return getattr(torch, f"{name}_mean")(x, dims(x, axis), correction=ddof, keepdim=keepdims)


STATISTICS = {
    "std": Op(
        variance,
        torch=lambda torch, x, axis=None, keepdims=False, ddof=0: torch.std(
            x, dims(x, axis), correction=ddof, keepdim=keepdims
        ),
        analytic=False,
        calls=[
            (lambda x: np.std(x, 0), [CUBE]),
            (lambda x: np.std(x, axis=(0, 2), ddof=1, keepdims=True), [CUBE]),
            (lambda x: np.std(x, axis=-1, correction=1), [CUBE]),
        ],
        edges=[Edge([[[2, 2], [1, 3]]], [1, 1], [[[0, 0], [-0.5, 0.5]]], {"axis": 1})],
        function=np.std,
    ),
    "ptp": Op(
        reduction(distinct, full=True),
        torch=lambda torch, x, **static: (
            reduced("amax")(torch, x, **static) - reduced("amin")(torch, x, **static)
        ),
        analytic=False,
        calls=[(lambda x: np.ptp(x, 1), [CUBE])],
        edges=[Edge([[2, 2, 2]], 1, [[0, 0, 0]]), Edge([[1, 3, 3]], 2, [[-2, 1, 1]])],
        function=np.ptp,
    ),
    "average": Op(
        weighted,
        reference=lambda a, w, axis: np.average(a, axis, w),
        torch=torch_average,
        calls=[
            (lambda a: np.average(a), [CUBE]),
            (lambda a: np.average(a, 1, keepdims=True), [CUBE]),
            (lambda a, w: np.average(a, (2, 0), w), [CUBE, np.exp(wave(4, 2))]),
            (lambda w: np.average([[1, 2, 3]], weights=w), [np.exp(X[:1])]),
            (lambda w: np.average(CUBE, weights=w, axis=1, returned=True)[1], [X[0]]),
        ],
        function=lambda a, w, axis: np.average(a, axis, w),
    ),
    "sort": Op(
        along(distinct),
        torch=lambda torch, x, axis=-1, stable=True: (
            torch.sort(
                x.flatten() if axis is None else x, stable=stable, dim=0 if axis is None else axis
            ).values
        ),
        analytic=False,
        calls=[
            (lambda x: np.sort(x), [CUBE]),
            (lambda x: np.sort(x, 0, "stable"), [CUBE]),
            (lambda x: np.sort(x, axis=1, stable=True), [CUBE]),
            (lambda x: functional.sort(x, 1).values, [CUBE]),
            (lambda x: np.partition(x, 1), [CUBE]),
            (lambda x: np.partition(x, (0, 2), axis=None), [CUBE]),
            (lambda x: functional.sort(x, 0, descending=True).values, [CUBE]),
        ],
        edges=[
            Edge([[3, 1, 3]], [1, 2, 3], [[2, 1, 3]], {"stable": True}),
        ],
        function=np.sort,
    ),
    "median": Op(
        reduction(distinct, full=True),
        torch=over_axes(lambda torch, rows: torch.quantile(rows, 0.5, -1)),
        analytic=False,
        calls=[
            (lambda x: np.median(x), [CUBE]),
            (lambda x: np.median(x, 1), [CUBE]),
            (lambda x: np.median(x, axis=(0, 2), keepdims=True), [CUBE]),
        ],
        edges=[
            Edge([[1, 2, 2, 3]], 1, [[0, 0.5, 0.5, 0]]),
            Edge([[5, NAN, 1]], 2, [[0, 2, 0]]),
        ],
        function=np.median,
    ),
    "quantile": Op(
        quantile(distinct),
        torch=torch_quantile("quantile"),
        analytic=False,
        calls=[
            (lambda x: np.quantile(x, 0.3), [CUBE]),
            (lambda x: np.quantile(x, [[0.1, 0.5], [1, 0.8]], axis=1), [CUBE]),
            (lambda x, q: np.quantile(x, q, axis=-1, keepdims=True), [CUBE, np.array([0.45, 0.8])]),
            (lambda x: np.quantile(x, 0.3, axis=(0, 2), method="hazen"), [CUBE]),
            (lambda x: np.quantile(x, 0.3, method="averaged_inverted_cdf"), [CUBE]),
            (lambda x: np.percentile(x, 30, axis=1), [CUBE]),
            (lambda x, q: np.percentile(x, q, method="linear"), [CUBE, np.array(33.0)]),
        ],
        edges=[
            Edge([[0, 4, 8]], 1, [[0.5, 0.5, 0]], {"q": 0.25}),
            Edge([[0, 4, 4]], [1, 2], [[1, 0, 2]], {"q": [0, 1]}),
        ],
        function=np.quantile,
    ),
    "nanquantile": Op(
        quantile(distinct),
        torch=torch_without_nan(torch_quantile("nanquantile")),
        analytic=False,
        calls=[
            (lambda x: np.nanquantile(gap(x), [0.1, 0.5], axis=1), [CUBE]),
            (lambda x: np.nanpercentile(gap(x), 30, axis=(0, 1), keepdims=True), [CUBE]),
        ],
        reference=without_nan(np.nanquantile),
        function=without_nan(np.nanquantile),
    ),
    "nanmedian": Op(
        gaps(),
        torch=torch_without_nan(over_axes(lambda torch, rows: torch.nanquantile(rows, 0.5, -1))),
        analytic=False,
        calls=[
            (lambda x: np.nanmedian(gap(x), axis=(0, 2)), [CUBE]),
            (lambda x: np.nanmedian(gap(x)), [CUBE]),
        ],
        edges=[Edge([[1, 4, NAN, 3]], 1, [[0, 0, 0, 1]]), Edge([[1, NAN, NAN, 4]], 1, [[0.5, 0, 0, 0.5]])],
        reference=without_nan(np.nanmedian),
        function=without_nan(np.nanmedian),
    ),
    "nansum": Op(
        gaps(),
        torch=torch_without_nan(reduced("nansum")),
        analytic=False,
        calls=[
            (lambda x: np.nansum(gap(x), 1), [CUBE]),
            (lambda x: np.nanprod(gap(x), axis=1, keepdims=True), [CUBE]),
            (lambda x: np.nancumsum(gap(x), 1), [CUBE]),
            (lambda x: np.nancumprod(gap(x), axis=None), [CUBE]),
        ],
        edges=[Edge([[NAN, NAN]], 1, [[0, 0]])],
        reference=without_nan(np.nansum),
        function=without_nan(np.nansum),
    ),
    "nanmean": Op(
        gaps(),
        torch=torch_without_nan(reduced("nanmean")),
        analytic=False,
        calls=[(lambda x: np.nanmean(gap(x), 1), [CUBE]), (lambda x: np.nanmean(gap(x)), [CUBE])],
        edges=[Edge([[1, NAN, 2]], 4, [[2, 0, 2]])],
        reference=without_nan(np.nanmean),
        function=without_nan(np.nanmean),
    ),
    "nanvar": Op(
        gaps(ddof=1),
        torch=None,
        analytic=False,
        calls=[
            (lambda x: np.nanvar(gap(x), axis=1, keepdims=True), [CUBE]),
            (lambda x: np.nanvar(gap(x), ddof=2.5), [CUBE]),
            (lambda x: np.nanstd(gap(x), axis=(0, 2), correction=1), [CUBE]),
        ],
        edges=[Edge([[1, NAN, 3]], 1, [[-1, 0, 1]])],
        reference=without_nan(np.nanvar),
        function=without_nan(np.nanvar),
    ),
    "nanstd": Op(
        gaps(),
        torch=None,
        analytic=False,
        edges=[Edge([[1, NAN, 1]], 1, [[0, 0, 0]])],
        reference=without_nan(np.nanstd),
        function=without_nan(np.nanstd),
    ),
    "nanmax": Op(
        gaps(),
        torch=None,
        analytic=False,
        calls=[
            (lambda x: np.nanmax(gap(x), 1), [CUBE]),
            (lambda x: np.nanmin(gap(x), axis=(0, 1), keepdims=True), [CUBE]),
        ],
        edges=[Edge([[3, NAN, 3]], 1, [[0.5, 0, 0.5]])],
        reference=without_nan(np.nanmax),
        function=without_nan(np.nanmax),
    ),
    "topk": Op(
        extremes,
        reference=plain_topk,
        torch=torch_values("topk"),
        analytic=False,
        edges=[
            Edge([[NAN, 1, 2]], [1, 2], [[1, 0, 2]], {"k": 2, "axis": 0}),
            Edge([[1, 2]], [], [[0, 0]], {"k": 0, "axis": 0}),
        ],
        function=values_of("topk"),
    ),
    "kthvalue": Op(
        chosen,
        reference=lambda x, k, axis: np.take(np.sort(x, axis), k - 1, axis),
        torch=torch_values("kthvalue"),
        analytic=False,
        edges=[
            Edge([[NAN, 1, 2]], 1, [[1, 0, 0]], {"k": 3, "axis": 0}),
            Edge([2], 3, [3], {"k": 1, "axis": -1}),
        ],
        function=values_of("kthvalue"),
    ),
    "mode": Op(
        along(distinct, all_axes=False),
        reference=lambda x, axis: np.min(x, axis),  # of elements that are there once each, the smallest
        torch=torch_values("mode"),
        analytic=False,
        edges=[
            Edge([[3, 1, 3, 1, 1, 2]], 1, [[0, 0, 0, 0, 1, 0]], {"axis": 0}),
            Edge([[3, 3, 1, 1]], 1, [[0, 0, 0, 1]], {"axis": 0}),
        ],
        function=values_of("mode"),
    ),
    "msort": Op(
        lambda rng, shape: ([distinct(rng, filled(shape, 1))], {}),
        reference=lambda x: np.sort(x, 0),
        analytic=False,
        function=functional.msort,
    ),
    "aminmax": Op(
        reduction(distinct, full=True),
        reference=lambda x, **static: (np.min(x, **static), np.max(x, **static)),
        torch=lambda torch, x, **static: (
            reduced("amin")(torch, x, **static),
            reduced("amax")(torch, x, **static),
        ),
        analytic=False,
        function=functional.aminmax,
    ),
    **{
        f"{name}_mean": Op(
            variance,
            reference=partial(plain_and_mean, plain),
            torch=partial(torch_and_mean, name),
            analytic=False,
            function=getattr(functional, f"{name}_mean"),
        )
        for name, plain in (("std", np.std), ("var", np.var))
    },
}
