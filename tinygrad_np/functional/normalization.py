"""Normalisation: numbers with mean 0 and variance 1 over some axes, times a weight, plus a bias.

The names are PyTorch's. All but one are `ops.reduce.standardize` over other axes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_np.errors import names_itself
from tinygrad_np.functional.common import floats, per_axis
from tinygrad_np.functional.shapes import moveaxis
from tinygrad_np.ops.conv import im2col
from tinygrad_np.ops.reduce import standardize
from tinygrad_np.tensor import Tensor

__all__ = [
    "batch_norm",
    "group_norm",
    "instance_norm",
    "layer_norm",
    "local_response_norm",
    "rms_norm",
]


@names_itself
def batch_norm(
    input: Tensor,
    running_mean: Tensor | np.ndarray | None,
    running_var: Tensor | np.ndarray | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """(x - mean) / sqrt(variance + eps) of each channel, times a weight, plus a bias (Ioffe and Szegedy, 2015).

    In training mean and variance are those of the batch, and the running ones are written to: each becomes
    (1 - momentum) times itself, plus momentum times that of the batch, a variance with n - 1. Else they are the
    running ones.

    Parameters
    ----------
    input : Tensor
        (batch, channels, ...).
    running_mean, running_var : Tensor or ndarray, optional
        (channels,). They can be left out in training.
    weight, bias : Tensor, optional
        (channels,).
    training : bool
        Whether the batch's own mean and variance are taken.
    momentum : float
        From 0, where the running ones stay, to 1, where they are those of the last batch.
    eps : float
        Added to the variance.

    Raises
    ------
    ValueError
        A shape does not fit; in training there is one number of a channel, which has no variance; or else there are
        no running ones.
    """
    x = _channels("batch_norm", input, running_mean, running_var, weight, bias)
    axes = (0, *range(2, x.ndim))
    if not training:
        return _with_running("batch_norm", x, running_mean, running_var, weight, bias, eps)
    n = x.size // max(x.shape[1], 1)
    if n == 1:
        raise ValueError(
            f"batch_norm in training takes more than one number of each channel, not {list(x.shape)}"
        )
    _update(x, axes, n, running_mean, running_var, momentum)
    return _affine(standardize(x, axis=axes, eps=eps), weight, bias)


@names_itself
def instance_norm(
    input: Tensor,
    running_mean: Tensor | np.ndarray | None = None,
    running_var: Tensor | np.ndarray | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """`batch_norm` of each example by itself (Ulyanov et al., 2016); running ones are of the mean over the batch.

    `use_input_stats` is what `training` is there, and the other parameters are those of `batch_norm`.
    """
    x = _channels("instance_norm", input, running_mean, running_var, weight, bias)
    if not use_input_stats:
        return _with_running("instance_norm", x, running_mean, running_var, weight, bias, eps)
    axes, n = tuple(range(2, x.ndim)), math.prod(x.shape[2:])
    if n == 1 or not axes:
        raise ValueError(f"instance_norm takes more than one number of each channel, not {list(x.shape)}")
    _update(x, axes, n, running_mean, running_var, momentum)
    return _affine(standardize(x, axis=axes, eps=eps), weight, bias)


@names_itself
def layer_norm(
    input: Tensor,
    normalized_shape: int | Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """(x - mean) / sqrt(variance + eps) over the last axes, times a weight, plus a bias (Ba et al., 2016).

    Parameters
    ----------
    input : Tensor
        (..., *normalized_shape).
    normalized_shape : int or sequence of int
        The lengths of the axes over which mean and variance are taken.
    weight, bias : Tensor, optional
        Of that shape.
    eps : float
        Added to the variance.
    """
    x, axes = _last("layer_norm", input, normalized_shape, weight, bias)
    y = standardize(x, axis=axes, eps=eps)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


@names_itself
def rms_norm(
    input: Tensor,
    normalized_shape: int | Sequence[int],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Tensor:
    """x / sqrt(mean of x^2 + eps) over the last axes, times a weight (Zhang and Sennrich, 2019).

    `eps` is the distance from 1 to the next number of the input's dtype unless given, and the other parameters are
    those of `layer_norm`.
    """
    x, axes = _last("rms_norm", input, normalized_shape, weight, None)
    y = standardize(x, axis=axes, eps=float(np.finfo(x.dtype).eps) if eps is None else eps, center=False)
    return y if weight is None else y * weight


@names_itself
def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """(x - mean) / sqrt(variance + eps) over each group of channels of each example (Wu and He, 2018).

    Parameters
    ----------
    input : Tensor
        (batch, channels, ...).
    num_groups : int
        Into how many groups the channels are cut, a divisor of their number.
    weight, bias : Tensor, optional
        (channels,); multiplied and added after that.
    eps : float
        Added to the variance.
    """
    x = _channels("group_norm", input, None, None, weight, bias)
    ((groups,),) = per_axis("group_norm", 1, 1, num_groups=num_groups)
    if x.shape[1] % groups:
        raise ValueError(
            f"group_norm in {groups} groups takes a multiple of them of channels, not {x.shape[1]}"
        )
    cut = x.reshape(len(x), groups, x.shape[1] // groups, *x.shape[2:])
    return _affine(standardize(cut, axis=tuple(range(2, cut.ndim)), eps=eps).reshape(x.shape), weight, bias)


@names_itself
def local_response_norm(
    input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """x / (k + alpha m)^beta, where m is the mean of x^2 over `size` neighbouring channels, axis 1.

    What lies beyond the first and last channel counts as 0 (Krizhevsky et al., 2012, section 3.3; there alpha is
    not divided by `size`).
    """
    x = floats("local_response_norm", input)
    ((width,),) = per_axis("local_response_norm", 1, 1, size=size)
    if x.ndim < 2:
        raise ValueError(f"local_response_norm takes (batch, channels, ...), not {list(x.shape)}")
    around = ((width // 2, (width - 1) // 2),)
    windows = im2col(moveaxis(x * x, 1, -1), kernel=(width,), stride=(1,), dilation=(1,), padding=around)
    divisor: Tensor = moveaxis((windows.mean(axis=-2) * alpha + k) ** beta, -1, 1)
    return x / divisor


# --- what they share ----------------------------------------------------------------------------------


def _channels(name: str, input: Tensor, *others: Any) -> Tensor:
    """The input, if it has channels and each of the others one number for each of them."""
    x = floats(name, input)
    if x.ndim < 2:
        raise ValueError(f"{name} takes (batch, channels, ...), not {list(x.shape)}")
    for other in others:
        if other is not None and np.shape(other) != x.shape[1:2]:
            raise ValueError(
                f"{name} of {x.shape[1]} channels takes weights and running ones ({x.shape[1]},), "
                f"not {np.shape(other)}"
            )
    return x


def _last(
    name: str,
    input: Tensor,
    normalized_shape: int | Sequence[int],
    weight: Tensor | None,
    bias: Tensor | None,
) -> tuple[Tensor, tuple[int, ...]]:
    """The input, if its last axes have these lengths, and their numbers."""
    x = floats(name, input)
    shape = (normalized_shape,) if isinstance(normalized_shape, int | np.integer) else tuple(normalized_shape)
    if not shape or x.shape[-len(shape) :] != shape:
        raise ValueError(f"{name} over {list(shape)} takes an input that ends so, not {list(x.shape)}")
    for other in (weight, bias):
        if other is not None and np.shape(other) != shape:
            raise ValueError(
                f"{name} over {list(shape)} takes a weight and a bias of that shape, not {np.shape(other)}"
            )
    return x, tuple(range(-len(shape), 0))


def _affine(y: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    """Times a weight and plus a bias, each with one number for each channel."""
    ones = (1,) * (y.ndim - 2)
    if weight is not None:
        y = y * np.reshape(weight, (-1, *ones))
    return y if bias is None else y + np.reshape(bias, (-1, *ones))


def _with_running(
    name: str, x: Tensor, mean: Any, var: Any, weight: Tensor | None, bias: Tensor | None, eps: float
) -> Tensor:
    """Normalised with running mean and variance, which make one factor and one term of each channel."""
    if mean is None or var is None:
        raise ValueError(f"{name} outside of training takes a running_mean and a running_var")
    factor = 1 / np.sqrt(var + eps) if weight is None else weight / np.sqrt(var + eps)
    term = -mean * factor if bias is None else bias - mean * factor
    return _affine(x, factor, term)


def _update(x: Tensor, axes: tuple[int, ...], n: int, mean: Any, var: Any, momentum: float) -> None:
    """Move running mean and variance, where there are any, towards those of the input."""
    for running, now, factor in ((mean, np.mean, 1.0), (var, np.var, n / max(n - 1, 1))):
        if running is not None and x.size:
            array = running.data if isinstance(running, Tensor) else running
            found = now(x.data, axis=axes)
            found = found.mean(axis=0) if 0 not in axes else found
            array *= 1 - momentum
            array += momentum * factor * found
