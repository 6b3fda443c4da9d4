"""Which parameter each of the gradients is of, that somebody's code returns or leaves on its objects.

By name first (``W``, ``dW``, ``grad_W``, ``W_grad``, ``layers[0].dW``), where the names in a ``return dx, dW``
count too; then by order, if one order fits. Where two would do, the answer is a question and no guess.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from tinygrad_np.referee.intake.places import Path, inside

Keys: TypeAlias = tuple[Any, ...]
Argument: TypeAlias = "tuple[str, Any, Sequence[Parameter]]"  # its name, its value, and the parameters in it

BEFORE = (
    *("dloss_d", "dLoss_d", "d_loss_d_", "dL_d_", "dL_d", "dLd", "dE_d", "dEd", "dJ_d", "dJd", "dC_d", "dCd"),
    *("gradient_", "grad_", "grad", "delta_", "delta", "diff_", "nabla_", "del_", "d_", "g_", "d", "g", "D"),
    *("\u2202", "\u2207", "\u03b4"),  # the signs of partial derivatives, of gradients, and delta
)
AFTER = (
    "_gradient",
    "_grad",
    ".grad",
    "_grads",
    "grad",
    "Grad",
    "_delta",
    "_diff",
    "_deriv",
    "_bar",
    "_g",
    "_d",
)
SAME = {"weight": "w", "weights": "w", "bias": "b", "biases": "b"}
# What gradients are kept in, and what parameters are: no part of their names.
OF_GRADIENTS = {
    "grads",
    "grad",
    "gradients",
    "gradient",
    "dparams",
    "d_params",
    "deltas",
    "derivatives",
    "g",
    "d",
}
OF_PARAMETERS = {"params", "parameters", "param", "weights", "theta", "model", "p"}
# A parameter that is an object has the two side by side, as in `W.data` and `W.grad`.
GRADIENT_OF_OBJECT = {"grad", "gradient", "g", "d", "deriv", "derivative"}
VALUE_OF_OBJECT = {"data", "value", "val", "v"}


@dataclass(frozen=True)
class Parameter:
    """A number or array of somebody's that may have a gradient: its name, all its places, and what it is."""

    name: str
    paths: tuple[Path, ...]
    value: Any
    root: str
    keys: Keys  # of its first place, without the root

    @property
    def given(self) -> bool:
        """Whether it is an argument or a global variable, or in one; else it is in the object of a method."""
        return bool(self.root == self.keys[0])

    @property
    def around(self) -> bool:
        """Whether it was not given, but stands in a variable around the functions."""
        return bool(self.paths[0][0].key == "globals")

    @property
    def direct(self) -> bool:
        """Whether it is an argument itself, and does not stand in one."""
        return len(self.keys) == 1 and self.given

    @property
    def whole(self) -> bool:
        """Whether it is whole numbers, which are parameters only if they are called so."""
        return np.asarray(self.value).dtype.kind in "iu"


@dataclass(frozen=True)
class Gradient:
    """What may be a gradient: where it was found, and its numbers."""

    keys: Keys
    value: np.ndarray
    root: str = ""  # "" if it was returned
    left: bool = False  # left on an object, where a parameter is no gradient of itself

    def __str__(self) -> str:
        names = [str(key) for key in self.keys]
        return ".".join(names) or "the gradient"


def spelled(name: str) -> set[str]:
    """What a name may be the gradient of: ``dW`` that of W."""
    found = {name[len(part) :].lstrip("_") for part in BEFORE if name.startswith(part)}
    found |= {name[: -len(part)] for part in AFTER if name.endswith(part)}
    return found - {""}


def likeness(gradient: Any, parameter: Any) -> int | None:
    """How a key says that it is the gradient of another: 0 by itself, 1 by how it is spelled, 2 nearly."""
    if gradient == parameter and isinstance(gradient, str) == isinstance(parameter, str):
        return 0
    if not isinstance(gradient, str) or not isinstance(parameter, str):
        return None
    meant = spelled(gradient)
    if parameter in meant:
        return 1

    def plain(name: str) -> str:
        name = name.replace("_", "").lower()
        return SAME.get(name, name)

    return 2 if plain(parameter) in {plain(name) for name in (gradient, *meant)} else None


@functools.lru_cache(maxsize=4096)  # the same names come in every case of a search
def alike(gradient: Keys, parameter: Keys) -> tuple[int, bool, int] | None:
    """How two places agree from the inside out: in how many keys, whether wholly, and how nearly."""
    gradients = [
        (gradient, 0),
        ((*(key for key in gradient[:-1] if key not in OF_GRADIENTS), *gradient[-1:]), 0),
    ]
    parameters = [parameter, (*(key for key in parameter[:-1] if key not in OF_PARAMETERS), *parameter[-1:])]
    if len(gradient) > 1 and gradient[-1] in GRADIENT_OF_OBJECT:
        gradients.append((gradient[:-1], -1))
    if len(parameter) > 1 and parameter[-1] in VALUE_OF_OBJECT:
        parameters.append(parameter[:-1])
    found = [(common_end(g, p), near) for g, near in gradients for p in parameters]
    return max(((*like[:2], min(like[2], near)) for like, near in found if like is not None), default=None)


def common_end(gradient: Keys, parameter: Keys) -> tuple[int, bool, int] | None:
    count, worst, named = 0, 0, False
    for g, p in zip(reversed(gradient), reversed(parameter), strict=False):
        near = likeness(g, p)
        if near is None:
            if count == 0 or (not isinstance(g, str) and not isinstance(p, str)):
                return None  # the third layer is not the second
            break
        count, worst, named = count + 1, max(worst, near), named or isinstance(g, str)
    whole = count == len(parameter)
    if not count or not (named or (whole and count == len(gradient))):
        return None
    return count, whole, -worst


def by_name(
    gradients: Sequence[Gradient], parameters: Sequence[Parameter]
) -> tuple[dict[str, np.ndarray], list[Gradient]]:
    """The gradients by the names of their parameters, and those that are of none.

    Raises
    ------
    ValueError
        A gradient may be that of several.
    """
    fits: list[tuple[tuple[int, int], Gradient, list[Parameter]]] = []
    aside = []
    for g in gradients:
        likes = {}
        for p in parameters:
            like = (len(p.keys), True, 0) if g.keys[-1:] == (p.name,) else alike(g.keys, p.keys)
            if like is None:
                continue
            exact = like[2] == 0
            if (p.whole and not exact) or (g.left and exact and not kept_apart(g)):
                continue
            if g.left and g.value.shape != np.shape(p.value):
                continue  # what lies about under such a name, as the gradient of one step does
            likes[p.name] = (p, (*like[:2], p.root == g.root, not p.around, like[2]))
        if not likes:
            aside.append(g)
            continue
        best = max(score for _, score in likes.values())
        fits.append(((-best[-1], -best[0]), g, [p for p, score in likes.values() if score == best]))
    found: dict[str, np.ndarray] = {}
    chosen: dict[str, tuple[tuple[int, int], Gradient]] = {}
    for score, g, likely in sorted(fits, key=lambda fit: fit[0]):
        free = [p for p in likely if p.name not in found]
        if len(free) > 1:
            raise ValueError(
                f"{g} may be the gradient of {' or of '.join(p.name for p in free)}: give gradients by the names "
                f"{', '.join(repr(p.name) for p in free)}"
            )
        if free:
            found[free[0].name] = g.value
            chosen[free[0].name] = score, g
            continue
        rival_score, rival = chosen[likely[0].name]
        if score == rival_score and not np.array_equal(g.value, rival.value, equal_nan=True):
            raise ValueError(
                f"both {rival} and {g} may be the gradient of {likely[0].name}: give one of them"
            )
        aside.append(g)
    order = [id(g.value) for g in gradients]
    return dict(sorted(found.items(), key=lambda item: order.index(id(item[1])))), aside


def kept_apart(gradient: Gradient) -> bool:
    """Whether what is called like a parameter stands in something called gradients."""
    return any(key in OF_GRADIENTS or key == "d" for key in gradient.keys[:-1])


def numbers(x: Any) -> np.ndarray | None:
    """An array of real numbers, of an array, a number, or a list of numbers; None of anything else."""
    if isinstance(x, list | tuple):
        if not x or not all(isinstance(i, int | float | np.number | list | tuple) for i in x):
            return None
        try:
            x = np.asarray(x)
        except ValueError:  # rows of several lengths
            return None
    if isinstance(x, bool) or not isinstance(x, int | float | np.number | np.ndarray):
        return None
    return np.asarray(x, dtype=np.float64) if np.asarray(x).dtype.kind in "fiu" else None


def gradients_in(x: Any, keys: Keys = (), depth: int = 0) -> Iterator[Gradient]:
    """All arrays in what was returned, with their places."""
    array = numbers(x)
    if array is not None:
        yield Gradient(keys, array)
    elif depth < 20:
        for step, item in inside(x):
            yield from gradients_in(item, (*keys, step.key), depth + 1)


def by_order(items: Sequence[Any], arguments: Sequence[Argument]) -> list[dict[str, np.ndarray]]:
    """The ways in which returned items are the gradients of arguments in their order; a few are enough to know."""
    ways: list[dict[str, np.ndarray]] = []

    def go(i: int, start: int, so_far: dict[str, np.ndarray]) -> None:
        if i == len(items):
            ways.append(so_far)
            return
        for j in range(start, len(arguments)):
            if len(ways) < 20 and (fit := fitted(items[i], arguments[j])) is not None:
                go(i + 1, j + 1, {**so_far, **fit})

    go(0, 0, {})
    if not ways and len(items) == len(arguments):
        fits = [fitted(item, argument, strict=False) for item, argument in zip(items, arguments, strict=True)]
        well = [fitted(item, argument) is not None for item, argument in zip(items, arguments, strict=True)]
        if all(fit is not None for fit in fits) and 2 * sum(well) >= len(items) - 1:  # one is transposed, say
            ways.append({name: g for fit in fits if fit for name, g in fit.items()})
    return ways


def fitted(item: Any, argument: Argument, strict: bool = True) -> dict[str, np.ndarray] | None:
    """An item as the gradient of an argument, of another shape unless `strict`; None if its form is another one."""
    _, value, parameters = argument
    if item is None:
        return {}
    array = numbers(item)
    if not inside(value):
        ok = array is not None and parameters and (not strict or array.shape == np.shape(value))
        return {parameters[0].name: array} if ok and array is not None else None
    if array is not None and isinstance(item, np.ndarray | np.number | float | int):
        return None
    found = list(gradients_in(item))
    if isinstance(item, Mapping) or not isinstance(item, list | tuple):
        named, _ = by_name(found, parameters)
        return named or None
    if len(found) != len(parameters):
        return None
    if any(g.value.shape != np.shape(p.value) for g, p in zip(found, parameters, strict=True)):
        return None
    return {p.name: g.value for g, p in zip(found, parameters, strict=True)}
