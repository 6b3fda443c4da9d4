"""Ctrl-C, and SIGTERM: once to end at the next good moment, twice to end at once."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType
from typing import Any, Self


class Interrupted(Exception):
    """The next good moment has come."""


class Interruptible:
    """Within its ``with`` block Ctrl-C and SIGTERM are noted; a second one does what one would do outside.

    A signal that is ignored stays so, as whoever started us wants it, and other threads than the first hear none.
    """

    def __init__(self, speaks: bool):
        self.speaks = speaks
        self.asked = False
        self.before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                if (former := signal.getsignal(number)) not in (signal.SIG_IGN, None):
                    self.before[number] = former
                    signal.signal(number, self._note)
        return self

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            self.__exit__()
            signal.raise_signal(number)
        elif self.speaks:
            os.write(2, b"\ninterrupted: the training ends after this step; once more to end it at once\n")
        self.asked = True

    def watch(self) -> None:
        """Raise `Interrupted` if it was asked for: wherever all is whole."""
        if self.asked:
            raise Interrupted

    def __exit__(self, *error: object) -> None:
        for number, former in self.before.items():
            signal.signal(number, former)
        self.before.clear()
