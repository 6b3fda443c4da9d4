"""A block of a Transformer as a class: heads by reshape and transpose, layer norm, residuals, two dense layers."""

import numpy as np

from tests.strangers.mathutil import detour
from tests.strangers.network import WAYS, Network, Planted


def layer_norm(x, gamma, beta, eps=1e-5):
    mean = np.mean(x, axis=-1, keepdims=True)
    centred = x - mean
    std = np.sqrt(np.mean(centred**2, axis=-1, keepdims=True) + eps)
    normed = centred / std
    return gamma * normed + beta, (normed, std, gamma)


def layer_norm_back(dout, cache, slip=""):
    normed, std, gamma = cache
    axes = tuple(range(dout.ndim - 1))
    dgamma, dbeta = (dout * normed).sum(axis=axes), dout.sum(axis=axes)
    dn = dout * gamma
    if slip == "statistics as constants":
        return dn / std, dgamma, dbeta
    dx = dn - dn.mean(axis=-1, keepdims=True)
    if slip != "variance as a constant":
        dx -= normed * (dn * normed).mean(axis=-1, keepdims=True)
    return dx / std, dgamma, dbeta


class Block:
    def __init__(self, d_model, heads, rng, dtype=np.float64, scale=1.0, way=None):
        self.heads = heads
        self.way = way
        shapes = dict(
            Wqkv=(d_model, 3 * d_model),
            Wo=(d_model, d_model),
            W1=(d_model, 2 * d_model),
            W2=(2 * d_model, d_model),
        )
        self.params = {
            name: (rng.standard_normal(s) / np.sqrt(s[0])).astype(dtype) for name, s in shapes.items()
        }
        self.params["Wqkv"] *= scale
        for k in "12":
            self.params["gamma" + k] = 1 + 0.1 * rng.standard_normal(d_model).astype(dtype)
            self.params["beta" + k] = 0.1 * rng.standard_normal(d_model).astype(dtype)
        self.params["b1"] = rng.standard_normal(2 * d_model).astype(dtype)
        self.grads = {}

    def split(self, x):
        N, T, D = x.shape
        return x.reshape(N, T, self.heads, D // self.heads).transpose(0, 2, 1, 3)

    def merge(self, x):
        N, heads, T, d = x.shape
        return np.ascontiguousarray(x.transpose(0, 2, 1, 3)).reshape(N, T, heads * d)

    def forward(self, x):
        p = self.params
        normed, self.norm1 = layer_norm(x, p["gamma1"], p["beta1"])
        qkv = normed @ p["Wqkv"]
        q, k, v = (self.split(part) for part in np.split(qkv, 3, axis=-1))
        scores = q @ k.transpose(0, 1, 3, 2) / np.sqrt(q.shape[-1])
        scores -= scores.max(axis=-1, keepdims=True)
        a = np.exp(scores)
        a /= a.sum(axis=-1, keepdims=True)
        merged = self.merge(a @ detour(v, self.way))
        between = x + merged @ p["Wo"]
        normed2, self.norm2 = layer_norm(between, p["gamma2"], p["beta2"])
        hidden = normed2 @ p["W1"] + p["b1"]
        active = hidden * (hidden > 0)
        self.kept = (normed, q, k, v, a, merged, normed2, hidden, active)
        return between + active @ p["W2"]

    def backward(self, dout, slip=""):
        p, g = self.params, self.grads
        normed, q, k, v, a, merged, normed2, hidden, active = self.kept
        N, T, D = dout.shape
        flat = lambda x: x.reshape(N * T, -1)
        g["W2"] = flat(active).T @ flat(dout)
        dactive = dout @ p["W2"].T
        dhidden = np.where((normed2.mean() if slip == "mask of the wrong array" else hidden) > 0, dactive, 0)
        g["b1"] = dhidden.sum(axis=(0, 1))
        g["W1"] = flat(normed2).T @ flat(dhidden)
        dbetween, g["gamma2"], g["beta2"] = layer_norm_back(dhidden @ p["W1"].T, self.norm2, slip=slip)
        if slip != "residual missing":
            dbetween = dbetween + dout
        g["Wo"] = flat(merged).T @ flat(dbetween)
        dmerged = dbetween @ p["Wo"].T
        if slip == "heads not transposed":
            dcontext = dmerged.reshape(N, self.heads, T, -1)
        else:
            dcontext = self.split(dmerged)
        da = dcontext @ v.transpose(0, 1, 3, 2)
        dv = a.transpose(0, 1, 3, 2) @ dcontext
        ds = a * (da - (a * da).sum(axis=-1, keepdims=True))
        width = D if slip == "sqrt of the model's width" else q.shape[-1]
        ds /= np.sqrt(width)
        dq, dk = ds @ k, ds.transpose(0, 1, 3, 2) @ q
        parts = [dk, dq, dv] if slip == "q and k exchanged" else [dq, dk, dv]
        dqkv = np.concatenate([self.merge(part) for part in parts], axis=-1)
        g["Wqkv"] = flat(normed).T @ flat(dqkv)
        dx, g["gamma1"], g["beta1"] = layer_norm_back(dqkv @ p["Wqkv"].T, self.norm1, slip=slip)
        if slip == "gamma without x":
            g["gamma1"] = g["beta1"]
        return dx + dbetween


def loss(block, x, target):
    return 0.5 * np.sum((block.forward(x) - target) ** 2)


def gradient(block, x, target, slip=""):
    dx = block.backward(block.forward(x) - target, slip=slip)
    return {"x": dx, **block.grads}


def make(rng, N=2, T=3, heads=2, **options):
    d_model = 3 * heads
    return {
        "block": Block(d_model, heads, rng, **options),
        "x": rng.standard_normal((N, T, d_model)),
        "target": rng.standard_normal((N, T, d_model)),
    }


def claims(inputs, result):
    params = {**inputs["block"].params, "x": inputs["x"]}
    return [(params[name], g) for name, g in result.items()]


NETWORKS = [
    Network(
        "a Transformer block as a class",
        "attention",
        make,
        loss,
        gradient,
        claims,
        {"N": (1, 2), "T": (1, 4), "heads": (1, 2)},
        (
            Planted(
                "statistics as constants",
                "mean and variance of layer norm as constants",
                (
                    "paths missing",
                    "constant",
                ),
            ),
            Planted(
                "variance as a constant",
                "the variance of layer norm as a constant",
                (
                    "a path missing",
                    "constant",
                ),
            ),
            Planted(
                "mask of the wrong array",
                "ReLU's mask of the wrong array",
                (
                    "derivative of relu",
                    "mask",
                ),
            ),
            Planted("residual missing", "`dout` of the residual not added", ("through `between + active",)),
            Planted(
                "heads not transposed",
                "reshaped to heads without the transposition",
                ("not transposed back",),
                {"T": (2, 4), "heads": (2, 2)},
            ),
            Planted(
                "sqrt of the model's width",
                "divided by sqrt(d_model), not by that of a head",
                ("factor 1 / sqrt(",),
                {"T": (2, 4), "heads": (2, 2)},
            ),
            Planted("q and k exchanged", "gradients of q and k exchanged", ("exchanged",), {"T": (2, 4)}),
            Planted(
                "gamma without x",
                "`sum(d)` for `sum(d * x)` in layer norm's gamma",
                ("dgamma1 is that of beta1",),
            ),
        ),
        options={"scale": (1.0, 20.0), "dtype": (np.float64, np.float32), "way": WAYS},
    )
]
