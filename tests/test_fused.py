"""The fused LSTM and GRU: against the composed ones, where gradients vanish, their memory, and their cost."""

import gc
import inspect
import re
import sys
import threading
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_np import Tensor, no_grad, tape
from tinygrad_np.check.checks import concatenate_outputs
from tinygrad_np.gradcheck import gradcheck
from tinygrad_np.ops import recurrent
from tinygrad_np.ops.recurrent import gradients as recurrent_gradients
from tinygrad_np.ops.recurrent import packing, workspace
from tinygrad_np.ops.recurrent.packing import PackedSequence
from tinygrad_np.ops.recurrent.workspace import Workspace
from tinygrad_np.testing import generators

FUSED = {"lstm": recurrent.lstm, "gru": recurrent.gru}
COMPOSED = {"lstm": recurrent.lstm_composed, "gru": recurrent.gru_composed}
STATES = {"lstm": 2, "gru": 1}
GATES = {"lstm": 4, "gru": 3}
MODULES = [sys.modules[f.__module__] for f in FUSED.values()] + [packing, recurrent_gradients, workspace]
both_kinds = pytest.mark.parametrize("name", FUSED)


@pytest.fixture(scope="module", autouse=True)
def sizes() -> Iterator[None]:
    """Chunks and products of the sizes that the cases here are made for, whatever is fastest."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recurrent_gradients, "ROWS_PER_PRODUCT", 128)
        patch.setattr(packing, "ROWS_PER_CHUNK", 512)
        patch.setattr(packing, "STEPS_PER_CHUNK", 128)
        yield


def drawn(
    name: str, rng: np.random.Generator, batch: int, time: int, features: int = 3, hidden: int = 2
) -> list[np.ndarray]:
    """x, initial states, weights and biases."""
    rows = GATES[name] * hidden
    states = [(batch, hidden)] * STATES[name]
    weights = [(rows, features), (rows, hidden), (rows,), (rows,)]
    return [rng.standard_normal(shape) for shape in ((batch, time, features), *states, *weights)]


def cotangents(name: str, rng: np.random.Generator, arrays: list[np.ndarray]) -> list[np.ndarray]:
    """A gradient for the outputs and for each last state."""
    states = arrays[1 : 1 + STATES[name]]
    shape = (*arrays[0].shape[:2], states[0].shape[1])
    return [
        rng.standard_normal(s).astype(arrays[0].dtype) for s in (shape, *(state.shape for state in states))
    ]


def backward(outs: Any, g: list[Any], given: list[Tensor]) -> list[np.ndarray]:
    """The gradients of what was given, where outputs have these gradients, and those with None have none."""
    loss: Any = sum((out * one).sum() for out, one in zip(outs, g, strict=True) if one is not None)
    if loss.requires_grad:  # of the composed ones some outputs may depend on nothing
        loss.backward()
    return [np.zeros(t.shape) if t.grad is None else t.grad for t in given]


def results(function: Any, arrays: list[np.ndarray], g: list[Any], **static: Any) -> list[np.ndarray]:
    """Outputs, last states, and all gradients."""
    given = [Tensor(a, requires_grad=True) for a in arrays]
    outs = function(*given, **static)
    return [*(out.data for out in outs), *backward(outs, g, given)]


def assert_agree(mine: list[np.ndarray], others: list[np.ndarray], tolerance: float = 1e-12) -> None:
    for i, (a, b) in enumerate(zip(mine, others, strict=True)):
        scale = max(1.0, float(np.abs(b).max(initial=0)))
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * scale, err_msg=f"result {i}")


def assert_identical(mine: list[np.ndarray], others: list[np.ndarray]) -> None:
    for a, b in zip(mine, others, strict=True):
        np.testing.assert_array_equal(a, b)


# --- against the composed ones ------------------------------------------------------------------------


@both_kinds
@given(
    rng=generators(),
    batch=st.integers(0, 5),
    time=st.integers(0, 6),
    features=st.integers(0, 3),
    hidden=st.integers(1, 4),
    used=st.sets(st.integers(0, 2), min_size=1),
    needs_input_grad=st.sets(st.integers(0, 6), min_size=1),
    with_lengths=st.booleans(),
    with_indices=st.booleans(),
    reverse=st.booleans(),
)
def test_fused_is_composed(
    name: str,
    rng: np.random.Generator,
    batch: int,
    time: int,
    features: int,
    hidden: int,
    used: set[int],
    needs_input_grad: set[int],
    with_lengths: bool,
    with_indices: bool,
    reverse: bool,
) -> None:
    arrays = drawn(name, rng, batch, time, features, hidden)
    g: list[Any] = cotangents(name, rng, arrays)
    g = [one if i in used else None for i, one in enumerate(g)]
    if all(one is None for one in g):
        g[0] = np.ones((batch, time, hidden))
    static: dict[str, Any] = {"reverse": reverse}
    if with_lengths:
        static["lengths"] = rng.integers(0, time + 1, batch)
    if with_indices:
        arrays[0] = rng.standard_normal((4, features))
        static["indices"] = rng.integers(0, 4, (batch, time))

    def some(function: Any) -> list[np.ndarray]:
        given = [Tensor(a, requires_grad=i in needs_input_grad) for i, a in enumerate(arrays)]
        outs = function(*given, **static)
        return [*(out.data for out in outs), *backward(outs, g, given)]

    assert_agree(some(FUSED[name]), some(COMPOSED[name]))


# more than a product's rows, more than a chunk's, and more in one step than in a chunk
LARGE = [(1, 600), (3, 400), (200, 5), (600, 3)]


@both_kinds
@pytest.mark.parametrize(("batch", "time"), LARGE)
@pytest.mark.parametrize("reverse", [False, True])
def test_fused_is_composed_in_several_chunks(
    name: str, batch: int, time: int, reverse: bool, rng: np.random.Generator
) -> None:
    assert batch * time > packing.ROWS_PER_CHUNK
    arrays = drawn(name, rng, batch, time)
    g = cotangents(name, rng, arrays)
    lengths = rng.integers(0, time + 1, batch) if batch > 1 else None
    mine = results(FUSED[name], arrays, g, lengths=lengths, reverse=reverse)
    assert_agree(mine, results(COMPOSED[name], arrays, g, lengths=lengths, reverse=reverse))


@both_kinds
def test_the_comparison_fails_on_a_wrong_rule(
    name: str, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    monkeypatch.setattr(tape, "PRIMITIVES", dict(tape.PRIMITIVES))
    arrays = drawn(name, rng, 3, 400)
    g = cotangents(name, rng, arrays)
    lengths = np.array([400, 90, 300])
    right = results(COMPOSED[name], arrays, g, lengths=lengths)
    rule = FUSED[name].__wrapped__  # type: ignore[attr-defined]
    assert_agree(results(FUSED[name], arrays, g, lengths=lengths), right)
    for wrong in range(len(arrays)):

        def mutant(*xs: Any, wrong: int = wrong, needs_input_grad: tuple[bool, ...]) -> Any:
            out, vjp = rule(*xs, lengths=lengths, needs_input_grad=needs_input_grad)
            return out, lambda gs: [p * (1 + 1e-9 * (i == wrong)) for i, p in enumerate(vjp(gs))]

        with pytest.raises(AssertionError, match=f"result {1 + STATES[name] + wrong}"):
            assert_agree(results(tape.primitive()(mutant), arrays, g), right)

    chunks = PackedSequence.backward_chunks
    monkeypatch.setattr(PackedSequence, "backward_chunks", lambda packed: list(chunks(packed))[:-1])
    with pytest.raises(AssertionError):
        assert_agree(results(FUSED[name], arrays, g, lengths=lengths), right)


@both_kinds
@pytest.mark.parametrize(("batch", "time"), [(4, 5), (3, 250), (140, 4)])
def test_complex_step(name: str, batch: int, time: int, rng: np.random.Generator) -> None:
    lengths = rng.integers(0, time + 1, batch)

    def f(*xs: Any) -> Tensor:
        return concatenate_outputs(FUSED[name](*xs, lengths=lengths))

    gradcheck(f, drawn(name, rng, batch, time), rng, analytic=True)


@both_kinds
def test_float32_is_close_to_float64(name: str, rng: np.random.Generator) -> None:
    arrays = [a.astype(np.float32) for a in drawn(name, rng, 5, 60)]
    g = cotangents(name, rng, arrays)
    lengths = np.array([60, 0, 13, 60, 41])
    mine = results(FUSED[name], arrays, g, lengths=lengths)
    assert {a.dtype for a in mine} == {np.dtype(np.float32)}
    wide = [a.astype(np.float64) for a in arrays]
    assert_agree(
        mine, results(FUSED[name], wide, [one.astype(np.float64) for one in g], lengths=lengths), 1e-5
    )


@both_kinds
def test_backward_twice_gives_the_same(name: str, rng: np.random.Generator) -> None:
    arrays = drawn(name, rng, 3, 250)
    given = [Tensor(a, requires_grad=True) for a in arrays]
    out = concatenate_outputs(FUSED[name](*given, lengths=np.array([250, 100, 0])))
    g = rng.standard_normal(out.shape)
    gradients = []
    for _ in range(2):
        out.backward(g, retain_graph=True)
        gradients.append([t.grad for t in given])
        for t in given:
            t.grad = None
    assert_identical(*gradients)


# --- where the gradient vanishes ----------------------------------------------------------------------

# A gate that keeps so much of the state at each step makes it sink below the smallest normal number in the
# middle of 600 steps.
SINKING = {np.float32: 0.75, np.float64: 0.15}
every_limit = pytest.mark.parametrize("dtype", SINKING)


def sinking(
    name: str, rng: np.random.Generator, dtype: Any, time: int = 600, keep: float | None = None
) -> tuple[list[np.ndarray], list[Any]]:
    """A run whose gradient comes from its last states alone, and sinks on its way back."""
    x, *arrays = drawn(name, rng, 3, time, hidden=4)
    keep = SINKING[dtype] if keep is None else keep
    *_, weight_ih, weight_hh, bias_ih, bias_hh = arrays
    for array in (weight_ih, weight_hh, bias_ih, bias_hh):
        array *= 0.05
    bias_ih[4:8] += np.log(keep / (1 - keep))  # of f, or of z
    rounded = [a.astype(np.float32).astype(dtype) for a in (x, *arrays)]
    return rounded, [None, *cotangents(name, rng, rounded)[1:]]


def gradients(function: Any, arrays: list[np.ndarray], g: list[Any], **static: Any) -> list[np.ndarray]:
    given = [Tensor(a, requires_grad=True) for a in arrays]
    return backward(function(*given, **static), g, given)


def in_float64(arrays: list[Any]) -> list[Any]:
    return [a if a is None else a.astype(np.float64) for a in arrays]


def exact_gradients(name: str, arrays: list[Any], g: list[Any], **static: Any) -> list[np.ndarray]:
    """In float64, for float32 by the fused one, which is faster and does not come to its own limit there."""
    function = FUSED[name] if arrays[0].dtype == np.float32 else COMPOSED[name]
    return gradients(function, in_float64(arrays), in_float64(g), **static)


def assert_exact_to_its_limit(mine: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """Of x: right where it is a normal number, nothing where it is none at all. Returns where it is normal."""
    info = np.finfo(mine.dtype)
    size = abs(exact).max(axis=2)
    normal = size > info.tiny
    error = abs(mine - exact).max(axis=2)
    assert (error[normal] <= 2000 * info.eps * size[normal]).all()
    np.testing.assert_array_equal(mine[size < info.smallest_subnormal / 2], 0)
    return normal


@both_kinds
@every_limit
def test_a_vanishing_gradient_is_exact_to_the_limit_of_its_dtype(
    name: str, dtype: Any, rng: np.random.Generator
) -> None:
    arrays, g = sinking(name, rng, dtype)
    lengths = np.array([600, 560, 600])
    mine = gradients(FUSED[name], arrays, g, lengths=lengths)
    exact = exact_gradients(name, arrays, g, lengths=lengths)
    normal = assert_exact_to_its_limit(mine[0], exact[0])
    for sequence, length in zip(normal, lengths):
        assert length - 450 < np.flatnonzero(sequence)[0] < length - 150  # it does sink in the middle
    states = mine[1 : 1 + STATES[name]]
    for part in states:
        np.testing.assert_array_equal(part, 0)
    weights = slice(1 + STATES[name], None)
    assert_agree(mine[weights], exact[weights], 200 * np.finfo(dtype).eps)


@both_kinds
@every_limit
def test_no_gradient_of_an_initial_state_is_subnormal(
    name: str, dtype: Any, rng: np.random.Generator
) -> None:
    arrays, g = sinking(name, rng, dtype)
    x = arrays[0]
    size = abs(gradients(COMPOSED[name], arrays, g)[0]).max(axis=(0, 2))
    border = int(np.flatnonzero(size > np.finfo(dtype).tiny)[0])
    for begin in range(border - 12, border + 12, 4):  # so that the run begins around the border
        arrays[0] = x[:, begin:]
        states = gradients(FUSED[name], arrays, g)[1 : 1 + STATES[name]]
        tiny = np.finfo(dtype).tiny
        largest = np.max([abs(state).max(axis=1) for state in states], axis=0)
        assert ((largest == 0) | (largest >= tiny)).all()


class Counting:
    """NumPy for the modules of `recurrent`, which counts the calls of its functions by name."""

    def __init__(self, calls: Counter[str]):
        self.calls = calls

    def __getattr__(self, name: str) -> Any:
        value = getattr(np, name)
        return Counted(value, name, self.calls) if callable(value) and not isinstance(value, type) else value


class Counted:
    def __init__(self, function: Any, name: str, calls: Counter[str]):
        self.function = function
        self.name = name
        self.calls = calls

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.calls[self.name] += 1
        return self.function(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return Counted(getattr(self.function, name), f"{self.name}.{name}", self.calls)


def calls_of(
    rule: Callable[..., Any], arrays: list[np.ndarray], g: list[Any]
) -> tuple[Counter[str], Counter[str]]:
    """How often a rule calls which NumPy functions, forward and backward."""
    with pytest.MonkeyPatch.context() as patch:
        calls: Counter[str] = Counter()
        for module in MODULES:
            patch.setattr(module, "np", Counting(calls))
        _, vjp = rule(*arrays, needs_input_grad=(True,) * len(arrays))
        forward = calls.copy()
        vjp(g)
    return forward, calls - forward


def steps_per_chunk(batch_size: int) -> int:
    """Of so many sequences of one length."""
    return min(packing.ROWS_PER_CHUNK // batch_size, packing.STEPS_PER_CHUNK)


def steps_back(name: str, arrays: list[np.ndarray], g: list[Any]) -> int:
    """How many steps a run of full length goes back: each has a `matmul`, and here each chunk has one more."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recurrent_gradients, "ROWS_PER_PRODUCT", packing.ROWS_PER_CHUNK)
        _, back = calls_of(FUSED[name].__wrapped__, arrays, g)  # type: ignore[attr-defined]
    return back["matmul"] - -(-back["matmul"] // (steps_per_chunk(len(arrays[0])) + 1))


@both_kinds
@every_limit
def test_backward_stops_where_the_gradient_has_vanished(
    name: str, dtype: Any, rng: np.random.Generator
) -> None:
    per_chunk = steps_per_chunk(3)
    back = {}
    whole, g = sinking(name, rng, dtype, time=900)
    for time in (600, 900):
        arrays = [whole[0][:, -time:], *whole[1:]]
        back[time] = steps_back(name, arrays, g)
    size = abs(exact_gradients(name, arrays, g)[0]).max(axis=(0, 2))
    alive = 900 - int(np.flatnonzero(size > np.finfo(dtype).tiny)[0])
    assert alive <= back[900] < alive + 2 * per_chunk
    assert back[600] == back[900] < 600
    arrays, g = sinking(name, rng, dtype, keep=0.999)
    assert steps_back(name, arrays, g) == 600


@both_kinds
@every_limit
def test_backward_does_not_stop_before_an_output_that_has_a_gradient(
    name: str, dtype: Any, rng: np.random.Generator
) -> None:
    arrays, g = sinking(name, rng, dtype)
    before_a_chunk = 600 % steps_per_chunk(3) - 1
    for first, reached in ((0, True), (before_a_chunk, True), (580, False)):
        g[0] = np.zeros((3, 600, 4), dtype)
        g[0][:, -1] = 1
        g[0][1, first] = 1
        mine = gradients(FUSED[name], arrays, g)
        exact = exact_gradients(name, arrays, g)
        assert_exact_to_its_limit(mine[0], exact[0])
        assert (mine[0][1, first] != 0).all()
        assert_agree(mine, exact, 200 * np.finfo(dtype).eps)
        assert (steps_back(name, arrays, g) == 600) == reached


@both_kinds
@every_limit
def test_backward_does_not_stop_while_one_sequence_has_a_gradient(
    name: str, dtype: Any, rng: np.random.Generator
) -> None:
    arrays, g = sinking(name, rng, dtype)
    weight_ih = arrays[1 + STATES[name]]
    weight_ih[:, 0] = 0
    weight_ih[4:8, 0] = 0.1
    arrays[0][1, :, 0] = 30  # the gate that keeps the state opens, for this sequence alone
    mine = gradients(FUSED[name], arrays, g)
    exact = exact_gradients(name, arrays, g)
    normal = assert_exact_to_its_limit(mine[0], exact[0])
    assert normal[1].all()
    assert not normal[0, :100].any()
    assert not normal[2, :100].any()
    state = mine[1]
    assert (state[1] != 0).all()
    np.testing.assert_array_equal(state[::2], 0)
    assert steps_back(name, arrays, g) == 600


@both_kinds
def test_float64_is_untouched_where_float32_ends(name: str, rng: np.random.Generator) -> None:
    arrays, g = sinking(name, rng, np.float32)
    arrays, g = in_float64(arrays), in_float64(g)
    mine, exact = gradients(FUSED[name], arrays, g), gradients(COMPOSED[name], arrays, g)
    for part, other in zip(mine, exact, strict=True):
        np.testing.assert_allclose(part, other, rtol=1e-9, atol=0)
    assert 0 < abs(mine[0][:, 0]).max() < 1e-60
    assert (mine[1] != 0).all()
    assert steps_back(name, arrays, g) == 600


def test_a_gradient_that_has_vanished_does_not_come_back() -> None:
    # The price of stopping: steps further back could have made it grow again. The composed one carries it
    # through, in numbers that have lost digits below the smallest normal one.
    weight_ih, weight_hh = np.array([[1.0], [1.0], [0.0], [1.0]]), np.array([[0.0], [0.0], [6.0], [0.0]])
    x = np.zeros((1, 600, 1))
    x[:, -512:] = -0.8444  # a chunk that shrinks the gradient to 1e-39; before, where x is 0, it grows
    arrays: list[np.ndarray] = [x, *np.zeros((2, 1, 1)), weight_ih, weight_hh, *np.zeros((2, 4))]
    initial = {}
    for dtype in (np.float32, np.float64):
        given = [a.astype(dtype) for a in arrays]
        g = [None, np.ones((1, 1), dtype), None]
        initial[dtype] = [gradients(f, given, g)[1][0, 0] for f in (recurrent.lstm, recurrent.lstm_composed)]
    assert initial[np.float32][0] == 0
    np.testing.assert_allclose(initial[np.float32][1], initial[np.float64][1], rtol=1e-2)
    np.testing.assert_allclose(initial[np.float64][0], initial[np.float64][1], rtol=1e-9)
    assert initial[np.float64][0] > 1e-20


@both_kinds
def test_a_gradient_that_is_not_a_number_does_not_vanish(name: str, rng: np.random.Generator) -> None:
    arrays, g = sinking(name, rng, np.float32)
    g[1][0, 0] = np.nan
    assert np.isnan(gradients(FUSED[name], arrays, g)[0][0]).all()


# --- memory -------------------------------------------------------------------------------------------


@pytest.fixture
def fresh_memory(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No buffer is free at first, and those that are free afterwards are forgotten."""
    monkeypatch.setattr(Workspace, "free", {})
    monkeypatch.setattr(Workspace, "free_bytes", 0)
    gc.collect()
    gc.disable()  # all of it is freed without the collector
    yield
    gc.enable()


def free_bytes() -> int:
    return sum(size * len(arrays) for size, arrays in Workspace.free.items())


@both_kinds
@pytest.mark.usefixtures("fresh_memory")
def test_two_runs_alive_at_once_share_no_memory(name: str, rng: np.random.Generator) -> None:
    problems = [drawn(name, rng, 3, 200) for _ in range(2)]
    g = cotangents(name, rng, problems[0])
    alone = [results(FUSED[name], arrays, g) for arrays in problems]
    given = [[Tensor(a, requires_grad=True) for a in arrays] for arrays in problems]
    outs = [FUSED[name](*one) for one in given]
    for out, one, expected in zip(outs, given, alone):
        together = [*(part.data for part in out), *backward(out, g, one)]
        assert_identical(together, expected)


@both_kinds
@pytest.mark.usefixtures("fresh_memory")
def test_memory_is_reused(name: str, rng: np.random.Generator) -> None:
    arrays = drawn(name, rng, 3, 200)
    given = [Tensor(a, requires_grad=True) for a in arrays]
    addresses = []
    for _ in range(3):
        out = concatenate_outputs(FUSED[name](*given))
        while_alive = free_bytes()
        out.backward(np.ones(out.shape))
        del out  # and with it the graph
        assert free_bytes() == Workspace.free_bytes > while_alive
        addresses.append(sorted(m.ctypes.data for arrays in Workspace.free.values() for m in arrays))
        assert all(address % 64 == 0 for address in addresses[-1])
    assert addresses[0] == addresses[1] == addresses[2]


@both_kinds
@pytest.mark.usefixtures("fresh_memory")
def test_free_memory_is_bounded(name: str, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
    monkeypatch.setattr(workspace, "MAX_FREE_BYTES", 100_000)
    alive = []
    for time in (10, 50, 200, 100):
        arrays = drawn(name, rng, 3, time)
        g = cotangents(name, rng, arrays)
        results(FUSED[name], arrays, g)
        given = [Tensor(a, requires_grad=True) for a in arrays]
        alive.append(FUSED[name](*given))
        assert free_bytes() == Workspace.free_bytes <= 100_000
    alive.clear()
    assert 0 < free_bytes() == Workspace.free_bytes <= 100_000


@both_kinds
@pytest.mark.usefixtures("fresh_memory")
def test_what_was_handed_out_does_not_change(name: str, rng: np.random.Generator) -> None:
    arrays = drawn(name, rng, 3, 200)
    g = cotangents(name, rng, arrays)
    first = results(FUSED[name], arrays, g)
    copies = [part.copy() for part in first]
    for _ in range(3):
        results(FUSED[name], [-a for a in arrays], g)
    assert_identical(first, copies)
    free = [m for buffers in Workspace.free.values() for m in buffers]
    assert free
    assert not any(np.shares_memory(part, m) for part in first for m in free)


@pytest.mark.usefixtures("fresh_memory")
def test_threads_do_not_disturb_each_other(rng: np.random.Generator) -> None:
    problems = []
    for i, name in enumerate(["lstm", "gru"] * 3):
        arrays = drawn(name, rng, 2 + i // 2, 120)
        g = cotangents(name, rng, arrays)
        problems.append((FUSED[name], arrays, g, results(FUSED[name], arrays, g)))
    start = threading.Barrier(len(problems))
    faults: list[Any] = []

    def work(function: Any, arrays: Any, g: Any, expected: Any) -> None:
        start.wait()
        try:
            for _ in range(4):
                assert_identical(results(function, arrays, g), expected)
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=work, args=problem) for problem in problems]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert free_bytes() == Workspace.free_bytes


@both_kinds
def test_without_a_gradient_no_step_is_saved(
    name: str, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    sizes: list[int] = []
    empty = Workspace.empty

    def noted(workspace: Workspace, *shape: int) -> np.ndarray:
        sizes.append(int(np.prod(shape)))
        return empty(workspace, *shape)

    monkeypatch.setattr(Workspace, "empty", noted)
    numbers: dict[tuple[int, bool], int] = {}
    for time in (100, 200):
        arrays = drawn(name, rng, 3, time)
        given = [Tensor(a, requires_grad=True) for a in arrays]
        lengths = np.array([time, time - 50, 0])
        recorded = FUSED[name](*given, lengths=lengths)
        numbers[time, True] = sum(sizes)
        sizes.clear()
        with no_grad():
            plain = FUSED[name](*given, lengths=lengths)
        numbers[time, False] = sum(sizes)
        sizes.clear()
        assert_identical([part.data for part in plain], [part.data for part in recorded])
    growth = {saved: (numbers[200, saved] - numbers[100, saved]) / 100 for saved in (True, False)}
    u = 2 * (2 + 3 + 1)  # of two sequences
    assert growth[False] == u
    assert growth[True] == u + 2 * 2 * {"lstm": 6, "gru": 4}[name]


# --- what a step costs --------------------------------------------------------------------------------

# NumPy calls of one more step, forward and backward
CALLS = {"lstm": (8, 11), "gru": (10, 5)}


def calls_a_step(name: str, rule: Callable[..., Any], rng: np.random.Generator) -> tuple[float, float]:
    """Between runs of 50 and 100 steps, which have one chunk and one product each."""
    counts = []
    for time in (50, 100):
        arrays = drawn(name, rng, 1, time)
        counts.append([c.total() for c in calls_of(rule, arrays, cotangents(name, rng, arrays))])
    (forward, back), (more_forward, more_back) = counts
    return (more_forward - forward) / 50, (more_back - back) / 50


@both_kinds
def test_numpy_calls_a_step(name: str, rng: np.random.Generator) -> None:
    rule = FUSED[name].__wrapped__  # type: ignore[attr-defined]
    assert calls_a_step(name, rule, rng) == CALLS[name]
    # and one call more is seen
    source = inspect.getsource(rule)
    for call, more in (
        (r"matmul\(u, weights, gates\)", (1, 0)),
        (r"matmul\(da\w*, W_h_T, dh_by_gate\)", (0, 1)),
    ):
        twice, found = re.subn(rf"((np\.)?{call})", r"\1; \1", source)
        assert found == 1, "the rule is written in another way now: take another call of it"
        namespace: dict[str, Any] = {}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tape, "PRIMITIVES", dict(tape.PRIMITIVES))
            exec(twice, rule.__globals__, namespace)
        worse = calls_a_step(name, namespace[name].__wrapped__, rng)
        assert worse == tuple(calls + one for calls, one in zip(CALLS[name], more))


def bytes_a_step(name: str, rng: np.random.Generator) -> float:
    """How many bytes the peak of a run grows by with each step of a sequence, in float32, 32 hidden, 16 inputs."""
    rule = FUSED[name].__wrapped__  # type: ignore[attr-defined]
    peaks = []
    for time in (400, 800):
        arrays = [(0.1 * a).astype(np.float32) for a in drawn(name, rng, 8, time, features=16, hidden=32)]
        g = cotangents(name, rng, arrays)
        for _ in range(2):  # the first time to warm up: then all its memory is free for the next one
            tracemalloc.start()
            try:
                _, vjp = rule(*arrays, needs_input_grad=(True,) * len(arrays))
                vjp(g)
                peak = tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()
            del _, vjp
        peaks.append(peak)
    return (peaks[1] - peaks[0]) / 400 / 8


@both_kinds
@pytest.mark.usefixtures("fresh_memory")
def test_bytes_a_step(name: str, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
    output, gradient_of_x, place = 4 * 32, 4 * 16, 8
    # the output and its gradient, sorted; the gradient of x, sorted and not
    expected = 2 * output + 2 * gradient_of_x + place
    assert abs(bytes_a_step(name, rng) - expected) < 2
    # and memory that is not used again is seen
    monkeypatch.setattr(workspace, "MAX_FREE_BYTES", 0)
    Workspace.free.clear()
    assert bytes_a_step(name, rng) > 2 * expected
