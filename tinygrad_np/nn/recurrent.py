"""LSTM and LSTMCell, built from primitives: the tape finds the way back through time.

Sequences are batch first, (batch, time, features). Names, layouts and gate order (i, f, g, o) of the weights
are PyTorch's, so that a state_dict can be exchanged with ``torch.nn.LSTM(..., batch_first=True)``.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from tinygrad_np import functional
from tinygrad_np.nn import init
from tinygrad_np.nn.layer import Layer
from tinygrad_np.ops.elementwise import where
from tinygrad_np.ops.shape import concatenate, stack
from tinygrad_np.tensor import Tensor

State: TypeAlias = tuple[Tensor, Tensor]


def new_weights(
    input_size: int,
    hidden_size: int,
    bias: bool,
    forget_bias: float,
    rng: np.random.Generator,
    dtype: DTypeLike,
) -> dict[str, Tensor]:
    """The weights of one LSTM by PyTorch's names, uniform within 1 / sqrt(hidden_size).

    The forget gate's part of bias_ih is set to `forget_bias` on top of what was drawn: with 1 a fresh cell
    remembers most of its state instead of half of it (Gers et al., 2000; Jozefowicz et al., 2015).
    """
    if hidden_size < 1:
        raise ValueError(f"an LSTM has one hidden unit at least, not {hidden_size}")
    bound = 1 / math.sqrt(hidden_size)
    shapes: dict[str, tuple[int, ...]] = {
        "weight_ih": (4 * hidden_size, input_size),
        "weight_hh": (4 * hidden_size, hidden_size),
    }
    if bias:
        shapes |= {"bias_ih": (4 * hidden_size,), "bias_hh": (4 * hidden_size,)}
    arrays = {name: init.uniform(shape, -bound, bound, rng, dtype) for name, shape in shapes.items()}
    if bias:
        arrays["bias_ih"][hidden_size : 2 * hidden_size] += forget_bias
    return {name: Tensor(array, requires_grad=True) for name, array in arrays.items()}


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
    rng : numpy.random.Generator or int
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
        rng: np.random.Generator | int,
        dtype: DTypeLike = np.float32,
    ):
        self.input_size = input_size
        self.hidden_size = hidden_size
        weights = new_weights(input_size, hidden_size, bias, forget_bias, np.random.default_rng(rng), dtype)
        for name, weight in weights.items():
            setattr(self, name, weight)

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


class LSTM(Layer):
    """LSTM over sequences, with any number of layers, in one or both directions.

    Parameters
    ----------
    input_size, hidden_size : int
        Features of the input, and of the state of each layer and direction.
    num_layers : int
        Each further layer reads the output of the one below.
    bias : bool
        Whether there are biases.
    dropout : float
        While training, dropout of the output of each layer but the last.
    bidirectional : bool
        Whether a second LSTM reads each sequence from its end; outputs are concatenated.
    forget_bias : float
        Added to the initial bias of the forget gates (PyTorch's have none).
    rng : numpy.random.Generator or int
        Draws the initial weights and the dropout.
    dtype : dtype
        Of the weights.

    Attributes
    ----------
    weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0, weight_ih_l0_reverse, ... : Tensor
        The weights of each layer and direction, as in `LSTMCell`.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        forget_bias: float = 1.0,
        rng: np.random.Generator | int,
        dtype: DTypeLike = np.float32,
    ):
        if num_layers < 1:
            raise ValueError(f"an LSTM has one layer at least, not {num_layers}")
        if not 0 <= dropout < 1:
            raise ValueError(f"LSTM takes a dropout from 0 to below 1, not {dropout}")
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.dropout = dropout
        self.suffixes = ("", "_reverse") if bidirectional else ("",)
        self.rng = np.random.default_rng(rng)
        for layer in range(num_layers):
            for suffix in self.suffixes:
                size = input_size if layer == 0 else hidden_size * len(self.suffixes)
                weights = new_weights(size, hidden_size, bias, forget_bias, self.rng, dtype)
                for name, weight in weights.items():
                    setattr(self, f"{name}_l{layer}{suffix}", weight)

    def forward(
        self, x: Tensor, state: State | None = None, lengths: ArrayLike | None = None
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
        """
        if x.ndim != 3 or x.shape[2] != self.input_size:
            raise ValueError(
                f"LSTM takes (batch, time, {self.input_size}), and got an input of shape {x.shape}"
            )
        batch, time, _ = x.shape
        steps = np.full(batch, time) if lengths is None else np.asarray(lengths)
        if not steps.size:
            steps = steps.astype(np.int64)  # np.array([]) is an array of floats
        if (
            steps.shape != (batch,)
            or steps.dtype.kind not in "iu"
            or not ((steps >= 0) & (steps <= time)).all()
        ):
            raise ValueError(f"LSTM takes {batch} whole lengths from 0 to {time}, not {steps.tolist()}")
        shape = (self.num_layers * len(self.suffixes), batch, self.hidden_size)
        if state is None:
            zeros = Tensor(np.zeros(shape, x.dtype))
            state = zeros, zeros
        if state[0].shape != shape or state[1].shape != shape:
            raise ValueError(f"LSTM takes states of shape {shape}, not {state[0].shape} and {state[1].shape}")

        if (steps < time).any():  # a NaN in the padding would come back in gradients, as 0 times NaN
            x = where((np.arange(time) < steps[:, np.newaxis])[:, :, np.newaxis], x, 0)
        out = x.transpose(1, 0, 2)  # time first inside: each step is one block
        last_h: list[Tensor] = []
        last_c: list[Tensor] = []
        for layer in range(self.num_layers):
            if layer and self.dropout and self.training:
                out = functional.dropout(out, self.dropout, self.rng)
            outputs = []
            for suffix in self.suffixes:
                k = len(last_h)
                output, h, c = self._run(out, state[0][k], state[1][k], steps, f"_l{layer}{suffix}")
                outputs.append(output)
                last_h.append(h)
                last_c.append(c)
            out = outputs[0] if len(outputs) == 1 else concatenate(*outputs, axis=-1)
        return out.transpose(1, 0, 2), (stack(*last_h), stack(*last_c))

    def _run(
        self, x: Tensor, h: Tensor, c: Tensor, lengths: np.ndarray, name: str
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One layer in one direction over (time, batch, features); output and last states."""
        weight_hh = getattr(self, f"weight_hh{name}").T
        inputs = functional.linear(x, getattr(self, f"weight_ih{name}"))  # all steps in one product
        if hasattr(self, f"bias_ih{name}"):
            inputs = inputs + (getattr(self, f"bias_ih{name}") + getattr(self, f"bias_hh{name}"))
        nothing = Tensor(np.zeros(h.shape, h.dtype))
        outputs = [nothing] * len(x)
        order = range(len(x))
        # Backwards in time a sequence keeps its initial state until its last step comes.
        for t in reversed(order) if name.endswith("_reverse") else order:
            running = (t < lengths)[:, np.newaxis]
            if not running.any():
                continue
            new_h, new_c = functional.lstm_step(inputs[t] + h @ weight_hh, c)
            if running.all():
                h, c, outputs[t] = new_h, new_c, new_h
            else:
                h, c = where(running, new_h, h), where(running, new_c, c)
                outputs[t] = where(running, new_h, nothing)
        return (stack(*outputs) if outputs else Tensor(np.zeros((0, *h.shape), h.dtype))), h, c
