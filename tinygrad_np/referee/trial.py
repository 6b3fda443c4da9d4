"""The trial: the hand gradient beside the exact one, or the search for a case that fails."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from tinygrad_np.extras import import_optional
from tinygrad_np.referee.exact import exact_gradient
from tinygrad_np.referee.judge import judge
from tinygrad_np.referee.problem import problem_at
from tinygrad_np.referee.verdict import Case, Finding, Inputs, Verdict


def referee(
    forward: Callable[..., Any],
    hand_gradient: Callable[..., Any],
    inputs: Any,
    *,
    steps: str = "T",
    rtol: float = 1e-6,
) -> Verdict:
    """Try a gradient that was derived by hand.

    Parameters
    ----------
    forward : callable
        Takes the inputs by name, and returns one number: the loss. Plain NumPy.
    hand_gradient : callable
        Takes the same inputs, and returns a mapping of names to gradients of the loss: those of all inputs
        that somebody claims to know.
    inputs : mapping, Case, or hypothesis strategy of either
        A mapping of names to float64 arrays and whatever else `forward` takes: one point. A `Case`: one that
        can be made in other lengths of time. A strategy, such as `testing.cases` gives: the smallest case that
        fails is looked for (extra ``test``).
    steps : str
        The size of a `Case` that counts time steps. Those up to its own are tried, or those that were drawn.
    rtol : float
        The largest relative error of a parameter that is right.

    Returns
    -------
    Verdict
        ``verdict.agrees``, ``print(verdict)``, ``verdict.to_frame()``, ``verdict.plot(path)``.

    Raises
    ------
    ValueError
        The hand gradient names what is no input, or `forward` does not return one number, or not the same one
        every time.
    TypeError
        The hand gradient is no mapping of arrays, or the input of a gradient is not float64.
    """

    def try_at(point: Any) -> tuple[dict[str, Finding], str]:
        inputs = point.inputs if isinstance(point, Case) else point
        return _findings(forward, hand_gradient, inputs, rtol)

    drawn: list[Any] = [inputs] if isinstance(inputs, Case | Mapping) else _search(inputs, try_at)
    point, tried = drawn[-1], len(drawn)
    findings, method = try_at(point)
    if not isinstance(point, Case) or steps not in point.sizes:
        return Verdict(findings, method, str(point) if isinstance(point, Case) else "", steps, tried=tried)

    # The same case at every length of time that was drawn, or up to its own.
    lengths = [case.sizes[steps] for case in drawn]
    shortest = 1 if len(drawn) == 1 else min(lengths)
    at = {n: replace(point, sizes={**point.sizes, steps: n}) for n in range(shortest, max(lengths) + 1)}
    by_steps = {length: try_at(case)[0] for length, case in at.items()}
    wrong_steps: list[int] = []
    first = next((length for length, found in by_steps.items() if not _all_right(found)), None)
    if first is not None:
        if _all_right(findings):  # right where it was asked, and wrong at another length
            findings, point = by_steps[first], at[first]
        if first == 1:
            wrong_steps = [1]
        elif first > shortest:
            wrong_steps = _wrong_steps(forward, hand_gradient, at[first].inputs, at[first - 1].inputs, rtol)
    return Verdict(findings, method, str(point), steps, by_steps, wrong_steps, tried)


def _findings(
    forward: Callable[..., Any], hand_gradient: Callable[..., Any], inputs: Inputs, rtol: float
) -> tuple[dict[str, Finding], str]:
    problem = problem_at(forward, hand_gradient, inputs)
    exact = exact_gradient(problem)
    return judge(problem, exact, rtol), exact.method


def _all_right(findings: dict[str, Finding]) -> bool:
    return all(finding.right for finding in findings.values())


def _search(strategy: Any, try_at: Callable[[Any], tuple[dict[str, Finding], str]]) -> list[Any]:
    """The cases that hypothesis tried: the last is the smallest that fails, if any does."""
    hypothesis = import_optional("hypothesis")
    settings = hypothesis.settings(max_examples=200, deadline=None, database=None, derandomize=True)
    drawn: list[Any] = []

    def fails(point: Any) -> bool:
        drawn.append(point)
        return not _all_right(try_at(point)[0])

    try:
        smallest = hypothesis.find(strategy, fails, settings=settings)
    except hypothesis.errors.NoSuchExample:
        return drawn
    return [*drawn, smallest]


def _wrong_steps(
    forward: Callable[..., Any],
    hand_gradient: Callable[..., Any],
    inputs: Inputs,
    shorter: Inputs,
    rtol: float,
) -> list[int]:
    """The time steps, counted from 1, whose own contribution to a gradient is wrong.

    The gradient of a weight that multiplies the input x_t is a sum over time, sum_t d_t x_t^T. With every x_t
    but one set to 0, only one term is left, and its error is that of step t. Such weights are found as the
    elements whose gradient is 0 when all of x is, whatever the parameters; x is an input that is no parameter,
    and its time is the axis that is longer than in the `shorter` case.
    """
    claimed = list(problem_at(forward, hand_gradient, inputs).claimed)
    rng = np.random.default_rng(0)
    by_series: list[set[int]] = []
    for name, x in inputs.items():
        shape = np.shape(x)
        if name in claimed or len(shape) != np.ndim(shorter[name]) or np.asarray(x).dtype != np.float64:
            continue
        longer = [i for i, (n, m) in enumerate(zip(shape, np.shape(shorter[name]), strict=True)) if n != m]
        if len(longer) != 1:
            continue
        nothing = {**inputs, name: np.zeros(shape)}
        draws = [
            exact_gradient(
                problem_at(
                    forward,
                    hand_gradient,
                    {**nothing, **{p: rng.standard_normal(np.shape(inputs[p])) for p in claimed}},
                )
            ).gradient
            for _ in range(8)
        ]
        reads_x = {p: np.all([exact[p] == 0 for exact in draws], axis=0) for p in claimed}
        wrong: set[int] = set()
        for t in range(shape[longer[0]]):
            only = np.moveaxis(np.zeros(shape), longer[0], 0)
            only[t] = np.moveaxis(np.asarray(x), longer[0], 0)[t]
            at_t = {**inputs, name: np.moveaxis(only, 0, longer[0])}
            try:
                problem = problem_at(forward, hand_gradient, at_t)
            except Exception:  # it does not take an x of zeros, and then the step cannot be told
                return []
            hand, exact = problem.claimed, exact_gradient(problem).gradient
            for parameter, mask in reads_x.items():
                if hand[parameter].shape == mask.shape and not np.allclose(
                    hand[parameter][mask], exact[parameter][mask], rtol=rtol, atol=1e-12
                ):
                    wrong.add(t + 1)
        if wrong:
            by_series.append(wrong)
    # What is read at a step shows its errors and, through the state, those of later steps; what the loss reads
    # there, such as labels that it is multiplied with, shows those of earlier ones. They agree on the step itself.
    return sorted(set.intersection(*by_series)) if by_series else []
