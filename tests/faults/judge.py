"""What must hold of a call: a right value and a right gradient, or one clear sentence. Everything else is a fault.

A judge answers None, or what is wrong, with the kind of fault in front of a colon.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import tinygrad_np
from tinygrad_np import RowGrad, Tensor
from tinygrad_np.errors import GradientLost

PACKAGE = str(Path(tinygrad_np.__file__).parent)
CLEAR = (ValueError, TypeError, IndexError, RuntimeError)
UNCLEAR = (RecursionError, NotImplementedError, UnicodeError)
LONGEST = 600  # characters of a sentence


class Fault(Exception):
    """What a judge found."""

    def __init__(self, kind: str, text: str):
        super().__init__(text)
        self.kind = kind


def judge_error(error: BaseException, names: Sequence[str]) -> None:
    """An error is one sentence of a type that says whose mistake it is, and names what was called.

    Names count as whole words. Beside the name there is something to go by: a number, a dtype, a quoted value. What
    NumPy says before it asks us (`np.stack(xs, casting=1)`) is in its own words.
    """
    frames = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
    ours = [name for name in frames if name.startswith(PACKAGE)]
    if ours and ours[-1].startswith(f"{PACKAGE}/check/cases"):
        return  # from the function that a row is tried by
    if isinstance(error, GradientLost) and ours and all(name.endswith("tensor.py") for name in ours):
        return  # NumPy asked a Tensor for its array, inside of a function that did not ask what to do
    kind, text = type(error), str(error)
    said = f"{kind.__name__}: {text[:300]}"
    if not isinstance(error, CLEAR) or isinstance(error, UNCLEAR):
        raise Fault(f"raises {kind.__name__}", said)
    if not text.strip():
        raise Fault("an error without a sentence", said)
    if "\n" in text.strip():
        raise Fault("an error of several lines", said)
    if len(text) > LONGEST:
        raise Fault("an endless error", f"{said} ({len(text):,} characters)")
    if not ours:
        return
    words = set(re.findall(r"\w+", text))
    if not words & set(names):
        raise Fault("an error without the op's name", f"{said} names none of {', '.join(names)}")
    if not re.search(r"[\d'\"\[(=]|dtype|object|string|not \w+", text):
        raise Fault("an error that shows no value, shape or dtype", said)


def flatten(out: Any) -> list[Any]:
    """Outputs in tuples and lists, one after another."""
    if isinstance(out, tuple | list):
        return [one for part in out for one in flatten(part)]
    return [out]


def judge_tensor(out: Tensor) -> None:
    """A Tensor holds a plain array of numbers; one with a gradient holds floats."""
    if type(out.data) is not np.ndarray:
        raise Fault("a Tensor that holds no plain array", f"it holds a {type(out.data).__name__}")
    if out.data.dtype.kind not in "biufc":
        raise Fault("a Tensor that holds no numbers", f"its dtype is {out.data.dtype}")
    if out.requires_grad and out.data.dtype.kind != "f":
        raise Fault(
            "a gradient through what is no float", f"the result requires a gradient and is {out.data.dtype}"
        )


def epsilon(*dtypes: np.dtype) -> float:
    """The coarsest of some dtypes, as the size of one rounding."""
    return max([float(np.finfo(d).eps) for d in dtypes if d.kind in "fc"], default=0.0) or 2**-52


def difference(a: Any, b: Any, roundings: float, eps: float, scale: float = 0.0) -> str | None:
    """Where two arrays differ by more than some roundings of their size; NaN and infinities have their places.

    `scale` is the size of the terms, where small numbers are sums of large ones.
    """
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape:
        return f"has shape {a.shape}, and should have {b.shape}"
    if not a.size or np.isinf(scale):  # of terms that overflow, another order makes other infinities
        return None
    if "b" in a.dtype.kind + b.dtype.kind or (a.dtype.kind in "iu" and b.dtype.kind in "iu"):
        wrong = a != b
    else:
        kind = np.complex128 if "c" in a.dtype.kind + b.dtype.kind else np.float64
        x, y = a.astype(kind), b.astype(kind)
        with np.errstate(all="ignore"):
            size = np.abs(y[np.isfinite(y)]).max(initial=0.0)
            near = np.abs(x - y) <= roundings * eps * (np.abs(y) + min(size, 1e6) + scale)
            wrong = ~(near & np.isfinite(y))
        wrong &= ~((x == y) | (np.isnan(x) & np.isnan(y)))
    if not np.any(wrong):
        return None
    place = tuple(int(i) for i in np.argwhere(wrong)[0]) if a.ndim else ()
    return f"is {a[place]} at {list(place)}, and should be {b[place]}"


def judge_value(
    out: Any,
    expected: Any,
    roundings: float = 64,
    same_dtype: bool = True,
    scale: float = 0.0,
    inputs: Sequence[np.dtype] = (),
) -> None:
    """Each output is the expected one, in value, shape, and, where NumPy says it, dtype.

    The coarsest dtype of the outputs and of the `inputs` says what a rounding is.
    """
    outs, others = flatten(out), flatten(expected)
    if len(outs) != len(others):
        raise Fault("another number of outputs", f"{len(outs)} outputs, and should be {len(others)}")
    for one, other in zip(outs, others):
        array = one.data if isinstance(one, Tensor) else one
        if isinstance(other, np.ma.MaskedArray) and isinstance(one, Tensor):
            raise Fault("a mask is lost", f"NumPy's result is masked, {other!r}, and this one is {array!r}")
        other = np.asarray(other)
        if other.dtype.kind not in "biufc":
            if isinstance(one, Tensor):
                raise Fault("an answer where there are no numbers", f"NumPy's result is {other.dtype}")
            continue
        eps = epsilon(np.asarray(array).dtype, other.dtype, *inputs)
        if wrong := difference(array, other, roundings, eps, scale):
            raise Fault("a wrong value", f"the value {wrong}")
        if (
            same_dtype
            and isinstance(one, Tensor)
            and one.dtype.newbyteorder("=") != other.dtype.newbyteorder("=")
        ):
            raise Fault("another dtype than NumPy's", f"{one.dtype}, and should be {other.dtype}")


def judge_leaf(leaf: Tensor) -> None:
    """What arrives at a leaf is an array of its shape and dtype, which may be written to."""
    g: Any = leaf.grad
    if g is None:
        return
    if type(g) is RowGrad:
        g = g.to_dense()
    if type(g) is not np.ndarray or g.shape != leaf.shape or g.dtype != leaf.dtype:
        found = f"{getattr(g, 'dtype', '?')}{list(getattr(g, 'shape', ()))}"
        raise Fault("a gradient unlike its leaf", f"{found} for a leaf of {leaf.dtype}{list(leaf.shape)}")
    if not g.flags.writeable:
        raise Fault("a gradient that cannot be written to", "an optimizer and zero_grad write to it")


def judge_constant(call: Callable[[Sequence[np.ndarray]], Any], points: Sequence[np.ndarray]) -> None:
    """What came without a gradient does not depend on the floats: a small step changes nothing of it."""
    usable = [x for x in points if x.dtype.kind == "f" and x.size and np.isfinite(x).all()]
    if not usable:
        return
    moved = [
        x + (1e-3 + 1e-2 * np.abs(x)).astype(x.dtype) * 0.37 if x.dtype.kind == "f" else x for x in points
    ]
    try:
        here, there = flatten(call(points)), flatten(call(moved))
    except Exception:
        return  # what asks for the kind of its arguments, and not for their numbers
    if len(here) != len(there):
        return  # as many as there are numbers of a kind: nothing that could have a derivative
    for a, b in zip(here, there):
        a, b = np.asarray(a), np.asarray(b)
        # a step function may jump, but then it does so by whole numbers
        smooth = a.dtype.kind == "f" and a.shape == b.shape and np.isfinite(a).all() and np.isfinite(b).all()
        if smooth and a.size and not np.array_equal(np.round(b - a), b - a):
            raise Fault(
                "a gradient is lost", f"the result changes from {a!r} to {b!r} and requires no gradient"
            )
