"""Taking and writing elements: every kind of index that NumPy has, duplicates among them; and what is refused."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tinygrad_np.functional as F
from tinygrad_np import Tensor, grad
from tinygrad_np.check.gradient import gradcheck, gradgradcheck
from tinygrad_np.ops.index import extreme_at

CUBE = np.arange(24.0).reshape(2, 3, 4)


def leaf(data: Any) -> Tensor:
    return Tensor(data, requires_grad=True)


SHAPES = hnp.array_shapes(min_dims=1, max_dims=3, max_side=4)


@st.composite
def indices(draw: st.DrawFn, shape: tuple[int, ...]) -> Any:
    """Slices, numbers, new axes and dots; arrays that broadcast; masks; and mixtures of them."""
    kind = draw(st.sampled_from(["basic", "arrays", "mask", "mixed"]))
    if kind == "basic":
        return draw(hnp.basic_indices(shape, allow_newaxis=True))
    if kind == "arrays":
        return draw(hnp.integer_array_indices(shape))
    if kind == "mask":
        return draw(hnp.arrays(bool, shape[: draw(st.integers(0, len(shape)))]))
    parts: list[Any] = []
    for n in shape[: draw(st.integers(1, len(shape)))]:
        several = st.lists(st.integers(-n, n - 1), min_size=2, max_size=2)
        parts.append(draw(st.one_of(st.slices(n), st.integers(-n, n - 1), several, several.map(np.array))))
    if draw(st.booleans()):
        parts.insert(draw(st.integers(0, len(parts))), draw(st.sampled_from([None, ...])))
    return tuple(parts)


def with_places(index: Any) -> Any:
    """The same index with its arrays as Tensors."""
    if isinstance(index, tuple):
        return tuple(map(with_places, index))
    return Tensor(index) if isinstance(index, np.ndarray) else index


@given(data=st.data(), shape=SHAPES)
def test_every_index_takes_what_numpy_takes(data: st.DataObject, shape: tuple[int, ...]) -> None:
    index = data.draw(indices(shape))
    x = np.arange(float(np.prod(shape))).reshape(shape)
    there, expected = leaf(x)[with_places(index)], np.zeros(shape)
    np.testing.assert_array_equal(there.data, x[index])
    t = leaf(x)
    w = np.random.default_rng(0).standard_normal(there.shape)
    t[index].backward(w)
    np.add.at(expected, index, w)
    np.testing.assert_allclose(t.grad, expected, rtol=1e-14)


def loop(ufunc: Callable[..., Any] | None, x: np.ndarray, values: np.ndarray, index: Any) -> np.ndarray:
    places = np.arange(x.size).reshape(x.shape)[index]
    out = x.copy().reshape(-1)
    for place, value in zip(np.ravel(places), np.ravel(np.broadcast_to(values, places.shape)), strict=True):
        out[place] = value if ufunc is None else ufunc(out[place], value)
    return out.reshape(x.shape)


@pytest.mark.parametrize(
    ("name", "ufunc"),
    [
        ("set", None),
        ("add", np.add),
        ("multiply", np.multiply),
        ("max", np.maximum),
        ("min", np.minimum),
    ],
)
@given(data=st.data(), shape=SHAPES)
def test_every_index_writes_what_a_loop_writes(
    name: str, ufunc: Any, data: st.DataObject, shape: tuple[int, ...]
) -> None:
    index = data.draw(indices(shape))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    x = rng.standard_normal(shape)
    values = rng.standard_normal(() if data.draw(st.booleans()) else x[index].shape)

    def write(x: Tensor, values: Tensor) -> Tensor:
        return getattr(x.at[index], name)(values)  # type: ignore[no-any-return]

    np.testing.assert_allclose(write(leaf(x), leaf(values)).data, loop(ufunc, x, values, index), rtol=1e-13)
    gradcheck(write, [x, values], rng, False)
    gradgradcheck(write, [x, values], rng)


def test_of_values_for_one_place_the_last_is_set_and_gets_the_gradient() -> None:
    x, v = leaf([1.0, 2.0, 3.0]), leaf([4.0, 5.0, 6.0])
    out = x.at[[0, 2, 0]].set(v)
    assert out.data.tolist() == [6.0, 2.0, 5.0]
    out.backward([10.0, 20.0, 30.0])
    assert (x.grad.tolist(), v.grad.tolist()) == ([0.0, 20.0, 0.0], [0.0, 30.0, 10.0])
    assert x.data.tolist() == [1.0, 2.0, 3.0]


def test_many_factors_for_one_place_take_few_steps() -> None:
    v = leaf(np.full(1025, 1.001))
    out = Tensor([2.0, 3.0]).at[np.zeros(1025, int)].multiply(v)
    np.testing.assert_allclose(out.data, [2 * 1.001**1025, 3.0], rtol=1e-12)
    out.sum().backward()
    np.testing.assert_allclose(v.grad, 2 * 1.001**1024, rtol=1e-12)


def test_a_factor_of_zero_keeps_the_gradient_of_the_others() -> None:
    x, v = leaf([3.0]), leaf([0.0, 2.0, 5.0])
    x.at[[0, 0, 0]].multiply(v).backward([1.0])
    assert (x.grad.tolist(), v.grad.tolist()) == ([0.0], [30.0, 0.0, 0.0])
    second = grad(lambda v: grad(lambda w: Tensor([3.0]).at[[0, 0, 0]].multiply(w).sum())(v)[0])(v.data)
    assert second.data.tolist() == [0.0, 15.0, 6.0]


def test_single_numbers_and_nothing_are_written() -> None:
    one = leaf(3.0)
    for index in ((), ..., None, True, np.array(True)):
        out = one.at[index].set(5.0)
        assert (out.data.tolist(), out.shape) == (5.0, ())
    assert one.at[False].set(5.0).data.tolist() == 3.0
    assert one.at[()].max(4.0).data.tolist() == 4.0
    empty = leaf(np.zeros((0, 2)))
    assert empty.at[[]].add(1.0).shape == (0, 2)
    assert empty.at[:, [0, 0]].multiply(2.0).shape == (0, 2)


def test_values_take_the_dtype_of_the_tensor_or_are_refused() -> None:
    single, whole = Tensor([1.0, 2.0], dtype=np.float32), Tensor([1, 2])
    assert single.at[0].set(np.float64(0.5)).dtype == np.float32
    v = leaf(0.5)
    single.at[0].add(v).sum().backward()
    assert (v.grad.dtype, float(v.grad)) == (np.float64, 1.0)
    assert whole.at[0].set(7).data.tolist() == [7, 2]
    assert Tensor(np.array([1], np.uint8)).at[0].set(7).dtype == np.uint8
    for values in (0.5, leaf(0.5), 1j):
        with pytest.raises(TypeError, match=r"^at: values of .* do not fit into a Tensor of int64"):
            whole.at[0].set(values)


@pytest.mark.parametrize(
    ("kind", "start", "call"),
    [
        (IndexError, r"getitem\(float64\[2, 3, 4\], index=5\)", lambda x: x.at[5].set(1.0)),
        (ValueError, r"broadcast_to\(float64\[2\], shape=\(3, 4\)\)", lambda x: x.at[0].add(np.ones(2))),
        (TypeError, r"at: .* dtype <U1", lambda x: x.at[0].set("a")),
        (TypeError, r"np\.put_along_axis writes .* t\.at\[index\]", lambda x: np.put_along_axis(x, x, 0, 0)),
        (TypeError, r"np\.place writes into its array", lambda x: np.place(x, x > 0, 0)),
        (ValueError, r"gather: indices of shape \(2, 3\)", lambda x: x.gather(0, np.zeros((2, 3), int))),
        (IndexError, r"gather takes whole numbers", lambda x: x.gather(0, CUBE)),
        (IndexError, r"scatter: axis 3", lambda x: x.scatter(3, np.zeros((1, 1, 1), int), x)),
        (ValueError, r"scatter: reduce is add", lambda x: x.scatter(0, [[[0]]], x, reduce="max")),
        (ValueError, r"scatter_reduce: reduce is sum", lambda x: x.scatter_reduce(0, [[[0]]], x, "max")),
        (ValueError, r"masked_scatter: 2 elements for 24", lambda x: x.masked_scatter(x < 99, [1.0, 2.0])),
        (ValueError, r"choose: one of 1 arrays", lambda x: np.choose([1], [x])),
        (ValueError, r"take\(.*mode is raise", lambda x: np.take(x, 0, mode="up")),
        (ValueError, r"compress: a condition has one axis", lambda x: np.compress([[True]], x)),
        (IndexError, r"delete\(", lambda x: np.delete(x, 7, 0)),
        (IndexError, r"insert\(", lambda x: np.insert(x, 9, 0.0, 0)),
        (ValueError, r"one_hot of no numbers", lambda x: F.one_hot([])),
        (IndexError, r"one_hot of 2 rows got", lambda x: F.one_hot([2], 2)),
        (ValueError, r"narrow: 3 elements from 1 on", lambda x: x.narrow(0, 1, 3)),
        (ValueError, r"split: the lengths \[1, 2\] do not add up to 2", lambda x: x.split([1, 2])),
        (ValueError, r"split: pieces of length 0", lambda x: x.split(0)),
        (ValueError, r"chunk: 0 pieces", lambda x: x.chunk(0)),
        (ValueError, r"unfold_axis: windows of 5", lambda x: x.unfold(2, 5, 1)),
        (ValueError, r"flatten: axis 1 does not stand before axis 0", lambda x: x.flatten(1, 0)),
        (TypeError, r"flatten\(.*elements are read row by row", lambda x: x.flatten("F")),
        (TypeError, r"ravel\(.*elements are read row by row", lambda x: np.ravel(x, "F")),
        (
            ValueError,
            r"unflatten: \[3, 2\] in the place of an axis of length 4",
            lambda x: x.unflatten(2, (3, 2)),
        ),
        (ValueError, r"pad: the mode is one of constant", lambda x: F.pad(x, (1, 1), "edge")),
        (ValueError, r"pad: 3 numbers", lambda x: F.pad(x, (1, 1, 1))),
        (ValueError, r"pad: the mode is constant, edge", lambda x: np.pad(x, 1, "linear_ramp")),
        (ValueError, r"pad: the widths are whole numbers", lambda x: np.pad(x, -1)),
        (ValueError, r"pad: the widths are whole numbers", lambda x: np.pad(x, 1.5)),
        (ValueError, r"diag: a vector or a matrix", lambda x: np.diag(x)),
        (ValueError, r"tril\(.*no triangle", lambda x: np.tril(x[0, 0, 0])),
        (ValueError, r"vsplit: two axes", lambda x: np.vsplit(x[0, 0], 2)),
        (ValueError, r"array_split: 0 parts", lambda x: np.array_split(x, 0)),
        (ValueError, r"meshgrid: indexing is", lambda x: np.meshgrid(x, indexing="zz")),
        (
            ValueError,
            r"sliding_window_view: 1 lengths",
            lambda x: np.lib.stride_tricks.sliding_window_view(x, 2),
        ),
        (ValueError, r"transpose\(.*2 axes for 3: name all of them", lambda x: x.transpose(0, 1)),
        (ValueError, r"repeat\(", lambda x: np.repeat(x, [1, 2, 3, 4], 0)),
        (ValueError, r"tile\(", lambda x: np.tile(x, -1)),
        (ValueError, r"rot90\(", lambda x: np.rot90(x, 1, (0, 0))),
        (IndexError, r"flip", lambda x: np.flip(x, 3)),
    ],
)
def test_bad_input_is_told_in_one_sentence(kind: type, start: str, call: Callable[[Tensor], Any]) -> None:
    with pytest.raises(kind, match=f"^{start}") as raised:
        call(leaf(CUBE))
    assert "\n" not in str(raised.value)


# --- as ndarrays and torch.Tensors are called ------------------------------------------------------------


def test_methods_take_their_numbers_one_by_one_or_at_once() -> None:
    x = leaf(CUBE)
    for a, b in (
        (x.flip(0, 1), x.flip((0, 1))),
        (x.tile(2, 1), x.tile((2, 1))),
        (x.expand(5, -1, -1, -1), x.expand((5, -1, -1, -1))),
        (x.broadcast_to(2, 2, 3, 4), x.broadcast_to((2, 2, 3, 4))),
        (x.flip(dims=(0,)), x.flip(0)),
        (x.flip(), x.flip(0, 1, 2)),
        (x.flatten(), x.ravel()),
        (x.flatten(start_dim=1), x.reshape(2, -1)),
        (x.flatten(order="C"), x.reshape(-1)),
        (x.diagonal(dim1=1, dim2=2), np.diagonal(x, axis1=1, axis2=2)),
        (x.repeat(2), np.repeat(x, 2)),
        (x.mT, x.swapaxes(1, 2)),
        (x.t(), x.T),
    ):
        np.testing.assert_array_equal(a.data, b.data)
        assert a.requires_grad


def test_widths_of_pad_in_every_way() -> None:
    x = leaf(CUBE[0])
    for width in (2, (1, 2), ((1, 2),), ((1, 2), (0, 3)), [[1], [2]], np.array([1, 2])):
        np.testing.assert_array_equal(np.pad(x, width).data, np.pad(x.data, width))
    np.testing.assert_array_equal(
        np.pad(x, {-1: 2, 0: (0, 1)}, "wrap").data, np.pad(x.data, ((0, 1), (2, 2)), "wrap")
    )
    assert np.isposinf(np.pad(x, 1, constant_values=np.inf).data[0]).all()


def test_of_a_constant_what_is_like_it_is_plain_and_with_a_tensor_in_it_a_tensor() -> None:
    x, fill = leaf(CUBE), leaf(2.0)
    assert type(np.full_like(x, 2.0)) is np.ndarray
    filled = np.full_like(x, fill)
    filled.sum().backward()
    assert float(fill.grad) == 24.0


def test_a_whole_number_in_a_tensor_is_an_index_and_a_bound() -> None:
    x, two = leaf(CUBE), Tensor(2)
    assert x[:, two:].shape == (2, 1, 4)
    assert x[0, [Tensor(0), two]].shape == (2, 4)
    assert [*range(two)] == [0, 1]
    for wrong in (Tensor(2.0), Tensor([2]), Tensor(True)):
        with pytest.raises(TypeError, match="one whole number, and not"):
            x[wrong:]
        with pytest.raises(TypeError, match="one whole number, and not"):
            range(wrong)


def test_a_copy_has_numbers_of_its_own_and_its_gradient() -> None:
    x = leaf([1.0, 2.0])
    for copy in (np.copy(x), x.copy(), x.clone()):
        copy.data[:] = 7.0
        assert copy.requires_grad
    assert x.data.tolist() == [1.0, 2.0]


def test_one_hot_is_an_array_of_whole_numbers() -> None:
    assert F.one_hot([[0, 2]]).tolist() == [[[1, 0, 0], [0, 0, 1]]]
    assert F.one_hot(Tensor(1), 2).tolist() == [0, 1]
    assert F.one_hot([], 2).shape == (0, 2)


def test_an_index_that_is_shorter_reads_and_writes_the_first_places() -> None:
    x, index, v = leaf(CUBE[0]), np.array([[2, 1]]), leaf(np.full((3, 4), 9.0))
    assert x.gather(0, index).data.tolist() == [[8.0, 5.0]]
    out = x.scatter(0, index, v)
    assert out.data[2, 0] == out.data[1, 1] == 9.0
    out.sum().backward()
    assert v.grad.sum() == 2.0
    assert v.grad[0, :2].tolist() == [1.0, 1.0]
    assert x.scatter(0, index, value=7.0, reduce="multiply").data[2, 0] == 56.0


def test_extremes_of_floats_are_not_cut_to_whole_numbers() -> None:
    with pytest.raises(TypeError, match=r"^extreme_at.*do not fit into a Tensor of int64"):
        extreme_at(np.array([1, 2]), leaf([1.5, 2.5]), index=slice(None), ufunc=np.maximum)


@pytest.mark.parametrize("key", [(), ..., None])
def test_a_number_read_by_an_index_beside_other_uses(key: Any) -> None:
    """Gradients of a 0-d array add up to a number, into which nothing can be written."""
    x = Tensor(2.0, requires_grad=True)
    read = np.sum(x[key])
    (read + x * 1.0 + x * 2.0 + x * 3.0).backward()
    assert x.grad == 7.0
    assert type(x.grad) is np.ndarray
