"""Tests of damaged data files, of what is kept, and of who may write to the cache."""

import contextlib
import hashlib
import io
import os
import struct
import time
import tracemalloc
import warnings
import zipfile
import zlib

import numpy as np
import pytest

from datasets import cache as caching
from datasets import imdb, lines, load_glove, load_imdb, load_tokenized_imdb
from datasets.cache import cache_dir, sha256
from datasets.lines import read_lines
from datasets.messages import listed, shortened, tell, visible
from tests.data_faults import LOADERS, attempt, damages, try_damages, write_sound

METHODS = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TINYGRAD_NP_CACHE", str(tmp_path / "cache"))
    tell.cache_clear()
    return tmp_path / "cache"


@pytest.fixture
def data(tmp_path):
    write_sound(tmp_path / "data")
    return tmp_path / "data"


# --- damaged files -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LOADERS)
def test_a_damaged_file_is_never_a_traceback(tmp_path, name):
    outcomes = [outcome for seed in range(4) for _, outcome in try_damages(name, tmp_path, 60, seed)]
    assert [outcome for outcome in outcomes if outcome.what == "failed"] == []
    assert sum(outcome.what == "refused" for outcome in outcomes) > 100


@pytest.mark.parametrize("method", METHODS)
def test_a_damaged_zip_file_gives_the_right_vectors_or_none(tmp_path, method):
    """Each method's decoder, with damage anywhere, and at every byte of what it decodes."""
    content = write_sound(tmp_path, method=method)["glove.6B.zip"]
    right = attempt(lambda: LOADERS["glove.6B.zip"](tmp_path))
    assert right.what == "loaded"
    with zipfile.ZipFile(tmp_path / "glove.6B.zip") as archive:
        info = archive.getinfo("glove.6B.3d.txt")
    start = info.header_offset + 30 + len(info.filename)
    flips = range(start, start + info.compress_size, 4)
    damaged = [content[:at] + bytes([content[at] ^ 0x55]) + content[at + 1 :] for at in flips]
    damaged += [changed for _, changed in damages(content, 60, method)]
    refused = 0
    for changed in damaged:
        (tmp_path / "glove.6B.zip").write_bytes(changed)
        outcome = attempt(lambda: LOADERS["glove.6B.zip"](tmp_path), "glove.6B.zip")
        assert outcome.what != "failed", outcome.said
        if outcome.what == "refused":
            refused += 1
        else:
            assert outcome.result == right.result
    assert refused > len(flips)


def test_other_methods_of_compression_are_refused(tmp_path):
    content = write_sound(tmp_path)["glove.6B.zip"]
    local = content.index(b"glove.6B.3d.txt") - 30
    central = content.index(b"glove.6B.3d.txt", local + 46) - 46
    right = attempt(lambda: LOADERS["glove.6B.zip"](tmp_path)).result
    for number in [*range(30), 93, 94, 95, 96, 97, 98, 99, 65535]:
        changed = bytearray(content)
        struct.pack_into("<H", changed, local + 8, number)
        struct.pack_into("<H", changed, central + 10, number)
        (tmp_path / "glove.6B.zip").write_bytes(changed)
        outcome = attempt(lambda: LOADERS["glove.6B.zip"](tmp_path), "glove.6B.zip")
        if number == zipfile.ZIP_DEFLATED:
            assert outcome.result == right
        else:
            assert outcome.what == "refused", (number, outcome)
            assert f"compressed by method {number}" in outcome.said or number == zipfile.ZIP_STORED
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):  # sound, but they may hide gigabytes in a few bytes
        write_sound(tmp_path, method=method)
        outcome = attempt(
            lambda: LOADERS["glove.6B.zip"](tmp_path), f"compressed by method {method}, and only"
        )
        assert outcome.what == "refused"
    changed = bytearray(content)
    changed[local + 6] |= 1
    changed[central + 8] |= 1
    (tmp_path / "glove.6B.zip").write_bytes(changed)
    outcome = attempt(lambda: LOADERS["glove.6B.zip"](tmp_path), "glove.6B.zip is no sound zip file (")
    assert outcome.what == "refused"
    assert "encrypted" in outcome.said


def test_a_zip_file_of_many_foreign_names_is_told_in_short(tmp_path):
    with zipfile.ZipFile(tmp_path / "glove.6B.zip", "w") as archive:
        for number in range(2_000):
            archive.writestr(f"\x1b[31mname{number}" + "x" * 500 * (number == 1), "")
    with pytest.raises(ValueError, match=r"has no glove\.6B\.3d\.txt, only \\x1b\[31mname0, ") as caught:
        load_glove(tmp_path, 3)
    assert str(caught.value).endswith(" and 1,995 more")
    assert len(str(caught.value)) < 500


def test_a_byte_order_mark_is_no_part_of_the_first_word_or_label(tmp_path):
    mark = b"\xef\xbb\xbf"
    contents = write_sound(tmp_path)
    right = {name: LOADERS[name](tmp_path) for name in LOADERS}
    for name in ("imdb_train.txt", "speeches.csv"):
        (tmp_path / name).write_bytes(mark + contents[name])
    with zipfile.ZipFile(tmp_path / "glove.6B.zip") as archive:
        text = archive.read("glove.6B.3d.txt")
    with zipfile.ZipFile(tmp_path / "glove.6B.zip", "w") as archive:
        archive.writestr("glove.6B.3d.txt", mark + text)
    assert {name: LOADERS[name](tmp_path) for name in LOADERS} == right


# --- files cut off -------------------------------------------------------------------------------------


@pytest.mark.parametrize("load", [load_imdb, load_tokenized_imdb])
def test_reviews_cut_at_any_byte_are_refused_or_told(tmp_path, monkeypatch, load):
    content = write_sound(tmp_path)["imdb_train.txt"]
    monkeypatch.setitem(imdb._WHOLE, "train", {12})
    path = tmp_path / "imdb_train.txt"
    for at in range(1, len(content), 1 if load is load_imdb else 4):
        path.write_bytes(content[:at])
        outcome = attempt(lambda: load("train", tmp_path), "imdb_train.txt")
        assert outcome.what in ("refused", "told"), at
        assert ("does not end with a line feed" in outcome.said) == (
            outcome.what == "told" and content[at - 1 : at] != b"\n"
        )
    path.write_bytes(content)
    for _ in range(2):  # from the text, and from what is kept
        assert attempt(lambda: load("train", tmp_path)).what == "loaded"


def test_a_number_of_reviews_is_told_once_unless_the_user_said_it(data, capsys):
    for _ in range(3):
        load_tokenized_imdb("train", data, 5)
    path = data / "imdb_train.txt"
    assert capsys.readouterr().err == (
        f"note: {path} holds 12 reviews; the whole data set has 25,000, so it may be cut off\n"
    )
    tell.cache_clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_tokenized_imdb("train", data, 12)
        load_imdb("train", data, 12)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("split", "size"), [("train", 25_000), ("test", 25_000), ("test", 12_500)])
def test_as_many_reviews_as_the_data_set_has_are_not_told(tmp_path, capsys, split, size):
    (tmp_path / f"imdb_{split}.txt").write_bytes(b"1\tgood\n" * size)
    assert len(load_imdb(split, tmp_path)) == size
    assert capsys.readouterr().err == ""


def test_speeches_cut_within_a_line_are_refused_or_told(tmp_path):
    content = write_sound(tmp_path)["speeches.csv"]
    for at in range(1, len(content)):
        (tmp_path / "speeches.csv").write_bytes(content[:at])
        outcome = attempt(lambda: LOADERS["speeches.csv"](tmp_path), "speeches.csv")
        assert outcome.what in (["loaded"] if content[:at].endswith(b"here\r\n") else ["refused", "told"])


# --- lines ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", [1, 2, 3, 5, 1000])
@pytest.mark.parametrize(
    "content", [b"", b"\n", b"a", b"a\n", b"a\r\nbc\n\nd", b"\r\n\r\n", b"ab\r", b"x\r\n", b"\nabc\n"]
)
def test_lines_are_the_same_in_blocks_of_any_size(monkeypatch, block, content):
    monkeypatch.setattr(lines, "BLOCK", block)
    found = [line for some in read_lines(io.BytesIO(content).read, "here") for line in some]
    assert found == [line.rstrip(b"\r\n") for line in io.BytesIO(content)]


@pytest.mark.parametrize("block", [1, 3, 1000])
@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"a\nb\nc\rd\n", "a carriage return within the line, but lines end with a line feed"),
        (b"a\nb\n\r\r\n", "a carriage return within the line, but lines end with a line feed"),
        (b"a\nb\n\0\0\n", "a null byte, so the file is damaged or no text in UTF-8"),
        (b"a\nb\n\0", "a null byte, so the file is damaged or no text in UTF-8"),
        (b"a\nb\n12345678\n", "the line is longer than 7 bytes"),
        (b"a\nb\n12345678", "the line is longer than 7 bytes"),
    ],
)
def test_what_is_no_line_of_text_is_named(monkeypatch, block, content, fault):
    monkeypatch.setattr(lines, "BLOCK", block)
    monkeypatch.setattr(lines, "LONGEST_LINE", 7)
    with pytest.raises(ValueError, match=f"^here line 3: {fault}$"):
        list(read_lines(io.BytesIO(content).read, "here"))


@pytest.mark.parametrize("method", METHODS)
def test_a_line_without_end_takes_no_memory(tmp_path, method):
    """64 MB in one line."""
    with (
        zipfile.ZipFile(tmp_path / "glove.6B.zip", "w", method) as archive,
        archive.open("glove.6B.3d.txt", "w") as file,
    ):
        file.write(b"the 1 2 3\n")
        for _ in range(64):
            file.write(b" " * 1_000_000)
    tracemalloc.start()
    with pytest.raises(
        ValueError, match=r"glove\.6B\.3d\.txt line 2: the line is longer than 1,048,576 bytes"
    ):
        load_glove(tmp_path, 3)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6


@pytest.mark.parametrize("name", ["imdb_train.txt", "speeches.csv"])
def test_a_line_without_end_in_a_plain_file(tmp_path, name):
    content = write_sound(tmp_path)[name]
    with open(tmp_path / name, "ab") as file:
        file.truncate(len(content) + 200_000_000)  # zeros, which take no room on the disk
        file.seek(len(content))
        file.write(b"1" * 2_000_000)
    tracemalloc.start()
    with pytest.raises(ValueError, match=rf"{name}, line \d+: the line is longer than 1,048,576 bytes"):
        LOADERS[name](tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6


# --- what is kept --------------------------------------------------------------------------------------


def kept(cache, pattern="*.*"):
    return sorted(path for path in cache.glob(pattern))


@pytest.mark.parametrize("name", ["imdb_train.txt", "glove.6B.zip"])
def test_damage_to_what_is_kept_changes_no_result(data, cache, name):
    right = LOADERS[name](data)
    for path in kept(cache):
        content = path.read_bytes()
        for _, damaged in damages(content, 12, 1):
            path.write_bytes(damaged)
            assert LOADERS[name](data) == right
            assert path.read_bytes() == content  # made again


@pytest.mark.parametrize("change", ["shape", "dtype", "words", "ids", "no label"])
@pytest.mark.parametrize("name", ["imdb_train.txt", "glove.6B.zip"])
def test_arrays_that_do_not_fit_are_not_used(data, cache, name, change):
    """Planted with hashes that are right."""
    right = LOADERS[name](data)
    (path,) = kept(cache, "*.npy")
    words = path.with_suffix(".words").read_text(encoding="utf-8").split("\n")[1:]
    numbers = np.load(path)
    if change == "shape":
        numbers = numbers[None]
    elif change == "dtype":
        numbers = numbers.astype(np.float64)
    elif change == "words":
        words = words[:-1]
    elif name == "glove.6B.zip":
        numbers = numbers[:, :-1]
    elif change == "ids":
        numbers[0] = -3
    else:
        numbers = numbers[1:]
    caching._write(path, words, numbers)
    assert LOADERS[name](data) == right


def test_a_file_with_the_same_crc_is_another_file(data):
    """Forge the end of a review so that the CRC-32 of the file stays, as an attacker can."""
    path = data / "imdb_train.txt"
    good, forged = b"1\tgood film\n0\tbad plot aaaaaaaa\n", b"0\tgood film\n1\tbad plot "
    path.write_bytes(good)
    labels = load_tokenized_imdb("train", data)[1].tolist()
    path.write_bytes(_with_crc(forged, zlib.crc32(good)))
    assert zlib.crc32(path.read_bytes()) == zlib.crc32(good)
    assert load_imdb("train", data)["sentiment"].tolist() == [0, 1]
    assert labels == [1, 0]
    assert load_tokenized_imdb("train", data)[1].tolist() == [0, 1]


def _with_crc(content, wanted):
    """The content, twelve letters or backticks and a line feed, chosen so that their CRC-32 is this one."""

    def with_tail(number):
        return content + bytes(96 ^ (number >> 4 * k & 15) for k in range(12)) + b"\n"

    # each bit of the number changes the CRC by a pattern of its own, whatever the others are
    patterns = [(zlib.crc32(with_tail(1 << k)) ^ zlib.crc32(with_tail(0)), 1 << k) for k in range(48)]
    need, number = zlib.crc32(with_tail(0)) ^ wanted, 0
    for bit in range(32):  # elimination
        pivot = next(pattern for pattern in patterns if pattern[0] >> bit & 1)
        patterns.remove(pivot)
        patterns = [(p ^ pivot[0], n ^ pivot[1]) if p >> bit & 1 else (p, n) for p, n in patterns]
        if need >> bit & 1:
            need, number = need ^ pivot[0], number ^ pivot[1]
    return with_tail(number)


@pytest.fixture
def soon(monkeypatch):
    """Hashes are remembered a fifth of a second after the last change of a file."""
    monkeypatch.setattr(caching, "_SETTLED", 200_000_000)


def settle(path):
    """Wait until a file is old enough for its hash to be remembered."""
    while time.time_ns() - path.stat().st_ctime_ns < caching._SETTLED + 50_000_000:
        time.sleep(0.02)


def test_a_hash_is_remembered_until_the_file_changes(data, monkeypatch, soon):
    path = data / "imdb_train.txt"
    settle(path)
    digest = sha256(path)
    with monkeypatch.context() as patch:
        patch.setattr("hashlib.file_digest", None)  # it is not hashed again
        assert sha256(path) == digest
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    with open(path, "r+b") as file:  # the same inode, size and time of writing
        file.write(content)
    os.utime(path, ns=times)
    assert path.stat().st_mtime_ns == times[1]
    assert sha256(path) != digest
    settle(path)
    assert sha256(path) == sha256(path) != digest


def test_a_hash_of_what_just_changed_is_not_remembered(data, cache):
    """Where the clock of the file system is coarse, two changes within a tick look like one."""
    path = data / "imdb_train.txt"
    for number in range(300):
        content = b"1\tgood %03d\n" % number
        with open(path, "r+b") as file:
            file.truncate(len(content))
            file.write(content)
        assert sha256(path) == hashlib.sha256(content).hexdigest()
    assert not (cache / "sha256").exists()


@pytest.mark.parametrize("damage", [b"", b"nonsense", b"\xff\xfe", b"1 2 3 " + b"0" * 64])
def test_a_memory_of_hashes_that_is_damaged_is_none(data, cache, soon, damage):
    path = data / "imdb_train.txt"
    settle(path)
    digest = sha256(path)
    (memory,) = (cache / "sha256").iterdir()
    memory.write_bytes(damage)
    assert sha256(path) == digest


def test_a_source_that_changes_while_it_is_read_is_not_kept(data, cache, monkeypatch):
    path = data / "imdb_train.txt"
    whole = imdb._parse

    def parse(*args):
        path.write_bytes(path.read_bytes() + b"1\tone more\n")
        return whole(*args)

    monkeypatch.setattr(imdb, "_parse", parse)
    with pytest.raises(ValueError, match=r"imdb_train\.txt changed while it was read: try again"):
        load_tokenized_imdb("train", data)
    assert not kept(cache) if cache.exists() else True


# --- who may write to the cache ------------------------------------------------------------------------

posix = pytest.mark.skipif(os.name != "posix", reason="modes and owners are those of POSIX")


@posix
@pytest.mark.parametrize("umask", [0o000, 0o002, 0o022, 0o077])
def test_the_cache_is_the_users_alone(data, cache, umask):
    before = os.umask(umask)
    try:
        load_glove(data, 3)
    finally:
        os.umask(before)
    assert cache.stat().st_mode & 0o777 == 0o700


@posix
@pytest.mark.parametrize("mode", [0o777, 0o770, 0o1777, 0o722, 0o702, 0o720])
def test_a_cache_that_others_may_write_to_is_refused(data, cache, mode):
    cache.mkdir()
    cache.chmod(mode)
    for load in (lambda: load_glove(data, 3), lambda: load_tokenized_imdb("train", data), cache_dir):
        with pytest.raises(
            PermissionError, match=f"may be written to by other users .*{mode & 0o777:o}.*: set "
        ):
            load()
    assert list(cache.iterdir()) == []


@posix
def test_a_cache_of_somebody_else_is_refused(data, cache, monkeypatch):
    load_glove(data, 3)
    monkeypatch.setattr("os.getuid", lambda: cache.stat().st_uid + 1)
    for load in (lambda: load_glove(data, 3), lambda: load_tokenized_imdb("train", data), cache_dir):
        with pytest.raises(
            PermissionError, match=r"belongs to another user .* set TINYGRAD_NP_CACHE to a directory"
        ):
            load()


@pytest.mark.parametrize("fault", ["a file", "full", "read-only", "lost"])
def test_where_nothing_can_be_kept_it_is_told_once_and_goes_on(data, cache, monkeypatch, capsys, fault):
    right = {name: LOADERS[name](data) for name in LOADERS}
    monkeypatch.setenv("TINYGRAD_NP_CACHE", str(cache.with_name("other")))
    if fault == "a file":
        cache.with_name("other").write_text("no directory", encoding="utf-8")
        said = "exists"
    elif fault == "lost":
        monkeypatch.setattr(caching, "_read", lambda *_: None)
        said = "it cannot be read back"
    else:
        said = {"full": "No space left on device", "read-only": "Read-only file system"}[fault]
        number = {"full": 28, "read-only": 30}[fault]

        @contextlib.contextmanager
        def fail(path):
            raise OSError(number, said)
            yield

        monkeypatch.setattr(caching, "atomic_write", fail)
    tell.cache_clear()
    capsys.readouterr()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(2):
            assert {name: LOADERS[name](data) for name in LOADERS} == right
    notes = [line for line in capsys.readouterr().err.splitlines() if "is not kept for the next time" in line]
    assert len(notes) == 2  # the tokens and the vectors, once each
    assert all(said in note for note in notes)
    assert not load_glove(data, 3).vectors.flags.writeable


# --- messages ------------------------------------------------------------------------------------------


def test_foreign_text_is_visible_and_short():
    assert visible("\x1b[31mé 漢 😀\u200d\x07\u202e\x9b") == "\\x1b[31mé 漢 😀\u200d\\x07\\u202e\\x9b"
    assert shortened("x" * 60) == "x" * 60
    assert shortened("x" * 61) == "x" * 60 + "..."
    assert listed(["a"] * 5) == "a, a, a, a, a"
    assert listed(iter("abcdefg")) == "a, b, c, d, e and 2 more"
