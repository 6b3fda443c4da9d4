"""The exact gradient of a problem: recorded, or from values of the loss alone, with what is not known of it."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np

from tinygrad_np.check.numerical import STEP, size
from tinygrad_np.referee.evidence.differences import Curve, curve_at_0
from tinygrad_np.referee.evidence.users_code import low_precision, truncating
from tinygrad_np.referee.intake.problem import Problem
from tinygrad_np.referee.recording.recorded import CannotRecord, record

RECORDED, COMPLEX_STEP, DIFFERENCES = "recorded", "complex step", "central differences"
FEW = 200  # coordinates of which each is worth its own derivative
PATIENCE = 1.0  # seconds that these may take
FINE = 1e-10  # a move, relative to the parameter, that float64 shows and float32 does not
SOUND = 1e-6  # how far the record's slope may be from that of the values, whose own error comes on top
LIFTED = 2e-3  # the same where float16 or float32 was taken as float64
TAKEN = " was taken as float64"  # as a record notes it
FLOAT32 = "float32 (dtype='f', np.float32, astype)"


@dataclass(frozen=True)
class Slope:
    """The derivative of the loss along a direction of the parameters, and the absolute error it may have.

    At a `kink` the slopes on both sides differ: the value is their mean, and the error covers both.
    """

    direction: dict[str, np.ndarray]
    value: float
    error: float
    kink: bool = False


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
        Where it was not recorded: slopes along random directions of each parameter alone.
    why : str
        Why the forward was not recorded, with file and line; empty where it was.
    doubts : tuple of str
        Why a disagreement would prove nothing: "float32 at lstm.py:12" that could not be replaced, values rounded
        on purpose. With one of these nothing is called wrong.
    notes : tuple of str
        What the user should know besides: that float64 was put in the place of float32, and where.
    doubted : dict of str to str
        Doubts that concern one parameter only.
    """

    method: str
    gradient: dict[str, np.ndarray]
    error: dict[str, float]
    slopes: dict[str, list[Slope]] = field(default_factory=dict)
    why: str = ""
    doubts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    doubted: dict[str, str] = field(default_factory=dict)


def exact_gradient(problem: Problem, guarded: bool = True) -> Exact:
    """The exact gradient: recorded if possible, else from values of the loss.

    What is recorded is believed only if it has the value and a slope of the plain forward: a forward that leaves
    NumPy for a moment, as ``b.item()`` does, loses a part of the record without a word. A complex step is believed
    only where differences agree. Not `guarded`, where the slope of the same code was looked at in cases before, its
    value alone is asked for. The whole gradient is given where the coordinates are few; of differences, where
    the hand gradient is not what they say.
    """
    exact, why = from_record(problem, guarded)
    return exact or replace(from_values(problem), why=why)


# --- recorded -----------------------------------------------------------------------------------------


def from_record(problem: Problem, guarded: bool = True) -> tuple[Exact | None, str]:
    """The exact gradient by recording the forward, or None and why not."""
    try:
        found = record(problem)
    except CannotRecord as error:
        return None, str(error)
    found.loss.backward()
    gradient = {name: np.zeros(p.shape) if p.grad is None else p.grad for name, p in found.parameters.items()}
    # Where float32 was taken as float64, the plain values are other ones; and what rounds moves in steps.
    slack = LIFTED if found.notes else SOUND
    if not found.doubts and (why := contradiction(problem, found.loss.item(), gradient, slack, guarded)):
        return None, why
    if not np.isfinite(
        found.loss.data
    ).all():  # an infinite loss may have a finite gradient, which tells nothing
        gradient = {name: np.full(g.shape, np.nan) for name, g in gradient.items()}
    nothing = dict.fromkeys(gradient, 0.0)
    return Exact(RECORDED, gradient, nothing, doubts=found.doubts, notes=in_short(found.notes)), ""


def in_short(notes: tuple[str, ...]) -> tuple[str, ...]:
    """What a record notes, with all that was float32 in one sentence."""
    lifted = [note.removesuffix(TAKEN) for note in notes if note.endswith(TAKEN)]
    others = tuple(note for note in notes if not note.endswith(TAKEN))
    if not lifted:
        return others
    digits = 3 if any("float16" in note for note in lifted) else 7
    told = f"as it stands this cannot be judged beyond {digits} digits, so float64 was put in its place"
    return (f"{listed(lifted)}: {told}", *others)


def contradiction(
    problem: Problem,
    loss: float,
    gradient: dict[str, np.ndarray],
    slack: float = SOUND,
    guarded: bool = True,
) -> str:
    """In what the record differs from the plain forward: its value, or its slope along one direction."""
    plain = problem.loss(problem.values)
    if not np.isclose(loss, plain, rtol=max(slack, 1e-9), atol=1e-12, equal_nan=True):
        return f"the record has another value than the forward, {loss:.9g} and not {plain:.9g}"
    if not guarded or not np.isfinite([loss, *(np.abs(g).sum() for g in gradient.values())]).all():
        return ""
    rng = np.random.default_rng(0)
    somewhere = {name: size(x) * rng.standard_normal(x.shape) for name, x in problem.values.items()}
    counts = {name: size(x) * float(np.linalg.norm(gradient[name])) for name, x in problem.values.items()}
    direction = alike(somewhere, counts)
    terms = [float((gradient[name] * v).sum()) for name, v in direction.items()]
    allowed = slack * float(np.linalg.norm(terms))
    there = slope(problem, direction, enough=0.1 * allowed)
    if abs(there.value - sum(terms)) <= 2 * there.error + allowed:
        return ""
    return f"the record has another slope than the forward, {sum(terms):.9g} and not {there.value:.9g}"


# --- from values --------------------------------------------------------------------------------------


Line: TypeAlias = Callable[[complex], complex]


def line(
    problem: Problem, direction: dict[str, np.ndarray], start: complex | None = None
) -> tuple[Line, float]:
    """The loss along a direction, as a function of one number; and how much of the direction its 1 is.

    That is as much as moves one parameter by its own size. Where the loss cannot be computed it is NaN. Its value
    at the `start` need not be computed again if it is known.
    """
    ratios = [float(np.abs(v).max()) / size(problem.values[name]) for name, v in direction.items() if v.size]
    unit = 1 / (max(ratios, default=1.0) or 1.0)
    moving = {name: v for name, v in direction.items() if v.any()}

    def loss(t: complex) -> complex:
        if t == 0:
            return problem.loss(problem.values) if start is None else start
        moved = {name: problem.values[name] + (t * unit) * v for name, v in moving.items()}
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if isinstance(t, complex):  # code that drops the imaginary part must not do so in silence
                warnings.simplefilter("error", np.exceptions.ComplexWarning)
            try:
                return problem.loss({**problem.values, **moved})  # type: ignore[no-any-return]
            except Exception:  # whatever it says to such a value, it has none there
                return np.nan

    return loss, unit


def slope(problem: Problem, direction: dict[str, np.ndarray], enough: float = 0.0) -> Slope:
    """The derivative of the loss along a direction of the parameters, from its values.

    Ten forwards, or some 50 where they are noisy or bend sharply, unless the error is small `enough` before.
    Parameters that are not named stay.
    """
    f, unit = line(problem, direction)
    curve = real_curve(f, enough=enough * unit)
    return Slope(direction, curve.slope / unit, curve.error / unit, curve.kink)


def real_curve(f: Line, like: Curve | None = None, enough: float = 0.0) -> Curve:
    return curve_at_0(lambda t: float(np.real(f(t))), like, enough)


def complex_slope(f: Line) -> float | None:
    """The derivative by complex step, f(x + ihv) = f(x) + ih J v + ...; None where complex numbers are refused."""
    value = f(1j * STEP)
    return float(np.imag(value)) / STEP if np.iscomplexobj(value) and np.isfinite(value) else None


def from_values(problem: Problem) -> Exact:
    """The exact gradient from values of the loss: slopes of each parameter, and all of it where that is quick."""
    rng = np.random.default_rng(0)
    many = min(max(24 // max(len(problem.values), 1), 3), 6)
    directions = {
        name: [{name: size(x) * rng.standard_normal(x.shape)} for _ in range(many if x.size else 0)]
        for name, x in problem.values.items()
    }
    start = problem.loss(problem.values)
    analytic = True
    first: dict[str, Curve] = {}  # of each parameter
    slopes: dict[str, list[Slope]] = {name: [] for name in directions}
    doubted: dict[str, str] = {}
    last = None
    for name, (direction, *_) in ((name, of_it) for name, of_it in directions.items() if of_it):
        f, unit = line(problem, direction, start)
        first[name] = last = curve = real_curve(f, last)
        slopes[name].append(Slope(direction, curve.slope / unit, curve.error / unit, curve.kink))
        # By complex step only where that never contradicts the differences.
        by_complex = complex_slope(f) if analytic else None
        analytic = by_complex is not None and bool(
            abs(by_complex - curve.slope) <= curve.error + 1e-5 * abs(curve.slope)
        )
        if doubt := rounded(problem, f, curve):
            doubted[name] = doubt
    # and only if they could have.
    analytic &= any(map(tells, first.values())) or all(c.slope == 0 for c in first.values())

    def measured(name: str, direction: dict[str, np.ndarray]) -> Slope:
        nonlocal analytic
        f, unit = line(problem, direction, start)
        if analytic and (value := complex_slope(f)) is not None:
            return Slope(direction, value / unit, complex_error(value, first[name]) / unit, first[name].kink)
        analytic = False
        curve = real_curve(f, first[name])
        return Slope(direction, curve.slope / unit, curve.error / unit, curve.kink)

    gradient: dict[str, np.ndarray] = {}
    errors: dict[str, float] = {}
    if not analytic and agrees(
        problem, slopes, {name: v[1][name] for name, v in directions.items() if v}, start
    ):
        return Exact(DIFFERENCES, gradient, errors, slopes, doubted=doubted)

    began = time.perf_counter()
    for name, found in slopes.items():
        if analytic:
            found.clear()
        found += [measured(name, direction) for direction in directions[name][len(found) :]]
    each = (time.perf_counter() - began) / max(sum(map(len, slopes.values())), 1)
    count = sum(x.size for x in problem.values.values())
    wanted = analytic or any(
        differs(problem.claimed[name], slopes[name]) for name in slopes if name not in doubted
    )
    if wanted and count <= FEW and count * each <= PATIENCE:
        for name, x in problem.values.items():
            units = [index_unit(x, index) for index in np.ndindex(x.shape)]
            by_element = [measured(name, {name: unit}) for unit in units]
            gradient[name] = np.array([s.value for s in by_element]).reshape(x.shape)
            error = np.array([s.error for s in by_element]).reshape(x.shape)
            errors[name] = float(np.linalg.norm(error))
            for s in slopes[name]:  # and together they must be what the slopes say
                v = s.direction[name]
                missed = abs(float((gradient[name] * v).sum()) - s.value) - s.error
                missed -= float(np.linalg.norm(error * v))
                if not missed <= 0:
                    errors[name] = max(errors[name], missed / float(np.sqrt(np.mean(v * v))))
    return Exact(COMPLEX_STEP if analytic else DIFFERENCES, gradient, errors, slopes, doubted=doubted)


def index_unit(x: np.ndarray, index: tuple[int, ...]) -> np.ndarray:
    unit = np.zeros(x.shape)
    unit[index] = 1.0
    return unit


def tells(curve: Curve) -> bool:
    return curve.error <= 1e-3 * abs(curve.slope)


def complex_error(value: float, found: Curve) -> float:
    """What a complex step may be wrong by, along a direction of a parameter of which one difference was taken."""
    return 1e-12 * abs(value) + 16 * found.noise if tells(found) else max(found.error, 16 * found.noise)


def agrees(
    problem: Problem, slopes: dict[str, list[Slope]], joint: dict[str, np.ndarray], start: complex
) -> bool:
    """Whether the hand gradient has all slopes, and one along a further direction of all parameters together.

    Then more directions would tell nothing new: that a wrong gradient has one right slope to six digits is the luck
    of one draw in a million, and here it would take two of them.
    """
    if any(differs(problem.claimed[name], slopes[name]) for name in joint):
        return False
    hand = {name: problem.claimed[name].reshape(v.shape) for name, v in joint.items()}
    weighted = alike(joint, {name: size(v) * float(np.linalg.norm(hand[name])) for name, v in joint.items()})
    f, unit = line(problem, weighted, start)
    curve = real_curve(f)
    there = Slope(weighted, curve.slope / unit, curve.error / unit, curve.kink)
    terms = [float((hand[name] * v).sum()) for name, v in weighted.items()]
    return bool(abs(there.value - sum(terms)) <= there.error + SOUND * float(np.linalg.norm(terms)))


def alike(directions: dict[str, np.ndarray], counts: dict[str, float]) -> dict[str, np.ndarray]:
    """Directions of parameters, so weighted that all count alike, as far as that can be: none is lost unseen."""
    most = max(counts.values(), default=0.0)
    weights = {name: min(most / c, 1e3) if c else 1e3 for name, c in counts.items()}
    return {name: (weights[name] if most else 1.0) * v for name, v in directions.items()}


def differs(hand: np.ndarray, slopes: list[Slope]) -> bool:
    """Whether a hand gradient has other slopes, so that it is worth knowing the exact one whole."""
    for s in slopes:
        (v,) = s.direction.values()
        if hand.size != v.size:
            return True
        value = float((hand.reshape(v.shape) * v).sum())
        if not abs(value - s.value) <= s.error + 1e-6 * abs(s.value):
            return True
    return False


def rounded(problem: Problem, f: Line, curve: Curve) -> str:
    """Why the values are too coarse to judge a parameter by, or "".

    A float64 that moves by 1e-10 of itself takes the value along; beside something that is float32, int, or
    rounded on purpose the value stays, or jumps. Where it never moves at all, it may be cut to whole numbers.
    """
    middle = float(np.real(f(0)))
    eps = float(np.finfo(float).eps) * abs(middle)
    step = min(max(1e5 * eps / abs(curve.slope), FINE / 10), FINE * 10) if curve.slope else FINE
    expected = step * curve.slope
    coarse = False
    if curve.error < 0.1 * abs(curve.slope) and abs(expected) > 1e3 * eps:
        coarse = not abs(float(np.real(f(step))) - middle - expected) <= 0.2 * abs(expected)
    noisy = not curve.kink and curve.noise > 1e-9 * abs(middle)
    if (coarse or noisy) and (places := low_precision(problem.forward, problem.call)):
        return f"something in your forward is float32 ({listed(places)})"
    stays = not coarse and abs(curve.slope) <= curve.error and float(np.real(f(1e-5))) == middle
    levels = stairs(f) if stays else set()
    spread = max(levels) - min(levels) > 1e6 * eps if levels else False
    if spread and (places := low_precision(problem.forward, problem.call)):
        return f"something in your forward is float32 ({listed(places)})"
    if coarse or spread or len(levels) == 1:
        if places := truncating(problem.forward, problem.call):
            return f"values are rounded in your forward ({listed(places)})"
        if spread:
            return "your forward moves in steps: it compares, or rounds, what depends on this"
    if coarse:
        return (
            "your forward does not follow a move of 1e-10: something in it is "
            + FLOAT32
            + ", or is rounded, or "
            "small beside large numbers"
        )
    return ""


def stairs(f: Line) -> set[float]:
    """The levels of a curve that is flat wherever it is looked at; none of one that is not."""
    points = np.linspace(-3.1, 3.3, 16).tolist()
    values = [float(np.real(f(t))) for t in points]
    return set(values) if values == [float(np.real(f(t + 1e-6))) for t in points] else set()


def listed(places: list[str]) -> str:
    return ", ".join(places[:3]) + (", ..." if len(places) > 3 else "")
