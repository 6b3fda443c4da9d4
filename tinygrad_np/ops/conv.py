"""Windows that slide over an array, and their reverse: what convolution and pooling are made of.

`im2col` cuts an array into windows, and `col2im` adds windows up where they came from. Each is the transpose of the
other, and so its vjp. A convolution is the product of a matrix and windows, a transposed one the sum of windows
that a product makes, pooling the largest element or the mean of a window; all of them are in `functional`.

The settings are tuples with a number for each of the last axes, over which the windows slide. `padding` has pairs:
how much is added before and behind.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.lib.stride_tricks import as_strided

from tinygrad_np.tape import Array, Rule, primitive

Numbers: TypeAlias = tuple[int, ...]  # one for each axis over which windows slide
Pairs: TypeAlias = tuple[tuple[int, int], ...]


@primitive()
def im2col(
    x: Array, *, kernel: Numbers, stride: Numbers, dilation: Numbers, padding: Pairs, fill: float = 0.0
) -> Rule:
    """Windows of the last axes: (..., *lengths) to (..., *kernel, *places).

    Places are where windows stand. They are `stride` apart, and the elements of a window `dilation`. The padding is
    filled with a number.
    """
    shape = x.shape

    def vjp(g: Array) -> Array:
        lengths = shape[-len(kernel) :]
        back = sum_windows if isinstance(g, np.ndarray) else col2im
        return back(g, lengths=lengths, stride=stride, dilation=dilation, padding=padding)

    take = take_windows if isinstance(x, np.ndarray) else im2col
    return take(x, kernel=kernel, stride=stride, dilation=dilation, padding=padding, fill=fill), (vjp,)


@primitive()
def col2im(cols: Array, *, lengths: Numbers, stride: Numbers, dilation: Numbers, padding: Pairs) -> Rule:
    """The sum of windows, each where it stands: (..., *kernel, *places) to (..., *lengths), without the padding."""
    shape = cols.shape

    def vjp(g: Array) -> Array:
        axes = len(lengths)
        kernel, places = shape[-2 * axes : -axes], shape[-axes:]
        take = take_windows if isinstance(g, np.ndarray) else im2col
        windows: Array = take(g, kernel=kernel, stride=stride, dilation=dilation, padding=padding, fill=0.0)
        return windows[(..., *map(slice, places))]  # behind the last place there may be room for another

    back = sum_windows if isinstance(cols, np.ndarray) else col2im
    return back(cols, lengths=lengths, stride=stride, dilation=dilation, padding=padding), (vjp,)


def take_windows(
    x: Array, kernel: Numbers, stride: Numbers, dilation: Numbers, padding: Pairs, fill: float
) -> np.ndarray:
    """`im2col` of an array: a view of it, or of a padded copy, in which windows share memory; read only."""
    lead = x.shape[: -len(kernel)]
    if any(map(any, padding)):
        around = [
            (slice(a, a + n), a + n + b) for n, (a, b) in zip(x.shape[len(lead) :], padding, strict=True)
        ]
        # in the order in memory that x has
        padded: Array = np.full_like(x, fill, shape=(*lead, *(total for _, total in around)))
        padded[(..., *(inside for inside, _ in around))] = x
        x = padded
    lengths, steps = x.shape[len(lead) :], x.strides[len(lead) :]
    spans = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    places = [(n - span) // s + 1 for n, span, s in zip(lengths, spans, stride, strict=True)]
    if min(places) < 1:
        raise ValueError(
            f"a window of {spans} does not fit into {list(lengths)}, which is what the padding makes"
        )
    within = (d * step for d, step in zip(dilation, steps, strict=True))
    between = (s * step for s, step in zip(stride, steps, strict=True))
    strides = (*x.strides[: len(lead)], *within, *between)
    return as_strided(x, (*lead, *kernel, *places), strides, writeable=False)


def sum_windows(
    cols: Array, lengths: Numbers, stride: Numbers, dilation: Numbers, padding: Pairs
) -> np.ndarray:
    """`col2im` of an array: one sum for each element of a window, of all places at once."""
    axes = len(lengths)
    if cols.ndim < 2 * axes:
        raise ValueError(f"windows of {axes} axes and their places are {2 * axes} axes at least")
    lead, kernel, places = cols.shape[: -2 * axes], cols.shape[-2 * axes : -axes], cols.shape[-axes:]
    totals = [a + n + b for n, (a, b) in zip(lengths, padding, strict=True)]
    for n, k, m, s, d in zip(totals, kernel, places, stride, dilation, strict=True):
        if (m - 1) * s + (k - 1) * d + 1 > n:
            raise ValueError(f"{m} windows of {k} elements, {s} and {d} apart, reach beyond an axis of {n}")
    first = cols[(..., *(0,) * axes, *(slice(None),) * axes)]  # whose order in memory the sum takes
    total: Array = np.zeros_like(first, shape=(*lead, *totals))
    for offset in np.ndindex(*kernel):
        starts = (d * i for i, d in zip(offset, dilation, strict=True))
        there = (slice(a, a + s * m, s) for a, s, m in zip(starts, stride, places, strict=True))
        total[(..., *there)] += cols[(..., *offset, *(slice(None),) * axes)]
    inside: np.ndarray = total[(..., *(slice(a, a + n) for n, (a, _) in zip(lengths, padding, strict=True)))]
    return inside
