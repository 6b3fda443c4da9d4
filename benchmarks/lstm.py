"""An LSTM layer there and back: T = 120 steps, D = 50 features, H = 64 units, float32.

Forward, back through time, and the gradients of the weights; the loss is the dot product of each sequence's
last state (or of the mean of its outputs) with a fixed random vector. The limit is what the same cores need for
as many operations in the fastest product of square matrices that was seen in this run.
"""

from __future__ import annotations

from contextlib import ExitStack

import numpy as np

from benchmarks.harness import Arrays, Contender, Options, Peer, Row, check, measure, milliseconds, start

T, D, H = 120, 50, 64
BATCHES = (1, 8, 32, 64, 128)
PEERS = {
    "ours, 1 process": ("ours", 1),
    "PyTorch, 2 threads": ("pytorch", 2),
    "PyTorch, 1 thread": ("pytorch", 1),
    "JAX": ("jax", 0),  # 0: as many as it likes
}
TWO = "ours, 2 processes"
WEIGHTS = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
TOLERANCE = 2e-5
WHY = "float32: thousands of products, added up in another order"


def flops_a_token(hidden: int, features: int) -> int:
    """Multiplications and additions of products of matrices for one token; nothing goes back to the input.

    Forward the gates, of [h, x, 1]; backward dh, and the gradient of the weights. Tanh and the like are not
    counted: nothing is free, but these are what no way of writing it can avoid.
    """
    gates = 4 * hidden
    return 2 * gates * (hidden + features + 1) + 2 * gates * hidden + 2 * gates * (hidden + features + 1)


def weights(rng: np.random.Generator, features: int = D, hidden: int = H) -> dict[str, np.ndarray]:
    """The weights of an LSTM as PyTorch draws them, uniform within 1 / sqrt(hidden)."""
    shapes = ((4 * hidden, features), (4 * hidden, hidden), (4 * hidden,), (4 * hidden,))
    bound = hidden**-0.5
    return {
        f"lstm.{name}": rng.uniform(-bound, bound, shape).astype(np.float32)
        for name, shape in zip(WEIGHTS, shapes, strict=True)
    }


def inputs(batch: int, steps: int) -> dict[str, np.ndarray]:
    """A job's arrays: weights, sequences, and the vectors of the loss."""
    rng = np.random.default_rng(0)
    return weights(rng) | {
        "x": rng.standard_normal((batch, steps, D)).astype(np.float32),
        "cotangent": rng.standard_normal((batch, H)).astype(np.float32),
    }


def half(arrays: Arrays, rows: slice) -> dict[str, np.ndarray]:
    """The same job for some of the sequences."""
    return {name: a[rows] if name in ("x", "cotangent") else a for name, a in arrays.items()}


def gflops(peers: list[Peer]) -> float:
    """The most operations a second, in billions, seen in products of square matrices, by all at once."""
    best = 0.0
    for size in (1024, 1536, 2048):
        a = np.random.default_rng(0).standard_normal((2, size, size)).astype(np.float32)
        for peer in peers:
            peer.prepare("sgemm", {"a": a[0], "b": a[1]})
        contender = Contender("", peers)
        seconds = min(contender.turn() for _ in range(5))
        best = max(best, len(peers) * 2 * size**3 / seconds / 1e9)
    return best


def run(options: Options) -> list[Row]:
    rows: list[Row] = []
    with ExitStack() as stack:
        peers = start(stack, PEERS)
        pair = [stack.enter_context(Peer("ours")) for _ in range(2)]
        print(f"{TWO}: half of the sequences each, at the same time; adding up their gradients is not timed")
        peak = {cores: gflops(pair[:cores]) for cores in (1, 2)}
        print(f"products of matrices: {peak[1]:.0f} GFLOP/s on one core, {peak[2]:.0f} on two at once")
        print(f"{flops_a_token(H, D):,} operations a token")
        rows += [
            Row(
                "products of matrices", "square, float32", name, "GFLOP/s", [peak[cores]], about=pair[0].about
            )
            for cores, name in ((1, "NumPy on one core"), (2, "NumPy on two at once"))
        ]
        for batch, head in [*((batch, "last") for batch in BATCHES), (32, "mean")]:
            arrays = inputs(batch, T)
            operations = batch * T * flops_a_token(H, D) / 1e9
            contenders, results = [], []
            for name, peer in peers.items():
                settings = {"fused": True} if peer.module == "ours" else {}
                peer.prepare("lstm", arrays, head=head, **settings)
                results.append((name, peer.results()))
                limit = 1e3 * operations / peak[PEERS[name][1] or 2]
                contenders.append(Contender(name, [peer], limit=limit))
            if batch > 1:
                for peer, rows_of_it in zip(pair, (slice(batch // 2), slice(batch // 2, None)), strict=True):
                    peer.prepare("lstm", half(arrays, rows_of_it), head=head, fused=True)
                first, second = (peer.results() for peer in pair)
                results.append((TWO, {name: first[name] + second[name] for name in first}))
                contenders.insert(1, Contender(TWO, pair, limit=1e3 * operations / peak[2]))
            check(results, TOLERANCE, WHY)
            what = f"B={batch}, {head}"
            rows += measure("lstm", what, contenders, options.repeats, "ms", milliseconds)
    return rows
