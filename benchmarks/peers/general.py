"""tinygrad_np with the general wrapper for every primitive, and none that is specialised on the number of arrays.

`tape.primitive` chooses a wrapper by the rule's signature when the rule is declared. Here every signature seems to
take any number of arrays, which only the general wrapper can do; so this has to be set before the rules are
imported, and holds for the whole process.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any
from unittest import mock

signature = inspect.signature


def with_any_number(rule: Callable[..., Any]) -> inspect.Signature:
    """The signature of a rule, and in it ``*others`` after the arrays."""
    found = signature(rule)
    parameters = list(found.parameters.values())
    if inspect.Parameter.VAR_POSITIONAL in [p.kind for p in parameters]:
        return found
    keywords = [p for p in parameters if p.kind in (p.KEYWORD_ONLY, p.VAR_KEYWORD)]
    others = inspect.Parameter("others", inspect.Parameter.VAR_POSITIONAL)
    return found.replace(parameters=[*parameters[: len(parameters) - len(keywords)], others, *keywords])


with mock.patch.object(inspect, "signature", with_any_number):
    from benchmarks.peers import ours
    from tinygrad_np.ops.elementwise import add, tanh
    from tinygrad_np.ops.linalg import einsum

for specialised in (add, tanh):  # einsum takes any number by itself
    if specialised.__code__ is not einsum.__code__:
        raise RuntimeError("a primitive does not go through the general wrapper: nothing would be measured")

start = ours.start
op = ours.op
