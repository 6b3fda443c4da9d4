"""Reads the IMDb film reviews, each with its sentiment: 25,000 to train with and others to test with.

Cutting them all to words takes seconds, so it is done once and its result is kept.
"""

import os
import unicodedata
import zlib
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

import datasets.text
from datasets.download import fetch
from datasets.kept import kept
from datasets.text import CutTexts, cut
from tinygrad_np.extras import import_optional

if TYPE_CHECKING:
    from pandas import DataFrame


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
        A directory that holds the file; without it, the file is downloaded once.
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
    FileNotFoundError, RuntimeError
        As `datasets.download.fetch` raises them.
    """
    if split not in ("train", "test"):
        raise ValueError(f"split is 'train' or 'test', not {split!r}")
    pd = import_optional("pandas")
    path = fetch(f"imdb_{split}.txt", data_dir)

    reviews = []
    sentiments = []
    with open(path, "rb") as file:  # as bytes, so that a line of bad UTF-8 can be named
        for number, line in enumerate(file, 1):
            line = line.rstrip(b"\r\n")
            label, tab, text = line.partition(b"\t")
            if not tab:
                raise ValueError(
                    f"{path}, line {number}: expected label, tab, text, but no tab in {line[:40]!r}"
                )
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
            sentiments.append(int(label))
    table: DataFrame = pd.DataFrame({"review": reviews, "sentiment": np.array(sentiments, dtype=np.int8)})
    if size is None:
        return table

    if not 1 <= size <= len(table):
        raise ValueError(f"{path} holds {len(table)} reviews, so size is from 1 to {len(table)}, not {size}")
    negative = np.flatnonzero(table["sentiment"] == 0)
    positive = np.flatnonzero(table["sentiment"] == 1)
    n_positive = int(np.clip((size + 1) // 2, size - len(negative), len(positive)))
    rng = np.random.default_rng(seed)
    rows = np.concatenate(
        [
            rng.choice(positive, n_positive, replace=False),
            rng.choice(negative, size - n_positive, replace=False),
        ]
    )
    return table.iloc[np.sort(rows)]


def cut_imdb(split: Literal["train", "test"], data_dir: str | os.PathLike[str] | None = None) -> CutTexts:
    """The words of all reviews of one split, by their place in the file, the index of `load_imdb`'s table.

    The first call cuts them and keeps the result in `cache_dir`; later calls map it into memory. Another file,
    other rules of cutting, or a kept file that is damaged make it be cut anew.

    Parameters
    ----------
    split, data_dir
        As for `load_imdb`.

    Returns
    -------
    CutTexts

    Raises
    ------
    ValueError, FileNotFoundError, RuntimeError
        A file is missing or damaged, or there is no such split.
    """

    def make() -> tuple[list[str], np.ndarray]:
        words, numbers = cut(load_imdb(split, data_dir)["review"])
        # one array of them all, -1 before each
        return words, np.concatenate([part for review in numbers for part in ([-1], review)], dtype=np.int32)

    # The rules are the code of the module that cuts, and Python's tables of what a letter is: told by their
    # checksum, as a version number would be forgotten when they change. A change of `make` needs another name.
    rules = Path(datasets.text.__file__).read_bytes() + unicodedata.unidata_version.encode("utf-8")
    made_from = zlib.crc32(fetch(f"imdb_{split}.txt", data_dir).read_bytes(), zlib.crc32(rules))
    words, flat = kept(f"imdb_{split}.{made_from:08x}", make)
    flat = np.asarray(flat)  # slices of a plain array are made faster than those of a mapped one
    marks = [*np.flatnonzero(flat == -1).tolist(), len(flat)]
    return CutTexts(words, [flat[mark + 1 : end] for mark, end in pairwise(marks)])
