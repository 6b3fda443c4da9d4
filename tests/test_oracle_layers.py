"""Layers against PyTorch's, forward and back in float64; their states are exchanged by name, both ways."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.recurrent_cases import call, every_way
from tinygrad_np import Tensor
from tinygrad_np.nn import GRU, LSTM, Embedding, Layer, Linear, LSTMCell
from tinygrad_np.testing import generators
from tinygrad_np.weights import from_torch, to_torch

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install -e '.[oracle]'")
pytestmark = pytest.mark.oracle


def same_state(mine: Layer, theirs: Any, to_pytorch: bool) -> None:
    """Give one the weights of the other, by name."""
    if to_pytorch:
        theirs.load_state_dict(to_torch(mine), strict=True)
    else:
        from_torch(mine, theirs.state_dict())


def both(x: np.ndarray) -> tuple[Tensor, Any]:
    return Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)


def assert_close(mine: Any, theirs: Any, name: str) -> None:
    mine = mine.data if isinstance(mine, Tensor) else mine
    np.testing.assert_allclose(mine, theirs.detach().numpy(), rtol=1e-9, atol=1e-12, err_msg=name)


def assert_same_gradients(mine: Layer, theirs: Any) -> None:
    """Of all weights, by name."""
    others = dict(theirs.named_parameters())
    assert list(mine.named_parameters().keys()) == list(others)  # in the same order too
    for name, p in mine.named_parameters().items():
        grad = np.zeros(p.shape) if p.grad is None else p.grad  # of what was not used
        other = torch.zeros(p.shape) if others[name].grad is None else others[name].grad
        assert_close(grad, other, name)


both_ways = pytest.mark.parametrize("to_pytorch", [True, False])


@both_ways
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(3,), (4, 3), (2, 4, 3), (0, 3)])
def test_linear(shape: tuple[int, ...], bias: bool, to_pytorch: bool, rng: np.random.Generator) -> None:
    mine = Linear(3, 5, bias, rng=rng, dtype=np.float64)
    theirs = torch.nn.Linear(3, 5, bias, dtype=torch.float64)
    same_state(mine, theirs, to_pytorch)
    x, other = both(rng.standard_normal(shape))
    out, out_other = mine(x), theirs(other)
    assert_close(out, out_other, "output")
    g = rng.standard_normal(out.shape)
    out.backward(g)
    out_other.backward(torch.tensor(g))
    assert_close(x.grad, other.grad, "input")
    assert_same_gradients(mine, theirs)


@both_ways
@pytest.mark.parametrize("padding_idx", [None, 0, 3])
def test_embedding(padding_idx: int | None, to_pytorch: bool, rng: np.random.Generator) -> None:
    mine = Embedding(6, 3, padding_idx, rng=rng, dtype=np.float64)
    theirs = torch.nn.Embedding(6, 3, padding_idx, dtype=torch.float64)
    same_state(mine, theirs, to_pytorch)
    indices = rng.integers(0, 6, (7, 4))
    out, other = mine(indices), theirs(torch.from_numpy(indices))
    assert_close(out, other, "output")
    g = rng.standard_normal(out.shape)
    out.backward(g)
    other.backward(torch.tensor(g))
    assert_same_gradients(mine, theirs)
    if padding_idx is not None:
        np.testing.assert_array_equal(theirs.weight.grad[padding_idx], np.zeros(3))


@both_ways
@every_way
@given(
    rng=generators(),
    batch=st.integers(1, 4),
    time=st.integers(1, 5),
    layers=st.integers(1, 3),
    bidirectional=st.booleans(),
    bias=st.booleans(),
    with_lengths=st.booleans(),
    with_state=st.booleans(),
)
@settings(max_examples=40)
def test_recurrent(
    rng: np.random.Generator,
    make: Any,
    to_pytorch: bool,
    batch: int,
    time: int,
    layers: int,
    bidirectional: bool,
    bias: bool,
    with_lengths: bool,
    with_state: bool,
) -> None:
    mine = make(3, 2, layers, bias, bidirectional=bidirectional, rng=rng, dtype=np.float64)
    theirs = getattr(torch.nn, type(mine).__name__)(
        3, 2, layers, bias, batch_first=True, bidirectional=bidirectional, dtype=torch.float64
    )
    same_state(mine, theirs, to_pytorch)
    lengths = rng.integers(1, time + 1, batch) if with_lengths else None
    assert_same_run(mine, theirs, rng, (batch, time, 3), with_state, lengths)


@pytest.mark.parametrize("kind", [LSTM, GRU])
def test_a_long_recurrent_run_in_several_chunks(kind: Any, rng: np.random.Generator) -> None:
    mine = kind(3, 2, bidirectional=True, rng=rng, dtype=np.float64)
    theirs = getattr(torch.nn, kind.__name__)(3, 2, batch_first=True, bidirectional=True, dtype=torch.float64)
    same_state(mine, theirs, to_pytorch=True)
    for batch, time in ((5, 150), (140, 6)):
        lengths = rng.integers(1, time + 1, batch)
        assert_same_run(mine, theirs, rng, (batch, time, 3), True, lengths)


def assert_same_run(
    mine: LSTM | GRU,
    theirs: Any,
    rng: np.random.Generator,
    shape: tuple[int, int, int],
    with_state: bool,
    lengths: np.ndarray | None,
) -> None:
    """Output, last states, and all gradients."""
    batch, time, _ = shape
    x, x_other = both(rng.standard_normal(shape))
    rows = mine.num_layers * len(mine.suffixes)
    pairs = [both(rng.standard_normal((rows, batch, mine.hidden_size))) for _ in range(mine.states)]
    state = [s for s, _ in pairs] if with_state else None
    state_other: Any = [s for _, s in pairs] if with_state else None
    if state_other and mine.states == 1:
        state_other = state_other[0]
    results = call(mine, x, state, lengths)
    if lengths is None:
        out_other, last_other = theirs(x_other, state_other)
    else:
        packed = torch.nn.utils.rnn.pack_padded_sequence(
            x_other, torch.from_numpy(lengths), batch_first=True, enforce_sorted=False
        )
        out_other, last_other = theirs(packed, state_other)
        out_other, _ = torch.nn.utils.rnn.pad_packed_sequence(out_other, batch_first=True, total_length=time)
    others = [out_other, *(last_other if mine.states > 1 else [last_other])]
    loss, loss_other = 0.0, 0.0
    for a, b, name in zip(results, others, ("output", "h", "c")[: len(others)], strict=True):
        assert_close(a, b, name)
        g = rng.standard_normal(a.shape)
        loss, loss_other = loss + (a * g).sum(), loss_other + (b * torch.tensor(g)).sum()
    for p in (*mine.parameters(), *theirs.parameters()):
        p.grad = None
    loss.backward()  # type: ignore[attr-defined]
    loss_other.backward()  # type: ignore[attr-defined]
    assert_close(x.grad, x_other.grad, "input")
    if with_state:
        for (a, b), name in zip(pairs, ("initial h", "initial c")):
            assert_close(a.grad, b.grad, name)
    assert_same_gradients(mine, theirs)


@both_ways
@given(rng=generators(), batch=st.integers(1, 4), bias=st.booleans(), with_state=st.booleans())
@settings(max_examples=20)
def test_lstm_cell(
    rng: np.random.Generator, to_pytorch: bool, batch: int, bias: bool, with_state: bool
) -> None:
    mine = LSTMCell(3, 2, bias, rng=rng, dtype=np.float64)
    theirs = torch.nn.LSTMCell(3, 2, bias, dtype=torch.float64)
    same_state(mine, theirs, to_pytorch)
    x, x_other = both(rng.standard_normal((batch, 3)))
    (h, h_other), (c, c_other) = (both(rng.standard_normal((batch, 2))) for _ in range(2))
    results = mine(x, (h, c) if with_state else None)
    others = theirs(x_other, (h_other, c_other) if with_state else None)
    g = rng.standard_normal((2, batch, 2))
    for a, b, name in zip(results, others, ("h", "c")):
        assert_close(a, b, name)
    (results[0] * g[0] + results[1] * g[1]).sum().backward()
    (others[0] * torch.tensor(g[0]) + others[1] * torch.tensor(g[1])).sum().backward()
    assert_close(x.grad, x_other.grad, "input")
    if with_state:
        assert_close(h.grad, h_other.grad, "initial h")
        assert_close(c.grad, c_other.grad, "initial c")
    assert_same_gradients(mine, theirs)


@pytest.mark.parametrize("kind", [LSTM, GRU])
def test_the_comparison_can_fail(kind: Any, rng: np.random.Generator) -> None:
    mine = kind(3, 2, rng=rng, dtype=np.float64)
    theirs = getattr(torch.nn, kind.__name__)(3, 2, batch_first=True, dtype=torch.float64)
    same_state(mine, theirs, to_pytorch=True)
    x, other = both(rng.standard_normal((2, 3, 3)))
    mine(x)[0].sum().backward()
    theirs(other)[0].sum().backward()
    assert_same_gradients(mine, theirs)
    for name, p in mine.named_parameters().items():
        right, p.grad = p.grad, p.grad * (1 + 1e-7)  # type: ignore[operator]
        with pytest.raises(AssertionError, match=name):
            assert_same_gradients(mine, theirs)
        p.grad = right


# --- where it differs, and why ------------------------------------------------------------------------


def test_where_it_differs_an_empty_sequence_is_taken(rng: np.random.Generator) -> None:
    # PyTorch refuses a length of 0. A cleaned text may well have no words left: here it keeps the
    # initial state, and its output is 0.
    mine = LSTM(3, 2, rng=rng, dtype=np.float64)
    out, (h, _) = mine(Tensor(rng.standard_normal((2, 4, 3))), lengths=[0, 4])
    np.testing.assert_array_equal(out.data[0], np.zeros((4, 2)))
    np.testing.assert_array_equal(h.data[0, 0], np.zeros(2))
    with pytest.raises(RuntimeError, match="greater than 0"):
        torch.nn.utils.rnn.pack_padded_sequence(
            torch.zeros(2, 4, 3), torch.tensor([0, 4]), batch_first=True, enforce_sorted=False
        )


def test_where_it_differs_the_forget_bias(rng: np.random.Generator) -> None:
    # PyTorch draws the bias of the forget gate as all others; 1 is added to it here, unless forget_bias=0.
    theirs = torch.nn.LSTM(3, 50).state_dict()["bias_ih_l0"].numpy()
    plain = LSTM(3, 50, forget_bias=0.0, rng=rng).state_dict()["bias_ih_l0"]
    mine = LSTM(3, 50, rng=rng).state_dict()["bias_ih_l0"]
    bound = 1 / np.sqrt(50) + 1e-6
    assert abs(theirs).max() <= bound
    assert abs(plain).max() <= bound
    assert abs(mine[50:100] - 1).max() <= bound


def test_negative_numbers_are_no_rows() -> None:
    # A padding_idx of -1 is the last row in both, and an index of -1 is refused in both.
    assert (
        torch.nn.Embedding(5, 3, padding_idx=-1).padding_idx
        == Embedding(5, 3, padding_idx=-1).padding_idx
        == 4
    )
    with pytest.raises(IndexError):
        torch.nn.Embedding(5, 3)(torch.tensor([-1]))
    with pytest.raises(IndexError):
        Embedding(5, 3, rng=0)([-1])
