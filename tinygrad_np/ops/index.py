"""Indexing: slices, arrays of indices, masks; and gathering along an axis.

The gradient of ``x[index]`` is zero everywhere else, so the rule sends back only its values and where they
go, a `SparseGrad`: the slices of a sequence of a thousand steps are written into one buffer.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from tinygrad_np.backward import SparseGrad
from tinygrad_np.operand import as_array
from tinygrad_np.tape import Array, Rule, implements, primitive


@primitive()
def getitem(x: Array, *, index: Any) -> Rule:
    """x[index], with every kind of index that NumPy has."""
    return x[index], (lambda g: SparseGrad(g, index),)


@primitive()
def scatter(values: Array, *, index: Any, shape: tuple[int, ...]) -> Rule:
    """The reverse of indexing: zeros of this shape, with values added at index."""
    vjps = (lambda g: g[index],)
    if not isinstance(values, np.ndarray):  # run again on a Tensor, which cannot be added into an array
        return scatter(values, index=index, shape=shape), vjps
    out = np.zeros(shape, values.dtype)
    SparseGrad(values, index).add_into(out)
    return out, vjps


@implements(np.take)
def take(a: Array, indices: Any, axis: int | None = None) -> Array:
    """The elements at these indices along an axis, or of the flattened array."""
    indices = as_array(indices)
    if indices.dtype.kind == "b":
        indices = indices.astype(np.intp)  # here False and True are the numbers 0 and 1, and no mask
    if axis is None:
        return np.reshape(a, -1)[indices]
    return a[(*(slice(None),) * normalize_axis_index(axis, a.ndim, "take"), indices)]


@implements(np.take_along_axis)
def take_along_axis(arr: Array, indices: Array, axis: int | None = -1) -> Array:
    """For each place, the element along an axis that `indices` names there; PyTorch's ``gather``."""
    indices = as_array(indices)
    if indices.dtype.kind not in "iu" and indices.size:
        raise IndexError(f"take_along_axis: the indices are whole numbers, not {indices.dtype}")
    if axis is None:
        arr, axis = np.reshape(arr, -1), 0
    axis = normalize_axis_index(axis, arr.ndim, "take_along_axis")
    if indices.ndim != arr.ndim:
        raise ValueError(f"take_along_axis: indices of shape {indices.shape} for an array of {arr.shape}")
    # An open grid names every place; along the axis itself the indices take over.
    places: list[Any] = list(np.ogrid[tuple(slice(n) for n in arr.shape)])
    places[axis] = indices
    return arr[tuple(places)]
