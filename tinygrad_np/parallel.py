"""Several workers on one training: each takes its shard of a batch, and their gradients are summed.

Every worker holds the whole model, gets the same sums and takes the same steps, so that the models never
differ by a bit and only gradients travel. A training is written once, for any number of workers::

    with workers(4) as team:
        data, model = load()                   # processes of one machine: still worker 0 alone
        team.start(count, np.float32)          # from here all workers run the same lines ...
        rows = rows[team.shard]                # ... each on its own shard
        team.all_reduce(gradients)
    report()                                   # worker 0 alone; the others have left

The seam is `rank`, `size` and `all_reduce`. Behind it are one worker, processes of one machine that share
memory, or the ranks of MPI, on one machine or many.
"""

from __future__ import annotations

import mmap
import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike

from tinygrad_np.extras import import_optional

READY = b"\0"
NOT_STARTED = "all_reduce of workers that have not been started: call start(count, dtype) first"
GOES_ON, LEFT, FAILED = range(3)  # what a rank of MPI says of itself
MPI_MEMORY = "/dev/shm/mpich_shm_*"  # where MPICH's ranks of one machine meet


class WorkerLost(RuntimeError):
    """A worker died or failed, and the others cannot go on without its shard."""


class Workers:
    """One worker alone, and what the others have in common with it.

    Attributes
    ----------
    rank : int
        Which worker this is, from 0. Worker 0 prints and writes files.
    size : int
        How many there are.
    started : bool
        Whether they run, each by itself.
    """

    rank = 0
    size = 1
    started = False

    @property
    def shard(self) -> slice:
        """The rows of a batch that are this worker's: every nth.

        A batch that is sorted by length is so divided into shards that take about the same time.
        """
        return slice(self.rank, None, self.size)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        """The end of all workers but worker 0."""

    def start(self, count: int, dtype: DTypeLike) -> None:
        """Let the workers run from here. No sum will be of more than `count` numbers; it is made in `dtype`."""
        self.started = True

    def all_reduce(self, arrays: Sequence[np.ndarray]) -> None:
        """Put the sum over all workers into each array, to the same bit in every worker.

        All workers call it together, with arrays of the same shapes; several round them to the dtype of `start`.

        Raises
        ------
        WorkerLost
            In worker 0: another one died, or left with an error.
        RuntimeError
            Several workers have not been started.
        """


class Processes(Workers):
    """Processes of this machine, forked: they have the data because it was there before, not as a copy.

    Each writes into its row of a shared array and tells worker 0, which adds up the rows and tells the
    others. They tell by a byte through a socket. Whoever waits for it sleeps, and the socket of a process
    that dies is closed by the system: its reader wakes at once, so nobody waits for the dead or outlives them.
    """

    def __init__(self, size: int):
        if not hasattr(os, "fork"):
            raise ValueError(f"{size} workers need fork, which {sys.platform} lacks: use mpiexec instead")
        self.size = size
        self.total = self.parts = np.zeros((0, 0))  # until `start`
        self.others: dict[int, tuple[int, socket.socket]] = {}  # in worker 0: process and channel by rank

    def start(self, count: int, dtype: DTypeLike) -> None:
        self.started, dtype = True, np.dtype(dtype)
        # without a name: it is shared by being inherited, and the system frees it with the last process
        memory = mmap.mmap(-1, (1 + self.size) * count * dtype.itemsize)
        rows = np.frombuffer(memory, dtype).reshape(1 + self.size, count)
        self.total, self.parts = rows[0], rows[1:]
        pairs = [socket.socketpair() for _ in range(1, self.size)]
        # the others ignore Ctrl-C and SIGTERM, which may reach all: worker 0 answers them, and ends the others
        handlers = {
            number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            for rank, (ours, theirs) in enumerate(pairs, 1):
                pid = os.fork()
                if pid == 0:
                    self.rank, self.channel = rank, theirs
                    self.others.clear()
                    for channel in {end for pair in pairs for end in pair} - {theirs}:
                        channel.close()  # an end that is held here would not close when its owner dies
                    return
                self.others[rank] = pid, ours
        finally:
            if self.rank == 0:
                for number, handler in handlers.items():
                    signal.signal(number, handler)
        for _, theirs in pairs:
            theirs.close()

    def all_reduce(self, arrays: Sequence[np.ndarray]) -> None:
        if not len(self.parts):
            raise RuntimeError(NOT_STARTED)
        count = _pack(arrays, self.parts[self.rank])
        if self.rank:
            try:
                self.channel.sendall(READY)
                alone = self.channel.recv(1) != READY
            except ConnectionError:
                alone = True
            if alone:
                sys.exit(1)  # worker 0 is gone, or will never ask again
        else:
            for rank in sorted(self.others):
                self._await(rank)
            # only now has everyone read the sum before this one, which is overwritten
            np.sum(self.parts[:, :count], axis=0, out=self.total[:count])
            for _, channel in self.others.values():
                with suppress(ConnectionError):  # one that died meanwhile is missed at the next sum
                    channel.sendall(READY)
        _unpack(self.total, arrays)

    def _await(self, rank: int) -> None:
        """Wait until a worker has written its part of the sum."""
        pid, channel = self.others[rank]
        word = b""
        with suppress(ConnectionError):
            word = channel.recv(1)
            if word == READY:
                return
            while more := channel.recv(4096):  # an error, as a sentence
                word += more
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        del self.others[rank]
        channel.close()
        if word:
            how = f"failed: {word.decode(errors='replace')}"
        elif status < 0:
            how = f"was killed by {signal.Signals(-status).name}"
        else:
            how = f"ended with exit status {status}"
        raise WorkerLost(f"worker {rank + 1} of {self.size} {how}")

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if self.rank:
            if isinstance(error, Exception):
                with suppress(ConnectionError):
                    self.channel.sendall(f"{type(error).__name__}: {error}".encode())
            os._exit(0 if error is None else 1)  # what the parent has not yet flushed is not written twice
        for pid, channel in self.others.values():
            channel.close()
            os.kill(pid, signal.SIGKILL)  # a worker has nothing to write or to tidy
            os.waitpid(pid, 0)


class Ranks(Workers):
    """The processes that mpiexec has started, on one machine or many: MPI sums.

    Before its numbers, every sum holds a number for each rank: does it go on, has it left, has it failed? So a
    rank that ends tells the others at the sum that they wait for, and they end too, each by itself:
    MPI's own `Abort` may kill mpiexec before it has passed on what the rank said last.
    """

    def __init__(self) -> None:
        _sweep_mpi_memory()
        self.world: Any = import_optional("mpi4py.MPI").COMM_WORLD
        self.in_place: Any = import_optional("mpi4py.MPI").IN_PLACE
        self.rank, self.size = self.world.rank, self.world.size
        self.flat = np.zeros(self.size)  # until `start`
        self.ended = False
        if self.rank:  # mpiexec hands Ctrl-C and SIGTERM to all: worker 0 answers
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)

    def start(self, count: int, dtype: DTypeLike) -> None:
        self.started = True
        self._sum(GOES_ON)  # who failed before, while loading for instance, met with as short a sum
        self.flat = np.zeros(self.size + count, dtype)

    def all_reduce(self, arrays: Sequence[np.ndarray]) -> None:
        if len(self.flat) == self.size:
            raise RuntimeError(NOT_STARTED)
        self.flat[self.size :] = 0
        _pack(arrays, self.flat[self.size :])
        self._sum(GOES_ON)
        _unpack(self.flat[self.size :], arrays)

    def _sum(self, state: int, why: str = "") -> None:
        """The sum of all ranks; it ends this one when another one has ended, as `all_reduce` says."""
        self.flat[: self.size] = 0
        self.flat[self.rank] = state
        self.world.Allreduce(self.in_place, self.flat)
        states = self.flat[: self.size]
        if not states.any():
            return
        self.ended = True
        if not (states == FAILED).any():
            if state == GOES_ON:
                sys.exit()  # worker 0 has left
            return
        rank = int(np.argmax(states))
        text = np.zeros(1000, np.uint8)
        if rank == self.rank:
            words = why.encode()[: len(text)]
            text[: len(words)] = np.frombuffer(words, np.uint8)
        self.world.Bcast(text, root=rank)
        if self.rank == 0 < rank:
            said = bytes(text).rstrip(b"\0").decode(errors="replace")
            raise WorkerLost(f"worker {rank + 1} of {self.size} failed: {said}")
        if state == GOES_ON:
            sys.exit(1)

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if not self.ended:
            self.flat[:] = 0
            if self.rank == 0 and not isinstance(error, Exception):
                self._sum(LEFT)  # after Ctrl-C the others are at another sum, and leave with this
            elif error is None:
                self._sum(GOES_ON)
            else:
                self._sum(FAILED, f"{type(error).__name__}: {error}")
        if self.rank:
            sys.exit(0 if error is None else error.code if isinstance(error, SystemExit) else 1)


class ShardedGenerator(np.random.Generator):
    """A random generator that draws for the whole batch, and returns the rows of one worker's shard.

    A row meets the same numbers whoever computes it. And the generators of all workers, which start in the
    same state, stay in the same state. It takes the place of a layer's generator, Dropout's for instance::

        generator = dropout.rng = ShardedGenerator(dropout.rng, team)
        for batch in batches:
            generator.batch_size = len(batch)
            model(batch[team.shard])

    Parameters
    ----------
    rng : numpy.random.Generator
        Whose numbers these are: its state is shared.
    team : Workers
        Once started.
    """

    def __init__(self, rng: np.random.Generator, team: Workers):
        super().__init__(rng.bit_generator)
        self.shard = team.shard
        self.batch_size = 0

    def random(self, size: Any = None, dtype: Any = np.float64) -> Any:  # type: ignore[override]
        """Uniform numbers from [0, 1) of shape `size`, whose first axis is that of the shard's rows.

        So are those of the next four. One number, without a size, is the same for all workers.

        Raises
        ------
        ValueError
            The shard of a batch of `batch_size` has another number of rows.
        """
        return self._own_rows(super().random(self._of_batch(size), dtype))

    def uniform(self, low: Any = 0.0, high: Any = 1.0, size: Any = None) -> Any:
        """Uniform numbers from [low, high)."""
        return self._own_rows(super().uniform(low, high, self._of_batch(size)))

    def normal(self, loc: Any = 0.0, scale: Any = 1.0, size: Any = None) -> Any:
        """Normal numbers."""
        return self._own_rows(super().normal(loc, scale, self._of_batch(size)))

    def standard_normal(self, size: Any = None, dtype: Any = np.float64) -> Any:  # type: ignore[override]
        """Normal numbers of mean 0 and variance 1."""
        return self._own_rows(super().standard_normal(self._of_batch(size), dtype))

    def integers(self, low: Any, high: Any = None, size: Any = None, dtype: Any = np.int64) -> Any:  # type: ignore[override]
        """Whole numbers from `low` to below `high`."""
        return self._own_rows(super().integers(low, high, self._of_batch(size), dtype))

    def __getattribute__(self, name: str) -> Any:
        if name in _NOT_SHARDED:
            raise AttributeError(
                f"a ShardedGenerator has no {name}, which would draw other numbers than for the whole batch: it "
                "has random, uniform, normal, standard_normal and integers"
            )
        return super().__getattribute__(name)

    def _of_batch(self, size: Any) -> tuple[int, ...] | None:
        """The shape for the whole batch, of that for the rows of this worker."""
        if size is None:
            return None
        shape = np.broadcast_shapes(size)
        rows = len(range(self.batch_size)[self.shard])
        if shape[:1] != (rows,):
            raise ValueError(
                f"random numbers of shape {shape} are asked for, and of a batch of {self.batch_size} this worker "
                f"has {rows} rows: set batch_size to the size of the whole batch"
            )
        return (self.batch_size, *shape[1:])

    def _own_rows(self, drawn: Any) -> Any:
        return drawn[self.shard] if isinstance(drawn, np.ndarray) else drawn


# what else a generator draws
_NOT_SHARDED = {name for name in vars(np.random.Generator) if name[0] != "_"} - {
    *vars(ShardedGenerator),
    "bit_generator",
}


def workers(size: int) -> Workers:
    """As many workers on this machine; under mpiexec, one a rank, and `size` stays 1.

    Raises
    ------
    ValueError
        `size` asks for more under mpiexec, or processes cannot be forked here.
    """
    # set by MPICH and Slurm; by Open MPI and Slurm; by older Open MPI
    if any(name in os.environ for name in ("PMI_RANK", "PMIX_RANK", "OMPI_COMM_WORLD_RANK")):
        if size != 1:
            raise ValueError(f"mpiexec says how many workers there are: leave out the {size} asked for here")
        return Ranks()
    return Processes(size) if size > 1 else Workers()


def _pack(arrays: Sequence[np.ndarray], flat: np.ndarray) -> int:
    """Write arrays one after another into a flat one; how many numbers they are."""
    for array in arrays:
        if not isinstance(array, np.ndarray):
            raise TypeError(
                f"all_reduce takes arrays, not {array!r:.80}; make one of a gradient of few rows with to_dense()"
            )
    count = sum(array.size for array in arrays)
    if count > len(flat):
        raise ValueError(f"a sum of {count} numbers, and start was told of {len(flat)} at most")
    np.concatenate([array.ravel() for array in arrays], out=flat[:count], casting="same_kind")
    return count


def _unpack(flat: np.ndarray, arrays: Sequence[np.ndarray]) -> None:
    """Read them back."""
    start = 0
    for array in arrays:
        array[...] = flat[start : start + array.size].reshape(array.shape)
        start += array.size


def _sweep_mpi_memory() -> None:
    """Remove the shared memory that MPICH's ranks left when they were killed, 2 MB a job: nothing else does.

    It is theirs no more when no process maps it. A job that begins just now is left alone.
    """
    left = {}
    for path in Path("/").glob(MPI_MEMORY[1:]):
        with suppress(OSError):  # what is gone meanwhile
            about = path.stat()
            if about.st_uid == os.getuid() and time.time() - about.st_mtime > 10:
                left[str(path)] = path
    if not left or not Path("/proc/self/maps").exists():
        return
    for maps in Path("/proc").glob("[0-9]*/maps"):
        with suppress(OSError):  # of another user, as are the files it maps
            mapped = maps.read_text(encoding="utf-8", errors="replace")
            left = {name: path for name, path in left.items() if name not in mapped}
    for path in left.values():
        path.unlink(missing_ok=True)
