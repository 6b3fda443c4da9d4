"""Reads texts of your own, with labels or without: tables (CSV, TSV) and JSON lines, a row at a time.

The kind of a file follows from the end of its name. All are UTF-8, with a byte-order mark or without.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from datasets.lines import read_lines
from datasets.messages import listed, shortened, visible

_OTHER_MARKS = (b"\xff\xfe", b"\xfe\xff")  # the first bytes of UTF-16


class LabelledTexts(NamedTuple):
    """Texts, and the name of the label of each."""

    texts: list[str]
    labels: list[str]


def load_table(path: str | os.PathLike[str], text_column: str, label_column: str) -> LabelledTexts:
    """The texts of a file and their labels.

    Parameters
    ----------
    path : path
        A file that `read_rows` reads.
    text_column, label_column : str
        The names of the columns; of JSON lines, the keys.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        As `read_rows` raises it; or a text or a label is empty, or there is no row. The message gives file and
        line.
    """
    texts, labels = [], []
    for line, (text, label) in read_rows(path, (text_column, label_column)):
        for name, value in ((text_column, text), (label_column, label)):
            if not value.strip():
                raise ValueError(f"{path}, line {line}: the value of {shortened(name)!r} is empty")
        texts.append(text)
        labels.append(label.strip())
    if not texts:
        raise ValueError(f"{path} holds no row")
    return LabelledTexts(texts, labels)


def read_rows(path: str | os.PathLike[str], columns: Sequence[str]) -> Iterator[tuple[int, tuple[str, ...]]]:
    """The values of some columns, row by row, in little memory whatever the file holds.

    Parameters
    ----------
    path : path
        ``.csv`` (of commas, or of semicolons where the first line has these alone), ``.tsv`` or ``.tab``: the first
        line names the columns; a value in double quotes may hold the separator, line feeds, and quotes doubled. Or
        ``.jsonl``, ``.ndjson`` or ``.json``: an object a line, whose values are texts, whole numbers, or true and
        false. Empty lines are skipped.
    columns : sequence of str
        Their names.

    Yields
    ------
    line : int
        Where the row begins, from 1.
    values : tuple of str
        Of the columns, in their order.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        The file is of another kind, no UTF-8, or empty; a column is missing or named twice; a row has too many or
        too few values, or one that is no text. The message gives file and line.
    """
    path = Path(path)
    if path.suffix.lower() not in _READERS:
        raise ValueError(f"{path}: the name of a file of texts ends in {', '.join(_READERS)}")
    with open(path, "rb") as file:
        if file.read(2) in _OTHER_MARKS:
            raise ValueError(f"{path} is UTF-16: save it as UTF-8")
        file.seek(0)
        lines = _decoded(chain.from_iterable(read_lines(file.read, f"{path},")), path)
        yield from _READERS[path.suffix.lower()](lines, path, columns)


def _decoded(lines: Iterator[bytes], path: Path) -> Iterator[str]:
    """The lines as text, with a line feed at the end of each: it belongs to a value that stretches over lines."""
    for number, line in enumerate(lines, 1):
        try:
            yield line.decode("utf-8") + "\n"
        except UnicodeDecodeError as error:
            at = line[error.start : error.start + 10]
            raise ValueError(
                f"{path}, line {number}: the text is not UTF-8 at {at!r}: save the file as UTF-8; "
                f"one of Windows is mostly turned into it by: iconv -f WINDOWS-1252 -t UTF-8"
            ) from None


def _table(lines: Iterator[str], path: Path, columns: Sequence[str]) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Rows of separated values under a line of names."""
    first = next(lines, "")
    separator = "\t" if path.suffix.lower() in (".tsv", ".tab") else ","
    if separator == "," and "," not in first and ";" in first:
        separator = ";"
    reader = csv.reader(chain([first], lines), delimiter=separator, strict=True)
    begins = 1
    try:
        names = next(reader, [])
        places = [_place(name, names, f"{path}, line 1") for name in columns]
        begins = reader.line_num + 1
        for row in reader:
            if row and len(row) != len(names):
                raise ValueError(f"{path}, line {begins}: expected {len(names)} values, but found {len(row)}")
            if row:
                yield begins, tuple(row[place] for place in places)
            begins = reader.line_num + 1
    except csv.Error as error:
        raise ValueError(
            f"{path}, line {begins}: {visible(str(error))}, in the row that begins here"
        ) from None


def _place(name: str, names: list[str], place: str) -> int:
    """Where a column is among the names of a table."""
    if names.count(name) != 1:
        fault = "names the column twice:" if name in names else "no column"
        raise ValueError(f"{place}: {fault} {shortened(name)!r} among {listed(names)}")
    return names.index(name)


def _json_lines(
    lines: Iterator[str], path: Path, columns: Sequence[str]
) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Objects of one line each."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        place = f"{path}, line {number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{place}: no JSON object in one line ({shortened(str(error), 100)})") from None
        if not isinstance(row, dict):
            raise ValueError(
                f"{place}: expected a JSON object, with a name for each value, but found {type(row).__name__}"
            )
        yield number, tuple(_text(row, name, place) for name in columns)


def _text(row: dict[str, object], name: str, place: str) -> str:
    """A value of an object, as text."""
    if name not in row:
        raise ValueError(f"{place}: no {shortened(name)!r} among {listed(row)}")
    value = row[name]
    if not isinstance(value, str | int):
        raise ValueError(
            f"{place}: the value of {shortened(name)!r} is {shortened(json.dumps(value))} and no text"
        )
    text = value if isinstance(value, str) else json.dumps(value)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError(f"{place}: the value of {shortened(name)!r} holds half of a character") from None
    return text


Reader = Callable[[Iterator[str], Path, Sequence[str]], Iterator[tuple[int, tuple[str, ...]]]]
_READERS: dict[str, Reader] = {
    **dict.fromkeys((".csv", ".tsv", ".tab"), _table),
    **dict.fromkeys((".jsonl", ".ndjson", ".json"), _json_lines),
}
