"""Activations that are written out, such as ``1 / (1 + np.exp(-x))``, recorded as the one function that they are.

What follows talks about activations: the derivative of a sigmoid, and not of a quotient. So a few results are
remembered as parts of such a formula, and where the last part comes, the activation is made of x as one node.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygrad_np.ops.elementwise import negative, sigmoid, tanh
from tinygrad_np.referee.recording.watch import Watch
from tinygrad_np.tensor import Tensor


class Part(NamedTuple):
    """What an operand is: a form of a Tensor x; a "number" x, one or an array of it; or nothing that is known."""

    form: str
    x: Any
    operand: Any

    def has(self, form: str, x: Any) -> bool:
        return self.form == form and self.x.node is x.node

    def is_number(self, value: float) -> bool:
        return self.form == "number" and self.x == value


def formula(watch: Watch, function: Any, operands: Sequence[Any], result: Any) -> Any:
    """The result of an op, or the activation that it completes."""
    if function not in RULES or type(result) is not Tensor or result.node is None:
        return result
    found = RULES[function](*[_seen(watch, x) for x in operands])
    if found is None:
        return result
    form, x = found
    if form in ACTIVATIONS:
        whole = ACTIVATIONS[form](x)
        off = np.abs(whole.data - result.data) if whole.shape == result.shape else np.inf
        if not np.all(off <= 1e-12 * np.abs(result.data)):
            return result  # as it is written it overflows, say, and so does the record
        result = whole
    watch.forms[result.node.number] = (form, x)
    return result


def _seen(watch: Watch, x: Any) -> Part:
    if type(x) is Tensor and x.node is not None:
        return Part(*watch.forms.get(x.node.number, ("", None)), x)
    numbers = np.asarray(x.data if type(x) is Tensor else x)
    if numbers.dtype.kind in "fiu" and numbers.size and (numbers == numbers.flat[0]).all():
        return Part("number", float(numbers.flat[0]), x)
    return Part("", None, x)


Found = tuple[str, Any] | None


def _exp(a: Part) -> Found:
    return ("e^-x", a.x) if a.form == "-x" else ("e^x", a.operand)


def _multiply(a: Part, b: Part) -> Found:
    for number, x in ((a, b), (b, a)):
        if number.is_number(-1):
            return "-x", x.operand
    return None


def _subtract(a: Part, b: Part) -> Found:
    if a.is_number(0):
        return "-x", b.operand
    if a.form == "e^x" and b.has("e^-x", a.x):
        return "e^x - e^-x", a.x
    return None


def _add(a: Part, b: Part) -> Found:
    for one, other in ((a, b), (b, a)):
        if one.is_number(1) and other.form in ("e^x", "e^-x"):
            return f"1 + {other.form}", other.x
        if one.form == "e^x" and other.has("e^-x", one.x):
            return "e^x + e^-x", one.x
    return None


def _divide(a: Part, b: Part) -> Found:
    if a.is_number(1) and b.form == "1 + e^-x":
        return "sigmoid", b.x
    if a.is_number(1) and b.form == "1 + e^x":
        return "sigmoid", negative(b.x)
    if a.form == "e^x" and b.has("1 + e^x", a.x):
        return "sigmoid", a.x
    if a.form == "e^x - e^-x" and b.has("e^x + e^-x", a.x):
        return "tanh", a.x
    return None


def _power(a: Part, b: Part) -> Found:
    return _divide(Part("number", 1.0, 1.0), a) if b.is_number(-1) else None


def _where(condition: Part, a: Part, b: Part) -> Found:
    """Both sides of a choice are the same sigmoid, each written for the numbers where it does not overflow."""
    return ("sigmoid", a.x) if a.form == "sigmoid" and b.has("sigmoid", a.x) else None


RULES: dict[Any, Callable[..., Found]] = {
    **{np.negative: lambda a: ("-x", a.operand), np.exp: _exp, np.add: _add, np.subtract: _subtract},
    **{np.multiply: _multiply, np.divide: _divide, np.power: _power, np.where: _where},
    np.reciprocal: lambda a: _divide(Part("number", 1.0, 1.0), a),
}
ACTIVATIONS: dict[str, Callable[[Any], Any]] = {"sigmoid": sigmoid, "tanh": tanh}
