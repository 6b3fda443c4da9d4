"""The pictures of a run: learning curves, and how speeches came out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_np.extras import import_optional
from tinygrad_np.files import atomic_write

if TYPE_CHECKING:
    import pandas as pd

COLORS = {"train": "#4477aa", "validation": "#ee9944", "test": "#228833"}


def new_figure(width: float, height: float) -> Any:
    """A matplotlib figure that belongs to no window."""
    return import_optional("matplotlib.figure").Figure(figsize=(width, height), layout="constrained")


def save(figure: Any, path: Path) -> None:
    """Write a figure as PNG, whole or not at all."""
    with atomic_write(path) as part:
        figure.savefig(part, format="png", dpi=120)


def learning_curves(table: pd.DataFrame, config: Any, path: Path) -> None:
    """Loss and accuracy by epoch, next to what a coin would get."""
    figure = new_figure(9, 4)
    left, right = figure.subplots(1, 2)
    for axes, what, coin in ((left, "loss", np.log(2)), (right, "accuracy", 0.5)):
        for name, color in COLORS.items():
            axes.plot(table["epoch"], table[f"{name}_{what}"], marker="o", color=color, label=name)
        axes.axhline(coin, color="gray", linestyle=":", label="a coin")
        axes.set_xlabel("epoch")
        axes.set_title(what)
        axes.xaxis.get_major_locator().set_params(integer=True)
    best = table["epoch"].to_numpy()[np.argmin(table["validation_loss"])]
    left.axvline(best, color="gray", linewidth=0.8, alpha=0.6)
    left.legend(title="line: the epoch kept", fontsize="small")
    right.yaxis.set_major_formatter(lambda y, _: f"{y:.0%}")
    source = "synthetic demo reviews" if config.data == "demo" else "IMDb reviews"
    figure.suptitle(f"{config.train_size:,} {source}, LSTM of {config.hidden} units")
    save(figure, path)


def speech_bars(table: pd.DataFrame, path: Path) -> None:
    """For each speech the share of positive and of negative paragraphs, as one bar."""
    figure = new_figure(9, 1.2 + 0.32 * len(table))
    axes = figure.subplots()
    shown = table.iloc[::-1]  # the first row of the table on top
    positive = shown["positive"].fillna(0).to_numpy()
    negative = np.where(shown["paragraphs"] > 0, 1 - positive, 0)
    labels = [f"{s} ({n})" for s, n in zip(shown["speaker"], shown["paragraphs"], strict=True)]
    where = np.arange(len(shown))
    axes.barh(where, positive, color="#228833", label="positive")
    axes.barh(where, negative, left=positive, color="#cc6677", label="negative")
    axes.set_yticks(where, labels)
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:.0%}")
    axes.set_xlabel("share of paragraphs (their number in brackets)")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False)
    save(figure, path)
