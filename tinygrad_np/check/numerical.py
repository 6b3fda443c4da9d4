"""The derivative of a function from its forward values alone, to hold a gradient against.

By complex step, f(x + ihv) = f(x) + ih J v + ..., whose only error is rounding, because nothing is subtracted
(Squire and Trapp, 1998); by central differences where a function does not continue to complex numbers.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import numpy as np

from tinygrad_np.grad_mode import no_grad
from tinygrad_np.tensor import Tensor

COMPLEX_TOLERANCE = 1e-12  # relative: rounding only
CENTRAL_TOLERANCE = 1e-7  # relative: the best step leaves about 1e-10, and curvature some more
STEP = 1e-30  # a complex one: nothing is subtracted, so it may be so small that its square is lost, in float32 too
ROUNDINGS = 16  # how many roundings of a value an error may come to


def moved(points: Sequence[np.ndarray], step: complex, direction: Sequence[np.ndarray]) -> list[Tensor]:
    """The inputs one step further along a direction, as constants."""
    return [Tensor(x + step * v) for x, v in zip(points, direction, strict=True)]


def complex_step(
    f: Callable[..., Tensor], points: Sequence[np.ndarray], direction: Sequence[np.ndarray]
) -> np.ndarray | None:
    """The derivative along a direction by complex step, or None where `f` does not take complex numbers."""
    try:
        with (
            warnings.catch_warnings(),
            no_grad(),
        ):  # weights of a layer, say, record, and complex numbers cannot
            warnings.simplefilter("error", np.exceptions.ComplexWarning)
            out = f(*moved(points, 1j * STEP, direction)).data
    except Exception:  # whatever a function says to complex numbers, it does not take them
        return None
    return np.imag(out) / STEP if out.dtype.kind == "c" else None


def size(x: np.ndarray) -> float:
    """The largest number of an input, by which its steps and directions are measured; 1 where all are 0."""
    return float(np.abs(x).max(initial=0.0)) or 1.0


def central_difference(
    f: Callable[..., Tensor],
    points: Sequence[np.ndarray],
    direction: Sequence[np.ndarray],
    shrink: float = 1.0,
    terms: float = 0.0,
) -> tuple[np.ndarray, np.ndarray]:
    """The derivative along a direction from two values, (f(x + hv) - f(x - hv)) / 2h, and its rounding.

    The step h balances rounding, eps |f| / h, and curvature, h^2: the cube root of eps, in units of x and v,
    times `shrink`. Where f is a small sum of large terms, the size of the `terms` is what is rounded.
    """
    lengths = [float(np.abs(v).max()) / size(x) for x, v in zip(points, direction, strict=True) if v.size]
    eps = float(np.finfo(np.result_type(np.float32, *points)).eps)
    step = shrink * float(np.cbrt(eps)) / (max(lengths, default=1.0) or 1.0)
    up, down = f(*moved(points, step, direction)).data, f(*moved(points, -step, direction)).data
    rounded = np.maximum(np.maximum(np.abs(up), np.abs(down)), terms)
    return np.asarray((up - down) / (2 * step)), ROUNDINGS * eps * rounded / step


def derivative(
    f: Callable[..., Tensor],
    points: Sequence[np.ndarray],
    direction: Sequence[np.ndarray],
    analytic: bool | None = None,
) -> tuple[np.ndarray, float, np.ndarray]:
    """The derivative of `f` along a direction from forward values alone.

    A complex step is taken when `analytic` is true; and when it is None and a difference agrees with it:
    ``abs(x) * x`` takes complex numbers too, but its complex derivative is another one.

    Returns
    -------
    slope : ndarray
        The derivative, in the shape of ``f(...)``.
    tolerance : float
        The relative error that it may have.
    rounding : ndarray
        The absolute error that it may have besides, element by element.
    """
    if analytic is not False:
        exact = complex_step(f, points, direction)
        if exact is None and analytic:
            raise ValueError("analytic=True, but the function does not take complex numbers")
        if exact is not None:
            value = np.abs(f(*(Tensor(x) for x in points)).data)
            rounding = ROUNDINGS * float(np.finfo(np.result_type(np.float32, *points)).eps) * value
            rounding += (
                STEP  # a derivative of 0 may come out as the square of the step, as that of x y z at 0
            )
            if analytic:
                return exact, COMPLEX_TOLERANCE, rounding
            # Where f bends sharply a shorter step is the one that agrees; of such, rounding is no excuse.
            for shrink in (1.0, 1e-2, 1e-4):
                slope, noise = central_difference(f, points, direction, shrink)
                noise = noise if shrink == 1 else 0 * noise
                if (np.abs(exact - slope) <= 1e-5 * np.abs(slope) + noise).all():
                    return exact, COMPLEX_TOLERANCE, rounding
    slope, noise = central_difference(f, points, direction)
    return slope, CENTRAL_TOLERANCE, noise


def kinked(line: Callable[[float], float], step: float) -> bool:
    """Whether a function of one number has no derivative at 0: its slopes on both sides differ.

    Those of a function that only bends come together when the step shrinks.
    """

    def jump(h: float) -> tuple[float, float]:
        right, left = (line(h) - line(0.0)) / h, (line(0.0) - line(-h)) / h
        return abs(right - left), max(abs(right), abs(left))

    (wide, slope), (narrow, _) = jump(step), jump(step / 8)
    return bool(wide > 1e-3 * slope and narrow > wide / 2)
