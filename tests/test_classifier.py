"""`SentimentClassifier` is an estimator as scikit-learn means it, and answers as the run that it comes from."""

from __future__ import annotations

import io
import re
import shutil
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import estimator_checks_generator
from sklearn.utils.validation import validate_data

from models.sentiment import classifier as module
from models.sentiment.classifier import OF_FILES, SentimentClassifier, split
from models.sentiment.cli import main
from models.sentiment.config import Config

# n-grams alone: a training takes milliseconds
QUICK: dict[str, Any] = {"features": "wide", "epochs": 3, "lr": 0.3, "batch_size": 32}
COLOURS = ["red", "green", "blue"]


def corpus(size: int, n_classes: int = 2, seed: int = 0) -> tuple[list[str], np.ndarray]:
    """Texts in which one word tells the label, among others that do not."""
    rng = np.random.default_rng(seed)
    labels = np.array(COLOURS)[rng.integers(n_classes, size=size)]
    noise = rng.integers(30, size=(size, 6))
    return [f"{' '.join(f'w{i}' for i in row)} {label}ish" for row, label in zip(noise, labels)], labels


# --- scikit-learn's own checks ------------------------------------------------------------------------


class OfNumbers(SentimentClassifier):
    """scikit-learn's checks give numbers: each becomes a word, as wide as a third, in a text of its row."""

    def texts(self, X: Any, reset: bool) -> list[str]:
        X = validate_data(self, X, reset=reset)
        return [
            " ".join(f"c{j}x{3 * value:.0f}".replace("-", "m") for j, value in enumerate(row)) for row in X
        ]

    def fit(self, X: Any, y: Any) -> Any:
        if y is None:
            raise ValueError("requires y to be passed, but the target y is None")
        return super().fit(self.texts(X, reset=True), y)

    def decision_function(self, X: Any) -> Any:
        module.checks.check_is_fitted(self, "temperature_")
        return super().decision_function(self.texts(X, reset=False))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.one_d_array = True, False
        return tags


# What is checked there is how an array of numbers is looked at, which is `OfNumbers.texts` and not the classifier.
NOT_OF_TEXTS = {
    "check_array_api_input": "texts are no arrays of another library",
    "check_complex_data": "no text is complex",
    "check_dtype_object": "objects that become numbers",
    "check_estimator_sparse_array": "texts are not sparse",
    "check_estimator_sparse_matrix": "texts are not sparse",
    "check_estimator_sparse_tag": "texts are not sparse",
    "check_estimators_dtypes": "texts have no dtype of numbers",
    "check_estimators_nan_inf": "no text is infinite; NaN is refused, see below",
    "check_f_contiguous_array_estimator": "a list has one order in memory",
    "check_fit1d": "texts have one dimension",
    "check_fit2d_predict1d": "texts have one dimension",
    "check_n_features_in": "texts have no columns",
    "check_n_features_in_after_fitting": "texts have no columns",
    "check_positive_only_tag_during_fit": "no text is negative",
    "check_readonly_memmap_input": "strings cannot be written to",
}


def own_checks() -> list[Any]:
    return [check for _, check in estimator_checks_generator(OfNumbers(**QUICK))]


def name_of(check: Any) -> str:
    return str(getattr(check, "func", check).__name__)


@pytest.mark.parametrize(
    "check", [c for c in own_checks() if name_of(c) not in NOT_OF_TEXTS], ids=lambda c: name_of(c)
)
def test_scikit_learns_own_checks(check: Any) -> None:
    check(OfNumbers(**QUICK))


def test_the_checks_that_are_left_out_are_there() -> None:
    names = {name_of(check) for check in own_checks()}
    assert len(names) > 45
    assert set(NOT_OF_TEXTS) <= names
    page = (Path(__file__).parents[1] / "docs/scikit-learn.md").read_text(encoding="utf-8")
    assert set(re.findall("`(check_[a-z0-9_]+)`", page)) == set(NOT_OF_TEXTS)


# --- texts in, labels out -----------------------------------------------------------------------------


@pytest.fixture(scope="module", params=[2, 3])
def trained(request: pytest.FixtureRequest) -> tuple[SentimentClassifier, list[str], np.ndarray]:
    """Trained on 120 texts of two classes and of three, and other texts with their labels."""
    texts, labels = corpus(120, request.param)
    return SentimentClassifier(**QUICK, random_state=0).fit(texts, labels), *corpus(40, request.param, seed=1)


def test_labels_and_probabilities(trained: Any) -> None:
    model, texts, labels = trained
    p, scores = model.predict_proba(texts), model.decision_function(texts)
    n = len(model.classes_)
    assert model.classes_.tolist() == sorted(COLOURS[:n])
    assert p.shape == (40, n)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    assert scores.shape == ((40,) if n == 2 else (40, 3))
    np.testing.assert_array_equal(model.predict(texts), model.classes_[p.argmax(axis=1)])
    assert model.score(texts, labels) == (model.predict(texts) == labels).mean() > 0.9
    odds = np.log(p[:, 1] / p[:, 0])
    np.testing.assert_allclose(odds, scores if n == 2 else scores[:, 1] - scores[:, 0], rtol=1e-9)


def test_one_text_many_texts_and_columns(trained: Any) -> None:
    model, texts, _ = trained
    many = model.predict_proba(texts)
    np.testing.assert_allclose(model.predict_proba(texts[3]), many[3:4], rtol=1e-6)
    for same in (tuple(texts), np.array(texts), np.array(texts, object), pd.Series(texts), iter(texts)):
        np.testing.assert_array_equal(model.predict_proba(same), many)
    assert model.predict_proba(["", "never seen"]).shape == many[:2].shape


def test_the_temperature_is_what_logits_are_divided_by(trained: Any) -> None:
    model, texts, _ = trained
    warm = clone(model).set_params(**model.get_params())
    warm.__dict__.update(model.__dict__, temperature_=4.0)
    np.testing.assert_allclose(warm.decision_function(texts) * 4, model.decision_function(texts))
    assert model.temperature_ == 1  # twelve texts say too little


def test_a_temperature_is_chosen_where_there_are_texts_enough() -> None:
    texts, labels = corpus(1000)
    labels[::4] = np.random.default_rng(0).permutation(labels[::4])  # an eighth of them is wrong
    model = SentimentClassifier(**{**QUICK, "epochs": 1}, random_state=0).fit(texts, labels)
    assert model.temperature_ != 1
    rows = split(np.searchsorted(model.classes_, labels), 0)[1]
    right = model.classes_.tolist().index
    places = [right(label) for label in labels[rows]]

    def loss(temperature: float) -> float:
        model.temperature_ = temperature
        return -float(
            np.log(model.predict_proba([texts[i] for i in rows])[np.arange(len(rows)), places]).mean()
        )

    best = model.temperature_
    assert loss(best) < min(loss(best * 1.1), loss(best / 1.1))


class Counted(str):
    """A text that is counted as long as it is in memory."""

    alive = most = 0

    def __init__(self, text: str) -> None:
        Counted.alive += 1
        Counted.most = max(Counted.most, Counted.alive)

    def __del__(self) -> None:
        Counted.alive -= 1


def test_texts_of_an_iterator_are_not_kept(trained: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model, texts, _ = trained
    monkeypatch.setattr(module, "CHUNK", 8)
    Counted.most = 0
    found = model.predict_proba(Counted(text) for text in texts * 3)
    np.testing.assert_allclose(found, np.tile(model.predict_proba(texts), (3, 1)), rtol=1e-6)
    assert 8 <= Counted.most <= 17


@pytest.mark.parametrize(
    ("X", "message"),
    [
        ([], "no texts"),
        (["a", None], "text 1 is None, which is no string"),
        (["a", float("nan")], "text 1 is nan, which is no string"),
        ([b"a"], "text 0 is b'a'"),
        (pd.DataFrame({"text": ["a"]}), r"texts are one column.*\(1, 1\)"),
    ],
)
def test_what_is_no_text_is_refused(trained: Any, X: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        trained[0].predict(X)


@pytest.mark.parametrize(
    ("settings", "X", "y", "message"),
    [
        ({}, "a text", ["red"], "fit takes texts, and X is one text"),
        ({}, ["a", "b", "c"], [0, 1], "inconsistent numbers of samples"),
        ({}, ["a", "b"], ["red", "red"], "y has one class: 'red'"),
        ({}, ["a", "b"], ["red", "blue"], "2 texts of as many classes leave none to validate on"),
        ({}, ["a", "b", "c"], [0.5, 1.5, 2.5], "Unknown label type"),
        ({"hidden": 0}, *corpus(20), "hidden is 0; it has to be a whole number from 1"),
        ({"pooling": "best"}, *corpus(20), "pooling is 'best'"),
    ],
)
def test_what_cannot_be_trained_on_is_refused(settings: Any, X: Any, y: Any, message: str) -> None:
    model = SentimentClassifier(**settings)
    with pytest.raises(ValueError, match=message):
        model.fit(X, y)
    with pytest.raises(NotFittedError):
        model.predict(["a"])


def test_every_setting_is_a_parameter() -> None:
    names = {field.name for field in fields(Config)}
    assert SentimentClassifier().get_params().keys() == (names - {*OF_FILES, "seed"}) | {
        "random_state",
        "verbose",
    }
    assert Config(**{k: v for k, v in SentimentClassifier().get_params().items() if k in names}) == Config()
    with pytest.raises(TypeError, match="hiden"):
        SentimentClassifier(hiden=3)
    with pytest.raises(ValueError, match="Invalid parameter 'hiden'"):
        SentimentClassifier().set_params(hiden=3)
    assert repr(SentimentClassifier(hidden=3)) == "SentimentClassifier(hidden=3)"
    model = SentimentClassifier(**QUICK, random_state=3).fit(*corpus(20))
    assert (model.config_.seed, model.config_.lr, model.config_.features) == (3, 0.3, "wide")


def test_validation_takes_a_tenth_of_each_class_and_no_class_whole() -> None:
    labels = np.repeat([0, 1, 2, 3], [100, 50, 1, 3])
    rows, held_out = split(labels, 0)
    assert sorted([*rows, *held_out]) == list(range(154))
    assert np.bincount(labels[held_out], minlength=4)[:3].tolist() == [10, 5, 0]
    assert set(labels[rows]) == {0, 1, 2, 3}
    assert split(labels, 1)[1].tolist() != held_out.tolist()


# --- scikit-learn's own tools -------------------------------------------------------------------------


def test_in_a_pipeline_a_grid_and_a_cross_validation() -> None:
    texts, labels = corpus(90)
    shout = FunctionTransformer(lambda texts: [text.upper() for text in texts])
    pipeline = Pipeline([("shout", shout), ("read", SentimentClassifier(**QUICK, random_state=0))])
    assert cross_val_score(pipeline, texts, labels, cv=3).mean() > 0.9
    grid = {"read__lr": [1e-9, 0.3], "read__epochs": np.array([3])}
    search = GridSearchCV(pipeline, grid, cv=2, scoring="neg_log_loss").fit(texts, labels)
    assert search.best_params_ == {"read__lr": 0.3, "read__epochs": 3}
    assert search.predict(["it is greenish"]).tolist() == ["green"]


def test_a_reader_of_words_learns_too() -> None:
    texts, labels = corpus(150)
    settings = {"hidden": 8, "pooling": "max", "epochs": 4, "lr": 0.05, "random_state": 0}
    one, two = (SentimentClassifier(**settings).fit(texts, labels) for _ in range(2))
    assert one.score(*corpus(40, seed=1)) > 0.8
    np.testing.assert_array_equal(one.predict_proba(texts), two.predict_proba(texts))


# --- runs ---------------------------------------------------------------------------------------------


def test_what_was_saved_answers_the_same_wherever_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts, labels = corpus(60, 3)
    model = joblib_copy(SentimentClassifier(**QUICK, random_state=0).fit(texts, labels))
    model.temperature_ = 1.7
    model.save(tmp_path / "run")
    shutil.move(tmp_path / "run", tmp_path / "elsewhere")
    loaded = SentimentClassifier.load(tmp_path / "elsewhere")
    np.testing.assert_array_equal(loaded.predict_proba(texts), model.predict_proba(texts))
    assert loaded.predict(texts).tolist() == model.predict(texts).tolist()
    assert loaded.get_params() == model.get_params()
    assert len(loaded.history_) == len(model.history_)
    assert main(["predict", "--run", str(tmp_path / "elsewhere"), "it is blueish"]) == 0
    assert "blue" in capsys.readouterr().out.splitlines()[0].split()
    assert (
        main(["evaluate", "--run", str(tmp_path / "elsewhere")]) != 0
    )  # not on the reviews of another corpus
    assert "there is no SentimentClassifier.fit" in capsys.readouterr().err
    loaded.save(tmp_path / "again")
    again = SentimentClassifier.load(str(tmp_path / "again"))
    np.testing.assert_array_equal(again.predict_proba(texts), model.predict_proba(texts))


def joblib_copy(model: Any) -> Any:
    """What joblib writes and reads."""
    file = io.BytesIO()
    joblib.dump(model, file)
    file.seek(0)
    return joblib.load(file)


@pytest.fixture(scope="module")
def demo_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A small training on the command line."""
    out = tmp_path_factory.mktemp("classifier") / "run"
    command = [
        "train",
        "--data",
        "demo",
        "--train-size",
        "60",
        "--test-size",
        "20",
        "--epochs",
        "2",
        "--hidden",
        "6",
    ]
    assert main([*command, "--out", str(out)]) == 0
    return out


def test_a_run_of_the_command_line_answers(demo_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = ["a good film", "not bad at all"]
    model = SentimentClassifier.load(demo_run)
    assert model.classes_.tolist() == ["negative", "positive"]
    capsys.readouterr()
    assert main(["predict", "--run", str(demo_run), *texts]) == 0
    said = capsys.readouterr().out.splitlines()
    for line, label, p in zip(said, model.predict(texts), model.predict_proba(texts)[:, 1]):
        assert f"{p:.3f}" in line
        assert label in line
    assert len(said) == 2
    refitted = clone(model).set_params(**QUICK).fit(*corpus(20))
    assert refitted.classes_.tolist() == ["green", "red"]


def test_what_a_run_lacks_is_said(demo_run: Path, tmp_path: Path) -> None:
    shutil.copytree(demo_run, tmp_path / "run")
    (tmp_path / "run" / "loss.png").unlink()
    with pytest.warns(UserWarning, match=r"loss\.png is missing"):
        SentimentClassifier.load(tmp_path / "run")
    with pytest.raises(FileNotFoundError, match=r"holds no config\.json"):
        SentimentClassifier.load(tmp_path)
