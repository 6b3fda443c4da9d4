"""The graph of a result as a drawing: each op with the shape of what it made, from the leaves down to the result.

The text is in Graphviz's language, DOT. Where the ``graphviz`` package and its program ``dot`` are installed (extra
``graph``) a notebook shows the drawing itself.
"""

from __future__ import annotations

from collections.abc import Mapping

from tinygrad_np.backward import toposort
from tinygrad_np.extras import import_optional
from tinygrad_np.nn.layer import NamedTensors
from tinygrad_np.tape import Node
from tinygrad_np.tensor import Tensor

STYLE = """  rankdir=TB; ranksep=0.25; nodesep=0.15;
  node [fontname="Helvetica", fontsize=10, height=0.3, margin="0.08,0.03", style=filled, fillcolor=white];
  edge [arrowsize=0.5];"""


class Graph:
    """A drawing: ``str(graph)`` is its DOT text, `svg` its picture, which notebooks show by themselves."""

    def __init__(self, dot: str):
        self.dot = dot

    def __str__(self) -> str:
        return self.dot

    __repr__ = __str__

    def svg(self) -> str:
        """The picture as SVG text.

        Raises
        ------
        ModuleNotFoundError
            The ``graphviz`` package is not installed.
        RuntimeError
            Graphviz's program ``dot`` is not installed.
        """
        graphviz = import_optional("graphviz")
        try:
            picture: str = graphviz.Source(self.dot).pipe(format="svg", encoding="utf-8")
        except graphviz.ExecutableNotFound as error:
            raise RuntimeError(
                "the drawing needs Graphviz's program dot, which is not installed: it comes with the system's "
                "package graphviz; str(graph) is the text that it draws"
            ) from error
        return picture

    def _repr_svg_(self) -> str | None:
        """What a notebook shows; where it cannot be drawn, None, and the notebook shows the text."""
        try:
            return self.svg()
        except (ModuleNotFoundError, RuntimeError):
            return None


def graph(result: Tensor, names: NamedTensors | Mapping[str, Tensor] | None = None) -> Graph:
    """The graph that `backward` would go through, as a drawing.

    Parameters
    ----------
    result : Tensor
        What was computed. Constants, which get no gradient, are not drawn.
    names : NamedTensors or mapping of str to Tensor, optional
        What to call Tensors that are among its nodes: ``layer.named_parameters()``.

    Raises
    ------
    ValueError
        The result has no graph: it does not depend on a Tensor that requires a gradient.
    """
    if result.node is None:
        raise ValueError(
            "graph: this Tensor does not depend on one that requires a gradient: there is no graph"
        )
    named = {tensor.node: name for name, tensor in dict((names or {}).items()).items()}
    lines = []
    for node in reversed(toposort(result.node)):
        if node.vjps is None:
            raise ValueError(
                "graph: it was freed by backward(); draw it before, or keep it with retain_graph=True"
            )
        if type(node.vjps) is not int:  # an output of several is drawn as its op
            lines.append(f"  n{node.number} [{_look(node, named.get(node))}];")
            lines += [
                f"  n{_drawn(parent)} -> n{node.number};" for parent in node.parents if parent is not None
            ]
    return Graph("\n".join(["digraph {", STYLE, *lines, "}"]) + "\n")


def _drawn(node: Node) -> int:
    """The number of the box of a node."""
    op = node.parents[0] if type(node.vjps) is int else node
    return op.number if op is not None else node.number


def _look(node: Node, name: str | None) -> str:
    """Label and form: leaves are boxes, ops are ellipses."""
    shape = "" if node.dtype is None else f" {list(node.shape)}"  # an op with several outputs has none
    if node.vjps == ():
        return f'label="{_quoted(name or "leaf")}{shape}", shape=box, fillcolor="#dce9f5"'
    known = f"{_quoted(name)} = " if name else ""
    return f'label="{known}{node.name}{shape}"'


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
