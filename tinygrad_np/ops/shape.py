"""Primitives that move elements and change none: reshape, transpose, broadcast, join, and split."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from tinygrad_np.tape import Array, MultiRule, Rule, implements, primitive


@primitive()
def reshape(x: Array, *, shape: int | tuple[int, ...]) -> Rule:
    """The same elements in another shape; one length may be -1."""
    old = x.shape
    return np.reshape(x, shape), (lambda g: np.reshape(g, old),)


@primitive(np.transpose)
def transpose(x: Array, *, axes: Sequence[int] | None = None) -> Rule:
    """The axes in another order, reversed unless told."""
    if axes is not None and len(axes) != x.ndim:
        raise ValueError(f"{len(axes)} axes for {x.ndim}: name all of them, or exchange two with np.swapaxes")
    y = np.transpose(x, axes)  # refuses what is no axis
    back = None if axes is None else tuple(int(i) for i in np.argsort([a % x.ndim for a in axes]))
    return y, (lambda g: np.transpose(g, back),)


@primitive(np.expand_dims)
def expand_dims(x: Array, *, axis: int | tuple[int, ...]) -> Rule:
    """x with new axes of length 1 at these places of the result."""
    old = x.shape
    return np.expand_dims(x, axis), (lambda g: np.reshape(g, old),)


@primitive(np.squeeze)
def squeeze(x: Array, *, axis: int | tuple[int, ...] | None = None) -> Rule:
    """x without its axes of length 1, or without the named ones."""
    old = x.shape
    return np.squeeze(x, axis), (lambda g: np.reshape(g, old),)


@primitive(np.broadcast_to)
def broadcast_to(x: Array, *, shape: int | tuple[int, ...]) -> Rule:
    """x repeated along axes of length 1 until it has this shape. The tape sums the gradient back."""
    return np.broadcast_to(x, shape), (lambda g: g,)


@primitive()
def concatenate(*xs: Array, axis: int | None = 0) -> Rule:
    """Arrays joined along an axis that they have; flattened first when axis is None."""
    shapes = [np.shape(x) for x in xs]

    def vjp(g: Array) -> list[Array]:
        if axis is None:
            ends = np.cumsum([np.prod(shape, dtype=int) for shape in shapes])
            return [np.reshape(part, s) for part, s in zip(np.split(g, ends[:-1]), shapes, strict=True)]
        return np.split(g, np.cumsum([shape[axis] for shape in shapes])[:-1], axis)

    return np.concatenate(xs, axis), vjp


@primitive()
def stack(*xs: Array, axis: int = 0) -> Rule:
    """Arrays of one shape joined along a new axis."""
    return np.stack(xs, axis), lambda g: list(np.moveaxis(g, axis, 0))


@primitive()
def split_at(x: Array, *, ends: Sequence[int], axis: int) -> MultiRule:
    """The pieces of x along an axis from one end to the next; the ends rise from 0 to the axis's length."""
    shape, dtype, before = x.shape, x.dtype, (slice(None),) * axis
    if len(ends) < 2 or not 0 <= axis < x.ndim:
        raise ValueError(f"the ends are two at least, of one piece, and the axis is from 0 to {x.ndim - 1}")

    def vjp(gs: list[Array | None]) -> list[Array]:
        pieces = [
            np.zeros((*shape[:axis], b - a, *shape[axis + 1 :]), dtype) if g is None else g
            for g, (a, b) in zip(gs, pairwise(ends), strict=True)
        ]
        return [np.concatenate(pieces, axis)]

    return tuple([x[(*before, slice(a, b))] for a, b in pairwise(ends)]), vjp


@implements(np.concatenate)
def numpy_concatenate(arrays: Sequence[Array], axis: int | None = 0) -> Array:
    """`concatenate` of a sequence, as NumPy takes it."""
    return concatenate(*arrays, axis=axis)


@implements(np.stack)
def numpy_stack(arrays: Sequence[Array], axis: int = 0) -> Array:
    """`stack` of a sequence, as NumPy takes it."""
    return stack(*arrays, axis=axis)


MOST_EMPTY_PARTS = 2**20  # of an array that has no elements along the axis


@implements(np.split)
def split(ary: Array, indices_or_sections: int | Sequence[int], axis: int = 0) -> list[Array]:
    """An array cut along an axis: into so many equal parts, or before each of these places, in rising order."""
    axis = normalize_axis_index(axis, ary.ndim, "split")
    length = ary.shape[axis]
    if isinstance(indices_or_sections, int | np.integer):
        sections = int(indices_or_sections)
        if sections < 1 or length % sections or sections > max(length, MOST_EMPTY_PARTS):
            raise ValueError(f"split: axis {axis} of {list(ary.shape)} is not {sections} equal parts")
        ends = [i * (length // sections) for i in range(sections + 1)]
    else:
        if np.asarray(indices_or_sections).dtype.kind not in "iu" and len(indices_or_sections):
            raise TypeError(f"split: the places {list(indices_or_sections)} are not all whole numbers")
        ends = [0, *(slice(place).indices(length)[1] for place in indices_or_sections), length]
        if ends != sorted(ends):
            raise ValueError(f"split: the places {list(indices_or_sections)} do not rise; sort them")
    return list(split_at(ary, ends=ends, axis=axis))
