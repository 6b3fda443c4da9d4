"""The referee as a command: `python -m tinygrad_np referee mynet.py:loss mynet.py:gradient`.

The functions are taken out of their file, a module or a notebook, with what makes their inputs. The verdict goes to
stdout, everything else to stderr. The exit status is 0 where all is right, 1 where something is wrong, and else 2.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import inspect
import io
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from tinygrad_np.extras import import_optional
from tinygrad_np.referee.command.loading import is_theirs, loaded, place
from tinygrad_np.referee.command.report import write_report
from tinygrad_np.referee.intake.cases import Case, cases
from tinygrad_np.referee.intake.problem import problem_at
from tinygrad_np.referee.trial import try_cases
from tinygrad_np.referee.verdict import RIGHT, WRONG

STATUS = {RIGHT: 0, WRONG: 1}
CANNOT_TELL, INTERRUPTED = 2, 130
GENERATORS = ("rng", "generator", "random_state", "seed")  # what `make` may call where it draws from
TIME = (
    "T",
    "T_x",
    "Tx",
    "steps",
    "n_steps",
    "time",
    "timesteps",
    "seq_len",
    "seq_length",
    "length",
)  # or steps
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
    make_file, make_name = named(args.make, file) if args.make else (file, "make")
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
    needed: dict[Path, list[str]] = {file: [forward_name]}
    needed.setdefault(other, []).append(backward_name)
    needed.setdefault(make_file, []).extend([make_name] * bool(args.make))
    for path in needed:
        if not path.is_file():
            raise FileNotFoundError(f"there is no file {path}")
    with contextlib.ExitStack() as stack:
        modules: dict[Path, ModuleType] = {}
        for path in needed:
            paths.append(path)
            modules[path] = stack.enter_context(loaded(path, needed[path], tell))
        make = None
        if args.make or callable(getattr(modules[file], "make", None)):
            make = function(modules[make_file], make_name, make_file)
        steps, ranges = sizes(make, args) if make else (args.steps or TIME[0], {})
        smallest = {name: low for name, (low, _) in ranges.items()}
        point = Case(make, smallest, args.seed).inputs if make else None
        objects: dict[type, Any] = {}
        forward = function(modules[file], forward_name, file, objects, point)
        backward = function(modules[other], backward_name, other, objects, point)
        if point is None:
            point = at_module_level(modules[file], forward, file.name)
        inputs = cases_of(with_self(make, point, forward), ranges, args.seed) if make else point
        silent = Silent()
        with contextlib.redirect_stdout(silent):
            verdict = try_cases(
                lambda given: problem_at(forward, backward, given, layer=args.layer),
                inputs,
                steps=steps,
                rtol=args.rtol,
                gates=args.gates.split(",") if args.gates else (),
            )
        if silent.lines:
            tell(f"what your functions print is left out ({silent.lines} lines)")
        print(verdict, flush=True)
        if html:
            write_report(verdict, forward, backward, html)
            tell(f"the page is {args.html}")
    if plot:
        verdict.plot(plot)
        tell(f"the picture is {args.plot}")
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


def function(
    module: ModuleType,
    dotted: str,
    path: Path,
    objects: dict[type, Any] | None = None,
    point: Any = None,
) -> Callable[..., Any]:
    """A function of a file by its dotted name.

    A method of a class is taken of an object, which is made here and kept in `objects`; but as it is where the
    inputs at a `point` hold an object of the class.
    """
    owner: Any = None
    found: Any = module
    for name in dotted.split("."):
        if not hasattr(found, name):
            where = path.name if found is module else dotted.rpartition(f".{name}")[0]
            there = [
                key for key, x in getattr(found, "__dict__", {}).items() if callable(x) and key[0] != "_"
            ]
            raise ValueError(f"{where} has no {name}; it has {', '.join(there) or 'no functions'}")
        owner, found = found, getattr(found, name)
    if isinstance(owner, type) and inspect.isfunction(inspect.getattr_static(owner, name)):
        given = point.values() if isinstance(point, Mapping) else point or ()
        if not any(isinstance(x, owner) for x in given):
            found = getattr(object_of(owner, dotted, path, {} if objects is None else objects), name)
    if not callable(found):
        raise ValueError(f"{dotted} in {path.name} is no function, but {type(found).__name__}")
    call: Callable[..., Any] = found
    return call


def object_of(owner: type, dotted: str, path: Path, objects: dict[type, Any]) -> Any:
    """One object of a class for all its methods."""
    if owner not in objects:
        required = [
            p.name
            for p in inspect.signature(owner).parameters.values()
            if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
        ]
        if required:
            method = dotted.rpartition(".")[2]
            raise ValueError(
                f"{dotted} is a method, and {owner.__name__} takes {', '.join(required)}: make an object in "
                f"{path.name}, such as net = {owner.__name__}(...), and name net.{method}"
            )
        objects[owner] = owner()
    return objects[owner]


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


def sizes(make: Callable[..., Any], args: argparse.Namespace) -> tuple[str, dict[str, tuple[int, int]]]:
    """The name of the size that counts time steps, and the bounds of all sizes that `make` takes."""
    taken = inspect.signature(make).parameters
    known = [
        name
        for name, p in taken.items()
        if name not in GENERATORS
        and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
        and (p.default is p.empty or type(p.default) is int)
    ]
    steps = args.steps or next((name for name in TIME if name in taken), TIME[0])
    ranges = {}
    for name in known:
        longest, default = LONGEST if name == steps else WIDEST, taken[name].default
        ranges[name] = (1, longest if default is inspect.Parameter.empty else max(1, min(default, longest)))
    ranges |= given_sizes(args.sizes, known, any(p.kind == p.VAR_KEYWORD for p in taken.values()))
    text = ", ".join(f"{name}={low}..{high}" for name, (low, high) in ranges.items())
    tell(f"inputs: {make.__name__} with {text or 'no sizes'}")
    return steps, ranges


def with_self(make: Callable[..., Any], point: Any, forward: Callable[..., Any]) -> Callable[..., Any]:
    """`make` with the object of a method under the name that the method has for it, which is ``self``."""
    if not isinstance(point, Mapping):
        return make
    own = next(iter(inspect.signature(forward).parameters), "")
    holds = [name for name, x in point.items() if vars(type(x)).get(forward.__name__) is forward]
    if own in point or not holds:
        return make

    @functools.wraps(make)
    def renamed(*args: Any, **kwargs: Any) -> dict[str, Any]:
        made: dict[str, Any] = make(*args, **kwargs)
        return {own if name == holds[0] else name: x for name, x in made.items()}

    return renamed


def cases_of(make: Callable[..., Any], ranges: Mapping[str, tuple[int, int]], seed: int) -> Any:
    """The cases that are searched; without hypothesis the largest, at each of its lengths of time."""
    try:
        return cases(make, **ranges).map(lambda case: replace(case, seed=case.seed + seed))
    except ModuleNotFoundError as error:
        tell(f"{error}; until then the largest case is tried, and the smallest that fails is not looked for")
        return Case(make, {name: high for name, (_, high) in ranges.items()}, seed)


def given_sizes(given: Sequence[str], known: Sequence[str], any_name: bool) -> dict[str, tuple[int, int]]:
    """The bounds in "T=1:6" or "batch=2"."""
    ranges = {}
    for text in given:
        name, _, bounds = text.partition("=")
        low, _, high = bounds.partition(":")
        if not (low.isdecimal() and (high or low).isdecimal() and int(low) <= int(high or low)):
            raise ValueError(f"--sizes takes T=1:6 or batch=2, and here {text}")
        if name not in known and not any_name:
            raise ValueError(f"make has no size {name}: it has {', '.join(known) or 'none'}")
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
