"""LSTM over letters: one matrix a gate over [h, x], column vectors, the states of each step in dicts."""

import numpy as np

from tests.strangers.mathutil import detour, dsigmoid, dtanh, one_hot, sigmoid, weights
from tests.strangers.network import WAYS, Network, Planted, by_name


def forward_step(x, h_prev, C_prev, p):
    z = np.vstack((h_prev, x))
    f = sigmoid(np.dot(p["Wf"], z) + p["bf"])
    i = sigmoid(np.dot(p["Wi"], z) + p["bi"])
    C_bar = np.tanh(np.dot(p["WC"], z) + p["bC"])
    C = f * C_prev + i * C_bar
    o = sigmoid(np.dot(p["Wo"], z) + p["bo"])
    h = o * np.tanh(C)
    v = np.dot(p["Wv"], h) + p["bv"]
    y = np.exp(v) / np.sum(np.exp(v))
    return z, f, i, C_bar, C, o, h, v, y


def forward(inputs, targets, params, h0, C0, eps=0.0, way=None):
    """The cross entropy summed over the steps, and all states."""
    z_s, f_s, i_s, C_bar_s, C_s, o_s, h_s, v_s, y_s = {}, {}, {}, {}, {}, {}, {}, {}, {}
    h_s[-1] = np.copy(h0)
    C_s[-1] = np.copy(C0)
    loss = 0
    for t in range(len(inputs)):
        x = one_hot(inputs[t], params["Wv"].shape[0])
        z_s[t], f_s[t], i_s[t], C_bar_s[t], C_s[t], o_s[t], h_s[t], v_s[t], y_s[t] = forward_step(
            x, detour(h_s[t - 1], way), C_s[t - 1], params
        )
        loss += -np.log(y_s[t][targets[t], 0] + eps)
    return loss, (z_s, f_s, i_s, C_bar_s, C_s, o_s, h_s, v_s, y_s)


def gradient(inputs, targets, params, h0, C0, eps=0.0, way=None, clip=None, slip=""):
    _, (z_s, f_s, i_s, C_bar_s, C_s, o_s, h_s, _, y_s) = forward(inputs, targets, params, h0, C0)
    grads = {"d" + name: np.zeros_like(w) for name, w in params.items()}
    H = h0.shape[0]
    dh_next = np.zeros_like(h0)
    dC_next = np.zeros_like(C0)
    for t in reversed(range(len(inputs))):
        if slip == "first step left out" and t == 0:
            break
        dv = np.copy(y_s[t])
        dv[targets[t]] -= 1
        grads["dWv"] += np.dot(dv, h_s[t].T)
        grads["dbv"] += dv

        dh = np.dot(params["Wv"].T, dv)
        if slip != "dh_next missing":
            dh += dh_next
        do = dh * np.tanh(C_s[t])
        do = dsigmoid(o_s[t]) * do
        grads["dWo"] += np.dot(do, z_s[t].T)
        grads["dbo"] += do

        dC = np.copy(dC_next) if slip != "dC_next missing" else np.zeros_like(C0)
        dC += dh * o_s[t] * dtanh(C_s[t] if slip == "tanh' of c" else np.tanh(C_s[t]))
        dC_bar = dC * i_s[t]
        dC_bar = dC_bar * dtanh(np.tanh(C_bar_s[t]) if slip == "tanh' of tanh" else C_bar_s[t])
        grads["dWC"] += np.dot(dC_bar, z_s[t].T)
        grads["dbC"] += dC_bar

        di = dsigmoid(i_s[t]) * dC * C_bar_s[t]
        grads["dWi"] += np.dot(di, z_s[t].T)
        grads["dbi"] += di

        C_prev = C_s[t] if slip == "c for c_prev" else C_s[t - 1]
        df = dsigmoid(f_s[t]) * dC * C_prev
        grads["dWf"] += np.dot(df, z_s[t].T)
        grads["dbf"] += df

        dz = np.dot(params["Wf"].T, df) + np.dot(params["Wi"].T, di)
        dz += np.dot(params["WC"].T, dC_bar) + np.dot(params["Wo"].T, do)
        dh_next = dz[:H, :]
        dC_next = f_s[t] * dC
    if slip == "clipped":
        clip = 1
    if clip:
        for g in grads.values():
            np.clip(g, -clip, clip, out=g)
    return grads


def make(rng, T=3, hidden=3, scale=1.0, eps=0.0, way=None):
    letters = 4
    params = {}
    for gate in "fiCo":
        params["W" + gate] = weights(rng, hidden, hidden + letters, scale=scale)
        params["b" + gate] = 0.5 * scale * rng.standard_normal((hidden, 1))
    params["Wv"] = weights(rng, letters, hidden)
    params["bv"] = rng.standard_normal((letters, 1))
    return {
        "inputs": [int(k) for k in rng.integers(letters, size=T)],
        "targets": [int(k) for k in rng.integers(letters, size=T)],
        "params": params,
        "h0": np.zeros((hidden, 1)),
        "C0": np.zeros((hidden, 1)),
        "eps": eps,
        "way": way,
    }


NETWORKS = [
    Network(
        "one array a gate, dicts of states",
        "LSTM",
        make,
        forward,
        gradient,
        by_name,
        {"T": (1, 5), "hidden": (1, 4)},
        (
            Planted("dh_next missing", "`dh` of the next step is not added", ("dh_next missing",)),
            Planted("dC_next missing", "`dC` of the next step is not added", ("dC_next missing",)),
            Planted("tanh' of c", "`1 - c**2` for `1 - tanh(c)**2`", ("tanh taken of its input",)),
            Planted(
                "tanh' of tanh",
                "`1 - tanh(C_bar)**2`, where `C_bar` is a tanh already",
                ("tanh taken of its output",),
            ),
            Planted(
                "c for c_prev",
                "`c` for `c_prev` in the forget gate",
                (
                    "one step off",
                    "C for C_prev",
                ),
            ),
            Planted("first step left out", "the loop back stops before step 0", ("first step left out",)),
            Planted("clipped", "gradients are clipped at ±1", ("clipped at 1 ",)),
        ),
        options={"scale": (1.0, 20.0), "eps": (0.0, 1e-8, 1e-6), "way": WAYS},
    )
]
