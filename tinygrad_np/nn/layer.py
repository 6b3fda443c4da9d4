"""Layer: something with weights, made of Tensors and other layers; and Sequential, layers one after another.

A layer's attributes are its structure. Its Tensors, and those of the layers in it, are found in the order in
which the attributes were set, under dotted names: ``encoder.weight``, ``layers.0.bias``. Those that require
a gradient are its parameters; the others are state that is saved, but not trained.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self

import numpy as np

from tinygrad_np.tensor import Tensor


class Layer:
    """The base of all layers: a subclass sets Tensors and layers as attributes, and defines `forward`."""

    training: bool = True

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} defines no forward")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.forward(*args, **kwargs)

    def named_tensors(self) -> dict[str, Tensor]:
        """Every Tensor by its dotted name; one that is set in several places appears under the first."""
        names: dict[Tensor, str] = {}
        for name, value in _walk(self, ""):
            if isinstance(value, Tensor):
                names.setdefault(value, name)
        return {name: tensor for tensor, name in names.items()}

    def named_parameters(self) -> dict[str, Tensor]:
        """The Tensors that are trained, by name."""
        return {name: tensor for name, tensor in self.named_tensors().items() if tensor.requires_grad}

    def parameters(self) -> list[Tensor]:
        """The Tensors that are trained."""
        return list(self.named_parameters().values())

    def train(self, mode: bool = True) -> Self:
        """Set this layer and those in it to training, where dropout drops; with False, to evaluation."""
        for _, value in _walk(self, ""):
            if isinstance(value, Layer):
                value.training = mode
        return self

    def eval(self) -> Self:
        """Set this layer and those in it to evaluation."""
        return self.train(False)

    def state_dict(self) -> dict[str, np.ndarray]:
        """A copy of every array by name, frozen ones included."""
        return {name: tensor.data.copy() for name, tensor in self.named_tensors().items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take every array from the one of its name, copied. Each keeps its dtype.

        Raises
        ------
        ValueError
            Names are missing or unexpected, or shapes differ: all of them are listed, and nothing is loaded.
        """
        tensors = self.named_tensors()
        arrays = {name: np.asarray(array) for name, array in state.items()}
        problems = [f"missing {name}" for name in tensors if name not in state]
        places = {name: value for name, value in _walk(self, "") if isinstance(value, Tensor)}
        problems += [f"unexpected {name}" for name in state if name not in places]
        first = {tensor: name for name, tensor in tensors.items()}
        problems += [  # PyTorch's states have a tied weight under all of its names
            f"{name} differs from {first[tensor]}, with which it is tied"
            for name, tensor in places.items()
            if {name, first[tensor]} <= arrays.keys()
            and not np.array_equal(arrays[name], arrays[first[tensor]])
        ]
        problems += [
            f"{name} is {arrays[name].shape} and should be {tensor.shape}"
            for name, tensor in tensors.items()
            if name in arrays and arrays[name].shape != tensor.shape
        ]
        if problems:
            raise ValueError(f"the state does not fit {type(self).__name__}: {'; '.join(problems)}")
        try:
            new = {name: np.array(arrays[name], tensor.dtype) for name, tensor in tensors.items()}
        except (TypeError, ValueError) as error:
            raise ValueError(f"the state does not fit {type(self).__name__}: {error}") from error
        for name, tensor in tensors.items():
            tensor.data = new[name]

    def __repr__(self) -> str:
        shapes = [f"{name} {list(tensor.shape)}" for name, tensor in self.named_tensors().items()]
        return f"{type(self).__name__}({', '.join(shapes)})"


class Sequential(Layer):
    """Layers one after another. A function of one Tensor, such as ``np.tanh``, may stand among them."""

    def __init__(self, *layers: Layer | Callable[[Tensor], Tensor]):
        for i, layer in enumerate(layers):
            setattr(self, str(i), layer)
        self.length = len(layers)

    def forward(self, x: Any) -> Any:
        for i in range(self.length):
            x = getattr(self, str(i))(x)
        return x


def _walk(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    """A value and all that is in it, layers, lists and dicts opened, each with its dotted name."""
    yield name, value
    if isinstance(value, Layer):
        inside: Any = vars(value).items()
    elif isinstance(value, dict):
        inside = value.items()
    elif isinstance(value, list | tuple):
        inside = enumerate(value)
    else:
        return
    for key, item in inside:
        yield from _walk(item, f"{name}.{key}" if name else str(key))
