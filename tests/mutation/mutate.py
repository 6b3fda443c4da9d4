"""How a derivative is mutated: every place of its syntax tree, by every mutation operator that fits there."""

from __future__ import annotations

import ast
import builtins
import copy
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from tests.mutation.targets import BPTT, Target

# --- the names that mutation operators know -----------------------------------------------------------
# A test sees to it that each of them still occurs in a target.

INCOMING = {"g", "dh", "dc", "error"}  # gradients on their way in
INCOMING_LIST = "gs"  # those of several outputs
# Variables that may be taken for one another: arguments and result, gates, this step and the next.
CONFUSED = {
    **{"x": "y", "y": "x", "z": "x", "mine": "other", "other": "mine"},
    **{"f": "i", "i": "f", "cm": "tc", "tc": "cm", "o": "f"},
}
STALE = {"dh": "dh_before", "dh_before": "dh", "c_before": "(f * c_before + i * cm)"}
NOT_LEFT_OUT = {
    "zeros",
    "eye",
    "einsum",
    "where",
}  # what remains is no array, or they have operators of their own
TRANSPOSING = {"swapaxes", "transpose", "moveaxis", "argsort"}
REPEATING = {"broadcast_to", "sum", "unbroadcast"}
LAST_TWO_SWAPPED = {"power", "moveaxis", "route", "split_ties"}

OFF_BY_ONE = {0: 1, 1: 2, 2: 1, -1: -2, -2: -1}
COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt, ast.LtE),
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt, ast.GtE),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
}


# --- mutants ------------------------------------------------------------------------------------------


class Mutant(NamedTuple):
    """A target with one change, made by a mutation operator.

    `before` and `after` are the line, or the lambda, that the change is in, and `source` is the whole function.
    """

    target: Target
    operator: str
    before: str
    after: str
    source: str

    def __str__(self) -> str:
        return f"{self.target}, {self.operator}: {self.before}  ->  {self.after}"


def original(target: Target) -> Mutant:
    """The function without a change, but put in place as a mutant is: it has to survive."""
    return Mutant(target, "none", "", "", ast.unparse(target.tree()))


def mutants_of(target: Target) -> Iterator[Mutant]:
    """All mutants of a target, in the order of its source, no two with the same source."""
    function = target.tree()
    names = names_bound(function)
    seen = {ast.unparse(function)}
    parts = list(derivative_parts(target, function))
    if target.is_rule:
        check_parameters(target, [part.node for part in parts])
    for place in [place for part in reversed(parts) for place in places(part)]:
        before = first_line(place.line)
        for operator, node in alternatives(place, names):
            place.put(copy.deepcopy(node))
            source = ast.unparse(ast.fix_missing_locations(function))
            line = node if place.line is place.node else place.line
            after = first_line(ast.fix_missing_locations(line))
            place.put(place.node)
            if source not in seen:
                seen.add(source)
                yield Mutant(target, operator, before, after, source)


def check_parameters(target: Target, parts: list[ast.AST]) -> None:
    """Refuse a vjp whose incoming gradient has another name than the operators know: it would lose mutants."""
    for node in [node for part in parts for node in ast.walk(part)]:
        if isinstance(node, ast.Lambda | ast.FunctionDef):
            first = node.args.args[0].arg if node.args.args else ""
            if first not in (*INCOMING, INCOMING_LIST):
                raise ValueError(
                    f"{target}: a function of its derivative takes {first or 'nothing'} first; call the incoming "
                    f"gradient g, or the list of them gs: by these names mutants are made"
                )


def first_line(node: ast.AST) -> str:
    """The source of a statement or a lambda; of what has a body, its head."""
    return ast.unparse(node).partition("\n")[0]


# --- places -------------------------------------------------------------------------------------------


class Place(NamedTuple):
    """A node of the syntax tree, and where it hangs: ``parent.field``, or ``parent.field[number]``."""

    parent: ast.AST
    field: str
    number: int | None
    node: ast.AST
    line: ast.AST  # the statement or lambda that it is in
    in_index: bool
    in_condition: bool  # where nothing but its truth, its shape or its length counts

    def put(self, node: ast.AST) -> None:
        if self.number is None:
            setattr(self.parent, self.field, node)
        else:
            getattr(self.parent, self.field)[self.number] = node


def names_read(tree: ast.AST) -> set[str]:
    return {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}


def names_bound(tree: ast.AST) -> Counter[str]:
    """How often each name gets a value: as an argument or by an assignment."""
    nodes = list(ast.walk(tree))
    return Counter(
        [n.arg for n in nodes if isinstance(n, ast.arg)]
        + [n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
    )


def derivative_parts(target: Target, function: ast.FunctionDef) -> Iterator[Place]:
    """The statements that make the derivative; of ``return value, derivative`` its second part.

    They are found backwards from the value: a statement on which it depends is part of the forward computation,
    and so is a loop of a rule, which fills arrays that nobody names again.
    """
    last = function.body[-1]
    returns_value = target.is_rule or target is BPTT
    if not returns_value:
        forward: set[str] = set()
    elif isinstance(last, ast.Return) and isinstance(last.value, ast.Tuple):
        forward = names_read(last.value.elts[0])
        yield Place(last.value, "elts", 1, last.value.elts[1], last, False, False)
    else:
        raise ValueError(f"{function.name} does not end with: return value, derivative")
    for number in reversed(range(len(function.body) - returns_value)):
        statement = function.body[number]
        if returns_value and isinstance(statement, ast.Expr | ast.If):
            continue  # it binds no name
        bound = {statement.name} if isinstance(statement, ast.FunctionDef) else set(names_bound(statement))
        for node in ast.walk(statement):
            if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
                bound.add(ast.unparse(node.value))  # an array of which it writes a part
        if forward & bound or (target.is_rule and isinstance(statement, ast.For)):
            forward |= names_read(statement)
        else:
            yield Place(function, "body", number, statement, statement, False, False)


def places(place: Place) -> Iterator[Place]:
    """A place and all places below it where a mutation may be."""
    node = place.node
    if isinstance(node, ast.stmt | ast.Lambda):
        place = place._replace(line=node)
    if isinstance(node, ast.ExceptHandler | ast.JoinedStr):
        return  # errors and text have no derivative
    if isinstance(node, ast.If) and isinstance(node.body[0], ast.Raise):  # only what is not refused has one
        for i, statement in enumerate(node.orelse):
            yield from places(place._replace(parent=node, field="orelse", number=i, node=statement))
        return
    yield place
    if isinstance(node, ast.UnaryOp) and isinstance(node.operand, ast.Constant):
        return  # a negative number is a number
    for field, value in ast.iter_fields(node):
        if field in ("args", "returns", "annotation") and not isinstance(node, ast.Call):
            continue  # the parameters of a function, and types
        in_index = place.in_index or (isinstance(node, ast.Subscript) and field == "slice")
        only_asked = isinstance(node, ast.Compare | ast.Attribute) or calls(node, "len")
        in_condition = place.in_condition or only_asked
        children = list(enumerate(value)) if isinstance(value, list) else [(None, value)]
        for number, child in children:
            if isinstance(child, ast.AST):
                yield from places(Place(node, field, number, child, place.line, in_index, in_condition))


def calls(node: ast.AST, name: str) -> bool:
    """Whether the node is a call of a function, or a method, of this name."""
    match node:
        case ast.Call(ast.Name(called) | ast.Attribute(_, called)):
            return called == name
    return False


# --- mutation operators -------------------------------------------------------------------------------


def alternatives(place: Place, names: Counter[str]) -> Iterator[tuple[str, ast.AST]]:
    """What might have been written instead of this node by mistake, and the operator's name.

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
        case ast.BoolOp(op, conditions):
            for i in range(len(conditions)):
                rest = conditions[:i] + conditions[i + 1 :]
                yield "condition left out", ast.BoolOp(op, rest) if len(rest) > 1 else rest[0]
        case ast.UnaryOp(ast.USub(), ast.Constant(1)) if calls(place.parent, "reshape"):
            pass  # any negative length is the missing one
        case ast.UnaryOp(ast.USub(), ast.Constant(int(value))) if -value in OFF_BY_ONE:
            yield from other_numbers(-value, place.in_index)
        case ast.UnaryOp(ast.USub(), a):
            yield "wrong sign", a
        case ast.UnaryOp(ast.Invert(), a):
            yield "comparison flipped", a
        case ast.Constant(int(value)) if type(value) is int:
            yield from other_numbers(value, place.in_index)
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
            joint = place.parent.returns and ast.unparse(place.parent.returns) == "list[Array]"
            if joint and not (isinstance(values, ast.List) and len(values.elts) == 1):
                yield "vjps exchanged", ast.Return(reversed_list(values))
        case ast.Tuple([*before, ast.Name() | ast.Lambda() as a, ast.Name() | ast.Lambda() as b]) if (
            isinstance(place.line, ast.Return) and not place.in_index
        ):
            yield "vjps exchanged", ast.Tuple([*before, b, a], ast.Load())
        case ast.Name(name, ast.Load()):
            if name in INCOMING and not place.in_condition:
                yield "wrong sign", ast.UnaryOp(ast.USub(), place.node)
            if name == "axis" and not place.in_condition:
                yield "wrong axis", ast.Constant(0)
            if names[CONFUSED.get(name, "")]:
                yield "wrong variable", ast.Name(CONFUSED[name], ast.Load())
            if name in STALE and names["dh_before"]:
                yield "stale state", expression(STALE[name])
        case ast.Attribute(ast.Name("step"), "z"):  # h of this step, where that of the step before belongs
            yield "stale state", expression("np.concatenate([step.h, step.z[H:]])")
        case ast.Call():
            yield from other_calls(place.node)


def other_numbers(value: int, in_index: bool) -> Iterator[tuple[str, ast.AST]]:
    if value in OFF_BY_ONE:
        yield "wrong index" if in_index else "constant off", expression(str(OFF_BY_ONE[value]))
    if value == -1 and in_index:
        yield "off by one step", ast.Constant(0)


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
            yield "vjps exchanged", reversed_list(call)
        case ast.Call(ast.Name("all" | "any" as quantifier), arguments):
            other = {"all": "any", "any": "all"}[quantifier]
            yield "condition left out", ast.Call(ast.Name(other), arguments, [])
        case ast.Call(ast.Attribute(ast.Attribute(ast.Name("np"), "add"), "at"), [array, index, values]):
            yield "missing accumulation", ast.AugAssign(ast.Subscript(array, index), ast.Add(), values)
        case ast.Call(_, [condition, a, b]) if name == "where":
            yield "branches exchanged", ast.Call(call.func, [condition, b, a], [])
            yield from (("condition left out", a), ("condition left out", b))
        case ast.Call(_, [*before, a, b]) if name in LAST_TWO_SWAPPED:
            yield "swapped operands", ast.Call(call.func, [*before, b, a], call.keywords)
    if name and name not in NOT_LEFT_OUT and call.args and not isinstance(call.args[0], ast.Starred):
        operator = "function left out"
        if name in TRANSPOSING:
            operator = "transposed matrix"
        elif name in REPEATING:
            operator = "missing unbroadcast"
        # what a function is about comes first, but last in mask_poles
        yield operator, call.args[-1 if name == "mask_poles" else 0]


def reversed_list(values: ast.expr) -> ast.expr:
    return ast.Subscript(values, ast.Slice(None, None, expression("-1")))


def expression(source: str) -> ast.expr:
    return ast.parse(source, mode="eval").body
