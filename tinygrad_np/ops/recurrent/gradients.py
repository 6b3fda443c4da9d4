"""The gradients of an LSTM or GRU while its backward pass adds them up, step after step."""

from __future__ import annotations

import math
from functools import reduce
from typing import Any

import numpy as np

from tinygrad_np.backward import SparseGrad
from tinygrad_np.ops.recurrent.packing import PackedSequence
from tinygrad_np.ops.recurrent.workspace import Workspace

# Of the gradient of the weights: as many as OpenBLAS multiplies without copying them first.
ROWS_PER_PRODUCT = 128


class Gradients:
    """Those of outputs, inputs and weights, of which every step has a part.

    Parameters
    ----------
    packed : PackedSequence
        The sequences.
    scratch : Workspace
        Memory for this backward pass.
    g : ndarray or None
        The incoming gradient, of the outputs, (batch, time, hidden), if they have one.
    needs_x_grad : bool
        Whether the gradient of x is asked for.

    Attributes
    ----------
    d_weights : ndarray
        The gradient of the weights of the four gates, (4, hidden + features + 1, hidden).
    packed_d_x : ndarray or None
        The gradient of the inputs, (rows, features), if it is asked for.
    packed_d_out : ndarray or None
        The gradient of each row's output, (rows, hidden).
    first_nonzero_row : int
        No row before it has an output with a gradient.
    """

    def __init__(self, packed: PackedSequence, scratch: Workspace, g: np.ndarray | None, needs_x_grad: bool):
        batch, time, hidden = packed.shape
        width = packed.u.shape[1]
        self.packed = packed
        info = np.finfo(packed.u.dtype)
        self.tiny = info.tiny if info.bits > 16 else 0
        self.d_weights = np.zeros((4, width, hidden), packed.u.dtype)
        self.product = scratch.empty(4, width, hidden)
        self.by_gate = scratch.empty(4 * packed.max_chunk_rows * hidden)
        rows = len(packed.positions)
        self.packed_d_x = np.zeros((rows, width - hidden - 1), packed.u.dtype) if needs_x_grad else None
        self.packed_d_out: np.ndarray | None = None
        self.first_nonzero_row = rows
        if g is not None:
            self.packed_d_out = np.take(g.reshape(batch * time, hidden), packed.positions, axis=0)
            nonzero = np.flatnonzero(self.packed_d_out.any(axis=1))
            self.first_nonzero_row = int(nonzero[0]) if nonzero.size else self.first_nonzero_row

    def d_out(self, row: int, steps: int, batch_size: int) -> Any:
        """The gradients of the outputs of some steps, the last step first; None for each if they have none."""
        if self.packed_d_out is None:
            return [None] * steps
        rows = self.packed_d_out[row : row + steps * batch_size]
        return rows.reshape(steps, batch_size, -1)[::-1]

    def accumulate(self, row: int, da: np.ndarray, W_x_T: np.ndarray) -> None:
        """Add what some steps contribute to the gradients of weights and inputs.

        Their gates before activation have the gradients da, (steps, 4, batch_size, hidden), and `row` is their
        first row.
        """
        steps, gates, batch_size, hidden = da.shape
        by_gate = self.by_gate[: da.size].reshape(gates, steps, batch_size, hidden)
        by_gate[...] = da.transpose(1, 0, 2, 3)
        for first in range(0, steps * batch_size, ROWS_PER_PRODUCT):
            some = by_gate.reshape(gates, -1, hidden)[:, first : first + ROWS_PER_PRODUCT]
            rows = slice(row + first, row + first + some.shape[1])
            np.matmul(self.packed.u[rows].T, some, self.product)
            self.d_weights += self.product
            if self.packed_d_x is not None:
                np.add.reduce(some @ W_x_T, 0, out=self.packed_d_x[rows])

    def d_x(self, shape: tuple[int, ...], indices: np.ndarray | None) -> np.ndarray | SparseGrad | None:
        """The gradient of x, of this shape, if it is asked for; where x is a table, of the rows that were read."""
        if self.packed_d_x is None:
            return None
        if indices is not None:
            return SparseGrad(self.packed_d_x, self.packed.x_rows)
        out = np.zeros(shape, self.packed_d_x.dtype)
        out.reshape(math.prod(shape[:-1]), shape[-1])[self.packed.positions] = self.packed_d_x
        return out

    def flush_vanished(self, row: int, *d_states: np.ndarray) -> bool:
        """Set the gradients of states to 0 where they have vanished.

        A sequence's gradient has vanished when all of it is below the smallest normal number of its dtype: some
        processors are ten times as slow with such numbers. Further back it could grow again only where many
        steps multiply it, and would have lost most of its digits by then. float16 is left alone: its smallest
        normal number is one that others reach too.

        Returns
        -------
        bool
            Whether all of them have vanished, and no row before `row` has an output with a gradient: then
            nothing is left to compute.
        """
        vanished = reduce(np.maximum, [np.abs(d_state) for d_state in d_states]).max(axis=1) < self.tiny
        if vanished.any():
            for d_state in d_states:
                d_state[vanished] = 0
        return row <= self.first_nonzero_row and bool(vanished.all())
