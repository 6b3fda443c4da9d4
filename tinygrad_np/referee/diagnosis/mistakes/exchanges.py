"""Values and gradients that are taken for one another."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from tinygrad_np.backward import SparseGrad
from tinygrad_np.referee.diagnosis.activations import Function
from tinygrad_np.referee.diagnosis.mistakes.mistake import Mistake
from tinygrad_np.referee.diagnosis.mistakes.reading import Reading
from tinygrad_np.referee.diagnosis.wayback import Back, Change, Edge, Key, together
from tinygrad_np.tape import Node


def gates(r: Reading) -> Iterator[Mistake]:
    """The blocks of a fused matrix, the parts of what was joined, or two values, sent to each other's places."""
    blocks: dict[Any, list[Key]] = defaultdict(list)
    for key, nodes in r.way.sites.items():
        node = nodes[-1]
        if node.name == "getitem" and node.parents[0] is not None and node not in r.inside:
            blocks[node.parents[0], node.shape].append(key)
    for keys in blocks.values():
        if not 1 < len(keys) < 6:
            continue
        names = [r.gate_label(r.way.sites[key][-1]) for key in keys]
        orders = sorted(
            itertools.permutations(range(len(keys))),
            key=lambda order: sum(i != k for i, k in enumerate(order)),
        )[1:]
        for order in orders:
            moved = [i for i, k in enumerate(order) if i != k]

            def change(keys: Any = keys, order: Any = order) -> Change | None:
                edges: dict[Edge, Back] = {}
                for key, to in zip(keys, order, strict=True):
                    for node in r.way.sites[key]:
                        other = r.at.get((keys[to], r.way.step.get(node)))
                        if other is None:
                            return None
                        index = other.replay[2]["index"]
                        edges[node, 0] = lambda g, index=index: SparseGrad(g, index)
                return Change(edges)

            which = ", ".join(f"{names[i]} in the place of {names[order[i]]}" for i in moved)
            name = f"gates exchanged: {' and '.join(names[i].replace('`', '') for i in moved)}"
            text = f"the gradients of the gates are exchanged: {which}"
            where = r.way.site(r.way.sites[keys[0]][-1]).where
            yield Mistake(("blocks", tuple(keys), order), name, text, where, change)
            yield Mistake(
                ("blocks before", tuple(keys), order),
                name,
                text,
                where,
                lambda keys=keys, order=order: before_activation(r, keys, order),
            )
    for key, nodes in r.way.sites.items():
        if nodes[-1].name in ("concatenate", "stack"):
            yield from joined_exchanged(r, key, nodes)
    yield from exchanged(r)


def before_activation(r: Reading, keys: list[Key], order: tuple[int, ...]) -> Change | None:
    """The blocks of one activation of all gates: exchanged on the way to what it is taken of."""
    changes: list[Change | None] = []
    for node in r.way.sites[keys[0]]:
        blocks = [r.at.get((key, r.way.step.get(node))) for key in keys]
        parent = node.parents[0]
        function = r.known.get(parent) if parent is not None else None
        if function is None or None in blocks:
            return None
        indices = [block.replay[2]["index"] for block in blocks if block is not None]
        changes.append(function.changed(exchanging(r.slope(function), indices, order)))
    return together(changes)


def exchanging(slope: np.ndarray, indices: list[Any], order: tuple[int, ...]) -> Back:
    def back(g: Any) -> Any:
        own = g * slope
        moved = np.array(own)
        for index, to in zip(indices, order, strict=True):
            moved[indices[to]] = own[index]
        return moved

    return back


def joined_exchanged(r: Reading, key: Key, nodes: list[Node]) -> Iterator[Mistake]:
    """The parts of what was joined, sent back to each other's places."""
    parents = nodes[-1].parents
    for i, j in itertools.combinations(range(min(len(parents), 5)), 2):
        one, other = parents[i], parents[j]
        if one is None or other is None or one.shape != other.shape:
            continue
        names = [r.operand_label(nodes[-1], k) for k in (i, j)]
        yield Mistake(
            ("joined", key, i, j),
            f"parts exchanged: {names[0].replace('`', '')} and {names[1].replace('`', '')}",
            f"the gradients of the parts {names[0]} and {names[1]} of {r.place(nodes[-1])} are exchanged",
            r.way.site(nodes[-1]).where,
            lambda i=i, j=j: Change({e: n.vjps[k] for n in nodes for e, k in (((n, i), j), ((n, j), i))}),
        )


def exchanged(r: Reading) -> Iterator[Mistake]:
    """Two values of one step that are taken for one another."""
    known: dict[Key, list[Function]] = defaultdict(list)
    for a in r.activations:
        known[r.way.key[a.y]].append(a)
    for one, other in itertools.combinations(known, 2):
        first, second = known[one], known[other]
        if (
            len(first) == len(second)
            and first[-1].x.shape == second[-1].x.shape
            and first[-1].x is not second[-1].x
        ):
            same_step = r.way.step.get(first[-1].y) == r.way.step.get(second[-1].y)
            if same_step and first[-1].x.parents and second[-1].x.parents:
                yield exchange(
                    r,
                    ("pre", one, other),
                    first[-1].y,
                    second[-1].y,
                    "the gradients of {} and {} are exchanged",
                    lambda first=first, second=second: together(
                        c.sends(r.slope(c), d.x)
                        for a, b in zip(first, second, strict=True)
                        for c, d in ((a, b), (b, a))
                    ),
                )
    yield from values_taken(r, known)


def values_taken(r: Reading, known: Mapping[Key, Any]) -> Iterator[Mistake]:
    """Two values of one step, and their gradients or themselves exchanged."""
    named = [
        key
        for key, nodes in r.way.sites.items()
        if nodes[-1] not in r.inside
        and nodes[-1].parents
        and nodes[-1].shape
        and nodes[-1] in r.way.values
        and (key in known or nodes[-1].name in ("getitem", "matmul") or r.way.site(nodes[-1]).name)
    ]
    for one, other in itertools.combinations(named[:30], 2):
        first, second = r.way.sites[one], r.way.sites[other]
        both_known = one in known and other in known
        if len(first) != len(second) or first[-1].shape != second[-1].shape:
            continue
        if r.way.step.get(first[-1]) != r.way.step.get(second[-1]):
            continue
        pairs = list(zip(first, second, strict=True))
        if r.way.reach[first[-1]] != r.way.reach[second[-1]] or both_known:
            yield exchange(
                r,
                ("post", one, other),
                first[-1],
                second[-1],
                "the gradients of {} and {} are exchanged",
                lambda pairs=pairs: users_exchanged(r, pairs),
            )
        if both_known or first[-1].name == second[-1].name == "getitem":
            for slopes in (True, False):
                yield exchange(
                    r,
                    ("values", slopes, one, other),
                    first[-1],
                    second[-1],
                    "the values of {} and {} are exchanged on the way back"
                    + ("" if slopes else ", but for their own derivatives"),
                    lambda pairs=pairs, slopes=slopes: values_exchanged(r, pairs, slopes),
                )


def exchange(r: Reading, key: Key, one: Node, other: Node, text: str, change: Any) -> Mistake:
    """Two values exchanged; the text has a place for each name."""
    names = [r.label(one), r.label(other)]
    return Mistake(
        key,
        f"exchanged: {names[0].replace('`', '')} and {names[1].replace('`', '')}",
        text.format(*names) + f": they are those of {r.place(one)} and {r.place(other)}",
        r.shown(one).where,
        change,
    )


def users_exchanged(r: Reading, pairs: list[tuple[Node, Node]]) -> Change | None:
    """What comes back to each of two values goes to the other."""
    moved = {}
    for a, b in pairs:
        for source, target in ((a, b), (b, a)):
            for user, i in r.way.users[source]:
                if type(user.vjps) is not tuple:
                    return None
                moved[user, i] = (user, target)
    return Change({}, moved)


def values_exchanged(r: Reading, pairs: list[tuple[Node, Node]], slopes: bool) -> Change | None:
    """Each of two values is taken where the other belongs: in products, in 1 - value, and in their derivatives."""
    edges: dict[Edge, Back] = {}
    changes: list[Change | None] = []
    for a, b in pairs:
        for mine, theirs in ((a, b), (b, a)):
            x = r.way.values[theirs]
            replaced = {mine: x}
            for user, i in r.way.users[mine]:
                if user.name == "subtract" and i == 1 and user.parents[0] is None:
                    replaced[user] = r.way.operand(user, 0) - x
            for source, value in replaced.items():
                for user, i in r.way.users[source]:
                    if user.name == "multiply" and user.parents[1 - i] is not None:
                        edges[user, 1 - i] = r.way.with_operand(user, i, value)[1 - i]
            function = r.known.get(mine)
            if slopes and function is not None:
                factor = r.slope_at_output(function, x)
                changes.append(None if factor is None else function.sends(factor))
        fused = r.known.get(a.parents[0]) if a.parents[0] is b.parents[0] and a.parents[0] else None
        if slopes and fused is not None and a.name == b.name == "getitem":
            y = np.array(r.way.values[fused.y])
            one, other = a.replay[2]["index"], b.replay[2]["index"]
            y[one], y[other] = y[other].copy(), y[one].copy()
            factor = r.slope_at_output(fused, y)
            changes.append(None if factor is None else fused.sends(factor))
    return together([Change(edges), *changes])


def anothers(r: Reading) -> Iterator[Mistake]:
    """An edge that is fed with the gradient of another value of the same step."""
    by_shape: dict[Any, list[Key]] = defaultdict(list)
    for key, nodes in r.way.sites.items():
        if nodes[-1] not in r.inside and type(nodes[-1].vjps) is tuple:
            by_shape[nodes[-1].shape].append(key)
    for key, place, edges in r.edges_by_site():
        node = edges[-1][0]
        if node in r.inside or node.name not in ("matmul", "einsum", "multiply", "concatenate"):
            continue
        if r.to_parameter(node, place):
            continue
        for other in by_shape[node.shape]:
            source = r.at.get((other, r.way.step.get(node)))
            if other == key or source is None or not source.parents or len(r.way.reach[source]) < 2:
                continue

            def change(edges: Any = edges, other: Any = other) -> Change | None:
                moved = {}
                for n, i in edges:
                    source = r.at.get((other, r.way.step.get(n)))
                    if source is None or type(source.vjps) is not tuple:
                        return None
                    moved[n, i] = (source, n.parents[i])
                return Change({}, moved)

            function = r.known.get(source)
            skipped = function if function is not None and r.leads_to(function.x, node) else None
            yield Mistake(
                ("another", key, place, other),
                f"derivative of {skipped.kind} missing on one path"
                if skipped
                else f"gradient of {r.label(source).replace('`', '')} in place of another",
                f"the gradient through {r.place(node)} to {r.label(node.parents[place])} is made of the gradient "
                f"of {r.label(source)}, made at {r.place(source)}"
                + (f": the derivative of {skipped.kind} is missing there" if skipped else ""),
                r.way.site(node).where,
                change,
            )
