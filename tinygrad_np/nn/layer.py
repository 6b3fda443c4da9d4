"""Layer: something with weights, made of Tensors and other layers.

A layer's attributes are its structure. Its Tensors, and those of the layers in it, are found in the order in
which the attributes were set, under dotted names: ``encoder.weight``, ``layers.0.bias``. Those that require
a gradient are its parameters; the others are state that is saved, but not trained.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, ItemsView, Iterator, KeysView, Mapping, Sequence, ValuesView
from reprlib import recursive_repr
from typing import Any, ParamSpec, Protocol, Self, TypeVar

import numpy as np

from tinygrad_np.errors import numpy_name
from tinygrad_np.nn.summary import summary
from tinygrad_np.tensor import Tensor

LARGEST = 2**48  # of a size: what is larger is a slip, and no machine holds it
P = ParamSpec("P")
R = TypeVar("R", covariant=True)


def named_settings(
    layer: str, signature: inspect.Signature, args: tuple[Any, ...], settings: dict[str, Any]
) -> tuple[list[str], dict[str, Any]]:
    """The names of the settings that were given, and all settings by name.

    Raises
    ------
    TypeError
        They are not those of the signature.
    """
    try:
        bound = signature.bind(*args, **settings)
    except TypeError as error:
        raise TypeError(f"{layer}{signature}: {error}") from None
    given = list(bound.arguments)
    bound.apply_defaults()
    return given, bound.arguments


def check_sizes(layer: str, minimum: int = 0, **sizes: Any) -> None:
    """Refuse a size, given by its name, that is no whole number from a minimum.

    Raises
    ------
    ValueError
        The layer, the size's name, and what was given.
    """
    for name, size in sizes.items():
        if not isinstance(size, int | np.integer) or isinstance(size, bool) or not minimum <= size <= LARGEST:
            raise ValueError(f"{layer} takes a whole number from {minimum} for {name}, not {size!r}")


class HasForward(Protocol[P, R]):
    """What a type checker knows of a layer that is called: it takes and returns what its `forward` does."""

    def forward(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """See `Layer.forward`."""


class NamedTensors:
    """Tensors by name, in order: pairs for a loop, as PyTorch has them, and a mapping for everything else.

    ``for name, p in named``, ``named["weight"]``, ``"weight" in named``, ``len(named)``, ``dict(named)``.
    """

    def __init__(self, tensors: dict[str, Tensor]):
        self._tensors = tensors

    def __iter__(self) -> Iterator[tuple[str, Tensor]]:
        return iter(self._tensors.items())

    def __len__(self) -> int:
        return len(self._tensors)

    def __contains__(self, name: object) -> bool:
        return name in self._tensors

    def __getitem__(self, name: str) -> Tensor:
        if name not in self._tensors:
            raise KeyError(f"no Tensor is named {name!r}; there are {', '.join(self._tensors) or 'none'}")
        return self._tensors[name]

    def keys(self) -> KeysView[str]:
        """The names."""
        return self._tensors.keys()

    def values(self) -> ValuesView[Tensor]:
        """The Tensors."""
        return self._tensors.values()

    def items(self) -> ItemsView[str, Tensor]:
        """The pairs of both."""
        return self._tensors.items()

    def __repr__(self) -> str:
        return f"NamedTensors({', '.join(f'{name} {list(t.shape)}' for name, t in self)})"


class Layer:
    """The base of all layers: a subclass sets Tensors and layers as attributes, and defines `forward`."""

    training: bool = True
    _frozen: Sequence[str]

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the layer computes. Call the layer itself, ``layer(x)``, which calls this."""
        raise NotImplementedError(f"{type(self).__name__} defines no forward")

    # The annotation is for type checkers: ``layer(x)`` takes and returns what the `forward` of its own class does.
    def __call__(self: HasForward[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        return self.forward(*args, **kwargs)

    def named_tensors(self) -> NamedTensors:
        """Every Tensor by its dotted name; one that is set in several places appears under the first."""
        names: dict[Tensor, str] = {}
        for name, value in _walk(self, ""):
            if isinstance(value, Tensor):
                names.setdefault(value, name)
        return NamedTensors({name: tensor for tensor, name in names.items()})

    def named_parameters(self) -> NamedTensors:
        """The Tensors that are trained, by name."""
        return NamedTensors({name: tensor for name, tensor in self.named_tensors() if tensor.requires_grad})

    def parameters(self) -> list[Tensor]:
        """The Tensors that are trained."""
        return list(self.named_parameters().values())

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters; with `set_to_none` False, fill them with zeros instead."""
        for p in self.parameters():
            if p.grad is None:
                continue
            if set_to_none:
                p.grad = None
            else:
                p.grad.fill(0)

    def train(self, mode: bool = True) -> Self:
        """Set this layer and those in it to training, where dropout drops; with False, to evaluation."""
        for _, value in _walk(self, ""):
            if isinstance(value, Layer):
                value.training = mode
        return self

    def eval(self) -> Self:
        """Set this layer and those in it to evaluation."""
        return self.train(False)

    def named_modules(self) -> Iterator[tuple[str, Layer]]:
        """This layer, under no name, and all layers in it by dotted names, each once."""
        names: dict[Layer, str] = {}
        for name, value in _walk(self, ""):
            if isinstance(value, Layer):
                names.setdefault(value, name)
        return iter([(name, layer) for layer, name in names.items()])

    def modules(self) -> Iterator[Layer]:
        """This layer, and all layers in it, each once."""
        return (layer for _, layer in self.named_modules())

    def named_children(self) -> Iterator[tuple[str, Layer]]:
        """The layers that are set on this one, by name; those in its lists and dicts too, each once."""
        names: dict[Layer, str] = {}
        for name, value in _children(self, ""):
            if isinstance(value, Layer):
                names.setdefault(value, name)
        return iter([(name, layer) for layer, name in names.items()])

    def children(self) -> Iterator[Layer]:
        """The layers that are set on this one, each once."""
        return (layer for _, layer in self.named_children())

    def apply(self, function: Callable[[Layer], Any]) -> Self:
        """Call a function with every layer in this one, and then with this one."""
        for child in self.children():
            child.apply(function)
        function(self)
        return self

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """With False, freeze all weights; with True, train those again that were frozen so.

        What else is saved and not trained, such as running statistics, stays as it is.
        """
        owners = list(self.modules())
        if not requires_grad:
            trained = [{n for n, t in layer._own_tensors() if t.requires_grad} for layer in owners]
            for layer, names in zip(owners, trained, strict=True):
                if names:
                    layer._frozen = sorted({*getattr(layer, "_frozen", ()), *names})
        for layer in owners:
            for name, tensor in layer._own_tensors():
                if name in getattr(layer, "_frozen", ()):
                    tensor.requires_grad = requires_grad
        return self

    def _own_tensors(self) -> list[tuple[str, Tensor]]:
        """The Tensors that are set on this layer, lists and dicts opened and layers not, by name."""
        return [(name, value) for name, value in _walk(self, "", own=True) if isinstance(value, Tensor)]

    def summary(self, *inputs: Any) -> str:
        """Print, and return, a table of all layers: what each gives out of these inputs, and what it weighs.

        Nothing is changed: a copy computes the outputs, in evaluation.

        Parameters
        ----------
        *inputs
            What the layer is called with. A tuple of whole numbers is the shape of floats, drawn at random in the
            dtype of the weights; whole numbers themselves, as an Embedding takes them, come as an array.

        Returns
        -------
        str
            For each layer its dotted name, class and output, how many numbers are trained and how many frozen, and
            the memory of these and of the output; then the sums. A weight that is tied counts where it comes first,
            and of outputs those of layers that have no layers in them are summed.
        """
        text = summary(self, inputs)
        print(text)
        return text

    def state_dict(self) -> dict[str, np.ndarray]:
        """A copy of every array by name, frozen ones included."""
        return {name: tensor.data.copy() for name, tensor in self.named_tensors()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take every array from the one of its name, copied. Each keeps its dtype.

        An array has to be of the same kind of numbers, floats for floats: those of another width are rounded.

        Raises
        ------
        ValueError
            Names are missing or unexpected, shapes differ, numbers are of another kind, not finite, or not
            within the dtype: all of them are listed, and nothing is loaded.
        """
        tensors = dict(self.named_tensors())
        arrays = {name: np.asarray(array) for name, array in state.items()}
        problems = [f"missing {name}" for name in tensors if name not in state]
        places = {name: value for name, value in _walk(self, "") if isinstance(value, Tensor)}
        problems += [f"unexpected {name}" for name in state if name not in places]
        new: dict[str, np.ndarray] = {}
        for name, array in arrays.items():
            if name in places:
                dtype = places[name].dtype
                kinds = dtype.kind + (
                    "" if hasattr(state[name], "dtype") else "iu"
                )  # [1, 2] is meant as floats
                if array.size and array.dtype.kind not in kinds:
                    problems.append(f"{name} holds {array.dtype} and should hold {dtype}")
                    continue
                with np.errstate(over="ignore"):
                    new[name] = np.array(array, dtype)
                if (lost := _lost(array, new[name])) is not None:
                    problems.append(f"{name} holds {array[lost].item()}, which is no finite {dtype}")
        first = {tensor: name for name, tensor in tensors.items()}
        problems += [  # PyTorch's states have a tied weight under all of its names
            f"{name} differs from {first[tensor]}, with which it is tied"
            for name, tensor in places.items()
            if {name, first[tensor]} <= new.keys()
            and not np.array_equal(new[name], new[first[tensor]], equal_nan=True)
        ]
        problems += [
            f"{name} is {arrays[name].shape} and should be {tensor.shape}"
            for name, tensor in tensors.items()
            if name in arrays and arrays[name].shape != tensor.shape
        ]
        if problems:
            raise ValueError(f"the state does not fit {type(self).__name__}: {'; '.join(problems)}")
        for name, tensor in tensors.items():
            tensor.data = new[name]

    def extra_repr(self) -> str:
        """The settings that ``repr`` shows. Unless a subclass says others: the shapes of the Tensors set on it."""
        return ", ".join(f"{name}={list(t.shape)}" for name, t in vars(self).items() if isinstance(t, Tensor))

    @recursive_repr("itself")
    def __repr__(self) -> str:
        lines = [self.extra_repr()] if self.extra_repr() else []
        children = _children(self, "")
        lines += [f"({name}): {_shown(child)}" for name, child in children]
        if not children:
            return f"{type(self).__name__}({''.join(lines)})"
        body = "\n".join(lines).replace("\n", "\n  ")
        return f"{type(self).__name__}(\n  {body}\n)"


def _inside(value: Any) -> Iterator[tuple[Any, Any]]:
    """What is directly in a layer, list or dict, by attribute, number or key."""
    if isinstance(value, Layer):
        yield from vars(value).items()
    elif isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, list | tuple):
        yield from enumerate(value)


def _walk(
    value: Any, name: str, around: tuple[int, ...] = (), own: bool = False
) -> Iterator[tuple[str, Any]]:
    """A value and all that is in it, layers, lists and dicts opened, each with its dotted name.

    What is its `own` is not in further layers.

    Raises
    ------
    ValueError
        A layer, list or dict is in itself: what it holds would have names without end.
    """
    yield name, value
    for key, item in _inside(value):
        dotted = f"{name}.{key}" if name else str(key)
        inside = (*around, id(value))
        if id(item) in inside:
            raise ValueError(
                f"{dotted} is the {type(item).__name__} that it is in, so its Tensors have names without end: "
                "keep a way back to what is around a layer outside of it"
            )
        if not (own and isinstance(item, Layer)):
            yield from _walk(item, dotted, inside, own)


def _children(value: Any, name: str, around: tuple[int, ...] = ()) -> list[tuple[str, Any]]:
    """The layers and functions in a layer, lists and dicts opened and layers not, each with its dotted name."""
    found: list[tuple[str, Any]] = []
    for key, item in _inside(value):
        dotted = f"{name}.{key}" if name else str(key)
        if isinstance(item, list | tuple | dict):
            if id(item) not in around:
                found += _children(item, dotted, (*around, id(item)))
        elif callable(item) and not isinstance(item, type):  # a dtype is a type
            found.append((dotted, item))
    return found


def _lost(array: np.ndarray, converted: np.ndarray) -> tuple[int, ...] | None:
    """Where the first number stands that is not finite, or is lost on the way to another dtype."""
    wrong = ~np.isfinite(converted) if converted.dtype.kind in "fc" else converted != array
    return tuple(int(i) for i in np.argwhere(wrong)[0]) if wrong.any() else None


def _shown(child: Any) -> str:
    """A layer as its repr, a function by its name: ``np.tanh``, ``relu``."""
    if isinstance(child, Layer) or not hasattr(child, "__name__"):
        return repr(child)
    name = numpy_name(child)
    return name if name.startswith("np.") else child.__name__
