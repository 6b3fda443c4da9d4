"""The gradient check: is the gradient that a function sends back the derivative of what it computes?

The independent derivative comes from forward values alone. By complex step, f(x + ihv) = f(x) + ih J v + ...,
whose only error is rounding, because nothing is subtracted (Squire and Trapp, 1998); by central differences
where a function does not continue to complex numbers. The two gradients are compared along a random direction
v and weighted with a random cotangent w, <w, J v> against <J^T w, v>. Not with a sum for a cotangent: the sum
of a softmax is constant, its gradient 0, and any wrong rule would pass. If they differ, every coordinate is
tried, so that the report says which one is wrong.

    python -m tinygrad_np.gradcheck

checks every primitive, layer, loss and optimizer of the installed version. To try a gradient that somebody
derived by hand, see `tinygrad_np.referee`.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tinygrad_np import tape
from tinygrad_np.tensor import Tensor
from tinygrad_np.transforms import grad, hvp

COMPLEX_TOLERANCE = 1e-12  # relative: rounding only
CENTRAL_TOLERANCE = 1e-7  # relative: the best step leaves about 1e-10, and curvature some more
ROUNDINGS = 16  # how many roundings of a value an error may come to
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


# --- the independent derivative -----------------------------------------------------------------------


def moved(points: Sequence[np.ndarray], step: complex, direction: Sequence[np.ndarray]) -> list[Tensor]:
    """The inputs one step further along a direction, as constants."""
    return [Tensor(x + step * v) for x, v in zip(points, direction, strict=True)]


def complex_step(
    f: Callable[..., Tensor], points: Sequence[np.ndarray], direction: Sequence[np.ndarray]
) -> np.ndarray | None:
    """The derivative along a direction by complex step, or None where `f` does not take complex numbers."""
    step = 1e-30  # nothing is subtracted, so it may be so small that its square is lost, in float32 too
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", np.exceptions.ComplexWarning)
            out = f(*moved(points, 1j * step, direction)).data
    except Exception:  # whatever a function says to complex numbers, it does not take them
        return None
    return np.imag(out) / step if out.dtype.kind == "c" else None


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


# --- the checks ---------------------------------------------------------------------------------------


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
    if difference == 0:
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


# --- all of the installed version ---------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """How one thing came out: `error` is the worst relative error, `fault` says what was wrong."""

    kind: str
    name: str
    cases: int
    error: float
    dtype: str
    fault: str = ""

    def __str__(self) -> str:
        verdict = f"worst relative error {self.error:.1e}" if not self.fault else f"FAILED: {self.fault}"
        return f"{self.kind:9} {self.name:32} {self.cases:4} cases, {self.dtype}, {verdict}"


def check_all(cases: int, seed: int, only: str | None = None) -> Iterator[Row]:
    """Check every primitive, layer, loss and optimizer that has a row of samples."""
    from tinygrad_np import samples  # which imports layers and optimizers: a check of one function needs none

    for kind, name, trial in samples.trials():
        if only is not None and only != name:
            continue
        worst, fault, done = 0.0, "", 0
        for i in range(cases):
            try:
                worst = max(worst, trial(np.random.default_rng([seed, i])))
            except Exception as error:  # a wrong rule may also raise; the other rows go on
                fault = f"in case {i} of seed {seed}: {type(error).__name__}: {error}"
            done += 1
            if fault:
                break
        yield Row(kind, name, done, worst, "float64", fault)
    for name in tape.PRIMITIVES:
        if name not in samples.SAMPLES and only in (None, name):
            yield Row("primitive", name, 0, 0.0, "float64", "has no row of samples to be checked with")


def main(argv: Sequence[str] | None = None) -> int:
    """Check the installed version; the exit status is 1 if anything failed."""
    parser = argparse.ArgumentParser(
        prog="python -m tinygrad_np.gradcheck",
        description="Check every primitive, layer, loss and optimizer against an independent derivative.",
    )
    parser.add_argument("--cases", type=int, default=200, help="cases for each (200)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", metavar="NAME", help="check this one alone")
    parser.add_argument("--json", action="store_true", help="print a JSON list instead of lines")
    args = parser.parse_args(argv)
    if args.cases < 1 or args.seed < 0:
        parser.error(f"--cases takes 1 or more, not {args.cases}, and --seed 0 or more, not {args.seed}")
    rows = []
    for row in check_all(args.cases, args.seed, args.only):
        rows.append(row)
        if not args.json:
            print(row, flush=True)
    if not rows:
        parser.error(f"nothing is called {args.only!r}")
    failed = sum(bool(row.fault) for row in rows)
    if args.json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
    else:
        print(f"{len(rows)} checked in {sum(row.cases for row in rows):,} cases, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
