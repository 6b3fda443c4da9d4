"""Where in the user's source a recorded result was made: the expression, its line, and the name it was given.

A *stack* names the place of an operation: (code object, offset of the instruction) for each of the user's frames,
the outermost first. All results of one stack are the occurrences of one expression: the time steps of a loop.
"""

from __future__ import annotations

import ast
import dis
import functools
import linecache
import os
import re
from types import CodeType
from typing import NamedTuple, TypeAlias

Stack: TypeAlias = tuple[tuple[CodeType, int], ...]
Span: TypeAlias = tuple[
    int, int, int, int
]  # first line, last line, first column, last column, in UTF-8 bytes


class Site(NamedTuple):
    """An expression of the user's source."""

    text: str  # "f * c_prev", or "" where the source is not there
    where: str  # "lstm.py:31"
    name: str  # what the statement calls it: "c" of `c = f * c_prev + i * g`; "" of a part of one

    def __str__(self) -> str:
        return f"`{self.text}` ({self.where})" if self.text else self.where


def site_of(stack: Stack, level: int = -1) -> Site:
    """The site of a stack, shown at one of its frames."""
    if not stack:
        return Site("", "", "")
    code, offset = stack[level]
    line, text = code.co_firstlineno, ""
    span = span_of(code, offset)
    if span is not None:
        line = span[0]
        text = source_text(code.co_filename, span)
    return Site(text, f"{os.path.basename(code.co_filename)}:{line}", name_of(stack))


def name_of(stack: Stack) -> str:
    """The name that a statement gives to the result; what a function returns has the name that its caller gives."""
    number = 0
    for code, offset in reversed(stack):
        names = names_in(code.co_filename).get(span_of(code, offset), [""])
        if names[0] != RETURNED:
            return names[number] if number < len(names) else ""
        number = len(names) - 1
    return ""


def span_of(code: CodeType, offset: int) -> Span | None:
    """The part of the source that an instruction stands for."""
    positions = spans(code)
    span = positions[offset // 2] if 0 <= offset // 2 < len(positions) else None
    return span if span is not None and None not in span else None  # type: ignore[return-value]


@functools.lru_cache(256)
def spans(code: CodeType) -> list[tuple[int | None, int | None, int | None, int | None]]:
    return list(code.co_positions())


def source_text(filename: str, span: Span) -> str:
    """The source of an expression on one line, shortened where it is long."""
    first, last, begin, end = span
    lines = [line.encode() for line in linecache.getlines(filename)[first - 1 : last]]
    if not lines:
        return ""
    lines[-1] = lines[-1][:end]
    lines[0] = lines[0][begin:]
    text = " ".join(b" ".join(lines).decode(errors="replace").split())
    return text if len(text) <= 60 else text[:57] + "..."


def state_name(name: str) -> str:
    """The variable of a state without what says which step: "h" of `h_next`, `new_h`, `next_h` and `hs`."""
    found = re.fullmatch(r"(?:next_?|new_?|cur_?|current_)?(.+?)(?:_?next|_?new|_t|_s|_list|_cur)?", name)
    short = found[1] if found else name
    return short[0] if re.fullmatch(r"[a-zA-Z]s|[a-zA-Z]t", short) else short


RETURNED = "return"  # of an expression that a function returns: no variable can be called so


@functools.lru_cache(64)
def names_in(filename: str) -> dict[Span | None, list[str]]:
    """What the statements of a file call the values of expressions, by the place of the expression.

    Several names are those of a tuple. What is returned has RETURNED, once more than its number in the tuple.
    """
    try:
        tree = ast.parse("".join(linecache.getlines(filename)))
    except (SyntaxError, ValueError):  # not Python alone, as a notebook's cell may be
        return {}
    names: dict[Span | None, list[str]] = {}

    def give(value: ast.expr | None, target: ast.expr) -> None:
        if isinstance(value, ast.Tuple | ast.List) and isinstance(target, ast.Tuple | ast.List):
            for v, t in zip(value.elts, target.elts, strict=False):
                give(v, t)
        elif value is not None:
            of = target.elts if isinstance(target, ast.Tuple | ast.List) else [target]
            names[place(value)] = [called(t) for t in of]
            if isinstance(value, ast.ListComp):  # each of its elements
                names[place(value.elt)] = [called(target)]

    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            give(node.value, node.targets[0])
        elif isinstance(node, ast.AnnAssign | ast.NamedExpr):
            give(node.value, node.target)
        elif isinstance(node, ast.AugAssign):  # the whole statement is the sum
            names[place(node)] = [called(node.target)]
        elif isinstance(node, ast.Call):
            if isinstance(node.func, ast.Attribute) and node.func.attr == "append" and len(node.args) == 1:
                give(node.args[0], node.func.value)
        elif isinstance(node, ast.Return) and node.value is not None:
            returned = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]
            for number, value in enumerate(returned):
                names[place(value)] = [RETURNED] * (number + 1)
    return names


@functools.lru_cache(64)
def operands_in(filename: str) -> dict[Span | None, list[str]]:
    """The source of the operands of each operation and call in a file, by the place of the whole."""
    text = "".join(linecache.getlines(filename))
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return {}
    found: dict[Span | None, list[str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp):
            operands: list[ast.expr] = [node.left, node.right]
        elif isinstance(node, ast.UnaryOp):
            operands = [node.operand]
        elif isinstance(node, ast.AugAssign):
            operands = [node.target, node.value]
        elif isinstance(node, ast.Call):
            operands = list(node.args)
            base = node.func.value if isinstance(node.func, ast.Attribute) else None
            if base is not None and not (isinstance(base, ast.Name) and base.id in ("np", "numpy", "math")):
                operands = [base, *operands]
        else:
            continue
        texts = [source_text(filename, place(operand)) for operand in operands]
        found.setdefault(place(node), texts)
    return found


def operand_text(stack: Stack, number: int, of: int) -> str:
    """The source of an operand of an operation that has so many; "" where that is not clear."""
    if not stack:
        return ""
    code, offset = stack[-1]
    texts = operands_in(code.co_filename).get(span_of(code, offset), [])
    return texts[number] if len(texts) == of else ""


def place(node: ast.expr | ast.stmt) -> Span:
    return node.lineno, node.end_lineno or 0, node.col_offset, node.end_col_offset or 0


def called(target: ast.expr) -> str:
    """The variable of a target: "h" of ``h``, ``self.h``, ``h[t]`` and ``cache["h"]``."""
    if isinstance(target, ast.Attribute):
        return target.attr
    if isinstance(target, ast.Subscript):
        if isinstance(target.slice, ast.Constant) and isinstance(target.slice.value, str):
            return target.slice.value
        return called(target.value)
    return target.id if isinstance(target, ast.Name) else ""


def parting(one: Stack, other: Stack) -> int | None:
    """The first frame in which two stacks stand at different places of one function; None if there is none."""
    for level, (mine, theirs) in enumerate(zip(one, other, strict=False)):
        if mine != theirs:
            return level if mine[0] == theirs[0] else None
    return None


def runs_back(consumer: Stack, producer: Stack) -> bool:
    """Whether a value that is made by one expression and used by another went round a loop to get there.

    Within a round of a loop values go down the page. What is used above the place where it was made comes from an
    earlier round: the state of a recurrent network.
    """
    if consumer == producer:
        return True
    level = parting(consumer, producer)
    if level is None:
        return False
    return producer[level][1] >= consumer[level][1]


@functools.lru_cache(256)
def loops_of(code: CodeType) -> list[tuple[int, int]]:
    """The first and last offset of each loop of a function, the smallest first."""
    backward = [(int(i.argval), i.offset) for i in dis.get_instructions(code) if "JUMP_BACKWARD" in i.opname]
    whole = {start: max(end for begin, end in backward if begin == start) for start, _ in backward}
    return sorted(whole.items(), key=lambda loop: loop[1] - loop[0])
