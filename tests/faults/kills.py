"""Trainings killed at random moments: what is left is one whole epoch, or nothing, and the next start works.

A training of a second or two is started as a process of its own, with one or two workers, into a new directory
or over a finished run. It is killed at a moment drawn from all of its time, or right when it writes: the listing
of the directory is watched, and one of its changes is the moment. Then the run is loaded and tested again: loss
and accuracy have to be those that the run itself says of its best epoch, number by number, and no epoch that was
told is missing. Then it is gone on with, to its end.
"""

from __future__ import annotations

import atexit
import contextlib
import csv
import functools
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from models.sentiment.cli import main
from models.sentiment.run import Run
from models.sentiment.sources import load_test
from tests.faults.campaign import Outcome, Part
from tests.faults.values import pick
from tinygrad_np.data import Batches
from tinygrad_np.training import evaluate

ROOT = Path(__file__).parents[2]
SIZES = ["--train-size", "60", "--test-size", "20", "--hidden", "6", "--lr", "0.02"]
SECONDS = 4.0  # of which a moment is drawn; the import takes one, the training two
PATIENCE = 30.0  # for what a killed process leaves to end


EPOCHS = 5


def command(out: Path, seed: int, workers: int, epochs: int = EPOCHS) -> list[str]:
    """A short training."""
    sizes = [*SIZES, "--epochs", str(epochs)]
    arguments = [
        "train",
        "--data",
        "demo",
        *sizes,
        "--seed",
        str(seed),
        "--workers",
        str(workers),
        "--out",
        str(out),
    ]
    return [sys.executable, "-m", "models.sentiment", *arguments]


def listing(directory: Path) -> list[tuple[str, int, int]]:
    """The files of a directory with size and time: it changes when anything is written."""
    found = []
    with contextlib.suppress(FileNotFoundError):
        for entry in os.scandir(directory):
            with contextlib.suppress(FileNotFoundError):
                status = entry.stat()
                found.append((entry.name, status.st_size, status.st_mtime_ns))
    return sorted(found)


def kill_at(process: subprocess.Popen[str], out: Path, rng: np.random.Generator) -> str:
    """Wait for a moment of the seed's choosing, and kill; what was done, as text."""
    number, to = pick(
        rng,
        [
            (signal.SIGKILL, "it"),
            (signal.SIGKILL, "it"),
            (signal.SIGKILL, "all"),
            (signal.SIGTERM, "it"),
            (signal.SIGINT, "it"),
        ],
    )
    start = time.perf_counter()
    if rng.random() < 0.4:
        seconds = float(rng.uniform(0.05, SECONDS))
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
        moment = f"after {seconds:.2f} s"
    else:
        change, delay, before, seen = int(rng.integers(1, 40)), float(rng.exponential(0.001)), listing(out), 0
        while seen < change and process.poll() is None and time.perf_counter() - start < PATIENCE:
            now = listing(out)
            seen += now != before
            before = now
            time.sleep(0.0002)
        time.sleep(delay)
        moment = f"{1000 * delay:.1f} ms after change {seen} of the directory"
    ended = process.poll() is not None
    with contextlib.suppress(ProcessLookupError):
        if to == "all":
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
    return f"{signal.Signals(number).name} to {to} {moment}{', which had ended' if ended else ''}"


def all_ended(group: int) -> bool:
    """Whether no process of a group is left, workers among them, within some seconds."""
    end = time.perf_counter() + PATIENCE
    while time.perf_counter() < end:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    os.killpg(group, signal.SIGKILL)
    return False


@functools.cache
def finished_run() -> Path:
    """A run that is whole, made once in each process."""
    out = Path(tempfile.mkdtemp(prefix="faults-finished-"))
    atexit.register(shutil.rmtree, out, ignore_errors=True)
    subprocess.run(command(out, 99, 1), cwd=ROOT, check=True, capture_output=True)
    return out


def state_of(out: Path) -> tuple[int, str | None]:
    """How many epochs the run in a directory says that it has, 0 if there is none; and what is wrong with it."""
    run = Run(out)
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # a note on who left the directory
            config, encoder, model = run.load()
    except FileNotFoundError as error:
        text = str(error)
        return 0, None if "\n" not in text and str(out) in text else f"not one clear sentence: {text}"
    except Exception as error:
        return 0, f"what is left cannot be loaded: {type(error).__name__}: {error}"
    if not run.epochs.exists():
        return 0, "weights are there without metrics.csv"
    test = load_test(config)
    data = Batches(encoder.encode(test.texts, test.labels), config.batch_size)
    tested = evaluate(model, model.loss, data, {"accuracy": model.accuracy})
    with open(run.epochs, encoding="utf-8", newline="") as file:
        rows = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]
    if not rows:
        return 0, "weights without a row of metrics"
    best = min(rows, key=lambda row: row["validation_loss"])
    for name, found in tested.items():
        told = best[f"test_{name}"]
        if not np.isclose(found, told, rtol=1e-5, atol=1e-7):
            return len(
                rows
            ), f"the weights have a test {name} of {found:.6f}, and metrics.csv says {told:.6f}"
    return len(rows), None


def check(out: Path, before: bool, told: int, seed: int) -> str | None:
    """What is wrong with what a killed training left, and with going on with it."""
    if not out.exists():
        epochs, wrong = 0, None
    else:
        epochs, wrong = state_of(out)
    if wrong:
        return wrong
    if before and not epochs:
        return "the finished run that was there is lost"
    if told and epochs < told and not before:
        return f"{told} epochs were told as done, and {epochs} are there"
    quiet = io.StringIO()
    with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
        again = main([*command(out, seed, 1)[3:], "--resume"])
    if again != 0:
        return f"going on fails: {quiet.getvalue().strip().splitlines()[-1]}"
    epochs, wrong = state_of(out)
    if wrong or epochs != EPOCHS:
        return f"going on leaves {epochs} epochs: {wrong}"
    left = [name for name, *_ in listing(out) if name.endswith((".part", ".next"))]
    return f"files are left over: {', '.join(left)}" if left else None


def trial(seed: int, k: int, directory: Path) -> Outcome:
    """One training, one kill."""
    rng = np.random.default_rng([seed, k])
    out, workers, before = directory / "run", 1 + k % 2, bool(rng.random() < 0.4)
    if before:
        shutil.copytree(finished_run(), out)
    process = subprocess.Popen(
        command(out, k, workers),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        start_new_session=True,
    )
    done = kill_at(process, out, rng)
    what = f"{workers} workers, {'over a finished run' if before else 'into a new directory'}: {done}"
    left = not all_ended_of(process)
    said, _ = process.communicate(timeout=PATIENCE)
    told = len(re.findall(r"epoch +\d+: train", said))
    if left:
        return Outcome(what, f"a worker of it still ran after {PATIENCE:.0f} s", "a worker is left")
    if "Traceback" in said:
        return Outcome(what, f"it ends with a traceback: {said.strip().splitlines()[-1]}", "a traceback")
    wrong = check(out, before, told, k)
    return Outcome(what, wrong, re.sub(r"[0-9a-f]{32}|/\S+|\d+(\.\d+)?", "...", wrong) if wrong else "")


def all_ended_of(process: subprocess.Popen[str]) -> bool:
    """Whether a process and those that it started end; it is reaped on the way, as else it stays in its group."""
    end = time.perf_counter() + PATIENCE
    while process.poll() is None and time.perf_counter() < end:
        time.sleep(0.02)
    return all_ended(process.pid)


KILLS = Part("killed trainings", trial, full=60, short=2, seconds=150.0)
