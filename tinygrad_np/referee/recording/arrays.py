"""An array that can be written to, as NumPy's can, and whose numbers still know where they came from.

A Tensor is a value; an ndarray is a place. `Recorded` is both: views share their memory as NumPy's views do, and
what is in it is kept as Tensors. The memory holds no numbers but codes: every Tensor that is written is given the
next whole numbers, one for each of its elements, and they are written into an array of integers. So NumPy itself
says what a view is, what an index selects and what a later write covers. Reading looks the codes up. Those of one
write, in their order, are that Tensor itself: ``h[t - 1]`` is what was put there, without a trace of the buffer.
Codes of several writes are joined, once.
"""

from __future__ import annotations

import dis
import sys
from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tinygrad_np.ops.elementwise import cast
from tinygrad_np.ops.index import getitem
from tinygrad_np.ops.shape import broadcast_to, concatenate, expand_dims, reshape, stack
from tinygrad_np.referee.recording.watch import Watch
from tinygrad_np.tape import NUMPY
from tinygrad_np.tensor import Tensor


class Storage:
    """The memory of an array and of all its views: a code for each element, and the Tensors that they stand for."""

    __slots__ = ("codes", "joined", "next", "starts", "tensors", "version")

    def __init__(self, tensor: Tensor):
        # NumPy's own layout in memory, which decides what reshaping can view
        self.codes = np.empty_like(tensor.data, dtype=np.int64, subok=False)
        self.codes[...] = np.arange(tensor.size).reshape(tensor.shape)
        self.tensors, self.starts, self.next = [tensor], [0], tensor.size
        self.version = 0  # how often it was written to
        self.joined: dict[Any, Tensor] = {}  # what was joined since the last write

    def write(self, codes: np.ndarray, key: Any, tensor: Tensor) -> None:
        """Put a Tensor, which has the shape of ``codes[key]``, there; `codes` is a view of this memory."""
        if tensor.size == 0:
            return
        start, end = self.next, self.next + tensor.size
        codes[key] = np.arange(start, end).reshape(tensor.shape)
        if key is ... and codes.size == self.codes.size:  # nothing is left of what was there
            self.tensors.clear()
            self.starts.clear()
        self.tensors.append(tensor)
        self.starts.append(start)
        self.next = end
        self.version += 1
        self.joined.clear()

    def whole(self, codes: np.ndarray) -> Tensor | None:
        """The one Tensor that these codes are all of, in its order."""
        if codes.size == 0:
            return None
        k = bisect_right(self.starts, codes[(0,) * codes.ndim]) - 1
        tensor, start = self.tensors[k], self.starts[k]
        if tensor.size != codes.size or not np.array_equal(
            codes.ravel(), np.arange(start, start + tensor.size)
        ):
            return None
        return tensor if tensor.shape == codes.shape else reshape(tensor, shape=codes.shape)

    def read(self, codes: np.ndarray) -> Tensor:
        """What stands at these codes now."""
        tensor = self.whole(codes)
        if tensor is not None:
            return tensor
        if not np.may_share_memory(codes, self.codes):  # picked out: another such array may come to lie there
            return self.join(codes)
        memory = codes.__array_interface__["data"][0], codes.shape, codes.strides
        if memory not in self.joined:
            self.joined[memory] = self.join(codes)
        return self.joined[memory]

    def join(self, codes: np.ndarray) -> Tensor:
        """The Tensor of codes that come from several writes, or from a part of one."""
        if codes.size == 0:
            return Tensor._of(np.empty(codes.shape, self.tensors[0].dtype), None)
        written = np.searchsorted(self.starts, codes, "right") - 1  # the number of the write of each element
        first, last = int(written.min()), int(written.max())
        if first == last:
            return self.part(codes, first)
        if all(tensor.node is None for tensor in self.tensors):
            numbers = np.concatenate([tensor.data.ravel() for tensor in self.tensors])
            starts = np.cumsum([0, *(tensor.size for tensor in self.tensors)])
            return Tensor._of(numbers[codes - np.subtract(self.starts, starts[:-1])[written]], None)
        for axis in range(codes.ndim):
            by_row = np.moveaxis(written, axis, 0).reshape(codes.shape[axis], -1)
            if (by_row == by_row[:, :1]).all():  # each row comes from one write: put them side by side
                return self.beside(np.moveaxis(codes, axis, 0), by_row[:, 0].tolist(), axis)
        numbers = np.unique(written)
        tensors = [self.tensors[k] for k in numbers]
        starts = np.cumsum([0, *(tensor.size for tensor in tensors)])[:-1]
        shift = dict(
            zip(numbers.tolist(), (starts - [self.starts[k] for k in numbers]).tolist(), strict=True)
        )
        shifts = np.array([shift.get(k, 0) for k in range(len(self.tensors))])
        return getitem(concatenate(*tensors, axis=None), index=codes + shifts[written])

    def part(self, codes: np.ndarray, number: int) -> Tensor:
        """Elements that all come from one write."""
        tensor = self.tensors[number]
        if not tensor.ndim:
            return broadcast_to(tensor, shape=codes.shape)
        return getitem(tensor, index=np.unravel_index(codes - self.starts[number], tensor.shape))

    def beside(self, rows: np.ndarray, written: list[int], axis: int) -> Tensor:
        """Rows that each come from one write, along an axis of the result; `rows` has it in front."""
        parts: list[Tensor] = []
        begin = 0
        for end in range(1, len(written) + 1):
            if end < len(written) and written[end] == written[begin]:
                continue
            block, one = np.moveaxis(rows[begin:end], 0, axis), None
            if end == begin + 1:
                one = self.whole(rows[begin])
            if one is not None:
                parts.append(expand_dims(one, axis=axis) if len(parts) or end < len(written) else one)
            else:
                whole = self.whole(block)
                parts.append(whole if whole is not None else self.part(block, written[begin]))
            begin = end
        if len(parts) == len(written) and all(self.whole(row) is not None for row in rows):
            return stack(*[self.read(row) for row in rows], axis=axis)
        return concatenate(*parts, axis=axis)


def plain_key(key: Any) -> Any:
    """An index as NumPy takes it."""
    if type(key) is tuple:
        return tuple([plain_key(part) for part in key])
    if isinstance(key, Recorded):
        return key.tensor.data
    if type(key) is list:
        return [plain_key(part) for part in key]
    return key


def has_gradient(x: Any) -> bool:
    """Whether something that is recorded is in it."""
    kind = type(x)
    if kind is Recorded or kind is Number:
        return x.tensor.node is not None
    if kind is list or kind is tuple:
        return any(map(has_gradient, x))
    if kind is dict:
        return any(map(has_gradient, x.values()))
    return False


def data_of(x: Any) -> Any:
    """The plain numbers of what is recorded, in lists, tuples and dicts too."""
    kind = type(x)
    if kind is Recorded or kind is Number:
        return x.tensor.data if kind is Recorded else x.tensor.data[()]
    if kind is list or kind is tuple:
        return kind(map(data_of, x))
    if kind is dict:
        return {key: data_of(value) for key, value in x.items()}
    return x


def as_tensor(x: Any) -> Tensor:
    """A Tensor of an array, a number, or nested lists in which some numbers are recorded."""
    kind = type(x)
    if kind is Recorded or kind is Number:
        return x.tensor  # type: ignore[no-any-return]
    if kind is Tensor:
        return x  # type: ignore[no-any-return]
    if (kind is list or kind is tuple) and has_gradient(x):
        parts = [as_tensor(part) for part in x]
        if len({part.shape for part in parts}) > 1:
            shapes = ", ".join(str(part.shape) for part in parts)
            raise ValueError(f"one array is made of parts of one shape, and these have {shapes}")
        return stack(*parts)
    return Tensor(np.asarray(data_of(x)))


LOW = (np.dtype(np.float32), np.dtype(np.float16))


def wrapped(watch: Watch, x: Any) -> Any:
    """The result of an op, as the user's code sees it: arrays are `Recorded`, plain scalars are NumPy's."""
    kind = type(x)
    if kind is Tensor:
        if x.data.dtype in LOW:
            x = lifted(watch, x)
        if x.data.ndim == 0:
            return x.data[()] if x.node is None else Number(watch, x)
        return Recorded(watch, x)
    if kind is np.ndarray:
        return constant(watch, x) if x.dtype.kind in "biufc" else x
    if isinstance(x, tuple | list):
        parts = [wrapped(watch, part) for part in x]
        return kind._make(parts) if hasattr(kind, "_make") else kind(parts)
    if kind is np.float32 or kind is np.float16:
        return np.float64(x)
    return x


def lifted(watch: Watch, x: Tensor) -> Tensor:
    """A Tensor of float32 or float16 in float64, with a note."""
    watch.note(f"{x.dtype} at {watch.where()} was taken as float64")
    return cast(x, dtype=np.dtype(np.float64))


def constant(watch: Watch, x: np.ndarray) -> Recorded:
    """An array of numbers that no gradient comes from."""
    if x.dtype in LOW:
        watch.note(f"{x.dtype} at {watch.where()} was taken as float64")
        x = x.astype(np.float64)
    return Recorded(watch, Tensor._of(x, None))


def binary(ufunc: np.ufunc) -> tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]]:
    """The operator of two, the one with exchanged sides, and the one that writes into the left side."""

    def forward(self: Any, other: Any) -> Any:
        return self.watch.call(self.watch, ufunc, (self, other), {})

    def backward(self: Any, other: Any) -> Any:
        return self.watch.call(self.watch, ufunc, (other, self), {})

    def in_place(self: Any, other: Any) -> Any:
        if type(self) is Number:
            return self.watch.call(self.watch, ufunc, (self, other), {})
        return self.watch.call(self.watch, ufunc, (self, other), {"out": self})

    return forward, backward, in_place


def unary(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self: self.watch.call(self.watch, function, (self,), {})


def method(function: Callable[..., Any]) -> Callable[..., Any]:
    """The method that is a function of NumPy's."""
    return lambda self, *args, **kwargs: self.watch.call(self.watch, function, (self, *args), kwargs)


class Recorded:
    """An ndarray of the user's code while it is recorded; see the head of this file.

    It says that it is an ndarray. Whatever NumPy's does, it does: with views, in place, with ``out=``.
    """

    __slots__ = ("_codes", "_storage", "_tensor", "_version", "watch")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, watch: Watch, tensor: Tensor):
        self.watch = watch
        self._tensor = tensor
        self._storage: Storage | None = None  # made when somebody looks at a part of it
        self._codes: np.ndarray | None = None
        self._version = 0

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return np.ndarray

    # --- memory ---

    @property
    def tensor(self) -> Tensor:
        """What is in it now."""
        storage = self._storage
        if storage is not None and self._version != storage.version:
            self._tensor, self._version = self._read(self.codes), storage.version
        return self._tensor

    @property
    def storage(self) -> Storage:
        if self._storage is None:
            self._storage = Storage(self._tensor)
            self._codes = self._storage.codes
        return self._storage

    @property
    def codes(self) -> np.ndarray:
        """Its codes: a view of those of its storage."""
        if self._codes is None:
            self._codes = self.storage.codes
        return self._codes

    def _read(self, codes: np.ndarray) -> Tensor:
        if not self.watch.trace:
            return self.storage.read(codes)
        before = self.watch.began()
        tensor = self.storage.read(codes)
        self.watch.made(before)
        return tensor

    def viewed_by(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """What a function that NumPy may answer with a view gives: a view, a copy, a number, or a list of them."""
        codes = function(self.codes, *args, **kwargs)
        if isinstance(codes, list | tuple):
            return type(codes)([self.viewed(part, self._read(np.asarray(part))) for part in codes])
        if not isinstance(codes, np.ndarray):
            codes = np.asarray(codes)
            return wrapped(self.watch, self._now(codes, function, args, kwargs))
        return self.viewed(codes, self._now(codes, function, args, kwargs))

    def _now(self, codes: np.ndarray, function: Callable[..., Any], args: Any, kwargs: Any) -> Tensor:
        """What is at some codes of it, which a function chose."""
        storage = self.storage
        if storage.version:
            tensor = storage.whole(codes)
            if tensor is not None:
                return tensor
        if self._version != storage.version:
            return self._read(codes)
        mine = self._tensor
        if mine.node is None:
            return Tensor._of(np.asarray(function(mine.data, *args, **kwargs)), None)
        if not mine.ndim:
            return broadcast_to(mine, shape=codes.shape)
        if function is not _item and (function not in NUMPY or _reordered(args, kwargs)):
            return self._read(codes)
        before = self.watch.began() if self.watch.trace else 0
        result = getitem(mine, index=args[0]) if function is _item else NUMPY[function](mine, *args, **kwargs)
        if self.watch.trace:
            self.watch.made(before)
        return result

    def viewed(self, codes: np.ndarray, tensor: Tensor) -> Recorded:
        """An array of these codes, which hold this now; a view of this one if they share its memory."""
        storage = self.storage
        new = Recorded(self.watch, tensor)
        if type(self) is Recorded and np.may_share_memory(codes, storage.codes):  # a scalar has no views
            new._storage, new._codes, new._version = storage, codes, storage.version
        return new

    def write(self, key: Any, value: Any) -> None:
        """Put a value at a plain index."""
        codes = self.codes
        target = codes[key]
        self.storage.write(codes, key, self._fit(value, np.shape(target)))

    def _fit(self, value: Any, shape: tuple[int, ...]) -> Tensor:
        """A value in the dtype of this array and a shape, as NumPy makes it fit."""
        tensor, dtype = as_tensor(value), self._tensor.dtype
        if tensor.dtype != dtype:
            if tensor.node is not None and dtype.kind in "iub":
                self.watch.doubt(
                    f"an array of {dtype} at {self.watch.where()} truncates what is written into it"
                )
                tensor = tensor.detach()
            if tensor.node is None:
                tensor = Tensor._of(tensor.data.astype(dtype), None)
            else:
                tensor = cast(tensor, dtype=dtype)
        if tensor.shape != shape:
            lead = len(tensor.shape) - len(shape)
            if lead > 0 and tensor.shape[:lead] == (1,) * lead:
                tensor = reshape(tensor, shape=tensor.shape[lead:])
            if tensor.shape != shape:
                try:
                    tensor = broadcast_to(tensor, shape=shape)
                except ValueError:
                    raise ValueError(
                        f"could not broadcast input array from shape {tensor.shape} into shape {shape}"
                    ) from None
        return tensor

    # --- as ndarray has them ---

    ndim = property(lambda self: self._tensor.ndim)
    size = property(lambda self: self._tensor.size)
    dtype = property(lambda self: self._tensor.dtype)
    itemsize = property(lambda self: self._tensor.dtype.itemsize)
    nbytes = property(lambda self: self._tensor.data.nbytes)
    flags = property(lambda self: self.codes.flags)

    @property
    def shape(self) -> tuple[int, ...]:
        return self._tensor.shape

    @shape.setter
    def shape(self, lengths: Any) -> None:
        new = self.viewed_by(np.reshape, lengths)
        if not np.may_share_memory(new.codes, self.codes):
            raise AttributeError("incompatible shape for in-place modification; use reshape, which may copy")
        self._tensor, self._codes, self._version = new.tensor, new.codes, new._version

    @property
    def strides(self) -> tuple[int, ...]:
        return tuple(step // 8 * self.itemsize for step in self.codes.strides)

    @property
    def base(self) -> Any:
        return None

    @property
    def T(self) -> Any:
        return self.viewed_by(np.transpose)

    mT = property(lambda self: self.viewed_by(np.matrix_transpose))
    real = property(lambda self: self)
    flat = property(lambda self: Flat(self))

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("len() of unsized object")
        return int(self.shape[0])

    def __iter__(self) -> Iterator[Any]:
        if not self.ndim:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(len(self)))

    def __getitem__(self, key: Any) -> Any:
        key = plain_key(key)
        if self._tensor.node is None and self._storage is None:  # most often one number of the user's data
            found = self._tensor.data[key]
            if type(found) is not np.ndarray:
                return found
        return self.viewed_by(_item, key)

    def __setitem__(self, key: Any, value: Any) -> None:
        self.write(plain_key(key), value)

    def __contains__(self, x: Any) -> bool:
        return bool((data_of(self) == data_of(x)).any())

    def __bool__(self) -> bool:
        return bool(self.tensor.data)

    def __float__(self) -> float:
        if self.tensor.node is not None and not _formats():
            raise self.watch.cannot("a plain float is made of a number that has a gradient")
        return float(self.tensor.data)

    def __int__(self) -> int:
        if self.tensor.node is not None and not _formats():
            self.watch.doubt(f"int() at {self.watch.where()} cuts off what has a gradient")
        return int(self.tensor.data)

    def __index__(self) -> int:
        return self.tensor.data.__index__()

    def __complex__(self) -> complex:
        return complex(float(self))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if self.tensor.node is not None:
            raise self.watch.cannot(
                "a plain ndarray is made of what has a gradient, or it is written into one"
            )
        return np.array(self.tensor.data, dtype=dtype, copy=True if copy is None else copy)

    def __array_ufunc__(self, ufunc: np.ufunc, how: str, *inputs: Any, **kwargs: Any) -> Any:
        if len(kwargs.get("out", ())) == 1:
            kwargs["out"] = kwargs["out"][0]
        function = ufunc if how == "__call__" else getattr(ufunc, how)
        return self.watch.call(self.watch, function, inputs, kwargs)

    def __array_function__(self, function: Callable[..., Any], types: Any, args: Any, kwargs: Any) -> Any:
        return self.watch.call(self.watch, function, args, kwargs)

    def __repr__(self) -> str:
        return repr(self.tensor.data)

    def __str__(self) -> str:
        return str(self.tensor.data)

    def __format__(self, spec: str) -> str:
        return format(self.tensor.data[()] if self.ndim == 0 else self.tensor.data, spec)

    def __copy__(self) -> Any:
        return self.copy()

    def __deepcopy__(self, memo: Any) -> Any:
        return self.copy()

    def __reduce__(self) -> Any:
        raise self.watch.cannot("what is recorded cannot be pickled")

    __add__, __radd__, __iadd__ = binary(np.add)
    __sub__, __rsub__, __isub__ = binary(np.subtract)
    __mul__, __rmul__, __imul__ = binary(np.multiply)
    __truediv__, __rtruediv__, __itruediv__ = binary(np.divide)
    __floordiv__, __rfloordiv__, __ifloordiv__ = binary(np.floor_divide)
    __mod__, __rmod__, __imod__ = binary(np.remainder)
    __pow__, __rpow__, __ipow__ = binary(np.power)
    __matmul__, __rmatmul__, __imatmul__ = binary(np.matmul)
    __and__, __rand__, __iand__ = binary(np.bitwise_and)
    __or__, __ror__, __ior__ = binary(np.bitwise_or)
    __xor__, __rxor__, __ixor__ = binary(np.bitwise_xor)
    __lshift__, __rlshift__, __ilshift__ = binary(np.left_shift)
    __rshift__, __rrshift__, __irshift__ = binary(np.right_shift)
    __divmod__, __rdivmod__, _ = binary(np.divmod)
    __eq__, _, _ = binary(np.equal)
    __ne__, _, _ = binary(np.not_equal)
    __lt__, _, _ = binary(np.less)
    __le__, _, _ = binary(np.less_equal)
    __gt__, _, _ = binary(np.greater)
    __ge__, _, _ = binary(np.greater_equal)
    __neg__ = unary(np.negative)
    __abs__ = unary(np.absolute)
    __invert__ = unary(np.invert)

    def __pos__(self) -> Any:
        return self.copy() if type(self) is Recorded else self

    def __round__(self, decimals: int | None = None) -> Any:
        return self.watch.call(self.watch, np.round, (self, decimals or 0), {})

    def __trunc__(self) -> int:
        return int(self)

    def __floor__(self) -> int:
        return int(self.watch.call(self.watch, np.floor, (self,), {}))

    def __ceil__(self) -> int:
        return int(self.watch.call(self.watch, np.ceil, (self,), {}))

    def item(self, *index: Any) -> Any:
        """The number, with its gradient if it has one."""
        if index:
            return (
                self.flat[index[0]] if len(index) == 1 and isinstance(index[0], int) else self[_flat(index)]
            )
        if self.size != 1:
            raise ValueError("can only convert an array of size 1 to a Python scalar")
        return _number(self.viewed_by(np.reshape, ())[()] if self.ndim or type(self) is Recorded else self)

    def tolist(self) -> Any:
        """Nested lists of numbers, with their gradients."""
        if self.tensor.node is None:
            return self.tensor.data.tolist()
        return [part.tolist() for part in self] if self.ndim else self.item()

    def astype(self, dtype: Any, *args: Any, copy: bool = True, **kwargs: Any) -> Any:
        """In another dtype; float32 stays float64."""
        kind = self.watch.call(self.watch, np.dtype, (dtype,), {})
        tensor = self.tensor
        if kind.kind not in "biufc":
            return data_of(self).astype(kind)
        if tensor.node is not None:
            if kind.kind == "c":
                raise self.watch.cannot("complex numbers are made of what has a gradient")
            if kind.kind != "f":
                if kind.kind != "b":
                    self.watch.doubt(f"astype({kind}) at {self.watch.where()} cuts off what has a gradient")
                tensor = Tensor._of(tensor.data.astype(kind), None)
        elif kind != tensor.dtype:
            tensor = Tensor._of(tensor.data.astype(kind), None)
        elif not copy:
            return self
        return type(self)(self.watch, tensor) if tensor.node is not None else wrapped(self.watch, tensor)

    def copy(self, order: str = "C") -> Any:
        tensor = self.tensor
        if order == "C" and not tensor.data.flags.c_contiguous:  # the layout says what can view it later
            tensor = Tensor._of(np.ascontiguousarray(tensor.data), tensor.node)
        return type(self)(self.watch, tensor)

    def flatten(self, order: str = "C") -> Any:
        new = self.viewed_by(np.ravel, order)
        return Recorded(self.watch, new.tensor)

    def reshape(self, *lengths: Any, order: str = "C", copy: Any = None) -> Any:
        return self.viewed_by(np.reshape, _flat(lengths), order=order)

    def transpose(self, *axes: Any) -> Any:
        return self.viewed_by(np.transpose, _flat(axes) or None)

    def view(self, dtype: Any = None, *args: Any) -> Any:
        """The same memory, looked at as another array."""
        if args or (
            dtype not in (None, np.ndarray) and np.dtype(getattr(dtype, "stands_for", dtype)) != self.dtype
        ):
            raise self.watch.cannot("ndarray.view as another dtype has no rule")
        return self.viewed_by(_item, ...)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or not hasattr(np.ndarray, name):
            raise AttributeError(f"'numpy.ndarray' object has no attribute '{name}'")
        if self.tensor.node is not None or name in ("partition", "resize", "setfield", "byteswap"):
            raise self.watch.cannot(f"ndarray.{name} has no rule")
        return getattr(self.tensor.data.copy(), name)

    def fill(self, value: Any) -> None:
        self.write(..., value)

    def sort(self, axis: int = -1, **kwargs: Any) -> None:
        self.write(..., self.watch.call(self.watch, np.sort, (self, axis), kwargs))

    def setflags(self, **flags: Any) -> None:
        self.codes.setflags(**flags)


def _item(x: np.ndarray, key: Any) -> Any:
    """x[key]"""
    return x[key]


def _reordered(args: Any, kwargs: Any) -> bool:
    """Whether elements are asked for in another order than row by row, which a rule does not know."""
    return any(isinstance(x, str) and x != "C" for x in (*args, kwargs.get("order")))


def _number(x: Any) -> Any:
    """A scalar as Python's own where nothing is recorded in it."""
    return x if type(x) is Number else x.item()


def _flat(values: tuple[Any, ...]) -> tuple[int, ...]:
    """``x.reshape(2, 3)`` and ``x.reshape((2, 3))`` are the same."""
    if len(values) == 1 and values[0] is None:
        return ()
    if len(values) == 1 and isinstance(values[0], list | tuple | np.ndarray):
        return tuple(values[0])
    return values


def _formats() -> bool:
    """Whether a number is asked for to be shown: ``"%.3f" % loss`` asks for a float."""
    frame = sys._getframe(2)
    code = frame.f_code.co_code
    operation = dis.opname[code[frame.f_lasti]]
    return operation in ("BINARY_MODULO", "INPLACE_MODULO") or (
        operation == "BINARY_OP" and code[frame.f_lasti + 1] in (6, 19)
    )


METHODS = (
    "all any argmax argmin argpartition argsort clip compress conj conjugate cumprod cumsum dot max mean min "
    "nonzero prod repeat round searchsorted std sum take trace var choose diagonal ravel squeeze swapaxes put"
)
for _name in METHODS.split():
    setattr(Recorded, _name, method(getattr(np, _name)))


class Number(Recorded):
    """A scalar that has a gradient: a value, as NumPy's scalars are. It says that it is an ``np.float64``."""

    __slots__ = ()

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return np.float64

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(self.tensor.data.item())

    def __setitem__(self, key: Any, value: Any) -> None:
        raise TypeError("'numpy.float64' object does not support item assignment")

    def is_integer(self) -> bool:
        return bool(self.tensor.data == np.floor(self.tensor.data))


class Flat:
    """``x.flat``: the elements in their order, to be read and written."""

    def __init__(self, array: Recorded):
        self.array = array

    def __len__(self) -> int:
        return self.array.size  # type: ignore[no-any-return]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.array.reshape(-1))

    def __getitem__(self, key: Any) -> Any:
        found = self.array.reshape(-1)[key]
        return found.copy() if type(found) is Recorded else found

    def __setitem__(self, key: Any, value: Any) -> None:
        array = self.array
        places = np.unravel_index(np.arange(array.size)[plain_key(key)], array.shape)
        array.write(places, value)
