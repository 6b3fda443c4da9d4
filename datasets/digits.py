"""Handwritten digits as arrays: MNIST, which is downloaded, and the small ones that scikit-learn brings along."""

import gzip
import os
import struct
import zlib
from typing import NamedTuple

import numpy as np

from datasets.download import fetch
from tinygrad_np.extras import import_optional


class Digits(NamedTuple):
    """Images (rows, height, width), float32 from 0 (paper) to 1 (ink), and the digit of each (rows,), int64."""

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray


def load_mnist(data_dir: str | os.PathLike[str] | None = None) -> Digits:
    """The 60,000 and 10,000 images of MNIST (LeCun et al., 1998), 28 by 28.

    Parameters
    ----------
    data_dir : path, optional
        A directory that holds the four published ``.gz`` files; without it they are downloaded once, 11 MB.

    Raises
    ------
    RuntimeError
        A file cannot be downloaded.
    ValueError
        A file is not what it should be.
    """
    parts = []
    for split in ("train", "t10k"):
        images = _read_idx(f"{split}-images-idx3-ubyte.gz", 3, data_dir)
        labels = _read_idx(f"{split}-labels-idx1-ubyte.gz", 1, data_dir)
        if len(images) != len(labels) or labels.max(initial=0) > 9:
            raise ValueError(f"MNIST's {split} files do not fit: {len(images)} images, {len(labels)} labels")
        parts += [images.astype(np.float32) / 255, labels.astype(np.int64)]
    return Digits(*parts)


def load_small_digits(seed: int = 0) -> Digits:
    """The 1,797 images of scikit-learn, 8 by 8 (Alpaydin and Kaynak, 1998), a fifth of them kept for testing."""
    bunch = import_optional("sklearn.datasets").load_digits()
    order = np.random.default_rng(seed).permutation(len(bunch.target))
    images, labels = (bunch.images / 16).astype(np.float32)[order], bunch.target.astype(np.int64)[order]
    test = len(order) // 5
    return Digits(images[test:], labels[test:], images[:test], labels[:test])


def _read_idx(name: str, ndim: int, data_dir: str | os.PathLike[str] | None) -> np.ndarray:
    """A file of bytes in the format IDX: two zeros, 8 for bytes, how many axes, their lengths, the elements."""
    path = fetch(name, data_dir)
    try:
        with gzip.open(path) as file:
            content = file.read()
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} is no whole gzip file: {error}; get it anew") from error
    head = 4 + 4 * ndim
    if len(content) < head or content[:4] != bytes([0, 0, 8, ndim]):
        raise ValueError(f"{path} is no IDX file of bytes with {ndim} axes; get it anew")
    shape = struct.unpack(f">{ndim}I", content[4:head])
    if len(content) - head != np.prod(shape, dtype=np.int64):
        raise ValueError(
            f"{path} should hold {list(shape)} elements, and has {len(content) - head}; get it anew"
        )
    return np.frombuffer(content, np.uint8, offset=head).reshape(shape)
