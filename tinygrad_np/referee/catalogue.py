# mypy: ignore-errors
# ruff: noqa: E501, B023
"""The catalogue: the mistakes of people who derive networks by hand, as changes of a recorded way back.

Each function yields one kind of mistake, at every place of the graph where it can be made. `stages` lists them, the
likeliest first. A mistake is known by its `key`, the same in every case of one source.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tinygrad_np.backward import DeferredMatmul, SparseGrad
from tinygrad_np.referee.activations import (
    KNOWN,
    Change,
    Function,
    activations,
    derivative_slips,
    softmaxes,
    together,
)
from tinygrad_np.referee.sites import Site, state_name
from tinygrad_np.referee.wayback import Back, Edge, Key, WayBack, dense
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


@dataclass(frozen=True)
class Mistake:
    key: Key
    name: str
    text: str
    where: str
    change: Any


def cut(edges: Iterable[Edge]) -> Callable[[], Change]:
    chosen = list(edges)
    return lambda: Change(dict.fromkeys(chosen))


def after(back: Back, then: Callable[[np.ndarray], np.ndarray], node: Node) -> Back:
    """What comes back along an edge to a node, changed by a function."""
    if back is None:
        return None
    return lambda g: then(dense(back(g), node.shape))


def scaled(edges: Iterable[Edge], factor: float) -> Callable[[], Change]:
    chosen = list(edges)

    def change() -> Change:
        return Change({(n, i): times(n.vjps[i], factor) for n, i in chosen if type(n.vjps) is tuple})

    return change


def times(back: Back, factor: float) -> Back:
    if back is None:
        return None

    def changed(g: Any) -> Any:
        part = back(g)
        if type(part) is DeferredMatmul:
            return DeferredMatmul(part.x, factor * part.g)
        if type(part) is SparseGrad:
            return SparseGrad(factor * part.values, part.index, part.as_rows)
        return factor * part

    return changed


class Catalogue:
    """The mistakes that can be made in one graph."""

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

    # --- names ------------------------------------------------------------------------------------------

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

    def shown(self, node: Node) -> Site:
        """The site of a node; that of the call where it is a known function in a helper."""
        activation = self.known.get(node)
        if activation is not None:
            stack, other = self.way.stack[node], self.way.stack[activation.x]
            if 0 < len(other) < len(stack):
                return self.way.site(node, len(other) - 1)
        return self.way.site(node)

    # --- states -----------------------------------------------------------------------------------------

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
        return state_name(self.label(made).strip("`"))

    def first_of(self, key: Key) -> Node:
        return self.way.sites[key][0]

    # --- 1: what comes back from the next step ------------------------------------------------------------

    def next_step(self) -> Iterator[Mistake]:
        every = [edge for edges in self.states.values() for edge in edges]
        for key, edges in self.states.items():
            made = self.first_of(key)
            name = self.state(made)
            yield Mistake(
                ("next", key),
                f"d{name}_next missing",
                f"what comes back to {self.label(made)}, made at {self.place(made)}, from the next step is missing "
                f"(d{name}_next)",
                self.way.site(made).where,
                cut(edges),
            )
        if len(self.states) > 1:
            made = self.first_of(next(iter(self.states)))
            both = " and ".join(f"d{self.state(self.first_of(key))}_next" for key in self.states)
            yield Mistake(
                ("next",),
                f"{both} missing",
                f"nothing comes back from the next step: {both} are missing, so that only the last step is right",
                self.way.site(made).where,
                cut(every),
            )
        for n in range(1, self.way.steps - 1):
            rest = [e for e in every if self.way.step.get(e[0], 0) <= n]
            if rest:
                yield Mistake(
                    ("truncated", self.way.steps - n),
                    "way back through time truncated",
                    f"only the last {self.way.steps - n} of {self.way.steps} steps are right, and nothing is handed "
                    "on to the steps before",
                    "",
                    cut(rest),
                )
        for key, edges in self.states.items():
            by_user: dict[Key, list[Edge]] = defaultdict(list)
            for node, i in edges:
                by_user[(*self.way.key[node], i)].append((node, i))
            made = self.first_of(key)
            if len(by_user) < 2:
                continue
            name = self.state(made)
            for user, some in by_user.items():
                others = [e for e in edges if e not in some]
                yield Mistake(
                    ("next but", key, user),
                    f"a path of d{name}_next missing",
                    f"of what comes back to {self.label(made)} from the next step, the path through "
                    f"{self.place(some[0][0])} is missing (a part of d{name}_next)",
                    self.way.site(some[0][0]).where,
                    cut(some),
                )
                if len(by_user) > 2:
                    yield Mistake(
                        ("next only", key, user),
                        f"d{name}_next assigned instead of added up (= for +=)",
                        f"of what comes back to {self.label(made)} from the next step, only the path through "
                        f"{self.place(some[0][0])} is there (= for +=), and the others are missing",
                        self.way.site(some[0][0]).where,
                        cut(others),
                    )
        for key, edges in self.sums.items():
            made = self.first_of(key)
            yield Mistake(
                ("sum", key),
                "terms of the earlier steps missing",
                f"only the last term of the sum {self.place(made)} over the steps sends a gradient back",
                self.way.site(made).where,
                cut(edges),
            )

    # --- 2: an edge dropped -------------------------------------------------------------------------------

    def edges_by_site(self) -> Iterator[tuple[Key, int, list[Edge]]]:
        """Every place of every site, with its edges."""
        for key, nodes in self.way.sites.items():
            for place in range(len(nodes[-1].parents)):
                edges = [(n, place) for n in nodes if place < len(n.parents) and n.parents[place] is not None]
                if edges and type(nodes[-1].vjps) is tuple:
                    yield key, place, edges

    def dropped(self) -> Iterator[Mistake]:
        for key, place, edges in self.edges_by_site():
            node = edges[-1][0]
            if node in self.inside:
                continue
            to = self.label(node.parents[place])
            yield Mistake(
                ("drop", key, place),
                "a path missing",
                f"the gradient through {self.place(node)} to {to} is missing",
                self.way.site(node).where,
                cut(edges),
            )
        for key, place, edges in self.edges_by_site():
            parent = edges[-1][0].parents[place]
            if parent is None or parent.name != "concatenate" or parent.replay[2]["axis"] is None:
                continue
            for piece in range(len(parent.parents)):
                if parent.parents[piece] is not None:
                    node = edges[-1][0]
                    part = self.operand_label(parent, piece)
                    if part == self.label(parent):
                        part = self.label(parent.parents[piece])
                    yield Mistake(
                        ("drop part", key, place, piece),
                        "a path missing",
                        f"the gradient through {self.place(node)} to {part}, a part of {self.label(parent)}, is missing",
                        self.way.site(node).where,
                        lambda edges=edges, piece=piece: self.without_part(edges, piece),
                    )
        for parents, edges in self.bundles():
            node = edges[-1][0]
            target = node.parents[edges[-1][1]]
            yield Mistake(
                ("drop all", parents),
                "a path missing",
                f"the gradient of {self.label(target)} is missing in all the places that use it, as "
                f"{self.place(node)}",
                self.way.site(node).where,
                cut(edges),
            )

    def without_part(self, edges: list[Edge], piece: int) -> Change:
        """Edges to joined values that send nothing back to one of them."""
        changed: dict[Edge, Back] = {}
        for node, place in edges:
            joined = node.parents[place]
            if joined is None or joined.name != "concatenate":
                continue
            axis = joined.replay[2]["axis"]
            lengths = [np.shape(self.way.operand(joined, i))[axis] for i in range(len(joined.parents))]
            index: list[Any] = [slice(None)] * len(joined.shape)
            index[axis] = slice(sum(lengths[:piece]), sum(lengths[: piece + 1]))

            def zeroed(g: np.ndarray, index: tuple[Any, ...] = tuple(index)) -> np.ndarray:
                g = np.array(g)
                g[index] = 0
                return g

            changed[node, place] = after(node.vjps[place], zeroed, joined)
        return Change(changed)

    def bundles(self) -> Iterator[tuple[Key, list[Edge]]]:
        """All edges to one site, of those with several users."""
        by_parent: dict[Key, list[Edge]] = defaultdict(list)
        for node in self.way.nodes[::-1]:
            if type(node.vjps) is not tuple or node in self.inside:
                continue
            for i, parent in enumerate(node.parents):
                if parent is not None and parent.parents:
                    by_parent[self.way.key[parent]].append((node, i))
        for key, edges in by_parent.items():
            if len({(self.way.key[n], i) for n, i in edges}) > 1:
                yield key, edges

    def softmax_slips(self) -> Iterator[Mistake]:
        by_site: dict[Key, list[Function]] = defaultdict(list)
        for s in self.softmaxes:
            by_site[self.way.key[s.y]].append(s)
        for key, group in by_site.items():
            made = group[0].y

            def slip(
                name: str,
                text: str,
                formula: Any,
                group: list[Function] = group,
                key: Key = key,
                made: Node = made,
            ) -> Mistake:
                def change() -> Change | None:
                    return together(
                        s.changed(lambda g, p=self.way.values[s.y], s=s: formula(g, p, s.axis)) for s in group
                    )

                return Mistake(
                    ("softmax", key, name),
                    name,
                    f"the derivative of the softmax {self.place(made)} {text}",
                    self.way.site(made).where,
                    change,
                )

            yield slip(
                "sum missing in the derivative of softmax",
                "is taken element by element: of p (g - sum(g p)) the term with the sum is missing",
                lambda g, p, axis: g * p,
            )
            yield slip(
                "softmax taken for a sigmoid",
                "is taken for that of a sigmoid, p (1 - p): only the diagonal of softmax's Jacobian",
                lambda g, p, axis: g * p * (1 - p),
            )
            yield slip("derivative of softmax missing", "is left out", lambda g, p, axis: g)
            yield slip(
                "factor p missing in the derivative of softmax",
                "has no factor p: it is g - sum(g p)",
                lambda g, p, axis: g - (g * p).sum(axis=axis, keepdims=True),
            )
            yield slip(
                "sum(g) in the derivative of softmax",
                "takes sum(g) for sum(g p)",
                lambda g, p, axis: p * (g - g.sum(axis=axis, keepdims=True)),
            )
            yield slip(
                "mean in the derivative of softmax",
                "takes the mean of g p for the sum",
                lambda g, p, axis: p * (g - (g * p).mean(axis=axis, keepdims=True)),
            )
            yield slip(
                "sign in the derivative of softmax",
                "adds the sum that is to be subtracted",
                lambda g, p, axis: p * (g + (g * p).sum(axis=axis, keepdims=True)),
            )
            yield slip(
                "sum over all axes in the derivative of softmax",
                "sums g p over all axes",
                lambda g, p, axis: p * (g - (g * p).sum()),
            )
            yield Mistake(
                ("softmax", key, "target"),
                "target missing in the gradient of softmax and cross entropy",
                f"the gradient of the softmax {self.place(made)} is p where p - y belongs: the target is not "
                "subtracted",
                self.way.site(made).where,
                cut([(s.y, 0) for s in group]),
            )
            for by, end in itertools.product((-1, 1), ("wrap", "same")):
                yield Mistake(
                    ("softmax", key, "target", by, end),
                    "target one step off",
                    f"the target of the {'previous' if by < 0 else 'next'} step is subtracted from the softmax "
                    f"{self.place(made)} (one step off)",
                    self.way.site(made).where,
                    lambda group=group, by=by, end=end: self.target_off(group, by, end),
                )
            for other in range(len(made.shape)):
                yield slip(
                    f"softmax's sum over axis {other}",
                    f"sums over the wrong axis, {other} where {group[0].axis} belongs",
                    lambda g, p, axis, other=other: p * (g - (g * p).sum(axis=other, keepdims=True)),
                )

    def target_off(self, group: list[Function], by: int, end: str) -> Change | None:
        """The gradient of a softmax that is read at one place a step, with the place of another step."""
        places = {}
        for s in group:
            users = [user for user, _ in self.way.users[s.y] if user.name == "getitem"]
            step = self.way.step.get(s.y)
            if len(users) != 1 or step is None:
                return None
            places[step] = users[0].replay[2]["index"]
        changes = []
        for s in group:
            step = self.way.step[s.y]
            ends = {"same": step, "wrap": min(places) if by > 0 else max(places)}
            there = places.get(step + by, places[ends[end]])

            def back(g: Any, s: Function = s, here: Any = places[step], there: Any = there) -> Any:
                p = self.way.values[s.y]
                target = np.zeros_like(p)
                target[there] = (g * p)[here]
                return target - p * (g * p).sum(axis=s.axis, keepdims=True)

            changes.append(s.changed(back))
        return together(changes)

    # --- 3: activations -----------------------------------------------------------------------------------

    def groups(self) -> Iterator[tuple[Key, str, list[Function]]]:
        """Activations that one wrong line or helper would change: of one site, of one kind, all but one, all."""
        by_site: dict[Key, list[Function]] = defaultdict(list)
        for a in self.activations:
            by_site[self.way.key[a.y]].append(a)
        kinds: dict[str, list[Key]] = defaultdict(list)
        for key, some in by_site.items():
            kinds[some[-1].kind].append(key)
            yield key, f"the derivative of {some[-1].kind} at {self.place(some[-1].y)}", some
        for kind, keys in kinds.items():
            if len(keys) > 1:
                every = [a for key in keys for a in by_site[key]]
                yield (kind,), f"the derivative of each {kind}, as at {self.place(every[-1].y)},", every
            if len(keys) > 2:
                for left in keys:
                    some = [a for key in keys if key != left for a in by_site[key]]
                    but = f"the derivative of each {kind} but that at {self.place(by_site[left][-1].y)}"
                    yield (kind, "but", left), but, some

    def derivatives(self) -> Iterator[Mistake]:
        for key, what, group in self.groups():
            made = group[-1].y
            for name, (text, formula) in derivative_slips(group[-1].kind).items():
                yield Mistake(
                    ("derivative", key, name),
                    name,
                    f"{what} {text}",
                    self.shown(made).where,
                    lambda group=group, formula=formula: self.with_formula(group, formula),
                )
        several = sorted({a.kind for a in self.activations})
        if len(several) > 1:
            for number, ending in enumerate(
                ("missing", "taken of its output", "taken of its input", "taken twice")
            ):
                made = self.activations[-1].y

                def change(ending: str = ending) -> Change | None:
                    named = [
                        (a, derivative_slips(a.kind).get(f"derivative of {a.kind} {ending}"))
                        for a in self.activations
                    ]
                    return together(self.with_formula([a], slip[1]) for a, slip in named if slip)

                texts = (
                    "are left out",
                    "are taken of the outputs where the inputs belong",
                    "are the formulas for the outputs, and are given the inputs",
                    "are multiplied with themselves",
                )
                yield Mistake(
                    ("derivative", "all", ending),
                    f"derivatives of the activations {ending}",
                    f"the derivatives of all activations ({', '.join(several)}) {texts[number]}",
                    self.shown(made).where,
                    change,
                )

    def with_formula(self, group: Iterable[Function], formula: Any) -> Change | None:
        changes = []
        for a in group:
            with np.errstate(all="ignore"):
                factor = formula(self.way.values[a.x], self.way.values[a.y])
            changes.append(a.changed(lambda g, factor=factor: g * factor))
        return together(changes)

    # --- values of other places and other steps -------------------------------------------------------------

    @cached_property
    def series(self) -> list[tuple[Key, str, dict[int | None, np.ndarray], int]]:
        """Values that somebody may take for another one: (key, what it is called, value by step, order).

        What a variable or a known function holds, at its own step, one before and one after.
        """
        found = []
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
                        what = f"the constant in {self.place(nodes[-1])}"
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
        return self.shifted_value(node, place, node.parents[place], step, by, end)

    def shifted_value(
        self, node: Node, place: int, parent: Node | None, step: int, by: int, end: str
    ) -> np.ndarray | None:
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
        if end == "same":
            return own
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
        elif end == "wrap":
            own[tuple(index)] = series[max(series) if by < 0 else 0]
        return own

    def operand_changes(self, edges: Iterable[Edge], other: int, values: Any) -> Change | None:
        """The edges' vjps with the operand at `other` replaced: values(node) gives it, or None."""
        changed: dict[Edge, Back] = {}
        for node, place in edges:
            x = values(node)
            if x is None or np.shape(x) != np.shape(self.way.operand(node, other)):
                return None
            changed[node, place] = self.way.with_operand(node, other, x)[place]
        return Change(changed) if changed else None

    def products(self) -> Iterator[tuple[Key, int, int, list[Edge]]]:
        """Every edge of a product whose gradient takes another operand: (site, place, that operand, edges)."""
        for key, place, edges in self.edges_by_site():
            node = edges[-1][0]
            if node.name in PRODUCTS and node.replay and node not in self.inside:
                for other in range(len(node.parents)):
                    if other != place or (node.name == "divide" and place == 1):
                        yield key, place, other, edges

    # --- 4: one step off ----------------------------------------------------------------------------------

    def one_step_off(self) -> Iterator[Mistake]:
        bundles: dict[Any, list[tuple[int, list[Edge]]]] = defaultdict(list)
        for key, place, other, edges in self.products():
            node = edges[-1][0]
            if node not in self.way.step:
                continue
            parent = node.parents[other]
            to = self.label(node.parents[place])
            carried = (node, other) in self.way.carried
            if parent is not None and parent.parents:
                bundles[self.way.key[parent], self.to_parameter(node, place)].append((other, edges))
            for by, end in itertools.product((1, -1), ("zero", "wrap", "same")):
                if carried:
                    text = (
                        f"takes the {self.label(parent)} of its own step where that of the previous step belongs"
                        if by > 0
                        else f"takes the {self.label(parent)} of two steps before where that of one step before belongs"
                    )
                else:
                    text = (
                        f"takes {self.operand_label(node, other)} of the {'previous' if by < 0 else 'next'} step where "
                        "that of its own step belongs"
                    )
                yield Mistake(
                    ("step", key, place, other, by, end),
                    f"{self.operand_label(node, other).strip('`')} one step off",
                    f"the gradient through {self.place(node)} to {to} {text} (one step off)",
                    self.way.site(node).where,
                    lambda edges=edges, other=other, by=by, end=end: self.operand_changes(
                        edges, other, lambda n: self.shifted(n, other, by, end)
                    ),
                )
            for join, piece in self.parts_of(node, other):
                joined = self.at.get((join, self.way.step.get(node)))
                if joined is None:
                    continue
                bundles["part", join, piece, self.to_parameter(node, place)].append((other, edges))
                yield from self.pieces_off(("piece", key, place), [(other, edges)], joined, piece)
        for bundle, members in bundles.items():
            if len(members) < 2:
                continue
            node = members[-1][1][-1][0]
            parent = node.parents[members[-1][0]]
            if bundle[0] == "part":
                if parent is not None:
                    yield from self.pieces_off(("pieces", bundle), members, parent, bundle[2])
                continue
            carried = (node, members[-1][0]) in self.way.carried
            for by, end in itertools.product((1, -1), ("zero", "wrap", "same")):
                which = (
                    ("of its own step where that of the previous step belongs")
                    if carried and by > 0
                    else f"of the {'previous' if by < 0 else 'next'} step where the right one is one step off"
                )
                yield Mistake(
                    ("steps", bundle, by, end),
                    f"{self.label(parent).strip('`')} one step off",
                    f"all products with {self.label(parent)}, as {self.place(node)}, take that {which} (one step off)",
                    self.way.site(node).where,
                    lambda members=members, by=by, end=end: together(
                        [
                            self.operand_changes(edges, other, lambda n, o=other: self.shifted(n, o, by, end))
                            for other, edges in members
                        ]
                    ),
                )
        for key, what, group in self.groups():
            if group[-1].y not in self.way.step:
                continue
            for by, end in itertools.product((-1, 1), ("zero", "wrap")):
                made = group[-1].y
                yield Mistake(
                    ("derivative one step off", key, by, end),
                    f"derivative of {group[-1].kind} one step off",
                    f"{what} is taken at the {'previous' if by < 0 else 'next'} step (one step off)",
                    self.shown(made).where,
                    lambda group=group, by=by, end=end: self.derivative_off(group, by, end),
                )

    def to_parameter(self, node: Node, place: int) -> bool:
        """Whether an edge leads to a parameter and nowhere else."""
        parent = node.parents[place]
        return parent is not None and parent not in self.way.step and len(self.way.reach[parent]) == 1

    def pieces_off(
        self, key: Key, members: list[tuple[int, list[Edge]]], joined: Node, piece: int
    ) -> Iterator[Mistake]:
        parent = joined.parents[piece]
        node = members[-1][1][-1][0]
        carried = (joined, piece) in self.way.carried
        for by, end in itertools.product((1, -1), ("zero", "wrap", "same")):
            label = self.label(parent) if parent is not None else "the input"
            belongs = "previous" if carried else "same"
            taken = "its own" if carried and by > 0 else "the next" if by > 0 else "an earlier"
            yield Mistake(
                (*key, piece, by, end),
                f"{label.strip('`')} one step off",
                f"the gradient through {self.place(node)} to {self.label(node.parents[0])} takes the {label} of "
                f"{taken} step where that of the {belongs} step belongs (one step off)",
                self.way.site(node).where,
                lambda by=by, end=end: together(
                    [
                        self.operand_changes(
                            edges, other, lambda n, o=other: self.joined_with_shift(n, o, piece, by, end)
                        )
                        for other, edges in members
                    ]
                ),
            )

    def operand_label(self, node: Node, place: int) -> str:
        parent = node.parents[place]
        text = self.way.operand_text(node, place)
        if text and parent not in self.leaf_names:
            return f"`{text}`"
        return self.label(parent) if parent is not None else "the other operand"

    def derivative_off(self, group: list[Function], by: int, end: str) -> Change | None:
        changes = []
        for a in group:
            step, key = self.way.step.get(a.y), self.way.key[a.y]
            if step is None:
                return None
            other = self.at.get((key, step + by))
            nodes = self.way.sites[key]
            if other is not None and other in self.known:
                factor: np.ndarray | None = self.slope(self.known[other])
            elif end == "wrap":
                factor = self.slope(self.known[nodes[-1 if by < 0 else 0]])
            elif by < 0 and key in self.states:
                factor = self.slope_at_output(a, self.state_before(key, 0))
            else:
                factor = self.slope_at_output(a, np.zeros_like(self.way.values[a.y]))
            if factor is None or factor.shape != a.y.shape:
                return None
            changes.append(a.changed(lambda g, factor=factor: g * factor))
        return together(changes)

    def slope(self, a: Function) -> np.ndarray:
        return np.asarray(KNOWN[a.kind].of_input(self.way.values[a.x]))

    def slope_at_output(self, a: Function, y: np.ndarray | None) -> np.ndarray | None:
        of_output = KNOWN[a.kind].of_output
        if y is None:
            return None
        if a.kind == "relu":
            return (y > 0) * 1.0
        return np.asarray(of_output(y)) if of_output else None

    # --- 5: a wrong operand ---------------------------------------------------------------------------------

    def product_factors(self) -> Iterator[Mistake]:
        for key, place, other, edges in self.products():
            node = edges[-1][0]
            to, right = self.label(node.parents[place]), self.operand_label(node, other)
            where = self.way.site(node).where
            if node.name in ("multiply", "divide"):
                for name, text, factor in (
                    (
                        f"factor {right.strip('`')} missing",
                        f"has no factor {right}",
                        lambda x: np.ones_like(x),
                    ),
                    (
                        f"factor {right.strip('`')} taken twice",
                        f"has the factor {right} twice",
                        lambda x: x * x,
                    ),
                    (
                        f"wrong operand: 1 - {right.strip(chr(96))}",
                        f"has the factor 1 - {right} where {right} belongs",
                        lambda x: 1 - x,
                    ),
                ):
                    yield Mistake(
                        ("factor", key, place, other, text[:12]),
                        name,
                        f"the gradient through {self.place(node)} to {to} {text}",
                        where,
                        lambda edges=edges, other=other, factor=factor: self.operand_changes(
                            edges, other, lambda n: factor(self.way.operand(n, other))
                        ),
                    )

    def wrong_operand(self) -> Iterator[Mistake]:
        for key, place, other, edges in self.products():
            node = edges[-1][0]
            to, right = self.label(node.parents[place]), self.operand_label(node, other)
            where = self.way.site(node).where
            shape = self.way.operand(node, other).shape
            if not shape:
                continue
            parent = node.parents[other]
            for candidate, label, series, _ in self.series:
                sample = series.get(self.way.step.get(node))
                if sample is None or sample.shape != shape or label == right:
                    continue
                if (
                    parent is not None
                    and candidate == self.way.key[parent]
                    and (node, other) not in self.way.carried
                ):
                    continue
                yield Mistake(
                    ("operand", key, place, other, candidate),
                    f"wrong operand: {label.strip('`')} for {right.strip('`')}",
                    f"the gradient through {self.place(node)} to {to} takes {label} as its operand where {right} belongs",
                    where,
                    lambda edges=edges, other=other, series=series: self.operand_changes(
                        edges, other, lambda n: series.get(self.way.step.get(n))
                    ),
                )
        by_site: dict[Key, list[Function]] = defaultdict(list)
        for a in self.activations:
            by_site[self.way.key[a.y]].append(a)
        for key, group in by_site.items():
            made = group[-1].y
            if KNOWN[group[-1].kind].of_output is None and group[-1].kind != "relu":
                continue
            for candidate, label, series, _ in self.series:
                sample = series.get(self.way.step.get(made))
                if candidate == key or sample is None or sample.shape != made.shape:
                    continue

                def change(group: Any = group, series: Any = series) -> Change | None:
                    changes = []
                    for a in group:
                        factor = self.slope_at_output(a, series.get(self.way.step.get(a.y)))
                        if factor is None or factor.shape != a.y.shape:
                            return None
                        changes.append(a.changed(lambda g, factor=factor: g * factor))
                    return together(changes)

                yield Mistake(
                    ("derivative of", key, candidate),
                    f"derivative of {group[-1].kind} taken of {label.strip('`')}",
                    f"the derivative of {group[-1].kind} at {self.place(made)} is taken of {label}",
                    self.shown(made).where,
                    change,
                )

    # --- 6: matrices ----------------------------------------------------------------------------------------

    def matrices(self) -> Iterator[Mistake]:
        every: dict[Any, list[tuple[Key, int, list[Edge]]]] = defaultdict(list)
        for key, place, edges in self.edges_by_site():
            node = edges[-1][0]
            parent = node.parents[place]
            assert parent is not None
            if node.name == "transpose":
                yield Mistake(
                    ("not transposed back", key),
                    "not transposed back",
                    f"the gradient of {self.place(node)} is not transposed back",
                    self.way.site(node).where,
                    lambda edges=edges: Change(
                        {(n, i): lambda g, n=n, i=i: g.reshape(n.parents[i].shape) for n, i in edges}
                    ),
                )
            if node.name == "getitem" and node.shape == parent.shape:
                yield Mistake(
                    ("not turned back", key),
                    "order not turned back",
                    f"the gradient of {self.place(node)} is not put back into the order of {self.label(parent)} (not reversed)",
                    self.way.site(node).where,
                    lambda edges=edges: Change(dict.fromkeys(edges, lambda g: g)),
                )
            if node.name not in ("matmul", "einsum"):
                continue
            if not self.to_parameter(node, place):
                every["all", place].append((key, place, edges))
                every["to", self.way.key.get(parent), parent.name].append((key, place, edges))
            yield from self.transpositions((key, place), [(key, place, edges)])
        for bundle, members in every.items():
            if len(members) > 1:
                yield from self.transpositions(bundle, members)

    def transpositions(self, key: Key, members: list[tuple[Key, int, list[Edge]]]) -> Iterator[Mistake]:
        node, place = members[-1][2][-1]
        parent = node.parents[place]
        others = [i for i in range(len(node.parents)) if i != place]
        matrix = self.operand_label(node, others[0]) if others else "the matrix"
        where, to = self.way.site(node).where, self.label(parent)
        several = "each of " if len(members) > 1 else ""

        def operand() -> Change | None:
            return together(
                self.operand_changes(edges, 1 - i, lambda n, i=i: swapped(self.way.operand(n, 1 - i)))
                for _, i, edges in members
            )

        yield Mistake(
            ("transpose", "operand", *key),
            f"{matrix.strip('`')} not transposed",
            f"the gradient through {several}{self.place(node)} to {to} is multiplied with {matrix} that is not "
            "transposed, or is transposed where it should not be",
            where,
            operand,
        )
        yield Mistake(
            ("transpose", "g", *key),
            "gradient not transposed",
            f"the gradient through {several}{self.place(node)} to {to} takes the gradient of the product not "
            "transposed where it should be, or the other way round",
            where,
            lambda: Change(
                {
                    (n, i): lambda g, back=n.vjps[i]: back(square(g))
                    for _, _, edges in members
                    for n, i in edges
                }
            ),
        )
        yield Mistake(
            ("transpose", "result", *key),
            "product transposed",
            f"the gradient through {several}{self.place(node)} to {to} is the transpose of what it should be: the order "
            "of the two factors is exchanged",
            where,
            lambda: Change(
                {
                    (n, i): after(n.vjps[i], square, n.parents[i])  # type: ignore[arg-type]
                    for _, _, edges in members
                    for n, i in edges
                }
            ),
        )

    # --- 7: gates -------------------------------------------------------------------------------------------

    def gate_label(self, node: Node) -> str:
        """What a block of a fused matrix is called: as the activation it goes into, or by itself."""
        return self.label(next((a.y for a in self.activations if a.x is node), node))

    def gates(self) -> Iterator[Mistake]:
        blocks: dict[Any, list[Key]] = defaultdict(list)
        for key, nodes in self.way.sites.items():
            node = nodes[-1]
            if node.name == "getitem" and node.parents[0] is not None and node not in self.inside:
                blocks[node.parents[0], node.shape].append(key)
        for keys in blocks.values():
            if not 1 < len(keys) < 6:
                continue
            names = [self.gate_label(self.way.sites[key][-1]) for key in keys]
            orders = sorted(
                itertools.permutations(range(len(keys))),
                key=lambda order: sum(i != k for i, k in enumerate(order)),
            )[1:]
            for order in orders:
                moved = [i for i, k in enumerate(order) if i != k]

                def change(keys: Any = keys, order: Any = order) -> Change | None:
                    edges: dict[Edge, Back] = {}
                    for key, to in zip(keys, order, strict=True):
                        for node in self.way.sites[key]:
                            other = self.at.get((keys[to], self.way.step.get(node)))
                            if other is None:
                                return None
                            index = other.replay[2]["index"]
                            edges[node, 0] = lambda g, index=index: SparseGrad(g, index)
                    return Change(edges)

                which = ", ".join(f"{names[i]} in the place of {names[order[i]]}" for i in moved)
                yield Mistake(
                    ("blocks", tuple(keys), order),
                    f"gates exchanged: {' and '.join(names[i].strip('`') for i in moved)}",
                    f"the gradients of the gates are exchanged: {which}",
                    self.way.site(self.way.sites[keys[0]][-1]).where,
                    change,
                )
        for key, nodes in self.way.sites.items():
            if nodes[-1].name in ("concatenate", "stack"):
                yield from self.joined_exchanged(key, nodes)
        yield from self.exchanged()

    def joined_exchanged(self, key: Key, nodes: list[Node]) -> Iterator[Mistake]:
        """The parts of what was joined, sent back to each other's places."""
        parents = nodes[-1].parents
        for i, j in itertools.combinations(range(min(len(parents), 5)), 2):
            one, other = parents[i], parents[j]
            if one is None or other is None or one.shape != other.shape:
                continue
            names = [self.operand_label(nodes[-1], k) for k in (i, j)]
            yield Mistake(
                ("joined", key, i, j),
                f"parts exchanged: {names[0].strip('`')} and {names[1].strip('`')}",
                f"the gradients of the parts {names[0]} and {names[1]} of {self.place(nodes[-1])} are exchanged",
                self.way.site(nodes[-1]).where,
                lambda i=i, j=j: Change({e: n.vjps[k] for n in nodes for e, k in (((n, i), j), ((n, j), i))}),
            )

    def exchanged(self) -> Iterator[Mistake]:
        """Two values of one step that are taken for one another."""
        known: dict[Key, list[Function]] = defaultdict(list)
        for a in self.activations:
            known[self.way.key[a.y]].append(a)
        for one, other in itertools.combinations(known, 2):
            first, second = known[one], known[other]
            if (
                len(first) == len(second)
                and alike(first[-1].x, second[-1].x)
                and first[-1].x is not second[-1].x
            ):
                same_step = self.way.step.get(first[-1].y) == self.way.step.get(second[-1].y)
                if same_step and first[-1].x.parents and second[-1].x.parents:
                    yield self.exchange(
                        ("pre", one, other),
                        first[-1].y,
                        second[-1].y,
                        "the gradients of {} and {} are exchanged",
                        lambda first=first, second=second: together(
                            c.changed(lambda g, c=c: g * self.slope(c), d.x)
                            for a, b in zip(first, second, strict=True)
                            for c, d in ((a, b), (b, a))
                        ),
                    )
        named = [
            key
            for key, nodes in self.way.sites.items()
            if nodes[-1] not in self.inside
            and nodes[-1].parents
            and nodes[-1].shape
            and nodes[-1] in self.way.values
            and (key in known or nodes[-1].name in ("getitem", "matmul") or self.way.site(nodes[-1]).name)
        ]
        for one, other in itertools.combinations(named[:30], 2):
            first: Any = self.way.sites[one]
            second: Any = self.way.sites[other]
            if len(first) != len(second) or not alike(first[-1], second[-1]):
                continue
            if self.way.step.get(first[-1]) != self.way.step.get(second[-1]):
                continue
            pairs = list(zip(first, second, strict=True))
            if self.way.reach[first[-1]] != self.way.reach[second[-1]] or key_in(known, one, other):
                yield self.exchange(
                    ("post", one, other),
                    first[-1],
                    second[-1],
                    "the gradients of {} and {} are exchanged",
                    lambda pairs=pairs: self.users_exchanged(pairs),
                )
            if key_in(known, one, other) or first[-1].name == second[-1].name == "getitem":
                for slopes in (True, False):
                    yield self.exchange(
                        ("values", slopes, one, other),
                        first[-1],
                        second[-1],
                        "the values of {} and {} are exchanged on the way back"
                        + ("" if slopes else ", but for their own derivatives"),
                        lambda pairs=pairs, slopes=slopes: self.values_exchanged(pairs, slopes),
                    )

    def exchange(self, key: Key, one: Node, other: Node, text: str, change: Any) -> Mistake:
        names = [self.label(one), self.label(other)]
        return Mistake(
            key,
            f"exchanged: {names[0].strip('`')} and {names[1].strip('`')}",
            text.format(*names) + f": they are those of {self.place(one)} and {self.place(other)}",
            self.shown(one).where,
            change,
        )

    def users_exchanged(self, pairs: list[tuple[Node, Node]]) -> Change | None:
        moved = {}
        for a, b in pairs:
            for source, target in ((a, b), (b, a)):
                for user, i in self.way.users[source]:
                    if type(user.vjps) is not tuple:
                        return None
                    moved[user, i] = (user, target)
        return Change({}, moved)

    def values_exchanged(self, pairs: list[tuple[Node, Node]], slopes: bool) -> Change | None:
        edges: dict[Edge, Back] = {}
        changes: list[Change | None] = []
        for a, b in pairs:
            for mine, theirs in ((a, b), (b, a)):
                x = self.way.values[theirs]
                replaced = {mine: x}
                for user, i in self.way.users[mine]:
                    if user.name == "subtract" and i == 1 and user.parents[0] is None:
                        replaced[user] = self.way.operand(user, 0) - x
                for source, value in replaced.items():
                    for user, i in self.way.users[source]:
                        if user.name == "multiply" and user.parents[1 - i] is not None:
                            edges[user, 1 - i] = self.way.with_operand(user, i, value)[1 - i]
                function = self.known.get(mine)
                if slopes and function is not None:
                    factor = self.slope_at_output(function, x)
                    changes.append(
                        None if factor is None else function.changed(lambda g, factor=factor: g * factor)
                    )
            fused = self.known.get(a.parents[0]) if a.parents[0] is b.parents[0] and a.parents[0] else None
            if slopes and fused is not None and a.name == b.name == "getitem":
                y = np.array(self.way.values[fused.y])
                one, other = a.replay[2]["index"], b.replay[2]["index"]
                y[one], y[other] = y[other].copy(), y[one].copy()
                factor = self.slope_at_output(fused, y)
                changes.append(None if factor is None else fused.changed(lambda g, factor=factor: g * factor))
        return together([Change(edges), *changes])

    # --- 8: steps left out -----------------------------------------------------------------------------------

    def steps_left_out(self) -> Iterator[Mistake]:
        for step, which in ((0, "first"), (self.way.steps - 1, "last")):
            edges = [
                (n, i)
                for n in self.way.nodes
                if self.way.step.get(n) == step
                for i, p in enumerate(n.parents)
                if p is not None and p not in self.way.step
            ]
            if edges and self.way.steps > 1:
                yield Mistake(
                    ("left out", which),
                    f"{which} step left out",
                    f"the {which} step is left out: the loop back does not come to it, and no parameter gets its term",
                    "",
                    cut(edges),
                )
        last = self.way.steps - 1
        backs = [
            (n, i)
            for (n, i) in self.way.carried
            if self.way.step.get(n) == last and self.way.key[self.way.carried[n, i]] in self.states
        ]
        if backs and self.way.steps > 1:
            moved = {}
            for n, i in backs:
                producer = self.way.carried[n, i]
                here = self.at.get((self.way.key[producer], last))
                if here is not None:
                    for user, j in self.way.users[here]:
                        if (user, j) not in self.way.carried:
                            moved[user, j] = (user, producer)
            if moved:
                yield Mistake(
                    ("left out", "last, and its gradient handed on"),
                    "last step left out",
                    "the last step is left out, and what comes from the loss goes to the step before it",
                    "",
                    lambda: Change(dict.fromkeys(backs), moved),
                )

    def some_steps(self) -> Iterator[Mistake]:
        """A path that is there at one step alone, where there should be one at each."""
        bundles: list[tuple[Key, list[tuple[int, Edge]]]] = []
        for key, place, edges in self.edges_by_site():
            node = edges[-1][0]
            parent = node.parents[place]
            if node in self.way.step and node not in self.inside and parent is not None and parent.parents:
                bundles.append(
                    ((key, place), [(self.way.step[n], (n, i)) for n, i in edges if n in self.way.step])
                )
        by_parent: dict[Key, list[tuple[int, Edge]]] = defaultdict(list)
        for node in self.way.nodes:
            for i, parent in enumerate(node.parents):
                if parent in self.way.step and node not in self.way.step and type(node.vjps) is tuple:
                    by_parent[self.way.key[parent]].append((self.way.step[parent], (node, i)))
        bundles += by_parent.items()
        for key, found in bundles:
            steps = sorted({step for step, _ in found})
            if len(steps) < 2:
                continue
            for step, which in ((steps[-1], "last"), (steps[0], "first")):
                node, place = found[-1][1]
                yield Mistake(
                    ("some steps", key, which),
                    f"a path missing but at the {which} step",
                    f"the gradient through {self.place(node)} to {self.label(node.parents[place])} is that of the {which} "
                    "step alone, and is missing at the others",
                    self.way.site(node).where,
                    cut([edge for at, edge in found if at != step]),
                )
                yield Mistake(
                    ("some steps", key, "not", which),
                    f"a path missing at the {which} step",
                    f"the gradient through {self.place(node)} to {self.label(node.parents[place])} is missing at the {which} "
                    "step",
                    self.way.site(node).where,
                    cut([edge for at, edge in found if at == step]),
                )

    # --- 9, 10, 11: signs, factors ------------------------------------------------------------------------------

    def signs(self) -> Iterator[Mistake]:
        for key, place, edges in self.edges_by_site():
            node = edges[-1][0]
            if node not in self.inside:
                yield Mistake(
                    ("sign", key, place),
                    "sign of one term",
                    f"the gradient through {self.place(node)} to {self.label(node.parents[place])} has the wrong sign",
                    self.way.site(node).where,
                    scaled(edges, -1),
                )

    def factors(self) -> Iterator[Mistake]:
        shapes = {n for node in self.way.nodes for n in node.shape if n > 1}
        sizes = {**{str(n): n for n in sorted(shapes)[:5]}, **{k: n for k, n in self.sizes.items() if n > 1}}
        if self.way.steps > 1:
            sizes["the number of steps"] = self.way.steps
        factors: dict[float, str] = {2.0: "2", 0.5: "0.5"}
        for name, n in sizes.items():
            for value, text in (
                (n, name),
                (1 / n, f"1 / {name}"),
                (n**0.5, f"sqrt({name})"),
                (n**-0.5, f"1 / sqrt({name})"),
            ):
                factors[float(value)] = text
        for factor, text in factors.items():
            for key, place, edges in self.edges_by_site():
                node = edges[-1][0]
                if node in self.inside:
                    continue
                twice = factor == 2
                to = self.label(node.parents[place])
                yield Mistake(
                    ("factor", text, key, place),
                    "counted twice" if twice else f"factor {text}",
                    f"the gradient through {self.place(node)} to {to} is "
                    + (
                        "counted twice (a factor 2)"
                        if twice
                        else f"{factor:.6g} times what it should be (a factor {text})"
                    ),
                    self.way.site(node).where,
                    scaled(edges, factor),
                )

    # --- what another value has sent back -----------------------------------------------------------------------

    def anothers(self) -> Iterator[Mistake]:
        """An edge that is fed with the gradient of another value of the same step."""
        by_shape: dict[Any, list[Key]] = defaultdict(list)
        for key, nodes in self.way.sites.items():
            if nodes[-1] not in self.inside and type(nodes[-1].vjps) is tuple:
                by_shape[nodes[-1].shape].append(key)
        for key, place, edges in self.edges_by_site():
            node = edges[-1][0]
            if node in self.inside or node.name not in ("matmul", "einsum", "multiply", "concatenate"):
                continue
            if self.to_parameter(node, place):
                continue
            for other in by_shape[node.shape]:
                source = self.at.get((other, self.way.step.get(node)))
                if other == key or source is None or not source.parents or len(self.way.reach[source]) < 2:
                    continue

                def change(edges: Any = edges, other: Any = other) -> Change | None:
                    moved = {}
                    for n, i in edges:
                        source = self.at.get((other, self.way.step.get(n)))
                        if source is None or type(source.vjps) is not tuple:
                            return None
                        moved[n, i] = (source, n.parents[i])
                    return Change({}, moved)

                function = self.known.get(source)
                skipped = function if function is not None and self.leads_to(function.x, node) else None
                yield Mistake(
                    ("another", key, place, other),
                    f"derivative of {skipped.kind} missing on one path"
                    if skipped
                    else f"gradient of {self.label(source).strip('`')} in place of another",
                    f"the gradient through {self.place(node)} to {self.label(node.parents[place])} is made of the gradient "
                    f"of {self.label(source)}, made at {self.place(source)}"
                    + (f": the derivative of {skipped.kind} is missing there" if skipped else ""),
                    self.way.site(node).where,
                    change,
                )

    def leads_to(self, node: Node, below: Node) -> bool:
        """Whether a sum leads from one node down to another."""
        return node is below or (
            node.name in ("add", "subtract") and any(p and self.leads_to(p, below) for p in node.parents)
        )

    def pairs_dropped(self) -> Iterator[Mistake]:
        """Two paths missing, of those that lead into one value."""
        single = [
            (key, place, edges)
            for key, place, edges in self.edges_by_site()
            if edges[-1][0] not in self.inside and not self.to_parameter(*edges[-1])
        ]
        if len(single) > 45:
            return
        for one, other in itertools.combinations(single, 2):
            nodes = [one[2][-1], other[2][-1]]
            paths = " and ".join(f"through {self.place(n)} to {self.label(n.parents[i])}" for n, i in nodes)
            yield Mistake(
                ("drop two", one[:2], other[:2]),
                "two paths missing",
                f"the gradients {paths} are missing",
                self.way.site(nodes[0][0]).where,
                cut([*one[2], *other[2]]),
            )

    # --- mistakes in the gradient of a parameter alone ------------------------------------------------------------

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

    def own_mistakes(self, changes: Mapping[Edge, Back]) -> Iterator[Mistake]:
        """Mistakes made at all parameters at once, to see which of them each explains; `{}` in a text is those."""
        own = self.own
        steps = sorted({self.way.step[n] for n, _ in own if n in self.way.step})
        if len(steps) > 1:
            named = {steps[0]: "the first step", steps[-1]: "the last step"}
            for s in [steps[0], steps[-1], *steps[1:-1]]:
                which = named.get(s, f"step {s + 1}")
                rest = [(n, i) for n, i in own if self.way.step.get(n, s) != s]
                yield Mistake(
                    ("own", "only", s - steps[-1] if s else "first"),
                    f"{which} alone: = for +=",
                    f"the gradient of {{}} is assigned instead of added up over time (= for +=): it has the term of {which} alone",
                    "",
                    cut(rest),
                )
            for s in [steps[0], steps[-1]]:
                which = named[s]
                yield Mistake(
                    ("own", "without", s == steps[0]),
                    f"{which} left out",
                    f"the gradient of {{}} lacks the term of {which}",
                    "",
                    cut([(n, i) for n, i in own if self.way.step.get(n) == s]),
                )
        products = [
            (n, i, j)
            for n, i in own
            if n.name in PRODUCTS and n.replay
            for j in range(len(n.parents))
            if j != i
        ]

        def operands(values: Any) -> Change | None:
            edges: dict[Edge, Back] = {}
            for n, i, j in products:
                x = values(n, j)
                if x is not None and np.shape(x) == self.way.operand(n, j).shape:
                    edges[n, i] = self.way.with_operand(n, j, x)[i]
            return Change(edges) if edges else None

        for by, end in itertools.product((1, -1), ("zero", "wrap", "same")):
            carried = any((n, j) in self.way.carried for n, _, j in products)
            text = (
                "takes the state of its own step where that of the previous step belongs, or an operand of the next step"
                if by > 0 and carried
                else "takes the operand of the previous step"
                if by < 0
                else "takes the operand of the next step"
            )
            yield Mistake(
                ("own", "step", by, end),
                "operand one step off",
                f"the gradient of {{}} {text} (one step off)",
                "",
                lambda by=by, end=end: operands(lambda n, j: self.shifted(n, j, by, end)),
            )
            for piece in range(3):
                yield Mistake(
                    ("own", "piece", piece, by, end),
                    "part of a joined operand one step off",
                    f"the gradient of {{}} {text}, in one part of what is joined (one step off)",
                    "",
                    lambda by=by, end=end, piece=piece: operands(
                        lambda n, j: self.joined_with_shift(n, j, piece, by, end)
                    ),
                )
        yield Mistake(
            ("own", "ones"),
            "operand missing",
            "the gradient of {} is that of a bias: its operand is missing",
            "",
            lambda: operands(lambda n, j: np.ones_like(self.way.operand(n, j))),
        )
        yield Mistake(
            ("own", "order"),
            "joined operands swapped",
            "the gradient of {} takes the parts of its joined operand in the wrong order: they are exchanged",
            "",
            lambda: operands(self.joined_in_other_order),
        )
        for key, label, series, _ in self.series:
            yield Mistake(
                ("own", "operand", key),
                f"wrong operand: {label.strip('`')}",
                f"the gradient of {{}} takes {label} as its operand, where another belongs",
                "",
                lambda series=series: operands(lambda n, j: series.get(self.way.step.get(n))),
            )
        arriving: dict[Node, Any] = {}
        for key, nodes in self.way.sites.items():
            if not any(nodes[-1].shape == n.shape for n, _ in own):
                continue

            def fed(key: Key = key) -> Change | None:
                if not arriving:
                    arriving.update(self.way.arriving(changes))
                edges: dict[Edge, Back] = {}
                for n, i in own:
                    source = self.at.get((key, self.way.step.get(n)))
                    if (
                        source in arriving
                        and source is not n
                        and source.shape == n.shape
                        and isinstance(arriving[source], np.ndarray)
                    ):
                        edges[n, i] = lambda _, back=n.vjps[i], g=arriving[source]: back(g)
                return Change(edges) if edges else None

            made = nodes[-1]
            function = self.known.get(made)
            skipped = function if function and any(self.leads_to(function.x, n) for n, _ in own) else None
            name = (
                f"derivative of {skipped.kind} missing in one gradient"
                if skipped
                else f"gradient of {self.label(made).strip('`')} in place of another"
            )
            yield Mistake(
                ("own", "fed", key),
                name,
                f"the gradient of {{}} is made of the gradient of {self.label(made)}, made at {self.place(made)}, and not of "
                "that of its own product"
                + (f": the derivative of {skipped.kind} is missing there" if skipped else ""),
                self.way.site(made).where,
                fed,
            )
        for name, text, then in (
            ("transpose", "the gradient of {} is the transpose of what it should be", square),
            ("sign", "the gradient of {} has the wrong sign", np.negative),
        ):
            yield Mistake(
                ("own", name),
                name,
                text,
                "",
                lambda then=then: Change({(n, i): after(n.vjps[i], then, n.parents[i]) for n, i in own}),  # type: ignore[arg-type]
            )
        yield Mistake(
            ("own", "g transposed"),
            "gradient not transposed",
            "the gradient of {} takes the gradient of the product not transposed where it should be, or the other way round",
            "",
            lambda: Change(
                {
                    (n, i): lambda g, back=n.vjps[i]: back(square(g))
                    for n, i in own
                    if len(n.shape) > 1 and n.shape[-1] == n.shape[-2]
                }
            ),
        )
        for which, pick in (
            ("first", lambda g: g[:1]),
            ("last", lambda g: g[-1:]),
            ("mean", lambda g: g.mean(axis=0, keepdims=True)),
        ):
            yield Mistake(
                ("own", "batch", which),
                "bias averaged over the batch" if which == "mean" else "bias not summed over the batch",
                "the gradient of {} is averaged over the batch instead of summed"
                if which == "mean"
                else f"the gradient of {{}} is not summed over the batch, or over time: it is that of the {which} sample or step alone",
                "",
                lambda pick=pick: Change(
                    {
                        (n, i): lambda g, back=n.vjps[i], pick=pick: back(pick(g))
                        for n, i in own
                        if n.name in ("add", "subtract")
                        and n.parents[i].shape != n.shape
                        and n.shape[:1] > (1,)  # type: ignore[union-attr]
                    }
                ),
            )
        gathers = [
            n
            for n in self.way.nodes
            if n.name == "getitem" and n.parents[0] is not None and self.plain(n.parents[0])
        ]

        def last_wins() -> Change | None:
            edges: dict[Edge, Back] = {}
            for n in gathers:

                def back(g: Any, n: Node = n) -> Any:
                    assert n.parents[0] is not None
                    buffer = np.zeros(n.parents[0].shape)
                    buffer[n.replay[2]["index"]] += g
                    return buffer

                edges[n, 0] = back
            return Change(edges) if edges else None

        yield Mistake(
            ("own", "repeated"),
            "a repeated index counts once",
            "the gradient of {} counts a repeated index once: `d[index] += g` keeps the last, and np.add.at adds up",
            "",
            last_wins,
        )

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


def alike(one: Node, other: Node) -> bool:
    return one.shape == other.shape


def key_in(known: Mapping[Key, Any], *keys: Key) -> bool:
    return all(key in known for key in keys)


def swapped(x: np.ndarray) -> np.ndarray | None:
    """A square matrix, or a batch of them, transposed; None of anything else."""
    return np.swapaxes(x, -1, -2) if x.ndim > 1 and x.shape[-1] == x.shape[-2] else None


def square(g: np.ndarray) -> np.ndarray:
    """The same where it can be done; what has another shape stays as it is."""
    turned = swapped(g)
    return g if turned is None else turned
