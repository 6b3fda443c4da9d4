"""Linear algebra composed of primitives: products of vectors and of many axes, norms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from tinygrad_np.functional.common import floats
from tinygrad_np.operand import as_array
from tinygrad_np.ops.decompositions import eigh, svd
from tinygrad_np.ops.linalg import matmul, vector_norm
from tinygrad_np.ops.reduce import Axis
from tinygrad_np.tape import Array, implements
from tinygrad_np.tensor import Tensor

__all__: list[str] = []


def tensor(x: Any) -> Tensor:
    """What a function is given, as a Tensor."""
    return x if isinstance(x, Tensor) else Tensor(as_array(x))


# --- products -----------------------------------------------------------------------------------------


@implements(np.dot)
def dot(a: Array, b: Array) -> Array:
    """The sum of products over the last axis of a and the last but one of b, or its only one."""
    if getattr(a, "ndim", 0) and getattr(b, "ndim", 0) in (1, 2):
        return matmul(a, b)  # almost always, and so nothing more is looked at
    if not np.ndim(a) or not np.ndim(b):
        return np.multiply(a, b)
    return np.tensordot(a, b, (-1, -2 if np.ndim(b) > 1 else -1))


@implements(np.inner)
def inner(a: Array, b: Array) -> Array:
    """The sum of products over the last axes; of a number and an array, their product."""
    return np.tensordot(a, b, (-1, -1)) if np.ndim(a) and np.ndim(b) else np.multiply(a, b)


@implements(np.vdot)
def vdot(a: Array, b: Array) -> Array:
    """The sum of products of all elements, each array taken as one axis."""
    return matmul(np.ravel(a), np.ravel(b))


@implements(np.outer)
def outer(a: Array, b: Array) -> Array:
    """All products of an element of a and one of b, each array taken as one axis."""
    return np.multiply(np.reshape(a, (-1, 1)), np.ravel(b))


@implements(np.linalg.outer)
def outer_of_vectors(x1: Array, x2: Array, /) -> Array:
    """`numpy.outer` of arrays that have one axis."""
    if np.ndim(x1) != 1 or np.ndim(x2) != 1:
        raise ValueError("the arrays have one axis each; np.outer flattens others")
    return np.outer(x1, x2)


@implements(np.tensordot, np.linalg.tensordot)
def tensordot(a: Array, b: Array, axes: int | Sequence[Any] = 2) -> Array:
    """The sum of products over axes of a and of b: so many last and first ones, or those that a pair names."""
    a, b = tensor(a), tensor(b)
    first, second = (
        (range(a.ndim - axes, a.ndim), range(axes)) if isinstance(axes, int | np.integer) else axes
    )
    left = normalize_axis_tuple(first, a.ndim, "axes of the first array")
    right = normalize_axis_tuple(second, b.ndim, "axes of the second array")
    lengths = [a.shape[i] for i in left]
    if lengths != [b.shape[i] for i in right]:
        raise ValueError(f"the axes {left} of the first array and {right} of the second differ in length")
    rows, columns = ([i for i in range(x.ndim) if i not in axes] for x, axes in ((a, left), (b, right)))
    heights, widths = [a.shape[i] for i in rows], [b.shape[i] for i in columns]
    x = np.transpose(a, (*rows, *left)).reshape(math.prod(heights), math.prod(lengths))
    y = np.transpose(b, (*right, *columns)).reshape(math.prod(lengths), math.prod(widths))
    return (x @ y).reshape(*heights, *widths)


# --- norms --------------------------------------------------------------------------------------------


@implements(np.linalg.norm)
def norm(x: Array, ord: Any = None, axis: Axis = None, keepdims: bool = False) -> Array:
    """The norm of vectors along one axis, of matrices along two, or of all elements.

    Of matrices "fro" is the root of the sum of squares, "nuc" the sum of the singular values, 2 and -2 the largest
    and the smallest of them, 1 and -1 the largest and the smallest sum of a column, inf and -inf of a row. Equal
    sums and equal singular values share the gradient, and at 0 it is 0; see `vector_norm`.
    """
    x = floats("norm", x)
    if axis is None and ord is None:
        return vector_norm(x, keepdims=keepdims)
    axes = tuple(range(x.ndim)) if axis is None else normalize_axis_tuple(axis, x.ndim)
    if len(axes) == 1:
        return vector_norm(x, axis=axes[0], keepdims=keepdims, ord=2 if ord is None else ord)
    if len(axes) != 2:
        raise ValueError(f"{len(axes)} axes make no vector and no matrix; np.linalg.vector_norm takes any")
    if ord in (None, "fro", "f"):
        return vector_norm(x, axis=axes, keepdims=keepdims)
    if ord in (1, -1, np.inf, -np.inf):
        summed, kept = axes if abs(ord) == 1 else axes[::-1]
        sums = np.sum(np.absolute(x), axis=summed, keepdims=True)
        y = np.max(sums, axis=kept, keepdims=True) if ord > 0 else np.min(sums, axis=kept, keepdims=True)
        return y if keepdims else np.squeeze(y, axes)
    if ord not in (2, -2, "nuc"):
        raise ValueError(
            f"{ord!r} is no norm of a matrix; it has None, 'fro', 'nuc', 1, -1, 2, -2, inf and -inf"
        )
    values = np.linalg.svdvals(np.moveaxis(x, axes, (-2, -1)))
    y = {2: np.max, -2: np.min, "nuc": np.sum}[ord](values, axis=-1)
    return np.expand_dims(y, axes) if keepdims else y


@implements(np.linalg.matrix_norm)
def matrix_norm(x: Array, /, *, keepdims: bool = False, ord: Any = "fro") -> Array:
    """The norm of the matrices in the last two axes; see `numpy.linalg.norm`."""
    return np.linalg.norm(x, ord, (-2, -1), keepdims)


# --- what follows from decompositions -----------------------------------------------------------------


@implements(np.linalg.eigvalsh)
def eigvalsh(a: Array, UPLO: str = "L") -> Array:
    """The eigenvalues of symmetric matrices, rising. Equal ones have a gradient only together, as in their sum."""
    return eigh(a, UPLO=UPLO)[0]


@implements(np.linalg.svdvals)
def svdvals(x: Array, /) -> Array:
    """The singular values, falling. Equal ones have a gradient only together, as in their sum."""
    return svd(x, full_matrices=False)[1]
