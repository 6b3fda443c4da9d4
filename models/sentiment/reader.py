"""The reader: a text, word by word, becomes one row of features.

The vectors of its words, and channels of other numbers beside them, go through an LSTM or the encoder of a
Transformer, and what comes out at the words is pooled. Both return 0 beyond a text's length, so that padding has no
influence, and a text without words has the features 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import tinygrad_np.functional as F
from models.sentiment.config import HEADS, Config
from tinygrad_np import Tensor
from tinygrad_np.nn import (
    LSTM,
    BatchNorm1d,
    Dropout,
    Embedding,
    Layer,
    LayerNorm,
    Linear,
    PositionalEncoding,
    TransformerEncoderLayer,
    VariationalDropout,
    init,
)
from tinygrad_np.ops.elementwise import tanh
from tinygrad_np.ops.shape import concatenate

UNKNOWN_ID = 1  # of every `Vocabulary`
MATRICES = {"weight_ih": 4, "weight_hh": 4, "in_proj": 3}  # of gates, or of maps, that one weight holds
INITIALISERS: dict[str, Callable[..., np.ndarray]] = {
    "xavier": init.xavier_uniform,
    "orthogonal": init.orthogonal,
}


class Reader(Layer):
    """Words, and channels beside them, to features of a text.

    Parameters
    ----------
    config : Config
        Network, sizes, pooling, norm, initialiser and dropouts.
    embedding : Embedding
        The vectors of the words; word 1 is the unknown one.
    n_channels : int
        Numbers that stand beside each word's vector.
    rng : numpy.random.Generator
        Draws the initial weights, and what is dropped.

    Attributes
    ----------
    features : int
        The length of a row that comes out.
    """

    def __init__(self, config: Config, embedding: Embedding, n_channels: int, rng: np.random.Generator):
        self.embedding = embedding
        self.n_channels = n_channels
        self.rng = rng
        self.word_dropout = config.word_dropout
        self.input_dropout = VariationalDropout(config.input_dropout, rng=rng)
        self.channel_dropout = VariationalDropout(config.channel_dropout, rng=rng)
        n_inputs = embedding.weight.shape[1] + n_channels
        dtype = embedding.weight.dtype
        network = LSTMNetwork if config.network == "lstm" else TransformerNetwork
        self.network = network(config, n_inputs, rng, dtype)
        self.pooling = Pooling(config.pooling, self.network.width, config.bidirectional, rng, dtype)
        self.dropout = Dropout(config.dropout, rng=rng)
        self.features = self.network.width * (2 if config.pooling == "mean-max" else 1)
        if config.init != "default":
            initialise(self.network, INITIALISERS[config.init], rng)
            initialise(self.pooling, INITIALISERS[config.init], rng)

    def forward(
        self, token_ids: np.ndarray, lengths: np.ndarray, channels: np.ndarray | None = None
    ) -> Tensor:
        """Token ids (batch, time), lengths (batch,), channels (batch, time, n_channels), to (batch, features)."""
        found = 0 if channels is None else channels.shape[2]
        if found != self.n_channels:
            raise ValueError(f"a Reader of {self.n_channels} channels beside the words got {found}")
        if not token_ids.shape[1]:  # no text has a word: a step of padding saves exceptions below
            token_ids = np.zeros((len(lengths), 1), np.int64)
            channels = None if channels is None else np.zeros((len(lengths), 1, found), channels.dtype)
        if self.training and self.word_dropout:
            token_ids = np.where(self.dropped_words(token_ids.shape), UNKNOWN_ID, token_ids)
        drops = self.training and self.input_dropout.p > 0
        if isinstance(self.network, LSTMNetwork) and channels is None and not drops:
            # the vectors go straight to where the LSTM reads them
            output = self.network(self.embedding.weight, lengths, token_ids)
        else:
            inputs = self.input_dropout(self.embedding(token_ids))
            if channels is not None:
                inputs = concatenate(inputs, self.channel_dropout(Tensor(channels)), axis=-1)
            output = self.network(inputs, lengths)
        features: Tensor = self.dropout(self.pooling(output, lengths))
        return features

    def dropped_words(self, shape: tuple[int, ...]) -> np.ndarray:
        """Which words are unknown this time, (batch, time).

        Each text has a seed of its own, so that neither the padding nor the worker has a say in it.
        """
        seeds = (self.rng.random(shape[0]) * 2**53).astype(np.int64)
        drawn = [np.random.default_rng(seed).random(shape[1]) for seed in seeds]
        return np.reshape(drawn, shape) < self.word_dropout


class LSTMNetwork(Layer):
    """LSTMs one above the other; what each gives is normalised, and dropped on its way to the next one.

    `recurrent_dropout` drops weights between the steps, the same ones for a whole batch (Merity et al., 2018).
    Dropping states, for each text by itself, would build each step from many primitives, several times as slow.

    Attributes
    ----------
    width : int
        Numbers that come out at each word.
    """

    def __init__(self, config: Config, n_inputs: int, rng: np.random.Generator, dtype: np.dtype):
        self.width = config.hidden * (2 if config.bidirectional else 1)
        self.layers = [
            LSTM(
                self.width if layer else n_inputs,
                config.hidden,
                bidirectional=config.bidirectional,
                weight_dropout=config.recurrent_dropout,
                rng=rng,
                dtype=dtype,
            )
            for layer in range(config.layers)
        ]
        self.norms = [WordNorm(config.norm, self.width, dtype) for _ in range(config.layers)]
        self.dropout = VariationalDropout(config.dropout, rng=rng)

    def forward(self, x: Tensor, lengths: np.ndarray, indices: np.ndarray | None = None) -> Tensor:
        """Inputs (batch, time, n_inputs), or a table and the rows of it to read, to (batch, time, width)."""
        for lstm, norm in zip(self.layers, self.norms, strict=True):
            if lstm is not self.layers[0]:
                x, indices = self.dropout(x), None
            output, _ = lstm(x, lengths=lengths, indices=indices)
            x = norm(output, lengths)
        return x


class TransformerNetwork(Layer):
    """The encoder of a Transformer (Vaswani et al., 2017), with norms before the parts of its blocks.

    `recurrent_dropout` is the dropout in its blocks, and `norm` stands behind the last of them.

    Attributes
    ----------
    width : int
        Numbers that come out at each word.
    """

    def __init__(self, config: Config, n_inputs: int, rng: np.random.Generator, dtype: np.dtype):
        self.width = config.hidden
        self.inputs = Linear(n_inputs, self.width, rng=rng, dtype=dtype)
        sizes = (self.width, HEADS, 2 * self.width)
        self.blocks = [
            TransformerEncoderLayer(*sizes, config.recurrent_dropout, norm_first=True, rng=rng, dtype=dtype)
            for _ in range(config.layers)
        ]
        self.norm = WordNorm(config.norm, self.width, dtype)

    def forward(self, x: Tensor, lengths: np.ndarray) -> Tensor:
        """Inputs (batch, time, n_inputs) to (batch, time, width)."""
        x = self.inputs(x)
        time = x.shape[1]
        x = PositionalEncoding(self.width, time, dtype=x.dtype)(
            x
        )  # made for this batch, as a text may be of any length
        there = words(lengths, time)
        for block in self.blocks:
            x = block(x, src_key_padding_mask=~there)
        return self.norm(x * there[..., np.newaxis].astype(x.dtype), lengths)


class WordNorm(Layer):
    """Batch or layer normalisation of what stands at words, or none; padding has no part in it, and stays 0."""

    def __init__(self, kind: str, width: int, dtype: np.dtype):
        norms: dict[str, Any] = {"layer": LayerNorm, "batch": BatchNorm1d}
        self.norm = norms[kind](width, dtype=dtype) if kind in norms else None

    def forward(self, x: Tensor, lengths: np.ndarray) -> Tensor:
        """(batch, time, width) to that shape."""
        if self.norm is None:
            return x
        there = words(lengths, x.shape[1])
        at_words = x[there]
        if isinstance(self.norm, BatchNorm1d) and self.training and len(at_words) < 2:  # one has no variance
            running = self.norm.running_mean, self.norm.running_var
            normed = F.batch_norm(at_words, *running, self.norm.weight, self.norm.bias)
        else:
            normed = self.norm(at_words)
        y: Tensor = Tensor(np.zeros(x.shape, x.dtype)).at[there].set(normed)
        return y


class Pooling(Layer):
    """From what stands at each word of a text to one row.

    "last" is what stands at the last word, and of the backward direction at the first; "mean" and "max" are taken
    over the words, and "mean-max" is both of them; "attention" is a mean whose weights are the softmax of how well
    tanh(W h + b) fits a learned vector (Yang et al., 2016).
    """

    def __init__(self, kind: str, width: int, bidirectional: bool, rng: np.random.Generator, dtype: np.dtype):
        self.kind = kind
        self.backward_from = width // 2 if bidirectional else width
        if kind == "attention":
            self.key = Linear(width, width, rng=rng, dtype=dtype)
            self.query = Tensor(init.xavier_uniform((1, width), rng, dtype), requires_grad=True)

    def forward(self, output: Tensor, lengths: np.ndarray) -> Tensor:
        """(batch, time, width), 0 beyond the lengths, to (batch, width), or (batch, 2 width) of mean-max."""
        if self.kind == "mean":
            return self.mean(output, lengths)
        if self.kind == "max":
            return self.max(output, lengths)
        if self.kind == "mean-max":
            return concatenate(self.mean(output, lengths), self.max(output, lengths), axis=-1)
        if self.kind == "attention":
            mask = words(lengths, output.shape[1])[:, np.newaxis]
            keys = tanh(self.key(output))
            return F.scaled_dot_product_attention(self.query, keys, output, mask, scale=1.0)[:, 0]
        last = output[np.arange(len(lengths)), lengths - 1]  # of no words the last place, which is padding
        return concatenate(last[:, : self.backward_from], output[:, 0, self.backward_from :], axis=-1)

    def mean(self, output: Tensor, lengths: np.ndarray) -> Tensor:
        """Over the words; the padding is 0, and a text without words has the mean 0."""
        mean: Tensor = output.sum(axis=1) / np.maximum(lengths, 1)[:, np.newaxis].astype(output.dtype)
        return mean

    def max(self, output: Tensor, lengths: np.ndarray) -> Tensor:
        """The first of several largest ones has the gradient: so only so many numbers are sent back."""
        there = words(lengths, output.shape[1])[..., np.newaxis]
        places = np.where(there, output.data, -np.inf).argmax(axis=1, keepdims=True)
        largest: Tensor = F.take_along_dim(output, places, 1)[:, 0]
        return largest


def words(lengths: np.ndarray, time: int) -> np.ndarray:
    """Where there are words, and no padding, (batch, time)."""
    return np.arange(time) < lengths[:, np.newaxis]


def initialise(layer: Layer, rule: Callable[..., np.ndarray], rng: np.random.Generator) -> None:
    """Draw every matrix anew by a rule, those of several gates or maps one by one."""
    for name, weight in layer.named_parameters():
        if weight.ndim == 2:
            count = next((n for part, n in MATRICES.items() if part in name), 1)
            for matrix in np.split(weight.data, count):
                matrix[...] = rule(matrix.shape, rng, weight.dtype)
