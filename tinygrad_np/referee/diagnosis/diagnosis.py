"""What the mistake is: the relation, or the planted slip, that explains all wrong numbers of a hand gradient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from tinygrad_np.referee.diagnosis.relations import explanations
from tinygrad_np.referee.diagnosis.relations.point import Explanation, Point, wrong_somewhere
from tinygrad_np.referee.diagnosis.slip import Slip
from tinygrad_np.referee.diagnosis.slips import explain
from tinygrad_np.referee.intake.problem import Problem

FailingCase: TypeAlias = tuple[Problem, dict[str, np.ndarray], Mapping[str, int]]
# The relative error that rounding leaves in a hand gradient of float64, and of float32.
DOUBLE, SINGLE = 1e-6, 1e-4


def diagnose(cases: Sequence[FailingCase], gates: Sequence[str] = ()) -> list[Slip]:
    """The slips that explain a wrong gradient, the best first; none where nothing fits.

    A slip is named if it explains every wrong parameter in every case, to rounding. First come the relations that
    the numbers show by themselves, then the slips that the recorded forward reproduces, then what is known less
    well: one factor that differs from case to case, the place of the error, two slips together. What explains
    some parameters only comes last, and says so.

    Parameters
    ----------
    cases : sequence of (Problem, exact gradient, sizes)
        Where it fails: the smallest case, and larger ones, so that a pattern is no coincidence. With a hidden
        size, batch and length of 1 nearly everything is a factor; two or three cases in which no two sizes are
        equal tell most, such as T=3, batch=2, hidden=4 and T=4, batch=3, hidden=2.
    gates : sequence of str
        The names of the blocks of a fused matrix, in the user's order, as ("i", "f", "g", "o").
    """
    with np.errstate(all="ignore"):  # not finite or huge: nothing fits then
        points = [point_of(*case) for case in cases]
        failing, found = explained(points, gates)
        if not failing:
            return []
        wrong = set(wrong_somewhere(failing))
        whole = [e for e in found if e.names == wrong]
        if any(not e.weak for e in whole):
            return [Slip(e.key, e.text) for e in whole if not e.weak]
        slips = explain(cases)
        # An epsilon in the forward leaves everything a little off, and what is far off can be told nevertheless.
        coarse, nearly = explained([replace(point, tolerance=SINGLE) for point in points], gates)
        for e in nearly:
            if not e.weak and e.names == set(wrong_somewhere(coarse)):
                slips.append(Slip(e.key, f"{e.text} (to 4 digits)"))
    parts: list[Explanation] = []
    for e in sorted(found, key=lambda e: -len(e.names)):
        if e.names < wrong and not e.weak and not e.names <= names_of(parts):
            parts.append(e)
    together = names_of(parts) == wrong  # each of several slips is told by its own parameters
    if together:
        keys = dict.fromkeys(e.key for e in parts)
        slips.append(Slip(" and ".join(keys), "; and ".join(e.text for e in parts)))
    slips += [Slip(e.key, e.text) for e in whole]
    for e in [] if together else parts:
        rest = [name for name in wrong_somewhere(failing) if name not in e.names]
        slips.append(Slip(e.key, f"{e.text} (this does not explain {', '.join(rest)})"))
    return slips


def names_of(parts: Sequence[Explanation]) -> set[str]:
    return {name for e in parts for name in e.names}


def point_of(problem: Problem, exact: dict[str, np.ndarray], sizes: Mapping[str, int]) -> Point:
    """The numbers of a case, of the parameters whose exact gradient is known and finite."""
    known = [name for name in problem.claimed if name in exact and np.isfinite(exact[name]).all()]
    hand, value = ({name: of[name] for name in known} for of in (problem.claimed, problem.values))
    single = all(np.array_equal(g, g.astype(np.float32)) for g in hand.values())
    whole = all(np.array_equal(g, np.rint(g)) for g in hand.values())  # as 0 and 1 are in every precision
    tolerance = SINGLE if single and not whole else DOUBLE
    return Point(hand, {name: exact[name] for name in known}, value, sizes, tolerance)


def explained(points: Sequence[Point], gates: Sequence[str]) -> tuple[list[Point], list[Explanation]]:
    """The points with something wrong, and what explains it."""
    failing = [point for point in points if point.wrong]
    names = {name for point in failing for name in point.hand}
    # A deeper network has parameters that a smaller one has not, and only cases with all of them can be compared.
    comparable = [point for point in failing if point.hand.keys() == names] or failing[:1]
    return comparable, explanations(comparable, gates) if comparable else []
