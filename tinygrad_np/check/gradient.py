"""Is the gradient that a function sends back the derivative of what it computes?

The two are compared along a random direction v and weighted with a random cotangent w, <w, J v> against <J^T w, v>.
Not with a sum for a cotangent: the sum of a softmax is constant, its gradient 0, and any wrong rule would pass. If
they differ, every coordinate is tried, so that the report says which one is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_np.check.numerical import CENTRAL_TOLERANCE, central_difference, derivative, kinked, moved, size
from tinygrad_np.tensor import Tensor
from tinygrad_np.transforms import grad, hvp

SHOWN = 10  # disagreements in a report


@dataclass(frozen=True)
class Disagreement:
    """One derivative that is wrong.

    `input` is the number of the input and `index` the place in it; `gradient` is what was sent back and
    `derivative` what forward values say. `kink` says that the slopes on both sides differ: there is no
    derivative at this point, and the rule need not be wrong.
    """

    input: int
    index: tuple[int, ...]
    gradient: float
    derivative: float
    kink: bool

    def __str__(self) -> str:
        absolute = abs(self.gradient - self.derivative)
        relative = absolute / abs(self.derivative) if self.derivative else np.inf
        return (
            f"input {self.input} at {list(self.index)}: gradient {self.gradient:.9g}, "
            f"derivative {self.derivative:.9g}, absolute error {absolute:.3g}, relative {relative:.3g}"
            + ("; this looks like a kink, where there is no derivative: try another point" * self.kink)
        )


class GradientError(AssertionError):
    """A gradient is not the derivative. `disagreements` has the places, the largest errors first."""

    def __init__(self, message: str, disagreements: Sequence[Disagreement] = ()):
        super().__init__(message)
        self.disagreements = list(disagreements)


def gradcheck(
    f: Callable[..., Tensor],
    inputs: Sequence[Any],
    rng: np.random.Generator | int = 0,
    analytic: bool | None = None,
    *,
    reference: Callable[..., Any] | None = None,
    rtol: float | None = None,
    directions: int = 2,
) -> float:
    """Check the gradient that `f` sends back at a point.

    Parameters
    ----------
    f : callable
        Takes a Tensor for each input, and returns a Tensor. It must give the same values every time.
    inputs : sequence of array_like
        The point, in float64, away from kinks.
    rng : numpy.random.Generator or int
        Draws directions and cotangent.
    analytic : bool, optional
        Whether `f` continues to complex numbers, so that a complex step is exact. Found out unless told.
    reference : callable, optional
        Takes the inputs as arrays, and returns what `f` shall compute.
    rtol : float, optional
        Largest error, relative to the size of the terms: 1e-12 by complex step, 1e-7 by differences.
    directions : int
        How many random directions to try.

    Returns
    -------
    float
        The largest relative error.

    Raises
    ------
    GradientError
        The gradient is wrong, or the value is not that of `reference`. The message lists the places.
    TypeError
        An input is not float64 and no `rtol` is given, or `f` does not return a Tensor.
    """
    rng = np.random.default_rng(rng)
    points = [np.asarray(x) for x in inputs]
    for i, x in enumerate(points):
        if x.dtype != np.float64 and rtol is None:
            raise TypeError(
                f"input {i} is {x.dtype}: differences of such numbers have few digits left, and would hide a "
                "wrong gradient or invent one; convert it to float64, or give an rtol that it can keep"
            )
    tensors = [Tensor(x, requires_grad=True) for x in points]
    out = f(*tensors)
    if not isinstance(out, Tensor):
        raise TypeError(f"gradcheck takes a function that returns a Tensor, not {type(out).__name__}")
    if reference is not None:
        _compare_values(out.data, np.asarray(reference(*(x.copy() for x in points))), rtol or 1e-10)
    # of a single number the report shows the derivative itself
    cotangent = np.ones(out.shape) if out.size == 1 else rng.standard_normal(out.shape)
    if out.requires_grad:
        out.backward(cotangent)
    gradients = [np.zeros_like(x) if t.grad is None else t.grad for t, x in zip(tensors, points, strict=True)]

    worst = 0.0
    for _ in range(directions):
        direction = [size(x) * rng.standard_normal(x.shape) for x in points]
        slope, tolerance, rounding = derivative(f, points, direction, analytic)
        there = [g * v for g, v in zip(gradients, direction, strict=True)]
        error, excess = _difference(cotangent * slope, there, np.abs(cotangent) * rounding)
        if not excess <= (rtol or tolerance):  # a NaN must fail
            wrong = list(_wrong_places(f, points, gradients, cotangent, analytic, rtol))
            wrong.sort(key=lambda d: -abs(d.gradient - d.derivative))
            raise GradientError(_report(error, wrong, sum(x.size for x in points), out.size), wrong)
        worst = max(worst, error)
    return worst


def gradgradcheck(
    f: Callable[..., Tensor], inputs: Sequence[Any], rng: np.random.Generator | int = 0
) -> float:
    """Check the second derivative: the Hessian-vector product of <w, f> against differences of its gradient.

    `f`, `inputs` and `rng` are those of `gradcheck`, and so is the result. The gradient itself is taken as
    right; `gradcheck` is for that.

    Raises
    ------
    GradientError
        The second derivative is wrong along a random direction.
    TypeError
        An input is not float64.
    """
    rng = np.random.default_rng(rng)
    points = [np.asarray(x) for x in inputs]
    for i, x in enumerate(points):
        if x.dtype != np.float64:
            raise TypeError(f"input {i} is {x.dtype}, and second derivatives are checked in float64")
    ends = np.cumsum([x.size for x in points])[:-1]
    point = np.concatenate([np.ravel(x) for x in points])
    value = f(*(Tensor(x) for x in points)).data
    cotangent = rng.standard_normal(value.shape)

    def weighted(z: Tensor) -> Tensor:
        parts = np.split(z, ends)
        return (f(*(p.reshape(x.shape) for p, x in zip(parts, points, strict=True))) * cotangent).sum()

    u, v = rng.standard_normal((2, point.size))
    terms = float(np.abs(cotangent * value).max(initial=0.0))
    slope, rounding = central_difference(grad(weighted), [point], [u], terms=terms)
    error, excess = _difference(v * slope, [hvp(weighted)(point, u).data * v], np.abs(v) * rounding)
    if not excess <= CENTRAL_TOLERANCE:
        raise GradientError(f"the second derivative is wrong: its relative error is {error:.3g}")
    return error


def _compare_values(value: np.ndarray, expected: np.ndarray, rtol: float) -> None:
    """Forward value against that of the reference."""
    if value.shape != expected.shape:
        raise GradientError(f"the value has shape {value.shape}, and that of the reference {expected.shape}")
    far = ~np.isclose(value, expected, rtol=rtol, atol=rtol)
    if far.any():
        at = tuple(int(i) for i in np.argwhere(far)[0])
        raise GradientError(
            f"the value at {list(at)} is {value[at]:.9g}, and that of the reference {expected[at]:.9g}"
        )


def _difference(
    forward: np.ndarray, backward: Sequence[np.ndarray], rounding: np.ndarray
) -> tuple[float, float]:
    """The difference of two sums relative to the size of their terms, and what of it is more than rounding."""
    scale = max(np.abs(forward).sum(), sum(np.abs(part).sum() for part in backward))
    difference = abs(forward.sum() - sum(part.sum() for part in backward))
    if difference == 0 or rounding.sum() >= scale > 0:  # where all is rounding there is no relative error
        return 0.0, 0.0
    return float(difference / scale), float((difference - rounding.sum()) / scale)


def _wrong_places(
    f: Callable[..., Tensor],
    points: Sequence[np.ndarray],
    gradients: Sequence[np.ndarray],
    cotangent: np.ndarray,
    analytic: bool | None,
    rtol: float | None,
) -> Iterator[Disagreement]:
    """Each coordinate by itself."""
    for i, (x, g) in enumerate(zip(points, gradients, strict=True)):
        for index in np.ndindex(x.shape):
            unit = [np.zeros_like(p) for p in points]
            unit[i][index] = 1
            slope, tolerance, rounding = derivative(f, points, unit, analytic)
            expected = float((cotangent * slope).sum())
            scale = max(float(np.abs(g).max()), abs(expected))
            noise = float((np.abs(cotangent) * rounding).sum())
            if not abs(g[index] - expected) <= (rtol or tolerance) * scale + noise:

                def line(t: float, unit: Sequence[np.ndarray] = unit) -> float:
                    return float((cotangent * f(*moved(points, t, unit)).data).sum())

                step = float(np.cbrt(np.finfo(x.dtype).eps)) * size(x)
                yield Disagreement(i, index, float(g[index]), expected, kinked(line, step))


def _report(error: float, wrong: Sequence[Disagreement], count: int, outputs: int) -> str:
    if not wrong:
        return (
            f"the gradient differs from the derivative along a direction, {error:.3g} relative, though in no "
            "coordinate alone: does the function give the same values every time?"
        )
    weighted = "" if outputs == 1 else f" (of {outputs} outputs, weighted at random)"
    lines = [f"the gradient is wrong in {len(wrong)} of {count} places, {error:.3g} relative{weighted}:"]
    lines += [f"  {d}" for d in wrong[:SHOWN]]
    if len(wrong) > SHOWN:
        lines.append(f"  and {len(wrong) - SHOWN} more")
    return "\n".join(lines)
