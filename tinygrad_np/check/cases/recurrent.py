"""Rows of the fused LSTM and GRU, whose references are their equations, number by number."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from tinygrad_np import functional
from tinygrad_np.check.draw import Arguments, Draw, Rng, Shape, real, wave
from tinygrad_np.check.rows import Op


def logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def plain_lstm_step(
    from_x: list[float], from_h: list[float], h: list[float], c: list[float]
) -> tuple[list[float], ...]:
    """One step for one sequence, from what its gates i, f, g, o are sent by x and by h."""
    hidden = len(h)
    i, f, g, o = (
        [from_x[row] + from_h[row] for row in range(k * hidden, (k + 1) * hidden)] for k in range(4)
    )
    c = [logistic(f[k]) * c[k] + logistic(i[k]) * math.tanh(g[k]) for k in range(hidden)]
    return [logistic(o[k]) * math.tanh(c[k]) for k in range(hidden)], c


def plain_gru_step(from_x: list[float], from_h: list[float], h: list[float]) -> tuple[list[float], ...]:
    """One step for one sequence, from what its gates r, z, n are sent by x and by h."""
    hidden = len(h)
    new = []
    for k in range(hidden):
        r = logistic(from_x[k] + from_h[k])
        z = logistic(from_x[hidden + k] + from_h[hidden + k])
        n = math.tanh(from_x[2 * hidden + k] + r * from_h[2 * hidden + k])
        new.append((1 - z) * n + z * h[k])
    return (new,)


def affine(weight: np.ndarray, bias: np.ndarray, vector: Any) -> list[float]:
    return [
        sum(w * v for w, v in zip(row, vector, strict=True)) + b for row, b in zip(weight, bias, strict=True)
    ]


def plain(
    step: Callable[..., Any],
    x: np.ndarray,
    *arrays: np.ndarray,
    lengths: Any = None,
    reverse: bool = False,
    indices: Any = None,
) -> tuple[np.ndarray, ...]:
    """A recurrent layer in one direction, for one sequence after the other; each is cut to its length first."""
    *states, weight_ih, weight_hh, bias_ih, bias_hh = arrays
    x = x if indices is None else x[indices]
    batch, time, _ = x.shape
    out = np.zeros((batch, time, weight_hh.shape[1]))
    last = np.array(states)
    for b in range(batch):
        times = list(range(time if lengths is None else lengths[b]))
        for t in times[::-1] if reverse else times:
            state = [list(s) for s in last[:, b]]
            from_x, from_h = affine(weight_ih, bias_ih, x[b, t]), affine(weight_hh, bias_hh, state[0])
            last[:, b] = step(from_x, from_h, *state)
            out[b, t] = last[0, b]
    return out, *last


plain_lstm, plain_gru = partial(plain, plain_lstm_step), partial(plain, plain_gru_step)


def sequences(states: int, gates: int) -> Draw:
    """A small recurrent layer: inputs, so many initial states, weights; lengths in any order, or none."""

    def draw(rng: Rng, shape: Shape) -> Arguments:
        batch, time, features = (int(n) for n in rng.integers(0, 4, 3))
        hidden = int(rng.integers(1, 4))
        rows = gates * hidden
        weights = [(rows, features), (rows, hidden), (rows,), (rows,)]
        lengths = rng.integers(0, time + 1, batch) if rng.random() < 0.7 else None
        arrays = [real(rng, s) for s in ((batch, time, features), *[(batch, hidden)] * states, *weights)]
        static = {"lengths": lengths, "reverse": bool(rng.random() < 0.5)}
        if rng.random() < 0.3:
            arrays[0] = real(rng, (5, features))
            static["indices"] = rng.integers(0, 5, (batch, time))
        return arrays, static

    return draw


def one_unit(states: int, gates: int, batch: int, time: int) -> list[np.ndarray]:
    """Inputs, initial states and weights of a layer with one hidden unit."""
    weights = [(gates, 2), (gates, 1), (gates,), (gates,)]
    return [wave(*shape) for shape in ((batch, time, 2), *[(batch, 1)] * states, *weights)]


def fixed_cases(states: int, gates: int) -> list[Arguments]:
    """Of one unit: more sequences than mutation testing lets a chunk have rows, and more steps."""
    several = one_unit(states, gates, 5, 3), {"lengths": np.array([2, 3, 2, 3, 2])}
    return [several, (one_unit(states, gates, 1, 9), {})]


def one_step(rng: Rng, shape: Shape) -> Arguments:
    hidden = int(rng.integers(1, 4))
    return [real(rng, (*shape, 4 * hidden)), real(rng, (*shape, hidden))], {}


def lstm_step_reference(gates: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    hidden = c.shape[-1]
    rows = [
        plain_lstm_step(list(gate), [0.0] * 4 * hidden, [0.0] * hidden, list(state))
        for gate, state in zip(gates.reshape(-1, 4 * hidden), c.reshape(-1, hidden), strict=True)
    ]
    h_new, c_new = (np.array([row[k] for row in rows]).reshape(c.shape) for k in range(2))
    return h_new, c_new


RECURRENT = {  # PyTorch's are compared as layers
    "lstm": Op(
        sequences(states=2, gates=4),
        reference=plain_lstm,
        torch=None,
        more=fixed_cases(states=2, gates=4),
    ),
    "gru": Op(
        sequences(states=1, gates=3),
        reference=plain_gru,
        torch=None,
        more=fixed_cases(states=1, gates=3),
    ),
    "lstm_step": Op(one_step, reference=lstm_step_reference, torch=None, function=functional.lstm_step),
}
