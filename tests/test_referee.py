"""The referee on trial itself: right derivations pass, wrong ones are diagnosed, and its answer can be read."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from tinygrad_np import testing
from tinygrad_np.referee import Case, referee


def make(rng: np.random.Generator, T: int, hidden: int) -> dict[str, np.ndarray]:
    return {
        "x": rng.standard_normal((T, 2)),
        "W": rng.standard_normal((hidden, 2)),
        "U": rng.standard_normal((hidden, hidden)),
        "b": rng.standard_normal(hidden),
    }


def forward(x: Any, W: Any, U: Any, b: Any) -> Any:
    """A plain recurrent network: h_t = tanh(W x_t + U h_(t-1) + b), and the loss is the sum of the last h^2."""
    h = np.zeros(len(b))
    for x_t in x:
        h = np.tanh(W @ x_t + U @ h + b)
    return np.sum(h * h)


def by_hand(slip: str = "") -> Any:
    def gradient(x: Any, W: Any, U: Any, b: Any) -> dict[str, np.ndarray]:
        states = [np.zeros(len(b))]
        for x_t in x:
            states.append(np.tanh(W @ x_t + U @ states[-1] + b))
        dW, dU, db = np.zeros_like(W), np.zeros_like(U), np.zeros_like(b)
        dh = 2 * states[-1]
        for t in reversed(range(len(x))):
            da = dh * (1 - states[t + 1] ** 2)
            if slip == "square missing at the first step" and t == 0:
                da = dh * (1 - states[t + 1])
            dW += np.outer(da, x[t])
            dU += np.outer(da, states[t + 1 if slip == "state one step off" else t])
            db += da
            dh = (U if slip == "not transposed" else U.T) @ da
        return {"W": dW, "U": dU, "b": db}

    return gradient


cases = testing.cases(make, T=(1, 5), hidden=(1, 3))


def test_a_right_derivation_agrees() -> None:
    verdict = referee(forward, by_hand(), cases)
    assert verdict.agrees
    assert verdict.method == "recorded"
    assert verdict.tried >= 100
    assert max(f.relative_error for f in verdict.findings.values()) < 1e-13
    assert str(verdict).startswith("agrees in all of 3 parameters (exact gradient: recorded), in ")


def test_a_matrix_that_is_not_transposed_shows_from_two_steps_and_two_units() -> None:
    verdict = referee(forward, by_hand("not transposed"), cases)
    assert verdict.case == "T=2, hidden=2, seed 0"
    assert verdict.wrong == ["W", "b"]  # at T=2 the only h before the last is 0, and U sees nothing of it
    outcomes = {n: [f.outcome for f in found.values()] for n, found in verdict.by_steps.items()}
    assert outcomes[1] == ["right", "not tested", "right"]  # U, which multiplies nothing yet
    assert outcomes[2] == ["wrong", "right", "wrong"]
    assert outcomes[3] == ["wrong"] * 3
    assert not verdict.by_steps[3]["U"].right
    assert verdict.wrong_steps == [1]
    text = str(verdict)
    assert "the smallest case that fails: T=2, hidden=2, seed 0" in text
    assert "right at T=1 (U: not tested)\nfirst wrong at T=2 in W, b\nalso wrong at T=3 in U\n" in text
    assert "at T=2 the wrong term enters at time step 1 of 2" in text


def test_a_state_one_step_off_is_wrong_in_one_parameter_from_the_start() -> None:
    verdict = referee(forward, by_hand("state one step off"), cases)
    assert verdict.case == "T=1, hidden=1, seed 0"
    assert verdict.wrong == ["U"]
    finding = verdict.findings["U"]
    assert finding.exact == 0
    assert np.isnan(finding.relative_error)  # there is none of an exact 0
    assert finding.absolute_error == abs(finding.hand)


def test_a_time_step_is_told_for_the_first_length_that_fails_or_not_at_all() -> None:
    def from_two_steps(**inputs: Any) -> dict[str, np.ndarray]:
        """U is doubled from two steps on, which no input tells a step of; W from three on, which one does."""
        right = by_hand()(**inputs)
        T = len(inputs["x"])
        return {"W": right["W"] * (1 + (T > 2)), "U": right["U"] * (1 + (T > 1)), "b": right["b"]}

    verdict = referee(forward, from_two_steps, Case(make, {"T": 4, "hidden": 2}))
    assert verdict.wrong_steps == []
    assert "first wrong at T=2 in U\nalso wrong at T=3 in W\n" in str(verdict)
    assert "time step" not in str(verdict)


def test_the_time_step_is_found() -> None:
    verdict = referee(forward, by_hand("square missing at the first step"), Case(make, {"T": 4, "hidden": 2}))
    assert verdict.wrong == ["W", "b"] or verdict.wrong == ["W", "U", "b"]
    assert verdict.wrong_steps == [1]


def test_what_explains_a_failure_of_the_smallest_case_is_seen_in_larger_ones() -> None:
    def first_step_left_out(x: Any, W: Any, U: Any, b: Any) -> dict[str, np.ndarray]:
        whole = by_hand()(x=x, W=W, U=U, b=b)
        states = [np.zeros(len(b))]
        for x_t in x:
            states.append(np.tanh(W @ x_t + U @ states[-1] + b))
        dh = 2 * states[-1]
        for t in reversed(range(1, len(x))):
            dh = U.T @ (dh * (1 - states[t + 1] ** 2))
        da = dh * (1 - states[1] ** 2)
        return {"W": whole["W"] - np.outer(da, x[0]), "U": whole["U"], "b": whole["b"] - da}

    verdict = referee(forward, first_step_left_out, cases)
    assert verdict.case == "T=1, hidden=1, seed 0"  # where the gradient is 0, as if it were never written
    assert verdict.slips[0].name in (
        "first step left out",
        "way back through time truncated",
    )  # the same here


def test_what_is_recorded_at_one_step_alone_is_searched_by_glances() -> None:
    calls = 0

    def unseen(x: Any, W: Any, U: Any, b: Any) -> Any:
        nonlocal calls
        calls += 1
        if len(x) > 1:
            W = np.frombuffer(W.tobytes()).reshape(W.shape)  # no record follows
        return forward(x, W, U, b)

    assert referee(unseen, by_hand(), cases).agrees
    assert calls < 4000  # with a close look at each case 5,000


def test_relative_error_and_cosine_are_what_they_say() -> None:
    verdict = referee(
        lambda x: np.sum(x * x),
        lambda x: {"x": 2 * x * np.array([1.0, 1.0, 3.0])},
        {"x": np.array([1.0, 2.0, 2.0])},
    )
    finding = verdict.findings["x"]  # exact (2, 4, 4), by hand (2, 4, 12)
    assert finding.relative_error == pytest.approx(8 / 6)
    assert finding.cosine == pytest.approx((4 + 16 + 48) / (6 * np.sqrt(4 + 16 + 144)))
    assert (finding.index, finding.hand, finding.exact) == ((2,), 12, 4)
    assert "x  WRONG  relative error 1.3, cosine 0.8850; worst at [2]: by hand 12, exact 4" in str(verdict)


@pytest.mark.parametrize(
    ("loss", "method"),
    [
        (lambda x: np.sum(np.unique(x) ** 2), "complex step"),  # no rule for a Tensor
        (lambda x: float(np.sum(np.abs(np.unique(x)) ** 2)), "central differences"),  # not analytic either
        (lambda x: sum(v * v for v in np.unique(x).tolist()), "complex step"),  # leaves NumPy
    ],
)
def test_a_forward_that_cannot_be_recorded_is_tried_by_its_values(loss: Any, method: str) -> None:
    point = {"x": np.array([3.0, -1.0, 2.0])}
    verdict = referee(loss, lambda x: {"x": 2 * x}, point)
    assert verdict.agrees
    assert verdict.method == method
    assert referee(loss, lambda x: {"x": 2 * np.sort(x)}, point).wrong == ["x"]


def test_a_complex_derivative_that_is_another_one_is_not_believed() -> None:
    # the derivative of np.abs vanishes in a complex step, and np.unique has no rule
    verdict = referee(
        lambda w: np.add.reduce(np.unique(w) ** 2) + np.abs(w).sum(),
        lambda w: {"w": 2 * w + np.sign(w)},
        {"w": np.array([1.0, -2.0])},
    )
    assert verdict.agrees
    assert verdict.method == "central differences"


def test_a_strategy_of_plain_inputs() -> None:
    points = st.integers(1, 4).map(lambda n: {"x": np.arange(1.0, n + 1)})
    verdict = referee(lambda x: np.sum(x**3), lambda x: {"x": np.where(x > 2, 0, 3 * x**2)}, points)
    assert not verdict.agrees
    assert verdict.findings["x"].index == (2,)  # three numbers are the fewest that show it
    assert verdict.findings["x"].exact == 27


def test_gradients_that_are_not_of_the_shape_or_not_finite() -> None:
    point = {"x": np.ones((2, 3)), "y": np.ones(2)}
    verdict = referee(
        lambda x, y: np.sum(y @ x), lambda x, y: {"x": np.ones((3, 2)), "y": np.array([3.0, np.nan])}, point
    )
    assert verdict.wrong == ["x", "y"]
    assert verdict.findings["x"].reason == "has shape (3, 2), and its parameter (2, 3)"
    assert verdict.findings["y"].reason == "is not finite"
    assert "x  WRONG  has shape" in str(verdict)


def test_bad_input() -> None:
    with pytest.raises(TypeError, match="returns a str, and no gradient is found in it"):
        referee(lambda x: np.sum(x), lambda x: "x", {"x": np.ones(2)})
    with pytest.raises(TypeError, match="returns a dict, and no gradient is found in it"):
        referee(lambda x: np.sum(x), lambda x: {}, {"x": np.ones(2)})
    with pytest.raises(TypeError, match="of x is no array of numbers, but None"):
        referee(lambda x: np.sum(x), lambda x: {"x": None}, {"x": np.ones(2)})
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="your forward is random: fix its seed or pass the mask"):
        referee(lambda x: np.sum(x) * rng.random(), lambda x: {"x": x}, {"x": np.ones(2)})
    with pytest.raises(ValueError, match="gives V, and the parameters are x"):
        referee(lambda x: np.sum(x), lambda x: {"V": x}, {"x": np.ones(2)})
    with pytest.raises(ValueError, match=r"returns an array of \(2,\) and no loss: let it return one number"):
        referee(lambda x: x * 2, lambda x: {"x": x}, {"x": np.ones(2)})
    with pytest.raises(ZeroDivisionError):  # the forward's own fault is not hidden
        referee(lambda x: 1 // 0, lambda x: {"x": x}, {"x": np.ones(2)})


def test_as_a_table_and_as_a_picture(tmp_path: Path) -> None:
    pytest.importorskip("pandas", reason="the table needs pandas: pip install 'tinygrad_np[data]'")
    pytest.importorskip("matplotlib", reason="the picture needs matplotlib: pip install 'tinygrad_np[plot]'")
    verdict = referee(forward, by_hand("not transposed"), cases)
    table = verdict.to_frame()
    assert list(table.columns[:4]) == ["T", "parameter", "outcome", "relative_error"]
    assert len(table) == len(verdict.by_steps) * 3
    assert table.loc[table["T"] == 2, "outcome"].tolist() == ["wrong", "right", "wrong"]
    verdict.plot(tmp_path / "trial.png")
    assert (tmp_path / "trial.png").read_bytes().startswith(b"\x89PNG")
    one = referee(lambda x: np.sum(x), lambda x: {"x": np.ones(2)}, {"x": np.ones(2)})
    assert one.to_frame()["parameter"].tolist() == ["x"]
    one.plot(tmp_path / "one.png")


# --- what could mislead it ----------------------------------------------------------------------------


def test_a_part_of_the_record_that_gets_lost_is_noticed() -> None:
    point = {"w": np.array([1.0, 2.0]), "b": np.array(3.0)}

    def loses(w: Any, b: Any) -> Any:
        return np.sum(w * w) + float(repr(float(b))) ** 2

    verdict = referee(loses, lambda w, b: {"w": 2 * w, "b": 2 * b}, point)
    assert verdict.agrees
    assert verdict.method == "central differences"
    assert referee(loses, lambda w, b: {"w": 2 * w, "b": 0 * b}, point).wrong == ["b"]

    def aliases(w: Any) -> Any:
        doubled = w
        doubled *= 2  # in NumPy both names see it, with Tensors one
        return np.sum(w * doubled)

    assert referee(aliases, lambda w: {"w": 8 * w}, {"w": np.array([1.0, 2.0])}).agrees


def test_a_gradient_that_cancels_to_zero_is_right_up_to_rounding() -> None:
    def loss(z: Any, b: Any) -> Any:
        return np.log(np.sum(np.exp(z + b))) - (z + b)[0]  # b moves all alike, and so nothing

    def by_hand(z: Any, b: Any) -> dict[str, np.ndarray]:
        p = np.exp(z + b) / np.sum(np.exp(z + b))
        dz = p - np.eye(len(z))[0]
        return {"z": dz, "b": np.asarray(dz.sum())}

    points = st.integers(0, 50).map(
        lambda seed: {"z": np.random.default_rng(seed).standard_normal(4), "b": np.array(0.3)}
    )
    assert referee(loss, by_hand, points).agrees
    small = {"z": np.array([1e-9, -1e-9]), "b": np.array(0.0)}
    wrong = referee(
        lambda z, b: 1e-9 * np.sum(np.sin(z)),
        lambda z, b: {"z": 1e-9 * np.cos(z), "b": np.array(9e-7)},
        small,
    )
    assert wrong.wrong == ["b"]


def test_inputs_of_very_different_size() -> None:
    point = {"a": np.array([1e6, 2e6]), "b": np.array([1e-7, 2e-6])}
    loss = lambda a, b: float(np.sum(np.sort(a))) * 1e-6 + sum(np.log(abs(v)) for v in b.tolist())
    verdict = referee(loss, lambda a, b: {"a": np.full(2, 1e-6), "b": 1 / b}, point)
    assert verdict.agrees, str(verdict)


def test_batch_first_sequences_and_labels_by_step() -> None:
    def make_batch(rng: np.random.Generator, T: int, batch: int) -> dict[str, np.ndarray]:
        return {
            "x": rng.standard_normal((batch, T, 2)),
            "y": rng.standard_normal((T, 3)),
            "W": rng.standard_normal((3, 2)),
            "U": rng.standard_normal((3, 3)),
        }

    def loss(x: Any, y: Any, W: Any, U: Any) -> Any:
        h, total = np.zeros((len(x), 3)), 0.0
        for t in range(x.shape[1]):
            h = np.tanh(x[:, t] @ W.T + h @ U.T)
            total = total + np.sum(np.square(h - y[t]))
        return total

    def slips(x: Any, y: Any, W: Any, U: Any) -> dict[str, np.ndarray]:
        states = [np.zeros((len(x), 3))]
        for t in range(x.shape[1]):
            states.append(np.tanh(x[:, t] @ W.T + states[-1] @ U.T))
        dW, dU, dh = np.zeros_like(W), np.zeros_like(U), 0.0
        for t in reversed(range(x.shape[1])):
            da = (dh + 2 * (states[t + 1] - y[t])) * (1 - states[t + 1] ** 2)
            dW += da.T @ x[:, t]
            dU += da.T @ states[t]
            dh = da @ U.T  # not transposed
        return {"W": dW, "U": dU}

    verdict = referee(loss, slips, testing.cases(make_batch, T=(1, 4), batch=(1, 3)))
    assert verdict.case == "T=2, batch=1, seed 0"
    assert verdict.wrong_steps == [1]
    assert "at T=2 the wrong term enters at time step 1 of 2" in str(verdict)


def test_a_single_case_that_is_right_while_a_shorter_one_is_not() -> None:
    def even_lengths_only(**inputs: Any) -> dict[str, np.ndarray]:
        return by_hand("" if len(inputs["x"]) % 2 == 0 else "state one step off")(**inputs)

    verdict = referee(forward, even_lengths_only, Case(make, {"T": 2, "hidden": 2}))
    assert not verdict.agrees
    assert verdict.case == "T=1, hidden=2, seed 0"
    assert list(verdict.by_steps) == [1, 2]


def test_lengths_that_were_not_drawn_are_not_tried() -> None:
    def needs_two(x: Any, **rest: Any) -> Any:
        return forward(x, **rest) + 0 * x[1, 0]

    verdict = referee(needs_two, by_hand(), testing.cases(make, T=(2, 4), hidden=(1, 2)))
    assert verdict.agrees
    assert list(verdict.by_steps) == [2, 3, 4]


def test_without_a_size_for_time_the_verdict_says_so() -> None:
    def wide(rng: np.random.Generator, length: int) -> dict[str, np.ndarray]:
        return {"x": rng.standard_normal(length)}

    cases_of_x = testing.cases(wide, length=(1, 4))
    verdict = referee(lambda x: np.sum(x**3), lambda x: {"x": x}, cases_of_x)
    assert "no size is called T, so nothing is said of time" in str(verdict)


def test_a_hand_gradient_may_write_to_what_it_gets() -> None:
    w = np.array([1.0, 2.0])

    def writes(w: Any) -> dict[str, np.ndarray]:
        g = 2 * w
        w *= 0
        return {"w": g}

    assert referee(lambda w: np.sum(w * w), writes, {"w": w}).agrees
    np.testing.assert_array_equal(w, [1.0, 2.0])


def test_where_the_exact_gradient_is_not_finite_nothing_is_known() -> None:
    with np.errstate(all="ignore"):
        verdict = referee(
            lambda x: np.sum(np.sqrt(x)), lambda x: {"x": 0.5 / np.sqrt(x)}, {"x": np.array([-1.0])}
        )
    assert verdict.findings["x"].reason.startswith("cannot be judged: the exact gradient is not finite")


# --- the search ---------------------------------------------------------------------------------------


def make_labels(rng: np.random.Generator, T: int, hidden: int) -> dict[str, np.ndarray]:
    return {**make(rng, T, hidden), "V": rng.standard_normal((3, hidden)), "y": np.eye(3)[rng.integers(3)]}


def cross_entropy(x: Any, W: Any, U: Any, b: Any, V: Any, y: Any) -> Any:
    h = np.zeros(len(b))
    for x_t in x:
        h = np.tanh(W @ x_t + U @ h + b)
    e = np.exp(V @ h)
    return -np.log((y * e / e.sum()).sum() + 1e-6)  # a protection that p - y knows nothing of


def without_the_epsilon(slip: str = "") -> Any:
    def gradient(x: Any, W: Any, U: Any, b: Any, V: Any, y: Any) -> dict[str, np.ndarray]:
        states = [np.zeros(len(b))]
        for x_t in x:
            states.append(np.tanh(W @ x_t + U @ states[-1] + b))
        e = np.exp(V @ states[-1])
        dz = e / e.sum() - y
        dW, dU, db, dh = np.zeros_like(W), np.zeros_like(U), np.zeros_like(b), V.T @ dz
        for t in reversed(range(len(x))):
            da = dh * (1 - states[t + 1] ** 2)
            dW, dU, db = dW + np.outer(da, x[t]), dU + np.outer(da, states[t]), db + da
            dh = (U if slip == "not transposed" else U.T) @ da
        return {"W": dW, "U": dU, "b": db, "V": np.outer(dz, states[-1])}

    return gradient


def test_a_gross_slip_is_found_behind_a_fine_one() -> None:
    drawn = testing.cases(make_labels, T=(1, 5), hidden=(1, 3))
    fine = referee(cross_entropy, without_the_epsilon(), drawn)
    assert not fine.wrong
    gross = referee(cross_entropy, without_the_epsilon("not transposed"), drawn)
    assert gross.outcome == "wrong"
    assert gross.case == "T=2, hidden=2, seed 0"
    assert gross.wrong_steps == [1]
    assert not any(f.outcome == "wrong" for f in gross.by_steps[1].values())


def test_a_length_is_judged_on_several_draws_and_units() -> None:
    """With one unit, and this one draw, the slip cannot be seen; the length is not right for that."""

    def hides(x: Any, W: Any, U: Any, b: Any) -> dict[str, np.ndarray]:
        right = by_hand()(x, W, U, b)
        return right if len(b) == 1 and len(x) == 1 else {**right, "W": right["W"] * 1.5}

    verdict = referee(forward, hides, testing.cases(make, T=(1, 4), hidden=(1, 3)))
    assert "first wrong at T=1 in W" in str(verdict)
    one = referee(forward, hides, Case(make, {"T": 1, "hidden": 1}))
    assert one.findings["W"].right  # asked for one unit, it has no more to go by
    assert one.covered == {"T": (1, 1), "hidden": (1, 1)}


def test_what_is_zero_on_both_sides_everywhere_does_not_agree() -> None:
    verdict = referee(forward, by_hand(), testing.cases(make, T=(1, 1), hidden=(1, 3)))
    assert verdict.findings["U"].outcome == "not tested"
    assert verdict.outcome == "cannot tell"
    assert not verdict.agrees
    assert str(verdict).startswith("not tested in 1 of 3 parameters: U (exact gradient: recorded), in ")


def test_the_verdict_says_what_was_covered_and_the_worst_of_all() -> None:
    def slightly_off(**inputs: Any) -> dict[str, np.ndarray]:
        right = by_hand()(**inputs)
        return {**right, "b": right["b"] * (1 + 1e-9 * len(inputs["x"]))}

    verdict = referee(forward, slightly_off, cases)
    assert verdict.agrees
    assert verdict.findings["b"].relative_error == pytest.approx(5e-9, rel=1e-3)
    assert "sizes tried: T=1 to 5, hidden=1 to 3; above is the worst of all" in str(verdict)


def test_progress_is_told_where_it_is_asked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(10_000))
    monkeypatch.setattr("tinygrad_np.referee.trial.time.monotonic", lambda: next(clock))
    referee(forward, by_hand("not transposed"), cases, progress=True)
    told = capsys.readouterr().err
    assert "cases tried, now T=" in told
    assert told.endswith(" " * 78 + "\r")  # and wiped away
    referee(forward, by_hand("not transposed"), cases)
    assert capsys.readouterr().err == ""  # it is no terminal
