"""Draws numbers, shapes and axes for the rows of `cases`, away from kinks and poles, which have no derivative."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

Shape: TypeAlias = tuple[int, ...]
Rng: TypeAlias = np.random.Generator
Arguments: TypeAlias = tuple[list[np.ndarray], dict[str, Any]]  # arrays by position, and static parameters
Draw: TypeAlias = Callable[[Rng, Shape], Arguments]
Values: TypeAlias = Callable[[Rng, Shape], np.ndarray]


def real(rng: Rng, shape: Shape) -> np.ndarray:
    return rng.standard_normal(shape)


def positive(rng: Rng, shape: Shape) -> np.ndarray:
    return rng.uniform(0.5, 2.0, shape)


def real_or_whole(rng: Rng, shape: Shape) -> np.ndarray:
    """Numbers as `real` gives, or whole ones, 0 among them."""
    x = 2 * rng.standard_normal(shape)
    return np.round(x) if rng.random() < 0.5 else x


def nonzero(rng: Rng, shape: Shape) -> np.ndarray:
    return positive(rng, shape) * (2 * rng.integers(0, 2, shape) - 1)


def distinct(rng: Rng, shape: Shape) -> np.ndarray:
    """Multiples of 1/4, shifted by 1/16 away from 0, no two alike."""
    n = int(np.prod(shape))
    return (rng.permutation(n).reshape(shape) - n // 2) / 4 + 1 / 16


def broadcasts_to(rng: Rng, shape: Shape) -> Shape:
    """A shape that NumPy stretches to this one: some lengths 1, some leading axes missing."""
    stretched = tuple(1 if rng.random() < 0.3 else n for n in shape)
    return stretched[rng.integers(len(shape) + 1) :] if rng.random() < 0.3 else stretched


def filled(shape: Shape, axes: int = 0) -> Shape:
    """The shape with no length 0, and at least so many axes."""
    return (2, 3, 1)[: max(0, axes - len(shape))] + tuple(max(n, 1) for n in shape)


def unary(values: Values) -> Draw:
    return lambda rng, shape: ([values(rng, shape)], {})


def binary(left: Values, right: Values) -> Draw:
    def draw(rng: Rng, shape: Shape) -> Arguments:
        return [left(rng, broadcasts_to(rng, shape)), right(rng, broadcasts_to(rng, shape))], {}

    return draw


def between(rng: Rng, shape: Shape) -> np.ndarray:
    """Numbers halfway between those of `distinct`."""
    return distinct(rng, shape) + 1 / 8


def some_axes(rng: Rng, shape: Shape) -> Any:
    """None, one axis counted from the front or from the back, or several."""
    if not shape or rng.random() < 0.3:
        return None
    axes = rng.permutation(len(shape))[: rng.integers(1, len(shape) + 1)]
    signed = tuple(int(a) - (len(shape) if rng.random() < 0.5 else 0) for a in axes)
    return signed[0] if rng.random() < 0.5 else signed


def wave(*shape: int) -> np.ndarray:
    """Numbers without a pattern, always the same ones."""
    numbers: np.ndarray = np.sin(np.arange(1.0, 1 + math.prod(shape)))
    return numbers.reshape(shape)
