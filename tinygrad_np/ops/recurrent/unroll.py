"""What `lstm_composed` and `gru_composed` share: the loop over the steps, on Tensors."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tinygrad_np.ops.elementwise import identity, where
from tinygrad_np.ops.recurrent.packing import Lengths
from tinygrad_np.ops.shape import stack, transpose
from tinygrad_np.tape import Array


def unroll(
    step: Callable[..., tuple[Array, ...]],
    x: Array,
    state: tuple[Array, ...],
    lengths: Lengths,
    reverse: bool,
) -> tuple[Array, ...]:
    """Outputs and last states of a step that is taken again and again, ``step(t, state) -> state``."""
    time = x.shape[1]
    lengths = np.full(len(x), time) if lengths is None else lengths
    padding = np.zeros(state[0].shape, state[0].dtype)
    outputs: list[Array] = [padding] * time
    state = tuple(identity(part) for part in state)  # Tensors, even where no step is taken
    # Backwards in time a sequence keeps its initial state until its last step comes.
    for t in reversed(range(time)) if reverse else range(time):
        active = (t < lengths)[:, np.newaxis]
        if not active.any():
            continue
        new = step(t, state)
        if active.all():
            state, outputs[t] = new, new[0]
        else:
            state = tuple(where(active, a, b) for a, b in zip(new, state, strict=True))
            outputs[t] = where(active, new[0], padding)
    if not outputs:
        return identity(np.zeros((len(x), 0, padding.shape[1]), padding.dtype)), *state
    return transpose(stack(*outputs), axes=(1, 0, 2)), *state


def time_major(x: Array, lengths: Lengths) -> Array:
    """(time, batch, features), so that each step is contiguous, and 0 for padding."""
    if lengths is not None:  # a NaN in the padding would come back in gradients, as 0 times NaN
        x = where((np.arange(x.shape[1]) < lengths[:, np.newaxis])[:, :, np.newaxis], x, 0)
    return transpose(x, axes=(1, 0, 2))
