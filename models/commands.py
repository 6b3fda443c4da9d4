"""What the command lines of the models share: whole numbers from 1, and errors as one sentence."""

from __future__ import annotations

import argparse
import sys


def positive(text: str) -> int:
    """A whole number from 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"takes 1 or more, not {number}")
    return number


def execute(args: argparse.Namespace) -> int:
    """Run ``args.command(args)``; the exit status is 0, 1 after an error, or 130 when interrupted."""
    try:
        args.command(args)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except (ValueError, OSError, RuntimeError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0
