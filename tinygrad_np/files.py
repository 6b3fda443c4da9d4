"""Writing a file whole or not at all, and one writer at a time."""

from __future__ import annotations

import os
import re
import socket
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

# NAME.PROCESS-HOST-RANDOM.part: by whom, so that what a killed process left is told from what is being written
_PART = re.compile(r".+\.(\d+)-(.+)-[0-9a-f]{32}\.part")
_held: set[int] = set()  # the lock files that are open in this process


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A new path beside `path` to write to, renamed to `path` at the end of the ``with`` block.

    So nobody ever sees half a file, and an old file survives a failed write, whose part is removed. Parts in the
    same directory whose writers were killed are removed too.

    Raises
    ------
    OSError
        The file could not be written: the sentence names it, the reason, and what is there now.
    """
    path = Path(path)
    sweep_parts(path.parent)
    part = path.with_name(f"{path.name}.{os.getpid()}-{socket.gethostname()}-{uuid.uuid4().hex}.part")
    try:
        yield part
        os.replace(part, path)
    except OSError as error:
        # NumPy tells a full disk as numbers of items "requested" and "written", without the system's reason
        full = error.errno is None and "requested and" in str(error)
        reason = "the disk took only a part of it; it may be full" if full else error.strerror or str(error)
        kept = "the file that was there is as it was" if path.exists() else "there is no such file now"
        told = f"{path} could not be written: {reason}; {kept}"
        raise (OSError(told) if error.errno is None else OSError(error.errno, told)) from error
    finally:
        with suppress(NotADirectoryError):  # the directory is a file, and the error above says so
            part.unlink(missing_ok=True)


def sweep_parts(directory: Path) -> None:
    """Remove the parts that processes of this machine left in a directory when they were killed."""
    with suppress(OSError):  # a directory that is not there, or not ours, is told when it is written to
        for part in directory.glob("*.part"):
            match = _PART.fullmatch(part.name)
            if match and match[2] == socket.gethostname() and not _runs(int(match[1])):
                part.unlink(missing_ok=True)


def _runs(pid: int) -> bool:
    """Whether a process of this machine runs; where that cannot be asked, it may."""
    if sys.platform == "win32":
        return True  # there, os.kill would end it
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # of somebody else
        return True
    return True


@contextmanager
def locked(path: str | os.PathLike[str]) -> Iterator[str]:
    """Hold a lock file, as one process of all that ask for it. Gives who held it before and was killed, or "".

    The system holds the lock and frees it when the process ends, however it ends: no process that died, and no
    other one that got its number, is taken for the holder. The file says who that is. A forked child holds nothing.

    Raises
    ------
    BlockingIOError
        Another process holds it, or did so on a machine that cannot be asked from here.
    OSError
        The file cannot be made, or the file system has no locks.
    """
    path, host = Path(path), socket.gethostname()
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    _held.add(file)
    try:
        try:
            _lock(file)
        except (BlockingIOError, PermissionError):
            raise BlockingIOError(
                f"{path} is held by {_owner(path) or 'another process'}, which still runs: "
                "wait for it, or take another directory"
            ) from None
        except OSError as error:
            raise OSError(f"{path} cannot be locked: {error.strerror}; take another directory") from error
        before = _owner(path)
        if before and not before.endswith(f" of {host}"):
            raise BlockingIOError(
                f"{path} is held by {before}, which {host} cannot ask: if it runs no more, remove the file"
            )
        try:
            os.ftruncate(file, 0)
            os.write(file, f"process {os.getpid()} of {host}".encode())
        except OSError as error:
            raise OSError(error.errno, f"{path} could not be written: {error.strerror}") from error
        try:
            yield before
        finally:
            if file in _held:
                os.ftruncate(file, 0)  # it stays, empty: were it removed, two could hold files of its name
    finally:
        if file in _held:
            _held.remove(file)
            os.close(file)


def _lock(file: int) -> None:
    """Lock an open file, or raise BlockingIOError or, on Windows, PermissionError."""
    if sys.platform == "win32":
        os.lseek(file, 2**30, os.SEEK_SET)  # who has locked a byte keeps others from reading it
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        os.lseek(file, 0, os.SEEK_SET)
    else:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _owner(path: Path) -> str:
    return path.read_bytes()[:1000].decode("utf-8", errors="replace")


def _close_locks() -> None:
    """In a forked child: what is open there too would outlive the parent."""
    for file in _held:
        os.close(file)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_locks)
