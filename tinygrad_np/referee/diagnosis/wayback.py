"""The recorded way back of a loss as something to try mistakes on: what if this edge sent back something else?

The graph of a recorded loss is copied, so that it may be changed at will. In the copy an edge, (node, place of the
argument), has a function of its own, and each node knows the expression that made it and the round of the loop in
which it was made.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from tinygrad_np.backward import (
    Accumulator,
    DeferredMatmul,
    SparseGrad,
    backward_pass,
    toposort,
    unbroadcast,
)
from tinygrad_np.referee.diagnosis.sites import (
    Site,
    Stack,
    loops_of,
    operand_text,
    parting,
    runs_back,
    site_of,
)
from tinygrad_np.tape import PRIMITIVES, Node
from tinygrad_np.tensor import Tensor

Edge: TypeAlias = tuple[Node, int]
Back: TypeAlias = Callable[..., Any] | None  # what an edge sends back of a gradient; None if nothing
CHOICES = ("relu", "maximum", "minimum", "where", "clip", "set_at")  # element by element too
Key: TypeAlias = tuple[Any, ...]  # of a site: the same in every case of one source


@dataclass(frozen=True)
class Change:
    """What a mistake does to a way back.

    Attributes
    ----------
    edges : dict of Edge to Back
        What these edges send back now.
    moved : dict of Edge to (Node, Node)
        Edges that are fed with the gradient of another node, and whose result goes to another one.
    """

    edges: Mapping[Edge, Back]
    moved: Mapping[Edge, tuple[Node, Node]] = field(default_factory=dict)


def together(changes: Iterable[Change | None]) -> Change | None:
    """Several changes at once, if each of them can be made."""
    edges: dict[Edge, Back] = {}
    moved: dict[Edge, tuple[Node, Node]] = {}
    for change in changes:
        if change is None:
            return None
        edges.update(change.edges)
        moved.update(change.moved)
    return Change(edges, moved)


class Slice(Node):
    """One piece of a split, as the slice that it is."""

    __slots__ = ()
    name = "getitem"


@functools.cache
def plain_kind(name: str) -> type[Node]:
    """A class of nodes of which the way back takes no care: it is gone hundreds of times."""
    return type(
        f"Node of {name}", (Node,), {"__slots__": (), "name": name, "elementwise": False, "selects": False}
    )


class Joint:
    """The parts of a joint vjp one by one: it is called once for each gradient."""

    def __init__(self, vjp: Callable[[Any], Any]):
        self.vjp = vjp
        self.g: Any = None
        self.parts: Any = None

    def part(self, place: int) -> Callable[[Any], Any]:
        def back(g: Any) -> Any:
            if self.g is not g:
                self.g, self.parts = g, self.vjp(g)
            return self.parts[place]

        return back


def separate(vjps: Any, places: int) -> Any:
    """Vjps as a tuple of functions, one for each argument."""
    if callable(vjps):
        joint = Joint(vjps)
        return tuple([joint.part(i) for i in range(places)])
    return vjps


class WayBack:
    """A copy of a loss's graph.

    Attributes
    ----------
    nodes : list of Node
        The loss first.
    values : dict of Node to ndarray
        What a node's operation gave; unknown of the loss.
    sites : dict of Key to list of Node
        All nodes of one expression and primitive, step by step.
    key, stack : dict of Node
        Which site a node belongs to.
    step : dict of Node to int
        The round of the loop in which it was made, of those that were made in a loop that carries a state.
    carried : dict of Edge to Node
        The edges along which a value of an earlier round comes in.
    elementwise : set of Node
        Those whose operation works element by element.
    reach : dict of Node to frozenset of str
        The parameters that a gradient at this node arrives at.
    """

    def __init__(self, loss: Tensor, parameters: Mapping[str, Tensor], stacks: Mapping[int, Stack]):
        assert loss.node is not None
        self.shapes = {name: p.shape for name, p in parameters.items()}
        self.stack: dict[Node, Stack] = {}
        self.values: dict[Node, np.ndarray] = {}
        copies = self._copy(toposort(loss.node)[::-1], stacks)
        self.leaves = {name: copies.get(p.node) for name, p in parameters.items()}  # type: ignore[arg-type]
        self.elementwise = {
            c for n, c in copies.items() if c is not None and (n.elementwise or n.name in CHOICES)
        }
        root = copies[loss.node]
        assert root is not None
        self.nodes = toposort(root)
        self.one = np.ones(root.shape)
        self.users: dict[Node, list[Edge]] = defaultdict(list)
        for node in self.nodes:
            for place, parent in enumerate(node.parents):
                if parent is not None:
                    self.users[parent].append((node, place))
        self.carried: dict[Edge, Node] = {}
        self.step: dict[Node, int] = {}
        self.steps = 0
        self._find_steps()
        self.key: dict[Node, Key] = {}
        self.sites: dict[Key, list[Node]] = defaultdict(list)
        self._find_sites()
        self.reach = self._reach()

    # --- the copy ---------------------------------------------------------------------------------------

    def _copy(self, nodes: list[Node], stacks: Mapping[int, Stack]) -> dict[Node, Node | None]:
        copies: dict[Node, Node | None] = {}
        arrays: dict[Node, np.ndarray] = {}
        for node in nodes:
            for x in node.replay[1] if node.replay else ():
                if type(x) is Tensor and x.node is not None:
                    arrays[x.node] = x.data
        for node in nodes:
            copies[node] = copy = self._copied(node, copies)
            if copy is not None and copy not in self.stack:
                self.stack[copy] = stacks.get(node.number, ())
                if node in arrays:
                    self.values[copy] = arrays[node]
        return copies

    def _copied(self, node: Node, copies: dict[Node, Node | None]) -> Node | None:
        if not node.parents:
            return Node(node.shape, node.dtype)
        if node.name in ("identity", "cast") or (node.name == "reshape" and unchanged(node)):
            return copies[node.parents[0]]  # type: ignore[index]
        if type(node.vjps) is int and node.name == "split_at":
            op: Any = node.parents[0]
            ends, axis = op.replay[2]["ends"], op.replay[2]["axis"]
            index = (*(slice(None),) * axis, slice(ends[node.vjps], ends[node.vjps + 1]))
            vjps: Any = (lambda g: SparseGrad(g, index),)
            rule: Any = getattr(PRIMITIVES["getitem"], "__wrapped__", None)
            replay = (rule, op.replay[1], {"index": index}, None)
            return Slice(node.shape, node.dtype, (copies[op.parents[0]],), vjps, replay)
        parents = tuple([None if p is None else copies[p] for p in node.parents])
        vjps = separate(node.vjps, len(parents))
        if type(vjps) is tuple:
            vjps = tuple([None if p is None else v for p, v in zip(parents, vjps, strict=True)])
        return plain_kind(node.name)(node.shape, node.dtype, parents, vjps, node.replay)

    # --- loops and sites --------------------------------------------------------------------------------

    def _find_steps(self) -> None:
        """Which edges go from one round of a loop to the next, and the round of each node."""
        loops: dict[Key, None] = {}
        sums: dict[Key, None] = {}
        for node in self.nodes:
            for place, parent in enumerate(node.parents):
                if parent is None or not self.stack[node] or not self.stack[parent]:
                    continue
                consumer, producer = self.stack[node], self.stack[parent]
                if not runs_back(consumer, producer) or (consumer == producer and node.name != parent.name):
                    continue
                self.carried[node, place] = parent
                loop = loop_around(consumer, producer)
                if loop is not None:  # a sum over the steps is no state
                    (sums if consumer == producer and node.name == "add" else loops)[loop] = None
        for loop in sorted(loops or sums, key=lambda loop: loop[3] - loop[2], reverse=True):
            level = len(loop[0])
            inside = [node for node in self.nodes[::-1] if stands_in(self.stack[node], loop)]
            alone = len({self.stack[node] for node in inside}) == 1
            step = 0
            for before, node in zip([None, *inside], inside, strict=False):
                if before is not None and begins_anew(
                    self.stack[before], self.stack[node], level, loop, alone
                ):
                    step += 1
                self.step[node] = step
            self.steps = max(self.steps, step + 1)

    def _find_sites(self) -> None:
        frames: dict[Stack, Key] = {}
        counts: dict[Key, int] = defaultdict(int)
        for node in self.nodes[::-1]:
            stack = self.stack[node]
            if stack not in frames:
                frames[stack] = tuple(
                    [(c.co_filename, c.co_firstlineno, c.co_name, offset) for c, offset in stack]
                )
            family = frames[stack], node.name
            number = counts[*family, self.step.get(node)]
            counts[*family, self.step.get(node)] += 1
            self.key[node] = *family, number
            self.sites[self.key[node]].append(node)
        innermost: dict[Any, set[Stack]] = defaultdict(set)
        for stack in frames:
            if stack:
                innermost[stack[-1]].add(stack)
        self._shown: dict[Stack, int] = {}
        self._known: dict[tuple[Stack, int], Site] = {}
        for stack in frames:
            others = innermost[stack[-1]] if stack else ()
            levels = [parting(stack, other) for other in others if other != stack]
            self._shown[stack] = min([level for level in levels if level is not None], default=-1)

    def site(self, node: Node, level: int | None = None) -> Site:
        """The expression of a node: in a helper that is called from many places, the call."""
        stack = self.stack[node]
        level = self._shown.get(stack, -1) if level is None else level
        known = self._known.get((stack, level))
        if known is None:
            known = self._known[stack, level] = site_of(stack, level)
        return known

    def operand_text(self, node: Node, place: int) -> str:
        """The source of an operand."""
        if node.name in ("getitem", "concatenate", "stack", "reshape"):
            return ""  # made when a part of an array is read, whatever is done with it
        return operand_text(self.stack[node], place, len(node.parents))

    def _reach(self) -> dict[Node, frozenset[str]]:
        names = {leaf: frozenset([name]) for name, leaf in self.leaves.items() if leaf is not None}
        reach: dict[Node, frozenset[str]] = {}
        rng = np.random.default_rng(0)
        for node in self.nodes[::-1]:
            reach[node] = names.get(node, frozenset()).union(
                *[
                    reach[parent]
                    for place, parent in enumerate(node.parents)
                    if parent is not None and self._lets_through(node, place, rng)
                ]
            )
        return reach

    def _lets_through(self, node: Node, place: int, rng: np.random.Generator) -> bool:
        """Whether anything comes back along an edge: what is multiplied with a state of zeros gets nothing."""
        parent = node.parents[place]
        if type(node.vjps) is not tuple or node.vjps[place] is None or parent is None:
            return True
        try:
            with np.errstate(all="ignore"):
                return bool(dense(node.vjps[place](rng.standard_normal(node.shape)), parent.shape).any())
        except (ValueError, TypeError, IndexError, AttributeError):
            return True  # it takes no single array

    # --- what a node works on -----------------------------------------------------------------------------

    def operand(self, node: Node, place: int) -> np.ndarray:
        x = node.replay[1][place]
        return np.asarray(x.data if type(x) is Tensor else x)

    def again(self, node: Node, operands: list[np.ndarray]) -> Any:
        """The vjps of a node's rule at other operands, one for each argument."""
        rule, _, static, _ = node.replay
        return separate(rule(*operands, **static)[1], len(node.parents))

    def with_operand(self, node: Node, place: int, x: np.ndarray) -> Any:
        """The vjps of a node whose operand at `place` was another one."""
        operands = [self.operand(node, i) for i in range(len(node.parents))]
        operands[place] = x
        return self.again(node, operands)

    # --- the gradient ---------------------------------------------------------------------------------------

    def gradient(self, change: Change | None = None) -> dict[str, np.ndarray]:
        """The gradient of all parameters, had somebody changed these edges."""
        if change is None:
            return self._pass(self.nodes, {})
        table: dict[Node, list[Back]] = {}
        for (node, place), back in change.edges.items():
            if type(node.vjps) is tuple:
                table.setdefault(node, list(node.vjps))[place] = back
            elif back is None:
                table[node] = [None] * len(node.parents)
        moved = change.moved
        if not moved:
            return self._pass(self.nodes, table)
        parents: dict[Node, Any] = {}
        for (node, place), (source, target) in moved.items():
            for n in (node, source):
                parents.setdefault(n, n.parents)
                table.setdefault(n, list(n.vjps))
            source.parents = (*source.parents, target)
            table[source].append(table[node][place])
            table[node][place] = None
        downwards = all(source.number > target.number for source, target in moved.values())
        try:
            return self._pass(self.nodes if downwards else ordered(self.nodes[0]), table)
        finally:
            for n, were in parents.items():
                n.parents = were

    def _pass(self, nodes: list[Node], table: Mapping[Node, list[Back]]) -> dict[str, np.ndarray]:
        changed = {node: tuple(backs) for node, backs in table.items()}
        with np.errstate(all="ignore"):
            found = backward_pass(nodes, self.one, Accumulator(), lambda node: changed.get(node) or node.vjps)
        return {
            name: found[leaf] if leaf in found else np.zeros(self.shapes[name])
            for name, leaf in self.leaves.items()
        }

    def touched(self, change: Change) -> frozenset[str]:
        """The parameters whose gradient a change may change."""
        targets = [n.parents[i] for n, i in change.edges] + [target for _, target in change.moved.values()]
        return frozenset().union(*[self.reach[target] for target in targets if target is not None])

    def arriving(self, change: Change | None) -> dict[Node, Any]:
        """The gradient that arrives at each node."""
        changes = change.edges if change is not None else {}
        moved = change.moved if change is not None else {}
        seen: dict[Node, Any] = {}

        def watch(node: Node, back: Back) -> Back:
            def watched(g: Any) -> Any:
                seen[node] = g
                return None if back is None else back(g)

            return watched

        table = {
            (node, place): watch(node, changes.get((node, place), node.vjps[place]))
            for node in self.nodes
            if type(node.vjps) is tuple
            for place, parent in enumerate(node.parents)
            if parent is not None
        }
        self.gradient(Change(table, moved))
        return seen


def unchanged(node: Node) -> bool:
    """Whether a node of one argument has its shape."""
    return node.parents[0] is not None and node.parents[0].shape == node.shape


def dense(part: Any, shape: tuple[int, ...]) -> np.ndarray:
    """What an edge sends back, as an array of the shape of its parent."""
    if type(part) is DeferredMatmul:
        part = DeferredMatmul.multiply([part.x], [part.g])
    if type(part) is SparseGrad:
        buffer = np.zeros(shape)
        part.add_into(buffer)
        return buffer
    return np.asarray(part if part.shape == shape else unbroadcast(part, shape))


def ordered(root: Node) -> list[Node]:
    """The nodes below one, each before its parents, whatever their numbers."""
    order: list[Node] = []
    done: set[Node] = set()
    stack: list[tuple[Node, bool]] = [(root, False)]
    while stack:
        node, leaving = stack.pop()
        if leaving:
            order.append(node)
        elif node not in done:
            done.add(node)
            stack.append((node, True))
            stack += [(parent, False) for parent in node.parents if parent is not None]
    return order[::-1]


def stands_in(stack: Stack, loop: Key) -> bool:
    """Whether a place stands in a loop."""
    prefix, code, begin, end = loop
    level = len(prefix)
    return (
        len(stack) > level
        and stack[:level] == prefix
        and stack[level][0] == code
        and begin <= stack[level][1] <= end
    )


def begins_anew(before: Stack, now: Stack, level: int, loop: Key, alone: bool) -> bool:
    """Whether a round of a loop begins between two places in it, one made after the other.

    Within a round places go down the page; where they go back up, that is another round, unless a loop inside of
    this one explains it.
    """
    if before == now:
        return alone  # of a loop with one expression; else an operation that is made of several
    at = parting(before, now)
    if at is None or now[at][1] > before[at][1]:
        return False
    for begin, end in loops_of(now[at][0]):
        if begin <= min(now[at][1], before[at][1]) and max(now[at][1], before[at][1]) <= end:
            return at == level and (begin, end) == loop[2:]
    return True


def loop_around(consumer: Stack, producer: Stack) -> Key | None:
    """The smallest loop that two places stand in: (the frames above, function, first and last offset)."""
    level = parting(consumer, producer)
    for at in range(len(producer) - 1 if level is None else level, -1, -1):
        if at >= len(consumer):
            continue
        code = producer[at][0]
        for begin, end in loops_of(code):
            if begin <= consumer[at][1] <= end and begin <= producer[at][1] <= end:
                return producer[:at], code, begin, end
    return None
