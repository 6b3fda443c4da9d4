"""One row a primitive: how to draw arguments to try it on. The tests of all primitives come from this table.

A row draws from a generator and a shape of any number of axes, lengths 0 and 1 among them. It keeps away from
kinks, where there is no derivative to compare with, and outside of the domain.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

Shape: TypeAlias = tuple[int, ...]
Rng: TypeAlias = np.random.Generator
Arguments: TypeAlias = tuple[list[np.ndarray], dict[str, Any]]


@dataclass(frozen=True)
class Sample:
    """How to try a primitive: `draw` gives arrays and static parameters for it.

    `analytic` says whether its NumPy function continues to complex numbers.
    """

    draw: Callable[[Rng, Shape], Arguments]
    analytic: bool = True


def real(rng: Rng, shape: Shape) -> np.ndarray:
    return rng.standard_normal(shape)


def positive(rng: Rng, shape: Shape) -> np.ndarray:
    return rng.uniform(0.5, 2.0, shape)


def nonzero(rng: Rng, shape: Shape) -> np.ndarray:
    return positive(rng, shape) * (2 * rng.integers(0, 2, shape) - 1)


def distinct(rng: Rng, shape: Shape) -> np.ndarray:
    """Multiples of 1/4, shifted by 1/16 away from 0, no two alike."""
    n = int(np.prod(shape))
    return (rng.permutation(n).reshape(shape) - n // 2) / 4 + 1 / 16


def broadcasts_to(rng: Rng, shape: Shape) -> Shape:
    """A shape that NumPy stretches to this one: some lengths 1, some leading axes missing."""
    stretched = tuple(1 if rng.random() < 0.3 else n for n in shape)
    return stretched[rng.integers(len(shape) + 1) :] if rng.random() < 0.3 else stretched


def filled(shape: Shape, axes: int = 0) -> Shape:
    """The shape with no length 0, and at least so many axes."""
    return (2, 3, 1)[: max(0, axes - len(shape))] + tuple(max(n, 1) for n in shape)


def unary(values: Callable[[Rng, Shape], np.ndarray]) -> Callable[[Rng, Shape], Arguments]:
    return lambda rng, shape: ([values(rng, shape)], {})


def binary(
    left: Callable[[Rng, Shape], np.ndarray], right: Callable[[Rng, Shape], np.ndarray]
) -> Callable[[Rng, Shape], Arguments]:
    def draw(rng: Rng, shape: Shape) -> Arguments:
        return [left(rng, broadcasts_to(rng, shape)), right(rng, broadcasts_to(rng, shape))], {}

    return draw


def between(rng: Rng, shape: Shape) -> np.ndarray:
    """Numbers halfway between those of `distinct`."""
    return distinct(rng, shape) + 1 / 8


def some_axes(rng: Rng, shape: Shape) -> Any:
    """None, one axis counted from the front or from the back, or several."""
    if not shape or rng.random() < 0.3:
        return None
    axes = rng.permutation(len(shape))[: rng.integers(1, len(shape) + 1)]
    signed = tuple(int(a) - (len(shape) if rng.random() < 0.5 else 0) for a in axes)
    return signed[0] if rng.random() < 0.5 else signed


def reduction(
    values: Callable[[Rng, Shape], np.ndarray], full: bool = False, **static: Any
) -> Callable[[Rng, Shape], Arguments]:
    def draw(rng: Rng, shape: Shape) -> Arguments:
        shape = filled(shape) if full else shape
        keepdims = {"keepdims": bool(rng.random() < 0.5)}
        return [values(rng, shape)], {"axis": some_axes(rng, shape), **keepdims, **static}

    return draw


def conditional(rng: Rng, shape: Shape) -> Arguments:
    (x, y), _ = binary(real, real)(rng, shape)
    return [rng.random(broadcasts_to(rng, shape)) < 0.5, x, y], {}


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


def stacked(rng: Rng, shape: Shape) -> Arguments:
    axis = int(rng.integers(-len(shape) - 1, len(shape) + 1))
    return [real(rng, shape) for _ in range(rng.integers(1, 4))], {"axis": axis}


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


def matrices(rng: Rng, shape: Shape) -> Arguments:
    """Vectors, matrices, and batches that broadcast."""
    n, k, m = (int(i) for i in rng.integers(0, 4, 3))
    left = (k,) if rng.random() < 0.2 else (*broadcasts_to(rng, shape), n, k)
    right = (
        (k,) if rng.random() < 0.2 else (k, m) if rng.random() < 0.3 else (*broadcasts_to(rng, shape), k, m)
    )
    return [real(rng, left), real(rng, right)], {}


EINSUMS = [
    ("ij,jk->ik", ["ij", "jk"]),
    ("ij,jk", ["ij", "jk"]),
    ("bij,bjk->bik", ["bij", "bjk"]),
    ("...ij,...jk->...ik", ["bij", "jk"]),
    ("i,j->ij", ["i", "j"]),
    ("ij->j", ["ij"]),
    ("ij->", ["ij"]),
    ("ii->i", ["ii"]),
    ("ii", ["ii"]),
    ("iij,jk,i->k", ["iij", "jk", "i"]),
    ("i,i,i->i", ["i", "i", "i"]),
]


def summed_products(rng: Rng, shape: Shape) -> Arguments:
    subscripts, terms = EINSUMS[rng.integers(len(EINSUMS))]
    length = {c: int(rng.integers(4)) for c in "bijk"}
    return [real(rng, tuple(length[c] for c in term)) for term in terms], {"subscripts": subscripts}


SAMPLES: dict[str, Sample] = {
    "add": Sample(binary(real, real)),
    "subtract": Sample(binary(real, real)),
    "multiply": Sample(binary(real, real)),
    "divide": Sample(binary(real, nonzero)),
    "negative": Sample(unary(real)),
    "power": Sample(binary(positive, real)),
    "square": Sample(unary(real)),
    "sqrt": Sample(unary(positive)),
    "exp": Sample(unary(real)),
    "log": Sample(unary(positive)),
    "logaddexp": Sample(binary(real, real), analytic=False),
    "absolute": Sample(unary(distinct), analytic=False),
    "maximum": Sample(binary(distinct, between)),
    "minimum": Sample(binary(distinct, between)),
    "clip": Sample(
        lambda rng, shape: ([distinct(rng, shape)], {"a_min": -0.5, "a_max": 0.5}), analytic=False
    ),
    "where": Sample(conditional),
    "tanh": Sample(unary(real)),
    "sigmoid": Sample(unary(real)),
    "relu": Sample(unary(distinct)),
    "cast": Sample(lambda rng, shape: ([real(rng, shape)], {"dtype": np.dtype(np.float64)}), analytic=False),
    "alias": Sample(unary(real)),
    "sum": Sample(reduction(real)),
    "mean": Sample(reduction(real, full=True)),
    "var": Sample(reduction(real, full=True), analytic=False),
    "max": Sample(reduction(distinct, full=True)),
    "min": Sample(reduction(distinct, full=True)),
    "logsumexp": Sample(reduction(real, full=True)),
    "softmax": Sample(
        lambda rng, shape: ([real(rng, filled(shape, 1))], {"axis": some_axes(rng, filled(shape, 1))})
    ),
    "reshape": Sample(reshaped),
    "transpose": Sample(transposed),
    "expand_dims": Sample(expanded),
    "squeeze": Sample(squeezed),
    "broadcast_to": Sample(stretched),
    "concatenate": Sample(concatenated),
    "stack": Sample(stacked),
    "getitem": Sample(indexed),
    "scatter": Sample(scattered),
    "matmul": Sample(matrices),
    "einsum": Sample(summed_products),
}
