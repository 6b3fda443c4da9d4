"""The tape: it remembers which primitive made which array, and walks back over that memory.

A primitive is a NumPy function and its derivative, written once:

    @primitive(np.multiply)
    def multiply(x, y):
        return x * y, (lambda g: g * y, lambda g: g * x)

A rule takes arrays and returns the result and its vjps ("vector-Jacobian products"): functions that turn the
gradient ``g`` of the result into the gradient of an argument. A tuple holds one for each array argument, or None
where there is no gradient; a single callable is a joint vjp and returns all of them at once. Arrays come first and
by position, static parameters are keyword-only. A vjp that shall be differentiated again, for a second derivative,
may use operators and functions that have rules themselves, and nothing else: there it is given Tensors.

A rule with several outputs returns a tuple of them, and a joint vjp that takes a list: the gradient of each
output, or None where nothing came back. A rule that would save more than is needed asks for `needs_input_grad`,
a keyword-only parameter that the tape fills in: a bool for each array argument, whether a gradient is recorded
for it. A fused rule that cannot be differentiated again names its composite, the same function composed of other
primitives, for higher derivatives.

Calling a primitive with a Tensor that requires a gradient leaves a `Node`: the vjps, and the nodes of the
arguments. Nodes point to nodes and never to Tensors, and a vjp holds only the arrays that it needs, so a graph
has no cycles and dies with its last Tensor. `toposort` collects the nodes below a result, from the last made to
the first: creation order is a topological order. `backward_pass` walks along them.
"""

from __future__ import annotations

import functools
import inspect
import itertools
from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, ParamSpec, Protocol, TypeAlias, TypeVar, overload

import numpy as np

from tinygrad_np.anomaly import Trace, users_line
from tinygrad_np.declaration import POSITIONAL, check_form, check_free, checked_signature, origin
from tinygrad_np.errors import BAD_INPUT, describe_error, names_itself, numpy_name
from tinygrad_np.grad_mode import ANOMALY, CREATE_GRAPH, GRAD, MODE, NO_GRAD, RECORD, set_grad_mode
from tinygrad_np.operand import operand

if TYPE_CHECKING:
    from tinygrad_np.tensor import Tensor

# In a rule an array is an ndarray, or a Tensor when the rule is run again for a higher derivative.
Array: TypeAlias = Any
Rule: TypeAlias = "tuple[np.ndarray | Tensor, Any]"  # the result and its vjps
MultiRule: TypeAlias = "tuple[tuple[np.ndarray | Tensor, ...], Any]"  # several results and their joint vjp
P = ParamSpec("P")
R = TypeVar("R")

_numbers = itertools.count()

PRIMITIVES: dict[str, Callable[..., Any]] = {}  # every declared primitive, by name
NUMPY: dict[Callable[..., Any], Callable[..., Any]] = {}  # NumPy function -> what a Tensor does instead


class Node:
    """One recorded result: how to send a gradient on to what it was made of.

    `parents` are the nodes of the primitive's arguments, None for one that needs no gradient. A leaf, a Tensor made
    by hand, has no vjps, and is where gradients arrive. `vjps` is None once the graph was freed. `replay` is (rule,
    inputs, static parameters, trace) while inputs are kept, otherwise None. `hooks` is set by
    `Tensor.register_hook` and `retain_grad` alone.

    An op with several outputs has a node of its own, whose shape is their number and whose gradient is a list,
    and above it one for each output, whose `vjps` is just its place in that list.

    Each primitive has a class of nodes, with its `name`; whether it works element by element, as NumPy's ufuncs do;
    and whether it chooses between elements, so that what was not chosen gets a gradient of 0.
    """

    __slots__ = ("dtype", "grad", "hooks", "number", "parents", "replay", "shape", "vjps")

    name: ClassVar[str] = "leaf"
    elementwise: ClassVar[bool] = False
    selects: ClassVar[bool] = False
    hooks: list[Callable[[Any], Any]]

    def __init__(
        self,
        shape: tuple[int, ...],
        dtype: np.dtype | None,
        parents: tuple[Node | None, ...] = (),
        vjps: Any = (),
        replay: Any = None,
    ):
        self.number = next(_numbers)
        self.shape = shape
        self.dtype = dtype
        self.parents = parents
        self.vjps = vjps
        self.replay = replay
        self.grad: np.ndarray | None = None


class Call(NamedTuple):
    """A call as it was recorded: what was called with what, what came out, and the line of the user's program."""

    function: Callable[..., Any]
    inputs: tuple[Any, ...]
    static: dict[str, Any]
    out: Any
    line: str


CALLS: ContextVar[list[Call]] = ContextVar("calls")  # in the mode RECORD all calls, in their order


# --- calling a primitive ------------------------------------------------------------------------------


def wrap_output(kind: type[Node], out: Any, parents: tuple[Node | None, ...], vjps: Any, replay: Any) -> Any:
    """The Tensor of an output, or a tuple of those of several; with a node if there are parents."""
    if type(out) is tuple:
        outs = [np.asarray(one) for one in out]
        if not parents:
            return tuple([Tensor._of(one, None) for one in outs])
        op = (kind((len(outs),), None, parents, vjps, replay),)
        return tuple([Tensor._of(one, kind(one.shape, one.dtype, op, i)) for i, one in enumerate(outs)])
    out = np.asarray(out)
    return Tensor._of(out, kind(out.shape, out.dtype, parents, vjps, replay) if parents else None)


def kept(
    now: int, rule: Callable[..., Any], inputs: tuple[Any, ...], static: dict[str, Any], out: Any
) -> Any:
    """What a node keeps where more than GRAD is recorded: how to run its rule again, and a trace or a call."""
    if now & RECORD:
        call = Call(rule, inputs, static, out, users_line())
        CALLS.get().append(call)
        return rule, inputs, static, call
    return rule, inputs, static, Trace(rule.__name__, inputs, out) if now & ANOMALY else None


def refuse_complex(name: str, out: Any) -> None:
    """Where a gradient is recorded, an op of real numbers meets complex ones only as constants."""
    if type(out) is np.ndarray and out.dtype.kind != "c":
        return  # the usual answer first
    one = out[0] if type(out) is tuple and out else out
    if isinstance(one, complex) or getattr(getattr(one, "dtype", None), "kind", "f") == "c":
        raise TypeError(
            f"{name}: complex numbers have no gradient here; leave it behind with .detach() first"
        )


class _Declare(Protocol):
    """What `primitive` returns, for type checkers: the parameters of the rule stay, its result is a Tensor."""

    @overload
    def __call__(self, rule: Callable[P, Rule]) -> Callable[P, Tensor]: ...
    @overload
    def __call__(self, rule: Callable[P, MultiRule]) -> Callable[P, tuple[Tensor, ...]]: ...


def primitive(
    *numpy_functions: Callable[..., Any],
    composite: Callable[..., Any] | None = None,
    elementwise: bool = False,
    selects: bool = False,
) -> _Declare:
    """Declare a primitive, and let Tensors answer these NumPy functions with it.

    The returned function takes Tensors, arrays and numbers, and gives a Tensor, or a tuple of them. It is
    specialised here, once, on the number of arrays, because that bookkeeping is most of what a small op costs.

    Parameters
    ----------
    *numpy_functions : callable
        What Tensors answer with this primitive.
    composite : callable, optional
        The same function composed of other primitives. It is called instead where higher derivatives may be
        asked for, and makes up for a rule that cannot be run again on Tensors.
    elementwise : bool
        Whether each element of the result depends on the elements of its place alone; known of NumPy's ufuncs.
    selects : bool
        Whether it chooses between elements, as `where` does. Below it the way back keeps away the poles of elements
        that were not chosen; see `backward_pass`.

    Raises
    ------
    ValueError, TypeError
        When it is declared: the rule has a static parameter that is not keyword-only, its name is taken, or one of
        the functions is none of NumPy's that ask their arguments what to do. When it is first called: the rule
        does not return a result and its vjps.
    ValueError, TypeError, IndexError
        From the declared function, on bad input: the name of the primitive, the shapes and dtypes that it
        was given, and what NumPy says is wrong with them.
    """
    for function in numpy_functions:
        if not isinstance(function, np.ufunc | type(np.sum)):
            raise TypeError(
                f"@primitive takes NumPy functions that ask their arguments what to do, and no {function!r}; above "
                "a rule for which NumPy has no function write @primitive()"
            )

    def declare(rule: Callable[..., Any]) -> Callable[..., Any]:
        name = rule.__name__
        signature, takes_needs_input_grad = checked_signature(rule)
        kinds = [parameter.kind for parameter in signature.parameters.values()]
        names = list(signature.parameters)
        has_static = inspect.Parameter.KEYWORD_ONLY in kinds
        is_variadic = inspect.Parameter.VAR_POSITIONAL in kinds
        arity = sum(kind in POSITIONAL for kind in kinds)
        declared = rule
        ufuncs = [f for f in numpy_functions if isinstance(f, np.ufunc) and f.signature is None]
        by_element = (elementwise or bool(ufuncs)) and not selects  # a choice has no poles
        traits = {"__slots__": (), "name": name, "elementwise": by_element, "selects": selects}
        kind: type[Node] = type(f"Node of {name}", (Node,), traits)

        def first_call(*data: Any, **static: Any) -> Any:
            """The rule until a call of it was right in form: from then on the rule itself is called."""
            nonlocal rule
            result = declared(*data, **static)
            check_form(result, names[:arity] + names[arity : arity + 1] * (len(data) - arity))
            rule = declared
            return result

        rule = first_call

        def unary(x: Any, *more: Any, **static: Any) -> Any:
            if more:
                raise TypeError(f"{name} takes one array, and its other parameters by name: {names[1:]}")
            if type(x) is Tensor:
                node, data = x.node, x.data
            else:
                # a number alone meets nothing whose dtype to take; a RecordedArray has a node
                node, data = getattr(x, "node", None), np.asarray(operand(name, x))
            try:
                out, vjps = rule(data, **static) if static else rule(data)  # the latter is the faster call
            except BAD_INPUT as error:
                raise describe_error(name, error, (data,), static) from error
            if node is None or not (now := MODE.get()):
                return wrap_output(kind, out, (), None, None)
            replay: Any = kept(now, declared, (x,), static, out) if now != GRAD else None
            if type(out) is not np.ndarray:
                return wrap_output(kind, out, (node,), vjps, replay)
            tensor = object.__new__(Tensor)  # `wrap_output`, written out where most results pass
            tensor.data = out
            tensor.node = kind(out.shape, out.dtype, (node,), vjps, replay)
            return tensor

        def binary(x: Any, y: Any) -> Any:
            if type(x) is Tensor:
                node_x, data_x = x.node, x.data
            else:
                node_x, data_x = None, operand(name, x)
            if type(y) is Tensor:
                node_y, data_y = y.node, y.data
            else:
                node_y, data_y = None, operand(name, y)
            try:
                out, vjps = rule(data_x, data_y)
            except BAD_INPUT as error:
                raise describe_error(name, error, (data_x, data_y), {}) from error
            if (node_x is None and node_y is None) or not (now := MODE.get()):
                return wrap_output(kind, out, (), None, None)
            replay: Any = None
            if now != GRAD:
                inputs = (x if type(x) is Tensor else data_x, y if type(y) is Tensor else data_y)
                replay = kept(now, declared, inputs, {}, out)
            if node_y is None:  # drop the vjp that is not needed, and with it the arrays that it holds
                vjps = (vjps[0], None) if type(vjps) is tuple else vjps
                if not isinstance(data_y, float):
                    refuse_complex(name, out)
            elif node_x is None:
                vjps = (None, vjps[1]) if type(vjps) is tuple else vjps
                if not isinstance(data_x, float):
                    refuse_complex(name, out)
            if type(out) is not np.ndarray:
                return wrap_output(kind, out, (node_x, node_y), vjps, replay)
            tensor = object.__new__(Tensor)
            tensor.data = out
            tensor.node = kind(out.shape, out.dtype, (node_x, node_y), vjps, replay)
            return tensor

        def general(*xs: Any, **static: Any) -> Any:
            now = MODE.get()
            data = [x.data if type(x) is Tensor else operand(name, x) for x in xs]
            parents = tuple([x.node if now and type(x) is Tensor else None for x in xs])
            recorded = any(parents)
            if composite is not None and recorded and now & CREATE_GRAPH:
                return composite(
                    *[x if type(x) is Tensor else d for x, d in zip(xs, data, strict=True)], **static
                )
            told = static
            if takes_needs_input_grad:
                told = {**static, "needs_input_grad": tuple([n is not None for n in parents])}
            try:
                out, vjps = rule(*data, **told)
            except BAD_INPUT as error:
                raise describe_error(name, error, data, static) from error
            if not recorded:
                return wrap_output(kind, out, (), None, None)
            refuse_complex(name, out)
            replay: Any = None
            if now != GRAD:
                inputs = tuple([x if type(x) is Tensor else d for x, d in zip(xs, data, strict=True)])
                replay = kept(now, declared, inputs, told, out)
            if type(vjps) is tuple:
                vjps = tuple([None if n is None else v for n, v in zip(parents, vjps, strict=True)])
            return wrap_output(kind, out, parents, vjps, replay)

        call: Callable[..., Any] = general
        if composite is None and not takes_needs_input_grad and not is_variadic:
            if arity == 1:
                call = unary
            elif arity == 2 and not has_static:
                call = binary
        functools.update_wrapper(call, declared)
        call.__signature__ = signature  # type: ignore[attr-defined]
        call.composite = composite  # type: ignore[attr-defined]
        answers = {
            function: functools.partial(_as_numpy, function, call, arity, names) if has_static else call
            for function in numpy_functions
        }
        check_free({name: call}, PRIMITIVES)
        if name in PRIMITIVES:  # declared anew: its former answers go
            for function in [f for f, answer in NUMPY.items() if origin(answer) == origin(call)]:
                del NUMPY[function]
        check_free(answers, NUMPY)
        PRIMITIVES[name] = call
        NUMPY.update(answers)
        return call

    return declare


_signature = functools.cache(inspect.signature)


def _as_numpy(
    function: Any, call: Callable[..., Tensor], arity: int, allowed: list[str], *args: Any, **kwargs: Any
) -> Tensor:
    """Call a primitive the way its NumPy function is called: parameters by position or by name."""
    if len(args) == arity:  # the usual call needs no matching of names, which takes longer than a small op
        static = kwargs
    else:
        named = list(_signature(function).bind(*args, **kwargs).arguments.items())
        args, static = tuple(value for _, value in named[:arity]), dict(named[arity:])
    for key, value in static.items():
        if key not in allowed:
            raise TypeError(f"{numpy_name(function)} of a Tensor takes {', '.join(allowed)}, and no {key!r}")
        if type(value) is Tensor:
            raise TypeError(
                f"{numpy_name(function)} takes no Tensor for {key!r}, which has no gradient; give it .data"
            )
    return call(*args, **static)


def implements(*numpy_functions: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Let Tensors answer these NumPy functions with a function composed of primitives."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        name = function.__qualname__ = numpy_functions[
            0
        ].__name__  # what Python says of wrong keywords names it so

        answer = names_itself(function, name)
        answers: dict[Any, Callable[..., Any]] = dict.fromkeys(numpy_functions, answer)
        check_free(answers, NUMPY)
        NUMPY.update(answers)
        return answer

    return register


def whole(function: Callable[P, R]) -> Callable[P, R]:
    """Let a function composed of primitives be one call where calls are recorded, and not all those that it makes.

    For what depends on the values of arrays, or runs over a length, in its Python code; and for what other programs
    have an operation for.
    """
    kind: type[Node] = type(
        f"Node of {function.__name__}", (Node,), {"__slots__": (), "name": function.__name__}
    )

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        if not (now := MODE.get()) & RECORD:
            return function(*args, **kwargs)
        with set_grad_mode(NO_GRAD):
            result: Any = function(*args, **kwargs)
        outs = [
            x.data if isinstance(x, Tensor) else x for x in (result if type(result) is tuple else (result,))
        ]
        out = tuple(outs) if type(result) is tuple else outs[0]
        recorded: R = wrap_output(kind, out, (None,), None, kept(now, function, args, kwargs, out))
        return recorded

    return call
