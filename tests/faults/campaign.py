"""What the parts of the campaign share: a trial and its outcome, many of them in two processes, and the table."""

from __future__ import annotations

import multiprocessing
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROCESSES = 2


@dataclass(frozen=True)
class Outcome:
    """What one trial did, as a call that can be read, and what is wrong with what came of it; None if nothing.

    `kind` is what failures are counted by: many calls show one fault.
    """

    what: str
    wrong: str | None = None
    kind: str = ""


@dataclass(frozen=True)
class Part:
    """One part of the campaign.

    Attributes
    ----------
    tried : str
        What its trials are, in the plural.
    trial : callable
        Takes the seed of the campaign, the number of the trial and an empty directory. It draws all else from the
        two numbers, so that a trial can be repeated alone, and returns an `Outcome`, or anything with its `what`
        and `wrong`. What it raises has escaped, and is a failure.
    full, short : int
        How many trials make the whole campaign, and its short form.
    seconds : float
        What one trial may take at most: more means that it hangs.
    """

    tried: str
    trial: Callable[[int, int, Path], Any]
    full: int
    short: int
    seconds: float = 20.0


@dataclass
class Tally:
    """How many trials of a part were made and failed, and of each kind of failure the first and how many."""

    tried: int = 0
    failed: int = 0
    first: dict[str, tuple[int, Outcome]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    note: str = ""

    def add(self, k: int, outcome: Outcome) -> None:
        """Count one trial."""
        self.tried += 1
        if outcome.wrong is None:
            return
        self.failed += 1
        kind = outcome.kind or outcome.wrong
        self.counts[kind] = self.counts.get(kind, 0) + 1
        if (
            kind not in self.first or k < self.first[kind][0]
        ):  # the same first one, whichever process was faster
            self.first[kind] = (k, outcome)


class Hang(Exception):
    """A trial did not come back."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise `Hang` in the block when it takes longer; in the main thread of a process only."""

    def out_of_time(*_: Any) -> None:
        raise Hang(f"did not come back within {seconds:g} s")

    before = signal.signal(signal.SIGALRM, out_of_time)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def run_trial(part: Part, seed: int, k: int) -> Outcome:
    """One trial in a directory of its own; whatever it raises is its failure."""
    with tempfile.TemporaryDirectory(prefix="faults-", ignore_cleanup_errors=True) as directory:
        try:
            with time_limit(part.seconds), warnings.catch_warnings():
                found = part.trial(seed, k, Path(directory))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # SystemExit too: nothing may escape a trial
            where = traceback.extract_tb(error.__traceback__)[-1]
            kind = f"escaped: {type(error).__name__} in {where.name}"
            return Outcome(
                f"trial {k}", f"{type(error).__name__}: {error} ({where.filename}:{where.lineno})", kind
            )
    return Outcome(str(found.what), found.wrong, getattr(found, "kind", ""))


def run_chunk(part: Part, seed: int, numbers: range) -> list[tuple[int, Outcome]]:
    """Several trials; of those that held only the count matters, and no text is sent back."""
    outcomes = [(k, run_trial(part, seed, k)) for k in numbers]
    return [(k, outcome if outcome.wrong else Outcome("")) for k, outcome in outcomes]


def run_part(part: Part, seed: int, count: int, chunk: int | None = None) -> tuple[Tally, bool]:
    """All trials of a part in `PROCESSES` processes, with progress on stderr.

    Returns
    -------
    tally : Tally
    whole : bool
        False if Ctrl-C ended it early: the tally then counts what was tried.
    """
    tally = Tally()
    chunk = chunk or max(1, min(100, count // 50))
    todo = iter([range(a, min(a + chunk, count)) for a in range(0, count, chunk)])
    start = time.perf_counter()
    pool = new_pool(PROCESSES)
    running: dict[Any, range] = {}
    try:
        while True:
            while len(running) < PROCESSES + 1 and (numbers := next(todo, None)) is not None:
                running[pool.submit(run_chunk, part, seed, numbers)] = numbers
            if not running:
                return tally, True
            done = wait(running, return_when=FIRST_COMPLETED).done
            if any(isinstance(future.exception(), BrokenProcessPool) for future in done):
                # a process died, and the pool with it: which trial was it?
                pool.shutdown(wait=True, cancel_futures=True)
                outcomes = [
                    one for numbers in running.values() for one in run_each_alone(part, seed, numbers)
                ]
                running.clear()
                pool = new_pool(PROCESSES)
            else:
                outcomes = [one for future in done for one in future.result()]
                for future in done:
                    del running[future]
            for k, outcome in outcomes:
                tally.add(k, outcome)
            show_progress(part, tally, count, time.perf_counter() - start)
    except KeyboardInterrupt:
        return tally, False
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        if sys.stderr.isatty():
            print(file=sys.stderr)


def new_pool(processes: int) -> ProcessPoolExecutor:
    """Processes that begin anew, and so with no lock of this one's."""
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(processes, mp_context=context, initializer=leave_interrupts_to_the_parent)


def leave_interrupts_to_the_parent() -> None:
    """Ctrl-C reaches all processes of a terminal; only the first one acts, and hands out no more trials.

    With a handler, as a signal that is ignored stays so in the programs that a trial starts.
    """
    signal.signal(signal.SIGINT, lambda *_: None)


def run_each_alone(part: Part, seed: int, numbers: range) -> Iterator[tuple[int, Outcome]]:
    """Trials of which one may end its process: one after another, until that one is found, and then the rest."""
    pool = new_pool(1)
    for k in numbers:
        try:
            yield from pool.submit(run_chunk, part, seed, range(k, k + 1)).result()
        except BrokenProcessPool:
            yield k, Outcome(f"trial {k}", "it ends the process in which it runs", "a process died")
            pool = new_pool(1)
    pool.shutdown()


def show_progress(part: Part, tally: Tally, count: int, seconds: float) -> None:
    """One line on stderr, written over where that is a terminal, and in tenths where it is a file."""
    line = f"{tally.tried:,} of {count:,} {part.tried}, {tally.failed:,} failed, {seconds:.0f} s"
    if sys.stderr.isatty():
        print(f"\r{line}", end="", file=sys.stderr, flush=True)
    elif (tally.tried * 10) // count > ((tally.tried - 1) * 10) // count:
        print(line, file=sys.stderr, flush=True)


def table(tallies: dict[str, tuple[Part, Tally]]) -> str:
    """The table as Markdown, which reads well on a terminal too."""
    lines = ["| part | what was tried | tried | passed | failed |", "| --- | --- | --- | --- | --- |"]
    for name, (part, tally) in tallies.items():
        numbers = " | ".join(f"{n:,}" for n in (tally.tried, tally.tried - tally.failed, tally.failed))
        note = f" ({tally.note})" if tally.note else ""
        lines.append(f"| {name} | {part.tried}{note} | {numbers} |")
    return "\n".join(lines)


def failures(name: str, tally: Tally, seed: int) -> Iterator[str]:
    """Each kind of failure: how often, the first call that shows it, and the command that repeats it."""
    for kind, (k, outcome) in sorted(tally.first.items(), key=lambda item: -tally.counts[item[0]]):
        yield f"{name}: {kind} ({tally.counts[kind]:,} times), first:"
        yield f"    {outcome.what}"
        yield f"    {outcome.wrong}"
        yield f"    python -m tests.faults --only {name} --seed {seed} --trial {k}"


MARKERS = "<!-- campaign -->", "<!-- /campaign -->"


def write_markdown(path: Path, text: str) -> None:
    """Put a text between the markers of a page, and leave the rest of it as it is."""
    page = path.read_text(encoding="utf-8")
    before, begin, rest = page.partition(MARKERS[0])
    _, end, after = rest.partition(MARKERS[1])
    if not begin or not end:
        raise ValueError(
            f"{path} has no {MARKERS[0]} followed by {MARKERS[1]}: put them where the table shall be"
        )
    path.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")


def repeat(name: str, part: Part, seed: int, k: int) -> int:
    """One trial alone, in this process; the exit status."""
    outcome = run_trial(part, seed, k)
    print(f"{name}, seed {seed}, trial {k}: {outcome.what}")
    print(outcome.wrong or "as it should be")
    return int(outcome.wrong is not None)


def chosen(parts: dict[str, Part], only: Sequence[str] | None) -> dict[str, Part]:
    """The parts of these names, or all."""
    return {name: part for name, part in parts.items() if not only or name in only}
