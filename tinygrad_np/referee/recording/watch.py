"""What is noted while a forward is recorded: what cannot be, what was taken as float64, what no gradient sees.

Every remark has a place, the line of the user's code that was running. User's code is all but Python's own
library, what is installed beside it, and tinygrad_np.
"""

from __future__ import annotations

import functools
import os
import site
import sys
import sysconfig
from collections.abc import Callable, Collection, Iterator
from types import CodeType, FrameType, TracebackType
from typing import Any

from tinygrad_np import tape

Frames = tuple[tuple[CodeType, int], ...]  # code and instruction, the outermost frame first


class CannotRecord(Exception):
    """A forward that cannot be recorded: why, as a sentence, and where, as file and line."""

    def __init__(self, reason: str, where: str = ""):
        super().__init__(f"{reason} ({where})" if where else reason)
        self.reason, self.where = reason, where


def _directories() -> tuple[str, ...]:
    """Where code lies that is not the user's."""
    paths = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    paths |= {*site.getsitepackages(), site.getusersitepackages()}
    paths |= {os.path.dirname(os.path.dirname(os.path.abspath(__file__)))}
    return tuple(os.path.join(path, "") for path in paths if path)


LEFT_ALONE = (*_directories(), "<frozen", "<__array_function__")


@functools.cache
def is_users(filename: str) -> bool:
    """Whether code of this file is the user's own."""
    return not filename.startswith(LEFT_ALONE)


def place(filename: str, line: int | None) -> str:
    """A line of a file, as remarks name it."""
    return f"{os.path.basename(filename)}:{line}"


class Watch:
    """What one recording notes.

    Attributes
    ----------
    call : callable
        ``call(watch, function, args, kwargs)``: what a function of NumPy does to recorded arrays.
    innermost : code
        The code that calls the forward: frames outside of it are not the forward's.
    notes : dict of str to None
        In the order in which they came up, each once.
    doubts : dict of str to list
        Likewise, with what each is about: see `doubt`.
    sites : dict of int to Frames
        Which of the user's lines made the node of a number, where `trace` asks for it.
    failed : CannotRecord or None
        The first; the user's code may have caught it.
    forms : dict of int to (str, Tensor)
        What a node is as part of a known formula: see `formulas`.
    """

    def __init__(self, call: Callable[..., Any], outermost: CodeType | None = None, trace: bool = False):
        self.call = call
        self.outermost = outermost
        self.trace = trace
        self.notes: dict[str, None] = {}
        self.doubts: dict[str, list[Any]] = {}
        self.sites: dict[int, Frames] = {}
        self.failed: CannotRecord | None = None
        self.forms: dict[int, tuple[str, Any]] = {}

    def frames(self) -> Iterator[FrameType]:
        """The user's frames of the forward, from the innermost."""
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and frame.f_code is not self.outermost:
            if is_users(frame.f_code.co_filename):
                yield frame
            frame = frame.f_back

    def where(self) -> str:
        """The line of the user's code that is running."""
        frame = next(self.frames(), None)
        return place(frame.f_code.co_filename, frame.f_lineno) if frame is not None else ""

    def cannot(self, reason: str) -> CannotRecord:
        """The error to raise where something has no way to be recorded."""
        error = CannotRecord(reason, self.where())
        self.failed = self.failed or error
        return error

    def note(self, text: str) -> None:
        self.notes[text] = None

    def doubt(self, text: str, node: Any = None) -> None:
        """Doubt the gradient: always, or if the loss depends on this node, whose derivative is 0."""
        self.doubts.setdefault(text, []).append(node)

    def doubts_of(self, nodes: Collection[Any]) -> tuple[str, ...]:
        """The doubts about a loss that is made of these nodes: a prediction that is rounded beside it is none."""
        known = {id(node) for node in nodes}
        return tuple(
            text for text, about in self.doubts.items() if any(n is None or id(n) in known for n in about)
        )

    def began(self) -> int:
        """A number below those of all nodes that are made from now on."""
        return next(tape._numbers)

    def made(self, before: int) -> None:
        """Keep, for the nodes made since `began`, the user's lines that are running."""
        after = next(tape._numbers)
        if after > before + 1:
            stack = tuple([(frame.f_code, frame.f_lasti) for frame in self.frames()][::-1])
            self.sites.update(dict.fromkeys(range(before + 1, after), stack))


def raised_at(traceback: TracebackType | None) -> str:
    """The innermost line of the user's that an error passed."""
    found = ""
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if is_users(code.co_filename):
            found = place(code.co_filename, traceback.tb_lineno)
        traceback = traceback.tb_next
    return found
