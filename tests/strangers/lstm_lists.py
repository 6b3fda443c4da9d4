"""LSTM in plain Python: lists of numbers, loops over units, `math` and no arrays in the forward."""

import math

from tests.strangers.network import Network, Planted


def sigmoid(x):
    if x >= 0:
        return 1.0 / (1.0 + math.exp(-x))
    return math.exp(x) / (1.0 + math.exp(x))


def dot(a, b):
    return sum(u * v for u, v in zip(a, b))


def run(xs, W, b, hidden):
    """W[gate][unit] is a list over [x, h], gates in the order i, f, o, g."""
    h, c = [0.0] * hidden, [0.0] * hidden
    states = []
    for x in xs:
        z = list(x) + h
        c_prev = c
        gates = []
        for k in range(4):
            squash = math.tanh if k == 3 else sigmoid
            gates.append([squash(dot(W[k][j], z) + b[k][j]) for j in range(hidden)])
        i, f, o, g = gates
        c = [f[j] * c_prev[j] + i[j] * g[j] for j in range(hidden)]
        h = [o[j] * math.tanh(c[j]) for j in range(hidden)]
        states.append((z, c_prev, i, f, o, g, c, h))
    return states


def loss(xs, target, W, b, v):
    """Half of the squared error of v.h at the last step."""
    h = run(xs, W, b, len(v))[-1][-1]
    return 0.5 * (dot(v, h) - target) ** 2


def gradient(xs, target, W, b, v, slip=""):
    H, n = len(v), len(W[0][0])
    states = run(xs, W, b, H)
    dW = [[[0.0] * n for _ in range(H)] for _ in range(4)]
    db = [[0.0] * H for _ in range(4)]
    h = states[-1][-1]
    e = dot(v, h) - target
    dv = [e * h[j] for j in range(H)]
    if slip == "square not derived":
        dv = [0.5 * e * e * h[j] for j in range(H)]
    dh = [e * v[j] for j in range(H)]
    dc = [0.0] * H
    stop = 1 if slip == "first step left out" else 0
    for t in range(len(xs) - 1, stop - 1, -1):
        z, c_prev, i, f, o, g, c, _ = states[t]
        dh_prev, dc_prev = [0.0] * H, [0.0] * H
        units = range(H - 1) if slip == "last unit left out" else range(H)
        for j in units:
            tc = math.tanh(c[j])
            dcj = dc[j] + dh[j] * o[j] * (1 - tc * tc)
            da = [
                dcj * g[j] * i[j] * (1 - i[j]),
                dcj * c_prev[j] * f[j] * (1 - f[j]),
                dh[j] * tc * o[j] * (1 - o[j]),
                dcj * i[j] * (1 - g[j] ** 2),
            ]
            if slip == "tanh' is 1 + g^2":
                da[3] = dcj * i[j] * (1 + g[j] ** 2)
            for k in range(4):
                for m in range(n):
                    dW[k][j][m] += da[k] * z[m]
                db[k][j] += da[k]
                for m in range(H):
                    w = W[k][j][n - H + m]
                    if slip == "= for +=":
                        dh_prev[m] = da[k] * w
                    else:
                        dh_prev[m] += da[k] * w
            dc_prev[j] = dcj * f[j]
        dh, dc = dh_prev, dc_prev
    return {"W": dW, "b": db, "v": dv}


def make(rng, T=3, hidden=2, scale=1.0):
    return {
        "xs": rng.standard_normal((T, 2)).tolist(),
        "target": float(rng.standard_normal()),
        "W": (scale * rng.standard_normal((4, hidden, 2 + hidden))).tolist(),
        "b": rng.standard_normal((4, hidden)).tolist(),
        "v": rng.standard_normal(hidden).tolist(),
    }


NETWORKS = [
    Network(
        "loops, lists and math",
        "LSTM",
        make,
        loss,
        gradient,
        lambda inputs, result: [(inputs[name], g) for name, g in result.items()],
        {"T": (1, 3), "hidden": (1, 2)},
        (
            Planted(
                "square not derived", "`dv` of the loss instead of its derivative", ("in v, with another c",)
            ),
            Planted("first step left out", "the loop back stops before step 0", ("first step left out",)),
            Planted(
                "last unit left out",
                "`range(H - 1)` for `range(H)`",
                ("left out",),
                {"hidden": (2, 3)},
            ),
            Planted("tanh' is 1 + g^2", "`1 + g**2` for `1 - g**2`", ("sign in the derivative of tanh",)),
            Planted("= for +=", "`dh_prev[m] = ...` for `+=`", ("= for +=",), {"T": (1, 4)}),
        ),
        options={"scale": (1.0, 20.0)},
    )
]
