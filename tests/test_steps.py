"""The table of next steps: what is measured, kept, gone on with, and written."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from models.sentiment import steps
from models.sentiment.cli import main
from models.sentiment.config import ALLOWED, configured
from models.sentiment.steps import (
    END,
    START,
    STEPS,
    Row,
    Step,
    measure,
    recorded,
    settings_of,
    table,
    train_command,
)

SMALL: dict[str, Any] = {"data": "demo", "train_size": 60, "test_size": 20, "epochs": 2, "hidden": 4}


def row(step: Step, seed: int, accuracy: float, seconds: float = 90.0, processor: float = 89.0) -> Row:
    return Row(
        recorded(configured(settings_of(step))), seed, accuracy, 0.5, 0.8, 2, 6, 1234, seconds, processor
    )


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "page.md"
    path.write_text(f"# Steps\n\n{START}old\n{END}\n\nThe end.\n", encoding="utf-8")
    return path


def test_every_row_is_a_training_that_differs_from_the_first_in_its_own_way() -> None:
    configs = [configured(settings_of(step)) for step in STEPS]
    assert len(set(configs)) == len({step.name for step in STEPS}) == len(STEPS)
    for step, config in zip(STEPS, configs):
        if "features" in step.change:
            continue  # other settings go with these
        assert replace(config, **{name: getattr(configs[0], name) for name in step.change}) == configs[0]
        for name, value in step.change.items():  # what is said to change does
            assert getattr(configs[0], name) != value
            assert ALLOWED[name].fits(value)


def test_a_row_says_the_command_that_trains_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = SMALL | {"bidirectional": True, "pooling": "max", "lr": 0.01, "max_norm": 1.0}
    command = train_command(settings, seed=3)
    assert command == (
        "python -m models.sentiment train --data demo --train-size 60 --test-size 20 --epochs 2 --hidden 4 "
        "--bidirectional --pooling max --max-norm 1.0 --seed 3"  # 0.01 is the usual rate of demo
    )
    monkeypatch.setattr(steps, "BASE", settings)
    measured = measure(Step("", {}), 3, None)
    assert main([*command.split()[3:], "--out", str(tmp_path)]) == 0
    metrics = json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8"))
    for name in ("test_accuracy", "test_loss", "validation_accuracy", "best_epoch", "epochs", "parameters"):
        assert metrics[name] == pytest.approx(getattr(measured, name), rel=1e-6), name


def test_an_interrupted_table_goes_on_with_what_is_missing(
    page: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "STEPS", (Step("first", {}, True), Step("last", {"pooling": "last"})))
    done: list[tuple[str, int]] = []
    limit = 2

    def fake(step: Step, seed: int, data_dir: str | None) -> Row:
        if len(done) == limit:
            raise KeyboardInterrupt
        done.append((step.name, seed))
        return row(step, seed, 0.8 + seed / 100)

    monkeypatch.setattr(steps, "measure", fake)
    assert main(["steps", "--page", str(page)]) == 130
    assert done == [("first", 0), ("last", 0)]
    first = page.read_text(encoding="utf-8")
    assert first.startswith("# Steps\n\n")
    assert first.endswith(f"{END}\n\nThe end.\n")
    assert first.count("80.0 %") == 2
    done.clear()
    limit = 9
    assert main(["steps", "--page", str(page)]) == 0
    assert done == [("first", 1), ("first", 2)]  # the main row alone has more seeds
    assert main(["steps", "--page", str(page), "las"]) == 0
    assert len(done) == 2
    assert "81.0 % ± 1.0 (3 seeds)" in page.read_text(encoding="utf-8")
    assert len(page.with_suffix(".jsonl").read_text(encoding="utf-8").splitlines()) == 4


def test_the_table_by_hand() -> None:
    start, last = STEPS[:2]
    rows = [row(start, 0, 0.80), row(start, 1, 0.82), row(last, 0, 0.75, seconds=300)]
    lines = table(rows).splitlines()[2:]
    command = "`python -m models.sentiment train --data imdb --train-size 5000 --max-tokens 400"
    assert lines == [
        f"| {start.name} | 81.0 % ± 1.4 (2 seeds) |  | 1,234 | 1.5 | {command}` |",
        # other work took the processor meanwhile, so that its minutes say nothing
        f"| {last.name} | 75.0 % | -6.0 | 1,234 |  | {command} --pooling last` |",
    ]


def test_a_training_with_other_settings_than_those_of_now_is_not_in_the_table() -> None:
    start = row(STEPS[0], 0, 0.8)
    assert start.is_of(STEPS[0])
    assert not start.is_of(STEPS[1])
    older = dict(start.settings)
    del older["ema"]  # there was none, so that it was 0
    assert start._replace(settings=older).is_of(STEPS[0])
    assert not start._replace(settings=start.settings | {"ema": 0.9}).is_of(STEPS[0])
    assert not start._replace(settings=start.settings | {"forgotten": 1}).is_of(STEPS[0])


def test_what_is_no_training_or_no_page_is_refused(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = page.with_suffix(".jsonl")
    lines.write_text(f'{json.dumps(row(STEPS[0], 0, 0.8)._asdict())}\n{{"seed": 1, "sett', encoding="utf-8")
    assert main(["steps", "--page", str(page)]) == 1
    assert f"error: {lines}, line 2 is no training (" in capsys.readouterr().err
    lines.unlink()
    assert main(["steps", "--page", str(page), "no such row"]) == 1
    assert "error: no row is named so; there are where it starts, " in capsys.readouterr().err
    page.write_text("nothing", encoding="utf-8")
    assert main(["steps", "--page", str(page)]) == 1
    assert "has no place for the table" in capsys.readouterr().err
    assert page.read_text(encoding="utf-8") == "nothing"
