"""Two layers of recurrent ReLU units over padded series: buffers by layer, a mask for what is padding."""

import numpy as np

from tests.strangers.mathutil import counted, detour, weights
from tests.strangers.network import WAYS, Network, Planted, by_name


@counted
def relu(x):
    return np.maximum(0, x)


class Layer:
    def __init__(self, W, U, b, way=None):
        self.W, self.U, self.b, self.way = W, U, b, way

    def forward(self, x, mask):
        """x (batch, T, features), mask (batch, T); where it is 0 the state stays."""
        batch, T, _ = x.shape
        self.x, self.mask = x, mask
        self.h = np.zeros((T + 1, batch, self.b.size))
        self.a = np.zeros((T, batch, self.b.size))
        for t in range(T):
            self.a[t] = x[:, t] @ self.W + detour(self.h[t], self.way) @ self.U + self.b
            m = mask[:, t, None]
            self.h[t + 1] = m * relu(self.a[t]) + (1 - m) * self.h[t]
        return self.h[1:].transpose(1, 0, 2)

    def backward(self, dout, slip=""):
        """dout (batch, T, hidden); gives dx and keeps the gradients of the weights."""
        batch, T, _ = self.x.shape
        dx = np.zeros_like(self.x)
        self.dW, self.dU, self.db = np.zeros_like(self.W), np.zeros_like(self.U), np.zeros_like(self.b)
        dh = np.zeros((batch, self.b.size))
        for t in range(T - 1, -1, -1):
            dh = dh + dout[:, t]
            m = self.mask[:, t, np.newaxis]
            da = dh * m
            if slip == "padding not masked":
                da = dh.copy()
            da[(self.h[t] if slip == "mask of the old state" else self.a[t]) <= 0] = 0
            if slip == "ReLU has no derivative":
                da = dh * m
            dx[:, t] = np.dot(da, self.W.T)
            self.dW += self.x[:, t].T @ da
            self.dU += self.h[t].T @ da
            self.db += da[0] if slip == "bias of the first sample" else da.sum(axis=0)
            dh = (0 if slip == "no way past padding" else dh * (1 - m)) + da @ self.U.T
        return dx


def forward(x, mask, target, params, way=None):
    """The squared error of the last state of the upper layer, and both layers."""
    lower = Layer(params["W1"], params["U1"], params["b1"], way)
    upper = Layer(params["W2"], params["U2"], params["b2"])
    h1 = lower.forward(x, mask)
    h2 = upper.forward(h1, mask)
    error = h2[:, -1] - target
    return 0.5 * np.sum(error**2) / len(x), (lower, upper, error)


def backward(x, mask, target, params, way=None, slip=""):
    _, (lower, upper, error) = forward(x, mask, target, params)
    dout = np.zeros((len(x), x.shape[1], error.shape[1]))
    dout[:, -1] = error / len(x)
    dh1 = upper.backward(dout, slip=slip)
    if slip == "lower layer from the last step only":
        dh1[:, :-1] = 0
    lower.backward(dh1)
    return {
        "W1": lower.dW,
        "U1": lower.dU,
        "b1": lower.db,
        "W2": lower.dW if slip == "the other layer's" else upper.dW,
        "U2": upper.dU,
        "b2": upper.db,
    }


def make(rng, T=3, batch=2, hidden=3, scale=1.0, way=None):
    lengths = rng.integers(1, T + 1, size=batch)
    params = {}
    for k in "12":
        params["W" + k] = weights(rng, hidden, hidden)
        params["U" + k] = weights(rng, hidden, hidden, scale=scale)
        params["b" + k] = 0.5 + 0.5 * rng.standard_normal(hidden)
    return {
        "x": rng.standard_normal((batch, T, hidden)),
        # padding comes first, so that the last step is everybody's
        "mask": (np.arange(T) >= T - lengths[:, None]).astype(float),
        "target": rng.standard_normal((batch, hidden)),
        "params": params,
        "way": way,
    }


NETWORKS = [
    Network(
        "two layers of ReLU, padding",
        "RNN",
        make,
        forward,
        backward,
        by_name,
        {"T": (1, 4), "batch": (1, 3), "hidden": (1, 3)},
        (
            Planted(
                "padding not masked",
                "the mask is left out on the way back",
                (
                    "factor m missing",
                    "mask",
                ),
                {"T": (2, 4)},
            ),
            Planted(
                "mask of the old state",
                "ReLU's mask taken of the old state",
                ("relu taken of the previous",),
            ),
            Planted("ReLU has no derivative", "ReLU's mask left out", ("derivative of relu missing",)),
            Planted(
                "bias of the first sample",
                "bias not summed over the batch",
                ("not summed over the batch",),
                {"batch": (2, 3)},
            ),
            Planted(
                "lower layer from the last step only",
                "the lower layer gets a gradient from the last step only",
                ("missing but at the last step",),
                {"T": (2, 4)},
            ),
            Planted(
                "the other layer's",
                "dW of the lower layer for that of the upper",
                ("dW2 is that of W1",),
            ),
        ),
        options={"scale": (1.0, 2.0), "way": WAYS},
    )
]
