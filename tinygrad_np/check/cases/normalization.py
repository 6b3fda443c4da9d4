"""Rows of normalisation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_np import functional
from tinygrad_np.check.draw import Arguments, Rng, Shape, filled, positive, real, some_axes, wave
from tinygrad_np.check.rows import Op


def plain_standardize(x: np.ndarray, axis: Any, eps: float, center: bool = True) -> Any:
    away = x - x.mean(axis=axis, keepdims=True) if center else x
    return away / np.sqrt((away**2).mean(axis=axis, keepdims=True) + eps)


def standardized(rng: Rng, shape: Shape) -> Arguments:
    shape = filled(shape, 1)
    static = {"axis": some_axes(rng, shape), "eps": 0.1, "center": bool(rng.random() < 0.7)}
    return [real(rng, shape)], static


def channels(rng: Rng, shape: Shape, x: np.ndarray) -> list[np.ndarray]:
    """Weight and bias, or neither of them."""
    return [positive(rng, x.shape[1:2]), real(rng, x.shape[1:2])] if rng.random() < 0.7 else []


def affine(y: np.ndarray, weight: Any = None, bias: Any = None) -> Any:
    ones = (1,) * (y.ndim - 2)
    if weight is not None:
        y = y * weight.reshape(-1, *ones) + bias.reshape(-1, *ones)
    return y


def images(rng: Rng, axes: int) -> np.ndarray:
    return real(rng, tuple(int(n) for n in rng.integers(2, 4, 2 + axes)))


def in_batches(rng: Rng, shape: Shape) -> Arguments:
    x = images(rng, int(rng.integers(0, 3)))
    return [x, *channels(rng, shape, x)], {
        "seed": int(rng.integers(1000)),
        "training": bool(rng.random() < 0.6),
    }


def running(seed: int, x: Any) -> tuple[np.ndarray, np.ndarray]:
    """Running mean and variance; they are written to, so each call has its own."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal(x.shape[1]), rng.uniform(0.5, 2, x.shape[1])


def batch_norm(x: Any, weight: Any = None, bias: Any = None, *, seed: int, training: bool) -> Any:
    """Not the running ones, which the row of the layer compares."""
    mean, var = running(seed, x)
    return functional.batch_norm(
        x, mean.astype(x.dtype), var.astype(x.dtype), weight, bias, training, momentum=0.0, eps=0.1
    )


def plain_batch_norm(x: Any, weight: Any = None, bias: Any = None, *, seed: int, training: bool) -> Any:
    axes = (0, *range(2, x.ndim))
    if training:
        return affine(plain_standardize(x, axes, 0.1), weight, bias)
    mean, var = (r.reshape(-1, *(1,) * (x.ndim - 2)) for r in running(seed, x))
    return affine((x - mean) / np.sqrt(var + 0.1), weight, bias)


def torch_batch_norm(
    torch: Any, x: Any, weight: Any = None, bias: Any = None, *, seed: int, training: bool
) -> Any:
    mean, var = (torch.from_numpy(r) for r in running(seed, x))
    return torch.nn.functional.batch_norm(x, mean, var, weight, bias, training, momentum=0.0, eps=0.1)


def of_instances(rng: Rng, shape: Shape) -> Arguments:
    x = images(rng, int(rng.integers(1, 3)))
    return [x, *channels(rng, shape, x)], {}


def instance_norm(x: Any, weight: Any = None, bias: Any = None) -> Any:
    return functional.instance_norm(x, None, None, weight, bias, eps=0.1)


def last_axes(weights: int) -> Callable[[Rng, Shape], Arguments]:
    def draw(rng: Rng, shape: Shape) -> Arguments:
        normalized = tuple(int(n) for n in rng.integers(1, 4, rng.integers(1, 3)))
        several = [positive(rng, normalized), real(rng, normalized)][:weights] if rng.random() < 0.7 else []
        return [real(rng, (*shape[:2], *normalized)), *several], {"normalized_shape": normalized, "eps": 0.1}

    return draw


def layer_norm(x: Any, weight: Any = None, bias: Any = None, *, normalized_shape: Any, eps: float) -> Any:
    return functional.layer_norm(x, normalized_shape, weight, bias, eps)


def rms_norm(x: Any, weight: Any = None, *, normalized_shape: Any, eps: float) -> Any:
    return functional.rms_norm(x, normalized_shape, weight, eps)


def plain_last(
    x: Any, weight: Any = 1.0, bias: Any = 0.0, *, normalized_shape: Any, eps: float, center: bool = True
) -> Any:
    if not x.size:
        return x
    axes = tuple(range(-len(normalized_shape), 0))
    return plain_standardize(x, axes, eps, center) * weight + bias


def in_groups(rng: Rng, shape: Shape) -> Arguments:
    groups = int(rng.integers(1, 3))
    lengths = tuple(int(n) for n in rng.integers(1, 4, rng.integers(0, 3)))
    x = real(rng, (int(rng.integers(1, 3)), 2 * groups, *lengths))
    return [x, *channels(rng, shape, x)], {"num_groups": groups}


def group_norm(x: Any, weight: Any = None, bias: Any = None, *, num_groups: int) -> Any:
    return functional.group_norm(x, num_groups, weight, bias, eps=0.1)


def plain_group_norm(x: Any, weight: Any = None, bias: Any = None, *, num_groups: int) -> Any:
    size = x.shape[1] // num_groups
    parts = [x[:, i * size : (i + 1) * size] for i in range(num_groups)]
    axes = tuple(range(1, x.ndim))
    return affine(np.concatenate([plain_standardize(part, axes, 0.1) for part in parts], 1), weight, bias)


def neighbours(rng: Rng, shape: Shape) -> Arguments:
    static = {"size": int(rng.integers(1, 5)), "alpha": 0.5, "beta": 0.75, "k": 2.0}
    return [images(rng, int(rng.integers(1, 3)))], static


def plain_response(x: Any, size: int, alpha: float, beta: float, k: float) -> Any:
    out = np.zeros_like(x)
    for c in range(x.shape[1]):
        near = x[:, max(c - size // 2, 0) : c + (size - 1) // 2 + 1]
        out[:, c] = x[:, c] / (k + alpha / size * (near**2).sum(1)) ** beta
    return out


NORMALIZATION: dict[str, Op] = {
    "standardize": Op(
        standardized,
        reference=plain_standardize,
        torch=None,
        more=[
            ([wave(3, 4)], {"axis": 0, "eps": 0.5}),
            ([wave(3, 4)], {"axis": (0, 1), "eps": 0.5, "center": False}),
        ],
    ),
    "batch_norm": Op(in_batches, reference=plain_batch_norm, torch=torch_batch_norm, function=batch_norm),
    "instance_norm": Op(
        of_instances,
        reference=lambda x, *more: affine(plain_standardize(x, tuple(range(2, x.ndim)), 0.1), *more),
        torch=lambda torch, x, *more: torch.nn.functional.instance_norm(x, None, None, *more, eps=0.1),
        function=instance_norm,
    ),
    "layer_norm": Op(
        last_axes(2),
        reference=plain_last,
        torch=lambda torch, x, *more, normalized_shape, eps: torch.nn.functional.layer_norm(
            x, normalized_shape, *more, eps=eps
        ),
        function=layer_norm,
    ),
    "rms_norm": Op(
        last_axes(1),
        reference=lambda x, *more, **static: plain_last(x, *more, **static, center=False),
        torch=lambda torch, x, *more, normalized_shape, eps: torch.nn.functional.rms_norm(
            x, normalized_shape, *more, eps=eps
        ),
        function=rms_norm,
    ),
    "group_norm": Op(
        in_groups,
        reference=plain_group_norm,
        torch=lambda torch, x, *more, num_groups: torch.nn.functional.group_norm(
            x, num_groups, *more, eps=0.1
        ),
        function=group_norm,
    ),
    "local_response_norm": Op(
        neighbours,
        reference=plain_response,
        torch="nn.functional.local_response_norm",
        function=functional.local_response_norm,
    ),
}
