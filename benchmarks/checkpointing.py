"""What `checkpoint` saves in memory, and what it costs in time: 32 layers of 256 units, there and back, 2,048 rows.

    python -m benchmarks.checkpointing

A part of so many layers at a time is held. The memory is the peak of what is allocated (tracemalloc); the time is
the median of seven turns, taken one way after the other, relative to keeping everything.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.harness import environment

LAYERS, UNITS, ROWS, TURNS = 32, 256, 2048, 7
PARTS = (0, 1, 4, 8)  # layers in each part; 0 for no checkpoint


def step(layers: Sequence[Any], part: int) -> None:
    """Once there and back."""
    from tinygrad_np import Tensor, checkpoint

    def run(h: Tensor, some: Sequence[Any]) -> Tensor:
        for layer in some:
            h = layer(h).tanh()
        return h

    h = Tensor(np.ones((ROWS, UNITS)), requires_grad=True, dtype=np.float32)
    for start in range(0, LAYERS, part or LAYERS):
        some = layers[start : start + (part or LAYERS)]
        h = checkpoint(run)(h, some) if part else run(h, some)
    h.sum().backward()


def measure() -> None:
    """The table, in Markdown."""
    from tinygrad_np import nn

    layers = [nn.Linear(UNITS, UNITS, rng=i) for i in range(LAYERS)]
    peaks: dict[int, float] = {}
    times: dict[int, list[float]] = {part: [] for part in PARTS}
    for part in PARTS:
        tracemalloc.start()
        step(layers, part)
        peaks[part] = tracemalloc.get_traced_memory()[1] / 2**20
        tracemalloc.stop()
    for _ in range(TURNS):
        for part in PARTS:
            begin = time.perf_counter()
            step(layers, part)
            times[part].append(time.perf_counter() - begin)
    medians = {part: statistics.median(turns) for part, turns in times.items()}
    print("| layers a part | peak memory, MB | time, relative |\n| --- | --- | --- |")
    for part in PARTS:
        print(f"| {part or 'all kept'} | {peaks[part]:.0f} | {medians[part] / medians[0]:.2f} |")


if __name__ == "__main__":
    if "BENCHMARK_CHILD" in os.environ:
        measure()
    else:
        env = {**environment("ours"), "BENCHMARK_CHILD": "1"}
        sys.exit(subprocess.run([sys.executable, "-m", "benchmarks.checkpointing"], env=env).returncode)
