"""The commands: `python -m tinygrad_np referee ...` and `python -m tinygrad_np gradcheck ...`."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

COMMANDS = {  # the module whose `main` it is, imported when it is asked for, and what it answers
    "referee": (
        "tinygrad_np.referee.command.command",
        "is a gradient that you derived by hand right, and where is it wrong?",
    ),
    "gradcheck": ("tinygrad_np.check.installed", "are the gradients of the installed tinygrad_np right?"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command, and return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tinygrad_np",
        description="Checks of gradients, from the command line.",
        epilog="\n".join(f"{name:10} {answers}" for name, (_, answers) in COMMANDS.items())
        + "\n\nexample: python -m tinygrad_np referee mynet.py:loss mynet.py:gradient"
        + "\nEach has a help of its own: python -m tinygrad_np referee --help",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=COMMANDS, help="what to run")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="what it takes")
    argv = sys.argv[1:] if argv is None else argv
    if not argv:
        parser.print_help(sys.stderr)
        return 2
    args = parser.parse_args(argv)
    status: int = importlib.import_module(COMMANDS[args.command][0]).main(args.arguments)
    return status


if __name__ == "__main__":
    sys.exit(main())
