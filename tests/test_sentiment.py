"""The commands of models.sentiment from end to end, on small data made here, and on bad input."""

import json
import signal
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.colors
import numpy as np
import pandas as pd
import pytest

from datasets import glove, imdb, tokenize_texts
from models import report
from models.sentiment.cli import main
from models.sentiment.evaluate import probabilities
from models.sentiment.run import Run
from models.sentiment.speeches import Asked, paragraph_table, speech_table
from tinygrad_np.training.loop import Loop
from tinygrad_np.weights import load_config, load_weights, save_weights

SMALL = ["--train-size", "60", "--test-size", "20", "--epochs", "2", "--hidden", "4"]


def run(*args: str | Path) -> int:
    return main([str(arg) for arg in args])


@pytest.fixture(scope="module")
def demo_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "demo"
    assert run("train", "--data", "demo", *SMALL, "--out", out) == 0
    return out


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Data files of our own making: reviews of a few words, vectors for them, and speeches."""
    rng = np.random.default_rng(0)
    good, bad = ["fine", "lovely", "great"], ["awful", "dull", "poor"]
    for split, size in (("train", 80), ("test", 40)):
        lines = []
        for i in range(size):
            chosen = rng.choice(good if i % 2 else bad, 4)
            lines.append(f"{i % 2}\tA film<br />that is {' and '.join(chosen)}!\n")
        (tmp_path / f"imdb_{split}.txt").write_text("".join(lines), encoding="utf-8")
    with zipfile.ZipFile(tmp_path / "glove.6B.zip", "w") as archive:
        rows = [
            f"{word} {' '.join(f'{x:.3f}' for x in rng.standard_normal(50))}\n"
            for word in ["a", "film", "that", "is", "and", "!", *good, *bad]
        ]
        archive.writestr("glove.6B.50d.txt", "".join(rows))
    speeches = {
        "speaker": ["First", "Second", "Silent"],
        "speech": ["A lovely film. " * 30, "Dull and awful and poor. Great!", "... 。"],
        "source": ["here", "there", "nowhere"],
    }
    pd.DataFrame(speeches).to_csv(tmp_path / "speeches.csv", index=False)
    monkeypatch.setenv("TINYGRAD_NP_CACHE", str(tmp_path / "cache"))
    return tmp_path


def test_a_run_holds_its_settings_metrics_weights_and_picture(demo_run: Path) -> None:
    config = json.loads((demo_run / "config.json").read_text(encoding="utf-8"))
    assert (config["train_size"], config["hidden"], config["embeddings"]) == (60, 4, "learned")
    told = load_config(demo_run / "weights.safetensors")
    assert told == {name: value for name, value in config.items() if name != "data_dir"}
    curves = pd.read_csv(demo_run / "metrics.csv")
    assert list(curves["epoch"]) == [1, 2]
    for name in ("train", "validation", "test"):
        assert curves[f"{name}_loss"].between(0.3, 1.5).all()
        assert curves[f"{name}_accuracy"].between(0, 1).all()
    metrics = json.loads((demo_run / "metrics.json").read_text(encoding="utf-8"))
    best = curves.loc[curves["validation_loss"].idxmin()]
    assert metrics["best_epoch"] == best["epoch"]
    assert metrics["test_loss"] == pytest.approx(best["test_loss"])
    assert metrics["test_accuracy"] == pytest.approx(best["test_accuracy"])
    assert metrics["tokens_per_second"] > 0
    assert (demo_run / "loss.png").read_bytes().startswith(b"\x89PNG")
    assert not list(demo_run.glob("*.part"))


def test_same_seed_same_result_bit_for_bit(demo_run: Path, tmp_path: Path) -> None:
    assert run("train", "--data", "demo", *SMALL, "--out", tmp_path) == 0
    for name in ("weights.safetensors", "vocabulary.txt", "metrics.csv"):
        assert (tmp_path / name).read_bytes() == (demo_run / name).read_bytes()
    assert run("train", "--data", "demo", *SMALL, "--seed", "1", "--out", tmp_path) == 0
    assert (tmp_path / "weights.safetensors").read_bytes() != (demo_run / "weights.safetensors").read_bytes()


def test_two_workers_train_as_one(demo_run: Path, tmp_path: Path) -> None:
    older = ("speeches.csv", "speeches.png")
    for name in older:
        (tmp_path / name).write_bytes(b"of an older run")
    # a program of its own: forking is safe where there are no threads, and a test before may have left some
    command = [sys.executable, "-m", "models.sentiment", "train", "--data", "demo", *SMALL, "--workers", "2"]
    subprocess.run([*command, "--out", tmp_path], cwd=Path(__file__).parents[1], check=True)
    one, two = (pd.read_csv(run / "metrics.csv") for run in (demo_run, tmp_path))
    pd.testing.assert_frame_equal(one, two, check_exact=False, rtol=1e-5)
    one, two = (load_weights(run / "weights.safetensors") for run in (demo_run, tmp_path))
    for name in one:
        np.testing.assert_allclose(one[name], two[name], atol=1e-4)
    assert (demo_run / "config.json").read_bytes() == (tmp_path / "config.json").read_bytes()
    for run, workers in ((demo_run, 1), (tmp_path, 2)):
        assert json.loads((run / "metrics.json").read_text(encoding="utf-8"))["workers"] == workers
    assert not any((tmp_path / name).exists() for name in older)


def test_evaluate_finds_what_training_found(demo_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    metrics = json.loads((demo_run / "metrics.json").read_text(encoding="utf-8"))
    assert run("evaluate", "--run", demo_run) == 0
    printed = capsys.readouterr().out
    assert f"accuracy {metrics['test_accuracy']:.1%}, loss {metrics['test_loss']:.3f}" in printed
    assert "as trained, temperature 1.00: loss" in printed
    assert f"calibrated, temperature {metrics['temperature']:.2f}: loss" in printed
    kept = json.loads((demo_run / "assessment.json").read_text(encoding="utf-8"))
    assert kept["accuracy"]["value"] == metrics["test_accuracy"]
    for name in ("calibration", "lengths", "mistakes"):
        assert (demo_run / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert len(pd.read_csv(demo_run / f"{name}.csv")) > 0


def test_predict_answers_for_any_text(demo_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = ["The plot was not good.", "", "   ", "xyzzy", "!?", "<br />", "THE PLOT was <b>not</b> good"]
    assert run("predict", "--run", demo_run, *texts) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(texts)
    assert "no words" in lines[1]
    assert lines[1][:5] == lines[2][:5] == lines[5][:5]  # the answer to nothing
    assert "unknown: xyzzy" in lines[3]
    assert lines[0][:5] == lines[6][:5]  # cleaned as in training
    for line in lines:
        assert 0 <= float(line.split()[0]) <= 1


def test_prediction_does_not_depend_on_company(demo_run: Path) -> None:
    _, encoder, model = Run(demo_run).load()
    texts = ["the plot was good but the end was dull", "", "not bad", "good " * 70]
    together = probabilities(model, encoder.encode(tokenize_texts(texts)), batch_size=3)
    alone = [probabilities(model, encoder.encode(tokenize_texts([text])))[0] for text in texts]
    np.testing.assert_allclose(together, alone, rtol=1e-5)


def test_imdb_with_glove_and_speeches(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = data_dir / "run"
    sizes = [
        "--train-size",
        "80",
        "--test-size",
        "40",
        "--epochs",
        "12",
        "--hidden",
        "8",
        "--batch-size",
        "8",
    ]
    assert run("train", "--data", "imdb", "--data-dir", data_dir, *sizes, "--out", out) == 0
    metrics = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["test_accuracy"] == 1.0
    assert "bag_of_words_accuracy" not in metrics
    # GloVe is frozen: the vectors in the weights are those of the file
    vectors = load_weights(out / "weights.safetensors")["reader.embedding.weight"]
    assert not vectors[0].any()
    np.testing.assert_allclose(vectors[1], vectors[2:].mean(axis=0), atol=1e-6)

    capsys.readouterr()
    assert run("speeches", "--run", out) == 0
    table = pd.read_csv(out / "speeches.csv").set_index(["speaker", "context"])
    assert list(table["paragraphs"]) == [2, 2, 1, 1, 0, 0]
    assert table.loc[("First", 0), "positive"] == 1.0
    assert table.loc[("First", 0), "mean"] > 0.8
    assert table.loc[("Second", 0), "positive"] == 0.0
    assert table.loc[("Silent", 0), ["positive", "mean", "spread"]].isna().all()
    paragraphs = pd.read_csv(out / "paragraphs.csv")
    assert list(paragraphs["speaker"]) == ["First", "First", "Second"]
    assert table.loc[("First", 1), "mean"] == pytest.approx(paragraphs["positive_in_context"][:2].mean())
    domain = pd.read_csv(out / "domain.csv").set_index("kind")
    assert domain.loc["reviews", ["texts", "accuracy"]].tolist() == [40, 1.0]
    assert (out / "speeches.png").read_bytes().startswith(b"\x89PNG")
    printed = capsys.readouterr().out
    assert "Silent" in printed
    assert "The model has learnt from reviews" in printed
    assert run("speeches", "--run", out, "--context", "0") == 0
    assert set(pd.read_csv(out / "speeches.csv")["context"]) == {0}
    with pytest.raises(SystemExit):
        run("speeches", "--run", out, "--context", "-1")


def test_the_weights_kept_are_those_of_the_smallest_validation_loss(demo_run: Path, tmp_path: Path) -> None:
    _, _, model = Run(demo_run).load()
    run, history, kept = Run(tmp_path), [], []
    weights: dict[str, np.ndarray] = {}
    for epoch, loss in enumerate((0.5, 0.7, 0.4, 0.4), 1):
        model.head.bias.data[:] = epoch
        history.append({"epoch": epoch, "validation_loss": loss})
        weights = (
            model.state_dict()
            if loss < min([1.0] + [row["validation_loss"] for row in history[:-1]])
            else weights
        )
        run.save_epoch(history, weights)
        kept.append(load_weights(run.weights)["head.bias"].item())
        assert pd.read_csv(run.epochs)["epoch"].tolist() == list(range(1, epoch + 1))
    assert kept == [1, 1, 3, 3]  # of equals the first


def test_curves_are_told_apart_without_colour() -> None:
    rgb = np.array([matplotlib.colors.to_rgb(color) for color, _ in report.CURVES.values()])
    lightness = np.sort(rgb @ (0.299, 0.587, 0.114))
    assert np.diff(lightness).min() > 0.2
    assert len({marker for _, marker in report.CURVES.values()}) == 3


def test_a_training_fetches_parses_and_tokenizes_each_file_once(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: Counter[str] = Counter()

    def count(module: Any, name: str, of: Callable[..., Any]) -> None:
        function = getattr(module, name)

        def counted(*args: Any) -> Any:
            calls[f"{name} {of(*args)}"] += 1
            return function(*args)

        monkeypatch.setattr(module, name, counted)

    count(imdb, "fetch", lambda name, data_dir: name)
    count(glove, "fetch", lambda name, data_dir: name)
    count(imdb, "_parse", lambda path, content: path.name)
    count(imdb, "tokenize_texts", lambda texts: f"{len(texts)} texts")
    count(glove, "parse", lambda read, place, *_: place.rpartition(" ")[2])
    sizes = ["--train-size", "40", "--test-size", "20", "--epochs", "1", "--hidden", "2"]
    command = ["train", "--data", "imdb", "--data-dir", data_dir, *sizes, "--out", data_dir / "run"]
    fetched = {f"fetch {name}" for name in ("imdb_train.txt", "imdb_test.txt", "glove.6B.zip")}
    made = {"_parse imdb_train.txt", "_parse imdb_test.txt", "parse glove.6B.50d.txt"}
    made |= {"tokenize_texts 80 texts", "tokenize_texts 40 texts"}
    assert run(*command) == 0
    assert calls == Counter(fetched | made)
    calls.clear()
    assert run(*command) == 0  # from the cache
    assert calls == Counter(fetched)


def test_a_paragraph_at_exactly_one_half_is_counted(demo_run: Path) -> None:
    _, encoder, model = Run(demo_run).load()
    state = model.state_dict()
    state["head.weight"][:] = 0
    state["head.bias"][:] = 0
    model.load_state_dict(state)
    speeches = pd.DataFrame({"speaker": ["One"], "speech": ["Half of this is good."]})
    table = paragraph_table(Asked(model, encoder, 1.0), speeches, 0)
    row = speech_table(table, speeches, 0, np.random.default_rng(0)).iloc[0]
    assert (row["paragraphs"], row["positive"], row["mean"], row["spread"]) == (1, 1.0, 0.5, 0.0)


def test_an_interrupted_training_goes_on_to_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", "--data", "demo", *SMALL, "--epochs", "4"]
    assert run(*command, "--out", tmp_path / "whole") == 0
    whole = Loop.take_step

    def take_step(self: Loop, batches: Any) -> None:
        whole(self, batches)
        if self.training.step == 5:
            signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # who runs the tests may ignore it
    try:
        with monkeypatch.context() as patch:
            patch.setattr(Loop, "take_step", take_step)
            assert run(*command, "--out", tmp_path / "run") == 130
    finally:
        signal.signal(signal.SIGINT, before)
    assert (
        "keeps 2 whole epochs, and the checkpoint of step 5: the same command with" in capsys.readouterr().err
    )
    assert run("evaluate", "--run", tmp_path / "run") == 0
    assert "it has 2 of 4 epochs" in capsys.readouterr().err
    error = complaint(capsys, *command, "--out", tmp_path / "run")
    assert "has not finished, with checkpoints up to step 5: go on with --resume, or" in error
    error = complaint(capsys, *command, "--lr", "0.5", "--resume", "--out", tmp_path / "run")
    assert "config.lr was 0.01 and is 0.5" in error
    assert run(*command, "--resume", "--out", tmp_path / "run") == 0
    for name in ("weights.safetensors", "vocabulary.txt", "metrics.csv", "config.json"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert not (tmp_path / "run" / "checkpoints").exists()


# --- bad input: one clear sentence, and exit status 1 ---


def complaint(capsys: pytest.CaptureFixture[str], *args: str | Path) -> str:
    capsys.readouterr()
    assert run(*args) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ")
    return error


def test_run_without_files(tmp_path: Path, demo_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "holds no config.json" in complaint(capsys, "predict", "--run", tmp_path, "text")
    for name in ("config.json", "vocabulary.txt"):
        (tmp_path / name).write_bytes((demo_run / name).read_bytes())
    assert "holds no weights.safetensors: train" in complaint(capsys, "evaluate", "--run", tmp_path)
    (tmp_path / "weights.safetensors").write_bytes((demo_run / "weights.safetensors").read_bytes()[:-5])
    assert "not a whole safetensors file" in complaint(capsys, "speeches", "--run", tmp_path)
    (tmp_path / "config.json").write_text('{"data": "demo"}', encoding="utf-8")
    assert "config.json holds no settings" in complaint(capsys, "evaluate", "--run", tmp_path)


def test_weights_of_another_shape(tmp_path: Path, demo_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("config.json", "vocabulary.txt"):
        (tmp_path / name).write_bytes((demo_run / name).read_bytes())
    state = load_weights(demo_run / "weights.safetensors")
    state["head.weight"] = state["head.weight"][:, :-1]
    state["surplus"] = state.pop("head.bias")
    save_weights(tmp_path / "weights.safetensors", state)
    error = complaint(capsys, "predict", "--run", tmp_path, "text")
    for part in ("head.weight is (1, 3) and should be (1, 4)", "missing head.bias", "unexpected surplus"):
        assert part in error


def test_bad_data_files(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["train", "--data", "imdb", "--data-dir", data_dir, "--out", data_dir / "run"]
    assert "size is from 1 to 80, not 81" in complaint(capsys, *command, "--train-size", "81")
    command += ["--train-size", "40", "--test-size", "20", "--epochs", "1", "--hidden", "2"]
    path = data_dir / "imdb_train.txt"
    good = path.read_text(encoding="utf-8")
    path.write_text(good.replace("0\t", "2\t", 1), encoding="utf-8")
    error = complaint(capsys, *command)
    assert "imdb_train.txt, line 1" in error
    assert "'2'" in error
    path.write_text("", encoding="utf-8")
    assert "empty" in complaint(capsys, *command)
    path.unlink()
    assert "imdb_train.txt" in complaint(capsys, *command)
    path.write_text(good, encoding="utf-8")
    with zipfile.ZipFile(data_dir / "glove.6B.zip", "w") as archive:
        archive.writestr("glove.6B.50d.txt", "film " + " ".join(["nan"] * 50) + "\n")
    error = complaint(capsys, *command)
    assert "glove.6B.50d.txt line 1: 'nan'" in error


def test_reviews_of_unknown_words_train_and_answer(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every review is of words without a vector, or of no words at all."""
    for split in ("train", "test"):
        lines = [f"{i % 2}\t{'Qwzx vbnp' if i % 3 else '...'}\n" for i in range(40)]
        (data_dir / f"imdb_{split}.txt").write_text("".join(lines), encoding="utf-8")
    sizes = ["--train-size", "40", "--test-size", "20", "--epochs", "1", "--hidden", "2"]
    out = data_dir / "run"
    assert run("train", "--data", "imdb", "--data-dir", data_dir, *sizes, "--out", out) == 0
    assert json.loads((out / "metrics.json").read_text(encoding="utf-8"))["test_accuracy"] == 0.5


def test_a_loss_that_is_not_finite_stops_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with np.errstate(all="ignore"):
        error = complaint(capsys, "train", "--data", "demo", *SMALL, "--lr", "1e38", "--out", tmp_path)
    assert "batch 2" in error
    assert "smaller lr" in error


def test_more_workers_than_reviews_in_a_batch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["train", "--data", "demo", *SMALL, "--batch-size", "2", "--workers", "3", "--out", tmp_path]
    assert complaint(capsys, *command) == "error: 3 workers cannot share batches of 2 reviews"


def test_missing_extra_is_named(
    demo_run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "safetensors.numpy", None)
    assert "tinygrad_np[weights]" in complaint(capsys, "predict", "--run", demo_run, "text")
