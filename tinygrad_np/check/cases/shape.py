"""Rows of what moves elements: the primitives, and NumPy's functions that are composed of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_np.check.draw import Arguments, Rng, Shape, broadcasts_to, filled, real, wave
from tinygrad_np.check.rows import Op

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
