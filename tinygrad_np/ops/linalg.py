"""Matrix products: matmul with batches and broadcasting, and einsum."""

from __future__ import annotations

import math
import string

import numpy as np

from tinygrad_np.backward import DeferredMatmul
from tinygrad_np.tape import Array, Rule, implements, primitive


@primitive(np.matmul)
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
def einsum(*xs: Array, subscripts: str) -> Rule:
    """The sum of products that the subscripts say, as in `numpy.einsum` (explicit or implicit output).

    The gradient of one operand is an einsum too: of g and the other operands, to the subscripts of that one.
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
            part = np.einsum(f"{','.join(terms)}->{known}", g, *others, *eyes)
            part = np.expand_dims(part, tuple(j for j, c in enumerate(term) if c not in known))
            gradients.append(np.broadcast_to(part, tuple(size[c] for c in term)))
        return gradients

    if not isinstance(subscripts, str):
        raise TypeError("the subscripts are a string")
    shapes = [np.shape(x) for x in xs]
    if any(0 in shape for shape in shapes):  # there NumPy lets pass what does not fit
        parse_subscripts(subscripts, shapes)
    return np.einsum(subscripts, *xs), vjp


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
def numpy_einsum(subscripts: str, *operands: Array) -> Array:
    """`einsum` with its arguments in NumPy's order."""
    if not isinstance(subscripts, str):
        raise TypeError("np.einsum of Tensors takes its subscripts as a string")
    return einsum(*operands, subscripts=subscripts)
