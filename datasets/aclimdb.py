"""Reads the film reviews as Stanford publishes them: a folder ``aclImdb``, or its archive ``aclImdb_v1.tar.gz``.

Each review is a file, ``train/pos/0_9.txt``, whose folder is its label. The archive is read, never unpacked, so
nothing that it names can be written anywhere. Reviews without a label (``train/unsup``) are left alone.
"""

from __future__ import annotations

import gzip
import os
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from datasets.lines import LONGEST_LINE
from datasets.messages import shortened, tell
from datasets.tables import LabelledTexts

_REVIEW = re.compile(r"(?:.*/)?(train|test)/(pos|neg)/([^/]+\.txt)")
_WHOLE = 25_000  # reviews in each split


def is_aclimdb(path: str | os.PathLike[str]) -> bool:
    """Whether a path is such a folder or archive, by its name."""
    return Path(path).is_dir() or Path(path).name.endswith((".tar.gz", ".tgz"))


def load_aclimdb(path: str | os.PathLike[str], split: Literal["train", "test"]) -> LabelledTexts:
    """The reviews of one split, with the labels ``neg`` and ``pos``, in the order of their names.

    A number of reviews that is not the published one is told on standard error.

    Raises
    ------
    FileNotFoundError
        There is no such folder or archive.
    ValueError
        It holds no review of this split with one of the labels, or one that is no UTF-8, empty or longer than
        1 MiB, or is no whole archive. The message names the file.
    """
    path = Path(path)
    found: dict[tuple[str, str], str] = {}
    for label, name, content in (_in_folder if path.is_dir() else _in_archive)(path, split):
        place = f"{path}, {split}/{label}/{shortened(name)}"
        if content is None:
            raise ValueError(f"{place} is a link or a folder, and no review")
        if len(content) > LONGEST_LINE:
            raise ValueError(f"{place} is longer than {LONGEST_LINE:,} bytes, so it is no review")
        if (label, name) in found:
            raise ValueError(f"{place} stands there twice")
        try:
            found[label, name] = content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(f"{place}: the text is not UTF-8 at byte {error.start}") from None
        if not found[label, name].strip():
            raise ValueError(f"{place} is empty")
    for label in ("neg", "pos"):
        if not any(of == label for of, _ in found):
            raise ValueError(f"{path} holds no review {split}/{label}/*.txt, so it is no aclImdb")
    if len(found) != _WHOLE:
        tell(f"{path} holds {len(found):,} reviews of {split}; the whole data set has {_WHOLE:,}")
    return LabelledTexts([found[key] for key in sorted(found)], [label for label, _ in sorted(found)])


def _in_folder(path: Path, split: str) -> Iterator[tuple[str, str, bytes | None]]:
    """Label, name and content of each review in a folder."""
    for label in ("neg", "pos"):
        for file in sorted((path / split / label).glob("*.txt")):
            with open(file, "rb") as opened:
                yield label, file.name, opened.read(LONGEST_LINE + 1)


def _in_archive(path: Path, split: str) -> Iterator[tuple[str, str, bytes | None]]:
    """Label, name and content of each review in an archive; the content of a link is None."""
    with open(path, "rb") as opened:
        try:
            # gzip checks its sum at the end of the file, so that is read too
            with gzip.open(opened) as unpacked, tarfile.open(fileobj=unpacked, mode="r|") as archive:
                for member in archive:
                    review = _REVIEW.fullmatch(member.name)
                    if review is None or review[1] != split:
                        continue
                    file = archive.extractfile(member) if member.isfile() else None
                    yield review[2], review[3], file.read(LONGEST_LINE + 1) if file else None
                while unpacked.read(1 << 20):
                    pass
        except Exception as error:  # tarfile and gzip raise nearly anything
            said = shortened(str(error), 100) or type(error).__name__
            raise ValueError(f"{path} is no whole tar.gz archive ({said}): get it again") from None
