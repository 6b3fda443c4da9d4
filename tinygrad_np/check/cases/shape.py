"""Rows of what moves elements: the primitives, and NumPy's functions that are composed of them."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from operator import attrgetter
from typing import Any

import numpy as np

from tinygrad_np import functional
from tinygrad_np.check.draw import (
    Arguments,
    Draw,
    Rng,
    Shape,
    broadcasts_to,
    filled,
    real,
    some_axes,
    unary,
    wave,
)
from tinygrad_np.check.rows import Op
from tinygrad_np.tape import NUMPY
from tinygrad_np.tensor import Tensor

X, Y, CUBE = wave(2, 3), wave(2, 6)[:, ::2], wave(2, 3, 4)


def reshaped(rng: Rng, shape: Shape) -> Arguments:
    return [real(rng, shape)], {"shape": shape[::-1] if rng.random() < 0.5 or 0 in shape else -1}


def transposed(rng: Rng, shape: Shape) -> Arguments:
    axes = tuple(int(a) for a in rng.permutation(len(shape)))
    return [real(rng, shape)], {"axes": axes if rng.random() < 0.7 else None}


def expanded(rng: Rng, shape: Shape) -> Arguments:
    return [real(rng, shape)], {"axis": int(rng.integers(-len(shape) - 1, len(shape) + 1))}


def squeezed(rng: Rng, shape: Shape) -> Arguments:
    return [real(rng, (*shape, 1))], {"axis": -1 if rng.random() < 0.5 else None}


def stretched(rng: Rng, shape: Shape) -> Arguments:
    return [real(rng, broadcasts_to(rng, shape))], {"shape": shape}


def concatenated(rng: Rng, shape: Shape) -> Arguments:
    shape = shape or (2,)
    axis = int(rng.integers(-len(shape), len(shape)))
    parts = []
    for _ in range(rng.integers(1, 4)):
        lengths = list(shape)
        lengths[axis] = int(rng.integers(4))
        parts.append(real(rng, tuple(lengths)))
    return parts, {"axis": axis if rng.random() < 0.8 else None}


def in_pieces(rng: Rng, shape: Shape) -> Arguments:
    """Into one to three pieces, some of them empty."""
    shape = shape or (2,)
    axis = int(rng.integers(len(shape)))
    places = np.sort(rng.integers(0, shape[axis] + 1, rng.integers(3)))
    return [real(rng, shape)], {"ends": [0, *places.tolist(), shape[axis]], "axis": axis}


def stacked(rng: Rng, shape: Shape) -> Arguments:
    axis = int(rng.integers(-len(shape) - 1, len(shape) + 1))
    return [real(rng, shape) for _ in range(rng.integers(1, 4))], {"axis": axis}


def two_axes(rng: Rng, shape: Shape) -> tuple[np.ndarray, int, int]:
    """An array with two axes at least, and two of them, counted from the front or from the back."""
    shape = filled(shape, 2)
    first, second = (int(a) for a in rng.integers(-len(shape), len(shape), 2))
    return real(rng, shape), first, second


def swapped(rng: Rng, shape: Shape) -> Arguments:
    x, first, second = two_axes(rng, shape)
    return [x], {"axis1": first, "axis2": second}


def moved(rng: Rng, shape: Shape) -> Arguments:
    x, first, second = two_axes(rng, shape)
    return [x], {"source": first, "destination": second}


def torch_concatenate(torch: Any, *xs: Any, axis: Any) -> Any:
    return torch.cat([x.flatten() for x in xs] if axis is None else xs, dim=axis or 0)


def one_axis(rng: Rng, shape: Shape, least: int = 1) -> tuple[np.ndarray, int]:
    """An array with so many axes at least, and one of them, counted from the front or from the back."""
    shape = filled(shape, least)
    return real(rng, shape), int(rng.integers(-len(shape), len(shape)))


def any_of(rng: Rng, shape: Shape) -> Arguments:
    """One array to three, of the shape or of one that is broadcast to it."""
    return [real(rng, broadcasts_to(rng, shape)) for _ in range(rng.integers(1, 4))], {}


def joined(least: int, axis: int, flat: bool = False) -> Draw:
    """Arrays that differ in length along one axis; some of a single axis."""

    def draw(rng: Rng, shape: Shape) -> Arguments:
        shape = filled(shape, least)
        parts = []
        for _ in range(rng.integers(1, 4)):
            lengths = list(shape)
            lengths[axis] = int(rng.integers(1, 4))
            parts.append(real(rng, tuple(lengths)))
        if flat and len(shape) == 2:
            parts.append(real(rng, shape[1 - axis :][:1]))
        return parts, {}

    return draw


def along_axis(least: int = 1, **static: Callable[[Rng, int], Any]) -> Draw:
    """An array, one of its axes, and static parameters drawn for its length."""

    def draw(rng: Rng, shape: Shape) -> Arguments:
        x, axis = one_axis(rng, shape, least)
        return [x], {"axis": axis, **{name: value(rng, x.shape[axis]) for name, value in static.items()}}

    return draw


def matrices(**static: Callable[[Rng], Any]) -> Draw:
    """An array of two axes at least, and static parameters."""
    return lambda rng, shape: (
        [real(rng, filled(shape, 2))],
        {name: value(rng) for name, value in static.items()},
    )


def offset(rng: Rng) -> int:
    return int(rng.integers(-2, 3))


def two_of_axes(rng: Rng, shape: Shape) -> Arguments:
    """An array with two axes at least, a diagonal, and two different axes."""
    shape = filled(shape, 2)
    first, second = (int(a) for a in rng.permutation(len(shape))[:2])
    return [real(rng, shape)], {"offset": offset(rng), "axis1": first, "axis2": second - len(shape)}


def embedded(rng: Rng, shape: Shape) -> Arguments:
    shape = filled(shape, 1)
    first, second = (int(a) for a in rng.permutation(len(shape) + 1)[:2])
    return [real(rng, shape)], {"offset": offset(rng), "axis1": first, "axis2": second}


def flipped(rng: Rng, shape: Shape) -> Arguments:
    return [real(rng, shape)], {"axis": some_axes(rng, shape)}


def rolled(rng: Rng, shape: Shape) -> Arguments:
    x, axis = one_axis(rng, shape)
    ways: list[dict[str, Any]] = [
        {"shift": int(rng.integers(-4, 5)), "axis": None if rng.random() < 0.3 else axis},
        {"shift": (1, -2), "axis": (axis, 0)},
        {"shift": 2, "axis": tuple(range(x.ndim))},
    ]
    return [x], ways[rng.integers(3)]


def turned(rng: Rng, shape: Shape) -> Arguments:
    shape = filled(shape, 2)
    first, second = (int(a) for a in rng.permutation(len(shape))[:2])
    return [real(rng, shape)], {"k": int(rng.integers(-5, 6)), "axes": (first, second - len(shape))}


def tiled(rng: Rng, shape: Shape) -> Arguments:
    return [real(rng, shape)], {"reps": tuple(int(n) for n in rng.integers(0, 3, rng.integers(0, 4)))}


def repeated(rng: Rng, shape: Shape) -> Arguments:
    x, axis = one_axis(rng, shape)
    some = None if rng.random() < 0.3 else axis
    length = x.size if some is None else x.shape[axis]
    repeats = int(rng.integers(3)) if rng.random() < 0.5 else rng.integers(0, 3, length)
    return [x], {"repeats": repeats, "axis": some}


def padded(rng: Rng, shape: Shape) -> Arguments:
    shape = filled(shape)
    mode = ("constant", "edge", "reflect", "symmetric", "wrap")[rng.integers(5)]
    widths = [tuple(pair) for pair in rng.integers(0, 4, (len(shape), 2)).tolist()]
    static = {"pad_width": widths if shape else 0, "mode": mode}
    return [real(rng, shape)], {**static, "constant_values": 1.5} if mode == "constant" else static


def padded_last(rng: Rng, shape: Shape) -> Arguments:
    mode = ("constant", "reflect", "replicate", "circular")[rng.integers(4)]
    pad = tuple(
        rng.integers(
            -1 if mode == "constant" else 0, 3, 2 * rng.integers(1, 3) if mode == "constant" else 4
        ).tolist()
    )
    static = {"pad": pad, "mode": mode, "value": 2.5 if mode == "constant" else None}
    return [real(rng, (2, *filled(shape)[:1], 4, 3))], static


def plain_pad(x: np.ndarray, pad: Any, mode: str, value: Any) -> np.ndarray:
    names = {"replicate": "edge", "circular": "wrap"}
    settings = {"constant_values": value} if mode == "constant" else {}
    pairs = [(0, 0)] * (x.ndim - len(pad) // 2) + [pad[i : i + 2] for i in range(len(pad) - 2, -1, -2)]
    widths = [tuple(max(n, 0) for n in pair) for pair in pairs]
    out = np.pad(x, widths, names.get(mode, mode), **settings)  # type: ignore[call-overload]
    return out[tuple(slice(-min(a, 0), n + min(b, 0)) for (a, b), n in zip(pairs, out.shape, strict=True))]  # type: ignore[no-any-return]


def windows(rng: Rng, shape: Shape) -> Arguments:
    x, axis = one_axis(rng, shape)
    return [x], {
        "axis": axis,
        "size": int(rng.integers(1, x.shape[axis] + 1)),
        "step": int(rng.integers(1, 4)),
    }


def plain_windows(x: np.ndarray, axis: int, size: int, step: int) -> np.ndarray:
    every = np.moveaxis(np.lib.stride_tricks.sliding_window_view(x, size, axis), axis % x.ndim, 0)
    return np.moveaxis(every[::step], 0, axis % x.ndim)


def expanded_to(rng: Rng, shape: Shape) -> Arguments:
    x = real(rng, broadcasts_to(rng, shape))
    new = [
        -1 if n == m and rng.random() < 0.5 else n for n, m in zip(shape[::-1], x.shape[::-1], strict=False)
    ]
    return [x], {"sizes": (*shape[: len(shape) - x.ndim], *new[::-1])}


def pieces(rng: Rng, shape: Shape) -> Arguments:
    x, axis = one_axis(rng, shape)
    lengths = [1] * (x.shape[axis] - 1) + [0, 1]
    return [x], {
        "split_size_or_sections": int(rng.integers(1, 4)) if rng.random() < 0.5 else lengths,
        "axis": axis,
    }


def plain_pieces(x: np.ndarray, split_size_or_sections: Any, axis: int) -> Any:
    size, n = split_size_or_sections, x.shape[axis]
    return tuple(np.split(x, range(size, n, size) if isinstance(size, int) else np.cumsum(size)[:-1], axis))


def vectors(rng: Rng, shape: Shape) -> Arguments:
    return [real(rng, (int(n),)) for n in rng.integers(1, 4, rng.integers(1, 4))], {}


def plain_block_diag(*xs: np.ndarray) -> np.ndarray:
    parts = [np.atleast_2d(x) for x in xs]
    rows, columns = np.cumsum([[0, 0], *(x.shape for x in parts)], axis=0).T
    out = np.zeros((rows[-1], columns[-1]))
    for x, i, j in zip(parts, rows, columns, strict=False):
        out[i : i + x.shape[0], j : j + x.shape[1]] = x
    return out


def calling(function: Callable[..., Any], call: Callable[..., Any]) -> Callable[..., Any]:
    """A way to call a function, for its row, described as that is."""
    call.__doc__ = NUMPY.get(function, function).__doc__
    return call


def several(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of a sequence of arrays as one of arrays."""
    return calling(function, lambda *xs, **static: function(xs, **static))


def tuples(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that returns a list, or one array alone, as one that returns a tuple."""

    def call(*xs: Any, **static: Any) -> Any:
        out = function(*xs, **static)
        return tuple(out) if isinstance(out, list | tuple) else (out,)

    return calling(function, call)


def as_torch(name: str, **names: str) -> Callable[..., Any]:
    """PyTorch's function of this name, with other names for static parameters, and arrays among them as tensors."""
    names = {"axis": "dim", **names}

    def call(torch: Any, *xs: Any, **static: Any) -> Any:
        given = {names.get(key, key): value for key, value in static.items()}
        for key, value in given.items():
            if isinstance(value, np.ndarray):
                given[key] = torch.from_numpy(value)
        return attrgetter(name)(torch)(*xs, **given)

    return call


SHAPE = {
    "reshape": Op(
        reshaped,
        reference=lambda x, shape: np.reshape(x, shape),  # NumPy has renamed that parameter
        torch=lambda torch, x, shape: torch.reshape(x, (shape,) if isinstance(shape, int) else shape),
        calls=[(lambda x: np.reshape(x, (4, 6)), [CUBE]), (lambda x: np.reshape(x, -1), [CUBE])],
    ),
    "ravel": Op(lambda rng, shape: ([real(rng, shape)], {}), function=np.ravel),
    "transpose": Op(
        transposed,
        torch=lambda torch, x, axes: torch.permute(
            x, axes if axes is not None else tuple(range(x.ndim))[::-1]
        ),
        calls=[
            (lambda x: np.transpose(x), [CUBE]),
            (lambda x: np.transpose(x, (1, 2, 0)), [CUBE]),
            (lambda x: np.transpose(x, axes=[-1, 0, 1]), [CUBE]),
        ],
        more=[([wave(3, 3, 3)], {"axes": (1, 2, 0)})],
    ),
    "swapaxes": Op(
        swapped,
        torch=lambda torch, x, axis1, axis2: torch.swapaxes(x, axis1, axis2),
        calls=[(lambda x: np.swapaxes(x, 0, -1), [CUBE])],
        function=np.swapaxes,
    ),
    "moveaxis": Op(
        moved,
        torch=lambda torch, x, source, destination: torch.moveaxis(x, source, destination),
        calls=[
            (lambda x: np.moveaxis(x, source=(0, 1), destination=(-1, 0)), [CUBE]),
            (lambda x: np.moveaxis(x, [2, 0], [0, 1]), [CUBE]),
        ],
        function=np.moveaxis,
    ),
    "expand_dims": Op(
        expanded,
        torch=lambda torch, x, axis: torch.unsqueeze(x, axis),
        calls=[(lambda x: np.expand_dims(x, 1), [X]), (lambda x: np.expand_dims(x, axis=(0, -1)), [X])],
    ),
    "squeeze": Op(
        squeezed,
        torch=lambda torch, x, axis: torch.squeeze(x) if axis is None else torch.squeeze(x, axis),
        calls=[
            (lambda x: np.squeeze(x), [X[None, :, None]]),
            (lambda x: np.squeeze(x, 0), [X[None]]),
            (lambda x: np.squeeze(x, axis=(0, 2)), [X[None, :, None]]),
        ],
    ),
    "broadcast_to": Op(
        stretched,
        torch=lambda torch, x, shape: torch.broadcast_to(x, shape),
        calls=[(lambda x: np.broadcast_to(x, (4, 2, 3)), [X])],
    ),
    "concatenate": Op(
        concatenated,
        reference=lambda *xs, axis: np.concatenate(xs, axis=axis),
        torch=torch_concatenate,
        calls=[
            (lambda x, y: np.concatenate([x, y]), [X, Y]),
            (lambda x, y: np.concatenate((x, Y, y), 1), [X, Y]),
            (lambda x, y: np.concatenate([x, y], axis=None), [X, CUBE]),
        ],
    ),
    "stack": Op(
        stacked,
        reference=lambda *xs, axis: np.stack(xs, axis=axis),
        torch=lambda torch, *xs, axis: torch.stack(xs, dim=axis),
        calls=[
            (lambda x, y: np.stack([x, y]), [X, Y]),
            (lambda x, y: np.stack((x, y), 1), [X, Y]),
            (lambda x, y: np.stack([x, Y, y], axis=-1), [X, Y]),
        ],
    ),
    "split_at": Op(
        in_pieces,
        reference=lambda x, ends, axis: np.split(x, ends[1:-1], axis),
        torch=lambda torch, x, ends, axis: torch.tensor_split(x, tuple(ends[1:-1]), axis),
        calls=[
            (lambda x: np.split(x, 3, 1)[2], [X]),
            (lambda x: np.split(x, [1, 3], axis=-1)[1], [CUBE]),
            (lambda x: np.split(x, 2)[1], [X]),
            (lambda x: np.split(x, [-1], 1)[0], [X]),
            (lambda x: np.split(x, [0, 1, 1, 9])[3], [X]),  # behind empty parts, and before a place beyond
        ],
    ),
}

JOINS = {  # NumPy's functions of a sequence of arrays
    "hstack": Op(
        joined(2, 1),
        reference=several(np.hstack),
        torch=lambda torch, *xs: torch.hstack(xs),
        calls=[
            (lambda x, y: np.hstack([x, y, X[0]]), [X[0], Y[1]]),
            (lambda x: np.hstack([x, 2.0]), [X[0, 0]]),
        ],
        function=several(np.hstack),
    ),
    "vstack": Op(
        joined(2, 0, True),
        reference=several(np.vstack),
        torch=lambda torch, *xs: torch.vstack(xs),
        calls=[(lambda x, y: np.vstack([x, y]), [X, Y[1]])],
        function=several(np.vstack),
    ),
    "dstack": Op(
        joined(3, 2),
        reference=several(np.dstack),
        torch=lambda torch, *xs: torch.dstack(xs),
        calls=[(lambda x, y: np.dstack([x, y]), [X, Y]), (lambda x, y: np.dstack((x, y)), [X[0], Y[0]])],
        function=several(np.dstack),
    ),
    "column_stack": Op(
        joined(2, 1, True),
        reference=several(np.column_stack),
        torch=lambda torch, *xs: torch.column_stack(xs),
        calls=[(lambda x, y: np.column_stack([x, y]), [X[0], np.ones((3, 2))])],
        function=several(np.column_stack),
    ),
    "append": Op(
        lambda rng, shape: (
            [real(rng, filled(shape, 2)) for _ in range(2)],
            {"axis": [None, 0, -1][rng.integers(3)]},
        ),
        torch=lambda torch, x, y, axis: torch_concatenate(torch, x, y, axis=axis),
        calls=[(lambda x: np.append(x, 1.0), [X]), (lambda x: np.append(X, x, 0), [Y])],
        function=np.append,
    ),
    "block": Op(
        lambda rng, shape: ([real(rng, s) for s in ((2, 3), (2, 1), (3,), ())], {}),
        reference=lambda x, y, z, number: np.block([[x, y], [z, number]]),
        torch=lambda torch, x, y, z, number: torch.vstack([torch.hstack([x, y]), torch.hstack([z, number])]),
        calls=[
            (lambda x, y: np.block([[x, y], [X, 1.0 * y]]), [X, Y]),
            (lambda x: np.block([[[x]], [[x]]]), [CUBE]),
        ],
        function=calling(np.block, lambda x, y, z, number: np.block([[x, y], [z, number]])),
    ),
    "block_diag": Op(
        lambda rng, shape: ([real(rng, s) for s in (filled(shape, 2)[:2], (3,), (2, 0), ())], {}),
        reference=plain_block_diag,
        function=functional.block_diag,
    ),
    "broadcast_arrays": Op(
        any_of,
        torch=lambda torch, *xs: torch.broadcast_tensors(*xs),
        calls=[(lambda x, y: np.broadcast_arrays(x, y)[0] * y, [X, Y[0]])],
        function=tuples(np.broadcast_arrays),
        reference=np.broadcast_arrays,
    ),
    **{
        name: Op(
            any_of,
            torch=lambda torch, *xs, name=name: getattr(torch, name)(xs),
            calls=[
                (lambda x, f=function: f(x), [np.array(3.0)]),
                (lambda x, f=function: f(x, X)[0], [CUBE[0, 0]]),
            ],
            function=tuples(function),
            reference=tuples(function),
        )
        for name, function in (
            ("atleast_1d", np.atleast_1d),
            ("atleast_2d", np.atleast_2d),
            ("atleast_3d", np.atleast_3d),
        )
    },
}

SPLITS = {
    "array_split": Op(
        along_axis(
            indices_or_sections=lambda rng, n: int(rng.integers(1, 5)) if rng.random() < 0.5 else (1, -1)
        ),
        torch=lambda torch, x, indices_or_sections, axis: torch.tensor_split(x, indices_or_sections, axis),
        calls=[
            (lambda x: np.array_split(x, 2, 1)[0], [X]),
            (lambda x: np.hsplit(x, 3)[2], [X]),
            (lambda x: np.hsplit(x, [1])[1], [X[0]]),
            (lambda x: np.vsplit(x, 2)[1], [X]),
            (lambda x: np.dsplit(x, [1, 3])[1], [CUBE]),
        ],
        function=tuples(np.array_split),
    ),
    "tensor_split": Op(
        along_axis(indices_or_sections=lambda rng, n: np.array([1, 2])),
        reference=lambda x, indices_or_sections, axis: tuple(np.array_split(x, indices_or_sections, axis)),
        torch=lambda torch, x, indices_or_sections, axis: torch.tensor_split(
            x, torch.from_numpy(indices_or_sections), axis
        ),
        function=functional.tensor_split,
    ),
    "split": Op(pieces, reference=plain_pieces, torch=as_torch("split"), function=functional.split),
    "chunk": Op(
        along_axis(chunks=lambda rng, n: int(rng.integers(1, 5))),
        reference=lambda x, chunks, axis: plain_pieces(x, -(-x.shape[axis] // chunks), axis),
        torch=as_torch("chunk"),
        function=functional.chunk,
    ),
    "unbind": Op(
        along_axis(),
        reference=lambda x, axis: tuple(np.moveaxis(x, axis, 0)),
        torch=as_torch("unbind"),
        calls=[(lambda x: np.unstack(x, axis=-1)[1], [CUBE])] * hasattr(np, "unstack"),
        function=functional.unbind,
    ),
    "select": Op(
        along_axis(index=lambda rng, n: int(rng.integers(-n, n))),
        reference=lambda x, axis, index: np.take(x, index, axis),
        torch=as_torch("select"),
        function=functional.select,
    ),
    "narrow": Op(
        along_axis(start=lambda rng, n: int(rng.integers(-1, n)), length=lambda rng, n: int(rng.integers(2))),
        reference=lambda x, axis, start, length: np.moveaxis(
            np.moveaxis(x, axis, 0)[start % x.shape[axis] :][:length], 0, axis
        ),
        torch=as_torch("narrow"),
        function=functional.narrow,
    ),
}

TURNS = {  # the same elements in other places, or several times
    "copy": Op(unary(real), torch=lambda torch, x: torch.clone(x), function=np.copy),
    "full_like": Op(
        lambda rng, shape: ([real(rng, broadcasts_to(rng, (2, 3)))], {}),
        reference=lambda fill: np.broadcast_to(fill, (2, 3)),
        torch=lambda torch, fill: torch.broadcast_to(fill, (2, 3)),
        calls=[
            (lambda x: np.full_like(X * x, x), [np.array(2.0)]),
            (lambda x: np.full_like(X * x, x, np.float64, shape=(4, 3)), [X[0]]),
        ],
        function=calling(np.full_like, lambda fill: np.full_like(Tensor(np.zeros((2, 3), fill.dtype)), fill)),
    ),
    "rollaxis": Op(
        along_axis(start=lambda rng, n: int(rng.integers(2))),
        torch=lambda torch, x, axis, start: torch.movedim(x, axis, start - (axis % x.ndim < start)),
        calls=[(lambda x: np.rollaxis(x, 2), [CUBE]), (lambda x: np.rollaxis(x, 0, -1), [CUBE])],
        more=[([CUBE], {"axis": 0, "start": 3})],
        function=np.rollaxis,
    ),
    "matrix_transpose": Op(
        matrices(),
        torch=lambda torch, x: x.mT,
        calls=[(lambda x: np.linalg.matrix_transpose(x), [CUBE])],
        function=np.matrix_transpose,
    ),
    "flip": Op(
        flipped,
        torch=lambda torch, x, axis: torch.flip(
            x, tuple(range(x.ndim)) if axis is None else (axis,) if isinstance(axis, int) else axis
        ),
        calls=[
            (lambda x: np.flip(x, (0, 2)), [CUBE]),
            (lambda x: np.fliplr(x), [CUBE]),
            (lambda x: np.flipud(x), [CUBE]),
        ],
        function=np.flip,
    ),
    "roll": Op(
        rolled,
        torch=lambda torch, x, shift, axis: torch.roll(
            x, (shift,) * len(axis) if isinstance(axis, tuple) and isinstance(shift, int) else shift, axis
        ),
        calls=[
            (lambda x: np.roll(x, 1, 0), [X]),
            (lambda x: np.roll(x, (1, 2), (-1, 0)), [CUBE]),
        ],
        function=np.roll,
    ),
    "rot90": Op(
        turned,
        torch=as_torch("rot90", axes="dims"),
        calls=[(lambda x: np.rot90(x, -1), [CUBE])],
        function=np.rot90,
    ),
    "tile": Op(
        tiled,
        torch=as_torch("tile", reps="dims"),
        calls=[(lambda x: np.tile(x, 2), [CUBE]), (lambda x: np.tile(x, [2, 1, 3]), [X])],
        function=np.tile,
    ),
    "repeat": Op(
        repeated,
        torch=as_torch("repeat_interleave"),
        calls=[(lambda x: np.repeat(x, 3), [X]), (lambda x: np.repeat(x, [2, 0, 1], 1), [X])],
        function=np.repeat,
    ),
    "repeat_interleave": Op(
        repeated,
        reference=np.repeat,
        torch=as_torch("repeat_interleave"),
        function=functional.repeat_interleave,
    ),
    "meshgrid": Op(
        lambda rng, shape: (
            vectors(rng, shape)[0],
            {"indexing": ("xy", "ij")[rng.integers(2)], "sparse": bool(rng.integers(2))},
        ),
        torch=None,
        calls=[(lambda x, y: np.meshgrid(x, y)[0] * y[0], [X[0], Y[1]])],
        function=tuples(np.meshgrid),
    ),
    "cartesian_prod": Op(
        vectors,
        reference=lambda *xs: np.array(list(itertools.product(*xs))) if len(xs) > 1 else xs[0],
        function=functional.cartesian_prod,
    ),
    "combinations": Op(
        lambda rng, shape: (
            [real(rng, (4,))],
            {"r": int(rng.integers(1, 4)), "with_replacement": bool(rng.integers(2))},
        ),
        reference=lambda x, r, with_replacement: np.array(
            list(
                (itertools.combinations_with_replacement if with_replacement else itertools.combinations)(
                    x, r
                )
            )
        ),
        function=functional.combinations,
    ),
}

FORMS = {  # of other shapes
    "flatten": Op(
        lambda rng, shape: (
            [real(rng, (*shape, 2, 3))],
            {"start_dim": len(shape), "end_dim": -int(rng.integers(1, 3))},
        ),
        reference=lambda x, start_dim, end_dim: x.reshape(*x.shape[:-2], 6) if end_dim == -1 else x,
        function=functional.flatten,
    ),
    "unflatten": Op(
        lambda rng, shape: (
            [real(rng, (*shape, 6))],
            {"axis": -1, "sizes": ((2, 3), (-1, 2), (6,))[rng.integers(3)]},
        ),
        reference=lambda x, axis, sizes: x.reshape(*x.shape[:-1], *np.empty(6).reshape(sizes).shape),
        torch=as_torch("unflatten"),
        function=functional.unflatten,
    ),
    "reshape_as": Op(
        lambda rng, shape: ([real(rng, shape)], {"other": np.zeros(shape[::-1])}),
        reference=lambda x, other: x.reshape(other.shape),
        torch=as_torch("Tensor.reshape_as"),
        function=functional.reshape_as,
    ),
    "expand": Op(
        expanded_to,
        reference=lambda x, sizes: np.broadcast_to(
            x,
            [
                m if n == -1 else n
                for n, m in zip(sizes, (*(1,) * (len(sizes) - x.ndim), *x.shape), strict=True)
            ],
        ),
        torch=lambda torch, x, sizes: x.expand(sizes),
        function=calling(functional.expand, lambda x, sizes: functional.expand(x, *sizes)),
    ),
    "expand_as": Op(
        lambda rng, shape: ([real(rng, broadcasts_to(rng, shape))], {"other": np.zeros(shape)}),
        reference=lambda x, other: np.broadcast_to(x, other.shape),
        torch=as_torch("Tensor.expand_as"),
        function=functional.expand_as,
    ),
    "np.pad": Op(
        padded,
        reference=np.pad,
        torch=None,
        calls=[
            (lambda x: np.pad(x, 2), [X]),
            (lambda x: np.pad(x, (1, 2), "edge"), [CUBE]),
            (lambda x: np.pad(x, ((1, 2),), mode="wrap"), [CUBE]),
            (lambda x: np.pad(x, ((1,), (2,)), constant_values=((1.0, 2.0), (3.0, 4.0))), [X]),
        ],
        function=np.pad,
    ),
    "pad": Op(padded_last, reference=plain_pad, torch="nn.functional.pad", function=functional.pad),
    "as_strided": Op(
        lambda rng, shape: (
            [real(rng, (3, 4))],
            {"size": (2, 3), "stride": [(1, 3), (4, 1), (2, 2)][rng.integers(3)], "storage_offset": 1},
        ),
        reference=lambda x, size, stride, storage_offset: np.lib.stride_tricks.as_strided(
            x.copy().reshape(-1)[storage_offset:], size, [8 * n for n in stride]
        ),
        torch=lambda torch, x, **how: torch.as_strided(x.contiguous(), **how),
        function=functional.as_strided,
    ),
    "unfold_axis": Op(
        windows,
        reference=plain_windows,
        torch=lambda torch, x, axis, size, step: x.unfold(axis, size, step),
        calls=[
            (lambda x: np.lib.stride_tricks.sliding_window_view(x, 2, 1), [CUBE]),
            (lambda x: np.lib.stride_tricks.sliding_window_view(x, (2, 2), axis=(2, 0)), [CUBE]),
            (lambda x: np.lib.stride_tricks.sliding_window_view(x, (1, 2)), [X]),
        ],
        function=functional.unfold_axis,
    ),
}

DIAGONALS = {
    "tril": Op(
        matrices(k=offset),
        torch=as_torch("tril", k="diagonal"),
        calls=[(lambda x: np.tril(x), [X[0]])],
        function=np.tril,
    ),
    "triu": Op(
        matrices(k=offset),
        torch=as_torch("triu", k="diagonal"),
        calls=[(lambda x: np.triu(x, 1), [CUBE])],
        function=np.triu,
    ),
    "diagonal": Op(
        two_of_axes,
        torch=as_torch("diagonal", axis1="dim1", axis2="dim2"),
        calls=[(lambda x: np.diagonal(x, 1), [CUBE])],
        function=np.diagonal,
    ),
    "diag": Op(
        lambda rng, shape: ([real(rng, (3, 2)[: rng.integers(1, 3)])], {"k": offset(rng)}),
        torch=as_torch("diag", k="diagonal"),
        calls=[(lambda x: np.diag(x, -1), [X])],
        function=np.diag,
    ),
    "diagflat": Op(
        lambda rng, shape: ([real(rng, shape)], {"k": offset(rng)}),
        torch=as_torch("diagflat", k="offset"),
        calls=[(lambda x: np.diagflat(x), [X])],
        function=np.diagflat,
    ),
    "diag_embed": Op(
        embedded,
        reference=lambda x, offset, axis1, axis2: np.moveaxis(
            np.array([np.diag(row, offset) for row in x.reshape(-1, x.shape[-1])]).reshape(
                *x.shape[:-1], *(x.shape[-1] + abs(offset),) * 2
            ),
            (-2, -1),
            (axis1, axis2),
        ),
        torch=as_torch("diag_embed", axis1="dim1", axis2="dim2"),
        function=functional.diag_embed,
    ),
    "trace": Op(
        two_of_axes,
        torch=lambda torch, x, offset, axis1, axis2: torch.diagonal(x, offset, axis1, axis2).sum(-1),
        calls=[(lambda x: np.trace(x), [X])],
        function=np.trace,
    ),
}

SHAPE |= {**JOINS, **SPLITS, **TURNS, **FORMS, **DIAGONALS}
