"""Kill a training by `kill -9`, at any moment and in the middle of its writes, go on with it, and compare the end.

``python -m tests.kill_training COUNT SEED WORKERS`` prints what came of so many kills as JSON. It forks, so it is a
program of its own and not a part of the tests' process, which has threads.
"""

import errno
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

import tinygrad_np.functional as F
from tinygrad_np import Tensor, nn, optim
from tinygrad_np.data import Batches
from tinygrad_np.optim.schedules import CosineAnnealingLR
from tinygrad_np.parallel import workers
from tinygrad_np.training import Checkpoints, Training, fit

EPOCHS = 3


class Reader(nn.Layer):
    """A small network that draws from three generators, one of which is that of the batches too."""

    def __init__(self, rng: np.random.Generator):
        self.embedding = nn.Embedding(20, 4, rng=rng)
        self.lstm = nn.LSTM(
            4, 6, num_layers=2, dropout=0.2, recurrent_dropout=0.2, bidirectional=True, rng=rng
        )
        self.dropout = [nn.Dropout(0.3, rng=11)]
        self.noise = {"input": [np.random.default_rng(13)]}
        self.head = nn.Linear(12, 2, rng=12)

    def forward(self, words: np.ndarray, lengths: np.ndarray) -> Tensor:
        """(batch, time) and (batch,) to (batch, 2)."""
        x = self.embedding(words)
        if self.training:
            x = x + self.noise["input"][0].normal(0, 0.1, x.shape).astype(np.float32)
        output, _ = self.lstm(x, lengths=lengths)
        return self.head(self.dropout[0](output.max(axis=1)))


def train(directory: Path | None, n_workers: int, every_steps: int = 1) -> Training:
    """A whole training, or the rest of one, with all that has a state: always the same."""
    rng = np.random.default_rng(3)
    texts = [rng.integers(1, 20, n) for n in rng.integers(2, 9, 40)]
    labels = np.array([int(text.sum() % 2) for text in texts])
    model = Reader(rng)
    optimizer = optim.Adam(model.parameters(), lr=0.02)
    with workers(n_workers) as team:
        return fit(
            model,
            F.cross_entropy,
            Batches((texts[:32], labels[:32]), 4, shuffle=True, rng=rng),
            Batches((texts[32:], labels[32:]), 4),
            optimizer,
            epochs=EPOCHS,
            metrics={"accuracy": lambda outputs, targets: (outputs.data.argmax(axis=1) == targets).mean()},
            max_norm=1.0,
            schedule=CosineAnnealingLR(optimizer, 4 * EPOCHS),
            accumulate=2,
            average=optim.ExponentialMovingAverage(model.parameters(), 0.8),
            patience=EPOCHS,
            progress=False,
            team=team,
            checkpoints=None
            if directory is None
            else Checkpoints(directory, every_steps=every_steps, keep=2),
            resume=directory is not None,
        )


def end_of(training: Training) -> bytes:
    """All that a training has come to, to the bit; what depends on the clock is left out."""
    state = training.state_dict() | {"seconds": 0}
    state["history"] = [{**row, "seconds": 0} for row in state["history"]]
    return repr([(key, _bits(value)) for key, value in sorted(state.items())]).encode()


def _bits(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _bits(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_bits(part) for part in value]
    return (value.dtype.str, value.shape, value.tobytes()) if isinstance(value, np.ndarray) else value


# --- how a training is killed -------------------------------------------------------------------------


def in_a_process(directory: Path, n_workers: int, before: Callable[[], Any], end: Path) -> int:
    """Start the training, or the rest of it, in a process that leads a group of its own; its number."""
    pid = os.fork()
    os.setpgid(pid, pid)
    if pid:
        return pid
    status = 1
    try:
        before()
        training = train(directory, n_workers)
        end.write_bytes(end_of(training))
        status = 0
    except OSError as error:
        status = error.errno or 1
    finally:
        os._exit(status)


def kill_in_write(number: int, place: str, size: int) -> None:
    """Let this process be killed in its nth write of a checkpoint: before, within, or behind it.

    Within it, that is the system's own doing: it kills who writes more than a limit of a file's size. Or it refuses
    to write more, as a full disk does, and the training fails.
    """
    seen = 0

    def hook(event: str, args: tuple[Any, ...]) -> None:
        nonlocal seen
        name = str(args[0]) if args else ""
        if event == "open" and name.endswith(".part"):
            seen += 1
            if seen == number and place == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            if seen == number and place in ("within", "full disk"):
                signal.signal(signal.SIGXFSZ, signal.SIG_DFL if place == "within" else signal.SIG_IGN)
                resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
                resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        if event == "os.rename" and name.endswith(".part") and seen == number and place == "renaming":
            os.kill(os.getpid(), signal.SIGKILL)
        if event == "os.remove" and seen == number and place == "tidying":
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


PLACES = ["before", "within", "full disk", "renaming", "tidying"]


def kills(count: int, seed: int, n_workers: int) -> dict[str, Any]:
    """Kill so many times, always going on from what was left, and compare each end with that of no interruption.

    Every second one is killed in a write, the others after a random time: worker 0 alone, or all of them.

    Returns
    -------
    dict
        "ends": of each training that came to its end, whether it is the right one, and no part of a file is left.
        "kills": how they came, with how often. "left": how many of them left a part of a file.
    """
    rng = np.random.default_rng([seed, n_workers])
    came: dict[str, int] = {}
    ends: list[bool] = []
    left = 0
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        begin = time.monotonic()
        pid = in_a_process(scratch / "whole", n_workers, lambda: None, scratch / "whole.end")
        assert os.waitpid(pid, 0)[1] == 0, "the training that nobody interrupts fails"
        seconds = time.monotonic() - begin
        right = (scratch / "whole.end").read_bytes()
        run, end = scratch / "0", scratch / "0.end"
        while sum(came.values()) < count or not end.exists():
            if end.exists():
                ends.append(end.read_bytes() == right and not any(run.glob("*.part")))
                run, end = scratch / str(len(ends)), scratch / f"{len(ends)}.end"
            number, size = int(rng.integers(1, 6)), int(rng.integers(1, 30_000))
            moment, kill = rng.uniform(0, seconds / 3), (os.kill, os.killpg)[rng.integers(2)]
            place = "any moment" if rng.integers(2) else min(PLACES, key=lambda p: came.get(p, 0))
            if sum(came.values()) >= count:
                place = "nowhere"
            hook = lambda n=number, p=place, s=size: kill_in_write(n, p, s)
            pid = in_a_process(run, n_workers, hook if place in PLACES else lambda: None, end)
            if place == "any moment":
                time.sleep(moment)
                kill(pid, signal.SIGKILL)
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            expected = {"full disk": errno.EFBIG, "within": -signal.SIGXFSZ}.get(place, -signal.SIGKILL)
            assert status in (0, expected), f"the training ends with {status}, at {place}"
            if status:
                came[place] = came.get(place, 0) + 1
                left += any(run.glob("*.part"))
        ends.append(end.read_bytes() == right and not any(run.glob("*.part")))
    return {"ends": ends, "kills": came, "left": left}


# --- what the comparison is worth ---------------------------------------------------------------------


def forgetting(parts: list[str]) -> dict[str, bool]:
    """For each part of the state, whether the end is the right one where a killed training is not given it back.

    The part is then as it is at the beginning, as if no checkpoint had it. Of "" nothing is forgotten.
    """
    give_back = Training.load_state_dict
    found = {}
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        right = end_of(train(None, 1))
        pid = in_a_process(scratch / "run", 1, lambda: kill_in_write(7, "renaming", 0), scratch / "none")
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL  # within the second epoch
        for part in parts:

            def forgetful(self: Training, state: Any, part: str = part) -> None:
                give_back(self, {**state, part: self.state_dict()[part]} if part else state)

            run, end = scratch / f"run-{part}", scratch / f"end-{part}"
            shutil.copytree(scratch / "run", run)
            with mock.patch.object(Training, "load_state_dict", forgetful):
                pid = in_a_process(run, 1, lambda: None, end)
            assert os.waitpid(pid, 0)[1] == 0, f"it fails without {part}"
            found[part] = end.read_bytes() == right
    return found


if __name__ == "__main__":
    what, *arguments = sys.argv[1:]
    print(
        json.dumps(forgetting(arguments) if what == "forgetting" else kills(int(what), *map(int, arguments)))
    )
