"""The reader of models.sentiment: each setting does what its help says, and padding has no part in it."""

from itertools import product
from typing import Any

import numpy as np
import pytest

from models.sentiment.config import Config
from models.sentiment.reader import Pooling, Reader, WordNorm
from tinygrad_np import Tensor
from tinygrad_np.gradcheck import gradcheck
from tinygrad_np.nn import LSTM, Embedding, Layer
from tinygrad_np.parallel import ShardedGenerator, Workers

LENGTHS = np.array([5, 0, 1, 7])
NETWORKS = ("lstm", "transformer")
POOLINGS = ("last", "mean", "max", "mean-max", "attention")
EVERY_DROPOUT = ("dropout", "input_dropout", "recurrent_dropout", "word_dropout", "channel_dropout")


def new_reader(n_channels: int = 0, frozen: bool = False, **settings: Any) -> Reader:
    """A reader of 12 words in float64, without dropout unless told."""
    rng = np.random.default_rng(3)
    embedding = Embedding(12, 6, padding_idx=0, rng=rng, dtype=np.float64)
    embedding.weight.requires_grad = not frozen
    return Reader(Config(**{"hidden": 4, "dropout": 0} | settings), embedding, n_channels, rng)


def texts(time: int = 7, seed: int = 0) -> np.ndarray:
    """The same words for every `time`, and others in the padding for every seed."""
    ids = np.random.default_rng(seed).integers(2, 12, (4, time))
    for row, length in zip(ids, LENGTHS):
        row[:length] = 2 + np.arange(length) % 10
    return ids


class AsItIs(Layer):
    """In the place of the network: what goes in comes out."""

    def forward(self, x: Tensor, lengths: np.ndarray) -> Tensor:
        return x


# --- padding and company ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("network", "pooling", "norm"), [*product(NETWORKS, POOLINGS, ("none", "batch", "layer"))]
)
def test_padding_and_company_have_no_influence(network: str, pooling: str, norm: str) -> None:
    both_ways = network == "lstm"
    reader = new_reader(network=network, pooling=pooling, norm=norm, layers=2, bidirectional=both_ways)
    trained = reader(texts(), LENGTHS).data
    assert trained.shape == (4, reader.features)
    assert not trained[1].any()  # it has no words
    assert all(trained[row].any() for row in (0, 2, 3))
    # in training the statistics of batch norm are those of the words alone
    np.testing.assert_allclose(reader(texts(11, seed=1), LENGTHS).data, trained, rtol=1e-9, atol=1e-12)
    reader.eval()
    together = reader(texts(), LENGTHS).data
    for row, length in enumerate(LENGTHS):
        alone = reader(texts()[row : row + 1, :length], LENGTHS[row : row + 1]).data
        np.testing.assert_allclose(alone[0], together[row], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("network", "pooling"), [*product(NETWORKS, POOLINGS)])
def test_texts_without_words_and_batches_without_texts(network: str, pooling: str) -> None:
    reader = new_reader(
        2, network=network, pooling=pooling, norm="batch", word_dropout=0.5, input_dropout=0.5
    )
    for texts_, time in ((3, 0), (3, 2), (0, 0), (0, 4)):
        channels = np.ones((texts_, time, 2))
        out = reader(np.full((texts_, time), 5), np.zeros(texts_, int), channels)
        np.testing.assert_array_equal(out.data, np.zeros((texts_, reader.features)))
        out.sum().backward()


def test_one_word_in_training_is_normalised_by_the_running_statistics() -> None:
    reader = new_reader(norm="batch", pooling="mean")
    ids, lengths = texts()[2:3], LENGTHS[2:3]
    np.testing.assert_array_equal(reader(ids, lengths).data, reader.eval()(ids, lengths).data)


# --- pooling ------------------------------------------------------------------------------------------


def test_pooling_is_what_its_name_says(rng: np.random.Generator) -> None:
    output = rng.standard_normal((4, 7, 6)) - 3  # below 0, so that padding would be the largest
    output *= (np.arange(7) < LENGTHS[:, np.newaxis])[..., np.newaxis]

    def pooled(kind: str, bidirectional: bool = False) -> np.ndarray:
        layer = Pooling(kind, 6, bidirectional, np.random.default_rng(0), np.dtype(np.float64))
        if kind == "attention":
            keys = np.tanh(output @ layer.key.weight.data.T + layer.key.bias.data)  # type: ignore[union-attr]
            weights = np.exp(keys @ layer.query.data[0]) * (np.arange(7) < LENGTHS[:, np.newaxis])
            weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1e-300)
            expected = (weights[..., np.newaxis] * output).sum(axis=1)
            np.testing.assert_allclose(layer(Tensor(output), LENGTHS).data, expected, rtol=1e-12)
        found: np.ndarray = layer(Tensor(output), LENGTHS).data
        return found

    rows = [output[row, :length] for row, length in enumerate(LENGTHS)]
    nothing = np.zeros(6)
    mean = [row.mean(axis=0) if len(row) else nothing for row in rows]
    largest = [row.max(axis=0) if len(row) else nothing for row in rows]
    last = np.stack([row[-1] if len(row) else nothing for row in rows])
    first = np.stack([row[0] if len(row) else nothing for row in rows])
    np.testing.assert_allclose(pooled("mean"), mean, rtol=1e-12)
    np.testing.assert_array_equal(pooled("max"), largest)
    np.testing.assert_array_equal(pooled("mean-max"), np.concatenate([pooled("mean"), pooled("max")], axis=1))
    np.testing.assert_array_equal(pooled("last"), last)
    # the LSTM that reads from the end has read all words when it comes to the first
    np.testing.assert_array_equal(pooled("last", True), np.concatenate([last[:, :3], first[:, 3:]], axis=1))
    pooled("attention")


def test_last_is_the_state_after_the_last_word() -> None:
    reader = new_reader(pooling="last", bidirectional=True)
    (lstm,) = reader.network.layers  # type: ignore[union-attr]
    _, (h, _) = lstm(reader.embedding.weight, lengths=LENGTHS, indices=texts())
    np.testing.assert_array_equal(reader(texts(), LENGTHS).data, h.data.transpose(1, 0, 2).reshape(4, 8))


# --- dropout ------------------------------------------------------------------------------------------


def test_words_are_dropped_as_often_as_told_whatever_the_padding() -> None:
    reader = new_reader(word_dropout=0.3, pooling="mean")
    reader.rng = np.random.default_rng(1)
    dropped = reader.dropped_words((400, 50))
    assert dropped.mean() == pytest.approx(0.3, abs=0.01)
    assert (dropped[0] != dropped[1]).any()
    reader.rng = np.random.default_rng(1)
    np.testing.assert_array_equal(reader.dropped_words((400, 80))[:, :50], dropped)
    # those words are unknown
    reader.rng = np.random.default_rng(1)
    dropped = reader.dropped_words((4, 7))
    assert dropped.any()
    reader.rng = np.random.default_rng(1)
    trained = reader(texts(), LENGTHS).data
    reader.eval()
    np.testing.assert_array_equal(trained, reader(np.where(dropped, 1, texts()), LENGTHS).data)
    # a worker's shard drops what the whole batch would
    shard = Workers()
    shard.rank, shard.size = 1, 2
    reader.rng = ShardedGenerator(np.random.default_rng(1), shard)
    reader.rng.batch_size = 4
    np.testing.assert_array_equal(reader.dropped_words((2, 7)), dropped[shard.shard])


def test_inputs_and_channels_are_dropped_all_along_a_text() -> None:
    reader = new_reader(2, input_dropout=0.5, channel_dropout=0.25)
    reader.network = AsItIs()  # type: ignore[assignment]
    reader.pooling = AsItIs()  # type: ignore[assignment]
    ids = np.full((300, 3), 5)
    out = reader(ids, np.full(300, 3), np.ones((300, 3, 2))).data
    np.testing.assert_array_equal(out[:, 0], out[:, 1])
    vectors, channels = out[:, 0, :6], out[:, 0, 6:]
    kept = vectors != 0
    np.testing.assert_allclose(vectors, kept * 2 * reader.embedding.weight.data[5], rtol=1e-12)
    assert kept.mean() == pytest.approx(0.5, abs=0.03)
    assert set(channels.ravel()) == {0, 1 / 0.75}
    assert (channels == 0).mean() == pytest.approx(0.25, abs=0.04)


def test_dropout_is_of_the_features_and_between_layers() -> None:
    plain = new_reader(layers=2).eval()
    reader = new_reader(layers=2, dropout=0.5)
    features, dropped = plain(texts(), LENGTHS).data, reader(texts(), LENGTHS).data
    assert ((dropped == 0) & (features != 0)).any()
    reader.dropout.p = 0  # what is left is between the layers
    between = reader(texts(), LENGTHS).data
    assert (between[[0, 2, 3]] != features[[0, 2, 3]]).all()
    reader.network.dropout.p = 0  # type: ignore[union-attr]
    np.testing.assert_array_equal(reader(texts(), LENGTHS).data, features)


@pytest.mark.parametrize("network", NETWORKS)
def test_nothing_is_dropped_in_evaluation(network: str) -> None:
    settings: dict[str, Any] = {"network": network, "layers": 2, "pooling": "mean-max"}
    channels = np.random.default_rng(0).standard_normal((4, 7, 2))
    plain = new_reader(2, **settings)
    expected = plain(texts(), LENGTHS, channels).data
    reader = new_reader(2, **settings | dict.fromkeys(EVERY_DROPOUT, 0.4))
    reader.load_state_dict(plain.state_dict())
    assert (reader(texts(), LENGTHS, channels).data != expected).any()
    np.testing.assert_array_equal(reader.eval()(texts(), LENGTHS, channels).data, expected)
    for name in EVERY_DROPOUT:  # each of them drops something by itself
        alone = new_reader(2, **settings | {name: 0.4})
        assert (alone(texts(), LENGTHS, channels).data != expected).any(), name
    no_channels = new_reader(input_dropout=0.4, **settings)
    assert (no_channels(texts(), LENGTHS).data != no_channels.eval()(texts(), LENGTHS).data).any()


def test_the_lstm_is_one_primitive_whatever_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    def composed(*args: Any, **named: Any) -> Any:
        raise AssertionError("the LSTM was built from many primitives")

    monkeypatch.setattr(LSTM, "functions", (LSTM.functions[0], composed))
    for norm in ("none", "batch"):
        settings = dict.fromkeys(EVERY_DROPOUT, 0.4) | {"layers": 2, "bidirectional": True, "norm": norm}
        reader = new_reader(2, **settings)
        reader(texts(), LENGTHS, np.ones((4, 7, 2))).sum().backward()
    with pytest.raises(AssertionError, match="many primitives"):
        LSTM(2, 3, recurrent_dropout=0.5, rng=0)(Tensor(np.ones((1, 2, 2))))


# --- norms, initial weights, gradients ----------------------------------------------------------------


def test_norms_are_of_the_words_alone(rng: np.random.Generator) -> None:
    x = rng.standard_normal((4, 7, 6)) * 3 + 5
    there = np.arange(7) < LENGTHS[:, np.newaxis]
    words = x[there]
    batch, layer, none = (WordNorm(kind, 6, np.dtype(np.float64)) for kind in ("batch", "layer", "none"))
    found = batch(Tensor(x), LENGTHS).data
    np.testing.assert_allclose(
        found[there], (words - words.mean(axis=0)) / np.sqrt(words.var(axis=0) + 1e-5), rtol=1e-9
    )
    assert not found[~there].any()
    np.testing.assert_allclose(batch.norm.running_mean.data, 0.1 * words.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(batch.norm.running_var.data, 0.9 + 0.1 * words.var(axis=0, ddof=1), rtol=1e-12)
    found = layer(Tensor(x), LENGTHS).data
    mean, variance = words.mean(axis=1, keepdims=True), words.var(axis=1, keepdims=True)
    np.testing.assert_allclose(found[there], (words - mean) / np.sqrt(variance + 1e-5), rtol=1e-9)
    assert not found[~there].any()
    np.testing.assert_array_equal(none(Tensor(x), LENGTHS).data, x)


@pytest.mark.parametrize(("network", "layers"), [("lstm", 1), ("transformer", 2)])
def test_what_is_pooled_was_normalised(network: str, layers: int) -> None:
    reader = new_reader(network=network, layers=layers, norm="layer", hidden=8)
    reader.pooling = AsItIs()  # type: ignore[assignment]
    output = reader(texts(), LENGTHS).data[np.arange(7) < LENGTHS[:, np.newaxis]]
    np.testing.assert_allclose(output.mean(axis=1), 0, atol=1e-12)
    assert (output.var(axis=1) > 0.9).all()
    two = new_reader(layers=2, norm="layer")
    first, _ = two.network.norms  # type: ignore[union-attr]
    first.norm.bias.data += 1  # that of the first layer stands before the second
    assert (
        two(texts(), LENGTHS).data[0] != new_reader(layers=2, norm="layer")(texts(), LENGTHS).data[0]
    ).all()


@pytest.mark.parametrize("network", NETWORKS)
def test_initial_matrices_follow_their_rule_gate_by_gate(network: str) -> None:
    settings: dict[str, Any] = {"network": network, "hidden": 16, "pooling": "attention"}
    readers = {name: new_reader(init=name, **settings) for name in ("default", "xavier", "orthogonal")}
    vectors = readers["default"].embedding.weight.data
    for name, weight in readers["default"].named_parameters():
        xavier, orthogonal = (
            readers[rule].named_parameters()[name].data for rule in ("xavier", "orthogonal")
        )
        if weight.ndim < 2 or weight.data is vectors:  # the words' vectors, biases and norms stay
            np.testing.assert_array_equal(xavier, weight.data)
            np.testing.assert_array_equal(orthogonal, weight.data)
            continue
        count = 4 if "weight_ih" in name or "weight_hh" in name else 3 if "in_proj" in name else 1
        for matrix in np.split(xavier, count):
            bound = np.sqrt(6 / sum(matrix.shape))
            assert 0.8 * bound < np.abs(matrix).max() <= bound, name
        for matrix in np.split(orthogonal, count):
            square = matrix @ matrix.T if len(matrix) <= matrix.shape[1] else matrix.T @ matrix
            np.testing.assert_allclose(square, np.eye(len(square)), atol=1e-12)


@pytest.mark.parametrize(
    "settings",
    [
        {
            "layers": 2,
            "bidirectional": True,
            "norm": "batch",
            "pooling": "attention",
            "recurrent_dropout": 0.3,
        },
        {"norm": "layer", "pooling": "mean-max", "input_dropout": 0.4, "word_dropout": 0.4},
        {"pooling": "last", "bidirectional": True, "dropout": 0.5},
        {"network": "transformer", "pooling": "mean-max", "norm": "layer", "recurrent_dropout": 0.3},
    ],
    ids=lambda settings: " ".join(map(str, settings)),
)
def test_gradients_of_every_weight(settings: dict[str, Any]) -> None:
    reader = new_reader(2, **settings)
    channels = np.random.default_rng(0).standard_normal((4, 7, 2))
    parameters = reader.named_parameters()
    owners = dict(reader.named_modules())

    def features(*tensors: Tensor) -> Tensor:
        for name, tensor in zip(parameters.keys(), tensors):
            owner, _, attribute = name.rpartition(".")
            setattr(owners[owner], attribute, tensor)
        rng = np.random.default_rng(1)
        for layer in reader.modules():
            if hasattr(layer, "rng"):
                layer.rng = rng
        return reader(texts(), LENGTHS, channels)

    # some move before the check: a bias that is 0, or a norm that is 1, hides mistakes
    points = [p.data + 0.1 * np.random.default_rng(2).standard_normal(p.shape) for p in parameters.values()]
    gradcheck(features, points)


def test_what_does_not_go_together_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"^bidirectional is of the LSTM: a Transformer reads in no direction$"
    ):
        Config(network="transformer", bidirectional=True)
    with pytest.raises(ValueError, match=r"^hidden is 6; it has to be a multiple of 4, the heads of the "):
        Config(network="transformer", hidden=6)
    with pytest.raises(ValueError, match=r"^word_dropout is 1.0; it has to be a number from 0 to below 1$"):
        Config(word_dropout=1.0)
    with pytest.raises(ValueError, match=r"^a Reader of 2 channels beside the words got 0$"):
        new_reader(2)(texts(), LENGTHS)
    with pytest.raises(ValueError, match=r"^hidden is 100000: to train so many units takes "):
        Config(hidden=100_000, layers=100)
