"""The slope of a curve at 0 from its values alone, with an error that is measured and not assumed.

Seven values at equal distances h give the slope by the central formula that is exact for polynomials of degree 6.
The polynomial through them then has to foretell three more values between them: how far it misses shows both what
curvature may still do and the noise of the values, whatever its size is, in float64 or in float32. Wide steps
suffer from the one and narrow ones from the other, so h is chosen by the error that it leaves; and where two widths
contradict each other, neither is believed further than that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

EVEN = np.arange(-3.0, 4.0)  # where the seven values are, in units of h
BETWEEN = np.sqrt([0.14, 2.6, 8.1]) * [
    1,
    -1,
    1,
]  # and the three: at no fractions, on which rounded values may fit
CENTRAL = np.array([-1 / 60, 3 / 20, -3 / 4, 0, 3 / 4, -3 / 20, 1 / 60])
ONE_SIDED = np.array([-11 / 6, 3, -3 / 2, 1 / 3])  # of f(0), f(h), f(2h), f(3h)
FORETELL = np.array(
    [[np.prod([(t - u) / (s - u) for u in EVEN if u != s]) for s in EVEN] for t in BETWEEN]
)  # Lagrange's interpolation
WIDTH = 1e-2  # where to begin, for a curve whose 0 and 1 are a parameter and twice the parameter
WIDTHS = (1e-7, 1e4)  # the narrowest and the widest
AIM = 1e-9  # a relative error that is small enough to stop
NOISE = 8.0  # the error of a slope, in units of what is missed divided by h: of curvature 3, of noise some 2


@dataclass(frozen=True)
class Curve:
    """The slope of a curve at 0, and what is known besides.

    Attributes
    ----------
    slope, error : float
        The slope, and the absolute error it may have.
    noise : float
        How far a value is from a smooth curve.
    kink : bool
        The slopes on both sides differ; `slope` is their mean and `error` covers both.
    width : float
        The h that was best.
    """

    slope: float
    error: float
    noise: float = 0.0
    kink: bool = False
    width: float = WIDTH


@dataclass(frozen=True)
class Look:
    """The same for one width, and the slopes on the two sides."""

    curve: Curve
    left: float
    right: float
    steady: bool  # the values change by much more than their error
    flat: bool  # they do not change at all

    def precise(self, enough: float) -> bool:
        """Whether no other width is needed."""
        return self.curve.error <= AIM * abs(self.curve.slope) or (self.steady and self.curve.error <= enough)


def curve_at_0(f: Callable[[float], float], like: Curve | None = None, enough: float = 0.0) -> Curve:
    """The slope at 0 of a function of one number.

    Parameters
    ----------
    f : callable
        The function.
    like : Curve, optional
        Of a similar function: if its width does as well again, no other is tried.
    enough : float
        An error that is small enough for the question at hand.
    """
    middle = f(0.0)
    start = like.width if like else WIDTH
    looks = {start: look(f, middle, start)}
    first = looks[start]
    if like and first.steady and not like.kink and first.curve.error <= 3 * like.error:
        return first.curve
    if first.flat:
        wide = start * 100
        looks[wide] = look(f, middle, wide)
        if looks[wide].flat:
            return first.curve
    nothing = not first.flat and abs(first.curve.slope) <= first.curve.error <= 1e-13 * abs(middle)
    if not (first.precise(enough) or nothing):
        narrower(f, middle, looks, start, enough)
        if not any(one.precise(enough) for one in looks.values()):
            wider(f, middle, looks, start, enough)
    # Where a wider look sees changes, a flat one stands on a stair. Among steady ones the error decides; where none
    # is, the widths tell nothing of one another, and the narrowest has the least to hide.
    seen = {h: one for h, one in looks.items() if np.isfinite(one.curve.slope) and not one.flat}
    if not seen:
        return Curve(np.nan, np.inf)
    steady = [one.curve for one in seen.values() if one.steady]
    found = min(steady, key=lambda curve: curve.error) if steady else seen[min(seen)].curve
    for curve in steady:  # where two contradict each other, one is not as good as it thinks
        apart = abs(curve.slope - found.slope) - curve.error
        if apart > found.error:
            found = replace(found, error=apart)
    return found if found.error <= 1e-6 * abs(found.slope) else with_kink(seen, found)


def narrower(
    f: Callable[[float], float], middle: float, looks: dict[float, Look], h: float, enough: float
) -> None:
    """Look closer, past kinks to the side, until it is precise or what is known no longer gets better."""
    best, worse = np.inf, 0
    while (h := h / 10) >= WIDTHS[0] and worse < 2:
        looks[h] = look(f, middle, h)
        if looks[h].precise(enough):
            break
        known = any(one.steady and one.curve.error < 1e-3 * abs(one.curve.slope) for one in looks.values())
        worse += looks[h].flat or (known and looks[h].curve.error >= best)
        best = min(best, looks[h].curve.error)


def wider(
    f: Callable[[float], float], middle: float, looks: dict[float, Look], h: float, enough: float
) -> None:
    """Look from further away, as long as this helps against noise."""
    before = looks[h].curve.error
    while (h := h * 10) <= WIDTHS[1]:
        looks[h] = look(f, middle, h)
        if looks[h].precise(enough) or looks[h].curve.error > before / 2:
            break
        before = looks[h].curve.error


def look(f: Callable[[float], float], middle: float, h: float) -> Look:
    """The slope from values at distances h."""
    values = np.array([f(t * h) if t else middle for t in EVEN.tolist()])
    between = np.array([f(t * h) for t in BETWEEN.tolist()])
    if not (np.isfinite(values).all() and np.isfinite(between).all()):
        return Look(Curve(np.nan, np.inf, np.inf, width=h), np.nan, np.nan, False, False)
    missed = float(np.abs(FORETELL @ (values - middle) - (between - middle)).max())
    rest = abs(float(np.diff(values, 6)[0])) / np.sqrt(924)  # as large as the noise, of noise alone
    noise = max(missed, rest, 0.25 * float(np.finfo(float).eps * np.abs(values).max()))
    change = float(np.ptp([*values, *between]))
    error = NOISE * noise / h
    return Look(
        Curve(float(CENTRAL @ (values - middle)) / h, error, noise, width=h),
        -float(ONE_SIDED @ (values[3::-1] - middle)) / h,
        float(ONE_SIDED @ (values[3:] - middle)) / h,
        steady=error < 0.1 * change / h,
        flat=change == 0,
    )


def with_kink(looks: dict[float, Look], found: Curve) -> Curve:
    """The curve with a kink at 0, if the slopes on both sides differ by the same however close they are taken."""
    close = [looks[h] for h in sorted(looks) if np.isfinite(looks[h].left)][:2]
    if len(close) < 2:
        return found
    jump, wider_jump = (one.right - one.left for one in close)
    size = max(abs(close[0].left), abs(close[0].right))
    smooth = any(one.curve.error < 0.3 * abs(jump) for one in looks.values())
    if smooth or abs(jump) <= 1e-4 * size or abs(jump - wider_jump) > 0.3 * abs(jump):
        return found
    middle = (close[0].left + close[0].right) / 2
    return replace(found, slope=float(middle), error=float(0.6 * abs(jump)), kink=True)
