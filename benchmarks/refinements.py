"""What each refinement of the way back buys: it is switched off in a process of its own, and takes its turn.

On the LSTM of primitives, with the sizes of the case lstm: one buffer for the gradients of all slices of an array
(off: each slice sends back an array of zeros), and one product for all uses of a weight (off: a product and a sum a
use); and the plain loop of `benchmarks/plain_loop.py`, which has neither. On single ops of four numbers: wrappers
that are specialised on the number of arguments (off: the general one for all).
"""

from __future__ import annotations

from contextlib import ExitStack

import numpy as np

from benchmarks.harness import Contender, Options, Peer, Row, check, measure, milliseconds
from benchmarks.lstm import TOLERANCE, WHY, T, inputs
from benchmarks.peers.shared import ops
from benchmarks.tape import CALLS, microseconds

LSTM = {
    "ours": ("ours", "eager_lstm"),
    "without the shared buffer": ("refinements", "without_shared_buffer"),
    "without collected products": ("refinements", "without_collecting"),
    "the plain loop": ("refinements", "plain_loop"),
}
WRAPPERS = {"ours": "ours", "with the general wrapper": "general"}


def run(options: Options) -> list[Row]:
    rows = []
    with ExitStack() as stack:
        peers = {name: stack.enter_context(Peer(module)) for name, (module, _) in LSTM.items()}
        print(peers["ours"].about)
        for batch in (1, 32):
            arrays = inputs(batch, T)
            contenders, results = [], []
            for name, peer in peers.items():
                peer.prepare(LSTM[name][1], arrays)
                results.append((name, peer.results()))
                contenders.append(Contender(name, [peer]))
            check(results, TOLERANCE, WHY)
            rows += measure("refinements", f"B={batch}", contenders, options.repeats, "ms", milliseconds)

        four = {"x": np.array([0.1, 0.2, 0.3, 0.4])}
        peers = {name: stack.enter_context(Peer(module)) for name, module in WRAPPERS.items()}
        for op in ops(np, np.tanh):
            contenders, results = [], []
            for name, peer in peers.items():
                peer.prepare("op", four, name=op, calls=5, backward=True)
                results.append((name, peer.results()))
                peer.prepare("op", four, name=op, calls=CALLS, backward=False)
                contenders.append(Contender(name, [peer], size=CALLS))
            check(results, 0.0, "it is the same rule")
            rows += measure("refinements", f"{op}, forward", contenders, options.repeats, "µs", microseconds)
    return rows
