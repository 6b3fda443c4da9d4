"""Element-wise primitives: arithmetic, powers, exponentials, logarithms, steps, and what neural networks bend with.

Several derivatives are infinite somewhere: sqrt and log at 0, division by 0, exp where it overflows. Where
nothing depends on such an element, its incoming gradient is exactly 0, and 0 times infinity would make a NaN
of it. Those rules send back 0 there, so that ``np.where(x > 0, np.sqrt(x), x)`` has a finite gradient
everywhere. Products do not look for it, as they are everywhere; below a `where` and its like the way back itself
looks (see `backward.backward_pass`), and ``np.where(x > 0, x * np.log(x), 0)`` has a finite gradient too.

A NaN is handed on by `maximum`, `minimum`, `relu` and `clip`, as NumPy and PyTorch do; and so the gradient passes
to it as to any number that is handed on.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np

from tinygrad_np.operand import as_array
from tinygrad_np.tape import Array, Rule, primitive


def mask_poles(pole: Array, x: Array) -> Array:
    """x, with 1 where `pole` is true: there the gradient is 0, and stays 0 times a finite number."""
    return np.where(pole, 1, x) if np.any(pole) else x


def divisor(d: Array, unused: Array) -> Array:
    """d, which divides a gradient, and is above 0 where there is a derivative; 1 elsewhere, if unused."""
    return mask_poles(~(d > 0) & unused, d)  # `~(d > 0)` and not `d <= 0`: outside of a domain d is NaN


def bounded(x: Array, y: Array, unused: Array) -> Array:
    """x, with 1 where y, a result that grows like e^x, is infinite, if its gradient is 0 and so unused."""
    return mask_poles(np.isinf(y) & unused, x)


def floating(x: Array) -> Array:
    """x in floating-point numbers: differences of unsigned whole ones would wrap around."""
    return x if x.dtype.kind in "fc" else x.astype(np.result_type(x.dtype, np.float32))


@primitive(np.add)
def add(x: Array, y: Array) -> Rule:
    """x + y, element-wise."""
    return x + y, (lambda g: g, lambda g: g)


@primitive(np.subtract)
def subtract(x: Array, y: Array) -> Rule:
    """x - y, element-wise."""
    return x - y, (lambda g: g, lambda g: -g)


@primitive(np.multiply)
def multiply(x: Array, y: Array) -> Rule:
    """x * y, element-wise."""
    return x * y, (lambda g: g * y, lambda g: g * x)


@primitive(np.divide)
def divide(x: Array, y: Array) -> Rule:
    """x / y, element-wise: d/dx = 1 / y and d/dy = -x / y^2."""

    def safe(g: Array) -> Array:
        return mask_poles(~(np.absolute(y) > 0) & (g == 0), y)  # of a NaN too, which came from another pole

    return x / y, (lambda g: g / safe(g), lambda g: -g * (x / safe(g)) / safe(g))


@primitive(np.negative)
def negative(x: Array) -> Rule:
    """-x, element-wise."""
    return -x, (lambda g: -g,)


@primitive(np.power)
def power(x: Array, y: Array) -> Rule:
    """x^y, element-wise: d/dx = y x^(y-1) and d/dy = x^y log x, the latter taken as 0 at x = 0.

    x^0 is the constant 1: its derivative is 0 at x = 0 too, where y x^(y-1) is 0 times infinity.
    """

    def vjp_x(g: Array) -> Array:
        pole = (x == 0) & (y < 1) | (x < 0) & (y != np.floor(y)) | np.isnan(x)
        return g * y * np.power(mask_poles(pole & (g == 0) | (x == 0) & (y == 0), x), y - 1)

    def vjp_y(g: Array) -> Array:
        base = mask_poles((x == 0) | np.logical_not(x > 0) & (g == 0), x)
        if getattr(base, "dtype", g.dtype) != g.dtype:
            base = base.astype(g.dtype)  # a logarithm in the digits of the result
        return g * np.power(base, y) * np.log(base)

    return np.power(x, y), (vjp_x, vjp_y)


@primitive(np.square)
def square(x: Array) -> Rule:
    """x^2, element-wise."""
    return np.square(x), (lambda g: 2 * g * x,)


@primitive(np.sqrt)
def sqrt(x: Array) -> Rule:
    """The square root, element-wise: d/dx = 1 / (2 sqrt(x))."""
    y = np.sqrt(x)
    return y, (lambda g: g / (2 * divisor(y, g == 0)),)


@primitive(np.cbrt)
def cbrt(x: Array) -> Rule:
    """The cube root, element-wise, of negative numbers too: d/dx = 1 / (3 y^2), infinite at 0."""
    y = np.cbrt(x)
    return y, (lambda g: g / (3 * divisor(y * y, g == 0)),)


@primitive(np.exp)
def exp(x: Array) -> Rule:
    """e^x, element-wise."""
    y = np.exp(x)
    return y, (lambda g: g * bounded(y, y, g == 0),)


@primitive(np.exp2)
def exp2(x: Array) -> Rule:
    """2^x, element-wise."""
    y = np.exp2(x)
    return y, (lambda g: g * bounded(y, y, g == 0) * math.log(2),)


@primitive(np.expm1)
def expm1(x: Array) -> Rule:
    """e^x - 1, element-wise, with all digits of small x."""
    y = np.expm1(x)
    return y, (lambda g: g * np.exp(bounded(x, y, g == 0)),)


@primitive(np.log)
def log(x: Array) -> Rule:
    """The natural logarithm, element-wise."""
    return np.log(x), (lambda g: g / divisor(x, g == 0),)


@primitive(np.log2)
def log2(x: Array) -> Rule:
    """The logarithm to the base 2, element-wise."""
    return np.log2(x), (lambda g: g / (divisor(x, g == 0) * math.log(2)),)


@primitive(np.log10)
def log10(x: Array) -> Rule:
    """The logarithm to the base 10, element-wise."""
    return np.log10(x), (lambda g: g / (divisor(x, g == 0) * math.log(10)),)


@primitive(np.log1p)
def log1p(x: Array) -> Rule:
    """log(1 + x), element-wise, with all digits of small x."""
    return np.log1p(x), (lambda g: g / divisor(1 + x, g == 0),)


def exp_difference(x: Array, y: Array, ties: Callable[[], Array]) -> Array:
    """e^(x - y) for x <= y: no NaN from inf - inf; where both are inf, its share of so many ties, and at -inf 0."""
    infinite = np.isinf(y)
    if not np.any(infinite):
        return np.exp(x - y)
    finite = np.where(infinite, 0, x) - np.where(infinite, 0, y)
    shares = np.where(x == np.inf, 1 / np.maximum(ties(), 1), 0)
    return np.where(infinite, shares.astype(x.dtype), np.exp(finite))


@primitive(np.logaddexp)
def logaddexp(x: Array, y: Array) -> Rule:
    """log(e^x + e^y), element-wise, without overflow: d/dx = e^x / (e^x + e^y)."""
    z = np.logaddexp(x, y)
    ties = partial(np.add, x == np.inf, y == np.inf, dtype=int)
    return z, (lambda g: g * exp_difference(x, z, ties), lambda g: g * exp_difference(y, z, ties))


@primitive(np.absolute)
def absolute(x: Array) -> Rule:
    """|x|, element-wise. The derivative at 0 is taken as 0."""
    return np.absolute(x), (lambda g: g * np.sign(x),)


@primitive(np.hypot)
def hypot(x: Array, y: Array) -> Rule:
    """sqrt(x^2 + y^2), element-wise, without overflow. The derivatives at 0 are taken as 0."""
    z = np.hypot(x, y)
    return z, (lambda g: g * (x / mask_poles(z == 0, z)), lambda g: g * (y / mask_poles(z == 0, z)))


@primitive(np.remainder)
def remainder(x: Array, y: Array) -> Rule:
    """x - y floor(x / y), element-wise, with the sign of y. The derivatives at a jump are those beside it."""
    return np.remainder(x, y), (lambda g: g, lambda g: -g * np.floor_divide(x, y))


@primitive(np.fmod)
def fmod(x: Array, y: Array) -> Rule:
    """x - y trunc(x / y), element-wise, with the sign of x. The derivatives at a jump are those beside it."""
    z = np.fmod(x, y)
    return z, (lambda g: g, lambda g: -g * ((x - z) / y))


@primitive()
def step(*xs: Array, function: Callable[..., Array]) -> Rule:
    """A function whose derivative is 0 wherever there is one, such as floor; at its jumps it is taken as 0 too."""
    return function(*xs), lambda g: [np.where(False, g, 0)] * len(xs)


@primitive(np.maximum, selects=True)
def maximum(x: Array, y: Array) -> Rule:
    """The larger of x and y, element-wise. Where they are equal, each gets half of the gradient."""

    def route(g: Array, mine: Array, other: Array) -> Array:
        return np.where(mine <= other, np.where(mine == other, g / 2, 0), g)

    return np.maximum(x, y), (lambda g: route(g, x, y), lambda g: route(g, y, x))


@primitive(np.minimum, selects=True)
def minimum(x: Array, y: Array) -> Rule:
    """The smaller of x and y, element-wise. Where they are equal, each gets half of the gradient."""

    def route(g: Array, mine: Array, other: Array) -> Array:
        return np.where(mine >= other, np.where(mine == other, g / 2, 0), g)

    return np.minimum(x, y), (lambda g: route(g, x, y), lambda g: route(g, y, x))


@primitive(selects=True)
def clip(x: Array, *, a_min: float | None = None, a_max: float | None = None) -> Rule:
    """x held between two numbers, element-wise. The derivative on a bound is 1, and 0 outside."""

    for bound in (a_min, a_max):
        if bound is not None and type(bound) is not float and as_array(bound).dtype.kind == "c":
            raise TypeError("complex numbers bound nothing")

    def vjp(g: Array) -> Array:
        low = -np.inf if a_min is None else a_min
        high = np.inf if a_max is None else a_max
        return np.where((x < low) | (x > high), 0, g)

    return np.clip(x, a_min, a_max), (vjp,)


@primitive(selects=True)
def where(condition: Array, x: Array, y: Array) -> Rule:
    """x where the condition is true, y elsewhere."""
    chosen: Array = np.where(condition, x, y)
    return chosen, (
        None,
        lambda g: np.where(condition, g, 0),
        lambda g: np.where(condition, 0, g),
    )


@primitive(np.tanh)
def tanh(x: Array) -> Rule:
    """The hyperbolic tangent, element-wise: d/dx = 1 - tanh(x)^2."""
    y = np.tanh(x)
    return y, (lambda g: g * (1 - y * y),)


@primitive(elementwise=True)
def sigmoid(x: Array) -> Rule:
    """The logistic function 1 / (1 + e^-x), element-wise: d/dx = y - y^2."""
    with np.errstate(over="ignore"):  # far below zero e^-x is inf, and y = 0 is right
        # -x of unsigned numbers would wrap around
        y = 1 / (1 + np.exp(-x if x.dtype.kind in "fc" else -1.0 * x))
    return y, (lambda g: g * (y - y * y),)


@primitive(selects=True)
def relu(x: Array) -> Rule:
    """max(x, 0), element-wise. The derivative at 0 is taken as 0."""
    return np.maximum(x, 0), (lambda g: np.where(x <= 0, 0, g),)


@primitive(elementwise=True)
def cast(x: Array, *, dtype: np.dtype) -> Rule:
    """x in another floating-point dtype. The tape gives each gradient the dtype of its array."""
    if np.dtype(dtype).kind not in "biufc":
        raise TypeError(f"{np.dtype(dtype)} holds no numbers")
    return x.astype(dtype), (lambda g: g,)


@primitive()
def identity(x: Array) -> Rule:
    """x itself, as a new node: a variable of its own to differentiate with respect to."""
    return x, (lambda g: g,)
