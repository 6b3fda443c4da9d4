"""Reverse-mode differentiation over NumPy arrays, small enough to read in an afternoon."""

from tinygrad_np import functional, nn, optim
from tinygrad_np.grad_mode import no_grad
from tinygrad_np.tape import primitive
from tinygrad_np.tensor import Tensor
from tinygrad_np.transforms import grad, hessian, hvp, jacobian, value_and_grad

__version__ = "0.1.0"

__all__ = [
    "Tensor",
    "functional",
    "grad",
    "hessian",
    "hvp",
    "jacobian",
    "nn",
    "no_grad",
    "optim",
    "primitive",
    "value_and_grad",
]
