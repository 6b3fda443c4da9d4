"""Matrix products: matmul with batches and broadcasting, and einsum; and the norm of a vector."""

from __future__ import annotations

import math
import string
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from tinygrad_np.backward import DeferredMatmul
from tinygrad_np.ops.elementwise import mask_poles
from tinygrad_np.ops.reduce import restore_axes, split_ties
from tinygrad_np.tape import Array, Rule, implements, primitive


@primitive(np.matmul, np.linalg.matmul)
def matmul(x: Array, y: Array) -> Rule:
    """x @ y. A one-dimensional x is a row, a one-dimensional y a column, and all axes but two are batches.

    For matrices dL/dx = g y^T and dL/dy = x^T g.
    """

    def vjp_x(g: Array) -> Array:
        if y.ndim == 2:
            return g @ y.T
        if y.ndim == 1:
            return np.expand_dims(g, -1) * y
        if x.ndim == 1:
            g = np.expand_dims(g, -2)
            return (g @ np.swapaxes(y, -1, -2))[..., 0, :]
        return g @ np.swapaxes(y, -1, -2)

    def vjp_y(g: Array) -> Array:
        if y.ndim == 2:  # one product over all batches, instead of one a batch and a sum
            rows = math.prod(x.shape[:-1])
            return DeferredMatmul(x.reshape(rows, x.shape[-1]), g.reshape(rows, g.shape[-1]))
        if x.ndim == 1:
            return x * g if y.ndim == 1 else np.expand_dims(x, -1) * np.expand_dims(g, -2)
        if y.ndim == 1:
            g = np.expand_dims(g, -1)
            return (np.swapaxes(x, -1, -2) @ g)[..., 0]
        return np.swapaxes(x, -1, -2) @ g

    return x @ y, (vjp_x, vjp_y)


@primitive()
def einsum(*xs: Array, subscripts: str, optimize: Any = False) -> Rule:
    """The sum of products that the subscripts say, as in `numpy.einsum` (explicit or implicit output).

    The gradient of one operand is an einsum too: of g and the other operands, to the subscripts of that one. Where
    `optimize` is given, its order is NumPy's own: a path is one through the operands alone.
    """

    def vjp(g: Array) -> list[Array]:
        inputs, output, size = parse_subscripts(subscripts, [np.shape(x) for x in xs])
        # 'ii' becomes 'ij' with an identity matrix 'ij' beside it, so that no operand repeats a letter.
        unique, ties = [], []
        for term in inputs:
            for i, letter in enumerate(term):
                if letter in term[:i]:
                    fresh = next(c for c in string.ascii_letters if c not in size)
                    size[fresh] = size[letter]
                    ties.append(letter + fresh)
                    term = term[:i] + fresh + term[i + 1 :]
            unique.append(term)
        eyes = [np.eye(size[tie[0]], dtype=g.dtype) for tie in ties]
        gradients = []
        for i, term in enumerate(unique):
            others = [x for j, x in enumerate(xs) if j != i]
            terms = [output, *(t for j, t in enumerate(unique) if j != i), *ties]
            # A letter of this operand alone was summed over: its gradient is the same all along it.
            known = "".join(c for c in term if any(c in t for t in terms))
            part = np.einsum(f"{','.join(terms)}->{known}", g, *others, *eyes, optimize=bool(optimize))
            part = np.expand_dims(part, tuple(j for j, c in enumerate(term) if c not in known))
            gradients.append(np.broadcast_to(part, tuple(size[c] for c in term)))
        return gradients

    if not isinstance(subscripts, str):
        raise TypeError("the subscripts are a string")
    shapes = [np.shape(x) for x in xs]
    if any(0 in shape for shape in shapes):  # there NumPy lets pass what does not fit
        parse_subscripts(subscripts, shapes)
    return np.einsum(subscripts, *xs, optimize=optimize), vjp


def parse_subscripts(subscripts: str, shapes: list[tuple[int, ...]]) -> tuple[list[str], str, dict[str, int]]:
    """The operands' letters with every '...' spelt out, those of the output, and each letter's length."""
    left, arrow, output = subscripts.replace(" ", "").partition("->")
    inputs = left.split(",")
    if len(inputs) != len(shapes):
        raise ValueError(f"the subscripts {subscripts!r} name {len(inputs)} operands, not {len(shapes)}")
    free = [c for c in string.ascii_letters if c not in subscripts]
    widths = [
        len(s) - len(t.replace("...", "")) if "..." in t else 0 for t, s in zip(inputs, shapes, strict=True)
    ]
    batch = "".join(free[: max(widths)])
    inputs = [t.replace("...", batch[len(batch) - width :]) for t, width in zip(inputs, widths, strict=True)]
    if not arrow:
        once = sorted(c for c in set("".join(inputs)) - set(batch) if "".join(inputs).count(c) == 1)
        output = "..." + "".join(once)
    output = output.replace("...", batch)
    size: dict[str, int] = {}
    for term, shape in zip(inputs, shapes, strict=True):
        for letter, n in zip(term, shape, strict=True):
            if n != 1 and size.get(letter, 1) not in (1, n):
                raise ValueError(f"the letter {letter} of {subscripts!r} has lengths {size[letter]} and {n}")
            size[letter] = n if size.get(letter, 1) == 1 else size[letter]
    return inputs, output, size


@implements(np.einsum)
def numpy_einsum(*operands: Any, optimize: Any = False) -> Array:
    """`einsum` with its arguments in NumPy's order: ``"ij,jk", x, y``, or ``x, [0, 1], y, [1, 2]``."""
    subscripts, *xs = operands if isinstance(operands[0], str) else spell_subscripts(operands)
    return einsum(*xs, subscripts=subscripts, optimize=optimize)


def spell_subscripts(operands: tuple[Any, ...]) -> tuple[Any, ...]:
    """``x, [0, 1], y, [1, 2], [0, 2]`` as a string of subscripts, and the operands."""
    letters = string.ascii_uppercase + string.ascii_lowercase  # in the order in which NumPy sorts an output

    def spell(places: Any) -> str:
        if any(place is not ... and not 0 <= place < len(letters) for place in places):
            raise ValueError(
                f"the subscripts {places} are not all numbers from 0 to {len(letters) - 1}, or ..."
            )
        return "".join("..." if place is ... else letters[place] for place in places)

    pairs = len(operands) // 2
    output = f"->{spell(operands[-1])}" if len(operands) % 2 else ""
    return ",".join(map(spell, operands[1 : 2 * pairs : 2])) + output, *operands[: 2 * pairs : 2]


@primitive(np.linalg.vector_norm)
def vector_norm(x: Array, *, axis: Any = None, keepdims: bool = False, ord: float | None = 2) -> Rule:
    """The p-norm (sum |x|^p)^(1/p) over axes, p = `ord` any number: d/dx = sign(x) (|x| / norm)^(p - 1).

    Equal largest elements share the gradient for p = inf, equal smallest ones for -inf. What is 0 gets the gradient
    0, and so does everything where the norm is 0, in the second derivative too; the count of what is not 0 (p = 0)
    sends back 0.
    """
    if ord is not None and not isinstance(ord, int | float | np.number):
        raise TypeError(f"ord is a number, not {ord!r}")
    axis = axis if axis is None else normalize_axis_tuple(axis, x.ndim, "axis")
    y = np.linalg.vector_norm(x, axis=axis, keepdims=keepdims, ord=ord)

    def vjp(g: Array) -> Array:
        g, norm = restore_axes(g, x.shape, axis), restore_axes(y, x.shape, axis)
        if ord in (np.inf, -np.inf):
            return split_ties(g, np.absolute(x), norm, axis) * np.sign(mask_poles(np.isnan(x) & (g == 0), x))
        pole = (norm == 0) | (g == 0) & ~np.isfinite(norm)
        ratio = x / mask_poles(pole, norm)
        if ord == 0:
            ratio = np.zeros_like(x)
        elif ord not in (2, None):
            ratio = np.sign(x) * np.power(mask_poles(x == 0, np.absolute(ratio)), ord - 1)
        return g * np.where(pole, 0, ratio)

    return y, (vjp,)
