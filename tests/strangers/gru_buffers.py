"""GRU layer with fused matrices (r, z, n), buffers time first; the reset gate comes after the matrix."""

import numpy as np

from tests.strangers.mathutil import detour, dsigmoid, dtanh, sigmoid_tanh
from tests.strangers.network import WAYS, Network, Planted, in_order


def gru_forward(X, W, U, b, bu, h0, way=None):
    """X (T, N, D), W (D, 3H), U (H, 3H), two biases (3H,); all states (T, N, H)."""
    T, N, _ = X.shape
    H = h0.shape[-1]
    hs = np.empty((T + 1, N, H))
    hs[0] = h0
    rz = np.empty((T, N, 2 * H))
    n = np.empty((T, N, H))
    hu = np.empty((T, N, H))
    xw = np.tensordot(X, W, axes=1) + b
    for t in range(T):
        prev = detour(hs[t], way)
        u = np.dot(prev, U) + bu
        rz[t] = sigmoid_tanh(xw[t, :, : 2 * H] + u[:, : 2 * H])
        r, z = rz[t, :, :H], rz[t, :, H:]
        hu[t] = u[:, 2 * H :]
        n[t] = np.tanh(xw[t, :, 2 * H :] + r * hu[t])
        hs[t + 1] = (1 - z) * n[t] + z * prev
    return hs[1:], (X, W, U, hs, rz, n, hu)


def gru_backward(dhs, cache, slip=""):
    X, W, U, hs, rz, n, hu = cache
    T, N, H = dhs.shape
    dxw = np.zeros((T, N, 3 * H))
    du = np.zeros((T, N, 3 * H))
    dh = np.zeros((N, H))
    for t in reversed(range(T)):
        r, z = np.split(rz[t], 2, axis=-1)
        if slip == "r and z exchanged":
            z, r = np.split(rz[t], 2, axis=-1)
        dh = dhs[t] if slip == "dh_next missing" else dh + dhs[t]
        dn = dh * (1 - z) * (1 - np.tanh(n[t]) ** 2 if slip == "tanh of n again" else dtanh(n[t]))
        dz = dh * (hs[t] - n[t]) * dsigmoid(z)
        dr = dn * hu[t] * dsigmoid(r)
        dxw[t] = np.concatenate([dr, dz, dn], axis=1)
        du[t] = np.concatenate([dr, dz, dn if slip == "r missing in U" else dn * r], axis=1)
        dh = dh * z + du[t] @ U.T
    before = hs[1:] if slip == "hs[t + 1] for hs[t]" else hs[:-1]
    dW = np.einsum("tnd,tnk->dk", X, dxw)
    dU = np.einsum("tnh,tnk->hk", before, du)
    dX = dxw @ W.T
    db = dxw.sum(axis=(0, 1))
    dbu = du.sum(axis=(0, 1)) if slip != "bu like b" else db.copy()
    if slip == "bias of the last step":
        db = dxw[-1].sum(axis=0)
    return dX, dW, dU, db, dbu, dh


def make(rng, T=3, N=2, H=3, scale=1.0, way=None):
    D = 2
    return {
        "X": rng.standard_normal((T, N, D)),
        "W": scale * rng.standard_normal((D, 3 * H)),
        "U": scale * rng.standard_normal((H, 3 * H)) / np.sqrt(H),
        "b": rng.standard_normal(3 * H),
        "bu": rng.standard_normal(3 * H),
        "h0": rng.standard_normal((N, H)),
        "way": way,
    }


NETWORKS = [
    Network(
        "fused matrices, buffers time first",
        "GRU",
        make,
        gru_forward,
        gru_backward,
        in_order("X", "W", "U", "b", "bu", "h0"),
        {"T": (1, 4), "N": (1, 3), "H": (1, 3)},
        (
            Planted(
                "r and z exchanged", "the gates r and z exchanged when they are read", ("exchanged: r and z",)
            ),
            Planted("dh_next missing", "`dh` of the next step is not added", ("dh_next missing",)),
            Planted(
                "tanh of n again",
                "`1 - tanh(n)**2`, where n is a tanh already",
                ("tanh taken of its output",),
            ),
            Planted(
                "r missing in U",
                "`dn` for `dn * r` in the gradients of U",
                ("factor r missing",),
            ),
            Planted(
                "hs[t + 1] for hs[t]",
                "the state after a step for that before",
                ("one step off",),
            ),
            Planted("bu like b", "the gradient of b for that of bu", ("dbu is that of b",)),
            Planted(
                "bias of the last step",
                "bias not summed over time",
                ("last sample or step alone",),
                {"T": (2, 4)},
            ),
        ),
        layer=True,
        options={"scale": (1.0, 20.0), "way": WAYS},
    )
]
