"""Several workers on the real job in shape: its model, and reviews of random words with lengths like its own."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.peers.shared import Arrays, Job, numpy_blas
from models.sentiment.config import DIMENSIONS, Config
from models.sentiment.encoding import Examples
from models.sentiment.model import SentimentNetwork
from tinygrad_np.data import Batches
from tinygrad_np.nn import Embedding
from tinygrad_np.optim import Adam
from tinygrad_np.parallel import workers
from tinygrad_np.training import fit

HIDDEN = 64
WORDS = 50_000
ROUNDS, SUMS = 20, 100
MPIEXEC = Path(sys.executable).with_name("mpiexec")


def start(threads: int) -> str:
    return f"tinygrad_np with {numpy_blas()}, in each worker"


def new_model() -> SentimentNetwork:
    """The model of the real job, its word vectors frozen."""
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((WORDS, DIMENSIONS)).astype(np.float32)
    embedding = Embedding.from_pretrained(vectors, padding_idx=0)
    return SentimentNetwork(Config(hidden=HIDDEN), embedding, rng)


def new_examples(reviews: int) -> Examples:
    """Random words; the logarithm of a length is normal, the mean of the lengths about 250."""
    rng = np.random.default_rng(1)
    lengths = np.clip(rng.lognormal(5.3, 0.65, reviews), 10, 1500).astype(int)
    return Examples([rng.integers(2, WORDS, n) for n in lengths], rng.integers(0, 2, reviews))


def numbers_to_sum() -> int:
    """The gradients of a step, and the two sums that go with them."""
    return 2 + sum(p.size for p in new_model().parameters())


def seconds_of_sums(size: int) -> list[float]:
    """How long a sum over all workers takes, worker 0 looking at the clock: the median of each round."""
    count = numbers_to_sum()
    with workers(size) as team:
        team.start(count, np.float32)
        array = np.zeros(count, np.float32)
        times = np.zeros((ROUNDS, SUMS))
        for i in np.ndindex(times.shape):
            start = time.perf_counter()
            team.all_reduce([array])
            times[i] = time.perf_counter() - start
    found: list[float] = np.median(times, axis=1).tolist()
    return found


def sums(arrays: Arrays, mpi: bool) -> Job:
    """The seconds of sums over two workers: processes that share memory, or MPI's."""

    def job() -> Arrays:
        if not mpi:
            return {"seconds": np.array(seconds_of_sums(2)), "bytes": np.array(4 * (numbers_to_sum() - 2))}
        program = [str(MPIEXEC), "-n", "2", sys.executable, "-m", "benchmarks.peers.scaling"]
        ended = subprocess.run(program, check=True, stdout=subprocess.PIPE, text=True, encoding="utf-8")
        return {"seconds": np.array(json.loads(ended.stdout))}

    return job


def epoch(arrays: Arrays, reviews: int, batch_size: int, size: int) -> Job:
    """The seconds of an epoch with so many workers, without what comes before and after it, and its words."""
    examples = new_examples(reviews)

    def job() -> Arrays:
        model = new_model()
        with workers(size) as team:
            order = Batches(examples, batch_size, shuffle=True, rng=0)
            optimizer = Adam(model.parameters(), lr=1e-3)
            trained = fit(model, model.loss, order, None, optimizer, epochs=1, progress=False, team=team)
        return {"seconds": np.array(trained.history[0]["seconds"]), "words": np.array(examples.lengths.sum())}

    return job


if __name__ == "__main__":  # a rank of MPI
    found = seconds_of_sums(1)
    from mpi4py import MPI

    if MPI.COMM_WORLD.rank == 0:
        print(json.dumps(found))
