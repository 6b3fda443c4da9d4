"""The settings of one training: each stands here once, with what it may be, its help, and what it is unless given.

A line of `Config` is all that a new setting takes: the option of ``train``, the check of what a file or a person
says, and the entry of ``config.json`` follow from it.
"""

from __future__ import annotations

import math
import os
import reprlib
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

from models.sentiment.model import DIMENSIONS


class Allowed(NamedTuple):
    """What a setting may be: the check, its description, and how an option of the command line is read."""

    fits: Callable[[Any], bool]
    description: str
    option: dict[str, Any]


def whole(first: int, last: int, or_none: bool = False) -> Allowed:
    """Whole numbers of a range; None is all there are."""
    return Allowed(
        lambda x: (or_none and x is None) or (type(x) is int and first <= x <= last),
        f"a whole number from {first:,} to {last:,}{', or null for all there are' if or_none else ''}",
        {"type": int},
    )


def number(fits: Callable[[float], bool], description: str) -> Allowed:
    """Numbers, whole or not, of which a condition holds."""
    return Allowed(
        lambda x: type(x) in (int, float) and abs(x) <= sys.float_info.max and fits(x),
        description,
        {"type": float},
    )


def one_of(*names: str) -> Allowed:
    """One of some words."""
    *first, last = map(repr, names)
    return Allowed(lambda x: x in names, f"{', '.join(first)} or {last}", {"choices": names})


ABOVE_ZERO = number(lambda x: x > 0, "a finite number above 0")
DIRECTORY = Allowed(
    lambda x: x is None or (type(x) is str and x != "" and "\0" not in x),
    "the path of a directory, or null to download",
    {},
)


def setting(allowed: Allowed, help: str, default: Any) -> Any:
    """A field of `Config`."""
    return field(default=default, metadata={"allowed": allowed, "help": help})


@dataclass(frozen=True, kw_only=True)
class Config:
    """The settings of one training, kept in its ``config.json``. A size of None is all there is.

    Raises
    ------
    ValueError
        A setting, from the file or from the command line, is of another type or beyond its range.
    """

    data: str = setting(one_of("demo", "imdb"), "demo is synthetic, and bundled", "demo")
    data_dir: str | None = setting(DIRECTORY, "where the files are; without it they are downloaded", None)
    embeddings: str = setting(
        one_of("glove", "learned"), "word vectors: glove for imdb, learned for demo", "learned"
    )
    train_size: int | None = setting(
        whole(1, 10**7, or_none=True), "a tenth for validation; 2,000 of demo, all of imdb", None
    )
    test_size: int | None = setting(whole(1, 10**7, or_none=True), "500 of demo, all of imdb", None)
    epochs: int = setting(whole(1, 10**6), "14 for demo, 6 for imdb", 14)
    hidden: int = setting(whole(1, 10**9), "units of the LSTM, 32 for demo, 64 for imdb", 32)
    batch_size: int = setting(whole(1, 10**6), "reviews of one step", 32)
    lr: float = setting(ABOVE_ZERO, "learning rate of Adam, 0.01 for demo, 0.003 for imdb", 1e-2)
    seed: int = setting(whole(0, 2**63 - 1), "of all that is drawn", 0)

    def __post_init__(self) -> None:
        for name, allowed in ALLOWED.items():
            value = getattr(self, name)
            if not allowed.fits(value):
                raise ValueError(f"{name} is {reprlib.repr(value)}; it has to be {allowed.description}")
        # float32 numbers: the LSTM's weights, their gradients, and the two averages that Adam keeps of these
        needed, present = 4 * 4 * 4 * self.hidden * (DIMENSIONS + self.hidden + 2), _memory()
        if needed > present:
            raise ValueError(
                f"hidden is {self.hidden}: to train so many units takes {needed / 2**30:,.0f} GiB for weights, "
                f"gradients and Adam's averages alone, and this machine has {present / 2**30:,.0f}; take fewer"
            )


ALLOWED: dict[str, Allowed] = {field.name: field.metadata["allowed"] for field in fields(Config)}

DEFAULTS: dict[str, dict[str, Any]] = {  # of some data, where they differ from those of `Config`
    "demo": {},
    "imdb": {"embeddings": "glove", "epochs": 6, "hidden": 64, "lr": 3e-3},
}


def _memory() -> float:
    """The bytes of this machine's memory; infinitely many where the system does not say."""
    if not hasattr(os, "sysconf"):
        return math.inf
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
