"""The commands: train, evaluate, predict, speeches, steps, tune."""

from __future__ import annotations

import argparse
import io
import sys
import time
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np

import models.sentiment
from datasets.speeches import load_speeches
from datasets.tables import read_rows
from datasets.text import TokenizedTexts, tokenize_texts
from models.commands import execute, from_zero, positive
from models.sentiment.assessment import assess, described
from models.sentiment.baselines import baselines
from models.sentiment.config import ALLOWED, Config, configured
from models.sentiment.encoding import Encoder
from models.sentiment.evaluate import logits, probabilities
from models.sentiment.model import SentimentNetwork
from models.sentiment.predicting import likeliest, lines_of, predictions, write_predictions
from models.sentiment.run import Run
from models.sentiment.sources import load_test, load_train
from models.sentiment.speeches import Asked, domain_table, paragraph_table, speech_table, warning
from models.sentiment.steps import run_steps, train_command
from models.sentiment.train import train
from models.sentiment.tune import tune
from tinygrad_np.data import Batches
from tinygrad_np.files import atomic_write
from tinygrad_np.training import evaluate

DATA = (  # the settings that say which texts
    *("data", "data_dir", "text_column", "label_column", "labels", "test_data", "test_share"),
    *("train_size", "test_size", "seed"),
)


def settings(args: argparse.Namespace) -> dict[str, Any]:
    """The settings that were given as options."""
    return {name: value for name in ALLOWED if (value := getattr(args, name, None)) is not None}


def command_train(args: argparse.Namespace) -> None:
    config = configured(settings(args))
    run = Run(args.out or f"runs/{Path(args.data).name.partition('.')[0]}")
    metrics = train(config, run, args.workers, args.resume)
    if "bag_of_words_accuracy" in metrics:
        print(
            f"test accuracy of a bag of words, which cannot see order: {metrics['bag_of_words_accuracy']:.1%}"
        )
    print(
        f"test accuracy of the {config.title}: {metrics['test_accuracy']:.1%}, loss {metrics['test_loss']:.3f} "
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
    run = Run(args.run)
    config, encoder, model = load(run)
    if args.data_dir:
        config = replace(config, data_dir=args.data_dir)
    test = load_test(config)
    start = time.perf_counter()
    said = logits(model, encoder.encode(test.texts), config.batch_size)
    seconds = time.perf_counter() - start
    found = assess(
        said,
        test.labels,
        test.texts,
        test.classes,
        run.temperature,
        np.random.default_rng(config.seed),
    )
    title = f"{len(test.labels):,} test reviews of {config.data}"
    words = sum(len(ids) for ids in test.texts.token_ids)
    print(
        f"{title}: accuracy {found.accuracy.value:.1%}, loss {found.as_trained.loss:.3f}; "
        f"{words / seconds:,.0f} words/s in prediction"
    )
    print(described(found))
    try:
        with run.locked():
            run.save_assessment(found, title)
    except BlockingIOError as error:  # who reads does not wait for who trains
        print(f"note: no tables and pictures were written: {error}", file=sys.stderr)
        return
    print(f"pictures: {run.calibration_curves}, {run.length_curves}, {run.mistake_bars}; tables beside them")


def command_predict(args: argparse.Namespace) -> None:
    run = Run(args.run)
    _, encoder, model = load(run)
    classes = run.classes
    if not args.text:
        predict_many(args, run, encoder, model, classes)
        return
    texts = tokenize_texts(args.text)
    p = probabilities(model, encoder.encode(texts), temperature=run.temperature)
    second = (
        p if p.ndim == 1 else p.max(axis=1)
    )  # of two classes that of the second one, else of the likeliest
    for text, ids, shown, label in zip(args.text, texts.token_ids, second, likeliest(p), strict=True):
        tokens = [texts.tokens[i] for i in ids]
        unknown = [token for token in tokens if token not in encoder.vocabulary]
        note = "no words" if not tokens else f"unknown: {' '.join(unknown)}" if unknown else ""
        print(f"{shown:.3f} {classes[label]}  {text!r}{f'  ({note})' if note else ''}")


def predict_many(
    args: argparse.Namespace, run: Run, encoder: Encoder, model: SentimentNetwork, classes: Sequence[str]
) -> None:
    """Answers for a file, or for lines of standard input, as a table."""
    if args.file is None:
        rows = lines_of(io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8"))
    else:
        rows = ((line, text) for line, (text,) in read_rows(args.file, [args.text_column]))
    temperature = run.temperature

    def ask(texts: TokenizedTexts) -> np.ndarray:
        return probabilities(model, encoder.encode(texts), temperature=temperature)

    found = predictions(rows, ask, classes)
    if args.out is None:
        write_predictions(found, sys.stdout, progress=False)
        return
    args.out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(args.out) as part, open(part, "w", encoding="utf-8", newline="") as file:
        write_predictions(found, file, progress=True)
    print(f"predictions: {args.out}")


def command_speeches(args: argparse.Namespace) -> None:
    run = Run(args.run)
    config, encoder, model = load(run)
    if args.data_dir:
        config = replace(config, data_dir=args.data_dir)
    speeches, rng = load_speeches(config.data_dir), np.random.default_rng(config.seed)
    asked = Asked(model, encoder, run.temperature)
    paragraphs = paragraph_table(asked, speeches, args.context)
    table = speech_table(paragraphs, speeches, args.context, rng)
    domain = domain_table(asked, paragraphs, load_test(config), rng)
    with run.locked():
        run.save_speeches(table, paragraphs, domain, warning(domain))
    for part in (table, domain):
        print(part.to_string(index=False, float_format="{:.3f}".format, na_rep="-"), end="\n\n")
    print(warning(domain))
    print(f"picture: {run.speech_bars}; tables: {run.speeches}, {run.paragraphs}, {run.domain}")


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
    sub.add_argument(
        "text", nargs="*", help="texts; without them those of --file, or lines of standard input"
    )
    sub.add_argument("--file", type=Path, help="a table or JSON lines; see docs/data.md")
    sub.add_argument("--text-column", default="text", help="where each text stands in it, text unless given")
    sub.add_argument("--out", type=Path, help="the table of answers; standard output unless given")

    sub = commands.add_parser("speeches", help="let a run read the speeches, by paragraphs")
    sub.set_defaults(command=command_speeches)
    sub.add_argument("--run", required=True)
    sub.add_argument(
        "--context",
        type=from_zero,
        default=1,
        help="neighbours on each side with which a paragraph is read too",
    )
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
