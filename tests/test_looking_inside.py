"""Hooks, kept gradients, anomalies, checkpointing, drawings: what they say, and that they change nothing else."""

import gc
import re
import sys
import tracemalloc
import weakref
from typing import Any

import numpy as np
import pytest

import tinygrad_np
from tinygrad_np import Tensor, checkpoint, detect_anomaly, drawing, functional, graph, nn, no_grad
from tinygrad_np.extras import EXTRAS
from tinygrad_np.transforms import grad, jacobian, jvp, vjp


def leaf(data: Any) -> Tensor:
    return Tensor(np.asarray(data, np.float64), requires_grad=True)


# --- hooks --------------------------------------------------------------------------------------------


def test_a_hook_sees_the_whole_gradient_once_and_may_replace_it() -> None:
    x, seen = leaf([1.0, 2.0]), []
    h = x * 3.0
    h.register_hook(lambda g: seen.append(g.copy()))
    h.register_hook(lambda g: g * 10.0)
    (h * h + h).sum().backward()
    np.testing.assert_array_equal(seen, [[7.0, 13.0]])
    np.testing.assert_array_equal(x.grad, [210.0, 390.0])


def test_a_hook_of_a_leaf_changes_what_is_kept_and_is_taken_off() -> None:
    x = leaf([1.0, 2.0])
    take_off = x.register_hook(lambda g: -g)
    (x * 2.0).sum().backward()
    np.testing.assert_array_equal(x.grad, [-2.0, -2.0])
    take_off()
    take_off()  # once more does nothing
    (x * 2.0).sum().backward()
    np.testing.assert_array_equal(x.grad, [0.0, 0.0])


def test_what_a_hook_returns_is_copied_and_checked() -> None:
    x, mine = leaf([1.0, 2.0]), np.array([5.0, 6.0])
    x.register_hook(lambda g: mine)
    (x * 1.0).sum().backward()
    assert x.grad is not mine
    np.testing.assert_array_equal(x.grad, mine)
    y = x * 1.0
    y.register_hook(lambda g: g[:1])
    with pytest.raises(ValueError, match=r"a hook on a gradient of shape \(2,\) returned float64\[1\]"):
        y.sum().backward()
    z = x * 1.0
    z.register_hook(lambda g: g.__imul__(2.0))  # the array may be somebody else's
    with pytest.raises(ValueError, match="read-only"):
        z.sum().backward()
    with pytest.raises(RuntimeError, match="register_hook: no gradient"):
        Tensor([1.0]).register_hook(print)


def test_hooks_of_one_output_of_several_and_of_higher_derivatives() -> None:
    x = leaf(np.arange(4.0))
    first, last = np.split(x, 2)
    last.register_hook(lambda g: g * 2.0)
    (first.sum() + last.sum()).backward()
    np.testing.assert_array_equal(x.grad, [1.0, 1.0, 2.0, 2.0])

    def f(x: Tensor) -> Tensor:
        y = x**3
        y.register_hook(lambda g: g * 2.0)
        return y

    assert grad(f)(2.0).item() == 24.0
    assert grad(grad(f))(2.0).item() == pytest.approx(24.0)


def test_retain_grad_keeps_the_gradient_of_a_result() -> None:
    x = leaf([1.0, 2.0])
    y = x * 3.0
    assert not y.retains_grad
    y.retain_grad()
    y.retain_grad()
    assert y.retains_grad
    assert y.grad is None
    total = (y * y).sum()
    total.backward(retain_graph=True)
    np.testing.assert_array_equal(y.grad, [6.0, 12.0])
    total.backward()
    np.testing.assert_array_equal(y.grad, [12.0, 24.0])  # as those of leaves, it adds up
    np.testing.assert_array_equal(x.grad, [36.0, 72.0])
    with pytest.raises(RuntimeError, match="retain_grad: no gradient"):
        Tensor([1.0]).retain_grad()
    x.retain_grad()  # of a leaf it is kept anyway


def test_a_kept_gradient_makes_no_cycle() -> None:
    gc.disable()
    try:
        x = leaf([1.0])
        y = x * 2.0
        y.retain_grad()
        y.sum().backward()
        gone = weakref.ref(y)
        del y
        assert gone() is None
    finally:
        gc.enable()


# --- anomalies ----------------------------------------------------------------------------------------


def caught(kind: type[Exception], run: Any) -> str:
    with np.errstate(all="ignore"), pytest.raises(kind) as error, detect_anomaly():
        run()
    return str(error.value)


def test_the_first_result_that_is_not_finite_is_named_with_its_line() -> None:
    x = leaf([1.0, 0.0])

    def run() -> None:
        y = x * 2.0
        np.log(y).sum()  # the line

    said = caught(FloatingPointError, run)
    assert re.match(r"the result of log is not finite; called at .*test_looking_inside\.py:\d+: ", said)
    assert said.endswith("np.log(y).sum()  # the line")
    nan = leaf([np.nan])
    assert "log is not finite, and so is an array that went in" in caught(
        FloatingPointError, lambda: np.log(nan)
    )
    with np.errstate(all="ignore"):
        assert not np.isfinite(np.log(x).data).all()  # outside nobody looks


def test_a_constant_infinity_is_no_anomaly_but_a_nan_of_it_is() -> None:
    x = leaf([1.0, 2.0])
    with detect_anomaly():
        masked = np.where([True, False], x, -np.inf)
        functional.softmax(masked).sum().backward()
    assert x.grad is not None
    assert np.isfinite(x.grad).all()
    assert "multiply" in caught(FloatingPointError, lambda: np.where([True, False], x, -np.inf) * 0.0)


def test_the_first_gradient_that_is_not_finite_is_named() -> None:
    x = leaf([1.0, 0.0])

    def run() -> None:
        np.sqrt(x).sum().backward()

    assert "a gradient that sqrt sends back is not finite; called at" in caught(FloatingPointError, run)
    y = np.sqrt(x).sum()
    assert "outside of detect_anomaly()" in caught(FloatingPointError, y.backward)
    z = x * 2.0
    assert "the gradient of the result of multiply is not finite" in caught(
        FloatingPointError, lambda: z.backward([np.nan, 1.0])
    )
    with detect_anomaly():  # a pole that was not chosen is none
        np.where(x > 0, np.sqrt(x), x).sum().backward()
        np.where(x > 0, x * np.log(np.where(x > 0, x, 1.0)), 0.0).sum().backward()


def test_an_array_that_was_written_to_is_named() -> None:
    x, w = leaf([1.0, 2.0]), leaf([3.0, 4.0])

    def arguments() -> None:
        y = x * w
        w.data[0] = 7.0
        y.sum().backward()

    said = caught(RuntimeError, arguments)
    assert "multiply, called at " in said
    assert "its argument 1, float64[2], was written to before the way back" in said

    def result() -> None:
        y = np.exp(x)
        y.data[:] = 0.0
        y.sum().backward()

    assert "exp, called at " in caught(RuntimeError, result)


def test_anomalies_in_higher_derivatives_and_without_gradients() -> None:
    with detect_anomaly():
        assert grad(grad(lambda x: x**3))(2.0).item() == 12.0
        assert grad(tinygrad_np.value_and_grad(lambda x: np.tanh(x))).__name__ == "gradient"
        with no_grad(), np.errstate(all="ignore"):
            assert np.isneginf(np.log(leaf(0.0)).data)
    with no_grad(), detect_anomaly():
        assert not (leaf(1.0) * 2.0).requires_grad
    assert "sqrt" in caught(FloatingPointError, lambda: grad(grad(np.sqrt))(0.0))


# --- checkpointing ------------------------------------------------------------------------------------


def gradients(run: Any, *tensors: Tensor) -> list[Any]:
    for tensor in tensors:
        tensor.grad = None
    run().backward()
    return [tensor.grad for tensor in tensors]


def test_a_checkpoint_changes_no_number(rng: np.random.Generator) -> None:
    layer = nn.Linear(3, 3, rng=0, dtype=np.float64)
    x, shift = leaf(rng.standard_normal((2, 3))), leaf(rng.standard_normal(3))

    def block(h: Tensor, scale: float, *, by: float) -> Tensor:
        return np.tanh(layer(h)) * scale * by + outside

    tensors = (x, shift, *layer.parameters())
    outside = shift * 2.0  # a result that the function uses without taking it
    direct = gradients(lambda: (block(x * 2.0, 1.5, by=2.0) ** 2).sum(), *tensors)
    outside = shift * 2.0
    through = gradients(lambda: (checkpoint(block)(x * 2.0, 1.5, by=2.0) ** 2).sum(), *tensors)
    for a, b in zip(direct, through):
        np.testing.assert_array_equal(a, b)


def test_checkpoints_of_several_outputs_within_each_other_and_of_hooks(rng: np.random.Generator) -> None:
    x = leaf(rng.standard_normal(4))

    def two(x: Tensor) -> tuple[Tensor, Tensor]:
        return np.exp(x), x

    for choose in (lambda y: y[0].sum(), lambda y: (y[0] * y[1]).sum(), lambda y: y[1].sum()):
        direct = gradients(lambda c=choose: c(two(x)), x)
        through = gradients(lambda c=choose: c(checkpoint(lambda x: checkpoint(two)(x))(x)), x)
        np.testing.assert_array_equal(direct, through)
    x.register_hook(lambda g: g * 10.0)
    np.testing.assert_array_equal(
        gradients(lambda: checkpoint(lambda: (x * 2.0).sum())(), x)[0], np.full(4, 20.0)
    )


def test_a_checkpoint_of_higher_derivatives_without_gradients_and_of_what_is_refused() -> None:
    cubed = checkpoint(lambda x: x**3)
    assert grad(grad(cubed))(2.0).item() == pytest.approx(12.0)
    with no_grad():
        assert not cubed(leaf(2.0)).requires_grad
    assert not cubed(Tensor(2.0)).requires_grad
    with pytest.raises(TypeError, match=r"checkpoint: 1\.0 is no Tensor"):
        checkpoint(lambda x: 1.0)(leaf(1.0))
    factors = [np.ones((2, 2)), np.ones((3, 3))]  # the second time it is another
    product = checkpoint(lambda x: x @ factors.pop(0))(leaf(np.ones((2, 2)))).sum()
    with pytest.raises(ValueError, match="matmul"):
        product.backward()


def test_a_checkpoint_that_draws_other_numbers_is_an_error() -> None:
    rng = np.random.default_rng(0)
    x = leaf(np.ones(50))
    y = checkpoint(lambda x: functional.dropout(x, 0.5, rng=rng))(x).sum()
    with pytest.raises(RuntimeError, match="another result when it ran again"):
        y.backward()
    checkpoint(lambda x: functional.dropout(x, 0.5, rng=3))(x).sum().backward()
    np.testing.assert_array_equal(x.grad, functional.dropout(x, 0.5, rng=3).data)


def test_checkpoints_hold_less_memory(rng: np.random.Generator) -> None:
    layers = [nn.Linear(64, 64, rng=i) for i in range(12)]
    x = Tensor(rng.standard_normal((512, 64)), requires_grad=True, dtype=np.float32)

    def peak(wrap: Any) -> int:
        tracemalloc.start()
        h = x
        for layer in layers:
            h = wrap(lambda h, layer=layer: np.tanh(np.tanh(np.tanh(layer(h)))))(h)
        h.sum().backward()
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return top

    assert peak(checkpoint) < 0.6 * peak(lambda f: f)


# --- transforms ---------------------------------------------------------------------------------------


def test_vjp_and_jvp_are_the_products_with_the_jacobian(rng: np.random.Generator) -> None:
    a, b = rng.standard_normal((3, 4)), rng.standard_normal(4)

    def f(a: Tensor, b: Tensor) -> Tensor:
        return np.tanh(a) @ b + b[:3]

    u, va, vb = rng.standard_normal(3), rng.standard_normal((3, 4)), rng.standard_normal(4)
    ja, jb = jacobian(f, (0, 1))(a, b)
    assert (ja.shape, jb.shape) == ((3, 3, 4), (3, 4))
    value, pull = vjp(f, a, b)
    np.testing.assert_allclose(value.data, np.tanh(a) @ b + b[:3], rtol=1e-14)
    da, db = pull(u)
    np.testing.assert_allclose(da.data, np.einsum("i,ijk->jk", u, ja.data), rtol=1e-12)
    np.testing.assert_allclose(db.data, u @ jb.data, rtol=1e-12)
    assert len(pull(u)) == 2  # and again
    value, change = jvp(f, (a, b), (va, vb))
    np.testing.assert_allclose(change.data, np.einsum("ijk,jk->i", ja.data, va) + jb.data @ vb, rtol=1e-12)
    assert not change.requires_grad
    with pytest.raises(ValueError, match=r"vjp: a gradient of shape \(2,\) for a value of shape \(3,\)"):
        pull(u[:2])
    with pytest.raises(ValueError, match="jvp takes tangents of the shapes"):
        jvp(f, (a, b), (vb, va))


def test_jvp_nests() -> None:
    second = jvp(lambda x: jvp(lambda y: y**3, (x,), (1.0,))[1], (2.0,), (1.0,))[1]
    assert second.item() == pytest.approx(12.0)
    assert grad(lambda x: jvp(lambda y: y**3, (x,), (1.0,))[1])(2.0).item() == pytest.approx(12.0)


# --- drawings -----------------------------------------------------------------------------------------


def test_a_drawing_has_every_op_and_leaf_with_its_shape() -> None:
    layer = nn.Linear(2, 3, rng=0)
    x = Tensor(np.ones((4, 2), np.float32))
    text = str(graph(np.tanh(layer(x)).sum(), layer.named_parameters()))
    labels = re.findall(r'label="([^"]*)"', text)
    assert labels == [
        *("weight [3, 2]", "bias [3]", "transpose [2, 3]"),
        *("matmul [4, 3]", "add [4, 3]", "tanh [4, 3]", "sum []"),
    ]
    numbers = re.findall(r"n(\d+) \[", text)
    edges = re.findall(r"n(\d+) -> n(\d+);", text)
    assert len(edges) == 6
    assert {number for edge in edges for number in edge} == set(numbers)
    assert text == repr(graph(np.tanh(layer(x)).sum(), layer.named_parameters())) or len(labels) == 7


def test_an_op_of_several_outputs_is_one_ellipse_and_names_are_quoted() -> None:
    x = leaf(np.arange(4.0))
    first, last = np.split(x, 2)
    text = str(graph((first * last).sum(), {'a "b"': x}))
    assert text.count("split_at") == 1
    assert r"a \"b\" [4]" in text
    model = nn.LSTM(2, 3, rng=0, fused=False)
    whole = str(graph(model(Tensor(np.ones((1, 3, 2), np.float32)))[0].sum(), model.named_parameters()))
    assert whole.count("label=") < 60  # fits on a screen
    assert "weight_hh_l0 [12, 3]" in whole


def test_what_cannot_be_drawn_says_so() -> None:
    with pytest.raises(ValueError, match="there is no graph"):
        graph(Tensor([1.0]))
    y = (leaf([1.0]) * 2.0).sum()
    y.backward()
    with pytest.raises(ValueError, match="freed by backward"):
        graph(y)


def test_a_notebook_shows_a_picture_where_it_can_be_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = graph(leaf([1.0]) * 2.0)
    monkeypatch.setitem(sys.modules, "graphviz", None)
    assert EXTRAS["graphviz"] == "graph"
    assert drawn._repr_svg_() is None
    with pytest.raises(ModuleNotFoundError, match=r"tinygrad_np\[graph\]"):
        drawn.svg()

    class NotFound(Exception):
        pass

    class Source:
        works = True

        def __init__(self, dot: str):
            self.dot = dot

        def pipe(self, format: str, encoding: str) -> str:
            if not self.works:
                raise NotFound
            return f"<{format}>{self.dot}</{format}>"

    package: Any = type(sys)("graphviz")
    package.Source, package.ExecutableNotFound = Source, NotFound
    monkeypatch.setattr(drawing, "import_optional", lambda name: package)
    assert drawn._repr_svg_() == f"<svg>{drawn.dot}</svg>"
    Source.works = False
    assert drawn._repr_svg_() is None
    with pytest.raises(RuntimeError, match="Graphviz's program dot"):
        drawn.svg()
