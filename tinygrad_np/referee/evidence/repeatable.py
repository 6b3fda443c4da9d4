"""Whether a forward gives the same value every time, and not by luck: the generators that it may use are watched.

A dropout mask of one element is the same in two calls as often as not. But whatever draws moves the state of its
generator. A function that seeds itself leaves the same state behind every time, and is as good as any.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_np.referee.evidence.users_code import codes, reachable, users_functions
from tinygrad_np.referee.intake.problem import Problem

CALLS = 3  # how often it is called
SUSPECT_CALLS = 12  # how often where something that sounds random is named in it
RANDOM_WORDS = ("rand", "rng", "seed", "urandom", "secrets", "uuid", "shuffle", "permut", "dropout")


def check_repeatable(problem: Problem, again: Callable[[], Problem] | None = None) -> None:
    """Refuse a forward or a hand gradient that is random.

    Parameters
    ----------
    problem : Problem
        One of those that will be tried.
    again : callable, optional
        Makes the same problem anew, and so calls the hand gradient again.

    Raises
    ------
    ValueError
        It draws numbers from a generator that it does not seed itself, or gives another value in a next call.
    """
    watch("forward", lambda: [np.asarray(problem.loss(problem.values))], problem.forward, problem.call)
    if again is not None:
        watch("hand gradient", lambda: list(again().claimed.values()), problem.backward, problem.forward)


def watch(what: str, call: Callable[[], list[np.ndarray]], *roots: Any) -> None:
    """Call a function some times and compare what it returns and what it leaves of all generators."""
    kinds = np.random.Generator, np.random.RandomState, random.Random
    generators = [x for x in reachable(*roots) if isinstance(x, kinds)]

    def states() -> list[Any]:
        return [state(x) for x in (np.random, random, *generators)]

    first = call()
    before = states()  # one call was needed to come to what every call leaves
    again = call()
    if states() != before:
        raise ValueError(f"your {what} is random: fix its seed or pass the mask")
    names = {n for f in users_functions(*roots) for code in codes(f.__code__) for n in code.co_names}
    suspect = any(word in name.lower() for name in names for word in RANDOM_WORDS)
    for _ in range((SUSPECT_CALLS if suspect else CALLS) - 1):
        if not all(np.array_equal(x, y, equal_nan=True) for x, y in zip(first, again, strict=True)):
            raise ValueError(
                f"your {what} gives another value every time, {text(first)} and then {text(again)}: it is random, "
                "or keeps something from call to call. Fix its seed or pass the mask"
            )
        again = call()


def state(generator: Any) -> Any:
    """The state of a generator, as something that can be compared."""
    if isinstance(generator, np.random.Generator):
        return plain(generator.bit_generator.state)
    if isinstance(generator, random.Random) or generator is random:
        return generator.getstate()
    return plain(generator.get_state())


def plain(x: Any) -> Any:
    """Arrays within as bytes."""
    if isinstance(x, dict):
        return {name: plain(value) for name, value in x.items()}
    if isinstance(x, tuple | list):
        return [plain(value) for value in x]
    return x.tobytes() if isinstance(x, np.ndarray) else x


def text(arrays: list[np.ndarray]) -> str:
    return repr(arrays[0].item()) if len(arrays) == 1 and arrays[0].size == 1 else "arrays"
