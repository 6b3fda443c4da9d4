"""Rows of products of matrices and vectors, and of norms."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_np import functional
from tinygrad_np.check.draw import (
    Arguments,
    Rng,
    Shape,
    broadcasts_to,
    distinct,
    filled,
    real,
    some_axes,
    wave,
)
from tinygrad_np.check.rows import Edge, Op

X, Y, CUBE = wave(2, 3), wave(2, 6)[:, ::2], wave(2, 3, 4)
PRODUCTS = [  # every way in which shapes of two operands meet
    *(((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 4)), ((5, 2, 3), (3, 4)), ((2, 3), (5, 3, 4))),
    *(((5, 1, 2, 3), (6, 3, 4)), ((1, 2, 3), (5, 3, 4)), ((5, 2, 3), (3,)), ((3,), (5, 3, 4))),
    *(((2, 0), (0, 4)), ((0, 2, 3), (3, 4))),
    # of equal lengths: there a wrong transpose raises no error
    *((left, right) for left in ((2,), (2, 2), (2, 2, 2)) for right in ((2,), (2, 2), (2, 2, 2))),
]
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
    ("ij->i", ["ij"]),
    ("iijj->ij", ["iijj"]),
    ("...ij", ["bij"]),
    ("...ab,...bc", ["iab", "bc"]),
]
MORE_EINSUMS: list[tuple[str, list[tuple[int, ...]]]] = [
    ("ij->i", [(2, 3)]),
    ("iijj->ij", [(2, 2, 3, 3)]),
    ("...ij", [(2, 3, 4)]),
    ("...ab,...bc", [(2, 3, 4), (4, 2)]),
    ("bhqd,bhkd->bhqk", [(2, 3, 4, 5), (2, 3, 6, 5)]),
    ("...i,...i->...", [(2, 1, 3), (4, 3)]),
    ("i,ij,j->", [(2,), (2, 3), (3,)]),
    ("iij->j", [(3, 3, 2)]),
    ("ijk->k", [(2, 3, 4)]),
    ("ab,cd->abcd", [(2, 3), (1, 2)]),
    ("i...,i...->...i", [(2, 3, 1), (2, 1, 4)]),
]


def matrices(rng: Rng, shape: Shape) -> Arguments:
    """Vectors, matrices, and batches that broadcast."""
    n, k, m = (int(i) for i in rng.integers(0, 4, 3))
    left = (k,) if rng.random() < 0.2 else (*broadcasts_to(rng, shape), n, k)
    right = (
        (k,) if rng.random() < 0.2 else (k, m) if rng.random() < 0.3 else (*broadcasts_to(rng, shape), k, m)
    )
    return [real(rng, left), real(rng, right)], {}


DOTS = [  # a number, or axes of which the last and the last but one, or the only one, have one length
    *(((), (2, 3)), ((2, 3), ()), ((), ()), ((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 2)), ((2, 3), (3, 4))),
    *(((3,), (2, 3, 4)), ((2, 3), (4, 3, 2)), ((2, 2, 3), (3, 2)), ((2, 2, 3), (3,)), ((2, 1, 3), (2, 3, 2))),
    *(((2, 2), (2, 2)), ((2, 2, 2), (2, 2, 2))),
]
TENSORDOTS: list[tuple[Any, ...]] = [
    ((2, 3), (2, 3), 2),
    ((2, 3), (3, 2), 1),
    ((2, 3), (2,), 0),
    ((2, 3, 4), (3, 2, 5), ([1, 0], [0, 1])),
    ((2, 3, 4), (3, 2, 5), ((0,), (1,))),
    ((2, 3), (3, 2), (-1, 0)),
    ((2, 2, 2), (2, 2, 2), ([2, 0], [0, 1])),
    ((), (), 0),
]


def pair(rng: Rng, shape: Shape) -> Arguments:
    return [real(rng, shape), real(rng, shape)], {}


def pair_of_any(rng: Rng, shape: Shape) -> Arguments:
    return [real(rng, shape), real(rng, shape[:1])], {}


def dotted(rng: Rng, shape: Shape) -> Arguments:
    left, right = DOTS[rng.integers(len(DOTS))]
    return [real(rng, left), real(rng, right)], {}


def tensordotted(rng: Rng, shape: Shape) -> Arguments:
    left, right, axes = TENSORDOTS[rng.integers(len(TENSORDOTS))]
    return [real(rng, left), real(rng, right)], {"axes": axes}


def torch_tensordot(torch: Any, x: Any, y: Any, axes: Any) -> Any:
    if isinstance(axes, int):
        return torch.tensordot(x, y, axes)
    return torch.tensordot(x, y, [[a] if isinstance(a, int) else list(a) for a in axes])


def torch_dot(torch: Any, x: Any, y: Any) -> Any:
    return x * y if not x.ndim or not y.ndim else torch.tensordot(x, y, [[-1], [max(y.ndim - 2, 0)]])


def normed(rng: Rng, shape: Shape) -> Arguments:
    ord = [2, 2, 1, 3, 0.5, 1.5, -1, 0, np.inf, -np.inf][rng.integers(10)]
    shape = filled(shape) if ord <= 0 or ord == np.inf else shape
    settings = {"axis": some_axes(rng, shape), "keepdims": bool(rng.integers(2)), "ord": ord}
    return [distinct(rng, shape)], settings


def normed_vectors_and_matrices(rng: Rng, shape: Shape) -> Arguments:
    keepdims = bool(rng.integers(2))
    x = real(rng, filled(shape, 2)) * 2
    if rng.random() < 0.3:
        return [x], {"ord": None, "axis": None, "keepdims": keepdims}
    axes = tuple(int(a) for a in rng.permutation(x.ndim)[: rng.integers(1, 3)])
    if len(axes) == 1:
        return [x], {"ord": [None, 3, 2][rng.integers(3)], "axis": axes[0] - x.ndim, "keepdims": keepdims}
    ord = MATRIX_NORMS[rng.integers(len(MATRIX_NORMS))]
    return [x], {"ord": ord, "axis": axes, "keepdims": keepdims}


MATRIX_NORMS = [None, "fro", 1, -1, np.inf, -np.inf]


def summed_products(rng: Rng, shape: Shape) -> Arguments:
    subscripts, terms = EINSUMS[rng.integers(len(EINSUMS))]
    length = {c: int(rng.integers(4)) for c in "abcijk"}
    return [real(rng, tuple(length[c] for c in term)) for term in terms], {"subscripts": subscripts}


def affine(rng: Rng, shape: Shape) -> Arguments:
    n, m = (int(i) for i in rng.integers(1, 4, 2))
    return [real(rng, (*shape, n)), real(rng, (m, n)), real(rng, (m,))], {}


LINALG = {
    "matmul": Op(
        matrices,
        calls=[(lambda x, y: np.matmul(x, y), [X, Y.T]), (lambda y: np.linalg.matmul(X, y), [CUBE[0]])],
        more=[([wave(*left), wave(*right)], {}) for left, right in PRODUCTS],
    ),
    "einsum": Op(
        summed_products,
        reference=lambda *xs, subscripts: np.einsum(subscripts, *xs),
        torch=lambda torch, *xs, subscripts: torch.einsum(subscripts, *xs),
        calls=[
            (lambda x, y: np.einsum("ij,kj->ik", x, y), [X, Y]),
            (lambda x: np.einsum("ij,j", X, x), [X[0]]),
            (lambda x, y: np.einsum(x, [0, 1], y, [2, 1], [0, 2]), [X, Y]),
            (lambda x, y: np.einsum(x, [30, 1], y, [2, 1]), [X, Y]),  # the letters rise as the numbers do
            (lambda x, y: np.einsum(x, [..., 5, 7], y, [7, 0], [0, ..., 5]), [CUBE, wave(4, 2)]),
            (lambda x, y: np.einsum("ij,kj,kl->il", x, y, Y, optimize=True), [X, Y]),
            (lambda x, y: np.einsum("ij,kj,kl->il", x, y, Y, optimize="optimal"), [X, Y]),
            (
                lambda x, y: np.einsum("ij,kj,kl->il", x, y, Y, optimize=["einsum_path", (1, 2), (0, 1)]),
                [X, Y],
            ),
        ],
        more=[
            ([wave(*shape) for shape in shapes], {"subscripts": subscripts})
            for subscripts, shapes in MORE_EINSUMS
        ],
    ),
    "linear": Op(
        affine,
        reference=lambda x, weight, bias: x @ weight.T + bias,
        torch="nn.functional.linear",
        function=functional.linear,
    ),
    "vector_norm": Op(
        normed,
        reference=lambda x, axis, keepdims, ord: np.linalg.vector_norm(
            x, axis=axis, keepdims=keepdims, ord=ord
        ),
        torch=lambda torch, x, ord=2, axis=None, keepdims=False: torch.linalg.vector_norm(
            x, ord, axis, keepdims
        ),
        analytic=False,
        edges=[
            Edge([[0, 0]], 1, [[0, 0]]),
            Edge([[0, 2]], 1, [[0, 1]], {"ord": 1}),
            Edge([[0, 2]], 1, [[0, 1]], {"ord": 3}),
            Edge([[0, 4]], 1, [[0, 1]], {"ord": 0.5}),
            Edge([[0, 4]], 1, [[0, 0]], {"ord": -1}),
            Edge([[0, 0]], 1, [[0, 0]], {"ord": np.inf}),
            Edge([[3, -3, 1]], 1, [[0.5, -0.5, 0]], {"ord": np.inf}),
            Edge([[3, -1, 1]], 1, [[0, -0.5, 0.5]], {"ord": -np.inf}),
        ],
    ),
    "linalg.norm": Op(
        normed_vectors_and_matrices,
        reference=np.linalg.norm,
        torch=lambda torch, x, ord=None, axis=None, keepdims=False: torch.linalg.norm(x, ord, axis, keepdims),
        analytic=False,
        calls=[
            (lambda x: np.linalg.norm(x), [CUBE]),
            (lambda x: np.linalg.norm(x, 1), [X]),
            (lambda x: np.linalg.norm(x, "fro", keepdims=True), [X]),
            (lambda x: np.linalg.matrix_norm(x, ord=np.inf), [CUBE]),
        ],
        edges=[
            Edge([[[0, 0]]], 1, [[[0, 0]]]),
            Edge([[[1, 2], [2, -1]]], 1, [[[0.5, 0.5], [0.5, -0.5]]], {"ord": 1}),
        ],
        function=np.linalg.norm,
    ),
    "dot": Op(
        dotted,
        torch=torch_dot,
        calls=[
            (lambda x, y: np.dot(x, y), [X, Y.T]),
            (lambda x: np.dot(X.tolist(), x), [X[0]]),
            (lambda x: np.dot(x, 2.0), [X]),
        ],
        more=[([np.ones((2, 0)), np.ones((0, 3))], {}), ([np.ones(0), np.ones(0)], {})],
        function=np.dot,
    ),
    "inner": Op(
        pair,
        torch=lambda torch, x, y: torch.inner(x, y),
        calls=[(lambda x, y: np.inner(x, y), [CUBE, wave(5, 4)]), (lambda x: np.inner(3.0, x), [X])],
        function=np.inner,
    ),
    "vdot": Op(
        pair,
        torch=lambda torch, x, y: torch.vdot(x.flatten(), y.flatten()),
        calls=[(lambda x, y: np.vdot(x, y), [X, wave(6)])],
        function=np.vdot,
    ),
    "outer": Op(
        pair_of_any,
        torch=lambda torch, x, y: torch.outer(x.flatten(), y.flatten()),
        calls=[(lambda x, y: np.linalg.outer(x, y), [X[0], X[:, 0]])],
        function=np.outer,
    ),
    "tensordot": Op(
        tensordotted,
        torch=torch_tensordot,
        more=[([np.ones((2, 0)), np.ones((0, 3))], {"axes": 1})],
        calls=[
            (lambda x, y: np.tensordot(x, y, 1), [X, Y.T]),
            (lambda x, y: np.linalg.tensordot(x, y, axes=((0, 1), (0, 1))), [X, Y]),
        ],
        function=np.tensordot,
    ),
}
