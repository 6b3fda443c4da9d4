"""What came to LSTM and GRU later: RNN and cells, one sequence, time first, dropout of the state, projections."""

from functools import partial
from typing import Any

import numpy as np
import pytest

from tests.recurrent_cases import assert_same, call, run
from tinygrad_np import Tensor
from tinygrad_np.gradcheck import gradcheck
from tinygrad_np.nn import GRU, LSTM, RNN, GRUCell, LayerNormLSTMCell, LSTMCell, RNNCell, VariationalDropout
from tinygrad_np.parallel import ShardedGenerator, Workers

every_kind = pytest.mark.parametrize("kind", [RNN, LSTM, GRU])
PAIRS = [(RNN, RNNCell), (partial(RNN, nonlinearity="relu"), partial(RNNCell, nonlinearity="relu"))]
PAIRS += [(GRU, GRUCell), (LSTM, LSTMCell)]


@pytest.mark.parametrize(("make", "make_cell"), PAIRS)
def test_a_layer_is_its_cell_stepped(make: Any, make_cell: Any, rng: np.random.Generator) -> None:
    layer, cell = make(3, 2, rng=0, dtype=np.float64), make_cell(3, 2, rng=1, dtype=np.float64)
    cell.load_state_dict({name.removesuffix("_l0"): array for name, array in layer.state_dict().items()})
    x = rng.standard_normal((4, 5, 3))
    out, _ = layer(x)
    state, single = None, None
    for t in range(5):
        state, single = cell(x[:, t], state), cell(x[1, t], single)
        h, alone = (s[0] if isinstance(s, tuple) else s for s in (state, single))
        np.testing.assert_allclose(h.data, out.data[:, t], rtol=1e-12)
        np.testing.assert_allclose(alone.data, out.data[1, t], rtol=1e-12)


def test_a_relu_network_of_one_unit_by_hand() -> None:
    layer = RNN(1, 1, nonlinearity="relu", rng=0, dtype=np.float64)
    weights = {"weight_ih_l0": [[2.0]], "weight_hh_l0": [[-1.0]], "bias_ih_l0": [1.0], "bias_hh_l0": [0.5]}
    layer.load_state_dict(weights)
    out, h = layer(Tensor([[[1.0], [3.0], [-4.0]]]))
    assert out.data.ravel().tolist() == [3.5, 4.0, 0.0]  # 2 + 1.5, 6 + 1.5 - 3.5, -8 + 1.5 - 4 below 0
    assert h.item() == 0


@every_kind
def test_one_sequence_needs_no_batch(kind: Any, rng: np.random.Generator) -> None:
    layer = kind(2, 3, 2, bidirectional=True, rng=0, dtype=np.float64)
    x, states = rng.standard_normal((5, 2)), rng.standard_normal((layer.states, 4, 3))
    results = run(layer, x, states)
    assert [r.shape for r in results] == [(5, 6), *[(4, 3)] * layer.states]
    out, *last = run(layer, x[np.newaxis], states[:, :, np.newaxis])
    assert_same(results, [out[0], *(state[:, 0] for state in last)])
    table, indices = Tensor(rng.standard_normal((7, 2))), [3, 3, 0]
    np.testing.assert_array_equal(
        layer(table, indices=indices)[0].data, layer(table, indices=[indices])[0].data[0]
    )
    with pytest.raises(ValueError, match=rf"^{kind.__name__} takes no lengths for one sequence: cut it$"):
        layer(Tensor(x), lengths=[3])


@every_kind
def test_time_may_come_first(kind: Any, rng: np.random.Generator) -> None:
    usual, layer = (kind(2, 3, 2, batch_first=first, rng=0, dtype=np.float64) for first in (True, False))
    x, lengths = rng.standard_normal((4, 5, 2)), [5, 2, 0, 4]
    out, *last = run(usual, x, None, lengths)
    assert_same(run(layer, x.swapaxes(0, 1), None, lengths), [out.swapaxes(0, 1), *last])
    table, indices = Tensor(rng.standard_normal((7, 2))), rng.integers(0, 7, (4, 5))
    first, _ = layer(table, indices=indices.T)
    np.testing.assert_array_equal(first.data.swapaxes(0, 1), usual(table, indices=indices)[0].data)
    assert_same(run(layer, x[0]), run(usual, x[0]))  # one sequence has no other axis


@every_kind
def test_recurrent_dropout_drops_the_same_elements_at_all_steps(kind: Any, rng: np.random.Generator) -> None:
    layer = kind(2, 40, recurrent_dropout=0.5, rng=0, dtype=np.float64)
    plain = kind(2, 40, rng=0, dtype=np.float64)
    plain.load_state_dict(layer.state_dict())
    x = rng.standard_normal((3, 4, 2))
    first, again = run(layer, x), run(layer, x)
    np.testing.assert_allclose(first[0][:, 0], run(plain, x)[0][:, 0], rtol=1e-12)  # the state before was 0
    assert (first[0][:, 1:] != again[0][:, 1:]).any()
    # one mask: a sequence alone is the plain network without the columns of what is dropped, the others doubled
    layer.rng = np.random.default_rng(5)
    out, *_ = run(layer, x[:1])
    mask = (np.random.default_rng(5).random((1, 40)) >= 0.5) * 2.0
    plain.weight_hh_l0.data *= mask
    np.testing.assert_allclose(out, run(plain, x[:1])[0], rtol=1e-10)
    layer.eval()
    plain.load_state_dict(layer.state_dict())
    assert_same(run(layer, x), run(plain, x))


def test_the_gradient_below_recurrent_dropout(rng: np.random.Generator) -> None:
    layer = LSTM(2, 3, 2, recurrent_dropout=0.4, bidirectional=True, rng=0, dtype=np.float64)

    def f(x: Any) -> Tensor:
        layer.rng = np.random.default_rng(1)
        return call(layer, x, None, [3, 1])[0]

    gradcheck(f, [rng.standard_normal((2, 3, 2))], rng)


@every_kind
def test_weight_dropout_drops_elements_of_weight_hh_for_a_whole_batch(
    kind: Any, rng: np.random.Generator
) -> None:
    layer = kind(2, 5, 2, bidirectional=True, weight_dropout=0.5, rng=0, dtype=np.float64)
    plain = kind(2, 5, 2, bidirectional=True, rng=0, dtype=np.float64)
    x, lengths = rng.standard_normal((3, 4, 2)), [4, 0, 3]
    drawn = np.random.default_rng(5)
    for name, weight in plain.named_parameters():  # in the order of layers and directions
        if name.startswith("weight_hh"):
            weight.data *= (drawn.random(weight.shape) >= 0.5) * 2.0
    layer.rng = np.random.default_rng(5)
    assert_same(run(layer, x, None, lengths), run(plain, x, None, lengths))
    layer.rng = ShardedGenerator(
        np.random.default_rng(5), Workers()
    )  # which draws for rows, and not for weights
    layer.rng.batch_size = 3
    assert_same(run(layer, x, None, lengths), run(plain, x, None, lengths))
    plain.load_state_dict(layer.state_dict())
    assert_same(run(layer.eval(), x, None, lengths), run(plain, x, None, lengths))


def test_the_gradient_of_dropped_weights(rng: np.random.Generator) -> None:
    layer = LSTM(2, 3, weight_dropout=0.4, rng=0, dtype=np.float64)

    def f(x: Any, weight: Any) -> Tensor:
        layer.rng, layer.weight_hh_l0 = np.random.default_rng(1), weight
        return call(layer, x, None, [3, 1])[0]

    gradcheck(f, [rng.standard_normal((2, 3, 2)), layer.weight_hh_l0.data.copy()], rng)


def test_a_projected_state_is_short_and_the_other_is_not(rng: np.random.Generator) -> None:
    layer = LSTM(2, 5, 2, bidirectional=True, proj_size=3, rng=0)
    out, (h, c) = layer(rng.standard_normal((4, 6, 2)).astype(np.float32), lengths=[6, 0, 1, 3])
    assert (out.shape, h.shape, c.shape) == ((4, 6, 6), (4, 4, 3), (4, 4, 5))
    assert layer.weight_hr_l1_reverse.shape == (3, 5)
    assert layer.weight_ih_l1.shape == (20, 6)
    with pytest.raises(ValueError, match=r"^LSTM takes states of shape \(4, 4, 3\) and \(4, 4, 5\), not "):
        layer(Tensor(np.zeros((4, 6, 2))), (h, h))
    with pytest.raises(ValueError, match=r"^LSTM projects to fewer than hidden_size 5, not to 5$"):
        LSTM(2, 5, proj_size=5)


def test_a_normalised_cell_is_the_equations_of_the_paper(rng: np.random.Generator) -> None:
    cell = LayerNormLSTMCell(3, 2, rng=0, dtype=np.float64)
    assert cell.layernorm_i.bias is not None
    np.testing.assert_array_equal(cell.layernorm_i.bias.data, [0, 0, 1, 1, 0, 0, 0, 0])  # f starts open
    state = {name: rng.standard_normal(array.shape) for name, array in cell.state_dict().items()}
    cell.load_state_dict(state)

    def norm(name: str, a: np.ndarray) -> Any:
        a = (a - a.mean()) / np.sqrt(a.var() + 1e-5)
        return state[f"layernorm_{name}.weight"] * a + state[f"layernorm_{name}.bias"]

    def sigmoid(a: np.ndarray) -> Any:
        return 1 / (1 + np.exp(-a))

    x, h, c = (rng.standard_normal(n) for n in (3, 2, 2))
    gates = norm("i", state["weight_ih"] @ x) + norm("h", state["weight_hh"] @ h)
    i, f, g, o = np.split(gates, 4)
    new_c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    results = cell(Tensor(x), (Tensor(h), Tensor(c)))
    for result, expected in zip(results, (sigmoid(o) * np.tanh(norm("c", new_c)), new_c), strict=True):
        np.testing.assert_allclose(result.data, expected, rtol=1e-12)
    batch, _ = cell(np.stack([x, -x]), np.stack([[h, h], [c, c]]))  # each sequence by itself
    np.testing.assert_allclose(batch.data[0], results[0].data, rtol=1e-12)


def test_variational_dropout_is_the_same_at_all_steps() -> None:
    layer = VariationalDropout(0.5, rng=0)
    for shape in ((3, 7, 20), (7, 20)):
        out = layer(Tensor(np.ones(shape, np.float32)))
        assert out.dtype == np.float32
        assert set(np.unique(out.data)) == {0, 2}
        np.testing.assert_array_equal(out.data, np.broadcast_to(out.data[..., :1, :], shape))
    assert (out.data != layer(np.ones(shape)).data).any()
    assert (layer.eval()(np.ones(shape)).data == 1).all()
    with pytest.raises(ValueError, match=r"^VariationalDropout takes \(batch, time, features\), not "):
        layer(np.ones(3))


def test_what_no_network_has_is_refused() -> None:
    for make in (RNN, RNNCell):
        with pytest.raises(
            ValueError, match=rf"^{make.__name__} takes 'tanh' or 'relu' for nonlinearity, not 'elu'$"
        ):
            make(2, 3, nonlinearity="elu")
    with pytest.raises(ValueError, match=r"^GRU takes a probability from 0 to below 1, not 1$"):
        GRU(2, 3, recurrent_dropout=1)
    with pytest.raises(ValueError, match=r"^GRUCell takes a state of shape \(4, 3\), not \(3,\)$"):
        GRUCell(2, 3)(np.zeros((4, 2)), np.zeros(3))
