"""LSTM with peepholes: the gates see the cell through weights of their own, o the new cell, i and f the old one."""

import numpy as np

from tests.strangers.mathutil import detour, sigmoid_tanh, softmax, weights
from tests.strangers.network import WAYS, Network, Planted, by_name


def lstm(x, Wz, Wi, Wf, Wo, pi, pf, po, bz, bi, bf, bo, way=None):
    """x is (T, batch, features); returns a list with a dict of each step's values."""
    batch, hidden = x.shape[1], pi.size
    h, c = np.zeros((batch, hidden)), np.zeros((batch, hidden))
    steps = []
    for x_t in x:
        s = dict(u=np.concatenate([x_t, detour(h, way)], axis=1), c_prev=c)
        s["z"] = np.tanh(s["u"] @ Wz + bz)
        s["i"] = sigmoid_tanh(s["u"] @ Wi + pi * c + bi)
        s["f"] = sigmoid_tanh(s["u"] @ Wf + pf * c + bf)
        c = s["c"] = s["i"] * s["z"] + s["f"] * c
        s["o"] = sigmoid_tanh(s["u"] @ Wo + po * c + bo)
        s["tanh_c"] = np.tanh(c)
        h = s["h"] = s["o"] * s["tanh_c"]
        steps.append(s)
    return steps


def forward(x, label, Wout, way=None, **weights_of_lstm):
    """The cross entropy of the last state."""
    steps = lstm(x, way=way, **weights_of_lstm)
    p = softmax(steps[-1]["h"] @ Wout)
    return -np.mean(np.log(p[np.arange(len(label)), label]))


def gradient(x, label, Wout, Wz, Wi, Wf, Wo, pi, pf, po, bz, bi, bf, bo, way=None, slip=""):
    steps = lstm(x, Wz, Wi, Wf, Wo, pi, pf, po, bz, bi, bf, bo)
    batch, n_in = x.shape[1:]
    p = softmax(steps[-1]["h"] @ Wout)
    dlogits = p.copy()
    dlogits[range(batch), label] -= 1
    if slip != "mean over the batch missing":
        dlogits /= batch
    d = {"Wout": steps[-1]["h"].T @ dlogits}
    for name, w in dict(Wz=Wz, Wi=Wi, Wf=Wf, Wo=Wo, pi=pi, pf=pf, po=po, bz=bz, bi=bi, bf=bf, bo=bo).items():
        d[name] = np.zeros(w.shape)
    dh, dc = dlogits @ Wout.T, np.zeros_like(steps[-1]["c"])
    for s in steps[::-1]:
        do = dh * s["tanh_c"] * s["o"] * (1 - s["o"])
        dc = dc + dh * s["o"] * (1 - s["tanh_c"] ** 2)
        if slip != "no way from o's peephole to c":
            dc = dc + do * po
        dz = dc * s["i"] * (1 - s["z"] ** 2)
        di = dc * s["z"] * s["i"] * (1 - s["i"])
        df = dc * s["c_prev"] * s["f"] * (1 - s["f"])
        du = 0
        for gate, dgate, W in (("z", dz, Wz), ("i", di, Wi), ("f", df, Wf), ("o", do, Wo)):
            d["W" + gate] += np.einsum("nd,nh->dh", s["u"], dgate)
            d["b" + gate] += dgate.sum(axis=0)
            du = du + dgate.dot(W.T)
        d["pi"] += np.sum(di * s["c_prev"], axis=0)
        d["pf"] += np.sum(df * (s["c"] if slip == "c for c_prev" else s["c_prev"]), axis=0)
        d["po"] += np.sum(do * (s["c_prev"] if slip == "c_prev for c" else s["c"]), axis=0)
        dh = du[:, n_in:]
        dc = dc * s["f"] + di * pi + (0 if slip == "no way from f's peephole to c_prev" else df * pf)
        if slip == "dc_next missing":
            dc = np.zeros_like(dc)
    return d


def make(rng, T=3, batch=2, hidden=3, scale=1.0, way=None):
    n_in, classes = 2, 3
    inputs = {"x": rng.standard_normal((T, batch, n_in)), "label": rng.integers(classes, size=batch)}
    for gate in "zifo":
        inputs["W" + gate] = scale * weights(rng, n_in + hidden, hidden)
        inputs["b" + gate] = 0.3 * rng.standard_normal(hidden)
    for gate in "ifo":
        inputs["p" + gate] = rng.standard_normal(hidden)
    inputs["Wout"] = rng.standard_normal((hidden, classes))
    return {**inputs, "way": way}


NETWORKS = [
    Network(
        "peepholes, a list of dicts",
        "LSTM",
        make,
        forward,
        gradient,
        by_name,
        {"T": (1, 4), "batch": (1, 3), "hidden": (1, 3)},
        (
            Planted("mean over the batch missing", "not divided by the batch", ("sum for mean",)),
            Planted("no way from o's peephole to c", "`do * po` not added to `dc`", ("through `po * c`",)),
            Planted(
                "no way from f's peephole to c_prev",
                "`df * pf` not added to `dc` of the step before",
                ("through `pf * c`",),
            ),
            Planted("c for c_prev", "`c` for `c_prev` at f's peephole", ("one step off",)),
            Planted("c_prev for c", "`c_prev` for `c` at o's peephole", ("one step off",)),
            Planted("dc_next missing", "`dc` of the next step is not handed on", ("dc_next missing",)),
        ),
        options={"scale": (1.0, 20.0), "way": WAYS},
    )
]
