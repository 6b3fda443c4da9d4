"""From tokenized texts to what the network reads: the words it knows, their vectors and n-grams, and examples."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from datasets.glove import load_glove
from datasets.text import TokenizedTexts, Vocabulary
from datasets.vectors import load_vectors
from models.sentiment.config import DIMENSIONS, Config
from models.sentiment.ngrams import Counted, Joined, NGrams, bags, channels
from tinygrad_np.data import pad
from tinygrad_np.nn import Embedding

GLOVE_WORDS = 50_000  # the most frequent ones, known even where no training text has them
INPUTS = 5  # of the network, which come first in a batch
FOLDS = 10  # of the training texts: the channels of each come from what the other nine hold


def new_embedding(
    config: Config, texts: TokenizedTexts, rng: np.random.Generator
) -> tuple[Vocabulary, Embedding]:
    """The words to know and their vectors, from the training texts.

    With GloVe as it is, words of the texts without a vector are known only where n-grams are counted of them. They
    have the mean of all vectors, as unknown words have: the same text gets the same answer every time. Where GloVe
    is tuned, all words that occur twice are known, and those without a vector begin with this mean.
    """
    counts = np.bincount(np.concatenate(texts.token_ids), minlength=len(texts.tokens)).tolist()
    count = dict(zip(texts.tokens, counts, strict=True))
    repeated = Vocabulary.build(count, min_count=2)
    if config.embeddings == "learned":
        return repeated, Embedding(len(repeated), DIMENSIONS, padding_idx=0, rng=rng)
    glove = load_vectors(config.vectors) if config.vectors else load_glove(config.data_dir, DIMENSIONS)
    row = {word: i for i, word in enumerate(glove.words)}
    if config.embeddings == "tuned":
        known = repeated.tokens[2:]
    else:
        tokens = Vocabulary.build(count).tokens[2:]
        counted = config.features != "none"
        known = [token for token in tokens if token in row or (counted and token in repeated)]
        known += [word for word in glove.words[:GLOVE_WORDS] if word not in count]
    mean = glove.vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
    vectors = np.tile(mean, (2 + len(known), 1))
    vectors[0] = 0  # padding
    found = [i for i, word in enumerate(known) if word in row]
    vectors[[2 + i for i in found]] = glove.vectors[[row[known[i]] for i in found]]
    embedding = Embedding.from_pretrained(vectors, freeze=config.embeddings == "glove", padding_idx=0)
    return Vocabulary([Vocabulary.PADDING, Vocabulary.UNKNOWN, *known]), embedding


@dataclass(frozen=True)
class Encoder:
    """What makes examples of texts, for training and for all that is asked later.

    Attributes
    ----------
    vocabulary : Vocabulary
        The words that are known.
    ngrams : NGrams or None
        Those that are known, where the features ask for them.
    features : str
        As in `Config`.
    max_tokens : int or None
        Of a longer text the network reads the first quarter of so many tokens, and the rest of them from its end.
    """

    vocabulary: Vocabulary
    ngrams: NGrams | None = None
    features: str = "none"
    max_tokens: int | None = None

    @classmethod
    def fit(
        cls,
        config: Config,
        vocabulary: Vocabulary,
        texts: TokenizedTexts,
        labels: np.ndarray,
        n_classes: int,
        rng: np.random.Generator,
    ) -> tuple[Self, Examples]:
        """Learn from the training texts, and make examples of them; `rng` puts them into folds."""
        ids = with_ids_of(vocabulary, texts)
        if config.features == "none":
            encoder = cls(vocabulary, None, config.features, config.max_tokens)
            return encoder, encoder._examples(ids, None, None, labels)
        joined = Joined.join(ids)
        counted = Counted.count(joined, labels, n_classes, config.max_ngram, len(vocabulary))
        encoder = cls(vocabulary, counted.ngrams, config.features, config.max_tokens)
        beside, held = None, None
        if config.features in ("channels", "joint"):
            beside = counted.out_of_fold_channels(rng.permutation(len(ids)) % FOLDS)
        if config.features in ("wide", "joint"):
            held = bags(counted.numbers, joined)
        return encoder, encoder._examples(ids, beside, held, labels)

    @classmethod
    def load(cls, config: Config, vocabulary: str | Path, ngrams: str | Path | None) -> Self:
        """Read what `Vocabulary.save` and `NGrams.save` wrote.

        Raises
        ------
        FileNotFoundError, ValueError
            As they raise them; or the n-grams are others than the vocabulary and the settings say.
        """
        words = Vocabulary.load(vocabulary)
        known = None if ngrams is None else NGrams.load(ngrams)
        if known is not None and (known.n_tokens, len(known.keys)) != (len(words), config.max_ngram):
            raise ValueError(
                f"{ngrams} holds n-grams of 1 to {len(known.keys)} of {known.n_tokens:,} words, and it should "
                f"hold some of 1 to {config.max_ngram} of {len(words):,}"
            )
        return cls(words, known, config.features, config.max_tokens)

    def encode(self, texts: TokenizedTexts, labels: np.ndarray | None = None) -> Examples:
        """Examples of other texts than the training texts."""
        ids = with_ids_of(self.vocabulary, texts)
        if self.ngrams is None:
            return self._examples(ids, None, None, labels)
        joined = Joined.join(ids)
        numbers = self.ngrams.numbers(joined)
        beside, held = None, None
        if self.features in ("channels", "joint"):
            beside = channels(numbers, self.ngrams.ratios)
        if self.features in ("wide", "joint"):
            held = bags(numbers, joined)
        return self._examples(ids, beside, held, labels)

    def _examples(
        self,
        ids: list[np.ndarray],
        beside: np.ndarray | None,
        held: Joined | None,
        labels: np.ndarray | None,
    ) -> Examples:
        """Examples of texts, of which only some tokens are read: `beside` has a row for each token of all texts."""
        places = [self._read(len(text)) for text in ids]
        read = [text[where] for text, where in zip(ids, places, strict=True)]
        rows = None
        if beside is not None:
            starts = np.cumsum([0, *map(len, ids)])
            rows = [beside[start + where] for start, where in zip(starts, places, strict=False)]
        return Examples(read, labels, rows, held)

    def _read(self, length: int) -> np.ndarray:
        """The places of a text of this length that are read."""
        if self.max_tokens is None or length <= self.max_tokens:
            return np.arange(length)
        head = self.max_tokens // 4
        return np.concatenate([np.arange(head), np.arange(length - self.max_tokens + head, length)])


def with_ids_of(vocabulary: Vocabulary, texts: TokenizedTexts) -> list[np.ndarray]:
    """The texts, whose own token ids become those of the vocabulary."""
    ids = vocabulary.encode(texts.tokens)
    return [ids[text] for text in texts.token_ids]


@dataclass(frozen=True)
class Examples:
    """Texts as the network reads them, for `Batches`: those of similar length share a batch.

    Attributes
    ----------
    token_ids : list of ndarray of int
        Of each text the words to read.
    labels : ndarray of int, or None
        Of each text its class, from 0 on; None where it is asked for.
    channels : list of ndarray of float32, or None
        What stands beside these words, (words, channels).
    ngrams : Joined or None
        The n-grams that each whole text holds.
    """

    token_ids: list[np.ndarray]
    labels: np.ndarray | None = None
    channels: list[np.ndarray] | None = None
    ngrams: Joined | None = None

    def __len__(self) -> int:
        return len(self.token_ids)

    @property
    def lengths(self) -> np.ndarray:
        """Of each text the words to read."""
        return np.array([len(ids) for ids in self.token_ids], dtype=np.int64)

    def __getitem__(self, rows: np.ndarray) -> tuple[Any, ...]:
        """A batch, as `SentimentNetwork.forward` takes it; the labels come last, if there are any.

        Token ids (texts, time), lengths (texts,), channels (texts, time, channels), the n-grams of all texts, and
        where those of each begin, (texts + 1,); None for the features that there are not.
        """
        return self.shard(rows, slice(None))

    def shard(self, rows: np.ndarray, part: slice) -> tuple[Any, ...]:
        """A part of a batch, its texts padded as those of the whole batch."""
        time = max((len(self.token_ids[i]) for i in rows), default=0)
        rows = rows[part]
        ids, lengths = pad([self.token_ids[i] for i in rows])
        token_ids = np.zeros((len(rows), time), np.int64)
        token_ids[:, : ids.shape[1]] = ids
        beside = None
        if self.channels is not None:
            beside = np.zeros((len(rows), time, self.channels[0].shape[1]), np.float32)
            for padded, i in zip(beside, rows, strict=True):
                padded[: len(self.channels[i])] = self.channels[i]
        held = None if self.ngrams is None else self.ngrams.take(rows)
        ngrams = (None, None) if held is None else (held.numbers, held.offsets)
        labels = () if self.labels is None else (self.labels[rows],)
        return token_ids, lengths, beside, *ngrams, *labels
