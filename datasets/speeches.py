"""Reads the speeches the trained network is tried on, and repairs the letters garbled in their file."""

import csv
import os
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from datasets.cache import sha256
from datasets.download import SOURCES, fetch
from datasets.lines import ends_with_line, read_lines
from datasets.messages import listed, tell, visible
from datasets.text import LIGATURES
from tinygrad_np.extras import import_optional

if TYPE_CHECKING:
    from pandas import DataFrame

_COLUMNS = ["speaker", "speech", "source"]


def _as_mac_roman(first: int, last: int) -> str:
    """The characters Mac Roman has for a range of bytes, as a class of a regular expression."""
    return "[" + re.escape(bytes(range(first, last + 1)).decode("mac_roman")) + "]"


# What two or three bytes of UTF-8 look like when read as Mac Roman: a first byte, then bytes of 80 to BF.
# Only the first bytes of Latin letters and signs (C2, C3: U+0080 to U+00FF), of typographic marks (E2) and of
# ligatures (EF) count: others are curly quotation marks and dashes in Mac Roman, which may stand before an
# accent in a text that is right.
_GARBLED = re.compile(
    _as_mac_roman(0xC2, 0xC3)
    + _as_mac_roman(0x80, 0xBF)
    + "|"
    + f"[{bytes([0xE2, 0xEF]).decode('mac_roman')}]"
    + _as_mac_roman(0x80, 0xBF)
    + "{2}"
)
_PLAIN_LETTERS = str.maketrans(LIGATURES)


def load_speeches(data_dir: str | os.PathLike[str] | None = None) -> "DataFrame":
    """The speeches, with speaker and source, in readable letters.

    Parts of the published file were UTF-8, read as Mac Roman and written again as UTF-8, so that the ligature
    ``ﬀ`` (bytes EF AC 80) became ``Ô¨Ä``. Each such group of characters is put back: written as Mac Roman it
    gives the old bytes, which are read as UTF-8. Then ligatures become plain letters (``suﬀering`` becomes
    "suffering"), which word vectors know, and white space of any kind and length becomes one blank. Characters
    that steer a terminal, such as those of escape sequences, are written out (``\\x1b``). All others, among them
    accents and quotation marks that were right all along, stay as they are.

    Parameters
    ----------
    data_dir : path, optional
        A directory that holds ``speeches.csv``; without it, the file is downloaded once. If the file is not the
        published one, byte for byte, and does not end with a line feed, it may have been cut off: this is told on
        standard error.

    Returns
    -------
    pandas.DataFrame
        Columns `speaker`, `speech` and `source` (str), in the order of the file.

    Raises
    ------
    ValueError
        If the file is not UTF-8, lacks a column, holds no row, or has a row with a missing or superfluous
        value; the message gives file and line.
    FileNotFoundError, RuntimeError, PermissionError
        As `datasets.download.fetch` raises them.
    """
    pd = import_optional("pandas")
    path = fetch("speeches.csv", data_dir)
    rows: list[dict[str, str]] = []
    try:
        with open(path, "rb") as file:
            reader = csv.reader(
                _decoded(chain.from_iterable(read_lines(file.read, f"{path},")), path), strict=True
            )
            header = next(reader, [])
            missing = [column for column in _COLUMNS if column not in header]
            if missing:
                raise ValueError(f"{path}, line 1: no column {', '.join(missing)} among {listed(header)}")
            first_line = reader.line_num + 1  # a row may stretch over lines: name the one it begins on
            for row in reader:
                place = f"{path}, row {len(rows) + 1} (line {first_line})"
                first_line = reader.line_num + 1
                if len(row) != len(header):
                    raise ValueError(f"{place}: expected {len(header)} values, but found {len(row)}")
                texts = {}
                for column in _COLUMNS:
                    text = _GARBLED.sub(
                        lambda found: found[0].encode("mac_roman").decode("utf-8"), row[header.index(column)]
                    )
                    texts[column] = visible(" ".join(text.translate(_PLAIN_LETTERS).split()))
                    if texts[column].lower() in ("", "nan"):
                        raise ValueError(f"{place}: the {column} is missing")
                rows.append(texts)
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: {error}") from None
    if not rows:
        raise ValueError(f"{path} holds no speech: replace it by the published file, or leave out data_dir")
    if (
        not ends_with_line(path) and sha256(path) != SOURCES[path.name].sha256
    ):  # the published one does not either
        tell(f"{path} does not end with a line feed: row {len(rows)}, its last, may be cut off")
    table: DataFrame = pd.DataFrame(rows, columns=_COLUMNS)
    return table


def _decoded(lines: Iterator[bytes], path: Path) -> Iterator[str]:
    """The lines as text, with a line feed at the end of each: it belongs to a value that stretches over lines."""
    for number, line in enumerate(lines, 1):
        try:
            yield line.decode("utf-8") + "\n"
        except UnicodeDecodeError:
            raise ValueError(f"{path}, line {number}: the text is not UTF-8") from None
