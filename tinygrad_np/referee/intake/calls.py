"""How somebody's functions are called: which argument is an input, a cache that the forward left, or a cotangent.

And what they return: the names in ``return loss, cache`` say as much as their order.
"""

from __future__ import annotations

import ast
import dis
import functools
import inspect
import textwrap
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_np.referee.intake.claims import numbers, spelled
from tinygrad_np.referee.intake.places import Path, Step, attributes, inside, leaves

CACHES = {
    *(
        "cache",
        "caches",
        "ctx",
        "context",
        "saved",
        "memory",
        "tape",
        "store",
        "stored",
        "fwd",
        "forward_cache",
    ),
    *("intermediates", "activations", "history", "residuals", "trace", "aux", "acts", "cached", "buffers"),
}
COTANGENTS = {
    *("dout", "douts", "grad_output", "grad_out", "output_grad", "output_gradient", "upstream", "delta", "R"),
    *("dvalues", "grad", "g", "gradient", "error", "err", "cotangent", "seed", "dl", "ddout", "gout", "up"),
}
LOSSES = ("loss", "total_loss", "cost", "objective", "nll", "energy", "error", "err", "J", "E", "L", "C")


@dataclass(frozen=True)
class Function:
    """A function of somebody's; or a method, with the object that it is of."""

    given: Callable[..., Any]
    owner: Any = None

    @staticmethod
    def of(given: Callable[..., Any], what: str) -> Function:
        if not callable(given):
            raise TypeError(f"the {what} is a function or method, and here {type(given).__name__}")
        if isinstance(given, types.MethodType) and not isinstance(given.__self__, type):
            return Function(given, given.__self__)
        if not isinstance(given, types.FunctionType | functools.partial | type) and attributes(given):
            return Function(type(given).__call__.__get__(given), given)  # an object that is called itself
        return Function(given)

    @property
    def name(self) -> str:
        return getattr(self.given, "__name__", "") or "the function"

    def on(
        self, owner: Any, variables: Mapping[str, Any], convert: Callable[[Any], Any]
    ) -> Callable[..., Any]:
        """The same of a copy of its object, or converted itself, with these in the place of global variables."""
        if self.owner is None:
            converted: Callable[..., Any] = convert(self.given)
            if not isinstance(self.given, types.FunctionType) or not (variables or self.written):
                return converted
            return with_variables(self.given, converted, variables)
        bound: Callable[..., Any] | None = getattr(owner, self.name, None)
        if bound is None:  # it was set on the object by hand
            bound = types.MethodType(convert(self.given.__func__), owner)  # type: ignore[attr-defined]
        return bound

    @functools.cached_property
    def parameters(self) -> list[inspect.Parameter] | None:
        """Its parameters, without `self`; None where nobody knows."""
        try:
            return list(inspect.signature(self.given).parameters.values())
        except (TypeError, ValueError):
            return None

    @property
    def takes_any(self) -> bool:
        """Whether it may take arguments of any name or number."""
        return self.parameters is None or any(
            p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL) for p in self.parameters
        )

    @functools.cached_property
    def codes(self) -> list[types.CodeType]:
        """Its code, and that of the functions of its module that it calls."""
        if not isinstance(self.given, types.FunctionType):
            return []
        around, codes = self.given.__globals__, [self.given.__code__]
        for code in codes:
            inner = [part for part in code.co_consts if isinstance(part, types.CodeType)]
            called = [around.get(name) for name in _globals_in(code, "LOAD_GLOBAL")]
            inner += [
                f.__code__ for f in called if isinstance(f, types.FunctionType) and f.__globals__ is around
            ]
            codes += [part for part in dict.fromkeys(inner) if part not in codes]
        return codes

    @functools.cached_property
    def global_variables(self) -> dict[str, Any]:
        """The variables with numbers that its code reads from its module, or from a function around it."""
        if not isinstance(self.given, types.FunctionType):
            return {}
        names = dict.fromkeys(name for code in self.codes for name in _globals_in(code, "LOAD_GLOBAL"))
        found = {name: self.given.__globals__[name] for name in names if name in self.given.__globals__}
        found |= {name: cell.cell_contents for name, cell in cells_of(self.given).items()}
        return {name: x for name, x in found.items() if has_floats(x)}

    @functools.cached_property
    def written(self) -> set[str]:
        """The global variables that its code sets."""
        return {name for code in self.codes for name in _globals_in(code, "STORE_GLOBAL")}

    def returned_names(self, count: int) -> list[str | None]:
        """What it calls the parts of the tuple that it returns; None for each where its source does not tell."""
        function = inspect.unwrap(self.given)
        code = getattr(function, "__code__", None)
        return list(_returned_names(code, count)) if code is not None else [None] * count


def cells_of(function: types.FunctionType) -> dict[str, types.CellType]:
    """The variables of functions around it that it uses, and those that functions among these use."""
    found: dict[str, types.CellType] = {}
    functions = [function]
    for f in functions:
        for name, cell in zip(f.__code__.co_freevars, f.__closure__ or (), strict=True):
            try:
                contents = cell.cell_contents
            except ValueError:  # it has no value yet
                continue
            found.setdefault(name, cell)
            if isinstance(contents, types.FunctionType) and contents not in functions:
                functions.append(contents)
    return found


def with_variables(
    given: types.FunctionType, converted: Any, variables: Mapping[str, Any]
) -> Callable[..., Any]:
    """A function that finds these in the place of global variables, and so does all that it calls in its module.

    However it calls it, as a function, a method or out of a dict: so the module itself holds them during a call,
    and has its own back afterwards. Likewise the variables of a function around it.
    """
    cells = {name: cell for name, cell in cells_of(converted).items() if name in variables}
    if converted.__globals__ is not given.__globals__:  # a copy has its own
        for name, cell in cells.items():
            cell.cell_contents = variables[name]
        converted.__globals__.update({name: x for name, x in variables.items() if name not in cells})
        return converted  # type: ignore[no-any-return]
    around = given.__globals__

    @functools.wraps(given)
    def with_them(*args: Any, **kwargs: Any) -> Any:
        before = dict(around)
        in_cells = [(cell, cell.cell_contents) for cell in cells.values()]
        around.update({name: x for name, x in variables.items() if name not in cells})
        for name, cell in cells.items():
            cell.cell_contents = variables[name]
        try:
            return given(*args, **kwargs)
        finally:
            for cell, contents in in_cells:
                cell.cell_contents = contents
            for name in around.keys() - before.keys():
                del around[name]
            around.update(before)

    return with_them


@functools.lru_cache(maxsize=256)
def _globals_in(code: types.CodeType, instruction: str) -> list[str]:
    """The global variables that code loads or stores, in their order; no attributes of the same name."""
    found = (step.argval for step in dis.get_instructions(code) if step.opname == instruction)
    return list(dict.fromkeys(found))


@functools.lru_cache(maxsize=256)
def _returned_names(code: types.CodeType, count: int) -> Sequence[str | None]:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(code))).body[0]
    except (OSError, SyntaxError, IndexError, TypeError):
        return [None] * count
    body: list[ast.AST] = [tree] if not isinstance(tree, ast.FunctionDef) else list(tree.body)
    returned: list[ast.expr] = []
    assigned: dict[str, ast.expr] = {}
    while body:  # without what functions inside it return
        node = body.pop(0)
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Lambda | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.Return) and node.value is not None:
            returned.append(node.value)
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            assigned[node.targets[0].id] = node.value
        body = [*ast.iter_child_nodes(node), *body]
    for value in reversed(returned):
        if isinstance(value, ast.Name) and isinstance(assigned.get(value.id), ast.Tuple | ast.List):
            value = assigned[value.id]
        parts = value.elts if isinstance(value, ast.Tuple | ast.List) else [value]
        if len(parts) == count:
            return [_name(part) for part in parts]
    return [None] * count


def _name(expression: ast.expr) -> str | None:
    if isinstance(expression, ast.Name):
        return expression.id
    if isinstance(expression, ast.Attribute):
        return expression.attr
    if isinstance(expression, ast.Subscript):
        if isinstance(expression.slice, ast.Constant) and isinstance(expression.slice.value, str):
            return expression.slice.value
        return _name(expression.value)  # hs[-1] is one of hs
    if (
        isinstance(expression, ast.Call)
        and isinstance(expression.func, ast.Attribute)
        and not expression.args
    ):
        return _name(expression.func.value) if expression.func.attr in ("copy", "reshape", "ravel") else None
    return None


@dataclass(frozen=True)
class Part:
    """A part of what a forward returns, its place there, and its name if it has one."""

    path: Path
    name: str | None
    value: Any

    @property
    def number(self) -> int | None:
        """How good a loss it makes, 0 for the best; None if it is not one number."""
        if isinstance(self.value, bool | np.bool_):
            return None
        if isinstance(self.value, float | np.floating) or (
            isinstance(self.value, np.ndarray) and self.value.ndim == 0 and self.value.dtype.kind == "f"
        ):
            return 0
        if isinstance(self.value, np.ndarray) and self.value.size == 1 and self.value.dtype.kind == "f":
            return 1
        return None

    @property
    def is_array(self) -> bool:
        return isinstance(self.value, np.ndarray | np.floating | float) and numbers(self.value) is not None

    @property
    def shape(self) -> tuple[int, ...]:
        """That of an array; of a list of such a longer one."""
        if isinstance(self.value, list | tuple | Mapping):
            first = next(iter(self.value.values() if isinstance(self.value, Mapping) else self.value), 0.0)
            return (len(self.value), *np.shape(first))
        return np.shape(self.value)

    def __str__(self) -> str:
        if isinstance(self.value, np.ndarray):
            return f"an array of {self.value.shape}"
        return f"a {type(self.value).__name__}"


def parts_of(result: Any, function: Function) -> list[Part]:
    """What a tuple, a mapping, or an object with a loss is made of; else the whole."""
    if isinstance(result, tuple) and result:
        names = getattr(result, "_fields", None) or function.returned_names(len(result))
        return [Part((Step(i),), names[i], x) for i, x in enumerate(result)]
    if isinstance(result, list) and any(
        isinstance(x, Mapping | float) or np.ndim(x) == 0 for x in _shallow(result)
    ):
        names = function.returned_names(len(result))
        return [Part((Step(i),), names[i], x) for i, x in enumerate(result)]
    if isinstance(result, Mapping) and result and all(isinstance(key, str) for key in result):
        return [Part((step,), step.key, x) for step, x in inside(result)]
    if any(name in LOSSES for name in attributes(result)):
        return [Part((step,), step.key, x) for step, x in inside(result)]
    return [Part((), function.returned_names(1)[0], result)]


def has_floats(x: Any) -> bool:
    return any(
        isinstance(leaf, float | np.floating | np.ndarray | list) and np.asarray(leaf).dtype.kind == "f"
        for _, leaf in leaves(x)
    )


def _shallow(x: list[Any]) -> list[Any]:
    return [item for item in x if not isinstance(item, list | tuple)]


def loss_of(parts: Sequence[Part]) -> tuple[Part | None, bool]:
    """The part that is the loss, and whether that was a choice: called so, or the first that is one number."""
    numbers_ = [(part.number, i) for i, part in enumerate(parts) if part.number is not None]
    if not numbers_:
        return None, False
    for name in LOSSES:
        for _, i in numbers_:
            if parts[i].name == name:
                return parts[i], False
    best = min(numbers_)
    return parts[best[1]], len([n for n, _ in numbers_ if n == best[0]]) > 1


@dataclass(frozen=True)
class Source:
    """Where an argument comes from: an "input" by name, a "part" of what the forward returned, or a "cotangent"."""

    kind: str
    key: Any


@dataclass(frozen=True)
class Plan:
    """Which argument of a function is what."""

    positional: tuple[Source, ...]
    named: Mapping[str, Source]

    @property
    def sources(self) -> list[Source]:
        return [*self.positional, *self.named.values()]

    def of(self, kind: str) -> list[Any]:
        return [source.key for source in self.sources if source.kind == kind]

    def call(self, function: Callable[..., Any], value: Callable[[Source], Any]) -> Any:
        return function(
            *(value(source) for source in self.positional),
            **{name: value(source) for name, source in self.named.items()},
        )


def input_names(inputs: Any, forward: Function) -> list[str]:
    """What the inputs are called: by their keys, or as the forward calls its arguments."""
    if isinstance(inputs, Mapping):
        return [str(name) for name in inputs]
    parameters = forward.parameters or []
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return [names[i] if i < len(names) else f"argument_{i}" for i in range(len(inputs))]


def planned(
    function: Function,
    what: str,
    names: Sequence[str],
    by_name: bool,
    parts: Sequence[Part] = (),
    loss: Part | None = None,
) -> Plan:
    """How a function is called with the inputs, and with what the forward returned besides its loss.

    `parts` are those; without a `loss` those that are arrays get a cotangent each, as many as are asked for.
    """
    inputs = {name: Source("input", name) for name in names}
    parameters = function.parameters
    if parameters is None:
        return Plan((), inputs) if by_name else Plan(tuple(inputs.values()), {})
    plain = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    required = [p.name for p in plain if p.default is p.empty]
    chosen = {p.name: inputs[p.name] for p in plain if p.name in inputs}

    layer = bool(parts) and loss is None
    others = [i for i, part in enumerate(parts) if part is not loss]
    cache = cache_part(parts, others, [p.name for p in plain], layer)
    outputs = [
        i for i in others if i != cache and parts[i].name not in required and has_floats(parts[i].value)
    ]
    if not layer:
        outputs = [i for i, part in enumerate(parts) if part is loss]

    def give_cotangent(name: str) -> None:
        left = [i for i in outputs if Source("cotangent", i) not in chosen.values()]
        if not left:
            return
        named = [i for i in left if parts[i].name in spelled(name)]
        if "last" in name or "final" in name:  # a state, and not all states
            left = sorted(left, key=lambda i: len(parts[i].shape))
        chosen[name] = Source("cotangent", (named or left)[0])

    for p in plain:
        if p.name in chosen or not parts:
            continue
        same = [i for i in others if parts[i].name == p.name]
        if same:
            chosen[p.name] = Source("part", same[0])
        elif p.name in CACHES and cache is not None:
            chosen[p.name] = Source("part", cache)
    for p in plain:  # those that name their output first
        if p.name not in chosen and any(parts[i].name in spelled(p.name) for i in outputs):
            give_cotangent(p.name)
    for p in plain:
        called_so = p.name in COTANGENTS or (layer and p.name in required and spelled(p.name))
        if p.name not in chosen and called_so and (layer or p.name in required):
            give_cotangent(p.name)

    unknown = [name for name in required if name not in chosen]
    unused = [name for name in names if inputs[name] not in chosen.values()]
    starred = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    if unknown or (starred and unused):
        has_cotangent = any(source.kind == "cotangent" for source in chosen.values())
        roles = [Source("cotangent", outputs[0])] if layer and outputs and not has_cotangent else []
        if layer and cache is not None and Source("part", cache) not in chosen.values():
            roles.append(Source("part", cache))
        if not layer and loss is not None:
            roles = [Source("part", i) for i in others if Source("part", i) not in chosen.values()]
        rest = [inputs[name] for name in unused]
        if starred:
            return Plan((*(chosen[p.name] for p in plain if p.name in chosen), *rest, *roles), {})
        orders = [roles, rest, [*rest, *roles]] if layer else [rest, roles, [*rest, *roles]]
        order = next((order for order in orders if len(order) == len(unknown)), None)
        if order is None and not layer and len(others) > 1 and len(unknown) == 1:
            order = [Source("parts", tuple(others))]  # all that the forward returned besides its loss
        if order is None:
            raise ValueError(sentence(function, what, names, unknown, unused, parts, loss))
        chosen.update(zip(unknown, order, strict=True))
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        chosen.update({name: inputs[name] for name in names if inputs[name] not in chosen.values()})
    positional = [p.name for p in plain if p.kind is p.POSITIONAL_ONLY and p.name in chosen]
    return Plan(
        tuple(chosen[name] for name in positional),
        {name: source for name, source in chosen.items() if name not in positional},
    )


def cache_part(
    parts: Sequence[Part], others: Sequence[int], parameters: Sequence[str], layer: bool
) -> int | None:
    """The part of what a forward returned that is its cache."""
    called = [i for i in others if parts[i].name in CACHES]
    if called:
        return called[0]
    no_arrays = [i for i in others if not parts[i].is_array]
    if not layer:
        return next(iter([*no_arrays, *others]), None)
    if len(others) < 2:
        return None
    wanted = any(name in CACHES for name in parameters)
    if not parts[others[-1]].is_array or wanted:
        return others[-1]
    return no_arrays[-1] if no_arrays else others[-1] if len(parameters) > 1 else None


def sentence(
    function: Function,
    what: str,
    names: Sequence[str],
    unknown: Sequence[str],
    unused: Sequence[str],
    parts: Sequence[Part],
    loss: Part | None,
) -> str:
    text = (
        f"{what} {function.name} takes {', '.join(unknown)}, and the inputs are {', '.join(names) or 'none'}"
    )
    returned = [part for part in parts if part is not loss]
    if returned:
        text += f"; the forward returns {', '.join(str(part) for part in returned)}"
        text += " besides its loss" if loss is not None else ""
    if unused and len(unused) != len(names):
        text += f"; {', '.join(unused)} would be left"
    return text + ": call each argument as the input that it is, or cache, or dout"
