"""Elman network over letters: one function that gives the loss and all gradients, clipped in place."""

import numpy as np

from tests.strangers.mathutil import detour
from tests.strangers.network import WAYS, Network, Planted


def loss_fun(inputs, targets, hprev, Wxh, Whh, Why, bh, by, clip=5, eps=0.0, way=None, slip=""):
    xs, hs, ys, ps = {}, {}, {}, {}
    hs[-1] = np.copy(hprev)
    loss = 0
    for t in range(len(inputs)):
        xs[t] = np.zeros((Wxh.shape[1], 1))
        xs[t][inputs[t]] = 1
        hs[t] = np.tanh(np.dot(Wxh, xs[t]) + np.dot(Whh, detour(hs[t - 1], way)) + bh)
        ys[t] = np.dot(Why, hs[t]) + by
        ps[t] = np.exp(ys[t]) / np.sum(np.exp(ys[t]))
        loss += -np.log(ps[t][targets[t], 0] + eps)
    dWxh, dWhh, dWhy = np.zeros_like(Wxh), np.zeros_like(Whh), np.zeros_like(Why)
    dbh, dby = np.zeros_like(bh), np.zeros_like(by)
    dhnext = np.zeros_like(hs[0])
    for t in reversed(range(len(inputs))):
        dy = np.copy(ps[t])
        if slip != "softmax without the target":
            dy[targets[t]] -= 1
        if slip == "target of the step before":
            dy[targets[t]] += 1
            dy[targets[t - 1]] -= 1
        dWhy += np.dot(dy, hs[t].T)
        dby += dy
        dh = np.dot((Why if slip == "Why not transposed" else Why.T), dy) + dhnext
        dhraw = (1 - hs[t] * hs[t]) * dh
        if slip == "tanh' without the square":
            dhraw = (1 - hs[t]) * dh
        dbh += dhraw
        dWxh += np.dot(dhraw, xs[t].T)
        if slip == "hs[t] for hs[t-1]":
            dWhh += np.dot(dhraw, hs[t].T)
        elif slip == "outer the other way":
            dWhh += np.dot(hs[t - 1], dhraw.T)
        else:
            dWhh += np.dot(dhraw, hs[t - 1].T)
        dhnext = np.dot(Whh.T, dh if slip == "dh for dhraw" else dhraw)
        if slip == "dhnext missing":
            dhnext = np.zeros_like(dhnext)
    if slip == "clipped":
        clip = 0.5
    for dparam in [dWxh, dWhh, dWhy, dbh, dby]:
        np.clip(dparam, -clip, clip, out=dparam)
    return loss, dWxh, dWhh, dWhy, dbh, dby, hs[len(inputs) - 1]


def loss(**inputs):
    return loss_fun(**inputs)[0]


def gradient(slip="", **inputs):
    _, dWxh, dWhh, dWhy, dbh, dby, _ = loss_fun(**inputs, slip=slip)
    return {"Wxh": dWxh, "Whh": dWhh, "Why": dWhy, "bh": dbh, "by": dby}


def make(rng, T=3, hidden=3, scale=1.0, clip=1e3, eps=0.0, way=None):
    letters = hidden  # the output matrix is square, so that one that is not transposed fits
    return {
        "inputs": [int(k) for k in rng.integers(letters, size=T)],
        "targets": [int(k) for k in rng.integers(letters, size=T)],
        "hprev": np.zeros((hidden, 1)),
        "Wxh": scale * rng.standard_normal((hidden, letters)),
        "Whh": scale * rng.standard_normal((hidden, hidden)) / np.sqrt(hidden),
        "Why": rng.standard_normal((letters, hidden)),
        "bh": 0.3 * rng.standard_normal((hidden, 1)),
        "by": 0.3 * rng.standard_normal((letters, 1)),
        "clip": clip,
        "eps": eps,
        "way": way,
    }


NETWORKS = [
    Network(
        "loss and gradients from one function",
        "RNN",
        make,
        loss,
        gradient,
        lambda inputs, result: [(inputs[name], g) for name, g in result.items()],
        {"T": (1, 5), "hidden": (2, 4)},
        (
            Planted("softmax without the target", "`p` for `p - y`", ("target missing",)),
            Planted(
                "target of the step before",
                "`targets[t - 1]` for `targets[t]`",
                ("target one step off",),
                {"T": (2, 5)},
            ),
            Planted("Why not transposed", "`Why @ dy` for `Why.T @ dy`", ("Why not transposed",)),
            Planted(
                "tanh' without the square",
                "`1 - h` for `1 - h**2`",
                ("square missing in the derivative of tanh",),
            ),
            Planted("hs[t] for hs[t-1]", "`hs[t]` for `hs[t - 1]`", ("one step off",)),
            Planted("outer the other way", "`h @ d.T` for `d @ h.T`", ("dWhh is transposed",), {"T": (2, 5)}),
            Planted(
                "dh for dhraw",
                "dh handed on without the derivative of tanh",
                ("derivative of tanh missing on one path",),
            ),
            Planted("dhnext missing", "`dh` of the next step is not handed on", ("dh_next missing",)),
            Planted("clipped", "gradients are clipped at ±0.5", ("clipped at 0.5 ",)),
        ),
        options={"scale": (1.0, 20.0), "eps": (0.0, 1e-8), "way": WAYS},
    )
]
