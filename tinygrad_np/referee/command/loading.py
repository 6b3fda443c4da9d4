"""Loading the file that holds somebody's functions: a module, or a notebook.

It is run as its author runs it: beside its neighbours, so that ``from layers import sigmoid`` works, with relative
imports, a notebook in its directory. Only its name is not ``__main__``: what it does as a program stays undone.
"""

from __future__ import annotations

import ast
import contextlib
import importlib.util
import linecache
import operator
import os
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import CodeType, ModuleType

import numpy as np

from tinygrad_np.referee.command.notebooks import compiled_cells

PATIENCE = 3.0  # seconds, after which somebody who waits is told for what
GUARD = "put the training under if __name__ == '__main__'"
_OURS = Path(__file__).resolve().parents[1]


@contextlib.contextmanager
def loaded(path: Path, needed: Sequence[str], tell: Callable[[str], None]) -> Iterator[ModuleType]:
    """The module that a file makes. It can import its neighbours as long as the ``with`` block lasts.

    Parameters
    ----------
    path : Path
        Of a module or a notebook.
    needed : sequence of str
        The dotted names that are looked for. Once they are there, a notebook may fail, and a file that takes too
        long may be stopped: the rest of it is left out.
    tell : callable
        Is told what was left out, and what takes long.
    """
    path = path.resolve()
    notebook = path.suffix == ".ipynb"
    modules, search_path, argv = set(sys.modules), list(sys.path), sys.argv
    backend = os.environ.get("MPLBACKEND")
    sys.path.insert(0, str(path.parent))
    sys.argv = [str(path)]  # a module that reads arguments shall not read ours
    if "matplotlib" not in sys.modules:
        os.environ["MPLBACKEND"] = "Agg"  # windows would wait for somebody to close them
    name = free_name(path.stem)
    try:
        with contextlib.chdir(path.parent if notebook else "."):
            if notebook:
                module = ModuleType(name)
                module.__dict__["display"] = lambda *objects, **options: (
                    None
                )  # IPython's, of which nobody sees
                parts = compiled_cells(path, tell)
            else:
                linecache.cache.pop(str(path), None)  # of what stood there before, if it was loaded once
                code = compile(path.read_bytes(), str(path), "exec", dont_inherit=True)
                name = ".".join([*packages(path), name])
                spec = importlib.util.spec_from_file_location(name, path)
                assert spec is not None
                module = importlib.util.module_from_spec(spec)
                parts = iter([code])
            sys.modules[name] = module
            run(path, parts, module, needed, tell)
            yield module
    finally:
        for new in set(sys.modules) - modules:
            in_package = new.partition(".")[0] == name.partition(".")[0]
            if in_package or is_theirs(getattr(sys.modules[new], "__file__", None), path):
                del sys.modules[new]
        sys.path[:], sys.argv = search_path, argv
        if backend is None:
            os.environ.pop("MPLBACKEND", None)
        else:
            os.environ["MPLBACKEND"] = backend


def run(
    path: Path,
    parts: Iterator[CodeType],
    module: ModuleType,
    needed: Sequence[str],
    tell: Callable[[str], None],
) -> None:
    """Run a file, part by part. What it prints goes to stderr: the verdict stands alone on stdout."""
    long = f"importing {path.name} runs it, and that takes long: {GUARD}"
    timer = threading.Timer(PATIENCE, tell, [f"{long}, or press Ctrl-C once your functions are defined"])
    timer.daemon = True
    timer.start()
    try:
        with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings(), np.errstate():
            warnings.filterwarnings("ignore", message="FigureCanvasAgg is non-interactive")
            for code in parts:
                exec(code, module.__dict__)
    except (Exception, KeyboardInterrupt, SystemExit) as error:
        may_stop = path.suffix == ".ipynb" or not isinstance(error, Exception)
        if not (may_stop and all(has(module, name) for name in needed)):
            if isinstance(error, SystemExit):
                raise ValueError(
                    f"importing {path.name} runs it, and it ends with sys.exit: {GUARD}"
                ) from None
            raise
        tell(f"{place(error, path)} raised {type(error).__name__}: {path.name} is taken as it was there")
    finally:
        timer.cancel()


def has(module: ModuleType, dotted: str) -> bool:
    """Whether a module has an attribute of a dotted name."""
    try:
        operator.attrgetter(dotted)(module)
    except AttributeError:
        return False
    return True


def free_name(name: str) -> str:
    """A name for a module: a file may be called like one that is there."""
    while name in sys.modules:
        name += "_"
    return name


def packages(path: Path) -> list[str]:
    """The names of the packages that the relative imports of a file start from, which are made here."""
    levels = [n.level for n in ast.walk(ast.parse(path.read_bytes())) if isinstance(n, ast.ImportFrom)]
    depth = max(levels, default=0)
    while 0 < depth < len(path.parents) - 1 and (path.parents[depth - 1] / "__init__.py").exists():
        depth += 1
    names: list[str] = []
    for directory in reversed(path.parents[:depth]):
        own = directory.name.replace(".", "_")
        names.append(own if names else free_name(own))
        init = directory / "__init__.py"
        spec = importlib.util.spec_from_file_location(
            ".".join(names), init, submodule_search_locations=[str(directory)]
        )
        assert spec is not None
        assert spec.loader is not None
        package = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
        if init.exists():
            spec.loader.exec_module(package)
    return names


def is_theirs(file: str | None, path: Path) -> bool:
    """Whether a file that Python ran is the user's, who named `path`: a neighbour of it, or a cell."""
    if file is None or file.startswith(f"{path.name}["):
        return file is not None
    whole = Path(file).resolve()
    near = whole.is_relative_to(path.resolve().parent)
    return near and not whole.is_relative_to(_OURS) and "site-packages" not in whole.parts


def place(error: BaseException, path: Path) -> str:
    """Where in the user's code an error was raised: "lstm.py:57", or "" if it was not."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{Path(error.filename).name}:{error.lineno}"
    frames = [f for f in traceback.extract_tb(error.__traceback__) if is_theirs(f.filename, path)]
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
