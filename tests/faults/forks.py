"""Forks while other threads compute, and threads that share weights.

A fork copies the memory of all threads, but only the one that forks goes on: a lock that another one holds at that
moment is held in the child for good. So threads run LSTMs, send gradients back and allocate, and the process forks
under their load; each child computes the same, has to come to the same numbers, and to an end.
"""

from __future__ import annotations

import os
import threading
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from tests.faults.campaign import Outcome, Part
from tests.faults.values import Rng, pick
from tinygrad_np import Tensor, nn, no_grad, optim

CHILD_SECONDS = 10.0
FORKS_IN_A_TRIAL = 10


def lstm_forward(rng: Rng) -> Callable[[], np.ndarray]:
    layer = nn.LSTM(4, 8, rng=0)
    x = rng.standard_normal((6, 12, 4)).astype(np.float32)

    def compute() -> np.ndarray:
        with no_grad():
            return layer(Tensor(x))[0].data.copy()

    return compute


def lstm_backward(rng: Rng) -> Callable[[], np.ndarray]:
    x = rng.standard_normal((6, 12, 4)).astype(np.float32)

    def compute() -> np.ndarray:
        layer = nn.LSTM(4, 8, rng=0)
        (layer(Tensor(x))[0] ** 2).sum().backward()
        return np.array(layer.parameters()[0].grad)

    return compute


def gru_backward(rng: Rng) -> Callable[[], np.ndarray]:
    x = rng.standard_normal((5, 7, 3)).astype(np.float32)

    def compute() -> np.ndarray:
        layer = nn.GRU(3, 6, rng=0)
        (layer(Tensor(x))[0] ** 2).sum().backward()
        return np.array(layer.parameters()[0].grad)

    return compute


def elementwise_backward(rng: Rng) -> Callable[[], np.ndarray]:
    point = rng.standard_normal(50)

    def compute() -> np.ndarray:
        x = Tensor(point, requires_grad=True)
        np.sum(np.tanh(x) * np.exp(-x) + x[[0] * 50]).backward()
        return np.array(x.grad)

    return compute


def training(rng: Rng) -> Callable[[], np.ndarray]:
    x = rng.standard_normal((8, 3)).astype(np.float32)

    def compute() -> np.ndarray:
        layer = nn.Linear(3, 2, rng=0)
        optimizer = optim.Adam(layer.parameters(), lr=0.01)
        for _ in range(3):
            optimizer.zero_grad()
            (layer(Tensor(x)) ** 2).mean().backward()
            optimizer.step()
        return layer.weight.data.copy()

    return compute


LOADS = [lstm_forward, lstm_backward, gru_backward, elementwise_backward, training]


class Load:
    """Threads that compute until the ``with`` block ends; what one of them raises is kept."""

    def __init__(self, computations: list[Callable[[], Any]]):
        self.stop = threading.Event()
        self.errors: list[BaseException] = []
        self.threads = [threading.Thread(target=self.run, args=(c,), daemon=True) for c in computations]

    def run(self, compute: Callable[[], Any]) -> None:
        try:
            while not self.stop.is_set():
                compute()
        except BaseException as error:
            self.errors.append(error)

    def __enter__(self) -> Load:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.stop.set()
        for thread in self.threads:
            thread.join(CHILD_SECONDS)


def child_status(compute: Callable[[], np.ndarray], expected: np.ndarray) -> str | None:
    """Fork; what is wrong with the child, which computes and ends."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newer Pythons warn of what is tried here
        pid = os.fork()
    if not pid:
        status = 1
        with suppress(BaseException):
            status = 0 if np.array_equal(compute(), expected) else 2
        os._exit(status)
    end = time.perf_counter() + CHILD_SECONDS
    while time.perf_counter() < end:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            status = os.waitstatus_to_exitcode(status)
            failed = f"the child fails with status {status}"
            return {0: None, 2: "the child computes other numbers"}.get(status, failed)
        time.sleep(0.002)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    return f"the child hangs for {CHILD_SECONDS:.0f} s"


def fork_trial(rng: Rng) -> Outcome:
    """Several forks under the load of two to four threads."""
    loads = [pick(rng, LOADS) for _ in range(int(rng.integers(2, 5)))]
    make = pick(rng, LOADS)
    compute = make(rng)
    expected = compute()
    what = f"{FORKS_IN_A_TRIAL} forks under {', '.join(one.__name__ for one in loads)}; the child: {make.__name__}"
    with Load([load(rng) for load in loads]) as load:
        for _ in range(FORKS_IN_A_TRIAL):
            time.sleep(float(rng.exponential(0.002)))
            if wrong := child_status(compute, expected):
                return Outcome(what, wrong, wrong)
    return Outcome(what, f"a thread raises {load.errors[0]!r}" if load.errors else None)


def shared_trial(rng: Rng) -> Outcome:
    """Several threads send gradients to the same weights: each whole, none lost, as their sum says."""
    threads, rounds = int(rng.integers(2, 6)), int(rng.integers(2, 12))
    kind = pick(rng, ("Linear", "LSTM", "GRU"))
    layer: Any = nn.Linear(3, 4, rng=0) if kind == "Linear" else getattr(nn, kind)(3, 4, rng=0)
    batches = [rng.integers(-4, 5, (3, 5, 3)).astype(np.float32) for _ in range(threads)]

    def loss(x: np.ndarray) -> Tensor:
        out = layer(Tensor(x))
        out = out if kind == "Linear" else out[0]
        return out.sum()

    alone = []
    for x in batches:
        layer.zero_grad()
        loss(x).backward()
        alone.append([p.grad.astype(np.float64) for p in layer.parameters()])
    layer.zero_grad()
    start = threading.Barrier(threads)
    errors: list[BaseException] = []

    def work(x: np.ndarray) -> None:
        try:
            start.wait()
            for _ in range(rounds):
                with no_grad():
                    loss(x)
                loss(x).backward()
        except BaseException as error:
            errors.append(error)

    workers = [threading.Thread(target=work, args=(x,)) for x in batches]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    what = f"{threads} threads, {rounds} backward passes each, through one {kind}"
    if errors:
        return Outcome(what, f"a thread raises {errors[0]!r}", "a thread raises")
    for i, p in enumerate(layer.parameters()):
        expected = rounds * sum(grads[i] for grads in alone)
        size = rounds * sum(np.abs(grads[i]).max() for grads in alone)
        if p.grad is None or not np.allclose(p.grad, expected, rtol=0, atol=1e-4 * size):
            return Outcome(what, f"the gradient of parameter {i} is not the sum of all", "a gradient is lost")
    return Outcome(what)


def trial(seed: int, k: int, directory: Path) -> Outcome:
    """Forks, or shared weights, in turn."""
    rng = np.random.default_rng([seed, k])
    return fork_trial(rng) if k % 2 == 0 else shared_trial(rng)


FORKS = Part(
    "ten forks under load, or threads that share weights",
    trial,
    full=100,
    short=6,
    seconds=60.0,
)
