"""The judgement: a hand gradient beside what is known of the exact one, parameter by parameter.

Right is what agrees, where the exact side is known well enough and something was tested. Wrong is what is off by
more than any epsilon, or float32, makes, and more than the exact side may be wrong by itself; and the values of the
forward must bear that out. All else cannot be told, and the reason says why.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import replace
from functools import cached_property

import numpy as np

from tinygrad_np.check.numerical import size
from tinygrad_np.referee.evidence.epsilons import epsilons
from tinygrad_np.referee.evidence.exact import DIFFERENCES, RECORDED, Exact, Slope, slope
from tinygrad_np.referee.evidence.users_code import low_precision
from tinygrad_np.referee.intake.problem import Problem
from tinygrad_np.referee.recording.recorded import CannotRecord, record
from tinygrad_np.referee.verdict import RIGHT, UNKNOWN, UNTESTED, WRONG, Finding

GROSS = 1e-3  # the relative error from which on it is called wrong: an epsilon, or float32, makes finer ones
ROUNDING = 1e-14  # relative to the largest gradient of all: what cancels to 0 has that left on both sides
LOST = 100  # roundings that may be left of the cancellation of large terms
MOST_EPSILONS = 6  # that are tried
COARSE = 1e-5  # what float32 leaves of a difference of terms of size 1, some hundred of its roundings
COARSER = 3e-2  # the same of float16
FLOAT16 = re.compile(r"float16|half|'e'|f2")
PERHAPS = "is there an epsilon in the forward?"
KINK = "the loss has a kink here; try another point"


class Facts:
    """A problem and its exact gradient, with what is asked of them for several parameters."""

    def __init__(self, problem: Problem, exact: Exact):
        self.problem, self.exact = problem, exact

    @cached_property
    def floor(self) -> float:
        """What rounding may leave of gradients that cancel to 0, beside the others'."""
        lengths = [length_of(self.exact, name) for name in self.problem.values]
        return ROUNDING * max([n for n in lengths if np.isfinite(n)], default=0.0)

    @cached_property
    def reach(self) -> float:
        """How large the terms may be that left a small gradient, as 1 - tanh(x)^2: as the loss, and the slopes."""
        slopes = [length_of(self.exact, name) * size(x) for name, x in self.problem.values.items()]
        sizes = [abs(float(self.problem.loss(self.problem.values))), *slopes]
        return max([n for n in sizes if np.isfinite(n)], default=0.0)

    @cached_property
    def float32(self) -> list[str]:
        """Where float32 stands in the hand gradient."""
        return low_precision(self.problem.backward)


def judge(problem: Problem, exact: Exact, rtol: float) -> dict[str, Finding]:
    """Each parameter of the hand gradient.

    A gradient of another shape with the same numbers in it, (1, H) for (H,), is judged by these, and the reason
    tells of it.
    """
    facts = Facts(problem, exact)
    found = {name: judged(facts, name, rtol) for name in problem.claimed}
    nearly = {name: f for name, f in found.items() if f.nearly}
    if nearly and exact.method == RECORDED:
        found.update(without_epsilon(problem, nearly, rtol, facts.floor))
    fine = {name: f for name, f in found.items() if f.nearly and f.reason.endswith(PERHAPS)}
    if fine:
        places = {**epsilons(problem.backward), **epsilons(problem.forward, problem.call)}.values()
        told = "is it the epsilon " + " or ".join(list(places)[:2]) + "?" if places else PERHAPS
        for name, f in fine.items():
            found[name] = replace(f, reason=f.reason.removesuffix(PERHAPS) + told)
    return found


def without_epsilon(
    problem: Problem, nearly: dict[str, Finding], rtol: float, floor: float
) -> dict[str, Finding]:
    """Findings that agree once an epsilon in the forward is taken as 0: the gradient of the loss that was meant.

    All small numbers are tried together first, so that where none explains it one more record is all it costs.
    """
    numbers = dict(list(epsilons(problem.forward, problem.call).items())[:MOST_EPSILONS])

    def agree(without: Collection[float]) -> list[str]:
        try:
            parameters = record(problem, without=without)
        except CannotRecord:
            return []
        with np.errstate(all="ignore"):
            parameters.loss.backward()
        exact = {name: parameters.parameters[name].grad for name in nearly}
        return [
            name
            for name, g in exact.items()
            if g is not None
            and np.isfinite(g).all()
            and compared(problem.claimed[name].reshape(g.shape), g, 0.0, rtol, floor).outcome == RIGHT
        ]

    names = agree(list(numbers)) if numbers else []
    if not names:
        return {}
    alone = [c for c in numbers if len(numbers) == 1 or set(agree([c])) >= set(names)]
    told = " and ".join(text for c, text in numbers.items() if c in alone[:1] or not alone)
    reason = f"agrees once {told} is taken as 0: it is the gradient of the loss without this"
    return {name: replace(nearly[name], outcome=RIGHT, nearly=False, reason=reason) for name in names}


def judged(facts: Facts, name: str, rtol: float) -> Finding:
    """One parameter."""
    problem, exact, floor = facts.problem, facts.exact, facts.floor
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
        found = questioned(facts, name, hand, found)
    is_matrix = sum(n > 1 for n in value.shape) > 1  # a bias of zeros hides nothing, and may be a column
    if found.outcome == RIGHT and is_matrix and not value.any():
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
    if by_hand == length == 0:
        return replace(finding, outcome=UNTESTED, reason="the gradient is 0 on both sides here")
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
        reason=f"agrees to {difference / base:.1g} and no closer: {PERHAPS}",
    )


def imprecise(error: float, length: float) -> str:
    if not np.isfinite(error) or error >= length:
        return "cannot tell at this precision: the exact side is lost in the noise of the forward's values"
    return f"cannot tell at this precision: the exact side is known to {error / length:.0e} here"


def questioned(facts: Facts, name: str, hand: np.ndarray, found: Finding) -> Finding:
    """What is left of a disagreement after asking what else may explain it."""
    exact = facts.exact
    doubts = [*exact.doubts, *([exact.doubted[name]] if name in exact.doubted else [])]
    if doubts:
        return replace(found, outcome=UNKNOWN, reason=f"cannot judge: {doubts[0]}", nearly=False)
    if found.outcome != WRONG and not found.nearly:
        return found
    moves = found.absolute_error * size(
        facts.problem.values[name]
    )  # the loss, where the parameter does by its size
    if found.outcome == WRONG and exact.method == DIFFERENCES:
        # What is too coarse to judge one parameter by may hide the little that another one moves.
        if exact.doubted:
            told = f"cannot judge: {next(iter(exact.doubted.values()))}"
            return replace(found, outcome=UNKNOWN, reason=told)
        places = low_precision(facts.problem.forward, facts.problem.call)
        if places and moves <= COARSE * facts.reach:
            told = f"too small to tell from the rounding of float32 in your forward ({places[0]})"
            return replace(found, outcome=UNKNOWN, reason=told)
    if short := float32_of(facts, hand):
        coarse = COARSER if FLOAT16.search(short) else COARSE
        if found.nearly or found.relative_error <= coarse:
            told = f"agrees to {found.relative_error:.1g}, the precision of {short}"
            return replace(found, outcome=UNKNOWN, nearly=True, reason=told)
        if moves <= coarse * facts.reach:
            return replace(found, outcome=UNKNOWN, reason=f"too small to tell from the rounding of {short}")
    if found.nearly and moves <= LOST * np.finfo(float).eps * facts.reach:
        told = f"agrees to {found.relative_error:.1g}, and the rest may be rounding"
        return replace(found, nearly=False, reason=told)
    if found.outcome == WRONG and exact.gradient:
        return confirmed(facts.problem, exact, name, hand, found)
    return found


def float32_of(facts: Facts, hand: np.ndarray) -> str:
    """What is float32 in the hand gradient, by its source or by its digits, or ""."""
    if facts.float32:
        kind = "float16" if FLOAT16.search(facts.float32[0]) else "float32"
        return f"{kind}, which the hand gradient is ({facts.float32[0]})"
    with np.errstate(over="ignore"):
        if np.array_equal(hand, hand.astype(np.float32)) and not has_few_digits(hand):
            return "float32, which the hand gradient is"
    if facts.exact.notes:
        at = facts.exact.notes[0].partition(":")[0]
        return f"float32, which the hand gradient may be as the forward is ({at})"
    return ""


def has_few_digits(x: np.ndarray) -> bool:
    """Whether all are multiples of a few powers of 2, as 1, 0.5 and what is left of a cancellation."""
    digits = np.frexp(x)[0] * 2**11
    return np.array_equal(digits, np.round(digits))


def confirmed(problem: Problem, exact: Exact, name: str, hand: np.ndarray, found: Finding) -> Finding:
    """A wrong gradient, if the plain forward's slope along the difference of both bears that out."""
    gradient = exact.gradient[name]
    apart = hand - gradient
    towards = apart / float(np.linalg.norm(apart))
    somewhere = np.random.default_rng(1).standard_normal(apart.shape)
    there, elsewhere = (
        slope(problem, {name: v}, enough=0.005 * abs(float((apart * v).sum()))) for v in (towards, somewhere)
    )
    # Somewhere else too, as between equals the difference may run along an edge.
    for s, v in ((there, towards), (elsewhere, somewhere)):
        if s.kink and s.error > 0.01 * abs(float((apart * v).sum())):
            return replace(found, outcome=UNKNOWN, reason=KINK)
    by_hand, by_exact = float((hand * towards).sum()), float((gradient * towards).sum())
    gap = abs(by_hand - by_exact)
    if there.error <= 0.2 * gap:
        if abs(there.value - by_exact) <= 0.2 * gap + exact.error[name]:
            return found
        if exact.method == RECORDED:
            told = "cannot judge: the record has another slope than the forward here"
            return replace(found, outcome=UNKNOWN, reason=told)
    elif exact.method == RECORDED and exact.notes:
        return found  # in float64, what the forward computes in float32: its values cannot show this
    return replace(found, outcome=UNKNOWN, reason=imprecise(there.error, abs(by_exact)))
