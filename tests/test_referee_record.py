"""Recording what people write: arrays that are written into as NumPy's are, and copies of code of every form."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_np.referee.answers import call
from tinygrad_np.referee.arrays import Number, Recorded, data_of
from tinygrad_np.referee.watch import Watch
from tinygrad_np.tensor import Tensor

# --- an array that is written into: side by side with NumPy's ------------------------------------------


def random_key(rng: random.Random, shape: tuple[int, ...], fancy: bool) -> Any:
    """An index of an array, with slices, numbers, new axes; or with arrays of places, or a mask."""
    if fancy and shape and 0 not in shape:
        if rng.random() < 0.4:
            return np.array([rng.random() < 0.5 for _ in range(int(np.prod(shape)))]).reshape(shape)
        places = [np.array([rng.randrange(n) for _ in range(3)]) for n in shape[: rng.randint(1, len(shape))]]
        return tuple(places) if rng.random() < 0.7 else places[0].tolist()
    parts: list[Any] = []
    for n in shape[: rng.randint(0, len(shape))]:
        kind = rng.random()
        if kind < 0.4 and n:
            parts.append(rng.randrange(-n, n))
        elif kind < 0.9:
            parts.append(
                slice(rng.choice([None, 0, 1, -2]), rng.choice([None, n, -1]), rng.choice([None, 1, 2, -1]))
            )
        else:
            parts += [None, slice(None)]
    if rng.random() < 0.2:
        parts.append(...)
    return tuple(parts) if len(parts) != 1 or rng.random() < 0.5 else parts[0]


def views(rng: random.Random, x: Any, np: Any) -> Any:
    """Something that NumPy answers with a view where it can."""
    choice = rng.randrange(9)
    if choice == 0:
        return x.T
    if choice == 1:
        return x.reshape(-1)
    if choice == 2:
        return np.ravel(x)
    if choice == 3 and x.ndim > 1:
        return np.swapaxes(x, 0, -1)
    if choice == 4 and x.ndim:
        return np.flip(x)
    if choice == 5 and x.ndim and x.shape[0] % 2 == 0:
        return np.split(x, 2)[1]
    if choice == 6:
        return np.atleast_2d(x)
    if choice == 7 and x.ndim > 1:
        return np.diagonal(x).T if rng.random() < 0.5 else x.reshape(x.shape[::-1], order="F")
    return np.squeeze(x)


def run(program: list[tuple[int, int, int, int]], arrays: list[Any], np: Any) -> list[Any]:
    """A program of reads and writes, the same for NumPy's arrays and for recorded ones."""
    arrays = list(arrays)
    for operation, i, j, seed in program:
        rng = random.Random(seed)
        x, other = arrays[i % len(arrays)], arrays[j % len(arrays)]
        can_be_written = isinstance(x, np.ndarray) and x.size and x.flags.writeable  # no number, no diagonal
        if operation == 0 or not can_be_written:
            arrays.append(x[random_key(rng, x.shape, False)])
        elif operation == 1:
            arrays.append(x[random_key(rng, x.shape, True)])
        elif operation == 2:
            arrays.append(views(rng, x, np))
        elif operation in (3, 4):  # written at an index
            key = random_key(rng, x.shape, operation == 4)
            room = np.shape(np.zeros(x.shape)[key])
            value = other if np.shape(other) == room else rng.choice([0.5, 2 * np.ravel(other)[:1].sum()])
            x[key] = value
        elif operation == 5:  # in place, of a view or of the whole
            factor = other if np.shape(other) == x.shape else 1.5
            if rng.random() < 0.3:
                x += factor
            elif rng.random() < 0.5:
                x -= 0.5 * factor
            else:
                x *= factor
        elif operation == 6:
            key = random_key(rng, x.shape, rng.random() < 0.5)
            x[key] += 1.25
        elif operation == 7:
            arrays.append(x.copy() if rng.random() < 0.5 else x * 2 if rng.random() < 0.5 else np.array(x))
        elif operation == 8:
            if np.shape(other) == x.shape:
                np.add(x, other, out=x)
            else:
                x.fill(0.75)
        elif x.ndim and x.shape[0]:
            np.add.at(x, [0, -1, 0], 0.5 * other.sum())
    return arrays


def recording(values: list[np.ndarray]) -> tuple[Watch, list[Any], Any]:
    """Recorded parameters, and the NumPy for them."""
    from tinygrad_np.referee.clones import Clones

    watch = Watch(call)
    return watch, [Recorded(watch, Tensor(x, requires_grad=True)) for x in values], Clones(watch).convert(np)


def total(arrays: list[Any]) -> Any:
    """A number that depends on every element in its own way."""
    result: Any = 0.0
    for k, x in enumerate(arrays):
        weights = np.cos(np.arange(np.size(data_of(x)), dtype=float) + k).reshape(np.shape(data_of(x)))
        result = result + (x * weights).sum()
    return result


steps = st.tuples(st.integers(0, 9), st.integers(0, 30), st.integers(0, 30), st.integers(0, 10**6))


@settings(max_examples=150, deadline=None)
@given(st.lists(steps, min_size=1, max_size=12))
def test_any_program_of_reads_views_and_writes_gives_what_numpy_gives(program: Any) -> None:
    rng = np.random.default_rng(0)
    values = [rng.standard_normal((3, 4)), rng.standard_normal(4), rng.standard_normal((2, 3, 2))]
    plain = run(program, [x.copy() for x in values], np)
    watch, parameters, stand_in = recording(values)
    leaves = [p.tensor for p in parameters]
    recorded = run(program, parameters, stand_in)
    for mine, numpys in zip(recorded, plain, strict=True):
        assert mine.shape == np.shape(numpys)
        np.testing.assert_allclose(data_of(mine), numpys, rtol=1e-12, atol=1e-12)
    loss = total(recorded)
    assert not watch.doubts
    if not isinstance(loss, Number):
        return
    loss.tensor.backward()
    for k, x in enumerate(values):  # the complex step of the same program on plain arrays
        direction = np.random.default_rng(k).standard_normal(x.shape)
        moved = [y.astype(complex) for y in values]
        moved[k] += 1e-30j * direction
        expected = total(run(program, moved, np)).imag / 1e-30
        grad = leaves[k].grad
        found = 0.0 if grad is None else (grad * direction).sum()
        assert found == pytest.approx(expected, rel=1e-11, abs=1e-11)
