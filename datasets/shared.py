"""Two small things that data sets and models need: an optional package, and writing a file whole."""

import importlib
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

EXTRAS = {
    "pooch": "data",
    "requests": "data",
    "pandas": "data",
    "matplotlib": "plot",
    "tqdm": "progress",
}  # of pyproject.toml


def need(package: str) -> ModuleType:
    """Import a package that `tinygrad_np` itself does without, or say in one sentence how to install it.

    Raises
    ------
    ModuleNotFoundError
        If the package is not installed.
    """
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise  # the package is there, but something it needs is not: that is another fault
        raise ModuleNotFoundError(
            f"this needs {package}, which is not installed: pip install -e '.[{EXTRAS[package]}]'",
            name=package,
        ) from None


@contextmanager
def beside(path: Path) -> Iterator[Path]:
    """A new path beside `path` to write to, renamed to `path` at the end of the block.

    So nobody ever sees half a file, and an old file survives a failed writing. If the block fails, what it
    wrote is removed.
    """
    part = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
