"""Additive attention over the states of a recurrent network: a score of each state, their mean by softmax."""

import numpy as np

from tests.strangers.mathutil import detour, softmax
from tests.strangers.network import WAYS, Network, Planted


def encode(x, p, way=None):
    h = [np.zeros((x.shape[0], p["U"].shape[0]))]
    for t in range(x.shape[1]):
        h.append(np.tanh(x[:, t] @ p["W"] + detour(h[-1], way) @ p["U"]))
    return h


def forward(x, y, p, way=None):
    """x (batch, T, features), y (batch, 1)."""
    h = encode(x, p, way)
    states = np.stack(h[1:], axis=1)
    u = np.tanh(states @ p["Wa"] + p["ba"])
    e = (u * p["va"]).sum(-1)
    alpha = softmax(e, axis=1)
    context = np.einsum("bt,bth->bh", alpha, states)
    out = context @ p["Wo"] + p["bo"]
    loss = np.sum((out - y) ** 2) / (2 * len(x))
    return loss, dict(h=h, states=states, u=u, alpha=alpha, context=context, out=out)


def backward(x, y, p, way=None, slip=""):
    _, c = forward(x, y, p)
    batch, T, _ = x.shape
    g = {}
    dout = (c["out"] - y) / batch
    g["Wo"], g["bo"] = c["context"].T @ dout, dout.sum(axis=0)
    dcontext = dout @ p["Wo"].T
    dalpha = np.einsum("bh,bth->bt", dcontext, c["states"])
    dstates = c["alpha"][:, :, None] * dcontext[:, None, :]
    if slip == "states uniformly":
        dstates = np.repeat(dcontext[:, None, :], T, axis=1) / T
    de = c["alpha"] * (dalpha - (c["alpha"] * dalpha).sum(axis=1, keepdims=True))
    if slip == "softmax jacobian missing":
        de = c["alpha"] * dalpha
    if slip == "sign of the score":
        de = -de
    g["va"] = np.einsum("bt,bta->a", de, c["u"])
    du = de[:, :, None] * p["va"]
    if slip == "va missing":
        du = np.repeat(de[:, :, None], len(p["va"]), axis=2)
    da = du * (1 - c["u"] ** 2)
    if slip == "tanh of the score has no derivative":
        da = du
    g["Wa"] = np.tensordot(c["states"], da, axes=([0, 1], [0, 1]))
    g["ba"] = da.sum(axis=(0, 1))
    if slip != "states get nothing from their scores":
        dstates = dstates + da @ p["Wa"].T
    g["W"], g["U"] = np.zeros_like(p["W"]), np.zeros_like(p["U"])
    dh = np.zeros_like(c["h"][0])
    for t in reversed(range(T)):
        dh = dh + dstates[:, t]
        dz = dh * (1 - c["h"][t + 1] ** 2)
        g["W"] += x[:, t].T @ dz
        g["U"] += c["h"][t].T @ dz
        dh = dz @ p["U"].T
        if slip == "dh_next missing":
            dh = np.zeros_like(dh)
    return g


def make(rng, batch=2, T=3, hidden=3, scale=1.0, way=None):
    p = {
        "W": scale * rng.standard_normal((2, hidden)),
        "U": scale * rng.standard_normal((hidden, hidden)) / np.sqrt(hidden),
        "Wa": rng.standard_normal((hidden, 2)),
        "ba": rng.standard_normal(2),
        "va": rng.standard_normal(2),
        "Wo": rng.standard_normal((hidden, 1)),
        "bo": rng.standard_normal(1),
    }
    return {"x": rng.standard_normal((batch, T, 2)), "y": rng.standard_normal((batch, 1)), "p": p, "way": way}


NETWORKS = [
    Network(
        "additive, over recurrent states",
        "attention",
        make,
        forward,
        backward,
        lambda inputs, result: [(inputs["p"][name], g) for name, g in result.items()],
        {"batch": (1, 3), "T": (1, 4), "hidden": (1, 3)},
        (
            Planted("states uniformly", "`1 / T` for `alpha`", ("uniform weights",), {"T": (2, 4)}),
            Planted(
                "softmax jacobian missing",
                "the sum in softmax's derivative is missing",
                ("sum missing in the derivative of softmax",),
            ),
            Planted(
                "sign of the score",
                "the score's gradient with the other sign",
                ("wrong sign",),
                {"T": (2, 4)},
            ),
            Planted(
                "va missing",
                "the weights `va` left out on the way back",
                ("factor va missing",),
                {"T": (2, 4)},
            ),
            Planted(
                "tanh of the score has no derivative",
                "`1 - u**2` left out",
                ("derivative of tanh missing",),
                {"T": (2, 4)},
            ),
            Planted(
                "states get nothing from their scores",
                "`da @ Wa.T` not added",
                ('through `states @ p["Wa"]`',),
                {"T": (2, 4)},
            ),
            Planted(
                "dh_next missing",
                "`dh` of the next step is not handed on",
                ("dh_next missing",),
                {"T": (2, 4)},
            ),
        ),
        options={"scale": (1.0, 20.0), "way": WAYS},
    )
]
