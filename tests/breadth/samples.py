"""PyTorch's samples of its ops: which there are, and which are not about us, by rule.

A sample is kept as NumPy arrays, from which the arguments of either side are made anew, so that no call sees what
another one wrote.
"""

from __future__ import annotations

import functools
import random
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.testing._internal import common_methods_invocations
from torch.testing._internal.common_methods_invocations import op_db
from torch.testing._internal.common_modules import module_db
from torch.testing._internal.common_optimizers import optim_db
from torch.testing._internal.opinfo.core import (
    BinaryUfuncInfo,
    OpInfo,
    ReductionOpInfo,
    ShapeFuncInfo,
    SpectralFuncInfo,
    UnaryUfuncInfo,
)

from tests.breadth.outcomes import WITHOUT_GRADIENT
from tinygrad_np import Tensor, functional, nn

# PyTorch's list seeds ops that draw at random within each call; here they shall be known by their random results.
common_methods_invocations.wrapper_set_seed = lambda op, *args, **kwargs: op(*args, **kwargs)

SEED = 0
MACHINE = {
    "device",
    "dtype",
    "layout",
    "memory_format",
    "pin_memory",
    "out",
}  # of a tensor as it lies in a machine
PYTORCH_ONLY = (torch.dtype, torch.device, torch.layout, torch.memory_format)


class LeftOut(Exception):
    """A sample is not about us; the message is the rule."""


def seed() -> None:
    """The same samples each time."""
    torch.manual_seed(SEED)
    np.random.seed(SEED)  # noqa: NPY002  PyTorch's lists draw from it
    random.seed(SEED)


def spread(items: list[Any], count: int) -> list[tuple[int, Any]]:
    """Up to so many of them from first to last, with their numbers."""
    chosen = np.linspace(0, len(items) - 1, min(count, len(items))).round().astype(int)
    return [(int(i), items[i]) for i in chosen]


@dataclass(eq=False)
class Leaf:
    """A tensor of PyTorch's, as an array."""

    array: np.ndarray
    requires_grad: bool


def frozen(value: Any, memo: dict[int, Any]) -> Any:
    """Arguments with each tensor as a `Leaf`; one that stands in two places is one leaf.

    Raises
    ------
    LeftOut
        They hold something that this project does not have.
    """
    if isinstance(value, torch.Tensor):
        if id(value) not in memo:
            if value.layout is not torch.strided or value.is_nested or value.is_quantized:
                raise LeftOut("sparse, nested and quantised tensors")
            if value.is_complex():
                raise LeftOut("complex numbers")
            if value.dtype in (torch.bfloat16, torch.float16):
                raise LeftOut("dtype, device, layout")
            memo[id(value)] = Leaf(value.detach().numpy().copy(), value.requires_grad), value
        return memo[id(value)][0]
    if isinstance(value, complex):
        raise LeftOut("complex numbers")
    if isinstance(value, PYTORCH_ONLY):
        raise LeftOut("dtype, device, layout")
    if isinstance(value, torch.Generator):
        raise LeftOut("random results")
    if isinstance(value, dict):
        if any(key in MACHINE and given is not None for key, given in value.items()):
            raise LeftOut("dtype, device, layout")
        return {key: frozen(one, memo) for key, one in value.items()}
    if isinstance(value, torch.Size):
        return tuple(value)
    if type(value) in (list, tuple):
        return type(value)(frozen(one, memo) for one in value)
    return value


def made(value: Any, make: Callable[[Leaf], Any], memo: dict[Leaf, Any]) -> Any:
    """Arguments anew, with each leaf made by a function; `memo` collects what was made, in order."""
    if isinstance(value, Leaf):
        if value not in memo:
            memo[value] = make(value)
        return memo[value]
    if isinstance(value, dict):
        return {key: made(one, make, memo) for key, one in value.items()}
    if type(value) in (list, tuple):
        return type(value)(made(one, make, memo) for one in value)
    return translated(value) if make is of_ours else value


def translated(value: Any) -> Any:
    """A layer of PyTorch's that is an argument itself, as ours of the same settings; anything else as it is."""
    if isinstance(value, torch.nn.PairwiseDistance):
        return functools.partial(
            functional.pairwise_distance, p=value.norm, eps=value.eps, keepdims=value.keepdim
        )
    if isinstance(value, torch.nn.TransformerEncoderLayer):
        linear, attention = value.linear1, value.self_attn
        return nn.TransformerEncoderLayer(
            linear.in_features,
            attention.num_heads,
            linear.out_features,
            value.dropout.p,
            "relu" if value.activation_relu_or_gelu == 1 else "gelu",
            value.norm1.eps,
            attention.batch_first,
            value.norm_first,
            linear.bias is not None,
            dtype=np.float64,
        )
    return value


def of_torch(leaf: Leaf) -> Any:
    """PyTorch's tensor."""
    return torch.tensor(leaf.array, requires_grad=leaf.requires_grad)


def of_ours(leaf: Leaf) -> Any:
    """Our Tensor of floating-point numbers; whole numbers and bools are plain arrays."""
    if leaf.array.dtype.kind == "f":
        return Tensor(leaf.array.copy(), requires_grad=leaf.requires_grad)
    return leaf.array.copy()


def shown(value: Any) -> str:
    """An argument in a few characters."""
    if isinstance(value, Leaf):
        mark = "*" if value.requires_grad else ""
        return f"{value.array.dtype}{list(value.array.shape)}{mark}"
    if isinstance(value, dict):
        return ", ".join(f"{key}={shown(one)}" for key, one in value.items())
    if type(value) in (list, tuple):
        inside = ", ".join(map(shown, value))
        if type(value) is list:
            return f"[{inside}]"
        return f"({inside},)" if len(value) == 1 else f"({inside})"
    text = " ".join(repr(value).split())
    return text if len(text) < 60 else f"{text[:57]}..."


def call_of(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """The arguments of a call, in a line."""
    return ", ".join(filter(None, [*map(shown, args), shown(kwargs)]))


@dataclass(frozen=True)
class Sample:
    """One call of one op: arguments, and what of its result is well defined."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    process: Callable[[Any], Any]

    def __str__(self) -> str:
        return call_of(self.args, self.kwargs)


def full_name(op: OpInfo) -> str:
    """With its variant, of which a few ops have several."""
    return f"{op.name} ({op.variant_test_name})" if op.variant_test_name else str(op.name)


def family(op: OpInfo) -> str:
    """The group of an op in the tables, by its name and by the kind of entry that PyTorch has made of it."""
    name = op.name
    for prefix, title in (
        ("linalg.", "linear algebra"),
        ("special.", "special functions"),
        ("masked.", "masked reductions"),
        ("fft.", "Fourier transforms"),
    ):
        if name.startswith(prefix):
            return title
    if name.startswith("nn.functional."):
        short = name.rpartition(".")[2]
        if "loss" in short or "cross_entropy" in short or short in ("kl_div", "cosine_similarity"):
            return "losses"
        images = ("conv", "pool", "fold", "pad", "interpolate", "upsample", "shuffle", "grid")
        if any(part in short for part in images):
            return "convolution, pooling, images"
        return "activations and layers"
    if not op.supports_autograd:
        return WITHOUT_GRADIENT
    for kind, title in (
        (SpectralFuncInfo, "Fourier transforms"),
        (ReductionOpInfo, "reductions"),
        (UnaryUfuncInfo, "element by element"),
        (BinaryUfuncInfo, "element by element"),
        (ShapeFuncInfo, "shapes, indices and the rest"),
    ):
        if isinstance(op, kind):
            return title
    return "shapes, indices and the rest"


def rule_of_op(op: OpInfo) -> None:
    """Refuse an op that is not about us as a whole."""
    if op.name.startswith(("sparse.", "to_sparse")):
        raise LeftOut("sparse, nested and quantised tensors")
    if op.name.endswith("_") and not op.name.endswith("__"):
        raise LeftOut("in place")
    if op.is_factory_function:
        raise LeftOut("no real numbers given")
    if torch.float64 not in op.supported_dtypes("cpu"):
        raise LeftOut(
            "complex numbers" if op.dtypes and all(d.is_complex for d in op.dtypes) else "no float64"
        )


def samples_of(op: OpInfo) -> tuple[list[Sample], list[str]]:
    """All samples of an op that are about us, and the rule of each that is left out."""
    seed()
    differentiable = op.supports_autograd and torch.float64 in op.supported_backward_dtypes("cpu")
    kept, rules = [], []
    for given in op.sample_inputs("cpu", torch.float64, requires_grad=differentiable):
        memo: dict[int, Any] = {}
        try:
            rule_of_op(op)
            args = frozen((given.input, *given.args), memo)
            kwargs = frozen(given.kwargs, memo)
            if not any(leaf.array.dtype.kind == "f" for leaf, _ in memo.values()):
                raise LeftOut("no real numbers given")
        except LeftOut as rule:
            rules.append(str(rule))
        else:
            kept.append(Sample(args, kwargs, given.output_process_fn_grad))
    return kept, rules


def ops() -> list[OpInfo]:
    """PyTorch's list of ops."""
    return list(op_db)


def modules() -> Iterator[tuple[Any, bool]]:
    """PyTorch's list of layers, while training, and while not where that differs."""
    for info in module_db:
        for training in (True, False) if info.train_and_eval_differ else (True,):
            yield info, training


def module_inputs(info: Any, training: bool) -> list[Any]:
    """Constructor arguments and inputs of one layer."""
    seed()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return list(
            info.module_inputs_func(
                info, device="cpu", dtype=torch.float64, requires_grad=True, training=training
            )
        )


def optimizers() -> list[Any]:
    """PyTorch's list of optimizers."""
    return list(optim_db)
