"""How moving elements, and reducing axes, is said in ONNX. Shapes that depend on the inputs' sizes stay open."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from tinygrad_np.onnx.elementwise import promoted, translates
from tinygrad_np.onnx.graph import Graph, Operand
from tinygrad_np.onnx.recording import Value, Varying, number

FIRST, LAST = -(2**63), 2**63 - 1  # an end of a slice that is none


# --- shapes -------------------------------------------------------------------------------------------


@translates()
def reshape(g: Graph, x: Value, *, shape: Any) -> Any:
    return reshaped(g, x, x.shape, g.out.shape, x)


def reshaped(g: Graph, x: Operand, old: Sequence[Any], new: Sequence[Any], *near: Value) -> Any:
    """x in a new shape, whose lengths that vary are taken from the old one where they stand there."""
    lengths: list[Any] = []
    for axis, n in enumerate(new):
        kept = isinstance(n, Varying) and axis < len(old) and old[axis] == n
        lengths.append(0 if kept else n)
    if sum(isinstance(n, Varying) for n in lengths) == 1:
        lengths = [-1 if isinstance(n, Varying) else n for n in lengths]
    return g.op("Reshape", x, g.shape(lengths, *near))


@translates()
def transpose(g: Graph, x: Value, *, axes: Sequence[int] | None = None) -> Any:
    order = range(x.ndim)[::-1] if axes is None else [axis % x.ndim for axis in axes]
    return g.op("Transpose", x, perm=list(order))


@translates()
def expand_dims(g: Graph, x: Value, *, axis: Any) -> Any:
    return g.op("Unsqueeze", x, g.axes(*(axis if isinstance(axis, tuple) else (axis,))))


@translates()
def squeeze(g: Graph, x: Value, *, axis: Any = None) -> Any:
    gone = [i for i, n in enumerate(x.shape) if n == 1] if axis is None else np.atleast_1d(axis).tolist()
    return g.op("Squeeze", x, g.axes(*gone)) if gone else g.op("Identity", x)


@translates()
def broadcast_to(g: Graph, x: Value, *, shape: Any) -> Any:
    return g.op("Expand", x, g.shape(g.out.shape, x))


@translates()
def concatenate(g: Graph, *xs: Value, axis: int | None = 0) -> Any:
    parts = promoted(g, *xs)
    if axis is None:
        parts, axis = [g.op("Reshape", part, g.axes(-1)) for part in parts], 0
    return g.op("Concat", *parts, axis=axis)


@translates()
def stack(g: Graph, *xs: Value, axis: int = 0) -> Any:
    return g.op("Concat", *[g.op("Unsqueeze", x, g.axes(axis)) for x in promoted(g, *xs)], axis=axis)


@translates()
def split_at(g: Graph, x: Value, *, ends: Sequence[Any], axis: int) -> Any:
    return tuple([cut(g, x, axis, a, b, 1, x) for a, b in pairwise(ends)])


@translates()
def numpy_pad(
    g: Graph, array: Value, pad_width: Any, mode: str = "constant", *, constant_values: Any = 0
) -> Any:
    modes = {"constant": "constant", "edge": "edge", "reflect": "reflect", "wrap": "wrap"}
    if mode not in modes:
        raise ValueError(f"{g.step.line}: ONNX has no mode {mode!r} of padding")
    if isinstance(pad_width, Value):
        pad_width = pad_width.arrays[0]
    pairs = np.broadcast_to(pad_width, (array.ndim, 2))
    fill = [np.asarray(constant_values, array.dtype)] if mode == "constant" else []
    return g.op("Pad", array, g.constant(pairs.T.reshape(-1).astype(np.int64)), *fill, mode=modes[mode])


def cut(g: Graph, x: Operand, axis: int, start: Any, stop: Any, step: int, *near: Value) -> Any:
    """A slice along one axis; its ends may be None, as Python's."""
    start = (0 if step > 0 else LAST) if start is None else start
    stop = (LAST if step > 0 else FIRST) if stop is None else stop
    return g.op("Slice", x, g.size(start, *near), g.size(stop, *near), g.axes(axis), g.axes(step))


# --- indexing -----------------------------------------------------------------------------------------


@translates()
def getitem(g: Graph, x: Value, *, index: Any, as_rows: bool = False) -> Any:
    """Slices first, then arrays of places and single places, then new axes."""
    parts = list(index) if isinstance(index, tuple) else [index]
    if any(isinstance(p, bool) or (isinstance(p, Value) and p.dtype == bool) for p in parts):
        return g.op("GatherND", x, places_of(g, parts))
    parts = [p.arrays[0].item() if isinstance(p, Value) and not p.ndim and not p.name else p for p in parts]
    named = sum(p is not None and p is not ... for p in parts)
    rest = [slice(None)] * (x.ndim - named)
    dots = next((i for i, p in enumerate(parts) if p is ...), len(parts))
    parts = [*parts[:dots], *rest, *parts[dots + 1 :]]

    y: Operand = x
    places: dict[int, Any] = {}  # axis of x -> a place, or an array of them
    axis = 0
    for part in parts:
        if part is None:
            continue
        if isinstance(part, slice):
            if (part.start, part.stop, part.step) != (None, None, None):
                y = cut(g, y, axis, part.start, part.stop, part.step or 1, x)
        else:
            places[axis] = part
        axis += 1

    several = any(isinstance(p, Value) and p.ndim for p in places.values())
    if not several:
        for axis in sorted(places, reverse=True):
            y = g.op("Gather", y, place(g, places[axis], x), axis=axis)
        new, at = [], 0
        for part in parts:
            if part is None:
                new.append(at)
            at += part is None or isinstance(part, slice)
        return g.op("Unsqueeze", y, g.axes(*new)) if new else y if isinstance(y, str) else g.op("Identity", y)
    return at_places(g, y, x, parts, places)


def places_of(g: Graph, parts: Sequence[Any]) -> Any:
    """Where a mask is true, (places, axes).

    Raises
    ------
    ValueError
        There is something else beside it.
    """
    if len(parts) != 1 or not isinstance(parts[0], Value):
        raise ValueError(f"{g.step.line}: a mask beside others in an index is not known here; use it alone")
    return g.op("Transpose", g.op("NonZero", parts[0]), perm=[1, 0])


@translates()
def set_at(g: Graph, x: Value, values: Value, *, index: Any) -> Any:
    parts = list(index) if isinstance(index, tuple) else [index]
    if any(not isinstance(p, Value) or p.dtype != bool for p in parts):
        raise ValueError(
            f"{g.step.line}: of what is written at an index, the places of a mask alone are known here"
        )
    return g.op("ScatterND", g.cast(x, g.out.dtype), places_of(g, parts), g.cast(values, g.out.dtype))


def place(g: Graph, p: Any, x: Value) -> Operand:
    """A place, or an array of them, as Gather takes it."""
    return g.cast(p, np.int64) if isinstance(p, Value) else g.op("Squeeze", g.size(p, x))


def at_places(g: Graph, y: Operand, x: Value, parts: Sequence[Any], places: dict[int, Any]) -> Any:
    """What stands at arrays of places, along one axis or several at once.

    The axes of these arrays stand where the axes stood that they index, if those are neighbours, and else first.
    """
    arrays = [p for p in places.values() if isinstance(p, Value)]
    width = max(p.ndim for p in arrays)
    kinds = ["new" if p is None else "kept" if isinstance(p, slice) else "place" for p in parts]
    first, last = kinds.index("place"), len(kinds) - 1 - kinds[::-1].index("place")
    neighbours = all(kind == "place" for kind in kinds[first : last + 1])
    before = kinds[:first].count("kept") if neighbours else 0
    if len(places) == 1:
        (axis,) = places
        y = g.op("Gather", y, g.cast(places[axis], np.int64), axis=axis)
        if not neighbours:
            raise AssertionError("one place is its own neighbour")
    else:
        kept = [axis for axis in range(x.ndim) if axis not in places]
        y = g.op("Transpose", y, perm=[*places, *kept])
        lengths = np.broadcast_shapes(*[p.arrays[0].shape for p in arrays])
        whole = [
            number(
                [np.broadcast_shapes(*[p.arrays[k].shape for p in arrays])[i] for k in range(len(x.arrays))]
            )
            for i in range(len(lengths))
        ]
        shape = g.shape(whole, x, *arrays)
        columns = [g.op("Expand", place(g, p, x), shape) for p in places.values()]
        indices = g.op("Concat", *[g.op("Unsqueeze", c, g.axes(-1)) for c in columns], axis=-1)
        y = g.op("GatherND", y, indices)
        if before:
            order = [*range(width, width + before), *range(width), *range(width + before, width + len(kept))]
            y = g.op("Transpose", y, perm=order)
    new, at, passed = [], 0 if neighbours else width, False
    for kind in kinds:
        if kind == "place":
            at += width if neighbours and not passed else 0
            passed = True
        else:
            if kind == "new":
                new.append(at)
            at += 1
    return g.op("Unsqueeze", y, g.axes(*new)) if new else y


@translates()
def zeros_at(g: Graph, values: Value, *, index: Any, shape: Any) -> Any:
    """Zeros with values added along axis 0."""
    places = index[0] if isinstance(index, tuple) and len(index) == 1 else index
    if not isinstance(places, Value) or places.dtype == bool or places.ndim != 1:
        raise ValueError(f"{g.step.line}: values are added at an index that cannot be said in ONNX here")
    return added_at(g, values, g.cast(places, np.int64), g.shape(g.out.shape, values, places), g.out.dtype)


def added_at(
    g: Graph, rows: Operand, places: Operand, shape: Operand, dtype: Any, reduction: str = "add"
) -> Any:
    """Rows added up, or the largest of them, at places along axis 0."""
    start = np.asarray([0 if reduction == "add" else -np.inf], dtype)
    base = g.op("ConstantOfShape", shape, value=g.onnx.numpy_helper.from_array(start))
    return g.op("ScatterND", base, g.op("Unsqueeze", places, g.axes(-1)), rows, reduction=reduction)


@translates("zeros_like", "ones_like")
def full_like(g: Graph, x: Value, *args: Any, **kwargs: Any) -> Any:
    fill = np.asarray([1 if g.step.function == "ones_like" else 0], g.out.dtype)
    return g.op("ConstantOfShape", g.op("Shape", x), value=g.onnx.numpy_helper.from_array(fill))


# --- reductions ---------------------------------------------------------------------------------------


def axes_of(x: Value, axis: Any) -> list[int]:
    """The axes that are reduced, from the front."""
    if axis is None:
        return list(range(x.ndim))
    return [a % max(x.ndim, 1) for a in (axis if isinstance(axis, tuple | list) else (axis,))]


def reduced(g: Graph, kind: str, x: Operand, axes: Sequence[int], keepdims: bool) -> Any:
    """A reduction over axes; over none it changes nothing."""
    return g.op(kind, x, g.axes(*axes), keepdims=int(keepdims)) if axes else g.op("Identity", x)


@translates("sum", "mean", "prod")
def reduction(g: Graph, x: Value, *, axis: Any = None, keepdims: bool = False) -> Any:
    kind = {"sum": "ReduceSum", "mean": "ReduceMean", "prod": "ReduceProd"}[g.step.function]
    return reduced(g, kind, g.cast(x, g.out.dtype), axes_of(x, axis), keepdims)


@translates("max", "min")
def extreme(g: Graph, x: Value, *, axis: Any = None, keepdims: bool = False) -> Any:
    kind = {"max": "ReduceMax", "min": "ReduceMin"}[g.step.function]
    y = g.cast(x, np.int32) if x.dtype == bool else x
    y = reduced(g, kind, y, axes_of(x, axis), keepdims)
    return g.cast(y, bool) if x.dtype == bool else y


@translates("all", "any")
def decided(g: Graph, a: Value, axis: Any = None, out: Any = None, keepdims: Any = False, **more: Any) -> Any:
    kind = {"all": "ReduceMin", "any": "ReduceMax"}[g.step.function]
    truth = g.cast(g.cast(a, bool), np.int32)
    return g.cast(reduced(g, kind, truth, axes_of(a, axis), keepdims is True), bool)


@translates()
def count_nonzero(g: Graph, a: Value, axis: Any = None, *, keepdims: bool = False) -> Any:
    return reduced(g, "ReduceSum", g.cast(g.cast(a, bool), np.int64), axes_of(a, axis), keepdims)


@translates("argmax", "argmin")
def place_of_extreme(g: Graph, a: Value, axis: Any = None, out: Any = None, *, keepdims: Any = False) -> Any:
    kind = {"argmax": "ArgMax", "argmin": "ArgMin"}[g.step.function]
    if axis is None:
        raise ValueError(f"{g.step.line}: {g.step.function} is told an axis, for ONNX to have it")
    return g.op(
        kind, g.cast(a, np.int32) if a.dtype == bool else a, axis=axis, keepdims=int(keepdims is True)
    )


def count(g: Graph, x: Value, axes: Sequence[int], dtype: Any) -> Operand:
    """How many elements are reduced to one, in a dtype."""
    lengths = zip(*[[array.shape[axis] for axis in axes] for array in x.arrays], strict=True)
    several = [math.prod(row) for row in zip(*lengths, strict=True)]
    return g.cast(g.op("Squeeze", g.size(number(several), x)), dtype)


@translates()
def var(
    g: Graph, x: Value, *, axis: Any = None, ddof: float = 0, keepdims: bool = False, correction: Any = None
) -> Any:
    axes, (y,) = axes_of(x, axis), promoted(g, x)
    away = g.op("Sub", y, reduced(g, "ReduceMean", y, axes, True))
    squares = reduced(g, "ReduceSumSquare", away, axes, keepdims)
    free = g.op(
        "Sub",
        count(g, x, axes, g.out.dtype),
        np.asarray(ddof if correction is None else correction, g.out.dtype),
    )
    return g.op("Div", squares, free)


@translates()
def standardize(g: Graph, x: Value, *, axis: Any = None, eps: float = 1e-5, center: bool = True) -> Any:
    axes, (y,) = axes_of(x, axis), promoted(g, x)
    away = g.op("Sub", y, reduced(g, "ReduceMean", y, axes, True)) if center else y
    spread = reduced(g, "ReduceMean", g.op("Mul", away, away), axes, True)
    return g.op("Div", away, g.op("Sqrt", g.op("Add", spread, np.asarray(eps, g.out.dtype))))


@translates()
def logsumexp(g: Graph, x: Value, *, axis: Any = None, keepdims: bool = False) -> Any:
    (y,) = promoted(g, x)
    return reduced(g, "ReduceLogSumExp", y, axes_of(x, axis), keepdims)


@translates()
def softmax(g: Graph, x: Value, *, axis: Any = -1) -> Any:
    axes, (y,) = axes_of(x, axis), promoted(g, x)
    if len(axes) == 1 and x.ndim:
        return g.op("Softmax", y, axis=axes[0])
    powers = g.op("Exp", g.op("Sub", y, reduced(g, "ReduceMax", y, axes, True)))
    return g.op("Div", powers, reduced(g, "ReduceSum", powers, axes, True))


@translates()
def log_softmax(g: Graph, x: Value, axis: int = -1, *, dtype: Any = None) -> Any:
    return g.op("LogSoftmax", *promoted(g, x), axis=axis)


@translates()
def cumsum(g: Graph, x: Value, *, axis: int | None = None) -> Any:
    (y,) = promoted(g, x)
    y = g.op("Reshape", y, g.axes(-1)) if axis is None else y
    return g.op("CumSum", y, np.asarray(axis or 0, np.int64))


# --- products -----------------------------------------------------------------------------------------


@translates()
def matmul(g: Graph, x: Value, y: Value) -> Any:
    return g.op("MatMul", *promoted(g, x, y))


@translates()
def einsum(g: Graph, *xs: Value, subscripts: str, optimize: Any = False) -> Any:
    return g.op("Einsum", *promoted(g, *xs), equation=subscripts)


@translates()
def vector_norm(
    g: Graph, x: Value, *, axis: Any = None, keepdims: bool = False, ord: float | None = 2
) -> Any:
    axes, (y,) = axes_of(x, axis), promoted(g, x)
    if ord in (None, 2, 1):
        return reduced(g, "ReduceL1" if ord == 1 else "ReduceL2", y, axes, keepdims)
    size = g.op("Abs", y)
    if ord in (math.inf, -math.inf):
        return reduced(g, "ReduceMax" if ord == math.inf else "ReduceMin", size, axes, keepdims)
    powers = g.op("Pow", size, np.asarray(ord, g.out.dtype))
    return g.op("Pow", reduced(g, "ReduceSum", powers, axes, keepdims), np.asarray(1 / ord, g.out.dtype))


@translates()
def det(g: Graph, x: Value) -> Any:
    return g.op("Det", *promoted(g, x))
