"""The command: the referee on 200 right networks, on 200 broken ones, and on every planted mistake."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tests.strangers import page
from tests.strangers.trials import Outcome, Trial, broken_trial, right_trial, run, table_trials
from tinygrad_np.files import atomic_write

COUNT = 200
PARTS: dict[str, Callable[[int], list[Trial]]] = {
    "right": lambda count: [right_trial(number) for number in range(count)],
    "broken": lambda count: [broken_trial(number) for number in range(count)],
    "table": lambda _: table_trials(),
}


def tried(part: str, number: int) -> Outcome:
    """The outcome of a trial by its number: functions of networks do not travel between processes."""
    return run(PARTS[part](COUNT)[number]) if part == "table" else run(one(part, number))


def one(part: str, number: int) -> Trial:
    return (right_trial if part == "right" else broken_trial)(number)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the trials; the exit status is 1 if the referee was wrong about one of them."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.strangers",
        description="Measure the referee with networks in the styles in which people write them.",
    )
    parser.add_argument("part", nargs="*", choices=[*PARTS, []], help="right, broken or table; all of them")
    parser.add_argument("--count", type=int, default=COUNT, help="how many right, and how many broken ones")
    parser.add_argument("--page", metavar="FILE", type=Path, help="write the results there as Markdown")
    parser.add_argument("--show", action="store_true", help="print what the referee said of what went wrong")
    args = parser.parse_args(argv)

    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # small matrices: threads only wait for each other
    results = {}
    with ProcessPoolExecutor(2) as pool:
        for part in args.part or PARTS:
            trials = PARTS[part](args.count)
            jobs = [pool.submit(tried, part, number) for number in range(len(trials))]
            outcomes = []
            for trial, job in zip(trials, jobs):
                outcomes.append(job.result())
                if not page.sound(part, trial, outcomes[-1]):
                    print(page.complaint(part, trial, outcomes[-1], args.show), flush=True)
            results[part] = list(zip(trials, outcomes))
            print(page.text(part, results[part]), flush=True)
    if args.page:
        with atomic_write(args.page) as file:
            file.write_text(page.markdown(results), encoding="utf-8")
    return int(any(page.false(part, found) for part, found in results.items()))


if __name__ == "__main__":
    sys.exit(main())
