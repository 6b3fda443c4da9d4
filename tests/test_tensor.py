"""Tensor: how it is made, its operators and methods against NumPy, indexing, copies, and what it refuses."""

import copy
import math
import operator
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_np import Tensor
from tinygrad_np.gradcheck import gradcheck
from tinygrad_np.ops.elementwise import sigmoid
from tinygrad_np.ops.reduce import logsumexp, softmax


def leaf(data: Any, **options: Any) -> Tensor:
    return Tensor(data, requires_grad=True, **options)


def gradient(f: Callable[[Tensor], Tensor], x: Any) -> np.ndarray:
    """The gradient of the sum of f(x)."""
    tensor = leaf(x)
    f(tensor).sum().backward()
    assert tensor.grad is not None
    return tensor.grad


# --- making one ---------------------------------------------------------------------------------------


def test_data_is_shared_without_a_gradient_and_copied_with_one() -> None:
    array = np.array([1.0, 2.0])
    constant, trained = Tensor(array), leaf(array)
    array[0] = 7.0
    np.testing.assert_array_equal(constant.data, [7.0, 2.0])
    np.testing.assert_array_equal(trained.data, [1.0, 2.0])
    assert np.shares_memory(constant.data, array)
    assert not np.shares_memory(trained.data, array)
    assert not np.shares_memory(leaf(constant).data, array)


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        (1, np.int64),
        (1.5, np.float64),
        (True, np.bool_),
        (1j, np.complex128),
        ([[1, 2], [3, 4]], np.int64),
        ((1.0, 2), np.float64),
        (np.float32(2), np.float32),
        (np.arange(3, dtype=np.uint8), np.uint8),
        (np.zeros((0, 2), np.float16), np.float16),
        (Tensor([1.0], dtype=np.float32), np.float32),
    ],
)
def test_the_dtype_is_that_of_the_data(data: Any, dtype: Any) -> None:
    t = Tensor(data)
    expected = np.asarray(data)
    assert t.dtype == dtype
    assert (t.shape, t.ndim, t.size) == (expected.shape, expected.ndim, expected.size)
    np.testing.assert_array_equal(t.data, expected)
    assert t.is_leaf
    assert not t.requires_grad
    assert t.grad is None
    converted = Tensor(data, dtype=np.complex64)
    assert converted.dtype == np.complex64
    np.testing.assert_array_equal(converted.data, expected.astype(np.complex64))


def test_what_is_not_numeric_is_refused() -> None:
    for data in ("text", None, [object()], np.array(["a"]), np.array("2020-01-01", dtype="M8[D]")):
        with pytest.raises(TypeError, match="holds numbers"):
            Tensor(data)
    with pytest.raises(ValueError, match="inhomogeneous"):
        Tensor([[1.0], [1.0, 2.0]])


def test_requires_grad_freezes_and_unfreezes_a_leaf() -> None:
    x = Tensor([1.0, 2.0])
    x.requires_grad = True
    x.requires_grad = True  # nothing new
    (x * 3.0).sum().backward()
    np.testing.assert_array_equal(x.grad, [3.0, 3.0])
    x.requires_grad = False
    assert x.grad is None
    assert not (x * 3.0).requires_grad
    x.requires_grad = True
    assert x.grad is None  # it starts again
    (x * 4.0).sum().backward()
    np.testing.assert_array_equal(x.grad, [4.0, 4.0])

    y = x * 3.0
    assert not y.is_leaf
    for value in (True, False):
        with pytest.raises(RuntimeError, match=r"a leaf only; use \.detach\(\)"):
            y.requires_grad = value
    with pytest.raises(TypeError, match=r"int64; give it dtype=np\.float32"):
        Tensor([1]).requires_grad = True


def test_grad_is_of_a_leaf_in_its_shape_and_dtype() -> None:
    x = leaf([1.0, 2.0], dtype=np.float32)
    x.grad = np.array([5.0, 6.0], np.float32)
    (x * 2.0).sum().backward()
    np.testing.assert_array_equal(x.grad, np.array([7.0, 8.0], np.float32))
    x.grad = Tensor(np.ones(2, np.float32))  # type: ignore[assignment]
    assert type(x.grad) is np.ndarray
    x.grad = None
    assert x.grad is None
    for wrong, told in (
        (np.ones(2), r"float64\[2\] for a Tensor of float32\[2\]"),
        (np.ones((2, 1), np.float32), r"float32\[2, 1\] for a Tensor of float32\[2\]"),
        (1.0, r"float64\[\]"),
    ):
        with pytest.raises(ValueError, match=told):
            x.grad = wrong  # type: ignore[assignment]
    with pytest.raises(
        AttributeError,
        match=r"^only leaves keep their gradient; call retain_grad\(\) before backward\(\) to keep",
    ):
        _ = (x * 2.0).grad
    for other in (Tensor([1.0]), x * 2.0):
        with pytest.raises(RuntimeError, match="only a leaf"):
            other.grad = np.ones(1)


def test_backward_checks_what_it_is_given() -> None:
    x = leaf([1.0, 2.0])
    with pytest.raises(ValueError, match=r"shape \(2,\) needs the gradient to start with"):
        (x * 2.0).backward()
    for wrong in (np.ones(3), 1.0, np.ones((2, 1))):
        with pytest.raises(ValueError, match=r"shape \(2,\) got a gradient of shape"):
            (x * 2.0).backward(wrong)
    with pytest.raises(RuntimeError, match="requires_grad=True"):
        Tensor([1.0]).backward()
    assert x.grad is None
    for start, expected in (
        (np.array([1.0, 10.0]), [2.0, 20.0]),
        ([1, 10], [2.0, 20.0]),
        (Tensor([1.0, 10.0]), [2.0, 20.0]),
    ):
        x.grad = None
        (x * 2.0).backward(start)
        np.testing.assert_array_equal(x.grad, expected)
    x.grad = None
    (x[:1] * 3.0).backward()  # a single element needs none
    np.testing.assert_array_equal(x.grad, [3.0, 0.0])


def test_detach_shares_the_array_and_stops_gradients() -> None:
    x = leaf([1.0, 2.0])
    y = x * 2.0
    cut = y.detach()
    assert cut.data is y.data
    assert cut.is_leaf
    assert not cut.requires_grad
    (y * cut).sum().backward()
    np.testing.assert_array_equal(x.grad, [4.0, 8.0])  # and not twice as much


# --- operators ----------------------------------------------------------------------------------------

OPERATORS = [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow]


@pytest.mark.parametrize("op", OPERATORS)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([(), (3,), (2, 1), (2, 3)]),
    st.sampled_from([(), (3,), (2, 3)]),
)
def test_operators_with_anything_on_either_side(
    op: Callable[[Any, Any], Any], seed: int, left: tuple[int, ...], right: tuple[int, ...]
) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(0.5, 2.0, left), rng.uniform(0.5, 2.0, right)
    expected = op(x, y)
    sides: list[tuple[Any, Any]] = [(leaf(x), leaf(y)), (leaf(x), y), (x, leaf(y)), (leaf(x), Tensor(y))]
    sides += [(leaf(x), y.tolist()), (x.tolist(), leaf(y))]
    for a, b in sides:
        out = op(a, b)
        assert type(out) is Tensor
        np.testing.assert_array_equal(out.data, expected)
        out.backward(np.ones(expected.shape))
        for t, arrays in ((a, lambda z: (z, y)), (b, lambda z: (x, z))):
            if isinstance(t, Tensor) and t.requires_grad:
                step = 1e-100  # complex step: the derivative of the sum, to rounding
                slope = np.imag(op(*arrays(t.data + 1j * step))) / step
                assert t.grad is not None
                summed = np.broadcast_to(slope, expected.shape)
                extra = summed.ndim - t.ndim
                axes = (*range(extra), *(i + extra for i, n in enumerate(t.shape) if n == 1))
                np.testing.assert_allclose(t.grad, summed.sum(axis=axes).reshape(t.shape), rtol=1e-12)


@pytest.mark.parametrize("op", OPERATORS)
def test_operators_keep_the_side(op: Callable[[Any, Any], Any]) -> None:
    for other in (2, 2.0, np.float64(2.0), np.array([2.0, 5.0])):
        x = np.array([3.0, 4.0])
        np.testing.assert_array_equal(op(leaf(x), other).data, op(x, other))
        np.testing.assert_array_equal(op(other, leaf(x)).data, op(other, x))


def test_unary_operators() -> None:
    x = [1.5, -2.0]
    np.testing.assert_array_equal((-leaf(x)).data, [-1.5, 2.0])
    np.testing.assert_array_equal(abs(leaf(x)).data, [1.5, 2.0])
    np.testing.assert_array_equal(gradient(lambda x: -x, x), [-1.0, -1.0])
    np.testing.assert_array_equal(gradient(abs, x), [1.0, -1.0])


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((3,), (3,)),
        ((3,), (3, 2)),
        ((2, 3), (3,)),
        ((2, 3), (3, 4)),
        ((5, 2, 3), (3, 4)),
        ((5, 2, 3), (3,)),
        ((3,), (5, 3, 4)),
        ((5, 2, 3), (5, 3, 4)),
        ((5, 1, 2, 3), (6, 3, 4)),
        ((1, 2, 3), (5, 3, 4)),
        ((2, 0), (0, 4)),
    ],
)
def test_matmul(left: tuple[int, ...], right: tuple[int, ...], rng: np.random.Generator) -> None:
    x, y = rng.standard_normal(left), rng.standard_normal(right)
    for a, b in ((leaf(x), leaf(y)), (leaf(x), y), (x, leaf(y))):
        out = a @ b
        assert type(out) is Tensor
        np.testing.assert_array_equal(out.data, x @ y)
    gradcheck(lambda a, b: Tensor(a) @ Tensor(b) if isinstance(a, np.ndarray) else a @ b, [x, y], rng)


def test_augmented_assignment_rebinds() -> None:
    a = old = leaf([1.0, 2.0])
    array = a.data
    a += 1.0
    a *= 3.0
    a -= 1.0
    a /= 2.0
    a **= 2.0
    np.testing.assert_array_equal(old.data, [1.0, 2.0])
    assert old.data is array
    np.testing.assert_array_equal(a.data, [6.25, 16.0])
    a.sum().backward()
    np.testing.assert_array_equal(old.grad, [7.5, 12.0])  # 2 (3 (x + 1) - 1) / 2 times 3 / 2


def test_no_item_assignment_and_no_new_attributes() -> None:
    x = leaf([1.0, 2.0])
    with pytest.raises(TypeError, match=r"a Tensor is a value: .* t = t\.at\[index\]\.set\(v\)"):
        x[0] = 3.0  # type: ignore[index]
    with pytest.raises(TypeError, match=r"a Tensor is a value: .* np\.delete"):
        del x[0]  # type: ignore[attr-defined]
    with pytest.raises(AttributeError):
        x.gard = None  # type: ignore[attr-defined]
    with pytest.raises(AttributeError):
        _ = x.missing  # type: ignore[attr-defined]
    for op in (operator.and_, operator.lshift):
        with pytest.raises(TypeError, match=r"unsupported operand|not supported for the input types"):
            op(x, 2)


def test_operators_of_whole_numbers_and_steps() -> None:
    x, y = np.array([1.7, -2.5, 3.0]), np.array([2.0, 2.0, -2.0])
    for op in (operator.mod, operator.floordiv):
        for a, b in ((leaf(x), leaf(y)), (leaf(x), y), (x, leaf(y)), (leaf(x), 2), (2, leaf(x))):
            out = op(a, b)
            assert out.requires_grad
            np.testing.assert_array_equal(
                out.data, op(*(t.data if isinstance(t, Tensor) else t for t in (a, b)))
            )
    quotient, rest = divmod(leaf(x), 2)
    np.testing.assert_array_equal(quotient.data * 2 + rest.data, x)
    np.testing.assert_array_equal(divmod(7, leaf(y))[1].data, 7 % y)
    np.testing.assert_array_equal(round(leaf(x), 1).data, x)
    np.testing.assert_array_equal(round(leaf(x)).data, [2.0, -2.0, 3.0])
    np.testing.assert_array_equal((+leaf(x)).data, x)
    bits, more = np.array([True, False]), np.array([True, True])
    for op in (operator.and_, operator.or_, operator.xor):
        for a, b in (
            (Tensor(bits), Tensor(more)),
            (Tensor(bits), more),
            (bits, Tensor(more)),
            (Tensor(bits), True),
        ):
            out = op(a, b)
            assert type(out) is np.ndarray
            np.testing.assert_array_equal(out, op(bits, more))
    np.testing.assert_array_equal(~Tensor(bits), ~bits)
    np.testing.assert_array_equal(True & Tensor(bits), bits)


def test_methods_under_pytorchs_names() -> None:
    x, y = leaf([1.5, -2.5]), leaf([2.0, 4.0])
    for found, expected in (
        (x.add(y, alpha=2), [5.5, 5.5]),
        (x.sub(y), [-0.5, -6.5]),
        (x.rsub(y, alpha=2), [-1.0, 9.0]),
        (x.mul(y), [3.0, -10.0]),
        (x.div(y, rounding_mode="trunc"), [0.0, 0.0]),
        (x.clamp(min=0), [1.5, 0.0]),
        (x.clamp_min(0), [1.5, 0.0]),
        (x.clamp_max(0), [0.0, -2.5]),
        (x.masked_fill(x < 0, 7.0), [1.5, 7.0]),
        (x.where(x < 0, y), [2.0, -2.5]),
        (x.lerp(y, 0.5), [1.75, 0.75]),
        (y.polygamma(0), y.digamma().data),
    ):
        assert found.requires_grad
        np.testing.assert_array_equal(found.data, expected)
    assert x.equal(x.data)
    assert not x.eq(y).any()


@pytest.mark.parametrize("op", [operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge])
def test_comparisons_give_arrays(op: Callable[[Any, Any], Any]) -> None:
    x, y = np.array([1.0, 2.0, 3.0]), np.array([3.0, 2.0, 1.0])
    for a, b in ((leaf(x), leaf(y)), (leaf(x), y), (x, leaf(y)), (Tensor(x), y.tolist())):
        out = op(a, b)
        assert type(out) is np.ndarray
        assert out.dtype == np.bool_
        np.testing.assert_array_equal(out, op(x, y))
    np.testing.assert_array_equal(op(leaf(x), 2), op(x, 2))
    np.testing.assert_array_equal(op(2, leaf(x)), op(2, x))


def test_hash_is_that_of_the_object() -> None:
    x, y = leaf([1.0, 2.0]), leaf([1.0, 2.0])
    assert {x: "x", y: "y"}[x] == "x"
    assert len({x, y, x}) == 2


# --- as plain data ------------------------------------------------------------------------------------


def test_item_and_numbers() -> None:
    for data in (2.5, [2.5], [[2.5]]):
        assert leaf(data).item() == 2.5
        assert type(leaf(data).item()) is float
        assert float(Tensor(data)) == 2.5
        assert int(leaf(data)) == 2
        assert bool(leaf(data)) is True
        assert bool(leaf(data) > 3.0) is False
    assert math.sqrt(Tensor(4.0)) == 2.0
    assert type(Tensor(3).item()) is int
    for convert in (Tensor.item, float, int, bool):
        with pytest.raises(ValueError, match=r"this one has shape \(2,\)"):
            convert(Tensor([1.0, 2.0]))
    assert leaf([[1.0, 2.0]]).tolist() == [[1.0, 2.0]]
    assert Tensor([1.0, 2.0]).numpy().tolist() == [1.0, 2.0]


def test_length_and_iteration() -> None:
    x = leaf([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    assert len(x) == 3
    rows = list(x)
    assert [row.tolist() for row in rows] == [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]
    first, _, last = x
    (first * 10.0 + last).sum().backward()
    np.testing.assert_array_equal(x.grad, [[10.0, 10.0], [0.0, 0.0], [1.0, 1.0]])
    assert [t.item() for t in reversed(leaf([1.0, 2.0]))] == [2.0, 1.0]
    for f in (len, iter):
        with pytest.raises(TypeError, match="without axes"):
            f(leaf(1.0))


def test_repr() -> None:
    assert repr(Tensor([1.0, 2.5])) == "Tensor([1. , 2.5])"
    assert repr(leaf([1.0], dtype=np.float32)) == "Tensor([1.], dtype=float32, requires_grad=True)"
    assert repr(Tensor([1, 2])) == "Tensor([1, 2], dtype=int64)"
    assert repr(leaf(2.0) * 2) == "Tensor(4., requires_grad=True)"
    assert repr(Tensor([[1.0], [2.0]])) == "Tensor([[1.],\n        [2.]])"


def test_astype() -> None:
    x = leaf([1.0, 2.0], dtype=np.float32)
    y = x.astype(np.float64) * np.array([0.1, 0.2])
    assert y.dtype == np.float64
    y.sum().backward()
    assert x.grad is not None
    np.testing.assert_array_equal(x.grad, np.array([0.1, 0.2], np.float32))
    assert x.grad.dtype == np.float32
    assert Tensor([1.7]).astype(int).tolist() == [1]
    for dtype in (int, bool, complex):
        with pytest.raises(TypeError, match="lose the gradient"):
            x.astype(dtype)


# --- indexing -----------------------------------------------------------------------------------------

BASE = np.arange(24.0).reshape(2, 3, 4)
INDICES = [
    0,
    -1,
    np.int64(1),
    np.array(1),
    slice(None, None, -1),
    slice(5, 9),
    (slice(None), 1),
    (..., 2),
    ...,
    (),
    None,
    (None, 0, ..., None),
    (0, 1, 2),
    [1, 0, 0],
    ([0, 0, 0], [1, 1, 2]),
    (slice(None), (0, 0, 2)),  # a tuple in a tuple is an array of indices, and here one repeats
    ((1, 1), slice(1, None), 0),
    range(2),
    np.array([[0, 1], [1, 1]]),
    (np.array([0, 0]), slice(None), np.array([3, 3])),
    (slice(None), slice(None), [0, 0, 0]),
    BASE > 10,
    (BASE > 10).tolist(),
    (slice(None), np.array([True, False, True])),
    True,
    np.zeros(0, int),
]


@pytest.mark.parametrize("index", INDICES, ids=repr)
def test_indexing(index: Any) -> None:
    index = tuple(index) if isinstance(index, tuple) else list(index) if isinstance(index, range) else index
    x = leaf(BASE)
    out = x[index]
    np.testing.assert_array_equal(out.data, BASE[index])
    # each place counts as often as it is named
    cotangent = np.arange(1.0, out.size + 1).reshape(out.shape)
    out.backward(cotangent)
    places = np.arange(24).reshape(2, 3, 4)[index]
    expected = np.bincount(np.ravel(places), weights=np.ravel(cotangent), minlength=24).reshape(2, 3, 4)
    np.testing.assert_array_equal(x.grad, expected)


def test_indexing_with_tensors() -> None:
    x = leaf(BASE)
    np.testing.assert_array_equal(x[Tensor([1, 1])].data, BASE[[1, 1]])
    np.testing.assert_array_equal(x[Tensor(1), :, Tensor([0, 2])].data, BASE[1, :, [0, 2]])
    np.testing.assert_array_equal(x[x > 20.0].data, [21.0, 22.0, 23.0])
    x[Tensor([1, 1])].sum().backward()
    assert x.grad is not None
    np.testing.assert_array_equal(x.grad[:, 0, 0], [0.0, 2.0])


@given(st.data())
def test_slices_of_slices(data: st.DataObject) -> None:
    bounds = st.none() | st.integers(-5, 5)
    slices = st.builds(slice, bounds, bounds, st.sampled_from([None, 1, 2, -1, -2]))
    first, second = data.draw(st.tuples(slices, slices)), data.draw(st.tuples(slices, slices))
    array = np.arange(12.0).reshape(3, 4)
    x = leaf(array)
    out = x[first][second]
    np.testing.assert_array_equal(out.data, array[first][second])
    out.sum().backward()
    chosen = np.zeros((3, 4))
    chosen[first][second] += 1.0  # a view of a view
    np.testing.assert_array_equal(x.grad, chosen)


# --- methods ------------------------------------------------------------------------------------------

POINT = np.linspace(0.21, 2.51, 24).reshape(2, 3, 4)[:, ::-1]
METHODS: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Any], Any]]] = {
    "T": (lambda x: x.T, np.transpose),
    "sum": (lambda x: x.sum(1, keepdims=True), lambda x: np.sum(x, 1, keepdims=True)),
    "mean": (lambda x: x.mean((0, 2)), lambda x: np.mean(x, (0, 2))),
    "var": (lambda x: x.var(axis=-1, ddof=1), lambda x: np.var(x, axis=-1, ddof=1)),
    "max": (lambda x: x.max(0), lambda x: np.max(x, 0)),
    "min": (lambda x: x.min(axis=2, keepdims=True), lambda x: np.min(x, axis=2, keepdims=True)),
    "reshape": (lambda x: x.reshape(4, -1), lambda x: np.reshape(x, (4, 6))),
    "reshape, a tuple": (lambda x: x.reshape((6, 4)), lambda x: np.reshape(x, (6, 4))),
    "view": (lambda x: x.view(-1), np.ravel),
    "transpose": (lambda x: x.transpose(), np.transpose),
    "transpose, axes": (lambda x: x.transpose(1, 0, 2), lambda x: np.transpose(x, (1, 0, 2))),
    "permute": (lambda x: x.permute(2, 0, 1), lambda x: np.transpose(x, (2, 0, 1))),
    "permute, a tuple": (lambda x: x.permute((-1, 0, 1)), lambda x: np.transpose(x, (2, 0, 1))),
    "squeeze": (lambda x: x[None].squeeze(0), lambda x: x),
    "expand_dims": (lambda x: x.expand_dims((0, -1)), lambda x: x[None, ..., None]),
    "unsqueeze": (lambda x: x.unsqueeze(-1), lambda x: x[..., None]),
    "clip": (lambda x: x.clip(0.5, 1.0), lambda x: np.clip(x, 0.5, 1.0)),
    "exp": (lambda x: x.exp(), np.exp),
    "log": (lambda x: x.log(), np.log),
    "sqrt": (lambda x: x.sqrt(), np.sqrt),
    "tanh": (lambda x: x.tanh(), np.tanh),
    "abs": (lambda x: (x - 1.0).abs(), lambda x: np.abs(x - 1.0)),
    "sigmoid": (lambda x: x.sigmoid(), lambda x: 1 / (1 + np.exp(-x))),
    "relu": (lambda x: (x - 1.0).relu(), lambda x: np.maximum(x - 1.0, 0.0)),
    "matmul": (lambda x: x.matmul(np.ones((4, 2))), lambda x: x @ np.ones((4, 2))),
}


@pytest.mark.parametrize("name", METHODS)
def test_methods(name: str, rng: np.random.Generator) -> None:
    method, numpys = METHODS[name]
    np.testing.assert_allclose(method(Tensor(POINT)).data, numpys(POINT), rtol=1e-14)
    gradcheck(lambda x: method(x if isinstance(x, Tensor) else Tensor(x)), [POINT], rng, analytic=False)


# --- copies -------------------------------------------------------------------------------------------

COPIES: list[Callable[[Tensor], Tensor]] = [
    copy.copy,
    copy.deepcopy,
    lambda x: pickle.loads(pickle.dumps(x)),
]


@pytest.mark.parametrize("copied", COPIES)
def test_a_copy_of_a_leaf_is_a_leaf_of_its_own(copied: Callable[[Tensor], Tensor]) -> None:
    x = leaf([1.0, 2.0], dtype=np.float32)
    (x * 5.0).sum().backward()
    y = copied(x)
    assert y.requires_grad
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y.data, x.data)
    np.testing.assert_array_equal(y.grad, [5.0, 5.0])
    assert not np.shares_memory(y.data, x.data)
    assert not np.shares_memory(y.grad, x.grad)  # type: ignore[arg-type]
    (x * y).sum().backward()
    np.testing.assert_array_equal(x.grad, [6.0, 7.0])
    np.testing.assert_array_equal(y.grad, [6.0, 7.0])
    (y * 2.0).sum().backward()
    np.testing.assert_array_equal(x.grad, [6.0, 7.0])
    np.testing.assert_array_equal(y.grad, [8.0, 9.0])
    assert not copied(Tensor([1, 2])).requires_grad
    assert copied(Tensor([1, 2])).tolist() == [1, 2]


def test_a_deep_copy_keeps_shared_tensors_shared() -> None:
    x = leaf([1.0])
    one, other = copy.deepcopy([x, x])
    assert one is other
    assert one is not x


@pytest.mark.parametrize("copied", COPIES)
def test_a_result_is_not_copied(copied: Callable[[Tensor], Tensor]) -> None:
    # its graph would be copied with it, down to leaves that nobody holds, and gradients would go there
    with pytest.raises(TypeError, match=r"\.detach\(\)"):
        copied(leaf([1.0]) * 2.0)
    assert copied((leaf([1.0]) * 2.0).detach()).tolist() == [2.0]


def test_a_leaf_from_another_process_gets_its_gradient() -> None:
    # there many nodes were made before it: its number must not place it after what is made of it here
    program = (
        "import pickle, sys; from tinygrad_np import Tensor\n"
        "for _ in range(50_000): x = Tensor(2.0, requires_grad=True)\n"
        "sys.stdout.buffer.write(pickle.dumps(x))"
    )
    pickled = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout
    read = "import pickle, sys; x = pickle.load(sys.stdin.buffer); (x * x).backward(); print(x.grad)"
    done = subprocess.run([sys.executable, "-c", read], input=pickled, capture_output=True, check=True)
    assert done.stdout.split() == [b"4.0"]


# --- where derivatives are infinite, or numbers are ---------------------------------------------------

# Elements at 0 and below it take the other branch: nothing depends on these, and their gradient is that of x.
BRANCHES: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Any], Any]]] = {
    "sqrt": (np.sqrt, lambda x: 0.5 / np.sqrt(x)),
    "log": (np.log, lambda x: 1 / x),
    "1 / x": (lambda x: 1 / x, lambda x: -1 / x**2),
    "x / x": (lambda x: x / x, lambda x: 0 * x),
    "x^0.5": (lambda x: x**0.5, lambda x: 0.5 * x**-0.5),
    "x^-1": (lambda x: x**-1, lambda x: -(x**-2)),
    "x^-1.5": (lambda x: x**-1.5, lambda x: -1.5 * x**-2.5),
    "x^x": (lambda x: x**x, lambda x: x**x * (np.log(x) + 1)),
    "log of sqrt": (lambda x: np.log(np.sqrt(x)), lambda x: 0.5 / x),
    "1 / sqrt": (lambda x: 1 / np.sqrt(x), lambda x: -0.5 * x**-1.5),
    "sqrt(x)^2": (lambda x: np.sqrt(x) ** 2, lambda x: 0 * x + 1),
    "sqrt(x)^1.5": (lambda x: np.sqrt(x) ** 1.5, lambda x: 0.75 * x**-0.25),
}


@pytest.mark.parametrize("name", BRANCHES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_where_keeps_the_gradient_finite(name: str, dtype: Any) -> None:
    f, slope = BRANCHES[name]
    x = leaf(np.array([-1.5, -0.0, 0.0, 0.25, 4.0]), dtype=dtype)
    with np.errstate(divide="ignore", invalid="ignore"):  # of the branch that is not taken
        y = np.where(x > 0, f(x), x)
    y.sum().backward()  # and backward nothing warns
    assert x.grad is not None
    tolerance = 1e-5 if dtype == np.float32 else 1e-13
    np.testing.assert_allclose(
        x.grad, [1.0, 1.0, 1.0, *slope(np.array([0.25, 4.0]))], rtol=tolerance, atol=tolerance
    )


def test_powers_at_zero_and_below() -> None:
    x = [-2.0, 0.0, 3.0]
    np.testing.assert_array_equal(gradient(lambda x: x**0, x), [0.0, 0.0, 0.0])
    np.testing.assert_array_equal(gradient(lambda x: x**1, x), [1.0, 1.0, 1.0])
    np.testing.assert_array_equal(gradient(lambda x: x**2, x), [-4.0, 0.0, 6.0])
    np.testing.assert_array_equal(gradient(lambda x: x**3.0, x), [12.0, 0.0, 27.0])
    np.testing.assert_array_equal(gradient(lambda y: 0.0**y, [0.0, 2.0]), [0.0, 0.0])
    np.testing.assert_array_equal(gradient(lambda x: x ** np.array([0.0, 2.0, 1.0]), x), [0.0, 0.0, 1.0])


def test_a_true_pole_stays_infinite() -> None:
    # only where nothing depends on it is the gradient 0: elsewhere infinity is the honest answer
    with np.errstate(divide="ignore"):
        np.testing.assert_array_equal(gradient(np.sqrt, [0.0, 4.0]), [np.inf, 0.25])
        np.testing.assert_array_equal(gradient(np.log, [0.0, 4.0]), [np.inf, 0.25])
        np.testing.assert_array_equal(gradient(lambda x: x**0.5, [0.0, 4.0]), [np.inf, 0.25])


def test_logsumexp_of_infinities() -> None:
    x = leaf([[-np.inf, 0.0, 0.0], [-np.inf, -np.inf, -np.inf], [1000.0, 1000.0, -np.inf]])
    y = logsumexp(x, axis=1)
    np.testing.assert_allclose(y.data, [np.log(2), -np.inf, 1000 + np.log(2)], rtol=1e-15)
    y.backward(np.ones(3))
    np.testing.assert_allclose(x.grad, [[0, 0.5, 0.5], [0, 0, 0], [0.5, 0.5, 0]], rtol=1e-12)
    a, b = leaf([-np.inf, -np.inf, 0.0]), leaf([-np.inf, 2.0, 0.0])
    z = np.logaddexp(a, b)
    np.testing.assert_allclose(z.data, [-np.inf, 2.0, np.log(2)], rtol=1e-15)
    z.sum().backward()
    np.testing.assert_allclose(a.grad, [0.0, 0.0, 0.5], rtol=1e-15)
    np.testing.assert_allclose(b.grad, [0.0, 1.0, 0.5], rtol=1e-15)


def test_softmax_of_what_is_masked_away() -> None:
    x = leaf([[-np.inf, 0.0, 0.0], [1000.0, -1000.0, 1000.0]])
    y = softmax(x)
    np.testing.assert_array_equal(y.data, [[0.0, 0.5, 0.5], [0.5, 0.0, 0.5]])
    y.backward(np.array([[1.0, 2.0, 4.0], [1.0, 2.0, 4.0]]))
    np.testing.assert_array_equal(x.grad, [[0.0, -0.5, 0.5], [-0.75, 0.0, 0.75]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_saturated_functions_neither_warn_nor_overflow(dtype: Any) -> None:
    x = leaf([-1000.0, 0.0, 1000.0], dtype=dtype)
    y = sigmoid(x)
    np.testing.assert_array_equal(y.data, np.array([0.0, 0.5, 1.0], dtype))
    y.sum().backward()
    np.testing.assert_array_equal(x.grad, np.array([0.0, 0.25, 0.0], dtype))
    np.testing.assert_array_equal(gradient(np.tanh, [-1000.0, 0.0, 1000.0]), [0.0, 1.0, 0.0])
    np.testing.assert_array_equal(
        gradient(lambda x: np.logaddexp(0.0, x), [-1000.0, 0.0, 1000.0]), [0.0, 0.5, 1.0]
    )


def test_ties_share_the_gradient() -> None:
    for f, first, second in (
        (np.maximum, [0.5, 0.0, 1.0], [0.5, 1.0, 0.0]),
        (np.minimum, [0.5, 1.0, 0.0], [0.5, 0.0, 1.0]),
    ):
        x, y = leaf([1.0, 1.0, 2.0]), leaf([1.0, 2.0, 1.0])
        f(x, y).sum().backward()
        np.testing.assert_array_equal(x.grad, first)
        np.testing.assert_array_equal(y.grad, second)
    np.testing.assert_array_equal(gradient(lambda x: np.maximum(x, x), [1.0, 2.0]), [1.0, 1.0])
    np.testing.assert_array_equal(
        gradient(lambda x: np.max(x, axis=1), [[3.0, 1.0, 3.0], [0.0, 1.0, 0.0]]), [[0.5, 0, 0.5], [0, 1, 0]]
    )
    np.testing.assert_array_equal(gradient(np.min, [[3.0, 1.0], [1.0, 1.0]]), np.array([[0, 1], [1, 1]]) / 3)


def test_kinks_have_the_gradient_that_is_documented() -> None:
    np.testing.assert_array_equal(gradient(abs, [0.0, -0.0]), [0.0, 0.0])
    np.testing.assert_array_equal(gradient(lambda x: x.relu(), [-1.0, 0.0, 1.0]), [0.0, 0.0, 1.0])
    np.testing.assert_array_equal(
        gradient(lambda x: x.clip(0.0, 1.0), [-1.0, 0.0, 0.5, 1.0, 2.0]), [0, 1, 1, 1, 0]
    )


def test_a_tensor_of_a_result_does_not_lose_the_gradient_in_silence() -> None:
    x = Tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(RuntimeError, match="detach"):
        Tensor(x * 2)
    np.testing.assert_array_equal(Tensor((x * 2).detach()).data, [2.0, 4.0])


def test_threads_that_share_a_leaf_lose_no_gradient() -> None:
    w = Tensor(np.ones(200_000), requires_grad=True)

    def work() -> None:
        for _ in range(20):
            (w * 1.0).sum().backward()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(w.grad, np.full(200_000, 80.0))


def test_a_gradient_that_is_set_is_copied() -> None:
    g = np.ones(2)
    x = Tensor([1.0, 2.0], requires_grad=True)
    x.grad = g
    g[:] = 5
    np.testing.assert_array_equal(x.grad, [1, 1])


def test_formatting() -> None:
    assert f"{Tensor(1.23456):.3f}" == "1.235"
    assert f"{Tensor([1.0, 2.0])}" == "Tensor([1., 2.])"


def test_take_counts_and_does_not_mask() -> None:
    t = Tensor([0.0, 1.0, 2.0])
    np.testing.assert_array_equal(np.take(t, np.array([True, False, True])).data, [1, 0, 1])
    np.testing.assert_array_equal(
        np.take(Tensor(np.arange(6.0).reshape(2, 3)), (0, 2), axis=1).data, [[0, 2], [3, 5]]
    )


def test_reductions_of_a_single_number_and_of_nothing() -> None:
    x = Tensor(3.0, requires_grad=True)
    x.sum(axis=0).backward()
    assert x.grad == 1
    empty = Tensor(np.zeros((0, 3)), requires_grad=True)
    with pytest.warns(RuntimeWarning):
        empty.var(axis=0).sum().backward()
    assert empty.grad is not None
    assert empty.grad.shape == (0, 3)


def test_exp_that_overflows_behind_where() -> None:
    x = Tensor([800.0, 1.0], requires_grad=True)
    with np.errstate(over="ignore"):
        np.where(x.data < 700, np.exp(x), x).sum().backward()
    np.testing.assert_allclose(x.grad, [1, np.e])
