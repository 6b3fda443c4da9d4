"""Attention: means of values, weighted by how well their keys fit a query (Vaswani et al., 2017).

The names and masks are PyTorch's. A query that may attend to nothing gets 0, and sends no gradient back.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from tinygrad_np.errors import names_itself
from tinygrad_np.functional.activations import softmax
from tinygrad_np.functional.common import Rng, check_number, floats
from tinygrad_np.functional.layers import dropout, linear
from tinygrad_np.functional.shapes import swapaxes
from tinygrad_np.operand import as_array
from tinygrad_np.ops.elementwise import where
from tinygrad_np.ops.shape import broadcast_to, concatenate, split
from tinygrad_np.tape import whole
from tinygrad_np.tensor import Tensor, without_tensors

__all__ = ["multi_head_attention_forward", "scaled_dot_product_attention"]


@names_itself
def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
    *,
    rng: Rng = None,
) -> Tensor:
    """softmax(q k^T scale + mask) v, over the keys.

    Parameters
    ----------
    query : Tensor
        (..., queries, features).
    key : Tensor
        (..., keys, features).
    value : Tensor
        (..., keys, values).
    attn_mask : array_like, optional
        What stretches to (..., queries, keys): bools, true where a query may attend to a key, or numbers to add.
    dropout_p : float
        The probability to drop a weight, from 0 to below 1.
    is_causal : bool
        Whether query i may attend to the keys up to i alone; not beside a mask.
    scale : float, optional
        1 / sqrt(features) unless given.
    enable_gqa : bool
        Whether a key and its value serve several heads of the query: axis -3 is that many times as long there.
    rng : numpy.random.Generator, int or None
        Draws what is dropped.

    Returns
    -------
    Tensor
        (..., queries, values); 0 of a query that may attend to nothing, where PyTorch's is 0 or NaN.

    Raises
    ------
    ValueError
        The shapes do not fit, or there are a mask and `is_causal`.
    """
    name = "scaled_dot_product_attention"
    q, k, v = (floats(name, x) for x in (query, key, value))
    if min(q.ndim, k.ndim, v.ndim) < 2 or q.shape[-1] != k.shape[-1] or k.shape[-2] != v.shape[-2]:
        raise ValueError(
            f"{name} takes query (..., queries, features), key (..., keys, features), value (..., keys, values), "
            f"not {list(q.shape)}, {list(k.shape)}, {list(v.shape)}"
        )
    if enable_gqa:
        k, v = (_for_heads(name, x, q) for x in (k, v))
    if is_causal:
        if attn_mask is not None:
            raise ValueError(f"{name} takes attn_mask or is_causal, and not both")
        attn_mask = causal(q.shape[-2], k.shape[-2])
    weights = attention_weights(name, q, k, attn_mask, scale)
    weights = dropout(weights, dropout_p, rng=rng)
    return weights @ v


@names_itself
def multi_head_attention_forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Any = None,
    need_weights: bool = True,
    attn_mask: Any = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
    *,
    rng: Rng = None,
) -> tuple[Tensor, Tensor | None]:
    """Attention in several parts of the features, each with maps of its own; what `nn.MultiheadAttention` computes.

    Sequences are time first here, (time, batch, features), as they are in PyTorch's function of this name; the
    batch may be missing.

    Parameters
    ----------
    query, key, value : Tensor
        (queries, batch, embed_dim), (keys, batch, features of keys) and (keys, batch, features of values).
    embed_dim_to_check, num_heads : int
        Features of the query, and into how many heads they are cut.
    in_proj_weight : Tensor or None
        (3 embed_dim, embed_dim): the maps of query, key and value below each other. None if
        `use_separate_proj_weight`: then these are `q_proj_weight`, `k_proj_weight` and `v_proj_weight`.
    in_proj_bias : Tensor or None
        (3 embed_dim,).
    bias_k, bias_v : Tensor or None
        (1, 1, embed_dim): one key and value more.
    add_zero_attn : bool
        Whether there is one key and value of zeros more.
    dropout_p : float
        The probability to drop a weight in training.
    out_proj_weight, out_proj_bias : Tensor
        (embed_dim, embed_dim) and (embed_dim,): the map of what comes out.
    training : bool
        Whether weights are dropped.
    key_padding_mask : array_like, optional
        (batch, keys): bools, true for a key that is not there, or numbers that are added.
    need_weights, average_attn_weights : bool
        Whether the weights are returned, and their mean over the heads instead of those of each.
    attn_mask : array_like, optional
        (queries, keys) or (batch * num_heads, queries, keys): bools, true where a query may not attend to a key
        (in `scaled_dot_product_attention` it is the other way round), or numbers that are added.
    static_k, static_v : None
        Refused if given.
    is_causal : bool
        Whether query i may attend to the keys up to i alone; needed only where there is no mask that says so.
    rng : numpy.random.Generator, int or None
        Draws what is dropped.

    Returns
    -------
    output : Tensor
        (queries, batch, embed_dim).
    weights : Tensor or None
        (batch, queries, keys), or (batch, num_heads, queries, keys) if they are not averaged.

    Raises
    ------
    ValueError
        A shape does not fit.
    """
    name = "multi_head_attention_forward"
    if static_k is not None or static_v is not None:
        raise ValueError(f"{name} has no static_k and static_v; give them as key and value")
    q, k, v = (floats(name, x) for x in (query, key, value))
    unbatched = q.ndim == 2
    if unbatched:
        q, k, v = (x.expand_dims(1) for x in (q, k, v))
    if not (
        q.ndim == k.ndim == v.ndim == 3
        and q.shape[2] == embed_dim_to_check
        and k.shape[:2] == v.shape[:2]
        and q.shape[1] == k.shape[1]
        and embed_dim_to_check % num_heads == 0
    ):
        raise ValueError(
            f"{name} of {embed_dim_to_check} features in {num_heads} heads takes a query (queries, batch, "
            f"{embed_dim_to_check}) and key and value (keys, batch, features), not {list(query.shape)}, "
            f"{list(key.shape)} and {list(value.shape)}"
        )
    if use_separate_proj_weight:
        maps: Any = (q_proj_weight, k_proj_weight, v_proj_weight)
    else:
        maps = split(floats(name, in_proj_weight), 3)
    biases: Any = (None, None, None) if in_proj_bias is None else split(floats(name, in_proj_bias), 3)
    if query is key is value and not use_separate_proj_weight:  # one product instead of three
        q, k, v = split(linear(q, floats(name, in_proj_weight), in_proj_bias), 3, -1)
    else:
        q, k, v = (linear(x, w, b) for x, w, b in zip((q, k, v), maps, biases, strict=True))
    queries, batch, features = q.shape
    if bias_k is not None and bias_v is not None:
        k, v = (
            concatenate(x, broadcast_to(one, shape=(1, batch, features)))
            for x, one in ((k, bias_k), (v, bias_v))
        )
    if add_zero_attn:
        zeros = np.zeros((1, batch, features), k.dtype)
        k, v = (concatenate(x, zeros) for x in (k, v))
    given, keys = len(key), len(k)
    mask = _joined_masks(
        name, (batch, num_heads, queries, given), key_padding_mask, attn_mask, is_causal, keys - given
    )
    q, k, v = (
        x.reshape(len(x), batch, num_heads, features // num_heads).transpose(1, 2, 0, 3) for x in (q, k, v)
    )
    weights = attention_weights(name, q, k, mask, None)
    weights = dropout(weights, dropout_p, training, rng=rng)
    mixed = (weights @ v).transpose(2, 0, 1, 3).reshape(queries, batch, features)
    output = linear(mixed, out_proj_weight, out_proj_bias)
    shown = None if not need_weights else weights.mean(axis=1) if average_attn_weights else weights
    if unbatched:
        return output.squeeze(1), None if shown is None else shown.squeeze(0)
    return output, shown


# --- what they share ----------------------------------------------------------------------------------


def causal(queries: int, keys: int) -> np.ndarray:
    """True where a query may attend to a key: to those up to its own place."""
    return np.tri(queries, keys, dtype=bool)


@whole
def attention_weights(name: str, q: Tensor, k: Tensor, mask: Any, scale: float | None) -> Tensor:
    """softmax(q k^T scale + mask) over the keys; a mask of bools is true where a query may attend to a key."""
    if scale is None:
        scale = 1 / math.sqrt(q.shape[-1]) if q.shape[-1] else 1.0
    check_number(name, "scale", scale)
    scores = (q * scale) @ swapaxes(k, -1, -2)
    if mask is None:
        return softmax(scores)
    mask = mask if isinstance(mask, Tensor) and mask.requires_grad else as_array(without_tensors(mask), name)
    scores = where(mask, scores, -np.inf) if mask.dtype.kind == "b" else scores + mask.astype(scores.dtype)
    nothing = np.all(scores.data == -np.inf, axis=-1, keepdims=True)
    if not nothing.any():
        return softmax(scores)
    return where(nothing, 0.0, softmax(where(nothing, 0.0, scores)))


def _for_heads(name: str, x: Tensor, q: Tensor) -> Tensor:
    """Keys or values of groups of heads, repeated for each head of the query."""
    if x.ndim < 3 or q.ndim < 3 or not x.shape[-3] or q.shape[-3] % x.shape[-3]:
        raise ValueError(
            f"{name} with enable_gqa takes a query of several times as many heads, axis -3, as keys have, "
            f"not {list(q.shape)} and {list(x.shape)}"
        )
    times = q.shape[-3] // x.shape[-3]
    several = broadcast_to(x.expand_dims(-3), shape=(*x.shape[:-2], times, *x.shape[-2:]))
    return several.reshape(*x.shape[:-3], q.shape[-3], *x.shape[-2:])


def _joined_masks(
    name: str, shape: tuple[int, ...], padding: Any, attention: Any, is_causal: bool, more: int
) -> Any:
    """One mask that stretches to (batch, heads, queries, keys + more), of which the last are never masked."""
    batch, heads, queries, keys = shape
    found: list[Any] = []
    if padding is not None:
        padding = as_array(without_tensors(padding), name)
        if padding.shape not in ((batch, keys), *[(keys,)] * (batch == 1)):
            raise ValueError(f"{name} takes a key_padding_mask ({batch}, {keys}), not {padding.shape}")
        found.append(padding.reshape(batch, 1, 1, keys))
    if attention is not None:
        if not (isinstance(attention, Tensor) and attention.requires_grad):
            attention = as_array(without_tensors(attention), name)
        if attention.shape == (batch * heads, queries, keys):
            attention = attention.reshape(batch, heads, queries, keys)
        elif attention.shape != (queries, keys):
            raise ValueError(
                f"{name} takes an attn_mask ({queries}, {keys}) or ({batch * heads}, {queries}, {keys}), "
                f"not {attention.shape}"
            )
        found.append(attention)
    elif is_causal:
        found.append(~causal(queries, keys))
    if not found:
        return None
    if all(mask.dtype.kind == "b" for mask in found):
        joined = np.logical_not(functools.reduce(np.logical_or, found))
        return np.concatenate([joined, np.ones((*joined.shape[:-1], more), bool)], -1)
    total: Any = 0.0
    for mask in found:
        total = total + (np.where(mask, -np.inf, 0.0) if mask.dtype.kind == "b" else mask)
    return np.concatenate([total, np.zeros((*total.shape[:-1], more))], -1) if more else total
