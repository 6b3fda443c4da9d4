"""Tests of reading word vectors, from small zip files made here."""

import os
import re
import sys
import zipfile

import numpy as np
import pytest

from datasets import lines, load_glove
from tests.datasets_real import DATA_DIR, needs_data

LINES = [
    b"the 0.5 -1.25 3e-05",
    b"n't 1 2 -3.5",
    "café\u200b 0 -0 7".encode(),
    b'" 1.5 2.5 3.5',
    b"! .5 5. +1",
]
VALUES = np.array(
    [[0.5, -1.25, 3e-5], [1, 2, -3.5], [0, 0, 7], [1.5, 2.5, 3.5], [0.5, 5, 1]], dtype=np.float32
)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TINYGRAD_NP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def write(tmp_path, lines=LINES, dimensions=3):
    data = tmp_path / "data"
    data.mkdir(exist_ok=True)
    with zipfile.ZipFile(data / "glove.6B.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("LICENSE", "made up for a test")
        archive.writestr(f"glove.6B.{dimensions}d.txt", b"".join(line + b"\n" for line in lines))
    return data


def assert_is_right(found):
    assert found.words == ["the", "n't", "café\u200b", '"', "!"]
    np.testing.assert_array_equal(found.vectors, VALUES)
    assert found.vectors.dtype == np.float32
    assert isinstance(found.vectors, np.memmap)
    assert not found.vectors.flags.writeable


def test_words_and_vectors(tmp_path, cache):
    data = write(tmp_path)
    assert_is_right(load_glove(data, 3))
    assert sorted(path.suffix for path in cache.glob("*.*")) == [".npy", ".words"]
    assert [path.name for path in data.iterdir()] == ["glove.6B.zip"]


def test_later_calls_do_not_read_the_text(tmp_path, monkeypatch):
    data = write(tmp_path)
    load_glove(data, 3)
    monkeypatch.setattr("datasets.glove.parse", None)
    assert_is_right(load_glove(data, 3))


def test_many_blocks_give_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "BLOCK", 30)
    assert_is_right(load_glove(write(tmp_path), 3))


def test_no_progress_bar_is_needed(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setitem(sys.modules, "tqdm", None)
    assert_is_right(load_glove(write(tmp_path), 3))


def test_another_zip_file_is_not_taken_for_this_one(tmp_path):
    load_glove(write(tmp_path), 3)
    os.utime(write(tmp_path, [b"a 1 2 3", b"b 4 5 6"]) / "glove.6B.zip", (0, 0))
    assert load_glove(tmp_path / "data", 3).words == ["a", "b"]
    assert_is_right(load_glove(write(tmp_path), 3))


@pytest.mark.parametrize("suffix", [".npy", ".words"])
@pytest.mark.parametrize("damage", ["gone", "empty", "cut", "one bit", "other"])
def test_a_damaged_cache_is_built_again(tmp_path, cache, suffix, damage):
    data = write(tmp_path)
    load_glove(data, 3)
    (path,) = cache.glob(f"*{suffix}")
    content = bytearray(path.read_bytes())
    if damage == "gone":
        path.unlink()
    elif damage == "one bit":
        content[-2] ^= 1
        path.write_bytes(content)
    else:
        path.write_bytes({"empty": b"", "cut": content[:-3], "other": b"PK\x03\x04 something else"}[damage])
    assert_is_right(load_glove(data, 3))
    assert len(list(cache.glob("*.*"))) == 2


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (b"bad 1 2", "line 3: expected a word and 3 numbers, but found 2"),
        (b"bad 1 2 3 4", "line 3: expected a word and 3 numbers, but found 4"),
        (b"bad", "line 3: expected a word and 3 numbers, but found 0"),
        (b"", "line 3: no word before the numbers"),
        (b" 1 2 3", "line 3: no word before the numbers"),
        (b"bad 1 x2 3", "line 3: 'x2' is no finite number"),
        (b"bad 1  3", "line 3: '' is no finite number"),
        (b"bad 1 nan 3", "line 3: 'nan' is no finite number"),
        (b"bad 1 2 -inf", "line 3: '-inf' is no finite number"),
        (b"bad 1 2 1e39", "line 3: '1e39' is no finite number"),
        (b'bad 1 2 "3"', "line 3: '\"3\"' is no finite number"),
        (b"a 1 2 3", "line 3: the word 'a' already stands in line 1"),
        (b"caf\xe9 1 2 3", r"line 3: the word b'caf\xe9' is not UTF-8"),
        (b"a\xc2\xa0b 1 2 3", r"line 3: the word 'a\xa0b' holds white space, so it is no token"),
        (b"a\x0cb 1 2 3", r"line 3: the word 'a\x0cb' holds white space, so it is no token"),
        (b"<unk> 1 2 3", "line 3: the word '<unk>' is a name that a vocabulary has for itself"),
        (b"<pad> 1 2 3", "line 3: the word '<pad>' is a name that a vocabulary has for itself"),
        (b"b\0 1 2 3", "line 3: a null byte, so the file is damaged or no text in UTF-8"),
        (b"b\r 1 2 3", "line 3: a carriage return within the line, but lines end with a line feed"),
        (b"b 1 2\r 3", "line 3: a carriage return within the line, but lines end with a line feed"),
        (b"w" * 5000 + b" 1 2", "line 3: expected a word and 3 numbers, but found 2"),
        (b"bad 1 2 " + b"x" * 5000, f"line 3: {'x' * 40!r} is no finite number"),
        (b"bad 1 2 3_0", "line 3: '3_0' is no finite number"),
    ],
)
def test_a_malformed_line_is_named(tmp_path, cache, monkeypatch, line, fault):
    monkeypatch.setattr(lines, "BLOCK", 16)  # two lines a time, so that lines are counted over blocks
    data = write(tmp_path, [b"a 1 2 3", b"b 4 5 6", line, b"c 7 8 9"])
    where = f"{data / 'glove.6B.zip'}, glove.6B.3d.txt {fault}"
    with pytest.raises(ValueError, match="^" + re.escape(where) + "$"):
        load_glove(data, 3)
    assert not cache.exists()


def test_an_empty_member(tmp_path):
    with pytest.raises(ValueError, match=r"glove\.6B\.3d\.txt is empty"):
        load_glove(write(tmp_path, []), 3)


def test_missing_dimensions_list_what_there_is(tmp_path):
    with pytest.raises(ValueError, match=r"has no glove\.6B\.50d\.txt, only LICENSE, glove\.6B\.3d\.txt"):
        load_glove(write(tmp_path))


@pytest.mark.parametrize("damage", ["cut", "no zip", "changed"])
def test_a_damaged_zip_file(tmp_path, cache, damage):
    path = write(tmp_path) / "glove.6B.zip"
    content = bytearray(path.read_bytes())
    if damage == "changed":
        at = content.index(b"glove.6B.3d.txt") + 30
        content[at] ^= 0xFF
    path.write_bytes({"cut": content[:-30], "no zip": b"<html>", "changed": content}[damage])
    with pytest.raises(ValueError, match=r"glove\.6B\.zip is no sound zip file \(.+\): replace it"):
        load_glove(path.parent, 3)
    assert not cache.exists()


@needs_data
@pytest.mark.slow
def test_the_published_vectors():
    found = load_glove(DATA_DIR)
    assert found.vectors.shape == (400_000, 50)
    assert found.words[0] == "the"
    assert {"n't", "'s", "'m", "!", "?", "cannot"} <= set(found.words)
    with zipfile.ZipFile(os.path.join(DATA_DIR, "glove.6B.zip")).open("glove.6B.50d.txt") as file:
        for word, vector, line in zip(found.words[:1000], found.vectors, file, strict=False):
            expected, *numbers = line.decode("utf-8").split()
            assert word == expected
            np.testing.assert_array_equal(vector, np.array(numbers, dtype=np.float32))
