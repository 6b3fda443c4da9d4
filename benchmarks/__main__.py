"""The benchmarks: ``python -m benchmarks [CASE ...] [--data-dir DIR] [--json FILE]``.

lstm         an LSTM layer, forward, back through time and its weights' gradients, in five batch sizes
tape         what one op costs with a tape, and an LSTM op by op
conv         a convolution of images, forward and back
epoch        training on film reviews of their real lengths, and predicting (needs --data-dir)
import       importing the package, next to NumPy
data         loading word vectors and tokenizing reviews (needs --data-dir)
memory       the peak of a training process, by the number of steps
refinements  what each refinement of the way back buys, by switching it off
scaling      what a second worker brings, and how fast a worker is on a small share of a batch
profile      where a training step spends its time
sentiment    the real job from end to end, three trainings (needs --data-dir)

Without a case all of them run. Peers that are not installed are left out, and named: pip install -e '.[bench]'
brings them all. Before anything is timed, both sides must compute the same numbers.

--json docs/benchmarks.json replaces the figures of these cases in the file that the documents are made from;
python -m benchmarks.publish then makes their tables and pictures anew.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import (
    conv,
    data,
    epoch,
    imports,
    lstm,
    memory,
    profiling,
    refinements,
    report,
    scaling,
    sentiment,
    tape,
)
from benchmarks.harness import Options
from models.commands import execute, positive

CASES = {
    "lstm": lstm,
    "tape": tape,
    "conv": conv,
    "epoch": epoch,
    "import": imports,
    "data": data,
    "memory": memory,
    "refinements": refinements,
    "scaling": scaling,
    "profile": profiling,
    "sentiment": sentiment,
}


def command(args: argparse.Namespace) -> None:
    if args.json and args.json.exists():
        report.read(args.json)  # a file that cannot be merged into is refused before the long measuring
    options = Options(args.repeats, args.data_dir)
    about = report.machine() | {"repeats": str(args.repeats)}
    print(", ".join(f"{key} {value}" for key, value in about.items()))
    rows = []
    begin = time.perf_counter()
    for name in args.case or CASES:
        print(f"\n{name}: {(CASES[name].__doc__ or '').splitlines()[0]}", flush=True)
        found = CASES[name].run(options)
        if args.json:  # after each case, so that a later one that fails loses nothing
            report.merge({name: report.Measured(about, found)}, args.json)
        rows += found
    print(f"\n{report.table(rows)}\n")
    print("×: above 1, the first row of its group is so many times better; below 1, it is behind")
    print(f"{time.perf_counter() - begin:.0f} seconds in all, {args.repeats} repeats")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the cases; the exit status is that of `models.commands.execute`."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("case", nargs="*", metavar="CASE", help=f"{', '.join(CASES)}; all unless given")
    parser.add_argument("--data-dir", type=Path, help="holds glove.6B.zip and imdb_*.txt")
    parser.add_argument("--repeats", type=positive, default=7, help="turns of each contender (default 7)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures into this file")
    parser.set_defaults(command=command)
    args = parser.parse_args(argv)
    if unknown := [name for name in args.case if name not in CASES]:
        parser.error(f"there is no case {unknown[0]}; there are {', '.join(CASES)}")
    return execute(args)


if __name__ == "__main__":
    sys.exit(main())
