"""What importing tinygrad_np costs, next to importing NumPy alone: ``python -m benchmarks.imports``.

Each import runs in a process of its own and times itself, so that starting Python is not counted. The two
take turns, so that what else the machine does meets both. Both read compiled modules from a cache of their
own, as installed packages do, whatever this machine does with bytecode. The ratio should be at most 1.3.
"""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import tempfile

import numpy as np

REPEATS = 25
TARGET = 1.3
TIMED = "import time; start = time.perf_counter(); import {}; print(time.perf_counter() - start)"


def seconds(module: str, cache: str) -> float:
    """How long a fresh process takes to import a module; compiled modules are kept in `cache`."""
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": cache}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    program = [sys.executable, "-c", TIMED.format(module)]
    run = subprocess.run(program, env=environment, capture_output=True, text=True, check=True)
    return float(run.stdout)


def measure(repeats: int = REPEATS) -> dict[str, list[float]]:
    """Seconds for either module, measured in turns after one unmeasured round that fills the cache."""
    times: dict[str, list[float]] = {"numpy": [], "tinygrad_np": []}
    with tempfile.TemporaryDirectory() as cache:
        for i in range(repeats + 1):
            for module, measured in times.items():
                taken = seconds(module, cache)
                if i:
                    measured.append(taken)
    return times


def main() -> None:
    print(f"Python {platform.python_version()}, NumPy {np.__version__}, {REPEATS} fresh processes each")
    times = measure()
    for module, measured in times.items():
        print(
            f"import {module:12} median {1e3 * statistics.median(measured):6.1f} ms"
            f"   fastest {1e3 * min(measured):6.1f} ms"
        )
    ours, numpys = times["tinygrad_np"], times["numpy"]
    print(
        f"ratio of the medians {statistics.median(ours) / statistics.median(numpys):.2f}, "
        f"of the fastest {min(ours) / min(numpys):.2f}; the target is at most {TARGET}"
    )


if __name__ == "__main__":
    main()
