"""The closing table, the file of all numbers, and the picture."""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.harness import NEEDS, Row, groups, number
from tinygrad_np.extras import import_optional
from tinygrad_np.files import atomic_write

COLORS = {
    "ours": "#228833",
    "PyTorch": "#ee9944",
    "JAX": "#4477aa",
    "MyGrad": "#aa3377",
    "autograd": "#66ccee",
}
OTHERS = "#999999"
PAPER = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}  # behind a number, so that no line crosses it


def machine() -> dict[str, str]:
    """What the numbers depend on."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        processor = next(line.partition(": ")[2] for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        processor = platform.processor()
    found = {
        "processor": processor,
        "cores": str(os.cpu_count()),
        "system": platform.system(),
        "python": platform.python_version(),
    }
    for package in sorted({package for package, _ in NEEDS.values()}):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def table(rows: Sequence[Row]) -> str:
    """All rows as a Markdown table. The last column but one: above 1 the first row of a group is better."""
    lines = [
        "| case | what | who | median | quartiles | unit | × | of the limit |",
        "| --- | --- | --- | ---: | --- | --- | ---: | ---: |",
    ]
    for group in groups(rows):
        for row in group:
            low, high = row.spread
            part = row.of_the_limit()
            cells = (
                row.case,
                row.what,
                row.peer,
                number(row.median),
                f"{number(low)} to {number(high)}" if len(row.values) > 1 else "once",
                row.unit,
                f"{group[0].times_better_than(row):.2f}",
                "" if part is None else f"{part:.0%}",
            )
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def write(rows: Sequence[Row], about: dict[str, str], path: Path) -> None:
    """Everything as JSON: the machine, and each row with all of its values."""
    content = {
        "machine": about,
        "rows": [
            {**asdict(row), "median": row.median, "ratio": group[0].times_better_than(row)}
            for group in groups(rows)
            for row in group
        ],
    }
    with atomic_write(path) as part:
        part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def draw(rows: Sequence[Row], about: dict[str, str], path: Path) -> None:
    """A panel a case: a bar for each contender, on a logarithmic scale, and the limit as a line through it.

    Ops and what takes only seconds once are left to the table.
    """
    panels: dict[str, list[list[Row]]] = {}
    for group in groups(rows):
        if group[0].case not in ("op", "import", "data") and not group[0].what.endswith("imports"):
            panels.setdefault(group[0].case, []).append(group)
    heights = [sum(len(group) + 1 for group in found) for found in panels.values()]
    figure = import_optional("matplotlib.figure").Figure(
        figsize=(10, 1 + 0.17 * sum(heights) + 0.6 * len(heights)), layout="constrained"
    )
    all_axes = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, (case, found) in zip(all_axes, panels.items(), strict=True):
        y, ticks, labels = 0, [], []
        for group in found:
            for row in group:
                color = next((c for name, c in COLORS.items() if row.peer.startswith(name)), OTHERS)
                axes.barh(y, row.median, color=color, height=0.85)
                axes.plot(row.spread, (y, y), color="black", linewidth=1)
                times = group[0].times_better_than(row)
                said = f" {number(row.median)}" + ("" if row is group[0] else f"  (×{times:.2f})")
                axes.text(max(row.spread[1], row.median), y, said, va="center", fontsize=7, bbox=PAPER)
                if row.limit is not None:
                    axes.plot((row.limit, row.limit), (y - 0.5, y + 0.5), color="#cc3311", linewidth=1.5)
                ticks.append(y)
                labels.append(f"{row.what}: {row.peer}")
                y += 1
            y += 1
        axes.set_yticks(ticks, labels, fontsize=7)
        axes.set_xscale("log")
        axes.set_ylim(y - 1, -1)
        ends = [x for group in found for row in group for x in (row.median, row.limit) if x is not None]
        axes.set_xlim(10 ** math.floor(math.log10(min(ends))), 2.5 * max(ends))
        axes.xaxis.set_major_formatter("{x:,.7g}")
        axes.xaxis.set_minor_formatter("")
        better = "more is better" if found[0][0].more_is_better else "less is better"
        axes.set_title(f"{case}, {found[0][0].unit}: {better}", fontsize=9, loc="left")
        axes.tick_params(axis="x", labelsize=7)
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(
        "Medians, quartiles, and × how many times the first of the group is better.\n"
        "Red: the limit, as many operations in the fastest product of matrices.\n"
        f"{about['processor']}, {about['cores']} cores, Python {about['python']}",
        fontsize=8,
    )
    with atomic_write(path) as part:
        figure.savefig(part, format="png", dpi=130)
