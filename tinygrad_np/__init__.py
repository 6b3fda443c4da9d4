"""Reverse-mode differentiation over NumPy arrays, small enough to read in an afternoon."""

from tinygrad_np import functional, nn, optim
from tinygrad_np.anomaly import detect_anomaly
from tinygrad_np.drawing import graph
from tinygrad_np.grad_mode import no_grad
from tinygrad_np.row_grad import RowGrad
from tinygrad_np.tape import primitive
from tinygrad_np.tensor import Tensor
from tinygrad_np.transforms import checkpoint, grad, hessian, hvp, jacobian, jvp, value_and_grad, vjp

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
