"""The command: ``python -m tests.faults``."""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy is loaded: the matrices here are small

import numpy as np

from tests.faults import campaign
from tests.faults.files import FILES
from tests.faults.forks import FORKS
from tests.faults.kills import KILLS
from tests.faults.numbers import NUMBERS

PARTS = {"numbers": NUMBERS, "files": FILES, "kills": KILLS, "forks": FORKS}


def command_line(args: argparse.Namespace) -> str:
    """The command as it is repeated."""
    only = "".join(f" --only {name}" for name in args.only or ())
    return f"python -m tests.faults --seed {args.seed}{only}{' --short' if args.short else ''}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the campaign; the exit status is 1 if anything failed, and 130 if it was interrupted."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults",
        description="Random calls, damaged files, kills, forks: what fails, and how to repeat it.",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=PARTS, action="append", help="may be given several times")
    parser.add_argument("--short", action="store_true", help="the form that the tests run: half a minute")
    parser.add_argument("--count", type=int, help="so many trials of each part")
    parser.add_argument("--trial", type=int, help="one trial alone, by its number; with one --only")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table between its markers")
    args = parser.parse_args(argv)

    parts = campaign.chosen(PARTS, args.only)
    if args.trial is not None:
        if len(parts) != 1:
            parser.error("--trial needs one --only, which says of what")
        (name, part), *_ = parts.items()
        return campaign.repeat(name, part, args.seed, args.trial)

    tallies, whole = {}, True
    for name, part in parts.items():
        count = args.count or (part.short if args.short else part.full)
        tally, whole = campaign.run_part(part, args.seed, count)
        tallies[name] = part, tally
        for line in campaign.failures(name, tally, args.seed):
            print(line)
        if not whole:
            print("interrupted: the table counts what was tried so far", file=sys.stderr)
            break
    print(f"\n{campaign.table(tallies)}\n")
    if args.markdown and whole:
        torch = "with" if importlib.util.find_spec("torch") else "without"
        where = f"Python {platform.python_version()}, NumPy {np.__version__}, {torch} PyTorch"
        text = f"`{command_line(args)}` ({where}):\n\n{campaign.table(tallies)}"
        campaign.write_markdown(args.markdown, text)
    return 130 if not whole else int(any(tally.failed for _, tally in tallies.values()))


if __name__ == "__main__":
    sys.exit(main())
