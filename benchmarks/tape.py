"""What a tape costs: one op on four numbers, an LSTM op by op, and a chain of a million ops.

An op forward is called again and again on one tensor; there and back it is its share of a chain of 200.
The LSTM is made of eager primitives on every side, with the sizes of the case lstm: forward, backward, and the
gradients of the weights.
"""

from __future__ import annotations

from contextlib import ExitStack
from itertools import pairwise

import numpy as np

from benchmarks.harness import Contender, Options, Row, check, measure, milliseconds, start
from benchmarks.lstm import TOLERANCE, WHY, T, inputs
from benchmarks.peers.shared import ops

PEERS = {
    "ours": ("ours", 1),
    "NumPy alone": ("plain", 1),
    "PyTorch, 1 thread": ("pytorch", 1),
    "PyTorch, 2 threads": ("pytorch", 2),
    "MyGrad": ("mygrad", 1),
    "autograd": ("autograd", 1),
}
CALLS = 200
LONG_CHAIN = 1_000_000
GOAL = 4  # times NumPy alone, forward


def microseconds(seconds: float, size: float) -> float:
    return 1e6 * seconds / size


def run(options: Options) -> list[Row]:
    rows = []
    with ExitStack() as stack:
        peers = start(stack, PEERS)
        four = {"x": np.array([0.1, 0.2, 0.3, 0.4])}
        small = {name: peer for name, peer in peers.items() if name != "PyTorch, 2 threads"}
        for name in ops(np, np.tanh):
            for backward in (False, True):
                contenders, results = [], []
                for label, peer in small.items():
                    if peer.module == "plain" and backward:
                        continue
                    settings = (
                        {"name": name} if peer.module == "plain" else {"name": name, "backward": backward}
                    )
                    peer.prepare("op", four, calls=5, **settings)  # more, and gradients may be 0 on all sides
                    results.append((label, peer.results()))
                    peer.prepare("op", four, calls=CALLS, **settings)
                    contenders.append(Contender(label, [peer], size=CALLS))
                check(results, 1e-12, "float64, a chain of 5")
                what = f"{name}, {'there and back' if backward else 'forward'}"
                rows += measure("op", what, contenders, options.repeats, "µs", microseconds)
        times = {
            row.what.removesuffix(", forward"): row.times_better_than(ours)
            for ours, row in pairwise(rows)
            if row.peer == "NumPy alone"
        }
        print("forward in units of NumPy alone: " + ", ".join(f"{name} {t:.1f}" for name, t in times.items()))
        print(f"the largest is {max(times.values()):.1f}; the goal is at most {GOAL}")

        for batch in (1, 32):
            arrays = inputs(batch, T)
            contenders, results = [], []
            for name, peer in peers.items():
                if peer.module != "plain":
                    peer.prepare("eager_lstm", arrays)
                    results.append((name, peer.results()))
                    contenders.append(Contender(name, [peer]))
            check(results, TOLERANCE, WHY)
            rows += measure("eager LSTM", f"B={batch}", contenders, options.repeats, "ms", milliseconds)

        ours = Contender("ours", [peers["ours"]])
        peers["ours"].prepare("op", four, name="x + 1.0", calls=LONG_CHAIN, backward=True)
        what = f"a chain of {LONG_CHAIN:,} of them"
        rows += measure("op", what, [ours], 3, "s", lambda seconds, _: seconds)
    return rows
