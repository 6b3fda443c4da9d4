"""Which mistake explains a wrong gradient: the recorded way back is run with one mistake after the other.

A mistake is named only if its result is the hand gradient of all parameters, to rounding: so a name is a proof, and
where nothing reproduces the numbers nothing is said. The mistakes are those of people who derive networks by hand,
the likeliest first; each is a change of edges of the graph (see `wayback`), and they stand in `mistakes/`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tinygrad_np.referee.diagnosis.mistakes import FIRST, STAGES, Mistake, Reading, own_mistakes
from tinygrad_np.referee.diagnosis.slip import Slip
from tinygrad_np.referee.diagnosis.wayback import Change, WayBack, together
from tinygrad_np.referee.intake.problem import Problem
from tinygrad_np.referee.recording.recorded import record

RTOL = 1e-6  # of the Euclidean norm: what reproduces a gradient
SINGLE = 1e-4  # the same of a hand gradient in float32
MOST_NODES = 3000  # of a graph that is tried
MOST_WORK = 250_000  # nodes that are passed on all ways back together: some 3 s
Stage = Callable[[Reading], Iterator[Mistake]]
CANNOT = (
    ValueError,
    TypeError,
    IndexError,
    KeyError,
    AttributeError,
)  # a mistake of a shape that does not fit
Gradient = Mapping[str, np.ndarray]


class Trial:
    """One case: its graph, what can be done wrong in it, and the hand gradient beside the exact one."""

    def __init__(self, way: WayBack, hand: Gradient, exact: Gradient, sizes: Mapping[str, int]):
        self.way = way
        self.hand = hand
        self.exact = exact
        self.reading = Reading(way, sizes)
        self.scale = max([float(np.linalg.norm(e)) for e in exact.values()], default=0.0)
        single = all(np.array_equal(h, h.astype(np.float32)) for h in hand.values())
        whole = all(np.array_equal(h, np.rint(h)) for h in hand.values())  # as 0 and 1 are in every precision
        rtol = SINGLE if single and not whole else RTOL
        self.tolerance = {n: rtol * float(np.linalg.norm(h)) + 1e-13 * self.scale for n, h in hand.items()}
        self.telling = {name: int(np.argmax(np.abs(hand[name] - exact[name]))) for name in hand}
        self.wrong = [name for name in hand if not self.fits(exact, name)]
        self.right = [name for name in exact if name not in self.wrong and self.matters(exact[name])]
        self.tried = 0  # nodes that were passed
        self._found: dict[Stage, dict[Any, Mistake]] = {}

    def fits(self, gradient: Gradient, name: str) -> bool:
        """Whether a gradient is that by hand, in one parameter."""
        hand, most = self.hand[name], self.tolerance[name]
        g = gradient[name]
        if abs(g.flat[self.telling[name]] - hand.flat[self.telling[name]]) > most:
            return False  # one element is enough, most of the time
        return bool(np.linalg.norm(g - hand) <= most)

    def matters(self, gradient: np.ndarray) -> bool:
        """Whether a gradient is more than rounding."""
        return float(np.linalg.norm(gradient)) > 1e-9 * self.scale

    def change(self, mistake: Mistake) -> Change | None:
        """What a mistake does here; None where it cannot be made."""
        try:
            with np.errstate(all="ignore"):
                return mistake.change()
        except CANNOT:
            return None

    def gradient(self, change: Change | None) -> Gradient | None:
        """The gradient with a change; None where that fails, as in another shape."""
        if change is None:
            return None
        self.tried += len(self.way.nodes)
        try:
            return self.way.gradient(change)
        except CANNOT:
            return None

    def find(self, stage: Stage, key: Any) -> Mistake | None:
        """The same mistake as in another case; None where it cannot be made."""
        if stage not in self._found:
            self._found[stage] = {m.key: m for m in stage(self.reading)}
        return self._found[stage].get(key)


def trial_of(problem: Problem, exact: Gradient, sizes: Mapping[str, int]) -> Trial | None:
    """A case as something to try mistakes on, if its forward can be recorded and is what it was taken for."""
    try:
        recorded = record(problem, trace=True)
    except Exception:  # values alone are known of it
        return None
    if recorded.loss.node is None:
        return None
    way = WayBack(recorded.loss, recorded.parameters, recorded.sites)
    hand = {
        name: np.asarray(g)
        for name, g in problem.claimed.items()
        if name in exact and np.shape(g) == np.shape(exact[name]) and np.size(g) and np.isfinite(g).all()
    }
    if not hand or len(way.nodes) > MOST_NODES:
        return None
    return Trial(way, hand, {name: np.asarray(exact[name]) for name in hand}, sizes)


def explain(cases: Sequence[tuple[Problem, Gradient, Mapping[str, int]]]) -> list[Slip]:
    """The mistakes that reproduce the hand gradient of all parameters, in all cases; the likeliest first.

    Parameters
    ----------
    cases : sequence of (Problem, exact gradient, sizes)
        Cases of one network at which the hand gradient fails.

    Returns
    -------
    list of Slip
        Empty where no mistake of the catalogue explains the numbers, or the hand gradient is right. Of parameters
        with a hand gradient in another shape nothing is asked.
    """
    trials = [trial for case in cases if (trial := trial_of(*case)) is not None]
    trials = [trial for trial in trials if trial.wrong]
    if not trials:
        return []
    trials.sort(key=lambda trial: len(trial.way.nodes))
    # The largest case that is cheap tells most mistakes apart; the others must agree with what it says.
    affordable = [trial for trial in trials if len(trial.way.nodes) <= 400] or trials[:1]
    return Search(affordable[-1], [t for t in trials if t is not affordable[-1]]).run()


def listed(names: Sequence[str]) -> str:
    """Parameters in a sentence, and of many the first."""
    quoted = [f"`{name}`" for name in names]
    if len(quoted) > 4:
        return f"{quoted[0]}, {quoted[1]} and {len(quoted) - 2} others"
    return ", ".join(quoted[:-1]) + " and " + quoted[-1] if len(quoted) > 1 else quoted[0]


class Search:
    """The search for what explains one case, held against the others."""

    def __init__(self, trial: Trial, others: Sequence[Trial]):
        self.trial = trial
        self.others = others  # the smallest first: what it refutes need not be tried on the large one
        self.partial: list[tuple[int, Mistake]] = []  # what explains some parameters, and how many fit then
        self.unlikely: list[tuple[Stage, Mistake, Change]] = []

    def run(self) -> list[Slip]:
        trial = self.trial
        plain = trial.way.gradient()
        if not all(np.allclose(plain[name], trial.exact[name], rtol=1e-6) for name in trial.exact):
            return []  # the graph is not that of the loss
        for stage in FIRST:
            found = self.stage(stage)
            if found:
                return found
        alone = self.by_parameter(None, trial.wrong)
        said = self.said(alone) if len(alone) == len(trial.wrong) else []
        if len(said) == 1:
            return said
        for stage in STAGES:
            found = self.stage(stage)
            if found:
                return found
        if said:
            return said
        found = self.explaining(self.unlikely)
        if found:
            return found
        self.partial.sort(key=lambda item: -item[0])
        for _, mistake in self.partial[:6]:
            both = self.both(mistake)
            if both:
                return both
        return []

    def stage(self, stage: Stage) -> list[Slip]:
        """The mistakes of one kind that explain all parameters."""
        likely = []
        for mistake in stage(self.trial.reading):
            change = self.trial.change(mistake)
            if change is not None:
                touched = self.trial.way.touched(change)
                if stage in FIRST or touched.isdisjoint(self.trial.right):
                    likely.append((stage, mistake, change))
                else:  # something right would be changed, unless that is hidden by a mask, for one
                    self.unlikely.append((stage, mistake, change))
        return self.explaining(likely)

    def explaining(self, mistakes: Iterable[tuple[Stage, Mistake, Change]]) -> list[Slip]:
        """Those that explain all parameters, in all cases."""
        trial = self.trial
        found: list[Slip] = []
        for stage, mistake, change in mistakes:
            if sum(each.tried for each in (trial, *self.others)) > MOST_WORK or len(found) == 3:
                break
            if trial.way.touched(change).isdisjoint(trial.wrong) or self.refuted(
                stage, mistake, self.others[:1]
            ):
                continue
            gradient = trial.gradient(change)
            fitting = [name for name in trial.hand if gradient and trial.fits(gradient, name)]
            if len(fitting) == len(trial.hand):
                if not self.refuted(stage, mistake, self.others[1:]):
                    found.append(Slip(mistake.name, mistake.text, mistake.where))
            elif any(name in trial.wrong for name in fitting):
                self.partial.append((len(fitting), mistake))
        return found

    def refuted(self, stage: Stage, mistake: Mistake, others: Iterable[Trial]) -> bool:
        """Whether another case says that it is not this; one in which the mistake cannot be made says nothing."""
        for other in others:
            same = other.find(stage, mistake.key)
            gradient = other.gradient(other.change(same)) if same is not None else None
            if gradient is not None and not any(other.fits(gradient, name) for name in other.wrong):
                return True
        return False

    def by_parameter(self, above: Change | None, wanted: Iterable[str]) -> dict[str, list[Mistake]]:
        """For each parameter the mistakes in its own gradient that explain it."""
        trial = self.trial
        found: dict[str, list[Mistake]] = {}
        names = list(wanted)
        for mistake in own_mistakes(trial.reading, above):
            change = trial.change(mistake)
            gradient = trial.gradient(change if above is None else together([above, change]))
            for name in names:
                if gradient is not None and trial.fits(gradient, name):
                    found.setdefault(name, []).append(mistake)
        return found

    def said(self, alone: Mapping[str, list[Mistake]]) -> list[Slip]:
        """What is said of mistakes in the gradients of parameters alone, those of one kind in one sentence."""
        found: dict[Any, tuple[Mistake, list[str]]] = {}
        left = list(alone)
        while left:  # the kind that explains most of them first
            kinds = {m.key: m for name in left for m in reversed(alone[name])}
            explained = {
                key: [name for name in left if any(m.key == key for m in alone[name])] for key in kinds
            }
            order = [m.key for name in left for m in alone[name]]
            best = max(kinds, key=lambda key: (len(explained[key]), -order.index(key)))
            found[best] = kinds[best], explained[best]
            left = [name for name in left if name not in explained[best]]
        return [Slip(m.name, m.text.replace("{}", listed(names)), m.where) for m, names in found.values()]

    def both(self, mistake: Mistake) -> list[Slip]:
        """Two mistakes at once: one of the way back, and one in the gradient of the parameters that it leaves."""
        change = self.trial.change(mistake)
        gradient = self.trial.gradient(change)
        if gradient is None:
            return []
        left = [name for name in self.trial.hand if not self.trial.fits(gradient, name)]
        alone = self.by_parameter(change, left)
        if len(alone) < len(left):
            return []
        return [Slip(mistake.name, mistake.text, mistake.where), *self.said(alone)]
