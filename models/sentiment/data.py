"""The reviews: to train on, to validate and to test with."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from datasets.demo import generate_demo
from datasets.imdb import load_tokenized_imdb
from datasets.text import TokenizedTexts, tokenize_texts
from models.sentiment.config import Config

DEMO_SIZES = {"train": 2000, "test": 500}


class Reviews(NamedTuple):
    """Tokenized reviews, and their labels, 0 or 1."""

    texts: TokenizedTexts
    labels: np.ndarray

    def take(self, rows: np.ndarray) -> Reviews:
        """Some of them, by their places."""
        return Reviews(self.texts.take(rows), self.labels[rows])


def load_train(config: Config) -> tuple[Reviews, Reviews]:
    """The reviews to train on, and a tenth of `train_size` apart from them for validation."""
    if config.data == "demo":
        # Reviews are made in pairs of the same words and opposite sentiment. A pair cut in two would make
        # validation the opposite of training, so validation is a corpus of its own.
        size = DEMO_SIZES["train"] if config.train_size is None else config.train_size
        n_validation = 2 * max(1, size // 20)
        if size <= n_validation:
            raise ValueError(f"--train-size {size} leaves nothing to train on; take 4 or more")
        return (
            demo_reviews(size - n_validation, 3 * config.seed),
            demo_reviews(n_validation, 3 * config.seed + 1),
        )
    reviews = Reviews(*load_tokenized_imdb("train", config.data_dir, config.train_size, config.seed))
    if len(reviews.labels) < 2:
        raise ValueError("one review leaves nothing to train on; take 2 or more")
    shuffled = np.random.default_rng(config.seed).permutation(len(reviews.labels))
    n_validation = max(1, len(reviews.labels) // 10)
    return reviews.take(shuffled[n_validation:]), reviews.take(shuffled[:n_validation])


def load_test(config: Config) -> Reviews:
    """The reviews to test with, from the test file."""
    if config.data == "demo":
        size = DEMO_SIZES["test"] if config.test_size is None else config.test_size
        return demo_reviews(size, 3 * config.seed + 2)
    return Reviews(*load_tokenized_imdb("test", config.data_dir, config.test_size, config.seed))


def demo_reviews(size: int, seed: int) -> Reviews:
    """Synthetic reviews, tokenized."""
    table = generate_demo(size, seed)
    return Reviews(tokenize_texts(table["review"]), table["sentiment"].to_numpy())
