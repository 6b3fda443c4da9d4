"""Rows of the element-wise primitives."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

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


def clipped(rng: Rng, shape: Shape) -> Arguments:
    bounds: list[dict[str, Any]] = [
        {"a_min": -0.5, "a_max": 0.5},
        {"a_min": -0.5, "a_max": None},  # one alone is refused by some versions of NumPy
        {"a_min": None, "a_max": 0.5},
    ]
    return [distinct(rng, shape)], bounds[rng.integers(3)]


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
        calls=[(lambda x, y: np.multiply(x, y), [X, Y[:1]])],
        edges=[Edge([[2], [INF]], [0], [[NAN], [0]])],  # only below a choice is zero times infinity 0
    ),
    "divide": Op(
        binary(real, nonzero),
        calls=[(lambda x: np.true_divide(1.0, x), [POSITIVE])],
        edges=[  # zero times infinity is 0, and elsewhere a pole stays infinite
            Edge([[1, 0, 5], [0, 0, NAN]], [0, 0, 0], [[0, 0, 0], [0, 0, 0]], torch="differs"),
            Edge([[1, 5], [0, 2]], [1, 1], [[INF, 0.5], [-INF, -1.25]]),
        ],
    ),
    "negative": Op(unary(real)),
    "power": Op(
        binary(positive, real_or_whole),
        torch="pow",
        calls=[(lambda x: np.pow(2.0, x), [X])],
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
    "exp": Op(
        unary(real),
        edges=[
            Edge([[800, 0, INF]], [0, 0, 0], [[0, 0, 0]], torch="differs"),
            Edge([[800, 1]], [1, 2], [[INF, 2 * math.e]]),
        ],
    ),
    "log": Op(
        unary(positive),
        edges=[
            Edge([[0, -1, NAN, 4]], [0, 0, 0, 1], [[0, 0, 0, 0.25]], torch="differs"),
            Edge([[0, -2]], [1, 1], [[INF, -0.5]]),
        ],
    ),
    "logaddexp": Op(
        binary(real, real),
        analytic=False,
        edges=[  # no NaN from -inf - -inf
            Edge([[-INF, -INF, 1], [-INF, 2, -INF]], [1, 1, 1], [[0, 0, 1], [0, 1, 0]], torch="differs"),
            Edge([[800, INF], [INF, 800]], [1, 1], [[0, 1], [1, 0]]),
            Edge([[INF], [INF]], [1], [[0.5], [0.5]], torch="differs"),
        ],
    ),
    "absolute": Op(
        unary(distinct),
        analytic=False,
        calls=[(lambda x: np.abs(x), [X])],
        edges=[Edge([[0, -2]], [3, 3], [[0, -3]])],
    ),
    "maximum": Op(
        binary(distinct, between),
        calls=[(lambda x: np.maximum(x, 0), [X])],
        edges=[Edge([[1, 1, NAN, 1], [1, 2, 1, NAN]], [3] * 4, [[1.5, 0, 3, 3], [1.5, 3, 3, 3]])],
    ),
    "minimum": Op(
        binary(distinct, between),
        calls=[(lambda x: np.minimum(0, x), [X])],
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
    "identity": Op(unary(real), reference=lambda x: x, torch=lambda torch, x: x.view_as(x)),
}
