"""What the losses share: targets beside an input, weights, and the reduction to one number."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_np.functional.common import Reduction, within
from tinygrad_np.operand import as_array
from tinygrad_np.ops.elementwise import where
from tinygrad_np.tensor import Tensor


def in_dtype_of(name: str, x: Tensor, other: Any) -> Any:
    """What stands beside an input, in its dtype: a Tensor where it requires a gradient, else an array."""
    if isinstance(other, Tensor) and other.requires_grad:
        return other.astype(x.dtype)
    array = as_array(other, name)
    if array.dtype.kind == "c" and x.dtype.kind != "c":
        raise TypeError(f"{name} takes real targets, not {array.dtype}")
    return array.astype(x.dtype)  # int64 targets would make float64 of a float32 loss


def values(x: Tensor | np.ndarray) -> np.ndarray:
    """The numbers themselves."""
    return x.data if isinstance(x, Tensor) else x


def check_same_shape(name: str, x: Tensor, target: Tensor | np.ndarray) -> None:
    """Refuse a target whose shape only broadcasts, which is a mistake."""
    if target.shape != x.shape:
        raise ValueError(f"{name} of an input of shape {x.shape} and a target of shape {target.shape}")


def check_between(name: str, what: str, x: Tensor | np.ndarray, low: float, high: float = np.inf) -> None:
    """Refuse numbers outside of two bounds, and NaN."""
    numbers = values(x)
    if not ((numbers >= low) & (numbers <= high)).all():
        raise ValueError(f"{name} takes {what}{within(low, high)}, and found others")


def weights(name: str, x: Tensor, weight: Any, shape: tuple[int, ...], exactly: bool = False) -> np.ndarray:
    """Weights, which are constants, in the dtype of an input and in a shape, or in one that broadcasts to it."""
    array = as_array(weight, name)
    fits = array.shape == shape if exactly else broadcasts(array.shape, shape)
    if array.dtype.kind not in "biuf" or not fits or not np.isfinite(array).all():
        to = "of" if exactly else "that broadcast to"
        raise ValueError(
            f"{name} takes finite weights {to} shape {shape}, not {array.dtype} of shape {array.shape}"
        )
    return array.astype(x.dtype)


def broadcasts(short: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    """Whether a shape is stretched to another, which stays as it is."""
    pairs = zip(reversed(short), reversed(shape), strict=False)
    return len(short) <= len(shape) and all(n in (1, m) for n, m in pairs)


def times(weight: Any, x: Tensor) -> Tensor:
    """The product, where 0 times infinity is 0: what has no weight has no loss."""
    infinite = np.isinf(x.data)
    if infinite.any():
        x = where(infinite & (values(weight) == 0), 0, x)
    return weight * x  # type: ignore[no-any-return]


def reduced(loss: Tensor, reduction: Reduction, total: Any = None) -> Tensor:
    """The mean, the sum, or all of a loss; `total` is what the mean divides by, the number of all unless given."""
    if reduction == "mean":
        return loss.mean() if total is None else loss.sum() / total
    if reduction == "sum":
        return loss.sum()
    if reduction == "none":
        return loss
    raise ValueError(f"reduction is 'mean', 'sum' or 'none', not {reduction!r}")
