"""What an op costs in two checkouts of this project: before a change of the tape, and after it.

    git worktree add ../before a834a8c
    python -m benchmarks.two_trees ../before .

Processes take turns, one of each checkout, nine times; each imports `tinygrad_np` from its own, and tells the best
of 40 times 300 calls. Printed are medians, in microseconds, as a table in Markdown.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.shared import Function, again, chained, ops

TURNS, BEST_OF, CALLS = 9, 40, 300


def best(f: Callable[[int], Any], calls: int) -> float:
    """Microseconds of one of the calls that f makes."""
    times = []
    for _ in range(BEST_OF):
        begin = time.perf_counter()
        f(calls)
        times.append(time.perf_counter() - begin)
    return 1e6 * min(times) / calls


def there_and_back(op: Function, x: Any, calls: int) -> None:
    """A chain of calls, and the way back along it."""
    y = chained(op, x, calls)
    y.backward(np.ones(y.shape))


def measure_here() -> dict[str, float]:
    """Each op, forward alone and along a chain that goes back, of the `tinygrad_np` that is found first."""
    from tinygrad_np import Tensor
    from tinygrad_np.functional import sigmoid

    x = Tensor(np.array([0.1, 0.2, 0.3, 0.4]), requires_grad=True)
    found = {}
    for name, op in ops(np, sigmoid).items():
        found[f"{name}, forward"] = best(partial(again, op, x), CALLS)
        found[f"{name}, there and back"] = best(partial(there_and_back, op, x), CALLS)
    return found


def main(trees: list[str]) -> int:
    if trees == ["--here"]:
        print(json.dumps(measure_here()))
        return 0
    if len(trees) != 2 or not all((Path(tree) / "tinygrad_np").is_dir() for tree in trees):
        print(__doc__)
        return 2
    turns: list[list[dict[str, float]]] = [[], []]
    from benchmarks.harness import environment  # not in the worker, whose package may be too old for it

    # the same ops for both: this file, with the package of each checkout, which is imported first
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import tinygrad_np; sys.path[0] = sys.argv[2]; "
        "from benchmarks.two_trees import main; main(['--here'])"
    )
    for turn in range(TURNS):
        for side, tree in enumerate(trees):
            print(f"\rturn {turn + 1} of {TURNS}", end="", file=sys.stderr, flush=True)
            paths = [str(Path(tree).resolve()), str(Path(__file__).parents[1])]
            env = environment("ours")
            done = subprocess.run(
                [sys.executable, "-P", "-c", code, *paths], env=env, stdout=subprocess.PIPE, check=True
            )
            turns[side].append(json.loads(done.stdout))
    print(file=sys.stderr)
    print("| op | before | after | times |\n| --- | --- | --- | --- |")
    for name in turns[0][0]:
        before, after = (statistics.median([turn[name] for turn in side]) for side in turns)
        print(f"| {name} | {before:.2f} µs | {after:.2f} µs | {after / before:.2f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
