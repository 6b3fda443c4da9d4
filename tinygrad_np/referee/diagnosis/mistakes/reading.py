"""A graph read as its author reads it: what values are called, which are states, what stands one step off."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy as np

from tinygrad_np.referee.diagnosis.activations import KNOWN, Function, activations, softmaxes
from tinygrad_np.referee.diagnosis.sites import Site, state_name
from tinygrad_np.referee.diagnosis.wayback import Back, Change, Edge, Key, WayBack
from tinygrad_np.tape import Node

STRUCTURE = (
    "reshape",
    "transpose",
    "expand_dims",
    "squeeze",
    "broadcast_to",
    "concatenate",
    "stack",
    "getitem",
)
PRODUCTS = ("multiply", "divide", "matmul", "einsum")


class Reading:
    """A graph as the user would read it.

    Attributes
    ----------
    at : dict
        The node of a site in one round of the loop.
    activations, softmaxes : list of Function
        The known functions in it; `known` has the activations by the node of their result.
    inside : set of Node
        What lies within a known function, and is no value of the user's.
    states : dict of Key to list of Edge
        By the site that makes a state: the edges along which the next round of the loop uses it.
    """

    def __init__(self, way: WayBack, sizes: Mapping[str, int]):
        self.way = way
        self.sizes = sizes
        self.leaf_names = {leaf: name for name, leaf in way.leaves.items() if leaf is not None}
        self.at: dict[tuple[Key, int | None], Node] = {
            (way.key[n], way.step.get(n)): n for n in way.nodes if n.parents
        }
        self.activations = activations(way)
        self.softmaxes = softmaxes(way)
        self.known = {a.y: a for a in self.activations}
        self.inside: set[Node] = {n for a in self.activations for n in a.between}
        self.states = self._states()
        self._labels: dict[Node, str] = {}

    def label(self, node: Node | None) -> str:
        """What the user calls a value: the parameter, the variable, or the expression."""
        if node is None:
            return "a constant"
        if node in self.leaf_names:
            return f"`{self.leaf_names[node]}`"
        if node not in self._labels:
            self._labels[node] = self._label(node)
        return self._labels[node]

    def _label(self, node: Node) -> str:
        site = self.shown(node)
        if site.name and node.name not in ("getitem", "concatenate"):
            return f"`{site.name}`"
        for user, place in self.way.users[node]:
            text = self.way.operand_text(user, place)
            if text.replace("_", "").isalnum():
                return f"`{text}`"
        if (
            node.name in ("reshape", "transpose", "expand_dims", "getitem", "broadcast_to")
            and node.parents[0]
        ):
            return self.label(node.parents[0])
        return f"`{site.text or site.name or node.name}`"

    def place(self, node: Node) -> str:
        return str(self.shown(node))

    def through(self, node: Node, place: int) -> str:
        """What comes back along an edge, in words."""
        if node.name == "getitem":
            whole = self.label(node.parents[place])
            return f"the gradient of {self.label(node)}, a part of {whole} at {self.place(node)},"
        return f"the gradient through {self.place(node)} to {self.label(node.parents[place])}"

    def shown(self, node: Node) -> Site:
        """The site of a node; that of the call where it is a known function in a helper."""
        activation = self.known.get(node)
        if activation is not None:
            stack, other = self.way.stack[node], self.way.stack[activation.x]
            if 0 < len(other) < len(stack):
                return self.way.site(node, len(other) - 1)
        return self.way.site(node)

    def operand_label(self, node: Node, place: int) -> str:
        parent = node.parents[place]
        text = self.way.operand_text(node, place)
        if text and parent not in self.leaf_names:
            return f"`{text}`"
        return self.label(parent) if parent is not None else "the other operand"

    def gate_label(self, node: Node) -> str:
        """What a block of a fused matrix is called: as the activation it goes into, or by itself."""
        return self.label(next((a.y for a in self.activations if a.x is node), node))

    def _states(self) -> dict[Key, list[Edge]]:
        """By the site that makes a state: the edges along which the next round of the loop uses it.

        A sum that only adds to itself, such as the loss over the steps, is no state.
        """
        edges: dict[Key, list[Edge]] = defaultdict(list)
        for edge, producer in self.way.carried.items():
            edges[self.way.key[producer]].append(edge)
        return {
            key: used
            for key, used in edges.items()
            if any(self.way.key[node] != key or node.name != "add" for node, _ in used)
        }

    @cached_property
    def sums(self) -> dict[Key, list[Edge]]:
        """What is no state but a sum over the steps."""
        edges: dict[Key, list[Edge]] = defaultdict(list)
        for edge, producer in self.way.carried.items():
            if self.way.key[producer] not in self.states:
                edges[self.way.key[producer]].append(edge)
        return edges

    def state(self, made: Node) -> str:
        """The name of a state, without what says of which step it is."""
        return state_name(self.label(made).replace("`", ""))

    def first_of(self, key: Key) -> Node:
        return self.way.sites[key][0]

    def edges_by_site(self) -> Iterator[tuple[Key, int, list[Edge]]]:
        """Every place of every site, with its edges.

        Of what is made several times a step, all of them and each; of a helper that is called in several places,
        too.
        """
        families: dict[Key, list[list[Node]]] = defaultdict(list)
        helpers: dict[Key, list[Key]] = defaultdict(list)
        for key, nodes in self.way.sites.items():
            if key[:-1] not in families and key[0]:
                helpers[key[0][-1], key[1]].append(key[:-1])
            families[key[:-1]].append(nodes)
        groups: list[tuple[Key, list[Node]]] = []
        for family, members in families.items():
            if len(members) > 1:
                groups.append(((*family, "all"), [n for nodes in members for n in nodes]))
            if len(members) <= 4:
                groups += [(self.way.key[nodes[0]], nodes) for nodes in members]
        for helper, callers in helpers.items():
            if len(callers) > 1:
                used = [n for family in callers for nodes in families[family] for n in nodes]
                groups.append(((*helper, "helper"), used))
        for key, nodes in groups:
            for place in range(len(nodes[-1].parents)):
                edges = [
                    (n, place)
                    for n in nodes
                    if place < len(n.parents) and n.parents[place] is not None and type(n.vjps) is tuple
                ]
                if edges:
                    yield key, place, edges

    def products(self) -> Iterator[tuple[Key, int, int, list[Edge]]]:
        """Every edge of a product whose gradient takes another operand: (site, place, that operand, edges)."""
        for key, place, edges in self.edges_by_site():
            node = edges[-1][0]
            if node.name in PRODUCTS and node.replay and node not in self.inside:
                for other in range(len(node.parents)):
                    if other != place or (node.name == "divide" and place == 1):
                        yield key, place, other, edges

    def to_parameter(self, node: Node, place: int) -> bool:
        """Whether an edge leads to a parameter and nowhere else."""
        parent = node.parents[place]
        return parent is not None and parent not in self.way.step and len(self.way.reach[parent]) == 1

    def plain(self, node: Node | None) -> bool:
        """Whether a node is a parameter, or one in another form."""
        while node is not None and node not in self.leaf_names:
            if node.name not in STRUCTURE or len(node.parents) != 1:
                return False
            node = node.parents[0]
        return node is not None

    @cached_property
    def own(self) -> list[Edge]:
        """The edges to the parameters: what changes there changes one parameter alone."""
        return [
            (n, i)
            for n in self.way.nodes
            if n.parents and not self.plain(n) and type(n.vjps) is tuple
            for i, p in enumerate(n.parents)
            if p is not None and self.plain(p)
        ]

    def leads_to(self, node: Node, below: Node) -> bool:
        """Whether a sum leads from one node down to another."""
        return node is below or (
            node.name in ("add", "subtract") and any(p and self.leads_to(p, below) for p in node.parents)
        )

    @cached_property
    def series(self) -> list[tuple[Key, str, dict[int | None, np.ndarray], int]]:
        """Values that somebody may take for another one: (key, what it is called, value by step, order).

        What a variable or a known function holds, at its own step, one before and one after.
        """
        found: list[tuple[Key, str, Any, int]] = []
        for key, nodes in self.way.sites.items():
            node = nodes[-1]
            if node in self.inside or node not in self.way.values or node.shape == ():
                continue
            own = {self.way.step.get(n): self.way.values[n] for n in nodes if n in self.way.values}
            found.append((key, self.label(node), own, 0 if self.way.site(node).name else 1))
        for key in self.states:
            made = self.first_of(key)
            before = {s: x for s in range(self.way.steps) if (x := self.state_before(key, s)) is not None}
            found.append((("before", key), f"the previous {self.label(made)}", before, 0))
        for s in self.softmaxes:
            uniform = {self.way.step.get(s.y): np.full(s.y.shape, 1 / s.y.shape[s.axis])}
            found.append((("uniform", self.way.key[s.y]), "the uniform weights 1 / n", uniform, 1))
        for key, nodes in self.way.sites.items():
            for place, parent in enumerate(nodes[-1].parents):
                if parent is None and nodes[-1].name in PRODUCTS:
                    own = {self.way.step.get(n): self.way.operand(n, place) for n in nodes}
                    if np.ndim(next(iter(own.values()))):
                        what = self.operand_label(nodes[-1], place)
                        found.append((("constant", key, place), what, own, 2))
        return sorted(found, key=lambda item: item[3])

    def state_before(self, key: Key, step: int) -> np.ndarray | None:
        """The state that a step begins with; zeros for the first, where that was not recorded."""
        node = self.at.get((key, step - 1))
        if node is not None:
            return self.way.values.get(node)
        made = self.first_of(key)
        if step:
            return None
        for user, place in self.states.get(key, ()):
            first = self.at.get((self.way.key[user], 0))
            if first is not None and len(first.parents) > place and first.replay:
                start = self.way.operand(first, place)
                if start.shape == made.shape:
                    return start
        return np.zeros(made.shape)

    def shifted(self, node: Node, place: int, by: int, end: str) -> np.ndarray | None:
        """The operand of a node one step off; `end` says what stands beyond the first or the last step."""
        step = self.way.step.get(node)
        if step is None:
            return None
        own = self.way.operand(node, place)
        key = self.way.key[node]
        series = {
            self.way.step[n]: self.way.operand(n, place) for n in self.way.sites[key] if n in self.way.step
        }
        last = max(series)
        usual = next(
            (p for n in self.way.sites[key][::-1] if (p := n.parents[place]) is not None and p.parents), None
        )
        if usual is not None and self.way.step.get(usual) is not None:
            made = self.way.key[usual]
            if any((n, place) in self.way.carried for n in self.way.sites[key]):
                end_state = self.at.get((made, last))
                if end_state is not None and end_state in self.way.values:
                    series[last + 1] = self.way.values[end_state]
            elif made in self.states:
                before = self.state_before(made, 0)
                if before is not None:
                    series[-1] = before
        wanted = step + by
        if wanted in series:
            return series[wanted] if series[wanted].shape == own.shape else None
        if end == "zero":
            return np.zeros_like(own)
        around = [s for s in series if 0 <= s <= last]
        return series[max(around) if by < 0 else min(around)]

    def parts_of(self, node: Node, place: int) -> Iterator[tuple[Key, int]]:
        """The pieces of an operand that was joined from several values."""
        parent = node.parents[place]
        if parent is not None and parent.name == "concatenate":
            yield from ((self.way.key[parent], i) for i in range(len(parent.parents)))

    def joined_with_shift(self, node: Node, place: int, piece: int, by: int, end: str) -> np.ndarray | None:
        """A joined operand, one piece of which is one step off."""
        step = self.way.step.get(node)
        if step is None:
            return None
        model = next(
            (
                p
                for n in self.way.sites[self.way.key[node]][::-1]
                if (p := n.parents[place]) is not None and p.name == "concatenate"
            ),
            None,
        )
        if model is None or model not in self.way.step:
            return None
        axis = model.replay[2]["axis"]
        sizes = [np.shape(self.way.operand(model, i)) for i in range(len(model.parents))]
        if axis is None:
            return None
        begin = sum(s[axis] for s in sizes[:piece])
        index: list[Any] = [slice(None)] * len(sizes[piece])
        index[axis] = slice(begin, begin + sizes[piece][axis])
        own = np.array(self.way.operand(node, place))
        series = {}
        for n in self.way.sites[self.way.key[node]]:
            if n in self.way.step:
                series[self.way.step[n]] = self.way.operand(n, place)[tuple(index)]
        last = max(series)
        parent = model.parents[piece]
        if parent is not None and (model, piece) in self.way.carried:
            end_state = self.at.get((self.way.key[parent], last))
            if end_state is not None and end_state in self.way.values:
                series[last + 1] = self.way.values[end_state]
        wanted = step + by
        if wanted in series:
            own[tuple(index)] = series[wanted]
        elif end == "zero":
            own[tuple(index)] = 0
        else:
            own[tuple(index)] = series[max(series) if by < 0 else min(series)]
        return own

    def joined_in_other_order(self, node: Node, place: int) -> np.ndarray | None:
        parent = node.parents[place]
        models = [n.parents[place] for n in self.way.sites[self.way.key[node]]]
        model = next((m for m in models[::-1] if m is not None and m.name == "concatenate"), None)
        if model is None or (parent is not None and parent.name != "concatenate"):
            return None
        axis = model.replay[2]["axis"]
        if axis is None:
            return None
        ends = np.cumsum([np.shape(self.way.operand(model, i))[axis] for i in range(len(model.parents))])[:-1]
        pieces = np.split(self.way.operand(node, place), ends, axis=axis)
        return np.concatenate(pieces[::-1], axis=axis)

    def operand_changes(self, edges: Iterable[Edge], other: int, values: Any) -> Change | None:
        """The edges' vjps with the operand at `other` replaced: values(node) gives it, or None."""
        changed: dict[Edge, Back] = {}
        for node, place in edges:
            x = values(node)
            if x is None or np.shape(x) != np.shape(self.way.operand(node, other)):
                return None
            changed[node, place] = self.way.with_operand(node, other, x)[place]
        return Change(changed) if changed else None

    def ends(self, node: Node, place: int) -> list[tuple[int, str]]:
        """The ways in which an operand is taken one step off: by how much, and what stands beyond the end."""
        later = [(1, "zero")] if (node, place) in self.way.carried else [(1, "zero"), (1, "wrap")]
        return [*later, (-1, "zero"), (-1, "wrap")]

    def slope(self, a: Function) -> np.ndarray:
        return np.asarray(KNOWN[a.kind].of_input(self.way.values[a.x]))

    def slope_at_output(self, a: Function, y: np.ndarray | None) -> np.ndarray | None:
        of_output = KNOWN[a.kind].of_output
        if y is None:
            return None
        if a.kind == "relu":
            return (y > 0) * 1.0
        return np.asarray(of_output(y)) if of_output else None
