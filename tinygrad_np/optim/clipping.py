"""Gradient clipping: one gradient that is far too long must not throw the weights away."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np

from tinygrad_np.nn.layer import NamedTensors
from tinygrad_np.tensor import Tensor


def clip_grad_norm(
    parameters: NamedTensors | Mapping[str, Tensor] | Iterable[Tensor] | Tensor, max_norm: float
) -> float:
    """Scale all gradients, in place, so that their joint Euclidean norm is `max_norm` at most.

    Parameters
    ----------
    parameters : NamedTensors, mapping of str to Tensor, iterable of Tensor, or Tensor
        ``layer.named_parameters()``, so that an error names them, or ``layer.parameters()``, which it numbers.
        Those without a gradient are skipped.
    max_norm : float
        The largest norm to leave as it is (Pascanu et al., 2013, algorithm 1).

    Returns
    -------
    float
        The norm before clipping.

    Raises
    ------
    ValueError
        A gradient is not finite: the parameters that have such elements are named, and nothing is scaled. Or
        `max_norm` is not above 0.
    TypeError
        Something among them is no Tensor.
    """
    if isinstance(parameters, NamedTensors | Mapping):
        named = dict(parameters.items())
    else:
        given = [parameters] if isinstance(parameters, Tensor) else parameters
        named = {f"parameter {i}": p for i, p in enumerate(given)}
    for name, p in named.items():
        if not isinstance(p, Tensor):
            raise TypeError(
                "clip_grad_norm takes Tensors, such as layer.named_parameters() or layer.parameters(), "
                f"and {name} is {p!r}"
            )
    if not max_norm > 0:
        raise ValueError(f"clip_grad_norm takes a norm above 0, not {max_norm}")
    gradients = {name: p.grad for name, p in named.items() if p.grad is not None}
    square = 0.0
    with np.errstate(over="ignore"):
        for g in gradients.values():
            flat = g.ravel().astype(np.float64, copy=False)  # float64 holds the square of any float32
            square += float(np.dot(flat, flat))
    if 1e-280 < square < math.inf:
        norm = math.sqrt(square)
    else:  # all zero, or not finite, or float64 with squares that are lost above or below its range
        broken = [name for name, g in gradients.items() if not np.isfinite(g).all()]
        if broken:
            raise ValueError(f"the gradient of {', '.join(broken)} is not finite")
        peak = max((float(np.abs(g).max()) for g in gradients.values() if g.size), default=0.0) or 1.0
        norm = peak * math.sqrt(sum(float(np.sum(np.square(g / peak))) for g in gradients.values()))
    if norm > max_norm:
        for g in gradients.values():
            g *= max_norm / norm
    return norm
