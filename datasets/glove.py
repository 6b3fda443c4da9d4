"""The word vectors of GloVe 6B, as they are published: 400,000 words, with 50 to 300 numbers each."""

import os

import numpy as np

from datasets.cache import cached
from datasets.download import fetch
from datasets.vectors import Glove, opened_member, parse


def load_glove(data_dir: str | os.PathLike[str] | None = None, dimensions: int = 50) -> Glove:
    """The word vectors of GloVe 6B: 400,000 words.

    The first call reads the text out of the zip file and keeps the result in the cache directory; later calls
    map it into memory (see `datasets.cache`). Another zip file, or a kept file that is damaged, is read anew.

    Parameters
    ----------
    data_dir : path, optional
        A directory that holds ``glove.6B.zip``; it is only read. Without it, the file is downloaded once.
    dimensions : int
        Numbers in a vector; the published zip file has 50, 100, 200 and 300.

    Returns
    -------
    Glove

    Raises
    ------
    ValueError
        If the file is no sound zip file, lacks these dimensions, is compressed by another method than deflate, or
        has a malformed line or a word that can be no token of a `Vocabulary`; the message gives the line.
    FileNotFoundError, RuntimeError, PermissionError
        As `datasets.download.fetch` and `datasets.cache.cached` raise them.
    """
    path = fetch("glove.6B.zip", data_dir)
    member = f"glove.6B.{dimensions}d.txt"

    def compute() -> tuple[list[str], np.ndarray]:
        with opened_member(path, member, "leave out data_dir to download it") as (read, size):
            return parse(read, f"{path}, {member}", size, dimensions)

    def fits(words: list[str], vectors: np.ndarray) -> bool:
        return vectors.dtype == np.float32 and vectors.shape == (len(words), dimensions)

    return Glove(*cached(path, f"glove.6B.{dimensions}d", compute, fits))
