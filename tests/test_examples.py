"""The small examples: what they learn in a short time, their pictures, and what they say of wrong input."""

from pathlib import Path

import numpy as np
import pytest

from datasets import load_small_digits
from models import char_transformer, mnist
from tinygrad_np import Tensor


def test_the_convolutional_network_reads_small_digits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert mnist.main(["--data", "digits", "--model", "cnn", "--epochs", "9", "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 10
    found = float(said[-1].partition("digits: ")[2].partition("%")[0])
    assert found > 96  # 98 with the epochs that it takes unless told
    assert (tmp_path / "digits-cnn.png").read_bytes().startswith(b"\x89PNG")


def test_the_same_seed_trains_the_same_network() -> None:
    data = load_small_digits()
    one, two = (mnist.train("mlp", data, 2, seed=3) for _ in range(2))
    assert [row | {"seconds": 0} for row in one.history] == [row | {"seconds": 0} for row in two.history]
    for a, b in zip(one.model.state_dict().values(), two.model.state_dict().values()):
        np.testing.assert_array_equal(a, b)


def test_where_mnist_cannot_be_had_the_small_digits_stand_in(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(data_dir: object) -> None:
        raise RuntimeError("the server cannot be reached")

    monkeypatch.setattr(mnist, "load_mnist", unreachable)
    assert mnist.main(["--epochs", "1", "--out", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert "in its place: the small digits" in err
    assert "on digits" in out
    monkeypatch.undo()
    assert mnist.main(["--data-dir", str(tmp_path)]) == 1  # a directory without the files is a mistake
    assert "train-images-idx3-ubyte.gz is missing" in capsys.readouterr().err


def test_letters_of_words_and_of_nothing() -> None:
    letters = char_transformer.as_letters(["Not bad!", "", "a" * 30])
    assert letters.shape[::2] == (3, char_transformer.LONGEST_WORD)
    assert letters[0, 0, :4].tolist() == [14, 15, 20, 0]
    assert not letters[1].any()
    assert letters[2, 0].tolist() == [1] * char_transformer.LONGEST_WORD


def test_padding_has_no_influence_on_the_transformer() -> None:
    model = char_transformer.CharTransformer(np.random.default_rng(0))
    model.eval()
    short = char_transformer.as_letters(["the plot was good", "dull"])
    longer = np.concatenate([short, np.zeros_like(short)], axis=1)
    np.testing.assert_allclose(model(short).data, model(longer).data, rtol=1e-5)
    empty = model(char_transformer.as_letters(["", "good"]))
    assert isinstance(empty, Tensor)
    assert np.isfinite(empty.data).all()


def test_the_transformer_learns_and_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert char_transformer.main(["--reviews", "64", "--epochs", "2", "--out", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "a count of words: test 50.0%" in out
    assert (tmp_path / "char-transformer.png").read_bytes().startswith(b"\x89PNG")
    losses = [float(line.partition("loss ")[2][:6]) for line in out.splitlines() if "loss" in line]
    assert len(losses) == 2
    assert losses[1] < losses[0]
    assert char_transformer.main(["--reviews", "3"]) == 1  # they come in pairs
    assert "even number" in capsys.readouterr().err
