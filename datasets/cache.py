"""Keeps what takes seconds to compute: a list of words and an array of numbers, as two files in `cache_dir`.

Later they are not read but mapped into memory. What is kept belongs to a source file by the SHA-256 of its
bytes, and SHA-256 of the two files vouch for each other, so that what is damaged, missing or half-written is
computed again. That nobody else put them there is what `cache_dir` asks of the directory.

Hashing a large file takes longer than all the rest of a later load. So a hash is remembered, and taken for that
of a file as long as the system says that nothing was written to it: see `sha256`.
"""

import hashlib
import io
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from datasets.messages import tell
from tinygrad_np.extras import import_optional
from tinygrad_np.files import atomic_write

_SETTLED = 2_000_000_000  # nanoseconds: the coarsest clock of a file system that is in use


def cache_dir(make: bool = False) -> Path:
    """The directory for downloads and for what is computed from them, which nobody else may change.

    It is ``TINYGRAD_NP_CACHE`` of the environment if that is set, else the user's cache directory. It need not
    exist; `make` makes it, for the user alone (mode 0700).

    Raises
    ------
    PermissionError
        If the directory belongs to somebody else, or others may write to it: what lies there may be theirs.
        (Windows has neither owners nor modes of this kind, and nothing is asked there.)
    OSError
        If it is to be made and cannot be.
    """
    chosen = os.environ.get("TINYGRAD_NP_CACHE")
    directory = Path(chosen) if chosen else Path(import_optional("pooch").os_cache("tinygrad_np"))
    if make:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        found = directory.stat()
    except OSError:  # not there, or not to be seen: then nothing is read from it
        return directory
    if os.name == "posix":
        if found.st_uid != os.getuid():
            fault = f"belongs to another user (number {found.st_uid})"
        elif found.st_mode & 0o022:
            fault = f"may be written to by other users (mode {found.st_mode & 0o777:o})"
        else:
            return directory
        raise PermissionError(
            f"the cache directory {directory} {fault}, so what lies there cannot be trusted: set "
            f"TINYGRAD_NP_CACHE to a directory that only you may write to, or make this one such a directory"
        )
    return directory


def cached(
    source: Path,
    name: str,
    compute: Callable[[], tuple[list[str], np.ndarray]],
    fits: Callable[[list[str], np.ndarray], bool],
) -> tuple[list[str], np.ndarray]:
    """The words and numbers kept for a source file; computed first if they are not there or not sound.

    Parameters
    ----------
    source : Path
        The file they are computed from. Another file of the same bytes has the same words and numbers.
    name : str
        Of what is computed, and of the way of doing it: with other code it has to be another name.
    compute : function without arguments
        Returns the words, none with a line feed in it, and the array.
    fits : function
        Whether words and numbers are of the shape, dtype and range that they have to be.

    Returns
    -------
    words : list of str
    numbers : ndarray
        Mapped into memory, and not writable. Where nothing can be kept they are in memory, and the user is told.

    Raises
    ------
    PermissionError
        If others may write to the cache directory.
    ValueError
        If the source changes while it is read.
    """
    digest = sha256(source)
    path = cache_dir() / f"{name}.{digest}.npy"
    found = _read(path, fits)
    if found is None:
        words, numbers = compute()
        if sha256(source) != digest:
            raise ValueError(f"{source} changed while it was read: try again when it is complete")
        try:
            _write(path, words, numbers)
            found = _read(path, fits)
            fault = "it cannot be read back"
        except OSError as error:
            fault = error.strerror or str(error)
        if found is None:
            tell(f"{name} is not kept for the next time, as {path.parent} does not take it: {fault}")
            numbers.flags.writeable = False  # as they are where they are mapped
            return words, numbers
    return found


def sha256(path: Path) -> str:
    """The SHA-256 of a file, remembered until the file changes.

    It changes with each writing, renaming or restoring of an old time: then the system sets the time of the
    last change (ctime), which no program may choose. What changed less than two seconds ago may change again
    within the same tick of the clock, so its hash is not remembered yet. What the system does not see, such as
    a disk that goes bad, is not seen here either. (Windows has no such time, and that of the last writing has
    to do.)
    """
    found = os.stat(path)
    state = f"{found.st_size} {found.st_mtime_ns} {found.st_ctime_ns}"
    memory = cache_dir() / "sha256" / f"{found.st_dev:x}-{found.st_ino:x}"
    try:
        remembered, _, digest = memory.read_text("ascii").rpartition(" ")
        if remembered == state and len(digest) == 64:
            return digest
    except (OSError, ValueError):  # none, or not readable as text
        pass
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if max(found.st_mtime_ns, found.st_ctime_ns) < time.time_ns() - _SETTLED:
        try:
            (cache_dir(make=True) / "sha256").mkdir(exist_ok=True)
            with atomic_write(memory) as part:
                part.write_text(f"{state} {digest}", "ascii")
        except OSError:
            pass  # it takes its time again
    return digest


def _write(path: Path, words: list[str], numbers: np.ndarray) -> None:
    """Write the numbers, and beside them the words under a line of hashes, which vouches for both."""
    cache_dir(make=True)
    numbers = np.ascontiguousarray(numbers)
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, np.lib.format.header_data_from_array_1_0(numbers))
    content = numbers.reshape(-1).view(np.uint8).data
    vouched = hashlib.sha256(header.getvalue())
    vouched.update(content)
    with atomic_write(path) as part, open(part, "wb") as file:  # np.save would not say that the disk is full
        file.write(header.getvalue())
        file.write(content)
    text = "\n".join(words).encode("utf-8")
    with atomic_write(path.with_suffix(".words")) as part:
        part.write_bytes(_hashes(vouched.hexdigest(), text) + b"\n" + text)


def _read(path: Path, fits: Callable[[list[str], np.ndarray], bool]) -> tuple[list[str], np.ndarray] | None:
    """The words and numbers of `_write`, or None if they are missing, do not fit or are not as written."""
    try:
        hashes, _, text = path.with_suffix(".words").read_bytes().partition(b"\n")
        if hashes != _hashes(sha256(path), text):
            return None
        words = text.decode("utf-8").split("\n") if text else []
        numbers = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError):  # a missing file, an empty file, no array
        return None
    return (words, numbers) if fits(words, numbers) else None


def _hashes(of_numbers: str, text: bytes) -> bytes:
    """Those of the file of numbers and of the words."""
    return f"{of_numbers} {hashlib.sha256(text).hexdigest()}".encode("ascii")
