"""Wrong operands in the products of the way back: of another step, another value, or none."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np

from tinygrad_np.referee.diagnosis.mistakes.mistake import Mistake
from tinygrad_np.referee.diagnosis.mistakes.reading import Reading
from tinygrad_np.referee.diagnosis.wayback import Edge, Key, together
from tinygrad_np.tape import Node


def one_step_off(r: Reading) -> Iterator[Mistake]:
    """An operand is that of another step."""
    bundles: dict[Any, list[tuple[int, list[Edge]]]] = defaultdict(list)
    for key, place, other, edges in r.products():
        node = edges[-1][0]
        if node not in r.way.step:
            continue
        parent = node.parents[other]
        to = r.label(node.parents[place])
        carried = (node, other) in r.way.carried
        if parent is not None and parent.parents:
            bundles[r.way.key[parent], r.to_parameter(node, place)].append((other, edges))
        for by, end in r.ends(node, other):
            if carried:
                text = (
                    f"takes the {r.label(parent)} of its own step where that of the previous step belongs"
                    if by > 0
                    else f"takes the {r.label(parent)} of two steps before where that of one step before belongs"
                )
            else:
                text = (
                    f"takes {r.operand_label(node, other)} of the {'previous' if by < 0 else 'next'} step where "
                    "that of its own step belongs"
                )
            yield Mistake(
                ("step", key, place, other, by, end),
                f"{r.operand_label(node, other).replace('`', '')} one step off",
                f"the gradient through {r.place(node)} to {to} {text} (one step off)",
                r.way.site(node).where,
                lambda edges=edges, other=other, by=by, end=end: r.operand_changes(
                    edges, other, lambda n: r.shifted(n, other, by, end)
                ),
            )
        for join, piece in r.parts_of(node, other):
            joined = r.at.get((join, r.way.step.get(node)))
            if joined is None:
                continue
            bundles["part", join, piece, r.to_parameter(node, place)].append((other, edges))
            yield from pieces_off(r, ("piece", key, place), [(other, edges)], joined, piece)
    for bundle, members in bundles.items():
        if len(members) < 2:
            continue
        node = members[-1][1][-1][0]
        parent = node.parents[members[-1][0]]
        if bundle[0] == "part":
            if parent is not None:
                yield from pieces_off(r, ("pieces", bundle), members, parent, bundle[2])
            continue
        carried = (node, members[-1][0]) in r.way.carried
        for by, end in r.ends(node, members[-1][0]):
            which = (
                ("of its own step where that of the previous step belongs")
                if carried and by > 0
                else f"of the {'previous' if by < 0 else 'next'} step where the right one is one step off"
            )
            yield Mistake(
                ("steps", bundle, by, end),
                f"{r.label(parent).replace('`', '')} one step off",
                f"all products with {r.label(parent)}, as {r.place(node)}, take that {which} (one step off)",
                r.way.site(node).where,
                lambda members=members, by=by, end=end: together(
                    [
                        r.operand_changes(edges, other, lambda n, o=other: r.shifted(n, o, by, end))
                        for other, edges in members
                    ]
                ),
            )


def pieces_off(
    r: Reading, key: Key, members: list[tuple[int, list[Edge]]], joined: Node, piece: int
) -> Iterator[Mistake]:
    """One part of a joined operand is that of another step."""
    parent = joined.parents[piece]
    node = members[-1][1][-1][0]
    carried = (joined, piece) in r.way.carried
    for by, end in r.ends(joined, piece):
        label = r.label(parent) if parent is not None else "the input"
        belongs = "previous" if carried else "same"
        taken = "its own" if carried and by > 0 else "the next" if by > 0 else "an earlier"
        yield Mistake(
            (*key, piece, by, end),
            f"{label.replace('`', '')} one step off",
            f"the gradient through {r.place(node)} to {r.label(node.parents[0])} takes the {label} of "
            f"{taken} step where that of the {belongs} step belongs (one step off)",
            r.way.site(node).where,
            lambda by=by, end=end: together(
                [
                    r.operand_changes(
                        edges, other, lambda n, o=other: r.joined_with_shift(n, o, piece, by, end)
                    )
                    for other, edges in members
                ]
            ),
        )


def product_factors(r: Reading) -> Iterator[Mistake]:
    """A factor is missing, or is there twice, or is 1 minus what it should be."""
    for key, place, other, edges in r.products():
        node = edges[-1][0]
        to, right = r.label(node.parents[place]), r.operand_label(node, other)
        where = r.way.site(node).where
        if node.name in ("multiply", "divide"):
            for name, text, factor in (
                (
                    f"factor {right.replace('`', '')} missing",
                    f"has no factor {right}",
                    lambda x: np.ones_like(x),
                ),
                (
                    f"factor {right.replace('`', '')} taken twice",
                    f"has the factor {right} twice",
                    lambda x: x * x,
                ),
                (
                    f"wrong operand: 1 - {right.replace('`', '')}",
                    f"has the factor 1 - {right} where {right} belongs",
                    lambda x: 1 - x,
                ),
            ):
                yield Mistake(
                    ("factor", key, place, other, text[:12]),
                    name,
                    f"the gradient through {r.place(node)} to {to} {text}",
                    where,
                    lambda edges=edges, other=other, factor=factor: r.operand_changes(
                        edges, other, lambda n: factor(r.way.operand(n, other))
                    ),
                )


def wrong_operand(r: Reading) -> Iterator[Mistake]:
    """An operand is another value of the same step."""
    for key, place, other, edges in r.products():
        node = edges[-1][0]
        to, right = r.label(node.parents[place]), r.operand_label(node, other)
        where = r.way.site(node).where
        shape = r.way.operand(node, other).shape
        if not shape:
            continue
        parent = node.parents[other]
        for candidate, label, series, _ in r.series:
            sample = series.get(r.way.step.get(node))
            if sample is None or sample.shape != shape or label == right:
                continue
            if parent is not None and candidate == r.way.key[parent] and (node, other) not in r.way.carried:
                continue
            yield Mistake(
                ("operand", key, place, other, candidate),
                f"wrong operand: {label.replace('`', '')} for {right.replace('`', '')}",
                f"the gradient through {r.place(node)} to {to} takes {label} as its operand where {right} belongs",
                where,
                lambda edges=edges, other=other, series=series: r.operand_changes(
                    edges, other, lambda n: series.get(r.way.step.get(n))
                ),
            )
