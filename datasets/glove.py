"""Reads GloVe word vectors: a list of words, and for each a row of numbers that says what the word is like.

The published text takes seconds to read, so it is read once and its numbers are cached as a NumPy file, which
later is not read but mapped into memory.
"""

import csv
import importlib.util
import io
import os
import zipfile
import zlib
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np

from datasets.cache import cached
from datasets.download import fetch
from tinygrad_np.extras import import_optional

_CHUNK = 1 << 22  # bytes of text read at a time: enough to be quick, little enough to need no memory


@dataclass(frozen=True)
class Glove:
    """Words and their vectors.

    Attributes
    ----------
    words : list of str
        Each once, the most frequent first.
    vectors : ndarray of float32, shape (number of words, dimensions)
        Row i belongs to word i. Mapped into memory, and not writable.
    """

    words: list[str]
    vectors: np.ndarray


def load_glove(data_dir: str | os.PathLike[str] | None = None, dimensions: int = 50) -> Glove:
    """The word vectors of GloVe 6B: 400,000 words.

    The first call reads the text out of the zip file and caches the result in `cache_dir`; later calls check
    the checksum of what was cached and map it into memory. Another zip file, or a cached file that is damaged,
    is read anew.

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
        If the file is no sound zip file, lacks these dimensions, or has a malformed line; the message gives
        the line.
    FileNotFoundError, RuntimeError
        As `datasets.download.fetch` raises them.
    """
    path = fetch("glove.6B.zip", data_dir)
    member = f"glove.6B.{dimensions}d.txt"
    try:
        with zipfile.ZipFile(path) as archive:
            if member not in archive.namelist():
                raise ValueError(f"{path} has no {member}, only {', '.join(archive.namelist())}")
            info = archive.getinfo(member)
            # The zip file's own checksum of the text: the same text is found again wherever the file lies.
            words, vectors = cached(
                f"glove.6B.{dimensions}d.{info.CRC:08x}",
                lambda: _parse(archive, info, dimensions, f"{path}, {member}"),
            )
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise ValueError(
            f"{path} is no sound zip file ({error}): replace it, or leave out data_dir to download it"
        ) from None
    return Glove(words, vectors)


def _parse(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, dimensions: int, place: str
) -> tuple[list[str], np.ndarray]:
    """All words and vectors of a text of lines, each a word and its numbers, separated by single blanks.

    pandas reads numbers three times as fast as NumPy's readers of text do, some ten thousand lines at a time.
    Which line is wrong is asked only when its chunk is wrong as a whole.
    """
    pd = import_optional("pandas")
    bar = None
    if importlib.util.find_spec("tqdm") is not None:
        from tqdm import tqdm

        bar = tqdm(total=info.file_size, unit="B", unit_scale=True, desc=info.filename)
    words: list[str] = []
    known: set[str] = set()
    chunks = []
    with bar or nullcontext(), io.BufferedReader(archive.open(info), _CHUNK) as file:  # type: ignore[type-var]
        while lines := file.readlines(_CHUNK):
            parts = [line.partition(b" ") for line in lines]
            try:
                if any(numbers.count(b" ") != dimensions - 1 for _, _, numbers in parts):
                    raise ValueError
                # A number too large for float32 becomes infinite, which is asked for below.
                with np.errstate(over="ignore"):
                    vectors = pd.read_csv(
                        io.BytesIO(b"".join(numbers for _, _, numbers in parts)),
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
                if "" in new or len(set(new)) < len(new) or not known.isdisjoint(new):
                    raise ValueError
            except ValueError:
                raise ValueError(f"{place} {_fault(lines, words, dimensions)}") from None
            words += new
            known.update(new)
            chunks.append(vectors)
            if bar:
                bar.update(sum(map(len, lines)))
    if not chunks:
        raise ValueError(f"{place} is empty")
    return words, np.concatenate(chunks)


def _fault(lines: list[bytes], words: list[str], dimensions: int) -> str:
    """What is wrong with the first bad one of some lines, which come after the lines of `words`."""
    line_of = {word: number for number, word in enumerate(words, 1)}
    largest = float(np.finfo(np.float32).max)
    for at, line in enumerate(lines, len(words) + 1):
        word, *numbers = line.rstrip(b"\r\n").split(b" ")
        try:
            text = word.decode("utf-8")
        except UnicodeDecodeError:
            return f"line {at}: the word {word!r} is not UTF-8"
        if not word:
            return f"line {at}: no word before the numbers"
        if text in line_of:
            return f"line {at}: the word {text!r} already stands in line {line_of[text]}"
        line_of[text] = at
        if len(numbers) != dimensions:
            return f"line {at}: expected a word and {dimensions} numbers, but found {len(numbers)}"
        for number in numbers:
            try:
                sound = abs(float(number)) <= largest  # false for NaN too
            except ValueError:
                sound = False
            if not sound:
                return f"line {at}: {number.decode('utf-8', 'replace')!r} is no finite number"
    return f"lines {len(words) + 1} to {len(words) + len(lines)}: not all are a word and {dimensions} numbers"
