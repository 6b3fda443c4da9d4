"""Layers: how their Tensors are found, saved and loaded; initial weights; Linear, Embedding, Dropout."""

import math
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_np.functional as F
from tinygrad_np import Tensor, nn
from tinygrad_np.gradcheck import gradcheck
from tinygrad_np.nn import (
    GRU,
    LSTM,
    RNN,
    Dropout,
    Embedding,
    Flatten,
    GRUCell,
    Identity,
    Layer,
    LayerNormLSTMCell,
    Linear,
    LSTMCell,
    ModuleDict,
    ModuleList,
    RNNCell,
    Sequential,
    Unflatten,
    VariationalDropout,
    init,
)
from tinygrad_np.optim import SGD
from tinygrad_np.testing import generators, shapes


def weight(*shape: int, value: float = 1.0, dtype: Any = np.float64) -> Tensor:
    return Tensor(np.full(shape, value, dtype=dtype), requires_grad=True)


class Leaf(Layer):
    """One trained Tensor, one that is saved only, and things that are neither."""

    def __init__(self, value: float = 0.0):
        self.scale = weight(2, value=value)
        self.running = Tensor(np.full(3, value))
        self.size = 2
        self.name = "leaf"
        self.nothing = None

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale


class Tree(Layer):
    """Layers in attributes, in a list, in a tuple, in a dict, and one weight in two places."""

    def __init__(self) -> None:
        self.z = Leaf(1.0)  # a name that would come last, if names were sorted
        self.blocks = [Leaf(2.0), {"left": Leaf(3.0)}, (weight(1),)]
        self.heads = {"b": weight(4), "a": Leaf(4.0)}
        self.tied = self.blocks[0]
        self.last = self.z.scale


NAMES = [
    *("z.scale", "z.running", "blocks.0.scale", "blocks.0.running"),
    *("blocks.1.left.scale", "blocks.1.left.running", "blocks.2.0"),
    *("heads.b", "heads.a.scale", "heads.a.running"),
]


# --- how Tensors are found ----------------------------------------------------------------------------


def test_tensors_are_found_in_the_order_in_which_attributes_were_set_and_tied_ones_once() -> None:
    tree = Tree()
    assert list(tree.named_tensors().keys()) == NAMES
    assert list(tree.state_dict()) == NAMES
    trained = [name for name in NAMES if not name.endswith("running")]
    assert list(tree.named_parameters().keys()) == trained
    assert [id(p) for p in tree.parameters()] == [id(tree.named_tensors()[name]) for name in trained]


def test_an_attribute_set_again_keeps_its_place() -> None:
    leaf = Leaf()
    leaf.scale = weight(5)
    leaf.extra = weight(1)  # type: ignore[attr-defined]
    assert [(name, t.shape) for name, t in leaf.named_tensors().items()] == [
        ("scale", (5,)),
        ("running", (3,)),
        ("extra", (1,)),
    ]


def test_named_parameters_are_pairs_and_a_mapping() -> None:
    layer = Linear(3, 2, rng=0)
    assert layer.bias is not None
    layer.bias.requires_grad = False
    for named, names, tensors in (
        (layer.named_parameters(), ["weight"], [layer.weight]),
        (layer.named_tensors(), ["weight", "bias"], [layer.weight, layer.bias]),
    ):
        assert [name for name, _ in named] == names
        assert all(t is expected for (_, t), expected in zip(named, tensors, strict=True))
        assert list(named.keys()) == list(dict(named)) == names
        assert all(t is expected for t, expected in zip(named.values(), tensors, strict=True))
        assert [name for name, _ in named.items()] == names
        assert {**named}["weight"] is dict(named)["weight"] is named["weight"] is layer.weight
        assert len(named) == len(names)
        assert "weight" in named
        assert ("bias" in named) == ("bias" in names)
    assert repr(layer.named_tensors()) == "NamedTensors(weight [2, 3], bias [2])"
    with pytest.raises(KeyError, match="no Tensor is named 'wieght'; there are weight, bias"):
        layer.named_tensors()["wieght"]
    assert not Dropout(rng=0).named_parameters()


def test_zero_grad_of_a_layer_forgets_or_fills_with_zeros() -> None:
    model = Sequential(Linear(3, 2, rng=0), np.tanh, Linear(2, 1, rng=0))
    model[2].weight.requires_grad = False
    model(Tensor(np.ones((4, 3), np.float32))).sum().backward()
    grads = [p.grad for p in model.parameters()]
    assert len(grads) == 3
    assert all(abs(g).max() > 0 for g in grads)
    model.zero_grad(set_to_none=False)
    for p, g in zip(model.parameters(), grads, strict=True):
        assert p.grad is g  # in place
        np.testing.assert_array_equal(g, np.zeros(p.shape))
    model.zero_grad()
    assert [p.grad for p in model.parameters()] == [None] * 3
    model.zero_grad(set_to_none=False)
    assert [p.grad for p in model.parameters()] == [None] * 3  # what is not there is not made


def test_a_frozen_weight_is_saved_and_not_trained() -> None:
    leaf = Leaf()
    leaf.scale.requires_grad = False
    assert leaf.parameters() == []
    assert list(leaf.state_dict()) == ["scale", "running"]
    leaf.scale.requires_grad = True
    assert list(leaf.named_parameters().keys()) == ["scale"]


def test_a_missing_attribute_raises() -> None:
    with pytest.raises(AttributeError, match="no attribute 'wieght'"):
        _ = Leaf().wieght  # type: ignore[attr-defined]


def test_a_layer_without_forward_says_so() -> None:
    with pytest.raises(NotImplementedError, match=r"^Tree defines no forward$"):
        Tree()(1)


def test_train_and_eval_reach_every_layer() -> None:
    tree = Tree()
    layers = [tree, tree.z, tree.blocks[0], tree.blocks[1]["left"], tree.heads["a"]]  # type: ignore[index]
    assert [layer.training for layer in layers] == [True] * 5
    assert tree.eval() is tree
    assert [layer.training for layer in layers] == [False] * 5
    assert Tree().training is True  # another one is another one
    assert tree.train() is tree
    assert [layer.training for layer in layers] == [True] * 5
    tree.train(False)
    assert [layer.training for layer in layers] == [False] * 5


REPRS: list[tuple[Layer, str]] = [
    (Linear(2, 16, rng=0), "Linear(in_features=2, out_features=16, bias=True)"),
    (Linear(2, 16, bias=False, rng=0), "Linear(in_features=2, out_features=16, bias=False)"),
    (Embedding(5, 3, rng=0), "Embedding(5, 3)"),
    (Embedding(5, 3, padding_idx=0, rng=0), "Embedding(5, 3, padding_idx=0)"),
    (Embedding.from_pretrained(np.ones((4, 2)), sparse=True), "Embedding(4, 2, sparse=True)"),
    (nn.EmbeddingBag(4, 2, max_norm=1.0, rng=0), "EmbeddingBag(4, 2, max_norm=1.0, mode='mean')"),
    (Dropout(0.3, rng=0), "Dropout(p=0.3)"),
    (LSTMCell(3, 2, rng=0), "LSTMCell(3, 2)"),
    (LSTMCell(3, 2, bias=False, rng=0), "LSTMCell(3, 2, bias=False)"),
    (LSTM(50, 64, rng=0), "LSTM(50, 64)"),
    (
        LSTM(5, 6, num_layers=2, bias=False, dropout=0.1, bidirectional=True, fused=False, rng=0),
        "LSTM(5, 6, num_layers=2, bias=False, dropout=0.1, bidirectional=True, fused=False)",
    ),
    (GRU(5, 6, num_layers=2, rng=0), "GRU(5, 6, num_layers=2)"),
    (
        RNN(5, 6, nonlinearity="relu", batch_first=False, rng=0),
        "RNN(5, 6, batch_first=False, nonlinearity='relu')",
    ),
    (RNNCell(5, 6, nonlinearity="relu", rng=0), "RNNCell(5, 6, nonlinearity='relu')"),
    (GRUCell(5, 6, bias=False, rng=0), "GRUCell(5, 6, bias=False)"),
    (
        LayerNormLSTMCell(2, 3),
        "LayerNormLSTMCell(\n  2, 3"
        + "".join(
            f"\n  (layernorm_{name}): LayerNorm(({n},), eps=1e-05, elementwise_affine=True)"
            for name, n in (("i", 12), ("h", 12), ("c", 3))
        )
        + "\n)",
    ),
    (ModuleList(), "ModuleList()"),
    (ModuleDict(), "ModuleDict()"),
    (Identity(), "Identity()"),
    (Flatten(), "Flatten(start_dim=1, end_dim=-1)"),
    (Unflatten(1, [2, 3]), "Unflatten(dim=1, unflattened_size=(2, 3))"),
    (VariationalDropout(0.3, rng=0), "VariationalDropout(p=0.3)"),
    (nn.Bilinear(2, 3, 4, rng=0), "Bilinear(in1_features=2, in2_features=3, out_features=4, bias=True)"),
    *[
        (getattr(nn, f"{name}{n}d")(2, 4, 3, rng=0), f"{name}{n}d(2, 4, kernel_size={(3,) * n})")
        for name in ("Conv", "ConvTranspose")
        for n in (1, 2)
    ],
    (
        nn.Conv2d(2, 4, (3, 1), 2, "valid", groups=2, bias=False, rng=0),
        "Conv2d(2, 4, kernel_size=(3, 1), stride=(2, 2), padding='valid', groups=2, bias=False)",
    ),
    *[
        (
            getattr(nn, f"{name}Norm{n}d")(3),
            f"{name}Norm{n}d(3, eps=1e-05, momentum=0.1, affine={usual}, track_running_stats={usual})",
        )
        for name, usual in (("Batch", True), ("Instance", False))
        for n in (1, 2)
    ],
    (nn.LayerNorm(3), "LayerNorm((3,), eps=1e-05, elementwise_affine=True)"),
    (nn.RMSNorm([2, 3]), "RMSNorm((2, 3), eps=None, elementwise_affine=True)"),
    (nn.GroupNorm(2, 4), "GroupNorm(2, 4, eps=1e-05, affine=True)"),
    *[
        (getattr(nn, name)(0.3, rng=0), f"{name}(p=0.3)")
        for name in ("Dropout1d", "Dropout2d", "AlphaDropout", "FeatureAlphaDropout")
    ],
    (nn.MaxPool2d(2, stride=1), "MaxPool2d(kernel_size=2, stride=1)"),
    (nn.ZeroPad1d(2), "ZeroPad1d((2, 2))"),
    (nn.PositionalEncoding(4, 7), "PositionalEncoding(4, max_len=7, learned=False)"),
    (Leaf(), "Leaf(scale=[2], running=[3])"),
    (Layer(), "Layer()"),
    (Sequential(), "Sequential()"),
]


@pytest.mark.parametrize(("layer", "expected"), REPRS)
def test_repr_shows_settings(layer: Layer, expected: str) -> None:
    assert repr(layer) == expected


def test_every_layer_is_among_the_reprs() -> None:
    shown = [nn.activations, nn.applied, nn.attention, nn.losses]  # by their settings or by their parts alone
    names = set(nn.__all__) - {"init", *(name for module in shown for name in module.__all__)}
    public = {getattr(nn, name) for name in names}
    assert public <= {type(layer) for layer, _ in REPRS}


def test_repr_of_layers_in_layers_is_indented() -> None:
    class Block(Layer):
        """Settings of its own, a Tensor, functions, a dtype, and layers in a list and a dict."""

        def __init__(self) -> None:
            self.scale = weight(3)
            self.activation = F.relu
            self.dtype = np.float32
            self.parts = [Linear(3, 3, rng=0), (Dropout(0.1, rng=0),)]
            self.heads = {"a": Sequential(Linear(3, 1, rng=0), np.tanh), "b": None}

    model = Sequential(Block(), np.tanh, lambda x: x, partial(np.sum, axis=0))
    assert repr(model).splitlines() == [
        "Sequential(",
        "  (0): Block(",
        "    scale=[3]",
        "    (activation): relu",
        "    (parts.0): Linear(in_features=3, out_features=3, bias=True)",
        "    (parts.1.0): Dropout(p=0.1)",
        "    (heads.a): Sequential(",
        "      (0): Linear(in_features=3, out_features=1, bias=True)",
        "      (1): np.tanh",
        "    )",
        "  )",
        "  (1): np.tanh",
        "  (2): <lambda>",
        f"  (3): {partial(np.sum, axis=0)!r}",
        ")",
    ]


# --- saving and loading -------------------------------------------------------------------------------


def test_state_dict_copies() -> None:
    leaf = Leaf(1.0)
    state = leaf.state_dict()
    state["scale"][:] = 9
    np.testing.assert_array_equal(leaf.scale.data, [1, 1])
    leaf.scale.data[:] = 5
    np.testing.assert_array_equal(state["scale"], [9, 9])


def test_state_goes_round() -> None:
    source, target = Tree(), Tree()
    for i, t in enumerate(source.named_tensors().values()):
        t.data[...] = i + np.arange(t.size).reshape(t.shape) / 8
    tensors = list(target.named_tensors().values())
    target.load_state_dict(source.state_dict())
    for t, (name, array), before in zip(
        target.named_tensors().values(), source.state_dict().items(), tensors
    ):
        np.testing.assert_array_equal(t.data, array, err_msg=name)
        assert t is before  # an optimizer, and a tied weight, see the new numbers
    assert target.last is target.z.scale


def test_loading_writes_to_nobody_elses_array() -> None:
    mean = np.zeros(3)
    leaf = Leaf()
    leaf.running = Tensor(mean)
    state = {"scale": np.ones(2), "running": np.full(3, 5.0)}
    leaf.load_state_dict(state)
    np.testing.assert_array_equal(mean, np.zeros(3))
    leaf.running.data[:] = 7
    np.testing.assert_array_equal(state["running"], np.full(3, 5.0))
    with pytest.raises(ValueError, match="does not fit Leaf"):
        leaf.load_state_dict({"scale": np.zeros(2), "running": np.array(["a", "b", "c"])})
    np.testing.assert_array_equal(leaf.scale.data, np.ones(2))


def test_a_tied_weight_may_be_given_under_all_of_its_names() -> None:
    tree = Tree()
    state = tree.state_dict()
    tree.load_state_dict(state | {"tied.scale": state["blocks.0.scale"]})
    with pytest.raises(ValueError, match=r"tied.scale differs from blocks.0.scale, with which it is tied"):
        tree.load_state_dict(state | {"tied.scale": state["blocks.0.scale"] + 1})


def test_loading_keeps_the_dtype_and_takes_lists_and_frozen_tensors() -> None:
    layer = Leaf()
    layer.scale = weight(2, dtype=np.float32)
    layer.load_state_dict({"scale": np.array([0.1, 0.2]), "running": [1, 2, 3]})
    assert layer.scale.dtype == np.float32
    np.testing.assert_array_equal(layer.scale.data, np.float32([0.1, 0.2]))
    np.testing.assert_array_equal(layer.running.data, [1.0, 2.0, 3.0])
    layer.load_state_dict({"scale": Tensor([3.0, 4.0]), "running": np.zeros(3)})
    np.testing.assert_array_equal(layer.scale.data, [3, 4])


def test_what_does_not_fit_is_listed_and_nothing_is_loaded() -> None:
    tree = Tree()
    before = tree.state_dict()
    state = {name: array + 1 for name, array in before.items()}
    del state["blocks.0.running"], state["heads.b"]
    state |= {"tied.scale": np.ones(2), "extra": np.ones(1)}
    state |= {"z.running": np.ones((3, 1)), "heads.a.scale": np.ones(())}
    with pytest.raises(ValueError, match=r"^the state does not fit Tree: ") as error:
        tree.load_state_dict(state)
    assert str(error.value) == (
        "the state does not fit Tree: missing blocks.0.running; missing heads.b; "
        "unexpected extra; tied.scale differs from blocks.0.scale, with which it is tied; "
        "z.running is (3, 1) and should be (3,); heads.a.scale is () and should be (2,)"
    )
    for name, array in tree.state_dict().items():
        np.testing.assert_array_equal(array, before[name], err_msg=name)


def test_a_state_of_tensors_with_gradients_is_refused_and_nothing_is_loaded() -> None:
    leaf = Leaf(1.0)
    with pytest.raises(RuntimeError, match="would lose the gradient"):
        leaf.load_state_dict({"running": Tensor(np.zeros(3)), "scale": weight(2, value=7.0)})
    for array in leaf.state_dict().values():
        np.testing.assert_array_equal(array, np.ones_like(array))


# --- Sequential ---------------------------------------------------------------------------------------


def test_sequential_with_functions_among_the_layers(rng: np.random.Generator) -> None:
    first, last = (Linear(n, m, rng=rng, dtype=np.float64) for n, m in ((3, 4), (4, 2)))
    model = Sequential(first, np.tanh, last, lambda x: x * 2)
    x = rng.standard_normal((5, 3))
    hidden = np.tanh(x @ first.weight.data.T + first.bias.data)  # type: ignore[union-attr]
    expected = 2 * (hidden @ last.weight.data.T + last.bias.data)  # type: ignore[union-attr]
    np.testing.assert_allclose(model(Tensor(x)).data, expected, rtol=1e-13)
    assert list(model.named_parameters().keys()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    gradcheck(model, [x], rng)


def test_sequential_is_a_sequence_of_its_members() -> None:
    first, last = Linear(3, 4, rng=0), Linear(4, 2, rng=1)
    model = Sequential(first, np.tanh, last)
    assert len(model) == 3
    assert list(model) == [first, np.tanh, last]
    assert (model[0], model[1], model[2], model[-1], model[-3]) == (first, np.tanh, last, last, first)
    assert model[np.int64(1)] is np.tanh
    part = model[1:]
    assert type(part) is Sequential
    assert list(part) == [np.tanh, last]
    assert list(model[::-1]) == [last, np.tanh, first]
    assert len(model[:0]) == 0
    assert part.parameters()[0] is last.weight  # the same weights, not copies
    x = np.ones((1, 4), np.float32)
    np.testing.assert_array_equal(part(Tensor(x)).data, last(np.tanh(Tensor(x))).data)  # type: ignore[arg-type]
    for wrong in (3, -4):
        with pytest.raises(IndexError, match=f"^Sequential of 3 members has no number {wrong}$"):
            model[wrong]


def test_sequential_of_more_than_ten_is_in_order() -> None:
    model = Sequential(*(lambda digits, i=i: [*digits, i] for i in range(12)))
    assert model([]) == list(range(12))
    assert Sequential()([3]) == [3]


# --- initial weights ----------------------------------------------------------------------------------

N = (300, 200, 2)  # fan-in 400, fan-out 600
DRAWN = {  # expected standard deviation; expected bound of the uniform ones
    "uniform": (lambda rng, dtype: init.uniform(N, -1.0, 2.0, rng, dtype), 3 / math.sqrt(12), None),
    "normal": (lambda rng, dtype: init.normal(N, 0.3, rng, dtype), 0.3, None),
    "xavier_uniform": (
        lambda rng, dtype: init.xavier_uniform(N, rng, dtype),
        math.sqrt(2 / 1000),
        math.sqrt(6 / 1000),
    ),
    "xavier_normal": (lambda rng, dtype: init.xavier_normal(N, rng, dtype), math.sqrt(2 / 1000), None),
    "kaiming_uniform": (
        lambda rng, dtype: init.kaiming_uniform(N, rng, dtype),
        math.sqrt(2 / 400),
        math.sqrt(6 / 400),
    ),
    "kaiming_normal": (lambda rng, dtype: init.kaiming_normal(N, rng, dtype), math.sqrt(2 / 400), None),
}
drawn = pytest.mark.parametrize("name", DRAWN)


def check_moments(array: np.ndarray, mean: float, std: float, uniform: bool) -> None:
    """Mean, standard deviation and the fourth moment, each within five of its own standard deviations."""
    n = array.size
    z = (array.astype(np.float64) - mean) / std
    fourth, eighth = (9 / 5, 9.0) if uniform else (3.0, 105.0)
    assert abs(z.mean()) < 5 / math.sqrt(n)
    assert abs((z**2).mean() - 1) < 5 * math.sqrt((fourth - 1) / n)
    assert abs((z**4).mean() - fourth) < 5 * math.sqrt((eighth - fourth**2) / n)


@drawn
def test_distribution(name: str) -> None:
    draw, std, bound = DRAWN[name]
    array = draw(np.random.default_rng(3), np.float64)
    assert array.shape == N
    check_moments(array, 0.5 if name == "uniform" else 0.0, std, uniform="uniform" in name)
    if bound is not None:
        assert bound * 0.999 < abs(array).max() <= bound
    if name == "uniform":
        assert -1 <= array.min() < -0.99
        assert 1.99 < array.max() < 2


@drawn
def test_dtype_and_seed(name: str) -> None:
    draw = DRAWN[name][0]
    one, same, other = (draw(np.random.default_rng(seed), np.float32) for seed in (1, 1, 2))
    assert one.dtype == np.float32
    np.testing.assert_array_equal(one, same)
    assert (one != other).mean() > 0.99


def test_the_moments_tell_wrong_distributions_apart() -> None:
    rng = np.random.default_rng(3)
    std = math.sqrt(2 / 400)
    for wrong in (
        init.kaiming_normal((200, 300, 2), rng, np.float64),  # the fans exchanged
        init.xavier_normal(N, rng, np.float64),
        init.kaiming_uniform(N, rng, np.float64),  # right variance, wrong shape
        init.kaiming_normal(N, rng, np.float64) + 0.01,
    ):
        with pytest.raises(AssertionError):
            check_moments(wrong, 0.0, std, uniform=False)


@given(rng=generators(), rows=st.integers(1, 6), columns=st.lists(st.integers(1, 4), min_size=1, max_size=2))
def test_orthogonal(rng: np.random.Generator, rows: int, columns: list[int]) -> None:
    w = init.orthogonal((rows, *columns), rng, np.float64)
    assert w.shape == (rows, *columns)
    flat = w.reshape(rows, -1)
    product = flat @ flat.T if rows <= flat.shape[1] else flat.T @ flat
    np.testing.assert_allclose(product, np.eye(len(product)), atol=1e-13)


def test_orthogonal_is_uniform_seeded_and_takes_a_dtype() -> None:
    rng = np.random.default_rng(0)
    many = np.array([init.orthogonal((3, 3), rng, np.float64) for _ in range(2000)])
    # uniform over rotations and reflections: each element has mean 0 and variance 1/3; plain QR has not
    assert abs(many.mean(axis=0)).max() < 5 * math.sqrt(1 / 3 / 2000)
    np.testing.assert_allclose((many**2).mean(axis=0), 1 / 3, atol=0.04)
    assert 0.4 < (np.linalg.det(many) > 0).mean() < 0.6
    plain = np.array([np.linalg.qr(rng.standard_normal((3, 3)))[0] for _ in range(200)])
    assert abs(plain.mean(axis=0)).max() > 0.3
    one, same = (init.orthogonal((4, 2), np.random.default_rng(1), np.float32) for _ in range(2))
    assert one.dtype == np.float32
    np.testing.assert_array_equal(one, same)


def test_fans() -> None:
    assert init.fans((5, 3)) == (3, 5)
    assert init.fans((5, 3, 2, 4)) == (24, 40)
    for shape in ((), (3,)):
        with pytest.raises(ValueError, match="two axes at least, and this shape is"):
            init.fans(shape)


# --- Linear, Embedding, Dropout -----------------------------------------------------------------------


@given(
    rng=generators(), batch=shapes(max_ndim=2), n=st.integers(0, 3), m=st.integers(0, 3), bias=st.booleans()
)
def test_linear(rng: np.random.Generator, batch: tuple[int, ...], n: int, m: int, bias: bool) -> None:
    layer = Linear(n, m, bias, rng=rng, dtype=np.float64)
    x = rng.standard_normal((*batch, n))
    expected = np.zeros((*batch, m)) if layer.bias is None else np.broadcast_to(layer.bias.data, (*batch, m))
    for k in range(n):
        expected = expected + x[..., k, np.newaxis] * layer.weight.data[:, k]
    np.testing.assert_allclose(layer(Tensor(x)).data, expected, rtol=1e-12, atol=1e-13)
    assert list(layer.named_parameters().keys()) == ["weight", "bias"][: 1 + bias]
    assert [p.shape for p in layer.parameters()] == [(m, n), (m,)][: 1 + bias]


def test_linear_starts_uniform_within_one_over_root_of_inputs() -> None:
    layer = Linear(400, 300, rng=0)
    assert layer.bias is not None
    assert layer.weight.dtype == layer.bias.dtype == np.float32
    for array in (layer.weight.data, layer.bias.data):
        assert 0.048 < abs(array).max() <= 0.05
        check_moments(array, 0.0, 0.05 / math.sqrt(3), uniform=True)
    np.testing.assert_array_equal(layer.weight.data, Linear(400, 300, rng=0).weight.data)


def test_linear_refuses_another_width() -> None:
    with pytest.raises(ValueError, match=r"^Linear takes \(\.\.\., 3\), and got an input of shape \(2, 4\)$"):
        Linear(3, 5, rng=0)(Tensor(np.zeros((2, 4))))
    with pytest.raises(ValueError, match="got an input of shape"):
        Linear(3, 5, rng=0)(Tensor(0.0))


def test_linear_is_trained_and_stays_float32() -> None:
    layer = Linear(2, 3, rng=0)
    x = np.array([[1, 2], [3, 5]], dtype=np.float32)
    out = layer(Tensor(x))
    assert out.dtype == np.float32
    out.sum().backward()
    np.testing.assert_array_equal(layer.weight.grad, np.float32([[4, 7]] * 3))
    np.testing.assert_array_equal(layer.bias.grad, np.float32([2, 2, 2]))  # type: ignore[union-attr]


def test_embedding_looks_up_and_is_trained() -> None:
    layer = Embedding(5, 3, rng=0, dtype=np.float64)
    indices = np.array([[1, 4], [1, 0]])
    out = layer(indices)
    np.testing.assert_array_equal(out.data, layer.weight.data[indices])
    out.sum().backward()
    np.testing.assert_array_equal(layer.weight.grad, [[1] * 3, [2] * 3, [0] * 3, [0] * 3, [1] * 3])


def test_embedding_starts_normal_with_zeros_for_padding() -> None:
    layer = Embedding(500, 100, padding_idx=2, rng=0)
    assert layer.weight.dtype == np.float32
    np.testing.assert_array_equal(layer.weight.data[2], np.zeros(100))
    check_moments(np.delete(layer.weight.data, 2, axis=0), 0.0, 1.0, uniform=False)
    layer([2, 2, 3]).sum().backward()
    np.testing.assert_array_equal(np.flatnonzero(layer.weight.grad), 300 + np.arange(100))


@pytest.mark.parametrize("padding_idx", [-6, 5])
def test_embedding_refuses_a_padding_that_is_no_row(padding_idx: int) -> None:
    with pytest.raises(IndexError, match=f"^Embedding: padding_idx {padding_idx} is not a row of 5$"):
        Embedding(5, 3, padding_idx, rng=0)


def test_pretrained_embedding_is_frozen_unless_told(rng: np.random.Generator) -> None:
    table = rng.standard_normal((4, 2)).astype(np.float32)
    frozen = Embedding.from_pretrained(table)
    assert frozen.parameters() == []
    assert not frozen([1, 2]).requires_grad
    np.testing.assert_array_equal(frozen.state_dict()["weight"], table)

    before = table.copy()
    trained = Embedding.from_pretrained(table, freeze=False, padding_idx=0)
    out = trained([0, 3, 3])
    np.testing.assert_array_equal(out.data, table[[0, 3, 3]])
    assert out.dtype == np.float32
    out.sum().backward()
    np.testing.assert_array_equal(trained.weight.grad, [[0, 0], [0, 0], [0, 0], [2, 2]])
    trained.weight.data += 1
    np.testing.assert_array_equal(table, before)  # what is trained is a copy


def test_the_table_of_the_user_is_not_written_to() -> None:
    table = np.ones((2, 3))
    table.flags.writeable = False
    layer = Embedding.from_pretrained(table)
    layer.load_state_dict({"weight": np.full((2, 3), 5.0)})
    layer.weight.requires_grad = True
    layer([0, 1]).sum().backward()
    SGD(layer.parameters(), lr=1.0).step()
    np.testing.assert_array_equal(layer.weight.data, np.full((2, 3), 4.0))
    np.testing.assert_array_equal(table, np.ones((2, 3)))


def test_dropout_drops_in_training_only() -> None:
    layer = Dropout(0.25, rng=5)
    x = Tensor(np.ones((20, 20), dtype=np.float32))
    first, second = layer(x), layer(x)
    assert first.dtype == np.float32
    np.testing.assert_array_equal(np.unique(first.data), np.float32([0, 4 / 3]))
    assert (first.data != second.data).any()
    np.testing.assert_array_equal(first.data, Dropout(0.25, rng=5)(x).data)
    assert layer.eval()(x) is x
    assert Dropout(0.0, rng=0)(x) is x


@pytest.mark.parametrize("p", [-0.1, 1.0, math.nan])
def test_dropout_refuses_other_probabilities(p: float) -> None:
    with pytest.raises(ValueError, match=f"^Dropout takes a probability from 0 to below 1, not {p}$"):
        Dropout(p, rng=0)


# --- what a state may hold ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (np.array([1.0, np.nan], "f4"), "scale holds nan, which is no finite float32"),
        (np.array([np.nan, np.nan]), "scale holds nan, which is no finite float32"),
        (np.array([-np.inf, 0], "f4"), "scale holds -inf, which is no finite float32"),
        (np.array([0, 1e300]), "scale holds 1e+300, which is no finite float32"),
        ([1.0, 1e300], "scale holds 1e+300, which is no finite float32"),
        (np.array([1, 2]), "scale holds int64 and should hold float32"),
        (np.array([True, False]), "scale holds bool and should hold float32"),
        ([True, False], "scale holds bool and should hold float32"),
        (np.array([1, 2j]), "scale holds complex128 and should hold float32"),
        (np.array([1, "b"], object), "scale holds object and should hold float32"),
        (np.array(["a", "b"]), "scale holds <U1 and should hold float32"),
    ],
)
def test_numbers_that_no_weight_can_have_are_refused_by_its_name(wrong: Any, said: str) -> None:
    layer = Leaf()
    layer.scale = weight(2, dtype=np.float32)
    before = layer.state_dict()
    with pytest.raises(ValueError, match=r"^the state does not fit Leaf: ") as error:
        layer.load_state_dict(before | {"scale": wrong})
    assert str(error.value) == f"the state does not fit Leaf: {said}"
    np.testing.assert_array_equal(layer.scale.data, before["scale"])


def test_a_nan_in_a_tied_weight_is_not_called_a_difference() -> None:
    tree = Tree()
    state = tree.state_dict()
    wrong = np.full_like(state["blocks.0.scale"], np.nan)
    with pytest.raises(ValueError, match=r"blocks.0.scale holds nan") as error:
        tree.load_state_dict(state | {"blocks.0.scale": wrong, "tied.scale": wrong})
    assert "differs" not in str(error.value)


def test_floats_of_another_width_are_rounded_and_integers_that_fit_are_kept() -> None:
    layer = Leaf()
    layer.running = Tensor(np.zeros(3, np.int8))
    layer.load_state_dict({"scale": np.float16([0.1, 0.2]), "running": np.array([1, 2, 3])})
    np.testing.assert_array_equal(layer.scale.data, np.float64(np.float16([0.1, 0.2])))
    assert layer.running.dtype == np.int8
    with pytest.raises(ValueError, match="running holds 300, which is no finite int8"):
        layer.load_state_dict({"scale": np.zeros(2), "running": np.array([1, 2, 300])})


# --- a layer that holds itself ------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["itself", "its parent", "a list of itself", "a list in itself", "a dict"])
def test_a_layer_that_holds_itself_is_refused_where_names_are_needed(way: str) -> None:
    tree: Any = Tree()
    if way == "itself":
        tree.me, where = tree, "me"
    elif way == "its parent":
        tree.z.parent, where = tree, "z.parent"
    elif way == "a list of itself":
        tree.others, where = [Leaf(), tree], "others.1"
    elif way == "a list in itself":
        tree.loop, where = [], "loop.0"
        tree.loop.append(tree.loop)
    else:
        tree.heads["up"], where = {"tree": tree}, "heads.up.tree"
    for call in (
        tree.parameters,
        tree.state_dict,
        tree.eval,
        tree.zero_grad,
        lambda: tree.load_state_dict({}),
    ):
        with pytest.raises(ValueError, match=rf"^{where} is the \w+ that it is in, .* names without end"):
            call()
    assert "Tree(" in repr(tree)


def test_a_layer_that_stands_in_two_places_is_no_circle() -> None:
    tree: Any = Tree()
    tree.again = [tree.z, [tree.z]]
    assert list(tree.named_tensors().keys()) == NAMES
