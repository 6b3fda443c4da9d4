"""Rows of inverses, determinants and decompositions of matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_np import functional
from tinygrad_np.check.draw import Arguments, Draw, Rng, Shape, broadcasts_to, filled, real, wave
from tinygrad_np.check.rows import Edge, Op

SQUARE = wave(2, 3, 3) + 2 * np.eye(3)
TALL, WIDE = wave(4, 2), wave(2, 4)
SYMMETRIC = SQUARE @ np.swapaxes(SQUARE, -1, -2) + np.eye(3)


def transposed(x: Any) -> Any:
    return np.swapaxes(x, -1, -2)


def symmetric(x: Any, *others: Any) -> list[Any]:
    """The symmetric part, in the place of the first array."""
    return [(x + transposed(x)) / 2, *others]


def with_values(rng: Rng, shape: Shape, rows: int, columns: int, values: np.ndarray) -> np.ndarray:
    """Matrices with these singular values."""
    left, right = (np.linalg.qr(real(rng, (*shape, n, n)))[0] for n in (rows, columns))
    k = min(rows, columns)
    product: np.ndarray = left[..., :k] * values[..., np.newaxis, :] @ transposed(right[..., :k])
    return product


def singular(rng: Rng, shape: Shape, rows: int, columns: int) -> np.ndarray:
    """Matrices with singular values of about 1, 2, 3 ... in any order of rows and columns."""
    k = min(rows, columns)
    return with_values(rng, shape, rows, columns, np.arange(1.0, k + 1) + rng.uniform(-0.3, 0.3, (*shape, k)))


def lengths(rng: Rng) -> tuple[int, int]:
    n, m = (int(i) for i in rng.integers(1, 4, 2))
    return n, m


def square(rng: Rng, shape: Shape) -> np.ndarray:
    n, _ = lengths(rng)
    return singular(rng, shape[:2], n, n)


def rectangle(rng: Rng, shape: Shape) -> np.ndarray:
    return singular(rng, shape[:2], *lengths(rng))


def matrices(values: Any, **choices: Any) -> Draw:
    """One array, and static parameters each of some values."""

    def draw(rng: Rng, shape: Shape) -> Arguments:
        static = {name: some[rng.integers(len(some))] for name, some in choices.items()}
        return [values(rng, shape)], static

    return draw


def positive_definite(rng: Rng, shape: Shape) -> np.ndarray:
    x = square(rng, shape)
    return np.asarray(symmetric(x @ transposed(x))[0])


def symmetric_square(rng: Rng, shape: Shape) -> np.ndarray:
    """Symmetric matrices with eigenvalues that are 0.4 apart at least, and none 0."""
    n, _ = lengths(rng)
    values = np.arange(n) - n // 2 + rng.uniform(0.2, 0.8, (*shape[:2], n))
    q = np.linalg.qr(real(rng, (*shape[:2], n, n)))[0]
    return np.asarray(symmetric(q * values[..., np.newaxis, :] @ transposed(q))[0])


def solved(rng: Rng, shape: Shape) -> Arguments:
    a = square(rng, shape)
    n = a.shape[-1]
    if rng.random() < 0.3:
        return [a, real(rng, (n,))], {}
    return [a, real(rng, (*broadcasts_to(rng, a.shape[:-2]), n, int(rng.integers(1, 3))))], {}


def same_signs(torch: Any, vectors: Any, ours: np.ndarray, axis: int) -> Any:
    """Vectors, which LAPACK gives up to a sign, with the signs that NumPy's have."""
    signs = np.sign(np.sum(vectors.detach().numpy() * ours, axis=axis, keepdims=True))
    return vectors * torch.from_numpy(signs)


def torch_eigh(torch: Any, x: Any, UPLO: Any = "L") -> Any:
    values, vectors = torch.linalg.eigh(x, UPLO=UPLO)
    return values, same_signs(torch, vectors, np.linalg.eigh(x.detach().numpy(), UPLO)[1], -2)


def torch_svd(torch: Any, x: Any, full_matrices: bool = True) -> Any:
    u, s, vh = torch.linalg.svd(x, full_matrices=full_matrices)
    ours = np.linalg.svd(x.detach().numpy(), full_matrices)
    return same_signs(torch, u, ours[0], -2), s, same_signs(torch, vh, ours[2], -1)


def torch_qr(torch: Any, x: Any) -> Any:
    q, r = torch.linalg.qr(x)
    ours = np.linalg.qr(x.detach().numpy())
    return same_signs(torch, q, ours[0], -2), same_signs(torch, r, ours[1], -1)


def torch_cond(torch: Any, x: Any, p: Any = None) -> Any:
    """PyTorch's own fails on the way back where it takes the inverse."""
    if p in (None, 2, -2):
        return torch.linalg.cond(x, p)
    return torch.linalg.matrix_norm(x, p) * torch.linalg.matrix_norm(torch.linalg.inv(x), p)


def factors(rng: Rng, shape: Shape) -> Arguments:
    upper = bool(rng.integers(2))
    factor = triangle(rng, shape[:2])
    return [transposed(factor) if upper else factor], {"upper": upper}


def triangle(rng: Rng, shape: Shape) -> np.ndarray:
    """Lower triangles with a diagonal of 1 to 2, whose other elements are small."""
    return np.tril(real(rng, (*shape, 3, 3)) / 4, -1) + np.eye(3) * rng.uniform(1, 2, (*shape, 1, 3))


def gram(factor: np.ndarray, upper: bool) -> np.ndarray:
    product: np.ndarray = transposed(factor) @ factor if upper else factor @ transposed(factor)
    return product


def triangles(rng: Rng, shape: Shape) -> Arguments:
    left = bool(rng.integers(2))
    static = {"upper": bool(rng.integers(2)), "left": left, "unitriangular": bool(rng.integers(2))}
    a = real(rng, (*shape[:2], 3, 3)) / 4 + 2 * np.eye(3)
    return [a, real(rng, (*shape[:2], 3, 2) if left else (*shape[:2], 2, 3))], static


def solved_by_triangle(a: Any, b: Any, upper: bool, left: bool, unitriangular: bool) -> np.ndarray:
    a = np.triu(a, unitriangular) if upper else np.tril(a, -unitriangular)
    a = np.linalg.inv(a + np.eye(3) * unitriangular)
    product: np.ndarray = a @ b if left else b @ a
    return product


def exponential(x: np.ndarray) -> np.ndarray:
    """By eigenvalues, which may be complex."""
    values, vectors = np.linalg.eig(x)
    return np.real((vectors * np.exp(values)[..., np.newaxis, :]) @ np.linalg.inv(vectors))


SINGULAR = np.array([[1.0, 2], [2, 4]])
EPS = np.finfo(float).eps
DECOMPOSITIONS = {
    "inv": Op(matrices(square), reference=np.linalg.inv, torch="linalg.inv"),
    "solve": Op(
        solved,
        reference=np.linalg.solve,
        torch=lambda torch, a, b: (
            torch.linalg.solve(a, b[:, None])[..., 0] if b.ndim == 1 else torch.linalg.solve(a, b)
        ),
        calls=[(lambda a, b: np.linalg.solve(a, b), [SQUARE, TALL[:3]])],
        more=[([SQUARE, wave(3)], {}), ([SQUARE, wave(2, 3, 3)], {}), ([SQUARE[0], wave(4, 1, 3, 2)], {})],
    ),
    "det": Op(
        matrices(square),
        reference=np.linalg.det,
        torch="linalg.det",
        edges=[
            Edge([SINGULAR], 2, [[[8, -4], [-4, 2]]], torch="differs"),  # PyTorch sends back 0
            Edge([np.diag([2.0, 3, 0])], 1, [np.diag([0.0, 0, 6])], torch="differs"),
            Edge([np.diag([2.0, 0, 0])], 1, [np.zeros((3, 3))]),
            Edge(
                [np.stack([np.diag([-2.0, 3, 0]), np.eye(3)])],
                [2, 3],
                [np.stack([np.diag([0.0, 0, -12]), 3 * np.eye(3)])],
                torch="differs",
            ),
        ],
    ),
    "slogdet": Op(
        matrices(square),
        reference=np.linalg.slogdet,
        torch="linalg.slogdet",
        analytic=False,
        calls=[(lambda x: np.linalg.slogdet(x).logabsdet, [SQUARE])],
        edges=[
            Edge(
                [np.stack([2 * np.eye(3), np.zeros((3, 3))])],
                [0, 0, 3, 0],
                [np.stack([1.5 * np.eye(3), np.zeros((3, 3))])],
                torch="differs",
            ),
        ],
    ),
    "pinv": Op(
        matrices(rectangle, rtol=[1e-15, 1e-10]),
        reference=np.linalg.pinv,
        torch=lambda torch, x, rtol: torch.linalg.pinv(x, rtol=rtol),
        analytic=False,
        calls=[
            (lambda x: np.linalg.pinv(x), [WIDE]),
            (lambda x: np.linalg.pinv(x @ WIDE, 1e-10), [TALL]),  # of rank 2
            (lambda x: np.linalg.pinv(x @ np.swapaxes(x, 0, 1), hermitian=True, rtol=1e-10), [TALL]),
        ],
    ),
    "cholesky": Op(
        matrices(positive_definite, upper=[False, True]),
        reference=np.linalg.cholesky,
        torch="linalg.cholesky",
        analytic=False,
        edges=[Edge([[[4, 2], [2, 2]]], [[0, 0], [4, 1]], [[[-3 / 8, 3 / 4], [3 / 4, 1 / 2]]])],
        prepare=symmetric,
    ),
    "eigh": Op(
        matrices(symmetric_square, UPLO=["L", "U"]),
        reference=np.linalg.eigh,
        torch=torch_eigh,
        analytic=False,
        calls=[
            (lambda x: np.linalg.eigh(x + np.swapaxes(x, -1, -2)).eigenvectors ** 2, [SQUARE]),
            (lambda x: np.linalg.eigvalsh(x + np.swapaxes(x, -1, -2), "U"), [SQUARE]),
        ],
        edges=[
            Edge([[[0.0]]], [3, 5], [[[3]]]),
            Edge(  # of two equal values the vectors may be unused
                [np.diag([1.0, 1, 3])],
                [0, 0, 0, *(0, 0, 1), *(0, 0, 2), *(0, 0, 3)],
                [[[0, 0, 0.25], [0, 0, 0.5], [0.25, 0.5, 0]]],
                torch="differs",
            ),
            Edge(  # two values that are not equal, though nearly
                [np.diag(8 + 640 * EPS * np.array([0, 1, 0])) + np.diag([0, 0, 92.0])],
                [1, 2, 3, *(0, 1, 0), *(0, 0, 0), *(0, 0, 0)],
                [np.diag([1.0, 2, 3]) + np.array([[0, 1, 0], [1, 0, 0], [0, 0, 0]]) / 1280 / EPS],
            ),
        ],
        prepare=symmetric,
    ),
    "svd": Op(
        matrices(rectangle, full_matrices=[False]),
        reference=np.linalg.svd,
        torch=torch_svd,
        analytic=False,
        calls=[
            (lambda x: np.linalg.svd(x).S, [TALL]),
            (lambda x: np.linalg.svd(x)[1], [WIDE]),
            (lambda x: np.linalg.svd(x, full_matrices=True).Vh ** 2, [TALL]),
            (lambda x: np.linalg.svd(x, compute_uv=False), [WIDE]),
            (lambda x: np.linalg.svdvals(x), [SQUARE[..., :2]]),
        ],
        edges=[
            Edge(  # of more vectors than singular values, those beyond may be unused
                [[[3, 0], [0, 1], [0, 0]]],
                [*(0, 0, 0), *(0, 0, 0), *(6, 0, 0), *(1, 2), *(0, 0), *(0, 0)],
                [[[1, 0], [0, 2], [2, 0]]],
            ),
            Edge(  # a singular value of 0, in a square
                [np.diag([2.0, 0])],
                [*(0, 4), *(0, 0), *(0, 0), *(0, 0), *(0, 0)],
                [[[0, 0], [-2, 0]]],
                {"full_matrices": False},
            ),
            Edge(  # and one whose vectors are unused
                [[[0], [0]]], [0, 0, 3, 0], [[[3], [0]]], {"full_matrices": False}, torch="differs"
            ),
        ],
    ),
    "qr": Op(
        matrices(rectangle),
        reference=np.linalg.qr,
        torch=torch_qr,
        analytic=False,
        calls=[
            (lambda x: np.linalg.qr(x).Q, [TALL]),
            (lambda x: np.linalg.qr(x, "r"), [WIDE]),
            (lambda x: np.linalg.qr(x, mode="complete").R, [WIDE]),
        ],
    ),
    "lstsq": Op(
        lambda rng, shape: ([singular(rng, (), 4, 2), real(rng, (4, 3))], {}),
        reference=lambda a, b: np.linalg.lstsq(a, b)[0],
        torch=lambda torch, a, b: torch.linalg.lstsq(a, b).solution,
        analytic=False,
        calls=[
            (lambda a, b: np.linalg.lstsq(a, b)[1], [TALL, wave(4, 2) ** 2]),
            (lambda a, b: np.linalg.lstsq(a, b, 1e-12)[1], [TALL, wave(4) ** 2]),
            (lambda a, b: np.linalg.lstsq(a, b, rcond=-1)[0], [WIDE, wave(2)]),
            (lambda a: np.linalg.lstsq(a, wave(4))[3], [TALL]),
        ],
        function=lambda a, b: np.linalg.lstsq(a, b)[0],
    ),
    "tensorinv": Op(
        lambda rng, shape: ([singular(rng, (), 6, 6).reshape(2, 3, 3, 2)], {}),
        reference=np.linalg.tensorinv,
        torch="linalg.tensorinv",
        calls=[
            (lambda x: np.linalg.tensorinv(x, ind=1), [SQUARE[0]]),
            (lambda a, b: np.linalg.tensorsolve(a, b), [SQUARE.reshape(6, 3)[:3].reshape(3, 3, 1), wave(3)]),
            (lambda a, b: np.linalg.tensorsolve(a, b, axes=(0,)), [SQUARE[0], wave(3)]),
        ],
        function=np.linalg.tensorinv,
    ),
    "cond": Op(
        matrices(lambda rng, shape: square(rng, filled(shape)), p=[None, 2, -2, 1, "fro", np.inf]),
        reference=np.linalg.cond,
        torch=torch_cond,
        analytic=False,
        edges=[Edge([np.diag([1.0, 0])], 1, [np.zeros((2, 2))], torch="differs")],
        function=np.linalg.cond,
    ),
    "matrix_norm": Op(
        lambda rng, shape: (
            [rectangle(rng, shape)],
            {"ord": ["fro", "nuc", 2, -2][rng.integers(4)], "keepdims": bool(rng.integers(2))},
        ),
        reference=np.linalg.matrix_norm,
        torch=lambda torch, x, ord, keepdims=False: torch.linalg.matrix_norm(x, ord, keepdim=keepdims),
        analytic=False,
        calls=[
            (lambda x: np.linalg.norm(x, "nuc", (2, 0)), [wave(4, 2, 2)]),
            (lambda x: np.linalg.norm(x, -2, axis=(0, 1), keepdims=True), [TALL]),
        ],
        edges=[
            Edge([2 * np.eye(2)], 1, [np.eye(2) / 2], {"ord": 2}),
            Edge([np.diag([2.0, 0])], 1, [np.eye(2)], {"ord": "nuc"}),
        ],
        function=functional.matrix_norm,
    ),
    "logdet": Op(
        matrices(positive_definite),
        reference=lambda x: np.linalg.slogdet(x)[1],
        function=functional.logdet,
        analytic=False,
    ),
    "cholesky_solve": Op(
        lambda rng, shape: ([real(rng, (3, 2)), *(given := factors(rng, shape))[0]], given[1]),
        reference=lambda x, factor, upper: np.linalg.solve(gram(factor, upper), x),
        torch="cholesky_solve",
        function=functional.cholesky_solve,
    ),
    "cholesky_inverse": Op(
        factors,
        reference=lambda factor, upper: np.linalg.inv(gram(factor, upper)),
        torch="cholesky_inverse",
        function=functional.cholesky_inverse,
    ),
    "solve_triangular": Op(
        triangles,
        reference=solved_by_triangle,
        torch=lambda torch, a, b, **static: torch.linalg.solve_triangular(a, b, **static),
        function=functional.solve_triangular,
    ),
    "matrix_exp": Op(
        lambda rng, shape: ([real(rng, (*shape[:2], *[int(rng.integers(1, 4))] * 2)) * 2], {}),
        reference=exponential,
        torch="matrix_exp",
        function=functional.matrix_exp,
        analytic=False,
    ),
}
