"""The real job from end to end: the README's trainings, each a process of its own, once.

Time and words a second are those that a run writes into its metrics.json: of training, without the tests between
epochs.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.harness import Options, Peer, Row, environment, show

TRAINING = (sys.executable, "-m", "models.sentiment", "train", "--data", "imdb")
RUNS = {
    "2,000 reviews": ("--train-size", "2000", "--test-size", "1000", "--epochs", "10"),
    "all reviews": (),
    "all reviews, 2 workers": ("--workers", "2"),
}


def run(options: Options) -> list[Row]:
    if options.data_dir is None:
        print("left out, because --data-dir does not say where glove.6B.zip and imdb_*.txt are")
        return []
    with Peer("ours") as peer:
        about = peer.about
    print(about)
    rows = []
    for name, arguments in RUNS.items():
        with tempfile.TemporaryDirectory() as out:
            ended = subprocess.run(
                [*TRAINING, *arguments, "--data-dir", str(options.data_dir.resolve()), "--out", out],
                env=environment("ours"),
                cwd=Path(__file__).parents[1],
            )
            if ended.returncode:
                raise RuntimeError(f"the training of {name} ended with status {ended.returncode}: see above")
            metrics = json.loads((Path(out) / "metrics.json").read_text(encoding="utf-8"))
        figures = {
            "training reviews": (metrics["train_reviews"] + metrics["validation_reviews"], "reviews"),
            "test reviews": (metrics["test_reviews"], "reviews"),
            "epochs": (metrics["epochs"], "epochs"),
            "test accuracy": (100 * metrics["test_accuracy"], "%"),
            "test loss": (metrics["test_loss"], ""),
            "training time": (metrics["training_seconds"], "s"),
            "training speed": (metrics["tokens_per_second"], "tokens/s"),
        }
        rows += [
            Row("sentiment", f"{name}, {what}", "ours", unit, [value], about=about)
            for what, (value, unit) in figures.items()
        ]
    show(rows)
    return rows
