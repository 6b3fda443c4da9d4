"""Tests of texts and vectors of one's own: tables, JSON lines, aclImdb, and vectors of any kind of text."""

import gzip
import io
import json
import re
import tarfile
import tracemalloc
import zipfile

import numpy as np
import pytest

from datasets import lines, load_aclimdb, load_table, load_vectors, read_rows, vectors
from datasets.messages import tell
from tests.data_faults import attempt, damages

ROWS = [
    ("A “good” film; really, it's\nfine", "yes"),
    ("dull\tand 'bad'", "no"),
    ("café 😀", "yes"),
    ("so so", "who knows"),
]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TINYGRAD_NP_CACHE", str(tmp_path / "cache"))
    tell.cache_clear()
    return tmp_path / "cache"


def quoted(value, separator=","):
    return '"' + value.replace('"', '""') + '"' if set(value) & {separator, '"', "\n"} else value


def table(separator, end="\n", mark=b""):
    rows = [("id", "review", "opinion"), *((str(i), *row) for i, row in enumerate(ROWS))]
    text = "".join(separator.join(quoted(value, separator) for value in row) + end for row in rows)
    return mark + text.encode("utf-8")


def json_lines(mark=b"", **keywords):
    text = "".join(
        json.dumps({"review": text, "n": i, "opinion": label}, **keywords) + "\n"
        for i, (text, label) in enumerate(ROWS)
    )
    return mark + text.encode("utf-8")


MARK = b"\xef\xbb\xbf"


# --- tables and JSON lines -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", table(",")),
        ("a.csv", table(";")),
        ("a.CSV", table(",", "\r\n", MARK)),
        ("a.tsv", table("\t")),
        ("a.tab", table("\t", "\r\n", MARK)),
        ("a.csv", table(",").replace(b"\n2,", b"\n\n2,").removesuffix(b"\n")),
        ("a.jsonl", json_lines()),
        ("a.ndjson", json_lines(MARK, ensure_ascii=False)),
        ("a.json", json_lines().replace(b"\n", b"\n\n")),
    ],
)
def test_texts_and_labels(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    found = load_table(path, "review", "opinion")
    assert list(zip(found.texts, found.labels)) == ROWS


def test_rows_know_their_lines(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(table(","))
    assert [line for line, _ in read_rows(path, ["opinion"])] == [2, 4, 5, 6]
    assert next(read_rows(path, ["opinion", "id"])) == (2, ("yes", "0"))
    (tmp_path / "a.jsonl").write_bytes(b'\n{"a": 1, "b": true}\n\n{"b": "x", "a": ""}\n')
    assert list(read_rows(tmp_path / "a.jsonl", ["a", "b"])) == [(2, ("1", "true")), (4, ("", "x"))]


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("a.csv", b"", ", line 1: no column 'text' among "),
        ("a.csv", b"text\n", ", line 1: no column 'label' among text"),
        ("a.csv", b"text,label\n", " holds no row"),
        ("a.csv", b"text,label,text\na,b,c\n", ", line 1: names the column twice: 'text' among text, label, text"),
        ("a.csv", b"text,label\na,b\nc\n", ", line 3: expected 2 values, but found 1"),
        ("a.csv", b'text,label\n"a\nb",c\n\nd,e,f\n', ", line 5: expected 2 values, but found 3"),
        ("a.csv", b'text,label\na,b\n"c"d,e\n', ", line 3: ',' expected after '\"', in the row that begins here"),
        ("a.csv", b'text,label\na,b\n"c,d\ne,f\n', ", line 3: unexpected end of data, in the row that begins here"),
        ("a.csv", b"text,label\na,b\n ,c\n", ", line 3: the value of 'text' is empty"),
        ("a.csv", b"text,label\na,b\nc,\n", ", line 3: the value of 'label' is empty"),
        ("a.csv", b"text,label\na,b\ncaf\xe9,c\n",
         r", line 3: the text is not UTF-8 at b'\xe9,c': save the file as UTF-8; one of Windows is mostly "
         "turned into it by: iconv -f WINDOWS-1252 -t UTF-8"),
        ("a.csv", "text,label\n".encode("utf-16"), " is UTF-16: save it as UTF-8"),
        ("a.csv", b"text,label\na,\0b\n", ", line 2: a null byte, so the file is damaged or no text in UTF-8"),
        ("a.txt", b"text\tlabel\n",
         ": the name of a file of texts ends in .csv, .tsv, .tab, .jsonl, .ndjson, .json"),
        ("a.json", b'[{"text": "a"}]',
         ", line 1: expected a JSON object, with a name for each value, but found list"),
        ("a.jsonl", b'{"text": "a", "label": 1}\n{"text": "b"',
         ", line 2: no JSON object in one line (Expecting ',' delimiter: line 2 column 1 (char 13))"),
        ("a.jsonl", b'{"text": "a", "label": 1.0}\n', ", line 1: the value of 'label' is 1.0 and no text"),
        ("a.jsonl", b'{"text": null, "label": 1}\n', ", line 1: the value of 'text' is null and no text"),
        ("a.jsonl", b'{"text": "a"}\n', ", line 1: no 'label' among text"),
        ("a.jsonl", b'{"text": "\\ud83d", "label": 1}\n',
         ", line 1: the value of 'text' holds half of a character"),
        ("a.jsonl", b"[" * 100_000, None),
    ],
)  # fmt: skip
def test_a_fault_of_a_table_is_named(tmp_path, name, content, fault):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(
        ValueError, match="^" + re.escape(f"{path}{fault or ', line 1: no JSON object in one line ('}")
    ) as caught:
        load_table(path, "text", "label")
    assert fault is None or str(caught.value) == f"{path}{fault}"
    with pytest.raises(FileNotFoundError):
        load_table(tmp_path / "none.csv", "text", "label")


def test_a_long_file_takes_little_memory(tmp_path):
    path = tmp_path / "a.csv"
    with open(path, "wb") as file:
        file.write(b"text,label\n")
        for _ in range(3_000):
            file.write(b'"' + b"good film, " * 500 + b'",1\n')
    tracemalloc.start()
    assert sum(1 for _ in read_rows(path, ["text"])) == 3_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6 < 2 * path.stat().st_size


# --- aclImdb -------------------------------------------------------------------------------------------

REVIEWS = {
    "train/pos/0_9.txt": "good",
    "train/pos/10_7.txt": "fine<br />café",
    "train/neg/3_1.txt": "bad",
    "train/unsup/0_0.txt": "whatever",
    "test/pos/0_10.txt": "great",
    "test/neg/0_2.txt": "poor",
    "train/urls_pos.txt": "http://",
    "README": "read me",
}


def write_folder(directory, reviews=REVIEWS):
    for name, text in reviews.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(text.encode("utf-8") if isinstance(text, str) else text)
    return directory


def add(archive, name, text, kind=tarfile.REGTYPE):
    member = tarfile.TarInfo(name)
    content = text.encode("utf-8") if isinstance(text, str) else text
    member.type, member.linkname = kind, "/etc/passwd"
    member.size = len(content) if kind == tarfile.REGTYPE else 0
    archive.addfile(member, io.BytesIO(content))


def write_archive(path, reviews=REVIEWS, prefix="aclImdb/", more=()):
    with tarfile.open(path, "w:gz") as archive:
        for name, text in reviews.items():
            add(archive, prefix + name, text)
        for arguments in more:
            add(archive, *arguments)
    return path


@pytest.mark.parametrize("prefix", ["aclImdb/", "./aclImdb/", "", "/", "../../"])
def test_the_folder_and_its_archive_are_the_same(tmp_path, capsys, prefix):
    archive = write_archive(tmp_path / "a.tar.gz", dict(reversed(REVIEWS.items())), prefix)
    folder = write_folder(tmp_path / "b" / "aclImdb")
    before = sorted(path for path in tmp_path.rglob("*"))
    for path in (archive, folder):
        assert load_aclimdb(path, "train") == (["bad", "good", "fine<br />café"], ["neg", "pos", "pos"])
        assert load_aclimdb(path, "test") == (["poor", "great"], ["neg", "pos"])
        assert f"{path} holds 3 reviews of train; the whole data set has 25,000" in capsys.readouterr().err
    assert sorted(path for path in tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("reviews", "fault"),
    [
        ({"train/pos/0_9.txt": "good"}, " holds no review train/neg/*.txt, so it is no aclImdb"),
        ({}, " holds no review train/neg/*.txt, so it is no aclImdb"),
        ({**REVIEWS, "train/neg/3_1.txt": b"b\xffd"}, ", train/neg/3_1.txt: the text is not UTF-8 at byte 1"),
        ({**REVIEWS, "train/neg/3_1.txt": " \n"}, ", train/neg/3_1.txt is empty"),
        ({**REVIEWS, "train/neg/3_1.txt": "x" * (lines.LONGEST_LINE + 1)},
         ", train/neg/3_1.txt is longer than 1,048,576 bytes, so it is no review"),
    ],
)  # fmt: skip
def test_a_fault_of_aclimdb_is_named(tmp_path, reviews, fault):
    (tmp_path / "folder").mkdir()
    for path in (write_folder(tmp_path / "folder", reviews), write_archive(tmp_path / "a.tar.gz", reviews)):
        with pytest.raises(ValueError, match="^" + re.escape(f"{path}{fault}") + "$"):
            load_aclimdb(path, "train")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE])
def test_links_in_the_archive_are_no_reviews(tmp_path, kind):
    path = write_archive(tmp_path / "a.tar.gz", more=[("aclImdb/train/pos/1_8.txt", "", kind)])
    with pytest.raises(
        ValueError, match=r"a\.tar\.gz, train/pos/1_8\.txt is a link or a folder, and no review$"
    ):
        load_aclimdb(path, "train")
    path = write_archive(tmp_path / "a.tar.gz", more=[("aclImdb/train/pos/0_9.txt", "good")])
    with pytest.raises(ValueError, match=r"train/pos/0_9\.txt stands there twice$"):
        load_aclimdb(path, "train")


def test_a_damaged_archive_gives_the_right_reviews_or_none(tmp_path):
    path = write_archive(tmp_path / "a.tar.gz")
    content, right = path.read_bytes(), load_aclimdb(path, "train")
    flips = [
        content[:at] + bytes([content[at] ^ 0x55]) + content[at + 1 :] for at in range(0, len(content), 3)
    ]
    refused = 0
    for damaged in [
        *flips,
        *(content[:at] for at in range(1, len(content), 7)),
        *(d for _, d in damages(content, 60, 0)),
    ]:
        path.write_bytes(damaged)
        outcome = attempt(lambda: load_aclimdb(path, "train"), "a.tar.gz")
        assert outcome.what != "failed", outcome.said
        refused += outcome.what == "refused"
        assert outcome.what == "refused" or outcome.result == right
    assert refused > len(flips) // 2


# --- vectors -------------------------------------------------------------------------------------------

LINES = [b"the 0.5 -1.25 3e-05", b", 1 2 -3.5", b"7 0 -0 7", "café 1.5 2.5 3.5".encode(), b"n't .5 5. +1"]
VALUES = np.array([[0.5, -1.25, 3e-5], [1, 2, -3.5], [0, 0, 7], [1.5, 2.5, 3.5], [0.5, 5, 1]], np.float32)
WORDS = ["the", ",", "7", "café", "n't"]


def text_of(some=LINES, header=b"", end=b"\n"):
    return b"".join(line + end for line in ([header] if header else []) + list(some))


def write_vectors(directory, name, content):
    path = directory / name
    if name.endswith(".zip"):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("vectors.3d.txt", content)
            archive.writestr("LICENSE", "made up for a test")
    else:
        path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return path


def assert_right(found, words=WORDS, values=VALUES):
    assert found.words == words
    np.testing.assert_array_equal(found.vectors, values)
    assert found.vectors.dtype == np.float32
    assert isinstance(found.vectors, np.memmap)


@pytest.mark.parametrize("name", ["a.txt", "a.vec", "a.zip", "a.txt.gz", "noname"])
@pytest.mark.parametrize(
    "content",
    [
        text_of(), text_of(header=b"5 3"), text_of(header=b"5 3", end=b" \n"), text_of(end=b"\r\n"),
        MARK + text_of(),
    ],
    ids=["glove", "word2vec", "fasttext", "windows", "mark"],
)  # fmt: skip
def test_vectors_of_any_text(tmp_path, monkeypatch, name, content):
    path = write_vectors(tmp_path, name, content)
    assert_right(load_vectors(path))
    monkeypatch.setattr(vectors, "parse", None)  # the text is not read again
    assert_right(load_vectors(path))


@pytest.mark.parametrize("block", [30, 1 << 22])
def test_words_that_hold_blanks_are_read_from_the_right(tmp_path, monkeypatch, capsys, block):
    monkeypatch.setattr(lines, "BLOCK", block)
    odd = [
        b". . . 9 9 9",
        b"at name@domain.com 9 9 9",
        b" 9 9 9",
        b"1 1/2 9 9 9",
        b"a\xc2\xa0b 9 9 9",
        b"the 9 9 9",
        b"<unk> 9 9 9",
    ]
    path = write_vectors(tmp_path, "a.txt", text_of([*LINES[:2], *odd, *LINES[2:]]))
    assert_right(load_vectors(path))
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"note: {path}, 7 of 12 lines are left out, whose words are empty, hold white space or stand there twice: "
        "'. . .', 'at name@domain.com', '', '1 1/2', 'a\\xa0b' and 2 more"
    )


def test_of_several_texts_one_is_named(tmp_path):
    path = tmp_path / "several.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("v.3d.txt", text_of())
        archive.writestr("v.2d.txt", b"a 1 2\nb 3 4\n")
    assert_right(load_vectors(path / "v.3d.txt"))
    assert_right(load_vectors(str(path / "v.2d.txt")), ["a", "b"], [[1, 2], [3, 4]])
    with pytest.raises(
        ValueError,
        match=r"several\.zip holds 2 texts \(v\.3d\.txt, v\.2d\.txt\): give the one .*several\.zip/NAME$",
    ):
        load_vectors(path)
    with pytest.raises(ValueError, match=r"several\.zip has no v\.1d\.txt, only v\.3d\.txt, v\.2d\.txt$"):
        load_vectors(path / "v.1d.txt")
    with pytest.raises(FileNotFoundError):
        load_vectors(tmp_path / "none.txt")
    with pytest.raises(ValueError, match="is a directory: give the file"):
        load_vectors(tmp_path)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (text_of([*LINES, b"bad 1 2"]), ", line 6: expected a word and 3 numbers, but found 2"),
        (text_of([*LINES, b"bad"], b"6 3"), ", line 7: expected a word and 3 numbers, but found 0"),
        (text_of([*LINES, b"bad 1 x 3"]), ", line 6: 'x' is no finite number"),
        (text_of([*LINES, b"bad 1 nan 3"]), ", line 6: 'nan' is no finite number"),
        (text_of([*LINES, b"caf\xe9 1 2 3"]), r", line 6: the word b'caf\xe9' is not UTF-8"),
        (text_of(header=b"6 3"), ", line 1 announces 6 words, but 5 follow: the file is cut off or damaged"),
        (text_of([*LINES, b""]), ", line 6: expected a word and 3 numbers, but found 0"),
        (b"", " is empty"),
        (b"5 3\n", ", no line has a word to use"),
        (b"one\ntwo\n", ", line 1: expected a word and its numbers, with a blank between them"),
        (b"\x93\x00\x01 1 2\n", ", line 1: a null byte, so the file is damaged or no text in UTF-8"),
    ],
)
def test_a_fault_of_vectors_is_named(tmp_path, content, fault):
    path = write_vectors(tmp_path, "a.txt", content)
    with pytest.raises(ValueError, match="^" + re.escape(f"{path}{fault}") + "$"):
        load_vectors(path)


@pytest.mark.parametrize("name", ["a.txt", "a.zip", "a.txt.gz"])
def test_damaged_vectors_are_right_or_refused(tmp_path, name):
    content = write_vectors(tmp_path, name, text_of(header=b"5 3")).read_bytes()
    path = tmp_path / name
    outcomes = []
    for _, damaged in damages(content, 80, 1):
        path.write_bytes(damaged)
        outcomes.append(attempt(lambda: load_vectors(path).words, name))
    assert [outcome for outcome in outcomes if outcome.what == "failed"] == []
    assert sum(outcome.what == "refused" for outcome in outcomes) > 40
    if name != "a.txt":
        assert all(outcome.result == WORDS for outcome in outcomes if outcome.what == "loaded")


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl"])
def test_a_damaged_table_is_never_a_traceback(tmp_path, name):
    content = {"a.csv": table(","), "a.tsv": table("\t"), "a.jsonl": json_lines(ensure_ascii=False)}[name]
    path = tmp_path / name
    outcomes = []
    for _, damaged in damages(content, 150, 2):
        path.write_bytes(damaged)
        outcomes.append(attempt(lambda: load_table(path, "review", "opinion"), name))
    assert [outcome for outcome in outcomes if outcome.what == "failed"] == []
    assert sum(outcome.what == "refused" for outcome in outcomes) > 50
