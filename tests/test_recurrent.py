"""LSTM, GRU and LSTMCell: against the equations in plain loops, gradients, lengths, padding, and refusals.

What holds for both kinds is tried with both, each as one primitive and built from many.
"""

import gc
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.recurrent_cases import (
    assert_same,
    call,
    every_way,
    everything,
    plain_layer,
    plain_lstm,
    problems,
    run,
)
from tinygrad_np import Tensor, no_grad
from tinygrad_np.gradcheck import gradcheck, gradgradcheck
from tinygrad_np.nn import GRU, LSTM, LSTMCell
from tinygrad_np.testing import generators

both_ways = pytest.mark.parametrize("fused", [True, False])  # of what an LSTM alone has


# --- values -------------------------------------------------------------------------------------------


@given(problem=problems())
def test_it_is_the_plain_loop(problem: Any) -> None:
    layer, x, states, lengths = problem
    assert_same(run(layer, x, states, lengths), plain_layer(layer, x, states, lengths))


@every_way
def test_the_plain_loop_tells_wrong_gates_apart(make: Any, rng: np.random.Generator) -> None:
    layer = make(2, 3, bidirectional=True, rng=rng, dtype=np.float64)
    x = rng.standard_normal((2, 4, 2))
    expected = plain_layer(layer, x, None, [2, 4])
    for gate in range(layer.gates):
        right = layer.weight_hh_l0_reverse.data.copy()
        layer.weight_hh_l0_reverse.data[3 * gate : 3 * gate + 3] *= 1.001
        with pytest.raises(AssertionError):
            assert_same(run(layer, x, None, [2, 4]), expected)
        layer.weight_hh_l0_reverse.data[...] = right
    assert_same(run(layer, x, None, [2, 4]), expected)


@given(rng=generators(), batch=st.integers(0, 3), bias=st.booleans(), with_state=st.booleans())
def test_cell_is_one_plain_step(rng: np.random.Generator, batch: int, bias: bool, with_state: bool) -> None:
    cell = LSTMCell(3, 2, bias, rng=rng, dtype=np.float64)
    x = rng.standard_normal((batch, 3))
    h, c = rng.standard_normal((2, batch, 2)) if with_state else np.zeros((2, batch, 2))
    new_h, new_c = cell(Tensor(x), (Tensor(h), Tensor(c)) if with_state else None)
    assert new_h.shape == new_c.shape == (batch, 2)
    matrices = [cell.weight_ih.data, cell.weight_hh.data]
    biases = [np.zeros(8) if b is None else b.data for b in (cell.bias_ih, cell.bias_hh)]
    _, expected_h, expected_c = plain_lstm(x[:, np.newaxis], h, c, *matrices, *biases)
    np.testing.assert_allclose(new_h.data, expected_h, rtol=1e-12)
    np.testing.assert_allclose(new_c.data, expected_c, rtol=1e-12)


@both_ways
def test_lstm_is_its_cell_stepped(fused: bool, rng: np.random.Generator) -> None:
    layer = LSTM(3, 2, fused=fused, rng=0, dtype=np.float64)
    cell = LSTMCell(3, 2, rng=1, dtype=np.float64)
    cell.load_state_dict({name.removesuffix("_l0"): array for name, array in layer.state_dict().items()})
    x = rng.standard_normal((4, 5, 3))
    out, (h, c) = layer(Tensor(x))
    state = None
    for t in range(5):
        state = cell(Tensor(x[:, t]), state)
        np.testing.assert_allclose(out.data[:, t], state[0].data, rtol=1e-12)
    assert state is not None
    np.testing.assert_allclose(h.data[0], state[0].data, rtol=1e-12)
    np.testing.assert_allclose(c.data[0], state[1].data, rtol=1e-12)


@every_way
def test_a_sequence_in_two_pieces_is_the_whole(make: Any, rng: np.random.Generator) -> None:
    layer = make(2, 3, num_layers=2, rng=0, dtype=np.float64)
    x = rng.standard_normal((2, 7, 2))
    whole, *last = run(layer, x)
    first, *between = run(layer, x[:, :4])
    second, *after = run(layer, x[:, 4:], between)
    assert_same([np.concatenate([first, second], axis=1), *after], [whole, *last])


@every_way
def test_no_steps_no_sequences(make: Any) -> None:
    layer = make(2, 3, num_layers=2, bidirectional=True, rng=0, dtype=np.float64)
    states = np.arange(24.0 * layer.states).reshape(layer.states, 4, 2, 3)
    out, *last = run(layer, np.zeros((2, 0, 2)), states)
    assert out.shape == (2, 0, 6)
    np.testing.assert_array_equal(last, states)
    for time in (0, 5):
        results = run(layer, np.zeros((0, time, 2)), None, np.zeros(0, dtype=int))
        assert [r.shape for r in results] == [(0, time, 6), *[(4, 0, 3)] * layer.states]


@every_way
def test_empty_sequences_keep_their_initial_state(make: Any, rng: np.random.Generator) -> None:
    layer = make(2, 3, bidirectional=True, rng=0, dtype=np.float64)
    states = rng.standard_normal((layer.states, 2, 3, 3))
    out, *last = run(layer, rng.standard_normal((3, 4, 2)), states, [0, 4, 0])
    np.testing.assert_array_equal(out[[0, 2]], np.zeros((2, 4, 6)))
    np.testing.assert_array_equal(np.array(last)[:, :, [0, 2]], states[:, :, [0, 2]])
    assert (out[1] != 0).all()
    assert (np.array(last)[:, :, 1] != states[:, :, 1]).all()


# --- gradients ----------------------------------------------------------------------------------------


@given(problem=problems(), rng=generators())
@settings(max_examples=40)
def test_gradient_of_inputs_states_and_every_weight(problem: Any, rng: np.random.Generator) -> None:
    layer, x, states, lengths = problem
    if states is None:
        states = np.zeros((layer.states, layer.num_layers * len(layer.suffixes), len(x), layer.hidden_size))
    f, weights = everything(layer, lengths)
    gradcheck(f, [x, *states, *weights], rng)


@every_way
def test_every_weight_has_a_gradient(make: Any, rng: np.random.Generator) -> None:
    layer = make(2, 3, num_layers=2, bidirectional=True, rng=0)
    out, _ = layer(Tensor(rng.standard_normal((2, 3, 2)).astype(np.float32)), lengths=[3, 2])
    (out * out).sum().backward()
    assert len(layer.parameters()) == 16
    for name, p in layer.named_parameters().items():
        assert p.grad is not None, name
        assert p.grad.dtype == np.float32, name
        assert (p.grad != 0).all(), name


@pytest.mark.parametrize("bias", [True, False])
def test_gradient_of_a_cell(bias: bool, rng: np.random.Generator) -> None:
    cell = LSTMCell(3, 2, bias, rng=0, dtype=np.float64)
    f, weights = everything(cell)
    gradcheck(f, [rng.standard_normal(s) for s in ((4, 3), (4, 2), (4, 2))] + weights, rng)


@every_way
def test_the_gradient_check_fails_when_a_path_is_cut(make: Any, rng: np.random.Generator) -> None:
    layer = make(1, 1, rng=0, dtype=np.float64)
    f, weights = everything(layer)
    arrays = [rng.standard_normal((1, 3, 1)), *np.zeros((layer.states, 1, 1, 1)), *weights]
    for i in range(len(arrays)):
        with pytest.raises(AssertionError, match=r"the gradient (is wrong|differs)"):
            gradcheck(
                lambda *xs, i=i: f(
                    *(Tensor(x.data) if j == i and isinstance(x, Tensor) else x for j, x in enumerate(xs))
                ),
                arrays,
                rng,
            )


@every_way
@pytest.mark.parametrize("both", [False, True])
def test_second_derivative(make: Any, both: bool, rng: np.random.Generator) -> None:
    layer = make(2, 2, num_layers=1 + both, bidirectional=both, rng=0, dtype=np.float64)
    f, weights = everything(layer, [3, 2])
    states = rng.standard_normal((layer.states, 1 + 3 * both, 2, 2))
    gradgradcheck(f, [rng.standard_normal((2, 3, 2)), *states, *weights], rng)


# --- lengths and padding ------------------------------------------------------------------------------


def results_and_gradients(layer: Any, x: np.ndarray, states: Any, lengths: Any, g: Any) -> list[np.ndarray]:
    """The gradient of x, output, last states, and the gradients of the initial states and of every weight."""
    given = [Tensor(a, requires_grad=True) for a in (x, *states)]
    results = call(layer, given[0], given[1:], lengths)
    loss: Any = sum((r * one).sum() for r, one in zip(results, g, strict=True))
    loss.backward()
    gradients = [p.grad for p in (*given, *layer.parameters())]
    for p in layer.parameters():
        p.grad = None
    return [gradients[0], *(r.data for r in results), *gradients[1:]]


@every_way
@pytest.mark.parametrize("filling", [0.0, 1e6, np.inf, np.nan])
@pytest.mark.parametrize("both", [False, True])
def test_padding_has_no_influence(filling: float, both: bool, make: Any, rng: np.random.Generator) -> None:
    layer = make(2, 3, num_layers=2, bidirectional=both, rng=0, dtype=np.float64)
    lengths = np.array([2, 5, 0, 4])  # and none is as long as the array
    padding = np.arange(6) >= lengths[:, np.newaxis]
    x = rng.standard_normal((4, 6, 2))
    states = rng.standard_normal((layer.states, 2 + 2 * both, 4, 3))
    g = [rng.standard_normal(s) for s in ((4, 6, 3 + 3 * both), *[states[0].shape] * layer.states)]
    expected = results_and_gradients(layer, x, states, lengths, g)
    x[padding] = filling
    for result, other in zip(results_and_gradients(layer, x, states, lengths, g), expected, strict=True):
        np.testing.assert_array_equal(result, other)
    for gradient_or_output in expected[:2]:
        np.testing.assert_array_equal(gradient_or_output[padding], 0)
        assert (gradient_or_output[~padding] != 0).all()


@given(problem=problems(), rng=generators())
def test_permuting_the_batch_permutes_the_results(problem: Any, rng: np.random.Generator) -> None:
    layer, x, states, lengths = problem
    order = rng.permutation(len(x))
    out, *last = run(layer, x, states, lengths)
    permuted = run(
        layer,
        x[order],
        None if states is None else states[:, :, order],
        None if lengths is None else lengths[order],
    )
    assert_same(permuted, [out[order], *(state[:, order] for state in last)])


@given(problem=problems())
def test_each_sequence_alone_gives_the_same(problem: Any) -> None:
    layer, x, states, lengths = problem
    out, *last = run(layer, x, states, lengths)
    for b in range(len(x)):
        length = x.shape[1] if lengths is None else lengths[b]
        alone = run(layer, x[b : b + 1, :length], None if states is None else states[:, :, b : b + 1])
        assert_same(alone, [out[b : b + 1, :length], *(state[:, b : b + 1] for state in last)])


@every_way
def test_lengths_of_the_whole_change_nothing(make: Any, rng: np.random.Generator) -> None:
    layer = make(2, 3, bidirectional=True, rng=0)
    x = rng.standard_normal((3, 4, 2)).astype(np.float32)
    for lengths in ([4, 4, 4], np.array([4, 4, 4], dtype=np.uint8), Tensor(np.array([4, 4, 4]))):
        for a, b in zip(run(layer, x), run(layer, x, None, lengths), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("kind", [LSTM, GRU])
def test_lengths_of_any_whole_dtype(kind: Any, rng: np.random.Generator) -> None:
    layer = kind(2, 3, bidirectional=True, rng=0)
    x = rng.standard_normal((3, 300, 2)).astype(np.float32)
    for dtype in (np.uint8, np.int16, np.uint64):
        lengths = np.array([200, 0, 255], dtype)
        for a, b in zip(run(layer, x, None, lengths.tolist()), run(layer, x, None, lengths), strict=True):
            np.testing.assert_array_equal(a, b)


# --- indices of rows ----------------------------------------------------------------------------------


@every_way
def test_indices_read_the_rows_of_a_table(make: Any, rng: np.random.Generator) -> None:
    layer = make(3, 2, num_layers=2, bidirectional=True, rng=0, dtype=np.float64)
    rows = rng.standard_normal((5, 3))
    indices = np.array([[1, 4, 1, 1], [4, 0, 3, 3], [3, 3, 3, 3]])  # 3 is in the padding alone, and 2 nowhere
    lengths = [4, 2, 0]
    gradients = []
    for with_indices in (True, False):
        table = Tensor(rows, requires_grad=True)
        if with_indices:
            out, last = layer(table, lengths=lengths, indices=indices)
        else:
            out, last = layer(table[indices], lengths=lengths)
        (out.sum() + last[0].sum()).backward()
        gradients += [out.data, table.grad, *(p.grad for p in layer.parameters())]
        for p in layer.parameters():
            p.grad = None
    half = len(gradients) // 2
    for mine, expected in zip(gradients[:half], gradients[half:], strict=True):
        np.testing.assert_allclose(mine, expected, rtol=1e-12, atol=1e-13)
    assert (gradients[1][[0, 1, 4]] != 0).all()
    np.testing.assert_array_equal(gradients[1][[2, 3]], 0)


# --- weights, dtype, dropout --------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "rows"), [(LSTM, 12), (GRU, 9)])
def test_names_shapes_and_order_of_the_weights(kind: Any, rows: int) -> None:
    layer = kind(5, 3, num_layers=2, bidirectional=True, rng=0)
    shapes = {}
    for n, inputs in ((0, 5), (1, 6)):
        for suffix in (f"_l{n}", f"_l{n}_reverse"):
            shapes |= {f"weight_ih{suffix}": (rows, inputs), f"weight_hh{suffix}": (rows, 3)}
            shapes |= {f"bias_ih{suffix}": (rows,), f"bias_hh{suffix}": (rows,)}
    assert [(name, p.shape) for name, p in layer.named_parameters().items()] == list(shapes.items())
    assert list(kind(5, 3, bias=False, rng=0).named_parameters().keys()) == ["weight_ih_l0", "weight_hh_l0"]


def test_names_of_the_weights_of_a_cell() -> None:
    assert list(LSTMCell(5, 3, bias=False, rng=0).named_parameters().keys()) == ["weight_ih", "weight_hh"]
    assert list(LSTMCell(5, 3, rng=0).named_parameters().keys()) == [
        "weight_ih",
        "weight_hh",
        "bias_ih",
        "bias_hh",
    ]


@pytest.mark.parametrize("make", [LSTM, LSTMCell])
def test_the_forget_gate_starts_open(make: Any) -> None:
    fresh = make(4, 25, rng=0, dtype=np.float64).state_dict()
    plain = make(4, 25, forget_bias=0.0, rng=0, dtype=np.float64).state_dict()
    for name, array in plain.items():
        assert 0.15 < abs(array).max() <= 0.2, name  # within 1 / sqrt(hidden)
        added = np.zeros_like(array)
        if name.startswith("bias_ih"):
            added[25:50] = 1
        np.testing.assert_allclose(fresh[name], array + added, rtol=0, atol=1e-15, err_msg=name)


def test_forget_bias_reaches_every_layer_and_direction() -> None:
    state = LSTM(4, 25, num_layers=2, bidirectional=True, forget_bias=3.0, rng=0).state_dict()
    for suffix in ("_l0", "_l0_reverse", "_l1", "_l1_reverse"):
        i, f, g, o = np.split(state["bias_ih" + suffix], 4)
        assert (abs(f - 3) <= 0.2 + 1e-6).all()
        assert (abs(np.concatenate([i, g, o])) <= 0.2).all()
        assert (abs(state["bias_hh" + suffix]) <= 0.2).all()


@pytest.mark.parametrize("kind", [LSTM, GRU])
def test_weights_are_seeded(kind: Any) -> None:
    one, same, other = (kind(2, 3, rng=seed).state_dict() for seed in (1, 1, 2))
    for name in one:
        np.testing.assert_array_equal(one[name], same[name])
        assert (one[name] != other[name]).all()


@every_way
def test_float32_stays_float32(make: Any, rng: np.random.Generator) -> None:
    layer = make(2, 3, num_layers=2, dropout=0.5, bidirectional=True, rng=0)
    x = Tensor(rng.standard_normal((2, 4, 2)).astype(np.float32), requires_grad=True)
    states = [Tensor(np.zeros((4, 2, 3), np.float32), requires_grad=True) for _ in range(layer.states)]
    for given_states in (None, states):
        results = call(layer, x, given_states, [4, 2])
        assert {r.dtype for r in results} == {np.dtype(np.float32)}
        results[0].sum().backward()
    for p in (x, *states, *layer.parameters()):
        assert p.grad is not None
        assert p.grad.dtype == np.float32


def test_float32_stays_float32_in_a_cell() -> None:
    h, c = LSTMCell(2, 3, rng=0)(Tensor(np.ones((2, 2), np.float32)))
    assert h.dtype == c.dtype == np.float32


@every_way
def test_dropout_lies_between_layers_and_only_while_training(make: Any, rng: np.random.Generator) -> None:
    x = rng.standard_normal((2, 4, 3))
    plain = make(3, 50, num_layers=2, rng=0, dtype=np.float64)
    layer = make(3, 50, num_layers=2, dropout=0.5, rng=0, dtype=np.float64)
    layer.load_state_dict(plain.state_dict())
    first = run(layer, x)
    again = run(layer, x)
    assert (first[0] != again[0]).all()  # another mask
    assert (first[0] != 0).all()  # the output of the last layer is not dropped
    np.testing.assert_array_equal(first[1][0], run(plain, x)[1][0])  # nor is the state of the first
    assert (first[1][1] != run(plain, x)[1][1]).all()
    layer.eval()
    for result, expected in zip(run(layer, x), run(plain, x)):
        np.testing.assert_array_equal(result, expected)


@every_way
def test_dropout_is_seeded(make: Any, rng: np.random.Generator) -> None:
    x = rng.standard_normal((2, 4, 3))
    one, same, other = (
        run(make(3, 4, num_layers=2, dropout=0.5, rng=seed, dtype=np.float64), x) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one[0], same[0])
    assert (one[0] != other[0]).all()


@every_way
def test_one_layer_has_nothing_to_drop(make: Any, rng: np.random.Generator) -> None:
    layer = make(3, 4, dropout=0.9, rng=0, dtype=np.float64)
    x = rng.standard_normal((2, 4, 3))
    np.testing.assert_array_equal(run(layer, x)[0], run(layer, x)[0])


# --- long sequences -----------------------------------------------------------------------------------


@both_ways
def test_a_sequence_of_2000_steps_goes_backward(fused: bool, rng: np.random.Generator) -> None:
    # a forget gate that is almost 1 carries the gradient all the way
    layer = LSTM(2, 3, forget_bias=10.0, fused=fused, rng=0, dtype=np.float64)
    x = Tensor(rng.standard_normal((1, 2000, 2)), requires_grad=True)
    _, (_, c) = layer(x)
    c.sum().backward()
    assert x.grad is not None
    assert abs(x.grad[0, 0]).min() > 1e-3
    step = np.zeros_like(x.data, dtype=complex)
    step[0, 0, 0] = 1e-100j
    with no_grad():
        _, (_, moved) = layer(Tensor(x.data + step))
    np.testing.assert_allclose(x.grad[0, 0, 0], moved.data.imag.sum() / 1e-100, rtol=1e-9)


@every_way
def test_the_graph_of_a_sequence_is_freed_without_the_garbage_collector(
    make: Any, rng: np.random.Generator
) -> None:
    layer = make(2, 3, rng=0)
    x = Tensor(rng.standard_normal((2, 50, 2)).astype(np.float32))
    gc.collect()
    gc.disable()
    try:
        layer(x, lengths=[50, 20])
        layer(x, lengths=[50, 20])[0].sum().backward()
        assert gc.collect() == 0  # nothing was left in a cycle
    finally:
        gc.enable()


# --- refusals -----------------------------------------------------------------------------------------


kinds = pytest.mark.parametrize("kind", [LSTM, GRU])


@kinds
@pytest.mark.parametrize("shape", [(2,), (4, 3), (3, 4, 3), (1, 3, 4, 2)])
def test_an_input_of_another_shape_is_refused(kind: Any, shape: tuple[int, ...]) -> None:
    with pytest.raises(
        ValueError, match=rf"^{kind.__name__} takes \(batch, time, 2\), and got an input of shape "
    ) as error:
        kind(2, 3, rng=0)(Tensor(np.zeros(shape)))
    assert str(error.value).endswith(f"shape {shape if len(shape) != 2 else (1, *shape)}")


@kinds
@pytest.mark.parametrize(
    "lengths", [[5, 1], [-1, 1], [1], [1, 1, 1], 2, [[1, 2]], [1.0, 2.0], [True, False], ["a", "b"]]
)
def test_other_lengths_are_refused(kind: Any, lengths: Any) -> None:
    with pytest.raises(
        ValueError, match=rf"^{kind.__name__} takes 2 whole lengths from 0 to 4, not "
    ) as error:
        kind(2, 3, rng=0)(Tensor(np.zeros((2, 4, 2))), lengths=lengths)
    assert str(error.value).endswith(f"not {lengths}")


@pytest.mark.parametrize("shapes", [((1, 2, 3), (1, 1, 3)), ((2, 3), (2, 3)), ((2, 2, 3), (1, 2, 3))])
def test_states_of_another_shape_are_refused(shapes: Any) -> None:
    state = tuple(Tensor(np.zeros(s)) for s in shapes)
    with pytest.raises(ValueError, match=r"^LSTM takes states of shape \(1, 2, 3\), not ") as error:
        LSTM(2, 3, rng=0)(Tensor(np.zeros((2, 4, 2))), state)
    assert str(error.value).endswith(f"not {shapes[0]} and {shapes[1]}")


def test_a_cell_refuses_other_shapes() -> None:
    cell = LSTMCell(2, 3, rng=0)
    for shape in ((), (3,), (4, 3), (4, 1, 2)):
        with pytest.raises(
            ValueError, match=r"^LSTMCell takes \(batch, 2\) or \(2,\), and got an input of shape "
        ):
            cell(Tensor(np.zeros(shape)))
    right = Tensor(np.zeros((4, 3)))
    for wrong in (Tensor(np.zeros((1, 3))), Tensor(np.zeros(3)), Tensor(np.zeros((4, 2)))):
        for state in ((wrong, right), (right, wrong)):
            with pytest.raises(
                ValueError, match=r"^LSTMCell takes states h and c, each of shape \(4, 3\), not "
            ):
                cell(Tensor(np.zeros((4, 2))), state)


@kinds
def test_what_no_layer_has_is_refused(kind: Any) -> None:
    with pytest.raises(
        ValueError, match=rf"^{kind.__name__} takes a whole number from 1 for num_layers, not 0$"
    ):
        kind(2, 3, num_layers=0, rng=0)
    with pytest.raises(ValueError, match=r"takes a whole number from 1 for hidden_size, not 0$"):
        kind(2, 0, rng=0)
    for dropout in (-0.1, 1.0, math.nan):
        with pytest.raises(
            ValueError, match=rf"^{kind.__name__} takes a probability from 0 to below 1, not {dropout}$"
        ):
            kind(2, 3, dropout=dropout, rng=0)


@kinds
def test_other_indices_are_refused(kind: Any) -> None:
    layer, name = kind(2, 3, rng=0), kind.__name__
    table = Tensor(np.zeros((4, 2)))
    with pytest.raises(
        ValueError, match=rf"^{name} with indices takes a table \(rows, 2\), not one of shape \(4, 3\)$"
    ):
        layer(Tensor(np.zeros((4, 3))), indices=[[1]])
    with pytest.raises(
        ValueError, match=rf"^{name} takes indices \(batch, time\), and got some of shape \(1, 1, 2\)$"
    ):
        layer(table, indices=[[[1, 2]]])
    with pytest.raises(IndexError, match=rf"^{name} takes whole numbers for indices, not float64$"):
        layer(table, indices=[[1.0]])
    for indices in ([[0, 4]], [[-1, 3]]):
        low, high = indices[0]
        with pytest.raises(IndexError, match=rf"^{name} of 4 rows got indices from {low} to {high}$"):
            layer(table, indices=indices)
