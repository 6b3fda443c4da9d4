"""What is told of data that others wrote: short, and in characters that do nothing to a terminal."""

import functools
import re
import sys
from collections.abc import Iterable

# Characters that steer instead of being seen: control characters, among them the start of escape sequences,
# and those that turn the direction of writing. Accents, emoji and all other scripts stay.
_STEERING = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_NAMES = 5  # listed at most


def visible(text: str) -> str:
    r"""The text with its steering characters written out: an escape becomes ``\x1b``."""
    return _STEERING.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def shortened(text: str, characters: int = 60) -> str:
    """The beginning of a text, visible, for a message or a picture."""
    return visible(text[:characters]) + ("..." if len(text) > characters else "")


def listed(names: Iterable[str]) -> str:
    """The first of some names, and how many more there are."""
    names = list(names)
    more = f" and {len(names) - _NAMES:,} more" if len(names) > _NAMES else ""
    return ", ".join(map(shortened, names[:_NAMES])) + more


@functools.cache
def tell(sentence: str) -> None:
    """Say on standard error what a user should know of data that is used all the same; once a process.

    It is no Python warning, as a program that makes errors of warnings would stop.
    """
    print(f"note: {sentence}", file=sys.stderr, flush=True)
