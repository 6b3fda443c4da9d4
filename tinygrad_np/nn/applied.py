"""Layers without weights: each is a function of `functional`, and holds the settings of its calls.

``nn.MaxPool2d(3, stride=2)(x)`` is ``functional.max_pool2d(x, 3, stride=2)``: what it computes is said there.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from tinygrad_np import functional
from tinygrad_np.nn.layer import Layer, named_settings
from tinygrad_np.tensor import Tensor

__all__ = [
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AvgPool1d",
    "AvgPool2d",
    "ChannelShuffle",
    "CircularPad1d",
    "CircularPad2d",
    "ConstantPad1d",
    "ConstantPad2d",
    "Fold",
    "LPPool1d",
    "LPPool2d",
    "LocalResponseNorm",
    "MaxPool1d",
    "MaxPool2d",
    "PixelShuffle",
    "PixelUnshuffle",
    "ReflectionPad1d",
    "ReflectionPad2d",
    "ReplicationPad1d",
    "ReplicationPad2d",
    "Unfold",
    "Upsample",
    "ZeroPad1d",
    "ZeroPad2d",
]


class Applied(Layer):
    """The base: the parameters of `function` but the first are the settings, in the order of `names` if given."""

    function: ClassVar[Callable[..., Any]]
    names: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls) -> None:
        if "function" in vars(cls):
            _, *parameters = inspect.signature(cls.function).parameters.values()
            by_name = {p.name: p.replace(annotation=p.empty) for p in parameters}
            chosen = [by_name[name] for name in cls.names] or list(by_name.values())
            setattr(cls, "__signature__", inspect.Signature(chosen))  # noqa: B010 - what help shows

    def __init__(self, *args: Any, **settings: Any):
        self.given, by_name = named_settings(
            type(self).__name__, inspect.signature(type(self)), args, settings
        )
        self.settings = list(by_name)
        for name, value in by_name.items():
            setattr(self, name, value)

    def extra_repr(self) -> str:
        """The settings that were given."""
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in self.given)

    def forward(self, x: Any) -> Any:
        """What the function takes, to what it returns."""
        return self.function(x, **{name: getattr(self, name) for name in self.settings})


# --- pooling ------------------------------------------------------------------------------------------

MAX_POOL = ("kernel_size", "stride", "padding", "dilation", "return_indices", "ceil_mode")  # PyTorch's order


class MaxPool1d(Applied):
    """The largest element of each window of the last axis."""

    function = staticmethod(functional.max_pool1d)
    names = MAX_POOL


class MaxPool2d(Applied):
    """The largest element of each window of the last two axes."""

    function = staticmethod(functional.max_pool2d)
    names = MAX_POOL


class AvgPool1d(Applied):
    """The mean of each window of the last axis."""

    function = staticmethod(functional.avg_pool1d)


class AvgPool2d(Applied):
    """The mean of each window of the last two axes."""

    function = staticmethod(functional.avg_pool2d)


class LPPool1d(Applied):
    """(sum x^p)^(1/p) over each window of the last axis."""

    function = staticmethod(functional.lp_pool1d)


class LPPool2d(Applied):
    """(sum x^p)^(1/p) over each window of the last two axes."""

    function = staticmethod(functional.lp_pool2d)


class AdaptiveAvgPool1d(Applied):
    """The means of so many parts of the last axis."""

    function = staticmethod(functional.adaptive_avg_pool1d)


class AdaptiveAvgPool2d(Applied):
    """The means of so many parts of the last two axes."""

    function = staticmethod(functional.adaptive_avg_pool2d)


class AdaptiveMaxPool1d(Applied):
    """The largest elements of so many parts of the last axis."""

    function = staticmethod(functional.adaptive_max_pool1d)


class AdaptiveMaxPool2d(Applied):
    """The largest elements of so many parts of the last two axes."""

    function = staticmethod(functional.adaptive_max_pool2d)


# --- windows, sizes, channels -------------------------------------------------------------------------


class Unfold(Applied):
    """The windows of images as columns."""

    function = staticmethod(functional.unfold)


class Fold(Applied):
    """Columns added up to images, each window where it stands."""

    function = staticmethod(functional.fold)


class Upsample(Applied):
    """Images and the like in another size."""

    function = staticmethod(functional.interpolate)
    names = ("size", "scale_factor", "mode", "align_corners", "recompute_scale_factor")


class PixelShuffle(Applied):
    """Channels to pixels, of an image r times as large."""

    function = staticmethod(functional.pixel_shuffle)


class PixelUnshuffle(Applied):
    """Pixels to channels, of an image r times as small."""

    function = staticmethod(functional.pixel_unshuffle)


class ChannelShuffle(Applied):
    """The channels in another order: of each group the first, then the second."""

    function = staticmethod(functional.channel_shuffle)


class LocalResponseNorm(Applied):
    """x divided by a power of the mean square of neighbouring channels."""

    function = staticmethod(functional.local_response_norm)


# --- padding ------------------------------------------------------------------------------------------


class Padding(Layer):
    """The base: one number for all ends of the last axes, or a pair for each, the last axis first."""

    axes: ClassVar[int]
    mode: ClassVar[str] = "constant"
    value: float = 0.0

    def __init__(self, padding: Any):
        widths = (padding,) * 2 * self.axes if isinstance(padding, int | np.integer) else padding
        several = isinstance(widths, list | tuple) and len(widths) == 2 * self.axes
        if not several or not all(isinstance(n, int | np.integer) for n in widths):
            raise ValueError(
                f"{type(self).__name__} takes a whole number or {2 * self.axes} of them, not {padding!r}"
            )
        self.padding = tuple(map(int, widths))

    def extra_repr(self) -> str:
        """What is added at each end."""
        return f"{self.padding}"

    def forward(self, x: Tensor) -> Tensor:
        """(..., channels, *lengths), to longer ones."""
        return functional.pad(x, self.padding, self.mode, self.value if self.mode == "constant" else None)


class ZeroPad1d(Padding):
    """The last axis with zeros at both ends."""

    axes = 1


class ZeroPad2d(Padding):
    """The last two axes with zeros at both ends."""

    axes = 2


class ConstantPad1d(Padding):
    """The last axis with a number at both ends."""

    axes = 1

    def __init__(self, padding: Any, value: float):
        super().__init__(padding)
        self.value = value


class ConstantPad2d(Padding):
    """The last two axes with a number at both ends."""

    axes = 2

    def __init__(self, padding: Any, value: float):
        super().__init__(padding)
        self.value = value


class ReflectionPad1d(Padding):
    """The last axis with what is mirrored there at both ends."""

    axes, mode = 1, "reflect"


class ReflectionPad2d(Padding):
    """The last two axes with what is mirrored there at both ends."""

    axes, mode = 2, "reflect"


class ReplicationPad1d(Padding):
    """The last axis with the first and last element at both ends."""

    axes, mode = 1, "replicate"


class ReplicationPad2d(Padding):
    """The last two axes with the first and last element at both ends."""

    axes, mode = 2, "replicate"


class CircularPad1d(Padding):
    """The last axis with what stands at the other end at both ends."""

    axes, mode = 1, "circular"


class CircularPad2d(Padding):
    """The last two axes with what stands at the other end at both ends."""

    axes, mode = 2, "circular"
