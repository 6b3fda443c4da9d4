"""The gradient check: is the gradient that a function sends back the derivative of what it computes?

The independent derivative comes from the forward computation alone: by complex step, whose only error is
rounding, where the function runs on complex numbers; otherwise by central differences. Both gradients are
compared along a random direction v and weighted with a random cotangent w, <w, J v> against <J^T w, v>: a sum
for a cotangent would pass many wrong rules, because it is constant for softmax and its relatives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tinygrad_np.tensor import Tensor
from tinygrad_np.transforms import grad, hvp

COMPLEX_TOLERANCE = 1e-12  # relative: rounding only
CENTRAL_TOLERANCE = 1e-7  # relative: a step of 1e-5 leaves about 1e-10, and curvature some more


def derivative(
    f: Callable[..., Tensor], inputs: Sequence[np.ndarray], direction: Sequence[np.ndarray], analytic: bool
) -> np.ndarray:
    """The derivative of `f` along a direction, from forward values alone: float64, in the shape of f(...)."""
    if analytic:
        step = 1e-100  # nothing is subtracted, so a step may be as small as numbers go
        moved = [x + 1j * step * v for x, v in zip(inputs, direction, strict=True)]
        return np.imag(f(*moved).data) / step
    step = 1e-5
    up = f(*(x + step * v for x, v in zip(inputs, direction, strict=True))).data
    down = f(*(x - step * v for x, v in zip(inputs, direction, strict=True))).data
    return np.asarray((up - down) / (2 * step))


def gradcheck(
    f: Callable[..., Tensor], inputs: Sequence[np.ndarray], rng: np.random.Generator, analytic: bool = True
) -> float:
    """Check the gradient of a function at a point.

    Parameters
    ----------
    f : callable
        Takes Tensors or arrays, one for each input, and returns a Tensor. Run on complex arrays too when
        `analytic`.
    inputs : sequence of ndarray
        The point, in float64.
    rng : numpy.random.Generator
        Draws the direction and the cotangent.
    analytic : bool
        Whether `f` continues to complex numbers; otherwise central differences are taken.

    Returns
    -------
    float
        The relative error.

    Raises
    ------
    AssertionError
        The two derivatives differ.
    """
    tensors = [Tensor(x, requires_grad=True) for x in inputs]
    out = f(*tensors)
    cotangent = rng.standard_normal(out.shape)
    direction = [rng.standard_normal(x.shape) for x in inputs]
    if out.requires_grad:
        out.backward(cotangent)
    forward = cotangent * derivative(f, inputs, direction, analytic)
    backward = [0 if t.grad is None else t.grad * v for t, v in zip(tensors, direction, strict=True)]
    return _compare(forward, backward, COMPLEX_TOLERANCE if analytic else CENTRAL_TOLERANCE)


def gradgradcheck(f: Callable[..., Tensor], inputs: Sequence[np.ndarray], rng: np.random.Generator) -> float:
    """Check the second derivative: the Hessian-vector product of <w, f> against differences of its gradient.

    Parameters, result and errors are those of `gradcheck`.
    """
    ends = np.cumsum([x.size for x in inputs])[:-1]
    point = np.concatenate([np.ravel(x) for x in inputs])
    cotangent = rng.standard_normal(f(*inputs).shape)

    def weighted(z: Tensor) -> Tensor:
        parts = np.split(z, ends)
        return (f(*(p.reshape(x.shape) for p, x in zip(parts, inputs, strict=True))) * cotangent).sum()

    u, v = rng.standard_normal((2, point.size))
    forward = v * derivative(grad(weighted), [point], [u], analytic=False)
    return _compare(forward, [hvp(weighted)(point, u).data * v], CENTRAL_TOLERANCE)


def _compare(forward: np.ndarray, backward: Sequence[np.ndarray | int], tolerance: float) -> float:
    """The difference of two sums, relative to the size of their terms."""
    scale = max(np.abs(forward).sum(), sum(np.abs(part).sum() for part in backward))
    difference = abs(forward.sum() - sum(np.sum(part) for part in backward))
    # not <=: a NaN on either side must fail
    if not difference <= tolerance * max(scale, 1.0):
        raise AssertionError(f"the derivatives differ by {difference:.3g}, {difference / scale:.3g} relative")
    return float(difference / max(scale, 1.0))
