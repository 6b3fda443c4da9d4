"""What a model of reviews says of speeches, paragraph by paragraph, and how far these are from what it has learnt.

A paragraph is answered alone, and in its context: with its neighbours on both sides, as one text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from datasets.text import TokenizedTexts, paragraphs, tokenize_texts
from models.sentiment.calibration import class_probabilities, confidences
from models.sentiment.encoding import Encoder, with_ids_of
from models.sentiment.evaluate import logits
from models.sentiment.intervals import mean_interval, share_interval
from models.sentiment.model import SentimentNetwork
from models.sentiment.ngrams import NONE, Joined
from models.sentiment.sources import Reviews
from tinygrad_np.extras import import_optional

if TYPE_CHECKING:
    import pandas as pd

PARAGRAPH_WORDS = 60
COMPARED = 1000  # test reviews at most


class Answers(NamedTuple):
    """What a model says of some texts, each (texts,), and how much of them it knows.

    Attributes
    ----------
    positive : ndarray of float32
        The probability that it is positive.
    words, unknown : ndarray of int64
        How many words it has, and how many of these the model does not know.
    new_pairs : ndarray of float64
        How many pairs of neighbouring words it has that no two training texts have; NaN where the model counts no
        pairs.
    """

    positive: np.ndarray
    words: np.ndarray
    unknown: np.ndarray
    new_pairs: np.ndarray


class Asked(NamedTuple):
    """A model that answers tokenized texts, its probabilities made true by a temperature."""

    model: SentimentNetwork
    encoder: Encoder
    temperature: float

    def __call__(self, texts: TokenizedTexts) -> Answers:
        said = logits(self.model, self.encoder.encode(texts))
        if said.ndim == 2:
            raise ValueError(
                f"speeches are positive or negative, and this run was trained on {said.shape[1]} classes"
            )
        unknown = np.array([token not in self.encoder.vocabulary for token in texts.tokens], dtype=bool)
        return Answers(
            class_probabilities(said, self.temperature),
            np.array([len(ids) for ids in texts.token_ids], dtype=np.int64),
            np.array([unknown[ids].sum() for ids in texts.token_ids], dtype=np.int64),
            new_pairs(self.encoder, texts),
        )


def new_pairs(encoder: Encoder, texts: TokenizedTexts) -> np.ndarray:
    """How many pairs of neighbouring words of each text a model does not know, (texts,); NaN if it counts none."""
    if encoder.ngrams is None or len(encoder.ngrams.keys) < 2:
        return np.full(len(texts.token_ids), np.nan)
    joined = Joined.join(with_ids_of(encoder.vocabulary, texts))
    is_new = encoder.ngrams.numbers(joined)[1] == NONE
    is_new[joined.offsets[:-1][np.diff(joined.offsets) > 0]] = False  # the first word of a text ends no pair
    return np.bincount(joined.owners(), is_new, minlength=len(joined))


def paragraph_table(asked: Asked, speeches: pd.DataFrame, context: int) -> pd.DataFrame:
    """What the model says of each paragraph, alone and among so many neighbours on each side.

    Returns
    -------
    pandas.DataFrame
        A row a paragraph: `speech` and `paragraph` (their numbers from 1), `speaker`, `words`, `unknown` (of these
        words), `new_pairs` (as `Answers` has them), `positive` (the probability), `positive_in_context` (with a
        context above 0) and `text`.

    Raises
    ------
    ValueError
        No speech has words.
    """
    rows, in_context = [], []
    for number, (speaker, speech) in enumerate(zip(speeches["speaker"], speeches["speech"], strict=True), 1):
        parts = paragraphs(speech, PARAGRAPH_WORDS)
        for i, part in enumerate(parts):
            rows.append({"speech": number, "speaker": speaker, "paragraph": i + 1, "text": part})
            in_context.append(" ".join(parts[max(0, i - context) : i + context + 1]))
    if not rows:
        raise ValueError("no speech has words, so there is no paragraph to ask about")
    table: pd.DataFrame = import_optional("pandas").DataFrame(rows)
    alone = asked(tokenize_texts(table["text"]))
    found = {name: getattr(alone, name) for name in ("words", "unknown", "new_pairs", "positive")}
    if context:
        found["positive_in_context"] = asked(tokenize_texts(in_context)).positive
    return table.assign(**found)[["speech", "speaker", "paragraph", *found, "text"]]


def speech_table(
    table: pd.DataFrame, speeches: pd.DataFrame, context: int, rng: np.random.Generator
) -> pd.DataFrame:
    """What the model says of the paragraphs of each speech, from the table of `paragraph_table`.

    Returns
    -------
    pandas.DataFrame
        A row a speech, and a further one with a context above 0: `speaker`, `context`, `paragraphs` (how many),
        `positive` (the share of them with a probability of 0.5 or more) with its interval (`low`, `high`), `mean`
        of the probabilities with its own (`mean_low`, `mean_high`), and their standard deviation, `spread`. The
        intervals are by bootstrap over paragraphs. A paragraph stands in the context of its neighbours too, so
        there it is drawn together with those that follow. A speech without words has 0 paragraphs, and NaN for
        the rest.
    """
    rows = []
    for number, speaker in enumerate(speeches["speaker"], 1):
        for width in sorted({0, context}):
            of_it = table["speech"].to_numpy() == number
            p = table["positive_in_context" if width else "positive"].to_numpy(np.float64)[of_it]
            block = min(2 * width + 1, max(len(p), 1))
            share, mean = share_interval(p >= 0.5, rng, block), mean_interval(p, rng, block)
            rows.append(
                {
                    "speaker": speaker,
                    "context": width,
                    "paragraphs": len(p),
                    "positive": share.value,
                    "low": share.low,
                    "high": share.high,
                    "mean": mean.value,
                    "mean_low": mean.low,
                    "mean_high": mean.high,
                    "spread": float(p.std()) if len(p) else np.nan,
                }
            )
    made: pd.DataFrame = import_optional("pandas").DataFrame(rows)
    return made


def domain_table(
    asked: Asked, table: pd.DataFrame, reviews: Reviews, rng: np.random.Generator
) -> pd.DataFrame:
    """How far speeches are from the reviews that a model is tested with.

    A short text has less to be sure by. So the reviews stand there twice: whole, and one piece of each, as long as
    a paragraph that is drawn, from a place that is drawn.

    Parameters
    ----------
    table : pandas.DataFrame
        As `paragraph_table` makes it.
    reviews : Reviews
        Of these `COMPARED` are drawn, or all if there are fewer.

    Returns
    -------
    pandas.DataFrame
        A row for each of `reviews`, `pieces of reviews` and `paragraphs of speeches`, under `kind`: `texts` (how
        many), `words` (the median), `unknown` and `new_pairs` (shares of all their words and pairs, NaN where the
        model counts no pairs), mean `confidence` with its interval (`low`, `high`), and `accuracy`, NaN for
        speeches, of which nobody has said what is right.
    """
    rows = rng.permutation(len(reviews.labels))[:COMPARED]
    whole, labels = reviews.texts.take(rows), reviews.labels[rows]
    pieces = []
    for ids, length in zip(whole.token_ids, rng.choice(table["words"].to_numpy(), len(rows)), strict=True):
        start = rng.integers(max(0, len(ids) - length) + 1)
        pieces.append(ids[start : start + length])
    said = {
        "reviews": asked(whole),
        "pieces of reviews": asked(whole._replace(token_ids=pieces)),
        "paragraphs of speeches": Answers(*(table[name].to_numpy() for name in Answers._fields)),
    }
    found = []
    for kind, answers in said.items():
        confidence = mean_interval(confidences(answers.positive), rng)
        known = kind != "paragraphs of speeches"
        found.append(
            {
                "kind": kind,
                "texts": len(answers.words),
                "words": float(np.median(answers.words)),
                "unknown": float(answers.unknown.sum() / max(1, answers.words.sum())),
                "new_pairs": float(answers.new_pairs.sum() / max(1, np.maximum(answers.words - 1, 0).sum())),
                "confidence": confidence.value,
                "low": confidence.low,
                "high": confidence.high,
                "accuracy": float(((answers.positive >= 0.5) == labels).mean()) if known else np.nan,
            }
        )
    made: pd.DataFrame = import_optional("pandas").DataFrame(found)
    return made


def warning(domain: pd.DataFrame) -> str:
    """What is to be said beside any figure of a speech, from the table of `domain_table`."""
    reviews, pieces, speeches = domain.to_dict("records")
    pairs = ""
    if not np.isnan(speeches["new_pairs"]):
        pairs = (
            f", and {speeches['new_pairs']:.0%} of their pairs of neighbouring words are new to it (test reviews: "
            f"{reviews['new_pairs']:.0%})"
        )
    return (
        "The model has learnt from reviews, and reads a speech as if it were one. "
        f"It does not know {speeches['unknown']:.1%} of the words of these speeches (test reviews: "
        f"{reviews['unknown']:.1%}){pairs}; half of the paragraphs have {speeches['words']:.0f} words or more "
        f"(reviews: {reviews['words']:.0f}); it is {speeches['confidence']:.0%} sure on average (reviews: "
        f"{reviews['confidence']:.0%}; pieces of reviews as short as paragraphs: {pieces['confidence']:.0%}, and "
        f"{pieces['accuracy']:.0%} of these come out right). What is right for a speech nobody has said: grief and "
        "anger about its subject count as negative."
    )
