"""What a training has come to: callbacks see it, `fit` returns it, and a checkpoint is all of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tinygrad_np.data import Batches
from tinygrad_np.nn import Layer
from tinygrad_np.optim import ExponentialMovingAverage, Optimizer
from tinygrad_np.optim.schedules import LRScheduler
from tinygrad_np.tensor import Tensor
from tinygrad_np.training.evaluation import Loss, Metrics
from tinygrad_np.training.sharing import generators_of


class Training:
    """A training, as it is now.

    Attributes
    ----------
    model : Layer
        In a callback, and at the end, with the averages of its weights if there are any.
    optimizer : Optimizer
        What trains it.
    schedule : LRScheduler or None
        Of its rates.
    average : ExponentialMovingAverage or None
        Of the weights.
    epoch : int
        The number of the epoch, from 1.
    step : int
        How many steps of the optimizer were taken.
    history : list of dict
        A row an epoch: ``"epoch"``, ``"step"``, ``"seconds"`` of training, ``"lr"`` of the first group, and what
        was measured: ``"train_loss"``, ``"validation_loss"``, ``"validation_accuracy"``, ...
    best_epoch : int
        The number of the epoch that was best by `monitor` until now; without validation the last one.
    is_best : bool
        Whether that is the last one.
    stop : bool
        Set it to end the training after this epoch.
    """

    def __init__(
        self,
        model: Layer,
        loss: Loss,
        optimizer: Optimizer,
        train: Batches,
        others: Mapping[str, Batches],
        metrics: Metrics,
        schedule: LRScheduler | None,
        average: ExponentialMovingAverage | None,
    ):
        self.model, self.loss, self.optimizer, self.metrics = model, loss, optimizer, metrics
        self.schedule, self.average = schedule, average
        self.data = {"train": train, **others}
        self.layers = {"model": model} | ({"loss": loss} if isinstance(loss, Layer) else {})
        self.params = self._named_params()
        self.epoch = self.step = self.best_epoch = 0
        self.history: list[dict[str, Any]] = []
        self.stop = False
        self.in_epoch = False  # it has begun, and has no row yet
        self.evaluates = False  # its steps are done
        self.sums = np.zeros(2 + len(metrics))  # of this epoch: rows, loss and metrics times rows
        self.seconds = 0.0  # of this epoch
        self.lr = 0.0  # of the last step
        self.best_weights: dict[str, np.ndarray] = {}  # if they are to be restored

    @property
    def is_best(self) -> bool:
        """See the class."""
        return self.epoch == self.best_epoch

    def begin_epoch(self) -> None:
        """A new epoch, in which nothing was measured yet."""
        self.in_epoch = True
        self.epoch += 1
        self.seconds = 0.0
        self.sums[:] = 0

    def note(self, row: dict[str, Any], monitor: str, sign: int, keep: bool) -> None:
        """Add a row to the history. Is it the best, as `sign` times what is monitored is the smallest?"""
        known = monitor and [past[monitor] for past in self.history[self.best_epoch - 1 : self.best_epoch]]
        self.history.append(row)
        if not known or np.isnan(known[0]) or sign * row[monitor] < sign * known[0]:
            self.best_epoch = self.epoch
            if keep:
                self.best_weights = self.model.state_dict()

    def means(self) -> dict[str, float]:
        """The means of loss and metrics over this epoch until now."""
        return dict(zip(["loss", *self.metrics], (self.sums[1:] / self.sums[0]).tolist(), strict=True))

    def state_dict(self) -> dict[str, Any]:
        """All that decides how it goes on: numbers, arrays, and dicts and lists of them."""
        return {
            "epoch": self.epoch,
            "step": self.step,
            "history": [dict(row) for row in self.history],
            "best_epoch": self.best_epoch,
            "stop": self.stop,
            "in_epoch": self.in_epoch,
            "evaluates": self.evaluates,
            "sums": self.sums.copy(),
            "seconds": self.seconds,
            "lr": self.lr,
            "best_weights": self.best_weights,
            "layers": {name: layer.state_dict() for name, layer in self.layers.items()},
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule and self.schedule.state_dict(),
            "average": self.average and self.average.state_dict(),
            "data": {name: data.state_dict() for name, data in self.data.items()},
            "generators": self._generator_states(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state_dict`, as if there had been no interruption.

        Raises
        ------
        ValueError
            It is of another training: what does not fit is said.
        """
        for name, part in (("schedule", self.schedule), ("average", self.average)):
            if (part is None) != (state[name] is None):
                has, own = ("none", "one") if state[name] is None else ("one", "none")
                raise ValueError(f"the checkpoint has {has} for {name}, and this training {own}")
        if state["data"].keys() != self.data.keys() or len(state["sums"]) != len(self.sums):
            raise ValueError(
                "the checkpoint was measured on other data, or by other metrics, than this training"
            )
        there, here = (
            [own["bit_generator"] for own in states]
            for states in (state["generators"], self._generator_states())
        )
        if there != here:
            raise ValueError(f"the checkpoint has the random generators {there}, and this training {here}")
        for name, layer in self.layers.items():
            layer.load_state_dict(state["layers"][name])
        for name, data in self.data.items():
            data.load_state_dict(state["data"][name])
        if self.schedule is not None:
            self.schedule.load_state_dict(state["schedule"])
        self.optimizer.load_state_dict(state["optimizer"])  # after the schedule, which has set rates
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        for rng, own in zip(self.generators(), state["generators"], strict=True):
            rng.bit_generator.state = own
        for name in ("epoch", "step", "best_epoch", "stop", "in_epoch", "evaluates", "seconds", "lr"):
            setattr(self, name, state[name])
        self.history = [dict(row) for row in state["history"]]
        self.sums = np.array(state["sums"])
        self.best_weights = dict(state["best_weights"])

    def _generator_states(self) -> list[dict[str, Any]]:
        return [dict(rng.bit_generator.state) for rng in self.generators()]

    def generators(self) -> list[np.random.Generator]:
        """The random generators of all layers, and of the data; one that several share is there once."""
        found = {id(rng.bit_generator): rng for owner in self.owners() for _, _, rng in generators_of(owner)}
        return list(found.values())

    def owners(self) -> list[Any]:
        """What may draw random numbers in a step: layers, and the sources of data."""
        layers = [layer for whole in self.layers.values() for layer in whole.modules()]
        return [*layers, *[data.source for data in self.data.values()]]

    def _named_params(self) -> dict[str, Tensor]:
        """What the optimizer trains, by name.

        Raises
        ------
        ValueError
            Something is in neither the model nor the loss: a checkpoint would lose it.
        """
        names = {id(p): name for name, p in self.model.named_tensors()}
        if "loss" in self.layers:
            names |= {id(p): f"loss.{name}" for name, p in self.layers["loss"].named_tensors()}
        for i, p in enumerate(self.optimizer.params):
            if id(p) not in names:
                raise ValueError(
                    f"parameter {i} of the optimizer, of shape {p.shape}, is neither in the model nor in the loss, "
                    "which is a Layer if it is to be trained"
                )
        return {names[id(p)]: p for p in self.optimizer.params}
