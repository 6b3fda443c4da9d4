"""The trial of PyTorch's samples: that it sees a wrong function, layer or optimizer, and leaves out by rule."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import breadth
from tests.breadth import __main__ as command
from tests.breadth import lists, names, report
from tests.breadth.outcomes import GRADIENT, LEFT_OUT, MISSING, PASS, RAISED, VALUE, Trial
from tinygrad_np import Tensor, functional, nn, optim


def test_without_pytorch_the_command_says_so(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    for name in ("trial", "samples"):
        monkeypatch.delitem(sys.modules, f"tests.breadth.{name}", raising=False)
        monkeypatch.delattr(breadth, name, raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    assert command.main([]) == 1
    assert (
        capsys.readouterr().err == "this needs torch, which is not installed: pip install -e '.[breadth]'\n"
    )


# --- names --------------------------------------------------------------------------------------------


def called(name: str, *args: Any, **kwargs: Any) -> list[str]:
    """The candidates for a name of PyTorch's, all of which have to take these arguments."""
    found = names.candidates(name)
    for _, function in found:
        function(*args, **kwargs)
    return [called for called, _ in found]


def test_names_of_pytorch_find_functions_of_numpy_of_functional_and_methods() -> None:
    x = Tensor(np.arange(6.0).reshape(2, 3), requires_grad=True)
    assert "np.concatenate" in called("cat", [x, x], dim=1)
    assert "np.power" in called("pow", x, 2)
    assert "np.sum" in called("sum", x, dim=1, keepdim=True)
    assert "np.max" in [name for name, _ in names.candidates("max")]
    assert "functional.softmax" in called("softmax", x, dim=1)
    assert "Tensor.T" in called("T", x)
    assert "functional.embedding" in called("nn.functional.embedding", x, np.array([0, 1]))
    assert names.candidates("nn.functional.no_such_function") == []
    assert names.layer("Linear") is nn.Linear
    assert names.layer("init") is None or not isinstance(names.layer("init"), type)
    assert names.optimizer("SGD") is optim.SGD
    assert names.optimizer("NoSuchOptimizer") is None


def test_a_function_of_numpy_without_a_rule_is_not_ours() -> None:
    assert names.answered("fft.fft") is None
    assert names.answered("no_such_function") is None
    assert names.answered("tanh") is np.tanh


def test_variances_divide_as_pytorch_does_unless_told() -> None:
    x = Tensor(np.arange(6.0).reshape(2, 3))
    (var,) = [function for name, function in names.candidates("var") if name == "np.var"]
    assert var(x).item() == np.var(x.data, ddof=1)
    assert var(x, False).item() == np.var(x.data)
    assert var(x, 1, False, True).data == pytest.approx(np.var(x.data, axis=1, keepdims=True))
    assert var(x, dim=1, correction=0).data == pytest.approx(np.var(x.data, axis=1))


# --- names beside those of others ----------------------------------------------------------------------


def test_without_the_other_packages_the_comparison_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setitem(sys.modules, "mygrad", None)
    assert lists.main([]) == 1
    assert (
        capsys.readouterr().err == "this needs mygrad, which is not installed: pip install -e '.[breadth]'\n"
    )


def test_what_is_missing_has_a_reason_or_is_not_there_yet() -> None:
    found = lists.missing(["tanh", "fft.fft", "no_such_function", "nn.Linear", "nn.NoSuchLayer", "optim.SGD"])
    assert found == {
        "complex numbers have no gradient here": ["fft.fft"],
        "not there yet": ["no_such_function", "nn.NoSuchLayer"],
    }
    assert lists.reason("zero_") == "in place: a Tensor is a value"
    assert lists.reason("__rmod__") == "not there yet"
    head, row = lists.table({"some": ["tanh", "fft.fft", "no_such_function"]})
    assert row == ["some", "3", "1", "1", "1"]
    assert len(head) == len(row)


def test_other_names_of_the_same_function_are_known() -> None:
    assert lists.is_here("softmax_crossentropy")
    assert lists.is_here("expit")
    assert not lists.is_here("yn")


# --- the report ---------------------------------------------------------------------------------------

TRIALS = [
    Trial("abs", "element by element", 0, "float64[2]*", PASS),
    Trial("abs", "element by element", 3, "float64[0]*", VALUE, "np.absolute: output 0: 1.0 for 2.0 at (0,)"),
    Trial("frac", "element by element", 0, "float64[2]*", MISSING),
    Trial("view_as_real", "shapes", -1, "", LEFT_OUT, "complex numbers"),
]


def test_the_summary_counts_what_passed_of_what_was_tried() -> None:
    head, elementwise, everything, learned, core = report.table(report.tried(TRIALS))
    assert head[:3] == ["family", "samples", PASS]
    assert elementwise == ["element by element", "3", "1", "1", "0", "1", "0", "2", "0"]
    assert everything[1:3] == learned[1:3] == ["3", "1"]
    assert core[1:3] == ["2", "1"]
    assert report.text(TRIALS).endswith("not about us: 1: complex numbers 1")


def test_each_failure_is_a_line_with_arguments_and_reason() -> None:
    assert report.failures(TRIALS).splitlines() == [
        "abs[3] wrong value: (float64[0]*) np.absolute: output 0: 1.0 for 2.0 at (0,)",
        "frac[0] no such function: (float64[2]*)",
    ]


def test_the_page_is_written_between_its_markers(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- breadth:samples -->\nold\n<!-- /breadth -->\nafter\n", encoding="utf-8")
    report.put(page, "samples", report.markdown(TRIALS))
    text = page.read_text(encoding="utf-8")
    assert text.startswith("before\n<!-- breadth:samples -->\n\n| family | samples | pass |")
    assert text.endswith("complex numbers (1).\n\n<!-- /breadth -->\nafter\n")
    with pytest.raises(ValueError, match="has no place for it: <!-- breadth:lists -->"):
        report.put(page, "lists", "")


def test_the_core_is_a_list_of_names_that_are_tried() -> None:
    assert 100 <= len(report.CORE) <= 140


# --- the trial ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trial() -> Any:
    pytest.importorskip("torch", reason="PyTorch is not installed: pip install -e '.[breadth]'")
    pytest.importorskip("expecttest", reason="expecttest is not installed: pip install -e '.[breadth]'")
    from tests.breadth import trial

    return trial


def exp_sample(trial: Any) -> tuple[Any, Any]:
    """The op of PyTorch's list, and its first sample."""
    (op,) = [op for op in trial.ops() if op.name == "exp"]
    return op, trial.samples_of(op)[0][0]


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("function", "outcome", "detail"),
    [
        (np.exp, PASS, ""),
        (lambda x: np.exp(x) * (1 + 1e-8), VALUE, "ours: output 0: "),
        (lambda x: np.exp(x)[:-1], VALUE, "ours: output 0: shape "),
        (lambda x: (np.exp(x), x), VALUE, "ours: 2 outputs for 1"),
        (lambda x: np.exp(x.detach()), GRADIENT, "ours: none is recorded"),
        (lambda x: np.exp(x) + (x - x.detach()) * 1e-3, GRADIENT, "ours: of input 0: "),
        (lambda x: x.no_such_method(), RAISED, "ours: AttributeError: "),
    ],
)
def test_a_wrong_function_is_seen(trial: Any, function: Any, outcome: str, detail: str) -> None:
    found = trial.try_sample(*exp_sample(trial), [("ours", function)])
    assert found[0] == outcome
    assert found[1].startswith(detail)


@pytest.mark.oracle
def test_a_right_value_with_a_wrong_gradient_is_not_made_good_by_another_function(trial: Any) -> None:
    op, sample = exp_sample(trial)
    wrong, right = ("wrong", lambda x: np.exp(x.detach()) + 0 * x), ("right", np.exp)
    assert trial.try_sample(op, sample, [wrong, right])[0] == GRADIENT
    raising = ("raising", lambda x: 1 / 0)
    assert trial.try_sample(op, sample, [raising, right]) == (PASS, "")
    assert trial.try_sample(op, sample, []) == (MISSING, "")


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("view_as_real", "complex numbers"),
        ("resize_", "in place"),
        ("zeros", "no real numbers given"),
        ("bernoulli", "random results"),
        ("bfloat16", "dtype, device, layout"),
    ],
)
def test_what_is_not_about_us_is_known_by_rule(trial: Any, name: str, rule: str) -> None:
    (op,) = [op for op in trial.ops() if op.name == name]
    found = trial.trials_of_op(op, 2)
    assert {t.outcome for t in found} == {LEFT_OUT}
    assert rule in {t.detail for t in found}


@pytest.mark.oracle
def test_a_wrong_layer_is_seen(trial: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (info,) = [info for info, _ in trial.modules() if info.module_cls.__name__ == "Linear"]
    assert PASS in {t.outcome for t in trial.trials_of_layer(info, True, 5)}

    class Wrong(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return functional.linear(x, self.weight, None if self.bias is None else self.bias.detach())

    monkeypatch.setattr(trial, "layer", lambda name: Wrong)
    found = trial.trials_of_layer(info, True, 5)
    assert GRADIENT in {t.outcome for t in found}
    assert {t.outcome for t in found} <= {PASS, GRADIENT, RAISED}  # without a bias it is right
    monkeypatch.setattr(trial, "layer", lambda name: None)
    assert {t.outcome for t in trial.trials_of_layer(info, True, 5)} == {MISSING}


@pytest.mark.oracle
def test_a_wrong_optimizer_is_seen(trial: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (info,) = [info for info in trial.optimizers() if info.name == "Adam"]
    assert PASS in {t.outcome for t in trial.trials_of_optimizer(info, 5)}

    class Wrong(optim.Adam):
        def update(self, i: int, p: np.ndarray, g: np.ndarray) -> None:
            super().update(i, p, g)
            p += 1e-8

    monkeypatch.setattr(trial, "optimizer", lambda name: Wrong)
    assert PASS not in {t.outcome for t in trial.trials_of_optimizer(info, 5)}


@pytest.mark.oracle
def test_the_command_tries_the_names_that_are_asked_for(trial: Any, capsys: Any) -> None:
    assert command.main(["--only", "sinh", "--failures"]) == 0
    assert "element by element" in capsys.readouterr().out
