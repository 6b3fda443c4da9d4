"""Losses that are 0 once a difference exceeds a margin: of a label, a pair, the classes, a triplet; and soft ones.

As in `losses`, names and arguments are PyTorch's. On the edge of the margin the derivative is that of the side
where there is a loss; in `multi_margin_loss` and `multilabel_margin_loss` it is 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_np.errors import names_itself
from tinygrad_np.functional.common import Reduction, check_number, floats
from tinygrad_np.functional.losses import of_logits
from tinygrad_np.functional.targets import (
    check_same_shape,
    in_dtype_of,
    reduced,
    values,
    weights,
)
from tinygrad_np.operand import as_array
from tinygrad_np.ops.elementwise import clip, logaddexp, minimum, relu, sqrt, square, where
from tinygrad_np.tensor import Tensor

__all__ = [
    "cosine_embedding_loss",
    "hinge_embedding_loss",
    "margin_ranking_loss",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "soft_margin_loss",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
]

# --- of labels 1 and -1 -------------------------------------------------------------------------------


@names_itself
def hinge_embedding_loss(
    input: Tensor, target: Any, margin: float = 1.0, *, reduction: Reduction = "mean"
) -> Tensor:
    """x where the label is 1, max(0, margin - x) where it is -1, for distances x.

    Parameters
    ----------
    input : Tensor
        x, any shape.
    target : array_like
        Labels 1 or -1, in the shape of `input`.
    margin : float
        How far apart two that are unlike shall be.
    reduction : {"mean", "sum", "none"}
        Over all elements.

    Raises
    ------
    ValueError
        The shapes differ, or a label is another.
    """
    x, y = floats("hinge_embedding_loss", input), _labels("hinge_embedding_loss", target)
    check_same_shape("hinge_embedding_loss", x, y)
    margin = check_number("hinge_embedding_loss", "margin", margin)
    return reduced(where(y == 1, x, clip(margin - x, a_min=0)), reduction)


@names_itself
def cosine_embedding_loss(
    input1: Tensor, input2: Tensor, target: Any, margin: float = 0.0, *, reduction: Reduction = "mean"
) -> Tensor:
    """1 - cos where the label is 1, max(0, cos - margin) where it is -1, for the angle between two vectors.

    Parameters
    ----------
    input1, input2 : Tensor
        (N, D) each, or (D,); they broadcast.
    target : array_like
        Labels 1 or -1, (N,), or one for (D,).
    margin : float
        From -1 to 1: above it two that are unlike are too similar.
    reduction : {"mean", "sum", "none"}
        Over the pairs.

    Raises
    ------
    ValueError
        The shapes do not fit, or a label is another.
    """
    name = "cosine_embedding_loss"
    x = floats(name, input1)
    other, y = in_dtype_of(name, x, input2), _labels(name, target)
    if y.ndim > 1 or x.ndim != y.ndim + 1 or other.ndim != y.ndim + 1:
        raise ValueError(
            f"{name} takes two inputs (N, D) and labels (N,), or (D,) and one label, not shapes {x.shape}, "
            f"{other.shape} and {y.shape}"
        )
    margin = check_number(name, "margin", margin)
    lengths = [np.sqrt(np.square(v).sum(axis=-1) + 1e-12) for v in (x, other)]  # a vector 0 has an angle too
    cosine = (x * other).sum(axis=-1) / lengths[0] / lengths[1]
    return reduced(where(y == 1, 1 - cosine, clip(cosine - margin, a_min=0)), reduction)


@names_itself
def margin_ranking_loss(
    input1: Tensor, input2: Tensor, target: Any, margin: float = 0.0, *, reduction: Reduction = "mean"
) -> Tensor:
    """max(0, margin - y (a - b)) for scores: a shall be higher than b where y is 1, and lower where it is -1.

    Parameters
    ----------
    input1, input2 : Tensor
        a and b.
    target : array_like or Tensor
        y; other numbers than 1 and -1 scale the difference.
    margin : float
        By how much it shall be higher.
    reduction : {"mean", "sum", "none"}
        Over all elements.

    Raises
    ------
    ValueError
        The three, which broadcast, have not the same number of axes.
    """
    name = "margin_ranking_loss"
    a = floats(name, input1)
    b, y = in_dtype_of(name, a, input2), in_dtype_of(name, a, target)
    if not a.ndim == b.ndim == y.ndim:
        raise ValueError(
            f"{name} of inputs of shapes {a.shape} and {b.shape}, and a target of shape {y.shape}"
        )
    return reduced(clip(check_number(name, "margin", margin) - y * (a - b), a_min=0), reduction)


@names_itself
def soft_margin_loss(input: Tensor, target: Any, reduction: Reduction = "mean") -> Tensor:
    """log(1 + e^(-y x)) for scores x and labels y, 1 or -1, in one shape; without overflow."""
    x = floats("soft_margin_loss", input)
    y = in_dtype_of("soft_margin_loss", x, target)
    check_same_shape("soft_margin_loss", x, y)
    return reduced(logaddexp(0, -y * x), reduction)


# --- of classes ---------------------------------------------------------------------------------------


@names_itself
def multi_margin_loss(
    input: Tensor,
    target: Any,
    p: int = 1,
    margin: float = 1.0,
    weight: Any = None,
    *,
    reduction: Reduction = "mean",
) -> Tensor:
    """sum max(0, margin - x[class] + x[j])^p / C over the other classes j, for scores x of C classes.

    With p 1 it is the multi-class hinge loss, but for its sum (Weston and Watkins, 1999).

    Parameters
    ----------
    input : Tensor
        x, (N, C), or (C,) for one example.
    target : array_like of int
        The classes, (N,), or one.
    p : {1, 2}
        The power.
    margin : float
        By how much the score of the class shall be higher.
    weight : array_like, optional
        A factor for each class, (C,): that of the target counts.
    reduction : {"mean", "sum", "none"}
        Over the examples.

    Raises
    ------
    ValueError
        The shapes do not fit, a target is no class, or `p` is another number.
    """
    name = "multi_margin_loss"
    given, y = floats(name, input), _classes(name, target)
    x = given if given.ndim == 2 else given.reshape(1, -1)
    rows, classes = x.shape
    if given.ndim > 2 or y.ndim > 1 or y.size != rows:
        raise ValueError(
            f"{name} takes scores (N, C) and classes (N,), or (C,) and one class, not shapes "
            f"{given.shape} and {y.shape}"
        )
    if y.size and not (y.min() >= 0 and y.max() < classes):
        raise ValueError(f"{name} of {classes} classes got targets from {y.min()} to {y.max()}")
    if p not in (1, 2):
        raise ValueError(f"{name} takes 1 or 2 for p, not {p!r}")
    places = np.arange(rows), y.ravel()
    z = relu(check_number(name, "margin", margin) - x[places][:, np.newaxis] + x)
    own = np.arange(classes) == y.reshape(-1, 1)
    loss = where(own, 0, z if p == 1 else square(z)).sum(axis=1) / classes
    if weight is not None:
        loss = loss * weights(name, x, weight, (classes,), exactly=True)[y.ravel()]
    return reduced(loss.reshape(y.shape), reduction)


@names_itself
def multilabel_margin_loss(input: Tensor, target: Any, reduction: Reduction = "mean") -> Tensor:
    """sum max(0, 1 - x[i] + x[j]) / C over the labels i of an example and all classes j that are none of them.

    Parameters
    ----------
    input : Tensor
        Scores x, (N, C) or (C,).
    target : array_like of int
        In that shape: the labels of each example, from 0, then -1; what comes behind a -1 is not read. A label that
        is there twice counts twice.
    reduction : {"mean", "sum", "none"}
        Over the examples.

    Raises
    ------
    ValueError
        The shapes differ, or a label is no class.
    """
    name = "multilabel_margin_loss"
    given, y = floats(name, input), _classes(name, target)
    check_same_shape(name, given, y)
    if given.ndim > 2:
        raise ValueError(f"{name} takes scores (N, C) or (C,), not shape {given.shape}")
    x = given if given.ndim == 2 else given.reshape(1, -1)
    rows, classes = x.shape
    y = y.reshape(x.shape)
    listed = np.logical_and.accumulate(y >= 0, axis=1)
    if y.size and not (y.min() >= -1 and y.max() < classes):
        raise ValueError(f"{name} of {classes} classes got targets from {y.min()} to {y.max()}")
    row = np.arange(rows)[:, np.newaxis]
    is_label = np.zeros(x.shape, bool)
    is_label[np.broadcast_to(row, y.shape)[listed], y[listed]] = True
    z = relu(1 - x[row, np.where(listed, y, 0)][:, :, np.newaxis] + x[:, np.newaxis])
    counts = listed[:, :, np.newaxis] & ~is_label[:, np.newaxis]
    return reduced((where(counts, z, 0).sum(axis=(1, 2)) / classes).reshape(given.shape[:-1]), reduction)


@names_itself
def multilabel_soft_margin_loss(
    input: Tensor, target: Any, weight: Any = None, *, reduction: Reduction = "mean"
) -> Tensor:
    """The mean of `binary_cross_entropy_with_logits` over the classes, the last axis; reduced over the rest."""
    loss = of_logits("multilabel_soft_margin_loss", input, target, weight)
    if not loss.ndim:
        raise ValueError("multilabel_soft_margin_loss takes logits (..., C), and no single number")
    return reduced(loss.mean(axis=-1), reduction)


# --- of triplets --------------------------------------------------------------------------------------


@names_itself
def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    *,
    reduction: Reduction = "mean",
) -> Tensor:
    """max(0, d(a, p) - d(a, n) + margin): the anchor shall be nearer to the positive than to the negative.

    Parameters
    ----------
    anchor, positive, negative : Tensor
        Vectors (..., D), which broadcast.
    margin : float
        By how much it shall be nearer, above 0.
    p : float
        Of the norm that is the distance.
    eps : float
        Added to each difference, so that a distance of 0 has a derivative.
    swap : bool
        Whether the distance of positive and negative counts where it is the smaller (Balntas et al., 2016).
    reduction : {"mean", "sum", "none"}
        Over the triplets.

    Raises
    ------
    ValueError
        The three have not the same number of axes, or the margin is not above 0.
    """
    return _triplet(
        "triplet_margin_loss",
        (anchor, positive, negative),
        lambda x, y: _norm(x - y + eps, p),
        margin,
        swap,
        reduction,
    )


@names_itself
def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: Reduction = "mean",
) -> Tensor:
    """`triplet_margin_loss` of another distance: a function of two Tensors."""
    distance = distance_function or (lambda x, y: _norm(x - y + 1e-6, 2.0))
    name = "triplet_margin_with_distance_loss"
    return _triplet(name, (anchor, positive, negative), distance, margin, swap, reduction)


def _triplet(
    name: str,
    vectors: tuple[Any, Any, Any],
    distance: Callable[[Tensor, Tensor], Tensor],
    margin: float,
    swap: bool,
    reduction: Reduction,
) -> Tensor:
    a, p, n = (floats(name, x) for x in vectors)
    if not a.ndim == p.ndim == n.ndim:
        raise ValueError(f"{name} takes three of as many axes, not shapes {a.shape}, {p.shape} and {n.shape}")
    if not check_number(name, "margin", margin, 0):
        raise ValueError(f"{name} takes a margin above 0, not {margin!r}")
    far = distance(a, n)
    if swap:
        far = minimum(far, distance(p, n))
    return reduced(clip(margin + distance(a, p) - far, a_min=0), reduction)


def _norm(x: Tensor, p: float) -> Tensor:
    """The p-norm of the last axis."""
    if p == 2:
        return sqrt(square(x).sum(axis=-1))
    size = abs(x)
    if p == np.inf:
        return size.max(axis=-1)
    return size.sum(axis=-1) if p == 1 else (size**p).sum(axis=-1) ** (1 / p)


# --- what they share ----------------------------------------------------------------------------------


def _labels(name: str, target: Any) -> np.ndarray:
    """Labels 1 and -1, which no gradient is sent to."""
    y = as_array(values(target), name)
    if not (np.absolute(y) == 1).all():
        raise ValueError(f"{name} takes targets that are 1 or -1, and found others")
    return y


def _classes(name: str, target: Any) -> np.ndarray:
    """Whole numbers."""
    y = as_array(target, name)
    if y.dtype.kind not in "iu":
        raise ValueError(f"{name} takes whole numbers as targets, not {y.dtype}")
    return y
