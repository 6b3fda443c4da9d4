"""The loop that trains: it does what a loop by hand does, and several workers do what one does."""

import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_np.functional as F
from tinygrad_np import Tensor, nn, optim
from tinygrad_np.data import Batches
from tinygrad_np.training import Checkpoints, Training, evaluate, fit, predict, progress

X = np.random.default_rng(0).standard_normal((43, 5))
Y = (X[:, 0] * X[:, 1] > 0).astype(int)


def accuracy(outputs: Any, targets: np.ndarray) -> float:
    return float((outputs.data.argmax(axis=1) == targets).mean())


def network(rng: np.random.Generator) -> nn.Sequential:
    """One dropout has a generator of its own, and one shares that of the weights and the data."""
    return nn.Sequential(
        nn.Dropout(0.1, rng=5),
        nn.Linear(5, 8, rng=rng, dtype=np.float64),
        nn.Tanh(),
        nn.Dropout(0.2, rng=rng),
        nn.Linear(8, 2, rng=rng, dtype=np.float64),
    )


def trained(**settings: Any) -> Training:
    """A network with dropout; 5 batches an epoch, the last one of 3 rows."""
    rng = np.random.default_rng(1)
    model = network(rng)
    return fit(
        model,
        F.cross_entropy,
        Batches((X, Y), 10, shuffle=True, rng=rng),
        Batches((X, Y), 20),
        optim.Adam(model.parameters(), lr=0.01),
        **{"epochs": 3, "metrics": {"accuracy": accuracy}, "progress": False, **settings},
    )


def weights(training: Training) -> np.ndarray:
    return np.concatenate([array.ravel() for array in training.model.state_dict().values()])


def measures(training: Training) -> list[dict[str, float]]:
    return [{name: v for name, v in row.items() if name != "seconds"} for row in training.history]


def test_fit_is_the_loop_that_one_writes_by_hand() -> None:
    rng = np.random.default_rng(1)
    model = network(rng)
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    for _ in range(3):
        order = rng.permutation(len(Y))
        for rows in np.split(order, range(10, 43, 10)):
            optimizer.zero_grad()
            F.cross_entropy(model(X[rows]), Y[rows]).backward()
            optim.clip_grad_norm(model.parameters(), 0.5)
            optimizer.step()
    training = trained(max_norm=0.5)
    own = np.concatenate([array.ravel() for array in model.state_dict().values()])
    assert weights(training).tolist() == own.tolist()
    assert [(row["epoch"], row["step"], row["lr"]) for row in training.history] == [
        (1, 5, 0.01),
        (2, 10, 0.01),
        (3, 15, 0.01),
    ]
    model.eval()
    assert training.history[-1]["validation_loss"] == pytest.approx(
        F.cross_entropy(model(X), Y).item(), abs=1e-12
    )
    assert training.history[-1]["validation_accuracy"] == pytest.approx(accuracy(model(X), Y), abs=1e-12)


# --- what it does in a step ---------------------------------------------------------------------------


def plain(batch_size: int, accumulate: int) -> Training:
    """Without dropout or momentum, 20 rows to train on and no shuffling."""
    model = nn.Linear(5, 2, rng=0, dtype=np.float64)
    data = Batches((X[:18], Y[:18]), batch_size)
    return fit(
        model, F.cross_entropy, data, None, optim.SGD(model.parameters(), lr=0.5),
        epochs=3, accumulate=accumulate, progress=False, max_norm=0.3,
    )  # fmt: skip


def test_batches_that_are_accumulated_are_one_larger_batch() -> None:
    several, one = plain(4, 2), plain(8, 1)  # 4 and 4 rows, 4 and 4, and then 2
    np.testing.assert_allclose(weights(several), weights(one), rtol=0, atol=1e-14)
    for a, b in zip(measures(several), measures(one), strict=True):
        assert a == pytest.approx(b, abs=1e-14)
    assert [row["step"] for row in one.history] == [3, 6, 9]
    assert abs(weights(several) - weights(plain(4, 1))).max() > 0.01


def test_steps_end_a_training_within_an_epoch() -> None:
    training = trained(epochs=None, steps=7)
    assert [(row["epoch"], row["step"]) for row in training.history] == [(1, 5), (2, 7)]
    assert training.history[0] | {"seconds": 0} == trained(epochs=1).history[0] | {"seconds": 0}


def test_schedules_are_stepped_by_steps_by_epochs_and_by_what_is_monitored() -> None:
    def rates(kind: Any, **settings: Any) -> list[float]:
        seen = []
        model = nn.Linear(5, 2, rng=0)
        optimizer = optim.SGD(model.parameters(), lr=1.0)
        step = optimizer.step
        optimizer.step = lambda: (seen.append(optimizer.lr), step())  # type: ignore[assignment, method-assign]
        training = fit(
            model, lambda out, y: (out * 0).sum(), Batches((X[:8], Y[:8]), 4), None, optimizer,
            epochs=3, schedule=kind(optimizer), progress=False, **settings,
        )  # fmt: skip
        assert [row["lr"] for row in training.history] == seen[1::2]
        return seen

    halving = optim.schedules.StepLR
    assert rates(lambda o: halving(o, 1, 0.5)) == [1, 0.5, 0.25, 0.125, 0.0625, 0.03125]
    assert rates(lambda o: halving(o, 1, 0.5), schedule_every="epoch") == [1, 1, 0.5, 0.5, 0.25, 0.25]
    # the loss is 0 and never better than in the first epoch
    plateau = optim.schedules.ReduceLROnPlateau
    assert rates(lambda o: plateau(o, factor=0.5, patience=0)) == [1, 1, 1, 1, 0.5, 0.5]


def test_a_loss_with_weights_is_trained_and_kept_too(tmp_path: Path) -> None:
    class Scaled(nn.Layer):
        def __init__(self) -> None:
            self.scale = Tensor(np.ones(1), requires_grad=True)

        def forward(self, outputs: Tensor, targets: np.ndarray) -> Tensor:
            return F.cross_entropy(outputs * self.scale, targets)

    def scales(epochs: int, resume: bool) -> list[float]:
        model, loss = nn.Linear(5, 2, rng=0, dtype=np.float64), Scaled()
        optimizer = optim.Adam([*model.parameters(), *loss.parameters()], lr=0.1)
        fit(
            model, loss, Batches((X, Y), 10), None, optimizer, epochs=epochs, progress=False,
            checkpoints=Checkpoints(tmp_path / str(resume)), resume=resume,
        )  # fmt: skip
        return loss.scale.data.tolist()

    whole = scales(2, False)
    assert scales(1, True) != whole != [1.0]
    assert scales(2, True) == whole


def test_a_loss_that_is_no_number_stops_before_the_step() -> None:
    x = X.copy()
    x[23] = np.inf  # in the third batch of 10
    model = nn.Linear(5, 2, rng=0, dtype=np.float64)
    optimizer, seen = optim.SGD(model.parameters(), lr=0.1), []
    step = optimizer.step
    optimizer.step = lambda: (step(), seen.append(model.weight.data.copy()))  # type: ignore[assignment, method-assign]
    said = r"^the loss became nan in batch 3 of epoch 1: try a smaller lr$"
    with pytest.raises(ValueError, match=said), np.errstate(invalid="ignore"):
        fit(model, F.cross_entropy, Batches((x, Y), 10), None, optimizer, epochs=1, progress=False)
    assert len(seen) == 2
    np.testing.assert_array_equal(model.weight.data, seen[-1])


# --- what it keeps ------------------------------------------------------------------------------------


def drifting(losses: Sequence[float], decay: float | None = None, **settings: Any) -> Training:
    """A weight that is the number of its step, or an average of it, and validation losses as told."""

    class Counter(nn.Layer):
        def __init__(self) -> None:
            self.weight = Tensor(np.zeros(1), requires_grad=True)

        def forward(self, x: np.ndarray) -> Tensor:
            return self.weight + x * 0

    def loss(outputs: Tensor, targets: np.ndarray) -> Tensor:
        return -outputs.mean() if training_rows(targets) else Tensor(next(told))

    training_rows, told = (lambda targets: targets[0] == 0), iter(losses)
    model = Counter()
    if decay is not None:
        settings["average"] = optim.ExponentialMovingAverage(model.parameters(), decay)
    train, validation = (Batches((np.zeros((1, 1)), np.full(1, k)), 1) for k in (0, 1))
    return fit(
        model, loss, train, validation, optim.SGD(model.parameters(), lr=1.0),
        epochs=len(losses), progress=False, **settings,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("losses", "patience", "epochs", "best"),
    [
        ([5, 4, 4, 6, 3], 2, 4, 2),
        ([5, 4, 4, 3, 6], 2, 5, 4),
        ([5, 6, 7], 3, 3, 1),
        ([1, math.nan, 0.5, math.nan], 2, 4, 3),
        ([math.nan, 5, 6], 2, 3, 2),
        ([3, 2, 1], None, 3, 3),
    ],
)
def test_patience_stops_and_restores_the_best(
    losses: list[float], patience: int | None, epochs: int, best: int
) -> None:
    training = drifting(losses, patience=patience)
    assert len(training.history) == epochs
    assert training.best_epoch == best
    assert training.model.weight.data.tolist() == [best]
    assert training.is_best == (best == epochs)


def test_what_more_of_is_better() -> None:
    assert drifting([1, 3, 2], mode="max").best_epoch == 2
    assert drifting([1, 3, 2], monitor="train_loss").best_epoch == 3
    with pytest.raises(ValueError, match="whether less or more is better of validation_age"):
        drifting([1], monitor="validation_age", metrics={"age": lambda out, y: 1})


def test_averages_are_evaluated_and_kept() -> None:
    seen: list[float] = []
    told = {"callbacks": [lambda training: seen.append(training.model.weight.data.item())]}
    last = drifting([9, 7, 8], decay=0.5, **told)
    assert seen == [1.0, 1.5, 2.25]  # of the weights 1, 2, 3
    assert last.model.weight.data.tolist() == [2.25]
    assert drifting([9, 7, 8], decay=0.5, patience=3).model.weight.data.tolist() == [1.5]


# --- callbacks ----------------------------------------------------------------------------------------


def test_callbacks_are_told_after_each_epoch_and_may_end_it() -> None:
    seen = []

    def told(training: Training) -> None:
        seen.append(
            (training.epoch, training.step, training.is_best, training.history[-1]["validation_loss"])
        )
        training.stop = training.epoch == 3

    drifting([3, 5, 2, 1], callbacks=[told])
    assert seen == [(1, 1, True, 3), (2, 2, False, 5), (3, 3, True, 2)]


# --- going on -----------------------------------------------------------------------------------------


def slower(training: Training) -> None:
    """A callback that changes the rate, beside a schedule."""
    training.optimizer.lr *= 0.9


def everything(directory: Path, resume: bool | int = False, **settings: Any) -> Training:
    """A training with all that has a state."""
    rng = np.random.default_rng(1)
    model = network(rng)
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    return fit(
        model,
        F.cross_entropy,
        Batches((X, Y), 10, shuffle=True, rng=rng),
        Batches((X, Y), 20, shuffle=True, rng=rng),
        optimizer,
        **{
            "epochs": 3,
            "metrics": {"accuracy": accuracy},
            "progress": False,
            "schedule": optim.schedules.CosineAnnealingLR(optimizer, 15),
            "average": optim.ExponentialMovingAverage(model.parameters(), 0.7),
            "patience": 3,
            "callbacks": [slower],
            "checkpoints": Checkpoints(directory, every_steps=1, keep=99),
            "resume": resume,
            **settings,
        },
    )


def assert_same_end(one: Training, other: Training) -> None:
    assert weights(one).tolist() == weights(other).tolist()
    assert measures(one) == measures(other)
    states = [
        {name: part for name, part in training.state_dict().items() if name not in ("seconds", "history")}
        for training in (one, other)
    ]
    np.testing.assert_equal(*states)


def test_from_every_step_it_goes_on_to_the_same_end(tmp_path: Path) -> None:
    whole = everything(tmp_path / "whole")
    assert Checkpoints(tmp_path / "whole").steps() == list(range(1, 16))
    for step in (1, 4, 5, 8, 10, 15):
        shutil.copytree(tmp_path / "whole", tmp_path / str(step))
        assert_same_end(everything(tmp_path / str(step), resume=step), whole)
    assert everything(tmp_path / "whole", resume=True, epochs=4).epoch == 4


@pytest.fixture
def handlers() -> Iterator[None]:
    """Signals do here what they do in a program; whoever runs the tests may have them ignored."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, signal.default_int_handler) for number in numbers]
    yield
    assert [signal.getsignal(number) for number in numbers] == [signal.default_int_handler] * 2
    for number, handler in zip(numbers, before):
        signal.signal(number, handler)


def signalling(call: int, *numbers: int) -> dict[str, Any]:
    """A metric that is interrupted at one of its calls: 5 batches of training, then 3 of validation."""
    calls = iter(range(1, 1000))

    def interrupted(outputs: Any, targets: np.ndarray) -> float:
        if next(calls) == call:
            for number in numbers:
                signal.raise_signal(number)
        return accuracy(outputs, targets)

    return {"accuracy": interrupted}


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize(("call", "step"), [(3, 3), (5, 5), (7, 5), (8, 5), (10, 7)])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_finishes_the_step_and_keeps_all(tmp_path: Path, call: int, step: int, number: int) -> None:
    said = f"interrupted after step {step} of 15; the checkpoint in .*there goes on from there with resume"
    settings = {"checkpoints": Checkpoints(tmp_path / "there"), "metrics": signalling(call, number)}
    with pytest.raises(KeyboardInterrupt, match=said):
        everything(tmp_path, **settings)
    assert max(Checkpoints(tmp_path / "there").steps()) == step
    gone_on = everything(tmp_path, resume=True, checkpoints=Checkpoints(tmp_path / "there"))
    assert_same_end(gone_on, everything(tmp_path / "whole"))


@pytest.mark.usefixtures("handlers")
def test_ctrl_c_twice_ends_at_once(tmp_path: Path) -> None:
    for numbers in ((signal.SIGINT, signal.SIGINT), (signal.SIGTERM, signal.SIGINT)):
        checkpoints = Checkpoints(tmp_path / str(numbers))
        with pytest.raises(KeyboardInterrupt, match=r"^$"):
            everything(tmp_path, checkpoints=checkpoints, metrics=signalling(3, *numbers))
        assert checkpoints.steps() == []


@pytest.mark.usefixtures("handlers")
def test_ctrl_c_without_checkpoints_says_that_there_is_none() -> None:
    with pytest.raises(
        KeyboardInterrupt, match="after step 3 of 15; there is no checkpoint, as none was asked"
    ):
        trained(metrics=signalling(3, signal.SIGINT))


def test_the_state_of_another_training_is_refused(tmp_path: Path) -> None:
    everything(tmp_path, epochs=1)
    others: list[tuple[dict[str, Any], str]] = [
        ({"average": None}, "the checkpoint has one for average, and this training none"),
        ({"schedule": None}, "the checkpoint has one for schedule, and this training none"),
        ({"metrics": {}}, "measured on other data, or by other metrics"),
    ]
    for settings, said in others:
        with pytest.raises(ValueError, match=said):
            everything(tmp_path, resume=True, **settings)
    with pytest.raises(FileExistsError, match="holds checkpoints of a training, the last of step 5"):
        everything(tmp_path)


# --- what it shows ------------------------------------------------------------------------------------


def test_lines_in_a_file(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(progress, "EVERY", 0)
    training = trained(progress=True, epochs=2)
    out, err = capsys.readouterr()
    first, second = out.splitlines()
    row = training.history[0]
    assert first == (
        f"epoch  1: train loss {row['train_loss']:.4f}, accuracy {row['train_accuracy']:.4f}; "
        f"validation loss {row['validation_loss']:.4f}, accuracy {row['validation_accuracy']:.4f}"
    )
    assert second.startswith("epoch  2: train loss ")
    assert "\r" not in err
    lines = err.splitlines()
    assert len(lines) == 10
    shape = r"epoch 1, step 3 of 10: loss 0\.\d{4}, accuracy 0\.\d{4}; [\d,]+ rows/s, \d+ s left"
    assert re.fullmatch(shape, lines[2])
    trained(progress=False)
    assert capsys.readouterr() == ("", "")


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    trained(progress=True, epochs=2)
    out, err = capsys.readouterr()
    assert [line[:9] for line in out.splitlines()] == ["epoch  1:", "epoch  2:"]
    assert "epoch 2: 100%" in err
    assert "10/10" in err
    assert "rows/s, loss 0." in err
    monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setattr(progress, "EVERY", 0)
    trained(progress=True, epochs=1)
    assert "epoch 1, step 5 of 5: loss" in capsys.readouterr().err


def test_times_and_numbers_as_people_say_them() -> None:
    assert [progress.duration(s) for s in (0.4, 99, 100, 5999, 7200)] == [
        "0 s", "99 s", "2 min", "100 min", "2.0 h",
    ]  # fmt: skip
    assert progress.described({"a": 0.5, "b": 1e-5, "c": 12345.6}) == "a 0.5000, b 1e-05, c 1.235e+04"


# --- evaluate and predict -----------------------------------------------------------------------------


def test_evaluate_and_predict_see_each_row_once_in_evaluation() -> None:
    model = network(np.random.default_rng(0))
    found = evaluate(model, F.cross_entropy, Batches((X, Y), 10, shuffle=True, rng=0), {"accuracy": accuracy})
    assert model.training
    outputs = predict(model, Batches((X,), 10, shuffle=True, rng=0))
    model.eval()
    whole = model(X)
    np.testing.assert_allclose(outputs, whole.data, rtol=1e-13)
    assert found == pytest.approx(
        {"loss": F.cross_entropy(whole, Y).item(), "accuracy": accuracy(whole, Y)}, abs=1e-13
    )
    assert not model.training


# --- what is wrong ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"epochs": None}, "fit takes epochs or steps, and one of them only"),
        ({"steps": 3}, "fit takes epochs or steps, and one of them only"),
        ({"epochs": 0}, "fit takes a whole number from 1 for epochs, not 0"),
        ({"accumulate": 0.5}, "fit takes a whole number from 1 for accumulate, not 0.5"),
        ({"patience": 0}, "fit takes a whole number from 1 for patience, not 0"),
        (
            {"monitor": "test_loss"},
            "there is no test_loss to monitor: there will be train_loss, train_accuracy, ",
        ),
        ({"resume": True}, "fit resumes from checkpoints, and got none"),
        ({"train": (X, Y)}, r"fit takes Batches for train, not tuple: Batches\(\(x, y\), 32\)"),
        ({"train": Batches((X, Y), 50, drop_last=True)}, "there are no batches in train"),
        (
            {"train": Batches(X, 10)},
            "a batch is a tuple of one input or more and the targets, not a tuple of 1",
        ),
        ({"validation": {"train": Batches((X, Y), 9)}}, "give those to validate on another name"),
        ({"loss": lambda out, y: out}, r"the mean over its rows, not Tensor of shape \(10, 2\)"),
        ({"loss": lambda out, y: 1.0}, "the mean over its rows, not float"),
        (
            {"optimizer": optim.SGD([Tensor(np.ones(3), requires_grad=True)], lr=1)},
            r"parameter 0 of the optimizer, of shape \(3,\), is neither in the model nor in the loss",
        ),
    ],
)
def test_what_cannot_be_trained_is_told(settings: dict[str, Any], said: str) -> None:
    given: dict[str, Any] = {
        "model": network(np.random.default_rng(0)),
        "loss": F.cross_entropy,
        "train": Batches((X, Y), 10),
        "validation": Batches((X, Y), 10),
        "epochs": 1,
        "metrics": {"accuracy": accuracy},
        "progress": False,
    }
    with pytest.raises((ValueError, TypeError), match=said):
        fit(**given | settings)


# --- the page -----------------------------------------------------------------------------------------


def test_the_examples_of_the_page_do_what_it_says(tmp_path: Path) -> None:
    root = Path(__file__).parents[1]
    page = (root / "docs/training.md").read_text(encoding="utf-8")
    program = "".join(re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE))
    kept = "training = train()\n"
    assert program.count(kept) == 1
    check = "assert all((a.data == b.data).all() for a, b in zip(model.parameters(), training.model.parameters()))"
    goes_on = "assert train(resume=True).history == training.history"
    run = subprocess.run(
        [sys.executable, "-c", program.replace(kept, f"{kept}{check}\n{goes_on}\n")],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True, encoding="utf-8", timeout=300,
    )  # fmt: skip
    assert not run.returncode, run.stderr
    without = re.sub(r"^```python\n(.*?)^```$", "", page, flags=re.DOTALL | re.MULTILINE)
    epochs, texts = re.findall(r"^```\n(.*?)^```$", without, re.DOTALL | re.MULTILINE)
    said = run.stdout.splitlines()[: len(epochs.splitlines())]
    number = r"\d\.\d{4}"
    assert [re.sub(number, "n", line) for line in said] == re.sub(number, "n", epochs).splitlines()
    found, shown = (np.array(re.findall(number, text), float) for text in ("".join(said), epochs))
    np.testing.assert_allclose(found, shown, atol=0.02)  # it is rounded in another way elsewhere
    assert texts in run.stdout
    assert "goes on after step 40 of 40" not in run.stdout  # progress=False


# --- several workers ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shared() -> dict[str, list[dict[str, Any]]]:
    """What came of each case with one, two and three workers."""
    run = subprocess.run(
        [sys.executable, "-m", "tests.shared_training"],
        cwd=Path(__file__).parents[1], capture_output=True, encoding="utf-8", check=True, timeout=300,
    )  # fmt: skip
    found: dict[str, list[dict[str, Any]]] = json.loads(run.stdout)
    return found


@pytest.mark.parametrize(
    "case",
    ["dropout", "accumulate", "steps", "stop", "patience", "rows", "rows, accumulate", "rows, plain steps"],
)
def test_several_workers_do_what_one_does(shared: dict[str, list[dict[str, Any]]], case: str) -> None:
    alone, *others = shared[case]
    assert np.ptp(alone["weights"]) > 0
    for other in others:
        np.testing.assert_allclose(other["weights"], alone["weights"], rtol=0, atol=1e-12)
        for one, row in zip(alone["history"], other["history"], strict=True):
            assert row | {"seconds": 0} == pytest.approx(one | {"seconds": 0}, abs=1e-12)


@pytest.mark.parametrize(
    ("case", "said"),
    [
        (
            "batch norm",
            r"0 \(BatchNorm1d\) takes statistics of the whole batch, and each of \d workers has a part",
        ),
        ("padded by shards", "the workers differ in their random numbers after .*: .* shard"),
        (
            "own settings",
            "differ in their settings of the optimizer after epoch 1: something has changed them in one",
        ),
        ("own weights", "differ in their weights after epoch 1: something has changed them in one"),
    ],
)
def test_what_workers_cannot_share_is_told(shared: dict[str, Any], case: str, said: str) -> None:
    alone, *others = shared[case]
    assert "error" not in alone
    for other in others:
        assert re.search(said, other["error"]), other
