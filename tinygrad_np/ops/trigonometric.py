"""Trigonometric and hyperbolic primitives, and their inverses, element-wise; `tanh` is in `elementwise`.

Inverses have infinite derivatives at the ends of their domains: see `elementwise` for a gradient of 0 there.
"""

from __future__ import annotations

import numpy as np

from tinygrad_np.ops.elementwise import bounded, divisor, mask_poles
from tinygrad_np.tape import Array, Rule, primitive


@primitive(np.sin)
def sin(x: Array) -> Rule:
    """The sine, element-wise."""
    return np.sin(x), (lambda g: g * np.cos(x),)


@primitive(np.cos)
def cos(x: Array) -> Rule:
    """The cosine, element-wise."""
    return np.cos(x), (lambda g: -g * np.sin(x),)


@primitive(np.tan)
def tan(x: Array) -> Rule:
    """The tangent, element-wise: d/dx = 1 + tan(x)^2."""
    y = np.tan(x)
    return y, (lambda g: g * (1 + y * y),)


@primitive(np.arcsin)
def arcsin(x: Array) -> Rule:
    """The inverse sine, element-wise: d/dx = 1 / sqrt(1 - x^2), infinite at -1 and 1."""
    return np.arcsin(x), (lambda g: g / np.sqrt(divisor((1 - x) * (1 + x), g == 0)),)


@primitive(np.arccos)
def arccos(x: Array) -> Rule:
    """The inverse cosine, element-wise: d/dx = -1 / sqrt(1 - x^2), infinite at -1 and 1."""
    return np.arccos(x), (lambda g: -g / np.sqrt(divisor((1 - x) * (1 + x), g == 0)),)


@primitive(np.arctan)
def arctan(x: Array) -> Rule:
    """The inverse tangent, element-wise: d/dx = 1 / (1 + x^2)."""

    def vjp(g: Array) -> Array:
        r = np.hypot(1, x)  # the square of a large x would overflow
        return g / r / r

    return np.arctan(x), (vjp,)


@primitive(np.arctan2)
def arctan2(y: Array, x: Array) -> Rule:
    """The angle of the point (x, y), element-wise: d/dy = x / r^2 and d/dx = -y / r^2, at the origin taken as 0."""

    def over_square(g: Array) -> Array:
        r = np.hypot(x, y)
        r = mask_poles(r == 0, r)
        return g / r / r

    return np.arctan2(y, x), (lambda g: over_square(g * x), lambda g: -over_square(g * y))


@primitive(np.sinh)
def sinh(x: Array) -> Rule:
    """The hyperbolic sine, element-wise."""
    y = np.sinh(x)
    return y, (lambda g: g * np.cosh(bounded(x, y, g == 0)),)


@primitive(np.cosh)
def cosh(x: Array) -> Rule:
    """The hyperbolic cosine, element-wise."""
    y = np.cosh(x)
    return y, (lambda g: g * np.sinh(bounded(x, y, g == 0)),)


@primitive(np.arcsinh)
def arcsinh(x: Array) -> Rule:
    """The inverse hyperbolic sine, element-wise: d/dx = 1 / sqrt(1 + x^2)."""
    return np.arcsinh(x), (lambda g: g / np.hypot(1, x),)


@primitive(np.arccosh)
def arccosh(x: Array) -> Rule:
    """The inverse hyperbolic cosine, element-wise: d/dx = 1 / sqrt(x^2 - 1), infinite at 1."""
    return np.arccosh(x), (lambda g: g / np.sqrt(divisor(x - 1, g == 0)) / np.sqrt(divisor(x + 1, g == 0)),)


@primitive(np.arctanh)
def arctanh(x: Array) -> Rule:
    """The inverse hyperbolic tangent, element-wise: d/dx = 1 / (1 - x^2), infinite at -1 and 1."""
    return np.arctanh(x), (lambda g: g / divisor((1 - x) * (1 + x), g == 0),)
