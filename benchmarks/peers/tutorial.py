"""The tutorial's code path, our own rewriting of it: one review at a time, one word at a time, in float64."""

from __future__ import annotations

import numpy as np

from benchmarks.peers.shared import Arrays, Job, numpy_blas
from models.tutorial_lstm.model import EPS, PARAMETERS, backpropagate, loss_of
from models.tutorial_slips import SwappedAdam, word_vectors

GATES = ("i", "f", "cm", "o")  # in PyTorch's order


def start(threads: int) -> str:
    return f"the tutorial's LSTM with {numpy_blas()}"


def parameters_of(arrays: Arrays) -> Arrays:
    """PyTorch's weights under the tutorial's names: W stands for both matrices, b for both biases."""
    W = np.hstack([arrays["lstm.weight_hh_l0"], arrays["lstm.weight_ih_l0"]]).astype(np.float64)
    b = (arrays["lstm.bias_ih_l0"] + arrays["lstm.bias_hh_l0"]).astype(np.float64)[:, np.newaxis]
    found = {
        "W2": arrays["head.weight"].astype(np.float64),
        "b2": arrays["head.bias"].astype(np.float64)[None],
    }
    for k, gate in enumerate(GATES):
        H = len(W) // 4
        found[f"W{gate}"], found[f"b{gate}"] = W[k * H : (k + 1) * H], b[k * H : (k + 1) * H].copy()
    return {name: found[name].copy() for name in PARAMETERS}


def torch_names(g: Arrays) -> Arrays:
    """Its gradients under PyTorch's names."""
    W = np.concatenate([g[f"W{gate}"] for gate in GATES])
    b = np.concatenate([g[f"b{gate}"][:, 0] for gate in GATES])
    H = len(W) // 4
    return {
        "lstm.weight_hh_l0": W[:, :H],
        "lstm.weight_ih_l0": W[:, H:],
        "lstm.bias_ih_l0": b,
        "lstm.bias_hh_l0": b,
        "head.weight": g["W2"],
        "head.bias": g["b2"][:, 0],
    }


def train(arrays: Arrays, head: str, lr: float) -> Job:
    """An update after each review of the first batch, from the initial weights.

    Its updates are not those of a batch, so it is compared in the mean loss and gradient of that batch alone,
    which are computed beforehand.
    """
    assert head == "last", "the tutorial knows no other head"
    texts = np.split(arrays["numbers"], np.cumsum(arrays["lengths"])[:-1])
    batch = [(texts[i], float(arrays["labels"][i])) for i in arrays["batches"][0]]
    rng = np.random.default_rng(0)  # draws vectors for words that are unknown to it: here are none

    def step(parameters: Arrays, numbers: np.ndarray, label: float) -> tuple[float, Arrays]:
        inputs = {"x": word_vectors(numbers, arrays["vectors"], rng), "y": np.array(label), **parameters}
        return backpropagate(inputs, overwritten=False)

    initial = parameters_of(arrays)
    at_start = [step(initial, numbers, label) for numbers, label in batch]
    mean = {name: np.mean([g[name] for _, g in at_start], axis=0) for name in PARAMETERS}
    losses = [loss_of(logit, label, 0.0) for (logit, _), (_, label) in zip(at_start, batch, strict=True)]
    first = {"loss": np.mean(losses), **torch_names(mean)}

    def job() -> Arrays:
        optimizer = SwappedAdam(parameters_of(arrays), lr)
        for numbers, label in batch:
            logit, gradients = step(optimizer.parameters, numbers, label)
            loss_of(logit, label, EPS)
            optimizer.step(gradients)
        return first

    return job
