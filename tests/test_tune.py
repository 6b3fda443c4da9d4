"""The search for settings: trials of real trainings, pruned, gone on with, shared, and drawn."""

import json
from pathlib import Path
from typing import Any

import optuna
import pytest

from models.sentiment import tune as tuning
from models.sentiment.cli import main
from models.sentiment.config import Config
from models.sentiment.sources import load_train
from models.sentiment.train import train_model
from models.sentiment.tune import PLOTS, SPACE, open_study, tune, validation_loss
from tinygrad_np.parallel import Workers

GIVEN: dict[str, Any] = {"data": "demo", "train_size": 60, "epochs": 2, "batch_size": 16}
GIVEN |= {"hidden": 4, "layers": 1}
OPTIONS = [part for name, value in GIVEN.items() for part in (f"--{name.replace('_', '-')}", str(value))]


class Trial:
    """What a training reports, and the epoch at which it is hopeless."""

    def __init__(self, hopeless: int):
        self.hopeless = hopeless
        self.reported: list[float] = []

    def report(self, value: float, epoch: int) -> None:
        self.reported.append(value)
        assert epoch == len(self.reported)

    def should_prune(self) -> bool:
        return len(self.reported) >= self.hopeless

    def set_user_attr(self, name: str, value: Any) -> None:
        pass


def test_a_study_goes_on_and_its_best_command_trains_as_the_trial_did(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    best, loss = tune(tmp_path, GIVEN, 3)
    study = open_study(tmp_path, GIVEN)
    assert [trial.state.is_finished() for trial in study.trials] == [True] * 3
    assert all(set(trial.params) == set(SPACE) - set(GIVEN) for trial in study.trials)
    assert len({trial.params["lr"] for trial in study.trials}) == 3
    assert loss == study.best_value == min(t.value for t in study.trials if t.value is not None)
    config = Config(**best)
    assert (config.hidden, config.lr) == (4, study.best_trial.params["lr"])
    trained = train_model(config, *load_train(config), {}, Workers(), progress=False)
    assert min(row["validation_loss"] for row in trained.history) == loss

    assert main(["tune", *OPTIONS, "--trials", "4", "--study", str(tmp_path)]) == 0
    assert len(open_study(tmp_path, GIVEN).trials) == 4
    said = capsys.readouterr().out
    assert "\npython -m models.sentiment train --data demo --train-size 60 --epochs 2 --hidden 4 " in said
    for name in PLOTS:
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    html = (tmp_path / "study.html").read_text(encoding="utf-8")
    assert html.count("Plotly.newPlot(") >= len(PLOTS) + 1
    assert "cdn.plot.ly/plotly" not in html.replace("https://cdn.plot.ly/un/", "")  # nothing is loaded

    assert main(["tune", *OPTIONS, "--epochs", "3", "--trials", "5", "--study", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert f"error: the study in {tmp_path} was begun with batch_size 16, data demo, epochs 2, " in said


def test_processes_share_a_study(tmp_path: Path) -> None:
    one, other = (open_study(tmp_path, GIVEN) for _ in range(2))
    first, second = one.ask(), other.ask()
    assert (first.number, second.number) == (0, 1)
    other.tell(second, 0.5)
    assert one.best_value == 0.5


def test_a_hopeless_trial_ends_there() -> None:
    config = Config(**GIVEN | {"epochs": 5})
    data = load_train(config)
    hopeless, whole = Trial(2), Trial(9)
    with pytest.raises(optuna.TrialPruned):
        validation_loss(hopeless, config, *data)
    assert len(hopeless.reported) == 2
    assert validation_loss(whole, config, *data) == min(whole.reported)
    assert len(whole.reported) == 5
    assert hopeless.reported == whole.reported[:2]


def test_a_loss_that_became_infinite_ends_the_trial_and_another_error_the_search(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*args: Any, **named: Any) -> Any:
        raise ValueError(said)

    monkeypatch.setattr(tuning, "train_model", broken)
    said = "the loss became nan in batch 3 of epoch 1: try a smaller lr"
    with pytest.raises(optuna.TrialPruned, match="the loss became nan"):
        validation_loss(Trial(2), Config(), None, None)
    said = "something else"
    with pytest.raises(ValueError, match=r"^something else$"):
        validation_loss(Trial(2), Config(), None, None)


def test_the_settings_that_are_searched_are_settings(tmp_path: Path) -> None:
    study = optuna.create_study()
    for _ in range(20):
        trial = study.ask()
        Config(**json.loads(json.dumps({name: choose(trial, name) for name, choose in SPACE.items()})))
        study.tell(trial, 0.0)
