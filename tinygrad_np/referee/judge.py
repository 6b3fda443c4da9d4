"""The judgement: a hand gradient beside what is known of the exact one, parameter by parameter."""

from __future__ import annotations

import numpy as np

from tinygrad_np.referee.exact import Exact
from tinygrad_np.referee.problem import Problem
from tinygrad_np.referee.verdict import RIGHT, UNKNOWN, UNTESTED, WRONG, Finding

GROSS = 1e-3  # the relative error from which on it is called wrong: an epsilon, or float32, makes finer ones


def judge(problem: Problem, exact: Exact, rtol: float) -> dict[str, Finding]:
    """Each parameter of the hand gradient."""
    # Where the terms of an exact gradient cancel to 0, both sides have rounding left, that of the others' size.
    rounding = 1e-14 * max([float(np.linalg.norm(e)) for e in exact.gradient.values()], default=0.0)
    return {name: finding(g, exact.gradient[name], rtol, rounding) for name, g in problem.claimed.items()}


def finding(hand: np.ndarray, exact: np.ndarray, rtol: float, rounding: float) -> Finding:
    if hand.shape != exact.shape:
        return Finding(WRONG, reason=f"has shape {hand.shape}, and its parameter {exact.shape}")
    if not np.isfinite(exact).all():
        return Finding(
            UNKNOWN, reason="cannot be judged: the exact gradient is not finite here; try another point"
        )
    if not np.isfinite(hand).all():
        return Finding(WRONG, reason="is not finite")
    if not exact.size:
        return Finding(RIGHT, 0.0)
    length, difference = float(np.linalg.norm(exact)), float(np.linalg.norm(hand - exact))
    product = length * float(np.linalg.norm(hand))
    cosine = float(np.vdot(hand, exact)) / product if product else np.nan
    index = tuple(int(i) for i in np.unravel_index(np.argmax(np.abs(hand - exact)), exact.shape))
    if not (length or difference):
        return Finding(UNTESTED, absolute_error=0.0, reason="the gradient is 0 on both sides here")
    right = difference <= rtol * length + rounding
    nearly = not right and difference <= GROSS * length
    return Finding(
        RIGHT if right else UNKNOWN if nearly else WRONG,
        difference / length if length else np.nan,
        difference,
        cosine,
        index,
        float(hand[index]),
        float(exact[index]),
        f"agrees to {difference / length:.1g} and no closer: is there an epsilon in the forward?"
        if nearly
        else "",
        nearly,
    )
