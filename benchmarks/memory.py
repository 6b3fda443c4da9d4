"""Peak memory of a training process, B = 32, D = 50, H = 64: it should grow with T, and not faster.

Each number is that of a whole process with five steps forward and back; beside it is what it needs without
them, which is Python and the libraries. /usr/bin/time measures it, or where that is missing a small Python
program that asks for the same number (getrusage of its children).
"""

from __future__ import annotations

import importlib.util
import re
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.harness import NEEDS, Options, Peer, Row, check, progress, show
from benchmarks.lstm import TOLERANCE, WHY, inputs

BATCH = 32
LENGTHS = (100, 200, 400, 800)
STEPS = 5
TIME = Path("/usr/bin/time")
PROGRAM = """
import resource, subprocess, sys
status = subprocess.run(sys.argv[2:]).returncode
size = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // (1024 if sys.platform == "darwin" else 1)
open(sys.argv[1], "w", encoding="utf-8").write(f"Maximum resident set size (kbytes): {size}")
sys.exit(status)
"""
PEERS = {"ours": ("ours", 1), "PyTorch, 2 threads": ("pytorch", 2)}


def measured(report: Path) -> list[str]:
    """What stands before a command so that its peak memory is written into a file."""
    if TIME.exists():
        return [str(TIME), "-v", "-o", str(report)]
    return [sys.executable, "-c", PROGRAM, str(report)]


def megabytes(module: str, threads: int, steps: int) -> tuple[float, str, dict[str, np.ndarray]]:
    """The peak of a process that trains on sequences of so many steps, or with 0 only waits.

    With it, what the process says of its versions, and its results.
    """
    results: dict[str, np.ndarray] = {}
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory) / "report.txt"
        with Peer(module, threads, before=measured(report)) as peer:
            if steps:
                settings = {"fused": True} if module == "ours" else {}
                peer.prepare("lstm", inputs(BATCH, steps), head="last", **settings)
                peer.send(run=STEPS)
                peer.receive()
                results |= peer.results()
        found = re.search(r"Maximum resident set size \(kbytes\): (\d+)", report.read_text(encoding="utf-8"))
    if found is None:
        raise ValueError(f"{measured(report)[0]} reported no maximum resident set size")
    return int(found[1]) / 1024, peer.about, results


def run(options: Options) -> list[Row]:
    print(f"measured by {TIME if TIME.exists() else 'getrusage of the children'}, once each")
    rows = []
    bases = {}
    for steps in progress((0, *LENGTHS), "memory"):
        here, results = [], []
        for name, (module, threads) in PEERS.items():
            if importlib.util.find_spec(NEEDS[module][0]) is None:
                print(f"{name}: left out, because {NEEDS[module][0]} is not installed")
                continue
            peak, about, found = megabytes(module, threads, steps)
            if not steps:
                print(f"{name}: {about}")
                bases[name] = peak
                here.append(Row("memory", "imports alone", name, "MB", [peak], about=about))
                continue
            results.append((name, found))
            here.append(Row("memory", f"T={steps}", name, "MB", [peak], about=about))
            what = f"T={steps}, without imports"
            rows.append(Row("memory", what, name, "MB", [peak - bases[name]], about=about))
        if results:
            check(results, TOLERANCE, WHY)
        rows += here
    rows.sort(key=lambda row: row.what.endswith("imports"))
    show(rows)
    return rows
