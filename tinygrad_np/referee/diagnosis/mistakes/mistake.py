"""A mistake as a change of the way back, and the plainest changes: nothing comes back, or times a factor."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_np.backward import DeferredMatmul, SparseGrad
from tinygrad_np.referee.diagnosis.wayback import Back, Change, Edge, Key, dense
from tinygrad_np.tape import Node


@dataclass(frozen=True)
class Mistake:
    """A mistake that can be made in a graph.

    Attributes
    ----------
    key : tuple
        What it is known by in other cases of the same source.
    name, text : str
        A short name, and one sentence with the user's own expression.
    where : str
        The line of that expression.
    change : callable
        What it does to the way back; None where it cannot be made.
    """

    key: Key
    name: str
    text: str
    where: str
    change: Callable[..., Change | None]


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


def swapped(x: np.ndarray) -> np.ndarray | None:
    """A square matrix, or a batch of them, transposed; None of anything else."""
    return np.swapaxes(x, -1, -2) if x.ndim > 1 and x.shape[-1] == x.shape[-2] else None


def square(g: np.ndarray) -> np.ndarray:
    """The same where it can be done; what has another shape stays as it is."""
    turned = swapped(g)
    return g if turned is None else turned
