"""Functions of functions: values against derivatives worked out by hand, nesting, and what they refuse."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tinygrad_np import Tensor, no_grad
from tinygrad_np.transforms import grad, hessian, hvp, jacobian, value_and_grad


def test_gradient_of_gradient_of_gradient() -> None:
    assert grad(grad(grad(lambda x: x**4)))(2.0).item() == pytest.approx(24 * 2.0)


def test_each_level_has_a_variable_of_its_own() -> None:
    # d/dy (x + y) is 1 at y = x, not 2: the inner derivative must not see the outer variable
    outer = grad(lambda x: x * grad(lambda y: x + y)(x))
    assert outer(2.0).item() == 1.0


def test_value_and_gradients_of_several_arguments() -> None:
    value, (dx, dy) = value_and_grad(lambda x, y: (x * y**2).sum(), argnums=(0, 1))(
        np.array([1.0, 2.0]), np.array([3.0, 4.0])
    )
    assert value.item() == 41.0
    np.testing.assert_array_equal(dx.data, [9.0, 16.0])
    np.testing.assert_array_equal(dy.data, [6.0, 16.0])


def test_gradient_of_what_does_not_depend_on_x_is_zero() -> None:
    np.testing.assert_array_equal(grad(lambda x: Tensor(3.0))(np.ones(2)).data, [0, 0])
    np.testing.assert_array_equal(
        grad(grad(lambda x: (3 * x).sum() * x[0] * 0 + 1.0))(1.0 * np.ones(1)).data, [0]
    )


def test_jacobian_and_hessian() -> None:
    x = np.array([0.5, -1.0, 2.0])
    np.testing.assert_allclose(
        jacobian(lambda x: x[1:] * x[:-1])(x).data, [[-1.0, 0.5, 0.0], [0.0, 2.0, -1.0]]
    )
    # f = x0^2 x1 + x2^3
    h = hessian(lambda x: x[0] ** 2 * x[1] + x[2] ** 3)(x)
    np.testing.assert_allclose(h.data, [[-2.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 12.0]])
    assert jacobian(lambda x: x[:0])(x).shape == (0, 3)
    third = jacobian(hessian(lambda x: (x**3).sum()))(x)
    np.testing.assert_allclose(third.data, 6 * np.einsum("ij,jk->ijk", np.eye(3), np.eye(3)))


def test_hessian_vector_product(rng: np.random.Generator) -> None:
    x, v = rng.standard_normal((2, 4))

    def f(x: Tensor) -> Tensor:
        return np.sum(np.tanh(x) * np.exp(x[::-1]))

    np.testing.assert_allclose(hvp(f)(x, v).data, hessian(f)(x).data @ v, rtol=1e-12)
    with pytest.raises(ValueError, match="shape"):
        hvp(f)(x, v[:2])


def test_gradient_penalty_reaches_a_parameter_outside() -> None:
    # (d/dx w x^2)^2 = 4 w^2 x^2, and d/dw of it is 8 w x^2
    w = Tensor(2.0, requires_grad=True)
    slope = grad(lambda x: w * x * x)(3.0)
    (slope**2).backward()
    assert w.grad == pytest.approx(8 * 2 * 9)


def test_result_has_no_graph_when_nobody_can_ask() -> None:
    value, slope = value_and_grad(lambda x: x**2)(3.0)
    assert not value.requires_grad
    assert not slope.requires_grad
    w = Tensor(2.0, requires_grad=True)
    with no_grad():
        slope = grad(lambda x: w * x * x)(3.0)
    assert slope.item() == 12.0
    assert not slope.requires_grad


def test_dtype_is_kept() -> None:
    slope = grad(lambda x: np.mean(np.tanh(x) ** 2))(np.ones(3, np.float32))
    assert slope.dtype == np.float32
    assert hessian(lambda x: np.mean(np.tanh(x) ** 2))(np.ones(3, np.float32)).dtype == np.float32


def test_refuses() -> None:
    with pytest.raises(ValueError, match="jacobian"):
        grad(lambda x: x * 2)(np.ones(3))
    with pytest.raises(TypeError, match="returns a Tensor, and this one a float"):
        grad(lambda x: 1.0)(np.ones(3))  # type: ignore[arg-type,return-value]
    with pytest.raises(TypeError, match="int64"):
        grad(lambda x: x)(3)
    with pytest.raises(ValueError, match="argument 2"):
        grad(lambda x: x, argnums=2)(3.0)


def test_a_list_for_an_operand_works_to_second_order() -> None:
    np.testing.assert_allclose(hessian(lambda x: (x @ [1.0, 2.0]) ** 2)(np.ones(2)).data, [[2, 4], [4, 8]])
    np.testing.assert_allclose(hessian(lambda x: (x ** [2.0, 3.0]).sum())(np.ones(2)).data, [[2, 0], [0, 6]])


def test_arguments_named_twice_and_work_on_other_threads_are_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        grad(lambda x: x * x, argnums=(0, -1))(3.0)
    with pytest.raises(TypeError, match="one argument number"):
        hessian(lambda x, y: (x * y).sum(), argnums=(0, 1))  # type: ignore[arg-type]

    def elsewhere(x: Tensor) -> Tensor:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(lambda: x * x).result()

    assert grad(elsewhere)(3.0).item() == 6.0
    with pytest.raises(RuntimeError, match="another thread"):
        grad(grad(elsewhere))(3.0)
