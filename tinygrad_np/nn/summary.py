"""The table that `Layer.summary` prints: what each layer of a model gives out, and what it weighs."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_np.grad_mode import no_grad
from tinygrad_np.tensor import Tensor

if TYPE_CHECKING:
    from tinygrad_np.nn.layer import Layer

HEAD = ("layer", "class", "output", "trained", "frozen", "weights", "output memory")


def summary(model: Layer, inputs: Sequence[Any]) -> str:
    """The text; see `Layer.summary`."""
    outputs = run(model, inputs)
    rows = []
    seen: set[Tensor] = set()
    totals = np.zeros(4, int)
    for name, layer in model.named_modules():
        own = {t: None for _, t in layer._own_tensors() if t not in seen}  # in order, and a tied one once
        seen |= own.keys()
        given = outputs.get(name, [])
        counts = [sum(t.size for t in own if t.requires_grad is trained) for trained in (True, False)]
        memory = [sum(t.data.nbytes for t in own), sum(map(memory_of, given))]
        totals += [*counts, memory[0], 0 if next(layer.children(), None) else memory[1]]
        shapes = shape_of(given[0]) if given else "not called"
        times = f", {len(given)} times" if len(given) > 1 else ""
        figures = [*(f"{n:,}" if n else "-" for n in counts), *(in_bytes(n) if n else "-" for n in memory)]
        rows.append((name, type(layer).__name__, shapes + times, *figures))
    figures = [*(f"{n:,}" for n in totals[:2]), *(in_bytes(n) for n in totals[2:])]
    return table([HEAD, *rows, ("all", "", "", *figures)])


def run(model: Layer, inputs: Sequence[Any]) -> dict[str, list[Any]]:
    """What each layer returned at each of its calls, by name, in evaluation.

    A copy of the model is called: training flags, running statistics and generators stay as they are. Its weights
    are the model's own.
    """
    weights = [t for t in model.named_tensors().values() if t.requires_grad]
    twin = copy.deepcopy(model, {id(t): t for t in weights}).eval()
    dtype = weights[0].dtype if weights else np.dtype(np.float32)
    returned: dict[str, list[Any]] = {}

    def recorded(name: str, forward: Callable[..., Any]) -> Callable[..., Any]:
        def record(*args: Any, **kwargs: Any) -> Any:
            out = forward(*args, **kwargs)
            returned.setdefault(name, []).append(out)
            return out

        return record

    for name, layer in list(twin.named_modules()):
        layer.forward = recorded(name, layer.forward)  # type: ignore[method-assign]
    rng = np.random.default_rng(0)
    with no_grad(), np.errstate(all="ignore"):
        twin(*[Tensor(rng.standard_normal(x).astype(dtype)) if is_shape(x) else x for x in inputs])
    return returned


def is_shape(x: Any) -> bool:
    """Whether it is a tuple of whole numbers."""
    return isinstance(x, tuple) and all(isinstance(n, int | np.integer) for n in x)


def arrays_in(out: Any) -> list[np.ndarray]:
    """The arrays in what a layer returned, in tuples, lists and dicts too."""
    if isinstance(out, Tensor):
        return [out.data]
    if isinstance(out, np.ndarray):
        return [out]
    parts = out.values() if isinstance(out, dict) else out if isinstance(out, tuple | list) else ()
    return [array for part in parts for array in arrays_in(part)]


def memory_of(out: Any) -> int:
    """Bytes of what a layer returned."""
    return sum(array.nbytes for array in arrays_in(out))


def shape_of(out: Any) -> str:
    """The shape of what a layer returned; of a tuple, list or dict the shapes in it."""
    if isinstance(out, Tensor | np.ndarray):
        return str(out.shape)
    if isinstance(out, dict):
        return "{" + ", ".join(f"{key}: {shape_of(value)}" for key, value in out.items()) + "}"
    if isinstance(out, tuple | list):
        return "[" + ", ".join(map(shape_of, out)) + "]"
    return type(out).__name__


def in_bytes(n: int) -> str:
    """A number of bytes, in the largest unit that leaves one digit before the point."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n >= size:
            return f"{n / size:,.1f} {unit}"
    return f"{n} B"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Cells in columns, text to the left and figures to the right, with lines below the head and above the sums."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) if i < 3 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    rule = "-" * max(map(len, lines))
    return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1]])
