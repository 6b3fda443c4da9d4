"""What another worker brings to the real job: sums of gradients, small shares of a batch, and whole epochs.

Measured are the sum of all gradients over two workers, by shared memory and by MPI; how fast one worker is on
the few rows that its share of a batch may have; and an epoch with one worker and with two, in turns.
"""

from __future__ import annotations

from benchmarks.harness import Options, Peer, Row, progress, show
from benchmarks.peers.scaling import MPIEXEC

BATCH = 32
SHARES = (32, 16, 8, 4, 2, 1)  # rows, of each of 1, 2, 4 ... workers


def run(options: Options) -> list[Row]:
    with Peer("scaling") as peer:
        print(peer.about)
        rows = []
        for name, mpi in (("shared memory", False), ("MPI, one machine", True)):
            if mpi and not MPIEXEC.exists():
                print(f"{name}: left out, because there is no {MPIEXEC}; pip install -e '.[mpi]' brings it")
                continue
            peer.prepare("sums", {}, mpi=mpi)
            found = peer.results()
            microseconds = (1e6 * found["seconds"]).tolist()
            rows.append(Row("sum", "over 2 workers", name, "µs", microseconds, about=peer.about))
            if not mpi:
                bytes_ = [float(found["bytes"])]
                rows.append(Row("job", "gradients of a step", "ours", "bytes", bytes_, about=peer.about))
        jobs: dict[tuple[str, str, str, int, int, int], list[float]] = {
            ("share", f"{share} rows", "ours", 4 * BATCH, share, 1): [] for share in SHARES
        }
        for batch in (BATCH, 2 * BATCH):
            for size, name in ((1, "ours, 1 worker"), (2, "ours, 2 workers")):
                jobs["epoch", f"B={batch}", name, 20 * BATCH, batch, size] = []
        for job, rates in progress([*jobs.items()] * options.repeats, "scaling"):
            *_, reviews, batch, size = job
            peer.prepare("epoch", {}, reviews=reviews, batch_size=batch, size=size)
            found = peer.results()
            rates.append(float(found["words"] / found["seconds"]))
            length = float(found["words"]) / reviews
        rows.append(Row("job", "words of a review, mean", "ours", "words", [length], about=peer.about))
        for (case, what, name, *_), rates in jobs.items():
            rows.append(Row(case, what, name, "tokens/s", rates, about=peer.about))
    show(rows)
    return rows
