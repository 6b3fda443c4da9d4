"""Tests of texts of one's own in training, and of answers for many texts."""

import csv
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest

from datasets.messages import tell
from models.sentiment.cli import main
from models.sentiment.config import Config, configured
from models.sentiment.predicting import AT_A_TIME, Prediction, predictions, write_predictions
from models.sentiment.run import Run
from models.sentiment.sources import load_test, load_train, split
from tests.test_datasets_own import write_archive, write_folder

WORDS = {"great": ["fine", "lovely", "great"], "so-so": ["okay", "average"], "bad": ["awful", "dull", "poor"]}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TINYGRAD_NP_CACHE", str(tmp_path / "cache"))
    tell.cache_clear()


def write_table(path: Path, labels: list[str], seed: int = 0) -> Path:
    rng = np.random.default_rng(seed)
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "review", "opinion"])
        for i, label in enumerate(labels):
            words = rng.choice(WORDS.get(label, ["word", "other"]), 4)
            writer.writerow([i, f"A film, number {i},\n{' and '.join(words)}!", label])
    return path


def own(path: Path, **settings: object) -> Config:
    return configured({"data": str(path), "text_column": "review", "label_column": "opinion", **settings})


def texts_of(reviews):
    return [" ".join(reviews.texts.tokens[i] for i in ids) for ids in reviews.texts.token_ids]


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_a_share_is_split_off_of_each_label(tmp_path, share):
    labels = ["great"] * 60 + ["bad"] * 30 + ["so-so"] * 10
    path = write_table(tmp_path / "a.csv", labels)
    (train, validation), test = (
        load_train(own(path, test_share=share)),
        load_test(own(path, test_share=share)),
    )
    assert train.classes == validation.classes == test.classes == ("bad", "great", "so-so")
    n_test = round(100 * share)
    np.testing.assert_array_equal(np.bincount(test.labels), np.array([30, 60, 10]) * share)
    n_validation = round((100 - n_test) / 10)
    assert [len(part.labels) for part in (train, validation, test)] == [
        100 - n_test - n_validation,
        n_validation,
        n_test,
    ]
    together = [text for part in (train, validation, test) for text in texts_of(part)]
    assert len(set(together)) == 100
    for part in (train, validation, test):
        for text, label in zip(texts_of(part), part.labels):
            assert set(text.split()) & set(WORDS[part.classes[label]])
    again = load_test(own(path, test_share=share))
    assert texts_of(again) == texts_of(test)
    other = load_test(own(path, test_share=share, seed=1))
    assert texts_of(other) != texts_of(test)


def test_sizes_are_drawn_and_drawn_again_the_same(tmp_path):
    path = write_table(tmp_path / "a.csv", ["great"] * 61 + ["bad"] * 31 + ["so-so"] * 5)
    (train, validation), test = load_train(own(path, train_size=31)), load_test(own(path, test_size=7))
    assert len(train.labels) + len(validation.labels) == 31
    assert len(test.labels) == 7
    assert set(train.labels) == {0, 1, 2}
    assert texts_of(load_test(own(path, test_size=7))) == texts_of(test)
    with pytest.raises(
        ValueError, match="has 78 texts of 3 labels here, so a size is from 3 to 75, or 78, and not 79"
    ):
        load_train(own(path, train_size=79))


@pytest.mark.parametrize("seed", range(20))
def test_parts_have_each_class_and_the_size(seed):
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(4), rng.integers(2, 40, 4)))
    for size in range(4, len(labels) - 3):
        first, second = split(labels, size, np.random.default_rng(0))
        assert len(second) == size
        assert sorted([*first, *second]) == list(range(len(labels)))
        for part in (first, second):
            assert set(labels[part]) == {0, 1, 2, 3}
        shares = np.bincount(labels[second]) - size * np.bincount(labels) / len(labels)
        assert np.abs(shares).max() < 3
    for size in (3, len(labels) - 3):
        with pytest.raises(ValueError, match=f"have no part of {size}"):
            split(labels, size, np.random.default_rng(0))


def test_a_test_file_and_labels_in_order(tmp_path, capsys):
    path = write_table(tmp_path / "a.csv", ["great", "bad"] * 20)
    asked = write_table(tmp_path / "b.csv", ["bad", "great", "bad"], seed=1)
    with open(asked, "a", encoding="utf-8", newline="") as file:
        file.write(
            path.read_text(encoding="utf-8").split("\n", 1)[1].split("great\n")[0].replace("\r", "")
            + "great\n"
        )
    config = own(path, test_data=str(asked), labels=["great", "bad"])
    test = load_test(config)
    assert test.classes == ("great", "bad")
    assert test.labels.tolist() == [1, 0, 1, 0]
    assert sum(len(part.labels) for part in load_train(config)) == 40
    assert "1 of 4 test texts stand among the texts to train on too" in capsys.readouterr().err
    write_table(asked, ["bad", "terrible", "great"])
    with pytest.raises(
        ValueError, match=re.escape(f"{asked} has labels that no text to train on has: terrible; those of")
    ):
        load_test(config)


@pytest.mark.parametrize(
    ("labels", "settings", "fault"),
    [
        (["great"] * 9, {}, "all labels are 'great', and to tell apart there must be two"),
        ([str(i) for i in range(20)] * 1, {}, "20 different labels of 20 texts: is it another column?"),
        (["great", "bad"] * 5 + ["so-so"] * 2, {}, "fewer than 3 texts have the label so-so, and"),
        (
            ["great", "bad"] * 5,
            {"labels": ["good", "bad"]},
            "the labels are bad, great, and --labels says good, bad",
        ),
        (["great", "bad"] * 5, {"label_column": "stars"}, "no column 'stars' among id, review, opinion"),
    ],
)
def test_labels_that_do_not_do(tmp_path, labels, settings, fault):
    path = write_table(tmp_path / "a.csv", labels)
    with pytest.raises(ValueError, match=re.escape(fault)) as caught:
        load_train(own(path, **settings))
    assert str(path) in str(caught.value)
    with pytest.raises(
        FileNotFoundError, match=r"there is no .*none\.csv: --data is demo, imdb, or the path"
    ):
        load_train(own(tmp_path / "none.csv"))


def test_whole_numbers_are_labels_by_size(tmp_path):
    path = write_table(tmp_path / "a.csv", ["10", "9", "-1"] * 5)
    assert load_test(own(path)).classes == ("-1", "9", "10")


def test_settings_that_contradict_each_other():
    for given, fault in (
        (
            {"data": "imdb", "test_data": "a.csv"},
            "test_data and labels are of your own texts, and data is imdb",
        ),
        (
            {"data": "a.csv", "vectors": "v.txt", "embeddings": "learned"},
            "embeddings are learned, so vectors are not",
        ),
        ({"data": "a.csv", "labels": ["x"]}, "labels is ['x']; it has to be two names or more"),
        ({"data": "a.csv", "labels": ["x", "x"]}, "labels is ['x', 'x']; it has to be two names or more"),
        ({"data": ""}, "data is ''; it has to be a text"),
    ):
        with pytest.raises(ValueError, match="^" + re.escape(fault)):
            configured(given)


def test_aclimdb_goes_in(tmp_path):
    names = [(part, label, i) for part in ("train", "test") for label in ("pos", "neg") for i in range(6)]
    reviews = {f"{part}/{label}/{i}_{i}.txt": f"{label} {i}" for part, label, i in names}
    for path in (write_folder(tmp_path / "aclImdb", reviews), write_archive(tmp_path / "a.tar.gz", reviews)):
        (train, validation), test = load_train(own(path)), load_test(own(path))
        assert test.classes == ("neg", "pos")
        assert sorted(texts_of(train) + texts_of(validation)) == sorted(texts_of(test))
        assert texts_of(test) == [f"neg {i}" for i in range(6)] + [f"pos {i}" for i in range(6)]
        assert test.labels.tolist() == [0] * 6 + [1] * 6


# --- predictions ---------------------------------------------------------------------------------------


def test_answers_come_in_the_order_of_the_texts_and_some_thousand_at_a_time():
    asked = []

    def ask(texts):
        asked.append(len(texts.token_ids))
        number = np.array([int(texts.tokens[ids[0]]) for ids in texts.token_ids])
        return (number % 4 / 4).astype(np.float32)

    rows = ((2 * i, str(i)) for i in range(AT_A_TIME + 10))
    found = predictions(rows, ask, ("no", "yes"))
    assert next(found) == Prediction(0, "no", 1.0)
    assert asked == [AT_A_TIME]  # no more than these were read
    rest = list(found)
    assert asked == [AT_A_TIME, 10]
    assert rest[:3] == [(2, "no", 0.75), (4, "yes", 0.5), (6, "yes", 0.75)]
    assert [row.line for row in rest] == list(range(2, 2 * (AT_A_TIME + 10), 2))


def test_more_than_two_classes_and_the_table():
    p = np.array([[0.2, 0.5, 0.3], [0.6, 0.3, 0.1]])
    file = io.StringIO()
    n = write_predictions(predictions([(5, "a"), (9, "b")], lambda texts: p, ["x", "y, z", "w"]), file, False)
    assert n == 2
    assert file.getvalue() == 'line,label,probability\n5,"y, z",0.5000\n9,x,0.6000\n'
    assert list(predictions([], lambda texts: 1 / 0, "ab")) == []


def test_own_texts_from_training_to_answers(tmp_path, monkeypatch, capsys):
    path = write_table(tmp_path / "opinions.v2.csv", ["great", "bad", "so-so"] * 40)
    vectors = tmp_path / "own.vec"
    words = sorted({word for some in WORDS.values() for word in some} | {"a", "film", ",", "and", "!"})
    rng = np.random.default_rng(0)
    numbers = [" ".join(f"{x:.3f}" for x in rng.normal(size=7)) for _ in words]
    vectors.write_text(
        f"{len(words)} 7\n" + "".join(f"{w} {n}\n" for w, n in zip(words, numbers)), encoding="utf-8"
    )
    columns = ["--text-column", "review", "--label-column", "opinion"]
    out = tmp_path / "run"
    small = ["--hidden", "8", "--epochs", "8", "--batch-size", "8", "--lr", "0.02"]
    command = ["train", "--data", str(path), *columns, "--vectors", str(vectors), *small, "--out", str(out)]
    assert main(command) == 0
    metrics = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["test_accuracy"] > 0.9
    assert (metrics["test_reviews"], metrics["train_reviews"]) == (24, 86)
    vectors.unlink()  # what is known of the words is in the run
    config, _, model = Run(out).load()
    assert config.labels == ["bad", "great", "so-so"]
    assert model.reader.embedding.weight.shape[1] == 7

    answers = tmp_path / "more" / "answers.csv"
    assert (
        main(
            [
                "predict",
                "--run",
                str(out),
                "--file",
                str(path),
                "--text-column",
                "review",
                "--out",
                str(answers),
            ]
        )
        == 0
    )
    with open(answers, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["line"] for row in rows] == [str(2 + 2 * i) for i in range(120)]
    right = [row["label"] == label for row, label in zip(rows, ["great", "bad", "so-so"] * 40)]
    assert np.mean(right) > 0.9
    assert all(1 / 3 <= float(row["probability"]) <= 1 for row in rows)
    assert "120 texts, " in capsys.readouterr().err

    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"lovely, great\r\n\ndull, awful, poor\n")))
    assert main(["predict", "--run", str(out)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "line,label,probability"
    assert [line.split(",")[:2] for line in lines[1::2]] == [["1", "great"], ["3", "bad"]]
    assert lines[2].startswith("2,")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"caf\xe9\n")))
    assert main(["predict", "--run", str(out)]) == 1
    assert "standard input: the text is not UTF-8" in capsys.readouterr().err
    assert main(["predict", "--run", str(out), "great and lovely"]) == 0
    assert re.match(r"\d\.\d{3} great  'great and lovely'", capsys.readouterr().out)
    assert main(["evaluate", "--run", str(out)]) == 0
    assert f"24 test reviews of {path}: accuracy {metrics['test_accuracy']:.1%}" in capsys.readouterr().out
