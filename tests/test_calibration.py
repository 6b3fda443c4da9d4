"""Temperatures, calibration errors and intervals: values that can be worked out by hand, and what is refused."""

import numpy as np
import pytest

from models.sentiment.calibration import (
    HIGHEST,
    calibration,
    class_probabilities,
    confidences,
    fit_temperature,
)
from models.sentiment.intervals import mean_interval, share_interval
from models.sentiment.model import most_likely


def test_temperature_of_two_classes_by_hand():
    """All logits are 1 from 0, and 3 of 4 answers are right: 1 / temperature is the logit of 3/4, log 3."""
    logits, labels = np.array([1, 1, -1, -1], np.float32), np.array([1, 0, 0, 0], np.int8)
    assert fit_temperature(logits, labels) == pytest.approx(1 / np.log(3), rel=1e-12)
    assert fit_temperature(7 * logits, labels) == pytest.approx(7 / np.log(3), rel=1e-12)


def test_temperature_of_three_classes_by_hand():
    """The answer leads by 2 and is right in 3 of 5: e^(2 / T) is 3 times the e^0 of the two others, e^(2/T) = 3."""
    logits = np.tile(np.array([[5, 3, 3]]), (5, 1))
    assert fit_temperature(logits, np.array([0, 0, 0, 1, 2])) == pytest.approx(2 / np.log(3), rel=1e-12)


def test_temperature_has_the_smallest_loss_of_all():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(0, 3, (200, 4)), rng.integers(4, size=200)
    logits[np.arange(200), labels] += 4
    best = fit_temperature(logits, labels)
    others = best * np.array([0.9, 0.99, 1.01, 1.1])
    losses = [calibration(logits, labels, t, np.random.default_rng(0)).loss for t in (best, *others)]
    assert losses[0] < min(losses[1:])


def test_two_logits_say_what_their_difference_says():
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 2, 50)
    labels = (logits + rng.normal(0, 2, 50) > 0).astype(np.int8)
    pairs = np.stack([0.3 - logits / 2, 0.3 + logits / 2], axis=1)
    assert fit_temperature(pairs, labels) == pytest.approx(fit_temperature(logits, labels), rel=1e-9)
    np.testing.assert_allclose(class_probabilities(pairs, 1.7)[:, 1], class_probabilities(logits, 1.7))
    assert (most_likely(pairs) == most_likely(logits)).all()


def test_no_temperature_is_the_best():
    right = np.array([3.0, -2, 0, 1e-9])
    assert (
        fit_temperature(right, np.array([1, 0, 1, 1])) == 1.0
    )  # nothing says that it is too sure, or not enough
    assert fit_temperature(np.array([2.0, -2, 2, -2]), np.array([1, 1, 0, 0])) == pytest.approx(
        HIGHEST
    )  # a guess
    assert fit_temperature(-right[:3], np.array([1, 0, 1])) == pytest.approx(HIGHEST)  # worse than one
    assert fit_temperature(np.array([[2.0, 0], [-1, -5]]), np.array([0, 0])) == 1.0


@pytest.mark.parametrize(
    ("logits", "labels", "fault"),
    [
        ([], [], r"1 text or more; the logits are \(0,\)"),
        ([1.0, 2], [1], r"the logits are \(2,\), the labels \(1,\)"),
        ([1.0, 2], [0, 2], "whole numbers from 0 to 1, and these from 0 to 2"),
        ([[1.0, 2, 3]], [-1], "whole numbers from 0 to 2, and these from -1 to -1"),
        ([1.0, 2], [0, 0.5], "whole numbers from 0 to 1"),
        ([1.0, np.nan], [0, 1], "a logit is infinite or NaN"),
    ],
)
def test_what_no_temperature_can_be_fit_to(logits, labels, fault):
    with pytest.raises(ValueError, match=fault):
        fit_temperature(np.array(logits), np.array(labels))


def test_probabilities_answers_and_confidence():
    logits = np.array([0, np.log(4), -np.log(9)], np.float32)
    p = class_probabilities(logits)
    assert p.dtype == np.float32
    np.testing.assert_allclose(p, [0.5, 0.8, 0.1], rtol=1e-6)
    np.testing.assert_allclose(class_probabilities(logits, 0.5)[1:], [16 / 17, 1 / 82], rtol=1e-6)
    assert most_likely(logits).tolist() == [1, 1, 0]
    np.testing.assert_allclose(confidences(p), [0.5, 0.8, 0.9], rtol=1e-6)
    np.testing.assert_allclose(confidences(np.array([[0.2, 0.5, 0.3]])), [0.5])


def test_expected_calibration_error_by_hand():
    """Four answers of 0.82, one of them wrong, and six of 0.62, four wrong: 4 are 0.07 off, 6 are 0.62 - 1/3."""
    p = np.array([0.82] * 4 + [0.38] * 6)
    labels = np.array([1, 1, 1, 0, 0, 0, 1, 1, 1, 1])
    found = calibration(np.log(p / (1 - p)), labels, 1.0, np.random.default_rng(0))
    assert found.error.value == pytest.approx((4 * 0.07 + 6 * (0.62 - 1 / 3)) / 10)
    assert found.error.low < found.error.value <= found.error.high
    bins = found.bins.set_index("from")
    assert bins["texts"].tolist() == [0, 0, 6, 0, 0, 0, 4, 0, 0, 0]
    np.testing.assert_allclose(bins.index, np.arange(0.5, 0.99, 0.05))
    assert bins["accuracy"].dropna().tolist() == [pytest.approx(1 / 3), 0.75]
    assert bins["confidence"].dropna().tolist() == [pytest.approx(0.62), pytest.approx(0.82)]
    assert found.loss == pytest.approx(-np.mean(np.log(np.where(labels == 1, p, 1 - p))))


def test_bins_of_three_classes_begin_at_a_third():
    logits = np.log(np.array([[0.39, 0.31, 0.3], [0.98, 0.01, 0.01], [1e-30, 1e-30, 1.0]]))
    bins = calibration(logits, np.array([0, 0, 2]), 1.0, np.random.default_rng(0)).bins
    assert bins["from"].iloc[0] == pytest.approx(1 / 3)
    assert bins["to"].iloc[-1] == 1.0
    assert bins["texts"].tolist() == [1, *[0] * 8, 2]


def test_chance_alone_makes_an_error():
    """Of 100 answers of 0.8 the share of right ones has the deviation 0.04, and the mean of its size is less."""
    logits, labels = np.full(100, np.log(4)), np.arange(100) < 60
    found = calibration(logits, labels, 1.0, np.random.default_rng(0))
    assert found.chance == pytest.approx(0.04 * np.sqrt(2 / np.pi), rel=0.25)
    assert found.error.value == pytest.approx(0.2)


def test_the_interval_finds_the_error_that_a_wrong_temperature_makes():
    """Logits three times too large, of 2,000 texts: the true error is that of a very large sample."""
    rng = np.random.default_rng(2)
    logits = rng.normal(0, 2, 400_000)
    labels = (rng.random(len(logits)) < 1 / (1 + np.exp(-logits))).astype(np.int8)
    p = confidences(class_probabilities(3 * logits))
    place = np.minimum(((p - 0.5) / 0.05).astype(int), 9)
    truth = np.abs(np.bincount(place, (most_likely(logits) == labels) - p)).sum() / len(p)
    sample = slice(0, 2000)
    wrong = calibration(3 * logits[sample], labels[sample], 1.0, rng)
    assert wrong.error.low < truth < wrong.error.high
    assert wrong.error.high - wrong.error.low < 0.05
    assert fit_temperature(3 * logits[sample], labels[sample]) == pytest.approx(3, rel=0.1)
    mended = calibration(3 * logits[sample], labels[sample], 3.0, rng)
    assert mended.error.low == 0
    assert mended.error.value <= mended.error.high
    assert mended.error.value < 2 * mended.chance < truth


def test_the_same_seed_draws_the_same_interval():
    rng = np.random.default_rng(3)
    logits, labels = rng.normal(0, 2, 100), rng.integers(2, size=100)
    one, two, other = (calibration(logits, labels, 1.0, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert one.error == two.error
    assert one.error != other.error


def test_intervals_of_means():
    """Of n values with deviation s, a mean is off by 1.96 s / sqrt(n) in 1 of 20 cases."""
    values = np.random.default_rng(0).normal(5, 2, 400)
    found = mean_interval(values, np.random.default_rng(0))
    assert found.value == pytest.approx(values.mean())
    for bound, sign in ((found.low, -1), (found.high, 1)):
        assert bound == pytest.approx(values.mean() + sign * 1.96 * values.std() / 20, abs=0.02)
    assert np.isnan(mean_interval(np.array([]), np.random.default_rng(0))).all()


def test_intervals_of_shares():
    rng = np.random.default_rng(0)
    found = share_interval(np.arange(100) < 30, rng)
    assert found.value == 0.3
    assert found.low == pytest.approx(0.3 - 1.96 * np.sqrt(0.3 * 0.7 / 100), abs=0.015)
    assert found.high == pytest.approx(0.3 + 1.96 * np.sqrt(0.3 * 0.7 / 100), abs=0.015)
    # 3 of 3 prove little: with a share of 0.2924 they happen in 1 case of 40
    assert share_interval(np.ones(3, bool), rng) == (1.0, pytest.approx(0.025 ** (1 / 3)), 1.0)
    assert share_interval(np.zeros(3, bool), rng) == (0.0, 0.0, pytest.approx(1 - 0.025 ** (1 / 3)))
    assert np.isnan(share_interval(np.array([], bool), rng)).all()
