"""What a call of somebody's function is made on: the inputs, variables around the functions, objects of methods.

All of it is one dict, so that what stands in two places is copied once. Here is what of it may be a parameter, and
what a call has changed in it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np

from tinygrad_np.referee.intake.claims import Gradient, Parameter, alike, kept_apart, numbers
from tinygrad_np.referee.intake.places import Path, get, leaves, short_names

# "inputs" and "globals" by name; "self" and "gradient" are the objects that the two methods are of.
Stage: TypeAlias = dict[str, Any]


# What a parameter stands in, and what it is called there.


def named(path: Path) -> Path:
    """A place as the user knows it."""
    return path[1:] if path[0].key in ("inputs", "globals") else path


def keys(path: Path) -> tuple[Any, ...]:
    """The keys of a place, for comparison of names; objects of methods have none."""
    return tuple(step.key for step in path[1:])


def root(path: Path) -> str:
    """The argument or object in which a place is."""
    return str(named(path)[0].key)


def argument_of(path: Path) -> str | None:
    return path[1].key if path[0].key == "inputs" else None


def owners(stage: Stage) -> list[Any]:
    return [x for name, x in stage.items() if name not in ("inputs", "globals")]


def parameters_of(stage: Stage) -> list[Parameter]:
    """All numbers and arrays that may be parameters; what is kept in objects for their gradients is none."""
    places: dict[Any, tuple[Any, list[Path]]] = {}
    for path, x in leaves(stage):
        if (type(x) in (np.ndarray, np.matrix) and x.dtype.kind in "fiu") or isinstance(x, list):
            places.setdefault(id(x), (x, []))[1].append(path)
        elif isinstance(x, float | np.floating | int | np.integer) and not isinstance(x, bool):
            places[path] = (x, [path])
    names = short_names([named(paths[0]) for _, paths in places.values()])
    found = [
        Parameter(name, tuple(paths), x, root(paths[0]), keys(paths[0]))
        for name, (x, paths) in zip(names, places.values(), strict=True)
    ]

    def holds_a_gradient(q: Parameter) -> bool:
        if q.direct:
            return False
        g = Gradient(q.keys, np.asarray(q.value), q.root)
        return any(
            np.shape(p.value) == g.value.shape
            and (like := alike(q.keys, p.keys))
            and (like[2] < 0 or kept_apart(g))
            for p in found
            if p is not q
        )

    holders = {q.name for q in found if holds_a_gradient(q)}
    return [p for p in found if p.name not in holders]


# What a call has changed.

Snapshot: TypeAlias = dict[Path, tuple[Any, Any]]


def snapshot(stage: Stage) -> Snapshot:
    """All leaves, and copies of those that are arrays or lists."""
    return {
        path: (x, copy.deepcopy(x) if isinstance(x, np.ndarray | list) else x) for path, x in leaves(stage)
    }


def overwritten(stage: Stage, path: Path, before: Snapshot) -> bool:
    """Whether something else stands at a place, or was written into the array there."""
    try:
        x = get(stage, path)
    except (KeyError, IndexError, AttributeError, TypeError):
        return True
    same, copy_of_it = before[path]
    if x is not same:
        return True
    return isinstance(x, np.ndarray | list) and not np.array_equal(x, copy_of_it, equal_nan=True)


def changed(stage: Stage, before: Snapshot) -> Iterator[tuple[Path, np.ndarray]]:
    """The arrays and numbers that are new or others than before, and those that stand beside such."""
    after = [(path, array) for path, x in leaves(stage) if (array := numbers(x)) is not None]
    new = {path for path, _ in after if path not in before or overwritten(stage, path, before)}
    beside = {path[:-1] for path in new}
    return ((path, array) for path, array in after if path in new or path[:-1] in beside)
