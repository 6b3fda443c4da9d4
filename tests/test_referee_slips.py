"""Mistakes planted into hand gradients are named by what reproduces their numbers, and nothing else is named."""

from typing import Any

import numpy as np
import pytest

from tinygrad_np.referee.diagnosis.slips import explain
from tinygrad_np.referee.intake.problem import Problem, problem_at
from tinygrad_np.referee.recording.recorded import record


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


# --- an Elman network with a buffer of states and a cross entropy ------------------------------------------


def elman(x: Any, targets: Any, W: Any, U: Any, b: Any, V: Any) -> Any:
    hs = np.zeros((len(x) + 1, len(b)))
    loss = 0.0
    for t in range(len(x)):
        hs[t + 1] = np.tanh(W @ x[t] + U @ hs[t] + b)
        y = V @ hs[t + 1]
        p = np.exp(y) / np.sum(np.exp(y))
        loss += -np.log(p[targets[t]])
    return loss


def elman_by_hand(slip: str) -> Any:
    def gradient(x: Any, targets: Any, W: Any, U: Any, b: Any, V: Any) -> dict[str, Any]:
        T = len(x)
        hs = np.zeros((T + 1, len(b)))
        ps = []
        for t in range(T):
            hs[t + 1] = np.tanh(W @ x[t] + U @ hs[t] + b)
            e = np.exp(V @ hs[t + 1])
            ps.append(e / e.sum())
        d = {"W": np.zeros_like(W), "U": np.zeros_like(U), "b": np.zeros_like(b), "V": np.zeros_like(V)}
        dh_next = np.zeros(len(b))
        for t in reversed(range(1 if slip == "first step" else 0, T)):
            dy = ps[t].copy()
            if slip != "no target":
                dy[targets[t - 1 if slip == "target before" else t]] -= 1
            if slip == "V assigned":
                d["V"] = np.outer(dy, hs[t + 1])
            else:
                d["V"] += np.outer(dy, hs[t] if slip == "h_prev for h" else hs[t + 1])
            dh = V.T @ dy + (0 if slip == "dh_next missing" else dh_next)
            h = hs[t + 1]
            slope = {"no square": 1 - h, "of h_prev": 1 - hs[t] ** 2, "y(1-y)": h * (1 - h)}.get(
                slip, 1 - h**2
            )
            da = dh * slope
            d["W"] += np.outer(da, x[t])
            d["U"] += np.outer(da, hs[t + 1 if slip == "h for h_prev" else t])
            d["b"] += dh if slip == "db of dh" else da
            dh_next = (U if slip == "not transposed" else U.T) @ (dh if slip == "dh handed on" else da)
        return d

    return gradient


def elman_cases(slip: str) -> Any:
    def inputs(seed: int, T: int, hidden: int) -> dict[str, Any]:
        rng = np.random.default_rng(seed)
        return {
            "x": rng.standard_normal((T, 2)),
            "targets": np.arange(T) % 3,
            "W": rng.standard_normal((hidden, 2)),
            "U": rng.standard_normal((hidden, hidden)),
            "b": rng.standard_normal(hidden),
            "V": rng.standard_normal((3, hidden)),
        }

    return [case(elman, elman_by_hand(slip), inputs(s, s + 2, s + 2), T=s + 2, hidden=s + 2) for s in (0, 1)]


@pytest.mark.parametrize(
    ("slip", "name", "text"),
    [
        ("dh_next missing", "dh_next missing", "`hs`"),
        ("no target", "target missing", "`np.exp(y) / np.sum(np.exp(y))`"),
        ("target before", "target one step off", "previous step"),
        ("V assigned", "= for +=", "`V`"),
        ("h_prev for h", "operand one step off", "`V`"),
        ("h for h_prev", "operand one step off", "`U`"),
        ("no square", "square missing in the derivative of tanh", "`np.tanh("),
        ("of h_prev", "derivative of tanh one step off", "previous step"),
        ("y(1-y)", "derivative of sigmoid in place of that of tanh", "`np.tanh("),
        ("db of dh", "derivative of tanh missing in one gradient", "`b`"),
        ("not transposed", "U not transposed", "`U @ hs[t]`"),
        ("dh handed on", "derivative of tanh missing on one path", "`U @ hs[t]`"),
        ("first step", "first step left out", ""),
    ],
)
def test_a_slip_in_a_plain_network_is_named(slip: str, name: str, text: str) -> None:
    slips = explain(elman_cases(slip))
    assert slips
    assert name in slips[0].name
    assert text in slips[0].text


# --- a GRU ----------------------------------------------------------------------------------------------------


def gru(x: Any, W: Any, U: Any, Wn: Any, Un: Any) -> Any:
    h = np.zeros(len(Un))
    for x_t in x:
        z, r = np.split(sigmoid(W @ x_t + U @ h), 2)
        n = np.tanh(Wn @ x_t + Un @ (r * h))
        h = (1 - z) * n + z * h
    return np.sum(h**2)


def gru_by_hand(slip: str) -> Any:
    def gradient(x: Any, W: Any, U: Any, Wn: Any, Un: Any) -> dict[str, Any]:
        hs, cache = [np.zeros(len(Un))], []
        for x_t in x:
            z, r = np.split(sigmoid(W @ x_t + U @ hs[-1]), 2)
            n = np.tanh(Wn @ x_t + Un @ (r * hs[-1]))
            hs.append((1 - z) * n + z * hs[-1])
            cache.append((z, r, n))
        d = {"W": np.zeros_like(W), "U": np.zeros_like(U), "Wn": np.zeros_like(Wn), "Un": np.zeros_like(Un)}
        dh = 2 * hs[-1]
        for t in reversed(range(len(x))):
            z, r, n = cache[t]
            h = hs[t]
            dn = dh * (z if slip == "z for 1 - z" else 1 - z)
            dz = dh * (n - h if slip == "sign of z" else h - n)
            if slip == "no n in z":
                dz = dh * h
            da = dn * (1 - n**2)
            drh = Un.T @ da
            dr = drh * (n if slip == "n for h" else h)
            gates = np.concatenate([dz * z * (1 - z), dr * r * (1 - r)])
            if slip == "z and r":
                gates = np.concatenate([dr * r * (1 - r), dz * z * (1 - z)])
            d["W"] += np.outer(gates, x[t])
            d["U"] += np.outer(gates, h)
            d["Wn"] += np.outer(da, x[t])
            d["Un"] += np.outer(da, h if slip == "h for r h" else r * h)
            dh = dh * z + U.T @ gates + (0 if slip == "no way through r h" else drh * r)
        return d

    return gradient


@pytest.mark.parametrize(
    ("slip", "name", "text"),
    [
        ("z for 1 - z", "wrong operand", "`(1 - z) * n`"),
        ("sign of z", "", "z"),
        ("no n in z", "a path missing", "`1 - z`"),
        ("n for h", "wrong operand: n", "`r * h`"),
        ("z and r", "gates exchanged", "`z`"),
        ("h for r h", "wrong operand", "`Un`"),
        ("no way through r h", "dh_next missing", "`r * h`"),
    ],
)
def test_a_slip_in_a_gru_is_named(slip: str, name: str, text: str) -> None:
    def inputs(seed: int, T: int, hidden: int) -> dict[str, Any]:
        rng = np.random.default_rng(seed)
        shapes = {"W": (2 * hidden, 2), "U": (2 * hidden, hidden), "Wn": (hidden, 2), "Un": (hidden, hidden)}
        weights = {k: rng.standard_normal(shape) for k, shape in shapes.items()}
        return {"x": rng.standard_normal((T, 2)), **weights}

    def cases(slip: str) -> Any:
        sizes = [(2, 3), (3, 2)]
        return [case(gru, gru_by_hand(slip), inputs(i, *s), T=s[0], hidden=s[1]) for i, s in enumerate(sizes)]

    assert explain(cases("")) == []
    slips = explain(cases(slip))
    assert slips
    assert name in slips[0].name
    assert text in slips[0].text


# --- attention --------------------------------------------------------------------------------------------------


def attention(x: Any, Wq: Any, Wk: Any, Wv: Any) -> Any:
    q, k, v = x @ Wq, x @ Wk, x @ Wv
    s = q @ k.T / np.sqrt(q.shape[1])
    e = np.exp(s - s.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    return np.sum((p @ v) ** 3)


def attention_by_hand(slip: str) -> Any:
    def gradient(x: Any, Wq: Any, Wk: Any, Wv: Any) -> dict[str, Any]:
        q, k, v = x @ Wq, x @ Wk, x @ Wv
        root = np.sqrt(q.shape[1])
        e = np.exp(q @ k.T / root)
        p = e / e.sum(axis=1, keepdims=True)
        do = 3 * (p @ v) ** 2
        dv = (p if slip == "p not transposed" else p.T) @ do
        dp = do @ v.T
        ds = p * (dp - np.sum(dp * p, axis=0 if slip == "axis" else 1, keepdims=True))
        ds = {"diagonal": dp * p * (1 - p), "no sum": dp * p, "no softmax": dp}.get(slip, ds)
        if slip != "no root":
            ds = ds / root
        dq, dk = ds @ k, (ds if slip == "ds not transposed" else ds.T) @ q
        if slip == "q and k":
            dq, dk = dk, dq
        return {"Wq": x.T @ dq, "Wk": x.T @ dk, "Wv": x.T @ dv}

    return gradient


@pytest.mark.parametrize(
    ("slip", "name"),
    [
        ("p not transposed", "p not transposed"),
        ("axis", "softmax's sum over axis 0"),
        ("diagonal", "softmax taken for a sigmoid"),
        ("no sum", "sum missing in the derivative of softmax"),
        ("no softmax", "derivative of softmax missing"),
        ("no root", "sqrt"),
        ("ds not transposed", "gradient not transposed"),
        ("q and k", "exchanged: q and k"),
    ],
)
def test_a_slip_in_attention_is_named(slip: str, name: str) -> None:
    def inputs(seed: int, T: int, d: int) -> dict[str, Any]:
        rng = np.random.default_rng(seed)
        return {
            "x": rng.standard_normal((T, 3)),
            **{k: rng.standard_normal((3, d)) for k in ("Wq", "Wk", "Wv")},
        }

    def cases(slip: str) -> Any:
        sizes = [(2, 3), (3, 2)]
        return [
            case(attention, attention_by_hand(slip), inputs(i, *s), T=s[0], d=s[1])
            for i, s in enumerate(sizes)
        ]

    assert explain(cases("")) == []
    slips = explain(cases(slip))
    assert slips
    assert name in slips[0].name


# --- an LSTM with one fused matrix, batch first, and a helper for a step -----------------------------------


def lstm_step(x: Any, h: Any, c: Any, W: Any, b: Any) -> Any:
    n = h.shape[1]
    a = np.hstack([x, h]) @ W + b
    i, f, o = sigmoid(a[:, :n]), sigmoid(a[:, n : 2 * n]), sigmoid(a[:, 2 * n : 3 * n])
    g = np.tanh(a[:, 3 * n :])
    c_new = f * c + i * g
    return o * np.tanh(c_new), c_new, (i, f, o, g)


def fused(x: Any, W: Any, b: Any) -> Any:
    batch, T, _ = x.shape
    n = b.size // 4
    h, c = np.zeros((batch, n)), np.zeros((batch, n))
    hs = np.zeros((batch, T, n))
    for t in range(T):
        h, c, _ = lstm_step(x[:, t], h, c, W, b)
        hs[:, t] = h
    return np.sum(hs**2) / batch


def fused_by_hand(slip: str) -> Any:
    def gradient(x: Any, W: Any, b: Any) -> dict[str, Any]:
        batch, T, d = x.shape
        n = b.size // 4
        hs, cs, gates = [np.zeros((batch, n))], [np.zeros((batch, n))], []
        for t in range(T):
            h, c, gate = lstm_step(x[:, t], hs[-1], cs[-1], W, b)
            hs.append(h)
            cs.append(c)
            gates.append(gate)
        dW, db = np.zeros_like(W), np.zeros_like(b)
        dh_next, dc_next = np.zeros((batch, n)), np.zeros((batch, n))
        for t in reversed(range(T)):
            i, f, o, g = gates[t]
            last_only = slip == "last output" and t < T - 1
            dh = (0 if last_only else 2 * hs[t + 1] / batch) + (0 if slip == "no dh_next" else dh_next)
            tanh_c = np.tanh(cs[t + 1])
            dc = dh * o * (1 - tanh_c**2) + (0 if slip == "no dc_next" else dc_next)
            da = [
                dc * g * i * (1 - i),
                dc * cs[t] * f * (1 - f),
                dh * tanh_c * o * (1 - o),
                dc * i * (1 - g**2),
            ]
            if slip == "f and o":
                da[1], da[2] = da[2], da[1]
            da = np.concatenate(da, axis=1)
            dW += np.hstack([x[:, t], hs[t + 1 if slip == "h for h_prev" else t]]).T @ da
            db += da[0] if slip == "first sample" else da.sum(axis=0)
            dh_next = (da @ W.T)[:, d:]
            dc_next = dc * (i if slip == "i for f" else f)
        return {"W": dW, "b": db}

    return gradient


@pytest.mark.parametrize(
    ("slip", "name", "text"),
    [
        ("no dh_next", "dh_next missing", "`h`"),
        ("no dc_next", "dc_next missing", "`c_new`"),
        ("f and o", "gates exchanged: f and o", "`f` in the place of `o`"),
        ("h for h_prev", "one step off", "`W`"),
        ("first sample", "bias not summed over the batch", "`b`"),
        ("i for f", "wrong operand: i", "`f * c`"),
        ("last output", "a path missing but at the last step", "last"),
    ],
)
def test_a_slip_in_a_fused_lstm_is_named(slip: str, name: str, text: str) -> None:
    def cases(slip: str) -> Any:
        rng = np.random.default_rng(0)
        found = []
        for batch, T, n in [(2, 2, 3), (3, 3, 2)]:
            inputs = {
                "x": rng.standard_normal((batch, T, 2)),
                "W": rng.standard_normal((2 + n, 4 * n)),
                "b": rng.standard_normal(4 * n),
            }
            found.append(case(fused, fused_by_hand(slip), inputs, batch=batch, T=T, hidden=n))
        return found

    assert explain(cases("")) == []
    slips = explain(cases(slip))
    assert slips
    assert name in slips[0].name
    assert text in slips[0].text
