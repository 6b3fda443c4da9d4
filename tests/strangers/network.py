"""What a network of the corpus is: somebody's forward and hand gradient, inputs in many sizes, mistakes to plant.

`slopes` holds a hand gradient against extrapolated differences of the plain forward, along random directions. It
shares nothing with the referee: what is called right or broken here is so whatever the referee says.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

WAYS = (None, None, None, "fft", "bytes")  # of `mathutil.detour`: two of five forwards cannot be recorded


@dataclass(frozen=True)
class Planted:
    """A mistake that `backward(slip=...)` makes, and what a diagnosis has to say of it.

    Attributes
    ----------
    slip : str
        The option of the network's gradient.
    what : str
        The mistake in plain words, for the table.
    named : tuple of str
        The first pattern names the mistake if its name or its text contains one of these.
    sizes : dict
        Bounds of sizes where those of the network would not show it.
    options : dict
        What `make` is given besides, likewise.
    """

    slip: str
    what: str
    named: tuple[str, ...]
    sizes: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Network:
    """Somebody's network.

    Attributes
    ----------
    name, family : str
        "LSTM: one array a gate", and "LSTM", "GRU", "RNN" or "attention".
    make : callable
        ``make(rng, **sizes, **options)``: the arguments of `forward` by name.
    forward, backward : callable
        As they are written: ``forward(**inputs)`` gives a loss, or a loss and a cache, and
        ``backward(**inputs, slip="")`` its gradient. If `layer` is true, ``forward(**inputs)`` gives outputs
        and a cache, and ``backward(dout, cache, slip="")`` gradients of the inputs.
    claims : callable
        ``claims(inputs, gradient)``: pairs of a parameter, as it stands in the inputs, and its hand gradient.
    sizes : dict of str to (int, int)
        The sizes of `make` between two bounds, both included.
    options : dict of str to tuple
        What else `make` takes, and what may be chosen: the first is the default.
    planted : tuple of Planted
        The mistakes.
    """

    name: str
    family: str
    make: Callable[..., Mapping[str, Any]]
    forward: Callable[..., Any]
    backward: Callable[..., Any]
    claims: Callable[[Any, Any], list[tuple[Any, Any]]]
    sizes: Mapping[str, tuple[int, int]]
    planted: tuple[Planted, ...]
    layer: bool = False
    steps: str = "T"
    options: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)

    def loss(self, inputs: Any, seed: int = 0) -> float:
        """The loss, by the plain forward; of a layer sum(out * R) with a seeded R."""
        value = self.forward(**copy.deepcopy(inputs))
        if self.layer:
            return float(np.sum(value[0] * _cotangent(value[0], seed)))
        return float(np.asarray(value[0] if isinstance(value, tuple) else value).reshape(()))

    def gradient(self, inputs: Any, slip: str = "", seed: int = 0) -> list[tuple[Any, np.ndarray]]:
        """Pairs of a parameter, as it stands in `inputs`, and the hand gradient of this loss."""
        given = copy.deepcopy(inputs)
        if self.layer:
            out, cache = self.forward(**given)
            result = self.backward(_cotangent(out, seed), cache, slip=slip)
        else:
            result = self.backward(**given, slip=slip)
        return [(p, np.array(g, dtype=np.float64)) for p, g in self.claims(inputs, result)]


def _cotangent(out: np.ndarray, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(np.shape(out))


def slopes(network: Network, inputs: Any, slip: str = "", seed: int = 0) -> list[tuple[float, float]]:
    """The slope of the loss by differences and by hand, along a random direction of each parameter."""
    rng = np.random.default_rng(seed)
    inputs = copy.deepcopy(inputs)
    found = []
    for parameter, g in network.gradient(inputs, slip, seed):
        start = np.array(parameter, dtype=np.float64)
        direction = rng.standard_normal(start.shape)

        def central(h: float, x: Any = parameter, start: Any = start, direction: Any = direction) -> float:
            values = []
            for t in (h, -h):
                write(x, start + t * direction)
                values.append(network.loss(inputs, seed))
            return (values[0] - values[1]) / (2 * h)

        one, two, three = central(4e-4), central(2e-4), central(1e-4)
        exact = (64 * three - 20 * two + one) / 45  # without the terms h^2 and h^4
        write(parameter, start)
        found.append((exact, float(np.sum(g * direction)) if g.shape == start.shape else np.nan))
    return found


def broken(network: Network, inputs: Any, slip: str) -> bool:
    """Whether a planted mistake moves the gradient of a parameter here by more than a hundredth."""
    pairs = zip(network.gradient(inputs), network.gradient(inputs, slip))
    return any(
        right.shape != wrong.shape or np.linalg.norm(wrong - right) > 1e-2 * np.linalg.norm(right)
        for (_, right), (_, wrong) in pairs
    )


def write(parameter: Any, values: np.ndarray) -> None:
    """Put values into an array or into a list of lists of numbers, in place."""
    if isinstance(parameter, np.ndarray):
        parameter[...] = values
    else:
        for i, value in enumerate(values):
            if np.ndim(value):
                write(parameter[i], value)
            else:
                parameter[i] = float(value)


def by_name(inputs: Any, result: Any) -> list[tuple[Any, Any]]:
    """The claims of a dict of gradients called "dW" or "W", of inputs or of what stands in one of their dicts."""
    flat = {}
    for name, value in inputs.items():
        flat.update(value if isinstance(value, dict) else {name: value})
    return [(flat[name if name in flat else name[1:]], g) for name, g in result.items()]


def in_order(*names: str) -> Callable[[Any, Any], list[tuple[Any, Any]]]:
    """The claims of a tuple of gradients, of the inputs of these names."""
    return lambda inputs, result: [(inputs[name], g) for name, g in zip(names, result)]
