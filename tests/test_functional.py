"""Functions composed of primitives: values against plain formulas, first and second derivatives, refusals."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_np import Tensor
from tinygrad_np import functional as F
from tinygrad_np.gradcheck import gradcheck, gradgradcheck
from tinygrad_np.testing import generators, shapes

REDUCE = {"mean": np.mean, "sum": np.sum, "none": lambda x: x}
reductions = st.sampled_from(sorted(REDUCE))
lengths = st.integers(1, 4)


def tensor(x: Any) -> Tensor:
    """A Tensor, also of the complex arrays with which the gradient check calls."""
    return x if isinstance(x, Tensor) else Tensor(x)


def gradient_of(loss: Tensor, x: Tensor) -> np.ndarray:
    loss.backward()
    assert x.grad is not None
    return x.grad


# --- non-linearities ----------------------------------------------------------------------------------


@given(rng=generators(), shape=shapes())
def test_sigmoid_and_relu(rng: np.random.Generator, shape: tuple[int, ...]) -> None:
    x = rng.uniform(0.1, 3, shape) * rng.choice([-1, 1], shape)
    np.testing.assert_allclose(F.sigmoid(Tensor(x)).data, np.exp(x) / (1 + np.exp(x)), rtol=1e-14)
    np.testing.assert_array_equal(F.relu(Tensor(x)).data, (x + abs(x)) / 2)
    for f in (F.sigmoid, F.relu):
        gradcheck(f, [x], rng)
        gradgradcheck(f, [x], rng)


def test_sigmoid_of_extreme_logits() -> None:
    x = Tensor(np.array([-800.0, 0.0, 800.0]), requires_grad=True)
    y = F.sigmoid(x)
    np.testing.assert_array_equal(y.data, [0.0, 0.5, 1.0])
    np.testing.assert_array_equal(gradient_of(y.sum(), x), [0.0, 0.25, 0.0])


@given(rng=generators(), rows=lengths, columns=lengths, axis=st.sampled_from([0, 1, -1, -2]))
def test_softmax_and_its_logarithm(rng: np.random.Generator, rows: int, columns: int, axis: int) -> None:
    x = rng.standard_normal((rows, columns))
    p = np.exp(x) / np.exp(x).sum(axis=axis, keepdims=True)
    np.testing.assert_allclose(F.softmax(Tensor(x), axis=axis).data, p, rtol=1e-13)
    np.testing.assert_allclose(F.log_softmax(Tensor(x), axis=axis).data, np.log(p), rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(F.logsumexp(Tensor(x), axis=axis).data, np.log(np.exp(x).sum(axis=axis)))
    for f in (F.softmax, F.log_softmax, F.logsumexp):
        gradcheck(lambda x, f=f: f(tensor(x), axis=axis), [x], rng)
        gradgradcheck(lambda x, f=f: f(tensor(x), axis=axis), [x], rng)


@pytest.mark.parametrize("axis", [True, 1.0, "1", None, [0]])
@pytest.mark.parametrize(
    "f", [F.softmax, F.log_softmax, F.logsumexp, np.max, np.sum, np.var], ids=lambda f: f.__name__
)
def test_an_axis_that_is_no_whole_number_is_refused_by_name(f: Any, axis: Any) -> None:
    x = Tensor(np.ones((2, 3)), requires_grad=True)
    if axis is None and f is not F.log_softmax:  # all axes
        assert np.isfinite(f(x, axis=axis).data).all()
        return
    with pytest.raises(TypeError, match=f.__name__):
        f(x, axis=axis)


def test_softmax_goes_along_the_last_axis_unless_told() -> None:
    x = Tensor(np.array([[0.0, math.log(3.0)], [0.0, 0.0]]))
    np.testing.assert_allclose(F.softmax(x).data, [[0.25, 0.75], [0.5, 0.5]])
    np.testing.assert_allclose(F.log_softmax(x).data, np.log([[0.25, 0.75], [0.5, 0.5]]))


def test_log_softmax_of_extreme_logits() -> None:
    x = Tensor(np.array([[1e300, 0.0, -1e300], [-np.inf, 0.0, 0.0]]), requires_grad=True)
    y = F.log_softmax(x)
    np.testing.assert_array_equal(y.data, [[0, -1e300, -2e300], [-np.inf, -math.log(2), -math.log(2)]])
    np.testing.assert_array_equal(gradient_of(y[:, 1].sum(), x), [[-1, 1, 0], [0, 0.5, -0.5]])


def test_log_softmax_in_float32_is_exact_beside_a_large_offset() -> None:
    # log_softmax does not change when all logits are shifted; 1e6 + log 2 has no digits left for log 2
    x = np.array([[1e6, 1e6], [0.0, 0.0]], dtype=np.float32)
    y = F.log_softmax(Tensor(x))
    assert y.dtype == np.float32
    np.testing.assert_allclose(y.data, np.full((2, 2), -math.log(2)), rtol=1e-7)


# --- linear, embedding, dropout -----------------------------------------------------------------------


@given(
    rng=generators(), batch=shapes(max_ndim=2), n=st.integers(0, 3), m=st.integers(0, 3), bias=st.booleans()
)
def test_linear(rng: np.random.Generator, batch: tuple[int, ...], n: int, m: int, bias: bool) -> None:
    x, weight, b = (rng.standard_normal(s) for s in ((*batch, n), (m, n), (m,)))
    expected = np.einsum("...i,oi->...o", x, weight) + (b if bias else 0)
    out = F.linear(Tensor(x), Tensor(weight), Tensor(b) if bias else None)
    np.testing.assert_allclose(out.data, expected, rtol=1e-12, atol=1e-13)
    arrays = [x, weight, b][: 2 + bias]
    gradcheck(lambda *xs: F.linear(*map(tensor, xs)), arrays, rng)
    gradgradcheck(lambda *xs: F.linear(*map(tensor, xs)), arrays, rng)


@given(rng=generators(), shape=shapes(), rows=lengths, features=st.integers(0, 3))
def test_embedding(rng: np.random.Generator, shape: tuple[int, ...], rows: int, features: int) -> None:
    indices = rng.integers(0, rows, shape)
    weight = rng.standard_normal((rows, features))
    one_hot = (indices[..., np.newaxis] == np.arange(rows)).astype(float)
    out = F.embedding(indices, Tensor(weight))
    assert out.shape == (*shape, features)
    np.testing.assert_array_equal(out.data, one_hot @ weight)
    gradcheck(lambda w: F.embedding(indices, tensor(w)), [weight], rng)
    gradgradcheck(lambda w: F.embedding(indices, tensor(w)), [weight], rng)


@given(rng=generators(), shape=shapes(), padding=st.integers(0, 2))
def test_embedding_sends_each_row_the_sum_of_its_gradients(
    rng: np.random.Generator, shape: tuple[int, ...], padding: int
) -> None:
    indices = rng.integers(0, 3, shape)
    g = rng.standard_normal((*shape, 2))
    expected = np.array([g[indices == row].sum(axis=0) for row in range(3)])
    for padding_idx in (None, padding):
        weight = Tensor(rng.standard_normal((3, 2)), requires_grad=True)
        out = F.embedding(indices, weight, padding_idx)
        np.testing.assert_array_equal(out.data, weight.data[indices])  # its row is looked up all the same
        out.backward(g)
        if padding_idx is not None:
            expected[padding_idx] = 0
        np.testing.assert_allclose(weight.grad, expected, rtol=1e-12, atol=1e-14)


def test_embedding_of_nothing() -> None:
    weight = Tensor(np.ones((3, 2)))
    assert F.embedding([], weight).shape == (0, 2)
    assert F.embedding(np.zeros((4, 0), dtype=np.int32), weight).shape == (4, 0, 2)


@pytest.mark.parametrize(
    ("indices", "says"),
    [
        ([0, 3], "embedding of 3 rows got indices from 0 to 3"),
        ([-1, 2], "embedding of 3 rows got indices from -1 to 2"),
        ([0.0, 1.0], "embedding takes whole numbers for indices, not float64"),
        ([True, False], "embedding takes whole numbers for indices, not bool"),
    ],
)
def test_embedding_refuses_what_is_no_row(indices: Any, says: str) -> None:
    with pytest.raises(IndexError, match=f"^{says}$"):
        F.embedding(indices, Tensor(np.ones((3, 2))))


@pytest.mark.parametrize("padding_idx", [-4, 3, 1.0])
def test_embedding_refuses_a_padding_that_is_no_row(padding_idx: Any) -> None:
    with pytest.raises(IndexError, match=f"^embedding: padding_idx {padding_idx} is not a row of 3$"):
        F.embedding([0], Tensor(np.ones((3, 2))), padding_idx)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_dropout_zeroes_the_share_p_and_keeps_the_mean(p: float) -> None:
    n = 200_000
    x = Tensor(np.ones(n), requires_grad=True)
    y = F.dropout(x, p, rng=np.random.default_rng(1))
    np.testing.assert_allclose(np.unique(y.data), [0.0, 1 / (1 - p)], rtol=1e-15)
    deviation = math.sqrt(p * (1 - p) / n)  # of the share of zeros
    assert abs((y.data == 0).mean() - p) < 5 * deviation
    assert abs(y.data.mean() - 1) < 5 * deviation / (1 - p)
    np.testing.assert_array_equal(gradient_of(y.sum(), x), y.data)  # the same mask on the way back


@given(rng=generators(), shape=shapes(), p=st.floats(0, 0.99), seed=st.integers(0, 99))
def test_dropout_derivative(rng: np.random.Generator, shape: tuple[int, ...], p: float, seed: int) -> None:
    x = rng.standard_normal(shape)

    def drop(x: Any) -> Tensor:
        return F.dropout(tensor(x), p, rng=np.random.default_rng(seed))

    gradcheck(drop, [x], rng, analytic=False)
    gradgradcheck(drop, [x], rng)


def test_dropout_is_drawn_from_the_generator_it_is_given() -> None:
    x = Tensor(np.ones((5, 20), dtype=np.float32))
    first = F.dropout(x, 0.5, rng=np.random.default_rng(7))
    assert first.dtype == np.float32
    np.testing.assert_array_equal(first.data, F.dropout(x, 0.5, rng=np.random.default_rng(7)).data)
    assert (first.data != F.dropout(x, 0.5, rng=np.random.default_rng(8)).data).any()


def test_dropout_with_probability_zero_changes_nothing(rng: np.random.Generator) -> None:
    x = rng.standard_normal((3, 4))
    np.testing.assert_array_equal(F.dropout(Tensor(x), 0.0, rng=rng).data, x)


@pytest.mark.parametrize("p", [-0.1, 1.0, 1.5, math.nan])
def test_dropout_refuses_other_probabilities(p: float, rng: np.random.Generator) -> None:
    with pytest.raises(ValueError, match=f"^dropout takes a probability from 0 to below 1, not {p}$"):
        F.dropout(Tensor([1.0]), p, rng=rng)


@given(rng=generators(), batch=shapes(max_ndim=2), hidden=st.integers(0, 3))
def test_lstm_step(rng: np.random.Generator, batch: tuple[int, ...], hidden: int) -> None:
    gates, c = rng.standard_normal((*batch, 4 * hidden)), rng.standard_normal((*batch, hidden))
    new_h, new_c = F.lstm_step(Tensor(gates), Tensor(c))
    for place in np.ndindex(*batch, hidden):
        i, f, g, o = (gates[(*place[:-1], place[-1] + k * hidden)] for k in range(4))
        expected = c[place] / (1 + math.exp(-f)) + math.tanh(g) / (1 + math.exp(-i))
        assert new_c.data[place] == pytest.approx(expected, rel=1e-13)
        assert new_h.data[place] == pytest.approx(math.tanh(expected) / (1 + math.exp(-o)), rel=1e-13)

    def both(gates: Any, c: Any) -> Tensor:
        h, c = F.lstm_step(tensor(gates), tensor(c))
        return h * np.linspace(1, 2, hidden) + c

    gradcheck(both, [gates, c], rng)
    gradgradcheck(both, [gates, c], rng)


# --- losses -------------------------------------------------------------------------------------------


@given(rng=generators(), shape=shapes(), reduction=reductions)
def test_binary_cross_entropy(rng: np.random.Generator, shape: tuple[int, ...], reduction: Any) -> None:
    if reduction == "mean" and 0 in shape:
        shape = ()
    z, y = 3 * rng.standard_normal(shape), rng.choice([0.0, 1.0, 0.3], shape)
    p = 1 / (1 + np.exp(-z))
    expected = REDUCE[reduction](-y * np.log(p) - (1 - y) * np.log(1 - p))
    out = F.binary_cross_entropy_with_logits(Tensor(z), y, reduction=reduction)
    np.testing.assert_allclose(out.data, expected, rtol=1e-10)
    f = lambda z: F.binary_cross_entropy_with_logits(z, y, reduction=reduction)
    gradcheck(f, [z], rng, analytic=False)  # NumPy has no complex logaddexp
    gradgradcheck(f, [z], rng)


@given(rng=generators(), rows=lengths, classes=lengths, reduction=reductions)
def test_cross_entropy(rng: np.random.Generator, rows: int, classes: int, reduction: Any) -> None:
    z, y = rng.standard_normal((rows, classes)), rng.integers(0, classes, rows)
    losses = [-math.log(math.exp(row[k]) / sum(map(math.exp, row))) for row, k in zip(z, y)]
    expected = REDUCE[reduction](losses)
    np.testing.assert_allclose(
        F.cross_entropy(Tensor(z), y, reduction=reduction).data, expected, rtol=1e-12, atol=1e-14
    )
    f = lambda z: F.cross_entropy(tensor(z), y, reduction=reduction)
    gradcheck(f, [z], rng)
    gradgradcheck(f, [z], rng)


@given(rng=generators(), shape=shapes(), reduction=reductions)
def test_mse(rng: np.random.Generator, shape: tuple[int, ...], reduction: Any) -> None:
    if reduction == "mean" and 0 in shape:
        shape = ()
    x, y = rng.standard_normal((2, *shape))
    out = F.mse_loss(Tensor(x), y, reduction)
    np.testing.assert_allclose(out.data, REDUCE[reduction](x * x - 2 * x * y + y * y), rtol=1e-9, atol=1e-12)
    f = lambda x: F.mse_loss(x, y, reduction)
    gradcheck(
        f, [x], rng, analytic=False
    )  # the target takes the dtype of the input, so complex would hide it
    gradgradcheck(f, [x], rng)


def test_losses_take_the_mean_unless_told() -> None:
    z = Tensor(np.array([1.0, 3.0]))
    assert F.mse_loss(z, [0.0, 0.0]).item() == 5.0
    assert F.binary_cross_entropy_with_logits(Tensor([0.0, 0.0]), [0, 1]).item() == pytest.approx(math.log(2))
    assert F.cross_entropy(Tensor(np.zeros((3, 5))), [0, 1, 4]).item() == pytest.approx(math.log(5))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("z", "y", "loss", "gradient"),
    [
        (800, 0, 800, 1),
        (800, 1, 0, 0),
        (800, 0.5, 400, 0.5),
        (-800, 0, 0, 0),
        (-800, 1, 800, -1),
        (-800, 0.5, 400, -0.5),
    ],
)
def test_binary_cross_entropy_of_extreme_logits_is_exact(
    z: float, y: float, loss: float, gradient: float, dtype: Any
) -> None:
    logits = Tensor(np.array([z], dtype=dtype), requires_grad=True)
    out = F.binary_cross_entropy_with_logits(logits, [y], reduction="sum")
    assert out.item() == loss
    assert gradient_of(out, logits).tolist() == [gradient]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_tiny_losses_of_confident_right_answers_are_not_rounded_to_zero(dtype: Any) -> None:
    logits = Tensor(np.array([40.0, -40.0], dtype=dtype), requires_grad=True)
    loss = F.binary_cross_entropy_with_logits(logits, [1, 0], reduction="none")
    np.testing.assert_allclose(loss.data, [4.248354255291589e-18] * 2, rtol=1e-6)
    np.testing.assert_allclose(
        gradient_of(loss.sum(), logits), [-4.248354255291589e-18, 4.248354255291589e-18], rtol=1e-5
    )


def test_float32_losses_stay_float32_with_whole_number_targets() -> None:
    z = np.linspace(-1, 1, 4, dtype=np.float32)
    y = np.array([0, 1, 1, 0], dtype=np.int64)
    for logits, f in [
        (z, F.binary_cross_entropy_with_logits),
        (z, F.mse_loss),
        (z.reshape(4, 1) * np.float32([1, -1]), F.cross_entropy),
    ]:
        x = Tensor(logits, requires_grad=True)
        loss = f(x, y)
        assert loss.dtype == np.float32
        assert gradient_of(loss, x).dtype == np.float32


@pytest.mark.parametrize("name", ["binary_cross_entropy_with_logits", "mse_loss"])
@pytest.mark.parametrize(("input", "target"), [((4, 1), (4,)), ((4,), (4, 1)), ((4,), ()), ((2, 3), (3,))])
def test_a_target_that_only_broadcasts_is_refused(name: str, input: Any, target: Any) -> None:
    with pytest.raises(ValueError, match=f"^{name} of an input of shape .* and a target of shape ") as error:
        getattr(F, name)(Tensor(np.zeros(input)), np.zeros(target))
    assert str(error.value) == f"{name} of an input of shape {input} and a target of shape {target}"


@pytest.mark.parametrize("target", [-0.01, 1.01, 2, math.nan])
def test_binary_cross_entropy_refuses_targets_outside_of_0_to_1(target: float) -> None:
    says = "^binary_cross_entropy_with_logits takes targets from 0 to 1, and found others$"
    with pytest.raises(ValueError, match=says):
        F.binary_cross_entropy_with_logits(Tensor([0.0, 0.0]), [1, target])


@pytest.mark.parametrize(("low", "high"), [(-1, 0), (0, 3)])
def test_cross_entropy_refuses_a_class_that_does_not_exist(low: int, high: int) -> None:
    with pytest.raises(ValueError, match=f"^cross_entropy of 3 classes got targets from {low} to {high}$"):
        F.cross_entropy(Tensor(np.zeros((2, 3))), [low, high])


@pytest.mark.parametrize(
    ("input", "target"),
    [
        (np.zeros((2, 3)), np.zeros((2, 1), dtype=int)),
        (np.zeros((2, 3)), np.zeros(3, dtype=int)),
        (np.zeros((2, 3)), np.zeros(2)),
        (np.zeros(3), np.zeros(3, dtype=int)),
        (np.zeros(()), np.zeros((), dtype=int)),
        (np.zeros((2, 3)), np.zeros((3, 2))),
        (np.zeros((2, 3, 1)), np.zeros(2, dtype=int)),
    ],
)
def test_cross_entropy_refuses_other_shapes_and_fractions(input: np.ndarray, target: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"^cross_entropy takes logits") as error:
        F.cross_entropy(Tensor(input), target)
    assert str(error.value) == (
        "cross_entropy takes logits (N, C, ...) or (C,) and whole-number targets of that shape without C, or "
        f"probabilities in that shape, not float64{list(input.shape)} and {target.dtype}{list(target.shape)}"
    )


def test_losses_refuse_another_reduction() -> None:
    with pytest.raises(
        ValueError, match=r"^mse_loss\(.*\): reduction is 'mean', 'sum' or 'none', not 'average'$"
    ):
        F.mse_loss(Tensor([1.0]), [1.0], "average")  # type: ignore[arg-type]


# --- that these checks can fail -----------------------------------------------------------------------


def test_the_checks_fail_on_wrong_functions(rng: np.random.Generator) -> None:
    x, weight = rng.standard_normal((2, 3)), rng.standard_normal((4, 3))
    wrong: list[tuple[Any, list[np.ndarray], bool]] = [
        # a constant in its place: right values, no gradient
        (lambda x: x - F.logsumexp(tensor(x).detach(), axis=-1, keepdims=True), [x], True),
        (lambda x: F.softmax(tensor(x)) * tensor(x).detach(), [x], True),
        (lambda x, w: F.linear(tensor(x), tensor(w).detach()), [x, weight], True),
        (lambda w: F.embedding([0, 1], tensor(w), padding_idx=1), [weight], True),
        (
            lambda z: F.binary_cross_entropy_with_logits(z * 1, [[0.5] * 3] * 2) + tensor(z).detach().sum(),
            [x],
            False,
        ),
        # another mask each time
        (lambda x: F.dropout(tensor(x), 0.5, rng=rng), [x], False),
    ]
    for f, arrays, analytic in wrong:
        with pytest.raises(AssertionError, match=r"the gradient (is wrong|differs)"):
            gradcheck(f, arrays, rng, analytic)


def test_the_second_order_check_fails_where_the_gradient_is_a_constant(rng: np.random.Generator) -> None:
    # the same value and first derivative as log_softmax, but with a constant for the probabilities
    def linearised(x: Any) -> Tensor:
        x = tensor(x)
        p = F.softmax(x).detach()
        return (
            F.log_softmax(x).detach() + (x - x.detach()) - (p * (x - x.detach())).sum(axis=-1, keepdims=True)
        )

    x = rng.standard_normal((2, 3))
    reference, same = Tensor(x, requires_grad=True), Tensor(x, requires_grad=True)
    F.log_softmax(reference)[:, 0].sum().backward()
    linearised(same)[:, 0].sum().backward()
    np.testing.assert_allclose(same.grad, reference.grad, rtol=1e-12)
    with pytest.raises(AssertionError, match="the second derivative is wrong"):
        gradgradcheck(linearised, [x], rng)


@pytest.mark.parametrize("descending", [False, True])
def test_sort_gives_values_and_places_and_equal_ones_stay_in_their_order(descending: bool) -> None:
    x = Tensor([[2.0, np.nan, 1.0, 2.0], [0.0, -1.0, 0.0, 3.0]], requires_grad=True)
    values, places = x.sort(1, descending)
    expected = [[1, 0, 3, 2], [3, 0, 2, 1]] if descending else [[2, 0, 3, 1], [1, 0, 2, 3]]
    np.testing.assert_array_equal(places, expected)
    np.testing.assert_array_equal(values.data, np.take_along_axis(x.data, places, 1))
    (values * [[1.0, 2.0, 3.0, 4.0]]).sum().backward()
    scattered = np.zeros((2, 4))
    np.put_along_axis(scattered, places, np.broadcast_to([1.0, 2.0, 3.0, 4.0], (2, 4)), 1)
    np.testing.assert_array_equal(x.grad, scattered)
    np.testing.assert_array_equal(x.argsort(1, descending), places)
    np.testing.assert_array_equal(x.argsort(dim=1, descending=descending, stable=True), places)


def test_methods_that_order_and_find_take_the_arguments_of_numpy_and_of_pytorch() -> None:
    x = Tensor([[2.0, 0.0, 1.0]])
    np.testing.assert_array_equal(x.argsort(1, "stable"), [[1, 2, 0]])
    np.testing.assert_array_equal(Tensor(3.0).sort().values.data, 3.0)
    np.testing.assert_array_equal(x.nonzero(), np.nonzero(x.data))
    np.testing.assert_array_equal(x.nonzero(as_tuple=False), [[0, 0], [0, 2]])


# --- linear algebra of extreme matrices ---------------------------------------------------------------


def test_the_exponential_of_a_matrix_does_not_depend_on_the_others_of_its_batch() -> None:
    angles = np.array([0.3, 1e6, 0.0])
    turns = angles[:, np.newaxis, np.newaxis] * np.array([[0.0, 1.0], [-1.0, 0.0]])
    found = F.matrix_exp(Tensor(turns)).data
    np.testing.assert_allclose(found[:, 0, 0], np.cos(angles), rtol=1e-9)
    np.testing.assert_allclose(found[0], F.matrix_exp(Tensor(turns[0])).data, rtol=1e-15)
    with np.errstate(over="ignore"):
        assert F.matrix_exp(Tensor([[1.79e308]])).item() == np.inf


def test_a_triangle_whose_diagonal_is_1_is_not_asked_for_it() -> None:
    matrix, right = np.array([[np.inf, 2.0], [5.0, np.nan]]), np.array([[1.0], [2.0]])
    found = F.solve_triangular(Tensor(matrix), Tensor(right), upper=True, unitriangular=True)
    np.testing.assert_array_equal(found.data, [[-3.0], [2.0]])


@pytest.mark.parametrize(
    "call",
    [
        lambda: np.vecdot(Tensor([1.0, 2.0]), Tensor([3.0])),
        lambda: np.linalg.vector_norm(Tensor([1.0, 2.0]), ord=(1.5,)),  # type: ignore[call-overload]
        lambda: F.matrix_exp(Tensor([1.0, 2.0])),
    ],
)
def test_what_numpy_refuses_of_vectors_is_refused(call: Callable[[], Any]) -> None:
    with pytest.raises((ValueError, TypeError), match=r"^(vecdot|vector_norm|matrix_exp)\("):
        call()


def test_a_masked_array_is_no_mask_of_attention() -> None:
    q = Tensor(np.ones((2, 2)))
    mask = np.ma.array(np.ones((2, 2), bool), mask=True)
    with pytest.raises(TypeError, match=r"^scaled_dot_product_attention.* rules of its own"):
        F.scaled_dot_product_attention(q, q, q, mask)


def test_casts_under_the_names_of_pytorch() -> None:
    x = Tensor([1.5, -2.5], requires_grad=True)
    y = x.float()  # type: ignore[attr-defined]
    assert y.dtype == np.float32
    y.sum().backward()
    np.testing.assert_array_equal(x.grad, [1, 1])
    whole = x.int()  # type: ignore[attr-defined]
    assert whole.dtype == np.int32
    assert not whole.requires_grad
    np.testing.assert_array_equal(whole.data, [1, -2])
    assert x.double().dtype == np.float64  # type: ignore[attr-defined]
    assert x.bool().data.tolist() == [True, True]  # type: ignore[attr-defined]


# --- complex constants --------------------------------------------------------------------------------


Z = np.exp(1j * np.arange(9.0)).reshape(3, 3) * np.arange(1.0, 10.0).reshape(3, 3)
PRODUCTS = ("vdot", "vecdot", "float_power", "dot", "inner", "tensordot", "kron")


@pytest.mark.parametrize(
    ("name", "args"),
    [*((name, (Z, Z.T)) for name in PRODUCTS), ("nanmean", (Z, 1)), ("vecmat", (Z[0], Z))],
)
def test_complex_constants_have_numpys_values(name: str, args: tuple[Any, ...]) -> None:
    function = getattr(np, name, None)
    if function is None:
        pytest.skip("a function of a later NumPy")
    given = [Tensor(x) if isinstance(x, np.ndarray) else x for x in args]
    np.testing.assert_allclose(function(*given).data, function(*args))


@pytest.mark.parametrize("function", [np.cov, np.corrcoef, np.nanvar, np.nanstd])
def test_statistics_of_complex_numbers_are_refused(function: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError, match="real numbers"):
        function(Tensor(np.array([[1 + 2j, 3.0], [0.5j, 1.0]])))
