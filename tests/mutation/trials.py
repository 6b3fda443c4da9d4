"""What tries a mutant: the checks of its primitives' rows, and what is no row's matter.

A trial raises when it notices something. Where a derivative is a convention (ties, kinks) or infinite there is
nothing to compare with numerically: there the documented values of the row's edges judge. The tutorial's
hand-derived backpropagation through time (BPTT) is held against the exact gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from typing import Any, TypeAlias

import numpy as np

from models.tutorial_lstm import model as tutorial_lstm
from tests.mutation.targets import BPTT, Target, rules
from tinygrad_np import RowGrad, Tensor, backward, detect_anomaly, tape, transforms
from tinygrad_np.check import checks
from tinygrad_np.check.cases import OPS
from tinygrad_np.check.cases.recurrent import one_unit
from tinygrad_np.check.draw import wave
from tinygrad_np.functional import embedding
from tinygrad_np.gradcheck import gradcheck, gradgradcheck
from tinygrad_np.ops.elementwise import tanh
from tinygrad_np.ops.shape import concatenate, split
from tinygrad_np.transforms import grad

Trial: TypeAlias = Callable[[], object]

DRAWN = 60  # cases of each primitive, those that `python -m tinygrad_np.gradcheck` draws first
FURTHER = 10  # cases of each primitive in each further trial of drawn cases
BPTT_CASES = 24
BPTT_TOLERANCE = 1e-8
# Their second derivatives go through a composite, of which a mutant has no part.
FUSED = {rule.name for rule in rules() if rule.has_composite}


def trials_of(target: Target) -> Iterator[Trial]:
    """All that a mutant of this target is tried with: what takes longest, second derivatives, comes last."""
    if target is BPTT:
        yield from (partial(bptt_trial, number) for number in range(BPTT_CASES))
        return
    on_tape = target.owner in TAPE
    for name in target.primitives:
        yield from first_order_trials(name)
        yield from OTHER_TRIALS.get(name, ())
        if not target.is_rule:  # a rule that is a mutant is not NumPy's function, but what NumPy's calls is
            yield from (partial(numpy_call, *call) for call in OPS[name].calls)
    if on_tape:
        yield from (owned_gradients, younger_leaf, float32_among_float64)
        yield from (rows_of_a_table, replaced_by_a_hook, anomaly)
        yield from (poles_not_chosen, poles_that_count, poles_of_other_elements, zero_cotangent_of_a_choice)
        yield from (partial(gradcheck, f, point) for f, point in USES)
    for name in target.primitives:
        if name not in FUSED:
            yield from second_order_trials(name)
    if on_tape:
        yield from (partial(gradgradcheck, f, point) for f, point in USES)


# --- the rows -----------------------------------------------------------------------------------------


def first_order_trials(name: str) -> Iterator[Trial]:
    """The edges, fixed cases and drawn cases of a row; also with one output or one argument alone."""
    row = OPS[name]
    yield from (partial(checks.check_edge, name, edge) for edge in row.edges)
    for case in row.more:
        yield partial(fixed_case, name, *case)
        yield partial(each_output, name, *case)
    for number in range(DRAWN):
        yield partial(drawn_case, checks.check_gradient, name, number)
    for number in range(FURTHER):
        yield partial(each_output, name, *row.draw(np.random.default_rng([3, number]), (2, 3)))
        yield partial(one_argument, name, number)


def second_order_trials(name: str) -> Iterator[Trial]:
    """The fixed and drawn cases of a row, and where the incoming gradient is 0."""
    for case in OPS[name].more:
        yield partial(gradgradcheck, *checks.function_of_floats(name, *case))
    for number in range(DRAWN):
        yield partial(drawn_case, checks.check_second_order, name, number)
    for number in range(FURTHER):
        yield partial(zero_cotangent, name, number)


def drawn_case(check: Callable[..., float], name: str, number: int) -> None:
    """The cases of a seed, as `python -m tinygrad_np.gradcheck` draws them."""
    rng = np.random.default_rng([0, number])
    shape = tuple(int(n) for n in rng.integers(0, 4, rng.integers(0, 4)))
    check(name, *OPS[name].draw(rng, shape), rng)


def fixed_case(name: str, arrays: list[np.ndarray], static: dict[str, Any]) -> None:
    gradcheck(*checks.function_of_floats(name, arrays, static), analytic=False)


def numpy_call(call: Callable[..., Any], arrays: Sequence[np.ndarray]) -> None:
    """One of the ways in which NumPy's functions are called."""
    checks.check_numpy_call(call, arrays, np.random.default_rng(5))


def each_output(name: str, arrays: list[np.ndarray], static: dict[str, Any]) -> None:
    """Each of several outputs alone, where nothing comes back from the others."""
    outputs = checks.op(name)(*arrays, **static)
    for k in range(len(outputs) if isinstance(outputs, tuple) else 0):
        f, point = checks.function_of_floats(name, arrays, static, slice(k, k + 1))
        gradcheck(f, point, analytic=False)


def one_argument(name: str, number: int) -> None:
    """One argument of several, where the others are constants that need no gradient."""
    rng = np.random.default_rng([4, number])
    f, point = checks.function_of_floats(name, *OPS[name].draw(rng, (2, 3)))
    i = number % len(point)
    gradcheck(lambda x: f(*point[:i], x, *point[i + 1 :]), [point[i]], rng, analytic=False)


def zero_cotangent(name: str, number: int) -> None:
    """The second derivative of ``c f(x)`` at c = 0, where the gradient that comes in is exactly 0.

    A rule sends back 0 there whatever its slope, but the slope still counts for the derivative by c.
    """
    rng = np.random.default_rng([2, number])
    f, point = checks.function_of_floats(name, *OPS[name].draw(rng, (2, 3)))
    gradgradcheck(lambda c, *xs: c * f(*xs), [np.zeros(f(*point).shape), *point], rng)


def power_with_zero_cotangent() -> None:
    """The same for powers at and below 0, where most differences are no numbers."""
    x, y = np.array([0, 0, 0, 0, -2, -2.0]), np.array([1, 1.5, 2, 3, 2, 3])
    power = tape.PRIMITIVES["power"]
    slope = grad(lambda c: grad(lambda t: np.sum(c * power(t, y)))(x).sum())(np.zeros(6)).data
    np.testing.assert_array_equal(slope, [1, 0, 0, 0, -4, 12])


# --- counts in float16 --------------------------------------------------------------------------------


def count_in_float16(name: str) -> None:
    """A count of 70,000 is infinite in float16, and one divided by it is inexact: the gradient is exact."""
    x = np.arange(140_000) % 2 * 2000.0
    leaves = [Tensor(x, requires_grad=True, dtype=dtype) for dtype in (np.float16, np.float64)]
    for leaf in leaves:
        tape.PRIMITIVES[name](leaf).backward()
    found, exact = map(checks.gradient_of, leaves)
    np.testing.assert_array_equal(found, exact.astype(np.float16))


# --- LSTM and GRU -------------------------------------------------------------------------------------

STATES_AND_GATES = {"lstm": (2, 4), "gru": (1, 3)}


def with_open_gate(name: str, batch: int, dtype: type) -> list[Tensor]:
    """Arguments of one step whose last state is the initial one: the bias of its gate, f or z, is large."""
    arrays = one_unit(*STATES_AND_GATES[name], batch, 1)
    arrays[-2][1] = 100
    return [Tensor(x, requires_grad=True, dtype=dtype) for x in arrays]


def subnormal_gradient(name: str) -> None:
    """A gradient below the smallest normal number comes back as 0; that number itself, and more, as it is."""
    tensors = with_open_gate(name, 3, np.float64)
    states = tensors[1:-4]
    outputs, *_, last = tape.PRIMITIVES[name](*tensors)
    tiny = np.finfo(float).tiny
    (np.sum(outputs[0]) + np.sum(last * np.array([[0], [tiny], [tiny / 2]]))).backward()
    for state in states:
        assert state.grad is not None
        assert state.grad[0] != 0
        assert state.grad[2] == 0
    assert states[-1].grad is not None
    assert states[-1].grad[1] == tiny


def subnormal_gradient_in_float16(name: str) -> None:
    """In float16 a gradient below the smallest normal number is an ordinary one, and comes back."""
    tensors = with_open_gate(name, 1, np.float16)
    g = np.finfo(np.float16).tiny / 4
    *_, last = tape.PRIMITIVES[name](*tensors)
    last.backward(np.full(last.shape, g))
    assert tensors[-5].grad is not None
    assert (tensors[-5].grad == g).all()


def first_step_only(name: str) -> None:
    """Only the first output has a gradient: it has to be reached, though the way back begins with nothing."""
    arrays = one_unit(*STATES_AND_GATES[name], 1, 5)
    gradcheck(lambda *xs: tape.PRIMITIVES[name](*xs)[0][:, :1], arrays, analytic=False)


def power_of_mixed_dtypes() -> None:
    """A float16 base under float64 exponents: its logarithm has the digits of the exponents."""
    base, y = np.array([1.5, 0.25], np.float16), Tensor(np.array([0.3, 2.5]), requires_grad=True)
    checks.op("power")(base, y).sum().backward()
    wide = base.astype(np.float64)
    np.testing.assert_allclose(checks.gradient_of(y), wide**y.data * np.log(wide), rtol=1e-14)


def whole_numbers(name: str) -> None:
    """Unsigned numbers are computed as the same numbers of float64, and those of float64 stay so."""
    x = np.array([[3, 1], [0, 30]], np.uint8)
    found = checks.op(name)(x, axis=1)
    wide = checks.op(name)(x.astype(np.float64), axis=1)
    assert found.dtype == np.float32
    assert wide.dtype == np.float64
    np.testing.assert_allclose(found.data, wide.data, rtol=1e-6)


# --- what is refused ----------------------------------------------------------------------------------

EPS = float(np.finfo(float).eps)
# Matrices whose vectors, if all are asked for, have no gradient, though no other function fails on them.
UNDETERMINED: dict[str, list[np.ndarray]] = {
    "eigh": [np.diag([8, 8 + 128 * EPS, 100])[np.newaxis]],
    "qr": [np.array([[1.0, 0, 0], [0, 0, 1], [0, 0, 2]])],
}


def refused(name: str, x: np.ndarray) -> None:
    """A gradient that is not determined is refused, and is not any number."""
    out = checks.concatenate_outputs(tape.PRIMITIVES[name](Tensor(x, requires_grad=True)))
    try:
        out.backward(np.ones(out.shape))
    except ValueError:
        return
    raise AssertionError("a gradient that is not determined came back")


OTHER_TRIALS: dict[str, list[Trial]] = {
    **{name: [partial(refused, name, x) for x in arrays] for name, arrays in UNDETERMINED.items()},
    "power": [power_with_zero_cotangent, power_of_mixed_dtypes],
    **{name: [partial(whole_numbers, name)] for name in ("softmax", "logsumexp")},
    **{name: [partial(count_in_float16, name)] for name in ("mean", "var", "max", "min")},
    **{
        name: [
            partial(trial, name)
            for trial in (subnormal_gradient, subnormal_gradient_in_float16, first_step_only)
        ]
        for name in STATES_AND_GATES
    },
}


# --- the tape: how gradients add up where an array is used several times, and who owns the sums -------

TAPE = (
    backward,
    backward.SparseGrad,
    backward.DeferredMatmul,
    backward.Accumulator,
    transforms.TensorAccumulator,
)


def overlapping_slices(x: Tensor) -> Tensor:
    """Slices and gathers of one array, whose gradients meet in one buffer."""
    return concatenate(x[1:], x[:-1] * 2.0, x[[0, 0, -1]], np.tanh(x))


def sum_used_again(x: Tensor, y: Tensor) -> Tensor:
    """The gradient of x + y is one array for both; more is added to each, and nothing to the constant."""
    return concatenate(x * 2.0, x * 3.0, x * 4.0, y[1:], x + y, np.ones(2))


def weight_of_steps(x: Tensor, w: Tensor) -> Tensor:
    """A matrix used again and again, and in other ways too: its products are collected."""
    once, twice = tanh(w), w * 2.0
    for _ in range(3):
        x = tanh(x @ w)
    return concatenate(x @ w, x @ once, x @ twice, tanh(x) @ twice, w * w, w[1:])


def some_of_several_outputs(x: Tensor) -> Tensor:
    """Outputs of several: used twice, used once, and not at all."""
    a, b, _ = split(x, 3)
    return concatenate(a * np.tanh(a), b)


def number_read_by_an_index(x: Tensor) -> Tensor:
    """A 0-d array that is read beside other uses: what they send back adds up to a number."""
    return x[()] + x[...] + x * 2.0 + x * x


def one_gradient_of_two(x: Tensor, y: Tensor) -> Tensor:
    """Primitives with a gradient for x alone, one with a vjp an argument and one with a joint vjp."""

    def left(x: Any, y: Any) -> tape.Rule:
        return x * 2.0, (lambda g: g * 2.0, None)

    def left_jointly(x: Any, y: Any) -> tape.Rule:
        return x * 3.0, lambda g: (g * 3.0, None)

    return tape.primitive()(left)(x, y) + tape.primitive()(left_jointly)(x, y)


USES: list[tuple[Callable[..., Tensor], list[np.ndarray]]] = [
    (overlapping_slices, [wave(3, 2)]),
    (sum_used_again, [wave(3), wave(3)]),
    (weight_of_steps, [wave(2, 3), wave(3, 3)]),
    (some_of_several_outputs, [wave(3, 2)]),
    (one_gradient_of_two, [wave(3), wave(3)]),
    (number_read_by_an_index, [np.array(0.7)]),
]


def owned_gradients() -> None:
    """Each leaf gets an array of its own, in its dtype; a graph that is kept may be gone through again."""
    leaves = [Tensor(np.float64(1), requires_grad=True, dtype=dtype) for dtype in (float, float, np.float32)]
    out, g = leaves[0] + leaves[0] + leaves[1] + leaves[2], np.array(5.0)
    for total in (5, 10):
        out.backward(g, retain_graph=True)
        for leaf, factor in zip(leaves, (2, 1, 1), strict=True):
            assert isinstance(leaf.grad, np.ndarray)
            assert leaf.grad.dtype == leaf.dtype
            assert not np.shares_memory(leaf.grad, g)
            assert leaf.grad == total * factor
    # a sum of numbers has the machine's own byte order
    swapped = np.array(2.0, np.dtype(float).newbyteorder())
    assert grad(lambda x: x * 3.0 + x * x)(swapped).dtype == swapped.dtype


def younger_leaf() -> None:
    """What is differentiated may be the oldest node of a graph that is recorded on the way back."""
    w = wave(3)
    gradient = grad(lambda x: np.sum(x * Tensor(w, requires_grad=True)))(np.ones(3))
    np.testing.assert_array_equal(gradient.data, w)


def float32_among_float64() -> None:
    """The gradient of a float32 array is float32, also where it is differentiated again."""
    dtypes = []

    def slope(c: Tensor) -> Tensor:
        gradient: Tensor = grad(lambda x: np.sum(x * x * c))(np.ones(3, np.float32))
        dtypes.append(gradient.dtype)
        return gradient.sum()

    np.testing.assert_array_equal(grad(slope)(wave(3)).data, [2, 2, 2])
    assert dtypes == [np.float32]


def rows_of_a_table() -> None:
    """Rows that are read twice stay rows, until more comes than rows; of a function's argument they never do."""
    table, weights = wave(4, 2), wave(3, 2)

    def total(x: Any, sparse: bool) -> Any:
        read = embedding(np.array([3, 1, 3]), x, sparse=sparse) * weights
        return (read + embedding(np.array([0, 3, 1]), x, sparse=sparse) ** 2).sum()

    expected = grad(lambda x: total(x, False))(table).data
    further = np.array([[0.0], [1], [1], [1]])
    uses: list[tuple[Callable[[Tensor], Tensor], Any, type]] = [
        (lambda x: total(x, True), expected, RowGrad),
        (lambda x: total(x, True) + (x * 3.0).sum(), expected + 3, np.ndarray),  # rows come last
        (lambda x: (x * 3.0).sum() + total(x, True), expected + 3, np.ndarray),  # and first
        (lambda x: total(x, True) + x[1:].sum(), expected + further, np.ndarray),
        (lambda x: x[1:].sum() + total(x, True), expected + further, np.ndarray),
        (lambda x: total(x * 1.0, True), expected, np.ndarray),  # what is no leaf
    ]
    for f, dense, kind in uses:
        leaf = Tensor(table, requires_grad=True)
        f(leaf).backward()
        assert type(leaf.grad) is kind
        np.testing.assert_allclose(np.asarray(leaf.grad), dense, rtol=1e-14)
    of_argument = grad(lambda x: total(x, True))(table)
    assert type(of_argument) is Tensor
    np.testing.assert_allclose(of_argument.data, expected, rtol=1e-14)


def replaced_by_a_hook() -> None:
    """What a hook returns goes on in the place of the gradient."""
    leaf = Tensor(wave(3), requires_grad=True)
    double = leaf * 2.0
    double.register_hook(lambda g: g * g * g)
    (double * 3.0).sum().backward()
    np.testing.assert_array_equal(checks.gradient_of(leaf), [54, 54, 54])


def anomaly() -> None:
    """Where anomalies are looked for, a gradient that is no number is one."""
    leaf = Tensor(np.zeros(2), requires_grad=True)
    try:
        with np.errstate(all="ignore"), detect_anomaly():
            (np.sqrt(leaf) * 2.0).sum().backward()
    except FloatingPointError:
        return
    raise AssertionError("an infinite gradient went unnoticed")


# --- the tape: poles below a choice between elements --------------------------------------------------

POINT = np.array([0.0, 2.0])  # of x log x, whose slope is infinite at 0
SLOPE, CURVATURE = np.log(2) + 1, 0.5  # at 2
CHOICES: list[Callable[[Any, Any], Any]] = [
    lambda chosen, y: np.where(chosen, y, 0.0),
    lambda chosen, y: y[np.flatnonzero(chosen)],
    lambda chosen, y: np.where(chosen, y.reshape(-1, 1).T, 0.0),
]


def slopes(f: Callable[[Tensor], Any], x: Any) -> np.ndarray:
    """The gradient of the sum, by an ordinary way back."""
    leaf = Tensor(x, requires_grad=True, dtype=np.float64)
    f(leaf).sum().backward()
    return checks.gradient_of(leaf)


def poles_not_chosen() -> None:
    """What was not chosen gets 0 in first and second order, though its slope is infinite."""
    for choose in CHOICES:

        def f(x: Any, choose: Callable[[Any, Any], Any] = choose) -> Any:
            return choose(POINT > 0, x * np.log(x)).sum()

        recorded = grad(f)(Tensor(POINT, requires_grad=True))
        for first in (slopes(f, POINT), recorded.data):
            np.testing.assert_allclose(first, np.array([0, SLOPE]))
        np.testing.assert_allclose(slopes(grad(f), POINT), [0, CURVATURE])
    x: Any = Tensor(POINT, requires_grad=True)
    out: Any = np.where(POINT > 0, x * np.log(x), 0.0)
    with np.errstate(all="raise"):  # nothing is said of the poles that are looked for
        out.backward(np.ones(2))


def poles_that_count() -> None:
    """What was chosen keeps its infinite slope; and zero times infinity stays NaN where there is no choice."""
    chosen = slopes(lambda x: np.where(POINT >= 0, x * np.log(x), 0.0), POINT)
    np.testing.assert_allclose(chosen, np.array([-np.inf, SLOPE]))

    def beside(x: Any) -> Any:
        product = x * np.array([np.inf, 1.0]) * np.array([0.0, 1.0])  # made first, and so gone back last
        return np.where(POINT > 0, x, 0.0) + product

    np.testing.assert_array_equal(slopes(beside, POINT), [np.nan, 2])


def poles_of_other_elements() -> None:
    """Below a choice, where an element of the gradient is not of the element of its place alone."""
    weight = np.array([[1, np.inf], [1, 1]])  # what is chosen, at [0, 1], is made of x[0, 0] too
    row = slopes(lambda x: np.where([False, True], x @ weight, 0.0), [[1, 1]])
    np.testing.assert_array_equal(row, [[np.inf, 1]])

    def scaled(x: Any, y: Any) -> tape.Rule:
        return x * y, (lambda g: g * y, lambda g: np.sum(g * x, axis=1, keepdims=True))

    scale = tape.primitive(elementwise=True)(scaled)  # it sums its gradient itself
    column = slopes(lambda y: np.where(True, scale(np.array([[np.inf, 1], [1, 1]]), y), 0.0), [[1], [1]])
    np.testing.assert_array_equal(column, [[np.inf], [2]])


def zero_cotangent_of_a_choice() -> None:
    """The gradient of ``c x log x`` below a choice, differentiated by c at c = 0."""

    def slope(c: Any) -> Any:
        return grad(lambda x: np.where(POINT > 0, x * np.log(x) * c, 0.0).sum())(POINT)

    np.testing.assert_allclose(slopes(slope, np.zeros(2)), np.array([0, SLOPE]))


# --- the tutorial's BPTT ------------------------------------------------------------------------------


@cache
def bptt_cases() -> list[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:
    """Reviews and parameters of many sizes, with the exact gradient."""
    cases = []
    for number in range(BPTT_CASES):
        rng = np.random.default_rng([1, number])
        hidden, dimensions = (int(n) for n in rng.integers(1, 4, 2))
        inputs = tutorial_lstm.trial_inputs(hidden, dimensions, 1 + number % 5, rng)
        for name in tutorial_lstm.PARAMETERS:
            inputs[name] = rng.standard_normal(inputs[name].shape) / 2
        inputs["y"] = np.array(float(number % 2))
        cases.append((inputs, tutorial_lstm.exact_gradient(inputs, eps=0.0)))
    return cases


def bptt_trial(number: int) -> None:
    inputs, exact = bptt_cases()[number]
    hand = tutorial_lstm.corrected_gradient(**inputs)
    for name, expected in exact.items():
        assert hand[name].shape == expected.shape, name
        error = np.linalg.norm(hand[name] - expected)
        assert error <= BPTT_TOLERANCE * max(1.0, float(np.linalg.norm(expected))), name
