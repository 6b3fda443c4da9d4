"""Reading somebody's source: their functions with those that they call, and the lines that compute a gradient."""

from __future__ import annotations

import ast
import functools
import inspect
import linecache
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import Any, TypeAlias

from tinygrad_np.referee.intake.claims import AFTER, BEFORE, OF_GRADIENTS, spelled

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_BEGINNINGS = {"zeros", "zeros_like", "empty", "empty_like", "fromkeys", "defaultdict"}  # of a sum


@dataclass(frozen=True)
class Piece:
    """A part of the user's source: a function, or the whole class of a method.

    Attributes
    ----------
    file : str
        As Python names it: a path, or "notebook.ipynb[3]".
    first : int
        The number of the first line.
    lines : list of str
        Without their ends.
    function : ast.FunctionDef or ast.Lambda
        The function that was asked for.
    node : ast.AST
        The same, or its class.
    """

    file: str
    first: int
    lines: list[str]
    function: Function
    node: ast.AST

    @property
    def name(self) -> str:
        """The name of the file, as it is told to people."""
        return Path(self.file).name

    @property
    def last(self) -> int:
        return self.first + len(self.lines) - 1


def pieces(*functions: Callable[..., Any]) -> list[Piece]:
    """The source of functions, and of what they call from the same file or notebook, each line once."""
    found: list[Piece] = []
    waiting: list[Any] = list(functions)
    seen: set[CodeType] = set()
    while waiting:
        function = plain(waiting.pop(0))
        code = getattr(function, "__code__", None)
        if code is None or code in seen:
            continue
        seen.add(code)
        piece = piece_of(code)
        if piece is None:
            continue
        if not any(p.file == piece.file and p.first <= piece.first and piece.last <= p.last for p in found):
            found.append(piece)
        waiting += [f for f in called(function, piece) if _home(plain(f)) == _home(function)]
    return found


def gradient_lines(function: Callable[..., Any], names: Sequence[str]) -> dict[str, list[int]]:
    """The lines of a function's file that compute its gradients with respect to the parameters of these names.

    There ``dW``, ``grads["W"]``, ``self.W_grad`` or the like is written to, or something is returned as one, in
    the function or else in those that it calls. Lines that begin a sum with zeros are left out where others follow.
    A name whose lines are not found is left out too.
    """
    parts = pieces(function)
    if not parts:
        return {}
    here = [parts[0].function, parts[0].node, *(p.node for p in parts[1:] if p.file == parts[0].file)]
    own = {n.name for p in parts for n in ast.walk(p.node) if isinstance(n, ast.FunctionDef)}
    found: dict[str, list[int]] = {}
    for name in names:
        kinds = (
            kind
            for nearly in (False, True)
            for kind in zip(*(lines_of(n, name, nearly, own) for n in here), strict=True)
        )
        found[name] = next((lines for kind in kinds for lines in kind if lines), [])
    return {name: lines for name, lines in found.items() if lines}


def gradient_places(function: Callable[..., Any], names: Sequence[str]) -> dict[str, str]:
    """The same as text: "lstm.py:57", or "lstm.py:57, 63"."""
    file = os.path.basename(getattr(getattr(plain(function), "__code__", None), "co_filename", ""))
    lines = gradient_lines(function, names)
    return {name: f"{file}:{', '.join(map(str, lines[name]))}" for name in names if name in lines}


# --- finding functions --------------------------------------------------------------------------------


def plain(function: Any) -> Any:
    """The function with the source, under methods, partials, decorators and objects that are called."""
    while True:
        if isinstance(function, functools.partial):
            function = function.func
        elif inspect.ismethod(function):
            function = function.__func__
        elif hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        elif not hasattr(function, "__code__") and hasattr(type(function).__call__, "__code__"):
            function = type(function).__call__
        else:
            return function


def piece_of(code: CodeType) -> Piece | None:
    """Where the code of a function stands, if its source can be read."""
    lines = linecache.getlines(code.co_filename)
    try:
        tree = ast.parse("".join(lines))
    except SyntaxError:
        return None
    for node, parent in with_parents(tree):
        if not isinstance(node, Function) or getattr(node, "name", "<lambda>") != code.co_name:
            continue
        if first_line(node) != code.co_firstlineno:
            continue
        whole = parent if isinstance(parent, ast.ClassDef) else node
        first, last = first_line(whole), whole.end_lineno or whole.lineno
        text = [line.rstrip("\n") for line in lines[first - 1 : last]]
        return Piece(code.co_filename, first, text, node, whole)
    return None


def with_parents(tree: ast.AST) -> Iterator[tuple[ast.AST, ast.AST]]:
    for parent in ast.walk(tree):
        for node in ast.iter_child_nodes(parent):
            yield node, parent


def first_line(node: Any) -> int:
    """Of a function or a class, its decorators included."""
    lines: list[int] = [node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))]
    return min(lines)


def called(function: Any, piece: Piece) -> list[Any]:
    """What the source of a function or its class names, out of the function's own surroundings."""
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    known = function.__globals__ | {name: cell.cell_contents for name, cell in cells if cell_is_full(cell)}
    names = dict.fromkeys(node.id for node in ast.walk(piece.node) if isinstance(node, ast.Name))
    values = [known[name] for name in names if name in known]
    calls = [node.func for node in ast.walk(piece.node) if isinstance(node, ast.Call)]
    methods = dict.fromkeys(f.attr for f in calls if isinstance(f, ast.Attribute))
    for kind in [x for x in known.values() if isinstance(x, type)]:  # net.backward(...), of whatever object
        values += [vars(kind)[name] for name in methods if name in vars(kind)]
    return [value for value in values if callable(value) and not isinstance(value, type)]


def cell_is_full(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False


def _home(function: Any) -> str:
    """The file of a function, or its notebook."""
    code = getattr(function, "__code__", None)
    return re.sub(r"\[\d+\]$", "", code.co_filename) if code else ""


# --- finding lines ------------------------------------------------------------------------------------


def lines_of(node: ast.AST, name: str, nearly: bool, own: set[str]) -> tuple[list[int], list[int], list[int]]:
    """The lines in a part of the source that write to the gradient with respect to a parameter, in three kinds.

    First those that compute it; then those that take over what one of the user's `own` functions has computed; then
    those that begin a sum.
    """
    name = (re.findall(r"[^\W\d]\w*", name) or [""])[-1]  # of "net.layers[0].W"
    if not name:
        return [], [], []
    writes = list(writes_in(node))
    found = [(line, value) for target, line, value in writes if is_gradient(target, name, nearly)]
    for key, value in renamed_in(node, name, nearly):
        if isinstance(value, ast.Name) and not spells(
            value.id, name, nearly
        ):  # {"W": g}: where g is written to
            where = [(line, v) for target, line, v in writes if holds(target, value.id)]
            found += where or [(key.lineno, value)]
        elif not isinstance(value, ast.Name):
            found.append((value.lineno, value))
        elif not found:
            found.append((key.lineno, value))
    kinds: tuple[set[int], set[int], set[int]] = (set(), set(), set())
    for line, what in found:
        kinds[2 if begins(what) else 1 if takes_over(what, own) else 0].add(line)
    return sorted(kinds[0]), sorted(kinds[1]), sorted(kinds[2])


def takes_over(value: ast.expr | None, own: set[str]) -> bool:
    """Whether a value is what one of these functions returns."""
    if not isinstance(value, ast.Call):
        return False
    return (value.func.id if isinstance(value.func, ast.Name) else getattr(value.func, "attr", "")) in own


def writes_in(node: ast.AST) -> Iterator[tuple[ast.expr, int, ast.expr | None]]:
    """Each target that is written to, the line, and the value where it is one of its own."""
    for part in ast.walk(node):
        if isinstance(part, ast.Assign):
            for target in part.targets:
                yield from matched(target, part.value, part.lineno)
        elif isinstance(part, ast.AugAssign | ast.AnnAssign | ast.NamedExpr) and part.value is not None:
            yield part.target, part.lineno, None if isinstance(part, ast.AugAssign) else part.value
        elif isinstance(part, ast.Call):
            for keyword in part.keywords:
                if keyword.arg == "out":
                    yield keyword.value, part.lineno, None
            if isinstance(part.func, ast.Attribute) and part.func.attr == "at" and part.args:  # np.add.at
                yield part.args[0], part.lineno, None


def matched(target: ast.expr, value: ast.expr, line: int) -> Iterator[tuple[ast.expr, int, ast.expr]]:
    """The targets of an assignment one by one, beside their values."""
    if not isinstance(target, ast.Tuple | ast.List):
        yield target, line, value
    elif isinstance(value, ast.Tuple | ast.List) and len(value.elts) == len(target.elts):
        for one, its in zip(target.elts, value.elts, strict=True):
            yield from matched(one, its, line)
    else:
        for one in target.elts:
            yield from matched(one, value, line)


def renamed_in(node: ast.AST, name: str, nearly: bool) -> Iterator[tuple[ast.expr, ast.expr]]:
    """The entries of dicts that stand for the gradient, as in ``return {"W": g}`` and ``grads = dict(dW=g)``."""
    for part in ast.walk(node):
        returned = isinstance(part, ast.Return)
        if isinstance(part, ast.Lambda):
            values, returned = [part.body], True
        elif isinstance(part, ast.Return | ast.Assign | ast.AnnAssign) and part.value is not None:
            values = [part.value]
        else:
            continue
        targets = part.targets if isinstance(part, ast.Assign) else []
        gradients = returned or any(like_gradients(target) for target in targets)
        if isinstance(values[0], ast.Tuple):  # return loss, {"W": g}
            values = values[0].elts
        for value in values:
            if isinstance(value, ast.Dict):
                entries = [
                    (key, v) for key, v in zip(value.keys, value.values, strict=True) if key is not None
                ]
            elif isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "dict":
                entries = [
                    (ast.Constant(k.arg, lineno=k.lineno), k.value)
                    for k in value.keywords
                    if k.arg is not None
                ]
            else:
                continue
            for key, its in entries:
                text = key.value if isinstance(key, ast.Constant) else None
                if isinstance(text, str) and (spells(text, name, nearly) or (gradients and text == name)):
                    yield key, its


def is_gradient(target: ast.expr, name: str, nearly: bool) -> bool:
    """Whether what is written to is the gradient with respect to a parameter, or a part of it."""
    if isinstance(target, ast.Starred):
        return is_gradient(target.value, name, nearly)
    if isinstance(target, ast.Name):
        return spells(target.id, name, nearly)
    if isinstance(target, ast.Attribute):
        if target.attr == "grad":  # W.grad, self.W.grad
            return holds(target.value, name)
        return spells(target.attr, name, nearly) or (target.attr == name and like_gradients(target.value))
    if isinstance(target, ast.Subscript):
        if key := pattern(target.slice):
            if re.fullmatch(key, name):
                return like_gradients(target.value)
            return says(key, name, nearly)
        return is_gradient(target.value, name, nearly)
    if isinstance(target, ast.Call) and isinstance(target.func, ast.Name) and target.func.id == "getattr":
        key = pattern(target.args[1]) if len(target.args) > 1 else ""
        return bool(key) and says(key, name, nearly)
    return False


def pattern(key: ast.expr) -> str:
    """A regular expression for a text in the source, as ``"dW" + gate``; "" if none of it is told."""

    def part(x: ast.expr) -> str:
        if isinstance(x, ast.Constant) and isinstance(x.value, str):
            return re.escape(x.value)
        if isinstance(x, ast.BinOp) and isinstance(x.op, ast.Add):
            return part(x.left) + part(x.right)
        if isinstance(x, ast.JoinedStr):
            return "".join(map(part, x.values))
        return r"\w+"

    found = part(key)
    return found if found.replace(r"\w+", "") else ""


def says(key: str, name: str, nearly: bool) -> bool:
    """Whether such a text may be a name of the gradient of a parameter; what makes it one is told."""
    flags = re.IGNORECASE if nearly else re.NOFLAG
    before = [b for b in BEFORE if key.startswith(re.escape(b))]
    after = [a for a in AFTER if key.endswith(re.escape(a))]
    words = [f"{b}{_}{name}" for b in before for _ in ("", "_")] + [f"{name}{a}" for a in after]
    return any(re.fullmatch(key, word, flags) for word in words)


def holds(target: ast.expr, name: str) -> bool:
    """Whether an expression is this name, an attribute of it, or a part of either."""
    while isinstance(target, ast.Subscript):
        target = target.value
    return (target.id if isinstance(target, ast.Name) else getattr(target, "attr", None)) == name


def like_gradients(target: ast.expr) -> bool:
    """Whether something is called as gradients of several parameters are: ``grads``, ``self.dparams``."""
    text = target.id if isinstance(target, ast.Name) else getattr(target, "attr", "")
    return text in OF_GRADIENTS or "grad" in text.lower()


def spells(text: str, name: str, nearly: bool) -> bool:
    """Whether a word is the name of a gradient: dW, grad_W, W_grad; or `nearly`, as dw is for W."""
    meant = set() if text in OF_GRADIENTS else spelled(text)
    return name in meant or (nearly and folded(name) in map(folded, meant))


def folded(name: str) -> str:
    return name.replace("_", "").lower()


def begins(value: ast.expr | None) -> bool:
    """Whether a value is the beginning of a sum: 0, np.zeros_like(W), {}."""
    if isinstance(value, ast.Call):
        function = value.func
        return (
            function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")
        ) in _BEGINNINGS
    if isinstance(value, ast.Constant):
        return value.value in (0, None)
    if isinstance(value, ast.BinOp) and isinstance(value.op, ast.Mult):  # [0.0] * n
        return begins(value.left) or begins(value.right)
    if isinstance(value, ast.ListComp):
        return begins(value.elt)
    if isinstance(value, ast.List | ast.Dict):
        return all(map(begins, value.elts if isinstance(value, ast.List) else value.values))
    return False
