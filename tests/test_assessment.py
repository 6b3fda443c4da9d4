"""What is said of a finished model: groups by length, mistakes to read, and the pictures and tables of a run."""

import json

import numpy as np
import pandas as pd
import pytest

from datasets.text import tokenize_texts
from models import report
from models.sentiment.assessment import (
    BEGINNING,
    accuracy_by_length,
    assess,
    confident_mistakes,
    curves,
    described,
)
from models.sentiment.run import Run

CLASSES = ("negative", "positive")


def test_groups_by_length_hold_every_text_once_and_texts_of_one_length_together():
    lengths = np.array([1] * 5 + [2] * 30 + list(range(3, 68)))
    right = lengths != 2
    rng = np.random.default_rng(0)
    table = accuracy_by_length(lengths, right, np.full(100, 0.8), rng)
    assert table["texts"].sum() == 100
    assert (table["shortest"].to_numpy()[1:] > table["longest"].to_numpy()[:-1]).all()
    two = table[(table["shortest"] <= 2) & (table["longest"] >= 2)]
    assert two[["shortest", "longest", "texts"]].values.tolist() == [[2, 7, 35]]
    assert two["accuracy"].tolist() == [5 / 35]
    assert table["accuracy"].to_numpy()[-1] == 1.0
    assert table["high"].to_numpy()[-1] == 1.0 > table["low"].to_numpy()[-1] > 0.6
    np.testing.assert_allclose(table["confidence"], 0.8)
    assert len(accuracy_by_length(np.array([7, 7]), np.array([True, False]), np.ones(2), rng)) == 1


def test_the_most_confident_mistakes_by_hand():
    texts = tokenize_texts(["Bad one", "Good <b>one</b>", "good " * 100, "fine", "so so", ""])
    logits = np.array([4.0, 2, -18, -20, 0.5, 0], np.float32)
    labels = np.array([0, 1, 1, 1, 0, 1])
    table = confident_mistakes(logits, labels, texts, CLASSES, 2.0)
    assert table["place"].tolist() == [3, 2, 0, 4]  # 20 before 18, though both are certain in float32
    assert table["said"].tolist() == ["negative", "negative", "positive", "positive"]
    assert table["label"].tolist() == ["positive", "positive", "negative", "negative"]
    assert table["probability"].tolist()[2:] == pytest.approx([1 / (1 + np.exp(-2)), 1 / (1 + np.exp(-0.25))])
    assert table["words"].tolist() == [1, 100, 2, 2]
    assert table["beginning"].tolist() == ["fine", " ".join(["good"] * BEGINNING), "bad one", "so so"]


def test_mistakes_of_three_classes_have_their_names():
    texts = tokenize_texts(["a", "b", "c"])
    logits = np.array([[0, 0, 3.0], [0, 1, 0], [2, 0, 0]])
    table = confident_mistakes(logits, np.array([1, 1, 2]), texts, ("bad", "so-so", "good"), 1.0)
    assert table[["place", "said", "label"]].values.tolist() == [[0, "good", "so-so"], [2, "bad", "good"]]


@pytest.fixture(scope="module")
def found():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, 300)
    labels = (logits + rng.normal(0, 3, 300) > 0).astype(np.int8)
    texts = tokenize_texts(["$x^2$ <b>=1+1" + " word" * i for i in range(300)])
    return assess(logits, labels, texts, CLASSES, 2.0, np.random.default_rng(0))


def test_an_assessment_says_its_figures(found):
    text = described(found)
    wrong, right = found.as_trained, found.calibrated
    assert found.accuracy.low < found.accuracy.value < found.accuracy.high
    assert f"interval of the accuracy: {found.accuracy.low:.1%} to {found.accuracy.high:.1%}" in text
    assert f"as trained, temperature 1.00: loss {wrong.loss:.3f}" in text
    assert f"calibrated, temperature 2.00: loss {right.loss:.3f}" in text
    assert f"error {right.error.value:.1%} (95 % interval {right.error.low:.1%} to" in text
    assert "of 10 bins of the same width, 50% to 100% sure" in text
    for _, row in found.mistakes[:5].iterrows():
        assert f"{row['probability']:.1%} {row['said']}, but {row['label']}: $ x ^ 2 $ = 1 + 1 word" in text
    assert right.loss < wrong.loss
    assert right.error.value < wrong.error.value


def test_what_has_the_same_temperature_are_two_curves_all_the_same(found):
    assert [name[:28] for name in curves(found)] == [
        "as trained, temperature 1.00",
        "calibrated, temperature 2.00",
    ]
    assert len(curves(found._replace(calibrated=found.as_trained))) == 2


def test_no_mistakes_are_said(found):
    assert "no mistakes" in described(found._replace(mistakes=found.mistakes[:0]))
    assert "no mistakes" not in described(found)


def test_a_run_keeps_an_assessment_as_tables_and_pictures(found, tmp_path):
    run = Run(tmp_path)
    run.save_assessment(found, "300 texts of $somebody$")
    kept = json.loads(run.assessment.read_text(encoding="utf-8"))
    assert kept["accuracy"]["value"] == found.accuracy.value
    error = kept["calibration"]["calibrated"]["expected_calibration_error"]
    assert error == {**found.calibrated.error._asdict(), "bins": 10}
    assert kept["calibration"]["as_trained"]["temperature"] == 1.0
    bins = pd.read_csv(run.calibration)
    assert bins.groupby("temperature")["texts"].sum().tolist() == [300, 300]
    assert pd.read_csv(run.lengths)["texts"].sum() == 300
    assert len(pd.read_csv(run.mistakes)) == 20
    for picture in (run.calibration_curves, run.length_curves, run.mistake_bars):
        assert picture.read_bytes().startswith(b"\x89PNG")
    assert set(json.loads(run.manifest.read_text(encoding="utf-8"))["files"]) == {
        *("assessment.json", "calibration.csv", "calibration.png", "lengths.csv", "lengths.png"),
        *("mistakes.csv", "mistakes.png"),
    }


def test_texts_come_out_as_text_in_the_picture_of_mistakes(found, tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(report, "save", lambda figure, path: figures.append(figure))
    hostile = found.mistakes.assign(beginning="$x^2$ \x1b[31m \\undefined " * 50, said="$y^{$")
    report.mistakes(hostile, "$\\title$", tmp_path / "a.png")
    report.mistakes(hostile.iloc[:0], "none", tmp_path / "b.png")
    monkeypatch.undo()
    texts = [text.get_text() for text in figures[0].axes[0].texts]
    assert len(texts) == 20
    assert texts[0].startswith(
        f"{found.mistakes['label'][0]} ({found.mistakes['place'][0]}): $x^2$ \\x1b[31m"
    )
    assert max(map(len, texts)) < 200
    for figure in figures:  # mathematics would be an error
        report.save(figure, tmp_path / "a.png")


def test_the_picture_of_calibration_has_what_the_tables_have(found, tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(report, "save", lambda figure, path: figures.append(figure))
    report.reliability_diagram({"one": found.as_trained.bins, "two": found.calibrated.bins}, "t", tmp_path)
    report.accuracy_by_length(found.by_length, "t", tmp_path)
    above, below = figures[0].axes
    curves = {container.get_label(): container.lines[0] for container in above.containers}
    for name, bins in (("one", found.as_trained.bins), ("two", found.calibrated.bins)):
        some = bins[bins["texts"] > 0]
        np.testing.assert_allclose(curves[name].get_xydata(), some[["confidence", "accuracy"]])
    assert sum(bar.get_height() for bar in below.patches) == 600
    line = figures[1].axes[0].containers[0].lines[0]
    assert list(line.get_ydata()) == found.by_length["accuracy"].tolist()
