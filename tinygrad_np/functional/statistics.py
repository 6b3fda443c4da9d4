"""NumPy's statistics: spread, averages, what leaves NaN out; and order: sorting, medians, quantiles.

They are called by NumPy's names, ``np.median(t, axis=0)``. What picks an element by its size sends the gradient to
that element; of equal ones to the one that sorting put there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from tinygrad_np.functional.common import as_tensor, check_real
from tinygrad_np.operand import as_array
from tinygrad_np.ops.reduce import Axis, merge_axes, restore_axes
from tinygrad_np.tape import Array, implements
from tinygrad_np.tensor import Tensor

__all__: list[str] = []  # NumPy has the names

# --- spread and averages ------------------------------------------------------------------------------


def root(variance: Array) -> Array:
    """The square root, whose derivative at 0 is taken as 0: where nothing varies, no direction is better."""
    none = variance.data == 0
    return np.where(none, 0, np.sqrt(np.where(none, 1, variance))) if np.any(none) else np.sqrt(variance)


@implements(np.std)
def std(
    a: Array, axis: Axis = None, *, ddof: float = 0, keepdims: bool = False, correction: Any = None
) -> Array:
    """The standard deviation over axes. Of equal elements the gradient is taken as 0, as in PyTorch."""
    return root(np.var(a, axis=axis, ddof=ddof, keepdims=keepdims, correction=correction))


@implements(np.ptp)
def ptp(a: Array, axis: Axis = None, *, keepdims: bool = False) -> Array:
    """The largest minus the smallest element over axes; equal ones share the gradient evenly."""
    return np.max(a, axis=axis, keepdims=keepdims) - np.min(a, axis=axis, keepdims=keepdims)


@implements(np.average)
def average(
    a: Array, axis: Axis = None, weights: Any = None, returned: bool = False, *, keepdims: bool = False
) -> Any:
    """The mean over axes with weights, which get a gradient too; in a pair with their sum when `returned`.

    The weights have the shape of `a`, or that of the axes that are named.
    """
    a = as_tensor("average", a)
    if weights is None and not returned:
        return np.mean(a, axis=axis, keepdims=keepdims)
    weights = np.ones(a.shape, np.result_type(a.dtype, np.float16)) if weights is None else weights
    weights = as_tensor("average", weights)
    if weights.shape != a.shape:
        if axis is None:
            raise TypeError(f"weights of shape {weights.shape} for an array of {a.shape} need an axis")
        axes = normalize_axis_tuple(axis, a.ndim)
        if weights.shape != tuple(a.shape[i] for i in axes):
            raise ValueError(f"weights of shape {weights.shape} for the axes {axes} of an array of {a.shape}")
        lengths = [n if i in axes else 1 for i, n in enumerate(a.shape)]
        weights = np.reshape(np.transpose(weights, np.argsort(axes)), lengths)
    total = np.sum(weights, axis=axis, keepdims=keepdims)
    if np.any(total == 0):
        raise ValueError("the weights add up to 0")
    mean = np.sum(a * weights, axis=axis, keepdims=keepdims) / total
    return (mean, np.broadcast_to(total, mean.shape)) if returned else mean


# --- order --------------------------------------------------------------------------------------------


@implements(np.sort)
def sort(a: Array, axis: int | None = -1, kind: Any = None, *, stable: bool | None = None) -> Array:
    """The elements along an axis in rising order, NaN last; of all when axis is None."""
    if axis is None:
        a, axis = np.reshape(a, -1), 0
    return np.take_along_axis(a, np.argsort(a.data, axis, kind, stable=stable), axis)


@implements(np.partition)
def partition(a: Array, kth: int | Sequence[int], axis: int | None = -1, kind: Any = "introselect") -> Array:
    """The elements along an axis; those at `kth` stand where sorting puts them, smaller ones before them."""
    if axis is None:
        a, axis = np.reshape(a, -1), 0
    return np.take_along_axis(a, np.argpartition(a.data, kth, axis, kind), axis)


def neighbours(rows: Array, places: np.ndarray, skip_nan: bool) -> tuple[Array, Array, np.ndarray]:
    """The elements of sorted rows below and above some places, with fractions, of each row; and the fractions.

    A NaN in a row stands at each of its places, unless NaN is skipped: it is sorted to the end.
    """
    lower, upper = np.floor(places).astype(np.intp), np.ceil(places).astype(np.intp)
    reached = np.unique([*lower.ravel(), *upper.ravel(), rows.shape[-1] - 1])
    order = np.argpartition(rows.data, reached, -1) if reached[0] >= 0 else np.zeros(rows.shape, np.intp)
    nan = np.isnan(np.take_along_axis(rows.data, order[..., -1:], -1))
    if np.any(nan) and not skip_nan:
        order = np.where(nan, order[..., -1:], order)
    low, high = (np.take_along_axis(rows, np.take_along_axis(order, i, -1), -1) for i in (lower, upper))
    return low, high, places - lower


def counted(rows: Array, skip_nan: bool) -> np.ndarray:
    """How many elements of each row count."""
    if skip_nan:
        return np.asarray(np.sum(~np.isnan(rows.data), axis=-1, keepdims=True))
    return np.full((*rows.shape[:-1], 1), rows.shape[-1])


def middle(a: Array, axis: Axis, keepdims: bool, skip_nan: bool) -> Array:
    """The median over axes, with NaN or without."""
    rows, _ = merge_axes(a, axis)
    if not rows.shape[-1]:
        return np.mean(a, axis=axis, keepdims=keepdims)  # NaN, with NumPy's warning
    low, high, fraction = neighbours(rows, np.maximum(counted(rows, skip_nan) - 1, 0) / 2, skip_nan)
    y = np.where(fraction == 0, low, low / 2 + high / 2)[..., 0]  # halved first, so that none overflows
    return restore_axes(y, a.shape, axis) if keepdims else y


@implements(np.median)
def median(a: Array, axis: Axis = None, *, keepdims: bool = False) -> Array:
    """The median over axes; of an even number the mean of the two in the middle, which share the gradient.

    A NaN is the result where there is one, and gets the gradient.
    """
    return middle(a, axis, keepdims, False)


@implements(np.nanmedian)
def nanmedian(a: Array, axis: Axis = None, *, keepdims: bool = False) -> Array:
    """The median of what is not NaN, over axes; NaN where all is."""
    return middle(a, axis, keepdims, True)


STEPS = (
    "lower",
    "higher",
    "midpoint",
    "nearest",
)  # by these a quantile does not move with q


WHOLE = (
    "lower",
    "higher",
    "nearest",
    "inverted_cdf",
    "closest_observation",
)  # by these it is one of the elements


def quantiles(a: Any, q: Any, axis: Axis, method: Any, keepdims: bool, skip_nan: bool) -> Array:
    """Quantiles over axes, with NaN or without; the shape of q comes first, as in NumPy.

    Where they are among the sorted elements NumPy says itself: it is the quantile of 0, 1, 2, ...
    """
    a = as_tensor("quantile", a)
    if a.dtype.kind in "iu" and method not in WHOLE:
        a = a.astype(np.float64)
    rows, _ = merge_axes(a, axis)
    if not rows.shape[-1]:
        raise ValueError("of no elements there is no quantile")
    number = counted(rows, skip_nan)
    probabilities = (q.data if isinstance(q, Tensor) else as_array(q)).astype(float)
    if skip_nan and probabilities.ndim > 1:  # NumPy would put one axis of q first, and the others last
        raise ValueError(f"q is a number or has one axis here, and not the shape {probabilities.shape}")
    places = np.empty((*number.shape[:-1], probabilities.size))
    for n in np.unique(number):
        ramp: Any = np.arange(max(n, 1))
        places[number[..., 0] == n] = np.quantile(ramp, probabilities.ravel(), method=method)
    low, high, fraction = neighbours(rows, places, skip_nan)
    share: Any = fraction.astype(low.dtype)
    if isinstance(q, Tensor) and q.requires_grad and method not in STEPS:
        if method != "linear":
            raise TypeError(f"with the method {method!r} q gets no gradient here; give q.detach()")
        share = share + np.reshape(q - probabilities, -1) * (number - 1)  # adds 0, and the derivative
    y = np.where(fraction < 0.5, low + (high - low) * share, high - (high - low) * (1 - share))
    kept = restore_axes(y[..., 0], a.shape, axis).shape if keepdims else y.shape[:-1]
    return np.reshape(np.moveaxis(y, -1, 0), (*probabilities.shape, *kept))


@implements(np.quantile)
def quantile(a: Any, q: Any, axis: Axis = None, *, method: Any = "linear", keepdims: bool = False) -> Array:
    """Quantiles over axes, by all methods of NumPy; two elements share the gradient in the proportion of the value.

    q gets a gradient too, if the method is "linear".
    """
    return quantiles(a, q, axis, method, keepdims, False)


@implements(np.percentile)
def percentile(a: Any, q: Any, axis: Axis = None, *, method: Any = "linear", keepdims: bool = False) -> Array:
    """`np.quantile` with q in percent."""
    return quantiles(a, np.divide(q, 100), axis, method, keepdims, False)


@implements(np.nanquantile)
def nanquantile(
    a: Any, q: Any, axis: Axis = None, *, method: Any = "linear", keepdims: bool = False
) -> Array:
    """`np.quantile` of what is not NaN; NaN where all is."""
    return quantiles(a, q, axis, method, keepdims, True)


@implements(np.nanpercentile)
def nanpercentile(
    a: Any, q: Any, axis: Axis = None, *, method: Any = "linear", keepdims: bool = False
) -> Array:
    """`np.nanquantile` with q in percent."""
    return quantiles(a, np.divide(q, 100), axis, method, keepdims, True)


# --- without NaN --------------------------------------------------------------------------------------


def without_nan(a: Array, number: float) -> Array:
    """`a` with this number for NaN, where no gradient comes back."""
    return np.where(np.isnan(a.data), number, a)


def unless_all_nan(a: Array, number: float, axis: Axis) -> Array:
    """The same, but NaN stays where all over the axes is NaN."""
    nan = np.isnan(a.data)
    return np.where(nan & ~np.all(nan, axis=axis, keepdims=True), number, a)


def known(a: Array, axis: Axis, keepdims: bool) -> np.ndarray:
    """How many elements over axes are not NaN; NaN itself instead of 0, so that nothing is divided by 0."""
    number = np.sum(~np.isnan(a.data), axis=axis, keepdims=keepdims)
    return np.where(number == 0, np.nan, number)


@implements(np.nansum)
def nansum(a: Array, axis: Axis = None, *, keepdims: bool = False) -> Array:
    """The sum of what is not NaN, over axes."""
    return np.sum(without_nan(a, 0), axis=axis, keepdims=keepdims)


@implements(np.nanprod)
def nanprod(a: Array, axis: Axis = None, *, keepdims: bool = False) -> Array:
    """The product of what is not NaN, over axes."""
    return np.prod(without_nan(a, 1), axis=axis, keepdims=keepdims)


@implements(np.nancumsum)
def nancumsum(a: Array, axis: int | None = None) -> Array:
    """`np.cumsum` with 0 for NaN."""
    return np.cumsum(without_nan(a, 0), axis=axis)


@implements(np.nancumprod)
def nancumprod(a: Array, axis: int | None = None) -> Array:
    """`np.cumprod` with 1 for NaN."""
    return np.cumprod(without_nan(a, 1), axis=axis)


@implements(np.nanmax)
def nanmax(a: Array, axis: Axis = None, *, keepdims: bool = False) -> Array:
    """The largest of what is not NaN, over axes; NaN where all is."""
    return np.max(unless_all_nan(a, -np.inf, axis), axis=axis, keepdims=keepdims)


@implements(np.nanmin)
def nanmin(a: Array, axis: Axis = None, *, keepdims: bool = False) -> Array:
    """The smallest of what is not NaN, over axes; NaN where all is."""
    return np.min(unless_all_nan(a, np.inf, axis), axis=axis, keepdims=keepdims)


@implements(np.nanmean)
def nanmean(a: Array, axis: Axis = None, *, keepdims: bool = False) -> Array:
    """The mean of what is not NaN, over axes; NaN where all is."""
    total = np.sum(without_nan(a, 0), axis=axis, keepdims=keepdims)
    return (total / known(a, axis, keepdims)).astype(total.dtype if total.dtype.kind in "fc" else np.float64)


@implements(np.nanvar)
def nanvar(
    a: Array, axis: Axis = None, *, ddof: float = 0, keepdims: bool = False, correction: float | None = None
) -> Array:
    """The variance of what is not NaN, over axes; NaN where no more than `ddof` are left."""
    if ddof and correction is not None:
        raise ValueError("ddof and correction are two names of one number; give one of them")
    check_real("nanvar", a)
    number = known(a, axis, keepdims) - (ddof if correction is None else correction)
    # only what is NaN in `a` is left out: of an infinite element the distance is NaN, and so is the variance
    distance = np.where(np.isnan(a.data), 0, a - nanmean(a, axis, keepdims=True))
    y = np.sum(distance * distance, axis=axis, keepdims=keepdims) / np.where(number > 0, number, np.nan)
    return y.astype(distance.dtype)


@implements(np.nanstd)
def nanstd(
    a: Array, axis: Axis = None, *, ddof: float = 0, keepdims: bool = False, correction: float | None = None
) -> Array:
    """The standard deviation of what is not NaN, over axes; see `np.std`."""
    return root(nanvar(a, axis, ddof=ddof, keepdims=keepdims, correction=correction))
