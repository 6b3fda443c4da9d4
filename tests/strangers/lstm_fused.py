"""LSTM layer with one fused matrix (i, f, o, g), batch first: a pair forward and backward, a pair for a step."""

import numpy as np

from tests.strangers.mathutil import detour, sigmoid_by_sign, weights
from tests.strangers.network import WAYS, Network, Planted, in_order


def lstm_step_forward(x, prev_h, prev_c, Wx, Wh, b):
    H = prev_h.shape[1]
    a = x.dot(Wx) + prev_h.dot(Wh) + b
    i = sigmoid_by_sign(a[:, :H])
    f = sigmoid_by_sign(a[:, H : 2 * H])
    o = sigmoid_by_sign(a[:, 2 * H : 3 * H])
    g = np.tanh(a[:, 3 * H :])
    next_c = f * prev_c + i * g
    tanh_c = np.tanh(next_c)
    next_h = o * tanh_c
    return next_h, next_c, (x, prev_h, prev_c, Wx, Wh, i, f, o, g, tanh_c, next_h)


def lstm_step_backward(dnext_h, dnext_c, cache, slip=""):
    x, prev_h, prev_c, Wx, Wh, i, f, o, g, tanh_c, next_h = cache
    do = dnext_h * tanh_c
    dc = dnext_c + dnext_h * o * (1 - tanh_c**2)
    if slip == "tanh(c) has no derivative":
        dc = dnext_c + dnext_h * o
    di, df, dg = dc * g, dc * prev_c, dc * i
    dprev_c = dc * (i if slip == "i for f to prev_c" else f)
    da_i, da_f, da_o, da_g = di * i * (1 - i), df * f * (1 - f), do * o * (1 - o), dg * (1 - g**2)
    if slip == "gates exchanged":
        da_i, da_f = da_f, da_i
    da = np.hstack((da_i, da_f, da_o, da_g))
    dx = da.dot(Wx.T)
    dWx = x.T.dot(da)
    dprev_h = da.dot(Wh.T)
    dWh = (next_h if slip == "h for prev_h" else prev_h).T.dot(da)
    db = da.sum(axis=0)
    if slip == "bias of the first sample":
        db = da[0]
    if slip == "bias averaged":
        db = da.mean(axis=0)
    return dx, dprev_h, dprev_c, dWx, dWh, db


def lstm_forward(x, h0, Wx, Wh, b, way=None):
    N, T, _ = x.shape
    H = h0.shape[1]
    h = np.zeros((N, T, H))
    cache = []
    prev_h, prev_c = h0, np.zeros_like(h0)
    for t in range(T):
        prev_h, prev_c, step = lstm_step_forward(x[:, t, :], detour(prev_h, way), prev_c, Wx, Wh, b)
        h[:, t, :] = prev_h
        cache.append(step)
    return h, cache


def lstm_backward(dh, cache, slip=""):
    N, T, H = dh.shape
    x, Wx, Wh = cache[0][0], cache[0][3], cache[0][4]
    dx = np.zeros((N, T, x.shape[1]))
    dWx, dWh, db = np.zeros_like(Wx), np.zeros_like(Wh), np.zeros(4 * H)
    dprev_h, dprev_c = np.zeros((N, H)), np.zeros((N, H))
    for t in range(T)[::-1]:
        if slip == "dh_next missing":
            dprev_h = np.zeros((N, H))
        if slip == "dc_next missing":
            dprev_c = np.zeros((N, H))
        dx[:, t, :], dprev_h, dprev_c, dWx_t, dWh_t, db_t = lstm_step_backward(
            dh[:, t, :] + dprev_h, dprev_c, cache[t], slip=slip
        )
        dWx += dWx_t
        if slip == "= for +=":
            dWh = dWh_t
        else:
            dWh += dWh_t
        db += db_t
    return dx, dprev_h, dWx, dWh, db


def make(rng, N=2, T=3, H=3, scale=1.0, way=None):
    D = 3
    return {
        "x": rng.standard_normal((N, T, D)),
        "h0": rng.standard_normal((N, H)),
        "Wx": scale * rng.standard_normal((D, 4 * H)) / np.sqrt(D),
        "Wh": scale * rng.standard_normal((H, 4 * H)) / np.sqrt(H),
        "b": weights(rng, 4 * H),
        "way": way,
    }


NETWORKS = [
    Network(
        "fused matrix, batch first, a pair for a step",
        "LSTM",
        make,
        lstm_forward,
        lstm_backward,
        in_order("x", "h0", "Wx", "Wh", "b"),
        {"N": (1, 3), "T": (1, 4), "H": (1, 4)},
        (
            Planted("dh_next missing", "`dh` of the next step is not added", ("dh_next missing",)),
            Planted("dc_next missing", "`dc` of the next step is not added", ("dc_next missing",)),
            Planted("gates exchanged", "gradients of the gates i and f exchanged", ("exchanged: i and f",)),
            Planted(
                "h for prev_h",
                "`h` for `prev_h` in the gradient of `Wh`",
                ("one step off",),
            ),
            Planted("= for +=", "`dWh = ...` for `dWh += ...`", ("= for +=",)),
            Planted("i for f to prev_c", "`dc * i` for `dc * f` on the way to `c_prev`", ("i for f",)),
            Planted("tanh(c) has no derivative", "`1 - tanh(c)**2` missing", ("derivative of tanh missing",)),
            Planted(
                "bias of the first sample", "bias not summed over the batch", ("not summed over the batch",)
            ),
            Planted("bias averaged", "bias averaged over the batch", ("mean for sum",)),
        ),
        layer=True,
        options={"scale": (1.0, 20.0), "way": WAYS},
    )
]
