"""The pictures: one for each question, a few bars each, wide enough for a phone.

A picture carries the figures that it shows as text in its file ("Description"), so that a test can say whether it
shows what was measured.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness import number
from tinygrad_np.extras import import_optional
from tinygrad_np.files import atomic_write

COLORS = {  # by how a contender's name begins; of Okabe and Ito, whom the colour-blind can tell apart
    "ours": "#0072B2",
    "PyTorch": "#E69F00",
    "JAX": "#009E73",
    "MyGrad": "#CC79A7",
    "autograd": "#D55E00",
}
OTHERS = "#888888"
WIDTH, DPI = 8, 100  # inches, dots an inch: 800 dots
LARGE, SMALL = 14, 11  # points


@dataclass(frozen=True)
class Picture:
    """A question, what the bars say and in which unit, and groups of bars: a label, and (who, how much) each."""

    question: str
    said: str
    groups: Sequence[tuple[str, Sequence[tuple[str, float]]]]

    def description(self) -> str:
        """All that it shows, as JSON."""
        shown = [[label, [[who, number(value)] for who, value in group]] for label, group in self.groups]
        return json.dumps([self.question, self.said, shown])


def draw(picture: Picture, path: Path) -> None:
    """Draw horizontal bars with their names and numbers beside them, from 0, as PNG."""
    bars = sum(len(group) for _, group in picture.groups)
    height = 1.1 + 0.31 * bars + 0.42 * len(picture.groups)
    figure = import_optional("matplotlib.figure").Figure(
        figsize=(WIDTH, height), dpi=DPI, layout="constrained"
    )
    axes = figure.subplots()
    largest = max(value for _, group in picture.groups for _, value in group)
    y, places, names = 0.0, [], []
    for label, group in picture.groups:
        if label:
            axes.text(0.01 * largest, y, label, va="center", fontsize=SMALL, fontweight="bold")
            y += 1
        for who, value in group:
            color = next((c for name, c in COLORS.items() if who.startswith(name)), OTHERS)
            axes.barh(y, value, color=color, height=0.8)
            axes.text(value + 0.01 * largest, y, number(value), va="center", fontsize=SMALL)
            places.append(y)
            names.append(who)
            y += 1
        y += 0.4
    axes.set_yticks(places, names, fontsize=SMALL)
    axes.set_ylim(y - 0.8, -0.6)
    axes.set_xlim(0, 1.12 * largest)
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    figure.suptitle(picture.question, fontsize=LARGE, fontweight="bold", x=0.01, ha="left")
    axes.set_title(picture.said, fontsize=SMALL, loc="right")
    with atomic_write(path) as part:
        figure.savefig(part, format="png", metadata={"Description": picture.description()})
