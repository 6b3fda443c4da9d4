"""Damaged files: of runs (weights, vocabulary, settings, metrics), and of data (reviews, GloVe, speeches, caches).

How to damage what, and what has to come of it, is said beside the tests of those files, in tests/run_faults.py and
tests/data_faults.py; here they only get their seeds.
"""

from __future__ import annotations

import atexit
import functools
import importlib
import importlib.util
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

from tests.faults.campaign import Outcome, Part

SEEDS = 2**20  # more than there are trials


def helpers(name: str) -> Any:
    """A module of helpers; a campaign without it counts as failed, and says why."""
    if importlib.util.find_spec(name) is None:
        raise ImportError(f"{name} is not there")
    return importlib.import_module(name)


@functools.cache
def sound_runs() -> tuple[Path, Path]:
    """Two whole runs of other seeds, made once in each process."""
    directory = Path(tempfile.mkdtemp(prefix="faults-runs-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    make = helpers("tests.run_faults").sound_run
    return make(directory / "1", "--seed", "1"), make(directory / "2", "--seed", "2")


def damaged_run(seed: int, directory: Path) -> Outcome:
    """One run with one damage, asked for an answer."""
    (outcome,) = helpers("tests.run_faults").damage_runs(*sound_runs(), 1, seed)
    kind = f"runs: {outcome.what.partition(' (')[0]}"
    return Outcome(outcome.what, None if outcome.passed else outcome.seen or "not as it should be", kind)


def damaged_data(seed: int, directory: Path) -> Outcome:
    """One file of data with one damage, loaded: refused, told, or right; a text may be another, a zip may not."""
    data_faults = helpers("tests.data_faults")
    name = list(data_faults.LOADERS)[seed % len(data_faults.LOADERS)]
    with mock.patch.dict(os.environ, TINYGRAD_NP_CACHE=str(directory / "cache")):
        data_faults.write_sound(directory, seed)
        sound = data_faults.attempt(lambda: data_faults.LOADERS[name](directory)).result
        ((done, outcome),) = data_faults.try_damages(name, directory, 1, seed)
    wrong = outcome.said if outcome.what == "failed" else None
    if name.endswith(".zip") and outcome.what == "loaded" and outcome.result != sound:
        wrong = "other vectors are loaded without a word"
    return Outcome(f"{name}: {done}", wrong, f"data: {name}")


def trial(seed: int, k: int, directory: Path) -> Outcome:
    """Of runs and of data in turn."""
    return (damaged_run, damaged_data)[k % 2](seed * SEEDS + k, directory)


FILES = Part("damaged files", trial, full=1_000, short=40, seconds=60.0)
