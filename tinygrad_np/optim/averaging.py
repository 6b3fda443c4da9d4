"""Averages of weights: the mean of the last steps is often better than the last."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from tinygrad_np.tensor import Tensor


class ExponentialMovingAverage:
    """A mean of weights over steps, in which older ones fade (Polyak and Juditsky, 1992, with weights that fall).

    The first update takes the weights as they are; each later one is average = decay average + (1 - decay) weights.

    Parameters
    ----------
    parameters : iterable of Tensor, or of (str, Tensor)
        ``layer.parameters()``; or ``layer.named_tensors()``, to average what is saved and not trained too.
    decay : float
        The share of the average that is kept at each update, from 0 to below 1.
    ramp : bool
        Keep less at first, min(decay, (1 + n) / (10 + n)) at the update after n others, so that the average soon
        forgets the initial weights.

    Attributes
    ----------
    averages : list of ndarray
        Of each parameter, in its dtype; the weights themselves before the first update.
    updates : int
        How many there were.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor] | Iterable[tuple[str, Tensor]],
        decay: float = 0.999,
        *,
        ramp: bool = False,
    ):
        if not 0 <= decay < 1:
            raise ValueError(f"ExponentialMovingAverage takes a decay from 0 to below 1, not {decay!r}")
        given: list[Any] = list(parameters)
        self.parameters: list[Tensor] = [p[1] if isinstance(p, tuple) else p for p in given]
        for p in self.parameters:
            if not isinstance(p, Tensor):
                raise TypeError(
                    f"ExponentialMovingAverage takes Tensors, such as layer.parameters(), not {p!r}"
                )
        self.decay, self.ramp = decay, ramp
        self.averages = [p.data.copy() for p in self.parameters]
        self.updates = 0
        self.in_use = False

    def update(self) -> None:
        """Take the weights into the averages: after each step of the optimizer."""
        self._check_not_in_use("update")
        decay = self.decay if self.updates else 0.0
        if self.ramp:
            decay = min(decay, (1 + self.updates) / (10 + self.updates))
        for average, p in zip(self.averages, self.parameters, strict=True):
            if average.dtype.kind in "fc":
                average *= decay
                average += (1 - decay) * p.data
            else:
                average[...] = p.data  # a count
        self.updates += 1

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Let the parameters have the averages inside of a ``with``, to evaluate or save them."""
        self._check_not_in_use("applied")
        self.in_use = True
        self._swap()
        try:
            yield
        finally:
            self._swap()
            self.in_use = False

    def _swap(self) -> None:
        for i, p in enumerate(self.parameters):
            p.data, self.averages[i] = self.averages[i], p.data

    def _check_not_in_use(self, what: str) -> None:
        if self.in_use:
            raise RuntimeError(f"{what}: inside of applied() the parameters are the averages; leave it first")

    def state_dict(self) -> dict[str, Any]:
        """A copy of the averages, and the number of updates."""
        self._check_not_in_use("state_dict")
        averages = {f"averages.{i}": average.copy() for i, average in enumerate(self.averages)}
        return {"updates": self.updates, **averages}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state_dict`.

        Raises
        ------
        ValueError
            It is of other parameters: all that does not fit is listed, and nothing is loaded.
        """
        self._check_not_in_use("load_state_dict")
        wanted = {"updates": (), **{f"averages.{i}": p.shape for i, p in enumerate(self.parameters)}}
        problems = [f"missing {name}" for name in wanted if name not in state]
        problems += [f"unexpected {name}" for name in state if name not in wanted]
        problems += [
            f"{name} is {np.shape(state[name])} and should be {shape}"
            for name, shape in wanted.items()
            if name in state and np.shape(state[name]) != shape
        ]
        if problems:
            raise ValueError(f"the state does not fit ExponentialMovingAverage: {'; '.join(problems)}")
        self.updates = int(state["updates"])
        self.averages = [np.array(state[f"averages.{i}"], p.dtype) for i, p in enumerate(self.parameters)]

    def __repr__(self) -> str:
        ramp = ", ramp=True" if self.ramp else ""
        return f"ExponentialMovingAverage({len(self.parameters)} parameters, decay={self.decay}{ramp})"
