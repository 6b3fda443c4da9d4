"""Mutation testing: that there are enough mutants, that they are wrong, and that a sample of them is killed.

All of them are tried by ``python -m tests.mutation``.
"""

import ast
import importlib
import inspect
import pkgutil
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.mutation import __main__ as command
from tests.mutation import mutate, trials, verdict
from tests.mutation.equivalents import EQUIVALENT
from tests.mutation.mutate import Mutant, mutants_of, original
from tests.mutation.targets import BPTT, HELPERS, Target, all_targets, rules
from tests.mutation.verdict import BY_CHECK, BY_ERROR, SURVIVED, in_place
from tinygrad_np import backward, ops, tape, transforms
from tinygrad_np.check.cases import OPS
from tinygrad_np.check.checks import function_of_floats
from tinygrad_np.check.rows import Op
from tinygrad_np.ops import reduce
from tinygrad_np.ops.recurrent.gradients import Gradients

TARGETS = all_targets()
ALL = [mutant for target in TARGETS for mutant in mutants_of(target)]


def only(*names: str) -> tuple[Target, ...]:
    return tuple(target for target in TARGETS if str(target) in names)


# --- what is mutated ----------------------------------------------------------------------------------


def test_there_are_enough_mutants_of_everything() -> None:
    assert len(ALL) >= 1000
    assert len({(m.target, m.source) for m in ALL}) == len(ALL)
    assert {m.target for m in ALL} == set(TARGETS)
    assert sum(m.target is BPTT for m in ALL) >= 50
    assert len({m.operator for m in ALL}) >= 15
    for mutant in ALL:
        compile(mutant.source, str(mutant), "exec")


def test_every_rule_and_every_helper_is_mutated() -> None:
    assert {target.name for target in rules()} == set(tape.PRIMITIVES)
    # The helpers of the fused layers are methods, and the functions there are composed of primitives.
    for info in pkgutil.iter_modules(ops.__path__):
        module = importlib.import_module(f"{ops.__name__}.{info.name}")
        helpers = {
            name
            for name, function in vars(module).items()
            if isinstance(function, types.FunctionType)
            and function.__module__ == module.__name__
            and name not in tape.PRIMITIVES
            and function not in tape.NUMPY.values()
        }
        assert helpers == {target.name for target in HELPERS if target.owner is module}
    for owner in (Gradients, backward.Accumulator, transforms.TensorAccumulator):
        methods = {name for name, method in vars(owner).items() if inspect.isfunction(method)}
        named = {target.name for target in HELPERS if target.owner is owner}
        assert methods - named <= {"__init__", "own"}  # which have nothing to mutate
        assert all(not list(mutants_of(Target(owner, name, ()))) for name in methods - named)


@pytest.mark.usefixtures("registries")
def test_a_new_primitive_with_a_row_is_mutated_and_its_mutants_are_killed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for registry, key in ((tape.PRIMITIVES, "arctan"), (tape.NUMPY, np.arctan), (OPS, "arctan")):
        monkeypatch.delitem(registry, key)  # type: ignore[arg-type]

    @tape.primitive(np.arctan)
    def arctan(x: Any) -> Any:
        """The inverse tangent, element-wise."""
        return np.arctan(x), (lambda g: g / (1 + x * x),)

    monkeypatch.setitem(OPS, "arctan", Op(lambda rng, shape: ([rng.standard_normal(shape)], {})))
    (target,) = set(rules()) - set(TARGETS)
    assert str(target) == "test_mutants.arctan"
    assert verdict.verdict(original(target)) == SURVIVED
    mutants = list(mutants_of(target))
    assert {m.after for m in mutants} >= {"lambda g: -g / (1 + x * x)", "lambda g: g / (1 - x * x)"}
    assert len(mutants) >= 8
    assert {verdict.verdict(mutant) for mutant in mutants} == {BY_CHECK}
    assert tape.PRIMITIVES["arctan"] is arctan


# --- the names that mutants are made by ---------------------------------------------------------------


def test_a_vjp_whose_gradient_has_another_name_is_refused() -> None:
    rule = "def tanh(x):\n    return np.tanh(x), (lambda grad: grad,)"
    (function,) = ast.parse(rule).body
    with pytest.raises(ValueError, match=r"elementwise.tanh: a function .* takes grad first; call .* g, or"):
        mutate.check_parameters(*only("elementwise.tanh"), [function.body[-1]])


def test_the_incoming_gradients_of_what_is_no_single_rule_have_the_names_by_which_they_are_known() -> None:
    def negated(target: Target) -> set[str]:
        return {name for name in mutate.INCOMING for m in ALL if m.target == target and f"-{name}" in m.after}

    found = {str(t): negated(t) for t in (*HELPERS, BPTT, *only("lstm.lstm", "gru.gru"))}
    assert {name: gradients for name, gradients in found.items() if gradients} == {
        "reduce.restore_axes": {"g"},
        "reduce.weigh": {"g"},
        "reduce.split_ties": {"g"},
        "scan.cumsum_from_end": {"g"},
        "decompositions.turned": {"g"},
        "backward.unbroadcast": {"g"},
        "DeferredMatmul.multiply": {"g"},
        "backward.backward_pass": {"g"},
        "model.backpropagate": {"dh", "dc", "error"},
        "lstm.lstm": {"g", "dh", "dc"},
        "gru.gru": {"dh"},
    }


def test_every_name_that_an_operator_knows_is_in_a_target() -> None:
    trees = [target.tree() for target in TARGETS]
    names = set().union(*map(mutate.names_bound, trees))
    called = {
        ast.unparse(node.func).rpartition(".")[2]
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
    }
    assert names >= {*mutate.INCOMING, mutate.INCOMING_LIST, *mutate.STALE}
    assert names >= {*mutate.CONFUSED, *mutate.CONFUSED.values()}
    assert called >= mutate.NOT_LEFT_OUT | mutate.TRANSPOSING | mutate.REPEATING | mutate.LAST_TWO_SWAPPED
    for name in mutate.CONFUSED:
        assert any(m.operator == "wrong variable" and name in m.before for m in ALL)


# --- verdicts -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_the_right_derivative_passes_what_its_mutants_are_tried_with(target: Target) -> None:
    assert verdict.verdict(original(target)) == SURVIVED


def test_every_tenth_mutant_is_killed_or_explained() -> None:
    for mutant in ALL[::10]:
        assert verdict.verdict(mutant) != SURVIVED, str(mutant)


def test_every_explanation_is_one_of_a_mutant() -> None:
    assert not set(EQUIVALENT) - {(str(mutant.target), mutant.after) for mutant in ALL}


def test_the_slips_of_the_published_derivation_are_among_the_mutants_and_killed() -> None:
    def killed(after: str) -> bool:
        (mutant,) = (m for m in ALL if m.target is BPTT and m.after == after)
        return verdict.verdict(mutant) == BY_CHECK

    assert killed("dc = dc * f + through_h * f * (dh if overwritten else dh_before)")
    assert killed("dh = dh")
    assert killed("ds['f'].append((dc * (f * c_before + i * cm) + through_h * c_before * dh) * f * (1 - f))")


def test_a_mutant_is_wrong_in_its_derivative_alone() -> None:
    for mutant in [m for m in ALL if m.target.is_rule]:
        name = mutant.target.name
        f, point = function_of_floats(name, *OPS[name].draw(np.random.default_rng(4), (2, 3)))
        expected = f(*point).data
        assert expected.size, name
        with in_place(mutant):
            np.testing.assert_array_equal(f(*point).data, expected)


def test_afterwards_the_right_functions_are_back() -> None:
    def functions() -> list[Any]:
        static = inspect.getattr_static(backward.DeferredMatmul, "multiply")
        return [
            *(dict(tape.PRIMITIVES), dict(tape.NUMPY), reduce.split_ties, backward.backward_pass),
            *(transforms.backward_pass, backward.SparseGrad.add_into, static),
        ]

    before = functions()
    for target in only(
        *("reduce.max", "reduce.split_ties", "backward.backward_pass"),
        *("SparseGrad.add_into", "DeferredMatmul.multiply"),
    ):
        mutant = next(mutants_of(target))
        with in_place(mutant):
            assert functions() != before
        assert functions() == before
        with pytest.raises(KeyboardInterrupt), in_place(mutant):
            raise KeyboardInterrupt
        assert functions() == before


def test_verdicts() -> None:
    def verdict_of(derivative: str) -> str:
        source = f"@primitive()\ndef tanh(x):\n    y = np.tanh(x)\n    return (y, (lambda g: {derivative},))"
        return verdict.verdict(Mutant(*only("elementwise.tanh"), "", "", "", source))

    assert verdict_of("(1 - y**2) * g") == SURVIVED
    assert verdict_of("g * (1 - y * y) * 1.0001") == BY_CHECK
    assert verdict_of("missing * y") == BY_ERROR


# --- the command --------------------------------------------------------------------------------------


@pytest.fixture
def two_targets(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command tries log and hypot alone, in few cases."""
    monkeypatch.setattr(command, "all_targets", lambda: only("elementwise.log", "elementwise.hypot"))
    monkeypatch.setattr(trials, "DRAWN", 5)
    monkeypatch.setattr(trials, "FURTHER", 2)
    for key in list(EQUIVALENT):
        if key[0] != "elementwise.hypot":
            monkeypatch.delitem(EQUIVALENT, key)


@pytest.mark.usefixtures("two_targets")
def test_the_command_writes_the_page(tmp_path: Path) -> None:
    page = tmp_path / "mutants.md"
    assert command.main(["--markdown", str(page)]) == 0
    first = page.read_text(encoding="utf-8")
    assert "where x is 0, it is 0 whatever divides it" in first
    assert "| elementwise.log | " in first
    assert first.endswith("## Survivors\n\nNone.\n")
    assert command.main(["--markdown", str(page)]) == 0
    assert page.read_text(encoding="utf-8") == first


@pytest.mark.usefixtures("two_targets")
def test_the_command_fails_on_a_survivor_and_on_explanations_of_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    survivor = next(key for key in EQUIVALENT if key[0] == "elementwise.hypot")
    monkeypatch.setitem(EQUIVALENT, ("elementwise.log", "lambda g: g"), "it is killed")
    assert command.main([]) == 1
    assert "no such mutant survives: elementwise.log: lambda g: g\n" in capsys.readouterr().out
    monkeypatch.delitem(EQUIVALENT, ("elementwise.log", "lambda g: g"))
    monkeypatch.setitem(EQUIVALENT, ("elementwise.renamed", "lambda g: g"), "its target has another name")
    assert command.main([]) == 1
    assert "no such mutant survives: elementwise.renamed: lambda g: g\n" in capsys.readouterr().out
    monkeypatch.delitem(EQUIVALENT, ("elementwise.renamed", "lambda g: g"))
    monkeypatch.delitem(EQUIVALENT, survivor)
    assert command.main([]) == 1
    assert "survived: elementwise.hypot, wrong variable: lambda g: " in capsys.readouterr().out


@pytest.mark.usefixtures("two_targets")
def test_the_command_tries_one_target_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--only", "elementwise.log"]) == 0  # and misses no survivor of hypot
    total = len([m for m in ALL if str(m.target) == "elementwise.log"])
    assert f"all{total:>39}" in capsys.readouterr().out
    for wrong in (["--only", "log"], ["--only", "elementwise.log", "--markdown", "page.md"]):
        with pytest.raises(SystemExit):
            command.main(wrong)
    errors = capsys.readouterr().err
    assert "no target is named log; their names are elementwise.log, elementwise.hypot" in errors
    assert "not allowed with argument" in errors


@pytest.mark.usefixtures("two_targets")
def test_a_wrong_derivative_is_noticed_before_its_mutants_are_tried(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "original", lambda target: next(mutants_of(target)))
    assert command.main([]) == 1
    assert "elementwise.log fails as it is, killed by a check" in capsys.readouterr().out
