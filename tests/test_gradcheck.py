"""The gradient check itself: what it lets pass, what it catches, what it says, and its command."""

import json
from typing import Any

import numpy as np
import pytest

import tinygrad_np.functional as F
from tinygrad_np import Tensor, functional, gradcheck, nn, optim, tape
from tinygrad_np.check.installed import main
from tinygrad_np.gradcheck import GradientError, gradgradcheck


def scaled(x: Tensor, factor: float) -> Tensor:
    """x, whose gradient is too large by a factor."""
    return x.detach() + (x - x.detach()) * factor


def test_right_gradients_pass_to_rounding(rng: np.random.Generator) -> None:
    x = rng.standard_normal((3, 4))
    assert gradcheck.gradcheck(lambda x: np.tanh(x) * np.exp(x), [x]) < 1e-14
    assert gradcheck.gradcheck(F.softmax, [x]) < 1e-14
    assert gradcheck.gradcheck(lambda x: np.logaddexp(x, 0.0), [x]) < 1e-8  # by differences
    assert gradgradcheck(lambda x: np.tanh(x) * np.exp(x), [x]) < 1e-8
    assert gradcheck.gradcheck(lambda x: x * 2, [np.ones((0, 3))]) == 0


def test_small_errors_are_caught(rng: np.random.Generator) -> None:
    x = rng.standard_normal(5)
    with pytest.raises(GradientError):
        gradcheck.gradcheck(lambda x: np.tanh(scaled(x, 1 + 1e-10)), [x])  # complex step sees it
    with pytest.raises(GradientError):
        gradcheck.gradcheck(lambda x: np.logaddexp(scaled(x, 1 + 1e-5), 0.0), [x])  # differences see this


def test_the_report_names_input_and_place() -> None:
    def wrong(x: Tensor, y: Tensor) -> Tensor:
        return x * y + np.where(np.arange(6).reshape(2, 3) == 4, scaled(y, 3.0), y)

    x, y = np.ones((2, 3)), np.arange(6.0).reshape(2, 3)
    with pytest.raises(
        GradientError, match=r"wrong in 1 of 12 places.*\n  input 1 at \[1, 1\]: gradient"
    ) as info:
        gradcheck.gradcheck(wrong, [x, y])
    (found,) = info.value.disagreements
    assert (found.input, found.index, found.kink) == (1, (1, 1), False)
    assert found.gradient == pytest.approx(2 * found.derivative)  # (1 + 3) w instead of (1 + 1) w


def test_many_disagreements_are_cut_short() -> None:
    with pytest.raises(GradientError, match="and 20 more") as info:
        gradcheck.gradcheck(lambda x: scaled(x, 2.0), [np.ones(30)])
    errors = [abs(d.gradient - d.derivative) for d in info.value.disagreements]
    assert errors == sorted(errors, reverse=True)


def test_a_kink_is_told_from_an_error() -> None:
    with pytest.raises(GradientError, match="looks like a kink") as info:
        gradcheck.gradcheck(F.relu, [np.array([1.0, 0.0, -2.0])])
    assert [d.index for d in info.value.disagreements] == [(1,)]
    with pytest.raises(GradientError) as info:
        gradcheck.gradcheck(lambda x: scaled(x, 2.0) ** 2, [np.array([1.0])])
    assert "kink" not in str(info.value)


def test_what_looks_analytic_and_is_not_is_checked_by_differences() -> None:
    # |x| x runs on complex numbers, but its complex derivative is another one
    assert gradcheck.gradcheck(lambda x: np.abs(x) * x, [np.array([1.0, -2.0])]) < 1e-8
    with pytest.raises(GradientError):
        gradcheck.gradcheck(lambda x: np.abs(x) * x, [np.array([1.0, -2.0])], analytic=True)
    with pytest.raises(ValueError, match="does not take complex numbers"):
        gradcheck.gradcheck(lambda x: np.logaddexp(x, 0.0), [np.ones(2)], analytic=True)


def test_float32_is_refused_unless_a_tolerance_is_given() -> None:
    x = np.array([0.5, -1.0], np.float32)
    with pytest.raises(
        TypeError, match="input 0 is float32: differences of such numbers have few digits left"
    ):
        gradcheck.gradcheck(np.tanh, [x])
    assert gradcheck.gradcheck(np.tanh, [x], rtol=1e-3) < 1e-3
    with pytest.raises(GradientError):
        gradcheck.gradcheck(lambda x: np.tanh(scaled(x, 1.1)), [x], rtol=1e-3)


def test_forward_against_a_reference() -> None:
    x = np.array([0.5, -1.0])
    gradcheck.gradcheck(F.sigmoid, [x], reference=lambda x: 0.5 + 0.5 * np.tanh(x / 2))
    with pytest.raises(
        GradientError, match=r"the value at \[0\] is 0.622459331, and that of the reference 0.5"
    ):
        gradcheck.gradcheck(F.sigmoid, [x], reference=lambda x: x)
    with pytest.raises(GradientError, match="shape"):
        gradcheck.gradcheck(F.sigmoid, [x], reference=lambda x: x[:1])


def test_nan_and_chance_are_caught(rng: np.random.Generator) -> None:
    with np.errstate(invalid="ignore"), pytest.raises(GradientError):
        gradcheck.gradcheck(np.sqrt, [np.array([-1.0])])
    with pytest.raises(GradientError):
        gradcheck.gradcheck(lambda x: x * rng.random(), [np.ones(3)])
    with pytest.raises(TypeError, match="returns a Tensor, not ndarray"):
        gradcheck.gradcheck(lambda x: x.data, [np.ones(3)])  # type: ignore[arg-type,return-value]


def test_a_wrong_second_derivative_is_caught() -> None:
    def frozen(x: Tensor) -> Tensor:
        return (
            x * (x * x).detach() * 3 - 2 * (x * x * x).detach()
        )  # value and slope of x^3, not its curvature

    gradcheck.gradcheck(frozen, [np.array([1.5])], reference=lambda x: x**3, analytic=False, rtol=1.0)
    with pytest.raises(GradientError, match="second derivative"):
        gradgradcheck(frozen, [np.array([1.5])])


# --- the command --------------------------------------------------------------------------------------


def test_the_command_checks_everything_that_is_declared(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--cases", "3", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    kinds = ("primitive", "layer", "loss", "optimizer")
    named = {kind: {row["name"] for row in rows if row["kind"] == kind} for kind in kinds}
    assert named["primitive"] == set(tape.PRIMITIVES)
    assert named["layer"] == {
        name
        for name, member in vars(nn).items()
        if isinstance(member, type) and issubclass(member, nn.Layer) and member is not nn.Layer
    }
    losses = {name for name in functional.__all__ if "loss" in name or "entropy" in name}
    assert named["loss"] == losses | {"kl_div"}
    assert named["optimizer"] == {
        name
        for name, member in vars(optim).items()
        if isinstance(member, type) and issubclass(member, optim.Optimizer) and member is not optim.Optimizer
    }
    assert all(
        row["cases"] == (3 if row["kind"] == "primitive" else 1) and row["error"] < 1e-7 and not row["fault"]
        for row in rows
    )


def test_the_command_prints_a_line_each_and_one_for_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--cases", "2", "--only", "LSTM"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:5] == ["layer", "LSTM", "2", "cases,", "float64,"]
    assert lines[-1] == "1 checked in 2 cases, 0 failed"
    for bad in (["--only", "nothing"], ["--cases", "0"]):
        with pytest.raises(SystemExit) as info:
            main(bad)
        assert info.value.code == 2


@pytest.mark.usefixtures("registries")
def test_the_command_fails_on_a_wrong_rule(capsys: pytest.CaptureFixture[str]) -> None:
    del tape.PRIMITIVES["tanh"]

    @tape.primitive()
    def tanh(x: Any) -> Any:
        y = np.tanh(x)
        return y, (lambda g: g * (1 - y),)  # the square is missing

    assert main(["--only", "tanh"]) == 1
    out = capsys.readouterr().out
    assert "FAILED: in case" in out
    assert "the gradient is wrong in" in out
    assert out.splitlines()[-1].endswith("1 failed")
