"""Dropout: while training, forget a random part of what comes in, anew at each step of a sequence or all along."""

from __future__ import annotations

import numpy as np

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


class VariationalDropout(Dropout):
    """Dropout of the same features at all steps of a sequence (Gal and Ghahramani, 2016).

    For before and behind a recurrent layer; for its state there is ``LSTM(..., recurrent_dropout=p)``. Parameters
    are those of `Dropout`.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(batch, time, features), or (time, features), to that shape."""
        x = common.floats("VariationalDropout", x)
        if x.ndim < 2:
            raise ValueError(
                f"VariationalDropout takes (batch, time, features), not an input of shape {x.shape}"
            )
        ones = Tensor(np.ones((*x.shape[:-2], 1, x.shape[-1]), x.dtype))
        return x * functional.dropout(ones, self.p, self.training, rng=self.rng)


class Dropout1d(Dropout):
    """Dropout of whole channels of (batch, channels, length), or without batch.

    Parameters are those of `Dropout`.
    """

    def forward(self, x: Tensor) -> Tensor:
        """To the shape of x."""
        return functional.dropout1d(x, self.p, self.training, rng=self.rng)


class Dropout2d(Dropout):
    """Dropout of whole channels of (batch, channels, height, width), or without batch.

    Parameters are those of `Dropout`.
    """

    def forward(self, x: Tensor) -> Tensor:
        """To the shape of x."""
        return functional.dropout2d(x, self.p, self.training, rng=self.rng)


class AlphaDropout(Dropout):
    """Dropout that keeps mean 0 and variance 1, for behind a selu; see `functional.alpha_dropout`.

    Parameters are those of `Dropout`.
    """

    def forward(self, x: Tensor) -> Tensor:
        """To the shape of x."""
        return functional.alpha_dropout(x, self.p, self.training, rng=self.rng)


class FeatureAlphaDropout(Dropout):
    """`AlphaDropout` of whole channels of (batch, channels, ...).

    Parameters are those of `Dropout`.
    """

    def forward(self, x: Tensor) -> Tensor:
        """To the shape of x."""
        return functional.feature_alpha_dropout(x, self.p, self.training, rng=self.rng)
