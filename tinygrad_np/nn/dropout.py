"""Dropout: while training, forget a random part of what comes in."""

from __future__ import annotations

from tinygrad_np import functional
from tinygrad_np.functional import common
from tinygrad_np.functional.common import Rng
from tinygrad_np.nn.layer import Layer
from tinygrad_np.tensor import Tensor


class Dropout(Layer):
    """Zero each element with probability p and divide the rest by 1 - p; in evaluation, change nothing.

    Parameters
    ----------
    p : float
        From 0 to below 1.
    rng : numpy.random.Generator, int or None
        Draws what is zeroed.
    """

    def __init__(self, p: float = 0.5, *, rng: Rng = None):
        common.check_probability("Dropout", p)
        self.p = p
        self.rng = common.generator("Dropout", rng)

    def extra_repr(self) -> str:
        """The probability."""
        return f"p={self.p}"

    def forward(self, x: Tensor) -> Tensor:
        """x of any shape, to that shape."""
        return functional.dropout(x, self.p, self.training, rng=self.rng)
