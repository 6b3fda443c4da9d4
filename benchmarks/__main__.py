"""The benchmarks: ``python -m benchmarks [CASE ...] [--data-dir DIR] [--json FILE] [--plot FILE]``.

lstm    an LSTM layer, forward, back through time and its weights' gradients, in five batch sizes
tape    what one op costs with a tape, and an LSTM op by op
epoch   training on film reviews of their real lengths, and predicting (needs --data-dir)
import  importing the package, next to NumPy
data    loading word vectors and cutting reviews (needs --data-dir)
memory  the peak of a training process, by the number of steps

Without a case all of them run. Peers that are not installed are left out, and named: pip install -e '.[bench]'
brings them all. Before anything is timed, both sides must compute the same numbers.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import data, epoch, imports, lstm, memory, report, tape
from benchmarks.harness import Options
from models.commands import execute, positive

CASES = {
    "lstm": lstm,
    "tape": tape,
    "epoch": epoch,
    "import": imports,
    "data": data,
    "memory": memory,
}


def command(args: argparse.Namespace) -> None:
    options = Options(args.repeats, args.data_dir)
    about = report.machine()
    print(", ".join(f"{key} {value}" for key, value in about.items()))
    rows = []
    begin = time.perf_counter()
    for name in args.case or CASES:
        print(f"\n{name}: {(CASES[name].__doc__ or '').splitlines()[0]}", flush=True)
        rows += CASES[name].run(options)
    print(f"\n{report.table(rows)}\n")
    print("×: above 1, the first row of its group is so many times better; below 1, it is behind")
    print(f"{time.perf_counter() - begin:.0f} seconds in all, {args.repeats} repeats")
    if args.json:
        report.write(rows, about, args.json)
    if args.plot:
        report.draw(rows, about, args.plot)


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
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw a picture, PNG")
    parser.set_defaults(command=command)
    args = parser.parse_args(argv)
    if unknown := [name for name in args.case if name not in CASES]:
        parser.error(f"there is no case {unknown[0]}; there are {', '.join(CASES)}")
    return execute(args)


if __name__ == "__main__":
    sys.exit(main())
