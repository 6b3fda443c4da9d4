"""What the mistake is, told from the numbers alone: relations between the hand and the exact gradient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from tinygrad_np.referee.problem import Problem

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

    Parameters
    ----------
    cases : sequence of (Problem, exact gradient, sizes)
        Where it fails: the smallest case, and larger ones, so that a pattern is no coincidence. Sizes that differ
        from one another tell most: T=3, batch=2, hidden=4 tells a mean over the batch from one over time.
    gates : sequence of str
        The names of the blocks of a fused matrix, in the user's order, as ("i", "f", "g", "o").
    """
    return []
