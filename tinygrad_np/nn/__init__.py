"""Layers: what has weights."""

from tinygrad_np.nn import activations, applied, attention, convolution, init, losses, normalization
from tinygrad_np.nn.activations import *
from tinygrad_np.nn.applied import *
from tinygrad_np.nn.attention import *
from tinygrad_np.nn.cells import GRUCell, LayerNormLSTMCell, LSTMCell, RNNCell
from tinygrad_np.nn.containers import ModuleDict, ModuleList, Sequential
from tinygrad_np.nn.convolution import *
from tinygrad_np.nn.dropout import (
    AlphaDropout,
    Dropout,
    Dropout1d,
    Dropout2d,
    FeatureAlphaDropout,
    VariationalDropout,
)
from tinygrad_np.nn.embedding import Embedding, EmbeddingBag
from tinygrad_np.nn.layer import Layer
from tinygrad_np.nn.linear import Bilinear, Linear
from tinygrad_np.nn.losses import *
from tinygrad_np.nn.normalization import *
from tinygrad_np.nn.recurrent import GRU, LSTM, RNN
from tinygrad_np.nn.shape import Flatten, Identity, Unflatten

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "Dropout",
    "Embedding",
    "EmbeddingBag",
    "GRUCell",
    "LSTMCell",
    "LayerNormLSTMCell",
    "Layer",
    "Linear",
    "RNNCell",
    "Sequential",
    "VariationalDropout",
    "ModuleList",
    "ModuleDict",
    "Identity",
    "Flatten",
    "Unflatten",
    "init",
    *activations.__all__,
    "AlphaDropout",
    "Bilinear",
    "Dropout1d",
    "Dropout2d",
    "FeatureAlphaDropout",
    *applied.__all__,
    *attention.__all__,
    *convolution.__all__,
    *normalization.__all__,
    *losses.__all__,
]
