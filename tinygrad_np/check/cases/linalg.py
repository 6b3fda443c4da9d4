"""Rows of matrix products."""

from __future__ import annotations

import numpy as np

from tinygrad_np import functional
from tinygrad_np.check.draw import Arguments, Rng, Shape, broadcasts_to, real, wave
from tinygrad_np.check.rows import Op

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
        calls=[(lambda x, y: np.matmul(x, y), [X, Y.T]), (lambda y: np.matmul(X[0], y), [CUBE[0]])],
        more=[([wave(*left), wave(*right)], {}) for left, right in PRODUCTS],
    ),
    "einsum": Op(
        summed_products,
        reference=lambda *xs, subscripts: np.einsum(subscripts, *xs),
        torch=lambda torch, *xs, subscripts: torch.einsum(subscripts, *xs),
        calls=[
            (lambda x, y: np.einsum("ij,kj->ik", x, y), [X, Y]),
            (lambda x: np.einsum("ij,j", X, x), [X[0]]),
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
}
