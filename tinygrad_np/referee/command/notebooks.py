"""Running a notebook without Jupyter: its code cells in order, in one namespace, as after "restart and run all".

Each cell is a file of its own for Python, called "notebook.ipynb[3]" after the number that Jupyter would show
beside it. Its source stands in `linecache`, so that tracebacks, `inspect.getsource` and "file:line" work.
"""

from __future__ import annotations

import linecache
import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType

from tinygrad_np.extras import import_optional

# Lines for IPython and not for Python: %magic, !command, ?help and help?, and what assigns from the first two.
_MAGIC = re.compile(r"\s*(?:[%!?]|.*\?\s*$|[\w\s,]+=\s*[%!])")
_TRANSPARENT = ("%%time", "%%capture")  # they run the rest of the cell as if they were not there


def compiled_cells(path: Path, tell: Callable[[str], None]) -> Iterator[CodeType]:
    """The code of each cell, in order. What is left out of them is told.

    Raises
    ------
    ValueError
        The file is no notebook of Python.
    SyntaxError
        A cell is no Python.
    ModuleNotFoundError
        nbformat is not installed (extra ``notebook``).
    """
    for number, source in enumerate(_sources(path), 1):
        name = f"{path.name}[{number}]"
        lines = source.replace("\r\n", "\n").split("\n")
        first = next(i for i, line in enumerate(lines) if line.strip())
        if lines[first].startswith("%%"):
            if lines[first].split()[0] not in _TRANSPARENT:
                tell(f"{name} was left out: {lines[first]}")
                continue
            lines[first] = ""  # and not deleted: the others keep their numbers
        yield _compiled(lines, name, tell)


def _sources(path: Path) -> list[str]:
    """The code cells that are not empty, which are those that Jupyter counts."""
    nbformat = import_optional("nbformat")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of old notebooks, which are read all the same
            notebook = nbformat.read(path, as_version=4)
        language = notebook.metadata.get("kernelspec", {}).get("language", "python")
        cells = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    except OSError:
        raise
    except Exception as error:  # of what is JSON and no notebook, it fails in many ways
        raise ValueError(f"{path.name} is no notebook that nbformat can read: {error}") from None
    if not language.startswith("python"):
        raise ValueError(f"{path.name} is a notebook of {language}, and the referee reads Python")
    return [source for source in cells if source.strip()]


def _compiled(lines: list[str], name: str, tell: Callable[[str], None]) -> CodeType:
    """The code of a cell without its lines of IPython.

    Only a line at which Python gives up can be one: a line that begins with % may also go on with what stands in
    the line before, or be a part of a string.
    """
    while True:
        text = "\n".join(lines) + "\n"
        linecache.cache[name] = (len(text), None, [f"{line}\n" for line in lines], name)
        try:
            return compile(text, name, "exec", dont_inherit=True)
        except SyntaxError as error:
            at = (error.lineno or 0) - 1
            if not (0 <= at < len(lines) and _MAGIC.match(lines[at])):
                raise
            tell(f"{name}:{at + 1} was left out: {lines[at].strip()}")
            statement = lines[at].lstrip()
            goes_on = lines[at].endswith("\\")
            lines[at] = f"{lines[at].removesuffix(statement)}pass  # {statement}"
            while goes_on and (at := at + 1) < len(lines):
                goes_on = lines[at].endswith("\\")
                lines[at] = f"# {lines[at]}"
