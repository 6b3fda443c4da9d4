"""Indexing: slices, arrays of indices, masks; and writing at an index, into a new array.

The gradient of ``x[index]`` is zero everywhere else, so the rule sends back only its values and where they
go, a `SparseGrad`: the slices of a sequence of a thousand steps are written into one buffer.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_np.backward import SparseGrad
from tinygrad_np.tape import Array, Rule, primitive


@primitive()
def getitem(x: Array, *, index: Any, as_rows: bool = False) -> Rule:
    """x[index], with every kind of index that NumPy has.

    With `as_rows` the index is an array of rows, and their gradients stay a `RowGrad` where x is a leaf.
    """
    return x[index], (lambda g: SparseGrad(g, index, as_rows),)


@primitive()
def zeros_at(values: Array, *, index: Any, shape: tuple[int, ...]) -> Rule:
    """The reverse of indexing: zeros of this shape, with values added at index."""
    vjps = (lambda g: g[index],)
    if not isinstance(values, np.ndarray):  # run again on a Tensor, which cannot be added into an array
        return zeros_at(values, index=index, shape=shape), vjps
    out = np.zeros(shape, values.dtype)
    SparseGrad(values, index).add_into(out)
    return out, vjps


@primitive(selects=True)
def set_at(x: Array, values: Array, *, index: Any) -> Rule:
    """x with values written at index. Where the index repeats, the last one stays, and has the gradient."""

    def vjp_x(g: Array) -> Array:
        kept = np.ones(y.shape, bool)
        kept[index] = False
        return np.where(kept, g, 0)

    def vjp_values(g: Array) -> Array:
        part = g[index]
        if SparseGrad(part, index).is_plain():
            return part
        numbers = np.arange(part.size).reshape(part.shape)
        last = np.empty(y.shape, int)
        last[index] = numbers
        return np.where(last[index] == numbers, part, 0)

    if hasattr(x, "node") or hasattr(values, "node"):  # run again on Tensors
        y: Array = set_at(x, values, index=index)
    else:
        y = np.array(x)
        y[index] = values
    return y, (vjp_x, vjp_values)


@primitive(selects=True)
def extreme_at(x: Array, values: Array, *, index: Any, ufunc: np.ufunc) -> Rule:
    """x with the largest, or the smallest, of itself and all values that go to a place; ties share the gradient.

    `ufunc` is np.maximum or np.minimum; `values` has the shape of x[index]. Where one is NaN, so is the result.
    """
    if hasattr(x, "node") or hasattr(values, "node"):  # run again on Tensors
        y: Array = extreme_at(x, values, index=index, ufunc=ufunc)
    else:
        if not np.can_cast(np.result_type(values), np.result_type(x), "same_kind"):
            raise TypeError(f"values of {values.dtype} do not fit into a Tensor of {x.dtype}")
        y = np.array(x)
        ufunc.at(y, index, values)

    def vjp_x(g: Array) -> Array:
        mine, _, many = ties_at(x, values, y, index)
        return np.where(mine, g / many, 0)

    def vjp_values(g: Array) -> Array:
        _, theirs, many = ties_at(x, values, y, index)
        return np.where(theirs, (g / many)[index], 0)

    return y, (vjp_x, vjp_values)


def ties_at(x: Array, values: Array, y: Array, index: Any) -> tuple[Array, Array, Array]:
    """Which elements of x, and which values at index, are extreme as y is; and how many are, at each place."""
    mine, theirs = (x == y) | np.isnan(x), (values == y[index]) | np.isnan(values)  # if one is NaN, so is y
    many = mine.astype(int)
    np.add.at(many, index, theirs)
    return mine, theirs, many
