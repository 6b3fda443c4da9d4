"""How functions of single elements are said in ONNX: a table of names, and what takes several nodes."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_np.onnx.graph import Graph, Operand
from tinygrad_np.onnx.recording import Value

Translation = Callable[..., Any]
TRANSLATIONS: dict[str, Translation] = {}  # the name of a primitive, or of a NumPy function -> how it is said


def translates(*names: str) -> Callable[[Translation], Translation]:
    """Say the calls of these names with this function; its own name if there is none."""

    def register(function: Translation) -> Translation:
        TRANSLATIONS.update(dict.fromkeys(names or [function.__name__], function))
        return function

    return register


def promoted(g: Graph, *xs: Operand) -> list[Operand]:
    """Operands in the dtype of the result."""
    return [g.cast(x, g.out.dtype) for x in xs]


def in_common(g: Graph, *xs: Operand) -> list[Operand]:
    """Operands in the dtype that NumPy takes for them together."""
    dtype = np.result_type(*[x.dtype if isinstance(x, Value) else x for x in xs])
    return [g.cast(x, dtype) for x in xs]


SAME = {  # one node, whose operands have the dtype of the result
    **{
        "add": "Add",
        "subtract": "Sub",
        "multiply": "Mul",
        "divide": "Div",
        "negative": "Neg",
        "power": "Pow",
    },
    **{"sqrt": "Sqrt", "exp": "Exp", "log": "Log", "absolute": "Abs", "tanh": "Tanh", "sigmoid": "Sigmoid"},
    **{"maximum": "Max", "minimum": "Min", "relu": "Relu", "erf": "Erf"},
    **{"sin": "Sin", "cos": "Cos", "tan": "Tan", "arcsin": "Asin", "arccos": "Acos", "arctan": "Atan"},
    **{"sinh": "Sinh", "cosh": "Cosh", "arcsinh": "Asinh", "arccosh": "Acosh", "arctanh": "Atanh"},
}
COMPARED = {
    **{"equal": "Equal", "less": "Less", "less_equal": "LessOrEqual"},
    **{"greater": "Greater", "greater_equal": "GreaterOrEqual"},
}
LOGICAL = {"logical_and": "And", "logical_or": "Or", "logical_xor": "Xor", "logical_not": "Not"}
BITWISE = {"bitwise_and": "And", "bitwise_or": "Or", "bitwise_xor": "Xor", "invert": "Not"}
TESTS = {"isnan": "IsNaN", "isinf": "IsInf"}
STEPS = {"sign": "Sign", "floor": "Floor", "ceil": "Ceil", "rint": "Round"}

for name, kind in SAME.items():
    TRANSLATIONS[name] = lambda g, *xs, kind=kind: g.op(kind, *promoted(g, *xs))
for name, kind in COMPARED.items():
    TRANSLATIONS[name] = lambda g, x, y, kind=kind: g.op(kind, *in_common(g, x, y))
for name, kind in LOGICAL.items():
    TRANSLATIONS[name] = lambda g, *xs, kind=kind: g.op(kind, *[g.cast(x, bool) for x in xs])
for name, kind in BITWISE.items():
    TRANSLATIONS[name] = lambda g, *xs, kind=kind: g.op(
        kind if g.out.dtype == bool else f"Bitwise{kind}", *promoted(g, *xs)
    )
for name, kind in TESTS.items():
    TRANSLATIONS[name] = lambda g, x, kind=kind: g.op(kind, x)


@translates()
def not_equal(g: Graph, x: Operand, y: Operand) -> Any:
    return g.op("Not", g.op("Equal", *in_common(g, x, y)))


@translates()
def isfinite(g: Graph, x: Operand) -> Any:
    return g.op("Not", g.op("Or", g.op("IsNaN", x), g.op("IsInf", x)))


@translates()
def square(g: Graph, x: Operand) -> Any:
    (y,) = promoted(g, x)
    return g.op("Mul", y, y)


@translates()
def cbrt(g: Graph, x: Operand) -> Any:
    (y,) = promoted(g, x)
    return g.op("Mul", g.op("Sign", y), g.op("Pow", g.op("Abs", y), np.asarray(1 / 3, g.out.dtype)))


@translates()
def exp2(g: Graph, x: Operand) -> Any:
    return g.op("Pow", np.asarray(2, g.out.dtype), *promoted(g, x))


@translates()
def expm1(g: Graph, x: Operand) -> Any:
    return g.op("Sub", g.op("Exp", *promoted(g, x)), np.asarray(1, g.out.dtype))


@translates()
def log1p(g: Graph, x: Operand) -> Any:
    return g.op("Log", g.op("Add", *promoted(g, x), np.asarray(1, g.out.dtype)))


@translates()
def log2(g: Graph, x: Operand) -> Any:
    return g.op("Mul", g.op("Log", *promoted(g, x)), np.asarray(1 / math.log(2), g.out.dtype))


@translates()
def log10(g: Graph, x: Operand) -> Any:
    return g.op("Mul", g.op("Log", *promoted(g, x)), np.asarray(1 / math.log(10), g.out.dtype))


@translates()
def logaddexp(g: Graph, x: Operand, y: Operand) -> Any:
    """The larger one, and log(1 + e^-distance)."""
    x, y = promoted(g, x, y)
    distance = g.op("Abs", g.op("Sub", x, y))
    return g.op("Add", g.op("Max", x, y), g.op("Softplus", g.op("Neg", distance)))


@translates()
def hypot(g: Graph, x: Operand, y: Operand) -> Any:
    return g.op("Sqrt", g.op("Add", *[g.op("Mul", z, z) for z in promoted(g, x, y)]))


@translates()
def remainder(g: Graph, x: Operand, y: Operand) -> Any:
    """With the sign of y; ONNX has it for whole numbers alone."""
    x, y = promoted(g, x, y)
    if g.out.dtype.kind in "iu":
        return g.op("Mod", x, y)
    return g.op("Sub", x, g.op("Mul", y, g.op("Floor", g.op("Div", x, y))))


@translates()
def fmod(g: Graph, x: Operand, y: Operand) -> Any:
    return g.op("Mod", *promoted(g, x, y), fmod=1)


@translates()
def erfc(g: Graph, x: Operand) -> Any:
    return g.op("Sub", np.asarray(1, g.out.dtype), g.op("Erf", *promoted(g, x)))


@translates()
def step(g: Graph, *xs: Operand, function: Any) -> Any:
    """A function that is constant but for its jumps, such as floor."""
    if isinstance(function, functools.partial) and function.keywords == {"decimals": 0}:
        function = np.rint
    ufunc = getattr(function, "__name__", "")
    if ufunc == "trunc":
        (x,) = promoted(g, *xs)
        return g.op("Mul", g.op("Sign", x), g.op("Floor", g.op("Abs", x)))
    if ufunc == "floor_divide" and g.out.dtype.kind == "f":
        return g.op("Floor", g.op("Div", *promoted(g, *xs)))
    if ufunc == "floor_divide" and g.out.dtype.kind in "iu":
        x, y = promoted(g, *xs)
        return g.op("Div", g.op("Sub", x, g.op("Mod", x, y)), y)
    if ufunc not in STEPS:
        raise ValueError(
            f"{g.step.line}: {ufunc or function!r} has no counterpart in ONNX that is known here"
        )
    return g.op(STEPS[ufunc], *promoted(g, *xs))


@translates()
def where(g: Graph, condition: Operand, x: Operand, y: Operand) -> Any:
    return g.op("Where", g.cast(condition, bool), *promoted(g, x, y))


@translates()
def clip(g: Graph, x: Operand, a_min: Operand = None, a_max: Operand = None) -> Any:
    (y,) = promoted(g, x)
    y = y if a_min is None else g.op("Max", y, *promoted(g, a_min))
    return y if a_max is None else g.op("Min", y, *promoted(g, a_max))


@translates()
def hardtanh(g: Graph, x: Operand, min_val: float = -1.0, max_val: float = 1.0) -> Any:
    return clip(g, x, min_val, max_val)


@translates()
def hardshrink(g: Graph, x: Operand, lambd: float = 0.5) -> Any:
    (y,) = promoted(g, x)
    return g.op("Shrink", y, lambd=lambd, bias=0.0)


@translates()
def softshrink(g: Graph, x: Operand, lambd: float = 0.5) -> Any:
    (y,) = promoted(g, x)
    return g.op("Shrink", y, lambd=lambd, bias=lambd)


@translates()
def cast(g: Graph, x: Operand, *, dtype: Any) -> Any:
    return g.op("Identity", g.cast(x, dtype))


@translates()
def identity(g: Graph, x: Operand) -> Any:
    return g.op("Identity", *promoted(g, x))
