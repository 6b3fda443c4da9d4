"""Linear: y = x W^T + b; and Bilinear, of two inputs."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import DTypeLike

from tinygrad_np import functional
from tinygrad_np.functional import common
from tinygrad_np.functional.common import Rng
from tinygrad_np.nn import init
from tinygrad_np.nn.layer import Layer, check_sizes
from tinygrad_np.tensor import Tensor


class Linear(Layer):
    """An affine map of the last axis.

    Parameters
    ----------
    in_features, out_features : int
        Lengths of the last axis of input and output.
    bias : bool
        Whether there is a b.
    rng : numpy.random.Generator, int or None
        Draws the initial weights, all uniform within 1 / sqrt(in_features), as PyTorch's are.
    dtype : dtype
        Of the weights.

    Attributes
    ----------
    weight : Tensor
        (out_features, in_features).
    bias : Tensor or None
        (out_features,).
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        rng: Rng = None,
        dtype: DTypeLike = np.float32,
    ):
        check_sizes("Linear", in_features=in_features, out_features=out_features)
        self.in_features = in_features
        self.out_features = out_features
        rng = common.generator("Linear", rng)
        bound = 1 / math.sqrt(in_features) if in_features else 0.0
        self.weight = Tensor(init.uniform((out_features, in_features), -bound, bound, rng, dtype), True)
        self.bias = Tensor(init.uniform((out_features,), -bound, bound, rng, dtype), True) if bias else None

    def extra_repr(self) -> str:
        """The lengths, and whether there is a bias."""
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"
        )

    def forward(self, input: Tensor) -> Tensor:
        """(..., in_features) to (..., out_features)."""
        x = common.floats("Linear", input)
        if x.shape[-1:] != self.weight.shape[1:]:
            raise ValueError(f"Linear takes (..., {self.in_features}), and got an input of shape {x.shape}")
        return functional.linear(x, self.weight, self.bias)


class Bilinear(Layer):
    """A map of two inputs that is linear in each, x1^T W_k x2 + b_k.

    Parameters
    ----------
    in1_features, in2_features, out_features : int
        Lengths of the last axes of the inputs and of the output.
    bias, rng, dtype
        As in `Linear`; the initial weights are within 1 / sqrt(in1_features).

    Attributes
    ----------
    weight : Tensor
        (out_features, in1_features, in2_features).
    bias : Tensor or None
        (out_features,).
    """

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        *,
        rng: Rng = None,
        dtype: DTypeLike = np.float32,
    ):
        check_sizes(
            "Bilinear", 1, in1_features=in1_features, in2_features=in2_features, out_features=out_features
        )
        rng = common.generator("Bilinear", rng)
        bound = 1 / math.sqrt(in1_features)
        shape = (out_features, in1_features, in2_features)
        self.weight = Tensor(init.uniform(shape, -bound, bound, rng, dtype), True)
        self.bias = Tensor(init.uniform((out_features,), -bound, bound, rng, dtype), True) if bias else None

    def extra_repr(self) -> str:
        """The lengths, and whether there is a bias."""
        out, first, second = self.weight.shape
        return (
            f"in1_features={first}, in2_features={second}, out_features={out}, bias={self.bias is not None}"
        )

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """(..., in1_features) and (..., in2_features) to (..., out_features)."""
        return functional.bilinear(x, y, self.weight, self.bias)
