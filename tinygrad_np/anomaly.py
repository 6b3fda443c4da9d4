"""Anomalies: the first op whose output or gradient is not finite, and arrays written to before the way back.

Under `detect_anomaly` each node keeps a `Trace`: the line of the user's program that made it, and copies of the
arrays that went in and came out. The way back then looks at each gradient where it is made. Outside of it nothing
of this runs: it is a mode of recording, and one of those is asked for anyway.
"""

from __future__ import annotations

import linecache
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_np.grad_mode import ANOMALY, NO_GRAD, grad_mode, set_grad_mode

INSIDE = tuple(str(Path(module.__file__ or "").parent) for module in (sys.modules[__package__], np))


def detect_anomaly() -> set_grad_mode:
    """A context manager, or decorator, that finds where numbers stop being finite.

    Inside of it an error says which op was the first to make a NaN, or an infinity of finite numbers; which one's
    derivative did, on the way back; and which array was written to between the op that used it and the way back,
    so that the gradient would be wrong. Each with the line of the program that called the op. Recording becomes
    slower, and twice the memory is held, so it is for finding a fault and not for training.

    Raises
    ------
    FloatingPointError
        An output, or a gradient, is not finite.
    RuntimeError
        An array was written to.
    """
    mode = grad_mode()
    return set_grad_mode(mode | ANOMALY if mode != NO_GRAD else NO_GRAD)


class Trace:
    """Where an op was called, and what its arrays held then.

    Raises
    ------
    FloatingPointError
        The output holds a NaN, or an infinity although all arrays that went in are finite.
    """

    def __init__(self, name: str, inputs: Sequence[Any], out: Any):
        self.line = users_line()
        outs = out if type(out) is tuple else (out,)
        data = [np.asarray(getattr(x, "data", x) if not isinstance(x, np.ndarray) else x) for x in inputs]
        named = [(f"its argument {i}", x) for i, x in enumerate(data)]
        named += [("its result", np.asarray(one)) for one in outs]
        self.arrays = [(what, x, x.copy()) for what, x in named]
        finite_inputs = all(np.isfinite(x).all() for x in data)
        for one in outs:
            if np.isnan(one).any() or (finite_inputs and not np.isfinite(one).all()):
                had = "" if finite_inputs else ", and so is an array that went in"
                raise FloatingPointError(f"the result of {name} is not finite{had}; called at {self.line}")

    def check_unwritten(self, name: str) -> None:
        """Raise if an array holds something else by now."""
        for what, array, before in self.arrays:
            if not np.array_equal(array, before, equal_nan=True):
                raise RuntimeError(
                    f"{name}, called at {self.line}: {what}, {array.dtype}{list(array.shape)}, was written to "
                    "before the way back, and its gradient would be wrong; write to a copy"
                )


def users_line() -> str:
    """The file, line and text of the innermost call that is neither ours nor NumPy's."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(INSIDE):
        frame = frame.f_back
    path, number = frame.f_code.co_filename, frame.f_lineno
    return f"{path}:{number}: {linecache.getline(path, number).strip()}"


def watched(vjps_of: Callable[[Any], Any] | None) -> Callable[[Any], Any]:
    """The vjps of a node, with a look at its arrays before them, and at each gradient that they make."""

    def vjps_with_a_look(node: Any) -> Any:
        vjps = node.vjps if vjps_of is None else vjps_of(node)
        trace: Trace | None = node.replay[3] if node.replay else None
        if trace is not None:
            trace.check_unwritten(node.name)

        line = f"called at {trace.line}" if trace else "which was called outside of detect_anomaly()"

        def look(part: Any, g: Any) -> Any:
            """What a vjp sends back, if it is finite; a pole that nothing depends on may be removed yet."""
            for array in arrays_of(part):
                poles = node.elementwise and array.shape == np.shape(g)
                if not (np.isfinite(array) | (poles and np.asarray(arrays_of(g)[0] == 0))).all():
                    raise FloatingPointError(f"a gradient that {node.name} sends back is not finite; {line}")
            return part

        def look_at_both(vjp: Callable[[Any], Any]) -> Callable[[Any], Any]:
            def looking(g: Any) -> Any:
                if not all(np.isfinite(array).all() for array in arrays_of(g)):
                    raise FloatingPointError(
                        f"the gradient of the result of {node.name} is not finite; {line}"
                    )
                parts = vjp(g)
                return [look(p, g) for p in parts] if isinstance(parts, list | tuple) else look(parts, g)

            return looking

        if type(vjps) is tuple:
            return tuple([None if vjp is None else look_at_both(vjp) for vjp in vjps])
        return look_at_both(vjps) if callable(vjps) else vjps

    return vjps_with_a_look


def arrays_of(part: Any) -> list[np.ndarray]:
    """The arrays of a gradient: of a Tensor its data, of a sparse one its values, of a product its factors."""
    if isinstance(part, np.ndarray | np.generic):
        return [np.asarray(part)]
    if isinstance(part, list):  # one for each output
        return [array for one in part for array in arrays_of(one)]
    inside = [getattr(part, name) for name in ("data", "values", "x", "g") if hasattr(part, name)]
    return [array for one in inside for array in arrays_of(one)]
