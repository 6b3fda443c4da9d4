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
from tinygrad_np import Tensor, tape
from tinygrad_np.check import checks
from tinygrad_np.check.cases import LOSSES, OPS
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


def module_of(answer: Any) -> str:
    """Where the function stands that answers for one of NumPy's."""
    function = answer.args[1] if isinstance(answer, functools.partial) else answer
    return str(function.__module__).removeprefix("tinygrad_np.")


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
        self.by_formula = False  # the reference is the row's formula, and no function of NumPy's
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
        found = [a.dtype for a in self.args if type(a) is np.ndarray]
        coarse = self.by_formula and any(d.kind in "iub" for d in found)  # whole numbers become float32
        return [*found, np.dtype(np.float32)] if coarse else found

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


# What takes more than NumPy's function of its name: batches, numbers without axes.
WIDER = {"lstsq", "tensorinv", "median", "quantile", "nanmedian", "nanquantile"}
# What takes less, on purpose: vectors of two elements, an axis of a number without axes, products of one matrix,
# the norm of an inverse that there is not.
NARROWER = {
    *(
        "full_like",  # of an array, with a Tensor: NumPy asks the Tensor only when it writes
        "cross",
        "vecdot",
        "compress",
        "diff",
        "multi_dot",
        "tensorsolve",
        "repeat_interleave",
        "average",
        "cond",
    ),
}

SUMS = {"sum", "mean", "var", "matmul", "einsum", "linear", "lstm", "gru", "dot", "vdot", "inner", "trace"}


NO_DERIVATIVE = ("not determined", "has no derivative")  # as an error says that refuses to guess one
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
            if type(error) is type(refused) and not (call.leaves or call.constants):
                return  # no Tensor was there: it is NumPy that refuses
            if isinstance(error, np.exceptions.ComplexWarning) and isinstance(refused, type(error)):
                return  # NumPy warns of it too
            judge_error(error, [*call.names, *AT_FAULT])
            if (
                refused is None
                and call.ordinary
                and not call.refusable
                and call.name not in NARROWER
                and "do not fit into a Tensor" not in str(error)  # numbers would be cut to whole ones
                and all(_numeric(one) for one in flatten(expected))
            ):
                raise Fault("refuses what NumPy takes", f"{type(error).__name__}: {error}") from None
            return
        odd = call.by_formula or call.name in WIDER or isinstance(refused, OverflowError)
        odd |= call.name in MIXES and extreme(call)  # where LAPACK does not converge
        if refused is not None and call.ordinary and not odd:
            raise Fault("answers what NumPy refuses", f"gives {flatten(out)!r:.200}, NumPy: {refused}")
        for one in flatten(out):
            if isinstance(one, Tensor):
                judge_tensor(one)
        by_chance = call.name == "dropout" and call.kwargs.get("rng") is None
        # its weights are one matrix with zeros in it: an infinite input makes NaN, as docs/reliability.md says
        by_chance |= call.name == "gru" and not all(
            np.isfinite(a).all() for a in call.args if type(a) is np.ndarray
        )
        # sums of such terms differ with their order, and formulas overflow on their way
        unsure = extreme(call) and (call.by_formula or call.name in MIXES)
        unsure |= refused is None and outside(call, expected)
        if refused is None and not call.uninitialised and not by_chance and not unsure:
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


def outside(call: Call, expected: Any) -> bool:
    """Whether a formula is asked for what it is not written for: complex numbers, or where it has no value."""
    given = [a for a in call.args if isinstance(a, np.ndarray | complex | np.complexfloating)]
    found = [np.asarray(one) for one in flatten(expected)]
    no_value = any(x.dtype.kind in "fc" and np.isnan(x).any() for x in found)
    return call.by_formula and (no_value or any(map(np.iscomplexobj, given)))


def extreme(call: Call) -> bool:
    """Whether some number is infinite or NaN, or so large, or so small, that its square is no number any more."""
    for a in [np.asarray(a) if isinstance(a, list | tuple) else a for a in call.args]:
        if type(a) is np.ndarray and a.dtype.kind in "iu" and np.any(np.abs(a.astype(float)) > 2**31):
            return True
        if type(a) is np.ndarray and a.dtype.kind == "f":
            info, size = np.finfo(a.dtype), np.abs(a[a != 0])
            if not ((size < np.sqrt(info.max)) & (size > 4 * info.eps)).all():
                return True
    return False


def _numeric(x: Any) -> bool:
    return np.asarray(x).dtype.kind in "biufc"


def judge_gradient(call: Call, out: Any, leaves: list[Tensor], rng: Rng) -> None:
    """The gradient of what came out is that of an independent witness; a zero sends zeros back."""
    flat = flatten(out)
    recorded = [i for i, one in enumerate(flat) if isinstance(one, Tensor) and one.requires_grad]
    outs = [flat[i] for i in recorded]
    points = [leaf.data for leaf in leaves]
    if not outs:
        judge_constant(lambda xs: [plain(o) for o in flatten(call.of_leaves(*xs))], points)
        return

    def joined(*xs: Any) -> Tensor:
        found = flatten(call.of_leaves(*xs))
        found = [found[i] for i in recorded]
        return np.concatenate([np.reshape(one, -1) for one in found])  # type: ignore[return-value]

    whole = outs[0] if len(outs) == 1 else np.concatenate([np.reshape(one, -1) for one in outs])
    cotangent = np.asarray(rng.standard_normal(whole.shape)).astype(whole.dtype)
    try:
        whole.backward(cotangent)
    except Exception as error:
        judge_error(error, [*call.names, *AT_FAULT])
        if any(reason in str(error) for reason in NO_DERIVATIVE):
            return
        raise Fault("a backward that fails", f"{type(error).__name__}: {error}") from None
    for leaf in leaves:
        judge_leaf(leaf)
    gradients = [checks.gradient_of(leaf) for leaf in leaves]
    finite = all(np.isfinite(x).all() for x in (whole.data, *points))
    float64 = all(x.dtype == np.float64 for x in (whole, *points))
    if call.benign and finite and float64:
        try:
            gradcheck(joined, [x.astype(np.float64) for x in points], rng, analytic(call), directions=1)
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
                wrong := difference(g, checks.gradient_of(w), 400, eps, 0.01)
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


def analytic(call: Call) -> bool:
    """Whether its derivative can be had from a complex step: of a function that takes complex numbers."""
    if not call.analytic:
        return False
    try:
        return bool(call.of_leaves(*[Tensor(call.args[i] + 0j) for i in call.leaves]) is not None)
    except (TypeError, ValueError):
        return False


# In these families an infinite element meets others, on the way back too, and not only the number that it made.
FAMILIES = {
    *("ops.linalg", "ops.decompositions", "ops.conv", "ops.recurrent.lstm", "ops.recurrent.gru"),
    *("functional.linalg", "functional.matrices", "functional.convolution", "functional.attention"),
    *("functional.normalization",),
}
MIXES = {
    *(
        "lstm_step",
        "linear",
        "bilinear",
        "softmax",
        "log_softmax",
        "logsumexp",
        "logcumsumexp",
        "standardize",
    ),
    *(
        "softmin",
        "gradient",
        "var",
        "std",
        "std_mean",
        "var_mean",
        "nanvar",
        "nanstd",
        "prod",
        "cumprod",
        "normalize",
    ),
    *("batch_norm", "instance_norm", "layer_norm", "rms_norm", "group_norm", "multi_head_attention_forward"),
    *(name for name in OPS if checks.op(name).__module__.removeprefix("tinygrad_np.") in FAMILIES),
    *(f.__name__ for f, answer in tape.NUMPY.items() if module_of(answer) in FAMILIES),
    *(f"upsample_{mode}" for mode in ("nearest", "bilinear")),
    *("interpolate", "quantile", "nanquantile"),
    *LOSSES,
}


def judge_against_torch(
    call: Call, points: list[np.ndarray], cotangent: np.ndarray, gradients: list[np.ndarray]
) -> None:
    """Where PyTorch's gradient is a finite number, ours is the same."""
    if call.name == "cosine_similarity":  # of a vector shorter than eps the slope is a convention
        return
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
