"""Embedding: a table with one vector for each word, or other thing that has a number; and bags of them."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from tinygrad_np import functional
from tinygrad_np.functional import common
from tinygrad_np.functional.common import Rng
from tinygrad_np.functional.embeddings import check_mode, check_norm, row_of
from tinygrad_np.nn import init
from tinygrad_np.nn.layer import Layer, check_sizes
from tinygrad_np.tensor import Tensor


class Table(Layer):
    """What `Embedding` and `EmbeddingBag` have: the table, and how its gradient is made."""

    padding_idx: int | None
    max_norm: float | None
    norm_type: float
    weight: Tensor

    def _make(self, rows: int, features: int, padding_idx: int | None, rng: Rng, dtype: DTypeLike) -> None:
        """Draw the table."""
        name = type(self).__name__
        check_norm(name, self.max_norm, self.norm_type)
        check_sizes(name, num_embeddings=rows, embedding_dim=features)
        self.padding_idx = row_of(name, padding_idx, rows)
        weight = init.normal((rows, features), 1.0, common.generator(name, rng), dtype)
        if self.padding_idx is not None:
            weight[self.padding_idx] = 0
        self.weight = Tensor(weight, requires_grad=True)

    def _take(self, weight: ArrayLike, freeze: bool, padding_idx: int | None) -> None:
        """Copy a table that exists: a frozen one may be loaded, or unfrozen."""
        self.weight = Tensor(weight, requires_grad=True)
        self.weight.requires_grad = not freeze
        self.padding_idx = row_of(type(self).__name__, padding_idx, len(self.weight))

    def extra_repr(self) -> str:
        """Rows and length of a row, and the settings that are not the usual ones."""
        usual = {"padding_idx": None, "max_norm": None, "norm_type": 2.0, "scale_grad_by_freq": False}
        usual |= {"sparse": False, "include_last_offset": False, "mode": None}
        rows, features = self.weight.shape
        shown = {key: getattr(self, key) for key in usual if getattr(self, key, usual[key]) != usual[key]}
        return ", ".join([f"{rows}, {features}", *[f"{key}={value!r}" for key, value in shown.items()]])


class Embedding(Table):
    """Vectors by number.

    Parameters
    ----------
    num_embeddings, embedding_dim : int
        Rows of the table, and length of a row.
    padding_idx : int, optional
        A row for what is not there: it starts as zeros, and is not trained. Below 0 it counts from the end.
    max_norm, norm_type, scale_grad_by_freq, sparse
        See `functional.embedding`.
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
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        *,
        rng: Rng = None,
        dtype: DTypeLike = np.float32,
    ):
        self.max_norm, self.norm_type = max_norm, norm_type
        self.scale_grad_by_freq, self.sparse = scale_grad_by_freq, sparse
        self._make(num_embeddings, embedding_dim, padding_idx, rng, dtype)

    @classmethod
    def from_pretrained(
        cls,
        weight: ArrayLike,
        freeze: bool = True,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
    ) -> Embedding:
        """A layer with a copy of a table that exists, (rows, features), frozen unless told."""
        layer = cls.__new__(cls)
        layer.max_norm, layer.norm_type = max_norm, norm_type
        layer.scale_grad_by_freq, layer.sparse = scale_grad_by_freq, sparse
        layer._take(weight, freeze, padding_idx)
        return layer

    def forward(self, indices: Any) -> Tensor:
        """Whole numbers of any shape to that shape followed by embedding_dim."""
        return functional.embedding(
            indices,
            self.weight,
            self.padding_idx,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.sparse,
        )


class EmbeddingBag(Table):
    """Sums, means or maxima of the vectors of bags.

    Parameters
    ----------
    num_embeddings, embedding_dim : int
        Rows of the table, and length of a row.
    max_norm, norm_type, scale_grad_by_freq, mode, sparse, include_last_offset
        See `functional.embedding_bag`.
    padding_idx : int, optional
        A row that is in no bag: it starts as zeros. Below 0 it counts from the end.
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
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: Literal["sum", "mean", "max"] = "mean",
        sparse: bool = False,
        *,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        rng: Rng = None,
        dtype: DTypeLike = np.float32,
    ):
        self.max_norm, self.norm_type, self.scale_grad_by_freq = max_norm, norm_type, scale_grad_by_freq
        self.mode, self.sparse, self.include_last_offset = mode, sparse, include_last_offset
        check_mode("EmbeddingBag", mode)
        self._make(num_embeddings, embedding_dim, padding_idx, rng, dtype)

    @classmethod
    def from_pretrained(
        cls,
        weight: ArrayLike,
        freeze: bool = True,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: Literal["sum", "mean", "max"] = "mean",
        sparse: bool = False,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
    ) -> EmbeddingBag:
        """A layer with a copy of a table that exists, (rows, features), frozen unless told."""
        layer = cls.__new__(cls)
        layer.max_norm, layer.norm_type, layer.scale_grad_by_freq = max_norm, norm_type, scale_grad_by_freq
        layer.mode, layer.sparse, layer.include_last_offset = mode, sparse, include_last_offset
        layer._take(weight, freeze, padding_idx)
        return layer

    def forward(self, indices: Any, offsets: Any = None, per_sample_weights: Any = None) -> Tensor:
        """Whole numbers (bags, length), or (N,) and where each bag starts, to (bags, embedding_dim)."""
        return functional.embedding_bag(
            indices,
            self.weight,
            offsets,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.mode,
            self.sparse,
            per_sample_weights,
            self.include_last_offset,
            self.padding_idx,
        )
