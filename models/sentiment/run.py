"""The directory of one training: what it holds, what is written when, and what is checked on loading."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from datasets.text import Vocabulary
from models import report
from models.sentiment.config import Config
from models.sentiment.model import DIMENSIONS, SentimentLSTM
from tinygrad_np.extras import import_optional
from tinygrad_np.files import atomic_write
from tinygrad_np.nn import Embedding
from tinygrad_np.weights import load_weights, save_weights

if TYPE_CHECKING:
    import pandas as pd


class Run:
    """All that is left of one training, and what was asked of it later.

    `start` writes the settings and the vocabulary, `save_epoch` after each epoch its metrics and, if they are
    the best so far, the weights, and `finish` the closing metrics and the learning curves.
    """

    def __init__(self, directory: str | Path):
        self.directory = Path(directory)
        self.config = self.directory / "config.json"
        self.vocabulary = self.directory / "vocabulary.txt"
        self.weights = self.directory / "weights.safetensors"  # of the best epoch
        self.last_weights = self.directory / "last.safetensors"  # where a worker was lost
        self.epochs = self.directory / "metrics.csv"  # a row an epoch
        self.metrics = self.directory / "metrics.json"  # of the best epoch
        self.curves = self.directory / "loss.png"
        self.speeches = self.directory / "speeches.csv"
        self.speech_bars = self.directory / "speeches.png"

    def make_directory(self) -> None:
        """Make the directory: one that cannot be made is told before the work begins."""
        self.directory.mkdir(parents=True, exist_ok=True)

    def start(self, config: Config, vocabulary: Vocabulary) -> None:
        """Begin anew: remove what an older run left, as it would not fit, and write settings and vocabulary."""
        for path in (
            *(self.weights, self.last_weights, self.epochs, self.metrics, self.curves),
            *(self.speeches, self.speech_bars),
        ):
            path.unlink(missing_ok=True)
        _write_json(self.config, asdict(config))
        vocabulary.save(self.vocabulary)

    def save_epoch(self, history: Sequence[dict[str, float]], model: SentimentLSTM) -> None:
        """Write the metrics of all epochs so far, and the weights if the last one is the best of them.

        Parameters
        ----------
        history : sequence of dict
            A row an epoch: `epoch`, `train_loss`, `train_accuracy`, and the same for validation and test.
        """
        if best_epoch(history) is history[-1]:
            save_weights(self.weights, model.state_dict())
        _write_table(self.epochs, import_optional("pandas").DataFrame(history))

    def save_last(self, model: SentimentLSTM) -> None:
        """Write the weights of a training that breaks off, beside those of its best epoch."""
        save_weights(self.last_weights, model.state_dict())

    def finish(self, history: Sequence[dict[str, float]], metrics: dict[str, Any], title: str) -> None:
        """Write the closing metrics, and draw the learning curves under a title."""
        _write_json(self.metrics, metrics)
        report.learning_curves(import_optional("pandas").DataFrame(history), title, self.curves)

    def save_speeches(self, table: pd.DataFrame) -> None:
        """Write what the model says of speeches, as a table and as bars."""
        report.speech_csv(table, self.speeches)
        report.speech_bars(table, self.speech_bars)

    def load(self) -> tuple[Config, Vocabulary, SentimentLSTM]:
        """The settings, vocabulary and model.

        Raises
        ------
        FileNotFoundError
            A file of the run is not there.
        ValueError
            A file is damaged, or the weights are of another shape than the settings say.
        """
        for path in (self.config, self.vocabulary, self.weights):
            if not path.is_file():
                raise FileNotFoundError(
                    f"{self.directory} holds no {path.name}: train into it first, with --out {self.directory}"
                )
        try:
            settings = json.loads(self.config.read_text(encoding="utf-8"))
            config = Config(**{field.name: settings[field.name] for field in fields(Config)})
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{self.config} holds no settings of a run: {error!r}") from error
        vocabulary = Vocabulary.load(self.vocabulary)
        vectors = np.zeros((len(vocabulary), DIMENSIONS), np.float32)
        embedding = Embedding.from_pretrained(vectors, freeze=config.embeddings == "glove", padding_idx=0)
        model = SentimentLSTM(embedding, config.hidden, np.random.default_rng(0))
        state = load_weights(self.weights)
        try:
            model.load_state_dict(state)
        except ValueError as error:
            raise ValueError(f"{self.weights}: {error}") from error
        return config, vocabulary, model.eval()


def best_epoch(history: Sequence[dict[str, float]]) -> dict[str, float]:
    """The row of the smallest validation loss, the first of several."""
    return min(history, key=lambda row: row["validation_loss"])


def _write_json(path: Path, content: dict[str, Any]) -> None:
    with atomic_write(path) as part:
        part.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _write_table(path: Path, table: pd.DataFrame) -> None:
    with atomic_write(path) as part:
        table.to_csv(part, index=False)
