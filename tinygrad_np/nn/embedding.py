"""Embedding: a table with one vector for each word, or other thing that has a number."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from tinygrad_np import functional
from tinygrad_np.functional import common
from tinygrad_np.functional.common import Rng
from tinygrad_np.nn import init
from tinygrad_np.nn.layer import Layer, check_sizes
from tinygrad_np.tensor import Tensor


class Embedding(Layer):
    """Vectors by number.

    Parameters
    ----------
    num_embeddings, embedding_dim : int
        Rows of the table, and length of a row.
    padding_idx : int, optional
        A row for what is not there: it starts as zeros, and is not trained.
    rng : numpy.random.Generator, int or None
        Draws the initial rows, from N(0, 1), as PyTorch does.
    dtype : dtype
        Of the table.

    Attributes
    ----------
    weight : Tensor
        (num_embeddings, embedding_dim). Set ``weight.requires_grad = False`` to freeze it.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        *,
        rng: Rng = None,
        dtype: DTypeLike = np.float32,
    ):
        check_sizes("Embedding", num_embeddings=num_embeddings, embedding_dim=embedding_dim)
        self.padding_idx = padding_idx
        if padding_idx is not None:
            check_sizes("Embedding", padding_idx=padding_idx)
            if padding_idx >= num_embeddings:
                raise ValueError(f"padding_idx {padding_idx} is not a row of {num_embeddings}")
        weight = init.normal((num_embeddings, embedding_dim), 1.0, common.generator("Embedding", rng), dtype)
        if padding_idx is not None:
            weight[padding_idx] = 0
        self.weight = Tensor(weight, requires_grad=True)

    @classmethod
    def from_pretrained(
        cls, weight: ArrayLike, freeze: bool = True, padding_idx: int | None = None
    ) -> Embedding:
        """A layer with a copy of a table that exists, (rows, features), frozen unless told."""
        layer = cls.__new__(cls)
        layer.padding_idx = padding_idx
        layer.weight = Tensor(weight, requires_grad=True)  # copies: a frozen one may be loaded, or unfrozen
        layer.weight.requires_grad = not freeze
        return layer

    def extra_repr(self) -> str:
        """Rows and length of a row, and the row for padding if there is one."""
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        rows, features = self.weight.shape
        return f"{rows}, {features}{padding}"

    def forward(self, indices: Any) -> Tensor:
        """Whole numbers of any shape to that shape followed by embedding_dim."""
        return functional.embedding(indices, self.weight, self.padding_idx)
