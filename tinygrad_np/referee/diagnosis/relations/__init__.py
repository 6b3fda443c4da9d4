"""Relations between a hand gradient and the exact one: a factor, a clip, a transpose, blocks exchanged, and so on.

Each relation is a function of the points that fail and of the parameters that are wrong somewhere. It gives the
explanations that it finds, and the parameters that each of them explains: to rounding, and at all points.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from tinygrad_np.referee.diagnosis.relations.factors import clipped_norms, factors
from tinygrad_np.referee.diagnosis.relations.parts import located
from tinygrad_np.referee.diagnosis.relations.places import blocks, exchanged, moved, turned, unsummed
from tinygrad_np.referee.diagnosis.relations.point import Explanation, Point, Relation, wrong_somewhere
from tinygrad_np.referee.diagnosis.relations.values import clipped, fills, sums


def explanations(points: Sequence[Point], gates: Sequence[str] = ()) -> list[Explanation]:
    """What the relations find, in the order in which they are believed."""
    relations: list[Relation] = [
        clipped,
        clipped_norms,
        factors,
        fills,
        moved,
        unsummed,
        partial(blocks, gates=gates),
        turned,
        partial(blocks, counts=(0,)),
        exchanged,
        sums,
    ]
    wrong = wrong_somewhere(points)
    found = [explanation for relation in relations for explanation in relation(points, wrong)]
    if any(explanation.names == set(wrong) and not explanation.weak for explanation in found):
        return found
    return [*found, *located(points, wrong, gates, relations)]
