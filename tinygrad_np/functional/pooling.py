"""Pooling: one number of each window; and sizes changed by interpolation.

The names are PyTorch's. Windows slide over the last axes of an input (batch, channels, *lengths), whose batch may
be missing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any, TypeAlias

import numpy as np

from tinygrad_np.errors import names_itself
from tinygrad_np.functional.common import floats, per_axis
from tinygrad_np.functional.convolution import Size
from tinygrad_np.functional.shapes import moveaxis
from tinygrad_np.ops.conv import im2col
from tinygrad_np.ops.shape import stack
from tinygrad_np.tape import whole
from tinygrad_np.tensor import Tensor

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "avg_pool1d",
    "avg_pool2d",
    "interpolate",
    "lp_pool1d",
    "lp_pool2d",
    "max_pool1d",
    "max_pool2d",
    "upsample_bilinear",
    "upsample_nearest",
]

AdaptiveSize: TypeAlias = int | Sequence[int | None] | None


@names_itself
def max_pool1d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest element of each window of the last axis; see `max_pool2d`."""
    return _max_pool(
        "max_pool1d", 1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices
    )


@names_itself
def max_pool2d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest element of each window of the last two axes.

    Equal largest elements of a window share its gradient evenly, as those of `np.max` do; PyTorch's first one gets
    all of it.

    Parameters
    ----------
    input : Tensor
        (batch, channels, height, width) or (channels, height, width).
    kernel_size : int or two of them
        The lengths of a window.
    stride : int or two of them
        From one window to the next; `kernel_size` unless given.
    padding : int or two of them
        How much is added on both sides, at most half of the window. It is never the largest.
    dilation : int or two of them
        From one element of a window to the next.
    ceil_mode : bool
        Whether the last window may reach beyond the end, where else it is left out.
    return_indices : bool
        Whether the place of the largest element, or of the first of them, is returned too: an ndarray of numbers of
        elements of the input, as if its lengths were one.

    Returns
    -------
    Tensor
        (batch, channels, *lengths), and with `return_indices` the places too. Each length n becomes
        (n + 2 p - d (k - 1) - 1) / s + 1, rounded down, or up with `ceil_mode`.

    Raises
    ------
    ValueError
        A setting is none, or a window is larger than what it slides over.
    """
    return _max_pool(
        "max_pool2d", 2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices
    )


@names_itself
def avg_pool1d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """The mean of each window of the last axis; see `avg_pool2d`."""
    return _avg_pool("avg_pool1d", 1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, None)


@names_itself
def avg_pool2d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of each window of the last two axes.

    Parameters
    ----------
    input, kernel_size, stride, padding, ceil_mode
        As in `max_pool2d`; the padding is 0.
    count_include_pad : bool
        Whether the padding counts as elements of a window. What is beyond it, with `ceil_mode`, never does.
    divisor_override : int, optional
        By which the sum of a window is divided instead.

    Returns
    -------
    Tensor
        As `max_pool2d`.
    """
    return _avg_pool(
        "avg_pool2d", 2, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


@names_itself
def lp_pool1d(
    input: Tensor, norm_type: float, kernel_size: Size, stride: Size | None = None, ceil_mode: bool = False
) -> Tensor:
    """(sum x^p)^(1/p) over each window of the last axis, for p = `norm_type`; see `lp_pool2d`."""
    return _lp_pool(1, input, norm_type, kernel_size, stride, ceil_mode)


@names_itself
def lp_pool2d(
    input: Tensor, norm_type: float, kernel_size: Size, stride: Size | None = None, ceil_mode: bool = False
) -> Tensor:
    """(sum x^p)^(1/p) over each window of the last two axes, for p = `norm_type`.

    Where the sum is negative, as it may be for an odd p, this is NaN. A window that reaches beyond the end, with
    `ceil_mode`, counts as a whole one of the same mean.
    """
    return _lp_pool(2, input, norm_type, kernel_size, stride, ceil_mode)


@names_itself
def adaptive_avg_pool1d(input: Tensor, output_size: AdaptiveSize) -> Tensor:
    """The means of so many parts of the last axis, of about one length; see `adaptive_avg_pool2d`."""
    means: Tensor = _adaptive("adaptive_avg_pool1d", 1, input, output_size, np.mean)
    return means


@names_itself
def adaptive_avg_pool2d(input: Tensor, output_size: AdaptiveSize) -> Tensor:
    """The means of so many parts of the last two axes, of about one size.

    Part i of m along an axis of length n goes from floor(i n / m) to ceil((i + 1) n / m): parts overlap where m
    does not divide n.

    Parameters
    ----------
    input : Tensor
        (batch, channels, height, width) or (channels, height, width).
    output_size : int or two of them
        How many parts of each axis; None keeps its length.
    """
    means: Tensor = _adaptive("adaptive_avg_pool2d", 2, input, output_size, np.mean)
    return means


@names_itself
def adaptive_max_pool1d(input: Tensor, output_size: AdaptiveSize, return_indices: bool = False) -> Any:
    """The largest elements of so many parts of the last axis, of about one length; see `adaptive_max_pool2d`."""
    return _adaptive("adaptive_max_pool1d", 1, input, output_size, np.max, return_indices)


@names_itself
def adaptive_max_pool2d(input: Tensor, output_size: AdaptiveSize, return_indices: bool = False) -> Any:
    """The largest elements of so many parts of the last two axes; the parts are those of `adaptive_avg_pool2d`.

    Equal largest elements share the gradient, where PyTorch's first one gets all of it. With `return_indices` their
    places in the flattened (height, width) come second, as those of `max_pool2d` do.
    """
    return _adaptive("adaptive_max_pool2d", 2, input, output_size, np.max, return_indices)


@names_itself
def interpolate(
    input: Tensor,
    size: Size | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """An input (batch, channels, *lengths) in other lengths.

    Each axis by itself: result i stands at (i + 1/2) n / m - 1/2 of the n elements, for m results, and with
    `align_corners` at i (n - 1) / (m - 1). The linear modes are products with a matrix, so that what is infinite or
    NaN spreads along its axes.

    Parameters
    ----------
    input : Tensor
        With one or two lengths.
    size : int or one for each axis, optional
        The lengths of the result.
    scale_factor : float or one for each axis, optional
        Instead of `size`: the length is n times this, rounded down, and n / m above is 1 / `scale_factor`.
    mode : {"nearest", "nearest-exact", "linear", "bilinear", "bicubic", "area"}
        "nearest" takes element floor(i n / m), "nearest-exact" the one that is nearest; the linear modes are for
        one and two lengths, "bicubic" (Keys, 1981, with a = -3/4) for two. "area" is `adaptive_avg_pool2d`.
    align_corners : bool, optional
        Whether the first and last results of the linear modes stand on the first and last elements.
    recompute_scale_factor : bool, optional
        Whether n / m is taken even if a `scale_factor` is given.
    antialias : bool
        Refused if true.
    """
    x = floats("interpolate", input)
    axes = x.ndim - 2
    kinds = {"linear": 1, "bilinear": 2, "bicubic": 2}
    if axes not in (1, 2) or kinds.get(mode, axes) != axes or mode not in (*kinds, *NEAREST, "area"):
        raise ValueError(
            f"interpolate takes (batch, channels, *lengths) and a mode that is for so many lengths, of "
            f"{', '.join((*kinds, *NEAREST, 'area'))}, not {mode!r} and {list(x.shape)}"
        )
    if antialias:
        raise ValueError("interpolate has no antialias: smooth the input before, such as with avg_pool2d")
    if align_corners is not None and mode not in kinds:
        raise ValueError(f"interpolate takes align_corners with a linear or cubic mode, not with {mode!r}")
    if (size is None) == (scale_factor is None):
        raise ValueError("interpolate takes either size or scale_factor")
    lengths = x.shape[2:]
    if scale_factor is None:
        ((*sizes,),) = per_axis("interpolate", axes, 1, size=size)
        steps = [n / m for n, m in zip(lengths, sizes, strict=True)]
    else:
        scales = np.broadcast_to(np.asarray(scale_factor, float), (axes,)).tolist()
        sizes = [math.floor(n * scale) for n, scale in zip(lengths, scales, strict=True)]
        if min(sizes) < 1:
            raise ValueError(f"interpolate of {list(x.shape)} by {scale_factor!r} leaves nothing")
        steps = [
            n / m if recompute_scale_factor else 1 / s for n, m, s in zip(lengths, sizes, scales, strict=True)
        ]
    if mode == "area":
        means: Tensor = _adaptive("interpolate", axes, x, sizes, np.mean)
        return means
    for axis, (n, m, step) in enumerate(zip(lengths, sizes, steps, strict=True), 2):
        if mode in NEAREST:
            # in single precision, as PyTorch does: on the border of two elements one of them has to be taken
            places = (np.arange(m, dtype=np.float32) + np.float32(NEAREST[mode])) * np.float32(step)
            x = np.take(x, np.minimum(places.astype(int), n - 1), axis)
        else:
            weights = _weights(n, m, step, bool(align_corners), mode == "bicubic").astype(x.dtype)
            x = np.swapaxes(np.swapaxes(x, axis, -1) @ weights.T, axis, -1)
    return x


@names_itself
def upsample_nearest(
    input: Tensor, size: Size | None = None, scale_factor: float | Sequence[float] | None = None
) -> Tensor:
    """`interpolate` with the mode "nearest", under an older name."""
    return interpolate(input, size, scale_factor, "nearest")


@names_itself
def upsample_bilinear(
    input: Tensor, size: Size | None = None, scale_factor: float | Sequence[float] | None = None
) -> Tensor:
    """`interpolate` with the mode "bilinear" and `align_corners`, under an older name."""
    return interpolate(input, size, scale_factor, "bilinear", align_corners=True)


NEAREST = {"nearest": 0.0, "nearest-exact": 0.5}  # where the first result stands, in steps


# --- what they share ----------------------------------------------------------------------------------


def _image(name: str, axes: int, input: Tensor) -> Tensor:
    """The input, if it has so many lengths."""
    x = floats(name, input)
    if x.ndim not in (axes + 1, axes + 2):
        raise ValueError(
            f"{name} takes (batch, channels, *lengths) of {axes} lengths, or no batch, not {list(x.shape)}"
        )
    return x


def _windows(
    name: str,
    axes: int,
    x: Tensor,
    kernel_size: Size,
    stride: Size | None,
    padding: Size,
    dilation: Size,
    ceil_mode: bool,
    fill: float,
) -> tuple[Tensor, list[tuple[int, ...]]]:
    """The windows, their elements along axis 0; and of each axis kernel, stride, padding, dilation, places."""
    stride = kernel_size if stride is None or (isinstance(stride, Sequence) and not stride) else stride
    kernel, strides, dilations = per_axis(
        name, axes, 1, kernel_size=kernel_size, stride=stride, dilation=dilation
    )
    (sides,) = per_axis(name, axes, padding=padding)
    if any(2 * p > d * (k - 1) + 1 for p, k, d in zip(sides, kernel, dilations, strict=True)):
        raise ValueError(
            f"{name} takes a padding of at most half of the window, {list(kernel)}, not {padding!r}"
        )
    pairs = []
    for n, k, s, p, d in zip(x.shape[-axes:], kernel, strides, sides, dilations, strict=True):
        span, more = d * (k - 1) + 1, 0
        if ceil_mode and (n + 2 * p - span) % s and (begin := ((n + 2 * p - span) // s + 1) * s) < n + p:
            more = begin + span - n - 2 * p  # another window, which begins before the end
        pairs.append((p, p + more))
    cols = im2col(x, kernel=kernel, stride=strides, dilation=dilations, padding=tuple(pairs), fill=fill)
    places = cols.shape[-axes:]
    lead = x.ndim - axes
    cols = moveaxis(cols, tuple(range(lead, lead + axes)), tuple(range(axes)))
    cols = cols.reshape(math.prod(kernel), *x.shape[:lead], *places)
    return cols, list(zip(kernel, strides, sides, dilations, places, strict=True))


@whole
def _max_pool(
    name: str,
    axes: int,
    input: Tensor,
    kernel_size: Size,
    stride: Size | None,
    padding: Size,
    dilation: Size,
    ceil_mode: bool,
    return_indices: bool,
) -> Any:
    x = _image(name, axes, input)
    cols, settings = _windows(name, axes, x, kernel_size, stride, padding, dilation, ceil_mode, -np.inf)
    largest = cols.max(axis=0)
    if not return_indices:
        return largest
    kernel = [k for k, *_ in settings]
    found = []  # along each axis
    for i, (offset, (_, s, p, d, places)) in enumerate(
        zip(np.unravel_index(np.argmax(cols.data, axis=0), kernel), settings, strict=True)
    ):
        found.append(s * np.arange(places).reshape(-1, *(1,) * (axes - 1 - i)) - p + d * offset)
    return largest, np.ravel_multi_index(found, x.shape[-axes:], mode="clip")


@whole
def _avg_pool(
    name: str,
    axes: int,
    input: Tensor,
    kernel_size: Size,
    stride: Size | None,
    padding: Size,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Tensor:
    x = _image(name, axes, input)
    cols, settings = _windows(name, axes, x, kernel_size, stride, padding, 1, ceil_mode, 0.0)
    if divisor_override is not None:
        if divisor_override == 0:
            raise ValueError(f"{name} divides by divisor_override, which is 0")
        return cols.sum(axis=0) / divisor_override
    counts = np.ones((), x.dtype)
    for n, (k, s, p, _, places) in zip(x.shape[-axes:], settings, strict=True):
        starts = np.arange(places) * s - p
        ends = np.minimum(starts + k, n + p)
        counted = ends - starts if count_include_pad else np.minimum(ends, n) - np.maximum(starts, 0)
        counts = counts[..., np.newaxis] * counted.astype(x.dtype)
    return cols.sum(axis=0) / counts


def _lp_pool(
    axes: int, input: Tensor, norm_type: float, kernel_size: Size, stride: Size | None, ceil_mode: bool
) -> Tensor:
    name = f"lp_pool{axes}d"
    x = _image(name, axes, input)
    (kernel,) = per_axis(name, axes, 1, kernel_size=kernel_size)
    mean = _avg_pool(name, axes, x**norm_type, kernel_size, stride, 0, ceil_mode, True, None)
    return (mean * math.prod(kernel)) ** (1.0 / norm_type)


def _adaptive(
    name: str,
    axes: int,
    input: Tensor,
    output_size: AdaptiveSize,
    reduce: Callable[..., Any],
    return_indices: bool = False,
) -> Any:
    """One axis after the other, as parts are boxes: the mean of means, the largest of largest ones."""
    x = _image(name, axes, input)
    wanted = output_size if isinstance(output_size, Sequence) else (output_size,) * axes
    if len(wanted) != axes:
        raise ValueError(f"{name} takes {axes} numbers for output_size, not {output_size!r}")
    image, cuts = x.data, []
    for axis, n, m in zip(range(x.ndim - axes, x.ndim), x.shape[-axes:], wanted, strict=True):
        ((parts,),) = per_axis(name, 1, 1, output_size=n if m is None else m)
        if not n:
            raise ValueError(f"{name} of {list(x.shape)} has nothing to make parts of")
        cuts.append([slice(i * n // parts, -(-(i + 1) * n // parts)) for i in range(parts)])
        if n % parts == 0:
            x = reduce(x.reshape(*x.shape[:axis], parts, n // parts, *x.shape[axis + 1 :]), axis=axis + 1)
            continue
        before = (slice(None),) * axis
        x = stack(*(reduce(x[(*before, cut)], axis=axis) for cut in cuts[-1]), axis=axis)
    return (x, _places_in_parts(image, cuts)) if return_indices else x


def _places_in_parts(x: np.ndarray, cuts: list[list[slice]]) -> np.ndarray:
    """The place of the largest element of each part in the flattened lengths of x; of equal ones the first."""
    lead, lengths = x.shape[: -len(cuts)], x.shape[-len(cuts) :]
    numbers = np.arange(math.prod(lengths)).reshape(lengths)
    inside = [numbers[box].ravel() for box in product(*cuts)]
    flat = x.reshape(*lead, numbers.size)
    places = [box[np.argmax(flat[..., box], -1)] for box in inside]
    return np.stack(places, -1).reshape(*lead, *map(len, cuts))


def _weights(n: int, m: int, step: float, align_corners: bool, cubic: bool) -> np.ndarray:
    """By what each of n elements is multiplied for each of m results, (m, n)."""
    if align_corners:
        at = np.arange(m) * ((n - 1) / (m - 1) if m > 1 else 0.0)
    else:
        at = (np.arange(m) + 0.5) * step - 0.5
    if not cubic:
        at = np.maximum(at, 0)
    first = np.floor(at).astype(int)
    t = at - first
    taps = {0: 1 - t, 1: t}
    if cubic:
        a = -0.75
        taps = {
            k: a * (((d - 5) * d + 8) * d - 4) if outer else ((a + 2) * d - (a + 3)) * d * d + 1
            for k, d, outer in ((-1, t + 1, True), (0, t, False), (1, 1 - t, False), (2, 2 - t, True))
        }
    weights = np.zeros((m, n))
    for k, weight in taps.items():
        np.add.at(weights, (np.arange(m), np.clip(first + k, 0, n - 1)), weight)
    return weights
