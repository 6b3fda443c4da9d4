"""The ONNX graph while it is built: nodes, constants, and what depends on the sizes of the inputs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from tinygrad_np.extras import import_optional
from tinygrad_np.onnx.recording import Step, Value, Varying, number

Operand = Any  # a name, a Value, an array, or a number; None where an input is left out


class Graph:
    """Nodes and constants, each made by a call.

    Parameters
    ----------
    inputs : mapping
        The inputs by name.
    """

    def __init__(self, inputs: Mapping[str, Value]):
        self.onnx = import_optional("onnx")
        self.inputs = inputs
        self.nodes: list[Any] = []
        self.constants: dict[str, np.ndarray] = {}
        self.taken: set[str] = set(inputs)
        self.made: dict[Any, str] = {}  # what was made already, by what it is
        self.limits: list[str] = []  # what the file cannot do at larger sizes
        self.step = Step("", None, [], "")  # type: ignore[arg-type]

    @property
    def out(self) -> Value:
        """What came out of the step that is being translated."""
        return self.step.outputs[0]

    def new_name(self, wanted: str) -> str:
        """A name that nothing has yet."""
        name, i = wanted, 1
        while name in self.taken:
            name, i = f"{wanted}_{i}", i + 1
        self.taken.add(name)
        return name

    def op(self, kind: str, *inputs: Operand, outputs: int = 1, **attributes: Any) -> Any:
        """Add a node, and return the name of its output, or the names of several."""
        names = [self.name(x) for x in inputs]
        found = [self.new_name(f"{self.step.function or 'size'}.{kind}") for _ in range(outputs)]
        self.nodes.append(self.onnx.helper.make_node(kind, names, found, name=found[0], **attributes))
        return found[0] if outputs == 1 else tuple(found)

    def constant(self, array: Any, name: str = "") -> str:
        """The name of a constant."""
        array = np.ascontiguousarray(array).reshape(np.shape(array))
        key = (array.dtype.str, array.shape, array.tobytes()) if array.size <= 64 and not name else None
        if key in self.made:
            return self.made[key]
        found = self.new_name(name or "constant")
        self.constants[found] = array
        if key is not None:
            self.made[key] = found
        return found

    def name(self, x: Operand) -> str:
        """The name under which something stands in the file."""
        if x is None:
            return ""
        if isinstance(x, str):
            return x
        if not isinstance(x, Value):
            return self.constant(x)
        if not x.name or (x.constant and x.name not in self.taken):
            if x.constant or all_equal(x.arrays):
                x.name, x.constant = self.constant(x.arrays[0], x.name), True
            else:
                x.name = self.varying(x)
        return x.name

    def cast(self, x: Operand, dtype: Any) -> Operand:
        """x in this dtype."""
        dtype = np.dtype(dtype)
        if isinstance(x, Varying):
            return self.cast(self.scalar(x), dtype)
        if isinstance(x, bool | int | float):
            return np.asarray(x, dtype)
        if isinstance(x, Value) and x.dtype == dtype:
            return x
        if isinstance(x, Value) and not x.name and all_equal(x.arrays):
            return x.arrays[0].astype(dtype)
        return self.op("Cast", x, to=self.onnx.helper.np_dtype_to_tensor_dtype(dtype))

    def axes(self, *axes: int) -> str:
        """Whole numbers as the input that names axes."""
        return self.constant(np.array(axes, np.int64))

    # --- what depends on sizes ---

    def size(self, n: Any, *near: Value) -> str:
        """A length, as an array of one number: of the inputs' lengths, where it varies.

        Raises
        ------
        ValueError
            No formula is known for it.
        """
        if not isinstance(n, Varying):
            return self.constant(np.array([n], np.int64))
        if ("size", n) in self.made:
            return self.made["size", n]
        found = self.formula(n, near)
        if found is None:
            raise ValueError(
                f"{self.step.line}: {self.step.function} needs a number that is {list_of(n.values)} in the "
                "recordings, and no formula in the sizes of the inputs is known for it"
            )
        if not near:
            self.made["size", n] = found
        return found

    def formula(self, n: Varying, near: Sequence[Value]) -> str | None:
        """a p + b for whole a and b and a product p of lengths, or one of them."""
        lengths = list(self.lengths(near))
        found = []
        for several in range(1, 4):
            for chosen in combinations(lengths, several):
                p = np.prod([length.values for length, _, _ in chosen], axis=0).tolist()
                if p[0] == p[1] or not all(isinstance(v, int) for v in n.values):
                    continue
                a, rest = divmod(n.values[1] - n.values[0], p[1] - p[0])
                b = n.values[0] - a * p[0]
                if not rest and a and all(v == a * q + b for v, q in zip(n.values, p, strict=True)):
                    found.append(((a, b) != (1, 0), several, a, b, chosen))
        if not found:
            return None
        *_, a, b, chosen = min(found, key=lambda one: one[:2])
        parts = [self.length(value, axis) for _, value, axis in chosen]
        while len(parts) > 1:
            parts = [self.op("Mul", parts[0], parts[1]), *parts[2:]]
        made = parts[0] if a == 1 else self.op("Mul", parts[0], np.array([a]))
        return made if b == 0 else str(self.op("Add", made, np.array([b])))

    def lengths(self, near: Sequence[Value]) -> Iterator[tuple[Varying, Value, int]]:
        """The lengths that vary: each once, of the inputs before those of what is near."""
        seen = set()
        for value in (*self.inputs.values(), *near):
            for axis, n in enumerate(value.shape):
                if isinstance(n, Varying) and n not in seen:
                    seen.add(n)
                    yield n, value, axis

    def length(self, value: Value, axis: int) -> str:
        """The length of an axis, as an array of one number."""
        name = self.name(value)
        if ("length", name, axis) not in self.made:
            self.made["length", name, axis] = self.op("Shape", name, start=axis, end=axis + 1)
        return self.made["length", name, axis]

    def shape(self, lengths: Sequence[Any], *near: Value) -> str:
        """Lengths as an array."""
        if not any(isinstance(n, Varying) for n in lengths):
            return self.constant(np.array(lengths, np.int64))
        return str(self.op("Concat", *[self.size(n, *near) for n in lengths], axis=0))

    def scalar(self, n: Any, *near: Value) -> str:
        """A number that depends on sizes, or one divided by it, as an array without axes."""
        if isinstance(n, Varying) and all(isinstance(v, float) and math.isfinite(v) for v in n.values):
            below = [1 / v if v else 0.0 for v in n.values]
            for values, inverse in ((n.values, False), (below, True)):
                whole = [round(v) for v in values]
                if np.allclose(whole, values, rtol=1e-12, atol=0):
                    size = self.cast(self.op("Squeeze", self.size(number(whole), *near)), np.float64)
                    return str(self.op("Reciprocal", size)) if inverse else str(size)
        return str(self.op("Squeeze", self.size(n, *near)))

    def varying(self, x: Value) -> str:
        """An array that comes from no input, and is another one at another size, by what it holds.

        It may be one number, or go up by the same step, or be a triangle as masks are; along further axes it may be
        repeated. Or shorter ones are the beginning of longer ones: then the file has the longest that was recorded.

        Raises
        ------
        ValueError
            It is none of these.
        """
        arrays = list(x.arrays)
        if not any(array.size for array in arrays):
            nothing = self.onnx.numpy_helper.from_array(np.zeros(1, x.dtype))
            return str(self.op("ConstantOfShape", self.shape(x.shape), value=nothing))
        kept = []
        for axis in range(x.ndim):
            firsts = [array[(slice(None),) * axis + (slice(0, 1),)] for array in arrays]
            if all(same(np.broadcast_to(f, a.shape), a) for f, a in zip(firsts, arrays, strict=True)):
                arrays = firsts
            else:
                kept.append(axis)
        bare = [array.reshape([array.shape[axis] for axis in kept]) for array in arrays]
        made = None
        if not kept and all_equal(bare):
            made = self.constant(bare[0])
        elif not kept and x.dtype.kind in "iuf":
            made = self.name(self.cast(self.scalar(number([one.item() for one in bare])), x.dtype))
        elif len(kept) == 1:
            made = self.rising(bare)
        elif len(kept) == 2:
            made = self.triangle(bare)
        made = self.beginning(bare) if made is None else made
        if made is None:
            raise ValueError(
                f"{x.line or self.step.line}: an array of shape {list_of([a.shape for a in x.arrays])} holds other "
                "numbers at another size or for other inputs, and how they were computed is not known: of NumPy "
                "calls, those with the inputs or comparisons are followed, and nothing with .data or under no_grad"
            )
        new = [axis for axis in range(x.ndim) if axis not in kept]
        if new:
            made = self.op("Unsqueeze", made, self.axes(*new)) if kept else made
            made = self.op("Expand", made, self.shape(x.shape)) if x.ndim else made
        return made

    def rising(self, arrays: Sequence[np.ndarray]) -> str | None:
        """start, start + step, and so on."""
        if any(len(array) < 2 or array.dtype.kind not in "iuf" for array in arrays):
            return None
        start, step = arrays[0][0], arrays[0][1] - arrays[0][0]
        if not all(same(array, start + step * np.arange(len(array)).astype(array.dtype)) for array in arrays):
            return None
        n = self.scalar(number([len(array) for array in arrays]))
        places = self.cast(self.op("Range", np.int64(0), n, np.int64(1)), arrays[0].dtype)
        return str(self.op("Add", self.op("Mul", places, np.asarray(step)), np.asarray(start)))

    def triangle(self, arrays: Sequence[np.ndarray]) -> str | None:
        """One number up to a diagonal, and another one beyond it."""
        for offset in range(-2, 3):
            inside = [np.tri(len(array), array.shape[1], offset, dtype=bool) for array in arrays]
            lows = [array[mask] for array, mask in zip(arrays, inside, strict=True)]
            highs = [array[~mask] for array, mask in zip(arrays, inside, strict=True)]
            low, high = np.concatenate(lows), np.concatenate(highs)
            if low.size and high.size and one_number(low) and one_number(high):
                rows, columns = (
                    self.op(
                        "Range", np.int64(0), self.scalar(number([a.shape[i] for a in arrays])), np.int64(1)
                    )
                    for i in (0, 1)
                )
                last = self.op("Unsqueeze", self.op("Add", rows, np.int64(offset)), self.axes(1))
                below = self.op("LessOrEqual", columns, last)
                if low.dtype == bool:
                    return str(below if low[0] else self.op("Not", below))
                return str(self.op("Where", below, np.asarray(low[0]), np.asarray(high[0])))
        return None

    def beginning(self, arrays: Sequence[np.ndarray]) -> str | None:
        """The first elements along each axis of the largest array, if these are the others too."""
        largest = max(arrays, key=lambda array: array.size)
        if largest.dtype.kind not in "biuf" or not all(
            same(largest[tuple(map(slice, array.shape))], array) for array in arrays
        ):
            return None
        lengths = [number([array.shape[axis] for array in arrays]) for axis in range(largest.ndim)]
        self.limits.append(
            f"{self.step.line}: an array is computed for each length, and the file has the longest that was "
            f"recorded, {list(largest.shape)}: give sizes among whose first three is the longest there will be"
        )
        axes = self.axes(*range(largest.ndim))
        return str(self.op("Slice", largest, self.axes(*[0] * largest.ndim), self.shape(lengths), axes))


def same(x: np.ndarray, y: np.ndarray) -> bool:
    """Whether two arrays hold the same numbers in one shape."""
    return x.dtype == y.dtype and np.array_equal(x, y, equal_nan=x.dtype.kind == "f")


def all_equal(arrays: Sequence[np.ndarray]) -> bool:
    """Whether arrays are one and the same."""
    return all(array is arrays[0] or same(array, arrays[0]) for array in arrays)


def one_number(x: np.ndarray) -> bool:
    """Whether all elements are the same."""
    return same(x, np.full_like(x, x.flat[0]))


def list_of(values: Sequence[Any]) -> str:
    """Values in a sentence."""
    shown = [str(list(v) if isinstance(v, tuple) else v) for v in values]
    return f"{', '.join(shown[:-1])} and {shown[-1]}"
