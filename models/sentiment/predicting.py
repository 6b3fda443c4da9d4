"""Asks a model about any number of texts: a file's, or lines of standard input, in little memory.

Some thousand texts are taken at a time and sorted by length, so that little is padded; the answers come in the
order of the texts.
"""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple, TextIO

import numpy as np

from datasets.text import TokenizedTexts, tokenize_texts
from models.sentiment.calibration import confidences

AT_A_TIME = 4096  # texts: enough that those of a batch are of about one length
COLUMNS = ("line", "label", "probability")
SECONDS = 5.0  # between two lines of progress


class Prediction(NamedTuple):
    """What a model says of a text: where that begins, the label, and how probable it is held to be."""

    line: int
    label: str
    probability: float


def predictions(
    rows: Iterable[tuple[int, str]], ask: Callable[[TokenizedTexts], np.ndarray], classes: Sequence[str]
) -> Iterator[Prediction]:
    """An answer for each text, in the order of the texts.

    Parameters
    ----------
    rows : iterable of (int, str)
        Line and text of each.
    ask : function
        Gives the probabilities (texts, classes), or of two classes those of the second one (texts,).
    classes : sequence of str
        The names of the labels.
    """
    rows = iter(rows)
    while some := list(islice(rows, AT_A_TIME)):
        p = ask(tokenize_texts(text for _, text in some))
        of_these = confidences(p)
        for (line, _), label, of_it in zip(some, likeliest(p).tolist(), of_these.tolist(), strict=True):
            yield Prediction(line, classes[label], of_it)


def likeliest(p: np.ndarray) -> np.ndarray:
    """The label of each text, from the probabilities; of two that are as probable, the second one."""
    return (p >= 0.5).astype(np.int64) if p.ndim == 1 else p.argmax(axis=1)


def lines_of(file: TextIO) -> Iterator[tuple[int, str]]:
    """The lines of a text, from 1."""
    try:
        for number, line in enumerate(file, 1):
            yield number, line.rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"standard input: the text is not UTF-8 ({error.reason} at byte {error.start})"
        ) from None


def write_predictions(found: Iterable[Prediction], file: TextIO, progress: bool) -> int:
    """Write predictions as CSV, a row for each text; how many, and how fast, is told on standard error."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    begin = last = time.perf_counter()
    n = 0
    for n, (line, label, probability) in enumerate(found, 1):
        writer.writerow((line, label, f"{probability:.4f}"))
        if progress and n % 256 == 0 and (now := time.perf_counter()) - last > SECONDS:
            last = now
            print(f"{n:,} texts, {60 * n / (now - begin):,.0f} a minute", file=sys.stderr, flush=True)
    if progress:
        rate = 60 * n / max(time.perf_counter() - begin, 1e-9)
        print(f"{n:,} texts, {rate:,.0f} a minute", file=sys.stderr, flush=True)
    return n
