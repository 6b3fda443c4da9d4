"""Tests of reading the film reviews, with reviews made up here."""

import re

import numpy as np
import pytest

from datasets import load_imdb
from tests.datasets_real import DATA_DIR, needs_data

TEN = "".join(f"{int(number < 7)}\tReview number {number}.\n" for number in range(10))  # seven are positive


def write(tmp_path, content, split="train"):
    content = content.encode("utf-8") if isinstance(content, str) else content
    (tmp_path / f"imdb_{split}.txt").write_bytes(content)
    return tmp_path


def test_labels_and_texts(tmp_path):
    table = load_imdb(
        "train", write(tmp_path, "1\tFine, a café.\u2028Really.\n0\tBad:\ttabs.\r\n0\t No end ")
    )
    assert list(table.columns) == ["review", "sentiment"]
    assert table["review"].tolist() == ["Fine, a café.\u2028Really.", "Bad:\ttabs.", " No end "]
    assert table["sentiment"].tolist() == [1, 0, 0]
    assert table["sentiment"].dtype == np.int8


def test_each_split_is_its_own_file(tmp_path):
    write(tmp_path, "1\tTo train.\n")
    write(tmp_path, "0\tTo test.\n", "test")
    assert load_imdb("train", tmp_path)["review"].tolist() == ["To train."]
    assert load_imdb("test", tmp_path)["review"].tolist() == ["To test."]
    with pytest.raises(ValueError, match="split is 'train' or 'test', not 'all'"):
        load_imdb("all", tmp_path)


@pytest.mark.parametrize(
    ("size", "n_positive"), [(1, 1), (2, 1), (5, 3), (6, 3), (7, 4), (8, 5), (9, 6), (10, 7)]
)
def test_a_sample_is_as_balanced_as_it_can_be(tmp_path, size, n_positive):
    table = load_imdb("train", write(tmp_path, TEN), size=size)
    assert len(table) == size
    assert table["sentiment"].sum() == n_positive
    assert table["review"].is_unique
    assert table["review"].is_monotonic_increasing
    assert table.index.tolist() == list(range(size))


def test_the_seed_decides_the_sample(tmp_path):
    write(tmp_path, "".join(f"{number % 2}\tNumber {number}\n" for number in range(200)))
    one, again, other = (load_imdb("train", tmp_path, size=20, seed=seed) for seed in (1, 1, 2))
    assert one.equals(again)
    assert not one.equals(other)


@pytest.mark.parametrize("size", [0, -1, 11])
def test_a_size_that_is_not_there(tmp_path, size):
    with pytest.raises(ValueError, match=f"holds 10 reviews, so size is from 1 to 10, not {size}"):
        load_imdb("train", write(tmp_path, TEN), size=size)


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (b"1 no tab here", "expected label, tab, text, but no tab in b'1 no tab here'"),
        (b"", "expected label, tab, text, but no tab in b''"),
        (b"2\ttext", "the label is 0 or 1, not b'2'"),
        (b"\ttext", "the label is 0 or 1, not b''"),
        (b"1\t", "the text after label and tab is empty"),
        (b"1\t \t ", "the text after label and tab is empty"),
        (b"1\tcaf\xe9 noir", r"the text is not UTF-8 at b'\xe9 noir'"),
    ],
)
def test_a_malformed_line_is_named(tmp_path, line, fault):
    write(tmp_path, b"1\tgood\n" + line + b"\n0\tbad\n")
    path = tmp_path / "imdb_train.txt"
    with pytest.raises(ValueError, match="^" + re.escape(f"{path}, line 2: {fault}") + "$"):
        load_imdb("train", tmp_path)


def test_an_empty_file(tmp_path):
    with pytest.raises(ValueError, match=r"imdb_train\.txt is empty"):
        load_imdb("train", write(tmp_path, b""))


@needs_data
def test_the_published_reviews():
    train, test = load_imdb("train", DATA_DIR), load_imdb("test", DATA_DIR)
    assert train["sentiment"].value_counts().to_dict() == {0: 12_500, 1: 12_500}
    assert test["sentiment"].value_counts().to_dict() == {0: 6_281, 1: 6_219}
