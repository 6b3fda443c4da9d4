"""The trial: the hand-derived gradient beside the exact one, by parameter and length, and its diagnosis."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import numpy as np

from models import report
from models.tutorial_lstm.model import (
    DIMENSIONS,
    HIDDEN,
    PARAMETERS,
    Array,
    Arrays,
    corrected_gradient,
    forward,
    published_gradient,
    trial_inputs,
)
from tinygrad_np.extras import import_optional
from tinygrad_np.referee import Finding, heat_map, referee
from tinygrad_np.referee.evidence.exact import exact_gradient
from tinygrad_np.referee.intake.problem import problem_at
from tinygrad_np.referee.judge import compared

LENGTHS = (1, 2, 3, 10, 60)  # of the sequences
DRAWS = 20  # of parameters and words, because one draw says little about the size of the error

Findings: TypeAlias = dict[str, dict[int, dict[str, Finding]]]  # by version, length and parameter


def loss_without_eps(**inputs: Array) -> Array:
    """The loss whose gradient the derivation gives."""
    return forward(**inputs, eps=0.0)


def judge(hand_gradient: Callable[..., Arrays], inputs: Arrays) -> dict[str, Finding]:
    """A hand-derived gradient of the loss without eps beside the recorded one, by parameter."""
    problem = problem_at(loss_without_eps, hand_gradient, inputs)
    exact = exact_gradient(problem, guarded=False).gradient
    return {name: compared(g, exact[name], 0.0, 1e-6, 1e-15) for name, g in problem.claimed.items()}


def trial(seed: int) -> Findings:
    """Both versions of the hand gradient at all lengths, which are beginnings of one sequence."""
    inputs = trial_inputs(HIDDEN, DIMENSIONS, max(LENGTHS), np.random.default_rng(seed))
    return {
        version: {length: judge(gradient, {**inputs, "x": inputs["x"][:length]}) for length in LENGTHS}
        for version, gradient in (("as published", published_gradient), ("corrected", corrected_gradient))
    }


def print_trial(found: Findings) -> None:
    """A table of each version: relative error and cosine by parameter and length."""
    print(f"relative error and cosine of the hand-derived gradient, H = {HIDDEN}, D = {DIMENSIONS}, N(0, 1)")
    for version, by_length in found.items():
        print(f"\n{version:13}" + "".join(f"{f'T = {length}':>18}" for length in LENGTHS))
        for name in PARAMETERS:
            cells = (by_length[length][name] for length in LENGTHS)
            print(
                f"{name:13}"
                + "".join(
                    f"{'both are 0':>18}"
                    if np.isnan(f.relative_error)
                    else f"{f.relative_error:10.2g} {'' if np.isnan(f.cosine) else f'{f.cosine:+.3f}':>7}"
                    for f in cells
                )
            )


def print_draws() -> None:
    """How the published gradient's errors spread over several draws, at the largest length."""
    draws = [
        judge(published_gradient, trial_inputs(HIDDEN, DIMENSIONS, LENGTHS[-1], np.random.default_rng(seed)))
        for seed in range(DRAWS)
    ]
    gates = [draw[name] for draw in draws for name in PARAMETERS[:8]]
    print(
        f"\nas published, T = {LENGTHS[-1]}, the gates' parameters in {DRAWS} draws (seeds 0 to {DRAWS - 1}):"
    )
    for what in ("relative_error", "cosine"):
        values = [getattr(finding, what) for finding in gates]
        print(
            f"  {what.replace('_', ' ')}: median {np.median(values):.2g}, "
            f"from {min(values):.2g} to {max(values):.2g}"
        )


def draw_trial(found: Findings, path: Path) -> None:
    """A heat map of the relative errors for each version."""
    figure = report.new_figure(9, 4.6)
    for axes, (version, by_length) in zip(figure.subplots(1, 2, sharey=True), found.items(), strict=True):
        image = heat_map(axes, {str(length): findings for length, findings in by_length.items()})
        axes.set_xlabel("steps T")
        axes.set_title(version)
    figure.colorbar(image, ax=figure.axes, label="log10 of the relative error")
    figure.suptitle(f"|hand-derived gradient − exact one| / |exact one|, H = {HIDDEN} (bold: wrong)")
    path.parent.mkdir(parents=True, exist_ok=True)
    report.save(figure, path)


# --- the diagnosis ------------------------------------------------------------------------------------


def make_inputs(rng: np.random.Generator, T: int, hidden: int, inputs: int) -> Arrays:
    """`trial_inputs` of sizes that the referee chooses."""
    return trial_inputs(hidden, inputs, T, rng)


def one_bias_for_three_gates(**inputs: np.ndarray) -> Arrays:
    """A slip of another kind: the gradient of the forget gate's bias is used for all three gates."""
    gradients = corrected_gradient(**inputs)
    return {**gradients, "bi": gradients["bf"], "bo": gradients["bf"]}


def diagnose(directory: Path) -> None:
    """Print what the referee finds of three gradients, and draw it into a directory."""
    import_optional("hypothesis")  # which the next line imports
    from tinygrad_np import testing

    directory.mkdir(parents=True, exist_ok=True)
    cases = testing.cases(make_inputs, T=(1, 6), hidden=(1, 4), inputs=(1, 3))
    for title, gradient in (
        ("as published", published_gradient),
        ("one bias for three gates", one_bias_for_three_gates),
        ("corrected", corrected_gradient),
    ):
        verdict = referee(loss_without_eps, gradient, cases)
        picture = directory / f"{title.replace(' ', '-')}.png"
        verdict.plot(picture)
        print(f"{title}: {verdict}\npicture: {picture}\n")
