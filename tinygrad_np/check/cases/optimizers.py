"""Rows of the optimizers: their published update rules, written out for one number, and settings to try."""

from __future__ import annotations

import math
from typing import Any

from tinygrad_np.check.rows import Optimizer


def sgd(
    p: float, gs: list[float], lr: float = 1e-3, momentum: float = 0.0, weight_decay: float = 0.0
) -> float:
    """Polyak (1964): the velocity is a sum of gradients, each older one momentum times smaller."""
    v = 0.0
    for g in gs:
        v = momentum * v + (g + weight_decay * p)
        p = p - lr * v
    return p


def rmsprop(p: float, gs: list[float], lr: float = 1e-2, alpha: float = 0.99, eps: float = 1e-8) -> float:
    """Tieleman and Hinton (2012), lecture 6.5."""
    s = 0.0
    for g in gs:
        s = alpha * s + (1 - alpha) * g**2
        p = p - lr * g / (math.sqrt(s) + eps)
    return p


def adam(
    p: float,
    gs: list[float],
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    decoupled: float = 0.0,
) -> float:
    """Kingma and Ba (2015), algorithm 1; `decoupled` is the decay of Loshchilov and Hutter (2019)."""
    m = s = 0.0
    for t, g in enumerate(gs, start=1):
        p = p - lr * decoupled * p
        g = g + weight_decay * p
        m = betas[0] * m + (1 - betas[0]) * g
        s = betas[1] * s + (1 - betas[1]) * g**2
        m_hat = m / (1 - betas[0] ** t)
        s_hat = s / (1 - betas[1] ** t)
        p = p - lr * m_hat / (math.sqrt(s_hat) + eps)
    return p


def adamw(p: float, gs: list[float], weight_decay: float = 1e-2, **settings: Any) -> float:
    return adam(p, gs, decoupled=weight_decay, **settings)


ADAM = {"lr": 0.1, "betas": (0.5, 0.8), "eps": 0.1}

OPTIMIZERS = {
    "SGD": Optimizer(
        sgd,
        [
            {"lr": 0.1},
            {"lr": 0.1, "momentum": 0.9},
            {"lr": 0.1, "weight_decay": 0.3},
            {"lr": 0.1, "momentum": 0.5, "weight_decay": 0.3},
        ],
    ),
    "RMSprop": Optimizer(rmsprop, [{"lr": 0.01}, {"lr": 0.1, "alpha": 0.5, "eps": 0.1}]),
    "Adam": Optimizer(adam, [{"lr": 0.1}, ADAM, {"lr": 0.1, "weight_decay": 0.3}]),
    "AdamW": Optimizer(adamw, [{"lr": 0.1}, {**ADAM, "weight_decay": 0.3}]),
}
