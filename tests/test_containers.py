"""Layers that hold layers, by number and by name; and what a layer tells of those in it."""

import copy
import pickle
from typing import Any

import numpy as np
import pytest

from tinygrad_np import Tensor, nn


def linears(n: int) -> list[nn.Linear]:
    return [nn.Linear(2, 2, rng=i) for i in range(n)]


# --- by number ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [nn.ModuleList, lambda layers: nn.Sequential(*layers)])
def test_a_container_is_a_list(make: Any) -> None:
    a, b, c, d = linears(4)
    layers = make([a, b])
    assert layers.append(c) is layers
    layers.insert(1, d)
    layers.extend([np.tanh])
    assert list(layers) == [a, d, b, c, np.tanh]
    layers[-1] = nn.Dropout(0.1)
    del layers[1]
    assert (len(layers), layers[0], layers[-2]) == (4, a, c)
    assert b in layers
    assert type(layers[1:3]) is type(layers)
    assert list(layers[1:3]) == [b, c]
    assert list(layers.state_dict()) == [f"{i}.{name}" for i in range(3) for name in ("weight", "bias")]
    with pytest.raises(IndexError, match=rf"^{type(layers).__name__} of 4 members has no number 4$"):
        layers[4]
    with pytest.raises(IndexError, match="has no number 7"):
        layers[7] = a
    with pytest.raises(TypeError, match=r"holds layers and functions, and no <class "):
        layers.append(nn.Linear)
    assert len(layers) == 4


def test_a_list_of_more_than_ten_is_in_order_and_has_no_forward() -> None:
    layers = nn.ModuleList(linears(12))
    assert list(layers.state_dict())[-1] == "11.bias"
    assert [layer.weight for layer in layers[10:]] == [layers[10].weight, layers[11].weight]
    with pytest.raises(NotImplementedError, match=r"^ModuleList defines no forward$"):
        layers(Tensor([1.0]))
    assert repr(nn.ModuleList()) == "ModuleList()"


# --- by name ------------------------------------------------------------------------------------------


def test_a_container_is_a_dict() -> None:
    a, b, c = linears(3)
    layers = nn.ModuleDict({"left": a})
    layers["right"] = b
    layers.update([("left", c)])
    assert list(layers) == list(layers.keys()) == ["left", "right"]
    assert list(layers.values()) == [c, b]
    assert dict(layers.items()) == {"left": c, "right": b}
    assert ("left" in layers, "top" in layers, len(layers)) == (True, False, 2)
    assert next(iter(layers.state_dict())) == "left.weight"
    assert layers.pop("left") is c
    layers.update(nn.ModuleDict({"left": a}))
    del layers["right"]
    assert list(layers) == ["left"]
    layers.clear()
    assert (len(layers), layers.parameters()) == (0, [])


@pytest.mark.parametrize("name", ["keys", "forward", "training", "a.b", "", 3])
def test_a_name_that_hides_something_is_refused(name: Any) -> None:
    with pytest.raises(KeyError, match="ModuleDict calls no layer"):
        nn.ModuleDict({name: nn.Linear(2, 2)})


def test_what_is_no_layer_or_not_there_is_named() -> None:
    with pytest.raises(TypeError, match=r"^ModuleDict holds layers, and no 3$"):
        nn.ModuleDict({"a": 3})
    with pytest.raises(KeyError, match=r"ModuleDict has no 'b'; it has a"):
        nn.ModuleDict({"a": nn.Linear(2, 2)})["b"]


# --- shapes -------------------------------------------------------------------------------------------


def test_layers_that_only_move_elements() -> None:
    x = Tensor(np.arange(24.0).reshape(2, 3, 4))
    assert nn.Flatten()(x).shape == (2, 12)
    assert nn.Flatten(0, 1)(x).shape == (6, 4)
    assert nn.Unflatten(1, (3, 1))(x).shape == (2, 3, 1, 4)
    assert nn.Identity(54, unused=True)(x) is x


# --- what is in a layer -------------------------------------------------------------------------------


class Model(nn.Layer):
    def __init__(self) -> None:
        self.scale = Tensor(np.ones(2), requires_grad=True)
        self.seen = Tensor(np.zeros(1))
        self.blocks = [
            nn.Linear(2, 2, rng=0),
            np.tanh,
            nn.Sequential(nn.Linear(2, 2, rng=1), nn.Dropout(0.1)),
        ]
        self.again = self.blocks[0]

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale


def test_layers_are_listed_by_name_and_each_once() -> None:
    model = Model()
    names = ["", "blocks.0", "blocks.2", "blocks.2.0", "blocks.2.1"]
    assert [name for name, _ in model.named_modules()] == names
    assert next(model.modules()) is model
    assert [name for name, _ in model.named_children()] == ["blocks.0", "blocks.2"]
    assert list(model.children()) == [model.blocks[0], model.blocks[2]]


def test_a_function_is_applied_to_all_from_the_inside() -> None:
    seen: list[str] = []
    model = Model()
    assert model.apply(lambda layer: seen.append(type(layer).__name__)) is model
    assert seen == ["Linear", "Linear", "Dropout", "Sequential", "Model"]


def test_freezing_and_training_again_leaves_alone_what_was_never_trained() -> None:
    model = Model()
    names = list(model.named_parameters().keys())
    assert model.requires_grad_(False) is model
    assert model.parameters() == []
    model = pickle.loads(pickle.dumps(copy.deepcopy(model)))
    model.blocks[2].requires_grad_()
    assert list(model.named_parameters().keys()) == ["blocks.2.0.weight", "blocks.2.0.bias"]
    model.requires_grad_(False).requires_grad_(True)
    assert list(model.named_parameters().keys()) == names
    assert not model.seen.requires_grad


def test_a_tied_weight_is_trained_again_from_each_of_its_places() -> None:
    one, other = nn.Linear(2, 2), nn.Linear(2, 2)
    other.weight = one.weight
    nn.Sequential(one, other).requires_grad_(False)
    other.requires_grad_()
    assert one.weight.requires_grad
    assert not one.bias.requires_grad  # type: ignore[union-attr]
