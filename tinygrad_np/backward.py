"""The way back: along the nodes of a graph, from the last made to the first, adding up gradients.

Most gradients are arrays. Two kinds wait until they are added up: `SparseGrad`, of a slice or a gather, and
`DeferredMatmul`, of a matrix that is used again and again. docs/way-back.md starts with the loop without them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

import numpy as np

from tinygrad_np.anomaly import watched
from tinygrad_np.errors import BAD_INPUT, describe_argument
from tinygrad_np.grad_mode import ANOMALY, MODE
from tinygrad_np.row_grad import RowGrad, add_rows
from tinygrad_np.tape import PRIMITIVES, Array, Node

PLAIN_INDEX = (int, np.integer, slice, type(None), type(...))  # indices that name each place once


class SparseGrad:
    """A gradient that is zero except at `index`, where it is `values`; an index that repeats adds up.

    With `as_rows` the index is an array of rows, and a leaf shall have those rows, as a `RowGrad`.
    """

    __slots__ = ("as_rows", "index", "values")

    shape = None  # unlike that of any array

    def __init__(self, values: Array, index: Any, as_rows: bool = False):
        self.values = values
        self.index = index
        self.as_rows = as_rows

    def add_into(self, buffer: np.ndarray) -> None:
        if type(self.index) is int:  # a step of a sequence
            part = buffer[self.index, ...]  # a view, even of one number
            part += self.values
            return
        index = self.index
        if self.is_plain():
            buffer[index] += self.values
        elif type(index) is np.ndarray and index.dtype.kind in "iu":  # rows
            rows = index.reshape(-1).astype(np.intp)
            rows %= len(buffer)  # those that count from the end are the same ones
            add_rows(buffer, rows, self.values.reshape(len(rows), *buffer.shape[1:]))
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
        self.selected: set[Node | None] = set()  # below a choice between elements

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
            if part.as_rows and type(node) is Node:  # a leaf, and none of a function's arguments
                total, new = self.totals.get(node), RowGrad(part.index, part.values, node.shape)
                if total is None:
                    self.totals[node] = new
                    return None
                if type(total) is RowGrad:
                    total.append(new)
                    return None
            if node not in self.owned or not node.shape:  # the sum of 0-d arrays is a number, and no buffer
                buffer = np.zeros(node.shape, node.dtype)
                if node in self.totals:
                    buffer += np.asarray(self.totals[node])  # of rows, too
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
        if type(total) is RowGrad:
            return total.coalesce()
        # of a 0-d array a sum is a number, and has lost a byte order that is not the machine's own
        return np.asarray(total, node.dtype) if node in self.owned else np.array(total, node.dtype)


# In place of a hook: keep the gradient on the node. A hook that held its own node would be a cycle.
KEEP: Any = object()
_any_hooks = False  # whether there ever was one: before that none is looked for


def add_hook(node: Node, hook: Callable[[Any], Any]) -> None:
    """Have the way back show a node's gradient to a function, which may return another one."""
    global _any_hooks
    _any_hooks = True
    if not hasattr(node, "hooks"):
        node.hooks = []
    node.hooks.append(hook)


def run_hooks(node: Node, g: Any) -> Any:
    """The gradient of a node after all of its hooks have seen it, and perhaps replaced it."""
    for hook in list(node.hooks):
        if hook is KEEP:
            kept = g if isinstance(g, np.ndarray) else g.data
            node.grad = kept.copy() if node.grad is None else np.asarray(node.grad + kept, node.dtype)
            continue
        shown = g
        if isinstance(g, np.ndarray):
            shown = g.view()  # it may be somebody else's
            shown.flags.writeable = False
        new = hook(shown)
        if new is None:
            continue
        if getattr(new, "shape", None) != node.shape:
            raise ValueError(
                f"a hook on a gradient of shape {node.shape} returned {describe_argument(new)}; return one of that "
                "shape, or None to leave it"
            )
        g = cast(node, np.array(new)) if isinstance(g, np.ndarray) else new
    return g


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
    if MODE.get() & ANOMALY:
        vjps_of = watched(vjps_of)
    leaves: dict[Node, Any] = {}
    totals, add, take, selected = gradients.totals, gradients.add, gradients.take, gradients.selected
    totals[nodes[0]] = g
    hushed: list[np.errstate] = []  # entered once, where it is first needed
    try:
        for node in nodes:
            g = take(node)
            if g is None:
                continue
            if _any_hooks and hasattr(node, "hooks"):
                g = run_hooks(node, g)
            vjps = node.vjps if vjps_of is None else vjps_of(node)
            below = selected and node in selected
            selects = below or node.selects
            if selects and not hushed:
                hushed.append(np.errstate(divide="ignore", invalid="ignore"))  # for poles that are looked for
                hushed[0].__enter__()
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
                        if below and node.elementwise:
                            part = without_poles(part, g)
                    if part.shape != parent.shape or part.dtype is not parent.dtype:
                        part = gradients.fit(parent, part)
                        if part is None:
                            continue
                    if parent in totals:
                        add(parent, part)
                    else:
                        totals[parent] = part
            except BAD_INPUT as error:
                raise describe_vjp_error(node, vjps, g, error) from error
            if selects:
                selected.update(node.parents)
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
    if node.name not in PRIMITIVES:  # what was run again by `transforms.checkpoint`
        return error
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
    except BAD_INPUT:
        pass
    kind = next((k for k in (IndexError, TypeError) if isinstance(error, k)), ValueError)
    return kind(f"{node.name}: its derivative failed with {shown}: {error}")
