"""The plain recurrent network, composed of primitives."""

from __future__ import annotations

import numpy as np

from tinygrad_np.ops.elementwise import relu, tanh
from tinygrad_np.ops.index import getitem
from tinygrad_np.ops.recurrent.packing import Lengths
from tinygrad_np.ops.recurrent.unroll import time_major, unroll
from tinygrad_np.ops.shape import transpose
from tinygrad_np.tape import Array, whole

ACTIVATIONS = {"tanh": tanh, "relu": relu}


@whole
def rnn_composed(
    x: Array,
    h: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array,
    bias_hh: Array,
    *,
    nonlinearity: str = "tanh",
    lengths: Lengths = None,
    reverse: bool = False,
    indices: np.ndarray | None = None,
    mask: np.ndarray | None = None,
) -> tuple[Array, ...]:
    """h' = tanh(x W_ih^T + b_ih + h W_hh^T + b_hh) at each step (Elman, 1990); see `lstm` for the rest."""
    x = x if indices is None else getitem(x, index=indices)
    inputs = time_major(x, lengths) @ transpose(weight_ih) + (bias_ih + bias_hh)
    weight = transpose(weight_hh)

    def step(t: int, state: tuple[Array, ...]) -> tuple[Array, ...]:
        (h,) = state
        return (ACTIVATIONS[nonlinearity](inputs[t] + (h if mask is None else h * mask) @ weight),)

    return unroll(step, x, (h,), lengths, reverse)
