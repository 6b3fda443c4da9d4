"""Rows of the layers of a Transformer."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_np import nn
from tinygrad_np.check.draw import Rng, real
from tinygrad_np.check.rows import LayerCase, LayerRow


def mask(rng: Rng, *shape: int) -> np.ndarray | None:
    """True for some, but never for the first key; or none."""
    if rng.random() < 0.4:
        return None
    found = rng.random(shape) < 0.4
    found[..., 0] = False
    return found


def to_torch(torch: Any, masks: dict[str, Any]) -> dict[str, Any]:
    return {key: torch.from_numpy(m) if isinstance(m, np.ndarray) else m for key, m in masks.items()}


def multihead_attention(rng: Rng) -> LayerCase:
    """Of a sequence to itself, or with other features of keys and values."""
    queries, keys = (int(n) for n in rng.integers(1, 4, 2))
    own = bool(rng.random() < 0.4)
    settings: dict[str, Any] = {"bias": bool(rng.random() < 0.7), "add_bias_kv": bool(rng.random() < 0.4)}
    settings["add_zero_attn"] = bool(rng.random() < 0.4)
    keys = queries if own else keys
    if not own and rng.random() < 0.5:
        settings |= {"kdim": 3, "vdim": 5}
    features = (4, settings.get("kdim", 4), settings.get("vdim", 4))
    given: dict[str, Any] = {"key_padding_mask": mask(rng, 2, keys), "attn_mask": mask(rng, queries, keys)}
    given["average_attn_weights"] = bool(rng.random() < 0.5)
    layer = nn.MultiheadAttention(4, 2, **settings, rng=rng, dtype=np.float64)
    for weight in layer.parameters():
        weight.data[...] = real(rng, weight.shape)  # biases start as zeros

    def call(layer: Any, *xs: Any) -> Any:
        return layer(*(xs * 3 if own else xs), **given)

    def torch_call(torch: Any, layer: Any, *xs: Any) -> Any:
        return layer(*(xs * 3 if own else xs), **to_torch(torch, given))

    steps = (queries, keys, keys)
    return LayerCase(
        layer,
        [real(rng, (2, n, d)) for n, d in zip(steps, features, strict=True)][: 1 if own else 3],
        torch=lambda torch: torch.nn.MultiheadAttention(4, 2, **settings, batch_first=True),
        call=call,
        torch_call=torch_call,
    )


def settings_of_a_block(rng: Rng) -> dict[str, Any]:
    return {
        "dim_feedforward": 3,
        "dropout": 0.0,
        "norm_first": bool(rng.random() < 0.5),
        "bias": bool(rng.random() < 0.7),
        "layer_norm_eps": 0.01,
    }


def encoding(deep: bool, rng: Rng) -> LayerCase:
    settings, time = settings_of_a_block(rng), int(rng.integers(1, 4))
    given = {
        "src_key_padding_mask": mask(rng, 2, time),
        "mask" if deep else "src_mask": mask(rng, time, time),
    }

    def torch_layer(torch: Any) -> Any:
        block = torch.nn.TransformerEncoderLayer(4, 2, **settings, batch_first=True)
        if not deep:
            return block
        return torch.nn.TransformerEncoder(block, 2, torch.nn.LayerNorm(4), enable_nested_tensor=False)

    block = nn.TransformerEncoderLayer(4, 2, **settings, rng=rng, dtype=np.float64)
    last = nn.LayerNorm(4, dtype=np.float64)
    return LayerCase(
        nn.TransformerEncoder(block, 2, last) if deep else block,
        [real(rng, (2, time, 4))],
        torch=torch_layer,
        call=lambda layer, x: layer(x, **given),
        torch_call=lambda torch, layer, x: layer(x, **to_torch(torch, given)),
    )


def decoding(deep: bool, rng: Rng) -> LayerCase:
    settings, (time, keys) = settings_of_a_block(rng), rng.integers(1, 4, 2).tolist()
    given = {
        "tgt_mask": np.triu(np.ones((time, time), bool), 1),
        "memory_mask": mask(rng, time, keys),
        "memory_key_padding_mask": mask(rng, 2, keys),
    }

    def torch_layer(torch: Any) -> Any:
        block = torch.nn.TransformerDecoderLayer(4, 2, **settings, batch_first=True)
        return torch.nn.TransformerDecoder(block, 2) if deep else block

    block = nn.TransformerDecoderLayer(4, 2, **settings, rng=rng, dtype=np.float64)
    return LayerCase(
        nn.TransformerDecoder(block, 2) if deep else block,
        [real(rng, (2, time, 4)), real(rng, (2, keys, 4))],
        torch=torch_layer,
        call=lambda layer, x, memory: layer(x, memory, **given),
        torch_call=lambda torch, layer, x, memory: layer(x, memory, **to_torch(torch, given)),
    )


def transformer(rng: Rng) -> LayerCase:
    sizes = (4, 2, 1, 1, 3, 0.0)
    source, target = (int(n) for n in rng.integers(1, 4, 2))
    given = {"tgt_mask": np.triu(np.ones((target, target), bool), 1), "src_mask": mask(rng, source, source)}
    return LayerCase(
        nn.Transformer(*sizes, rng=rng, dtype=np.float64),
        [real(rng, (2, source, 4)), real(rng, (2, target, 4))],
        torch=lambda torch: torch.nn.Transformer(*sizes, batch_first=True),
        call=lambda layer, x, y: layer(x, y, **given),
        torch_call=lambda torch, layer, x, y: layer(x, y, **to_torch(torch, given)),
    )


def positional_encoding(rng: Rng) -> LayerCase:
    layer = nn.PositionalEncoding(5, 4, bool(rng.random() < 0.5), rng=rng, dtype=np.float64)
    return LayerCase(layer, [real(rng, (2, 3, 5))], torch=None)


TRANSFORMERS: dict[str, LayerRow] = {
    "MultiheadAttention": multihead_attention,
    "TransformerEncoderLayer": lambda rng: encoding(False, rng),
    "TransformerEncoder": lambda rng: encoding(True, rng),
    "TransformerDecoderLayer": lambda rng: decoding(False, rng),
    "TransformerDecoder": lambda rng: decoding(True, rng),
    "Transformer": transformer,
    "PositionalEncoding": positional_encoding,
}
