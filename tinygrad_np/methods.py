"""Methods of a Tensor that are functions elsewhere: what an ndarray or a ``torch.Tensor`` has, one line each.

A method of an ndarray takes what NumPy's function takes; one that only a ``torch.Tensor`` has is the function of
its name in `functional`. Both take PyTorch's ``dim`` and ``keepdim`` too. Methods with more to say are in `tensor`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_np.tape import NUMPY
from tinygrad_np.torch_names import FUNCTIONS, with_numpy_names


def method(function: Callable[..., Any] | str) -> Callable[..., Any]:
    """The method that calls a function of NumPy as Tensors answer it, or the one of this name in `functional`."""
    name = function if isinstance(function, str) else function.__name__

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        answer = FUNCTIONS[function] if isinstance(function, str) else NUMPY.get(function, function)
        return answer(self, *args, **with_numpy_names(name, kwargs))

    call.__name__ = name
    call.__doc__ = f"See `{'functional' if isinstance(function, str) else 'numpy'}.{name}`."
    return call


class Methods:
    """What `Tensor` inherits."""

    __slots__ = ()

    argmax = method(np.argmax)
    argmin = method(np.argmin)
    argsort = method(np.argsort)
    dot = method(np.dot)
    inner = method(np.inner)
    outer = method(np.outer)
    vdot = method(np.vdot)
    all = method(np.all)
    any = method(np.any)
    nonzero = method(np.nonzero)
    ravel = method(np.ravel)
    swapaxes = method(np.swapaxes)
    log_softmax = method("log_softmax")
    logsumexp = method("logsumexp")
    softmax = method("softmax")
