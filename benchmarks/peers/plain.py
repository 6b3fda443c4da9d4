"""NumPy alone: what an op costs without a tape."""

from __future__ import annotations

import numpy as np

from benchmarks.peers.shared import Arrays, Job, again, ops


def start(threads: int) -> str:
    return f"NumPy {np.__version__}, {threads} BLAS thread"


def op(arrays: Arrays, name: str, calls: int) -> Job:
    """One op on four numbers, again and again."""
    f = ops(np, lambda x: 1 / (1 + np.exp(-x)))[name]
    return lambda: {"value": again(f, arrays["x"], calls)}
