"""Convolutions as layers: windows of an array times a weight, and the transpose of that."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

from tinygrad_np import functional
from tinygrad_np.functional import common
from tinygrad_np.functional.common import Rng
from tinygrad_np.functional.convolution import Size
from tinygrad_np.nn import init
from tinygrad_np.nn.layer import Layer, check_sizes
from tinygrad_np.tensor import Tensor

__all__ = [
    "Conv1d",
    "Conv2d",
    "ConvTranspose1d",
    "ConvTranspose2d",
]

PADDING_MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "replicate", "circular": "circular"}


class Convolution(Layer):
    """What all convolutions share: settings, and initial weights uniform within 1 / sqrt(fan-in), as PyTorch's.

    Attributes
    ----------
    weight : Tensor
        (out_channels, in_channels / groups, *kernel), or of a transposed one (in_channels, out_channels / groups,
        *kernel).
    bias : Tensor or None
        (out_channels,).
    """

    axes: ClassVar[int]
    transposed: ClassVar[bool] = False
    function: ClassVar[Callable[..., Tensor]]

    def _start(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size,
        padding: Size | str,
        dilation: Size,
        groups: int,
        bias: bool,
        padding_mode: str,
        rng: Rng,
        dtype: DTypeLike,
    ) -> None:
        """Check and keep the settings, and draw the weights."""
        name = type(self).__name__
        check_sizes(name, 1, in_channels=in_channels, out_channels=out_channels, groups=groups)
        if in_channels % groups or out_channels % groups:
            raise ValueError(
                f"{name} in {groups} groups takes multiples of them, not {in_channels}, {out_channels}"
            )
        if padding_mode not in PADDING_MODES or (self.transposed and padding_mode != "zeros"):
            modes = ["zeros"] if self.transposed else list(PADDING_MODES)
            raise ValueError(f"{name} takes {', '.join(modes)} for padding_mode, not {padding_mode!r}")
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size, self.stride, self.dilation = common.per_axis(
            name, self.axes, 1, kernel_size=kernel_size, stride=stride, dilation=dilation
        )
        self.padding = (
            padding if isinstance(padding, str) else common.per_axis(name, self.axes, padding=padding)[0]
        )
        self.groups = groups
        self.padding_mode = padding_mode
        first, second = (in_channels, out_channels) if self.transposed else (out_channels, in_channels)
        shape = (first, second // groups, *self.kernel_size)
        rng = common.generator(name, rng)
        bound = 1 / math.sqrt(math.prod(shape[1:]))
        self.weight = Tensor(init.uniform(shape, -bound, bound, rng, dtype), True)
        self.bias = Tensor(init.uniform((out_channels,), -bound, bound, rng, dtype), True) if bias else None

    def extra_repr(self) -> str:
        """The channels, the kernel, and what differs from the usual settings."""
        ones, zeros = (1,) * self.axes, (0,) * self.axes
        usual = {"stride": ones, "padding": zeros, "dilation": ones, "groups": 1, "padding_mode": "zeros"}
        changed = [
            f"{key}={getattr(self, key)!r}" for key, value in usual.items() if getattr(self, key) != value
        ]
        more = [*changed, *["bias=False"] * (self.bias is None)]
        return ", ".join([f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}", *more])


class Convolved(Convolution):
    """What `Conv1d` and `Conv2d` share."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size | str = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        *,
        rng: Rng = None,
        dtype: DTypeLike = np.float32,
    ):
        self._start(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            bias,
            padding_mode,
            rng,
            dtype,
        )

    def forward(self, x: Tensor) -> Tensor:
        """(batch, in_channels, *lengths) to (batch, out_channels, *lengths); both without batch if x has none."""
        padding: Any = self.padding
        if self.padding_mode != "zeros":
            ends = [(p, p) for p in padding] if not isinstance(padding, str) else self._named_padding()
            # the last axis first
            x = functional.pad(x, [n for pair in ends[::-1] for n in pair], PADDING_MODES[self.padding_mode])
            padding = 0
        return type(self).function(
            x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups
        )

    def _named_padding(self) -> list[tuple[int, int]]:
        """How much "same" or "valid" adds before and behind each axis."""
        beyond = [
            d * (k - 1) * (self.padding == "same")
            for d, k in zip(self.dilation, self.kernel_size, strict=True)
        ]
        return [(n // 2, n - n // 2) for n in beyond]


class Conv1d(Convolved):
    """Windows of the last axis times a weight, plus a bias; see `functional.conv1d`.

    Parameters
    ----------
    in_channels, out_channels : int
        Lengths of the axis before, of input and output.
    kernel_size, stride, padding, dilation : int or sequence of int
        Of the windows: for all axes, or one for each; `padding` may be "same" or "valid".
    groups : int
        Into how many parts the channels are cut.
    bias : bool
        Whether there is a bias.
    padding_mode : {"zeros", "reflect", "replicate", "circular"}
        What the padding holds.
    rng : numpy.random.Generator, int or None
        Draws the initial weights.
    dtype : dtype
        Of the weights.
    """

    axes = 1
    function = staticmethod(functional.conv1d)


class Conv2d(Convolved):
    """Windows of the last two axes times a weight, plus a bias; see `functional.conv2d` and `Conv1d`."""

    axes = 2
    function = staticmethod(functional.conv2d)


class ConvTransposed(Convolution):
    """What `ConvTranspose1d` and `ConvTranspose2d` share."""

    transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size = 0,
        output_padding: Size = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Size = 1,
        padding_mode: str = "zeros",
        *,
        rng: Rng = None,
        dtype: DTypeLike = np.float32,
    ):
        (self.output_padding,) = common.per_axis(
            type(self).__name__, self.axes, output_padding=output_padding
        )
        self._start(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            bias,
            padding_mode,
            rng,
            dtype,
        )

    def forward(self, x: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """(batch, in_channels, *lengths) to (batch, out_channels, *lengths), both without batch if x has none.

        With `output_size`, the lengths of the result, there is as much `output_padding` as they need.
        """
        more = self.output_padding
        if output_size is not None:
            name = type(self).__name__
            wanted = tuple(output_size)[-self.axes :]
            settings: Any = zip(
                x.shape[-self.axes :], self.stride, self.padding, self.dilation, self.kernel_size, strict=True
            )
            least = [(n - 1) * s - 2 * p + d * (k - 1) + 1 for n, s, p, d, k in settings]
            more = tuple(n - m for n, m in zip(wanted, least, strict=True))
            if not all(0 <= m < s for m, s in zip(more, self.stride, strict=True)):
                last = [m + s - 1 for m, s in zip(least, self.stride, strict=True)]
                raise ValueError(
                    f"{name} makes lengths from {least} to {last} of {list(x.shape)}, not {list(wanted)}"
                )
        return type(self).function(
            x, self.weight, self.bias, self.stride, self.padding, more, self.groups, self.dilation
        )


class ConvTranspose1d(ConvTransposed):
    """The transpose of `Conv1d`, plus a bias; see `functional.conv_transpose1d`.

    Parameters are those of `Conv1d`, and `output_padding`: how much longer the result is at its end.
    """

    axes = 1
    function = staticmethod(functional.conv_transpose1d)


class ConvTranspose2d(ConvTransposed):
    """The transpose of `Conv2d`, plus a bias; see `functional.conv_transpose2d` and `ConvTranspose1d`."""

    axes = 2
    function = staticmethod(functional.conv_transpose2d)
