"""Reads the IMDb film reviews, each with its sentiment: 25,000 to train with and others to test with.

Tokenizing them all takes seconds, so it is done once and its result is cached.
"""

import hashlib
import os
import unicodedata
from itertools import chain, pairwise
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal

import numpy as np

import datasets.text
from datasets.cache import cached, sha256
from datasets.download import SOURCES, fetch
from datasets.lines import ends_with_line, read_lines
from datasets.messages import tell
from datasets.text import TokenizedTexts, tokenize_texts
from tinygrad_np.extras import import_optional

if TYPE_CHECKING:
    from pandas import DataFrame

# Reviews in a whole file. The data set has 25,000 of each; a half of those to test with is in use as well.
_WHOLE = {"train": {25_000}, "test": {25_000, 12_500}}


def load_imdb(
    split: Literal["train", "test"],
    data_dir: str | os.PathLike[str] | None = None,
    size: int | None = None,
    seed: int = 0,
) -> "DataFrame":
    """The reviews of one split, or a balanced sample of them.

    Parameters
    ----------
    split : "train" or "test"
        Each is a file of its own, ``imdb_train.txt`` and ``imdb_test.txt``: lines of a label (0 negative,
        1 positive), a tab and the text.
    data_dir : path, optional
        A directory that holds the file; without it, the file is downloaded once. A file of other bytes than the
        published ones is used too. If it does not end with a line feed, or holds neither as many reviews as the
        data set has nor `size`, it may have been cut off: this is told on standard error.
    size : int, optional
        Draw so many reviews, none twice: half of them positive, with an odd number one positive more. If one
        class has fewer than its half, all of it is taken and the other class fills up. The sample keeps the
        order and the index of the whole.
    seed : int
        Of the draw; the same seed draws the same reviews.

    Returns
    -------
    pandas.DataFrame
        Columns `review` (str) and `sentiment` (int8, 0 or 1); the index is the place in the file, from 0.

    Raises
    ------
    ValueError
        If `split` is neither, if `size` is less than 1 or more than there are, or if the file is empty or has
        a malformed line; the message gives file and line.
    FileNotFoundError, RuntimeError, PermissionError
        As `datasets.download.fetch` raises them.
    """
    pd = import_optional("pandas")
    path = _fetch(split, data_dir)
    with open(path, "rb") as file:
        reviews, labels = _parse(path, file)
    _tell_if_cut_off(path, split, len(reviews), size)
    table: DataFrame = pd.DataFrame({"review": reviews, "sentiment": labels})
    return table if size is None else table.iloc[_sample(path, labels, size, seed)]


def load_tokenized_imdb(
    split: Literal["train", "test"],
    data_dir: str | os.PathLike[str] | None = None,
    size: int | None = None,
    seed: int = 0,
) -> tuple[TokenizedTexts, np.ndarray]:
    """The same reviews as token ids, and their labels.

    The first call parses and tokenizes all of the split, and keeps the result in the cache directory; later
    calls map it into memory (see `datasets.cache`). Another file, another tokenizer, or a kept file that is
    damaged make it be done anew.

    Parameters
    ----------
    split, data_dir, size, seed
        As for `load_imdb`.

    Returns
    -------
    texts : TokenizedTexts
    labels : ndarray of int8, shape (texts,)
        0 negative, 1 positive.

    Raises
    ------
    ValueError, FileNotFoundError, RuntimeError, PermissionError
        As `load_imdb` and `datasets.cache.cached` raise them.
    """
    path = _fetch(split, data_dir)

    def compute() -> tuple[list[str], np.ndarray]:
        with open(path, "rb") as file:
            reviews, labels = _parse(path, file)
        tokens, token_ids = tokenize_texts(reviews)
        # one array of them all, and before each its label, as a number below 0
        parts = [part for label, ids in zip(labels, token_ids, strict=True) for part in ([-1 - label], ids)]
        return tokens, np.concatenate(parts, dtype=np.int32)

    def fits(tokens: list[str], flat: np.ndarray) -> bool:
        return (
            flat.dtype == np.int32
            and flat.ndim == 1
            and flat[:1].tolist() in ([-1], [-2])
            and bool(flat.min() >= -2 and flat.max() < len(tokens))
        )

    # The tokenizer is the code of its module, and Python's tables of what a letter is: told by their hash, as a
    # version number would be forgotten when they change. A change of `compute` needs another name.
    code = Path(datasets.text.__file__).read_bytes() + unicodedata.unidata_version.encode("utf-8")
    tokenizer = hashlib.sha256(code).hexdigest()[:16]
    tokens, flat = cached(path, f"imdb_{split}_tokenized.{tokenizer}", compute, fits)
    flat = np.asarray(flat)  # slices of a plain array are made faster than those of a mapped one
    starts = np.flatnonzero(flat < 0)
    labels = (-1 - flat[starts]).astype(np.int8)
    _tell_if_cut_off(path, split, len(labels), size)
    ends = [*starts.tolist(), len(flat)]
    texts = TokenizedTexts(tokens, [flat[start + 1 : end] for start, end in pairwise(ends)])
    if size is None:
        return texts, labels
    rows = _sample(path, labels, size, seed)
    return texts.take(rows), labels[rows]


def _fetch(split: str, data_dir: str | os.PathLike[str] | None) -> Path:
    if split not in ("train", "test"):
        raise ValueError(f"split is 'train' or 'test', not {split!r}")
    return fetch(f"imdb_{split}.txt", data_dir)


def _tell_if_cut_off(path: Path, split: str, n_reviews: int, size: int | None) -> None:
    """Tell of a file that may be the beginning of another; its reviews are used as they are."""
    notes = []
    if not ends_with_line(path):
        notes.append(
            f"{path} does not end with a line feed: line {n_reviews}, its last review, may be cut off"
        )
    if n_reviews not in _WHOLE[split] | {size}:
        whole = " or ".join(f"{n:,}" for n in sorted(_WHOLE[split]))
        notes.append(
            f"{path} holds {n_reviews:,} reviews; the whole data set has {whole}, so it may be cut off"
        )
    if notes and sha256(path) != SOURCES[path.name].sha256:
        for note in notes:
            tell(note)


def _parse(path: Path, file: IO[bytes]) -> tuple[list[str], np.ndarray]:
    """The reviews of an open file, and their labels."""
    reviews = []
    labels = []
    # as bytes, so that a line of bad UTF-8 can be named
    for number, line in enumerate(chain.from_iterable(read_lines(file.read, f"{path},")), 1):
        label, tab, text = line.partition(b"\t")
        if not tab:
            raise ValueError(f"{path}, line {number}: expected label, tab, text, but no tab in {line[:40]!r}")
        if label not in (b"0", b"1"):
            raise ValueError(f"{path}, line {number}: the label is 0 or 1, not {label[:40]!r}")
        try:
            review = text.decode("utf-8")
        except UnicodeDecodeError as error:
            at = text[error.start : error.start + 10]
            raise ValueError(f"{path}, line {number}: the text is not UTF-8 at {at!r}") from None
        if not review.strip():
            raise ValueError(f"{path}, line {number}: the text after label and tab is empty")
        reviews.append(review)
        labels.append(int(label))
    if not reviews:
        raise ValueError(f"{path} holds no review")
    return reviews, np.array(labels, dtype=np.int8)


def _sample(path: Path, labels: np.ndarray, size: int, seed: int) -> np.ndarray:
    """The places of a balanced sample, in rising order."""
    if not 1 <= size <= len(labels):
        raise ValueError(
            f"{path} holds {len(labels)} reviews, so size is from 1 to {len(labels)}, not {size}"
        )
    negative = np.flatnonzero(labels == 0)
    positive = np.flatnonzero(labels == 1)
    n_positive = int(np.clip((size + 1) // 2, size - len(negative), len(positive)))
    rng = np.random.default_rng(seed)
    return np.sort(
        np.concatenate(
            [
                rng.choice(positive, n_positive, replace=False),
                rng.choice(negative, size - n_positive, replace=False),
            ]
        )
    )
