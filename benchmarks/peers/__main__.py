"""A peer's process: ``python -m benchmarks.peers MODULE THREADS``. It does what lines of JSON ask it to do.

{"prepare": JOB, "arrays": FILE, "settings": {...}} chooses a job, {"run": TIMES} does it so many times, and
{"results": FILE} does it once and writes what it computes. Each is answered by one line.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import numpy as np


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this process
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints is no answer
    module = importlib.import_module(f"benchmarks.peers.{sys.argv[1]}")
    job: Callable[[], dict[str, Any]]

    def answer(content: object) -> None:
        answers.write(json.dumps(content) + "\n")
        answers.flush()

    answer(module.start(int(sys.argv[2])))
    for line in sys.stdin:
        request = json.loads(line)
        if "prepare" in request:
            with np.load(request["arrays"], allow_pickle=False) as arrays:
                job = getattr(module, request["prepare"])(dict(arrays), **request["settings"])
        elif "run" in request:
            for _ in range(request["run"]):
                job()
        else:
            np.savez(request["results"], **job())
        answer(None)


if __name__ == "__main__":
    main()
