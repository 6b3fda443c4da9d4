"""What the user's code finds in the place of NumPy, ``math``, ``scipy.special`` and some of Python's own functions.

Nothing is patched: these are other objects, which only the copies of the user's code see (see `clones`).
"""

from __future__ import annotations

import builtins
import copy
import functools
import math
from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import Any

import numpy as np

from tinygrad_np.ops.special import erf, erfc, lgamma
from tinygrad_np.referee.recording.answers import ANSWERS, SCIPY, array, call, joined, observed, vectorized
from tinygrad_np.referee.recording.arrays import Number, Recorded, as_tensor, data_of, has_gradient, wrapped
from tinygrad_np.referee.recording.watch import Watch, is_users

SAME_NAME = (
    "exp exp2 expm1 log2 log10 log1p sqrt cbrt hypot sin cos tan sinh cosh tanh copysign fmod degrees radians"
)
MATH: dict[str, Callable[..., Any]] = {
    **{name: getattr(np, name) for name in SAME_NAME.split()},
    **{"asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "atan2": np.arctan2},
    **{"asinh": np.arcsinh, "acosh": np.arccosh, "atanh": np.arctanh},
    **{"pow": np.power, "fabs": np.absolute, "fsum": np.sum, "prod": np.prod},
}
MATH_TENSORS = {"erf": erf, "erfc": erfc, "lgamma": lgamma}
ROUNDED = {"floor": np.floor, "ceil": np.ceil, "trunc": np.trunc}


class ClassInPlace(type):
    """The class of a class that stands in for another: it is called, or tested for, in its own way."""

    stands_for: Any
    made: Callable[..., Any]

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return cls.made(*args, **kwargs)

    def __instancecheck__(cls, x: Any) -> bool:
        return isinstance(x, cls.stands_for)

    def __subclasscheck__(cls, other: Any) -> bool:
        return issubclass(getattr(other, "stands_for", other), cls.stands_for)

    def __eq__(cls, other: Any) -> bool:
        return getattr(other, "stands_for", other) is cls.stands_for

    def __hash__(cls) -> int:
        return hash(cls.stands_for)

    def __getattr__(cls, name: str) -> Any:
        return getattr(type.__getattribute__(cls, "stands_for"), name)


def class_in_place(real: type, made: Callable[..., Any]) -> type:
    """A class in the place of a real one, whose instances are `made` in another way."""
    members: dict[str, Any] = {"stands_for": real, "made": staticmethod(made), "__doc__": real.__doc__}
    if issubclass(real, np.generic):
        members["dtype"] = np.dtype(real)  # by which NumPy takes it for a dtype
    elif real in (float, int):
        members["dtype"] = np.dtype(real)
    return ClassInPlace(real.__name__, (), members)


class Ufunc:
    """A ufunc with its methods."""

    def __init__(self, watch: Watch, ufunc: np.ufunc):
        self.watch = watch
        self.stands_for = ufunc

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if len(args) > self.stands_for.nin:
            out = args[self.stands_for.nin :]
            args, kwargs = args[: self.stands_for.nin], {**kwargs, "out": out[0] if len(out) == 1 else out}
        return call(self.watch, self.stands_for, args, kwargs)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.stands_for, name)
        if not callable(found):
            return found
        return lambda *args, **kwargs: call(self.watch, found, args, kwargs)

    def __deepcopy__(self, memo: Any) -> Any:
        return self

    def __repr__(self) -> str:
        return repr(self.stands_for)


class Joining:
    """``np.r_`` and ``np.c_``."""

    def __init__(self, watch: Watch, columns: bool):
        self.watch = watch
        self.columns = columns

    def __getitem__(self, parts: Any) -> Any:
        return joined(self.watch, parts, self.columns)


class Random:
    """A random generator, whose arrays are constants. It is a copy: the user's own is where it was."""

    def __init__(self, library: Library, generator: Any):
        self.__dict__.update(_library=library, _generator=generator)

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return type(self._generator)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._generator, name)
        return self._library.drawing(found) if callable(found) else found

    def __deepcopy__(self, memo: Any) -> Any:
        return Random(self._library, copy.deepcopy(self._generator))


class InPlace(ModuleType):
    """A module whose attributes are looked up with a function when they are asked for."""

    def __init__(self, real: ModuleType, look_up: Callable[[str], Any]):
        super().__init__(real.__name__, real.__doc__)
        self.__dict__.update(_real=real, _look_up=look_up)

    def __getattr__(self, name: str) -> Any:
        found = self._look_up(name)
        self.__dict__[name] = found
        return found

    def __dir__(self) -> list[str]:
        return dir(self._real)


class Library:
    """All that stands in for something, for one recording. Each thing is made once, so that `is` goes on to work.

    `convert` is how a function of the user's, that one of these is given to keep, is copied.
    """

    def __init__(self, watch: Watch, convert: Callable[[Any], Any]):
        self.watch = watch
        self.convert = convert
        self.made: dict[int, tuple[Any, Any]] = {}

    def of(self, x: Any) -> Any:
        """What stands in for x; x itself where nothing needs to."""
        known = self.made.get(id(x))
        if known is not None:
            return known[1]
        found = self.make(x)
        if found is not x:
            self.made[id(x)] = x, found
        return found

    def make(self, x: Any) -> Any:
        if isinstance(x, ModuleType):
            return self.module(x)
        if isinstance(x, np.ufunc):
            return Ufunc(self.watch, x)
        if isinstance(x, np.vectorize):
            pyfunc = self.convert(x.pyfunc)
            return lambda *args, **kwargs: vectorized(self.watch, pyfunc, args, kwargs)
        if isinstance(x, np.random.Generator | np.random.RandomState):
            return Random(self, copy.deepcopy(x))
        if isinstance(x, type):
            return self.class_of(x)
        if x is np.r_ or x is np.c_:
            return Joining(self.watch, x is np.c_)
        if not callable(x) or (isinstance(x, staticmethod | FunctionType) and not _is_numpys(x)):
            return x
        owner = getattr(x, "__self__", None)
        if isinstance(owner, np.random.RandomState):
            return self.drawing(x)
        module = getattr(x, "__module__", None) or getattr(owner, "__name__", "")
        if owner is math or module == "math":
            return self.of_math(x)
        if not isinstance(module, str):
            return x
        if module.split(".")[0] == "numpy":
            return self.function(x)
        if module.startswith("scipy.special") and getattr(x, "__name__", "") in SCIPY:
            return self.function(x)
        return x

    def function(self, real: Callable[..., Any]) -> Callable[..., Any]:
        """A function of NumPy's."""
        watch = self.watch
        if real is np.random.default_rng:
            return lambda *args, **kwargs: (
                args[0]
                if args and type(args[0]) is Random
                else Random(self, real(*map(data_of, args), **kwargs))
            )
        if getattr(real, "__module__", "").startswith("numpy.testing"):
            return observed(real)

        def stand_in(*args: Any, **kwargs: Any) -> Any:
            return call(watch, real, args, kwargs)

        stand_in.stands_for = real  # type: ignore[attr-defined]
        stand_in.__name__ = getattr(real, "__name__", "function")
        return stand_in

    def class_of(self, real: type) -> Any:
        """A class of NumPy's, or of Python's numbers."""
        if real is float:
            return class_in_place(float, self.to_float)
        if real is int:
            return class_in_place(int, self.to_int)
        if real in (np.random.RandomState, np.random.Generator):
            return class_in_place(real, lambda *args, **kwargs: Random(self, real(*args, **kwargs)))
        if real is np.vectorize:
            return class_in_place(real, self.vectorize)
        if real is np.nditer:
            return self.nditer
        if real in ANSWERS:
            return class_in_place(real, lambda *args, **kwargs: call(self.watch, real, args, kwargs))
        if issubclass(real, np.number | np.bool_) and real.__module__ == "numpy" and real not in ABSTRACT:
            return class_in_place(real, functools.partial(self.scalar, real))
        return real

    def scalar(self, real: type, value: Any = 0, *args: Any) -> Any:
        """``np.float32(x)`` and its like: a number, or an array, of this dtype."""
        if isinstance(value, str | bytes):
            return wrapped(self.watch, real(value))
        made = array(self.watch, value)
        if not isinstance(made, np.ndarray):
            return real(value)
        made = made.astype(call(self.watch, np.dtype, (real,), {}))
        return made[()]

    def to_float(self, x: Any = 0.0) -> Any:
        """``float(x)``, of what is recorded too."""
        if has_gradient(x) and type(x) in (Recorded, Number):
            return x.item()
        return float(x)

    def to_int(self, *args: Any) -> int:
        if args and has_gradient(args[0]) and type(args[0]) in (Recorded, Number):
            self.watch.doubt(f"int() at {self.watch.where()} cuts off what has a gradient")
            return int(args[0].tensor.data)
        return int(*args)

    def vectorize(self, pyfunc: Any = None, *args: Any, **kwargs: Any) -> Any:
        if pyfunc is None:  # the decorator with parameters
            return lambda function: self.vectorize(function)
        return lambda *xs, **named: vectorized(self.watch, pyfunc, xs, named)

    def nditer(self, op: Any, flags: Any = (), *args: Any, **kwargs: Any) -> Any:
        """Elements one after the other, which are read only."""
        if flags or args or kwargs or type(op) is not Recorded:
            raise self.watch.cannot("np.nditer with flags has no rule")
        return iter(op.reshape(-1))

    def drawing(self, method: Callable[..., Any]) -> Callable[..., Any]:
        """A method of a random generator."""

        def draw(*args: Any, **kwargs: Any) -> Any:
            if method.__name__ == "shuffle" and type(args[0]) is Recorded:
                order = np.arange(len(args[0]))
                method(order)
                args[0][...] = args[0][order]
                return None
            if has_gradient(args) or has_gradient(kwargs):
                raise self.watch.cannot(f"np.random.{method.__name__} of what has a gradient has no rule")
            kwargs = {key: getattr(x, "stands_for", data_of(x)) for key, x in kwargs.items()}
            if kwargs.get("out") is not None:
                raise self.watch.cannot(f"np.random.{method.__name__} with out= has no rule")
            return wrapped(self.watch, method(*map(data_of, args), **kwargs))

        return draw

    # --- modules ---

    def module(self, real: ModuleType) -> Any:
        if real is math:
            return InPlace(real, lambda name: self.of(getattr(real, name)))
        if real is builtins:
            return InPlace(real, lambda name: self.builtins.get(name) or getattr(real, name))
        if real.__name__.split(".")[0] in ("numpy", "scipy"):
            return InPlace(real, lambda name: self.of(getattr(real, name)))
        return real

    def of_math(self, real: Callable[..., Any]) -> Callable[..., Any]:
        """A function of ``math``, of numbers that are recorded too."""
        name, watch = real.__name__, self.watch

        def stand_in(*args: Any, **kwargs: Any) -> Any:
            if not has_gradient(args):
                return real(*map(data_of, args), **kwargs)
            if name == "log":
                top = call(watch, np.log, args[:1], {})
                return top / call(watch, np.log, args[1:], {}) if len(args) > 1 else top
            if name in ("fsum", "prod"):
                return call(watch, MATH[name], (list(args[0]),), {})
            if name in MATH:
                return call(watch, MATH[name], args, kwargs)
            if name in MATH_TENSORS:
                return wrapped(watch, MATH_TENSORS[name](*map(as_tensor, args)))
            if name in ROUNDED:
                return int(call(watch, ROUNDED[name], args, {}))
            if name.startswith("is"):
                return real(*map(data_of, args), **kwargs)
            raise watch.cannot(f"math.{name} has no rule")

        stand_in.stands_for = real  # type: ignore[attr-defined]
        return stand_in

    @functools.cached_property
    def builtins(self) -> dict[str, Any]:
        """Python's own functions, as a copy of the user's code finds them."""
        kind = class_in_place(type, lambda x, *more: type(x, *more) if more else _class_of(x))
        return {
            **vars(builtins),
            **{"float": self.of(float), "int": self.of(int), "type": kind, "__import__": self.import_},
        }

    def import_(
        self, name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0
    ) -> Any:
        return self.convert(builtins.__import__(name, globals, locals, fromlist or (), level))


ABSTRACT = {np.number, np.inexact, np.floating, np.integer, np.signedinteger, np.unsignedinteger}


def _is_numpys(x: Any) -> bool:
    """Whether a function was written in NumPy or SciPy, and not only wrapped under such a name."""
    filename = x.__code__.co_filename if isinstance(x, FunctionType) else "users"
    return not is_users(filename)


def _class_of(x: Any) -> type:
    """``type(x)``, as the user's code means it."""
    return x.__class__ if type(x) in (Recorded, Number, Random) else type(x)
