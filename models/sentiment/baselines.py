"""What linear models make of the same reviews: the marks that the network has to beat.

Both are scikit-learn's logistic regression, on counted n-grams of the same tokens that the network has:

- TF-IDF of single tokens and pairs;
- which n-grams of up to three tokens a review holds, each weighted by its Naive Bayes ratio (Wang and Manning,
  "Baselines and Bigrams", 2012; Mesnil et al., "Ensemble of Generative and Discriminative Techniques", 2014).

All of it is scikit-learn's, none ours, so that a mistake of ours cannot be on both sides. Needs the extra
``sklearn``.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from models.sentiment.sources import Reviews
from tinygrad_np.extras import import_optional

# Chosen on a fifth of IMDb's training reviews, from 3, 10, 30, 100 and from 0.01 to 1.
TFIDF_C = 30.0
NAIVE_BAYES_C = 0.3


class Baseline(NamedTuple):
    """A linear model: its test accuracy, how many numbers it has, and the seconds of its training."""

    name: str
    accuracy: float
    parameters: int
    seconds: float


def baselines(train: Reviews, test: Reviews) -> Iterator[Baseline]:
    """Train and test each of them, one after another.

    Parameters
    ----------
    train, test : Reviews
        Of two classes.

    Raises
    ------
    ValueError
        The training reviews are of one class, or of more than two.
    """
    if (n_classes := len(np.unique(train.labels))) != 2:
        raise ValueError(f"the baselines tell two classes apart, and the training reviews have {n_classes}")
    text = import_optional("sklearn.feature_extraction.text")
    given: dict[str, Any] = {
        "tokenizer": list,
        "preprocessor": list,
        "token_pattern": None,
        "lowercase": False,
    }
    given |= {"min_df": 2, "dtype": np.float32}
    read, asked = words(train), words(test)

    start = time.perf_counter()
    tfidf = text.TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, **given)
    x = tfidf.fit_transform(read)
    model = regression(x, train.labels, TFIDF_C)
    seconds = time.perf_counter() - start
    accuracy = float(model.score(tfidf.transform(asked), test.labels))
    yield Baseline("TF-IDF of tokens and pairs", accuracy, x.shape[1] + 1, seconds)

    start = time.perf_counter()
    counter = text.CountVectorizer(ngram_range=(1, 3), binary=True, **given)
    x = counter.fit_transform(read)
    p, q = (np.asarray(x[train.labels == label].sum(axis=0)).ravel() + 1 for label in (1, 0))
    ratios = np.log(p / p.sum()) - np.log(q / q.sum())
    model = regression(x.multiply(ratios).tocsr(), train.labels, NAIVE_BAYES_C)
    seconds = time.perf_counter() - start
    accuracy = float(model.score(counter.transform(asked).multiply(ratios).tocsr(), test.labels))
    yield Baseline("n-grams of up to three tokens with Naive Bayes ratios", accuracy, x.shape[1] + 1, seconds)


def regression(x: Any, labels: np.ndarray, c: float) -> Any:
    """A logistic regression that is trained."""
    linear_model = import_optional("sklearn.linear_model")
    return linear_model.LogisticRegression(C=c, solver="liblinear", random_state=0).fit(x, labels)


def words(reviews: Reviews) -> list[list[str]]:
    """The tokens of each review."""
    tokens = np.array(reviews.texts.tokens, dtype=object)
    return [tokens[ids].tolist() for ids in reviews.texts.token_ids]
