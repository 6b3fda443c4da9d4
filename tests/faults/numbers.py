"""Random calls: ops, operators, methods, NumPy functions, layers, losses, optimizers, masks, recording.

Each family draws one call and judges what came of it. A call of ordinary arguments has to be right; what is no array
of numbers may be refused, and has to be where NumPy counts in another way.
"""

from __future__ import annotations

import functools
import importlib.util
import inspect
import operator
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

import tinygrad_np
import tinygrad_np.functional as F
from tests.faults import values
from tests.faults.campaign import Outcome, Part
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
from tests.faults.values import Rng, pick, shown_call
from tinygrad_np import Tensor, nn, no_grad, optim, tape
from tinygrad_np.check import checks, oracle
from tinygrad_np.check.cases import LAYERS, LOSSES, OPS, OPTIMIZERS
from tinygrad_np.check.gradient import GradientError, gradcheck
from tinygrad_np.ops.constant import CONSTANT


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


# --- one call -----------------------------------------------------------------------------------------


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

    def scale(self) -> float:
        """The size of the terms of which the results are sums, where they are sums."""
        sizes = [
            float(np.abs(a[np.isfinite(a)]).max(initial=0.0))
            for a in self.args
            if type(a) is np.ndarray and a.dtype.kind in "fiu"
        ]
        size = max(sizes, default=0.0)
        return 0.0 if self.name not in SUMS else size if self.name in ("sum", "mean") else size * max(size, 1)


SUMS = {"sum", "mean", "var", "matmul", "einsum", "linear", "lstm", "gru", "dot", "vdot", "inner", "trace"}


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
            judge_error(error, call.names)
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
        if refused is None and not call.uninitialised:
            judge_value(out, expected, call.roundings, call.same_dtype and call.ordinary, call.scale())
        for a, old in zip(args, before):
            if old is not None and not np.array_equal(a.data, old, equal_nan=old.dtype.kind in "fc"):
                raise Fault("an argument is written to", f"{old!r} became {a.data!r}")
        leaves = [args[i] for i in call.leaves]
        if leaves and not call.uninitialised:
            judge_gradient(call, out, leaves, rng)


def _numeric(x: Any) -> bool:
    return np.asarray(x).dtype.kind in "biufc"


def judge_gradient(call: Call, out: Any, leaves: list[Tensor], rng: Rng) -> None:
    """The gradient of what came out is that of an independent witness; a zero sends zeros back."""
    outs = [one for one in flatten(out) if isinstance(one, Tensor) and one.requires_grad]
    points = [leaf.data for leaf in leaves]
    if not outs:
        judge_constant(lambda xs: [_plain(o) for o in flatten(call.of_leaves(*xs))], points)
        return

    def joined(*xs: Any) -> Tensor:
        found = [one for one in flatten(call.of_leaves(*xs)) if isinstance(one, Tensor)]
        return np.concatenate([np.reshape(one, -1) for one in found])  # type: ignore[return-value]

    whole = outs[0] if len(outs) == 1 else np.concatenate([np.reshape(one, -1) for one in outs])
    cotangent = np.asarray(rng.standard_normal(whole.shape)).astype(whole.dtype)
    try:
        whole.backward(cotangent)
    except Exception as error:
        judge_error(error, call.names)
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
    *("mse_loss", "cross_entropy", "binary_cross_entropy_with_logits"),
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
        known = np.isfinite(theirs)
        eps = epsilon(*[a.dtype for a in call.args if isinstance(a, np.ndarray)])
        terms = float(np.abs(cotangent).max(initial=0.0))
        wrong = difference(np.where(known, ours, 0), np.where(known, theirs, 0), 1e4, eps, terms)
        if wrong:
            raise Fault("another gradient than PyTorch's", f"the gradient of argument {i} {wrong}")


def _known_to_torch(x: np.ndarray) -> bool:
    return (
        x.dtype.isnative and x.dtype.kind in "fib" and x.dtype.itemsize >= (4 if x.dtype.kind == "f" else 1)
    )


def _plain(x: Any) -> np.ndarray:
    return x.data if isinstance(x, Tensor) else np.asarray(x)


# --- ops, operators, methods, NumPy functions ---------------------------------------------------------


def stable_softmax(x: Any, axis: Any = -1) -> Any:
    e = np.exp(x - np.max(x, axis=axis, keepdims=True, initial=-np.inf))
    return e / np.sum(e, axis=axis, keepdims=True)


def stable_logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return np.logaddexp.reduce(x, axis=axis, keepdims=keepdims)


def stable_sigmoid(x: Any) -> Any:
    return np.exp(-np.logaddexp(0, -x))


def in_float64(reference: Callable[..., Any], *arrays: Any, **static: Any) -> Any:
    """Equations that are written number by number, in float64: of integers they would make integers."""
    return reference(*[np.asarray(a, None if np.iscomplexobj(a) else np.float64) for a in arrays], **static)


RECURRENT = {"lstm", "gru", "lstm_step"}


def scattered(values: Any, index: Any, shape: Any) -> np.ndarray:
    """The reference of the row, after a look at the shapes: of others ``np.add.at`` may end the process."""
    place = np.zeros(shape)[index].shape
    return OPS["scatter"].reference(np.broadcast_to(values, place), index, shape)  # type: ignore[misc]


REFERENCES: dict[str, Callable[..., Any]] = {  # of nasty numbers, where the rows' formulas overflow
    "sigmoid": stable_sigmoid,
    "softmax": stable_softmax,
    "logsumexp": stable_logsumexp,
    "log_softmax": lambda x, axis=-1: (
        x - np.where(np.isfinite(z := stable_logsumexp(x, axis, True)) | (z < 0), z, np.nan)
    ),
    "relu": lambda x: np.maximum(x, 0),
    "scatter": lambda values, index, shape: scattered(values, index, shape),
}
# These answer for another function of NumPy than that of their name, or for none: only values are compared.
OWN_DTYPE = {"lstm", "gru", "lstm_step", "embedding", "dropout", "cast", *REFERENCES}


def spoiled(rng: Rng, call: Call) -> None:
    """Make the arguments of a call less ordinary: numbers, dtype, layout, kind, shape, static parameters."""
    arrays = [i for i, a in enumerate(call.args) if type(a) is np.ndarray]
    for i in arrays:
        if rng.random() < 0.3:
            call.args[i] = values.with_nasty_numbers(rng, call.args[i])
            call.benign = False
        if rng.random() < 0.25:
            old = call.args[i]
            call.args[i] = values.of_another_dtype(rng, old)
            if call.args[i].dtype.kind != old.dtype.kind:
                call.benign = False  # whole numbers tie
        if rng.random() < 0.3:
            call.args[i] = values.laid_out(rng, call.args[i])
    if len(arrays) > (not call.ours) and rng.random() < 0.25:
        i = int(rng.choice(arrays))
        way = rng.random()
        table = (
            values.FOREIGN
            if way < 0.45
            else values.ARRAY_LIKE
            if way < 0.7
            else values.BIG
            if way < 0.8
            else values.COMPLEX
            if way < 0.9 or not call.ours
            else values.PANDAS
        )
        label = pick(rng, list(table))
        call.args[i] = table[label](call.args[i])
        call.ordinary = table is values.ARRAY_LIKE and label != "ragged list"
        call.array_like = i if call.ordinary and label in ("list", "tuple") else None
        call.benign = False
    elif arrays and rng.random() < 0.12:
        i = int(rng.choice(arrays))
        call.args[i] = np.asarray(rng.standard_normal(values.a_shape(rng)))
        call.benign = call.same_dtype = False
        # equations number by number look at few shapes, and where nothing is taken NumPy does not look at indices
        call.refusable = call.name in RECURRENT or call.name == "take"
    if call.kwargs and rng.random() < 0.12:
        key = pick(rng, list(call.kwargs))
        call.kwargs[key] = pick(rng, values.WRONG_STATIC)
        call.ordinary = call.benign = False
    elif call.named and rng.random() < 0.03:
        call.kwargs["wrong"] = 1
        call.ordinary = call.benign = False


def an_op(rng: Rng) -> Call:
    """A row of the ops, called as the primitive, or as one of NumPy's functions for it."""
    name = pick(rng, list(OPS))
    row = OPS[name]
    reference = REFERENCES.get(name) or row.reference or getattr(np, name)
    if row.calls and rng.random() < 0.4:
        function, arrays = pick(rng, row.calls)
        call = Call(name, function, function, [np.array(a) for a in arrays])
        call.ours = False
        call.names = [name, *NAMES.get(name, ()), *(f.__name__ for f in checks.numpy_functions(name))]
    else:
        arrays, static = row.draw(rng, values.a_shape(rng))
        if name in RECURRENT:
            reference = functools.partial(in_float64, reference)
        call = Call(name, checks.op(name), reference, arrays, static)
        call.analytic = row.analytic and "dtype" not in static
        call.same_dtype = name not in OWN_DTYPE
        call.named = True
        call.ours = name in tape.PRIMITIVES or name in F.__all__
        call.torch = oracle.torch_function(torch(), name) if torch() is not None else None
        call.names = [name, *NAMES.get(name, ()), *(f.__name__ for f in checks.numpy_functions(name))]
    spoiled(rng, call)
    call.choose_leaves(rng)
    return call


NAMES = {  # what an error may say instead: what the op is made of, where that names all that is at fault
    "split_at": ("split",),
    "scatter": ("getitem",),
    "ravel": ("reshape",),
    "swapaxes": ("transpose",),
    "moveaxis": ("transpose",),
    "log_softmax": ("logsumexp", "max"),
    "linear": ("matmul", "transpose", "add"),
    "clip": ("minimum", "maximum"),
}

OPERATORS: dict[str, tuple[Callable[..., Any], int]] = {
    "add": (operator.add, 2),
    "subtract": (operator.sub, 2),
    "multiply": (operator.mul, 2),
    "divide": (operator.truediv, 2),
    "power": (operator.pow, 2),
    "matmul": (operator.matmul, 2),
    "negative": (operator.neg, 1),
    "absolute": (abs, 1),
    "less": (operator.lt, 2),
    "less_equal": (operator.le, 2),
    "greater": (operator.gt, 2),
    "equal": (operator.eq, 2),
    "not_equal": (operator.ne, 2),
}


REFLECTED = {
    "less": ("greater",),
    "greater": ("less",),
    "less_equal": ("greater_equal",),
    "greater_equal": ("less_equal",),
}


def an_operator(rng: Rng) -> Call:
    """An operator between a Tensor and what people put on its other side."""
    name = pick(rng, list(OPERATORS))
    function, arity = OPERATORS[name]
    shape = values.a_shape(rng)
    if name == "matmul":
        shape = shape or (2,)
        arrays = [np.asarray(rng.standard_normal(s)) for s in (shape, (shape[-1], 2))]
    else:
        arrays = [np.asarray(rng.standard_normal(shape)) for _ in range(arity)]
    if name in ("power", "divide"):
        arrays = [rng.uniform(0.5, 2.0, a.shape) for a in arrays]
    call = Call(name, function, function, arrays)
    call.names = [name, "Tensor", *REFLECTED.get(name, ())]
    call.ours = False
    spoiled(rng, call)
    call.choose_leaves(rng)
    return call


def _axis(rng: Rng, x: np.ndarray) -> dict[str, Any]:
    return {"axis": pick(rng, [None, *range(-x.ndim, x.ndim)]), "keepdims": bool(rng.random() < 0.3)}


def _method(name: str) -> Callable[..., Any]:
    return lambda x, **kwargs: getattr(x, name)(**kwargs)


METHODS: dict[str, tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]]] = {
    "sum": (_method("sum"), _method("sum"), _axis),
    "mean": (_method("mean"), _method("mean"), _axis),
    "var": (_method("var"), _method("var"), _axis),
    "max": (_method("max"), _method("max"), _axis),
    "min": (_method("min"), _method("min"), _axis),
    "reshape": (
        lambda x, shape: x.reshape(shape),
        lambda x, shape: x.reshape(shape),
        lambda rng, x: {"shape": pick(rng, (-1, (-1,), x.shape[::-1], (*x.shape, 1)))},
    ),
    "transpose": (
        lambda x, axes: x.transpose(axes) if axes is not None else x.T,
        lambda x, axes: x.transpose(axes),
        lambda rng, x: {"axes": pick(rng, (None, tuple(range(x.ndim))[::-1]))},
    ),
    "squeeze": (_method("squeeze"), _method("squeeze"), lambda rng, x: {"axis": pick(rng, (None, 0, -1))}),
    "expand_dims": (
        _method("expand_dims"),
        lambda x, axis: np.expand_dims(x, axis),
        lambda rng, x: {"axis": int(rng.integers(-x.ndim - 1, x.ndim + 1))},
    ),
    "clip": (
        _method("clip"),
        lambda x, a_min=None, a_max=None: np.clip(x, a_min, a_max),
        lambda rng, x: {"a_min": -0.3, "a_max": pick(rng, (None, 0.4))},
    ),
    "astype": (
        _method("astype"),
        _method("astype"),
        lambda rng, x: {"dtype": pick(rng, (np.float64, np.float32, "float16", "float64"))},
    ),
    "getitem": (
        lambda x, index: x[index],
        lambda x, index: x[index],
        lambda rng, x: {
            "index": pick(rng, (0, -1, slice(1, None), ..., None, [0, 0], (0, 0), x > 0, (..., 0)))
        },
    ),
    **{
        name: (_method(name), function, lambda rng, x: {})
        for name, function in (
            ("exp", np.exp),
            ("tanh", np.tanh),
            ("abs", np.abs),
            ("sigmoid", stable_sigmoid),
            ("relu", lambda x: np.maximum(x, 0)),
        )
    },
    "item": (_method("item"), lambda x: x.item(), lambda rng, x: {}),
    "tolist": (_method("tolist"), lambda x: x.tolist(), lambda rng, x: {}),
    "len": (len, len, lambda rng, x: {}),
    "bool": (bool, lambda x: bool(x.item()), lambda rng, x: {}),
    "iter": (lambda x: list(x), lambda x: list(x), lambda rng, x: {}),
}
READS = {"item", "tolist", "len", "bool"}  # give plain numbers, as everybody knows
METHOD_NAMES = {"abs": ("absolute",), "bool": ("item",), "iter": ("len",), "astype": ("cast",)}


def a_method(rng: Rng) -> Call:
    """A method of a Tensor, and that of an ndarray."""
    name = pick(rng, list(METHODS))
    function, reference, draw = METHODS[name]
    x = np.asarray(rng.standard_normal(values.a_shape(rng)))
    call = Call(name, function, reference, [x], draw(rng, x))
    call.names = [name, *METHOD_NAMES.get(name, ())]
    if rng.random() < 0.4:
        call.args[0] = values.with_nasty_numbers(rng, call.args[0])
        call.benign = False
    if rng.random() < 0.3:
        call.args[0] = values.of_another_dtype(rng, call.args[0])
        call.benign = call.benign and call.args[0].dtype.kind == "f"
    call.args[0] = values.laid_out(rng, call.args[0])
    if call.kwargs and rng.random() < 0.3:
        call.kwargs[pick(rng, list(call.kwargs))] = pick(rng, values.WRONG_STATIC)
        call.ordinary = call.benign = False
    if any(call.kwargs.get("dtype") is narrow for narrow in ("float16", np.float32)):
        call.benign = False  # too few digits for differences
    call.same_dtype = name not in ("sigmoid",)
    call.choose_leaves(rng)
    if name in READS:
        call.constants, call.leaves = [0], []
    return call


def numpy_functions() -> list[Callable[..., Any]]:
    """What of NumPy asks its arguments what to do: the ufuncs, and the functions with a dispatcher."""
    found = []
    for module in (np, np.linalg):
        for name in sorted(module.__all__):
            function = getattr(module, name)
            if isinstance(function, np.ufunc) or hasattr(function, "_implementation"):
                found.append(function)
    refused = {
        "save",
        "savez",
        "savez_compressed",
        "savetxt",
        "copyto",
        "put",
        "place",
        "putmask",
        "fill_diagonal",
    }
    return [
        f
        for f in found
        if f.__name__ not in refused | {"put_along_axis", "shares_memory", "may_share_memory"}
    ]


EVERY = numpy_functions()
WITH_ANSWER = [f for f in EVERY if f in tape.NUMPY or f in CONSTANT]


def away_from_0(rng: Rng, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers of both signs, none of them so small that differences say little of 1 / x."""
    return rng.uniform(0.5, 2.0, shape) * rng.choice([-1.0, 1.0], shape)


def a_numpy_function(rng: Rng) -> Call:
    """Any function of NumPy on Tensors: those with a rule, those that are constant, and the many without."""
    function = pick(rng, WITH_ANSWER if rng.random() < 0.6 else EVERY)
    name = function.__name__
    shape = (2, 3) if rng.random() < 0.6 else values.a_shape(rng)
    if isinstance(function, np.ufunc):
        args: list[Any] = [away_from_0(rng, shape) for _ in range(function.nin)]
        kwargs: dict[str, Any] = {}
        if rng.random() < 0.15:
            kwargs = pick(
                rng,
                (
                    {"dtype": np.float32},
                    {"where": np.array(True)},
                    {"casting": "unsafe"},
                    {"out": np.zeros(shape)},
                    {"axis": 0},
                    {"subok": False},
                    {"order": "F"},
                ),
            )
    else:
        try:
            parameters = list(inspect.signature(function).parameters.values())
        except (TypeError, ValueError):  # written in C
            parameters = []
        args, kwargs = [], {}
        for p in parameters or [None]:
            if p is not None and p.kind is p.VAR_POSITIONAL:
                args += [away_from_0(rng, shape), away_from_0(rng, shape)]
                continue
            if p is not None and (p.default is not p.empty or p.kind not in tape.POSITIONAL):
                if p.kind is not p.VAR_KEYWORD and p.kind is not p.VAR_POSITIONAL and rng.random() < 0.1:
                    if p.name not in ("out", "dtype", "like"):
                        kwargs[p.name] = pick(rng, (0, 1, -1, True, False, None, *values.WRONG_STATIC[:4]))
                continue
            args.append(_for_parameter(rng, "" if p is None else p.name, bool(args), shape))
    call = Call(name, function, function, args, kwargs)
    if args and isinstance(args[0], list):  # the arrays of a sequence become Tensors too
        rest = args[1:]
        call = Call(name, lambda *xs, **kw: function([*xs], *rest, **kw), None, args[0], kwargs)  # type: ignore[arg-type]
        call.reference = call.function
    call.names = [name, *NAMES.get(name, ()), *ALIASES.get(name, ())]
    call.ordinary = (function in tape.NUMPY or function in CONSTANT) and not kwargs
    if function not in WITH_ANSWER:
        call.names.append("Tensor")
    if function is np.where and len(args) == 1:
        call.ordinary = False  # NumPy's other function of that name
    if any(isinstance(a, float) for a in call.args):
        call.ordinary = False  # an index of 1.5, which NumPy cuts
    call.uninitialised = function is np.empty_like
    call.benign = call.ordinary and len(shape) == 2
    if rng.random() < 0.3:
        for i, a in enumerate(call.args):
            if type(a) is np.ndarray:
                call.args[i] = values.laid_out(rng, values.with_nasty_numbers(rng, a))
        call.benign = False
    call.choose_leaves(rng)
    return call


ALIASES = {
    "amax": ("max",),
    "amin": ("min",),
    "abs": ("absolute",),
    "true_divide": ("divide",),
    "pow": ("power",),
    "concat": ("concatenate",),
    "permute_dims": ("transpose",),
    "expand_dims": ("reshape",),
}


def _for_parameter(rng: Rng, name: str, later: bool, shape: tuple[int, ...]) -> Any:
    """Something that a required parameter of this name may take."""
    if name in (
        "axis",
        "axis1",
        "axis2",
        "source",
        "destination",
        "start",
        "k",
        "n",
        "N",
        "num",
        "repeats",
        "shift",
    ):
        return int(rng.integers(-2, 3))
    if name in ("indices_or_sections",):
        return pick(rng, (1, 2, [1], [0, 1], 1.5, [1.5], (), "x", 10**30, -1))
    if name in ("indices",):
        return pick(rng, (0, [0, 1], np.array([[0], [1]]), -1, 9, 1.5, [True], "x"))
    if name in ("shape", "newshape", "new_shape"):
        return pick(rng, (-1, (3, 2), (6,), (2, 3, 1), (4, 2, 3), (2, -1), 1.5))
    if name in ("arrays", "tup", "arrs", "seq", "xi"):
        return [away_from_0(rng, shape), away_from_0(rng, shape)]
    return away_from_0(rng, shape)


# --- losses, layers, optimizers -----------------------------------------------------------------------


def a_loss(rng: Rng) -> Call:
    """A loss with inputs and targets of all dtypes and kinds, against its formula in float64."""
    name = pick(rng, list(LOSSES))
    row = LOSSES[name]
    case = row.draw(rng)
    loss = getattr(F, name)

    def reference(x: Any, target: Any, reduction: str = "mean", **settings: Any) -> Any:
        if reduction not in ("mean", "sum", "none"):
            raise ValueError(reduction)
        target = np.asarray(target)
        if np.shape(x)[: target.ndim] != target.shape or (
            name != "cross_entropy" and np.shape(x) != target.shape
        ):
            raise ValueError("shapes")
        if name != "cross_entropy":
            target = target.astype(np.float64)
        each = row.reference(np.asarray(x, np.float64), target, **settings)
        return each if reduction == "none" else getattr(np, reduction)(each)

    kwargs = {**case.settings, "reduction": case.reduction}
    call = Call(name, loss, reference, [case.input, case.target], kwargs)
    call.names = [name, "reduction"]
    call.same_dtype, call.roundings = False, 1000.0
    call.torch = getattr(torch().nn.functional, name) if torch() is not None else None
    call.benign = float(np.abs(case.input).max(initial=0.0)) < 10
    way = rng.random()
    if way < 0.2:
        call.args[0] = values.of_another_dtype(rng, call.args[0])
        call.benign = False
    elif way < 0.4:
        call.args[0] = values.with_nasty_numbers(rng, call.args[0])
        call.benign = call.ordinary = False
    elif way < 0.55:
        call.args[1] = values.of_another_dtype(rng, call.args[1])
        call.ordinary = False
    elif way < 0.7:
        table = pick(rng, (values.FOREIGN, values.ARRAY_LIKE, values.COMPLEX))
        label = pick(rng, list(table))
        call.args[1] = table[label](call.args[1])
        call.benign = call.ordinary = False
    elif way < 0.8:
        call.args[1] = np.zeros(values.a_shape(rng), case.target.dtype)
        call.benign = call.ordinary = False
    elif way < 0.85:
        call.kwargs["reduction"] = pick(rng, values.WRONG_STATIC)
        call.benign = call.ordinary = False
    call.leaves = [0] if call.args[0].dtype.kind == "f" else []
    call.constants = [] if call.leaves else [0]
    return call


def layer_trial(rng: Rng) -> str:
    """A layer, checked as its row checks it; or called with what does not fit; or made with wrong settings."""
    name = pick(rng, list(LAYERS))
    way = rng.random()
    seed = int(rng.integers(2**32))
    if way < 0.4:
        what = f"nn.{name}: check_layer, default_rng({seed})"
        with faults(what), quiet():
            checks.check_layer(name, np.random.default_rng(seed))
            if torch() is not None:
                oracle.compare_layer(torch(), name, np.random.default_rng(seed))
        return what
    if way < 0.6:
        kind = getattr(nn, name)
        given = [pick(rng, (2, 3, *values.WRONG_STATIC)) for _ in range(int(rng.integers(1, 4)))]
        what = shown_call(f"nn.{name}", given, {})
        with faults(what, [name, "p", "probability", *inspect.signature(kind).parameters]), quiet():
            layer = kind(*given)
            repr(layer)
            for key, tensor in layer.named_tensors():
                if tensor.data.dtype.kind != "f" or not np.isfinite(tensor.data).all():
                    raise Fault("a layer of no numbers", f"{key} is {tensor.data!r:.100}")
        return what
    case = LAYERS[name](np.random.default_rng(seed))
    inputs = [np.array(x) for x in case.inputs]
    i = int(rng.integers(len(inputs)))
    spoil = int(rng.integers(4))
    if spoil == 0:
        inputs[i] = values.with_nasty_numbers(rng, inputs[i])
    elif spoil == 1:
        inputs[i] = values.of_another_dtype(rng, inputs[i])
    elif spoil == 2:
        inputs[i] = np.asarray(rng.standard_normal(values.a_shape(rng)))
    else:
        inputs[i] = pick(rng, list(values.FOREIGN.values()))(inputs[i])
    what = shown_call(f"nn.{name} of default_rng({seed})", inputs, {})
    names = [name, *LAYER_OPS.get(name, ()), "Tensor", "Tensors", "matmul"]
    with faults(what, names), quiet():
        given = [Tensor(x) if type(x) is np.ndarray and x.dtype.kind == "f" else x for x in inputs]
        if name in ("Linear", "LSTM", "GRU", "LSTMCell", "Sequential", "Dropout"):
            given = [Tensor(x) if not isinstance(x, Tensor) else x for x in given]
        out = checks.concatenate_outputs(case.call(case.layer, *given))
        judge_tensor(out)
        if out.size and out.requires_grad:
            out.backward(np.ones(out.shape))
            for key, p in case.layer.named_parameters():
                judge_leaf(p)
                if p.grad is None:
                    raise Fault("a gradient is lost", f"{key} has none")
    return what


LAYER_OPS = {
    "Embedding": ("embedding",),
    "Dropout": ("dropout",),
    "LSTMCell": ("lstm_step", "lstm"),
    "LSTM": ("lstm",),
    "GRU": ("gru",),
    "Linear": ("linear", "add"),
    "Sequential": ("Linear", "linear", "add"),
}


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
            judge_error(error, names)
        except Fault as fault:
            raise Found(what, fault.kind, str(fault)) from None


class Found(Exception):
    """A fault, and the call that shows it."""

    def __init__(self, what: str, kind: str, text: str):
        super().__init__(text)
        self.what, self.kind = what, kind


def optimizer_trial(rng: Rng) -> str:
    """An optimizer against its published rule and PyTorch; or with settings and parameters that do not fit."""
    name = pick(rng, list(OPTIMIZERS))
    seed = int(rng.integers(2**32))
    if rng.random() < 0.4:
        what = f"optim.{name}: check_optimizer, default_rng({seed})"
        with faults(what), quiet():
            checks.check_optimizer(name, np.random.default_rng(seed))
            if torch() is not None and rng.random() < 0.2:
                oracle.compare_optimizer(torch(), name, np.random.default_rng(seed))
        return what
    kind = getattr(optim, name)
    p = Tensor(np.ones((2, 3), pick(rng, values.FLOATS)), requires_grad=True)
    if rng.random() < 0.5:
        key = pick(rng, [k for k in inspect.signature(kind).parameters if k != "params"])
        value = pick(rng, (-1.0, 2.0, (0.9, 1.5), (np.nan, 0.9), "0.1", *values.WRONG_STATIC))
        what = f"{shown_call(f'optim.{name}', ['[p]'], {key: value})}, one step".replace("'[p]'", "[p]")
        with faults(what, [name, key, "learning", "step"]), quiet():
            optimizer = kind([p], **{key: value})
            p.grad = np.full(p.shape, 0.5, p.dtype)
            optimizer.step()
            repr(optimizer)
            if np.isnan(p.data).any() or p.data.dtype.kind != "f" or (value == np.inf) is True:
                raise Fault("parameters become NaN in silence", f"{p.data!r:.80} with {key}={value!r}")
        return what
    other = pick(
        rng, (np.ones((1, 3)), np.ones(6), np.ones((2, 3), np.float32), np.ones((2, 3), int), [1.0], 3.0)
    )
    what = f"optim.{name}([p]); p.data = {values.shown(other)}; p of {p.dtype}[2, 3]; gradient before; step"
    with faults(what, [name, "step", "parameter"]), quiet():
        optimizer = kind([p], lr=0.1)
        p.grad = np.full(p.shape, 0.5, p.dtype)
        p.data = other  # type: ignore[assignment]
        optimizer.step()
        data = p.data
        if type(data) is np.ndarray and (data.shape, data.dtype) == ((2, 3), p.grad.dtype):
            return what
        raise Fault("a replaced array is stepped in silence", f"data {data!r:.60}, gradient {p.grad.dtype}")
    return what


# --- masks, gradients, recording ----------------------------------------------------------------------

MASKED: dict[str, tuple[Callable[[Any], Any], Callable[[np.ndarray], np.ndarray]]] = {
    "x * log(x)": (lambda x: x * np.log(x), lambda x: x > 0),
    "x * sqrt(x)": (lambda x: x * np.sqrt(x), lambda x: x > 0),
    "x / sqrt(x)": (lambda x: x / np.sqrt(x), lambda x: x > 0),
    "log(x) / x": (lambda x: np.log(x) / x, lambda x: x > 0),
    "log(x) ** 2": (lambda x: np.log(x) ** 2, lambda x: x > 0),
    "square(1 / x)": (lambda x: np.square(1 / x), lambda x: x != 0),
    "exp(x) * x": (lambda x: np.exp(x) * x, lambda x: np.abs(x) < 100),
    "exp(1 / x) * x": (lambda x: np.exp(1 / x) * x, lambda x: np.abs(x) > 0.01),
    "tanh(log(x)) * x": (lambda x: np.tanh(np.log(x)) * x, lambda x: x > 0),
    "sqrt(x * x)": (lambda x: np.sqrt(x * x), lambda x: x != 0),
    "x ** 1.5": (lambda x: x**1.5, lambda x: x > 0),
    "x / abs(x)": (lambda x: x / np.abs(x), lambda x: x != 0),
    "x * (1 / x)": (lambda x: x * (1 / x), lambda x: x != 0),
    "sqrt(x) * log(x)": (lambda x: np.sqrt(x) * np.log(x), lambda x: x > 0),
    "log(x) - log(x + 1)": (lambda x: np.log(x) - np.log(x + 1), lambda x: x > 0),
    "sigmoid(log(x)) * log(x)": (lambda x: F.sigmoid(np.log(x)) * np.log(x), lambda x: x > 0),
}
HIDERS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "where(mask, f, 0)": lambda f, mask, x: np.where(mask, f, 0.0),
    "where(~mask, 0, f)": lambda f, mask, x: np.where(~mask, 0.0, f),
    "where(mask, where(mask, f, 1), 0)": lambda f, mask, x: np.where(mask, np.where(mask, f, 1.0), 0.0),
    "where(mask, f * 2 + 1, 0)": lambda f, mask, x: np.where(mask, f * 2 + 1, 0.0),
    "f[mask]": lambda f, mask, x: f[mask],
}


def masked_trial(rng: Rng) -> str:
    """What hides elements sends them a gradient of 0, and leaves the others theirs."""
    name, hider = pick(rng, list(MASKED)), pick(rng, list(HIDERS))
    f, domain = MASKED[name]
    dtype = pick(rng, (np.float64, np.float32))
    x = np.where(
        rng.random(6) < 0.5, rng.choice([0.0, -0.0, -1.5, 800.0, -800.0, 1.0], 6), rng.uniform(0.2, 2, 6)
    )
    x = x.astype(dtype)
    mask = domain(x) & (np.abs(x) < 100)
    what = f"{hider}, f = {name}, x = {values.shown(x)}, mask = {mask.tolist()}"
    with faults(what), quiet():
        leaf, alone = Tensor(x, requires_grad=True), Tensor(x[mask], requires_grad=True)
        np.sum(HIDERS[hider](f(leaf), mask, x)).backward()
        if mask.any():
            np.sum(HIDERS[hider](f(alone), np.ones(alone.shape, bool), x[mask])).backward()
        expected = np.zeros_like(x)
        expected[mask] = checks.gradient_of(alone)
        if wrong := difference(checks.gradient_of(leaf), expected, 64, epsilon(x.dtype)):
            raise Fault("a hidden element spoils the gradient", f"the gradient {wrong}")
    return what


def backward_trial(rng: Rng) -> str:
    """`backward`, `grad` and their setters with what is no gradient; and the transforms."""
    shape = values.a_shape(rng)
    dtype = np.dtype(pick(rng, values.FLOATS))
    x = Tensor(values.laid_out(rng, rng.standard_normal(shape).astype(dtype)), requires_grad=True)
    way = pick(rng, ("backward", "grad", "transform", "Tensor"))
    if way == "Tensor":
        label = pick(rng, list(values.FOREIGN))
        given = values.FOREIGN[label](rng.standard_normal(shape or (2,)))
        what = f"Tensor({values.shown(given)}), {label}"
        with faults(what, ["Tensor", "Tensors"]), quiet():
            t = Tensor(given)
            judge_tensor(t)
            raise Fault("a Tensor of what holds no plain numbers", f"{t!r:.100}")
        return what
    if way == "transform":
        k = int(rng.integers(2**31))
        what = f"grad, hvp, jacobian of sum(tanh(x)^3), x of default_rng({k})"
        point = np.random.default_rng(k).standard_normal(3)
        with faults(what), quiet():

            def f(z: Any) -> Any:
                return np.sum(np.tanh(z) ** 3)

            y = np.tanh(point)
            first = 3 * y**2 * (1 - y**2)
            second = (6 * y - 12 * y**3) * (1 - y**2)
            for label, found, expected in (
                ("grad", tinygrad_np.grad(f)(Tensor(point)), first),
                ("hvp", tinygrad_np.hvp(f)(Tensor(point), np.ones(3)), second),
                ("hessian", tinygrad_np.hessian(f)(Tensor(point)), np.diag(second)),
                ("jacobian", tinygrad_np.jacobian(np.tanh)(Tensor(point)), np.diag(1 - y**2)),
            ):
                if wrong := difference(_plain(found), expected, 64, 1e-14):
                    raise Fault(f"a wrong {label}", wrong)
        return what
    given = rng.standard_normal(shape)
    label = "as it should be"
    if rng.random() < 0.7:
        table = pick(
            rng,
            (values.FOREIGN, values.ARRAY_LIKE, values.COMPLEX, {"other shape": lambda g: np.ones((2, 5))}),
        )
        label = pick(rng, list(table))
        given = table[label](given)
    what = f"{way} of {dtype}{list(shape)} given {label}: {values.shown(given)}"
    odd = label in values.FOREIGN or label in values.COMPLEX
    with faults(what, ["backward", "gradient"]), quiet():
        if way == "backward":
            (x * 1).backward(given)
        else:
            x.grad = given
        judge_leaf(x)
        if odd and label != "None":
            raise Fault("takes for a gradient what is none", f"{label} became {x.grad!r:.100}")
    return what


def recording_trial(rng: Rng) -> str:
    """`generators_in_no_grad` on a thread of its own: what it leaves switched off, it leaves to nobody."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(generators_in_no_grad, rng).result()


def generators_in_no_grad(rng: Rng) -> str:
    """Generators that stop inside `no_grad`, in any order: each records as it says, and nobody else."""
    actions: list[str] = []
    x = Tensor([1.0, 2.0], requires_grad=True)

    def inside() -> Iterator[bool]:
        with no_grad():
            for _ in range(3):
                yield (x * 2).requires_grad

    def outside() -> Iterator[bool]:
        for _ in range(3):
            yield (x * 2).requires_grad

    @no_grad()
    def decorated() -> Iterator[bool]:
        for _ in range(3):
            yield (x * 2).requires_grad

    made: list[Any] = []
    kinds = {"inside": (inside, False), "outside": (outside, True), "decorated": (decorated, False)}
    refused = "a clear refusal"
    try:
        for _ in range(int(rng.integers(2, 8))):
            if made and rng.random() < 0.6:
                label, generator = pick(rng, made)
                if rng.random() < 0.3:
                    actions.append(f"close {label}")
                    generator.close()
                else:
                    actions.append(f"next {label}")
                    recorded = next(generator, None)
                    if recorded not in (None, kinds[label][1]):
                        raise Found(", ".join(actions), "no_grad does not reach a generator", f"{recorded=}")
            else:
                label = pick(rng, list(kinds))
                actions.append(f"make {label}")
                made.append((label, kinds[label][0]()))
            if not (x * 2).requires_grad:
                raise Found(
                    ", ".join(actions), "a generator switches recording off outside of itself", "no gradient"
                )
    except (TypeError, RuntimeError, ValueError) as error:
        if "generator" not in str(error):
            raise
        refused = str(error)
    finally:
        for _, generator in made:
            generator.close()
        stuck = not (x * 2).requires_grad
    if stuck:
        raise Found(", ".join(actions), "recording stays off for good", "after all generators are closed")
    return f"{', '.join(actions)} ({refused})"


# --- the trial ----------------------------------------------------------------------------------------

CALLS: list[tuple[float, Callable[[Rng], Call]]] = [
    (0.36, an_op),
    (0.14, an_operator),
    (0.12, a_method),
    (0.16, a_numpy_function),
    (0.08, a_loss),
]
TRIALS: list[tuple[float, Callable[[Rng], str]]] = [
    (0.04, layer_trial),
    (0.03, optimizer_trial),
    (0.04, masked_trial),
    (0.025, backward_trial),
    (0.005, recording_trial),
]


def trial(seed: int, k: int, directory: Path) -> Outcome:
    """One random call."""
    rng = np.random.default_rng([seed, k])
    families: Any = CALLS + TRIALS
    weights = np.array([weight for weight, _ in families])
    family = families[int(rng.choice(len(families), p=weights / weights.sum()))][1]
    if any(family is f for _, f in TRIALS):
        try:
            return Outcome(family(rng))
        except Found as found:
            return Outcome(found.what, f"{found.kind}: {found}", f"{family.__name__}: {found.kind}")
    call = family(rng)
    try:
        judge(call, rng)
    except Fault as fault:
        return Outcome(str(call), f"{fault.kind}: {fault}", f"{call.name}: {fault.kind}")
    return Outcome(str(call))


NUMBERS = Part("random calls", trial, full=50_000, short=2_000)
