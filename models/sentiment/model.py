"""The network: a reader of words, a linear model of n-grams, or both of them as one."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

import tinygrad_np.functional as F
from models.sentiment.config import Config
from models.sentiment.ngrams import NGrams
from models.sentiment.reader import Reader
from tinygrad_np import Tensor
from tinygrad_np.nn import Embedding, Layer, Linear

NGRAM_DROPOUT = 0.3
DEEP_SHARE = 0.5


class Answer(NamedTuple):
    """Logits, (texts,) of two classes and (texts, classes) of more. In training also those of their parts."""

    logits: Tensor
    parts: tuple[Tensor, ...] = ()


class SentimentNetwork(Layer):
    """Texts to logits; of two classes the second one is likely where a logit is above 0.

    Unless told otherwise the reader pools by the mean over time, which gives every word a short way to the loss;
    the last state alone would have to carry the first words of a review through hundreds of steps.

    With n-grams beside it this is a wide and deep network (Cheng et al., 2016): the logits are those of the n-grams
    plus half of the reader's. In training each of them has to answer alone too, so that neither leaves the work to
    the other.

    Parameters
    ----------
    config : Config
        Its `features` say what there is: "none" and "channels" have a reader, "wide" n-grams, "joint" both.
    embedding : Embedding
        The vectors of the words.
    rng : numpy.random.Generator
        Draws the initial weights, and what is dropped.
    ngrams : NGrams, optional
        Those that the encoder knows, where the features ask for them.
    n_classes : int
        2 or more.
    """

    def __init__(
        self,
        config: Config,
        embedding: Embedding,
        rng: np.random.Generator,
        ngrams: NGrams | None = None,
        n_classes: int = 2,
    ):
        n_outputs = 1 if n_classes == 2 else n_classes
        self.reader, self.head, self.wide = None, None, None
        if config.features != "wide":
            n_channels = 0 if ngrams is None else ngrams.ratios.shape[1] * len(ngrams.keys)
            self.reader = Reader(config, embedding, n_channels, rng)
            self.head = Linear(self.reader.features, n_outputs, rng=rng, dtype=embedding.weight.dtype)
        if config.features in ("wide", "joint"):
            if ngrams is None:
                raise ValueError(
                    f"a network with features {config.features} takes the n-grams of its encoder"
                )
            self.wide = Wide(ngrams, rng)

    def forward(
        self,
        token_ids: np.ndarray,
        lengths: np.ndarray,
        channels: np.ndarray | None = None,
        ngram_ids: np.ndarray | None = None,
        ngram_offsets: np.ndarray | None = None,
    ) -> Answer:
        """A batch as `Examples` gives it, without the labels."""
        parts = []
        if self.wide is not None:
            if ngram_ids is None or ngram_offsets is None:
                raise ValueError(
                    "a network with n-grams takes those of the texts too, as its encoder gives them"
                )
            parts.append(self.wide(ngram_ids, ngram_offsets))
        if self.reader is not None and self.head is not None:
            parts.append(self.head(self.reader(token_ids, lengths, channels)))
        if parts[0].shape[1] == 1:
            parts = [logits[:, 0] for logits in parts]
        if len(parts) == 1:
            return Answer(parts[0])
        wide, deep = parts
        return Answer(wide + DEEP_SHARE * deep, (wide, deep) if self.training else ())

    def loss(self, answer: Answer, labels: np.ndarray) -> Tensor:
        """The mean cross-entropy of a batch; in training that of each part is added."""
        cross_entropy = F.cross_entropy if answer.logits.ndim == 2 else F.binary_cross_entropy_with_logits
        total: Tensor = cross_entropy(answer.logits, labels)
        for logits in answer.parts:
            total = total + cross_entropy(logits, labels)
        return total

    def accuracy(self, answer: Answer, labels: np.ndarray) -> float:
        """The share of right answers."""
        return float((most_likely(answer.logits.data) == labels).mean())


class Wide(Layer):
    """A linear model of the n-grams that a text holds: the sum of their ratios, each with a weight that is learned.

    In training each n-gram is dropped with a probability of `NGRAM_DROPOUT`, and the rest count for more.
    """

    def __init__(self, ngrams: NGrams, rng: np.random.Generator):
        self.ratios = ngrams.ratios  # not among the weights: they belong to the n-grams
        self.weight = Tensor(np.zeros_like(self.ratios), requires_grad=True)
        self.bias = Tensor(np.zeros(self.ratios.shape[1], np.float32), requires_grad=True)
        self.rng = rng

    def forward(self, ngram_ids: np.ndarray, offsets: np.ndarray) -> Tensor:
        """The n-grams of all texts, (N,), and where those of each begin, (texts + 1,), to (texts, columns)."""
        factors = self.ratios[ngram_ids]
        if self.training:
            kept = self._draw(np.diff(offsets)) >= NGRAM_DROPOUT
            factors = factors * (kept / np.float32(1 - NGRAM_DROPOUT)).astype(np.float32)[:, np.newaxis]
        total = F.embedding_bag(
            ngram_ids, self.weight, offsets, mode="sum", per_sample_weights=factors, include_last_offset=True
        )
        return total + self.bias

    def _draw(self, lengths: np.ndarray) -> np.ndarray:
        """A number for each n-gram, from a generator of each text: it depends on no other text of the batch."""
        seeds = (self.rng.random(len(lengths)) * 2**53).astype(np.int64)
        drawn = [
            np.random.default_rng(seed).random(n, np.float32) for seed, n in zip(seeds, lengths, strict=True)
        ]
        return np.concatenate([np.zeros(0, np.float32), *drawn])


def most_likely(logits: np.ndarray) -> np.ndarray:
    """The most likely class of each text; of two that are equally likely the second one."""
    return logits.argmax(axis=1) if logits.ndim == 2 else (logits >= 0).astype(np.int64)
