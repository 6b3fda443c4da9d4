"""Losses as layers, under PyTorch's names: each is a function of `functional`, and holds the settings of its calls.

``nn.CrossEntropyLoss(label_smoothing=0.1)(logits, classes)`` is ``functional.cross_entropy(logits, classes,
label_smoothing=0.1)``: what a loss takes and computes is said there.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, ClassVar

from tinygrad_np import functional
from tinygrad_np.nn.layer import Layer, named_settings
from tinygrad_np.operand import as_array
from tinygrad_np.tensor import Tensor

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "CosineEmbeddingLoss",
    "CrossEntropyLoss",
    "GaussianNLLLoss",
    "HingeEmbeddingLoss",
    "HuberLoss",
    "KLDivLoss",
    "L1Loss",
    "MSELoss",
    "MarginRankingLoss",
    "MultiLabelMarginLoss",
    "MultiLabelSoftMarginLoss",
    "MultiMarginLoss",
    "NLLLoss",
    "PoissonNLLLoss",
    "SmoothL1Loss",
    "SoftMarginLoss",
    "TripletMarginLoss",
    "TripletMarginWithDistanceLoss",
]


class Loss(Layer):
    """The base of the losses: the parameters of its `function` that have defaults are the settings.

    Weights are kept as Tensors that are not trained, so that they are in a `state_dict`, as PyTorch's are.
    """

    function: ClassVar[Callable[..., Tensor]]

    def __init__(self, *args: Any, **settings: Any):
        parameters = inspect.signature(self.function).parameters.values()
        signature = inspect.Signature([p for p in parameters if p.default is not p.empty])
        self.given, by_name = named_settings(type(self).__name__, signature, args, settings)
        self.settings = list(by_name)
        for name, value in by_name.items():
            is_weight = name in ("weight", "pos_weight") and value is not None
            setattr(self, name, Tensor(as_array(value, type(self).__name__)) if is_weight else value)

    def extra_repr(self) -> str:
        """The settings that were given."""
        now = {name: getattr(self, name) for name in self.given}
        return ", ".join(f"{k}={v.tolist() if isinstance(v, Tensor) else repr(v)}" for k, v in now.items())

    def forward(self, *inputs: Any) -> Tensor:
        """What the function takes before its settings, to a number, or one an element."""
        return self.function(*inputs, **{name: getattr(self, name) for name in self.settings})


class MSELoss(Loss):
    """The squared difference."""

    function = staticmethod(functional.mse_loss)


class L1Loss(Loss):
    """The absolute difference."""

    function = staticmethod(functional.l1_loss)


class SmoothL1Loss(Loss):
    """The absolute difference, with a parabola below beta."""

    function = staticmethod(functional.smooth_l1_loss)


class HuberLoss(Loss):
    """Half of the squared difference, with straight lines beyond delta."""

    function = staticmethod(functional.huber_loss)


class CrossEntropyLoss(Loss):
    """-log softmax of logits, at the class."""

    function = staticmethod(functional.cross_entropy)


class NLLLoss(Loss):
    """-log p of log-probabilities, at the class."""

    function = staticmethod(functional.nll_loss)


class BCELoss(Loss):
    """-log p of what is true, for probabilities of yes or no."""

    function = staticmethod(functional.binary_cross_entropy)


class BCEWithLogitsLoss(Loss):
    """-log p of what is true, for logits of yes or no."""

    function = staticmethod(functional.binary_cross_entropy_with_logits)


class KLDivLoss(Loss):
    """Kullback and Leibler's divergence of log-probabilities from the target."""

    function = staticmethod(functional.kl_div)


class GaussianNLLLoss(Loss):
    """-log p of a normal distribution whose mean and variance are predicted."""

    function = staticmethod(functional.gaussian_nll_loss)


class PoissonNLLLoss(Loss):
    """-log p of counts whose rate is predicted."""

    function = staticmethod(functional.poisson_nll_loss)


class HingeEmbeddingLoss(Loss):
    """A distance where two are alike, and what it lacks to the margin where they are not."""

    function = staticmethod(functional.hinge_embedding_loss)


class CosineEmbeddingLoss(Loss):
    """1 - cos of the angle where two are alike, and what the cosine exceeds the margin by where they are not."""

    function = staticmethod(functional.cosine_embedding_loss)


class MarginRankingLoss(Loss):
    """What the higher of two scores lacks to being higher by the margin."""

    function = staticmethod(functional.margin_ranking_loss)


class SoftMarginLoss(Loss):
    """log(1 + e^(-y x)) for scores and labels 1 or -1."""

    function = staticmethod(functional.soft_margin_loss)


class MultiMarginLoss(Loss):
    """What the score of the class lacks to being higher than each other by the margin."""

    function = staticmethod(functional.multi_margin_loss)


class MultiLabelMarginLoss(Loss):
    """What the scores of several labels lack to being higher than each other score by 1."""

    function = staticmethod(functional.multilabel_margin_loss)


class MultiLabelSoftMarginLoss(Loss):
    """The mean over classes of -log p of what is true, for logits of yes or no."""

    function = staticmethod(functional.multilabel_soft_margin_loss)


class TripletMarginLoss(Loss):
    """What the anchor lacks to being nearer to the positive than to the negative by the margin."""

    function = staticmethod(functional.triplet_margin_loss)


class TripletMarginWithDistanceLoss(Loss):
    """The same with a distance of one's own."""

    function = staticmethod(functional.triplet_margin_with_distance_loss)
