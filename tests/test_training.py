"""The loop that trains: it does what a loop by hand does, and several workers do what one does."""

from typing import Any

import numpy as np
import pytest

import tinygrad_np.functional as F
from tinygrad_np import nn, optim
from tinygrad_np.data import Batches
from tinygrad_np.parallel import workers
from tinygrad_np.training import Training, fit

X = np.random.default_rng(0).standard_normal((43, 5))
Y = (X[:, 0] * X[:, 1] > 0).astype(int)


def accuracy(outputs: Any, targets: np.ndarray) -> float:
    return float((outputs.data.argmax(axis=1) == targets).mean())


def network(rng: np.random.Generator) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(5, 8, rng=rng, dtype=np.float64),
        nn.Tanh(),
        nn.Dropout(0.2, rng=rng),
        nn.Linear(8, 2, rng=rng, dtype=np.float64),
    )


def trained(n_workers: int = 1, **settings: Any) -> Training:
    """A network with dropout; 5 batches an epoch, the last one of 3 rows."""
    rng = np.random.default_rng(1)
    model = network(rng)
    with workers(n_workers) as team:
        training = fit(
            model,
            F.cross_entropy,
            Batches((X, Y), 10, shuffle=True, rng=rng),
            Batches((X, Y), 20),
            optim.Adam(model.parameters(), lr=0.01),
            **{"epochs": 3, "metrics": {"accuracy": accuracy}, "progress": False, "team": team, **settings},
        )
    return training


def weights(training: Training) -> np.ndarray:
    return np.concatenate([array.ravel() for array in training.model.state_dict().values()])


def measures(training: Training) -> list[dict[str, float]]:
    return [{name: v for name, v in row.items() if name != "seconds"} for row in training.history]


def test_fit_is_the_loop_that_one_writes_by_hand() -> None:
    rng = np.random.default_rng(1)
    model = network(rng)
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    for _ in range(3):
        order = rng.permutation(len(Y))
        for rows in np.split(order, range(10, 43, 10)):
            optimizer.zero_grad()
            F.cross_entropy(model(X[rows]), Y[rows]).backward()
            optim.clip_grad_norm(model.parameters(), 0.5)
            optimizer.step()
    training = trained(max_norm=0.5)
    own = np.concatenate([array.ravel() for array in model.state_dict().values()])
    assert weights(training).tolist() == own.tolist()
    assert [(row["epoch"], row["step"], row["lr"]) for row in training.history] == [
        (1, 5, 0.01),
        (2, 10, 0.01),
        (3, 15, 0.01),
    ]
    model.eval()
    assert training.history[-1]["validation_loss"] == pytest.approx(
        F.cross_entropy(model(X), Y).item(), abs=1e-12
    )
    assert training.history[-1]["validation_accuracy"] == pytest.approx(accuracy(model(X), Y), abs=1e-12)


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("n", [2, 4])  # 4 are more than the rows of the last batch
def test_several_workers_do_what_one_does(n: int, accumulate: int) -> None:
    alone, shared = (trained(k, accumulate=accumulate) for k in (1, n))
    np.testing.assert_allclose(weights(shared), weights(alone), rtol=0, atol=1e-12)
    for one, other in zip(measures(shared), measures(alone), strict=True):
        assert one == pytest.approx(other, abs=1e-12)
