"""Training: an epoch over batches that the workers share, the loop of epochs, and what goes around it."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import numpy as np

import tinygrad_np.functional as F
from models.commands import uninterrupted
from models.sentiment.config import Config
from models.sentiment.data import Examples, load_test, load_train, new_embedding
from models.sentiment.evaluate import Metrics, bag_of_words_accuracy, evaluate
from models.sentiment.model import SentimentNetwork
from models.sentiment.run import Run, best_epoch
from tinygrad_np.extras import import_optional
from tinygrad_np.optim import Adam, clip_grad_norm
from tinygrad_np.parallel import ShardedGenerator, WorkerLost, Workers, workers

MAX_NORM = 5.0


def train_epoch(
    model: SentimentNetwork,
    optimizer: Adam,
    examples: Examples,
    batch_size: int,
    rng: np.random.Generator,
    team: Workers,
    progress: Callable[[int], Any],
) -> Metrics:
    """One pass over the examples; mean loss and accuracy on the way, with dropout.

    Each worker computes its shard of every batch. Its loss is divided by the size of the whole batch, so that
    the gradients add up to those of one worker.
    """
    loss_sum, n_right = 0.0, 0
    parameters = model.parameters()
    dropout_rng = ShardedGenerator(model.reader.rng, team)  # one draws for the whole network
    for layer in model.modules():
        if hasattr(layer, "rng"):
            layer.rng = dropout_rng
    model.train()
    for i, (rows, token_ids, lengths) in enumerate(examples.batches(batch_size, shuffle=True, rng=rng), 1):
        dropout_rng.batch_size = len(rows)
        optimizer.zero_grad()
        logits = model(token_ids[team.shard], lengths[team.shard])
        labels = examples.labels[rows[team.shard]]
        loss = F.binary_cross_entropy_with_logits(logits, labels, reduction="sum") / len(rows)
        loss.backward()
        gradients = []
        for p in parameters:
            if p.grad is None:  # the last batch may have fewer reviews than there are workers
                p.grad = np.zeros_like(p.data)
            gradients.append(p.grad)
        totals = np.array([loss.item(), ((logits.data >= 0) == labels).sum()])
        team.all_reduce([*gradients, totals])
        if not np.isfinite(totals[0]):
            raise ValueError(f"the loss became {totals[0]} in batch {i}: try a smaller --lr")
        clip_grad_norm(model.named_parameters(), MAX_NORM)
        optimizer.step()
        loss_sum += float(totals[0]) * len(rows)
        n_right += int(totals[1])
        progress(int(lengths.sum()))
    return Metrics(loss_sum / len(examples.labels), n_right / len(examples.labels))


def fit(
    model: SentimentNetwork,
    examples: dict[str, Examples],
    config: Config,
    rng: np.random.Generator,
    team: Workers,
    run: Run,
) -> tuple[list[dict[str, float]], float]:
    """The loop of epochs: train, validate, test, and write to the run.

    Ctrl-C and SIGTERM end it early, if there is a whole epoch to show.

    Returns
    -------
    history : list of dict
        In worker 0, a row an epoch, as `Run.save_epoch` takes them.
    seconds : float
        What the training of these epochs took, without validation and test.

    Raises
    ------
    WorkerLost
        Another worker died. What was written after each epoch stays, and ``last.safetensors`` holds the
        weights after the last step that was whole.
    OSError
        A file could not be written, for instance because the disk is full.
    ValueError
        The loss became infinite or NaN.
    """
    optimizer = Adam(model.parameters(), lr=config.lr)
    history: list[dict[str, float]] = []
    seconds = 0.0
    with import_optional("tqdm").tqdm(
        total=int(examples["train"].lengths.sum()) * config.epochs,
        unit=" words",
        unit_scale=True,
        dynamic_ncols=True,
        disable=team.rank > 0,
    ) as bar:
        try:
            for epoch in range(1, config.epochs + 1):
                bar.set_description(f"epoch {epoch} of {config.epochs}")
                start = time.perf_counter()
                metrics = {
                    "train": train_epoch(
                        model, optimizer, examples["train"], config.batch_size, rng, team, bar.update
                    )
                }
                taken = time.perf_counter() - start
                for name in ("validation", "test"):
                    metrics[name] = evaluate(model, examples[name], config.batch_size, team)
                if team.rank == 0:
                    row = epoch_row(epoch, metrics)
                    with uninterrupted():  # what the run has and what we know of it are the same
                        run.save_epoch([*history, row], model)
                        history.append(row)
                        seconds += taken
                    bar.write(f"epoch {epoch:2}: {described(metrics)}")
        except KeyboardInterrupt:
            if not history:
                raise
            bar.write(f"interrupted: the run is that of {len(history)} whole epochs")
        except WorkerLost as error:
            weights = ""
            if history:
                run.save_last(model)
                weights = f", and the weights of now as {run.last_weights.name}"
            raise WorkerLost(f"{error}; {kept(run, history)}{weights}") from None
        except (OSError, ValueError) as error:
            if team.rank:
                raise
            kind = OSError if isinstance(error, OSError) else ValueError
            raise kind(f"{error}; {kept(run, history)}") from error
    return history, seconds


def kept(run: Run, history: list[dict[str, float]]) -> str:
    """What there is after a training that broke off."""
    return (
        f"{run.directory} keeps {len(history)} whole epochs" if history else f"{run.directory} is as it was"
    )


def epoch_row(epoch: int, metrics: dict[str, Metrics]) -> dict[str, float]:
    """The metrics of an epoch as one row of a table."""
    row: dict[str, float] = {"epoch": epoch}
    for name, (loss, accuracy) in metrics.items():
        row |= {f"{name}_loss": loss, f"{name}_accuracy": accuracy}
    return row


def described(metrics: dict[str, Metrics]) -> str:
    return ", ".join(f"{name} {loss:.3f} / {accuracy:.1%}" for name, (loss, accuracy) in metrics.items())


def train(config: Config, run: Run, n_workers: int) -> dict[str, Any]:
    """Train as the settings say with so many workers, write the run, and return its closing metrics.

    A tenth of the training reviews is kept apart for validation. The weights that are kept are those of the
    epoch with the smallest validation loss; the test reviews have no say in it.

    Raises
    ------
    WorkerLost
        As `fit` raises it.
    """
    # a missing extra is told before the work; no thread of a bar may hold a lock while the workers are forked
    import_optional("pandas")
    import_optional("tqdm").tqdm.monitor_interval = 0
    with ExitStack() as lock:  # of worker 0, until the run is finished
        with workers(n_workers) as team:
            if team.size > config.batch_size:
                raise ValueError(f"{team.size} workers cannot share batches of {config.batch_size} reviews")
            if team.rank == 0:
                lock.enter_context(run.locked())
            model_rng, order_rng = np.random.default_rng(config.seed).spawn(2)

            train_reviews, validation_reviews = load_train(config)
            reviews = {"train": train_reviews, "validation": validation_reviews, "test": load_test(config)}
            vocabulary, embedding = new_embedding(config, train_reviews.texts, model_rng)
            examples = {name: Examples.encode(part, vocabulary) for name, part in reviews.items()}
            sizes = {name: len(part.labels) for name, part in examples.items()}
            config = replace(config, train_size=sizes["train"] + sizes["validation"], test_size=sizes["test"])

            model = SentimentNetwork(config, embedding, model_rng)
            n_parameters = sum(p.size for p in model.parameters())
            if team.rank == 0:
                print(", ".join(f"{size:,} {name} reviews" for name, size in sizes.items()), end="; ")
                print(f"{len(vocabulary):,} words, {n_parameters:,} parameters to train")
                run.start(config, vocabulary)

            team.start(
                n_parameters + 2, model.head.weight.dtype
            )  # gradients; beside them loss and right answers
            history, seconds = fit(model, examples, config, order_rng, team, run)

        best = best_epoch(history)
        metrics: dict[str, Any] = {
            "test_accuracy": best["test_accuracy"],
            "test_loss": best["test_loss"],
            "validation_accuracy": best["validation_accuracy"],
            "best_epoch": int(best["epoch"]),
            "epochs": len(history),
            **{f"{name}_reviews": size for name, size in sizes.items()},
            "workers": team.size,
            "tokens_per_second": int(examples["train"].lengths.sum()) * len(history) / seconds,
            "training_seconds": seconds,
        }
        if config.data == "demo":
            metrics["bag_of_words_accuracy"] = bag_of_words_accuracy(
                examples["train"], examples["test"], len(vocabulary)
            )
        source = "synthetic demo reviews" if config.data == "demo" else "IMDb reviews"
        run.finish(history, metrics, f"{config.train_size:,} {source}, LSTM of {config.hidden} units")
        return metrics
