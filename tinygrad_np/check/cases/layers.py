"""Rows of the layers."""

from __future__ import annotations

import warnings
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from tinygrad_np import nn
from tinygrad_np.check.cases.activations import ACTIVATION_LAYERS
from tinygrad_np.check.cases.images import IMAGES
from tinygrad_np.check.cases.losses import LOSSES
from tinygrad_np.check.cases.transformers import TRANSFORMERS
from tinygrad_np.check.draw import Rng, real
from tinygrad_np.check.rows import LayerCase, LayerRow
from tinygrad_np.tensor import Tensor


def linear(rng: Rng) -> LayerCase:
    bias = bool(rng.random() < 0.8)
    shape = (*rng.integers(0, 4, rng.integers(0, 3)).tolist(), 3)
    return LayerCase(
        nn.Linear(3, 2, bias, rng=rng, dtype=np.float64),
        [real(rng, shape)],
        torch=lambda torch: torch.nn.Linear(3, 2, bias),
    )


def embedding(rng: Rng) -> LayerCase:
    return LayerCase(
        nn.Embedding(4, 3, rng=rng, dtype=np.float64),
        [rng.integers(0, 4, (2, 5))],
        torch=lambda torch: torch.nn.Embedding(4, 3),
    )


def embedding_bag(rng: Rng) -> LayerCase:
    settings: Any = {"mode": ("sum", "mean", "max")[rng.integers(3)], "padding_idx": int(rng.integers(-4, 4))}
    return LayerCase(
        nn.EmbeddingBag(4, 3, **settings, rng=rng, dtype=np.float64),
        [rng.integers(0, 4, 5), np.array([0, 2, 2])],
        torch=lambda torch: torch.nn.EmbeddingBag(4, 3, **settings),
    )


def dropout(rng: Rng) -> LayerCase:
    layer = nn.Dropout(0.4, rng=rng)
    seed = int(rng.integers(2**32))

    def call(layer: Any, x: Any) -> Any:
        layer.rng = np.random.default_rng(seed)  # the same mask every time
        return layer(x) * x

    return LayerCase(layer, [real(rng, (3, 4))], torch=None, call=call)


def sequential(rng: Rng) -> LayerCase:
    first, last = (nn.Linear(n, m, rng=rng, dtype=np.float64) for n, m in ((3, 4), (4, 2)))
    return LayerCase(
        nn.Sequential(first, np.tanh, last),
        [real(rng, (2, 3))],
        torch=lambda torch: torch.nn.Sequential(
            torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2)
        ),
    )


def module_list(rng: Rng) -> LayerCase:
    return LayerCase(
        nn.ModuleList([nn.Linear(3, 3, rng=rng, dtype=np.float64) for _ in range(2)]),
        [real(rng, (2, 3))],
        torch=lambda torch: torch.nn.ModuleList([torch.nn.Linear(3, 3) for _ in range(2)]),
        call=lambda layer, x: layer[1](layer[0](x)),
    )


def module_dict(rng: Rng) -> LayerCase:
    return LayerCase(
        nn.ModuleDict({name: nn.Linear(3, 3, rng=rng, dtype=np.float64) for name in "ba"}),
        [real(rng, (2, 3))],
        torch=lambda torch: torch.nn.ModuleDict({name: torch.nn.Linear(3, 3) for name in "ba"}),
        call=lambda layer, x: layer["a"](layer["b"](x)),
    )


def moving(name: str, *settings: Any) -> LayerRow:
    """A layer without weights, of which only the shape is of interest."""

    def row(rng: Rng) -> LayerCase:
        return LayerCase(
            getattr(nn, name)(*settings),
            [real(rng, (2, 3, 4))],
            torch=lambda torch: getattr(torch.nn, name)(*settings),
        )

    return row


def variational_dropout(rng: Rng) -> LayerCase:
    return replace(dropout(rng), layer=nn.VariationalDropout(0.4, rng=rng))


def cell(name: str, rng: Rng, **settings: Any) -> LayerCase:
    """Of a batch, or without one."""
    bias, batch = bool(rng.random() < 0.8), () if rng.random() < 0.3 else (4,)
    layer = getattr(nn, name)(3, 2, bias, **settings, rng=rng, dtype=np.float64)

    def call(layer: Any, x: Any, *states: Any) -> Any:
        return layer(x, states if len(states) > 1 else states[0])

    return LayerCase(
        layer,
        [real(rng, (*batch, n)) for n in (3, *[2] * layer.states)],
        torch=lambda torch: getattr(torch.nn, name)(3, 2, bias, **settings),
        call=call,
    )


def rnn_cell(rng: Rng) -> LayerCase:
    return cell("RNNCell", rng, nonlinearity=str(rng.choice(["tanh", "relu"])))


def layer_norm_lstm_cell(rng: Rng) -> LayerCase:
    layer = nn.LayerNormLSTMCell(3, 2, rng=rng, dtype=np.float64)
    inputs = [real(rng, (4, n)) for n in (3, 2, 2)]
    return LayerCase(layer, inputs, torch=None, call=lambda layer, x, h, c: layer(x, (h, c)))


def recurrent(kind: type[nn.LSTM] | type[nn.GRU] | type[nn.RNN], rng: Rng) -> LayerCase:
    """Of one or two layers, in one or both directions, fused or not, with lengths from 0."""
    layers, both = int(rng.integers(1, 3)), bool(rng.random() < 0.5)
    settings: dict[str, Any] = {"num_layers": layers, "bidirectional": both}
    if kind is nn.RNN:
        settings["nonlinearity"] = str(rng.choice(["tanh", "relu"]))
    if kind is nn.LSTM and rng.random() < 0.3:
        settings["proj_size"] = 1
    ours: dict[str, Any] = {} if kind is nn.RNN else {"fused": bool(rng.random() < 0.5)}
    layer = kind(2, 2, **settings, **ours, rng=rng, dtype=np.float64)
    time = int(rng.integers(1, 5))
    if rng.random() < 0.3:
        return without_batch(layer, settings, rng)
    lengths = rng.integers(0, time + 1, 3)
    widths = (settings.get("proj_size", 2), 2)
    states = [real(rng, (layers * (1 + both), 3, width)) for width in widths[: layer.states]]

    def initial(states: tuple[Any, ...]) -> Any:
        return states if len(states) > 1 else states[0]

    def call(layer: Any, x: Tensor, *states: Tensor) -> tuple[Any, ...]:
        output, last = layer(x, initial(states), lengths)
        return (output, *last) if len(states) > 1 else (output, last)

    def torch_call(torch: Any, layer: Any, x: Any, *states: Any) -> tuple[Any, ...]:
        rnn = torch.nn.utils.rnn
        packed = rnn.pack_padded_sequence(
            x, torch.from_numpy(lengths), batch_first=True, enforce_sorted=False
        )
        output, last = layer(packed, initial(states))
        output, _ = rnn.pad_packed_sequence(output, batch_first=True, total_length=time)
        return (output, *last) if len(states) > 1 else (output, last)

    def torch_layer(torch: Any) -> Any:
        return getattr(torch.nn, kind.__name__)(2, 2, **settings, batch_first=True)

    return LayerCase(
        layer,
        [real(rng, (3, time, 2)), *states],
        torch=torch_layer if lengths.all() else None,  # PyTorch refuses a length of 0
        call=call,
        torch_call=torch_call,
    )


def without_batch(layer: Any, settings: dict[str, Any], rng: Rng) -> LayerCase:
    """One sequence, and no initial state."""

    def call(layer: Any, x: Any) -> tuple[Any, ...]:
        output, last = layer(x)
        return (output, *last) if isinstance(last, tuple) else (output, last)

    name = type(layer).__name__
    return LayerCase(
        layer,
        [real(rng, (3, 2))],
        torch=lambda torch: getattr(torch.nn, name)(2, 2, **settings, batch_first=True),
        call=call,
    )


def loss_layer(function: str, rng: Rng) -> LayerCase:
    """A loss as a layer, of the case that is drawn for the function."""
    row = LOSSES[function]
    case = row.draw(rng)

    def torch_layer(torch: Any) -> Any:
        tensors = {
            k: torch.from_numpy(v) if isinstance(v, np.ndarray) else v for k, v in case.keywords.items()
        }
        return getattr(torch.nn, row.layer)(**tensors)

    def torch_call(torch: Any, layer: Any, *inputs: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that a mean is not the divergence
            return layer(*inputs, *map(torch.from_numpy, case.constants))

    # PyTorch's layers have no weights for each element
    by_element = "weight" in case.settings and row.layer in ("MSELoss", "L1Loss", "HuberLoss")
    return LayerCase(
        getattr(nn, row.layer)(**case.keywords),
        case.point,
        torch=None if by_element else torch_layer,
        call=lambda layer, *inputs: layer(*inputs, *case.constants),
        torch_call=torch_call,
    )


LAYERS: dict[str, LayerRow] = {
    "Linear": linear,
    "Embedding": embedding,
    "EmbeddingBag": embedding_bag,
    "Dropout": dropout,
    **ACTIVATION_LAYERS,
    "Sequential": sequential,
    "ModuleList": module_list,
    "ModuleDict": module_dict,
    "Identity": moving("Identity"),
    "Flatten": moving("Flatten"),
    "Unflatten": moving("Unflatten", 2, (2, 2)),
    "VariationalDropout": variational_dropout,
    "RNNCell": rnn_cell,
    "GRUCell": partial(cell, "GRUCell"),
    "LSTMCell": partial(cell, "LSTMCell"),
    "LayerNormLSTMCell": layer_norm_lstm_cell,
    "RNN": partial(recurrent, nn.RNN),
    "LSTM": partial(recurrent, nn.LSTM),
    "GRU": partial(recurrent, nn.GRU),
    **IMAGES,
    **TRANSFORMERS,
    **{row.layer: partial(loss_layer, function) for function, row in LOSSES.items()},
}
