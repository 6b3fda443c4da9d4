"""Rows of indexing: the two primitives, and what is composed of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_np import functional
from tinygrad_np.check.draw import Arguments, Rng, Shape, filled, real, wave
from tinygrad_np.check.rows import Op

X, CUBE = wave(2, 3), wave(2, 3, 4)
INDICES = np.array([[2, 0], [1, 1]])
ONE, TWO = np.array([0, 3, 3, -1]), np.array([1, 0, 0, 2])
EVERY_KIND: list[Any] = [  # of an index, for an array (4, 3, 2)
    *(ONE, (ONE, TWO), (ONE[:, None], TWO), (slice(None), TWO), (ONE, slice(1, 3))),
    *((ONE, slice(None), TWO % 2), (..., TWO % 2), (None, ONE, None, TWO), (0, TWO)),
    *((slice(0, 4, 2), None, ..., -1), np.arange(4) % 2 == 0, (slice(None), np.array([True, False, True]))),
    *(np.arange(24).reshape(4, 3, 2) % 5 == 0, (np.zeros((0,), dtype=int), 1), 2, (1, 2, -1)),
]


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


INDEX = {
    "getitem": Op(
        indexed,
        reference=lambda x, index: x[index],
        torch=torch_getitem,
        more=[([wave(4, 3, 2)], {"index": index}) for index in EVERY_KIND],
    ),
    "scatter": Op(scattered, reference=plain_scatter, torch=torch_scatter),
    "take": Op(
        taken,
        torch=torch_take,
        calls=[
            (lambda x: np.take(x, [5, 0, 0]), [X]),
            (lambda x: np.take(x, INDICES, 1), [X]),
            (lambda x: np.take(x, indices=-1, axis=-1), [CUBE]),
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
    "embedding": Op(
        looked_up,
        reference=lambda indices, weight: weight[indices],
        torch="nn.functional.embedding",
        function=functional.embedding,
    ),
}
