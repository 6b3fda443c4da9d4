"""Where the texts come from: the synthetic corpus, IMDb's reviews, or files of your own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from datasets.aclimdb import is_aclimdb, load_aclimdb
from datasets.demo import generate_demo
from datasets.imdb import load_tokenized_imdb
from datasets.messages import listed, shortened, tell
from datasets.tables import LabelledTexts, load_table
from datasets.text import TokenizedTexts, tokenize_texts
from models.sentiment.config import Config

DEMO_SIZES = {"train": 2000, "test": 500}
SENTIMENTS = ("negative", "positive")


class Reviews(NamedTuple):
    """Tokenized texts, their labels, and what these are called.

    Attributes
    ----------
    texts : TokenizedTexts
    labels : ndarray of int, shape (texts,)
        From 0; of two classes, 1 is the one whose probability is told.
    classes : tuple of str
        The name of each label.
    """

    texts: TokenizedTexts
    labels: np.ndarray
    classes: tuple[str, ...] = SENTIMENTS

    def take(self, rows: np.ndarray) -> Reviews:
        """Some of them, by their places."""
        return Reviews(self.texts.take(rows), self.labels[rows], self.classes)


def load_train(config: Config) -> tuple[Reviews, Reviews]:
    """The texts to train on, and a tenth of `train_size` apart from them for validation."""
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
    if config.data == "imdb":
        reviews = Reviews(*load_tokenized_imdb("train", config.data_dir, config.train_size, config.seed))
        if len(reviews.labels) < 2:
            raise ValueError("one review leaves nothing to train on; take 2 or more")
        shuffled = np.random.default_rng(config.seed).permutation(len(reviews.labels))
        n_validation = max(1, len(reviews.labels) // 10)
        return reviews.take(shuffled[n_validation:]), reviews.take(shuffled[:n_validation])
    texts, labels, classes = _own_texts(config, "train")
    labels, rows = _drawn(labels, config.train_size, f"{config.data}", config.seed)
    n_validation = max(len(classes), round(len(labels) / 10))
    train, validation = split(labels, n_validation, np.random.default_rng([config.seed, 1]))
    reviews = Reviews(tokenize_texts(texts[i] for i in rows), labels, classes)
    return reviews.take(train), reviews.take(validation)


def load_test(config: Config) -> Reviews:
    """The texts to test with: from the test file, or the share that is split off."""
    if config.data == "demo":
        size = DEMO_SIZES["test"] if config.test_size is None else config.test_size
        return demo_reviews(size, 3 * config.seed + 2)
    if config.data == "imdb":
        return Reviews(*load_tokenized_imdb("test", config.data_dir, config.test_size, config.seed))
    texts, labels, classes = _own_texts(config, "test")
    labels, rows = _drawn(labels, config.test_size, config.test_data or config.data, config.seed)
    chosen = [texts[i] for i in rows]
    known = set(_own_texts(config, "train")[0])
    if again := sum(text in known for text in chosen):
        tell(
            f"{again:,} of {len(chosen):,} test texts stand among the texts to train on too, letter by letter: "
            "what is measured on them says little of new texts"
        )
    return Reviews(tokenize_texts(chosen), labels, classes)


def demo_reviews(size: int, seed: int) -> Reviews:
    """Synthetic reviews, tokenized."""
    table = generate_demo(size, seed)
    return Reviews(tokenize_texts(table["review"]), table["sentiment"].to_numpy())


def split(labels: np.ndarray, size: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The places of some labels in two parts, the second one of this size, in rising order.

    Each class has the same share of both, to the nearest text, and of a class with two texts or more each part has
    one at least. So the size is from the number of classes to that of all texts but one of each class.
    """
    counts = np.bincount(labels)
    wanted = size * counts / len(labels)
    least, most = np.minimum(1, np.maximum(counts - 1, 0)), np.maximum(counts - 1, 0)
    taken = np.clip(np.floor(wanted).astype(np.int64), least, most)
    while (missing := size - taken.sum()) != 0:
        step = np.sign(missing)
        possible = taken < most if step > 0 else taken > least
        if not possible.any():
            raise ValueError(
                f"{len(labels):,} texts of {np.count_nonzero(counts)} labels have no part of {size:,}"
            )
        taken[np.where(possible, step * (wanted - taken), -np.inf).argmax()] += step
    second = [rng.permutation(np.flatnonzero(labels == i))[:n] for i, n in enumerate(taken)]
    chosen = np.sort(np.concatenate(second))
    return np.setdiff1d(np.arange(len(labels)), chosen), chosen


def _drawn(labels: np.ndarray, size: int | None, place: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """So many of some labels, of each class its share, and their places."""
    if size is None or size == len(labels):
        return labels, np.arange(len(labels))
    n_classes = len(np.unique(labels))
    if not n_classes <= size <= len(labels) - n_classes:
        raise ValueError(
            f"{place} has {len(labels):,} texts of {n_classes} labels here, so a size is from {n_classes} to "
            f"{len(labels) - n_classes:,}, or {len(labels):,}, and not {size:,}"
        )
    _, rows = split(labels, size, np.random.default_rng([seed, 2]))
    return labels[rows], rows


def _own_texts(
    config: Config, part: Literal["train", "test"]
) -> tuple[Sequence[str], np.ndarray, tuple[str, ...]]:
    """The texts of a file or folder of one's own, their labels as numbers, and the names of these."""
    texts, names = _read(config.data, config, "train")
    classes = _classes(names, config)
    number = {name: i for i, name in enumerate(classes)}
    labels = np.array([number[name] for name in names], dtype=np.int64)
    if config.test_data is None and not is_aclimdb(config.data):
        n_test = int(
            np.clip(round(config.test_share * len(names)), len(classes), len(names) - 2 * len(classes))
        )
        train, test = split(labels, n_test, np.random.default_rng(config.seed))
        rows = train if part == "train" else test
        return [texts[i] for i in rows], labels[rows], classes
    if part == "test":
        place = config.test_data or config.data
        texts, names = _read(place, config, "test")
        if unknown := sorted(set(names) - set(classes)):
            raise ValueError(
                f"{place} has labels that no text to train on has: {listed(unknown)}; those of {config.data} are "
                f"{listed(classes)}"
            )
        labels = np.array([number[name] for name in names], dtype=np.int64)
    return texts, labels, classes


def _read(place: str, config: Config, part: Literal["train", "test"]) -> LabelledTexts:
    if not Path(place).exists():
        raise FileNotFoundError(f"there is no {place}: --data is demo, imdb, or the path of your texts")
    return (
        load_aclimdb(place, part)
        if is_aclimdb(place)
        else load_table(place, config.text_column, config.label_column)
    )


def _classes(names: Sequence[str], config: Config) -> tuple[str, ...]:
    """The names of the labels, in the order of the settings, or sorted, whole numbers by their size."""
    counts = Counter(names)
    where = f"{config.data}, column {shortened(config.label_column)!r}"
    if len(counts) < 2:
        raise ValueError(
            f"{where}: all labels are {shortened(names[0])!r}, and to tell apart there must be two"
        )
    if len(counts) > len(names) // 2:
        raise ValueError(
            f"{where}: {len(counts):,} different labels of {len(names):,} texts: is it another column?"
        )
    once = sorted(name for name, count in counts.items() if count < 3)
    if once:
        raise ValueError(
            f"{where}: fewer than 3 texts have the label {listed(once)}, and to train, validate and test takes 3"
        )
    if config.labels is None:
        return tuple(sorted(counts, key=lambda name: (int(name) if _is_whole(name) else 0, name)))
    if set(config.labels) != set(counts):
        raise ValueError(
            f"{where}: the labels are {listed(sorted(counts))}, and --labels says {listed(config.labels)}"
        )
    return tuple(config.labels)


def _is_whole(name: str) -> bool:
    return name.removeprefix("-").isascii() and name.removeprefix("-").isdigit() and len(name) < 19
