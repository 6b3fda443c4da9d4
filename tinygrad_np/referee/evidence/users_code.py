"""The user's code as text: which functions a forward may call, and where in them numbers lose digits.

What a function may call is found from its globals, closure, defaults and object, and from those of what is found
there. Code of NumPy, the standard library and this package is not the user's.
"""

from __future__ import annotations

import ast
import linecache
import re
import types
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import numpy as np

from tinygrad_np.referee.recording.watch import is_users, place

DEEP = 8  # how far from the forward an object is still looked at
MANY = 20000  # how many objects

LOW = re.compile(r"""^[<>=|]?(f[24]?|e|float16|float32|half|single)$""")
LOW_NAMES = {"float16", "float32", "half", "single"}
WHOLE = re.compile(r"^[<>=|]?([iu][1248]?|[bhlq]|u?int\d*|bool)$")
WHOLE_NAMES = {"int", "bool", "int8", "int16", "int32", "int64", "uint8", "intp", "int_", "bool_"}
ROUNDING = {"round", "around", "rint", "floor", "ceil", "trunc", "fix", "sign", "digitize", "heaviside"}
# of which a positional argument such as 'f' is a dtype
TAKE_A_DTYPE = {"astype", "dtype", "zeros", "ones", "empty", "full", "array", "asarray", "view", "cast"}
ARRAYS = {"array", "asarray", "full", "full_like"}


def reachable(*roots: Any) -> Iterator[Any]:
    """The objects that functions or objects may use, these first: breadth first, each once.

    Of a function its globals, as far as its code names them, its closure and defaults; of a method its object; of
    an object of a class that the user wrote its attributes and methods; of a container its elements.
    """
    seen: dict[int, Any] = {}  # the object too: an id is only of one as long as it lives
    level = list(roots)
    for _ in range(DEEP):
        following: list[Any] = []
        for x in level:
            if id(x) in seen or isinstance(x, (str, bytes, int, float, complex, type(None))):
                continue
            if len(seen) >= MANY:
                return
            seen[id(x)] = x
            yield x
            following += parts(x)
        level = following


def parts(x: Any) -> list[Any]:
    """What an object leads to at once."""
    if isinstance(x, types.MethodType):
        return [x.__self__, x.__func__]
    if isinstance(x, types.FunctionType):
        inside = [
            *(x.__defaults__ or ()),
            *(x.__kwdefaults__ or {}).values(),
            getattr(x, "__wrapped__", None),
        ]
        for cell in x.__closure__ or ():
            try:
                inside.append(cell.cell_contents)
            except ValueError:  # not filled yet
                continue
        if is_users(x.__code__.co_filename):
            names = {name for code in codes(x.__code__) for name in code.co_names}
            for name in names:
                value = x.__globals__.get(name)
                inside.append(value)
                if isinstance(value, types.ModuleType) and is_users(
                    getattr(value, "__file__", None) or "<frozen"
                ):
                    inside += [vars(value)[other] for other in names if other in vars(value)]
        return inside
    if isinstance(x, (list, tuple, set, frozenset)):
        return list(x)
    if isinstance(x, dict):
        return list(x.values())
    if isinstance(x, np.ndarray):
        return list(x.flat) if x.dtype == object else []
    if isinstance(x, types.ModuleType):
        return []
    kind = x if isinstance(x, type) else type(x)
    inside = []
    if kind.__module__ == "functools":  # partial
        inside = [getattr(x, name, None) for name in ("func", "args", "keywords", "__wrapped__")]
    elif not isinstance(x, type):
        inside = list(getattr(x, "__dict__", {}).values())
        inside += [getattr(x, name, None) for c in kind.__mro__ for name in slots(c)]
    for c in kind.__mro__:
        for method in vars(c).values():
            method = getattr(method, "__func__", getattr(method, "fget", method))
            if isinstance(method, types.FunctionType) and is_users(method.__code__.co_filename):
                inside.append(method)
    return inside


def slots(kind: type) -> list[str]:
    names = vars(kind).get("__slots__", ())
    return [names] if isinstance(names, str) else list(names)


def codes(code: types.CodeType) -> Iterator[types.CodeType]:
    """A code and those of the functions defined in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from codes(constant)


def users_functions(*roots: Any) -> list[types.FunctionType]:
    """The functions of the user among what is reachable."""
    return [
        x for x in reachable(*roots) if isinstance(x, types.FunctionType) and is_users(x.__code__.co_filename)
    ]


def nodes(function: types.FunctionType) -> Iterator[tuple[ast.AST, str]]:
    """The parts of a function's source, each with the text of its place; none where there is no source."""
    code = function.__code__
    lines = {line for inner in codes(code) for _, _, line in inner.co_lines() if line}
    text = "".join(linecache.getlines(code.co_filename, function.__globals__))
    for line, node in parsed(text):
        if line in lines:
            yield node, place(code.co_filename, line)


@lru_cache(maxsize=16)
def parsed(text: str) -> list[tuple[int, ast.AST]]:
    """All parts of a file with their lines."""
    try:
        tree = ast.parse(text)
    except SyntaxError:  # as that of a notebook's cell with magic commands
        return []
    return [(node.lineno, node) for node in ast.walk(tree) if hasattr(node, "lineno")]


def low_precision(*roots: Any) -> list[str]:
    """Where float32 and float16 stand in the user's functions, "dtype='f' at lstm.py:3", or in their objects."""
    return found_in(roots, low_text) or list(dict.fromkeys(low_attributes(*roots)))


def low_attributes(*roots: Any) -> Iterator[str]:
    """The attributes of the user's objects that are arrays of float32, or that dtype."""
    for x in reachable(*roots):
        if isinstance(x, types.ModuleType):
            continue
        for name, value in list(getattr(x, "__dict__", {}).items()):
            for low in (np.float32, np.float16):
                is_array = isinstance(value, np.ndarray | np.generic) and value.dtype == low
                if is_array or value is low or (isinstance(value, np.dtype) and value == low):
                    yield f"{name}, {low.__name__}"


def truncating(*roots: Any) -> list[str]:
    """Where values are rounded or made whole numbers: "np.round(y, 6) at lstm.py:3"."""
    return found_in(roots, whole_text)


def found_in(roots: tuple[Any, ...], told: Callable[[ast.AST, dict[str, Any]], str]) -> list[str]:
    found: dict[str, None] = {}
    for function in users_functions(*roots):
        for node, at in nodes(function):
            if text := told(node, function.__globals__):
                found[f"{text} at {at}"] = None
    return list(found)


def low_text(node: ast.AST, names: dict[str, Any]) -> str:
    """The text of a part that asks for float32 or float16, or ""."""
    if isinstance(node, ast.keyword) and node.arg == "dtype" and asks_for(node.value, names, LOW, "f", True):
        return shortened(f"dtype={ast.unparse(node.value)}")
    if isinstance(node, ast.Call) and (
        called(node) in LOW_NAMES
        or any(asks_for(a, names, LOW, "f", called(node) in TAKE_A_DTYPE) for a in node.args)
    ):
        return shortened(ast.unparse(node))
    return ""


def whole_text(node: ast.AST, names: dict[str, Any]) -> str:
    """The text of a part that rounds, or makes what holds whole numbers only, or ""."""
    if (
        isinstance(node, ast.keyword)
        and node.arg == "dtype"
        and asks_for(node.value, names, WHOLE, "iub", True)
    ):
        return shortened(f"dtype={ast.unparse(node.value)}")
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.FloorDiv):
        return shortened(ast.unparse(node))
    if isinstance(node, ast.Call):
        name = called(node)
        written_out = (
            name in ARRAYS and not any(k.arg == "dtype" for k in node.keywords) and only_whole(node.args)
        )
        if (
            name in ROUNDING
            or name in WHOLE_NAMES
            or written_out
            or (name in TAKE_A_DTYPE and any(asks_for(a, names, WHOLE, "iub", True) for a in node.args))
        ):
            return shortened(ast.unparse(node))
    return ""


def asks_for(node: ast.AST, names: dict[str, Any], text: re.Pattern[str], kinds: str, as_text: bool) -> bool:
    """Whether an argument is such a dtype: as text, as ``np.float32``, or as a name in the module that is one."""
    if isinstance(node, ast.Constant):
        return as_text and isinstance(node.value, str) and bool(text.match(node.value))
    if isinstance(node, ast.Name) and node.id in names:
        value = names[node.id]
        if isinstance(value, np.dtype) or (isinstance(value, type) and issubclass(value, np.generic)):
            dtype = np.dtype(value)
            return dtype.kind in kinds and (kinds != "f" or dtype.itemsize < 8)
    called_so = getattr(node, "attr", getattr(node, "id", None))
    return called_so in (LOW_NAMES if kinds == "f" else WHOLE_NAMES)


def called(node: ast.Call) -> str:
    return getattr(node.func, "attr", getattr(node.func, "id", ""))


def only_whole(arguments: list[ast.expr]) -> bool:
    """Whether arguments are written out as whole numbers alone, as the [0, 0] of an array that truncates."""
    constants = [node.value for a in arguments for node in ast.walk(a) if isinstance(node, ast.Constant)]
    others = [
        node
        for a in arguments
        for node in ast.walk(a)
        if not isinstance(node, (ast.Constant, ast.List, ast.Tuple, ast.Load, ast.UnaryOp, ast.USub))
    ]
    return bool(constants) and not others and all(type(value) in (int, bool) for value in constants)


def shortened(text: str) -> str:
    return text if len(text) <= 40 else text[:37] + "..."
