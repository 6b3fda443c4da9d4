"""Hypothesis strategies: shapes, arguments for primitives in every memory layout, cases for the referee.

Needs hypothesis, which only this module imports: ``pip install tinygrad_np[test]``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from tinygrad_np.check.cases import OPS
from tinygrad_np.referee.intake.cases import cases

__all__ = ["arguments", "cases", "generators", "laid_out", "shapes"]


def shapes(max_ndim: int = 3, max_length: int = 3) -> st.SearchStrategy[tuple[int, ...]]:
    """Shapes with lengths from 0; hypothesis shrinks them towards ``()``."""
    return st.lists(st.integers(0, max_length), max_size=max_ndim).map(tuple)


def generators() -> st.SearchStrategy[np.random.Generator]:
    """Seeded NumPy generators."""
    return st.integers(0, 2**32 - 1).map(np.random.default_rng)


def laid_out(x: np.ndarray, layout: str) -> np.ndarray:
    """The same numbers: contiguous, column by column ("F"), backwards in memory, or every second element."""
    if layout == "F":
        return np.array(x, order="F")
    if layout == "reversed":
        return np.flip(np.flip(x).copy())
    if layout == "strided":
        return np.repeat(x[..., np.newaxis], 2, axis=-1)[..., 0]
    return x


@st.composite
def arguments(draw: st.DrawFn, name: str) -> tuple[list[np.ndarray], dict[str, Any]]:
    """Arrays and static parameters for a primitive, in any layout."""
    arrays, static = OPS[name].draw(draw(generators()), draw(shapes()))
    layout = draw(st.sampled_from(["C", "F", "reversed", "strided"]))
    return [laid_out(x, layout) for x in arrays], static
