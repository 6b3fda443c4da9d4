"""Functions of functions: gradient, Jacobian, Hessian, of any order.

``grad(f)`` is a function again, and it may be differentiated again. While `f` runs the tape keeps the inputs
of every primitive; to go back, each rule is run once more, on Tensors instead of arrays, so that the way
back is recorded too. When nobody can ask for a derivative of the result, the plain way back is taken.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_np.backward import (
    Accumulator,
    DeferredMatmul,
    SparseGrad,
    backward_pass,
    cast,
    toposort,
    unbroadcast,
)
from tinygrad_np.errors import describe_argument
from tinygrad_np.grad_mode import ANOMALY, CREATE_GRAPH, GRAD, grad_mode, set_grad_mode
from tinygrad_np.ops.elementwise import identity
from tinygrad_np.ops.index import zeros_at
from tinygrad_np.ops.shape import stack
from tinygrad_np.row_grad import RowGrad
from tinygrad_np.tape import Node, wrap_output
from tinygrad_np.tensor import Tensor


def value_and_grad(f: Callable[..., Tensor], argnums: int | tuple[int, ...] = 0) -> Callable[..., Any]:
    """The function that returns ``f(...)`` and its gradient.

    Parameters
    ----------
    f : callable
        Takes Tensors, and returns a Tensor with one element.
    argnums : int or tuple of int
        The positional arguments to differentiate with respect to: floating-point numbers, arrays or Tensors.

    Returns
    -------
    callable
        Takes what `f` takes. Returns ``(value, gradient)``, Tensors; the gradient has the shape and dtype
        of its argument, and is a tuple where `argnums` is one.

    Raises
    ------
    ValueError
        `f` returned more than one element: that takes `jacobian`.
    TypeError
        `f` returned something else than a Tensor, or an argument is not floating-point.
    """

    def value_and_gradient(*args: Any, **kwargs: Any) -> tuple[Tensor, Any]:
        value, pull = _record(f, argnums, args, kwargs)
        if value.size != 1:
            raise ValueError(f"the gradient of a function of shape {value.shape}: use jacobian, or reduce it")
        gradients = pull(np.ones(value.shape, value.dtype))
        return value, gradients[0] if isinstance(argnums, int) else gradients

    return value_and_gradient


def grad(f: Callable[..., Tensor], argnums: int | tuple[int, ...] = 0) -> Callable[..., Any]:
    """The function that returns the gradient of `f`; see `value_and_grad`."""

    def gradient(*args: Any, **kwargs: Any) -> Any:
        return value_and_grad(f, argnums)(*args, **kwargs)[1]

    return gradient


def jacobian(f: Callable[..., Tensor], argnums: int | tuple[int, ...] = 0) -> Callable[..., Any]:
    """The function that returns every derivative of every element of ``f(...)``.

    Its result has the shape of ``f(...)`` followed by that of the argument, and is a tuple of such where `argnums`
    is one. One way back an element.
    """

    def all_derivatives(*args: Any, **kwargs: Any) -> Any:
        value, pull = _record(f, argnums, args, kwargs)
        units = np.eye(value.size, dtype=value.dtype).reshape(value.size, *value.shape)
        rows = [pull(unit) for unit in units]  # of each element, the derivatives by each argument
        numbers = (argnums,) if isinstance(argnums, int) else argnums
        shapes = [(*value.shape, *np.shape(args[i])) for i in numbers]
        found = [
            stack(*(row[k] for row in rows)).reshape(shape) if rows else Tensor(np.zeros(shape, value.dtype))
            for k, shape in enumerate(shapes)
        ]
        return found[0] if isinstance(argnums, int) else tuple(found)

    return all_derivatives


def hessian(f: Callable[..., Tensor], argnums: int = 0) -> Callable[..., Tensor]:
    """The function that returns all second derivatives of `f`, in the argument's shape twice over."""
    if not isinstance(argnums, int):
        raise TypeError(f"hessian takes one argument number, not {argnums!r}")
    return jacobian(grad(f, argnums), argnums)


def vjp(f: Callable[..., Tensor], *args: Any) -> tuple[Tensor, Callable[[Any], tuple[Tensor, ...]]]:
    """The value of ``f(*args)``, and the function that takes a gradient of it back to all arguments.

    Parameters
    ----------
    f : callable
        Takes Tensors, and returns a Tensor of any shape.
    *args : array_like or Tensor
        Floating-point numbers, arrays or Tensors.

    Returns
    -------
    value : Tensor
        ``f(*args)``.
    pull : callable
        Takes a gradient in the shape of the value; returns a tuple with that of each argument. May be called again.
    """
    value, pull = _record(f, tuple(range(len(args))), args, {})

    def checked(g: Any) -> tuple[Tensor, ...]:
        array = np.asarray(g.data if isinstance(g, Tensor) else g, value.dtype)
        if array.shape != value.shape:
            raise ValueError(f"vjp: a gradient of shape {array.shape} for a value of shape {value.shape}")
        return pull(array)

    return value, checked


def jvp(f: Callable[..., Tensor], args: Sequence[Any], tangents: Sequence[Any]) -> tuple[Tensor, Tensor]:
    """The value of ``f(*args)``, and how it changes when the arguments move along `tangents`.

    It is the derivative of <J^T u, v> with respect to u, which is J v for every u: two ways back for any shapes.

    Parameters
    ----------
    f : callable
        Takes Tensors, and returns a Tensor of any shape.
    args, tangents : sequence of array_like
        Of the same number and shapes.

    Returns
    -------
    tuple of Tensor
        The value and its derivative along the tangents, of one shape.
    """
    if [np.shape(x) for x in args] != [np.shape(v) for v in tangents]:
        raise ValueError(
            f"jvp takes tangents of the shapes {[np.shape(x) for x in args]} of the arguments, not of "
            f"{[np.shape(v) for v in tangents]}"
        )
    value = f(*[x if isinstance(x, Tensor) else Tensor(x) for x in args])

    def along(u: Tensor) -> Tensor:
        pulled = grad(lambda *xs: (f(*xs) * u).sum(), tuple(range(len(args))))(*args)
        total: Tensor = sum(((g * v).sum() for g, v in zip(pulled, tangents, strict=True)), Tensor(0.0))
        return total

    return value, grad(along)(np.ones(value.shape, value.dtype))


def checkpoint(f: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, which keeps nothing for the way back but its arguments, and runs again there.

    It trades time for memory (Chen et al., 2016): of a deep network one part at a time is held. Tensors that `f`
    uses without taking them, such as the weights of a layer, get their gradients too. For higher derivatives it is
    `f` itself.

    Parameters
    ----------
    f : callable
        Takes anything, Tensors by position, and returns a Tensor or a tuple of them.

    Raises
    ------
    RuntimeError
        On the way back: `f` gave something else the second time, as with random numbers drawn anew, so that its
        gradient would be that of another function.
    """

    @functools.wraps(f)
    def checkpointed(*args: Any, **kwargs: Any) -> Any:
        if grad_mode() & ~ANOMALY != GRAD:
            return f(*args, **kwargs)
        inputs = [i for i, x in enumerate(args) if isinstance(x, Tensor) and x.requires_grad]

        def run() -> tuple[Any, list[Tensor]]:
            """`f` on variables of its own in place of its arguments, and those variables."""
            given = list(args)
            for i in inputs:
                given[i] = Tensor._of(args[i].data, Node(args[i].shape, args[i].dtype))
            return f(*given, **kwargs), [given[i] for i in inputs]

        start = Node((), None).number  # what is older is not inside
        first, variables = run()
        several = isinstance(first, tuple)
        outs = first if several else (first,)
        if not all(isinstance(out, Tensor) for out in outs):
            raise TypeError(f"checkpoint: {describe_argument(first)} is no Tensor, nor a tuple of them")
        if not any(out.requires_grad for out in outs):
            return first
        results = [out.data for out in outs]
        border = _border(outs, start)
        del first, variables, outs  # and with them all that the first run has kept

        def joint(gs: Any) -> list[Any]:
            stand_in = {node: Node(node.shape, node.dtype) for node in border}  # older than what runs now
            with set_grad_mode(GRAD | grad_mode() & ANOMALY):
                again, variables = run()
            outs = again if several else (again,)
            if not all(np.array_equal(a.data, b, equal_nan=True) for a, b in zip(outs, results, strict=True)):
                raise RuntimeError(
                    "checkpoint: the function gave another result when it ran again for the way back; where it "
                    "draws random numbers, give it a seed and not a generator that goes on"
                )
            gs = gs if isinstance(gs, list) else [gs]
            root = Node((), None, tuple([out.node for out in outs]), lambda _: gs)
            nodes = toposort(root)
            for node in nodes:  # the gradients stop at the border: beyond it the way back goes by itself
                if node.number > start:
                    node.parents = tuple([p and stand_in.get(p, p) for p in node.parents])
            found = backward_pass(toposort(root), np.ones(()), Accumulator(), free=True)
            targets = [*[v.node for v in variables], *stand_in.values()]
            return [None if node is None else _part(found.get(node)) for node in targets]

        parents = (*[args[i].node for i in inputs], *border)
        kind = type("Node of checkpoint", (Node,), {"__slots__": (), "name": "checkpoint"})
        out = tuple(results) if several else results[0]
        return wrap_output(kind, out, parents, joint, None)

    return checkpointed


def hvp(f: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The function of ``(x, v, ...)`` that returns the Hessian of ``f(x, ...)`` times v, without the Hessian.

    It is the gradient of <grad f(x), v>: the cost of a few evaluations of `f`, whatever the size of x.
    """

    def hessian_vector_product(x: Any, v: Any, *args: Any, **kwargs: Any) -> Tensor:
        if np.shape(v) != np.shape(x):
            raise ValueError(f"hvp takes a vector of the shape {np.shape(x)} of x, not of {np.shape(v)}")
        product: Tensor = grad(lambda y: (grad(f)(y, *args, **kwargs) * v).sum())(x)
        return product

    return hessian_vector_product


def _part(gradient: Any) -> Any:
    """The gradient of a leaf as a vjp sends it back."""
    return SparseGrad(gradient.values, gradient.rows, True) if type(gradient) is RowGrad else gradient


class Variable(Node):
    """The leaf that stands for an argument of a function. Once that has returned nobody differentiates by it."""

    __slots__ = ("finished",)
    finished: bool


def _border(outs: tuple[Tensor, ...], start: int) -> list[Node]:
    """The nodes below some results, the first on each way that are older than `start`."""
    seen = {out.node for out in outs if out.node is not None}
    stack, border = list(seen), []
    while stack:
        node = stack.pop()
        if node.number < start:
            border.append(node)
            continue
        for parent in node.parents:
            if parent is not None and parent not in seen:
                seen.add(parent)
                stack.append(parent)
    return border


def _record(
    f: Callable[..., Tensor], argnums: int | tuple[int, ...], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Tensor, Callable[[np.ndarray], tuple[Tensor, ...]]]:
    """Run `f` on variables of its own; return its value, and the way back from it to them."""
    given = list(args)
    variables: list[Tensor] = []
    numbers = (argnums,) if isinstance(argnums, int) else argnums
    if len({i % max(len(args), 1) for i in numbers}) < len(numbers):
        raise ValueError(f"argnums {numbers} names an argument twice")
    for i in numbers:
        if not -len(args) <= i < len(args):
            raise ValueError(f"argnums names argument {i}, and the function was called with {len(args)}")
        x = args[i]
        # A traced Tensor becomes a new node above its own: the derivative is with respect to that node
        # alone, and whoever traces the Tensor still sees it.
        if isinstance(x, Tensor) and x.requires_grad and grad_mode():
            variable = identity(x)
        else:
            variable = Tensor(x.detach() if isinstance(x, Tensor) else x, requires_grad=True)
            variable.node = Variable(variable.shape, variable.dtype)
        given[i] = variable
        variables.append(variable)
    with set_grad_mode(CREATE_GRAPH | grad_mode() & ANOMALY):
        value = f(*given, **kwargs)
    if not isinstance(value, Tensor):
        raise TypeError(
            f"a function to differentiate returns a Tensor, and this one a {type(value).__name__}"
        )

    targets = [v.node for v in variables if v.node is not None]
    nodes = toposort(value.node) if value.node is not None else []
    for node in targets:
        if isinstance(node, Variable):
            node.finished = True
    traced = bool(grad_mode()) and any(
        not node.parents and node not in targets and not getattr(node, "finished", False) for node in nodes
    )

    def pull(g: np.ndarray) -> tuple[Tensor, ...]:
        if traced:
            gradients = TensorAccumulator(nodes, set(targets))
            found = backward_pass(nodes, Tensor(g), gradients, gradients.vjps_of)
        elif nodes:
            arrays = backward_pass(nodes, g, Accumulator())
            found = {node: Tensor(part) for node, part in arrays.items()}
        else:
            found = {}
        return tuple(
            found[node] if node in found else Tensor(np.zeros(node.shape, node.dtype)) for node in targets
        )

    return value if traced else value.detach(), pull


class TensorAccumulator:
    """How gradients that are Tensors add up, so that the way back is recorded: out of place and dense.

    It goes to `targets`, and no further, along what depends on them: the rest is somebody else's to differentiate.
    """

    def __init__(self, nodes: list[Node], targets: set[Node]):
        self.totals: dict[Node, Any] = {}
        self.targets = targets
        self.selected: set[Node | None] = set()  # below a choice between elements
        self.on_path: set[Node] = set()
        for node in reversed(nodes):
            if node in targets or any(parent in self.on_path for parent in node.parents):
                self.on_path.add(node)

    def vjps_of(self, node: Node) -> Any:
        """The vjps of a node's rule, run again on the Tensors that it was called with."""
        if node in self.targets:
            return ()
        if type(node.vjps) is int:
            return node.vjps
        if node.replay is None:
            raise RuntimeError(
                "part of the function ran on another thread, where nothing is kept for higher derivatives; "
                "run it there with contextvars.copy_context().run"
            )
        rule, inputs, static, _ = node.replay
        vjps = rule(*inputs, **static)[1]
        if callable(vjps):
            return vjps
        return tuple(
            [v if parent in self.on_path else None for parent, v in zip(node.parents, vjps, strict=True)]
        )

    def fit(self, node: Node, part: Any) -> Tensor:
        """A gradient in the shape and dtype of its array."""
        if isinstance(part, DeferredMatmul):
            part = part.x.T @ part.g
        if isinstance(part, SparseGrad):
            if not part.is_plain():
                self.selected.add(node)
            part = zeros_at(part.values, index=part.index, shape=node.shape)
        if part.shape != node.shape:
            part = unbroadcast(part, node.shape)
        fitted: Tensor = cast(node, part)
        return fitted

    def add(self, node: Node, part: Tensor) -> None:
        """Add to what has arrived before."""
        self.totals[node] = self.totals[node] + part

    def take(self, node: Node) -> Any:
        """The whole gradient of a node whose turn has come; None where it shall not go on."""
        return self.totals.pop(node, None) if node in self.on_path else None

    def own(self, node: Node, total: Tensor) -> Tensor:
        """A Tensor is a value: nobody writes to it."""
        return total
