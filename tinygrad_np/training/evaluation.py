"""How good is a model: the mean loss and metrics over data, and its outputs row by row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any, TypeAlias

import numpy as np

from tinygrad_np.data import Batches
from tinygrad_np.grad_mode import no_grad
from tinygrad_np.nn import Layer
from tinygrad_np.parallel import Workers
from tinygrad_np.tensor import Tensor

Loss: TypeAlias = Callable[[Any, Any], Tensor]
Metrics: TypeAlias = Mapping[str, Callable[[Any, Any], Any]]


def evaluate(
    model: Layer,
    loss: Loss,
    data: Batches,
    metrics: Metrics | None = None,
    team: Workers | None = None,
    watch: Callable[[], None] = lambda: None,
) -> dict[str, float]:
    """The mean loss and metrics of a model over all rows, in evaluation; the workers take turns at the batches.

    Parameters
    ----------
    model, loss, metrics, team
        As `fit` takes them.
    data : Batches
        An epoch of it is used.
    watch : callable, optional
        Called after each batch.

    Returns
    -------
    dict
        ``"loss"``, and each metric under its name.
    """
    team = team or Workers()
    metrics = metrics or {}
    totals = np.zeros(2 + len(metrics))  # rows, loss, metrics
    training, place = model.training, data.state_dict()
    model.eval()
    try:
        with no_grad():
            for rows in islice(data.rows(), team.rank, None, team.size):
                *inputs, targets = check_batch(data.source[rows])
                outputs = model(*inputs)
                means = [1.0, loss_value(loss(outputs, targets)), *measured(metrics, outputs, targets)]
                totals += len(rows) * np.array(means)
                watch()
    except BaseException:
        data.load_state_dict(place)  # as if it had not begun
        raise
    finally:
        model.train(training)
    team.all_reduce([totals])
    if not totals[0]:
        raise ValueError("there are no rows to evaluate the model on")
    return dict(zip(["loss", *metrics], (totals[1:] / totals[0]).tolist(), strict=True))


def predict(model: Layer, data: Batches) -> np.ndarray:
    """What a model gives for each row, in the order of the source, whatever that of the batches.

    Parameters
    ----------
    model : Layer
        Its one output has the rows first.
    data : Batches
        The batches are what the model is called with: inputs, and no targets.

    Returns
    -------
    ndarray
        (rows, ...).
    """
    places, outputs = [], []
    training = model.training
    model.eval()
    try:
        with no_grad():
            for rows in data.rows():
                places.append(rows)
                outputs.append(model(*data.source[rows]).data)
    finally:
        model.train(training)
    if not outputs:
        raise ValueError("there are no rows to predict")
    found: np.ndarray = np.concatenate(outputs)
    return found[np.argsort(np.concatenate(places))]


def measured(metrics: Metrics, outputs: Any, targets: Any) -> list[float]:
    """Each metric of a batch."""
    values = [metric(outputs, targets) for metric in metrics.values()]
    return [float(value.item() if hasattr(value, "item") else value) for value in values]


def loss_value(loss: Any) -> float:
    """The loss of a batch as a number."""
    if not isinstance(loss, Tensor) or loss.size != 1:
        raise ValueError(
            f"the loss of a batch is one Tensor, the mean over its rows, not {type(loss).__name__} of shape "
            f"{np.shape(loss)}"
        )
    return float(loss.item())


def check_batch(batch: Any) -> tuple[Any, ...]:
    """A batch as fit takes it: inputs, and the targets last."""
    if not isinstance(batch, tuple | list) or len(batch) < 2:
        raise ValueError(
            "a batch is a tuple of one input or more and the targets, not "
            + (f"a tuple of {len(batch)}" if isinstance(batch, tuple | list) else type(batch).__name__)
        )
    return tuple(batch)
