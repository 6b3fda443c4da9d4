"""Recording what people write: arrays that are written into as NumPy's are, and copies of code of every form."""

from __future__ import annotations

import array
import copy
import inspect
import json
import math
import random
import re
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import recorded_code
from tests.strangers import NETWORKS
from tests.strangers.idioms import IDIOMS
from tests.strangers.network import Network
from tinygrad_np.backward import toposort
from tinygrad_np.referee.intake.problem import Problem
from tinygrad_np.referee.recording.answers import call
from tinygrad_np.referee.recording.arrays import Number, Recorded, data_of
from tinygrad_np.referee.recording.recorded import CannotRecord, Record, record
from tinygrad_np.referee.recording.watch import Watch
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
    choice = rng.randrange(11)
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
    if choice == 8:
        return np.ascontiguousarray(x.T)
    if choice == 9:
        return np.asfortranarray(x)
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
            copies = [x.copy, (x * 2).T.ravel, x.flatten, (x.T + 1).copy, lambda x=x: np.array(x)]
            arrays.append(rng.choice(copies)())
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
    from tinygrad_np.referee.recording.clones import Clones

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


def test_what_was_written_is_read_as_it_was_written() -> None:
    _, (w,), np_ = recording([np.ones(3)])
    h = np_.zeros((4, 3))
    v = w * 2
    h[1] = v
    assert h[1].tensor is v.tensor  # no scatter, and no gather
    assert [part.node.name for part in (h[:3].tensor, h[1:2].tensor, h[:, 0].tensor)] == [
        "concatenate",  # of zeros, v, and zeros
        "reshape",
        "concatenate",
    ]
    h[0] = h[2] = h[3] = v
    assert h.tensor.node.name == "stack"
    view, u = h[1], w + 1
    h[1] = u
    assert view.tensor is u.tensor
    h[:] = 0
    assert h.tensor.node is None


def test_a_scalar_is_a_value() -> None:
    _, (w,), _ = recording([np.ones(3)])
    total = w.sum()
    view, same = total.reshape(1), total
    view[0] = 7
    same += 1
    assert (float(data_of(total)), float(data_of(same))) == (3, 4)


# --- code -----------------------------------------------------------------------------------------------


def problem_of(loss: Callable[..., Any], *points: np.ndarray) -> Problem:
    """A loss of arrays, in their order."""
    values = {f"w{i}": x for i, x in enumerate(points)}
    return Problem(
        values, values, lambda convert, given: convert(loss)(*(given[name] for name in values)), loss, loss
    )


POINT = np.array([0.9, 0.4, 1.3])


def by_differences(loss: Callable[..., Any], point: np.ndarray) -> np.ndarray:
    """The gradient by extrapolated central differences."""
    gradient = np.zeros(point.shape)

    def value(index: Any, h: float) -> float:
        x = point.copy()
        x[index] += h
        return float(np.asarray(loss(x)).reshape(()))

    for index in np.ndindex(point.shape):
        one, two, three = ((value(index, h) - value(index, -h)) / (2 * h) for h in (1e-3, 5e-4, 2.5e-4))
        gradient[index] = (64 * three - 20 * two + one) / 45
    return gradient


def recorded_gradient(loss: Callable[..., Any], point: np.ndarray = POINT) -> tuple[Record, np.ndarray]:
    record_ = record(problem_of(loss, point.copy()))
    record_.loss.backward()
    return record_, record_.parameters["w0"].grad


@pytest.mark.parametrize("loss", recorded_code.CODE, ids=lambda loss: loss.__name__)
def test_code_of_every_form_is_recorded(loss: Any) -> None:
    recorded, gradient = recorded_gradient(loss)
    if loss.__name__ == "globals_written":  # as it is, it is another function with every call
        np.testing.assert_array_equal(gradient, [1, 1, 1])
        return
    assert recorded.loss.item() == pytest.approx(float(np.asarray(loss(POINT.copy())).reshape(())), rel=1e-3)
    if not recorded.notes:  # else the values are rounded
        np.testing.assert_allclose(gradient, by_differences(loss, POINT), rtol=1e-7, atol=1e-8)


NOT_RECORDED = {
    "complex_numbers": "complex numbers have no gradient",
    "matrices": "asmatrix",
    "fourier": "np.fft.fft has no rule (idioms.py:",
    "bytes_and_back": "ndarray.tobytes has no rule (idioms.py:",
}


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
@pytest.mark.parametrize("loss", IDIOMS, ids=lambda loss: loss.__name__)
def test_the_idioms_of_numpy_are_recorded(loss: Any) -> None:
    x, W = (
        np.random.default_rng(6).uniform(0.3, 1.0, (2, 4)),
        np.random.default_rng(5).uniform(0.3, 1.2, (4, 3)),
    )

    def of_W(W: Any) -> Any:
        return loss(POINT * 1.0, W, x * 1.0)

    if loss.__name__ in NOT_RECORDED:
        with pytest.raises(CannotRecord, match=re.escape(NOT_RECORDED[loss.__name__])):
            record(problem_of(lambda w, W: loss(w, W, x), POINT, W))
        return
    recorded = record(problem_of(lambda w, W: loss(w, W, x * 1.0), POINT, W))
    recorded.loss.backward()
    for name, expected in (
        ("w0", by_differences(lambda w: loss(w, W * 1.0, x * 1.0), POINT)),
        ("w1", by_differences(of_W, W)),
    ):
        grad = recorded.parameters[name].grad
        np.testing.assert_allclose(0 if grad is None else grad, expected, rtol=1e-6, atol=1e-7)


def substituted(x: Any, by: dict[int, Any]) -> Any:
    """Inputs with recorded arrays in the place of some, which are told by their id."""
    if id(x) in by:
        return by[id(x)] if isinstance(x, np.ndarray) else by[id(x)].tolist()
    if isinstance(x, dict):
        return {key: substituted(value, by) for key, value in x.items()}
    if isinstance(x, list | tuple):
        return type(x)(substituted(part, by) for part in x)
    if type(x).__module__.startswith("tests."):
        new = copy.copy(x)
        for key, value in vars(x).items():
            setattr(new, key, substituted(value, by))
        return new
    return x


def problem_of_network(network: Network, inputs: Any) -> Problem:
    pairs = network.gradient(inputs)
    names = {f"parameter {i}": p for i, (p, _) in enumerate(pairs)}

    def call_it(convert: Any, values: Any) -> Any:
        given = substituted(inputs, {id(names[name]): value for name, value in values.items()})
        result = convert(network.forward)(**{key: convert(x) for key, x in given.items()})
        if network.layer:
            return np.sum(result[0] * np.random.default_rng(0).standard_normal(result[0].shape))
        return result[0] if isinstance(result, tuple) else result

    values = {name: np.array(p, dtype=float) for name, p in names.items()}
    hand = {name: g for name, (_, g) in zip(names, pairs, strict=True)}
    return Problem(values, hand, call_it, network.forward, network.backward)


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: f"{network.family}: {network.name}")
def test_whole_networks_in_the_styles_of_strangers_are_recorded_to_rounding(network: Network) -> None:
    rng = np.random.default_rng(1)
    epsilon = (
        1e-6 if "eps" in network.options else 1e-13
    )  # one inside of a logarithm, which the hand leaves out
    for _ in range(3):
        sizes = {name: int(rng.integers(low, high + 1)) for name, (low, high) in network.sizes.items()}
        problem = problem_of_network(network, network.make(rng, **sizes))
        recorded = record(problem)
        assert recorded.loss.item() == pytest.approx(problem.loss(problem.values), rel=1e-12)
        assert (recorded.notes, recorded.doubts) == ((), ())
        recorded.loss.backward()
        for name, hand in problem.claimed.items():
            grad = recorded.parameters[name].grad
            scale = max(float(np.linalg.norm(hand)), 1e-12)
            assert np.linalg.norm((0 if grad is None else grad) - hand) <= epsilon * scale + 1e-14


def names_of(recorded: Record) -> Counter[str]:
    return Counter(node.name for node in toposort(recorded.loss.node))


class Gates:
    """An LSTM with one array a gate, and buffers."""

    def __init__(self, hidden: int):
        self.hidden = hidden

    def sigmoid(self, x: Any) -> Any:
        return 1 / (1 + np.exp(-x))

    def forward(self, x: Any, W: Any, U: Any, b: Any) -> Any:
        T, H = len(x), self.hidden
        self.h, self.c = np.zeros((T + 1, H)), np.zeros((T + 1, H))
        for t in range(T):
            z = [np.dot(W[k], x[t]) + np.dot(U[k], self.h[t - 1]) + b[k] for k in range(4)]
            i, f, o = (self.sigmoid(z[k]) for k in range(3))
            self.c[t] = f * self.c[t - 1] + i * np.tanh(z[3])
            self.h[t] = o * np.tanh(self.c[t])
        return np.sum(self.h[:T] ** 2)


def gates(T: int, H: int) -> tuple[Gates, np.ndarray, Problem]:
    rng = np.random.default_rng(0)
    network, x = Gates(H), rng.standard_normal((T, 5))
    shapes = {"W": (4, H, 5), "U": (4, H, H), "b": (4, H)}
    values = {name: rng.standard_normal(shape) / 3 for name, shape in shapes.items()}
    problem = Problem(
        values, values, lambda c, v: c(network.forward)(c(x), **v), network.forward, network.forward
    )
    return network, x, problem


def test_buffers_leave_no_trace_in_the_record() -> None:
    network, _, problem = gates(4, 3)
    names = names_of(record(problem))
    assert names["sigmoid"] == 12  # written out as 1 / (1 + np.exp(-x))
    assert names["tanh"] == 8
    assert names["stack"] + names["concatenate"] == 1  # h, read as a whole for the loss
    assert not {"set_at", "zeros_at", "exp", "divide"} & set(names)
    assert vars(network) == {"hidden": 3}  # the buffers were those of the copy


def test_an_lstm_is_recorded_in_a_moment() -> None:
    _, _, problem = gates(20, 32)
    times = []
    for _ in range(5):
        start = time.perf_counter()
        record(problem)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.5  # 40 ms on a machine with nothing else to do


def test_with_trace_each_op_knows_the_lines_that_made_it_and_can_be_run_again() -> None:
    _, _, problem = gates(2, 2)
    recorded = record(problem, trace=True)
    lines, first = inspect.getsourcelines(Gates)
    for node in toposort(recorded.loss.node):
        if node.name == "leaf":
            assert node.number not in recorded.sites
            continue
        assert node.replay is not None
        stack = recorded.sites[node.number]
        assert next(code.co_name for code, _ in stack) in ("<lambda>", "forward")
        code, instruction = stack[-1]
        line = list(code.co_positions())[instruction // 2][0]
        assert line is not None
        text = lines[line - first]
        wanted = {"sigmoid": "np.exp(-x)", "tanh": "np.tanh", "matmul": "np.dot", "sum": "np.sum"}
        assert wanted.get(node.name, "") in text, (node.name, text)


def test_other_formulas_of_activations_are_known() -> None:
    def written_out(w: Any) -> Any:
        stable = np.where(w > 1, 1 / (1 + np.exp(-w)), np.exp(w) / (1 + np.exp(w)))
        clipped = 1.0 / (1.0 + np.exp(-np.clip(w, -500, 500)))
        tanh = (np.exp(w) - np.exp(-w)) / (np.exp(w) + np.exp(-w))
        return np.sum(stable * clipped * tanh * (1 + np.exp(-w)) ** -1)

    names = names_of(record(problem_of(written_out, POINT)))
    assert (names["sigmoid"], names["tanh"]) == (3, 1)
    assert not {"exp", "where", "divide"} & set(names)
    np.testing.assert_allclose(
        recorded_gradient(written_out)[1], by_differences(written_out, POINT), rtol=1e-8
    )
    # another function of the same parts is none of them
    other = record(
        problem_of(lambda w: np.sum(1 / (1 + 2 * np.exp(-w)) + np.exp(w) / (2 + np.exp(w))), POINT)
    )
    assert names_of(other)["sigmoid"] == 0
    # where it overflows as it is written, so does the record
    far = record(problem_of(lambda w: np.sum(np.exp(w) / (1 + np.exp(w))), np.array([800.0])))
    assert np.isnan(far.loss.item())


# --- what is not touched --------------------------------------------------------------------------------


def test_nothing_of_the_users_or_of_numpys_is_touched() -> None:
    before = dict(vars(recorded_code))
    state = recorded_code.GL, recorded_code.GL.b.copy(), dict(recorded_code.GL.cache)
    numpys = dict(vars(np))
    counter, history = recorded_code.counter, list(recorded_code.hist)
    for loss in recorded_code.CODE:
        if loss.__name__ != "rngs":  # which sets the seed of NumPy's global generator, as it does unrecorded
            record(problem_of(loss, POINT))
    assert {name: id(x) for name, x in vars(recorded_code).items()} == {n: id(x) for n, x in before.items()}
    assert recorded_code.GL is state[0]
    np.testing.assert_array_equal(recorded_code.GL.b, state[1])
    assert recorded_code.GL.cache.keys() == state[2].keys()
    assert (recorded_code.counter, recorded_code.hist) == (counter, history)
    assert dict(vars(np)) == numpys
    assert recorded_code.Layer.count == recorded_code.Layer.count
    assert type(np.zeros(2)) is np.ndarray


def test_a_random_generator_is_where_it_was_and_what_nobody_wrote_is_not_read_in_silence() -> None:
    generator = np.random.default_rng(3)
    before = generator.bit_generator.state
    record(problem_of(lambda w: (w * generator.standard_normal(3)).sum(), POINT))
    assert generator.bit_generator.state == before
    unwritten = record(problem_of(lambda w: w.sum() + np.empty(3)[0], POINT))
    assert np.isnan(unwritten.loss.item())


def test_another_thread_may_use_numpy_meanwhile() -> None:
    _, _, problem = gates(10, 4)
    stop, faults = threading.Event(), []

    def other() -> None:
        while not stop.is_set():
            h = np.zeros((3, 4))
            h[1] = np.tanh(recorded_code.SCALE[0])
            if type(h) is not np.ndarray or type(np.exp(h).sum()) is not np.float64:
                faults.append(h)

    thread = threading.Thread(target=other)
    thread.start()
    losses = {record(problem).loss.item() for _ in range(8)}
    stop.set()
    thread.join()
    assert not faults
    assert len(losses) == 1


def test_two_records_at_once_do_not_mix() -> None:
    _, _, problem = gates(6, 4)
    expected = record(problem).loss.item()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: record(problem), range(12)))
    assert {r.loss.item() for r in found} == {expected}
    nodes = [{n.number for n in toposort(r.loss.node)} for r in found]
    assert not set.intersection(*nodes)


# --- what is told ---------------------------------------------------------------------------------------


def line_of(function: Any, text: str) -> str:
    lines, first = inspect.getsourcelines(function)
    return f"test_referee_record.py:{first + next(i for i, line in enumerate(lines) if text in line)}"


def test_float32_is_taken_as_float64_and_told_with_its_place() -> None:
    table = np.ones(3, np.float32) / 3

    def loss(w: Any) -> Any:
        h = np.zeros(3, dtype="f")
        h[:] = np.tanh(w)
        return (h * table).sum() + w.astype(np.float32)[0]

    recorded, gradient = recorded_gradient(loss)
    at = line_of(loss, 'dtype="f"')
    assert f"float32 at {at} (dtype='f') was taken as float64" in recorded.notes
    assert any("float32 at " + line_of(loss, "astype") in note for note in recorded.notes)
    assert any("float32" in note and "(3,)" in note for note in recorded.notes)  # table
    np.testing.assert_allclose(
        gradient, (1 - np.tanh(POINT) ** 2) * np.float64(np.float32(1) / 3) + [1, 0, 0], rtol=1e-14
    )


@pytest.mark.parametrize(
    ("loss", "doubt", "text"),
    [
        (lambda w: np.sum(np.round(w, 2) + w), "np.round at {} rounds what has a gradient", "np.round"),
        (lambda w: w.sum() + int(w[0]), "int() at {} cuts off what has a gradient", "int(w"),
        (lambda w: (w.astype(int) * w).sum(), "astype(int64) at {} cuts off what has a gradient", "astype"),
        (lambda w: np.sum(np.floor(w) + w), "np.floor at {} rounds what has a gradient", "np.floor"),
        (lambda w: round(w[0], 3) + w.sum(), "np.round at {} rounds what has a gradient", "round(w"),
    ],
)
def test_rounding_is_doubted_with_its_place(loss: Any, doubt: str, text: str) -> None:
    recorded = record(problem_of(loss, POINT))
    found = "; ".join(recorded.doubts)
    line = loss.__code__.co_firstlineno
    assert doubt.format(f"test_referee_record.py:{line}") in found
    assert recorded.loss.item() == pytest.approx(loss(POINT), rel=1e-15)


def test_what_is_rounded_beside_the_loss_is_no_doubt() -> None:
    def loss(w: Any) -> Any:
        accuracy = np.mean(np.round(w) == 1)
        assert 0 <= accuracy <= 1
        return np.sum(w * w)

    assert record(problem_of(loss, POINT)).doubts == ()


def test_an_int_array_truncates_and_is_doubted() -> None:
    def loss(w: Any) -> Any:
        h = np.array([0, 0, 0])
        h[:] = w * 10
        k = np.zeros(3, dtype=int)
        k[0] = w[0] * 100
        return h.sum() + k.sum() + w.sum()

    recorded = record(problem_of(loss, POINT))
    assert recorded.loss.item() == loss(POINT)
    assert [doubt.rpartition(" truncates")[0] for doubt in recorded.doubts] == [
        f"an array of int64 at {line_of(loss, 'h[:]')}",
        f"an array of int64 at {line_of(loss, 'k[0]')}",
    ]


def fails_when_recorded(w: Any) -> Any:
    return w.sum() * float(json.dumps(w[0]))  # a library that looks for floats


@pytest.mark.parametrize(
    ("loss", "why"),
    [
        (lambda w: np.abs(np.fft.fft(w)[1]), "np.fft.fft has no rule (test_referee_record.py:{})"),
        (lambda w: np.unique(w).sum(), "np.unique has no rule (test_referee_record.py:{})"),
        (lambda w: math.gamma(w[0]), "math.gamma has no rule (test_referee_record.py:{})"),
        (lambda w: np.sum(np.ones(3)), "the loss depends on none of w0"),
        (lambda w: statistics.fmean(w), "a plain float is made of a number that has a gradient"),
        (lambda w: np.random.default_rng(0).normal(w).sum(), "np.random.normal of what has a gradient"),
        (lambda w: swallows(w), "np.unique has no rule (test_referee_record.py:"),
        (lambda w: np.asarray(array.array("d", [1.0, *w])).sum(), "a plain float is made of a number"),
        (
            fails_when_recorded,
            "TypeError: Object of type float64 is not JSON serializable (test_referee_record.py:",
        ),
    ],
)
def test_what_cannot_be_recorded_says_why_and_where(loss: Any, why: str) -> None:
    with pytest.raises(CannotRecord) as error:
        record(problem_of(loss, POINT))
    assert str(error.value).startswith(why.format(loss.__code__.co_firstlineno))


def swallows(w: Any) -> Any:
    try:
        return np.unique(w).sum()
    except Exception:
        return w.sum()  # another loss than the plain one


def test_shown_numbers_lose_nothing() -> None:
    def loss(w: Any) -> Any:
        shown = f"{w[0]:.3f} {w}", "%.2f %s %d" % (w[0], w, w[1]), str(w), repr(w[0]), f"{w[0]:.2e}"  # noqa: UP031
        assert shown[0].startswith("0.900 [0.9")
        assert shown[1] == f"0.90 {w} 0"
        return w.sum()

    recorded, gradient = recorded_gradient(loss)
    np.testing.assert_array_equal(gradient, [1, 1, 1])
    assert recorded.doubts == ()
