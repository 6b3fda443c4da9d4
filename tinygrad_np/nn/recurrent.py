"""LSTM, GRU and LSTMCell: layers that read sequences step by step.

Sequences are batch first, (batch, time, features). Names, layouts and order of the weights are PyTorch's (gates
i, f, g, o and r, z, n), so that a state_dict can be exchanged with ``torch.nn.LSTM(..., batch_first=True)``.
The equations are in `ops.recurrent`, where each layer is one primitive; with ``fused=False`` it is built from
many, and computes the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from tinygrad_np import functional
from tinygrad_np.functional import common
from tinygrad_np.functional.common import Rng
from tinygrad_np.nn import init
from tinygrad_np.nn.layer import Layer, check_sizes
from tinygrad_np.ops.recurrent import gru, gru_composed, lstm, lstm_composed
from tinygrad_np.ops.shape import concatenate, stack
from tinygrad_np.tensor import Tensor

State: TypeAlias = tuple[Tensor, Tensor]


def new_weights(
    input_size: int,
    hidden_size: int,
    gates: int,
    bias: bool,
    rng: np.random.Generator,
    dtype: DTypeLike,
) -> dict[str, Tensor]:
    """The weights of one layer and direction by PyTorch's names, uniform within 1 / sqrt(hidden_size)."""
    bound = 1 / math.sqrt(hidden_size)
    rows = gates * hidden_size
    shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows, input_size), "weight_hh": (rows, hidden_size)}
    if bias:
        shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
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


class LSTMCell(Layer):
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

    weight_ih: Tensor
    weight_hh: Tensor
    bias_ih: Tensor | None = None
    bias_hh: Tensor | None = None

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
        check_sizes("LSTMCell", input_size=input_size)
        check_sizes("LSTMCell", 1, hidden_size=hidden_size)
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        weights = new_weights(input_size, hidden_size, 4, bias, common.generator("LSTMCell", rng), dtype)
        for name, weight in weights.items():
            setattr(self, name, weight)
        if self.bias_ih is not None:
            open_forget_gate(self.bias_ih, forget_bias)

    def extra_repr(self) -> str:
        """The sizes, and whether there are biases if there are none."""
        return f"{self.input_size}, {self.hidden_size}{'' if self.bias else ', bias=False'}"

    def forward(self, x: Tensor, state: State | None = None) -> State:
        """An input (batch, input_size) and a state (h, c), each (batch, hidden_size), to the next state.

        Without a state it starts from zeros.

        Raises
        ------
        ValueError
            A shape does not fit.
        """
        if x.ndim != 2 or x.shape[1] != self.input_size:
            raise ValueError(
                f"LSTMCell takes (batch, {self.input_size}), and got an input of shape {x.shape}"
            )
        shape = (len(x), self.hidden_size)
        if state is None:
            zeros = Tensor(np.zeros(shape, x.dtype))
            state = zeros, zeros
        h, c = state
        if h.shape != shape or c.shape != shape:
            raise ValueError(f"LSTMCell takes states of shape {shape}, not {h.shape} and {c.shape}")
        gates = functional.linear(x, self.weight_ih, self.bias_ih)
        return functional.lstm_step(gates + functional.linear(h, self.weight_hh, self.bias_hh), c)


class Recurrent(Layer):
    """What `LSTM` and `GRU` share: layers and directions, their weights, and the way through them.

    A subclass says how many gates and states it has, and which functions run over one layer in one direction:
    as one primitive, and built from many.
    """

    gates: int
    states: int
    functions: tuple[Callable[..., Any], Callable[..., Any]]

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int,
        bias: bool,
        batch_first: bool,
        dropout: float,
        bidirectional: bool,
        fused: bool,
        rng: Rng,
        dtype: DTypeLike,
    ):
        kind = type(self).__name__
        if not batch_first:
            raise ValueError(
                f"{kind} reads sequences batch first, (batch, time, features): leave batch_first=False out, and "
                "give it what is time first as np.swapaxes(x, 0, 1)"
            )
        check_sizes(kind, input_size=input_size)
        check_sizes(kind, 1, hidden_size=hidden_size, num_layers=num_layers)
        common.check_probability(kind, dropout)
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.dropout = dropout
        self.bidirectional = bidirectional
        self.suffixes = ("", "_reverse") if bidirectional else ("",)
        self.fused = fused
        self.rng = common.generator(kind, rng)
        for layer in range(num_layers):
            for suffix in self.suffixes:
                size = input_size if layer == 0 else hidden_size * len(self.suffixes)
                weights = new_weights(size, hidden_size, self.gates, bias, self.rng, dtype)
                for name, weight in weights.items():
                    setattr(self, f"{name}_l{layer}{suffix}", weight)

    def extra_repr(self) -> str:
        """The sizes, and what differs from an LSTM or GRU of one layer in one direction."""
        settings = {"num_layers": 1, "bias": True, "dropout": 0, "bidirectional": False, "fused": True}
        changed = [f"{k}={getattr(self, k)}" for k, usual in settings.items() if getattr(self, k) != usual]
        return ", ".join([str(self.input_size), str(self.hidden_size), *changed])

    def run_layers(
        self,
        x: Tensor,
        states: tuple[Tensor, ...] | None,
        lengths: ArrayLike | None,
        indices: ArrayLike | None,
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """All layers in all directions, after a look at what was given."""
        kind = type(self).__name__
        if indices is None:
            if x.ndim != 3 or x.shape[2] != self.input_size:
                raise ValueError(
                    f"{kind} takes (batch, time, {self.input_size}), and got an input of shape {x.shape}"
                )
            batch, time, _ = x.shape
        else:
            if x.ndim != 2 or x.shape[1] != self.input_size:
                raise ValueError(
                    f"{kind} with indices takes a table (rows, {self.input_size}), not one of shape {x.shape}"
                )
            indices = common.check_indices(kind, indices, len(x))
            if indices.ndim != 2:
                raise ValueError(f"{kind} takes indices (batch, time), and got some of shape {indices.shape}")
            batch, time = indices.shape
        steps = np.full(batch, time) if lengths is None else np.asarray(lengths)
        if not steps.size:
            steps = steps.astype(np.int64)  # np.array([]) is an array of floats
        if (
            steps.shape != (batch,)
            or steps.dtype.kind not in "iu"
            or not ((steps >= 0) & (steps <= time)).all()
        ):
            raise ValueError(f"{kind} takes {batch} whole lengths from 0 to {time}, not {steps.tolist()}")
        shape = (self.num_layers * len(self.suffixes), batch, self.hidden_size)
        if states is None:
            states = (Tensor(np.zeros(shape, x.dtype)),) * self.states
        if len(states) != self.states:
            raise ValueError(
                f"{kind} takes {'h and c' if self.states == 2 else 'h'} for a state, not {len(states)}"
            )
        if any(state.shape != shape for state in states):
            given = " and ".join(str(state.shape) for state in states)
            raise ValueError(f"{kind} takes states of shape {shape}, not {given}")

        shorter = steps if (steps < time).any() else None
        function = self.functions[0 if self.fused else 1]
        last: list[tuple[Tensor, ...]] = []
        for layer in range(self.num_layers):
            if layer:
                x = functional.dropout(x, self.dropout, self.training, rng=self.rng)
            outputs = []
            for suffix in self.suffixes:
                initial = [state[len(last)] for state in states]
                weights = [getattr(self, f"{name}_l{layer}{suffix}") for name in ("weight_ih", "weight_hh")]
                if self.bias:
                    weights += [getattr(self, f"{name}_l{layer}{suffix}") for name in ("bias_ih", "bias_hh")]
                else:
                    weights += [np.zeros(len(weights[0]), weights[0].dtype)] * 2
                output, *state = function(
                    x, *initial, *weights, lengths=shorter, reverse=bool(suffix), indices=indices
                )
                outputs.append(output)
                last.append(tuple(state))
            x, indices = outputs[0] if len(outputs) == 1 else concatenate(*outputs, axis=-1), None
        return x, tuple(stack(*parts) for parts in zip(*last, strict=True))


class LSTM(Recurrent):
    """LSTM over sequences, with any number of layers, in one or both directions.

    Parameters
    ----------
    input_size, hidden_size : int
        Features of the input, and of the state of each layer and direction.
    num_layers : int
        Each further layer reads the output of the one below.
    bias : bool
        Whether there are biases.
    batch_first : bool
        True: sequences are (batch, time, features). Here for programs that say so; False is refused.
    dropout : float
        While training, dropout of the output of each layer but the last.
    bidirectional : bool
        Whether a second LSTM reads each sequence from its end; outputs are concatenated.
    forget_bias : float
        Added to the initial bias of the forget gates (PyTorch's have none).
    fused : bool
        Whether a layer is one primitive, or built from many: slower, and simpler to read.
    rng : numpy.random.Generator, int or None
        Draws the initial weights and the dropout.
    dtype : dtype
        Of the weights.

    Attributes
    ----------
    weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0, weight_ih_l0_reverse, ... : Tensor
        The weights of each layer and direction, as in `LSTMCell`.
    """

    gates = 4
    states = 2
    functions = lstm, lstm_composed

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = True,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        forget_bias: float = 1.0,
        fused: bool = True,
        rng: Rng = None,
        dtype: DTypeLike = np.float32,
    ):
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, fused, rng, dtype
        )
        for name, tensor in self.named_parameters():
            if name.startswith("bias_ih"):
                open_forget_gate(tensor, forget_bias)

    def forward(
        self,
        x: Tensor,
        state: State | None = None,
        lengths: ArrayLike | None = None,
        indices: ArrayLike | None = None,
    ) -> tuple[Tensor, State]:
        """Run over a batch of sequences.

        Parameters
        ----------
        x : Tensor
            (batch, time, input_size). What lies beyond a sequence's length has no influence.
        state : tuple of Tensor, optional
            Initial h and c, each (num_layers * directions, batch, hidden_size); zeros unless given.
        lengths : array_like of int, optional
            Steps of each sequence, (batch,), in any order, from 0 to time; all of them unless given.
        indices : array_like of int, optional
            (batch, time): then `x` is a table of vectors, (rows, input_size), such as the weight of an
            `Embedding`, and these are the rows to read. They are written straight to where they are used.

        Returns
        -------
        output : Tensor
            (batch, time, directions * hidden_size): h of the last layer at each step, 0 beyond the length.
        state : tuple of Tensor
            h and c after the last step of each sequence, in the shape of the initial ones. That of an empty
            sequence is its initial one.

        Raises
        ------
        ValueError
            A shape does not fit, or a length is not a whole number from 0 to time.
        IndexError
            An index is not that of a row.
        """
        output, (h, c) = self.run_layers(x, state, lengths, indices)
        return output, (h, c)


class GRU(Recurrent):
    """GRU over sequences (Cho et al., 2014), with any number of layers, in one or both directions.

    Parameters are those of `LSTM`, without `forget_bias`. The attributes are named as there, with 3 gates, and
    the two biases are not interchangeable: the reset gate acts on one of them.
    """

    gates = 3
    states = 1
    functions = gru, gru_composed

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = True,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        fused: bool = True,
        rng: Rng = None,
        dtype: DTypeLike = np.float32,
    ):
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, fused, rng, dtype
        )

    def forward(
        self,
        x: Tensor,
        state: Tensor | None = None,
        lengths: ArrayLike | None = None,
        indices: ArrayLike | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Run over a batch of sequences, as `LSTM.forward` does; its state is h alone."""
        states = (state,) if isinstance(state, Tensor) else state
        output, (h,) = self.run_layers(x, states, lengths, indices)
        return output, h
