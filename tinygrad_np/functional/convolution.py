"""Convolutions: a matrix times the windows of an array, and the transpose of that.

The names and layouts are PyTorch's: an input (batch, channels, *lengths), whose batch may be missing, and a
weight (out, in / groups, *kernel). A convolution does not turn its kernel around (it is a cross-correlation).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from tinygrad_np.errors import names_itself
from tinygrad_np.functional.common import floats, per_axis
from tinygrad_np.functional.shapes import moveaxis, swapaxes
from tinygrad_np.ops.conv import Pairs, col2im, im2col
from tinygrad_np.tape import whole
from tinygrad_np.tensor import Tensor

__all__ = [
    "channel_shuffle",
    "conv1d",
    "conv2d",
    "conv_transpose1d",
    "conv_transpose2d",
    "fold",
    "pixel_shuffle",
    "pixel_unshuffle",
    "unfold",
]

Size: TypeAlias = int | Sequence[int]  # one number for each axis, or one for all of them


@names_itself
def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Size | str = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Tensor:
    """Windows of the last axis times a weight, plus a bias; see `conv2d`, with one axis instead of two."""
    return _convolve("conv1d", 1, input, weight, bias, stride, padding, dilation, groups)


@names_itself
def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Size | str = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Tensor:
    """Windows of the last two axes times a weight, plus a bias.

    y[n, o, i, j] = b[o] + sum over c, k, l of w[o, c, k, l] x[n, c, s i + d k - p, s j + d l - p] for stride s,
    dilation d and padding p; what lies beyond x is 0. One product of matrices (im2col: Chellapilla et al., 2006),
    whose windows are kept for the way back.

    Parameters
    ----------
    input : Tensor
        (batch, in, height, width) or (in, height, width).
    weight : Tensor
        (out, in / groups, *kernel).
    bias : Tensor, optional
        (out,).
    stride : int or two of them
        From one window to the next.
    padding : int, two of them, "valid" or "same"
        How many zeros are added on both sides. "valid" is none, and "same", with a stride of 1, as many as keep
        the lengths, an odd one of them behind.
    dilation : int or two of them
        From one element of a window to the next.
    groups : int
        Into how many parts the channels are cut, each with a part of the weight of its own.

    Returns
    -------
    Tensor
        (batch, out, *lengths), without batch if the input has none. Of each length n becomes
        (n + 2 p - d (k - 1) - 1) // s + 1.

    Raises
    ------
    ValueError
        The shapes do not fit, or a window is larger than what it shall slide over.
    """
    return _convolve("conv2d", 2, input, weight, bias, stride, padding, dilation, groups)


@names_itself
def conv_transpose1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Size = 0,
    output_padding: Size = 0,
    groups: int = 1,
    dilation: Size = 1,
) -> Tensor:
    """The transpose of `conv1d`, plus a bias; see `conv_transpose2d`."""
    return _transposed(
        "conv_transpose1d", 1, input, weight, bias, stride, padding, output_padding, groups, dilation
    )


@names_itself
def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Size = 0,
    output_padding: Size = 0,
    groups: int = 1,
    dilation: Size = 1,
) -> Tensor:
    """The transpose of `conv2d`, plus a bias: each element adds a window, itself times the weight, to the result.

    Parameters
    ----------
    input : Tensor
        (batch, in, height, width) or (in, height, width).
    weight : Tensor
        (in, out / groups, *kernel): that of the convolution whose transpose this is.
    bias : Tensor, optional
        (out,).
    stride, padding, dilation, groups : int or two of them
        Those of that convolution; the padding is cut off here.
    output_padding : int or two of them
        How much longer the result is, at its end, than it needs to be: several lengths become the same one where
        the stride is more than 1. Less than the stride or the dilation.

    Returns
    -------
    Tensor
        (batch, out, *lengths), without batch if the input has none. Of each length n becomes
        (n - 1) s - 2 p + d (k - 1) + output_padding + 1.

    Raises
    ------
    ValueError
        The shapes do not fit, or nothing is left.
    """
    return _transposed(
        "conv_transpose2d", 2, input, weight, bias, stride, padding, output_padding, groups, dilation
    )


@names_itself
def unfold(
    input: Tensor, kernel_size: Size, dilation: Size = 1, padding: Size = 0, stride: Size = 1
) -> Tensor:
    """The windows of images (..., channels, height, width) as columns: (..., channels * elements, places)."""
    x = floats("unfold", input)
    if x.ndim not in (3, 4):
        raise ValueError(f"unfold takes (batch, channels, height, width), or no batch, not {list(x.shape)}")
    kernel, dilation, stride = per_axis(
        "unfold", 2, 1, kernel_size=kernel_size, dilation=dilation, stride=stride
    )
    (sides,) = per_axis("unfold", 2, padding=padding)
    cols = im2col(x, kernel=kernel, stride=stride, dilation=dilation, padding=both_sides(sides))
    rows = math.prod(cols.shape[-5:-2])
    return cols.reshape(*x.shape[:-3], rows, math.prod(cols.shape[-2:]))


@names_itself
def fold(
    input: Tensor,
    output_size: Size,
    kernel_size: Size,
    dilation: Size = 1,
    padding: Size = 0,
    stride: Size = 1,
) -> Tensor:
    """Windows as columns (..., channels * elements, places), added up to images (..., channels, *output_size)."""
    x = floats("fold", input)
    lengths, kernel, dilation, stride = per_axis(
        "fold", 2, 1, output_size=output_size, kernel_size=kernel_size, dilation=dilation, stride=stride
    )
    (sides,) = per_axis("fold", 2, padding=padding)
    places = tuple(
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, d, p, s in zip(lengths, kernel, dilation, sides, stride, strict=True)
    )
    if (
        x.ndim not in (2, 3)
        or x.shape[-2] % math.prod(kernel)
        or x.shape[-1] != math.prod(places)
        or min(places) < 1
    ):
        raise ValueError(
            f"fold to {list(lengths)} takes (batch, channels * {math.prod(kernel)}, {math.prod(places)}), or no "
            f"batch, and got {list(x.shape)}: of windows there are {places[0]} times {places[1]}"
        )
    cols = x.reshape(*x.shape[:-2], x.shape[-2] // math.prod(kernel), *kernel, *places)
    return col2im(cols, lengths=lengths, stride=stride, dilation=dilation, padding=both_sides(sides))


@names_itself
def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """(..., C r r, H, W) to (..., C, H r, W r), channels to pixels, for a factor r (Shi et al., 2016)."""
    x = floats("pixel_shuffle", input)
    ((r,),) = per_axis("pixel_shuffle", 1, 1, upscale_factor=upscale_factor)
    if x.ndim < 3 or x.shape[-3] % (r * r):
        raise ValueError(
            f"pixel_shuffle takes (..., channels, height, width), a multiple of {r * r} channels, not {x.shape}"
        )
    *batch, channels, height, width = x.shape
    cut = x.reshape(math.prod(batch), channels // (r * r), r, r, height, width)
    return cut.transpose((0, 1, 4, 2, 5, 3)).reshape(*batch, channels // (r * r), height * r, width * r)


@names_itself
def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """(..., C, H r, W r) to (..., C r r, H, W), pixels to channels: the reverse of `pixel_shuffle`."""
    x = floats("pixel_unshuffle", input)
    ((r,),) = per_axis("pixel_unshuffle", 1, 1, downscale_factor=downscale_factor)
    if x.ndim < 3 or x.shape[-2] % r or x.shape[-1] % r:
        raise ValueError(
            f"pixel_unshuffle takes (..., channels, height, width), both multiples of {r}, and got {x.shape}"
        )
    *batch, channels, height, width = x.shape
    cut = x.reshape(math.prod(batch), channels, height // r, r, width // r, r)
    return cut.transpose((0, 1, 3, 5, 2, 4)).reshape(*batch, channels * r * r, height // r, width // r)


@names_itself
def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """The channels, axis 1, in another order: of each group the first, then the second (Zhang et al., 2018)."""
    x = floats("channel_shuffle", input)
    if x.ndim < 3 or groups < 1 or x.shape[1] % groups:
        raise ValueError(
            f"channel_shuffle in {groups} groups takes (batch, a multiple of them, ...), not {list(x.shape)}"
        )
    cut = x.reshape(len(x), groups, x.shape[1] // groups, *x.shape[2:])
    return cut.transpose((0, 2, 1, *range(3, cut.ndim))).reshape(x.shape)


# --- what they share ----------------------------------------------------------------------------------


def both_sides(padding: tuple[int, ...]) -> Pairs:
    """As much behind each axis as before it."""
    return tuple((p, p) for p in padding)


def _checked(
    name: str, axes: int, input: Tensor, weight: Tensor, bias: Tensor | None, groups: int, transposed: bool
) -> tuple[Tensor, Tensor, bool]:
    """The input with a batch, the weight, and whether the input had none.

    Raises
    ------
    ValueError
        The shapes do not fit each other.
    """
    x, w = floats(name, input), floats(name, weight)
    per_axis(name, 1, 1, groups=groups)
    layout = "(in, out / groups, *kernel)" if transposed else "(out, in / groups, *kernel)"
    first, second = w.shape[0] if w.ndim else 0, w.shape[1] * groups if w.ndim > 1 else 0
    inside, out = (first, second) if transposed else (second, first)
    unbatched = x.ndim == axes + 1
    if (
        w.ndim != axes + 2
        or x.ndim not in (axes + 1, axes + 2)
        or x.shape[-axes - 1] != inside
        or first % groups
        or 0 in w.shape[2:]
    ):
        raise ValueError(
            f"{name} takes an input (batch, in, *lengths) of {axes} lengths, or without batch, and a weight "
            f"{layout}, not {list(x.shape)} and {list(w.shape)} with groups={groups}"
        )
    if bias is not None and np.shape(bias) != (out,):
        raise ValueError(f"{name} makes {out} channels, and takes a bias ({out},), not {np.shape(bias)}")
    return x.expand_dims(0) if unbatched else x, w, unbatched


SHORT = 20  # of a last axis: rows of fewer elements are copied faster with the batch beside them (measured)


@whole
def _convolve(
    name: str,
    axes: int,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Size,
    padding: Size | str,
    dilation: Size,
    groups: int,
) -> Tensor:
    """A convolution over so many axes: one product of matrices for each group, of all places of the batch."""
    x, w, unbatched = _checked(name, axes, input, weight, bias, groups, False)
    out, kernel = len(w), w.shape[2:]
    strides, dilations = per_axis(name, axes, 1, stride=stride, dilation=dilation)
    if padding == "same":
        if strides != (1,) * axes:
            raise ValueError(f"{name} with padding='same' takes a stride of 1, not {stride!r}")
        beyond = [d * (k - 1) for k, d in zip(kernel, dilations, strict=True)]
        pairs: Pairs = tuple((n // 2, n - n // 2) for n in beyond)
    elif padding == "valid":
        pairs = ((0, 0),) * axes
    elif isinstance(padding, str):
        raise ValueError(f"{name} takes 'same', 'valid' or whole numbers for padding, not {padding!r}")
    else:
        pairs = both_sides(*per_axis(name, axes, padding=padding))
    batch = len(x)
    batch_last = x.shape[-1] < SHORT
    if batch_last:  # in memory; what a layer below has made so is not copied
        turned = moveaxis(x, 0, -1)
        x = moveaxis(turned.reshape(-1).reshape(turned.shape), -1, 0)
    cols = im2col(x, kernel=kernel, stride=strides, dilation=dilations, padding=pairs)
    places = cols.shape[-axes:]
    cols = moveaxis(cols, 0, -1 if batch_last else axes + 1)  # channels and kernel, then batch and places
    rows, columns = math.prod(w.shape[1:]), batch * math.prod(places)
    y = w.reshape(groups, out // groups, rows) @ cols.reshape(groups, rows, columns)
    if bias is not None:
        y = y + np.reshape(bias, (groups, out // groups, 1))
    cells = (*places, batch) if batch_last else (batch, *places)
    whole: Tensor = moveaxis(y.reshape(out, *cells), -1 if batch_last else 1, 0)
    return whole[0] if unbatched else whole


@whole
def _transposed(
    name: str,
    axes: int,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Size,
    padding: Size,
    output_padding: Size,
    groups: int,
    dilation: Size,
) -> Tensor:
    """A transposed convolution over so many axes: one product for each group, whose windows are summed."""
    x, w, unbatched = _checked(name, axes, input, weight, bias, groups, True)
    inside, out, kernel = len(w), w.shape[1] * groups, w.shape[2:]
    strides, dilations = per_axis(name, axes, 1, stride=stride, dilation=dilation)
    sides, more = per_axis(name, axes, padding=padding, output_padding=output_padding)
    if any(m >= max(s, d) for m, s, d in zip(more, strides, dilations, strict=True)):
        raise ValueError(
            f"{name} takes an output_padding below the stride or the dilation, not {output_padding!r}"
        )
    lengths = tuple(
        (n - 1) * s - 2 * p + d * (k - 1) + m + 1
        for n, s, p, d, k, m in zip(x.shape[2:], strides, sides, dilations, kernel, more, strict=True)
    )
    if min(lengths) < 1:
        raise ValueError(
            f"{name} of {list(x.shape)} would make lengths {list(lengths)}; give it less padding"
        )
    batch, places = len(x), x.shape[2:]
    rows, columns = math.prod(w.shape[1:]), batch * math.prod(places)
    w = swapaxes(w.reshape(groups, inside // groups, rows), 1, 2)
    cols = w @ moveaxis(x, 1, 0).reshape(groups, inside // groups, columns)
    cols = moveaxis(cols.reshape(out, *kernel, batch, *places), axes + 1, 0)
    y = col2im(cols, lengths=lengths, stride=strides, dilation=dilations, padding=both_sides(sides))
    if bias is not None:
        y = y + np.reshape(bias, (out, *(1,) * axes))
    return y[0] if unbatched else y
