"""GRU over letters: a list of parameters, column vectors, one dict a state; the reset gate before the matrix."""

import numpy as np

from tests.strangers.mathutil import detour, sigmoid, weights
from tests.strangers.network import WAYS, Network, Planted


def forward(x, y, params, h0, eps=0.0, way=None):
    Wz, Uz, bz, Wr, Ur, br, Wh, Uh, bh, V, c = params
    h, z, r, hc, p = {-1: h0}, {}, {}, {}, {}
    loss = 0.0
    for t in range(len(x)):
        before = detour(h[t - 1], way)
        z[t] = sigmoid(Wz @ x[t] + Uz @ before + bz)
        r[t] = sigmoid(Wr @ x[t] + Ur @ before + br)
        hc[t] = np.tanh(Wh @ x[t] + Uh @ (r[t] * before) + bh)
        h[t] = (1 - z[t]) * before + z[t] * hc[t]
        scores = V @ h[t] + c
        exps = np.exp(scores - np.max(scores))
        p[t] = exps / exps.sum()
        loss -= np.log(p[t][y[t]].item() + eps) if eps else np.log(p[t][y[t], 0])
    return loss, (h, z, r, hc, p)


def backward(x, y, params, h0, eps=0.0, way=None, slip=""):
    Wz, Uz, bz, Wr, Ur, br, Wh, Uh, bh, V, c = params
    h, z, r, hc, p = forward(x, y, params, h0)[1]
    dWz, dUz, dbz, dWr, dUr, dbr, dWh, dUh, dbh, dV, dc = [np.zeros_like(w) for w in params]
    dh_next = np.zeros_like(h0)
    for t in range(len(x) - 1, -1, -1):
        ds = p[t].copy()
        ds[y[t], 0] -= 1.0
        dV += np.outer(ds, h[t])
        dc += ds
        dh = V.T @ ds + dh_next
        dhc = dh * z[t] * (1 - hc[t] ** 2)
        dz = dh * (hc[t] - h[t - 1]) * z[t] * (1 - z[t])
        if slip == "sign of z":
            dz = -dz
        if slip == "z without h_prev":
            dz = dh * hc[t] * z[t] * (1 - z[t])
        drh = Uh.T @ dhc
        dr = drh * h[t - 1] * r[t] * (1 - r[t])
        if slip == "r takes h":
            dr = drh * h[t] * r[t] * (1 - r[t])
        dWh += dhc @ x[t].T
        dUh += dhc @ (h[t - 1] if slip == "Uh without r" else r[t] * h[t - 1]).T
        dbh += dhc
        dWr += dr @ x[t].T
        dUr += dr @ h[t - 1].T
        dbr += dr
        dWz += dz @ x[t].T
        dUz += dz @ h[t - 1].T
        dbz += dz
        dh_next = dh * (z[t] if slip == "z for 1 - z" else 1 - z[t]) + Uz.T @ dz
        if slip != "way through r missing":
            dh_next += Ur.T @ dr
        if slip != "way through r * h missing":
            dh_next += drh * r[t]
    return dWz, dUz, dbz, dWr, dUr, dbr, dWh, dUh, dbh, dV, dc


def make(rng, T=3, hidden=3, scale=1.0, eps=0.0, way=None):
    n_in, classes = 3, 3
    params = []
    for _ in range(3):
        params += [
            scale * rng.standard_normal((hidden, n_in)),
            weights(rng, hidden, hidden, scale=scale),
            rng.standard_normal((hidden, 1)),
        ]
    params += [rng.standard_normal((classes, hidden)), np.zeros((classes, 1))]
    return {
        "x": [rng.standard_normal((n_in, 1)) for _ in range(T)],
        "y": [int(k) for k in rng.integers(classes, size=T)],
        "params": params,
        "h0": np.zeros((hidden, 1)),
        "eps": eps,
        "way": way,
    }


NETWORKS = [
    Network(
        "a list of parameters, dicts of states",
        "GRU",
        make,
        forward,
        backward,
        lambda inputs, result: list(zip(inputs["params"], result)),
        {"T": (1, 4), "hidden": (1, 3)},
        (
            Planted("sign of z", "`h_prev - hc` for `hc - h_prev`", ("wrong sign",)),
            Planted("z without h_prev", "`-h_prev` missing in the gradient of z", ("through `1 - z[t]`",)),
            Planted("r takes h", "`h` for `h_prev` in the gradient of r", ("one step off",)),
            Planted(
                "Uh without r",
                "`h_prev` for `r * h_prev` in the gradient of `Uh`",
                ("wrong operand: the previous h",),
            ),
            Planted("z for 1 - z", "`dh * z` for `dh * (1 - z)`", ("1 - 1 - z",)),
            Planted("way through r missing", "`Ur.T @ dr` not added", ("through `Ur @ before`",)),
            Planted("way through r * h missing", "`drh * r` not added", ("through `r[t] * before`",)),
        ),
        options={"scale": (1.0, 20.0), "eps": (0.0, 1e-8), "way": WAYS},
    )
]
