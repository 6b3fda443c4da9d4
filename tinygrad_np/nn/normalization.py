"""Normalisation as layers.

The running mean and variance of `BatchNorm1d` and its like are the one exception to the rule that `forward` leaves
nothing on a layer: in training each call writes to them. They are Tensors that are saved and not trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import DTypeLike

from tinygrad_np import functional
from tinygrad_np.functional import common
from tinygrad_np.nn.layer import Layer, check_sizes
from tinygrad_np.tensor import Tensor

__all__ = [
    "BatchNorm1d",
    "BatchNorm2d",
    "GroupNorm",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "LayerNorm",
    "RMSNorm",
]


def ones(shape: int | tuple[int, ...], dtype: DTypeLike) -> Tensor:
    return Tensor(np.ones(shape, dtype), requires_grad=True)


def zeros(shape: int | tuple[int, ...], dtype: DTypeLike) -> Tensor:
    return Tensor(np.zeros(shape, dtype), requires_grad=True)


class Running(Layer):
    """What the norms with running mean and variance share.

    Attributes
    ----------
    weight, bias : Tensor or None
        (num_features,), ones and zeros at first.
    running_mean, running_var, num_batches_tracked : Tensor or None
        (num_features,), (num_features,) and one number: what `forward` writes to in training.
    """

    axes: ClassVar[tuple[int, ...]]  # how many an input may have

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        bias: bool = True,
        dtype: DTypeLike = np.float32,
    ):
        name = type(self).__name__
        check_sizes(name, num_features=num_features)
        common.check_number(name, "eps", eps, 0.0)
        if momentum is not None:
            common.check_number(name, "momentum", momentum, 0.0, 1.0)
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.weight = ones(num_features, dtype) if affine else None
        self.bias = zeros(num_features, dtype) if affine and bias else None
        self.running_mean = Tensor(np.zeros(num_features, dtype)) if track_running_stats else None
        self.running_var = Tensor(np.ones(num_features, dtype)) if track_running_stats else None
        self.num_batches_tracked = Tensor(np.array(0)) if track_running_stats else None

    def extra_repr(self) -> str:
        """The settings."""
        affine, tracked = self.weight is not None, self.running_mean is not None
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={affine}, "
            f"track_running_stats={tracked}"
        )

    def checked(self, x: Tensor) -> Tensor:
        """The input, if it has so many axes and channels."""
        x = common.floats(type(self).__name__, x)
        first = x.ndim - self.axes[0] if isinstance(self, Instances) else 1
        if x.ndim not in self.axes or x.shape[first] != self.num_features:
            raise ValueError(
                f"{type(self).__name__} takes an input of {' or '.join(map(str, self.axes))} axes and "
                f"{self.num_features} channels, not {list(x.shape)}"
            )
        return x


class Batches(Running):
    """What `BatchNorm1d` and `BatchNorm2d` share."""

    def forward(self, x: Tensor) -> Tensor:
        """(batch, num_features, ...) to that shape."""
        x = self.checked(x)
        own = self.training or self.running_mean is None
        return functional.batch_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            own,
            self.next_momentum(),
            self.eps,
        )

    def next_momentum(self) -> float:
        """How far the running ones move in this call, which is counted; without momentum, to the mean of all."""
        if not self.training or self.num_batches_tracked is None:
            return 0.0
        count = self.num_batches_tracked.data
        count += 1
        return 1 / int(count) if self.momentum is None else self.momentum


class BatchNorm1d(Batches):
    """Mean 0 and variance 1 of each channel over a batch, times a weight, plus a bias (Ioffe and Szegedy, 2015).

    For (batch, num_features) or (batch, num_features, length); see `functional.batch_norm`.

    Parameters
    ----------
    num_features : int
        Channels.
    eps : float
        Added to the variance.
    momentum : float or None
        How far running mean and variance move towards those of a batch; with None they are the mean of all batches.
    affine, bias : bool
        Whether there is a weight, and a bias too.
    track_running_stats : bool
        Whether there are running mean and variance, which take the batch's place in evaluation.
    dtype : dtype
        Of weights and running ones.
    """

    axes = (2, 3)


class BatchNorm2d(Batches):
    """`BatchNorm1d` for (batch, num_features, height, width)."""

    axes = (4,)


class Instances(Running):
    """What `InstanceNorm1d` and `InstanceNorm2d` share."""

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        *,
        bias: bool = True,
        dtype: DTypeLike = np.float32,
    ):
        super().__init__(num_features, eps, momentum, affine, track_running_stats, bias=bias, dtype=dtype)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, num_features, ...) to that shape; the batch may be missing."""
        x = self.checked(x)
        unbatched = x.ndim == self.axes[0]
        y = functional.instance_norm(
            x.expand_dims(0) if unbatched else x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or self.running_mean is None,
            self.momentum or 0.0,  # PyTorch does not count here either
            self.eps,
        )
        return y.squeeze(0) if unbatched else y


class InstanceNorm1d(Instances):
    """`BatchNorm1d` of each example by itself (Ulyanov et al., 2016), for (batch, num_features, length).

    Parameters are those of `BatchNorm1d`; unless told there are no weights and no running mean and variance.
    """

    axes = (2, 3)


class InstanceNorm2d(Instances):
    """`InstanceNorm1d` for (batch, num_features, height, width)."""

    axes = (3, 4)


class GroupNorm(Layer):
    """Mean 0 and variance 1 of each group of channels, times a weight, plus a bias; see `functional.group_norm`.

    Parameters
    ----------
    num_groups, num_channels : int
        Groups, and channels, a multiple of them.
    eps : float
        Added to the variance.
    affine, bias : bool
        Whether there is a weight, and a bias too, (num_channels,).
    dtype : dtype
        Of the weights.
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        *,
        bias: bool = True,
        dtype: DTypeLike = np.float32,
    ):
        check_sizes("GroupNorm", 1, num_groups=num_groups, num_channels=num_channels)
        if num_channels % num_groups:
            raise ValueError(
                f"GroupNorm in {num_groups} groups takes a multiple of them, not {num_channels} channels"
            )
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = eps
        self.weight = ones(num_channels, dtype) if affine else None
        self.bias = zeros(num_channels, dtype) if affine and bias else None

    def extra_repr(self) -> str:
        """The settings."""
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.weight is not None}"

    def forward(self, x: Tensor) -> Tensor:
        """(batch, num_channels, ...) to that shape."""
        x = common.floats("GroupNorm", x)
        if x.shape[1:2] != (self.num_channels,):
            raise ValueError(f"GroupNorm takes (batch, {self.num_channels}, ...), not {list(x.shape)}")
        return functional.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)


class LayerNorm(Layer):
    """Mean 0 and variance 1 over the last axes, times a weight, plus a bias; see `functional.layer_norm`.

    Parameters
    ----------
    normalized_shape : int or sequence of int
        The lengths of those axes.
    eps : float
        Added to the variance.
    elementwise_affine, bias : bool
        Whether there is a weight, and a bias too; both have that shape.
    dtype : dtype
        Of the weights.
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        *,
        dtype: DTypeLike = np.float32,
    ):
        self.normalized_shape = shape_of("LayerNorm", normalized_shape)
        self.eps = eps
        self.weight = ones(self.normalized_shape, dtype) if elementwise_affine else None
        self.bias = zeros(self.normalized_shape, dtype) if elementwise_affine and bias else None

    def extra_repr(self) -> str:
        """The settings."""
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.weight is not None}"

    def forward(self, x: Tensor) -> Tensor:
        """(..., *normalized_shape) to that shape."""
        return functional.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)


class RMSNorm(Layer):
    """Mean square 1 over the last axes, times a weight; see `functional.rms_norm`.

    Parameters are those of `LayerNorm`, without a bias; `eps` is that of the input's dtype unless given.
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        *,
        dtype: DTypeLike = np.float32,
    ):
        self.normalized_shape = shape_of("RMSNorm", normalized_shape)
        self.eps = eps
        self.weight = ones(self.normalized_shape, dtype) if elementwise_affine else None

    def extra_repr(self) -> str:
        """The settings."""
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.weight is not None}"

    def forward(self, x: Tensor) -> Tensor:
        """(..., *normalized_shape) to that shape."""
        return functional.rms_norm(x, self.normalized_shape, self.weight, self.eps)


def shape_of(layer: str, shape: int | Sequence[int]) -> tuple[int, ...]:
    """The lengths of the last axes as a tuple."""
    if not isinstance(shape, int | np.integer | Sequence):
        raise ValueError(f"{layer} takes a whole number or several for normalized_shape, not {shape!r}")
    lengths = (shape,) if isinstance(shape, int | np.integer) else tuple(shape)
    check_sizes(layer, 1, **{f"normalized_shape[{i}]": n for i, n in enumerate(lengths)})
    return lengths
