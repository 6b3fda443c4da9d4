"""The judgement: a hand gradient beside what is known of the exact one, parameter by parameter.

Right is what agrees, where the exact side is known well enough and something was tested. Wrong is what is off by
more than any epsilon, or float32, makes, and more than the exact side may be wrong by itself; and the values of the
forward must bear that out. All else cannot be told, and the reason says why.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinygrad_np.referee.exact import RECORDED, Exact, Slope, slope
from tinygrad_np.referee.problem import Problem
from tinygrad_np.referee.users_code import low_precision
from tinygrad_np.referee.verdict import RIGHT, UNKNOWN, UNTESTED, WRONG, Finding

GROSS = 1e-3  # the relative error from which on it is called wrong: an epsilon, or float32, makes finer ones
ROUNDING = 1e-14  # relative to the largest gradient of all: what cancels to 0 has that left on both sides
KINK = "the loss has a kink here; try another point"


def judge(problem: Problem, exact: Exact, rtol: float) -> dict[str, Finding]:
    """Each parameter of the hand gradient.

    A gradient of another shape with the same numbers in it, (1, H) for (H,), is judged by these, and the reason
    tells of it.
    """
    floor = ROUNDING * max([length_of(exact, name) for name in problem.values], default=0.0)
    return {name: judged(problem, exact, name, rtol, floor) for name in problem.claimed}


def judged(problem: Problem, exact: Exact, name: str, rtol: float, floor: float) -> Finding:
    """One parameter."""
    hand, value = problem.claimed[name], problem.values[name]
    note = ""
    if not known(exact, name):
        return Finding(
            UNKNOWN, reason="cannot be judged: the exact gradient is not finite here; try another point"
        )
    if hand.shape != value.shape:
        note = f"has shape {hand.shape}, and its parameter {value.shape}"
        if [n for n in hand.shape if n != 1] != [n for n in value.shape if n != 1]:
            return Finding(WRONG, reason=note)
        hand = hand.reshape(value.shape)
    if not np.isfinite(hand).all():
        return Finding(WRONG, reason="is not finite")
    if not value.size:
        return Finding(UNTESTED, absolute_error=0.0, reason="has no elements")
    if exact.gradient:
        found = compared(hand, exact.gradient[name], exact.error[name], rtol, floor)
    else:
        found = along(hand, exact.slopes[name], rtol, floor)
    if found.outcome in (WRONG, UNKNOWN):
        found = questioned(problem, exact, name, hand, found)
    if found.outcome == RIGHT and value.ndim > 1 and not value.any():
        found = replace(
            found,
            outcome=UNTESTED,
            reason=f"{name} is all zeros, and hides what flows back through it: try random numbers",
        )
    return replace(found, reason=f"{note}; {found.reason}".strip("; ") if note else found.reason)


def known(exact: Exact, name: str) -> bool:
    if exact.gradient:
        return bool(np.isfinite(exact.gradient[name]).all())
    return all(np.isfinite(s.value) for s in exact.slopes[name])


def length_of(exact: Exact, name: str) -> float:
    """How long a gradient is; from slopes, estimated."""
    if exact.gradient:
        return float(np.linalg.norm(exact.gradient[name]))
    slopes = exact.slopes[name]
    return rms([s.value / scale(s) for s in slopes])


def scale(s: Slope) -> float:
    """What the slope of a gradient of length 1 would be, on average over directions."""
    (v,) = s.direction.values()
    return float(np.sqrt(np.mean(v * v))) or 1.0


def rms(x: list[float]) -> float:
    return float(np.sqrt(np.mean(np.square(x)))) if x else 0.0


def compared(hand: np.ndarray, exact: np.ndarray, error: float, rtol: float, floor: float) -> Finding:
    """Element by element."""
    length, by_hand = float(np.linalg.norm(exact)), float(np.linalg.norm(hand))
    difference = float(np.linalg.norm(hand - exact))
    index = tuple(int(i) for i in np.unravel_index(np.argmax(np.abs(hand - exact)), exact.shape))
    cosine = (
        float(np.vdot(hand, exact)) / (length * by_hand) if length and by_hand and hand.size > 1 else np.nan
    )
    found = weighed(difference, length, by_hand, error, rtol, floor)
    return replace(found, cosine=cosine, index=index, hand=float(hand[index]), exact=float(exact[index]))


def along(hand: np.ndarray, slopes: list[Slope], rtol: float, floor: float) -> Finding:
    """By slopes: over random directions they have the lengths of the gradients as root mean square."""
    values = [s.value / scale(s) for s in slopes]
    by_hand = [float((hand * v).sum()) / scale(s) for s in slopes for v in s.direction.values()]
    apart = [abs(h - e) for h, e in zip(by_hand, values, strict=True)]
    error = rms([s.error / scale(s) for s in slopes])
    found = weighed(rms(apart), rms(values), rms(by_hand), error, rtol, floor)
    if found.outcome != RIGHT and any(s.kink for s in slopes):
        return replace(found, outcome=UNKNOWN, reason=KINK, nearly=False)
    if found.outcome == WRONG and not any(a > s.error / scale(s) for a, s in zip(apart, slopes, strict=True)):
        return replace(found, outcome=UNKNOWN, reason=imprecise(error, rms(values)))
    return found


def weighed(
    difference: float, length: float, by_hand: float, error: float, rtol: float, floor: float
) -> Finding:
    """What a difference amounts to, beside the lengths of both and what the exact side may be wrong by."""
    relative = difference / length if length else np.nan
    finding = Finding(RIGHT, relative, difference)
    if by_hand == 0 and length <= error:
        return replace(
            finding,
            outcome=UNTESTED,
            relative_error=np.nan,
            reason="the gradient is 0 on both sides here"
            if length == 0
            else "the gradient is too small to tell from 0 here",
        )
    enough = rtol * length + floor
    if difference <= enough and error <= enough:
        return finding
    base = length if length > 10 * error else max(length, by_hand)
    if difference - error > max(GROSS, rtol) * base + floor:
        return replace(finding, outcome=WRONG)
    if difference <= error + enough:
        return replace(finding, outcome=UNKNOWN, reason=imprecise(error, length))
    return replace(
        finding,
        outcome=UNKNOWN,
        nearly=True,
        reason=f"agrees to {difference / base:.1g} and no closer: is there an epsilon in the forward?",
    )


def imprecise(error: float, length: float) -> str:
    if not np.isfinite(error) or error >= length:
        return "cannot tell at this precision: the exact side is lost in the noise of the forward's values"
    return f"cannot tell at this precision: the exact side is known to {error / length:.0e} here"


def questioned(problem: Problem, exact: Exact, name: str, hand: np.ndarray, found: Finding) -> Finding:
    """What is left of a disagreement after asking what else may explain it."""
    doubts = [*exact.doubts, *([exact.doubted[name]] if name in exact.doubted else [])]
    if doubts:
        return replace(found, outcome=UNKNOWN, reason=f"cannot judge: {doubts[0]}", nearly=False)
    if found.nearly and np.array_equal(hand, hand.astype(np.float32)):
        at = "".join(f" ({place})" for place in low_precision(problem.backward)[:1])
        told = (
            f"agrees to {found.relative_error:.1g}, the precision of float32, which the hand gradient is{at}"
        )
        return replace(found, reason=told)
    if found.outcome == WRONG and exact.gradient:
        return confirmed(problem, exact, name, hand, found)
    return found


def confirmed(problem: Problem, exact: Exact, name: str, hand: np.ndarray, found: Finding) -> Finding:
    """A wrong gradient, if the plain forward's slope along the difference of both bears that out."""
    gradient = exact.gradient[name]
    apart = hand - gradient
    towards = apart / float(np.linalg.norm(apart))
    there = slope(problem, {name: towards})
    by_hand, by_exact = float((hand * towards).sum()), float((gradient * towards).sum())
    if there.kink:
        return replace(found, outcome=UNKNOWN, reason=KINK)
    gap = by_hand - by_exact
    if abs(there.value - by_hand) > max(there.error, 0.1 * abs(gap)):
        if abs(there.value - by_exact) <= max(there.error, exact.error[name], 0.1 * abs(gap)):
            return found
        if exact.method == RECORDED:
            return replace(
                found,
                outcome=UNKNOWN,
                reason="cannot judge: the record has another slope than the forward here",
            )
        return replace(found, outcome=UNKNOWN, reason=imprecise(there.error, abs(by_exact)))
    if exact.method == RECORDED and there.error > 0.1 * abs(gap) and exact.notes:
        return found  # recorded in float64 what the forward computes in float32: its values cannot show this
    return replace(found, outcome=UNKNOWN, reason=imprecise(there.error, abs(by_exact)))
