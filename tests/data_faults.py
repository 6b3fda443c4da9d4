"""Damage to data, in seeded ways, and what the loaders make of it. For the tests, and for longer campaigns.

`write_sound` writes small files that are right, `damages` damages the bytes of one in any number of ways,
`attempt` loads and says what happened, `try_damages` does both. `HOSTILE_TEXTS` are texts of any length that cost
a careless cleaner the square of their length.
"""

import contextlib
import io
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from datasets import load_glove, load_speeches, load_tokenized_imdb
from datasets.messages import tell

DIMENSIONS = 3
# How each file is loaded from its directory. The result compares equal to another of the same values.
LOADERS: dict[str, Callable[[Path], Any]] = {
    "imdb_train.txt": lambda directory: _plain(load_tokenized_imdb("train", directory)),
    "glove.6B.zip": lambda directory: _plain(load_glove(directory, DIMENSIONS)),
    "speeches.csv": lambda directory: load_speeches(directory).to_dict("list"),
}


def _plain(found: Any) -> Any:
    """Tuples, arrays and Glove as lists."""
    if hasattr(found, "vectors"):
        return [found.words, found.vectors.tolist()]
    if isinstance(found, tuple):
        return [_plain(part) for part in found]
    if isinstance(found, list):
        return [part.tolist() if isinstance(part, np.ndarray) else part for part in found]
    return found.tolist() if isinstance(found, np.ndarray) else found


class Outcome(NamedTuple):
    """What loading came to.

    `what` is "loaded" without a word, "told" (loaded, with a note), "refused" (one sentence of an error that the
    commands report) or "failed" (anything else). `said` is the note or the error, `result` what was loaded.
    """

    what: str
    said: str
    result: Any = None


def attempt(load: Callable[[], Any], name: str = "") -> Outcome:
    """Load, and say what happened. An error that does not name the file, or is long, is a failure."""
    tell.cache_clear()
    stderr = io.StringIO()
    try:
        with contextlib.redirect_stderr(stderr):
            result = load()
    except (ValueError, OSError, RuntimeError) as error:
        said = str(error)
        sentence = name in said and "\n" not in said and said.isprintable() and len(said) < 1000
        return Outcome("refused" if sentence else "failed", f"{type(error).__name__}: {said}")
    except Exception as error:
        return Outcome("failed", f"{type(error).__name__}: {error}")
    notes = [line for line in stderr.getvalue().splitlines() if line.startswith("note: ")]
    return Outcome("told" if notes else "loaded", "\n".join(notes), result)


def write_sound(directory: Path, seed: int = 0, method: int = zipfile.ZIP_DEFLATED) -> dict[str, bytes]:
    """Write one small file for each of `LOADERS`; its bytes by its name."""
    rng = np.random.default_rng(seed)
    words = ["film", "good", "dull", "café", "don't", "plot", "<br />", "it", "7.5", "never!", "“end”"]

    def text() -> str:
        return " ".join(rng.choice(words, rng.integers(1, 12)))

    directory.mkdir(parents=True, exist_ok=True)
    (directory / "imdb_train.txt").write_bytes(
        "".join(f"{rng.integers(2)}\t{text()}\n" for _ in range(12)).encode("utf-8")
    )
    with zipfile.ZipFile(directory / "glove.6B.zip", "w", method) as archive:
        lines = [f"{word}{i} {' '.join(f'{x:.3f}' for x in rng.normal(size=DIMENSIONS))}\n"
                 for i, word in enumerate(["the", "café", "n't", "!"] * 5)]  # fmt: skip
        archive.writestr("LICENSE", "made up for a test")
        archive.writestr(f"glove.6B.{DIMENSIONS}d.txt", "".join(lines))
    (directory / "speeches.csv").write_bytes(
        "".join(
            ["speaker,speech,source\r\n"] + [f'Speaker {i},"{text()}, \n{text()}",here\r\n' for i in range(4)]
        ).encode("utf-8")
    )
    return {name: (directory / name).read_bytes() for name in LOADERS}


def damages(content: bytes, count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """What was done to some bytes, and what became of them, so many times."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        at, length = int(rng.integers(len(content))), int(rng.integers(1, 17))
        noise = rng.bytes(length)
        kind, damaged = [
            ("cut", content[:at]),
            ("one bit", content[:at] + bytes([content[at] ^ 1 << int(rng.integers(8))]) + content[at + 1 :]),
            ("noise", content[:at] + noise + content[at + length :]),
            ("more noise", content[:at] + noise + content[at:]),
            ("zeros", content[:at] + bytes(length) + content[at + length :]),
            ("zeros to the end", content[:at] + bytes(len(content) - at)),
            ("a hole", content[:at] + content[at + length :]),
            ("twice", content[: at + length] + content[at:]),
            ("the beginning gone", content[at:]),
            ("carriage returns", content.replace(b"\n", b"\r")),
            ("one carriage return", content[:at] + b"\r" + content[at:]),
            ("a byte-order mark", b"\xef\xbb\xbf" + content),
            ("UTF-16", b"\xff\xfe" + content.decode("latin-1").encode("utf-16-le")),
            ("more at the end", content + noise),
        ][int(rng.integers(14))]
        yield f"{kind} at {at}", damaged


def try_damages(
    name: str, directory: Path, count: int, seed: int, method: int = zipfile.ZIP_DEFLATED
) -> Iterator[tuple[str, Outcome]]:
    """Damage a file of `LOADERS` in the directory so many times, and load it each time.

    The directory of ``TINYGRAD_NP_CACHE`` may stay the same: what is kept of one content is none of another.
    """
    content = write_sound(directory, seed, method)[name]
    for what, damaged in damages(content, count, seed):
        (directory / name).write_bytes(damaged)
        yield what, attempt(lambda: LOADERS[name](directory), name)


def _times(unit: str) -> Callable[[int], str]:
    return lambda size: unit * (size // len(unit))


# Each makes a text of nearly so many characters.
HOSTILE_TEXTS: dict[str, Callable[[int], str]] = {
    **{
        unit: _times(unit)
        for unit in (
            *(
                "a",
                "1",
                "1.",
                "-",
                "'s",
                "n't",
                "a'",
                '"',
                "!",
                "?!",
                ".",
                ". ",
                '."',
                "a. ",
                "mr. ",
                "a.",
                "İ",
            ),
            *("<", "<a", "<a ", "<a>", "</", "<!--", "<a/", "<a x", '<a x="', "<a x='", '<b x="y">'),
            *("&", "&a", "&amp;", "&lt;", "&Eacute;", "&#65;", "&#x41;", "&notit;", "&lt;b&gt;"),
        )
    },
    "tags in tags": lambda size: "<a" * (size // 3) + ">" * (size // 3),
    "tags with attributes in tags": lambda size: "<a x=1 " * (size // 8) + ">" * (size // 8),
    "tags in tags, some layers": lambda size: ("<a" * 30 + ">" * 30) * (size // 90),
    "entities in entities": lambda size: "&" + "amp;" * (size // 4),
    "entities without semicolon in entities": lambda size: "&" + "amp" * (size // 3) + ";",
    "entities in entities, some layers": lambda size: ("&" + "amp;" * 30) * (size // 121),
    "entities by lower case": lambda size: "&" + "aMP;" * (size // 4),
    "entities by lower case in entities": lambda size: (
        "&a" * (size // 10) + "&#77;" + "#77;P;" * (size // 10)
    ),
    "tags in entities": lambda size: "&amp;lt;a" * (size // 10) + ">" * (size // 10),
    "a number of many digits": lambda size: f"&#{'1' * size};",
    "a number of many zeros": lambda size: f"&#{'0' * size}65;",
    "a number in base 16": lambda size: f"&#x{'1' * size};",
    "numbers of many digits": lambda size: f"&#{'1' * 4000};" * (size // 4003),
    "a long entity": lambda size: f"&{'a' * size};",
    "a tag with blanks": lambda size: "<a" + " " * size,
    "a tag with a long name": lambda size: "<a" + "-" * size,
    "a tag with a long attribute": lambda size: "<a " + "x" * size,
    "a tag with a long value": lambda size: "<a x=" + "y" * size,
    "a tag with a long quoted value": lambda size: '<a x="' + "y" * size,
    "a tag with blanks before its value": lambda size: "<a x=" + " " * size,
    "a tag with many attributes": lambda size: "<a" + " x=1" * (size // 4),
    "a tag with many quoted attributes": lambda size: "<a" + ' x="1"' * (size // 6),
    "a tag with many attributes and blanks": lambda size: "<a" + "      x   =   1" * (size // 15),
    "a long word and a stop": lambda size: "a" * size + ". ",
    "a stop and many quotation marks": lambda size: "." + '"' * size,
}
