"""A forward pass as a list of steps, from recordings of it at several sizes.

The model runs once for each choice of sizes, and the tape keeps every call. The recordings have to be the same
calls one by one. What differs between them, a length or an array, depends on the sizes, and a formula has to be
found for it (`graph`); what is the same in all of them, and comes from no input, is a constant of the model.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from tinygrad_np.grad_mode import GRAD, RECORD, set_grad_mode
from tinygrad_np.nn import Layer
from tinygrad_np.recorded import with_node
from tinygrad_np.tape import CALLS, Call, Node
from tinygrad_np.tensor import Tensor

Place: TypeAlias = (
    "str | tuple[int, int] | None"  # an input or weight by name; which output of which call; a constant
)


@dataclass(eq=False)
class Value:
    """An array of the model, as it was in each recording. `name` is its name in the file, once it has one."""

    arrays: tuple[np.ndarray, ...]
    name: str = ""
    constant: bool = False
    line: str = ""

    @property
    def dtype(self) -> np.dtype[Any]:
        """As NumPy's; the same in all recordings."""
        return self.arrays[0].dtype

    @property
    def ndim(self) -> int:
        """How many axes; the same in all recordings."""
        return self.arrays[0].ndim

    @property
    def shape(self) -> tuple[Any, ...]:
        """The lengths of its axes, each a number or `Varying`."""
        lengths = zip(*(array.shape for array in self.arrays), strict=True)
        return tuple(number(several) for several in lengths)


@dataclass(frozen=True)
class Varying:
    """A number that is another one in each recording."""

    values: tuple[Any, ...]


def number(values: Sequence[Any]) -> Any:
    """A number that has these values in the recordings: itself, if they are one."""
    first = values[0]
    one = all(
        type(v) is type(first) and (v == first or (v != v and first != first)) for v in values
    )  # NaN is NaN
    return first if one else Varying(tuple(values))


@dataclass
class Step:
    """One call, in all recordings: the function, its arguments by name, and what came out."""

    function: str
    arguments: inspect.BoundArguments
    outputs: list[Value]
    line: str


@dataclass
class Recording:
    """What a model did at one choice of sizes."""

    sizes: Mapping[str, int]
    inputs: dict[str, np.ndarray]
    output: Any
    calls: list[Call]
    leaves: dict[Node, str]  # the nodes of inputs and weights, and their names
    known: dict[Any, Place] = field(default_factory=dict)  # where an array in memory comes from

    def place(self, x: Any) -> Place:
        """Where an array comes from."""
        node = getattr(x, "node", None)
        if node is not None and node in self.leaves:
            return self.leaves[node]
        if node is not None and (found := call_of(node)) is not None:
            call, output = found
            if (same := self.choice_of_one(call)) is not None:
                return self.place(same)
            return self.known[id(call)], output  # type: ignore[return-value]
        return None if isinstance(x, np.generic) else self.known.get(in_memory(as_array(x)))

    def choice_of_one(self, call: Call) -> Any:
        """What `where` chooses, if it is the same either way: so an embedding stops the gradient of a row."""
        if call.function.__name__ != "where":
            return None
        _, x, y = call.inputs
        both = isinstance(x, Tensor) and isinstance(y, Tensor) and in_memory(x.data) == in_memory(y.data)
        return y if both else None


def record(model: Layer, make: Callable[..., Any], sizes: Mapping[str, int]) -> Recording:
    """Run a model on an example of these sizes, and keep what it did."""
    given, run = arguments_of(model, make(**sizes))
    leaves: dict[Node, str] = {}
    passed: dict[str, Any] = {}
    inputs = {name: as_array(x) for name, x in given.items()}
    for name, array in inputs.items():
        node = Node(array.shape, array.dtype)
        leaves[node] = name
        is_tensor = isinstance(given[name], Tensor)
        passed[name] = Tensor._of(array, node) if is_tensor else with_node(array, node)
    calls: list[Call] = []
    token = CALLS.set(calls)
    try:
        with in_evaluation(model), all_recorded(model) as weights, set_grad_mode(GRAD | RECORD):
            leaves |= {node: apart_from(inputs, name) for node, name in weights.items()}
            output = run(passed)
    finally:
        CALLS.reset(token)
    recording = Recording(sizes, inputs, output, calls, leaves)
    for name, tensor in model.named_tensors():
        recording.known.setdefault(in_memory(tensor.data), apart_from(inputs, name))
    for name, array in inputs.items():
        recording.known.setdefault(in_memory(array), name)
    for i, call in enumerate(calls):
        recording.known[id(call)] = i  # type: ignore[assignment]
        for j, out in enumerate(call.out if type(call.out) is tuple else (call.out,)):
            if isinstance(out, np.ndarray) and out.size:  # empty arrays may share an address
                recording.known.setdefault(in_memory(out), (i, j))
    return recording


def apart_from(inputs: Mapping[str, Any], name: str) -> str:
    """The name of a weight, which may be that of an input too."""
    return f"{name} of the model" if name in inputs else name


def as_array(x: Any) -> np.ndarray:
    """The array of a Tensor or array."""
    return np.asarray(x.data if isinstance(x, Tensor) else x)


def arguments_of(model: Layer, given: Any) -> tuple[dict[str, Any], Callable[[dict[str, Any]], Any]]:
    """The inputs by the names of the parameters of `forward`, and the call of the model with what has their names.

    Raises
    ------
    TypeError
        They are no arrays, or not the parameters.
    """
    signature = inspect.signature(model.forward)
    several = given if isinstance(given, tuple | list) else (given,)
    bound = signature.bind(**given) if isinstance(given, dict) else signature.bind(*several)
    named: dict[str, Any] = {}

    def each(function: Callable[[str, Any], Any]) -> tuple[list[Any], dict[str, Any]]:
        """The arguments, by position and by name, of a function of each one's name and itself."""
        by_position: list[Any] = []
        by_name: dict[str, Any] = {}
        for name, value in bound.arguments.items():
            kind = signature.parameters[name].kind
            if kind is inspect.Parameter.VAR_POSITIONAL:
                by_position += [
                    function(f"{name}_{i}" if len(value) > 1 else name, x) for i, x in enumerate(value)
                ]
            elif kind is inspect.Parameter.VAR_KEYWORD:
                by_name |= {key: function(key, x) for key, x in value.items()}
            elif kind is inspect.Parameter.KEYWORD_ONLY or isinstance(given, dict):
                by_name[name] = function(name, value)
            else:
                by_position.append(function(name, value))
        return by_position, by_name

    def noted(name: str, x: Any) -> None:
        if x is None:
            return
        if not isinstance(x, np.ndarray | Tensor):
            raise TypeError(f"export_onnx takes an array for the input {name!r}, not {type(x).__name__}")
        named[name] = x

    def call(passed: dict[str, Any]) -> Any:
        by_position, by_name = each(lambda name, _: passed.get(name))
        return model(*by_position, **by_name)

    each(noted)
    return named, call


@contextmanager
def in_evaluation(model: Layer) -> Iterator[None]:
    """The model in evaluation, and afterwards as it was."""
    modes = [(layer, layer.training) for layer in model.modules()]
    try:
        model.eval()
        yield
    finally:
        for layer, mode in modes:
            if layer.training != mode:
                layer.training = mode


@contextmanager
def all_recorded(model: Layer) -> Iterator[dict[Node, str]]:
    """A node for frozen weights, and for arrays that layers have, too: so what is made of them is recorded.

    Yields the nodes of all weights and arrays, and their names.
    """
    tensors = dict(model.named_tensors())
    frozen = [t for t in tensors.values() if t.node is None and t.dtype.kind == "f"]
    arrays = [
        (layer, key, f"{name}.{key}" if name else key, array)
        for name, layer in model.named_modules()
        for key, array in vars(layer).items()
        if type(array) is np.ndarray and array.dtype.kind in "biuf"
    ]
    nodes: dict[Node, str] = {}
    try:
        for t in frozen:
            t.node = Node(t.shape, t.dtype)
        for layer, key, name, array in arrays:
            node = Node(array.shape, array.dtype)
            nodes[node] = name
            setattr(layer, key, with_node(array, node))
        yield nodes | {t.node: name for name, t in tensors.items() if t.node is not None}
    finally:
        for t in frozen:
            t.node = None
        for layer, key, _, array in arrays:
            setattr(layer, key, array)


def call_of(node: Node) -> tuple[Call, int] | None:
    """The call that made a node, and which of its outputs it is."""
    if node.replay is not None:
        return node.replay[3], 0
    if type(node.vjps) is int and node.parents[0] is not None:
        return node.parents[0].replay[3], node.vjps
    return None


def in_memory(x: np.ndarray) -> Any:
    """What is the same of two arrays that are one: they were not written to, so one memory holds one array."""
    return x.__array_interface__["data"][0], x.shape, x.strides, x.dtype.str


def arrays_in(x: Any) -> Iterator[Any]:
    """The Tensors and arrays in an argument, in tuples, lists, dicts and slices too."""
    if isinstance(x, Tensor | np.ndarray | np.generic):
        yield x
    elif isinstance(x, dict):
        yield from (array for part in x.values() for array in arrays_in(part))
    elif isinstance(x, slice):
        yield from arrays_in((x.start, x.stop, x.step))
    elif isinstance(x, tuple | list):
        yield from (array for part in x for array in arrays_in(part))


# --- several recordings as one list of steps ----------------------------------------------------------


def needed(recording: Recording) -> list[int]:
    """The numbers of the calls that the output depends on, in their order."""
    found: set[int] = set()
    waiting: list[Any] = list(arrays_in(recording.output))
    while waiting:
        place = recording.place(waiting.pop())
        if isinstance(place, tuple) and place[0] not in found:
            found.add(place[0])
            call = recording.calls[place[0]]
            waiting += [*arrays_in(call.inputs), *arrays_in(call.static)]
    return sorted(found)


def aligned(recordings: Sequence[Recording]) -> tuple[list[Step], Any, dict[str, Value]]:
    """The steps that all recordings took; the outputs; and the inputs by name.

    Raises
    ------
    ValueError
        The recordings are not the same steps, or an output comes from no input.
    """
    wanted = [needed(one) for one in recordings]
    called = [[one.calls[i] for i in numbers] for one, numbers in zip(recordings, wanted, strict=True)]
    check_same(recordings, called)
    order = [{number: i for i, number in enumerate(numbers)} for numbers in wanted]
    values: dict[Any, Value] = {}
    inputs = {}
    for name in recordings[0].inputs:
        inputs[name] = values[name] = Value(tuple([one.inputs[name] for one in recordings]), name)

    def merged(xs: Sequence[Any], what: str, line: str) -> Any:
        """One argument of all recordings."""
        if what == "lengths" and any(x is None for x in xs):  # None where no sequence is shorter
            xs = [x if x is not None else next((y for y in xs if y is not None), None) for x in xs]
        first = xs[0]
        if all(isinstance(x, Tensor | np.ndarray | np.generic) for x in xs):
            return value_of(xs, line)
        if all(isinstance(x, bool | int | float) for x in xs):
            return number(xs)
        if all(type(x) is type(first) for x in xs):
            if isinstance(first, tuple | list) and len({len(x) for x in xs}) == 1:
                parts = [merged(several, what, line) for several in zip(*xs, strict=True)]
                return type(first)(*parts) if hasattr(first, "_fields") else type(first)(parts)
            if isinstance(first, dict) and all(x.keys() == first.keys() for x in xs):
                return {key: merged([x[key] for x in xs], what, line) for key in first}
            if isinstance(first, slice):
                return slice(
                    *[merged([getattr(x, k) for x in xs], what, line) for k in ("start", "stop", "step")]
                )
            if isinstance(first, functools.partial):
                xs = [(x.func, x.args, x.keywords) for x in xs]
            if all(x is xs[0] or x == xs[0] for x in xs) or isinstance(first, np.random.Generator):
                return first
        shown = " and ".join(dict.fromkeys(map(repr, xs)))
        raise ValueError(
            f"{line}: the argument {what} is {shown:.120} at several sizes, and a file holds one of them"
        )

    def value_of(xs: Sequence[Any], line: str) -> Value:
        """One array of all recordings."""
        places: list[Any] = []
        for k, (one, x) in enumerate(zip(recordings, xs, strict=True)):
            place = one.place(x)
            places.append((order[k][place[0]], place[1]) if isinstance(place, tuple) else place)
        arrays = tuple(map(as_array, xs))
        if any(place != places[0] for place in places):
            raise ValueError(
                f"{line}: what is used here comes from another place at another size; a model that decides by "
                "sizes, or by values, what it computes cannot be one file"
            )
        place = places[0]
        if place is None:
            return Value(arrays, line=line)
        if place not in values:  # a weight
            values[place] = Value(arrays, place, constant=True)
        return values[place]

    steps = []
    for i, calls in enumerate(zip(*called, strict=True)):
        first, line = calls[0], calls[0].line
        name = first.function.__name__
        arguments = [
            {str(j): x for j, x in enumerate(call.inputs)}
            | {key: x for key, x in call.static.items() if key != "needs_input_grad"}
            for call in calls
        ]
        if any(one.keys() != arguments[0].keys() for one in arguments):
            raise ValueError(f"{line}: {name} is called with other arguments at another size")
        joined = {key: merged([one[key] for one in arguments], key, line) for key in arguments[0]}
        positional = [joined.pop(str(j)) for j in range(len(first.inputs))]
        outs = [call.out if type(call.out) is tuple else (call.out,) for call in calls]
        outputs = [Value(tuple(map(np.asarray, several)), line=line) for several in zip(*outs, strict=True)]
        values |= {(i, j): value for j, value in enumerate(outputs)}
        steps.append(Step(name, bound(first.function, positional, joined), outputs, line))
    output = merged([one.output for one in recordings], "the output", "export_onnx: the output")
    return steps, output, inputs


def bound(function: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]) -> inspect.BoundArguments:
    """Arguments under the names of the parameters; those of a NumPy function that has no signature as they are."""
    try:
        signature = inspect.signature(function)
    except ValueError:
        signature = inspect.Signature(
            [
                inspect.Parameter("args", inspect.Parameter.VAR_POSITIONAL),
                inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD),
            ]
        )
    return signature.bind(*args, **kwargs)


def check_same(recordings: Sequence[Recording], called: Sequence[Sequence[Call]]) -> None:
    """Refuse a model that makes other calls at another size.

    Raises
    ------
    ValueError
        It says from which line on they differ.
    """
    names = [[call.function.__name__ for call in calls] for calls in called]
    for other in range(1, len(names)):
        if names[other] == names[0]:
            continue
        pairs = zip(names[0], names[other], strict=False)
        differ = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(names[0]), len(names[other])))
        longest = max(called[0], called[other], key=len)
        raise ValueError(
            f"the model makes {len(names[0])} calls at {told(recordings[0].sizes)} and {len(names[other])} at "
            f"{told(recordings[other].sizes)}, and they differ from {longest[differ].line} on: a loop over a "
            "length that varies, or a choice by sizes or values, cannot be one file; give that size a fixed value"
        )


def told(sizes: Mapping[str, int]) -> str:
    """Sizes as text."""
    return ", ".join(f"{name}={n}" for name, n in sizes.items()) or "the example"
