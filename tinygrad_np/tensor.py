"""Tensor: an ndarray that remembers how it was made, so that gradients can be sent back through it.

NumPy's own functions and operators work on Tensors and record themselves: ``np.tanh(t)``, ``array * t``,
``np.concatenate([t, u])``. A NumPy function without a rule raises, and never loses the gradient in silence.

A Tensor is a value: ``t.at[index].set(v)`` makes a new one, and so does ``a += b``. Its dtype is that of its
array, and a Python number takes the dtype of what it meets, so float32 stays float32. Comparisons and
other functions whose derivative is 0 give plain ndarrays.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from tinygrad_np import backward, recorded, tape
from tinygrad_np.errors import BAD_INPUT, GradientLost, describe_error, numpy_name
from tinygrad_np.methods import Methods, method
from tinygrad_np.operand import as_array, operand
from tinygrad_np.ops import elementwise, index, linalg, reduce, shape
from tinygrad_np.ops.constant import CONSTANT, IN_PLACE
from tinygrad_np.ops.reduce import Axis
from tinygrad_np.recorded import remember
from tinygrad_np.row_grad import RowGrad
from tinygrad_np.tape import NUMPY, Node
from tinygrad_np.torch_names import torch_parameters

_adding = threading.Lock()  # several threads may send gradients to one leaf


def _new_lock() -> None:
    """In a forked child: the lock may be held by a thread that is not there."""
    global _adding
    _adding = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_new_lock)


class Tensor(Methods):
    """An array with a gradient.

    The graph holds the arrays and indices that went into it, not copies: they must not be written to before
    `backward` has passed.

    Parameters
    ----------
    data : array_like
        Numbers of any shape. An ndarray is shared, not copied, unless `requires_grad` is true: then the
        Tensor has a copy of its own.
    requires_grad : bool
        Whether `backward` shall leave a gradient in `grad`. Floating-point data only.
    dtype : dtype, optional
        The dtype to convert to. Without it the data keeps its own.

    Raises
    ------
    TypeError
        The data is not numeric, or a gradient is asked for integers, bools or complex numbers.
    """

    __slots__ = {  # with the texts that `help` shows
        "__weakref__": None,
        "data": "The array. To be written to between two passes only, as optimizers do.",
        "node": "Its place in the graph, a `tape.Node`; None where no gradient flows.",
    }

    data: np.ndarray
    node: Node | None

    def __init__(self, data: ArrayLike | Tensor, requires_grad: bool = False, dtype: DTypeLike | None = None):
        given = as_array(
            data, "" if isinstance(data, Tensor) else "Tensor"
        )  # refuses a Tensor whose gradient would be lost
        array = np.asarray(given, dtype=dtype)
        if array.dtype.kind not in "biufc":
            raise TypeError(
                f"a Tensor holds numbers, and this has dtype {array.dtype}; make numbers of it first"
            )
        self.data = array
        self.node = getattr(given, "node", None)  # of a RecordedArray
        if requires_grad:
            self.requires_grad = True

    def __init_subclass__(cls) -> None:
        raise TypeError(
            f"{cls.__name__}: Tensor has no subclasses, as ops return plain Tensors; let your own object hold one"
        )

    @staticmethod
    def _of(data: np.ndarray, node: Node | None) -> Tensor:
        """A Tensor from an array and its node, unchecked: how primitives make their results."""
        tensor = object.__new__(Tensor)
        tensor.data = data
        tensor.node = node
        return tensor

    # --- what it is ---

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of its axes."""
        return self.data.shape

    @property
    def ndim(self) -> int:
        """How many axes it has."""
        return self.data.ndim

    @property
    def size(self) -> int:
        """How many elements it has: a number, as NumPy's, and no method."""
        return self.data.size

    @property
    def dtype(self) -> np.dtype[Any]:
        """NumPy's dtype of its elements."""
        return self.data.dtype

    @property
    def is_leaf(self) -> bool:
        """Whether it was made by hand, and not by a recorded primitive."""
        return self.node is None or self.node.vjps == ()

    @property
    def requires_grad(self) -> bool:
        """Whether gradients flow to it. Can be set on a leaf, to freeze and unfreeze it."""
        return self.node is not None

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if not self.is_leaf:
            raise RuntimeError("requires_grad can be set on a leaf only; use .detach() to cut a result off")
        if value and self.data.dtype.kind != "f":
            raise TypeError(
                f"only floating-point Tensors can require a gradient, and this one is {self.data.dtype}; "
                "give it dtype=np.float32 or np.float64"
            )
        if value and self.node is None:
            self.data = self.data.copy()  # an optimizer will write to it
            self.node = Node(self.data.shape, self.data.dtype)
        elif not value:
            self.node = None

    @property
    def grad(self) -> np.ndarray | None:
        """The gradient that `backward` has added up so far: an ndarray of this Tensor's own, or None.

        Of a table that was read with ``sparse=True`` it is a `RowGrad`.

        A result has none, unless `retain_grad` was called: an AttributeError, so that
        ``getattr(tensor, "grad", None)`` and ``hasattr`` work.
        """
        if not (self.is_leaf or self.retains_grad):
            raise AttributeError(
                "only leaves keep their gradient; call retain_grad() before backward() to keep that of a result"
            )
        return None if self.node is None else self.node.grad

    @grad.setter
    def grad(self, value: np.ndarray | None) -> None:
        if self.node is None or not self.is_leaf:
            raise RuntimeError(
                "only a leaf that requires a gradient can be given one; make it with requires_grad=True"
            )
        if value is not None:
            is_rows = isinstance(value, RowGrad)
            value = value.copy() if is_rows else np.array(as_array(value, "the gradient"))
            if (value.shape, value.dtype) != (self.shape, self.dtype):
                raise ValueError(
                    f"a gradient of {value.dtype}{list(value.shape)} "
                    f"for a Tensor of {self.dtype}{list(self.shape)}; give it one of that dtype and shape"
                )
        self.node.grad = value

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec and self.size == 1 else format(str(self), spec)

    def __reduce__(self) -> Any:
        """A copy or pickle of a leaf is a leaf of its own, with a new node; a result has none."""
        if not self.is_leaf:
            raise TypeError(
                "a result cannot be copied or pickled, as its graph cannot; use .detach() or .data"
            )
        return _restored, (self.data, self.requires_grad, self.grad)

    def __repr__(self) -> str:
        text = np.array2string(self.data, separator=", ", prefix="Tensor(")
        dtype = "" if self.dtype == np.float64 else f", dtype={self.dtype}"
        return f"Tensor({text}{dtype}{', requires_grad=True' if self.requires_grad else ''})"

    # --- gradients ---

    def backward(self, gradient: ArrayLike | Tensor | None = None, retain_graph: bool = False) -> None:
        """Add the gradient of this Tensor to the `grad` of every leaf that it depends on.

        Parameters
        ----------
        gradient : array_like, optional
            Gradient of what is minimised with respect to this Tensor, in its shape. Not needed for a
            Tensor with one element: then it is 1.
        retain_graph : bool
            Keep the graph, so that `backward` can be called again. Otherwise it is freed on the way. Do not
            step an optimizer in between: the graph holds the weights themselves, not copies.

        Raises
        ------
        RuntimeError
            The Tensor does not require a gradient, or its graph was freed.
        ValueError
            No gradient is given for several elements, or one of another shape.
        """
        if self.node is None:
            raise RuntimeError(
                "backward() of a Tensor that does not depend on one with requires_grad=True; "
                "make what is trained with it, and compute outside of no_grad()"
            )
        if gradient is None:
            if self.size != 1:
                raise ValueError(
                    f"backward() of a Tensor of shape {self.shape} needs the gradient to start with; "
                    "without one, reduce it to a single element first, such as its sum"
                )
            gradient = np.ones(self.shape, self.dtype)
        g = as_array(gradient.data if isinstance(gradient, Tensor) else gradient, "backward()")
        if g.dtype.kind == "c" and self.dtype.kind != "c":
            raise TypeError(f"backward() of a Tensor of {self.dtype} got a gradient of complex numbers")
        g = g.astype(self.dtype, copy=False)
        if g.shape != self.shape:
            raise ValueError(
                f"backward() of a Tensor of shape {self.shape} got a gradient of shape {g.shape}"
            )
        nodes = backward.toposort(self.node)
        parts = backward.backward_pass(nodes, g, backward.Accumulator(), free=not retain_graph)
        with _adding:
            for leaf, part in parts.items():
                total: Any = part if leaf.grad is None else leaf.grad + part
                if type(total) is not RowGrad:
                    total = np.asarray(total, leaf.dtype)
                leaf.grad = total

    def register_hook(self, hook: Callable[[Any], Any]) -> Callable[[], None]:
        """Have each gradient that arrives here, whole, shown to a function on the way back.

        Parameters
        ----------
        hook : callable
            Takes the gradient, an ndarray that cannot be written to (under `grad` and its like a Tensor), and
            returns None, or another one of its shape that goes on, and is kept, in its place.

        Returns
        -------
        callable
            Takes the hook off again.

        Raises
        ------
        RuntimeError
            No gradient comes here.
        """
        if self.node is None:
            raise RuntimeError("register_hook: no gradient comes to a Tensor that does not require one")
        node = self.node
        backward.add_hook(node, hook)
        return lambda: node.hooks.remove(hook) if hook in node.hooks else None

    def retain_grad(self) -> None:
        """Keep the gradient of this result in `grad` too, as those of leaves are. Call it before `backward`."""
        if self.node is None:
            raise RuntimeError("retain_grad: no gradient comes to a Tensor that does not require one")
        if not (self.is_leaf or self.retains_grad):
            backward.add_hook(self.node, backward.KEEP)

    @property
    def retains_grad(self) -> bool:
        """Whether `retain_grad` was called on this result."""
        return backward.KEEP in getattr(self.node, "hooks", ())

    def detach(self) -> Tensor:
        """The same array without its history: gradients stop here."""
        return Tensor._of(self.data, None)

    # --- as plain data ---

    def numpy(self) -> np.ndarray:
        """The array. Raises where a gradient would be lost, as ``np.asarray`` does; see `detach`."""
        return np.asarray(self)

    def item(self) -> Any:
        """The only element, as a Python number."""
        if self.size != 1:
            raise ValueError(
                f"item() takes the only element of a Tensor, and this one has shape {self.shape}; "
                "index or reduce it first"
            )
        return self.data.item()

    def tolist(self) -> Any:
        """The elements as Python numbers in nested lists."""
        return self.data.tolist()

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> np.ndarray:
        if self.requires_grad:
            raise GradientLost(
                "making an ndarray of a Tensor that requires a gradient would lose the gradient; "
                "use .detach() or .data"
            )
        return np.array(self.data, dtype=dtype, copy=copy)

    def __bool__(self) -> bool:
        return bool(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if self.ndim or self.dtype.kind not in "iu":
            raise TypeError(
                f"an index, or a bound of a slice, is one whole number, and not {self.dtype}{list(self.shape)}"
            )
        return int(self.data)

    def __float__(self) -> float:
        if self.requires_grad:  # math.sqrt(t) and array[0] = t ask for a float too
            raise GradientLost("making a float of a Tensor would lose the gradient; use .item() or .detach()")
        return float(self.item())

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("len() of a Tensor without axes, which is one number; use .item()")
        return len(self.data)

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    # --- NumPy's protocols ---

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method != "__call__":
            raise TypeError(
                f"{numpy_name(ufunc)}.{method} has no rule for a Tensor: call a function that has one, such as "
                "np.sum, or use .detach() or .data where no gradient is needed"
            )
        if "out" in kwargs:
            raise TypeError(
                f"{numpy_name(ufunc)} cannot write into out=: Tensors are values; leave it out, and use the result"
            )
        return self.__array_function__(ufunc, (), inputs, kwargs)

    def __array_function__(
        self, function: Callable[..., Any], types: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        if function in NUMPY:
            return NUMPY[function](*args, **kwargs)
        if function in CONSTANT:
            arrays = without_tensors(args)
            named = {key: without_tensors(value) for key, value in kwargs.items()}
            try:
                result = function(*arrays, **named)
            except BAD_INPUT as error:
                raise describe_error(numpy_name(function), error, arrays, named) from error
            return remember(function, args, kwargs, result)
        if function in IN_PLACE:
            raise TypeError(
                f"{numpy_name(function)} writes into its array, and a Tensor is a value: use t.at[index].set(v)"
            )
        raise TypeError(
            f"{numpy_name(function)} has no rule for a Tensor: use what has one, declare it with "
            "tinygrad_np.primitive, or leave the gradient behind with .detach() or .data"
        )

    # --- operators ---

    __hash__ = object.__hash__

    __neg__ = elementwise.negative
    __abs__ = elementwise.absolute
    __add__ = elementwise.add
    __sub__ = elementwise.subtract
    __mul__ = elementwise.multiply
    __truediv__ = elementwise.divide
    __pow__ = elementwise.power
    __matmul__ = linalg.matmul

    __radd__ = elementwise.add
    __rmul__ = elementwise.multiply

    def __rsub__(self, other: Any) -> Tensor:
        return elementwise.subtract(other, self)

    def __rtruediv__(self, other: Any) -> Tensor:
        return elementwise.divide(other, self)

    def __rpow__(self, other: Any) -> Tensor:
        return elementwise.power(other, self)

    def __rmatmul__(self, other: Any) -> Tensor:
        return linalg.matmul(other, self)

    __pos__ = elementwise.identity
    __mod__ = elementwise.remainder
    __floordiv__ = method(np.floor_divide)
    __divmod__ = method(np.divmod)

    def __rmod__(self, other: Any) -> Tensor:
        return elementwise.remainder(other, self)

    def __rfloordiv__(self, other: Any) -> Tensor:
        return NUMPY[np.floor_divide](other, self)  # type: ignore[no-any-return]

    def __rdivmod__(self, other: Any) -> tuple[Tensor, Tensor]:
        return NUMPY[np.divmod](other, self)  # type: ignore[no-any-return]

    def __round__(self, decimals: int | None = None) -> Tensor:
        return NUMPY[np.round](self, decimals or 0)  # type: ignore[no-any-return]

    __and__ = __rand__ = method(np.bitwise_and)
    __or__ = __ror__ = method(np.bitwise_or)
    __xor__ = __rxor__ = method(np.bitwise_xor)
    __invert__ = method(np.invert)

    def __eq__(self, other: Any) -> Any:
        return self.__array_function__(np.equal, (), (self, other), {})

    def __ne__(self, other: Any) -> Any:
        return self.__array_function__(np.not_equal, (), (self, other), {})

    def _ordered(self, ufunc: np.ufunc, other: Any) -> Any:
        """A comparison by size, with numbers alone."""
        other = other if isinstance(other, Tensor) else operand(ufunc.__name__, other)
        return self.__array_function__(ufunc, (), (self, other), {})

    def __lt__(self, other: Any) -> Any:
        return self._ordered(np.less, other)

    def __le__(self, other: Any) -> Any:
        return self._ordered(np.less_equal, other)

    def __gt__(self, other: Any) -> Any:
        return self._ordered(np.greater, other)

    def __ge__(self, other: Any) -> Any:
        return self._ordered(np.greater_equal, other)

    def __getitem__(self, key: Any) -> Tensor:
        return index.getitem(self, index=without_tensors(key))

    if not TYPE_CHECKING:  # for a type checker there is neither

        def __setitem__(self, key: Any, value: Any) -> NoReturn:
            raise TypeError("a Tensor is a value: instead of t[index] = v write t = t.at[index].set(v)")

        def __delitem__(self, key: Any) -> NoReturn:
            raise TypeError(
                "a Tensor is a value: instead of del t[index] write t = np.delete(t, index, axis)"
            )

    # --- methods, as ndarray has them ---

    @property
    def T(self) -> Tensor:
        """The axes in reverse order."""
        return shape.transpose(self)

    @property
    def mT(self) -> Tensor:
        """The last two axes exchanged; an AttributeError where there are none."""
        if self.ndim < 2:
            raise AttributeError(f"mT exchanges the last two axes, and this Tensor has shape {self.shape}")
        return shape.transpose(self, axes=(*range(self.ndim - 2), -1, -2))

    mH = mT  # of real numbers

    def astype(self, dtype: DTypeLike) -> Tensor:
        """The same numbers in another floating-point dtype; of a constant, in any dtype."""
        try:
            kind = np.dtype(dtype)
        except TypeError as error:
            raise TypeError(f"astype: {error}") from error
        if self.requires_grad and kind.kind != "f":
            raise TypeError(f"astype({kind}) would lose the gradient; use .detach() first")
        if kind.kind not in "biufc":
            raise TypeError(f"a Tensor holds numbers, and no {kind}; use .data.astype")
        return elementwise.cast(self, dtype=kind)

    @torch_parameters
    def sum(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """The sum over axes, all unless told; see `numpy.sum`."""
        return reduce.sum(self, axis=axis, keepdims=keepdims)

    @torch_parameters
    def mean(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """The mean over axes, all unless told; see `numpy.mean`."""
        return reduce.mean(self, axis=axis, keepdims=keepdims)

    @torch_parameters
    def var(
        self, axis: Axis = None, ddof: float = 0, keepdims: bool = False, *, correction: float | None = None
    ) -> Tensor:
        """The variance over axes, sum (x - mean)^2 / (n - ddof); see `numpy.var`. PyTorch's has ddof 1."""
        return reduce.var(self, axis=axis, ddof=ddof, keepdims=keepdims, correction=correction)

    @torch_parameters
    def std(
        self, axis: Axis = None, ddof: float = 0, keepdims: bool = False, *, correction: float | None = None
    ) -> Tensor:
        """The standard deviation over axes, the root of `var`; see `numpy.std`. PyTorch's has ddof 1."""
        spread: Tensor = NUMPY[np.std](self, axis=axis, ddof=ddof, keepdims=keepdims, correction=correction)
        return spread

    @torch_parameters
    def max(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """The largest element over axes, and no indices. Equal ones share the gradient evenly."""
        return reduce.max(self, axis=axis, keepdims=keepdims)

    @torch_parameters
    def min(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """The smallest element over axes, and no indices. Equal ones share the gradient evenly."""
        return reduce.min(self, axis=axis, keepdims=keepdims)

    def reshape(self, *lengths: Any) -> Tensor:
        """The same elements in another shape, as numbers or as a tuple; one length may be -1."""
        return shape.reshape(self, shape=_flat(lengths))

    def transpose(self, *axes: Any) -> Tensor:
        """The axes in another order, as numbers or as a tuple; reversed unless told."""
        return shape.transpose(self, axes=_flat(axes) or None)

    @torch_parameters
    def squeeze(self, axis: int | tuple[int, ...] | None = None) -> Tensor:
        """It without its axes of length 1, or without the named ones."""
        return shape.squeeze(self, axis=axis)

    @torch_parameters
    def expand_dims(self, axis: int | tuple[int, ...]) -> Tensor:
        """It with new axes of length 1 at these places of the result."""
        return shape.expand_dims(self, axis=axis)

    def exp(self) -> Tensor:
        """e^x, element-wise."""
        return elementwise.exp(self)

    def log(self) -> Tensor:
        """The natural logarithm, element-wise."""
        return elementwise.log(self)

    def sqrt(self) -> Tensor:
        """The square root, element-wise."""
        return elementwise.sqrt(self)

    def tanh(self) -> Tensor:
        """The hyperbolic tangent, element-wise."""
        return elementwise.tanh(self)

    def sigmoid(self) -> Tensor:
        """The logistic function 1 / (1 + e^-x), element-wise."""
        return elementwise.sigmoid(self)

    def relu(self) -> Tensor:
        """max(x, 0), element-wise. The derivative at 0 is taken as 0."""
        return elementwise.relu(self)

    def abs(self) -> Tensor:
        """|x|, element-wise. The derivative at 0 is taken as 0."""
        return elementwise.absolute(self)

    def matmul(self, other: ArrayLike | Tensor) -> Tensor:
        """The matrix product ``self @ other``, with batches in front; see `numpy.matmul`."""
        return linalg.matmul(self, other)

    # --- the same under PyTorch's names ---

    permute = transpose
    view = reshape
    unsqueeze = expand_dims


def without_tensors(x: Any) -> Any:
    """The array of a Tensor, in tuples and lists too; anything else as it is, if it has no rules of its own."""
    if type(x) is Tensor:
        return x.data
    if isinstance(x, tuple):
        return tuple(map(without_tensors, x))
    if isinstance(x, list):
        return list(map(without_tensors, x))
    return as_array(x) if isinstance(x, np.ndarray) and type(x) is not np.ndarray else x


def _restored(data: np.ndarray, requires_grad: bool, grad: np.ndarray | None) -> Tensor:
    """The leaf that was copied or pickled."""
    tensor = Tensor(data, requires_grad)
    if grad is not None:
        tensor.grad = grad.copy()
    return tensor


def _flat(values: tuple[Any, ...]) -> tuple[int, ...]:
    """``t.reshape(2, 3)`` and ``t.reshape((2, 3))`` are the same."""
    if len(values) == 1 and type(values[0]) is not int:  # np.ndim takes longer than the op
        only = values[0]
        return tuple(only) if isinstance(only, Sequence) or np.ndim(only) == 1 else values
    return values


# The wrappers of the primitives make Tensors, and a Tensor's methods are primitives: this closes the circle.
vars(tape)["Tensor"] = vars(recorded)["Tensor"] = Tensor
