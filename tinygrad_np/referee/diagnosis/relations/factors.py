"""by hand = c x exact: a sign, a mean for a sum, a clipped norm, or any other factor."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np

from tinygrad_np.referee.diagnosis.relations.point import (
    Explanation,
    Point,
    distinct,
    first_wrong,
    number,
    place,
    round_number,
    solid,
)

# Each size with its value at every point.
Lengths: TypeAlias = dict[str, list[int]]
BATCH = ("batch", "batch_size", "b", "n", "m", "samples", "bs")
HIDDEN = ("h", "hidden", "hidden_size", "units", "n_hidden", "n_a", "n_h")
TIME = ("t", "time", "steps", "timesteps", "seq", "seq_len", "length", "seq_length", "t_x")


def lengths_of(points: Sequence[Point]) -> Lengths:
    """The sizes that all points have, by name, and the axes of parameters that are none of them."""
    lengths: Lengths = {}
    for name in points[0].sizes:
        if all(name in point.sizes for point in points):
            lengths[name] = [int(point.sizes[name]) for point in points]
    for name in points[0].value:
        for axis in range(min(point.value[name].ndim for point in points)):
            found = [point.value[name].shape[axis] for point in points]
            if found not in lengths.values():
                lengths[f"axis {axis} of {name}"] = found
    return {name: found for name, found in lengths.items() if min(found) > 0 and max(found) > 1}


def oddity(label: str) -> float:
    """How seldom somebody forgets to divide by it, or divides by it too often."""
    if label.startswith("axis "):
        return 0.3
    known = ((BATCH, 0.0), (TIME, 0.1), (HIDDEN, 0.5))
    return next((cost for labels, cost in known if label.lower() in labels), 0.2)


@dataclass(frozen=True)
class Formula:
    """A factor made of sizes: sign * 2^twos * product(times) / product(over), or the root of that."""

    sign: int
    twos: int
    times: tuple[str, ...]
    over: tuple[str, ...]
    root: bool = False

    def at(self, lengths: Lengths, i: int) -> float:
        times, over = ([lengths[label][i] for label in labels] for labels in (self.times, self.over))
        c = self.sign * 2.0**self.twos * math.prod(times) / math.prod(over)
        return math.sqrt(c) if self.root else c

    @property
    def cost(self) -> float:
        """How far-fetched it is."""
        labels = self.times + self.over
        # a 2 without a size is the rarer reading of a batch of 2, and with one it is a second mistake
        two = 1.5 if labels else 1.15
        both = 0.3 * bool(self.times and self.over) + 0.4 * self.root
        return (self.sign < 0) + two * abs(self.twos) + both + sum(1 + oddity(label) for label in labels)

    @property
    def key(self) -> str:
        if self.root:
            return "root"
        if self.times and self.over:
            return "divisor"
        if self.times or self.over:
            return "sum for mean" if self.times else "mean for sum"
        return "square" if self.twos else "sign"

    def meaning(self, lengths: Lengths, i: int) -> str:
        """What somebody may have done to get this factor, with the sizes at a point."""

        def product(labels: tuple[str, ...]) -> str:
            # the length of an axis has no name of its own to put before it
            values = [lengths[label][i] for label in labels]
            return " * ".join(
                f"{n} ({label})" if label.startswith("axis ") else f"{label}={n}"
                for label, n in zip(labels, values, strict=True)
            )

        if self.root:
            less, more = (f"1 / sqrt({product(labels)})" for labels in (self.times, self.over))
            return f"{less} is missing" if self.times else f"{more} too much"
        parts = ["a sign"] if self.sign < 0 else []
        if self.times and self.over:
            parts.append(
                f"divided by {product(self.over)}, where the forward divides by {product(self.times)}"
            )
        elif self.over:
            parts.append(f"a mean over {product(self.over)}, where the forward has a sum")
        elif self.times:
            parts.append(f"a sum over {product(self.times)}, where the forward has a mean")
        if self.twos < 0:
            parts.append("the 2 of a square's derivative is missing")
        elif self.twos > 0:
            parts.append("a 2 too much, as where the forward halves a square, or something is added twice")
        return ", and ".join(parts)


@lru_cache(maxsize=64)
def formulas(labels: tuple[str, ...]) -> list[Formula]:
    """The factors that these sizes give, the simplest first."""
    found = []
    for count in range(4):
        for chosen in itertools.combinations(labels[:10], count):
            for powers in itertools.product((1, -1), repeat=count):
                times = tuple(label for label, p in zip(chosen, powers, strict=True) if p > 0)
                over = tuple(label for label, p in zip(chosen, powers, strict=True) if p < 0)
                found += [Formula(s, two, times, over) for s in (1, -1) for two in (0, 1, -1)]
                if count == 1:
                    found.append(Formula(1, 0, times, over, root=True))
    return sorted(found, key=lambda formula: formula.cost)[1:]  # the first is 1


def ratio(point: Point, name: str) -> float | None:
    """The factor of a hand gradient that is a multiple of the exact one; NaN where both are 0; else None."""
    hand, exact = point.hand[name], point.exact[name]
    if hand.shape != exact.shape:
        return None
    if point.close(exact, np.zeros_like(exact)):
        return np.nan if point.close(hand, exact) else None
    c = float(np.vdot(hand, exact) / np.vdot(exact, exact))
    return c if c and point.fits(name, c * exact) else None


def ratios(points: Sequence[Point], names: Sequence[str]) -> dict[str, list[float]]:
    """The factors at all points, of the parameters that have one at each."""
    found = {}
    for name in names:
        row = [c for point in points if (c := ratio(point, name)) is not None]
        if len(row) == len(points):
            found[name] = row
    return found


def alike(a: Sequence[float], b: Sequence[float], tolerance: float) -> bool:
    """Whether two rows of factors, a point each, are the same wherever both are known."""
    x, y = np.array(a), np.array(b)
    known = np.isfinite(x) & np.isfinite(y)
    return bool(np.all(np.abs(x - y)[known] <= 3 * tolerance * np.abs(x)[known]))


def factors(points: Sequence[Point], wrong: Sequence[str]) -> Iterator[Explanation]:
    """A factor that is made of sizes, any constant, or at least one for all parameters."""
    tolerance = max(point.tolerance for point in points)
    groups: list[tuple[list[str], list[float]]] = []  # parameters with the same factors, and these
    for name, row in ratios(points, wrong).items():
        for names, together in groups:
            if alike(row, together, tolerance):
                names.append(name)
                together[:] = [c if np.isfinite(c) else d for c, d in zip(together, row, strict=True)]
                break
        else:
            groups.append(([name], row))
    for names, row in groups:
        explanation = explained_factor(points, names, row, tolerance)
        if explanation and not (explanation.weak and len(names) < len(wrong)):
            yield explanation


def explained_factor(
    points: Sequence[Point], names: list[str], row: list[float], tolerance: float
) -> Explanation | None:
    """What is said of parameters that have one factor in each case."""
    lengths, where, explained = lengths_of(points), place(points, names), frozenset(names)
    shown, sure = first_wrong(points, names), solid(points, names)

    def holds(formula: Formula) -> bool:
        if abs(formula.at(lengths, shown) - row[shown]) > 3 * tolerance * abs(row[shown]):
            return False
        predicted = [formula.at(lengths, i) for i in range(len(points))]
        # -0.1 in all cases is a learning rate rather than a sign and the divisors 2 and 5 together
        likely = formula.sign > 0 or formula.cost < 2.5 or len(set(predicted)) > 1
        return (sure or formula.cost < 2) and likely and alike(row, predicted, tolerance)

    fitting = [formula for formula in formulas(tuple(lengths)) if holds(formula)]
    if fitting:
        best = fitting[0]
        readings = [formula.meaning(lengths, shown) for formula in fitting if formula.cost < best.cost + 0.4]
        meaning = "; or ".join(list(dict.fromkeys(readings))[:3])
        text = f"by hand = {number(best.at(lengths, shown))} x exact in {where}: {meaning}"
        return Explanation(explained, best.key, text if best.key == "sign" else text + "?")
    known = [c for c, point in zip(row, points, strict=True) if np.isfinite(c) and explained & point.wrong]
    if alike(known, [known[0]] * len(known), tolerance):
        if sure or len(known) > 1:
            text = f"by hand = {number(known[0])} x exact in {where}{constant_meaning(known[0])}"
            # a number that nobody would type may be another one in the next case
            weak = len(known) == 1 and not round_number(known[0])
            return Explanation(explained, "factor", text, weak)
    elif sum(point.exact[name].size - 1 for name in names for point in points if name in point.wrong) > 1:
        each = ", ".join(map(number, known))
        text = (
            f"by hand = c x exact in {where}, with another c in each case ({each}): something that all of it "
        )
        text += "is multiplied with is off"
        return Explanation(explained, "factor", text, weak=True)  # true, and a slip would say what
    return None


def constant_meaning(c: float) -> str:
    """What somebody may have done to get a factor that is the same in all cases and made of no size."""
    if c < 0:
        return ": the step of descent, minus a learning rate times the gradient?"
    n = 1 / c if c < 1 else c
    if abs(n - round(n)) > 1e-6 * n or n > 10_000:
        return ""
    ours, theirs = ("mean", "sum") if c < 1 else ("sum", "mean")
    return f": a {ours} over {round(n)} of something, where the forward has a {theirs}?"


def clipped_norms(points: Sequence[Point], wrong: Sequence[str]) -> Iterator[Explanation]:
    """Factors below 1 that give all parameters together, or each alone, the same norm in every case."""
    measured = ratios(points, wrong)
    pairs = [(point, name, row[i]) for name, row in measured.items() for i, point in enumerate(points)]
    pairs = [(point, name, c) for point, name, c in pairs if name in point.wrong]
    if any(c >= 1 for _, _, c in pairs):
        return

    def one(norms: Sequence[float]) -> bool:
        same = all(abs(norm - norms[0]) <= 1e-4 * norms[0] for norm in norms)
        return same and (len(norms) > 1 or round_number(norms[0]))

    together = [point for point in points if point.wrong]
    if len(measured) == len(wrong) > 1 and all(
        len(distinct(c for other, _, c in pairs if other is point)) == 1 for point in together
    ):
        norms = [float(np.sqrt(sum(np.vdot(g, g) for g in point.hand.values()))) for point in together]
        if one(norms):
            text = f"clipped by norm {number(norms[0])} inside the gradient: one factor for all parameters, "
            yield Explanation(frozenset(wrong), "clip by norm", text + "which together have this norm")
    by_name = {
        name: [float(np.linalg.norm(point.hand[name])) for point, other, _ in pairs if other == name]
        for name in measured
        if max(point.exact[name].size for point in points) > 1
    }
    for norm in distinct(norms[0] for norms in by_name.values()):
        names = [n for n, norms in by_name.items() if all(abs(x - norm) <= 1e-4 * norm for x in norms)]
        if names and one([x for name in names for x in by_name[name]]):
            text = f"clipped by norm {number(norm)} inside the gradient, each parameter alone"
            yield Explanation(frozenset(names), "clip by norm", f"{text} (in {place(points, names)})")
