"""Right gradients where little is known: float32, rounding, saturation, kinks, large constants. None may be "wrong".

Each is a loss of one array w and its derivative as somebody would write it. `wrong` is the same with a mistake that
may be found or not, and must not pass for right.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.strangers.mathutil import detour, sigmoid, sigmoid_by_sign, sigmoid_tanh, sigmoid_where, softmax


@dataclass(frozen=True)
class Edge:
    name: str
    loss: Callable[[Any], Any]
    right: Callable[[Any], Any]
    at: Any
    wrong: Callable[[Any], Any] | None = None

    def by_hand(self, w: Any) -> dict[str, Any]:
        return {"w": self.right(w)}

    def by_hand_wrong(self, w: Any) -> dict[str, Any]:
        return {"w": self.wrong(w) if self.wrong else 1.5 * np.asarray(self.right(w)) + 0.1}


EDGES: list[Edge] = []


def edge(name: str, loss: Any, right: Any, *points: Any, wrong: Any = None) -> None:
    for at in points:
        EDGES.append(Edge(f"{name} at {at}", loss, right, np.atleast_1d(np.asarray(at)), wrong))


def in_buffer(dtype: Any) -> Callable[[Any], Any]:
    def loss(w):
        h = np.zeros(len(w), dtype=dtype)
        h[:] = np.tanh(w)
        return h.sum()

    return loss


def dtanh(w):
    return 1 - np.tanh(w) ** 2


# --- numbers of few digits ---
for dtype in ("f", np.float32, np.single, "e", np.float16):
    edge(f"a buffer of {dtype}", in_buffer(dtype), dtanh, 0.3, [0.3, -1.1, 2.0])
edge("cast to float32", lambda w: np.tanh(w.astype(np.float32)).sum(), dtanh, 0.3)
edge("cast to 'f'", lambda w: np.tanh(w).astype("f").sum(), dtanh, 0.3)
edge("np.float32 of a number", lambda w: np.float32(np.tanh(w[0])), dtanh, 0.3)
edge("an array of float32", lambda w: np.array(np.tanh(w), dtype=np.float32).sum(), dtanh, 0.3)
edge(
    "float32 in between", lambda w: (np.asarray(w, np.float32) ** 2).sum().astype(float), lambda w: 2 * w, 0.3
)
edge("float32 by np.add", lambda w: np.add(w, w, dtype=np.float32).sum(), lambda w: 2 + 0 * w, 0.3)
edge("a sum in float32", lambda w: np.sum(w * w, dtype=np.float32), lambda w: 2 * w, 0.3)
edge("float32 where nothing records", lambda w: detour(np.tanh(w), "bytes").astype("f").sum(), dtanh, 0.3)
edge("a hand gradient in float32", lambda w: np.tanh(w).sum(), lambda w: dtanh(w.astype("f")), 0.3, 6.0, 9.0)
edge(
    "forward and gradient in float32",
    in_buffer("f"),
    lambda w: dtanh(w.astype("f")),
    0.3,
    4.0,
    7.0,
    8.0,
    9.0,
    9.5,
)
edge(
    "sigmoid in float32",
    lambda w: sigmoid(w.astype("f")).sum(),
    lambda w: sigmoid(w.astype("f")) * (1 - sigmoid(w.astype("f"))),
    0.3,
    8.0,
    12.0,
    15.0,
    17.0,
    20.0,
)


# --- values that are rounded ---
def in_int_buffer(w):
    h = np.zeros(len(w), dtype=int)
    h[:] = 10 * w
    return h.sum() / 10


edge("a buffer of int", in_int_buffer, np.ones_like, 0.37)
edge("np.round", lambda w: np.round(np.tanh(w), 3).sum(), dtanh, 0.3)
edge("np.around of the loss", lambda w: np.around(np.tanh(w).sum(), 6), dtanh, 0.3)
edge("round of the loss", lambda w: round(float(np.tanh(w).sum()), 4), dtanh, 0.3)
edge("method round", lambda w: np.tanh(w).round(2).sum(), dtanh, 0.3)
edge("floor", lambda w: np.floor(np.tanh(w) * 1000).sum() / 1000, dtanh, 0.3)
edge("astype(int)", lambda w: (np.tanh(w) * 1000).astype(int).sum() / 1000, dtanh, 0.3)
edge("int()", lambda w: int(np.tanh(w[0]) * 1e6) / 1e6, dtanh, 0.3)
edge("by text", lambda w: float(f"{np.tanh(w[0]):.5f}"), dtanh, 0.3)
edge("by %", lambda w: float("%.4f" % np.tanh(w[0])), dtanh, 0.3)
edge("straight through a sign", lambda w: (np.sign(w) * 2).sum(), lambda w: 2 * np.ones_like(w), 0.3)
edge("straight through a step", lambda w: (np.where(sigmoid(w) > 0.5, 1.0, 0.0)).sum(), np.ones_like, 0.3)
edge("fake quantization", lambda w: (np.round(w / 0.1) * 0.1).sum(), np.ones_like, 0.33)
edge("np.rint", lambda w: (np.rint(w * 8) / 8).sum(), np.ones_like, 0.33)
edge("floor division", lambda w: (w // 0.001 * 0.001).sum(), np.ones_like, 0.33)
edge("minus what is left", lambda w: (w - w % 0.001).sum(), np.ones_like, 0.33)
edge(
    "a table of activations",
    lambda w: np.tanh(np.linspace(-5, 5, 10001))[((w + 5) * 1000).astype(int)].sum(),
    dtanh,
    0.3,
)

# --- saturation: 1 - s has few digits, or none ---
for f in (sigmoid, sigmoid_by_sign, sigmoid_where, sigmoid_tanh):

    def of_sigmoid(w, f=f):
        h = np.zeros(len(w))
        h[:] = f(w)
        return h.sum()

    edge(
        f.__name__,
        of_sigmoid,
        lambda w, f=f: f(w) * (1 - f(w)),
        20.0,
        30.0,
        33.0,
        35.0,
        36.5,
        37.0,
        40.0,
        -40.0,
    )
edge(
    "by math.exp",
    lambda w: 1 / (1 + math.exp(-w[0])),
    lambda w: sigmoid(w) * (1 - sigmoid(w)),
    33.0,
    36.0,
    38.0,
)
edge(
    "sigmoid unseen",
    lambda w: detour(sigmoid(w), "bytes").sum(),
    lambda w: sigmoid(w) * (1 - sigmoid(w)),
    5.0,
    20.0,
    35.0,
    40.0,
)
edge("tanh", lambda w: np.tanh(w).sum(), dtanh, 15.0, 18.0, 18.5, 19.5, 22.0)
edge(
    "tanh by exp",
    lambda w: ((np.exp(w) - np.exp(-w)) / (np.exp(w) + np.exp(-w))).sum(),
    dtanh,
    15.0,
    18.5,
    19.5,
)
edge("tanh by sigmoid", lambda w: (2 * sigmoid(2 * w) - 1).sum(), dtanh, 10.0, 17.0, 18.5, 19.0)
edge(
    "tanh, by hand as 1/cosh^2",
    lambda w: np.tanh(w).sum(),
    lambda w: 1 / np.cosh(w) ** 2,
    15.0,
    18.0,
    19.0,
    22.0,
)
edge(
    "softmax of one that wins",
    lambda w: -np.log(softmax(w)[0]),
    lambda w: softmax(w) - np.eye(3)[0],
    [30.0, 0.0, 1.0],
    [38.0, 0.0, 1.0],
)
edge(
    "cross entropy of a sigmoid",
    lambda w: -np.log(sigmoid(w)).sum(),
    lambda w: sigmoid(w) - 1,
    20.0,
    33.0,
    36.0,
    38.0,
)

# --- small beside large ---


def thousand(w):
    out = np.zeros(2)
    out[0] = 1000.0
    out[1] = w[0] ** 2
    return out.sum()


edge("beside 1000", thousand, lambda w: 2 * w, 0.01, 1e-5)
edge("beside 1e9", lambda w: detour(w * w, "bytes").sum() + 1e9, lambda w: 2 * w, 0.01)
edge("a difference of large ones", lambda w: ((1e6 + w) ** 2 - 1e12).sum(), lambda w: 2 * (1e6 + w), 0.3)
edge("small numbers", lambda w: detour(w**3, "bytes").sum(), lambda w: 3 * w * w, 1e-4, 1e-9)
edge("a tiny slope", lambda w: detour(np.exp(-w), "bytes").sum(), lambda w: -np.exp(-w), 30.0)
edge(
    "quickly up and down",
    lambda w: detour(np.sin(1e5 * w), "bytes").sum(),
    lambda w: 1e5 * np.cos(1e5 * w),
    0.3,
)

# --- epsilons that the derivative leaves out ---
for eps in (1e-12, 1e-8, 1e-6):
    edge(
        f"log(p + {eps})",
        lambda w, eps=eps: -np.log(softmax(w)[0] + eps),
        lambda w: softmax(w) - np.eye(3)[0],
        [0.3, -0.2, 0.5],
    )
edge(
    "x / (|x| + 1e-8)",
    lambda w: w[0] / (np.sqrt((w**2).sum()) + 1e-8),
    lambda w: np.array([w[1] ** 2, -w[0] * w[1]]) / (w @ w) ** 1.5,
    [0.3, 0.4],
)

# --- kinks: each of these derivatives is one that people use ---
relu = lambda w: np.maximum(w, 0).sum()
for what, mask in {"> 0": lambda w: (w > 0) * 1.0, ">= 0": lambda w: (w >= 0) * 1.0}.items():
    edge(f"np.maximum(w, 0), {what}", relu, mask, 0.0, [0.0, 1.0, -1.0])
    edge(f"w * (w > 0), {what}", lambda w: (w * (w > 0)).sum(), mask, 0.0, [0.0, 1.0, -1.0])
    edge(f"np.where, {what}", lambda w: np.where(w > 0, w, 0.0).sum(), mask, 0.0, [0.0, 1.0, -1.0])

    def masked(w):
        z = w.copy()
        z[z < 0] = 0
        return z.sum()

    edge(f"z[z < 0] = 0, {what}", masked, mask, 0.0, [0.0, 1.0, -1.0])
    edge(f"unseen, {what}", lambda w: np.maximum(detour(w, "bytes"), 0).sum(), mask, 0.0, [0.0, 1.0, -1.0])
edge("abs", lambda w: np.abs(w).sum(), np.sign, 0.0, [0.0, 2.0])
edge("the largest of equals", lambda w: np.max(w), lambda w: np.eye(3)[np.argmax(w)], [1.0, 1.0, 0.0])
edge(
    "the largest of equals, shared",
    lambda w: np.max(w),
    lambda w: (w == w.max()) / (w == w.max()).sum(),
    [1.0, 1.0, 0.0],
)
edge(
    "clipped at its bound",
    lambda w: np.clip(w, -1, 1).sum(),
    lambda w: (np.abs(w) < 1) * 1.0,
    1.0,
    [1.0, 0.5],
)
edge(
    "clipped at its bound, <=",
    lambda w: np.clip(w, -1, 1).sum(),
    lambda w: (np.abs(w) <= 1) * 1.0,
    1.0,
    [1.0, 0.5],
)
edge("the norm of 0", lambda w: np.sqrt((w**2).sum()), np.zeros_like, [0.0, 0.0])
edge("leaky", lambda w: np.where(w > 0, w, 0.1 * w).sum(), lambda w: np.where(w >= 0, 1.0, 0.1), 0.0)
edge("hinge at its corner", lambda w: np.maximum(0, 1 - w).sum(), lambda w: -1.0 * (w < 1), 1.0)
edge(
    "near a kink",
    lambda w: np.maximum(detour(w, "bytes"), 0).sum(),
    lambda w: (w > 0) * 1.0,
    1e-7,
    1e-12,
    -1e-9,
)
