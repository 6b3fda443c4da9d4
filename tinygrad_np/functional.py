"""Functions composed of primitives: losses, dropout, embedding, the step of an LSTM.

Names are PyTorch's (``torch.nn.functional``), axes NumPy's; docs/differences-from-pytorch.md lists what differs.
The primitives that NumPy has no name for (`relu`, `sigmoid`, `softmax`, `logsumexp`) are to be had here too; an
axis may come by position, as PyTorch's `dim` does.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np

from tinygrad_np.operand import as_array
from tinygrad_np.ops import recurrent, reduce
from tinygrad_np.ops.elementwise import logaddexp, relu, sigmoid, square, where
from tinygrad_np.ops.reduce import Axis
from tinygrad_np.tensor import Tensor

__all__ = [
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "dropout",
    "embedding",
    "linear",
    "log_softmax",
    "logsumexp",
    "lstm_step",
    "mse_loss",
    "relu",
    "sigmoid",
    "softmax",
]

Reduction: TypeAlias = Literal["mean", "sum", "none"]
# A generator, a seed, or None for fresh entropy (SPEC 7). A string: evaluated, it would load all of np.random.
Rng: TypeAlias = "np.random.Generator | int | None"


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x W^T + b.

    Parameters
    ----------
    x : Tensor
        (..., in).
    weight : Tensor
        W, (out, in).
    bias : Tensor, optional
        b, (out,).

    Returns
    -------
    Tensor
        (..., out).
    """
    y = floats("linear", x) @ floats("linear", weight).T
    return y if bias is None else y + bias


def floats(name: str, x: Any) -> Tensor:
    """What a function is given, as a Tensor of floating-point numbers."""
    tensor: Tensor = x if isinstance(x, Tensor) else Tensor(as_array(x, name))
    whole = tensor.dtype.kind not in "fc"
    return tensor.astype(np.result_type(tensor.dtype, np.float32)) if whole else tensor


def generator(name: str, rng: Rng) -> np.random.Generator:
    """The generator that a seed, a generator or None stands for."""
    try:
        return np.random.default_rng(rng)
    except (TypeError, ValueError) as error:
        raise type(error)(
            f"{name} takes a Generator, a seed or None for rng, not {rng!r}: {error}"
        ) from error


def lstm_step(gates: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """One step of an LSTM, from its gates before activation (..., 4 H), in the order i f g o, and c (..., H).

    Returns
    -------
    tuple of Tensor
        The new h and c, each (..., H); the equations are in `ops.recurrent.lstm.lstm_step`.
    """
    gates, c = (x if isinstance(x, Tensor) else Tensor(as_array(x, "lstm_step")) for x in (gates, c))
    dtype = np.result_type(gates.dtype, c.dtype, np.float32)
    gates, c = (x if x.dtype.kind in "fc" else x.astype(dtype) for x in (gates, c))
    return recurrent.lstm_step(gates, c)


def softmax(x: Tensor, axis: Axis = -1) -> Tensor:
    """e^x / sum e^x along an axis, or several, without overflow; in the shape of x."""
    return reduce.softmax(x, axis=axis)


def logsumexp(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """log sum e^x over axes, all of them unless told, without overflow. All -inf gives -inf."""
    return reduce.logsumexp(x, axis=axis, keepdims=keepdims)


def log_softmax(x: Tensor, axis: int = -1) -> Tensor:
    """The logarithm of softmax along an axis, without overflow."""
    x = floats("log_softmax", x)
    if isinstance(axis, bool) or not isinstance(axis, int | np.integer):
        raise TypeError(f"log_softmax takes a whole number for axis, not {axis!r}")
    if not -(x.ndim or 1) <= axis < (x.ndim or 1):
        raise IndexError(f"log_softmax: axis {axis} is none of an array of shape {x.shape}")
    x = x - reduce.largest(x.detach().data, axis)  # small results are not lost beside large logits
    return x - logsumexp(x, axis=axis, keepdims=True)


def embedding(indices: Any, weight: Tensor, padding_idx: int | None = None) -> Tensor:
    """The rows of a table.

    Parameters
    ----------
    indices : array_like of int
        Any shape.
    weight : Tensor
        The table, (rows, features).
    padding_idx : int, optional
        A row to which no gradient is sent.

    Returns
    -------
    Tensor
        The shape of `indices` followed by the number of features.

    Raises
    ------
    IndexError
        An index, or `padding_idx`, is not a whole number, or not that of a row. Negative ones do not count
        from the end here.
    """
    weight = floats("embedding", weight)
    if not weight.ndim:
        raise ValueError("embedding takes a table (rows, features), and no single number")
    indices = check_indices("embedding", indices, len(weight))
    if padding_idx is not None and not 0 <= padding_idx < len(weight):
        raise IndexError(f"padding_idx {padding_idx} is not a row of {len(weight)}")
    out = weight[indices]
    if padding_idx is not None and weight.requires_grad:
        out = where((indices == padding_idx)[..., np.newaxis], out.detach(), out)
    return out


def check_indices(name: str, indices: Any, rows: int) -> np.ndarray:
    """Indices as an array, when all are whole numbers of rows that there are."""
    given = indices.data if isinstance(indices, Tensor) else indices
    array = as_array(given, name)
    if given is indices and array.shape == (0,) and array.dtype.kind == "f":
        array = array.astype(np.int64)  # np.array([]) is an array of floats
    if array.dtype.kind not in "iu":
        raise IndexError(f"{name} takes whole numbers for indices, not {array.dtype}")
    if array.size and not (array.min() >= 0 and array.max() < rows):
        raise IndexError(f"{name} of {rows} rows got indices from {array.min()} to {array.max()}")
    return array


def check_probability(name: str, p: Any) -> None:
    """Refuse what is no probability to drop."""
    if not (isinstance(p, int | float | np.number) and 0 <= p < 1):
        raise ValueError(f"{name} takes a probability from 0 to below 1, not {p!r}")


def dropout(x: Tensor, p: float = 0.5, training: bool = True, *, rng: Rng = None) -> Tensor:
    """x with elements set to 0 with probability p, the others divided by 1 - p (Srivastava et al., 2014).

    Parameters
    ----------
    x : Tensor
        Any shape.
    p : float
        From 0 to below 1. With 0 nothing is changed, and nothing drawn.
    training : bool
        With False `x` is returned as it is.
    rng : numpy.random.Generator, int or None
        Draws what is set to 0. A seed draws the same elements at each call; a Generator goes on.

    Raises
    ------
    ValueError
        `p` is no such probability.
    """
    check_probability("dropout", p)
    x = floats("dropout", x)
    if not training or not p:
        return x
    return x * ((generator("dropout", rng).random(x.shape) >= p).astype(x.dtype) / (1 - p))


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
