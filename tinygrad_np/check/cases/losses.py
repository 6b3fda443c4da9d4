"""Rows of the losses."""

from __future__ import annotations

import math

import numpy as np

from tinygrad_np.check.draw import Rng, real
from tinygrad_np.check.rows import Loss, LossCase
from tinygrad_np.functional.common import Reduction


def a_reduction(rng: Rng) -> Reduction:
    choices: tuple[Reduction, ...] = ("mean", "sum", "none")
    return choices[rng.integers(3)]


def sizes(rng: Rng) -> tuple[int, int]:
    rows, columns = (int(n) for n in rng.integers(1, 5, 2))
    return rows, columns


def logits(rng: Rng, shape: tuple[int, ...]) -> np.ndarray:
    """From small ones to such as overflow where they are exponents."""
    return float(rng.choice([1, 20, 1000])) * real(rng, shape)


def between_0_and_1(rng: Rng) -> LossCase:
    shape = sizes(rng)
    return LossCase(logits(rng, shape), rng.choice([0.0, 1.0, 0.3], shape), a_reduction(rng))


def classes(rng: Rng) -> LossCase:
    rows, columns = sizes(rng)
    return LossCase(logits(rng, (rows, columns)), rng.integers(0, columns, rows), a_reduction(rng))


def alike(rng: Rng) -> LossCase:
    shape = sizes(rng)
    return LossCase(real(rng, shape), real(rng, shape), a_reduction(rng))


def softplus(z: float) -> float:
    return max(z, 0.0) + math.log1p(math.exp(-abs(z)))


def bce(z: np.ndarray, y: np.ndarray) -> np.ndarray:
    pairs = zip(z.ravel(), y.ravel(), strict=True)
    return np.array([y * softplus(-z) + (1 - y) * softplus(z) for z, y in pairs]).reshape(z.shape)


def cross_entropy(z: np.ndarray, target: np.ndarray) -> np.ndarray:
    rows = [row - row.max() for row in z]
    return np.array([math.log(np.exp(row).sum()) - row[k] for row, k in zip(rows, target, strict=True)])


LOSSES = {
    "binary_cross_entropy_with_logits": Loss(between_0_and_1, bce),
    "cross_entropy": Loss(classes, cross_entropy),
    "mse_loss": Loss(alike, lambda x, y: (x - y) ** 2),
}
