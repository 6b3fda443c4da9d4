"""Special functions of arrays, which NumPy has not: the error function, log gamma and its derivatives.

They are computed of real numbers, in float64 and to about its last digit, and returned in the dtype of
the array.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np

TWO_OVER_ROOT_PI = 2 / math.sqrt(math.pi)
# erf(x) = x (c0 + c1 x^2 + ...) (Abramowitz and Stegun, 1964, 7.1.5), as many terms as |x| < 1 takes
ERF_SERIES = [TWO_OVER_ROOT_PI * (-1) ** n / (math.factorial(n) * (2 * n + 1)) for n in range(19)]
# B_2, B_4, ..., in the asymptotic expansions of digamma and its derivatives
BERNOULLI = [1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798]
LARGE = 12.0  # an argument for which those expansions are exact


BLOCK = 4096  # numbers at a time: they stay in the processor's cache

Function = Callable[..., np.ndarray]


def of_real_numbers(function: Function) -> Function:
    """A function of arrays of float64 as one of arrays of any real numbers."""

    @functools.wraps(function)
    def call(x: np.ndarray, **static: int) -> np.ndarray:
        if x.dtype.kind == "c":
            raise TypeError("it is computed of real numbers only")
        dtype = x.dtype if x.dtype.kind == "f" else np.result_type(x.dtype, np.float32)
        flat, out = x.ravel(), np.empty(x.size, dtype)
        with np.errstate(all="ignore"):  # beyond a domain, or at a pole, the result says it
            for start in range(0, x.size, BLOCK):
                block = slice(start, start + BLOCK)
                out[block] = function(flat[block].astype(np.float64), **static)
        return out.reshape(x.shape)

    return call


def by_size(x: np.ndarray, near: Function, far: Function, limit: float = 1.0) -> np.ndarray:
    """near(x) where |x| is below a limit, far(x) elsewhere, each computed of its own elements only."""
    out, small = np.empty_like(x), np.absolute(x) < limit
    out[small] = near(x[small])
    out[~small] = far(x[~small])
    return out


def polynomial(coefficients: Sequence[float], x: np.ndarray) -> np.ndarray:
    """c0 + c1 x + ..., by Horner's rule."""
    total = np.full_like(x, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        total *= x
        total += coefficient
    return total


def erf_near(x: np.ndarray) -> Any:
    """erf(x) for |x| < 1."""
    return x * polynomial(ERF_SERIES, x * x)


def erfcx_by_integral(x: np.ndarray) -> Any:
    """e^(x^2) erfc(x) for x >= 1, by the trapezoidal rule for its integral (Hunter and Regan, 1972).

    erfc(x) = (2 x e^(-x^2) / pi) times the integral of e^(-t^2) / (x^2 + t^2) from 0 to infinity. With steps of 1/2
    its error is e^(-4 pi^2) of it, once the pole at t = ix is made up for where it is near.
    """
    square = x * x
    total = 0.5 / square
    for n in range(1, 13):
        total += math.exp(-n * n / 4) / (square + n * n / 4)
    near = np.minimum(x, 6)
    pole = 2 * np.exp(near * near) / np.expm1(4 * math.pi * near)
    return x * total / math.pi - np.where(x < 6, pole, 0)


@functools.cache
def erfcx_polynomial() -> list[float]:
    """Coefficients of a polynomial in u = 1 - 8 / (x + 3), from -1 to 1, for (1 + 2 x) e^(x^2) erfc(x), x >= 1.

    It is that form that a polynomial fits well (Shepherd and Laframboise, 1981).
    """

    chebyshev = np.polynomial.chebyshev  # NumPy imports it where it is first asked for

    def scaled(u: np.ndarray) -> Any:
        x = 8 / (1 - u) - 3
        return (1 + 2 * x) * erfcx_by_integral(x)

    return list(chebyshev.cheb2poly(chebyshev.chebinterpolate(scaled, 19)))


def erfcx_far(x: np.ndarray) -> Any:
    """e^(x^2) erfc(x) for x >= 1."""
    return polynomial(erfcx_polynomial(), 1 - 8 / (x + 3)) / (1 + 2 * x)


def erfc_far(x: np.ndarray) -> Any:
    """erfc(x) for |x| >= 1. e^(-x^2) is made of two factors, the first exact, as x^2 has too few digits."""
    a = np.minimum(np.absolute(x), 30)  # where it is 0
    head = np.rint(16 * a) / 16
    y = np.exp(-head * head) * np.exp((head - a) * (head + a)) * erfcx_far(a)
    return np.where(x < 0, 2 - y, y)


@of_real_numbers
def erf(x: np.ndarray) -> np.ndarray:
    """The error function of an array of float64."""
    return by_size(x, erf_near, lambda x: np.copysign(1 - erfc_far(np.absolute(x)), x))


@of_real_numbers
def erfc(x: np.ndarray) -> np.ndarray:
    """The complementary error function of an array of float64."""
    return by_size(x, lambda x: 1 - erf_near(x), erfc_far)


@of_real_numbers
def erfcx(x: np.ndarray) -> np.ndarray:
    """The scaled complementary error function of an array of float64."""

    def far(x: np.ndarray) -> Any:
        y = erfcx_far(np.absolute(x))
        return np.where(x < 0, 2 * np.exp(x * x) - y, y)

    return by_size(x, lambda x: np.exp(x * x) * (1 - erf_near(x)), far)


@of_real_numbers
def erfinv(x: np.ndarray) -> Any:
    """The inverse error function of an array of float64: Winitzki's approximation, and steps of Halley's method."""
    p = np.absolute(x)
    half = np.log1p(-p * p) / 2
    a = 2 / (math.pi * 0.147) + half
    y = np.sqrt(np.sqrt(a * a - half / 0.0735) - a)
    for _ in range(3):
        off = np.where(p < 0.5, erf(y) - p, (1 - p) - erfc(y))
        newton = off / (TWO_OVER_ROOT_PI * np.exp(-y * y))
        y = y - newton / (1 + y * newton)
    return np.copysign(np.where(p == 1, np.inf, y), x)


@of_real_numbers
def lgamma(x: np.ndarray) -> np.ndarray:
    """The logarithm of |gamma| of an array of float64, number by number."""

    def one(number: float) -> float:
        try:
            return math.lgamma(number)
        except (ValueError, OverflowError):  # a pole; too large
            return math.inf

    return np.fromiter(map(one, x.ravel().tolist()), np.float64, x.size).reshape(x.shape)


@of_real_numbers
def polygamma(x: np.ndarray, n: int) -> np.ndarray:
    """The n-th derivative of digamma of an array of float64.

    Below 1/2 it is reflected (Abramowitz and Stegun, 1964, 6.4.7). Steps of 1 lead to a large argument (6.4.6), for
    which there is an asymptotic expansion (6.3.18, 6.4.11).
    """
    below = x < 0.5
    z = np.where(below, 1 - x, x)
    s, sign = n + 1, (-1.0) ** (n + 1)
    total = np.zeros_like(z)
    for _ in range(int(LARGE)):
        far = z >= LARGE
        total += np.where(far, 0, z**-s)
        z = np.where(far, z, z + 1)
    total += z**-s / 2 + (-np.log(z) if n == 0 else z**-n / n)
    for j, number in enumerate(BERNOULLI, 1):
        factor = math.prod(range(s, s + 2 * j - 1)) / math.factorial(2 * j)
        total += number * factor * z ** (-s - 2 * j + 1)
    y = sign * math.factorial(n) * total
    if not below.any():
        return y
    Polynomial = np.polynomial.Polynomial
    cotangent = Polynomial([0, 1])  # as a polynomial in the cotangent: its derivative is -(1 + cot^2)
    for _ in range(n):
        cotangent = cotangent.deriv() * Polynomial([-1, 0, -1])
    at = 1 / np.tan(math.pi * (x - np.rint(x)))
    slope = reduce(
        lambda total, coefficient: total * at + coefficient, cotangent.coef[::-1]
    )  # at infinity too
    return np.where(below, -sign * y - math.pi**s * slope, y)


@of_real_numbers
def bessel_i(x: np.ndarray, n: int, scaled: bool) -> np.ndarray:
    """The modified Bessel function I_n, times e^-|x| if scaled: its series, whose terms are positive, and for large
    arguments its asymptotic expansion (Abramowitz and Stegun, 1964, 9.6.10, 9.7.1).
    """
    series = [1 / (math.factorial(k) * math.factorial(k + n)) for k in range(50)]
    expansion = [1.0]
    for k in range(1, 28):
        expansion.append(expansion[-1] * (4 * n * n - (2 * k - 1) ** 2) / (8 * k))

    def near(x: np.ndarray) -> Any:
        y = (x / 2) ** n * polynomial(series, x * x / 4)
        return y * np.exp(-np.absolute(x)) if scaled else y

    def far(x: np.ndarray) -> Any:
        a = np.absolute(x)
        y = np.sign(x) ** n * polynomial(expansion, -1 / a) / (math.sqrt(2 * math.pi) * np.sqrt(a))
        return y if scaled else y * np.exp(a)

    return by_size(x, near, far, 20.0)
