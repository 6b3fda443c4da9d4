"""Where a training step spends its time: 32 sequences of 240 steps, 50 features, 64 units, float32.

Forward, back, weights' gradients. First the LSTM built from primitives, by Python function; then the fused one, by
NumPy function. Watching takes time too, so these are shares and no speeds.
"""

from __future__ import annotations

import numpy as np

from benchmarks.harness import Options, Peer, Row, show

BATCH, TIME, FEATURES, HIDDEN = 32, 240, 50, 64
LAYERS = {"op by op": "op_by_op", "fused": "fused"}
SHOWN = 10


def run(options: Options) -> list[Row]:
    x = np.random.default_rng(0).standard_normal((BATCH, TIME, FEATURES)).astype(np.float32)
    rows = []
    with Peer("profile") as peer:
        print(peer.about)
        for name, job in LAYERS.items():
            peer.prepare(job, {"x": x}, hidden=HIDDEN)
            found = peer.results()
            here = [
                ("a step", 1e3 * float(found["seconds"]), "ms"),
                ("a step", float(found["calls"]), "calls"),
            ]
            for who, share, times in zip(
                found["names"][:SHOWN], found["shares"], found["times"], strict=False
            ):
                here += [(str(who), 100 * float(share), "%"), (str(who), float(times), "calls")]
            rows += [
                Row("profile", f"{name}, {unit}", who, unit, [value], about=peer.about)
                for who, value, unit in here
            ]
    show(rows)
    return rows
