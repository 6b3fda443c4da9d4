"""The referee measured with networks in the styles in which people write them: see tests/strangers."""

import copy
from typing import Any

import numpy as np
import pytest

from tests.strangers import NETWORKS, page
from tests.strangers.edges import EDGES
from tests.strangers.idioms import IDIOMS
from tests.strangers.network import Network, broken, slopes
from tests.strangers.trials import Outcome, broken_trial, named, right_trial, run, table_trials
from tinygrad_np.referee import referee
from tinygrad_np.referee.verdict import RIGHT, WRONG


def drawn(network: Network, rng: np.random.Generator, bounds: Any = (), options: Any = ()) -> Any:
    sizes = {
        name: int(rng.integers(low, high + 1))
        for name, (low, high) in {**network.sizes, **dict(bounds)}.items()
    }
    return network.make(rng, **sizes, **dict(options))


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: f"{network.family}: {network.name}")
def test_what_is_called_right_is_right_and_what_is_called_broken_is_broken(network: Network) -> None:
    """Without the referee: by differences of the forward."""
    rng = np.random.default_rng(0)
    for _ in range(3):
        for exact, hand in slopes(network, drawn(network, rng)):
            assert hand == pytest.approx(exact, rel=1e-6, abs=1e-9)
    for planted in network.planted:
        points = [drawn(network, rng, planted.sizes, planted.options) for _ in range(12)]
        at = next((point for point in points if broken(network, point, planted.slip)), None)
        assert at is not None, planted.slip
        apart = [abs(hand - exact) > 1e-3 * abs(exact) for exact, hand in slopes(network, at, planted.slip)]
        assert any(apart), planted.slip


POINT = {
    "w": np.array([0.9, 0.4, 1.3]),
    "W": np.random.default_rng(5).uniform(0.3, 1.2, (4, 3)),
    "x": np.random.default_rng(6).uniform(0.3, 1.0, (2, 4)),
}


def by_differences(f: Any) -> dict[str, np.ndarray]:
    """The gradient of an idiom with respect to w and W."""

    def value(name: str, index: tuple[int, ...], h: float) -> float:
        point = copy.deepcopy(POINT)
        point[name][index] += h
        return float(np.asarray(f(**point)).reshape(()))

    gradient = {"w": np.zeros(3), "W": np.zeros((4, 3))}
    for name, g in gradient.items():
        for index in np.ndindex(g.shape):
            one, two, three = (
                (value(name, index, h) - value(name, index, -h)) / (2 * h) for h in (1e-3, 5e-4, 2.5e-4)
            )
            g[index] = (64 * three - 20 * two + one) / 45
        g[np.abs(g) < 1e-9] = 0
    return gradient


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
@pytest.mark.parametrize("idiom", IDIOMS, ids=lambda idiom: idiom.__name__)
def test_no_idiom_is_called_wrong(idiom: Any) -> None:
    right = by_differences(idiom)
    verdict = referee(idiom, lambda w, W, x: copy.deepcopy(right), POINT)
    assert verdict.outcome != WRONG, str(verdict)
    if IDIOMS.index(idiom) % 3 == 0:
        wrong = referee(idiom, lambda w, W, x: {"w": 1.01 * right["w"], "W": right["W"]}, POINT)
        assert not wrong.agrees, str(wrong)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_no_right_gradient_of_which_little_is_known_is_called_wrong() -> None:
    """And none with a mistake passes for right."""
    for number, edge in enumerate(EDGES):
        verdict = referee(edge.loss, edge.by_hand, {"w": edge.at})
        assert verdict.outcome != WRONG, f"{edge.name}\n{verdict}"
        if number % 5 == 0:
            assert not referee(edge.loss, edge.by_hand_wrong, {"w": edge.at}).agrees, edge.name


# A part of ``python -m tests.strangers``: what is recorded at one point and takes a second.
RIGHT_ONES = (4, 9, 10, 11, 13, 18, 22, 25, 27)
BROKEN_ONES = (4, 8, 13, 22, 23, 25, 27, 37, 38)
PLANTED = (51, 60, 72, 79, 101)


@pytest.mark.parametrize("number", RIGHT_ONES)
def test_a_right_network_is_right_and_no_mistake_is_named_in_it(number: int) -> None:
    trial = right_trial(number)
    outcome = run(trial)
    assert outcome.said == RIGHT, f"{trial}\n{outcome.text}"
    assert not outcome.pattern, f"{trial}\n{outcome.text}"


@pytest.mark.parametrize("number", BROKEN_ONES)
def test_a_broken_network_is_wrong(number: int) -> None:
    trial = broken_trial(number)
    outcome = run(trial)
    assert outcome.said == WRONG, f"{trial}\n{outcome.text}"


@pytest.mark.parametrize("number", PLANTED)
def test_the_first_pattern_is_the_planted_mistake(number: int) -> None:
    trial = table_trials()[number]
    outcome = run(trial)
    assert outcome.said == WRONG
    assert named(trial, outcome), f"{trial}: {outcome.pattern}"


def test_the_page_counts_what_came_of_it() -> None:
    trial = table_trials()[0]
    good = Outcome(WRONG, "recorded", 1.0, "dh_next missing: what comes back | is missing")
    results = {
        "right": [(right_trial(0), Outcome(RIGHT, "recorded", 2.0))],
        "table": [(trial, good), (trial, Outcome(WRONG, "recorded", 1.0))],
    }
    text = page.markdown(results)
    assert "| **all** | 1 | 0 | 0 | 0 | 1 | 2.0 |" in text
    assert "**1 of 2**" in text
    assert "what comes back \\| is missing | yes |" in text
    assert not page.false("right", results["right"])
    assert page.false("right", [(right_trial(0), Outcome(WRONG, "recorded", 2.0))])
    assert page.false("right", [(right_trial(0), Outcome(RIGHT, "recorded", 2.0, "sign: a sign"))])
    assert page.false("broken", [(trial, Outcome(RIGHT, "recorded", 2.0))])
