"""The mutants of benchmarks/mutants.py: that there are enough, that they are wrong, and that some are caught here.

All of them are tried by ``python -m benchmarks.mutants``.
"""

import inspect
import types
from pathlib import Path

import numpy as np
import pytest

from benchmarks import mutants
from benchmarks.mutants import BPTT, CHECK, ERROR, HELPERS, RULES, SURVIVED, TARGETS, Mutant, Target
from tinygrad_np import tape
from tinygrad_np.check.cases import OPS
from tinygrad_np.check.checks import function_of_floats
from tinygrad_np.ops import elementwise, index, linalg, reduce, shape
from tinygrad_np.ops.recurrent.gradients import Gradients

ALL = [mutant for target in TARGETS for mutant in mutants.mutants_of(target)]


def only(name: str) -> tuple[Target, ...]:
    return tuple(target for target in TARGETS if str(target) == name)


def test_there_are_enough_mutants_of_everything() -> None:
    assert len(ALL) >= 200
    assert len({(m.target, m.source) for m in ALL}) == len(ALL)
    assert {m.target for m in ALL} == set(TARGETS)
    assert sum(m.target is BPTT for m in ALL) >= 50
    assert len({m.kind for m in ALL}) >= 10


def test_every_rule_and_every_helper_is_mutated() -> None:
    assert {target.name for target in RULES} == set(tape.PRIMITIVES)
    for module in (elementwise, index, linalg, reduce, shape):
        helpers = {
            name
            for name, function in vars(module).items()
            if isinstance(function, types.FunctionType)
            and function.__module__ == module.__name__
            and name not in tape.PRIMITIVES
            and function not in tape.NUMPY.values()
        }
        assert helpers == {target.name for target in HELPERS if target.owner is module}
    methods = {name for name, method in vars(Gradients).items() if inspect.isfunction(method)}
    assert methods == {target.name for target in HELPERS if target.owner is Gradients}


@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_the_right_derivative_passes_what_its_mutants_are_tried_with(target: Target) -> None:
    assert mutants.verdict(mutants.unchanged(target)) == SURVIVED


def test_every_tenth_mutant_is_caught_or_explained() -> None:
    for mutant, found in mutants.judged(ALL[::10]):
        assert found != SURVIVED, str(mutant)


def test_the_slips_of_the_published_derivation_are_among_the_mutants_and_caught() -> None:
    def caught(after: str) -> bool:
        (mutant,) = (m for m in ALL if m.target is BPTT and m.after == after)
        return mutants.verdict(mutant) == CHECK

    assert caught("dc = dc * f + through_h * f * (dh if overwritten else dh_before)")
    assert caught("dh = dh")
    assert caught("ds['f'].append((dc * (f * c_before + i * cm) + through_h * c_before * dh) * f * (1 - f))")


def test_a_mutant_is_wrong_in_its_derivative_alone() -> None:
    for mutant in [m for m in ALL if m.target.is_rule]:
        name = mutant.target.name
        f, point = function_of_floats(name, *OPS[name].draw(np.random.default_rng(4), (2, 3)))
        expected = f(*point).data
        assert expected.size, name
        with mutants.in_place(mutant):
            np.testing.assert_array_equal(f(*point).data, expected)


def test_afterwards_the_right_functions_are_back() -> None:
    before = (
        dict(tape.PRIMITIVES),
        dict(tape.NUMPY),
        reduce.split_ties,
        tape.backward_pass,
        tape.SparseGrad.add_into,
    )
    for name in ("reduce.max", "reduce.split_ties", "tape.backward_pass", "SparseGrad.add_into"):
        mutant = next(m for m in ALL if str(m.target) == name)
        with pytest.raises(KeyboardInterrupt), mutants.in_place(mutant):
            raise KeyboardInterrupt
    assert before == (
        tape.PRIMITIVES,
        tape.NUMPY,
        reduce.split_ties,
        tape.backward_pass,
        tape.SparseGrad.add_into,
    )


def test_verdicts() -> None:
    def verdict(derivative: str) -> str:
        source = f"@primitive()\ndef tanh(x):\n    y = np.tanh(x)\n    return (y, (lambda g: {derivative},))"
        return mutants.verdict(Mutant(only("elementwise.tanh")[0], "", "", "", source))

    assert verdict("(1 - y**2) * g") == SURVIVED
    assert verdict("g * (1 - y * y) * 1.0001") == CHECK
    assert verdict("missing * y") == ERROR


def test_the_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(mutants, "TARGETS", only("elementwise.log") + only("elementwise.sqrt"))
    monkeypatch.setattr(mutants, "CASES", 5)
    monkeypatch.setattr(mutants, "STANDSTILLS", 2)
    page = tmp_path / "mutants.md"
    assert mutants.main(["--markdown", str(page)]) == 0
    first = page.read_text(encoding="utf-8")
    assert "sqrt(x) > 0 where x > 0, and nowhere else" in first
    assert first.endswith("## Survivors\n\nNone.\n")
    assert mutants.main(["--markdown", str(page)]) == 0
    assert page.read_text(encoding="utf-8") == first

    capsys.readouterr()
    monkeypatch.setattr(mutants, "EQUIVALENT", {("elementwise.log", "lambda g: g"): "it is not"})
    assert mutants.main([]) == 1
    out = capsys.readouterr().out
    assert "survived: elementwise.sqrt, wrong variable: lambda g: " in out
    assert "explained, but no such mutant survives: elementwise.log: lambda g: g" in out


def test_a_wrong_derivative_is_noticed_before_its_mutants_are_tried(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = next(m for m in ALL if str(m.target) == "elementwise.tanh")
    monkeypatch.setattr(mutants, "TARGETS", only("elementwise.tanh"))
    monkeypatch.setattr(mutants, "unchanged", lambda target: wrong)
    assert mutants.main([]) == 1
    assert "elementwise.tanh fails unchanged, caught by a check" in capsys.readouterr().out
