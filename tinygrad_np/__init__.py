"""Reverse-mode differentiation over NumPy arrays, small enough to read in an afternoon."""

import importlib
from typing import TYPE_CHECKING, Any

from tinygrad_np import functional
from tinygrad_np.anomaly import detect_anomaly
from tinygrad_np.grad_mode import no_grad
from tinygrad_np.row_grad import RowGrad
from tinygrad_np.tape import primitive
from tinygrad_np.tensor import Tensor
from tinygrad_np.transforms import checkpoint, grad, hessian, hvp, jacobian, jvp, value_and_grad, vjp

if TYPE_CHECKING:
    from tinygrad_np import nn, optim
    from tinygrad_np.drawing import graph

__version__ = "0.1.0"

__all__ = [
    "RowGrad",
    "Tensor",
    "checkpoint",
    "detect_anomaly",
    "functional",
    "grad",
    "graph",
    "hessian",
    "hvp",
    "jacobian",
    "jvp",
    "nn",
    "no_grad",
    "optim",
    "primitive",
    "value_and_grad",
    "vjp",
]


def __getattr__(name: str) -> Any:
    """`nn`, `optim` and `graph`, imported when they are first asked for: who needs none of them starts sooner."""
    if name in ("nn", "optim"):
        return importlib.import_module(f"tinygrad_np.{name}")
    if name == "graph":
        globals()[name] = importlib.import_module("tinygrad_np.drawing").graph
        return globals()[name]
    raise AttributeError(f"module 'tinygrad_np' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
