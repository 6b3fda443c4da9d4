"""The way back as one short loop: what `backward.backward_pass` does, before every refinement that makes it fast.

It wants rules that send back whole arrays: no gradient of a slice as a `SparseGrad`, no product put off as a
`DeferredMatmul`. What these two bring is measured by ``python -m benchmarks refinements``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_np.backward import toposort, unbroadcast
from tinygrad_np.tape import Node


def plain_backward_pass(root: Node, g: np.ndarray) -> dict[Node, Any]:
    """Send gradient `g` of `root` back through its graph; return the gradient of every node."""
    gradients: dict[Node, Any] = {root: g}
    for node in toposort(root):  # from the last made to the first
        g = gradients[node]
        if isinstance(node.vjps, int):  # an output of several: its place in the list that the op's vjp takes
            op: Any = node.parents[0]
            gradients.setdefault(op, [None] * op.shape[0])[node.vjps] = g
            continue
        parts = node.vjps(g) if callable(node.vjps) else [vjp and vjp(g) for vjp in node.vjps]
        for parent, part in zip(node.parents, parts, strict=True):
            if parent is not None and part is not None:  # else an argument that has or needs no gradient
                if part.shape != parent.shape:
                    part = unbroadcast(part, parent.shape)
                gradients[parent] = gradients[parent] + part if parent in gradients else part
    return gradients
