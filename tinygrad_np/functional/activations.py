"""Non-linearities of neural networks, and what normalises one axis to probabilities."""

from __future__ import annotations

import numpy as np

from tinygrad_np.functional.common import floats
from tinygrad_np.ops import reduce
from tinygrad_np.ops.elementwise import relu, sigmoid
from tinygrad_np.ops.reduce import Axis
from tinygrad_np.tensor import Tensor
from tinygrad_np.torch_names import torch_named

__all__ = ["log_softmax", "logsumexp", "relu", "sigmoid", "softmax"]


@torch_named
def softmax(x: Tensor, axis: Axis = -1) -> Tensor:
    """e^x / sum e^x along an axis, or several, without overflow; in the shape of x."""
    return reduce.softmax(x, axis=axis)


@torch_named
def logsumexp(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """log sum e^x over axes, all of them unless told, without overflow. All -inf gives -inf."""
    return reduce.logsumexp(x, axis=axis, keepdims=keepdims)


@torch_named
def log_softmax(x: Tensor, axis: int = -1) -> Tensor:
    """The logarithm of softmax along an axis, without overflow."""
    x = floats("log_softmax", x)
    if isinstance(axis, bool) or not isinstance(axis, int | np.integer):
        raise TypeError(f"log_softmax takes a whole number for axis, not {axis!r}")
    if not -(x.ndim or 1) <= axis < (x.ndim or 1):
        raise IndexError(f"log_softmax: axis {axis} is none of an array of shape {x.shape}")
    x = x - reduce.largest(x.detach().data, axis)  # small results are not lost beside large logits
    return x - logsumexp(x, axis=axis, keepdims=True)
