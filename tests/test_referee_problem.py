"""Somebody's code goes in as it is, in every form that people write: right gradients and wrong ones.

Each network here stands in one style. It is tried with a right gradient and with a slip, through the door that
somebody would use.
"""

from __future__ import annotations

import copy
import itertools
import threading
from collections import namedtuple
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tinygrad_np import testing
from tinygrad_np.referee import Case, assert_gradient, referee, referee_layer
from tinygrad_np.referee.intake.places import copied
from tinygrad_np.referee.intake.problem import Problem, problem_at, unchanged


def slope_errors(problem: Problem) -> dict[str, float]:
    """How far the hand gradient is from differences of the loss, along a random direction of each parameter."""
    rng = np.random.default_rng(1)
    errors = {}
    for name, x in problem.values.items():
        if problem.claimed[name].shape != x.shape:
            errors[name] = np.inf
            continue
        v, h = rng.standard_normal(x.shape), 1e-5
        up, down = (problem.loss({**problem.values, name: x + s * v}) for s in (h, -h))
        slope, by_hand = (up - down) / (2 * h), float(np.sum(problem.claimed[name] * v))
        errors[name] = abs(slope - by_hand) / (abs(slope) + abs(by_hand) + 1e-9)
    return errors


def right(problem: Problem, *names: str) -> Problem:
    """The problem, if it has these parameters and the gradient of all is right."""
    assert list(problem.values) == list(names)
    assert max(slope_errors(problem).values()) < 1e-7
    return problem


def wrong(problem: Problem) -> list[str]:
    return [name for name, error in slope_errors(problem).items() if error > 1e-4]


rng = np.random.default_rng(0)
x, W, b = rng.standard_normal((4, 3)), rng.standard_normal((3, 2)), rng.standard_normal(2)
R = rng.standard_normal((4, 2))


def loss(x: Any, W: Any, b: Any) -> Any:
    return np.sum(np.tanh(x @ W + b) * R)


def gradients(x: Any, W: Any, b: Any, slip: bool = False) -> tuple[Any, Any, Any]:
    da = R * (1 - np.tanh(x @ W + b) ** (1 if slip else 2))
    return da @ W.T, x.T @ da, da.sum(axis=0)


# --- arguments ----------------------------------------------------------------------------------------


def by_name(x: Any, W: Any, b: Any) -> Any:
    _, dW, db = gradients(x, W, b)
    return {"W": dW, "b": db}


def other_order(b: Any, W: Any, x: Any) -> Any:
    return by_name(x, W, b)


def other_names(inputs: Any, weight: Any, bias: Any) -> Any:
    return by_name(inputs, weight, bias)


def without_x(W: Any, b: Any) -> Any:
    return by_name(x, W, b)


def starred(*arguments: Any) -> Any:
    return by_name(*arguments)


def double_starred(**inputs: Any) -> Any:
    return by_name(**inputs)


def positions_only(inputs: Any, weight: Any, bias: Any, /) -> Any:
    return by_name(inputs, weight, bias)


def with_an_option(x: Any, W: Any, b: Any, dropout: float = 0.0, *, verbose: bool = False) -> Any:
    assert dropout == 0.0
    return by_name(x, W, b)


@pytest.mark.parametrize(
    "gradient",
    [by_name, other_order, other_names, without_x, starred, double_starred, positions_only, with_an_option],
)
@pytest.mark.parametrize("inputs", [{"x": x, "W": W, "b": b}, (x, W, b), [x, W, b]])
def test_inputs_go_in_by_name_or_by_position(gradient: Any, inputs: Any) -> None:
    right(problem_at(loss, gradient, inputs), "W", "b")


def test_a_forward_with_other_names_than_the_inputs() -> None:
    right(problem_at(lambda p, q, r: loss(p, q, r), by_name, {"x": x, "W": W, "b": b}), "W", "b")


def test_what_does_not_fit_is_said_in_one_sentence() -> None:
    with pytest.raises(ValueError, match="3 inputs are given, and the forward loss takes 2"):
        problem_at(SimpleNamespaceLoss().loss, by_name, (x, W, b))

    def f(x: Any, W: Any, Q: Any, Z: Any) -> Any: ...

    with pytest.raises(
        ValueError, match="the hand gradient f takes Q, Z, and the inputs are x, W, b; b would be"
    ):
        problem_at(loss, f, {"x": x, "W": W, "b": b})
    with pytest.raises(
        TypeError, match="the inputs are a mapping by name, or a tuple of arguments, and here ndarray"
    ):
        problem_at(loss, by_name, x)
    with pytest.raises(TypeError, match="the forward is a function or method, and here float"):
        problem_at(1.0, by_name, (x,))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="xs is a generator, which can be gone through once: give a list"):
        problem_at(lambda xs: sum(xs), lambda xs: None, {"xs": (v for v in (1.0, 2.0))})


class SimpleNamespaceLoss:
    def loss(self, x: Any, W: Any) -> Any:
        return np.sum(x @ W)


# --- where the parameters are -------------------------------------------------------------------------


def test_parameters_in_a_dict() -> None:
    def forward(x: Any, params: Any) -> Any:
        return loss(x, params["W"], params["b"])

    def gradient(x: Any, params: Any) -> Any:
        _, dW, db = gradients(x, params["W"], params["b"])
        return {"dW": dW, "db": db}

    problem = right(problem_at(forward, gradient, {"x": x, "params": {"W": W, "b": b}}), "W", "b")
    assert problem.notes == ("no gradient of x was given",)

    def slips(x: Any, params: Any) -> Any:
        _, dW, db = gradients(x, params["W"], params["b"], slip=True)
        return {"params": {"W": dW, "b": db}}

    assert wrong(problem_at(forward, slips, {"x": x, "params": {"W": W, "b": b}})) == ["W", "b"]


LAYERS = [{"W": rng.standard_normal((3, 3)), "b": rng.standard_normal(3)} for _ in range(3)]


def deep(x: Any, layers: Any) -> Any:
    for layer in layers:
        x = np.tanh(x @ layer["W"] + layer["b"])
    return 0.5 * np.sum(x**2)


def deep_gradients(x: Any, layers: Any, slip: bool = False) -> list[dict[str, Any]]:
    xs = [x]
    for layer in layers:
        xs.append(np.tanh(xs[-1] @ layer["W"] + layer["b"]))
    d, found = xs[-1], []
    for layer, into, out in reversed(list(zip(layers, xs, xs[1:], strict=False))):
        d = d * (1 - out**2)
        found.insert(0, {"W": into.T @ d, "b": d.sum(axis=0)})
        d = d @ (layer["W"] if slip else layer["W"].T)
    return found


DEEP = (
    "layers[0]['W']",
    "layers[0]['b']",
    "layers[1]['W']",
    "layers[1]['b']",
    "layers[2]['W']",
    "layers[2]['b']",
)


def test_a_flat_tuple_of_the_gradients_of_a_list() -> None:
    def forward(h0: Any, params: Any) -> Any:
        return np.sum(np.tanh(h0 @ params[0]) @ params[1])

    def gradient(h0: Any, params: Any) -> Any:
        h = np.tanh(h0 @ params[0])
        ones = np.ones((3, 3))
        return h0.T @ (ones @ params[1].T * (1 - h**2)), h.T @ ones

    right(problem_at(forward, gradient, (S, [S + 1, S - 1])), "params[0]", "params[1]")


@pytest.mark.parametrize(
    "form",
    [
        lambda grads: grads,
        lambda grads: {"layers": grads},
        lambda grads: {"layers": [{"dW": g["W"], "db": g["b"]} for g in grads]},
        lambda grads: (None, grads),
        lambda grads: {
            f"layers[{i}]['{name}']": g for i, layer in enumerate(grads) for name, g in layer.items()
        },
    ],
)
def test_a_list_of_the_dicts_of_layers(form: Any) -> None:
    inputs = {"x": x, "layers": LAYERS}
    right(problem_at(deep, lambda x, layers: form(deep_gradients(x, layers)), inputs), *DEEP)
    assert wrong(problem_at(deep, lambda x, layers: form(deep_gradients(x, layers, slip=True)), inputs)) == [
        *DEEP[:4]
    ]


def test_weights_and_biases_in_two_lists() -> None:
    def forward(x: Any, Ws: Any, bs: Any) -> Any:
        return deep(x, [{"W": W, "b": b} for W, b in zip(Ws, bs, strict=True)])

    def gradient(x: Any, Ws: Any, bs: Any) -> Any:
        grads = deep_gradients(x, [{"W": W, "b": b} for W, b in zip(Ws, bs, strict=True)])
        dWs, dbs = [g["W"] for g in grads], [g["b"] for g in grads]
        return dWs, dbs

    inputs = (x, [layer["W"] for layer in LAYERS], [layer["b"] for layer in LAYERS])
    right(problem_at(forward, gradient, inputs), "Ws[0]", "Ws[1]", "Ws[2]", "bs[0]", "bs[1]", "bs[2]")


Pair = namedtuple("Pair", "W b")


@dataclass(frozen=True)
class Frozen:
    W: Any
    b: Any


class Slots:
    __slots__ = ("W", "b")

    def __init__(self, W: Any, b: Any):
        self.W, self.b = W, b


@pytest.mark.parametrize("kind", [Pair, Frozen, Slots, lambda W, b: SimpleNamespace(W=W, b=b)])
def test_parameters_are_attributes_of_an_object(kind: Any) -> None:
    net = kind(W, b)

    def forward(x: Any, net: Any) -> Any:
        return loss(x, net.W, net.b)

    def gradient(x: Any, net: Any) -> Any:
        _, dW, db = gradients(x, net.W, net.b)
        return kind(dW, db)

    right(problem_at(forward, gradient, {"x": x, "net": net}), "W", "b")
    assert net.W is W


def test_numbers_and_lists_of_numbers_are_parameters() -> None:
    def forward(w: list[float], scale: float, n: int) -> float:
        assert {type(scale), type(w[0])} == {float}
        assert type(w) is list
        return scale * sum(v**n for v in w)

    def gradient(w: list[float], scale: float, n: int) -> Any:
        return {"w": [scale * n * v ** (n - 1) for v in w], "scale": sum(v**n for v in w)}

    problem = problem_at(forward, gradient, {"w": [1.0, 2.0], "scale": 0.5, "n": 3})
    right(problem, "w", "scale")
    np.testing.assert_array_equal(problem.claimed["w"], [1.5, 6.0])


def test_one_name_in_two_places_is_asked_for() -> None:
    def forward(one: Any, two: Any) -> Any:
        return np.sum(one["W"] * two["W"])

    inputs = {"one": {"W": W}, "two": {"W": 2 * W}}
    with pytest.raises(
        ValueError, match=r"dW may be the gradient of one\['W'\] or of two\['W'\]: give gradients"
    ):
        problem_at(forward, lambda one, two: {"dW": two["W"]}, inputs)
    right(problem_at(forward, lambda one, two: {"one": {"W": two["W"]}}, inputs), "one['W']")


def test_an_array_that_stands_in_two_places_is_one_parameter() -> None:
    tied = {"E": W}

    def forward(p: Any, q: Any) -> Any:
        assert p["E"] is q["E"]
        return np.sum(p["E"] * q["E"])

    problem = problem_at(forward, lambda p, q: {"E": 2 * p["E"]}, {"p": tied, "q": {"E": W}})
    right(problem, "E")


def test_two_arrays_that_share_memory_are_refused_if_one_is_a_parameter() -> None:
    theta = np.arange(6.0)

    def forward(theta: Any, W: Any) -> Any:
        return np.sum(W**2)

    with pytest.raises(
        ValueError, match="theta and W share memory, and the copies that are worked on would not"
    ):
        problem_at(forward, lambda theta, W: {"theta": 2 * theta}, {"theta": theta, "W": theta.reshape(2, 3)})

    class Views:
        def __init__(self) -> None:
            self.theta = theta
            self.W = theta[:4].reshape(2, 2)

        def loss(self) -> Any:
            return np.sum(self.W**2) + np.sum(self.theta)

    with pytest.raises(ValueError, match=r"theta and self.W share memory"):
        problem_at(Views().loss, lambda: {"theta": np.where(np.arange(6) < 4, 2 * theta, 0) + 1}, ())
    right(problem_at(lambda x, h0: np.sum(x * h0), lambda x, h0: {"x": h0 * np.ones((4, 3))}, (x, x[0])), "x")


# --- what gradients are called ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "W",
        "dW",
        "d_W",
        "grad_W",
        "gW",
        "W_grad",
        "Wgrad",
        "W_g",
        "dL_dW",
        "dLdW",
        "delta_W",
        "W.grad",
        "gradW",
        "w",
        "dw",
    ],
)
def test_spellings_of_a_gradient(name: str) -> None:
    problem = problem_at(lambda x, W: np.sum(x @ W), lambda x, W: {name: x.T @ np.ones((4, 2))}, (x, W))
    right(problem, "W")


def test_two_gradients_of_one_parameter_are_asked_about() -> None:
    with pytest.raises(ValueError, match="both dW and grad_W may be the gradient of W: give one of them"):
        problem_at(loss, lambda x, W, b: {"dW": W, "grad_W": 2 * W}, (x, W, b))
    right(problem_at(lambda W: np.sum(W**2), lambda W: {"dW": 2 * W, "grad_W": 2 * W}, (W,)), "W")
    problem = problem_at(lambda W: np.sum(W**2), lambda W: {"dW": W, "W": 2 * W}, (W,))
    right(problem, "W")
    assert "dW left aside: no gradient of W" in problem.notes


def test_a_name_as_it_is_goes_before_what_it_may_be_spelled_from() -> None:
    def forward(h: Any, dh: Any) -> Any:
        return np.sum(h * dh**2)

    right(problem_at(forward, lambda h, dh: {"dh": 2 * h * dh, "h": dh**2}, (x, x + 1)), "dh", "h")


def test_gradients_of_other_things_are_left_aside_with_a_note() -> None:
    def gradient(x: Any, W: Any, b: Any) -> Any:
        dx, dW, _ = gradients(x, W, b)
        return {"dz": dx, "dW": dW}

    problem = right(problem_at(loss, gradient, (x, W, b)), "W")
    assert "dz left aside: no gradient of x, W, b" in problem.notes
    assert "no gradient of x, b was given" in problem.notes


def test_no_gradient_at_all() -> None:
    with pytest.raises(
        ValueError, match="gives δ, dq, and the parameters are x, W, b: call the gradient of x"
    ):
        problem_at(loss, lambda x, W, b: {"δ": x, "dq": W}, (x, W, b))
    with pytest.raises(
        TypeError, match="returns nothing, and no gradient is found in it or left on the inputs"
    ):
        problem_at(loss, lambda x, W, b: None, (x, W, b))


# --- tuples -------------------------------------------------------------------------------------------


def test_a_tuple_in_the_order_of_the_arguments() -> None:
    right(problem_at(loss, lambda x, W, b: gradients(x, W, b), (x, W, b)), "x", "W", "b")
    right(problem_at(loss, lambda x, W, b: gradients(x, W, b)[1:], (x, W, b)), "W", "b")
    right(problem_at(loss, lambda x, W, b: list(gradients(x, W, b)), (x, W, b)), "x", "W", "b")
    right(problem_at(loss, lambda x, W, b: (None, *gradients(x, W, b)[1:]), (x, W, b)), "W", "b")
    assert wrong(problem_at(loss, lambda x, W, b: gradients(x, W, b, slip=True), (x, W, b))) == [
        "x",
        "W",
        "b",
    ]


def test_one_of_a_tuple_in_another_shape_is_still_of_its_parameter() -> None:
    def transposed(x: Any, W: Any, b: Any) -> Any:
        return gradients(x, W, b)[0], gradients(x, W, b)[1].T, gradients(x, W, b)[2]

    assert wrong(problem_at(loss, transposed, (x, W, b))) == ["W"]


def square(x: Any, W: Any, U: Any) -> Any:
    return np.sum(x @ W @ U)


S = rng.standard_normal((3, 3))
SQUARE = {"x": S, "W": S + 1, "U": S * 2}


def test_names_in_the_return_statement_go_before_order() -> None:
    def gradient(x: Any, W: Any, U: Any) -> Any:
        ones = np.ones((3, 3))
        dW, dU = x.T @ ones @ U.T, (x @ W).T @ ones
        return dU, dW

    right(problem_at(square, gradient, SQUARE), "U", "W")


def test_two_possible_orders_are_no_order() -> None:
    with pytest.raises(
        ValueError, match=r"which may be the gradients of x, W or of x, U: return them by name"
    ):
        problem_at(square, lambda x, W, U: (S, S.T), SQUARE)


def test_the_loss_in_front_and_a_state_behind() -> None:
    def both(x: Any, W: Any, b: Any) -> Any:
        h = np.tanh(x @ W + b)
        value = np.sum(h * R)
        _, dW, db = gradients(x, W, b)
        return value, dW, db, h[-1]

    problem = right(problem_at(both, both, (x, W, b)), "W", "b")  # b has the shape of the state
    assert not any("loss" in note for note in problem.notes)
    right(problem_at(loss, lambda x, W, b: (loss(x, W, b), by_name(x, W, b)), (x, W, b)), "W", "b")


def test_a_gradient_alone() -> None:
    right(problem_at(lambda w: np.sum(w**3), lambda w: 3 * w**2, (b,)), "w")
    right(problem_at(lambda x, w: np.sum((x @ w) ** 2), lambda x, w: 2 * x.T @ (x @ w), (x, W)), "w")


# --- the loss among what the forward returns ----------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "note"),
    [
        (lambda value, h: (value, h), ""),
        (lambda value, h: (h, value), ""),
        (lambda value, h: [value, {"h": h}], ""),
        (lambda value, h: {"h": h, "loss": value}, ""),
        (lambda value, h: {"accuracy": 0.5, "loss": value}, ""),
        (lambda value, h: (3, value), ""),
        (lambda value, h: np.array([[value]]), ""),
        (lambda value, h: SimpleNamespace(h=h, loss=value), ""),
        (lambda value, h: (value, 0.5), "number 1 of what the forward returns is taken as the loss"),
    ],
)
def test_the_loss_is_found(form: Any, note: str) -> None:
    def forward(x: Any, W: Any, b: Any) -> Any:
        return form(loss(x, W, b), x @ W)

    problem = right(problem_at(forward, by_name, (x, W, b)), "W", "b")
    assert not note or note in problem.notes


def test_a_number_that_is_no_loss_is_not_taken_for_one() -> None:
    def forward(x: Any, W: Any) -> Any:
        return np.tanh(x @ W), 0.5, len(x)

    def gradient(x: Any, W: Any, dout: Any) -> Any:
        return {"W": x.T @ (dout * (1 - np.tanh(x @ W) ** 2))}

    right(problem_at(forward, gradient, (x, W)), "W")
    with pytest.raises(
        ValueError, match="number 2 of what the forward returns would be the loss, but depends on no"
    ):
        problem_at(forward, lambda x, W: {"W": W}, (x, W))


def test_the_gradient_takes_what_the_forward_returned_besides() -> None:
    def forward(x: Any, W: Any, b: Any) -> Any:
        h = np.tanh(x @ W + b)
        return np.sum(h * R), h

    def with_cache(x: Any, W: Any, b: Any, cache: Any) -> Any:
        return {"W": x.T @ (R * (1 - cache**2))}

    def by_its_name(h: Any, x: Any) -> Any:
        return {"W": x.T @ (R * (1 - h**2))}

    def one_more(x: Any, W: Any, b: Any, states: Any) -> Any:
        return {"W": x.T @ (R * (1 - states**2))}

    for gradient in (with_cache, by_its_name, one_more):
        right(problem_at(forward, gradient, (x, W, b)), "W")

    def cache_alone(cache: Any) -> Any:
        x, h = cache
        dW = x.T @ (R * (1 - h**2))
        return dW

    def tuple_cache(x: Any, W: Any, b: Any) -> Any:
        value, h = forward(x, W, b)
        return value, (x, h)

    right(problem_at(tuple_cache, cache_alone, (x, W, b)), "W")


def test_outputs_and_no_loss_get_a_random_cotangent() -> None:
    def forward(x: Any, W: Any) -> Any:
        return np.tanh(x @ W)

    def gradient(x: Any, W: Any, dout: Any, slip: bool = False) -> Any:
        da = dout * (1 - np.tanh(x @ W) ** (3 if slip else 2))
        return da @ W.T, x.T @ da

    problem = right(problem_at(forward, gradient, (x, W)), "x", "W")
    assert problem.notes[0] == (
        "the forward has no loss of its own: it is taken as sum(out * dout) with fixed random dout"
    )
    right(problem_at(forward, lambda R, x, W: gradient(x, W, R), {"x": x, "W": W}), "x", "W")
    assert wrong(problem_at(forward, lambda x, W, dh: gradient(x, W, dh, slip=True), (x, W))) == ["x", "W"]
    with pytest.raises(
        ValueError, match=r"forward returns an array of \(4, 2\) and no loss: let it return one number"
    ):
        problem_at(forward, lambda x, W: (x, W), (x, W))
    with pytest.raises(ValueError, match="the forward returns one number, the loss, and here a str"):
        problem_at(lambda x: "x", lambda x: x, (x,))


# --- objects ------------------------------------------------------------------------------------------


class Net:
    """As people write it: parameters, caches and gradients are attributes, loss and backward are methods."""

    def __init__(self, W: Any, b: Any, slip: bool = False):
        self.W, self.b, self.slip = W.copy(), b.copy(), slip
        self.dW, self.db = np.zeros_like(W), np.zeros_like(b)

    def loss(self, x: Any) -> Any:
        self.x, self.h = x, np.tanh(x @ self.W + self.b)
        return np.sum(self.h * R)

    def backward(self) -> Any:
        da = R * (1 - self.h ** (1 if self.slip else 2))
        self.dW[:] = self.x.T @ da
        self.db = da.sum(axis=0)
        self.dh = R

    def adds_up(self) -> None:
        da = R * (1 - self.h**2)
        self.dW += self.x.T @ da
        self.db += da.sum(axis=0)

    def gradient(self, x: Any) -> Any:
        self.loss(x)
        self.backward()
        return {"W": self.dW, "b": self.db}

    def of_the_last(self, x: Any) -> Any:
        self.backward()
        return self.dW, self.db


def test_methods_of_an_object() -> None:
    net = Net(W, b)
    right(problem_at(net.loss, net.backward, (x,)), "W", "b")
    right(problem_at(net.loss, net.gradient, {"x": x}), "W", "b")
    assert not hasattr(net, "h")
    assert not net.dW.any()
    slips = Net(W, b, slip=True)
    assert wrong(problem_at(slips.loss, slips.backward, (x,))) == ["W", "b"]
    assert wrong(problem_at(slips.loss, slips.gradient, (x,))) == ["W", "b"]


def test_an_object_that_was_used_before() -> None:
    net = Net(W, b)
    net.loss(2 * x)
    net.adds_up()
    net.adds_up()
    before = copy.deepcopy(vars(net))
    right(problem_at(net.loss, net.backward, (x,)), "W", "b")
    right(problem_at(net.loss, net.gradient, (x,)), "W", "b")
    right(
        problem_at(net.loss, net.of_the_last, (x,)), "W", "b"
    )  # relies on a forward, and one is there already
    problem = right(problem_at(net.loss, net.adds_up, (x,)), "W", "b")
    assert "self.dW, self.db held numbers from before, and are set to 0 first" in problem.notes
    for name, value in vars(net).items():
        np.testing.assert_array_equal(value, before[name])


def test_a_state_that_goes_on_from_call_to_call() -> None:
    class Stateful:
        def __init__(self) -> None:
            self.U, self.h = S.copy(), np.ones(3)

        def loss(self, x: Any) -> Any:
            self.before = self.h
            for row in x:
                self.h = np.tanh(row + self.U @ self.h)
            return self.h.sum()

        def gradient(self, x: Any) -> Any:
            hs = [self.h]
            for row in x:
                hs.append(np.tanh(row + self.U @ hs[-1]))
            self.h, dh, dU = hs[-1], np.ones(3), np.zeros_like(self.U)
            for t in reversed(range(len(x))):
                da = dh * (1 - hs[t + 1] ** 2)
                dU, dh = dU + np.outer(da, hs[t]), self.U.T @ da
            return {"dU": dU}

    net = Stateful()
    right(problem_at(net.loss, net.gradient, (x,)), "U")
    net.loss(x)
    right(problem_at(net.loss, net.gradient, (x,)), "U")


def test_gradients_in_a_dict_of_the_object_and_parameters_in_another() -> None:
    class Model:
        def __init__(self) -> None:
            self.params, self.grads = {"W": W.copy(), "b": b.copy()}, {}

        def loss(self, x: Any) -> Any:
            self.h = np.tanh(x @ self.params["W"] + self.params["b"])
            return np.sum(self.h * R), self.h

        def backward(self, x: Any) -> None:
            da = R * (1 - self.h**2)
            self.grads["W"], self.grads["b"] = x.T @ da, da.sum(axis=0)

        def loss_and_gradients(self, x: Any) -> Any:
            value, _ = self.loss(x)
            self.backward(x)
            return value, self.grads

    model = Model()
    right(problem_at(model.loss, model.backward, (x,)), "W", "b")
    right(problem_at(model.loss_and_gradients, model.loss_and_gradients, (x,)), "W", "b")
    right(problem_at(model.loss, model.loss_and_gradients, (x,)), "W", "b")


def test_a_parameter_that_is_an_object_with_value_and_gradient() -> None:
    class Param:
        def __init__(self, value: Any):
            self.v, self.d, self.m = value.copy(), np.zeros_like(value), np.zeros_like(value)

    class Holder:
        def __init__(self) -> None:
            self.W, self.b = Param(W), Param(b)

        def forward(self, x: Any) -> Any:
            self.x, self.h = x, np.tanh(x @ self.W.v + self.b.v)
            return np.sum(self.h * R)

        def backward(self) -> None:
            da = R * (1 - self.h**2)
            self.W.d += self.x.T @ da
            self.b.d += da.sum(axis=0)

    holder = Holder()
    right(problem_at(holder.forward, holder.backward, (x,)), "W.v", "b.v")


def test_a_dict_among_the_inputs_that_gradients_are_written_to() -> None:
    def forward(x: Any, params: Any, grads: Any) -> Any:
        return loss(x, params["W"], params["b"])

    def gradient(x: Any, params: Any, grads: Any) -> None:
        _, grads["W"], grads["b"] = gradients(x, params["W"], params["b"])

    inputs: dict[str, Any] = {"x": x, "params": {"W": W, "b": b}, "grads": {}}
    right(problem_at(forward, gradient, inputs), "W", "b")
    assert not inputs["grads"]

    def beside(x: Any, params: Any, grads: Any) -> None:
        _, params["dW"], params["db"] = gradients(x, params["W"], params["b"])

    right(problem_at(forward, beside, inputs), "W", "b")
    assert list(inputs["params"]) == ["W", "b"]


def test_what_the_forward_overwrites_is_no_parameter() -> None:
    net = Net(W, b)
    net.loss(x)
    net.backward()
    problem = problem_at(net.loss, net.backward, (x,))  # it has h and leaves dh
    right(problem, "W", "b")


# --- global variables ---------------------------------------------------------------------------------

Wxh, Whh, bh = rng.standard_normal((3, 2)), rng.standard_normal((3, 3)), rng.standard_normal((3, 1))
GLOBAL_PARAMETERS = {"Why": rng.standard_normal((2, 3))}


def step(x_t: Any, h: Any) -> Any:
    return np.tanh(Wxh @ x_t + Whh @ h + bh)


def loss_of_globals(xs: Any, hprev: Any) -> Any:
    """Loss and gradient in one function of global parameters, as the smallest character models are written."""
    global Whh
    hs, total = {-1: hprev}, 0.0
    for t in range(len(xs)):
        hs[t] = step(xs[t], hs[t - 1])
        total += np.sum((GLOBAL_PARAMETERS["Why"] @ hs[t]) ** 2)
    dWxh, dWhh, dbh, dhnext = np.zeros_like(Wxh), np.zeros_like(Whh), np.zeros_like(bh), np.zeros_like(hprev)
    dWhy = np.zeros((2, 3))
    for t in reversed(range(len(xs))):
        dy = 2 * GLOBAL_PARAMETERS["Why"] @ hs[t]
        dWhy += dy @ hs[t].T
        da = (GLOBAL_PARAMETERS["Why"].T @ dy + dhnext) * (1 - hs[t] ** 2)
        dWxh, dWhh, dbh = dWxh + da @ xs[t].T, dWhh + da @ hs[t - 1].T, dbh + da
        dhnext = Whh.T @ da
    Whh = Whh - 0.1 * dWhh  # a step of training, which stays in the copy
    return total, dWxh, dWhh, dbh, dWhy, hs[len(xs) - 1]


COLUMNS = [rng.standard_normal((2, 1)) for _ in range(3)]


def test_parameters_that_are_global_variables() -> None:
    before = Whh
    problem = problem_at(loss_of_globals, loss_of_globals, (COLUMNS, np.zeros((3, 1))))
    right(problem, "Wxh", "Whh", "bh", "Why")
    assert (
        "GLOBAL_PARAMETERS, Wxh, bh: taken from the global variables that the forward reads" in problem.notes
    )
    assert "no gradient of xs, hprev was given" in problem.notes
    assert Whh is before
    verdict = referee(loss_of_globals, loss_of_globals, (COLUMNS, np.zeros((3, 1))))
    assert (verdict.outcome, verdict.method) == ("right", "recorded")


def test_an_object_in_a_variable_around_the_functions() -> None:
    net = Net(W, b)

    def forward(x: Any) -> Any:
        return net.loss(x)

    def gradient(x: Any) -> Any:
        net.loss(x)
        net.backward()
        return {"W": net.dW, "b": net.db}

    def leaves_it(x: Any) -> None:
        net.loss(x)
        net.adds_up()

    right(problem_at(forward, gradient, (x,)), "W", "b")
    assert not hasattr(net, "h")
    right(problem_at(forward, lambda x: net.backward(), (x,)), "W", "b")
    right(problem_at(forward, leaves_it, (x,)), "W", "b")
    assert not net.dW.any()
    net.slip = True
    assert wrong(problem_at(forward, gradient, (x,))) == ["W", "b"]
    verdict = referee(forward, leaves_it, (x,))
    assert (verdict.outcome, verdict.method) == ("right", "recorded")


def test_an_array_of_the_module_is_none_of_the_forward_by_the_name_of_an_attribute() -> None:
    class Model:
        Wxh = 2 * Wxh

    model = Model()

    def gradient(v: Any) -> Any:
        return {"v": model.Wxh.sum(axis=0), "dWxh": np.ones((3, 2))}

    problem = right(problem_at(lambda v, model=model: np.sum(model.Wxh @ v), gradient, {"v": b}), "v")
    assert "dWxh left aside: no gradient of v" in problem.notes


def test_global_variables_among_the_inputs_by_name() -> None:
    inputs = {"xs": COLUMNS, "hprev": np.ones((3, 1)), "Wxh": 2 * Wxh, "Whh": 2 * Whh, "bh": bh}

    def slips(xs: Any, hprev: Any) -> Any:
        _, dWxh, dWhh, _, _, _ = loss_of_globals(xs, hprev)
        return {"Wxh": dWxh, "Whh": dWhh.T}

    problem = problem_at(loss_of_globals, slips, inputs)
    assert wrong(problem) == ["Whh"]
    np.testing.assert_array_equal(problem.values["Wxh"], 2 * Wxh)


# --- copies -------------------------------------------------------------------------------------------


LOCK_NOTE = "a lock cannot be copied, and is passed as it is"


def test_a_copy_around_what_cannot_be_copied_is_a_copy_of_all_else() -> None:
    shared = np.ones(2)
    inner = SimpleNamespace(rng=np.random.default_rng(1), W=shared, nested=[{"W": shared}])
    box = SimpleNamespace(lock=threading.Lock(), parts=(inner, [shared]), rng=np.random.default_rng(2))
    inner.box = box  # a circle
    for _ in range(50):
        kept: list[str] = []
        new = copied(box, {}, kept)
        assert kept == ["lock"]
        assert new.lock is box.lock
        part = new.parts[0]
        assert part.box is new
        assert part.W is part.nested[0]["W"] is new.parts[1][0] is not shared
        assert new.rng is not box.rng is not part.rng
        assert new.rng.random() == np.random.default_rng(2).random()


def test_nothing_of_the_users_is_changed_and_what_cannot_be_copied_goes_in_as_it_is() -> None:
    @dataclass
    class Box:
        W: Any
        lock: Any = field(default_factory=threading.Lock)
        rng: Any = field(default_factory=lambda: np.random.default_rng(3))

    box, given = Box(W.copy()), x.copy()

    def forward(x: Any, box: Any) -> Any:
        assert box.lock is lock
        x *= 2
        box.W *= 1 + 0 * x[0, 0]
        return np.sum((x * (box.rng.random(x.shape) < 0.5)) @ box.W)

    def gradient(x: Any, box: Any) -> Any:
        x *= 2
        box.W[:] = 0
        return {"W": (x * (box.rng.random(x.shape) < 0.5)).T @ np.ones((4, 2))}

    lock = box.lock
    problem = problem_at(forward, gradient, {"x": given, "box": box})
    right(problem, "W")  # the generator starts anew in every call
    assert [note for note in problem.notes if "copied" in note] == [LOCK_NOTE]
    np.testing.assert_array_equal(given, x)
    np.testing.assert_array_equal(box.W, W)
    assert box.rng.random() == np.random.default_rng(3).random()


def test_narrow_and_whole_numbers_are_taken_as_float64() -> None:
    def forward(x: Any, W: Any, n: Any, y: Any) -> Any:
        assert x.dtype == W.dtype == np.float64
        assert y.dtype == np.int64
        return np.sum((x @ W)[y] * n**2)

    def gradient(x: Any, W: Any, n: Any, y: Any) -> Any:
        assert x.dtype == np.float64
        d = np.zeros((4, 2))
        np.add.at(d, y, 1.0)
        return {"W": x.T @ d * n**2, "n": 2 * n * np.sum((x @ W)[y]), "dy": y - 0.5}

    inputs = {
        "x": x.astype(np.float32),
        "W": W.astype(np.float16),
        "n": np.array(3),
        "y": np.array([0, 2, 2]),
    }
    problem = right(problem_at(forward, gradient, inputs), "W", "n")
    assert {
        "x was float32, and is taken as float64",
        "W was float16, and is taken as float64",
        "n was int64, and is taken as float64",
    } <= set(problem.notes)


def test_a_conversion_meets_the_code_and_the_rest_and_not_the_values() -> None:
    seen: list[Any] = []

    def convert(x: Any) -> Any:
        seen.append(x)
        return x

    class Value(np.ndarray):
        pass

    def forward(net: Any, x: Any) -> Any:
        return type(net.W).__name__, np.sum(x @ net.W)

    net = SimpleNamespace(W=W)
    problem = problem_at(forward, lambda net, x: {"W": x.T @ np.ones((4, 2))}, (net, x))
    found = problem.call(convert, {"W": W.view(Value)})
    assert isinstance(found, np.ndarray | np.floating)
    assert forward in seen
    assert not any(isinstance(item, Value) for item in seen)
    assert problem.call(unchanged, {"W": W + 1j}).dtype == np.complex128


def test_faults_of_the_code_itself_come_through() -> None:
    net = Net(W, b)
    with pytest.raises(ZeroDivisionError):
        problem_at(loss, lambda x, W, b: 1 // 0, (x, W, b))
    with pytest.raises(ZeroDivisionError):
        problem_at(net.loss, lambda x: 1 // 0, (x,))
    with pytest.raises(KeyError, match="Wx"):
        problem_at(loss, lambda x, W, b: {}["Wx"], (x, W, b))


# --- layers -------------------------------------------------------------------------------------------


def rnn_forward(x: Any, h0: Any, Wx: Any, Wh: Any, b: Any) -> Any:
    """Batch first, a buffer for the states, as in courses on the subject."""
    N, T, _ = x.shape
    h = np.zeros((N, T, h0.shape[1]))
    prev = h0
    for t in range(T):
        h[:, t] = prev = np.tanh(x[:, t] @ Wx + prev @ Wh + b)
    return h, (x, h0, Wx, Wh, h)


def rnn_backward(dh: Any, cache: Any) -> Any:
    x, h0, Wx, Wh, h = cache
    dx, dWx, dWh, db = np.zeros_like(x), np.zeros_like(Wx), np.zeros_like(Wh), np.zeros(Wh.shape[0])
    dprev = np.zeros_like(h0)
    for t in reversed(range(x.shape[1])):
        da = (dh[:, t] + dprev) * (1 - h[:, t] ** 2)
        dx[:, t] = da @ Wx.T
        dWx += x[:, t].T @ da
        dWh += (h[:, t - 1] if t else h0).T @ da
        db += da.sum(axis=0)
        dprev = da @ Wh.T
    return dx, dprev, dWx, dWh, db


def rnn_backward_slips(dh: Any, cache: Any) -> Any:
    x, h0, Wx, Wh, h = cache
    dx, _, dWx, dWh, db = rnn_backward(dh, (x, h0, Wx, Wh.T, h))
    return dx, dWx, dWh, db


def make_rnn(rng: Any, T: int = 3, batch: int = 2, hidden: int = 2) -> Any:
    shapes = ((batch, T, 3), (batch, hidden), (3, hidden), (hidden, hidden), (hidden,))
    return tuple(rng.standard_normal(shape) for shape in shapes)


def test_a_layer_is_tried_as_it_is() -> None:
    verdict = referee_layer(rnn_forward, rnn_backward, make_rnn, T=(1, 3), hidden=(1, 2))
    assert verdict.outcome == "right"
    assert list(verdict.findings) == ["x", "h0", "Wx", "Wh", "b"]
    assert any("taken as sum(h * dh) with fixed random dh" in note for note in verdict.notes)
    assert verdict.covered == {"T": (1, 3), "hidden": (1, 2)}
    wrong_one = referee_layer(rnn_forward, rnn_backward_slips, make_rnn, T=(1, 3), hidden=(1, 2))
    assert wrong_one.outcome == "wrong"
    assert wrong_one.case.startswith("T=2, hidden=2")


def test_a_layer_at_one_case_and_at_one_point() -> None:
    assert referee_layer(rnn_forward, rnn_backward, make_rnn).outcome == "right"
    verdict = referee_layer(rnn_forward, rnn_backward_slips, make_rnn, T=3, hidden=2)
    assert list(verdict.by_steps) == [1, 2, 3]
    assert referee_layer(rnn_forward, rnn_backward_slips, lambda: make_rnn(np.random.default_rng(0))).wrong


def layer_problem(forward: Any, backward: Any, inputs: Any) -> Problem:
    return problem_at(forward, backward, inputs, layer=True)


def test_parameters_of_a_layer_in_a_dict() -> None:
    def forward(x: Any, params: Any) -> Any:
        out = np.tanh(x @ params["W"] + params["b"])
        return out, {"x": x, "params": params, "out": out}

    def backward(dout: Any, cache: Any) -> Any:
        da = dout * (1 - cache["out"] ** 2)
        grads = {"W": cache["x"].T @ da, "b": da.sum(axis=0)}
        dx = da @ cache["params"]["W"].T
        return dx, grads

    inputs = (x, {"W": W, "b": b})
    right(layer_problem(forward, backward, inputs), "x", "W", "b")
    right(layer_problem(forward, lambda cache, dout: backward(dout, cache), inputs), "x", "W", "b")
    right(layer_problem(forward, lambda g, kept: backward(g, kept), inputs), "x", "W", "b")
    right(layer_problem(forward, lambda dout, cache: {"dx": backward(dout, cache)[0]}, inputs), "x")


def lstm_step(x: Any, prev_h: Any, prev_c: Any, W: Any) -> Any:
    i, f, o, g = np.split(np.concatenate([x, prev_h], axis=1) @ W, 4, axis=1)
    i, f, o, g = 1 / (1 + np.exp(-i)), 1 / (1 + np.exp(-f)), 1 / (1 + np.exp(-o)), np.tanh(g)
    next_c = f * prev_c + i * g
    next_h = o * np.tanh(next_c)
    return next_h, next_c, (x, prev_h, prev_c, W, i, f, o, g, next_c)


def lstm_step_back(dnext_h: Any, dnext_c: Any, cache: Any) -> Any:
    x, prev_h, prev_c, W, i, f, o, g, c = cache
    dc = dnext_c + dnext_h * o * (1 - np.tanh(c) ** 2)
    gates = (
        dc * g * i * (1 - i),
        dc * prev_c * f * (1 - f),
        dnext_h * np.tanh(c) * o * (1 - o),
        dc * i * (1 - g**2),
    )
    da = np.concatenate(gates, axis=1)
    dz = da @ W.T
    return dz[:, : x.shape[1]], dz[:, x.shape[1] :], dc * f, np.concatenate([x, prev_h], axis=1).T @ da


CELL = (x, rng.standard_normal((4, 2)), rng.standard_normal((4, 2)), rng.standard_normal((5, 8)))


def test_several_outputs_have_a_cotangent_each() -> None:
    right(layer_problem(lstm_step, lstm_step_back, CELL), "x", "prev_h", "prev_c", "W")

    def swapped(dnext_c: Any, dnext_h: Any, cache: Any) -> Any:
        return lstm_step_back(dnext_h, dnext_c, cache)

    right(layer_problem(lstm_step, swapped, CELL), "x", "prev_h", "prev_c", "W")

    def ignores_c(dh: Any, dc: Any, cache: Any) -> Any:
        return lstm_step_back(dh, 0 * dc, cache)

    assert wrong(layer_problem(lstm_step, ignores_c, CELL)) == ["x", "prev_h", "prev_c", "W"]

    def of_h_alone(dh: Any, cache: Any) -> Any:
        return lstm_step_back(dh, 0 * dh, cache)

    problem = right(layer_problem(lstm_step, of_h_alone, CELL), "x", "prev_h", "prev_c", "W")
    assert "the hand gradient takes no gradient of next_c, and the loss leaves it out" in problem.notes

    def of_c_alone(dnext_c: Any, cache: Any) -> Any:
        return lstm_step_back(0 * dnext_c, dnext_c, cache)

    right(layer_problem(lstm_step, of_c_alone, CELL), "x", "prev_h", "prev_c", "W")


def test_a_backward_of_the_last_state_alone() -> None:
    def forward(x: Any, h0: Any, Wx: Any, Wh: Any, b: Any) -> Any:
        hs, cache = rnn_forward(x, h0, Wx, Wh, b)
        return hs, hs[:, -1], cache

    def backward(dh_last: Any, cache: Any) -> Any:
        dh = np.zeros_like(cache[-1])
        dh[:, -1] = dh_last
        return rnn_backward(dh, cache)

    problem = layer_problem(forward, backward, make_rnn(np.random.default_rng(0)))
    right(problem, "x", "h0", "Wx", "Wh", "b")
    assert "the hand gradient takes no gradient of hs, and the loss leaves it out" in problem.notes


def test_the_time_step_of_a_layer_whose_inputs_have_no_names() -> None:
    def backward(dh: Any, cache: Any) -> Any:
        x, _h0, _Wx, _Wh, h = cache
        dx, dh0, dWx, dWh, db = rnn_backward(dh, cache)
        return dx, dh0, dWx + (x[:, 1].T @ h[:, 1] if x.shape[1] > 2 else 0), dWh, db

    def in_dict(x: Any, params: Any) -> Any:
        return rnn_forward(x, np.zeros((len(x), 2)), params["Wx"], params["Wh"], params["b"])

    verdict = referee_layer(rnn_forward, backward, make_rnn, T=3)
    assert (verdict.wrong, verdict.wrong_steps) == (["Wx"], [2])

    def back_dict(dout: Any, cache: Any) -> Any:
        dx, _, dWx, dWh, db = backward(dout, cache)
        return dx, {"Wx": dWx, "Wh": dWh, "b": db}

    def make(rng: Any, T: int) -> Any:
        x, _, Wx, Wh, b = make_rnn(rng, T)
        return x, {"Wx": Wx, "Wh": Wh, "b": b}

    verdict = referee_layer(in_dict, back_dict, make, T=3)
    assert (verdict.wrong, verdict.wrong_steps) == (["Wx"], [2])


def test_a_list_of_outputs_has_a_list_of_cotangents() -> None:
    def forward(xs: Any, U: Any) -> Any:
        h, hs = np.zeros(3), []
        for row in xs:
            h = np.tanh(row + U @ h)
            hs.append(h)
        return hs, hs

    def backward(dhs: Any, cache: Any, U: Any) -> Any:
        dU, dh = np.zeros_like(U), np.zeros(3)
        for t in reversed(range(len(cache))):
            da = (dhs[t] + dh) * (1 - cache[t] ** 2)
            dU += np.outer(da, cache[t - 1] if t else np.zeros(3))
            dh = U.T @ da
        return {"U": dU}

    right(layer_problem(forward, backward, (x, S)), "U")


class Dense:
    def __init__(self, rng: Any, n: int = 3, slip: bool = False):
        self.weights, self.biases, self.slip = rng.standard_normal((n, 2)), rng.standard_normal((1, 2)), slip

    def forward(self, inputs: Any) -> Any:
        self.inputs = inputs
        self.output = np.tanh(inputs @ self.weights + self.biases)
        return self.output

    def backward(self, dvalues: Any) -> Any:
        da = dvalues * (1 - self.output**2)
        self.dweights = self.inputs.T @ da
        self.dbiases = da.sum(axis=0, keepdims=True) * (2 if self.slip else 1)
        self.dinputs = da @ self.weights.T

    def backward_returns(self, dvalues: Any) -> Any:
        self.backward(dvalues)
        return self.dinputs


def test_a_layer_that_is_an_object() -> None:
    layer = Dense(np.random.default_rng(0))
    names = "weights", "biases", "inputs"
    right(layer_problem(layer.forward, layer.backward, (x,)), *names)
    right(layer_problem(layer.forward, layer.backward_returns, (x,)), "inputs", "weights", "biases")
    right(layer_problem(Dense.forward, Dense.backward, (layer, x)), *names)
    assert wrong(
        layer_problem(Dense.forward, Dense.backward, (Dense(np.random.default_rng(0), slip=True), x))
    ) == ["biases"]

    def make(rng: Any, batch: int) -> Any:
        return Dense(rng), rng.standard_normal((batch, 3))

    assert referee_layer(Dense.forward, Dense.backward_returns, make, batch=(1, 3)).outcome == "right"


# --- cases, and the assertion -------------------------------------------------------------------------


def test_cases_with_fixed_sizes_and_without_a_generator() -> None:
    def make(T: int, hidden: int) -> Any:
        return make_rnn(np.random, T, 2, hidden)

    before = np.random.get_state()[1]  # noqa: NPY002
    one, same = Case(make, {"T": 2, "hidden": 3}, 5).inputs, Case(make, {"T": 2, "hidden": 3}, 5).inputs
    np.testing.assert_array_equal(one[0], same[0])
    assert not np.array_equal(one[0], Case(make, {"T": 2, "hidden": 3}, 6).inputs[0])
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002
    np.testing.assert_array_equal(Case(lambda seed, n: np.full(n, seed), {"n": 2}, 7).inputs, [7, 7])
    verdict = referee(
        lambda W, x: np.sum(x @ W),
        lambda W, x: {"W": x.T @ np.ones((len(x), 2))},
        testing.cases(lambda n: {"x": np.random.standard_normal((n, 3)), "W": W}, n=3),  # noqa: NPY002
    )
    assert verdict.outcome == "right"
    assert verdict.covered == {"n": (3, 3)}


def test_a_size_of_any_name_counts_time() -> None:
    def make(rng: Any, length: int) -> Any:
        return make_rnn(rng, length)

    verdict = referee_layer(rnn_forward, rnn_backward, make, steps="length", length=(1, 3))
    assert list(verdict.by_steps) == [1, 2, 3]
    told = referee_layer(rnn_forward, rnn_backward, make, length=2)
    assert any("no size is called T" in note for note in told.notes)


def test_assert_gradient() -> None:
    assert_gradient(loss, by_name, (x, W, b))
    with pytest.raises(AssertionError, match="W"):
        assert_gradient(loss, lambda x, W, b: gradients(x, W, b, slip=True), (x, W, b))
    with pytest.raises(AssertionError, match="not tested"):
        assert_gradient(lambda W: 0 * np.sum(W), lambda W: {"W": 0 * W}, (W,))


# --- whole styles -------------------------------------------------------------------------------------


class Lists:
    """Weights and biases in two lists of an object, gradients of both in a tuple, by other names."""

    def __init__(self, sizes: list[int]):
        draw = np.random.default_rng(0).standard_normal
        self.sizes = sizes
        self.biases = [draw((n, 1)) for n in sizes[1:]]
        self.weights = [draw((n, m)) for m, n in itertools.pairwise(sizes)]

    def cost(self, x: Any, y: Any) -> Any:
        for w, b in zip(self.weights, self.biases, strict=True):
            x = np.tanh(w @ x + b)
        return 0.5 * np.sum((x - y) ** 2)

    def backprop(self, x: Any, y: Any) -> Any:
        outs = [x]
        for w, b in zip(self.weights, self.biases, strict=True):
            outs.append(np.tanh(w @ outs[-1] + b))
        nabla_b, nabla_w = [np.zeros_like(b) for b in self.biases], [np.zeros_like(w) for w in self.weights]
        delta = outs[-1] - y
        for i in reversed(range(len(self.weights))):
            delta = delta * (1 - outs[i + 1] ** 2)
            nabla_b[i], nabla_w[i] = delta, delta @ outs[i].T
            delta = self.weights[i].T @ delta
        return nabla_b, nabla_w


def test_lists_of_weights_and_biases_of_an_object() -> None:
    net = Lists([3, 2, 2])
    right(
        problem_at(net.cost, net.backprop, (x[:1].T, np.ones((2, 1)))),
        *[f"{n}[{i}]" for n in ("biases", "weights") for i in (0, 1)],
    )


def test_a_flat_vector_of_parameters_and_a_gradient_called_grad() -> None:
    def cost(theta: Any, X: Any, y: Any) -> Any:
        return np.mean((np.tanh(X @ theta) - y) ** 2)

    def gradient(theta: Any, X: Any, y: Any) -> Any:
        h = np.tanh(X @ theta)
        grad = X.T @ ((h - y) * (1 - h**2)) * 2 / len(y)
        return grad

    y = np.array([1.0, 0.0, 2.0, 1.0])
    right(problem_at(cost, gradient, (b, x @ W, y)), "theta")
    four = np.arange(4.0)  # y is of the same shape then, and the numbers tell
    right(problem_at(cost, gradient, (four / 4, rng.standard_normal((4, 4)), y)), "theta")


def test_the_gradient_of_an_intermediate_of_the_same_shape_is_none_of_the_input() -> None:
    def gradient(x: Any, U: Any) -> Any:
        dscores = np.ones_like(x)
        return dscores

    with pytest.raises(ValueError, match="gives dscores, and the parameters are x, U"):
        problem_at(lambda x, U: np.sum(x @ U), gradient, (S, S + 1))


def test_layers_in_a_list_of_a_network() -> None:
    class Unit:
        def __init__(self, n: int):
            self.W, self.grad_W = np.random.default_rng(n).standard_normal((3, 3)), np.zeros((3, 3))

        def __call__(self, x: Any) -> Any:
            self.x, self.out = x, np.tanh(x @ self.W)
            return self.out

        def backward(self, d: Any) -> Any:
            d = d * (1 - self.out**2)
            self.grad_W += self.x.T @ d
            return d @ self.W.T

    class Stack:
        def __init__(self) -> None:
            self.layers = [Unit(n) for n in range(3)]

        def __call__(self, x: Any) -> Any:
            for layer in self.layers:
                x = layer(x)
            return x

        def backward(self, d: Any) -> Any:
            for layer in reversed(self.layers):
                d = layer.backward(d)
            return d

    net = Stack()
    names = "x", "layers[0].W", "layers[1].W", "layers[2].W"
    right(problem_at(net, net.backward, (x,)), *names)
    net(x)
    net.backward(x)
    right(problem_at(net, net.backward, (x,)), *names)


def test_outputs_of_a_course_with_a_cache_of_caches() -> None:
    def forward(x: Any, a0: Any, parameters: Any) -> Any:
        a, caches = np.zeros((3, len(x))), []
        a_next = a0
        for t, x_t in enumerate(x):
            a_prev, a_next = a_next, np.tanh(parameters["Waa"] @ a_next + parameters["Wax"] @ x_t)
            a[:, t] = a_next
            caches.append((a_next, a_prev, x_t, parameters))
        y_pred = parameters["Wya"] @ a
        return a, y_pred, (caches, x)

    def backward(da: Any, caches: Any) -> Any:
        caches, x = caches
        gradients = {"dx": np.zeros_like(x), "dWax": np.zeros((3, 2)), "dWaa": np.zeros((3, 3))}
        da_prev = np.zeros(3)
        for t in reversed(range(len(x))):
            a_next, a_prev, x_t, parameters = caches[t]
            d = (da[:, t] + da_prev) * (1 - a_next**2)
            gradients["dWax"] += np.outer(d, x_t)
            gradients["dWaa"] += np.outer(d, a_prev)
            gradients["dx"][t] = parameters["Wax"].T @ d
            da_prev = parameters["Waa"].T @ d
        gradients["da0"] = da_prev
        return gradients

    parameters = {"Wax": Wxh, "Waa": Whh, "Wya": GLOBAL_PARAMETERS["Why"]}
    problem = right(problem_at(forward, backward, (x[:, :2], x[0], parameters)), "x", "Wax", "Waa", "a0")
    assert "the hand gradient takes no gradient of y_pred, and the loss leaves it out" in problem.notes
    assert "no gradient of Wya was given" in problem.notes


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_matrices_of_the_old_kind() -> None:
    M, v = np.matrix(S), np.matrix([[1.0], [2.0], [3.0]])
    problem = problem_at(
        lambda M, v: (v.T * M * M * v)[0, 0], lambda M, v: {"M": v * v.T * M.T + M.T * v * v.T}, (M, v)
    )
    right(problem, "M")
