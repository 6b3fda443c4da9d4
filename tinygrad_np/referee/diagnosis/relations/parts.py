"""Wrong in a part only: one block, row, column or element, and what holds there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from tinygrad_np.referee.diagnosis.relations.places import AXES, ROWS
from tinygrad_np.referee.diagnosis.relations.point import Explanation, Point, Relation, gradients

# The part of an array of this shape; None if it has none.
Cut: TypeAlias = Callable[[tuple[int, ...]], tuple[slice, ...] | None]


def located(
    points: Sequence[Point], wrong: Sequence[str], gates: Sequence[str], relations: Sequence[Relation]
) -> Iterator[Explanation]:
    """Where all wrong parameters are wrong in the same part only: that part, and the relation that holds there."""
    where = inner = ""
    for title, cut in parts(points, wrong, gates):
        inside = [part for point in points if (part := restricted(point, wrong, cut))]
        if len(inside) < len(points):
            continue
        text = f"right but for {title} of {gradients(wrong)}"
        if not title.startswith("all but"):  # to be wrong in nearly everything is nothing to be told
            where = where or text
        for relation in relations:
            for found in relation(inside, wrong):
                if found.names < set(wrong):
                    continue
                if not found.weak:
                    yield replace(found, text=f"{text}; there {found.text}")
                    return
                inner = inner or f"{text}; there {found.text}"
    if where:
        yield Explanation(frozenset(wrong), "part", inner or where, weak=True)
        return
    for title, cut in parts(points, wrong, gates):
        # a block may be 0 for many reasons: of the gate that is multiplied with c_0 = 0 it is at the first step
        if title.startswith("the last") and all(left_out(point, wrong, cut) for point in points):
            text = f"0 by hand in {title} of {gradients(wrong)}, and something else is wrong: is it left out?"
            yield Explanation(frozenset(wrong), "part", text, weak=True)
            return


def left_out(point: Point, wrong: Sequence[str], cut: Cut) -> bool:
    """Whether there is nothing in a part of each wrong parameter, but something elsewhere, and should be."""
    for name in wrong:
        hand, exact, part = point.hand[name], point.exact[name], cut(point.exact[name].shape)
        if hand.shape != exact.shape or part is None:
            return False
        if name in point.wrong and (np.any(hand[part]) or not np.any(exact[part]) or not np.any(hand)):
            return False
    return True


def parts(points: Sequence[Point], wrong: Sequence[str], gates: Sequence[str]) -> Iterator[tuple[str, Cut]]:
    """Parts that may be wrong alone, the smallest first."""
    masks = [point.wrong_elements(name) for name in wrong for point in points if name in point.wrong]
    indices = [wrong_rows(masks, axis) for axis in range(max(mask.ndim for mask in masks))]
    if len(wrong) == 1 and indices and all(len(rows) == 1 for rows in indices):
        index = [min(rows) for rows in indices]
        yield f"element {index}", lambda shape: tuple(slice(i, i + 1) for i in index)
    for axis in AXES:
        rows = wrong_rows(masks, axis)
        if len(rows) == 1:
            yield f"{ROWS[axis]} {min(rows)}", rows_of(axis, min(rows), min(rows) + 1)
        yield f"the last {ROWS[axis]}", rows_of(axis, -1, None)
    for count in (4, 3, 2):
        for number in range(count):
            title = f"block {number + 1} of {count}"
            if len(gates) == count:
                title += f" ({gates[number]})"
            for axis in AXES:
                yield title, block_of(axis, number, count)
    for axis in AXES:
        yield f"all but the last {ROWS[axis]}", rows_of(axis, None, -1)
        yield f"all but the first {ROWS[axis]}", rows_of(axis, 1, None)


def wrong_rows(masks: Sequence[np.ndarray], axis: int) -> set[int]:
    """The indices along an axis at which anything is wrong."""
    found: set[int] = set()
    for mask in masks:
        if mask.ndim > axis:
            others = tuple(other for other in range(mask.ndim) if other != axis)
            found |= {int(i) for i in np.flatnonzero(mask.any(axis=others))}
    return found


def at_axis(shape: tuple[int, ...], axis: int) -> int:
    """The axis of an array that corresponds to this one of a matrix: that of a bias is its only one."""
    return min(axis, len(shape) - 1)


def rows_of(axis: int, start: int | None, stop: int | None) -> Cut:
    def cut(shape: tuple[int, ...]) -> tuple[slice, ...] | None:
        return (*[slice(None)] * at_axis(shape, axis), slice(start, stop)) if shape else None

    return cut


def block_of(axis: int, number: int, count: int) -> Cut:
    def cut(shape: tuple[int, ...]) -> tuple[slice, ...] | None:
        if not shape or shape[at_axis(shape, axis)] % count:
            return None
        length = shape[at_axis(shape, axis)] // count
        return (*[slice(None)] * at_axis(shape, axis), slice(number * length, (number + 1) * length))

    return cut


def restricted(point: Point, wrong: Sequence[str], cut: Cut) -> Point | None:
    """The point with nothing left of the wrong parameters but a part; None if they are wrong elsewhere, too."""
    hand, exact, value = dict(point.hand), dict(point.exact), dict(point.value)
    for name in wrong:
        part = cut(exact[name].shape)
        if hand[name].shape != exact[name].shape or part is None:
            return None
        elsewhere, mended = exact[name].copy(), hand[name].copy()
        elsewhere[part], mended[part] = 0, exact[name][part]
        if not point.close(mended, exact[name]):
            return None
        if name in point.wrong:
            beyond, whole = np.linalg.norm(mended - exact[name]), np.linalg.norm(hand[name] - exact[name])
            if not np.any(elsewhere) or beyond > 1e-3 * whole:
                return None  # nothing but this part is known to be right
        hand[name], exact[name], value[name] = hand[name][part], exact[name][part], value[name][part]
    return Point(hand, exact, value, point.sizes, point.tolerance)
