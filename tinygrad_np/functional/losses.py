"""Losses: what training minimises, element by element and then reduced."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_np.functional.activations import log_softmax
from tinygrad_np.functional.common import Reduction, floats
from tinygrad_np.operand import as_array
from tinygrad_np.ops.elementwise import logaddexp, square
from tinygrad_np.tensor import Tensor

__all__ = ["binary_cross_entropy_with_logits", "cross_entropy", "mse_loss"]


def binary_cross_entropy_with_logits(input: Tensor, target: Any, reduction: Reduction = "mean") -> Tensor:
    """-y log s(z) - (1 - y) log(1 - s(z)) for logits z and targets y, with s the logistic function.

    Written with softplus(z) = log(1 + e^z), as -log s(z) = softplus(-z) and -log(1 - s(z)) = softplus(z):
    finite for any finite logit, and exact for the confident ones.

    Parameters
    ----------
    input : Tensor
        Logits, any shape.
    target : array_like
        Targets from 0 to 1, in the shape of `input`.
    reduction : {"mean", "sum", "none"}
        Over all elements.

    Raises
    ------
    ValueError
        The shapes differ, or a target is outside of 0 to 1.
    """
    input = floats("binary_cross_entropy_with_logits", input)
    y = _target("binary_cross_entropy_with_logits", input, target)
    if not ((y >= 0) & (y <= 1)).all():
        raise ValueError("binary_cross_entropy_with_logits takes targets from 0 to 1, and found others")
    return _reduced(y * logaddexp(0, -input) + (1 - y) * logaddexp(0, input), reduction)


def cross_entropy(input: Tensor, target: Any, reduction: Reduction = "mean") -> Tensor:
    """-log softmax(z)[class], for logits z.

    Parameters
    ----------
    input : Tensor
        Logits, (N, classes).
    target : array_like of int
        The class of each row, (N,).
    reduction : {"mean", "sum", "none"}
        Over the rows.

    Raises
    ------
    ValueError
        The shapes do not fit, or a target is no class.
    """
    input, target = floats("cross_entropy", input), as_array(target, "cross_entropy")
    if input.ndim != 2 or target.shape != input.shape[:1] or target.dtype.kind not in "iu":
        raise ValueError(
            "cross_entropy takes logits (N, classes) and whole-number targets (N,), "
            f"not {input.dtype}{list(input.shape)} and {target.dtype}{list(target.shape)}"
        )
    if target.size and not (target.min() >= 0 and target.max() < input.shape[1]):
        raise ValueError(
            f"cross_entropy of {input.shape[1]} classes got targets from {target.min()} to {target.max()}"
        )
    return _reduced(-log_softmax(input)[np.arange(len(target)), target], reduction)


def mse_loss(input: Tensor, target: Any, reduction: Reduction = "mean") -> Tensor:
    """The squared difference (x - y)^2.

    Parameters
    ----------
    input : Tensor
        x, any shape.
    target : array_like
        y, in the shape of `input`.
    reduction : {"mean", "sum", "none"}
        Over all elements.

    Raises
    ------
    ValueError
        The shapes differ.
    """
    input = floats("mse_loss", input)
    return _reduced(square(input - _target("mse_loss", input, target)), reduction)


def _target(name: str, input: Tensor, target: Any) -> np.ndarray:
    """The targets in the dtype of the input; a shape that only broadcasts is a mistake."""
    array = as_array(target, name)
    if array.dtype.kind == "c" and input.dtype.kind != "c":
        raise TypeError(f"{name} takes real targets, not {array.dtype}")
    array = array.astype(input.dtype)  # int64 targets would make float64 of a float32 loss
    if array.shape != input.shape:
        raise ValueError(f"{name} of an input of shape {input.shape} and a target of shape {array.shape}")
    return array


def _reduced(loss: Tensor, reduction: Reduction) -> Tensor:
    if reduction == "mean":
        return loss.mean()
    if reduction == "sum":
        return loss.sum()
    if reduction == "none":
        return loss
    raise ValueError(f"reduction is 'mean', 'sum' or 'none', not {reduction!r}")
