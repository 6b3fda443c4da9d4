"""Tables: rows scaled to a norm, gradients by frequency; bags, and what is refused of them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinygrad_np import Tensor, nn
from tinygrad_np import functional as F
from tinygrad_np.gradcheck import gradcheck

TABLE = np.sin(np.arange(12.0)).reshape(4, 3)
READ = np.array([[3, 1, 3], [0, 3, 1]])


def leaf(array: Any = TABLE) -> Tensor:
    return Tensor(array, requires_grad=True)


def test_rows_that_are_too_long_are_scaled_in_the_table() -> None:
    weight = leaf()
    out = F.embedding([1, 2, 1], weight, max_norm=0.5)
    norms = np.linalg.norm(TABLE, axis=1)
    expected = TABLE.copy()
    expected[[1, 2]] *= (0.5 / norms[[1, 2]])[:, np.newaxis]
    assert (norms > 0.5).all()
    np.testing.assert_allclose(weight.data, expected, rtol=1e-6)
    np.testing.assert_array_equal(out.data, weight.data[[1, 2, 1]])
    out.sum().backward()
    np.testing.assert_array_equal(weight.grad, [[0] * 3, [2] * 3, [1] * 3, [0] * 3])
    again = weight.data.copy()
    F.embedding([1, 2], weight, max_norm=0.6)
    np.testing.assert_array_equal(weight.data, again)
    assert TABLE[1, 0] == np.sin(3.0)


def test_a_constant_table_is_not_written_to_and_a_result_is_refused() -> None:
    array = TABLE.copy()
    out = F.embedding([1], Tensor(array), max_norm=0.5)
    np.testing.assert_array_equal(array, TABLE)
    np.testing.assert_allclose(np.linalg.norm(out.data), 0.5, rtol=1e-6)
    says = (
        r"^embedding: max_norm scales rows of the table itself, and this one is the result of an operation$"
    )
    with pytest.raises(ValueError, match=says):
        F.embedding([1], leaf() * 2, max_norm=0.5)


@pytest.mark.parametrize("sparse", [False, True])
def test_the_gradient_of_a_row_is_divided_by_how_often_it_is_read(sparse: bool) -> None:
    weight = leaf()
    g = np.arange(18.0).reshape(2, 3, 3)
    out = F.embedding(READ, weight, scale_grad_by_freq=True, sparse=sparse)
    np.testing.assert_array_equal(out.data, TABLE[READ])
    out.backward(g)
    expected = np.array(
        [g[row == READ].mean(axis=0) if (row == READ).any() else np.zeros(3) for row in range(4)]
    )
    np.testing.assert_allclose(np.asarray(weight.grad), expected, rtol=1e-14)


@pytest.mark.oracle
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize(
    "settings",
    [
        {"max_norm": 0.5},
        {"max_norm": 0.7, "norm_type": 1.0, "padding_idx": -1},
        {"scale_grad_by_freq": True},
        {"scale_grad_by_freq": True, "padding_idx": 1},
    ],
)
@pytest.mark.parametrize("mode", ["", "sum", "mean", "max"])
def test_tables_are_pytorchs(
    mode: str, settings: dict[str, Any], sparse: bool, rng: np.random.Generator
) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install -e '.[oracle]'")
    if "scale_grad_by_freq" in settings and (sparse or mode):
        pytest.skip("PyTorch refuses it, or for bags divides by the frequency of another row")
    if mode == "max" and sparse:
        pytest.skip("PyTorch refuses it")
    settings = {**settings, "sparse": sparse, **({"mode": mode} if mode else {})}
    name = "EmbeddingBag" if mode else "Embedding"
    mine = getattr(nn, name)(4, 3, **settings, rng=0, dtype=np.float64)
    theirs = getattr(torch.nn, name)(4, 3, **settings, dtype=torch.float64)
    theirs.load_state_dict({"weight": torch.from_numpy(mine.weight.data.copy())})
    for _ in range(3):
        indices = rng.integers(0, 4, (3, 2))
        out, other = mine(indices), theirs(torch.from_numpy(indices))
        np.testing.assert_allclose(out.data, other.detach().numpy(), rtol=1e-13, atol=1e-15)
        g = rng.standard_normal(out.shape)
        mine.zero_grad()
        theirs.zero_grad()
        out.backward(g)
        other.backward(torch.from_numpy(g))
        expected = theirs.weight.grad.to_dense().numpy()
        np.testing.assert_allclose(np.asarray(mine.weight.grad), expected, rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(mine.weight.data, theirs.weight.detach().numpy(), rtol=1e-12)


def test_the_gradient_of_a_row_in_bags_is_divided_by_how_often_it_is_read() -> None:
    # PyTorch's division is by the frequency of another row where some have been read several times.
    weight = leaf()
    F.embedding_bag([[0, 0], [3, 3], [2, 1]], weight, mode="sum", scale_grad_by_freq=True).sum().backward()
    np.testing.assert_array_equal(weight.grad, np.ones((4, 3)))


def test_bags_by_hand() -> None:
    indices, offsets = [3, 1, 3, 0, 1], [0, 0, 3]  # none, three, two
    total = [np.zeros(3), TABLE[3] * 2 + TABLE[1], TABLE[0] + TABLE[1]]
    bag = lambda mode, **more: F.embedding_bag(indices, Tensor(TABLE), offsets, mode=mode, **more).data
    np.testing.assert_allclose(bag("sum"), total)
    np.testing.assert_allclose(bag("mean"), [total[0], total[1] / 3, total[2] / 2])
    np.testing.assert_allclose(
        bag("max"), [np.zeros(3), TABLE[[1, 3]].max(axis=0), TABLE[[0, 1]].max(axis=0)]
    )
    np.testing.assert_allclose(bag("mean", padding_idx=3), [total[0], TABLE[1], total[2] / 2])
    np.testing.assert_allclose(
        bag("sum", per_sample_weights=[1, 0, 2, 3, 0])[1:], [3 * TABLE[3], 3 * TABLE[0]]
    )
    layer = nn.EmbeddingBag.from_pretrained(TABLE, mode="sum", include_last_offset=True, padding_idx=-1)
    np.testing.assert_allclose(layer(indices, [0, 0, 3, 5]).data[1], TABLE[1])
    assert repr(layer) == "EmbeddingBag(4, 3, padding_idx=3, include_last_offset=True, mode='sum')"
    np.testing.assert_array_equal(
        F.embedding_bag(np.zeros((2, 0), int), Tensor(TABLE), mode="max").data, np.zeros((2, 3))
    )
    assert F.embedding_bag([], Tensor(TABLE), []).shape == (0, 3)
    assert F.embedding_bag([], Tensor(TABLE), [], include_last_offset=True).shape == (0, 3)
    assert F.embedding_bag([], Tensor(TABLE), [0, 0]).shape == (2, 3)


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_bags_send_their_gradient_to_few_rows(mode: Any) -> None:
    one, two = leaf(), leaf()
    for weight, sparse in ((one, True), (two, False)):
        (F.embedding_bag(READ, weight, mode=mode, sparse=sparse, padding_idx=0) ** 2).sum().backward()
    g: Any = one.grad
    assert g.rows.tolist() == [1, 3]
    np.testing.assert_array_equal(g.to_dense(), two.grad)


def test_the_first_of_equal_rows_has_the_gradient_of_a_maximum() -> None:
    weight = leaf(np.ones((3, 2)))
    F.embedding_bag([[2, 0, 1]], weight, mode="max").sum().backward()
    np.testing.assert_array_equal(weight.grad, [[0, 0], [0, 0], [1, 1]])
    broken = leaf([[1.0], [np.nan], [np.inf]])
    out = F.embedding_bag([[0, 1, 2], [2, 0, 0]], broken, mode="max")
    np.testing.assert_array_equal(out.data, [[np.nan], [np.inf]])


def test_float32_stays() -> None:
    weight = Tensor(TABLE, requires_grad=True, dtype=np.float32)
    for settings in ({"scale_grad_by_freq": True}, {"max_norm": 0.5}, {"padding_idx": -1}):
        outs = [F.embedding(READ, weight, **settings)]  # type: ignore[arg-type]
        outs += [F.embedding_bag(READ, weight, mode=mode, **settings) for mode in ("sum", "mean", "max")]  # type: ignore[arg-type]
        outs += [F.embedding_bag(READ, weight, mode="sum", per_sample_weights=[[1, 2, 3]] * 2, **settings)]  # type: ignore[arg-type]
        for out in outs:
            weight.grad = None
            out.sum().backward()
            assert out.dtype == np.float32
            assert weight.grad is not None
            assert weight.grad.dtype == np.float32


def test_weights_of_samples_get_a_gradient() -> None:
    weights = leaf(np.arange(6.0).reshape(2, 3))
    F.embedding_bag(READ, Tensor(TABLE), mode="sum", per_sample_weights=weights).sum().backward()
    np.testing.assert_allclose(weights.grad, TABLE.sum(axis=1)[READ])


def test_weights_may_be_those_of_each_number_of_a_row() -> None:
    rng = np.random.default_rng(0)
    table, weights = leaf(), leaf(rng.normal(size=(*READ.shape, 3)))
    gradcheck(lambda t, w: F.embedding_bag(READ, t, mode="sum", per_sample_weights=w), [TABLE, weights.data])
    out = F.embedding_bag(READ, table, mode="sum", per_sample_weights=weights)
    np.testing.assert_allclose(out.data, (TABLE[READ] * weights.data).sum(axis=1))
    flat = F.embedding_bag(
        READ.ravel(), table, [0, 3], mode="sum", per_sample_weights=weights.data.reshape(6, 3), padding_idx=0
    )
    kept = (READ != 0)[..., np.newaxis]
    np.testing.assert_allclose(flat.data, (TABLE[READ] * weights.data * kept).sum(axis=1))


REFUSED: dict[str, Callable[[Tensor], Any]] = {
    "embedding_bag takes 'sum', 'mean' or 'max' for mode, not 'min'": lambda w: F.embedding_bag(
        READ, w, mode="min"
    ),  # type: ignore[arg-type]
    "embedding_bag takes indices (bags, length), or (N,) and offsets, not of shape (2,) alone": lambda w: (
        F.embedding_bag([1, 2], w)
    ),
    "embedding_bag takes indices (N,) and whole-number offsets (bags,), not [2, 3] and int64[1]": lambda w: (
        F.embedding_bag(READ, w, [0])
    ),
    "embedding_bag takes indices (N,) and whole-number offsets (bags,), not [1] and float64[1]": lambda w: (
        F.embedding_bag([1], w, [0.0])
    ),
    "embedding_bag of 2 indices takes offsets that begin with 0 and never fall, not [1, 2]": lambda w: (
        F.embedding_bag([1, 2], w, [1, 2])
    ),
    "embedding_bag of 2 indices takes offsets that begin with 0 and never fall, not [0, 3]": lambda w: (
        F.embedding_bag([1, 2], w, [0, 3])
    ),
    "embedding_bag of 2 indices takes offsets that begin with 0 and never fall, not []": lambda w: (
        F.embedding_bag([1, 2], w, [])
    ),
    "embedding_bag of 2 indices takes offsets that begin with 0 and never fall, the last of them their number, not "
    "[0, 1]": lambda w: F.embedding_bag([1, 2], w, [0, 1], include_last_offset=True),
    "embedding_bag takes per_sample_weights for a sum alone, not for mode 'mean'": lambda w: F.embedding_bag(
        READ, w, per_sample_weights=np.ones((2, 3))
    ),
    "embedding_bag takes a weight for each index, or for each number of its row, and got indices of shape (2, 3), "
    "rows of shape (3,) and weights of shape (3,)": lambda w: F.embedding_bag(
        READ, w, mode="sum", per_sample_weights=np.ones(3)
    ),
    "embedding takes a number above 0 for max_norm, not 'x'": lambda w: F.embedding([1], w, max_norm="x"),  # type: ignore[arg-type]
    "Embedding takes a number above 0 for norm_type, not 0": lambda w: nn.Embedding(2, 3, norm_type=0),
    "EmbeddingBag takes a number above 0 for max_norm, not nan": lambda w: nn.EmbeddingBag(
        2, 3, float("nan")
    ),
    "EmbeddingBag takes 'sum', 'mean' or 'max' for mode, not []": lambda w: nn.EmbeddingBag(2, 3, mode=[]),  # type: ignore[arg-type]
    "embedding_bag of 4 rows got indices from 4 to 4": lambda w: F.embedding_bag([[4]], w),
    "embedding_bag: padding_idx 4 is not a row of 4": lambda w: F.embedding_bag(READ, w, padding_idx=4),
    "embedding_bag takes a table (rows, features), and no single number": lambda w: F.embedding_bag(
        READ, w[0, 0]
    ),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_is_wrong_is_said_in_a_sentence(message: str) -> None:
    with pytest.raises((ValueError, IndexError)) as caught:
        REFUSED[message](leaf())
    assert str(caught.value) == message
