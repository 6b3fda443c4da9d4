"""Reads a file of lines block by block, in little memory whatever it holds, and refuses what is no text."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

BLOCK = 1 << 22  # bytes read at a time: enough to be quick, little enough to need no memory
LONGEST_LINE = 1 << 20  # bytes; the longest review has 14 thousand
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def read_lines(read: Callable[[int], bytes], place: str) -> Iterator[list[bytes]]:
    """The lines of a file without their ends, in lists of some `BLOCK` bytes together.

    A line ends with a line feed, or with a carriage return and a line feed; the last may lack its end. A
    byte-order mark at the beginning of the file is no part of the first line.

    Parameters
    ----------
    read : function
        Gives the next bytes, at most so many, and none at the end: the `read` of a binary file.
    place : str
        What stands in messages before "line 3".

    Raises
    ------
    ValueError
        If a line is longer than `LONGEST_LINE`, or holds a null byte or a carriage return before its end: the
        file is then damaged, or no text in UTF-8. The message gives the line.
    """
    number = 0  # of lines so far
    rest = b""
    block = read(BLOCK).removeprefix(_BYTE_ORDER_MARK)
    while block:
        text = rest + block
        *lines, rest = text.split(b"\n")
        if b"\r" in text:
            lines = [line.removesuffix(b"\r") for line in lines]
        seen = [*lines, rest.removesuffix(b"\r")]
        # asked of the block as a whole, which is quick, and of each line only if something is wrong
        if max(map(len, seen)) > LONGEST_LINE or b"\0" in text or (b"\r" in text and b"\r" in b"".join(seen)):
            _refuse(seen, number, place)
        if lines:
            yield lines
        number += len(lines)
        block = read(BLOCK)
    if rest:
        yield [rest.removesuffix(b"\r")]


def ends_with_line(path: Path) -> bool:
    """Whether the last line of a file has its end; if not, the file may have been cut off within it."""
    with open(path, "rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read() == b"\n"


def _refuse(lines: list[bytes], before: int, place: str) -> None:
    """Say which of some lines is wrong; so many are before them."""
    for number, line in enumerate(lines, before + 1):
        if len(line) > LONGEST_LINE:
            raise ValueError(f"{place} line {number}: the line is longer than {LONGEST_LINE:,} bytes")
        if b"\0" in line:
            raise ValueError(
                f"{place} line {number}: a null byte, so the file is damaged or no text in UTF-8"
            )
        if b"\r" in line:
            raise ValueError(
                f"{place} line {number}: a carriage return within the line, but lines end with a line feed"
            )
