"""Memory for the arrays of one call of an LSTM or GRU, which later calls reuse."""

from __future__ import annotations

import math
import os
import threading
from typing import Any, ClassVar

import numpy as np

MAX_FREE_BYTES = 2**28  # of all free buffers together


class Workspace:
    """Buffers for one call, aligned to cache lines; once the workspace is deleted, later calls reuse them.

    The system hands memory out with a page fault every 4 kB, and a call uses each array once. The free buffers
    have `MAX_FREE_BYTES` at most, and have them for as long as the program runs.
    """

    free: ClassVar[dict[int, list[np.ndarray]]] = {}  # buffers by size
    free_bytes: ClassVar[int] = 0
    lock: ClassVar[Any] = threading.RLock()  # a workspace may be deleted while another one allocates

    def __init__(self, dtype: np.dtype):
        self.dtype = dtype
        self.buffers: list[np.ndarray] = []

    def empty(self, *shape: int) -> np.ndarray:
        """An uninitialised array, as `np.empty`."""
        count = math.prod(shape)
        needed = count * self.dtype.itemsize
        size = 1 << max(12, (needed - 1).bit_length())  # a power of two fits another call sooner
        with self.lock:
            buffer = self.free[size].pop() if self.free.get(size) else None
            Workspace.free_bytes -= 0 if buffer is None else size
        if buffer is None:
            raw = np.empty(size + 64, np.uint8)
            start = -raw.ctypes.data % 64
            buffer = raw[start : start + size]
        self.buffers.append(buffer)
        return buffer[:needed].view(self.dtype).reshape(shape)

    def empty_steps(self, steps: int, save: bool, *shape: int) -> np.ndarray:
        """An array for each step, (steps, ...); unless they are to be saved, all of them in the same memory."""
        if save:
            return self.empty(steps, *shape)
        one = self.empty(*shape)
        return np.lib.stride_tricks.as_strided(one, (steps, *shape), (0, *one.strides))

    def __del__(self) -> None:
        with self.lock:
            for buffer in self.buffers:
                if (
                    Workspace.free_bytes + buffer.size > MAX_FREE_BYTES
                ):  # of sizes, maybe, that do not come again
                    self.free.clear()
                    Workspace.free_bytes = 0
                if buffer.size <= MAX_FREE_BYTES:
                    self.free.setdefault(buffer.size, []).append(buffer)
                    Workspace.free_bytes += buffer.size

    @classmethod
    def forget(cls) -> None:
        """In a forked child: the lock may be held by a thread that is not there, half-way through its work."""
        cls.lock = threading.RLock()
        cls.free.clear()
        cls.free_bytes = 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=Workspace.forget)
