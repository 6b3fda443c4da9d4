"""Functions of functions: gradient, Jacobian, Hessian, of any order.

``grad(f)`` is a function again, and it may be differentiated again. While `f` runs the tape keeps the inputs
of every primitive; to go back, each rule is run once more, on Tensors instead of arrays, so that the way
back is recorded too. When nobody can ask for a derivative of the result, the plain way back is taken.
"""

from __future__ import annotations

from collections.abc import Callable
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
from tinygrad_np.grad_mode import CREATE_GRAPH, grad_mode, set_grad_mode
from tinygrad_np.ops.elementwise import identity
from tinygrad_np.ops.index import scatter
from tinygrad_np.ops.shape import stack
from tinygrad_np.tape import Node
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


def jacobian(f: Callable[..., Tensor], argnums: int = 0) -> Callable[..., Tensor]:
    """The function that returns every derivative of every element of ``f(...)``.

    Its result has the shape of ``f(...)`` followed by that of the argument. One way back an element.
    """

    if not isinstance(argnums, int):
        raise TypeError(f"jacobian takes one argument number, not {argnums!r}")

    def all_derivatives(*args: Any, **kwargs: Any) -> Tensor:
        value, pull = _record(f, argnums, args, kwargs)
        shape = (*value.shape, *np.shape(args[argnums]))
        if not value.size:
            return Tensor(np.zeros(shape, value.dtype))
        units = np.eye(value.size, dtype=value.dtype).reshape(-1, *value.shape)
        return stack(*(pull(unit)[0] for unit in units)).reshape(shape)

    return all_derivatives


def hessian(f: Callable[..., Tensor], argnums: int = 0) -> Callable[..., Tensor]:
    """The function that returns all second derivatives of `f`, in the argument's shape twice over."""
    return jacobian(grad(f, argnums), argnums)


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
        given[i] = variable
        variables.append(variable)
    with set_grad_mode(CREATE_GRAPH):
        value = f(*given, **kwargs)
    if not isinstance(value, Tensor):
        raise TypeError(
            f"a function to differentiate returns a Tensor, and this one a {type(value).__name__}"
        )

    targets = [v.node for v in variables if v.node is not None]
    nodes = toposort(value.node) if value.node is not None else []
    traced = bool(grad_mode()) and any(not node.parents and node not in targets for node in nodes)

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
        rule, inputs, static = node.replay
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
            part = scatter(part.values, index=part.index, shape=node.shape)
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
