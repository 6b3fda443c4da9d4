"""The commands: train, evaluate, predict, speeches, steps, tune."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import models.sentiment
from datasets.speeches import load_speeches
from datasets.text import tokenize_texts
from models.commands import execute, positive
from models.sentiment.baselines import baselines
from models.sentiment.config import ALLOWED, Config, configured
from models.sentiment.data import load_test, load_train
from models.sentiment.encoding import Encoder
from models.sentiment.evaluate import probabilities
from models.sentiment.model import SentimentNetwork
from models.sentiment.run import Run
from models.sentiment.speeches import speech_table
from models.sentiment.steps import run_steps, train_command
from models.sentiment.train import train
from models.sentiment.tune import tune
from tinygrad_np.data import Batches
from tinygrad_np.training import evaluate

DATA = ("data", "data_dir", "train_size", "test_size", "seed")  # the settings that say which reviews


def settings(args: argparse.Namespace) -> dict[str, Any]:
    """The settings that were given as options."""
    return {name: value for name in ALLOWED if (value := getattr(args, name, None)) is not None}


def command_train(args: argparse.Namespace) -> None:
    config = configured(settings(args))
    run = Run(args.out or f"runs/{args.data}")
    metrics = train(config, run, args.workers, args.resume)
    if "bag_of_words_accuracy" in metrics:
        print(
            f"test accuracy of a bag of words, which cannot see order: {metrics['bag_of_words_accuracy']:.1%}"
        )
    print(
        f"test accuracy of the LSTM: {metrics['test_accuracy']:.1%}, loss {metrics['test_loss']:.3f} "
        f"(epoch {metrics['best_epoch']}, chosen by validation loss); "
        f"{metrics['tokens_per_second']:,.0f} words/s in training"
    )
    print(f"learning curves: {run.curves}; all of the run: {run.directory}")


def load(run: Run) -> tuple[Config, Encoder, SentimentNetwork]:
    """Load a run, and say what is to be said of it."""
    loaded = run.load()
    for note in run.notes():
        print(f"note: {note}", file=sys.stderr)
    return loaded


def command_evaluate(args: argparse.Namespace) -> None:
    config, encoder, model = load(Run(args.run))
    if args.data_dir:
        config = replace(config, data_dir=args.data_dir)
    test = load_test(config)
    data = Batches(encoder.encode(test.texts, test.labels), config.batch_size)
    found = evaluate(model, model.loss, data, {"accuracy": model.accuracy})
    print(
        f"{len(test.labels):,} test reviews of {config.data}: accuracy {found['accuracy']:.1%}, "
        f"loss {found['loss']:.3f}"
    )


def command_predict(args: argparse.Namespace) -> None:
    _, encoder, model = load(Run(args.run))
    texts = tokenize_texts(args.text)
    p_positive = probabilities(model, encoder.encode(texts))
    for text, ids, p in zip(args.text, texts.token_ids, p_positive, strict=True):
        tokens = [texts.tokens[i] for i in ids]
        unknown = [token for token in tokens if token not in encoder.vocabulary]
        note = "no words" if not tokens else f"unknown: {' '.join(unknown)}" if unknown else ""
        print(f"{p:.3f} {'positive' if p >= 0.5 else 'negative'}  {text!r}{f'  ({note})' if note else ''}")


def command_speeches(args: argparse.Namespace) -> None:
    run = Run(args.run)
    config, encoder, model = load(run)
    table = speech_table(model, encoder, load_speeches(args.data_dir or config.data_dir))
    with run.locked():
        run.save_speeches(table)
    print(table.to_string(index=False, float_format="{:.2f}".format, na_rep="-"))
    print(f"picture: {run.speech_bars}; table: {run.speeches}")


def command_steps(args: argparse.Namespace) -> None:
    run_steps(args.page, args.rows, args.data_dir)
    print(f"page: {args.page}")


def command_tune(args: argparse.Namespace) -> None:
    directory = args.study or Path(f"runs/tune-{args.data}")
    best, loss = tune(directory, settings(args), args.trials)
    print(f"the smallest validation loss is {loss:.4f}, with")
    print(train_command(best))
    print(f"plots: {directory / 'study.html'}; the study: {directory}")


def add_settings(parser: argparse.ArgumentParser, names: Sequence[str] = tuple(ALLOWED)) -> None:
    """An option for each of these settings of `Config`; for all unless told."""
    for field in (field for field in fields(Config) if field.name in names):
        parser.add_argument(
            f"--{field.name.replace('_', '-')}",
            required=field.name == "data",
            help=field.metadata["help"],
            **field.metadata["allowed"].option,
        )


def command_baselines(args: argparse.Namespace) -> None:
    config = configured(settings(args))
    (train, _), test = load_train(config), load_test(config)
    print(f"{len(train.labels):,} reviews to train on, {len(test.labels):,} to test with")
    for name, accuracy, parameters, seconds in baselines(train, test):
        print(f"{accuracy:.1%}  {name}: {parameters:,} parameters, {seconds:.0f} s", flush=True)
    for directory in args.run:
        run = Run(directory)
        config, encoder, model = load(run)
        data = Batches(encoder.encode(test.texts, test.labels), config.batch_size)
        accuracy = evaluate(model, model.loss, data, {"accuracy": model.accuracy})["accuracy"]
        parameters = sum(p.size for p in model.parameters())
        print(
            f"{accuracy:.1%}  {run.directory}, features {config.features}: {parameters:,} parameters",
            flush=True,
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; the exit status is that of `models.commands.execute`."""
    parser = argparse.ArgumentParser(
        prog="python -m models.sentiment", description=(models.sentiment.__doc__ or "").split("\n\n")[0]
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    sub = commands.add_parser("train", help="train on reviews and test")
    sub.set_defaults(command=command_train)
    add_settings(sub)
    sub.add_argument(
        "--workers", type=positive, default=1, help="processes that share each batch; see docs/scaling.md"
    )
    sub.add_argument(
        "--resume",
        type=int,
        nargs="?",
        const=True,
        default=False,
        metavar="STEP",
        help="go on with the training in --out from its newest checkpoint, if there is one, or from that of a step",
    )
    sub.add_argument("--out", help="directory of the run, runs/demo or runs/imdb unless given")

    sub = commands.add_parser("evaluate", help="test a run again")
    sub.set_defaults(command=command_evaluate)
    sub.add_argument("--run", required=True)
    sub.add_argument("--data-dir")

    sub = commands.add_parser(
        "baselines", help="train linear models of scikit-learn on the same reviews, and test"
    )
    sub.set_defaults(command=command_baselines)
    add_settings(sub, DATA)
    sub.add_argument(
        "--run", action="append", default=[], help="a run to test beside them; may be given again"
    )

    sub = commands.add_parser("predict", help="ask a run about texts")
    sub.set_defaults(command=command_predict)
    sub.add_argument("--run", required=True)
    sub.add_argument("text", nargs="+")

    sub = commands.add_parser("speeches", help="let a run read the speeches, by paragraphs")
    sub.set_defaults(command=command_speeches)
    sub.add_argument("--run", required=True)
    sub.add_argument("--data-dir")

    sub = commands.add_parser(
        "steps", help="measure what each of the next steps is worth, and write the page"
    )
    sub.set_defaults(command=command_steps)
    sub.add_argument("--data-dir")
    sub.add_argument("--page", type=Path, default=Path("docs/next-steps.md"))
    sub.add_argument(
        "rows", nargs="*", help="parts of the names of the rows to measure; all of them unless given"
    )

    sub = commands.add_parser("tune", help="search for settings: those that are given stay as they are")
    sub.set_defaults(command=command_tune)
    add_settings(sub)
    sub.add_argument(
        "--trials", type=positive, default=50, help="how many the study shall have, 50 unless given"
    )
    sub.add_argument("--study", type=Path, help="its directory, runs/tune-DATA unless given")

    return execute(parser.parse_args(argv))
