"""How fast word vectors load, and how fast reviews are cut into words.

The peer is the way textbooks load word vectors: line by line into a dictionary of arrays. Ours does the first
time what takes long, and keeps the result for later times.
"""

from __future__ import annotations

import os
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np

from benchmarks.harness import Options, Row, check, per_second, progress, show
from datasets import load_glove, load_imdb, load_tokenized_imdb, tokenize_texts

REVIEWS = 5_000  # cut in each repeat


def textbook_glove(path: Path) -> dict[str, np.ndarray]:
    """The peer: the same 50-dimensional vectors, a line at a time, as a dictionary."""
    vectors = {}
    with zipfile.ZipFile(path) as archive, archive.open("glove.6B.50d.txt") as file:
        for line in file:
            word, *numbers = line.decode("utf-8").split()
            vectors[word] = np.array(numbers, dtype=np.float32)
    return vectors


def seconds(action: Callable[[], object]) -> float:
    """How long one call takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def run(options: Options) -> list[Row]:
    data_dir = options.data_dir
    if data_dir is None:
        print("left out, because --data-dir does not say where glove.6B.zip and imdb_*.txt are")
        return []
    glove = load_glove(data_dir)
    textbook = textbook_glove(data_dir / "glove.6B.zip")
    theirs = {word: textbook[word] for word in glove.words}
    check(
        [("ours", {"vectors": glove.vectors}), ("textbook", {"vectors": np.stack(list(theirs.values()))})],
        0.0,
        "it is the same text",
    )
    reviews = load_imdb("train", data_dir, REVIEWS)["review"]
    size = sum(len(text.encode("utf-8")) for text in reviews) / 1e6
    load_tokenized_imdb("train", data_dir)  # kept from here on, if it was not

    times: dict[str, list[float]] = {"later": [], "first": [], "textbook": [], "kept": [], "cut": []}
    for _ in progress(range(max(3, options.repeats // 2)), "data"):
        times["later"].append(seconds(lambda: load_glove(data_dir)))
        with tempfile.TemporaryDirectory() as cache, mock.patch.dict(os.environ, TINYGRAD_NP_CACHE=cache):
            times["first"].append(seconds(lambda: load_glove(data_dir)))
        times["textbook"].append(seconds(lambda: textbook_glove(data_dir / "glove.6B.zip")))
        times["kept"].append(seconds(lambda: load_tokenized_imdb("train", data_dir)))
        times["cut"].append(seconds(lambda: tokenize_texts(reviews)))
    rows = [
        Row("data", "GloVe, 50 numbers a word", "ours, later load", "s", times["later"]),
        Row("data", "GloVe, 50 numbers a word", "ours, first load", "s", times["first"]),
        Row("data", "GloVe, 50 numbers a word", "textbook", "s", times["textbook"]),
        Row("data", "25,000 reviews, kept as words", "ours", "s", times["kept"]),
        Row("data", "cutting reviews", "ours", "MB/s", [per_second(t, size) for t in times["cut"]]),
    ]
    show(rows)
    return rows
