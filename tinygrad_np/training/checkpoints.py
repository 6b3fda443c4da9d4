"""Checkpoints: the state of a training in a directory, from which it goes on as if it had never been interrupted.

Each is one file, ``step-000001200.safetensors``, written beside and renamed: a kill at any moment leaves the whole
file or none. The best one is called ``step-000001200-best.safetensors``. Needs the extra ``weights``.
"""

from __future__ import annotations

import json
import operator
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tinygrad_np.files import atomic_write, locked
from tinygrad_np.training import states

_NAME = re.compile(r"step-(\d{9,})(-best)?\.safetensors")


class Checkpoints:
    """The last checkpoints of one training, and its best one.

    `fit` does all of the following by itself. In a loop of one's own::

        checkpoints = Checkpoints("runs/first", every_steps=500, identity=asdict(config))
        state = checkpoints.start(resume)
        if state is not None:
            ...                                # hand everything its state back
        for step in ...:
            ...
            if checkpoints.is_due(step):
                checkpoints.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), ...}, step)

    Parameters
    ----------
    directory : path
        Is made where it is not there. It holds one training.
    every_steps, every_seconds : optional
        When `is_due` says so: at every nth step; when so many seconds have passed since the last one.
    keep : int
        How many of the last checkpoints to keep; the best one stays besides.
    identity : mapping
        What has to be the same to go on: settings, a hash of the data. JSON has to be able to hold it.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        every_steps: int | None = None,
        every_seconds: float | None = None,
        keep: int = 3,
        identity: Mapping[str, Any] | None = None,
    ):
        for name, value in (("every_steps", every_steps), ("keep", keep)):
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
                raise ValueError(f"Checkpoints takes a whole number from 1 for {name}, not {value!r}")
        if every_seconds is not None and not every_seconds >= 0:
            raise ValueError(f"Checkpoints takes a number from 0 for every_seconds, not {every_seconds!r}")
        self.directory = Path(directory)
        self.every_steps = every_steps
        self.every_seconds = every_seconds
        self.keep = keep
        self.identity = json.loads(json.dumps(dict(identity or {})))  # as it comes back from a file
        self._lock = ExitStack()
        self._step: int | None = None  # of the last checkpoint of this training, once it began; 0 before it
        self._saved_at = time.monotonic()

    # --- a training ---

    def start(self, resume: bool | int = False) -> dict[str, Any] | None:
        """Begin a training, or go on with one: from here on no other process can write into the directory.

        Parameters
        ----------
        resume : bool or int
            True goes on from the newest checkpoint, a number from that of this step. Those of later steps are
            removed when the first new one is written.

        Returns
        -------
        dict or None
            The state to go on from; None at the beginning, and where there is no checkpoint yet.

        Raises
        ------
        FileExistsError
            The training is a new one, and the directory holds checkpoints of another.
        BlockingIOError
            Another process trains into the directory.
        OSError
            The directory cannot be made, or written to.
        FileNotFoundError, ValueError
            See `load`.
        """
        self.close()
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            self._lock.enter_context(locked(self.directory / "checkpoints.lock"))
        except BlockingIOError:
            raise
        except OSError as error:
            told = f"checkpoints cannot be written into {self.directory}: {error.strerror or error}"
            raise OSError(error.errno, told) from error
        try:
            return self._begin(resume)
        except BaseException:
            self.close()
            raise

    def _begin(self, resume: bool | int) -> dict[str, Any] | None:
        found = self.steps()
        if resume is False and found:
            raise FileExistsError(
                f"{self.directory} holds checkpoints of a training, the last of step {found[-1]}: go on with it by "
                "resume=True, or take another directory for a new one, or remove them"
            )
        self._saved_at = time.monotonic()
        if resume is False or (resume is True and not found):
            self._step = 0
            return None
        step = found[-1] if resume is True else resume
        state = self.load(step)
        self._step = step
        return state

    def is_due(self, step: int) -> bool:
        """Whether a checkpoint is due after a step."""
        if self.every_steps is not None and step % self.every_steps == 0:
            return True
        return self.every_seconds is not None and time.monotonic() >= self._saved_at + self.every_seconds

    def save(self, state: Mapping[str, Any], step: int, is_best: bool = False) -> None:
        """Write a checkpoint, and remove those that are not kept any more.

        Parameters
        ----------
        state : mapping
            Nested dicts and lists of numbers, strings, bools, None and arrays; see `states.pack`.
        step : int
            How many steps were made.
        is_best : bool
            Whether it is the best so far: it is kept until there is a better one.

        Raises
        ------
        OSError
            It could not be written, for instance because the disk is full: the older ones are as they were.
        TypeError
            The state holds something else.
        """
        if self._step is None:
            self.start()
        before, step = self._step or 0, operator.index(step)
        if step < before:
            raise ValueError(f"a checkpoint of step {step} cannot follow that of step {before}")
        content = states.pack(state, {"step": step, "identity": self.identity})
        is_best = is_best or step == self.best_step()
        path = self._path(step, is_best)
        with atomic_write(path) as part, open(part, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # before it has its name: a power cut leaves no empty file under it
        self._saved_at = time.monotonic()
        self._step = step
        self._tidy(step)

    def _tidy(self, step: int) -> None:
        """Remove what is not kept beside the checkpoint that was just written; only one is called the best."""
        found = self._found()
        of_this = [s for s in found if s <= step]  # later ones came behind one that was asked for by its step
        best_step = max((s for s in of_this if found[s]), default=None)
        kept = {*of_this[-self.keep :], best_step}
        for other, was_best in found.items():
            if other not in kept:
                self._path(other, True).unlink(missing_ok=True)
            elif was_best and other != best_step:
                os.replace(self._path(other, True), self._path(other, False))
            if other not in kept or other == best_step:
                self._path(other, False).unlink(missing_ok=True)

    def close(self) -> None:
        """Let other processes write into the directory again. The end of the process does so too."""
        self._lock.close()
        self._step = None

    # --- reading ---

    def steps(self) -> list[int]:
        """The steps of which there are checkpoints, in order."""
        return sorted(self._found())

    def best_step(self) -> int | None:
        """The step of the best checkpoint; None where none was called so."""
        return max((step for step, best in self._found().items() if best), default=None)

    def load(self, step: int | None = None) -> dict[str, Any]:
        """The state of a checkpoint: of the newest, or of a step.

        Raises
        ------
        FileNotFoundError
            There is no such checkpoint.
        ValueError
            It was cut or altered: the sentence says which other one may be asked for by its step. Or it is of a
            training of another identity.
        """
        found = self._found()
        if step is None and found:
            step = max(found)
        if step is None or step not in found:
            there = f"there are those of the steps {', '.join(map(str, found))}" if found else "there is none"
            raise FileNotFoundError(f"{self.directory} holds no checkpoint of step {step}: {there}")
        path = self._path(step, found[step])
        try:
            state, identity = self._read(path)
        except ValueError as error:
            raise ValueError(f"{path} {error}; {self._instead_of(step)}") from error
        if differences := _differences(identity, self.identity):
            raise ValueError(
                f"{path} is of another training: {', '.join(differences)}; go on with what it was, or take another "
                "directory"
            )
        return state

    def _read(self, path: Path) -> tuple[dict[str, Any], Any]:
        """The state and the identity in a file, if that is as it was written."""
        state, about = states.unpack(path.read_bytes())
        if path.name not in {self._path(about["step"], best).name for best in (False, True)}:
            raise ValueError(f"is that of step {about['step']} under another name")
        return state, about["identity"]

    def _instead_of(self, damaged: int) -> str:
        """Which checkpoint may take the place of a damaged one: the newest of those before it that are whole."""
        for step in reversed([step for step in self.steps() if step < damaged]):
            try:
                self._read(self._path(step, self._found()[step]))
            except ValueError:
                continue
            return (
                f"that of step {step} is whole, and is used when it is asked for by its step (resume={step})"
            )
        return "there is no older one that is whole"

    def _found(self) -> dict[int, bool]:
        """The steps of the files that are there, in order, and whether each is called the best."""
        found: dict[int, bool] = {}
        for path in self.directory.iterdir() if self.directory.is_dir() else ():
            if match := _NAME.fullmatch(path.name):
                step = int(match[1])
                found[step] = found.get(step, False) or bool(match[2])
        return dict(sorted(found.items()))

    def _path(self, step: int, is_best: bool) -> Path:
        return self.directory / f"step-{step:09}{'-best' if is_best else ''}.safetensors"

    def __repr__(self) -> str:
        return f"Checkpoints({str(self.directory)!r}, steps {self.steps()}, the best {self.best_step()})"


def _differences(was: Any, now: Any) -> list[str]:
    """What differs between two identities, by dotted names."""
    old, new = dict(_flat(was, "")), dict(_flat(now, ""))
    found = [f"{name} was {old[name]!r} and is not set" for name in old if name not in new]
    found += [f"{name} is {new[name]!r} and was not set" for name in new if name not in old]
    return found + [
        f"{name} was {old[name]!r} and is {new[name]!r}"
        for name in old
        if name in new and old[name] != new[name] and repr(old[name]) != repr(new[name])  # NaN is the same
    ]


def _flat(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    """What is in nested dicts, by dotted names."""
    if not isinstance(value, dict):
        yield name, value
        return
    for key, part in value.items():
        yield from _flat(part, f"{name}.{key}" if name else key)
