"""Functions of functions: gradient, Jacobian, Hessian, of any order.

``grad(f)`` is a function again, and it may be differentiated again. While `f` runs the tape keeps the inputs
of every primitive; to go back, each rule is run once more, on Tensors instead of arrays, so that the way
back is recorded too. When nobody can ask for a derivative of the result, the plain way back is taken.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_np.ops.elementwise import identity
from tinygrad_np.ops.index import scatter
from tinygrad_np.ops.shape import stack
from tinygrad_np.tape import (
    CREATE_GRAPH,
    DeferredMatmul,
    Node,
    SparseGrad,
    backward_pass,
    grad_mode,
    set_grad_mode,
    toposort,
    unbroadcast,
)
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
            found = _backward_on_tensors(nodes, Tensor(g), set(targets))
        elif nodes:
            found = {node: Tensor(part) for node, part in backward_pass(nodes[0], g, nodes).items()}
        else:
            found = {}
        return tuple(
            found[node] if node in found else Tensor(np.zeros(node.shape, node.dtype)) for node in targets
        )

    return value if traced else value.detach(), pull


def _backward_on_tensors(nodes: list[Node], g: Tensor, targets: set[Node]) -> dict[Node, Tensor]:
    """`tape.backward_pass` with Tensors for gradients, so that it is recorded: to `targets`, and no further."""
    on_path: set[Node] = set()  # what depends on a target: the rest is somebody else's to differentiate
    for node in reversed(nodes):
        if node in targets or any(parent in on_path for parent in node.parents):
            on_path.add(node)

    gradients: dict[Node, Any] = {nodes[0]: g}
    for node in nodes:
        if node in targets or node not in on_path or node not in gradients:
            continue
        g = gradients.pop(node)
        if type(node.vjps) is int:  # an output of several
            op: Any = node.parents[0]
            gradients.setdefault(op, [None] * op.shape[0])[node.vjps] = g
            continue
        if node.replay is None:
            raise RuntimeError(
                "part of the function ran on another thread, where nothing is kept for higher derivatives; "
                "run it there with contextvars.copy_context().run"
            )
        rule, inputs, static = node.replay
        vjps = rule(*inputs, **static)[1]
        parts = vjps(g) if callable(vjps) else vjps
        for x, part in zip(inputs, parts, strict=True):
            if not isinstance(x, Tensor) or x.node not in on_path or part is None:
                continue
            if vjps is parts:
                part = part(g)
            if isinstance(part, DeferredMatmul):
                part = part.x.T @ part.g
            if isinstance(part, SparseGrad):
                part = scatter(part.values, index=part.index, shape=x.shape)
            if part.shape != x.shape:
                part = unbroadcast(part, x.shape)
            if part.dtype != x.dtype:
                part = part.astype(x.dtype)
            gradients[x.node] = gradients[x.node] + part if x.node in gradients else part
    return gradients
