"""The referee: somebody derived a gradient by hand; is it right, and if not, where does it go wrong?

Both sides are plain NumPy. The forward is run on Tensors, which NumPy's functions record by themselves, so the
exact gradient is known to rounding; where that does not work, because a function has no rule or the forward
leaves NumPy, finite differences step in. Given cases of many sizes instead of one point, the referee looks for
the smallest case that fails, tries it at every length of time, and finds the time step at which a wrong term
enters.

    verdict = referee(forward, hand_gradient, {"x": x, "W": W})
    verdict = referee(forward, hand_gradient, testing.cases(make, T=(1, 6), hidden=(1, 4)))
    print(verdict)
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np

from tinygrad_np.check.numerical import COMPLEX_TOLERANCE, derivative, kinked, moved, size
from tinygrad_np.extras import import_optional
from tinygrad_np.files import atomic_write
from tinygrad_np.tensor import Tensor

Inputs: TypeAlias = Mapping[str, Any]
Forward: TypeAlias = Callable[..., Any]
HandGradient: TypeAlias = Callable[..., Mapping[str, np.ndarray]]


@dataclass(frozen=True)
class Case:
    """Inputs that can be made in many sizes: ``make(rng, **sizes)`` with a seeded generator."""

    make: Callable[..., Inputs]
    sizes: Mapping[str, int]
    seed: int = 0

    @property
    def inputs(self) -> Inputs:
        return self.make(np.random.default_rng(self.seed), **self.sizes)

    def __str__(self) -> str:
        return ", ".join([*(f"{name}={size}" for name, size in self.sizes.items()), f"seed {self.seed}"])


@dataclass(frozen=True)
class Finding:
    """How one parameter came out.

    `relative_error` is |hand - exact| / |exact| in Euclidean norm (|hand| where exact is 0), and `cosine` that
    of the angle between the two (NaN where one is 0). `index` is the place of the largest difference, with the
    values there. A gradient of another shape, or one that is not finite, has a `fault` instead of numbers.
    """

    right: bool
    relative_error: float = np.nan
    cosine: float = np.nan
    index: tuple[int, ...] = ()
    hand: float = np.nan
    exact: float = np.nan
    fault: str = ""


@dataclass(frozen=True)
class Verdict:
    """What the referee found.

    Attributes
    ----------
    findings : dict of str to Finding
        One a parameter, in the order of the hand gradient: at the smallest case that fails, or at the point
        given.
    case : str
        That case, where there are sizes.
    by_steps : dict of int to dict of str to Finding
        The same at each length of time, where there is one.
    wrong_steps : list of int
        The time steps, counted from 1, whose own contribution is wrong at the first length that fails; empty
        where that cannot be told.
    method : str
        Where the exact gradient comes from: "recorded", "complex step" or "central differences".
    steps : str
        The name of the size that counts time steps.
    tried : int
        How many cases were tried in the search for one that fails.
    """

    findings: dict[str, Finding]
    method: str
    case: str = ""
    steps: str = "T"
    by_steps: dict[int, dict[str, Finding]] = field(default_factory=dict)
    wrong_steps: list[int] = field(default_factory=list)
    tried: int = 1

    @property
    def agrees(self) -> bool:
        return not self.wrong

    @property
    def wrong(self) -> list[str]:
        """The names of the parameters that are wrong."""
        return [name for name, f in self.findings.items() if not f.right]

    def __str__(self) -> str:
        if self.agrees:
            lines = [f"agrees in all of {len(self.findings)} parameters (exact gradient: {self.method})"]
            if self.tried > 1:
                lines[0] += f", in {self.tried} cases"
        else:
            lines = [
                f"disagrees in {len(self.wrong)} of {len(self.findings)} parameters: {', '.join(self.wrong)}"
            ]
            lines[0] += f" (exact gradient: {self.method})"
            if self.case:
                lines.append(f"the smallest case that fails: {self.case}")
                if not self.by_steps:
                    lines.append(
                        f"no size is called {self.steps}, so nothing is said of time: name it with steps="
                    )
            lines += self._over_time()
        width = max([len(name) for name in self.findings], default=0)
        for name, f in self.findings.items():
            text = f"  {name:{width}}  {'right' if f.right else 'WRONG'}  "
            if f.fault:
                text += f.fault
            else:
                text += f"relative error {f.relative_error:.2g}"
                if not np.isnan(f.cosine):
                    text += f", cosine {f.cosine:.4f}"
                if not f.right:
                    text += f"; worst at {list(f.index)}: by hand {f.hand:.6g}, exact {f.exact:.6g}"
            lines.append(text)
        return "\n".join(lines)

    def _over_time(self) -> list[str]:
        """At which lengths of time which parameters turn wrong."""
        lines: list[str] = []
        seen: set[str] = set()
        for length, findings in self.by_steps.items():
            wrong = [name for name, f in findings.items() if not f.right]
            new = [name for name in wrong if name not in seen]
            if not wrong:
                lines.append(f"right at {self.steps}={length}")
            elif new:
                lines.append(
                    f"{'also' if seen else 'first'} wrong at {self.steps}={length} in {', '.join(new)}"
                )
            seen.update(wrong)
        if self.wrong_steps and not lines[0].startswith("first"):  # of a single step there is nothing to tell
            last = next(length for length, found in self.by_steps.items() if not _all_right(found))
            lines.append(
                f"at {self.steps}={last} the wrong term enters at time step {max(self.wrong_steps)} of {last}"
            )
        return lines

    def to_frame(self) -> Any:
        """The findings as a pandas table, a row a parameter, or a row a parameter and length of time.

        Columns: `parameter`, `right`, `relative_error`, `cosine`, `index`, `hand`, `exact`, `fault`, and before
        them the length of time where there is one.
        """
        pandas = import_optional("pandas")
        rows = [
            {self.steps: length, "parameter": name, **vars(f)}
            for length, findings in self.by_steps.items()
            for name, f in findings.items()
        ] or [{"parameter": name, **vars(f)} for name, f in self.findings.items()]
        return pandas.DataFrame(rows)

    def plot(self, path: str | os.PathLike[str]) -> None:
        """Write a heat map as PNG: the relative error by parameter and length of time."""
        columns = {f"{self.steps}={n}": found for n, found in self.by_steps.items()} or {"": self.findings}
        figure = import_optional("matplotlib.figure").Figure(
            figsize=(2.8 + 0.9 * len(columns), 1.2 + 0.4 * len(self.findings)), layout="constrained"
        )
        axes = figure.subplots()
        figure.colorbar(heat_map(axes, columns), label="log10 of the relative error")
        axes.set_title("hand gradient against the exact one (bold: wrong)", size=10)
        with atomic_write(path) as part:
            figure.savefig(part, format="png", dpi=120)


def heat_map(axes: Any, columns: Mapping[str, Mapping[str, Finding]]) -> Any:
    """Draw relative errors on matplotlib's axes: a row a parameter, a column for the findings of each label.

    The colours run from dark to bright in an order that colour-blind people see too, and what is wrong is bold.

    Returns
    -------
    matplotlib.image.AxesImage
        What a colour bar is made of: log10 of the relative error.
    """
    names = list(next(iter(columns.values())))
    cells = [[findings[name] for findings in columns.values()] for name in names]
    errors = np.array([[cell.relative_error for cell in row] for row in cells])
    # a fault has no number, and counts as a whole error
    shown = np.log10(np.clip(np.nan_to_num(errors, nan=1.0), 1e-16, 1e2))
    image = axes.imshow(shown, aspect="auto", cmap="cividis", vmin=-16, vmax=2)
    for (row, column), value in np.ndenumerate(shown):
        cell = cells[row][column]
        axes.text(
            column,
            row,
            "?" if cell.fault else f"{cell.relative_error:.2g}",
            ha="center",
            va="center",
            size=8,
            color="black" if value > -6 else "white",
            weight="normal" if cell.right else "bold",
        )
    axes.set_yticks(range(len(names)), names)
    axes.set_xticks(range(len(columns)), list(columns))
    return image


def referee(
    forward: Forward, hand_gradient: HandGradient, inputs: Any, *, steps: str = "T", rtol: float = 1e-6
) -> Verdict:
    """Try a gradient that was derived by hand.

    Parameters
    ----------
    forward : callable
        Takes the inputs by name, and returns one number: the loss. Plain NumPy.
    hand_gradient : callable
        Takes the same inputs, and returns a mapping of names to gradients of the loss: those of all inputs
        that somebody claims to know.
    inputs : mapping, Case, or hypothesis strategy of either
        A mapping of names to float64 arrays and whatever else `forward` takes: one point. A `Case`: one that
        can be made in other lengths of time. A strategy, such as `testing.cases` gives: the smallest case that
        fails is looked for (extra ``test``).
    steps : str
        The size of a `Case` that counts time steps. Those up to its own are tried, or those that were drawn.
    rtol : float
        The largest relative error of a parameter that is right.

    Returns
    -------
    Verdict
        ``verdict.agrees``, ``print(verdict)``, ``verdict.to_frame()``, ``verdict.plot(path)``.

    Raises
    ------
    ValueError
        The hand gradient names what is no input, or `forward` does not return one number, or not the same one
        every time.
    TypeError
        The hand gradient is no mapping of arrays, or the input of a gradient is not float64.
    """

    def try_at(point: Any) -> tuple[dict[str, Finding], str]:
        return _findings(forward, hand_gradient, point.inputs if isinstance(point, Case) else point, rtol)

    drawn: list[Any] = [inputs] if isinstance(inputs, Case | Mapping) else _search(inputs, try_at)
    point, tried = drawn[-1], len(drawn)
    findings, method = try_at(point)
    if not isinstance(point, Case) or steps not in point.sizes:
        return Verdict(findings, method, str(point) if isinstance(point, Case) else "", steps, tried=tried)

    # The same case at every length of time that was drawn, or up to its own.
    lengths = [case.sizes[steps] for case in drawn]
    shortest = 1 if len(drawn) == 1 else min(lengths)
    at = {n: replace(point, sizes={**point.sizes, steps: n}) for n in range(shortest, max(lengths) + 1)}
    by_steps = {length: try_at(case)[0] for length, case in at.items()}
    wrong_steps: list[int] = []
    first = next((length for length, found in by_steps.items() if not _all_right(found)), None)
    if first is not None:
        if _all_right(findings):  # right where it was asked, and wrong at another length
            findings, point = by_steps[first], at[first]
        if first == 1:
            wrong_steps = [1]
        elif first > shortest:
            wrong_steps = _wrong_steps(forward, hand_gradient, at[first].inputs, at[first - 1].inputs, rtol)
    return Verdict(findings, method, str(point), steps, by_steps, wrong_steps, tried)


def _all_right(findings: dict[str, Finding]) -> bool:
    return all(finding.right for finding in findings.values())


def _search(strategy: Any, try_at: Callable[[Any], tuple[dict[str, Finding], str]]) -> list[Any]:
    """The cases that hypothesis tried: the last is the smallest that fails, if any does."""
    hypothesis = import_optional("hypothesis")
    settings = hypothesis.settings(max_examples=200, deadline=None, database=None, derandomize=True)
    drawn: list[Any] = []

    def fails(point: Any) -> bool:
        drawn.append(point)
        return not _all_right(try_at(point)[0])

    try:
        smallest = hypothesis.find(strategy, fails, settings=settings)
    except hypothesis.errors.NoSuchExample:
        return drawn
    return [*drawn, smallest]


def _findings(
    forward: Forward, hand_gradient: HandGradient, inputs: Inputs, rtol: float
) -> tuple[dict[str, Finding], str]:
    """Each parameter of the hand gradient at one point, and where the exact gradient came from."""
    claimed = _claimed(hand_gradient, inputs)
    exact, method = _exact(forward, inputs, list(claimed))
    # Where the terms of an exact gradient cancel to 0, both sides have rounding left, that of the others' size.
    rounding = 1e-14 * max([float(np.linalg.norm(e)) for e in exact.values()], default=0.0)
    return {name: _finding(g, exact[name], rtol, rounding) for name, g in claimed.items()}, method


def _claimed(hand_gradient: HandGradient, inputs: Inputs) -> dict[str, np.ndarray]:
    """The hand gradient of a copy of the inputs: what it does to them is its own affair."""
    by_hand = hand_gradient(**copy.deepcopy(dict(inputs)))
    if not isinstance(by_hand, Mapping) or not by_hand:
        raise TypeError(
            f"the hand gradient returns a mapping of input names to gradients, and here {type(by_hand).__name__}"
        )
    unknown = [name for name in by_hand if name not in inputs]
    if unknown:
        raise ValueError(
            f"the hand gradient names {', '.join(unknown)}, and the inputs are {', '.join(inputs)}"
        )
    for name, g in by_hand.items():
        if np.asarray(inputs[name]).dtype != np.float64:
            raise TypeError(f"{name} is {np.asarray(inputs[name]).dtype}: the referee takes float64")
        if np.asarray(g).dtype.kind not in "fiu":
            raise TypeError(f"the hand gradient of {name} is no array of numbers, but {g!r}")
    return {name: np.asarray(g, dtype=np.float64) for name, g in by_hand.items()}


def _finding(hand: np.ndarray, exact: np.ndarray, rtol: float, rounding: float) -> Finding:
    if hand.shape != exact.shape:
        return Finding(False, fault=f"has shape {hand.shape}, and its parameter {exact.shape}")
    if not np.isfinite(exact).all():
        return Finding(
            False, fault="cannot be judged: the exact gradient is not finite here; try another point"
        )
    if not np.isfinite(hand).all():
        return Finding(False, fault="is not finite")
    if not exact.size:
        return Finding(True, 0.0)
    length, difference = float(np.linalg.norm(exact)), float(np.linalg.norm(hand - exact))
    product = length * float(np.linalg.norm(hand))
    cosine = float(np.vdot(hand, exact)) / product if product else np.nan
    index = tuple(int(i) for i in np.unravel_index(np.argmax(np.abs(hand - exact)), exact.shape))
    right = difference <= rtol * length + rounding
    return Finding(
        right, difference / (length or 1.0), cosine, index, float(hand[index]), float(exact[index])
    )


def _exact(forward: Forward, inputs: Inputs, names: list[str]) -> tuple[dict[str, np.ndarray], str]:
    """The gradient with respect to these inputs: recorded if possible, else from forward values.

    A forward that leaves NumPy for a moment, as ``b.item()`` does, loses a part of the record without a word.
    So the record is believed only if it has the value and a slope of the plain forward.
    """
    points = [np.asarray(inputs[name]) for name in names]

    def value(*arrays: Tensor) -> Tensor:
        given = {name: array.data.copy() for name, array in zip(names, arrays, strict=True)}
        number = np.asarray(forward(**{**copy.deepcopy(dict(inputs)), **given}))
        if number.size != 1:
            raise ValueError(f"the forward returns one number, the loss, and here an array of {number.shape}")
        return Tensor(number.reshape(()))

    constants = [Tensor(x) for x in points]
    loss = value(*constants).item()
    if value(*constants).item() != loss and np.isfinite(loss):
        raise ValueError("the forward gives another value every time: seed what is random in it")

    parameters = {name: Tensor(x, requires_grad=True) for name, x in zip(names, points, strict=True)}
    try:
        recorded = forward(**{**copy.deepcopy(dict(inputs)), **parameters})
    except Exception:  # a function without a rule, or code that wants real arrays: values must do
        recorded = None
    if (
        isinstance(recorded, Tensor)
        and recorded.requires_grad
        and np.allclose(recorded.data, loss, equal_nan=True)
    ):
        recorded.backward(np.ones(recorded.shape))
        exact = {name: np.zeros(p.shape) if p.grad is None else p.grad for name, p in parameters.items()}
        somewhere = [size(x) * np.random.default_rng(0).standard_normal(x.shape) for x in points]
        terms = [g * v for g, v in zip(exact.values(), somewhere, strict=True)]
        slope, _, rounding = derivative(value, points, somewhere)
        scale = sum(float(np.abs(part).sum()) for part in terms)
        if abs(slope - sum(part.sum() for part in terms)) <= 1e-5 * scale + rounding or kinked(
            lambda t: value(*moved(points, t, somewhere)).item(), 1e-5
        ):
            return exact, "recorded"

    exact = {}
    analytic = True
    for i, (name, x) in enumerate(zip(names, points, strict=True)):
        exact[name] = np.zeros(x.shape)
        for index in np.ndindex(x.shape):
            unit = [np.zeros_like(p) for p in points]
            unit[i][index] = 1
            exact[name][index], tolerance, _ = derivative(value, points, unit)
            analytic &= tolerance == COMPLEX_TOLERANCE
    return exact, "complex step" if analytic else "central differences"


def _wrong_steps(
    forward: Forward, hand_gradient: HandGradient, inputs: Inputs, shorter: Inputs, rtol: float
) -> list[int]:
    """The time steps, counted from 1, whose own contribution to a gradient is wrong.

    The gradient of a weight that multiplies the input x_t is a sum over time, sum_t d_t x_t^T. With every x_t
    but one set to 0, only one term is left, and its error is that of step t. Such weights are found as the
    elements whose gradient is 0 when all of x is, whatever the parameters; x is an input that is no parameter,
    and its time is the axis that is longer than in the `shorter` case.
    """
    claimed = list(_claimed(hand_gradient, inputs))
    rng = np.random.default_rng(0)
    by_series: list[set[int]] = []
    for name, x in inputs.items():
        shape = np.shape(x)
        if name in claimed or len(shape) != np.ndim(shorter[name]) or np.asarray(x).dtype != np.float64:
            continue
        longer = [i for i, (n, m) in enumerate(zip(shape, np.shape(shorter[name]), strict=True)) if n != m]
        if len(longer) != 1:
            continue
        nothing = {**inputs, name: np.zeros(shape)}
        draws = [
            _exact(
                forward,
                {**nothing, **{p: rng.standard_normal(np.shape(inputs[p])) for p in claimed}},
                claimed,
            )
            for _ in range(8)
        ]
        reads_x = {p: np.all([exact[p] == 0 for exact, _ in draws], axis=0) for p in claimed}
        wrong: set[int] = set()
        for t in range(shape[longer[0]]):
            only = np.moveaxis(np.zeros(shape), longer[0], 0)
            only[t] = np.moveaxis(np.asarray(x), longer[0], 0)[t]
            at_t = {**inputs, name: np.moveaxis(only, 0, longer[0])}
            try:
                hand = _claimed(hand_gradient, at_t)
            except Exception:  # it does not take an x of zeros, and then the step cannot be told
                return []
            exact = _exact(forward, at_t, claimed)[0]
            for parameter, mask in reads_x.items():
                if hand[parameter].shape == mask.shape and not np.allclose(
                    hand[parameter][mask], exact[parameter][mask], rtol=rtol, atol=1e-12
                ):
                    wrong.add(t + 1)
        if wrong:
            by_series.append(wrong)
    # What is read at a step shows its errors and, through the state, those of later steps; what the loss reads
    # there, such as labels that it is multiplied with, shows those of earlier ones. They agree on the step itself.
    return sorted(set.intersection(*by_series)) if by_series else []
