"""What the command lines of the models share: whole numbers from 1, errors as one sentence, and Ctrl-C."""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, NoReturn

STOPPING = (signal.SIGINT, signal.SIGTERM)  # Ctrl-C, and what a system says before it kills


def positive(text: str) -> int:
    """A whole number from 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"takes 1 or more, not {number}")
    return number


def from_zero(text: str) -> int:
    """A whole number from 0."""
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"takes 0 or more, not {number}")
    return number


def start(module: str) -> NoReturn:
    """Import the module of a command line, and run its `main`.

    The imports take a second. Ctrl-C before `execute` listens ends the program at once: raised inside an import, it
    would come out as a traceback, or be swallowed.
    """

    def leave(number: int, frame: object) -> None:
        with suppress(Exception):
            sys.stdout.flush()
        os.write(2, b"interrupted\n")
        os._exit(130)

    with _handled(leave):
        main: Callable[[], int] = importlib.import_module(module).main
        status = main()
    sys.exit(status)


def execute(args: argparse.Namespace) -> int:
    """Run ``args.command(args)``; the exit status is 0, 1 after an error, or 130 after Ctrl-C or SIGTERM."""
    try:
        with _handled(_interrupt):
            args.command(args)
    except KeyboardInterrupt as stop:
        print(str(stop) or "interrupted", file=sys.stderr)
        return 130
    except MemoryError as error:
        return _failed(f"there is not enough memory: {str(error) or 'the system has no more'}")
    except OverflowError as error:
        return _failed(f"a number is too large: {error}")
    except (ValueError, OSError, RuntimeError, ImportError) as error:
        return _failed(str(error))
    return 0


def _failed(what: str) -> int:
    """Say what went wrong. What stands in a damaged file may be long: its middle is left out."""
    print(f"error: {what if len(what) < 1500 else f'{what[:700]} ... {what[-700:]}'}", file=sys.stderr)
    return 1


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt; in a `__del__`, where Python would print and forget it, a moment later."""
    while frame is not None:
        if frame.f_code.co_name == "__del__":
            threading.Timer(0.01, signal.raise_signal, [number]).start()
            return
        frame = frame.f_back
    raise KeyboardInterrupt


@contextmanager
def _handled(handler: Callable[[int, Any], Any]) -> Iterator[None]:
    """Let a function answer Ctrl-C and SIGTERM. One that is ignored stays so, as whoever started us wants it."""
    before = {}
    try:
        if threading.current_thread() is threading.main_thread():  # others may not, and need not
            for number in STOPPING:
                if (former := signal.getsignal(number)) not in (signal.SIG_IGN, None):
                    before[number] = former
                    signal.signal(number, handler)
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)
