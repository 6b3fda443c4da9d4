"""Attention as layers: heads, and the blocks of a Transformer (Vaswani et al., 2017).

Sequences are batch first unless told. Masks are PyTorch's: a `key_padding_mask` (batch, keys) is true for what is
not there, and an `attn_mask` or `mask` (queries, keys) is true where a query may not attend; both may be numbers
that are added instead.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from tinygrad_np import functional
from tinygrad_np.functional import common
from tinygrad_np.functional.common import Rng
from tinygrad_np.functional.shapes import swapaxes
from tinygrad_np.nn import init
from tinygrad_np.nn.dropout import Dropout
from tinygrad_np.nn.layer import Layer, _walk, check_sizes
from tinygrad_np.nn.linear import Linear
from tinygrad_np.nn.normalization import LayerNorm
from tinygrad_np.tensor import Tensor

__all__ = [
    "MultiheadAttention",
    "PositionalEncoding",
    "Transformer",
    "TransformerDecoder",
    "TransformerDecoderLayer",
    "TransformerEncoder",
    "TransformerEncoderLayer",
]


class MultiheadAttention(Layer):
    """Attention in several parts of the features; see `functional.multi_head_attention_forward`.

    Parameters
    ----------
    embed_dim, num_heads : int
        Features of query and output, and into how many heads they are cut.
    dropout : float
        The probability to drop a weight in training.
    bias : bool
        Whether the maps have biases.
    add_bias_kv, add_zero_attn : bool
        Whether there is one key and value more, learned; and one of zeros.
    kdim, vdim : int, optional
        Features of keys and values; `embed_dim` unless given.
    batch_first : bool
        Whether sequences are (batch, time, features), which PyTorch has to be told; else (time, batch, features).
    rng : numpy.random.Generator, int or None
        Draws the initial weights, which are distributed as PyTorch's, and what is dropped.
    dtype : dtype
        Of the weights.

    Attributes
    ----------
    in_proj_weight : Tensor or None
        (3 embed_dim, embed_dim): the maps of query, key and value below each other. None where keys or values have
        other features: then `q_proj_weight`, `k_proj_weight` and `v_proj_weight`, each (embed_dim, features).
    in_proj_bias, bias_k, bias_v : Tensor or None
        (3 embed_dim,), and the others (1, 1, embed_dim).
    out_proj : Linear
        The map of what comes out.
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = True,
        *,
        rng: Rng = None,
        dtype: DTypeLike = np.float32,
    ):
        check_sizes("MultiheadAttention", 1, embed_dim=embed_dim, num_heads=num_heads)
        if embed_dim % num_heads:
            raise ValueError(
                f"MultiheadAttention cuts embed_dim {embed_dim} into heads, and {num_heads} is no divisor"
            )
        common.check_probability("MultiheadAttention", dropout)
        self.embed_dim = embed_dim
        self.num_heads = num_heads
        self.dropout = dropout
        self.add_zero_attn = add_zero_attn
        self.batch_first = batch_first
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        self.rng = rng = common.generator("MultiheadAttention", rng)
        self.separate = (self.kdim, self.vdim) != (embed_dim, embed_dim)

        def weight(*shape: int) -> Tensor:
            return Tensor(init.xavier_uniform(shape, rng, dtype), requires_grad=True)

        if self.separate:
            self.q_proj_weight = weight(embed_dim, embed_dim)
            self.k_proj_weight = weight(embed_dim, self.kdim)
            self.v_proj_weight = weight(embed_dim, self.vdim)
        else:
            self.in_proj_weight = weight(3 * embed_dim, embed_dim)
        self.in_proj_bias = Tensor(np.zeros(3 * embed_dim, dtype), requires_grad=True) if bias else None
        self.bias_k, self.bias_v = (
            Tensor(init.xavier_normal((1, 1, embed_dim), rng, dtype), requires_grad=True)
            if add_bias_kv
            else None
            for _ in range(2)
        )
        self.out_proj = Linear(embed_dim, embed_dim, bias, rng=rng, dtype=dtype)
        if self.out_proj.bias is not None:
            self.out_proj.bias.data[:] = 0

    def extra_repr(self) -> str:
        """The sizes, and the dropout."""
        return f"embed_dim={self.embed_dim}, num_heads={self.num_heads}, dropout={self.dropout}"

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Any = None,
        need_weights: bool = True,
        attn_mask: Any = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Let each query attend to the keys.

        Parameters
        ----------
        query, key, value : Tensor
            (batch, queries, embed_dim), (batch, keys, kdim) and (batch, keys, vdim); the batch may be missing.
        key_padding_mask, need_weights, attn_mask, average_attn_weights, is_causal
            As in `functional.multi_head_attention_forward`.

        Returns
        -------
        output : Tensor
            (batch, queries, embed_dim).
        weights : Tensor or None
            (batch, queries, keys), or (batch, num_heads, queries, keys) if they are not averaged.
        """
        turned = self.batch_first and np.ndim(query) == 3
        if turned:  # the same Tensor stays the same
            first = {
                id(x): swapaxes(common.floats("MultiheadAttention", x), 0, 1) for x in (query, key, value)
            }
            query, key, value = (first[id(x)] for x in (query, key, value))
        output, weights = functional.multi_head_attention_forward(
            query,
            key,
            value,
            self.embed_dim,
            self.num_heads,
            None if self.separate else self.in_proj_weight,
            self.in_proj_bias,
            self.bias_k,
            self.bias_v,
            self.add_zero_attn,
            self.dropout,
            self.out_proj.weight,
            self.out_proj.bias,
            self.training,
            key_padding_mask,
            need_weights,
            attn_mask,
            self.separate,
            self.q_proj_weight if self.separate else None,
            self.k_proj_weight if self.separate else None,
            self.v_proj_weight if self.separate else None,
            average_attn_weights=average_attn_weights,
            is_causal=is_causal,
            rng=self.rng,
        )
        return (swapaxes(output, 0, 1) if turned else output), weights


class Block(Layer):
    """What the layers of encoder and decoder share: a network of two layers, and sums with what went in."""

    norm_first: bool
    activation: Callable[[Tensor], Tensor]
    linear1: Linear
    linear2: Linear
    dropout: Dropout

    def _start(self, activation: str | Callable[[Tensor], Tensor], norm_first: bool) -> None:
        kind = type(self).__name__
        if isinstance(activation, str) and activation not in ("relu", "gelu"):
            raise ValueError(f"{kind} takes 'relu', 'gelu' or a function for activation, not {activation!r}")
        self.activation = getattr(functional, activation) if isinstance(activation, str) else activation
        self.norm_first = norm_first

    def extra_repr(self) -> str:
        """Where the norm stands."""
        return f"norm_first={self.norm_first}"

    def feed_forward(self, x: Tensor) -> Tensor:
        """The two layers, with dropout between them."""
        return self.linear2(self.dropout(self.activation(self.linear1(x))))

    def add_and_norm(
        self, x: Tensor, part: Callable[[Tensor], Tensor], dropout: Dropout, norm: LayerNorm
    ) -> Tensor:
        """x plus a part of it, with the norm before that part, or of the sum."""
        return x + dropout(part(norm(x))) if self.norm_first else norm(x + dropout(part(x)))


class TransformerEncoderLayer(Block):
    """A block of a Transformer's encoder: attention of a sequence to itself, then a network of two layers.

    Parameters
    ----------
    d_model, nhead : int
        Features, and heads of the attention.
    dim_feedforward : int
        Hidden features of the network.
    dropout : float
        The probability to drop, in training, in four places.
    activation : {"relu", "gelu"} or callable
        Between the two layers.
    layer_norm_eps : float
        Added to the variances of the norms.
    batch_first : bool
        Whether sequences are (batch, time, features), which PyTorch has to be told; else (time, batch, features).
    norm_first : bool
        Whether the norms stand before the parts, or behind the sums.
    bias : bool
        Whether there are biases.
    rng : numpy.random.Generator, int or None
        Draws the initial weights and what is dropped.
    dtype : dtype
        Of the weights.

    Attributes
    ----------
    self_attn, linear1, dropout, linear2, norm1, norm2, dropout1, dropout2 : Layer
        The parts, named as PyTorch's.
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Callable[[Tensor], Tensor] = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = True,
        norm_first: bool = False,
        bias: bool = True,
        *,
        rng: Rng = None,
        dtype: DTypeLike = np.float32,
    ):
        self._start(activation, norm_first)
        rng = common.generator("TransformerEncoderLayer", rng)
        self.self_attn = MultiheadAttention(
            d_model, nhead, dropout, bias, batch_first=batch_first, rng=rng, dtype=dtype
        )
        self.linear1 = Linear(d_model, dim_feedforward, bias, rng=rng, dtype=dtype)
        self.dropout = Dropout(dropout, rng=rng)
        self.linear2 = Linear(dim_feedforward, d_model, bias, rng=rng, dtype=dtype)
        self.norm1 = LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype)
        self.norm2 = LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype)
        self.dropout1 = Dropout(dropout, rng=rng)
        self.dropout2 = Dropout(dropout, rng=rng)

    def forward(
        self, src: Tensor, src_mask: Any = None, src_key_padding_mask: Any = None, is_causal: bool = False
    ) -> Tensor:
        """(batch, time, d_model) to that shape, or without batch."""

        def attend(x: Tensor) -> Tensor:
            return self.self_attn(x, x, x, src_key_padding_mask, False, src_mask, is_causal=is_causal)[0]

        x = self.add_and_norm(src, attend, self.dropout1, self.norm1)
        return self.add_and_norm(x, self.feed_forward, self.dropout2, self.norm2)


class TransformerDecoderLayer(Block):
    """A block of a Transformer's decoder: attention to itself, attention to a memory, then a network of two layers.

    Parameters are those of `TransformerEncoderLayer`.

    Attributes
    ----------
    self_attn, multihead_attn, linear1, dropout, linear2, norm1, norm2, norm3, dropout1, dropout2, dropout3 : Layer
        The parts, named as PyTorch's.
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Callable[[Tensor], Tensor] = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = True,
        norm_first: bool = False,
        bias: bool = True,
        *,
        rng: Rng = None,
        dtype: DTypeLike = np.float32,
    ):
        self._start(activation, norm_first)
        rng = common.generator("TransformerDecoderLayer", rng)
        self.self_attn = MultiheadAttention(
            d_model, nhead, dropout, bias, batch_first=batch_first, rng=rng, dtype=dtype
        )
        self.multihead_attn = MultiheadAttention(
            d_model, nhead, dropout, bias, batch_first=batch_first, rng=rng, dtype=dtype
        )
        self.linear1 = Linear(d_model, dim_feedforward, bias, rng=rng, dtype=dtype)
        self.dropout = Dropout(dropout, rng=rng)
        self.linear2 = Linear(dim_feedforward, d_model, bias, rng=rng, dtype=dtype)
        self.norm1 = LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype)
        self.norm2 = LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype)
        self.norm3 = LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype)
        self.dropout1 = Dropout(dropout, rng=rng)
        self.dropout2 = Dropout(dropout, rng=rng)
        self.dropout3 = Dropout(dropout, rng=rng)

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """(batch, time, d_model), and a memory (batch, its time, d_model), to the shape of the first."""

        def attend(x: Tensor) -> Tensor:
            return self.self_attn(x, x, x, tgt_key_padding_mask, False, tgt_mask, is_causal=tgt_is_causal)[0]

        def look_up(x: Tensor) -> Tensor:
            masks = (memory_key_padding_mask, False, memory_mask)
            return self.multihead_attn(x, memory, memory, *masks, is_causal=memory_is_causal)[0]

        x = self.add_and_norm(tgt, attend, self.dropout1, self.norm1)
        x = self.add_and_norm(x, look_up, self.dropout2, self.norm2)
        return self.add_and_norm(x, self.feed_forward, self.dropout3, self.norm3)


def copies(layer: Layer, count: int) -> list[Any]:
    """So many copies of a layer, with the same initial weights, but generators of their own."""
    found = [copy.deepcopy(layer) for _ in range(count)]
    own: dict[int, list[Any]] = {}  # what shared a generator shares the new one
    for (_, part), *parts in zip(_walk(layer, ""), *(_walk(one, "") for one in found), strict=True):
        if isinstance(part, Layer) and (rng := getattr(part, "rng", None)) is not None:
            generators = own.get(id(rng)) or own.setdefault(id(rng), rng.spawn(count))
            for (_, other), generator in zip(parts, generators, strict=True):
                other.rng = generator
    return found


class TransformerEncoder(Layer):
    """Blocks one after another, copies of one, and a norm behind them if given.

    Parameters
    ----------
    encoder_layer : TransformerEncoderLayer
        What is copied, with its weights.
    num_layers : int
        How many blocks.
    norm : Layer, optional
        What comes behind them.
    """

    def __init__(self, encoder_layer: Layer, num_layers: int, norm: Layer | None = None):
        check_sizes("TransformerEncoder", 1, num_layers=num_layers)
        self.layers = copies(encoder_layer, num_layers)
        self.norm = norm

    def forward(
        self, src: Tensor, mask: Any = None, src_key_padding_mask: Any = None, is_causal: bool = False
    ) -> Tensor:
        """(batch, time, d_model) to that shape."""
        for layer in self.layers:
            src = layer(src, mask, src_key_padding_mask, is_causal)
        return src if self.norm is None else self.norm(src)


class TransformerDecoder(Layer):
    """Blocks one after another, copies of one, and a norm behind them if given; see `TransformerEncoder`."""

    def __init__(self, decoder_layer: Layer, num_layers: int, norm: Layer | None = None):
        check_sizes("TransformerDecoder", 1, num_layers=num_layers)
        self.layers = copies(decoder_layer, num_layers)
        self.norm = norm

    def forward(self, tgt: Tensor, memory: Tensor, *masks: Any, **named: Any) -> Tensor:
        """What `TransformerDecoderLayer.forward` takes, to the shape of `tgt`."""
        for layer in self.layers:
            tgt = layer(tgt, memory, *masks, **named)
        return tgt if self.norm is None else self.norm(tgt)


class Transformer(Layer):
    """An encoder and a decoder (Vaswani et al., 2017).

    Parameters
    ----------
    d_model, nhead : int
        Features, and heads of the attentions.
    num_encoder_layers, num_decoder_layers : int
        Blocks of each.
    dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias, rng, dtype
        As in `TransformerEncoderLayer`.
    """

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Callable[[Tensor], Tensor] = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = True,
        norm_first: bool = False,
        bias: bool = True,
        *,
        rng: Rng = None,
        dtype: DTypeLike = np.float32,
    ):
        rng = common.generator("Transformer", rng)
        settings: Any = {"activation": activation, "layer_norm_eps": layer_norm_eps, "norm_first": norm_first}
        settings |= {"batch_first": batch_first, "bias": bias, "rng": rng, "dtype": dtype}
        sizes = (d_model, nhead, dim_feedforward, dropout)
        norm, last = (LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype) for _ in range(2))
        self.encoder = TransformerEncoder(
            TransformerEncoderLayer(*sizes, **settings), num_encoder_layers, norm
        )
        self.decoder = TransformerDecoder(
            TransformerDecoderLayer(*sizes, **settings), num_decoder_layers, last
        )
        for p in self.parameters():
            if p.ndim > 1:  # as PyTorch does: so the copies differ
                p.data[...] = init.xavier_uniform(p.shape, rng, p.dtype)

    def forward(
        self,
        src: Tensor,
        tgt: Tensor,
        src_mask: Any = None,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        src_key_padding_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        src_is_causal: bool = False,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """(batch, time, d_model) and (batch, its time, d_model), to the shape of the second."""
        memory = self.encoder(src, src_mask, src_key_padding_mask, src_is_causal)
        masks = (tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask)
        return self.decoder(tgt, memory, *masks, tgt_is_causal, memory_is_causal)


class PositionalEncoding(Layer):
    """x plus a vector for each place in a sequence: sines and cosines, or learned. PyTorch has none.

    Place t has sin(t / 10000^(i / d_model)) as its feature i, for even i, and the cosine of that as feature i + 1
    (Vaswani et al., 2017, section 3.5).

    Parameters
    ----------
    d_model : int
        Features.
    max_len : int
        How many places there are.
    learned : bool
        Whether the vectors are trained; they start from N(0, 0.02^2).
    rng : numpy.random.Generator, int or None
        Draws those that are learned.
    dtype : dtype
        Of the vectors.

    Attributes
    ----------
    weight : Tensor
        (max_len, d_model); trained if they are learned.
    """

    def __init__(
        self,
        d_model: int,
        max_len: int = 5000,
        learned: bool = False,
        *,
        rng: Rng = None,
        dtype: DTypeLike = np.float32,
    ):
        check_sizes("PositionalEncoding", 1, d_model=d_model, max_len=max_len)
        if learned:
            weight = init.normal((max_len, d_model), 0.02, common.generator("PositionalEncoding", rng), dtype)
        else:
            even = np.arange(d_model) // 2 * 2
            angles = np.arange(max_len)[:, np.newaxis] / 10000 ** (even / d_model)
            weight = np.where(np.arange(d_model) % 2, np.cos(angles), np.sin(angles)).astype(dtype)
        self.weight = Tensor(weight, requires_grad=learned)

    def extra_repr(self) -> str:
        """The sizes, and whether the vectors are learned."""
        places, features = self.weight.shape
        return f"{features}, max_len={places}, learned={self.weight.requires_grad}"

    def forward(self, x: Tensor) -> Tensor:
        """(..., time, d_model) to that shape."""
        x = common.floats("PositionalEncoding", x)
        places, features = self.weight.shape
        if x.ndim < 2 or x.shape[-1] != features or x.shape[-2] > places:
            raise ValueError(
                f"PositionalEncoding takes (..., time, {features}) of up to {places} steps, not {list(x.shape)}"
            )
        return x + self.weight[: x.shape[-2]]
