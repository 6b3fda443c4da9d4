"""What another worker brings, and the numbers that docs/scaling.md reckons with: python -m benchmarks.scaling.

The job is IMDb's in shape: the model of the real job, and reviews of random words with lengths like its own.
Measured are the sum of all gradients over two workers, by shared memory and by MPI; how fast one worker is on
the few rows that its share of a batch may have; and an epoch with one worker and with two, in turns.
"""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as in the models; it is read when NumPy is imported

import numpy as np

from models.sentiment.data import Examples
from models.sentiment.model import DIMENSIONS, SentimentLSTM
from models.sentiment.train import train_epoch
from tinygrad_np.nn import Embedding
from tinygrad_np.optim import Adam
from tinygrad_np.parallel import Workers, workers

HIDDEN = 64
BATCH = 32
WORDS = 50_000
SUMS = 1000
REPEATS = 7
ROWS = (32, 16, 8, 4, 2, 1)  # of the share of each of 1, 2, 4 ... workers
NETWORKS = {  # assumed: seconds a message takes, bytes a second
    "1 Gbit/s": (50e-6, 125e6),
    "10 Gbit/s": (25e-6, 1.25e9),
}


def new_model() -> SentimentLSTM:
    """The model of the real job, its word vectors frozen."""
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((WORDS, DIMENSIONS)).astype(np.float32)
    return SentimentLSTM(Embedding.from_pretrained(vectors, padding_idx=0), HIDDEN, rng)


def new_examples(reviews: int) -> Examples:
    """Random words; the logarithm of a length is normal, the mean of the lengths about 250."""
    rng = np.random.default_rng(1)
    lengths = np.clip(rng.lognormal(5.3, 0.65, reviews), 10, 1500).astype(int)
    return Examples([rng.integers(2, WORDS, n) for n in lengths], rng.integers(0, 2, reviews))


def seconds_of_sums(team: Workers, count: int) -> list[float]:
    """How long each of many sums takes, worker 0 looking at the clock."""
    array = np.zeros(count, np.float32)
    times = []
    for _ in range(SUMS):
        start = time.perf_counter()
        team.all_reduce([array])
        times.append(time.perf_counter() - start)
    return times


def seconds_of_epoch(examples: Examples, batch_size: int, size: int, count: int) -> float:
    """How long an epoch takes with so many workers, without what comes before and after it."""
    model = new_model()
    with workers(size) as team:
        team.start(count, np.float32)
        optimizer, order = Adam(model.parameters(), lr=1e-3), np.random.default_rng(0)
        start = time.perf_counter()
        train_epoch(model, optimizer, examples, batch_size, order, team, lambda words: None)
        return time.perf_counter() - start


def quartiles(values: list[float], scale: float = 1.0) -> str:
    low, middle, high = (scale * q for q in statistics.quantiles(values, n=4))
    return f"{middle:,.0f} ({low:,.0f} to {high:,.0f})"


def show_sums(how: str, size: int, count: int) -> float:
    """Measure sums and print them; the median."""
    with workers(size) as team:
        team.start(count, np.float32)
        times = seconds_of_sums(team, count)
    print(f"a sum over 2 workers, {how}: {quartiles(times, 1e6)} us", flush=True)
    return statistics.median(times)


def main() -> None:
    count = (
        sum(p.size for p in new_model().parameters()) + 2
    )  # and the two figures that go with the gradients
    if sys.argv[1:] == ["mpi"]:
        show_sums("MPI", 1, count)
        return
    print(
        f"Python {platform.python_version()}, NumPy {np.__version__}, {os.cpu_count()} CPUs, one BLAS thread"
    )
    print(f"medians and quartiles; a gradient is {count - 2:,} numbers, {4 * (count - 2):,} bytes")
    show_sums("shared memory", 2, count)
    launcher = [str(Path(sys.executable).with_name("mpiexec")), "-n", "2", sys.executable]
    subprocess.run([*launcher, "-m", "benchmarks.scaling", "mpi"], check=True)

    print("\none worker, by the rows of its batches")
    few = new_examples(4 * BATCH)
    rates: dict[int, list[float]] = {rows: [] for rows in ROWS}
    for _ in range(REPEATS):
        for rows in ROWS:
            rates[rows].append(int(few.lengths.sum()) / seconds_of_epoch(few, rows, 1, count))
    for rows in ROWS:
        print(f"{rows:4} rows: {quartiles(rates[rows])} words/s")

    examples = new_examples(20 * BATCH)
    total = int(examples.lengths.sum())
    print(f"\nepochs of {len(examples.labels)} reviews, {total:,} words, in turns")
    epochs: dict[tuple[int, int], list[float]] = {(b, n): [] for b in (BATCH, 2 * BATCH) for n in (1, 2)}
    for _ in range(REPEATS):
        for (batch, size), found in epochs.items():
            found.append(total / seconds_of_epoch(examples, batch, size, count))
    for batch in (BATCH, 2 * BATCH):
        one, two = epochs[batch, 1], epochs[batch, 2]
        gain = statistics.median(b / a for a, b in zip(one, two, strict=True))
        print(
            f"batches of {batch}: 1 worker {quartiles(one)}, 2 workers {quartiles(two)} words/s: {gain:.2f}"
        )

    print(f"\nreckoned words/s on N machines, and times one; batches of {BATCH} shared out, or of {BATCH} N")
    print("step = computing a share + 2 (N - 1) messages + 2 (N - 1) / N gradients over the network")
    print("|  N |" + "".join(f" {name}, {batch:4} |" for name in NETWORKS for batch in (BATCH, f"{BATCH} N")))
    alone = statistics.median(rates[BATCH])
    for n in (BATCH // rows for rows in ROWS):
        cells = []
        for message, bandwidth in NETWORKS.values():
            ring = 2 * (n - 1) * message + 2 * (n - 1) / n * 4 * count / bandwidth
            for rows in (BATCH // n, BATCH):
                words = rows * total / len(examples.labels)
                rate = n * words / (words / statistics.median(rates[rows]) + ring)
                cells.append(f"{rate:10,.0f} ({rate / alone:4.1f})")
        print(f"| {n:2} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
