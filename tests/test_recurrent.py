"""LSTM and LSTMCell: against the equations in plain loops, gradients, lengths, padding, and refusals."""

import gc
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_np import Tensor
from tinygrad_np.gradcheck import gradcheck, gradgradcheck
from tinygrad_np.nn import LSTM, LSTMCell
from tinygrad_np.testing import generators

SIZES = {
    "batch": st.integers(0, 4),
    "time": st.integers(0, 4),
    "inputs": st.integers(0, 3),
    "hidden": st.integers(1, 3),
    "layers": st.integers(1, 3),
    "both": st.booleans(),
    "bias": st.booleans(),
    "with_lengths": st.booleans(),
    "with_state": st.booleans(),
}


@st.composite
def problems(draw: st.DrawFn) -> tuple[LSTM, np.ndarray, Any, Any]:
    """A small LSTM in float64, inputs, an initial state or None, and lengths or None."""
    rng = draw(generators())
    size = {name: draw(strategy) for name, strategy in SIZES.items()}
    layer = LSTM(
        size["inputs"],
        size["hidden"],
        size["layers"],
        size["bias"],
        bidirectional=size["both"],
        rng=rng,
        dtype=np.float64,
    )
    x = rng.standard_normal((size["batch"], size["time"], size["inputs"]))
    shape = (size["layers"] * (1 + size["both"]), size["batch"], size["hidden"])
    state = rng.standard_normal((2, *shape)) if size["with_state"] else None
    lengths = rng.integers(0, size["time"] + 1, size["batch"]) if size["with_lengths"] else None
    return layer, x, state, lengths


def logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def one_step(weights: dict[str, np.ndarray], name: str, x: Any, h: Any, c: Any) -> tuple[list, list]:
    """The equations of an LSTM for one sequence, number by number; the order of the gates is i, f, g, o."""
    hidden = len(h)
    a = []
    for row in range(4 * hidden):
        total = sum(w * v for w, v in zip(weights[f"weight_ih{name}"][row], x))
        total += sum(w * v for w, v in zip(weights[f"weight_hh{name}"][row], h))
        if f"bias_ih{name}" in weights:
            total += weights[f"bias_ih{name}"][row] + weights[f"bias_hh{name}"][row]
        a.append(total)
    new_h, new_c = [], []
    for k in range(hidden):
        i, f, g, o = a[k], a[hidden + k], a[2 * hidden + k], a[3 * hidden + k]
        new_c.append(logistic(f) * c[k] + logistic(i) * math.tanh(g))
        new_h.append(logistic(o) * math.tanh(new_c[k]))
    return new_h, new_c


def plain_lstm(layer: LSTM, x: np.ndarray, state: Any, lengths: Any) -> tuple[np.ndarray, ...]:
    """The whole layer as plain loops over sequences, which are cut to their lengths first."""
    weights = layer.state_dict()
    batch, time, _ = x.shape
    directions = 2 if "weight_ih_l0_reverse" in weights else 1
    out = np.zeros((batch, time, directions * layer.hidden_size))
    last = np.zeros((2, layer.num_layers * directions, batch, layer.hidden_size))
    if state is not None:
        last[...] = state
    for b in range(batch):
        length = time if lengths is None else lengths[b]
        sequence = [list(step) for step in x[b, :length]]
        for n in range(layer.num_layers):
            runs = []
            for direction in range(directions):
                k = directions * n + direction
                h, c = list(last[0, k, b]), list(last[1, k, b])
                run = []
                for step in sequence[::-1] if direction else sequence:
                    h, c = one_step(weights, f"_l{n}" + "_reverse" * direction, step, h, c)
                    run.append(h)
                last[0, k, b], last[1, k, b] = h, c
                runs.append(run[::-1] if direction else run)
            sequence = [[number for step in steps for number in step] for steps in zip(*runs)]
        for t, step in enumerate(sequence):
            out[b, t] = step
    return out, last[0], last[1]


def tensors(state: Any) -> Any:
    return None if state is None else (Tensor(state[0]), Tensor(state[1]))


def run(layer: LSTM, x: Any, state: Any = None, lengths: Any = None) -> tuple[np.ndarray, ...]:
    out, (h, c) = layer(Tensor(x), tensors(state), lengths)
    return out.data, h.data, c.data


def assert_same(results: Any, expected: Any, **tolerance: float) -> None:
    for result, other, name in zip(results, expected, ("output", "h", "c")):
        assert result.shape == other.shape
        np.testing.assert_allclose(
            result, other, err_msg=name, **({"rtol": 1e-11, "atol": 1e-13} | tolerance)
        )


# --- values -------------------------------------------------------------------------------------------


@given(problem=problems())
def test_lstm_is_the_plain_loop(problem: Any) -> None:
    layer, x, state, lengths = problem
    assert_same(run(layer, x, state, lengths), plain_lstm(layer, x, state, lengths))


@pytest.mark.parametrize("gate", range(4))
def test_the_plain_loop_tells_wrong_gates_apart(gate: int, rng: np.random.Generator) -> None:
    layer = LSTM(2, 3, bidirectional=True, rng=rng, dtype=np.float64)
    x = rng.standard_normal((2, 4, 2))
    expected = plain_lstm(layer, x, None, [2, 4])
    rows = slice(3 * gate, 3 * gate + 3)
    layer.weight_hh_l0_reverse.data[rows] *= 1.001  # type: ignore[attr-defined]
    with pytest.raises(AssertionError):
        assert_same(run(layer, x, None, [2, 4]), expected)


@given(rng=generators(), batch=st.integers(0, 3), bias=st.booleans(), with_state=st.booleans())
def test_cell_is_one_plain_step(rng: np.random.Generator, batch: int, bias: bool, with_state: bool) -> None:
    cell = LSTMCell(3, 2, bias, rng=rng, dtype=np.float64)
    x = rng.standard_normal((batch, 3))
    h, c = rng.standard_normal((2, batch, 2)) if with_state else np.zeros((2, batch, 2))
    new_h, new_c = cell(Tensor(x), (Tensor(h), Tensor(c)) if with_state else None)
    assert new_h.shape == new_c.shape == (batch, 2)
    for b in range(batch):
        expected_h, expected_c = one_step(cell.state_dict(), "", x[b], h[b], c[b])
        np.testing.assert_allclose(new_h.data[b], expected_h, rtol=1e-12)
        np.testing.assert_allclose(new_c.data[b], expected_c, rtol=1e-12)


def test_lstm_is_its_cell_stepped(rng: np.random.Generator) -> None:
    layer, cell = LSTM(3, 2, rng=0, dtype=np.float64), LSTMCell(3, 2, rng=1, dtype=np.float64)
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


def test_a_sequence_in_two_pieces_is_the_whole(rng: np.random.Generator) -> None:
    layer = LSTM(2, 3, num_layers=2, rng=0, dtype=np.float64)
    x = rng.standard_normal((2, 7, 2))
    whole, state = layer(Tensor(x))
    first, between = layer(Tensor(x[:, :4]))
    second, after = layer(Tensor(x[:, 4:]), between)
    np.testing.assert_allclose(np.concatenate([first.data, second.data], axis=1), whole.data, rtol=1e-12)
    for s, t in zip(after, state):
        np.testing.assert_allclose(s.data, t.data, rtol=1e-12)


def test_no_steps_no_sequences() -> None:
    layer = LSTM(2, 3, num_layers=2, bidirectional=True, rng=0, dtype=np.float64)
    state = np.arange(48.0).reshape(2, 4, 2, 3)
    out, h, c = run(layer, np.zeros((2, 0, 2)), state)
    assert out.shape == (2, 0, 6)
    np.testing.assert_array_equal([h, c], state)
    for time in (0, 5):
        out, h, c = run(layer, np.zeros((0, time, 2)), None, np.zeros(0, dtype=int))
        assert (out.shape, h.shape, c.shape) == ((0, time, 6), (4, 0, 3), (4, 0, 3))


def test_empty_sequences_keep_their_initial_state(rng: np.random.Generator) -> None:
    layer = LSTM(2, 3, bidirectional=True, rng=0, dtype=np.float64)
    state = rng.standard_normal((2, 2, 3, 3))
    out, h, c = run(layer, rng.standard_normal((3, 4, 2)), state, [0, 4, 0])
    np.testing.assert_array_equal(out[[0, 2]], np.zeros((2, 4, 6)))
    np.testing.assert_array_equal(h[:, [0, 2]], state[0][:, [0, 2]])
    np.testing.assert_array_equal(c[:, [0, 2]], state[1][:, [0, 2]])
    assert (out[1] != 0).all()


# --- gradients ----------------------------------------------------------------------------------------


def everything(layer: LSTM | LSTMCell, lengths: Any = None) -> tuple[Any, list[np.ndarray]]:
    """The layer as a function of x, h, c and all its weights, its results joined to one; and the weights."""
    names = list(layer.named_parameters())

    def f(x: Any, h: Any, c: Any, *weights: Any) -> Tensor:
        given = [w if isinstance(w, Tensor) else Tensor(w) for w in (x, h, c, *weights)]
        mine = {name: getattr(layer, name) for name in names}
        try:
            for name, weight in zip(names, given[3:]):
                setattr(layer, name, weight)
            if isinstance(layer, LSTMCell):
                results: Any = layer(given[0], (given[1], given[2]))
            else:
                out, state = layer(given[0], (given[1], given[2]), lengths)
                results = (out, *state)
        finally:
            for name, weight in mine.items():
                setattr(layer, name, weight)
        return np.concatenate([np.ravel(r) for r in results])  # type: ignore[return-value]

    return f, [p.data for p in layer.parameters()]


@given(problem=problems(), rng=generators())
@settings(max_examples=40)
def test_gradient_of_inputs_states_and_every_weight(problem: Any, rng: np.random.Generator) -> None:
    layer, x, state, lengths = problem
    if state is None:
        shape = (layer.num_layers * len(layer.suffixes), len(x), layer.hidden_size)
        state = np.zeros((2, *shape))
    f, weights = everything(layer, lengths)
    gradcheck(f, [x, *state, *weights], rng)


def test_every_weight_has_a_gradient(rng: np.random.Generator) -> None:
    layer = LSTM(2, 3, num_layers=2, bidirectional=True, rng=0)
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


def test_the_gradient_check_fails_when_a_path_is_cut(rng: np.random.Generator) -> None:
    layer = LSTM(2, 2, rng=0, dtype=np.float64)
    f, weights = everything(layer)
    arrays = [rng.standard_normal((1, 3, 2)), np.zeros((1, 1, 2)), np.zeros((1, 1, 2)), *weights]
    for i in (0, 1, 2, 3, 4, 5, 6):
        with pytest.raises(AssertionError, match=r"the gradient (is wrong|differs)"):
            gradcheck(
                lambda *xs, i=i: f(
                    *(Tensor(x.data) if j == i and isinstance(x, Tensor) else x for j, x in enumerate(xs))
                ),
                arrays,
                rng,
            )


@pytest.mark.parametrize("both", [False, True])
def test_second_derivative(both: bool, rng: np.random.Generator) -> None:
    layer = LSTM(2, 2, num_layers=1 + both, bidirectional=both, rng=0, dtype=np.float64)
    f, weights = everything(layer, [3, 2])
    state = rng.standard_normal((2, 1 + 3 * both, 2, 2))
    gradgradcheck(f, [rng.standard_normal((2, 3, 2)), *state, *weights], rng)


# --- lengths and padding ------------------------------------------------------------------------------


def results_and_gradients(layer: LSTM, x: np.ndarray, state: Any, lengths: Any, g: Any) -> list[np.ndarray]:
    """Output, last states, and the gradients of x, of the initial state and of every weight."""
    given = [Tensor(a, requires_grad=True) for a in (x, *state)]
    out, (h, c) = layer(given[0], (given[1], given[2]), lengths)
    loss = (out * g[0]).sum() + (h * g[1]).sum() + (c * g[2]).sum()
    loss.backward()
    gradients = [p.grad for p in (*given, *layer.parameters())]
    for p in layer.parameters():
        p.grad = None
    return [out.data, h.data, c.data, *(np.zeros(0) if part is None else part for part in gradients)]


@pytest.mark.parametrize("filling", [0.0, 1e6, np.inf, np.nan])
@pytest.mark.parametrize("both", [False, True])
def test_padding_has_no_influence(filling: float, both: bool, rng: np.random.Generator) -> None:
    layer = LSTM(2, 3, num_layers=2, bidirectional=both, rng=0, dtype=np.float64)
    lengths = np.array([2, 5, 0, 4])  # and none is as long as the array
    padding = np.arange(6) >= lengths[:, np.newaxis]
    x = rng.standard_normal((4, 6, 2))
    state = rng.standard_normal((2, 2 + 2 * both, 4, 3))
    g = [rng.standard_normal(s) for s in ((4, 6, 3 + 3 * both), state[0].shape, state[0].shape)]
    expected = results_and_gradients(layer, x, state, lengths, g)
    x[padding] = filling
    for result, other in zip(results_and_gradients(layer, x, state, lengths, g), expected):
        np.testing.assert_array_equal(result, other)
    np.testing.assert_array_equal(expected[0][padding], 0)
    np.testing.assert_array_equal(expected[3][padding], 0)
    assert (expected[3][~padding] != 0).all()


@given(problem=problems(), rng=generators())
def test_permuting_the_batch_permutes_the_results(problem: Any, rng: np.random.Generator) -> None:
    layer, x, state, lengths = problem
    order = rng.permutation(len(x))
    out, h, c = run(layer, x, state, lengths)
    permuted = run(
        layer,
        x[order],
        None if state is None else state[:, :, order],
        None if lengths is None else lengths[order],
    )
    assert_same(permuted, (out[order], h[:, order], c[:, order]))


@given(problem=problems())
def test_each_sequence_alone_gives_the_same(problem: Any) -> None:
    layer, x, state, lengths = problem
    out, h, c = run(layer, x, state, lengths)
    for b in range(len(x)):
        length = x.shape[1] if lengths is None else lengths[b]
        alone = run(layer, x[b : b + 1, :length], None if state is None else state[:, :, b : b + 1])
        assert_same(alone, (out[b : b + 1, :length], h[:, b : b + 1], c[:, b : b + 1]))


def test_lengths_of_the_whole_change_nothing(rng: np.random.Generator) -> None:
    layer = LSTM(2, 3, bidirectional=True, rng=0)
    x = rng.standard_normal((3, 4, 2)).astype(np.float32)
    for lengths in ([4, 4, 4], np.array([4, 4, 4], dtype=np.uint8), Tensor(np.array([4, 4, 4]))):
        for a, b in zip(run(layer, x), run(layer, x, None, lengths)):
            np.testing.assert_array_equal(a, b)


# --- weights, dtype, dropout --------------------------------------------------------------------------


def test_names_shapes_and_order_of_the_weights() -> None:
    layer = LSTM(5, 3, num_layers=2, bidirectional=True, rng=0)
    shapes = {}
    for n, inputs in ((0, 5), (1, 6)):
        for suffix in (f"_l{n}", f"_l{n}_reverse"):
            shapes |= {f"weight_ih{suffix}": (12, inputs), f"weight_hh{suffix}": (12, 3)}
            shapes |= {f"bias_ih{suffix}": (12,), f"bias_hh{suffix}": (12,)}
    assert [(name, p.shape) for name, p in layer.named_parameters().items()] == list(shapes.items())
    assert list(LSTM(5, 3, bias=False, rng=0).named_parameters()) == ["weight_ih_l0", "weight_hh_l0"]
    assert list(LSTMCell(5, 3, bias=False, rng=0).named_parameters()) == ["weight_ih", "weight_hh"]
    assert list(LSTMCell(5, 3, rng=0).named_parameters()) == ["weight_ih", "weight_hh", "bias_ih", "bias_hh"]


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


def test_weights_are_seeded() -> None:
    one, same, other = (LSTM(2, 3, rng=seed).state_dict() for seed in (1, 1, 2))
    for name in one:
        np.testing.assert_array_equal(one[name], same[name])
        assert (one[name] != other[name]).all()


def test_float32_stays_float32(rng: np.random.Generator) -> None:
    layer = LSTM(2, 3, num_layers=2, dropout=0.5, bidirectional=True, rng=0)
    x = Tensor(rng.standard_normal((2, 4, 2)).astype(np.float32), requires_grad=True)
    state = Tensor(np.zeros((4, 2, 3), np.float32), requires_grad=True)
    for given_state in (None, (state, state)):
        out, (h, c) = layer(x, given_state, [4, 2])
        assert out.dtype == h.dtype == c.dtype == np.float32
        out.sum().backward()
    for p in (x, state, *layer.parameters()):
        assert p.grad is not None
        assert p.grad.dtype == np.float32
    cell = LSTMCell(2, 3, rng=0)
    h, c = cell(x[:, 0])
    assert h.dtype == c.dtype == np.float32


def test_dropout_lies_between_layers_and_only_while_training(rng: np.random.Generator) -> None:
    x = rng.standard_normal((2, 4, 3))
    plain = LSTM(3, 50, num_layers=2, rng=0, dtype=np.float64)
    layer = LSTM(3, 50, num_layers=2, dropout=0.5, rng=0, dtype=np.float64)
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


def test_dropout_is_seeded(rng: np.random.Generator) -> None:
    x = rng.standard_normal((2, 4, 3))
    one, same, other = (
        run(LSTM(3, 4, num_layers=2, dropout=0.5, rng=seed, dtype=np.float64), x) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one[0], same[0])
    assert (one[0] != other[0]).all()


def test_one_layer_has_nothing_to_drop(rng: np.random.Generator) -> None:
    layer = LSTM(3, 4, dropout=0.9, rng=0, dtype=np.float64)
    x = rng.standard_normal((2, 4, 3))
    np.testing.assert_array_equal(run(layer, x)[0], run(layer, x)[0])


# --- long sequences -----------------------------------------------------------------------------------


def test_a_sequence_of_2000_steps_goes_backward(rng: np.random.Generator) -> None:
    # a forget gate that is almost 1 carries the gradient all the way
    layer = LSTM(2, 3, forget_bias=10.0, rng=0, dtype=np.float64)
    x = Tensor(rng.standard_normal((1, 2000, 2)), requires_grad=True)
    _, (_, c) = layer(x)
    c.sum().backward()
    assert x.grad is not None
    assert abs(x.grad[0, 0]).min() > 1e-3
    step = np.zeros_like(x.data, dtype=complex)
    step[0, 0, 0] = 1e-100j
    _, (_, moved) = layer(Tensor(x.data + step))
    np.testing.assert_allclose(x.grad[0, 0, 0], moved.data.imag.sum() / 1e-100, rtol=1e-9)


def test_the_graph_of_a_sequence_is_freed_without_the_garbage_collector(rng: np.random.Generator) -> None:
    layer = LSTM(2, 3, rng=0)
    x = Tensor(rng.standard_normal((2, 50, 2)).astype(np.float32))
    gc.collect()
    gc.disable()
    try:
        layer(x, lengths=[50, 20])
        assert gc.collect() == 0  # nothing was left in a cycle
    finally:
        gc.enable()


# --- refusals -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(4, 2), (3, 4, 3), (1, 3, 4, 2)])
def test_an_input_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(
        ValueError, match=r"^LSTM takes \(batch, time, 2\), and got an input of shape "
    ) as error:
        LSTM(2, 3, rng=0)(Tensor(np.zeros(shape)))
    assert str(error.value).endswith(f"shape {shape}")


@pytest.mark.parametrize(
    "lengths", [[5, 1], [-1, 1], [1], [1, 1, 1], 2, [[1, 2]], [1.0, 2.0], [True, False], ["a", "b"]]
)
def test_other_lengths_are_refused(lengths: Any) -> None:
    with pytest.raises(ValueError, match=r"^LSTM takes 2 whole lengths from 0 to 4, not ") as error:
        LSTM(2, 3, rng=0)(Tensor(np.zeros((2, 4, 2))), lengths=lengths)
    assert str(error.value).endswith(f"not {lengths}")


@pytest.mark.parametrize("shapes", [((1, 2, 3), (1, 1, 3)), ((2, 3), (2, 3)), ((2, 2, 3), (1, 2, 3))])
def test_states_of_another_shape_are_refused(shapes: Any) -> None:
    state = tuple(Tensor(np.zeros(s)) for s in shapes)
    with pytest.raises(ValueError, match=r"^LSTM takes states of shape \(1, 2, 3\), not ") as error:
        LSTM(2, 3, rng=0)(Tensor(np.zeros((2, 4, 2))), state)
    assert str(error.value).endswith(f"not {shapes[0]} and {shapes[1]}")


def test_a_cell_refuses_other_shapes() -> None:
    cell = LSTMCell(2, 3, rng=0)
    for shape in ((2,), (4, 3), (4, 1, 2)):
        with pytest.raises(ValueError, match=r"^LSTMCell takes \(batch, 2\), and got an input of shape "):
            cell(Tensor(np.zeros(shape)))
    right = Tensor(np.zeros((4, 3)))
    for wrong in (Tensor(np.zeros((1, 3))), Tensor(np.zeros(3)), Tensor(np.zeros((4, 2)))):
        for state in ((wrong, right), (right, wrong)):
            with pytest.raises(ValueError, match=r"^LSTMCell takes states of shape \(4, 3\), not "):
                cell(Tensor(np.zeros((4, 2))), state)


def test_what_no_lstm_has_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^an LSTM has one layer at least, not 0$"):
        LSTM(2, 3, num_layers=0, rng=0)
    for dropout in (-0.1, 1.0, math.nan):
        with pytest.raises(ValueError, match=f"^LSTM takes a dropout from 0 to below 1, not {dropout}$"):
            LSTM(2, 3, dropout=dropout, rng=0)
