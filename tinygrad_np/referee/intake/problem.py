"""One point of somebody's network, in one form, whatever form its code came in.

The forward is run once as it is, to see what it returns and what it overwrites; then the hand gradient, with all
that it asks for. Both work on copies. What was taken for what is written down in notes.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from tinygrad_np.referee.intake.calls import (
    COTANGENTS,
    LOSSES,
    Function,
    Part,
    Plan,
    Source,
    has_floats,
    input_names,
    loss_of,
    parts_of,
    planned,
)
from tinygrad_np.referee.intake.claims import (
    Argument,
    Gradient,
    Parameter,
    alike,
    by_name,
    by_order,
    gradients_in,
    numbers,
    spelled,
)
from tinygrad_np.referee.intake.places import Path, attributes, copied, get, inside, leaves, put, text
from tinygrad_np.referee.intake.stage import (
    Stage,
    argument_of,
    changed,
    keys,
    named,
    overwritten,
    owners,
    parameters_of,
    root,
    snapshot,
)

Convert: TypeAlias = Callable[[Any], Any]


def unchanged(x: Any) -> Any:
    """The conversion that leaves all code as it is."""
    return x


@dataclass(frozen=True)
class Problem:
    """A loss and a gradient of it that was derived by hand, at one point.

    Attributes
    ----------
    values : dict of str to ndarray
        The parameters that the hand gradient claims to know the gradient of, in float64.
    claimed : dict of str to ndarray
        The hand gradient, by the same names. The shapes are its own, which may be wrong.
    call : callable
        ``call(convert, values)``: the loss, one number or what stands for one, with these in the place of the
        parameters. Whatever is the user's, the forward and its other arguments, goes through `convert` first.
    forward, backward : callable
        The user's own functions, for their source.
    notes : tuple of str
        What was done to take the code as it is, such as "x was float32, and is taken as float64".
    """

    values: dict[str, np.ndarray]
    claimed: dict[str, np.ndarray]
    call: Callable[[Convert, Mapping[str, Any]], Any]
    forward: Callable[..., Any]
    backward: Callable[..., Any]
    notes: tuple[str, ...] = ()

    def loss(self, values: Mapping[str, np.ndarray]) -> Any:
        """The loss at these parameters, by the user's code as it is: a number, a complex one of complex values."""
        number = np.asarray(self.call(unchanged, {name: np.array(x) for name, x in values.items()}))
        if number.size != 1:
            raise ValueError(f"the forward returns one number, the loss, and here an array of {number.shape}")
        return number.reshape(())[()]


def problem_at(
    forward: Callable[..., Any], hand_gradient: Callable[..., Any], inputs: Any, *, layer: bool = False
) -> Problem:
    """The problem of somebody's forward and hand gradient at a point, in whatever form they are.

    Parameters
    ----------
    forward : callable
        A function, a method (of whose object a copy is made for each call) or an object that is called. Returns
        the loss, alone or in a tuple or mapping with a cache and other things; or arrays, of which then the
        gradient is asked that goes back from a fixed random cotangent.
    hand_gradient : callable
        Takes the inputs, by their names or in their order, or a part of them; what the forward returned besides
        its loss, if it asks for a cache or for that by name; and a cotangent, if it asks for ``dout`` or the
        like. Returns gradients by name, in order, nested, or leaves them on an object or in a dict.
    inputs : mapping or sequence
        The arguments by name or by position: arrays, numbers, nested dicts and lists of these, objects with
        such attributes, and whatever else the forward takes.
    layer : bool
        Whether to take what the forward returns as outputs of a layer and not to look for a loss.

    Raises
    ------
    ValueError, TypeError
        Something does not fit, in one sentence. What somebody's own code raises comes through as it is.
    """
    if not isinstance(inputs, Mapping | list | tuple):
        raise TypeError(
            f"the inputs are a mapping by name, or a tuple of arguments, and here {type(inputs).__name__}"
        )
    return _Intake(forward, hand_gradient, inputs, layer).problem()


def is_whole(x: Any) -> bool:
    """Whether something is one whole number, or an array of one."""
    return np.asarray(x).dtype.kind in "iu" and np.size(x) == 1


class _Intake:
    """The code and data of one call of `problem_at`, while it is found out what is what."""

    def __init__(
        self, forward: Callable[..., Any], hand_gradient: Callable[..., Any], inputs: Any, layer: bool
    ):
        self.notes: list[str] = []
        self.forward = Function.of(forward, "forward")
        self.gradient = Function.of(hand_gradient, "hand gradient")
        self.by_name = isinstance(inputs, Mapping)
        self.names = input_names(inputs, self.forward)
        given = dict(zip(self.names, inputs.values() if isinstance(inputs, Mapping) else inputs, strict=True))
        for name, x in given.items():
            if isinstance(x, Iterator):
                raise TypeError(
                    f"{name} is a {type(x).__name__}, which can be gone through once: give a list"
                )
        arguments = {p.name for p in self.forward.parameters or []}
        variables = {  # what the code sets is set in a copy
            name: function.given.__globals__[name]
            for function in (self.forward, self.gradient)
            for name in function.written
            if name in function.given.__globals__
        }
        for function in (self.forward, self.gradient):  # and an object is changed in a copy
            variables |= {name: x for name, x in function.global_variables.items() if attributes(x)}
        if not self.forward.takes_any:
            read = [
                name for name in self.names if name not in arguments and name in self.forward.global_variables
            ]
            variables |= {name: given.pop(name) for name in read}
        self.names = list(given)
        stage: Stage = {"inputs": given, "globals": variables}
        if self.forward.owner is not None:
            stage["self"] = self.forward.owner
        if self.gradient.owner is not None and self.gradient.owner is not self.forward.owner:
            stage["gradient"] = self.gradient.owner
        self.layer = layer
        self.begin(stage)

    def begin(self, stage: Stage) -> None:
        """Look at what is given: the parameters, and what the forward makes of them."""
        self.given = stage
        self.global_claims: dict[str, Any] = {}
        self.stage: Stage = self.fresh(stage)
        self.states: set[str] = set()
        self.lift(
            [
                path
                for path, x in leaves(self.stage)
                if isinstance(x, np.ndarray | np.floating) and x.dtype.kind == "f" and x.dtype != np.float64
            ]
        )
        self.forward_plan = planned(self.forward, "the forward", self.names, self.by_name)
        left = [name for name in self.names if Source("input", name) not in self.forward_plan.sources]
        if left and not self.by_name:
            raise ValueError(
                f"{len(self.names)} inputs are given, and the forward {self.forward.name} takes "
                f"{len(self.names) - len(left)}"
            )
        self.look_at_forward()

    # --- data ---

    def fresh(self, stage: Stage) -> Stage:
        memo: dict[Any, Any] = {}
        kept: list[str] = []
        result = {name: copied(x, memo, kept) for name, x in stage.items()}
        self.note(*(f"a {kind} cannot be copied, and is passed as it is" for kind in kept))
        return result

    def note(self, *notes: str) -> None:
        self.notes += [note for note in notes if note not in self.notes]

    def lift(self, places: Sequence[Path]) -> None:
        """Have float64 in the place of other numbers, and know the parameters."""
        wide: dict[int, tuple[Any, Any]] = {}
        for path in places:
            x = get(self.stage, path)
            if id(x) not in wide:
                wide[id(x)] = (
                    np.asarray(x, dtype=np.float64)[()] if np.ndim(x) == 0 else x.astype(np.float64),
                    x,
                )
                kind = "a whole number" if isinstance(x, int) else str(x.dtype)
                self.note(f"{text(named(path))} was {kind}, and is taken as float64")
            put(self.stage, path, wide[id(x)][0])
        self.parameters = [p for p in parameters_of(self.stage) if p.name not in self.states]

    # --- the forward ---

    def run(
        self, function: Function, plan: Plan, stage: Stage, convert: Convert, value: Mapping[str, Any]
    ) -> Any:
        owner = stage.get("self") if function is self.forward else stage.get("gradient", stage.get("self"))

        def argument(source: Source) -> Any:
            if source.kind == "input":
                return stage["inputs"][source.key]
            if source.kind == "part":
                return get(value["result"], self.parts[source.key].path)
            if source.kind == "parts":
                return tuple(get(value["result"], self.parts[i].path) for i in source.key)
            return copy.deepcopy(self.cotangents[source.key])

        return plan.call(function.on(owner, stage["globals"], convert), argument)

    def run_forward(self, stage: Stage, convert: Convert = unchanged) -> Any:
        return self.run(self.forward, self.forward_plan, stage, convert, {})

    def look_at_forward(self) -> None:
        """What the forward returns, and what of the parameters it overwrites and so are none."""
        stage = self.fresh(self.stage)
        before = snapshot(stage)
        result = self.run_forward(stage)
        self.states = {
            p.name
            for p in self.parameters
            if not p.direct and any(overwritten(stage, path, before) for path in p.paths)
        }
        self.parameters = [p for p in self.parameters if p.name not in self.states]
        self.parts = parts_of(result, self.forward)
        self.loss, choice = (None, False) if self.layer else loss_of(self.parts)
        if self.loss is None and not self.layer and len(self.parts) == 1 and is_whole(self.parts[0].value):
            self.loss = self.parts[0]  # something in the forward truncates, which the judge will say
        same = self.gradient.given == self.forward.given
        outputs = any(np.ndim(part.value) for part in self.parts if part.is_array and part.name not in LOSSES)
        if self.loss is not None and outputs and not same and self.asks_for_cotangent():
            self.loss = None
        if self.loss is not None and len(self.parts) > 1 and not self.moves(self.loss):
            name = self.loss.name or f"number {1 + self.parts.index(self.loss)} of what the forward returns"
            raise ValueError(
                f"{name} would be the loss, but depends on no input: call the one that is `loss`"
            )
        if self.loss is None and not any(has_floats(part.value) for part in self.parts):
            returned = ", ".join(str(part) for part in self.parts)
            raise ValueError(f"the forward returns one number, the loss, and here {returned}")
        if choice and self.loss is not None:
            name = self.loss.name or f"number {1 + self.parts.index(self.loss)} of what the forward returns"
            self.note(f"{name} is taken as the loss")
        if same:
            self.gradient_plan = self.forward_plan
        else:
            self.gradient_plan = planned(
                self.gradient, "the hand gradient", self.names, self.by_name, self.parts, self.loss
            )
        self.make_cotangents()

    def moves(self, part: Part) -> bool:
        """Whether a part of what the forward returns depends on any of the parameters."""
        stage = self.fresh(self.stage)
        rng = np.random.default_rng(0)
        for p in self.parameters:
            if not p.whole:
                x = np.asarray(p.value, dtype=np.float64)
                for path in p.paths:
                    put(stage, path, as_given(p, x + 1e-3 * rng.standard_normal(x.shape)))
        return not np.array_equal(get(self.run_forward(stage), part.path), part.value, equal_nan=True)

    def asks_for_cotangent(self) -> bool:
        return any(
            p.default is p.empty and p.name not in self.names and (p.name in COTANGENTS or spelled(p.name))
            for p in self.gradient.parameters or []
        )

    def make_cotangents(self) -> None:
        """A fixed random cotangent for each output that the hand gradient takes one of."""
        self.cotangents: dict[int, Any] = {}
        rng = np.random.default_rng(0)
        for i in sorted(self.gradient_plan.of("cotangent")):
            self.cotangents[i] = copy.deepcopy(self.parts[i].value)
            for path, x in list(floats(self.parts[i].value)):
                self.cotangents[i] = put(self.cotangents[i], path, drawn(rng, x))
        if self.loss is None and not self.cotangents:
            returned = ", ".join(str(part) for part in self.parts)
            raise ValueError(
                f"the forward {self.forward.name} returns {returned} and no loss: let it return one number, such "
                f"as np.sum(out * R) with a fixed R; or let {self.gradient.name} take the gradient of the output, "
                "dout, as one argument more (see referee_layer)"
            )
        if self.loss is None:
            sums = " + ".join(
                f"sum({self.parts[i].name or 'out'} * {self.gradient_argument(i)})" for i in self.cotangents
            )
            fixed = ", ".join(map(self.gradient_argument, self.cotangents))
            self.note(f"the forward has no loss of its own: it is taken as {sums} with fixed random {fixed}")
            cached = {
                *self.gradient_plan.of("part"),
                *(i for key in self.gradient_plan.of("parts") for i in key),
            }
            ignored = [
                part.name or f"output {i + 1}"
                for i, part in enumerate(self.parts)
                if part.is_array and i not in self.cotangents and i not in cached
            ]
            if ignored:
                self.note(
                    f"the hand gradient takes no gradient of {', '.join(ignored)}, and the loss leaves it out"
                )

    def gradient_argument(self, output: int) -> str:
        wanted = Source("cotangent", output)
        return next(
            (name for name, source in self.gradient_plan.named.items() if source == wanted), "an argument"
        )

    def loss_in(self, result: Any) -> Any:
        if not self.cotangents:
            assert self.loss is not None
            return get(result, self.loss.path)
        total: Any = 0.0
        for i, cotangent in self.cotangents.items():
            for path, r in floats(cotangent):
                total = total + product(get(result, (*self.parts[i].path, *path)), r)
        return total

    # --- the hand gradient ---

    def claims(self) -> dict[str, np.ndarray]:
        """The hand gradient by parameter, found out in the way that its arguments ask for."""
        plan = self.gradient_plan
        if any(source.kind in ("part", "parts") for source in plan.sources):
            return self.claims_after(True)
        holders = [
            x
            for x in [*self.stage["inputs"].values(), *self.stage["globals"].values(), *owners(self.stage)]
            if inside(x)
        ]
        if not holders or self.gradient.given == self.forward.given:
            return self.claims_after(False)
        whole = set(self.forward_plan.of("input")) <= set(plan.of("input"))
        if not whole:  # it cannot do without what the forward left on the objects
            return self.claims_after(True)
        # It may begin with a forward pass of its own, or rely on what one has left, be it one from long before.
        alone = None
        with contextlib.suppress(
            Exception
        ):  # it needs the forward, or is at fault, which then comes out there
            alone = self.claims_after(False)
        if alone is None:
            return self.claims_after(True)
        try:
            after = self.claims_after(True)
        except Exception:
            return alone
        same = alone.keys() == after.keys() and all(
            np.array_equal(alone[name], after[name], equal_nan=True) for name in alone
        )
        return alone if same or self.carries_a_state() else after

    def carries_a_state(self) -> bool:
        """Whether a second forward gives another loss, as one does that starts where the last one ended."""
        stage = self.fresh(self.stage)
        first, second = (np.array(self.loss_in(self.run_forward(stage))) for _ in range(2))
        return not np.array_equal(first, second, equal_nan=True)

    def claims_after(self, forward: bool, cleared: Sequence[Path] = ()) -> dict[str, np.ndarray]:
        """What a call gives, on fresh copies, on which the forward has been run before or has not."""
        stage = self.fresh(self.stage)
        for path in cleared:
            put(stage, path, np.zeros_like(get(stage, path)))
        result = self.run_forward(stage) if forward else None
        before = snapshot(stage)
        returned = self.run(self.gradient, self.gradient_plan, stage, unchanged, {"result": result})
        given = [*owners(stage), *stage["inputs"].values(), *stage["globals"].values()]
        own = {id(x) for x in (stage["inputs"], *given)}
        if id(returned) in own:
            returned = None
        found, aside = self.returned(returned)
        left = [
            (path, Gradient(keys(path), array, root(path), left=True))
            for path, array in changed(stage, before)
        ]
        rest = [p for p in self.parameters if p.name not in found and (returned is None or not p.direct)]
        by_left, _ = by_name([g for _, g in left], rest)
        if not cleared:  # what was added to numbers from before is no gradient
            used = [
                path
                for path, g in left
                if any(g.value is array for array in by_left.values())
                and path in before
                and np.any(before[path][1])
            ]
            if used:
                self.note(
                    f"{some(text(named(path)) for path in used)} held numbers from before, and are set to 0 first"
                )
                return self.claims_after(forward, used)
        found |= by_left
        self.global_claims = self.of_global_variables(aside, bool(found))
        if not found and not self.global_claims:
            raise self.nothing_found(returned, aside, [g for _, g in left])
        self.aside = aside
        return found

    def of_global_variables(self, gradients: Sequence[Gradient], enough: bool) -> dict[str, Any]:
        """The variables around the forward that gradients are of, if they are of nothing that was given.

        All of them if nothing at all is known: then the gradient is left on one of them.
        """
        others = {
            name: x for name, x in self.forward.global_variables.items() if name not in self.given["globals"]
        }
        found, _ = by_name(gradients, parameters := parameters_of({"globals": others}))
        if not found and not enough and not gradients:
            return others
        return {p.root: others[p.root] for p in parameters if p.name in found}

    def returned(self, x: Any) -> tuple[dict[str, np.ndarray], list[Gradient]]:
        """What was returned, by parameter; and what of it is the gradient of none."""
        if x is None:
            return {}, []
        items: list[tuple[Any, Any]]  # with the name of each, if it has one
        whole = False
        if isinstance(x, tuple | list):
            names = getattr(x, "_fields", None) or self.gradient.returned_names(len(x))
            items = list(zip(names, x, strict=True))
            whole = isinstance(x, list)  # a list of layers, say: its places are a part of the names in them
            if len(items) > 1 and self.is_the_loss(*items[0]):
                items = items[1:]
        elif isinstance(x, Mapping) or (numbers(x) is None and inside(x)):
            items = [(step.key, item) for step, item in inside(x)]
        else:
            items = [(self.gradient.returned_names(1)[0], x)]
        in_item = [
            list(self.gradients_in(i if whole and key is None else key, item))
            for i, (key, item) in enumerate(items)
        ]
        found, aside = by_name([g for gradients in in_item for g in gradients if g.keys], self.parameters)
        if not isinstance(x, Mapping):
            found |= self.in_order(items, in_item, found)
            if not found and whole:  # one gradient, as a list of numbers or of its parts
                found = self.in_order([(None, x if (array := numbers(x)) is None else array)], [[]], found)
        order = [id(g.value) for gradients in in_item for g in gradients]
        found = dict(sorted(found.items(), key=lambda claim: [*order, id(claim[1])].index(id(claim[1]))))
        taken = {id(array) for array in found.values()}
        told = [g for g in aside if isinstance(x, Mapping) or any(spelled(str(key)) for key in g.keys)]
        return found, [g for g in told if id(g.value) not in taken and g.keys[0] not in LOSSES]

    def gradients_in(self, key: Any, item: Any) -> Iterator[Gradient]:
        """The gradients in one returned item; a list is one, if the parameter of that name is an array."""
        parameter = next((p for p in self.parameters if p.name == key), None)
        if parameter is not None and isinstance(parameter.value, np.ndarray):
            try:
                array = numbers(np.asarray(item))
            except ValueError:  # rows of several lengths
                array = None
            if array is None:
                raise TypeError(f"the hand gradient of {key} is no array of numbers, but {item!r}")
            item = array
        yield from gradients_in(item, () if key is None else (key,))

    def is_the_loss(self, name: Any, item: Any) -> bool:
        array = numbers(item)
        if array is None or array.ndim:
            return False
        if isinstance(name, str) and any(alike((name,), p.keys) for p in self.parameters):
            return False
        same = self.loss is not None and float(array) == float(np.ravel(self.loss.value)[0])
        return name in LOSSES or same

    def in_order(
        self,
        items: Sequence[tuple[Any, Any]],
        in_item: Sequence[Sequence[Gradient]],
        found: Mapping[str, np.ndarray],
    ) -> dict[str, np.ndarray]:
        """The gradients that have no name of a parameter: all, or those between others that have one."""
        outside = self.forward.global_variables.keys()
        of_globals = [
            i for i, (key, _) in enumerate(items) if isinstance(key, str) and spelled(key) & outside
        ]
        if of_globals and not found:
            return {}
        arguments: list[Argument] = [
            (name, x, own)
            for name, x in self.stage["inputs"].items()
            if (
                own := [
                    p for p in self.parameters if not p.whole and any(argument_of(q) == name for q in p.paths)
                ]
            )
        ]
        attributes: list[Argument] = [
            (name, x, own)
            for owner in owners(self.stage)
            for step, x in inside(owner)
            if (name := str(step.key))
            if (own := [p for p in self.parameters if not p.whole and p.keys[0] == name and not p.given])
        ]
        single: list[Argument] = [
            (p.name, p.value, [p]) for p in self.parameters if not p.whole and not p.around
        ]
        if not found:
            given = [item for _, item in items]
            # One that is called like the gradient of something else may be that, be it of the same shape.
            doubtful = len(items) == 1 < len(arguments) and spelled(items[0][0] or "") - {"rad", "radient"}
            for parts, targets in (
                (given, arguments),
                ([given], arguments),
                (given, attributes),
                (given, single),
            ):
                ways = by_order(parts, targets)
                if len(ways) > 1 or (ways and doubtful):
                    meant = [way for way in ways if self.is_slope(way)]
                    ways = meant if meant or doubtful else ways
                if len(ways) > 1:
                    raise ValueError(
                        f"the hand gradient returns {described(given)}, which may be the "
                        f"gradients of {' or of '.join(', '.join(way) for way in ways[:2])}: return them by name, "
                        f"as a dict such as {{'{next(iter(ways[0]))}': ...}}"
                    )
                if ways and ways[0]:
                    self.note(f"the gradients are taken in their order as those of {', '.join(ways[0])}")
                    return ways[0]
            return {}
        places = [  # the argument of each item that has one
            next(
                (
                    j
                    for j, (_, _, own) in enumerate(arguments)
                    if any(found.get(p.name) is g.value for p in own for g in gradients)
                ),
                None,
            )
            for gradients in in_item
        ]
        more: dict[str, np.ndarray] = {}
        in_line = len(items) == len(arguments) and all(j in (None, i) for i, j in enumerate(places))
        for i, (key, item) in enumerate(items):
            like_a_gradient = key is None or (in_line and spelled(key))
            if not like_a_gradient or in_item[i] == [] or item is None or places[i] is not None:
                continue
            if i in of_globals or any(g.value is x for g in in_item[i] for x in found.values()):
                continue
            low = max((j for j in places[:i] if j is not None), default=-1)
            high = min((j for j in places[i + 1 :] if j is not None), default=len(arguments))
            between = arguments[i : i + 1] if in_line else arguments[low + 1 : high]
            ways = by_order([item], [a for a in between if not any(p.name in found for p in a[2])])
            if len(ways) == 1:
                more |= ways[0]
        return more

    def is_slope(self, gradients: Mapping[str, np.ndarray]) -> bool:
        """Whether these gradients are right or nearly so: of several readings, the one that somebody meant."""
        rng = np.random.default_rng(0)
        for p in [p for p in self.parameters if p.name in gradients]:
            x = np.asarray(p.value, dtype=np.float64)
            v = rng.standard_normal(x.shape)
            h = 1e-5 * (float(np.abs(x).max(initial=0.0)) or 1.0)
            up, down = (
                float(np.ravel(self.loss_at(unchanged, [p], {p.name: x + s * v}))[0]) for s in (h, -h)
            )
            slope, by_hand = (up - down) / (2 * h), float(np.sum(gradients[p.name] * v))
            if not abs(slope - by_hand) <= 1e-3 * (abs(slope) + abs(by_hand)) + 1e-9:
                return False
        return True

    def loss_at(self, convert: Convert, parameters: Sequence[Parameter], values: Mapping[str, Any]) -> Any:
        """The loss with other values of parameters, on fresh copies of all."""
        stage: Stage = convert(self.fresh(self.stage))
        for p in parameters:
            for path in p.paths:
                stage = put(stage, path, as_given(p, values[p.name]))
        return self.loss_in(self.run_forward(stage, convert))

    def nothing_found(self, returned: Any, aside: Sequence[Gradient], left: Sequence[Gradient]) -> Exception:
        names = some(p.name for p in self.parameters if not p.whole) or "none"
        if self.states:
            names += f" ({', '.join(sorted(self.states))} are none, as the forward overwrites them)"
        given = some(str(g) for g in [*aside, *left] if g.keys)
        if given:
            first = next((p.name for p in self.parameters if not p.whole), "W").rpartition(".")[2]
            return ValueError(
                f"the hand gradient gives {given}, and the parameters are {names}: call the gradient of {first} "
                f"{first}, d{first}, grad_{first} or {first}_grad"
            )
        what = "nothing" if returned is None else described([returned])
        return TypeError(
            f"the hand gradient returns {what}, and no gradient is found in it or left on the inputs: it returns a "
            f"mapping of names to gradients, or a tuple in the order of the inputs; the parameters are {names}"
        )

    # --- all together ---

    def problem(self) -> Problem:
        claimed = self.claims()
        if self.global_claims:
            names = ", ".join(self.global_claims)
            self.note(f"{names}: taken from the global variables that the forward reads")
            self.begin({**self.given, "globals": {**self.given["globals"], **self.global_claims}})
            claimed = self.claims()
        whole = [path for p in self.parameters if p.name in claimed and p.whole for path in p.paths]
        if whole:
            self.lift(whole)
            claimed = self.claims()
        parameters = {p.name: p for p in self.parameters}
        for name in claimed:
            self.refuse_views(parameters[name])
        if self.aside:
            names = some(str(g) for g in self.aside)
            self.note(f"{names} left aside: no gradient of {some(parameters)}")
        roots = {parameters[name].root for name in claimed} | {"self", "gradient"}
        without = dict.fromkeys(
            p.name if p.root in roots else p.root
            for p in self.parameters
            if p.name not in claimed and isinstance(p.value, np.ndarray | list) and not p.whole
            if p.root in roots or not p.around
        )
        if without:
            self.note(f"no gradient of {some(without)} was given")
        taken = [parameters[name] for name in claimed]

        def call(convert: Convert, values: Mapping[str, Any]) -> Any:
            return self.loss_at(convert, taken, values)

        return Problem(
            {p.name: np.array(p.value, dtype=np.float64) for p in taken},
            {
                name: g.reshape(np.shape(parameters[name].value))
                if g.size == np.size(parameters[name].value) == 1
                else g
                for name, g in claimed.items()
            },
            call,
            self.forward.given,
            self.gradient.given,
            tuple(self.notes),
        )

    def refuse_views(self, parameter: Parameter) -> None:
        """Copies of two arrays that share memory share none: moving one would move the other no more."""
        given = get(self.given, parameter.paths[0])
        for path, x in leaves(self.given):
            if not isinstance(x, np.ndarray) or path in parameter.paths or not np.may_share_memory(x, given):
                continue
            if root(path) == parameter.root or not self.moves_the_loss(
                parameter
            ):  # else they go in side by side
                raise ValueError(
                    f"{parameter.name} and {text(named(path))} share memory, and the copies that are worked on "
                    "would not: give only one of the two"
                )

    def moves_the_loss(self, parameter: Parameter) -> bool:
        x = np.asarray(parameter.value, dtype=np.float64)
        moved = x + np.random.default_rng(0).standard_normal(x.shape)
        here, there = (
            np.ravel(self.loss_at(unchanged, [parameter], {parameter.name: v})) for v in (x, moved)
        )
        return not np.array_equal(here, there)


# Numbers.


def floats(x: Any) -> Iterator[tuple[Path, Any]]:
    """The places of numbers and arrays that a loss may depend on."""
    return ((path, leaf) for path, leaf in leaves(x) if has_floats(leaf))


def drawn(rng: np.random.Generator, like: Any) -> Any:
    numbers_ = rng.standard_normal(np.shape(like))
    return numbers_ if isinstance(like, np.ndarray) else numbers_.tolist()


def product(x: Any, cotangent: Any) -> Any:
    """The sum of all products of an output, in whatever form, with its cotangent."""
    if isinstance(cotangent, list):
        return sum(product(item, r) for item, r in zip(x, cotangent, strict=True))
    products = x * cotangent
    return products.sum() if np.ndim(cotangent) else products


def as_given(parameter: Parameter, value: Any) -> Any:
    """A value in the form that the parameter has: a Python number or a list of such, if it is one."""
    if isinstance(parameter.value, list):
        return value.tolist() if isinstance(value, np.ndarray) and value.dtype.kind == "f" else listed(value)
    if isinstance(parameter.value, np.matrix) and isinstance(value, np.ndarray):
        return value.view(np.matrix)
    if isinstance(value, np.ndarray) and value.ndim == 0 and not isinstance(parameter.value, np.ndarray):
        return value.item() if type(parameter.value) is float and value.dtype.kind == "f" else value[()]
    return value


def listed(x: Any) -> Any:
    """The elements of an array that may be recorded, in lists."""
    return [listed(x[i]) for i in range(len(x))] if x.ndim else x


def some(names: Iterable[str]) -> str:
    """Names, the first of many."""
    each = list(dict.fromkeys(names))
    return ", ".join(each[:8]) + (f" and {len(each) - 8} more" if len(each) > 8 else "")


def described(items: Sequence[Any]) -> str:
    """What was returned, by shapes."""
    return ", ".join(
        f"an array of {np.shape(x)}" if isinstance(x, np.ndarray) else f"a {type(x).__name__}" for x in items
    )
