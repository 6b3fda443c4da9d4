"""Which of our functions answers to a name of PyTorch's: NumPy's of that name, `functional`'s, or a method.

NumPy has other names for some, and another order of arguments for others; the tables here translate. No entry adds
anything that our functions do not do themselves: each calls one function, with PyTorch's arguments in its places.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_np import Tensor, functional, nn, optim
from tinygrad_np.ops.constant import CONSTANT
from tinygrad_np.tape import NUMPY

# Names that differ, where the arguments come in the same order.
RENAMED = {
    "abs": "absolute",
    "acos": "arccos",
    "acosh": "arccosh",
    "asin": "arcsin",
    "asinh": "arcsinh",
    "atan": "arctan",
    "atan2": "arctan2",
    "atanh": "arctanh",
    "bmm": "matmul",
    "broadcast_tensors": "broadcast_arrays",
    "cat": "concatenate",
    "clamp": "clip",
    "clamp_max": "minimum",
    "clamp_min": "maximum",
    "column_stack": "column_stack",
    "concat": "concatenate",
    "det": "linalg.det",
    "div": "divide",
    "eq": "equal",
    "equal": "array_equal",
    "fix": "trunc",
    "ge": "greater_equal",
    "ger": "outer",
    "gt": "greater",
    "inverse": "linalg.inv",
    "le": "less_equal",
    "lt": "less",
    "mm": "matmul",
    "movedim": "moveaxis",
    "mul": "multiply",
    "mv": "matmul",
    "ne": "not_equal",
    "neg": "negative",
    "pinverse": "linalg.pinv",
    "pow": "power",
    "repeat_interleave": "repeat",
    "row_stack": "vstack",
    "sgn": "sign",
    "sub": "subtract",
    "swapdims": "swapaxes",
    "t": "transpose",
    "transpose": "swapaxes",
    "trapz": "trapezoid",
    "true_divide": "divide",
    "unsqueeze": "expand_dims",
    "view": "reshape",
}

ANOTHER = {"select", "split"}  # what NumPy does under these names is something else

KEYWORDS = {
    "dim": "axis",
    "dims": "axis",
    "keepdim": "keepdims",
    "correction": "ddof",
    "diagonal": "k",
    "dim1": "axis1",
    "dim2": "axis2",
    "interpolation": "method",
    "shifts": "shift",
}

OPERATORS = {"__rdiv__": "__rtruediv__"}  # of Python 2


def ordered(*parameters: str) -> Callable[..., Any]:
    """A call whose parameters after the first are given by name, being in another order in NumPy."""

    def call(function: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
        return function(x, **dict(zip(parameters, args, strict=False)), **kwargs)

    return call


def several(function: Any, x: Any, *values: Any, axis: Any = None) -> Any:
    """``x.reshape(2, 3)`` and ``x.reshape((2, 3))`` are the same to PyTorch."""
    return function(x, axis if not values else values[0] if len(values) == 1 else values)


def extreme(function: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
    """``torch.max`` of one tensor reduces, and of two it is NumPy's maximum."""
    if args and isinstance(args[0], Tensor | np.ndarray):
        return (np.maximum if function is np.max else np.minimum)(x, *args)
    return ordered("axis", "keepdims")(function, x, *args, **kwargs)


def spread(function: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
    """``torch.var`` and its kin divide by N - 1 unless `unbiased` or `correction` tells otherwise."""
    if args and isinstance(args[0], bool):
        args = (None, *args)
    given = {**dict(zip(["axis", "unbiased", "keepdims"], args, strict=False)), **kwargs}
    unbiased = given.pop("unbiased", True)
    ddof = given.pop("ddof", None)
    return function(x, ddof=int(unbiased) if ddof is None else ddof, **given)


# What an entry of PyTorch's list calls with the arguments of its samples, where it is not the op itself.
CALLED: dict[str, Callable[..., Any]] = {
    "linalg.lstsq": lambda f, a, b, driver: f(a, b),
    "linalg.lstsq (grad_oriented)": lambda f, a, b, driver: f(a, b)[:2],
    "linalg.pinv (singular)": lambda f, a, b: f(a @ np.swapaxes(b, -1, -2)),
    "nn.functional.embedding": lambda f, weight, indices, **more: f(indices, weight, **more),
    "nn.functional.embedding_bag": lambda f, weight, indices, **more: f(indices, weight, **more),
    "polygamma": lambda f, x, n: f(n, x),
    "special.polygamma": lambda f, x, n: f(n, x),
}


def one_by_one(function: Any, x: Any, *xs: Any, **kwargs: Any) -> Any:
    """PyTorch takes arrays as one list too."""
    return function(*x, **kwargs) if isinstance(x, list | tuple) else function(x, *xs, **kwargs)


def spaced(function: Any, x: Any, *, spacing: Any = None, axis: Any = None, edge_order: int = 1) -> Any:
    """``torch.gradient`` takes one distance or coordinates for each axis as `spacing`, NumPy one by one."""
    each = [] if spacing is None else spacing if isinstance(spacing, list | tuple) else [spacing]
    return function(x, *each, axis=axis, edge_order=edge_order)


REDUCE = ordered("axis", "keepdims")

# Other orders of arguments: NumPy's name, and how it is called with PyTorch's. Keywords are NumPy's by then.
ADAPTED: dict[str, tuple[str, Callable[..., Any]]] = {
    **{
        name: (name, REDUCE)
        for name in ("sum", "nansum", "mean", "nanmean", "prod", "amax", "amin", "all", "any")
    },
    **{name: (name, REDUCE) for name in ("argmax", "argmin", "count_nonzero")},
    "max": ("max", extreme),
    "min": ("min", extreme),
    "var": ("var", spread),
    "std": ("std", spread),
    "cov": ("cov", lambda f, x, ddof=1, **more: f(x, ddof=ddof, **more)),
    "diff": ("diff", lambda f, x, n=1, axis=-1, *ends, **more: f(x, n, axis, *ends, **more)),
    "atleast_1d": ("atleast_1d", one_by_one),
    "atleast_2d": ("atleast_2d", one_by_one),
    "atleast_3d": ("atleast_3d", one_by_one),
    "diagflat": ("diagflat", lambda f, x, offset=0: f(x, offset)),
    "einsum": ("einsum", lambda f, operands, equation: f(equation, *operands)),
    "expand": ("broadcast_to", several),
    "gather": ("take_along_axis", lambda f, x, axis, index: f(x, index, axis)),
    "gradient": ("gradient", spaced),
    "index_select": ("take", lambda f, x, axis, index: f(x, index, axis)),
    "take_along_dim": ("take_along_axis", lambda f, x, index, axis=None: f(x, index, axis)),
    "meshgrid": ("meshgrid", one_by_one),
    "permute": ("transpose", several),
    "repeat": ("tile", several),
    "reshape": ("reshape", several),
    "view": ("reshape", several),
    "tile": ("tile", several),
    "tensordot": ("tensordot", lambda f, x, y, axis=2: f(x, y, axis)),
    "unbind": ("unstack", lambda f, x, axis=0: f(x, axis=axis)),
    "where": ("where", lambda f, x, condition, y: f(condition, x, y)),
    "linalg.diagonal": ("diagonal", lambda f, x, offset=0, axis1=-2, axis2=-1: f(x, offset, axis1, axis2)),
    "linalg.matrix_rank": (
        "linalg.matrix_rank",
        lambda f, x, atol=None, rtol=None, **more: f(
            x, atol, **more, **({"rtol": rtol} if rtol is not None else {})
        ),
    ),
    "linalg.tensorsolve": ("linalg.tensorsolve", lambda f, a, b, axis=None: f(a, b, axis)),
    "linalg.vander": ("vander", lambda f, x, N=None: f(x, N, increasing=True)),
    "qr": ("linalg.qr", lambda f, x, some=True: f(x, "reduced" if some else "complete")),
    "linalg.svdvals": ("linalg.svd", lambda f, x: f(x, compute_uv=False)),
}


def in_numpy(name: str) -> Any:
    """The function of this dotted name in NumPy, or None."""
    found: Any = np
    for part in name.split("."):
        found = getattr(found, part, None)
    return found if inspect.isroutine(found) or isinstance(found, np.ufunc) else None


def answered(name: str) -> Any:
    """The function of NumPy, if Tensors answer it."""
    function = in_numpy(name)
    return function if function in NUMPY or function in CONSTANT else None


def with_numpy_keywords(function: Any, adapt: Callable[..., Any] | None) -> Callable[..., Any]:
    """It called with PyTorch's arguments. A ufunc has no name for its second one."""

    def call(*args: Any, **kwargs: Any) -> Any:
        more = {KEYWORDS.get(key, key): value for key, value in kwargs.items()}
        if "other" in more:
            args = (*args, more.pop("other"))
        return adapt(function, *args, **more) if adapt else function(*args, **more)

    return call


def candidates(name: str, variant: str = "") -> list[tuple[str, Callable[..., Any]]]:
    """Ours for an op of PyTorch's, each with what it is called: `functional` and methods take its arguments as
    they are, NumPy's functions translated. An empty list if there is none.
    """
    short = name.rpartition(".")[2]
    found: list[tuple[str, Callable[..., Any]]] = []
    if short in functional.__all__ and not name.startswith("masked."):  # which take a mask, by other rules
        found.append((f"functional.{short}", getattr(functional, short)))
    theirs, adapt = ADAPTED.get(name, (RENAMED.get(name, name.removeprefix("special.")), None))
    for called in (theirs, theirs.removeprefix("linalg.")):
        if name not in ANOTHER and (function := answered(called)) is not None:
            found.append((f"np.{called}", with_numpy_keywords(function, adapt)))
            break
    short = OPERATORS.get(short, short)
    method = getattr(Tensor, short, None)
    if isinstance(method, property):
        found.append((f"Tensor.{short}", method.fget))
    elif callable(method) and "." not in name and not hasattr(object, short):
        found.append((f"Tensor.{short}", method))
    if call := CALLED.get(f"{name} ({variant})", CALLED.get(name)):
        found = [(called, functools.partial(call, function)) for called, function in found]
    return found


def layer(name: str) -> Any:
    """Our layer or loss of the name of one of PyTorch's, or None."""
    return getattr(nn, name, None) if name in nn.__all__ else None


def optimizer(name: str) -> Any:
    """Our optimizer of the name of one of PyTorch's, or None."""
    return getattr(optim, name, None) if name in optim.__all__ else None
