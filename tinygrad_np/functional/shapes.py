"""Moving elements: joining, splitting, turning, repeating, padding, diagonals, windows.

All of it is composed of slices, `reshape`, `transpose`, `broadcast_to`, `concatenate` and indexing, so each element
is handed on as it is, and its gradient comes back the same way.
"""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from tinygrad_np.errors import names_itself
from tinygrad_np.functional.common import as_tensor
from tinygrad_np.ops.elementwise import cast
from tinygrad_np.ops.index import zeros_at
from tinygrad_np.ops.shape import broadcast_to, concatenate, reshape, stack
from tinygrad_np.tape import Array, implements, whole
from tinygrad_np.tensor import Tensor
from tinygrad_np.torch_names import torch_named

__all__ = [
    "as_strided",
    "block_diag",
    "cartesian_prod",
    "chunk",
    "combinations",
    "diag_embed",
    "expand",
    "expand_as",
    "flatten",
    "narrow",
    "pad",
    "repeat_interleave",
    "reshape_as",
    "select",
    "split",
    "tensor_split",
    "unbind",
    "unflatten",
    "unfold_axis",
]


def check_order(order: str) -> None:
    """Refuse an order of elements other than NumPy's usual one."""
    if order != "C":
        raise TypeError(
            f"elements are read row by row, order 'C', and not {order!r}; transpose before and after"
        )


def along(axis: int, part: Any) -> tuple[Any, ...]:
    """The index that has this part along an axis, counted from the front, and takes all of the others."""
    return (*(slice(None),) * axis, part)


# --- reshaping, and the order of axes -----------------------------------------------------------------


@implements(np.reshape)
def numpy_reshape(a: Array, shape: int | tuple[int, ...], order: str = "C") -> Array:
    """`reshape` with the shape by position: NumPy has renamed that parameter."""
    check_order(order)
    return reshape(a, shape=shape)


@implements(np.ravel)
def ravel(a: Array, order: str = "C") -> Array:
    """An array as one axis."""
    check_order(order)
    return reshape(a, shape=-1)


@torch_named
def flatten(x: Tensor, start_dim: int | str = 0, end_dim: int = -1, order: str = "C") -> Tensor:
    """x with the axes from one to another, both included, as one; all of them unless told.

    The first argument may be ndarray's order, which is "C".
    """
    x = as_tensor("flatten", x)
    start_dim, order = (0, start_dim) if isinstance(start_dim, str) else (start_dim, order)
    check_order(order)
    first, last = (normalize_axis_index(axis, x.ndim or 1, "flatten") for axis in (start_dim, end_dim))
    if first > last:
        raise ValueError(f"flatten: axis {start_dim} does not stand before axis {end_dim}")
    lengths = x.shape or (1,)
    return x.reshape(*lengths[:first], math.prod(lengths[first : last + 1]), *lengths[last + 1 :])


@torch_named
def unflatten(x: Tensor, axis: int, sizes: Sequence[int]) -> Tensor:
    """x with one axis as several, of these lengths; one of them may be -1."""
    x = as_tensor("unflatten", x)
    axis = normalize_axis_index(axis, x.ndim, "unflatten")
    rest = math.prod(n for n in sizes if n != -1)
    lengths = [x.shape[axis] // (rest or 1) if n == -1 else n for n in sizes]
    if math.prod(lengths) != x.shape[axis]:
        raise ValueError(f"unflatten: {list(sizes)} in the place of an axis of length {x.shape[axis]}")
    return x.reshape(*x.shape[:axis], *lengths, *x.shape[axis + 1 :])


@torch_named
def reshape_as(x: Tensor, other: Tensor) -> Tensor:
    """x in the shape of another."""
    return as_tensor("reshape_as", x).reshape(np.shape(other))


@torch_named
def expand(x: Tensor, *sizes: Any) -> Tensor:
    """x repeated along axes of length 1 until it has this shape; -1 leaves a length as it is."""
    x = as_tensor("expand", x)
    shape = sizes[0] if len(sizes) == 1 and isinstance(sizes[0], Sequence) else sizes
    kept = (*(-1,) * (len(shape) - x.ndim), *x.shape)
    return broadcast_to(x, shape=tuple(old if n == -1 else n for n, old in zip(shape, kept, strict=True)))


@torch_named
def expand_as(x: Tensor, other: Tensor) -> Tensor:
    """x repeated until it has the shape of another."""
    return broadcast_to(x, shape=np.shape(other))


@implements(np.broadcast_arrays)
def broadcast_arrays(*args: Array) -> tuple[Array, ...]:
    """Arrays repeated until they have one shape."""
    shape = np.broadcast_shapes(*map(np.shape, args))
    return tuple(broadcast_to(x, shape=shape) for x in args)


@implements(np.atleast_1d)
def atleast_1d(*arys: Array) -> Any:
    """Arrays with one axis at least: a number gets an axis."""
    found = tuple(reshape(x, shape=np.shape(x) or (1,)) for x in arys)
    return found[0] if len(found) == 1 else found


@implements(np.atleast_2d)
def atleast_2d(*arys: Array) -> Any:
    """Arrays with two axes at least: new ones come first."""
    found = tuple(reshape(x, shape=(1,) * (2 - np.ndim(x)) + np.shape(x)) for x in arys)
    return found[0] if len(found) == 1 else found


@implements(np.atleast_3d)
def atleast_3d(*arys: Array) -> Any:
    """Arrays with three axes at least: (n,) becomes (1, n, 1), and (m, n) becomes (m, n, 1)."""
    found = tuple(
        reshape(x, shape=((1,) * (2 - np.ndim(x)) + np.shape(x) + (1,) * 3)[: max(np.ndim(x), 3)])
        for x in arys
    )
    return found[0] if len(found) == 1 else found


@implements(np.swapaxes)
def swapaxes(a: Array, axis1: int, axis2: int) -> Array:
    """An array with two axes exchanged."""
    axes = list(range(a.ndim))
    first, second = (normalize_axis_index(axis, a.ndim, "swapaxes") for axis in (axis1, axis2))
    axes[first], axes[second] = second, first
    return np.transpose(a, axes)


@implements(np.matrix_transpose, np.linalg.matrix_transpose)
def matrix_transpose(x: Array) -> Array:
    """An array with its last two axes exchanged."""
    if x.ndim < 2:
        raise ValueError(f"matrix_transpose: two axes at least, not shape {x.shape}")
    return np.swapaxes(x, -1, -2)


@implements(np.moveaxis)
def moveaxis(a: Array, source: int | Sequence[int], destination: int | Sequence[int]) -> Array:
    """An array with one axis or several moved to other places, the rest in order."""
    moved = normalize_axis_tuple(source, a.ndim, "moveaxis: source")
    places = normalize_axis_tuple(destination, a.ndim, "moveaxis: destination")
    if len(moved) != len(places):
        raise ValueError(f"moveaxis: {len(moved)} axes to {len(places)} places")
    axes = [i for i in range(a.ndim) if i not in moved]
    for place, axis in sorted(zip(places, moved, strict=True)):
        axes.insert(place, axis)
    return np.transpose(a, axes)


@implements(np.rollaxis)
def rollaxis(a: Array, axis: int, start: int = 0) -> Array:
    """An array with one axis moved to stand before another."""
    axis = normalize_axis_index(axis, a.ndim, "rollaxis")
    start = normalize_axis_index(start, a.ndim + 1, "rollaxis: start") if start >= 0 else start + a.ndim
    return np.moveaxis(a, axis, start - (axis < start))


# --- copies and joins ---------------------------------------------------------------------------------


@implements(np.copy)
def copy(a: Array, order: str = "K") -> Array:
    """A copy of an array, with its gradient; `order` is that in memory."""
    return cast(a, dtype=a.dtype)


@implements(np.full_like)
def full_like(a: Array, fill_value: Any, dtype: Any = None, order: str = "K", *, shape: Any = None) -> Array:
    """An array of the shape and dtype of a, filled with a number: a plain one, and a Tensor if the number is."""
    shape, dtype = np.shape(a) if shape is None else shape, a.dtype if dtype is None else np.dtype(dtype)
    if not isinstance(fill_value, Tensor):
        return np.full(shape, fill_value, dtype)
    return np.broadcast_to(fill_value.astype(dtype), shape)


@implements(np.hstack)
def hstack(tup: Sequence[Array]) -> Array:
    """Arrays joined along their second axis, or along the only one."""
    parts = [np.atleast_1d(x) for x in tup]
    return concatenate(*parts, axis=min(1, parts[0].ndim - 1))


@implements(np.vstack)
def vstack(tup: Sequence[Array]) -> Array:
    """Arrays joined along their first axis; those of one axis are rows."""
    return concatenate(*(np.atleast_2d(x) for x in tup), axis=0)


@implements(np.dstack)
def dstack(tup: Sequence[Array]) -> Array:
    """Arrays joined along their third axis."""
    return concatenate(*(np.atleast_3d(x) for x in tup), axis=2)


@implements(np.column_stack)
def column_stack(tup: Sequence[Array]) -> Array:
    """Arrays joined along their second axis; those of one axis are columns."""
    parts = [reshape(x, shape=(-1, 1)) if np.ndim(x) < 2 else x for x in tup]
    return concatenate(*parts, axis=1)


@implements(np.append)
def append(arr: Array, values: Array, axis: int | None = None) -> Array:
    """Two arrays joined along an axis; flattened first unless told."""
    return concatenate(arr, values, axis=axis)


@implements(np.block)
def block(arrays: Any) -> Array:
    """Arrays joined as nested lists lay them out: the innermost along the last axis.

    NumPy lays out the numbers of their elements; these say where each element goes.
    """
    leaves: list[Array] = []

    def numbered(part: Any) -> Any:
        if isinstance(part, list | tuple):
            return type(part)(numbered(one) for one in part)
        before = sum(np.size(leaf) for leaf in leaves)
        leaves.append(part)
        return np.arange(before, before + np.size(part)).reshape(np.shape(part))

    places = np.block(numbered(arrays))
    return np.take(concatenate(*leaves, axis=None), places)


@names_itself
def block_diag(*tensors: Tensor) -> Tensor:
    """Matrices one below the other and to the right of it, zeros elsewhere; numbers and vectors are rows."""
    parts = [atleast_2d(as_tensor("block_diag", x)) for x in tensors] or [Tensor(np.zeros((1, 0)))]
    width = sum(x.shape[1] for x in parts)
    before = itertools.accumulate((x.shape[1] for x in parts), initial=0)
    rows = [numpy_pad(x, ((0, 0), (n, width - n - x.shape[1]))) for x, n in zip(parts, before, strict=False)]
    return concatenate(*rows, axis=0)


# --- splits -------------------------------------------------------------------------------------------


@implements(np.array_split)
def array_split(ary: Array, indices_or_sections: int | Sequence[int], axis: int = 0) -> list[Array]:
    """An array cut along an axis: into so many parts, the first longer by one, or before each of these places."""
    axis = normalize_axis_index(axis, ary.ndim, "array_split")
    length = ary.shape[axis]
    if np.ndim(indices_or_sections) == 0:
        sections = int(indices_or_sections)  # type: ignore[arg-type]
        if not 1 <= sections < 2**31:  # of so many no list can be made
            raise ValueError(f"array_split: {sections} parts; one is the least, and 2^31 are too many")
        short, longer = divmod(length, sections)
        places = [i * short + min(i, longer) for i in range(1, sections)]
    else:
        places = [operator.index(place) for place in indices_or_sections]  # type: ignore[union-attr]
    return [ary[along(axis, slice(a, b))] for a, b in pairwise([0, *places, length])]


@implements(np.hsplit)
def hsplit(ary: Array, indices_or_sections: int | Sequence[int]) -> list[Array]:
    """An array cut along its second axis, or along the only one; see `split`."""
    return np.split(ary, indices_or_sections, min(1, ary.ndim - 1))


@implements(np.vsplit)
def vsplit(ary: Array, indices_or_sections: int | Sequence[int]) -> list[Array]:
    """An array of two axes at least cut along the first; see `split`."""
    if ary.ndim < 2:
        raise ValueError(f"vsplit: two axes at least, not shape {ary.shape}")
    return np.split(ary, indices_or_sections, 0)


@implements(np.dsplit)
def dsplit(ary: Array, indices_or_sections: int | Sequence[int]) -> list[Array]:
    """An array cut along its third axis; see `split`."""
    return np.split(ary, indices_or_sections, 2)


@torch_named
def split(x: Tensor, split_size_or_sections: int | Sequence[int], axis: int = 0) -> tuple[Tensor, ...]:
    """The pieces of x of this length along an axis, the last one shorter; or of these lengths.

    So PyTorch's; ``np.split`` takes the number of pieces, or where they begin.
    """
    x = as_tensor("split", x)
    axis = normalize_axis_index(axis, x.ndim, "split")
    length, size = x.shape[axis], split_size_or_sections
    if isinstance(size, int | np.integer):
        if size < 0 or (size == 0 and length):
            raise ValueError(f"split: pieces of length {size} of an axis of length {length}")
        ends = [*range(0, length, max(size, 1)), length] if length else [0, 0]
    else:
        ends = [0, *itertools.accumulate(size)]
        if min([0, *size]) < 0 or ends[-1] != length:
            raise ValueError(
                f"split: the lengths {list(size)} do not add up to {length}, that of axis {axis}"
            )
    return tuple(x[along(axis, slice(a, b))] for a, b in pairwise(ends))


@torch_named
def chunk(x: Tensor, chunks: int, axis: int = 0) -> tuple[Tensor, ...]:
    """At most so many pieces of one length along an axis, the last one shorter."""
    x = as_tensor("chunk", x)
    if chunks < 1:
        raise ValueError(f"chunk: {chunks} pieces; one is the least")
    length = x.shape[normalize_axis_index(axis, x.ndim, "chunk")]
    return split(x, -(-length // chunks), axis) if length else (x,) * chunks


@torch_named
def tensor_split(x: Tensor, indices_or_sections: Any, axis: int = 0) -> tuple[Tensor, ...]:
    """x cut into so many pieces, or before each of these places; ``np.array_split``, as a tuple."""
    return tuple(array_split(as_tensor("tensor_split", x), np.asarray(indices_or_sections), axis))


@torch_named
def unbind(x: Tensor, axis: int = 0) -> tuple[Tensor, ...]:
    """x without an axis: a tuple of what stands along it."""
    return tuple(moveaxis(as_tensor("unbind", x), axis, 0))


if hasattr(np, "unstack"):  # from NumPy 2.1 on

    @implements(np.unstack)
    def unstack(x: Array, /, *, axis: int = 0) -> tuple[Array, ...]:
        """An array without an axis: a tuple of what stands along it."""
        return tuple(np.moveaxis(x, axis, 0))


@torch_named
def select(x: Tensor, axis: int, index: int) -> Tensor:
    """What stands at a place along an axis, which goes."""
    x = as_tensor("select", x)
    return x[along(normalize_axis_index(axis, x.ndim, "select"), index)]


@torch_named
def narrow(x: Tensor, axis: int, start: int, length: int) -> Tensor:
    """So many elements along an axis, from a place on."""
    x = as_tensor("narrow", x)
    axis = normalize_axis_index(axis, x.ndim, "narrow")
    n = x.shape[axis]
    first = int(start) + n * (start < 0)
    if not 0 <= first <= first + length <= n:
        raise ValueError(f"narrow: {length} elements from {start} on, along an axis of {n}")
    return x[along(axis, slice(first, first + length))]


# --- turning and repeating ----------------------------------------------------------------------------


@implements(np.flip)
def flip(m: Array, axis: int | tuple[int, ...] | None = None) -> Array:
    """An array with its elements in reverse order along axes, all of them unless told."""
    axes = range(m.ndim) if axis is None else normalize_axis_tuple(axis, m.ndim, "flip")
    return m[tuple(slice(None, None, -1 if i in axes else 1) for i in range(m.ndim))]


@implements(np.flipud)
def flipud(m: Array) -> Array:
    """An array with its elements in reverse order along the first axis."""
    return np.flip(m, 0)


@implements(np.fliplr)
def fliplr(m: Array) -> Array:
    """An array with its elements in reverse order along the second axis."""
    return np.flip(m, 1)


@implements(np.rot90)
def rot90(m: Array, k: int = 1, axes: Sequence[int] = (0, 1)) -> Array:
    """An array turned k times by 90 degrees, from the first of two axes towards the second."""
    first, second = normalize_axis_tuple(tuple(axes), m.ndim, "rot90")
    if k % 4 == 2:
        return np.flip(m, (first, second))
    turned = np.swapaxes(m, first, second) if k % 2 else m
    return np.flip(turned, (first, second)[k % 4 // 2]) if k % 2 else turned


@implements(np.roll)
def roll(a: Array, shift: int | Sequence[int], axis: int | Sequence[int] | None = None) -> Array:
    """An array with its elements moved on along axes; what leaves at the end comes in at the front.

    Without an axis it is rolled as one axis.
    """
    if axis is None:
        return np.reshape(roll(np.ravel(a), shift, 0), a.shape)
    for by, one in zip(*np.broadcast_arrays(np.atleast_1d(shift), np.atleast_1d(axis)), strict=True):
        one = normalize_axis_index(int(one), a.ndim, "roll")
        length = a.shape[one]
        if length and (start := -int(by) % length):
            a = concatenate(a[along(one, slice(start, None))], a[along(one, slice(start))], axis=one)
    return a


@implements(np.tile)
def tile(A: Array, reps: int | Sequence[int]) -> Array:
    """An array laid side by side with itself, so many times along each axis."""
    times = np.atleast_1d(reps).tolist()
    ndim = max(A.ndim, len(times))
    times, shape = [1] * (ndim - len(times)) + times, (1,) * (ndim - A.ndim) + A.shape
    laid = np.reshape(A, tuple(n for length in shape for n in (1, length)))
    laid = np.broadcast_to(laid, tuple(n for pair in zip(times, shape, strict=True) for n in pair))
    return np.reshape(laid, tuple(k * n for k, n in zip(times, shape, strict=True)))


@implements(np.repeat)
def repeat(a: Array, repeats: int | Sequence[int], axis: int | None = None) -> Array:
    """Each element so many times, or each its own number of times, along an axis; flattened first unless told."""
    a, axis = (np.ravel(a), 0) if axis is None else (a, normalize_axis_index(axis, a.ndim, "repeat"))
    if np.ndim(repeats):
        return a[along(axis, np.repeat(np.arange(a.shape[axis]), repeats))]
    shape, times = a.shape, operator.index(repeats)  # type: ignore[arg-type]
    parted = np.broadcast_to(np.expand_dims(a, axis + 1), (*shape[: axis + 1], times, *shape[axis + 1 :]))
    return np.reshape(parted, (*shape[:axis], shape[axis] * times, *shape[axis + 1 :]))


@torch_named
def repeat_interleave(
    x: Tensor, repeats: Any, axis: int | None = None, *, output_size: int | None = None
) -> Tensor:
    """Each element so many times, or each its own number of times; ``np.repeat``."""
    repeated: Tensor = repeat(as_tensor("repeat_interleave", x), np.asarray(repeats), axis)
    return repeated


@implements(np.meshgrid)
def meshgrid(*xi: Array, indexing: str = "xy", sparse: bool = False, copy: bool = True) -> tuple[Array, ...]:
    """The coordinates of a grid, from those along each axis; with "xy" the first ones are along axis 1."""
    if indexing not in ("xy", "ij"):
        raise ValueError(f"meshgrid: indexing is 'xy' or 'ij', not {indexing!r}")
    n = len(xi)
    grids: list[Array] = [reshape(x, shape=(1,) * i + (-1,) + (1,) * (n - 1 - i)) for i, x in enumerate(xi)]
    if indexing == "xy" and n > 1:
        grids = [np.swapaxes(x, 0, 1) for x in grids]
    return tuple(grids) if sparse else np.broadcast_arrays(*grids)


@names_itself
def cartesian_prod(*tensors: Tensor) -> Tensor:
    """All combinations of an element of each, a row for each; of one alone, it."""
    given = [as_tensor("cartesian_prod", x) for x in tensors]
    if any(x.ndim > 1 for x in given):
        raise ValueError(f"cartesian_prod: one axis at most, not shapes {[x.shape for x in given]}")
    if len(given) == 1:
        return given[0]
    return stack(*(x.reshape(-1) for x in meshgrid(*given, indexing="ij")), axis=-1)


@names_itself
def combinations(x: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor:
    """All choices of r elements of x (n,), in its order, a row for each; `with_replacement` repeats elements."""
    chosen = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    x = as_tensor("combinations", x)
    return x[np.array(list(chosen(range(len(x)), r)), int).reshape(-1, r)]


# --- padding and windows ------------------------------------------------------------------------------

PAD_MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


@implements(np.pad)
@whole
def numpy_pad(array: Array, pad_width: Any, mode: str = "constant", *, constant_values: Any = 0) -> Array:
    """An array made longer at both ends of its axes: by a constant, by its edge, mirrored, or from its other end.

    The width is one number, (before, after), or such a pair for each axis, or for some of them in a dict.
    """
    if isinstance(pad_width, dict):
        named = {normalize_axis_index(axis, array.ndim, "pad"): pair for axis, pair in pad_width.items()}
        pad_width = [np.broadcast_to(named.get(i, 0), 2) for i in range(array.ndim)]
    pairs = np.broadcast_to(pad_width, (array.ndim, 2))
    if pairs.size and (pairs.dtype.kind not in "iu" or pairs.min() < 0):
        raise ValueError(f"pad: the widths are whole numbers from 0 on, not {pad_width!r}")
    if mode == "constant":
        inside = tuple(
            slice(before, before + n) for (before, _), n in zip(pairs.tolist(), array.shape, strict=True)
        )
        shape = tuple(
            n + before + after for (before, after), n in zip(pairs.tolist(), array.shape, strict=True)
        )
        padded = zeros_at(array, index=inside, shape=shape)
        if not (np.any(constant_values) and array.ndim):
            return padded
        frame = np.pad(np.zeros(array.shape, array.dtype), pairs, constant_values=constant_values)
        return padded + frame
    if mode not in ("edge", "reflect", "symmetric", "wrap"):
        raise ValueError(f"pad: the mode is constant, edge, reflect, symmetric or wrap, not {mode!r}")
    for axis, pair in enumerate(pairs):  # NumPy pads the numbers of the places, axis by axis
        if pair.any():
            places = np.pad(np.arange(array.shape[axis]), pair, mode)  # type: ignore[call-overload]
            array = array[along(axis, places)]
    return array


@names_itself
def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """x made longer, or shorter where a number is negative, at both ends of its last axes.

    Parameters
    ----------
    input : Tensor
        Any shape.
    pad : sequence of int
        How many before and after, of the last axis, then of the one before it, and so on.
    mode : {"constant", "reflect", "replicate", "circular"}
        What stands there: `value` (0 unless told), the elements mirrored at the edge, the edge, or the other end.
    """
    x = as_tensor("pad", input)
    if mode not in PAD_MODES:
        raise ValueError(f"pad: the mode is one of {', '.join(PAD_MODES)}, not {mode!r}")
    if len(pad) % 2 or len(pad) > 2 * x.ndim:
        raise ValueError(
            f"pad: {len(pad)} numbers for an array of {x.ndim} axes; a pair for each of the last ones"
        )
    pairs = [(0, 0)] * (x.ndim - len(pad) // 2) + list(zip(pad[0::2], pad[1::2], strict=True))[::-1]
    settings = {"constant_values": value or 0} if mode == "constant" else {}
    widths = [(max(before, 0), max(after, 0)) for before, after in pairs]
    if mode == "circular":
        x = x[kept(pairs, x.shape)]  # the other end is that of what is left
    padded: Tensor = numpy_pad(x, widths or 0, PAD_MODES[mode], **settings)
    return padded if mode == "circular" else padded[kept(pairs, padded.shape)]


def kept(pairs: Sequence[tuple[int, int]], shape: tuple[int, ...]) -> tuple[slice, ...]:
    """What is left where negative numbers before and after say how many elements go."""
    return tuple(slice(max(-a, 0), n - max(-b, 0)) for (a, b), n in zip(pairs, shape, strict=True))


@implements(np.lib.stride_tricks.sliding_window_view)
def sliding_window_view(
    x: Array, window_shape: int | Sequence[int], axis: int | Sequence[int] | None = None
) -> Array:
    """All windows of a shape along axes, all of them unless told: the axes of the window come last.

    Here it is a copy: an element that stands in several windows adds up their gradients.
    """
    lengths = np.atleast_1d(window_shape).tolist()
    axes = range(x.ndim) if axis is None else normalize_axis_tuple(axis, x.ndim, "axis", allow_duplicate=True)
    if len(lengths) != len(axes):
        raise ValueError(f"sliding_window_view: {len(lengths)} lengths of a window for {len(axes)} axes")
    for one, length in zip(axes, lengths, strict=True):
        x = unfold_axis(x, one, length, 1)
    return x


@torch_named
def as_strided(x: Tensor, size: Sequence[int], stride: Sequence[int], storage_offset: int = 0) -> Tensor:
    """The elements that stand so far apart, counted in elements of x row by row; a copy here."""
    x = as_tensor("as_strided", x)
    steps = [np.arange(n) * by for n, by in zip(size, stride, strict=True)]
    places = sum(np.ix_(*steps), np.full((1,) * len(steps), storage_offset))
    if places.size and not 0 <= places.min() <= places.max() < x.size:
        raise ValueError(f"as_strided: places {places.min()} to {places.max()} of {x.size} elements")
    return x.reshape(-1)[places]


@torch_named
def unfold_axis(x: Tensor, axis: int, size: int, step: int) -> Tensor:
    """The windows of a length along an axis, so many steps apart: their elements are a new last axis.

    It is the method ``t.unfold(axis, size, step)``.
    """
    x = as_tensor("unfold_axis", x)
    axis = normalize_axis_index(axis, x.ndim, "unfold_axis")
    if not 1 <= size <= x.shape[axis] or step < 1:
        raise ValueError(
            f"unfold_axis: windows of {size}, {step} apart, along an axis of length {x.shape[axis]}"
        )
    starts = x.shape[axis] - size + 1
    return stack(*(x[along(axis, slice(i, starts + i, step))] for i in range(size)), axis=-1)


# --- triangles and diagonals --------------------------------------------------------------------------


@implements(np.tril)
def tril(m: Array, k: int = 0) -> Array:
    """Matrices with zeros above the k-th diagonal."""
    return np.where(lower(m.shape, k), m, np.zeros((), m.dtype))


@implements(np.triu)
def triu(m: Array, k: int = 0) -> Array:
    """Matrices with zeros below the k-th diagonal."""
    return np.where(lower(m.shape, k - 1), np.zeros((), m.dtype), m)


def lower(shape: tuple[int, ...], k: int) -> np.ndarray:
    """Which elements of matrices stand on the k-th diagonal, or below it; a vector is the row of a square one."""
    if not shape:
        raise ValueError("a number has no triangle")
    return np.tri(shape[-2] if len(shape) > 1 else shape[0], shape[-1], k, bool)


def places_of_diagonal(shape: tuple[int, ...], offset: int) -> tuple[Any, ...]:
    """The index of a diagonal of the last two axes, counted to the right of the main one."""
    rows, columns = shape[-2:]
    n = max(0, min(rows + min(offset, 0), columns - max(offset, 0)))
    return ..., np.arange(n) + max(-offset, 0), np.arange(n) + max(offset, 0)


@implements(np.diagonal)
def diagonal(a: Array, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Array:
    """The diagonal of two axes, as a new last axis."""
    a = np.moveaxis(a, (axis1, axis2), (-2, -1))
    return a[places_of_diagonal(a.shape, offset)]


@implements(np.diag)
def diag(v: Array, k: int = 0) -> Array:
    """The k-th diagonal of a matrix; or the matrix with this diagonal, and zeros elsewhere."""
    if v.ndim not in (1, 2):
        raise ValueError(f"diag: a vector or a matrix, not shape {v.shape}")
    return diag_embed(v, k) if v.ndim == 1 else np.diagonal(v, k)


@implements(np.diagflat)
def diagflat(v: Array, k: int = 0) -> Array:
    """The matrix with the elements as its k-th diagonal, and zeros elsewhere."""
    return diag_embed(reshape(v, shape=-1), k)


@torch_named
def diag_embed(x: Tensor, offset: int = 0, axis1: int = -2, axis2: int = -1) -> Tensor:
    """Matrices with the last axis of x as a diagonal, and zeros elsewhere; two axes tell where they are."""
    x = as_tensor("diag_embed", x)
    n = x.shape[-1] + abs(offset)
    square = zeros_at(x, index=places_of_diagonal((n, n), offset), shape=(*x.shape[:-1], n, n))
    placed: Tensor = moveaxis(square, (-2, -1), (axis1, axis2))
    return placed


@implements(np.trace)
def trace(a: Array, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Array:
    """The sum of the diagonal of two axes."""
    return np.sum(np.diagonal(a, offset, axis1, axis2), axis=-1)
