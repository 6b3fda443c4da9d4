"""The directory of one training: what it holds, what is written when, and what is checked on loading.

Its files belong together, and a kill may come between any two of them. So new ones are written beside the old
ones as ``NAME.next``, then ``run.json`` is replaced, which has the SHA-256 of each file of the run, and then they
are renamed. The moment in which ``run.json`` is replaced is the one in which all of them change: who reads takes
the file with the right SHA-256, under the one name or the other.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from models import report
from models.sentiment.assessment import Assessment, both_bins, curves, summary
from models.sentiment.config import DIMENSIONS, Config
from models.sentiment.encoding import Encoder
from models.sentiment.model import SentimentNetwork
from tinygrad_np.extras import import_optional
from tinygrad_np.files import atomic_write, locked, sweep_parts
from tinygrad_np.nn import Embedding
from tinygrad_np.weights import load_weights, save_weights

if TYPE_CHECKING:
    import pandas as pd

CLASSES = ("negative", "positive")  # where a run names none
Write = Callable[[Path], None]


class Run:
    """All that is left of one training, and what was asked of it later.

    `start` takes the settings and what makes examples of texts, `save_epoch` writes after each epoch its metrics
    and, if they are the best so far, the weights, and `finish` the closing metrics and the learning curves. Who
    writes does so while it is `locked`. What an older run left is removed when the first epoch of this one is
    there.
    """

    def __init__(self, directory: str | Path):
        self.directory = Path(directory)
        self.config = self.directory / "config.json"
        self.vocabulary = self.directory / "vocabulary.txt"
        self.ngrams = self.directory / "ngrams.safetensors"  # where the features ask for them
        self.weights = self.directory / "weights.safetensors"  # of the best epoch
        self.epochs = self.directory / "metrics.csv"  # a row an epoch
        self.metrics = self.directory / "metrics.json"  # of the best epoch
        self.curves = self.directory / "loss.png"
        self.assessment = self.directory / "assessment.json"  # of the test reviews: accuracy, calibration
        self.calibration = self.directory / "calibration.csv"  # a row a bin, as trained and calibrated
        self.calibration_curves = self.directory / "calibration.png"
        self.lengths = self.directory / "lengths.csv"  # accuracy by length
        self.length_curves = self.directory / "lengths.png"
        self.mistakes = self.directory / "mistakes.csv"  # the most confident ones
        self.mistake_bars = self.directory / "mistakes.png"
        self.speeches = self.directory / "speeches.csv"
        self.paragraphs = self.directory / "paragraphs.csv"  # of the speeches
        self.domain = self.directory / "domain.csv"  # how far speeches are from reviews
        self.speech_bars = self.directory / "speeches.png"
        self.manifest = (
            self.directory / "run.json"
        )  # which files belong together, and how far the training came
        self.lock = self.directory / "run.lock"
        self.checkpoints = self.directory / "checkpoints"  # of a training that has not finished
        self.whole_epochs = 0  # that this object has written
        self._id = ""  # of the run that this object has started or loaded
        self._settings: dict[str, Any] = {}  # that the file of the weights tells
        self._first: dict[Path, Write] = {}  # what the first epoch brings along

    @property
    def _files(self) -> list[Path]:
        """All that a run may hold."""
        return [
            *(self.config, self.vocabulary, self.ngrams, self.weights, self.epochs, self.metrics),
            *(self.curves, self.assessment, self.calibration, self.calibration_curves, self.lengths),
            *(self.length_curves, self.mistakes, self.mistake_bars, self.speeches, self.paragraphs),
            *(self.domain, self.speech_bars),
        ]

    # --- writing ---

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Make the directory, and keep all other trainings out of it; what a killed one left is put in order.

        Raises
        ------
        OSError
            It cannot be made, or another process trains into it.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        with locked(self.lock) as before:
            if before:
                print(
                    f"note: {before} was killed while it wrote {self.directory}; taken over", file=sys.stderr
                )
            sweep_parts(self.directory)
            self._settle()
            try:
                yield
            finally:
                if not any(self.checkpoints.glob("*.safetensors")):  # of a training that soon failed
                    shutil.rmtree(self.checkpoints, ignore_errors=True)

    def start(self, config: Config, encoder: Encoder) -> None:
        """Take settings, vocabulary and n-grams of a new training, to be written with its first epoch."""
        self._settings = config.what_decides()
        self._first = {
            self.config: lambda path: _write_json(path, asdict(config)),
            self.vocabulary: encoder.vocabulary.save,
        }
        if encoder.ngrams is not None:
            self._first[self.ngrams] = encoder.ngrams.save

    def save_epoch(self, history: Sequence[dict[str, float]], weights: dict[str, np.ndarray]) -> None:
        """Write the metrics of all epochs so far, and the weights of the best of them.

        Parameters
        ----------
        history : sequence of dict
            A row an epoch: `epoch`, `train_loss`, `train_accuracy`, and the same for validation and test.
        weights : dict of str to ndarray
            The `state_dict` of the epoch that is the best so far. It is written when that is the last one, and
            when this object writes for the first time: a training that goes on replaces what it wrote before.
        """
        table = import_optional("pandas").DataFrame(history)
        table = table.drop(columns="seconds", errors="ignore")  # the same training gives the same file
        writes: dict[Path, Write] = {self.epochs: lambda path: _write_table(path, table)}
        if best_epoch(history) is history[-1] or not self._id:
            writes[self.weights] = lambda path: save_weights(path, weights, self._settings)
        self._commit(writes, epochs=len(history), best_epoch=best_epoch(history)["epoch"])
        self.whole_epochs = len(history)

    def finish(self, history: Sequence[dict[str, float]], metrics: dict[str, Any], title: str) -> None:
        """Write the closing metrics, draw the learning curves under a title, and remove the checkpoints."""
        table = import_optional("pandas").DataFrame(history)
        self._commit(
            {
                self.metrics: lambda path: _write_json(path, metrics),
                self.curves: lambda path: report.learning_curves(table, title, path),
            }
        )
        if self.checkpoints.is_dir():
            shutil.rmtree(self.checkpoints)  # there is nothing left to go on with

    def save_assessment(self, found: Assessment, title: str) -> None:
        """Write what there is to say of the finished model, as tables and as pictures under a title."""
        self._commit(
            {
                self.assessment: lambda path: _write_json(path, summary(found)),
                self.calibration: lambda path: _write_table(path, both_bins(found)),
                self.calibration_curves: lambda path: report.reliability_diagram(curves(found), title, path),
                self.lengths: lambda path: _write_table(path, found.by_length),
                self.length_curves: lambda path: report.accuracy_by_length(found.by_length, title, path),
                self.mistakes: lambda path: report.csv_for_spreadsheets(found.mistakes, path),
                self.mistake_bars: lambda path: report.mistakes(found.mistakes, title, path),
            }
        )

    def save_speeches(
        self, table: pd.DataFrame, paragraphs: pd.DataFrame, domain: pd.DataFrame, warning: str
    ) -> None:
        """Write what the model says of speeches, as tables and as a picture with a warning."""
        self._commit(
            {
                self.speeches: lambda path: report.csv_for_spreadsheets(table, path),
                self.paragraphs: lambda path: report.csv_for_spreadsheets(paragraphs, path),
                self.domain: lambda path: _write_table(path, domain),
                self.speech_bars: lambda path: report.speech_bars(table, paragraphs, warning, path),
            }
        )

    def _commit(self, writes: dict[Path, Write], **facts: Any) -> None:
        """Write files, all of them or none; the first ones of a run replace all that an older one left."""
        if self._id:
            content = self._manifest()
            if content is None or content["run"] != self._id:
                raise OSError(
                    f"{self.directory} does not hold this run any more: something else wrote into it"
                )
        else:
            writes = self._first | writes
            older = [path for path in self._files if path not in writes and path.is_file()]
            replaces = {path.name: _sha256(path) for path in older}
            content = {"run": uuid.uuid4().hex, "files": {}, "replaces": replaces}
        try:
            for path, write in writes.items():
                write(_next(path))
            content |= facts
            content["files"] |= {path.name: _sha256(_next(path)) for path in writes}
            _write_json(self.manifest, content | {"sha256": _sha256_of(content)})
            self._id = content["run"]
            for path in writes:
                os.replace(_next(path), path)
        finally:
            self._settle()

    def _settle(self) -> None:
        """Bring the files to their names, and remove those that belong to no run or to one that is replaced."""
        try:
            content = self._manifest()
        except ValueError:
            return  # damaged: a training that begins will replace it
        hashes = content["files"] if content else {}
        for path in self._files:
            new = _next(path)
            if new.exists():
                if hashes.get(path.name) == _sha256(new):
                    os.replace(new, path)
                else:
                    new.unlink()
            if content and self._is_replaced(path, content):
                path.unlink()

    def _is_replaced(self, path: Path, content: dict[str, Any]) -> bool:
        """Whether a file is one of an older run that was there before this one."""
        replaced = content["replaces"].get(path.name) if path.name not in content["files"] else None
        return replaced is not None and path.is_file() and _sha256(path) == replaced

    # --- reading ---

    def load(self) -> tuple[Config, Encoder, SentimentNetwork]:
        """The settings, what makes examples of texts, and the model.

        Raises
        ------
        FileNotFoundError
            A file of the run is not there.
        ValueError
            A file is damaged or of another run, or the weights are others than the settings say.
        """
        while True:
            content = self._manifest()
            if any(_next(p).exists() or (content and self._is_replaced(p, content)) for p in self._files):
                # the training was killed; or it runs, and does it itself
                with suppress(OSError), self.locked():
                    pass
            try:
                loaded = self._load(content)
            except (OSError, ValueError):
                if self._manifest() == content:
                    raise
            else:
                if self._manifest() == content:
                    return loaded
            # a training has written an epoch meanwhile

    def _load(self, content: dict[str, Any] | None) -> tuple[Config, Encoder, SentimentNetwork]:
        hashes: dict[str, str] = content["files"] if content else {}
        places: dict[Path, Path] = {}

        def find(path: Path) -> None:
            places[path] = self._place(path, hashes)
            if not places[path].is_file():
                raise FileNotFoundError(
                    f"{self.directory} holds no {path.name}: train into it first, with --out {self.directory}"
                )

        for path in (self.config, self.vocabulary, self.weights):
            find(path)
        try:
            settings = json.loads(places[self.config].read_text(encoding="utf-8"))
            given = {field.name: settings[field.name] for field in fields(Config)}
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ValueError(
                f"{self.config} holds no settings of a run: {type(error).__name__}: {error}"
            ) from error
        try:
            config = Config(**given)
        except ValueError as error:
            raise ValueError(f"{self.config}: {error}") from error
        if config.features != "none":
            find(self.ngrams)
        if (
            self.metrics.name in hashes
        ):  # at the end of a training: the temperature, and the names of the labels
            find(self.metrics)
        encoder = Encoder.load(config, places[self.vocabulary], places.get(self.ngrams))
        state = load_weights(places[self.weights])
        if 4 * config.network_size() > places[self.weights].stat().st_size:
            raise ValueError(
                f"{self.config}: hidden is {config.hidden}, and {self.weights} is of fewer units or layers"
            )
        model = self._model(config, encoder, state)
        if content is None:
            raise FileNotFoundError(
                f"{self.directory} holds no {self.manifest.name}, so nothing says that its files belong together: "
                "it is of an older version, or incomplete; train again"
            )
        for path, place in places.items():
            if hashes.get(path.name) != _sha256(place):
                raise ValueError(
                    f"{path} is not the file that this training wrote, as its SHA-256 is not that of "
                    f"{self.manifest.name}: it is damaged, edited, or of another run; restore it or train again"
                )
        self._id = content["run"]
        return config, encoder, model

    def _model(self, config: Config, encoder: Encoder, state: dict[str, np.ndarray]) -> SentimentNetwork:
        """The network with these weights."""
        known = state.get("reader.embedding.weight", np.zeros((0, DIMENSIONS), np.float32))
        vectors = np.zeros((len(encoder.vocabulary), known.shape[-1] if known.ndim else 0), np.float32)
        embedding = Embedding.from_pretrained(vectors, freeze=config.embeddings == "glove", padding_idx=0)
        outputs = np.size(state.get("head.bias", state.get("wide.bias", 0)))  # one for two classes
        model = SentimentNetwork(config, embedding, np.random.default_rng(0), encoder.ngrams, max(2, outputs))
        dtypes = {name: tensor.dtype for name, tensor in model.named_tensors()}
        try:
            model.load_state_dict(state)
            for name, array in state.items():
                if array.dtype != dtypes[name]:
                    raise ValueError(f"{name} holds {array.dtype} and should hold {dtypes[name]}")
        except ValueError as error:
            raise ValueError(f"{self.weights}: {error}") from error
        return model.eval()

    @property
    def temperature(self) -> float:
        """By what the logits of the run are divided, chosen on its validation reviews; 1 where it chose none."""
        return float(self._closing_metrics().get("temperature", 1.0))

    @property
    def classes(self) -> list[Any]:
        """The labels, in the order of the outputs."""
        told = self._closing_metrics().get("classes")
        content = self._manifest()
        if (
            told is None and content is not None
        ):  # a training that has not finished names them in its settings
            place = self._place(self.config, content["files"])
            told = json.loads(place.read_text(encoding="utf-8")).get("labels")
        return list(told or CLASSES)

    def _closing_metrics(self) -> dict[str, Any]:
        """What a finished training wrote of itself, as `load` has checked it; nothing before its end."""
        content = self._manifest()
        if content is None or self.metrics.name not in content["files"]:
            return {}
        place = self._place(self.metrics, content["files"])
        told: dict[str, Any] = json.loads(place.read_text(encoding="utf-8"))
        return told

    def notes(self) -> list[str]:
        """What is to be said of a run that was loaded: that it did not finish, or that a file is not its own."""
        content = self._manifest()
        if content is None:
            return []
        hashes, found = content["files"], []
        wanted = json.loads(self._place(self.config, hashes).read_text(encoding="utf-8"))["epochs"]
        if self.metrics.name not in hashes or content["epochs"] < wanted:
            found.append(
                f"the training in {self.directory} did not finish, or has not yet: "
                f"it has {content['epochs']} of {wanted} epochs, and the weights of epoch {content['best_epoch']}"
            )
        for path in self._files:
            place = self._place(path, hashes)
            if (_sha256(place) if place.is_file() else None) != hashes.get(path.name):
                found.append(f"{path} is {'not as this run wrote it' if place.is_file() else 'missing'}")
        return found

    def _place(self, path: Path, hashes: dict[str, str]) -> Path:
        """Where a file of the run is: under its name, or under that of the moment before it is renamed."""
        with suppress(OSError):
            if path.name in hashes and _sha256(_next(path)) == hashes[path.name]:
                return _next(path)
        return path

    def _manifest(self) -> dict[str, Any] | None:
        """What `run.json` says; None where there is none.

        Raises
        ------
        ValueError
            It is damaged.
        """
        try:
            content: dict[str, Any] = json.loads(self.manifest.read_text(encoding="utf-8"))
            if content.pop("sha256") != _sha256_of(content):
                raise ValueError("its SHA-256 is another")
            if not {"run", "files", "replaces", "epochs", "best_epoch"} <= content.keys():
                raise ValueError("it does not say all")
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(
                f"{self.manifest} is damaged ({type(error).__name__}: {error}), "
                "so nothing says that the files of the run belong together: "
                "restore it or train again"
            ) from error
        return content


def best_epoch(history: Sequence[dict[str, float]]) -> dict[str, float]:
    """The row of the smallest validation loss, the first of several."""
    return min(history, key=lambda row: row["validation_loss"])


def _write_json(path: Path, content: dict[str, Any]) -> None:
    with atomic_write(path) as part:
        part.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _write_table(path: Path, table: pd.DataFrame) -> None:
    with atomic_write(path) as part:
        table.to_csv(part, index=False)


def _next(path: Path) -> Path:
    """Where a file is written before it belongs to the run."""
    return path.with_name(f"{path.name}.next")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _sha256_of(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
