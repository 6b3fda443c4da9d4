"""Layers: what has weights."""

from tinygrad_np.nn import init, losses
from tinygrad_np.nn.dropout import Dropout
from tinygrad_np.nn.embedding import Embedding
from tinygrad_np.nn.layer import Layer, Sequential
from tinygrad_np.nn.linear import Linear
from tinygrad_np.nn.losses import *
from tinygrad_np.nn.recurrent import GRU, LSTM, LSTMCell

__all__ = [
    "GRU",
    "LSTM",
    "Dropout",
    "Embedding",
    "LSTMCell",
    "Layer",
    "Linear",
    "Sequential",
    "init",
    *losses.__all__,
]
