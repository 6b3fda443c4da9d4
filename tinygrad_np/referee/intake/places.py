"""Where the arrays are in somebody's data: in dicts, lists, tuples and attributes of objects; and copies of it.

A place is a path of steps from the outside in, and is called what people write: ``params['Wf']``,
``net.layers[0].W``. Nothing is changed here but copies.
"""

from __future__ import annotations

import copy
import sys
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

# Objects whose attributes are nobody's parameters.
OPAQUE = (
    type,
    types.ModuleType,
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodType,
    np.ndarray,
    np.generic,
    np.dtype,
    np.random.Generator,
    np.random.RandomState,
)
# Whose classes are not somebody's own; but there are plain ones to hold attributes.
OTHERS = {"numpy", "scipy", "pandas", "matplotlib", "torch", "sklearn"} | sys.stdlib_module_names
OTHERS -= {"types", "argparse", "__main__"}


@dataclass(frozen=True)
class Step:
    """One step inwards: an attribute, or what stands under a key or index."""

    key: Any
    attribute: bool = False

    def get(self, x: Any) -> Any:
        return getattr(x, self.key) if self.attribute else x[self.key]

    def put(self, x: Any, value: Any) -> Any:
        """`x` with the value in its place: itself, or another one if it is a tuple."""
        if self.attribute and isinstance(x, tuple):
            return x._replace(**{self.key: value})  # type: ignore[attr-defined]
        if self.attribute:
            object.__setattr__(x, self.key, value)  # of a frozen dataclass too
        elif isinstance(x, tuple):
            return tuple(value if i == self.key else item for i, item in enumerate(x))
        else:
            x[self.key] = value
        return x

    def __str__(self) -> str:
        return f".{self.key}" if self.attribute else f"[{self.key!r}]"


Path: TypeAlias = tuple[Step, ...]


def get(x: Any, path: Path) -> Any:
    """What stands at a place."""
    for step in path:
        x = step.get(x)
    return x


def put(x: Any, path: Path, value: Any) -> Any:
    """`x` with the value at a place. All on the way is changed in place, but tuples, which are made anew."""
    if not path:
        return value
    step, *rest = path
    inner = step.get(x)
    replaced = put(inner, tuple(rest), value)
    return x if replaced is inner else step.put(x, replaced)


def attributes(x: Any) -> dict[str, Any]:
    """An object's own attributes; none of what is no object of somebody's class."""
    if isinstance(x, OPAQUE) or type(x).__module__.partition(".")[0] in OTHERS:
        return {}
    found = dict(getattr(x, "__dict__", {}))
    for cls in type(x).__mro__:
        slots = cls.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if hasattr(x, name) and not name.startswith("__"):
                found[name] = getattr(x, name)
    return found


def is_matrix(x: Any) -> bool:
    """Whether this is a list of numbers, or of such lists of the same form, as one writes a vector or a matrix."""
    if type(x) is not list or not x:
        return False
    if all(isinstance(item, int | float | np.number) and not isinstance(item, bool) for item in x):
        return True
    return all(is_matrix(item) for item in x) and len({np.shape(item) for item in x}) == 1


def inside(x: Any) -> list[tuple[Step, Any]]:
    """What a dict, list, tuple or object holds; nothing if it is none of these, or a list that is a matrix."""
    if is_matrix(x):
        return []
    if isinstance(x, Mapping):
        return [(Step(key), item) for key, item in x.items()]
    if isinstance(x, tuple) and hasattr(x, "_fields"):
        return [(Step(name, True), item) for name, item in zip(x._fields, x, strict=True)]
    if isinstance(x, list | tuple):
        return [(Step(i), item) for i, item in enumerate(x)]
    return [(Step(name, True), item) for name, item in attributes(x).items()]


def leaves(x: Any, path: Path = (), _seen: dict[int, Any] | None = None) -> Iterator[tuple[Path, Any]]:
    """All that holds nothing else, with its place. What is held twice is given once, but in tuples."""
    seen = {} if _seen is None else _seen
    parts = inside(x)
    if not parts:
        if is_matrix(x) or not isinstance(x, Mapping | list | tuple):
            yield path, x
        return
    if id(x) in seen:
        return
    seen[id(x)] = x  # kept, so that no other object gets its id
    for step, item in parts:
        yield from leaves(item, (*path, step), seen)
    if isinstance(
        x, tuple
    ):  # a tuple is made anew when something is put into it, and so at each of its places
        del seen[id(x)]


def copied(x: Any, memo: dict[Any, Any], kept: list[str]) -> Any:
    """A deep copy. What cannot be copied is kept as it is, its type named in `kept`, and all around it copied."""
    if id(x) in memo:
        return memo[id(x)]
    trial = dict(memo)
    try:
        result = copy.deepcopy(x, trial)
    except Exception:  # a lock, an open file, a module: whatever it says, it cannot be copied
        pass
    else:
        # What deepcopy keeps alive, so that no id in its memo is used again, it keeps under the id of the memo.
        memo.setdefault("alive", []).append(trial.pop(id(trial), None))
        memo.update(trial)
        return result
    parts = inside(x)
    if not parts:
        if not isinstance(x, types.ModuleType):
            kept.append(type(x).__name__)
        return x
    if isinstance(x, tuple):
        items = [copied(item, memo, kept) for _, item in parts]
        return type(x)._make(items) if hasattr(x, "_make") else tuple(items)
    try:
        result = copy.copy(x)
    except Exception:
        kept.append(type(x).__name__)
        return x
    memo[id(x)] = result
    for step, item in parts:
        step.put(result, copied(item, memo, kept))
    return result


def text(path: Path) -> str:
    """A place as people write it; the first step is a name."""
    return str(path[0].key) + "".join(str(step) for step in path[1:]) if path else ""


def short_names(paths: Sequence[Path]) -> list[str]:
    """The end of each path that begins with a name and is no end of another path; else the whole."""
    ends: dict[str, int] = {}
    possible: list[list[str]] = []
    for path in paths:
        own = [
            text(path[i:])
            for i in reversed(range(len(path)))
            if isinstance(path[i].key, str) and path[i].key.isidentifier()
        ]
        possible.append(own)
        for end in set(own):
            ends[end] = ends.get(end, 0) + 1
    return [
        next((end for end in own if ends[end] == 1), text(path))
        for path, own in zip(paths, possible, strict=True)
    ]
