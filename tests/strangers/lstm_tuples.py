"""LSTM over arrays (n_x, m, T_x): a dict of parameters, the batch in columns, tuples as caches of the steps."""

import numpy as np

from tests.strangers.mathutil import detour, sigmoid_where
from tests.strangers.network import WAYS, Network, Planted, by_name


def lstm_cell_forward(xt, a_prev, c_prev, parameters):
    Wf, bf = parameters["Wf"], parameters["bf"]
    Wi, bi = parameters["Wi"], parameters["bi"]
    Wc, bc = parameters["Wc"], parameters["bc"]
    Wo, bo = parameters["Wo"], parameters["bo"]

    concat = np.concatenate((a_prev, xt), axis=0)
    ft = sigmoid_where(np.dot(Wf, concat) + bf)
    it = sigmoid_where(np.dot(Wi, concat) + bi)
    cct = np.tanh(np.dot(Wc, concat) + bc)
    c_next = ft * c_prev + it * cct
    ot = sigmoid_where(np.dot(Wo, concat) + bo)
    a_next = ot * np.tanh(c_next)
    return a_next, c_next, (a_next, c_next, a_prev, c_prev, ft, it, cct, ot, xt, parameters)


def lstm_forward(x, a0, parameters, way=None):
    n_x, m, T_x = x.shape
    n_a = a0.shape[0]
    a, c = np.zeros((n_a, m, T_x)), np.zeros((n_a, m, T_x))
    a_next, c_next = a0, np.zeros(a0.shape)
    caches = []
    for t in range(T_x):
        a_next, c_next, cache = lstm_cell_forward(x[:, :, t], detour(a_next, way), c_next, parameters)
        a[:, :, t] = a_next
        c[:, :, t] = c_next
        caches.append(cache)
    return a, (caches, x)


def lstm_cell_backward(da_next, dc_next, cache, slip=""):
    a_next, c_next, a_prev, c_prev, ft, it, cct, ot, xt, parameters = cache
    n_a = a_next.shape[0]
    dot = da_next * np.tanh(c_next) * ot * (1 - ot)
    dc = dc_next + ot * (1 - np.square(np.tanh(c_next))) * da_next
    if slip == "o for 1 - o":
        dot = da_next * np.tanh(c_next) * ot * ot
    dcct = dc * it * (1 - np.square(cct))
    dit = dc * cct * it * (1 - it)
    if slip == "cct for c_prev":
        dft = dc * cct * ft * (1 - ft)
    else:
        dft = dc * c_prev * ft * (1 - ft)
    concat = np.concatenate((a_prev, xt), axis=0)
    gradients = {}
    da_prev, dxt = 0, 0
    for name, d in (("f", dft), ("i", dit), ("c", dcct), ("o", dot)):
        W = parameters["W" + name]
        gradients["dW" + name] = np.dot(d, concat.T)
        gradients["db" + name] = np.sum(d, axis=1, keepdims=True)
        if slip == "sum over the wrong axis":
            gradients["db" + name] = np.sum(d, keepdims=True) * np.ones((n_a, 1))
        if slip == "x and a swapped" and name == "i":
            gradients["dW" + name] = np.dot(d, np.concatenate((xt, a_prev), axis=0).T)
        da_prev = da_prev + np.dot(W[:, :n_a].T, d)
        if slip == "o has no way to a_prev" and name == "o":
            da_prev = da_prev - np.dot(W[:, :n_a].T, d)
        dxt = dxt + np.dot(W[:, n_a:].T, d)
    return dxt, da_prev, dc * ft, gradients


def lstm_backward(da, caches, slip=""):
    caches, x = caches
    n_a, m, T_x = da.shape
    dx = np.zeros(x.shape)
    total = {}
    da_prev, dc_prev = np.zeros((n_a, m)), np.zeros((n_a, m))
    for t in reversed(range(T_x)):
        da_t = da[:, :, t] + da_prev
        if slip == "da of the last step only" and t < T_x - 1:
            da_t = da_prev
        dxt, da_prev, dc_prev, gradients = lstm_cell_backward(da_t, dc_prev, caches[t], slip=slip)
        dx[:, :, t] = dxt
        for name, g in gradients.items():
            total[name] = total.get(name, 0) + g
    return {"dx": dx, "da0": da_prev, **total}


def make(rng, m=2, T_x=3, n_a=3, scale=1.0, way=None):
    n_x = 3
    parameters = {}
    for gate in "fico":
        parameters["W" + gate] = scale * rng.standard_normal((n_a, n_a + n_x))
        parameters["b" + gate] = rng.standard_normal((n_a, 1))
    return {
        "x": rng.standard_normal((n_x, m, T_x)),
        "a0": rng.standard_normal((n_a, m)),
        "parameters": parameters,
        "way": way,
    }


NETWORKS = [
    Network(
        "batch in columns, caches as tuples",
        "LSTM",
        make,
        lstm_forward,
        lstm_backward,
        by_name,
        {"m": (1, 3), "T_x": (1, 4), "n_a": (1, 3)},
        (
            Planted("o for 1 - o", "`o * o` for `o * (1 - o)`", ("derivative of sigmoid",)),
            Planted("cct for c_prev", "the candidate for `c_prev` in the forget gate", ("cct for c_prev",)),
            Planted("sum over the wrong axis", "bias summed over the units too", ("a sum without an axis",)),
            Planted(
                "x and a swapped",
                "`[x, a]` for `[a, x]` in the gradient of one gate",
                ("columns of dWi are exchanged",),
                {"n_a": (2, 3)},
            ),
            Planted(
                "o has no way to a_prev",
                "the way of gate o to `a_prev` is missing",
                ("through `np.dot(Wo, concat)`",),
            ),
            Planted(
                "da of the last step only",
                "`da` of the steps before the last is not added",
                ("missing but at the last step",),
                {"T_x": (2, 4)},
            ),
        ),
        layer=True,
        steps="T_x",
        options={"scale": (1.0, 20.0), "way": WAYS},
    )
]
