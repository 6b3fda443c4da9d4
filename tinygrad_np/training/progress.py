"""How a training is doing, for people: a bar on a terminal, lines in a file, nothing where that is asked for."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from tinygrad_np.extras import import_optional

EVERY = 10.0  # seconds between two lines


class Progress:
    """Tells of steps and epochs: rate, time left and metrics.

    The lines of epochs go to stdout. What is of the moment goes to stderr: a bar of tqdm where it is installed and
    stderr is a terminal, and otherwise a line now and then.

    Parameters
    ----------
    steps : int
        Of the whole training.
    done : int
        How many were taken before.
    shown : bool
        Whether anything is.
    """

    def __init__(self, steps: int, done: int, shown: bool):
        self.steps, self.done, self.shown = steps, done, shown
        self.start = self.told = time.perf_counter()
        self.steps_here = self.rows_here = 0
        self.bar: Any = None
        if shown and sys.stderr.isatty():
            try:
                tqdm = import_optional("tqdm").tqdm
            except ModuleNotFoundError:
                return  # lines do
            tqdm.monitor_interval = 0  # a thread of it would be lost in a forked worker
            self.bar = tqdm(total=steps, initial=done, unit="step", dynamic_ncols=True)

    def step(self, epoch: int, rows: int, means: Callable[[], Mapping[str, float]]) -> None:
        """A step of so many rows was taken; `means` gives those of its epoch until now."""
        if not self.shown:
            return
        self.done += 1
        self.steps_here += 1
        self.rows_here += rows
        now = time.perf_counter()
        rate = self.rows_here / max(now - self.start, 1e-9)
        if self.bar is not None:
            self.bar.set_description(f"epoch {epoch}", refresh=False)
            self.bar.set_postfix_str(f"{rate:,.0f} rows/s, {described(means())}", refresh=False)
            self.bar.update()
        elif now - self.told >= EVERY:
            self.told = now
            left = (self.steps - self.done) * (now - self.start) / self.steps_here
            print(
                f"epoch {epoch}, step {self.done:,} of {self.steps:,}: {described(means())}; {rate:,.0f} rows/s, "
                f"{duration(left)} left",
                file=sys.stderr,
                flush=True,
            )

    def say(self, line: str) -> None:
        """A line that stays."""
        if self.bar is not None:
            self.bar.write(line)
        elif self.shown:
            print(line, flush=True)

    def close(self) -> None:
        """The end of the bar."""
        if self.bar is not None:
            self.bar.close()


def epoch_line(row: Mapping[str, float]) -> str:
    """A row of the history: ``epoch  3: train loss 0.4121, accuracy 0.8150; validation loss ...``."""
    parts: dict[str, dict[str, float]] = {}
    for name, value in row.items():
        data, _, metric = name.partition("_")
        if metric:
            parts.setdefault(data, {})[metric] = value
    return f"epoch {row['epoch']:2}: " + "; ".join(
        f"{data} {described(means)}" for data, means in parts.items()
    )


def described(means: Mapping[str, float]) -> str:
    """Numbers by their names, to four digits."""
    return ", ".join(
        f"{name} {value:.4f}" if 0.001 <= abs(value) < 1000 else f"{name} {value:.4g}"
        for name, value in means.items()
    )


def duration(seconds: float) -> str:
    """A time, as people say it: ``40 s``, ``12 min``, ``3.2 h``."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
