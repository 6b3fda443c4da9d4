"""Reads GloVe word vectors: a list of words, and for each a row of numbers that says what the word is like.

The published text takes seconds to read, so it is read once and its numbers are cached as a NumPy file, which
later is not read but mapped into memory.
"""

import csv
import importlib.util
import io
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datasets.cache import cached
from datasets.download import fetch
from datasets.lines import read_lines
from datasets.messages import listed, shortened
from datasets.text import Vocabulary
from tinygrad_np.extras import import_optional

_SPECIAL = {Vocabulary.PADDING, Vocabulary.UNKNOWN}


@dataclass(frozen=True)
class Glove:
    """Words and their vectors.

    Attributes
    ----------
    words : list of str
        Each once, the most frequent first.
    vectors : ndarray of float32, shape (number of words, dimensions)
        Row i belongs to word i. Mapped into memory where it could be kept, and not writable.
    """

    words: list[str]
    vectors: np.ndarray


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
        with _zip_faults(path):
            archive = zipfile.ZipFile(path)
        with archive:
            if member not in archive.namelist():
                raise ValueError(f"{path} has no {member}, only {listed(archive.namelist())}")
            info = archive.getinfo(member)
            # Python's reader of the others decodes as much as there is at once: gigabytes out of a few bytes.
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ValueError(
                    f"{path}, {member} is compressed by method {info.compress_type}, and only 0 (stored) and 8 "
                    f"(deflated) are read: pack it again, or leave out data_dir to download it"
                )
            return _parse(archive, info, dimensions, path)

    def fits(words: list[str], vectors: np.ndarray) -> bool:
        return vectors.dtype == np.float32 and vectors.shape == (len(words), dimensions)

    return Glove(*cached(path, f"glove.6B.{dimensions}d", compute, fits))


@contextmanager
def _zip_faults(path: Path) -> Iterator[None]:
    """One sentence for what goes wrong in reading a zip file: zipfile and its decoders raise nearly anything."""
    try:
        yield
    except Exception as error:
        said = shortened(str(error), 200) or type(error).__name__
        raise ValueError(
            f"{path} is no sound zip file ({said}): replace it, or leave out data_dir to download it"
        ) from None


def _parse(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, dimensions: int, path: Path
) -> tuple[list[str], np.ndarray]:
    """All words and vectors of a text of lines, each a word and its numbers, separated by single blanks.

    pandas reads numbers three times as fast as NumPy's readers of text do, some ten thousand lines at a time.
    Which line is wrong is asked only when its block is wrong as a whole.
    """
    pd = import_optional("pandas")
    place = f"{path}, {info.filename}"
    with _zip_faults(path):
        file = archive.open(info.filename)

    def read(size: int) -> bytes:
        with _zip_faults(path):
            return file.read(size)

    bar = None
    if importlib.util.find_spec("tqdm") is not None:
        from tqdm import tqdm

        bar = tqdm(total=info.file_size, unit="B", unit_scale=True, desc=info.filename)
    words: list[str] = []
    known = set(_SPECIAL)
    blocks = []
    with bar or nullcontext(), file:
        for lines in read_lines(read, place):
            parts = [line.partition(b" ") for line in lines]
            try:
                if any(numbers.count(b" ") != dimensions - 1 for _, _, numbers in parts):
                    raise ValueError
                # A number too large for float32 becomes infinite, which is asked for below.
                with np.errstate(over="ignore"):
                    vectors = pd.read_csv(
                        io.BytesIO(b"\n".join(numbers for _, _, numbers in parts)),
                        sep=" ",
                        header=None,
                        dtype=np.float32,
                        na_filter=False,
                        quoting=csv.QUOTE_NONE,
                        skip_blank_lines=False,
                    ).to_numpy()
                if vectors.shape != (len(lines), dimensions) or not np.isfinite(vectors).all():
                    raise ValueError
                new = [word.decode("utf-8") for word, _, _ in parts]
                if " ".join(new).split() != new or len(set(new)) < len(new) or not known.isdisjoint(new):
                    raise ValueError
            except ValueError:
                raise ValueError(f"{place} {_fault(lines, words, dimensions)}") from None
            words += new
            known.update(new)
            blocks.append(vectors)
            if bar:
                bar.update(sum(map(len, lines)) + len(lines))
    if not blocks:
        raise ValueError(f"{place} is empty")
    return words, np.concatenate(blocks)


def _fault(lines: list[bytes], words: list[str], dimensions: int) -> str:
    """What is wrong with the first bad one of some lines, which come after the lines of `words`."""
    line_of = {word: number for number, word in enumerate(words, 1)}
    largest = float(np.finfo(np.float32).max)
    for at, line in enumerate(lines, len(words) + 1):
        word, *numbers = line.split(b" ")
        try:
            text = word.decode("utf-8")
        except UnicodeDecodeError:
            return f"line {at}: the word {word[:40]!r} is not UTF-8"
        if not word:
            return f"line {at}: no word before the numbers"
        if text.split() != [text]:
            return f"line {at}: the word {text[:40]!r} holds white space, so it is no token"
        if text in _SPECIAL:
            return f"line {at}: the word {text!r} is a name that a vocabulary has for itself"
        if text in line_of:
            return f"line {at}: the word {text[:40]!r} already stands in line {line_of[text]}"
        line_of[text] = at
        if len(numbers) != dimensions:
            return f"line {at}: expected a word and {dimensions} numbers, but found {len(numbers)}"
        for number in numbers:
            try:
                sound = b"_" not in number and abs(float(number)) <= largest  # false for NaN too
            except ValueError:
                sound = False
            if not sound:
                return f"line {at}: {number[:40].decode('utf-8', 'replace')!r} is no finite number"
    return f"lines {len(words) + 1} to {len(words) + len(lines)}: not all are a word and {dimensions} numbers"
