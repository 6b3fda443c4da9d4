"""Every primitive against its row of samples: value, derivatives, dtype; and that the check can fail."""

import inspect
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.recurrent_cases import plain_gru, plain_lstm
from tinygrad_np import Tensor, tape
from tinygrad_np.gradcheck import gradcheck, gradgradcheck
from tinygrad_np.samples import SAMPLES, concatenate_outputs, function_of_floats, has_several_outputs
from tinygrad_np.testing import arguments, generators

every_primitive = pytest.mark.parametrize("name", SAMPLES)


def test_every_primitive_has_a_sample() -> None:
    assert set(SAMPLES) == set(tape.PRIMITIVES)


@every_primitive
@given(data=st.data(), rng=generators())
def test_gradient(name: str, data: st.DataObject, rng: np.random.Generator) -> None:
    f, floats = function_of_floats(name, *data.draw(arguments(name)))
    gradcheck(f, floats, rng, SAMPLES[name].analytic)


@pytest.mark.parametrize("name", list(filter(has_several_outputs, SAMPLES)))
@given(data=st.data(), rng=generators())
def test_gradient_of_one_output_alone(name: str, data: st.DataObject, rng: np.random.Generator) -> None:
    arrays, static = data.draw(arguments(name))
    k = int(rng.integers(len(tape.PRIMITIVES[name](*arrays, **static))))
    f, floats = function_of_floats(name, arrays, static, slice(k, k + 1))
    gradcheck(f, floats, rng, SAMPLES[name].analytic)
    gradgradcheck(f, floats, rng)


@every_primitive
@given(data=st.data(), rng=generators())
def test_second_derivative(name: str, data: st.DataObject, rng: np.random.Generator) -> None:
    f, floats = function_of_floats(name, *data.draw(arguments(name)))
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
        "identity": lambda x: x,
        "logsumexp": lambda x, **kw: np.log(np.sum(np.exp(x), **kw)),
        "softmax": lambda x, axis: np.exp(x) / np.sum(np.exp(x), axis=axis, keepdims=True),
        "concatenate": lambda *xs, axis: np.concatenate(xs, axis=axis),
        "stack": lambda *xs, axis: np.stack(xs, axis=axis),
        "einsum": lambda *xs, subscripts: np.einsum(subscripts, *xs),
        "getitem": lambda x, index: x[index],
        "split_at": lambda x, ends, axis: np.split(x, ends[1:-1], axis),
        "clip": lambda x, a_min=None, a_max=None: np.clip(x, a_min, a_max),
        "reshape": lambda x, shape: np.reshape(x, shape),
        "transpose": np.transpose,
        "lstm": plain_lstm,
        "gru": plain_gru,
    }
    if name == "scatter":
        expected = np.zeros(static["shape"])
        np.add.at(expected, static["index"], arrays[0])
    else:
        expected = functions.get(name, getattr(np, name, None))(*arrays, **static)
    pairs = zip(out, expected, strict=True) if isinstance(out, tuple) else [(out, expected)]
    for ours, theirs in pairs:
        assert ours.shape == np.shape(theirs)
        np.testing.assert_allclose(ours.data, theirs, rtol=1e-13, atol=1e-14)


@every_primitive
@given(data=st.data())
def test_where_higher_derivatives_may_be_asked_for_value_and_gradient_are_the_same(
    name: str, data: st.DataObject
) -> None:
    f, floats = function_of_floats(name, *data.draw(arguments(name)))

    def value_and_gradients(mode: int) -> list[np.ndarray]:
        tensors = [Tensor(x, requires_grad=True) for x in floats]
        with tape.set_grad_mode(mode):
            out = f(*tensors)
        out.backward(np.cos(np.arange(out.size)).reshape(out.shape))
        return [out.data, *(np.zeros(t.shape) if t.grad is None else t.grad for t in tensors)]

    # one with a composite calls it there
    for ours, theirs in zip(
        value_and_gradients(tape.CREATE_GRAPH), value_and_gradients(tape.GRAD), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-13)


@every_primitive
@given(data=st.data())
def test_float32_stays_and_inputs_are_not_written_to(name: str, data: st.DataObject) -> None:
    arrays, static = data.draw(arguments(name))
    if name == "cast":
        static = {"dtype": np.dtype(np.float32)}
    arrays = [x.astype(np.float32) if x.dtype == np.float64 else x for x in arrays]
    tensors = [Tensor(x, requires_grad=x.dtype == np.float32) for x in arrays]
    before = [t.data.copy() for t in tensors]
    outs = tape.PRIMITIVES[name](*tensors, **static)
    for one in outs if isinstance(outs, tuple) else [outs]:
        assert one.dtype == np.float32
        assert one.requires_grad
    out = concatenate_outputs(outs)
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
        if isinstance(part, tape.SparseGrad):
            return tape.SparseGrad(1.001 * part.values, part.index)
        if isinstance(part, tape.DeferredMatmul):
            return tape.DeferredMatmul(1.001 * part.x, part.g)
        return 1.001 * part

    def mutant(*xs: Any, needs_input_grad: tuple[bool, ...]) -> Any:
        told = (
            {"needs_input_grad": needs_input_grad}
            if "needs_input_grad" in inspect.signature(rule).parameters
            else {}
        )
        out, vjps = rule(*xs, **static, **told)
        if callable(vjps):
            return out, lambda g: [worse(p) if i == wrong else p for i, p in enumerate(vjps(g))]
        return out, tuple((lambda g, v=v: worse(v(g))) if i == wrong else v for i, v in enumerate(vjps))

    return tape.primitive()(mutant)


@every_primitive
def test_the_check_fails_on_a_wrong_rule(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    right = tape.PRIMITIVES[name]
    rule = right.__wrapped__  # type: ignore[attr-defined]
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
            f, floats = function_of_floats(name, arrays, {})
            tensors = [Tensor(x, requires_grad=x.dtype.kind == "f") for x in arrays]
            out = concatenate_outputs(right(*tensors, **static))
            out.backward(rng.standard_normal(out.shape))
            if not np.any(tensors[wrong].grad):
                continue  # zero is not made wrong by a factor
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
