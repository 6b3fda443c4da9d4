"""The tape: it remembers which primitive made which array, and walks back over that memory.

A primitive is a NumPy function and its derivative, written once:

    @primitive(np.multiply)
    def multiply(x, y):
        return x * y, (lambda g: g * y, lambda g: g * x)

A rule takes arrays and returns the result and its vjps ("vector-Jacobian products"): functions that
turn the gradient ``g`` of the result into the gradient of an argument. A tuple holds one for each array
argument, or None where there is no gradient; a single callable is a joint vjp and returns all of them
at once. Arrays come first and by position, static parameters are keyword-only.

A rule with several outputs returns a tuple of them, and a joint vjp that takes a list: the gradient of each
output, or None where nothing came back. A rule that would save more than is needed asks for `needs_input_grad`, a
keyword-only parameter that the tape fills in: a bool for each array argument, whether a gradient is recorded
for it. A fused rule that cannot be run again on Tensors names its composite, the same function composed of other
primitives, for higher derivatives.

Calling a primitive with a Tensor that requires a gradient leaves a `Node`: the vjps, and the nodes of
the arguments. Nodes point to nodes and never to Tensors, and a vjp holds only the arrays that it needs,
so a graph has no cycles and dies with its last Tensor. `backward_pass` collects the nodes below a result, and
walks them from the last made to the first: creation order is a topological order.
"""

from __future__ import annotations

import functools
import inspect
import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from tinygrad_np.tensor import Tensor

# In a rule an array is an ndarray, or a Tensor when the rule is run again for a higher derivative.
Array: TypeAlias = Any
Rule: TypeAlias = tuple[Array, Any]

NO_GRAD, GRAD, CREATE_GRAPH = (
    0,
    1,
    2,
)  # record nothing; record vjps; and keep each node's inputs, for higher derivatives
_grad_mode: ContextVar[int] = ContextVar("grad_mode", default=GRAD)
_numbers = itertools.count()

PRIMITIVES: dict[str, Callable[..., Tensor]] = {}  # every declared primitive, by name
NUMPY: dict[Callable[..., Any], Callable[..., Any]] = {}  # NumPy function -> what a Tensor does instead


class Node:
    """One recorded result: how to send a gradient on to what it was made of.

    A leaf, a Tensor made by hand, has no vjps, and is where gradients arrive. `vjps` is None once the
    graph was freed. `replay` is (rule, inputs, static parameters) while inputs are kept, otherwise None.

    An op with several outputs has a node of its own, whose shape is their number and whose gradient is a list,
    and above it one for each output, whose `vjps` is just its place in that list.
    """

    __slots__ = ("dtype", "grad", "number", "parents", "replay", "shape", "vjps")

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

    def __init__(self, values: Array, index: Any):
        self.values = values
        self.index = index

    def add_into(self, buffer: np.ndarray) -> None:
        if type(self.index) is int:  # a step of a sequence
            part = buffer[self.index, ...]  # a view, even of one number
            part += self.values
            return
        index = self.index if type(self.index) is tuple else (self.index,)
        if all(isinstance(i, PLAIN_INDEX) for i in index):
            buffer[index] += self.values
        else:
            np.add.at(buffer, index, self.values)  # an array, list or tuple of indices may name a place twice


class DeferredMatmul:
    """The gradient x^T g of a matrix, not multiplied yet.

    A weight that is used at every step collects the rows of x and g: one large product instead of many, and of
    their sums. Beyond `ROWS` it is multiplied at once, so that no more of them are kept alive.
    """

    ROWS = 1024

    __slots__ = ("g", "x")

    def __init__(self, x: Array, g: Array):
        self.x = x
        self.g = g

    @staticmethod
    def of(xs: list[Array], gs: list[Array]) -> np.ndarray:
        """The sum of several products, as one of all rows."""
        x, g = (parts[0] if len(parts) == 1 else np.concatenate(parts) for parts in (xs, gs))
        product: np.ndarray = x.T @ g
        return product


def grad_mode() -> int:
    """What is recorded now: NO_GRAD, GRAD or CREATE_GRAPH."""
    return _grad_mode.get()


@contextmanager
def set_grad_mode(mode: int) -> Iterator[None]:
    """Record in this mode inside a ``with`` block, on this thread or task only."""
    token = _grad_mode.set(mode)
    try:
        yield
    finally:
        _grad_mode.reset(token)


def no_grad() -> Any:
    """A context manager, or with ``@no_grad()`` a decorator, under which nothing is recorded."""
    return set_grad_mode(NO_GRAD)


# --- calling a primitive ------------------------------------------------------------------------------


AS_IT_IS = (np.ndarray, bool, int, float, complex, np.generic)


def operand(x: Any) -> Any:
    """What is not a Tensor, as a rule takes it: Python numbers stay as they are, so that they are weak."""
    return x if isinstance(x, AS_IT_IS) else np.asarray(x)


def describe_error(name: str, error: Exception, args: Sequence[Any], static: dict[str, Any]) -> Exception:
    """The error of a primitive, with the shapes and dtypes that it was called with."""
    shown = [f"{a.dtype}{list(a.shape)}" if hasattr(a, "dtype") else repr(a) for a in args]
    shown += [f"{key}={value!r}" for key, value in static.items()]
    kind = next((k for k in (IndexError, TypeError) if isinstance(error, k)), ValueError)
    return kind(f"{name}({', '.join(shown)}): {error}")


def wrap_output(out: Any, parents: tuple[Node | None, ...], vjps: Any, replay: Any) -> Any:
    """The Tensor of an output, or a tuple of those of several; with a node if there are parents."""
    if type(out) is tuple:
        outs = [np.asarray(one) for one in out]
        if not parents:
            return tuple([Tensor._of(one, None) for one in outs])
        op = (Node((len(outs),), None, parents, vjps, replay),)
        return tuple([Tensor._of(one, Node(one.shape, one.dtype, op, i)) for i, one in enumerate(outs)])
    out = np.asarray(out)
    return Tensor._of(out, Node(out.shape, out.dtype, parents, vjps, replay) if parents else None)


def primitive(
    *numpy_functions: Callable[..., Any], composite: Callable[..., Any] | None = None
) -> Callable[[Callable[..., Rule]], Callable[..., Tensor]]:
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

    Raises
    ------
    ValueError, TypeError, IndexError
        From the declared function, on bad input: the name of the primitive, the shapes and dtypes that it
        was given, and what NumPy says is wrong with them.
    """

    def declare(rule: Callable[..., Rule]) -> Callable[..., Tensor]:
        name = rule.__name__
        parameters = inspect.signature(rule).parameters.values()
        kinds = [parameter.kind for parameter in parameters]
        names = [parameter.name for parameter in parameters if parameter.name != "needs_input_grad"]
        takes_needs_input_grad = len(names) < len(kinds)
        has_static = inspect.Parameter.KEYWORD_ONLY in kinds
        arity = kinds.count(inspect.Parameter.POSITIONAL_OR_KEYWORD)

        def unary(x: Any, **static: Any) -> Any:
            if type(x) is Tensor:
                node, data = x.node, x.data
            else:
                node, data = None, np.asarray(x)  # a number alone meets nothing whose dtype it could take
            try:
                out, vjps = rule(data, **static) if static else rule(data)  # the latter is the faster call
            except (ValueError, TypeError, IndexError) as error:
                raise describe_error(name, error, (data,), static) from error
            if node is None or not (now := _grad_mode.get()):
                return wrap_output(out, (), None, None)
            replay: Any = (rule, (x,), static) if now == CREATE_GRAPH else None
            if type(out) is not np.ndarray:
                return wrap_output(out, (node,), vjps, replay)
            tensor = object.__new__(Tensor)  # `wrap_output`, written out where most results pass
            tensor.data = out
            tensor.node = Node(out.shape, out.dtype, (node,), vjps, replay)
            return tensor

        def binary(x: Any, y: Any) -> Any:
            if type(x) is Tensor:
                node_x, data_x = x.node, x.data
            else:
                node_x, data_x = None, operand(x)
            if type(y) is Tensor:
                node_y, data_y = y.node, y.data
            else:
                node_y, data_y = None, operand(y)
            try:
                out, vjps = rule(data_x, data_y)
            except (ValueError, TypeError, IndexError) as error:
                raise describe_error(name, error, (data_x, data_y), {}) from error
            if (node_x is None and node_y is None) or not (now := _grad_mode.get()):
                return wrap_output(out, (), None, None)
            replay: Any = None
            if now == CREATE_GRAPH:
                replay = rule, (x if type(x) is Tensor else data_x, y if type(y) is Tensor else data_y), {}
            parents: tuple[Node | None, ...] = (node_x, node_y)
            if node_y is None and type(vjps) is tuple:  # drop the other vjp, and with it the arrays it holds
                parents, vjps = (node_x,), (vjps[0],)
            elif node_x is None and type(vjps) is tuple:
                parents, vjps = (node_y,), (vjps[1],)
            if type(out) is not np.ndarray:
                return wrap_output(out, parents, vjps, replay)
            tensor = object.__new__(Tensor)
            tensor.data = out
            tensor.node = Node(out.shape, out.dtype, parents, vjps, replay)
            return tensor

        def general(*xs: Any, **static: Any) -> Any:
            now = _grad_mode.get()
            data = [x.data if type(x) is Tensor else operand(x) for x in xs]
            parents = tuple([x.node if now and type(x) is Tensor else None for x in xs])
            recorded = any(parents)
            if composite is not None and recorded and now == CREATE_GRAPH:
                return composite(*xs, **static)
            told = (
                {**static, "needs_input_grad": tuple([n is not None for n in parents])}
                if takes_needs_input_grad
                else static
            )
            try:
                out, vjps = rule(*data, **told)
            except (ValueError, TypeError, IndexError) as error:
                raise describe_error(name, error, data, static) from error
            if not recorded:
                return wrap_output(out, (), None, None)
            replay: Any = None
            if now == CREATE_GRAPH:
                replay = (
                    rule,
                    tuple(x if type(x) is Tensor else d for x, d in zip(xs, data, strict=True)),
                    told,
                )
            if type(vjps) is tuple:
                pairs = [
                    (n, v) for n, v in zip(parents, vjps, strict=True) if n is not None and v is not None
                ]
                parents, vjps = tuple([n for n, _ in pairs]), tuple([v for _, v in pairs])
            return wrap_output(out, parents, vjps, replay)

        call: Callable[..., Tensor] = general
        if composite is None and not takes_needs_input_grad and inspect.Parameter.VAR_POSITIONAL not in kinds:
            if arity == 1:
                call = unary
            elif arity == 2 and not has_static:
                call = binary
        functools.update_wrapper(call, rule)
        PRIMITIVES[name] = call
        for function in numpy_functions:
            NUMPY[function] = (
                functools.partial(_as_numpy, function, call, arity, names) if has_static else call
            )
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


def numpy_name(function: Callable[..., Any]) -> str:
    """A function of NumPy as it is called: ``np.linalg.norm``."""
    module = getattr(function, "__module__", None) or "numpy"  # a ufunc has none
    return f"{module.replace('numpy', 'np', 1)}.{function.__name__}"


def implements(*numpy_functions: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Let Tensors answer these NumPy functions with a function composed of primitives."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        NUMPY.update(dict.fromkeys(numpy_functions, function))
        return function

    return register


# --- walking back -------------------------------------------------------------------------------------


def unbroadcast(g: Array, shape: tuple[int, ...]) -> Array:
    """Sum a gradient over the axes along which its array was repeated; the reverse of broadcasting."""
    extra = g.ndim - len(shape)
    if extra < 0 or any(n not in (1, m) for n, m in zip(shape, g.shape[extra:], strict=True)):
        raise ValueError(f"a rule sent a gradient of shape {g.shape} to an array of shape {shape}")
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


def backward_pass(root: Node, g: np.ndarray, nodes: list[Node], free: bool = False) -> dict[Node, np.ndarray]:
    """Send gradient `g` of `root` back through `nodes`, its `toposort` ones; return those of the leaves.

    The first gradient that reaches a node is kept as it is. The second is added to it out of place, because
    the first may be somebody else's array; that sum is the tape's own, and all further ones go in place.
    Products wait until they are many, or their matrix's turn comes. All of this stands in one loop, since it is
    most of what the way back through a small op costs.
    """
    gradients: dict[Node, Any] = {root: g}
    owned: set[Node] = set()
    products: dict[Node, tuple[list[Array], list[Array]]] = {}  # of a matrix: all rows of x and of g
    leaves: dict[Node, np.ndarray] = {}
    for node in nodes:
        g = gradients.pop(node, None)
        if node in products:
            product = DeferredMatmul.of(*products.pop(node)).astype(node.dtype, copy=False)
            g = product if g is None else g + product
            owned.add(node)
        if g is None:
            continue
        vjps = node.vjps
        if type(vjps) is tuple:
            if not vjps:
                leaves[node] = np.asarray(g) if node in owned else np.array(g)
                continue
            parts = vjps
        elif type(vjps) is int:  # an output of several
            op: Any = node.parents[0]
            gradients.setdefault(op, [None] * op.shape[0])[vjps] = g
            parts = (None,)
        elif vjps is None:
            raise RuntimeError(
                "this graph was freed by an earlier backward(); "
                "call that one with retain_graph=True to go through it again"
            )
        else:
            parts = vjps(g)
        for parent, part in zip(node.parents, parts, strict=True):
            if parent is None or part is None:
                continue
            if parts is vjps:
                part = part(g)
            if type(part) is DeferredMatmul:
                xs, gs = products.setdefault(parent, ([], []))
                xs.append(part.x)
                gs.append(part.g)
                if len(xs) * len(part.x) < DeferredMatmul.ROWS:
                    continue
                part = DeferredMatmul.of(*products.pop(parent))
            so_far: Any = gradients.get(parent)
            if type(part) is SparseGrad:
                if parent not in owned:
                    buffer = np.zeros(parent.shape, parent.dtype)
                    if so_far is not None:
                        buffer += so_far
                    gradients[parent] = so_far = buffer
                    owned.add(parent)
                part.add_into(so_far)
                continue
            if part.shape != parent.shape:
                part = unbroadcast(part, parent.shape)
            if part.dtype is not parent.dtype:
                part = part.astype(parent.dtype)
            if so_far is None:
                gradients[parent] = part
            elif parent in owned:
                so_far += part
                gradients[parent] = so_far  # of a 0-d array `+=` has made a new number
            else:
                gradients[parent] = so_far + part
                owned.add(parent)
        if free:
            node.parents, node.vjps, node.replay = (), None, None
    return leaves
