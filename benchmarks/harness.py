"""What every benchmark here shares: peers in processes of their own, the same numbers first, then turns.

A peer is a module of `benchmarks.peers`, started as a process of its own so that its threads, its memory and
its settings are its own. The parent speaks to it in lines of JSON, and hands it arrays in files. Of some
contenders only one works at a time, while the others wait for their next line: in each round all take their
turn, so that what else the machine does meets all of them. A contender may be several processes, which then
work at the same time.

All that is measured runs in a process that was started with `environment`, so that no figure depends on what the
shell of this machine happens to say about threads or about the kernel of NumPy's BLAS.
"""

from __future__ import annotations

import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeAlias, TypeVar

import numpy as np

from tinygrad_np.extras import import_optional

Arrays: TypeAlias = Mapping[str, np.ndarray]
Item = TypeVar("Item")

ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1"}
NEEDS: dict[str, tuple[str, dict[str, str]]] = {  # the package behind a peer, and what its process is told
    "ours": ("numpy", ONE_THREAD),
    "refinements": ("numpy", ONE_THREAD),
    "general": ("numpy", ONE_THREAD),
    "plain": ("numpy", ONE_THREAD),
    "tutorial": ("numpy", ONE_THREAD),
    "files": ("pandas", ONE_THREAD),
    "scaling": ("numpy", ONE_THREAD),
    "profile": ("numpy", ONE_THREAD),
    "pytorch": ("torch", {}),
    "jax": ("jax", {"JAX_PLATFORMS": "cpu"}),
    "mygrad": ("mygrad", ONE_THREAD),
    "autograd": ("autograd", ONE_THREAD),
}
# What a measured process does not take over: numbers of threads, and two settings that make OpenBLAS, NumPy's
# BLAS, use the kernel or the block sizes of another processor than the one it runs on.
DROPPED = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_CORETYPE",
    "OPENBLAS_L2_SIZE",
)
A_TURN = 0.25  # seconds: what takes less is done several times in a turn, so that caches are warm
PAUSE = 0.02  # seconds before a turn, in which the threads of the last peer fall asleep


@dataclass(frozen=True)
class Options:
    """What the command line says."""

    repeats: int = 7
    data_dir: Path | None = None


@dataclass(frozen=True)
class Row:
    """What was measured of one contender: a line of the closing table.

    `limit` is the best that the machine could do with as many cores, where that is known. It counts the work
    as it stands in the textbook: who finds a way to leave out some of it may be beyond. `about` are versions
    and threads.
    """

    case: str
    what: str
    peer: str
    unit: str
    values: list[float]
    limit: float | None = None
    about: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def spread(self) -> tuple[float, float]:
        """The quartiles."""
        low, high = np.quantile(self.values, (0.25, 0.75)).tolist()
        return low, high

    @property
    def more_is_better(self) -> bool:
        return self.unit.endswith("/s")

    def times_better_than(self, other: Row) -> float:
        """How many times as fast, or as small, this is as another."""
        ratio = self.median / other.median
        return ratio if self.more_is_better else 1 / ratio

    def of_the_limit(self) -> float | None:
        """The fraction of what the machine could do."""
        if self.limit is None:
            return None
        return self.median / self.limit if self.more_is_better else self.limit / self.median


def environment(module: str) -> dict[str, str]:
    """The environment of a measured process: ours without what is `DROPPED`, and with what a peer needs."""
    kept = {key: value for key, value in os.environ.items() if key not in DROPPED}
    return kept | NEEDS[module][1]


class Peer:
    """A process that holds one job of a module of `benchmarks.peers`.

    Parameters
    ----------
    module : str
        Its name in `benchmarks.peers`.
    threads : int
        How many it may use. JAX takes what it finds.
    before : sequence of str
        What stands before the command that starts it: a program that measures it.
    """

    def __init__(self, module: str, threads: int = 1, before: Sequence[str] = ()):
        self.files = tempfile.TemporaryDirectory()
        self.process = subprocess.Popen(
            [*before, sys.executable, "-m", "benchmarks.peers", module, str(threads)],
            env=environment(module),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[1],
            text=True,
            encoding="utf-8",
        )
        self.module = module
        self.about: str = self.receive()  # versions and threads

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.process.kill()  # it may be busy for long
        self.process.communicate()  # closes its input, upon which it ends
        self.files.cleanup()

    def send(self, **request: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()

    def receive(self) -> Any:
        """Its answer.

        Raises
        ------
        RuntimeError
            It ended instead; what it had to say stands on the error output.
        """
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the peer {self.module} ended with status {self.process.wait()}: see above")
        return json.loads(line)

    def prepare(self, job: str, arrays: Arrays, **settings: Any) -> None:
        """Give it the job that it does from now on: a function of its module, with these arguments."""
        path = Path(self.files.name) / "inputs.npz"
        contents: dict[str, Any] = {**arrays}
        np.savez(path, **contents)
        self.send(prepare=job, arrays=str(path), settings=settings)
        self.receive()

    def results(self) -> dict[str, np.ndarray]:
        """What the job computes, by name."""
        path = Path(self.files.name) / "results.npz"
        self.send(results=str(path))
        self.receive()
        with np.load(path, allow_pickle=False) as results:
            return dict(results)


@dataclass
class Contender:
    """One bar of the chart: a name, the processes behind it, and how many tokens or ops its job has."""

    name: str
    peers: list[Peer]
    size: float = 1.0
    limit: float | None = None

    def turn(self, times: int = 1) -> float:
        """Seconds that the job takes; with several processes, until the last of them is ready."""
        start = time.perf_counter()
        for peer in self.peers:
            peer.send(run=times)
        for peer in self.peers:
            peer.receive()
        return (time.perf_counter() - start) / times


def start(stack: ExitStack, wanted: Mapping[str, tuple[str, int]]) -> dict[str, Peer]:
    """Start the peers that are installed, until `stack` closes, and say what each is.

    `wanted` is the module and the number of threads of each, under the name that it has in the table.
    """
    peers = {}
    for name, (module, threads) in wanted.items():
        package = NEEDS[module][0]
        if importlib.util.find_spec(package) is None:
            print(
                f"{name}: left out, because {package} is not installed; pip install -e '.[bench]' brings it"
            )
            continue
        peers[name] = stack.enter_context(Peer(module, threads))
        print(f"{name}: {peers[name].about}")
    return peers


def check(contenders: Sequence[tuple[str, Arrays]], tolerance: float, why: str) -> None:
    """Compare what each computes with what the first does, and print how far apart they are.

    The distance of two arrays is their largest difference over the largest element; names that only one of
    them has are not compared.

    Raises
    ------
    ValueError
        One is further away than the tolerance: to time it would mean nothing.
    """
    (first, reference), *others = contenders
    far = {}
    for name, arrays in others:
        shared = sorted(reference.keys() & arrays.keys())
        if not shared:
            raise ValueError(f"{name} and {first} have no result in common, so nothing of them is timed")
        distances = {}
        for key in shared:
            a, b = np.asarray(arrays[key]), np.asarray(reference[key])
            if a.shape != b.shape:
                raise ValueError(f"{key} of {name} has the shape {a.shape}, that of {first} {b.shape}")
            distances[key] = float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-30))
        worst = max(distances, key=lambda key: np.inf if np.isnan(distances[key]) else distances[key])
        far[name] = distances[worst]
        if not distances[worst] <= tolerance:
            raise ValueError(
                f"{worst} of {name} is {distances[worst]:.1e} away from that of {first}, {tolerance:.0e} is "
                "allowed: they do not compute the same, so nothing of them is timed"
            )
    if others:
        said = ", ".join(f"{name} {distance:.0e}" for name, distance in far.items())
        print(f"same numbers as {first}: {said} apart; {tolerance:.0e} is allowed ({why})")


def measure(
    case: str,
    what: str,
    contenders: Sequence[Contender],
    repeats: int,
    unit: str,
    value: Callable[[float, float], float],
) -> list[Row]:
    """Time prepared contenders in turns, and print what came out.

    Parameters
    ----------
    case, what : str
        What is measured, and of which size: the first two columns of the table.
    repeats : int
        Turns of each, after one that is not counted.
    unit : str
        Of the values.
    value : function
        What is reported, from the seconds and the size of a job.
    """
    times = [max(1, int(A_TURN / contender.turn())) for contender in contenders]
    seconds: list[list[float]] = [[] for _ in contenders]
    for i in progress([*range(len(contenders))] * repeats, f"{case}, {what}"):
        time.sleep(PAUSE)
        seconds[i].append(contenders[i].turn(times[i]))
    rows = [
        Row(case, what, c.name, unit, [value(taken, c.size) for taken in turns], c.limit, c.peers[0].about)
        for c, turns in zip(contenders, seconds, strict=True)
    ]
    show(rows)
    return rows


def groups(rows: Sequence[Row]) -> list[list[Row]]:
    """The rows of each case and size; with the first of a group the others are compared."""
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        found.setdefault((row.case, row.what), []).append(row)
    return list(found.values())


def show(rows: Sequence[Row]) -> None:
    """Print rows: median, quartiles, and how many times the first of the group is better."""
    for group in groups(rows):
        for row in group:
            low, high = row.spread
            part = row.of_the_limit()
            print(
                f"{f'{row.case}, {row.what}':36} {row.peer:24} {number(row.median):>9} {row.unit:8}"
                f" {f'({number(low)} to {number(high)})':24} x{group[0].times_better_than(row):<7.2f}"
                + ("" if part is None else f" {part:4.0%} of the limit"),
                flush=True,
            )


def number(value: float) -> str:
    """Three digits, without an exponent."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def progress(items: Iterable[Item], what: str) -> Iterable[Item]:
    """The items, with a bar on the error output while they are gone through."""
    bar: Iterable[Item] = import_optional("tqdm").tqdm(
        items, desc=what, leave=False, dynamic_ncols=True, delay=1
    )
    return bar


def milliseconds(seconds: float, size: float) -> float:
    return 1e3 * seconds / size


def per_second(seconds: float, size: float) -> float:
    return size / seconds
