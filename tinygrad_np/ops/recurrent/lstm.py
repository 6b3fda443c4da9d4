"""The LSTM: one step, composed of primitives, and as one primitive."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_np.ops.elementwise import sigmoid, tanh
from tinygrad_np.ops.index import getitem
from tinygrad_np.ops.recurrent.gradients import Gradients
from tinygrad_np.ops.recurrent.packing import Lengths, PackedSequence, check_shapes
from tinygrad_np.ops.recurrent.unroll import time_major, unroll
from tinygrad_np.ops.recurrent.workspace import Workspace
from tinygrad_np.ops.shape import split, transpose
from tinygrad_np.tape import Array, MultiRule, primitive


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
    hidden = c.shape[-1] if c.ndim else 0
    if not c.ndim or gates.shape != (*c.shape[:-1], 4 * hidden):
        raise ValueError(f"lstm_step takes gates (..., 4 H) and c (..., H), not {gates.shape} and {c.shape}")
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
    mask: np.ndarray | None = None,
    weight_hr: Array | None = None,
) -> tuple[Array, ...]:
    """`lstm` composed of primitives: the tape finds its backpropagation through time.

    What the primitive has not: `mask` is what h is multiplied with on its way into the gates of each step, and h
    is projected with `weight_hr` behind them.
    """
    x = x if indices is None else getitem(x, index=indices)
    inputs = time_major(x, lengths) @ transpose(weight_ih) + (bias_ih + bias_hh)  # all steps in one product
    weight = transpose(weight_hh)

    def step(t: int, state: tuple[Array, ...]) -> tuple[Array, ...]:
        h, c = state
        h, c = lstm_step(inputs[t] + (h if mask is None else h * mask) @ weight, c)
        return (h if weight_hr is None else h @ transpose(weight_hr)), c

    return unroll(step, x, (h, c), lengths, reverse)


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

    In the backward pass dh and dc are the gradients of h and c. To what has come from later steps, dh adds the
    gradient of the output, and then dc what comes to it through h::

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
    check_shapes(4, x, (h, c), (weight_ih, weight_hh, bias_ih, bias_hh), lengths, indices)
    dtype = np.result_type(x, h, c, weight_ih, weight_hh, bias_ih, bias_hh)
    packed = PackedSequence(dtype, x, h, lengths, reverse, indices)
    workspace = packed.workspace
    hidden = h.shape[1]
    weights = workspace.empty(4, packed.u.shape[1], hidden)
    weights[:, :hidden] = weight_hh.reshape(4, hidden, hidden)[IFOG].transpose(0, 2, 1)
    weights[:, hidden:-1] = weight_ih.reshape(4, hidden, -1)[IFOG].transpose(0, 2, 1)
    weights[:, -1] = (bias_ih + bias_hh).reshape(4, hidden)[IFOG]
    weights[:3] *= 0.5

    half = np.array(0.5, dtype)
    # looked up once: over all steps it adds up
    add, matmul, multiply, tanh_into = np.add, np.matmul, np.multiply, np.tanh
    # of each segment (steps + 1, 6, batch_size, hidden): i f o g, c' and y of each step
    activations: list[np.ndarray] = []
    c_last = c[packed.sorted_indices[:0]].astype(dtype)
    for segment in packed.segments:
        _, steps, batch_size = segment
        acts = workspace.empty_steps(steps + 1, any(needs_input_grad), 6, batch_size, hidden)
        acts[0, 4, : len(c_last)] = c_last
        acts[0, 4, len(c_last) :] = c[packed.sorted_indices[len(c_last) : batch_size]]
        products = workspace.empty(2, batch_size, hidden)
        ig, fc = products
        for u, h_next, gates, ifo, i_f, g_c, o, c_next, y in zip(
            *packed.step_views(segment),
            acts[:, :4],
            acts[:, :3],
            acts[:, :2],
            acts[:, 3:5],
            acts[:, 2],
            acts[1:, 4],
            acts[:, 5],
            strict=False,  # acts has one step more, for the last c
        ):
            matmul(u, weights, gates)
            tanh_into(gates, gates)
            multiply(ifo, half, ifo)
            add(ifo, half, ifo)
            multiply(i_f, g_c, products)
            add(ig, fc, c_next)
            tanh_into(c_next, y)
            multiply(o, y, h_next)
        c_last = acts[-1, 4]
        activations.append(acts)
    values = (
        packed.padded_outputs(),
        packed.unsort(h, packed.u[len(packed.positions) :, :hidden]),
        packed.unsort(c, c_last),
    )
    shape = x.shape  # all that the backward pass needs of x

    def vjp(gs: list[np.ndarray | None]) -> list[Any]:
        scratch = Workspace(dtype)
        gradients = Gradients(packed, scratch, gs[0], needs_input_grad[0])
        d_initial = np.zeros((2, len(packed.sorted_indices), hidden), dtype)  # of h and c
        d_last = [np.zeros(h.shape, dtype) if g is None else g for g in gs[1:]]
        dh, dc = (g[packed.sorted_indices] for g in d_last)
        W_h_T = weight_hh.reshape(4, hidden, hidden)[IFOG].astype(dtype)
        W_x_T = weight_ih.reshape(4, hidden, -1)[IFOG].astype(dtype)
        chunk_size = packed.max_chunk_rows * hidden
        factors_buffer, dh_buffer = scratch.empty(6 * chunk_size), scratch.empty(4 * chunk_size)
        for number, start, stop, row, batch_size in packed.backward_chunks():
            d_initial[:, batch_size : len(dh)] = dh[batch_size:], dc[batch_size:]
            dh, dc = dh[:batch_size], dc[:batch_size]
            steps = stop - start
            acts = activations[number][start:stop]
            s, t = acts[:, :3], acts[:, 3:]
            # p: the factors of da_i, da_f, da_o; q: of da_g, of dc' and of what comes to dc through h
            factors = factors_buffer[: 6 * steps * batch_size * hidden]
            factors = factors.reshape(steps, 2, 3, batch_size, hidden)
            p, q = factors[:, 0], factors[:, 1]
            np.multiply(s, t, q)
            np.multiply(s, q, p)
            np.subtract(q, p, p)
            np.multiply(q, t, q)
            np.subtract(s, q, q)
            q[:, 1] = s[:, 1]
            flat = factors.reshape(steps, 6, batch_size, hidden)
            dh_by_gate = dh_buffer[: 4 * batch_size * hidden].reshape(4, batch_size, hidden)
            dh_if, dh_og = dh_by_gate[:2], dh_by_gate[2:]
            dh_i, dh_f = dh_if
            # each factor is replaced by the gradient that it is a factor of
            for dout, da, da_i, da_f, da_o, da_g, dc_before, dc_from_h in zip(
                gradients.d_out(row, steps, batch_size),
                flat[::-1, :4],
                *flat[::-1].swapaxes(0, 1),
                strict=True,
            ):
                if dout is not None:
                    add(dh, dout, dh)
                multiply(dh, da_o, da_o)
                multiply(dh, dc_from_h, dc_from_h)
                add(dc, dc_from_h, dc)
                multiply(dc, da_i, da_i)
                multiply(dc, da_f, da_f)
                multiply(dc, da_g, da_g)
                multiply(dc, dc_before, dc_before)
                dc = dc_before
                matmul(da, W_h_T, dh_by_gate)
                add(dh_if, dh_og, dh_if)
                add(dh_i, dh_f, dh)
            dc = dc.copy()  # the next chunk overwrites the factors
            gradients.accumulate(row, flat[:, :4], W_x_T)
            if gradients.flush_vanished(row, dh, dc):
                break
        d_initial[:, : len(dh)] = dh, dc
        d_weights = gradients.d_weights[IFOG].transpose(0, 2, 1)
        d_bias = d_weights[:, :, -1].reshape(-1)
        return [
            gradients.d_x(shape, indices),
            packed.unsort(d_last[0], d_initial[0]),
            packed.unsort(d_last[1], d_initial[1]),
            d_weights[:, :, hidden:-1].reshape(weight_ih.shape),
            d_weights[:, :, :hidden].reshape(weight_hh.shape),
            d_bias,
            d_bias,
        ]

    return values, vjp
