"""Weights that are variables of a module, which its functions read without being given them.

Scripts are often written so: ``Wxh`` stands at the top of the file, and ``lossFun(inputs, targets)`` reads it.
To try other values of it, the function is built anew with the weights as arguments. All that it calls in its file
is defined again inside of it, where the names mean these arguments:

    def lossFun(*args, Wxh, **kwargs):
        def step(x): ...            # as it was written
        def lossFun(inputs, targets): ...
        return lossFun(*args, **kwargs)
"""

from __future__ import annotations

import ast
import copy
import inspect
from collections.abc import Callable, Mapping, Sequence
from types import CodeType, FunctionType
from typing import Any

import numpy as np

from tinygrad_np.referee.claims import numbers
from tinygrad_np.referee.places import leaves
from tinygrad_np.referee.source import Piece, gradient_lines, pieces, plain


def module_weights(forward: Callable[..., Any], backward: Callable[..., Any]) -> dict[str, np.ndarray]:
    """The arrays of the module that the loss reads and that its hand gradient computes gradients of, by name."""
    if not isinstance(forward, FunctionType):
        return {}
    read = {name for piece in pieces(forward) for name in names_read(piece)}
    arrays = {
        name: x
        for name, x in forward.__globals__.items()
        if name in read and isinstance(x, np.ndarray) and x.dtype.kind == "f"
    }
    return {name: arrays[name] for name in gradient_lines(backward, list(arrays))}


def is_followed(
    original: Callable[..., Any],
    built: Callable[..., Any],
    weights: Mapping[str, np.ndarray],
    inputs: Mapping[str, Any],
) -> bool:
    """Whether other weights make the same difference to the function that was built as to the original."""
    around = plain(original).__globals__
    moved = {name: np.asarray(1.01 * x + 0.01) for name, x in weights.items()}
    around.update(copy.deepcopy(moved))
    try:
        expected = original(**copy.deepcopy(dict(inputs)))
    finally:
        around.update(weights)
    found = [built(**copy.deepcopy(dict(inputs)), **copy.deepcopy(moved)) for _ in range(2)]
    # a function that is random is the same to nothing, and the referee says so later
    return are_equal(expected, found[0]) or not are_equal(found[0], found[1])


def are_equal(one: Any, other: Any) -> bool:
    """Whether two results hold the same numbers."""
    first, second = ([x for _, leaf in leaves(r) if (x := numbers(leaf)) is not None] for r in (one, other))
    return len(first) == len(second) and all(
        np.array_equal(a, b, equal_nan=True) for a, b in zip(first, second, strict=True)
    )


def with_arguments(function: Callable[..., Any], weights: Sequence[str]) -> Callable[..., Any] | None:
    """The function with these variables of its module as arguments by name; None where it cannot be built so."""
    original = plain(function)
    parts = pieces(function)
    for piece in parts:
        if isinstance(piece.node, ast.FunctionDef):
            continue
        if names_read(piece) & set(weights):  # a method or a lambda, which is made elsewhere
            return None
    nodes = [copy.deepcopy(p.node) for p in parts if isinstance(p.node, ast.FunctionDef)]
    if any(
        isinstance(part, ast.Global) and set(part.names) & set(weights) for n in nodes for part in ast.walk(n)
    ):
        return None  # it writes to them
    if not any(node.name == original.__name__ for node in nodes if isinstance(node, ast.FunctionDef)):
        return None
    name = original.__name__
    source = f"def {name}(*_args, {', '.join(weights)}, **_rest):\n    return {name}(*_args, **_rest)"
    tree = ast.parse(source)
    outer = tree.body[0]
    assert isinstance(outer, ast.FunctionDef)
    outer.body[:0] = [node for node in nodes if isinstance(node, ast.FunctionDef)]
    code = compile(tree, original.__code__.co_filename, "exec", dont_inherit=True)
    made: dict[str, Any] = {}
    exec(located(code, parts), original.__globals__, made)
    built: Any = made[name]
    signature = inspect.signature(function)
    more = [inspect.Parameter(weight, inspect.Parameter.KEYWORD_ONLY) for weight in weights]
    own = list(signature.parameters.values())
    before_rest = len(own) - (bool(own) and own[-1].kind is inspect.Parameter.VAR_KEYWORD)
    built.__signature__ = signature.replace(parameters=own[:before_rest] + more + own[before_rest:])
    built.__wrapped__ = original  # for those who look for the source
    built.__module__ = original.__module__
    call: Callable[..., Any] = built
    return call


def names_read(piece: Piece) -> set[str]:
    """The names that a function takes from its surroundings, with those of the functions inside of it."""
    names = {node.id for node in ast.walk(piece.node) if isinstance(node, ast.Name)}
    return names - own_names(piece.node)


def own_names(node: ast.AST) -> set[str]:
    """The arguments of a function, and what it assigns to."""
    names = {part.arg for part in ast.walk(node) if isinstance(part, ast.arg)}
    return names | {
        part.id for part in ast.walk(node) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)
    }


def located(code: CodeType, parts: Sequence[Piece]) -> CodeType:
    """The code with the file of each function: the cells of a notebook are files of their own."""
    files = {(getattr(p.function, "name", ""), p.first): p.file for p in parts}

    def moved(x: Any, file: str) -> Any:
        if not isinstance(x, CodeType):
            return x
        file = files.get((x.co_name, x.co_firstlineno), file)
        return x.replace(co_filename=file, co_consts=tuple(moved(c, file) for c in x.co_consts))

    return moved(code, code.co_filename)  # type: ignore[no-any-return]
