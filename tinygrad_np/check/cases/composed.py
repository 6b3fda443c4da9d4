"""Rows of the public functions of `functional` that are composed of primitives and belong to no other family."""

from __future__ import annotations

import numpy as np

from tinygrad_np import functional
from tinygrad_np.check.draw import Arguments, Rng, Shape, filled, real
from tinygrad_np.check.rows import Op


def along_one_axis(rng: Rng, shape: Shape) -> Arguments:
    shape = filled(shape, 1)
    return [real(rng, shape)], {"axis": int(rng.integers(-len(shape), len(shape)))}


def dropped(rng: Rng, shape: Shape) -> Arguments:
    return [real(rng, shape)], {"p": 0.4, "rng": int(rng.integers(2**32))}


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
}
