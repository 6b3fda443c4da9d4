"""MyGrad: a tape over NumPy."""

from __future__ import annotations

from typing import Any

import mygrad
import numpy as np
from mygrad.nnet.layers import conv_nd

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
    return f"MyGrad {mygrad.__version__} with {numpy_blas()}"


def eager_lstm(arrays: Arrays) -> Job:
    """Forward, back through time, and the weights' gradients, op by op."""
    weights: dict[str, Any] = {name: mygrad.tensor(w) for name, w in part(arrays, "lstm.").items()}
    x = np.ascontiguousarray(arrays["x"].transpose(1, 0, 2))

    def job() -> Arrays:
        h = lstm_last_state(
            mygrad.tensor(x, constant=True),
            weights["weight_ih_l0"],
            weights["weight_hh_l0"],
            weights["bias_ih_l0"] + weights["bias_hh_l0"],
            np.zeros_like(arrays["cotangent"]),
            mygrad.nnet.sigmoid,
            mygrad.tanh,
            slices,
        )
        loss = (h * arrays["cotangent"]).sum()
        loss.backward()
        return {"loss": loss.data} | {name: w.grad for name, w in weights.items()}

    return job


def conv(arrays: Arrays, below: bool) -> Job:
    """A convolution there and back; `below` says whether the gradient goes on to the images."""
    x = mygrad.tensor(arrays["x"], constant=not below)
    weight, bias = (mygrad.tensor(arrays[name]) for name in ("weight", "bias"))

    def job() -> Arrays:
        y = conv_nd(x, weight, stride=1) + bias.reshape(1, -1, 1, 1)
        y.backward(arrays["cotangent"])
        found = {"weight": weight.grad, "bias": bias.grad, **({"x": x.grad} if below else {})}
        return {"y": y.data, **found}

    return job


def op(arrays: Arrays, name: str, calls: int, backward: bool) -> Job:
    """One op on four numbers: forward alone, again and again, or there and back along a chain."""
    f = ops(mygrad, mygrad.nnet.sigmoid)[name]
    x = mygrad.tensor(arrays["x"])

    def forward() -> Arrays:
        return {"value": again(f, x, calls).data}

    def both() -> Arrays:
        y = chained(f, x, calls)
        y.backward(np.ones(y.shape))
        return {"value": y.data, "gradient": x.grad}

    return both if backward else forward
