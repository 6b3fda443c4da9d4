"""Draws what people pass: ordinary numbers, nasty ones, every dtype and memory layout, and what is no array."""

from __future__ import annotations

import datetime
import decimal
import fractions
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_np import Tensor

Rng = np.random.Generator
FLOATS = (np.float64, np.float32, np.float16)
OTHERS = (np.int8, np.int64, np.uint8, np.uint64, np.bool_)


def pick(rng: Rng, choices: Any) -> Any:
    """One of several things of any kind."""
    return choices[int(rng.integers(len(choices)))]


def a_shape(rng: Rng) -> tuple[int, ...]:
    """Up to three axes, with lengths from 0."""
    return tuple(int(n) for n in rng.integers(0, 4, rng.integers(0, 4)))


def nasty_numbers(dtype: np.dtype) -> list[float]:
    """What the range and the form of a floating-point dtype end in."""
    info = np.finfo(dtype)
    ends = [info.tiny, info.smallest_subnormal, info.max, -info.max, info.eps, np.sqrt(info.max)]
    return [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, *map(float, ends)]


def with_nasty_numbers(rng: Rng, x: np.ndarray) -> np.ndarray:
    """A copy in which some elements, one at least where there is one, are nasty."""
    x = np.array(x)
    if x.dtype.kind == "f" and x.size:
        places = rng.random(x.shape) < 0.3
        places.flat[rng.integers(x.size)] = True
        x[places] = rng.choice(nasty_numbers(x.dtype), int(places.sum()))
    return x


def laid_out(rng: Rng, x: np.ndarray) -> np.ndarray:
    """The same numbers: column by column, backwards, every second one, not writable, or with swapped bytes."""
    way = int(rng.integers(5))
    if way == 0:
        return np.array(x, order="F")
    if way == 1:
        return np.asarray(np.flip(np.flip(x).copy()))
    if way == 2:
        return np.asarray(np.repeat(x[..., np.newaxis], 2, axis=-1)[..., 0])
    if way == 3:
        x = np.array(x)
        x.flags.writeable = False
        return x
    return x.astype(x.dtype.newbyteorder(">"))


def of_another_dtype(rng: Rng, x: np.ndarray) -> np.ndarray:
    """The numbers in another dtype; as integers or bools they are other numbers."""
    if x.dtype.kind != "f":
        return x.astype(pick(rng, (np.int8, np.int32, np.uint16))) if x.dtype.kind in "iu" else x
    dtype = np.dtype(pick(rng, FLOATS) if rng.random() < 0.75 else pick(rng, OTHERS))
    with np.errstate(all="ignore"):
        return np.asarray(np.abs(x) if dtype.kind == "u" else x).astype(dtype)


# What holds numbers, but is no array of numbers: its values have to be taken for what they are, or refused.
PANDAS: dict[str, Callable[[np.ndarray], Any]] = {
    "Series": lambda x: _pandas().Series(np.ravel(x)),
    "DataFrame": lambda x: _pandas().DataFrame(x if x.ndim == 2 else np.ravel(x)[:, np.newaxis]),
}
ARRAY_LIKE: dict[str, Callable[[np.ndarray], Any]] = {
    "list": lambda x: x.tolist(),
    "tuple": lambda x: tuple(x.tolist()) if x.ndim else x.item(),
    "Python number": lambda x: x.flat[0].item() if x.size else 1.5,
    "NumPy number": lambda x: x.flat[0] if x.size else np.float32(1.5),
}
# What NumPy counts in another way, or has no numbers: it has to be refused, by name where one can say which.
FOREIGN: dict[str, Callable[[np.ndarray], Any]] = {
    "matrix": lambda x: _matrix(x),
    "masked": lambda x: np.ma.array(x, mask=np.arange(x.size).reshape(x.shape) % 2 == 0),
    "object": lambda x: x.astype(object),
    "Fraction": lambda x: fractions.Fraction(1, 3),
    "Decimal": lambda x: decimal.Decimal("0.1"),
    "pd.NA": lambda x: _pandas().NA,
    "timedelta64": lambda x: np.timedelta64(3, "D"),
    "datetime64": lambda x: np.datetime64("2020-02-02"),
    "date": lambda x: datetime.date(2020, 2, 2),
    "string": lambda x: "1.5",
    "bytes": lambda x: b"1.5",
    "strings": lambda x: x.astype(str),
    "None": lambda x: None,
    "dict": lambda x: {"a": 1.0},
    "set": lambda x: {1.0},
    "ragged list": lambda x: [[1.0], [2.0, 3.0]],
    "structured": lambda x: np.zeros(x.shape, [("a", "f4"), ("b", "i4")]),
    "function": lambda x: np.tanh,
}
COMPLEX: dict[str, Callable[[np.ndarray], Any]] = {
    "complex array": lambda x: np.asarray(x) + 1j,
    "complex": lambda x: 1 + 2j,
}
BIG: dict[str, Callable[[np.ndarray], Any]] = {
    "10**30": lambda x: 10**30,
    "2**64": lambda x: 2**64,
    "-1": lambda x: -1,
    "True": lambda x: True,
}


def _pandas() -> Any:
    import pandas

    return pandas


def is_pandas(x: Any) -> bool:
    """Whether it is a table or a column of pandas, which work as arrays."""
    return type(x).__module__.partition(".")[0] == "pandas" and hasattr(x, "to_numpy")


def _matrix(x: np.ndarray) -> Any:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.matrix(x if x.ndim <= 2 else np.ravel(x))


WRONG_STATIC: tuple[Any, ...] = (
    *(7, -9, 1.5, "x", None, (), (0, 0), (0, 9), [0], True, np.nan, np.inf, 10**30, -1, 0, 1j, b"0"),
    *((1.5,), np.array([0]), np.array(1.0), object, {"a": 1}, slice(None), ..., np.float64, "float16"),
)


def shown(x: Any) -> str:
    """An argument as it is written, where it is short."""
    if isinstance(x, Shown):
        return str(x)
    if isinstance(x, Tensor):
        return f"Tensor({shown(x.data)}{', requires_grad=True' if x.requires_grad else ''})"
    if isinstance(x, np.ndarray) and type(x) is np.ndarray:
        text = (
            f"np.array({x.tolist()!r}, {x.dtype.str!r})"
            if x.size
            else f"np.zeros({x.shape}, {x.dtype.str!r})"
        )
        return text.replace("nan", "np.nan").replace("inf", "np.inf")
    if isinstance(x, list | tuple) and any(isinstance(one, Tensor | np.ndarray) for one in x):
        return f"[{', '.join(map(shown, x))}]"
    if callable(x) and hasattr(x, "__name__"):
        return x.__name__
    with np.errstate(all="ignore"):  # pandas computes with its numbers to show them
        return " ".join(repr(x).split())


class Shown(str):
    """A text that is shown as it is."""

    __slots__ = ()


def shown_call(name: str, args: Any, kwargs: Any) -> str:
    """A call as it is written."""
    parts = [shown(a) for a in args] + [f"{key}={shown(value)}" for key, value in kwargs.items()]
    return f"{name}({', '.join(parts)})"[:700]
