"""Cases: inputs that can be made in many sizes, and a search through them."""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tinygrad_np.extras import import_optional


@dataclass(frozen=True)
class Case:
    """Inputs that can be made in many sizes: ``make(rng, **sizes)`` with a seeded generator, or without `rng`.

    A case of a search knows the `bounds` of its sizes.
    """

    make: Callable[..., Any]
    sizes: Mapping[str, int]
    seed: int = 0
    bounds: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def inputs(self) -> Any:
        """What `make` makes of the sizes and a seeded generator, or of the seed if it asks for that, or of neither.

        Then it may draw from the global generators of NumPy and Python, which are seeded for it and put back.
        """
        others = [p for name, p in inspect.signature(self.make).parameters.items() if name not in self.sizes]
        if any(p.name == "seed" for p in others):
            return self.make(seed=self.seed, **self.sizes)
        if any(p.name == "rng" or (p.default is p.empty and p.kind is not p.VAR_KEYWORD) for p in others):
            return self.make(np.random.default_rng(self.seed), **self.sizes)
        # ruff: noqa: NPY002
        before, before_of_python = np.random.get_state(), random.getstate()
        np.random.seed(self.seed)
        random.seed(self.seed)
        try:
            return self.make(**self.sizes)
        finally:
            np.random.set_state(before)
            random.setstate(before_of_python)

    def resized(self, **sizes: int) -> Case:
        """The same in other sizes."""
        return replace(self, sizes={**self.sizes, **sizes})

    def __str__(self) -> str:
        return ", ".join([*(f"{name}={size}" for name, size in self.sizes.items()), f"seed {self.seed}"])


def cases(make: Callable[..., Any], /, **sizes: int | tuple[int, int]) -> Any:
    """Cases for the referee: ``make(rng, **sizes)`` with each size between two bounds, both included, or fixed.

    A hypothesis strategy (extra ``test``), which shrinks towards the lower bounds, and names the sizes of what it
    found. `make` may do without `rng`.
    """
    st = import_optional("hypothesis.strategies")
    bounds = {name: (size, size) if isinstance(size, int) else size for name, size in sizes.items()}
    return st.builds(
        lambda chosen, seed: Case(make, chosen, seed, bounds),
        st.fixed_dictionaries({name: st.integers(low, high) for name, (low, high) in bounds.items()}),
        st.integers(0, 1000),
    )
