"""From reviews to what the network reads: tokens, the vocabulary with its vectors, and examples in batches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from datasets.demo import generate_demo
from datasets.glove import load_glove
from datasets.imdb import load_tokenized_imdb
from datasets.text import TokenizedTexts, Vocabulary, tokenize_texts
from models.sentiment.config import DIMENSIONS, Config
from tinygrad_np.data import batches, pad
from tinygrad_np.nn import Embedding

GLOVE_WORDS = 50_000  # the most frequent ones, known even where no training review has them
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


def new_embedding(
    config: Config, texts: TokenizedTexts, rng: np.random.Generator
) -> tuple[Vocabulary, Embedding]:
    """The words to know and their vectors, from the training reviews.

    With GloVe, a word without a vector is unknown, and an unknown word has the mean of all vectors: the same
    text gets the same answer every time.
    """
    counts = np.bincount(np.concatenate(texts.token_ids), minlength=len(texts.tokens)).tolist()
    vocabulary = Vocabulary.build(
        dict(zip(texts.tokens, counts, strict=True)), min_count=1 if config.embeddings == "glove" else 2
    )
    if config.embeddings == "learned":
        return vocabulary, Embedding(len(vocabulary), DIMENSIONS, padding_idx=0, rng=rng)
    glove = load_glove(config.data_dir, DIMENSIONS)
    row = {word: i for i, word in enumerate(glove.words)}
    known = [token for token in vocabulary.tokens if token in row]
    known += [word for word in glove.words[:GLOVE_WORDS] if word not in vocabulary]
    vectors = np.concatenate(
        [
            np.zeros((1, DIMENSIONS), np.float32),
            glove.vectors.mean(axis=0, keepdims=True, dtype=np.float64).astype(np.float32),
            glove.vectors[[row[word] for word in known]],
        ]
    )
    return Vocabulary([Vocabulary.PADDING, Vocabulary.UNKNOWN, *known]), Embedding.from_pretrained(
        vectors, padding_idx=0
    )


@dataclass
class Examples:
    """Texts as token ids of a vocabulary, with their labels, 0 or 1."""

    token_ids: list[np.ndarray]
    labels: np.ndarray

    def __post_init__(self) -> None:
        self.lengths = np.array([len(ids) for ids in self.token_ids], dtype=np.int64)

    @classmethod
    def encode(cls, reviews: Reviews, vocabulary: Vocabulary) -> Examples:
        """Reviews, whose own token ids become those of the vocabulary."""
        ids = vocabulary.encode(reviews.texts.tokens)
        return cls([ids[text] for text in reviews.texts.token_ids], reviews.labels)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: np.ndarray) -> tuple[np.ndarray, ...]:
        return self.shard(rows, slice(None))

    def shard(self, rows: np.ndarray, part: slice) -> tuple[np.ndarray, ...]:
        """A part of a batch: token ids (rows, time), as long as the longest of the whole batch, lengths, labels."""
        token_ids, lengths = pad([self.token_ids[i] for i in rows])
        return token_ids[part], lengths[part], self.labels[rows[part]]

    def batches(
        self, batch_size: int, *, shuffle: bool = False, rng: np.random.Generator | None = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Of each batch the indices of its rows, the token ids (rows, time) and the lengths (rows,)."""
        for rows in batches(self.lengths, batch_size, shuffle=shuffle, rng=rng):
            yield rows, *pad([self.token_ids[i] for i in rows])
