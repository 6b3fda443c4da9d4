"""Activations and softmaxes of a recorded loss: known functions, whichever way the user wrote them.

``1 / (1 + np.exp(-x))`` is four nodes of the graph, and one sigmoid to whoever derives it. It is known by its
values: they are those of a sigmoid of the values that go in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from tinygrad_np.referee.diagnosis.wayback import CHOICES, Back, Change, Edge, WayBack
from tinygrad_np.tape import Node


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


class Known(NamedTuple):
    """A function, its derivative as a function of the input, and as one of the output where people use that."""

    value: Callable[[Any], Any]
    of_input: Callable[[Any], Any]
    of_output: Callable[[Any], Any] | None = None


def leaky(slope: float) -> Known:
    return Known(lambda x: np.where(x > 0, x, slope * x), lambda x: np.where(x > 0, 1.0, slope))


def gelu_slope(x: Any) -> Any:
    c = np.sqrt(2 / np.pi)
    t = np.tanh(c * (x + 0.044715 * x**3))
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * c * (1 + 3 * 0.044715 * x**2)


KNOWN = {
    "tanh": Known(np.tanh, lambda x: 1 - np.tanh(x) ** 2, lambda y: 1 - y * y),
    "sigmoid": Known(sigmoid, lambda x: sigmoid(x) * (1 - sigmoid(x)), lambda y: y * (1 - y)),
    "relu": Known(lambda x: np.maximum(x, 0), lambda x: (x > 0) * 1.0),
    "softplus": Known(lambda x: np.log1p(np.exp(x)), sigmoid, lambda y: 1 - np.exp(-y)),
    "leaky relu": leaky(0.01),
    "leaky relu of slope 0.1": leaky(0.1),
    "leaky relu of slope 0.2": leaky(0.2),
    "elu": Known(
        lambda x: np.where(x > 0, x, np.expm1(x)),
        lambda x: np.where(x > 0, 1.0, np.exp(x)),
        lambda y: np.where(y > 0, 1.0, y + 1),
    ),
    "silu": Known(lambda x: x * sigmoid(x), lambda x: sigmoid(x) * (1 + x * (1 - sigmoid(x)))),
    "gelu": Known(lambda x: 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))), gelu_slope),
    "softsign": Known(
        lambda x: x / (1 + abs(x)), lambda x: 1 / (1 + abs(x)) ** 2, lambda y: (1 - abs(y)) ** 2
    ),
    "exp": Known(np.exp, np.exp, lambda y: y),
    "sqrt": Known(np.sqrt, lambda x: 0.5 / np.sqrt(x), lambda y: 0.5 / y),
    "square": Known(np.square, lambda x: 2 * x),
    "log": Known(np.log, lambda x: 1 / x),
}
MOVES = (
    "getitem",
    "concatenate",
    "reshape",
    "transpose",
)  # as a mask does: one branch for each sign, put together


@dataclass(frozen=True)
class Function:
    """A known function from one node to another, and the nodes between them that nobody else uses."""

    kind: str
    x: Node
    y: Node
    between: frozenset[Node] = frozenset()
    axis: int = 0  # of a softmax

    def sends(self, factor: np.ndarray, target: Node | None = None) -> Change:
        """What comes back is multiplied with a factor, be that the derivative or not."""
        return self.changed(lambda g: g * factor, target)

    def changed(self, back: Back, target: Node | None = None) -> Change:
        """What comes back from the output goes to the input at once, or to another node."""
        edges: dict[Edge, Back] = {(self.y, place): None for place in range(len(self.y.parents))}
        edges[self.y, 0] = back
        return Change(edges, {(self.y, 0): (self.y, target or self.x)})


def activations(way: WayBack) -> list[Function]:
    """Every known function of one value, the longest of those that end at one node; no part of a longer one."""
    found = []
    inside: set[Node] = set()
    for y in way.nodes:
        if y in inside or y not in way.values or not y.parents or type(y.vjps) is not tuple:
            continue
        function = None if hands_on(way, y) else longest(way, y)
        if function is not None:
            found.append(function)
            inside |= function.between
    return found[::-1]


def hands_on(way: WayBack, y: Node) -> bool:
    """Whether a node changes nothing, as a product with a mask of ones does: at another step it may."""
    return y.name not in CHOICES and any(
        p in way.values and p.shape == y.shape and np.allclose(way.values[p], way.values[y])
        for p in y.parents
        if p is not None
    )


def longest(way: WayBack, y: Node) -> Function | None:
    """The known function that ends at a node and begins farthest away."""
    best = None
    front = {y}
    between: set[Node] = set()
    for _ in range(40):
        node = max(front, key=lambda n: n.number)
        if node is not y and len(front) == 1 and node.shape == y.shape:
            kind = recognized(way, node, y)
            if kind:
                best = Function(kind, node, y, frozenset(between - {y}))
        plain = node in way.elementwise or node.name in MOVES
        if not plain or type(node.vjps) is not tuple:
            break
        if node is not y and any(user not in between for user, _ in way.users[node]):
            break  # what others use too is a value of its own
        front.remove(node)
        between.add(node)
        front |= {p for p in node.parents if p is not None}
    return best


def recognized(way: WayBack, x: Node, y: Node) -> str:
    """The name of the function that leads from one node's values to another's."""
    if x not in way.values:
        return ""
    a, b = way.values[x], way.values[y]
    if y.name not in CHOICES and np.allclose(a, b):
        return ""
    with np.errstate(all="ignore"):
        for kind, known in KNOWN.items():
            if np.allclose(known.value(a), b, rtol=1e-9, atol=1e-12):
                return kind
    return ""


def softmaxes(way: WayBack) -> list[Function]:
    """Every e^x / sum e^x, with the largest taken away or not."""
    found = []
    for node in way.nodes:
        x = node.parents[0] if node.parents else None
        if node.name == "divide" and x is not None and x.name == "exp" and x.shape == node.shape:
            x = x.parents[0]
            if (
                x is not None
                and x.name == "subtract"
                and x.parents[0] is not None
                and x.parents[0].shape == x.shape
            ):
                x = x.parents[0]
        elif node.name != "softmax":
            continue
        if x is None or x not in way.values or node not in way.values or x.shape != node.shape:
            continue
        a = way.values[x]
        for axis in range(a.ndim):
            p = np.exp(a - a.max(axis=axis, keepdims=True))
            if a.shape[axis] > 1 and np.allclose(p / p.sum(axis=axis, keepdims=True), way.values[node]):
                found.append(Function("softmax", x, node, axis=axis))
                break
    return found
