"""The gradient check of all that is installed: every row in so many cases; and what is public and has no row."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np

from tinygrad_np import functional, nn, optim, tape
from tinygrad_np.check.cases import LAYERS, LOSSES, OPS, OPTIMIZERS
from tinygrad_np.check.checks import (
    check_edge,
    check_gradient,
    check_layer,
    check_loss,
    check_optimizer,
    check_second_order,
    op,
)
from tinygrad_np.check.draw import Rng


@dataclass(frozen=True)
class Result:
    """How one row came out: `error` is the worst relative error, `fault` says what was wrong."""

    kind: str
    name: str
    cases: int
    error: float
    dtype: str
    fault: str = ""

    def __str__(self) -> str:
        verdict = f"worst relative error {self.error:.1e}" if not self.fault else f"FAILED: {self.fault}"
        return f"{self.kind:9} {self.name:32} {self.cases:4} cases, {self.dtype}, {verdict}"


def trials() -> Iterator[tuple[str, str, Callable[[Rng], float]]]:
    """Kind, name and trial of every row: a trial draws a case, checks it, and returns its relative error."""

    def trial_of_op(name: str, rng: Rng) -> float:
        shape = tuple(int(n) for n in rng.integers(0, 4, rng.integers(0, 4)))
        arrays, static = OPS[name].draw(rng, shape)
        return max(check(name, arrays, static, rng) for check in (check_gradient, check_second_order))

    for name, row in OPS.items():
        yield "primitive" if row.function is None else "function", name, partial(trial_of_op, name)
    for kind, rows, check in (
        ("layer", LAYERS, check_layer),
        ("loss", LOSSES, check_loss),
        ("optimizer", OPTIMIZERS, check_optimizer),
    ):
        for name in rows:
            yield kind, name, partial(check, name)


def without_row() -> Iterator[tuple[str, str]]:
    """Kind and name of what is declared or public and has no row, so that nothing checks it."""
    for name in tape.PRIMITIVES:
        if name not in OPS:
            yield "primitive", name
    for name in functional.__all__:
        if name not in OPS and name not in LOSSES and name not in functional.CONSTANT:
            yield "function", name
    for kind, module, base, rows in (
        ("layer", nn, nn.Layer, LAYERS),
        ("optimizer", optim, optim.Optimizer, OPTIMIZERS),
    ):
        for name in module.__all__:
            member = getattr(module, name)
            if (
                isinstance(member, type)
                and issubclass(member, base)
                and member is not base
                and name not in rows
            ):
                yield kind, name


def check_all(cases: int, seed: int, only: str | None = None) -> Iterator[Result]:
    """Check every row, and its edges, or the rows of one name.

    What is composed of primitives is tried in a tenth of the cases, as its primitives are tried by themselves; of
    one name alone, in all.
    """
    for kind, name, trial in trials():
        if only is not None and only != name:
            continue
        worst, fault, done = 0.0, "", 0
        here = cases if kind == "primitive" or only is not None else -(-cases // 10)
        try:
            if kind in ("primitive", "function"):
                op(name)  # a row of a primitive that is not declared
                for edge in OPS[name].edges:
                    check_edge(name, edge)
        except Exception as error:
            fault = f"at an edge: {type(error).__name__}: {error}"
        for i in range(0 if fault else here):
            try:
                worst = max(worst, trial(np.random.default_rng([seed, i])))
            except Exception as error:  # a wrong rule may also raise; the other rows go on
                fault = f"in case {i} of seed {seed}: {type(error).__name__}: {error}"
            done += 1
            if fault:
                break
        yield Result(kind, name, done, worst, "float64", fault)
    for kind, name in without_row():
        if only in (None, name):
            yield Result(
                kind, name, 0, 0.0, "float64", "has no row in tinygrad_np/check/cases to be checked with"
            )


def main(argv: Sequence[str] | None = None) -> int:
    """Check the installed version; the exit status is 1 if anything failed."""
    parser = argparse.ArgumentParser(
        prog="python -m tinygrad_np.gradcheck",
        description="Check every primitive, layer, loss and optimizer against an independent derivative.",
    )
    parser.add_argument(
        "--cases", type=int, default=100, help="cases for each primitive (100), and a tenth for the rest"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", metavar="NAME", help="check this one alone")
    parser.add_argument("--json", action="store_true", help="print a JSON list instead of lines")
    args = parser.parse_args(argv)
    if args.cases < 1 or args.seed < 0:
        parser.error(f"--cases takes 1 or more, not {args.cases}, and --seed 0 or more, not {args.seed}")
    results = []
    for result in check_all(args.cases, args.seed, args.only):
        results.append(result)
        if not args.json:
            print(result, flush=True)
    if not results:
        parser.error(f"nothing is called {args.only!r}")
    failed = sum(bool(result.fault) for result in results)
    if args.json:
        print(json.dumps([asdict(result) for result in results], indent=2))
    else:
        print(f"{len(results)} checked in {sum(result.cases for result in results):,} cases, {failed} failed")
    return 1 if failed else 0
