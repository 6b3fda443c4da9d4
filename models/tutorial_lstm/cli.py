"""The commands: trial, diagnose, train."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import models.tutorial_lstm
from models.commands import execute, positive
from models.tutorial_lstm.train import train
from models.tutorial_lstm.trial import diagnose, draw_trial, print_draws, print_trial, trial


def command_trial(args: argparse.Namespace) -> None:
    found = trial(args.seed)
    print_trial(found)
    print_draws()
    out = Path(args.out)
    draw_trial(found, out)
    print(f"picture: {out}")


def command_diagnose(args: argparse.Namespace) -> None:
    diagnose(Path(args.out))


def command_train(args: argparse.Namespace) -> None:
    out = Path(args.out or f"runs/tutorial/{'as-published' if args.as_published else 'corrected'}")
    metrics = train(
        args.as_published, args.data_dir, args.train_size, args.test_size, args.epochs, args.seed, out
    )
    print(
        f"{metrics['version']}: test accuracy {metrics['test_accuracy']:.1%}, "
        f"loss {metrics['test_loss']:.3f}; the run: {out}"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; the exit status is that of `models.commands.execute`."""
    parser = argparse.ArgumentParser(
        prog="python -m models.tutorial_lstm",
        description=(models.tutorial_lstm.__doc__ or "").split("\n\n")[0],
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    sub = commands.add_parser("trial", help="the hand-derived gradient beside the exact one (the default)")
    sub.set_defaults(command=command_trial)
    sub.add_argument("--seed", type=int, default=0)
    sub.add_argument("--out", default="runs/tutorial/trial.png", help="the picture")

    sub = commands.add_parser("diagnose", help="let the referee find the smallest case that fails")
    sub.set_defaults(command=command_diagnose)
    sub.add_argument("--out", default="runs/tutorial/diagnosis", help="directory of the pictures")

    sub = commands.add_parser("train", help="train as the tutorial does, with an honest test set")
    sub.set_defaults(command=command_train)
    version = sub.add_mutually_exclusive_group(required=True)
    version.add_argument("--as-published", action="store_true", help="with the published gradient")
    version.add_argument("--corrected", action="store_true", help="with its one wrong term put right")
    sub.add_argument("--data-dir", help="where the files are; without it they are downloaded")
    sub.add_argument("--train-size", type=positive, default=2000, help="reviews to train on")
    sub.add_argument("--test-size", type=positive, default=1000, help="reviews to test with")
    sub.add_argument("--epochs", type=positive, default=10)
    sub.add_argument("--seed", type=int, default=0)
    sub.add_argument("--out", help="directory of the run, runs/tutorial/VERSION unless given")

    given = list(sys.argv[1:] if argv is None else argv)
    if not given or given[0] in ("--seed", "--out"):
        given.insert(0, "trial")
    return execute(parser.parse_args(given))
