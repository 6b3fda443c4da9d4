"""n-grams: runs of one to some tokens, and how much each of them speaks for a class.

An n-gram that two or more of the training texts hold gets a ratio for each class: how much more often texts of that
class hold it than others (Wang and Manning, "Baselines and Bigrams", 2012). With a class's counts p of texts that
hold each n-gram, and q of those of all other classes::

    r = log((p + 1) / sum(p + 1)) - log((q + 1) / sum(q + 1))

Texts are token ids here, those of a `Vocabulary`. Ids below `FIRST_TOKEN`, of padding and of unknown tokens, are in
no n-gram.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from tinygrad_np.weights import load_weights, save_weights

FIRST_TOKEN = 2
MIN_TEXTS = 2  # that hold an n-gram: one that a single text holds tells nothing of others
NONE = -1  # the number of an n-gram that is not known


@dataclass(frozen=True)
class Joined:
    """Sequences of numbers, one after another.

    Attributes
    ----------
    numbers : ndarray of int64
        All of them.
    offsets : ndarray of int64
        (sequences + 1,): where each begins, and where the last one ends.
    """

    numbers: np.ndarray
    offsets: np.ndarray

    @classmethod
    def join(cls, sequences: Sequence[np.ndarray]) -> Self:
        """Join arrays of whole numbers."""
        lengths = [len(s) for s in sequences]
        numbers = np.concatenate([np.zeros(0, np.int64), *sequences]).astype(np.int64, copy=False)
        return cls(numbers, np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def take(self, rows: np.ndarray) -> Joined:
        """Some of the sequences, by their places."""
        lengths = np.diff(self.offsets)[rows]
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        places = np.arange(offsets[-1]) + np.repeat(self.offsets[rows] - offsets[:-1], lengths)
        return Joined(self.numbers[places], offsets)

    def owners(self) -> np.ndarray:
        """The sequence that each number is in."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))


@dataclass(frozen=True)
class NGrams:
    """The n-grams of training texts, each with a number, and their ratios.

    The key of a token is its id. That of a longer n-gram is made of the number of the n-gram without its last
    token, and of this token: (number) * n_tokens + (id). For where an n-gram is known, the shorter one is, too.

    Attributes
    ----------
    keys : tuple of ndarray of int64
        Of each length from one token on, the keys in order. Numbers count on from length to length.
    ratios : ndarray of float32
        (n-grams, columns): a column a class; of two classes one, that of the second.
    n_tokens : int
        The size of the vocabulary.
    """

    keys: tuple[np.ndarray, ...]
    ratios: np.ndarray
    n_tokens: int

    def __len__(self) -> int:
        return len(self.ratios)

    def numbers(self, texts: Joined) -> np.ndarray:
        """The numbers of the n-grams that end at each token, (lengths, tokens); -1 where one is not known."""
        found = np.full((len(self.keys), len(texts.numbers)), NONE, np.int64)
        first = 0
        for n, known in enumerate(self.keys):
            places, keys = candidates(texts, found[n - 1] if n else None, self.n_tokens)
            order = np.argsort(keys, kind="stable")  # what is in order is found several times as fast
            keys = keys[order]
            at = np.searchsorted(known, keys)
            is_known = at < len(known)
            is_known[is_known] = known[at[is_known]] == keys[is_known]
            found[n, places[order[is_known]]] = at[is_known] + first
            first += len(known)
        return found

    def save(self, path: str | Path) -> None:
        """Write them as safetensors; an old file is only replaced by a whole one."""
        keys = {f"keys.{n}": keys for n, keys in enumerate(self.keys, start=1)}
        save_weights(path, {**keys, "ratios": self.ratios, "n_tokens": np.array(self.n_tokens)})

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote.

        Raises
        ------
        FileNotFoundError
            There is no such file.
        ValueError
            It is no whole safetensors file, or holds something else than n-grams.
        """
        state = load_weights(path)
        lengths = range(1, len(state) - 1)
        names = [*(f"keys.{n}" for n in lengths), "n_tokens", "ratios"]
        if sorted(state) != sorted(names) or not lengths:
            raise ValueError(f"{path} holds {', '.join(sorted(state))}, and no n-grams")
        keys, ratios = tuple(state[f"keys.{n}"] for n in lengths), state["ratios"]
        in_order = all(k.ndim == 1 and k.dtype == np.int64 and (np.diff(k) > 0).all() for k in keys)
        if (
            not in_order
            or ratios.ndim != 2
            or ratios.dtype != np.float32
            or len(ratios) != sum(map(len, keys))
            or not np.isfinite(ratios).all()
            or state["n_tokens"].shape != ()
        ):
            raise ValueError(
                f"{path} holds no n-grams: keys are to be whole numbers in order, with a row of finite float32 "
                "ratios for each"
            )
        return cls(keys, ratios, int(state["n_tokens"]))


@dataclass(frozen=True)
class Counted:
    """Training texts with their n-grams: what is known of them, and what the texts hold.

    Attributes
    ----------
    ngrams : NGrams
        With the ratios of all texts.
    numbers : ndarray of int64
        As `NGrams.numbers` gives them for the texts.
    texts : Joined
        The texts.
    labels : ndarray of int
        Of each text its class, from 0 on.
    n_classes : int
        How many classes there are.
    """

    ngrams: NGrams
    numbers: np.ndarray
    texts: Joined
    labels: np.ndarray
    n_classes: int

    @classmethod
    def count(cls, texts: Joined, labels: np.ndarray, n_classes: int, max_n: int, n_tokens: int) -> Self:
        """Find the n-grams of 1 to `max_n` tokens of texts, and their ratios."""
        owners = texts.owners()
        found = np.full((max_n, len(texts.numbers)), NONE, np.int64)
        known: list[np.ndarray] = []
        for n in range(max_n):
            places, keys = candidates(texts, found[n - 1] if n else None, n_tokens)
            order = np.argsort(keys, kind="stable")  # those of one key stand together, text by text
            keys, owner = keys[order], owners[places[order]]
            is_first = np.concatenate([[True], keys[1:] != keys[:-1]])[: len(keys)]
            new_text = is_first.copy()
            new_text[1:] |= owner[1:] != owner[:-1]
            group = np.cumsum(is_first) - 1
            is_kept = np.bincount(group[new_text]) >= MIN_TEXTS
            number = np.where(is_kept, np.cumsum(is_kept) - 1 + sum(map(len, known)), NONE)
            found[n, places[order]] = number[group]
            known.append(keys[is_first][is_kept])
        total = sum(map(len, known))
        counts = text_counts(bags(found, texts), labels, n_classes, total)
        return cls(NGrams(tuple(known), log_ratios(counts), n_tokens), found, texts, labels, n_classes)

    def out_of_fold_channels(self, folds: np.ndarray) -> np.ndarray:
        """`channels` of the texts, for which each text has no part in its own ratios, nor have those of its fold.

        What is to learn from these numbers would otherwise meet better ones than any other text has: the label of a
        text is in the ratios of its own n-grams.

        Parameters
        ----------
        folds : ndarray of int
            Of each text its fold, from 0 on.
        """
        held, total = bags(self.numbers, self.texts), len(self.ngrams)
        by_fold = [
            text_counts(held.take(rows), self.labels[rows], self.n_classes, total)
            for rows in (np.flatnonzero(folds == fold) for fold in range(int(folds.max()) + 1))
        ]
        everywhere = np.sum(by_fold, axis=0)
        fold_of_place = folds[self.texts.owners()]
        out = np.zeros((self.numbers.shape[1], len(self.numbers) * self.ngrams.ratios.shape[1]), np.float32)
        for fold, counts in enumerate(by_fold):
            others = everywhere - counts
            ratios = log_ratios(others)
            ratios[others.sum(axis=0) < MIN_TEXTS] = (
                0  # as if it were not known, which it is not to other texts
            )
            places = np.flatnonzero(fold_of_place == fold)
            out[places] = channels(self.numbers[:, places], ratios)
        return out


def candidates(texts: Joined, shorter: np.ndarray | None, n_tokens: int) -> tuple[np.ndarray, np.ndarray]:
    """The places at which n-grams end whose shorter ones are known, and their keys.

    `shorter` has at each place the number of the n-gram of one token less that ends there; None for single tokens.
    """
    tokens = texts.numbers
    is_end = tokens >= FIRST_TOKEN
    if shorter is None:
        places = np.flatnonzero(is_end)
        return places, tokens[places]
    is_end[texts.offsets[:-1][np.diff(texts.offsets) > 0]] = False  # nothing stands before a text
    is_end[1:] &= shorter[:-1] != NONE
    places = np.flatnonzero(is_end)
    return places, shorter[places - 1] * n_tokens + tokens[places]


def bags(numbers: np.ndarray, texts: Joined) -> Joined:
    """The n-grams that each text holds, each once, in order."""
    is_known = numbers != NONE
    owners = np.broadcast_to(texts.owners(), numbers.shape)[is_known]
    # text and number in one number: sorting these is several times as fast as sorting pairs
    size = int(numbers.max(initial=0)) + 1
    pairs = np.sort(owners * size + numbers[is_known])
    pairs = pairs[np.concatenate([[True], pairs[1:] != pairs[:-1]])[: len(pairs)]]
    return Joined(pairs % size, np.searchsorted(pairs, np.arange(len(texts) + 1) * size))


def text_counts(held: Joined, labels: np.ndarray, n_classes: int, n_ngrams: int) -> np.ndarray:
    """How many texts of each class hold each n-gram, (classes, n-grams), from what each text holds."""
    label = np.repeat(labels.astype(np.int64), np.diff(held.offsets))
    counts = np.bincount(label * n_ngrams + held.numbers, minlength=n_classes * n_ngrams)
    return counts.reshape(n_classes, n_ngrams)


def log_ratios(counts: np.ndarray) -> np.ndarray:
    """The ratios of each class, from its counts and those of the others: (n-grams, columns), as in `NGrams`."""
    others = counts.sum(axis=0) - counts

    def log_share(n: np.ndarray) -> np.ndarray:
        share: np.ndarray = np.log(n + 1) - np.log(np.maximum((n + 1).sum(axis=1, keepdims=True), 1))
        return share

    ratios = log_share(counts) - log_share(others)
    return np.ascontiguousarray((ratios[1:] if len(counts) == 2 else ratios).T, np.float32)


def channels(numbers: np.ndarray, ratios: np.ndarray) -> np.ndarray:
    """The ratios of the n-grams that end at each token, (tokens, lengths * columns); 0 of those not known."""
    rows = np.concatenate([ratios, np.zeros((1, ratios.shape[1]), np.float32)])  # NONE is the last one
    by_place: np.ndarray = rows[numbers].transpose(1, 0, 2)
    return by_place.reshape(len(by_place), len(numbers) * ratios.shape[1])
