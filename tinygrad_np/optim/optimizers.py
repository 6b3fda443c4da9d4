"""Optimizers, in order of increasing complexity: SGD, RMSprop, Adam, AdamW.

Each writes the arrays of its parameters in place. A parameter whose gradient is None is left alone. Names and
update rules are PyTorch's, and so are the arguments that there are.
"""

from __future__ import annotations

import inspect
import math
import numbers
from collections.abc import Iterable
from typing import Any

import numpy as np

from tinygrad_np.errors import describe_argument
from tinygrad_np.tensor import Tensor


class Optimizer:
    """The base of all optimizers: it holds the parameters, and calls `update` for each that has a gradient.

    Parameters
    ----------
    params : iterable of Tensor
        What to train: ``layer.parameters()``.
    lr : float
        The learning rate. May be set between steps.
    """

    def __init__(self, params: Iterable[Tensor], lr: float):
        self.params = list(params)
        if not self.params:
            raise ValueError(f"{type(self).__name__} got no parameters to train")
        for i, p in enumerate(self.params):
            if not isinstance(p, Tensor):
                raise TypeError(f"{type(self).__name__} takes Tensors, such as layer.parameters(), not {p!r}")
            if not p.is_leaf:
                raise ValueError(
                    f"{type(self).__name__} got parameter {i}, of shape {p.shape}, that is the result of an "
                    "operation; make it a Tensor of its own with requires_grad=True"
                )
            if not p.requires_grad:
                raise ValueError(
                    f"{type(self).__name__} got parameter {i}, of shape {p.shape}, that is frozen"
                )
            if any(p is earlier for earlier in self.params[:i]):
                raise ValueError(f"{type(self).__name__} got parameter {i}, of shape {p.shape}, twice")
        self.kinds = [(p.data.shape, p.data.dtype) for p in self.params]
        self.lr = self._nonnegative("lr", lr)

    def _nonnegative(self, name: str, value: Any, below: float = math.inf) -> Any:
        """A setting, if it is a finite number from 0, and below a bound."""
        if not (isinstance(value, numbers.Real) and 0 <= float(value) < below):
            bound = "" if below == math.inf else f" and below {below:g}"
            raise ValueError(
                f"{type(self).__name__} takes a finite number from 0{bound} for {name}, not {value!r}"
            )
        return value

    def extra_repr(self) -> str:
        """The settings that ``repr`` shows: what the constructor takes, as it is now."""
        names = [name for name in inspect.signature(type(self)).parameters if name != "params"]
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in names if hasattr(self, name))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.extra_repr()})"

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters; with `set_to_none` False, fill them with zeros instead."""
        for p in self.params:
            if p.grad is None:  # of a frozen one too
                continue
            if set_to_none:
                p.grad = None
            else:
                p.grad.fill(0)

    def step(self) -> None:
        """Update every parameter once.

        Raises
        ------
        ValueError
            A gradient is of another shape or dtype than its parameter, whose ``data`` was replaced.
        """
        for i, p in enumerate(self.params):
            if p.grad is not None:
                kinds = [(getattr(a, "shape", None), getattr(a, "dtype", None)) for a in (p.data, p.grad)]
                if kinds != [self.kinds[i]] * 2:
                    shape, dtype = self.kinds[i]
                    raise ValueError(
                        f"{type(self).__name__}: parameter {i} was {dtype}{list(shape)}, and is now "
                        f"{describe_argument(p.data)} with a gradient {describe_argument(p.grad)}: its data was "
                        "replaced by another kind of array; make a new Tensor of it, and a new optimizer"
                    )
                self.update(i, p.data, p.grad)

    def update(self, i: int, p: np.ndarray, g: np.ndarray) -> None:
        """Update `p`, the array of parameter number `i`, in place, by its gradient `g`, left as it is."""
        raise NotImplementedError(f"{type(self).__name__} defines no update")

    def zeros(self) -> list[np.ndarray]:
        """An array of zeros for each parameter: the start of a running average."""
        return [np.zeros_like(p.data) for p in self.params]


class SGD(Optimizer):
    """Stochastic gradient descent: p -= lr v, with v = momentum v + g, and weight_decay p added to g.

    Parameters
    ----------
    params : iterable of Tensor
        What to train: ``layer.parameters()``.
    lr : float
        The learning rate.
    momentum : float
        The share of v that is kept from step to step.
    weight_decay : float
        By keyword only: PyTorch has another argument in its place.
    """

    def __init__(
        self, params: Iterable[Tensor], lr: float = 1e-3, momentum: float = 0.0, *, weight_decay: float = 0.0
    ):
        super().__init__(params, lr)
        self.momentum = self._nonnegative("momentum", momentum)
        self.weight_decay = self._nonnegative("weight_decay", weight_decay)
        self.velocity = self.zeros()

    def update(self, i: int, p: np.ndarray, g: np.ndarray) -> None:
        """See the class."""
        if self.weight_decay:
            g = g + self.weight_decay * p
        if self.momentum:
            v = self.velocity[i]
            v *= self.momentum
            v += g
            g = v
        p -= self.lr * g


class RMSprop(Optimizer):
    """Steps divided by the running size of the gradient (Tieleman and Hinton, 2012).

    s = alpha s + (1 - alpha) g^2, and p -= lr g / (sqrt(s) + eps).

    Parameters
    ----------
    params : iterable of Tensor
        What to train: ``layer.parameters()``.
    lr : float
        The learning rate.
    alpha : float
        The share of s that is kept from step to step.
    eps : float
        Keeps the division finite.
    """

    def __init__(self, params: Iterable[Tensor], lr: float = 1e-2, alpha: float = 0.99, eps: float = 1e-8):
        super().__init__(params, lr)
        self.alpha = self._nonnegative("alpha", alpha, below=1)
        self.eps = self._nonnegative("eps", eps)
        self.squares = self.zeros()

    def update(self, i: int, p: np.ndarray, g: np.ndarray) -> None:
        """See the class."""
        s = self.squares[i]
        s *= self.alpha
        s += (1 - self.alpha) * g * g
        p -= self.lr * g / (np.sqrt(s) + self.eps)


class Adam(Optimizer):
    """Adam (Kingma and Ba, 2015, algorithm 1), with weight_decay p added to the gradient.

    m = beta1 m + (1 - beta1) g, s = beta2 s + (1 - beta2) g^2, and after step t
    p -= lr m / (1 - beta1^t) / (sqrt(s / (1 - beta2^t)) + eps).

    Parameters
    ----------
    params : iterable of Tensor
        What to train: ``layer.parameters()``.
    lr : float
        The learning rate.
    betas : tuple of float
        The shares of m and s that are kept from step to step, each from 0 to below 1.
    eps : float
        Keeps the division finite.
    weight_decay : float
        Of the parameter, added to its gradient.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ):
        super().__init__(params, lr)
        if not (isinstance(betas, tuple | list) and len(betas) == 2):
            raise ValueError(f"{type(self).__name__} takes a pair of numbers for betas, not {betas!r}")
        beta1, beta2 = (self._nonnegative("betas", beta, below=1) for beta in betas)
        self.betas = beta1, beta2
        self.eps = self._nonnegative("eps", eps)
        self.weight_decay = self._nonnegative("weight_decay", weight_decay)
        self.means = self.zeros()
        self.squares = self.zeros()
        self.steps = [0] * len(self.params)  # each its own, so that one that joins late starts from 1

    def decayed(self, p: np.ndarray, g: np.ndarray) -> np.ndarray:
        """The gradient with weight decay."""
        return g + self.weight_decay * p if self.weight_decay else g

    def update(self, i: int, p: np.ndarray, g: np.ndarray) -> None:
        """See the class."""
        g = self.decayed(p, g)
        (beta1, beta2), m, s = self.betas, self.means[i], self.squares[i]
        self.steps[i] += 1
        m *= beta1
        m += (1 - beta1) * g
        s *= beta2
        s += (1 - beta2) * g * g
        rate = self.lr / (1 - beta1 ** self.steps[i])
        p -= rate * m / (np.sqrt(s / (1 - beta2 ** self.steps[i])) + self.eps)


class AdamW(Adam):
    """Adam with its weight decay apart: p -= lr weight_decay p first (Loshchilov and Hutter, 2019).

    Parameters are those of `Adam`, with another default.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ):
        super().__init__(params, lr, betas, eps, weight_decay)

    def decayed(self, p: np.ndarray, g: np.ndarray) -> np.ndarray:
        """The gradient as it is, after the weight has decayed by itself."""
        p *= 1 - self.lr * self.weight_decay
        return g
