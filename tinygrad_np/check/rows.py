"""What a row is: all that the checks need to know of an op, a layer, a loss or an optimizer, in one place.

The rows themselves are in `cases`, and the checks in `checks`: they loop over the rows. Whoever adds an op writes
its rule and its row, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np

from tinygrad_np import nn
from tinygrad_np.check.draw import Arguments, Draw, Rng


@dataclass(frozen=True)
class Edge:
    """A point without a derivative to compare with, a tie, a kink or a pole, and the gradients documented there.

    `g` is the incoming gradient, of several outputs all in a row, and `expected` what comes back, an array for each
    array. `torch` says whether PyTorch sends back the same, or something else, which is then meant.
    """

    arrays: Sequence[Any]
    g: Any
    expected: Sequence[Any]
    static: Mapping[str, Any] = field(default_factory=dict)
    torch: Literal["same", "differs"] = "same"


@dataclass(frozen=True)
class Op:
    """How to try a primitive, or a function composed of primitives.

    Attributes
    ----------
    draw : callable
        Takes a generator and a shape of any number of axes, lengths 0 and 1 among them; returns arrays and static
        parameters.
    reference : callable, optional
        Takes the same, and returns what the op shall compute; NumPy's function of the row's name unless given.
    torch : str or callable, optional
        The name in ``torch`` (dots allowed), or a function of ``torch``, tensors and static parameters; the row's
        name unless given. None where it has none.
    analytic : bool
        Whether the forward continues to complex numbers.
    calls : sequence of (callable, arrays)
        Ways in which NumPy's function is called that the drawn case does not show: by position, by other keywords.
    edges : sequence of Edge
        Ties, kinks, poles.
    more : sequence of (arrays, static parameters)
        Cases that `draw` meets too seldom: of equal lengths a wrong order of axes raises no error.
    function : callable, optional
        What is tried; the primitive of the row's name unless given.
    prepare : callable, optional
        Takes the arrays as Tensors, and returns what the op is given in their place where derivatives are checked:
        a symmetric matrix, of an op that reads one triangle and sends back a symmetric gradient.
    """

    draw: Draw
    reference: Callable[..., Any] | None = None
    torch: str | Callable[..., Any] | None = ""
    analytic: bool = True
    calls: Sequence[tuple[Callable[..., Any], Sequence[np.ndarray]]] = ()
    edges: Sequence[Edge] = ()
    more: Sequence[Arguments] = ()
    function: Callable[..., Any] | None = None
    prepare: Callable[..., Sequence[Any]] | None = None


@dataclass(frozen=True)
class LayerCase:
    """One layer to try, in float64.

    `inputs` are arrays; those of floats are differentiated. `call` is how a layer is called with them, ours and
    PyTorch's, where that is not ``layer(*inputs)``. `torch` takes ``torch`` and returns its layer with the same
    settings; the weights are loaded by name. None where PyTorch has no such layer, or draws other random numbers.
    """

    layer: nn.Layer
    inputs: Sequence[np.ndarray]
    torch: Callable[[Any], Any] | None
    call: Callable[..., Any] = lambda layer, *inputs: layer(*inputs)
    torch_call: Callable[..., Any] | None = None  # where it is called in another way: (torch, layer, *inputs)


LayerRow: TypeAlias = Callable[[Rng], LayerCase]


@dataclass(frozen=True)
class LossCase:
    """One call of a loss: the function of its name in `functional`, and in ``torch.nn.functional``.

    `inputs` are differentiated, targets among them where that is meant; `constants` come behind them.
    """

    inputs: Sequence[np.ndarray]
    constants: Sequence[np.ndarray]
    reduction: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def keywords(self) -> dict[str, Any]:
        """All that is given by name."""
        return {**self.settings, "reduction": self.reduction}

    @property
    def point(self) -> list[np.ndarray]:
        """The inputs, the first made smaller: logits of 1,000 have slopes that no difference can tell from 0."""
        first, *others = self.inputs
        return [first / max(1.0, float(np.abs(first).max(initial=0.0)) / 3), *others]


@dataclass(frozen=True)
class Loss:
    """How to try a loss.

    Attributes
    ----------
    draw : callable
        Takes a generator, and returns a case.
    reference : callable
        The published formula: takes inputs, constants and settings, and returns a number an element; or these and
        what their sum is divided by for a mean.
    layer : str
        The name of the loss in `nn`, and in ``torch.nn``.
    """

    draw: Callable[[Rng], LossCase]
    reference: Callable[..., Any]
    layer: str


@dataclass(frozen=True)
class Optimizer:
    """How to try an optimizer.

    Attributes
    ----------
    rule : callable
        The published update, written out for one number: takes it, the list of its gradients, one a step, and the
        settings by name, and returns the number after all steps.
    settings : sequence of mapping
        Settings to try, besides the defaults: names and values are PyTorch's too.
    torch : bool
        Whether PyTorch has an optimizer of this name, and steps it by gradients of this kind.
    """

    rule: Callable[..., float]
    settings: Sequence[Mapping[str, Any]]
    torch: bool = True
