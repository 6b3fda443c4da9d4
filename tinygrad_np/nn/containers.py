"""Layers that hold layers: one after another, by number, by name.

Layers in plain lists and dicts are found too. ModuleList and ModuleDict are for programs that were written for
PyTorch, and give the same names in a `state_dict`.
"""

from __future__ import annotations

from collections.abc import Callable, ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from typing import Any, Self, overload

from tinygrad_np.nn.layer import Layer


class Numbered(Layer):
    """What `Sequential` and `ModuleList` share: members that are attributes called 0, 1, 2, ..."""

    def members(self) -> list[Any]:
        """The members, in order."""
        return [member for name, member in vars(self).items() if name.isdigit()]

    def hold(self, members: Iterable[Any]) -> None:
        """Hold these instead."""
        new = list(members)
        for member in new:
            if not callable(member) or isinstance(member, type):
                raise TypeError(f"{type(self).__name__} holds layers and functions, and no {member!r}")
        for name in [name for name in vars(self) if name.isdigit()]:
            delattr(self, name)
        for i, member in enumerate(new):
            setattr(self, str(i), member)

    def __len__(self) -> int:
        return len(self.members())

    def __iter__(self) -> Iterator[Any]:
        return iter(self.members())

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: int | slice) -> Any:
        members = self.members()
        try:
            chosen = members[index]
        except IndexError:
            raise IndexError(
                f"{type(self).__name__} of {len(members)} members has no number {index}"
            ) from None
        if not isinstance(index, slice):
            return chosen
        part = type(self)()
        part.hold(chosen)
        return part

    def __setitem__(self, index: int, member: Any) -> None:
        members = self.members()
        members[members.index(self[index])] = member
        self.hold(members)

    def __delitem__(self, index: int | slice) -> None:
        members = self.members()
        del members[index]
        self.hold(members)

    def append(self, member: Any) -> Self:
        """Hold one more, behind the others."""
        return self.extend([member])

    def extend(self, members: Iterable[Any]) -> Self:
        """Hold more, behind the others."""
        self.hold([*self.members(), *members])
        return self

    def insert(self, index: int, member: Any) -> None:
        """Hold one more, before the one of this number."""
        members = self.members()
        members.insert(index, member)
        self.hold(members)


class Sequential(Numbered):
    """Layers one after another. A function of one Tensor, such as ``np.tanh``, may stand among them.

    ``model[0]`` and ``model[-1]`` are its members, ``model[:2]`` is a Sequential of some, with the same weights.
    """

    def __init__(self, *layers: Layer | Callable[..., Any]):
        self.hold(layers)

    def forward(self, x: Any) -> Any:
        """What the first takes, to what the last returns."""
        for layer in self:
            x = layer(x)
        return x


class ModuleList(Numbered):
    """Layers by number: as a list, with `append`, `extend`, `insert`, and slices that are ModuleLists."""

    def __init__(self, layers: Iterable[Any] = ()):
        self.hold(layers)


class ModuleDict(Layer):
    """Layers by name: as a dict, with `keys`, `values`, `items`, `update`, `pop` and `clear`."""

    def __init__(self, layers: Mapping[str, Any] | Iterable[tuple[str, Any]] = ()):
        self.update(layers)

    def members(self) -> dict[str, Any]:
        """The members by name."""
        return {name: member for name, member in vars(self).items() if isinstance(member, Layer)}

    def __len__(self) -> int:
        return len(self.members())

    def __iter__(self) -> Iterator[str]:
        return iter(self.members())

    def __contains__(self, name: object) -> bool:
        return name in self.members()

    def __getitem__(self, name: str) -> Any:
        if name not in self:
            raise KeyError(f"ModuleDict has no {name!r}; it has {', '.join(self.members()) or 'nothing'}")
        return vars(self)[name]

    def __setitem__(self, name: str, layer: Layer) -> None:
        if not isinstance(layer, Layer):
            raise TypeError(f"ModuleDict holds layers, and no {layer!r}")
        if not isinstance(name, str) or not name or "." in name or (name not in self and hasattr(self, name)):
            raise KeyError(
                f"ModuleDict calls no layer {name!r}: names have no dot, and are no attributes of it"
            )
        setattr(self, name, layer)

    def __delitem__(self, name: str) -> None:
        self.pop(name)

    def keys(self) -> KeysView[str]:
        """The names."""
        return self.members().keys()

    def values(self) -> ValuesView[Any]:
        """The layers."""
        return self.members().values()

    def items(self) -> ItemsView[str, Any]:
        """The pairs of both."""
        return self.members().items()

    def update(self, layers: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> None:
        """Hold more, or others under the same names."""
        for name, layer in dict(layers.items() if isinstance(layers, ModuleDict) else layers).items():
            self[name] = layer

    def pop(self, name: str) -> Any:
        """The layer of this name, which is held no longer."""
        layer = self[name]
        delattr(self, name)
        return layer

    def clear(self) -> None:
        """Hold nothing."""
        for name in self.members():
            delattr(self, name)
