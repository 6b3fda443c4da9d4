"""One random call: a function with its arguments, and the judgement of what came of it."""

from __future__ import annotations

import functools
import importlib.util
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from tests.faults import values
from tests.faults.judge import (
    Fault,
    difference,
    epsilon,
    flatten,
    judge_constant,
    judge_error,
    judge_leaf,
    judge_tensor,
    judge_value,
)
from tests.faults.values import Rng, shown_call
from tinygrad_np import Tensor
from tinygrad_np.check import checks
from tinygrad_np.check.cases import LOSSES
from tinygrad_np.check.cases.decompositions import DECOMPOSITIONS
from tinygrad_np.check.cases.linalg import LINALG
from tinygrad_np.check.gradient import GradientError, gradcheck


@functools.cache
def torch() -> Any:
    """PyTorch, or None."""
    if importlib.util.find_spec("torch") is None:
        return None
    import torch

    torch.set_num_threads(1)
    return torch


@contextmanager
def quiet() -> Iterator[None]:
    """Without the warnings that nasty numbers deserve; but losing an imaginary part is an error."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", np.exceptions.ComplexWarning)
        yield


AT_FAULT = ("matrix", "MaskedArray")  # which an error may name instead of the op: they fit nowhere


class Call:
    """A function with its arguments, of which some are leaves: floating-point arrays that require a gradient.

    Attributes
    ----------
    function, reference : callable
        Ours, and NumPy's; both take the same arguments.
    args, kwargs
        Arrays and others as NumPy takes them. `leaves` are the places of those that become Tensors.
    names : sequence of str
        An error names one of them.
    ordinary : bool
        Whether it must not be refused where NumPy has an answer in numbers.
    benign : bool
        Whether the derivative can be had from differences: no nasty number, kink or pole.
    """

    def __init__(
        self,
        name: str,
        function: Callable[..., Any],
        reference: Callable[..., Any],
        args: Sequence[Any],
        kwargs: dict[str, Any] | None = None,
    ):
        self.name, self.function, self.reference = name, function, reference
        self.args, self.kwargs = list(args), dict(kwargs or {})
        self.names: list[str] = [name]
        self.ordinary = self.benign = True
        self.refusable = False  # a refusal is right, whatever the reference answers
        self.array_like: int | None = None  # the place of a list, or another thing that holds numbers
        self.uninitialised = False  # its values say nothing
        self.named = False  # takes keywords by a signature of its own, and names itself where one is wrong
        self.ours = True  # called by a name of ours: without a Tensor among the arguments too
        self.analytic = False
        self.same_dtype = True
        self.roundings = 64.0
        self.torch: Callable[..., Any] | None = None
        self.leaves: list[int] = []
        self.constants: list[int] = []  # Tensors without a gradient

    def choose_leaves(self, rng: Rng, at_least: int = 1) -> None:
        """Some of the arrays become Tensors, of the floats most of them leaves."""
        arrays = [i for i, a in enumerate(self.args) if type(a) is np.ndarray]
        floats = [i for i in arrays if self.args[i].dtype.kind == "f"]
        self.leaves = [i for i in floats if rng.random() < 0.8]
        self.constants = [i for i in arrays if i not in self.leaves and rng.random() < 0.3]
        if len(self.leaves) + len(self.constants) < at_least and arrays:
            one = int(rng.choice(floats or arrays))
            self.constants = [i for i in self.constants if i != one]
            (self.leaves if one in floats else self.constants).append(one)
        self.leaves.sort()

    def tensors(self) -> list[Any]:
        """The arguments with new Tensors in their places."""
        return [
            Tensor(a, requires_grad=True) if i in self.leaves else Tensor(a) if i in self.constants else a
            for i, a in enumerate(self.args)
        ]

    def of_leaves(self, *new: Any) -> Any:
        """Ours, with other arrays or Tensors for the leaves."""
        args = list(self.args)
        for i, x in zip(self.leaves, new):
            args[i] = x
        for i in self.constants:
            args[i] = Tensor(args[i])
        return self.function(*args, **self.kwargs)

    def __str__(self) -> str:
        return shown_call(self.name, [self._shown(i) for i in range(len(self.args))], self.kwargs)

    def _shown(self, i: int) -> Any:
        text = values.shown(self.args[i])
        if i in self.leaves:
            return values.Shown(f"Tensor({text}, requires_grad=True)")
        return values.Shown(f"Tensor({text})" if i in self.constants else text)

    def dtypes(self) -> list[np.dtype]:
        """Those of the arrays."""
        return [a.dtype for a in self.args if type(a) is np.ndarray]

    def scale(self) -> float:
        """The size of the terms of which the results are sums, where they are sums."""
        sizes = [
            float(np.abs(a[np.isfinite(a)]).max(initial=0.0))
            for a in self.args
            if type(a) is np.ndarray and a.dtype.kind in "fiu"
        ]
        size = max(sizes, default=0.0)
        if self.name in LOSSES:
            return max(size, 1.0)
        return 0.0 if self.name not in SUMS else size if self.name in ("sum", "mean") else size * max(size, 1)


SUMS = {"sum", "mean", "var", "matmul", "einsum", "linear", "lstm", "gru", "dot", "vdot", "inner", "trace"}


FAINT = 1e-11  # of a gradient, beside values and cotangents of about 1


def judge(call: Call, rng: Rng) -> None:
    """Raise a `Fault` if the call is neither right nor refused as it should be."""
    with quiet():
        expected, refused = None, None
        try:
            like = call.array_like
            args = [np.asarray(a) if i == like or values.is_pandas(a) else a for i, a in enumerate(call.args)]
            expected = call.reference(*args, **call.kwargs)
        except Exception as error:
            refused = error
        try:
            args = call.tensors()
        except Exception as error:
            judge_error(error, ["Tensor", "Tensors"])
            return
        before = [a.data.copy() if isinstance(a, Tensor) else None for a in args]
        try:
            out = call.function(*args, **call.kwargs)
        except Exception as error:
            if isinstance(error, np.exceptions.ComplexWarning) and isinstance(refused, type(error)):
                return  # NumPy warns of it too
            judge_error(error, [*call.names, *AT_FAULT])
            if (
                refused is None
                and call.ordinary
                and not call.refusable
                and all(_numeric(one) for one in flatten(expected))
            ):
                raise Fault("refuses what NumPy takes", f"{type(error).__name__}: {error}") from None
            return
        if refused is not None and call.ordinary and not isinstance(refused, OverflowError):
            raise Fault("answers what NumPy refuses", f"gives {flatten(out)!r:.200}, NumPy: {refused}")
        for one in flatten(out):
            if isinstance(one, Tensor):
                judge_tensor(one)
        by_chance = call.name == "dropout" and call.kwargs.get("rng") is None
        # its weights are one matrix with zeros in it: an infinite input makes NaN, as docs/reliability.md says
        by_chance |= call.name == "gru" and not all(
            np.isfinite(a).all() for a in call.args if type(a) is np.ndarray
        )
        if refused is None and not call.uninitialised and not by_chance:
            judge_value(
                out, expected, call.roundings, call.same_dtype and call.ordinary, call.scale(), call.dtypes()
            )
        for a, old in zip(args, before):
            if old is not None and not np.array_equal(a.data, old, equal_nan=old.dtype.kind in "fc"):
                raise Fault("an argument is written to", f"{old!r} became {a.data!r}")
        leaves = [args[i] for i in call.leaves]
        in_steps = call.name == "round"  # its derivative is 0, however fine its steps are
        if leaves and not call.uninitialised and not by_chance and not in_steps:
            judge_gradient(call, out, leaves, rng)


def _numeric(x: Any) -> bool:
    return np.asarray(x).dtype.kind in "biufc"


def judge_gradient(call: Call, out: Any, leaves: list[Tensor], rng: Rng) -> None:
    """The gradient of what came out is that of an independent witness; a zero sends zeros back."""
    outs = [one for one in flatten(out) if isinstance(one, Tensor) and one.requires_grad]
    points = [leaf.data for leaf in leaves]
    if not outs:
        judge_constant(lambda xs: [plain(o) for o in flatten(call.of_leaves(*xs))], points)
        return

    def joined(*xs: Any) -> Tensor:
        found = [one for one in flatten(call.of_leaves(*xs)) if isinstance(one, Tensor)]
        return np.concatenate([np.reshape(one, -1) for one in found])  # type: ignore[return-value]

    whole = outs[0] if len(outs) == 1 else np.concatenate([np.reshape(one, -1) for one in outs])
    cotangent = np.asarray(rng.standard_normal(whole.shape)).astype(whole.dtype)
    try:
        whole.backward(cotangent)
    except Exception as error:
        judge_error(error, [*call.names, *AT_FAULT])
        raise Fault("a backward that fails", f"{type(error).__name__}: {error}") from None
    for leaf in leaves:
        judge_leaf(leaf)
    gradients = [checks.gradient_of(leaf) for leaf in leaves]
    finite = all(np.isfinite(x).all() for x in (whole.data, *points))
    float64 = all(x.dtype == np.float64 for x in points)
    if call.benign and finite and float64:
        try:
            gradcheck(joined, [x.astype(np.float64) for x in points], rng, call.analytic, directions=1)
        except GradientError as error:
            if all(abs(d.gradient - d.derivative) < FAINT for d in error.disagreements):
                return  # such a small one no difference of values can tell from 0
            raise Fault("a wrong gradient", " ".join(str(error).split())[:300]) from None
    elif call.benign and finite:
        wide = [Tensor(x.astype(np.float64), requires_grad=True) for x in points]
        joined(*wide).backward(np.ravel(cotangent).astype(np.float64))
        for g, w in zip(gradients, wide):
            eps = epsilon(*[x.dtype for x in points], whole.dtype)
            if np.isfinite(w.grad if w.grad is not None else 0.0).all() and (
                wrong := difference(g, checks.gradient_of(w), 400, eps)
            ):
                raise Fault(f"a gradient of {g.dtype} unlike that of float64", f"the gradient {wrong}")
    elif call.torch is not None:
        judge_against_torch(call, points, cotangent, gradients)
    if not call.benign and call.name not in MIXES:
        fresh = [Tensor(x, requires_grad=True) for x in points]
        again = joined(*fresh)
        if again.requires_grad:
            np.sum(np.where(np.zeros(again.shape, bool), again, 0.0)).backward()
            for leaf in fresh:
                if not (checks.gradient_of(leaf) == 0).all():
                    raise Fault("what is hidden sends back no zero", f"the gradient is {leaf.grad!r:.200}")


# In these an infinite element meets others on the way back, and not only the number that it made.
MIXES = {
    *("matmul", "einsum", "linear", "lstm", "gru", "lstm_step", "var", "softmax", "log_softmax", "logsumexp"),
    *(name for name in (*LINALG, *DECOMPOSITIONS) if name != "vector_norm"),
    *LOSSES,
}


def judge_against_torch(
    call: Call, points: list[np.ndarray], cotangent: np.ndarray, gradients: list[np.ndarray]
) -> None:
    """Where PyTorch's gradient is a finite number, ours is the same."""
    if torch() is None or not all(_known_to_torch(a) for a in call.args if isinstance(a, np.ndarray)):
        return
    others = [
        torch().tensor(np.array(a), requires_grad=i in call.leaves) if isinstance(a, np.ndarray) else a
        for i, a in enumerate(call.args)
    ]
    try:
        other = call.torch(*others, **call.kwargs)  # type: ignore[misc]
        if isinstance(other, tuple | list):
            return
        other.backward(torch().tensor(cotangent).reshape(other.shape).to(other.dtype))
    except Exception:  # it takes other dtypes, shapes and kinds: no witness
        return
    for i, ours in zip(call.leaves, gradients):
        theirs = np.zeros(ours.shape) if others[i].grad is None else others[i].grad.numpy()
        if ours.shape != theirs.shape:
            return
        known = np.isfinite(theirs) & ~np.isnan(
            call.args[i]
        )  # of a NaN itself the rows' edges say what is sent back
        eps = epsilon(*call.dtypes())
        terms = float(np.abs(cotangent).max(initial=0.0))
        wrong = difference(np.where(known, ours, 0), np.where(known, theirs, 0), 1e4, eps, terms)
        if wrong:
            raise Fault("another gradient than PyTorch's", f"the gradient of argument {i} {wrong}")


def _known_to_torch(x: np.ndarray) -> bool:
    return (
        x.dtype.isnative and x.dtype.kind in "fib" and x.dtype.itemsize >= (4 if x.dtype.kind == "f" else 1)
    )


def plain(x: Any) -> np.ndarray:
    return x.data if isinstance(x, Tensor) else np.asarray(x)


@contextmanager
def faults(what: str, names: Sequence[str] | None = None) -> Iterator[None]:
    """What a check raises becomes a fault of this call; where names are given, a clear sentence is none."""
    try:
        yield
    except Fault as fault:
        raise Found(what, fault.kind, str(fault)) from None
    except AssertionError as error:
        raise Found(what, "a check of its row fails", " ".join(str(error).split())[:300]) from None
    except Exception as error:
        if names is None:
            raise Found(what, f"raises {type(error).__name__}", f"{error}") from error
        try:
            judge_error(error, [*names, *AT_FAULT])
        except Fault as fault:
            raise Found(what, fault.kind, str(fault)) from None


class Found(Exception):
    """A fault, and the call that shows it."""

    def __init__(self, what: str, kind: str, text: str):
        super().__init__(text)
        self.what, self.kind = what, kind
