"""Can the checks fail? Every derivative is made wrong in many small ways, and each must be noticed.

    python -m benchmarks.mutants [--markdown FILE]

A mutant is the source of a derivative with one change in its syntax tree: a term dropped, a sign turned, a
matrix not transposed, an axis mistaken. It takes the place of the right one, and the checks of
``python -m tinygrad_np.gradcheck`` try it, case after case, until one finds a wrong number; for the tutorial's
hand-derived backpropagation through time (BPTT) the exact gradient judges. Where a derivative is a convention
(ties, kinks) or infinite there is nothing to compare with numerically: there the documented values judge.

A mutant that no case notices is either equivalent, which `EQUIVALENT` explains one by one, or a hole in the
checks: then the exit status is 1.
"""

from __future__ import annotations

import argparse
import ast
import builtins
import copy
import importlib.util
import inspect
import sys
import textwrap
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np

from models import tutorial_lstm
from tinygrad_np import Tensor, tape, transforms
from tinygrad_np.check import checks, installed
from tinygrad_np.check.cases import OPS
from tinygrad_np.check.draw import wave
from tinygrad_np.gradcheck import gradcheck, gradgradcheck
from tinygrad_np.ops import elementwise, linalg, recurrent, reduce
from tinygrad_np.ops.elementwise import tanh
from tinygrad_np.ops.recurrent import gradients, packing
from tinygrad_np.ops.shape import concatenate, split
from tinygrad_np.transforms import grad

CASES = 60  # of each primitive, drawn as `python -m tinygrad_np.gradcheck` draws its first ones
ALONE = 10  # and so many of one output of several, and of one argument of several
STANDSTILLS = 10  # and so many with an incoming gradient of 0
# So few that short sequences, too, go back in several chunks.
SMALL = ((gradients, "ROWS_PER_PRODUCT", 3), (packing, "ROWS_PER_CHUNK", 4))
BPTT_CASES = 24
BPTT_TOLERANCE = 1e-8

# --- what is mutated ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Target:
    """A function with a derivative in it: where it is found, and the primitives that it is tried with."""

    owner: Any  # a module, or a class
    name: str
    primitives: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.owner.__name__.rpartition('.')[2]}.{self.name}"

    @property
    def is_rule(self) -> bool:
        return self.primitives == (self.name,)

    def tree(self) -> ast.FunctionDef:
        """Its source. A rule is declared again, though not for NumPy: np.f stays with the right rule."""
        source = inspect.getsource(inspect.unwrap(getattr(self.owner, self.name)))
        (function,) = ast.parse(textwrap.dedent(source)).body
        assert isinstance(function, ast.FunctionDef)
        if self.is_rule:
            (declaration,) = function.decorator_list
            assert isinstance(declaration, ast.Call)
            declaration.args = []  # a twin stays
        if ast.get_docstring(function):
            del function.body[0]
        return function


RULES = tuple(
    Target(sys.modules[tape.PRIMITIVES[name].__module__], name, (name,)) for name in tape.PRIMITIVES
)
RECURRENT = tuple(rule.name for rule in RULES if rule.owner.__package__ == recurrent.__name__)
SEVERAL = {name for name in tape.PRIMITIVES if checks.has_several_outputs(name)}
HELPERS = (  # what vjps call, and what the tape does to every gradient
    Target(elementwise, "mask_poles", ("divide", "power", "sqrt", "log")),
    Target(reduce, "normalize_axes", ("sum", "mean", "max", "logsumexp")),
    Target(reduce, "restore_axes", ("sum", "mean", "var", "max", "logsumexp")),
    Target(reduce, "count", ("mean", "var")),
    Target(reduce, "split_ties", ("max", "min")),
    Target(linalg, "parse_subscripts", ("einsum",)),
    *(
        Target(gradients.Gradients, name, ("lstm", "gru"))
        for name in ("__init__", "d_out", "accumulate", "d_x", "flush_vanished")
    ),
    *(Target(packing.PackedSequence, name, ("lstm", "gru")) for name in ("unsort", "backward_chunks")),
    Target(tape, "unbroadcast", ("add", "multiply", "broadcast_to", "matmul")),
    Target(tape.SparseGrad, "add_into", ("getitem",)),
    Target(tape, "backward_pass", ("multiply", "getitem")),
    *(Target(tape.Accumulator, name, ("multiply", "getitem")) for name in ("fit", "add", "take", "own")),
    *(
        Target(transforms.TensorAccumulator, name, ("multiply", "getitem"))
        for name in ("__init__", "vjps_of", "fit", "add", "take")
    ),
)
BPTT = Target(tutorial_lstm, "backpropagate", ())
TARGETS = (*RULES, *HELPERS, BPTT)


# --- how it is mutated --------------------------------------------------------------------------------


class Mutant(NamedTuple):
    """A target with one change. `before` and `after` are the line, or the lambda, that it is in."""

    target: Target
    kind: str
    before: str
    after: str
    source: str

    def __str__(self) -> str:
        return f"{self.target}, {self.kind}: {self.before}  ->  {self.after}"


class Place(NamedTuple):
    """A node of the syntax tree, and where it hangs: ``parent.field``, or ``parent.field[number]``."""

    parent: ast.AST
    field: str
    number: int | None
    node: ast.AST
    line: ast.AST
    in_index: bool
    in_condition: bool

    def put(self, node: ast.AST) -> None:
        if self.number is None:
            setattr(self.parent, self.field, node)
        else:
            getattr(self.parent, self.field)[self.number] = node


ONE_OFF = {0: 1, 1: 2, 2: 1, -1: -2, -2: -1}
COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt, ast.LtE),
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt, ast.GtE),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
}
INCOMING = {"g", "dh", "dc", "error"}  # what gradients are called on their way in
# Variables that are easily mistaken for one another: arguments and result, gates, this step and the next.
MISTAKEN = {
    **{"x": "y", "y": "x", "z": "x", "mine": "other", "other": "mine"},
    **{"f": "i", "i": "f", "cm": "tc", "tc": "cm", "o": "f"},
}
STALE = {"dh": "dh_before", "dh_before": "dh", "c_before": "(f * c_before + i * cm)"}
KEEP_CALLS = {"zeros", "eye", "einsum", "where"}  # what is no longer an array, or has kinds of its own
TRANSPOSING = {"swapaxes", "transpose", "moveaxis", "argsort"}
REPEATING = {"broadcast_to", "sum", "unbroadcast"}


def expression(source: str) -> ast.expr:
    return ast.parse(source, mode="eval").body


def loaded(tree: ast.AST) -> set[str]:
    return {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}


def bound(tree: ast.AST) -> Counter[str]:
    """How often each name gets a value: as an argument or by an assignment."""
    nodes = list(ast.walk(tree))
    return Counter(
        [n.arg for n in nodes if isinstance(n, ast.arg)]
        + [n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
    )


def derivative_parts(target: Target, function: ast.FunctionDef) -> Iterator[Place]:
    """The statements that make the derivative; of ``return value, derivative`` its second part.

    Backwards from the value: a statement on which it depends is part of the forward computation, and so is a
    loop of a rule, which fills arrays that nobody names again.
    """
    last = function.body[-1]
    returns_value = target.is_rule or target is BPTT
    if not returns_value:
        forward: set[str] = set()
    elif isinstance(last, ast.Return) and isinstance(last.value, ast.Tuple):
        forward = loaded(last.value.elts[0])
        yield Place(last.value, "elts", 1, last.value.elts[1], last, False, False)
    else:
        raise ValueError(f"{function.name} does not end with: return value, derivative")
    for number in reversed(range(len(function.body) - returns_value)):
        statement = function.body[number]
        if returns_value and isinstance(statement, ast.Expr | ast.If):
            continue  # it binds no name
        made = {statement.name} if isinstance(statement, ast.FunctionDef) else set(bound(statement))
        for node in ast.walk(statement):
            if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
                made.add(ast.unparse(node.value))  # an array of which it writes a part
        if forward & made or (target.is_rule and isinstance(statement, ast.For)):
            forward |= loaded(statement)
        else:
            yield Place(function, "body", number, statement, statement, False, False)


def below(place: Place) -> Iterator[Place]:
    """A place and all places below it where a mutation may be."""
    node = place.node
    if isinstance(node, ast.stmt | ast.Lambda):
        place = place._replace(line=node)
    if isinstance(node, ast.If) and isinstance(node.body[0], ast.Raise):
        return  # what is refused has no derivative
    if isinstance(node, ast.JoinedStr):
        return  # text
    yield place
    if isinstance(node, ast.UnaryOp) and isinstance(node.operand, ast.Constant):
        return  # a negative number is a number
    for field, value in ast.iter_fields(node):
        if field in ("args", "returns", "annotation") and not isinstance(node, ast.Call):
            continue  # the parameters of a function, and types
        in_index = place.in_index or (isinstance(node, ast.Subscript) and field == "slice")
        in_condition = place.in_condition or isinstance(node, ast.Compare | ast.Attribute)
        children = list(enumerate(value)) if isinstance(value, list) else [(None, value)]
        for number, child in children:
            if isinstance(child, ast.AST):
                yield from below(Place(node, field, number, child, place.line, in_index, in_condition))


def alternatives(place: Place, names: Counter[str]) -> Iterator[tuple[str, ast.AST]]:
    """What a careless hand might have written instead of this node, and what kind of mistake that is.

    `names` are those that the function binds.
    """
    match place.node:
        case ast.BinOp(a, ast.Add(), b):
            yield from (("dropped term", a), ("dropped term", b), ("wrong sign", ast.BinOp(a, ast.Sub(), b)))
        case ast.BinOp(a, ast.Sub(), b):
            yield from (("dropped term", a), ("dropped term", ast.UnaryOp(ast.USub(), b)))
            yield "wrong sign", ast.BinOp(a, ast.Add(), b)
            yield "swapped operands", ast.BinOp(b, ast.Sub(), a)
        case ast.BinOp(a, ast.Mult(), b):
            yield from (("missing factor", a), ("missing factor", b))
            yield "operator exchanged", ast.BinOp(a, ast.Div(), b)
        case ast.BinOp(a, ast.Div(), b):
            yield "missing factor", a
            yield "missing factor", ast.BinOp(ast.Constant(1), ast.Div(), b)
            yield "operator exchanged", ast.BinOp(a, ast.Mult(), b)
            yield "swapped operands", ast.BinOp(b, ast.Div(), a)
        case ast.BinOp(a, ast.MatMult(), b):
            yield "swapped operands", ast.BinOp(b, ast.MatMult(), a)
            yield from (("missing factor", a), ("missing factor", b))
            if not isinstance(a, ast.Attribute):
                yield "transposed matrix", ast.BinOp(ast.Attribute(a, "T"), ast.MatMult(), b)
            if not isinstance(b, ast.Attribute):
                yield "transposed matrix", ast.BinOp(a, ast.MatMult(), ast.Attribute(b, "T"))
        case ast.BinOp(a, ast.BitAnd() | ast.BitOr() as op, b):
            yield from (("condition left out", a), ("condition left out", b))
            other = ast.BitOr() if isinstance(op, ast.BitAnd) else ast.BitAnd()
            yield "operator exchanged", ast.BinOp(a, other, b)
        case ast.BoolOp(op, [a, b]):
            yield from (("condition left out", a), ("condition left out", b))
        case ast.UnaryOp(ast.USub(), ast.Constant(int(value))) if -value in ONE_OFF:
            yield from one_off(-value, place.in_index)
        case ast.UnaryOp(ast.USub(), a):
            yield "wrong sign", a
        case ast.UnaryOp(ast.Invert(), a):
            yield "comparison flipped", a
        case ast.Constant(int(value)) if type(value) is int:
            yield from one_off(value, place.in_index)
        case ast.keyword("keepdims", ast.Constant(bool(value))):
            yield "wrong axis", ast.keyword("keepdims", ast.Constant(not value))
        case ast.Compare(a, [op], [b]):
            for other_op in COMPARISONS.get(type(op), ()):
                yield "comparison flipped", ast.Compare(a, [other_op()], [b])
        case ast.Slice(None, ast.expr() as end, None):
            yield "wrong index", ast.Slice(end, None, None)
        case ast.Slice(ast.expr() as start, None, None):
            yield "wrong index", ast.Slice(None, start, None)
        case ast.IfExp(test, a, b):
            yield "branches exchanged", ast.IfExp(test, b, a)
        case ast.If(test, body, orelse):
            yield "branches exchanged", ast.If(ast.UnaryOp(ast.Not(), test), body, orelse)
        case ast.comprehension(variable, values, [_, *_]):
            yield "condition left out", ast.comprehension(variable, values, [], 0)
        case ast.Attribute(a, "T"):
            yield "transposed matrix", a
        case ast.AugAssign(a, ast.Add(), b):
            yield "missing accumulation", ast.Assign([a], b)
            yield "wrong sign", ast.AugAssign(a, ast.Sub(), b)
        case ast.Assign([ast.Name(name)]) if names[name] > 1:
            yield "stale state", ast.Pass()
        case ast.Return(ast.expr() as values) if isinstance(place.parent, ast.FunctionDef):
            if place.parent.returns and ast.unparse(place.parent.returns) == "list[Array]":  # a joint vjp
                yield "vjps exchanged", ast.Return(backwards(values))
        case ast.Tuple([*before, ast.Name() | ast.Lambda() as a, ast.Name() | ast.Lambda() as b]) if (
            isinstance(place.line, ast.Return) and not place.in_index
        ):
            yield "vjps exchanged", ast.Tuple([*before, b, a], ast.Load())
        case ast.Name(name, ast.Load()):
            if name in INCOMING and not place.in_condition:
                yield "wrong sign", ast.UnaryOp(ast.USub(), place.node)
            if name == "axis" and not place.in_condition:
                yield "wrong axis", ast.Constant(0)
            if names[MISTAKEN.get(name, "")]:
                yield "wrong variable", ast.Name(MISTAKEN[name], ast.Load())
            if name in STALE and names["dh_before"]:
                yield "stale state", expression(STALE[name])
        case ast.Attribute(ast.Name("step"), "z"):  # h of this step, where that of the step before belongs
            yield "stale state", expression("np.concatenate([step.h, step.z[H:]])")
        case ast.Call():
            yield from other_calls(place.node)


def one_off(value: int, in_index: bool) -> Iterator[tuple[str, ast.AST]]:
    if value in ONE_OFF:
        yield "wrong index" if in_index else "constant off", expression(str(ONE_OFF[value]))
    if value == -1 and in_index:
        yield "off by one step", ast.Constant(0)


def backwards(values: ast.expr) -> ast.expr:
    return ast.Subscript(values, ast.Slice(None, None, expression("-1")))


def other_calls(call: ast.Call) -> Iterator[tuple[str, ast.AST]]:
    """A call left out, with its arguments exchanged, or of something else."""
    match call.func:
        case ast.Attribute(ast.Name("np"), name):
            pass
        case ast.Name(name) if not hasattr(builtins, name):  # a function of the module, or a nested one
            pass
        case _:
            name = ""
    match call:
        case ast.Call(ast.Name("reversed"), [steps]):
            yield "off by one step", steps
            for part in (ast.Slice(ast.Constant(1), None), ast.Slice(None, expression("-1"))):
                yield "off by one step", ast.Call(call.func, [ast.Subscript(steps, part)], [])
        case ast.Call(ast.Name("list"), [_]):
            yield "vjps exchanged", backwards(call)
        case ast.Call(ast.Name("all" | "any" as quantifier), arguments):
            other = {"all": "any", "any": "all"}[quantifier]
            yield "condition left out", ast.Call(ast.Name(other), arguments, [])
        case ast.Call(ast.Attribute(ast.Attribute(ast.Name("np"), "add"), "at"), [array, index, values]):
            yield "missing accumulation", ast.AugAssign(ast.Subscript(array, index), ast.Add(), values)
        case ast.Call(_, [condition, a, b]) if name == "where":
            yield "branches exchanged", ast.Call(call.func, [condition, b, a], [])
            yield from (("condition left out", a), ("condition left out", b))
        case ast.Call(_, [*before, a, b]) if name in ("power", "moveaxis", "route", "weighted", "split_ties"):
            yield "swapped operands", ast.Call(call.func, [*before, b, a], call.keywords)
    if name and name not in KEEP_CALLS and call.args:
        kind = "function left out"
        if name in TRANSPOSING:
            kind = "transposed matrix"
        elif name in REPEATING:
            kind = "missing unbroadcast"
        yield kind, call.args[-1 if name == "mask_poles" else 0]  # what it is about comes first; there, last


def first_line(node: ast.AST) -> str:
    """The source of a statement or a lambda; of what has a body, its head."""
    return ast.unparse(node).partition("\n")[0]


def mutants_of(target: Target) -> Iterator[Mutant]:
    """All mutants of a target, in the order of its source, each with another source."""
    function = target.tree()
    names = bound(function)
    seen = {ast.unparse(function)}
    parts = list(derivative_parts(target, function))
    for place in [place for part in reversed(parts) for place in below(part)]:
        before = first_line(place.line)
        for kind, node in alternatives(place, names):
            place.put(copy.deepcopy(node))
            source = ast.unparse(ast.fix_missing_locations(function))
            holder = node if place.line is place.node else place.line
            after = first_line(ast.fix_missing_locations(holder))
            place.put(place.node)
            if source not in seen:
                seen.add(source)
                yield Mutant(target, kind, before, after, source)


# --- what tries a mutant ------------------------------------------------------------------------------


def layer(name: str, batch: int, time: int) -> list[np.ndarray]:
    """Inputs, initial states and weights of an LSTM or a GRU with one hidden unit."""
    states, gates = {"lstm": (2, 4), "gru": (1, 3)}[name]
    weights = [(gates, 2), (gates, 1), (gates,), (gates,)]
    return [wave(*shape) for shape in ((batch, time, 2), *[(batch, 1)] * states, *weights)]


def more_trial(name: str, arrays: list[np.ndarray], static: dict[str, Any]) -> None:
    f, point = checks.function_of_floats(name, arrays, static)
    gradcheck(f, point, analytic=False)
    gradgradcheck(f, point)


def standstill_trial(name: str, number: int) -> None:
    """The second derivative of ``c f(x)`` at c = 0, where the gradient that comes in is exactly 0.

    A rule sends back 0 there whatever its slope, but the slope still counts for the derivative by c.
    """
    rng = np.random.default_rng([2, number])
    f, point = checks.function_of_floats(name, *OPS[name].draw(rng, (2, 3)))
    gradgradcheck(lambda c, *xs: c * f(*xs), [np.zeros(f(*point).shape), *point], rng)


def power_at_standstill() -> None:
    """The same for powers at and below 0, where most differences are no numbers."""
    x, y = np.array([0, 0, 0, 0, -2, -2.0]), np.array([1, 1.5, 2, 3, 2, 3])
    power = tape.PRIMITIVES["power"]
    slope = grad(lambda c: grad(lambda t: np.sum(c * power(t, y)))(x).sum())(np.zeros(6)).data
    np.testing.assert_array_equal(slope, [1, 0, 0, 0, -4, 12])


def overlap(x: Tensor) -> Tensor:
    """Slices and gathers of one array, whose gradients meet in one buffer."""
    return concatenate(x[1:], x[:-1] * 2.0, x[[0, 0, -1]], np.tanh(x))


def steps(x: Tensor, w: Tensor) -> Tensor:
    """A matrix used again and again, and in other ways too: its products are collected."""
    once, twice = tanh(w), w * 2.0
    for _ in range(3):
        x = tanh(x @ w)
    return concatenate(x @ w, x @ once, x @ twice, tanh(x) @ twice, w * w, w[1:])


def pieces(x: Tensor) -> Tensor:
    """Outputs of several: used twice, used once, and not at all."""
    a, b, _ = split(x, 3)
    return concatenate(a * np.tanh(a), b)


def alone_trial(name: str, number: int) -> None:
    """One output of several, where nothing comes back from the others."""
    rng = np.random.default_rng([3, number])
    arrays, static = OPS[name].draw(rng, (2, 3))
    chosen = int(rng.integers(len(tape.PRIMITIVES[name](*arrays, **static))))
    f, point = checks.function_of_floats(name, arrays, static, slice(chosen, chosen + 1))
    gradcheck(f, point, rng, analytic=False)


def one_argument_trial(name: str, number: int) -> None:
    """One argument of several, where the others are constants that need no gradient."""
    rng = np.random.default_rng([4, number])
    f, point = checks.function_of_floats(name, *OPS[name].draw(rng, (2, 3)))
    i = number % len(point)
    gradcheck(lambda x: f(*point[:i], x, *point[i + 1 :]), [point[i]], rng, analytic=False)


def faint_trial(name: str) -> None:
    """A gradient below the smallest normal number comes back as 0; that number itself, and more, as it is."""
    arrays = layer(name, 3, 1)
    arrays[-2][1] = 100  # the bias of f, or of z: all of the last state is the initial one
    tensors = [Tensor(x, requires_grad=True) for x in arrays]
    states = tensors[1:-4]
    outputs, *_, last = tape.PRIMITIVES[name](*tensors)
    tiny = np.finfo(float).tiny
    (np.sum(outputs[0]) + np.sum(last * np.array([[0], [tiny], [tiny / 2]]))).backward()
    for state in states:
        assert state.grad is not None
        assert state.grad[0] != 0
        assert state.grad[2] == 0
    assert states[-1].grad is not None
    assert states[-1].grad[1] == tiny


def half_trial(name: str) -> None:
    """In float16 a gradient below the smallest normal number is an ordinary one, and comes back."""
    arrays = [x.astype(np.float16) for x in layer(name, 1, 1)]
    arrays[-2][1] = 100  # as above
    tensors = [Tensor(x, requires_grad=True) for x in arrays]
    g = np.finfo(np.float16).tiny / 4
    *_, last = tape.PRIMITIVES[name](*tensors)
    last.backward(np.full(last.shape, g))
    assert tensors[-5].grad is not None
    assert (tensors[-5].grad == g).all()


def late_trial(name: str) -> None:
    """Only the last state has a gradient: it has to come back through all pieces."""
    gradcheck(lambda *xs: tape.PRIMITIVES[name](*xs)[-1], layer(name, 1, 9), analytic=False)


def early_trial(name: str) -> None:
    """Only the first output has a gradient: it has to be reached, though the way back begins with nothing."""
    gradcheck(lambda *xs: tape.PRIMITIVES[name](*xs)[0][:, :1], layer(name, 1, 5), analytic=False)


def reuse(x: Tensor, y: Tensor) -> Tensor:
    """The gradient of x + y is one array for both; more is added to each, and nothing to the constant."""
    return concatenate(x * 2.0, x * 3.0, x * 4.0, y[1:], x + y, np.ones(2))


def one_sided(x: Tensor, y: Tensor) -> Tensor:
    """Primitives with a gradient for x alone, one with a vjp an argument and one with a joint vjp."""

    def left(x: Any, y: Any) -> tape.Rule:
        return x * 2.0, (lambda g: g * 2.0, None)

    def left_jointly(x: Any, y: Any) -> tape.Rule:
        return x * 3.0, lambda g: (g * 3.0, None)

    return tape.primitive()(left)(x, y) + tape.primitive()(left_jointly)(x, y)


def ownership_trial() -> None:
    """Each leaf gets an array of its own, in its dtype; a graph that is kept may be gone through again."""
    leaves = [Tensor(np.float64(1), requires_grad=True, dtype=dtype) for dtype in (float, float, np.float32)]
    out, g = leaves[0] + leaves[0] + leaves[1] + leaves[2], np.array(5.0)
    for total in (5, 10):
        out.backward(g, retain_graph=True)
        for leaf, factor in zip(leaves, (2, 1, 1), strict=True):
            assert isinstance(leaf.grad, np.ndarray)
            assert leaf.grad.dtype == leaf.dtype
            assert not np.shares_memory(leaf.grad, g)
            assert leaf.grad == total * factor


@cache
def bptt_cases() -> list[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:
    """Reviews and parameters of many sizes, with the exact gradient."""
    cases = []
    for number in range(BPTT_CASES):
        rng = np.random.default_rng([1, number])
        hidden, dimensions = (int(n) for n in rng.integers(1, 4, 2))
        inputs = tutorial_lstm.trial_inputs(hidden, dimensions, 1 + number % 5, rng)
        for name in tutorial_lstm.PARAMETERS:
            inputs[name] = rng.standard_normal(inputs[name].shape) / 2
        inputs["y"] = np.array(float(number % 2))
        cases.append((inputs, tutorial_lstm.exact_gradient(inputs, eps=0.0)))
    return cases


def bptt_trial(number: int) -> None:
    inputs, exact = bptt_cases()[number]
    hand = tutorial_lstm.corrected_gradient(**inputs)
    for name, expected in exact.items():
        assert hand[name].shape == expected.shape, name
        error = np.linalg.norm(hand[name] - expected)
        assert error <= BPTT_TOLERANCE * max(1.0, float(np.linalg.norm(expected))), name


def trials_of(target: Target) -> Iterator[Callable[[], object]]:
    """What a mutant of this target has to get past: each raises when it notices something."""
    if target is BPTT:
        yield from (partial(bptt_trial, number) for number in range(BPTT_CASES))
        return
    by_name = {name: trial for kind, name, trial in installed.trials() if kind == "primitive"}
    for number in range(CASES):
        for name in target.primitives:
            yield partial(by_name[name], np.random.default_rng([0, number]))
    for name in target.primitives:
        yield from (partial(checks.check_edge, name, edge) for edge in OPS[name].edges)
        yield from (partial(more_trial, name, *case) for case in OPS[name].more)
        yield from (partial(standstill_trial, name, number) for number in range(STANDSTILLS))
        if name in SEVERAL:
            yield from (partial(alone_trial, name, number) for number in range(ALONE))
        yield from (partial(one_argument_trial, name, number) for number in range(ALONE))
        if name in RECURRENT:
            trials = faint_trial, half_trial, late_trial, early_trial
            yield from (partial(trial, name) for trial in trials)
    if "power" in target.primitives:
        yield power_at_standstill
    if target.owner in (tape, tape.SparseGrad, tape.Accumulator, transforms.TensorAccumulator):
        for check in (gradcheck, gradgradcheck):
            yield partial(check, overlap, [wave(3, 2)])
            yield partial(check, reuse, [wave(3), wave(3)])
            yield partial(check, steps, [wave(2, 3), wave(3, 3)])
            yield partial(check, pieces, [wave(3, 2)])
            yield partial(check, one_sided, [wave(3), wave(3)])
        yield ownership_trial


# --- the verdict --------------------------------------------------------------------------------------

CHECK, ERROR, EQUIVALENCE, SURVIVED = "caught by a check", "caught by an error", "equivalent", "survived"


@contextmanager
def in_place(mutant: Mutant) -> Iterator[None]:
    """The mutant instead of the right function, wherever that one is known by its name."""
    target = mutant.target
    with ExitStack() as stack:
        for module, name, rows in SMALL:
            stack.enter_context(mock.patch.object(module, name, rows))
        stack.enter_context(mock.patch.object(tape.DeferredMatmul, "ROWS", 4))
        namespace = dict(vars(sys.modules[getattr(target.owner, "__module__", target.owner.__name__)]))
        stack.enter_context(mock.patch.dict(tape.PRIMITIVES))  # where a rule declares itself
        exec(compile(mutant.source, str(target), "exec"), namespace)
        if not target.is_rule:
            right = getattr(target.owner, target.name)
            ours = [
                module for name, module in sys.modules.items() if name.startswith(("tinygrad_np", "models"))
            ]
            for owner in (target.owner, *ours):
                if vars(owner).get(target.name) is right:
                    stack.enter_context(mock.patch.object(owner, target.name, namespace[target.name]))
        yield


def verdict(mutant: Mutant) -> str:
    """Which of the verdicts a mutant gets, before anybody asks for an explanation."""
    found = SURVIVED
    with in_place(mutant), warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # a wrong derivative may overflow: the numbers decide
        for trial in trials_of(mutant.target):
            try:
                trial()
            except AssertionError:
                return CHECK
            except Exception:  # a shape that does not fit, a name that is not there, ...
                found = ERROR  # of another shape the mutant may give numbers, wrong ones
    return found


def unchanged(target: Target) -> Mutant:
    """The right derivative, taken through the same machinery: it has to survive."""
    return Mutant(target, "none", "", "", ast.unparse(target.tree()))


NEGATIVE = "NumPy takes any negative length for the missing one"
GRU_GRADIENTS = (  # with the lengths of two vectors
    "return [gradients.d_x(shape, indices), packed.unsort(d_last, d_initial), "
    "d_weights_x[:, :, hidden:-1].reshape(weight_ih.shape), "
    "d_weights_h[:, :, :hidden].reshape(weight_hh.shape), "
    "d_weights_x[:, :, -1].reshape({}), d_weights_h[:, :, -1].reshape({})]"
)
EQUIVALENT: dict[tuple[str, str], str] = {  # (target, the line after the change): why it is no mistake
    ("elementwise.divide", "lambda g: g / safe(-g)"): "safe only asks whether g is 0",
    ("elementwise.divide", "lambda g: -g * (x / safe(-g)) / safe(g)"): "safe only asks whether g is 0",
    ("elementwise.divide", "lambda g: -g * (x / safe(g)) / safe(-g)"): "safe only asks whether g is 0",
    (
        "Accumulator.fit",
        "if not len(xs) * len(part.x) < DeferredMatmul.ROWS:",
    ): "whenever products are multiplied, their sum is the same",
    (
        "Accumulator.fit",
        "if len(xs) * len(part.x) <= DeferredMatmul.ROWS:",
    ): "whenever products are multiplied, their sum is the same",
    (
        "Accumulator.fit",
        "if len(xs) * len(part.x) > DeferredMatmul.ROWS:",
    ): "whenever products are multiplied, their sum is the same",
    (
        "Accumulator.fit",
        "if len(xs) < DeferredMatmul.ROWS:",
    ): "whenever products are multiplied, their sum is the same",
    (
        "Accumulator.fit",
        "if len(part.x) < DeferredMatmul.ROWS:",
    ): "whenever products are multiplied, their sum is the same",
    (
        "Accumulator.fit",
        "if len(xs) / len(part.x) < DeferredMatmul.ROWS:",
    ): "whenever products are multiplied, their sum is the same",
    (
        "Gradients.flush_vanished",
        "return row < self.first_nonzero_row and bool(vanished.all())",
    ): "one chunk more is gone through, and all in it is 0",
    (
        "elementwise.power",
        "pole = (x == 0) & (y <= 1) | (x < 0) & (y != np.floor(y)) | np.isnan(x)",
    ): "at x = 0, y = 1 the slope is x^0 = 1 whether x stands there or 1, and so are its own derivatives, 0",
    (
        "elementwise.power",
        "base = mask_poles((x == 0) | np.logical_not(x >= 0) & (g == 0), x)",
    ): "differs at x = 0 only, which the first condition has already",
    (
        "reduce.normalize_axes",
        "return [a % (len(shape) or 2) for a in axes]",
    ): "of a single number there is no axis to name, only one that is let pass",
    (
        "elementwise.sqrt",
        "lambda g: g / (2 * mask_poles((g == 0) & ~(x > 0), y))",
    ): "sqrt(x) > 0 where x > 0, and nowhere else; it would only keep x in memory",
    (
        "elementwise.logaddexp",
        "return g * np.exp(mine - np.where(z == -np.inf, 1, z))",
    ): "where z is -inf so is mine, and e^(-inf - 1) is 0 as well",
    (
        "reduce.mean",
        "lambda g: np.broadcast_to(restore_axes(g, shape, axis) / (count(shape, axis) or 2), shape)",
    ): "the count is 0 for an empty array, whose gradient is empty",
    (
        "reduce.logsumexp",
        "return restore_axes(g, y.shape, axis) * np.exp(x - np.where(y == -np.inf, 0, y))",
    ): "x and y differ in the lengths of the reduced axes, for which restore_axes writes 1",
    (
        "reduce.logsumexp",
        "return restore_axes(g, x.shape, axis) * np.exp(x - np.where(x == -np.inf, 0, y))",
    ): "where x is -inf the result is e^-inf = 0, whatever is subtracted; and where y is -inf so is x",
    (
        "reduce.logsumexp",
        "return restore_axes(g, x.shape, axis) * np.exp(x - np.where(y == -np.inf, 1, y))",
    ): "where y is -inf so is x, and e^(-inf - 1) is 0 as well",
    (
        "shape.split_at",
        "return [np.concatenate(pieces, axis)][::-1]",
    ): "there is one array, and so one gradient",
    ("linalg.einsum", "if not letter in term[:i]:"): "every letter gets its identity matrix: the same sum",
    ("linalg.einsum", "if letter in term[i:]:"): "every letter gets its identity matrix: the same sum",
    (
        "linalg.einsum",
        "eyes = [np.eye(size[tie[1]], dtype=g.dtype) for tie in ties]",
    ): "both letters of a tie have the same length",
    (
        "tape.unbroadcast",
        "repeated = [i + extra for i, n in enumerate(shape) if n == 1]",
    ): "a sum over an axis of length 1 changes nothing",
    (
        "lstm.lstm",
        "d_initial[:, batch_size:len(-dh)] = (dh[batch_size:], dc[batch_size:])",
    ): "a sign does not change the length",
    ("lstm.lstm", "d_initial[:, :len(-dh)] = (dh, dc)"): "a sign does not change the length",
    ("gru.gru", "d_initial[batch_size:len(-dh)] = dh[batch_size:]"): "a sign does not change the length",
    ("gru.gru", "d_initial[:len(-dh)] = dh"): "a sign does not change the length",
    ("lstm.lstm", "W_x_T = weight_ih.reshape(4, hidden, -2)[IFOG].astype(dtype)"): NEGATIVE,
    ("lstm.lstm", "d_bias = d_weights[:, :, -1].reshape(-2)"): NEGATIVE,
    ("gru.gru", "W_x_T[OF_X] = weight_ih.reshape(3, hidden, -2)"): NEGATIVE,
    ("gru.gru", GRU_GRADIENTS.format(-2, -1)): NEGATIVE,
    ("gru.gru", GRU_GRADIENTS.format(-1, -2)): NEGATIVE,
    (
        "Gradients.d_out",
        "return rows.reshape(steps, batch_size, -2)[::-1]",
    ): NEGATIVE,
    (
        "Gradients.accumulate",
        "some = by_gate.reshape(gates, -2, hidden)[:, first:first + ROWS_PER_PRODUCT]",
    ): NEGATIVE,
    ("tutorial_lstm.backpropagate", "H = len(steps[0].h)"): "h has the same length at every step",
    (
        "tutorial_lstm.backpropagate",
        "dh, dc = (inputs['W2'].T @ error.T, np.zeros((H, 1)))",
    ): "error is a matrix of one number",
    (
        "tutorial_lstm.backpropagate",
        "gradients = {'W2': error.T @ steps[-1].h.T, 'b2': error}",
    ): "error is a matrix of one number",
    (
        "tutorial_lstm.backpropagate",
        "dc = dc * f + through_h * f * (dh if overwritten else dh)",
    ): "it takes away the slip of the published version, and the corrected one is on trial",
}


def judged(mutants: Iterable[Mutant]) -> Iterator[tuple[Mutant, str]]:
    """Every mutant with its verdict; a survivor that `EQUIVALENT` explains is equivalent."""
    for mutant in mutants:
        found = verdict(mutant)
        if found == SURVIVED and (str(mutant.target), mutant.after) in EQUIVALENT:
            found = EQUIVALENCE
        yield mutant, found


# --- the report ---------------------------------------------------------------------------------------


def rows_of(results: Sequence[tuple[Mutant, str]]) -> list[list[str]]:
    """The closing table: verdicts by kind of mutation, the largest kinds first, and their sums."""
    verdicts = (CHECK, ERROR, EQUIVALENCE, SURVIVED)
    counts = Counter((mutant.kind, found) for mutant, found in results)
    kinds = Counter(mutant.kind for mutant, _ in results)
    rows = [["mutation", "mutants", *verdicts]]
    for kind, total in sorted(kinds.items(), key=lambda item: (-item[1], item[0])):
        rows.append([kind, str(total), *(str(counts[kind, found]) for found in verdicts)])
    sums = Counter(found for _, found in results)
    return [*rows, ["all", str(len(results)), *(str(sums[found]) for found in verdicts)]]


def markdown(results: Sequence[tuple[Mutant, str]]) -> str:
    """The report as a page of the docs. Nothing in it depends on time or machine."""
    head, *rows = rows_of(results)
    lines = [
        "# Proof that the checks can fail",
        "",
        "`python -m benchmarks.mutants` makes every derivative wrong in many small ways, one at a time: those",
        f"of the {len(RULES)} primitives, of what they share, of the tape, and the tutorial's hand-derived BPTT.",
        "Each mutant is tried by the checks of `python -m tinygrad_np.gradcheck`, and by the values that are",
        "documented for ties, kinks and poles; then by further cases of `benchmarks/mutants.py` itself: arrays of",
        "equal lengths and arrays used twice, second derivatives where the incoming gradient is 0, and what the",
        "tape adds up and keeps; sequences in pieces of a few steps, and gradients too small to go on. The BPTT is",
        "compared with the exact gradient. A mutant that none of them notices has to be explained, or the command",
        "fails. This page is what it writes.",
        "",
        "| " + " | ".join(head) + " |",
        "|---|" + "---:|" * (len(head) - 1),
        *("| " + " | ".join(row) + " |" for row in rows),
        "",
        "Caught by a check: a gradient differs from the derivative. Caught by an error: it gives no wrong number",
        "in any case that is tried, but raises something else, such as shapes that do not fit.",
    ]
    for title, wanted in (("Equivalent mutants", EQUIVALENCE), ("Survivors", SURVIVED)):
        lines += ["", f"## {title}", ""]
        chosen = [mutant for mutant, found in results if found == wanted]
        for mutant in chosen:
            why = EQUIVALENT.get((str(mutant.target), mutant.after), "Not explained")
            lines += [f"- **{mutant.target}**, {mutant.kind}: {why}.", "", "  ```python"]
            lines += [f"  - {mutant.before}", f"  + {mutant.after}", "  ```", ""]
        lines += [] if chosen else ["None."]
        lines = lines[:-1] if not lines[-1] else lines
    return "\n".join(lines) + "\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Try all mutants; the exit status is 1 if one survived without an explanation."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.mutants", description="Make every derivative wrong, and see who notices."
    )
    parser.add_argument("--markdown", metavar="FILE", type=Path, help="write the report there, too")
    args = parser.parse_args(argv)

    for target in TARGETS:
        if (found := verdict(unchanged(target))) != SURVIVED:
            print(f"{target} fails unchanged, {found}: what catches its mutants proves nothing")
            return 1
    mutants: Iterable[Mutant] = [mutant for target in TARGETS for mutant in mutants_of(target)]
    if importlib.util.find_spec("tqdm") is not None:
        from tqdm import tqdm

        mutants = tqdm(mutants, unit=" mutants", dynamic_ncols=True)
    results = list(judged(mutants))

    for row in rows_of(results):
        print(f"{row[0]:22}" + "".join(f"{cell:>20}" for cell in row[1:]))
    survivors = [mutant for mutant, found in results if found == SURVIVED]
    for mutant in survivors:
        print(f"survived: {mutant}")
    explained = {(str(mutant.target), mutant.after) for mutant, found in results if found == EQUIVALENCE}
    names = {str(target) for target in TARGETS}
    stale = [key for key in EQUIVALENT if key[0] in names and key not in explained]
    for target_name, after in stale:
        print(f"explained, but no such mutant survives: {target_name}: {after}")
    if args.markdown:
        args.markdown.write_text(markdown(results), encoding="utf-8")
    return 1 if survivors or stale else 0


if __name__ == "__main__":
    sys.exit(main())
