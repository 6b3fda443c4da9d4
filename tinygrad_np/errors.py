"""Errors as one sentence: the function as it is called, with shapes and dtypes for arrays, and what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

BAD_INPUT = (
    ValueError,
    TypeError,
    IndexError,
    OverflowError,
    ZeroDivisionError,
    AttributeError,
)  # what NumPy says to it
WHAT_TO_DO = {  # about what LAPACK refuses
    "Singular matrix": "; np.linalg.pinv and np.linalg.lstsq take such a matrix",
    "Matrix is not positive definite": "; add a multiple of the identity to it, or use np.linalg.eigh",
}


def describe_error(name: str, error: Exception, args: Sequence[Any], static: dict[str, Any]) -> Exception:
    """The error of a primitive, with the shapes and dtypes that it was called with."""
    kinds = (IndexError, TypeError, np.linalg.LinAlgError)
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
