"""Linear algebra where a gradient is not determined, where a matrix is singular, and what its functions return."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinygrad_np import Tensor, grad, hessian, value_and_grad
from tinygrad_np import functional as F

EYE = np.eye(3)
TURN = np.linalg.qr(np.sin(np.arange(9.0) ** 2).reshape(3, 3))[0]
WEIGHTS = np.arange(9.0).reshape(3, 3) % 4


def leaf(x: Any) -> Tensor:
    return Tensor(x, requires_grad=True)


def gradient(f: Callable[[Tensor], Any], x: Any) -> np.ndarray:
    found: np.ndarray = grad(f)(np.asarray(x, float)).data
    return found


# --- what is not determined ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "f"),
    [
        ("two values are equal", lambda x: (np.linalg.eigh(x).eigenvectors * WEIGHTS).sum()),
        (
            "two values are equal",
            lambda x: (np.linalg.eigh(TURN @ x @ TURN.T).eigenvectors * WEIGHTS).sum(),
        ),
        ("two values are equal", lambda x: (np.linalg.svd(x).U * WEIGHTS).sum()),
        ("two values are equal", lambda x: (np.linalg.svd(x).Vh * WEIGHTS).sum()),
        (
            "a singular value is 0",
            lambda x: (np.linalg.svd(x[:, :2] * [1, 0], False).U * WEIGHTS[:, :2]).sum(),
        ),
        (
            "a singular value is 0",
            lambda x: (np.linalg.svd(x[:2] * [[1], [0]], False).Vh * WEIGHTS[:2]).sum(),
        ),
        ("vectors beyond", lambda x: (np.linalg.svd(x[:, :2] * [1, 2]).U * WEIGHTS).sum()),
        ("vectors beyond", lambda x: (np.linalg.svd(x[:2] * [[1], [2]]).Vh * WEIGHTS).sum()),
        ("depend on each other", lambda x: (np.linalg.qr(x * [1, 0, 1]).Q * WEIGHTS).sum()),
        ("depend on each other", lambda x: np.linalg.qr(x @ np.ones((3, 3))).R.sum()),
        ("logarithm of 0", lambda x: np.linalg.slogdet(x * [1, 0, 1]).logabsdet),
    ],
)
def test_a_gradient_that_is_not_determined_is_refused(message: str, f: Callable[[Tensor], Any]) -> None:
    with pytest.raises(ValueError, match=message):
        f(leaf(EYE)).backward()


def test_what_does_not_depend_on_it_is_sent_back() -> None:
    np.testing.assert_allclose(gradient(lambda x: np.linalg.eigvalsh(x).sum(), EYE), EYE)
    np.testing.assert_allclose(gradient(lambda x: np.linalg.svdvals(x).sum(), EYE), EYE)
    # of 1, 1 and 3 only the vector of 3 is asked for
    weights = np.array([[0.0, 0, 1], [0, 0, 2], [0, 0, 3]])
    back = gradient(lambda x: (np.linalg.eigh(x).eigenvectors * weights).sum(), np.diag([1.0, 1, 3]))
    np.testing.assert_allclose(np.abs(back), [[0, 0, 0.25], [0, 0, 0.5], [0.25, 0.5, 0]])


def test_a_singular_matrix_of_a_batch_is_skipped_where_nothing_depends_on_it() -> None:
    batch = np.stack([2 * EYE, np.zeros((3, 3))])
    back = gradient(lambda x: np.linalg.slogdet(x).logabsdet[0], batch)
    np.testing.assert_allclose(back, [EYE / 2, np.zeros((3, 3))])


# --- determinants -------------------------------------------------------------------------------------


@pytest.mark.parametrize("rank", [0, 1, 2, 3])
def test_a_determinant_sends_back_its_cofactors(rank: int, rng: np.random.Generator) -> None:
    x = rng.standard_normal((3, rank)) @ rng.standard_normal((rank, 3))
    minors = np.array(
        [
            [(-1) ** (i + j) * np.linalg.det(np.delete(np.delete(x, i, 0), j, 1)) for j in range(3)]
            for i in range(3)
        ]
    )
    np.testing.assert_allclose(gradient(np.linalg.det, x), minors, rtol=1e-10, atol=1e-14)


def test_a_determinant_too_small_for_a_number_has_its_cofactors() -> None:
    np.testing.assert_allclose(gradient(np.linalg.det, 1e-200 * np.eye(2)), 1e-200 * np.eye(2))


def test_a_second_derivative_of_a_singular_determinant_is_refused() -> None:
    with pytest.raises(ValueError, match="no second derivative"):
        hessian(np.linalg.det)(np.diag([1.0, 0]))
    expected = np.zeros((2, 2, 2, 2))
    expected[0, 0, 1, 1] = expected[1, 1, 0, 0] = 1
    expected[0, 1, 1, 0] = expected[1, 0, 0, 1] = -1
    np.testing.assert_allclose(
        hessian(np.linalg.det)(np.array([[1.0, 2], [3, 4]])).data, expected, atol=1e-13
    )


# --- what comes back, and what is refused ----------------------------------------------------------------


def test_results_have_their_names() -> None:
    x = leaf(WEIGHTS + 3 * EYE)
    assert isinstance(np.linalg.qr(x).Q, Tensor)
    assert np.linalg.eigh(x)._fields == np.linalg.eigh(EYE)._fields
    assert type(np.linalg.slogdet(x)) is type(np.linalg.slogdet(EYE))
    assert np.linalg.svd(x).S.requires_grad
    x, left, rank, values = np.linalg.lstsq(leaf(WEIGHTS[:, :2]), np.ones(3))
    expected = np.linalg.lstsq(WEIGHTS[:, :2], np.ones(3))
    for ours, theirs in zip((x.data, left.data, rank, values.data), expected):
        np.testing.assert_allclose(ours, theirs, atol=1e-15)


@pytest.mark.parametrize(
    ("message", "f"),
    [
        (r"inv\(float64\[3, 3\]\): Singular matrix; np.linalg.pinv and", lambda x: np.linalg.inv(x - x)),
        (r"solve\(.*\): Singular matrix; np.linalg.pinv", lambda x: np.linalg.solve(0 * x, x)),
        (r"cholesky\(.*\): Matrix is not positive definite; add", lambda x: np.linalg.cholesky(-x)),
    ],
)
def test_what_lapack_refuses_is_said_in_one_sentence(message: str, f: Callable[[Tensor], Any]) -> None:
    with pytest.raises(np.linalg.LinAlgError, match=message):
        f(leaf(EYE))


@pytest.mark.parametrize(
    "f",
    [
        lambda x: np.linalg.qr(x[:, :2], mode="complete"),
        lambda x: np.linalg.norm(x, 3),
        lambda x: np.linalg.norm(x[None]  , 2),
        lambda x: np.linalg.matrix_power(x[:, :2], 2),
        lambda x: np.linalg.multi_dot([x]),
        lambda x: np.linalg.outer(x, x),
        lambda x: np.linalg.tensorinv(x, 0),
        lambda x: np.tensordot(x, x[:2], 2),
        lambda x: np.cross(x[:, :2], x[:, :2]),
        lambda x: np.cov(x[None]),
        lambda x: np.cov(x, fweights=[1, 2]),
        lambda x: np.cov(x, aweights=[1, 2, -1]),
        lambda x: np.vander(x),
        lambda x: np.einsum(x, [0, 60], [0]),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(f: Callable[[Tensor], Any]) -> None:
    with pytest.raises(ValueError, match=r"\("):
        f(leaf(EYE))


def test_complex_matrices_are_computed_with_and_not_differentiated() -> None:
    with pytest.raises(TypeError, match="complex numbers have no gradient"):
        np.linalg.solve(leaf(EYE), 1j * EYE)
    assert np.linalg.inv(Tensor(2j * EYE)).data[0, 0] == -0.5j


def test_a_covariance_without_freedom_warns() -> None:
    with pytest.warns(RuntimeWarning, match="Degrees of freedom"):
        assert np.isnan(np.cov(leaf([1.0])).data)


# --- norms at 0 -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [2, 3, 1.5, 1, np.inf])
def test_a_norm_at_0_has_a_gradient_of_0_and_so_has_its_square(order: float) -> None:
    for f in (lambda x: np.linalg.norm(x, order), lambda x: np.linalg.norm(x, order) ** 2):
        value, back = value_and_grad(f)(np.zeros(3))
        assert value.data == 0
        np.testing.assert_array_equal(back.data, 0)
        assert np.isfinite(hessian(f)(np.zeros(3)).data).all()
    assert np.isfinite(hessian(lambda x: np.linalg.norm(x, order))(np.array([0.0, 2.0, 0.0])).data).all()


def test_tiny_and_huge_numbers_have_a_norm_as_far_as_numpy_has_it() -> None:
    np.testing.assert_allclose(gradient(np.linalg.norm, [3e-150, 4e-150]), [0.6, 0.8])
    np.testing.assert_allclose(gradient(np.linalg.norm, [3e150, 4e150]), [0.6, 0.8])
    np.testing.assert_array_equal(gradient(np.linalg.norm, [3e-200, 4e-200]), 0)  # NumPy's norm is 0


# --- powers, exponentials, chains -----------------------------------------------------------------------


def test_a_power_of_0_is_the_identity() -> None:
    np.testing.assert_array_equal(np.linalg.matrix_power(leaf(WEIGHTS), 0).data, EYE)


def test_the_exponential_of_large_and_of_zero_matrices() -> None:
    np.testing.assert_array_equal(F.matrix_exp(np.zeros((2, 3, 3))).data, [EYE, EYE])
    np.testing.assert_allclose(
        F.matrix_exp(np.diag([30.0, -30.0])).data, np.diag(np.exp([30.0, -30.0])), rtol=1e-12
    )


def test_a_chain_is_multiplied_in_the_order_that_costs_least(monkeypatch: pytest.MonkeyPatch) -> None:
    shapes: list[tuple[int, ...]] = []
    matmul = Tensor.__matmul__

    def counted(self: Tensor, other: Tensor) -> Tensor:
        shapes.append((*self.shape, *other.shape))
        return matmul(self, other)

    monkeypatch.setattr(Tensor, "__matmul__", counted)
    np.linalg.multi_dot([leaf(np.ones(s)) for s in ((9, 1), (1, 9), (9, 1), (1, 9))])
    assert shapes == [(1, 9, 9, 1), (1, 1, 1, 9), (9, 1, 1, 9)]
