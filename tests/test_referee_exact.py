"""Never wrong: what the referee says where values are coarse, noisy, rounded, bent, or tell nothing.

Every case is tried in two forms: as it is, and with a detour that nobody can record or continue to complex numbers,
so that the values of the loss are all there is.
"""

import random
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinygrad_np.referee import referee
from tinygrad_np.referee.evidence.differences import curve_at_0
from tinygrad_np.referee.evidence.exact import (
    COMPLEX_STEP,
    DIFFERENCES,
    RECORDED,
    contradiction,
    exact_gradient,
    slope,
)
from tinygrad_np.referee.evidence.repeatable import check_repeatable
from tinygrad_np.referee.intake.problem import Problem, problem_at
from tinygrad_np.referee.judge import KINK, judge, weighed
from tinygrad_np.referee.recording.recorded import record
from tinygrad_np.referee.verdict import RIGHT, UNKNOWN, UNTESTED, WRONG, Finding


def detour(x: Any) -> Any:
    """A number through bytes and back, as from a file: it can be neither recorded nor made complex."""
    return struct.unpack("d", struct.pack("d", x))[0]


def straight(x: Any) -> Any:
    return x


both_ways = pytest.mark.parametrize("way", [straight, detour], ids=["straight", "detour"])


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def found_at(
    loss: Callable[..., Any], gradient: Callable[..., Any], rtol: float = 1e-6, **inputs: Any
) -> Finding:
    """The finding of the only, or the first, parameter."""
    problem = problem_at(loss, gradient, inputs)
    return next(iter(judge(problem, exact_gradient(problem), rtol).values()))


# --- float32, whole numbers, rounding -----------------------------------------------------------------


def test_what_moves_less_than_the_rounding_of_float32_is_not_called_wrong() -> None:
    def loss(a: Any, b: Any) -> Any:
        h = (np.tanh(a) + 1e-10 * np.sin(b)).astype("f")
        return np.frombuffer(h.tobytes(), dtype="f").sum()  # no record follows

    def right(a: Any, b: Any) -> dict[str, Any]:
        return {"a": 1 - np.tanh(a) ** 2, "b": 1e-10 * np.cos(b)}

    point = {"a": np.array([0.3]), "b": np.array([0.4])}
    problem = problem_at(loss, right, point)
    assert [f.outcome for f in judge(problem, exact_gradient(problem), 1e-6).values()] == [UNKNOWN] * 2
    assert found_at(loss, lambda a, b: {"b": right(a, b)["b"]}, **point).outcome == UNKNOWN
    assert found_at(loss, lambda a, b: {"b": np.cos(b)}, **point).outcome == WRONG


def float32_buffer(w: Any, way: Any) -> Any:
    h = np.zeros(1, dtype="f")
    h[0] = np.tanh(w[0])
    return way(h.sum())


def float16_buffer(w: Any, way: Any) -> Any:
    h = np.zeros(1, dtype=np.float16)
    h[0] = np.tanh(w[0])
    return way(h.sum())


def as_float32(w: Any, way: Any) -> Any:
    return way(np.tanh(w).astype(np.float32).sum())


def single_numbers(w: Any, way: Any) -> Any:
    return way(np.float32(np.tanh(w[0])) * 1.0)


SHORT = np.float32


def named_elsewhere(w: Any, way: Any) -> Any:
    h = np.empty((1,), dtype=SHORT)
    h[:] = np.tanh(w)
    return way(h[0])


def whole_buffer(w: Any, way: Any) -> Any:
    h = np.array([0, 0])
    h[0] = 1000 * np.tanh(w[0])
    return way(h.sum() / 1000.0)


def rounded_to_six(w: Any, way: Any) -> Any:
    return way(np.round(np.tanh(w[0]), 6))


def whole_steps(w: Any, way: Any) -> Any:
    return way(np.floor(1000 * np.tanh(w[0])) / 1000)


def python_int(w: Any, way: Any) -> Any:
    return way(int(1e6 * np.tanh(w[0])) / 1e6)


def tanh_slope(w: Any, way: Any) -> dict[str, Any]:
    return {"w": 1 / np.cosh(w) ** 2}


COARSE = [
    (float32_buffer, "dtype='f'"),
    (float16_buffer, "dtype=np.float16"),
    (as_float32, "np.tanh(w).astype(np.float32)"),
    (single_numbers, "np.float32(np.tanh(w[0]))"),
    (named_elsewhere, "dtype=SHORT"),
    (whole_buffer, "np.array([0, 0])"),
    (rounded_to_six, "np.round(np.tanh(w[0]), 6)"),
    (whole_steps, "np.floor(1000 * np.tanh(w[0]))"),
    (python_int, "int(1000000.0 * np.tanh(w[0]))"),
]


@pytest.mark.parametrize(("loss", "place"), COARSE, ids=lambda x: getattr(x, "__name__", ""))
def test_what_is_coarse_is_named_with_its_place_and_nothing_is_wrong(loss: Any, place: str) -> None:
    for gradient in (tanh_slope, lambda w, way: {"w": 1.05 / np.cosh(w) ** 2}):
        found = found_at(loss, gradient, w=np.array([0.3]), way=detour)
        assert found.outcome == UNKNOWN, (loss, found)
        assert found.reason.startswith("cannot judge: ")
        line = loss.__code__.co_firstlineno
        assert place in found.reason
        assert any(f"at test_referee_exact.py:{line + i}" in found.reason for i in (1, 2)), found.reason


@pytest.mark.parametrize("loss", [loss for loss, _ in COARSE], ids=lambda x: x.__name__)
def test_a_right_gradient_of_what_is_coarse_is_never_wrong(loss: Any) -> None:
    for x in (0.3, -2.0, 1e-3, 0.7071):
        found = found_at(loss, tanh_slope, w=np.array([x]), way=straight)
        assert found.outcome in (RIGHT, UNKNOWN), (x, found)
    assert (
        found_at(loss, lambda w, way: {"w": 1.05 / np.cosh(w) ** 2}, w=np.array([0.3]), way=straight) != RIGHT
    )


class Buffers:
    def __init__(self, dtype: Any):
        self.kind = dtype

    def loss(self, w: Any) -> Any:
        h = np.zeros(1, dtype=self.kind)
        h[0] = np.tanh(w[0])
        return detour(h.sum())


def test_the_dtype_of_an_object_is_told() -> None:
    point, right = np.array([0.3]), lambda w: {"w": 1 / np.cosh(w) ** 2}
    assert "float32 (kind, float32)" in found_at(Buffers(np.float32).loss, right, w=point).reason
    assert found_at(Buffers(np.float64).loss, right, w=point).outcome == RIGHT


def test_float32_is_noted_where_it_could_be_replaced_and_judged_exactly() -> None:
    exact = exact_gradient(problem_at(float32_buffer, tanh_slope, {"w": np.array([0.3]), "way": straight}))
    (note,) = exact.notes
    line = float32_buffer.__code__.co_firstlineno + 1
    assert note.startswith(f"float32 at test_referee_exact.py:{line} (dtype='f')")
    assert note.endswith(
        ": as it stands this cannot be judged beyond 7 digits, so float64 was put in its place"
    )
    off = lambda w, way: {"w": 1.01 / np.cosh(w) ** 2}
    assert found_at(float32_buffer, off, w=np.array([0.3]), way=straight).outcome == WRONG


def test_float32_that_the_values_do_not_go_through_is_no_doubt() -> None:
    def labels(w: Any) -> Any:
        y = np.array([1, 0]).astype(np.float32)
        return detour(np.sum((w - y) ** 2))

    point = np.array([0.3, -0.2])
    assert found_at(labels, lambda w: {"w": 2 * (w - [1, 0])}, w=point).outcome == RIGHT
    assert found_at(labels, lambda w: {"w": 2.1 * (w - [1, 0])}, w=point).outcome == WRONG


def test_many_float32_terms() -> None:
    x = np.random.default_rng(0).standard_normal(500)

    def loss(w: Any) -> Any:
        return detour(np.tanh(x * w[0]).astype("float32").sum())

    found = found_at(loss, lambda w: {"w": np.array([(x / np.cosh(x * w[0]) ** 2).sum()])}, w=np.array([0.4]))
    assert found.outcome == UNKNOWN
    assert "float32 (np.tanh(x * w[0]).astype('float32') at" in found.reason


# --- noise ------------------------------------------------------------------------------------------


def saturated(b: Any, way: Any) -> Any:
    h = np.zeros(1)
    h[0] = way(sigmoid(b[0]))
    return h.sum()


def sigmoid_slope(b: Any, way: Any) -> dict[str, Any]:
    return {"b": np.exp(-b) / (1 + np.exp(-b)) ** 2}


@both_ways
@pytest.mark.parametrize("b", [3.0, 10.0, 20.0, 30.0, 36.0, 40.0, 300.0, -20.0, -300.0])
def test_a_saturated_gate(way: Any, b: float) -> None:
    found = found_at(saturated, sigmoid_slope, b=np.array([b]), way=way)
    assert found.outcome in (RIGHT, UNKNOWN, UNTESTED), found
    if found.outcome == UNKNOWN:
        assert found.reason.startswith("cannot tell at this precision")
    if 3 <= b <= 10:
        assert found.outcome == RIGHT
        double = found_at(
            saturated, lambda b, way: {"b": 2 * sigmoid_slope(b, way)["b"]}, b=np.array([b]), way=way
        )
        assert double.outcome == WRONG


@both_ways
@pytest.mark.parametrize("offset", [0.0, 1e3, -1e8, 1e14])
def test_a_small_term_beside_a_large_one(way: Any, offset: float) -> None:
    def loss(w: Any) -> Any:
        out = np.zeros(2)
        out[0] = offset
        out[1] = way(w[0] ** 2)
        return out.sum()

    for x in (0.01, 3.0):
        assert found_at(loss, lambda w: {"w": 2 * w}, w=np.array([x])).outcome in (RIGHT, UNKNOWN)
        off = found_at(loss, lambda w: {"w": 2.02 * w}, w=np.array([x])).outcome
        assert off in (WRONG, UNKNOWN)
        if abs(offset) <= 1e3:
            assert found_at(loss, lambda w: {"w": 2 * w}, w=np.array([x])).outcome == RIGHT
            assert off == WRONG


@both_ways
def test_what_is_left_of_large_terms_is_rounding(way: Any) -> None:
    found = found_at(
        lambda w: way(np.tanh(w).sum()), lambda w: {"w": 1 / np.cosh(w) ** 2}, w=np.array([15.0, 15.5])
    )
    assert found.outcome == UNKNOWN
    assert not found.nearly
    assert "rounding" in found.reason or "at this precision" in found.reason


@both_ways
def test_what_cancels(way: Any) -> None:
    def loss(w: Any) -> Any:
        large = 1e9 + np.sin(w[0])
        return way(large - 1e9)

    for x in (0.1, 1.0, 1.5707):
        assert found_at(loss, lambda w: {"w": np.cos(w)}, w=np.array([x])).outcome in (RIGHT, UNKNOWN)


# --- kinks and steps ----------------------------------------------------------------------------------


@both_ways
@pytest.mark.parametrize(
    "kinked",
    [
        lambda w: np.abs(w).sum() + np.sin(w).sum(),
        lambda w: np.maximum(w, 0).sum() + np.sin(w).sum(),
        lambda w: np.where(w > 0, w, 0.1 * w).sum() + np.sin(w).sum(),
        lambda w: np.max([w[0], w[1] * 2, 3 * w[0]]) + np.sin(w).sum(),
    ],
    ids=["abs", "relu", "leaky", "max"],
)
def test_at_a_kink_nothing_is_wrong(way: Any, kinked: Any) -> None:
    loss = lambda w: way(kinked(w))
    sides = [np.cos(0) + side for side in (-1.0, -0.5, 0.0, 0.1, 0.5, 1.0)]
    for g in sides:
        found = found_at(loss, lambda w, g=g: {"w": np.full(2, g)}, w=np.zeros(2))
        assert found.outcome in (RIGHT, UNKNOWN), (g, found)
    reasons = [found_at(loss, lambda w, g=g: {"w": np.full(2, g)}, w=np.zeros(2)).reason for g in sides]
    assert KINK in reasons


@both_ways
def test_between_equals_nothing_is_wrong(way: Any) -> None:
    """The difference of "each of the largest" and "a share of each" runs along the edge, where there is no kink."""
    for g in ([1.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.5, 0.5, 0.0]):
        found = found_at(
            lambda w: way(np.max(w)), lambda w, g=g: {"w": np.array(g)}, w=np.array([1.0, 1.0, 0.0])
        )
        assert found.outcome in (RIGHT, UNKNOWN), (g, found)


def test_what_the_exact_side_may_be_wrong_by_is_subtracted() -> None:
    known = weighed(0.02, 1.0, 1.0, error=0.001, rtol=1e-6, floor=0.0)
    assert known.outcome == WRONG
    assert weighed(0.02, 1.0, 1.0, error=0.0195, rtol=1e-6, floor=0.0).outcome == UNKNOWN
    assert weighed(0.02, 1.0, 1.0, error=0.03, rtol=1e-6, floor=0.0).outcome == UNKNOWN
    assert weighed(1e-9, 1.0, 1.0, error=1e-3, rtol=1e-6, floor=0.0).outcome == UNKNOWN  # right by luck alone
    assert weighed(1e-9, 1.0, 1.0, error=1e-8, rtol=1e-6, floor=0.0).outcome == RIGHT


@both_ways
def test_a_kink_close_by_is_no_excuse(way: Any) -> None:
    loss = lambda w: way(np.maximum(w, 0).sum() + np.sin(w).sum())
    right = lambda w: {"w": (w > 0) + np.cos(w)}
    for x in (1e-3, 1e-5, -1e-4):
        point = np.array([x, 1.0])
        assert found_at(loss, right, w=point).outcome == RIGHT
        assert found_at(loss, lambda w: {"w": 1.01 * right(w)["w"]}, w=point).outcome == WRONG


def test_a_loss_that_counts() -> None:
    for gradient in (np.ones(3), np.zeros(3)):
        found = found_at(
            lambda w: detour(np.sum(w > 0.1)), lambda w, g=gradient: {"w": g}, w=np.array([0.3, 2, -1])
        )
        assert found.outcome in (UNKNOWN, UNTESTED)


def test_a_parameter_that_has_no_effect_has_no_gradient() -> None:
    found = found_at(
        lambda w, x: detour(np.sum(x)) + 0 * w[0], lambda w, x: {"w": w}, w=np.ones(2), x=np.ones(2)
    )
    assert found.outcome == WRONG
    assert np.isnan(found.relative_error)  # of nothing


# --- nothing tested ---------------------------------------------------------------------------------


@both_ways
def test_zero_on_both_sides_is_not_tested(way: Any) -> None:
    found = found_at(lambda w: way(np.sum(w * 0.0) + 1), lambda w: {"w": np.zeros(2)}, w=np.ones(2))
    assert (found.outcome, found.reason) == (UNTESTED, "the gradient is 0 on both sides here")


@both_ways
def test_weights_of_zeros_are_not_tested(way: Any) -> None:
    def loss(W: Any, x: Any) -> Any:
        return way(np.sum(np.tanh(W @ x) + W @ x))

    def right(W: Any, x: Any) -> dict[str, Any]:
        return {"W": np.outer(2 - np.tanh(W @ x) ** 2, x)}

    x = np.array([1.0, 2.0])
    found = found_at(loss, right, W=np.zeros((2, 2)), x=x)
    assert (found.outcome, found.reason.split(",")[0]) == (UNTESTED, "W is all zeros")
    assert found_at(loss, lambda W, x: {"W": 2 * right(W, x)["W"]}, W=np.zeros((2, 2)), x=x).outcome == WRONG
    for shape in ((2,), (2, 1), (1, 2)):
        bias = found_at(lambda b: way(np.sum(np.sin(b))), lambda b: {"b": np.cos(b)}, b=np.zeros(shape))
        assert bias.outcome == RIGHT  # nothing flows back through a bias


def test_an_empty_parameter_is_not_tested() -> None:
    found = found_at(lambda w: np.sum(w * w) + 1.0, lambda w: {"w": w}, w=np.ones(0))
    assert found.outcome == UNTESTED


# --- fine disagreements -------------------------------------------------------------------------------


@both_ways
def test_an_epsilon_in_the_forward_is_not_called_wrong(way: Any) -> None:
    def loss(z: Any) -> Any:
        p = np.exp(z) / np.sum(np.exp(z))
        return way(-np.log(p[0] + 1e-6))

    def right(z: Any) -> dict[str, Any]:
        return {"z": np.exp(z) / np.sum(np.exp(z)) - np.eye(len(z))[0]}

    found = found_at(loss, right, z=np.array([0.1, 1.0, -0.3]))
    assert found.outcome != WRONG
    if found.outcome == UNKNOWN:
        assert found.nearly
        assert "epsilon" in found.reason
    off = found_at(loss, lambda z: {"z": 1.01 * right(z)["z"]}, z=np.array([0.1, 1.0, -0.3]))
    assert off.outcome == WRONG


@both_ways
def test_a_hand_gradient_in_float32(way: Any) -> None:
    def by_hand(w: Any) -> dict[str, Any]:
        return {"w": np.cos(w.astype(np.float32) * 1000) * 1000}

    found = found_at(lambda w: way(np.sum(np.sin(1000 * w))), by_hand, w=np.array([0.3123, 1.1456]))
    assert found.outcome == UNKNOWN
    assert "the precision of float32, which the hand gradient is (w.astype(np.float32) at " in found.reason


def test_a_small_gradient_in_float32_is_the_rounding_of_large_terms() -> None:
    def by_hand(w: Any) -> dict[str, Any]:
        return {"w": 1 - np.tanh(w.astype("f")) ** 2}

    loss = lambda w: np.sum(np.tanh(w))
    found = found_at(loss, by_hand, w=np.array([9.0]))
    assert found.outcome == UNKNOWN
    assert found.relative_error > 0.5
    assert (
        "too small to tell from the rounding of float32, which the hand gradient is (w.astype('f')"
        in found.reason
    )
    known = by_hand(np.array([9.0]))["w"]
    assert found_at(loss, lambda w: {"w": 1.0001 * known.astype("f")}, w=np.array([9.0])).outcome == UNKNOWN
    assert found_at(loss, lambda w: {"w": 2 * by_hand(w)["w"]}, w=np.array([1.0])).outcome == WRONG


def test_a_hand_gradient_in_float16() -> None:
    def by_hand(w: Any) -> dict[str, Any]:
        return {"w": 1 - np.tanh(w.astype(np.float16)) ** 2}

    found = found_at(lambda w: np.sum(np.tanh(w)), by_hand, w=np.array([0.3123, 2.1456]))
    assert found.outcome == UNKNOWN
    assert "the precision of float16, which the hand gradient is (w.astype(np.float16)" in found.reason
    twice = lambda w: {"w": 2 * by_hand(w)["w"]}
    assert found_at(lambda w: np.sum(np.tanh(w)), twice, w=np.array([0.3123, 2.1456])).outcome == WRONG


# --- shapes, numbers that are none --------------------------------------------------------------------


@both_ways
def test_a_gradient_of_another_shape_with_the_right_numbers(way: Any) -> None:
    loss = lambda b: way(np.sum(np.sin(b)))
    point = np.array([0.1, 0.2, 0.3])
    found = found_at(loss, lambda b: {"b": np.cos(b)[None, :]}, b=point)
    assert found.outcome == RIGHT
    assert found.reason == "has shape (1, 3), and its parameter (3,)"
    assert found_at(loss, lambda b: {"b": -np.cos(b)[:, None]}, b=point).outcome == WRONG
    assert found_at(loss, lambda b: {"b": np.ones(2)}, b=point).outcome == WRONG
    square = found_at(lambda W: way(np.sum(np.sin(W))), lambda W: {"W": np.cos(W).T}, W=np.ones((2, 3)))
    assert square.outcome == WRONG


@both_ways
def test_what_is_not_finite(way: Any) -> None:
    with np.errstate(all="ignore"):
        found = found_at(lambda w: way(np.sum(np.log(w))), lambda w: {"w": 1 / w}, w=np.array([-1.0]))
        assert found.outcome == UNKNOWN
    found = found_at(lambda w: way(np.sum(w * w)), lambda w: {"w": w * np.nan}, w=np.array([1.0]))
    assert (found.outcome, found.reason) == (WRONG, "is not finite")


# --- properties ---------------------------------------------------------------------------------------


def smooth(rng: np.random.Generator, way: Any) -> tuple[Any, Any, dict[str, Any]]:
    """A random smooth loss of two parameters, its gradient, and a point; with offsets, scales and noise."""
    W, n = rng.standard_normal((3, 4)), int(rng.integers(1, 5))
    W = W[:, :n]
    size, factor = 10.0 ** rng.uniform(-4, 4), 10.0 ** rng.uniform(-6, 6)
    offset = factor * 10.0 ** rng.uniform(-3, 6) * rng.integers(0, 2)
    noise = factor * 10.0 ** rng.uniform(-14, -4) * rng.integers(0, 2)

    def coarse(y: Any) -> Any:
        """Noise that is the same every time, and hides its steps from every way but values."""
        return way(y) if noise == 0 else noise * np.round(detour(y) / noise + 0.3)

    def loss(x: Any, b: Any) -> Any:
        h = np.tanh(W @ x / size + b)
        return coarse(factor * np.sum(h * h) + offset)

    def gradient(x: Any, b: Any) -> dict[str, Any]:
        h = np.tanh(W @ x / size + b)
        da = factor * 2 * h * (1 - h * h)
        return {"x": W.T @ da / size, "b": da}

    return loss, gradient, {"x": size * rng.standard_normal(n), "b": rng.standard_normal(3)}


@both_ways
@pytest.mark.parametrize("seed", range(40))
def test_never_wrong_and_never_right(way: Any, seed: int) -> None:
    loss, gradient, point = smooth(np.random.default_rng(seed), way)
    problem = problem_at(loss, gradient, point)
    for name, found in judge(problem, exact_gradient(problem), 1e-6).items():
        assert found.outcome in (RIGHT, UNKNOWN), (name, found)
    off = problem_at(loss, lambda **inputs: {n: 1.01 * g for n, g in gradient(**inputs).items()}, point)
    for name, found in judge(off, exact_gradient(off), 1e-6).items():
        assert found.outcome in (WRONG, UNKNOWN), (name, found)


def test_smooth_losses_are_right_to_1e9() -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        x, v = rng.standard_normal(5), rng.standard_normal(5)
        problem = problem_at(lambda w: detour(np.sum(np.tanh(w) ** 2)), lambda w: {"w": w}, {"w": x})
        s = slope(problem, {"w": v})
        true = float((2 * np.tanh(x) / np.cosh(x) ** 2) @ v)
        assert abs(s.value - true) <= s.error
        assert s.error <= 1e-9 * np.linalg.norm(v)


def test_the_error_of_a_slope_is_honest() -> None:
    """Over noise of many kinds: hardly ever is the slope further off than it says, and never by much."""
    rng = np.random.default_rng(0)
    over = []
    for _ in range(200):
        size, noise = 10.0 ** rng.uniform(-2, 2), 10.0 ** rng.uniform(-15, -2)
        a = rng.uniform(-1, 1)

        def smooth(t: float, a: float = a, size: float = size) -> float:
            return float(np.sin(a + size * t) + 0.5 * np.cos(2 * size * t))

        kinds: list[Any] = [
            lambda t, f=smooth, noise=noise: f(t) + noise * rng.standard_normal(),
            lambda t, f=smooth, noise=noise: noise * np.round(f(t) / noise),
            lambda t, f=smooth: float(np.float32(f(t))),
        ]
        f = kinds[rng.integers(3)]
        curve = curve_at_0(f)
        over.append(abs(curve.slope - size * np.cos(a)) / curve.error)
    assert np.mean(np.array(over) > 1) < 0.01
    assert max(over) < 3


# --- methods ----------------------------------------------------------------------------------------


def test_the_methods_and_what_they_know() -> None:
    def problem(loss: Any) -> Problem:
        return problem_at(loss, lambda w: {"w": 3 * w}, {"w": np.array([1.0, 2.0, -3.0])})

    exact = exact_gradient(problem(lambda w: np.sum(w * w)))
    assert (exact.method, exact.why) == (RECORDED, "")
    exact = exact_gradient(problem(lambda w: np.sum(np.unique(w) ** 2)))
    assert exact.method == COMPLEX_STEP
    np.testing.assert_allclose(exact.gradient["w"], [2, 4, -6], rtol=1e-12)
    assert exact.why
    exact = exact_gradient(problem(lambda w: detour(np.sum(w * w))))
    assert exact.method == DIFFERENCES
    np.testing.assert_allclose(exact.gradient["w"], [2, 4, -6], rtol=1e-9)
    assert np.linalg.norm(exact.gradient["w"] - [2, 4, -6]) <= exact.error["w"] < 1e-8


def test_a_complex_step_that_contradicts_differences_is_not_believed() -> None:
    loss = lambda w: np.sum(np.unique(w) ** 2) + np.abs(np.unique(w)).sum()
    exact = exact_gradient(problem_at(loss, lambda w: {"w": w}, {"w": np.array([-2.0, 1.0])}))
    assert exact.method == DIFFERENCES
    np.testing.assert_allclose(exact.gradient["w"], [-5, 3], rtol=1e-9)


def test_one_forward_a_direction_where_coordinates_are_many() -> None:
    calls = []

    def loss(W: Any, U: Any, b: Any) -> Any:
        calls.append(0)
        return detour(np.sum(np.tanh(W @ U + b) ** 2))

    def right(W: Any, U: Any, b: Any) -> dict[str, Any]:
        h = np.tanh(W @ U + b)
        d = 2 * h * (1 - h * h)
        return {"W": d @ U.T, "U": W.T @ d, "b": d.sum(0)}

    rng = np.random.default_rng(0)
    point = {"W": 0.1 * rng.standard_normal((32, 32)), "U": rng.standard_normal((32, 32)), "b": np.zeros(32)}
    problem = problem_at(loss, right, point)
    exact = exact_gradient(problem)
    assert not exact.gradient
    assert len(calls) < 60
    found = judge(problem, exact, 1e-6)
    assert [f.outcome for f in found.values()] == [RIGHT] * 3
    slipped = problem_at(loss, lambda **p: {**right(**p), "U": 1.01 * right(**p)["U"]}, point)
    calls.clear()
    assert len(exact_gradient(slipped).slopes["U"]) == 6
    assert len(calls) < 250
    found = judge(slipped, exact_gradient(slipped), 1e-6)
    assert [f.outcome for f in found.values()] == [RIGHT, WRONG, RIGHT]
    assert found["U"].relative_error == pytest.approx(0.01, rel=1e-4)


def test_a_record_that_lost_a_small_part_is_not_believed() -> None:
    loss = lambda w, b: np.sum(w * w) * 1e3 + 1e-3 * b**2
    right = {"w": np.array([2e3, 2e3]), "b": np.array(6e-3)}
    problem = problem_at(loss, lambda w, b: right, {"w": np.ones(2), "b": np.array(3.0)})
    value = float(problem.loss(problem.values))
    assert contradiction(problem, value, right, 1e-6) == ""
    assert "another slope" in contradiction(problem, value, {**right, "b": np.array(0.0)}, 1e-6)
    assert "another value" in contradiction(problem, value * 1.001, right, 1e-6)


def test_a_record_with_another_slope_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    point = np.ones(2)  # where both have the same value
    loss, right = lambda w: np.sum(w * w), lambda w: {"w": 2 * w}
    other = problem_at(lambda w: np.sum(w * w) + np.sum(w - 1.0), right, {"w": point})
    monkeypatch.setattr("tinygrad_np.referee.evidence.exact.record", lambda problem: record(other))
    exact = exact_gradient(problem_at(loss, right, {"w": point}))
    assert exact.method != RECORDED
    assert "the record has another slope than the forward" in exact.why
    assert found_at(loss, right, w=point).outcome == RIGHT


# --- random forwards --------------------------------------------------------------------------------

GENERATOR = np.random.default_rng(0)
PYTHONS = random.Random(0)


class Dropout:
    def __init__(self, seed: int):
        self.rng = np.random.RandomState(seed)

    def __call__(self, w: Any) -> Any:
        return np.sum(w * (self.rng.random_sample(w.shape) < 0.999))

    def value(self, w: Any) -> Any:
        return self(w)


def helper(w: Any) -> Any:
    return w * (GENERATOR.random(w.shape) < 0.999)


def closure() -> Any:
    rng = np.random.default_rng(1)

    def loss(w: Any) -> Any:
        return np.sum(w * (rng.random(w.shape) < 0.999))

    return loss


RANDOM = {
    "global": lambda w: np.sum(w * (np.random.rand(*w.shape) < 0.999)),  # noqa: NPY002
    "python": lambda w: np.sum(w) * (random.random() < 0.999),
    "an object of python's": lambda w: np.sum(w) * (PYTHONS.random() < 0.999),
    "a generator in a helper": lambda w: np.sum(helper(w)),
    "in a closure": closure(),
    "in a default": lambda w, r=np.random.default_rng(3): np.sum(w * (r.random(2) < 0.999)),  # noqa: B008
    "in an object": Dropout(0),
    "in a method": Dropout(0).value,
    "fresh": lambda w: np.sum(w * (np.random.default_rng().random(w.shape) < 0.7)),
}


@pytest.mark.parametrize("name", RANDOM)
def test_a_random_forward_is_refused_and_not_by_luck(name: str) -> None:
    problem = Problem(
        {"w": np.ones(2)}, {"w": np.ones(2)}, lambda convert, v: RANDOM[name](v["w"]), RANDOM[name], print
    )
    with pytest.raises(
        ValueError, match=r"your forward (is random|gives another value every time).*fix its seed|Fix"
    ):
        check_repeatable(problem)


def seeds_itself(w: Any) -> Any:
    np.random.seed(0)  # noqa: NPY002
    return np.sum(w * (np.random.rand(*w.shape) < 0.5) * np.random.default_rng(0).random(w.shape))  # noqa: NPY002


def test_a_forward_that_seeds_itself_or_gets_its_mask_is_fine() -> None:
    mask = np.random.default_rng(0).random(3) < 0.5
    for loss in (seeds_itself, lambda w: np.sum(w * mask)):
        check_repeatable(problem_at(loss, lambda w: {"w": w}, {"w": np.ones(3)}))
    given = problem_at(
        lambda w, rng: np.sum(w * rng.random(3)), lambda w, rng: {"w": w}, {"w": np.ones(3), "rng": GENERATOR}
    )
    check_repeatable(given)  # every call gets a copy in the same state


def test_a_forward_that_keeps_something_is_refused() -> None:
    kept = [0]

    def loss(w: Any) -> Any:
        kept[0] += 1
        return np.sum(w) * kept[0]

    with pytest.raises(ValueError, match=r"another value every time, .* and then .*keeps something"):
        check_repeatable(problem_at(loss, lambda w: {"w": w}, {"w": np.ones(3)}))


# --- epsilons ---------------------------------------------------------------------------------------

EPS = 3e-6


class Loss:
    def __init__(self, eps: float):
        self.eps = eps

    def __call__(self, z: Any) -> Any:
        return -np.log(softmax(z)[0] + self.eps)


def softmax(z: Any) -> Any:
    return np.exp(z) / np.sum(np.exp(z))


def softmax_gradient(z: Any) -> dict[str, Any]:
    return {"z": softmax(z) - np.eye(len(z))[0]}


def written_out(z: Any) -> Any:
    return -np.log(softmax(z)[0] + 1e-6)


def a_global(z: Any) -> Any:
    return -np.log(softmax(z)[0] + EPS)


def a_default(z: Any, eps: float = 2e-6) -> Any:
    return -np.log(softmax(z)[0] + eps)


def in_a_helper(z: Any) -> Any:
    return written_out(z) + 1e-4 * 0


@pytest.mark.parametrize(
    ("loss", "told"),
    [
        (written_out, "1e-06 at test_referee_exact.py:"),
        (a_global, "3e-06 at test_referee_exact.py:"),
        (a_default, "2e-06 at test_referee_exact.py:"),
        (in_a_helper, "1e-06 at test_referee_exact.py:"),
        (Loss(5e-6), "5e-06"),
    ],
    ids=["written out", "a global", "a default", "in a helper", "an attribute"],
)
def test_a_gradient_of_the_loss_without_its_epsilon_is_right_and_told(loss: Any, told: str) -> None:
    point = np.array([0.1, 1.0, -0.3])
    found = found_at(loss, softmax_gradient, z=point)
    assert found.outcome == RIGHT, found
    assert found.relative_error > 1e-6
    assert f"agrees once {told}" in found.reason
    assert "1e-04" not in found.reason
    slightly = found_at(loss, lambda z: {"z": softmax_gradient(z)["z"] * (1 + 3e-5)}, z=point)
    assert slightly.outcome == UNKNOWN
    assert slightly.nearly


def test_a_weight_decay_is_no_epsilon() -> None:
    """Without it the gradient is that of another loss, and nothing says that this one was meant."""
    decay, point = 1e-4, np.array([0.1, 1.0, -0.3])
    losses = [
        lambda z: -np.log(softmax(z)[0]) + 1e-4 * np.sum(z * z),
        lambda z: -np.log(softmax(z)[0]) + decay * np.sum(z * z),
        lambda z, lam=1e-4: -np.log(softmax(z)[0]) + np.sum(z * z) * lam,
    ]
    for loss in losses:
        found = found_at(loss, softmax_gradient, z=point)
        assert found.outcome == UNKNOWN
        assert found.nearly


def test_a_random_hand_gradient_is_refused() -> None:
    def dropped(w: Any) -> dict[str, Any]:
        return {"w": w * (GENERATOR.random(w.shape) < 0.999)}

    def fresh(w: Any) -> dict[str, Any]:
        return {"w": w * np.random.default_rng().random(w.shape)}

    def make(gradient: Any) -> Problem:
        return problem_at(lambda w: np.sum(w * w), gradient, {"w": np.ones(2)})

    with pytest.raises(ValueError, match="your hand gradient is random: fix its seed or pass the mask"):
        check_repeatable(make(dropped), lambda: make(dropped))
    with pytest.raises(
        ValueError, match="your hand gradient gives another value every time, arrays and then"
    ):
        check_repeatable(make(fresh), lambda: make(fresh))
    check_repeatable(make(lambda w: {"w": 2 * w}), lambda: make(lambda w: {"w": 2 * w}))
    with pytest.raises(ValueError, match="your hand gradient is random"):
        referee(lambda w: np.sum(w * w), dropped, {"w": np.ones(2)})


def test_a_loss_that_is_cut_to_whole_numbers_is_not_judged() -> None:
    def loss(w: Any) -> Any:
        h = np.zeros(1, dtype=int)
        h[0] = 10 * w[0]
        return h.sum()

    verdict = referee(loss, lambda w: {"w": np.array([10.0])}, {"w": np.array([0.34])})
    assert verdict.outcome == "cannot tell"
    assert "test_referee_exact.py:" in str(verdict)
