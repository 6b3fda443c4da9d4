"""The pictures of a run: learning curves, and how speeches came out. Their colours are told apart by all."""

from __future__ import annotations

import csv
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from datasets.messages import shortened
from tinygrad_np.extras import import_optional
from tinygrad_np.files import atomic_write

if TYPE_CHECKING:
    import pandas as pd

# Okabe and Ito's colours, which differ for colour-blind people too; markers help in black and white.
BLUE, ORANGE, BLACK = "#0072b2", "#e69f00", "#000000"
CURVES = {"train": (BLUE, "o"), "validation": (ORANGE, "s"), "test": (BLACK, "^")}
MOST_BARS = 100  # in one picture
FORMULA = re.compile(
    r"\s*[=+\-@＝＋－＠]"
)  # how a text begins that spreadsheets take for something to compute
CHANCE = {"loss": np.log(2), "accuracy": 0.5}  # of two classes of the same size


def new_figure(width: float, height: float) -> Any:
    """A matplotlib figure that belongs to no window."""
    return import_optional("matplotlib.figure").Figure(figsize=(width, height), layout="constrained")


def save(figure: Any, path: Path) -> None:
    """Write a figure as PNG, whole or not at all."""
    with atomic_write(path) as part, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")  # a letter of a name: a box stands for it
        figure.savefig(part, format="png", dpi=120)


def learning_curves(table: pd.DataFrame, title: str, path: Path) -> None:
    """Loss and accuracy by epoch, next to those of chance.

    The table has a row an epoch: `epoch`, and ``NAME_loss`` and ``NAME_accuracy`` for some names of `CURVES`.
    With validation, a line marks the epoch of the smallest validation loss.
    """
    figure = new_figure(9, 4)
    left, right = figure.subplots(1, 2)
    for axes, what in ((left, "loss"), (right, "accuracy")):
        for name, (color, marker) in CURVES.items():
            if f"{name}_{what}" in table:
                axes.plot(
                    table["epoch"], table[f"{name}_{what}"], marker=marker, ms=5, color=color, label=name
                )
        axes.axhline(CHANCE[what], color="gray", linestyle=":", label="chance")
        axes.set_xlabel("epoch")
        axes.set_title(what)
        axes.xaxis.get_major_locator().set_params(integer=True)
    if "validation_loss" in table:
        best = table["epoch"].to_numpy()[np.argmin(table["validation_loss"])]
        left.axvline(best, color="gray", linewidth=0.8, alpha=0.6, label="epoch kept")
    left.legend(fontsize="small")
    right.yaxis.set_major_formatter(import_optional("matplotlib.ticker").PercentFormatter(1))
    figure.suptitle(title, parse_math=False)
    save(figure, path)


def speech_csv(table: pd.DataFrame, path: Path) -> None:
    """The table of speeches as CSV that a spreadsheet may open: a text that looks like a formula begins with '.

    Every text is in quotation marks, as spreadsheets of some countries take a semicolon for the end of a value.
    """
    speaker = [f"'{name}" if FORMULA.match(name) else name for name in table["speaker"]]
    with atomic_write(path) as part:
        table.assign(speaker=speaker).to_csv(
            part, index=False, quoting=csv.QUOTE_NONNUMERIC, encoding="utf-8"
        )


def speech_bars(table: pd.DataFrame, path: Path) -> None:
    """For each speech the percentage of positive and of negative paragraphs, as one bar."""
    shown = table.iloc[:MOST_BARS][::-1]  # the first row of the table on top
    figure = new_figure(9, 1.2 + 0.32 * len(shown))
    axes = figure.subplots()
    positive = shown["positive"].fillna(0).to_numpy()
    negative = np.where(shown["paragraphs"] > 0, 1 - positive, 0)
    labels = [f"{shortened(s)} ({n})" for s, n in zip(shown["speaker"], shown["paragraphs"], strict=True)]
    where = np.arange(len(shown))
    axes.barh(where, positive, color=BLUE, label="positive")
    axes.barh(where, negative, left=positive, color=ORANGE, label="negative")
    axes.set_yticks(where, labels, parse_math=False)  # a dollar is a dollar
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(import_optional("matplotlib.ticker").PercentFormatter(1))
    more = f", the first {len(shown)} of {len(table):,} speeches" if len(table) > len(shown) else ""
    axes.set_xlabel(f"paragraphs (their number in brackets){more}")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False)
    save(figure, path)
