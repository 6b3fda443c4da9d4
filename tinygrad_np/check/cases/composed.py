"""Rows of the public functions of `functional` that are composed of primitives and belong to no other family."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from tinygrad_np import functional
from tinygrad_np.check.draw import Arguments, Draw, Rng, Shape, filled, real
from tinygrad_np.check.rows import Op


def along_one_axis(rng: Rng, shape: Shape) -> Arguments:
    shape = filled(shape, 1)
    return [real(rng, shape)], {"axis": int(rng.integers(-len(shape), len(shape)))}


def dropped(rng: Rng, shape: Shape) -> Arguments:
    return [real(rng, shape)], {"p": 0.4, "rng": int(rng.integers(2**32))}


def dropped_channels(axes: int) -> Draw:
    def draw(rng: Rng, shape: Shape) -> Arguments:
        return [real(rng, (*shape[:1], 3, *(2,) * axes))], {"p": 0.4, "rng": int(rng.integers(2**32))}

    return draw


def plain_dropped(axes: int, x: np.ndarray, p: float, rng: int) -> Any:
    kept = np.random.default_rng(rng).random((*x.shape[:-axes], *(1,) * axes)) >= p
    return x * kept / (1 - p)


def dropped_to_alpha(rng: Rng, shape: Shape) -> Arguments:
    return [real(rng, (2, 3, *shape[:2]))], {"p": 0.4, "rng": int(rng.integers(2**32))}


def plain_alpha(x: np.ndarray, p: float, rng: int, axes: int = 0) -> Any:
    """Equation 5 of Klambauer et al., 2017, with the variance that keeps 1."""
    smallest = -1.0507009873554804934193349852946 * 1.6732632423543772848170429916717
    shape = (*x.shape[:axes], *(1,) * (x.ndim - axes)) if axes else x.shape
    kept = np.random.default_rng(rng).random(shape) >= p
    q = 1 - p
    a = (q + smallest**2 * q * (1 - q)) ** -0.5
    return a * (np.where(kept, x, smallest)) - a * (1 - q) * smallest


def two_inputs(rng: Rng, shape: Shape) -> Arguments:
    first, second, out = (int(n) for n in rng.integers(1, 4, 3))
    arrays = [real(rng, (*shape, first)), real(rng, (*shape, second)), real(rng, (out, first, second))]
    return [*arrays, real(rng, (out,))][: int(rng.integers(3, 5))], {}


COMPOSED = {
    "log_softmax": Op(
        along_one_axis,
        reference=lambda x, axis: x - np.log(np.sum(np.exp(x), axis=axis, keepdims=True)),
        torch=lambda torch, x, axis: torch.log_softmax(x, dim=axis),
        function=functional.log_softmax,
    ),
    "dropout": Op(
        dropped,
        reference=lambda x, p, rng: x * (np.random.default_rng(rng).random(x.shape) >= p) / (1 - p),
        torch=None,
        function=functional.dropout,
    ),
    **{
        f"dropout{n}d": Op(
            dropped_channels(n),
            reference=partial(plain_dropped, n),
            torch=None,
            function=getattr(functional, f"dropout{n}d"),
        )
        for n in (1, 2)
    },
    "alpha_dropout": Op(
        dropped_to_alpha,
        reference=plain_alpha,
        torch=None,
        function=partial(functional.alpha_dropout, training=True),
    ),
    "feature_alpha_dropout": Op(
        dropped_to_alpha,
        reference=partial(plain_alpha, axes=2),
        torch=None,
        function=partial(functional.feature_alpha_dropout, training=True),
    ),
    "bilinear": Op(
        two_inputs,
        reference=lambda x, y, w, b=0.0: np.einsum("...i,kij,...j->...k", x, w, y) + b,
        torch="nn.functional.bilinear",
        function=functional.bilinear,
    ),
}
