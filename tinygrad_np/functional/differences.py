"""NumPy's differences and integrals along an axis: diff, gradient, trapezoid; and its running sums of NumPy 2.1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from tinygrad_np.functional.common import as_tensor
from tinygrad_np.tape import Array, implements

__all__: list[str] = []  # NumPy has the names


def part(x: Any, axis: int, start: int | None, stop: int | None) -> Any:
    """A piece of x along an axis."""
    return x[(slice(None),) * (axis % x.ndim) + (slice(start, stop),)]


@implements(np.diff)
def diff(a: Any, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> Array:
    """The differences of neighbours along an axis, n times, of what is put together from these three."""
    a = as_tensor("diff", a)
    if n == 0:
        return a
    axis = normalize_axis_index(axis, a.ndim, "diff")
    if n < 0:
        raise ValueError(f"the order of a difference is 0 or more, not {n}")
    one = (*a.shape[:axis], 1, *a.shape[axis + 1 :])
    parts = [np.broadcast_to(x, one) if x is not None and not np.ndim(x) else x for x in (prepend, a, append)]
    if len(present := [x for x in parts if x is not None]) > 1:
        a = np.concatenate(present, axis=axis)
    for _ in range(min(n, a.shape[axis])):
        a = part(a, axis, 1, None) - part(a, axis, None, -1)
    return a


@implements(np.ediff1d)
def ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Array:
    """The differences of neighbours of the flattened array; numbers may be put before and behind."""
    middle = np.diff(np.reshape(as_tensor("ediff1d", ary), -1))
    ends = [None if x is None else np.reshape(as_tensor("ediff1d", x), -1) for x in (to_begin, to_end)]
    return np.concatenate([x for x in (ends[0], middle, ends[1]) if x is not None])


def trapezoids(y: Any, x: Any, dx: Any, axis: int) -> Array:
    """The area between each point and the next, along an axis."""
    y = as_tensor("trapezoid", y)
    axis = normalize_axis_index(axis, y.ndim, "trapezoid")
    if x is not None:
        x = as_tensor("trapezoid", x)
        dx = np.diff(x, axis=axis if x.ndim > 1 else 0)
        dx = np.reshape(dx, (-1,) + (1,) * (y.ndim - 1 - axis)) if x.ndim == 1 else dx
    return dx * (part(y, axis, 1, None) + part(y, axis, None, -1)) / 2


@implements(np.trapezoid)
def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Array:
    """The integral of y along an axis by the trapezoidal rule, with its points x, or points that are dx apart."""
    return np.sum(trapezoids(y, x, dx, axis), axis=axis)


@implements(np.gradient)
def gradient(f: Any, *varargs: Any, axis: int | Sequence[int] | None = None, edge_order: int = 1) -> Any:
    """The derivative of sampled values along each axis, by central differences, and one-sided ones at the ends.

    The spacing is 1, one number, or for each axis a number or its coordinates. Of several axes a tuple of Tensors.
    """
    f = as_tensor("gradient", f)
    f = (
        f.astype(np.float64) if f.dtype.kind in "iu" else f
    )  # differences of unsigned numbers would wrap around
    axes = normalize_axis_tuple(range(f.ndim) if axis is None else axis, f.ndim, "axis")
    spacing = varargs or (1.0,)
    spacing = spacing * len(axes) if len(spacing) == 1 and not np.ndim(spacing[0]) else spacing
    if len(spacing) != len(axes):
        raise TypeError(
            f"{len(axes)} axes have {len(axes)} spacings, or one number for all, and no {len(spacing)}"
        )
    slopes = tuple(slope(f, h, i, edge_order) for h, i in zip(spacing, axes, strict=True))
    return slopes[0] if len(slopes) == 1 else slopes


def slope(f: Array, spacing: Any, axis: int, edge_order: int) -> Array:
    """The derivative along one axis; see Fornberg (1988) for the weights of points that are unevenly spaced."""
    n = f.shape[axis]
    if edge_order not in (1, 2) or n <= edge_order:
        raise ValueError(
            f"edge_order is 1 or 2, and below the length {n} of axis {axis}, and not {edge_order!r}"
        )
    f = np.moveaxis(f, axis, -1)
    if np.ndim(spacing):
        places = as_tensor("gradient", spacing)
        steps = np.diff(places.astype(np.float64) if places.dtype.kind in "iu" else places)
        if steps.shape != (n - 1,):
            raise ValueError(f"axis {axis} of length {n} has {n} coordinates, and no {np.shape(spacing)}")
        d, e = steps[:-1], steps[1:]
        inner = (d * d * f[..., 2:] + (e * e - d * d) * f[..., 1:-1] - e * e * f[..., :-2]) / (
            d * e * (d + e)
        )
    else:
        steps = np.multiply(spacing, np.ones(n - 1))
        inner = (f[..., 2:] - f[..., :-2]) / np.multiply(2, spacing)
    ends = []
    for sign, (i, j, k) in ((1, (0, 1, 2)), (-1, (-1, -2, -3))):
        d = steps[i]
        end = (f[..., j] - f[..., i]) / d
        if edge_order == 2:  # the slope of the parabola through three points
            e = steps[j]
            weights = -(2 * d + e) / (d * (d + e)), (d + e) / (d * e), -d / (e * (d + e))
            terms = [weight * f[..., place] for weight, place in zip(weights, (i, j, k), strict=True)]
            first, second, third = terms[::sign]  # added up from left to right, as NumPy does
            end = first + second + third
        ends.append(np.expand_dims(sign * end, -1))
    y = np.moveaxis(np.concatenate([ends[0], inner, ends[1]], -1), -1, axis)
    return y.astype(f.dtype) if f.dtype.kind == "f" else y


def cumulate(x: Any, scan: Any, axis: int | None, include_initial: bool, first: float) -> Array:
    """A running sum or product along an axis, which a vector need not name; with its value of nothing in front."""
    x = x if x.ndim else np.reshape(x, 1)
    if axis is None and x.ndim > 1:
        raise ValueError(f"an array of shape {x.shape} needs an axis")
    axis = normalize_axis_index(axis or 0, x.ndim)
    y = scan(x, axis=axis)
    start = np.full((*x.shape[:axis], 1, *x.shape[axis + 1 :]), first, y.dtype)
    return np.concatenate([start, y], axis=axis) if include_initial else y


if hasattr(np, "cumulative_sum"):  # since NumPy 2.1

    @implements(np.cumulative_sum)
    def cumulative_sum(x: Array, /, *, axis: int | None = None, include_initial: bool = False) -> Array:
        """The sums up to each element along an axis; with 0 in front if asked."""
        return cumulate(x, np.cumsum, axis, include_initial, 0)

    @implements(np.cumulative_prod)
    def cumulative_prod(x: Array, /, *, axis: int | None = None, include_initial: bool = False) -> Array:
        """The products up to each element along an axis; with 1 in front if asked."""
        return cumulate(x, np.cumprod, axis, include_initial, 1)
