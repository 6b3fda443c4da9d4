"""What relations have in common: the numbers of a case, when they count as the same, and what an explanation is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np


@dataclass(frozen=True)
class Point:
    """The numbers of one case; `tolerance` is the relative error that rounding may leave in the hand gradient."""

    hand: dict[str, np.ndarray]
    exact: dict[str, np.ndarray]
    value: dict[str, np.ndarray]
    sizes: Mapping[str, int]
    tolerance: float

    @cached_property
    def rounding(self) -> float:
        """What rounding leaves where terms cancel to 0, on both sides: that of the size of the others."""
        return 1e-13 * max([float(np.linalg.norm(e)) for e in self.exact.values()], default=0.0)

    @cached_property
    def wrong(self) -> frozenset[str]:
        """The parameters whose hand gradient is not the exact one."""
        return frozenset(name for name in self.hand if not self.close(self.hand[name], self.exact[name]))

    def close(self, a: np.ndarray, b: np.ndarray) -> bool:
        """Whether `a` is `b` to rounding."""
        if a.shape != b.shape:
            return False
        distance = float(np.linalg.norm(a - b))  # infinite where the numbers are huge, and so is what follows
        return bool(np.isfinite(distance) and distance <= self.tolerance * np.linalg.norm(b) + self.rounding)

    def fits(self, name: str, predicted: np.ndarray | None) -> bool:
        """Whether the hand gradient is what a relation predicts, and that is no near miss of the exact one."""
        hand, exact = self.hand[name], self.exact[name]
        if predicted is None or not self.close(hand, predicted):
            return False
        if name not in self.wrong or hand.shape != exact.shape:
            return True
        return bool(np.linalg.norm(hand - predicted) <= 1e-3 * np.linalg.norm(hand - exact))

    def wrong_elements(self, name: str) -> np.ndarray:
        """Where a parameter is wrong, as a mask; everywhere if its shape is."""
        hand, exact = self.hand[name], self.exact[name]
        if name not in self.wrong or hand.shape != exact.shape:
            return np.full(hand.shape, name in self.wrong)
        mask: np.ndarray = np.abs(hand - exact) > self.tolerance * np.abs(exact) + self.rounding
        return mask


@dataclass(frozen=True)
class Explanation:
    """A relation that holds for these parameters at all points; a weak one says less than a known slip would."""

    names: frozenset[str]
    key: str
    text: str
    weak: bool = False


Relation: TypeAlias = Callable[[Sequence[Point], Sequence[str]], Iterator[Explanation]]
# What the hand gradient of a parameter should be if a relation holds; None where it cannot hold.
Predict: TypeAlias = Callable[[Point, str], np.ndarray | None]


def wrong_somewhere(points: Sequence[Point]) -> list[str]:
    """The parameters that are wrong at any point, in the order of the hand gradient."""
    return [name for name in points[0].hand if any(name in point.wrong for point in points)]


def first_wrong(points: Sequence[Point], names: Iterable[str]) -> int:
    """The number of the first point at which one of these parameters is wrong."""
    names = set(names)
    return next(i for i, point in enumerate(points) if names & point.wrong)


def where_it_fits(points: Sequence[Point], names: Iterable[str], predict: Predict) -> list[str]:
    """The parameters whose hand gradient is the predicted one at all points."""
    return [name for name in names if all(point.fits(name, predict(point, name)) for point in points)]


def evidence(points: Sequence[Point], names: Iterable[str]) -> int:
    """How many wrong numbers a relation explains in these parameters, over all points."""
    return sum(int(point.wrong_elements(name).sum()) for name in names for point in points)


def solid(points: Sequence[Point], names: Iterable[str]) -> bool:
    """Whether a parameter of several rows and columns is wrong.

    With one unit, one sample and one step all gradients are multiples of one number, and whatever is wrong with
    it looks like a factor.
    """
    return any(
        name in point.wrong and point.exact[name].size > 2 and min(point.exact[name].shape) > 1
        for name in names
        for point in points
    )


def distinct(numbers: Iterable[float]) -> list[float]:
    """The numbers that differ by more than rounding."""
    found: list[float] = []
    for x in numbers:
        if not any(abs(x - y) <= 1e-6 * abs(y) for y in found):
            found.append(x)
    return found


def round_number(c: float) -> bool:
    """Whether somebody would type it: 5, 0.25, 1e-3."""
    return c != 0 and abs(float(f"{c:.2g}") - c) <= 1e-5 * abs(c)


def number(c: float) -> str:
    return f"{c:.6g}"


def place(points: Sequence[Point], names: Iterable[str]) -> str:
    """In which parameters: "every parameter" if no other has a gradient here."""
    names = set(names)
    others = {name for name in points[0].exact if any(np.any(point.exact[name]) for point in points)}
    if len(others) > 1 and names >= others:
        return "every parameter"
    return ", ".join(name for name in points[0].exact if name in names)


def gradients(names: Iterable[str]) -> str:
    """What the gradients of these parameters are called: dW, dU, and of one in a list, the gradient of Ws[0]."""
    names = list(names)
    if all(name.isidentifier() for name in names):
        return ", ".join(f"d{name}" for name in names)
    return f"the gradient{'s' * (len(names) > 1)} of {', '.join(names)}"
