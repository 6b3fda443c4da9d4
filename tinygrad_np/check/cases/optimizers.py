"""Rows of the optimizers: their published update rules, written out for one number, and settings to try."""

from __future__ import annotations

import math
from typing import Any

from tinygrad_np.check.rows import Optimizer


def sgd(
    p: float,
    gs: list[float],
    lr: float = 1e-3,
    momentum: float = 0.0,
    dampening: float = 0.0,
    weight_decay: float = 0.0,
    nesterov: bool = False,
    maximize: bool = False,
) -> float:
    """Polyak (1964): the velocity is a sum of gradients, each older one momentum times smaller.

    Nesterov's step as Sutskever et al. (2013) have it, equations 3 and 4, written for where the gradient is taken.
    """
    v = 0.0
    for t, g in enumerate(gs, start=1):
        g = (-g if maximize else g) + weight_decay * p
        v = momentum * v + (1 - dampening) * g if t > 1 else g
        p = p - lr * (g + momentum * v if nesterov else v)
    return p


def lion(
    p: float,
    gs: list[float],
    lr: float = 1e-4,
    betas: tuple[float, float] = (0.9, 0.99),
    weight_decay: float = 0.0,
    maximize: bool = False,
) -> float:
    """Chen et al. (2023), algorithm 2."""
    m = 0.0
    for g in gs:
        g = -g if maximize else g
        c = betas[0] * m + (1 - betas[0]) * g
        p = p - lr * (math.copysign(1, c) + weight_decay * p)
        m = betas[1] * m + (1 - betas[1]) * g
    return p


def adagrad(
    p: float,
    gs: list[float],
    lr: float = 1e-2,
    lr_decay: float = 0.0,
    weight_decay: float = 0.0,
    initial_accumulator_value: float = 0.0,
    eps: float = 1e-10,
    maximize: bool = False,
) -> float:
    """Duchi et al. (2011), figure 1, with a diagonal matrix."""
    s = initial_accumulator_value
    for t, g in enumerate(gs, start=1):
        g = (-g if maximize else g) + weight_decay * p
        s = s + g**2
        p = p - lr / (1 + (t - 1) * lr_decay) * g / (math.sqrt(s) + eps)
    return p


def rmsprop(
    p: float,
    gs: list[float],
    lr: float = 1e-2,
    alpha: float = 0.99,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    momentum: float = 0.0,
    centered: bool = False,
    maximize: bool = False,
) -> float:
    """Tieleman and Hinton (2012), lecture 6.5; centered is Graves (2013), equations 38 to 41, with eps outside."""
    s = m = v = 0.0
    for g in gs:
        g = (-g if maximize else g) + weight_decay * p
        s = alpha * s + (1 - alpha) * g**2
        m = alpha * m + (1 - alpha) * g
        v = momentum * v + g / (math.sqrt(s - m**2 if centered else s) + eps)
        p = p - lr * v
    return p


def adadelta(
    p: float,
    gs: list[float],
    lr: float = 1.0,
    rho: float = 0.9,
    eps: float = 1e-6,
    weight_decay: float = 0.0,
    maximize: bool = False,
) -> float:
    """Zeiler (2012), algorithm 1."""
    s = u = 0.0
    for g in gs:
        g = (-g if maximize else g) + weight_decay * p
        s = rho * s + (1 - rho) * g**2
        d = math.sqrt(u + eps) / math.sqrt(s + eps) * g
        u = rho * u + (1 - rho) * d**2
        p = p - lr * d
    return p


def rprop(
    p: float,
    gs: list[float],
    lr: float = 1e-2,
    etas: tuple[float, float] = (0.5, 1.2),
    step_sizes: tuple[float, float] = (1e-6, 50.0),
    maximize: bool = False,
) -> float:
    """Riedmiller and Braun (1993), without going back a step where the sign has turned."""
    last, size = 0.0, lr
    for g in gs:
        g = -g if maximize else g
        if last * g < 0:
            size, g = max(size * etas[0], step_sizes[0]), 0.0
        elif last * g > 0:
            size = min(size * etas[1], step_sizes[1])
        if g:
            p = p - math.copysign(min(max(size, step_sizes[0]), step_sizes[1]), g)
        last = g
    return p


def asgd(
    p: float,
    gs: list[float],
    lr: float = 1e-2,
    lambd: float = 1e-4,
    alpha: float = 0.75,
    t0: float = 1e6,
    weight_decay: float = 0.0,
    maximize: bool = False,
) -> float:
    """Bottou (2012), section 5.3: the weights; their average is compared in a test of its own."""
    for t, g in enumerate(gs):
        g = (-g if maximize else g) + weight_decay * p
        p = p - lr / (1 + lambd * lr * t) ** alpha * (g + lambd * p)
    return p


def adam(
    p: float,
    gs: list[float],
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    amsgrad: bool = False,
    maximize: bool = False,
    decoupled_weight_decay: bool = False,
) -> float:
    """Kingma and Ba (2015), algorithm 1; the decay decoupled as Loshchilov and Hutter (2019) have it.

    AMSGrad is Reddi et al. (2018), algorithm 2, with the correction of the start, which they leave out.
    """
    m = s = largest = 0.0
    for t, g in enumerate(gs, start=1):
        g = -g if maximize else g
        if decoupled_weight_decay:
            p = p - lr * weight_decay * p
        else:
            g = g + weight_decay * p
        m = betas[0] * m + (1 - betas[0]) * g
        s = betas[1] * s + (1 - betas[1]) * g**2
        largest = max(largest, s)
        m_hat = m / (1 - betas[0] ** t)
        s_hat = (largest if amsgrad else s) / (1 - betas[1] ** t)
        p = p - lr * m_hat / (math.sqrt(s_hat) + eps)
    return p


def adamw(p: float, gs: list[float], weight_decay: float = 1e-2, **settings: Any) -> float:
    return adam(p, gs, weight_decay=weight_decay, decoupled_weight_decay=True, **settings)


def adamax(
    p: float,
    gs: list[float],
    lr: float = 2e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    maximize: bool = False,
) -> float:
    """Kingma and Ba (2015), algorithm 2, with eps added to the gradient's size."""
    m = u = 0.0
    for t, g in enumerate(gs, start=1):
        g = (-g if maximize else g) + weight_decay * p
        m = betas[0] * m + (1 - betas[0]) * g
        u = max(betas[1] * u, abs(g) + eps)
        p = p - lr / (1 - betas[0] ** t) * m / u
    return p


def nadam(
    p: float,
    gs: list[float],
    lr: float = 2e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    momentum_decay: float = 4e-3,
    decoupled_weight_decay: bool = False,
    maximize: bool = False,
) -> float:
    """Dozat (2016), algorithm 2, with the shares mu of its section 3.2."""
    m = s = 0.0
    mu = [betas[0] * (1 - 0.5 * 0.96 ** (t * momentum_decay)) for t in range(len(gs) + 2)]
    for t, g in enumerate(gs, start=1):
        g = -g if maximize else g
        if decoupled_weight_decay:
            p = p - lr * weight_decay * p
        else:
            g = g + weight_decay * p
        m = betas[0] * m + (1 - betas[0]) * g
        s = betas[1] * s + (1 - betas[1]) * g**2
        m_bar = mu[t + 1] * m / (1 - math.prod(mu[1 : t + 2])) + (1 - mu[t]) * g / (
            1 - math.prod(mu[1 : t + 1])
        )
        p = p - lr * m_bar / (math.sqrt(s / (1 - betas[1] ** t)) + eps)
    return p


def radam(
    p: float,
    gs: list[float],
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    decoupled_weight_decay: bool = False,
    maximize: bool = False,
) -> float:
    """Liu et al. (2020), algorithm 2, rectified from a length of 5 on."""
    m = s = 0.0
    longest = 2 / (1 - betas[1]) - 1
    for t, g in enumerate(gs, start=1):
        g = -g if maximize else g
        if decoupled_weight_decay:
            p = p - lr * weight_decay * p
        else:
            g = g + weight_decay * p
        m = betas[0] * m + (1 - betas[0]) * g
        s = betas[1] * s + (1 - betas[1]) * g**2
        m_hat = m / (1 - betas[0] ** t)
        length = longest - 2 * t * betas[1] ** t / (1 - betas[1] ** t)
        if length > 5:
            rectified = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
            p = p - lr * m_hat * math.sqrt(rectified) * math.sqrt(1 - betas[1] ** t) / (math.sqrt(s) + eps)
        else:
            p = p - lr * m_hat
    return p


def sparse_adam(
    p: float,
    gs: list[float],
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    maximize: bool = False,
) -> float:
    """Kingma and Ba (2015), the end of section 2: with eps beside the size before its correction."""
    m = s = 0.0
    for t, g in enumerate(gs, start=1):
        g = -g if maximize else g
        m = betas[0] * m + (1 - betas[0]) * g
        s = betas[1] * s + (1 - betas[1]) * g**2
        p = p - lr * math.sqrt(1 - betas[1] ** t) / (1 - betas[0] ** t) * m / (math.sqrt(s) + eps)
    return p


ADAM = {"lr": 0.1, "betas": (0.5, 0.8), "eps": 0.1}
DECAY = {"lr": 0.1, "weight_decay": 0.3}
UP = {"lr": 0.1, "maximize": True}

OPTIMIZERS = {
    "SGD": Optimizer(
        sgd,
        [
            {"lr": 0.1},
            {"lr": 0.1, "momentum": 0.9},
            DECAY,
            {**DECAY, "momentum": 0.5, "dampening": 0.2},
            {**DECAY, "momentum": 0.5, "nesterov": True, "maximize": True},
            UP,
        ],
    ),
    "Lion": Optimizer(
        lion,
        [{"lr": 0.1}, {"lr": 0.1, "betas": (0.5, 0.8)}, {**DECAY, "maximize": True}],
        torch=False,
    ),
    "Adagrad": Optimizer(
        adagrad,
        [
            {"lr": 0.1},
            {**DECAY, "lr_decay": 0.5, "eps": 0.1},
            {**UP, "initial_accumulator_value": 0.5},
        ],
    ),
    "RMSprop": Optimizer(
        rmsprop,
        [
            {"lr": 0.01},
            {"lr": 0.1, "alpha": 0.5, "eps": 0.1},
            {**DECAY, "momentum": 0.5},
            {**UP, "centered": True, "eps": 0.1},
            {**DECAY, "centered": True, "momentum": 0.9, "maximize": True, "eps": 0.1},
        ],
    ),
    "Adadelta": Optimizer(adadelta, [{"lr": 0.5}, {**DECAY, "rho": 0.5, "eps": 0.1}, UP]),
    "Rprop": Optimizer(rprop, [{"lr": 0.1}, {"lr": 0.1, "etas": (0.3, 2.0), "step_sizes": (0.05, 0.15)}, UP]),
    "ASGD": Optimizer(
        asgd, [{"lr": 0.1}, {**DECAY, "lambd": 0.1, "alpha": 0.5, "t0": 2.0}, {**UP, "lambd": 0.3}]
    ),
    "Adam": Optimizer(
        adam,
        [
            {"lr": 0.1},
            ADAM,
            DECAY,
            {**ADAM, "weight_decay": 0.3, "decoupled_weight_decay": True},
            {**ADAM, "amsgrad": True},
            {**DECAY, "amsgrad": True, "maximize": True},
        ],
    ),
    "AdamW": Optimizer(
        adamw, [{"lr": 0.1}, {**ADAM, "weight_decay": 0.3}, {**ADAM, "amsgrad": True, "maximize": True}]
    ),
    "Adamax": Optimizer(adamax, [{"lr": 0.1}, ADAM, {**DECAY, "maximize": True}]),
    "NAdam": Optimizer(
        nadam,
        [
            {"lr": 0.1},
            {**ADAM, "momentum_decay": 0.5},
            {**DECAY, "maximize": True},
            {**DECAY, "decoupled_weight_decay": True},
        ],
    ),
    "SparseAdam": Optimizer(sparse_adam, [{"lr": 0.1}, {**ADAM, "maximize": True}], torch=False),
    "RAdam": Optimizer(
        radam,
        [
            {"lr": 0.1},
            ADAM,
            {"lr": 0.1, "betas": (0.9, 0.99), "maximize": True},
            {**DECAY, "decoupled_weight_decay": True},
        ],
    ),
}
