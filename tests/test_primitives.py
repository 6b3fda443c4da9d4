"""Every primitive against its row of samples: value, derivatives, dtype; and that the check can fail."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_np import Tensor, tape
from tinygrad_np.gradcheck import gradcheck, gradgradcheck
from tinygrad_np.samples import SAMPLES, of_floats
from tinygrad_np.testing import arguments, generators

every_primitive = pytest.mark.parametrize("name", SAMPLES)


def test_every_primitive_has_a_sample() -> None:
    assert set(SAMPLES) == set(tape.PRIMITIVES)


@every_primitive
@given(data=st.data(), rng=generators())
def test_gradient(name: str, data: st.DataObject, rng: np.random.Generator) -> None:
    f, floats = of_floats(name, *data.draw(arguments(name)))
    gradcheck(f, floats, rng, SAMPLES[name].analytic)


@every_primitive
@given(data=st.data(), rng=generators())
def test_second_derivative(name: str, data: st.DataObject, rng: np.random.Generator) -> None:
    f, floats = of_floats(name, *data.draw(arguments(name)))
    gradgradcheck(f, floats, rng)


@every_primitive
@given(data=st.data())
def test_value_is_numpys(name: str, data: st.DataObject) -> None:
    arrays, static = data.draw(arguments(name))
    out = tape.PRIMITIVES[name](*arrays, **static)
    functions = {
        "sigmoid": lambda x: np.tanh(x / 2) / 2 + 0.5,
        "relu": lambda x: np.where(x > 0, x, 0),
        "cast": lambda x, dtype: x.astype(dtype),
        "alias": lambda x: x,
        "logsumexp": lambda x, **kw: np.log(np.sum(np.exp(x), **kw)),
        "softmax": lambda x, axis: np.exp(x) / np.sum(np.exp(x), axis=axis, keepdims=True),
        "concatenate": lambda *xs, axis: np.concatenate(xs, axis=axis),
        "stack": lambda *xs, axis: np.stack(xs, axis=axis),
        "einsum": lambda *xs, subscripts: np.einsum(subscripts, *xs),
        "getitem": lambda x, index: x[index],
        "clip": lambda x, a_min=None, a_max=None: np.clip(x, a_min, a_max),
        "reshape": lambda x, shape: np.reshape(x, shape),
        "transpose": np.transpose,
    }
    if name == "scatter":
        expected = np.zeros(static["shape"])
        np.add.at(expected, static["index"], arrays[0])
    else:
        expected = functions.get(name, getattr(np, name, None))(*arrays, **static)
    assert out.shape == np.shape(expected)
    np.testing.assert_allclose(out.data, expected, rtol=1e-13, atol=1e-14)


@every_primitive
@given(data=st.data())
def test_float32_stays_and_inputs_are_not_written_to(name: str, data: st.DataObject) -> None:
    arrays, static = data.draw(arguments(name))
    if name == "cast":
        static = {"dtype": np.dtype(np.float32)}
    arrays = [x.astype(np.float32) if x.dtype == np.float64 else x for x in arrays]
    tensors = [Tensor(x, requires_grad=x.dtype == np.float32) for x in arrays]
    before = [t.data.copy() for t in tensors]
    out = tape.PRIMITIVES[name](*tensors, **static)
    assert out.dtype == np.float32
    assert out.requires_grad
    cotangent = np.ones(out.shape, np.float32)
    for array in (cotangent, *(t.data for t in tensors)):
        array.flags.writeable = False
    out.backward(cotangent)
    for tensor, array in zip(tensors, before):
        np.testing.assert_array_equal(tensor.data, array)
        if tensor.requires_grad and tensor.grad is not None:
            assert tensor.grad.dtype == np.float32
            assert tensor.grad.shape == tensor.shape
            assert tensor.grad.flags.writeable


def wrong_by_a_thousandth(rule: Any, wrong: int, static: dict[str, Any]) -> Any:
    """The primitive with the gradient of one argument 1.001 times too large."""

    def worse(part: Any) -> Any:
        if isinstance(part, tape.Scatter):
            return tape.Scatter(1.001 * part.values, part.index)
        return 1.001 * part

    def mutant(*xs: Any) -> Any:
        out, vjps = rule(*xs, **static)
        if callable(vjps):
            return out, lambda g: [worse(p) if i == wrong else p for i, p in enumerate(vjps(g))]
        return out, tuple((lambda g, v=v: worse(v(g))) if i == wrong else v for i, v in enumerate(vjps))

    return tape.primitive()(mutant)


@every_primitive
def test_the_check_fails_on_a_wrong_rule(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rule = tape.PRIMITIVES[name].__wrapped__  # type: ignore[attr-defined]
    monkeypatch.setattr(tape, "PRIMITIVES", dict(tape.PRIMITIVES))
    first = 1 if name == "where" else 0  # a condition has no gradient
    for wrong in range(first, 2 if name in ("concatenate", "stack", "einsum") else arity(name)):
        tried = caught = 0
        for seed in range(40):
            rng = np.random.default_rng(seed)
            arrays, static = SAMPLES[name].draw(rng, (2, 3))
            if wrong >= len(arrays) or not arrays[wrong].size:
                continue
            tape.PRIMITIVES[name] = wrong_by_a_thousandth(rule, wrong, static)
            f, floats = of_floats(name, arrays, {})
            if not np.any(f(*floats).data):
                continue  # a product over an axis of length 0
            tried += 1
            try:
                gradcheck(f, floats, rng, SAMPLES[name].analytic)
            except AssertionError:
                caught += 1
        assert tried >= 5
        assert caught >= 0.8 * tried, (
            f"a wrong vjp {wrong} of {name} passed {tried - caught} of {tried} checks"
        )


def arity(name: str) -> int:
    return len(SAMPLES[name].draw(np.random.default_rng(0), (2, 3))[0])
