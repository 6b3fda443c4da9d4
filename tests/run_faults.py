"""Harms runs of models.sentiment in seeded ways, and says what came of it: for the tests and for campaigns.

`damage_runs` changes files of a sound run and asks it; `kill_trainings` kills trainings at random moments;
`kill_at_each_step` kills the writing of a run before each of its steps in the file system. Each gives a list of
`Outcome`, of which none should have failed. By itself, ``python -m tests.run_faults [COUNT [SEED]]`` prints them.
"""

import contextlib
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import pandas as pd

from datasets.text import Vocabulary
from models.sentiment.cli import main
from models.sentiment.config import DIMENSIONS, Config
from models.sentiment.encoding import Encoder
from models.sentiment.model import SentimentNetwork
from models.sentiment.run import Run
from tinygrad_np.nn import Embedding
from tinygrad_np.weights import load_weights, save_weights

ROOT = Path(__file__).parents[1]
SMALL = ["--data", "demo", "--train-size", "60", "--test-size", "20", "--epochs", "3", "--hidden", "4"]
NEEDED = ("config.json", "metrics.json", "vocabulary.txt", "weights.safetensors")
TEXT = "The plot was not good but the music was wonderful to me."


class Outcome(NamedTuple):
    """What was done, whether that is as it should be, and what was seen."""

    what: str
    passed: bool
    seen: str


def ask(*args: str | Path) -> tuple[int, str, str]:
    """Run a command in this process: its exit status (-1 for a traceback), output and errors."""
    out, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
        try:
            status = main([str(arg) for arg in args])
        except SystemExit as leaving:  # argparse
            status = int(leaving.code or 0)
        except Exception:
            status = -1
            traceback.print_exc()
    return status, out.getvalue(), errors.getvalue()


def sound_run(directory: Path, *more: str) -> Path:
    """A small training, whole."""
    status, _, errors = ask("train", *SMALL, *more, "--out", directory)
    assert status == 0, errors
    return directory


def sign(directory: Path) -> None:
    """Write `run.json` anew for the files that are there: damage that the SHA-256 does not see."""
    path = directory / "run.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    del content["sha256"]
    for name in content["files"]:
        content["files"][name] = hashlib.sha256((directory / name).read_bytes()).hexdigest()
    content["sha256"] = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


# --- damaged files ------------------------------------------------------------------------------------


def flip(run: Path, other: Path, name: str, rng: np.random.Generator) -> None:
    content = bytearray((run / name).read_bytes())
    content[rng.integers(len(content))] ^= 1 << rng.integers(8)
    (run / name).write_bytes(content)


def cut(run: Path, other: Path, name: str, rng: np.random.Generator) -> None:
    content = (run / name).read_bytes()
    (run / name).write_bytes(content[: rng.integers(len(content))])


def lengthen(run: Path, other: Path, name: str, rng: np.random.Generator) -> None:
    with (run / name).open("ab") as file:
        file.write(rng.bytes(int(rng.integers(1, 100))))


def zero(run: Path, other: Path, name: str, rng: np.random.Generator) -> None:
    content = bytearray((run / name).read_bytes())
    first = int(rng.integers(len(content)))
    content[first : first + 512] = bytes(len(content[first : first + 512]))
    (run / name).write_bytes(content)


def shuffle_lines(run: Path, other: Path, name: str, rng: np.random.Generator) -> None:
    lines = (run / name).read_bytes().splitlines(keepends=True)
    (run / name).write_bytes(b"".join(lines[i] for i in rng.permutation(len(lines))))


def reverse_words(run: Path, other: Path, name: str, rng: np.random.Generator) -> None:
    first, second, *words = (run / "vocabulary.txt").read_text(encoding="utf-8").splitlines()
    (run / "vocabulary.txt").write_text("\n".join([first, second, *words[::-1], ""]), encoding="utf-8")


def remove(run: Path, other: Path, name: str, rng: np.random.Generator) -> None:
    (run / name).unlink()


def exchange(run: Path, other: Path, name: str, rng: np.random.Generator) -> None:
    shutil.copy(other / name, run / name)


def swap_kinds(run: Path, other: Path, name: str, rng: np.random.Generator) -> None:
    shutil.copy(run / str(rng.choice(sorted({*NEEDED, "run.json"} - {name}))), run / name)


WRONG_NUMBERS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "nan": lambda a: np.where(np.arange(a.size).reshape(a.shape) == a.size // 2, np.float32("nan"), a),
    "inf": lambda a: a - np.float32("inf"),
    "1e300": lambda a: a.astype(np.float64) + 1e300,
    "float64": lambda a: a.astype(np.float64),
    "float16": lambda a: a.astype(np.float16),
    "int64": lambda a: a.astype(np.int64),
    "bool": lambda a: a > 0,
    "complex64": lambda a: a.astype(np.complex64),
    "another shape": lambda a: a[..., :-1],
}


def wrong_weights(run: Path, other: Path, name: str, rng: np.random.Generator) -> None:
    state = load_weights(run / "weights.safetensors")
    parameter = str(rng.choice(sorted(state)))
    state[parameter] = WRONG_NUMBERS[str(rng.choice(sorted(WRONG_NUMBERS)))](state[parameter])
    save_weights(run / "weights.safetensors", state)
    sign(run)


WRONG_SETTINGS: list[Any] = [
    *("x", "", "0", None, True, False, [], [1], {}, {"a": 1}, 0, -1, 1.5, 10**12, 10**30, -(10**30)),
    *(float("nan"), float("inf"), -float("inf"), 1e308, -0.5, 0.0, "\0", "é" * 1000, [[[]]]),
]


def wrong_setting(run: Path, other: Path, name: str, rng: np.random.Generator) -> None:
    config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    field = str(rng.choice(sorted(config)))
    config[field] = WRONG_SETTINGS[rng.integers(len(WRONG_SETTINGS))]
    (run / "config.json").write_text(json.dumps(config), encoding="utf-8")


DAMAGES = [flip, flip, flip, cut, lengthen, zero, shuffle_lines, remove, exchange, swap_kinds]
DAMAGES += [reverse_words, wrong_weights, wrong_setting]


def damage_runs(run: Path, other: Path, count: int, seed: int = 0) -> list[Outcome]:
    """Damage copies of a sound run in so many ways, and ask each: is it refused, or right and said to be damaged?

    Parameters
    ----------
    run, other : Path
        Two sound runs of other seeds, as `sound_run` makes them. They stay as they are.
    """
    outcomes = []
    status, right, errors = ask("predict", "--run", run, TEXT)
    assert (status, errors) == (0, ""), "the run to be damaged is not sound"
    for i in range(count):
        rng = np.random.default_rng([seed, i])
        damage = DAMAGES[rng.integers(len(DAMAGES))]
        names = sorted({path.name for path in run.iterdir()} & {path.name for path in other.iterdir()})
        name = str(rng.choice([n for n in names if n != "run.lock"]))
        with tempfile.TemporaryDirectory() as scratch:
            harmed = Path(scratch) / "run"
            shutil.copytree(run, harmed)
            damage(harmed, other, name, rng)
            before, after = (
                [(d / n).read_bytes() if (d / n).exists() else b"" for n in names] for d in (run, harmed)
            )
            changed = [n for n, one, two in zip(names, before, after) if one != two]
            status, out, errors = ask("predict", "--run", harmed, TEXT)
        refused = (
            status == 1 and errors.startswith("error: ") and len(errors) < 2000 and errors.count("\n") == 1
        )
        said = status == 0 and out == right and all(n in errors for n in changed)
        same = status == 0 and out == right and changed in ([], ["run.json"])  # a space of its text
        passed = refused if set(changed) & set(NEEDED) else refused or said or same
        outcomes.append(
            Outcome(f"{damage.__name__} {','.join(changed) or '-'} (seed {seed}, {i})", passed, errors + out)
        )
    return outcomes


# --- killed trainings ---------------------------------------------------------------------------------


def training(directory: Path, *more: str) -> "subprocess.Popen[str]":
    """Start a training in a process of its own, which leads a group of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "models.sentiment", "train", *SMALL, *more, "--out", str(directory)],
        cwd=ROOT,
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        start_new_session=True,
    )


def group_ends(group: int, seconds: float = 20) -> bool:
    """Whether all processes of a group end within so many seconds; those that do not are killed."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
    return False


def inconsistency(directory: Path) -> str:
    """What is wrong with what a killed training left: "" if it is one whole epoch, or no run at all."""
    status, out, errors = ask("evaluate", "--run", directory)
    if not (directory / "run.json").exists():
        left = [path.name for path in directory.iterdir()] if directory.exists() else []
        whole = status == 1 and "error: " in errors and "holds no config.json" in errors
        return "" if whole else f"there is no run.json, but {left}; evaluate says {errors}"
    if status != 0:
        return f"evaluate says {errors}"
    curves = pd.read_csv(directory / "metrics.csv")
    best = curves.loc[curves["validation_loss"].idxmin()]
    if f"accuracy {best['test_accuracy']:.1%}, loss {best['test_loss']:.3f}" not in out:
        return f"metrics.csv has {best['test_accuracy']}, {best['test_loss']}; evaluate says {out}"
    config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    finished = (directory / "metrics.json").exists()
    if finished != ("did not finish" not in errors) or (finished and len(curves) != config["epochs"]):
        return f"finished: {finished}, {len(curves)} epochs; evaluate says {errors}"
    if list(directory.glob("*.next")):
        return "files have not come to their names"
    return ""


def kill_trainings(count: int, seed: int = 0, workers: int = 1, seconds: float = 2.5) -> list[Outcome]:
    """Kill so many trainings within their first seconds, and look at what they left.

    Every second one goes into the directory of a whole run, of which all or nothing has to be left. Half of them
    are killed at once when a file begins to be written.
    """
    outcomes = []
    for i in range(count):
        rng = np.random.default_rng([seed, workers, i])
        moment, writing, over = rng.uniform(0, seconds), bool(rng.integers(2)), bool(i % 2)
        with tempfile.TemporaryDirectory() as scratch:
            directory = Path(scratch) / "run"
            if over:
                sound_run(directory, "--seed", "5")
            process = training(directory, "--workers", str(workers), "--seed", "6")
            begin = time.monotonic()
            while process.poll() is None and time.monotonic() < begin + (20 if writing else moment):
                if writing and any(directory.glob("*.next*")) and rng.random() < 0.2:
                    break
            process.kill()
            process.communicate()
            wrong = [] if group_ends(process.pid) else ["its workers outlive it"]
            wrong += [w for w in [inconsistency(directory)] if w]
            if over and not (directory / "run.json").exists():
                wrong.append("the old run is gone")
            status, _, errors = ask("train", *SMALL, "--seed", "6", "--resume", "--out", directory)
            left = sorted(path.name for path in directory.iterdir() if path.suffix in (".part", ".next"))
            if status or left:
                wrong.append(f"the next training ends with {status} and {left} left: {errors}")
        what = f"killed {'while it wrote' if writing else f'after {moment:.2f} s'}, {workers} workers, "
        what += f"{'over a run' if over else 'alone'} (seed {seed}, {i})"
        outcomes.append(Outcome(what, not wrong, "; ".join(wrong)))
    return outcomes


def write_run(directory: Path, marks: list[int], seed: int) -> None:
    """Write a run of three epochs without training: the bias of each epoch's weights is its mark."""
    config = Config(train_size=60, test_size=20, epochs=len(marks), hidden=4, seed=seed)
    vocabulary = Vocabulary([Vocabulary.PADDING, Vocabulary.UNKNOWN, f"word{seed}"])
    rng = np.random.default_rng(seed)
    model = SentimentNetwork(config, Embedding(3, DIMENSIONS, padding_idx=0, rng=rng), rng)
    run, history = Run(directory), []
    with run.locked():
        run.start(config, Encoder(vocabulary))
        for epoch, mark in enumerate(marks, 1):
            model.head.bias.data[:] = mark  # type: ignore[union-attr]
            row = {"epoch": epoch, "validation_loss": 1 / epoch, "test_loss": float(mark)}
            history.append(row)
            run.save_epoch(history, model.state_dict())
        with mock.patch(
            "models.report.learning_curves", lambda table, title, path: path.write_bytes(b"curves")
        ):
            run.finish(history, {"mark": marks[-1]}, "")


def kill_at_each_step(scratch: Path) -> list[Outcome]:
    """Write a run over another one, killed before its first step in the file system, its second, and so on.

    A step is whatever Python tells its audit hooks: a file is opened, renamed or removed. Call it from a process
    without threads, as it forks.
    """
    old, new = [1, 2, 3], [11, 12, 13]
    write_run(scratch / "old", old, 0)
    outcomes: list[Outcome] = []
    while not outcomes or "not killed" not in outcomes[-1].what:
        step = len(outcomes)
        directory = scratch / f"step{step}"
        shutil.copytree(scratch / "old", directory)
        pid = os.fork()
        if pid == 0:
            seen = 0

            def hook(event: str, args: tuple[Any, ...]) -> None:
                nonlocal seen
                if event in ("open", "os.rename", "os.remove") and str(directory) in str(args[0]):  # noqa: B023
                    if seen == step:  # noqa: B023
                        os.kill(os.getpid(), signal.SIGKILL)
                    seen += 1

            sys.addaudithook(hook)
            write_run(directory, new, 1)
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        what = f"killed before step {step}" if status == -signal.SIGKILL else f"not killed, {step} steps"
        run = Run(directory)
        with contextlib.redirect_stderr(io.StringIO()):
            config, encoder, model = run.load()
        mark, curves = model.head.bias.data.item(), pd.read_csv(run.epochs)  # type: ignore[union-attr]
        marks = old if mark < 10 else new
        last = json.loads(run.metrics.read_text(encoding="utf-8"))["mark"] if run.metrics.exists() else None
        passed = (
            curves["test_loss"].tolist() == marks[: marks.index(mark) + 1]
            and f"word{int(marks is new)}" in encoder.vocabulary
            and config.seed == int(marks is new)
            and (last == marks[-1] or (last is None and bool(run.notes()) and marks is new))
            and run.metrics.exists() == run.curves.exists()
            and not list(directory.glob("*.next"))
        )
        with contextlib.redirect_stderr(io.StringIO()), run.locked():
            passed = passed and not list(directory.glob("*.part"))
        outcomes.append(
            Outcome(what, passed, f"weights {mark}, curves {curves['test_loss'].tolist()}, {last}")
        )
    return outcomes


def print_outcomes(outcomes: list[Outcome]) -> int:
    """Print what failed, and how many passed; how many failed."""
    failed = [outcome for outcome in outcomes if not outcome.passed]
    for outcome in failed:
        print(f"FAILED {outcome.what}: {outcome.seen[:1000]}")
    counts = Counter(outcome.what.split()[0] for outcome in outcomes)
    print(f"{len(outcomes)} tried, {len(failed)} failed: {dict(counts)}")
    return len(failed)


if __name__ == "__main__":
    count, seed = (int(sys.argv[i]) if len(sys.argv) > i else default for i, default in ((1, 100), (2, 0)))
    with tempfile.TemporaryDirectory() as name:
        failures = print_outcomes(kill_at_each_step(Path(name)))
        one, two = (sound_run(Path(name) / str(i), "--seed", str(i)) for i in (1, 2))
        failures += print_outcomes(damage_runs(one, two, count, seed))
        for n_workers in (1, 2):
            failures += print_outcomes(kill_trainings(max(1, count // 20), seed, n_workers))
    sys.exit(failures > 0)
