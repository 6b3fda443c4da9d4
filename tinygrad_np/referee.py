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

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np

from tinygrad_np.extras import need
from tinygrad_np.files import beside
from tinygrad_np.gradcheck import COMPLEX_TOLERANCE, derivative
from tinygrad_np.tensor import Tensor

Inputs: TypeAlias = Mapping[str, Any]
Forward: TypeAlias = Callable[..., Any]
HandGradient: TypeAlias = Callable[..., Mapping[str, np.ndarray]]

SWEEP = 6  # lengths of time that are tried when none is told


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
        The time steps, counted from 1, whose own contribution is wrong in the smallest case that fails; empty
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
        return all(f.right for f in self.findings.values())

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
            last = next(length for length, f in self.by_steps.items() if not all(x.right for x in f.values()))
            which = ", ".join(str(step) for step in self.wrong_steps)
            lines.append(f"at {self.steps}={last} the wrong term enters at time step {which} of {last}")
        return lines

    def to_frame(self) -> Any:
        """The findings as a pandas table, a row a parameter, or a row a parameter and length of time.

        Columns: `parameter`, `right`, `relative_error`, `cosine`, `index`, `hand`, `exact`, `fault`, and before
        them the length of time where there is one.
        """
        pandas = need("pandas")
        rows = [
            {self.steps: length, "parameter": name, **vars(f)}
            for length, findings in self.by_steps.items()
            for name, f in findings.items()
        ] or [{"parameter": name, **vars(f)} for name, f in self.findings.items()]
        return pandas.DataFrame(rows)

    def plot(self, path: str | os.PathLike[str]) -> None:
        """Write a heat map as PNG: the relative error by parameter and length of time."""
        columns = self.by_steps or {0: self.findings}
        names = list(self.findings)
        errors = np.array([[columns[c][name].relative_error for c in columns] for name in names])
        # a fault has no number, and counts as a whole error
        shown = np.log10(np.clip(np.nan_to_num(errors, nan=1.0), 1e-16, 1e4))
        figure = need("matplotlib.figure").Figure(
            figsize=(2.8 + 0.9 * len(columns), 1.2 + 0.4 * len(names)), layout="constrained"
        )
        axes = figure.subplots()
        image = axes.imshow(shown, aspect="auto", cmap="RdYlGn_r", vmin=-16, vmax=2)
        for row, name in enumerate(names):
            for column, length in enumerate(columns):
                f = columns[length][name]
                text = "?" if f.fault else f"{f.relative_error:.0e}"
                color = "white" if shown[row, column] < -12 else "black"  # on dark green
                axes.text(column, row, text, ha="center", va="center", size=8, color=color)
        axes.set_yticks(range(len(names)), names)
        axes.set_xticks(range(len(columns)), [f"{self.steps}={c}" if c else "" for c in columns])
        figure.colorbar(image, label="log10 of the relative error")
        axes.set_title("hand gradient against the exact one", size=10)
        with beside(path) as part:
            figure.savefig(part, format="png", dpi=120)


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
        The size of a `Case` that counts time steps.
    rtol : float
        The largest relative error of a parameter that is right.

    Returns
    -------
    Verdict
        ``verdict.agrees``, ``print(verdict)``, ``verdict.to_frame()``, ``verdict.plot(path)``.

    Raises
    ------
    ValueError
        The hand gradient names what is no input, or `forward` does not return one number.
    TypeError
        The input of a gradient is not float64.
    """

    def try_at(point: Any) -> tuple[dict[str, Finding], str]:
        return _findings(forward, hand_gradient, point.inputs if isinstance(point, Case) else point, rtol)

    point, tried = (inputs, 1) if isinstance(inputs, Case | Mapping) else _smallest(inputs, try_at)
    findings, method = try_at(point)
    by_steps: dict[int, dict[str, Finding]] = {}
    wrong_steps: list[int] = []
    if not isinstance(point, Case) or steps not in point.sizes:
        case_shown = str(point) if isinstance(point, Case) else ""
        return Verdict(findings, method, case_shown, steps, by_steps, wrong_steps, tried)
    for length in range(1, max(SWEEP, point.sizes[steps]) + 1):
        case = replace(point, sizes={**point.sizes, steps: length})
        by_steps[length] = try_at(case)[0]
        if not wrong_steps and not all(f.right for f in by_steps[length].values()):
            wrong_steps = _wrong_steps(forward, hand_gradient, case.inputs, length, rtol)
    return Verdict(findings, method, str(point), steps, by_steps, wrong_steps, tried)


def _smallest(strategy: Any, try_at: Callable[[Any], tuple[dict[str, Finding], str]]) -> tuple[Any, int]:
    """The smallest case that hypothesis finds to fail, or the last if none does; and how many it tried."""
    hypothesis = need("hypothesis")
    settings = hypothesis.settings(max_examples=200, deadline=None, database=None, derandomize=True)
    drawn = []

    def fails(point: Any) -> bool:
        drawn.append(point)
        return not all(f.right for f in try_at(point)[0].values())

    try:
        return hypothesis.find(strategy, fails, settings=settings), len(drawn)
    except hypothesis.errors.NoSuchExample:
        return drawn[-1], len(drawn)


def _findings(
    forward: Forward, hand_gradient: HandGradient, inputs: Inputs, rtol: float
) -> tuple[dict[str, Finding], str]:
    """Each parameter of the hand gradient at one point, and where the exact gradient came from."""
    by_hand = {name: np.asarray(g) for name, g in hand_gradient(**inputs).items()}
    unknown = [name for name in by_hand if name not in inputs]
    if unknown:
        raise ValueError(
            f"the hand gradient names {', '.join(unknown)}, and the inputs are {', '.join(inputs)}"
        )
    for name in by_hand:
        if np.asarray(inputs[name]).dtype != np.float64:
            raise TypeError(f"{name} is {np.asarray(inputs[name]).dtype}: the referee takes float64")
    exact, method = _exact(forward, inputs, list(by_hand))
    return {name: _finding(g, exact[name], rtol) for name, g in by_hand.items()}, method


def _finding(hand: np.ndarray, exact: np.ndarray, rtol: float) -> Finding:
    if hand.shape != exact.shape:
        return Finding(False, fault=f"has shape {hand.shape}, and its parameter {exact.shape}")
    if not np.isfinite(hand).all():
        return Finding(False, fault="is not finite")
    if not exact.size:
        return Finding(True, 0.0, 1.0)
    length, hand_length = float(np.linalg.norm(exact)), float(np.linalg.norm(hand))
    error = float(np.linalg.norm(hand - exact)) / (length or 1.0)
    product = length * hand_length
    cosine = float(np.vdot(hand, exact)) / product if product else np.nan
    index = tuple(int(i) for i in np.unravel_index(np.argmax(np.abs(hand - exact)), exact.shape))
    return Finding(error <= rtol, error, cosine, index, float(hand[index]), float(exact[index]))


def _exact(forward: Forward, inputs: Inputs, names: list[str]) -> tuple[dict[str, np.ndarray], str]:
    """The gradient with respect to these inputs: recorded if possible, else from forward values."""
    parameters = {name: Tensor(inputs[name], requires_grad=True) for name in names}
    try:
        loss = forward(**{**inputs, **parameters})
    except Exception:  # a function without a rule, or code that wants real arrays: values must do
        loss = None
    if isinstance(loss, Tensor) and loss.requires_grad and loss.size == 1:
        loss.backward()
        return {
            name: np.zeros(p.shape) if p.grad is None else p.grad for name, p in parameters.items()
        }, "recorded"

    def value(*arrays: Tensor) -> Tensor:
        given = {name: array.data for name, array in zip(names, arrays, strict=True)}
        number = np.asarray(forward(**{**inputs, **given}))
        if number.size != 1:
            raise ValueError(f"the forward returns one number, the loss, and here an array of {number.shape}")
        return Tensor(number.reshape(()))

    points = [parameters[name].data for name in names]
    value(*(Tensor(x) for x in points))  # a forward that fails by itself says so here
    somewhere = [np.random.default_rng(0).standard_normal(x.shape) for x in points]
    analytic = derivative(value, points, somewhere)[1] == COMPLEX_TOLERANCE
    exact: dict[str, np.ndarray] = {}
    for i, (name, x) in enumerate(zip(names, points, strict=True)):
        exact[name] = np.zeros(x.shape)
        for index in np.ndindex(x.shape):
            unit = [np.zeros_like(p) for p in points]
            unit[i][index] = 1
            exact[name][index] = derivative(value, points, unit, analytic)[0]
    return exact, "complex step" if analytic else "central differences"


def _wrong_steps(
    forward: Forward, hand_gradient: HandGradient, inputs: Inputs, length: int, rtol: float
) -> list[int]:
    """The time steps whose own contribution to a gradient is wrong.

    The gradient of a weight that multiplies the input x_t is a sum over time, sum_t d_t x_t^T. With every x_t
    but one set to 0, only one term is left, and its error is that of step t. Such weights are found as the
    elements whose gradient is 0 when all of x is, whatever the parameters; x is each input that is no
    parameter, with one row a step.
    """
    claimed = hand_gradient(**inputs)
    wrong = []
    series = [
        name
        for name, x in inputs.items()
        if name not in claimed and np.ndim(x) > 1 and len(x) == length and np.asarray(x).dtype == np.float64
    ]
    for name in series:
        x = np.asarray(inputs[name])
        rng = np.random.default_rng(0)  # parameters that are 0 at the start would silence others too
        anywhere = {p: np.asarray(inputs[p]) + rng.standard_normal(np.shape(inputs[p])) for p in claimed}
        silent = _exact(forward, {**inputs, **anywhere, name: np.zeros_like(x)}, list(claimed))[0]
        for t in range(length):
            only = np.zeros_like(x)
            only[t] = x[t]
            at_t = {**inputs, name: only}
            hand, exact = hand_gradient(**at_t), _exact(forward, at_t, list(claimed))[0]
            for parameter, zero in silent.items():
                reads_x = zero == 0
                right = np.allclose(
                    np.asarray(hand[parameter])[reads_x], exact[parameter][reads_x], rtol=rtol, atol=1e-12
                )
                if not right and t + 1 not in wrong:
                    wrong.append(t + 1)
    return sorted(wrong)
