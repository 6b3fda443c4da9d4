"""Cells: one step of an RNN, an LSTM or a GRU, for programs that go through time themselves.

Names, layouts and order of the weights are PyTorch's. An input is (batch, features), or
(features,) of one sequence.
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike

from tinygrad_np import functional
from tinygrad_np.functional import common
from tinygrad_np.functional.common import Rng
from tinygrad_np.nn import init
from tinygrad_np.nn.layer import Layer, check_sizes
from tinygrad_np.nn.normalization import LayerNorm
from tinygrad_np.ops.elementwise import sigmoid
from tinygrad_np.ops.recurrent import gru_step
from tinygrad_np.ops.recurrent.rnn import ACTIVATIONS
from tinygrad_np.tensor import Tensor

State: TypeAlias = tuple[Tensor, Tensor]


def new_weights(
    input_size: int,
    hidden_size: int,
    gates: int,
    bias: bool,
    rng: np.random.Generator,
    dtype: DTypeLike,
    proj_size: int = 0,
) -> dict[str, Tensor]:
    """The weights of one layer and direction by PyTorch's names, uniform within 1 / sqrt(hidden_size)."""
    bound = 1 / math.sqrt(hidden_size)
    rows = gates * hidden_size
    shapes: dict[str, tuple[int, ...]] = {
        "weight_ih": (rows, input_size),
        "weight_hh": (rows, proj_size or hidden_size),
    }
    if bias:
        shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
    if proj_size:
        shapes["weight_hr"] = (proj_size, hidden_size)
    return {
        name: Tensor(init.uniform(shape, -bound, bound, rng, dtype), requires_grad=True)
        for name, shape in shapes.items()
    }


def open_forget_gate(bias_ih: Tensor, forget_bias: float) -> None:
    """Add to the forget gate's part of a fresh bias of an LSTM.

    With 1 a fresh cell remembers most of its state instead of half of it (Gers et al., 2000; Jozefowicz et
    al., 2015).
    """
    hidden = len(bias_ih) // 4
    bias_ih.data[hidden : 2 * hidden] += forget_bias


def check_activation(layer: str, nonlinearity: str) -> None:
    """Refuse what no plain recurrent network has."""
    if nonlinearity not in ACTIVATIONS:
        raise ValueError(f"{layer} takes 'tanh' or 'relu' for nonlinearity, not {nonlinearity!r}")


class Cell(Layer):
    """What the cells share: their weights, and a look at what they are given.

    Attributes
    ----------
    weight_ih, weight_hh : Tensor
        (gates * hidden_size, input_size) and (gates * hidden_size, hidden_size).
    bias_ih, bias_hh : Tensor or None
        (gates * hidden_size,).
    """

    gates: int
    states: int = 1
    weight_ih: Tensor
    weight_hh: Tensor
    bias_ih: Tensor | None = None
    bias_hh: Tensor | None = None

    def __init__(self, input_size: int, hidden_size: int, bias: bool, rng: Rng, dtype: DTypeLike):
        kind = type(self).__name__
        check_sizes(kind, input_size=input_size)
        check_sizes(kind, 1, hidden_size=hidden_size)
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        generator = common.generator(kind, rng)
        for name, weight in new_weights(input_size, hidden_size, self.gates, bias, generator, dtype).items():
            setattr(self, name, weight)

    def extra_repr(self) -> str:
        """The sizes, and whether there are biases if there are none."""
        return f"{self.input_size}, {self.hidden_size}{'' if self.bias else ', bias=False'}"

    def checked(self, x: Any, states: Any) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Input and states, which are zeros unless given."""
        kind = type(self).__name__
        x = common.floats(kind, x)
        if x.ndim not in (1, 2) or x.shape[-1] != self.input_size:
            raise ValueError(
                f"{kind} takes (batch, {self.input_size}) or ({self.input_size},), and got an input of shape "
                f"{x.shape}"
            )
        shape = (*x.shape[:-1], self.hidden_size)
        if states is None:
            return x, (Tensor(np.zeros(shape, x.dtype)),) * self.states
        states = tuple(common.floats(kind, state) for state in states)
        if len(states) != self.states or any(state.shape != shape for state in states):
            given = " and ".join(str(state.shape) for state in states)
            what = "a state" if self.states == 1 else "states h and c, each"
            raise ValueError(f"{kind} takes {what} of shape {shape}, not {given}")
        return x, states

    def products(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """The parts of the gates that x and h make."""
        return functional.linear(x, self.weight_ih, self.bias_ih), functional.linear(
            h, self.weight_hh, self.bias_hh
        )


class RNNCell(Cell):
    """One step of a plain recurrent network, h' = tanh(W_ih x + b_ih + W_hh h + b_hh) (Elman, 1990).

    Parameters
    ----------
    input_size, hidden_size : int
        Features of the input and of the state.
    bias : bool
        Whether there are biases.
    nonlinearity : {"tanh", "relu"}
        What h' is made with.
    rng : numpy.random.Generator, int or None
        Draws the initial weights.
    dtype : dtype
        Of the weights.

    Attributes
    ----------
    weight_ih, weight_hh, bias_ih, bias_hh : Tensor
        (hidden_size, input_size), (hidden_size, hidden_size), (hidden_size,) twice.
    """

    gates = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        *,
        rng: Rng = None,
        dtype: DTypeLike = np.float32,
    ):
        check_activation("RNNCell", nonlinearity)
        super().__init__(input_size, hidden_size, bias, rng, dtype)
        self.nonlinearity = nonlinearity

    def extra_repr(self) -> str:
        """The sizes, and what differs from the usual."""
        return super().extra_repr() + ("" if self.nonlinearity == "tanh" else ", nonlinearity='relu'")

    def forward(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        """An input (batch, input_size) and a state (batch, hidden_size), zeros unless given, to the next state."""
        x, (h,) = self.checked(x, None if h is None else (h,))
        from_x, from_h = self.products(x, h)
        return ACTIVATIONS[self.nonlinearity](from_x + from_h)


class GRUCell(Cell):
    """One step of a GRU (Cho et al., 2014); see `ops.recurrent.gru.gru_step` for the equations.

    Parameters and attributes are those of `LSTMCell`, without `forget_bias` and with 3 gates, r, z, n.
    """

    gates = 3

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        *,
        rng: Rng = None,
        dtype: DTypeLike = np.float32,
    ):
        super().__init__(input_size, hidden_size, bias, rng, dtype)

    def forward(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        """An input (batch, input_size) and a state (batch, hidden_size), zeros unless given, to the next state."""
        x, (h,) = self.checked(x, None if h is None else (h,))
        new: Tensor = gru_step(*self.products(x, h), h)
        return new


class LSTMCell(Cell):
    """One step of an LSTM; see `functional.lstm_step` for the equations.

    Parameters
    ----------
    input_size, hidden_size : int
        Features of the input and of the state.
    bias : bool
        Whether there are biases.
    forget_bias : float
        Added to the initial bias of the forget gate.
    rng : numpy.random.Generator, int or None
        Draws the initial weights.
    dtype : dtype
        Of the weights.

    Attributes
    ----------
    weight_ih, weight_hh : Tensor
        (4 hidden_size, input_size) and (4 hidden_size, hidden_size).
    bias_ih, bias_hh : Tensor or None
        (4 hidden_size,); only their sum matters.
    """

    gates = 4
    states = 2

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        *,
        forget_bias: float = 1.0,
        rng: Rng = None,
        dtype: DTypeLike = np.float32,
    ):
        super().__init__(input_size, hidden_size, bias, rng, dtype)
        if self.bias_ih is not None:
            open_forget_gate(self.bias_ih, forget_bias)

    def forward(self, x: Tensor, state: State | None = None) -> State:
        """An input (batch, input_size) and a state (h, c), each (batch, hidden_size), to the next state.

        Without a state it starts from zeros.

        Raises
        ------
        ValueError
            A shape does not fit.
        """
        x, (h, c) = self.checked(x, state)
        from_x, from_h = self.products(x, h)
        return functional.lstm_step(from_x + from_h, c)


class LayerNormLSTMCell(Cell):
    """One step of an LSTM with layer normalisation (Ba et al., 2016, eqs. 20 to 22).

    Each LN is over all that it is given, 4 hidden_size or hidden_size numbers of a sequence, not over each gate;
    it has a gain and a bias of its own, so there is no further bias::

        i, f, g, o = LN(W_ih x) + LN(W_hh h)
        c' = sigmoid(f) c + sigmoid(i) tanh(g)
        h' = sigmoid(o) tanh(LN(c'))

    Parameters are those of `LSTMCell`, without `bias`.

    Attributes
    ----------
    weight_ih, weight_hh : Tensor
        (4 hidden_size, input_size) and (4 hidden_size, hidden_size).
    layernorm_i, layernorm_h, layernorm_c : LayerNorm
        Of what the input makes, of what the state makes, and of c'.
    """

    gates = 4
    states = 2

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        forget_bias: float = 1.0,
        rng: Rng = None,
        dtype: DTypeLike = np.float32,
    ):
        super().__init__(input_size, hidden_size, False, rng, dtype)
        self.layernorm_i = LayerNorm(4 * hidden_size, dtype=dtype)
        self.layernorm_h = LayerNorm(4 * hidden_size, dtype=dtype)
        self.layernorm_c = LayerNorm(hidden_size, dtype=dtype)
        if self.layernorm_i.bias is not None:
            open_forget_gate(self.layernorm_i.bias, forget_bias)

    def extra_repr(self) -> str:
        """The sizes."""
        return f"{self.input_size}, {self.hidden_size}"

    def forward(self, x: Tensor, state: State | None = None) -> State:
        """As `LSTMCell.forward`."""
        x, (h, c) = self.checked(x, state)
        from_x, from_h = self.products(x, h)
        gates = self.layernorm_i(from_x) + self.layernorm_h(from_h)
        _, c = functional.lstm_step(gates, c)
        return sigmoid(gates[..., 3 * self.hidden_size :]) * self.layernorm_c(c).tanh(), c
