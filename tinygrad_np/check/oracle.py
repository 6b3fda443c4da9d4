"""Every row against PyTorch, forward and back in float64; and what is taken at kinks, ties and poles.

PyTorch is an oracle here: others wrote it, many use it, and it shares no reading of a formula with us. It is
handed in as `torch`, and never imported here.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from operator import attrgetter
from typing import Any

import numpy as np

from tinygrad_np import functional, optim
from tinygrad_np.check.cases import LAYERS, LOSSES, OPS, OPTIMIZERS
from tinygrad_np.check.checks import Static, concatenate_outputs, gradient_of, op, real_parameters
from tinygrad_np.check.draw import Rng
from tinygrad_np.check.rows import Edge
from tinygrad_np.tensor import Tensor
from tinygrad_np.weights import from_torch, to_torch

TOLERANCE = 1e-10  # relative


def torch_function(torch: Any, name: str) -> Callable[..., Any] | None:
    """PyTorch's counterpart of a row's op, called as ours is; None where it has none."""
    counterpart = OPS[name].torch
    if counterpart is None:
        return None
    if isinstance(counterpart, str):
        function: Callable[..., Any] = attrgetter(counterpart or name)(torch)
        return function
    return partial(counterpart, torch)


def both(
    torch: Any, ours: Callable[..., Any], theirs: Callable[..., Any], arrays: Sequence[np.ndarray], g: Any
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Value and gradients of the same function here and in PyTorch, for one incoming gradient, or a random one."""
    tensors = [Tensor(x, requires_grad=True) if x.dtype.kind == "f" else x for x in arrays]
    others = [torch.tensor(np.array(x), requires_grad=x.dtype.kind == "f") for x in arrays]
    out, other = concatenate_outputs(ours(*tensors)), theirs(*others)
    if isinstance(other, tuple | list):
        other = torch.cat([part.flatten() for part in other])
    assert tuple(other.shape) == out.shape
    g = g.standard_normal(out.shape) if isinstance(g, np.random.Generator) else np.asarray(g, float)
    if not out.requires_grad:
        assert not other.requires_grad
        return
    out.backward(g)
    other.backward(torch.tensor(g))
    yield out.data, other.detach().numpy()
    for t, o in zip(tensors, others, strict=True):
        if isinstance(t, Tensor):
            # an argument on which nothing depends has no gradient at all in one of them
            yield gradient_of(t), np.zeros(t.shape) if o.grad is None else o.grad.numpy()


def compare_op(torch: Any, name: str, arrays: list[np.ndarray], static: Static, rng: Rng) -> None:
    """Value and gradient of an op, in float64."""
    theirs = torch_function(torch, name)
    if theirs is not None:
        for a, b in both(torch, partial(op(name), **static), partial(theirs, **static), arrays, rng):
            np.testing.assert_allclose(a, b, rtol=TOLERANCE, atol=1e-12)


def compare_edge(torch: Any, name: str, edge: Edge) -> None:
    """PyTorch takes the same at an edge, or something else, as the row says."""
    theirs = torch_function(torch, name)
    if theirs is None:
        return
    arrays = [np.asarray(x, float) for x in edge.arrays]
    ours, theirs = partial(op(name), **edge.static), partial(theirs, **edge.static)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the forward, such as the mean of nothing
        _, *gradients = both(torch, ours, theirs, arrays, edge.g)
    same = all(np.allclose(a, b, rtol=1e-12, atol=0, equal_nan=True) for a, b in gradients)
    assert same == (edge.torch == "same"), f"PyTorch sends back {[b for _, b in gradients]}"


def compare_layer(torch: Any, name: str, rng: Rng) -> None:
    """Outputs, all gradients and the state of a layer with the same weights, which are exchanged by name."""
    case = LAYERS[name](rng)
    if case.torch is None:
        return
    theirs = case.torch(torch).double()
    theirs.load_state_dict(to_torch(case.layer), strict=True)
    from_torch(case.layer, theirs.state_dict())
    call = partial(case.torch_call, torch) if case.torch_call else case.call
    for a, b in both(torch, partial(case.call, case.layer), partial(call, theirs), case.inputs, rng):
        np.testing.assert_allclose(a, b, rtol=TOLERANCE, atol=1e-12)
    for (ours, p), (key, q) in zip(
        case.layer.named_parameters().items(), theirs.named_parameters(), strict=True
    ):
        assert ours == key
        expected = np.zeros(p.shape) if q.grad is None else q.grad.numpy()
        np.testing.assert_allclose(gradient_of(p), expected, rtol=TOLERANCE, atol=1e-12, err_msg=key)
    for key, state in theirs.state_dict().items():  # what is written to in training, too
        np.testing.assert_allclose(case.layer.state_dict()[key], state.numpy(), rtol=TOLERANCE, err_msg=key)


def compare_loss(torch: Any, name: str, rng: Rng) -> None:
    """Value and gradients of a loss."""
    case = LOSSES[name].draw(rng)
    keywords = {
        key: torch.from_numpy(v) if isinstance(v, np.ndarray) else v for key, v in case.keywords.items()
    }
    ours, theirs = getattr(functional, name), getattr(torch.nn.functional, name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that "mean" is not the divergence
        for a, b in both(
            torch,
            lambda *inputs: ours(*inputs, *case.constants, **case.keywords),
            lambda *inputs: theirs(*inputs, *map(torch.from_numpy, case.constants), **keywords),
            case.inputs,
            rng,
        ):
            np.testing.assert_allclose(a, b, rtol=TOLERANCE, atol=1e-14)


def compare_optimizer(torch: Any, name: str, rng: Rng) -> None:
    """Twenty steps of an optimizer with the same settings; one parameter joins late, and is left out once."""
    if not OPTIMIZERS[name].torch:
        return
    usual = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)  # some of its numbers are Tensors of this dtype
    try:
        for settings in ({}, *OPTIMIZERS[name].settings):
            start = real_parameters(rng)
            parameters = [Tensor(p, requires_grad=True) for p in start]
            others = [torch.tensor(p, requires_grad=True) for p in start]
            ours, theirs = (
                getattr(o, name)(p, **settings) for o, p in ((optim, parameters), (torch.optim, others))
            )
            for step in range(20):
                for k, (p, q, g) in enumerate(zip(parameters, others, real_parameters(rng), strict=True)):
                    missing = k == 1 and step in (0, 1, 7)
                    p.grad, q.grad = (None, None) if missing else (g, torch.tensor(g))
                ours.step()
                theirs.step()
                for p, q in zip(parameters, others, strict=True):
                    np.testing.assert_allclose(
                        p.data, q.detach().numpy(), rtol=1e-11, atol=1e-13, err_msg=f"{settings}"
                    )
    finally:
        torch.set_default_dtype(usual)
