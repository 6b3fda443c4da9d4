"""Where a training step of an LSTM spends its time: op by op by Python function, and fused by NumPy function."""

from __future__ import annotations

import cProfile
import pstats
import sys
import time
from collections import defaultdict
from contextlib import ExitStack
from typing import Any
from unittest import mock

import numpy as np

from benchmarks.peers.shared import Arrays, Job, numpy_blas
from tinygrad_np import Tensor, nn

REPEATS = 5


def start(threads: int) -> str:
    return f"tinygrad_np with {numpy_blas()}"


def training_step(layer: nn.LSTM, x: Tensor) -> None:
    """Forward, and back from the mean of the outputs."""
    output, _ = layer(x)
    output.mean().backward()


def op_by_op(arrays: Arrays, hidden: int) -> Job:
    """By Python function: what NumPy does counts for who calls it.

    `seconds` and `calls` are of a step; `names`, `shares` of the time and `times` (calls) of each function, the
    largest share first.
    """
    x = Tensor(arrays["x"])
    layer = nn.LSTM(x.shape[2], hidden, fused=False, rng=0)
    training_step(layer, x)

    def job() -> Arrays:
        profile = cProfile.Profile()
        with profile:
            for _ in range(REPEATS):
                training_step(layer, x)
        stats: Any = pstats.Stats(profile)
        rows = sorted(
            ((own, calls, where) for where, (_, calls, own, _, _) in stats.stats.items()), reverse=True
        )
        names = []
        for _, _, (file, _, name) in rows:
            module = file.rpartition("/")[2].removesuffix(".py")
            names.append(name if module == "~" else f"{module}.{name}")  # ~ is what is built in
        return {
            "names": np.array(names),
            "shares": np.array([own / stats.total_tt for own, _, _ in rows]),
            "times": np.array([calls / REPEATS for _, calls, _ in rows]),
            "seconds": np.array(stats.total_tt / REPEATS),
            "calls": np.array(stats.total_calls / REPEATS),
        }

    return job


class Watched:
    """NumPy, with the time that each of its functions takes written down."""

    def __init__(self, seconds: dict[str, float], calls: dict[str, int]):
        self.seconds = seconds
        self.calls = calls

    def __getattr__(self, name: str) -> Any:
        function = getattr(np, name)
        if isinstance(function, type) or not callable(function):
            return function

        def watched(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds[name] += time.perf_counter() - start
                self.calls[name] += 1

        return watched


def fused(arrays: Arrays, hidden: int) -> Job:
    """By NumPy function; what is missing to 1 is Python, and copies and sums that have no function's name."""
    x = Tensor(arrays["x"])
    layer = nn.LSTM(x.shape[2], hidden, rng=0)
    training_step(layer, x)
    kernels = [m for name, m in sys.modules.items() if name.startswith("tinygrad_np.ops.recurrent")]

    def job() -> Arrays:
        seconds: dict[str, float] = defaultdict(float)
        calls: dict[str, int] = defaultdict(int)
        with ExitStack() as stack:
            for module in kernels:
                if hasattr(module, "np"):
                    stack.enter_context(mock.patch.object(module, "np", Watched(seconds, calls)))
            start = time.perf_counter()
            for _ in range(REPEATS):
                training_step(layer, x)
            total = time.perf_counter() - start
        names = sorted(seconds, key=lambda name: -seconds[name])
        return {
            "names": np.array([f"np.{name}" for name in names]),
            "shares": np.array([seconds[name] / total for name in names]),
            "times": np.array([calls[name] / REPEATS for name in names]),
            "seconds": np.array(total / REPEATS),
            "calls": np.array(sum(calls.values()) / REPEATS),
        }

    return job
