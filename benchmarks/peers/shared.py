"""What several peers do in the same words: ops in a chain, an LSTM step by step, and batches of reviews."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from tinygrad_np.data import pad

Arrays: TypeAlias = dict[str, np.ndarray]
Job: TypeAlias = Callable[[], Arrays]
Function: TypeAlias = Callable[[Any], Any]

ROWS = np.linspace(0.1, 0.4, 16).reshape(4, 4)


def numpy_blas() -> str:
    """NumPy's version, and of its BLAS: the version, the kernel that it chose for this processor, the threads."""
    try:
        pools = importlib.import_module("threadpoolctl").threadpool_info()
    except ModuleNotFoundError:
        return f"NumPy {np.__version__} (kernel of its BLAS unknown: threadpoolctl is not installed)"
    found = [
        f"{pool['internal_api']} {pool['version']}, kernel {pool.get('architecture', 'unknown')}, "
        f"threads {pool['num_threads']}"
        for pool in pools
        if pool["user_api"] == "blas"
    ]
    return f"NumPy {np.__version__} ({'; '.join(found) or 'its BLAS does not tell its kernel'})"


def ops(np: Any, sigmoid: Function) -> dict[str, Function]:
    """Functions from four numbers to four, so that they can be chained, for a library that looks like NumPy."""
    return {
        "x + 1.0": lambda x: x + 1.0,
        "x * 0.5": lambda x: x * 0.5,
        "x + x": lambda x: x + x,
        "tanh(x)": lambda x: np.tanh(x),
        "sigmoid(x)": sigmoid,
        "maximum(x, 0.0)": lambda x: np.maximum(x, 0.0),
        "x @ matrix": lambda x: x @ ROWS,
        "x.reshape(4)": lambda x: x.reshape(4),
        "sum(x, keepdims=True)": lambda x: np.sum(x, keepdims=True),
    }


def again(f: Function, x: Any, calls: int) -> Any:
    """f of x, again and again."""
    for _ in range(calls):
        y = f(x)
    return y


def chained(f: Function, x: Any, calls: int) -> Any:
    """f of f of f ... of x."""
    for _ in range(calls):
        x = f(x)
    return x


def lstm_last_state(
    x: Any,
    weight_ih: Any,
    weight_hh: Any,
    bias: Any,
    zeros: Any,
    sigmoid: Function,
    tanh: Function,
    cut: Callable[[Any], Any],
) -> Any:
    """The last h of an LSTM over x (time, batch, features), op by op, from a state of zeros (batch, hidden).

    The inputs' part of the gates is one product for all steps. `cut` makes i, f, g, o of the gates.
    """
    inputs = x @ weight_ih.T + bias
    weight_hh = weight_hh.T
    h = c = zeros
    for t in range(x.shape[0]):
        i, f, g, o = cut(inputs[t] + h @ weight_hh)
        c = sigmoid(f) * c + sigmoid(i) * tanh(g)
        h = sigmoid(o) * tanh(c)
    return h


def slices(gates: Any) -> tuple[Any, ...]:
    """Four gates next to each other, one by one."""
    H = gates.shape[1] // 4
    return tuple(gates[:, k * H : (k + 1) * H] for k in range(4))


def reviews(arrays: Arrays) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Of each batch: word numbers (rows, time), padded with 0 at their end, lengths, and labels."""
    texts = np.split(arrays["numbers"], np.cumsum(arrays["lengths"])[:-1])
    return [
        (*pad([texts[i] for i in rows]), arrays["labels"][rows].astype(np.float32))
        for rows in arrays["batches"]
    ]


def part(arrays: Arrays, name: str) -> Arrays:
    """The weights of one layer: those whose names begin so, without that beginning."""
    return {key.removeprefix(name): array for key, array in arrays.items() if key.startswith(name)}
