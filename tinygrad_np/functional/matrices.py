"""Linear algebra under PyTorch's names, where NumPy has none: sums with products, distances, solving by factors."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_np.errors import names_itself
from tinygrad_np.functional.common import as_tensor, floats
from tinygrad_np.ops.decompositions import solve, transposed
from tinygrad_np.ops.linalg import vector_norm as p_norm
from tinygrad_np.ops.reduce import Axis
from tinygrad_np.tensor import Tensor
from tinygrad_np.torch_names import torch_named, torch_parameters

__all__ = [
    "addbmm",
    "addmm",
    "addmv",
    "addr",
    "baddbmm",
    "cdist",
    "cholesky_inverse",
    "cholesky_solve",
    "dist",
    "logdet",
    "matrix_exp",
    "matrix_norm",
    "norm",
    "pairwise_distance",
    "pdist",
    "renorm",
    "solve_triangular",
    "vector_norm",
]


# --- sums with products -------------------------------------------------------------------------------


@torch_named
def addmm(x: Tensor, mat1: Tensor, mat2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta x + alpha mat1 @ mat2; with beta = 0 x is not looked at."""
    product = as_tensor("addmm", mat1) @ as_tensor("addmm", mat2)
    scaled = product if alpha == 1 else alpha * product
    return scaled if beta == 0 else beta * as_tensor("addmm", x) + scaled


@torch_named
def addmv(x: Tensor, mat: Tensor, vec: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta x + alpha mat @ vec."""
    return addmm(x, mat, vec, beta=beta, alpha=alpha)


@torch_named
def baddbmm(x: Tensor, batch1: Tensor, batch2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta x + alpha batch1 @ batch2, of batches of matrices."""
    return addmm(x, batch1, batch2, beta=beta, alpha=alpha)


@torch_named
def addbmm(x: Tensor, batch1: Tensor, batch2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta x + alpha times the sum of all products of a batch."""
    rows, columns = (as_tensor("addbmm", y) for y in (batch1, batch2))
    left: Any = np.swapaxes(rows, 0, 1).reshape(rows.shape[1], rows.shape[0] * rows.shape[2])
    return addmm(x, left, columns.reshape(left.shape[1], columns.shape[2]), beta=beta, alpha=alpha)


@torch_named
def addr(x: Tensor, vec1: Tensor, vec2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta x + alpha times the outer product of two vectors."""
    column: Any = np.expand_dims(as_tensor("addr", vec1), 1)
    row: Any = np.expand_dims(as_tensor("addr", vec2), 0)
    return addmm(x, column, row, beta=beta, alpha=alpha)


# --- norms and distances ------------------------------------------------------------------------------


@torch_parameters
def vector_norm(x: Tensor, ord: float = 2, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """`numpy.linalg.vector_norm` with PyTorch's order of arguments."""
    return p_norm(floats("vector_norm", x), axis=axis, keepdims=keepdims, ord=ord)


@torch_parameters
def matrix_norm(x: Tensor, ord: Any = "fro", axis: Any = (-2, -1), keepdims: bool = False) -> Tensor:
    """`numpy.linalg.norm` of the matrices in two axes."""
    norms: Tensor = np.linalg.norm(as_tensor("matrix_norm", x), ord, tuple(axis), keepdims)
    return norms


@torch_named
def norm(x: Tensor, p: Any = "fro", axis: Any = None, keepdims: bool = False) -> Tensor:
    """The p-norm over axes, all unless told, "fro" is 2; or "nuc", the sum of the singular values of matrices.

    It takes several axes for one: ``np.linalg.norm(x, 2)`` is another norm of a matrix.
    """
    x = floats("norm", x)
    axis = None if not x.ndim else tuple(axis) if isinstance(axis, list) else axis  # a number has any axis
    if p == "nuc":
        return matrix_norm(x, p, range(x.ndim) if axis is None else axis, keepdims)
    return p_norm(x, axis=axis, keepdims=keepdims, ord=2 if p in ("fro", None) else p)


@torch_named
def dist(x: Tensor, other: Tensor, p: float = 2) -> Tensor:
    """The p-norm of x - other."""
    return p_norm(floats("dist", x) - other, ord=p)


@names_itself
def cdist(x1: Tensor, x2: Tensor, p: float = 2, compute_mode: str | None = None) -> Tensor:
    """The p-norms of the differences of all rows: (..., P, M) and (..., R, M) give (..., P, R).

    `compute_mode` is taken, and the differences themselves are always computed.
    """
    rows, columns = np.expand_dims(floats("cdist", x1), -2), np.expand_dims(floats("cdist", x2), -3)
    return p_norm(rows - columns, axis=-1, ord=p)


@names_itself
def pdist(x: Tensor, p: float = 2) -> Tensor:
    """The p-norms of the differences of all pairs of rows of a matrix, in the order 01, 02, ... 12, ..."""
    x = floats("pdist", x)
    first, second = np.triu_indices(len(x), 1)
    return p_norm(x[first] - x[second], axis=-1, ord=p)


@torch_parameters
def pairwise_distance(
    x1: Tensor, x2: Tensor, p: float = 2, eps: float = 1e-6, keepdims: bool = False
) -> Tensor:
    """The p-norm over the last axis of x1 - x2 + eps."""
    return p_norm(floats("pairwise_distance", x1) - x2 + eps, axis=-1, keepdims=keepdims, ord=p)


@torch_named
def renorm(x: Tensor, p: float, axis: int, maxnorm: float) -> Tensor:
    """x with each part along an axis whose p-norm is larger than `maxnorm` scaled down to it."""
    x = floats("renorm", x)
    others = tuple(i for i in range(x.ndim) if i != axis % x.ndim)
    norms = p_norm(x, axis=others, keepdims=True, ord=p)
    factors: Any = np.where(norms > maxnorm, maxnorm / (norms + 1e-7), 1)
    scaled: Tensor = x * factors
    return scaled


# --- determinants, factors, the exponential -----------------------------------------------------------


@torch_named
def logdet(x: Tensor) -> Tensor:
    """The logarithm of the determinant: -inf where it is 0, NaN where it is below."""
    sign, logarithm = np.linalg.slogdet(floats("logdet", x))
    result: Any = np.where(sign.data < 0, np.nan, logarithm)
    return result  # type: ignore[no-any-return]


@torch_named
def cholesky_solve(x: Tensor, factor: Tensor, upper: bool = False) -> Tensor:
    """The y with L L^T y = x, for the whole matrix L = `factor`; with R^T R of an upper one."""
    factor = floats("cholesky_solve", factor)
    lower = transposed(factor) if upper else factor
    return solve(transposed(lower), solve(lower, floats("cholesky_solve", x)))


@torch_named
def cholesky_inverse(factor: Tensor, upper: bool = False) -> Tensor:
    """The inverse of L L^T, for the whole matrix L = `factor`; of R^T R of an upper one."""
    factor = floats("cholesky_inverse", factor)
    return cholesky_solve(Tensor(np.eye(factor.shape[-1], dtype=factor.dtype)), factor, upper)


@names_itself
def solve_triangular(
    A: Tensor, B: Tensor, *, upper: bool, left: bool = True, unitriangular: bool = False
) -> Tensor:
    """X with A X = B, or X A = B, for a triangle of A alone, whose diagonal is 1 if it is `unitriangular`."""
    matrix: Any = floats("solve_triangular", A)
    B = floats("solve_triangular", B)
    if matrix.ndim < 2 or B.ndim < 2:
        raise ValueError(f"solve_triangular takes matrices, not shapes {matrix.shape} and {B.shape}")
    matrix = np.triu(matrix) if upper else np.tril(matrix)
    if unitriangular:
        eye = np.eye(matrix.shape[-1], dtype=matrix.dtype)
        matrix = np.where(eye == 1, eye, matrix)  # whatever stands on its diagonal, infinities too
    y: Tensor = solve(matrix, B) if left else transposed(solve(transposed(matrix), transposed(B)))
    return y


@torch_named
def matrix_exp(x: Tensor) -> Tensor:
    """The exponential of square matrices, sum x^k / k!: the series of x / 2^s, small enough, squared s times.

    Each matrix of a batch has its own s: of a small one squarings would cost digits.
    """
    x = floats("matrix_exp", x)
    if x.ndim < 2 or x.shape[-1] != x.shape[-2]:
        raise ValueError(f"the matrices are square, not of shape {list(x.shape)}")
    largest = np.max(np.sum(np.absolute(x.data), axis=-1), axis=-1, initial=0)[..., None, None]
    known = np.where((largest > 0) & (largest < np.inf), largest, 0.25)
    squarings = np.maximum(0, np.ceil(np.log2(known)) + 1)
    small, eye = x * np.exp2(-squarings).astype(x.dtype), np.eye(x.shape[-1], dtype=x.dtype)
    result: Any = small / 18 + eye
    for k in range(17, 0, -1):
        result = small @ result / k + eye
    for left in range(int(np.max(squarings, initial=0)), 0, -1):
        result = np.where(squarings >= left, result @ result, result)
    return result  # type: ignore[no-any-return]
