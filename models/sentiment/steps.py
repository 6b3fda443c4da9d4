"""What each of the tutorial's next steps is worth: trainings that differ in one thing, and a table of them.

Each training that has ended is a line of JSON, so that the command goes on where it was interrupted, and the page
is written anew after each of them. The test reviews are looked at once a training, at its end.
"""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from models.sentiment.config import OF_NGRAMS, Config, configured
from models.sentiment.sources import load_test, load_train
from models.sentiment.train import train_model
from tinygrad_np.data import Batches
from tinygrad_np.files import atomic_write
from tinygrad_np.parallel import Workers
from tinygrad_np.training import evaluate

BASE: dict[str, Any] = {"data": "imdb", "train_size": 5000, "max_tokens": 400}
SEEDS = 3  # of the main rows
START, END = "<!-- table -->\n", "<!-- /table -->"


class Step(NamedTuple):
    """One row: its name, what is changed, and whether it is measured with several seeds."""

    name: str
    change: dict[str, Any]
    is_main: bool = False


OTHER = ("max_ngram", "channel_dropout", "max_tokens")  # of n-grams alone, or as it is in all rows
TOGETHER = {name: value for name, value in OF_NGRAMS.items() if name not in OTHER}
STEPS = (
    Step("where it starts", {}, is_main=True),
    Step("pooling: the last state", {"pooling": "last"}, is_main=True),
    Step("pooling: mean and max", {"pooling": "mean-max"}, is_main=True),
    Step("pooling: max", {"pooling": "max"}),
    Step("pooling: attention", {"pooling": "attention"}),
    Step("bidirectional", {"bidirectional": True}, is_main=True),
    Step("two layers", {"layers": 2}),
    Step("hidden size 32", {"hidden": 32}),
    Step("hidden size 128", {"hidden": 128}),
    Step("no dropout", {"dropout": 0.0}),
    Step("output dropout 0.5", {"dropout": 0.5}),
    Step("input dropout", {"input_dropout": 0.2}),
    Step("recurrent dropout", {"recurrent_dropout": 0.2}),
    Step("word dropout", {"word_dropout": 0.1}),
    Step("weight decay", {"weight_decay": 0.01}),
    Step("batch normalisation", {"norm": "batch"}),
    Step("layer normalisation", {"norm": "layer"}),
    Step("Xavier initialisation", {"init": "xavier"}),
    Step("orthogonal initialisation", {"init": "orthogonal"}),
    Step("learning rate 0.001", {"lr": 0.001}),
    Step("learning rate 0.01", {"lr": 0.01}),
    Step("cosine schedule with warm-up", {"schedule": "cosine", "warmup": 50}),
    Step("average of the weights", {"ema": 0.99}),
    Step("GloVe fine-tuned", {"embeddings": "tuned"}, is_main=True),
    Step("vectors learned, without GloVe", {"embeddings": "learned"}),
    Step("2,000 reviews", {"train_size": 2000}),
    Step("10,000 reviews", {"train_size": 10_000}),
    Step("longer training, stopped early", {"epochs": 20, "patience": 4}),
    Step("a Transformer, at a third of the learning rate", {"network": "transformer", "lr": 0.001}),
    Step("many together: all that goes with n-grams, without them", TOGETHER, is_main=True),
    Step("counted n-grams beside the words, and many together", {"features": "channels"}, is_main=True),
    Step("counted n-grams alone, without a network", {"features": "wide"}, is_main=True),
    Step("both of these as one model, and many together", {"features": "joint"}, is_main=True),
)


class Row(NamedTuple):
    """A training that has ended. Its settings are all there were then, but the seed and where the data is."""

    settings: dict[str, Any]
    seed: int
    test_accuracy: float
    test_loss: float
    validation_accuracy: float
    best_epoch: int
    epochs: int
    parameters: int
    seconds: float  # of the training, without the data
    processor_seconds: float

    @property
    def minutes(self) -> float | None:
        """What it took; None where the machine had other work meanwhile."""
        return self.seconds / 60 if self.processor_seconds > 0.9 * self.seconds else None

    def is_of(self, step: Step) -> bool:
        """Whether it is of a step as it is now; a setting that there was not then was as it is unless given."""
        usual = asdict(Config())
        wanted = recorded(configured(settings_of(step)))
        return self.settings.keys() <= wanted.keys() and wanted == {
            name: self.settings.get(name, usual[name]) for name in wanted
        }


def settings_of(step: Step) -> dict[str, Any]:
    """The settings that are given for a step."""
    return BASE | step.change


def recorded(config: Config) -> dict[str, Any]:
    """The settings as a row keeps them."""
    return {name: value for name, value in asdict(config).items() if name not in ("seed", "data_dir")}


def measure(step: Step, seed: int, data_dir: str | None) -> Row:
    """Train, and look at the test reviews."""
    config = configured({**settings_of(step), "seed": seed, "data_dir": data_dir})
    train, validation = load_train(config)
    start, processor_start = time.perf_counter(), time.process_time()
    trained = train_model(config, train, validation, {}, Workers(), progress=False)
    seconds, processor_seconds = time.perf_counter() - start, time.process_time() - processor_start
    model = trained.model
    reviews = load_test(config)
    test = Batches(trained.encoder.encode(reviews.texts, reviews.labels), config.batch_size)
    found = evaluate(model, model.loss, test, {"accuracy": model.accuracy})
    best = min(trained.history, key=lambda row: float(row["validation_loss"]))
    return Row(
        recorded(config),
        seed,
        found["accuracy"],
        found["loss"],
        best["validation_accuracy"],
        best["epoch"],
        len(trained.history),
        sum(p.size for p in model.parameters()),
        seconds,
        processor_seconds,
    )


def load_rows(path: Path) -> list[Row]:
    """The trainings that a file holds, a line each; none if it is not there.

    Raises
    ------
    ValueError
        A line is none: it may be the last one, cut where the machine went down.
    """
    rows: list[Row] = []
    if path.exists():
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            try:
                rows.append(Row(**json.loads(line)))
            except (ValueError, TypeError) as error:
                raise ValueError(f"{path}, line {number} is no training ({error}): remove it") from error
    return rows


def add_row(path: Path, row: Row) -> None:
    """Write a line more, and the file anew, whole or not at all."""
    rows = [*load_rows(path), row]
    with atomic_write(path) as part:
        lines = [json.dumps(row._asdict(), ensure_ascii=False) + "\n" for row in rows]
        part.write_text("".join(lines), encoding="utf-8")


def train_command(settings: dict[str, Any], seed: int = 0) -> str:
    """The command that trains with these settings."""
    return " ".join(
        ["python -m models.sentiment train", *options(settings | ({"seed": seed} if seed else {}))]
    )


def options(settings: dict[str, Any]) -> list[str]:
    """Settings as options of the command line, those left out that are so anyway."""
    leading: dict[str, Any] = {name: settings[name] for name in ("data", "features") if name in settings}
    usual = configured(leading)  # what goes with them
    found = [f"--{name} {value}" for name, value in leading.items()]
    for name, value in settings.items():
        option = name.replace("_", "-")
        if name in leading or value == getattr(usual, name):
            continue
        if isinstance(value, bool):
            found.append(f"--{option}" if value else f"--no-{option}")
        elif isinstance(value, list):
            found.append(f"--{option} {shlex.join(value)}")
        else:
            found.append(f"--{option} {value}")
    return found


def table(rows: Sequence[Row]) -> str:
    """Of each step that was measured: test accuracy, its distance from where it starts, size, minutes, command."""
    lines = [
        "| what is changed | test accuracy | against the first row | parameters | minutes | command |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    first = [row.test_accuracy for row in rows if row.is_of(STEPS[0])]
    for step in STEPS:
        mine = [row for row in rows if row.is_of(step)]
        if not mine:
            continue
        found = [row.test_accuracy for row in mine]
        minutes = [row.minutes for row in mine if row.minutes is not None]
        spread = f" ± {100 * np.std(found, ddof=1):.1f} ({len(found)} seeds)" if len(found) > 1 else ""
        difference = f"{100 * (np.mean(found) - np.mean(first)):+.1f}" if first and step.change else ""
        lines.append(
            f"| {step.name} | {100 * np.mean(found):.1f} %{spread} | {difference} | {mine[0].parameters:,} "
            f"| {f'{np.mean(minutes):.1f}' if minutes else ''} | `{train_command(settings_of(step))}` |"
        )
    return "\n".join(lines) + "\n"


def write_page(page: Path, rows: Sequence[Row]) -> None:
    """Put the table into the page, between its two marks; what else stands there is left as it is."""
    text = page.read_text(encoding="utf-8")
    if text.count(START) != 1 or text.count(END) != 1:
        raise ValueError(f"{page} has no place for the table, between the lines {START.strip()} and {END}")
    head, _, rest = text.partition(START)
    with atomic_write(page) as part:
        part.write_text(f"{head}{START}\n{table(rows)}\n{END}{rest.partition(END)[2]}", encoding="utf-8")


def run_steps(page: Path, names: Sequence[str], data_dir: str | None) -> None:
    """Measure what was not measured yet, and write the page.

    Parameters
    ----------
    page : Path
        A page with a place for the table. The trainings stand beside it, in a file of the same name that ends with
        ``.jsonl``.
    names : sequence of str
        The rows to measure, by parts of their names; all of them if there are none.
    """
    results = page.with_suffix(".jsonl")
    chosen = [step for step in STEPS if not names or any(name in step.name for name in names)]
    if not chosen:
        raise ValueError(f"no row is named so; there are {', '.join(step.name for step in STEPS)}")
    write_page(page, load_rows(results))
    for step, seed in in_order(chosen):
        if any(row.is_of(step) and row.seed == seed for row in load_rows(results)):
            continue
        row = measure(step, seed, data_dir)
        add_row(results, row)
        write_page(page, load_rows(results))
        print(
            f"{step.name}, seed {seed}: test accuracy {row.test_accuracy:.1%}, "
            f"{row.processor_seconds / 60:.1f} minutes of the processor in {row.seconds / 60:.1f}",
            flush=True,
        )


def in_order(chosen: Sequence[Step]) -> list[tuple[Step, int]]:
    """The trainings of some rows: the main rows, the others, and the main rows again with the other seeds."""
    main = [step for step in chosen if step.is_main]
    others = [step for step in chosen if not step.is_main]
    return [(step, 0) for step in main + others] + [(step, seed) for seed in range(1, SEEDS) for step in main]
