"""What the referee says: a finding for each parameter, and the verdict of all, as text, table and picture."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_np.extras import import_optional
from tinygrad_np.files import atomic_write

if TYPE_CHECKING:
    from tinygrad_np.referee.diagnosis.slip import Slip

# What may come of a parameter. A disagreement that proves nothing, because the exact side is not known well enough
# or something as fine as an epsilon would explain it, is UNKNOWN; UNTESTED is a gradient of 0 on both sides.
RIGHT, WRONG, UNKNOWN, UNTESTED = "right", "wrong", "cannot tell", "not tested"


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
        Why it cannot be told, or what is wrong without numbers: another shape, not finite; or what a right one
        was granted, such as an epsilon that is taken as 0.
    nearly : bool
        Of an UNKNOWN one: there is a disagreement, and it is too fine to be called wrong.
    """

    outcome: str
    relative_error: float = np.nan
    absolute_error: float = np.nan
    cosine: float = np.nan
    index: tuple[int, ...] = ()
    hand: float = np.nan
    exact: float = np.nan
    reason: str = ""
    nearly: bool = False

    @property
    def right(self) -> bool:
        return self.outcome == RIGHT

    def __str__(self) -> str:
        text = f"{self.outcome.upper() if self.outcome == WRONG else self.outcome}  "
        numbers = []
        if not np.isnan(self.relative_error):
            numbers.append(f"relative error {self.relative_error:.2g}")
        elif not np.isnan(self.absolute_error):
            numbers.append(f"exact is 0, by hand it is {self.absolute_error:.2g} long")
        if not np.isnan(self.cosine):
            numbers[-1] += f", cosine {self.cosine:.4f}"
        if self.outcome == WRONG and not np.isnan(self.hand):
            numbers.append(f"worst at {list(self.index)}: by hand {self.hand:.6g}, exact {self.exact:.6g}")
        return text + "; ".join([*numbers, *([self.reason] if self.reason else [])])


@dataclass(frozen=True)
class Verdict:
    """What the referee found.

    Attributes
    ----------
    findings : dict of str to Finding
        One a parameter, in the order of the hand gradient. Where something is wrong: at the smallest case that
        fails. Else the worst of all cases.
    method : str
        Where the exact gradient comes from: "recorded", "complex step" or "central differences".
    why : str
        Why the forward was not recorded, with file and line; empty where it was.
    case : str
        The smallest case that fails, where there are sizes.
    steps : str
        The name of the size that counts time steps.
    by_steps : dict of int to dict of str to Finding
        The worst finding of several draws at each length of time, where there is one.
    wrong_steps : list of int
        The time steps, counted from 1, whose own contribution is wrong at the first length that fails; empty
        where that cannot be told.
    tried : int
        How many cases were tried.
    covered : dict of str to (int, int)
        The smallest and the largest of each size that was tried.
    notes : tuple of str
        What was done to take the code as it is, and what else the user should know.
    slips : list of Slip
        What the mistake is: those that explain the numbers, the likeliest first.
    places : dict of str to str
        Where in the user's file the gradients that are wrong are computed, as far as that is found: "lstm.py:57".
    """

    findings: dict[str, Finding]
    method: str
    why: str = ""
    case: str = ""
    steps: str = "T"
    by_steps: dict[int, dict[str, Finding]] = field(default_factory=dict)
    wrong_steps: list[int] = field(default_factory=list)
    tried: int = 1
    covered: dict[str, tuple[int, int]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    slips: list[Slip] = field(default_factory=list)
    places: dict[str, str] = field(default_factory=dict)

    @property
    def outcome(self) -> str:
        """WRONG if any parameter is; else UNKNOWN if any is, or was not tested; else RIGHT."""
        if self.wrong:
            return WRONG
        return RIGHT if self.agrees else UNKNOWN

    @property
    def agrees(self) -> bool:
        """Whether all parameters were tested and are right."""
        return all(f.right for f in self.findings.values())

    @property
    def wrong(self) -> list[str]:
        """The names of the parameters that are wrong."""
        return self._with(WRONG)

    def _with(self, outcome: str) -> list[str]:
        return [name for name, f in self.findings.items() if f.outcome == outcome]

    def __str__(self) -> str:
        """The verdict as text: one sentence, what explains it, how it goes over time, and a line a parameter."""
        count = len(self.findings)
        said = [f"disagrees in {len(self.wrong)} of {count} parameters: {', '.join(self.wrong)}"] * bool(
            self.wrong
        )
        if self.agrees:
            said.append(f"agrees in all of {count} parameters")
        for outcome in (UNKNOWN, UNTESTED):
            if not self.wrong and (names := self._with(outcome)):
                said.append(f"{outcome} in {len(names)} of {count} parameters: {', '.join(names)}")
        lines = ["; ".join(said) + f" (exact gradient: {self.method})"]
        if self.tried > 1 and not self.wrong:
            lines[0] += f", in {self.tried} cases"
        if self.case:
            lines.append(f"the smallest case that fails: {self.case}")
        lines += self._over_time()
        if self.wrong:
            lines += [f"{'or' if i else 'what explains it'}: {slip}" for i, slip in enumerate(self.slips)]
            if not self.slips:
                lines.append("no pattern that is known here explains these numbers")
        width = max([len(name) for name in self.findings], default=0)
        for name, finding in self.findings.items():
            computed = f"; computed at {self.places[name]}" if name in self.places else ""
            lines.append(f"  {name:{width}}  {finding}{computed}")
        if self.covered:
            sizes = ", ".join(
                f"{name}={low}" if low == high else f"{name}={low} to {high}"
                for name, (low, high) in self.covered.items()
            )
            lines.append(
                f"sizes tried: {sizes}; above is the {'smallest failure' if self.wrong else 'worst of all'}"
            )
        if self.why:
            lines.append(f"the forward was not recorded: {self.why}")
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])

    def _over_time(self) -> list[str]:
        """At which lengths of time which parameters turn wrong."""
        lines: list[str] = []
        seen: set[str] = set()
        for length, findings in self.by_steps.items() if self.wrong else ():
            by_outcome: dict[str, list[str]] = {}
            for name, f in findings.items():
                by_outcome.setdefault(f.outcome, []).append(name)
            new = [name for name in by_outcome.get(WRONG, []) if name not in seen]
            if WRONG not in by_outcome:
                rest = [f"{', '.join(by_outcome[o])}: {o}" for o in (UNKNOWN, UNTESTED) if o in by_outcome]
                lines.append(f"right at {self.steps}={length}" + f" ({'; '.join(rest)})" * bool(rest))
            elif new:
                lines.append(
                    f"{'also' if seen else 'first'} wrong at {self.steps}={length} in {', '.join(new)}"
                )
            seen.update(new)
        if self.wrong_steps and not lines[0].startswith("first"):  # of a single step there is nothing to tell
            last = next(
                n for n, found in self.by_steps.items() if any(f.outcome == WRONG for f in found.values())
            )
            lines.append(
                f"at {self.steps}={last} the wrong term enters at time step {max(self.wrong_steps)} of {last}"
            )
        return lines

    def to_frame(self) -> Any:
        """The findings as a pandas table, a row a parameter, or a row a parameter and length of time.

        Columns: `parameter`, the fields of `Finding`, and before them the length of time where there is one.
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
    errors = np.array(
        [[0.0 if cell.outcome == UNTESTED else cell.relative_error for cell in row] for row in cells]
    )
    # what is wrong without a number counts as a whole error, and what was not tested as none
    shown = np.log10(np.clip(np.nan_to_num(errors, nan=1.0), 1e-16, 1e2))
    image = axes.imshow(shown, aspect="auto", cmap="cividis", vmin=-16, vmax=2)
    for (row, column), value in np.ndenumerate(shown):
        cell = cells[row][column]
        axes.text(
            column,
            row,
            "?" if np.isnan(cell.relative_error) else f"{cell.relative_error:.2g}",
            ha="center",
            va="center",
            size=8,
            color="black" if value > -6 else "white",
            weight="bold" if cell.outcome == WRONG else "normal",
        )
    axes.set_yticks(range(len(names)), names)
    axes.set_xticks(range(len(columns)), list(columns))
    return image
