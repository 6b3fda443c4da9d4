"""Tests of the synthetic corpus: its labels are right, and no count of words can find them."""

import itertools
import re
from collections import Counter

import numpy as np
import pytest

from datasets import generate_demo, tokenize, tokenize_texts

PRAISE, BLAME = (
    line.split()
    for line in (
        "wonderful moving brilliant charming funny clever gripping touching lovely superb delightful fresh "
        "thrilling good great beautiful",
        "dull boring awful terrible clumsy silly lifeless tedious dreadful weak shallow messy annoying bad "
        "poor ugly",
    )
)
TRAIN, TEST = generate_demo(2000, seed=1), generate_demo(500, seed=2)


def opinion(clause):
    """1 if a clause praises, 0 if it blames."""
    (adjective,) = [word for word in tokenize(clause) if word in PRAISE + BLAME]
    negations = [word for word in tokenize(clause) if word in ("not", "never")]
    return (adjective in PRAISE) ^ len(negations)


def read(review):
    """The sentiment of a review, found by reading it."""
    claim = review.rstrip(".").split(". ")[-1].lower()
    if match := re.fullmatch(r"(?:although|though|despite) (.*), (.*)|(.*?),? (?:but|yet) (.*)", claim):
        weak, strong = filter(None, match.groups())
    elif match := re.fullmatch(r"(.*?) (?:although|even though|though|despite) (.*)", claim):
        strong, weak = match.groups()
    else:
        one, other = claim.split(" and ")
        assert opinion(one) == opinion(other)
        return opinion(one)
    assert opinion(weak) != opinion(strong)
    return opinion(strong)


def accuracy(features):
    """What ridge regression on counts of features, fitted to TRAIN, gets right of TEST."""
    tables = [[features(tokenize(review)) for review in table["review"]] for table in (TRAIN, TEST)]
    number = {feature: i for i, feature in enumerate({f: None for row in tables[0] for f in row})}
    counts = [np.zeros((len(rows), len(number))) for rows in tables]
    for count, rows in zip(counts, tables, strict=True):
        for i, row in enumerate(rows):
            for feature in row:
                if feature in number:
                    count[i, number[feature]] += 1
    train, test = counts
    target = 2.0 * TRAIN["sentiment"].to_numpy() - 1
    weights = np.linalg.solve(train.T @ train + 10 * np.eye(len(number)), train.T @ target)
    # Rounded, so that twins with the same counts get the same answer whatever the order of summation.
    return np.mean((np.round(test @ weights, 6) > 0) == TEST["sentiment"])


def test_the_table():
    assert list(TRAIN.columns) == ["review", "sentiment"]
    assert TRAIN["sentiment"].dtype == np.int8
    assert len(TRAIN) == 2000
    assert TRAIN["sentiment"].sum() == 1000
    assert TRAIN["review"].is_unique
    assert 0.4 < TRAIN["sentiment"][:500].mean() < 0.6  # shuffled
    lengths = [sum(token not in ".,;" for token in tokenize(review)) for review in TRAIN["review"]]
    assert min(lengths) >= 11
    assert max(lengths) <= 26
    assert len(tokenize_texts(TRAIN["review"]).tokens) < 198


def test_the_labels_are_what_a_reader_finds():
    assert [read(review) for review in TRAIN["review"]] == TRAIN["sentiment"].tolist()


def test_each_review_has_a_twin_of_the_other_sentiment():
    bags = [Counter(), Counter()]
    for review, sentiment in zip(TRAIN["review"], TRAIN["sentiment"], strict=True):
        bags[sentiment][tuple(sorted(tokenize(review)))] += 1
    assert bags[0] == bags[1]


def test_the_seed_decides():
    assert generate_demo(100, seed=5).equals(generate_demo(100, seed=5))
    assert len(set(TRAIN["review"]) & set(TEST["review"])) <= 5


@pytest.mark.parametrize("size", [0, -2, 7])
def test_an_odd_size(size):
    with pytest.raises(ValueError, match=f"size is an even number from 2, not {size}"):
        generate_demo(size, seed=0)


def test_counting_words_is_guessing():
    assert accuracy(lambda tokens: tokens) == 0.5


def test_counting_pairs_of_words_is_hardly_better():
    assert accuracy(lambda tokens: list(itertools.pairwise(tokens))) < 0.65


def test_no_single_place_gives_the_sentiment_away():
    places = [*range(10), *range(-10, 0)]
    assert max(accuracy(lambda tokens, place=place: [tokens[place]]) for place in places) < 0.65


@pytest.mark.parametrize("which", [0, -1])
def test_neither_the_first_nor_the_last_adjective_decides(which):
    assert accuracy(lambda tokens: [[word for word in tokens if word in PRAISE + BLAME][which]]) < 0.65
