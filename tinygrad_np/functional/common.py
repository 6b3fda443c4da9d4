"""What the functions of this package ask of their input: numbers, indices, probabilities, a generator."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np

from tinygrad_np.operand import as_array
from tinygrad_np.tensor import Tensor

Reduction: TypeAlias = Literal["mean", "sum", "none"]
# A generator, a seed, or None for fresh entropy (SPEC 7). A string: evaluated, it would load all of np.random.
Rng: TypeAlias = "np.random.Generator | int | None"


def as_tensor(name: str, x: Any) -> Tensor:
    """What a function is given, as a Tensor."""
    return x if isinstance(x, Tensor) else Tensor(as_array(x, name))


def floats(name: str, x: Any) -> Tensor:
    """What a function is given, as a Tensor of floating-point numbers."""
    tensor = as_tensor(name, x)
    whole = tensor.dtype.kind not in "fc"
    return tensor.astype(np.result_type(tensor.dtype, np.float32)) if whole else tensor


def check_real(name: str, *arrays: Any) -> None:
    """Refuse complex numbers where the formula is that of real ones."""
    for x in arrays:
        if getattr(getattr(x, "dtype", None), "kind", "") == "c":
            raise TypeError(
                f"{name} takes real numbers here, and not {x.dtype}; use .data with NumPy's function"
            )


def conjugate(x: Any) -> Any:
    """The complex conjugate; of real numbers, which are what has a gradient, they themselves."""
    return np.conjugate(x) if getattr(getattr(x, "dtype", None), "kind", "") == "c" else x


def generator(name: str, rng: Rng) -> np.random.Generator:
    """The generator that a seed, a generator or None stands for."""
    try:
        return np.random.default_rng(rng)
    except (TypeError, ValueError) as error:
        raise type(error)(
            f"{name} takes a Generator, a seed or None for rng, not {rng!r}: {error}"
        ) from error


def check_indices(name: str, indices: Any, rows: int) -> np.ndarray:
    """Indices as an array, when all are whole numbers of rows that there are."""
    given = indices.data if isinstance(indices, Tensor) else indices
    array = as_array(given, name)
    if given is indices and array.shape == (0,) and array.dtype.kind == "f":
        array = array.astype(np.int64)  # np.array([]) is an array of floats
    if array.dtype.kind not in "iu":
        raise IndexError(f"{name} takes whole numbers for indices, not {array.dtype}")
    if array.size and not (array.min() >= 0 and array.max() < rows):
        raise IndexError(f"{name} of {rows} rows got indices from {array.min()} to {array.max()}")
    return array


def check_probability(name: str, p: Any) -> None:
    """Refuse what is no probability to drop."""
    if not (isinstance(p, int | float | np.number) and 0 <= p < 1):
        raise ValueError(f"{name} takes a probability from 0 to below 1, not {p!r}")


def check_number(name: str, what: str, value: Any, low: float = -np.inf, high: float = np.inf) -> float:
    """A setting, when it is a number within two bounds."""
    if not isinstance(value, int | float | np.number) or not low <= value <= high:
        raise ValueError(f"{name} takes a number{within(low, high)} for {what}, not {value!r}")
    return float(value)


def within(low: float, high: float) -> str:
    """Bounds in words."""
    return f" from {low:g}" * (low > -np.inf) + f" to {high:g}" * (high < np.inf)


def per_axis(name: str, axes: int, minimum: int = 0, **settings: Any) -> list[tuple[int, ...]]:
    """Whole numbers from a minimum, one for each axis, of which a single one holds for all; by their names."""
    found = []
    for key, value in settings.items():
        one = isinstance(value, int | np.integer)
        given = (
            (value,) * axes if one else tuple(value) if isinstance(value, list | tuple | np.ndarray) else ()
        )
        given = given * axes if len(given) == 1 else given
        if len(given) != axes or not all(isinstance(n, int | np.integer) and n >= minimum for n in given):
            raise ValueError(
                f"{name} takes a whole number from {minimum} for {key}, or one for each of its {axes} axes, "
                f"not {value!r}"
            )
        found.append(tuple(map(int, given)))
    return found
