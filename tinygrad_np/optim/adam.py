"""Adam and its family: steps by the running mean of the gradient, divided by its running size.

m = beta1 m + (1 - beta1) g and s = beta2 s + (1 - beta2) g^2 start from 0, and so are too small at first: after
step t they are divided by 1 - beta1^t and 1 - beta2^t, which makes m' and s' of them.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_np.optim.optimizer import Optimizer, Parameters


def advance(
    state: dict[str, Any], betas: tuple[float, float], g: np.ndarray
) -> tuple[int, np.ndarray, np.ndarray]:
    """Count a step, and move m and s by its gradient; returns all three."""
    (beta1, beta2), m, s = betas, state["mean"], state["square"]
    t = state["step"] = state["step"] + 1
    m *= beta1
    m += (1 - beta1) * g
    s *= beta2
    s += (1 - beta2) * g * g
    return t, m, s


class Adam(Optimizer):
    """Adam (Kingma and Ba, 2015, algorithm 1): p -= lr m' / (sqrt(s') + eps).

    Parameters
    ----------
    params : iterable
        What to train; see `Optimizer`.
    lr : float
        The learning rate.
    betas : tuple of float
        The shares of m and s that are kept from step to step, each from 0 to below 1.
    eps : float
        Keeps the division finite.
    weight_decay : float
        Of the parameter, added to its gradient.
    amsgrad : bool
        Divide by the largest s so far (Reddi et al., 2018).
    maximize : bool
        Step up the gradient, and not down.
    decoupled_weight_decay : bool
        Let the weights decay by themselves, as in `AdamW`.
    """

    below_one = ("betas",)

    def __init__(
        self,
        params: Parameters,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
    ):
        super().__init__(
            params,
            lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            amsgrad=amsgrad,
            maximize=maximize,
            decoupled_weight_decay=decoupled_weight_decay,
        )

    def start(self, p: np.ndarray) -> dict[str, Any]:
        """t, m and s, and the largest s where it is asked for."""
        names = ["mean", "square", *["largest"] * self.group.get("amsgrad", False)]
        return {"step": 0, **{name: np.zeros_like(p) for name in names}}

    def update(self, i: int, p: np.ndarray, g: np.ndarray) -> None:
        """See the class."""
        group, state = self.group, self.state[i]
        beta1, beta2 = betas = group["betas"]
        t, m, s = advance(state, betas, g)
        if group["amsgrad"]:
            s = np.maximum(s, state["largest"], out=state["largest"])
        rate = group["lr"] / (1 - beta1**t)
        p -= rate * m / (np.sqrt(s / (1 - beta2**t)) + group["eps"])


class AdamW(Adam):
    """Adam with its weight decay apart: p -= lr weight_decay p first (Loshchilov and Hutter, 2019).

    Parameters are those of `Adam`, with another default.
    """

    def __init__(
        self,
        params: Parameters,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ):
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            maximize=maximize,
            decoupled_weight_decay=True,
        )


class Adamax(Adam):
    """Adam with the largest gradient, which fades, for its size (Kingma and Ba, 2015, algorithm 2).

    u = max(beta2 u, |g| + eps), and p -= lr m' / u.

    Parameters
    ----------
    params : iterable
        What to train; see `Optimizer`.
    lr : float
        The learning rate.
    betas : tuple of float
        The shares of m and u that are kept from step to step, each from 0 to below 1.
    eps : float
        Keeps the division finite.
    weight_decay : float
        Of the parameter, added to its gradient.
    maximize : bool
        Step up the gradient, and not down.
    """

    def __init__(
        self,
        params: Parameters,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ):
        Optimizer.__init__(
            self, params, lr, betas=betas, eps=eps, weight_decay=weight_decay, maximize=maximize
        )

    def start(self, p: np.ndarray) -> dict[str, Any]:
        """t, m and u."""
        return {"step": 0, "mean": np.zeros_like(p), "largest": np.zeros_like(p)}

    def update(self, i: int, p: np.ndarray, g: np.ndarray) -> None:
        """See the class."""
        group, state = self.group, self.state[i]
        (beta1, beta2), m, u = group["betas"], state["mean"], state["largest"]
        state["step"] += 1
        m *= beta1
        m += (1 - beta1) * g
        u *= beta2
        np.maximum(u, np.abs(g) + group["eps"], out=u)
        p -= group["lr"] / (1 - beta1 ** state["step"]) * m / u


class NAdam(Adam):
    """Adam with Nesterov's momentum (Dozat, 2016): a step by the m' of the next step, as far as it is known.

    mu_t = beta1 (1 - 0.96^(t momentum_decay) / 2) is the share of m of step t, and M_t the product of all so far:
    p -= lr ((1 - mu_t) / (1 - M_t) g + mu_(t+1) / (1 - M_(t+1)) m) / (sqrt(s') + eps).

    Parameters
    ----------
    params : iterable
        What to train; see `Optimizer`.
    lr : float
        The learning rate.
    betas : tuple of float
        The shares of m and s that are kept from step to step, each from 0 to below 1.
    eps : float
        Keeps the division finite.
    weight_decay : float
        Of the parameter, added to its gradient.
    momentum_decay : float
        How fast mu grows.
    decoupled_weight_decay : bool
        Let the weights decay by themselves, as in `AdamW`.
    maximize : bool
        Step up the gradient, and not down.
    """

    def __init__(
        self,
        params: Parameters,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
    ):
        Optimizer.__init__(
            self,
            params,
            lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            momentum_decay=momentum_decay,
            decoupled_weight_decay=decoupled_weight_decay,
            maximize=maximize,
        )

    def start(self, p: np.ndarray) -> dict[str, Any]:
        """t, m, s and M."""
        return {**super().start(p), "mu_product": 1.0}

    def update(self, i: int, p: np.ndarray, g: np.ndarray) -> None:
        """See the class."""
        group, state = self.group, self.state[i]
        beta1, beta2 = betas = group["betas"]
        t, m, s = advance(state, betas, g)
        mu, following = (beta1 * (1 - 0.5 * 0.96 ** (k * group["momentum_decay"])) for k in (t, t + 1))
        state["mu_product"] *= mu
        of_g = group["lr"] * (1 - mu) / (1 - state["mu_product"])
        of_m = group["lr"] * following / (1 - state["mu_product"] * following)
        p -= (of_g * g + of_m * m) / (np.sqrt(s / (1 - beta2**t)) + group["eps"])


class RAdam(Adam):
    """Adam that divides by s only once s is known well enough (Liu et al., 2020, algorithm 2).

    With r = 2 / (1 - beta2) - 1 and r_t = r - 2 t beta2^t / (1 - beta2^t), the length of the mean that s is:
    p -= lr m' c sqrt(1 - beta2^t) / (sqrt(s) + eps) where r_t > 5, and before p -= lr m', with
    c^2 = (r_t - 4) (r_t - 2) r / ((r - 4) (r - 2) r_t).

    Parameters
    ----------
    params : iterable
        What to train; see `Optimizer`.
    lr : float
        The learning rate.
    betas : tuple of float
        The shares of m and s that are kept from step to step, each from 0 to below 1.
    eps : float
        Keeps the division finite.
    weight_decay : float
        Of the parameter, added to its gradient.
    decoupled_weight_decay : bool
        Let the weights decay by themselves, as in `AdamW`.
    maximize : bool
        Step up the gradient, and not down.
    """

    def __init__(
        self,
        params: Parameters,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
    ):
        Optimizer.__init__(
            self,
            params,
            lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            decoupled_weight_decay=decoupled_weight_decay,
            maximize=maximize,
        )

    def update(self, i: int, p: np.ndarray, g: np.ndarray) -> None:
        """See the class."""
        group = self.group
        beta1, beta2 = betas = group["betas"]
        t, m, s = advance(self.state[i], betas, g)
        rate = group["lr"] / (1 - beta1**t)
        r = 2 / (1 - beta2) - 1
        r_t = r - 2 * t * beta2**t / (1 - beta2**t)
        if r_t > 5:
            rate *= math.sqrt((r_t - 4) * (r_t - 2) * r / ((r - 4) * (r - 2) * r_t) * (1 - beta2**t))
            p -= rate * m / (np.sqrt(s) + group["eps"])
        else:
            p -= rate * m


class SparseAdam(Adam):
    """Adam for gradients of few rows: only those move, and what is kept of them.

    p -= lr sqrt(1 - beta2^t) / (1 - beta1^t) m / (sqrt(s) + eps), with t the steps of the whole table. An array is
    taken as a gradient of all rows.

    Parameters
    ----------
    params : iterable
        What to train; see `Optimizer`.
    lr : float
        The learning rate.
    betas : tuple of float
        The shares of m and s that are kept from step to step, each from 0 to below 1.
    eps : float
        Keeps the division finite.
    maximize : bool
        Step up the gradient, and not down.
    """

    takes_rows = True

    def __init__(
        self,
        params: Parameters,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        maximize: bool = False,
    ):
        Optimizer.__init__(self, params, lr, betas=betas, eps=eps, maximize=maximize)

    def update(self, i: int, p: np.ndarray, g: np.ndarray) -> None:
        """See the class."""
        beta1, beta2 = betas = self.group["betas"]
        t, m, s = advance(self.state[i], betas, g)
        rate = self.group["lr"] * math.sqrt(1 - beta2**t) / (1 - beta1**t)
        p -= rate * m / (np.sqrt(s) + self.group["eps"])
