"""What the mistake is: the relation, or the planted slip, that explains all wrong numbers of a hand gradient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import TypeAlias

import numpy as np

from tinygrad_np.referee.problem import Problem
from tinygrad_np.referee.relations import explanations
from tinygrad_np.referee.relations.point import Point, wrong_somewhere

FailingCase: TypeAlias = tuple[Problem, dict[str, np.ndarray], Mapping[str, int]]


@dataclass(frozen=True)
class Slip:
    """A mistake that explains the hand gradient.

    Attributes
    ----------
    name : str
        A short key, such as "sign".
    text : str
        One plain sentence: "by hand = -1 x exact in every parameter: a sign".
    where : str
        "lstm.py:93" where the place in the source is known, or "".
    """

    name: str
    text: str
    where: str = ""


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
        points = [point for point in points if point.wrong]
        if not points:
            return []
        found = explanations(points, gates)
        wrong = wrong_somewhere(points)
        whole = [e for e in found if e.names == set(wrong)]
        slips = [Slip(e.key, e.text) for e in whole if not e.weak]
        if not slips:
            slips += reproduced(cases)
        slips += [Slip(e.key, e.text) for e in whole if e.weak]
        parts = sorted((e for e in found if e.names < set(wrong)), key=lambda e: -len(e.names))
        covered: set[str] = set()
        for part in parts:
            if not part.names <= covered:
                covered |= part.names
                rest = [name for name in wrong if name not in part.names]
                slips.append(Slip(part.key, f"{part.text} (this does not explain {', '.join(rest)})"))
        return slips


def point_of(problem: Problem, exact: dict[str, np.ndarray], sizes: Mapping[str, int]) -> Point:
    """The numbers of a case, of the parameters whose exact gradient is known and finite."""
    known = [name for name in problem.claimed if name in exact and np.isfinite(exact[name]).all()]
    hand, value = ({name: of[name] for name in known} for of in (problem.claimed, problem.values))
    single = all(np.array_equal(g, g.astype(np.float32)) for g in hand.values())
    whole = all(np.array_equal(g, np.rint(g)) for g in hand.values())  # as 0 and 1 are in every precision
    tolerance = 1e-4 if single and not whole else 1e-6
    return Point(hand, {name: exact[name] for name in known}, value, sizes, tolerance)


def reproduced(cases: Sequence[FailingCase]) -> list[Slip]:
    """The planted slips that give the hand gradient."""
    if find_spec("tinygrad_np.referee.slips") is None:
        return []
    slips: list[Slip] = import_module("tinygrad_np.referee.slips").explain(cases)
    return slips
