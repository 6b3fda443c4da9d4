"""Layers that move elements and have no weights: Identity, Flatten, Unflatten."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinygrad_np import functional
from tinygrad_np.nn.layer import Layer
from tinygrad_np.tensor import Tensor


class Identity(Layer):
    """What comes in goes out. Takes any arguments, so that it can stand in the place of another layer."""

    def __init__(self, *args: Any, **kwargs: Any):
        pass

    def forward(self, x: Any) -> Any:
        """x itself."""
        return x


class Flatten(Layer):
    """The axes from one to another, both included, as one: all behind the batch unless told."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1):
        self.start_dim = start_dim
        self.end_dim = end_dim

    def extra_repr(self) -> str:
        """Both axes."""
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"

    def forward(self, x: Tensor) -> Tensor:
        """x in fewer axes."""
        return functional.flatten(x, self.start_dim, self.end_dim)


class Unflatten(Layer):
    """One axis as several, of these lengths; one of them may be -1."""

    def __init__(self, dim: int, unflattened_size: Sequence[int]):
        self.dim = dim
        self.unflattened_size = tuple(unflattened_size)

    def extra_repr(self) -> str:
        """The axis, and the lengths."""
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"

    def forward(self, x: Tensor) -> Tensor:
        """x in more axes."""
        return functional.unflatten(x, self.dim, self.unflattened_size)
