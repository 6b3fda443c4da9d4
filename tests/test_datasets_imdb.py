"""Tests of reading the film reviews and of caching their tokens, with reviews made up here."""

import multiprocessing
import re
import time
import unicodedata

import numpy as np
import pytest

import datasets.text
from datasets import imdb, load_imdb, load_tokenized_imdb, tokenize
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
    assert table["review"].tolist() == [f"Review number {number}." for number in table.index]


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


# --- tokenized -----------------------------------------------------------------------------------------

REVIEWS = ["Don't miss it!", "_ <br />", "A café<br />\u2028it wasn’t", "1", "Don't miss it!"]
TOKENS = [["do", "n't", "miss", "it", "!"], [], ["a", "café", "it", "was", "n't"], ["1"]]
TOKENS.append(TOKENS[0])


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TINYGRAD_NP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def kept(cache):
    """The suffixes of what is in the cache, apart from the memory of hashes."""
    return sorted(path.suffix for path in cache.iterdir() if path.name != "sha256")


def write_reviews(tmp_path, reviews=REVIEWS, split="train"):
    return write(tmp_path, "".join(f"1\t{review}\n" for review in reviews), split)


def tokens(*arguments, **keywords):
    """The tokens of each text that `load_tokenized_imdb` gives, as lists of str."""
    texts, _ = load_tokenized_imdb(*arguments, **keywords)
    return [[texts.tokens[i] for i in ids] for ids in texts.token_ids]


def test_tokens_are_the_same_from_the_text_and_from_the_cache(tmp_path, cache, monkeypatch):
    write_reviews(tmp_path)
    assert tokens("train", tmp_path) == TOKENS == list(map(tokenize, REVIEWS))
    assert kept(cache) == [".npy", ".words"]
    monkeypatch.setattr(imdb, "_parse", None)  # the text is not read again
    assert tokens("train", tmp_path) == TOKENS
    texts, labels = load_tokenized_imdb("train", tmp_path)
    assert {ids.dtype for ids in texts.token_ids} == {np.dtype(np.int32)}
    assert len(texts.tokens) == len(set(texts.tokens)) == 9
    assert labels.tolist() == [1] * 5
    assert labels.dtype == np.int8


def test_reviews_without_any_token(tmp_path, cache):
    write_reviews(tmp_path, ["_", "<br />", "******"])
    for _ in range(2):
        texts, labels = load_tokenized_imdb("train", tmp_path)
        assert texts.tokens == []
        assert [ids.tolist() for ids in texts.token_ids] == [[], [], []]
        assert labels.tolist() == [1, 1, 1]


@pytest.mark.parametrize("size", [1, 20, 50, None])
def test_a_sample_is_that_of_the_table_with_its_labels(tmp_path, cache, size):
    write(tmp_path, "".join(f"{number % 3 % 2}\tnumber {number}\n" for number in range(50)))
    table = load_imdb("train", tmp_path, size, seed=3)
    for _ in range(2):
        assert tokens("train", tmp_path, size, seed=3) == list(map(tokenize, table["review"]))
        _, labels = load_tokenized_imdb("train", tmp_path, size, seed=3)
        assert labels.tolist() == table["sentiment"].tolist()
    assert size == 50 or size is None or table.index.tolist() != list(range(size))
    with pytest.raises(ValueError, match="holds 50 reviews, so size is from 1 to 50, not 51"):
        load_tokenized_imdb("train", tmp_path, 51)


def test_other_files_have_tokens_of_their_own(tmp_path, cache):
    write_reviews(tmp_path)
    write_reviews(tmp_path, ["To test."], "test")
    assert tokens("train", tmp_path) == TOKENS
    assert tokens("test", tmp_path) == [["to", "test", "."]]
    write_reviews(tmp_path, ["Dont miss it!", *REVIEWS[1:]])
    assert tokens("train", tmp_path) == [["dont", "miss", "it", "!"], *TOKENS[1:]]
    write_reviews(tmp_path)
    assert tokens("train", tmp_path) == TOKENS
    assert len(kept(cache)) == 6


@pytest.mark.parametrize("change", ["module", "Unicode"])
def test_another_tokenizer_begins_anew(tmp_path, cache, monkeypatch, change):
    write_reviews(tmp_path)
    assert tokens("train", tmp_path) == TOKENS
    if change == "module":
        (tmp_path / "text.py").write_text("another tokenizer", encoding="utf-8")
        monkeypatch.setattr(datasets.text, "__file__", str(tmp_path / "text.py"))
    else:
        monkeypatch.setattr(unicodedata, "unidata_version", "1.0")
    monkeypatch.setattr(datasets.text, "tokenize", str.split)
    assert tokens("train", tmp_path) == [review.split() for review in REVIEWS]
    monkeypatch.undo()
    monkeypatch.setenv("TINYGRAD_NP_CACHE", str(cache))
    assert tokens("train", tmp_path) == TOKENS


@pytest.mark.parametrize("suffix", [".npy", ".words"])
@pytest.mark.parametrize("damage", ["gone", "empty", "cut", "one bit", "a pickle"])
def test_a_damaged_cache_is_made_again(tmp_path, cache, suffix, damage):
    write_reviews(tmp_path)
    load_tokenized_imdb("train", tmp_path)
    (path,) = cache.glob(f"*{suffix}")
    content = bytearray(path.read_bytes())
    if damage == "gone":
        path.unlink()
    elif damage == "one bit":
        content[-2] ^= 1
        path.write_bytes(content)
    elif damage == "a pickle":
        with open(path, "wb") as file:
            np.save(file, np.array([{}]), allow_pickle=True)
    else:
        path.write_bytes({"empty": b"", "cut": content[:-3]}[damage])
    assert tokens("train", tmp_path) == TOKENS
    assert kept(cache) == [".npy", ".words"]


def load_when_all_are_there(directory, barrier, answers):
    barrier.wait()
    answers.put(tokens("train", directory))


def test_processes_that_load_at_once_do_no_harm(tmp_path, cache):
    write_reviews(tmp_path, REVIEWS * 200)
    context = multiprocessing.get_context("spawn")
    barrier, answers = context.Barrier(3), context.Queue()
    processes = [
        context.Process(target=load_when_all_are_there, args=(tmp_path, barrier, answers)) for _ in range(3)
    ]
    for process in processes:
        process.start()
    for _ in processes:
        assert answers.get(timeout=60) == TOKENS * 200
    for process in processes:
        process.join()
    assert kept(cache) == [".npy", ".words"]


def test_a_bad_file_is_not_cached(tmp_path, cache):
    write(tmp_path, "1\tgood\n2\tbad\n")
    with pytest.raises(ValueError, match=r"imdb_train\.txt, line 2: the label is 0 or 1"):
        load_tokenized_imdb("train", tmp_path)
    assert not cache.exists()
    with pytest.raises(ValueError, match="split is 'train' or 'test', not 'all'"):
        load_tokenized_imdb("all", tmp_path)


@needs_data
@pytest.mark.slow
def test_the_tokens_of_the_published_reviews(cache):
    for split in ("train", "test"):
        first = tokens(split, DATA_DIR)
        start = time.perf_counter()
        load_tokenized_imdb(split, DATA_DIR)
        assert time.perf_counter() - start < 1
        expected = [tokenize(review) for review in load_imdb(split, DATA_DIR)["review"]]
        assert first == tokens(split, DATA_DIR) == expected


@needs_data
def test_the_published_reviews():
    train, test = load_imdb("train", DATA_DIR), load_imdb("test", DATA_DIR)
    assert train["sentiment"].value_counts().to_dict() == {0: 12_500, 1: 12_500}
    assert test["sentiment"].value_counts().to_dict() == {0: 6_281, 1: 6_219}
