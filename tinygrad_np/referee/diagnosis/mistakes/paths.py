"""Paths that are missing on the way back: from the next step, through one expression, at some steps."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np

from tinygrad_np.referee.diagnosis.mistakes.mistake import Mistake, after, cut
from tinygrad_np.referee.diagnosis.mistakes.reading import Reading
from tinygrad_np.referee.diagnosis.wayback import Back, Change, Edge, Key
from tinygrad_np.tape import Node


def next_step(r: Reading) -> Iterator[Mistake]:
    """What comes back to a state from the next step is missing, or a part of it."""
    every = [edge for edges in r.states.values() for edge in edges]
    states = list(state_groups(r))
    for key, made, edges in states:
        name = r.state(made)
        yield Mistake(
            ("next", key),
            f"d{name}_next missing",
            f"what comes back to {r.label(made)}, made at {r.place(made)}, from the next step is missing "
            f"(d{name}_next)",
            r.way.site(made).where,
            cut(edges),
        )
    if len(states) > 1:
        made = states[0][1]
        both = " and ".join(dict.fromkeys(f"d{r.state(made)}_next" for _, made, _ in states))
        yield Mistake(
            ("next",),
            f"{both} missing",
            f"nothing comes back from the next step: {both} are missing, so that only the last step is right",
            r.way.site(made).where,
            cut(every),
        )
    for n in range(1, r.way.steps - 1):
        rest = [e for e in every if r.way.step.get(e[0], 0) <= n]
        if rest:
            yield Mistake(
                ("truncated", r.way.steps - n),
                "way back through time truncated",
                f"only the last {r.way.steps - n} of {r.way.steps} steps are right, and nothing is handed "
                "on to the steps before",
                "",
                cut(rest),
            )
    for key, made, edges in states:
        by_user: dict[Key, list[Edge]] = defaultdict(list)
        for node, i in edges:
            by_user[(*r.way.key[node], i)].append((node, i))
        if len(by_user) < 2:
            continue
        name = r.state(made)
        for user, some in by_user.items():
            others = [e for e in edges if e not in some]
            yield Mistake(
                ("next but", key, user),
                f"a path of d{name}_next missing",
                f"of what comes back to {r.label(made)} from the next step, the path through "
                f"{r.place(some[0][0])} is missing (a part of d{name}_next)",
                r.way.site(some[0][0]).where,
                cut(some),
            )
            if len(by_user) > 2:
                yield Mistake(
                    ("next only", key, user),
                    f"d{name}_next assigned instead of added up (= for +=)",
                    f"of what comes back to {r.label(made)} from the next step, only the path through "
                    f"{r.place(some[0][0])} is there (= for +=), and the others are missing",
                    r.way.site(some[0][0]).where,
                    cut(others),
                )
    for key, made, edges in states:
        of_node: dict[Node, list[Edge]] = defaultdict(list)
        for edge in edges:
            of_node[r.way.carried[edge]].append(edge)
        for which, chosen in (("last", max), ("first", min)):
            kept = {chosen(used, key=lambda edge: edge[0].number) for used in of_node.values()}
            if len(kept) < len(edges):
                yield Mistake(
                    ("next assigned", key, which),
                    f"d{r.state(made)}_next assigned instead of added up (= for +=)",
                    f"of what comes back to {r.label(made)} from the next step, only what goes through its {which} "
                    "use is there (= for +=)",
                    r.way.site(made).where,
                    cut(edge for edge in edges if edge not in kept),
                )
    for key, edges in r.sums.items():
        made = r.first_of(key)
        yield Mistake(
            ("sum", key),
            "terms of the earlier steps missing",
            f"only the last term of the sum {r.place(made)} over the steps sends a gradient back",
            r.way.site(made).where,
            cut(edges),
        )


def state_groups(r: Reading) -> Iterator[tuple[Key, Node, list[Edge]]]:
    """Every state with the node of its first step and its edges; of the units of a list first all together."""
    families: dict[Key, list[Key]] = defaultdict(list)
    for key in r.states:
        families[key[:-1]].append(key)
    for family, keys in families.items():
        if len(keys) > 1:
            yield (*family, "all"), r.first_of(keys[0]), [edge for key in keys for edge in r.states[key]]
        if len(keys) <= 4:
            for key in keys:
                yield key, r.first_of(key), r.states[key]


def dropped(r: Reading) -> Iterator[Mistake]:
    """A path is missing, at all steps."""
    for key, place, edges in r.edges_by_site():
        node = edges[-1][0]
        if node in r.inside:
            continue
        r.label(node.parents[place])
        yield Mistake(
            ("drop", key, place),
            "a path missing",
            f"{r.through(node, place)} is missing",
            r.way.site(node).where,
            cut(edges),
        )
    for key, place, edges in r.edges_by_site():
        parent = edges[-1][0].parents[place]
        if parent is None or parent.name != "concatenate" or parent.replay[2]["axis"] is None:
            continue
        for piece in range(len(parent.parents)):
            if parent.parents[piece] is not None:
                node = edges[-1][0]
                part = r.operand_label(parent, piece)
                if part == r.label(parent):
                    part = r.label(parent.parents[piece])
                yield Mistake(
                    ("drop part", key, place, piece),
                    "a path missing",
                    f"the gradient through {r.place(node)} to {part}, a part of {r.label(parent)}, is missing",
                    r.way.site(node).where,
                    lambda edges=edges, piece=piece: without_part(r, edges, piece),
                )
    for key, edges in bundles(r):
        by_user: dict[Key, list[Edge]] = defaultdict(list)
        for node, place in edges:
            by_user[(*r.way.key[node], place)].append((node, place))
        node, place = edges[-1]
        target = r.label(node.parents[place])
        yield Mistake(
            ("drop all", key),
            "a path missing",
            f"the gradient of {target} is missing in all the places that use it, as {r.place(node)}",
            r.way.site(node).where,
            cut(edges),
        )
        for user, kept in by_user.items() if 2 < len(by_user) < 6 else ():
            yield Mistake(
                ("drop all but", key, user),
                "paths missing but one",
                f"of the gradient of {target} only the path through {r.place(kept[0][0])} is there: what else is "
                "made of it is taken for a constant, and those paths are missing",
                r.way.site(kept[0][0]).where,
                cut(edge for edge in edges if edge not in kept),
            )


def without_part(r: Reading, edges: list[Edge], piece: int) -> Change:
    """Edges to joined values that send nothing back to one of them."""
    changed: dict[Edge, Back] = {}
    for node, place in edges:
        joined = node.parents[place]
        if joined is None or joined.name != "concatenate":
            continue
        axis = joined.replay[2]["axis"]
        lengths = [np.shape(r.way.operand(joined, i))[axis] for i in range(len(joined.parents))]
        index: list[Any] = [slice(None)] * len(joined.shape)
        index[axis] = slice(sum(lengths[:piece]), sum(lengths[: piece + 1]))

        def zeroed(g: np.ndarray, index: tuple[Any, ...] = tuple(index)) -> np.ndarray:
            g = np.array(g)
            g[index] = 0
            return g

        changed[node, place] = after(node.vjps[place], zeroed, joined)
    return Change(changed)


def bundles(r: Reading) -> Iterator[tuple[Key, list[Edge]]]:
    """All edges to one site, of those with several users."""
    by_parent: dict[Key, list[Edge]] = defaultdict(list)
    for node in r.way.nodes[::-1]:
        if type(node.vjps) is not tuple or node in r.inside:
            continue
        for i, parent in enumerate(node.parents):
            if parent is not None and parent.parents:
                by_parent[r.way.key[parent]].append((node, i))
    for key, edges in by_parent.items():
        if len({(r.way.key[n], i) for n, i in edges}) > 1:
            yield key, edges


def steps_left_out(r: Reading) -> Iterator[Mistake]:
    """The loop back does not come to the first step, or begins after the last."""
    for step, which in ((0, "first"), (r.way.steps - 1, "last")):
        edges = [
            (n, i)
            for n in r.way.nodes
            if r.way.step.get(n) == step
            for i, p in enumerate(n.parents)
            if p is not None and p not in r.way.step
        ]
        if edges and r.way.steps > 1:
            yield Mistake(
                ("left out", which),
                f"{which} step left out",
                f"the {which} step is left out: the loop back does not come to it, and no parameter gets its term",
                "",
                cut(edges),
            )
    last = r.way.steps - 1
    backs = [
        (n, i)
        for (n, i) in r.way.carried
        if r.way.step.get(n) == last and r.way.key[r.way.carried[n, i]] in r.states
    ]
    if backs and r.way.steps > 1:
        moved = {}
        for n, i in backs:
            producer = r.way.carried[n, i]
            here = r.at.get((r.way.key[producer], last))
            if here is not None:
                for user, j in r.way.users[here]:
                    if (user, j) not in r.way.carried:
                        moved[user, j] = (user, producer)
        if moved:
            yield Mistake(
                ("left out", "last, and its gradient handed on"),
                "last step left out",
                "the last step is left out, and what comes from the loss goes to the step before it",
                "",
                lambda: Change(dict.fromkeys(backs), moved),
            )


def some_steps(r: Reading) -> Iterator[Mistake]:
    """A path that is there at one step alone, where there should be one at each."""
    series: list[tuple[Key, list[tuple[int, Edge]]]] = []
    for key, place, edges in r.edges_by_site():
        node = edges[-1][0]
        parent = node.parents[place]
        if node in r.way.step and node not in r.inside and parent is not None and parent.parents:
            series.append(((key, place), [(r.way.step[n], (n, i)) for n, i in edges if n in r.way.step]))
    by_parent: dict[Key, list[tuple[int, Edge]]] = defaultdict(list)
    for node in r.way.nodes:
        for i, parent in enumerate(node.parents):
            if parent in r.way.step and node not in r.way.step and type(node.vjps) is tuple:
                by_parent[r.way.key[parent]].append((r.way.step[parent], (node, i)))
    series += by_parent.items()
    for key, found in series:
        steps = sorted({step for step, _ in found})
        if len(steps) < 2:
            continue
        for step, which in ((steps[-1], "last"), (steps[0], "first")):
            node, place = found[-1][1]
            yield Mistake(
                ("some steps", key, which),
                f"a path missing but at the {which} step",
                f"{r.through(node, place)} is that of the {which} step alone, and is missing at the others",
                r.way.site(node).where,
                cut([edge for at, edge in found if at != step]),
            )
            yield Mistake(
                ("some steps", key, "not", which),
                f"a path missing at the {which} step",
                f"{r.through(node, place)} is missing at the {which} step",
                r.way.site(node).where,
                cut([edge for at, edge in found if at == step]),
            )


def pairs_dropped(r: Reading) -> Iterator[Mistake]:
    """Two paths of one function missing, as where the statistics of a norm are taken for constants."""
    functions: dict[Any, list[tuple[Key, int, list[Edge]]]] = defaultdict(list)
    for key, place, edges in r.edges_by_site():
        node = edges[-1][0]
        if node not in r.inside and not r.to_parameter(node, place) and r.way.stack[node]:
            helper = key[-1] == "helper"
            functions[r.way.stack[node][-1][0], helper].append((key, place, edges))
    for single in functions.values():
        if len(single) > 16:  # too many to try
            continue
        for one, other in itertools.combinations(single, 2):
            nodes = [one[2][-1], other[2][-1]]
            paths = " and ".join(r.through(n, i) for n, i in nodes)
            yield Mistake(
                ("drop two", one[:2], other[:2]),
                "two paths missing",
                f"{paths} are missing: what is made there is taken for a constant",
                r.way.site(nodes[0][0]).where,
                cut([*one[2], *other[2]]),
            )
