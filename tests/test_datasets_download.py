"""Tests of the downloads, against a server on this machine that can be as bad as a real one."""

import hashlib
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from datasets import download, fetch
from datasets.download import SOURCES, Source
from tinygrad_np.extras import import_optional
from tinygrad_np.files import atomic_write

CONTENT = b"speaker,speech,source\nAda,Hello.,a letter\n" * 100


class Handler(BaseHTTPRequestHandler):
    """Serves CONTENT whole at /good and cut off at /cut; anything else is not found."""

    requests: list[str]

    def do_GET(self):
        self.requests.append(self.path)
        if self.path not in ("/good", "/cut"):
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT if self.path == "/good" else CONTENT[:100])

    def log_message(self, *arguments):
        """Keep the tests' output quiet."""


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TINYGRAD_NP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(Handler, "requests", [], raising=False)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def publish(monkeypatch, server, path, content=CONTENT):
    """Let speeches.csv be published at a path of the server, with the checksum of some content."""
    url = f"http://127.0.0.1:{server.server_port}{path}"
    monkeypatch.setitem(SOURCES, "speeches.csv", Source(url, hashlib.sha256(content).hexdigest()))
    return url


def test_a_good_file_is_downloaded_once(monkeypatch, server, cache):
    publish(monkeypatch, server, "/good")
    path = fetch("speeches.csv")
    assert path == cache / "speeches.csv"
    assert path.read_bytes() == CONTENT
    assert fetch("speeches.csv") == path
    assert Handler.requests == ["/good"]
    assert list(cache.iterdir()) == [path]


def test_a_damaged_file_in_the_cache_is_downloaded_again(monkeypatch, server, cache):
    publish(monkeypatch, server, "/good")
    cache.mkdir()
    (cache / "speeches.csv").write_bytes(CONTENT[:-1])
    assert fetch("speeches.csv").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("path", "content", "cause"),
    [
        ("/good", b"other", "the bytes that came are not the published ones, as their SHA-256 is another"),
        ("/cut", CONTENT, "the transfer was cut off"),
        ("/missing", CONTENT, "the server answered 404 Not Found"),
    ],
)
def test_a_bad_download_is_one_sentence_and_leaves_nothing(monkeypatch, server, cache, path, content, cause):
    url = publish(monkeypatch, server, path, content)
    with pytest.raises(RuntimeError) as caught:
        fetch("speeches.csv")
    assert str(caught.value) == (
        f"speeches.csv cannot be downloaded from {url}: {cause}; check the network and try again, or get the "
        "file by hand and give the directory that holds it as data_dir"
    )
    assert list(cache.iterdir()) == []


def test_a_server_that_is_gone(monkeypatch, server, cache):
    url = publish(monkeypatch, server, "/good")
    server.server_close()
    with pytest.raises(RuntimeError, match=r"speeches\.csv cannot be .*: the server cannot be reached"):
        fetch("speeches.csv")
    assert url.startswith("http://127.0.0.1:")
    assert list(cache.iterdir()) == []


def test_a_cache_that_cannot_be_written(monkeypatch, server, tmp_path):
    publish(monkeypatch, server, "/good")
    (tmp_path / "file").write_text("no directory", encoding="utf-8")
    monkeypatch.setenv("TINYGRAD_NP_CACHE", str(tmp_path / "file"))
    with pytest.raises(RuntimeError, match=r"speeches\.csv cannot be downloaded"):
        fetch("speeches.csv")


def test_a_given_directory_is_used_as_it_is(tmp_path):
    (tmp_path / "speeches.csv").write_bytes(b"anything")
    assert fetch("speeches.csv", tmp_path) == tmp_path / "speeches.csv"
    assert fetch("speeches.csv", str(tmp_path)) == tmp_path / "speeches.csv"


def test_a_given_directory_without_the_file(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"glove\.6B\.zip is missing: put the file of https://.* there"
    ):
        fetch("glove.6B.zip", tmp_path)


def test_a_given_directory_with_an_empty_file(tmp_path):
    (tmp_path / "imdb_test.txt").touch()
    with pytest.raises(ValueError, match=r"imdb_test\.txt is empty: replace it by the file of https://"):
        fetch("imdb_test.txt", tmp_path)


def test_an_unknown_name():
    with pytest.raises(
        ValueError, match=r"no data file 'x\.txt', only imdb_train\.txt, imdb_test\.txt, glove"
    ):
        fetch("x.txt")


def test_every_source_has_a_checksum_and_an_encrypted_address():
    mnist = {
        f"{split}-{what}-ubyte.gz" for split in ("train", "t10k") for what in ("images-idx3", "labels-idx1")
    }
    assert SOURCES.keys() == {"glove.6B.zip", "imdb_test.txt", "imdb_train.txt", "speeches.csv"} | mnist
    for source in SOURCES.values():
        assert source.url.startswith("https://")
        assert len(bytes.fromhex(source.sha256)) == 32


def test_the_usual_cache_is_the_users(monkeypatch):
    monkeypatch.delenv("TINYGRAD_NP_CACHE", raising=False)
    assert download.cache_dir() == import_optional("pooch").os_cache("tinygrad_np")


def test_importing_the_package_imports_no_optional_library():
    code = (
        "import sys, datasets; print([name for name in ('pandas', 'pooch', 'tqdm') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"


def test_a_missing_library_names_the_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(ModuleNotFoundError, match=r"needs pooch, which .* pip install -e '\.\[data\]'"):
        fetch("speeches.csv")


def test_a_failed_writing_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "file"
    path.write_text("old", encoding="utf-8")

    def fail():
        with atomic_write(path) as part:
            part.write_text("half", encoding="utf-8")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]
