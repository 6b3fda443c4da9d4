"""Trials of the referee: networks drawn by number, right or broken, and what it says of each."""

from __future__ import annotations

import time
import traceback
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from tests.strangers import NETWORKS
from tests.strangers.network import Network, Planted, broken
from tinygrad_np import testing
from tinygrad_np.referee import Case, referee, referee_layer

FAILED = "failed"  # the referee raised something


@dataclass(frozen=True)
class Trial:
    """One call of the referee.

    Attributes
    ----------
    network, planted
        What is tried; nothing is planted in a right one.
    sizes : mapping
        One size, or the bounds of a search.
    options : mapping
        What `make` is given besides.
    seed : int
        Of the case.
    """

    network: Network
    planted: Planted | None
    sizes: Mapping[str, Any]
    options: Mapping[str, Any]
    seed: int = 0

    def make(self, rng: np.random.Generator, **sizes: int) -> Any:
        """The inputs; the seed of the trial stands beside that of the referee's draws."""
        own = np.random.default_rng([self.seed, int(rng.integers(2**31))])
        return self.network.make(own, **sizes, **self.options)

    def __str__(self) -> str:
        slip = f", {self.planted.slip}" if self.planted else ""
        given = {**self.sizes, **{name: value for name, value in self.options.items() if value is not None}}
        settings = ", ".join(f"{name}={value}" for name, value in given.items())
        return f"{self.network.family} {self.network.name}{slip} ({settings}, seed {self.seed})"


@dataclass(frozen=True)
class Outcome:
    """What the referee said: "right", "wrong", "cannot tell", or "failed" with the error; in seconds of processor."""

    said: str
    method: str
    seconds: float
    pattern: str = ""  # the first, by its name and its text
    text: str = ""


def run(trial: Trial) -> Outcome:
    """Call the referee with the network as it is written, and without an adapter."""
    network = trial.network
    backward = partial(network.backward, slip=trial.planted.slip) if trial.planted else network.backward
    start = time.process_time()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # NumPy's, of the network's own numbers
            bounds = {name: n if isinstance(n, tuple) else (n, n) for name, n in trial.sizes.items()}
            if network.layer:
                verdict = referee_layer(
                    network.forward, backward, trial.make, steps=network.steps, **trial.sizes
                )
            elif all(low == high for low, high in bounds.values()):
                case = Case(trial.make, trial.sizes)
                verdict = referee(network.forward, backward, case, steps=network.steps)
            else:
                verdict = referee(
                    network.forward, backward, testing.cases(trial.make, **bounds), steps=network.steps
                )
    except Exception:
        return Outcome(FAILED, "", time.process_time() - start, text=traceback.format_exc())
    pattern = f"{verdict.slips[0].name}: {verdict.slips[0].text}" if verdict.slips else ""
    return Outcome(verdict.outcome, verdict.method, time.process_time() - start, pattern, str(verdict))


def drawn(network: Network, planted: Planted | None, rng: np.random.Generator) -> Trial:
    """Sizes, options and seed at random; every fifth is a search between all bounds."""
    bounds = {**network.sizes, **(planted.sizes if planted else {})}
    options = {name: choices[rng.integers(len(choices))] for name, choices in network.options.items()}
    options |= planted.options if planted else {}
    seed = int(rng.integers(1000))
    sizes: dict[str, Any] = {name: int(rng.integers(low, high + 1)) for name, (low, high) in bounds.items()}
    return Trial(network, planted, bounds if rng.random() < 0.2 else sizes, options, seed)


def right_trial(number: int) -> Trial:
    """A right network, all in turn."""
    return drawn(NETWORKS[number % len(NETWORKS)], None, np.random.default_rng([1, number]))


def broken_trial(number: int) -> Trial:
    """A network with one of its mistakes at random, where it shows."""
    network, rng = NETWORKS[number % len(NETWORKS)], np.random.default_rng([2, number])
    while True:
        trial = drawn(network, network.planted[rng.integers(len(network.planted))], rng)
        sizes = {name: n[1] if isinstance(n, tuple) else n for name, n in trial.sizes.items()}
        inputs = Case(trial.make, sizes).inputs
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            if trial.planted and broken(network, inputs, trial.planted.slip):
                return trial


def table_trials() -> list[Trial]:
    """Every mistake, looked for as somebody would: a search between the bounds of all sizes."""
    return [
        Trial(network, planted, {**network.sizes, **planted.sizes}, planted.options)
        for network in NETWORKS
        for planted in network.planted
    ]


def named(trial: Trial, outcome: Outcome) -> bool:
    """Whether the first pattern is the mistake that was planted."""
    assert trial.planted
    return any(word.lower() in outcome.pattern.lower() for word in trial.planted.named)
