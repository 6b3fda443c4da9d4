"""What importing tinygrad_np costs, next to importing NumPy alone.

Each import runs in a process of its own and times itself, so that starting Python is not counted. The two
take turns, so that what else the machine does meets both. Both read compiled modules from a cache of their
own, as installed packages do, whatever this machine does with bytecode. The ratio should be at most 1.3.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile

from benchmarks.harness import Options, Peer, Row, environment, progress, show

MORE = 3  # times as many repeats as elsewhere: each is short, and starting processes is uneven
TARGET = 1.3
TIMED = "import time; start = time.perf_counter(); import {}; print(time.perf_counter() - start)"


def seconds(module: str, cache: str) -> float:
    """How long a fresh process takes to import a module; compiled modules are kept in `cache`."""
    settings = environment("plain") | {"PYTHONPYCACHEPREFIX": cache}
    settings.pop("PYTHONDONTWRITEBYTECODE", None)
    program = [sys.executable, "-c", TIMED.format(module)]
    run = subprocess.run(program, env=settings, capture_output=True, text=True, check=True)
    return float(run.stdout)


def measure(repeats: int) -> dict[str, list[float]]:
    """Seconds for either module, measured in turns after one unmeasured round that fills the cache."""
    times: dict[str, list[float]] = {"tinygrad_np": [], "numpy": []}
    with tempfile.TemporaryDirectory() as cache:
        for i in progress(range(repeats + 1), "import"):
            for module, measured in times.items():
                taken = seconds(module, cache)
                if i:
                    measured.append(taken)
    return times


def run(options: Options) -> list[Row]:
    with Peer("plain") as peer:
        about = peer.about
    print(about)
    times = measure(MORE * options.repeats)
    ours, numpys = (
        Row("import", "a fresh process", name, "ms", [1e3 * taken for taken in times[module]], about=about)
        for name, module in (("ours", "tinygrad_np"), ("NumPy alone", "numpy"))
    )
    show([ours, numpys])
    print(f"{numpys.times_better_than(ours):.2f} times NumPy's import; the target is at most {TARGET}")
    return [ours, numpys]
