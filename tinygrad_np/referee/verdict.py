"""What the referee says: a finding for each parameter, and the verdict of all, as text, table and picture."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from tinygrad_np.extras import import_optional
from tinygrad_np.files import atomic_write

Inputs: TypeAlias = Any
# What may come of a parameter. A disagreement that proves nothing, because the exact side is not known well enough
# or because something as fine as an epsilon explains it, is UNKNOWN; UNTESTED is one that is 0 on both sides.
RIGHT, WRONG, UNKNOWN, UNTESTED = "right", "wrong", "cannot tell", "not tested"


@dataclass(frozen=True)
class Case:
    """Inputs that can be made in many sizes: ``make(rng, **sizes)`` with a seeded generator."""

    make: Callable[..., Inputs]
    sizes: Mapping[str, int]
    seed: int = 0

    @property
    def inputs(self) -> Inputs:
        return self.make(np.random.default_rng(self.seed), **self.sizes)

    def __str__(self) -> str:
        return ", ".join([*(f"{name}={size}" for name, size in self.sizes.items()), f"seed {self.seed}"])


@dataclass(frozen=True)
class Finding:
    """How one parameter came out.

    Attributes
    ----------
    outcome : str
        RIGHT, WRONG, UNKNOWN or UNTESTED.
    relative_error : float
        |hand - exact| / |exact| in Euclidean norm; NaN where exact is 0. Estimated along random directions where
        only slopes are known.
    absolute_error : float
        |hand - exact|.
    cosine : float
        Of the angle between the two; NaN where one is 0, or of one element.
    index, hand, exact
        The place of the largest difference, and the values there.
    reason : str
        Why it cannot be told, or what is wrong without numbers: another shape, not finite.
    """

    outcome: str
    relative_error: float = np.nan
    absolute_error: float = np.nan
    cosine: float = np.nan
    index: tuple[int, ...] = ()
    hand: float = np.nan
    exact: float = np.nan
    reason: str = ""

    @property
    def right(self) -> bool:
        return self.outcome == RIGHT


@dataclass(frozen=True)
class Verdict:
    """What the referee found.

    Attributes
    ----------
    findings : dict of str to Finding
        One a parameter, in the order of the hand gradient: at the smallest case that fails, or at the point
        given.
    case : str
        That case, where there are sizes.
    by_steps : dict of int to dict of str to Finding
        The same at each length of time, where there is one.
    wrong_steps : list of int
        The time steps, counted from 1, whose own contribution is wrong at the first length that fails; empty
        where that cannot be told.
    method : str
        Where the exact gradient comes from: "recorded", "complex step" or "central differences".
    steps : str
        The name of the size that counts time steps.
    tried : int
        How many cases were tried in the search for one that fails.
    """

    findings: dict[str, Finding]
    method: str
    case: str = ""
    steps: str = "T"
    by_steps: dict[int, dict[str, Finding]] = field(default_factory=dict)
    wrong_steps: list[int] = field(default_factory=list)
    tried: int = 1

    @property
    def agrees(self) -> bool:
        return not self.wrong

    @property
    def wrong(self) -> list[str]:
        """The names of the parameters that are wrong."""
        return [name for name, f in self.findings.items() if not f.right]

    def __str__(self) -> str:
        if self.agrees:
            lines = [f"agrees in all of {len(self.findings)} parameters (exact gradient: {self.method})"]
            if self.tried > 1:
                lines[0] += f", in {self.tried} cases"
        else:
            lines = [
                f"disagrees in {len(self.wrong)} of {len(self.findings)} parameters: {', '.join(self.wrong)}"
            ]
            lines[0] += f" (exact gradient: {self.method})"
            if self.case:
                lines.append(f"the smallest case that fails: {self.case}")
                if not self.by_steps:
                    lines.append(
                        f"no size is called {self.steps}, so nothing is said of time: name it with steps="
                    )
            lines += self._over_time()
        width = max([len(name) for name in self.findings], default=0)
        for name, f in self.findings.items():
            text = f"  {name:{width}}  {'right' if f.right else 'WRONG'}  "
            if f.reason:
                text += f.reason
            else:
                text += f"relative error {f.relative_error:.2g}"
                if not np.isnan(f.cosine):
                    text += f", cosine {f.cosine:.4f}"
                if not f.right:
                    text += f"; worst at {list(f.index)}: by hand {f.hand:.6g}, exact {f.exact:.6g}"
            lines.append(text)
        return "\n".join(lines)

    def _over_time(self) -> list[str]:
        """At which lengths of time which parameters turn wrong."""
        lines: list[str] = []
        seen: set[str] = set()
        for length, findings in self.by_steps.items():
            wrong = [name for name, f in findings.items() if not f.right]
            new = [name for name in wrong if name not in seen]
            if not wrong:
                lines.append(f"right at {self.steps}={length}")
            elif new:
                lines.append(
                    f"{'also' if seen else 'first'} wrong at {self.steps}={length} in {', '.join(new)}"
                )
            seen.update(wrong)
        if self.wrong_steps and not lines[0].startswith("first"):  # of a single step there is nothing to tell
            last = next(
                length for length, found in self.by_steps.items() if not all(f.right for f in found.values())
            )
            lines.append(
                f"at {self.steps}={last} the wrong term enters at time step {max(self.wrong_steps)} of {last}"
            )
        return lines

    def to_frame(self) -> Any:
        """The findings as a pandas table, a row a parameter, or a row a parameter and length of time.

        Columns: `parameter`, `right`, `relative_error`, `cosine`, `index`, `hand`, `exact`, `fault`, and before
        them the length of time where there is one.
        """
        pandas = import_optional("pandas")
        rows = [
            {self.steps: length, "parameter": name, **vars(f)}
            for length, findings in self.by_steps.items()
            for name, f in findings.items()
        ] or [{"parameter": name, **vars(f)} for name, f in self.findings.items()]
        return pandas.DataFrame(rows)

    def plot(self, path: str | os.PathLike[str]) -> None:
        """Write a heat map as PNG: the relative error by parameter and length of time."""
        columns = {f"{self.steps}={n}": found for n, found in self.by_steps.items()} or {"": self.findings}
        figure = import_optional("matplotlib.figure").Figure(
            figsize=(2.8 + 0.9 * len(columns), 1.2 + 0.4 * len(self.findings)), layout="constrained"
        )
        axes = figure.subplots()
        figure.colorbar(heat_map(axes, columns), label="log10 of the relative error")
        axes.set_title("hand gradient against the exact one (bold: wrong)", size=10)
        with atomic_write(path) as part:
            figure.savefig(part, format="png", dpi=120)


def heat_map(axes: Any, columns: Mapping[str, Mapping[str, Finding]]) -> Any:
    """Draw relative errors on matplotlib's axes: a row a parameter, a column for the findings of each label.

    The colours run from dark to bright in an order that colour-blind people see too, and what is wrong is bold.

    Returns
    -------
    matplotlib.image.AxesImage
        What a colour bar is made of: log10 of the relative error.
    """
    names = list(next(iter(columns.values())))
    cells = [[findings[name] for findings in columns.values()] for name in names]
    errors = np.array([[cell.relative_error for cell in row] for row in cells])
    # a fault has no number, and counts as a whole error
    shown = np.log10(np.clip(np.nan_to_num(errors, nan=1.0), 1e-16, 1e2))
    image = axes.imshow(shown, aspect="auto", cmap="cividis", vmin=-16, vmax=2)
    for (row, column), value in np.ndenumerate(shown):
        cell = cells[row][column]
        axes.text(
            column,
            row,
            "?" if cell.reason else f"{cell.relative_error:.2g}",
            ha="center",
            va="center",
            size=8,
            color="black" if value > -6 else "white",
            weight="normal" if cell.right else "bold",
        )
    axes.set_yticks(range(len(names)), names)
    axes.set_xticks(range(len(columns)), list(columns))
    return image
