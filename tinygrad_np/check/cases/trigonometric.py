"""Rows of the trigonometric and hyperbolic primitives."""

from __future__ import annotations

import math

import numpy as np

from tinygrad_np.check.draw import Rng, Shape, binary, nonzero, real, unary
from tinygrad_np.check.rows import Edge, Op

INF, NAN, NEAR = math.inf, math.nan, 1 - 1e-10


def inside(rng: Rng, shape: Shape) -> np.ndarray:
    """Numbers between -1 and 1, and away from both."""
    return rng.uniform(-0.9, 0.9, shape)


def above_one(rng: Rng, shape: Shape) -> np.ndarray:
    return rng.uniform(1.2, 4.0, shape)


TRIGONOMETRIC = {
    "sin": Op(unary(real)),
    "cos": Op(unary(real)),
    "tan": Op(unary(inside)),
    "arcsin": Op(
        unary(inside),
        edges=[
            Edge([[1, -1, 2, NAN, 0]], [0, 0, 0, 0, 1], [[0, 0, 0, 0, 1]], torch="differs"),
            Edge([[1, 0.6]], [1, 1], [[INF, 1.25]]),
            Edge([[NEAR]], [1], [[((1 - NEAR) * (1 + NEAR)) ** -0.5]], torch="differs"),  # with all digits
        ],
    ),
    "arccos": Op(
        unary(inside),
        edges=[
            Edge([[1, -1, 2, NAN, 0]], [0, 0, 0, 0, 1], [[0, 0, 0, 0, -1]], torch="differs"),
            Edge([[1, 0.6]], [1, 1], [[-INF, -1.25]]),
            Edge([[NEAR]], [1], [[-(((1 - NEAR) * (1 + NEAR)) ** -0.5)]], torch="differs"),
        ],
    ),
    "arctan": Op(unary(real), edges=[Edge([[INF, -INF, 1]], [1] * 3, [[0, 0, 0.5]])]),
    "arctan2": Op(
        binary(nonzero, nonzero),
        analytic=False,
        calls=[(lambda y: np.arctan2(y, 1.0), [np.array([0.3, -2.0])])],
        edges=[Edge([[0, 1, 1], [0, 1, -1]], [1, 1, 1], [[0, 0.5, -0.5], [0, -0.5, -0.5]])],
    ),
    "sinh": Op(unary(real), edges=[Edge([[800, -800, 0]], [0, 0, 1], [[0, 0, 1]], torch="differs")]),
    "cosh": Op(unary(real), edges=[Edge([[800, -800, 0]], [0, 0, 1], [[0, 0, 0]], torch="differs")]),
    "arcsinh": Op(unary(real), edges=[Edge([[1e200, 0]], [1e200, 1], [[1, 1]], torch="differs")]),
    "arccosh": Op(
        unary(above_one),
        edges=[
            Edge([[1, 0.5, -2, NAN, 2]], [0, 0, 0, 0, 1], [[0, 0, 0, 0, 3**-0.5]], torch="differs"),
            Edge([[1, 2]], [1, 1], [[INF, 3**-0.5]]),
        ],
    ),
    "arctanh": Op(
        unary(inside),
        edges=[
            Edge([[1, -1, 2, NAN, 0]], [0, 0, 0, 0, 1], [[0, 0, 0, 0, 1]], torch="differs"),
            Edge([[1, 0.5]], [1, 1], [[INF, 4 / 3]]),
        ],
    ),
}
