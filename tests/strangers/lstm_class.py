"""LSTM as a class: weights, buffers over time and gradients are attributes; float32 if one likes."""

import numpy as np

from tests.strangers.mathutil import detour
from tests.strangers.network import WAYS, Network, Planted


class LSTM:
    """Reads series, time first, and predicts a number at each step: mean squared error."""

    def __init__(self, n_in, n_hid, rng, dtype="d", scale=1.0, decay=0.0, clip_norm=None, way=None):
        self.n_hid = n_hid
        self.dtype = dtype
        self.decay = decay
        self.clip_norm = clip_norm
        self.way = way
        self.Wf, self.Wi, self.Wc, self.Wo = (
            (scale * rng.standard_normal((n_in, n_hid))).astype(dtype) for _ in range(4)
        )
        self.Uf, self.Ui, self.Uc, self.Uo = (
            (scale * rng.standard_normal((n_hid, n_hid)) / np.sqrt(n_hid)).astype(dtype) for _ in range(4)
        )
        self.bf = np.ones(n_hid, dtype=dtype)
        self.bi, self.bc, self.bo = (np.zeros(n_hid, dtype=dtype) for _ in range(3))
        self.Wy = rng.standard_normal((n_hid, 1)).astype(dtype)
        self.by = np.zeros(1, dtype=dtype)

    names = ("Wf", "Wi", "Wc", "Wo", "Uf", "Ui", "Uc", "Uo", "bf", "bi", "bc", "bo", "Wy", "by")

    @staticmethod
    def sigmoid(x):
        return 1.0 / (1.0 + np.exp(-x))

    def forward(self, x):
        T, N, _ = x.shape
        self.x = x
        shape = (T, N, self.n_hid)
        self.f, self.i, self.g, self.o = (np.zeros(shape, dtype=self.dtype) for _ in range(4))
        # one row more than steps: the last one, -1, is the state before the first step
        self.c = np.zeros((T + 1, N, self.n_hid), dtype=self.dtype)
        self.h = np.zeros((T + 1, N, self.n_hid), dtype=self.dtype)
        self.y = np.empty((T, N, 1), dtype=self.dtype)
        for t in range(T):
            h = detour(self.h[t - 1], self.way)
            self.f[t] = self.sigmoid(x[t] @ self.Wf + h @ self.Uf + self.bf)
            self.i[t] = self.sigmoid(x[t] @ self.Wi + h @ self.Ui + self.bi)
            self.g[t] = np.tanh(x[t] @ self.Wc + h @ self.Uc + self.bc)
            self.o[t] = self.sigmoid(x[t] @ self.Wo + h @ self.Uo + self.bo)
            self.c[t] = self.f[t] * self.c[t - 1] + self.i[t] * self.g[t]
            self.h[t] = self.o[t] * np.tanh(self.c[t])
            self.y[t] = self.h[t] @ self.Wy + self.by
        return self.y

    def loss(self, x, target):
        error = self.forward(x) - target
        weights = (self.Uf, self.Ui, self.Uc, self.Uo)
        return np.mean(error**2) + 0.5 * self.decay * sum(np.sum(U * U) for U in weights)

    def backward(self, target, slip=""):
        T, N, _ = self.x.shape
        for name in self.names:
            setattr(self, "d" + name, np.zeros_like(getattr(self, name)))
        dy = 2 * (self.y - target) / self.y.size
        if slip == "sum for mean":
            dy = 2 * (self.y - target)
        elif slip == "2 missing":
            dy = (self.y - target) / self.y.size
        elif slip == "sign":
            dy = 2 * (target - self.y) / self.y.size
        dh_next = np.zeros((N, self.n_hid), dtype=self.dtype)
        dc_next = np.zeros((N, self.n_hid), dtype=self.dtype)
        for t in reversed(range(T)):
            self.dWy += self.h[t].T @ dy[t]
            self.dby += dy[t].sum(axis=0)
            dh = dy[t] @ self.Wy.T + dh_next
            tanh_c = np.tanh(self.c[t])
            dc = dh * self.o[t] * (1 - tanh_c**2) + dc_next
            da = {
                "f": dc * self.c[t - 1] * self.f[t] * (1 - self.f[t]),
                "i": dc * self.g[t] * self.i[t] * (1 - self.i[t]),
                "c": dc * self.i[t] * (1 - self.g[t] ** 2),
                "o": dh * tanh_c * self.o[t] * (1 - self.o[t]),
            }
            if slip == "sigmoid' without its output":
                da["o"] = dh * tanh_c * (1 - self.o[t])
            dh_next = np.zeros_like(dh_next)
            for gate, d in da.items():
                getattr(self, "dW" + gate)[...] += self.x[t].T @ d
                before = self.h[t] if slip == "h[t] for h[t-1]" else self.h[t - 1]
                getattr(self, "dU" + gate)[...] += before.T @ d
                getattr(self, "db" + gate)[...] += d.sum(0)
                U = getattr(self, "U" + gate)
                dh_next += d @ (U if slip == "U not transposed" else U.T)
            dc_next = dc * self.f[t]
        decay = 0.1 if slip == "decay added" else self.decay
        if slip == "decay forgotten":
            decay = 0
        for gate in "fico":
            getattr(self, "dU" + gate)[...] += decay * getattr(self, "U" + gate)
        limit = 0.1 if slip == "clipped by norm" else self.clip_norm
        if limit:
            norm = np.sqrt(sum(np.sum(getattr(self, "d" + name) ** 2) for name in self.names))
            if norm > limit:
                for name in self.names:
                    getattr(self, "d" + name)[...] *= limit / norm


def loss(net, x, target):
    return net.loss(x, target)


def gradient(net, x, target, slip=""):
    """The gradients stay on the object."""
    net.loss(x, target)
    net.backward(target, slip=slip)
    return net


def make(rng, T=3, batch=2, hidden=3, **options):
    return {
        "net": LSTM(2, hidden, rng, **options),
        "x": rng.standard_normal((T, batch, 2)),
        "target": rng.standard_normal((T, batch, 1)),
    }


def claims(inputs, net):
    return [(getattr(inputs["net"], name), getattr(net, "d" + name)) for name in net.names]


NETWORKS = [
    Network(
        "a class with buffers, time first",
        "LSTM",
        make,
        loss,
        gradient,
        claims,
        {"T": (1, 4), "batch": (1, 3), "hidden": (1, 3)},
        (
            Planted("sum for mean", "the gradient of a sum for that of a mean", ("sum for mean",)),
            Planted("2 missing", "half of the gradient of a square", ("the 2 of a square",)),
            Planted("sign", "target - output", ("sign: ",)),
            Planted("sigmoid' without its output", "`1 - o` for `o * (1 - o)`", ("derivative of sigmoid",)),
            Planted("h[t] for h[t-1]", "`h[t]` for `h[t-1]`", ("one step off",)),
            Planted("U not transposed", "`d @ U` for `d @ U.T`", ("not transposed",)),
            Planted(
                "decay added",
                "weight decay in the gradient, not in the loss",
                ("a term of weight decay of 0.1",),
            ),
            Planted(
                "decay forgotten",
                "weight decay in the loss, not in the gradient",
                ("weight decay of 0.1 is missing",),
                options={"decay": 0.1},
            ),
            Planted("clipped by norm", "clipped by the norm 0.1", ("clipped by norm 0.1",)),
        ),
        options={
            "scale": (1.0, 20.0),
            "dtype": ("d", "f"),
            "decay": (0.0, 0.1),
            "way": WAYS,
        },
    )
]
