"""What NumPy's functions do to recorded arrays: as NumPy does, with Tensors underneath.

Where no gradient is involved, NumPy itself is asked. Otherwise a Tensor's rule answers. This file holds what
Tensors do not have: functions that make arrays, that view them, and that write into them.
"""

from __future__ import annotations

import functools
import operator
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_np.errors import numpy_name
from tinygrad_np.functional.activations import log_softmax
from tinygrad_np.functional.elementwise import digamma, entr, log_ndtr, logit, ndtr, xlogy
from tinygrad_np.functional.indexing import At
from tinygrad_np.ops.constant import CONSTANT
from tinygrad_np.ops.elementwise import sigmoid
from tinygrad_np.ops.elementwise import where as where_of
from tinygrad_np.ops.index import zeros_at
from tinygrad_np.ops.reduce import logsumexp, softmax
from tinygrad_np.ops.shape import broadcast_to
from tinygrad_np.ops.special import erf, erfc, erfinv, lgamma
from tinygrad_np.referee.recording.arrays import (
    LOW,
    Number,
    Recorded,
    as_tensor,
    constant,
    data_of,
    has_gradient,
    plain_key,
    wrapped,
)
from tinygrad_np.referee.recording.formulas import formula
from tinygrad_np.referee.recording.watch import Watch
from tinygrad_np.tape import NUMPY
from tinygrad_np.tensor import Tensor

FLOAT64 = np.dtype(np.float64)
ROUNDING = {np.rint, np.round, np.around, np.floor, np.ceil, np.trunc, np.fix, np.floor_divide}
VIEWS = {
    *(np.reshape, np.ravel, np.transpose, np.squeeze, np.expand_dims, np.swapaxes, np.moveaxis, np.rollaxis),
    *(np.matrix_transpose, np.linalg.matrix_transpose, np.diagonal, np.linalg.diagonal, np.broadcast_to),
    *(np.flip, np.flipud, np.fliplr, np.rot90, np.split, np.array_split, np.hsplit, np.vsplit, np.dsplit),
    *(np.lib.stride_tricks.sliding_window_view, np.lib.stride_tricks.as_strided),
}
if hasattr(np, "unstack"):
    VIEWS.add(np.unstack)
# They take arrays in a list, which is not one array itself.
SEQUENCES = {
    *(np.concatenate, np.stack, np.vstack, np.hstack, np.dstack, np.column_stack, np.block, np.select),
    *(np.choose, np.linalg.multi_dot),
}
# Where out= stands among their arguments.
OUT_AT: dict[Any, int] = {
    **dict.fromkeys((np.dot, np.max, np.min, np.amax, np.amin, np.all, np.any, np.argmax, np.argmin), 2),
    **dict.fromkeys((np.sum, np.mean, np.prod, np.cumsum, np.cumprod, np.std, np.var, np.clip, np.take), 3),
    np.round: 2,
}
NO_DTYPE = {np.einsum, np.einsum_path, np.dtype}  # their strings are no dtypes; `dtype` answers itself

# scipy.special's functions by name, as they are called there; so none of it is imported.
SCIPY: dict[str, Callable[..., Any]] = {
    **{"expit": sigmoid, "erf": erf, "erfc": erfc, "erfinv": erfinv, "gammaln": lgamma, "digamma": digamma},
    **{"psi": digamma, "xlogy": xlogy, "entr": entr, "ndtr": ndtr, "log_ndtr": log_ndtr, "logit": logit},
    "softmax": lambda x, axis=None: softmax(x, axis=axis),
    "log_softmax": lambda x, axis=None: (
        x - logsumexp(x, axis=None, keepdims=True) if axis is None else log_softmax(x, axis)
    ),
    "logsumexp": lambda a, axis=None, keepdims=False: logsumexp(a, axis=axis, keepdims=keepdims),
    **{"exp2": np.exp2, "expm1": np.expm1, "log1p": np.log1p, "cbrt": np.cbrt},
}

ANSWERS: dict[Any, Callable[..., Any]] = {}  # function -> what is called with the watch and the arguments


def answers(*functions: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def register(answer: Callable[..., Any]) -> Callable[..., Any]:
        ANSWERS.update(dict.fromkeys(functions, answer))
        return answer

    return register


def call(watch: Watch, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A function of NumPy, called with recorded arrays among its arguments, or without."""
    if not watch.trace:
        return _call(watch, function, args, kwargs)
    before = watch.began()
    result = _call(watch, function, args, kwargs)
    watch.made(before)
    return result


def _call(watch: Watch, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if function not in NO_DTYPE:
        args = tuple([in_float64(watch, x) for x in args])
        if kwargs:
            kwargs = {key: in_float64(watch, x) for key, x in kwargs.items()}
    place = OUT_AT.get(function, len(args))
    if len(args) > place:  # out by position
        names = ("out", "keepdims") if len(args) > place + 1 else ("out",)
        args, kwargs = args[:place], {**kwargs, **dict(zip(names, args[place:], strict=False))}
    if kwargs:
        if "out" in kwargs or (isinstance(function, np.ufunc) and kwargs.get("where", True) is not True):
            return into_out(watch, function, args, dict(kwargs))
        if isinstance(function, np.ufunc):
            kwargs = {key: x for key, x in kwargs.items() if key not in ("order", "casting", "subok")}
    own = getattr(function, "__self__", None)
    if isinstance(own, np.ufunc):
        return wrapped(watch, ufunc_method(watch, own, function.__name__, args, kwargs))
    answer = ANSWERS.get(function)
    if answer is not None:
        return wrapped(watch, answer(watch, *args, **kwargs))
    if function in VIEWS:
        array = args[0] if type(args[0]) in (Recorded, Number) else asarray(watch, args[0])
        return array.viewed_by(function, *args[1:], **kwargs)
    return wrapped(watch, computed(watch, function, args, kwargs))


def computed(watch: Watch, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The result of a function as NumPy or the rule for Tensors has it."""
    recorded = any(map(has_gradient, args)) or (bool(kwargs) and any(map(has_gradient, kwargs.values())))
    if not recorded or function in CONSTANT:
        return function(*map(data_of, args), **{key: data_of(x) for key, x in kwargs.items()})
    rule = NUMPY.get(function) or rule_of_scipy(function)
    if rule is None:
        raise watch.cannot(f"{numpy_name(function)} has no rule")
    dtype = kwargs.get("dtype")
    if "dtype" in kwargs:
        if dtype is not None and np.dtype(dtype).kind != "f":
            raise watch.cannot(f"{numpy_name(function)} with dtype={np.dtype(dtype)} loses the gradient")
        kwargs = {key: x for key, x in kwargs.items() if key != "dtype"}
    depth = 9 if function is np.block else int(function in SEQUENCES)
    tensors = [operand(x, depth) for x in args]
    named = {key: operand(x, depth) for key, x in kwargs.items()}
    try:
        result = rule(*tensors, **named)
    except TypeError as error:  # a parameter that the rule does not know
        raise watch.cannot(f"{numpy_name(function)} is not recorded as it is called here: {error}") from error
    if function in ROUNDING:
        watch.doubt(f"{numpy_name(function)} at {watch.where()} rounds what has a gradient", result.node)
    return formula(watch, function, tensors, result)


def rule_of_scipy(function: Any) -> Callable[..., Any] | None:
    """The rule of a function of scipy.special."""
    module, name = sys.modules.get("scipy.special"), getattr(function, "__name__", "")
    return SCIPY.get(name) if module is not None and getattr(module, name, None) is function else None


def observed(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that only looks at numbers, and shows or compares them."""
    return lambda *args, **kwargs: function(
        *map(data_of, args), **{key: data_of(x) for key, x in kwargs.items()}
    )


def operand(x: Any, depth: int) -> Any:
    """An argument as the rule takes it: a Tensor where it is recorded. Lists stay lists down to a depth."""
    kind = type(x)
    if kind is Recorded or kind is Number:
        return x.tensor
    if (kind is list or kind is tuple) and has_gradient(x):
        return [operand(part, depth - 1) for part in x] if depth else as_tensor(x)
    return data_of(x)


def in_float64(watch: Watch, x: Any) -> Any:
    """A dtype argument, with float64 in the place of what is shorter."""
    kind = type(x)
    if kind is str or kind is type or isinstance(x, type | np.dtype):
        real = getattr(x, "stands_for", x)
        if kind is str and x not in FLOATS:
            return x
        try:
            short = real is not object and np.dtype(real) in LOW
        except TypeError:
            return real
        if short:
            watch.note(f"{np.dtype(real)} at {watch.where()} (dtype={_dtype_text(x)}) was taken as float64")
            return np.float64
        return real
    return x


FLOATS = {"f", "f2", "f4", "<f4", "=f4", "<f2", "e", "float32", "float16", "single", "half"}


def _dtype_text(x: Any) -> str:
    return repr(x) if isinstance(x, str) else f"np.{np.dtype(getattr(x, 'stands_for', x))}"


def into_out(watch: Watch, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A call with ``out=``, and for a ufunc ``where=``: the result is written, where it is wanted."""
    out, where = kwargs.pop("out", None), True
    if isinstance(out, tuple) and len(out) == 1:
        out = out[0]
    if isinstance(function, np.ufunc):
        where = kwargs.pop("where", True)
    if out is None and where is True:
        return _call(watch, function, args, kwargs)
    if out is not None and type(out) is not Recorded:
        if not has_gradient(args):
            return function(*map(data_of, args), out=out, **kwargs)
        raise watch.cannot(f"{numpy_name(function)} writes what has a gradient into a plain array")
    result = _call(watch, function, args, kwargs)
    if out is not None and not np.can_cast(np.result_type(result), out.dtype, "same_kind"):
        raise TypeError(
            f"Cannot cast ufunc '{function.__name__}' output from dtype('{np.result_type(result)}') to "
            f"dtype('{out.dtype}') with casting rule 'same_kind'"
        )
    if where is not True:
        shape = np.broadcast_shapes(np.shape(result), np.shape(where)) if out is None else out.shape
        kept = np.zeros(shape) if out is None else out.tensor
        chosen = where_of(data_of(where), broadcast_to(as_tensor(result), shape=shape), kept)
        if out is None:
            return wrapped(watch, chosen)
        result = chosen
    if np.shape(result) != out.shape and np.broadcast_shapes(np.shape(result), out.shape) != out.shape:
        raise ValueError(
            f"non-broadcastable output operand with shape {out.shape} doesn't match the broadcast shape "
            f"{np.shape(result)}"
        )
    out.write(..., result)
    return out


# --- methods of ufuncs --------------------------------------------------------------------------------

REDUCE = {np.add: np.sum, np.multiply: np.prod, np.maximum: np.max, np.minimum: np.min}
ACCUMULATE = {np.add: np.cumsum, np.multiply: np.cumprod}


def ufunc_method(watch: Watch, ufunc: np.ufunc, name: str, args: Any, kwargs: dict[str, Any]) -> Any:
    """``np.add.reduce``, ``.accumulate``, ``.outer``, ``.at``."""
    if name == "at":
        array, index, *values = args
        if type(array) is not Recorded:
            if has_gradient(values):
                raise watch.cannot(f"{numpy_name(ufunc)}.at writes what has a gradient into a plain array")
            return ufunc.at(array, plain_key(index), *map(data_of, values))
        return at(watch, ufunc, array, plain_key(index), *values)
    if not has_gradient(args):
        return getattr(ufunc, name)(*map(data_of, args), **kwargs)
    if name == "reduce":
        array, *more = args
        kwargs = {"axis": 0, **dict(zip(("axis", "dtype", "out", "keepdims"), more, strict=False)), **kwargs}
        kwargs.pop("out", None)
        if ufunc in REDUCE:
            return computed(watch, REDUCE[ufunc], (array,), kwargs)
        if ufunc is np.logaddexp:
            return logsumexp(as_tensor(array), **kwargs)
    if name == "accumulate":
        array, *more = args
        axis = more[0] if more else kwargs.get("axis", 0)
        if ufunc in ACCUMULATE:
            return computed(watch, ACCUMULATE[ufunc], (array, axis), {})
        rows = list(call(watch, np.moveaxis, (array, axis, 0), {}))
        for i in range(1, len(rows)):
            rows[i] = call(watch, ufunc, (rows[i - 1], rows[i]), {})
        return call(watch, np.stack, (rows, axis), {})
    if name == "outer":
        x, y = map(as_tensor, args)
        return computed(watch, ufunc, (wrapped(watch, x.reshape(*x.shape, *(1,) * y.ndim)), args[1]), kwargs)
    raise watch.cannot(f"{numpy_name(ufunc)}.{name} has no rule")


def at(watch: Watch, ufunc: np.ufunc, array: Recorded, index: Any, *values: Any) -> None:
    """``np.add.at(array, index, values)``."""
    now = array.tensor
    if not has_gradient(array) and not has_gradient(values):
        new = now.data.copy()
        ufunc.at(new, index, *map(data_of, values))
        array.write(..., new)
        return
    update = At(now)[index]
    value = array._fit(values[0], update.shape) if values else None
    if ufunc in (np.add, np.subtract):
        added = zeros_at(value, index=index, shape=now.shape)
        result = now + added if ufunc is np.add else now - added
    elif ufunc is np.multiply:
        result = update.multiply(value)
    elif ufunc in (np.maximum, np.minimum):
        result = update.max(value) if ufunc is np.maximum else update.min(value)
    else:
        raise watch.cannot(f"{numpy_name(ufunc)}.at has no rule")
    array.write(..., result)


# --- functions that make arrays -----------------------------------------------------------------------


@answers(np.ascontiguousarray)
def ascontiguousarray(watch: Watch, a: Any, dtype: Any = None, **kwargs: Any) -> Any:
    """The array itself if it lies row by row, as far as NumPy's does, or else a copy."""
    new = asarray(watch, a, dtype)
    return new if new.flags.c_contiguous else new.copy()


@answers(np.asfortranarray)
def asfortranarray(watch: Watch, a: Any, dtype: Any = None, **kwargs: Any) -> Any:
    new = asarray(watch, a, dtype)
    return new if new.flags.f_contiguous else new.T.copy().T


@answers(np.asarray, np.asanyarray, np.require, np.asarray_chkfinite)
def asarray(watch: Watch, a: Any, dtype: Any = None, **kwargs: Any) -> Any:
    """The array itself if it is one, of this dtype."""
    if type(a) is Recorded:
        return a if dtype is None or np.dtype(dtype) == a.dtype else a.astype(dtype)
    return array(watch, a, dtype)


@answers(np.array)
def array(
    watch: Watch, object: Any, dtype: Any = None, *, copy: Any = True, ndmin: int = 0, **kwargs: Any
) -> Any:
    """A new array of arrays and numbers in nested lists."""
    if type(object) is Recorded and not copy and not ndmin:
        return asarray(watch, object, dtype)
    if dtype is not None and np.dtype(dtype) == np.dtype("O"):
        return object_array(object)
    if not isinstance(object, list | tuple | np.ndarray | np.generic | int | float | complex | bool | str):
        object = [object] if object is None else object
    tensor = as_tensor(object) if has_gradient(object) else None
    if tensor is None:
        numbers = np.array(data_of(object), dtype=dtype)
        if numbers.dtype.kind not in "biufc":
            return object_array(object) if numbers.dtype.kind == "O" else numbers
        new = constant(watch, numbers)
    else:
        new = Recorded(watch, tensor)
        if dtype is not None:
            new = new.astype(dtype)
    if kwargs.get("order") == "C":
        new = new.copy()
    if ndmin > new.ndim:
        new = new.reshape((1,) * (ndmin - new.ndim) + new.shape)
    return new


def object_array(x: Any) -> Any:
    """An array of objects, which may be recorded ones."""
    if type(x) is np.ndarray:
        return x
    new = np.empty(len(x), dtype=object)
    for i, part in enumerate(x):
        new[i] = part
    return new


@answers(np.copy)
def copied(watch: Watch, a: Any, *args: Any, **kwargs: Any) -> Any:
    return array(watch, a)


@answers(np.empty, np.empty_like)
def empty(watch: Watch, shape: Any, dtype: Any = None, **kwargs: Any) -> Any:
    """NaN, until something is written: what nobody wrote, nobody should read."""
    if (type(shape) in (Recorded, Number) and np.ndim(data_of(shape))) or isinstance(shape, np.ndarray):
        like = data_of(shape)
        shape, dtype = kwargs.get("shape") or like.shape, dtype or like.dtype
    new = np.zeros(data_of(shape), dtype or float)
    if new.dtype.kind == "f":
        new[...] = np.nan
    return new


@answers(np.full, np.full_like)
def full(watch: Watch, shape: Any, fill_value: Any, dtype: Any = None, **kwargs: Any) -> Any:
    if isinstance(shape, np.ndarray):
        like = data_of(shape)
        shape, dtype = kwargs.get("shape") or like.shape, dtype or like.dtype
    elif dtype is None:
        dtype = np.result_type(data_of(fill_value))
    new = constant(watch, np.zeros(data_of(shape), dtype))
    new.write(..., fill_value)
    return new


@answers(np.fromiter)
def fromiter(watch: Watch, iter: Any, dtype: Any = None, count: int = -1, **kwargs: Any) -> Any:
    return array(
        watch, list(iter) if count < 0 else [x for x, _ in zip(iter, range(count), strict=False)], dtype
    )


@answers(np.fromfunction)
def fromfunction(watch: Watch, function: Any, shape: Any, *, dtype: Any = float, **kwargs: Any) -> Any:
    return function(*call(watch, np.indices, (shape,), {"dtype": dtype}), **kwargs)


@answers(np.dtype)
def dtype_of(watch: Watch, dtype: Any, *args: Any, **kwargs: Any) -> Any:
    found = np.dtype(getattr(dtype, "stands_for", dtype), *args, **kwargs)
    if found in LOW:
        watch.note(f"{found} at {watch.where()} was taken as float64")
        return FLOAT64
    return found


_function: Any
for _function in (np.issubdtype, np.can_cast, np.promote_types, np.result_type, np.min_scalar_type):
    ANSWERS[_function] = functools.partial(
        lambda function, watch, *args, **kwargs: function(
            *(getattr(x, "stands_for", data_of(x)) for x in args), **kwargs
        ),
        _function,
    )


# --- functions that view ------------------------------------------------------------------------------


def _atleast(function: Any, watch: Watch, *arys: Any) -> Any:
    parts = [asarray(watch, x).viewed_by(function) for x in arys]
    return parts[0] if len(parts) == 1 else tuple(parts)


for _function in (np.atleast_1d, np.atleast_2d, np.atleast_3d):
    ANSWERS[_function] = functools.partial(_atleast, _function)


@answers(np.real)
def real(watch: Watch, val: Any) -> Any:
    return val if has_gradient(val) else np.real(data_of(val))


@answers(np.imag)
def imag(watch: Watch, val: Any) -> Any:
    return np.imag(data_of(val))


@answers(np.broadcast_arrays)
def broadcast_arrays(watch: Watch, *args: Any, **kwargs: Any) -> Any:
    shape = np.broadcast_shapes(*(np.shape(data_of(x)) for x in args))
    return tuple(asarray(watch, x).viewed_by(np.broadcast_to, shape) for x in args)


@answers(np.ndenumerate)
def ndenumerate(watch: Watch, arr: Any) -> Any:
    arr = asarray(watch, arr)
    return ((index, arr[index]) for index in np.ndindex(*arr.shape))


for _function in (
    *(np.array2string, np.array_repr, np.array_str, np.isscalar, np.isrealobj, np.iscomplexobj, np.save),
    *(np.savez, np.savetxt, np.savez_compressed, np.format_float_positional, np.format_float_scientific),
):
    ANSWERS[_function] = functools.partial(
        lambda f, watch, *args, **kwargs: observed(f)(*args, **kwargs), _function
    )


@answers(np.shape)
def shape_of(watch: Watch, a: Any) -> Any:
    return a.shape if type(a) in (Recorded, Number) else np.shape(data_of(a))


# --- functions that write -----------------------------------------------------------------------------


@answers(np.copyto)
def copyto(watch: Watch, dst: Any, src: Any, casting: Any = "same_kind", where: Any = True) -> None:
    if where is True:
        dst[...] = src
    else:
        dst.write(..., where_of(data_of(where), broadcast_to(as_tensor(src), shape=dst.shape), dst.tensor))


@answers(np.fill_diagonal)
def fill_diagonal(watch: Watch, a: Any, val: Any, wrap: bool = False) -> None:
    places = np.zeros(a.shape, bool)
    np.fill_diagonal(places, True, wrap)
    index = np.nonzero(places)
    count = len(index[0])
    value = call(watch, np.resize, (data_of(val), count), {}) if not has_gradient(val) else val
    a[index] = value


@answers(np.put)
def put(watch: Watch, a: Any, ind: Any, v: Any, mode: str = "raise") -> None:
    ind = np.asarray(plain_key(ind)).reshape(-1)
    a.flat[ind] = asarray(watch, v).reshape(-1)


@answers(np.putmask, np.place)
def putmask(watch: Watch, a: Any, mask: Any, values: Any) -> None:
    if np.ndim(data_of(values)):
        if np.shape(data_of(values)) != np.shape(a):
            raise watch.cannot("np.putmask and np.place with several values have no rule")
        values = asarray(watch, values)[mask]
    a[mask] = values


@answers(np.put_along_axis)
def put_along_axis(watch: Watch, arr: Any, indices: Any, values: Any, axis: Any) -> None:
    if axis is None:
        arr.flat[plain_key(indices)] = values
        return
    indices = np.asarray(plain_key(indices))
    places: list[Any] = list(np.ix_(*(range(n) for n in indices.shape)))
    places[axis] = indices
    arr[tuple(places)] = values


# --- functions made of others -------------------------------------------------------------------------


@answers(np.where)
def where(watch: Watch, *args: Any) -> Any:
    result = computed(watch, np.where, args, {})
    return Recorded(watch, result) if type(result) is Tensor else result  # no scalar even of scalars


@answers(np.nan_to_num)
def nan_to_num(watch: Watch, x: Any, copy: bool = True, *args: Any, **kwargs: Any) -> Any:
    result = computed(watch, np.nan_to_num, (x, True, *args), kwargs)
    if copy:
        return result
    x.write(..., wrapped(watch, result))
    return x


@answers(np.resize)
def resize(watch: Watch, a: Any, new_shape: Any) -> Any:
    flat = asarray(watch, a).reshape(-1)
    return flat[np.resize(np.arange(len(flat)), new_shape)]


@answers(np.convolve)
def convolve(watch: Watch, a: Any, v: Any, mode: str = "full") -> Any:
    """Two series folded: windows of the longer one times the shorter one, turned round."""
    a, v = sorted((asarray(watch, a).reshape(-1), asarray(watch, v).reshape(-1)), key=len, reverse=True)
    n, m = len(a), len(v)
    padded = call(watch, np.concatenate, ([np.zeros(m - 1), a, np.zeros(m - 1)],), {})
    whole = padded[np.arange(n + m - 1)[:, np.newaxis] + np.arange(m)] @ v[::-1]
    if mode == "full":
        return whole
    first, length = (m - 1, n - m + 1) if mode == "valid" else ((m - 1) // 2, n)
    return whole[first : first + length]


@answers(np.correlate)
def correlate(watch: Watch, a: Any, v: Any, mode: str = "valid") -> Any:
    turned = asarray(watch, v)[::-1]
    if len(turned) > len(a) and mode != "full":
        raise watch.cannot("np.correlate with a second series that is the longer one has no rule")
    return convolve(watch, a, turned, mode)


@answers(np.polyval)
def polyval(watch: Watch, p: Any, x: Any) -> Any:
    total = 0.0
    for factor in asarray(watch, p):
        total = total * x + factor
    return total


def joined(watch: Watch, parts: Any, columns: bool) -> Any:
    """``np.r_[parts]``, and ``np.c_[parts]``, where each part of one axis is a column."""
    parts = parts if isinstance(parts, tuple) else (parts,)
    if any(isinstance(part, str) for part in parts):
        raise watch.cannot("np.r_ with a text has no rule")
    arrays = [
        np.r_[part] if isinstance(part, slice) else call(watch, np.atleast_1d, (part,), {}) for part in parts
    ]
    if columns:
        arrays = [asarray(watch, x).reshape(-1, 1) if np.ndim(data_of(x)) == 1 else x for x in arrays]
    return call(watch, np.concatenate, (arrays,), {"axis": -1 if columns else 0})


# --- functions that call the user's -------------------------------------------------------------------


@answers(np.apply_along_axis)
def apply_along_axis(watch: Watch, func1d: Any, axis: int, arr: Any, *args: Any, **kwargs: Any) -> Any:
    arr = asarray(watch, arr)
    moved = arr.viewed_by(np.moveaxis, axis, -1)
    lead = moved.shape[:-1]
    rows = [func1d(moved[index], *args, **kwargs) for index in np.ndindex(*lead)]
    whole = array(watch, rows)
    whole = whole.reshape(lead + whole.shape[1:])
    return whole if whole.ndim == len(lead) else call(watch, np.moveaxis, (whole, -1, axis), {})


@answers(np.apply_over_axes)
def apply_over_axes(watch: Watch, func: Any, a: Any, axes: Any) -> Any:
    for axis in np.atleast_1d(axes):
        result = func(a, axis)
        a = result if result.ndim == a.ndim else call(watch, np.expand_dims, (result, axis), {})
    return a


@answers(np.piecewise)
def piecewise(watch: Watch, x: Any, condlist: Any, funclist: Any, *args: Any, **kw: Any) -> Any:
    x = asarray(watch, x)
    conditions = [
        np.asarray(data_of(c)) for c in (condlist if isinstance(condlist, list | tuple) else [condlist])
    ]
    if len(funclist) > len(conditions):
        conditions.append(~functools.reduce(operator.or_, conditions))
    new = constant(watch, np.zeros(x.shape))
    for condition, function in zip(conditions, funclist, strict=True):
        new[condition] = function(x[condition], *args, **kw) if callable(function) else function
    return new


def vectorized(watch: Watch, pyfunc: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A function of numbers, called at each place of arrays, as ``np.vectorize`` does."""
    arrays = broadcast_arrays(watch, *args)
    shape = arrays[0].shape
    results = [pyfunc(*(x[index] for x in arrays), **kwargs) for index in np.ndindex(*shape)]
    if results and isinstance(results[0], tuple):
        parts = zip(*results, strict=True)
        return tuple(array(watch, list(part)).reshape(shape) for part in parts)
    whole = array(watch, results)
    return whole.reshape(shape + whole.shape[1:]) if shape else whole[0]


def _reduction(function: Any, watch: Watch, a: Any, axis: Any = None, *args: Any, **kwargs: Any) -> Any:
    """A reduction, with NumPy's parameters by position, ``where`` and ``initial``."""
    names = ("dtype", "out") if function in (np.sum, np.mean, np.prod) else ("out",)
    kwargs.update(zip((*names, "keepdims", "initial", "where"), args, strict=False))
    kwargs = {
        key: x for key, x in kwargs.items() if x is not np._NoValue and not (x is None and key != "axis")
    }
    if not has_gradient(a) and not has_gradient(kwargs):
        return function(data_of(a), axis=axis, **{key: data_of(x) for key, x in kwargs.items()})
    where, initial = kwargs.pop("where", True), kwargs.pop("initial", None)
    neutral = {np.sum: 0.0, np.mean: 0.0, np.prod: 1.0}.get(function, initial)
    if where is not True:
        if neutral is None:
            raise watch.cannot(f"{numpy_name(function)} with where= and without initial= has no rule")
        a = wrapped(watch, where_of(data_of(where), as_tensor(a), as_tensor(neutral)))
    result = computed(watch, function, (a,), {"axis": axis, **kwargs})
    if where is not True and function is np.mean:
        shape = np.shape(data_of(a))
        chosen = np.broadcast_to(data_of(where), shape)
        result = result / np.mean(chosen, axis=axis, keepdims=kwargs.get("keepdims", False))
    if initial is not None:
        combine = {np.sum: np.add, np.prod: np.multiply, np.max: np.maximum, np.amax: np.maximum}
        result = NUMPY[combine.get(function, np.minimum)](as_tensor(result), as_tensor(initial))
    return result


for _function in (np.sum, np.mean, np.prod, np.max, np.min, np.amax, np.amin):
    ANSWERS[_function] = functools.partial(_reduction, _function)
