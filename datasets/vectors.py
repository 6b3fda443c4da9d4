"""Reads word vectors: a list of words, and for each a row of numbers that says what the word is like.

Three formats of text are in use, and nearly the same: GloVe's has a word and its numbers in each line; word2vec's
and fastText's have a line before these, of how many words and numbers there are. The text takes seconds to read, so
it is read once and its numbers are kept as a NumPy file, which later is not read but mapped into memory.
"""

import csv
import gzip
import hashlib
import importlib.util
import io
import os
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datasets.cache import cached
from datasets.lines import read_lines
from datasets.messages import listed, shortened, tell
from datasets.text import Vocabulary
from tinygrad_np.extras import import_optional

_SPECIAL = {Vocabulary.PADDING, Vocabulary.UNKNOWN}
Read = Callable[[int], bytes]


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


def load_vectors(path: str | os.PathLike[str]) -> Glove:
    """Word vectors of any kind of text: GloVe's, word2vec's, fastText's, with as many numbers a word as they have.

    Words that hold a blank or another white space are left out, since no token of `datasets.tokenize` does, and
    so are empty ones, a word that stands there again, and ``<pad>`` and ``<unk>``, which a `Vocabulary` has for
    itself. How many they are is told on standard error.

    Parameters
    ----------
    path : path
        A text, ``.gz`` of one, or ``.zip``. Of a zip file with several texts, the one to be read stands behind it:
        ``glove.6B.zip/glove.6B.100d.txt``.

    Returns
    -------
    Glove
        Mapped into memory where it could be kept (see `datasets.cache`).

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        It is no sound zip or gzip file, holds no text or several, or has a malformed line; the message gives the
        line.
    PermissionError
        As `datasets.cache.cached` raises it.
    """
    path, member = Path(path), ""
    if not path.exists() and path.parent.suffix.lower() == ".zip" and path.parent.is_file():
        path, member = path.parent, path.name
    if path.is_dir():
        raise ValueError(f"{path} is a directory: give the file of the vectors in it")
    if path.suffix.lower() == ".zip" and not member:
        member = _only_text(path)
    key = hashlib.sha256(member.encode("utf-8", "surrogateescape")).hexdigest()[:8]

    def compute() -> tuple[list[str], np.ndarray]:
        with _opened(path, member) as (read, size):
            return parse(read, f"{path}, {shortened(member)}" if member else f"{path},", size)

    def fits(words: list[str], vectors: np.ndarray) -> bool:
        return vectors.dtype == np.float32 and vectors.ndim == 2 and len(vectors) == len(words) > 0

    return Glove(*cached(path, f"vectors.{key}", compute, fits))


def _only_text(path: Path) -> str:
    """The name of the one text of a zip file."""
    with _faults(path, "zip file"), zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.lower().endswith((".txt", ".vec"))]
    if len(names) != 1:
        found = f"{len(names)} texts ({listed(names)})" if names else "no .txt or .vec"
        raise ValueError(f"{path} holds {found}: give the one to read, as {path}/NAME")
    return names[0]


@contextmanager
def _opened(path: Path, member: str) -> Iterator[tuple[Read, int]]:
    """What reads a text in blocks, and its bytes, or for a gzip file 0."""
    if member:
        with opened_member(path, member, "get it again") as opened:
            yield opened
    elif path.suffix.lower() == ".gz":
        with gzip.open(path) as file:

            def read(size: int) -> bytes:
                with _faults(path, "gzip file"):
                    return file.read(size)

            yield read, 0
    else:
        with open(path, "rb") as plain:
            yield plain.read, path.stat().st_size


@contextmanager
def opened_member(path: Path, member: str, remedy: str) -> Iterator[tuple[Read, int]]:
    """What reads a file of a zip file in blocks, and its bytes.

    Raises
    ------
    ValueError
        The zip file is not sound, lacks the file, or compresses it by another method than deflate.
    """
    with _faults(path, "zip file", remedy):
        archive = zipfile.ZipFile(path)
    with archive:
        if member not in archive.namelist():
            raise ValueError(f"{path} has no {shortened(member)}, only {listed(archive.namelist())}")
        info = archive.getinfo(member)
        # Python's reader of the others decodes as much as there is at once: gigabytes out of a few bytes.
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(
                f"{path}, {member} is compressed by method {info.compress_type}, and only 0 (stored) and 8 "
                f"(deflated) are read: pack it again, or {remedy}"
            )
        with _faults(path, "zip file", remedy):
            file = archive.open(member)

        def read(size: int) -> bytes:
            with _faults(path, "zip file", remedy):
                return file.read(size)

        with file:
            yield read, info.file_size


@contextmanager
def _faults(path: Path, kind: str, remedy: str = "get it again") -> Iterator[None]:
    """One sentence for what goes wrong in reading a packed file: the decoders raise nearly anything."""
    try:
        yield
    except FileNotFoundError:
        raise
    except Exception as error:
        said = shortened(str(error), 200) or type(error).__name__
        raise ValueError(f"{path} is no sound {kind} ({said}): replace it, or {remedy}") from None


def parse(read: Read, place: str, size: int, dimensions: int | None = None) -> tuple[list[str], np.ndarray]:
    """All words and vectors of a text.

    pandas reads numbers three times as fast as NumPy's readers of text do, some ten thousand lines at a time.
    Which line is wrong is asked only when its block is wrong as a whole.

    Parameters
    ----------
    read : function
        Gives the next bytes, at most so many.
    place : str
        What stands in messages before "line 3".
    size : int
        Bytes of the text, for the progress bar; 0 if that is not known.
    dimensions : int, optional
        Numbers in a vector, where that is known: then each line is a word and its numbers, and no word may be one
        that can be no token. Without it they are those of most lines at the beginning, there may be a line before
        them that says how many there are, and what can be no token is left out and told.
    """
    bar = None
    if importlib.util.find_spec("tqdm") is not None:
        from tqdm import tqdm

        bar = tqdm(
            total=size or None, unit="B", unit_scale=True, desc=place.rpartition(", ")[2].strip(",") or None
        )
    words: list[str] = []
    known = set(_SPECIAL)
    left_out: list[str] = []
    blocks = []
    number = 1  # of the next line
    announced = None
    strict = dimensions is not None
    with nullcontext() if bar is None else bar:
        for lines in read_lines(read, place):
            if bar is not None:
                bar.update(sum(map(len, lines)) + len(lines))
            if dimensions is None:
                announced, dimensions = _format(lines, place)
                if announced is not None:
                    lines, number = lines[1:], 2
                    if not lines:
                        continue
            if not strict:
                lines = [line.rstrip(b" ") for line in lines]  # fastText has a blank behind the last number
            parts = [_parted(line, dimensions, strict) for line in lines]
            try:
                vectors = _numbers([numbers for _, numbers in parts], dimensions)
                new = [word.decode("utf-8") for word, _ in parts]
                if strict and (
                    " ".join(new).split() != new or len(set(new)) < len(new) or not known.isdisjoint(new)
                ):
                    raise ValueError
            except ValueError:
                raise ValueError(f"{place} {_fault(lines, number, words, dimensions, strict)}") from None
            if not strict:
                kept = []
                for i, word in enumerate(new):
                    if word in known or word.split() != [word]:
                        left_out.append(word)
                    else:
                        known.add(word)
                        kept.append(i)
                new, vectors = [new[i] for i in kept], vectors[kept]
            words += new
            known.update(new)
            blocks.append(vectors)
            number += len(lines)
    if not words:
        raise ValueError(
            f"{place.rstrip(',')} is empty" if number == 1 else f"{place} no line has a word to use"
        )
    if announced is not None and announced != number - 2:
        raise ValueError(
            f"{place} line 1 announces {announced:,} words, but {number - 2:,} follow: "
            f"the file is cut off or damaged"
        )
    if left_out:
        tell(
            f"{place} {len(left_out):,} of {number - 1:,} lines are left out, whose words are empty, "
            f"hold white space or stand there twice: {listed(map(repr, left_out))}"
        )
    return words, np.concatenate(blocks)


def _format(lines: list[bytes], place: str) -> tuple[int | None, int]:
    """How many words the first line announces, if it does, and how many numbers a vector has.

    Words may hold blanks, but most do not: so most lines have one blank for each number.
    """
    counts = Counter(line.rstrip(b" ").count(b" ") for line in lines[1:1000] or lines)
    dimensions = max(counts, key=lambda count: (counts[count], -count))
    first = lines[0].split()
    announced = None
    whole = len(first) == 2 and all(part.isdigit() and len(part) < 12 for part in first)
    if whole and (len(lines) == 1 or int(first[1]) == dimensions):
        announced, dimensions = int(first[0]), int(first[1])
    if not 1 <= dimensions <= 10_000:
        raise ValueError(f"{place} line 1: expected a word and its numbers, with a blank between them")
    return announced, dimensions


def _parted(line: bytes, dimensions: int, strict: bool) -> tuple[bytes, bytes]:
    """The word of a line, and its numbers."""
    word, _, numbers = line.partition(b" ")
    if strict or numbers.count(b" ") == dimensions - 1:
        return word, numbers
    word, *rest = line.rsplit(b" ", dimensions)  # a word that holds blanks
    return word, b" ".join(rest)


def _numbers(lines: list[bytes], dimensions: int) -> np.ndarray:
    """The numbers of some lines, (lines, dimensions) of float32.

    Raises
    ------
    ValueError
        In some line there are more or fewer, or one is no finite number.
    """
    if any(line.count(b" ") != dimensions - 1 for line in lines):
        raise ValueError
    with np.errstate(
        over="ignore"
    ):  # a number too large for float32 becomes infinite, which is asked for below
        vectors: np.ndarray = (
            import_optional("pandas")
            .read_csv(
                io.BytesIO(b"\n".join(lines)),
                sep=" ",
                header=None,
                dtype=np.float32,
                na_filter=False,
                quoting=csv.QUOTE_NONE,
                skip_blank_lines=False,
            )
            .to_numpy()
        )
    if vectors.shape != (len(lines), dimensions) or not np.isfinite(vectors).all():
        raise ValueError
    return vectors


def _fault(lines: list[bytes], first: int, words: list[str], dimensions: int, strict: bool) -> str:
    """What is wrong with the first bad one of some lines, which begin with the line `first`."""
    line_of = {word: number for number, word in enumerate(words, 1)}
    largest = float(np.finfo(np.float32).max)
    for at, line in enumerate(lines, first):
        word, rest = _parted(line, dimensions, strict)
        numbers = rest.split(b" ") if rest else []
        try:
            text = word.decode("utf-8")
        except UnicodeDecodeError:
            return f"line {at}: the word {word[:40]!r} is not UTF-8"
        if strict:
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
    return f"lines {first} to {first + len(lines) - 1}: not all are a word and {dimensions} numbers"
