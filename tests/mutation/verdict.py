"""What becomes of a mutant: it is put in the place of the right function, and tried until a trial fails."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from unittest import mock

import numpy as np

from tests.mutation.equivalents import EQUIVALENT
from tests.mutation.mutate import Mutant
from tests.mutation.trials import trials_of
from tinygrad_np import backward, tape
from tinygrad_np.ops.recurrent import gradients, packing

BY_CHECK, BY_ERROR, EQUIVALENCE, SURVIVED = (
    "killed by a check",
    "killed by an error",
    "equivalent",
    "survived",
)
ENOUGH_ERRORS = 20  # after which no trial is expected to find a wrong number
# So few rows that short sequences, too, go back in several chunks, and that products of small matrices are many.
SMALL = (
    (gradients, "ROWS_PER_PRODUCT", 3),
    (packing, "ROWS_PER_CHUNK", 4),
    (backward.DeferredMatmul, "ROWS", 4),
)
HOOKED = (
    backward,
    "_any_hooks",
    True,
)  # a mutant has a copy of the module's names, and so not what comes later


@contextmanager
def in_place(mutant: Mutant) -> Iterator[None]:
    """The mutant instead of the right function, wherever that one is known by its name."""
    target = mutant.target
    with ExitStack() as stack:
        for owner, name, value in (*SMALL, HOOKED):
            stack.enter_context(mock.patch.object(owner, name, value))
        namespace = dict(vars(sys.modules[target.function.__module__]))
        stack.enter_context(mock.patch.dict(tape.PRIMITIVES))
        if target.is_rule:
            del tape.PRIMITIVES[target.name]  # the mutant declares itself
        exec(compile(mutant.source, str(target), "exec"), namespace)
        if not target.is_rule:
            right, wrong = getattr(target.owner, target.name), namespace[target.name]
            stack.enter_context(mock.patch.object(target.owner, target.name, wrong))
            for name, module in list(sys.modules.items()):
                if name.startswith(("tinygrad_np", "models")) and vars(module).get(target.name) is right:
                    stack.enter_context(mock.patch.object(module, target.name, wrong))
        yield


def verdict(mutant: Mutant) -> str:
    """Whether the mutant is killed, and how; a survivor that `EQUIVALENT` explains is equivalent.

    After an error further trials may still find a wrong number: a matrix that is not transposed does not fit,
    unless it is square.
    """
    errors = 0
    with in_place(mutant), warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # a wrong derivative may overflow: the numbers decide
        for trial in trials_of(mutant.target):
            try:
                trial()
            except AssertionError:
                return BY_CHECK
            except Exception:  # shapes that do not fit, a name that is not there, ...
                errors += 1
                if errors == ENOUGH_ERRORS:
                    break
    if errors:
        return BY_ERROR
    return EQUIVALENCE if (str(mutant.target), mutant.after) in EQUIVALENT else SURVIVED
