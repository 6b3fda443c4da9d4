"""What is refused of a rule that is wrong in form, when it is declared or first called."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_np.errors import numpy_name

POSITIONAL = inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD


def checked_signature(rule: Callable[..., Any]) -> tuple[inspect.Signature, bool]:
    """The parameters of a rule as a caller sees them, if arrays come by position and all else by keyword.

    And whether it asks for `needs_input_grad`, which the tape fills in.
    """
    name = rule.__name__
    shown = []
    parameters = inspect.signature(rule).parameters
    for parameter in parameters.values():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            raise TypeError(
                f"primitive {name}: **{parameter.name} hides static parameters; name each of them"
            )
        if parameter.kind in POSITIONAL and parameter.default is not inspect.Parameter.empty:
            raise TypeError(
                f"primitive {name}: {parameter.name} has a default and so is no array; static parameters are "
                f"keyword-only: write *, {parameter.name}={parameter.default!r}"
            )
        if parameter.name != "needs_input_grad":
            shown.append(parameter.replace(annotation=inspect.Parameter.empty))
    if not any(parameter.kind is not inspect.Parameter.KEYWORD_ONLY for parameter in shown):
        raise TypeError(f"primitive {name} takes no array by position")
    return inspect.Signature(shown), len(shown) < len(parameters)


def check_free(answers: dict[Any, Callable[..., Any]], registry: dict[Any, Callable[..., Any]]) -> None:
    """Refuse names, or NumPy functions, that another rule has; the same rule may be declared anew."""
    for key, call in answers.items():
        if key in registry and origin(registry[key]) != origin(call):
            what = f"a primitive {key}" if isinstance(key, str) else f"a rule for {numpy_name(key)}"
            raise ValueError(
                f"primitive {origin(call)}: there is {what} already, {origin(registry[key])}, which would be "
                "lost; choose another"
            )


def origin(answer: Callable[..., Any]) -> str:
    """The module and name of the rule behind what a Tensor does."""
    rule = inspect.unwrap(answer.args[1] if isinstance(answer, functools.partial) else answer)
    return f"{rule.__module__}.{rule.__qualname__}"


def check_form(result: Any, arguments: Sequence[str]) -> None:
    """Refuse what a rule returned if it is not its result, or several, and the vjps that belong to them."""
    if type(result) is not tuple or len(result) != 2 or result[0] is None:
        raise TypeError(
            f"the rule returned {type(result).__name__} and not a pair of its result and the vjps; "
            "write: return value, (lambda g: ...,)"
        )
    out, vjps = result
    for one in out if type(out) is tuple else (out,):
        if type(one) is not np.ndarray and not isinstance(one, np.number | np.bool_ | int | float | complex):
            raise TypeError(f"the rule's result is a {type(one).__name__}, and no array of numbers")
        if np.asarray(one).dtype.kind not in "biufc":
            raise TypeError(f"the rule's result has dtype {np.asarray(one).dtype}, which holds no numbers")
    if callable(vjps):
        return
    if type(out) is tuple:
        raise TypeError(
            "a rule with several results has one joint vjp, a function of the list of their gradients, "
            f"and no {type(vjps).__name__}"
        )
    if type(vjps) is not tuple or not all(vjp is None or callable(vjp) for vjp in vjps):
        raise TypeError(
            "the vjps are a tuple of functions, with None for an array that has no gradient, or one function, "
            f"and no {type(vjps).__name__}"
        )
    if len(vjps) != len(arguments):
        raise TypeError(
            f"the rule returned {len(vjps)} vjps for {len(arguments)} arrays by position ({', '.join(arguments)}): "
            "each has its own, or None; and what is no array is keyword-only"
        )
