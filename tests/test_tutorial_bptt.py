"""The tutorial's hand-derived gradient on trial: where it is right, where it is wrong, and by how much.

Three derivatives of one forward meet here: the one by hand (as published, and corrected), the one of our
tape, and complex step, which needs the forward alone. All in float64.
"""

import json
import math
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from models.tutorial_lstm import model as tutorial
from models.tutorial_lstm import train as training
from models.tutorial_lstm import trial as trials
from models.tutorial_lstm.cli import main
from models.tutorial_lstm.model import (
    PARAMETERS,
    Arrays,
    corrected_gradient,
    exact_gradient,
    forward,
    published_gradient,
)
from models.tutorial_slips import SwappedAdam, initial_parameters
from tinygrad_np import Tensor
from tinygrad_np import functional as F
from tinygrad_np.nn import LSTM
from tinygrad_np.referee import Finding, heat_map
from tinygrad_np.referee.verdict import RIGHT, WRONG

# The difference 1 - f^2 of a saturated gate carries the rounding of 1: that is what the absolute part is for.
RELATIVE, ABSOLUTE = 1e-10, 1e-14


@st.composite
def cases(draw: st.DrawFn, min_steps: int = 1, max_steps: int = 9, min_hidden: int = 1) -> Arrays:
    """Arguments of `forward`, all drawn from N(0, scale^2) but the label, and x from N(0, 1)."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    hidden, dimensions = draw(st.integers(min_hidden, 6)), draw(st.integers(1, 5))
    inputs = tutorial.trial_inputs(hidden, dimensions, draw(st.integers(min_steps, max_steps)), rng)
    scale = draw(st.floats(0.1, 1.0))
    for name in PARAMETERS:
        inputs[name] = scale * rng.standard_normal(inputs[name].shape)
    return {**inputs, "y": np.array(draw(st.sampled_from([0.0, 1.0])))}


def assert_same(found: np.ndarray, expected: np.ndarray, name: str) -> None:
    assert found.shape == expected.shape, name
    difference = np.linalg.norm(found - expected)
    assert difference <= RELATIVE * np.linalg.norm(expected) + ABSOLUTE, f"{name} is off by {difference}"


# --- the forward --------------------------------------------------------------------------------------


def test_forward_of_one_unit_and_two_words_against_the_equations_in_scalars() -> None:
    def s(x: float) -> float:
        return 1 / (1 + math.exp(-x))

    h = c = 0.0
    for x in (0.5, -2.0):
        f, i = s(0.1 * h + 0.2 * x + 0.3), s(-0.4 * h + 0.5 * x - 0.6)
        cm, o = math.tanh(0.7 * h - 0.8 * x + 0.9), s(1.0 * h + 1.1 * x - 1.2)
        c = f * c + i * cm
        h = o * math.tanh(c)
    a = s(1.3 * h - 1.4)
    weights = {"Wf": [0.1, 0.2], "Wi": [-0.4, 0.5], "Wcm": [0.7, -0.8], "Wo": [1.0, 1.1], "W2": [1.3]}
    biases = {"bf": 0.3, "bi": -0.6, "bcm": 0.9, "bo": -1.2, "b2": -1.4}
    inputs = {name: np.array([value]) for name, value in weights.items()}
    inputs |= {name: np.array([[value]]) for name, value in biases.items()}
    inputs["x"] = np.array([[0.5], [-2.0]])
    assert forward(y=np.array(1.0), **inputs) == pytest.approx(-math.log(a + 1e-5), rel=1e-14)
    assert forward(y=np.array(0.0), **inputs, eps=0.1) == pytest.approx(-math.log(1 - a + 0.1), rel=1e-14)


@given(cases())
def test_forward_is_our_lstm_with_the_same_weights(inputs: Arrays) -> None:
    hidden, dimensions = len(inputs["bf"]), inputs["x"].shape[1]
    lstm = LSTM(dimensions, hidden, rng=0, dtype=np.float64)
    order = ("i", "f", "cm", "o")  # PyTorch's
    weights = np.concatenate([inputs[f"W{gate}"] for gate in order])
    lstm.weight_hh_l0.data[:] = weights[:, :hidden]
    lstm.weight_ih_l0.data[:] = weights[:, hidden:]
    lstm.bias_ih_l0.data[:] = np.concatenate([inputs[f"b{gate}"] for gate in order])[:, 0]
    lstm.bias_hh_l0.data[:] = 0
    _, (h, _) = lstm(Tensor(inputs["x"][np.newaxis]))
    logit = F.linear(h[0], Tensor(inputs["W2"]), Tensor(inputs["b2"][0]))
    expected = F.binary_cross_entropy_with_logits(logit, inputs["y"].reshape(1, 1)).item()
    assert forward(**inputs, eps=0.0) == pytest.approx(expected, rel=1e-12)
    assert tutorial.backpropagate(inputs, overwritten=False)[0] == pytest.approx(logit.item(), abs=1e-13)


def test_the_loss_keeps_its_digits_where_a_is_close_to_1() -> None:
    # log(1 - a) itself is log(0) from a logit of 37 on
    assert tutorial.loss_of(40.0, 0.0, 0.0) == pytest.approx(40.0, rel=1e-15)
    assert tutorial.loss_of(-700.0, 1.0, 0.0) == pytest.approx(700.0, rel=1e-15)
    assert tutorial.loss_of(-1e4, 1.0, 1e-5) == pytest.approx(-math.log(1e-5), rel=1e-15)


def test_a_review_without_words_is_refused() -> None:
    inputs = tutorial.trial_inputs(2, 3, 0, np.random.default_rng(0))
    with pytest.raises(ValueError, match="one word at least"):
        forward(**inputs)


# --- the gradients ------------------------------------------------------------------------------------


@given(cases())
def test_the_corrected_gradient_is_the_exact_one(inputs: Arrays) -> None:
    hand, exact = corrected_gradient(**inputs), exact_gradient(inputs, eps=0.0)
    assert list(hand) == list(exact) == list(PARAMETERS)
    for name in PARAMETERS:
        assert_same(hand[name], exact[name], name)


@given(cases(), st.integers(0, 2**32 - 1))
def test_complex_step_through_the_plain_forward_agrees(inputs: Arrays, seed: int) -> None:
    rng = np.random.default_rng(seed)
    hand = corrected_gradient(**inputs)
    for name in PARAMETERS:
        direction = rng.standard_normal(hand[name].shape)
        moved = {**inputs, name: inputs[name] + 1e-100j * direction}
        slope = forward(**moved, eps=0.0).imag / 1e-100
        scale = np.linalg.norm(hand[name]) * np.linalg.norm(direction)
        assert abs(np.sum(hand[name] * direction) - slope) <= RELATIVE * scale + ABSOLUTE, name


@given(cases(max_steps=1))
def test_of_one_word_the_published_gradient_is_right(inputs: Arrays) -> None:
    published, corrected = published_gradient(**inputs), corrected_gradient(**inputs)
    exact = exact_gradient(inputs, eps=0.0)
    for name in PARAMETERS:
        np.testing.assert_array_equal(published[name], corrected[name], err_msg=name)
        assert_same(published[name], exact[name], name)


@given(cases(min_steps=2, min_hidden=2))
def test_of_more_words_the_published_gradient_is_wrong_exactly_where_theory_says(inputs: Arrays) -> None:
    # At the last step dh and dc are right, and so is the dh sent back; the dc sent back is wrong. One step
    # before the last it spoils i and cm, but not f where c_before = 0, and o hears of dh only. From there dh
    # is wrong too: one step further back everything is. The head knows of no step.
    wrong = {"Wi", "bi", "Wcm", "bcm"}
    if len(inputs["x"]) > 2:
        wrong |= {"Wf", "bf", "Wo", "bo"}
    published, corrected = published_gradient(**inputs), corrected_gradient(**inputs)
    exact = exact_gradient(inputs, eps=0.0)
    for name in PARAMETERS:
        if name in wrong:
            error = np.linalg.norm(published[name] - exact[name])
            assert error > 1e-6 * np.linalg.norm(exact[name]), name
        else:
            np.testing.assert_array_equal(published[name], corrected[name], err_msg=name)
            assert_same(published[name], exact[name], name)


@given(cases(), st.floats(1e-7, 1e-2))
def test_the_eps_of_the_loss_shortens_the_gradient_by_a_known_factor(inputs: Arrays, eps: float) -> None:
    # With p the probability given to the right answer, the loss -log(p + eps) has the derivative of -log p
    # times p / (p + eps). A gradient that leaves eps out is too long by eps / p, the same for all parameters,
    # and points the same way. Where the answer is right, p > 1/2, that is less than 2 eps.
    p = math.exp(-forward(**inputs, eps=0.0))
    hand, exact = corrected_gradient(**inputs), exact_gradient(inputs, eps=eps)
    for name in PARAMETERS:
        assert_same(hand[name] * (p / (p + eps)), exact[name], name)
        assert np.linalg.norm(hand[name] - exact[name]) == pytest.approx(
            eps / p * np.linalg.norm(exact[name]), rel=1e-6, abs=ABSOLUTE
        )


# Measured: smallest and largest over the eight parameters of the gates. One draw says little about the size
# of the error, which depends on how fast this draw's state forgets; that the direction is lost holds in all.
@pytest.mark.parametrize(
    ("seed", "errors", "cosines"),
    [
        (0, (0.939, 1.22), (0.045, 0.348)),
        (1, (7.94, 32.7), (-0.46, 0.42)),
        (2, (30.5, 42.9), (-0.37, 0.09)),
        (3, (3.74, 6.14), (-0.40, 0.15)),
        (4, (166.0, 295.0), (-0.23, -0.03)),
    ],
)
def test_size_of_the_error_at_the_tutorials_start(
    seed: int, errors: tuple[float, float], cosines: tuple[float, float]
) -> None:
    inputs = tutorial.trial_inputs(64, 50, 60, np.random.default_rng(seed))
    found = [trials.judge(published_gradient, inputs)[name] for name in PARAMETERS[:8]]
    assert (min(c.relative_error for c in found), max(c.relative_error for c in found)) == pytest.approx(
        errors, rel=0.01
    )
    assert (min(c.cosine for c in found), max(c.cosine for c in found)) == pytest.approx(cosines, abs=0.01)
    assert max(c.relative_error for c in trials.judge(corrected_gradient, inputs).values()) < 1e-13


def test_the_trial_is_printed_and_drawn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trials, "DRAWS", 3)
    monkeypatch.setattr(trials, "LENGTHS", (1, 2, 3))
    monkeypatch.setattr(trials, "HIDDEN", 8)
    assert main(["trial", "--seed", "5", "--out", str(tmp_path / "new" / "trial.png")]) == 0
    printed = capsys.readouterr().out
    blocks = {block.split("  ")[0]: block.splitlines()[1:11] for block in printed.split("\n\n")[1:3]}
    expected = trials.trial(5)
    assert list(blocks) == list(expected) == ["as published", "corrected"]
    for version, lines in blocks.items():
        for name, line in zip(PARAMETERS, lines, strict=True):
            at_2 = expected[version][2][name]
            assert line.split()[0] == name
            cosine = "" if name == "b2" else f" {at_2.cosine:+.3f}"  # of one element there is none
            assert f"{at_2.relative_error:.2g}{cosine}" in line.replace("  ", " ")
            assert ("both are 0" in line) == (name in ("Wf", "bf"))  # of one word: c_before = 0
    assert "in 3 draws (seeds 0 to 2)" in printed
    assert (tmp_path / "new" / "trial.png").read_bytes().startswith(b"\x89PNG")


def test_the_heat_map_tells_right_from_wrong_without_colour() -> None:
    axes = Figure().subplots()
    columns = {
        "first": {"W": Finding(RIGHT, 3e-16), "b": Finding(RIGHT, 0.0)},
        "second": {"W": Finding(WRONG, 0.25), "b": Finding(WRONG, reason="is not finite")},
    }
    image = heat_map(axes, columns)
    assert [(text.get_text(), text.get_weight()) for text in axes.texts] == [
        *(("3e-16", "normal"), ("0.25", "bold")),
        *(("0", "normal"), ("?", "bold")),
    ]
    np.testing.assert_allclose(image.get_array(), [[np.log10(3e-16), np.log10(0.25)], [-16, 0]])
    assert [label.get_text() for label in axes.get_xticklabels()] == ["first", "second"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["W", "b"]
    lightness = image.cmap(np.linspace(0, 1, 50))[:, :3] @ (0.299, 0.587, 0.114)
    assert (np.diff(lightness) > 0).all()  # red and green would rise and fall


def test_the_referees_diagnosis(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diagnose", "--out", str(tmp_path)]) == 0
    published, one_bias, corrected, _ = capsys.readouterr().out.split("\n\n")
    assert published.startswith("as published: disagrees in 4 of 10 parameters: Wi, bi, Wcm, bcm")
    assert "the smallest case that fails: T=2, hidden=1, inputs=1" in published
    assert "first wrong at T=2 in Wi, bi, Wcm, bcm\nalso wrong at T=3 in Wf, bf, Wo, bo\n" in published
    assert "at T=2 the wrong term enters at time step 1 of 2" in published
    assert one_bias.startswith("one bias for three gates: disagrees in 2 of 10 parameters: bi, bo")
    assert "the smallest case that fails: T=1, hidden=1, inputs=1" in one_bias
    assert corrected.startswith("corrected: agrees in all of 10 parameters")
    names = sorted(file.name for file in tmp_path.iterdir())
    assert names == ["as-published.png", "corrected.png", "one-bias-for-three-gates.png"]


# --- training -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("overwritten", [True, False])
def test_one_update_after_each_review(overwritten: bool) -> None:
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((5, 4))
    parameters = initial_parameters(3, 4, rng)
    start = {name: p.copy() for name, p in parameters.items()}
    reviews = training.Reviews([np.array([0, 3, 1]), np.array([2, 2])], np.array([1.0, 0.0]))
    optimizer = SwappedAdam(parameters, lr=0.01)
    loss, accuracy = training.train_epoch(optimizer, reviews, vectors, overwritten, rng)

    gradient = published_gradient if overwritten else corrected_gradient
    losses, right = [], []
    expected, means, squares = start, dict.fromkeys(start, 0.0), dict.fromkeys(start, 0.0)
    for token_ids, y in zip(*reviews):
        inputs = {"x": vectors[token_ids], "y": y, **expected}
        losses.append(forward(**inputs))
        right.append((losses[-1] < math.log(2)) == 1)
        g = gradient(**inputs)
        means = {name: 0.999 * means[name] + 0.001 * g[name] for name in g}
        squares = {name: 0.9 * squares[name] + 0.1 * g[name] ** 2 for name in g}
        expected = {k: p - 0.01 * means[k] / np.sqrt(squares[k] + 1e-8) for k, p in expected.items()}
    for name in PARAMETERS:
        np.testing.assert_allclose(parameters[name], expected[name], rtol=1e-12, err_msg=name)
    assert (loss, accuracy) == pytest.approx((np.mean(losses), np.mean(right)), rel=1e-12)


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Reviews of a word or two: "fine" is positive in the training file, and negative in the test file."""
    for split, size, label in (("train", 20, 1), ("test", 8, 0)):
        lines = [f"{label}\tFine!\n{1 - label}\tdull.\n" for _ in range(size // 2)]
        (tmp_path / f"imdb_{split}.txt").write_text("".join(lines), encoding="utf-8")
    with zipfile.ZipFile(tmp_path / "glove.6B.zip", "w") as archive:
        rows = [f"{word}{f' {value}' * 50}\n" for word, value in (("fine", 0.1), ("dull", -0.1), ("!", 0.0))]
        archive.writestr("glove.6B.50d.txt", "".join(rows))
    monkeypatch.setenv("TINYGRAD_NP_CACHE", str(tmp_path / "cache"))
    return tmp_path


def train(data_dir: Path, version: str, epochs: int, out: Path) -> dict[str, float]:
    sizes = ["--train-size", "20", "--test-size", "8", "--epochs", str(epochs), "--seed", "3"]
    assert main(["train", version, "--data-dir", str(data_dir), *sizes, "--out", str(out)]) == 0
    metrics: dict[str, float] = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    return metrics


def test_train_command_tests_with_the_test_file(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    metrics = train(data_dir, "--as-published", 40, data_dir / "run")
    # What is right in the training file is wrong in the test file.
    assert (metrics["train_accuracy"], metrics["test_accuracy"]) == (1.0, 0.0)
    assert metrics["train_loss"] < 0.3
    assert metrics["test_loss"] > 1.5
    curves = pd.read_csv(data_dir / "run" / "metrics.csv")
    assert list(curves["epoch"]) == list(range(1, 41))
    assert curves["test_loss"].iloc[-1] == pytest.approx(metrics["test_loss"], rel=1e-12)
    assert (data_dir / "run" / "loss.png").read_bytes().startswith(b"\x89PNG")
    printed = capsys.readouterr().out
    assert f"as-published: test accuracy 0.0%, loss {metrics['test_loss']:.3f}" in printed


@pytest.mark.parametrize(("version", "overwritten"), [("--as-published", True), ("--corrected", False)])
def test_train_command_follows_the_gradient_that_it_is_asked_for(
    data_dir: Path, version: str, overwritten: bool
) -> None:
    metrics = train(data_dir, version, 2, data_dir / "run")
    parameters = initial_parameters(64, 50, np.random.default_rng(3).spawn(1)[0])
    optimizer = SwappedAdam(parameters, lr=0.001)
    vectors = np.array([[0.1], [-0.1], [0.0]], np.float32).repeat(50, axis=1)
    reviews = training.Reviews([np.array([0]), np.array([1])] * 10, np.array([1.0, 0.0] * 10))
    for _ in range(2):  # no word is unknown, so the generator has no say; signs are left out
        expected = training.train_epoch(optimizer, reviews, vectors, overwritten, np.random.default_rng(0))
    assert (metrics["train_loss"], metrics["train_accuracy"]) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train"], "one of the arguments --as-published --corrected is required"),
        (["train", "--corrected", "--as-published"], "not allowed with"),
        (["train", "--corrected", "--epochs", "0"], "takes 1 or more, not 0"),
    ],
)
def test_bad_arguments(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit:
        main(arguments)
    assert exit.value.code == 2
    assert message in capsys.readouterr().err


def test_missing_files_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["train", "--corrected", "--data-dir", str(tmp_path), "--out", str(tmp_path / "run")]
    assert main(arguments) == 1
    assert "glove.6B.zip" in capsys.readouterr().err
