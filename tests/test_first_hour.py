"""What somebody who knows PyTorch or NumPy tries in the first hour: it works, or says in a sentence what to do."""

import doctest
import inspect
import io
import pydoc
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_np
import tinygrad_np.functional as F
from tinygrad_np import Tensor, data, nn, optim, parallel, weights
from tinygrad_np.check.cases import OPTIMIZERS
from tinygrad_np.data import batches
from tinygrad_np.optim import schedules

ROOT = Path(__file__).parent.parent

# --- rng is optional ----------------------------------------------------------------------------------

ONES = Tensor(np.ones((20, 20)))
DRAWS: dict[str, Callable[[Any], np.ndarray]] = {  # everything that draws, as a function of rng
    "Linear": lambda rng: nn.Linear(20, 16, rng=rng).weight.data,
    "Embedding": lambda rng: nn.Embedding(20, 16, rng=rng).weight.data,
    "EmbeddingBag": lambda rng: nn.EmbeddingBag(20, 16, rng=rng).weight.data,
    "LSTMCell": lambda rng: nn.LSTMCell(20, 16, rng=rng).weight_ih.data,
    "RNNCell": lambda rng: nn.RNNCell(20, 16, rng=rng).weight_ih.data,
    "GRUCell": lambda rng: nn.GRUCell(20, 16, rng=rng).weight_ih.data,
    "LayerNormLSTMCell": lambda rng: nn.LayerNormLSTMCell(20, 16, rng=rng).weight_ih.data,
    "RNN": lambda rng: nn.RNN(20, 16, rng=rng).state_dict()["weight_hh_l0"],
    "LSTM": lambda rng: nn.LSTM(20, 16, rng=rng).state_dict()["weight_hh_l0"],
    "GRU": lambda rng: nn.GRU(20, 16, rng=rng).state_dict()["weight_hh_l0"],
    "Dropout": lambda rng: nn.Dropout(rng=rng)(ONES).data,
    "VariationalDropout": lambda rng: nn.VariationalDropout(rng=rng)(np.ones((1, 400))).data,
    **{
        name: lambda rng, name=name, axes=axes: (
            getattr(nn, name)(rng=rng)(np.ones((40, 20) + (2,) * axes)).data
        )
        for name, axes in {
            **{"Dropout1d": 1, "Dropout2d": 2, "AlphaDropout": 0, "FeatureAlphaDropout": 1},
        }.items()
    },
    **{
        f"functional.{name}": lambda rng, name=name, axes=axes: (
            getattr(F, name)(np.ones((40, 20) + (2,) * axes), training=True, rng=rng).data
        )
        for name, axes in {
            **{
                "dropout1d": 1,
                "dropout2d": 2,
                "alpha_dropout": 0,
                "feature_alpha_dropout": 1,
            },
        }.items()
    },
    "Bilinear": lambda rng: nn.Bilinear(8, 8, 8, rng=rng).weight.data,
    **{
        f"Conv{kind}": lambda rng, kind=kind: getattr(nn, f"Conv{kind}")(8, 16, 3, rng=rng).weight.data
        for kind in ("1d", "2d", "Transpose1d", "Transpose2d")
    },
    "MultiheadAttention": lambda rng: nn.MultiheadAttention(8, 2, rng=rng).in_proj_weight.data,
    "PositionalEncoding": lambda rng: (
        nn.PositionalEncoding(8, learned=True, rng=rng)(np.ones((2, 9, 8))).data
    ),
    **{
        name: lambda rng, name=name: getattr(nn, name)(8, 2, rng=rng).state_dict()["linear1.weight"]
        for name in ("TransformerEncoderLayer", "TransformerDecoderLayer")
    },
    "Transformer": lambda rng: next(iter(nn.Transformer(8, 2, 1, 1, 16, rng=rng).state_dict().values())),
    "functional.scaled_dot_product_attention": lambda rng: (
        F.scaled_dot_product_attention(
            *[np.random.default_rng(0).standard_normal((2, 9, 8))] * 3, dropout_p=0.5, rng=rng
        ).data
    ),
    "functional.rrelu": lambda rng: F.rrelu(-ONES, training=True, rng=rng).data,
    "functional.dropout": lambda rng: F.dropout(ONES, rng=rng).data,
    "data.batches": lambda rng: np.concatenate(batches(np.arange(1000), 1, shuffle=True, rng=rng)),
    **{
        f"init.{name}": lambda rng, draw=draw: draw((20, 20), rng=rng)
        for name, draw in inspect.getmembers(nn.init, inspect.isfunction)
        if "rng" in inspect.signature(draw).parameters
    },
}


def test_what_draws_is_in_the_table() -> None:
    assert [name for name in DRAWS if name.startswith("init.")] == [
        *("init.kaiming_normal", "init.kaiming_uniform", "init.normal", "init.orthogonal"),
        *("init.uniform", "init.xavier_normal", "init.xavier_uniform"),
    ]
    for module in (nn, F):
        for name in module.__all__:
            thing = getattr(module, name)
            if callable(thing) and "rng" in inspect.signature(thing).parameters:
                if name != "multi_head_attention_forward":  # which is what MultiheadAttention calls
                    assert name in DRAWS or f"functional.{name}" in DRAWS
                assert inspect.signature(thing).parameters["rng"].default is None


@pytest.mark.parametrize("name", DRAWS)
def test_a_seed_or_a_generator_repeats_and_none_does_not(name: str) -> None:
    draw = DRAWS[name]
    np.testing.assert_array_equal(draw(1), draw(np.random.default_rng(1)))
    np.testing.assert_array_equal(draw(np.int64(1)), draw(1))
    assert (draw(1) != draw(2)).any()
    assert (draw(None) != draw(None)).any()
    generator = np.random.default_rng(1)
    assert (draw(generator) != draw(generator)).any()  # it goes on


@pytest.mark.parametrize("name", DRAWS)
def test_nothing_reads_or_moves_the_global_state(name: str) -> None:
    np.random.seed(0)  # noqa: NPY002
    before = np.random.get_state(legacy=False)["state"]  # type: ignore[call-overload, index]  # noqa: NPY002
    one = DRAWS[name](None)
    after = np.random.get_state(legacy=False)["state"]  # type: ignore[call-overload, index]  # noqa: NPY002
    np.testing.assert_array_equal(before["key"], after["key"])
    assert before["pos"] == after["pos"]
    np.random.seed(0)  # noqa: NPY002
    assert (one != DRAWS[name](None)).any()


def test_defaults_of_initialisers_and_dropout() -> None:
    assert nn.init.xavier_uniform((3, 2)).dtype == np.float32
    assert nn.init.orthogonal((3, 2), dtype=np.float64).dtype == np.float64
    uniform, normal = nn.init.uniform((10_000,), rng=0), nn.init.normal((10_000,), rng=0)
    assert 0 <= uniform.min() < 0.01
    assert 0.99 < uniform.max() < 1
    assert abs(normal.mean()) < 0.05
    assert abs(normal.std() - 1) < 0.05
    assert set(np.unique(F.dropout(ONES).data)) == {0.0, 2.0}
    assert F.dropout(ONES, 0.5, False) is ONES
    assert F.dropout(ONES, training=False) is ONES
    assert nn.Linear(2, 16)(Tensor(np.ones((3, 2), np.float32))).shape == (3, 16)


# --- looking at a Tensor ------------------------------------------------------------------------------

LEAF = Tensor([[1.0, 2.0]], requires_grad=True)
TENSORS = {
    "leaf": LEAF,
    "result": LEAF * 2.0,
    "constant": Tensor([1.0, 2.0]),
    "integer": Tensor([1, 2]),
    "single number": Tensor(3.0),
    "empty": Tensor(np.ones((0, 2))),
    "output of several": F.lstm_step(Tensor(np.ones((1, 8)), requires_grad=True), Tensor(np.ones((1, 2))))[0],  # type: ignore[index]
}


@pytest.mark.parametrize("kind", TENSORS)
def test_every_attribute_can_be_looked_at(kind: str) -> None:
    tensor = TENSORS[kind]
    members = dict(inspect.getmembers(tensor))
    assert members["shape"] == tensor.shape
    assert members["data"] is tensor.data
    for name in dir(tensor):  # what raises is not there, and nothing raises anything else
        is_there = {"grad": tensor.is_leaf, "mT": tensor.ndim >= 2, "mH": tensor.ndim >= 2}
        assert hasattr(tensor, name) == is_there.get(name, True), name
    assert getattr(tensor, "grad", "none") == (None if tensor.is_leaf else "none")
    assert inspect.getmembers(tensor, inspect.ismethod)


def test_every_attribute_of_layers_and_optimizers_can_be_looked_at() -> None:
    layers = [nn.Linear(2, 3), nn.Sequential(), nn.LSTM(2, 3), nn.GRU(2, 3), nn.LSTMCell(2, 3)]
    for thing in [*layers, nn.Embedding(2, 3), nn.Dropout(), optim.Adam(layers[0].parameters())]:
        names = dict(inspect.getmembers(thing))
        assert names.keys() == set(dir(thing))


def test_the_gradient_of_a_result_says_what_to_use() -> None:
    with pytest.raises(AttributeError) as caught:
        _ = (LEAF * 2.0).grad
    assert str(caught.value) == (
        "only leaves keep their gradient; call retain_grad() before backward() to keep that of a result"
    )


# --- help ---------------------------------------------------------------------------------------------


def public_things() -> dict[str, Any]:
    """Every public name, and every public method of a public class that it defines itself, by its full name."""
    modules = {"": tinygrad_np, "functional.": F, "nn.": nn, "optim.": optim, "optim.schedules.": schedules}
    things = {
        prefix + name: getattr(module, name) for prefix, module in modules.items() for name in module.__all__
    }
    things |= {
        f"nn.init.{name}": draw
        for name, draw in inspect.getmembers(nn.init, inspect.isfunction)
        if draw.__module__ == nn.init.__name__
    }
    for name, thing in list(things.items()):
        if inspect.isclass(thing):
            things |= {f"{name}.{key}": value for key, value in vars(thing).items() if key[0] != "_"}
    return {name: thing for name, thing in things.items() if callable(thing) or hasattr(thing, "__get__")}


THINGS = public_things()
NO_HELP = {  # settings of classes: the text of the class says what they are
    *("nn.Layer.training", "nn.LSTM.gates", "nn.LSTM.states", "nn.LSTM.functions"),
    *("nn.GRU.gates", "nn.GRU.states", "nn.GRU.functions", "nn.LSTMCell.bias_ih", "nn.LSTMCell.bias_hh"),
}


def test_the_public_things_are_all_there() -> None:
    assert len(THINGS) > 100
    assert {"Tensor.sum", "Tensor.T", "Tensor.permute", "nn.Linear.forward", "optim.Adam"} <= THINGS.keys()
    assert {"functional.softmax", "nn.init.orthogonal", "Tensor.data", "grad"} <= THINGS.keys()
    assert not THINGS.keys() & NO_HELP


@pytest.mark.parametrize("name", THINGS)
def test_help_says_something(name: str) -> None:
    thing = THINGS[name]
    # a text of its own: `getdoc` finds that of a base class too, but alone finds the texts of __slots__
    text = inspect.getdoc(thing) if inspect.ismemberdescriptor(thing) else thing.__doc__
    assert text
    assert text.strip()
    if inspect.isclass(thing):
        inspect.signature(thing)
    elif callable(thing):
        parameters = inspect.signature(thing).parameters
        # a primitive's wrapper has the parameters of its rule, and one that only the tape fills in is none of them
        assert "needs_input_grad" not in parameters
        text = pydoc.render_doc(thing)
        assert text.count("\n") > 2


# --- messages -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("np.unique", np.unique),
        ("np.fft.fft", np.fft.fft),
        ("np.lib.scimath.sqrt", np.emath.sqrt),
        ("np.nextafter", lambda t: np.nextafter(t, 1.0)),
    ],
)
def test_what_has_no_rule_is_named_in_full(name: str, call: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError) as caught:
        call(Tensor([1.0, 2.0]))
    assert str(caught.value) == (
        f"{name} has no rule for a Tensor: use what has one, declare it with tinygrad_np.primitive, or leave the "
        "gradient behind with .detach() or .data"
    )


MESSAGES: dict[str, Callable[[], Any]] = {
    "np.add.reduce has no rule for a Tensor: call a function that has one, such as np.sum, or use .detach() or "
    ".data where no gradient is needed": lambda: np.add.reduce(LEAF),
    "np.tanh cannot write into out=: Tensors are values; leave it out, and use the result": lambda: np.tanh(
        LEAF, out=np.ones((1, 2))
    ),
    "np.sum of a Tensor takes x, axis, keepdims, and no 'where'": lambda: np.sum(LEAF, where=np.array(True)),
    "np.sum takes no Tensor for 'axis', which has no gradient; give it .data": lambda: np.sum(
        LEAF, axis=Tensor(1)
    ),  # type: ignore[call-overload]
    "Tensor: a Tensor holds numbers, and this has dtype <U1; make numbers of it first": lambda: Tensor("a"),
    "item() takes the only element of a Tensor, and this one has shape (1, 2); index or reduce it first": LEAF.item,
    "len() of a Tensor without axes, which is one number; use .item()": lambda: len(Tensor(1.0)),
    "only a leaf that requires a gradient can be given one; make it with requires_grad=True": lambda: setattr(
        Tensor(1.0), "grad", np.ones(())
    ),
    "a gradient of float64[3] for a Tensor of float64[1, 2]; give it one of that dtype and shape": lambda: (
        setattr(LEAF, "grad", np.ones(3))
    ),
    "backward() of a Tensor that does not depend on one with requires_grad=True; make what is trained with it, and "
    "compute outside of no_grad()": Tensor(1.0).backward,
}


@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_says_what_is_wrong_and_what_to_do(message: str) -> None:
    with pytest.raises((TypeError, ValueError, RuntimeError)) as caught:
        MESSAGES[message]()
    assert str(caught.value) == message


# --- the same arguments as PyTorch's ------------------------------------------------------------------


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_recurrent_layers_take_their_arguments_in_pytorchs_order(kind: Any) -> None:
    layer = kind(2, 3, 2, False, True, 0.25, True, rng=0)
    assert (layer.input_size, layer.hidden_size, layer.num_layers) == (2, 3, 2)
    assert (layer.bias, layer.dropout, layer.bidirectional) == (False, 0.25, True)
    assert list(layer.named_parameters().keys())[:4] == [
        *("weight_ih_l0", "weight_hh_l0", "weight_ih_l0_reverse", "weight_hh_l0_reverse")
    ]
    x = Tensor(np.ones((4, 5, 2), np.float32))
    output, _ = kind(2, 3, batch_first=True, rng=0)(x)
    assert output.shape == (4, 5, 3)
    np.testing.assert_array_equal(output.data, kind(2, 3, rng=0)(x)[0].data)


@pytest.mark.oracle
def test_arguments_by_position_are_pytorchs() -> None:
    """Ours are a beginning of theirs: what somebody writes by habit means the same, or is refused."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install -e '.[oracle]'")

    def by_position(function: Any, first: int = 0) -> list[str]:
        names = [
            {"x": "input", "indices": "input", "axis": "dim", "f": "func"}.get(name, name)
            for name, parameter in inspect.signature(function).parameters.items()
            if parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
        ]
        return names[first:]

    layers = ("Linear", "Embedding", "Dropout", "RNNCell", "GRUCell", "LSTMCell")
    pairs = [(getattr(nn, n), getattr(torch.nn, n), 0) for n in layers]
    pairs += [(kind, torch.nn.RNNBase, 1) for kind in (nn.LSTM, nn.GRU)]  # its first is the kind of layer
    pairs += [(getattr(optim, n), getattr(torch.optim, n), 0) for n in OPTIMIZERS if n != "Lion"]
    functions = ("relu", "sigmoid", "softmax", "log_softmax", "embedding", "dropout")
    pairs += [(getattr(F, name), getattr(torch.nn.functional, name), 0) for name in functions]
    pairs += [(tinygrad_np.grad, torch.func.grad, 0)]
    for ours, theirs, first in pairs:
        names = by_position(ours)
        assert names
        assert names == by_position(theirs, first)[: len(names)], ours


# --- the version --------------------------------------------------------------------------------------


def test_the_version_is_that_of_the_installed_package() -> None:
    assert tinygrad_np.__version__ == metadata.version("tinygrad_np")
    assert re.fullmatch(r"\d+\.\d+\.\d+", tinygrad_np.__version__)
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert "version" not in pyproject["project"]  # it stands in one place
    assert pyproject["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "tinygrad_np.__version__"}


def test_the_version_is_no_reason_to_import_more() -> None:
    program = (
        "import numpy, sys; before = set(sys.modules); import tinygrad_np; print(set(sys.modules) - before)"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "tinygrad_np.tape" in run.stdout
    assert "importlib.metadata" not in run.stdout


# --- the page of differences --------------------------------------------------------------------------

PAGE = (ROOT / "docs" / "differences-from-pytorch.md").read_text(encoding="utf-8")
EXTENDING = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
REFERENCE = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")


def run_page(text: str) -> tuple[int, int, str]:
    """Run the examples of a page, one after another in one namespace: how many failed, how many there were, why."""
    examples = "\n".join(re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE))
    test = doctest.DocTestParser().get_doctest(examples, {}, "differences-from-pytorch", None, 0)
    said = io.StringIO()
    failed, tried = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=said.write)
    return failed, tried, said.getvalue()


@pytest.mark.usefixtures("registries")
@pytest.mark.parametrize(
    ("page", "at_least"), [(PAGE, 50), (EXTENDING, 25)], ids=["differences", "extending"]
)
def test_the_examples_of_a_page_are_right(page: str, at_least: int) -> None:
    failed, tried, said = run_page(page)
    assert not failed, said
    assert tried > at_least
    assert page.count(">>> ") == tried


def test_a_wrong_example_is_seen() -> None:
    failed, _, said = run_page(PAGE.replace("[0.0, 0.5, 0.5, 0.0]", "[0.0, 1.0, 0.0, 0.0]"))
    assert failed == 1
    assert "[0.0, 0.5, 0.5, 0.0]" in said


def names_for_the_page() -> set[str]:
    """Every public name that somebody from PyTorch may look for."""
    public = {name.rpartition(".")[2] for name in THINGS}
    for module in (data, parallel, weights):
        public |= {
            name
            for name, thing in inspect.getmembers(module)
            if name[0] != "_" and getattr(thing, "__module__", "") == module.__name__
        }
    return public


def missing_from(page: str) -> set[str]:
    """The public names that stand neither on this page nor, as nothing differs, in the reference alone."""
    spans = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`\n]+)`", page + REFERENCE))))
    return names_for_the_page() - spans


def test_the_page_names_everything_public() -> None:
    assert {
        "Linear",
        "kaiming_normal",
        "expand_dims",
        "mse_loss",
        "hvp",
        "Ranks",
        "pad",
    } <= names_for_the_page()
    assert missing_from(PAGE) == set()
    assert missing_from(PAGE.replace("named_tensors", "")) == {"named_tensors"}
