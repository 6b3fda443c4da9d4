"""How far off could a figure be? Intervals of 95 %, found by drawing the texts again, with replacement.

Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapters 13 and 14.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

DRAWS = 1000
TAILS = (0.025, 0.975)


class Interval(NamedTuple):
    """A figure, and between which two it could be."""

    value: float
    low: float
    high: float


def bootstrap(
    statistic: Callable[[np.ndarray], float], n: int, rng: np.random.Generator, block: int = 1
) -> np.ndarray:
    """The statistic of `DRAWS` samples, each of n rows out of n, (DRAWS,); it is called with their indices.

    Where neighbouring rows depend on each other, `block` of them are drawn together; the first follows the last.
    """
    places = np.arange(block)
    found = []
    for _ in range(DRAWS):
        starts = rng.integers(n, size=-(-n // block))
        found.append(statistic((starts[:, np.newaxis] + places).ravel()[:n] % n))
    return np.array(found)


def mean_interval(values: np.ndarray, rng: np.random.Generator, block: int = 1) -> Interval:
    """The mean of values (texts,), between the percentiles of the means of samples; NaN where there is none."""
    if len(values) == 0:
        return Interval(np.nan, np.nan, np.nan)
    means = bootstrap(lambda rows: float(values[rows].mean()), len(values), rng, block)
    low, high = np.quantile(means, TAILS)
    return Interval(float(values.mean()), float(low), float(high))


def share_interval(hits: np.ndarray, rng: np.random.Generator, block: int = 1) -> Interval:
    """The share of hits (texts,) of booleans; NaN where there is none.

    Where all are hits, or none is, every sample says the same, as if few texts could prove that. There the exact
    bound of the binomial distribution (Clopper and Pearson 1934) takes the place: of n hits in n, the smallest
    share of which such a run is still as likely as a tail. A block counts as one of n.
    """
    if len(hits) and hits.all():
        return Interval(1.0, TAILS[0] ** (block / len(hits)), 1.0)
    if len(hits) and not hits.any():
        return Interval(0.0, 0.0, 1 - TAILS[0] ** (block / len(hits)))
    return mean_interval(hits.astype(np.float64), rng, block)
