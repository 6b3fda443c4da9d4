"""Schedules: how the learning rate changes from step to step. Names, arguments and rates are PyTorch's.

    schedule = schedules.CosineAnnealingLR(optimizer, T_max=100)
    ...
    optimizer.step()
    schedule.step()

A schedule is a function of the number of its steps: the rate of a group that starts from `base`. If something else
has changed the rate since, another schedule or the user, then `base` is changed as much: so schedules are combined.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np

from tinygrad_np.optim.optimizer import Optimizer

__all__ = [
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]


class LRScheduler:
    """The base of all schedules: a subclass defines `rate`.

    Parameters
    ----------
    optimizer : Optimizer
        Whose groups' rates are set: at once, and at each step.
    last_epoch : int
        How many steps were taken before, less one: -1 at the start.

    Attributes
    ----------
    last_epoch : int
        How many steps were taken.
    base_lrs : list of float
        The rates of the groups before any schedule, which are kept in ``group["initial_lr"]``.
    """

    saved: ClassVar[tuple[str, ...]] = ("last_epoch", "base_lrs", "from_lrs")
    chains: ClassVar[bool] = True  # whether what else has changed a rate counts

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1):
        self.optimizer = optimizer
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", group["lr"])
        self.base_lrs: list[float] = [group["initial_lr"] for group in optimizer.param_groups]
        self.from_lrs = self._get_lrs() if self.chains and last_epoch < 0 else list(self.base_lrs)
        self.last_epoch = last_epoch + 1
        self.last_lrs = self._get_lrs()
        self.apply()

    def _get_lrs(self) -> list[float]:
        """The rates of the groups as they are now."""
        groups = self.optimizer.param_groups
        if len(groups) != len(self.base_lrs):
            raise ValueError(
                f"{type(self).__name__} was made for {len(self.base_lrs)} groups of parameters, and there are "
                f"{len(groups)} now; make a new one"
            )
        return [group["lr"] for group in groups]

    def rate(self, k: int, base: float, t: int) -> float:
        """The rate of group `k` after `t` steps, if it starts from `base`."""
        raise NotImplementedError(f"{type(self).__name__} defines no rate")

    def apply(self) -> None:
        """Set what it sets."""
        for k, (group, base) in enumerate(zip(self.optimizer.param_groups, self.from_lrs, strict=True)):
            group["lr"] = self.optimizer.checked("lr", self.rate(k, base, self.last_epoch))
        self.set_momentum(self.last_epoch)
        self.last_lrs = self._get_lrs()

    def set_momentum(self, t: int) -> None:
        """Set the momenta after `t` steps, if it changes them; see `OneCycleLR`."""

    def step(self) -> None:
        """Count a step, and set the rates: after each step of the optimizer, or each epoch."""
        for k, (now, last) in enumerate(zip(self._get_lrs(), self.last_lrs, strict=True)):
            if self.chains and now != last and last:
                self.from_lrs[k] *= now / last
        self.last_epoch += 1
        self.apply()

    def get_last_lr(self) -> list[float]:
        """The rate of each group that was set last."""
        return list(self.last_lrs)

    def state_dict(self) -> dict[str, Any]:
        """How far it is: numbers, and lists of them. Its arguments are not in it."""
        values = {name: getattr(self, name) for name in self.saved}
        return {name: list(value) if isinstance(value, list) else value for name, value in values.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state_dict`, and set the rates.

        Raises
        ------
        ValueError
            It is of another kind of schedule, or of another number of groups: what does not fit is listed, and
            nothing is loaded.
        """
        problems = [f"missing {name}" for name in self.saved if name not in state]
        problems += [f"unexpected {name}" for name in state if name not in self.saved]
        for name in self.saved:
            shape, wanted = np.shape(state.get(name, 0)), np.shape(getattr(self, name))
            if name in state and shape != wanted:
                problems.append(f"{name} is {shape} and should be {wanted}")
        if problems:
            raise ValueError(f"the state does not fit {type(self).__name__}: {'; '.join(problems)}")
        for name in self.saved:
            setattr(self, name, np.asarray(state[name]).tolist())
        self.apply()

    def _of_groups(self, name: str, value: Any) -> list[Any]:
        """An argument of which each group may have its own: a list, or one for all."""
        count = len(self.optimizer.param_groups)
        values = list(value) if isinstance(value, list | tuple) else [value] * count
        if len(values) != count:
            raise ValueError(
                f"{type(self).__name__} takes one {name}, or one for each of the {count} groups, not {len(values)}"
            )
        return values


class LambdaLR(LRScheduler):
    """The rate times a function of the number of steps, or one function for each group."""

    chains = False

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
        last_epoch: int = -1,
    ):
        self.optimizer = optimizer
        self.lr_lambdas: list[Callable[[int], float]] = self._of_groups("lr_lambda", lr_lambda)
        super().__init__(optimizer, last_epoch)

    def rate(self, k: int, base: float, t: int) -> float:
        """See the class."""
        return base * self.lr_lambdas[k](t)


class StepLR(LRScheduler):
    """The rate times `gamma` after every `step_size` steps."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1):
        if not step_size >= 1:
            raise ValueError(f"StepLR takes a step_size from 1, not {step_size!r}")
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch)

    def rate(self, k: int, base: float, t: int) -> float:
        """See the class."""
        return base * self.gamma ** (t // self.step_size)


class MultiStepLR(LRScheduler):
    """The rate times `gamma` at each of the milestones."""

    def __init__(
        self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1, last_epoch: int = -1
    ):
        self.milestones, self.gamma = list(milestones), gamma
        super().__init__(optimizer, last_epoch)

    def rate(self, k: int, base: float, t: int) -> float:
        """See the class."""
        return base * self.gamma ** sum(milestone <= t for milestone in self.milestones)


class ExponentialLR(LRScheduler):
    """The rate times `gamma` at every step."""

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1):
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def rate(self, k: int, base: float, t: int) -> float:
        """See the class."""
        return base * self.gamma**t


class ConstantLR(LRScheduler):
    """The rate times `factor` for `total_iters` steps."""

    def __init__(
        self, optimizer: Optimizer, factor: float = 1 / 3, total_iters: int = 5, last_epoch: int = -1
    ):
        self.factor, self.total_iters = factor, total_iters
        super().__init__(optimizer, last_epoch)

    def rate(self, k: int, base: float, t: int) -> float:
        """See the class."""
        return base * (self.factor if t < self.total_iters else 1)


class LinearLR(LRScheduler):
    """The rate times a factor that goes from `start_factor` to `end_factor` in `total_iters` steps: a warm-up."""

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ):
        self.start_factor, self.end_factor, self.total_iters = start_factor, end_factor, total_iters
        super().__init__(optimizer, last_epoch)

    def rate(self, k: int, base: float, t: int) -> float:
        """See the class."""
        share = t / self.total_iters if t < self.total_iters else 1
        return base * (self.start_factor + (self.end_factor - self.start_factor) * share)


class PolynomialLR(LRScheduler):
    """The rate times (1 - t / total_iters)^power: in `total_iters` steps it is 0."""

    def __init__(self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1):
        self.total_iters, self.power = total_iters, power
        super().__init__(optimizer, last_epoch)

    def rate(self, k: int, base: float, t: int) -> float:
        """See the class."""
        return base * (1 - t / self.total_iters) ** self.power if t < self.total_iters else 0.0


class CosineAnnealingLR(LRScheduler):
    """Half of a cosine from the rate to `eta_min` in `T_max` steps, and back (Loshchilov and Hutter, 2017)."""

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1):
        if not T_max > 0:
            raise ValueError(f"CosineAnnealingLR takes a T_max above 0, not {T_max!r}")
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer, last_epoch)

    def rate(self, k: int, base: float, t: int) -> float:
        """See the class."""
        return self.eta_min + (base - self.eta_min) * (1 + math.cos(math.pi * t / self.T_max)) / 2


class CosineAnnealingWarmRestarts(LRScheduler):
    """Half of a cosine again and again, each `T_mult` times longer, from `T_0` (Loshchilov and Hutter, 2017)."""

    chains = False

    def __init__(
        self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0, last_epoch: int = -1
    ):
        if not (T_0 > 0 and T_mult >= 1):
            raise ValueError(
                f"CosineAnnealingWarmRestarts takes a T_0 above 0 and a T_mult from 1, not {T_0!r} and {T_mult!r}"
            )
        self.T_0, self.T_mult, self.eta_min = T_0, T_mult, eta_min
        super().__init__(optimizer, last_epoch)

    def rate(self, k: int, base: float, t: float) -> float:
        """See the class."""
        length = self.T_0
        if self.T_mult == 1:
            t = t % length
        while t >= length:
            t -= length
            length *= self.T_mult
        return self.eta_min + (base - self.eta_min) * (1 + math.cos(math.pi * t / length)) / 2

    def step(self, epoch: float | None = None) -> None:
        """Count a step, or set their number: of epochs, with batches as fractions."""
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch  # type: ignore[assignment]
        self.apply()


class OneCycleLR(LRScheduler):
    """Up to `max_lr` and down again, far below where it began (Smith and Topin, 2019), with momentum the other way.

    Parameters
    ----------
    optimizer : Optimizer
        With a setting ``momentum`` or ``betas`` unless `cycle_momentum` is False.
    max_lr, base_momentum, max_momentum : float or list of float
        The largest rate; the smallest and largest momentum; one for each group, or one for all.
    total_steps : int, optional
        Of the cycle; `epochs` times `steps_per_epoch` unless given.
    pct_start : float
        The share of steps on the way up.
    anneal_strategy : {"cos", "linear"}
        The shape of the ways.
    div_factor, final_div_factor : float
        The rate starts from max_lr / div_factor, and ends at that / final_div_factor.
    three_phase : bool
        Down to where it began as fast as up, and then to the end.
    """

    chains = False

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: Literal["cos", "linear"] = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ):
        if total_steps is None:
            if not (epochs and steps_per_epoch):
                raise ValueError("OneCycleLR takes total_steps, or epochs and steps_per_epoch")
            total_steps = epochs * steps_per_epoch
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                f"OneCycleLR takes 'cos' or 'linear' for anneal_strategy, not {anneal_strategy!r}"
            )
        self.optimizer, self.total_steps, self.anneal_strategy = optimizer, total_steps, anneal_strategy
        self.momentum = next((name for name in ("betas", "momentum") if name in optimizer.defaults), "")
        if cycle_momentum and not self.momentum:
            raise ValueError(
                f"OneCycleLR cycles momentum or betas, and {type(optimizer).__name__} has neither; give it "
                "cycle_momentum=False"
            )
        self.cycle_momentum = cycle_momentum
        peaks, lows, highs = (
            self._of_groups(name, value)
            for name, value in (
                ("max_lr", max_lr),
                ("base_momentum", base_momentum),
                ("max_momentum", max_momentum),
            )
        )
        starts = [peak / div_factor for peak in peaks]
        ends = [start / final_div_factor for start in starts]
        top = pct_start * total_steps - 1  # the step at which the rate is largest
        back = [2 * top] if three_phase else []  # the step at which it is down again
        self.turns = [0, top, *back, total_steps - 1]  # between two of them it goes one way
        self.lrs = [
            [start, peak, *[start] * three_phase, end]
            for start, peak, end in zip(starts, peaks, ends, strict=True)
        ]
        self.momenta = [
            [high, low, *[high] * three_phase, high] for low, high in zip(lows, highs, strict=True)
        ]
        super().__init__(optimizer, last_epoch)

    def _between(self, values: list[float], t: int) -> float:
        """Where it is at step `t` on its way through these values."""
        if t > self.total_steps:
            raise ValueError(f"OneCycleLR has {self.total_steps} steps, and this is number {t}")
        t = min(
            t, self.total_steps - 1
        )  # one step more than there are rates, as the last is followed by a step
        phase = next(i for i, turn in enumerate(self.turns[1:]) if t <= turn)
        (first, last), (a, b) = self.turns[phase : phase + 2], values[phase : phase + 2]
        share = (t - first) / (last - first) if last > first else 1.0
        if self.anneal_strategy == "linear":
            return a + (b - a) * share
        return b + (a - b) * (1 + math.cos(math.pi * share)) / 2

    def rate(self, k: int, base: float, t: int) -> float:
        """See the class."""
        return self._between(self.lrs[k], t)

    def set_momentum(self, t: int) -> None:
        """See the class."""
        for group, momenta in zip(self.optimizer.param_groups, self.momenta, strict=True):
            if self.cycle_momentum:
                momentum = self._between(momenta, t)
                is_pair = self.momentum == "betas"
                group[self.momentum] = (momentum, group["betas"][1]) if is_pair else momentum


class ReduceLROnPlateau(LRScheduler):
    """The rate times `factor` when a metric has not become better for more than `patience` steps.

    Parameters
    ----------
    optimizer : Optimizer
        Whose groups' rates are set.
    mode : {"min", "max"}
        Whether better is smaller, or larger.
    factor : float
        Below 1.
    patience : int
        How many steps without a better metric are let pass.
    threshold : float
        By how much a metric is better: as a share of the best, or for `threshold_mode` "abs" as it is.
    cooldown : int
        How many steps after a reduction are not counted.
    min_lr : float or list of float
        The smallest rate; one for each group, or one for all.
    eps : float
        A smaller change is not made.
    """

    saved = ("last_epoch", "best", "num_bad_epochs", "cooldown_counter", "last_lrs")

    def __init__(
        self,
        optimizer: Optimizer,
        mode: Literal["min", "max"] = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: Literal["rel", "abs"] = "rel",
        cooldown: int = 0,
        min_lr: float | list[float] = 0,
        eps: float = 1e-8,
    ):
        if not factor < 1:
            raise ValueError(f"ReduceLROnPlateau takes a factor below 1, not {factor!r}")
        if mode not in ("min", "max") or threshold_mode not in ("rel", "abs"):
            raise ValueError(
                "ReduceLROnPlateau takes 'min' or 'max' for mode and 'rel' or 'abs' for threshold_mode, not "
                f"{mode!r} and {threshold_mode!r}"
            )
        self.mode, self.factor, self.patience, self.eps = mode, factor, patience, eps
        self.threshold, self.threshold_mode, self.cooldown = threshold, threshold_mode, cooldown
        self.optimizer = optimizer
        self.min_lrs = self._of_groups("min_lr", min_lr)
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = self.cooldown_counter = 0
        super().__init__(optimizer)

    def apply(self) -> None:
        """Set the rates to the last ones."""
        for group, lr in zip(self.optimizer.param_groups, self.last_lrs, strict=True):
            group["lr"] = lr

    def _is_better(self, metric: float) -> bool:
        """Whether a metric is better than the best by more than the threshold."""
        sign = 1 if self.mode == "max" else -1
        if self.threshold_mode == "abs":
            return sign * metric > sign * self.best + self.threshold
        return sign * metric > sign * self.best * (1 + sign * self.threshold)

    def step(self, metrics: Any) -> None:  # type: ignore[override]
        """Look at a metric, and reduce the rates if its time has come."""
        metric = float(metrics.item() if hasattr(metrics, "item") else metrics)
        self.last_epoch += 1
        if self._is_better(metric):
            self.best, self.num_bad_epochs = metric, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            for group, least in zip(self.optimizer.param_groups, self.min_lrs, strict=True):
                lr = max(group["lr"] * self.factor, least)
                if group["lr"] - lr > self.eps:
                    group["lr"] = lr
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
        self.last_lrs = self._get_lrs()


class Combined(LRScheduler):
    """The base of schedules of schedules: functions of theirs, from the rates before any schedule."""

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None):
        kind, self.schedulers = type(self).__name__, list(schedulers)
        if not self.schedulers:
            raise ValueError(f"{kind} got no schedules")
        optimizer = self.schedulers[0].optimizer if optimizer is None else optimizer
        for schedule in self.schedulers:
            if isinstance(schedule, ReduceLROnPlateau):
                raise TypeError(f"{kind} takes no ReduceLROnPlateau, which asks for a metric at each step")
            if schedule.optimizer is not optimizer:
                raise ValueError(f"{kind} takes schedules of one optimizer, and these have several")
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"]  # which the schedules have set while they were made
        super().__init__(optimizer)


class ChainedScheduler(Combined):
    """Several schedules at once: each makes its rate of that of the one before it."""

    def rate(self, k: int, base: float, t: int) -> float:
        """See the class."""
        for schedule in self.schedulers:
            base = schedule.rate(k, base, t)
        return base

    def set_momentum(self, t: int) -> None:
        """As each sets it."""
        for schedule in self.schedulers:
            schedule.set_momentum(t)


class SequentialLR(Combined):
    """One schedule after another: at each milestone the next one starts."""

    def __init__(self, optimizer: Optimizer, schedulers: Sequence[LRScheduler], milestones: Sequence[int]):
        if len(milestones) != len(schedulers) - 1:
            raise ValueError(
                f"SequentialLR takes a milestone between two schedules, and got {len(milestones)} for "
                f"{len(schedulers)}"
            )
        self.starts = [0, *milestones]
        super().__init__(schedulers, optimizer)

    def _active(self, t: int) -> tuple[LRScheduler, int]:
        """The schedule whose turn it is, and how many steps it has taken."""
        k = sum(start <= t for start in self.starts[1:])
        return self.schedulers[k], t - self.starts[k]

    def rate(self, k: int, base: float, t: int) -> float:
        """See the class."""
        schedule, since = self._active(t)
        return schedule.rate(k, base, since)

    def set_momentum(self, t: int) -> None:
        """As the one whose turn it is sets it."""
        schedule, since = self._active(t)
        schedule.set_momentum(since)
