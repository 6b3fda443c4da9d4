"""n-grams against counting them one by one in plain Python: numbers, ratios, channels, and what a file holds."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from models.sentiment.ngrams import Counted, Joined, NGrams, bags, channels
from tinygrad_np.weights import load_weights, save_weights

N_TOKENS = 7  # padding, unknown, and five words


def some_texts(seed: int, n_classes: int = 2, count: int = 30) -> tuple[list[np.ndarray], np.ndarray]:
    """Short texts of few words, some of them empty, some words unknown."""
    rng = np.random.default_rng(seed)
    texts = [rng.integers(1, N_TOKENS, rng.integers(0, 7)) for _ in range(count)]
    return texts, rng.integers(0, n_classes, count)


def held_by(text: np.ndarray, max_n: int) -> list[tuple[int, ...]]:
    """The n-grams of a text without unknown words, each as often as it occurs."""
    runs = [tuple(text[i : i + n].tolist()) for n in range(1, max_n + 1) for i in range(len(text) - n + 1)]
    return [run for run in runs if min(run) > 1]


def plain_ratios(
    texts: list[np.ndarray], labels: np.ndarray, n_classes: int, max_n: int, known: list[tuple[int, ...]]
) -> dict[tuple[int, ...], list[float]]:
    """The ratios of known n-grams by the formula; of those that fewer than two texts hold 0."""
    columns: list[dict[tuple[int, ...], float]] = []
    held = [set(held_by(text, max_n)) for text in texts]
    for label in [1] if n_classes == 2 else range(n_classes):
        p = Counter(run for runs, own in zip(held, labels, strict=True) for run in runs if own == label)
        q = Counter(run for runs, own in zip(held, labels, strict=True) for run in runs if own != label)
        sums = [sum(counter[run] + 1 for run in known) for counter in (p, q)]
        columns.append(
            {
                run: np.log((p[run] + 1) / sums[0]) - np.log((q[run] + 1) / sums[1])
                if p[run] + q[run] > 1
                else 0.0
                for run in known
            }
        )
    return {run: [column[run] for column in columns] for run in known}


def plain_channels(
    text: np.ndarray, ratios: dict[tuple[int, ...], list[float]], max_n: int
) -> list[list[float]]:
    """At each word the ratios of the n-grams that end there."""
    none = [0.0] * len(next(iter(ratios.values())))
    return [
        [
            number
            for n in range(1, max_n + 1)
            for number in (ratios.get(tuple(text[i + 1 - n : i + 1].tolist()), none) if n <= i + 1 else none)
        ]
        for i in range(len(text))
    ]


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("max_n", [1, 2, 4])
def test_numbers_and_ratios_are_those_of_counting(n_classes: int, max_n: int) -> None:
    texts, labels = some_texts(max_n, n_classes)
    counted = Counted.count(Joined.join(texts), labels, n_classes, max_n, N_TOKENS)
    in_texts = Counter(run for text in texts for run in set(held_by(text, max_n)))
    known = [run for run, count in in_texts.items() if count > 1]
    assert len(counted.ngrams) == len(known)
    ratios = plain_ratios(texts, labels, n_classes, max_n, known)
    others, _ = some_texts(99)
    for some, numbers in (
        (texts, counted.numbers),
        (texts, counted.ngrams.numbers(Joined.join(texts))),
        (others, counted.ngrams.numbers(Joined.join(others))),
    ):
        expected = [row for text in some for row in plain_channels(text, ratios, max_n)]
        np.testing.assert_allclose(channels(numbers, counted.ngrams.ratios), expected, rtol=1e-5, atol=1e-7)
        held = bags(numbers, Joined.join(some))
        for i, text in enumerate(some):
            mine = held.numbers[held.offsets[i] : held.offsets[i + 1]]
            assert len(set(mine.tolist())) == len(mine) == len(set(held_by(text, max_n)) & set(known))


@pytest.mark.parametrize("n_classes", [2, 3])
def test_out_of_fold_a_text_has_no_part_in_its_own_channels(n_classes: int) -> None:
    texts, labels = some_texts(5, n_classes)
    folds = np.random.default_rng(1).permutation(len(texts)) % 4
    counted = Counted.count(Joined.join(texts), labels, n_classes, 2, N_TOKENS)
    in_texts = Counter(run for text in texts for run in set(held_by(text, 2)))
    known = [run for run, count in in_texts.items() if count > 1]
    expected = []
    for text, fold in zip(texts, folds, strict=True):
        rows = np.flatnonzero(folds != fold)
        ratios = plain_ratios([texts[i] for i in rows], labels[rows], n_classes, 2, known)
        expected += plain_channels(text, ratios, 2)
    np.testing.assert_allclose(counted.out_of_fold_channels(folds), expected, rtol=1e-5, atol=1e-7)


def test_texts_without_a_known_ngram_have_no_numbers() -> None:
    texts = Joined.join([np.array([2, 3]), np.zeros(0, np.int64), np.array([4, 1])])
    counted = Counted.count(texts, np.array([0, 1, 1]), 2, 3, N_TOKENS)
    assert len(counted.ngrams) == 0
    assert (counted.numbers == -1).all()
    assert bags(counted.numbers, texts).offsets.tolist() == [0, 0, 0, 0]
    np.testing.assert_array_equal(channels(counted.numbers, counted.ngrams.ratios), np.zeros((4, 3)))
    np.testing.assert_array_equal(counted.out_of_fold_channels(np.arange(3)), np.zeros((4, 3)))
    nothing = Joined.join([])
    assert counted.ngrams.numbers(nothing).shape == (3, 0)
    assert len(nothing) == 0


def test_a_file_gives_the_same_ngrams_back_and_another_is_refused(tmp_path: Path) -> None:
    texts, labels = some_texts(3)
    joined = Joined.join(texts)
    ngrams = Counted.count(joined, labels, 2, 3, N_TOKENS).ngrams
    path = tmp_path / "ngrams.safetensors"
    ngrams.save(path)
    again = NGrams.load(path)
    np.testing.assert_array_equal(again.numbers(joined), ngrams.numbers(joined))
    np.testing.assert_array_equal(again.ratios, ngrams.ratios)
    assert again.n_tokens == N_TOKENS
    state = load_weights(path)
    for name, wrong in {
        "keys.1": state["keys.1"][::-1].copy(),
        "keys.2": state["keys.2"].astype(np.int32),
        "ratios": np.full_like(state["ratios"], np.nan),
        "n_tokens": np.array([7]),
    }.items():
        save_weights(path, {**state, name: wrong})
        with pytest.raises(
            ValueError, match=r"ngrams\.safetensors holds no n-grams: keys are to be whole numbers"
        ):
            NGrams.load(path)
    save_weights(path, {"weight": np.zeros(3)})
    with pytest.raises(ValueError, match=r"ngrams\.safetensors holds weight, and no n-grams$"):
        NGrams.load(path)


def test_joined_sequences_are_taken_by_their_places() -> None:
    texts, _ = some_texts(7)
    rows = np.array([3, 0, 3, 29])
    taken = Joined.join(texts).take(rows)
    for i, row in enumerate(rows):
        np.testing.assert_array_equal(taken.numbers[taken.offsets[i] : taken.offsets[i + 1]], texts[row])
    assert taken.owners().tolist() == [i for i, row in enumerate(rows) for _ in texts[row]]
