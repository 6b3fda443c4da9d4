"""Non-linearities as layers: each calls the function of `functional`, with the settings that it was made with."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

from tinygrad_np import functional
from tinygrad_np.nn.layer import Layer, check_sizes
from tinygrad_np.ops import elementwise
from tinygrad_np.tensor import Tensor
from tinygrad_np.torch_names import with_numpy_names

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "GLU",
    "SELU",
    "CosineSimilarity",
    "Hardshrink",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "LeakyReLU",
    "LogSigmoid",
    "LogSoftmax",
    "Mish",
    "PReLU",
    "ReLU",
    "ReLU6",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softmax2d",
    "Softmin",
    "Softplus",
    "Softshrink",
    "Softsign",
    "Tanh",
    "Tanhshrink",
    "Threshold",
]


class Activation(Layer):
    """A function without weights as a layer. What it takes after its inputs are the settings of the layer.

    Attributes
    ----------
    function : callable
        Of Tensors and settings; a subclass says which.
    inputs : int
        How many Tensors come first.
    """

    function: ClassVar[Callable[..., Tensor]]
    inputs: ClassVar[int] = 1

    def __init__(self, *args: Any, inplace: bool = False, **kwargs: Any):
        name = type(self).__name__
        if inplace:
            raise ValueError(f"{name} cannot work in place, as Tensors are values: leave inplace=True out")
        parameters = list(inspect.signature(self.function).parameters.values())[self.inputs :]
        settings = inspect.Signature(
            [p.replace(annotation=p.empty) for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
        )
        try:
            bound = settings.bind(*args, **with_numpy_names(name, kwargs))
        except TypeError as error:
            raise TypeError(f"{name}{settings}: {error}") from None
        bound.apply_defaults()
        self.names = tuple(bound.arguments)
        for key, value in bound.arguments.items():
            setattr(self, key, value)

    def extra_repr(self) -> str:
        """The settings."""
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in self.names)

    def forward(self, *inputs: Tensor) -> Tensor:
        """The function of the inputs."""
        return self.function(*inputs, **{name: getattr(self, name) for name in self.names})


class ReLU(Activation):
    """`functional.relu`."""

    function = staticmethod(elementwise.relu)


class ReLU6(Activation):
    """`functional.relu6`."""

    function = staticmethod(functional.relu6)


class LeakyReLU(Activation):
    """`functional.leaky_relu`."""

    function = staticmethod(functional.leaky_relu)


class ELU(Activation):
    """`functional.elu`."""

    function = staticmethod(functional.elu)


class CELU(Activation):
    """`functional.celu`."""

    function = staticmethod(functional.celu)


class SELU(Activation):
    """`functional.selu`."""

    function = staticmethod(functional.selu)


class GELU(Activation):
    """`functional.gelu`."""

    function = staticmethod(functional.gelu)


class SiLU(Activation):
    """`functional.silu`."""

    function = staticmethod(functional.silu)


class Mish(Activation):
    """`functional.mish`."""

    function = staticmethod(functional.mish)


class Sigmoid(Activation):
    """`functional.sigmoid`."""

    function = staticmethod(elementwise.sigmoid)


class LogSigmoid(Activation):
    """`functional.logsigmoid`."""

    function = staticmethod(functional.logsigmoid)


class Tanh(Activation):
    """`numpy.tanh`."""

    function = staticmethod(elementwise.tanh)


class Hardtanh(Activation):
    """`functional.hardtanh`."""

    function = staticmethod(functional.hardtanh)


class Hardsigmoid(Activation):
    """`functional.hardsigmoid`."""

    function = staticmethod(functional.hardsigmoid)


class Hardswish(Activation):
    """`functional.hardswish`."""

    function = staticmethod(functional.hardswish)


class Hardshrink(Activation):
    """`functional.hardshrink`."""

    function = staticmethod(functional.hardshrink)


class Softshrink(Activation):
    """`functional.softshrink`."""

    function = staticmethod(functional.softshrink)


class Tanhshrink(Activation):
    """`functional.tanhshrink`."""

    function = staticmethod(functional.tanhshrink)


class Softplus(Activation):
    """`functional.softplus`."""

    function = staticmethod(functional.softplus)


class Softsign(Activation):
    """`functional.softsign`."""

    function = staticmethod(functional.softsign)


class Threshold(Activation):
    """`functional.threshold`."""

    function = staticmethod(functional.threshold)


class GLU(Activation):
    """`functional.glu`."""

    function = staticmethod(functional.glu)


class Softmax(Activation):
    """`functional.softmax`, along the last axis unless told."""

    function: ClassVar[Callable[..., Tensor]] = staticmethod(functional.softmax)

    def __init__(self, dim: int | None = None):
        super().__init__(-1 if dim is None else dim)


class LogSoftmax(Softmax):
    """`functional.log_softmax`, along the last axis unless told."""

    function = staticmethod(functional.log_softmax)


class Softmin(Softmax):
    """`functional.softmin`, along the last axis unless told."""

    function = staticmethod(functional.softmin)


class Softmax2d(Layer):
    """softmax over the channels of images, (..., channels, height, width)."""

    def forward(self, x: Tensor) -> Tensor:
        """In the shape of x."""
        return functional.softmax(x, -3)


class CosineSimilarity(Activation):
    """`functional.cosine_similarity`, of two inputs."""

    function = staticmethod(functional.cosine_similarity)
    inputs = 2


class PReLU(Layer):
    """`functional.prelu`, whose weight is trained.

    Parameters
    ----------
    num_parameters : int
        1, or the length of axis 1 of the input.
    init : float
        What the weight begins with.
    dtype : dtype
        Of the weight.

    Attributes
    ----------
    weight : Tensor
        (num_parameters,).
    """

    def __init__(self, num_parameters: int = 1, init: float = 0.25, *, dtype: DTypeLike = np.float32):
        check_sizes("PReLU", 1, num_parameters=num_parameters)
        self.num_parameters = num_parameters
        self.weight = Tensor(np.full(num_parameters, init, dtype), requires_grad=True)

    def extra_repr(self) -> str:
        """How many weights."""
        return f"num_parameters={self.num_parameters}"

    def forward(self, x: Tensor) -> Tensor:
        """In the shape of x."""
        return functional.prelu(x, self.weight)
