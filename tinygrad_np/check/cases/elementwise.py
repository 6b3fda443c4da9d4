"""Rows of the element-wise primitives."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_np import functional
from tinygrad_np.check.draw import (
    Arguments,
    Rng,
    Shape,
    between,
    binary,
    broadcasts_to,
    distinct,
    nonzero,
    positive,
    real,
    real_or_whole,
    unary,
    wave,
)
from tinygrad_np.check.rows import Edge, Op

INF, NAN = math.inf, math.nan
X, Y = wave(2, 3), wave(2, 6)[:, ::2]
POSITIVE = 1 + X**2
STEPS = {
    np.floor: "floor",
    np.ceil: "ceil",
    np.trunc: "trunc",
    np.rint: "round",
    np.sign: "sign",
}  # PyTorch's names
ROUNDED: dict[str | None, Any] = {None: np.positive, "trunc": np.trunc, "floor": np.floor}


def clipped(rng: Rng, shape: Shape) -> Arguments:
    bounds: list[dict[str, Any]] = [
        {"a_min": -0.5, "a_max": 0.5},
        {"a_min": -0.5, "a_max": None},  # one alone is refused by some versions of NumPy
        {"a_min": None, "a_max": 0.5},
    ]
    return [distinct(rng, shape)], bounds[rng.integers(3)]


def stepping(rng: Rng, shape: Shape) -> Arguments:
    if rng.random() < 0.2:
        return binary(distinct, quarters)(rng, shape)[0], {"function": np.floor_divide}
    return [distinct(rng, shape)], {"function": list(STEPS)[rng.integers(len(STEPS))]}


def torch_step(torch: Any, *xs: Any, function: Any) -> Any:
    return torch.div(*xs, rounding_mode="floor") if len(xs) > 1 else getattr(torch, STEPS[function])(*xs)


def quarters(rng: Rng, shape: Shape) -> np.ndarray:
    """Multiples of 1/4 of both signs, none of which divides a number of `distinct`."""
    return rng.integers(1, 9, shape) / 4 * (2 * rng.integers(0, 2, shape) - 1)


def conditional(rng: Rng, shape: Shape) -> Arguments:
    (x, y), _ = binary(real, real)(rng, shape)
    return [rng.random(broadcasts_to(rng, shape)) < 0.5, x, y], {}


ELEMENTWISE = {
    "add": Op(
        binary(real, real),
        calls=[(lambda x: np.add(1, x), [X])],
        more=[([wave(1, 1), wave(2, 3, 1)], {})],
    ),
    "subtract": Op(binary(real, real), calls=[(lambda x: np.subtract(Y, x), [X])]),
    "multiply": Op(
        binary(real, real),
        calls=[
            (lambda x, y: np.multiply(x, y), [X, Y[:1]]),
            (lambda x: np.deg2rad(x), [X]),
            (lambda x: np.radians(x), [X]),
            (lambda x: np.rad2deg(x), [X]),
            (lambda x: np.degrees(x), [X]),
            (lambda x: np.ldexp(x, np.array([1, 0, -3])), [X]),
            (lambda x: np.frexp(x)[0], [X]),
            (lambda x: np.positive(x), [X]),
            (lambda x: np.conjugate(x), [X]),
            (lambda x: np.real(x) * 2, [X]),
        ],
        edges=[Edge([[2], [INF]], [0], [[NAN], [0]])],  # only below a choice is zero times infinity 0
    ),
    "divide": Op(
        binary(real, nonzero),
        calls=[(lambda x: np.true_divide(1.0, x), [POSITIVE]), (lambda x: np.reciprocal(x), [POSITIVE])],
        edges=[  # zero times infinity is 0, and elsewhere a pole stays infinite
            Edge([[1, 0, 5], [0, 0, NAN]], [0, 0, 0], [[0, 0, 0], [0, 0, 0]], torch="differs"),
            Edge([[1, 5], [0, 2]], [1, 1], [[INF, 0.5], [-INF, -1.25]]),
        ],
    ),
    "negative": Op(unary(real)),
    "power": Op(
        binary(positive, real_or_whole),
        torch="pow",
        calls=[(lambda x: np.pow(2.0, x), [X]), (lambda x, y: np.float_power(x, y), [POSITIVE, Y])],
        edges=[
            Edge(
                [[0, 0, 0, -1, -1, NAN], [0.5, -1, 0, 0.5, -0.5, 2]],
                [0] * 6,
                [[0] * 6, [0] * 6],
                torch="differs",
            ),
            Edge([[0, 0, 0], [0, 1, 2]], [1, 1, 1], [[0, 1, 0], [0, 0, 0]]),
            Edge([[0, -2, -2, NAN], [0.5, 2, 0.5, 2]], [1] * 4, [[INF, -4, NAN, NAN], [0, NAN, NAN, NAN]]),
            Edge([[-2, -2, 3], [0, -1, 0]], [1, 1, 1], [[0, -0.25, 0], [NAN, NAN, math.log(3)]]),
        ],
        more=[([np.array([0.5, 2, 3]), np.array([0.0, 0, 1])], {})],
    ),
    "square": Op(unary(real)),
    "sqrt": Op(
        unary(positive),
        edges=[
            Edge([[0, -1, NAN, 4]], [0, 0, 0, 1], [[0, 0, 0, 0.25]], torch="differs"),
            Edge([[0, 4]], [1, 1], [[INF, 0.25]]),
        ],
    ),
    "cbrt": Op(
        unary(nonzero),
        torch=lambda torch, x: torch.sign(x) * torch.abs(x) ** (1 / 3),
        analytic=False,
        edges=[
            Edge([[0, NAN, -8]], [0, 0, 1], [[0, 0, 1 / 12]], torch="differs"),
            Edge([[0, 1]], [1, 1], [[INF, 1 / 3]], torch="differs"),
        ],
    ),
    "exp": Op(
        unary(real),
        edges=[
            Edge([[800, 0, INF]], [0, 0, 0], [[0, 0, 0]], torch="differs"),
            Edge([[800, 1]], [1, 2], [[INF, 2 * math.e]]),
        ],
    ),
    "exp2": Op(
        unary(real),
        edges=[Edge([[1100, INF, 0]], [0, 0, 1], [[0, 0, math.log(2)]], torch="differs")],
    ),
    "expm1": Op(
        unary(real),
        edges=[
            Edge([[800, INF, 0]], [0, 0, 1], [[0, 0, 1]], torch="differs"),
            Edge([[-40]], [1], [[math.exp(-40)]], torch="differs"),  # all digits
        ],
    ),
    "log": Op(
        unary(positive),
        edges=[
            Edge([[0, -1, NAN, 4]], [0, 0, 0, 1], [[0, 0, 0, 0.25]], torch="differs"),
            Edge([[0, -2]], [1, 1], [[INF, -0.5]]),
        ],
    ),
    **{
        name: Op(
            unary(positive),
            edges=[
                Edge([[0, -1, NAN, 4]], [0, 0, 0, 1], [[0, 0, 0, 0.25 / math.log(base)]], torch="differs"),
                Edge([[0, 2]], [1, 1], [[INF, 0.5 / math.log(base)]]),
            ],
        )
        for name, base in (("log2", 2), ("log10", 10))
    },
    "log1p": Op(
        unary(positive),
        edges=[
            Edge([[-1, -2, NAN, 1]], [0, 0, 0, 1], [[0, 0, 0, 0.5]], torch="differs"),
            Edge([[-1, 3]], [1, 1], [[INF, 0.25]]),
        ],
    ),
    "logaddexp": Op(
        binary(real, real),
        analytic=False,
        calls=[(lambda x, y: np.logaddexp2(x, y), [POSITIVE, Y])],
        edges=[  # no NaN from -inf - -inf
            Edge([[-INF, -INF, 1], [-INF, 2, -INF]], [1, 1, 1], [[0, 0, 1], [0, 1, 0]], torch="differs"),
            Edge([[800, INF], [INF, 800]], [1, 1], [[0, 1], [1, 0]]),
            Edge([[INF], [INF]], [1], [[0.5], [0.5]], torch="differs"),
        ],
    ),
    "absolute": Op(
        unary(distinct),
        analytic=False,
        calls=[
            (lambda x: np.abs(x), [X]),
            (lambda x: np.fabs(x), [X]),
            (lambda x, y: np.copysign(x, y), [X, Y]),
        ],
        edges=[Edge([[0, -2]], [3, 3], [[0, -3]])],
    ),
    "hypot": Op(
        binary(nonzero, nonzero),
        analytic=False,
        edges=[
            Edge([[0, 3, 3e200], [0, 4, 4e200]], [1] * 3, [[0, 0.6, 0.6], [0, 0.8, 0.8]], torch="differs"),
            Edge([[0, 2], [2, 0]], [1] * 2, [[0, 1], [1, 0]]),
        ],
    ),
    "remainder": Op(
        binary(distinct, quarters),
        analytic=False,
        calls=[(lambda x: np.mod(x, 0.7), [X]), (lambda x, y: np.divmod(x, y)[1], [X, POSITIVE])],
        edges=[Edge([[3, -3, 3], [1, 2, -2]], [1] * 3, [[1, 1, 1], [-3, 2, 2]])],
    ),
    "fmod": Op(
        binary(distinct, quarters),
        analytic=False,
        calls=[(lambda x: np.modf(x)[0], [X])],
        edges=[Edge([[3, -3, 3], [1, 2, -2]], [1] * 3, [[1, 1, 1], [-3, 1, 1]])],
    ),
    "step": Op(
        stepping,
        reference=lambda *xs, function: function(*xs),
        torch=torch_step,
        analytic=False,
        calls=[
            *((lambda x, f=f: f(x), [X]) for f in (*STEPS, np.fix, np.round, np.around)),
            (lambda x: np.round(x, decimals=1), [X]),
            (lambda x: np.around(x, 1), [X]),
            (lambda x, y: np.floor_divide(x, y), [X, POSITIVE]),
            (lambda x, y: np.divmod(x, y)[0], [X, POSITIVE]),
            (lambda x: np.modf(x)[1], [X]),
            (lambda x, y: np.heaviside(x, y), [np.array([-1.0, 2.0]), Y[0, :2]]),
            (lambda y: np.heaviside(np.array([-1.0, 0.0, 2.0]), y), [Y]),  # at 0 it is y
        ],
        edges=[Edge([[1, 0, 0.5]], [3, INF, 3], [[0, 0, 0]], {"function": np.floor})],
        more=[([X, POSITIVE], {"function": np.floor_divide})],
    ),
    "maximum": Op(
        binary(distinct, between),
        calls=[
            (lambda x: np.maximum(x, 0), [X]),
            (lambda x, y: np.fmax(x, y), [X, Y]),
            (lambda x: np.fmax(x, np.array([NAN, 0.1, 0.2])), [X]),
        ],
        edges=[Edge([[1, 1, NAN, 1], [1, 2, 1, NAN]], [3] * 4, [[1.5, 0, 3, 3], [1.5, 3, 3, 3]])],
    ),
    "minimum": Op(
        binary(distinct, between),
        calls=[
            (lambda x: np.minimum(0, x), [X]),
            (lambda x, y: np.fmin(x, y), [X, Y]),
            (lambda x: np.fmin(np.array([NAN, 0.1, 0.2]), x), [X]),
        ],
        edges=[Edge([[1, 1, NAN, 1], [1, 2, 1, NAN]], [3] * 4, [[1.5, 3, 3, 3], [1.5, 0, 3, 3]])],
    ),
    "clip": Op(
        clipped,
        reference=lambda x, a_min=None, a_max=None: np.clip(x, a_min, a_max),
        torch=lambda torch, x, a_min=None, a_max=None: torch.clamp(x, a_min, a_max),
        analytic=False,
        calls=[
            (lambda x: np.clip(x, -0.5, 0.5), [X]),
            (lambda x: np.clip(x, a_min=None, a_max=0.5), [X]),
            (lambda x: np.clip(x, -0.5, None), [X]),
            (lambda x: np.clip(x, np.array([-1.0, 0.0, 0.1]), 1.0), [X]),
            (lambda x: np.clip(x, min=-0.5, max=0.5), [X]),
            (lambda x, low: np.clip(x, low, 0.9), [X, Y[:1] - 0.5]),
            (lambda x, low, high: np.clip(x, low, high), [X, Y - 0.5, Y + 0.1]),
            (lambda high: np.clip(X, -0.5, high), [Y]),
        ],
        edges=[
            Edge([[-1, 0, 0.5, 1, 2]], [3] * 5, [[0, 3, 3, 3, 0]], {"a_min": 0, "a_max": 1}),
            Edge([[NAN, 0.5]], [3, 3], [[3, 3]], {"a_min": 0, "a_max": 1}, torch="differs"),  # 0 there
        ],
        more=[([wave(8)], {"a_max": 0.1}), ([wave(8)], {"a_min": 0.1})],
    ),
    "where": Op(
        conditional,
        calls=[
            (lambda x, y: np.where(X > 0, x, y), [X, Y]),
            (lambda x: np.where([True, False, True], x, 0.0), [X]),
            (lambda x, y: np.select([X > 0.5, X > 0], [x, y], default=2.0), [X, Y]),
            (lambda x: np.nan_to_num(x / np.where(X > 0, 1, np.inf)), [X]),
        ],
    ),
    "tanh": Op(unary(real)),
    "sigmoid": Op(unary(real), reference=lambda x: np.tanh(x / 2) / 2 + 0.5),
    "relu": Op(
        unary(distinct),
        reference=lambda x: np.where(x > 0, x, 0),
        edges=[Edge([[-1, 0, -0.0, 1, NAN]], [3] * 5, [[0, 0, 0, 3, 3]])],
    ),
    "cast": Op(
        lambda rng, shape: ([real(rng, shape)], {"dtype": np.dtype(np.float64)}),
        reference=lambda x, dtype: x.astype(dtype),
        torch=lambda torch, x, dtype: x.to(torch.float64),
        analytic=False,
    ),
    "identity": Op(
        unary(real),
        reference=lambda x: x,
        torch=lambda torch, x: x.view_as(x),
    ),
    "sinc": Op(
        unary(real),
        function=np.sinc,
        edges=[Edge([[0, 1, -1e-9]], [1, 1, 1e9], [[0, -1, math.pi**2 / 3]], torch="differs")],  # all digits
    ),
    "frac": Op(unary(distinct), reference=lambda x: np.modf(x)[0], analytic=False, function=functional.frac),
    "rsqrt": Op(unary(positive), reference=lambda x: x**-0.5, function=functional.rsqrt),
    "div": Op(
        binary(real, nonzero),
        reference=lambda x, y, rounding_mode=None: ROUNDED[rounding_mode](x / y),
        analytic=False,
        function=functional.div,
        more=[([X, POSITIVE], {"rounding_mode": mode}) for mode in ("trunc", "floor")],
    ),
    "lerp": Op(
        lambda rng, shape: ([real(rng, broadcasts_to(rng, shape)) for _ in range(3)], {}),
        reference=lambda x, end, weight: (1 - weight) * x + weight * end,
        torch=lambda torch, x, end, weight: torch.lerp(*torch.broadcast_tensors(x, end, weight)),
        function=functional.lerp,
    ),
    "masked_fill": Op(
        lambda rng, shape: ([real(rng, shape), rng.random(broadcasts_to(rng, shape)) < 0.5], {"value": 2.5}),
        reference=lambda x, mask, value: np.where(mask, value, x),
        function=functional.masked_fill,
        more=[([X, X > 0, np.array(0.3)], {})],
    ),
    **{
        name: Op(
            lambda rng, shape: (
                [*(real(rng, broadcasts_to(rng, shape)) for _ in range(2)), nonzero(rng, shape)],
                {"value": 0.3},
            ),
            reference=reference,
            function=function,
        )
        for name, function, reference in (
            ("addcmul", functional.addcmul, lambda x, y, z, value: x + value * (y * z)),
            ("addcdiv", functional.addcdiv, lambda x, y, z, value: x + value * (y / z)),
        )
    },
    "xlogy": Op(
        binary(nonzero, positive),
        reference=lambda x, y: x * np.log(y),
        analytic=False,
        function=functional.xlogy,
        edges=[
            Edge([[0, 0, 0, 0], [2, 0, -1, INF]], [1] * 4, [[math.log(2), 0, 0, 0], [0] * 4], torch="differs")
        ],
    ),
    "xlog1py": Op(
        binary(nonzero, positive),
        reference=lambda x, y: x * np.log1p(y),
        torch="special.xlog1py",
        analytic=False,
        function=functional.xlog1py,
        edges=[Edge([[0, 0, 0], [1, -1, -2]], [1] * 3, [[math.log(2), 0, 0], [0] * 3], torch="differs")],
    ),
    "entr": Op(
        unary(positive),
        reference=lambda x: -x * np.log(x),
        torch="special.entr",
        analytic=False,
        function=functional.entr,
        edges=[Edge([[0, 1, -1]], [0, 1, 1], [[0, -1, 0]], torch="differs")],
    ),
    "logit": Op(
        lambda rng, shape: ([rng.uniform(0.1, 0.9, shape)], {}),
        reference=lambda x: np.log(x / (1 - x)),
        analytic=False,
        function=functional.logit,
        edges=[Edge([[0.1, 0.5, 0.99]], [1] * 3, [[0, 4, 0]], {"eps": 0.2})],
    ),
}
