"""Reductions, scans and selections that PyTorch has and NumPy does not, with PyTorch's order of arguments.

What gives indices beside values gives them as an ndarray, in a named pair. As in PyTorch, a number without axes is
treated as if it had one.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from tinygrad_np.errors import names_itself
from tinygrad_np.functional.common import as_tensor, floats
from tinygrad_np.functional.differences import trapezoids
from tinygrad_np.ops import scan
from tinygrad_np.ops.reduce import Axis
from tinygrad_np.tape import Array
from tinygrad_np.tensor import Tensor
from tinygrad_np.torch_names import torch_named, torch_parameters

__all__ = [
    "aminmax",
    "argsort",
    "bucketize",
    "cummax",
    "cummin",
    "cumulative_trapezoid",
    "kthvalue",
    "logcumsumexp",
    "mode",
    "msort",
    "searchsorted",
    "sort",
    "std_mean",
    "topk",
    "var_mean",
]


class Selected(NamedTuple):
    """Elements, and where they stood along an axis."""

    values: Array
    indices: np.ndarray


class Range(NamedTuple):
    """The smallest and the largest elements."""

    min: Tensor
    max: Tensor


def with_an_axis(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let a function of an array with axes take a number too, as an array of one that loses its axis again."""

    @functools.wraps(function)
    def call(x: Any, *args: Any, **kwargs: Any) -> Any:
        x = as_tensor(function.__name__, x)
        if x.ndim:
            return function(x, *args, **kwargs)
        out = function(np.reshape(x, 1), *args, **kwargs)
        if not isinstance(out, tuple):
            return np.reshape(out, ())
        return Selected(*[np.reshape(part, ()) for part in out])

    return call


def select(x: Array, indices: np.ndarray, axis: int, keepdims: bool = True) -> Selected:
    """The elements at these places along an axis, which loses its length 1 unless it is kept."""
    values = np.take_along_axis(x, indices, axis)
    if not keepdims:
        values, indices = np.squeeze(values, axis), np.squeeze(indices, axis)
    return Selected(values, indices)


def check_number(name: str, k: Any, least: int, length: int) -> None:
    """Refuse a number of elements, or the place of one, that there is not."""
    if not (isinstance(k, int | np.integer) and least <= k <= length):
        raise ValueError(
            f"{name} takes a whole number k from {least} to {length}, the length of the axis, not {k!r}"
        )


def order_of(x: np.ndarray, axis: int, descending: bool) -> np.ndarray:
    """The places of the elements along an axis in rising or falling order; equal ones stay in their order."""
    if not descending:
        return np.argsort(x, axis, kind="stable")
    backwards = np.argsort(np.flip(x, axis), axis, kind="stable")
    return np.asarray(x.shape[axis] - 1 - np.flip(backwards, axis))


@torch_named
@with_an_axis
def sort(x: Tensor, axis: int = -1, descending: bool = False, stable: bool = False) -> Selected:
    """The elements along an axis in rising or falling order, and where they stood; NaN is the largest.

    Equal ones stay in their order whether `stable` asks for it or not.
    """
    axis = normalize_axis_index(axis, x.ndim, "sort")
    return select(x, order_of(x.data, axis, descending), axis)


@torch_named
def argsort(x: Any, axis: int = -1, descending: bool = False, stable: bool = False) -> np.ndarray:
    """The places of the elements along an axis in rising or falling order; see `sort`."""
    return np.asarray(sort(as_tensor("argsort", x).detach(), axis, descending, stable).indices)


@torch_named
@with_an_axis
def topk(x: Tensor, k: int, axis: int = -1, largest: bool = True, sorted: bool = True) -> Selected:
    """The k largest elements along an axis, or the smallest, from the extreme one on; NaN is the largest.

    Of equal ones any may be chosen. They are sorted whether `sorted` asks for it or not.
    """
    axis = normalize_axis_index(axis, x.ndim, "topk")
    n = x.shape[axis]
    check_number("topk", k, 0, n)
    start = n - k if largest else k
    order = np.argpartition(x.data, start, axis) if 0 < start < n else np.argsort(x.data, axis)
    chosen = np.take(order, range(start, n) if largest else range(start), axis)
    order = np.argsort(np.take_along_axis(x.data, chosen, axis), axis)
    return select(x, np.take_along_axis(chosen, np.flip(order, axis) if largest else order, axis), axis)


@torch_named
@with_an_axis
def kthvalue(x: Tensor, k: int, axis: int = -1, keepdims: bool = False) -> Selected:
    """The k-th smallest element along an axis, counted from 1; NaN is the largest."""
    axis = normalize_axis_index(axis, x.ndim, "kthvalue")
    check_number("kthvalue", k, 1, x.shape[axis])
    return select(x, np.take(np.argpartition(x.data, k - 1, axis), [k - 1], axis), axis, keepdims)


@torch_named
@with_an_axis
def mode(x: Tensor, axis: int = -1, keepdims: bool = False) -> Selected:
    """The most frequent element along an axis, of equally frequent ones the smallest; and the last place it has."""
    axis = normalize_axis_index(axis, x.ndim, "mode")
    order = np.argsort(x.data, axis, kind="stable")
    ranked = np.moveaxis(np.take_along_axis(x.data, order, axis), axis, -1)
    if not ranked.shape[-1]:
        raise ValueError(f"mode of an array of shape {x.shape}: axis {axis} has no elements")
    place = np.broadcast_to(np.arange(ranked.shape[-1]), ranked.shape)
    begins = np.diff(ranked, axis=-1, prepend=ranked[..., :1]) != 0
    run = place - np.maximum.accumulate(np.where(begins, place, 0), -1)
    last = np.moveaxis(np.argmax(run, -1)[..., None], -1, axis)
    return select(x, np.take_along_axis(order, last, axis), axis, keepdims)


def running(name: str, x: Tensor, extreme: np.ufunc, axis: int) -> Selected:
    """The largest or smallest element up to each one along an axis; of equal ones the last gets the gradient."""
    axis = normalize_axis_index(axis, x.ndim, name)
    places = np.moveaxis(
        np.broadcast_to(np.arange(x.shape[axis]), np.moveaxis(x.data, axis, -1).shape), -1, axis
    )
    taken = (x.data == extreme.accumulate(x.data, axis)) | np.isnan(x.data)
    return select(x, np.maximum.accumulate(np.where(taken, places, 0), axis), axis)


@torch_named
@with_an_axis
def cummax(x: Tensor, axis: int) -> Selected:
    """The largest element up to each one along an axis; of equal ones the last gets the gradient."""
    return running("cummax", x, np.maximum, axis)


@torch_named
@with_an_axis
def cummin(x: Tensor, axis: int) -> Selected:
    """The smallest element up to each one along an axis; of equal ones the last gets the gradient."""
    return running("cummin", x, np.minimum, axis)


@torch_named
@with_an_axis
def logcumsumexp(x: Tensor, axis: int) -> Tensor:
    """log sum e^x of the elements up to each one along an axis, without overflow."""
    return scan.logcumsumexp(x, axis=axis)


@torch_named
@with_an_axis
def msort(x: Array) -> Array:
    """The elements along the first axis in rising order."""
    return np.sort(x, axis=0)


@torch_named
def aminmax(x: Tensor, *, axis: Axis = None, keepdims: bool = False) -> Range:
    """The smallest and the largest element over axes, all unless told; equal ones share the gradient evenly."""
    x = as_tensor("aminmax", x)
    return Range(np.min(x, axis=axis, keepdims=keepdims), np.max(x, axis=axis, keepdims=keepdims))


def spread_and_mean(
    measure: Callable[..., Tensor],
    x: Tensor,
    axis: Any,
    ddof: float,
    keepdims: bool,
    correction: float | None,
) -> tuple[Tensor, Tensor]:
    if isinstance(axis, bool):  # PyTorch has a form whose second argument is `unbiased`
        axis, ddof = None, axis
    ddof = ddof if correction is None else correction
    return measure(x, axis=axis, ddof=ddof, keepdims=keepdims), np.mean(x, axis=axis, keepdims=keepdims)


@torch_parameters
def std_mean(
    x: Tensor, axis: Axis = None, ddof: float = 1, keepdims: bool = False, *, correction: float | None = None
) -> tuple[Tensor, Tensor]:
    """Standard deviation and mean over axes; as in PyTorch, divided by n - 1 unless told. See `np.std`."""
    return spread_and_mean(np.std, floats("std_mean", x), axis, ddof, keepdims, correction)


@torch_parameters
def var_mean(
    x: Tensor, axis: Axis = None, ddof: float = 1, keepdims: bool = False, *, correction: float | None = None
) -> tuple[Tensor, Tensor]:
    """Variance and mean over axes; as in PyTorch, divided by n - 1 unless told. See `np.var`."""
    return spread_and_mean(np.var, floats("var_mean", x), axis, ddof, keepdims, correction)


@torch_parameters
def cumulative_trapezoid(y: Any, x: Any = None, *, dx: Any = None, axis: int = -1) -> Array:
    """The integral of y along an axis up to each point but the first, by the trapezoidal rule.

    The points are `x`, or `dx` apart, 1 unless told.
    """
    return np.cumsum(trapezoids(y, x, 1.0 if dx is None else dx, axis), axis=axis)


@names_itself
def searchsorted(
    sorted_sequence: Any,
    values: Any,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Any = None,
) -> np.ndarray:
    """Where numbers go among sorted ones along the last axis: before equal ones, or behind, if `right`.

    A vector is searched for numbers in any shape, and an array of rows, row by row, for one of as many rows.
    """
    rows, wanted = (as_tensor("searchsorted", x).detach().data for x in (sorted_sequence, values))
    rows = rows if sorter is None else np.take_along_axis(rows, np.asarray(sorter), -1)
    before: Any = side or ("right" if right else "left")
    if rows.ndim == 1:
        return np.asarray(np.searchsorted(rows, wanted, before), np.int32 if out_int32 else np.int64)
    if rows.shape[:-1] != wanted.shape[:-1]:
        raise ValueError(f"searchsorted in rows of shape {rows.shape} for numbers of shape {wanted.shape}")
    places = np.empty(wanted.shape, np.int32 if out_int32 else np.int64)
    for row in np.ndindex(rows.shape[:-1]):
        places[row] = np.searchsorted(rows[row], wanted[row], before)
    return places


@names_itself
def bucketize(x: Any, boundaries: Any, *, out_int32: bool = False, right: bool = False) -> np.ndarray:
    """The bucket of each number between rising boundaries; on one the lower, or the upper, if `right`."""
    return searchsorted(boundaries, x, out_int32=out_int32, right=right)
