"""The pictures and tables of a run: how it learned, how it does, how speeches came out. All tell the colours."""

from __future__ import annotations

import csv
import re
import textwrap
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
GREEN, VERMILION, PURPLE, SKY = "#009e73", "#d55e00", "#cc79a7", "#56b4e9"
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
    left.legend(fontsize="small", loc="upper right")
    right.yaxis.set_major_formatter(import_optional("matplotlib.ticker").PercentFormatter(1))
    figure.suptitle(title, parse_math=False)
    save(figure, path)


def reliability_diagram(curves: dict[str, pd.DataFrame], title: str, path: Path) -> None:
    """Accuracy by confidence, which are the same where probabilities are true, and how many answers are so sure.

    The tables by their names, two at most, have a row a bin as `models.sentiment.calibration` makes it.
    """
    figure = new_figure(7, 6.5)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    guess = min(float(bins["from"].min()) for bins in curves.values())
    above.plot([guess, 1], [guess, 1], color="gray", linestyle=":", label="as sure as right")
    styles = zip(curves.items(), ((ORANGE, "s", -1), (BLUE, "o", 1)), strict=False)
    for (name, bins), (color, marker, side) in styles:
        some = bins[bins["texts"] > 0]
        spread = np.abs(some[["low", "high"]].to_numpy() - some[["accuracy"]].to_numpy()).T
        above.errorbar(
            *(some["confidence"], some["accuracy"], spread),
            **{"color": color, "marker": marker, "ms": 5, "capsize": 2, "elinewidth": 1, "label": name},
        )
        width = (bins["to"] - bins["from"]) * 0.42
        middle = (bins["from"] + bins["to"]) / 2
        below.bar(middle + side * width / 2, bins["texts"], width, color=color)
    percent = import_optional("matplotlib.ticker").PercentFormatter(1)
    above.set_ylabel("accuracy")
    above.yaxis.set_major_formatter(percent)
    above.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), fontsize="small", frameon=False)
    below.set_ylabel("texts")
    below.set_xlabel("confidence: the probability of the answer")
    below.xaxis.set_major_formatter(percent)
    figure.suptitle(f"are the probabilities true? {title}", parse_math=False)
    save(figure, path)


def accuracy_by_length(table: pd.DataFrame, title: str, path: Path) -> None:
    """Accuracy of groups of texts by their lengths, beside how sure the model is of them.

    The table has a row a group, as `models.sentiment.assessment` makes it.
    """
    figure = new_figure(8, 4.5)
    axes = figure.subplots()
    where = np.arange(len(table))
    spread = np.abs(table[["low", "high"]].to_numpy() - table[["accuracy"]].to_numpy()).T
    axes.errorbar(
        where, table["accuracy"], spread, color=BLUE, marker="o", capsize=3, label="accuracy, 95 % interval"
    )
    axes.plot(where, table["confidence"], color=ORANGE, marker="s", ms=5, label="mean confidence")
    spans = zip(table["shortest"], table["longest"], table["texts"], strict=True)
    axes.set_xticks(
        where, [f"{shortest:,}-{longest:,}\n({n:,})" for shortest, longest, n in spans], fontsize="small"
    )
    axes.set_xlabel("words of a text (texts in brackets)")
    axes.yaxis.set_major_formatter(import_optional("matplotlib.ticker").PercentFormatter(1))
    axes.legend(fontsize="small", loc="upper left")
    figure.suptitle(f"accuracy by length: {title}", parse_math=False)
    save(figure, path)


def mistakes(table: pd.DataFrame, title: str, path: Path) -> None:
    """Texts that were answered wrong: label, place and beginning of each, and how sure the model was, as bars.

    The table has a row a mistake, as `models.sentiment.assessment` makes it.
    """
    figure = new_figure(13, 1.5 + 0.3 * len(table))
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(4, 1))
    left.set_axis_off()
    left.set_title("label (place among the texts): beginning", loc="left", fontsize="small")
    for i, row in enumerate(table.to_dict("records")):
        text = f"{row['label']} ({row['place']}): {shortened(row['beginning'], 130)}"
        left.text(0, i, text, va="center", fontsize="small", parse_math=False)
    where, colors = np.arange(len(table)), (BLUE, ORANGE, BLACK, GREEN, VERMILION, PURPLE, SKY)
    for i, name in enumerate(sorted({*table["said"], *table["label"]}, reverse=True)):  # positive is blue
        of_it = (table["said"] == name).to_numpy()
        bars = (where[of_it], table["probability"][of_it])
        right.barh(*bars, color=colors[i % len(colors)], label=f"said {shortened(name, 20)}")
    right.set_ylim(max(len(table), 1) - 0.5, -0.5)  # the first row on top
    right.set_xlim(0, 1)
    right.xaxis.set_major_formatter(import_optional("matplotlib.ticker").PercentFormatter(1))
    right.set_xlabel("confidence in the wrong answer")
    if len(table):
        legend = right.legend(
            loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, frameon=False, fontsize="small"
        )
        for text in legend.get_texts():
            text.set_parse_math(False)
    figure.suptitle(f"the most confident mistakes: {title}", parse_math=False)
    save(figure, path)


def csv_for_spreadsheets(table: pd.DataFrame, path: Path) -> None:
    """A table as CSV that a spreadsheet may open: a text that looks like a formula begins with '.

    Every text is in quotation marks, as spreadsheets of some countries take a semicolon for the end of a value.
    """
    safe = table.map(lambda value: f"'{value}" if isinstance(value, str) and FORMULA.match(value) else value)
    with atomic_write(path) as part:
        safe.to_csv(part, index=False, quoting=csv.QUOTE_NONNUMERIC, encoding="utf-8")


def speech_bars(table: pd.DataFrame, paragraphs: pd.DataFrame, warning: str, path: Path) -> None:
    """For each speech the share of positive paragraphs and its interval, and the probability of each paragraph.

    The tables are as `models.sentiment.speeches` makes them; below stands what has to be said beside them.
    """
    contexts = sorted(map(int, table["context"].unique()))
    speakers = table["speaker"][table["context"] == 0].iloc[:MOST_BARS]
    figure = new_figure(12, 2 + 0.45 * len(speakers))
    left, right = figure.subplots(1, 2, sharey=True)
    thick = 0.8 / len(contexts)
    for i, context in enumerate(contexts):
        name = f"{context} neighbour{'s' * (context > 1)} on each side" if context else "each paragraph alone"
        column, hatch = ("positive_in_context", "///") if context else ("positive", "")
        rows = table[table["context"] == context].iloc[:MOST_BARS]
        rows = rows.assign(y=np.arange(len(rows)) - 0.4 + thick * (i + 0.5))[
            rows["paragraphs"].to_numpy() > 0
        ]
        bars = {"height": thick * 0.9, "hatch": hatch, "edgecolor": "white", "linewidth": 0}
        left.barh(rows["y"], rows["positive"], color=BLUE, label=f"positive, {name}", **bars)
        left.barh(
            *(rows["y"], 1 - rows["positive"]),
            left=rows["positive"],
            color=ORANGE,
            label=f"negative, {name}",
            **bars,
        )
        for axes, (value, low, high) in (
            (left, ("positive", "low", "high")),
            (right, ("mean", "mean_low", "mean_high")),
        ):
            spread = np.abs(rows[[low, high]].to_numpy() - rows[[value]].to_numpy()).T
            axes.errorbar(
                *(rows[value], rows["y"]),
                xerr=spread,
                fmt="D",
                ms=4,
                color=BLACK,
                capsize=2,
                elinewidth=1,
                zorder=3,
            )
        of_it = paragraphs[paragraphs["speech"] <= len(speakers)]
        y = of_it["speech"] - 1 - 0.4 + thick * (i + 0.5)
        color = np.where(of_it[column] >= 0.5, BLUE, ORANGE)
        right.scatter(
            of_it[column], y, c=color, marker="x" if context else "o", s=14, alpha=0.6, linewidth=0.8
        )
    counts = table["paragraphs"][table["context"] == 0]
    labels = [f"{shortened(name)} ({n})" for name, n in zip(speakers, counts, strict=False)]
    left.set_yticks(np.arange(len(labels)), labels, parse_math=False)  # a dollar is a dollar
    left.set_ylim(len(labels) - 0.5, -0.5)  # the first row of the table on top
    for axes in (left, right):
        axes.set_xlim(0, 1)
        axes.xaxis.set_major_formatter(import_optional("matplotlib.ticker").PercentFormatter(1))
    n_speeches = int((table["context"] == 0).sum())
    more = f", the first {len(speakers)} of {n_speeches:,} speeches" if n_speeches > len(speakers) else ""
    left.set_xlabel(f"share of paragraphs (their number in brackets){more}")
    right.set_xlabel("probability that a paragraph is positive; their mean")
    right.axvline(0.5, color="gray", linestyle=":", linewidth=0.8)
    figure.legend(loc="outside upper center", ncols=2, frameon=False, fontsize="small")
    figure.supxlabel("\n".join(textwrap.wrap(warning, 150)), fontsize="small", parse_math=False)
    save(figure, path)
