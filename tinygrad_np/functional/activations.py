"""Non-linearities of neural networks, and what normalises axes: to probabilities, or to length 1.

At a kink they have the derivative that PyTorch takes there. Where a factor vanishes at minus infinity, so does the
product, as its limit does.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import DTypeLike

from tinygrad_np.errors import names_itself
from tinygrad_np.functional.common import Rng, floats, generator
from tinygrad_np.ops import reduce
from tinygrad_np.ops.elementwise import (
    absolute,
    expm1,
    logaddexp,
    maximum,
    power,
    relu,
    sigmoid,
    sqrt,
    square,
    tanh,
    where,
)
from tinygrad_np.ops.reduce import Axis
from tinygrad_np.ops.shape import broadcast_to, reshape
from tinygrad_np.ops.special import erfc
from tinygrad_np.tape import whole
from tinygrad_np.tensor import Tensor
from tinygrad_np.torch_names import torch_named, torch_parameters

__all__ = [
    "celu",
    "cosine_similarity",
    "elu",
    "gelu",
    "glu",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "leaky_relu",
    "log_softmax",
    "logsigmoid",
    "logsumexp",
    "mish",
    "normalize",
    "prelu",
    "relu",
    "relu6",
    "rrelu",
    "selu",
    "sigmoid",
    "silu",
    "softmax",
    "softmin",
    "softplus",
    "softshrink",
    "softsign",
    "tanhshrink",
    "threshold",
]

# --- from relu on -----------------------------------------------------------------------------------


@torch_parameters
@whole
def hardtanh(x: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """x held between two numbers. The derivatives on the bounds are 0, where those of `numpy.clip` are 1."""
    x = floats("hardtanh", x)
    if min_val > max_val:
        raise ValueError(f"hardtanh takes min_val up to max_val, not {min_val!r} and {max_val!r}")
    return where((x <= min_val) | (x >= max_val), np.clip(x.data, min_val, max_val), x)


@names_itself
def relu6(x: Tensor) -> Tensor:
    """x held between 0 and 6. The derivatives at 0 and 6 are 0."""
    return hardtanh(floats("relu6", x), 0.0, 6.0)


@names_itself
def hardsigmoid(x: Tensor) -> Tensor:
    """x / 6 + 1 / 2 held between 0 and 1. The derivatives at -3 and 3 are 0."""
    return hardtanh(floats("hardsigmoid", x), -3.0, 3.0) / 6 + 0.5


@names_itself
def hardswish(x: Tensor) -> Tensor:
    """x hardsigmoid(x) (Howard et al., 2019)."""
    x = floats("hardswish", x)
    return where(x <= -3, 0.0, where(x >= 3, x, x * (x / 6 + 0.5)))


@torch_parameters
def leaky_relu(x: Tensor, negative_slope: float = 0.01) -> Tensor:
    """x above 0, and `negative_slope` times x elsewhere, also at 0."""
    x = floats("leaky_relu", x)
    return where(x > 0, x, negative_slope * x)


@torch_named
def prelu(x: Tensor, weight: Tensor) -> Tensor:
    """x above 0, and `weight` times x elsewhere: one number, or one for each place of axis 1 (He et al., 2015)."""
    x, weight = floats("prelu", x), floats("prelu", weight)
    channels = x.shape[1] if x.ndim > 1 else 1
    if weight.ndim > 1 or weight.size not in (1, channels):
        raise ValueError(
            f"prelu of an input of shape {x.shape} takes one weight, or {channels}, not {list(weight.shape)}"
        )
    lengths = tuple(-1 if i == 1 else 1 for i in range(x.ndim))
    return where(x > 0, x, reshape(weight, shape=lengths) * x)


@torch_parameters
def rrelu(
    x: Tensor, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False, *, rng: Rng = None
) -> Tensor:
    """`leaky_relu` of slopes drawn between two numbers in training, and of their mean otherwise."""
    x = floats("rrelu", x)
    if not training:
        return leaky_relu(x, (lower + upper) / 2)
    slopes = generator("rrelu", rng).uniform(lower, upper, x.shape).astype(x.dtype)
    return where(x > 0, x, slopes * x)


@torch_parameters
def threshold(x: Tensor, threshold: float, value: float) -> Tensor:
    """x above the threshold, and `value` elsewhere."""
    x = floats("threshold", x)
    return where(x <= threshold, value, x)


# --- exponential below 0 ----------------------------------------------------------------------------


@torch_parameters
def elu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """x above 0, and alpha (e^x - 1) elsewhere (Clevert et al., 2016)."""
    x = floats("elu", x)
    return where(x > 0, x, alpha * expm1(where(x > 0, 0.0, x)))


@torch_parameters
def celu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """x above 0, and alpha (e^(x / alpha) - 1) elsewhere (Barron, 2017)."""
    if not alpha:
        raise ValueError("celu divides by alpha, which cannot be 0")
    x = floats("celu", x)
    return where(x > 0, x, alpha * expm1(where(x > 0, 0.0, x) / alpha))


SELU_ALPHA, SELU_SCALE = 1.6732632423543772848, 1.0507009873554804934


@names_itself
def selu(x: Tensor) -> Tensor:
    """scale times elu(x, alpha), with the numbers that keep mean 0 and variance 1 (Klambauer et al., 2017)."""
    return SELU_SCALE * elu(floats("selu", x), SELU_ALPHA)


# --- smooth -----------------------------------------------------------------------------------------


@torch_parameters
def softplus(x: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + e^(beta x)) / beta; where beta x is above the threshold, x."""
    x = floats("softplus", x)
    return where(beta * x > threshold, x, logaddexp(0, beta * x) / beta)


@names_itself
def logsigmoid(x: Tensor) -> Tensor:
    """log sigmoid(x) = -log(1 + e^-x), without overflow."""
    return -logaddexp(0, -floats("logsigmoid", x))


def gated(x: Tensor, gate: Tensor) -> Tensor:
    """x times a gate that is 0 at minus infinity, where the product is 0 too."""
    if (x.data == -np.inf).any():
        x = maximum(x, np.finfo(x.dtype).min)
    return x * gate


@names_itself
def silu(x: Tensor) -> Tensor:
    """x sigmoid(x), also called swish (Hendrycks and Gimpel, 2016)."""
    x = floats("silu", x)
    return gated(x, sigmoid(x))


@names_itself
def mish(x: Tensor) -> Tensor:
    """x tanh(softplus(x)) (Misra, 2020)."""
    x = floats("mish", x)
    return gated(x, tanh(logaddexp(0, x)))


@torch_parameters
def gelu(x: Tensor, approximate: str = "none") -> Tensor:
    """x times the normal distribution function of x (Hendrycks and Gimpel, 2016), or its approximation, "tanh"."""
    x = floats("gelu", x)
    if approximate == "none":
        return gated(x, 0.5 * erfc(-math.sqrt(0.5) * x))
    if approximate != "tanh":
        raise ValueError(f"gelu takes 'none' or 'tanh' for approximate, not {approximate!r}")
    # 1 + tanh(z) = 2 sigmoid(2 z), which loses no digits where it is small
    return gated(x, sigmoid(math.sqrt(8 / math.pi) * (x + 0.044715 * (x * x * x))))


@names_itself
def softsign(x: Tensor) -> Tensor:
    """x / (1 + |x|)."""
    x = floats("softsign", x)
    return x / (1 + absolute(x))


# --- shrinking --------------------------------------------------------------------------------------


@torch_named
@whole
def hardshrink(x: Tensor, lambd: float = 0.5) -> Tensor:
    """0 from -lambd to lambd, and x elsewhere."""
    x = floats("hardshrink", x)
    return where(np.absolute(x.data) <= lambd, 0.0, x)


@torch_parameters
@whole
def softshrink(x: Tensor, lambd: float = 0.5) -> Tensor:
    """0 from -lambd to lambd, and elsewhere x that much nearer to 0."""
    x = floats("softshrink", x)
    if not lambd >= 0:
        raise ValueError(f"softshrink takes a number from 0 for lambd, not {lambd!r}")
    return where(np.absolute(x.data) <= lambd, 0.0, x - lambd * np.sign(x.data))


@names_itself
def tanhshrink(x: Tensor) -> Tensor:
    """x - tanh(x)."""
    x = floats("tanhshrink", x)
    return x - tanh(x)


# --- along an axis ----------------------------------------------------------------------------------


@torch_parameters
def glu(x: Tensor, axis: int = -1) -> Tensor:
    """a sigmoid(b), of the halves a and b of an axis (Dauphin et al., 2017)."""
    x = floats("glu", x)
    if not -x.ndim <= axis < x.ndim or x.shape[axis] % 2:
        raise ValueError(f"glu halves axis {axis}, and an input of shape {x.shape} has no two halves there")
    half = x.shape[axis] // 2
    before = (slice(None),) * (axis % x.ndim)
    return gated(x[(*before, slice(half))], sigmoid(x[(*before, slice(half, None))]))


def _as(name: str, x: Tensor, dtype: DTypeLike | None) -> Tensor:
    """x in floating-point numbers, of this dtype if there is one."""
    return floats(name, x) if dtype is None else floats(name, x).astype(dtype)


@torch_named
def softmax(x: Tensor, axis: Axis = -1, *, dtype: DTypeLike | None = None) -> Tensor:
    """e^x / sum e^x along an axis, or several, without overflow; in the shape of x, made `dtype` first."""
    return reduce.softmax(x if dtype is None else _as("softmax", x, dtype), axis=axis)


@torch_parameters
def softmin(x: Tensor, axis: Axis = -1, *, dtype: DTypeLike | None = None) -> Tensor:
    """softmax of -x."""
    return reduce.softmax(-_as("softmin", x, dtype), axis=axis)


@torch_named
def logsumexp(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """log sum e^x over axes, all of them unless told, without overflow. All -inf gives -inf."""
    if isinstance(axis, tuple) and len(axis) == 1:
        axis = axis[0]  # a number alone has an axis 0 too, but no axes (0,)
    return reduce.logsumexp(x, axis=axis, keepdims=keepdims)


@torch_named
@whole
def log_softmax(x: Tensor, axis: int = -1, *, dtype: DTypeLike | None = None) -> Tensor:
    """The logarithm of softmax along an axis, without overflow."""
    x = _as("log_softmax", x, dtype)
    if isinstance(axis, bool) or not isinstance(axis, int | np.integer):
        raise TypeError(f"log_softmax takes a whole number for axis, not {axis!r}")
    if not -(x.ndim or 1) <= axis < (x.ndim or 1):
        raise IndexError(f"log_softmax: axis {axis} is none of an array of shape {x.shape}")
    x = x - reduce.largest(x.detach().data, axis)  # small results are not lost beside large logits
    return x - logsumexp(x, axis=axis, keepdims=True)


def _length(x: Tensor, p: float, axis: Axis) -> Tensor:
    """The p-norm along axes, which are kept."""
    if p == 2:
        return sqrt(reduce.sum(square(x), axis=axis, keepdims=True))
    if p == 1:
        return reduce.sum(absolute(x), axis=axis, keepdims=True)
    if p == 0:  # how many elements are not 0: the derivative is 0
        return Tensor(np.sum(x.data != 0, axis=axis, keepdims=True, dtype=x.dtype))
    if math.isinf(p):
        return (reduce.max if p > 0 else reduce.min)(absolute(x), axis=axis, keepdims=True)
    return power(reduce.sum(power(absolute(x), p), axis=axis, keepdims=True), 1 / p)


@torch_parameters
def normalize(x: Tensor, p: float = 2.0, axis: Axis = 1, eps: float = 1e-12) -> Tensor:
    """x / max(length, eps), with the p-norm along an axis, or several, for the length."""
    x = floats("normalize", x)
    return x / maximum(_length(x, p, axis), eps)


@torch_parameters
def cosine_similarity(x1: Tensor, x2: Tensor, axis: int = 1, eps: float = 1e-8) -> Tensor:
    """<x1, x2> / (max(length of x1, eps) max(length of x2, eps)) along an axis; shapes broadcast."""
    x1, x2 = floats("cosine_similarity", x1), floats("cosine_similarity", x2)
    shape = np.broadcast_shapes(x1.shape, x2.shape)
    x1, x2 = broadcast_to(x1, shape=shape), broadcast_to(x2, shape=shape)
    first, second = (x / maximum(_length(x, 2, axis), eps) for x in (x1, x2))
    return reduce.sum(first * second, axis=axis)
