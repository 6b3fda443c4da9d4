"""Gradient clipping: one gradient that is far too long must not throw the weights away."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TypeAlias

import numpy as np

from tinygrad_np.nn.layer import NamedTensors
from tinygrad_np.row_grad import RowGrad
from tinygrad_np.tensor import Tensor

Parameters: TypeAlias = NamedTensors | Mapping[str, Tensor] | Iterable[Tensor] | Tensor


def clip_grad_norm(parameters: Parameters, max_norm: float, norm_type: float = 2.0) -> float:
    """Scale all gradients, in place, so that their joint norm is `max_norm` at most.

    Parameters
    ----------
    parameters : NamedTensors, mapping of str to Tensor, iterable of Tensor, or Tensor
        ``layer.named_parameters()``, so that an error names them, or ``layer.parameters()``, which it numbers.
        Those without a gradient are skipped.
    max_norm : float
        The largest norm to leave as it is (Pascanu et al., 2013, algorithm 1).
    norm_type : float
        Which norm, (sum |g|^n)^(1/n): the Euclidean one unless told; infinity for the largest element.

    Returns
    -------
    float
        The norm before clipping.

    Raises
    ------
    ValueError
        A gradient is not finite: the parameters that have such elements are named, and nothing is scaled. Or
        `max_norm` or `norm_type` is not above 0.
    TypeError
        Something among them is no Tensor.
    """
    gradients = _gradients("clip_grad_norm", parameters)
    if not max_norm > 0:
        raise ValueError(f"clip_grad_norm takes a norm above 0, not {max_norm}")
    if not norm_type > 0:
        raise ValueError(f"clip_grad_norm takes a norm_type above 0, not {norm_type}")
    square = 0.0
    if norm_type == 2:
        with np.errstate(over="ignore"):
            for g in gradients.values():
                flat = g.ravel().astype(np.float64, copy=False)  # float64 holds the square of any float32
                square += float(np.dot(flat, flat))
    if 1e-280 < square < math.inf:
        norm = math.sqrt(square)
    else:  # another norm, all zero, or not finite, or float64 with squares that are lost above or below its range
        broken = [name for name, g in gradients.items() if not np.isfinite(g).all()]
        if broken:
            raise ValueError(f"the gradient of {', '.join(broken)} is not finite")
        norm = max((float(np.abs(g).max()) for g in gradients.values() if g.size), default=0.0)
        if norm and norm_type < math.inf:
            powers = [np.sum(np.abs(g / norm, dtype=np.float64) ** norm_type) for g in gradients.values()]
            norm *= float(sum(powers)) ** (1 / norm_type)
    if norm > max_norm:
        for g in gradients.values():
            g *= max_norm / norm
    return norm


def clip_grad_value(parameters: Parameters, clip_value: float) -> None:
    """Hold every element of all gradients, in place, between -`clip_value` and `clip_value`.

    Parameters
    ----------
    parameters : NamedTensors, mapping of str to Tensor, iterable of Tensor, or Tensor
        As `clip_grad_norm` takes them.
    clip_value : float
        Infinite elements are held too.

    Raises
    ------
    ValueError
        A gradient has a NaN: the parameters are named, and nothing is held. Or `clip_value` is not above 0.
    TypeError
        Something among them is no Tensor.
    """
    gradients = _gradients("clip_grad_value", parameters)
    if not clip_value > 0:
        raise ValueError(f"clip_grad_value takes a value above 0, not {clip_value}")
    if broken := [name for name, g in gradients.items() if np.isnan(g).any()]:
        raise ValueError(f"the gradient of {', '.join(broken)} has NaN in it")
    for g in gradients.values():
        np.clip(g, -clip_value, clip_value, out=g)


def _gradients(function: str, parameters: Parameters) -> dict[str, np.ndarray]:
    """The gradients that there are, by the name or number of their parameters; of a `RowGrad` its values."""
    if isinstance(parameters, NamedTensors | Mapping):
        named = dict(parameters.items())
    else:
        given = [parameters] if isinstance(parameters, Tensor) else parameters
        named = {f"parameter {i}": p for i, p in enumerate(given)}
    for name, p in named.items():
        if not isinstance(p, Tensor):
            raise TypeError(
                f"{function} takes Tensors, such as layer.named_parameters() or layer.parameters(), "
                f"and {name} is {p!r}"
            )
    given_grads = {name: p.grad for name, p in named.items() if p.grad is not None}
    return {name: g.values if isinstance(g, RowGrad) else g for name, g in given_grads.items()}
