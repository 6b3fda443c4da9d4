"""Rows of products of matrices and vectors, and of norms."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import partial
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
    nonzero,
    positive,
    real,
    some_axes,
    wave,
)
from tinygrad_np.check.rows import Edge, Op

X, Y, CUBE = wave(2, 3), wave(2, 6)[:, ::2], wave(2, 3, 4)
VECDOT: Any = np.vecdot  # the types of both know no `axis`
LINALG_VECDOT: Any = np.linalg.vecdot
NORM: Any = np.linalg.norm
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
    # here and below: NumPy adds up in another order, and of numbers above 0 nothing cancels
    return [positive(rng, shape), positive(rng, shape)], {}


def pair_of_any(rng: Rng, shape: Shape) -> Arguments:
    return [positive(rng, shape), positive(rng, shape[:1])], {}


def dotted(rng: Rng, shape: Shape) -> Arguments:
    left, right = DOTS[rng.integers(len(DOTS))]
    return [positive(rng, left), positive(rng, right)], {}


def tensordotted(rng: Rng, shape: Shape) -> Arguments:
    left, right, axes = TENSORDOTS[rng.integers(len(TENSORDOTS))]
    return [positive(rng, left), positive(rng, right)], {"axes": axes}


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


P = [1, 2, 3, 1.5]
UNLIKE = 1 - np.eye(3)  # beside the diagonal, which is 1


def pair_of_vectors(rng: Rng, shape: Shape) -> Arguments:
    shape = filled(shape, 1)
    return [positive(rng, shape), positive(rng, shape)], {"axis": int(rng.integers(-len(shape), len(shape)))}


def crossed(rng: Rng, shape: Shape) -> Arguments:
    shape, axis = shape[:2], int(rng.integers(len(shape[:2]) + 1))
    shape = (*shape[:axis], 3, *shape[axis:])
    return [real(rng, shape), real(rng, shape)], {"axis": axis - len(shape) * int(rng.integers(2))}


def chained(rng: Rng, shape: Shape) -> Arguments:
    lengths = [int(n) for n in rng.integers(1, 5, rng.integers(3, 7))]
    return [real(rng, pair) for pair in itertools.pairwise(lengths)], {}


def square(rng: Rng, shape: Shape) -> np.ndarray:
    n = int(rng.integers(1, 4))
    return real(rng, (*shape[:2], n, n))


def observed(rng: Rng, shape: Shape) -> Arguments:
    n = int(rng.integers(2, 6))
    weights = rng.integers(1, 4, n) if rng.random() < 0.4 else None
    importance = rng.uniform(0.5, 2, n) if rng.random() < 0.4 else None
    static = {"ddof": int(rng.integers(2)), "fweights": weights, "aweights": importance}
    return [real(rng, (int(rng.integers(1, 4)), n))], static


def pair_and_p(rng: Rng, shape: Shape) -> Arguments:
    x = distinct(rng, filled(shape))
    return [x, x + nonzero(rng, filled(shape))], {"p": P[rng.integers(len(P))]}


def rows_of_two(rng: Rng, shape: Shape) -> Arguments:
    x = distinct(rng, (*shape[:1], 6, 3))
    return [x[..., :2, :], x[..., 2:, :]], {"p": P[rng.integers(len(P))]}


def renormed(x: np.ndarray, p: float, axis: int, maxnorm: float) -> np.ndarray:
    norms = np.sum(np.abs(x) ** p, axis=tuple(range(x.ndim - 1)), keepdims=True) ** (1 / p)
    return x * np.where(norms > maxnorm, maxnorm / (norms + 1e-7), 1)


def added(shapes: Sequence[Shape], rng: Rng, shape: Shape) -> Arguments:
    first, *others = shapes
    static = {"beta": [0.5, 1.0][rng.integers(2)], "alpha": [2.0, 1.0][rng.integers(2)]}
    return [real(rng, s) for s in (broadcasts_to(rng, first), *others)], static


def sum_with_product(product: Any, x: Any, y: Any, z: Any, beta: float, alpha: float) -> np.ndarray:
    total: np.ndarray = beta * x + alpha * product(y, z)
    return total


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
            Edge([[np.inf, 1]], 0, [[0, 0]], torch="differs"),
            Edge([[np.inf, 1]], 1, [[np.nan, 0]]),
            Edge([[np.nan, 1]], 0, [[0, 0]], {"ord": np.inf}),
            Edge([[np.nan, 1]], 1, [[np.nan, 0]], {"ord": np.inf}, torch="differs"),
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
            (lambda x: NORM(x, "fro", keepdims=True), [X]),
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
        analytic=False,  # of complex numbers it takes the conjugate
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
    "vecdot": Op(
        pair_of_vectors,
        reference=lambda x, y, axis: np.sum(x * y, axis=axis),
        torch=lambda torch, x, y, axis: torch.linalg.vecdot(x, y, dim=axis),
        calls=[
            (lambda x, y: LINALG_VECDOT(x, y, axis=0), [X, Y]),
            (lambda x, y: VECDOT(x, y, axis=-2), [CUBE, wave(3, 4)]),
        ],
        function=np.vecdot,
        analytic=False,  # of complex numbers it takes the conjugate
    ),
    "kron": Op(
        pair_of_any,
        torch=lambda torch, x, y: torch.kron(x.contiguous(), y.contiguous()),  # else it may fail
        calls=[(lambda x, y: np.kron(x, y), [X[0], CUBE])],
        function=np.kron,
    ),
    "cross": Op(
        crossed,
        torch=lambda torch, x, y, axis: torch.linalg.cross(x, y, dim=axis),
        calls=[
            (lambda x, y: np.cross(x, y), [X, Y]),
            (lambda x, y: np.cross(x, y, 0, -1, 0), [CUBE[0], wave(4, 3)]),
            (lambda x, y: np.linalg.cross(x, y), [X, Y]),
        ],
        function=np.cross,
    ),
    "multi_dot": Op(
        chained,
        reference=lambda *xs: np.linalg.multi_dot(xs),
        torch=lambda torch, *xs: torch.linalg.multi_dot(xs),
        calls=[
            (lambda x: np.linalg.multi_dot([x, Y.T, x[0][:2]]), [X]),
            (lambda x: np.linalg.multi_dot([x[0], Y.T, x[:, 1]]), [X]),
        ],
        function=lambda *xs: np.linalg.multi_dot(xs),
    ),
    "matrix_power": Op(
        lambda rng, shape: ([square(rng, shape)], {"n": int(rng.integers(1, 6))}),
        reference=np.linalg.matrix_power,
        torch="linalg.matrix_power",
        calls=[
            (lambda x: np.linalg.matrix_power(x, -3), [CUBE[:, :, :3] + 2 * np.eye(3)]),
            (lambda x: x + np.linalg.matrix_power(x, 0), [CUBE[:, :, :3]]),
        ],
        function=lambda x, n: np.linalg.matrix_power(x, n),
    ),
    "linalg.trace": Op(
        lambda rng, shape: ([real(rng, filled(shape, 2))], {"offset": int(rng.integers(-1, 2))}),
        reference=lambda x, offset: np.linalg.trace(x, offset=offset),
        torch=None,
        calls=[(lambda x: np.linalg.diagonal(x, offset=1), [CUBE])],
        function=np.linalg.trace,
    ),
    "cov": Op(
        observed,
        torch=lambda torch, x, ddof, fweights, aweights: torch.cov(
            x,
            correction=ddof,
            fweights=None if fweights is None else torch.from_numpy(fweights),
            aweights=None if aweights is None else torch.from_numpy(aweights),
        ),
        calls=[
            (lambda x, y: np.cov(x, y), [X[0], Y[0]]),
            (lambda x: np.cov(x, rowvar=False, bias=True), [wave(4, 2)]),
            (lambda x: np.corrcoef(x) * UNLIKE, [wave(3, 5) ** 2]),
        ],
        analytic=False,
        function=lambda x, **static: np.cov(x, **static),
    ),
    "vander": Op(
        lambda rng, shape: (
            [real(rng, shape[:1] or (2,))],
            {"N": int(rng.integers(2, 5)), "increasing": bool(rng.integers(2))},
        ),
        torch=lambda torch, x, N, increasing: torch.stack(
            [x**k for k in (range(N) if increasing else range(N - 1, -1, -1))], -1
        ),
        function=np.vander,
        calls=[(lambda x: np.vander(x), [X[0]])],
    ),
    "norm": Op(
        lambda rng, shape: (
            [distinct(rng, filled(shape))],
            {
                "p": ["fro", 1, 3, np.inf][rng.integers(4)],
                "axis": some_axes(rng, shape),
                "keepdims": bool(rng.integers(2)),
            },
        ),
        reference=lambda x, p, axis, keepdims: np.linalg.vector_norm(
            x, ord=2 if p == "fro" else p, axis=axis, keepdims=keepdims
        ),
        torch=lambda torch, x, p, axis, keepdims: torch.norm(x, p, axis, keepdims),
        function=functional.norm,
        analytic=False,
    ),
    "dist": Op(
        pair_and_p,
        reference=lambda x, y, p: np.sum(np.abs(x - y) ** p) ** (1 / p),
        function=functional.dist,
        analytic=False,
    ),
    "cdist": Op(
        rows_of_two,
        reference=lambda x, y, p: (
            np.sum(np.abs(x[..., None, :] - y[..., None, :, :]) ** p, axis=-1) ** (1 / p)
        ),
        function=functional.cdist,
        analytic=False,
    ),
    "pdist": Op(
        lambda rng, shape: ([distinct(rng, (4, 3))], {"p": P[rng.integers(len(P))]}),
        reference=lambda x, p: np.array(
            [np.sum(np.abs(x[i] - x[j]) ** p) ** (1 / p) for i in range(4) for j in range(i + 1, 4)]
        ),
        torch="nn.functional.pdist",
        function=functional.pdist,
        analytic=False,
    ),
    "pairwise_distance": Op(
        lambda rng, shape: pair_and_p(rng, filled(shape, 1)),
        reference=lambda x, y, p: np.sum(np.abs(x - y + 1e-6) ** p, axis=-1) ** (1 / p),
        torch="nn.functional.pairwise_distance",
        function=functional.pairwise_distance,
        analytic=False,
    ),
    "renorm": Op(
        lambda rng, shape: (
            [distinct(rng, filled(shape, 2))],
            {"p": P[rng.integers(len(P))], "axis": -1, "maxnorm": 0.7},
        ),
        reference=renormed,
        function=functional.renorm,
        torch="renorm",
        analytic=False,
    ),
    **{
        name: Op(
            partial(added, shapes),
            reference=partial(sum_with_product, product),
            function=getattr(functional, name),
        )
        for name, shapes, product in (
            ("addmm", ((2, 4), (2, 3), (3, 4)), np.matmul),
            ("addmv", ((2,), (2, 3), (3,)), np.matmul),
            ("addr", ((2, 3), (2,), (3,)), np.outer),
            ("baddbmm", ((5, 2, 4), (5, 2, 3), (5, 3, 4)), np.matmul),
            ("addbmm", ((2, 4), (5, 2, 3), (5, 3, 4)), lambda x, y: np.sum(x @ y, axis=0)),
        )
    },
}

if hasattr(np, "matvec"):  # since NumPy 2.2
    LINALG["matvec"] = Op(
        lambda rng, shape: ([real(rng, (*shape, 2, 3)), real(rng, (3,))], {}),
        torch=lambda torch, x, y: x @ y,
        function=np.matvec,
        analytic=False,  # of complex numbers np.vecmat takes the conjugate
        calls=[(lambda x, y: np.matvec(x, y), [CUBE, wave(2, 4)]), (lambda x, y: np.vecmat(x, y), [X, CUBE])],
    )
