"""The settings of one training, and what each of them may be."""

from __future__ import annotations

import math
import os
import reprlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from models.sentiment.model import DIMENSIONS


@dataclass(frozen=True)
class Config:
    """The settings of one training, kept in its ``config.json``. A size of None is all there is.

    Raises
    ------
    ValueError
        A setting, from the file or from the command line, is of another type or beyond its range.
    """

    data: str
    data_dir: str | None
    embeddings: str
    train_size: int | None
    test_size: int | None
    epochs: int
    hidden: int
    batch_size: int
    lr: float
    seed: int

    def __post_init__(self) -> None:
        for name, (fits, allowed) in ALLOWED.items():
            value = getattr(self, name)
            if not fits(value):
                raise ValueError(f"{name} is {reprlib.repr(value)}; it has to be {allowed}")
        # float32 numbers: the LSTM's weights, their gradients, and the two averages that Adam keeps of these
        needed, present = 4 * 4 * 4 * self.hidden * (DIMENSIONS + self.hidden + 2), _memory()
        if needed > present:
            raise ValueError(
                f"hidden is {self.hidden}: to train so many units takes {needed / 2**30:,.0f} GiB for weights, "
                f"gradients and Adam's averages alone, and this machine has {present / 2**30:,.0f}; take fewer"
            )


def _whole(first: int, last: int, or_none: bool = False) -> tuple[Callable[[Any], bool], str]:
    """Whole numbers of a range: the check and its description."""
    return (
        lambda x: (or_none and x is None) or (type(x) is int and first <= x <= last),
        f"a whole number from {first:,} to {last:,}{', or null for all there are' if or_none else ''}",
    )


ALLOWED: dict[str, tuple[Callable[[Any], bool], str]] = {
    "data": (lambda x: x in ("demo", "imdb"), "'demo' or 'imdb'"),
    "data_dir": (
        lambda x: x is None or (type(x) is str and x != "" and "\0" not in x),
        "the path of a directory, or null to download",
    ),
    "embeddings": (lambda x: x in ("glove", "learned"), "'glove' or 'learned'"),
    "train_size": _whole(1, 10**7, or_none=True),
    "test_size": _whole(1, 10**7, or_none=True),
    "epochs": _whole(1, 10**6),
    "hidden": _whole(1, 10**9),
    "batch_size": _whole(1, 10**6),
    "lr": (
        lambda x: type(x) in (int, float) and 0 < x <= sys.float_info.max,
        "a finite number above 0",
    ),
    "seed": _whole(0, 2**63 - 1),
}

DEFAULTS = {  # where the command line says nothing
    "demo": {"embeddings": "learned", "epochs": 14, "hidden": 32, "lr": 1e-2},
    "imdb": {"embeddings": "glove", "epochs": 6, "hidden": 64, "lr": 3e-3},
}


def _memory() -> float:
    """The bytes of this machine's memory; infinitely many where the system does not say."""
    if not hasattr(os, "sysconf"):
        return math.inf
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
