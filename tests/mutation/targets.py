"""What is mutated: the functions that have a part in a derivative."""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from models.tutorial_lstm import model as tutorial_lstm
from tinygrad_np import backward, tape, transforms
from tinygrad_np.check.cases import OPS
from tinygrad_np.ops import conv, decompositions, elementwise, index, linalg, reduce, scan, special
from tinygrad_np.ops.recurrent import gradients, packing


@dataclass(frozen=True)
class Target:
    """A function to mutate: where it is found, and the primitives that its mutants are tried with."""

    owner: Any  # a module, or a class
    name: str
    primitives: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.owner.__name__.rpartition('.')[2]}.{self.name}"

    @property
    def is_rule(self) -> bool:
        return self.primitives == (self.name,)

    @property
    def function(self) -> Callable[..., Any]:
        """As it is written, without what declaring a primitive makes of it."""
        declared = tape.PRIMITIVES[self.name] if self.is_rule else getattr(self.owner, self.name)
        function: Callable[..., Any] = inspect.unwrap(declared)
        return function

    def tree(self) -> ast.FunctionDef:
        """The syntax tree of its source, without the docstring.

        A rule declares itself again when it is executed, though not for NumPy: np.f stays with the right rule.
        """
        (function,) = ast.parse(textwrap.dedent(inspect.getsource(self.function))).body
        assert isinstance(function, ast.FunctionDef)
        if self.is_rule:
            (declaration,) = function.decorator_list
            assert isinstance(declaration, ast.Call)
            declaration.args = []  # the NumPy functions; a composite is a keyword, and stays
        if ast.get_docstring(function):
            del function.body[0]
        return function

    @property
    def has_composite(self) -> bool:
        """Whether second derivatives go through a composite, and not through this rule."""
        (declaration,) = self.tree().decorator_list
        return isinstance(declaration, ast.Call) and any(k.arg == "composite" for k in declaration.keywords)


HELPERS = (  # what vjps call, and what the tape does to every gradient
    Target(elementwise, "mask_poles", ("divide", "power", "sqrt", "log")),
    Target(elementwise, "divisor", ("sqrt", "log", "arcsin")),
    Target(elementwise, "bounded", ("exp", "expm1", "sinh")),
    Target(elementwise, "exp_difference", ("logaddexp", "logsumexp")),
    Target(elementwise, "floating", ("softmax", "logsumexp")),
    Target(reduce, "normalize_axes", ("sum", "mean", "max", "logsumexp")),
    Target(reduce, "restore_axes", ("sum", "mean", "var", "max", "logsumexp")),
    Target(reduce, "count", ("mean", "var")),
    Target(reduce, "merge_axes", ("prod",)),
    Target(reduce, "divisible", ("prod", "cumprod")),
    Target(reduce, "weigh", ("prod", "cumprod", "logcumsumexp")),
    Target(scan, "cumsum_from_end", ("cumsum", "cumprod")),
    Target(scan, "recur_from_end", ("cumprod", "logcumsumexp")),
    Target(reduce, "wide", ("mean", "var", "max")),
    Target(reduce, "largest", ("softmax", "logsumexp")),
    Target(reduce, "split_ties", ("max", "min")),
    Target(index, "ties_at", ("extreme_at",)),
    Target(linalg, "parse_subscripts", ("einsum",)),
    *(Target(conv, name, ("im2col", "col2im")) for name in ("take_windows", "sum_windows")),
    Target(linalg, "spell_subscripts", ("einsum",)),
    Target(special, "computed", ("erf", "polygamma")),
    Target(decompositions, "transposed", ("inv", "solve", "eigh", "qr")),
    Target(decompositions, "spread", ("det", "slogdet")),
    Target(decompositions, "cofactors", ("det",)),
    Target(decompositions, "rounding", ("eigh", "svd", "qr")),
    Target(decompositions, "over_gaps", ("eigh", "svd")),
    Target(decompositions, "turned", ("svd",)),
    Target(special, "erf_slope", ("erf", "erfc")),
    *(
        Target(gradients.Gradients, name, ("lstm", "gru"))
        for name in ("__init__", "d_out", "accumulate", "d_x", "flush_vanished")
    ),
    *(Target(packing.PackedSequence, name, ("lstm", "gru")) for name in ("unsort", "backward_chunks")),
    Target(backward, "unbroadcast", ("add", "multiply", "broadcast_to", "matmul")),
    Target(backward.SparseGrad, "add_into", ("getitem",)),
    Target(backward.DeferredMatmul, "multiply", ("matmul",)),
    Target(backward, "cast", ("multiply", "matmul")),
    Target(backward, "without_poles", ("multiply", "log")),
    Target(backward, "backward_pass", ("multiply", "getitem")),
    *(Target(backward.Accumulator, name, ("multiply", "getitem")) for name in ("fit", "add", "take", "own")),
    *(
        Target(transforms.TensorAccumulator, name, ("multiply", "getitem"))
        for name in ("__init__", "vjps_of", "fit", "add", "take")
    ),
)
BPTT = Target(tutorial_lstm, "backpropagate", ())  # derived by hand, and not by a rule


def rules() -> tuple[Target, ...]:
    """The rules of all primitives that have a row."""
    return tuple(
        Target(sys.modules[tape.PRIMITIVES[name].__module__], name, (name,))
        for name, row in OPS.items()
        if row.function is None
    )


def all_targets() -> tuple[Target, ...]:
    return *rules(), *HELPERS, BPTT
