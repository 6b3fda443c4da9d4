"""Where a training step spends its time: ``python -m benchmarks.profiling``.

One batch of 32 sequences of 240 steps, 50 features, 64 units, float32: forward, back, weights' gradients. First
the LSTM built from primitives, by Python function; then the fused one, by NumPy function. Watching takes time
too, so these are shares and no speeds.
"""

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

from tinygrad_np import Tensor, nn
from tinygrad_np.ops.recurrent import gradients, lstm, packing, workspace

BATCH, TIME, FEATURES, HIDDEN = 32, 240, 50, 64
REPEATS = 5
SHOWN = 12
WATCHED = (sys.modules[lstm.__module__], packing, gradients, workspace)


def training_step(layer: nn.LSTM, x: Tensor) -> None:
    """Forward, and back from the mean of the outputs."""
    output, _ = layer(x)
    output.mean().backward()


def composed(x: Tensor) -> None:
    """The LSTM built from primitives, by Python function: what NumPy does counts for who calls it."""
    layer = nn.LSTM(FEATURES, HIDDEN, fused=False, rng=0)
    training_step(layer, x)
    profile = cProfile.Profile()
    with profile:
        for _ in range(REPEATS):
            training_step(layer, x)
    stats: Any = pstats.Stats(profile)
    rows = sorted(((own, calls, where) for where, (_, calls, own, _, _) in stats.stats.items()), reverse=True)
    seconds, calls = stats.total_tt / REPEATS, stats.total_calls // REPEATS
    print(f"built from primitives: {1e3 * seconds:.0f} ms a step, {calls:,} calls")
    for own, calls, (file, _, name) in rows[:SHOWN]:
        module = file.rpartition("/")[2].removesuffix(".py")
        print(f"  {own / stats.total_tt:6.1%}  {calls // REPEATS:6,} calls  {module}: {name}")


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


def fused(x: Tensor) -> None:
    """The fused LSTM, by NumPy function: the rest is Python, copies and sums that have no function's name."""
    layer = nn.LSTM(FEATURES, HIDDEN, rng=0)
    training_step(layer, x)
    seconds: dict[str, float] = defaultdict(float)
    calls: dict[str, int] = defaultdict(int)
    with ExitStack() as stack:
        for module in WATCHED:
            stack.enter_context(mock.patch.object(module, "np", Watched(seconds, calls)))
        start = time.perf_counter()
        for _ in range(REPEATS):
            training_step(layer, x)
        total = time.perf_counter() - start
    print(f"fused: {total / REPEATS * 1e3:.0f} ms a step, {sum(calls.values()) // REPEATS:,} NumPy calls")
    for name in sorted(seconds, key=lambda name: -seconds[name])[:SHOWN]:
        print(f"  {seconds[name] / total:6.1%}  {calls[name] // REPEATS:6,} calls  np.{name}")
    print(f"  {1 - sum(seconds.values()) / total:6.1%}                the rest")


def main() -> None:
    x = Tensor(np.random.default_rng(0).standard_normal((BATCH, TIME, FEATURES)).astype(np.float32))
    composed(x)
    fused(x)


if __name__ == "__main__":
    main()
