"""A batch of sequences without its padding, in the order in which an LSTM or GRU steps through it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TypeAlias

import numpy as np

from tinygrad_np.ops.recurrent.workspace import Workspace

Lengths: TypeAlias = np.ndarray | None

ROWS_PER_CHUNK = 512  # whose factors are computed at once: they stay in the cache
STEPS_PER_CHUNK = 128  # at most: after each chunk a gradient that has vanished is noticed


def check_shapes(
    gates: int,
    x: np.ndarray,
    states: Sequence[np.ndarray],
    weights: Sequence[np.ndarray],
    lengths: Lengths,
    indices: np.ndarray | None,
) -> None:
    """Refuse arrays whose shapes do not fit together, empty ones among them, which NumPy would let pass."""
    batch = (x.shape if indices is None else indices.shape)[:1]
    hidden = states[0].shape[-1:]
    rows = (gates * hidden[0],) if hidden else ()
    features = x.shape[-1:]
    expected = [(*batch, *hidden)] * len(states) + [rows + features, rows + hidden, rows, rows]
    found = [array.shape for array in (*states, *weights)]
    sequences = x.ndim == 3 if indices is None else x.ndim == indices.ndim == 2
    if not sequences or found != expected or (lengths is not None and lengths.shape != batch):
        raise ValueError(f"the shapes of states, weights and biases should be {expected}, and are {found}")


class PackedSequence:
    """The rows u = [h, x, 1] of all steps, one step after another.

    As in PyTorch's `PackedSequence` the sequences are sorted, the longest first. But they are aligned at their
    end: a shorter one begins later. So those that are active at a step are the first ones, and all end at the
    same step.

    Parameters
    ----------
    dtype : dtype
        Of the rows.
    x : ndarray
        (batch, time, features), or a table of inputs, (rows, features).
    h : ndarray
        Initial states, (batch, hidden).
    lengths : ndarray of int or None
        Steps of each sequence, (batch,); all of them if None.
    reverse : bool
        Whether to read each sequence from its end.
    indices : ndarray of int or None
        (batch, time), where x is a table: the rows of it to read.

    Attributes
    ----------
    workspace : Workspace
        The memory of the rows, which lives as long as they are needed.
    shape : tuple of int
        (batch, time, hidden).
    sorted_indices : ndarray of int
        The sequences that have a step at all, the longest first.
    segments : list of (row, steps, batch_size)
        Neighbouring steps at which as many sequences are active, and the first row of them.
    positions : ndarray of int
        Where the step of each row stands among the (batch * time) given ones.
    x_rows : ndarray of int
        The row of x that each row reads: its position, or the index that stands there.
    u : ndarray
        (rows + sequences, hidden + features + 1). The h of a row is the state before its step, which is the
        output of the step before. The states after the last step follow as the last rows.
    max_chunk_rows : int
        No chunk of `backward_chunks` has more rows.
    """

    def __init__(
        self,
        dtype: np.dtype,
        x: np.ndarray,
        h: np.ndarray,
        lengths: Lengths,
        reverse: bool,
        indices: np.ndarray | None,
    ):
        self.workspace = Workspace(dtype)
        batch, time = x.shape[:2] if indices is None else indices.shape
        features, hidden = x.shape[-1], h.shape[1]
        lengths = np.full(batch, time) if lengths is None else lengths.astype(np.intp)
        self.sorted_indices = np.argsort(-lengths, kind="stable")[: np.count_nonzero(lengths)]
        total = int(lengths.max(initial=0))
        begin = total - lengths[self.sorted_indices]
        t = np.arange(total)[:, np.newaxis] - begin  # the time of each sequence at each step
        active = t >= 0
        if reverse:
            t = np.broadcast_to(np.arange(total)[::-1, np.newaxis], t.shape)
        self.positions = (self.sorted_indices * time + t)[active]
        self.segments: list[tuple[int, int, int]] = []
        rows = 0
        for batch_size, (start, stop) in enumerate(pairwise([*begin.tolist(), total]), 1):
            if stop > start:  # the next sequence begins at a later step
                self.segments.append((rows, stop - start, batch_size))
                rows += (stop - start) * batch_size
        self.max_chunk_rows = max([max(ROWS_PER_CHUNK, size) for _, _, size in self.segments], default=0)

        self.shape = batch, time, hidden
        self.u = self.workspace.empty(rows + len(self.sorted_indices), hidden + features + 1)
        self.x_rows = self.positions if indices is None else indices.reshape(-1)[self.positions]
        self.u[:rows, hidden:-1] = np.take(x.reshape(math.prod(x.shape[:-1]), features), self.x_rows, axis=0)
        self.u[:, -1] = 1
        already = 0
        for row, _, batch_size in self.segments:  # the sequences that begin here
            self.u[row + already : row + batch_size, :hidden] = h[self.sorted_indices[already:batch_size]]
            already = batch_size

    def step_views(self, segment: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
        """Views of the rows u of a segment, (steps, batch_size, ...), and of where its outputs are written.

        These, (steps, batch_size, hidden), are the h of the rows of the next step.
        """
        row, steps, batch_size = segment
        end = row + steps * batch_size
        return (
            self.u[row:end].reshape(steps, batch_size, -1),
            self.u[row + batch_size : end + batch_size].reshape(steps, batch_size, -1)[:, :, : self.shape[2]],
        )

    def padded_outputs(self) -> np.ndarray:
        """The state after each step, (batch, time, hidden), 0 in the padding."""
        batch, time, hidden = self.shape
        out = np.zeros((batch * time, hidden), self.u.dtype)
        for segment in self.segments:
            row, steps, batch_size = segment
            rows = slice(row, row + steps * batch_size)
            out[self.positions[rows]] = self.step_views(segment)[1].reshape(-1, hidden)
        return out.reshape(self.shape)

    def unsort(self, default: np.ndarray, states: np.ndarray) -> np.ndarray:
        """A state of each sequence, (batch, hidden), from the sorted ones; of an empty sequence the default."""
        out = np.array(default, self.u.dtype)
        out[self.sorted_indices] = states
        return out

    def backward_chunks(self) -> Iterator[tuple[int, int, int, int, int]]:
        """The steps in chunks, from the end: (number, start, stop, row, batch_size).

        These are the number of a segment, the steps `start` to `stop` of it, their first row, and how many
        sequences are active.
        """
        for number, (row, steps, batch_size) in reversed(list(enumerate(self.segments))):
            size = max(1, min(ROWS_PER_CHUNK // batch_size, STEPS_PER_CHUNK))
            for stop in range(steps, 0, -size):
                start = max(0, stop - size)
                yield number, start, stop, row + start * batch_size, batch_size
