"""The LSTM of primitives with a refinement of the way back switched off, or by the plain loop, which has none.

A refinement is switched off by giving the rule that uses it a plain one; that holds for the whole process, so that
a process does one of these jobs only.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from benchmarks.peers import ours
from benchmarks.peers.shared import Arrays, Job, numpy_blas, part
from benchmarks.plain_loop import plain_backward_pass
from tinygrad_np import Tensor, primitive
from tinygrad_np.nn import LSTM
from tinygrad_np.ops import linalg
from tinygrad_np.ops.index import getitem


def start(threads: int) -> str:
    return f"tinygrad_np with {numpy_blas()}"


def send_back_whole_arrays() -> None:
    """A slice sends back a dense array of zeros around its gradient, and no `SparseGrad`."""

    @primitive()
    def dense_getitem(x: Any, *, index: Any) -> Any:
        def vjp(g: np.ndarray) -> np.ndarray:
            whole = np.zeros(x.shape, x.dtype)
            np.add.at(whole, index, g) if holds_array(index) else whole.__setitem__(index, g)
            return whole

        return x[index], (vjp,)

    for name, module in sys.modules.items():
        if name.startswith("tinygrad_np.") and vars(module).get("getitem") is getitem:
            vars(module)["getitem"] = dense_getitem


def holds_array(index: Any) -> bool:
    """Whether it may name a place twice."""
    return any(isinstance(i, list | np.ndarray) for i in (index if isinstance(index, tuple) else (index,)))


def multiply_at_once() -> None:
    """The gradient of a weight is multiplied at every use, and no `DeferredMatmul`."""
    vars(linalg)["DeferredMatmul"] = lambda x, g: x.T @ g


def without_shared_buffer(arrays: Arrays) -> Job:
    send_back_whole_arrays()
    return ours.eager_lstm(arrays)


def without_collecting(arrays: Arrays) -> Job:
    multiply_at_once()
    return ours.eager_lstm(arrays)


def plain_loop(arrays: Arrays) -> Job:
    """Forward as ever; back by the plain loop."""
    send_back_whole_arrays()
    multiply_at_once()
    weights = part(arrays, "lstm.")
    layer = LSTM(arrays["x"].shape[2], weights["weight_hh_l0"].shape[1], fused=False, rng=0)
    layer.load_state_dict(weights)
    x, cotangent = Tensor(arrays["x"]), arrays["cotangent"]
    parameters = layer.named_parameters()

    def job() -> Arrays:
        loss = (layer(x)[1][0][0] * cotangent).sum()
        assert loss.node is not None
        found = plain_backward_pass(loss.node, np.ones((), loss.dtype))
        gradients = {name: found[p.node] for name, p in parameters.items() if p.node is not None}
        return {"loss": loss.data, **gradients}

    return job
