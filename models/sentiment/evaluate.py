"""How good is it? Loss and accuracy of a model, the logits and probabilities behind them, and a baseline."""

from __future__ import annotations

import numpy as np

import tinygrad_np.functional as F
from models.sentiment.calibration import class_probabilities
from models.sentiment.encoding import INPUTS, Examples
from models.sentiment.model import SentimentNetwork
from tinygrad_np import Tensor, no_grad
from tinygrad_np.data import Batches
from tinygrad_np.nn import Linear
from tinygrad_np.optim import Adam


def logits(model: SentimentNetwork, examples: Examples, batch_size: int = 64) -> np.ndarray:
    """What the model says of each text, (texts,) of float32, or (texts, classes) of more than two."""
    data = Batches(examples, batch_size)
    rows, found = [np.zeros(0, np.int64)], [np.zeros(0, np.float32)]
    model.eval()
    with no_grad():
        for some in data.rows():
            rows.append(some)
            found.append(model(*examples[some][:INPUTS]).logits.data)
    some_logits: np.ndarray = np.concatenate(found[1:] or found)
    return some_logits[np.argsort(np.concatenate(rows))]


def probabilities(
    model: SentimentNetwork, examples: Examples, batch_size: int = 64, temperature: float = 1.0
) -> np.ndarray:
    """The probability that each text is positive, (texts,), float32."""
    return class_probabilities(logits(model, examples, batch_size), temperature)


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
