"""The network: word vectors, an LSTM over them, and a linear layer."""

from __future__ import annotations

import numpy as np

from tinygrad_np import Tensor
from tinygrad_np.nn import LSTM, Dropout, Embedding, Layer, Linear

DIMENSIONS = 50  # of a word's vector
DROPOUT = 0.3


class SentimentLSTM(Layer):
    """Word vectors, an LSTM over them, and a linear layer on the mean of its outputs.

    The mean over time gives every word a short way to the loss; the last state alone would have to carry the
    first words of a review through hundreds of steps.
    """

    def __init__(self, embedding: Embedding, hidden: int, rng: np.random.Generator):
        self.embedding = embedding
        self.lstm = LSTM(DIMENSIONS, hidden, rng=rng)
        self.dropout = Dropout(DROPOUT, rng=rng)
        self.head = Linear(hidden, 1, rng=rng)

    def forward(self, token_ids: np.ndarray, lengths: np.ndarray) -> Tensor:
        """Token ids (batch, time) and lengths (batch,) to logits (batch,): above 0 is positive."""
        output, _ = self.lstm(self.embedding.weight, lengths=lengths, indices=token_ids)
        # the output beyond a length is 0; a text without words has the mean 0
        mean = output.sum(axis=1) / np.maximum(lengths, 1)[:, np.newaxis].astype(output.dtype)
        logits: Tensor = self.head(self.dropout(mean))
        return logits[:, 0]
