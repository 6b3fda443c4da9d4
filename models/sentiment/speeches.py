"""What the model says of speeches, paragraph by paragraph."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from datasets.text import paragraphs, tokenize_texts
from models.sentiment.encoding import Encoder
from models.sentiment.evaluate import probabilities
from models.sentiment.model import SentimentNetwork
from tinygrad_np.extras import import_optional

if TYPE_CHECKING:
    import pandas as pd

PARAGRAPH_WORDS = 60


def speech_table(model: SentimentNetwork, encoder: Encoder, speeches: pd.DataFrame) -> pd.DataFrame:
    """What the model says of the paragraphs of each speech.

    Returns
    -------
    pandas.DataFrame
        A row a speech: `speaker`, `paragraphs` (how many), `positive` (the fraction of them with a probability
        of 0.5 or more), `mean` and `spread` (mean and standard deviation of the probabilities). A speech
        without words has 0 paragraphs, and NaN for the rest.
    """
    pandas = import_optional("pandas")
    rows = []
    for speaker, speech in zip(speeches["speaker"], speeches["speech"], strict=True):
        parts = paragraphs(speech, PARAGRAPH_WORDS)
        p = probabilities(model, encoder.encode(tokenize_texts(parts)))
        known = len(p) > 0
        rows.append(
            {
                "speaker": speaker,
                "paragraphs": len(p),
                "positive": float((p >= 0.5).mean()) if known else np.nan,
                "mean": float(p.mean()) if known else np.nan,
                "spread": float(p.std()) if known else np.nan,
            }
        )
    table: pd.DataFrame = pandas.DataFrame(rows)
    return table
