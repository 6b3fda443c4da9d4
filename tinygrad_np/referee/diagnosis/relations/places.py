"""The right numbers at the wrong place: transposed, not summed, in exchanged blocks, under another name."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from tinygrad_np.referee.diagnosis.relations.factors import lengths_of, oddity
from tinygrad_np.referee.diagnosis.relations.point import (
    Explanation,
    Point,
    Predict,
    evidence,
    first_wrong,
    gradients,
    where_it_fits,
)

AXES = range(3)
ROWS = ("row", "column", "slice")


def rearranged(rearrange: Callable[[np.ndarray, tuple[int, ...]], np.ndarray]) -> Predict:
    """The exact gradient in another arrangement, in the shape of the hand gradient if it may have another."""

    def predict(point: Point, name: str) -> np.ndarray | None:
        hand, exact = point.hand[name], point.exact[name]
        return rearrange(exact, hand.shape) if hand.size == exact.size else None

    return predict


def flipped(axis: int) -> Predict:
    return rearranged(lambda exact, shape: np.flip(exact, axis) if exact.ndim > axis else exact)


def shifted(axis: int, by: int) -> Predict:
    """Each row holds what belongs to the one before it or after it, and 0 stands where there is none."""

    def shift(exact: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        if exact.ndim <= axis or not exact.size:
            return exact
        result = np.roll(exact, by, axis)
        np.moveaxis(result, axis, 0)[0 if by > 0 else -1] = 0
        return result

    return rearranged(shift)


def axes_in_order(order: tuple[int, ...]) -> Predict:
    return rearranged(lambda exact, shape: exact.transpose(order) if exact.ndim == len(order) else exact)


MOVES: list[tuple[str, str, Predict]] = [
    ("transposed", "{} transposed", rearranged(lambda exact, shape: exact.T)),
    ("shape", "{} right but for the shape", rearranged(lambda exact, shape: exact.reshape(shape))),
    (
        "order",
        "{} in another order: reshaped by rows where columns were meant?",
        rearranged(lambda exact, shape: exact.ravel(order="F").reshape(shape)),
    ),
    (
        "order",
        "{} in another order: reshaped by columns where rows were meant?",
        rearranged(lambda exact, shape: exact.ravel().reshape(shape, order="F")),
    ),
    *(
        ("transposed", f"{{}} transposed: the axes are {order} of the right ones", axes_in_order(order))
        for order in itertools.permutations(range(3))
    ),
    *(("reversed", f"{{}} reversed along axis {axis}", flipped(axis)) for axis in AXES),
    *(
        ("moved", f"{{}} moved by one {'forward' if by > 0 else 'back'} along axis {axis}", shifted(axis, by))
        for axis in AXES
        for by in (1, -1)
    ),
]


def written(points: Sequence[Point], wrong: Sequence[str]) -> list[str]:
    """The parameters that are not 0 by hand in all cases: zeros stand in any place as well as in another."""
    return [name for name in wrong if any(np.linalg.norm(p.hand[name]) > p.rounding for p in points)]


def moved(points: Sequence[Point], wrong: Sequence[str]) -> Iterator[Explanation]:
    """The same numbers in another arrangement."""
    wrong = written(points, wrong)
    told: set[str] = set()  # in a square matrix "transposed" is "in another order", too
    for key, text, predict in MOVES:
        names = where_it_fits(points, [name for name in wrong if name not in told], predict)
        if key == "shape" and names:
            point = points[first_wrong(points, names[:1])]
            have, want = (of[names[0]].shape for of in (point.hand, point.exact))
            text += f": {names[0]} is {want}, and its gradient {have}"
        if names and (evidence(points, names) > 1 or key == "shape"):
            told |= set(names)
            title = f"{gradients(names)} {'is' if len(names) == 1 else 'are'}"
            yield Explanation(frozenset(names), key, text.format(title))


# --- summed too little or too much --------------------------------------------------------------------


def unsummed(points: Sequence[Point], wrong: Sequence[str]) -> Iterator[Explanation]:
    """The hand gradient has an axis that should have been summed over, or lacks one that should not."""
    found: dict[tuple[str, str], list[str]] = {}
    for name in wrong:
        reductions = [reduction(point, name) for point in points if name in point.wrong]
        kinds = {row[0] if row else "" for row in reductions}
        if len(kinds) == 1 and "" not in kinds:
            lengths = [row[1] for row in reductions if row]
            found.setdefault((kinds.pop(), counted(points, name, lengths)), []).append(name)
    for (kind, what), names in found.items():
        point = points[first_wrong(points, names)]
        title = f"{gradients(names)} {'is' if len(names) == 1 else 'are'} {kind} over {what}"
        have, want = (of[names[0]].shape for of in (point.hand, point.exact))
        text = f"{title}{', and should not be' * (kind == 'summed')}: {names[0]} is {want}, and its gradient {have}"
        yield Explanation(frozenset(names), kind, text)


def reduction(point: Point, name: str) -> tuple[str, tuple[int, ...]] | None:
    """How the hand gradient becomes the exact one, or the exact one becomes it: over axes of which lengths."""
    hand, exact = point.hand[name], point.exact[name]
    if hand.shape == exact.shape or not hand.size or not exact.size:
        return None
    for array, goal, kind, reduce in (
        (hand, exact, "not summed", np.sum),
        (hand, exact, "not averaged", np.mean),
        (exact, hand, "summed", np.sum),
    ):
        for count in range(1, array.ndim + 1):
            for axes in itertools.combinations(range(array.ndim), count):
                result = np.asarray(reduce(array, axis=axes))
                if result.size == goal.size and point.close(goal.reshape(result.shape), result):
                    return kind, tuple(array.shape[axis] for axis in axes)
    return None


def counted(points: Sequence[Point], name: str, lengths: Sequence[tuple[int, ...]]) -> str:
    """What these axes count, such as "batch=2": the sizes that have their lengths at all points."""
    sizes = lengths_of([point for point in points if name in point.wrong])
    named = sorted((label for label in sizes if not label.startswith("axis ")), key=oddity)
    titles = []
    for axis in zip(*lengths, strict=False):
        label = next((label for label in named if sizes[label] == list(axis)), "an axis of length ")
        titles.append(label + ("" if label.endswith(" ") else "=") + str(axis[0]))
    return " and ".join(titles)


# --- exchanged ----------------------------------------------------------------------------------------


def blocks(
    points: Sequence[Point],
    wrong: Sequence[str],
    gates: Sequence[str] = (),
    counts: Sequence[int] = (4, 3, 2),
) -> Iterator[Explanation]:
    """Equal blocks of a fused parameter at each other's place; a count of 0 takes each row for a block."""
    explained: set[str] = set()
    for name, axis, count in itertools.product(wrong, AXES, counts):
        largest = max((p for p in points if name in p.wrong), key=lambda p: p.hand[name].size)
        order = block_order(largest, name, axis, count)
        if name in explained or not order:
            continue
        # the same exchange in other parameters, along whichever axis their blocks lie
        axis_of = {
            other: along
            for other in wrong
            for along in reversed(AXES)
            if all(point.fits(other, in_order(point.exact[other], along, order)) for point in points)
        }
        if evidence(points, axis_of) > 1:
            explained |= set(axis_of)
            kind = "block" if count else ROWS[axis]
            yield Explanation(
                frozenset(axis_of), "blocks exchanged", order_text(list(axis_of), order, kind, gates)
            )


def turned(points: Sequence[Point], wrong: Sequence[str]) -> Iterator[Explanation]:
    """The last rows or columns first: what belongs to two joined arrays is joined in the other order."""

    def along(axis: int) -> Predict:
        def predict(point: Point, name: str) -> np.ndarray | None:
            hand, exact = point.hand[name], point.exact[name]
            if name not in point.wrong or exact.ndim <= axis:
                return exact
            if hand.shape != exact.shape or not exact.size:
                return None
            # the row that stands first tells how far it is turned
            first = hand.take(0, axis)
            firsts = [i for i in range(1, exact.shape[axis]) if point.close(first, exact.take(i, axis))]
            turns = (np.roll(exact, -i, axis) for i in firsts)
            return next((turn for turn in turns if point.fits(name, turn)), None)

        return predict

    for axis in AXES:
        names = where_it_fits(points, written(points, wrong), along(axis))
        if evidence(points, names) > 1:
            text = f"the first and the last {ROWS[axis]}s of {gradients(names)} are exchanged"
            yield Explanation(frozenset(names), "blocks exchanged", text + ": joined in another order?")


def split(array: np.ndarray, axis: int, count: int) -> list[np.ndarray]:
    """The equal blocks of an array along an axis; none if it does not divide."""
    if array.ndim <= axis or count < 2 or array.shape[axis] % count or not array.size:
        return []
    return np.split(array, count, axis)


def block_order(point: Point, name: str, axis: int, count: int) -> tuple[int, ...] | None:
    """Which exact block stands at the place of each."""
    hand, exact = point.hand[name], point.exact[name]
    if hand.shape != exact.shape or exact.ndim <= axis:
        return None
    count = count or min(exact.shape[axis], 64)
    right, order = split(exact, axis, count), []
    for i, block in enumerate(split(hand, axis, count)):
        candidates = [i, *range(i), *range(i + 1, count)]  # its own first, if two are the same
        j = next((j for j in candidates if point.close(block, right[j])), None)
        if j is None:
            return None
        order.append(j)
    if len(set(order)) == count:
        return tuple(order) if order != sorted(order) else None
    # Some stand there twice. A block of zeros stands wherever nothing was written.
    copied = [right[j] for i, j in enumerate(order) if i != j]
    return tuple(order) if all(np.linalg.norm(block) > point.rounding for block in copied) else None


def in_order(exact: np.ndarray, axis: int, order: tuple[int, ...]) -> np.ndarray | None:
    right = split(exact, axis, len(order))
    return np.concatenate([right[j] for j in order], axis) if right else None


def order_text(names: list[str], order: tuple[int, ...], kind: str, gates: Sequence[str]) -> str:
    """Which blocks stand where: blocks are counted from 1, and rows from 0 as indices are."""
    count, first = len(order), int(kind == "block")
    titles = [f"{kind} {i + first}" for i in range(count)]
    if kind == "block" and len(gates) == count:
        titles = [f"{gate} ({title})" for gate, title in zip(gates, titles, strict=True)]
    away = [i for i, j in enumerate(order) if i != j]
    if len(away) == 2 and order[away[0]] == away[1] and order[away[1]] == away[0]:
        return f"{titles[away[0]]} and {titles[away[1]]} of {count} of {gradients(names)} are exchanged"
    held = ", ".join(f"{titles[i]} holds what belongs to {titles[order[i]]}" for i in away[:4])
    return f"the {count} {kind}s of {gradients(names)} are out of order: {held}{', ...' * (len(away) > 4)}"


def exchanged(points: Sequence[Point], wrong: Sequence[str]) -> Iterator[Explanation]:
    """The gradient of one parameter is another's."""
    owners: dict[str, list[str]] = {}
    for name in wrong:
        others = [other for other in points[0].exact if any(np.any(point.exact[other]) for point in points)]
        fitting = [o for o in others if all(point.fits(name, point.exact[o]) for point in points)]
        if fitting:
            owners[name] = fitting
    if evidence(points, owners) < 2:
        return
    parts, told = [], set()
    for name, others in owners.items():
        mutual = next((other for other in others if name in owners.get(other, [])), "")
        if name not in told:
            told |= {name, mutual}
            owner = f"{gradients([name])} is that of {' or '.join(others)}"
            parts.append(f"{gradients([name, mutual])} are exchanged" if mutual else owner)
    yield Explanation(frozenset(owners), "parameters exchanged", "; ".join(parts))
