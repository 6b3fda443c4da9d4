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
from tinygrad_np.optim import Adam, ExponentialMovingAverage, Optimizer, clip_grad_norm
from tinygrad_np.optim.schedules import LRScheduler, ReduceLROnPlateau
from tinygrad_np.parallel import Workers
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
    checkpoints: Any = None,
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
        The column of the history that says which epoch is best; without validation every epoch is better than those
        before.
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
    if not isinstance(validation, Mapping):
        validation = {} if validation is None else {"validation": validation}
    metrics = metrics or {}
    training = Training(model, optimizer, train, validation, schedule, average, 2 + len(metrics))
    if (epochs is None) == (steps is None):
        raise TypeError("fit takes epochs or steps, and one of them only")
    steps_an_epoch = math.ceil(len(train) / accumulate)
    if not steps_an_epoch:
        raise ValueError("there are no batches to train on")
    loop = Loop(
        training,
        loss,
        metrics,
        steps=steps if steps is not None else (epochs or 0) * steps_an_epoch,
        accumulate=accumulate,
        max_norm=max_norm,
        steps_schedule=schedule_every == "step" and not isinstance(schedule, ReduceLROnPlateau),
        patience=patience,
        monitor=monitor if validation or monitor != "validation_loss" else None,
        sign=direction(monitor, mode),
        callbacks=callbacks,
        team=team or Workers(),
        checkpoints=checkpoints,
    )
    if checkpoints is not None and (state := resumed(checkpoints, resume, loop.team)):
        training.load_state_dict(state)
    with loop.running(progress):
        while loop.goes_on():
            loop.train_epoch()
            loop.finish_epoch()
    loop.keep()
    return training


@dataclass
class Loop:
    """What `fit` was asked for, and its parts. Every worker runs it, and comes to the same."""

    training: Training
    loss: Loss
    metrics: Metrics
    steps: int  # of the whole training
    accumulate: int
    max_norm: float | None
    steps_schedule: bool  # after each step, and not after each epoch
    patience: int | None
    monitor: str | None  # None: the last epoch is the best
    sign: int  # times what is monitored: to be small
    callbacks: Sequence[Callable[[Training], Any]]
    team: Workers
    checkpoints: Any

    @property
    def writes(self) -> bool:
        """Whether this worker writes checkpoints."""
        return self.checkpoints is not None and self.team.rank == 0

    def __post_init__(self) -> None:
        model, optimizer = self.training.model, self.training.optimizer
        names = {id(p): name for name, p in model.named_parameters()}
        self.params = {names.get(id(p), f"parameter {i}"): p for i, p in enumerate(optimizer.params)}
        self.checked = self.team.size == 1

    @contextmanager
    def running(self, progress: bool) -> Iterator[None]:
        """The workers run, the progress is shown, and Ctrl-C waits for the end of a step."""
        training = self.training
        start_team(self.team, training.model, training.optimizer)
        self.progress = Progress(self.steps, training.step, progress and self.team.rank == 0)
        owners = [*training.model.modules(), training.data["train"].source]
        with (
            sharded_generators(owners, self.team) as self.generators,
            Interruptible(self.progress.shown) as self.interruptible,
            closing(self.progress),
            closing(self.checkpoints) if self.writes else nullcontext(),
        ):
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
            self.progress.step(training.epoch, sum(map(len, rows)), self.means("", training.sums))
            if train.inside and self.writes and self.checkpoints.is_due(training.step):
                self.save()
            self.interruptible.watch()

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
            clip_grad_norm(self.params, self.max_norm)
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
            loss = self.loss(outputs, targets)
            value = loss_value(loss)
            loss.backward(np.full(loss.shape, own / total, loss.dtype))
            with no_grad():
                sums += own * np.array([1.0, value, *measured(self.metrics, outputs, targets)])
        return sums

    def finish_epoch(self) -> None:
        """Evaluate, note it in the history, tell the callbacks, and write a checkpoint."""
        training = self.training
        row = {"epoch": training.epoch, "step": training.step, "seconds": training.seconds, "lr": training.lr}
        row |= self.means("train_", training.sums)
        with training.average.applied() if training.average is not None else nullcontext():
            for name, data in training.data.items():
                if name != "train":
                    found = evaluate(
                        training.model, self.loss, data, self.metrics, self.team, self.interruptible.watch
                    )
                    row |= {f"{name}_{metric}": value for metric, value in found.items()}
            self.note(row)
            if self.team.rank == 0:
                self.progress.say(epoch_line(row))
                for callback in self.callbacks:
                    callback(training)
        training.stop = self.agreed(training.stop)
        self.check_alike(f"epoch {training.epoch}")
        if training.schedule is not None and not self.steps_schedule:
            if isinstance(training.schedule, ReduceLROnPlateau):
                training.schedule.step(row[self.monitor or "train_loss"])
            else:
                training.schedule.step()
        if self.patience is not None and training.epoch - training.best_epoch >= self.patience:
            training.stop = True
        training.in_epoch = False
        self.save(training.is_best)
        self.interruptible.watch()

    def note(self, row: dict[str, Any]) -> None:
        """A new row of the history. Is it the best?"""
        training = self.training
        if self.monitor is not None and self.monitor not in row:
            raise ValueError(f"there is no {self.monitor} to monitor among {', '.join(row)}")
        best = training.history[training.best_epoch - 1] if training.history else None
        training.history.append(row)
        if best is None or self.monitor is None or self.sign * (row[self.monitor] - best[self.monitor]) < 0:
            training.best_epoch = training.epoch
            if self.patience is not None:
                training.best_weights = training.model.state_dict()

    def keep(self) -> None:
        """The weights of the end: those of the best epoch, or the averages."""
        training = self.training
        if training.best_weights:
            training.model.load_state_dict(training.best_weights)
        elif training.average is not None:
            with training.average.applied():
                kept = [p.data.copy() for p in training.average.parameters]
            for p, data in zip(training.average.parameters, kept, strict=True):
                p.data = data

    def means(self, prefix: str, sums: np.ndarray) -> dict[str, float]:
        """Mean loss and metrics, from their sums."""
        names = [f"{prefix}{name}" for name in ("loss", *self.metrics)]
        return dict(zip(names, (sums[1:] / sums[0]).tolist(), strict=True))

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
        if self.writes:
            self.checkpoints.save(self.training.state_dict(), self.training.step, is_best=is_best)

    def interrupted(self) -> str:
        """Save all, and say how to go on."""
        where = f"interrupted after step {self.training.step:,} of {self.steps:,}"
        if self.checkpoints is None:
            return f"{where}; there is no checkpoint, as none was asked for"
        if self.training.in_epoch:
            self.save()
        return f"{where}; the checkpoint in {self.checkpoints.directory} goes on from there with resume"


def resumed(checkpoints: Any, resume: bool | int, team: Workers) -> dict[str, Any] | None:
    """The state of the checkpoint to go on from, if there is one; the first worker locks the directory."""
    if team.rank == 0:
        state: dict[str, Any] | None = checkpoints.start(resume)
        return state
    if resume is False or (resume is True and not checkpoints.steps()):
        return None
    other: dict[str, Any] = checkpoints.load(None if resume is True else resume)
    return other


def direction(monitor: str, mode: str | None) -> int:
    """1 where less is better, and -1 where more is."""
    if mode is None:
        mode = "min" if monitor.endswith("loss") else "max" if monitor.endswith("accuracy") else None
    if mode not in ("min", "max"):
        raise ValueError(f"fit takes 'min' or 'max' for mode, whether less or more is better of {monitor}")
    return 1 if mode == "min" else -1
