"""Caches what takes seconds to compute: a list of words and an array of numbers, as two files.

Later they are not read but mapped into memory. Checksums vouch for both files together, so that what is
damaged, missing or half-written is computed again.
"""

import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from datasets.download import cache_dir
from tinygrad_np.files import atomic_write


def cached(name: str, compute: Callable[[], tuple[list[str], np.ndarray]]) -> tuple[list[str], np.ndarray]:
    """The words and numbers cached under a name; computed first if they are not there or not sound.

    Parameters
    ----------
    name : str
        It says what they were computed from, by a checksum, so that other content has another name. Then
        several processes may write the same at once: each writes the same bytes.
    compute : function without arguments
        Returns the words, none with a line feed in it, and the array.

    Returns
    -------
    words : list of str
    numbers : ndarray
        Mapped into memory, and not writable.

    Raises
    ------
    ValueError
        If what was just written cannot be read back.
    """
    path = cache_dir() / f"{name}.npy"
    found = _read(path)
    if found is None:
        _write(path, *compute())
        found = _read(path)
    if found is None:
        raise ValueError(f"{path} cannot be read back right after it was written: check the disk")
    return found


def _write(path: Path, words: list[str], numbers: np.ndarray) -> None:
    """Write the numbers, and beside them the words under a line of checksums, which vouches for both."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "\n".join(words).encode("utf-8")
    with atomic_write(path) as part:
        with open(part, "wb") as file:
            np.save(file, numbers, allow_pickle=False)
        checksums = _checksums(part, text)
    with atomic_write(path.with_suffix(".words")) as part:
        part.write_bytes(checksums + b"\n" + text)


def _read(path: Path) -> tuple[list[str], np.ndarray] | None:
    """The words and numbers of `_write`, or None if they are missing or not as they were written."""
    try:
        checksums, _, text = path.with_suffix(".words").read_bytes().partition(b"\n")
        if checksums != _checksums(path, text):
            return None
    except (OSError, ValueError):  # a missing file, an empty file
        return None
    words = text.decode("utf-8").split("\n") if text else []
    return words, np.load(path, mmap_mode="r", allow_pickle=False)


def _checksums(numbers: Path, text: bytes) -> bytes:
    """Those of the file of numbers and of the words."""
    return b"%08x %08x" % (zlib.crc32(np.memmap(numbers, np.uint8, "r").data), zlib.crc32(text))
