"""The loop of epochs and steps: train, validate, keep, and be interrupted without losing anything."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

import numpy as np

from tinygrad_np.data import Batches
from tinygrad_np.grad_mode import no_grad
from tinygrad_np.nn import Layer
from tinygrad_np.nn.layer import check_sizes
from tinygrad_np.optim import Adam, ExponentialMovingAverage, Optimizer, clip_grad_norm
from tinygrad_np.optim.schedules import LRScheduler, ReduceLROnPlateau
from tinygrad_np.parallel import Workers
from tinygrad_np.training.checkpoints import Checkpoints
from tinygrad_np.training.evaluation import Loss, Metrics, check_batch, evaluate, loss_value, measured
from tinygrad_np.training.interrupt import Interrupted, Interruptible
from tinygrad_np.training.progress import Progress, epoch_line
from tinygrad_np.training.sharing import check_alike, sharded_generators, share, start_team, sum_gradients
from tinygrad_np.training.training import Training


def fit(
    model: Layer,
    loss: Loss,
    train: Batches,
    validation: Batches | Mapping[str, Batches] | None = None,
    optimizer: Optimizer | None = None,
    *,
    epochs: int | None = None,
    steps: int | None = None,
    metrics: Metrics | None = None,
    max_norm: float | None = None,
    schedule: LRScheduler | None = None,
    schedule_every: Literal["step", "epoch"] = "step",
    accumulate: int = 1,
    average: ExponentialMovingAverage | None = None,
    patience: int | None = None,
    monitor: str = "validation_loss",
    mode: Literal["min", "max"] | None = None,
    callbacks: Sequence[Callable[[Training], Any]] = (),
    progress: bool = True,
    team: Workers | None = None,
    checkpoints: Checkpoints | None = None,
    resume: bool | int = False,
) -> Training:
    """Train a model, and say what it has come to.

    Parameters
    ----------
    model : Layer
        Called with the inputs of a batch.
    loss : callable
        ``loss(outputs, targets)``: one Tensor, the mean over the rows of the batch.
    train : Batches
        Each batch is a tuple: one input or more, and last the targets.
    validation : Batches, or dict of str to Batches, optional
        What the model is evaluated on after each epoch; several by their names, such as ``{"validation": ...,
        "test": ...}``.
    optimizer : Optimizer, optional
        ``Adam(model.parameters())`` unless given.
    epochs, steps : int
        One of them: how often all rows are seen, or how many steps the optimizer takes.
    metrics : dict of str to callable, optional
        ``metric(outputs, targets)``: a number, the mean over the rows of the batch.
    max_norm : float, optional
        The largest joint norm of all gradients; see `optim.clip_grad_norm`.
    schedule : LRScheduler, optional
        Stepped after each step of the optimizer, or after each epoch, as `schedule_every` says; a ReduceLROnPlateau
        after each epoch, with what is monitored.
    accumulate : int
        How many batches make one step: their gradients are those of one batch of all their rows.
    average : ExponentialMovingAverage, optional
        Updated after each step. The model has the averages while it is evaluated, and at the end.
    patience : int, optional
        Stop when so many epochs in a row were no better than the best, and in any case give the model the weights
        of the best epoch at the end.
    monitor : str
        The column of the history that says which epoch is the best. Where there is no ``validation``, the last one
        counts as the best.
    mode : {"min", "max"}, optional
        Whether better is smaller, or larger. It need not be said of a loss or an accuracy.
    callbacks : sequence of callable
        Called with the `Training` after each epoch. It has been evaluated, and the model has its averages.
    progress : bool
        Whether to show how it goes: a bar on a terminal, lines in a file.
    team : Workers, optional
        Who share the work; `fit` starts them. The first one alone prints, writes and calls back.
    checkpoints : Checkpoints, optional
        Where all that is needed to go on is kept, after each epoch and as often as it says.
    resume : bool or int
        Go on from the newest checkpoint, if there is one; or from that of a step. The end is the same to the bit as
        without the interruption.

    Returns
    -------
    Training
        With its ``history``.

    Raises
    ------
    ValueError
        The loss became infinite or NaN: the weights are those before that step. Or arguments that do not fit.
    KeyboardInterrupt
        Ctrl-C or SIGTERM: the step was finished, and a checkpoint written.
    WorkerLost
        Another worker died or failed.
    """
    optimizer = Adam(model.parameters()) if optimizer is None else optimizer
    team, metrics = team or Workers(), metrics or {}
    if not isinstance(validation, Mapping):
        validation = {} if validation is None else {"validation": validation}
    if "train" in validation:
        raise ValueError("fit calls the data that it trains on train: give those to validate on another name")
    check_data({"train": train, **validation})
    counts = {"epochs": epochs, "steps": steps, "accumulate": accumulate, "patience": patience}
    check_sizes("fit", 1, **{name: count for name, count in counts.items() if count is not None})
    if (epochs is None) == (steps is None):
        raise TypeError("fit takes epochs or steps, and one of them only")
    if steps is None:
        steps = (epochs or 0) * math.ceil(len(train) / accumulate)
    if schedule_every not in ("step", "epoch"):
        raise ValueError(f"fit takes 'step' or 'epoch' for schedule_every, not {schedule_every!r}")
    if resume is not False and checkpoints is None:
        raise TypeError("fit resumes from checkpoints, and got none")
    training = Training(model, loss, optimizer, train, validation, metrics, schedule, average)
    loop = Loop(
        training,
        steps=steps,
        accumulate=accumulate,
        max_norm=max_norm,
        steps_schedule=schedule_every == "step" and not isinstance(schedule, ReduceLROnPlateau),
        patience=patience,
        monitor=monitored(monitor, training, required=patience is not None),
        sign=direction(monitor, mode),
        callbacks=callbacks,
        team=team,
        checkpoints=checkpoints,
    )
    with nullcontext() if checkpoints is None else closing(checkpoints):
        if checkpoints is not None and (state := resumed(checkpoints, resume, team)):
            training.load_state_dict(state)
        with loop.running(progress):
            while loop.goes_on():
                if not training.evaluates:
                    loop.train_epoch()
                loop.finish_epoch()
            loop.keep()
    return training


@dataclass
class Loop:
    """What `fit` was asked for, and its parts. Every worker runs it, and comes to the same."""

    training: Training
    steps: int  # of the whole training
    accumulate: int
    max_norm: float | None
    steps_schedule: bool  # after each step, and not after each epoch
    patience: int | None
    monitor: str  # a column of the history; without one the last epoch is the best
    sign: int  # times what is monitored: to be small
    callbacks: Sequence[Callable[[Training], Any]]
    team: Workers
    checkpoints: Checkpoints | None
    checked: bool = False  # whether the workers were seen to be alike

    @contextmanager
    def running(self, progress: bool) -> Iterator[None]:
        """The workers run, the progress is shown, and Ctrl-C waits for the end of a step."""
        training = self.training
        start_team(self.team, training.model, training.optimizer)
        self.progress = Progress(self.steps, training.step, progress and self.team.rank == 0)
        with (
            sharded_generators(training.owners(), self.team) as self.generators,
            Interruptible(self.progress.shown) as self.interruptible,
            closing(self.progress),
        ):
            if training.step:
                self.progress.say(f"goes on after step {training.step:,} of {self.steps:,}")
            try:
                yield
            except Interrupted:
                raise KeyboardInterrupt(self.interrupted()) from None

    def goes_on(self) -> bool:
        """Whether there is an epoch to begin, or to end."""
        return (self.training.in_epoch or self.training.step < self.steps) and not self.training.stop

    def train_epoch(self) -> None:
        """The steps of an epoch, or the rest of them."""
        training, train = self.training, self.training.data["train"]
        training.model.train()
        if not training.in_epoch:
            training.begin_epoch()
        batches = train.rows()
        while training.step < self.steps and (rows := list(islice(batches, self.accumulate))):
            start = time.perf_counter()
            self.take_step(rows)
            training.seconds += time.perf_counter() - start
            self.progress.step(training.epoch, sum(map(len, rows)), training.means)
            if train.inside and self.checkpoints is not None and self.checkpoints.is_due(training.step):
                self.save()
            self.interruptible.watch()
        if not train.inside:
            next(batches, None)  # the end of its epoch
        training.evaluates = True

    def take_step(self, batches: Sequence[np.ndarray]) -> None:
        """One step of the optimizer, from the rows of one batch or more."""
        training, optimizer = self.training, self.training.optimizer
        optimizer.zero_grad()
        sums = self.add_gradients(batches)
        sum_gradients(self.team, optimizer.params, sums)
        sums[0] = sum(map(len, batches))
        if not np.isfinite(sums[1]):
            number = training.data["train"].state_dict()["batches"]
            raise ValueError(
                f"the loss became {sums[1]} in batch {number} of epoch {training.epoch}: try a smaller lr"
            )
        if self.max_norm is not None:
            clip_grad_norm(training.params, self.max_norm)
        training.lr = optimizer.param_groups[0]["lr"]
        optimizer.step()
        training.step += 1
        training.sums += sums
        if training.schedule is not None and self.steps_schedule:
            training.schedule.step()
        if training.average is not None:
            training.average.update()
        if not self.checked:
            self.check_alike("the first step")
            self.checked = True

    def add_gradients(self, batches: Sequence[np.ndarray]) -> np.ndarray:
        """Go forward and back with this worker's rows of each batch; the sums of rows, loss and metrics over them.

        The losses of all workers and batches, each a mean, are weighted by their rows: so their gradients add up to
        those of the mean over all rows.
        """
        training, train = self.training, self.training.data["train"]
        total = sum(map(len, batches))
        sums = np.zeros_like(training.sums)
        for rows in batches:
            part, own = share(len(rows), self.team)
            for generator in self.generators:
                generator.batch_size, generator.shard = len(rows), part
            *inputs, targets = check_batch(train.shard(rows, part))
            outputs = training.model(*inputs)
            loss = training.loss(outputs, targets)
            value = loss_value(loss)
            loss.backward(np.full(loss.shape, own / total, loss.dtype))
            with no_grad():
                sums += own * np.array([1.0, value, *measured(training.metrics, outputs, targets)])
        return sums

    def finish_epoch(self) -> None:
        """Evaluate, note it in the history, tell the callbacks, and write a checkpoint."""
        training = self.training
        row = {"epoch": training.epoch, "step": training.step, "seconds": training.seconds, "lr": training.lr}
        row |= {f"train_{name}": value for name, value in training.means().items()}
        with training.average.applied() if training.average is not None else nullcontext():
            for name in list(training.data)[1:]:  # behind that of training
                row |= {f"{name}_{metric}": value for metric, value in self.evaluate(name).items()}
            training.note(row, self.monitor, self.sign, keep=self.patience is not None)
            if self.team.rank == 0:
                for callback in self.callbacks:
                    callback(training)
                self.progress.say(epoch_line(row))  # what is told has been kept
        training.stop = self.agreed(training.stop)
        self.check_alike(f"epoch {training.epoch}")
        if training.schedule is not None and not self.steps_schedule:
            if isinstance(training.schedule, ReduceLROnPlateau):
                training.schedule.step(row[self.monitor or "train_loss"])
            else:
                training.schedule.step()
        if self.patience is not None and training.epoch - training.best_epoch >= self.patience:
            training.stop = True
        training.in_epoch = training.evaluates = False
        self.save(training.is_best)
        self.interruptible.watch()

    def evaluate(self, name: str) -> dict[str, float]:
        """Loss and metrics on data of this name."""
        training = self.training
        return evaluate(
            training.model,
            training.loss,
            training.data[name],
            training.metrics,
            self.team,
            self.interruptible.watch,
        )

    def keep(self) -> None:
        """The weights of the end: those of the best epoch, or the averages."""
        training = self.training
        if training.best_weights:
            training.model.load_state_dict(training.best_weights)
            self.progress.say(
                f"the weights are those of epoch {training.best_epoch}, the best by {self.monitor}"
            )
        elif training.average is not None:
            with training.average.applied():
                kept = [p.data.copy() for p in training.average.parameters]
            for p, data in zip(training.average.parameters, kept, strict=True):
                p.data = data

    def agreed(self, stop: bool) -> bool:
        """Whether any worker wants to stop."""
        votes = np.array([float(stop)])
        self.team.all_reduce([votes])
        return bool(votes[0])

    def check_alike(self, when: str) -> None:
        """See `sharing.check_alike`."""
        training = self.training
        check_alike(self.team, training.model, training.optimizer, training.generators(), when)

    def save(self, is_best: bool = False) -> None:
        """Write a checkpoint, if any are asked for."""
        if self.checkpoints is not None and self.team.rank == 0:
            self.checkpoints.save(self.training.state_dict(), self.training.step, is_best=is_best)

    def interrupted(self) -> str:
        """Save all, and say how to go on."""
        where = f"interrupted after step {self.training.step:,} of {self.steps:,}"
        if self.checkpoints is None:
            return f"{where}; there is no checkpoint, as none was asked for"
        if self.training.in_epoch:
            self.save()
        return f"{where}; the checkpoint in {self.checkpoints.directory} goes on from there with resume"


def resumed(checkpoints: Checkpoints, resume: bool | int, team: Workers) -> dict[str, Any] | None:
    """The state of the checkpoint to go on from, if there is one; the first worker locks the directory."""
    if team.rank == 0:
        return checkpoints.start(resume)
    if resume is False or (resume is True and not checkpoints.steps()):
        return None
    return checkpoints.load(None if resume is True else resume)


def check_data(data: Mapping[str, Any]) -> None:
    """Refuse what is no Batches, or empty."""
    for name, batches in data.items():
        if not isinstance(batches, Batches):
            raise TypeError(
                f"fit takes Batches for {name}, not {type(batches).__name__}: Batches((x, y), 32)"
            )
        if not len(batches):
            raise ValueError(f"there are no batches in {name}")


def monitored(monitor: str, training: Training, required: bool) -> str:
    """The column of the history that says which epoch is the best; "" where there is none, nor has to be."""
    names = [f"{data}_{metric}" for data in training.data for metric in ("loss", *training.metrics)]
    if monitor in names:
        return monitor
    if monitor == "validation_loss" and not required:
        return ""
    raise ValueError(f"there is no {monitor} to monitor: there will be {', '.join(names)}")


def direction(monitor: str, mode: str | None) -> int:
    """1 where less is better, and -1 where more is."""
    if mode is None:
        mode = "min" if monitor.endswith("loss") else "max" if monitor.endswith("accuracy") else None
    if mode not in ("min", "max"):
        raise ValueError(f"fit takes 'min' or 'max' for mode, whether less or more is better of {monitor}")
    return 1 if mode == "min" else -1
