"""The sentiment model as an estimator of scikit-learn, which takes texts as they are.

``SentimentClassifier().fit(texts, labels).predict(others)``. And a run that was trained on the command line answers
by ``SentimentClassifier.load(run).predict_proba(texts)``, without the data that it was trained on.
"""

from __future__ import annotations

import inspect
import os
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import fields
from itertools import islice
from typing import Any, Self

import numpy as np

from datasets.text import tokenize_texts
from models.sentiment.calibration import class_probabilities, fit_temperature
from models.sentiment.config import Config
from models.sentiment.evaluate import logits
from models.sentiment.model import most_likely
from models.sentiment.run import Run, best_epoch
from models.sentiment.sources import Reviews
from models.sentiment.train import train_model
from tinygrad_np.extras import import_optional
from tinygrad_np.parallel import Workers
from tinygrad_np.sklearn import as_generator

base = import_optional("sklearn.base")
BaseEstimator: Any = base.BaseEstimator
ClassifierMixin: Any = base.ClassifierMixin
multiclass = import_optional("sklearn.utils.multiclass")
checks = import_optional("sklearn.utils.validation")

# What says where texts come from, as they are given here. The seed is called `random_state` in scikit-learn.
OF_FILES = (
    *("data", "text_column", "label_column", "labels", "test_data", "test_share"),
    *("train_size", "test_size"),
)
SETTINGS = {field.name: field.default for field in fields(Config) if field.name not in (*OF_FILES, "seed")}
PLACE = (
    "SentimentClassifier.fit"  # where the texts of a saved run were: a command finds none there to test with
)
ENOUGH = 100  # texts to choose a temperature on; of fewer, chance would choose it
CHUNK = 1024  # texts that are tokenized and answered at a time


class SentimentClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Texts to labels: two or more, of any kind.

    A tenth of the texts is kept apart. Of all epochs, the one with the smallest loss on it is kept; and where it is
    100 texts or more, the temperature that makes the probabilities true is chosen on it.

    Parameters
    ----------
    **settings
        Those of `models.sentiment.config.Config` by name, with its defaults, but for those that say where texts
        come from. For texts of some hundred words the same file has ``OF_REAL_TEXTS``, and ``OF_NGRAMS`` beside it
        where the features are of n-grams.
    random_state : int, numpy.random.RandomState or numpy.random.Generator, optional
        The seed; None draws one.
    verbose : bool
        Show the progress.

    Attributes
    ----------
    classes_ : ndarray
        The labels, sorted.
    config_ : Config
        All settings.
    encoder_ : Encoder
        What makes numbers of words.
    model_ : SentimentNetwork
        The network, with the weights of its best epoch.
    temperature_ : float
        By what the logits are divided, 1 for nothing.
    history_ : list of dict
        A row an epoch: losses and accuracies.
    """

    def __init__(self, **settings: Any):
        bound = inspect.signature(type(self)).bind(**settings)
        bound.apply_defaults()
        self.__dict__.update(bound.arguments)

    # scikit-learn, and `help`, find the names of the settings here
    __init__.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)]
        + [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default)
            for name, default in {**SETTINGS, "random_state": None, "verbose": False}.items()
        ]
    )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False
        return tags

    # --- training ---

    def fit(self, X: Iterable[str], y: Any) -> Self:
        """Train from the beginning.

        Parameters
        ----------
        X : iterable of str
            Texts.
        y : array_like
            The label of each.

        Raises
        ------
        ValueError
            Something among the texts is no string; texts and labels are of other lengths; there is one class; or a
            setting is beyond its range.
        """
        if isinstance(X, str):
            raise ValueError("fit takes texts, and X is one text")
        texts = list(checked_texts(X))
        y = checks.column_or_1d(y, warn=True)
        checks.assert_all_finite(y, input_name="y")
        checks.check_consistent_length(texts, y)
        multiclass.check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            only = self.classes_.tolist()[0]
            raise ValueError(f"SentimentClassifier tells classes apart, and y has one class: {only!r}")
        seed = self.random_state
        if not isinstance(seed, int | np.integer):
            seed = as_generator(seed).integers(2**63)
        settings = {name: _plain(getattr(self, name)) for name in SETTINGS}
        names = [str(name) for name in self.classes_.tolist()]
        config = Config(**settings, data=PLACE, labels=names, seed=int(seed), train_size=len(texts))
        reviews = Reviews(tokenize_texts(texts), labels, tuple(names))
        train, validation = (reviews.take(rows) for rows in split(labels, config.seed))
        trained = train_model(config, train, validation, {}, Workers(), progress=bool(self.verbose))
        self.config_, self.encoder_, self.model_ = trained.config, trained.encoder, trained.model
        self.history_ = trained.history
        self.temperature_ = 1.0
        if len(validation.labels) >= ENOUGH:
            held_out = logits(self.model_, trained.examples["validation"], config.batch_size)
            self.temperature_ = fit_temperature(held_out, validation.labels)
        return self

    # --- prediction ---

    def decision_function(self, X: str | Iterable[str]) -> np.ndarray:
        """The logits over the temperature: (texts, classes), or of two classes (texts,), above 0 for the second.

        Parameters
        ----------
        X : str or iterable of str
            A text, or texts, which need not all be in memory.
        """
        checks.check_is_fitted(self, "temperature_")
        texts = checked_texts(X)
        found = []
        while chunk := list(islice(texts, CHUNK)):
            examples = self.encoder_.encode(tokenize_texts(chunk))
            found.append(logits(self.model_, examples, self.config_.batch_size))
        if not found:
            raise ValueError("there are no texts to answer")
        return np.concatenate(found).astype(np.float64) / self.temperature_

    def predict_proba(self, X: str | Iterable[str]) -> np.ndarray:
        """The probability of each class, (texts, classes). See `decision_function`."""
        p = class_probabilities(self.decision_function(X))
        return np.stack([1 - p, p], axis=1) if p.ndim == 1 else p

    def predict(self, X: str | Iterable[str]) -> np.ndarray:
        """The most probable label of each text. See `decision_function`."""
        places = most_likely(self.decision_function(X))
        labels: np.ndarray = self.classes_[places]
        return labels

    # --- runs ---

    @classmethod
    def load(cls, directory: str | os.PathLike[str]) -> Self:
        """The classifier of a run, which `save` wrote or ``python -m models.sentiment train``, wherever it is now.

        Raises
        ------
        FileNotFoundError, ValueError
            As `Run.load` raises them.
        """
        run = Run(os.fspath(directory))
        config, encoder, model = run.load()
        for note in run.notes():
            warnings.warn(note, stacklevel=2)
        settings = {name: getattr(config, name) for name in SETTINGS}
        classifier = cls(**settings, random_state=config.seed)
        classifier.config_, classifier.encoder_, classifier.model_ = config, encoder, model
        classifier.classes_, classifier.temperature_ = np.array(run.classes), run.temperature
        classifier.history_ = import_optional("pandas").read_csv(run.epochs).to_dict("records")
        return classifier

    def save(self, directory: str | os.PathLike[str]) -> None:
        """Write a run, which `load` and the commands read. A run that is there already is replaced.

        Raises
        ------
        OSError
            It cannot be written, or a training writes there.
        """
        checks.check_is_fitted(self, "temperature_")
        best, run = best_epoch(self.history_), Run(os.fspath(directory))
        metrics = {
            "validation_accuracy": best["validation_accuracy"],
            "temperature": self.temperature_,
            "classes": self.classes_.tolist(),
            "best_epoch": int(best["epoch"]),
            "epochs": len(self.history_),
        }
        with run.locked():
            run.start(self.config_, self.encoder_)
            run.save_epoch(self.history_, self.model_.state_dict())
            run.finish(self.history_, metrics, f"{self.config_.train_size:,} texts")


def checked_texts(X: str | Iterable[str]) -> Iterator[str]:
    """One text, or several, one after another.

    Raises
    ------
    ValueError
        Something among them is no string, or it is a table.
    """
    shape = getattr(X, "shape", (1,))
    if len(shape) != 1:
        raise ValueError(f"texts are one column, such as frame['text'], and not of shape {shape}")
    for i, text in enumerate([X] if isinstance(X, str) else X):
        if not isinstance(text, str):
            raise ValueError(f"text {i} is {text!r}, which is no string")
        yield text


def split(labels: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The rows to train on, and a tenth for validation, with the classes in equal shares; each is trained on.

    Raises
    ------
    ValueError
        No class has two texts.
    """
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    spare = by_class[1:][np.diff(labels[by_class]) == 0]  # all but one of each class
    if not len(spare):
        raise ValueError(
            f"{len(labels)} texts of as many classes leave none to validate on; give more of them"
        )
    held_out = spare[::10]
    return np.setdiff1d(shuffled, held_out), held_out


def _plain(value: Any) -> Any:
    """A setting as `Config` knows it: a grid may be an array, and its numbers NumPy's."""
    return value.item() if isinstance(value, np.generic) else value
