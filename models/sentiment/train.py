"""Training as the settings say: the parts are put together for `fit`, and a run keeps what comes of it."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from datasets.messages import shortened
from models.sentiment.calibration import fit_temperature
from models.sentiment.config import Config
from models.sentiment.encoding import Encoder, Examples, new_embedding
from models.sentiment.evaluate import bag_of_words_accuracy, logits
from models.sentiment.model import SentimentNetwork
from models.sentiment.run import Run, best_epoch
from models.sentiment.sources import Reviews, load_test, load_train
from tinygrad_np.data import Batches
from tinygrad_np.extras import import_optional
from tinygrad_np.optim import AdamW, ExponentialMovingAverage, Optimizer
from tinygrad_np.optim.schedules import LambdaLR
from tinygrad_np.parallel import WorkerLost, Workers, workers
from tinygrad_np.training import Checkpoints, Training, fit

CHECKPOINT_SECONDS = 60.0  # what a kill costs at most
LAST_RATE = 0.02  # of the cosine, as a share of the first


class Trained(NamedTuple):
    """What a training gives: the settings with the sizes that were found, and the model of the best epoch."""

    config: Config
    encoder: Encoder
    model: SentimentNetwork
    examples: dict[str, Examples]
    history: list[dict[str, Any]]


def train_model(
    config: Config,
    train: Reviews,
    validation: Reviews,
    others: dict[str, Reviews],
    team: Workers,
    run: Run | None = None,
    *,
    progress: bool = True,
    resume: bool | int = False,
    callbacks: Sequence[Callable[[Training], Any]] = (),
) -> Trained:
    """Train a model on reviews; of all epochs, the one with the smallest validation loss is kept.

    Parameters
    ----------
    others : dict of str to Reviews
        What it is evaluated on besides, such as ``{"test": ...}``; it has no say in anything.
    run : Run, optional
        Where each epoch is written, and the checkpoints; locked, in worker 0.
    resume : bool or int
        Go on from the run's newest checkpoint, or from that of a step.
    callbacks : sequence of callable
        See `fit`.

    Raises
    ------
    KeyboardInterrupt, WorkerLost, OSError, ValueError
        As `fit` raises them. What was written after each epoch stays, and so do the checkpoints.
    """
    model_rng, order_rng, fold_rng = np.random.default_rng(config.seed).spawn(3)
    vocabulary, embedding = new_embedding(config, train.texts, model_rng)
    n_classes = len(train.classes)
    encoder, own = Encoder.fit(config, vocabulary, train.texts, train.labels, n_classes, fold_rng)
    examples = {"train": own}
    for name, part in {"validation": validation, **others}.items():
        examples[name] = encoder.encode(part.texts, part.labels)
    model = SentimentNetwork(config, embedding, model_rng, encoder.ngrams, n_classes)
    batches = {name: Batches(part, config.batch_size) for name, part in examples.items() if name != "train"}
    order = Batches(examples["train"], config.batch_size, shuffle=True, rng=order_rng)
    optimizer = new_optimizer(config, model)
    saves: list[Callable[[Training], Any]] = []
    checkpoints = None
    if run is not None:
        checkpoints = Checkpoints(
            run.checkpoints,
            every_seconds=CHECKPOINT_SECONDS,
            identity={"config": config.what_decides(), "data": fingerprint(examples)},
        )
        run.start(config, encoder)
        saves.append(lambda training: run.save_epoch(training.history, training.best_weights))
    training = fit(
        model,
        model.loss,
        order,
        batches,
        optimizer,
        epochs=config.epochs,
        metrics={"accuracy": model.accuracy},
        max_norm=config.max_norm or None,
        schedule=LambdaLR(optimizer, partial(rate, config, len(order) * config.epochs)),
        average=ExponentialMovingAverage(model.parameters(), config.ema, ramp=True) if config.ema else None,
        patience=config.patience or config.epochs,
        callbacks=[*saves, *callbacks],
        progress=progress,
        team=team,
        checkpoints=checkpoints,
        resume=resume,
    )
    if run is not None and team.rank == 0 and not run.whole_epochs:
        run.save_epoch(training.history, training.best_weights)  # the last thing that was left to do
    return Trained(config, encoder, model, examples, training.history)


def new_optimizer(config: Config, model: SentimentNetwork) -> Optimizer:
    """AdamW. Vectors have a rate of their own; biases, and what scales after a normalisation, do not decay."""
    groups = []
    for name, p in model.named_parameters():
        vectors = name.endswith("embedding.weight")
        groups.append(
            {
                "params": [p],
                "lr": config.embedding_lr if vectors and config.embedding_lr else config.lr,
                "weight_decay": config.weight_decay if p.ndim > 1 else 0.0,
            }
        )
    return AdamW(groups, lr=config.lr)


def rate(config: Config, steps: int, step: int) -> float:
    """What the learning rate is multiplied by at a step, from 0: a rise, and what the schedule says after it."""
    if step < config.warmup:
        return (step + 1) / config.warmup
    done = (step - config.warmup) / max(steps - config.warmup, 1)
    if config.schedule == "cosine":
        return LAST_RATE + (1 - LAST_RATE) * (1 + math.cos(math.pi * min(done, 1.0))) / 2
    return max(1 - done, 0.0) if config.schedule == "linear" else 1.0


def fingerprint(examples: dict[str, Examples]) -> dict[str, int]:
    """A number for the reviews of each set, as the network sees them."""
    return {
        name: zlib.crc32(np.concatenate([*part.token_ids, part.lengths, part.labels]).astype(np.int64).data)
        for name, part in examples.items()
    }


def kept(run: Run) -> str:
    """What there is after a training that broke off, and how to go on."""
    steps = Checkpoints(run.checkpoints).steps()
    n = run.whole_epochs
    files = f"keeps {n} whole epoch{'s' if n > 1 else ''}" if n else "is as it was"
    if not steps:
        return f"{run.directory} {files}"
    on = f"the checkpoint of step {steps[-1]:,}: the same command with --resume goes on from there"
    return f"{run.directory} {files}, and {on}"


def train(config: Config, run: Run, n_workers: int, resume: bool | int = False) -> dict[str, Any]:
    """Train as the settings say with so many workers, write the run, and return its closing metrics.

    A tenth of the training reviews is kept apart for validation. The weights that are kept are those of the
    epoch with the smallest validation loss; the test reviews have no say in it.

    Raises
    ------
    KeyboardInterrupt, WorkerLost, OSError, ValueError
        As `train_model` raises them; the sentence says what is there, and how to go on.
    """
    # a missing extra is told before the work
    for extra in ("pandas", "safetensors.numpy"):
        import_optional(extra)
    with ExitStack() as lock:  # of worker 0, until the run is finished
        with workers(n_workers) as team:
            if team.size > config.batch_size:
                raise ValueError(f"{team.size} workers cannot share batches of {config.batch_size} reviews")
            if team.rank == 0:
                lock.enter_context(run.locked())
                if resume is False and (steps := Checkpoints(run.checkpoints).steps()):
                    raise FileExistsError(
                        f"{run.directory} holds a training that has not finished, with checkpoints up to step "
                        f"{steps[-1]:,}: go on with --resume, or take another --out, or remove {run.checkpoints}"
                    )
            train_reviews, validation = load_train(config)
            test = load_test(config)
            parts = {"train": train_reviews, "validation": validation, "test": test}
            sizes = {name: len(part.labels) for name, part in parts.items()}
            config = replace(config, train_size=sizes["train"] + sizes["validation"], test_size=sizes["test"])
            if config.data not in ("demo", "imdb"):
                config = replace(config, labels=[*train_reviews.classes])
            if team.rank == 0:
                print(", ".join(f"{size:,} {name} reviews" for name, size in sizes.items()), flush=True)
            try:
                trained = train_model(
                    config, train_reviews, validation, {"test": test}, team, run, resume=resume
                )
            except KeyboardInterrupt:
                raise KeyboardInterrupt(f"interrupted; {kept(run)}") from None
            except WorkerLost as error:
                raise WorkerLost(f"{error}; {kept(run)}") from None
            except (OSError, ValueError) as error:
                if team.rank:
                    raise
                kind = OSError if isinstance(error, OSError) else ValueError
                raise kind(f"{error}; {kept(run)}") from error

        history, examples = trained.history, trained.examples
        best, seconds = best_epoch(history), sum(row["seconds"] for row in history)
        metrics: dict[str, Any] = {
            "test_accuracy": best["test_accuracy"],
            "test_loss": best["test_loss"],
            "validation_accuracy": best["validation_accuracy"],
            "temperature": fit_temperature(logits(trained.model, examples["validation"]), validation.labels),
            "classes": [*train_reviews.classes],
            "best_epoch": int(best["epoch"]),
            "epochs": len(history),
            **{f"{name}_reviews": size for name, size in sizes.items()},
            "workers": team.size,
            "parameters": sum(p.size for p in trained.model.parameters()),
            "tokens_per_second": int(examples["train"].lengths.sum()) * len(history) / seconds,
            "training_seconds": seconds,
        }
        if config.data == "demo":
            metrics["bag_of_words_accuracy"] = bag_of_words_accuracy(
                examples["train"], examples["test"], len(trained.encoder.vocabulary)
            )
        source = {"demo": "synthetic demo reviews", "imdb": "IMDb reviews"}.get(
            config.data, f"texts of {shortened(Path(config.data).name)}"
        )
        run.finish(history, metrics, f"{config.train_size:,} {source}, {config.title}")
        return metrics
