"""The settings of one training: each stands here once, with what it may be, its help, and what it is unless given.

A line of `Config` is all that a new setting takes: the option of ``train``, the check of what a file or a person
says, and the entry of ``config.json`` follow from it.
"""

from __future__ import annotations

import argparse
import math
import os
import reprlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, NamedTuple

DIMENSIONS = 50  # of a word's vector
HEADS = 4  # of the Transformer's attention


class Allowed(NamedTuple):
    """What a setting may be: the check, its description, and how an option of the command line is read."""

    fits: Callable[[Any], bool]
    description: str
    option: dict[str, Any]


def whole(first: int, last: int, or_none: bool = False) -> Allowed:
    """Whole numbers of a range; None is all there are."""
    return Allowed(
        lambda x: (or_none and x is None) or (type(x) is int and first <= x <= last),
        f"a whole number from {first:,} to {last:,}{', or null for no limit' if or_none else ''}",
        {"type": int},
    )


def number(fits: Callable[[float], bool], description: str, or_none: bool = False) -> Allowed:
    """Numbers, whole or not, of which a condition holds."""
    return Allowed(
        lambda x: (
            (or_none and x is None) or (type(x) in (int, float) and abs(x) <= sys.float_info.max and fits(x))
        ),
        description,
        {"type": float},
    )


def one_of(*names: str) -> Allowed:
    """One of some words."""
    *first, last = map(repr, names)
    return Allowed(lambda x: x in names, f"{', '.join(first)} or {last}", {"choices": names})


SWITCH = Allowed(lambda x: type(x) is bool, "true or false", {"action": argparse.BooleanOptionalAction})
NOT_NEGATIVE = number(lambda x: x >= 0, "a finite number from 0")
SHARE = number(lambda x: 0 <= x < 1, "a number from 0 to below 1")
ABOVE_ZERO = number(lambda x: x > 0, "a finite number above 0")
TEXT = Allowed(lambda x: type(x) is str and x != "" and "\0" not in x, "a text of one character or more", {})
NAMES = Allowed(
    lambda x: x is None or (type(x) is list and len({*map(str, x)}) == len(x) > 1 and all(map(TEXT.fits, x))),
    "two names or more, each once, or null for those that the data has",
    {"nargs": "+", "metavar": "LABEL"},
)
PATH = Allowed(lambda x: x is None or TEXT.fits(x), "a path, or null for none", {})
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

    data: str = setting(
        TEXT, "demo (synthetic, and bundled), imdb, or your own texts: a path; see docs/data.md", "demo"
    )
    text_column: str = setting(TEXT, "of your own texts, where each text stands", "text")
    label_column: str = setting(TEXT, "of your own texts, where its label stands", "label")
    labels: list[str] | None = setting(  # noqa: RUF009
        NAMES,
        "the labels in their order; of two, the second one's probability is told; sorted unless given",
        None,
    )
    test_data: str | None = setting(PATH, "file of your own texts to test with", None)
    test_share: float = setting(
        number(lambda x: 0 < x < 1, "a number between 0 and 1"),
        "share to test with, without such a file",
        0.2,
    )
    data_dir: str | None = setting(DIRECTORY, "where the files are; without it they are downloaded", None)
    embeddings: str = setting(
        one_of("glove", "tuned", "learned"),
        "word vectors: glove as it is, tuned from glove, or learned; glove for imdb, learned for demo",
        "learned",
    )
    vectors: str | None = setting(
        PATH, "file of word vectors in place of GloVe 6B: a text of GloVe's, word2vec's or fastText's", None
    )
    train_size: int | None = setting(
        whole(1, 10**7, or_none=True), "a tenth for validation; 2,000 of demo, all of imdb", None
    )
    test_size: int | None = setting(whole(1, 10**7, or_none=True), "500 of demo, all of imdb", None)
    epochs: int = setting(whole(1, 10**6), "14 for demo, 6 for imdb", 14)
    features: str = setting(
        one_of("none", "channels", "wide", "joint"),
        "what counted n-grams do: stand beside the words, are all there is (wide), or both",
        "none",
    )
    max_ngram: int = setting(whole(1, 8), "words of the longest n-gram that is counted", 3)
    max_tokens: int | None = setting(
        whole(1, 10**6, or_none=True),
        "words to read of a text, a quarter from its beginning, the rest its end",
        None,
    )
    network: str = setting(one_of("lstm", "transformer"), "what reads the words", "lstm")
    hidden: int = setting(whole(1, 10**9), "units of a layer and direction, 32 for demo, 64 for imdb", 32)
    layers: int = setting(whole(1, 100), "layers of the network", 1)
    bidirectional: bool = setting(SWITCH, "whether a second LSTM reads from the end", False)
    pooling: str = setting(
        one_of("last", "mean", "max", "mean-max", "attention"), "what the words' outputs become", "mean"
    )
    norm: str = setting(one_of("none", "batch", "layer"), "normalisation of each layer's outputs", "none")
    init: str = setting(
        one_of("default", "xavier", "orthogonal"), "initial matrices of the network", "default"
    )
    dropout: float = setting(SHARE, "dropout behind the pooling, and between layers", 0.3)
    input_dropout: float = setting(SHARE, "dropout of the word vectors, the same all along a text", 0.0)
    recurrent_dropout: float = setting(
        SHARE, "dropout of the LSTM's weights between the steps, or in the Transformer's blocks", 0.0
    )
    word_dropout: float = setting(SHARE, "how many words are unknown in training", 0.0)
    channel_dropout: float = setting(SHARE, "dropout of the channels beside the words", 0.0)
    batch_size: int = setting(whole(1, 10**6), "reviews of one step", 32)
    lr: float = setting(ABOVE_ZERO, "learning rate of Adam, 0.01 for demo, 0.003 for imdb", 1e-2)
    embedding_lr: float | None = setting(
        number(lambda x: x > 0, "a finite number above 0, or null for that of the rest", or_none=True),
        "learning rate of the word vectors, where they are trained",
        None,
    )
    weight_decay: float = setting(NOT_NEGATIVE, "what AdamW takes of each weight, times the rate", 0.0)
    schedule: str = setting(
        one_of("constant", "linear", "cosine"), "how the learning rate falls until the end", "constant"
    )
    warmup: int = setting(whole(0, 10**6), "steps in which the learning rate rises", 0)
    max_norm: float = setting(NOT_NEGATIVE, "the largest norm of all gradients; 0 is any", 5.0)
    ema: float = setting(SHARE, "decay of the average of the weights that is kept; 0 is none", 0.0)
    patience: int | None = setting(
        whole(1, 10**6, or_none=True), "epochs without a smaller validation loss, after which it stops", None
    )
    seed: int = setting(whole(0, 2**63 - 1), "of all that is drawn", 0)

    def __post_init__(self) -> None:
        for name, allowed in ALLOWED.items():
            value = getattr(self, name)
            if not allowed.fits(value):
                raise ValueError(f"{name} is {reprlib.repr(value)}; it has to be {allowed.description}")
        if self.data in ("demo", "imdb") and (self.test_data or self.labels):
            raise ValueError(f"test_data and labels are of your own texts, and data is {self.data}")
        if self.vectors and self.embeddings == "learned":
            raise ValueError("embeddings are learned, so vectors are not read: take glove or tuned")
        if self.network == "transformer" and self.bidirectional:
            raise ValueError("bidirectional is of the LSTM: a Transformer reads in no direction")
        if self.network == "transformer" and self.hidden % HEADS:
            raise ValueError(
                f"hidden is {self.hidden}; it has to be a multiple of {HEADS}, the heads of the Transformer"
            )
        # float32 numbers: the network's weights, their gradients, and the two averages that Adam keeps of these
        needed, present = 4 * 4 * self.network_size(), _memory()
        if needed > present:
            raise ValueError(
                f"hidden is {self.hidden}: to train so many units takes {needed / 2**30:,.0f} GiB for weights, "
                f"gradients and Adam's averages alone, and this machine has {present / 2**30:,.0f}; take fewer"
            )

    @property
    def title(self) -> str:
        """What the model is, in words."""
        if self.features == "wide":
            return f"linear model of n-grams of up to {self.max_ngram} words"
        beside = {"none": "", "channels": " beside counted n-grams", "joint": " and linear model of n-grams"}
        reader = "Transformer" if self.network == "transformer" else "LSTM"
        both = "bidirectional " if self.bidirectional else ""
        return f"{both}{reader} of {self.hidden} units{beside[self.features]}"

    def what_decides(self) -> dict[str, Any]:
        """The settings that decide how a training goes: not where the files are."""
        return {name: value for name, value in asdict(self).items() if name != "data_dir"}

    def network_size(self) -> int:
        """Numbers in the weights of the LSTMs or of the Transformer's blocks, at least."""
        if self.features == "wide":
            return 0
        if self.network == "transformer":
            return 8 * self.layers * self.hidden**2
        directions = 2 if self.bidirectional else 1
        inputs = (1 if self.vectors else DIMENSIONS) + (
            self.layers - 1
        ) * directions * self.hidden  # of all layers
        return 4 * directions * self.hidden * (inputs + self.layers * (self.hidden + 2))


ALLOWED: dict[str, Allowed] = {field.name: field.metadata["allowed"] for field in fields(Config)}

OF_DEMO: dict[str, Any] = {"word_dropout": 0.03}  # else a comma where the corpus has none decides
OF_REAL_TEXTS: dict[str, Any] = {"embeddings": "glove", "epochs": 6, "hidden": 64, "lr": 3e-3}
OF_NGRAMS: dict[str, Any] = {  # beside them the network learns quickly, and would soon learn by heart
    **{"embeddings": "tuned", "embedding_lr": 1.5e-3, "max_ngram": 4, "max_tokens": 400},
    **{"bidirectional": True, "pooling": "mean-max", "batch_size": 64, "epochs": 3},
    **{"dropout": 0.5, "input_dropout": 0.3, "word_dropout": 0.2, "channel_dropout": 0.2},
    **{"schedule": "cosine", "warmup": 50, "max_norm": 1.0, "ema": 0.995},
}


def configured(given: Mapping[str, Any]) -> Config:
    """The settings that are given, and for all others those that go with the data and the features."""
    real = given.get("data", "demo") != "demo"
    usual: dict[str, Any] = OF_REAL_TEXTS if real else OF_DEMO
    if given.get("vectors"):
        usual = usual | {"embeddings": "glove"}
    if real and given.get("features") in ("channels", "wide", "joint"):
        usual = usual | OF_NGRAMS
    return Config(**usual | dict(given))


def _memory() -> float:
    """The bytes of this machine's memory; infinitely many where the system does not say."""
    if not hasattr(os, "sysconf"):
        return math.inf
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
