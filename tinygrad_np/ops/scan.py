"""Primitives that run along one axis and keep every step: sums, products, and sums of exponentials.

The gradient of a step reaches all elements before it, so the way back is a scan as well, from the end.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from tinygrad_np.ops.elementwise import exp_difference, floating
from tinygrad_np.ops.reduce import divisible, weigh
from tinygrad_np.tape import Array, Rule, primitive


def cumsum_from_end(g: Array, axis: int) -> Array:
    """For each place, the sum of g from there to the end."""
    flip = (slice(None),) * (axis % g.ndim) + (slice(None, None, -1),)
    return np.cumsum(g[flip], axis)[flip]


def recur_from_end(a: Array, b: Array) -> Array:
    """s_j = b_j + a_j s_(j+1) along the last axis, whose last s is the last b; a is one shorter than b.

    By doubling, as a scan of Hillis and Steele (1986): after each round a_j and b_j stand for twice as many steps.
    Nothing is divided, so that it holds, and can be differentiated again, where an element of a is 0.
    """
    step = 1
    while step < b.shape[-1]:
        b = np.concatenate([b[..., :-step] + weigh(b[..., step:], a), b[..., -step:]], -1)
        a = a[..., :-step] * a[..., step:]
        step *= 2
    return b


@primitive(np.cumsum)
def cumsum(x: Array, *, axis: int | None = None) -> Rule:
    """The sums of the elements up to each one along an axis, or of all in a row."""
    shape = x.shape
    return np.cumsum(x, axis), (lambda g: np.reshape(cumsum_from_end(g, axis or 0), shape),)


@primitive(np.cumprod)
def cumprod(x: Array, *, axis: int | None = None) -> Rule:
    """The products of the elements up to each one along an axis, or of all in a row.

    dx_j = sum_(k >= j) g_k y_k / x_j. Where a y is 0, over- or underflowed nothing is divided:
    dx_j = y_(j-1) s_j with s_j = g_j + x_(j+1) s_(j+1).
    """
    y = np.cumprod(x, axis)
    along = axis or 0

    def vjp(g: Array) -> Array:
        if divisible(y):
            return np.reshape(cumsum_from_end(g * y, along), x.shape) / x
        last = np.moveaxis(np.reshape(x, y.shape), along, -1)
        before = np.cumprod(np.concatenate([np.ones_like(last[..., :1]), last[..., :-1]], -1), -1)
        dx = weigh(recur_from_end(last[..., 1:], np.moveaxis(g, along, -1)), before)
        return np.reshape(np.moveaxis(dx, -1, along), x.shape)

    return y, (vjp,)


@primitive()
def logcumsumexp(x: Array, *, axis: int) -> Rule:
    """log sum e^x of the elements up to each one along an axis, without overflow.

    dx_j = sum_(k >= j) g_k e^(x_j - y_k) = e^(x_j - y_j) s_j with s_j = g_j + e^(y_j - y_(j+1)) s_(j+1), where no
    exponent is above 0. Elements of -inf get 0, and infinite ones share the gradient, as in `logsumexp`.
    """
    x = floating(x)
    y: Array = np.logaddexp.accumulate(x, axis) if isinstance(x, np.ndarray) else logcumsumexp(x, axis=axis)

    def vjp(g: Array) -> Array:
        u, v, w = (np.moveaxis(z, axis, -1) for z in (x, y, g))
        ties = np.cumsum(u == np.inf, -1)
        fewer = partial(np.divide, ties[..., 1:], np.maximum(ties[..., :-1], 1))
        decay = exp_difference(v[..., :-1], v[..., 1:], fewer)
        return np.moveaxis(
            exp_difference(u, v, partial(np.asarray, ties)) * recur_from_end(decay, w), -1, axis
        )

    return y, (vjp,)
