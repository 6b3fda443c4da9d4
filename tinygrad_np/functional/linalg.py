"""Linear algebra composed of primitives, under NumPy's names: products, norms, and what decompositions give."""

from __future__ import annotations

import functools
import math
import operator
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from tinygrad_np.functional.common import as_tensor, check_real, conjugate, floats
from tinygrad_np.ops.decompositions import eigh, inv, pinv, svd
from tinygrad_np.ops.linalg import matmul, vector_norm
from tinygrad_np.ops.reduce import Axis
from tinygrad_np.tape import Array, implements

__all__: list[str] = []


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
    return matmul(np.ravel(conjugate(a)), np.ravel(b))


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
    a, b = as_tensor("tensordot", a), as_tensor("tensordot", b)
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


@implements(np.vecdot, np.linalg.vecdot)
def vecdot(x1: Array, x2: Array, *, axis: int = -1) -> Array:
    """The sum of products of vectors along an axis, counted in each array by itself; the other axes broadcast."""
    x, y = np.moveaxis(conjugate(x1), axis, -1), np.moveaxis(x2, axis, -1)
    if x.shape[-1] != y.shape[-1]:
        raise ValueError(f"the vectors have {x.shape[-1]} and {y.shape[-1]} elements")
    return np.sum(np.multiply(x, y), axis=-1)


def matvec(x1: Array, x2: Array) -> Array:
    """Matrices times vectors, which are in the last axes."""
    if np.ndim(x1) < 2:
        raise ValueError(f"matrices have two axes at least, and not the shape {np.shape(x1)}")
    return matmul(x1, np.expand_dims(x2, -1))[..., 0]


def vecmat(x1: Array, x2: Array) -> Array:
    """Vectors times matrices, which are in the last axes."""
    if np.ndim(x2) < 2:
        raise ValueError(f"matrices have two axes at least, and not the shape {np.shape(x2)}")
    return matmul(np.expand_dims(conjugate(x1), -2), x2)[..., 0, :]


if hasattr(np, "matvec"):  # since NumPy 2.2
    implements(np.matvec)(matvec)
    implements(np.vecmat)(vecmat)


@implements(np.kron)
def kron(a: Array, b: Array) -> Array:
    """Each element of a times all of b, in blocks; an array with fewer axes has ones in front."""
    a, b = as_tensor("kron", a), as_tensor("kron", b)
    n = max(a.ndim, b.ndim)
    left, right = ((*(1,) * (n - x.ndim), *x.shape) for x in (a, b))
    blocks = np.multiply(
        a.reshape(tuple(i for length in left for i in (length, 1))),
        b.reshape(tuple(i for length in right for i in (1, length))),
    )
    return blocks.reshape(tuple(i * j for i, j in zip(left, right, strict=True)))


@implements(np.cross)
def cross(
    a: Array, b: Array, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None
) -> Array:
    """The cross product of vectors of three elements along an axis."""
    if axis is not None:
        axisa = axisb = axisc = axis
    x, y = np.moveaxis(a, axisa, -1), np.moveaxis(b, axisb, -1)
    if x.shape[-1] != 3 or y.shape[-1] != 3:
        raise ValueError(f"the vectors have three elements, not {x.shape[-1]} and {y.shape[-1]}")
    parts = [x[..., i] * y[..., j] - x[..., j] * y[..., i] for i, j in ((1, 2), (2, 0), (0, 1))]
    return np.stack(parts, axis=axisc)


@implements(np.linalg.cross)
def cross_of_vectors(x1: Array, x2: Array, /, *, axis: int = -1) -> Array:
    """`numpy.cross` along one axis of both."""
    return np.cross(x1, x2, axis=axis)


@implements(np.linalg.diagonal)
def diagonal(x: Array, /, *, offset: int = 0) -> Array:
    """The diagonals of matrices."""
    return np.diagonal(x, offset, -2, -1)


@implements(np.linalg.trace)
def trace(x: Array, /, *, offset: int = 0) -> Array:
    """The sums of the diagonals of matrices."""
    return np.trace(x, offset, -2, -1)


@implements(np.linalg.multi_dot)
def multi_dot(arrays: Sequence[Array]) -> Array:
    """The product of matrices in the order that multiplies least; the first and the last may be vectors."""
    xs: list[Array] = [as_tensor("multi_dot", x) for x in arrays]
    if (
        len(xs) < 2
        or xs[0].ndim not in (1, 2)
        or xs[-1].ndim not in (1, 2)
        or any(x.ndim != 2 for x in xs[1:-1])
    ):
        raise ValueError("two matrices at least; the first and the last may be vectors")
    gone = tuple(place for place, x in ((-2, xs[0]), (-1, xs[-1])) if x.ndim == 1)
    xs[0], xs[-1] = (np.expand_dims(x, axis) if x.ndim == 1 else x for x, axis in ((xs[0], 0), (xs[-1], 1)))
    lengths = [*(x.shape[0] for x in xs), xs[-1].shape[1]]

    @functools.cache
    def best(i: int, j: int) -> tuple[int, int]:
        """The fewest multiplications of the matrices i to j, and where the last product parts them."""
        ways = [
            (best(i, k)[0] + best(k + 1, j)[0] + lengths[i] * lengths[k + 1] * lengths[j + 1], k)
            for k in range(i, j)
        ]
        return min(ways, default=(0, i))

    def product(i: int, j: int) -> Array:
        k = best(i, j)[1]
        return xs[i] if i == j else product(i, k) @ product(k + 1, j)

    return np.squeeze(product(0, len(xs) - 1), gone)


@implements(np.linalg.matrix_power)
def matrix_power(a: Array, n: int) -> Array:
    """A square matrix times itself n times; its inverse of a negative n."""
    if not isinstance(n, int | np.integer):
        raise TypeError(f"the power is a whole number, not {n!r}")
    if a.ndim < 2 or a.shape[-1] != a.shape[-2]:
        raise ValueError(f"the matrix is square, not of shape {list(a.shape)}")
    if n < 0:
        a, n = inv(a), -n
    power = (
        None if n else np.broadcast_to(as_tensor("matrix_power", np.eye(len(a.T), dtype=a.dtype)), a.shape)
    )
    while n:
        if n % 2:
            power = a if power is None else power @ a
        n //= 2
        if n:
            a = a @ a
    return power


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
    reduce: Any = {2: np.max, -2: np.min, "nuc": np.sum}[ord]
    y = reduce(values, axis=-1)
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


@implements(np.linalg.tensorinv)
def tensorinv(a: Array, ind: int = 2) -> Array:
    """The inverse of what takes the last axes to the first `ind` ones, as in ``tensordot(a, x, x.ndim)``."""
    if ind <= 0:
        raise ValueError(f"ind is 1 or more, not {ind}")
    first, last = a.shape[:ind], a.shape[ind:]
    return inv(np.reshape(a, (math.prod(first), math.prod(last)))).reshape((*last, *first))


@implements(np.linalg.tensorsolve)
def tensorsolve(a: Array, b: Array, axes: Sequence[int] | None = None) -> Array:
    """x with ``tensordot(a, x, x.ndim) == b``; `axes` of a are moved to its end first."""
    a, b = as_tensor("tensorsolve", a), as_tensor("tensorsolve", b)
    if axes is not None:
        moved = normalize_axis_tuple(axes, a.ndim)
        a = np.transpose(a, (*(i for i in range(a.ndim) if i not in moved), *moved))
    last = a.shape[b.ndim :]
    return np.linalg.solve(a.reshape(b.size, math.prod(last)), b.reshape(-1)).reshape(last)


@implements(np.linalg.cond)
def cond(x: Array, p: Any = None) -> Array:
    """The condition number: the norm of a matrix times that of its inverse. It is inf, and sends back 0, where the
    smallest singular value is 0; in other norms a singular matrix is refused."""
    if p not in (None, 2, -2):
        return np.linalg.norm(x, p, (-2, -1)) * np.linalg.norm(inv(x), p, (-2, -1))
    values = svdvals(x)
    above, below = (values[..., -1], values[..., 0]) if p == -2 else (values[..., 0], values[..., -1])
    zero = below.data == 0
    return np.where(zero, np.inf, above / np.where(zero, 1, below))


@implements(np.linalg.lstsq)
def lstsq(a: Array, b: Array, rcond: float | None = None) -> tuple[Array, Array, Any, Array]:
    """The x for which a x is nearest to b, the shortest of several; sums of squares left over, as NumPy gives them;
    the rank, a number; the singular values. See `pinv` about the gradient where the rank is not full."""
    a, b = floats("lstsq", a), floats("lstsq", b)
    m, n = a.shape[-2:]
    eps = np.finfo(a.dtype).eps
    cutoff = eps * max(m, n) if rcond is None else eps if rcond < 0 else rcond
    values = svdvals(a)
    rank = np.sum(values.data > cutoff * values.data.max(axis=-1, keepdims=True, initial=0), axis=-1)
    x = pinv(a, rtol=cutoff) @ b
    left = np.sum(np.square(b - a @ x), axis=-1 if b.ndim == 1 else -2)
    left = left.reshape(-1) if b.ndim == 1 else left
    return x, (left if m > n and np.all(rank == n) else left.reshape(-1)[:0]), rank, values


# --- statistics ---------------------------------------------------------------------------------------


@implements(np.cov)
def cov(
    m: Array,
    y: Array | None = None,
    rowvar: bool = True,
    bias: bool = False,
    ddof: int | None = None,
    fweights: Any = None,
    aweights: Any = None,
) -> Array:
    """The covariances of variables, a row each unless `rowvar` is false, over observations, weighted or not."""
    xs = [floats("cov", x) for x in (m, y) if x is not None]
    check_real("cov", *xs)
    if any(x.ndim > 2 for x in xs):
        raise ValueError("variables and observations are two axes at most")
    rows = [x.reshape(1, x.size) if x.ndim < 2 else x if rowvar else x.T for x in xs]
    x = np.concatenate(rows) if len(rows) > 1 else rows[0]
    n = x.shape[1]
    given = [as_tensor("cov", w).astype(x.dtype) for w in (fweights, aweights) if w is not None]
    if any(w.shape != (n,) or np.any(w < 0) for w in given):
        raise ValueError(f"the weights are a number for each of {n} observations, and none below 0")
    weights: Array = math.prod(given, start=np.ones(n, x.dtype))
    lost = (0 if bias else 1) if ddof is None else ddof
    total = np.sum(weights)
    if lost and aweights is not None:
        lost = lost * np.sum(weights * given[-1]) / total
    if total - lost <= 0:
        warnings.warn("Degrees of freedom <= 0 for slice", RuntimeWarning, stacklevel=4)
    centred = x - np.sum(x * weights, axis=1, keepdims=True) / total
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.squeeze((centred * weights) @ centred.T / np.maximum(total - lost, 0))


@implements(np.corrcoef)
def corrcoef(x: Array, y: Array | None = None, rowvar: bool = True) -> Array:
    """The covariances of `numpy.cov`, each divided by the two standard deviations."""
    c = cov(x, y, rowvar)
    if not c.ndim:
        return c / c
    deviations = np.sqrt(np.diagonal(c))
    return np.clip(c / np.expand_dims(deviations, 1) / deviations, -1, 1)


@implements(np.vander)
def vander(x: Array, N: int | None = None, increasing: bool = False) -> Array:
    """The powers of each element of a vector, N of them, falling from N - 1 to 0, or rising."""
    if x.ndim != 1:
        raise ValueError(f"x has one axis, and not the shape {list(x.shape)}")
    powers = np.arange(len(x) if N is None else operator.index(N)).astype(floats("vander", x).dtype)
    return np.expand_dims(x, 1) ** (powers if increasing else powers[::-1])
