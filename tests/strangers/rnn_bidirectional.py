"""Bidirectional network over embeddings: ids, np.add.at, a mean over time, a sigmoid, an epsilon in the loss."""

import numpy as np

from tests.strangers.mathutil import detour, sigmoid
from tests.strangers.network import WAYS, Network, Planted, by_name


def rnn(xs, W, U, b, way=None):
    """xs (T, batch, features)."""
    hs = np.zeros((len(xs) + 1, xs.shape[1], len(b)))
    for t, x in enumerate(xs):
        hs[t + 1] = np.tanh(x.dot(W) + detour(hs[t], way).dot(U) + b)
    return hs


def rnn_back(xs, hs, dhs, W, U, slip=""):
    dW, dU, db, dxs = np.zeros_like(W), np.zeros_like(U), np.zeros(U.shape[0]), np.zeros_like(xs)
    dh = np.zeros_like(dhs[0])
    for t in reversed(range(len(xs))):
        dh += dhs[t]
        da = dh * (1 - hs[t + 1] ** 2)
        if slip == "tanh' of the old state":
            da = dh * (1 - hs[t] ** 2)
        dW += xs[t].T.dot(da)
        dU += hs[t].T.dot(da)
        db += np.sum(da, 0)
        dxs[t] = da.dot(W.T)
        dh = da.dot(U.T)
    return dW, dU, db, dxs


def forward(ids, y, E, Wf, Uf, bf, Wb, Ub, bb, v, eps=1e-8, way=None):
    x = E[ids.T]
    there = rnn(x, Wf, Uf, bf, way)
    back = rnn(x[::-1], Wb, Ub, bb)
    h = np.concatenate([there[1:], back[1:][::-1]], axis=2)
    mean = h.mean(axis=0)
    p = sigmoid(mean @ v)
    loss = -np.mean(y * np.log(p + eps) + (1 - y) * np.log(1 - p + eps))
    return loss, (x, there, back, mean, p)


def backward(ids, y, E, Wf, Uf, bf, Wb, Ub, bb, v, eps=1e-8, way=None, slip=""):
    x, there, back, mean, p = forward(ids, y, E, Wf, Uf, bf, Wb, Ub, bb, v)[1]
    batch, T = ids.shape
    H = len(bf)
    dlogit = (p - y) / batch
    if slip == "sigmoid' once more":
        dlogit = (p - y) * p * (1 - p) / batch
    dv = mean.T @ dlogit
    dmean = np.outer(dlogit, v)
    dh = np.repeat(dmean[np.newaxis], T, axis=0)
    if slip != "mean over time taken as a sum":
        dh = dh / T
    dthere, dback = dh[:, :, :H], dh[:, :, H:]
    if slip == "halves exchanged":
        dthere, dback = dback, dthere
    dWf, dUf, dbf, dxf = rnn_back(x, there, dthere, Wf, Uf)
    dWb, dUb, dbb, dxb = rnn_back(x[::-1], back, dback[::-1], Wb, Ub, slip=slip)
    dx = dxf + (dxb if slip == "not turned back" else dxb[::-1])
    if slip == "one direction":
        dx = dxf
    dE = np.zeros_like(E)
    if slip == "repeated ids":
        dE[ids.T] += dx
    else:
        np.add.at(dE, ids.T, dx)
    return {
        "dE": dE,
        "dWf": dWf,
        "dUf": dUf,
        "dbf": dbf,
        "dWb": dWb,
        "dUb": dUb,
        "dbb": dbb,
        "dv": dv,
    }


def make(rng, seq_len=3, batch=2, hidden=2, scale=1.0, eps=1e-8, way=None):
    words, features = 4, 2
    inputs = {
        "ids": rng.integers(words, size=(batch, seq_len)),
        "y": rng.integers(2, size=batch),
        "E": rng.standard_normal((words, features)),
    }
    for k in "fb":
        inputs["W" + k] = scale * rng.standard_normal((features, hidden))
        inputs["U" + k] = rng.standard_normal((hidden, hidden))
        inputs["b" + k] = 0.5 * rng.standard_normal(hidden)
    return {**inputs, "v": rng.standard_normal(2 * hidden), "eps": eps, "way": way}


NETWORKS = [
    Network(
        "bidirectional over embeddings",
        "RNN",
        make,
        forward,
        backward,
        by_name,
        {"seq_len": (1, 5), "batch": (1, 3), "hidden": (1, 3)},
        (
            Planted("sigmoid' once more", "`p * (1 - p)` besides `p - y`", ("sigmoid taken twice",)),
            Planted(
                "mean over time taken as a sum", "not divided by T", ("sum for mean",), {"seq_len": (2, 5)}
            ),
            Planted("halves exchanged", "gradients of the two directions exchanged", ("exchanged: there",)),
            Planted(
                "not turned back",
                "dx of the way back in time not turned",
                ("order not turned back",),
                {"seq_len": (2, 5)},
            ),
            Planted(
                "one direction",
                "embeddings get a gradient from one direction only",
                ("at `x[::-1]`",),
            ),
            Planted(
                "repeated ids",
                "`dE[ids] += dx`: a repeated id counts once",
                ("repeated index",),
                {"seq_len": (3, 5)},
            ),
            Planted(
                "tanh' of the old state",
                "`1 - h_prev**2` for `1 - h**2`",
                ("derivative of tanh one step off",),
            ),
        ),
        steps="seq_len",
        options={"scale": (1.0, 20.0), "eps": (1e-8, 1e-6, 0.0), "way": WAYS},
    )
]
