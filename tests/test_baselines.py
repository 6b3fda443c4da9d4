"""The linear models beside the network, on reviews whose words, or pairs of words, tell the class."""

import numpy as np
import pytest

from datasets.text import tokenize_texts
from models.sentiment.baselines import baselines
from models.sentiment.sources import Reviews


def reviews(seed: int, size: int) -> Reviews:
    """ "not good" is bad and "not bad" is good: single words tell nothing."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, size)
    texts = []
    for label in labels:
        first, second = rng.permutation([["not", ("good", "bad")[label]], ["so", ("bad", "good")[label]]])
        texts.append(" ".join([*first, *rng.choice(["a", "film", "that"], 3), *second]))
    return Reviews(tokenize_texts(texts), labels)


def test_linear_models_learn_what_pairs_tell() -> None:
    tfidf, ratios = baselines(reviews(0, 300), reviews(1, 200))
    assert tfidf.accuracy == ratios.accuracy == 1
    assert tfidf.name == "TF-IDF of tokens and pairs"
    assert 10 < tfidf.parameters < ratios.parameters
    assert min(tfidf.seconds, ratios.seconds) > 0
    other = reviews(1, 200)
    flipped = Reviews(other.texts, 1 - other.labels)
    assert [found.accuracy for found in baselines(reviews(0, 300), flipped)] == [0, 0]


@pytest.mark.parametrize("n_classes", [1, 3])
def test_one_class_and_three_are_refused(n_classes: int) -> None:
    some = reviews(0, 30)
    wrong = Reviews(some.texts, np.arange(30) % n_classes)
    with pytest.raises(
        ValueError, match=f"tell two classes apart, and the training reviews have {n_classes}$"
    ):
        next(baselines(wrong, some))
