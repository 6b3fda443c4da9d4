"""One point of somebody's network, in one form, whatever form its code came in."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

Convert: TypeAlias = Callable[[Any], Any]


def unchanged(x: Any) -> Any:
    """The conversion that leaves all code as it is."""
    return x


@dataclass(frozen=True)
class Problem:
    """A loss and a gradient of it that was derived by hand, at one point.

    Attributes
    ----------
    values : dict of str to ndarray
        The parameters that the hand gradient claims to know the gradient of, in float64.
    claimed : dict of str to ndarray
        The hand gradient, by the same names. The shapes are its own, which may be wrong.
    call : callable
        ``call(convert, values)``: the loss, one number or what stands for one, with these in the place of the
        parameters. Whatever is the user's, the forward and its other arguments, goes through `convert` first.
    forward, backward : callable
        The user's own functions, for their source.
    notes : tuple of str
        What was done to take the code as it is, such as "x was float32, and is taken as float64".
    """

    values: dict[str, np.ndarray]
    claimed: dict[str, np.ndarray]
    call: Callable[[Convert, Mapping[str, Any]], Any]
    forward: Callable[..., Any]
    backward: Callable[..., Any]
    notes: tuple[str, ...] = ()

    def loss(self, values: Mapping[str, np.ndarray]) -> Any:
        """The loss at these parameters, by the user's code as it is: a number, a complex one of complex values."""
        number = np.asarray(self.call(unchanged, {name: np.array(x) for name, x in values.items()}))
        if number.size != 1:
            raise ValueError(f"the forward returns one number, the loss, and here an array of {number.shape}")
        return number.reshape(())[()]


def problem_at(
    forward: Callable[..., Any], hand_gradient: Callable[..., Any], inputs: Mapping[str, Any]
) -> Problem:
    """The problem of a loss, its gradient, and inputs by name."""
    by_hand = hand_gradient(**copy.deepcopy(dict(inputs)))
    if not isinstance(by_hand, Mapping) or not by_hand:
        raise TypeError(
            f"the hand gradient returns a mapping of input names to gradients, and here {type(by_hand).__name__}"
        )
    unknown = [name for name in by_hand if name not in inputs]
    if unknown:
        raise ValueError(
            f"the hand gradient names {', '.join(unknown)}, and the inputs are {', '.join(inputs)}"
        )
    for name, g in by_hand.items():
        if np.asarray(inputs[name]).dtype != np.float64:
            raise TypeError(f"{name} is {np.asarray(inputs[name]).dtype}: the referee takes float64")
        if np.asarray(g).dtype.kind not in "fiu":
            raise TypeError(f"the hand gradient of {name} is no array of numbers, but {g!r}")

    def call(convert: Convert, values: Mapping[str, Any]) -> Any:
        others = copy.deepcopy({name: x for name, x in inputs.items() if name not in values})
        return convert(forward)(**{**{name: convert(x) for name, x in others.items()}, **values})

    return Problem(
        {name: np.asarray(inputs[name]) for name in by_hand},
        {name: np.asarray(g, dtype=np.float64) for name, g in by_hand.items()},
        call,
        forward,
        hand_gradient,
    )
