"""NumPy alone: what an op costs without a tape."""

from __future__ import annotations

import numpy as np

from benchmarks.peers.shared import Arrays, Job, again, numpy_blas, ops


def start(threads: int) -> str:
    return numpy_blas()


def op(arrays: Arrays, name: str, calls: int) -> Job:
    """One op on four numbers, again and again."""
    f = ops(np, lambda x: 1 / (1 + np.exp(-x)))[name]
    return lambda: {"value": again(f, arrays["x"], calls)}
