"""The diagnosis on trial: each relation is named first on four networks, and nothing where nothing is known."""

import itertools
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from tinygrad_np import Tensor
from tinygrad_np.referee.diagnosis import diagnosis
from tinygrad_np.referee.diagnosis.diagnosis import FailingCase, diagnose
from tinygrad_np.referee.diagnosis.slip import Slip
from tinygrad_np.referee.intake.problem import Problem

Arrays = dict[str, np.ndarray]
HIDDEN, INPUTS, CLASSES = 3, 2, 5


# --- four networks with a gradient by hand, a batch at a time and time first --------------------------
# The loss is half the sum of squared outputs minus targets, over the last step's outputs.


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def gates_of(rng: np.random.Generator, gates: int, hidden: int) -> Arrays:
    return {
        "Wx": rng.standard_normal((gates * hidden, INPUTS)),
        "Wh": rng.standard_normal((gates * hidden, hidden)),
        "b": rng.standard_normal(gates * hidden),
        "Wy": rng.standard_normal((CLASSES, hidden)),
        "by": rng.standard_normal(CLASSES),
    }


def lstm(p: Mapping[str, Any], x: np.ndarray, y: np.ndarray) -> Any:
    h = c = np.zeros((x.shape[1], p["Wh"].shape[1]))
    n = h.shape[1]
    for x_t in x:
        a = x_t @ p["Wx"].T + h @ p["Wh"].T + p["b"]
        i, f, o = sigmoid(a[:, :n]), sigmoid(a[:, n : 2 * n]), sigmoid(a[:, 3 * n :])
        c = f * c + i * np.tanh(a[:, 2 * n : 3 * n])
        h = o * np.tanh(c)
    return np.sum((h @ p["Wy"].T + p["by"] - y) ** 2) / 2


def lstm_by_hand(p: Arrays, x: np.ndarray, y: np.ndarray) -> Arrays:
    h = c = np.zeros((x.shape[1], p["Wh"].shape[1]))
    n = h.shape[1]
    steps = []
    for x_t in x:
        a = x_t @ p["Wx"].T + h @ p["Wh"].T + p["b"]
        i, f, g, o = (
            sigmoid(a[:, :n]),
            sigmoid(a[:, n : 2 * n]),
            np.tanh(a[:, 2 * n : 3 * n]),
            sigmoid(a[:, 3 * n :]),
        )
        new = f * c + i * g
        steps.append((x_t, h, c, i, f, g, o, new))
        h, c = o * np.tanh(new), new
    dy = h @ p["Wy"].T + p["by"] - y
    grads = {name: np.zeros_like(w) for name, w in p.items()}
    grads["Wy"] += dy.T @ h
    grads["by"] += dy.sum(axis=0)
    dh, dc = dy @ p["Wy"], np.zeros_like(c)
    for x_t, before, c, i, f, g, o, new in reversed(steps):
        dc = dc + dh * o * (1 - np.tanh(new) ** 2)
        da = np.hstack(
            [
                dc * g * i * (1 - i),
                dc * c * f * (1 - f),
                dc * i * (1 - g * g),
                dh * np.tanh(new) * o * (1 - o),
            ]
        )
        grads["Wx"] += da.T @ x_t
        grads["Wh"] += da.T @ before
        grads["b"] += da.sum(axis=0)
        dh, dc = da @ p["Wh"], dc * f
    return grads


def gru(p: Mapping[str, Any], x: np.ndarray, y: np.ndarray) -> Any:
    n = p["Wh"].shape[1]
    h = np.zeros((x.shape[1], n))
    for x_t in x:
        a, u = x_t @ p["Wx"].T + p["b"], h @ p["Wh"].T
        r, z = sigmoid(a[:, :n] + u[:, :n]), sigmoid(a[:, n : 2 * n] + u[:, n : 2 * n])
        h = (1 - z) * np.tanh(a[:, 2 * n :] + r * u[:, 2 * n :]) + z * h
    return np.sum((h @ p["Wy"].T + p["by"] - y) ** 2) / 2


def gru_by_hand(p: Arrays, x: np.ndarray, y: np.ndarray) -> Arrays:
    n = p["Wh"].shape[1]
    h = np.zeros((x.shape[1], n))
    steps = []
    for x_t in x:
        a, u = x_t @ p["Wx"].T + p["b"], h @ p["Wh"].T
        r, z = sigmoid(a[:, :n] + u[:, :n]), sigmoid(a[:, n : 2 * n] + u[:, n : 2 * n])
        new = np.tanh(a[:, 2 * n :] + r * u[:, 2 * n :])
        steps.append((x_t, h, r, z, new, u[:, 2 * n :]))
        h = (1 - z) * new + z * h
    dy = h @ p["Wy"].T + p["by"] - y
    grads = {name: np.zeros_like(w) for name, w in p.items()}
    grads["Wy"] += dy.T @ h
    grads["by"] += dy.sum(axis=0)
    dh = dy @ p["Wy"]
    for x_t, before, r, z, new, u in reversed(steps):
        dn = dh * (1 - z) * (1 - new * new)
        dz = dh * (before - new) * z * (1 - z)
        dr = dn * u * r * (1 - r)
        da, du = np.hstack([dr, dz, dn]), np.hstack([dr, dz, dn * r])
        grads["Wx"] += da.T @ x_t
        grads["Wh"] += du.T @ before
        grads["b"] += da.sum(axis=0)
        dh = du @ p["Wh"] + dh * z
    return grads


def rnn(p: Mapping[str, Any], x: np.ndarray, y: np.ndarray) -> Any:
    h = np.zeros((x.shape[1], p["Wh"].shape[1]))
    for x_t in x:
        h = np.tanh(x_t @ p["Wx"].T + h @ p["Wh"].T + p["b"])
    return np.sum((h @ p["Wy"].T + p["by"] - y) ** 2) / 2


def rnn_by_hand(p: Arrays, x: np.ndarray, y: np.ndarray, dh_next: bool = True) -> Arrays:
    states = [np.zeros((x.shape[1], p["Wh"].shape[1]))]
    for x_t in x:
        states.append(np.tanh(x_t @ p["Wx"].T + states[-1] @ p["Wh"].T + p["b"]))
    dy = states[-1] @ p["Wy"].T + p["by"] - y
    grads = {name: np.zeros_like(w) for name, w in p.items()}
    grads["Wy"] += dy.T @ states[-1]
    grads["by"] += dy.sum(axis=0)
    dh = dy @ p["Wy"]
    for t in reversed(range(len(x))):
        da = dh * (1 - states[t + 1] ** 2)
        grads["Wx"] += da.T @ x[t]
        grads["Wh"] += da.T @ states[t]
        grads["b"] += da.sum(axis=0)
        dh = da @ p["Wh"] * dh_next
    return grads


def attention(p: Mapping[str, Any], x: np.ndarray, y: np.ndarray) -> Any:
    """The mean over the steps of a single head, with one fused matrix for queries, keys and values."""
    n = p["Wh"].shape[1]
    a = np.swapaxes(x, 0, 1) @ p["Wx"].T + p["b"]
    q, k, v = a[..., :n], a[..., n : 2 * n], a[..., 2 * n :]
    scores = np.exp(q @ np.swapaxes(k, 1, 2) / np.sqrt(n))
    out = (scores / scores.sum(axis=-1, keepdims=True)) @ v
    return np.sum((np.tanh(out.mean(axis=1) @ p["Wh"].T) @ p["Wy"].T + p["by"] - y) ** 2) / 2


def attention_by_hand(p: Arrays, x: np.ndarray, y: np.ndarray) -> Arrays:
    n, T = p["Wh"].shape[1], len(x)
    x = np.swapaxes(x, 0, 1)
    a = x @ p["Wx"].T + p["b"]
    q, k, v = a[..., :n], a[..., n : 2 * n], a[..., 2 * n :]
    s = np.exp(q @ np.swapaxes(k, 1, 2) / np.sqrt(n))
    s = s / s.sum(axis=-1, keepdims=True)
    mean = (s @ v).mean(axis=1)
    h = np.tanh(mean @ p["Wh"].T)
    dy = h @ p["Wy"].T + p["by"] - y
    dh = dy @ p["Wy"] * (1 - h * h)
    dout = np.repeat((dh @ p["Wh"])[:, np.newaxis] / T, T, axis=1)
    ds = dout @ np.swapaxes(v, 1, 2)
    ds = s * (ds - (ds * s).sum(axis=-1, keepdims=True)) / np.sqrt(n)
    da = np.concatenate([ds @ k, np.swapaxes(ds, 1, 2) @ q, np.swapaxes(s, 1, 2) @ dout], axis=-1)
    return {
        "Wx": np.einsum("btg,bti->gi", da, x),
        "Wh": dh.T @ mean,
        "b": da.sum(axis=(0, 1)),
        "Wy": dy.T @ h,
        "by": dy.sum(axis=0),
    }


# gates of the fused matrices, and whether Wh has them as well
NETWORKS: dict[str, tuple[Any, Any, int]] = {
    "lstm": (lstm, lstm_by_hand, 4),
    "gru": (gru, gru_by_hand, 3),
    "rnn": (rnn, rnn_by_hand, 1),
    "attention": (attention, attention_by_hand, 3),
}
every_network = pytest.mark.parametrize("network", NETWORKS)
SIZES = (
    {"T": 3, "batch": 2, "hidden": 4},
    {"T": 2, "batch": 3, "hidden": 2},
    {"T": 5, "batch": 4, "hidden": 3},
)
Slipped = Callable[[Arrays, Arrays, Mapping[str, int]], Arrays]


@cache
def solved(
    network: str, T: int, batch: int, hidden: int, seed: int
) -> tuple[Problem, Arrays, tuple[np.ndarray, np.ndarray]]:
    """A problem of these sizes with the right gradient, the exact one, and the inputs and targets."""
    forward, by_hand, gates = NETWORKS[network]
    rng = np.random.default_rng(seed)
    values = gates_of(rng, gates, hidden)
    if network == "attention":
        values["Wh"] = rng.standard_normal((hidden, hidden))
    x = rng.standard_normal((T, batch, INPUTS))
    y = rng.standard_normal((batch, CLASSES))
    parameters = {name: Tensor(w, requires_grad=True) for name, w in values.items()}
    forward(parameters, x, y).backward()
    exact = {name: p.grad for name, p in parameters.items()}

    def call(convert: Any, v: Any) -> Any:
        return convert(forward)(v, x, y)

    return Problem(values, by_hand(values, x, y), call, forward, by_hand), exact, (x, y)


def case(network: str, sizes: Mapping[str, int], slip: Slipped, seed: int = 0) -> FailingCase:
    """A case of these sizes, with a slip made of the right hand gradient and the parameters."""
    problem, exact, _ = solved(network, seed=seed, **sizes)
    return replace(problem, claimed=slip(problem.claimed, problem.values, sizes)), exact, sizes


def told(network: str, slip: Slipped, *sizes: Mapping[str, int], gates: tuple[str, ...] = ()) -> list[Slip]:
    return diagnose([case(network, size, slip, seed) for seed, size in enumerate(sizes or SIZES)], gates)


def each(change: Callable[..., np.ndarray], only: str = "") -> Slipped:
    """The same change of every parameter's gradient, or of those named."""
    names = only.split()
    return lambda grads, values, sizes: {
        name: change(g, values[name], sizes) if not names or name in names else g for name, g in grads.items()
    }


right = each(lambda g, w, sizes: g)


def clip_norm(grads: Arrays, values: Arrays, sizes: Any) -> Arrays:
    norm = np.sqrt(sum(np.sum(g * g) for g in grads.values()))
    return {name: g * min(1, 0.25 / (norm + 1e-6)) for name, g in grads.items()}


def unsummed(g: np.ndarray, w: np.ndarray, sizes: Mapping[str, int]) -> np.ndarray:
    """What a bias gradient looks like before its sum over the batch."""
    parts = np.random.default_rng(1).standard_normal((sizes["batch"], len(g)))
    parts[0] += g - parts.sum(axis=0)
    return parts


def blocks_swapped(order: tuple[int, ...]) -> Any:
    return lambda g, w, sizes: np.concatenate([np.split(g, len(order))[i] for i in order])


FUSED = "Wx Wh b"


@pytest.fixture(autouse=True)
def relations_only(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted slips take seconds, and have their own tests: they are tried where a test says so."""
    if "with_slips" not in request.fixturenames:
        monkeypatch.setattr(diagnosis, "explain", lambda cases: [])


@pytest.fixture
def with_slips() -> None:
    pass


# slip, name, and a part of the text, on all four networks
PLANTED: dict[str, tuple[Slipped, str, str]] = {
    "minus": (each(lambda g, w, s: -g), "sign", "by hand = -1 x exact in every parameter: a sign"),
    "minus in one": (each(lambda g, w, s: -g, "Wy"), "sign", "by hand = -1 x exact in Wy: a sign"),
    "divided by the batch": (
        each(lambda g, w, s: g / s["batch"]),
        "mean for sum",
        "by hand = 0.5 x exact in every parameter: a mean over batch=2, where the forward has a sum?",
    ),
    "times the batch": (
        each(lambda g, w, s: g * s["batch"]),
        "sum for mean",
        "by hand = 2 x exact in every parameter: a sum over batch=2, where the forward has a mean?",
    ),
    "divided by the steps": (each(lambda g, w, s: g / s["T"]), "mean for sum", "a mean over T=3, where"),
    "times all": (
        each(lambda g, w, s: g * s["batch"] * CLASSES),
        "sum for mean",
        "a sum over batch=2 * 5 (axis 0 of Wy), where the forward has a mean?",
    ),
    "another divisor": (
        each(lambda g, w, s: g * s["batch"] / s["T"]),
        "divisor",
        "divided by T=3, where the forward divides by batch=2",
    ),
    "square": (
        each(lambda g, w, s: g / 2),
        "square",
        "in every parameter: the 2 of a square's derivative is missing",
    ),
    "biases by the batch": (
        each(lambda g, w, s: g / s["batch"], "b by"),
        "mean for sum",
        "by hand = 0.5 x exact in b, by: a mean over batch=2",
    ),
    "a constant": (each(lambda g, w, s: 0.37 * g), "factor", "by hand = 0.37 x exact in every parameter"),
    "a step": (
        each(lambda g, w, s: -0.1 * g),
        "factor",
        "by hand = -0.1 x exact in every parameter: the step",
    ),
    "parameters after a step": (
        each(lambda g, w, s: w - 0.1 * g),
        "step",
        "by hand = parameter - 0.1 x exact",
    ),
    "clip": (each(lambda g, w, s: np.clip(g, -0.1, 0.1)), "clip", "clipped at 0.1 inside the gradient"),
    "clip in one": (each(lambda g, w, s: np.clip(g, -0.1, 0.1), "Wy"), "clip", "in Wy no element is beyond"),
    "norm": (clip_norm, "clip by norm", "clipped by norm 0.25 inside the gradient: one factor for all"),
    "norm of each": (
        each(lambda g, w, s: g * min(1, 0.1 / np.linalg.norm(g))),
        "clip by norm",
        "clipped by norm 0.1 inside the gradient, each parameter alone",
    ),
    "unsummed": (each(unsummed, "b by"), "not summed", "db, dby are not summed over batch=2"),
    "transposed": (each(lambda g, w, s: g.T, "Wy"), "transposed", "dWy is transposed"),
    "transposed square": (
        lambda grads, values, s: (
            {
                **grads,
                "Wh": np.concatenate([w.T for w in np.split(grads["Wh"], len(grads["Wh"]) // s["hidden"])]),
            }
            if len(grads["Wh"]) == s["hidden"]
            else {**grads, "Wh": grads["Wh"].T}
        ),
        "transposed",
        "dWh is transposed",
    ),
    "as a row": (
        each(lambda g, w, s: g[np.newaxis], "b by"),
        "shape",
        "db, dby are right but for the shape: b is (",
    ),
    "columns first": (
        each(lambda g, w, s: g.ravel(order="F").reshape(g.shape), "Wx Wy"),
        "order",
        "dWx, dWy are in another order: reshaped by rows",
    ),
    "weight decay": (
        each(lambda g, w, s: g + 0.01 * w, "Wx Wh Wy"),
        "weight decay",
        "a term of weight decay of 0.01 (in Wx, Wh, Wy, not in b, by)",
    ),
    "weight decay by the batch": (
        each(lambda g, w, s: g + 0.01 * w / s["batch"], "Wx Wh Wy"),
        "weight decay",
        "a term of weight decay of 0.01 / batch",
    ),
    "L1": (
        each(lambda g, w, s: g + 0.01 * np.sign(w), "Wx"),
        "L1",
        "a term of an L1 penalty of 0.01 (in Wx only)",
    ),
    "an offset": (
        each(lambda g, w, s: g + 0.5),
        "offset",
        "by hand = exact + 0.5 in all elements of every parameter",
    ),
    "zeros": (each(lambda g, w, s: 0 * g, "Wh"), "never written", "0 by hand in Wh: left out"),
    "ones": (
        each(lambda g, w, s: 0 * g + 1, "b"),
        "same",
        "every element of db is the same number, here 1",
    ),
    "the parameter": (each(lambda g, w, s: w, "Wh"), "parameter", "dWh: the parameter itself"),
    "a sum without an axis": (
        each(lambda g, w, s: np.full(g.shape, g.sum()), "b"),
        "summed",
        "every element of db",
    ),
    "each other's": (
        lambda grads, values, s: {**grads, "Wh": grads["Wx"], "Wx": grads["Wh"]},
        "parameters exchanged",
        "dWx, dWh are exchanged",
    ),
    "an element": (
        each(lambda g, w, s: g + np.eye(1, g.size).reshape(g.shape), "Wy"),
        "offset",
        "right but for ",
    ),
    "last row": (
        each(lambda g, w, s: np.concatenate([g[:-1], 2 * g[-1:]]), "Wy"),
        "square",
        "right but for row 4 of dWy; there by hand = 2 x exact",
    ),
}


PLANTED |= {
    "the last row only": (
        each(lambda g, w, s: np.concatenate([0 * g[:-1], g[-1:]]), "Wy by"),
        "never written",
        "right but for all but the last row of dWy, dby; there 0 by hand in",
    ),
    "joined in another order": (
        each(lambda g, w, s: np.roll(g, s["hidden"] - 1, axis=1), "Wh"),
        "blocks exchanged",
        "the first and the last columns of dWh are exchanged: joined in another order?",
    ),
    "reversed": (each(lambda g, w, s: g[::-1], "Wy by"), "reversed", "dWy, dby are reversed along axis 0"),
    "moved": (
        each(lambda g, w, s: np.concatenate([0 * g[:1], g[:-1]]), "by"),
        "moved",
        "dby is moved by one forward along axis 0",
    ),
    "an outermost factor": (
        each(lambda g, w, s: g * np.pi ** s["T"] * s["hidden"]),
        "factor",
        "with another c in each case (124.025, 19.7392, 918.059): something that all of it is multiplied",
    ),
    "absolute values": (
        each(lambda g, w, s: np.abs(g), "Wy by"),
        "sign lost",
        "dWy, dby: the absolute value of the right one",
    ),
    "not averaged": (
        each(lambda g, w, s: s["batch"] * unsummed(g, w, s), "by"),
        "not averaged",
        "dby is not averaged over batch=2: by is (5,), and its gradient (2, 5)",
    ),
    "not summed over two": (
        each(lambda g, w, s: np.array([unsummed(g, w, s), *[0 * unsummed(g, w, s)] * (s["T"] - 1)]), "by"),
        "not summed",
        "dby is not summed over T=3 and batch=2",
    ),
    "summed too much": (
        each(lambda g, w, s: g.sum(axis=0), "Wy"),
        "summed",
        "dWy is summed over an axis of length 5, and should not be: Wy is (5, 4)",
    ),
    "a root": (
        each(lambda g, w, s: g * np.sqrt(s["hidden"]), "Wx"),
        "root",
        "by hand = 2 x exact in Wx: 1 / sqrt(hidden=4) is missing?",
    ),
    "a last row left out": (
        each(lambda g, w, s: np.concatenate([np.exp(g[:-1]), 0 * g[-1:]]), "Wy by"),
        "part",
        "0 by hand in the last row of dWy, dby, and something else is wrong: is it left out?",
    ),
}


@every_network
@pytest.mark.parametrize("planted", PLANTED)
def test_the_relation_is_named_first(network: str, planted: str) -> None:
    slip, name, text = PLANTED[planted]
    slips = told(network, slip)
    assert slips, "nothing was named"
    assert (slips[0].name, text in slips[0].text) == (name, True), "\n".join(map(str, slips))


@pytest.mark.parametrize(
    ("network", "gates"), [("lstm", "i f g o"), ("gru", "r z n"), ("attention", "q k v")]
)
def test_blocks_of_a_fused_matrix_are_told(network: str, gates: str) -> None:
    names = tuple(gates.split())
    count = len(names)
    fused = FUSED if network != "attention" else "Wx b"
    order = (1, 0, *range(2, count))
    (slip, *_) = told(network, each(blocks_swapped(order), fused))
    expected = ", ".join(f"d{name}" for name in fused.split())
    assert slip.text == f"block 1 and block 2 of {count} of {expected} are exchanged"
    (slip, *_) = told(network, each(blocks_swapped(order), fused), gates=names)
    assert f"{names[0]} (block 1) and {names[1]} (block 2) of" in slip.text

    def one_bad(g: np.ndarray, w: np.ndarray, s: Any) -> np.ndarray:
        parts = np.split(g, count)
        return np.concatenate([*parts[:-1], -parts[-1]])

    (slip, *_) = told(network, each(one_bad, fused), gates=names)
    assert slip.name == "sign"
    assert slip.text.startswith(
        f"right but for block {count} of {count} ({names[-1]}) of {expected}; there by hand = -1 x"
    )

    def one_noisy(g: np.ndarray, w: np.ndarray, s: Any) -> np.ndarray:
        parts = np.split(g, count)
        noise = np.random.default_rng(3).standard_normal(parts[0].shape)
        return np.concatenate([parts[0] * noise, *parts[1:]])

    (slip, *_) = told(network, each(one_noisy, fused))
    assert slip.text == f"right but for block 1 of {count} of {expected}"


@every_network
def test_a_gross_slip_is_told_beside_an_epsilon(network: str) -> None:
    rng = np.random.default_rng(0)
    slips = told(network, each(lambda g, w, s: -g * (1 + 3e-6 * rng.standard_normal(g.shape))))
    assert [slip.text for slip in slips] == ["by hand = -1 x exact in every parameter: a sign (to 4 digits)"]


def test_a_gradient_in_float32_is_told_as_well() -> None:
    (slip,) = told("lstm", each(lambda g, w, s: (g / s["batch"]).astype(np.float32).astype(float)))
    assert "a mean over batch=2" in slip.text


def test_what_explains_a_part_comes_last_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    known = Slip("dh_next", "the gradient of the next step is missing", "here.py:1")
    rng = np.random.default_rng(0)

    def two(grads: Arrays, values: Arrays, sizes: Any) -> Arrays:
        return {**grads, "Wy": -grads["Wy"], "Wx": rng.standard_normal(grads["Wx"].shape)}

    (slip,) = told("lstm", two)
    assert slip == Slip("sign", "by hand = -1 x exact in Wy: a sign (this does not explain Wx)")
    monkeypatch.setattr(diagnosis, "explain", lambda cases: [known])
    assert told("lstm", two) == [known, slip]
    assert told("lstm", right) == []
    assert [slip.name for slip in told("lstm", each(lambda g, w, s: -g))] == ["sign"]  # nothing else is tried


def test_several_slips_each_in_its_own_parameters() -> None:
    def two(grads: Arrays, values: Arrays, sizes: Any) -> Arrays:
        return {**grads, "Wy": -grads["Wy"], "b": grads["b"] / sizes["batch"]}

    (slip,) = told("gru", two)
    assert slip.name in ("sign and mean for sum", "mean for sum and sign")
    assert "by hand = -1 x exact in Wy: a sign" in slip.text
    assert "; and by hand = " in slip.text
    assert "0.5 x exact in b: a mean over batch=2" in slip.text


def test_a_factor_is_believed_where_there_is_more_than_one_unit() -> None:
    small, large = {"T": 1, "batch": 1, "hidden": 1}, {"T": 3, "batch": 2, "hidden": 4}
    odd = each(lambda g, w, s: g * (1.7 if s["hidden"] == 1 else 1 + np.tanh(w)), "Wh b")
    assert told("rnn", odd, small) == []  # one number for another: any slip of the step does that
    assert told("rnn", odd, small, large) == []
    assert told("rnn", each(lambda g, w, s: 1.7 * g), large)[0].name == "factor"
    # -1, 2 and sizes are believed at once, and all readings are told
    assert told("rnn", each(lambda g, w, s: -g), small)[0].name == "sign"
    (slip,) = told("rnn", each(lambda g, w, s: g / 2), {"T": 3, "batch": 2, "hidden": 4})
    assert slip.text == (
        "by hand = 0.5 x exact in every parameter: a mean over batch=2, where the forward has a sum; "
        "or the 2 of a square's derivative is missing?"
    )


@pytest.mark.parametrize("network", ["rnn", "attention"])
def test_the_diagonal_alone(network: str) -> None:
    (slip,) = told(network, each(lambda g, w, s: np.diag(np.diag(g)), "Wh"))
    assert slip == Slip("diagonal", "dWh: right on the diagonal and 0 elsewhere")


def test_axes_of_a_third_kind() -> None:
    """A gradient of three axes is transposed in five ways."""
    rng = np.random.default_rng(0)
    w, exact = rng.standard_normal((2, 2, 3, 4))
    for order in itertools.permutations(range(3)):
        problem = Problem({"w": w}, {"w": exact.transpose(order)}, lambda convert, v: 0.0, np.sum, np.sum)
        slips = diagnose([(problem, {"w": exact}, {})])
        assert [slip.name for slip in slips[:1]] == ["transposed"] * (order != (0, 1, 2)), order


def test_zeros_say_less_than_a_slip_that_leaves_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """With one step nothing is left if the first is left out, and zeros are at their place wherever they stand."""
    zeros, small = each(lambda g, w, s: 0 * g), {"T": 1, "batch": 1, "hidden": 2}
    text = "0 by hand in every parameter: left out, or every way from there to the loss is cut?"
    assert [slip.text for slip in told("lstm", zeros)] == [text]
    (slip,) = told(
        "lstm",
        each(lambda g, w, s: np.concatenate([g[:-2], 0 * g[-2:]]), FUSED),
        small,
        gates=("i", "f", "g", "o"),
    )
    assert slip.text.startswith(
        "right but for block 4 of 4 (o) of dWx, db; there 0 by hand in Wx, b: left out"
    )
    known = Slip("first step", "the first step is left out")
    monkeypatch.setattr(diagnosis, "explain", lambda cases: [known])
    assert told("lstm", zeros, small)[0] == known


def test_only_cases_with_all_parameters_are_compared() -> None:
    """A deeper network has more parameters, and a mistake in these is none of the smaller case."""
    problem, exact, sizes = case("rnn", SIZES[0], each(lambda g, w, s: -g, "Wy"))
    shallow = replace(problem, claimed={"b": problem.claimed["b"] + 1, "Wx": problem.claimed["Wx"]})
    slips = diagnose([(shallow, exact, sizes), (problem, exact, sizes)])
    assert [slip.text for slip in slips] == ["by hand = -1 x exact in Wy: a sign"]


def test_names_that_are_no_words() -> None:
    problem, exact, sizes = case("rnn", SIZES[0], right)

    def renamed(arrays: Arrays) -> Arrays:
        return {name.replace("Wy", "layers[0].W"): g for name, g in arrays.items()}

    problem = replace(
        problem,
        claimed=renamed({**problem.claimed, "Wy": exact["Wy"].T}),
        values=renamed(problem.values),
    )
    (slip,) = diagnose([(problem, renamed(exact), sizes)])
    assert slip.text == "the gradient of layers[0].W is transposed"


def test_what_is_not_finite_is_not_explained() -> None:
    assert told("rnn", each(lambda g, w, s: g * np.inf)) == []
    assert told("rnn", each(lambda g, w, s: g * np.nan, "b")) == []
    assert told("rnn", each(lambda g, w, s: -1e100 * g))[0].name == "factor"
    assert told("rnn", each(lambda g, w, s: -1e200 * g)) == []  # its square is infinite


# --- nothing is named where nothing is known ----------------------------------------------------------


@every_network
def test_nothing_is_named_in_a_right_gradient(network: str) -> None:
    small = [{"T": t, "batch": b, "hidden": h} for t in (1, 2) for b in (1, 2) for h in (1, 2)]
    for sizes in [*small, *SIZES]:
        assert told(network, right, sizes) == []
    assert told(network, right, *small) == []
    assert told(network, each(lambda g, w, s: g.astype(np.float32).astype(float)), *SIZES) == []
    assert diagnose([]) == []


@every_network
def test_what_no_relation_explains_is_handed_on(network: str, with_slips: None) -> None:
    """To the slips that the recorded forward reproduces, and noise is none of them either."""
    small = {"T": 2, "batch": 2, "hidden": 2}
    rng = np.random.default_rng(7)
    assert told(network, each(lambda g, w, s: rng.standard_normal(g.shape)), small) == []


def test_a_slip_of_the_way_back_is_found_where_no_relation_holds(with_slips: None) -> None:
    cases = []
    for seed, sizes in enumerate(SIZES):
        problem, exact, (x, y) = solved("rnn", seed=seed, **sizes)
        cases.append(
            (replace(problem, claimed=rnn_by_hand(problem.values, x, y, dh_next=False)), exact, sizes)
        )
    assert diagnose(cases)[0].name == "dh_next missing"


def test_any_shapes_are_taken_and_noise_in_them_is_not_named() -> None:
    """Without axes, without elements, of other shapes by hand, with names that a smaller case has not."""
    rng = np.random.default_rng(0)

    def noise() -> np.ndarray:
        return np.asarray(rng.standard_normal(tuple(rng.integers(0, 5, rng.integers(0, 5)))))

    for _ in range(60):
        cases = []
        for _ in range(rng.integers(1, 4)):
            values = {name: noise() for name in "abcd"[: rng.integers(1, 5)]}
            exact = {name: rng.standard_normal(w.shape) for name, w in values.items()}
            hand = {
                name: noise() if rng.random() < 0.3 else np.asarray(rng.standard_normal(w.shape))
                for name, w in values.items()
            }
            problem = Problem(values, hand, lambda convert, v: 0.0, np.sum, np.sum)
            cases.append((problem, {name: np.asarray(e) for name, e in exact.items()}, {"T": 2}))
        assert diagnose(cases) == []


@every_network
def test_nothing_is_named_in_noise(network: str) -> None:
    rng = np.random.default_rng(0)
    one = {"T": 1, "batch": 1, "hidden": 1}
    noise = each(lambda g, w, s: rng.standard_normal(g.shape))
    for sizes in [SIZES, SIZES[:1], (one, *SIZES[1:])]:
        for _ in range(3):
            assert told(network, noise, *sizes) == []
            only = each(lambda g, w, s: rng.standard_normal(g.shape), "Wx b")
            assert told(network, only, *sizes) == []
    for only in ("", "Wx", "b", "Wy by"):
        for _ in range(8):
            size = 10.0 ** rng.uniform(-9, 0)
            perturbed = each(lambda g, w, s, size=size: g * (1 + size * rng.standard_normal(g.shape)), only)
            assert told(network, perturbed, *SIZES[: rng.integers(1, 4)]) == []


def test_a_slip_names_its_place_once() -> None:
    assert str(Slip("sign", "a sign", "lstm.py:93")) == "a sign (lstm.py:93)"
    assert str(Slip("sign", "a sign at lstm.py:93", "lstm.py:93")) == "a sign at lstm.py:93"
    assert str(Slip("sign", "a sign")) == "a sign"
