"""Nothing wrong in silence: what looks like numbers and is none, what would be lost, and gradients at poles."""

import asyncio
import fractions
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_np.functional as F
from tinygrad_np import Tensor, grad, nn, no_grad, optim
from tinygrad_np.check.cases import OPTIMIZERS
from tinygrad_np.testing import generators


def leaf(data: Any, dtype: Any = np.float64) -> Tensor:
    return Tensor(np.asarray(data, dtype), requires_grad=True)


def gradient(f: Callable[[Tensor], Tensor], x: Any) -> np.ndarray:
    """The gradient of the sum."""
    tensor = leaf(x)
    f(tensor).sum().backward()
    assert tensor.grad is not None
    return tensor.grad


def refused(kind: type[Exception] | tuple[type[Exception], ...], start: str, call: Callable[[], Any]) -> str:
    """The sentence with which a call is refused."""
    with pytest.raises(kind) as info:
        call()
    message = str(info.value)
    assert message.startswith(start), message
    assert "\n" not in message
    return message


# --- targets ------------------------------------------------------------------------------------------


def test_targets_of_whole_numbers_inputs_are_not_cut() -> None:
    assert F.mse_loss(Tensor([1, 2]), [0.4, 0.9]).item() == pytest.approx(0.785)
    expected = F.binary_cross_entropy_with_logits(Tensor([1.0, 2.0]), [0.4, 0.9]).item()
    assert F.binary_cross_entropy_with_logits(Tensor([1, 2]), [0.4, 0.9]).item() == pytest.approx(expected)
    assert F.mse_loss(Tensor([1.0, 2.0], dtype=np.float32), np.array([0, 1])).dtype == np.float32
    for loss in (F.mse_loss, F.binary_cross_entropy_with_logits):
        refused(
            TypeError, f"{loss.__name__} takes real targets", lambda loss=loss: loss(leaf([1.0]), [0.5 + 1j])
        )  # type: ignore[misc]


# --- what is no array of plain numbers ----------------------------------------------------------------

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # NumPy would rather have it forgotten
    MATRIX = np.matrix([[1.0, 2.0], [3.0, 4.0]])
MASKED = np.ma.array([1.0, 2.0, 3.0], mask=[0, 1, 0])
WAYS_IN: dict[str, Callable[[Any], Any]] = {  # everything that takes an array beside Tensors
    "Tensor": lambda a: Tensor(a),
    "left": lambda a: a * leaf(np.ones(np.shape(a))),
    "right": lambda a: leaf(np.ones(np.shape(a))) * a,
    "function": lambda a: np.maximum(leaf(np.ones(np.shape(a))), a),
    "unary": lambda a: F.relu(a),
    "several": lambda a: np.concatenate([leaf(np.ones(np.shape(a))), a]),
    "where": lambda a: np.where(np.ones(np.shape(a), bool), leaf(np.ones(np.shape(a))), a),
    "target": lambda a: F.mse_loss(leaf(np.ones(np.shape(a))), a),
    "gradient": lambda a: leaf(np.ones(np.shape(a))).backward(a),
    "grad": lambda a: setattr(leaf(np.ones(np.shape(a))), "grad", a),
}


@pytest.mark.parametrize("way", WAYS_IN)
@pytest.mark.parametrize(("array", "named"), [(MATRIX, "numpy.matrix"), (MASKED, "numpy.ma.MaskedArray")])
def test_arrays_with_rules_of_their_own_are_refused_by_name(way: str, array: Any, named: str) -> None:
    if (
        way == "left" and named == "numpy.ma.MaskedArray"
    ):  # it asks nobody, and finds that a gradient would be lost
        refused(RuntimeError, "making an ndarray of a Tensor", lambda: WAYS_IN[way](array))
        return
    assert f"{named} is an array with rules of its own" in refused(TypeError, "", lambda: WAYS_IN[way](array))


@pytest.mark.parametrize("way", [way for way in WAYS_IN if way != "gradient"])
@pytest.mark.parametrize(
    "thing",
    [
        fractions.Fraction(1, 3),
        pd.NA,
        None,
        np.timedelta64(3, "s"),
        np.datetime64("2020-01-01"),
        "text",
        b"bytes",
        np.array(["a"]),
        np.array([fractions.Fraction(1, 3)]),
        np.array([(1, 2.0)], dtype="i4,f8"),
        {1: 2},
        object(),
    ],
)
def test_what_is_no_number_is_refused(way: str, thing: Any) -> None:
    if way == "grad" and thing is None:
        return  # that forgets it
    with pytest.raises((TypeError, ValueError)) as info:
        WAYS_IN[way](thing)
    assert "\n" not in str(info.value)


@pytest.mark.parametrize("dtype", [str, object, "M8[s]", "m8[s]", bytes])
def test_a_constant_is_not_cast_to_what_holds_no_numbers(dtype: Any) -> None:
    refused(TypeError, "a Tensor holds numbers, and no ", lambda: Tensor([1.0]).astype(dtype))


def test_pandas_series_and_frames_are_arrays() -> None:
    series, frame = pd.Series([1.0, 2.0]), pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]})
    x = leaf([1.0, 1.0])
    for product in (x * series, series.to_numpy() * x, np.multiply(x, series)):
        np.testing.assert_array_equal(product.data, [1.0, 2.0])
    np.testing.assert_array_equal((frame.to_numpy() @ x).data, [4.0, 6.0])
    np.testing.assert_array_equal(Tensor(frame).data, frame.to_numpy())
    np.testing.assert_array_equal(np.asarray((x @ frame).data), [3.0, 7.0])


def test_a_file_mapped_into_memory_is_an_array(tmp_path: Any) -> None:
    mapped = np.memmap(tmp_path / "x", np.float64, "w+", shape=3)
    mapped[:] = [1, 2, 3]
    assert gradient(lambda x: x * mapped, [1.0, 1.0, 1.0]).tolist() == [1, 2, 3]


@pytest.mark.parametrize("number", [2**64, 10**30, -(2**63) - 1])
def test_whole_numbers_that_numpy_cannot_hold(number: int) -> None:
    x = leaf([1.0])
    for call in (
        lambda: number**x,
        lambda: x * number,
        lambda: np.maximum(number, x),
        lambda: F.relu(number),
    ):
        assert f"the whole number {number} is too large" in refused(ValueError, "", call)
    refused(ValueError, "add(int8[1], 300): ", lambda: Tensor(np.int8([1])) + 300)


def test_a_tensor_is_not_subclassed() -> None:
    refused(TypeError, "Mine: Tensor has no subclasses", lambda: type("Mine", (Tensor,), {}))


# --- complex numbers ----------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize(
    "f",
    [
        lambda x: np.absolute(x * 1j),
        lambda x: np.absolute(np.array([[1j], [2.0]]) @ x),
        lambda x: np.absolute(np.einsum("i,i->i", x, np.array([1j]))),
        lambda x: np.absolute(np.concatenate([x, np.array([1j])])),
        lambda x: np.absolute(np.where([True], x * 1j, x)),
        lambda x: np.absolute(x + np.array([1j])),
        lambda x: np.absolute(np.exp(Tensor(1j) * x)),
        lambda x: np.absolute(np.matmul(x, np.array([1j]))),
        lambda x: x * 1j,
    ],
)
def test_no_gradient_comes_back_through_complex_numbers(f: Callable[[Tensor], Tensor], order: int) -> None:
    x = leaf([2.0])
    with pytest.raises(TypeError, match="complex number"):
        f(x).sum().backward() if order == 1 else grad(lambda x: (grad(lambda y: f(y).sum())(x) * x).sum())(
            x.data
        )
    assert x.grad is None
    assert abs(f(Tensor([2.0])).data).sum() > 0  # without a gradient they are numbers like any


def test_a_complex_gradient_is_refused() -> None:
    refused(TypeError, "backward() of a Tensor of float64 got", lambda: leaf([1.0]).backward([1j]))


# --- counts in float16 --------------------------------------------------------------------------------


def test_counts_are_not_made_in_float16() -> None:
    n = 70_000
    ones = leaf(np.ones(n), np.float16)
    ones.mean().backward()
    np.testing.assert_allclose(ones.grad, np.full(n, np.float16(1 / n)))  # type: ignore[arg-type]
    for f in (np.max, np.min, lambda x: np.max(x, axis=0, keepdims=True)):
        ones.grad = None
        f(ones).sum().backward()
        np.testing.assert_allclose(ones.grad, np.full(n, np.float16(1 / n)))  # type: ignore[arg-type]
    x = leaf(np.arange(n) % 2, np.float16)
    np.var(x).backward()
    expected = 2 * (np.arange(n) % 2 - 0.5) / n
    np.testing.assert_allclose(x.grad, expected.astype(np.float16), rtol=2e-2)  # type: ignore[arg-type]
    z = leaf(np.zeros(n), np.float16)
    F.binary_cross_entropy_with_logits(z, np.ones(n)).backward()
    assert (z.grad < 0).all()  # type: ignore[operator]


# --- data replaced ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("other", [np.ones((2, 3)), np.ones(3, np.float32), np.ones(2), np.ones(())])
def test_an_optimizer_refuses_a_parameter_whose_data_was_replaced(name: str, other: np.ndarray) -> None:
    p = leaf(np.ones(3))
    optimizer = getattr(optim, name)([p])
    p.grad = np.ones(3)
    p.data = other
    before = other.copy()
    assert "its data was replaced" in refused(ValueError, f"{name}: parameter 0 was ", optimizer.step)
    np.testing.assert_array_equal(p.data, before)


# --- NaN, infinity and poles --------------------------------------------------------------------------

NAN, INF = np.nan, np.inf


@pytest.mark.parametrize(
    ("f", "x", "expected"),
    [
        (F.relu, [NAN, 1.0, -1.0], [1, 1, 0]),
        (lambda x: np.clip(x, -1, 1), [NAN, 0.5, 2.0], [1, 1, 0]),
        (lambda x: np.maximum(x, 0.0), [NAN, 1.0, -1.0], [1, 1, 0]),
        (lambda x: np.minimum(x, [0.0, 0.0, NAN]), [NAN, 1.0, -1.0], [1, 0, 1]),
        (np.max, [NAN, 1.0, NAN], [0.5, 0, 0.5]),
        (np.min, [NAN, 1.0, 0.0], [1, 0, 0]),
        (lambda x: np.max(x, axis=1), [[NAN, 1.0], [1.0, 2.0]], [[1, 0], [0, 1]]),
    ],
)
def test_a_nan_that_is_handed_on_gets_the_gradient(f: Any, x: Any, expected: Any) -> None:
    assert np.isnan(f(Tensor(x)).data).any()
    np.testing.assert_array_equal(gradient(f, x), expected)


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        (0.0, INF, [0, 1]),
        (INF, 0.0, [1, 0]),
        (INF, INF, [0.5, 0.5]),
        (-INF, -INF, [0, 0]),
        (-INF, 1.0, [0, 1]),
    ],
)
def test_logarithms_of_sums_with_infinite_terms(x: float, y: float, expected: list[float]) -> None:
    a, b = leaf(x), leaf(y)
    np.logaddexp(a, b).backward()
    assert [a.grad, b.grad] == expected
    np.testing.assert_array_equal(gradient(lambda t: F.logsumexp(t), [x, y]), expected)


SIGMOID = 1 / (1 + np.exp(-0.5))
POLES: dict[str, tuple[Callable[[Any], Any], float]] = {  # with a pole at 0, and the derivative at 2
    "x log x": (lambda x: x * np.log(x), np.log(2) + 1),
    "log x x": (lambda x: np.log(x) * x, np.log(2) + 1),
    "x sqrt x": (lambda x: x * np.sqrt(x), 1.5 * np.sqrt(2)),
    "x / |x|": (lambda x: x / np.sqrt(x * x), 0.0),
    "x / x": (lambda x: x / x, 0.0),
    "1 / x times x": (lambda x: (1 / x) * x, 0.0),
    "x^2 log x^2": (lambda x: np.square(x) * np.log(np.square(x)), 4 * np.log(4) + 4),
    "exp log": (lambda x: np.exp(np.log(x)) * np.log(x), np.log(2) + 1),
    "tanh of a pole": (lambda x: np.tanh(1 / x) * x, np.tanh(0.5) - (1 - np.tanh(0.5) ** 2) / 2),
    "sigmoid of a pole": (lambda x: F.sigmoid(1 / x) * x, SIGMOID - SIGMOID * (1 - SIGMOID) / 2),
    "x^0.5 x": (lambda x: x**0.5 * x, 1.5 * np.sqrt(2)),
}
MASKS: dict[str, Callable[[Any, Any], Any]] = {  # of a value y with a pole where x is 0
    "where": lambda x, y: np.where(x > 0, y, 0.0),
    "where, nested": lambda x, y: np.where(x > 0, np.where(x < 9, y, -y), x * 0.0),
    "mask as index": lambda x, y: y[np.asarray(x > 0)],
    "indices": lambda x, y: y[np.flatnonzero(x > 0)],
    "rows": lambda x, y: np.where((x > 0)[:, None], y[:, None] @ np.ones((1, 1)), 0.0),
    "reshaped": lambda x, y: np.where((x > 0).reshape(1, -1), y.reshape(1, -1), 0.0),
    "where of a sum": lambda x, y: np.where(x > 0, y + 0.0, 0.0),
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("pole", POLES)
def test_zero_times_infinity_is_zero_below_a_choice(pole: str, mask: str) -> None:
    f, slope = POLES[pole]
    found = gradient(lambda x: MASKS[mask](x, f(x)), [0.0, 2.0, 0.0])
    np.testing.assert_allclose(found, [0, slope, 0], atol=1e-12)
    second = grad(lambda x: (grad(lambda y: MASKS[mask](y, f(y)).sum())(x) * 1.0).sum())(np.array([0.0, 2.0]))
    assert np.isfinite(second.data).all()
    assert second.data[0] == 0


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("pole", ["x log x", "x / x", "1 / x times x"])
def test_a_pole_on_which_the_result_depends_is_not_hidden(pole: str) -> None:
    f, _ = POLES[pole]
    for mask in (lambda x: f(x), lambda x: np.where(x >= 0, f(x), 0.0), lambda x: f(x)[[0, 1]]):
        assert not np.isfinite(gradient(mask, [0.0, 2.0])[0])


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_norm_of_nothing() -> None:
    def unit(x: Tensor) -> Tensor:
        norm = np.sqrt(np.sum(x * x, axis=1, keepdims=True))
        return np.where(norm.data > 0, x / norm, 0.0)

    found = gradient(lambda x: unit(x)[:, 0], [[0.0, 0.0], [3.0, 4.0]])
    np.testing.assert_allclose(found, [[0, 0], [16 / 125, -12 / 125]], atol=1e-15)


@given(rng=generators(), shape=st.sampled_from([(3,), (2, 3), ()]))
def test_below_a_choice_ordinary_gradients_stay_as_they_are(rng: np.random.Generator, shape: Any) -> None:
    x = rng.uniform(0.5, 2, shape)
    chosen = rng.random(shape) < 0.5

    def f(x: Tensor) -> Tensor:
        return np.tanh(x * np.log(x) / np.sqrt(x)) * np.exp(x)

    plain = gradient(f, x)
    np.testing.assert_array_equal(
        gradient(lambda x: np.where(chosen, f(x), 0.0), x), np.where(chosen, plain, 0)
    )


# --- recording ----------------------------------------------------------------------------------------


def recording() -> bool:
    return (leaf(1.0) * 2.0).requires_grad


def test_generators_that_wait_inside_no_grad_leave_recording_on_in_any_order() -> None:
    def waiting() -> Iterator[bool]:
        with no_grad():
            yield recording()

    for order in ([0, 1], [1, 0]):
        both = [waiting(), waiting()]
        assert [next(g) for g in both] == [False, False]
        for i in order:
            both[i].close()  # type: ignore[attr-defined]
        assert recording()


def test_a_decorated_generator_is_in_the_mode_while_it_runs_and_not_while_it_waits() -> None:
    @no_grad()
    def steps(n: int) -> Any:
        """Steps."""
        got = []
        for i in range(n):
            try:
                got.append((yield i, recording()))
            except KeyError:
                got.append("caught")
        return got

    running = steps(3)
    assert next(running) == (0, False)
    assert recording()
    assert running.send("a") == (1, False)
    assert running.throw(KeyError()) == (2, False)
    with pytest.raises(StopIteration) as end:
        running.send("b")
    assert end.value.value == ["a", "caught", "b"]
    assert list(steps(2)) == [(0, False), (1, False)]
    assert recording()
    assert steps.__doc__ == "Steps."

    closed = []

    @no_grad()
    def closing() -> Iterator[int]:
        try:
            yield 1
        finally:
            closed.append(recording())

    waiting = closing()
    next(waiting)
    waiting.close()  # type: ignore[attr-defined]
    assert closed == [False]


def test_decorated_coroutines_and_asynchronous_generators() -> None:
    @no_grad()
    async def value() -> bool:
        await asyncio.sleep(0)
        return recording()

    @no_grad()
    async def values() -> AsyncIterator[bool]:
        for _ in range(2):
            await asyncio.sleep(0)
            yield recording()

    async def main() -> list[bool]:
        others = [await asyncio.gather(value(), asyncio.sleep(0, recording()))]
        seen = [(inside, recording()) async for inside in values()]
        assert seen == [(False, True)] * 2
        return [*others[0], recording()]

    assert asyncio.run(main()) == [False, True, True]


def test_a_context_manager_made_of_a_generator_passes_no_grad_on() -> None:
    from contextlib import contextmanager

    @contextmanager
    def evaluating() -> Iterator[None]:
        with no_grad():
            yield

    with evaluating():
        assert not recording()
    assert recording()


# --- byte order, and dtypes of layers -----------------------------------------------------------------


@pytest.mark.parametrize("dtype", [">f8", ">f4", "<f8", np.float16, np.longdouble])
@pytest.mark.parametrize("shape", [(), (2,), (0,)])
def test_a_gradient_has_the_dtype_of_its_leaf(dtype: Any, shape: Any) -> None:
    x = leaf(np.ones(shape), dtype)
    for _ in range(2):  # of one way back, and added up over two
        (x * x + x + x).sum().backward()
        assert x.grad is not None
        assert x.grad.dtype == x.dtype == np.dtype(dtype)
        assert x.grad.shape == shape


def test_layers_and_optimizers_keep_their_dtype_whatever_the_data_is() -> None:
    layer = nn.Linear(3, 2, rng=0)
    for optimizer in (
        optim.Adam(layer.parameters()),
        optim.SGD(layer.parameters(), np.float64(0.1), momentum=0.9),
    ):
        out = layer(Tensor(np.ones((4, 3))))
        assert out.dtype == np.float64  # as NumPy promotes; docs/differences-from-pytorch.md says so
        out.sum().backward()
        optimizer.step()
        for p in layer.parameters():
            assert p.dtype == np.float32
            assert p.grad is not None
            assert p.grad.dtype == np.float32


# --- errors name the function that was called ---------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "call"),
    [
        ("transpose(float64[], axes=(0,)): ", lambda x: np.transpose(x[0, 0], (0,))),
        ("split: the places [1.5] are not", lambda x: np.split(x, [1.5])),
        ("take(float64[2, 3], [9], 1): index 9", lambda x: np.take(x, [9], 1)),
        ("take(float64[2, 3], [9]): index 9", lambda x: np.take(x, [9])),
        ("reshape(float64[2, 3], (4,)): cannot reshape", lambda x: np.reshape(x, (4,))),
        ("concatenate([float64[2, 3], float64[3]]): all the input", lambda x: np.concatenate([x, x[0]])),
        ("stack([float64[2, 3], float64[3]]): all input", lambda x: np.stack([x, x[0]])),
        (
            "einsum('ii->i', float64[0, 3]): the letter i of 'ii->i' has lengths",
            lambda x: np.einsum("ii->i", x[[], :]),
        ),
        ("einsum('ij,jk', float64[2, 3], float64[2, 3]): ", lambda x: np.einsum("ij,jk", x, x)),
    ],
)
def test_an_error_names_the_function_that_was_called(start: str, call: Callable[[Tensor], Any]) -> None:
    for x in (leaf(np.ones((2, 3))), Tensor(np.ones((2, 3)))):
        refused((ValueError, TypeError, IndexError), start, lambda x=x: call(x))  # type: ignore[misc]


def test_nothing_along_an_axis() -> None:
    nothing = leaf(np.zeros((0, 4)))
    for f in (F.softmax, F.log_softmax):
        out = f(nothing, 0)
        assert out.shape == (0, 4)
        out.backward(np.zeros((0, 4)))
        assert gradient(lambda x, f=f: f(x, 1), np.zeros((0, 4))).shape == (0, 4)
    np.testing.assert_array_equal(F.logsumexp(nothing, 0).data, np.full(4, -INF))
    np.testing.assert_array_equal(gradient(lambda x: F.logsumexp(x, 0), np.zeros((0, 4))), np.zeros((0, 4)))


def test_what_is_looked_for_below_a_choice_is_known() -> None:
    x = leaf([[0.5, 1.0], [1.5, 2.0]])
    by_element = [np.tanh(x), x * x, x / x, np.log(x), x**x, np.logaddexp(x, x), F.sigmoid(x)]
    nodes = [*by_element, x @ x, x.sum(), x[0]]
    assert [y.node.elementwise for y in nodes if y.node] == [True] * 7 + [False] * 3
    assert not any(y.node.selects for y in nodes if y.node)
    for y in (np.where(x > 0, x, 0), np.maximum(x, 0), np.clip(x, 0, 1), F.relu(x), x.max(), np.min(x)):
        assert y.node is not None
        assert y.node.selects


# --- what a campaign of random calls found ------------------------------------------------------------

UNSIGNED = np.array([[0, 1, 0], [7, 3, 200]], np.uint8)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint64, np.int32, bool])
@pytest.mark.parametrize(
    "f",
    [
        F.sigmoid,
        F.softmax,
        F.logsumexp,
        F.log_softmax,
        lambda x: F.cross_entropy(x, [0, 2]),
        lambda x: F.binary_cross_entropy_with_logits(x, np.ones((2, 3), np.uint8)),
        lambda x: F.mse_loss(x, UNSIGNED.max() - UNSIGNED),
    ],
)
def test_whole_numbers_do_not_wrap_around(f: Callable[[Any], Tensor], dtype: Any) -> None:
    x = np.minimum(UNSIGNED, 100).astype(dtype)
    expected = f(Tensor(x.astype(np.float64))).data
    found = f(Tensor(x))
    assert found.dtype.kind == "f"
    assert found.dtype != np.float16
    np.testing.assert_allclose(found.data, expected, rtol=1e-5, atol=1e-37)
    np.testing.assert_allclose(
        f(x.tolist() if dtype is not bool else x).data, expected, rtol=1e-5, atol=1e-37
    )


@pytest.mark.parametrize("value", [-1.0, NAN, INF, "x", None, 1j, np.array([1.0, 2.0])])
def test_settings_of_optimizers_are_finite_numbers_from_0(value: Any) -> None:
    p = leaf([1.0])
    for name, setting in (
        *(
            ("SGD", "lr"),
            ("SGD", "momentum"),
            ("SGD", "weight_decay"),
            ("RMSprop", "alpha"),
            ("RMSprop", "eps"),
        ),
        *(("Adam", "eps"), ("Adam", "weight_decay"), ("AdamW", "lr"), ("AdamW", "weight_decay")),
    ):
        message = refused(
            ValueError,
            f"{name} takes a finite number from 0",
            lambda n=name, s=setting: getattr(optim, n)([p], **{s: value}),  # type: ignore[misc]
        )
        assert f"for {setting}, not " in message
    for betas in ((0.9, value), (value, 0.9), value, (0.9,), (0.9, 1.0)):
        refused(ValueError, "Adam takes a", lambda b=betas: optim.Adam([p], betas=b))  # type: ignore[misc]


def test_arrays_with_rules_of_their_own_are_refused_in_comparisons_too() -> None:
    x = Tensor([1.0, 2.0, 3.0])
    for call in (lambda: x < MASKED, lambda: x == MASKED, lambda: np.argmax(x + 0.0) + np.isclose(x, MASKED)):
        assert "numpy.ma.MaskedArray" in refused(TypeError, "", call)


@pytest.mark.parametrize(
    ("start", "call"),
    [
        ("np.less(float64[2, 3], float64[4]): ", lambda x: x < np.ones(4)),
        ("np.argmax(float64[0]): ", lambda x: np.argmax(x[0, :0])),
        ("round(float64[2, 3], 'x'): ", lambda x: np.round(x, "x")),
        ("reshape(float64[2, 3], shape=(1.5,)): ", lambda x: x.reshape(1.5)),
        (
            "add: no array of numbers can be made of [[1.0], [1.0, 2.0]]: ",
            lambda x: np.add(x, [[1.0], [1.0, 2.0]]),
        ),
        ("mse_loss: a Tensor holds numbers", lambda x: F.mse_loss(x, {"a": 1})),
        ("lstm_step takes gates (..., 4 H)", lambda x: F.lstm_step(np.ones((3, 8)), np.ones(2))),
        ("embedding takes whole numbers for indices", lambda x: F.embedding([0.5], x)),
    ],
)
def test_more_errors_name_the_function_that_was_called(start: str, call: Callable[[Tensor], Any]) -> None:
    refused((ValueError, TypeError, IndexError), start, lambda: call(leaf(np.ones((2, 3)))))


def test_functions_take_arrays_and_give_tensors() -> None:
    x = np.ones((2, 3))
    for out in (
        *(
            F.log_softmax(x),
            F.dropout([1.0, 2.0], rng=0),
            F.mse_loss([1.0], [1.0]),
            F.cross_entropy([[1.0, 2.0]], [1]),
        ),
        *(F.linear(x, x), F.embedding([0], x), F.softmax(x), F.relu(x)),
    ):
        assert type(out) is Tensor


@pytest.mark.parametrize("size", [-1, 2.5, "x", None, 10**30, NAN, (), np.array([2])])
def test_sizes_of_layers_are_whole_numbers(size: Any) -> None:
    for start, make in (
        ("Linear takes a whole number from 0 for in_features", lambda: nn.Linear(size, 2)),
        ("Linear takes a whole number from 0 for out_features", lambda: nn.Linear(2, size)),
        ("Embedding takes a whole number from 0 for num_embeddings", lambda: nn.Embedding(size, 2)),
        ("LSTMCell takes a whole number from 1 for hidden_size", lambda: nn.LSTMCell(2, size)),
        ("LSTM takes a whole number from 0 for input_size", lambda: nn.LSTM(size, 2)),
        ("GRU takes a whole number from 1 for num_layers", lambda: nn.GRU(2, 2, size)),
    ):
        refused(ValueError, f"{start}, not ", make)
    for start, make in (
        ("Dropout takes a p", lambda: nn.Dropout(size)),
        ("LSTM takes a p", lambda: nn.LSTM(2, 2, dropout=size)),
    ):
        refused(ValueError, start, make)
