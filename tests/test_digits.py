"""The digits: what is read of MNIST's files, what is refused, and the small ones of scikit-learn."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from datasets import load_mnist, load_small_digits
from datasets.download import SOURCES


def write(path: Path, array: np.ndarray) -> None:
    head = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    path.write_bytes(gzip.compress(head + array.astype(np.uint8).tobytes()))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """MNIST's four files, with three and two images."""
    rng = np.random.default_rng(0)
    for split, rows in (("train", 3), ("t10k", 2)):
        write(tmp_path / f"{split}-images-idx3-ubyte.gz", rng.integers(0, 256, (rows, 28, 28)))
        write(tmp_path / f"{split}-labels-idx1-ubyte.gz", np.arange(rows) + 7)
    return tmp_path


def test_the_four_files_are_read(directory: Path) -> None:
    digits = load_mnist(directory)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 28, 28))
    np.testing.assert_array_equal(digits.train_images, (pixels / np.float32(255)).astype(np.float32))
    assert digits.test_images.shape == (2, 28, 28)
    assert digits.train_images.dtype == np.float32
    assert digits.train_labels.tolist() == [7, 8, 9]
    assert digits.test_labels.tolist() == [7, 8]


def test_damaged_files_are_named(directory: Path) -> None:
    path = directory / "train-labels-idx1-ubyte.gz"
    whole = path.read_bytes()
    for content, told in (
        (whole[:-9], "no whole gzip file"),
        (b"no gzip at all", "no whole gzip file"),
        (gzip.compress(b"\0\0\x08\x03" + bytes(20)), "no IDX file of bytes with 1 axes"),
        (gzip.compress(b"\0\0"), "no IDX file"),
        (gzip.compress(bytes([0, 0, 8, 1, 0, 0, 0, 3, 1, 2])), r"should hold \[3\] elements, and has 2"),
        (gzip.compress(bytes([0, 0, 8, 1, 255, 255, 255, 255])), "and has 0"),
    ):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=told) as error:
            load_mnist(directory)
        assert path.name in str(error.value)
    write(path, np.array([1, 2]))
    with pytest.raises(ValueError, match="train files do not fit: 3 images, 2 labels"):
        load_mnist(directory)
    write(path, np.array([1, 2, 10]))
    with pytest.raises(ValueError, match="do not fit"):
        load_mnist(directory)
    path.unlink()
    with pytest.raises(FileNotFoundError, match="train-labels-idx1"):
        load_mnist(directory)


def test_the_sources_have_whole_hashes() -> None:
    hashes = [source.sha256 for name, source in SOURCES.items() if name.endswith("ubyte.gz")]
    assert len(set(hashes)) == 4
    assert all(len(digest) == 64 and int(digest, 16) for digest in hashes)


def test_the_small_digits() -> None:
    digits = load_small_digits()
    assert digits.train_images.shape == (1438, 8, 8)
    assert digits.test_images.shape == (359, 8, 8)
    assert digits.train_images.dtype == np.float32
    assert (digits.train_images.min(), digits.train_images.max()) == (0, 1)
    assert set(digits.test_labels.tolist()) == set(range(10))
    again, other = load_small_digits(), load_small_digits(seed=1)
    np.testing.assert_array_equal(digits.test_labels, again.test_labels)
    assert (digits.test_labels != other.test_labels).any()
    every = np.concatenate([digits.train_images, digits.test_images])
    assert len(np.unique(every.reshape(len(every), -1), axis=0)) > 1790  # a row is in one part only
