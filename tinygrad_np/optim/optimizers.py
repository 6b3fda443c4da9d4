"""Optimizers, in order of increasing complexity, from SGD to ASGD; those of Adam's family are in `adam`.

Names, update rules and arguments are PyTorch's; Lion is not there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tinygrad_np.optim.optimizer import Optimizer, Parameters


class SGD(Optimizer):
    """Stochastic gradient descent: p -= lr v, with v = momentum v + (1 - dampening) g, and g itself at first.

    Parameters
    ----------
    params : iterable
        What to train; see `Optimizer`.
    lr : float
        The learning rate.
    momentum : float
        The share of v that is kept from step to step.
    dampening : float
        What is taken off the gradient that comes to v.
    weight_decay : float
        Of the parameter, added to its gradient.
    nesterov : bool
        Step by g + momentum v, where the momentum will have led (Sutskever et al., 2013).
    maximize : bool
        Step up the gradient, and not down.
    """

    takes_rows = True

    def __init__(
        self,
        params: Parameters,
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ):
        super().__init__(
            params,
            lr,
            momentum=momentum,
            dampening=dampening,
            weight_decay=weight_decay,
            nesterov=nesterov,
            maximize=maximize,
        )

    def check_group(self, group: Mapping[str, Any]) -> None:
        """Nesterov's step has a momentum, and nothing taken off."""
        if group["nesterov"] and (not group["momentum"] or group["dampening"]):
            raise ValueError("SGD with nesterov takes a momentum above 0, and no dampening")

    def start(self, p: np.ndarray) -> dict[str, Any]:
        """The velocity."""
        return {"step": 0, "velocity": np.zeros_like(p)} if self.group["momentum"] else {}

    def update(self, i: int, p: np.ndarray, g: np.ndarray) -> None:
        """See the class."""
        group = self.group
        if momentum := group["momentum"]:
            state = self.state[i]
            v = state["velocity"]
            v *= momentum
            v += (1 - group["dampening"]) * g if group["dampening"] and state["step"] else g
            state["step"] += 1
            g = g + momentum * v if group["nesterov"] else v
        p -= group["lr"] * g


class Lion(Optimizer):
    """Steps of one size, by the sign of a mean of gradients (Chen et al., 2023, algorithm 2).

    p -= lr (sign(beta1 m + (1 - beta1) g) + weight_decay p), then m = beta2 m + (1 - beta2) g.

    Parameters
    ----------
    params : iterable
        What to train; see `Optimizer`.
    lr : float
        The learning rate: a third to a tenth of Adam's.
    betas : tuple of float
        The shares of m that are kept: in the step, and from step to step.
    weight_decay : float
        Decoupled: three to ten times AdamW's.
    maximize : bool
        Step up the gradient, and not down.
    """

    below_one = ("betas",)

    def __init__(
        self,
        params: Parameters,
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ):
        super().__init__(
            params,
            lr,
            betas=betas,
            weight_decay=weight_decay,
            maximize=maximize,
            decoupled_weight_decay=True,
        )

    def start(self, p: np.ndarray) -> dict[str, Any]:
        """m."""
        return {"mean": np.zeros_like(p)}

    def update(self, i: int, p: np.ndarray, g: np.ndarray) -> None:
        """See the class."""
        (beta1, beta2), m = self.group["betas"], self.state[i]["mean"]
        p -= self.group["lr"] * np.sign(beta1 * m + (1 - beta1) * g)
        m *= beta2
        m += (1 - beta2) * g


class Adagrad(Optimizer):
    """Steps divided by the size of all gradients so far (Duchi et al., 2011).

    s = s + g^2, and after step t p -= lr / (1 + (t - 1) lr_decay) g / (sqrt(s) + eps).

    Parameters
    ----------
    params : iterable
        What to train; see `Optimizer`.
    lr : float
        The learning rate.
    lr_decay : float
        How fast it falls.
    weight_decay : float
        Of the parameter, added to its gradient.
    initial_accumulator_value : float
        What s starts from.
    eps : float
        Keeps the division finite.
    maximize : bool
        Step up the gradient, and not down.
    """

    takes_rows = True

    def __init__(
        self,
        params: Parameters,
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
    ):
        super().__init__(
            params,
            lr,
            lr_decay=lr_decay,
            weight_decay=weight_decay,
            initial_accumulator_value=initial_accumulator_value,
            eps=eps,
            maximize=maximize,
        )

    def start(self, p: np.ndarray) -> dict[str, Any]:
        """t and s."""
        return {"step": 0, "sum": np.full_like(p, self.group["initial_accumulator_value"])}

    def update(self, i: int, p: np.ndarray, g: np.ndarray) -> None:
        """See the class."""
        group, state = self.group, self.state[i]
        s = state["sum"]
        s += g * g
        rate = group["lr"] / (1 + state["step"] * group["lr_decay"])
        state["step"] += 1
        p -= rate * g / (np.sqrt(s) + group["eps"])


class RMSprop(Optimizer):
    """Steps divided by the running size of the gradient (Tieleman and Hinton, 2012).

    s = alpha s + (1 - alpha) g^2, and p -= lr g / (sqrt(s) + eps).

    Parameters
    ----------
    params : iterable
        What to train; see `Optimizer`.
    lr : float
        The learning rate.
    alpha : float
        The share of s that is kept from step to step.
    eps : float
        Keeps the division finite.
    weight_decay : float
        Of the parameter, added to its gradient.
    momentum : float
        The share of the last step, without its learning rate, that is added to the next.
    centered : bool
        Divide by the running deviation, sqrt(s - m^2) with m the running mean (Graves, 2013, equations 38 to 41).
    maximize : bool
        Step up the gradient, and not down.
    """

    below_one = ("alpha",)

    def __init__(
        self,
        params: Parameters,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        *,
        maximize: bool = False,
    ):
        super().__init__(
            params,
            lr,
            alpha=alpha,
            eps=eps,
            weight_decay=weight_decay,
            momentum=momentum,
            centered=centered,
            maximize=maximize,
        )

    def start(self, p: np.ndarray) -> dict[str, Any]:
        """s, and what the settings ask for: m, and the last step."""
        asked = {"square": True, "mean": self.group["centered"], "velocity": self.group["momentum"]}
        return {name: np.zeros_like(p) for name, wanted in asked.items() if wanted}

    def update(self, i: int, p: np.ndarray, g: np.ndarray) -> None:
        """See the class."""
        group, state = self.group, self.state[i]
        alpha, s = group["alpha"], state["square"]
        s *= alpha
        s += (1 - alpha) * g * g
        if group["centered"]:
            m = state["mean"]
            m *= alpha
            m += (1 - alpha) * g
            s = np.maximum(s - m * m, 0)  # rounded it may fall below
        step = g / (np.sqrt(s) + group["eps"])
        if group["momentum"]:
            v = state["velocity"]
            v *= group["momentum"]
            v += step
            step = v
        p -= group["lr"] * step


class Adadelta(Optimizer):
    """Steps of the running size of former steps over that of gradients (Zeiler, 2012, algorithm 1).

    s = rho s + (1 - rho) g^2, d = sqrt(u + eps) / sqrt(s + eps) g, u = rho u + (1 - rho) d^2, and p -= lr d.

    Parameters
    ----------
    params : iterable
        What to train; see `Optimizer`.
    lr : float
        The learning rate; the paper has none.
    rho : float
        The shares of s and u that are kept from step to step.
    eps : float
        Makes the first step.
    weight_decay : float
        Of the parameter, added to its gradient.
    maximize : bool
        Step up the gradient, and not down.
    """

    below_one = ("rho",)

    def __init__(
        self,
        params: Parameters,
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ):
        super().__init__(params, lr, rho=rho, eps=eps, weight_decay=weight_decay, maximize=maximize)

    def start(self, p: np.ndarray) -> dict[str, Any]:
        """s and u."""
        return {"square": np.zeros_like(p), "squared_steps": np.zeros_like(p)}

    def update(self, i: int, p: np.ndarray, g: np.ndarray) -> None:
        """See the class."""
        group, state = self.group, self.state[i]
        rho, eps, s, u = group["rho"], group["eps"], state["square"], state["squared_steps"]
        s *= rho
        s += (1 - rho) * g * g
        d = np.sqrt((u + eps) / (s + eps)) * g
        u *= rho
        u += (1 - rho) * d * d
        p -= group["lr"] * d


class Rprop(Optimizer):
    """Steps by the sign alone, each number with a size of its own (Riedmiller and Braun, 1993).

    The size is multiplied by the larger eta where the sign is that of the last gradient, and by the smaller where
    it has turned; there no step is taken, and the gradient counts as 0 in the next.

    Parameters
    ----------
    params : iterable
        What to train; see `Optimizer`.
    lr : float
        The size of the first step.
    etas : tuple of float
        What makes a size smaller, and larger: below 1, and above.
    step_sizes : tuple of float
        The smallest and largest size.
    maximize : bool
        Step up the gradient, and not down.
    """

    def __init__(
        self,
        params: Parameters,
        lr: float = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50.0),
        *,
        maximize: bool = False,
    ):
        super().__init__(params, lr, etas=etas, step_sizes=step_sizes, maximize=maximize)

    def check_group(self, group: Mapping[str, Any]) -> None:
        """One factor makes smaller, the other larger."""
        (smaller, larger), (least, most) = group["etas"], group["step_sizes"]
        if not 0 < smaller < 1 < larger:
            raise ValueError(
                f"Rprop takes a factor from 0 to 1 and one above 1 for etas, not {group['etas']}"
            )
        if least > most:
            raise ValueError(
                f"Rprop takes the smallest and largest size for step_sizes, not {group['step_sizes']}"
            )

    def start(self, p: np.ndarray) -> dict[str, Any]:
        """The last gradient, and the sizes."""
        return {"last": np.zeros_like(p), "size": np.full_like(p, self.group["lr"])}

    def update(self, i: int, p: np.ndarray, g: np.ndarray) -> None:
        """See the class."""
        (smaller, larger), (least, most) = self.group["etas"], self.group["step_sizes"]
        last, size = self.state[i]["last"], self.state[i]["size"]
        agreement = np.sign(last) * np.sign(g)
        size[agreement > 0] *= larger
        size[agreement < 0] *= smaller
        np.clip(size, least, most, out=size)
        last[...] = np.where(agreement < 0, 0, g)
        p -= size * np.sign(last)


class ASGD(Optimizer):
    """SGD whose weights are averaged too (Polyak and Juditsky, 1992), with the rates of Bottou (2012).

    In step t p -= eta (g + lambd p), with eta = lr / (1 + lambd lr (t - 1))^alpha. The average is in
    ``state[i]["average"]``: of all steps from `t0` on, and before it the weights themselves.

    Parameters
    ----------
    params : iterable
        What to train; see `Optimizer`.
    lr : float
        The learning rate of the first step.
    lambd : float
        The decay of the weights, which is that of eta too.
    alpha : float
        How fast eta falls.
    t0 : float
        The step from which on weights are averaged.
    weight_decay : float
        Of the parameter, added to its gradient.
    maximize : bool
        Step up the gradient, and not down.
    """

    def __init__(
        self,
        params: Parameters,
        lr: float = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ):
        super().__init__(
            params, lr, lambd=lambd, alpha=alpha, t0=t0, weight_decay=weight_decay, maximize=maximize
        )

    def start(self, p: np.ndarray) -> dict[str, Any]:
        """t and the average."""
        return {"step": 0, "average": np.zeros_like(p)}

    def update(self, i: int, p: np.ndarray, g: np.ndarray) -> None:
        """See the class."""
        group, state = self.group, self.state[i]
        lr, lambd, before, average = group["lr"], group["lambd"], state["step"], state["average"]
        state["step"] += 1
        eta = lr / (1 + lambd * lr * before) ** group["alpha"]
        p *= 1 - lambd * eta
        p -= eta * g
        mu = 1 / max(1, before - group["t0"])
        average *= 1 - mu
        average += mu * p
