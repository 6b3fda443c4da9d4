"""The network: a reader of words, and a linear layer on what it makes of a text."""

from __future__ import annotations

import numpy as np

import tinygrad_np.functional as F
from models.sentiment.config import Config
from models.sentiment.reader import Reader
from tinygrad_np import Tensor
from tinygrad_np.nn import Embedding, Layer, Linear


class SentimentNetwork(Layer):
    """Texts to logits: above 0 is positive.

    Unless told otherwise the reader pools by the mean over time, which gives every word a short way to the loss;
    the last state alone would have to carry the first words of a review through hundreds of steps.
    """

    def __init__(self, config: Config, embedding: Embedding, rng: np.random.Generator):
        self.reader = Reader(config, embedding, 0, rng)
        self.head = Linear(self.reader.features, 1, rng=rng, dtype=embedding.weight.dtype)

    def forward(self, token_ids: np.ndarray, lengths: np.ndarray) -> Tensor:
        """Token ids (batch, time) and lengths (batch,) to logits (batch,)."""
        return self.head(self.reader(token_ids, lengths))[:, 0]

    def loss(self, logits: Tensor, labels: np.ndarray) -> Tensor:
        """The mean cross-entropy of a batch."""
        return F.binary_cross_entropy_with_logits(logits, labels)

    def accuracy(self, logits: Tensor, labels: np.ndarray) -> float:
        """The share of right answers."""
        return float(((logits.data >= 0) == labels).mean())
