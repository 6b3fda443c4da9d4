"""Every row against PyTorch, forward and back in float64; and what is taken at kinks, ties and poles."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_np import Tensor, functional, nn, optim, tape
from tinygrad_np.check import oracle
from tinygrad_np.check.cases import LAYERS, LOSSES, OPS, OPTIMIZERS
from tinygrad_np.check.rows import Edge
from tinygrad_np.testing import arguments, generators

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install -e '.[oracle]'")
pytestmark = pytest.mark.oracle

COMPARED = [name for name, row in OPS.items() if row.torch is not None]
every_seed = pytest.mark.parametrize("seed", range(8))
few_or_thorough = settings() if settings().max_examples > 60 else settings(max_examples=20)


@pytest.mark.parametrize("name", COMPARED)
@few_or_thorough
@given(data=st.data(), rng=generators())
def test_op(name: str, data: st.DataObject, rng: np.random.Generator) -> None:
    oracle.compare_op(torch, name, *data.draw(arguments(name)), rng)


@pytest.mark.parametrize("name", [name for name in COMPARED if OPS[name].more])
def test_fixed_cases(name: str, rng: np.random.Generator) -> None:
    for arrays, static in OPS[name].more:
        oracle.compare_op(torch, name, arrays, static, rng)


@pytest.mark.parametrize(("name", "edge"), [(name, edge) for name in COMPARED for edge in OPS[name].edges])
def test_edge(name: str, edge: Edge) -> None:
    oracle.compare_edge(torch, name, edge)


@pytest.mark.parametrize("name", LAYERS)
@every_seed
def test_layer(name: str, seed: int) -> None:
    oracle.compare_layer(torch, name, np.random.default_rng(seed))


@pytest.mark.parametrize("name", LOSSES)
@every_seed
def test_loss(name: str, seed: int) -> None:
    oracle.compare_loss(torch, name, np.random.default_rng(seed))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer(name: str, rng: np.random.Generator) -> None:
    oracle.compare_optimizer(torch, name, rng)


# --- the comparison can fail --------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["value", "gradient"])
def test_the_comparison_fails_on_what_is_wrong(
    what: str, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    def wrong(x: Any) -> Any:
        if not isinstance(x, Tensor):
            return x
        return (
            x * (1 + 1e-9) if what == "value" else x + (x - x.detach()) * 1e-9
        )  # right value, wrong gradient

    tanh, mse, linear = np.tanh, functional.mse_loss, nn.Linear.forward
    monkeypatch.setitem(tape.PRIMITIVES, "tanh", lambda x: wrong(tanh(x)))
    monkeypatch.setattr(functional, "mse_loss", lambda x, *args, **kwargs: wrong(mse(x, *args, **kwargs)))
    monkeypatch.setattr(nn.Linear, "forward", lambda self, x: wrong(linear(self, x)))
    monkeypatch.setattr(optim.SGD, "update", lambda self, i, p, g: p.__isub__(self.lr * g * (1 + 1e-9)))
    for compare in (
        lambda: oracle.compare_op(torch, "tanh", [rng.standard_normal((2, 3))], {}, rng),
        lambda: oracle.compare_edge(torch, "relu", Edge([[0.0]], [1], [[1]], torch="differs")),
        lambda: oracle.compare_loss(torch, "mse_loss", np.random.default_rng(0)),
        lambda: [oracle.compare_layer(torch, "Linear", np.random.default_rng(seed)) for seed in range(5)],
        lambda: oracle.compare_optimizer(torch, "SGD", rng),
    ):
        with pytest.raises(AssertionError):
            compare()


# --- where it differs, and why ------------------------------------------------------------------------


def test_where_it_differs_the_largest_over_one_axis_is_shared() -> None:
    # torch.max(x, dim) also returns the place, and sends all of the gradient there. np.max has no place
    # to return; torch.amax is its counterpart, and shares as we do.
    ties = [[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]]
    here = Tensor(ties, requires_grad=True)
    there = torch.tensor(ties, dtype=torch.float64, requires_grad=True)
    np.max(here, axis=1).sum().backward()
    torch.max(there, dim=1).values.sum().backward()
    np.testing.assert_allclose(here.grad, [[0, 1 / 2, 1 / 2], [1 / 3, 1 / 3, 1 / 3]])
    np.testing.assert_array_equal(np.sort(there.grad.numpy()), [[0, 0, 1], [0, 0, 1]])


@pytest.mark.parametrize(
    ("root", "torch_root"), [(np.sqrt, torch.sqrt), (lambda x: x**0.5, lambda x: x**0.5)]
)
def test_where_it_differs_zero_times_infinity_is_zero(root: Any, torch_root: Any) -> None:
    # The root that was not chosen has an infinite derivative, and its incoming gradient is exactly 0.
    # PyTorch multiplies them to NaN. Here nothing depends on it, so nothing comes back.
    here = Tensor([0.0, 4.0], requires_grad=True)
    there = torch.tensor([0.0, 4.0], dtype=torch.float64, requires_grad=True)
    np.where(here > 0, root(here), here).sum().backward()
    torch.where(there > 0, torch_root(there), there).sum().backward()
    np.testing.assert_array_equal(here.grad, [1, 0.25])
    np.testing.assert_array_equal(there.grad.numpy(), [np.nan, 0.25])
