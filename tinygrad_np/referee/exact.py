"""The exact gradient of a problem: recorded, or from values of the loss alone, with what is not known of it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tinygrad_np.check.numerical import COMPLEX_TOLERANCE, derivative, kinked, moved, size
from tinygrad_np.referee.problem import Problem
from tinygrad_np.referee.recorded import CannotRecord, record
from tinygrad_np.tensor import Tensor

RECORDED, COMPLEX_STEP, DIFFERENCES = "recorded", "complex step", "central differences"


@dataclass(frozen=True)
class Slope:
    """The derivative of the loss along a direction of the parameters, and the absolute error it may have."""

    direction: dict[str, np.ndarray]
    value: float
    error: float


@dataclass(frozen=True)
class Exact:
    """What is known of the exact gradient at a point.

    Attributes
    ----------
    method : str
        RECORDED, COMPLEX_STEP or DIFFERENCES.
    gradient : dict of str to ndarray
        The whole gradient by parameter; empty where only slopes are known.
    error : dict of str to float
        The Euclidean error that each of these may have.
    slopes : dict of str to list of Slope
        Where there is no gradient: slopes along random directions of each parameter alone.
    why : str
        Why the forward was not recorded, with file and line; empty where it was.
    doubts : tuple of str
        Why a disagreement would prove nothing: "float32 at lstm.py:12" that could not be replaced, values rounded
        on purpose. With one of these nothing is called wrong.
    notes : tuple of str
        What the user should know besides: "float32 at lstm.py:12 was taken as float64".
    """

    method: str
    gradient: dict[str, np.ndarray]
    error: dict[str, float]
    slopes: dict[str, list[Slope]] = field(default_factory=dict)
    why: str = ""
    doubts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def check_repeatable(problem: Problem) -> None:
    """Refuse a forward that is random."""
    if not np.array_equal(problem.loss(problem.values), problem.loss(problem.values), equal_nan=True):
        raise ValueError("your forward is random: fix its seed or pass the mask")


def slope(problem: Problem, direction: dict[str, np.ndarray]) -> Slope:
    """The derivative of the loss along a direction of all parameters, from its values."""
    names = list(problem.values)

    def value(*arrays: Tensor) -> Tensor:
        return Tensor(problem.loss({name: array.data for name, array in zip(names, arrays, strict=True)}))

    found, _, rounding = derivative(value, list(problem.values.values()), [direction[name] for name in names])
    return Slope(direction, float(found), float(rounding))


def exact_gradient(problem: Problem) -> Exact:
    """The exact gradient: recorded if possible, else from values of the loss.

    A forward that leaves NumPy for a moment, as ``b.item()`` does, loses a part of the record without a word.
    So the record is believed only if it has the value and a slope of the plain forward.
    """
    names, points = list(problem.values), list(problem.values.values())

    def value(*arrays: Tensor) -> Tensor:
        return Tensor(problem.loss({name: array.data for name, array in zip(names, arrays, strict=True)}))

    constants = [Tensor(x) for x in points]
    loss = value(*constants).item()
    if value(*constants).item() != loss and np.isfinite(loss):
        raise ValueError("the forward gives another value every time: seed what is random in it")

    try:
        recorded, why = record(problem), ""
    except CannotRecord as error:
        recorded, why = None, str(error)
    if recorded is not None:
        close = 1e-5 if recorded.notes else 1e-9  # where float32 was taken as float64 the values differ
        if not np.allclose(recorded.loss.data, loss, rtol=close, atol=close, equal_nan=True):
            why = f"its record has the value {recorded.loss.item():.6g}, and the forward {loss:.6g}"
        else:
            recorded.loss.backward()
            leaves = recorded.parameters
            exact = {name: np.zeros(p.shape) if p.grad is None else p.grad for name, p in leaves.items()}
            somewhere = [size(x) * np.random.default_rng(0).standard_normal(x.shape) for x in points]
            terms = [g * v for g, v in zip(exact.values(), somewhere, strict=True)]
            slope, _, rounding = derivative(value, points, somewhere)
            lifted = bool(recorded.notes)  # values that are rounded to float32 tell nothing of a slope
            scale = sum(float(np.abs(part).sum()) for part in terms)
            if (
                lifted
                or abs(slope - sum(part.sum() for part in terms)) <= 1e-5 * scale + rounding
                or kinked(lambda t: value(*moved(points, t, somewhere)).item(), 1e-5)
            ):
                return Exact(
                    RECORDED,
                    exact,
                    dict.fromkeys(exact, 0.0),
                    doubts=recorded.doubts,
                    notes=recorded.notes,
                )
            why = "its record has another slope than its values: something in it is not seen"

    exact = {}
    analytic = True
    for i, (name, x) in enumerate(zip(names, points, strict=True)):
        exact[name] = np.zeros(x.shape)
        for index in np.ndindex(x.shape):
            unit = [np.zeros_like(p) for p in points]
            unit[i][index] = 1
            exact[name][index], tolerance, _ = derivative(value, points, unit)
            analytic &= tolerance == COMPLEX_TOLERANCE
    return Exact(COMPLEX_STEP if analytic else DIFFERENCES, exact, dict.fromkeys(exact, 0.0), why=why)
