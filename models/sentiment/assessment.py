"""What there is to say of a model that is finished: how sure, how sure with reason, and where it is wrong.

`assess` takes the logits of texts that it was not trained on, the test reviews, and makes the tables that a run
keeps and draws: calibration as trained and at the run's temperature, accuracy by length, most confident mistakes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from datasets.messages import shortened
from datasets.text import TokenizedTexts
from models.sentiment.calibration import Calibration, calibration, class_probabilities, confidences
from models.sentiment.intervals import Interval, share_interval
from models.sentiment.model import most_likely
from tinygrad_np.extras import import_optional

if TYPE_CHECKING:
    import pandas as pd

LENGTHS = 10  # groups of texts, of about the same number each
MISTAKES = 20
SAID = 5  # of them in the terminal
BEGINNING = 60  # words of a text, to be read


class Assessment(NamedTuple):
    """What `assess` found.

    Attributes
    ----------
    accuracy : Interval
    as_trained, calibrated : Calibration
    by_length : pandas.DataFrame
        As `accuracy_by_length` makes it.
    mistakes : pandas.DataFrame
        As `confident_mistakes` makes it.
    """

    accuracy: Interval
    as_trained: Calibration
    calibrated: Calibration
    by_length: pd.DataFrame
    mistakes: pd.DataFrame


def assess(
    logits: np.ndarray,
    labels: np.ndarray,
    texts: TokenizedTexts,
    classes: Sequence[str],
    temperature: float,
    rng: np.random.Generator,
) -> Assessment:
    """Compare what a model says of texts, (texts,) or (texts, classes), with their labels."""
    right = most_likely(logits) == labels
    confidence = confidences(class_probabilities(logits, temperature))
    lengths = np.array([len(ids) for ids in texts.token_ids])
    return Assessment(
        share_interval(right, rng),
        calibration(logits, labels, 1.0, rng),
        calibration(logits, labels, temperature, rng),
        accuracy_by_length(lengths, right, confidence, rng),
        confident_mistakes(logits, labels, texts, classes, temperature),
    )


def accuracy_by_length(
    lengths: np.ndarray, right: np.ndarray, confidence: np.ndarray, rng: np.random.Generator
) -> pd.DataFrame:
    """The texts in `LENGTHS` groups, from the shortest to the longest; texts of one length stay together.

    Returns
    -------
    pandas.DataFrame
        A row a group: `shortest` and `longest` (words, both included), `texts`, `accuracy` with its interval
        (`low`, `high`), and the mean `confidence`.
    """
    starts = np.unique(np.quantile(lengths, np.arange(LENGTHS) / LENGTHS, method="higher"))
    group = np.searchsorted(starts, lengths, side="right")
    rows = []
    for i in range(1, len(starts) + 1):
        inside = group == i
        accuracy = share_interval(right[inside], rng)
        rows.append(
            {
                "shortest": int(lengths[inside].min()),
                "longest": int(lengths[inside].max()),
                "texts": int(inside.sum()),
                "accuracy": accuracy.value,
                "low": accuracy.low,
                "high": accuracy.high,
                "confidence": float(confidence[inside].mean()),
            }
        )
    table: pd.DataFrame = import_optional("pandas").DataFrame(rows)
    return table


def confident_mistakes(
    logits: np.ndarray, labels: np.ndarray, texts: TokenizedTexts, classes: Sequence[str], temperature: float
) -> pd.DataFrame:
    """The `MISTAKES` wrong answers of the highest confidence, to be read: is the label wrong, or the model?

    Returns
    -------
    pandas.DataFrame
        A row a mistake, the most confident first: `place` (among the texts, from 0), `said` and `label` (names of
        classes), `probability` (of what was said), `words` (how many), and the `beginning` of the text, as tokens.
    """
    # float64: in float32 many probabilities are 1
    said, confidence = (
        most_likely(logits),
        confidences(class_probabilities(logits.astype(np.float64), temperature)),
    )
    wrong = np.flatnonzero(said != labels)
    wrong = wrong[np.argsort(-confidence[wrong], kind="stable")][:MISTAKES]
    table: pd.DataFrame = import_optional("pandas").DataFrame(
        {
            "place": wrong,
            "said": [classes[said[i]] for i in wrong],
            "label": [classes[int(labels[i])] for i in wrong],
            "probability": confidence[wrong],
            "words": [len(texts.token_ids[i]) for i in wrong],
            "beginning": [" ".join(texts.tokens[t] for t in texts.token_ids[i][:BEGINNING]) for i in wrong],
        }
    )
    return table


def summary(found: Assessment) -> dict[str, Any]:
    """The figures of an assessment, but for its tables."""
    return {
        "accuracy": found.accuracy._asdict(),
        "calibration": {
            name: {
                "temperature": at.temperature,
                "loss": at.loss,
                "expected_calibration_error": at.error._asdict() | {"bins": len(at.bins)},
                "by_chance": at.chance,
            }
            for name, at in (("as_trained", found.as_trained), ("calibrated", found.calibrated))
        },
    }


def both_bins(found: Assessment) -> pd.DataFrame:
    """The bins as trained, and below them those at the temperature."""
    parts = [at.bins.assign(temperature=at.temperature) for at in (found.as_trained, found.calibrated)]
    table: pd.DataFrame = import_optional("pandas").concat(parts, ignore_index=True)
    return table


def curves(found: Assessment) -> dict[str, pd.DataFrame]:
    """The bins as trained and calibrated, under what the picture says of each."""
    named = {}
    for name, at in (("as trained", found.as_trained), ("calibrated", found.calibrated)):
        error = f"expected calibration error {at.error.value:.1%} ({at.error.low:.1%} to {at.error.high:.1%})"
        chance = f"by chance alone {at.chance:.1%}; {len(at.bins)} bins"
        named[f"{name}, temperature {at.temperature:.2f}: {error},\n{chance}"] = at.bins
    return named


def described(found: Assessment) -> str:
    """The same in some lines for a terminal."""
    lines = [f"95 % interval of the accuracy: {found.accuracy.low:.1%} to {found.accuracy.high:.1%}"]
    for name, at in (("as trained", found.as_trained), ("calibrated", found.calibrated)):
        lines.append(f"{name}, temperature {at.temperature:.2f}: loss {at.loss:.3f}, {error_text(at)}")
    bins = found.calibrated.bins
    lines.append(f"(of {len(bins)} bins of the same width, {bins['from'].iloc[0]:.0%} to 100% sure)")
    lines.append("words a review, accuracy and its 95 % interval, mean confidence:")
    for row in found.by_length.to_dict("records"):
        span = f"{row['shortest']:,} to {row['longest']:,}"
        lines.append(
            f"{span:>16}  {row['accuracy']:6.1%}  {row['low']:6.1%} to {row['high']:6.1%}  {row['confidence']:6.1%}"
        )
    n = len(found.mistakes)
    lines.append(f"of the {n} most confident mistakes the first:" if n else "no mistakes")
    for row in found.mistakes[:SAID].to_dict("records"):
        lines.append(
            f"{row['probability']:6.1%} {row['said']}, but {row['label']}: {shortened(row['beginning'], 80)}"
        )
    return "\n".join(lines)


def error_text(at: Calibration) -> str:
    """The calibration error, its interval, and what chance alone would show."""
    error = f"expected calibration error {at.error.value:.1%}"
    return (
        f"{error} (95 % interval {at.error.low:.1%} to {at.error.high:.1%}; by chance alone {at.chance:.1%})"
    )
