"""Training as the tutorial trains: one review at a time, with the gradient as published or corrected."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from datasets.glove import load_glove
from datasets.imdb import load_tokenized_imdb
from datasets.text import TokenizedTexts
from models import report
from models.tutorial_lstm.model import (
    DIMENSIONS,
    EPS,
    HIDDEN,
    PARAMETERS,
    Arrays,
    backpropagate,
    loss_of,
    unroll,
)
from models.tutorial_slips import SwappedAdam, initial_parameters, word_vectors
from tinygrad_np.extras import import_optional
from tinygrad_np.files import atomic_write

LEARNING_RATE = 0.001


class Reviews(NamedTuple):
    """Reviews as rows of a table of word vectors, -1 for a word that is not in it, and their labels.

    Signs alone, such as a full stop, are left out, as the tutorial leaves them out.
    """

    token_ids: list[np.ndarray]
    labels: np.ndarray

    @classmethod
    def encode(cls, texts: TokenizedTexts, labels: np.ndarray, row: dict[str, int]) -> Reviews:
        rows = np.array([row.get(token, -1) for token in texts.tokens], int)
        is_word = np.array([any(map(str.isalnum, token)) for token in texts.tokens], bool)
        return cls([rows[ids[is_word[ids]]] for ids in texts.token_ids], labels.astype(float))


def loss_and_accuracy(logits: Iterable[float], labels: np.ndarray) -> tuple[float, float]:
    """Mean loss, and the part of the reviews that are on the right side of 0.5."""
    z = np.fromiter(logits, float, len(labels))
    return float(loss_of(z, labels, EPS).mean()), float(((z >= 0) == labels).mean())


def train_epoch(
    optimizer: SwappedAdam, reviews: Reviews, vectors: np.ndarray, overwritten: bool, rng: np.random.Generator
) -> tuple[float, float]:
    """One update after each review, in their order; mean loss and accuracy, each review before its update."""
    logits = []
    for token_ids, label in zip(*reviews, strict=True):
        inputs = {"x": word_vectors(token_ids, vectors, rng), "y": label, **optimizer.parameters}
        logit, gradients = backpropagate(inputs, overwritten)
        optimizer.step(gradients)
        logits.append(logit)
    return loss_and_accuracy(logits, reviews.labels)


def evaluate(
    parameters: Arrays, reviews: Reviews, vectors: np.ndarray, rng: np.random.Generator
) -> tuple[float, float]:
    """Mean loss and accuracy, parameters left as they are."""
    gates = [parameters[name] for name in PARAMETERS[:8]]
    last = [unroll(word_vectors(token_ids, vectors, rng), *gates)[-1].h for token_ids in reviews.token_ids]
    return loss_and_accuracy([(parameters["W2"] @ h + parameters["b2"]).item() for h in last], reviews.labels)


def train(
    as_published: bool,
    data_dir: str | None,
    train_size: int,
    test_size: int,
    epochs: int,
    seed: int,
    out: Path,
) -> dict[str, Any]:
    """Train with one of the two gradients, write ``metrics.csv``, ``metrics.json`` and ``loss.png`` into `out`.

    Returns
    -------
    dict
        The metrics of the last epoch, and what they are of.
    """
    pd = import_optional("pandas")
    version = "as-published" if as_published else "corrected"
    out.mkdir(parents=True, exist_ok=True)
    weights_rng, train_rng, test_rng = np.random.default_rng(seed).spawn(3)

    glove = load_glove(data_dir, DIMENSIONS)
    row = {word: i for i, word in enumerate(glove.words)}
    train_reviews = Reviews.encode(*load_tokenized_imdb("train", data_dir, train_size, seed), row)
    test_reviews = Reviews.encode(*load_tokenized_imdb("test", data_dir, test_size, seed), row)
    parameters = initial_parameters(HIDDEN, DIMENSIONS, weights_rng)
    optimizer = SwappedAdam(parameters, LEARNING_RATE)
    print(f"{version}: {train_size:,} train reviews, {test_size:,} test reviews")

    history = []
    start = time.perf_counter()
    for epoch in range(1, epochs + 1):
        train_loss, train_accuracy = train_epoch(
            optimizer, train_reviews, glove.vectors, as_published, train_rng
        )
        test_loss, test_accuracy = evaluate(parameters, test_reviews, glove.vectors, test_rng)
        history.append(
            {
                "epoch": epoch,
                "train_loss": train_loss,
                "train_accuracy": train_accuracy,
                "test_loss": test_loss,
                "test_accuracy": test_accuracy,
            }
        )
        table = pd.DataFrame(history)
        with atomic_write(out / "metrics.csv") as part:
            table.to_csv(part, index=False)
        print(
            f"epoch {epoch:2}: train {train_loss:.3f} / {train_accuracy:.1%}, "
            f"test {test_loss:.3f} / {test_accuracy:.1%}",
            flush=True,
        )

    metrics = {
        "version": version,
        "seed": seed,
        "train_size": train_size,
        "test_size": test_size,
        **history[-1],
        "seconds": time.perf_counter() - start,
    }
    with atomic_write(out / "metrics.json") as part:
        part.write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    title = f"The tutorial's LSTM, {version.replace('-', ' ')}: {train_size:,} IMDb reviews"
    report.learning_curves(table, title, out / "loss.png")
    return metrics
