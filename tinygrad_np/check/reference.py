"""The rows as a page: ``python -m tinygrad_np.check.reference`` writes docs/reference.md; a test keeps it true.

The worst errors are measured, and differ in their last digits from machine to machine: the test takes them from the
page, and looks only at their size.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from tinygrad_np import functional, nn, optim, tape
from tinygrad_np.check.cases import LAYERS, LOSSES, OPS, OPTIMIZERS
from tinygrad_np.check.checks import answered, op
from tinygrad_np.check.installed import check_all
from tinygrad_np.errors import numpy_name
from tinygrad_np.files import atomic_write
from tinygrad_np.methods import Methods

PAGE = Path("docs/reference.md")
INTRODUCTION = """\
`python -m tinygrad_np.check.reference` writes this page from the rows in `tinygrad_np/check/cases`. Each row is
checked to first and second order (`python -m tinygrad_np.gradcheck`), against a reference, in every memory layout,
in float32, and against PyTorch where it has a counterpart: by its name where it is called alike, "compared" where
it is called in another way. Second derivatives come from the rule itself, run again on Tensors, or from the
composite that a fused rule names. Edges are documented gradients at ties, kinks and poles. The error is the worst
relative one of the gradient and the second derivative against forward values, in {cases} cases of a primitive and a
tenth of what is composed (of an optimizer: against its published rule; a second derivative is compared with
differences, which have some nine digits)."""
CASES = 50  # for each error on the page


def summary(function: object) -> str:
    """The first sentence or two of a docstring, as a cell of a table."""
    text = (function.__doc__ or "").strip().partition("\n\n")[0]
    return " ".join(text.split()).replace("|", "\\|")


def table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def numpy_names(name: str) -> str:
    """NumPy's functions that a row's op answers for."""
    found = (
        answered(name, np.random.default_rng(0))
        if name in tape.PRIMITIVES
        else {OPS[name].function, getattr(np, name, None)}
    )
    names = sorted(numpy_name(f) for f in found if f in tape.NUMPY)
    return ", ".join(f"`{name}`" for name in names) or "-"


def torch_name(name: str) -> str:
    """The name in ``torch``, where it is called in the same way."""
    counterpart = OPS[name].torch
    return (
        f"`torch.{counterpart or name}`"
        if isinstance(counterpart, str)
        else "compared"
        if counterpart
        else "-"
    )


def methods() -> str:
    """The Tensor's methods that are functions elsewhere, by where those are."""
    named = {name: method for name, method in vars(Methods).items() if not name.startswith("_")}
    lines = []
    for where in ("numpy", "functional"):
        here = ", ".join(f"`{name}`" for name, method in named.items() if f"`{where}." in method.__doc__)
        lines.append(f"- of `{where}`: {here}")
    return "\n".join(lines)


def second_order(name: str) -> str:
    """Where the second derivative of an op comes from."""
    call = op(name)
    if OPS[name].function is not None:
        return "composed"
    return "composite" if getattr(call, "composite", None) is not None else "rule"


def measured() -> dict[str, str]:
    """The worst error of each row, as the page has it."""
    return {result.name: f"{result.error:.0e}" for result in check_all(CASES, seed=0)}


def page(errors: Mapping[str, str]) -> str:
    """The page as Markdown, with these errors by name."""
    ops = (
        (
            f"`{name}`",
            summary(tape.NUMPY.get(op(name), op(name))),
            numpy_names(name),
            torch_name(name),
            second_order(name),
            str(len(row.edges)) if row.edges else "-",
            errors[name],
        )
        for name, row in OPS.items()
    )
    members = (
        (f"`{module.__name__.rpartition('.')[2]}.{name}`", summary(getattr(module, name)), errors[name])
        for module, rows in ((nn, LAYERS), (functional, LOSSES), (optim, OPTIMIZERS))
        for name in rows
    )
    return "\n".join(
        [
            "# Reference: what is checked",
            "",
            INTRODUCTION.format(cases=CASES),
            "",
            "## Ops",
            "",
            table(("op", "what it is", "NumPy", "PyTorch", "second order", "edges", "error"), ops),
            "",
            "## Methods",
            "",
            "A Tensor's methods that are functions, which take what those take. Others are in the class itself.",
            "",
            methods(),
            "",
            "## Layers, losses, optimizers",
            "",
            table(("name", "what it is", "error"), members),
            "",
        ]
    )


def main() -> int:
    """Write the page."""
    with atomic_write(PAGE) as part:
        part.write_text(page(measured()), encoding="utf-8")
    print(f"{len(OPS)} ops, {len(LAYERS)} layers, {len(LOSSES)} losses, {len(OPTIMIZERS)} optimizers: {PAGE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
