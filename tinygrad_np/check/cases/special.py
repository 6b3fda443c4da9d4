"""Rows of the special functions, and of what is composed of them."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np

from tinygrad_np import functional
from tinygrad_np.check.cases.trigonometric import inside
from tinygrad_np.check.draw import Arguments, Rng, Shape, nonzero, positive, real, unary
from tinygrad_np.check.rows import Edge, Op

INF, NAN = math.inf, math.nan
ZETA_3 = 1.2020569031595942  # the sum of 1 / k^3
FAR = np.array([-5.5, -1.5, 1.1, 3.3, 5.9, 6.1])  # beyond the series, and on both sides of the pole
REFLECTED = np.array([-0.5, -1.4, 0.3])


def by_number(function: Any) -> Any:
    """A function of one number as a function of arrays."""
    return np.vectorize(function, otypes=[float])


def inverse_of_erf(p: float) -> float:
    return NormalDist().inv_cdf((p + 1) / 2) / math.sqrt(2) if abs(p) < 1 else NAN


def some_order(rng: Rng, shape: Shape) -> Arguments:
    return [positive(rng, shape)], {"n": int(rng.integers(1, 4))}


def psi(x: np.ndarray, n: int) -> np.ndarray:
    """The n-th derivative of digamma by its series: 2,000 terms, and an integral for the others."""
    k, s = np.arange(2000.0), n + 1
    terms = np.sum((x[..., np.newaxis] + k) ** -s, axis=-1)
    m = x + len(k) - 0.5
    rest = -np.log(m) if n == 0 else m**-n / n
    return (-1) ** s * math.factorial(n) * (terms + rest - s * m ** (-s - 1.0) / 24)  # type: ignore[no-any-return]


def some_bessel(rng: Rng, shape: Shape) -> Arguments:
    return [3 * real(rng, shape)], {"n": int(rng.integers(2)), "scaled": bool(rng.integers(2))}


def bessel(x: np.ndarray, n: int, scaled: bool) -> Any:
    """The mean of e^(x cos t) cos(n t) over a circle."""
    t = 2 * math.pi * np.arange(128) / 128
    shift = np.absolute(x) if scaled else 0 * x
    return np.mean(np.exp(x[..., np.newaxis] * np.cos(t) - shift[..., np.newaxis]) * np.cos(n * t), axis=-1)


def torch_bessel(torch: Any, x: Any, n: int, scaled: bool) -> Any:
    return getattr(torch.special, f"i{n}{'e' * scaled}")(x)


def zeta(torch: Any, x: Any, n: int) -> Any:
    """polygamma as PyTorch has it with more digits."""
    return (-1) ** (n + 1) * math.factorial(n) * torch.special.zeta(torch.tensor(n + 1.0, dtype=x.dtype), x)


SPECIAL = {
    "erf": Op(
        unary(real),
        reference=by_number(math.erf),
        analytic=False,
        edges=[Edge([[INF, -1e200, 40, 0]], [1] * 4, [[0, 0, 0, 2 / math.sqrt(math.pi)]])],
        more=[([FAR], {})],
    ),
    "erfc": Op(
        unary(real),
        reference=by_number(math.erfc),
        analytic=False,
        edges=[Edge([[INF, -1e200, 40, 0]], [1] * 4, [[0, 0, 0, -2 / math.sqrt(math.pi)]])],
        more=[([FAR], {})],
    ),
    "erfcx": Op(
        unary(real),
        reference=by_number(lambda x: math.exp(x * x) * math.erfc(x)),
        torch="special.erfcx",
        analytic=False,
        edges=[Edge([[-30, 0]], [0, 1], [[0, -2 / math.sqrt(math.pi)]], torch="differs")],
        more=[([np.array([-2.5, 1.2, 3.0, 5.0])], {})],
    ),
    "erfinv": Op(
        unary(inside),
        reference=by_number(inverse_of_erf),
        analytic=False,
        edges=[
            Edge([[1, -1, 2, 0]], [0, 0, 0, 1], [[0, 0, 0, math.sqrt(math.pi) / 2]], torch="differs"),
            Edge([[1, -1]], [1, 1], [[INF, INF]]),
        ],
    ),
    "lgamma": Op(
        unary(positive),
        reference=by_number(math.lgamma),
        analytic=False,
        edges=[Edge([[0, -1, 1]], [0, 0, 1], [[0, 0, -np.euler_gamma]], torch="differs")],
        more=[([REFLECTED], {})],
    ),
    "polygamma": Op(
        some_order,
        reference=psi,
        torch=zeta,
        analytic=False,
        edges=[
            Edge([[0, 1]], [0, 1], [[0, -2 * ZETA_3]], {"n": 1}, torch="differs"),
            Edge([[0]], [1], [[-INF]], {"n": 1}),
        ],
        more=[([np.array([x])], {"n": n}) for n in range(1, 3) for x in (0.4, 20.5)],
    ),
    "bessel_i": Op(
        some_bessel,
        reference=bessel,
        torch=torch_bessel,
        analytic=False,
        calls=[(lambda x: np.i0(x), [REFLECTED])],
        edges=[
            Edge([[0, 1e-9]], [1, 1], [[0.5, 0.5]], {"n": 1, "scaled": False}),
            Edge([[0]], [1], [[0]], {"n": 0, "scaled": True}),
            Edge([[800, 0]], [0, 1], [[0, 0]], {"n": 0, "scaled": False}, torch="differs"),
        ],
        more=[([np.array([x])], {"n": n, "scaled": True}) for x in (-35.0, 19.0, 21.0) for n in (0, 1)],
    ),
    **{
        name: Op(
            unary(real),
            reference=lambda x, n=n, scaled=scaled: bessel(x, n, scaled),
            torch=f"special.{name}",
            analytic=False,
            function=function,
        )
        for name, function, n, scaled in (
            ("i0e", functional.i0e, 0, True),
            ("i1", functional.i1, 1, False),
            ("i1e", functional.i1e, 1, True),
        )
    },
    "digamma": Op(
        unary(positive),
        reference=lambda x: psi(x, 0),
        torch=None,  # its derivative has ten digits there
        analytic=False,
        function=functional.digamma,
        more=[([np.array([0.4])], {}), ([np.array([20.5])], {})],
    ),
    "mvlgamma": Op(
        lambda rng, shape: ([2 + positive(rng, shape)], {"p": int(rng.integers(1, 5))}),
        reference=lambda x, p: (
            p * (p - 1) / 4 * math.log(math.pi) + sum(by_number(math.lgamma)(x - j / 2) for j in range(p))
        ),
        analytic=False,
        function=functional.mvlgamma,
    ),
    "ndtr": Op(
        unary(real),
        reference=by_number(NormalDist().cdf),
        torch="special.ndtr",
        analytic=False,
        function=functional.ndtr,
    ),
    "log_ndtr": Op(
        unary(nonzero),
        reference=by_number(lambda x: math.log(math.erfc(-x * math.sqrt(0.5)) / 2)),
        torch="special.log_ndtr",
        analytic=False,
        function=functional.log_ndtr,
        edges=[Edge([[-1e3, 1e3]], [1, 1], [[1000.000999998000009, 0]], torch="differs")],
    ),
}
