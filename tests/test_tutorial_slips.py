"""What the tutorial does beside its gradient: what comes of each, and what this repository does instead."""

import math
import re
from pathlib import Path

import numpy as np
import pytest

from datasets.imdb import load_imdb
from datasets.text import Vocabulary, clean, paragraphs, sentences, tokenize, tokenize_texts
from models.sentiment.config import Config
from models.sentiment.encoding import Encoder
from models.sentiment.evaluate import probabilities
from models.sentiment.model import SentimentNetwork
from models.sentiment.sources import Reviews, load_test, load_train
from models.tutorial_lstm import model as tutorial_lstm
from models.tutorial_lstm import train as tutorial_train
from models.tutorial_slips import SwappedAdam, initial_parameters, word_vectors
from tinygrad_np import Tensor, no_grad
from tinygrad_np import functional as F
from tinygrad_np.nn import LSTM, Embedding
from tinygrad_np.optim import Adam

# --- its Adam -----------------------------------------------------------------------------------------


def distances(gradients: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far each gradient moves a parameter, in learning rates: the tutorial's Adam, and ours."""
    theirs, ours = {"p": np.zeros(1)}, Tensor(np.zeros(1), requires_grad=True)
    swapped, adam = SwappedAdam(theirs, lr=1.0), Adam([ours], lr=1.0)
    places = [(0.0, 0.0)]
    for g in gradients:
        swapped.step({"p": np.array([g])})
        ours.grad = np.array([g])
        adam.step()
        places.append((theirs["p"][0], ours.data[0]))
    moved = -np.diff(np.array(places), axis=0)
    return moved[:, 0], moved[:, 1]


def test_adam_without_bias_correction_starts_at_a_300th_of_its_rate() -> None:
    theirs, ours = distances(np.full(2302, 0.5))
    np.testing.assert_allclose(ours, 1, rtol=1e-7)  # the learning rate, from the first step on
    t = np.arange(1, 2303)
    np.testing.assert_allclose(theirs, (1 - 0.999**t) / np.sqrt(1 - 0.9**t), rtol=1e-6)
    assert theirs[0] == pytest.approx(0.00316, rel=1e-3)
    assert theirs[99] == pytest.approx(0.0952, rel=1e-3)
    assert theirs[-1] == pytest.approx(0.9, rel=1e-3)  # after more reviews than an epoch of 2,000 has


def test_adam_with_swapped_betas_carries_one_gradient_8000_learning_rates_far() -> None:
    theirs, ours = distances(np.concatenate([[1.0], np.zeros(2999)]))
    k = np.arange(3000)
    np.testing.assert_allclose(theirs, 1e-3 * 0.999**k / np.sqrt(0.1 * 0.9**k + 1e-8), rtol=1e-9)
    assert theirs.sum() == pytest.approx(8196, rel=1e-3)  # at the tutorial's rate of 0.001: 8.2
    assert theirs.max() == pytest.approx(8.19, rel=1e-3)
    assert ours.sum() == pytest.approx(6.01, rel=1e-3)
    assert ours.max() == pytest.approx(1, rel=1e-6)


def test_adam_with_eps_inside_of_the_root_shrinks_steps_of_small_gradients() -> None:
    # sqrt(1e-8) = 1e-4 takes the place of 1e-8: what is small beside 1e-4 is no longer scaled up
    theirs, ours = distances(np.full(8000, 1e-6))
    assert theirs[-1] == pytest.approx(0.01, rel=1e-3)
    assert ours[-1] == pytest.approx(0.99, rel=1e-3)


# --- its initial weights ------------------------------------------------------------------------------


def test_half_of_the_gates_start_saturated() -> None:
    # Words as long as those of GloVe are on average: the length of a vector of 50 from N(0, 0.71^2) is 5.
    rng = np.random.default_rng(0)
    x = 0.71 * rng.standard_normal((400, 50))

    def saturated(gates: np.ndarray) -> float:
        return float(((gates < 0.05) | (gates > 0.95)).mean())

    parameters = initial_parameters(64, 50, rng)
    steps = tutorial_lstm.unroll(x, *[parameters[name] for name in tutorial_lstm.PARAMETERS[:8]])
    theirs = saturated(np.array([(step.f, step.i, step.o) for step in steps]))
    # A gate's input is normal, its deviation is the length of z = [h; x], and it saturates beyond log(19).
    expected = np.mean([math.erfc(math.log(19) / np.linalg.norm(step.z) / math.sqrt(2)) for step in steps])
    assert theirs == pytest.approx(expected, abs=0.02)
    assert theirs == pytest.approx(0.61, abs=0.02)

    lstm = LSTM(50, 64, rng=0, dtype=np.float64)
    with no_grad():
        h = lstm(Tensor(x[np.newaxis]))[0].data[0]
        before = np.concatenate([np.zeros((1, 64)), h[:-1]])
        inputs = F.linear(Tensor(x), lstm.weight_ih_l0, lstm.bias_ih_l0) + F.linear(
            Tensor(before), lstm.weight_hh_l0, lstm.bias_hh_l0
        )
    i, f, _, o = np.split(F.sigmoid(inputs).data, 4, axis=1)
    assert saturated(np.array([i, f, o])) == 0
    assert float(f.mean()) == pytest.approx(0.72, abs=0.02)  # a forget bias of 1: most of the state is kept


# --- its vectors of unknown words ---------------------------------------------------------------------


def test_one_text_with_an_unknown_word_has_many_answers_there_and_one_here() -> None:
    rng = np.random.default_rng(0)
    table = rng.standard_normal((5, 50))
    parameters = initial_parameters(64, 50, rng)

    def part_called_positive(token_ids: list[int]) -> float:
        readings = tutorial_train.Reviews([np.array(token_ids)] * 200, np.ones(200))
        return tutorial_train.evaluate(parameters, readings, table, rng)[1]

    assert part_called_positive([0, 1, 2, 3, 4]) == 1
    assert part_called_positive([0, 1, 2, 3, -1]) == pytest.approx(0.5, abs=0.2)
    first, second = (word_vectors(np.array([2, -1]), table, rng) for _ in range(2))
    np.testing.assert_array_equal(first[0], table[2])
    np.testing.assert_array_equal(second[0], table[2])
    assert np.linalg.norm(first[1] - second[1]) == pytest.approx(10, abs=2)  # sqrt(2 * 50)

    vocabulary = Vocabulary([Vocabulary.PADDING, Vocabulary.UNKNOWN, "a", "film"])
    embedding = Embedding.from_pretrained(table[:4].astype(np.float32), padding_idx=0)
    model = SentimentNetwork(Config(hidden=8), embedding, np.random.default_rng(0))
    readings = [
        probabilities(model, Encoder(vocabulary).encode(tokenize_texts([text])))[0]
        for text in ("a xyzzy film", "a xyzzy film", "a plugh film")
    ]
    assert readings[0] == readings[1] == readings[2]


# --- its test set -------------------------------------------------------------------------------------


def test_a_test_set_from_the_training_file_rewards_learning_by_heart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for split in ("train", "test"):
        lines = [f"{i % 2}\tThe {split} film number {i}.\n" for i in range(40)]
        (tmp_path / f"imdb_{split}.txt").write_text("".join(lines), encoding="utf-8")
    monkeypatch.setenv("TINYGRAD_NP_CACHE", str(tmp_path / "cache"))
    config = Config(data="imdb", data_dir=str(tmp_path), embeddings="glove", train_size=40, test_size=40)

    def labeled(*parts: Reviews) -> dict[str, int]:
        return {
            " ".join(part.texts.tokens[i] for i in ids): label
            for part in parts
            for ids, label in zip(part.texts.token_ids, part.labels)
        }

    train, test = labeled(*load_train(config)), labeled(load_test(config))
    table = load_imdb("train", tmp_path, 40, 0)
    theirs = {" ".join(tokenize(text)): label for text, label in zip(table["review"], table["sentiment"])}
    assert len(train) == len(test) == len(theirs) == 40
    assert theirs == train

    def accuracy(reviews: dict[str, int]) -> float:  # of a model that knows the training reviews by heart
        return float(np.mean([train.get(text, 1) == label for text, label in reviews.items()]))

    assert accuracy(theirs) == 1.0
    assert accuracy(test) == 0.5
    assert train.keys().isdisjoint(test)


# --- its way with text ------------------------------------------------------------------------------


def test_tags_become_words_there_and_blanks_here() -> None:
    text = 'A good start.<br /><br />A <a href="great">dull</a> end.'
    theirs = re.sub(r"[^a-z ]", "", text.lower()).split()  # punctuation out, tags not
    assert theirs == ["a", "good", "startbr", "br", "a", "a", "hrefgreatdulla", "end"]
    assert tokenize(text) == ["a", "good", "start", ".", "a", "dull", "end", "."]
    assert clean(text) == "a good start. a dull end."


def test_the_last_sentence_without_full_stop_is_lost_there_and_kept_here() -> None:
    def their_sentences(text: str) -> list[str]:
        return text.split(".")[:-1]  # as if something empty always followed the last full stop

    whole, open_end = "It starts well. The end is awful.", "It starts well. The end is awful"
    assert their_sentences(whole) == ["It starts well", " The end is awful"]
    assert their_sentences(open_end) == ["It starts well"]
    assert their_sentences("No full stop at all!") == []
    assert sentences(open_end) == ["It starts well.", "The end is awful"]
    assert paragraphs(open_end, 4) == ["It starts well.", "The end is awful"]
    assert sentences("No full stop at all!") == ["No full stop at all!"]
