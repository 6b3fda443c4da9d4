"""The command: try PyTorch's samples, and report."""

from __future__ import annotations

import argparse
import multiprocessing
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.breadth import report
from tests.breadth.outcomes import Trial

NEEDED = ("torch", "expecttest")


def main(argv: Sequence[str] | None = None) -> int:
    """Try the samples; the exit status is 1 if PyTorch is not there to be compared with."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.breadth", description="Put PyTorch's own samples to our functions."
    )
    extent = parser.add_mutually_exclusive_group()  # the page is of all of them
    extent.add_argument("--markdown", metavar="FILE", type=Path, help="write the tables there, too")
    extent.add_argument("--only", metavar="NAME", default="", help="names that contain this, such as linalg")
    parser.add_argument("--failures", action="store_true", help="a line for each sample that does not pass")
    parser.add_argument("--samples", metavar="N", type=int, default=5, help="of each name, at most (5)")
    parser.add_argument("--jobs", metavar="N", type=int, default=1, help="processes (1)")
    args = parser.parse_args(argv)
    try:
        from tests.breadth import trial
    except ModuleNotFoundError as error:
        if error.name not in NEEDED:
            raise
        print(
            f"this needs {error.name}, which is not installed: pip install -e '.[breadth]'", file=sys.stderr
        )
        return 1

    todo = trial.jobs(args.only, args.samples)
    trials: list[Trial] = []
    if args.jobs == 1:
        for _, job in todo:
            trials += job()
    else:
        with multiprocessing.get_context("fork").Pool(args.jobs, _keep, (todo,)) as pool:
            for part in pool.imap(_run, range(len(todo)), chunksize=4):
                trials += part
    if args.failures:
        print(report.failures(trials))
    print(report.text(trials))
    if args.markdown:
        report.put(args.markdown, "samples", report.markdown(trials))
    return 0


_todo: list[Any] = []


def _keep(todo: list[Any]) -> None:
    """In a worker, which is a fork: what there is to do."""
    _todo[:] = todo


def _run(i: int) -> list[Trial]:
    """One part of it."""
    part: list[Trial] = _todo[i][1]()
    return part


if __name__ == "__main__":
    sys.exit(main())
