"""Losses of a prediction: differences, and negative log-likelihoods. Those with a margin are in `margins`.

Each is computed element by element, weighted, and then reduced: "mean", "sum", or "none" for all elements. Names
and arguments are PyTorch's, without its outdated ``size_average`` and ``reduce``. A target gets a gradient where it
is a Tensor that requires one; classes, labels and weights get none.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np

from tinygrad_np.errors import names_itself
from tinygrad_np.functional.activations import log_softmax
from tinygrad_np.functional.common import Reduction, check_number, floats
from tinygrad_np.functional.targets import (
    broadcasts,
    check_between,
    check_same_shape,
    in_dtype_of,
    reduced,
    times,
    values,
    weights,
)
from tinygrad_np.operand import as_array
from tinygrad_np.ops.elementwise import absolute, clip, exp, log, logaddexp, square, where
from tinygrad_np.tensor import Tensor

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "gaussian_nll_loss",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "mse_loss",
    "nll_loss",
    "poisson_nll_loss",
    "smooth_l1_loss",
]

# --- differences --------------------------------------------------------------------------------------


@names_itself
def mse_loss(input: Tensor, target: Any, reduction: Reduction = "mean", weight: Any = None) -> Tensor:
    """The squared difference (x - y)^2.

    Parameters
    ----------
    input : Tensor
        x, any shape.
    target : array_like or Tensor
        y, in the shape of `input`.
    reduction : {"mean", "sum", "none"}
        Over all elements; with weights the mean is the sum divided by that of the weights.
    weight : array_like, optional
        A factor for each element, in the shape of `input`.

    Raises
    ------
    ValueError
        The shapes differ.
    """
    x, y = _pair("mse_loss", input, target)
    return _weighted("mse_loss", square(x - y), weight, reduction)


@names_itself
def l1_loss(input: Tensor, target: Any, reduction: Reduction = "mean", weight: Any = None) -> Tensor:
    """The absolute difference |x - y|, whose derivative is taken as 0 where they are equal. See `mse_loss`."""
    x, y = _pair("l1_loss", input, target)
    return _weighted("l1_loss", absolute(x - y), weight, reduction)


@names_itself
def smooth_l1_loss(input: Tensor, target: Any, reduction: Reduction = "mean", beta: float = 1.0) -> Tensor:
    """d^2 / (2 beta) for a difference |d| below beta, else |d| - beta / 2 (Girshick, 2015, eq. 3, has beta 1).

    With `beta` 0 it is `l1_loss`. Arguments and errors are those of `mse_loss`.
    """
    x, y = _pair("smooth_l1_loss", input, target)
    beta = check_number("smooth_l1_loss", "beta", beta, 0)
    return reduced(_huber(x - y, beta) / beta if beta else absolute(x - y), reduction)


@names_itself
def huber_loss(
    input: Tensor, target: Any, reduction: Reduction = "mean", delta: float = 1.0, weight: Any = None
) -> Tensor:
    """d^2 / 2 for a difference |d| up to delta, else delta (|d| - delta / 2) (Huber, 1964).

    Arguments and errors are those of `mse_loss`, but a weighted mean is that over all elements, as in PyTorch.
    """
    x, y = _pair("huber_loss", input, target)
    if not check_number("huber_loss", "delta", delta, 0):
        raise ValueError("huber_loss takes a delta above 0, not 0")
    loss = _huber(x - y, delta)
    if weight is not None:
        loss = times(weights("huber_loss", loss, weight, loss.shape), loss)
    return reduced(loss, reduction)


def _huber(d: Tensor, delta: float) -> Tensor:
    """Both cases in one: q (d - q / 2) with q the difference held between -delta and delta."""
    q = clip(d, a_min=-delta, a_max=delta)
    return q * (d - q / 2)


# --- probabilities of yes or no -----------------------------------------------------------------------


@names_itself
def binary_cross_entropy(
    input: Tensor, target: Any, weight: Any = None, *, reduction: Reduction = "mean"
) -> Tensor:
    """-y log p - (1 - y) log(1 - p) for probabilities p and targets y.

    A logarithm is never taken below -100, as in PyTorch, and there its derivative is 0. Of logits use
    `binary_cross_entropy_with_logits`, which loses no digits.

    Parameters
    ----------
    input : Tensor
        Probabilities from 0 to 1, any shape.
    target : array_like or Tensor
        Targets from 0 to 1, in the shape of `input`.
    weight : array_like, optional
        Factors, in a shape that broadcasts to that of `input`.
    reduction : {"mean", "sum", "none"}
        Over all elements, weighted or not.

    Raises
    ------
    ValueError
        The shapes differ, or a probability or target is outside of 0 to 1.
    """
    name = "binary_cross_entropy"
    p, y = _pair(name, input, target)
    check_between(name, "probabilities", p, 0, 1)
    check_between(name, "targets", y, 0, 1)
    with np.errstate(divide="ignore"):
        yes, no = clip(log(p), a_min=-100.0), clip(np.log1p(-p), a_min=-100.0)
    loss = -(y * yes + (1 - y) * no)
    return reduced(loss if weight is None else times(weights(name, p, weight, p.shape), loss), reduction)


@names_itself
def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Any,
    weight: Any = None,
    *,
    reduction: Reduction = "mean",
    pos_weight: Any = None,
) -> Tensor:
    """-y log s(z) - (1 - y) log(1 - s(z)) for logits z and targets y, with s the logistic function.

    Written with softplus(z) = log(1 + e^z), as -log s(z) = softplus(-z) and -log(1 - s(z)) = softplus(z):
    exact for confident logits, and 0 for infinite ones that are right.

    Parameters
    ----------
    input : Tensor
        Logits, any shape.
    target : array_like or Tensor
        Targets from 0 to 1, in the shape of `input`.
    weight : array_like, optional
        Factors, in a shape that broadcasts to that of `input`.
    reduction : {"mean", "sum", "none"}
        Over all elements, weighted or not.
    pos_weight : array_like, optional
        Factors of the first term, as `weight`.

    Raises
    ------
    ValueError
        The shapes differ, or a target is outside of 0 to 1.
    """
    return reduced(
        of_logits("binary_cross_entropy_with_logits", input, target, weight, pos_weight), reduction
    )


def of_logits(name: str, input: Any, target: Any, weight: Any, pos_weight: Any = None) -> Tensor:
    """`binary_cross_entropy_with_logits` of each element, for the loss of this name."""
    z, y = _pair(name, input, target)
    check_between(name, "targets", y, 0, 1)
    positive = y if pos_weight is None else y * weights(name, z, pos_weight, z.shape)
    loss = times(positive, logaddexp(0, -z)) + times(1 - y, logaddexp(0, z))
    return loss if weight is None else times(weights(name, z, weight, z.shape), loss)


# --- probabilities of classes -------------------------------------------------------------------------


@names_itself
def cross_entropy(
    input: Tensor,
    target: Any,
    weight: Any = None,
    *,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """-log softmax(z)[class], for logits z; or -sum y log softmax(z), for probabilities y of the classes.

    Parameters
    ----------
    input : Tensor
        Logits, (N, C, ...) or (C,), for C classes.
    target : array_like or Tensor
        Whole numbers: the classes, in the shape of `input` without C. Other numbers: probabilities from 0 to 1, in
        the shape of `input`.
    weight : array_like, optional
        A factor for each class, (C,).
    ignore_index : int
        A target with no loss, which need be no class. Not for probabilities.
    reduction : {"mean", "sum", "none"}
        The mean of classes is the sum divided by that of the targets' weights; of probabilities it is over all
        places.
    label_smoothing : float
        e, from 0 to 1: targets y become (1 - e) y + e / C (Szegedy et al., 2016, sec. 7).

    Raises
    ------
    ValueError
        The shapes do not fit, a target is no class, or no probability.
    """
    name = "cross_entropy"
    z, given = floats(name, input), target.data if isinstance(target, Tensor) else as_array(target, name)
    smoothing = check_number(name, "label_smoothing", label_smoothing, 0, 1)
    axis = min(z.ndim - 1, 1)
    log_p = log_softmax(z, axis)
    if given.dtype.kind != "f" or given.shape != z.shape or not z.ndim:
        return _of_classes(name, log_p, given, weight, ignore_index, reduction, smoothing)
    if ignore_index >= 0:
        raise ValueError(f"cross_entropy of probabilities has no class to ignore, such as {ignore_index}")
    y = in_dtype_of(name, z, target)
    check_between(name, "targets", y, 0, 1)
    y = (1 - smoothing) * y + smoothing / z.shape[axis] if smoothing else y
    terms = times(y, log_p)
    if weight is not None:
        terms = times(_by_class(name, z, weight), terms)
    return reduced(-terms.sum(axis=axis), reduction)


@names_itself
def nll_loss(
    input: Tensor,
    target: Any,
    weight: Any = None,
    *,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
) -> Tensor:
    """-log p[class], for logarithms of probabilities. `cross_entropy` of classes, but for its softmax."""
    x = floats("nll_loss", input)
    return _of_classes("nll_loss", x, as_array(target, "nll_loss"), weight, ignore_index, reduction)


def _of_classes(
    name: str,
    log_p: Tensor,
    target: np.ndarray,
    weight: Any,
    ignore_index: int,
    reduction: Reduction,
    smoothing: float = 0.0,
) -> Tensor:
    """The loss of classes, from logarithms of probabilities; a class that is ignored takes part in nothing."""
    axis = min(log_p.ndim - 1, 1)
    if (
        not log_p.ndim
        or target.shape != log_p.shape[:axis] + log_p.shape[axis + 1 :]
        or target.dtype.kind not in "iu"
    ):
        what, more = "log-probabilities", ""
        if name == "cross_entropy":
            what, more = "logits", ", or probabilities in that shape"
        raise ValueError(
            f"{name} takes {what} (N, C, ...) or (C,) and whole-number targets of that shape without C{more}, not "
            f"{log_p.dtype}{list(log_p.shape)} and {target.dtype}{list(target.shape)}"
        )
    classes = log_p.shape[axis]
    kept = target != ignore_index
    known = target[kept]
    if known.size and not (known.min() >= 0 and known.max() < classes):
        raise ValueError(f"{name} of {classes} classes got targets from {known.min()} to {known.max()}")
    target = np.where(kept, target, 0)
    places: list[np.ndarray] = [*np.indices(target.shape, sparse=True)]
    places.insert(axis, target)
    loss, total = -log_p[tuple(places)], None
    if weight is not None:
        each = weights(name, log_p, weight, (classes,), exactly=True)[target] * kept
        loss, total = times(each, loss), each.sum()
    if smoothing:
        spread = log_p if weight is None else times(_by_class(name, log_p, weight), log_p)
        loss = (1 - smoothing) * loss - smoothing / classes * spread.sum(axis=axis)
    if not kept.all():
        loss, total = where(kept, loss, 0), kept.sum() if total is None else total
    return reduced(loss, reduction, total)


def _by_class(name: str, x: Tensor, weight: Any) -> np.ndarray:
    """The weights of the classes beside logits (N, C, ...) or (C,)."""
    axis = min(x.ndim - 1, 1)
    return weights(name, x, weight, (x.shape[axis],), exactly=True).reshape(-1, *(1,) * (x.ndim - 1 - axis))


@names_itself
def kl_div(
    input: Tensor,
    target: Any,
    reduction: Reduction | Literal["batchmean"] = "mean",
    log_target: bool = False,
) -> Tensor:
    """y (log y - x), for logarithms x of probabilities; its sum is Kullback and Leibler's divergence from y.

    Where y is 0 the loss is 0, and the derivative by y, which is infinite, is taken as -x.

    Parameters
    ----------
    input : Tensor
        x, any shape.
    target : array_like or Tensor
        y from 0 to 1, or their logarithms, in the shape of `input`.
    reduction : {"mean", "batchmean", "sum", "none"}
        "batchmean" is the sum divided by the length of the first axis, which is the divergence; "mean" divides by
        the number of all elements.
    log_target : bool
        Whether `target` holds logarithms.

    Raises
    ------
    ValueError
        The shapes differ, or a target is no probability.
    """
    x, y = _pair("kl_div", input, target)
    if log_target:
        check_between("kl_div", "logarithms of targets", y, -np.inf, 0)
        loss = times(np.exp(y), y - where(values(y) == -np.inf, 0, x))
    else:
        check_between("kl_div", "targets", y, 0, 1)
        loss = y * np.log(where(values(y) > 0, y, 1)) - times(y, x)
    if reduction == "batchmean":
        return loss.sum() / (len(x) if x.ndim else 1)
    return reduced(loss, reduction)


# --- likelihoods of numbers ---------------------------------------------------------------------------


@names_itself
def gaussian_nll_loss(
    input: Tensor,
    target: Any,
    var: Any,
    full: bool = False,
    eps: float = 1e-6,
    reduction: Reduction = "mean",
) -> Tensor:
    """(log v + (x - y)^2 / v) / 2, for a normal distribution of mean x and variance v (Nix and Weigend, 1994).

    Parameters
    ----------
    input : Tensor
        x, any shape.
    target : array_like or Tensor
        y, in a shape that broadcasts to that of `input`.
    var : float, array_like or Tensor
        v, from 0: in the shape of `input`, in that shape with lengths of 1 or without its last axis, or a number.
    full : bool
        Whether to add the constant log(2 pi) / 2.
    eps : float
        A smaller variance counts as this one; its derivative is taken as if it were that large.
    reduction : {"mean", "sum", "none"}
        Over all elements.

    Raises
    ------
    ValueError
        The shapes do not fit, or a variance is below 0.
    """
    name = "gaussian_nll_loss"
    x = floats(name, input)
    y, v = in_dtype_of(name, x, target), in_dtype_of(name, x, var)
    check_between(name, "variances", v, 0, np.inf)
    if x.ndim and v.shape == x.shape[:-1] and v.ndim:
        v = v[..., np.newaxis]
    if v.ndim not in (0, x.ndim) or any(n not in (1, m) for n, m in zip(v.shape, x.shape, strict=False)):
        raise ValueError(f"{name} of an input of shape {x.shape} and variances of shape {np.shape(var)}")
    if not broadcasts(y.shape, x.shape):
        raise ValueError(f"{name} of an input of shape {x.shape} and a target of shape {y.shape}")
    v = v + np.maximum(check_number(name, "eps", eps, 0) - values(v), 0)
    loss = (np.log(v) + square(x - y) / v) / 2
    return reduced(loss + math.log(2 * math.pi) / 2 if full else loss, reduction)


@names_itself
def poisson_nll_loss(
    input: Tensor,
    target: Any,
    log_input: bool = True,
    full: bool = False,
    *,
    eps: float = 1e-8,
    reduction: Reduction = "mean",
) -> Tensor:
    """e^x - y x, for a Poisson distribution of rate e^x; or x - y log(x + eps), for one of rate x.

    Parameters
    ----------
    input : Tensor
        x, any shape.
    target : array_like or Tensor
        Counts y, from 0, in the shape of `input`.
    log_input : bool
        Whether `input` is the logarithm of the rate.
    full : bool
        Whether to add log(y!) as Stirling approximates it, y log y - y + log(2 pi y) / 2, where y is above 1.
    eps : float
        Added to a rate, so that there is a logarithm of 0.
    reduction : {"mean", "sum", "none"}
        Over all elements.

    Raises
    ------
    ValueError
        The shapes differ, or a rate or a count is below 0.
    """
    name = "poisson_nll_loss"
    x, y = _pair(name, input, target)
    check_between(name, "targets", y, 0, np.inf)
    if log_input:
        loss = exp(x) - y * x
    else:
        check_between(name, "rates", x, 0, np.inf)
        loss = x - times(y, log(x + check_number(name, "eps", eps, 0)))
    if full:
        n = where(values(y) > 1, y, 1)
        stirling = n * log(n) - n + log(2 * math.pi * n) / 2
        loss = loss + where(values(y) > 1, stirling, 0)
    return reduced(loss, reduction)


# --- what they share ----------------------------------------------------------------------------------


def _pair(name: str, input: Any, target: Any) -> tuple[Tensor, Any]:
    """Input and target in one dtype; a shape that only broadcasts is a mistake."""
    x = floats(name, input)
    y = in_dtype_of(name, x, target)
    check_same_shape(name, x, y)
    return x, y


def _weighted(name: str, loss: Tensor, weight: Any, reduction: Reduction) -> Tensor:
    """A loss with a weight for each element, the mean among them."""
    if weight is None:
        return reduced(loss, reduction)
    w = weights(name, loss, weight, loss.shape, exactly=True)
    return reduced(times(w, loss), reduction, w.sum())
