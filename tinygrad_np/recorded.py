"""Arrays that remember the call that made them, where a forward pass is recorded to be exported.

In the mode RECORD the tape keeps each call of a primitive. What a model computes beside Tensors, of indices,
lengths and masks, and with comparisons, is kept too: there such arrays are of the class here, which has a node as a
Tensor has. What they compute goes through the primitives wherever these give just what NumPy gives.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_np import tape
from tinygrad_np.grad_mode import MODE, RECORD
from tinygrad_np.tape import NUMPY, PRIMITIVES, Node

if TYPE_CHECKING:
    from tinygrad_np.tensor import Tensor  # which hands its class down, as it does to the tape


class RecordedArray(np.ndarray):
    """An array with a node; a view of it, or a copy, that NumPy makes by itself has none."""

    node: Node | None

    def __array_finalize__(self, obj: Any) -> None:
        self.node = None

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if any(isinstance(x, Tensor) for x in inputs):
            return NotImplemented
        if "out" in kwargs and any(isinstance(x, RecordedArray) for x in kwargs["out"]):
            raise TypeError(
                f"{ufunc.__name__} writes into an array whose calls are recorded: use its result instead"
            )
        function = ufunc if method == "__call__" else getattr(ufunc, method)
        return self.__array_function__(function, (), inputs, kwargs)

    def __array_function__(self, function: Callable[..., Any], types: Any, args: Any, kwargs: Any) -> Any:
        if any(issubclass(kind, Tensor) for kind in types):
            return NotImplemented
        return remember(function, args, kwargs, function(*without_nodes(args), **without_nodes(kwargs)))

    def __getitem__(self, key: Any) -> Any:
        return remember(PRIMITIVES["getitem"], (self,), {"index": key}, np.asarray(self)[without_nodes(key)])

    def __setitem__(self, key: Any, value: Any) -> None:
        raise TypeError(
            "an array is written to whose calls are recorded: make a new one, such as np.where does"
        )

    def astype(self, dtype: Any, *args: Any, **kwargs: Any) -> Any:
        plain = np.asarray(self).astype(dtype, *args, **kwargs)
        return remember(PRIMITIVES["cast"], (self,), {"dtype": plain.dtype}, plain)

    def reshape(self, *shape: Any, **kwargs: Any) -> Any:
        plain = np.asarray(self).reshape(*shape, **kwargs)
        return remember(PRIMITIVES["reshape"], (self,), {"shape": plain.shape}, plain)

    def transpose(self, *axes: Any) -> Any:
        order = axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else axes or None
        return np.transpose(self, order)

    T = property(np.transpose)
    mT = property(np.matrix_transpose)


def method(function: Callable[..., Any]) -> Callable[..., Any]:
    """The method that calls a function of NumPy with its array."""
    return lambda self, *args, **kwargs: function(self, *args, **kwargs)


for name in (
    *("all", "any", "argmax", "argmin", "argsort", "clip", "copy", "cumprod", "cumsum", "max", "mean", "min"),
    *("prod", "ravel", "repeat", "round", "squeeze", "std", "sum", "swapaxes", "take", "var"),
):
    setattr(RecordedArray, name, method(getattr(np, name)))
RecordedArray.flatten = RecordedArray.ravel  # type: ignore[method-assign]


def remember(function: Callable[..., Any], args: Any, kwargs: dict[str, Any], result: Any) -> Any:
    """The result of a call of NumPy, in arrays that remember it where calls are recorded."""
    now = MODE.get()
    if not now & RECORD or not isinstance(result, np.ndarray | np.generic | tuple | list):
        return result
    through = through_primitives(function, args, kwargs, result)
    if through is not None:
        return through
    if isinstance(result, tuple | list):
        return result  # of several arrays, which remember nothing
    out = np.asarray(result)
    return with_node(
        out, Node(out.shape, out.dtype, (None,), None, tape.kept(now, function, args, kwargs, out))
    )


def through_primitives(function: Callable[..., Any], args: Any, kwargs: dict[str, Any], result: Any) -> Any:
    """The same result as Tensors make it, as recorded arrays; None where they do not make it."""
    answer = function if function in PRIMITIVES.values() else NUMPY.get(function)
    if answer is None:
        return None
    try:
        made = answer(*as_tensors(args), **as_tensors(kwargs))
    except Exception:  # what Tensors refuse is kept as NumPy's own call
        return None
    several = isinstance(result, tuple | list)
    pairs = list(zip(made, result, strict=True)) if several else [(made, result)]
    if not all(isinstance(ours, Tensor) and is_same(ours.data, np.asarray(other)) for ours, other in pairs):
        return None
    recorded = [ours.data if ours.node is None else with_node(ours.data, ours.node) for ours, _ in pairs]
    if not several:
        return recorded[0]
    return type(result)(*recorded) if hasattr(result, "_fields") else type(result)(recorded)  # a named tuple


def is_same(x: np.ndarray, y: np.ndarray) -> bool:
    """Whether two arrays have one dtype, one shape, and the same numbers."""
    return x.dtype == y.dtype and np.array_equal(x, y, equal_nan=x.dtype.kind == "f")


def with_node(array: np.ndarray, node: Node) -> RecordedArray:
    """A view of an array, with a node."""
    recorded = array.view(RecordedArray)
    recorded.node = node
    return recorded


def as_tensors(x: Any) -> Any:
    """Recorded arrays as Tensors with their nodes, in tuples, lists and dicts too."""
    if isinstance(x, RecordedArray):
        return Tensor._of(np.asarray(x), x.node)
    return each(as_tensors, x)


def without_nodes(x: Any) -> Any:
    """Recorded arrays as plain ones, in tuples, lists and dicts too."""
    return np.asarray(x) if isinstance(x, RecordedArray) else each(without_nodes, x)


def each(function: Callable[[Any], Any], x: Any) -> Any:
    """A function of what is in a tuple, list or dict; anything else as it is."""
    if type(x) is dict:
        return {key: function(value) for key, value in x.items()}
    if isinstance(x, slice):
        return slice(*map(function, (x.start, x.stop, x.step)))
    return type(x)(map(function, x)) if type(x) in (tuple, list) else x
