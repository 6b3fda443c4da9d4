"""`Classifier` and `Regressor` are estimators as scikit-learn means them, and train what they are given."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from tests.test_first_hour import run_page
from tinygrad_np import Tensor, nn, optim
from tinygrad_np import functional as F
from tinygrad_np.sklearn import MLP, Classifier, Regressor

ROOT = Path(__file__).parents[1]


@parametrize_with_checks(
    [Classifier(max_epochs=15, lr=0.1, batch_size=512), Regressor(max_epochs=15, lr=0.1, batch_size=512)]
)
def test_scikit_learns_own_checks(estimator: Any, check: Any) -> None:
    check(estimator)


# --- what is trained ----------------------------------------------------------------------------------


@pytest.fixture
def line(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """40 rows of 3 numbers, and a class that a plane tells."""
    X = rng.standard_normal((40, 3))
    return X, np.where(X @ [1.0, -2.0, 0.5] > 0.2, "yes", "no")


def test_a_step_is_that_of_gradient_descent_on_the_mean_of_the_squares() -> None:
    X, y = np.array([[1.0, 2.0], [3.0, -1.0], [0.0, 1.0]]), np.array([1.0, 0.0, 2.0])
    zeros = nn.Linear(2, 1, bias=False, dtype=np.float64)
    zeros.weight.data[:] = 0
    model = Regressor(zeros, optimizer=optim.SGD, lr=0.1, max_epochs=1).fit(X, y)
    np.testing.assert_allclose(model.module_.weight.data, 0.1 * 2 / 3 * (X.T @ y)[np.newaxis])
    assert not zeros.weight.data.any()  # what was given stays as it was
    np.testing.assert_allclose(model.predict(X), X @ model.module_.weight.data[0])
    assert model.history_[0]["train_loss"] == pytest.approx(5 / 3)


def test_a_module_is_a_class_a_function_or_a_layer(line: Any) -> None:
    X, y = line

    def build(in_features: int, out_features: int, depth: int, rng: np.random.Generator) -> nn.Layer:
        inner = [nn.Linear(in_features, in_features, rng=rng) for _ in range(depth)]
        return nn.Sequential(*inner, nn.Linear(in_features, out_features, rng=rng))

    assert Classifier(MLP, module__hidden=5, max_epochs=1).fit(X, y).module_.hidden.weight.shape == (5, 3)
    assert Classifier(nn.Linear, max_epochs=1).fit(X, y).module_.weight.shape == (2, 3)
    assert len(list(Classifier(build, module__depth=2, max_epochs=1).fit(X, y).module_.children())) == 3
    given = nn.Linear(3, 2, rng=0)
    trained = Classifier(given, lr=0.1, random_state=0).fit(X, y)
    again = Classifier(given, lr=0.1, random_state=0).fit(X, y)
    np.testing.assert_array_equal(trained.module_.weight.data, again.module_.weight.data)
    assert trained.score(X, y) > 0.9
    np.testing.assert_array_equal(given.weight.data, nn.Linear(3, 2, rng=0).weight.data)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"criterion": F.cross_entropy},
        {"criterion": nn.CrossEntropyLoss()},
        {"criterion": nn.BCEWithLogitsLoss},
        {"criterion": nn.NLLLoss, "module": lambda in_features, rng: nn.Sequential(
            nn.Linear(in_features, 2, rng=rng), nn.LogSoftmax(-1)
        )},
    ],
)  # fmt: skip
def test_probabilities_follow_from_the_criterion(line: Any, settings: Any) -> None:
    X, y = line
    model = Classifier(**{"module": nn.Linear, **settings}, lr=0.1, random_state=0).fit(X, y)
    p, scores = model.predict_proba(X), model.decision_function(X)
    assert model.classes_.tolist() == ["no", "yes"]
    assert p.shape == (40, 2)
    assert scores.shape == (40,)
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(p[:, 1], 1 / (1 + np.exp(-scores)), rtol=1e-4)
    np.testing.assert_array_equal(model.predict(X), np.where(scores > 0, "yes", "no"))
    assert model.score(X, y) > 0.9
    assert model.history_[-1]["train_accuracy"] > 0.9


def test_other_criteria_tell_classes_and_no_probabilities(line: Any) -> None:
    X, y = line
    model = Classifier(nn.Linear, criterion=nn.MultiMarginLoss, lr=0.1, random_state=0).fit(X, y)
    assert model.score(X, y) > 0.9
    assert not hasattr(model, "predict_proba")
    assert hasattr(Classifier(), "predict_proba")


def test_settings_reach_the_criterion_and_the_optimizer(line: Any) -> None:
    X, y = line
    settings = {"optimizer": optim.SGD, "optimizer__momentum": 0.5, "max_epochs": 3, "random_state": 0}
    smoothed = Classifier(nn.Linear, criterion__label_smoothing=0.3, **settings).fit(X, y)
    assert smoothed.optimizer_.momentum == 0.5
    instance = Classifier(nn.Linear, criterion=nn.CrossEntropyLoss(label_smoothing=0.3), **settings).fit(X, y)
    function = Classifier(nn.Linear, criterion=F.cross_entropy, criterion__label_smoothing=0.3, **settings)
    plain = Classifier(nn.Linear, **settings).fit(X, y)
    weight = smoothed.module_.weight.data
    np.testing.assert_array_equal(weight, instance.module_.weight.data)
    np.testing.assert_array_equal(weight, function.fit(X, y).module_.weight.data)
    assert np.abs(weight - plain.module_.weight.data).max() > 1e-4


def test_several_axes_token_ids_and_columns(rng: np.random.Generator) -> None:
    images = rng.standard_normal((12, 1, 4, 4))
    bright = (images.mean(axis=(1, 2, 3)) > 0).astype(int)

    def net(rng: np.random.Generator) -> nn.Layer:
        return nn.Sequential(nn.Conv2d(1, 2, 4, rng=rng), nn.Flatten(), nn.Linear(2, 2, rng=rng))

    assert Classifier(net, lr=0.1, random_state=0).fit(images, bright).score(images, bright) == 1

    class First(nn.Layer):
        def __init__(self, rng: np.random.Generator):
            self.embedding = nn.Embedding(5, 2, rng=rng)

        def forward(self, ids: np.ndarray) -> Tensor:
            return self.embedding(ids)[:, 0]

    ids = rng.integers(5, size=(30, 3))
    words = Classifier(First, dtype=int, lr=0.3, random_state=0).fit(ids, ids[:, 0] > 2)
    assert words.score(ids, ids[:, 0] > 2) == 1
    with pytest.raises(ValueError, match=r"X holds 0\.5, which is no int64"):
        words.predict(ids + 0.5)

    X = rng.standard_normal((50, 2))
    planes = Regressor(nn.Linear, lr=0.1, max_epochs=200, random_state=0).fit(
        X, X @ [[1.0, 2.0], [0.0, -1.0]]
    )
    np.testing.assert_allclose(planes.module_.weight.data, [[1.0, 0.0], [2.0, -1.0]], atol=1e-2)
    assert planes.predict(X).shape == (50, 2)
    with pytest.raises(ValueError, match=r"X holds 1e\+300, which is no float32"):
        planes.predict(X + 1e300)


def test_a_seed_decides_all(line: Any) -> None:
    X, y = line

    def weights(random_state: Any) -> np.ndarray:
        model = Classifier(max_epochs=2, batch_size=8, validation_fraction=0.2, random_state=random_state)
        return model.fit(X, y).module_.hidden.weight.data

    for same in (lambda: 3, lambda: np.random.RandomState(3), lambda: np.random.default_rng(3)):
        np.testing.assert_array_equal(weights(same()), weights(same()))
    assert (weights(None) != weights(None)).any()


def test_an_epoch_after_another_is_a_training(line: Any) -> None:
    X, y = line
    settings = {"batch_size": 16, "random_state": 0, "max_epochs": 3}
    whole, parts = Classifier(**settings).fit(X, y), Classifier(**settings)
    for _ in range(3):
        parts.partial_fit(X, y, classes=["yes", "no"])
    np.testing.assert_array_equal(parts.module_.output.weight.data, whole.module_.output.weight.data)
    for part, one in zip(parts.history_, whole.history_, strict=True):
        assert {k: v for k, v in part.items() if k != "seconds"} == {
            k: v for k, v in one.items() if k != "seconds"
        }
    with pytest.raises(ValueError, match=r"none of the classes \['no', 'yes'\]: \['perhaps'\]"):
        parts.partial_fit(X, np.where(y == "yes", "perhaps", y))
    with pytest.raises(ValueError, match=r"classes are \['no'\], and at first were \['no', 'yes'\]"):
        parts.partial_fit(X, y, classes=["no"])
    with pytest.raises(ValueError, match="X has 2 features, but Classifier is expecting 3"):
        parts.partial_fit(X[:, :2], y)
    numbers = Regressor().partial_fit(X, X[:, 0])
    with pytest.raises(ValueError, match=r"y has the shape \(40, 2\), and at first it was \(rows,\)"):
        numbers.partial_fit(X, X[:, :2])


def test_early_stopping_keeps_the_best_epoch(rng: np.random.Generator) -> None:
    X, y = rng.standard_normal((60, 3)), rng.integers(3, size=60)  # nothing to learn
    model = Classifier(lr=0.1, validation_fraction=0.5, patience=3, random_state=0).fit(X, y)
    losses = [row["validation_loss"] for row in model.history_]
    assert len(losses) == np.argmin(losses) + 1 + 3 < 50
    best = Classifier(
        lr=0.1, validation_fraction=0.5, max_epochs=int(np.argmin(losses)) + 1, random_state=0
    ).fit(X, y)
    np.testing.assert_array_equal(model.module_.output.weight.data, best.module_.output.weight.data)
    assert {"train_accuracy", "validation_accuracy"} <= model.history_[0].keys()


def test_callbacks_see_each_epoch_and_may_stop(line: Any) -> None:
    seen = []

    def stop(state: Any) -> None:
        seen.append(state.history[-1]["epoch"])
        state.stop = len(seen) == 2

    model = Classifier(callbacks=[stop]).fit(*line)
    assert seen == [1, 2]
    assert len(model.history_) == 2


def test_progress_is_shown_where_it_is_asked_for(line: Any, capsys: pytest.CaptureFixture[str]) -> None:
    Classifier(max_epochs=2).fit(*line)
    assert capsys.readouterr() == ("", "")
    Classifier(max_epochs=2, verbose=True).fit(*line)
    assert "train_loss" in "".join(capsys.readouterr()).replace(" ", "_")


# --- scikit-learn's own tools -------------------------------------------------------------------------


def test_in_a_pipeline_a_grid_and_a_cross_validation() -> None:
    X, y = load_iris(return_X_y=True)
    pipeline = Pipeline(
        [("scale", StandardScaler()), ("net", Classifier(lr=0.05, max_epochs=20, random_state=0))]
    )
    assert cross_val_score(pipeline, X, y, cv=3).mean() > 0.9
    grid = {"net__module__hidden": [1, 16], "net__optimizer": [optim.Adam]}
    search = GridSearchCV(pipeline, grid, cv=2, scoring="neg_log_loss").fit(X, y)
    assert search.best_params_["net__module__hidden"] == 16
    assert search.best_estimator_["net"].module_.hidden.weight.shape == (16, 4)


def test_settings_by_name() -> None:
    model = Classifier(nn.Linear, module__bias=False, lr=0.5)
    assert model.get_params()["module__bias"] is False
    model.set_params(module__bias=True, optimizer__betas=(0.5, 0.5), lr=1)
    twin = clone(model)
    assert twin.get_params() == model.get_params()
    assert (twin.lr, twin.optimizer__betas) == (1, (0.5, 0.5))
    assert "module__bias=True" in repr(twin)
    with pytest.raises(ValueError, match="Invalid parameter 'hidden'"):
        model.set_params(hidden=3)


def test_what_was_dumped_goes_on(line: Any) -> None:
    X, y = line
    model = Classifier(random_state=0, batch_size=16, max_epochs=5).fit(X, y)
    file = io.BytesIO()
    joblib.dump(model, file)
    file.seek(0)
    twin = joblib.load(file)
    np.testing.assert_array_equal(twin.predict_proba(X), model.predict_proba(X))
    np.testing.assert_array_equal(
        twin.partial_fit(X, y).predict_proba(X), model.partial_fit(X, y).predict_proba(X)
    )


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        (Classifier(hidden=3), TypeError, "Classifier has no setting 'hidden'; .* module__hidden"),
        (clone(Classifier(hidden=3)), TypeError, "has no setting 'hidden'"),
        (Classifier(module__hiden=3), TypeError, r"module MLP\(in_features.*'hiden'"),
        (Classifier(optimizer__beta=3), TypeError, r"optimizer Adam\(.*'beta'"),
        (Classifier(criterion__smooth=3), TypeError, r"CrossEntropyLoss\(.*'smooth'"),
        (Classifier(nn.Linear(3, 2), module__p=1), TypeError, "is built already, so it takes no module__p"),
        (Classifier(criterion=nn.CrossEntropyLoss(), criterion__p=1), TypeError, "so it takes no criterion__p"),
        (Classifier(lambda: None), TypeError, "module has to give a Layer, and gave NoneType"),
        (Classifier(nn.Linear(3, 4)), ValueError, r"gives \(40, 4\), and there are 2 classes"),
        (Classifier(nn.Linear(3, 2), criterion=nn.BCEWithLogitsLoss), ValueError, "takes a logit a row"),
        (Regressor(nn.Linear(3, 2)), ValueError, r"gives \(40, 2\), and y is \(rows,\)"),
        (Classifier(patience=3), ValueError, "needs a validation_fraction above 0"),
        (Classifier(validation_fraction=2), ValueError, "validation_fraction is 2; it has to be"),
        (Classifier(max_epochs=0), ValueError, "a whole number from 1 for max_epochs, not 0"),
        (Classifier(batch_size=0), ValueError, "one row at least, not 0"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said(line: Any, model: Any, error: type[Exception], message: str) -> None:
    X, y = line
    with pytest.raises(error, match=message):
        model.fit(X, y == "yes")
    with pytest.raises(NotFittedError):
        model.predict(X)


def test_more_classes_than_yes_and_no(rng: np.random.Generator) -> None:
    with pytest.raises(ValueError, match="tells two classes apart, and there are 3: take CrossEntropyLoss"):
        Classifier(criterion=nn.BCEWithLogitsLoss).fit(rng.standard_normal((6, 2)), [0, 1, 2] * 2)


def test_weights_of_rows_need_a_loss_of_each_row(line: Any) -> None:
    X, y = line
    with pytest.raises(ValueError, match="numbers from 0 that are not all zero"):
        Classifier().fit(X, y, sample_weight=-np.ones(40))
    with pytest.raises(TypeError, match="reduction"):
        Classifier(criterion=lambda z, c: F.cross_entropy(z, c)).fit(X, y, sample_weight=np.ones(40))

    class Mean(nn.Layer):
        def forward(self, outputs: Tensor, classes: np.ndarray) -> Tensor:
            return F.cross_entropy(outputs, classes)

    with pytest.raises(ValueError, match="needs a criterion with reduction='none'"):
        Classifier(criterion=Mean()).fit(X, y, sample_weight=np.ones(40))
    one, two = (
        Classifier(criterion=criterion, max_epochs=2, random_state=0).fit(X, y, sample_weight=np.arange(40))
        for criterion in (nn.CrossEntropyLoss, nn.CrossEntropyLoss())
    )
    np.testing.assert_array_equal(one.module_.output.weight.data, two.module_.output.weight.data)
    weight = (y == "yes").astype(float)
    model = Classifier(validation_fraction=0.25, batch_size=2, max_epochs=5, lr=0.1, random_state=0)
    assert set(model.fit(X, y, sample_weight=weight).predict(X)) == {"yes"}
    assert 0.7 < model.history_[-1]["train_accuracy"] < 1.3  # a mean with weights whose mean is about 1


# --- the page -----------------------------------------------------------------------------------------


def test_the_page_works_at_first_try() -> None:
    page = (ROOT / "docs/scikit-learn.md").read_text(encoding="utf-8")
    failed, tried, said = run_page(page)
    assert not failed, said
    assert tried == page.count(">>> ") > 10
    (first,) = re.findall(r"## Ten lines\n+```python\n(.*?)\n```", page, re.DOTALL)
    assert first.count(">>> ") == 10
