"""What stands beside Tensors: an array of numbers, or a Python number. What is neither is refused by name."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_np.errors import describe_argument


def as_array(x: Any, name: str = "") -> np.ndarray:
    """An array of numbers, of anything that NumPy makes one of; `name` is what an error begins with.

    Raises
    ------
    TypeError
        It holds something else than numbers; or it is an array of a class of its own, such as ``np.matrix`` or a
        masked array, whose operators mean something else, or whose mask would be lost.
    """
    begin = f"{name}: " if name else ""
    if type(x) is not np.ndarray and isinstance(x, np.ndarray) and not isinstance(x, np.memmap):
        if hasattr(x, "node"):
            return x  # a `recorded.RecordedArray`
        raise TypeError(
            f"{begin}{type(x).__module__}.{type(x).__name__} is an array with rules of its own, which would be "
            "lost; give np.asarray(...) of it, or of a masked array .filled(...)"
        )
    try:
        array = np.asarray(x)
    except (ValueError, OverflowError) as error:
        raise ValueError(
            f"{begin}no array of numbers can be made of {describe_argument(x)}: {error}"
        ) from error
    if array.dtype.kind not in "biufc":
        what = f"{array.dtype}" + f", made of {type(x).__name__}" * (array.dtype == object)
        raise TypeError(f"{begin}a Tensor holds numbers, and this has dtype {what}; make numbers of it first")
    return array


ndarray = np.ndarray
NUMBERS = frozenset(map(np.dtype, "?bBhHiIlLqQefdgFDG"))  # the dtypes of numbers, in the machine's byte order


def operand(name: str, x: Any) -> Any:
    """What a primitive is given beside Tensors, as its rule takes it: Python numbers stay as they are, so weak."""
    kind = type(x)
    if kind is ndarray:
        if x.dtype in NUMBERS:
            return x
    elif kind is float or kind is bool or kind is complex:
        return x
    elif kind is int:
        if -(2**63) <= x < 2**64:
            return x
        raise ValueError(
            f"{name}: the whole number {x} is too large for NumPy's integers; write it as a float"
        )
    return np.asarray(as_array(x, name))
