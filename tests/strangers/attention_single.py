"""Attention with one head: scaled dot products, a causal mask, softmax in place; a pair forward and backward."""

import numpy as np

from tests.strangers.mathutil import detour, softmax_
from tests.strangers.network import WAYS, Network, Planted, in_order


def attention_forward(x, Wq, Wk, Wv, Wo, causal=True, way=None):
    """x (batch, T, D)."""
    d = Wq.shape[1]
    q, k, v = x @ Wq, x @ Wk, detour(x @ Wv, way)
    scores = np.matmul(q, k.swapaxes(1, 2)) / np.sqrt(d)
    if causal:
        scores += np.triu(np.full(scores.shape[1:], -1e9), k=1)
    a = softmax_(scores)
    context = np.matmul(a, v)
    return context @ Wo, (x, Wq, Wk, Wv, Wo, q, k, v, a, context)


def attention_backward(dout, cache, slip=""):
    x, Wq, Wk, Wv, Wo, q, k, v, a, context = cache
    d = Wq.shape[1]
    dWo = np.einsum("btd,bte->de", context, dout)
    dcontext = dout @ Wo.T
    da = dcontext @ v.transpose(0, 2, 1)
    dv = (a if slip == "a not transposed" else a.transpose(0, 2, 1)) @ dcontext
    axis = 1 if slip == "sum over the wrong axis" else -1
    ds = a * (da - np.sum(da * a, axis=axis, keepdims=True))
    if slip == "softmax like a sigmoid":
        ds = da * a * (1 - a)
    if slip == "softmax jacobian missing":
        ds = da * a
    if slip == "softmax has no derivative":
        ds = da
    if slip != "1 / sqrt(d) missing":
        ds = ds / np.sqrt(d)
    dq = ds @ k
    dk = (ds if slip == "ds not transposed" else ds.transpose(0, 2, 1)) @ q
    if slip == "q and k exchanged":
        dq, dk = dk, dq
    D = x.shape[-1]
    dWq, dWk, dWv = (x.reshape(-1, D).T @ g.reshape(-1, d) for g in (dq, dk, dv))
    dx = dq @ Wq.T + dk @ Wk.T
    if slip != "way through v missing":
        dx = dx + dv @ Wv.T
    return dx, dWq, dWk, dWv, dWo


def make(rng, batch=2, T=3, d=2, scale=1.0, way=None):
    D = 3
    return {
        "x": rng.standard_normal((batch, T, D)),
        "Wq": scale * rng.standard_normal((D, d)),
        "Wk": rng.standard_normal((D, d)),
        "Wv": rng.standard_normal((D, d)),
        "Wo": rng.standard_normal((d, D)),
        "way": way,
    }


NETWORKS = [
    Network(
        "one head, softmax in place",
        "attention",
        make,
        attention_forward,
        attention_backward,
        in_order("x", "Wq", "Wk", "Wv", "Wo"),
        {"batch": (1, 3), "T": (1, 4), "d": (1, 3)},
        (
            Planted("a not transposed", "`a @ d` for `a.T @ d`", ("a not transposed",), {"T": (2, 4)}),
            Planted(
                "sum over the wrong axis",
                "softmax's sum over the wrong axis",
                ("softmax's sum over axis",),
                {"T": (2, 4)},
            ),
            Planted(
                "softmax like a sigmoid",
                "`a * (1 - a)` for softmax's Jacobian",
                ("softmax taken for a sigmoid",),
                {"T": (2, 4)},
            ),
            Planted(
                "softmax jacobian missing",
                "the sum in softmax's derivative is missing",
                ("sum missing in the derivative of softmax",),
            ),
            Planted(
                "softmax has no derivative",
                "the derivative of softmax is missing",
                ("derivative of softmax missing",),
            ),
            Planted(
                "1 / sqrt(d) missing",
                "not divided by sqrt(d)",
                ("factor np.sqrt(d) missing",),
                {"T": (2, 4), "d": (2, 3)},
            ),
            Planted(
                "ds not transposed", "`ds @ q` for `ds.T @ q`", ("gradient not transposed",), {"T": (2, 4)}
            ),
            Planted(
                "q and k exchanged", "gradients of q and k exchanged", ("exchanged: q and k",), {"T": (2, 4)}
            ),
            Planted("way through v missing", "`dv @ Wv.T` not added to dx", ("through `x @ Wv`",)),
        ),
        layer=True,
        options={"scale": (1.0, 20.0), "way": WAYS},
    )
]
