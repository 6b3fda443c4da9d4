"""Trainings of several workers, each case with one, two and three, as JSON: ``python -m tests.shared_training``.

Workers are forked, so this is a program of its own and not a part of the tests' process, which has threads.
"""

import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

import tinygrad_np.functional as F
from tinygrad_np import Tensor, nn, optim
from tinygrad_np.data import Batches
from tinygrad_np.parallel import workers
from tinygrad_np.training import Training, fit

F8 = np.float64
X = np.random.default_rng(0).standard_normal((22, 5))
Y = (X[:, 0] * X[:, 1] > 0).astype(int)
TEXTS = [np.random.default_rng(n).integers(1, 9, 1 + n % 7) for n in range(22)]


def accuracy(outputs: Any, targets: np.ndarray) -> float:
    return float((outputs.data.argmax(axis=1) == targets).mean())


class Slopes(nn.Layer):
    """A leaky ReLU with random slopes."""

    def __init__(self, rng: np.random.Generator):
        self.rng = rng

    def forward(self, x: Tensor) -> Tensor:
        return F.rrelu(x, training=self.training, rng=self.rng)


def network(rng: np.random.Generator) -> nn.Sequential:
    """Two dropouts share a generator with the batches."""
    return nn.Sequential(
        nn.Linear(5, 8, rng=rng, dtype=F8),
        nn.Dropout(0.2, rng=rng),
        Slopes(rng),
        nn.Dropout(0.2, rng=rng),
        nn.Linear(8, 2, rng=rng, dtype=F8),
    )


class Reader(nn.Layer):
    """Words, dropped and noisy at each place, and their largest features; gradients of the words that were read."""

    def __init__(self, rng: np.random.Generator, sparse: bool = True):
        self.table = nn.Embedding(9, 6, sparse=sparse, rng=rng, dtype=F8)
        self.unused = Tensor(np.ones(3), requires_grad=True)
        self.dropout = nn.Dropout(0.3, rng=rng)
        self.head = nn.Linear(6, 2, rng=rng, dtype=F8)
        self.rng = rng

    def forward(self, words: np.ndarray, lengths: np.ndarray) -> Tensor:
        embedded = self.dropout(self.table(words))
        if self.training:
            embedded = embedded + Tensor(0.1 * self.rng.standard_normal(embedded.shape))
        beyond = np.arange(words.shape[1]) >= lengths[:, np.newaxis]
        return self.head(F.masked_fill(embedded, beyond[..., np.newaxis], -9.0).max(axis=1))


class Padded:
    """A source that pads each shard by itself, which is wrong where something is drawn for each place."""

    def __len__(self) -> int:
        return 22

    def __getitem__(self, rows: np.ndarray) -> tuple[np.ndarray, ...]:
        lengths = np.array([len(TEXTS[i]) for i in rows])
        words = np.zeros((len(rows), lengths.max()), np.int64)
        for row, i in zip(words, rows):
            row[: len(TEXTS[i])] = TEXTS[i]
        return words, lengths, Y[rows]


def arrays(team: Any, **settings: Any) -> Training:
    """Batches of 5, the last one of 2."""
    rng = np.random.default_rng(1)
    return run(network(rng), Batches((X, Y), 5, shuffle=True, rng=rng), optim.Adam, team, **settings)


def texts(
    team: Any, kind: Callable[..., Any] = optim.SparseAdam, source: Any = None, **settings: Any
) -> Training:
    rng = np.random.default_rng(1)
    data = Batches(source or (TEXTS, Y), 5, shuffle=True, rng=rng)
    return run(Reader(rng), data, kind, team, **settings)


def run(model: nn.Layer, data: Batches, kind: Callable[..., Any], team: Any, **settings: Any) -> Training:
    settings = {"epochs": 3, "metrics": {"accuracy": accuracy}} | settings
    optimizer = kind(model.parameters(), lr=0.02)
    validation = {"validation": Batches(data.source, 8)}
    return fit(model, F.cross_entropy, data, validation, optimizer, progress=False, team=team, **settings)


def with_batch_norm(team: Any) -> Training:
    model = nn.Sequential(nn.BatchNorm1d(5), nn.Linear(5, 2, rng=0))
    return run(model, Batches((X, Y), 5), optim.Adam, team)


def with_a_step_of_its_own(training: Training) -> None:
    training.optimizer.lr = 0.5


def with_weights_of_its_own(training: Training) -> None:
    training.model.parameters()[0].data += 1


def stops(training: Training) -> None:
    training.stop = training.epoch == 2


CASES: dict[str, Callable[[Any], Training]] = {
    "dropout": arrays,
    "accumulate": lambda team: arrays(team, accumulate=2, max_norm=0.1),
    "steps": lambda team: arrays(team, epochs=None, steps=8),
    "stop": lambda team: arrays(team, callbacks=[stops]),
    "patience": lambda team: arrays(team, patience=1, monitor="validation_accuracy", epochs=9),
    "rows": texts,
    "rows, accumulate": lambda team: texts(team, accumulate=2, max_norm=0.5),
    "rows, plain steps": lambda team: texts(team, optim.SGD),
    "batch norm": with_batch_norm,
    "padded by shards": lambda team: texts(team, source=Padded()),
    "own settings": lambda team: arrays(team, callbacks=[with_a_step_of_its_own]),
    "own weights": lambda team: arrays(team, callbacks=[with_weights_of_its_own]),
}


def came(case: str, size: int) -> dict[str, Any]:
    """What came of a case: the weights and the history, or an error."""
    try:
        with workers(size) as team:
            training = CASES[case](team)
    except (ValueError, RuntimeError) as error:
        return {"error": str(error)}
    weights = np.concatenate([array.ravel() for array in training.model.state_dict().values()])
    return {"weights": weights.tolist(), "history": training.history}


if __name__ == "__main__":
    json.dump({case: [came(case, size) for size in (1, 2, 3)] for case in CASES}, sys.stdout)
