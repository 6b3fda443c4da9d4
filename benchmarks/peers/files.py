"""Reading the files of the real job: ours, and the way that textbooks load word vectors."""

from __future__ import annotations

import os
import tempfile
import zipfile
from pathlib import Path
from unittest import mock

import numpy as np

from benchmarks.peers.shared import Arrays, Job, numpy_blas
from datasets import load_glove, load_imdb, load_tokenized_imdb, tokenize_texts


def start(threads: int) -> str:
    return f"tinygrad_np with {numpy_blas()}"


def glove(arrays: Arrays, data_dir: str) -> Job:
    """The 50-dimensional vectors, which an earlier call has kept."""
    load_glove(data_dir)

    def job() -> Arrays:
        return {"vectors": load_glove(data_dir).vectors}

    return job


def first_glove(arrays: Arrays, data_dir: str) -> Job:
    """The same with nothing kept: what the first call takes."""

    def job() -> Arrays:
        with tempfile.TemporaryDirectory() as cache, mock.patch.dict(os.environ, TINYGRAD_NP_CACHE=cache):
            return {"vectors": np.array(load_glove(data_dir).vectors)}  # a copy: the file goes

    return job


def textbook_glove(arrays: Arrays, data_dir: str) -> Job:
    """The same vectors, a line at a time, as a dictionary of arrays."""
    order = load_glove(data_dir).words

    def job() -> Arrays:
        vectors = {}
        with (
            zipfile.ZipFile(Path(data_dir) / "glove.6B.zip") as archive,
            archive.open("glove.6B.50d.txt") as file,
        ):
            for line in file:
                word, *numbers = line.decode("utf-8").split()
                vectors[word] = np.array(numbers, dtype=np.float32)
        return {"vectors": np.stack([vectors[word] for word in order])}

    return job


def tokenized_reviews(arrays: Arrays, data_dir: str) -> Job:
    """The training reviews as tokens, which an earlier call has kept."""
    load_tokenized_imdb("train", data_dir)

    def job() -> Arrays:
        return {"reviews": np.array(len(load_tokenized_imdb("train", data_dir)[1]))}

    return job


def tokenizing(arrays: Arrays, data_dir: str, reviews: int) -> Job:
    """Cut the text of some reviews into tokens; `megabytes` is how much text that is."""
    texts = load_imdb("train", data_dir, reviews)["review"]
    size = sum(len(text.encode("utf-8")) for text in texts) / 1e6

    def job() -> Arrays:
        tokenize_texts(texts)
        return {"megabytes": np.array(size)}

    return job


def in_both(arrays: Arrays, data_dir: str) -> Job:
    """How many test reviews stand in the training file too, letter by letter."""

    def job() -> Arrays:
        train, test = (load_imdb(split, data_dir)["review"] for split in ("train", "test"))
        return {"reviews": np.array(test.isin(train).sum())}

    return job
