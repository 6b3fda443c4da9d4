"""Rows of the layers for images and the like: convolutions, pooling, norms, padding, dropout of channels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from tinygrad_np import nn
from tinygrad_np.check.draw import Rng, distinct, positive, real
from tinygrad_np.check.rows import LayerCase, LayerRow


def lengths(rng: Rng, axes: int, low: int = 4, high: int = 7) -> tuple[int, ...]:
    return tuple(int(n) for n in rng.integers(low, high, axes))


def batch(rng: Rng) -> tuple[int, ...]:
    """Two examples, or none."""
    return (2,) if rng.random() < 0.7 else ()


def convolution(axes: int, rng: Rng) -> LayerCase:
    name = f"Conv{axes}d"
    settings: dict[str, Any] = {"groups": int(rng.integers(1, 3)), "bias": bool(rng.random() < 0.7)}
    if rng.random() < 0.3:
        settings |= {"padding": "same", "dilation": int(rng.integers(1, 3))}
    else:
        settings |= {"padding": int(rng.integers(0, 2)), "stride": tuple(rng.integers(1, 3, axes).tolist())}
    settings["padding_mode"] = str(rng.choice(["zeros", "reflect", "replicate", "circular"]))
    kernel = tuple(int(n) for n in rng.choice([1, 3], axes))
    return LayerCase(
        getattr(nn, name)(2, 4, kernel, **settings, rng=rng, dtype=np.float64),
        [real(rng, (*batch(rng), 2, *lengths(rng, axes, 5, 7)))],
        torch=lambda torch: getattr(torch.nn, name)(2, 4, kernel, **settings),
    )


def transposed(axes: int, rng: Rng) -> LayerCase:
    name = f"ConvTranspose{axes}d"
    settings: dict[str, Any] = {"groups": int(rng.integers(1, 3)), "bias": bool(rng.random() < 0.7)}
    settings |= {"stride": 3, "padding": int(rng.integers(0, 2)), "dilation": int(rng.integers(1, 3))}
    settings["output_padding"] = int(rng.integers(0, 3))
    x = real(rng, (*batch(rng), 2, *lengths(rng, axes, 2, 4)))
    layer = getattr(nn, name)(2, 4, 3, **settings, rng=rng, dtype=np.float64)
    size = None if rng.random() < 0.5 else [n + 1 for n in least(layer, x.shape[-axes:])]
    return LayerCase(
        layer,
        [x],
        torch=lambda torch: getattr(torch.nn, name)(2, 4, 3, **settings),
        call=lambda layer, x: layer(x, size),
    )


def least(layer: Any, shape: Sequence[int]) -> list[int]:
    """The shortest lengths that a transposed convolution makes."""
    settings = zip(shape, layer.stride, layer.padding, layer.dilation, layer.kernel_size, strict=True)
    return [(n - 1) * s - 2 * p + d * (k - 1) + 1 for n, s, p, d, k in settings]


def applied(
    name: str, axes: int, draw: Callable[[Rng], dict[str, Any]], values: Any, channels: int, rng: Rng
) -> LayerCase:
    """A layer without weights, with these settings."""
    settings = draw(rng)
    return LayerCase(
        getattr(nn, name)(**settings),
        [values(rng, (2, channels, *lengths(rng, axes)))],
        torch=lambda torch: getattr(torch.nn, name)(**settings),
    )


def max_pool(rng: Rng) -> dict[str, Any]:
    return {
        "kernel_size": 2,
        "stride": int(rng.integers(1, 3)),
        "padding": 1,
        "ceil_mode": bool(rng.random() < 0.5),
    }


def avg_pool(rng: Rng) -> dict[str, Any]:
    return {**max_pool(rng), "count_include_pad": bool(rng.random() < 0.5)}


def lp_pool(rng: Rng) -> dict[str, Any]:
    return {"norm_type": 2.0, "kernel_size": 2, "stride": int(rng.integers(1, 3))}


def adaptive(rng: Rng) -> dict[str, Any]:
    return {"output_size": int(rng.integers(1, 4))}


def upsample(rng: Rng) -> dict[str, Any]:
    return {"scale_factor": 1.5, "mode": "bilinear", "align_corners": bool(rng.random() < 0.5)}


def padding(rng: Rng) -> dict[str, Any]:
    return {"padding": int(rng.integers(0, 3))}


def constant(rng: Rng) -> dict[str, Any]:
    return {"padding": int(rng.integers(-1, 3)), "value": 0.5}


def fold(rng: Rng) -> LayerCase:
    settings: dict[str, Any] = {"output_size": (4, 5), "kernel_size": (2, 3), "stride": (1, 2)}
    return LayerCase(
        nn.Fold(**settings), [real(rng, (*batch(rng), 12, 6))], torch=lambda torch: torch.nn.Fold(**settings)
    )


# --- norms --------------------------------------------------------------------------------------------


def running(kind: str, axes: int, rng: Rng) -> LayerCase:
    """In training, or in evaluation, which is told by the mode; running ones are not where they start."""
    name = f"{kind}Norm{axes}d"
    tracked = bool(rng.random() < 0.7)
    settings: dict[str, Any] = {"affine": bool(rng.random() < 0.7), "track_running_stats": tracked}
    settings["momentum"] = None if rng.random() < 0.3 else 0.3
    training = bool(rng.random() < 0.6)
    layer = getattr(nn, name)(3, **settings, dtype=np.float64).train(training)
    if tracked:
        layer.running_mean.data[...] = real(rng, (3,))
        layer.running_var.data[...] = positive(rng, (3,))
        layer.num_batches_tracked.data[...] = 4
    for weight in layer.parameters():
        weight.data[...] = real(rng, (3,))
    shape = (
        (4, 3) if kind == "Batch" and axes == 1 and rng.random() < 0.5 else (2, 3, *lengths(rng, axes, 2, 4))
    )
    return LayerCase(
        layer, [real(rng, shape)], torch=lambda torch: getattr(torch.nn, name)(3, **settings).train(training)
    )


def over_last(name: str, rng: Rng) -> LayerCase:
    shape = (2, 3) if rng.random() < 0.5 else (3,)
    settings: dict[str, Any] = {"eps": 0.1, "elementwise_affine": bool(rng.random() < 0.7)}
    if name == "LayerNorm":
        settings["bias"] = bool(rng.random() < 0.5)
    return LayerCase(
        getattr(nn, name)(shape, **settings, dtype=np.float64),
        [real(rng, (4, *shape))],
        torch=lambda torch: getattr(torch.nn, name)(shape, **settings),
    )


def group_norm(rng: Rng) -> LayerCase:
    groups, affine = int(rng.choice([1, 2, 4])), bool(rng.random() < 0.7)
    return LayerCase(
        nn.GroupNorm(groups, 4, 0.1, affine, dtype=np.float64),
        [real(rng, (2, 4, 3))],
        torch=lambda torch: torch.nn.GroupNorm(groups, 4, 0.1, affine),
    )


# --- dropout of channels, two inputs ------------------------------------------------------------------


def dropout(name: str, axes: int, rng: Rng) -> LayerCase:
    layer = getattr(nn, name)(0.4, rng=rng)
    seed = int(rng.integers(2**32))

    def call(layer: Any, x: Any) -> Any:
        layer.rng = np.random.default_rng(seed)  # the same mask every time
        return layer(x) * x

    return LayerCase(layer, [real(rng, (2, 3, *lengths(rng, axes, 2, 3)))], torch=None, call=call)


def bilinear(rng: Rng) -> LayerCase:
    bias = bool(rng.random() < 0.7)
    return LayerCase(
        nn.Bilinear(2, 3, 4, bias, rng=rng, dtype=np.float64),
        [real(rng, (5, 2)), real(rng, (5, 3))],
        torch=lambda torch: torch.nn.Bilinear(2, 3, 4, bias),
    )


POOLS: dict[str, tuple[Callable[[Rng], dict[str, Any]], Any]] = {
    "MaxPool": (max_pool, distinct),
    "AvgPool": (avg_pool, real),
    "LPPool": (lp_pool, positive),
    "AdaptiveAvgPool": (adaptive, real),
    "AdaptiveMaxPool": (adaptive, distinct),
    "ZeroPad": (padding, real),
    "ConstantPad": (constant, real),
    "ReflectionPad": (padding, real),
    "ReplicationPad": (padding, real),
    "CircularPad": (padding, real),
}
IMAGES: dict[str, LayerRow] = {
    **{f"Conv{n}d": partial(convolution, n) for n in (1, 2)},
    **{f"ConvTranspose{n}d": partial(transposed, n) for n in (1, 2)},
    **{
        f"{kind}{n}d": partial(applied, f"{kind}{n}d", n, draw, values, 2)
        for kind, (draw, values) in POOLS.items()
        for n in (1, 2)
    },
    "Upsample": partial(applied, "Upsample", 2, upsample, real, 2),
    "PixelShuffle": partial(applied, "PixelShuffle", 2, lambda rng: {"upscale_factor": 2}, real, 8),
    "PixelUnshuffle": partial(applied, "PixelUnshuffle", 2, lambda rng: {"downscale_factor": 1}, real, 2),
    "ChannelShuffle": partial(applied, "ChannelShuffle", 2, lambda rng: {"groups": 2}, real, 6),
    "LocalResponseNorm": partial(
        applied, "LocalResponseNorm", 1, lambda rng: {"size": 2, "alpha": 0.5}, real, 4
    ),
    "Unfold": partial(
        applied, "Unfold", 2, lambda rng: {"kernel_size": 2, "padding": 1, "stride": 2}, real, 2
    ),
    "Fold": fold,
    **{f"{kind}Norm{n}d": partial(running, kind, n) for kind in ("Batch", "Instance") for n in (1, 2)},
    "LayerNorm": partial(over_last, "LayerNorm"),
    "RMSNorm": partial(over_last, "RMSNorm"),
    "GroupNorm": group_norm,
    **{f"Dropout{n}d": partial(dropout, f"Dropout{n}d", n) for n in (1, 2)},
    "AlphaDropout": partial(dropout, "AlphaDropout", 1),
    "FeatureAlphaDropout": partial(dropout, "FeatureAlphaDropout", 1),
    "Bilinear": bilinear,
}
