"""ONNX files: each is run by onnxruntime beside its model, at sizes that were not recorded; and what is refused."""

from __future__ import annotations

import doctest
import functools
import json
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import tinygrad_np.functional as F
from models import mnist
from models.char_transformer import CharTransformer
from models.sentiment.config import Config
from models.sentiment.model import SentimentNetwork
from tinygrad_np import Tensor, nn
from tinygrad_np.onnx import OPSET, export_onnx

onnx = pytest.importorskip("onnx", reason="ONNX files need the extra onnx")
onnxruntime = pytest.importorskip(
    "onnxruntime", reason="ONNX files are run with onnxruntime, of the extra onnx"
)

rng = np.random.default_rng(0)
AGREES = 1e-5


def floats(*shape: int) -> np.ndarray:
    return rng.standard_normal(shape).astype(np.float32)


def ids(*shape: int) -> np.ndarray:
    return rng.integers(0, 20, shape)


def lengths_of(batch: int, time: int) -> np.ndarray:
    """Empty sequences among them."""
    return rng.integers(0, time + 1, batch)


def offsets_of(bags: int, words: int) -> np.ndarray:
    """Empty bags among them."""
    return np.sort(np.append(0, rng.integers(0, words + 1, bags - 1)))


class Several(nn.Layer):
    """What each of several layers gives of the same inputs, by name: one file for all of them."""

    def __init__(self, **layers: Callable[..., Any]):
        self.layers = layers

    def forward(self, *inputs: Any) -> dict[str, Any]:
        return {name: layer(*inputs) for name, layer in self.layers.items()}


class Calls(nn.Layer):
    """A function of inputs and layers as a layer."""

    def __init__(self, function: Callable[..., Any], **layers: nn.Layer):
        self.function, self.layers = function, layers

    def forward(self, *inputs: Any, **named: Any) -> Any:
        return self.function(*inputs, **named, **self.layers)


def trained(norm: nn.Layer, *shape: int) -> nn.Layer:
    """A norm whose running mean and variance are no longer 0 and 1."""
    for _ in range(3):
        norm(Tensor(3 * floats(*shape) + 1))
    return norm


def text(batch: int, time: int) -> dict[str, np.ndarray]:
    return {"x": floats(batch, time, 4), "lengths": lengths_of(batch, time)}


def causal_and_not(x: Tensor, padding: np.ndarray, attention: nn.Layer, more: nn.Layer) -> dict[str, Any]:
    mixed, weights = attention(x, x, x, key_padding_mask=padding)
    causal, each = attention(x, x, x, is_causal=True, average_attn_weights=False)
    return {
        **{"mixed": mixed, "weights": weights, "causal": causal, "each": each},
        **{"more": more(x, x, x, key_padding_mask=padding)[0]},
    }


def classify(
    x: Any, lengths: np.ndarray, encoder: nn.Layer, places: nn.Layer, head: nn.Layer
) -> dict[str, Any]:
    """A Transformer over a text as people write it, with a mask made of the lengths, and three ways to pool."""
    there = np.arange(x.shape[1]) < lengths[:, np.newaxis]
    seen = encoder(places(x), src_key_padding_mask=~there)
    kept = np.where(there[:, :, np.newaxis], seen, 0.0)
    mean = kept.sum(axis=1) / np.maximum(lengths, 1)[:, np.newaxis].astype(np.float32)
    largest = F.masked_fill(seen, ~there[..., None], -1e4).max(axis=1)
    last = seen[np.arange(len(lengths)), np.maximum(lengths - 1, 0)]
    score = (seen @ seen.mean(axis=1)[:, :, None])[..., 0] - 1e4 * (1 - there.astype(np.float32))
    mixed = (F.softmax(score, -1)[..., None] * seen).sum(axis=1)
    logits = head(np.concatenate([mean, largest, last, mixed], axis=1))
    return {"logits": logits, "label": np.argmax(logits, axis=1)}


ACTIVATIONS = (
    *(
        "CELU",
        "ELU",
        "GELU",
        "GLU",
        "SELU",
        "Hardshrink",
        "Hardsigmoid",
        "Hardswish",
        "Hardtanh",
        "LeakyReLU",
    ),
    *("LogSigmoid", "LogSoftmax", "Mish", "PReLU", "ReLU", "ReLU6", "SiLU", "Sigmoid", "Softmax", "Softmin"),
    *("Softplus", "Softshrink", "Softsign", "Tanh", "Tanhshrink"),
)
ONE = {"rng": 1}
Case = tuple[nn.Layer, Callable[..., Any]]
CASES: dict[str, Case] = {
    "linear": (
        Several(
            linear=nn.Linear(4, 3, **ONE),
            sequential=nn.Sequential(
                nn.Flatten(), nn.Linear(12, 6, bias=False, **ONE), nn.Dropout(0.5), nn.Unflatten(1, (2, 3))
            ),
        ),
        lambda batch: floats(batch, 3, 4),
    ),
    "of a Tensor": (nn.Linear(4, 3, **ONE), lambda batch, time: Tensor(floats(batch, time, 4))),
    "bilinear": (
        Several(bilinear=nn.Bilinear(4, 4, 5, **ONE), similar=nn.CosineSimilarity()),
        lambda batch: (floats(batch, 4), floats(batch, 4)),
    ),
    "activations": (
        Several(
            **{name: getattr(nn, name)() for name in ACTIVATIONS},
            **{"tanh": nn.GELU("tanh"), "threshold": nn.Threshold(0.2, -1.0), "channels": nn.PReLU(4)},
        ),
        lambda batch: 4 * floats(batch, 4),
    ),
    "embedding": (
        Several(
            plain=nn.Embedding(20, 6, **ONE),
            padded=nn.Embedding(20, 6, padding_idx=0, **ONE),
            frozen=nn.Embedding.from_pretrained(floats(20, 3)),
            **{mode: nn.EmbeddingBag(20, 4, mode=mode, **ONE) for mode in ("sum", "mean", "max")},
            **{
                f"{mode}_padded": nn.EmbeddingBag(20, 4, mode=mode, padding_idx=0)
                for mode in ("sum", "mean", "max")
            },
        ),
        lambda batch, time: ids(batch, time) % 4,
    ),
    "bags": (
        Several(
            **{
                mode: nn.EmbeddingBag(20, 4, mode=mode, padding_idx=1, **ONE)
                for mode in ("sum", "mean", "max")
            }
        ),
        lambda bags, words: (ids(words) % 4, offsets_of(bags, words)),
    ),
    "weighted bags": (
        nn.EmbeddingBag(20, 4, mode="sum", include_last_offset=True, **ONE),
        lambda bags, words: {
            **{"indices": ids(words), "offsets": np.append(offsets_of(bags, words), words)},
            "per_sample_weights": floats(words),
        },
    ),
    **{
        kind.__name__: (
            Calls(
                lambda x, lengths, **layers: {
                    name: layer(x, lengths=lengths) for name, layer in layers.items()
                },
                plain=kind(4, 5, bias=False, **ONE),
                deep=kind(4, 5, 2, bidirectional=True, dropout=0.5, **ONE),
            ),
            text,
        )
        for kind in (nn.LSTM, nn.GRU, nn.RNN)
    },
    "lstm of whole sequences": (
        nn.LSTM(4, 5, bidirectional=True, **ONE),
        lambda batch, time: floats(batch, time, 4),
    ),
    "time first": (
        nn.GRU(4, 5, batch_first=False, **ONE),
        lambda batch, time: {"x": floats(time, batch, 4), "lengths": lengths_of(batch, time)},
    ),
    "lstm of a table": (
        Calls(
            lambda token_ids, lengths, table, lstm: lstm(table.weight, lengths=lengths, indices=token_ids)[0],
            table=nn.Embedding.from_pretrained(floats(20, 4)),
            lstm=nn.LSTM(4, 5, bidirectional=True, **ONE),
        ),
        lambda batch, time: {"token_ids": ids(batch, time), "lengths": lengths_of(batch, time)},
    ),
    "given states": (
        Calls(lambda x, h, c, lengths, lstm: lstm(x, (h, c), lengths), lstm=nn.LSTM(4, 5, **ONE)),
        lambda batch, time: {**text(batch, time), "h": floats(1, batch, 5), "c": floats(1, batch, 5)},
    ),
    "cells": (
        Several(
            lstm=nn.LSTMCell(4, 5, **ONE),
            gru=nn.GRUCell(4, 5, **ONE),
            rnn=nn.RNNCell(4, 5, **ONE),
            normed=nn.LayerNormLSTMCell(4, 5, **ONE),
        ),
        lambda batch: floats(batch, 4),
    ),
    "lines": (
        Several(
            conv=nn.Conv1d(4, 6, 3, padding=1, stride=2, **ONE),
            same=nn.Conv1d(4, 6, 3, padding="same", dilation=2, groups=2, **ONE),
            transposed=nn.ConvTranspose1d(4, 6, 3, stride=2, padding=1, output_padding=1, **ONE),
            largest=nn.MaxPool1d(3, 2, 1),
            mean=nn.AvgPool1d(2),
            all_of_it=nn.AdaptiveMaxPool1d(1),
            batch=trained(nn.BatchNorm1d(4), 8, 4, 3),
            instance=nn.InstanceNorm1d(4, affine=True),
            group=nn.GroupNorm(2, 4),
            local=nn.LocalResponseNorm(3),
            zeros=nn.ZeroPad1d((1, 2)),
            constant=nn.ConstantPad1d(1, 0.5),
            edge=nn.ReplicationPad1d(2),
            mirrored=nn.ReflectionPad1d(1),
        ),
        lambda batch, time: floats(batch, 4, time + 2),
    ),
    "images": (
        Several(
            conv=nn.Conv2d(4, 6, (3, 2), padding=(1, 0), stride=(1, 2), groups=2, **ONE),
            around=nn.Conv2d(4, 2, 3, padding=1, padding_mode="circular", **ONE),
            transposed=nn.ConvTranspose2d(
                4, 6, 3, stride=2, padding=1, groups=2, dilation=2, bias=False, **ONE
            ),
            largest=nn.MaxPool2d(3, 2, 1),
            mean=nn.AvgPool2d(3, 2, 1),
            inside=nn.AvgPool2d(3, 2, 1, count_include_pad=False),
            divided=nn.AvgPool2d(3, 2, 1, divisor_override=5),
            power=nn.LPPool2d(2, 2),
            all_of_it=nn.AdaptiveAvgPool2d(1),
            batch=trained(nn.BatchNorm2d(4), 8, 4, 3, 3),
            instance=nn.InstanceNorm2d(4),
            probabilities=nn.Softmax2d(),
            shuffled=nn.ChannelShuffle(2),
            larger=nn.PixelShuffle(2),
            windows=nn.Unfold(2),
        ),
        lambda batch, height, width: floats(batch, 4, height + 3, width + 3),
    ),
    "fixed images": (
        Several(
            thirds=nn.AdaptiveAvgPool2d((2, 3)),
            nearest=nn.Upsample(scale_factor=2),
            bilinear=nn.Upsample(scale_factor=2, mode="bilinear"),
            smaller=nn.PixelUnshuffle(2),
        ),
        lambda batch: floats(batch, 2, 4, 6),
    ),
    "one image": (nn.Conv2d(2, 4, 3, padding=1, **ONE), lambda height: floats(2, height, 5)),
    "columns": (nn.Fold((4, 5), 2), lambda batch: floats(batch, 8, 12)),
    "norms": (
        Several(layer=nn.LayerNorm(4), layers=nn.LayerNorm((3, 4), bias=False), square=nn.RMSNorm(4)),
        lambda batch: floats(batch, 3, 4),
    ),
    "features": (trained(nn.BatchNorm1d(4, affine=False), 8, 4), lambda batch: floats(batch, 4)),
    "attention": (
        Calls(
            causal_and_not,
            attention=nn.MultiheadAttention(8, 2, **ONE),
            more=nn.MultiheadAttention(8, 2, add_zero_attn=True, add_bias_kv=True, **ONE),
        ),
        lambda batch, time: {"x": floats(batch, time, 8), "padding": rng.random((batch, time)) < 0.5},
    ),
    "cross attention": (
        Calls(
            lambda q, k, v, mask, attention: attention(q, k, v, attn_mask=mask)[0],
            attention=nn.MultiheadAttention(8, 2, kdim=6, vdim=5, **ONE),
        ),
        lambda batch, time, keys: {
            **{"q": floats(batch, time, 8), "k": floats(batch, keys, 6), "v": floats(batch, keys, 5)},
            "mask": rng.random((time, keys)) < 0.5,
        },
    ),
    "encoder": (
        Calls(
            classify,
            encoder=nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, norm_first=True, **ONE), 2),
            places=nn.PositionalEncoding(8, 100, learned=True, **ONE),
            head=nn.Linear(32, 3, **ONE),
        ),
        lambda batch, time: {"x": floats(batch, time, 8), "lengths": lengths_of(batch, time)},
    ),
    "transformer": (
        Calls(
            lambda a, b, whole: whole(a, b, tgt_is_causal=True),
            whole=nn.Transformer(8, 2, 1, 1, 16, activation="gelu", **ONE),
        ),
        lambda batch, time, target: {"a": floats(batch, time, 8), "b": floats(batch, target, 8)},
    ),
}


def letters(batch: int, words: int) -> np.ndarray:
    there = np.arange(words) < lengths_of(batch, words)[:, None]
    return np.where(there[..., None], rng.integers(1, 27, (batch, words, 16)), 0)


def network(features: str, **settings: Any) -> nn.Layer:
    """The model of models/sentiment, with n-grams that nobody counted."""
    ngrams: Any = None if features == "none" else SimpleNamespace(ratios=floats(50, 1), keys=[1, 2, 3])
    config = Config(hidden=8, features=features, **settings)
    embedding = nn.Embedding.from_pretrained(floats(20, 6), padding_idx=0)
    return SentimentNetwork(config, embedding, np.random.default_rng(1), ngrams)


def reviews(batch: int, time: int, held: int) -> tuple[np.ndarray, ...]:
    offsets = np.append(offsets_of(batch, held), held)
    return (
        ids(batch, time),
        lengths_of(batch, time),
        floats(batch, time, 3),
        rng.integers(0, 50, held),
        offsets,
    )


CASES |= {
    "models/mnist": (mnist.cnn(8, np.random.default_rng(1)), lambda batch: floats(batch, 1, 8, 8)),
    "models/char_transformer": (CharTransformer(np.random.default_rng(1)), letters),
    "models/sentiment": (network("joint", pooling="mean-max", bidirectional=True), reviews),
    "models/sentiment, wide": (
        network("wide"),
        lambda batch, held: (None, None, None, *reviews(batch, 1, held)[3:]),
    ),
    "models/sentiment, normed": (
        network("none", norm="layer", layers=2, pooling="attention"),
        lambda batch, time: reviews(batch, time, 0)[:2],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_file_gives_what_the_model_gives(name: str, tmp_path: Path) -> None:
    model, example = CASES[name]
    assert export_onnx(model, tmp_path / "model.onnx", example) <= AGREES
    assert (tmp_path / "model.onnx").stat().st_size > 0


def test_an_array_that_is_computed_for_each_length_goes_up_to_the_longest(tmp_path: Path) -> None:
    """Sines of the places, as a model makes them for each batch."""
    model = Calls(lambda x: nn.PositionalEncoding(4, x.shape[1])(x))

    def example(batch: int, time: int) -> np.ndarray:
        return floats(batch, time, 4)

    assert export_onnx(model, tmp_path / "m.onnx", example, sizes={"time": (7, 11, 40, 30)}) <= AGREES
    with pytest.raises(
        ValueError, match=r"at batch=6, time=15 .*the longest that was recorded, \[11, 4\]: give sizes"
    ):
        export_onnx(model, tmp_path / "m.onnx", example)


def test_the_page_says_what_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[1] / "docs/onnx.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    examples = "\n".join(re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE))
    test = doctest.DocTestParser().get_doctest(examples, {}, "onnx", None, 0)
    said: list[str] = []
    assert doctest.DocTestRunner().run(test, out=said.append) == (0, len(test.examples)), "".join(said)
    assert len(test.examples) > 12


# --- what the file says -------------------------------------------------------------------------------


def test_a_file_names_its_sizes_its_weights_and_what_it_is_of(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Embedding(20, 4, rng=1), nn.Linear(4, 3, rng=1))
    export_onnx(
        *(model, tmp_path / "m.onnx", lambda batch, time: ids(batch, time)),
        output_names=["logits"],
        metadata={"config": {"hidden": 3}, "words": ["ü"]},
    )
    proto = onnx.load(tmp_path / "m.onnx")
    assert [(one.domain, one.version) for one in proto.opset_import] == [("", OPSET)]
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    assert [(x.name, x.type, x.shape) for x in session.get_inputs()] == [
        ("x", "tensor(int64)", ["batch", "time"])
    ]
    assert [(x.name, x.shape) for x in session.get_outputs()] == [("logits", ["batch", "time", 3])]
    said = session.get_modelmeta().custom_metadata_map
    assert {key: json.loads(said[key]) for key in ("config", "words")} == {
        "config": {"hidden": 3},
        "words": ["ü"],
    }
    assert said["model"] == repr(model)
    stored = {one.name: onnx.numpy_helper.to_array(one) for one in proto.graph.initializer}
    np.testing.assert_array_equal(stored["0.weight"], model[0].weight.data)
    np.testing.assert_array_equal(stored["1.weight.transpose"], model[1].weight.data.T)


def test_outputs_in_tuples_and_lists_are_numbered_and_those_of_a_dict_keep_their_keys(tmp_path: Path) -> None:
    def names(returned: Callable[..., Any]) -> list[str]:
        export_onnx(Calls(returned), tmp_path / "m.onnx", lambda batch: floats(batch, 2))
        return [one.name for one in onnx.load(tmp_path / "m.onnx").graph.output]

    assert names(lambda x: x * 2) == ["output"]
    assert names(lambda x: (x * 2, [x + 1, None])) == ["output_0", "output_1_0"]
    assert names(lambda x: {"twice": x * 2, "it": x}) == ["twice", "it"]


def test_an_input_may_have_the_name_of_a_weight_and_no_output_that_of_an_input(tmp_path: Path) -> None:
    class Scaled(nn.Layer):
        def __init__(self) -> None:
            self.weight = Tensor(floats(4), requires_grad=True)
            self.table = floats(4)

        def forward(self, x: Any, weight: Any, table: Any) -> dict[str, Any]:
            return {"x": x * self.weight + weight + table * self.table}

    def example(batch: int) -> dict[str, np.ndarray]:
        return {name: floats(batch, 4) for name in ("x", "weight", "table")}

    assert export_onnx(Scaled(), tmp_path / "m.onnx", example, output_names=["y"]) <= AGREES
    with pytest.raises(ValueError, match="x names an input and an output"):
        export_onnx(Scaled(), tmp_path / "m.onnx", example)


def test_the_model_stays_as_it_was(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(4, 4, rng=1), nn.Dropout(0.5), nn.BatchNorm1d(4), nn.Linear(4, 1, rng=1))
    model[2].training = False
    model[3].requires_grad_(False)
    before = model.state_dict()
    export_onnx(model, tmp_path / "m.onnx", lambda batch: floats(batch, 4))
    assert [layer.training for layer in model.modules()] == [True, True, True, False, True]
    assert [name for name, _ in model.named_parameters()] == [*("0.weight", "0.bias", "2.weight", "2.bias")]
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])
    with pytest.raises(ValueError, match="a mask beside others"):
        export_onnx(
            Calls(lambda x, m: x[x[:, 0] > 0, 1], m=model),
            tmp_path / "m.onnx",
            lambda batch: floats(batch, 4),
        )
    assert [layer.training for layer in model.modules()] == [True, True, True, False, True]


# --- arrays beside Tensors, and indexing --------------------------------------------------------------


def indexed(x: Any, rows: np.ndarray, columns: np.ndarray) -> dict[str, Any]:
    batch, time, _ = x.shape
    return {
        "numbers": x[0, -1, 2],
        "slices": x[:, 1:-1:2, ::-1],
        "last": x[:, time - 1 :],
        "half": x[..., : x.shape[-1] // 2],
        "new": x[:, None, 0, ..., None],
        "rows": x[rows],
        "places": x[:, columns],
        "pairs": x[rows, columns],
        "behind": x[:, rows, columns % 4],
        "apart": x[rows, :, columns % 4],
        "with_a_number": x[rows, 1, columns % 4],
        "new_between": x[rows, None, columns],
        "counted": x[np.arange(batch), 0] + np.arange(batch)[:, None],
        "flat": x.reshape(batch * time, -1),
        "turned": x.reshape(batch, time * 2, 2).transpose(2, 0, 1),
        "parts": np.concatenate(np.split(x, [1, time - 1], axis=1)[::-1], axis=1),
        "repeated": np.broadcast_to(x[:, :1], (batch, 3, 4)) / time,
        "stacked": np.stack([x, x + batch], axis=1),
    }


def beside(x: Any, lengths: np.ndarray) -> dict[str, Any]:
    """What is computed of whole numbers and bools, as arrays have it."""
    there = (np.arange(x.shape[1])[None] < lengths[:, None]) & (x[..., 0] > -1)
    return {
        "there": there,
        "counted": there.sum(axis=1),
        "some": there.any(axis=1) | ~there.all(axis=1),
        "shares": lengths / np.maximum(lengths.max(), 1),
        "halves": lengths // 2 - lengths % 3,
        "places": np.cumsum(there.astype(np.int64), axis=1) - 1,
        "clipped": lengths.clip(1, 3).astype(np.float32).reshape(-1, 1) * x[:, 0],
        "largest": np.where(there[..., None], x, -np.inf).max(axis=1),
        "joined": np.concatenate([there, there[:, :1]], axis=1).T,
        "signs": np.sign(x) + np.floor(x) * np.round(x) - np.trunc(x),
        "spread": np.var(x, axis=1, ddof=0)
        + np.std(x, axis=(1, 2))[:, None]
        + np.linalg.norm(x, axis=-1).sum(),
        "elementary": np.exp2(x)
        + np.cbrt(x)
        + np.arctan(x)
        + np.logaddexp(x, 0)
        + np.hypot(x, 1)
        + np.log1p(x * x),
        "products": np.einsum("btf,bsf->bts", x, x) + x @ x.mT,
        "exponents": x.mean(axis=1, keepdims=True) ** 2 + F.logsumexp(x, axis=1, keepdims=True),
    }


INSIDE = (
    "arccos",
    "arcsin",
    "arctanh",
    "cos",
    "cosh",
    "exp",
    "sin",
    "sinh",
    "tan",
    "isnan",
    "isinf",
    "isfinite",
)
ABOVE_1 = ("arccosh", "log", "log2", "log10")
COMPARED = ("equal", "not_equal", "less", "minimum", "fmod", "remainder", "floor_divide", "hypot")


def elementary(x: Any, rows: np.ndarray) -> dict[str, Any]:
    """One by one what the others leave out."""
    u, there = np.tanh(x), x > 0
    far = np.where(there, np.inf, x)
    found = {name: getattr(np, name)(u) for name in INSIDE} | {
        name: getattr(np, name)(u + 2.5) for name in ABOVE_1
    }
    found |= {name: getattr(np, name)(x, np.round(2 * u)[:, ::-1] + 0.5) for name in COMPARED}
    found |= {
        name: getattr(np, name)(there, x < 1)
        for name in ("logical_and", "logical_or", "logical_xor", "bitwise_xor")
    }
    found |= {
        "infinite": np.isinf(far),
        "finite": np.isfinite(far),
        "nan": np.isnan(np.where(there, np.nan, x)),
    }
    found |= {
        "zeros": np.zeros_like(x) + x,
        "ones": np.ones_like(x) * x,
        "erf": F.erf(x),
        "count": np.count_nonzero(there, axis=1),
    }
    found |= {
        "smallest": x.min(axis=0),
        "product": u.prod(axis=1),
        "place": np.argmin(x, axis=1),
        "determinant": np.linalg.det(x @ x.mT),
    }
    found |= {
        "axes": np.squeeze(np.expand_dims(x, (0, 3)), 3),
        "added": Tensor(np.zeros((7, 2, 4), np.float32)).at[rows].add(x),
    }
    return found


@pytest.mark.parametrize(
    ("function", "example"),
    [
        (elementary, lambda rows: (floats(rows, 2, 4), rng.integers(0, 7, rows))),
        (
            indexed,
            lambda batch, time: (
                floats(batch, time + 2, 4),
                rng.integers(0, batch, 3),
                rng.integers(-2, 2, 3),
            ),
        ),
        (beside, lambda batch, time: (floats(batch, time, 4), lengths_of(batch, time))),
    ],
)
@pytest.mark.parametrize("kind", [np.asarray, Tensor])
def test_what_a_layer_of_ones_own_computes_goes(
    function: Callable[..., Any], example: Callable[..., Any], kind: Any, tmp_path: Path
) -> None:
    @functools.wraps(example)
    def given(**sizes: int) -> Any:
        x, *more = example(**sizes)
        return kind(x), *more

    assert export_onnx(Calls(function), tmp_path / "m.onnx", given) <= AGREES


# --- what is refused ----------------------------------------------------------------------------------


def loop(x: Any, cell: nn.Layer) -> Any:
    h = None
    for t in range(x.shape[1]):
        h = cell(x[:, t], h)
    return h


def written(x: Any, lengths: np.ndarray) -> Any:
    mask = np.zeros(x.shape[:2], np.float32)
    for i, n in enumerate(lengths):
        mask[i, :n] = 1
    return x * mask[..., None]


NOISE = np.random.default_rng(1)
REFUSED: dict[str, tuple[Callable[..., Any], Callable[..., Any], str]] = {
    "a loop over a length": (
        lambda x: loop(x, nn.RNNCell(4, 4, rng=1)),
        lambda time: floats(2, time, 4),
        r"makes 27 calls at time=3 and \d+ at time=5, .* a loop over a length that varies",
    ),
    "an array made in a loop": (
        written,
        lambda batch, time: tuple(text(batch, time).values()),
        "holds other numbers",
    ),
    "noise": (
        lambda x: x + NOISE.random(4).astype(np.float32),
        lambda batch: floats(batch, 4),
        "holds other numbers",
    ),
    "values": (
        lambda x: x * float(np.asarray(x).max()),
        lambda batch: floats(batch, 4),
        "no formula in the sizes",
    ),
    "a length that is no formula": (
        lambda x: x[:, : x.shape[1] // 2] * 2,
        lambda batch, time: floats(batch, time, 4),
        r"getitem needs a number that is 3, 3 and 5 .* no formula in the sizes of the inputs",
    ),
    "a choice by size": (
        lambda x: np.exp(x) if x.shape[0] > 3 else np.tanh(x),
        lambda batch: floats(batch, 4),
        "makes 1 calls at batch=3 and 1 at batch=5, and they differ from .*test_onnx.py",
    ),
    "a choice that was not recorded": (
        lambda x: x * 2 if len(x) > 2 else x * 3,
        lambda batch: floats(batch, 4),
        "at batch=1 output of the file is .* off the model's .* nothing was written",
    ),
    "a mask beside others": (
        lambda x: x[x[:, 0] > 0, 1],
        lambda batch: floats(batch, 4),
        "a mask beside others",
    ),
    "no counterpart": (
        lambda x: np.linalg.svd(x)[1],
        lambda batch: floats(batch, 4),
        "svd has no counterpart in ONNX",
    ),
    "a projected lstm": (
        nn.LSTM(4, 5, proj_size=2, rng=1).forward,
        lambda batch, time: floats(batch, time, 4),
        "a loop over a length that varies",
    ),
    "ceil_mode": (
        nn.MaxPool1d(2, ceil_mode=True).forward,
        lambda time: floats(2, 4, time),
        "ceil_mode means",
    ),
    "a table that changes": (
        nn.Embedding(20, 4, max_norm=1.0, rng=1).forward,
        lambda batch: ids(batch, 3),
        "off the model's",
    ),
    "an input without influence": (
        lambda x, lengths: x * 2,
        lambda batch: (floats(batch, 4), ids(batch)),
        "does not depend on lengths in any example",
    ),
    "lengths that are never short": (
        nn.LSTM(4, 5, rng=1).forward,
        lambda batch, time: {"x": floats(batch, time, 4), "lengths": np.full(batch, time)},
        "gives the same numbers for lengths each time",
    ),
    "an example without chance": (
        lambda x: x * 2,
        lambda batch: np.ones((batch, 4)),
        "same numbers for x each time",
    ),
    "what is no array": (
        lambda x: x * 2,
        lambda batch: {"x": [[1.0, 2.0]] * batch},
        "takes an array for the input",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_be_wrong_is_refused_and_nothing_is_written(name: str, tmp_path: Path) -> None:
    function, example, sentence = REFUSED[name]

    class Refused(nn.Layer):
        forward = staticmethod(function)

    with pytest.raises((ValueError, TypeError), match=sentence):
        export_onnx(Refused(), tmp_path / "model.onnx", example)
    assert not list(tmp_path.iterdir())


def test_an_array_whose_calls_are_recorded_is_not_written_to(tmp_path: Path) -> None:
    def forward(x: Any, lengths: np.ndarray) -> Any:
        lengths[0] = 1
        return x * lengths[:, None]

    with pytest.raises(TypeError, match="written to"):
        export_onnx(Calls(forward), tmp_path / "m.onnx", lambda batch: (floats(batch, 4), ids(batch)))


def test_sizes_are_checked(tmp_path: Path) -> None:
    halved = Calls(lambda x: x.reshape(-1, x.shape[1] // 2, 2).sum(axis=2))

    def example(time: int) -> np.ndarray:
        return floats(2, time)

    with pytest.raises(ValueError, match="reshape"):
        export_onnx(halved, tmp_path / "m.onnx", example)
    for sizes in ({"time": (4, 6, 10)}, {"length": (4, 6, 10, 8)}, {"time": (4, 6, 6, 4)}):
        with pytest.raises(ValueError, match="four different numbers or more"):
            export_onnx(halved, tmp_path / "m.onnx", example, sizes=sizes)
    assert export_onnx(halved, tmp_path / "m.onnx", example, sizes={"time": (4, 6, 10, 8)}) <= AGREES


def test_a_file_that_gives_other_numbers_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tinygrad_np.onnx.elementwise import TRANSLATIONS

    monkeypatch.setitem(TRANSLATIONS, "tanh", TRANSLATIONS["sigmoid"])
    monkeypatch.setitem(TRANSLATIONS, "maximum", TRANSLATIONS["minimum"])
    for layer in (nn.Tanh(), Calls(lambda x: np.maximum(x, 0))):
        with pytest.raises(ValueError, match=r"off the model's .* nothing was written"):
            export_onnx(layer, tmp_path / "m.onnx", lambda batch: floats(batch, 4))
    assert not list(tmp_path.iterdir())
