"""Copies of the user's functions, classes, objects and modules, which find stand-ins where they look for NumPy.

A function is its code and the places where it looks for names. The copy has the same code and other places: its
globals are a dict that converts a name when it is first read. So what the forward reaches is copied, nothing
else, and what it changes, a global or an attribute, it changes in the copies. Code that is not the user's is left
as it is.
"""

from __future__ import annotations

import abc
import enum
import functools
import sys
import types
from collections import OrderedDict, defaultdict, deque
from collections.abc import Collection
from types import CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from tinygrad_np.referee.recording.arrays import LOW, Number, Recorded, constant
from tinygrad_np.referee.recording.standin import InPlace, Library
from tinygrad_np.referee.recording.watch import Watch, is_users
from tinygrad_np.tensor import Tensor

ATOMS = frozenset({type(None), bool, int, float, complex, str, bytes, range, slice, type(...), CodeType})


class Globals(dict[str, Any]):
    """The globals of copied functions: converted when they are first read, and then the copy's own."""

    def __init__(self, clones: Clones, real: dict[str, Any]):
        # Python looks these up without asking for missing ones
        names = ("__name__", "__package__", "__spec__", "__file__", "__doc__")
        super().__init__({name: real[name] for name in names if name in real})
        self["__builtins__"] = clones.library.builtins
        self._clones, self._real = clones, real

    def __missing__(self, name: str) -> Any:
        found = self._clones.convert(self._real[name], name)
        self[name] = found
        return found

    def get(self, name: str, default: Any = None) -> Any:
        try:
            return self[name]
        except KeyError:
            return default

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or name in self._real


class Clones:
    """The copies of one recording; each thing is copied once. The numbers `without` are 0 in them."""

    def __init__(self, watch: Watch, without: Collection[float] = ()):
        self.watch = watch
        self.without = without
        self.library = Library(watch, self.convert)
        self.made: dict[int, tuple[Any, Any]] = {}  # by id, with the original, which so stays alive
        self.globals: dict[int, Globals] = {}

    def convert(self, x: Any, name: str = "") -> Any:
        """The copy of anything; `name` is what it is called, for a note."""
        kind = type(x)
        if kind is float and x in self.without:
            return 0.0
        if kind in ATOMS or kind is Recorded or kind is Number or kind is Tensor:
            return x
        known = self.made.get(id(x))
        if known is not None:
            return known[1]
        if kind is np.ndarray:
            return self.keep(x, self.array(x, name))
        if kind in (dict, OrderedDict, defaultdict):
            return self.mapping(x)
        if kind is list and ATOMS.issuperset(map(type, x)):  # a long text, say
            return self.keep(x, list(x))
        if kind in (list, deque):
            new = self.keep(x, [] if kind is list else deque(maxlen=x.maxlen))
            new.extend(map(self.convert, x))
            return new
        if kind is tuple:
            return self.keep(x, tuple(map(self.convert, x)))
        if kind in (set, frozenset):
            return self.keep(x, kind(map(self.convert, x)))
        if isinstance(x, np.generic):
            return np.float64(x) if x.dtype in LOW else x
        stand_in = self.library.of(x)
        if stand_in is not x:
            return self.keep(x, stand_in)
        return self.code(x)

    def keep(self, x: Any, new: Any) -> Any:
        self.made[id(x)] = x, new
        return new

    def array(self, x: np.ndarray, name: str) -> Any:
        if x.dtype.kind == "O":
            new = np.empty(x.shape, object)
            for index in np.ndindex(x.shape):
                new[index] = self.convert(x[index])
            return new
        if x.dtype.kind not in "biufc":
            return x
        if x.dtype in LOW:
            called = (
                f"{name}, an array of {x.dtype}," if name else f"an array of {x.dtype} and shape {x.shape}"
            )
            self.watch.note(f"{called} was taken as float64")
            x = x.astype(np.float64)
        whole = _memory_of(x)
        if whole is x or whole.size > MANY:
            return constant(self.watch, x)
        around = self.convert(whole)  # what is written into one of two views of an array stands in the other
        start = (x.ctypes.data - whole.ctypes.data) // x.itemsize
        codes = np.lib.stride_tricks.as_strided(around.codes.ravel("K")[start:], x.shape, x.strides)
        return around.viewed(codes, Tensor._of(x, None))

    def mapping(self, x: Any) -> Any:
        new = self.keep(
            x, defaultdict(self.convert(x.default_factory)) if type(x) is defaultdict else type(x)()
        )
        for key, value in x.items():
            new[key] = self.convert(value, key if isinstance(key, str) else "")
        return new

    # --- code ---

    def code(self, x: Any) -> Any:
        """The copy of a function, a class, an object, a module."""
        if isinstance(x, FunctionType):
            return self.function(x)
        if isinstance(x, MethodType):
            return MethodType(self.convert(x.__func__), self.convert(x.__self__))
        if isinstance(x, functools.partial):
            new = functools.partial(self.convert(x.func), *map(self.convert, x.args))
            new.keywords.update({key: self.convert(value) for key, value in x.keywords.items()})
            return self.keep(x, new)
        if isinstance(x, staticmethod | classmethod):
            return type(x)(self.convert(x.__func__))
        if isinstance(x, property):
            return property(self.convert(x.fget), self.convert(x.fset), self.convert(x.fdel), x.__doc__)
        if isinstance(x, functools.cached_property):
            cached = functools.cached_property(self.convert(x.func))
            cached.attrname = x.attrname
            return cached
        if isinstance(x, functools._lru_cache_wrapper):
            return self.keep(x, functools.lru_cache(**x.cache_parameters())(self.convert(x.__wrapped__)))
        if isinstance(x, ModuleType):
            return self.module(x)
        if isinstance(x, type):
            return self.users_class(x)
        if isinstance(x, types.GenericAlias):
            return x
        if not self.is_users_class(type(x)):
            compiled = callable(x) and callable(getattr(x, "py_func", None))  # by numba
            return self.keep(x, self.convert(x.py_func)) if compiled else x
        return self.instance(x)

    def function(self, x: FunctionType) -> Any:
        """A function with its closure, defaults and attributes."""
        own = is_users(x.__code__.co_filename)
        if not own and not any(map(self.holds_users_code, x.__closure__ or ())):
            return x
        cells = tuple(self.cell(cell) for cell in x.__closure__ or ())
        around: Any = self.globals_of(x) if own else x.__globals__
        code = with_zeros(x.__code__, self.without) if own and self.without else x.__code__
        new = FunctionType(code, around, x.__name__, None, cells)
        self.keep(x, new)
        new.__defaults__ = x.__defaults__ and tuple(map(self.convert, x.__defaults__))
        new.__kwdefaults__ = x.__kwdefaults__ and {k: self.convert(v) for k, v in x.__kwdefaults__.items()}
        new.__qualname__, new.__doc__ = x.__qualname__, x.__doc__
        new.__annotations__ = x.__annotations__
        for name, value in x.__dict__.items():
            setattr(new, name, self.convert(value, name))
        return new

    def globals_of(self, x: FunctionType) -> Globals:
        around = self.globals_of_module(x.__globals__)
        for name in _names_in_classes(x.__code__):  # the body of a class does not ask for missing names
            if name in around:
                around[name]
        return around

    def globals_of_module(self, real: dict[str, Any]) -> Globals:
        if isinstance(real, Globals):
            return real
        if id(real) not in self.globals:
            self.globals[id(real)] = Globals(self, real)
        return self.globals[id(real)]

    def cell(self, cell: CellType) -> CellType:
        """A variable that inner functions share: one copy for all of them."""
        known = self.made.get(id(cell))
        if known is not None:
            return known[1]  # type: ignore[no-any-return]
        new = self.keep(cell, CellType())
        try:
            contents = cell.cell_contents
        except ValueError:  # it has no value yet
            return new  # type: ignore[no-any-return]
        new.cell_contents = self.convert(contents)
        return new  # type: ignore[no-any-return]

    def holds_users_code(self, cell: CellType) -> bool:
        """Whether a decorator of a library keeps a function of the user's in this variable."""
        try:
            contents = cell.cell_contents
        except ValueError:
            return False
        return isinstance(contents, FunctionType) and is_users(contents.__code__.co_filename)

    def module(self, x: ModuleType) -> Any:
        """A module of the user's, whose names are converted when they are read."""
        filename = getattr(x, "__file__", None)
        if x.__name__ == "__main__" or (filename is not None and is_users(filename)):
            return self.keep(x, UsersModule(x, self.globals_of_module(vars(x))))
        return x

    def is_users_class(self, kind: type) -> bool:
        """Whether a class was written by the user: which the file of its module tells."""
        if issubclass(kind, enum.Enum) or kind.__module__ == "builtins":
            return False
        module = sys.modules.get(kind.__module__)
        filename = getattr(module, "__file__", None)
        if filename is not None:
            return is_users(filename)
        return (
            module is None or kind.__module__ == "__main__"
        )  # else it is one of Python's own, without a file

    def users_class(self, x: type) -> Any:
        """A class with copied methods, attributes and bases."""
        if not self.is_users_class(x):
            return x
        bases = tuple(self.convert(b) if self.is_users_class(b) else b for b in x.__bases__)
        kept = ("__module__", "__qualname__", "__doc__", "__slots__", "__orig_bases__", "__parameters__")
        members = {name: vars(x)[name] for name in kept if name in vars(x)}
        meta: Any = self.convert(type(x)) if self.is_users_class(type(x)) else type(x)
        make = abc.ABCMeta if issubclass(meta, abc.ABCMeta) else type
        new: Any = make.__new__(meta, x.__name__, bases, members)
        self.keep(x, new)
        for name, member in vars(x).items():
            if name in (*kept, "__dict__", "__weakref__", "__class_getitem__") or name.startswith("_abc_"):
                continue
            if isinstance(member, types.MemberDescriptorType | types.GetSetDescriptorType):
                continue
            type.__setattr__(new, name, self.convert(member, name))
        return new

    def instance(self, x: Any) -> Any:
        """An instance of a class of the user's, with its attributes, and what it holds as a container."""
        kind = self.convert(type(x))
        if isinstance(x, tuple):
            new = tuple.__new__(kind, map(self.convert, tuple(x)))
            self.keep(x, new)
        else:
            base = next(b for b in kind.__mro__ if b.__flags__ & (1 << 9) == 0 and "__new__" in vars(b))
            try:
                new = base.__new__(kind)
            except TypeError:  # it wants to be told something, as an array of the user's own class does
                return x
            self.keep(x, new)
            if isinstance(x, dict):
                dict.update(new, {key: self.convert(value) for key, value in dict.items(x)})
            elif isinstance(x, list):
                list.extend(new, map(self.convert, list(x)))
            elif isinstance(x, deque):
                deque.extend(new, map(self.convert, list(x)))
            elif isinstance(x, set):
                set.update(new, x)
        for name, value in getattr(x, "__dict__", {}).items():
            object.__setattr__(new, name, self.convert(value, name))
        for base in type(x).__mro__:
            for name, member in vars(base).items():
                if isinstance(member, types.MemberDescriptorType) and hasattr(x, name):
                    object.__setattr__(new, name, self.convert(member.__get__(x), name))
        return new


class UsersModule(InPlace):
    """A module of the user's: its names are those that copied functions of it see."""

    def __init__(self, real: ModuleType, around: Globals):
        super().__init__(real, around.__getitem__)
        self.__dict__["_around"] = around

    def __getattr__(self, name: str) -> Any:
        try:
            return self._around[name]
        except KeyError:
            return getattr(self._real, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._around[name] = value


def with_zeros(code: CodeType, numbers: Collection[float]) -> CodeType:
    """The code in which some numbers that are written out are 0."""
    return code.replace(
        co_consts=tuple(
            with_zeros(x, numbers)
            if isinstance(x, CodeType)
            else 0.0
            if type(x) is float and x in numbers
            else x
            for x in code.co_consts
        )
    )


MANY = 10**6  # elements, beyond which it is some data set that nobody writes into


def _memory_of(x: np.ndarray) -> np.ndarray:
    """The array that x is a view of, with the same kind of numbers; x itself if there is none."""
    whole = x
    while type(whole.base) is np.ndarray:
        whole = whole.base
    alike = whole.dtype == x.dtype and x.itemsize == 8 and x.size and whole.flags.forc
    return whole if alike else x


def _names_in_classes(code: CodeType) -> set[str]:
    """The names that classes written inside of a function look up in their bodies."""
    found: set[str] = set()
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            if not inner.co_flags & 1:  # the body of a class is not optimised
                found.update(inner.co_names)
            found |= _names_in_classes(inner)
    return found
