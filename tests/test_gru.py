"""What a GRU has that an LSTM has not; what both share is in test_recurrent."""

import math
from typing import Any

import numpy as np
import pytest

from tests.recurrent_cases import run
from tinygrad_np import Tensor
from tinygrad_np.nn import GRU

both_ways = pytest.mark.parametrize("fused", [True, False])


@both_ways
def test_three_steps_by_hand(fused: bool) -> None:
    layer = GRU(1, 1, fused=fused, rng=0, dtype=np.float64)
    layer.load_state_dict(
        {
            "weight_ih_l0": np.array([[0.5], [-0.25], [2.0]]),  # r, z, n
            "weight_hh_l0": np.array([[1.5], [0.75], [-1.0]]),
            "bias_ih_l0": np.array([0.1, 0.2, 0.3]),
            "bias_hh_l0": np.array([0.4, -0.5, 0.6]),
        }
    )
    h, expected = 0.7, []
    for x in (1.0, -2.0, 0.5):
        r = 1 / (1 + math.exp(-(0.5 * x + 0.1 + 1.5 * h + 0.4)))
        z = 1 / (1 + math.exp(-(-0.25 * x + 0.2 + 0.75 * h - 0.5)))
        n = math.tanh(2.0 * x + 0.3 + r * (-1.0 * h + 0.6))
        h = (1 - z) * n + z * h
        expected.append(h)
    out, last = run(layer, np.array([[[1.0], [-2.0], [0.5]]]), np.array([[[[0.7]]]]))
    np.testing.assert_allclose(out.ravel(), expected, rtol=1e-14)
    np.testing.assert_allclose(last.ravel(), expected[-1:], rtol=1e-14)


@both_ways
def test_an_update_gate_of_1_keeps_the_state_and_one_of_0_forgets_it(
    fused: bool, rng: np.random.Generator
) -> None:
    layer: Any = GRU(2, 3, fused=fused, rng=0, dtype=np.float64)
    x, state = rng.standard_normal((2, 5, 2)), rng.standard_normal((1, 1, 2, 3))
    layer.bias_ih_l0.data[3:6] = 1000.0
    out, last = run(layer, x, state)
    np.testing.assert_allclose(last, state[0], rtol=1e-14)
    np.testing.assert_allclose(out, np.repeat(state[0, 0][:, np.newaxis], 5, axis=1), rtol=1e-14)
    layer.bias_ih_l0.data[3:6] = -1000.0
    layer.weight_hh_l0.data[...] = 0
    layer.bias_hh_l0.data[...] = 0
    out, _ = run(layer, x, state)
    weight, bias = layer.weight_ih_l0.data[6:], layer.bias_ih_l0.data[6:]
    np.testing.assert_allclose(out, np.tanh(x @ weight.T + bias), rtol=1e-14)


@both_ways
def test_the_reset_gate_acts_on_one_of_the_two_biases_of_n(fused: bool, rng: np.random.Generator) -> None:
    layer: Any = GRU(2, 3, fused=fused, rng=0, dtype=np.float64)
    x = Tensor(rng.standard_normal((2, 5, 2)))
    layer(x)[0].sum().backward()
    of_ih, of_hh = layer.bias_ih_l0.grad, layer.bias_hh_l0.grad
    np.testing.assert_allclose(of_ih[:6], of_hh[:6], rtol=1e-12)  # of r and z only the sum matters
    assert (abs(of_hh[6:]) < 0.9 * abs(of_ih[6:])).all()  # r is between 0 and 1
    layer.bias_ih_l0.data[:3] += 50.0  # and where it is 1, they are the same
    layer.bias_ih_l0.grad = layer.bias_hh_l0.grad = None
    layer(x)[0].sum().backward()
    np.testing.assert_allclose(layer.bias_hh_l0.grad[6:], layer.bias_ih_l0.grad[6:], rtol=1e-12)


def test_all_its_weights_are_drawn_alike() -> None:
    for name, array in GRU(4, 25, num_layers=2, rng=0, dtype=np.float64).state_dict().items():
        assert 0.15 < abs(array).max() <= 0.2, name  # within 1 / sqrt(hidden), and no gate is opened


@pytest.mark.parametrize("shape", [(1, 1, 3), (2, 3), (2, 2, 3), (1, 2, 4)])
def test_a_state_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"^GRU takes states of shape \(1, 2, 3\), not ") as error:
        GRU(2, 3, rng=0)(Tensor(np.zeros((2, 4, 2))), Tensor(np.zeros(shape)))
    assert str(error.value).endswith(f"not {shape}")
