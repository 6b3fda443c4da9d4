"""Transpositions, signs and factors of single terms."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from tinygrad_np.referee.diagnosis.mistakes.mistake import Mistake, after, scaled, square, swapped
from tinygrad_np.referee.diagnosis.mistakes.reading import Reading
from tinygrad_np.referee.diagnosis.wayback import Back, Change, Edge, Key, together
from tinygrad_np.tape import Node


def matrices(r: Reading) -> Iterator[Mistake]:
    """A matrix, or what comes back, is not transposed or not put back into order."""
    every: dict[Any, list[tuple[Key, int, list[Edge]]]] = defaultdict(list)
    for key, place, edges in r.edges_by_site():
        node = edges[-1][0]
        parent = node.parents[place]
        assert parent is not None
        if node.name == "transpose":
            yield Mistake(
                ("not transposed back", key),
                "not transposed back",
                f"the gradient of {r.place(node)} is not transposed back",
                r.way.site(node).where,
                lambda edges=edges: Change({(n, i): reshaped(n, i) for n, i in edges}),
            )
        if node.name == "getitem" and node.shape == parent.shape:
            yield Mistake(
                ("not turned back", key),
                "order not turned back",
                f"the gradient of {r.place(node)} is not put back into the order of {r.label(parent)} (not "
                "reversed)",
                r.way.site(node).where,
                lambda edges=edges: Change(dict.fromkeys(edges, lambda g: g)),
            )
        if node.name not in ("matmul", "einsum"):
            continue
        if not r.to_parameter(node, place):
            every["all", place].append((key, place, edges))
            if edges[-1] in r.way.carried:  # all matrices of a state
                every["carried", place, r.way.key.get(parent)].append((key, place, edges))
            every["to", r.way.key.get(parent), parent.name].append((key, place, edges))
        yield from transpositions(r, (key, place), [(key, place, edges)])
    for bundle, members in every.items():
        several = [(key, i, edges) for key, i, edges in members if can_turn(r, *edges[-1])]
        if len(several) > 1:
            yield from transpositions(r, bundle, several)


def can_turn(r: Reading, node: Node, place: int) -> bool:
    """Whether the matrix that what comes back is multiplied with is a square one."""
    return len(node.parents) == 2 and swapped(r.way.operand(node, 1 - place)) is not None


def reshaped(node: Node, place: int) -> Back:
    """What comes back in the shape of an argument, with the elements in the order in which they are."""
    parent = node.parents[place]
    return lambda g: g.reshape(parent.shape) if parent is not None else g


def transpositions(r: Reading, key: Key, members: list[tuple[Key, int, list[Edge]]]) -> Iterator[Mistake]:
    """The three ways to get a transposition wrong, in some products at once."""
    node, place = members[-1][2][-1]
    parent = node.parents[place]
    others = [i for i in range(len(node.parents)) if i != place]
    matrix = r.operand_label(node, others[0]) if others else "the matrix"
    where, to = r.way.site(node).where, r.label(parent)
    several = "each of " if len(members) > 1 else ""

    def operand() -> Change | None:
        return together(
            r.operand_changes(edges, 1 - i, lambda n, i=i: swapped(r.way.operand(n, 1 - i)))
            for _, i, edges in members
        )

    yield Mistake(
        ("transpose", "operand", *key),
        f"{matrix.replace('`', '')} not transposed",
        f"the gradient through {several}{r.place(node)} to {to} is multiplied with {matrix} that is not "
        "transposed, or is transposed where it should not be",
        where,
        operand,
    )
    yield Mistake(
        ("transpose", "g", *key),
        "gradient not transposed",
        f"the gradient through {several}{r.place(node)} to {to} takes the gradient of the product not "
        "transposed where it should be, or the other way round",
        where,
        lambda: Change(
            {(n, i): lambda g, back=n.vjps[i]: back(square(g)) for _, _, edges in members for n, i in edges}
        ),
    )
    yield Mistake(
        ("transpose", "result", *key),
        "product transposed",
        f"the gradient through {several}{r.place(node)} to {to} is the transpose of what it should be: the order "
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


def signs(r: Reading) -> Iterator[Mistake]:
    """The sign of one term."""
    for key, place, edges in r.edges_by_site():
        node = edges[-1][0]
        if node not in r.inside:
            yield Mistake(
                ("sign", key, place),
                "sign of one term",
                f"{r.through(node, place)} has the wrong sign",
                r.way.site(node).where,
                scaled(edges, -1),
            )


def factors(r: Reading) -> Iterator[Mistake]:
    """One term times a factor that has to do with the sizes."""
    known = {2.0: "2", 0.5: "0.5"}
    sizes = {name: n for name, n in [*r.sizes.items(), ("the number of steps", r.way.steps)] if n > 1}
    for name, n in sizes.items():
        for value, text in (
            (n, name),
            (1 / n, f"1 / {name}"),
            (n**0.5, f"sqrt({name})"),
            (n**-0.5, f"1 / sqrt({name})"),
        ):
            known.setdefault(float(value), text)
    for factor, text in known.items():
        for key, place, edges in r.edges_by_site():
            node = edges[-1][0]
            if node in r.inside or r.to_parameter(node, place):
                continue
            twice = factor == 2
            r.label(node.parents[place])
            yield Mistake(
                ("factor", text, key, place),
                "counted twice" if twice else f"factor {text}",
                f"{r.through(node, place)} is "
                + (
                    "counted twice (a factor 2)"
                    if twice
                    else f"{factor:.6g} times what it should be (a factor {text})"
                ),
                r.way.site(node).where,
                scaled(edges, factor),
            )
