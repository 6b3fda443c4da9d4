"""Draws calls that have a reference: ops, operators, methods, NumPy functions, losses."""

from __future__ import annotations

import functools
import inspect
import operator
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

import tinygrad_np.functional as F
from tests.faults import values
from tests.faults.call import Call, torch
from tests.faults.values import Rng, pick
from tinygrad_np import tape
from tinygrad_np.check import checks, oracle
from tinygrad_np.check.cases import LOSSES, OPS
from tinygrad_np.ops.constant import CONSTANT

# --- ops, operators, methods, NumPy functions ---------------------------------------------------------


def stable_softmax(x: Any, axis: Any = -1) -> Any:
    x = x * 1.0
    e = np.exp(x - np.max(x, axis=axis, keepdims=True, initial=-np.inf))
    return e / np.sum(e, axis=axis, keepdims=True)


def stable_log_softmax(x: Any, axis: Any) -> Any:
    x = x - np.max(x, axis=axis, keepdims=True, initial=-np.inf)
    return x - np.log(np.sum(np.exp(x), axis=axis, keepdims=True))


def stable_logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return np.logaddexp.reduce(x * 1.0, axis=axis, keepdims=keepdims)


def stable_sigmoid(x: Any) -> Any:
    return np.exp(-np.logaddexp(0, -(x * 1.0)))  # as floats: unsigned numbers have no negative


def in_float64(reference: Callable[..., Any], *arrays: Any, **static: Any) -> Any:
    """Equations that are written number by number, in float64: of integers they would make integers."""
    return reference(*[np.asarray(a, None if np.iscomplexobj(a) else np.float64) for a in arrays], **static)


def with_floats(reference: Callable[..., Any], floats: list[bool], *arrays: Any, **static: Any) -> Any:
    """A formula that is written for floats, of whole numbers too: in float64 where it is drawn with floats."""
    wide = [
        np.asarray(a, np.float64) if is_float and np.asarray(a).dtype.kind in "biu" else a
        for a, is_float in zip(arrays, [*floats, *[False] * len(arrays)])
    ]
    return reference(*wide, **static)


def of_arrays(reference: Callable[..., Any], *arrays: Any, **static: Any) -> Any:
    """A formula that asks its arrays for their shape, which a Python number has not."""
    return reference(
        *[np.asarray(a) if isinstance(a, int | float | complex) else a for a in arrays], **static
    )


# eigh and cholesky read one triangle, and give the gradient to both; as_strided goes by the order in memory
UNEVEN = {"eigh", "cholesky", "as_strided"}
RECURRENT = {"lstm", "gru", "lstm_step"}


def scattered(values: Any, index: Any, shape: Any) -> np.ndarray:
    """What the row's reference computes, after a look at shapes: of others ``np.add.at`` may end the process."""
    values = np.asarray(values)
    out = np.zeros(shape, values.dtype)
    np.add.at(out, index, np.broadcast_to(values, out[index].shape))
    return out


REFERENCES: dict[str, Callable[..., Any]] = {  # of nasty numbers, where the rows' formulas overflow
    "sigmoid": stable_sigmoid,
    "softmax": stable_softmax,
    "logsumexp": stable_logsumexp,
    "log_softmax": lambda x, axis=-1: stable_log_softmax(x * 1.0, axis),
    "linear": lambda x, weight, bias=None: x @ weight.T if bias is None else x @ weight.T + bias,
    "softmin": lambda x, axis=-1: stable_softmax(-1.0 * x, axis),
    "relu": lambda x: np.maximum(x, 0),
    "zeros_at": lambda values, index, shape: scattered(values, index, shape),
}
# These answer for another function of NumPy than that of their name, or for none, and the rows' formulas are of
# float64: only values are compared.
OWN_DTYPE = {"lstm", "gru", "cast", "vander", "cov", "corrcoef", *F.__all__, *REFERENCES}


def name_of_shapes(call: Call) -> bool:
    """Whether its static parameters belong to the shape that was drawn, and say little of another one."""
    return call.name == "split_at"


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
            # functions that are composed take them as float32, where NumPy's ufuncs compute in float16
            call.same_dtype &= call.args[i].dtype.itemsize > 2 or call.args[i].dtype.kind == "f"
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
        call.ordinary = table is values.ARRAY_LIKE and label != "ragged list" and not call.by_formula
        call.same_dtype &= not label.endswith("number")  # a number takes the dtype of what it meets
        call.ordinary &= call.name != "embedding"  # which takes an empty list for indices
        call.array_like = i if isinstance(call.args[i], list | tuple) else None
        call.uninitialised = name_of_shapes(call)
        call.benign = False
        call.refusable = call.name in RECURRENT  # which takes a number for no array, even for an empty one
    elif arrays and rng.random() < 0.12:
        i = int(rng.choice(arrays))
        call.args[i] = np.asarray(rng.standard_normal(values.a_shape(rng)))
        call.benign = call.same_dtype = False
        call.ordinary = not call.by_formula  # which looks at few shapes
        # equations number by number look at few shapes, and where nothing is taken NumPy does not look at indices
        call.refusable = call.name in RECURRENT or call.name == "take"
        call.uninitialised = name_of_shapes(call)
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
        call.same_dtype = name not in ("lstsq", "vander", "cov", "append", "inner")
        if function.__name__ == "<lambda>":
            call.names += [f.__name__ for f in tape.NUMPY]
        call.names.append(function.__name__)
    else:
        arrays, static = row.draw(rng, values.a_shape(rng))
        by_formula = row.reference is not None and name not in REFERENCES
        if by_formula and name in F.__all__:
            floats = [np.asarray(a).dtype.kind == "f" for a in arrays]
            reference = functools.partial(with_floats, reference, floats)
        if name in RECURRENT:
            reference = functools.partial(in_float64, reference)
        elif row.reference is not None and name not in REFERENCES:
            reference = functools.partial(of_arrays, reference)
        call = Call(name, checks.op(name), reference, arrays, static)
        call.by_formula = by_formula
        call.analytic = row.analytic and "dtype" not in static
        call.same_dtype = name not in OWN_DTYPE
        call.named = True
        call.ours = name in tape.PRIMITIVES or name in F.__all__
        call.torch = oracle.torch_function(torch(), name) if torch() is not None else None
        call.names = [name, *NAMES.get(name, ()), *(f.__name__ for f in checks.numpy_functions(name))]
        if call.function.__module__.startswith("tinygrad_np.check"):
            call.names += [
                *F.__all__,
                *tape.PRIMITIVES,
            ]  # a function of the row, made of others that name themselves
    spoiled(rng, call)
    if call.by_formula and name in UNEVEN:
        call.benign = False
    call.choose_leaves(rng)
    return call


NAMES = {  # what an error may say instead: what the op is made of, where that names all that is at fault
    "split_at": ("split",),
    "zeros_at": ("getitem",),
    **{f"at.{name}": ("at", "getitem", "broadcast_to") for name in ("add", "multiply", "max", "min")},
    "unfold_axis": ("unfold", "sliding_window_view"),
    "array_split": ("hsplit", "vsplit", "dsplit"),
    "ravel": ("reshape",),
    "swapaxes": ("transpose",),
    "moveaxis": ("transpose",),
    "log_softmax": ("logsumexp", "max"),
    "linear": ("matmul", "transpose", "add"),
    "clip": ("minimum", "maximum"),
    "maximum": ("fmax", "fmin"),
    "minimum": ("fmin", "fmax"),
    "absolute": ("copysign",),
    "divide": ("reciprocal",),
    "multiply": ("deg2rad", "rad2deg", "ldexp", "frexp", "positive", "conjugate", "real"),
    "power": ("float_power",),
    "logaddexp": ("logaddexp2",),
    "remainder": ("divmod", "floor_divide"),
    "fmod": ("modf", "trunc"),
    "step": (
        "floor",
        "ceil",
        "trunc",
        "rint",
        "sign",
        "fix",
        "round",
        "floor_divide",
        "divmod",
        "modf",
        "heaviside",
    ),
    "where": ("select", "nan_to_num"),
    "lstm_step": ("sigmoid", "multiply"),
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
        if function is np.ldexp:
            args[1] = rng.integers(-3, 4, shape)  # floats are taken here, as PyTorch does, and not by NumPy
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
                spoil = p.kind is not p.VAR_KEYWORD and p.name not in ("out", "dtype", "like")
                if spoil and rng.random() < 0.1:
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
    "full_like": ("copyto",),
    "degrees": ("rad2deg",),
    "radians": ("deg2rad",),
    "around": ("round",),
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


# --- losses -----------------------------------------------------------------------


VARIED = ("mse_loss", "l1_loss", "cross_entropy", "binary_cross_entropy_with_logits")  # take nasty numbers


def a_loss(rng: Rng) -> Call:
    """A loss against its formula in float64; some with inputs and targets of all dtypes and kinds."""
    name = pick(rng, list(LOSSES))
    row = LOSSES[name]
    case = row.draw(rng)
    loss = getattr(F, name)
    arrays = [*case.inputs, *case.constants]
    classes = arrays[1].dtype.kind in "iu"

    def reference(x: Any, *others: Any, reduction: Any = "mean", **settings: Any) -> Any:
        if reduction not in ("mean", "sum", "none", "batchmean"):
            raise ValueError(reduction)
        others = tuple(np.asarray(other) for other in others)
        if any(other.shape != drawn.shape for other, drawn in zip(others, arrays[1:])):
            raise ValueError("shapes")
        if not classes:
            others = tuple(other.astype(np.float64) for other in others)
        expected = row.reference(np.asarray(x, np.float64), *others, **settings)
        return checks.loss_reduced(expected, replace(case, reduction=reduction))

    call = Call(name, loss, reference, arrays, case.keywords)
    call.names = [name, "reduction"]
    call.same_dtype, call.roundings = False, 1000.0
    call.torch = getattr(torch().nn.functional, name) if torch() is not None else None
    call.benign = float(np.abs(arrays[0]).max(initial=0.0)) < 10
    call.leaves = list(range(len(case.inputs)))
    way = rng.random() if name in VARIED else 1.0
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
        call.args[1] = np.zeros(values.a_shape(rng), arrays[1].dtype)
        call.benign = call.ordinary = False
    elif way < 0.85:
        call.kwargs["reduction"] = pick(rng, values.WRONG_STATIC)
        call.benign = call.ordinary = False
    floats = [type(a) is np.ndarray and a.dtype.kind == "f" for a in call.args]
    call.leaves = [i for i in call.leaves if floats[i]]
    call.constants = [] if 0 in call.leaves else [0]
    return call
