"""What layers compute: an affine map, rows of a table, dropout, the step of an LSTM."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_np.functional.common import Rng, check_indices, check_probability, floats, generator
from tinygrad_np.operand import as_array
from tinygrad_np.ops import recurrent
from tinygrad_np.ops.elementwise import where
from tinygrad_np.tensor import Tensor

__all__ = ["dropout", "embedding", "linear", "lstm_step"]


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


def embedding(indices: Any, weight: Tensor, padding_idx: int | None = None) -> Tensor:
    """The rows of a table.

    Parameters
    ----------
    indices : array_like of int
        Any shape.
    weight : Tensor
        The table, (rows, features).
    padding_idx : int, optional
        A row to which no gradient is sent.

    Returns
    -------
    Tensor
        The shape of `indices` followed by the number of features.

    Raises
    ------
    IndexError
        An index, or `padding_idx`, is not a whole number, or not that of a row. Negative ones do not count
        from the end here.
    """
    weight = floats("embedding", weight)
    if not weight.ndim:
        raise ValueError("embedding takes a table (rows, features), and no single number")
    indices = check_indices("embedding", indices, len(weight))
    if padding_idx is not None and not 0 <= padding_idx < len(weight):
        raise IndexError(f"padding_idx {padding_idx} is not a row of {len(weight)}")
    out = weight[indices]
    if padding_idx is not None and weight.requires_grad:
        out = where((indices == padding_idx)[..., np.newaxis], out.detach(), out)
    return out


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
