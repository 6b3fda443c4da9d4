"""Special functions of arrays, to the last digits: against the standard library, and by what is known of them."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinygrad_np import special

ALL = np.concatenate([np.linspace(-7, 7, 1401), [1 - 2**-53, 1 + 2**-52, 5.999, 6.001, 1e-300]])
LARGE = np.linspace(7, 26, 500)


@pytest.mark.parametrize(
    ("function", "reference", "x"),
    [
        (special.erf, math.erf, ALL),
        (special.erfc, math.erfc, ALL),
        (special.erfc, math.erfc, LARGE),
        (special.lgamma, math.lgamma, np.concatenate([ALL[ALL % 1 != 0], LARGE, [1e8, 1e-8]])),
        (special.erfcx, lambda x: math.exp(x * x) * math.erfc(x), np.linspace(-5, 5, 501)),
    ],
)
def test_digits(function: Callable[..., Any], reference: Callable[[float], float], x: np.ndarray) -> None:
    np.testing.assert_allclose(function(x), [reference(float(v)) for v in x], rtol=2e-14, atol=0)


def test_far_away() -> None:
    x = np.array([np.inf, -np.inf, np.nan, 40.0, -40.0, 1e200])
    np.testing.assert_array_equal(special.erf(x), [1, -1, np.nan, 1, -1, 1])
    np.testing.assert_array_equal(special.erfc(x), [0, 2, np.nan, 0, 2, 0])
    y = special.erfcx(np.array([1e8, 1e100, -40.0, 30.0]))
    np.testing.assert_allclose(y[:2] * [1e8, 1e100], math.pi**-0.5, rtol=1e-14)
    assert y[2] == np.inf
    # the first terms of its continued fraction
    fraction = 30 + 0.5 / (30 + 1 / (30 + 1.5 / (30 + 2 / (30 + 2.5 / (30 + 3 / 30)))))
    np.testing.assert_allclose(y[3], math.pi**-0.5 / fraction, rtol=1e-14)
    np.testing.assert_array_equal(
        special.lgamma(np.array([0.0, -1.0, np.inf, 1e308, np.nan])), [np.inf] * 4 + [np.nan]
    )


def test_erfinv_is_the_inverse() -> None:
    p = np.concatenate([np.linspace(-0.999, 0.999, 1001), [1e-300, 1e-12, 0.5, -0.5]])
    np.testing.assert_allclose(special.erf(special.erfinv(p)), p, rtol=4e-16, atol=0)
    tail = 1 - 2.0 ** -np.arange(1, 53)  # where 1 - p is exact, and erf is 1 but for that
    np.testing.assert_allclose(special.erfc(special.erfinv(tail)), 1 - tail, rtol=2e-14)
    np.testing.assert_array_equal(
        special.erfinv(np.array([1.0, -1.0, 1.5, 0.0, -0.0])), [np.inf, -np.inf, np.nan, 0, 0]
    )


@pytest.mark.parametrize("n", range(5))
def test_polygamma(n: int) -> None:
    x = np.concatenate([np.linspace(0.05, 30, 600), -np.linspace(0.03, 9.97, 400)])
    x = x[np.abs(x - np.rint(x)) > 0.02]
    here, next_one = special.polygamma(x, n=n), special.polygamma(x + 1, n=n)
    step = (-1) ** n * math.factorial(n) * x ** (-n - 1.0)
    scale = np.abs(here) + np.abs(step)
    assert (np.abs(next_one - here - step) <= 3e-14 * scale).all()
    np.testing.assert_allclose(
        special.polygamma(np.array([1e9]), n=n),
        -math.log(1e-9) if not n else -((-1e-9) ** n) * math.factorial(n - 1),
        rtol=1e-8,
    )


def test_known_values() -> None:
    half_and_one = np.array([0.5, 1.0])
    euler, zeta_3 = 0.57721566490153286061, 1.2020569031595942854
    for n, expected in (
        (0, [-euler - 2 * math.log(2), -euler]),
        (1, [math.pi**2 / 2, math.pi**2 / 6]),
        (2, [-14 * zeta_3, -2 * zeta_3]),
        (3, [math.pi**4, math.pi**4 / 15]),
    ):
        np.testing.assert_allclose(special.polygamma(half_and_one, n=n), expected, rtol=4e-15)
    np.testing.assert_allclose(
        special.polygamma(np.array([-0.5]), n=0), [2 - euler - 2 * math.log(2)], rtol=1e-14
    )
    np.testing.assert_array_equal(
        special.polygamma(np.array([0.0, np.inf, np.nan]), n=0), [-np.inf, np.inf, np.nan]
    )
    np.testing.assert_array_equal(special.polygamma(np.array([0.0, -1.0, np.inf]), n=1), [np.inf, np.inf, 0])


@pytest.mark.parametrize("n", range(4))
def test_bessel(n: int) -> None:
    x = np.concatenate([np.linspace(-60, 60, 601), [19.999, 20.0, 1e4, 1e-8]])
    t = 2 * math.pi * np.arange(400) / 400
    mean = np.mean(np.exp(x[:, None] * np.cos(t) - np.abs(x)[:, None]) * np.cos(n * t), axis=1)
    scaled = special.bessel_i(x, n=n, scaled=True)
    np.testing.assert_allclose(scaled[:-2], mean[:-2], rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(scaled[-2] * math.sqrt(2e4 * math.pi), 1 - (4 * n * n - 1) / 8e4, rtol=1e-7)
    np.testing.assert_allclose(scaled[-1], (5e-9) ** n / math.factorial(n), rtol=2e-8)
    moderate = x[np.abs(x) < 30]
    plain = special.bessel_i(moderate, n=n, scaled=False)
    rescaled = special.bessel_i(moderate, n=n, scaled=True) * np.exp(np.abs(moderate))
    np.testing.assert_allclose(plain, rescaled, rtol=1e-14)
    if n == 0:
        np.testing.assert_allclose(plain, np.i0(moderate), rtol=1e-14)


@pytest.mark.parametrize(
    "function", [special.erf, special.erfc, special.erfcx, special.erfinv, special.lgamma]
)
def test_dtypes_and_shapes(function: Callable[..., Any]) -> None:
    for dtype, expected in (
        (np.float16, np.float16),
        (np.float32, np.float32),
        (np.int64, np.float64),
        (bool, np.float32),
    ):
        out = function(np.array([[0, 1], [1, 0]], dtype))
        assert (out.dtype, out.shape) == (expected, (2, 2))
        np.testing.assert_allclose(out, function(np.array([[0.0, 1], [1, 0]])), rtol=1e-3)
    assert function(np.zeros((0, 3))).shape == (0, 3)
    assert function(np.array(0.5)).shape == ()
    x = np.linspace(0.1, 0.9, 12).reshape(3, 4)
    before = x.copy()
    np.testing.assert_array_equal(function(x.T[::-1]), function(np.array(x.T[::-1])))
    np.testing.assert_array_equal(x, before)
    with pytest.raises(TypeError, match="real numbers only"):
        function(np.array([1j]))
