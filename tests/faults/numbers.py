"""Random calls, held against NumPy, independent derivatives, and PyTorch where it is installed.

Each trial draws one family, and the family one call. A call of ordinary arguments has to be right; what is no array
of numbers may be refused, and has to be where NumPy counts in another way.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.faults.call import Call, Found, judge
from tests.faults.calls import a_loss, a_method, a_numpy_function, an_op, an_operator
from tests.faults.campaign import Outcome, Part
from tests.faults.judge import (
    Fault,
)
from tests.faults.pieces import backward_trial, layer_trial, masked_trial, optimizer_trial, recording_trial
from tests.faults.values import Rng

CALLS: list[tuple[float, Callable[[Rng], Call]]] = [
    (0.36, an_op),
    (0.14, an_operator),
    (0.12, a_method),
    (0.16, a_numpy_function),
    (0.08, a_loss),
]
TRIALS: list[tuple[float, Callable[[Rng], str]]] = [
    (0.04, layer_trial),
    (0.03, optimizer_trial),
    (0.04, masked_trial),
    (0.025, backward_trial),
    (0.005, recording_trial),
]


def trial(seed: int, k: int, directory: Path) -> Outcome:
    """One random call."""
    rng = np.random.default_rng([seed, k])
    families: Any = CALLS + TRIALS
    weights = np.array([weight for weight, _ in families])
    family = families[int(rng.choice(len(families), p=weights / weights.sum()))][1]
    if any(family is f for _, f in TRIALS):
        try:
            return Outcome(family(rng))
        except Found as found:
            return Outcome(found.what, f"{found.kind}: {found}", f"{family.__name__}: {found.kind}")
    call = family(rng)
    try:
        judge(call, rng)
    except Fault as fault:
        return Outcome(str(call), f"{fault.kind}: {fault}", f"{call.name}: {fault.kind}")
    return Outcome(str(call))


NUMBERS = Part("random calls", trial, full=50_000, short=2_000)
