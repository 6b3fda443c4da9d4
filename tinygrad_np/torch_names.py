"""PyTorch's names: of parameters, ``dim`` and ``keepdim`` beside ``axis`` and ``keepdims``; and of functions.

A function of `functional` that is `torch_named` takes them, and is what the method of its name calls. Its errors
name it, whatever it is made of.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from tinygrad_np.errors import names_itself

P = ParamSpec("P")
R = TypeVar("R")

PARAMETERS = {
    **{"dim": "axis", "dims": "axis", "dim1": "axis1", "dim2": "axis2"},
    **{"keepdim": "keepdims", "unbiased": "ddof"},
}
FUNCTIONS: dict[str, Callable[..., Any]] = {}  # PyTorch's name -> the function of `functional`


def with_numpy_names(name: str, kwargs: dict[str, Any]) -> dict[str, Any]:
    """Arguments by name, those of PyTorch's under NumPy's names."""
    for theirs, ours in PARAMETERS.items():
        if theirs in kwargs:
            if ours in kwargs:
                raise TypeError(
                    f"{name} takes {ours} or {theirs}, which is PyTorch's name for it, and not both"
                )
            kwargs = {ours if key == theirs else key: value for key, value in kwargs.items()}
    return kwargs


def torch_parameters(function: Callable[P, R]) -> Callable[P, R]:
    """Let a function take ``dim`` and ``keepdim`` too, and its errors name it.

    For a type checker its parameters stay NumPy's.
    """
    name = function.__name__

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> R:
        return function(*args, **with_numpy_names(name, kwargs))

    return names_itself(call)


def torch_named(function: Callable[P, R]) -> Callable[P, R]:
    """The same, of a function that is also the method of its name; see `methods`."""
    call = FUNCTIONS[function.__name__] = torch_parameters(function)
    return call
