"""Every row of tinygrad_np/check/cases goes through every check; each check is seen to fail on what is wrong."""

import inspect
import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_np import Tensor, backward, functional, nn, optim, tape
from tinygrad_np.check import checks, installed, reference
from tinygrad_np.check.cases import LAYERS, LOSSES, OPS, OPTIMIZERS
from tinygrad_np.check.checks import OP_CHECKS, concatenate_outputs, function_of_floats, has_several_outputs
from tinygrad_np.check.gradient import gradcheck
from tinygrad_np.check.rows import Edge, LayerCase, Op, Optimizer
from tinygrad_np.errors import numpy_name
from tinygrad_np.grad_mode import CREATE_GRAPH, grad_mode
from tinygrad_np.optim import SGD
from tinygrad_np.testing import arguments, generators

PRIMITIVES = [name for name, row in OPS.items() if row.function is None]
SEVERAL = [name for name in OPS if has_several_outputs(name)]
# There are some three thousand of these tests: 20 examples each, or as many as the thorough profile says. The
# gradient check's own command draws 100 more.
few_or_thorough = settings() if settings().max_examples > 60 else settings(max_examples=20)
every_seed = pytest.mark.parametrize("seed", range(5))


def test_nothing_is_without_a_row() -> None:
    assert not list(installed.without_row())
    assert set(PRIMITIVES) == set(tape.PRIMITIVES)


def test_every_numpy_function_that_has_a_rule_is_called(rng: np.random.Generator) -> None:
    reached = {function for name in OPS for function in checks.answered(name, rng)}
    missing = {numpy_name(function) for function in tape.NUMPY if function not in reached}
    assert not missing, f"call them in the row of what answers for them: {missing}"


def test_the_reference_page_is_what_the_rows_say() -> None:
    page = (Path(__file__).parents[1] / reference.PAGE).read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(?:nn\.|functional\.|optim\.)?([\w.]+)` \|.* \| (\S+) \|$", page, re.MULTILINE)
    assert page == reference.page(defaultdict(str, rows)), (
        "write it anew: python -m tinygrad_np.check.reference"
    )
    assert "| `tanh` | The hyperbolic tangent, " in page
    assert len(rows) > 100
    assert all(float(error) < 1e-6 for _, error in rows)


# --- every row, every check ---------------------------------------------------------------------------


def test_of(check: str) -> Callable[..., None]:
    """A test of its own for each check: hypothesis nests its settings once a parameter, a thousand deep at most."""

    @pytest.mark.parametrize("name", SEVERAL if check == "one output" else OPS)
    @few_or_thorough
    @given(data=st.data(), rng=generators())
    def test(name: str, data: st.DataObject, rng: np.random.Generator) -> None:
        OP_CHECKS[check](name, *data.draw(arguments(name)), rng)

    return test


test_of.__test__ = False  # type: ignore[attr-defined]
for check in OP_CHECKS:
    globals()[f"test_op_{check.replace(' ', '_')}"] = test_of(check)


@pytest.mark.parametrize("name", [name for name, row in OPS.items() if row.more])
def test_fixed_cases(name: str, rng: np.random.Generator) -> None:
    for arrays, static in OPS[name].more:
        checks.check_value(name, arrays, static, rng)
        gradcheck(*function_of_floats(name, arrays, static), rng)
        checks.check_second_order(name, arrays, static, rng)


@pytest.mark.parametrize(("name", "edge"), [(name, edge) for name, row in OPS.items() for edge in row.edges])
def test_edge(name: str, edge: Edge) -> None:
    checks.check_edge(name, edge)


@pytest.mark.parametrize("name", LAYERS)
@every_seed
def test_layer(name: str, seed: int) -> None:
    checks.check_layer(name, np.random.default_rng(seed))


@pytest.mark.parametrize("name", LOSSES)
@every_seed
def test_loss(name: str, seed: int) -> None:
    checks.check_loss(name, np.random.default_rng(seed))


@pytest.mark.parametrize("name", OPTIMIZERS)
@every_seed
def test_optimizer(name: str, seed: int) -> None:
    checks.check_optimizer(name, np.random.default_rng(seed))


# --- the checks can fail ------------------------------------------------------------------------------


@pytest.fixture
def without_places(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only whether a gradient is wrong is asked here, not where: each coordinate would be tried for the report."""
    monkeypatch.setattr("tinygrad_np.check.gradient._wrong_places", lambda *_: ())


def wrong_by_a_thousandth(rule: Any, wrong: int, static: dict[str, Any]) -> Any:
    """The primitive with the gradient of one argument 1.001 times too large."""

    def worse(part: Any) -> Any:
        if isinstance(part, backward.SparseGrad):
            return backward.SparseGrad(1.001 * part.values, part.index)
        if isinstance(part, backward.DeferredMatmul):
            return backward.DeferredMatmul(1.001 * part.x, part.g)
        return 1.001 * part

    def mutant(*xs: Any, needs_input_grad: tuple[bool, ...] = ()) -> Any:
        asks = "needs_input_grad" in inspect.signature(rule).parameters
        told = {"needs_input_grad": needs_input_grad} if asks else {}
        out, vjps = rule(*xs, **static, **told)
        if callable(vjps):
            return out, lambda g: [worse(p) if i == wrong else p for i, p in enumerate(vjps(g))]
        return out, tuple((lambda g, v=v: worse(v(g))) if i == wrong else v for i, v in enumerate(vjps))

    declare: Any = tape.primitive()
    return declare(mutant)


@pytest.mark.usefixtures("registries", "without_places")
@pytest.mark.parametrize("name", PRIMITIVES)
def test_the_gradient_check_fails_on_a_wrong_rule(name: str) -> None:
    right = tape.PRIMITIVES[name]
    rule = right.__wrapped__
    arrays, _ = OPS[name].draw(np.random.default_rng(0), (2, 3))
    kinds = [parameter.kind for parameter in inspect.signature(rule).parameters.values()]
    places = range(2 if inspect.Parameter.VAR_POSITIONAL in kinds else len(arrays))
    for wrong in [i for i in places if i >= len(arrays) or arrays[i].dtype.kind == "f"]:
        drawn = tried = caught = constant = 0
        for seed in range(40):
            rng = np.random.default_rng(seed)
            arrays, static = OPS[name].draw(rng, (2, 3))
            if wrong >= len(arrays) or not arrays[wrong].size:
                continue
            drawn += 1
            tape.PRIMITIVES[name] = wrong_by_a_thousandth(rule, wrong, static)
            f, floats = function_of_floats(name, arrays, {})
            tensors = [Tensor(x, requires_grad=x.dtype.kind == "f") for x in arrays]
            out = concatenate_outputs(right(*tensors, **static))
            out.backward(rng.standard_normal(out.shape))
            if not np.any(tensors[wrong].grad):
                constant += 1
                continue  # zero is not made wrong by a factor
            tried += 1
            if tried > 8:
                break
            try:
                gradcheck(f, floats, rng, OPS[name].analytic)
            except AssertionError:
                caught += 1
        assert tried >= 5 or constant == drawn > 0
        assert caught >= 0.8 * tried, (
            f"a wrong vjp {wrong} of {name} passed {tried - caught} of {tried} checks"
        )


def scaled(x: Any) -> Any:
    """x, whose gradient is too large by a thousandth; a plain array as it is."""
    return x.detach() + (x - x.detach()) * 1.001 if isinstance(x, Tensor) else x


def declare_instead(name: str, rule: Callable[..., Any], *numpy_functions: Any) -> None:
    """Another rule in the place of a primitive, for NumPy too."""
    del tape.PRIMITIVES[name]
    for function in numpy_functions:
        del tape.NUMPY[function]
    rule.__name__ = name
    declare: Any = tape.primitive(*numpy_functions)
    declare(rule)


@pytest.mark.usefixtures("registries")
@pytest.mark.parametrize(
    ("check", "rule"),
    [
        ("gradient", lambda x: (np.tanh(x), (lambda g: g * (1 - np.tanh(x)),))),
        ("second order", lambda x: (np.tanh(x), (lambda g: g * (1 - tape.Tensor(np.tanh(x.data)) ** 2),))),
        ("value", lambda x: (np.tanh(x) * (1 + 1e-12), (lambda g: g,))),
        ("create graph", lambda x: (np.tanh(x), (lambda g: g * (1.0 if isinstance(g, Tensor) else 2.0),))),
        ("float32", lambda x: (np.tanh(np.asarray(x, np.float64)), (lambda g: g,))),
        ("numpy", lambda x: (np.tanh(x) + 1e-9, (lambda g: g * (1 - np.tanh(x) ** 2),))),
        ("numpy", lambda x: (np.tanh(x), (lambda g: g,))),
    ],
)
def test_each_check_of_an_op_fails_on_what_it_is_there_for(
    check: str, rule: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    declare_instead("tanh", rule, np.tanh)
    if check == "create graph":  # there a rule is not run again, but its composite is called
        monkeypatch.setitem(
            tape.PRIMITIVES,
            "tanh",
            lambda x: x * (3.0 if grad_mode() == CREATE_GRAPH else 2.0),
        )
    with pytest.raises((AssertionError, AttributeError)):
        OP_CHECKS[check]("tanh", [rng.standard_normal((2, 3))], {}, rng)


@pytest.mark.usefixtures("registries")
def test_the_check_of_one_output_and_of_edges_fail(rng: np.random.Generator) -> None:
    def split_at(x: Any, *, ends: Any, axis: Any) -> Any:
        return (x[:1], x[1:]), lambda gs: [np.concatenate([g if g is not None else x[:1] for g in gs])]

    declare_instead("split_at", split_at)
    case = [np.ones((2, 3))], {"ends": [0, 1, 2], "axis": 0}
    with pytest.raises(AssertionError):
        [checks.check_one_output("split_at", *case, rng) for _ in range(8)]
    edge = OPS["relu"].edges[0]
    declare_instead("relu", wrong_relu)
    with pytest.raises(AssertionError):
        checks.check_edge("relu", edge)


def wrong_relu(x: Any) -> Any:
    return np.maximum(x, 0), (lambda g: np.where(x >= 0, g, 0),)


@pytest.mark.usefixtures("without_places")
@pytest.mark.parametrize("name", [name for name, row in OPS.items() if row.function is not None])
def test_the_gradient_check_fails_on_a_wrong_function(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    row = OPS[name]
    right: Any = row.function

    def wrong(*xs: Any, **static: Any) -> Any:
        return right(*[scaled(x) for x in xs], **static)

    monkeypatch.setitem(OPS, name, replace(row, function=wrong))
    rng = np.random.default_rng(0)
    with pytest.raises(AssertionError):
        checks.check_gradient(name, *row.draw(rng, (2, 3)), rng)


@pytest.mark.usefixtures("without_places")
@pytest.mark.parametrize("name", LAYERS)
def test_the_check_fails_on_a_wrong_layer(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    row = LAYERS[name]

    def wrong(rng: np.random.Generator) -> LayerCase:
        case = row(rng)

        def call(layer: Any, *inputs: Any) -> Any:
            out = case.call(layer, *inputs)
            return tuple(map(scaled, out)) if isinstance(out, tuple) else scaled(out)

        return replace(case, call=call)

    monkeypatch.setitem(LAYERS, name, wrong)
    caught = 0
    for seed in range(3):  # a case may have nothing to differentiate, such as no input row
        try:
            checks.check_layer(name, np.random.default_rng(seed))
        except AssertionError:
            caught += 1
    assert caught >= 2


@pytest.mark.usefixtures("without_places")
@pytest.mark.parametrize("name", LOSSES)
def test_the_check_fails_on_a_wrong_loss(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    right = getattr(functional, name)
    for wrong in (
        lambda x, *args, **kwargs: right(scaled(x), *args, **kwargs),
        lambda x, *args, **kwargs: right(x, *args, **kwargs) * (1 + 1e-11),
    ):
        monkeypatch.setattr(functional, name, wrong)
        with pytest.raises(AssertionError):
            [checks.check_loss(name, np.random.default_rng(seed)) for seed in range(5)]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_check_fails_on_a_wrong_optimizer(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    right = getattr(optim, name)

    def wrong(params: Any, **settings: Any) -> Any:
        optimizer = right(params, **settings)
        optimizer.lr *= 1 + 1e-9
        return optimizer

    monkeypatch.setattr(optim, name, wrong)
    with pytest.raises(AssertionError, match="the update is"):
        checks.check_optimizer(name, np.random.default_rng(0))


# --- one row is all that a new thing takes ------------------------------------------------------------


class Doubled(nn.Layer):
    """A layer of one's own."""

    def __init__(self, dtype: Any = np.float32):
        self.weight = Tensor(np.ones(3), requires_grad=True, dtype=dtype)

    def forward(self, x: Tensor) -> Tensor:
        return 2.0 * (x * self.weight)


class Halved(SGD):
    """An optimizer of one's own: half of each step."""

    def update(self, i: int, p: np.ndarray, g: np.ndarray) -> None:
        p -= self.lr / 2 * g


def halved(p: float, gs: list[float], lr: float = 1e-3) -> float:
    return p - sum(lr / 2 * g for g in gs)


@pytest.fixture
def own(registries: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A primitive, a layer and an optimizer, declared and public. That of np.arctan makes room for it."""
    for registry, key in ((tape.PRIMITIVES, "arctan"), (tape.NUMPY, np.arctan), (OPS, "arctan")):
        monkeypatch.delitem(registry, key)  # type: ignore[arg-type]

    @tape.primitive(np.arctan)
    def arctan(x: Any) -> Any:
        return np.arctan(x), (lambda g: g / (1 + x * x),)

    for module, member in ((nn, Doubled), (optim, Halved)):
        monkeypatch.setattr(module, member.__name__, member, raising=False)
        monkeypatch.setattr(module, "__all__", [*module.__all__, member.__name__])
    monkeypatch.setattr(functional, "__all__", [*functional.__all__, "cubed"])


@pytest.mark.usefixtures("own")
def test_what_has_no_row_fails_the_check(capsys: pytest.CaptureFixture[str]) -> None:
    kinds = [("primitive", "arctan"), ("function", "cubed"), ("layer", "Doubled"), ("optimizer", "Halved")]
    assert list(installed.without_row()) == kinds
    for _, name in kinds:
        assert installed.main(["--only", name]) == 1
        assert "FAILED: has no row in tinygrad_np/check/cases" in capsys.readouterr().out


@pytest.mark.usefixtures("own")
def test_with_one_row_each_every_check_runs_on_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def draw(rng: Any, shape: Any) -> Any:
        return [rng.standard_normal(shape)], {}

    monkeypatch.setitem(OPS, "arctan", Op(draw))
    monkeypatch.setitem(OPS, "cubed", Op(draw, reference=lambda x: x**3, torch=None, function=lambda x: x**3))
    monkeypatch.setitem(
        LAYERS,
        "Doubled",
        lambda rng: LayerCase(Doubled(np.float64), [rng.standard_normal((2, 3))], torch=None),
    )
    monkeypatch.setitem(OPTIMIZERS, "Halved", Optimizer(halved, [{"lr": 0.1}]))
    assert not list(installed.without_row())
    rng = np.random.default_rng(0)
    for name in ("arctan", "cubed"):
        for check in OP_CHECKS.values():
            check(name, [rng.standard_normal((2, 3))], {}, rng)
    assert checks.answered("arctan", rng) == {np.arctan}
    checks.check_layer("Doubled", rng)
    checks.check_optimizer("Halved", rng)
    for name in ("arctan", "cubed", "Doubled", "Halved"):
        assert installed.main(["--only", name, "--cases", "5"]) == 0
        assert "5 cases" in capsys.readouterr().out

    # and each is caught when it is wrong
    @tape.primitive()
    def wrong(x: Any) -> Any:
        return np.arctan(x), (lambda g: g / (1 + x),)

    tape.PRIMITIVES["arctan"] = wrong
    monkeypatch.setattr(Doubled, "forward", lambda self, x: 2.0 * x * self.weight.detach())
    monkeypatch.setattr(Halved, "update", SGD.update)
    for name in ("arctan", "Doubled", "Halved"):
        assert installed.main(["--only", name, "--cases", "5"]) == 1
        assert "FAILED" in capsys.readouterr().out


def test_a_row_of_what_is_not_there_fails(capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    monkeypatch.setitem(OPS, "nowhere", partial(Op)(lambda rng, shape: ([np.ones(2)], {})))
    assert installed.main(["--only", "nowhere"]) == 1
    assert "FAILED" in capsys.readouterr().out
