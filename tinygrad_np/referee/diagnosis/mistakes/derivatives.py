"""Wrong derivatives of activations and of softmax."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np

from tinygrad_np.referee.diagnosis.activations import KNOWN, Function
from tinygrad_np.referee.diagnosis.mistakes.mistake import Mistake, cut
from tinygrad_np.referee.diagnosis.mistakes.reading import Reading
from tinygrad_np.referee.diagnosis.wayback import Change, Key, together
from tinygrad_np.tape import Node

Formula: TypeAlias = Callable[[Any, Any], Any]  # of the input x and the output y


def softmaxes_wrong(r: Reading) -> Iterator[Mistake]:
    """The derivative of a softmax."""
    by_site: dict[Key, list[Function]] = defaultdict(list)
    for s in r.softmaxes:
        by_site[r.way.key[s.y]].append(s)
    for key, group in by_site.items():
        made = group[0].y

        def slip(
            name: str,
            text: str,
            formula: Any,
            group: list[Function] = group,
            key: Key = key,
            made: Node = made,
        ) -> Mistake:
            def change() -> Change | None:
                return together(
                    s.changed(lambda g, p=r.way.values[s.y], axis=s.axis: formula(g, p, axis)) for s in group
                )

            return Mistake(
                ("softmax", key, name),
                name,
                f"the derivative of the softmax {r.place(made)} {text}",
                r.way.site(made).where,
                change,
            )

        yield slip(
            "sum missing in the derivative of softmax",
            "is taken element by element: of p (g - sum(g p)) the term with the sum is missing",
            lambda g, p, axis: g * p,
        )
        yield slip(
            "softmax taken for a sigmoid",
            "is taken for that of a sigmoid, p (1 - p): only the diagonal of softmax's Jacobian",
            lambda g, p, axis: g * p * (1 - p),
        )
        yield slip("derivative of softmax missing", "is left out", lambda g, p, axis: g)
        yield slip(
            "factor p missing in the derivative of softmax",
            "has no factor p: it is g - sum(g p)",
            lambda g, p, axis: g - (g * p).sum(axis=axis, keepdims=True),
        )
        yield slip(
            "sum(g) in the derivative of softmax",
            "takes sum(g) for sum(g p)",
            lambda g, p, axis: p * (g - g.sum(axis=axis, keepdims=True)),
        )
        yield slip(
            "mean in the derivative of softmax",
            "takes the mean of g p for the sum",
            lambda g, p, axis: p * (g - (g * p).mean(axis=axis, keepdims=True)),
        )
        yield slip(
            "sign in the derivative of softmax",
            "adds the sum that is to be subtracted",
            lambda g, p, axis: p * (g + (g * p).sum(axis=axis, keepdims=True)),
        )
        yield slip(
            "sum over all axes in the derivative of softmax",
            "sums g p over all axes",
            lambda g, p, axis: p * (g - (g * p).sum()),
        )
        yield Mistake(
            ("softmax", key, "target"),
            "target missing in the gradient of softmax and cross entropy",
            f"the gradient of the softmax {r.place(made)} is p where p - y belongs: the target is not "
            "subtracted",
            r.way.site(made).where,
            cut([(s.y, 0) for s in group]),
        )
        for by, end in itertools.product((-1, 1), ("wrap", "same")):
            yield Mistake(
                ("softmax", key, "target", by, end),
                "target one step off",
                f"the target of the {'previous' if by < 0 else 'next'} step is subtracted from the softmax "
                f"{r.place(made)} (one step off)",
                r.way.site(made).where,
                lambda group=group, by=by, end=end: target_off(r, group, by, end),
            )
        for other in range(len(made.shape)):
            yield slip(
                f"softmax's sum over axis {other}",
                f"sums over the wrong axis, {other} where {group[0].axis} belongs",
                lambda g, p, axis, other=other: p * (g - (g * p).sum(axis=other, keepdims=True)),
            )


def target_off(r: Reading, group: list[Function], by: int, end: str) -> Change | None:
    """The gradient of a softmax that is read at one place a step, with the place of another step."""
    places = {}
    for s in group:
        users = [user for user, _ in r.way.users[s.y] if user.name == "getitem"]
        step = r.way.step.get(s.y)
        if len(users) != 1 or step is None:
            return None
        places[step] = users[0].replay[2]["index"]
    changes = []
    for s in group:
        step = r.way.step[s.y]
        ends = {"same": step, "wrap": min(places) if by > 0 else max(places)}
        there = places.get(step + by, places[ends[end]])

        def back(g: Any, s: Function = s, here: Any = places[step], there: Any = there) -> Any:
            p = r.way.values[s.y]
            target = np.zeros_like(p)
            target[there] = (g * p)[here]
            return target - p * (g * p).sum(axis=s.axis, keepdims=True)

        changes.append(s.changed(back))
    return together(changes)


def groups(r: Reading) -> Iterator[tuple[Key, str, list[Function]]]:
    """Activations that one wrong line or helper would change: of one site, of one kind, all but one, all."""
    by_site: dict[Key, list[Function]] = defaultdict(list)
    families: dict[Key, list[Function]] = defaultdict(list)
    for a in r.activations:
        by_site[r.way.key[a.y]].append(a)
        families[r.way.key[a.y][:-1]].append(a)
    for family, some in families.items():
        own = {r.way.key[a.y] for a in some}
        if len(own) > 1:
            by_site[(*family, "all")] = some
        if len(own) > 4:  # of units, and not of gates
            for key in own:
                del by_site[key]
    kinds: dict[str, list[Key]] = defaultdict(list)
    for key, some in by_site.items():
        kinds[some[-1].kind].append(key)
        yield key, f"the derivative of {some[-1].kind} at {r.place(some[-1].y)}", some
    for kind, keys in kinds.items():
        if len(keys) > 1:
            every = [a for key in keys for a in by_site[key]]
            yield (kind,), f"the derivative of each {kind}, as at {r.place(every[-1].y)},", every
        if len(keys) > 2:
            for left in keys:
                some = [a for key in keys if key != left for a in by_site[key]]
                but = f"the derivative of each {kind} but that at {r.place(by_site[left][-1].y)}"
                yield (kind, "but", left), but, some


def derivatives(r: Reading) -> Iterator[Mistake]:
    """The derivative of activations is left out, taken of the wrong argument, or another function's."""
    for key, what, group in groups(r):
        made = group[-1].y
        for name, (text, formula) in derivative_slips(group[-1].kind).items():
            yield Mistake(
                ("derivative", key, name),
                name,
                f"{what} {text}",
                r.shown(made).where,
                lambda group=group, formula=formula: with_formula(r, group, formula),
            )
    several = sorted({a.kind for a in r.activations})
    if len(several) > 1:
        for number, ending in enumerate(
            ("missing", "taken of its output", "taken of its input", "taken twice")
        ):
            made = r.activations[-1].y

            def change(ending: str = ending) -> Change | None:
                named = [
                    (a, derivative_slips(a.kind).get(f"derivative of {a.kind} {ending}"))
                    for a in r.activations
                ]
                return together(with_formula(r, [a], slip[1]) for a, slip in named if slip)

            texts = (
                "are left out",
                "are taken of the outputs where the inputs belong",
                "are the formulas for the outputs, and are given the inputs",
                "are multiplied with themselves",
            )
            yield Mistake(
                ("derivative", "all", ending),
                f"derivatives of the activations {ending}",
                f"the derivatives of all activations ({', '.join(several)}) {texts[number]}",
                r.shown(made).where,
                change,
            )


def with_formula(r: Reading, group: Iterable[Function], formula: Any) -> Change | None:
    """Activations with another derivative."""
    changes = []
    for a in group:
        with np.errstate(all="ignore"):
            factor = formula(r.way.values[a.x], r.way.values[a.y])
        changes.append(a.sends(factor))
    return together(changes)


def derivatives_off(r: Reading) -> Iterator[Mistake]:
    """The derivative of an activation is taken at another step."""
    for key, what, group in groups(r):
        if group[-1].y not in r.way.step:
            continue
        for by, end in itertools.product((-1, 1), ("zero", "wrap")):
            made = group[-1].y
            yield Mistake(
                ("derivative one step off", key, by, end),
                f"derivative of {group[-1].kind} one step off",
                f"{what} is taken at the {'previous' if by < 0 else 'next'} step (one step off)",
                r.shown(made).where,
                lambda group=group, by=by, end=end: derivative_off(r, group, by, end),
            )


def derivatives_elsewhere(r: Reading) -> Iterator[Mistake]:
    """The derivative of an activation is taken of another value."""
    by_site: dict[Key, list[Function]] = defaultdict(list)
    for a in r.activations:
        by_site[r.way.key[a.y]].append(a)
    for key, group in by_site.items():
        made = group[-1].y
        if KNOWN[group[-1].kind].of_output is None and group[-1].kind != "relu":
            continue
        for candidate, label, series, _ in r.series:
            sample = series.get(r.way.step.get(made))
            if candidate == key or sample is None or sample.shape != made.shape:
                continue

            def change(group: Any = group, series: Any = series) -> Change | None:
                changes = []
                for a in group:
                    factor = r.slope_at_output(a, series.get(r.way.step.get(a.y)))
                    if factor is None or factor.shape != a.y.shape:
                        return None
                    changes.append(a.sends(factor))
                return together(changes)

            yield Mistake(
                ("derivative of", key, candidate),
                f"derivative of {group[-1].kind} taken of {label.replace('`', '')}",
                f"the derivative of {group[-1].kind} at {r.place(made)} is taken of {label}",
                r.shown(made).where,
                change,
            )


def derivative_off(r: Reading, group: list[Function], by: int, end: str) -> Change | None:
    """Activations with the derivative of another step."""
    changes = []
    for a in group:
        step, key = r.way.step.get(a.y), r.way.key[a.y]
        if step is None:
            return None
        other = r.at.get((key, step + by))
        nodes = r.way.sites[key]
        if other is not None and other in r.known:
            factor: np.ndarray | None = r.slope(r.known[other])
        elif end == "wrap":
            factor = r.slope(r.known[nodes[-1 if by < 0 else 0]])
        elif by < 0 and key in r.states:
            factor = r.slope_at_output(a, r.state_before(key, 0))
        else:
            factor = r.slope_at_output(a, np.zeros_like(r.way.values[a.y]))
        if factor is None or factor.shape != a.y.shape:
            return None
        changes.append(a.sends(factor))
    return together(changes)


def derivative_slips(kind: str) -> Mapping[str, tuple[str, Formula]]:
    """What people write for the derivative of a function: a short name, what it is, and the formula."""
    known = KNOWN[kind]
    slips: dict[str, tuple[str, Formula]] = {
        f"derivative of {kind} missing": ("is left out", lambda x, y: np.ones_like(y)),
        f"derivative of {kind} taken of its output": (
            "is taken of its output where its input belongs",
            lambda x, y: known.of_input(y),
        ),
    }
    if known.of_output is not None:
        of_output = known.of_output
        slips[f"derivative of {kind} taken of its input"] = (
            "is the formula for its output, and is given its input",
            lambda x, y: of_output(x),
        )
    more: dict[str, tuple[str, Formula]] = {}
    if kind == "tanh":
        more = {
            "square missing in the derivative of tanh": (
                "is 1 - y where 1 - y^2 belongs",
                lambda x, y: 1 - y,
            ),
            "derivative of sigmoid in place of that of tanh": (
                "is that of a sigmoid, y (1 - y), and not 1 - y^2",
                lambda x, y: y * (1 - y),
            ),
            "derivative of sigmoid at the input in place of that of tanh": (
                "is that of a sigmoid of its input, and not 1 - y^2",
                lambda x, y: KNOWN["sigmoid"].of_input(x),
            ),
            "sign in the derivative of tanh": ("is 1 + y^2 where 1 - y^2 belongs", lambda x, y: 1 + y * y),
            "1 missing in the derivative of tanh": ("is y^2 where 1 - y^2 belongs", lambda x, y: y * y),
            "1 missing in the derivative of tanh, with a minus": (
                "is -y^2 where 1 - y^2 belongs",
                lambda x, y: -y * y,
            ),
            "square in the wrong place in the derivative of tanh": (
                "is (1 - y)^2 where 1 - y^2 belongs",
                lambda x, y: (1 - y) ** 2,
            ),
            "tanh in place of its derivative": ("is tanh itself", lambda x, y: y),
            "cube in the derivative of tanh": ("is 1 - y^3 where 1 - y^2 belongs", lambda x, y: 1 - y**3),
        }
    if kind == "sigmoid":
        more = {
            "derivative of tanh in place of that of sigmoid": (
                "is that of tanh, 1 - y^2, and not y (1 - y)",
                lambda x, y: 1 - y * y,
            ),
            "derivative of tanh at the input in place of that of sigmoid": (
                "is that of a tanh of its input, and not y (1 - y)",
                lambda x, y: KNOWN["tanh"].of_input(x),
            ),
            "1 - y missing in the derivative of sigmoid": ("is y where y (1 - y) belongs", lambda x, y: y),
            "y missing in the derivative of sigmoid": (
                "is 1 - y where y (1 - y) belongs",
                lambda x, y: 1 - y,
            ),
            "sign in the derivative of sigmoid": (
                "is y (1 + y) where y (1 - y) belongs",
                lambda x, y: y * (1 + y),
            ),
            "minus in the derivative of sigmoid": (
                "is y (y - 1) where y (1 - y) belongs",
                lambda x, y: y * (y - 1),
            ),
            "square in the derivative of sigmoid": ("is y (1 - y)^2", lambda x, y: y * (1 - y) ** 2),
            "y^2 in place of the derivative of sigmoid": (
                "is y^2 where y (1 - y) belongs",
                lambda x, y: y * y,
            ),
            "y^2 (1 - y) as the derivative of sigmoid": ("is y^2 (1 - y)", lambda x, y: y**2 * (1 - y)),
            "1 - y^2 times y as the derivative of sigmoid": ("is y (1 - y^2)", lambda x, y: y * (1 - y * y)),
        }
    if kind == "relu":
        more = {
            "relu in place of its derivative": ("is relu itself", lambda x, y: y),
            "relu's derivative on the wrong side": (
                "is 1 where the input is below 0",
                lambda x, y: (x <= 0) * 1.0,
            ),
        }
    if kind in ("square", "exp"):
        more = {
            f"derivative of {kind} is its input": ("is its input", lambda x, y: x),
            f"derivative of {kind} is its output": ("is its output", lambda x, y: y),
            f"derivative of {kind} is the constant 2": ("is 2", lambda x, y: np.full_like(y, 2)),
        }
    slips.update(more)
    slips[f"derivative of {kind} taken twice"] = (
        "is multiplied with itself",
        lambda x, y: known.of_input(x) ** 2,
    )
    slips[f"minus in the derivative of {kind}"] = ("has the wrong sign", lambda x, y: -known.of_input(x))
    return slips
