"""The referee as a command: `python -m tinygrad_np referee mynet.py:loss mynet.py:gradient`.

The functions are taken out of their file, a module or a notebook, with what makes their inputs. The verdict goes to
stdout, everything else to stderr. The exit status is 0 where all is right, 1 where something is wrong, and else 2.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import inspect
import io
import random
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from tinygrad_np.extras import import_optional
from tinygrad_np.referee import Case, referee
from tinygrad_np.referee.loading import is_theirs, loaded, place
from tinygrad_np.referee.report import write_report
from tinygrad_np.referee.verdict import RIGHT, WRONG, Verdict

STATUS = {RIGHT: 0, WRONG: 1}
CANNOT_TELL, INTERRUPTED = 2, 130
GENERATORS = ("rng", "random", "generator", "random_state")  # what `make` may call its generator
TIME = ("T", "steps", "n_steps", "time", "timesteps", "seq_len", "seq_length", "length")  # or its time steps
LONGEST, WIDEST = 6, 4  # of time and of other sizes, where nothing else is told

EXAMPLES = """
The gradient is compared with the exact one, at inputs that `make` in the same file draws in small sizes:

    def make(rng, T, hidden):
        return {"x": rng.standard_normal((T, 3)), "W": rng.standard_normal((hidden, 3))}

    python -m tinygrad_np referee mynet.py:loss mynet.py:gradient --html report.html

Without a `make` they are the variables of the file that are called as the arguments of the loss.
More examples:

    python -m tinygrad_np referee mynet.py:net.loss net.gradient --sizes T=1:8 hidden=2:5 batch=3
    python -m tinygrad_np referee notebook.ipynb loss gradient
    python -m tinygrad_np referee layers.py:lstm_forward lstm_backward --layer

The exit status is 0 if all of it is right, 1 if something is wrong, and 2 if it cannot be told.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command, and return its exit status."""
    args = parser().parse_args(argv)
    paths: list[Path] = []
    try:
        return run(args, paths)
    except KeyboardInterrupt:
        tell("interrupted")
        return INTERRUPTED
    except Exception as error:
        tell(explained(error, paths))
        return CANNOT_TELL


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tinygrad_np referee",
        description="Is a gradient that was derived by hand right? If not: where, and what is the mistake?",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "functions",
        nargs="+",
        metavar="FILE:NAME",
        help="the loss and its gradient: mynet.py:loss mynet.py:gradient",
    )
    add("--make", metavar="FILE:NAME", help="the function that draws the inputs (make of the same file)")
    add(
        "--sizes",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME=LOW:HIGH",
        help="the sizes that make is given",
    )
    add("--steps", metavar="NAME", help="the size that counts time steps (T)")
    add("--rtol", type=float, default=1e-6, help="the largest relative error of what is right (1e-6)")
    add(
        "--layer",
        action="store_true",
        help="the functions are the forward and the backward of a layer without a loss",
    )
    add("--seed", type=int, default=0, metavar="N", help="draw other inputs")
    add("--gates", metavar="I,F,G,O", help="the names of the blocks of a fused matrix, in your order")
    add("--html", metavar="PATH", help="write the verdict beside your code, as a page")
    add("--plot", metavar="PATH", help="write the errors as a picture (PNG)")
    return parser


def run(args: argparse.Namespace, paths: list[Path]) -> int:
    """Load, try, tell. The files that are loaded are added to `paths`, for the telling of errors."""
    (file, forward_name), (other, backward_name) = functions(args.functions)
    make_file, make_name = named(args.make, file) if args.make else (file, "")
    if args.rtol <= 0 or args.seed < 0:
        raise ValueError(
            f"--rtol is more than 0 and --seed 0 or more, and here they are {args.rtol} and {args.seed}"
        )
    html, plot = (Path(path).absolute() if path else None for path in (args.html, args.plot))
    if plot:
        import_optional("matplotlib.figure")  # here, and not after the trial
    for path in filter(None, (html, plot)):
        if not path.parent.is_dir():
            raise NotADirectoryError(f"there is no directory {path.parent}")
    names: dict[Path, list[str]] = {}
    for path, name in ((file, forward_name), (other, backward_name), (make_file, make_name)):
        names.setdefault(path, []).extend([name] * bool(name))
    for path in names:
        if not path.is_file():
            raise FileNotFoundError(f"there is no file {path}")
    with contextlib.ExitStack() as stack:
        modules: dict[Path, ModuleType] = {}
        for path, needed in names.items():
            paths.append(path)
            modules[path] = stack.enter_context(loaded(path, needed, tell))
        objects: dict[type, Any] = {}
        forward = function(modules[file], forward_name, file, objects)
        backward = function(modules[other], backward_name, other, objects)
        make = function(modules[make_file], make_name, make_file, objects) if make_name else None
        if make is None and callable(getattr(modules[file], "make", None)):
            make = modules[file].make
        gates = args.gates.split(",") if args.gates else ()
        if make is None:
            steps, inputs = args.steps or TIME[0], at_module_level(modules[file], forward, file.name)
        else:
            steps, inputs = drawn(make, args)
        silent = Silent()
        # until it is there: a layer is tried by its own function
        trial = importlib.import_module("tinygrad_np.referee.layer").referee_layer if args.layer else referee
        with contextlib.redirect_stdout(silent):
            verdict = trial(forward, backward, inputs, steps=steps, rtol=args.rtol, gates=gates)
        if silent.lines:
            tell(f"what your functions print is left out ({silent.lines} lines)")
        print(verdict, flush=True)
        if html:
            write_report(verdict, forward, backward, html)
            tell(f"the page is {args.html}")
    if plot:
        verdict.plot(plot)
        tell(f"the picture is {args.plot}")
    return status(verdict)


def status(verdict: Verdict) -> int:
    return STATUS.get(verdict.outcome, CANNOT_TELL)


def tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class Silent(io.StringIO):
    """Where the user's functions print to while they are tried, some hundred times. Counts the lines."""

    lines = 0

    def write(self, text: str) -> int:
        self.lines += text.count("\n")
        return len(text)


# --- what is tried ------------------------------------------------------------------------------------


def functions(given: Sequence[str]) -> tuple[tuple[Path, str], tuple[Path, str]]:
    """The file and the name of the loss, and those of its gradient."""
    first, *rest = given
    file, name = named(first, None)
    if not name and rest:
        name, *rest = rest
    if not name or len(rest) != 1:
        raise ValueError(
            f"which functions of {file.name}? Name the loss and its gradient, as in "
            f"{file.name}:loss {file.name}:gradient"
        )
    return (file, name), named(rest[0], file)


def named(text: str, file: Path | None) -> tuple[Path, str]:
    """The file and the dotted name in "mynet.py:Net.loss", or in "Net.loss" where the file is known."""
    before, colon, name = text.rpartition(":")
    if text.endswith((".py", ".ipynb")):
        return Path(text), ""
    if colon and before:
        return Path(before), name
    if file is None:
        raise ValueError(f"{text} names no file: write it as mynet.py:{text}")
    return file, text


def function(module: ModuleType, dotted: str, path: Path, objects: dict[type, Any]) -> Callable[..., Any]:
    """A function of a file by its dotted name. A method of a class is taken of one object of the class."""
    owner: Any = None
    found: Any = module
    for name in dotted.split("."):
        if not hasattr(found, name):
            there = (
                [n for n, x in vars(found).items() if callable(x) and n[0] != "_"]
                if hasattr(found, "__dict__")
                else []
            )
            in_what = f"{path.name}" if found is module else dotted.removesuffix(f".{name}")
            raise ValueError(f"{in_what} has no {name}; it has {', '.join(there) or 'no functions'}")
        owner, found = found, getattr(found, name)
    if isinstance(owner, type) and inspect.isfunction(inspect.getattr_static(owner, name)):
        if owner not in objects:
            needed = [
                p.name
                for p in inspect.signature(owner).parameters.values()
                if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
            ]
            if needed:
                raise ValueError(
                    f"{dotted} is a method, and {owner.__name__} takes {', '.join(needed)}: make an object in "
                    f"{path.name}, such as net = {owner.__name__}(...), and name net.{name}"
                )
            objects[owner] = owner()
        found = getattr(objects[owner], name)
    if not callable(found):
        raise ValueError(f"{dotted} in {path.name} is no function, but {type(found).__name__}")
    call: Callable[..., Any] = found
    return call


def at_module_level(module: ModuleType, forward: Callable[..., Any], file: str) -> dict[str, Any]:
    """The variables of a file that are called as the arguments of the loss."""
    arguments = [
        p
        for p in inspect.signature(forward).parameters.values()
        if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]
    there = {p.name: vars(module)[p.name] for p in arguments if p.name in vars(module)}
    missing = [p.name for p in arguments if p.name not in there and p.default is p.empty]
    if missing:
        raise ValueError(
            f"{file} has no function make and no variables {', '.join(missing)} to try the loss at: write a make "
            "that draws its arguments, in your shapes and with sizes of any names, such as\n\n"
            + example([p.name for p in arguments])
        )
    tell(
        f"inputs: {', '.join(there)} as they are in {file}"
        if there
        else f"inputs: none, as {file} takes none"
    )
    return there


def example(names: Sequence[str]) -> str:
    """A `make` for a loss with such arguments."""
    entries = []
    for name in names:
        if name[0] in "xX" or name.startswith("input"):
            shape = "(T, 3)"
        elif name[0] in "bhc":
            shape = "hidden"
        elif name[0] in "yt":
            shape = "T"
        else:
            shape = "(hidden, 3)"
        entries.append(f'        "{name}": rng.standard_normal({shape}),\n')
    return f"def make(rng, T, hidden):\n    return {{\n{''.join(entries)}    }}"


def drawn(make: Callable[..., Any], args: argparse.Namespace) -> tuple[str, Any]:
    """The name of the size that counts time steps, and cases that `make` draws."""
    taken = inspect.signature(make).parameters
    generator = next((name for name in GENERATORS if name in taken), None)
    sizes = {
        name
        for name, p in taken.items()
        if name != generator
        and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
        and (p.default is p.empty or type(p.default) is int)
    }
    steps = args.steps or next((name for name in TIME if name in taken), TIME[0])
    ranges = {}
    for name, p in taken.items():
        if name in sizes:
            longest = LONGEST if name == steps else WIDEST
            ranges[name] = (1, longest if p.default is p.empty else max(1, min(p.default, longest)))
    ranges |= given_sizes(args.sizes, sizes, any(p.kind == p.VAR_KEYWORD for p in taken.values()))

    def inputs(rng: np.random.Generator, **sizes: int) -> Any:
        if generator:
            return make(**{generator: rng}, **sizes)
        seed = int(rng.integers(2**32))
        np.random.seed(seed)  # noqa: NPY002  (a make without a generator draws from these)
        random.seed(seed)
        return make(**sizes)

    tell(
        "inputs: make with "
        + (", ".join(f"{n}={low}..{high}" for n, (low, high) in ranges.items()) or "no sizes")
    )
    try:
        import_optional("hypothesis")
    except ModuleNotFoundError as error:
        tell(f"{error}; until then the largest case is tried, and not the smallest that fails looked for")
        return steps, Case(inputs, {name: high for name, (_, high) in ranges.items()}, args.seed)
    from tinygrad_np.testing import cases

    return steps, cases(inputs, **ranges).map(lambda case: replace(case, seed=case.seed + args.seed))


def given_sizes(given: Sequence[str], known: set[str], any_name: bool) -> Mapping[str, tuple[int, int]]:
    """The bounds in "T=1:6" or "batch=2"."""
    ranges = {}
    for text in given:
        name, _, bounds = text.partition("=")
        low, _, high = bounds.partition(":")
        if not (low.isdecimal() and (high or low).isdecimal() and int(low) <= int(high or low)):
            raise ValueError(f"--sizes takes T=1:6 or batch=2, and here {text}")
        if name not in known and not any_name:
            raise ValueError(f"make has no size {name}: it has {', '.join(sorted(known)) or 'none'}")
        ranges[name] = int(low), int(high or low)
    return ranges


# --- errors -------------------------------------------------------------------------------------------


def explained(error: Exception, paths: Sequence[Path]) -> str:
    """One sentence, and the traceback from the user's own code on where the error came from there."""
    if isinstance(error, SyntaxError):
        at = f"{Path(error.filename or '').name}:{error.lineno}"
        return f"error: {at} is no Python: {error.msg}\n{''.join(traceback.format_exception_only(error)).rstrip()}"
    for path in paths:
        if where := place(error, path):
            trace = error.__traceback__
            while trace is not None and not is_theirs(trace.tb_frame.f_code.co_filename, path):
                trace = trace.tb_next
            text = "".join(traceback.format_exception(error.with_traceback(trace))).rstrip()
            return f"error: {where} raises {type(error).__name__}: {error}\n{text}"
    if isinstance(error, ValueError | TypeError | OSError | ImportError):
        return f"error: {error}"
    return f"error: the referee itself failed\n{''.join(traceback.format_exception(error)).rstrip()}"
