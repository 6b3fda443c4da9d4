"""What the tape adds to NumPy on tiny arrays, where it is most of the cost: ``python -m benchmarks.tape``.

Forward, an op is called again and again on one Tensor. Backward, it is its share of a chain of a thousand.
Beside them stands the same NumPy function on plain arrays, in the same run. Last comes a chain of a million.
"""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_np import Tensor
from tinygrad_np.ops.elementwise import sigmoid

REPEATS = 9
CALLS = 5_000
CHAIN = 1_000
LONG_CHAIN = 1_000_000

ROWS = np.linspace(0.1, 0.4, 16).reshape(4, 4)

# Each takes four numbers to four numbers, so that it can be chained. The second is what NumPy does for it.
OPS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "x + 1.0": (lambda x: x + 1.0, lambda x: x + 1.0),
    "x * 0.5": (lambda x: x * 0.5, lambda x: x * 0.5),
    "x + x": (lambda x: x + x, lambda x: x + x),
    "np.tanh(x)": (np.tanh, np.tanh),
    "sigmoid(x)": (sigmoid, lambda x: 1 / (1 + np.exp(-x))),
    "np.maximum(x, 0.0)": (lambda x: np.maximum(x, 0.0), lambda x: np.maximum(x, 0.0)),
    "x @ matrix": (lambda x: x @ ROWS, lambda x: x @ ROWS),
    "x[::-1]": (lambda x: x[::-1], lambda x: x[::-1]),
    "x.reshape(4)": (lambda x: x.reshape(4), lambda x: x.reshape(4)),
    "np.sum(x, keepdims=True)": (lambda x: np.sum(x, keepdims=True), lambda x: np.sum(x, keepdims=True)),
}


def seconds(action: Callable[[], object]) -> float:
    """How long one run takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def call_again(f: Callable[[Any], Any], x: Any) -> None:
    for _ in range(CALLS):
        f(x)


def chained(f: Callable[[Any], Any], x: Any, length: int) -> Any:
    """f of f of f ... of x."""
    for _ in range(length):
        x = f(x)
    return x


def microseconds(name: str) -> tuple[float, float, float]:
    """An op in NumPy alone, on a Tensor, and its share of the way back: medians, the three in turns."""
    f, plain = OPS[name]
    array = np.full(4, 0.1)
    x = Tensor(array, requires_grad=True)
    numpy_times, forward, backward = [], [], []
    for _ in range(REPEATS):
        numpy_times.append(seconds(lambda: call_again(plain, array)) / CALLS)
        forward.append(seconds(lambda: call_again(f, x)) / CALLS)
        with np.errstate(over="ignore"):  # x + x, a thousand times
            y = chained(f, x, CHAIN)
            g = np.zeros(y.shape)
            backward.append(seconds(lambda y=y, g=g: y.backward(g)) / CHAIN)  # type: ignore[misc]
    a, b, c = (1e6 * statistics.median(times) for times in (numpy_times, forward, backward))
    return a, b, c


def main() -> None:
    threads = {key: os.environ.get(key, "not set") for key in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    print(f"Python {platform.python_version()}, NumPy {np.__version__}, {os.cpu_count()} CPUs, {threads}")
    print(f"float64 arrays of shape (4,); microseconds an op, medians of {REPEATS} repeats\n")
    print(f"{'op':26}{'NumPy':>8}{'forward':>9}{'added':>8}{'backward':>10}")
    for name in OPS:
        plain, forward, backward = microseconds(name)
        print(f"{name:26}{plain:8.2f}{forward:9.2f}{forward - plain:8.2f}{backward:10.2f}")

    made, walked = [], []
    for _ in range(3):
        x = Tensor(np.zeros(4), requires_grad=True)
        start = time.perf_counter()
        y = chained(OPS["x + 1.0"][0], x, LONG_CHAIN)
        middle = time.perf_counter()
        y.backward(np.ones(4))
        made.append(middle - start)
        walked.append(time.perf_counter() - middle)
    print(
        f"\n{LONG_CHAIN:,} times x + 1.0: {statistics.median(made):.2f} s forward, "
        f"{statistics.median(walked):.2f} s backward (medians of 3)"
    )


if __name__ == "__main__":
    main()
