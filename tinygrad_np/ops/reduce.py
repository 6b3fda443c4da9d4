"""Primitives that reduce axes: sum, product, mean, variance, largest, smallest; and softmax, which normalises one.

`axis` is None for all axes, a number or a tuple, as in NumPy. A gradient comes back with the reduced axes
missing, so each rule first gives it those axes again, with length 1.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from tinygrad_np.ops.elementwise import exp_difference, floating, mask_poles
from tinygrad_np.tape import Array, Rule, primitive

Axis: TypeAlias = int | tuple[int, ...] | None


def normalize_axes(shape: tuple[int, ...], axis: Axis) -> list[int]:
    """The axes that `axis` names, counted from the front."""
    axes = range(len(shape)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    return [a % (len(shape) or 1) for a in axes]  # NumPy lets axis 0 of a single number pass


def restore_axes(g: Array, shape: tuple[int, ...], axis: Axis) -> Array:
    """g with the axes that were reduced put back, with length 1, whether it has them already or not."""
    reduced = normalize_axes(shape, axis)
    return np.reshape(g, tuple(1 if i in reduced else n for i, n in enumerate(shape)))


def count(shape: tuple[int, ...], axis: Axis) -> int:
    """How many elements are reduced to one."""
    reduced = normalize_axes(shape, axis)
    return math.prod(n for i, n in enumerate(shape) if i in reduced)


def wide(number: Any, g: Array) -> Any:
    """A count, or a factor made of one, as an array that holds it: in float16 a count beyond 65,504 is infinite."""
    return np.asarray(number, np.result_type(g.dtype, np.float32)) if g.dtype == np.float16 else number


def merge_axes(x: Array, axis: Axis) -> tuple[Array, list[int]]:
    """x with the axes to reduce merged into a last one, and all axes in the order in which they stand then."""
    named = range(x.ndim) if axis is None or not x.ndim else normalize_axis_tuple(axis, x.ndim)
    order = [i for i in range(x.ndim) if i not in named] + list(named)
    kept = [x.shape[i] for i in order[: x.ndim - len(named)]]
    return np.reshape(np.transpose(x, order), (*kept, count(x.shape, axis))), order


def divisible(y: Array) -> bool:
    """Whether products can be divided by their factors: none is 0, and none over- or underflowed."""
    return bool(np.all((abs(y) >= np.finfo(y.dtype).tiny) & (abs(y) < np.inf)))


def weigh(g: Array, factor: Array) -> Array:
    """g times a factor, and 0 where g is 0, even times an infinite factor: nothing depends on it."""
    return g * mask_poles(np.isinf(factor) & (g == 0), factor)


@primitive(np.sum)
def sum(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Rule:
    """The sum over axes."""
    shape = x.shape
    return np.sum(x, axis=axis, keepdims=keepdims), (
        lambda g: np.broadcast_to(restore_axes(g, shape, axis), shape),
    )


@primitive(np.prod)
def prod(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Rule:
    """The product over axes: d/dx is the product of the other elements, with any number of zeros."""
    y = np.prod(x, axis=axis, keepdims=keepdims)

    def vjp(g: Array) -> Array:
        if divisible(y):
            return restore_axes(g * y, x.shape, axis) / x
        rows, order = merge_axes(x, axis)
        one = np.ones_like(rows[..., :1])
        left = np.cumprod(np.concatenate([one, rows[..., :-1]], -1), -1)
        right = np.cumprod(np.concatenate([one, rows[..., :0:-1]], -1), -1)[..., ::-1]
        others = np.transpose(np.reshape(left * right, [x.shape[i] for i in order]), np.argsort(order))
        return weigh(restore_axes(g, x.shape, axis), others)

    return y, (vjp,)


@primitive(np.mean)
def mean(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Rule:
    """The mean over axes."""
    shape = x.shape
    return np.mean(x, axis=axis, keepdims=keepdims), (
        lambda g: np.broadcast_to(restore_axes(g, shape, axis) / wide(count(shape, axis) or 1, g), shape),
    )


@primitive(np.var)
def var(
    x: Array, *, axis: Axis = None, ddof: float = 0, keepdims: bool = False, correction: float | None = None
) -> Rule:
    """The variance over axes, sum (x - mean)^2 / (n - ddof): d/dx = 2 (x - mean) / (n - ddof).

    `correction` is another name of `ddof`, NumPy's since 2.0 and PyTorch's.
    """
    if correction is not None:
        if ddof:
            raise ValueError("ddof and correction are two names of one number; give one of them")
        ddof = correction
    if not isinstance(ddof, int | float | np.number):
        raise TypeError(f"ddof is a number, not {ddof!r}")

    def vjp(g: Array) -> Array:
        n = count(x.shape, axis) - ddof
        scale = 2 / n if n else np.inf  # where NumPy's own variance is NaN
        return restore_axes(g, x.shape, axis) * wide(scale, g) * (x - np.mean(x, axis=axis, keepdims=True))

    return np.var(x, axis=axis, ddof=ddof, keepdims=keepdims), (vjp,)


@primitive()
def standardize(x: Array, *, axis: Axis = None, eps: float = 1e-5, center: bool = True) -> Rule:
    """(x - mean) / sqrt(variance + eps) over axes; without `center`, x / sqrt(mean of x^2 + eps).

    For the result y and its divisor s, dL/dx = (g - mean g - y mean(g y)) / s, where the means are over those axes,
    and mean g is left out without `center` (Ioffe and Szegedy, 2015, section 3).
    """
    if not x.size:
        return x, (lambda g: g,)  # a mean of nothing would warn
    dtype = x.dtype
    x = x.astype(np.float32) if dtype == np.float16 else floating(x)  # a square of 256 is infinite in float16
    away = x - np.mean(x, axis=axis, keepdims=True) if center else x
    s = np.sqrt(np.mean(away * away, axis=axis, keepdims=True) + eps)
    y = away / s

    def vjp(g: Array) -> Array:
        back = g - y * np.mean(g * y, axis=axis, keepdims=True)
        return (back - np.mean(g, axis=axis, keepdims=True) if center else back) / s

    return (y.astype(dtype) if dtype == np.float16 else y), (vjp,)


@primitive(np.max, np.amax, selects=True)
def max(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Rule:
    """The largest element over axes. Equal largest elements share the gradient evenly."""
    y = np.max(x, axis=axis, keepdims=keepdims)
    return y, (lambda g: split_ties(g, x, y, axis),)


@primitive(np.min, np.amin, selects=True)
def min(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Rule:
    """The smallest element over axes. Equal smallest elements share the gradient evenly."""
    y = np.min(x, axis=axis, keepdims=keepdims)
    return y, (lambda g: split_ties(g, x, y, axis),)


def split_ties(g: Array, x: Array, y: Array, axis: Axis) -> Array:
    """The gradient of the extreme elements y of x."""
    chosen = (x == restore_axes(y, x.shape, axis)) | np.isnan(x)  # if one is NaN, so is the result
    many = np.sum(chosen, axis=axis, keepdims=True)
    return np.where(chosen, restore_axes(g, x.shape, axis) / wide(many, g), 0)


def largest(x: Array, axis: Axis) -> Array:
    """The largest element over axes, which are kept; of none, -inf."""
    if 0 not in x.shape:
        return np.max(x, axis=axis, keepdims=True)
    lengths = [1 if i in normalize_axes(x.shape, axis) else n for i, n in enumerate(x.shape)]
    return np.full(lengths, -np.inf, x.dtype)


@primitive()
def logsumexp(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Rule:
    """log sum e^x over axes, without overflow: d/dx = e^(x - y) = softmax(x). All -inf gives -inf."""
    x = floating(x)
    top = largest(x, axis)
    top = np.where(np.isfinite(top), top, 0)  # no NaN from -inf - -inf
    with np.errstate(divide="ignore"):
        y = np.log(np.sum(np.exp(x - top), axis=axis, keepdims=True)) + top

    def vjp(g: Array) -> Array:
        ties = partial(np.sum, x == np.inf, axis=axis, keepdims=True)
        return restore_axes(g, x.shape, axis) * exp_difference(x, y, ties)

    return (y if keepdims else np.squeeze(y, axis=axis)), (vjp,)


@primitive()
def softmax(x: Array, *, axis: Axis = -1) -> Rule:
    """e^x / sum e^x over axes, without overflow: the vjp is y (g - sum g y)."""
    x = floating(x)
    y = np.exp(x - largest(x, axis))
    y = y / np.sum(y, axis=axis, keepdims=True)
    return y, (lambda g: y * (g - np.sum(g * y, axis=axis, keepdims=True)),)
