"""The GRU: one step, composed of primitives, and as one primitive."""

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


def gru_step(from_x: Array, from_h: Array, h: Array) -> Array:
    """One step of a GRU, from the parts of its gates that x and h make, each (..., 3 hidden), and its state h.

    With r, z, n cut from both parts in this order (Cho et al., 2014, with the reset gate behind the product)::

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
    mask: np.ndarray | None = None,
) -> tuple[Array, ...]:
    """`gru` composed of primitives, with a `mask` as in `lstm_composed`."""
    x = x if indices is None else getitem(x, index=indices)
    inputs = time_major(x, lengths) @ transpose(weight_ih) + bias_ih
    weight = transpose(weight_hh)

    def step(t: int, state: tuple[Array, ...]) -> tuple[Array, ...]:
        (h,) = state
        return (gru_step(inputs[t], (h if mask is None else h * mask) @ weight + bias_hh, h),)

    return unroll(step, x, (h,), lengths, reverse)


OF_H, OF_X = [0, 1, 2], [0, 1, 3]  # of the four products r, z, n_h, n_x: those with h, those with x


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

    In the backward pass all depends on dh alone, the gradient of h::

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
    check_shapes(3, x, (h,), (weight_ih, weight_hh, bias_ih, bias_hh), lengths, indices)
    dtype = np.result_type(x, h, weight_ih, weight_hh, bias_ih, bias_hh)
    packed = PackedSequence(dtype, x, h, lengths, reverse, indices)
    workspace = packed.workspace
    hidden = h.shape[1]
    weights = workspace.empty(4, packed.u.shape[1], hidden)
    weights[...] = 0
    weights[OF_H, :hidden] = weight_hh.reshape(3, hidden, hidden).transpose(0, 2, 1)
    weights[OF_X, hidden:-1] = weight_ih.reshape(3, hidden, -1).transpose(0, 2, 1)
    weights[OF_H, -1] = bias_hh.reshape(3, hidden)
    weights[OF_X, -1] += bias_ih.reshape(3, hidden)
    weights[:2] *= 0.5

    half = np.array(0.5, dtype)
    # of each segment (steps, 4, batch_size, hidden): r z, a_nh, n of each step
    activations: list[np.ndarray] = []
    for segment in packed.segments:
        _, steps, batch_size = segment
        acts = workspace.empty_steps(steps, any(needs_input_grad), 4, batch_size, hidden)
        term = workspace.empty(batch_size, hidden)
        for u, h_next, gates, r_z, r, z, n_h, n in zip(
            *packed.step_views(segment), acts, acts[:, :2], *acts.swapaxes(0, 1), strict=True
        ):
            np.matmul(u, weights, gates)
            np.tanh(r_z, r_z)
            np.multiply(r_z, half, r_z)
            np.add(r_z, half, r_z)
            np.multiply(r, n_h, term)
            np.add(n, term, n)
            np.tanh(n, n)
            np.subtract(u[:, :hidden], n, term)
            np.multiply(z, term, term)
            np.add(n, term, h_next)
        activations.append(acts)
    values = packed.padded_outputs(), packed.unsort(h, packed.u[len(packed.positions) :, :hidden])
    shape = x.shape  # all that the backward pass needs of x

    def vjp(gs: list[np.ndarray | None]) -> list[Any]:
        scratch = Workspace(dtype)
        gradients = Gradients(packed, scratch, gs[0], needs_input_grad[0])
        d_initial = np.zeros((len(packed.sorted_indices), hidden), dtype)  # of h
        d_last = np.zeros(h.shape, dtype) if gs[1] is None else gs[1]
        dh = d_last[packed.sorted_indices]
        W_h_T = weight_hh.reshape(3, hidden, hidden).astype(dtype)
        W_x_T = np.zeros((4, hidden, shape[-1]), dtype)
        W_x_T[OF_X] = weight_ih.reshape(3, hidden, -1)
        chunk_size = packed.max_chunk_rows * hidden
        factors_buffer, dh_buffer = scratch.empty(5 * chunk_size), scratch.empty(3 * chunk_size)
        for number, start, stop, row, batch_size in packed.backward_chunks():
            d_initial[batch_size : len(dh)] = dh[batch_size:]
            dh = dh[:batch_size]
            steps = stop - start
            r, z, n_h, n = activations[number][start:stop].swapaxes(0, 1)
            h_before = packed.u[row : row + steps * batch_size, :hidden].reshape(steps, batch_size, hidden)
            factors = factors_buffer[: 5 * steps * batch_size * hidden].reshape(steps, 5, batch_size, hidden)
            factors[:, 3] = (1 - z) * (1 - n * n)
            factors[:, 2] = factors[:, 3] * r
            factors[:, 1] = (h_before - n) * z * (1 - z)
            factors[:, 0] = factors[:, 2] * n_h * (1 - r)
            factors[:, 4] = z
            dh_by_gate = dh_buffer[: 3 * batch_size * hidden].reshape(3, batch_size, hidden)
            for dout, da, da_h, dh_z in zip(
                gradients.d_out(row, steps, batch_size),
                factors[::-1],
                factors[::-1, :3],
                factors[::-1, 4],
                strict=True,
            ):
                if dout is not None:
                    np.add(dh, dout, dh)
                np.multiply(da, dh, da)
                np.matmul(da_h, W_h_T, dh_by_gate)
                np.add.reduce(dh_by_gate, 0, out=dh)
                np.add(dh, dh_z, dh)
            gradients.accumulate(row, factors[:, :4], W_x_T)
            if gradients.flush_vanished(row, dh):
                break
        d_initial[: len(dh)] = dh
        d_weights_h, d_weights_x = (gradients.d_weights[gates].transpose(0, 2, 1) for gates in (OF_H, OF_X))
        return [
            gradients.d_x(shape, indices),
            packed.unsort(d_last, d_initial),
            d_weights_x[:, :, hidden:-1].reshape(weight_ih.shape),
            d_weights_h[:, :, :hidden].reshape(weight_hh.shape),
            d_weights_x[:, :, -1].reshape(-1),
            d_weights_h[:, :, -1].reshape(-1),
        ]

    return values, vjp
