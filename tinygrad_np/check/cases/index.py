"""Rows of indexing: the two primitives, and what is composed of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from tinygrad_np import functional
from tinygrad_np.check.cases.shape import as_torch, calling, two_of_axes
from tinygrad_np.check.draw import Arguments, Draw, Rng, Shape, broadcasts_to, filled, real, wave
from tinygrad_np.check.rows import Edge, Op
from tinygrad_np.functional.common import as_tensor
from tinygrad_np.functional.indexing import Update
from tinygrad_np.tensor import Tensor

X, CUBE = wave(2, 3), wave(2, 3, 4)
INDICES = np.array([[2, 0], [1, 1]])
ONE, TWO = np.array([0, 3, 3, -1]), np.array([1, 0, 0, 2])
EVERY_KIND: list[Any] = [  # of an index, for an array (4, 3, 2)
    *(ONE, (ONE, TWO), (ONE[:, None], TWO), (slice(None), TWO), (ONE, slice(1, 3))),
    *((ONE, slice(None), TWO % 2), (..., TWO % 2), (None, ONE, None, TWO), (0, TWO)),
    *((slice(0, 4, 2), None, ..., -1), np.arange(4) % 2 == 0, (slice(None), np.array([True, False, True]))),
    *(np.arange(24).reshape(4, 3, 2) % 5 == 0, (np.zeros((0,), dtype=int), 1), 2, (1, 2, -1)),
]


def in_bags(rng: Rng, shape: Shape) -> Arguments:
    """Bags of one length, or of several, 0 among them; rows that repeat, padding, weights of a sum."""
    table = real(rng, (4, filled(shape, 1)[-1]))
    static: dict[str, Any] = {"mode": ("sum", "mean", "max")[rng.integers(3)]}
    if rng.random() < 0.5:
        static["padding_idx"] = int(rng.integers(-4, 4))
    if rng.random() < 0.5:
        indices = rng.integers(0, 4, (2, int(rng.integers(1, 4))))
    else:
        ends = [0, *np.cumsum(rng.integers(0, 4, 3)).tolist()]
        indices = rng.integers(0, 4, ends[-1])
        static["include_last_offset"] = bool(rng.random() < 0.5)
        static["offsets"] = ends if static["include_last_offset"] else ends[:-1]
    weights = [real(rng, indices.shape)] if static["mode"] == "sum" and rng.random() < 0.5 else []
    return [indices, table, *weights], static


def weighted(arrays: Any) -> dict[str, Any]:
    """The third of the arrays, if there is one, by its name."""
    return {"per_sample_weights": arrays[2]} if len(arrays) > 2 else {}


def plain_bags(
    indices: np.ndarray,
    table: np.ndarray,
    *weights: np.ndarray,
    mode: str,
    padding_idx: int | None = None,
    **static: Any,
) -> np.ndarray:
    flat, factors = indices.ravel(), weights[0].ravel() if weights else np.ones(indices.size)
    if "offsets" in static:
        starts = static["offsets"] if static["include_last_offset"] else [*static["offsets"], len(flat)]
    else:
        starts = [i * indices.shape[1] for i in range(len(indices) + 1)]
    out = []
    for start, stop in pairwise(starts):
        kept = [i for i in range(start, stop) if padding_idx is None or flat[i] != padding_idx % len(table)]
        rows = table[flat[kept]] * factors[kept, None]
        out.append(getattr(np, mode)(rows, axis=0) if kept else np.zeros(table.shape[1]))
    return np.array(out)


def our_bags(*arrays: Any, **static: Any) -> Tensor:
    indices, table, *_ = arrays
    return functional.embedding_bag(indices, table, **(weighted(arrays) | static))


def torch_bags(torch: Any, *arrays: Any, **static: Any) -> Any:
    if "offsets" in static:
        static = {**static, "offsets": torch.tensor(static["offsets"])}
    return torch.nn.functional.embedding_bag(arrays[0], arrays[1], **{**weighted(arrays), **static})


def indexed(rng: Rng, shape: Shape) -> Arguments:
    """Integers, slices, new axes, arrays of indices that repeat, masks."""
    shape = filled(shape, 2)
    several = rng.integers(-shape[0], shape[0], (2, 3))
    choices = [
        int(rng.integers(shape[0])),
        slice(None, None, -1),
        (slice(1, None), None, -1),
        (..., 0),
        several,
        (several[0], rng.integers(shape[1], size=3)),
        (slice(None), [0, 0]),
        rng.random(shape) < 0.5,
    ]
    return [real(rng, shape)], {"index": choices[rng.integers(len(choices))]}


def scattered(rng: Rng, shape: Shape) -> Arguments:
    (x,), static = indexed(rng, shape)
    return [real(rng, x[static["index"]].shape)], {**static, "shape": x.shape}


def taken(rng: Rng, shape: Shape) -> Arguments:
    shape = filled(shape, 1)
    axis = None if rng.random() < 0.3 else int(rng.integers(-len(shape), len(shape)))
    length = int(np.prod(shape)) if axis is None else shape[axis]
    return [real(rng, shape)], {"indices": rng.integers(-length, length, (2, 3)), "axis": axis}


def taken_along(rng: Rng, shape: Shape) -> Arguments:
    shape = filled(shape, 1)
    axis = int(rng.integers(-len(shape), len(shape)))
    places = list(shape)
    places[axis] = 4
    return [real(rng, shape)], {"indices": rng.integers(0, shape[axis], places), "axis": axis}


def looked_up(rng: Rng, shape: Shape) -> Arguments:
    return [rng.integers(0, 4, shape), real(rng, (4, 3))], {}


def torch_index(torch: Any, index: Any) -> Any:
    if isinstance(index, tuple):
        return tuple(torch_index(torch, i) for i in index)
    return torch.from_numpy(index) if isinstance(index, np.ndarray) else index


def torch_getitem(torch: Any, x: Any, index: Any) -> Any:
    """PyTorch has no negative steps: that case is turned around with flip."""
    if isinstance(index, slice) and index.step == -1:
        return torch.flip(x, (0,))
    return x[torch_index(torch, index)]


def torch_scatter(torch: Any, values: Any, index: Any, shape: Any) -> Any:
    """Zeros with values added: into the places where the numbers of all places are looked up."""
    places = torch.from_numpy(np.arange(np.prod(shape)).reshape(shape)[index].copy())
    flat = torch.zeros(int(np.prod(shape)), dtype=values.dtype)
    return flat.index_add(0, places.flatten(), values.flatten()).reshape(shape)


def torch_take(torch: Any, x: Any, indices: Any, axis: Any) -> Any:
    x, axis = (x.flatten(), 0) if axis is None else (x, axis % x.ndim)
    flat = torch.from_numpy(np.asarray(indices).ravel() % x.shape[axis])
    return torch.index_select(x, axis, flat).reshape(
        *x.shape[:axis], *np.shape(indices), *x.shape[axis + 1 :]
    )


def plain_scatter(values: np.ndarray, index: Any, shape: Any) -> np.ndarray:
    out = np.zeros(shape)
    np.add.at(out, index, values)
    return out


# --- writing ------------------------------------------------------------------------------------------


def written(rng: Rng, shape: Shape) -> Arguments:
    """An array, an index, and what is written there, or what is broadcast to it."""
    (x,), static = indexed(rng, shape)
    there = x[static["index"]].shape
    return [x, real(rng, broadcasts_to(rng, there) if rng.random() < 0.5 else there)], static


def written_whole(rng: Rng, shape: Shape) -> Arguments:
    (x,), static = indexed(rng, shape)
    ufunc = np.maximum if rng.random() < 0.5 else np.minimum
    return [x, real(rng, x[static["index"]].shape)], {**static, "ufunc": ufunc}


def refuse_other_kinds(x: np.ndarray, values: Any) -> None:
    """What is written takes the dtype of the array, and NumPy would cut floats to whole numbers."""
    if not np.can_cast(np.result_type(x, values), x.dtype, "same_kind"):
        raise TypeError("these values do not fit into the array")


def one_by_one(ufunc: Callable[..., Any] | None) -> Callable[..., np.ndarray]:
    """What a loop over the places writes; without a function, the value itself."""

    def write(x: np.ndarray, values: Any, index: Any, ufunc: Any = ufunc) -> np.ndarray:
        refuse_other_kinds(x, values)
        places = np.arange(x.size).reshape(x.shape)[index]
        out = x.copy().reshape(-1)
        for place, value in zip(
            np.ravel(places), np.ravel(np.broadcast_to(values, places.shape)), strict=True
        ):
            out[place] = value if ufunc is None else ufunc(out[place], value)
        return out.reshape(x.shape)

    return write


def update(name: str) -> Callable[..., Any]:
    """``x.at[index].name(values)`` as a function."""

    def call(x: Any, values: Any, index: Any) -> Any:
        return getattr(as_tensor("at", x).at[index], name)(values)

    return calling(getattr(Update, name), call)


def with_values(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """A function that takes values by name as one that takes them after the array."""
    return calling(function, lambda x, values, **static: function(x, **{name: values}, **static))


def torch_with_values(function: str, name: str) -> Callable[..., Any]:
    """The same of PyTorch's function."""
    return lambda torch, x, values, **static: as_torch(function)(torch, x, **{name: values}, **static)


def torch_update(reduce: str | None) -> Callable[..., Any]:
    """The same of flattened tensors; the last value that is set is found first."""

    def call(torch: Any, x: Any, values: Any, index: Any, ufunc: Any = None) -> Any:
        places = np.arange(x.numel()).reshape(x.shape)[index]
        numbers = np.arange(places.size).reshape(places.shape)
        flat, kind = x.flatten(), {np.maximum: "amax", np.minimum: "amin"}.get(ufunc, reduce)
        values = torch.broadcast_to(values, places.shape).flatten()
        if kind is None:
            last = np.empty(x.numel(), int)
            last[places] = numbers
            stays = np.ravel(last[places] == numbers)
            places, values = np.ravel(places)[stays], values[torch.from_numpy(stays)]
            return flat.index_put((torch.from_numpy(places),), values).reshape(x.shape)
        return flat.scatter_reduce(0, torch.from_numpy(np.ravel(places)), values, kind).reshape(x.shape)

    return call


def looked_along(rng: Rng, shape: Shape) -> tuple[list[np.ndarray], int, np.ndarray]:
    """An array, an axis, and indices that are shorter along other axes, with values for them."""
    shape = filled(shape, 1)
    axis = int(rng.integers(-len(shape), len(shape)))
    places = [int(rng.integers(1, n + 1)) for n in shape]
    places[axis] = 3
    return [real(rng, shape), real(rng, tuple(places))], axis, rng.integers(0, shape[axis], places)


def gathered(rng: Rng, shape: Shape) -> Arguments:
    (x, _), axis, index = looked_along(rng, shape)
    return [x], {"axis": axis, "index": index}


def scattered_along(rng: Rng, shape: Shape) -> Arguments:
    arrays, axis, index = looked_along(rng, shape)
    return arrays, {"axis": axis, "index": index}


def apart(rng: Rng, shape: Shape) -> Arguments:
    """No place named twice: which value stays is undefined in PyTorch."""
    (x, values), axis, index = looked_along(rng, shape)
    length = x.shape[axis]
    free = [length if i == axis % x.ndim else n for i, n in enumerate(index.shape)]
    index = np.take(np.argsort(rng.random(free), axis), range(min(3, length)), axis)
    return [x, np.take(values, range(min(3, length)), axis)], {"axis": axis, "index": index}


def reduced(of: Draw) -> Draw:
    """With a kind of reduction, and with or without what is there."""

    def draw(rng: Rng, shape: Shape) -> Arguments:
        arrays, static = of(rng, shape)
        reduce = ("sum", "prod", "mean", "amax", "amin")[rng.integers(5)]
        return arrays, {**static, "reduce": reduce, "include_self": bool(rng.integers(2))}

    return draw


def plain_along(
    x: np.ndarray, src: np.ndarray, axis: int, index: Any, reduce: str = "", include_self: bool = True
) -> np.ndarray:
    """What PyTorch's page of `scatter_reduce` says, in a loop."""
    refuse_other_kinds(x, src)
    src = np.broadcast_to(src, index.shape) if not np.ndim(src) else src
    parts: dict[Any, list[float]] = {}
    for place in np.ndindex(index.shape):
        there = list(place)
        there[axis] = index[place]
        parts.setdefault(tuple(there), []).append(float(src[place]))
    out = x.copy()
    reductions: dict[str, Callable[..., Any]] = {
        "sum": np.sum,
        "prod": np.prod,
        "mean": np.mean,
        "amax": np.max,
        "amin": np.min,
    }
    for there, values in parts.items():
        out[there] = reductions[reduce]([x[there]] * bool(include_self) + values) if reduce else values[-1]
    return out


def at_places(rng: Rng, shape: Shape) -> Arguments:
    """An array, places along an axis, some of them twice, and an array of what goes there."""
    shape = filled(shape, 1)
    axis = int(rng.integers(-len(shape), len(shape)))
    lengths = list(shape)
    lengths[axis] = 3
    return [real(rng, shape), real(rng, tuple(lengths))], {
        "axis": axis,
        "index": rng.integers(0, shape[axis], 3),
    }


def at_other_places(rng: Rng, shape: Shape) -> Arguments:
    (x, source), static = at_places(rng, shape)
    index = rng.permutation(x.shape[static["axis"]])[:2]
    return [x, np.take(source, range(len(index)), static["axis"])], {**static, "index": index}


def whole(index: np.ndarray, axis: int, shape: Shape) -> np.ndarray:
    """The same places for each row."""
    return np.moveaxis(np.broadcast_to(index, (*np.delete(shape, axis), len(index))), -1, axis)


def plain_at(x: np.ndarray, source: np.ndarray, axis: int, index: Any, **how: Any) -> np.ndarray:
    return plain_along(x, source, axis, whole(index, axis, x.shape), **how)


def masked(rng: Rng, shape: Shape) -> Arguments:
    return [real(rng, broadcasts_to(rng, shape))], {"mask": np.asarray(rng.random(shape) < 0.5)}


def masked_values(rng: Rng, shape: Shape) -> Arguments:
    (x,), static = masked(rng, shape)
    return [x, real(rng, (int(np.prod(shape)),))], static


def plain_masked_scatter(x: np.ndarray, source: np.ndarray, mask: np.ndarray) -> np.ndarray:
    out = np.broadcast_to(x, mask.shape).copy()
    out[mask] = source[: np.count_nonzero(mask)]
    return out


def in_part(part: Callable[[Rng, int], tuple[Any, dict[str, Any]]]) -> Draw:
    """An array, an axis and part of it, and other values for it."""

    def draw(rng: Rng, shape: Shape) -> Arguments:
        shape = filled(shape, 1)
        axis = int(rng.integers(-len(shape), len(shape)))
        index, static = part(rng, shape[axis])
        x = real(rng, shape)
        return [x, real(rng, x[(*(slice(None),) * (axis % x.ndim), index)].shape)], {"axis": axis, **static}

    return draw


def one_place(rng: Rng, length: int) -> tuple[Any, dict[str, Any]]:
    index = int(rng.integers(-length, length))
    return index, {"index": index}


def some_slice(rng: Rng, length: int) -> tuple[Any, dict[str, Any]]:
    start, end, step = int(rng.integers(length)), int(rng.integers(-1, length + 2)), int(rng.integers(1, 3))
    return slice(start, end, step), {"start": start, "end": end, "step": step}


def plain_part(x: np.ndarray, src: np.ndarray, axis: int, **part: Any) -> np.ndarray:
    out = x.copy()
    np.moveaxis(out, axis, 0)[part["index"] if "index" in part else slice(*part.values())] = (
        src if "index" in part else np.moveaxis(src, axis, 0)
    )
    return out


def on_a_diagonal(rng: Rng, shape: Shape) -> Arguments:
    (x,), static = two_of_axes(rng, shape)
    return [x, real(rng, np.diagonal(x, **static).shape)], static


def plain_diagonal_scatter(x: np.ndarray, src: np.ndarray, offset: int, axis1: int, axis2: int) -> np.ndarray:
    out = x.copy()
    there = np.diagonal(out, offset, axis1, axis2)
    there.flags.writeable = True
    there[...] = src
    return out


def chosen(rng: Rng, shape: Shape) -> Arguments:
    which = rng.integers(0, 2, shape)
    return [which, *(real(rng, broadcasts_to(rng, shape)) for _ in range(2))], {}


def left_out(rng: Rng, shape: Shape) -> Arguments:
    (x,), static = taken(rng, shape)
    return [x], {"obj": static["indices"][0][:1], "axis": static["axis"]}


def put_in(rng: Rng, shape: Shape) -> Arguments:
    shape = filled(shape, 1)
    axis = None if rng.random() < 0.3 else int(rng.integers(-len(shape), len(shape)))
    values = real(rng, (2,)) if axis is None else np.take(real(rng, shape), [0, 0], axis)
    return [real(rng, shape), values], {"obj": [0, 1], "axis": axis}


INDEX = {
    "getitem": Op(
        indexed,
        reference=lambda x, index: x[index],
        torch=torch_getitem,
        more=[([wave(4, 3, 2)], {"index": index}) for index in EVERY_KIND],
    ),
    "zeros_at": Op(scattered, reference=plain_scatter, torch=torch_scatter),
    "set_at": Op(
        written,
        reference=one_by_one(None),
        torch=torch_update(None),
        more=[([wave(4, 3, 2), wave(4, 3, 2)[index] + 2], {"index": index}) for index in EVERY_KIND],
    ),
    "extreme_at": Op(
        written_whole,
        reference=one_by_one(None),
        torch=torch_update(None),
        analytic=False,
        edges=[
            Edge([[1, 3], [3, 3, 1]], [6, 6], [[6, 2], [2, 2, 0]], {"index": [1, 1, 1], "ufunc": np.maximum}),
            Edge([[1, 3], [3, 1, 1]], [6, 6], [[6, 0], [0, 3, 3]], {"index": [1, 1, 1], "ufunc": np.minimum}),
            Edge(
                [[1], [np.nan, 3]],
                [6],
                [[0], [6, 0]],
                {"index": [0, 0], "ufunc": np.maximum},
                torch="differs",
            ),
            Edge(
                [[np.nan], [3, 1]],
                [6],
                [[6], [0, 0]],
                {"index": [0, 0], "ufunc": np.maximum},
                torch="differs",
            ),
        ],
    ),
    "at.add": Op(written, reference=one_by_one(np.add), torch=torch_update("sum"), function=update("add")),
    "at.multiply": Op(
        written,
        reference=one_by_one(np.multiply),
        torch=torch_update("prod"),
        more=[([wave(3), np.array([2.0, 0.0, 3.0, 0.5, 2.0])], {"index": [1, 1, 1, 2, 1]})],
        function=update("multiply"),
    ),
    **{
        f"at.{name}": Op(
            written,
            reference=one_by_one(ufunc),
            torch=torch_update(reduce),
            analytic=False,
            function=update(name),
        )
        for name, ufunc, reduce in (("max", np.maximum, "amax"), ("min", np.minimum, "amin"))
    },
    "take": Op(
        taken,
        torch=torch_take,
        calls=[
            (lambda x: np.take(x, [5, 0, 0]), [X]),
            (lambda x: np.take(x, INDICES, 1), [X]),
            (lambda x: np.take(x, indices=-1, axis=-1), [CUBE]),
            (lambda x: np.take(x, [7, -9], mode="wrap"), [X]),
            (lambda x: np.take(x, [7, -9, 1], 1, mode="clip"), [X]),
        ],
        function=np.take,
    ),
    "take_along_axis": Op(
        taken_along,
        torch=lambda torch, x, indices, axis: torch.take_along_dim(x, torch.from_numpy(indices), axis),
        calls=[
            (lambda x: np.take_along_axis(x, INDICES, 1), [X]),
            (lambda x: np.take_along_axis(x, np.argsort(x, axis=0), axis=0), [X]),
            (lambda x: np.take_along_axis(x, np.array([[2]]), axis=-1), [X]),  # broadcast over the rows
            (lambda x: np.take_along_axis(x, np.array([[2, 0], [1, 1], [0, 0]]), axis=1), [X[:1]]),
            (lambda x: np.take_along_axis(x, np.array([4, 4, 0]), axis=None), [X]),
        ],
        function=np.take_along_axis,
    ),
    "take_along_dim": Op(
        taken_along,
        reference=np.take_along_axis,
        torch=as_torch("take_along_dim"),
        function=functional.take_along_dim,
    ),
    "gather": Op(
        gathered,
        reference=lambda x, axis, index: np.take_along_axis(
            x[tuple(slice(None if i == axis % x.ndim else n) for i, n in enumerate(index.shape))], index, axis
        ),
        torch=as_torch("gather"),
        function=functional.gather,
    ),
    "index_select": Op(
        lambda rng, shape: (at_places(rng, shape)[0][:1], {"axis": 0, "index": np.array([0, 0])}),
        reference=lambda x, axis, index: np.take(x, index, axis),
        torch=as_torch("index_select"),
        function=functional.index_select,
    ),
    "masked_select": Op(
        masked,
        reference=lambda x, mask: np.broadcast_to(x, mask.shape)[mask],
        torch=as_torch("masked_select"),
        function=functional.masked_select,
    ),
    "choose": Op(
        chosen,
        reference=lambda which, x, y: np.choose(which, [x, y]),
        torch=lambda torch, which, x, y: torch.where(which == 1, y, x),
        calls=[
            (lambda x, y: np.choose([0, 1, 1], [x, y]), [X[0], X]),
            (lambda x: np.choose([-1, 4], [x, 1.0], mode="clip"), [X[:, :2]]),
        ],
        function=calling(np.choose, lambda which, x, y: np.choose(which, [x, y])),
    ),
    "compress": Op(
        lambda rng, shape: ([real(rng, filled(shape, 1))], {"axis": -1}),
        reference=lambda x, axis: np.compress([True], x, axis),
        torch=lambda torch, x, axis: torch.narrow(x, axis, 0, 1),
        calls=[
            (lambda x: np.compress(X[0] > 0, x, 1), [X]),
            (lambda x: np.compress([False, True, True], x), [X]),
            (lambda x: np.extract(X > 0, x), [X]),
        ],
        function=calling(np.compress, lambda x, axis: np.compress([True], x, axis)),
    ),
    "delete": Op(
        left_out,
        torch=None,
        calls=[
            (lambda x: np.delete(x, slice(1, None), 1), [X]),
            (lambda x: np.delete(x, X.ravel() > 0), [X]),
        ],
        function=np.delete,
    ),
    "insert": Op(
        put_in,
        torch=None,
        calls=[
            (lambda x: np.insert(X, 1, x, 1), [X[:, 0]]),
            (lambda x, y: np.insert(x, [0, 2], y, axis=1), [CUBE, CUBE[:, :2]]),
        ],
        function=calling(np.insert, lambda x, values, obj, axis: np.insert(x, obj, values, axis)),
        reference=lambda x, values, obj, axis: np.insert(x, obj, values, axis),
    ),
    "scatter": Op(
        apart,
        reference=plain_along,
        torch=torch_with_values("scatter", "src"),
        function=with_values(functional.scatter, "src"),
    ),
    "scatter_add": Op(
        scattered_along,
        reference=partial(plain_along, reduce="sum"),
        torch=torch_with_values("scatter_add", "src"),
        function=with_values(functional.scatter_add, "src"),
    ),
    "scatter_reduce": Op(
        reduced(scattered_along),
        reference=plain_along,
        torch=torch_with_values("scatter_reduce", "src"),
        analytic=False,
        function=with_values(functional.scatter_reduce, "src"),
    ),
    "index_add": Op(
        at_places,
        reference=partial(plain_at, reduce="sum"),
        torch=torch_with_values("index_add", "source"),
        function=with_values(functional.index_add, "source"),
    ),
    "index_copy": Op(
        at_other_places,
        reference=plain_at,
        torch=torch_with_values("index_copy", "source"),
        function=with_values(functional.index_copy, "source"),
    ),
    "index_fill": Op(
        lambda rng, shape: (
            [at_places(rng, shape)[0][0], real(rng, ())],
            {"axis": 0, "index": np.array([0, 0])},
        ),
        reference=lambda x, value, axis, index: plain_at(
            x, np.broadcast_to(value, (2, *x.shape[1:])), axis, index
        ),
        torch=torch_with_values("index_fill", "value"),
        function=with_values(functional.index_fill, "value"),
    ),
    "index_reduce": Op(
        reduced(at_places),
        reference=plain_at,
        torch=None,
        analytic=False,
        function=with_values(functional.index_reduce, "source"),
    ),
    "index_put": Op(
        lambda rng, shape: (
            [real(rng, (3, 2)), real(rng, (2,))],
            {"indices": (INDICES[0], INDICES[1] * 0), "accumulate": bool(rng.integers(2))},
        ),
        reference=lambda x, values, indices, accumulate: one_by_one(np.add if accumulate else None)(
            x, values, indices
        ),
        torch=lambda torch, x, values, indices, accumulate: x.index_put(
            tuple(map(torch.from_numpy, indices)), values, accumulate
        ),
        function=with_values(functional.index_put, "values"),
    ),
    "put": Op(
        lambda rng, shape: (
            [real(rng, (3, 2)), real(rng, (3,))],
            {"index": np.array([5, 0, 2]), "accumulate": bool(rng.integers(2))},
        ),
        reference=lambda x, values, index, accumulate: one_by_one(np.add if accumulate else None)(
            x.reshape(-1), values, index
        ).reshape(x.shape),
        torch=torch_with_values("Tensor.put", "source"),
        function=with_values(functional.put, "source"),
    ),
    "masked_scatter": Op(
        masked_values,
        reference=plain_masked_scatter,
        torch=torch_with_values("masked_scatter", "source"),
        function=with_values(functional.masked_scatter, "source"),
    ),
    "select_scatter": Op(
        in_part(one_place),
        reference=plain_part,
        torch=as_torch("select_scatter"),
        function=functional.select_scatter,
    ),
    "slice_scatter": Op(
        in_part(some_slice),
        reference=plain_part,
        torch=as_torch("slice_scatter"),
        function=functional.slice_scatter,
    ),
    "diagonal_scatter": Op(
        on_a_diagonal,
        reference=plain_diagonal_scatter,
        torch=as_torch("diagonal_scatter", axis1="dim1", axis2="dim2"),
        function=functional.diagonal_scatter,
    ),
    "embedding": Op(
        looked_up,
        reference=lambda indices, weight: weight[indices],
        torch="nn.functional.embedding",
        function=functional.embedding,
    ),
    "embedding_bag": Op(
        in_bags,
        reference=plain_bags,
        torch=torch_bags,
        function=our_bags,
    ),
}
