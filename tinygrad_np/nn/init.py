"""Initial weights: arrays of a shape, drawn by a rule.

Each draws from `rng`, a Generator, a seed, or None for fresh entropy, and makes an array of `dtype`.
The rules that keep the variance of what flows through a layer need its fan-in and fan-out: for a weight of
shape (out, in, ...) the number of inputs, or of outputs, that one unit is connected with.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
from numpy.typing import DTypeLike

from tinygrad_np.functional.common import Rng

Shape: TypeAlias = tuple[int, ...]


def uniform(
    shape: Shape, low: float = 0.0, high: float = 1.0, rng: Rng = None, dtype: DTypeLike = np.float32
) -> np.ndarray:
    """Uniform between two bounds."""
    return np.random.default_rng(rng).uniform(low, high, shape).astype(dtype)


def normal(shape: Shape, std: float = 1.0, rng: Rng = None, dtype: DTypeLike = np.float32) -> np.ndarray:
    """Normal with mean 0."""
    return (std * np.random.default_rng(rng).standard_normal(shape)).astype(dtype)


def xavier_uniform(shape: Shape, rng: Rng = None, dtype: DTypeLike = np.float32) -> np.ndarray:
    """Uniform with variance 2 / (fan-in + fan-out), for tanh and sigmoid (Glorot and Bengio, 2010)."""
    bound = math.sqrt(6 / sum(fans(shape)))
    return uniform(shape, -bound, bound, rng, dtype)


def xavier_normal(shape: Shape, rng: Rng = None, dtype: DTypeLike = np.float32) -> np.ndarray:
    """Normal with variance 2 / (fan-in + fan-out), for tanh and sigmoid (Glorot and Bengio, 2010)."""
    return normal(shape, math.sqrt(2 / sum(fans(shape))), rng, dtype)


def kaiming_uniform(shape: Shape, rng: Rng = None, dtype: DTypeLike = np.float32) -> np.ndarray:
    """Uniform with variance 2 / fan-in, for relu (He et al., 2015, eq. 10)."""
    bound = math.sqrt(6 / fans(shape)[0])
    return uniform(shape, -bound, bound, rng, dtype)


def kaiming_normal(shape: Shape, rng: Rng = None, dtype: DTypeLike = np.float32) -> np.ndarray:
    """Normal with variance 2 / fan-in, for relu (He et al., 2015, eq. 10)."""
    return normal(shape, math.sqrt(2 / fans(shape)[0]), rng, dtype)


def orthogonal(shape: Shape, rng: Rng = None, dtype: DTypeLike = np.float32) -> np.ndarray:
    """Rows, or columns if there are fewer, that are orthonormal (Saxe et al., 2013).

    Q of the QR decomposition of a normal matrix, with the signs that make it uniform over all of them.
    """
    rows, columns = shape[0], math.prod(shape[1:])
    q, r = np.linalg.qr(np.random.default_rng(rng).standard_normal((max(rows, columns), min(rows, columns))))
    q *= np.sign(np.diag(r))
    return (q if rows >= columns else q.T).reshape(shape).astype(dtype)


def fans(shape: Shape) -> tuple[int, int]:
    """Fan-in and fan-out of a weight of shape (out, in, ...)."""
    if len(shape) < 2:
        raise ValueError(f"a weight with fan-in and fan-out has two axes at least, and this shape is {shape}")
    window = math.prod(shape[2:])
    return shape[1] * window, shape[0] * window
