"""Taking elements and writing them: NumPy's functions, PyTorch's, and ``t.at[index]``, as JAX has it.

A Tensor is a value, so what writes gives a new one: ``t.at[index].set(v)``, and all of PyTorch's `scatter` and
`index_add` kind, which are made of it. Where an index names a place several times, the last value that is set
stays, and all that are added, multiplied or compared take part.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from tinygrad_np.errors import names_itself
from tinygrad_np.functional.common import as_tensor, check_indices
from tinygrad_np.functional.shapes import along, broadcast_arrays, moveaxis, places_of_diagonal
from tinygrad_np.operand import as_array
from tinygrad_np.ops.elementwise import cast, divide, multiply, where
from tinygrad_np.ops.index import extreme_at, set_at, zeros_at
from tinygrad_np.ops.shape import broadcast_to, concatenate, stack
from tinygrad_np.tape import Array, implements
from tinygrad_np.tensor import Tensor, without_tensors
from tinygrad_np.torch_names import FUNCTIONS, torch_named

__all__ = [
    "diagonal_scatter",
    "gather",
    "index_add",
    "index_copy",
    "index_fill",
    "index_put",
    "index_reduce",
    "index_select",
    "masked_scatter",
    "masked_select",
    "one_hot",
    "put",
    "scatter",
    "scatter_add",
    "scatter_reduce",
    "select_scatter",
    "slice_scatter",
    "take_along_dim",
]

# --- NumPy's functions --------------------------------------------------------------------------------


def in_range(indices: Any, length: int, mode: str) -> np.ndarray:
    """Indices as an array; where a mode says so, those beyond a length are wrapped around, or held at the ends."""
    array = as_array(without_tensors(indices))
    if mode not in ("raise", "wrap", "clip"):
        raise ValueError(f"the mode is raise, wrap or clip, not {mode!r}")
    if array.dtype.kind == "b":
        array = array.astype(np.intp)  # here False and True are the numbers 0 and 1, and no mask
    if mode == "raise" or not length:
        return array
    within: np.ndarray = array % length if mode == "wrap" else np.clip(array, 0, length - 1)
    return within


@implements(np.take)
def take(a: Array, indices: Any, axis: int | None = None, *, mode: str = "raise") -> Array:
    """The elements at these indices along an axis, or of the flattened array."""
    a, axis = (np.reshape(a, -1), 0) if axis is None else (a, normalize_axis_index(axis, a.ndim, "take"))
    return a[along(axis, in_range(indices, a.shape[axis], mode))]


def grid(indices: np.ndarray, axis: int, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """The index that names, for every place of a shape, the place that `indices` have there along an axis."""
    # An open grid names every place; along the axis itself the indices take over.
    places: list[Any] = list(np.ogrid[tuple(slice(n) for n in shape)])
    places[axis] = indices
    return tuple(places)


@implements(np.take_along_axis)
def take_along_axis(arr: Array, indices: Array, axis: int | None = -1) -> Array:
    """For each place, the element along an axis that `indices` names there; PyTorch's ``take_along_dim``."""
    indices = as_array(without_tensors(indices))
    if indices.dtype.kind not in "iu" and indices.size:
        raise IndexError(f"take_along_axis: the indices are whole numbers, not {indices.dtype}")
    if axis is None:
        arr, axis = np.reshape(arr, -1), 0
    axis = normalize_axis_index(axis, arr.ndim, "take_along_axis")
    if indices.ndim != arr.ndim:
        raise ValueError(f"take_along_axis: indices of shape {indices.shape} for an array of {arr.shape}")
    return arr[grid(indices, axis, arr.shape)]


@implements(np.choose)
def choose(a: Any, choices: Sequence[Array], *, mode: str = "raise") -> Array:
    """For each place, the element there of the array that `a` names."""
    chosen = in_range(a, len(choices), mode)
    if chosen.size and not 0 <= chosen.min() <= chosen.max() < len(choices):
        raise ValueError(f"choose: one of {len(choices)} arrays, and not {chosen.min()} to {chosen.max()}")
    number, *arrays = (
        broadcast_to(x, shape=np.broadcast_shapes(chosen.shape, *map(np.shape, choices)))
        for x in (chosen, *choices)
    )
    return take_along_axis(stack(*arrays), number.data[np.newaxis], 0)[0]


@implements(np.compress)
def compress(condition: Any, a: Array, axis: int | None = None) -> Array:
    """The elements along an axis, or of the flattened array, for which a condition is true."""
    condition = as_array(without_tensors(condition))
    if condition.ndim != 1:
        raise ValueError(f"compress: a condition has one axis, not shape {condition.shape}")
    return np.take(a, np.flatnonzero(condition), axis)


@implements(np.extract)
def extract(condition: Any, arr: Array) -> Array:
    """The elements, in one axis, for which a condition is true."""
    return np.reshape(arr, -1)[np.flatnonzero(as_array(without_tensors(condition)))]


@implements(np.delete)
def delete(arr: Array, obj: Any, axis: int | None = None) -> Array:
    """An array without what stands at these places along an axis; flattened first unless told."""
    arr, axis = (
        (np.reshape(arr, -1), 0) if axis is None else (arr, normalize_axis_index(axis, arr.ndim, "delete"))
    )
    return arr[along(axis, np.delete(np.arange(arr.shape[axis]), without_tensors(obj)))]


@implements(np.insert)
def insert(arr: Array, obj: Any, values: Array, axis: int | None = None) -> Array:
    """An array with values, in its dtype, put in before these places along an axis; flattened first unless told.

    NumPy puts in the numbers of the values; these say where each element goes.
    """
    arr, values = as_tensor("insert", arr), as_tensor("insert", values)
    old, new = (np.arange(x.size).reshape(x.shape) for x in (arr, values))
    places = np.insert(old, without_tensors(obj), new + arr.size, axis)
    return concatenate(arr, values.astype(arr.dtype), axis=None)[places].astype(arr.dtype)


# --- t.at[index] --------------------------------------------------------------------------------------


class At:
    """``t.at``: takes an index, as ``t[index]`` does."""

    __slots__ = ("x",)

    def __init__(self, x: Tensor):
        self.x = x

    def __getitem__(self, index: Any) -> Update:
        return Update(self.x, without_tensors(index))


class Update:
    """``t.at[index]``: each method gives a new Tensor, which differs from t at the index only.

    Values are broadcast to the shape of ``t[index]``, and take the dtype of t. Gradients flow to both.
    """

    __slots__ = ("index", "shape", "x")

    def __init__(self, x: Tensor, index: Any):
        self.x, self.index = x, index
        self.shape = x.detach()[index].shape

    def set(self, values: Any) -> Tensor:
        """With these values. Where the index repeats, the last one stays, and has the gradient."""
        return set_at(self.x, self.fit(values), index=self.index)

    def add(self, values: Any) -> Tensor:
        """With these values added, all of them where the index repeats."""
        return self.x + zeros_at(self.fit(values), index=self.index, shape=self.x.shape)

    def multiply(self, values: Any) -> Tensor:
        """Multiplied by these values, by all of them where the index repeats."""
        factors = self.fit(values).reshape(-1)
        flat = self.x.reshape(-1)
        places = np.arange(flat.size).reshape(self.x.shape)[self.index].reshape(-1)
        order = np.argsort(places, kind="stable")
        places, factors = places[order], factors[order]
        while (again := places[1:] == places[:-1]).any():  # neighbours of one place become one, in pairs
            numbers = np.arange(places.size)
            starts = np.maximum.accumulate(np.where(np.append(True, ~again), numbers, 0))
            left = np.flatnonzero((numbers - starts) % 2 == 0)
            paired = np.append(again, False)[left]
            factors = where(paired, factors[left] * factors[left + paired], factors[left])
            places = places[left]
        return set_at(flat, flat[places] * factors, index=places).reshape(self.x.shape)

    def max(self, values: Any) -> Tensor:
        """The larger of what is there and of all values that go there; equal ones share the gradient evenly."""
        return extreme_at(self.x, self.fit(values), index=self.index, ufunc=np.maximum)

    def min(self, values: Any) -> Tensor:
        """The smaller of what is there and of all values that go there; equal ones share the gradient evenly."""
        return extreme_at(self.x, self.fit(values), index=self.index, ufunc=np.minimum)

    def fit(self, values: Any) -> Tensor:
        """Values in the dtype of the Tensor and the shape of the index."""
        tensor, dtype = as_tensor("at", values), self.x.dtype
        given = values if isinstance(values, bool | int | float) else tensor.dtype
        if not np.can_cast(np.result_type(dtype, given), dtype, "same_kind"):
            raise TypeError(
                f"at: values of {tensor.dtype} do not fit into a Tensor of {dtype}; use .astype on one"
            )
        if tensor.dtype != dtype:
            tensor = cast(tensor, dtype=dtype)
        return tensor if tensor.shape == self.shape else broadcast_to(tensor, shape=self.shape)


FUNCTIONS["at"] = At


# --- PyTorch's functions: taking ----------------------------------------------------------------------


def whole_numbers(name: str, index: Any) -> np.ndarray:
    """Indices as an array of whole numbers."""
    array = as_array(index.data if isinstance(index, Tensor) else index, name)
    if array.dtype.kind not in "iu" and array.size:
        raise IndexError(f"{name} takes whole numbers for indices, not {array.dtype}")
    return array.astype(np.intp)


def places_along(name: str, shape: tuple[int, ...], axis: int, index: np.ndarray) -> tuple[Any, ...]:
    """The places in an array of a shape that `index`, which may be shorter along other axes, names along one."""
    axis = normalize_axis_index(axis, len(shape), name)
    others = [m <= n for i, (m, n) in enumerate(zip(index.shape, shape, strict=False)) if i != axis]
    if index.ndim != len(shape) or not all(others):
        raise ValueError(f"{name}: indices of shape {index.shape} for an array of {shape}")
    return grid(index, axis, index.shape)


@torch_named
def gather(x: Tensor, axis: int, index: Any, *, sparse_grad: bool = False) -> Tensor:
    """For each place of `index`, which may be shorter than x, the element that it names along an axis."""
    x, index = as_tensor("gather", x), whole_numbers("gather", index)
    if not x.ndim or not index.size:
        return x.reshape(-1)[index]
    return x[places_along("gather", x.shape, axis, index)]


@torch_named
def take_along_dim(x: Tensor, indices: Any, axis: int | None = None) -> Tensor:
    """For each place, the element along an axis that `indices` names there; ``np.take_along_axis``."""
    indices = whole_numbers("take_along_dim", indices)
    taken: Tensor = take_along_axis(
        as_tensor("take_along_dim", x), indices.reshape(-1) if axis is None else indices, axis
    )
    return taken


@torch_named
def index_select(x: Tensor, axis: int, index: Any) -> Tensor:
    """What stands at these places along an axis."""
    x, index = as_tensor("index_select", x), whole_numbers("index_select", index)
    if not x.ndim:
        return x.reshape(-1)[index].reshape(x.shape if index.size == 1 else index.shape)
    return x[along(normalize_axis_index(axis, x.ndim, "index_select"), index)]


def with_mask(name: str, x: Any, mask: Any) -> tuple[Tensor, np.ndarray]:
    """x and a mask, broadcast to one shape."""
    whole, places = broadcast_arrays(as_tensor(name, x), as_tensor(name, mask))
    if places.dtype != bool:
        raise TypeError(f"{name}: a mask holds bools, not {places.dtype}")
    return whole, places.data


@torch_named
def masked_select(x: Tensor, mask: Any) -> Tensor:
    """The elements where a mask is true, in one axis, after x and the mask were broadcast."""
    whole, places = with_mask("masked_select", x, mask)
    return whole[places]


@names_itself
def one_hot(indices: Any, num_classes: int = -1) -> np.ndarray:
    """Whole numbers as rows of 0, with a 1 at the place of each: (...) to (..., num_classes), without a gradient.

    Unless told there are as many classes as the largest number needs.
    """
    array = check_indices("one_hot", indices, 2**63 - 1 if num_classes == -1 else num_classes)
    if num_classes == -1 and not array.size:
        raise ValueError("one_hot of no numbers needs num_classes")
    classes = int(array.max()) + 1 if num_classes == -1 else num_classes
    rows: np.ndarray = np.equal(array[..., np.newaxis], np.arange(classes)).astype(np.int64)
    return rows


# --- PyTorch's functions: writing ---------------------------------------------------------------------


def written_along(
    name: str, x: Tensor, axis: int, index: Any, values: Any, write: Callable[[Update, Any], Tensor]
) -> Tensor:
    """x with values written at the places that `index` names along an axis, as many as it has."""
    x, index = as_tensor(name, x), whole_numbers(name, index)
    values = as_tensor(name, values)
    if not x.ndim:
        return written_along(name, x.reshape(1), 0, index.reshape(-1), values.reshape(-1), write).reshape(())
    if not index.size:
        return x
    if values.ndim:
        values = values[tuple(slice(n) for n in index.shape)]
    return write(Update(x, places_along(name, x.shape, axis, index)), values)


def written_at(
    name: str, x: Tensor, axis: int, index: Any, values: Any, write: Callable[[Update, Any], Tensor]
) -> Tensor:
    """x with values written at these places along an axis."""
    x, index = as_tensor(name, x), whole_numbers(name, index)
    if not x.ndim:
        return written_at(name, x.reshape(1), 0, index, values, write).reshape(())
    return write(Update(x, along(normalize_axis_index(axis, x.ndim, name), index)), values)


def reducing(name: str, reduce: str, include_self: bool) -> Callable[[Update, Any], Tensor]:
    """How values are written that are reduced with what is there, or with one another only."""
    if reduce not in ("sum", "prod", "mean", "amax", "amin"):
        raise ValueError(f"{name}: reduce is sum, prod, mean, amax or amin, not {reduce!r}")

    def write(update: Update, values: Any) -> Tensor:
        x, index = update.x, update.index
        if not include_self:
            whole = x.dtype.kind in "iu"
            lowest, highest = (
                (np.iinfo(x.dtype).min, np.iinfo(x.dtype).max) if whole else (-math.inf, math.inf)
            )
            update = Update(update.set({"prod": 1, "amax": lowest, "amin": highest}.get(reduce, 0)), index)
        if reduce in ("sum", "mean"):
            total = update.add(values)
            if reduce == "sum":
                return total
            ones = np.ones(update.shape)
            many = include_self + zeros_at(ones, index=index, shape=x.shape).data
            return divide(total, np.maximum(many, 1).astype(x.dtype))
        if reduce == "prod":
            return update.multiply(values)
        return update.max(values) if reduce == "amax" else update.min(values)

    return write


@torch_named
def scatter(
    x: Tensor, axis: int, index: Any, src: Any = None, *, value: Any = None, reduce: str | None = None
) -> Tensor:
    """x with values written at the places that `index` names along an axis; `reduce` may be "add" or "multiply"."""
    writes = {None: Update.set, "add": Update.add, "multiply": Update.multiply}
    if reduce not in writes:
        raise ValueError(f"scatter: reduce is add or multiply, not {reduce!r}")
    return written_along("scatter", x, axis, index, value if src is None else src, writes[reduce])


@torch_named
def scatter_add(x: Tensor, axis: int, index: Any, src: Any) -> Tensor:
    """x with values added at the places that `index` names along an axis."""
    return written_along("scatter_add", x, axis, index, src, Update.add)


@torch_named
def scatter_reduce(
    x: Tensor, axis: int, index: Any, src: Any, reduce: str, *, include_self: bool = True
) -> Tensor:
    """x with values reduced into the places that `index` names along an axis: sum, prod, mean, amax or amin.

    Without `include_self` what is there takes no part.
    """
    return written_along(
        "scatter_reduce", x, axis, index, src, reducing("scatter_reduce", reduce, include_self)
    )


@torch_named
def index_add(x: Tensor, axis: int, index: Any, source: Any, *, alpha: float = 1) -> Tensor:
    """x with `alpha` times the parts of `source` added at these places along an axis."""
    return written_at(
        "index_add", x, axis, index, multiply(as_tensor("index_add", source), alpha), Update.add
    )


@torch_named
def index_copy(x: Tensor, axis: int, index: Any, source: Any) -> Tensor:
    """x with the parts of `source` at these places along an axis."""
    return written_at("index_copy", x, axis, index, source, Update.set)


@torch_named
def index_fill(x: Tensor, axis: int, index: Any, value: Any) -> Tensor:
    """x with one number at these places along an axis."""
    return written_at("index_fill", x, axis, index, value, Update.set)


@torch_named
def index_reduce(
    x: Tensor, axis: int, index: Any, source: Any, reduce: str, *, include_self: bool = True
) -> Tensor:
    """x with the parts of `source` reduced into these places along an axis; see `scatter_reduce`."""
    return written_at("index_reduce", x, axis, index, source, reducing("index_reduce", reduce, include_self))


@torch_named
def index_put(x: Tensor, indices: Sequence[Any], values: Any, accumulate: bool = False) -> Tensor:
    """x with values at an index, one array for each axis; with `accumulate` they are added."""
    update = Update(as_tensor("index_put", x), without_tensors(tuple(indices)))
    return update.add(values) if accumulate else update.set(values)


@torch_named
def put(x: Tensor, index: Any, source: Any, accumulate: bool = False) -> Tensor:
    """x with values at places of the flattened array; with `accumulate` they are added."""
    x, index = as_tensor("put", x), whole_numbers("put", index)
    flat = index_put(x.reshape(-1), (index,), as_tensor("put", source).reshape(index.shape), accumulate)
    return flat.reshape(x.shape)


@torch_named
def masked_scatter(x: Tensor, mask: Any, source: Any) -> Tensor:
    """x with the elements of `source`, in their order, where a mask is true, after both were broadcast."""
    whole, places = with_mask("masked_scatter", x, mask)
    values = as_tensor("masked_scatter", source).reshape(-1)
    if values.size < np.count_nonzero(places):
        raise ValueError(f"masked_scatter: {values.size} elements for {np.count_nonzero(places)} places")
    return Update(whole, places).set(values[: np.count_nonzero(places)])


@torch_named
def select_scatter(x: Tensor, src: Any, axis: int, index: int) -> Tensor:
    """x with other values at a place along an axis."""
    x = as_tensor("select_scatter", x)
    return Update(x, along(normalize_axis_index(axis, x.ndim, "select_scatter"), index)).set(src)


@torch_named
def slice_scatter(
    x: Tensor, src: Any, axis: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Tensor:
    """x with other values in a slice along an axis."""
    x = as_tensor("slice_scatter", x)
    return Update(x, along(normalize_axis_index(axis, x.ndim, "slice_scatter"), slice(start, end, step))).set(
        src
    )


@torch_named
def diagonal_scatter(x: Tensor, src: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """x with other values in the diagonal of two axes."""
    last = moveaxis(as_tensor("diagonal_scatter", x), (axis1, axis2), (-2, -1))
    written = Update(last, places_of_diagonal(last.shape, offset)).set(src)
    moved: Tensor = moveaxis(written, (-2, -1), (axis1, axis2))
    return moved
