"""Numbers cut off, left out, put in their place, or added to them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tinygrad_np.referee.diagnosis.relations.factors import lengths_of
from tinygrad_np.referee.diagnosis.relations.point import (
    Explanation,
    Point,
    Predict,
    distinct,
    evidence,
    first_wrong,
    gradients,
    number,
    place,
    round_number,
    where_it_fits,
)


def clipped(points: Sequence[Point], wrong: Sequence[str]) -> Iterator[Explanation]:
    """All elements within +-c, and right where the exact ones are."""

    def at(c: float) -> Predict:
        return lambda point, name: np.clip(point.exact[name], -c, c)

    bounds = [float(np.abs(p.hand[n]).max(initial=0.0)) for p in points for n in wrong if n in p.wrong]
    for c in distinct(bounds):
        names = where_it_fits(points, wrong, at(c))
        if c > points[0].rounding and names and (evidence(points, names) > 2 or round_number(c)):
            text = f"clipped at {number(c)} inside the gradient: in {place(points, names)} no element is beyond, "
            text += f"and those of the exact gradient that are become +-{number(c)}"
            yield Explanation(frozenset(names), "clip", text)


def diagonal(point: Point, name: str) -> np.ndarray | None:
    exact = point.exact[name]
    square = exact.ndim == 2 and exact.shape[0] == exact.shape[1]
    return np.diag(np.diag(exact)) if square else None


def one_number(point: Point, name: str) -> np.ndarray | None:
    hand = point.hand[name]
    if hand.shape != point.exact[name].shape:
        return None
    return np.full(hand.shape, hand.flat[0]) if hand.size > 2 else hand  # of two elements nothing is seen


FILLS: list[tuple[str, str, Predict]] = [
    ("parameter", "{}: the parameter itself", lambda point, name: point.value[name]),
    (
        "summed",
        "every element of {} is the sum of all that belong there: a sum without an axis?",
        lambda point, name: np.full(point.exact[name].shape, point.exact[name].sum()),
    ),
    ("same", "every element of {} is the same number", one_number),
    ("diagonal", "{}: right on the diagonal and 0 elsewhere", diagonal),
    (
        "sign lost",
        "{}: the absolute value of the right one",
        lambda point, name: np.abs(point.exact[name]),
    ),
]


def fills(points: Sequence[Point], wrong: Sequence[str]) -> Iterator[Explanation]:
    """Zeros, ones, the parameter itself, the sum of all in each element, and such."""
    empty = where_it_fits(points, wrong, lambda point, name: np.zeros(point.exact[name].shape))
    if empty:
        text = f"0 by hand in {place(points, empty)}: left out, or every way from there to the loss is cut?"
        # of a single step that is left out all comes out as 0
        weak = len(points) < 2 or place(points, empty) == "every parameter"
        yield Explanation(frozenset(empty), "never written", text, weak)
    for key, text, predict in FILLS:
        names = where_it_fits(points, [name for name in wrong if name not in empty], predict)
        many = any(point.exact[name].size > 2 for point in points for name in names)
        if many and evidence(points, names) > 1:
            text = text.format(gradients(names))
            if key == "same":
                text += f", here {number(points[first_wrong(points, names)].hand[names[0]].flat[0])}"
            yield Explanation(frozenset(names), key, text)


# by hand = the first + c x the second
SUMS: dict[str, tuple[Predict, Predict]] = {
    "weight decay": (lambda point, name: point.exact[name], lambda point, name: point.value[name]),
    "offset": (lambda point, name: point.exact[name], lambda point, name: np.ones(point.exact[name].shape)),
    "L1": (lambda point, name: point.exact[name], lambda point, name: np.sign(point.value[name])),
    "step": (
        lambda point, name: point.value[name] if np.any(point.value[name]) else None,
        lambda point, name: point.exact[name],
    ),
}


def sums(points: Sequence[Point], wrong: Sequence[str]) -> Iterator[Explanation]:
    """A multiple of the parameter, of its sign or of 1 is added, or the gradient is taken off the parameter."""
    lengths = lengths_of(points)
    for key in SUMS:
        for divisor in ["", *lengths]:  # c, or c / batch
            scales = [1 / lengths[divisor][i] if divisor else 1.0 for i in range(len(points))]
            constants = [c for name in wrong if (c := added(points, scales, name, key))]
            for c in distinct(constants):
                names = [name for name in wrong if holds(points, scales, name, key, c)]
                told = sum(p.exact[name].size for p in points for name in names if name in p.wrong)
                if told > 2 and evidence(points, names) > 2:
                    size = number(abs(c)) + f" / {divisor}" * bool(divisor)
                    yield Explanation(frozenset(names), key, sum_text(points, names, key, c, size))
            if not divisor and constants:
                break  # it is the same in all cases


def added(points: Sequence[Point], scales: Sequence[float], name: str, key: str) -> float | None:
    """The c that fits a parameter at all points; None if there is none."""
    base, term = SUMS[key]
    for point, scale in zip(points, scales, strict=True):
        start, direction = base(point, name), term(point, name)
        if name not in point.wrong or start is None or direction is None or not np.any(direction):
            continue
        if point.hand[name].shape != start.shape:
            return None
        along = np.vdot(point.hand[name] - start, direction) / np.vdot(direction, direction)
        c = float(along) / scale
        return c if holds(points, scales, name, key, c) else None
    return None


def holds(points: Sequence[Point], scales: Sequence[float], name: str, key: str, c: float) -> bool:
    base, term = SUMS[key]
    return all(
        point.fits(name, None if start is None or direction is None else start + c * scale * direction)
        for point, scale in zip(points, scales, strict=True)
        for start, direction in [(base(point, name), term(point, name))]
    )


def sum_text(points: Sequence[Point], names: list[str], key: str, c: float, size: str) -> str:
    spared = [name for name in points[0].exact if name not in names]
    where = f"in {place(points, names)}"
    if spared:
        where += f", not in {', '.join(spared)}" if len(spared) < 4 else " only"
    sign = "+" if c > 0 else "-"
    if key == "offset":
        return f"by hand = exact {sign} {size} in all elements of {place(points, names)}"
    if key == "step":
        return f"by hand = parameter {sign} {size} x exact {where}: the parameter after a step?"
    term = "weight decay" if key == "weight decay" else "an L1 penalty"
    if c < 0:
        return f"the forward's term of {term} of {size} is missing ({where})"
    return f"a term of {term} of {size} ({where})"
