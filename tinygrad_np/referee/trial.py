"""The trial: the search for the smallest case that fails, that case at every length of time, and what explains it.

The search looks for what is wrong, which is grossly wrong (`judge.GROSS`): a disagreement as fine as an epsilon in
the forward is noted on the way, and does not end the search before it has come to a slip that matters.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np

from tinygrad_np.extras import import_optional
from tinygrad_np.referee.diagnosis.diagnosis import diagnose
from tinygrad_np.referee.diagnosis.slip import Slip
from tinygrad_np.referee.evidence.exact import DIFFERENCES, RECORDED, Exact, exact_gradient, slope
from tinygrad_np.referee.evidence.repeatable import check_repeatable
from tinygrad_np.referee.intake.calls import Function, input_names
from tinygrad_np.referee.intake.cases import Case
from tinygrad_np.referee.intake.problem import Problem, problem_at
from tinygrad_np.referee.judge import GROSS, judge
from tinygrad_np.referee.source import gradient_places
from tinygrad_np.referee.verdict import RIGHT, UNKNOWN, UNTESTED, WRONG, Finding, Verdict

Findings: TypeAlias = dict[str, Finding]
EXAMPLES = 100  # that the search draws, before it makes one that fails smaller
# Cases in which the record is held against a slope of the values; a failure always is, by the judge.
GUARDED = 10
DRAWS = 3  # at each length of time: one may be right by luck
CLOSE_LOOKS = 6  # cases that are looked at by parameter, where a search had nothing but slopes


def referee(
    forward: Callable[..., Any],
    hand_gradient: Callable[..., Any],
    inputs: Any,
    *,
    steps: str = "T",
    rtol: float = 1e-6,
    gates: Sequence[str] = (),
    progress: bool | None = None,
) -> Verdict:
    """Try a gradient that was derived by hand.

    Parameters
    ----------
    forward : callable
        The loss, in plain NumPy, as it is: called with the inputs by name, or in their order. It may return the
        loss, or a tuple or mapping that begins with it; of a forward without a loss see `problem_at` and
        `referee_layer`.
    hand_gradient : callable
        Takes the same inputs, and returns the gradient of the loss with respect to those that somebody claims to
        know: by name (``W``, ``dW``, ``grad_W``), in their order, or left on an object. See `problem_at`.
    inputs : mapping, sequence, Case, or hypothesis strategy of these
        Arrays, nested dicts and lists of them, objects that have them, and whatever else `forward` takes: one
        point. A `Case`: one that can be made in other lengths of time. A strategy, such as `testing.cases` gives:
        the smallest case that fails is looked for (extra ``test``).
    steps : str
        The size of a `Case` that counts time steps. Those up to its own are tried, or those that were drawn.
    rtol : float
        The largest relative error of a parameter that is right.
    gates : sequence of str
        What the blocks of a fused matrix are called, in their order, for the diagnosis.
    progress : bool, optional
        Whether to tell on stderr how far the search is; where that is a terminal unless told.

    Returns
    -------
    Verdict
        ``verdict.outcome``, ``print(verdict)``, ``verdict.to_frame()``, ``verdict.plot(path)``.

    Raises
    ------
    ValueError
        The hand gradient names what is no input; or `forward` does not return what a loss can be made of, or is
        random.
    TypeError
        The hand gradient returns nothing that gradients can be found in.
    """
    return try_cases(
        lambda given: problem_at(forward, hand_gradient, given),
        inputs,
        steps=steps,
        rtol=rtol,
        gates=gates,
        progress=progress,
    )


def key(point: Any) -> str | int:
    """What a point is known by: a case by its sizes and seed."""
    return str(point) if isinstance(point, Case) else id(point)


class Trial:
    """The problems of one call of the referee, each tried once, and how far it is."""

    def __init__(self, problem_of: Callable[[Any], Problem], rtol: float, progress: bool | None):
        self.problem_of = problem_of
        self.cases: list[Case] = []  # that were tried
        self.rtol = rtol
        self.progress = sys.stderr.isatty() if progress is None else progress
        self.recorded: bool | None = None  # whether all so far were: if so, no quick glance is needed
        self.found: dict[str | int, Findings] = {}  # by case, or by the identity of a point
        self.told = time.monotonic()
        self.exact: Exact | None = None  # the last one

    def problem(self, point: Any) -> Problem:
        return self.problem_of(point.inputs if isinstance(point, Case) else point)

    def close_look(self, point: Any) -> Findings:
        """Each parameter at a point."""
        self.cases += [point] * isinstance(point, Case)
        given = point.inputs if isinstance(point, Case) else point
        problem = self.problem_of(given)
        if self.recorded is None:
            check_repeatable(problem, lambda: self.problem_of(given))
        self.exact = exact_gradient(problem, guarded=len(self.found) < GUARDED)
        # a single step may be recorded where two are not
        self.recorded = self.recorded is not False and self.exact.method == RECORDED
        found = judge(problem, self.exact, self.rtol)
        self.found[key(point)] = found
        return found

    def fails(self, point: Any) -> bool:
        """Whether anything is wrong at a point: by parameter, or where that is slow along one direction of all."""
        if (found := self.found.get(key(point))) is None:
            self.tell(f"{len(self.found)} cases tried, now {point}")
            found = self.close_look(point) if self.recorded is not False else self.glance(point)
        return any(f.outcome == WRONG for f in found.values())

    def glance(self, point: Any) -> Findings:
        """Whether the slope along one direction, in which all count alike, is another one than by hand."""
        self.cases += [point] * isinstance(point, Case)
        problem = self.problem(point)
        rng = np.random.default_rng(0)
        direction, terms = {}, []
        for name, x in problem.values.items():
            hand = problem.claimed[name]
            if hand.shape != x.shape or not np.isfinite(hand).all():
                return self.close_look(point)
            v = rng.standard_normal(x.shape)
            direction[name] = v / (float(np.linalg.norm(hand)) or 1.0)
            terms.append(float((hand * direction[name]).sum()))
        there = slope(problem, direction)
        difference = abs(there.value - sum(terms))
        wrong = difference > GROSS * float(np.linalg.norm([*terms, there.value])) + there.error
        found = self.found[key(point)] = {"": Finding(WRONG if wrong else UNKNOWN)}
        return found

    def tell(self, text: str, end: bool = False) -> None:
        """One line that is written over, twice a second at most."""
        if self.progress and (end or time.monotonic() - self.told > 0.5):
            self.told = time.monotonic()
            print(f"\r{text[:78]:78}", end="\r", file=sys.stderr, flush=True)


def try_cases(
    problem_of: Callable[[Any], Problem],
    inputs: Any,
    *,
    steps: str = "T",
    rtol: float = 1e-6,
    gates: Sequence[str] = (),
    progress: bool | None = None,
) -> Verdict:
    """The verdict of problems that are made of inputs; see `referee` for the parameters."""
    trial = Trial(problem_of, rtol, progress)
    one_point = isinstance(inputs, Case | Mapping | Sequence) or not hasattr(inputs, "example")
    drawn: list[Any] = [inputs] if one_point else search(inputs, trial)
    failing = drawn[-1] if trial.fails(drawn[-1]) else None
    for point in varied(drawn)[: 1 if one_point else CLOSE_LOOKS]:
        if failing is None and "" in trial.found.get(key(point), {"": None}):
            failing = point if any(f.outcome == WRONG for f in trial.close_look(point).values()) else None

    by_steps: dict[int, Findings] = {}
    sizes = {name for point in drawn if isinstance(point, Case) for name in point.sizes}
    if steps in sizes:
        by_steps = over_time(trial, failing or drawn[-1], drawn, steps)
        first = next((n for n, found in by_steps.items() if is_wrong(found)), None)
        if failing is None and first is not None:  # right where it was asked, and wrong at another length
            failing = next(
                point
                for seed in range(DRAWS)
                for point in [redrawn(drawn[-1], drawn, steps, first, seed)]
                if trial.fails(point)
            )
    findings = trial.close_look(failing or drawn[-1])
    exact = trial.exact
    assert exact is not None
    method, why = exact.method, exact.why
    problem = trial.problem(failing or drawn[-1])
    notes = dict.fromkeys((*problem.notes, *exact.notes))
    wrong_steps: list[int] = []
    slips: list[Slip] = []
    if failing is None:
        findings = worst([found for found in trial.found.values() if "" not in found])
    else:
        trial.tell("what explains it ...", end=True)
        if by_steps and method != DIFFERENCES:
            wrong_steps = steps_that_are_wrong(trial, failing, steps, by_steps)
        slips = explained(trial, failing, drawn, gates)
    trial.tell("", end=True)
    is_case = isinstance(failing or drawn[-1], Case)
    if is_case and sizes and steps not in sizes:
        notes[
            f"no size is called {steps}, so nothing is said of time: name the one that counts it with steps="
        ] = None
    return Verdict(
        findings,
        method,
        why,
        str(failing) if isinstance(failing, Case) else "",
        steps,
        by_steps,
        wrong_steps,
        len(trial.found),
        covered(trial.cases),
        tuple(notes),
        slips,
        gradient_places(problem.backward, [name for name, f in findings.items() if f.outcome == WRONG]),
    )


def search(strategy: Any, trial: Trial) -> list[Any]:
    """The cases that hypothesis tried: the last is the smallest that fails, if any does."""
    hypothesis = import_optional("hypothesis")
    phases = [hypothesis.Phase.generate, hypothesis.Phase.shrink]  # what it would explain is explained here
    settings = hypothesis.settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=phases,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    drawn: list[Any] = []

    def fails(point: Any) -> bool:
        drawn.append(point)
        return trial.fails(point)

    try:
        smallest = hypothesis.find(strategy, fails, settings=settings)
    except hypothesis.errors.NoSuchExample:
        return drawn
    return [*drawn, smallest]


def is_wrong(findings: Findings) -> bool:
    return any(f.outcome == WRONG for f in findings.values())


def worst(all_found: Sequence[Findings]) -> Findings:
    """The worst finding of each parameter in several cases.

    Where one case could not be told, or tested nothing, another one that could and did speaks for it.
    """
    order = {WRONG: 4, RIGHT: 2, UNKNOWN: 1, UNTESTED: 0}

    def badness(f: Finding) -> tuple[int, float]:
        return 3 if f.nearly else order[f.outcome], float(np.nan_to_num(f.relative_error))

    return {
        name: max((found[name] for found in all_found if name in found), key=badness) for name in all_found[0]
    }


def covered(drawn: Sequence[Any]) -> dict[str, tuple[int, int]]:
    """The smallest and the largest of each size."""
    sizes = [point.sizes for point in drawn if isinstance(point, Case)]
    return {
        name: (min(s[name] for s in sizes), max(s[name] for s in sizes))
        for name in (sizes[0] if sizes else ())
    }


def varied(drawn: Sequence[Any]) -> list[Any]:
    """Cases that were drawn, the largest first."""
    return sorted(drawn, key=lambda point: -sum(point.sizes.values()) if isinstance(point, Case) else 0)


# --- over time ----------------------------------------------------------------------------------------


def redrawn(case: Case, drawn: Sequence[Any], steps: str, length: int, seed: int) -> Case:
    """The case at a length of time: as it is, and in further draws with two and more of all that may be more."""
    high = case.bounds or covered(drawn)
    more = {name: max(n, min(2, high[name][1])) for name, n in case.sizes.items()}
    sizes = {**(case.sizes if seed == 0 else more), steps: length}
    return Case(case.make, sizes, case.seed + seed)


def over_time(trial: Trial, case: Case, drawn: Sequence[Any], steps: str) -> dict[int, Findings]:
    """The worst findings of some draws at every length of time that may be drawn, or up to the case's own."""
    shortest, longest = (case.bounds or covered(drawn))[steps]
    if len(drawn) == 1 and not case.bounds:
        shortest = 1
    by_steps: dict[int, Findings] = {}
    for length in range(shortest, longest + 1):
        found: list[Findings] = []
        # one draw shows what is wrong, but not what is right
        while len(found) < DRAWS and not any(map(is_wrong, found)):
            trial.tell(f"{steps}={length} of {longest}, draw {len(found) + 1}")
            found.append(trial.close_look(redrawn(case, drawn, steps, length, len(found))))
        by_steps[length] = worst(found)
    return by_steps


def steps_that_are_wrong(trial: Trial, failing: Case, steps: str, by_steps: dict[int, Findings]) -> list[int]:
    """The time steps, counted from 1, whose own contribution is wrong at the first length that fails."""
    first = next(length for length, found in by_steps.items() if is_wrong(found))
    if first == 1:
        return [1]
    if first - 1 not in by_steps:
        return []
    return wrong_steps(
        trial, failing.resized(**{steps: first}).inputs, failing.resized(**{steps: first - 1}).inputs
    )


def wrong_steps(trial: Trial, inputs: Any, shorter: Any) -> list[int]:
    """The time steps whose own contribution to a gradient is wrong.

    The gradient of a weight that multiplies the input x_t is a sum over time, sum_t d_t x_t^T. With every x_t
    but one set to 0, only one term is left, and its error is that of step t. Such weights are found as the
    elements whose gradient is 0 when all of x is, whatever the parameters; x is an input, and its time is the
    axis that is longer than in the `shorter` case.
    """
    if not isinstance(inputs, Mapping):  # by position
        names = input_names(inputs, Function(trial.problem_of(inputs).forward))
        inputs, shorter = (dict(zip(names, given, strict=True)) for given in (inputs, shorter))
    rng = np.random.default_rng(0)
    by_series: list[set[int]] = []
    for name, x in inputs.items():
        shape = np.shape(x) if isinstance(x, np.ndarray) else ()
        if not shape or len(shape) != np.ndim(shorter[name]) or x.dtype != np.float64:
            continue
        longer = [i for i, (n, m) in enumerate(zip(shape, np.shape(shorter[name]), strict=True)) if n != m]
        if len(longer) != 1:
            continue
        try:  # it may not take an x of zeros, and then the step cannot be told
            nothing = trial.problem_of({**inputs, name: np.zeros(shape)})
            draws = []
            for _ in range(8):
                drawn = {p: rng.standard_normal(v.shape) for p, v in nothing.values.items() if p != name}
                draws.append(exact_gradient(replace(nothing, values={**nothing.values, **drawn})).gradient)
            reads_x = {p: np.all([exact[p] == 0 for exact in draws], axis=0) for p in nothing.values}
            wrong: set[int] = set()
            for t in range(shape[longer[0]]):
                only = np.moveaxis(np.zeros(shape), longer[0], 0)
                only[t] = np.moveaxis(x, longer[0], 0)[t]
                problem = trial.problem_of({**inputs, name: np.moveaxis(only, 0, longer[0])})
                hand, exact = problem.claimed, exact_gradient(problem).gradient
                for parameter, mask in reads_x.items():
                    if hand[parameter].shape == mask.shape and not np.allclose(
                        hand[parameter][mask], exact[parameter][mask], rtol=GROSS, atol=1e-12
                    ):
                        wrong.add(t + 1)
        except Exception:
            return []
        if wrong:
            by_series.append(wrong)
    # What is read at a step shows its errors and, through the state, those of later steps; what the loss reads
    # there, such as labels that it is multiplied with, shows those of earlier ones. They agree on the step itself.
    return sorted(set.intersection(*by_series)) if by_series else []


# --- what explains it ---------------------------------------------------------------------------------


def explained(trial: Trial, failing: Any, drawn: Sequence[Any], gates: Sequence[str]) -> list[Slip]:
    """The slips that explain the smallest case that fails and some larger ones, whose sizes tell them apart."""
    points = [failing]
    if isinstance(failing, Case):
        # the search tries the smallest first: where that fails, no larger one was drawn
        high = {name: n for name, (_, n) in (failing.bounds or covered(drawn)).items()}
        for start in (2, 3):
            sizes = {
                name: max(failing.sizes[name], min(high[name], start + i))
                for i, name in enumerate(failing.sizes)
            }
            points.append(Case(failing.make, sizes, failing.seed + start))
    cases = []
    for point in points:
        problem = trial.problem(point)
        exact = exact_gradient(problem)
        if exact.gradient and is_wrong(judge(problem, exact, trial.rtol)):
            cases.append((problem, exact.gradient, point.sizes if isinstance(point, Case) else {}))
    return diagnose(cases, gates) if cases else []
