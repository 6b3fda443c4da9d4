"""Epsilons in the user's code: small numbers that protect a division or a logarithm, each with its place.

What multiplies something, such as a learning rate or a weight decay, is none, however small: the gradient of a loss
without its weight decay is the gradient of another loss.
"""

from __future__ import annotations

import ast
import linecache
import types
from typing import Any

from tinygrad_np.referee.evidence.users_code import nodes, parsed, reachable, users_functions
from tinygrad_np.referee.recording.watch import place

SMALL = 1e-3  # the largest
FACTORS = ast.Mult, ast.Div, ast.Pow, ast.MatMult


def epsilons(*roots: Any) -> dict[float, str]:
    """The epsilons that functions of the user use: "1e-06 at lstm.py:3"."""
    functions = users_functions(*roots)
    names = names_of_small(functions, *roots)
    found: dict[float, str] = {}
    in_files: dict[float, str] = {}  # where a global, a default or an attribute may come from
    factors: set[float] = set()
    for function in functions:
        for node, at in nodes(function):
            if is_small(node):
                found.setdefault(node.value, f"{node.value:g} at {at}")  # type: ignore[attr-defined]
            if isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, FACTORS):
                sides = (node.left, node.right) if isinstance(node, ast.BinOp) else (node.target, node.value)
                factors.update(value for side in sides for value in values_of(side, names))
        filename = function.__code__.co_filename
        for line, node in parsed("".join(linecache.getlines(filename, function.__globals__))):
            if is_small(node):
                value = node.value  # type: ignore[attr-defined]
                in_files.setdefault(value, f"{value:g} at {place(filename, line)}")
    for values in names.values():
        for value in values:
            found.setdefault(value, in_files.get(value, f"{value:g}"))
    return {value: text for value, text in found.items() if value not in factors}


def names_of_small(functions: list[types.FunctionType], *roots: Any) -> dict[str, set[float]]:
    """What small numbers are called: globals, defaults, variables, attributes, keys of dicts."""
    names: dict[str, set[float]] = {}

    def keep(name: Any, value: Any) -> None:
        if isinstance(name, str) and type(value) is float and 0 < value <= SMALL:
            names.setdefault(name, set()).add(value)

    for function in functions:
        code = function.__code__
        for name in code.co_names:
            keep(name, function.__globals__.get(name))
        arguments = code.co_varnames[: code.co_argcount]
        for name, value in zip(reversed(arguments), reversed(function.__defaults__ or ()), strict=False):
            keep(name, value)
        for name, value in (function.__kwdefaults__ or {}).items():
            keep(name, value)
        for node, _ in nodes(function):
            if isinstance(node, ast.Assign) and is_small(node.value):
                for target in node.targets:
                    keep(name_of(target), node.value.value)  # type: ignore[attr-defined]
            elif isinstance(node, ast.keyword) and is_small(node.value):
                keep(node.arg, node.value.value)  # type: ignore[attr-defined]
    for x in reachable(*roots):
        if isinstance(x, types.FunctionType):
            for name, cell in zip(x.__code__.co_freevars, x.__closure__ or (), strict=True):
                try:
                    keep(name, cell.cell_contents)
                except ValueError:  # not filled yet
                    continue
        elif not isinstance(x, types.ModuleType):
            for name, value in list((x if isinstance(x, dict) else getattr(x, "__dict__", {})).items()):
                keep(name, value)
    return names


def values_of(node: ast.AST, names: dict[str, set[float]]) -> set[float]:
    """The small numbers that an operand may be."""
    while isinstance(node, ast.UnaryOp):
        node = node.operand
    if is_small(node):
        return {node.value}  # type: ignore[attr-defined]
    return names.get(name_of(node), set())


def name_of(node: ast.AST) -> str:
    """What a variable, an attribute or an element of a dict is called, or ""."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        return str(node.slice.value)
    return ""


def is_small(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) is float and 0 < node.value <= SMALL
