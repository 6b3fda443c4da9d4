"""Mistakes in the gradient of a parameter alone: what comes back is right, and is used in the wrong way.

They do not disturb one another, so each is made at all parameters at once, to see which of them it explains.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tinygrad_np.referee.diagnosis.mistakes.mistake import Mistake, after, cut, square
from tinygrad_np.referee.diagnosis.mistakes.reading import PRODUCTS, Reading
from tinygrad_np.referee.diagnosis.wayback import Back, Change, Edge
from tinygrad_np.tape import Node

NAMES = "{}"  # in a text: the parameters that a mistake explains


def own_mistakes(r: Reading, above: Change | None = None) -> Iterator[Mistake]:
    """All of them; `above` is what is wrong on the way back besides."""
    yield from terms(r)
    yield from operands(r)
    yield from fed(r, above)
    yield from turned(r)
    yield from batch(r)
    yield gathered(r)


def terms(r: Reading) -> Iterator[Mistake]:
    """The term of one step alone, or all but one."""
    steps = sorted({r.way.step[n] for n, _ in r.own if n in r.way.step})
    if len(steps) < 2:
        return
    for number, s in enumerate(steps):
        which = {0: "the first step", len(steps) - 1: "the last step"}.get(number, f"step {s + 1}")
        yield Mistake(
            ("only", "last" if number == len(steps) - 1 else number),
            f"{which} alone: = for +=",
            f"the gradient of {NAMES} is assigned instead of added up over time (= for +=): it has the term of "
            f"{which} alone",
            "",
            cut((n, i) for n, i in r.own if r.way.step.get(n, s) != s),
        )
        yield Mistake(
            ("without", "last" if number == len(steps) - 1 else number),
            f"{which} left out",
            f"the gradient of {NAMES} lacks the term of {which}",
            "",
            cut((n, i) for n, i in r.own if r.way.step.get(n) == s),
        )


def operands(r: Reading) -> Iterator[Mistake]:
    """The operand that what comes back is multiplied with is another one."""
    products = [
        (n, i, j)
        for n, i in r.own
        if n.name in PRODUCTS and n.replay
        for j in range(len(n.parents))
        if j != i
    ]

    def taken(values: Callable[[Node, int], Any]) -> Change | None:
        edges: dict[Edge, Back] = {}
        for n, i, j in products:
            x = values(n, j)
            if x is not None and np.shape(x) == r.way.operand(n, j).shape:
                edges[n, i] = r.way.with_operand(n, j, x)[i]
        return Change(edges) if edges else None

    for by, end in itertools.product((1, -1), ("zero", "wrap")):
        text = "of the step before that whose operand belongs there"
        if by > 0:
            text = "of the next step: a state is taken as it is after its step where that before it belongs"
        yield Mistake(
            ("step", by, end),
            "operand one step off",
            f"the gradient of {NAMES} takes the operand {text} (one step off)",
            "",
            lambda by=by, end=end: taken(lambda n, j: r.shifted(n, j, by, end)),
        )
        for piece in range(3):
            yield Mistake(
                ("piece", piece, by, end),
                "part of a joined operand one step off",
                f"the gradient of {NAMES} takes one part of its joined operand {text} (one step off)",
                "",
                lambda by=by, end=end, piece=piece: taken(
                    lambda n, j: r.joined_with_shift(n, j, piece, by, end)
                ),
            )
    yield Mistake(
        ("ones",),
        "operand missing",
        f"the gradient of {NAMES} is that of a bias: its operand is missing",
        "",
        lambda: taken(lambda n, j: np.ones_like(r.way.operand(n, j))),
    )
    yield Mistake(
        ("order",),
        "joined operands swapped",
        f"the gradient of {NAMES} takes the parts of its joined operand in the wrong order: they are exchanged",
        "",
        lambda: taken(r.joined_in_other_order),
    )
    for key, label, series, _ in r.series:
        yield Mistake(
            ("operand", key),
            f"wrong operand: {label.replace('`', '')}",
            f"the gradient of {NAMES} takes {label} as its operand, where another belongs",
            "",
            lambda series=series: taken(lambda n, j: series.get(r.way.step.get(n))),
        )


def fed(r: Reading, above: Change | None) -> Iterator[Mistake]:
    """What comes back is that of another value, such as a state for its sum before the activation."""
    arriving: dict[Node, Any] = {}

    def change(key: Any) -> Change | None:
        if not arriving:
            arriving.update(r.way.arriving(above))
        edges: dict[Edge, Back] = {}
        for n, i in r.own:
            source = r.at.get((key, r.way.step.get(n)))
            if source is None or source is n or source.shape != n.shape:
                continue
            if isinstance(arriving.get(source), np.ndarray):
                edges[n, i] = lambda _, back=n.vjps[i], g=arriving[source]: back(g)
        return Change(edges) if edges else None

    for key, nodes in r.way.sites.items():
        made = nodes[-1]
        if not any(made.shape == n.shape for n, _ in r.own):
            continue
        function = r.known.get(made)
        skipped = ""
        if function is not None and any(r.leads_to(function.x, n) for n, _ in r.own):
            skipped = f": the derivative of {function.kind} is missing there"
        label = r.label(made)
        yield Mistake(
            ("fed", key),
            f"derivative of {function.kind} missing in one gradient"
            if function is not None and skipped
            else f"gradient of {label.replace('`', '')} in place of another",
            f"the gradient of {NAMES} is made of the gradient of {label}, made at {r.place(made)}, and not of that "
            f"of its own product{skipped}",
            r.way.site(made).where,
            lambda key=key: change(key),
        )


def turned(r: Reading) -> Iterator[Mistake]:
    """The transpose, or the other sign."""
    edges = [(n, i, p) for n, i in r.own if (p := n.parents[i]) is not None]
    for name, text, then in (
        ("transpose", "is the transpose of what it should be", square),
        ("sign", "has the wrong sign", np.negative),
    ):
        yield Mistake(
            (name,),
            name,
            f"the gradient of {NAMES} {text}",
            "",
            lambda then=then: Change({(n, i): after(n.vjps[i], then, p) for n, i, p in edges}),
        )
    yield Mistake(
        ("transpose of g",),
        "gradient not transposed",
        f"the gradient of {NAMES} takes the gradient of the product not transposed where it should be, or the "
        "other way round",
        "",
        lambda: Change({(n, i): through(n, i, square) for n, i, _ in edges}),
    )


def through(node: Node, place: int, first: Callable[[Any], Any]) -> Back:
    """An edge that is fed with a function of the gradient."""
    back = node.vjps[place]
    return lambda g: back(first(g))


def batch(r: Reading) -> Iterator[Mistake]:
    """A bias is not summed over the batch."""
    text = "is not summed over the batch, or over time: it is that of the {} sample or step alone"
    for which, name, what, pick in (
        ("first", "bias not summed over the batch", text.format("first"), first),
        ("last", "bias not summed over the batch", text.format("last"), last),
        ("mean", "bias averaged over the batch", "is averaged over the batch instead of summed", mean),
    ):
        yield Mistake(
            ("batch", which),
            name,
            f"the gradient of {NAMES} {what}",
            "",
            lambda pick=pick: Change(
                {
                    (n, i): through(n, i, pick)
                    for n, i in r.own
                    if n.name in ("add", "subtract")
                    and (p := n.parents[i]) is not None
                    and p.shape != n.shape
                    and n.shape[0] > 1
                }
            ),
        )


def first(g: Any) -> Any:
    return g[:1]


def last(g: Any) -> Any:
    return g[-1:]


def mean(g: Any) -> Any:
    return g.mean(axis=0, keepdims=True)


def gathered(r: Reading) -> Mistake:
    """Rows that were taken several times."""

    def change() -> Change | None:
        edges: dict[Edge, Back] = {}
        for n in r.way.nodes:
            table = n.parents[0] if n.name == "getitem" else None
            if table is not None and r.plain(table):
                edges[n, 0] = written(table.shape, n.replay[2]["index"])
        return Change(edges) if edges else None

    return Mistake(
        ("repeated",),
        "a repeated index counts once",
        f"the gradient of {NAMES} counts a repeated index once: `d[index] += g` keeps the last, and np.add.at adds "
        "up",
        "",
        change,
    )


def written(shape: tuple[int, ...], index: Any) -> Back:
    """What comes back to a table of which rows are taken, if it is written and not added there."""

    def back(g: Any) -> Any:
        buffer = np.zeros(shape)
        buffer[index] = g
        return buffer

    return back
