"""The campaign of tests/faults in its short form; and that its judges find what is planted for them."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.faults import __main__ as command
from tests.faults import calls, campaign, files, forks, kills, numbers, pieces, values
from tests.faults.call import Call, Found, judge
from tests.faults.campaign import Outcome, Part
from tests.faults.judge import Fault, judge_error, judge_value
from tinygrad_np import Tensor, backward, declaration, tape
from tinygrad_np.check import checks
from tinygrad_np.check.cases import LOSSES, OPS


@pytest.mark.slow
@pytest.mark.parametrize("name", command.PARTS)
def test_the_short_campaign(name: str) -> None:
    part = command.PARTS[name]
    tally, whole = campaign.run_part(part, seed=0, count=part.short)
    assert whole
    assert not tally.failed, "\n".join(campaign.failures(name, tally, 0))
    assert tally.tried == part.short


@pytest.mark.oracle
@pytest.mark.slow
def test_random_calls_against_pytorch() -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed: pip install -e '.[oracle]'")
    tally, _ = campaign.run_part(numbers.NUMBERS, seed=1, count=1000)
    assert not tally.failed, "\n".join(campaign.failures("numbers", tally, 1))


@pytest.mark.oracle
def test_a_gradient_unlike_pytorchs_is_found() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install -e '.[oracle]'")
    call = call_of("tanh", X)
    call.benign = False  # as where numbers are nasty: then PyTorch is the witness
    call.torch = torch.tanh
    judge(call, np.random.default_rng(0))
    call.torch = torch.sinh
    assert kind_of(call) == "another gradient than PyTorch's"


# --- the judge of calls finds what is planted ---------------------------------------------------------


def call_of(name: str, *arrays: Any, **static: Any) -> Call:
    """A row's op on these arrays, the floats of them leaves, as the campaign draws it."""
    reference = OPS[name].reference or getattr(np, name)
    call = Call(name, checks.op(name), reference, [np.asarray(a) for a in arrays], static)
    call.leaves = [i for i, a in enumerate(call.args) if a.dtype.kind == "f"]
    return call


def kind_of(call: Call) -> str:
    """The kind of fault that the judge finds."""
    with pytest.raises(Fault) as found:
        judge(call, np.random.default_rng(0))
    return found.value.kind


X = np.array([0.5, -1.5, 2.0])


def test_a_right_call_passes(rng: np.random.Generator) -> None:
    for name in ("tanh", "exp", "multiply", "maximum"):
        arrays = [X, X[::-1].copy()][: 2 if name in ("multiply", "maximum") else 1]
        judge(call_of(name, *arrays), rng)
        call = call_of(name, *[a.astype(np.float32) for a in arrays])
        judge(call, rng)


def wrong_rule(value: float, gradient: float) -> Callable[..., Any]:
    """tanh whose value and gradient are too large by these factors."""
    declare: Any = tape.primitive()

    def planted(x: Any) -> Any:
        y = np.tanh(x)
        return value * y, (lambda g: gradient * g * (1 - y * y),)

    return declare(planted)  # type: ignore[no-any-return]


@pytest.mark.usefixtures("registries")
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_wrong_value_is_found(dtype: type) -> None:
    call = call_of("tanh", X.astype(dtype))
    call.function = wrong_rule(1.001, 1)
    assert kind_of(call) == "a wrong value"


@pytest.mark.usefixtures("registries")
def test_a_wrong_gradient_is_found() -> None:
    call = call_of("tanh", X)
    call.function = wrong_rule(1, 1.001)
    assert kind_of(call) == "a wrong gradient"


@pytest.mark.usefixtures("registries")
def test_a_gradient_that_is_wrong_in_a_narrow_dtype_only_is_found() -> None:
    declare: Any = tape.primitive()

    def planted(x: Any) -> Any:
        return np.sum(x), (lambda g: np.broadcast_to(g * (x.dtype == np.float64), x.shape),)

    call = Call("planted", declare(planted), np.sum, [X.astype(np.float32)])
    call.leaves = [0]
    assert kind_of(call) == "a gradient of float32 unlike that of float64"


PLANTED: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "a gradient is lost": (lambda x: Tensor(np.tanh(x.data)), np.tanh),
    "a Tensor that holds no numbers": (
        lambda x: Tensor._of(x.data.astype(str), None),
        lambda x: x.astype(str),
    ),
    "a Tensor that holds no plain array": (
        lambda x: Tensor._of(np.ma.array(x.data), None),
        lambda x: x,
    ),
    "a gradient through what is no float": (
        lambda x: Tensor._of(x.data * 1j, tape.Node("leaf", x.shape, x.dtype)),
        lambda x: x * 1j,
    ),
    "answers what NumPy refuses": (lambda x: x, lambda x: np.linalg.inv(x)),
    "another dtype than NumPy's": (lambda x: x.astype(np.float32), lambda x: np.round(x * 0 + 1)),
    "an argument is written to": (lambda x: x.data.fill(7.0) or x * 1.0, lambda x: np.full_like(x, 7.0)),
    "another number of outputs": (lambda x: (x, x), lambda x: (x, x, x)),
    "a mask is lost": (lambda x: x, lambda x: np.ma.array(x, mask=[0, 1, 0])),
    "raises ZeroDivisionError": (lambda x: 1 / 0, np.tanh),
    "raises AttributeError": (lambda x: x.nothing, np.tanh),
}


@pytest.mark.parametrize("kind", PLANTED)
def test_what_is_planted_is_found(kind: str) -> None:
    function, reference = PLANTED[kind]
    x = np.ones(3) if kind == "another dtype than NumPy's" else X
    call = Call("planted", function, reference, [x])
    call.leaves = [0]
    assert kind_of(call) == kind


def test_a_refusal_of_what_numpy_takes_is_found() -> None:
    def refuse(x: Any) -> Any:
        raise ValueError("planted takes nothing of shape [3]")

    call = Call("planted", refuse, np.tanh, [X])
    assert kind_of(call) == "refuses what NumPy takes"
    call.ordinary = False  # what is no array of numbers may be refused
    judge(call, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (lambda t: np.sum(t, axis=7), None),
        (lambda t: backward.unbroadcast(np.ones(3), (2, 2)), "an error without the op's name"),
        (lambda t: declaration.check_form(1, ()), "an error without the op's name"),
    ],
)
def test_an_error_has_to_name_the_op(error: Callable[[Tensor], Any], kind: str | None) -> None:
    with pytest.raises((TypeError, ValueError, IndexError)) as raised:
        error(Tensor(X))
    if kind is None:
        judge_error(raised.value, ["sum"])
        return
    with pytest.raises(Fault) as found:
        judge_error(raised.value, ["sum"])
    assert found.value.kind == kind


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OverflowError("sum: 1"), "raises OverflowError"),
        (KeyError("sum"), "raises KeyError"),
        (RecursionError("sum: 1"), "raises RecursionError"),
        (ValueError(""), "an error without a sentence"),
        (ValueError("sum: 1\n2"), "an error of several lines"),
        (ValueError("sum: " + 700 * "1"), "an endless error"),
    ],
)
def test_an_unclear_error_is_found(error: Exception, kind: str) -> None:
    with pytest.raises(Fault) as found:
        judge_error(error, ["sum"])
    assert found.value.kind == kind


@pytest.mark.parametrize(
    ("out", "expected"),
    [
        (np.nan, 1.0),
        (1.0, np.nan),
        (np.inf, -np.inf),
        (1 + 1e-9, 1.0),
        ([1.0, 2.0], [[1.0, 2.0]]),
        (True, False),
        (3, 4),
    ],
)
def test_values_that_differ_are_told_apart(out: Any, expected: Any) -> None:
    judge_value(np.asarray(out), np.asarray(out))
    with pytest.raises(Fault, match="value"):
        judge_value(np.asarray(out), np.asarray(expected))


def test_a_hidden_pole_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def planted(x: Any) -> Any:
        return x * np.where(x.data > 0, 0.0, np.nan) + np.tanh(x)

    monkeypatch.setattr(pieces, "MASKED", {"planted": (planted, lambda x: x > 0)})
    monkeypatch.setattr(pieces, "HIDERS", {"f * mask": lambda f, mask, x: f * np.where(mask, 1.0, 0.0)})
    with pytest.raises(Found) as found:
        pieces.masked_trial(np.random.default_rng(0))
    assert found.value.kind == "a hidden element spoils the gradient"


# --- what is drawn ------------------------------------------------------------------------------------


def test_every_kind_of_argument_is_drawn() -> None:
    rng = np.random.default_rng(0)
    drawn = [make(rng) for _, make in numbers.CALLS for _ in range(1800)]
    arrays = [a for call in drawn for a in call.args if type(a) is np.ndarray]
    assert {a.dtype.kind for a in arrays} >= set("fiubc")
    assert {a.dtype.str for a in arrays} >= {"<f8", ">f8", "<f4", "<f2"}
    assert any(not a.flags.writeable for a in arrays)
    assert any(not a.flags.contiguous for a in arrays)
    assert any(0 in a.shape for a in arrays)
    assert any(np.isnan(a).any() for a in arrays if a.dtype.kind == "f")
    assert {call.name for call in drawn} >= set(calls.OPERATORS) | set(calls.METHODS) | set(LOSSES)
    assert len({call.name for call in drawn} & set(OPS)) == len(OPS)
    kinds = {type(a).__name__ for call in drawn for a in call.args}
    assert kinds >= {
        "matrix",
        "MaskedArray",
        "Series",
        "DataFrame",
        "Fraction",
        "NAType",
        "timedelta64",
        "list",
    }


def test_a_trial_is_drawn_from_its_numbers_alone(tmp_path: Path) -> None:
    first = [numbers.trial(3, k, tmp_path).what for k in range(30)]
    assert [numbers.trial(3, k, tmp_path).what for k in range(30)] == first
    assert [numbers.trial(4, k, tmp_path).what for k in range(30)] != first


def test_a_call_is_shown_as_it_is_written() -> None:
    call = call_of("sum", X, axis=0)
    assert str(call) == "sum(Tensor(np.array([0.5, -1.5, 2.0], '<f8'), requires_grad=True), axis=0)"
    assert (
        values.shown_call("f", [np.float16(1), [1, 2]], {"a": None}) == "f(np.float16(1.0), [1, 2], a=None)"
    )


# --- the other parts ----------------------------------------------------------------------------------


def test_a_child_with_other_numbers_is_found() -> None:
    assert forks.child_status(lambda: np.ones(2), np.ones(2)) is None
    assert forks.child_status(lambda: np.ones(2), np.zeros(2)) == "the child computes other numbers"
    assert forks.child_status(lambda: 1 / 0, np.zeros(2)) == "the child fails with status 1"  # type: ignore[arg-type, return-value]


def test_a_child_that_hangs_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forks, "CHILD_SECONDS", 0.3)
    assert "hangs" in str(forks.child_status(lambda: time.sleep(60), np.ones(1)))  # type: ignore[arg-type, return-value]


def test_damaged_files_are_counted_by_what_their_helpers_say(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def runs(run: Path, other: Path, count: int, seed: int) -> list[SimpleNamespace]:
        return [SimpleNamespace(what=f"cut config.json ({seed})", passed=seed % 4 == 0, seen="nan negative")]

    def try_damages(name: str, directory: Path, count: int, seed: int) -> list[Any]:
        outcomes = [("refused", "cut off"), ("failed", "loaded as if whole"), ("loaded", "")]
        what, said = outcomes[0 if seed % 4 == 1 else 1 if seed < 10 else 2]
        return [("cut", SimpleNamespace(what=what, said=said, result=[2.0]))]

    data = SimpleNamespace(
        LOADERS={"glove.zip": lambda directory: [1.0]},
        write_sound=lambda directory, seed: None,
        attempt=lambda load: SimpleNamespace(result=load()),
        try_damages=try_damages,
    )
    modules = {"tests.run_faults": SimpleNamespace(damage_runs=runs), "tests.data_faults": data}
    monkeypatch.setattr(files, "helpers", modules.get)
    monkeypatch.setattr(files, "sound_runs", lambda: (tmp_path, tmp_path))
    found = [files.trial(0, k, tmp_path).wrong for k in range(4)]
    assert found == [None, None, "nan negative", "loaded as if whole"]
    assert files.trial(1, 3, tmp_path).wrong == "other vectors are loaded without a word"
    assert files.trial(1, 2, tmp_path).what == f"cut config.json ({files.SEEDS + 2})"


@pytest.mark.slow
def test_weights_of_another_epoch_are_found(tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(kills.finished_run(), run)
    assert kills.state_of(run) == (kills.EPOCHS, None)
    path = run / "metrics.csv"
    table = pd.read_csv(path)
    table["test_loss"] *= 1.001
    table.to_csv(path, index=False)
    assert "the weights have a test loss of" in str(kills.state_of(run)[1])
    assert "the weights have a test loss of" in str(kills.check(run, before=True, told=0, seed=0))
    (run / "weights.safetensors").write_bytes(b"")
    assert "cannot be loaded: ValueError" in str(kills.state_of(run)[1])
    assert (
        kills.check(tmp_path / "nothing", before=True, told=0, seed=0)
        == "the finished run that was there is lost"
    )
    told = kills.check(tmp_path / "nothing", before=False, told=2, seed=0)
    assert told == "2 epochs were told as done, and 0 are there"


def test_a_worker_that_is_left_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kills, "PATIENCE", 0.3)
    command = [sys.executable, "-c", "import os, time; os.fork() or time.sleep(60)"]
    process = subprocess.Popen(command, start_new_session=True)
    assert not kills.all_ended_of(process)
    process.wait()


# --- the frame ----------------------------------------------------------------------------------------


def planted_trial(seed: int, k: int, directory: Path) -> Outcome:
    """Fails, raises, hangs, ends its process, or holds, by its number."""
    assert not list(directory.iterdir())
    if k == 3:
        return Outcome("call 3", f"wrong with seed {seed}", "a planted fault")
    if k == 4:
        raise ZeroDivisionError("planted")
    if k == 5:
        time.sleep(60)
    if k == 6:
        os._exit(1)
    return Outcome(f"call {k}")


PLANTED_PART = Part("planted trials", planted_trial, full=9, short=9, seconds=1.0)


def test_whatever_goes_wrong_is_counted_and_can_be_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    tally, whole = campaign.run_part(PLANTED_PART, seed=8, count=9, chunk=3)
    assert whole
    assert (tally.tried, tally.failed) == (9, 4)
    assert tally.counts == {
        "a planted fault": 1,
        "escaped: ZeroDivisionError in planted_trial": 1,
        "escaped: Hang in out_of_time": 1,
        "a process died": 1,
    }
    text = "\n".join(campaign.failures("numbers", tally, 8))
    assert "wrong with seed 8" in text
    for k in (3, 4, 5, 6):
        assert f"python -m tests.faults --only numbers --seed 8 --trial {k}" in text
    assert campaign.repeat("planted", PLANTED_PART, 8, 3) == 1
    assert campaign.repeat("planted", PLANTED_PART, 8, 0) == 0
    assert "wrong with seed 8" in capsys.readouterr().out
    assert campaign.table({"planted": (PLANTED_PART, tally)}).endswith(
        "| planted | planted trials | 9 | 5 | 4 |"
    )


def test_the_table_is_written_between_its_markers(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- campaign -->\nold\n<!-- /campaign -->\nafter\n", encoding="utf-8")
    campaign.write_markdown(page, "new")
    assert page.read_text(encoding="utf-8") == "before\n<!-- campaign -->\nnew\n<!-- /campaign -->\nafter\n"
    page.write_text("no markers", encoding="utf-8")
    with pytest.raises(ValueError, match=r"page\.md has no <!-- campaign -->"):
        campaign.write_markdown(page, "new")


def test_one_trial_needs_to_know_of_what() -> None:
    with pytest.raises(SystemExit):
        command.main(["--trial", "1"])


def test_the_page_has_a_place_for_the_table() -> None:
    page = (Path(__file__).parents[1] / "docs/reliability.md").read_text(encoding="utf-8")
    assert all(marker in page for marker in campaign.MARKERS)
    assert all(f"`{name}`" in page for name in command.PARTS)
