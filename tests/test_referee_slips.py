"""Mistakes planted into hand gradients are named by what reproduces their numbers, and nothing else is named."""

from typing import Any

import numpy as np
import pytest

from tinygrad_np.referee.problem import Problem, problem_at
from tinygrad_np.referee.recorded import record
from tinygrad_np.referee.slips import explain


def case(forward: Any, gradient: Any, inputs: dict[str, Any], **sizes: int) -> tuple[Problem, Any, Any]:
    problem = problem_at(forward, gradient, inputs)
    recorded = record(problem)
    recorded.loss.backward()
    exact = {name: np.zeros(p.shape) if p.grad is None else p.grad for name, p in recorded.parameters.items()}
    return problem, exact, sizes


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


# --- an LSTM with one array a gate over [h, x] -----------------------------------------------------------


def lstm(x: Any, Wf: Any, Wi: Any, Wo: Any, Wg: Any, bf: Any, bi: Any, bo: Any, bg: Any) -> Any:
    h, c = np.zeros(len(bf)), np.zeros(len(bf))
    loss = 0.0
    for t in range(len(x)):
        z = np.concatenate([h, x[t]])
        f = sigmoid(Wf @ z + bf)
        i = sigmoid(Wi @ z + bi)
        o = sigmoid(Wo @ z + bo)
        g = np.tanh(Wg @ z + bg)
        c = f * c + i * g
        h = o * np.tanh(c)
        loss = loss + np.sum(h**3)
    return loss


def lstm_by_hand(slip: str) -> Any:
    def gradient(x: Any, **p: Any) -> dict[str, Any]:
        n, T = len(p["bf"]), len(x)
        h, c = [np.zeros(n)], [np.zeros(n)]
        zs, gates = [], []
        for t in range(T):
            z = np.concatenate([h[-1], x[t]])
            f, i, o = (sigmoid(p["W" + k] @ z + p["b" + k]) for k in "fio")
            g = np.tanh(p["Wg"] @ z + p["bg"])
            c.append(f * c[-1] + i * g)
            h.append(o * np.tanh(c[-1]))
            zs.append(z)
            gates.append((f, i, o, g))
        d = {name: np.zeros_like(w) for name, w in p.items()}
        dh_next, dc_next = np.zeros(n), np.zeros(n)
        for t in reversed(range(T)):
            f, i, o, g = gates[t]
            dh = 3 * h[t + 1] ** 2 + (0 if slip == "dh_next missing" else dh_next)
            th = np.tanh(c[t + 1])
            do = dh * (c[t + 1] if slip == "c for tanh(c)" else th)
            dtanh = {"tanh' of c": 1 - c[t + 1] ** 2, "no tanh'": 1}.get(slip, 1 - th**2)
            dc = dh * o * dtanh + (0 if slip == "dc_next missing" else dc_next)
            df = dc * (c[t + 1] if slip == "c for c_prev" else c[t])
            di, dg = dc * g, dc * (f if slip == "f for i" else i)
            if slip == "i and f exchanged":
                di, df = df, di
            da = {"f": df * f * (1 - f), "i": di * i * (1 - i), "o": do * o * (1 - o), "g": dg * (1 - g**2)}
            if slip == "sigmoid' of its output":
                for k, v, up in (("f", f, df), ("i", i, di), ("o", o, do)):
                    da[k] = up * sigmoid(v) * (1 - sigmoid(v))
            if slip == "tanh' for sigmoid'":
                da["o"] = do * (1 - o * o)
            dz = np.zeros(len(zs[t]))
            for k in "fiog":
                z = zs[t]
                if slip == "h for h_prev":
                    z = np.concatenate([h[t + 1], x[t]])
                d["W" + k] += np.outer(da[k], z)
                d["b" + k] += da[k]
                if not (slip == "no way through o" and k == "o"):
                    dz += p["W" + k].T @ da[k]
            dh_next = dz[:n]
            dc_next = dc * (1 if slip == "f missing" else f)
        return d

    return gradient


def lstm_inputs(seed: int, T: int, hidden: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    inputs = {"x": rng.standard_normal((T, 2))}
    for k in "fiog":
        inputs["W" + k] = rng.standard_normal((hidden, hidden + 2))
    for k in "fiog":
        inputs["b" + k] = rng.standard_normal(hidden)
    return inputs


def lstm_cases(slip: str) -> Any:
    return [
        case(lstm, lstm_by_hand(slip), lstm_inputs(seed, T, hidden), T=T, hidden=hidden)
        for seed, (T, hidden) in enumerate([(2, 2), (3, 3)])
    ]


@pytest.mark.parametrize(
    ("slip", "name", "text"),
    [
        ("dh_next missing", "dh_next missing", "`h`"),
        ("dc_next missing", "dc_next missing", "`c`"),
        ("tanh' of c", "derivative of tanh taken of its input", "`np.tanh(c)`"),
        ("no tanh'", "derivative of tanh missing", "`np.tanh(c)`"),
        ("c for tanh(c)", "wrong operand: c", "`o * np.tanh(c)`"),
        ("c for c_prev", "c one step off", "`f * c`"),
        ("f for i", "wrong operand: f", "`i * g`"),
        ("i and f exchanged", "exchanged: f and i", "`f` and `i`"),
        ("sigmoid' of its output", "derivative of sigmoid taken of its output", "each sigmoid"),
        ("tanh' for sigmoid'", "derivative of tanh in place of that of sigmoid", "`sigmoid(Wo @ z + bo)`"),
        ("h for h_prev", "part of a joined operand one step off", "`Wf`"),
        ("no way through o", "a path missing", "`Wo @ z`"),
        ("f missing", "factor f missing", "`f * c`"),
    ],
)
def test_a_slip_in_an_lstm_is_named(slip: str, name: str, text: str) -> None:
    slips = explain(lstm_cases(slip))
    assert slips
    assert name in slips[0].name
    assert text in slips[0].text


def test_a_right_gradient_has_no_slip() -> None:
    assert explain(lstm_cases("")) == []


def test_noise_has_no_slip() -> None:
    rng = np.random.default_rng(0)
    cases = lstm_cases("dh_next missing")
    for problem, _, _ in cases:
        for g in problem.claimed.values():
            g[...] = rng.standard_normal(g.shape)
    assert explain(cases) == []
