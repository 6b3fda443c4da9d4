"""Losses, optimizers and gradient clipping against PyTorch's, in float64."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_np import Tensor
from tinygrad_np import functional as F
from tinygrad_np.optim import SGD, Adam, AdamW, RMSprop, clip_grad_norm
from tinygrad_np.testing import generators

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install -e '.[oracle]'")
pytestmark = pytest.mark.oracle

reductions = pytest.mark.parametrize("reduction", ["mean", "sum", "none"])


def compare(mine: Any, theirs: Any, x: np.ndarray, rng: np.random.Generator) -> None:
    """Value and gradient of a function of one array."""
    tensor, other = Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    out, out_other = mine(tensor), theirs(other)
    np.testing.assert_allclose(out.data, out_other.detach().numpy(), rtol=1e-11, atol=1e-14)
    g = rng.standard_normal(out.shape)
    out.backward(g)
    out_other.backward(torch.tensor(g))
    np.testing.assert_allclose(tensor.grad, other.grad.numpy(), rtol=1e-10, atol=1e-14)


@reductions
@given(
    rng=generators(), rows=st.integers(1, 5), columns=st.integers(1, 4), scale=st.sampled_from([1, 20, 1000])
)
def test_losses(rng: np.random.Generator, reduction: Any, rows: int, columns: int, scale: float) -> None:
    z = scale * rng.standard_normal((rows, columns))
    y = rng.choice([0.0, 1.0, 0.3], (rows, columns))
    classes = rng.integers(0, columns, rows)
    there = torch.nn.functional
    compare(
        lambda z: F.binary_cross_entropy_with_logits(z, y, reduction=reduction),
        lambda z: there.binary_cross_entropy_with_logits(z, torch.tensor(y), reduction=reduction),
        z,
        rng,
    )
    compare(
        lambda z: F.cross_entropy(z, classes, reduction=reduction),
        lambda z: there.cross_entropy(z, torch.tensor(classes), reduction=reduction),
        z,
        rng,
    )
    compare(
        lambda z: F.mse_loss(z, y, reduction),
        lambda z: there.mse_loss(z, torch.tensor(y), reduction=reduction),
        z,
        rng,
    )
    for axis in (0, 1):
        compare(lambda z, a=axis: F.log_softmax(z, a), lambda z, a=axis: there.log_softmax(z, a), z, rng)


def test_log_softmax_in_float32_beside_a_large_offset(rng: np.random.Generator) -> None:
    z = (rng.standard_normal((4, 5)) + np.array([[0], [1e2], [1e4], [1e6]])).astype(np.float32)
    here = F.log_softmax(Tensor(z)).data
    there = torch.log_softmax(torch.tensor(z), 1).numpy()
    np.testing.assert_allclose(here, there, rtol=3e-6)


@pytest.mark.parametrize(
    ("mine", "theirs", "settings"),
    [
        (SGD, "SGD", {"lr": 0.05}),
        (SGD, "SGD", {"lr": 0.05, "momentum": 0.9}),
        (SGD, "SGD", {"lr": 0.05, "weight_decay": 0.1}),
        (SGD, "SGD", {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.1}),
        (RMSprop, "RMSprop", {}),
        (RMSprop, "RMSprop", {"lr": 0.05, "alpha": 0.8, "eps": 1e-3}),
        (Adam, "Adam", {}),
        (Adam, "Adam", {"lr": 0.05, "betas": (0.8, 0.9), "eps": 1e-3}),
        (Adam, "Adam", {"lr": 0.05, "weight_decay": 0.1}),
        (AdamW, "AdamW", {}),
        (AdamW, "AdamW", {"lr": 0.05, "betas": (0.8, 0.9), "eps": 1e-3, "weight_decay": 0.1}),
    ],
)
def test_optimizers_over_20_steps(mine: Any, theirs: str, settings: dict, rng: np.random.Generator) -> None:
    start = [rng.standard_normal(shape) for shape in ((2, 3), (4,), ())]
    params = [Tensor(p, requires_grad=True) for p in start]
    others = [torch.tensor(p, requires_grad=True) for p in start]
    opt, other_opt = mine(params, **settings), getattr(torch.optim, theirs)(others, **settings)
    for step in range(20):
        for k, (p, q) in enumerate(zip(params, others)):
            g = rng.standard_normal(p.shape)
            missing = k == 1 and step in (0, 1, 7)  # one joins late, and is left out once
            p.grad, q.grad = (None, None) if missing else (g, torch.tensor(g))
        opt.step()
        other_opt.step()
        for p, q in zip(params, others):
            np.testing.assert_allclose(p.data, q.detach().numpy(), rtol=1e-11, atol=1e-13)
    assert all((p.data != before).all() for p, before in zip(params, start))


def test_the_comparison_of_optimizers_can_fail(rng: np.random.Generator) -> None:
    with pytest.raises(AssertionError):
        test_optimizers_over_20_steps(AdamW, "Adam", {"lr": 0.05, "weight_decay": 0.1}, rng)
    with pytest.raises(AssertionError):
        test_optimizers_over_20_steps(
            lambda p, lr, eps: Adam(p, lr, eps=2 * eps), "Adam", {"lr": 0.05, "eps": 1e-8}, rng
        )


@given(rng=generators(), limit=st.floats(0.01, 10))
def test_clipping(rng: np.random.Generator, limit: float) -> None:
    gradients = [rng.standard_normal(shape) for shape in ((2, 3), (4,), ())]
    params = {str(k): Tensor(np.zeros(g.shape), requires_grad=True) for k, g in enumerate(gradients)}
    others = [torch.zeros(g.shape, dtype=torch.float64, requires_grad=True) for g in gradients]
    for p, q, g in zip(params.values(), others, gradients):
        p.grad, q.grad = g.copy(), torch.tensor(g)
    norm, other_norm = clip_grad_norm(params, limit), torch.nn.utils.clip_grad_norm_(others, limit)
    assert norm == pytest.approx(float(other_norm), rel=1e-12)
    for p, q in zip(params.values(), others):
        # PyTorch adds 1e-6 to the norm that it divides by, so its result is that much too short
        np.testing.assert_allclose(p.grad, q.grad.numpy(), rtol=1.1e-6 / min(norm, 1))


def test_where_it_differs_clipping_refuses_what_is_not_finite() -> None:
    # PyTorch turns every gradient into NaN unless told to raise; here it raises, and says whose.
    p, q = Tensor(np.zeros(2), requires_grad=True), Tensor(np.zeros(1), requires_grad=True)
    p.grad, q.grad = np.array([1.0, np.nan]), np.ones(1)
    with pytest.raises(ValueError, match=r"^the gradient of p is not finite$"):
        clip_grad_norm({"p": p, "q": q}, 0.5)
    np.testing.assert_array_equal(q.grad, [1])
    others = [torch.zeros(2, requires_grad=True), torch.zeros(1, requires_grad=True)]
    others[0].grad, others[1].grad = torch.tensor([1.0, np.nan]), torch.ones(1)
    torch.nn.utils.clip_grad_norm_(others, 0.5)
    assert np.isnan(others[1].grad.numpy()).all()


def test_where_it_differs_losses_refuse_a_target_that_only_broadcasts() -> None:
    # mse_loss of (4, 1) and (4,) is a mean over 16 pairs in PyTorch, with a warning; here an error.
    with pytest.warns(UserWarning, match="broadcasting"):
        torch.nn.functional.mse_loss(torch.zeros(4, 1), torch.zeros(4))
    with pytest.raises(ValueError, match=r"shape \(4, 1\) and a target of shape \(4,\)"):
        F.mse_loss(Tensor(np.zeros((4, 1))), np.zeros(4))


def test_where_it_differs_targets_outside_of_0_to_1_are_refused() -> None:
    # PyTorch computes a loss, which falls below 0 without end.
    loss = torch.nn.functional.binary_cross_entropy_with_logits(torch.tensor([100.0]), torch.tensor([2.0]))
    assert loss.item() == -100
    with pytest.raises(ValueError, match="targets from 0 to 1"):
        F.binary_cross_entropy_with_logits(Tensor([100.0]), [2.0])
