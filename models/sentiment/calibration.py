"""Are the probabilities true? Of the answers given with 80 % confidence, 80 % should be right.

A network that is trained to be right is mostly too sure. One number mends most of it: the logits are divided by a
temperature, which changes no answer, only how sure it is. It is chosen on the validation texts, and judged on the
test texts. Source: Guo, Pleiss, Sun, Weinberger, On Calibration of Modern Neural Networks (2017).

Logits are (texts,) for two classes, above 0 for the second one, or (texts, classes).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

import tinygrad_np.functional as F
from models.sentiment.intervals import TAILS, Interval, bootstrap, share_interval
from models.sentiment.model import most_likely
from tinygrad_np import Tensor, grad, no_grad
from tinygrad_np.extras import import_optional

if TYPE_CHECKING:
    import pandas as pd

BINS = 10  # of the same width, from the confidence of a guess (1 / classes) to 1
HIGHEST = 100.0  # temperature, at which all classes are nearly as probable


def log_loss(logits: Tensor, labels: np.ndarray) -> Tensor:
    """The mean over texts of how improbable their labels were held to be: binary, or categorical cross-entropy."""
    if logits.ndim == 1:
        return F.binary_cross_entropy_with_logits(logits, labels)
    return F.cross_entropy(logits, labels.astype(np.int64))


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature for which the mean log loss of ``logits / temperature`` is the smallest.

    The loss is convex in the inverse of the temperature, so its slope, which our own autodiff gives, changes its
    sign once, and halving an interval around that place finds it. Two data sets have no such place. Where every
    answer is right, ever larger logits are ever better; that no text says otherwise is no reason to be sure, so
    the temperature is 1. Where the logits are no better than a guess, it is `HIGHEST`.

    Parameters
    ----------
    logits : ndarray, shape (texts,) or (texts, classes)
        Of texts that the model was not trained on.
    labels : ndarray of int, shape (texts,)
        The right class of each, from 0.

    Returns
    -------
    float
        Above 0; more than 1 where the model was too sure.

    Raises
    ------
    ValueError
        There is no text, a shape or a label does not fit, or a logit is infinite or NaN.
    """
    logits, labels = np.asarray(logits, np.float64), np.asarray(labels)
    if logits.ndim not in (1, 2) or not len(logits) or labels.shape != logits.shape[:1]:
        raise ValueError(
            f"a temperature needs logits (texts,) or (texts, classes) and a label for each, 1 text or more; "
            f"the logits are {logits.shape}, the labels {labels.shape}"
        )
    n_classes = 2 if logits.ndim == 1 else logits.shape[1]
    if not np.isin(labels, np.arange(n_classes)).all():
        raise ValueError(
            f"labels are whole numbers from 0 to {n_classes - 1}, and these from {labels.min()} to {labels.max()}"
        )
    if not np.isfinite(logits).all():
        raise ValueError("a logit is infinite or NaN, so the model gives no probability to calibrate")

    if logits.ndim == 1:
        ahead = np.where(labels == 1, logits, -logits)
    else:
        right = np.arange(n_classes) == labels[:, np.newaxis]
        ahead = logits[right] - np.where(right, -np.inf, logits).max(axis=1)
    if (ahead >= 0).all():
        return 1.0
    slope = grad(lambda inverse: log_loss(inverse * logits, labels))
    low, high = 1 / HIGHEST, 1.0
    while slope(high) < 0:
        high *= 2
    for _ in range(60):
        middle = np.sqrt(low * high)
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
    return float(1 / high)


def class_probabilities(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """The probability of each class (texts, classes), or that of the second one of two (texts,)."""
    with no_grad():
        scaled = Tensor(logits / np.asarray(temperature, logits.dtype))
        p = F.sigmoid(scaled) if logits.ndim == 1 else F.softmax(scaled, axis=1)
    return np.asarray(p.data)


def confidences(p: np.ndarray) -> np.ndarray:
    """The probability of each answer, (texts,), from the probabilities of `class_probabilities`."""
    return np.asarray(np.maximum(p, 1 - p) if p.ndim == 1 else p.max(axis=1))


class Calibration(NamedTuple):
    """How true the probabilities are at a temperature.

    Attributes
    ----------
    temperature, loss : float
        The loss is the mean log loss.
    error : Interval
        The expected calibration error, with its interval.
    chance : float
        The error that probabilities without fault would show on as many texts, by chance alone.
    bins : pandas.DataFrame
        A row for each of `BINS`: `from` and `to` (its confidences), `texts`, and the means of these: `confidence`
        and `accuracy`, with the interval of the accuracy (`low`, `high`). NaN where it holds no text.
    """

    temperature: float
    loss: float
    error: Interval
    chance: float
    bins: pd.DataFrame


def calibration(
    logits: np.ndarray, labels: np.ndarray, temperature: float, rng: np.random.Generator
) -> Calibration:
    """How true the probabilities of some texts are, once their logits are divided by a temperature.

    The expected calibration error is the mean over texts of how far the accuracy of their bin is from its mean
    confidence. Noise can only add to it: a sample of n texts shows more than there is, and a sample of the sample
    yet more. So the interval is the basic one, which turns the bootstrap's around: as far as samples of the texts
    are from these texts, so far are these from the truth. It is widened to hold the error itself.
    """
    logits = logits.astype(np.float64)
    with no_grad():
        loss = log_loss(Tensor(logits / temperature), labels).item()
    confidence, right = confidences(class_probabilities(logits, temperature)), most_likely(logits) == labels
    guess = 1 / (2 if logits.ndim == 1 else logits.shape[1])
    place = np.minimum(((confidence - guess) / (1 - guess) * BINS).astype(np.int64), BINS - 1)

    def error(place: np.ndarray, gap: np.ndarray) -> float:
        return float(np.abs(np.bincount(place, gap, minlength=BINS)).sum() / len(place))

    gap = right - confidence
    value = error(place, gap)
    drawn = bootstrap(lambda rows: error(place[rows], gap[rows]), len(gap), rng)
    low, high = np.maximum((0, value), 2 * value - np.quantile(drawn, TAILS[::-1])).tolist()
    chance = np.mean([error(place, (rng.random(len(gap)) < confidence) - confidence) for _ in range(100)])

    rows = []
    edges = np.linspace(guess, 1, BINS + 1).tolist()
    for i in range(BINS):
        inside = place == i
        accuracy = share_interval(right[inside], rng)
        rows.append(
            {
                "from": edges[i],
                "to": edges[i + 1],
                "texts": int(inside.sum()),
                "confidence": float(confidence[inside].mean()) if inside.any() else np.nan,
                "accuracy": accuracy.value,
                "low": accuracy.low,
                "high": accuracy.high,
            }
        )
    bins: pd.DataFrame = import_optional("pandas").DataFrame(rows)
    return Calibration(temperature, loss, Interval(value, low, high), float(chance), bins)
