"""Special functions, element-wise: the error function and its relatives, log gamma and its derivatives.

NumPy has none of them: `tinygrad_np.special` computes them. A rule that is run again on Tensors asks its primitive
for the value, so that it is recorded.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tinygrad_np import special
from tinygrad_np.ops.elementwise import bounded, mask_poles
from tinygrad_np.special import TWO_OVER_ROOT_PI
from tinygrad_np.tape import Array, Rule, primitive


def computed(
    primitive: Callable[..., Array], function: Callable[..., Array], x: Array, **static: int
) -> Array:
    """function(x); of a Tensor, what the primitive gives."""
    return function(x, **static) if isinstance(x, np.ndarray) else primitive(x, **static)


def erf_slope(x: Array) -> Array:
    """2 e^(-x^2) / sqrt(pi), the derivative of erf."""
    with np.errstate(over="ignore", under="ignore"):  # the square of a large x is infinite, and 0 is right
        return TWO_OVER_ROOT_PI * np.exp(-x * x)


@primitive(elementwise=True)
def erf(x: Array) -> Rule:
    """The error function, element-wise: d/dx = 2 e^(-x^2) / sqrt(pi)."""
    return computed(erf, special.erf, x), (lambda g: g * erf_slope(x),)


@primitive(elementwise=True)
def erfc(x: Array) -> Rule:
    """1 - erf(x), element-wise, with all digits where it is small."""
    return computed(erfc, special.erfc, x), (lambda g: -g * erf_slope(x),)


@primitive(elementwise=True)
def erfcx(x: Array) -> Rule:
    """e^(x^2) erfc(x), element-wise, which does not vanish for large x: d/dx = 2 x y - 2 / sqrt(pi)."""
    y = computed(erfcx, special.erfcx, x)
    return y, (lambda g: g * (2 * x * bounded(y, y, g == 0) - TWO_OVER_ROOT_PI),)


@primitive(elementwise=True)
def erfinv(x: Array) -> Rule:
    """The inverse of the error function, element-wise: d/dx = sqrt(pi) e^(y^2) / 2, infinite at -1 and 1."""
    y = computed(erfinv, special.erfinv, x)
    return y, (lambda g: g * np.exp(mask_poles(~np.isfinite(y) & (g == 0), y) ** 2) / TWO_OVER_ROOT_PI,)


@primitive(elementwise=True)
def lgamma(x: Array) -> Rule:
    """log |gamma(x)|, element-wise: d/dx = digamma(x)."""
    y = computed(lgamma, special.lgamma, x)

    def vjp(g: Array) -> Array:
        return g * computed(polygamma, special.polygamma, bounded(x, y, g == 0), n=0)

    return y, (vjp,)


@primitive(elementwise=True)
def polygamma(x: Array, *, n: int) -> Rule:
    """The n-th derivative of digamma, the logarithmic derivative of gamma, element-wise: d/dx is the next one."""
    y = computed(polygamma, special.polygamma, x, n=n)

    def vjp(g: Array) -> Array:
        return g * computed(polygamma, special.polygamma, mask_poles(~np.isfinite(y) & (g == 0), x), n=n + 1)

    return y, (vjp,)


@primitive(elementwise=True)
def bessel_i(x: Array, *, n: int, scaled: bool) -> Rule:
    """The modified Bessel function I_n, or e^-|x| I_n, element-wise: d/dx I_n = (I_(n-1) + I_(n+1)) / 2."""
    y = computed(bessel_i, special.bessel_i, x, n=n, scaled=scaled)

    def vjp(g: Array) -> Array:
        below, above = (
            computed(bessel_i, special.bessel_i, x, n=m, scaled=scaled) for m in (abs(n - 1), n + 1)
        )
        slope = (below + above) / 2
        return g * (slope - np.sign(x) * y if scaled else bounded(slope, slope, g == 0))

    return y, (vjp,)
