"""tinygrad_np: one BLAS thread, on one core unless there are several workers."""

from __future__ import annotations

from functools import partial

import numpy as np

import tinygrad_np.functional as F
from benchmarks.peers.shared import Arrays, Job, again, chained, numpy_blas, ops, part, reviews
from tinygrad_np import Tensor, no_grad, parallel
from tinygrad_np.nn import LSTM, Embedding, Layer, Linear
from tinygrad_np.ops.elementwise import sigmoid
from tinygrad_np.optim import Adam


def start(threads: int) -> str:
    return f"tinygrad_np with {numpy_blas()}"


def sgemm(arrays: Arrays) -> Job:
    """One product of matrices: nothing that a program does with the processor has more operations a second."""
    a, b, out = arrays["a"], arrays["b"], np.empty_like(arrays["a"])

    def job() -> Arrays:
        np.matmul(a, b, out=out)
        return {"product": out}

    return job


def lstm(arrays: Arrays, head: str, fused: bool) -> Job:
    """Forward, back through time, and the weights' gradients."""
    weights = part(arrays, "lstm.")
    layer = LSTM(arrays["x"].shape[2], weights["weight_hh_l0"].shape[1], fused=fused, rng=0)
    layer.load_state_dict(weights)
    x, cotangent = Tensor(arrays["x"]), arrays["cotangent"]
    parameters = layer.named_parameters()

    def job() -> Arrays:
        for p in parameters.values():
            p.grad = None
        output, (h, _) = layer(x)
        loss = ((h[0] if head == "last" else output.mean(axis=1)) * cotangent).sum()
        loss.backward()
        return {"loss": loss.data} | {name: p.grad for name, p in parameters.items() if p.grad is not None}

    return job


eager_lstm = partial(lstm, head="last", fused=False)


def conv(arrays: Arrays, below: bool) -> Job:
    """A convolution there and back; `below` says whether the gradient goes on to the images."""
    tensors = {
        name: Tensor(a, requires_grad=name != "x" or below)
        for name, a in arrays.items()
        if name != "cotangent"
    }
    x, weight, bias = (tensors[name] for name in ("x", "weight", "bias"))

    def job() -> Arrays:
        for t in tensors.values():
            if t.requires_grad:
                t.grad = None
        y = F.conv2d(x, weight, bias)
        y.backward(arrays["cotangent"])
        return {"y": y.data} | {name: t.grad for name, t in tensors.items() if t.grad is not None}

    return job


def op(arrays: Arrays, name: str, calls: int, backward: bool) -> Job:
    """One op on four numbers: forward alone, again and again, or there and back along a chain."""
    f = ops(np, sigmoid)[name]
    x = Tensor(arrays["x"], requires_grad=True)

    def forward() -> Arrays:
        return {"value": again(f, x, calls).data}

    def both() -> Arrays:
        x.grad = None
        y = chained(f, x, calls)
        y.backward(np.ones(y.shape))
        assert x.grad is not None
        return {"value": y.data, "gradient": x.grad}

    return both if backward else forward


class Reader(Layer):
    """Frozen word vectors, an LSTM, and one number of its last state or of the mean of its outputs."""

    def __init__(self, arrays: Arrays, head: str):
        self.embedding = Embedding.from_pretrained(arrays["vectors"], padding_idx=0)
        self.lstm = LSTM(arrays["vectors"].shape[1], arrays["head.weight"].shape[1], rng=0)
        self.head = Linear(arrays["head.weight"].shape[1], 1, rng=0)
        self.of = head
        self.restart(arrays)

    def restart(self, arrays: Arrays) -> None:
        """Take the initial weights."""
        self.lstm.load_state_dict(part(arrays, "lstm."))
        self.head.load_state_dict(part(arrays, "head."))

    def forward(self, numbers: np.ndarray, lengths: np.ndarray) -> Tensor:
        output, (h, _) = self.lstm(self.embedding.weight, lengths=lengths, indices=numbers)
        seen = h[0] if self.of == "last" else output.sum(axis=1) / lengths[:, np.newaxis].astype(output.dtype)
        logits: Tensor = self.head(seen)
        return logits[:, 0]


def train(arrays: Arrays, head: str, lr: float, workers: int) -> Job:
    """A step of Adam for each batch, from the initial weights; each worker takes its share of the batch."""
    model = Reader(arrays, head)
    batches = reviews(arrays)
    parameters = model.named_parameters()

    def job() -> Arrays:
        model.restart(arrays)
        optimizer = Adam(parameters.values(), lr=lr)
        first: Arrays = {}
        losses = []
        with parallel.workers(workers) as team:
            team.start(1 + sum(p.size for p in parameters.values()), np.float32)
            for numbers, lengths, labels in batches:
                mine = slice(team.rank, None, team.size)
                optimizer.zero_grad()
                logits = model(numbers[mine], lengths[mine])
                loss = F.binary_cross_entropy_with_logits(logits, labels[mine], reduction="sum") / len(labels)
                loss.backward()
                gradients = {name: p.grad for name, p in parameters.items() if p.grad is not None}
                total = loss.data.reshape(1).copy()
                team.all_reduce([total, *gradients.values()])
                first = first or {name: g.copy() for name, g in gradients.items()}
                optimizer.step()
                losses.append(total.item())
        return {"loss": np.array(losses[0]), "losses": np.array(losses), **first}

    return job


def predict(arrays: Arrays, head: str) -> Job:
    """The logits of all reviews."""
    model = Reader(arrays, head)
    batches = reviews(arrays)

    def job() -> Arrays:
        with no_grad():
            return {
                "logits": np.concatenate([model(numbers, lengths).data for numbers, lengths, _ in batches])
            }

    return job
