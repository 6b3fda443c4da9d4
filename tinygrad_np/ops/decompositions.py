"""Inverses, determinants and decompositions of real matrices in the last two axes; those before are batches.

A gradient that is not determined is refused: of eigenvectors and singular vectors whose values are equal up to
rounding, of the logarithm of 0, of a QR without full rank. What reads one triangle of a symmetric matrix
(`cholesky`, `eigh`) sends back a symmetric gradient. The derivations are those of Giles, "Collected matrix
derivative results for forward and reverse mode algorithmic differentiation" (2008), unless a rule names another.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_np.tape import Array, MultiRule, Rule, implements, primitive

# What NumPy returns several results in.
RESULTS: dict[str, Any] = {
    f.__name__: type(f(np.eye(1))) for f in (np.linalg.eigh, np.linalg.qr, np.linalg.slogdet, np.linalg.svd)
}


def transposed(x: Array) -> Array:
    """The transpose of each matrix."""
    return np.swapaxes(x, -1, -2)


def spread(x: Array) -> Array:
    """A number for each matrix, with axes to multiply that matrix by it."""
    return np.expand_dims(x, (-2, -1))


@primitive(np.linalg.inv)
def inv(x: Array) -> Rule:
    """The inverse: dL/dX = -X^-T g X^-T."""
    y = np.linalg.inv(x)
    return y, (lambda g: -(transposed(y) @ g @ transposed(y)),)


@primitive(np.linalg.solve)
def solve(a: Array, b: Array) -> Rule:
    """x with a x = b, for a vector b of one axis or for matrices b: dL/db = a^-T g and dL/da = -(dL/db) x^T."""
    x = np.linalg.solve(a, b)
    is_vector = b.ndim == 1

    def vjp(g: Array) -> list[Array]:
        column, y = (np.expand_dims(g, -1), np.expand_dims(x, -1)) if is_vector else (g, x)
        of_b = np.linalg.solve(transposed(a), column)
        return [-(of_b @ transposed(y)), of_b[..., 0] if is_vector else of_b]

    return x, vjp


@primitive(np.linalg.det)
def det(x: Array) -> Rule:
    """The determinant: dL/dX = g det(X) X^-T, which are the cofactors; of a singular matrix too, once."""
    y = np.linalg.det(x)

    def vjp(g: Array) -> Array:
        if np.all(y):
            return spread(g * y) * transposed(np.linalg.inv(x))
        if not isinstance(x, np.ndarray):
            raise ValueError("a matrix is singular, and there the determinant has no second derivative here")
        return spread(g) * cofactors(x)

    return y, (vjp,)


def cofactors(x: np.ndarray) -> np.ndarray:
    """The cofactors of any matrix, det(U V^T) U diag(products of all singular values but one) V^T."""
    u, s, vh = np.linalg.svd(x)
    others = np.prod(np.where(np.eye(s.shape[-1], dtype=bool), 1, s[..., np.newaxis, :]), axis=-1)
    result: np.ndarray = spread(np.linalg.det(u) * np.linalg.det(vh)) * (u * others[..., np.newaxis, :] @ vh)
    return result


@primitive()
def slogdet(x: Array) -> MultiRule:
    """The sign of the determinant, and the logarithm of its size: of that dL/dX = g X^-T."""
    sign, logarithm = np.linalg.slogdet(x)

    def vjp(gs: list[Array | None]) -> list[Array | None]:
        if (g := gs[1]) is None:
            return [None]
        singular = sign == 0
        if np.any(singular & (g != 0)):
            raise ValueError("a matrix is singular, and the logarithm of 0 has no derivative")
        regular = np.where(spread(singular), np.eye(x.shape[-1], dtype=x.dtype), x) if np.any(singular) else x
        return [spread(g) * transposed(np.linalg.inv(regular))]

    return (sign, logarithm), vjp


@primitive()
def pinv(x: Array, *, rtol: Any = 1e-15, hermitian: bool = False) -> Rule:
    """The pseudo-inverse P (Golub and Pereyra, 1973, theorem 4.3), for matrices whose rank does not change:
    dP = -P dX P + P P^T dX^T (1 - X P) + (1 - P X) dX^T P^T P.

    Singular values that `rtol` cuts off are taken for 0; where they are larger, the derivative is only near.
    """
    p = np.linalg.pinv(x, rtol=rtol, hermitian=hermitian)

    def vjp(g: Array) -> Array:
        pt, gt = transposed(p), transposed(g)
        left, right = gt - x @ (p @ gt), gt - (gt @ p) @ x
        return left @ p @ pt + pt @ p @ right - pt @ g @ pt

    return p, (vjp,)


@primitive(np.linalg.cholesky)
def cholesky(x: Array, *, upper: bool = False) -> Rule:
    """The lower triangle L with L L^T = X (or its transpose): dL/dX = L^-T sym(Φ(L^T g)) L^-1, where Φ takes the
    lower triangle and half of the diagonal (Murray, "Differentiation of the Cholesky decomposition", 2016)."""
    y = np.linalg.cholesky(x, upper=upper)

    def vjp(g: Array) -> Array:
        lower_t, g = (y, transposed(g)) if upper else (transposed(y), g)
        n, dtype = y.shape[-1], y.dtype
        product = lower_t @ g * (np.tri(n, dtype=dtype) - np.eye(n, dtype=dtype) / 2)
        half = np.linalg.solve(lower_t, (product + transposed(product)) / 2)
        return np.linalg.solve(lower_t, transposed(half))

    return y, (vjp,)


def rounding(values: Array) -> Array:
    """What is no larger is 0 beside these values of a matrix, up to rounding."""
    n, eps = values.shape[-1], np.finfo(values.dtype).eps
    return n * eps * np.sqrt(np.sum(values * values, axis=-1, keepdims=True))


def over_gaps(numerators: Array, values: Array, g: Array) -> Array:
    """The numerators ij over values j - i; `g` is the gradient of the vectors, column by column.

    Where neither of two vectors has a gradient, and on the diagonal, the numerator is 0, and remains so.

    Refused where two values are equal up to rounding, and the gradient of one of their vectors is not 0.
    """
    gaps = np.expand_dims(values, -2) - np.expand_dims(values, -1)
    equal = np.absolute(gaps) <= np.expand_dims(rounding(values), -1)
    used = np.any(g != 0, axis=-2)
    others = ~np.eye(values.shape[-1], dtype=bool)
    if np.any(equal & others & (used[..., np.newaxis] | used[..., np.newaxis, :])):
        raise ValueError(
            "two values are equal up to rounding, so that their vectors, and the gradient through these, are not "
            "determined; use the values alone, or what depends on them all"
        )
    return numerators / np.where(equal, 1, gaps)


@primitive()
def eigh(x: Array, *, UPLO: Any = "L") -> MultiRule:
    """Eigenvalues w, rising, and eigenvectors V of symmetric matrices, of which one triangle is read:
    dL/dX = V (diag(gw) + (V^T gV - gV^T V) / 2(w_j - w_i)) V^T."""
    w, v = np.linalg.eigh(x, UPLO=UPLO)

    def vjp(gs: list[Array | None]) -> list[Array]:
        g_w, g_v = gs
        inside = 0 if g_w is None else np.expand_dims(g_w, -1) * np.eye(w.shape[-1], dtype=w.dtype)
        if g_v is not None:
            turns = transposed(v) @ g_v
            inside = inside + over_gaps((turns - transposed(turns)) / 2, w, g_v)
        return [v @ inside @ transposed(v)]

    return (w, v), vjp


@primitive()
def svd(x: Array, *, full_matrices: bool = True) -> MultiRule:
    """U, the singular values s, falling, and V^T, with U diag(s) V^T = X (Townsend, "Differentiating the singular
    value decomposition", 2016): dL/dX = U (diag(gs) + K_U S + S K_V) V^T and what lies outside of U and V.

    K = (U^T gU - gU^T U) / (s_j^2 - s_i^2), and for V alike. A value of 0 sends back its vectors' U V^T.
    """
    u, s, vh = np.linalg.svd(x, full_matrices=full_matrices)
    k = s.shape[-1]

    def vjp(gs: list[Array | None]) -> list[Array]:
        left, right = u[..., :k], transposed(vh[..., :k, :])
        g_u, g_s, g_v = gs[0], gs[1], None if gs[2] is None else transposed(gs[2])
        row = np.expand_dims(s, -2)
        inside = 0 if g_s is None else np.expand_dims(g_s, -1) * np.eye(k, dtype=s.dtype)
        outside = 0
        if g_u is not None:
            turns, beyond = turned(left, s, g_u)
            inside, outside = inside + turns * row, beyond @ transposed(right)
        if g_v is not None:
            turns, beyond = turned(right, s, g_v)
            inside, outside = inside + transposed(row) * turns, outside + left @ transposed(beyond)
        return [left @ inside @ transposed(right) + outside]

    return (u, s, vh), vjp


def turned(vectors: Array, s: Array, g: Array) -> tuple[Array, Array]:
    """How singular vectors turn among themselves, K of `svd`, and out of the space that they span."""
    k = s.shape[-1]
    if np.any(g[..., k:] != 0):
        raise ValueError("vectors beyond the singular values are not determined; give full_matrices=False")
    g = g[..., :k]
    among = transposed(vectors) @ g
    sums = np.expand_dims(s, -2) + np.expand_dims(s, -1)
    turns = over_gaps(among - transposed(among), s, g) / np.where(sums == 0, 1, sums)
    if vectors.shape[-2] == k:
        return turns, 0 * g
    zero = s <= rounding(s)
    if np.any(zero & np.any(g != 0, axis=-2)):
        raise ValueError("a singular value is 0 up to rounding, and its vectors are not determined")
    return turns, (g - vectors @ among) / np.expand_dims(np.where(zero, 1, s), -2)


@primitive()
def qr(x: Array) -> MultiRule:
    """Q with orthonormal columns and an upper triangle R, Q R = X: dL/dX = (gQ + Q copyltu(R gR^T - gQ^T Q)) R^-T,
    where copyltu copies the lower triangle to the upper (Walter and Lehmann, "Algorithmic differentiation of linear
    algebra functions with application in optimum experimental design", 2010). Of a wide X the first square part
    makes Q, and the rest of R is Q^T times the rest of X."""
    q, r = np.linalg.qr(x)
    rows = q.shape[-1]

    def vjp(gs: list[Array | None]) -> list[Array]:
        g_q, g_r = (np.zeros_like(y) if g is None else g for g, y in zip(gs, (q, r), strict=True))
        square = r[..., :rows]
        pivots = np.absolute(np.diagonal(square, axis1=-2, axis2=-1))
        if np.any(pivots <= rounding(pivots)):
            raise ValueError("the first columns depend on each other, and then Q is not determined")
        g_q = g_q + x[..., rows:] @ transposed(g_r[..., rows:])
        lower = (square @ transposed(g_r[..., :rows]) - transposed(g_q) @ q) * np.tri(rows, dtype=q.dtype)
        copied = lower + transposed(lower) * (1 - np.tri(rows, dtype=q.dtype))
        of_square = transposed(np.linalg.solve(square, transposed(g_q + q @ copied)))
        return [np.concatenate([of_square, q @ g_r[..., rows:]], axis=-1)]

    return (q, r), vjp


@implements(np.linalg.slogdet)
def numpy_slogdet(a: Array) -> Any:
    """`slogdet` with its results in what NumPy returns."""
    return RESULTS["slogdet"](*slogdet(a))


@implements(np.linalg.pinv)
def numpy_pinv(a: Array, rcond: Any = None, hermitian: bool = False, *, rtol: Any = 1e-15) -> Array:
    """`pinv` with what is cut off under NumPy's older name, `rcond`, too."""
    return pinv(a, rtol=rtol if rcond is None else rcond, hermitian=hermitian)


@implements(np.linalg.eigh)
def numpy_eigh(a: Array, UPLO: str = "L") -> Any:
    """`eigh` with its results in what NumPy returns."""
    return RESULTS["eigh"](*eigh(a, UPLO=UPLO))


@implements(np.linalg.svd)
def numpy_svd(a: Array, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False) -> Any:
    """`svd` with its results in what NumPy returns."""
    if hermitian:
        raise TypeError("hermitian=True has no rule; leave it out, or use np.linalg.eigh")
    return (
        RESULTS["svd"](*svd(a, full_matrices=full_matrices)) if compute_uv else svd(a, full_matrices=False)[1]
    )


@implements(np.linalg.qr)
def numpy_qr(a: Array, mode: str = "reduced") -> Any:
    """`qr` with its results in what NumPy returns; "complete" where that is the same as "reduced"."""
    if mode not in ("reduced", "r") and not (mode == "complete" and a.shape[-2] <= a.shape[-1]):
        raise ValueError(f"mode={mode!r} of matrices {list(a.shape[-2:])} has no rule; give 'reduced' or 'r'")
    return qr(a)[1] if mode == "r" else RESULTS["qr"](*qr(a))
