"""The forward, run once more with recording arrays in the place of NumPy's: the loss as a Tensor with its graph."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinygrad_np.backward import toposort
from tinygrad_np.grad_mode import CREATE_GRAPH, GRAD, set_grad_mode
from tinygrad_np.referee.intake.problem import Problem
from tinygrad_np.referee.recording.answers import call
from tinygrad_np.referee.recording.arrays import Number, Recorded, as_tensor
from tinygrad_np.referee.recording.clones import Clones
from tinygrad_np.referee.recording.watch import CannotRecord, Frames, Watch, raised_at
from tinygrad_np.tensor import Tensor

__all__ = ["CannotRecord", "Record", "record"]


@dataclass(frozen=True)
class Record:
    """A recorded forward.

    Attributes
    ----------
    loss : Tensor
        The loss, a single number, with its graph.
    parameters : dict of str to Tensor
        The leaves.
    notes : tuple of str
        What was done to record it: "float32 at lstm.py:12 was taken as float64".
    doubts : tuple of str
        What the gradient does not see and differences do: values that are rounded or cut off on purpose.
    sites : dict of int to Frames
        With `trace`, by the number of a node: the user's code that made it, as (code, instruction), the outermost
        frame first.
    """

    loss: Tensor
    parameters: dict[str, Tensor]
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    sites: dict[int, Frames] = field(default_factory=dict)


def record(problem: Problem, trace: bool = False, without: Collection[float] = ()) -> Record:
    """Record the forward of a problem.

    Parameters
    ----------
    problem : Problem
        Whose forward, parameters and other data are used. None of them is changed.
    trace : bool
        Record for higher derivatives too, so that each node keeps how it was made, and fill `sites`.
    without : collection of float
        Numbers, such as an epsilon, in the place of which the user's code gets 0.

    Raises
    ------
    CannotRecord
        Something in it has no rule, or it fails with recorded arrays, or the loss depends on no parameter.
    """
    watch = Watch(call, _run.__code__, trace)
    clones = Clones(watch, without)
    parameters = {name: Tensor(x, requires_grad=True) for name, x in problem.values.items()}
    values = {name: Recorded(watch, tensor) for name, tensor in parameters.items()}
    mode = CREATE_GRAPH if trace else GRAD
    try:
        with set_grad_mode(mode), np.errstate(all="ignore"):
            loss = _run(problem, clones, values)
    except CannotRecord as error:
        raise watch.failed or error from None
    except Exception as error:
        if watch.failed is not None:
            raise watch.failed from error
        where = raised_at(error.__traceback__)
        raise CannotRecord(f"{type(error).__name__}: {error}", where) from error
    if watch.failed is not None:
        raise watch.failed
    if type(loss) in (Recorded, Number) and loss.size == 1:
        tensor = as_tensor(loss)
        if tensor.node is not None:
            loss = tensor if tensor.shape == () else tensor.reshape(())
            doubts = watch.doubts_of(toposort(tensor.node))
            return Record(loss, parameters, tuple(watch.notes), doubts, watch.sites)
    names = ", ".join(parameters)
    if watch.doubts:
        raise CannotRecord(f"{next(iter(watch.doubts))}, and nothing else in the loss depends on {names}")
    raise CannotRecord(f"the loss depends on none of {names} as far as it can be recorded")


def _run(problem: Problem, clones: Clones, values: dict[str, Any]) -> Any:
    """The call inside of which all frames are the forward's."""
    return problem.call(clones.convert, values)
