"""HIPS autograd: a tape over NumPy, by functions of functions."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import autograd
import autograd.numpy as anp
import numpy as np
from autograd.core import make_vjp

from benchmarks.peers.shared import (
    Arrays,
    Job,
    again,
    chained,
    lstm_last_state,
    numpy_blas,
    ops,
    part,
    slices,
)


def start(threads: int) -> str:
    return f"autograd {version('autograd')} with {numpy_blas()}"


def sigmoid(x: Any) -> Any:
    return 1 / (1 + anp.exp(-x))


def eager_lstm(arrays: Arrays) -> Job:
    """Forward, back through time, and the weights' gradients, op by op."""
    x = np.ascontiguousarray(arrays["x"].transpose(1, 0, 2))

    def loss_of(weights: Any) -> Any:
        h = lstm_last_state(
            x,
            weights["weight_ih_l0"],
            weights["weight_hh_l0"],
            weights["bias_ih_l0"] + weights["bias_hh_l0"],
            np.zeros_like(arrays["cotangent"]),
            sigmoid,
            anp.tanh,
            slices,
        )
        return anp.sum(h * arrays["cotangent"])

    step = autograd.value_and_grad(loss_of)
    weights = part(arrays, "lstm.")

    def job() -> Arrays:
        loss, gradients = step(weights)
        return {"loss": np.asarray(loss), **gradients}

    return job


def op(arrays: Arrays, name: str, calls: int, backward: bool) -> Job:
    """One op on four numbers: forward alone, again and again, or there and back along a chain."""
    f = ops(anp, sigmoid)[name]

    def forward() -> Arrays:
        return {"value": make_vjp(lambda x: again(f, x, calls), arrays["x"])[1]}

    def both() -> Arrays:
        vjp, value = make_vjp(lambda x: chained(f, x, calls), arrays["x"])
        return {"value": value, "gradient": vjp(np.ones(value.shape))}

    return both if backward else forward
