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
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any, ClassVar, ParamSpec, Protocol, TypeAlias, overload

import numpy as np

from tinygrad_np.declaration import POSITIONAL, check_form, check_free, checked_signature, origin
from tinygrad_np.errors import BAD_INPUT, cause_of, describe_argument, describe_error, numpy_name
from tinygrad_np.grad_mode import CREATE_GRAPH, MODE

if TYPE_CHECKING:
    from tinygrad_np.tensor import Tensor

# In a rule an array is an ndarray, or a Tensor when the rule is run again for a higher derivative.
Array: TypeAlias = Any
Rule: TypeAlias = "tuple[np.ndarray | Tensor, Any]"  # the result and its vjps
MultiRule: TypeAlias = "tuple[tuple[np.ndarray | Tensor, ...], Any]"  # several results and their joint vjp
P = ParamSpec("P")

_numbers = itertools.count()

PRIMITIVES: dict[str, Callable[..., Any]] = {}  # every declared primitive, by name
NUMPY: dict[Callable[..., Any], Callable[..., Any]] = {}  # NumPy function -> what a Tensor does instead


class Node:
    """One recorded result: how to send a gradient on to what it was made of.

    `parents` are the nodes of the primitive's arguments, None for one that needs no gradient. A leaf, a Tensor made
    by hand, has no vjps, and is where gradients arrive. `vjps` is None once the graph was freed. `replay` is (rule,
    inputs, static parameters) while inputs are kept, otherwise None.

    An op with several outputs has a node of its own, whose shape is their number and whose gradient is a list,
    and above it one for each output, whose `vjps` is just its place in that list.

    Each primitive has a class of nodes, with its `name`; whether it works element by element, as NumPy's ufuncs do;
    and whether it chooses between elements, so that what was not chosen gets a gradient of 0.
    """

    __slots__ = ("dtype", "grad", "number", "parents", "replay", "shape", "vjps")

    name: ClassVar[str] = "leaf"
    elementwise: ClassVar[bool] = False
    selects: ClassVar[bool] = False

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


PLAIN_INDEX = (int, np.integer, slice, type(None), type(...))  # indices that name each place once


class SparseGrad:
    """A gradient that is zero except at `index`, where it is `values`; an index that repeats adds up."""

    __slots__ = ("index", "values")

    shape = None  # unlike that of any array

    def __init__(self, values: Array, index: Any):
        self.values = values
        self.index = index

    def add_into(self, buffer: np.ndarray) -> None:
        if type(self.index) is int:  # a step of a sequence
            part = buffer[self.index, ...]  # a view, even of one number
            part += self.values
            return
        if self.is_plain():
            buffer[self.index] += self.values
        else:
            np.add.at(
                buffer, self.index, self.values
            )  # an array, list or tuple of indices may name a place twice

    def is_plain(self) -> bool:
        """Whether the index has slices and numbers only, and no mask, nor any other array."""
        index = self.index if type(self.index) is tuple else (self.index,)
        return all(isinstance(i, PLAIN_INDEX) for i in index)


class DeferredMatmul:
    """The gradient x^T g of a matrix, not multiplied yet.

    A weight that is used at every step collects the rows of x and g: one large product instead of many, and of
    their sums. Beyond `ROWS` it is multiplied at once, so that no more of them are kept alive.
    """

    ROWS = 1024

    __slots__ = ("g", "x")

    shape = None

    def __init__(self, x: Array, g: Array):
        self.x = x
        self.g = g

    @staticmethod
    def multiply(xs: list[Array], gs: list[Array]) -> np.ndarray:
        """The sum of several products, as one of all rows."""
        x, g = (parts[0] if len(parts) == 1 else np.concatenate(parts) for parts in (xs, gs))
        product: np.ndarray = x.T @ g
        return product


# --- calling a primitive ------------------------------------------------------------------------------


def as_array(x: Any) -> np.ndarray:
    """An array of numbers, of anything that NumPy makes one of.

    Raises
    ------
    TypeError
        It holds something else than numbers; or it is an array of a class of its own, such as ``np.matrix`` or a
        masked array, whose operators mean something else, or whose mask would be lost.
    """
    if type(x) is not np.ndarray and isinstance(x, np.ndarray) and not isinstance(x, np.memmap):
        raise TypeError(
            f"{type(x).__module__}.{type(x).__name__} is an array with rules of its own, which would be lost; give "
            "np.asarray(...) of it, or of a masked array .filled(...)"
        )
    try:
        array = np.asarray(x)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"no array of numbers can be made of {describe_argument(x)}: {error}") from error
    if array.dtype.kind not in "biufc":
        what = f"{array.dtype}" + f", made of {type(x).__name__}" * (array.dtype == object)
        raise TypeError(f"a Tensor holds numbers, and this has dtype {what}; make numbers of it first")
    return array


ndarray = np.ndarray
NUMBERS = frozenset(map(np.dtype, "?bBhHiIlLqQefdgFDG"))  # the dtypes of numbers, in the machine's byte order


def operand(name: str, x: Any) -> Any:
    """What a primitive is given beside Tensors, as its rule takes it: Python numbers stay as they are, so weak."""
    kind = type(x)
    if kind is ndarray:
        if x.dtype in NUMBERS:
            return x
    elif kind is float or kind is bool or kind is complex:
        return x
    elif kind is int:
        if -(2**63) <= x < 2**64:
            return x
        raise ValueError(
            f"{name}: the whole number {x} is too large for NumPy's integers; write it as a float"
        )
    try:
        return as_array(x)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name}: {error}") from error


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
        signature = checked_signature(rule)
        kinds = [parameter.kind for parameter in signature.parameters.values()]
        names = list(signature.parameters)
        takes_needs_input_grad = "needs_input_grad" in inspect.signature(rule).parameters
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
                node, data = (
                    None,
                    np.asarray(operand(name, x)),
                )  # a number alone meets nothing whose dtype to take
            try:
                out, vjps = rule(data, **static) if static else rule(data)  # the latter is the faster call
            except BAD_INPUT as error:
                raise describe_error(name, error, (data,), static) from error
            if node is None or not (now := MODE.get()):
                return wrap_output(kind, out, (), None, None)
            replay: Any = (declared, (x,), static) if now == CREATE_GRAPH else None
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
            if now == CREATE_GRAPH:
                inputs = (x if type(x) is Tensor else data_x, y if type(y) is Tensor else data_y)
                replay = declared, inputs, {}
            if node_y is None:  # drop the vjp that is not needed, and with it the arrays that it holds
                vjps = (vjps[0], None) if type(vjps) is tuple else vjps
            elif node_x is None:
                vjps = (None, vjps[1]) if type(vjps) is tuple else vjps
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
            if composite is not None and recorded and now == CREATE_GRAPH:
                return composite(*xs, **static)
            told = static
            if takes_needs_input_grad:
                told = {**static, "needs_input_grad": tuple([n is not None for n in parents])}
            try:
                out, vjps = rule(*data, **told)
            except BAD_INPUT as error:
                raise describe_error(name, error, data, static) from error
            if not recorded:
                return wrap_output(kind, out, (), None, None)
            replay: Any = None
            if now == CREATE_GRAPH:
                inputs = tuple([x if type(x) is Tensor else d for x, d in zip(xs, data, strict=True)])
                replay = declared, inputs, told
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

        @functools.wraps(function)
        def answer(*args: Any, **kwargs: Any) -> Any:
            try:
                return function(*args, **kwargs)
            except BAD_INPUT as error:
                if str(error).startswith(f"{name}:"):
                    raise  # it has said all
                # what a primitive inside was told is told of this function
                raise describe_error(name, cause_of(error), args, kwargs) from error

        answers: dict[Any, Callable[..., Any]] = dict.fromkeys(numpy_functions, answer)
        check_free(answers, NUMPY)
        NUMPY.update(answers)
        return answer

    return register


# --- walking back -------------------------------------------------------------------------------------


def unbroadcast(g: Array, shape: tuple[int, ...]) -> Array:
    """Sum a gradient over the axes along which its array was repeated; the reverse of broadcasting."""
    extra = g.ndim - len(shape)
    if extra < 0 or any(n not in (1, m) for n, m in zip(shape, g.shape[extra:], strict=True)):
        raise ValueError(f"a gradient of shape {g.shape} for an array of shape {shape}")
    repeated = [i + extra for i, n in enumerate(shape) if n == 1 and g.shape[i + extra] != 1]
    return np.reshape(np.sum(g, axis=(*range(extra), *repeated)), shape)


def toposort(root: Node) -> list[Node]:
    """Every node that a result depends on, itself first and the oldest last."""
    seen = {root}
    stack = [root]
    while stack:  # a stack and no recursion: a graph may be a million nodes deep
        for parent in stack.pop().parents:
            if parent is not None and parent not in seen:
                seen.add(parent)
                stack.append(parent)
    return sorted(seen, key=attrgetter("number"), reverse=True)


def cast(node: Node, part: Array) -> Array:
    """A gradient in the dtype of its array."""
    if part.dtype == node.dtype:
        return part
    if part.dtype.kind == "c":
        raise TypeError(
            "a complex number took part, and nothing real has a gradient through complex numbers here"
        )
    return part.astype(node.dtype)


class Accumulator:
    """How gradients of arrays add up on the way back: `totals` holds what has arrived at each node so far.

    The first gradient that reaches a node is kept as it is. The second is added to it out of place, because the
    first may be somebody else's array; that sum is the tape's own, and all further ones go in place. A sparse
    gradient is added into one dense buffer. Products of one matrix wait until they are many, or its turn comes.
    """

    def __init__(self) -> None:
        self.totals: dict[Node, Any] = {}
        self.owned: set[Node] = set()  # whose total nobody else holds
        self.deferred: dict[Node, tuple[list[Array], list[Array]]] = {}  # of a matrix: all rows of x and of g
        self.selected: set[Node] = set()  # below a choice between elements

    def fit(self, node: Node, part: Any) -> Any:
        """A gradient in the shape and dtype of its array; None if it was added, or put aside, in its own way."""
        if type(part) is DeferredMatmul:
            xs, gs = self.deferred.setdefault(node, ([], []))
            xs.append(part.x)
            gs.append(part.g)
            if len(xs) * len(part.x) < DeferredMatmul.ROWS:
                return None
            part = DeferredMatmul.multiply(*self.deferred.pop(node))
        if type(part) is SparseGrad:
            if node not in self.owned:
                buffer = np.zeros(node.shape, node.dtype)
                if node in self.totals:
                    buffer += self.totals[node]
                self.totals[node] = buffer
                self.owned.add(node)
            part.add_into(self.totals[node])
            if not part.is_plain():
                self.selected.add(node)
            return None
        if part.shape != node.shape:
            part = unbroadcast(part, node.shape)
        return cast(node, part)

    def add(self, node: Node, part: np.ndarray) -> None:
        """Add to what has arrived before."""
        total = self.totals[node]
        if node in self.owned:
            total += part
            self.totals[node] = total  # of a 0-d array `+=` has made a new number
        else:
            self.totals[node] = total + part
            self.owned.add(node)

    def take(self, node: Node) -> Any:
        """The whole gradient of a node whose turn has come, or None."""
        total = self.totals.pop(node, None)
        if node in self.deferred:
            product = cast(node, DeferredMatmul.multiply(*self.deferred.pop(node)))
            total = product if total is None else total + product
            self.owned.add(node)
        return total

    def own(self, node: Node, total: Any) -> Any:
        """A gradient that `take` gave, as an array that nobody else holds."""
        # of a 0-d array a sum is a number, and has lost a byte order that is not the machine's own
        return np.asarray(total, node.dtype) if node in self.owned else np.array(total, node.dtype)


def backward_pass(
    nodes: Sequence[Node],
    g: Any,
    gradients: Any,
    vjps_of: Callable[[Node], Any] | None = None,
    free: bool = False,
) -> dict[Node, Any]:
    """Send the gradient `g` of the first of `nodes` back through all of them; return those of the leaves.

    Zero times infinity: ``np.where(x > 0, x * np.log(x), 0)`` has no use for the product at x = 0, and sends it a
    gradient of 0, which times log(0) would be NaN. So below a choice between elements, and only there, what an
    element-wise primitive sends back is looked at: where it is not finite and its incoming gradient is exactly 0,
    nothing depends on that element, and 0 goes on.

    Parameters
    ----------
    nodes : sequence of Node
        The `toposort` of the result.
    g : array
        In the shape of the result.
    gradients : Accumulator
        How gradients add up, and of what kind they are: arrays here, Tensors in `transforms`.
    vjps_of : callable, optional
        What to go back through instead of a node's own vjps: those of its rule run again, for one.
    free : bool
        Whether each node is freed as soon as it is passed.
    """
    leaves: dict[Node, Any] = {}
    totals, add, take, selected = gradients.totals, gradients.add, gradients.take, gradients.selected
    totals[nodes[0]] = g
    hushed: list[np.errstate] = []
    try:
        for node in nodes:
            g = take(node)
            if g is None:
                continue
            vjps = node.vjps if vjps_of is None else vjps_of(node)
            below = selected and node.elementwise and node in selected
            try:
                if type(vjps) is tuple:
                    if not vjps:
                        leaves[node] = gradients.own(node, g)
                        continue
                    parts = vjps
                elif type(vjps) is int:  # an output of several
                    op: Any = node.parents[0]
                    totals.setdefault(op, [None] * op.shape[0])[vjps] = g
                    parts = (None,)
                elif vjps is None:
                    raise RuntimeError(
                        "this graph was freed by an earlier backward(), or by one that failed; "
                        "call that one with retain_graph=True to go through it again"
                    )
                else:
                    parts = vjps(g)
                for parent, part in zip(node.parents, parts, strict=True):
                    if parent is None or part is None:
                        continue
                    if parts is vjps:
                        part = part(g)
                        if below and part is not None:
                            part = without_poles(part, g)
                    if part.shape != parent.shape or part.dtype is not parent.dtype:
                        part = gradients.fit(parent, part)
                        if part is None:
                            continue
                    if parent in totals:
                        add(parent, part)
                    else:
                        totals[parent] = part
            except (AttributeError, *BAD_INPUT) as error:
                raise describe_vjp_error(node, vjps, g, error) from error
            if node.selects or (selected and node in selected):
                if not hushed:
                    hushed.append(
                        np.errstate(divide="ignore", invalid="ignore")
                    )  # of the poles that are looked for
                    hushed[0].__enter__()
                selected.update([parent for parent in node.parents if parent is not None])
            if free:
                node.parents, node.vjps, node.replay = (), None, None
    finally:
        for errstate in hushed:
            errstate.__exit__(None, None, None)
    return leaves


def without_poles(part: Any, g: Array) -> Any:
    """What an element-wise vjp sends back, with 0 where it is not finite though nothing came in."""
    if part is g or part.shape != g.shape or np.isfinite(part).all():
        return part
    return np.where(~np.isfinite(part) & (g == 0), 0, part)


def describe_vjp_error(node: Node, vjps: Any, g: Any, error: Exception) -> Exception:
    """The error of going back through a node: which primitive, which argument, what is wrong with its gradient."""
    shown = "gradients" if isinstance(g, list) else f"a gradient {g.dtype}{list(g.shape)}"
    parameters = inspect.signature(PRIMITIVES[node.name]).parameters.values()
    names = [p.name for p in parameters if p.kind is not inspect.Parameter.KEYWORD_ONLY]
    try:
        parts = vjps if type(vjps) is tuple else vjps(g)
        if not isinstance(parts, list | tuple):
            return TypeError(
                f"{node.name}: its joint vjp returned {type(parts).__name__}; it must return a list of gradients, "
                "one for each array"
            )
        if len(parts) != len(node.parents):
            return TypeError(
                f"{node.name}: its joint vjp returned {len(parts)} gradients for {len(node.parents)} arrays"
            )
        for i, (parent, part) in enumerate(zip(node.parents, parts, strict=True)):
            if parent is None or part is None:
                continue
            name = names[min(i, len(names) - 1)]
            where = f"{node.name}: the vjp of {name}, an array of shape {parent.shape}, made of {shown} "
            part = part(g) if parts is vjps else part
            if part is None or not hasattr(part, "shape"):
                return TypeError(f"{where}{type(part).__name__}; it must return a gradient of that shape")
            if isinstance(part, np.ndarray):
                try:
                    unbroadcast(part, parent.shape)
                except ValueError:
                    return ValueError(
                        f"{where}one of shape {part.shape}; it must have the shape of its array"
                    )
    except (AttributeError, *BAD_INPUT):
        pass
    kind = next((k for k in (IndexError, TypeError) if isinstance(error, k)), ValueError)
    return kind(f"{node.name}: its derivative failed with {shown}: {error}")
