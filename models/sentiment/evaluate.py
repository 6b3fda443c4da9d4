"""How good is it? Loss and accuracy of a model, the probabilities behind them, and a baseline beside them."""

from __future__ import annotations

from itertools import islice
from typing import NamedTuple

import numpy as np

import tinygrad_np.functional as F
from models.sentiment.data import Examples
from models.sentiment.model import SentimentNetwork
from tinygrad_np import Tensor, no_grad
from tinygrad_np.nn import Linear
from tinygrad_np.optim import Adam
from tinygrad_np.parallel import Workers


class Metrics(NamedTuple):
    """Mean binary cross-entropy, and the part of the examples on the right side of a logit of 0."""

    loss: float
    accuracy: float


def probabilities(model: SentimentNetwork, token_ids: list[np.ndarray], batch_size: int = 64) -> np.ndarray:
    """The probability that each text is positive, (texts,), float32."""
    out = np.zeros(len(token_ids), np.float32)
    examples = Examples(token_ids, np.zeros(len(token_ids)))
    model.eval()
    with no_grad():
        for rows, padded, lengths in examples.batches(batch_size):
            out[rows] = F.sigmoid(model(padded, lengths)).data
    return out


def evaluate(model: SentimentNetwork, examples: Examples, batch_size: int, team: Workers) -> Metrics:
    """Mean loss and accuracy; the workers take turns at the batches."""
    totals = np.zeros(2)
    model.eval()
    with no_grad():
        for rows, token_ids, lengths in islice(examples.batches(batch_size), team.rank, None, team.size):
            logits = model(token_ids, lengths)
            labels = examples.labels[rows]
            totals[0] += F.binary_cross_entropy_with_logits(logits, labels, reduction="sum").item()
            totals[1] += ((logits.data >= 0) == labels).sum()
    team.all_reduce([totals])
    return Metrics(*(totals / len(examples.labels)).tolist())


def bag_of_words_accuracy(train: Examples, test: Examples, vocabulary_size: int) -> float:
    """Test accuracy of a linear model on word counts: what the words tell without their order."""

    def counts(examples: Examples) -> np.ndarray:
        rows = [np.bincount(ids, minlength=vocabulary_size) for ids in examples.token_ids]
        return np.stack(rows).astype(np.float32)

    model = Linear(vocabulary_size, 1, rng=0)
    optimizer = Adam(model.parameters(), lr=0.01)
    x = Tensor(counts(train))
    for _ in range(200):
        optimizer.zero_grad()
        F.binary_cross_entropy_with_logits(model(x)[:, 0], train.labels).backward()
        optimizer.step()
    with no_grad():
        return float(((model(Tensor(counts(test)))[:, 0].data >= 0) == test.labels).mean())
