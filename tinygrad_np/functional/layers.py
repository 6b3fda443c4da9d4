"""What layers compute: an affine map, dropout, the step of an LSTM."""

from __future__ import annotations

import numpy as np

from tinygrad_np.errors import names_itself
from tinygrad_np.functional.common import Rng, check_probability, floats, generator
from tinygrad_np.operand import as_array
from tinygrad_np.ops import recurrent
from tinygrad_np.ops.linalg import einsum
from tinygrad_np.tensor import Tensor

__all__ = [
    "alpha_dropout",
    "bilinear",
    "dropout",
    "dropout1d",
    "dropout2d",
    "feature_alpha_dropout",
    "linear",
    "lstm_step",
]


@names_itself
def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x W^T + b.

    Parameters
    ----------
    x : Tensor
        (..., in).
    weight : Tensor
        W, (out, in).
    bias : Tensor, optional
        b, (out,).

    Returns
    -------
    Tensor
        (..., out).
    """
    y = floats("linear", x) @ floats("linear", weight).T
    return y if bias is None else y + bias


@names_itself
def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x1^T W_k x2 + b_k for each k.

    Parameters
    ----------
    input1, input2 : Tensor
        x1 (..., in1) and x2 (..., in2).
    weight : Tensor
        W, (out, in1, in2).
    bias : Tensor, optional
        b, (out,).

    Returns
    -------
    Tensor
        (..., out).
    """
    x, y, w = (floats("bilinear", one) for one in (input1, input2, weight))
    if w.ndim != 3 or x.shape[:-1] != y.shape[:-1] or (*x.shape[-1:], *y.shape[-1:]) != w.shape[1:]:
        raise ValueError(
            f"bilinear takes inputs (..., in1) and (..., in2) and a weight (out, in1, in2), not {list(x.shape)}, "
            f"{list(y.shape)} and {list(w.shape)}"
        )
    z: Tensor = einsum(x, w, y, subscripts="...i,kij,...j->...k")
    return z if bias is None else z + bias


@names_itself
def dropout(x: Tensor, p: float = 0.5, training: bool = True, *, rng: Rng = None) -> Tensor:
    """x with elements set to 0 with probability p, the others divided by 1 - p (Srivastava et al., 2014).

    Parameters
    ----------
    x : Tensor
        Any shape.
    p : float
        From 0 to below 1. With 0 nothing is changed, and nothing drawn.
    training : bool
        With False `x` is returned as it is.
    rng : numpy.random.Generator, int or None
        Draws what is set to 0. A seed draws the same elements at each call; a Generator goes on.

    Raises
    ------
    ValueError
        `p` is no such probability.
    """
    check_probability("dropout", p)
    x = floats("dropout", x)
    if not training or not p:
        return x
    return x * ((generator("dropout", rng).random(x.shape) >= p).astype(x.dtype) / (1 - p))


@names_itself
def dropout1d(x: Tensor, p: float = 0.5, training: bool = True, *, rng: Rng = None) -> Tensor:
    """`dropout` of whole channels of (batch, channels, length) or (channels, length) (Tompson et al., 2015)."""
    return _drop_channels("dropout1d", 1, x, p, training, rng)


@names_itself
def dropout2d(x: Tensor, p: float = 0.5, training: bool = True, *, rng: Rng = None) -> Tensor:
    """`dropout` of whole channels of (batch, channels, height, width), or without batch."""
    return _drop_channels("dropout2d", 2, x, p, training, rng)


def _drop_channels(name: str, axes: int, x: Tensor, p: float, training: bool, rng: Rng) -> Tensor:
    x = floats(name, x)
    if x.ndim not in (axes + 1, axes + 2):
        raise ValueError(
            f"{name} takes (batch, channels, *lengths) of {axes} lengths, or no batch, not {x.shape}"
        )
    channels = np.ones((*x.shape[:-axes], *(1,) * axes), x.dtype)
    return x * dropout(Tensor(channels), p, training, rng=rng)


@names_itself
def alpha_dropout(x: Tensor, p: float = 0.5, training: bool = False, *, rng: Rng = None) -> Tensor:
    """Dropout that keeps mean 0 and variance 1, for behind a selu (Klambauer et al., 2017, section 3).

    What is dropped, with probability p, becomes -1.758, where selu ends; then all is scaled and shifted. Parameters
    are those of `dropout`.
    """
    x = floats("alpha_dropout", x)
    return _drop_to_alpha("alpha_dropout", x, x.shape, p, training, rng)


@names_itself
def feature_alpha_dropout(x: Tensor, p: float = 0.5, training: bool = False, *, rng: Rng = None) -> Tensor:
    """`alpha_dropout` of whole channels of (batch, channels, ...)."""
    x = floats("feature_alpha_dropout", x)
    if x.ndim < 2:
        raise ValueError(f"feature_alpha_dropout takes (batch, channels, ...), not {x.shape}")
    return _drop_to_alpha("feature_alpha_dropout", x, (*x.shape[:2], *(1,) * (x.ndim - 2)), p, training, rng)


ALPHA = 1.7580993408473766  # minus the smallest value of selu, its scale times its alpha


def _drop_to_alpha(
    name: str, x: Tensor, shape: tuple[int, ...], p: float, training: bool, rng: Rng
) -> Tensor:
    check_probability(name, p)
    if not training or not p:
        return x
    kept = (generator(name, rng).random(shape) >= p).astype(x.dtype)
    scale = ((ALPHA**2 * p + 1) * (1 - p)) ** -0.5
    dropped: Tensor = x * (kept * scale) + (scale * ALPHA) * (kept - 1 + p)
    return dropped


@names_itself
def lstm_step(gates: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """One step of an LSTM, from its gates before activation (..., 4 H), in the order i f g o, and c (..., H).

    Returns
    -------
    tuple of Tensor
        The new h and c, each (..., H); the equations are in `ops.recurrent.lstm.lstm_step`.
    """
    gates, c = (x if isinstance(x, Tensor) else Tensor(as_array(x, "lstm_step")) for x in (gates, c))
    dtype = np.result_type(gates.dtype, c.dtype, np.float32)
    gates, c = (x if x.dtype.kind in "fc" else x.astype(dtype) for x in (gates, c))
    return recurrent.lstm_step(gates, c)
