"""Rows of attention."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_np import functional
from tinygrad_np.check.draw import Arguments, Rng, Shape, real
from tinygrad_np.check.rows import Edge, Op


def attending(rng: Rng, shape: Shape) -> Arguments:
    """With bools, or numbers that have a gradient, for a mask, or none."""
    queries, keys, features, values = (int(n) for n in rng.integers(1, 4, 4))
    batch = shape[:2]
    arrays = [real(rng, (*batch, *s)) for s in ((queries, features), (keys, features), (keys, values))]
    kind = rng.integers(4)
    static: dict[str, Any] = {"scale": 0.7} if rng.random() < 0.3 else {}
    if kind == 0:
        static["is_causal"] = True
    elif kind == 1:
        mask = rng.random((queries, keys)) < 0.6
        mask[:, 0] = True  # a query that may attend to nothing is an edge
        static["attn_mask"] = mask
    elif kind == 2:
        arrays.append(real(rng, (queries, keys)))
    elif len(batch) == 2:
        arrays[0] = real(rng, (batch[0], 2 * batch[1], queries, features))
        static["enable_gqa"] = batch[1] > 0
        if not batch[1]:
            del static["enable_gqa"]
    return arrays, static


def plain_attention(
    q: Any,
    k: Any,
    v: Any,
    mask: Any = None,
    *,
    attn_mask: Any = None,
    is_causal: bool = False,
    scale: Any = None,
    enable_gqa: bool = False,
) -> Any:
    if enable_gqa:
        k, v = (np.repeat(x, q.shape[-3] // x.shape[-3], axis=-3) for x in (k, v))
    scores = q @ np.swapaxes(k, -1, -2) * (scale or 1 / np.sqrt(q.shape[-1]))
    if is_causal:
        attn_mask = np.tril(np.ones(scores.shape[-2:], bool))
    if attn_mask is not None:
        scores = np.where(attn_mask, scores, -np.inf)
    scores = scores if mask is None else scores + mask
    weights = np.exp(scores)
    return weights / weights.sum(-1, keepdims=True) @ v


def torch_attention(torch: Any, q: Any, k: Any, v: Any, mask: Any = None, **static: Any) -> Any:
    if "attn_mask" in static:
        mask = torch.from_numpy(static.pop("attn_mask"))
    return torch.nn.functional.scaled_dot_product_attention(q, k, v, mask, **static)


def heads(rng: Rng, shape: Shape) -> Arguments:
    """Two heads; query, key and value of different features or the same; every mask; keys that are added."""
    queries, keys, batch, size = (int(n) for n in rng.integers(1, 4, 4))
    features = 2 * size
    separate, biased = bool(rng.random() < 0.4), bool(rng.random() < 0.5)
    of_keys, of_values = (3, 5) if separate else (features, features)
    arrays = [
        real(rng, s) for s in ((queries, batch, features), (keys, batch, of_keys), (keys, batch, of_values))
    ]
    if separate:
        arrays += [real(rng, (features, n)) for n in (features, of_keys, of_values)]
    else:
        arrays.append(real(rng, (3 * features, features)))
    arrays += [real(rng, (features, features)), real(rng, (features,)), real(rng, (3 * features,))]
    if biased:
        arrays += [real(rng, (1, 1, features)) for _ in range(2)]
    static: dict[str, Any] = {
        "separate": separate,
        "biased": biased,
        "add_zero_attn": bool(rng.random() < 0.5),
    }
    static["average_attn_weights"] = bool(rng.random() < 0.5)
    if rng.random() < 0.5:
        mask = rng.random((batch, keys)) < 0.3
        mask[:, 0] = False
        static["key_padding_mask"] = mask
    if rng.random() < 0.6:
        each = rng.random((batch * 2, queries, keys) if rng.random() < 0.5 else (queries, keys)) < 0.3
        each[..., 0] = False
        static["attn_mask"] = each if rng.random() < 0.5 else np.where(each, -1.0, 0.5)
        if static["attn_mask"].dtype.kind == "f" and "key_padding_mask" in static:
            static["key_padding_mask"] = np.where(static["key_padding_mask"], -2.0, 0.25)
    return arrays, static


def named(xs: Any, separate: bool, biased: bool, add_zero_attn: bool) -> tuple[list[Any], dict[str, Any]]:
    """The arguments of `multi_head_attention_forward` by position and by name."""
    query, key, value, *rest = xs
    maps, rest = (rest[:3], rest[3:]) if separate else (rest[:1], rest[1:])
    weight, bias, in_bias, *more = rest
    bias_k, bias_v = more if biased else (None, None)
    in_weight = None if separate else maps[0]
    args = [
        query,
        key,
        value,
        query.shape[2],
        2,
        in_weight,
        in_bias,
        bias_k,
        bias_v,
        add_zero_attn,
        0.0,
        weight,
        bias,
    ]
    names = (
        dict(zip(("q_proj_weight", "k_proj_weight", "v_proj_weight"), maps, strict=True)) if separate else {}
    )
    return args, {**names, "use_separate_proj_weight": separate}


def many_heads(*xs: Any, separate: bool, biased: bool, add_zero_attn: bool, **static: Any) -> Any:
    args, names = named(xs, separate, biased, add_zero_attn)
    function: Any = functional.multi_head_attention_forward
    return function(*args, **names, **static)


def torch_heads(
    torch: Any, *xs: Any, separate: bool, biased: bool, add_zero_attn: bool, **static: Any
) -> Any:
    args, names = named(xs, separate, biased, add_zero_attn)
    static = {key: torch.from_numpy(x) if isinstance(x, np.ndarray) else x for key, x in static.items()}
    return torch.nn.functional.multi_head_attention_forward(*args, **names, **static)


def plain_heads(
    *xs: Any,
    separate: bool,
    biased: bool,
    add_zero_attn: bool,
    average_attn_weights: bool,
    key_padding_mask: Any = None,
    attn_mask: Any = None,
) -> Any:
    """Example by example and head by head."""
    args, names = named(xs, separate, biased, add_zero_attn)
    query, key, value, features, count, in_weight, in_bias, bias_k, bias_v, _, _, weight, bias = args
    maps = np.split(in_weight, 3) if not separate else [names[f"{n}_proj_weight"] for n in "qkv"]
    biases = np.split(in_bias, 3)
    size, (queries, batch, _), keys = features // count, query.shape, len(key)
    out, shown = np.zeros(query.shape), []  # type: Any, Any
    for n in range(batch):
        q, k, v = (x[:, n] @ w.T + b for x, w, b in zip((query, key, value), maps, biases, strict=True))
        if biased:
            k, v = np.concatenate([k, bias_k[0]]), np.concatenate([v, bias_v[0]])
        if add_zero_attn:
            k, v = (np.concatenate([x, np.zeros((1, features))]) for x in (k, v))
        for h in range(count):
            part = slice(h * size, (h + 1) * size)
            scores = q[:, part] @ k[:, part].T / np.sqrt(size)
            if key_padding_mask is not None:
                scores[:, :keys] += as_number(key_padding_mask[n])
            if attn_mask is not None:
                scores[:, :keys] += as_number(attn_mask[n * count + h] if attn_mask.ndim == 3 else attn_mask)
            weights = np.exp(scores)
            weights /= weights.sum(1, keepdims=True)
            out[:, n, part] = weights @ v[:, part]
            shown.append(weights)
    shown = np.array(shown).reshape(batch, count, queries, -1)
    return out @ weight.T + bias, shown.mean(1) if average_attn_weights else shown


def as_number(mask: np.ndarray) -> Any:
    return np.where(mask, -np.inf, 0.0) if mask.dtype == bool else mask


# The first query may attend to both keys, and the second to nothing: it gets 0, and sends nothing back.
NOTHING = np.array([[True, True], [False, False]])
ALONE = ([[0.0], [1.0]], [[0.0], [0.0]], [[2.0], [4.0]])
ATTENTION: dict[str, Op] = {
    "scaled_dot_product_attention": Op(
        attending,
        reference=plain_attention,
        torch=torch_attention,
        edges=[
            Edge(
                ALONE,
                [[1], [1]],
                [[[0], [0]], [[0], [0]], [[0.5], [0.5]]],
                {"attn_mask": NOTHING, "scale": 1.0},
            )
        ],
        function=functional.scaled_dot_product_attention,
    ),
    "multi_head_attention_forward": Op(heads, reference=plain_heads, torch=torch_heads, function=many_heads),
}
