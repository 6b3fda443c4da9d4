"""From texts to the network's logits: what is read, what is counted, and that the parts add up."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_np.functional as F
from datasets.glove import Glove
from datasets.text import TokenizedTexts, tokenize_texts
from models.sentiment import encoding
from models.sentiment.cli import main
from models.sentiment.config import DIMENSIONS, Config
from models.sentiment.encoding import Encoder, Examples, new_embedding
from models.sentiment.model import DEEP_SHARE, NGRAM_DROPOUT, SentimentNetwork
from models.sentiment.ngrams import Joined, NGrams, channels
from tinygrad_np import no_grad
from tinygrad_np.data import Batches
from tinygrad_np.optim import Adam
from tinygrad_np.parallel import ShardedGenerator, Workers
from tinygrad_np.training import fit

FEATURES = ("none", "channels", "wide", "joint")
NAMES = ["token_ids", "lengths", "channels", "ngram_ids", "ngram_offsets"]


def reviews(count: int = 40, seed: int = 0, n_classes: int = 2) -> tuple[TokenizedTexts, np.ndarray]:
    """Texts of a few words, whose first word says the class."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(count) % n_classes)
    words = ["a", "film", "to", "see", "again"]
    texts = [
        " ".join([["bad", "good", "odd"][label], *rng.choice(words, rng.integers(0, 9))]) for label in labels
    ]
    return tokenize_texts(texts), labels


def encoded(
    features: str, n_classes: int = 2, **settings: Any
) -> tuple[Config, Encoder, Examples, SentimentNetwork]:
    config = Config(**{"features": features, "hidden": 4, "max_ngram": 2} | settings)
    texts, labels = reviews(n_classes=n_classes)
    vocabulary, embedding = new_embedding(config, texts, np.random.default_rng(1))
    encoder, examples = Encoder.fit(config, vocabulary, texts, labels, n_classes, np.random.default_rng(2))
    network = SentimentNetwork(config, embedding, np.random.default_rng(3), encoder.ngrams, n_classes)
    return config, encoder, examples, network


@pytest.mark.parametrize("features", FEATURES)
def test_a_batch_has_what_the_features_need(features: str) -> None:
    _, encoder, examples, _ = encoded(features)
    texts, labels = reviews(seed=5)
    for some, own in ((examples, reviews()[1]), (encoder.encode(texts, labels), labels)):
        rows = np.array([7, 3, 3, 20])
        *inputs, target = some[rows]
        batch = dict(zip(NAMES, inputs, strict=True))
        np.testing.assert_array_equal(target, own[rows])
        np.testing.assert_array_equal(batch["lengths"], some.lengths[rows])
        assert batch["token_ids"].shape == (4, some.lengths[rows].max())
        needed = {"none": [], "channels": ["channels"], "wide": NAMES[3:], "joint": NAMES[2:]}[features]
        assert [name for name in NAMES[2:] if batch[name] is not None] == needed
        for i, row in enumerate(rows):
            length = some.lengths[row]
            np.testing.assert_array_equal(batch["token_ids"][i, :length], some.token_ids[row])
            assert not batch["token_ids"][i, length:].any()
            if batch["channels"] is not None:
                assert batch["channels"].shape[2] == 2
                assert not batch["channels"][i, length:].any()
    assert len(encoder.encode(texts)[np.arange(2)]) == len(NAMES)  # no labels


def test_a_shard_is_as_long_as_the_whole_batch() -> None:
    _, _, examples, _ = encoded("joint")
    rows = np.argsort(examples.lengths)[[0, 1, -1, 5]]
    whole, part = examples[rows], examples.shard(rows, slice(0, 2))
    for everything, some in zip(whole[:3] + whole[5:], part[:3] + part[5:], strict=True):
        np.testing.assert_array_equal(some, everything[:2])
    np.testing.assert_array_equal(part[4], whole[4][:3])
    np.testing.assert_array_equal(part[3], whole[3][: whole[4][2]])


def test_of_a_long_text_the_beginning_and_the_end_are_read_and_all_is_counted() -> None:
    _, encoder, examples, _ = encoded("joint")
    _, cut, short, _ = encoded("joint", max_tokens=6)
    assert (short.lengths == np.minimum(examples.lengths, 6)).all()
    assert examples.lengths.max() > 6
    for i, ids in enumerate(examples.token_ids):
        places = np.arange(len(ids)) if len(ids) <= 6 else [0, *range(len(ids) - 5, len(ids))]
        np.testing.assert_array_equal(short.token_ids[i], ids[places])
        np.testing.assert_array_equal(short.channels[i], examples.channels[i][places])
    np.testing.assert_array_equal(short.ngrams.numbers, examples.ngrams.numbers)
    texts, _ = reviews(seed=5)
    for a, b in zip(cut.encode(texts).token_ids, encoder.encode(texts).token_ids, strict=True):
        np.testing.assert_array_equal(a, b if len(b) <= 6 else np.concatenate([b[:1], b[-5:]]))


def test_channels_of_training_texts_are_out_of_fold_and_those_of_others_are_not() -> None:
    _, encoder, examples, _ = encoded("channels")
    same = encoder.encode(*reviews())
    np.testing.assert_array_equal(
        same.channels[0],
        channels(encoder.ngrams.numbers(joined(same)), encoder.ngrams.ratios)[: len(same.channels[0])],
    )
    difference = np.concatenate(same.channels) - np.concatenate(examples.channels)
    assert np.abs(difference).max() > 0.1
    # the word that says the class of its text says less where the text itself is not counted
    first = np.array([[abs(some.channels[i][0, 0]) for some in (same, examples)] for i in range(40)])
    assert (first[:, 0] > first[:, 1]).all()


def joined(examples: Examples) -> Joined:
    return Joined.join(examples.token_ids)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("features", FEATURES)
def test_logits_are_those_of_the_parts_and_the_loss_trains_each(features: str, n_classes: int) -> None:
    _, _, examples, network = encoded(features, n_classes, dropout=0.0)
    *inputs, labels = examples[np.arange(12)]
    if features in ("wide", "joint"):
        network.wide.weight.data[...] = np.random.default_rng(0).normal(size=network.wide.weight.shape)
    network.eval()
    answer = network(*inputs)
    assert answer.parts == ()
    assert answer.logits.shape == ((12,) if n_classes == 2 else (12, 3))
    cross_entropy = F.binary_cross_entropy_with_logits if n_classes == 2 else F.cross_entropy
    assert network.loss(answer, labels).item() == cross_entropy(answer.logits, labels).item()
    likely = answer.logits.data > 0 if n_classes == 2 else answer.logits.data.argmax(axis=1)
    assert network.accuracy(answer, labels) == (likely == labels).mean()
    if features in ("wide", "joint"):  # by the formula, text by text
        wide = network.wide(*inputs[3:]).data
        for i, (start, stop) in enumerate(zip(inputs[4][:-1], inputs[4][1:], strict=True)):
            held = inputs[3][start:stop]
            expected = (network.wide.weight.data[held] * network.wide.ratios[held]).sum(axis=0)
            np.testing.assert_allclose(wide[i], expected, rtol=1e-4, atol=1e-5)
    if features == "joint":
        network.train()
        answer = network(*inputs)
        wide, deep = answer.parts
        np.testing.assert_allclose(answer.logits.data, wide.data + DEEP_SHARE * deep.data, rtol=1e-5)
        expected = sum(cross_entropy(logits, labels).item() for logits in (answer.logits, wide, deep))
        assert network.loss(answer, labels).item() == pytest.approx(expected, rel=1e-6)


def test_ngrams_are_dropped_in_training_by_a_seed_a_text() -> None:
    _, _, examples, network = encoded("wide")
    *inputs, _ = examples[np.arange(40)]
    wide = network.wide
    wide.weight.data[...] = 1 / wide.ratios  # so that each n-gram counts 1
    wide.rng = np.random.default_rng(4)
    out = wide(*inputs[3:]).data[:, 0]
    whole = np.diff(inputs[4])
    kept = out * (1 - NGRAM_DROPOUT) / whole
    assert kept.mean() == pytest.approx(1 - NGRAM_DROPOUT, abs=0.06)
    assert kept.min() < kept.max()
    shard = Workers()
    shard.rank, shard.size = 1, 2
    wide.rng = ShardedGenerator(np.random.default_rng(4), shard)
    wide.rng.batch_size = 40
    *part, _ = examples.shard(np.arange(40), shard.shard)
    np.testing.assert_allclose(wide(*part[3:]).data[:, 0], out[shard.shard], rtol=1e-5)


@pytest.mark.parametrize("features", FEATURES)
@pytest.mark.parametrize("n_classes", [2, 3])
def test_every_kind_learns(features: str, n_classes: int) -> None:
    _, encoder, examples, network = encoded(features, n_classes, dropout=0.0)
    batches = Batches(examples, 8, shuffle=True, rng=0)
    optimizer, metrics = Adam(network.parameters(), lr=0.03), {"accuracy": network.accuracy}
    trained = fit(network, network.loss, batches, None, optimizer, epochs=10, metrics=metrics, progress=False)
    texts, labels = reviews(60, seed=9, n_classes=n_classes)
    network.eval()
    with no_grad():
        *inputs, _ = encoder.encode(texts, labels)[np.arange(60)]
        assert network.accuracy(network(*inputs), labels) > 0.9
    assert trained.history[-1]["train_accuracy"] > 0.9


@pytest.mark.parametrize("embeddings", ["glove", "tuned", "learned"])
def test_words_to_know_and_their_vectors(embeddings: str, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = np.arange(3 * DIMENSIONS, dtype=np.float32).reshape(3, DIMENSIONS)
    monkeypatch.setattr(encoding, "load_glove", lambda *args: Glove(["film", "the", "once"], vectors))
    texts = tokenize_texts(["a film once", "a film xyzzy", "a plugh xyzzy"])
    known = {
        ("glove", "none"): ["film", "once", "the"],
        ("glove", "joint"): ["a", "film", "xyzzy", "once", "the"],
        ("tuned", "none"): ["a", "film", "xyzzy"],
        ("tuned", "joint"): ["a", "film", "xyzzy"],
        ("learned", "none"): ["a", "film", "xyzzy"],
        ("learned", "joint"): ["a", "film", "xyzzy"],
    }
    for features in ("none", "joint"):
        config = Config(embeddings=embeddings, features=features)
        vocabulary, embedding = new_embedding(config, texts, np.random.default_rng(0))
        assert vocabulary.tokens[2:] == known[embeddings, features]
        table = embedding.weight.data
        assert len(table) == len(vocabulary)
        assert not table[0].any()
        assert embedding.weight.requires_grad == (embeddings != "glove")
        if embeddings != "learned":
            row = {word: table[i] for i, word in enumerate(vocabulary.tokens)}
            np.testing.assert_array_equal(row["film"], vectors[0])
            for word in {"<unk>", "a", "xyzzy"} & row.keys():
                np.testing.assert_array_equal(row[word], vectors.mean(axis=0))


@pytest.mark.parametrize("embeddings", ["glove", "tuned", "learned"])
@pytest.mark.parametrize("texts", [["x y", "z"], ["", ""]])
def test_texts_of_which_no_word_is_known_are_encoded(
    embeddings: str, texts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = np.ones((1, DIMENSIONS), np.float32)
    monkeypatch.setattr(encoding, "load_glove", lambda *args: Glove(["film"], vectors))
    config, tokenized, labels = (
        Config(embeddings=embeddings, features="joint"),
        tokenize_texts(texts),
        np.arange(2),
    )
    vocabulary, embedding = new_embedding(config, tokenized, np.random.default_rng(0))
    encoder, examples = Encoder.fit(config, vocabulary, tokenized, labels, 2, np.random.default_rng(0))
    network = SentimentNetwork(config, embedding, np.random.default_rng(0), encoder.ngrams)
    *inputs, own = examples[labels]
    assert not inputs[2].any()
    assert len(inputs[3]) == 0
    np.testing.assert_array_equal(own, labels)
    assert np.isfinite(network(*inputs).logits.data).all()


@pytest.mark.parametrize("features", FEATURES[1:])
def test_a_run_works_elsewhere_and_each_of_its_files_is_its_own(
    features: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    sizes = ["--train-size", "60", "--test-size", "20", "--epochs", "1", "--hidden", "4", "--max-ngram", "2"]
    assert main(["train", "--data", "demo", "--features", features, *sizes, "--out", str(here)]) == 0
    accuracy = json.loads((here / "metrics.json").read_text(encoding="utf-8"))["test_accuracy"]
    here.rename(there)
    capsys.readouterr()
    assert main(["baselines", "--data", "demo", *sizes[:4], "--run", str(there)]) == 0
    *linear, own = capsys.readouterr().out.splitlines()[1:]
    assert [line.split("  ")[0][-1] for line in linear] == ["%", "%"]
    assert own.startswith(f"{accuracy:.1%}  {there}, features {features}: ")
    (there / "ngrams.safetensors").rename(there / "away")
    assert main(["predict", "--run", str(there), "good"]) == 1
    assert "holds no ngrams.safetensors" in capsys.readouterr().err
    ngrams = NGrams.load(there / "away")
    NGrams(ngrams.keys, ngrams.ratios + np.float32(0.5), ngrams.n_tokens).save(there / "ngrams.safetensors")
    assert main(["predict", "--run", str(there), "good"]) == 1
    assert "ngrams.safetensors is not the file that this training wrote" in capsys.readouterr().err
    NGrams(ngrams.keys[:1], ngrams.ratios[: len(ngrams.keys[0])], 9).save(there / "ngrams.safetensors")
    assert main(["predict", "--run", str(there), "good"]) == 1
    assert "ngrams.safetensors holds n-grams of 1 to 1 of 9 words, and it should" in capsys.readouterr().err
