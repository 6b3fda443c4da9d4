"""What the rows do not show of the losses: limits, weights of 0, what is ignored, what is refused, the layers."""

import inspect
import math
from typing import Any

import numpy as np
import pytest

import tinygrad_np.functional as F
from tinygrad_np import Tensor, nn
from tinygrad_np.check.cases import LOSSES

INF = math.inf


def leaf(x: Any) -> Tensor:
    return Tensor(np.array(x, float), requires_grad=True)


# --- limits -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("z", "y", "loss", "gradient"),
    [(INF, 1, 0, 0), (-INF, 0, 0, 0), (INF, 0, INF, 1), (-INF, 1, INF, -1)],
)
def test_infinite_logits_have_a_loss(z: float, y: float, loss: float, gradient: float) -> None:
    x = leaf([z])
    out = F.binary_cross_entropy_with_logits(x, [y])
    out.backward()
    assert (out.item(), x.grad.tolist()) == (loss, [gradient])  # type: ignore[union-attr]


def test_a_class_that_is_masked_with_minus_infinity_takes_no_part() -> None:
    masked, without = leaf([[1.0, -INF, 2.0]]), leaf([[1.0, 2.0]])
    loss, expected = F.cross_entropy(masked, [2]), F.cross_entropy(without, [1])
    loss.backward()
    expected.backward()
    assert loss.item() == expected.item()
    assert masked.grad is not None
    assert without.grad is not None
    np.testing.assert_array_equal(masked.grad[0, [0, 2]], without.grad[0])
    assert masked.grad[0, 1] == 0
    assert F.cross_entropy(masked, [[0.5, 0.0, 0.5]]).item() < INF
    assert F.cross_entropy(masked, [1, 2][:1], weight=[1.0, 0.0, 1.0], reduction="sum").item() == 0


def test_probabilities_of_0_and_1_have_a_loss_of_100_at_most() -> None:
    p = leaf([0.0, 1.0, 0.0, 1.0])
    loss = F.binary_cross_entropy(p, [0, 1, 1, 0], reduction="none")
    loss.backward(np.ones(4))
    np.testing.assert_array_equal(loss.data, [0, 0, 100, 100])
    np.testing.assert_array_equal(p.grad, [1, -1, 0, 0])


def test_a_divergence_from_what_has_no_probability_is_0() -> None:
    x = leaf([-INF, math.log(0.5)])
    for target, log_target in (([0.0, 0.5], False), ([-INF, math.log(0.5)], True)):
        y = leaf(target)
        loss = F.kl_div(x, y, "sum", log_target)
        loss.backward()
        assert loss.item() == 0
        assert x.grad is not None
        assert y.grad is not None
        assert np.isfinite([x.grad, y.grad]).all()


def test_a_variance_below_eps_counts_as_eps_and_keeps_its_gradient() -> None:
    v = leaf([1e-9, 1e-3])
    loss = F.gaussian_nll_loss(Tensor([1.0, 1.0]), [1.0, 1.0], v, eps=1e-4, reduction="none")
    np.testing.assert_allclose(loss.data, np.log([1e-4, 1e-3]) / 2, rtol=1e-12)
    loss.backward(np.ones(2))
    np.testing.assert_allclose(v.grad, [0.5e4, 0.5e3], rtol=1e-9)
    assert F.gaussian_nll_loss(Tensor([1.0]), [0.0], 0.5).item() == pytest.approx((math.log(0.5) + 2) / 2)


@pytest.mark.parametrize("kink", [1.0, -1.0])
def test_huber_is_smooth_where_the_parabola_ends(kink: float) -> None:
    for loss in (F.huber_loss, F.smooth_l1_loss):
        x = leaf([kink, 1e200])
        loss(x, [0.0, 0.0], "sum").backward()
        np.testing.assert_array_equal(x.grad, [kink, 1])


def test_on_the_edge_of_a_margin_the_derivative_is_that_of_the_loss() -> None:
    a, b = leaf([1.0]), leaf([1.0])
    F.margin_ranking_loss(a, b, [1]).backward()
    assert (a.grad, b.grad) == ([-1], [1])
    x = leaf([[1.0, 0.0]])
    F.multi_margin_loss(x, [0]).backward()
    assert x.grad is None or not x.grad.any()


def test_two_alike_vectors_have_a_cosine_and_a_distance() -> None:
    x, y = leaf([[0.0, 0.0]]), leaf([[0.0, 0.0]])
    (F.cosine_embedding_loss(x, y, [1]) + F.triplet_margin_loss(x, y, y)).backward()
    assert np.isfinite([x.grad, y.grad]).all()


# --- means --------------------------------------------------------------------------------------------


def test_the_mean_is_over_the_weights_where_pytorchs_is() -> None:
    x, w = Tensor([[1.0, 3.0]]), [[1.0, 3.0]]
    assert F.mse_loss(x, [[0.0, 0.0]], weight=w).item() == (1 + 27) / 4
    assert F.l1_loss(x, [[0.0, 0.0]], weight=w).item() == (1 + 9) / 4
    assert F.huber_loss(x, [[0.0, 0.0]], weight=w).item() == (0.5 + 7.5) / 2
    log_p = Tensor([[-1.0, -2.0], [-3.0, -4.0], [-5.0, -6.0]])
    assert F.nll_loss(log_p, [0, 1, -100], weight=[1.0, 3.0]).item() == (1 + 12) / 4
    assert F.nll_loss(log_p, [0, 1, -100]).item() == 2.5
    assert F.nll_loss(log_p, [0, 1, -100], reduction="none").data.tolist() == [1, 4, 0]
    assert F.kl_div(Tensor(np.zeros((2, 3))), np.ones((2, 3)), "batchmean").item() == 0


def test_what_is_ignored_sends_no_gradient_even_from_nan() -> None:
    x = leaf([[-1.0, math.nan], [-1.0, -2.0]])
    loss = F.nll_loss(x, [7, 0], ignore_index=7)
    loss.backward()
    assert loss.item() == 1
    np.testing.assert_array_equal(x.grad, [[0, 0], [-1, 0]])


def test_a_mean_of_nothing_is_nan_and_warns() -> None:
    with pytest.warns(RuntimeWarning):
        assert math.isnan(F.cross_entropy(Tensor([[1.0, 2.0]]), [-100]).item())


def test_a_label_that_is_there_twice_counts_twice_and_what_is_behind_minus_1_is_not_read() -> None:
    x = Tensor([0.0, 0.5, 2.0])
    once = F.multilabel_margin_loss(x, [1, -1, 2]).item()
    assert once == pytest.approx((0.5 + 2.5) / 3)
    assert F.multilabel_margin_loss(x, [1, 1, -1]).item() == pytest.approx(2 * once)


# --- what is refused ----------------------------------------------------------------------------------

X = np.zeros((2, 3))


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: F.cross_entropy(X, [0, 1], "sum"), "cross_entropy: .*dtype <U3"),
        (
            lambda: F.cross_entropy(X, [0, 1], [1.0, 2.0]),
            r"cross_entropy takes finite weights of shape \(3,\), not float64 of shape \(2,\)",
        ),
        (
            lambda: F.mse_loss(X, X, weight=[math.nan] * 3),
            r"mse_loss takes finite weights of shape \(2, 3\), not float64 of shape \(3,\)",
        ),
        (
            lambda: F.binary_cross_entropy_with_logits(X, X, np.ones((5, 2, 3))),
            r"binary_cross_entropy_with_logits takes finite weights that broadcast to shape \(2, 3\), not ",
        ),
        (
            lambda: F.cross_entropy(X, [0, 1], label_smoothing=2),
            "cross_entropy takes a number from 0 to 1 for label_smoothing, not 2",
        ),
        (lambda: F.cross_entropy(X, X + 2.0), "cross_entropy takes targets from 0 to 1, and found others"),
        (
            lambda: F.cross_entropy(X, X, ignore_index=1),
            "cross_entropy of probabilities has no class to ignore",
        ),
        (lambda: F.nll_loss(X, [0, 3]), "nll_loss of 3 classes got targets from 0 to 3"),
        (
            lambda: F.nll_loss(X, X),
            r"nll_loss takes log-probabilities \(N, C, ...\) or \(C,\) and whole-number",
        ),
        (
            lambda: F.binary_cross_entropy(X - 1, X),
            "binary_cross_entropy takes probabilities from 0 to 1, and",
        ),
        (lambda: F.kl_div(X, X - 1), "kl_div takes targets from 0 to 1, and found others"),
        (
            lambda: F.kl_div(X, X + 1, log_target=True),
            "kl_div takes logarithms of targets to 0, and found others",
        ),
        (lambda: F.huber_loss(X, X, delta=0), "huber_loss takes a delta above 0, not 0"),
        (lambda: F.smooth_l1_loss(X, X, beta=-1), "smooth_l1_loss takes a number from 0 for beta, not -1"),
        (lambda: F.poisson_nll_loss(X, X - 1), "poisson_nll_loss takes targets from 0, and found others"),
        (
            lambda: F.poisson_nll_loss(X - 1, X, False),
            "poisson_nll_loss takes rates from 0, and found others",
        ),
        (
            lambda: F.gaussian_nll_loss(X, X, X - 1),
            "gaussian_nll_loss takes variances from 0, and found others",
        ),
        (
            lambda: F.gaussian_nll_loss(X, X, np.ones(3)),
            r"gaussian_nll_loss of an input of shape \(2, 3\) and variances of shape \(3,\)",
        ),
        (
            lambda: F.gaussian_nll_loss(X, np.ones((4, 2, 3)), 1.0),
            r"gaussian_nll_loss of an input of shape \(2, 3\) and a target of shape \(4, 2, 3\)",
        ),
        (
            lambda: F.hinge_embedding_loss(X, X),
            "hinge_embedding_loss takes targets that are 1 or -1, and found others",
        ),
        (
            lambda: F.hinge_embedding_loss(X, [1, 1, 1]),
            r"hinge_embedding_loss of an input of shape \(2, 3\) and a target of shape \(3,\)",
        ),
        (
            lambda: F.cosine_embedding_loss(X, X, np.ones((2, 1))),
            r"cosine_embedding_loss takes two inputs \(N, D\) and labels \(N,\)",
        ),
        (
            lambda: F.margin_ranking_loss(X, X, [1, 1, 1]),
            r"margin_ranking_loss of inputs of shapes \(2, 3\) and ",
        ),
        (lambda: F.multi_margin_loss(X, [0, 1], 3), "multi_margin_loss takes 1 or 2 for p, not 3"),
        (lambda: F.multi_margin_loss(X, [0, 3]), "multi_margin_loss of 3 classes got targets from 0 to 3"),
        (
            lambda: F.multi_margin_loss(X, [0.0, 1.0]),
            "multi_margin_loss takes whole numbers as targets, not float64",
        ),
        (lambda: F.multi_margin_loss(X, [0]), r"multi_margin_loss takes scores \(N, C\) and classes \(N,\)"),
        (
            lambda: F.multilabel_margin_loss(X, [[-2] * 3] * 2),
            "multilabel_margin_loss of 3 classes got targets from",
        ),
        (
            lambda: F.multilabel_margin_loss(X[None], [[[0] * 3] * 2]),
            r"multilabel_margin_loss takes scores \(N, C\)",
        ),
        (
            lambda: F.multilabel_soft_margin_loss(X, X + 2),
            "multilabel_soft_margin_loss takes targets from 0 to 1",
        ),
        (
            lambda: F.multilabel_soft_margin_loss(1.0, 1.0),
            r"multilabel_soft_margin_loss takes logits \(..., C\)",
        ),
        (
            lambda: F.triplet_margin_loss(X, X, X[0]),
            "triplet_margin_loss takes three of as many axes, not shapes",
        ),
        (lambda: F.triplet_margin_loss(X, X, X, 0), "triplet_margin_loss takes a margin above 0, not 0"),
        (lambda: F.mse_loss(X, X * 1j), "mse_loss takes real targets, not complex128"),
    ],
)
def test_what_is_no_loss_is_refused_in_one_sentence(call: Any, says: str) -> None:
    with pytest.raises((ValueError, TypeError), match=f"^{says}"):
        call()


def test_a_weight_with_a_gradient_is_not_lost_in_silence() -> None:
    with pytest.raises(RuntimeError, match="would lose the gradient"):
        F.mse_loss(Tensor(X), X, weight=Tensor(X + 1, requires_grad=True))


def test_float32_stays_float32_beside_targets_and_weights_of_float64() -> None:
    x = Tensor(np.full((2, 3), 0.5, np.float32), requires_grad=True)
    ones = np.ones((2, 3))
    losses = [
        F.mse_loss(x, ones, weight=ones),
        F.binary_cross_entropy(x, ones, ones),
        F.binary_cross_entropy_with_logits(x, ones, ones, pos_weight=ones),
        F.cross_entropy(x, [0, 1], ones[0], label_smoothing=0.1),
        F.cross_entropy(x, ones, ones[0], label_smoothing=0.1),
        F.kl_div(x, ones),
        F.gaussian_nll_loss(x, ones, ones, full=True),
        F.gaussian_nll_loss(x, ones, 1.0),
        F.poisson_nll_loss(x, 2 * ones, full=True),
        F.hinge_embedding_loss(x, ones),
        F.cosine_embedding_loss(x, ones, [1, -1]),
        F.margin_ranking_loss(x, ones, ones),
        F.multi_margin_loss(x, [0, 1], weight=ones[0]),
        F.multilabel_margin_loss(x, [[0, -1, -1], [1, 2, -1]]),
        F.triplet_margin_loss(x, Tensor(np.float32(ones)), Tensor(np.float32(ones)), p=3),
        F.huber_loss(x, Tensor(ones, requires_grad=True)),
    ]
    for loss in losses:
        x.grad = None
        loss.backward()
        assert loss.dtype == np.float32
        assert x.grad is not None


# --- as layers ----------------------------------------------------------------------------------------


def test_a_loss_as_a_layer_shows_and_keeps_its_settings() -> None:
    loss = nn.CrossEntropyLoss([1.0, 2.0], ignore_index=1, reduction="sum")
    assert repr(loss) == "CrossEntropyLoss(weight=[1.0, 2.0], ignore_index=1, reduction='sum')"
    assert repr(nn.MSELoss()) == "MSELoss()"
    x = leaf([[0.0, 0.0], [1.0, 1.0]])
    assert loss(x, [0, 1]).item() == pytest.approx(math.log(2))
    assert list(loss.state_dict()) == ["weight"]
    assert loss.parameters() == []
    loss.label_smoothing = 0.5
    assert loss(x, [0, 1]).item() == pytest.approx(1.25 * math.log(2))


def test_a_setting_that_there_is_not_is_refused_when_the_layer_is_made() -> None:
    with pytest.raises(
        TypeError, match=r"^MSELoss\(reduction.*\): got an unexpected keyword argument 'reduce'$"
    ):
        nn.MSELoss(reduce="sum")
    with pytest.raises(TypeError, match=r"^HuberLoss\(.*\): too many positional arguments$"):
        nn.HuberLoss("mean", 1.0, None, 3)
    with pytest.raises(TypeError, match=r"^NLLLoss: a Tensor holds numbers"):
        nn.NLLLoss("sum")


def test_each_loss_has_its_layer_with_the_same_settings() -> None:
    assert {row.layer for row in LOSSES.values()} == set(nn.losses.__all__)
    for name, row in LOSSES.items():
        function = getattr(nn, row.layer).function
        assert function is getattr(F, name)
        defaults = [p for p in inspect.signature(function).parameters.values() if p.default is not p.empty]
        assert "reduction" in [p.name for p in defaults]
