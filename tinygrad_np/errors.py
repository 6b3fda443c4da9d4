"""Errors as one sentence: the function as it is called, with shapes and dtypes for arrays, and what is wrong."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar

import numpy as np

P = ParamSpec("P")
R = TypeVar("R")


class GradientLost(RuntimeError):
    """A Tensor that requires a gradient was about to become an array, or a number."""


BAD_INPUT = (
    ValueError,
    TypeError,
    IndexError,
    OverflowError,
    ZeroDivisionError,
    AttributeError,
    GradientLost,
)  # what NumPy says to it
WHAT_TO_DO = {  # about what LAPACK refuses
    "Singular matrix": "; np.linalg.pinv and np.linalg.lstsq take such a matrix",
    "Matrix is not positive definite": "; add a multiple of the identity to it, or use np.linalg.eigh",
}


def describe_error(name: str, error: Exception, args: Sequence[Any], static: dict[str, Any]) -> Exception:
    """The error of a primitive, with the shapes and dtypes that it was called with."""
    kinds = (IndexError, TypeError, np.linalg.LinAlgError, RuntimeError)
    kind = next((k for k in kinds if isinstance(error, k)), ValueError)
    return kind(f"{describe_call(name, args, static)}: {error}{WHAT_TO_DO.get(str(error), '')}")


def describe_call(name: str, args: Sequence[Any], static: dict[str, Any]) -> str:
    """A call as it is written, with shapes and dtypes for arrays."""
    shown = [describe_argument(a) for a in args]
    shown += [f"{key}={describe_argument(value)}" for key, value in static.items()]
    return f"{name}({', '.join(shown)})"


def describe_argument(x: Any) -> str:
    """Shape and dtype of an array, those of the arrays in a list, and else what Python shows, on one line."""
    if isinstance(getattr(x, "shape", None), tuple) and hasattr(x, "dtype"):
        return f"{x.dtype}{list(x.shape)}"
    if isinstance(x, list | tuple) and any(hasattr(part, "shape") for part in x):
        return f"[{', '.join(map(describe_argument, x))}]"
    text = " ".join(repr(x).split())
    return text if len(text) <= 80 else f"{text[:77]}..."


def cause_of(error: Exception) -> Exception:
    """The error that a described one was made of."""
    cause = error.__cause__
    return cause if isinstance(cause, BAD_INPUT) else error


def numpy_name(function: Callable[..., Any]) -> str:
    """A function of NumPy as it is called: ``np.linalg.norm``."""
    module = getattr(function, "__module__", None) or "numpy"  # a ufunc has none
    return f"{module.replace('numpy', 'np', 1)}.{function.__name__}"


def names_itself(function: Callable[P, R], name: str | None = None) -> Callable[P, R]:
    """The same function, whose errors begin with its name, whatever of it was told of bad input."""
    known = name or function.__name__

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except BAD_INPUT as error:
            if str(error).startswith((f"{known}:", f"{known} ")):
                raise  # it has said all
            # what a primitive inside was told is told of this function
            raise describe_error(known, cause_of(error), args, kwargs) from error

    return call
