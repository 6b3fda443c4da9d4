"""An LSTM and a GRU over whole sequences, each one primitive, with its way back through time derived by hand.

The equations stand in `lstm` and `gru`; `lstm_composed` and `gru_composed` are the same built from primitives,
and the tests hold one against the other. What makes the fused ones fast:

- Nothing is computed for padding. Sequences are sorted by length and aligned at their end (`Packed`), so that
  those that run at a step are the first rows of one matrix.
- A step has one matrix product: of u = [h, x, 1], the state before, the input and a one for the bias, with all
  weights. The rows u of all steps are one array, which is an operand of the weights' gradient too.
- Each gate has a matrix of its own, and all that belongs to a step lies together, gate after gate. So a NumPy
  call runs through several gates in one loop, and the products are so small that OpenBLAS copies no operand.
- sigmoid(a) = tanh(a / 2) / 2 + 1 / 2, and the inner half is in the weights: one tanh serves all gates.
- Going back, the factors of the gates' gradients do not depend on gradients. They are computed for many steps
  at once, on pieces that stay in the cache; the loop over steps is left with products and sums.
- Memory is used again (`Workspace`): fresh megabytes cost more than the arithmetic on them.
- Once all gradients have vanished on their way back, nothing is left to compute.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from functools import reduce
from itertools import pairwise
from typing import Any, ClassVar, TypeAlias

import numpy as np

from tinygrad_np.ops.elementwise import identity, sigmoid, tanh, where
from tinygrad_np.ops.index import getitem
from tinygrad_np.ops.shape import split, stack, transpose
from tinygrad_np.tape import Array, MultiRule, SparseGrad, primitive

Lengths: TypeAlias = np.ndarray | None

ROWS_A_PRODUCT = 128  # in a product for weights: as many as OpenBLAS multiplies without copying them first
ROWS_A_PIECE = 4 * ROWS_A_PRODUCT  # whose factors are computed at once: they stay in the cache
STEPS_A_PIECE = 128  # at most: after each piece a gradient that has vanished is noticed
MEMORY_KEPT = 2**28  # bytes that wait for the next run


# --- what both share ----------------------------------------------------------------------------------


class Workspace:
    """Memory for one run, aligned to cache lines, that a later run takes over when this one is forgotten.

    The system hands memory out with a page fault every 4 kB, and a run uses each array once. What waits for the
    next run is `MEMORY_KEPT` at most, for as long as the program runs.
    """

    waiting: ClassVar[dict[int, list[np.ndarray]]] = {}  # by size
    kept: ClassVar[int] = 0
    lock: ClassVar[Any] = threading.RLock()  # a run may be forgotten while another one is taking

    def __init__(self, dtype: np.dtype):
        self.dtype = dtype
        self.taken: list[np.ndarray] = []

    def take(self, *shape: int) -> np.ndarray:
        """An array with anything in it."""
        count = math.prod(shape)
        needed = count * self.dtype.itemsize
        size = 1 << max(12, (needed - 1).bit_length())  # a power of two fits another run sooner
        with self.lock:
            memory = self.waiting[size].pop() if self.waiting.get(size) else None
            Workspace.kept -= 0 if memory is None else size
        if memory is None:
            raw = np.empty(size + 64, np.uint8)
            start = -raw.ctypes.data % 64
            memory = raw[start : start + size]
        self.taken.append(memory)
        return memory[:needed].view(self.dtype).reshape(shape)

    def block(self, steps: int, kept: bool, *shape: int) -> np.ndarray:
        """An array for each step, (steps, ...); if they are not kept, all of them in the same place."""
        if kept:
            return self.take(steps, *shape)
        one = self.take(*shape)
        return np.lib.stride_tricks.as_strided(one, (steps, *shape), (0, *one.strides))

    def __del__(self) -> None:
        with self.lock:
            for memory in self.taken:
                if Workspace.kept + memory.size > MEMORY_KEPT:  # of sizes, maybe, that do not come again
                    self.waiting.clear()
                    Workspace.kept = 0
                if memory.size <= MEMORY_KEPT:
                    self.waiting.setdefault(memory.size, []).append(memory)
                    Workspace.kept += memory.size


class Packed:
    """A batch of sequences without padding: the rows u = [h, x, 1] of all steps, one step after another.

    Sequences are sorted, the longest first, and aligned at their end: a shorter one begins later. So those
    that run at a step are the first ones, and all end at the same step.

    Attributes
    ----------
    order : ndarray of int
        The sequences that have a step at all, the longest first.
    runs : list of (row, steps, count)
        Neighbouring steps with the same count of sequences, and the first row of them.
    places : ndarray of int
        Where the step of each row lies among the (batch * time) given ones.
    sources : ndarray of int
        The row of x that each row reads: its place, or the index that stands there.
    u : ndarray
        (rows + sequences, hidden + features + 1). The h of a row is the state before its step, which is the
        output of the step before. The states after the last step follow as the last rows.
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
        self.space = space = Workspace(dtype)  # as long as the rows are needed
        batch, time = x.shape[:2] if indices is None else indices.shape
        features, hidden = x.shape[-1], h.shape[1]
        lengths = np.full(batch, time) if lengths is None else lengths.astype(np.intp)
        self.order = np.argsort(-lengths, kind="stable")[: np.count_nonzero(lengths)]
        total = int(lengths.max(initial=0))
        begin = total - lengths[self.order]
        t = np.arange(total)[:, np.newaxis] - begin  # the time of each sequence at each step
        running = t >= 0
        if reverse:
            t = np.broadcast_to(np.arange(total)[::-1, np.newaxis], t.shape)
        self.places = (self.order * time + t)[running]
        self.runs: list[tuple[int, int, int]] = []
        rows = 0
        for count, (first, after) in enumerate(pairwise([*begin.tolist(), total]), 1):
            if after > first:  # the next sequence begins at a later step
                self.runs.append((rows, after - first, count))
                rows += (after - first) * count

        self.shape = batch, time, hidden
        self.u = space.take(rows + len(self.order), hidden + features + 1)
        self.sources = self.places if indices is None else indices.reshape(-1)[self.places]
        self.u[:rows, hidden:-1] = np.take(x.reshape(math.prod(x.shape[:-1]), features), self.sources, axis=0)
        self.u[:, -1] = 1
        before = 0
        for row, _, count in self.runs:  # those that begin here
            self.u[row + before : row + count, :hidden] = h[self.order[before:count]]
            before = count

    def steps(self, run: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
        """The rows u of a run, (steps, count, ...), and the places for its outputs, (steps, count, hidden)."""
        row, steps, count = run
        end = row + steps * count
        return (
            self.u[row:end].reshape(steps, count, -1),
            self.u[row + count : end + count].reshape(steps, count, -1)[:, :, : self.shape[2]],
        )

    def outputs(self) -> np.ndarray:
        """The state after each step, (batch, time, hidden), 0 in the padding."""
        batch, time, hidden = self.shape
        out = np.zeros((batch * time, hidden), self.u.dtype)
        for run in self.runs:
            row, steps, count = run
            out[self.places[row : row + steps * count]] = self.steps(run)[1].reshape(-1, hidden)
        return out.reshape(self.shape)

    def unsorted(self, of_the_empty: np.ndarray, states: np.ndarray) -> np.ndarray:
        """A state of each sequence, (batch, hidden), from the sorted ones, and those of the empty sequences."""
        everything = np.array(of_the_empty, self.u.dtype)
        everything[self.order] = states
        return everything

    def pieces(self) -> Iterator[tuple[int, int, int, int, int]]:
        """From the end: the number of a run, the first and the last step in it, their first row and count."""
        for number, (row, steps, count) in reversed(list(enumerate(self.runs))):
            size = max(1, min(ROWS_A_PIECE // count, STEPS_A_PIECE))
            for last in range(steps, 0, -size):
                first = max(0, last - size)
                yield number, first, last, row + first * count, count


class Gradients:
    """The gradients of a run while they add up: of the inputs, the weights, and the states on the way back."""

    def __init__(self, packed: Packed, space: Workspace, g: np.ndarray | None, wants_x: bool):
        batch, time, hidden = packed.shape
        width = packed.u.shape[1]
        self.packed = packed
        info = np.finfo(packed.u.dtype)
        self.tiny = info.tiny if info.bits > 16 else 0
        self.weights = np.zeros((4, width, hidden), packed.u.dtype)
        self.part = space.take(4, width, hidden)
        self.largest = hidden * max([max(ROWS_A_PIECE, count) for _, _, count in packed.runs], default=0)
        self.gathered = space.take(4 * self.largest)
        rows = len(packed.places)
        self.x = np.zeros((rows, width - hidden - 1), packed.u.dtype) if wants_x else None
        self.incoming: np.ndarray | None = None  # the gradient of each row's output
        self.silent = rows  # so many rows, from the first on, have an output without gradient
        if g is not None:
            self.incoming = np.take(g.reshape(batch * time, hidden), packed.places, axis=0)
            loud = np.flatnonzero(self.incoming.any(axis=1))
            self.silent = int(loud[0]) if loud.size else self.silent

    def outputs(self, row: int, steps: int, count: int) -> Any:
        """The gradients of the outputs of some steps, the last step first; None for each where there are none."""
        if self.incoming is None:
            return [None] * steps
        return self.incoming[row : row + steps * count].reshape(steps, count, -1)[::-1]

    def add(self, row: int, da: np.ndarray, weight_ih: np.ndarray) -> None:
        """Add what the gates before activation, da of (steps, 4, count, hidden), send to weights and inputs."""
        steps, gates, count, hidden = da.shape
        by_gate = self.gathered[: da.size].reshape(gates, steps, count, hidden)
        by_gate[...] = da.transpose(1, 0, 2, 3)
        for first in range(0, steps * count, ROWS_A_PRODUCT):
            some = by_gate.reshape(gates, -1, hidden)[:, first : first + ROWS_A_PRODUCT]
            rows = slice(row + first, row + first + some.shape[1])
            np.matmul(self.packed.u[rows].T, some, self.part)
            self.weights += self.part
            if self.x is not None:
                np.add.reduce(some @ weight_ih, 0, out=self.x[rows])

    def inputs(self, shape: tuple[int, ...], indices: np.ndarray | None) -> np.ndarray | SparseGrad | None:
        """The gradient of x, if it is needs_input_grad: of the inputs, or of the rows of a table."""
        if self.x is None:
            return None
        if indices is not None:
            return SparseGrad(self.x, self.packed.sources)
        everything = np.zeros(shape, self.x.dtype)
        everything.reshape(math.prod(shape[:-1]), shape[-1])[self.packed.places] = self.x
        return everything

    def vanished(self, row: int, *states: np.ndarray) -> bool:
        """Whether nothing is left to send back from this row on; what has vanished of `states` is set to 0.

        A sequence's gradient has vanished when all of it is below the smallest normal number of its dtype: some
        processors are ten times as slow with such numbers. Further back it could grow again only where many
        steps multiply it, and would have lost most of its digits by then. float16 is left alone: its smallest
        normal number is one that others reach too.
        """
        gone = reduce(np.maximum, [np.abs(state) for state in states]).max(axis=1) < self.tiny
        if gone.any():
            for state in states:
                state[gone] = 0
        return row <= self.silent and bool(gone.all())


def unrolled(
    step: Callable[..., tuple[Array, ...]],
    x: Array,
    state: tuple[Array, ...],
    lengths: Lengths,
    reverse: bool,
) -> tuple[Array, ...]:
    """Outputs and last states of a step that is taken again and again, ``step(t, state) -> state``."""
    time = x.shape[1]
    lengths = np.full(len(x), time) if lengths is None else lengths
    nothing = np.zeros(state[0].shape, state[0].dtype)
    outputs: list[Array] = [nothing] * time
    state = tuple(identity(part) for part in state)  # Tensors, even where no step is taken
    # Backwards in time a sequence keeps its initial state until its last step comes.
    for t in reversed(range(time)) if reverse else range(time):
        running = (t < lengths)[:, np.newaxis]
        if not running.any():
            continue
        new = step(t, state)
        if running.all():
            state, outputs[t] = new, new[0]
        else:
            state = tuple(where(running, a, b) for a, b in zip(new, state, strict=True))
            outputs[t] = where(running, new[0], nothing)
    if not outputs:
        return identity(np.zeros((len(x), 0, nothing.shape[1]), nothing.dtype)), *state
    return transpose(stack(*outputs), axes=(1, 0, 2)), *state


def time_first(x: Array, lengths: Lengths) -> Array:
    """(time, batch, features), so that each step is one block, and 0 for padding."""
    if lengths is not None:  # a NaN in the padding would come back in gradients, as 0 times NaN
        x = where((np.arange(x.shape[1]) < lengths[:, np.newaxis])[:, :, np.newaxis], x, 0)
    return transpose(x, axes=(1, 0, 2))


# --- LSTM ---------------------------------------------------------------------------------------------


def lstm_step(gates: Array, c: Array) -> tuple[Array, Array]:
    """One step of an LSTM, from its gates before activation (..., 4 hidden) and its cell state (..., hidden).

    With i, f, g, o cut from `gates` in this order (Hochreiter and Schmidhuber, 1997, with the forget gate
    of Gers et al., 2000)::

        c' = sigmoid(f) c + sigmoid(i) tanh(g)
        h' = sigmoid(o) tanh(c')

    Returns
    -------
    tuple of Tensor
        h' and c', each (..., hidden).
    """
    hidden = c.shape[-1]
    i, f, _, o = split(sigmoid(gates), 4, axis=-1)  # one call for all is faster than three
    g = tanh(getitem(gates, index=(..., slice(2 * hidden, 3 * hidden))))
    c = f * c + i * g
    return o * tanh(c), c


def lstm_composed(
    x: Array,
    h: Array,
    c: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array,
    bias_hh: Array,
    *,
    lengths: Lengths = None,
    reverse: bool = False,
    indices: np.ndarray | None = None,
) -> tuple[Array, ...]:
    """`lstm` built from primitives: the tape finds the way back through time."""
    x = x if indices is None else getitem(x, index=indices)
    inputs = time_first(x, lengths) @ transpose(weight_ih) + (bias_ih + bias_hh)  # all steps in one product
    weight = transpose(weight_hh)

    def step(t: int, state: tuple[Array, ...]) -> tuple[Array, ...]:
        h, c = state
        return lstm_step(inputs[t] + h @ weight, c)

    return unrolled(step, x, (h, c), lengths, reverse)


IFOG = [0, 1, 3, 2]  # from PyTorch's order of the gates, i f g o, to the one here, and back


@primitive(composite=lstm_composed)
def lstm(
    x: np.ndarray,
    h: np.ndarray,
    c: np.ndarray,
    weight_ih: np.ndarray,
    weight_hh: np.ndarray,
    bias_ih: np.ndarray,
    bias_hh: np.ndarray,
    *,
    lengths: Lengths = None,
    reverse: bool = False,
    indices: np.ndarray | None = None,
    needs_input_grad: tuple[bool, ...] = (),
) -> MultiRule:
    """An LSTM over a batch of sequences, in one direction.

    A step takes h' and c', the states before it, and the input x. With u = [h', x, 1], and W the weights of
    all gates and their biases::

        a = u W          i, f, o = sigmoid(a_i), sigmoid(a_f), sigmoid(a_o)          g = tanh(a_g)
        c = i g + f c'              y = tanh(c)              h = o y

    On the way back dh and dc are the gradients of h and c. What has come from later steps is joined by the
    gradient of the output in dh, and by what h sends to c::

        dc  +=  dh  o (1 - y y)

        da_i  =  dc  g i (1 - i)        da_g  =  dc  i (1 - g g)        dh'  =  sum over gates of  da W_h^T
        da_f  =  dc  c' f (1 - f)       da_o  =  dh  y o (1 - o)        dc'  =  dc  f

        dW  =  sum over steps of  u^T da        dx  =  sum over gates of  da W_x^T

    With s = (i, f, o), t = (g, c', y) and p = s t, the factors are p - s p and s - p t, for three gates at once.

    Parameters
    ----------
    x : ndarray
        (batch, time, features).
    h, c : ndarray
        Initial states, (batch, hidden).
    weight_ih, weight_hh, bias_ih, bias_hh : ndarray
        (4 hidden, features), (4 hidden, hidden), (4 hidden,), (4 hidden,), as in `nn.LSTM`.
    lengths : ndarray of int, optional
        Steps of each sequence, (batch,), from 0 to time; all of them unless given.
    reverse : bool
        Whether to read each sequence from its end.
    indices : ndarray of int, optional
        (batch, time): then x is a table, (rows, features), and these are the rows of it to read.

    Returns
    -------
    tuple of ndarray
        h after each step, (batch, time, hidden), 0 beyond the length; and the last h and c, (batch, hidden).
    """
    dtype = np.result_type(x, h, c, weight_ih, weight_hh, bias_ih, bias_hh)
    packed = Packed(dtype, x, h, lengths, reverse, indices)
    space = packed.space
    hidden = h.shape[1]
    weights = space.take(4, packed.u.shape[1], hidden)
    weights[:, :hidden] = weight_hh.reshape(4, hidden, hidden)[IFOG].transpose(0, 2, 1)
    weights[:, hidden:-1] = weight_ih.reshape(4, hidden, -1)[IFOG].transpose(0, 2, 1)
    weights[:, -1] = (bias_ih + bias_hh).reshape(4, hidden)[IFOG]
    weights[:3] *= 0.5

    half = np.array(0.5, dtype)
    # the look-ups of names add up
    add, matmul, multiply, tanh_into = np.add, np.matmul, np.multiply, np.tanh
    blocks: list[np.ndarray] = []  # of each run (steps + 1, 6, count, hidden): i f o g, c' and y of each step
    after = c[packed.order[:0]].astype(dtype)
    for run in packed.runs:
        _, steps, count = run
        block = space.block(steps + 1, any(needs_input_grad), 6, count, hidden)
        block[0, 4, : len(after)] = after
        block[0, 4, len(after) :] = c[packed.order[len(after) : count]]
        products = space.take(2, count, hidden)
        ig, fc = products
        for u, h_next, gates, ifo, i_f, g_c, o, c_next, y in zip(
            *packed.steps(run),
            block[:, :4],
            block[:, :3],
            block[:, :2],
            block[:, 3:5],
            block[:, 2],
            block[1:, 4],
            block[:, 5],
            strict=False,  # a block has one step more, for the last c
        ):
            matmul(u, weights, gates)
            tanh_into(gates, gates)
            multiply(ifo, half, ifo)
            add(ifo, half, ifo)
            multiply(i_f, g_c, products)
            add(ig, fc, c_next)
            tanh_into(c_next, y)
            multiply(o, y, h_next)
        after = block[-1, 4]
        blocks.append(block)
    values = (
        packed.outputs(),
        packed.unsorted(h, packed.u[len(packed.places) :, :hidden]),
        packed.unsorted(c, after),
    )
    shape = x.shape  # all that the way back needs of x

    def vjp(gs: list[np.ndarray | None]) -> list[Any]:
        scratch = Workspace(dtype)
        gradients = Gradients(packed, scratch, gs[0], needs_input_grad[0])
        begun = np.zeros((2, len(packed.order), hidden), dtype)  # the gradients of initial h and c
        last = [np.zeros(h.shape, dtype) if g is None else g for g in gs[1:]]
        dh, dc = (g[packed.order] for g in last)
        to_h = weight_hh.reshape(4, hidden, hidden)[IFOG].astype(dtype)
        to_x = weight_ih.reshape(4, hidden, -1)[IFOG].astype(dtype)
        area, parts = scratch.take(6 * gradients.largest), scratch.take(4 * gradients.largest)
        for number, first, last_step, row, count in packed.pieces():
            begun[:, count : len(dh)] = dh[count:], dc[count:]
            dh, dc = dh[:count], dc[:count]
            size = last_step - first
            block = blocks[number][first:last_step]
            s, t = block[:, :3], block[:, 3:]
            # the factors of a_i a_f a_o; of a_g, of c' and of what h sends to c
            factors = area[: size * 6 * count * hidden].reshape(size, 2, 3, count, hidden)
            p, q = factors[:, 0], factors[:, 1]
            np.multiply(s, t, q)
            np.multiply(s, q, p)
            np.subtract(q, p, p)
            np.multiply(q, t, q)
            np.subtract(s, q, q)
            q[:, 1] = s[:, 1]
            flat = factors.reshape(size, 6, count, hidden)
            sent = parts[: 4 * count * hidden].reshape(4, count, hidden)
            low, high = sent[:2], sent[2:]
            low0, low1 = low
            # each factor is replaced by the gradient that it is a factor of
            for dout, da, da_i, da_f, da_o, da_g, dc_before, to_c in zip(
                gradients.outputs(row, size, count), flat[::-1, :4], *flat[::-1].swapaxes(0, 1), strict=True
            ):
                if dout is not None:
                    add(dh, dout, dh)
                multiply(dh, da_o, da_o)
                multiply(dh, to_c, to_c)
                add(dc, to_c, dc)
                multiply(dc, da_i, da_i)
                multiply(dc, da_f, da_f)
                multiply(dc, da_g, da_g)
                multiply(dc, dc_before, dc_before)
                dc = dc_before
                matmul(da, to_h, sent)
                add(low, high, low)
                add(low0, low1, dh)
            dc = dc.copy()  # the next piece overwrites the factors
            gradients.add(row, flat[:, :4], to_x)
            if gradients.vanished(row, dh, dc):
                break
        begun[:, : len(dh)] = dh, dc
        d_weights = gradients.weights[IFOG].transpose(0, 2, 1)
        d_bias = d_weights[:, :, -1].reshape(-1)
        return [
            gradients.inputs(shape, indices),
            packed.unsorted(last[0], begun[0]),
            packed.unsorted(last[1], begun[1]),
            d_weights[:, :, hidden:-1].reshape(weight_ih.shape),
            d_weights[:, :, :hidden].reshape(weight_hh.shape),
            d_bias,
            d_bias,
        ]

    return values, vjp


# --- GRU ----------------------------------------------------------------------------------------------


def gru_step(from_x: Array, from_h: Array, h: Array) -> Array:
    """One step of a GRU, from what inputs and state send to its gates, (..., 3 hidden), and its state.

    With r, z, n cut from both in this order (Cho et al., 2014, with the reset gate behind the product)::

        r = sigmoid(r_x + r_h)        z = sigmoid(z_x + z_h)        n = tanh(n_x + r n_h)
        h' = (1 - z) n + z h

    Returns
    -------
    Tensor
        h', (..., hidden).
    """
    r_x, z_x, n_x = split(from_x, 3, axis=-1)
    r_h, z_h, n_h = split(from_h, 3, axis=-1)
    z, n = sigmoid(z_x + z_h), tanh(n_x + sigmoid(r_x + r_h) * n_h)
    return n + z * (h - n)


def gru_composed(
    x: Array,
    h: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array,
    bias_hh: Array,
    *,
    lengths: Lengths = None,
    reverse: bool = False,
    indices: np.ndarray | None = None,
) -> tuple[Array, ...]:
    """`gru` built from primitives: the tape finds the way back through time."""
    x = x if indices is None else getitem(x, index=indices)
    inputs = time_first(x, lengths) @ transpose(weight_ih) + bias_ih
    weight = transpose(weight_hh)

    def step(t: int, state: tuple[Array, ...]) -> tuple[Array, ...]:
        return (gru_step(inputs[t], state[0] @ weight + bias_hh, state[0]),)

    return unrolled(step, x, (h,), lengths, reverse)


OF_STATE, OF_INPUT = [0, 1, 2], [0, 1, 3]  # of the four products r, z, n_h, n_x: those with h, those with x


@primitive(composite=gru_composed)
def gru(
    x: np.ndarray,
    h: np.ndarray,
    weight_ih: np.ndarray,
    weight_hh: np.ndarray,
    bias_ih: np.ndarray,
    bias_hh: np.ndarray,
    *,
    lengths: Lengths = None,
    reverse: bool = False,
    indices: np.ndarray | None = None,
    needs_input_grad: tuple[bool, ...] = (),
) -> MultiRule:
    """A GRU over a batch of sequences, in one direction.

    With h' the state before, u = [h', x, 1] and W all weights and biases; W has a 0 where n_h would meet x,
    and where n_x would meet h::

        a = u W        r, z = sigmoid(a_r), sigmoid(a_z)        n = tanh(a_nx + r a_nh)        h = n + z (h' - n)

    On the way back all depends on dh alone, the gradient of h::

        da_nx  =  dh  (1 - z) (1 - n n)        da_nh  =  da_nx  r        da_r  =  da_nx  a_nh r (1 - r)
        da_z   =  dh  (h' - n) z (1 - z)       dh'  =  dh z  +  sum over gates of  da W_h^T

    and dW and dx follow from da as in `lstm`.

    Parameters
    ----------
    x, h, lengths, reverse, indices
        As in `lstm`.
    weight_ih, weight_hh, bias_ih, bias_hh : ndarray
        (3 hidden, features), (3 hidden, hidden), (3 hidden,), (3 hidden,), as in `nn.GRU`.

    Returns
    -------
    tuple of ndarray
        h after each step, (batch, time, hidden), 0 beyond the length; and the last h, (batch, hidden).
    """
    dtype = np.result_type(x, h, weight_ih, weight_hh, bias_ih, bias_hh)
    packed = Packed(dtype, x, h, lengths, reverse, indices)
    space = packed.space
    hidden = h.shape[1]
    weights = space.take(4, packed.u.shape[1], hidden)
    weights[...] = 0
    weights[OF_STATE, :hidden] = weight_hh.reshape(3, hidden, hidden).transpose(0, 2, 1)
    weights[OF_INPUT, hidden:-1] = weight_ih.reshape(3, hidden, -1).transpose(0, 2, 1)
    weights[OF_STATE, -1] = bias_hh.reshape(3, hidden)
    weights[OF_INPUT, -1] += bias_ih.reshape(3, hidden)
    weights[:2] *= 0.5

    half = np.array(0.5, dtype)
    blocks: list[np.ndarray] = []  # of each run (steps, 4, count, hidden): r z, a_nh, n of each step
    for run in packed.runs:
        _, steps, count = run
        block = space.block(steps, any(needs_input_grad), 4, count, hidden)
        change = space.take(count, hidden)
        for u, h_next, gates, r_z, r, z, n_h, n in zip(
            *packed.steps(run), block, block[:, :2], *block.swapaxes(0, 1), strict=True
        ):
            np.matmul(u, weights, gates)
            np.tanh(r_z, r_z)
            np.multiply(r_z, half, r_z)
            np.add(r_z, half, r_z)
            np.multiply(r, n_h, change)
            np.add(n, change, n)
            np.tanh(n, n)
            np.subtract(u[:, :hidden], n, change)
            np.multiply(z, change, change)
            np.add(n, change, h_next)
        blocks.append(block)
    values = packed.outputs(), packed.unsorted(h, packed.u[len(packed.places) :, :hidden])
    shape = x.shape  # all that the way back needs of x

    def vjp(gs: list[np.ndarray | None]) -> list[Any]:
        scratch = Workspace(dtype)
        gradients = Gradients(packed, scratch, gs[0], needs_input_grad[0])
        begun = np.zeros((len(packed.order), hidden), dtype)  # the gradient of the initial h
        last = np.zeros(h.shape, dtype) if gs[1] is None else gs[1]
        dh = last[packed.order]
        to_h = weight_hh.reshape(3, hidden, hidden).astype(dtype)
        to_x = np.zeros((4, hidden, shape[-1]), dtype)
        to_x[OF_INPUT] = weight_ih.reshape(3, hidden, -1)
        area, parts = scratch.take(5 * gradients.largest), scratch.take(3 * gradients.largest)
        for number, first, last_step, row, count in packed.pieces():
            begun[count : len(dh)] = dh[count:]
            dh = dh[:count]
            size = last_step - first
            r, z, n_h, n = blocks[number][first:last_step].swapaxes(0, 1)
            before = packed.u[row : row + size * count, :hidden].reshape(size, count, hidden)
            factors = area[: size * 5 * count * hidden].reshape(size, 5, count, hidden)
            factors[:, 3] = (1 - z) * (1 - n * n)
            factors[:, 2] = factors[:, 3] * r
            factors[:, 1] = (before - n) * z * (1 - z)
            factors[:, 0] = factors[:, 2] * n_h * (1 - r)
            factors[:, 4] = z
            sent = parts[: 3 * count * hidden].reshape(3, count, hidden)
            for dout, da, da_state, kept in zip(
                gradients.outputs(row, size, count),
                factors[::-1],
                factors[::-1, :3],
                factors[::-1, 4],
                strict=True,
            ):
                if dout is not None:
                    np.add(dh, dout, dh)
                np.multiply(da, dh, da)
                np.matmul(da_state, to_h, sent)
                np.add.reduce(sent, 0, out=dh)
                np.add(dh, kept, dh)
            gradients.add(row, factors[:, :4], to_x)
            if gradients.vanished(row, dh):
                break
        begun[: len(dh)] = dh
        d_state, d_input = (gradients.weights[gates].transpose(0, 2, 1) for gates in (OF_STATE, OF_INPUT))
        return [
            gradients.inputs(shape, indices),
            packed.unsorted(last, begun),
            d_input[:, :, hidden:-1].reshape(weight_ih.shape),
            d_state[:, :, :hidden].reshape(weight_hh.shape),
            d_input[:, :, -1].reshape(-1),
            d_state[:, :, -1].reshape(-1),
        ]

    return values, vjp
