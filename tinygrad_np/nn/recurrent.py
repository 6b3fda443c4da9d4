"""RNN, LSTM and GRU: layers that read sequences step by step.

Sequences are batch first, (batch, time, features), unless told. Names, layouts and order of the weights are
PyTorch's (gates i, f, g, o and r, z, n), so that a state_dict can be exchanged. The equations are in
`ops.recurrent`, where an LSTM and a GRU are one primitive each; with ``fused=False`` they are built from many, and
compute the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from tinygrad_np import functional
from tinygrad_np.functional import common
from tinygrad_np.functional.common import Rng
from tinygrad_np.nn.cells import State, check_activation, new_weights, open_forget_gate
from tinygrad_np.nn.layer import Layer, check_sizes
from tinygrad_np.ops.recurrent import gru, gru_composed, lstm, lstm_composed, rnn_composed
from tinygrad_np.ops.shape import concatenate, stack
from tinygrad_np.tensor import Tensor


class Recurrent(Layer):
    """What `RNN`, `LSTM` and `GRU` share: layers and directions, their weights, and the way through them.

    A subclass says how many gates and states it has, and which functions run over one layer in one direction:
    as one primitive, and built from many.
    """

    gates: int
    states: int = 1
    functions: tuple[Callable[..., Any], Callable[..., Any]]
    settings: tuple[str, ...] = ()  # that the functions take too

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int,
        bias: bool,
        batch_first: bool,
        dropout: float,
        bidirectional: bool,
        recurrent_dropout: float,
        weight_dropout: float,
        fused: bool,
        rng: Rng,
        dtype: DTypeLike,
        proj_size: int = 0,
    ):
        kind = type(self).__name__
        check_sizes(kind, input_size=input_size, proj_size=proj_size)
        check_sizes(kind, 1, hidden_size=hidden_size, num_layers=num_layers)
        common.check_probability(kind, dropout)
        common.check_probability(kind, recurrent_dropout)
        common.check_probability(kind, weight_dropout)
        if proj_size >= hidden_size:
            raise ValueError(f"{kind} projects to fewer than hidden_size {hidden_size}, not to {proj_size}")
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = dropout
        self.bidirectional = bidirectional
        self.recurrent_dropout = recurrent_dropout
        self.weight_dropout = weight_dropout
        self.suffixes = ("", "_reverse") if bidirectional else ("",)
        self.fused = fused
        self.proj_size = proj_size
        self.rng = common.generator(kind, rng)
        for layer in range(num_layers):
            for suffix in self.suffixes:
                size = input_size if layer == 0 else (proj_size or hidden_size) * len(self.suffixes)
                weights = new_weights(size, hidden_size, self.gates, bias, self.rng, dtype, proj_size)
                for name, weight in weights.items():
                    setattr(self, f"{name}_l{layer}{suffix}", weight)

    def extra_repr(self) -> str:
        """The sizes, and what differs from one layer in one direction."""
        usual = {"num_layers": 1, "bias": True, "batch_first": True, "dropout": 0, "bidirectional": False}
        usual |= {"recurrent_dropout": 0, "weight_dropout": 0, "fused": True, "proj_size": 0}
        changed = [f"{k}={getattr(self, k)}" for k, value in usual.items() if getattr(self, k) != value]
        return ", ".join([str(self.input_size), str(self.hidden_size), *changed])

    def run_layers(
        self,
        x: Tensor,
        states: tuple[Tensor, ...] | None,
        lengths: ArrayLike | None,
        indices: ArrayLike | None,
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """All layers in all directions, of a batch in either order, or of one sequence without a batch."""
        kind = type(self).__name__
        x = common.floats(kind, x)
        single = x.ndim == 2 if indices is None else np.ndim(indices) == 1
        if single:
            if lengths is not None:
                raise ValueError(f"{kind} takes no lengths for one sequence: cut it")
            x = x if indices is not None else x[np.newaxis]
            indices = None if indices is None else np.asarray(indices)[np.newaxis]
            states = None if states is None else tuple(state[:, np.newaxis] for state in states)
        elif not self.batch_first:
            x = x.swapaxes(0, 1) if x.ndim == 3 else x
            indices = None if indices is None else np.swapaxes(indices, 0, 1)
        output, last = self.run_batch(x, states, lengths, indices)
        if single:
            return output[0], tuple(state[:, 0] for state in last)
        return output if self.batch_first else output.swapaxes(0, 1), last

    def run_batch(
        self,
        x: Tensor,
        states: tuple[Tensor, ...] | None,
        lengths: ArrayLike | None,
        indices: ArrayLike | None,
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """All layers in all directions, batch first, after a look at what was given."""
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
        widths = [self.proj_size or self.hidden_size, self.hidden_size][: self.states]
        shapes = [(self.num_layers * len(self.suffixes), batch, width) for width in widths]
        if states is None:
            states = tuple([Tensor(np.zeros(shape, x.dtype)) for shape in shapes])
        if len(states) != self.states:
            raise ValueError(
                f"{kind} takes {'h and c' if self.states == 2 else 'h'} for a state, not {len(states)}"
            )
        if [state.shape for state in states] != shapes:
            needed = " and ".join(map(str, dict.fromkeys(shapes)))
            given = " and ".join(str(state.shape) for state in states)
            raise ValueError(f"{kind} takes states of shape {needed}, not {given}")

        shorter = steps if (steps < time).any() else None
        drops = self.training and self.recurrent_dropout > 0
        composed = not self.fused or drops or self.proj_size > 0  # what the primitives have not
        last: list[tuple[Tensor, ...]] = []
        for layer in range(self.num_layers):
            if layer:
                x = functional.dropout(x, self.dropout, self.training, rng=self.rng)
            outputs = []
            for suffix in self.suffixes:
                initial = [state[len(last)] for state in states]
                weights = [getattr(self, f"{name}_l{layer}{suffix}") for name in ("weight_ih", "weight_hh")]
                # workers share the state of `rng`, which may draw for the rows of each: weights are dropped for all
                common_rng = np.random.Generator(self.rng.bit_generator)
                weights[1] = functional.dropout(
                    weights[1], self.weight_dropout, self.training, rng=common_rng
                )
                if self.bias:
                    weights += [getattr(self, f"{name}_l{layer}{suffix}") for name in ("bias_ih", "bias_hh")]
                else:
                    weights += [np.zeros(len(weights[0]), weights[0].dtype)] * 2
                more = {name: getattr(self, name) for name in self.settings}
                if drops:  # one mask for all steps
                    ones = Tensor(np.ones((batch, widths[0]), x.dtype))
                    more["mask"] = functional.dropout(ones, self.recurrent_dropout, rng=self.rng).data
                if self.proj_size:
                    more["weight_hr"] = getattr(self, f"weight_hr_l{layer}{suffix}")
                output, *state = self.functions[composed](
                    x, *initial, *weights, lengths=shorter, reverse=bool(suffix), indices=indices, **more
                )
                outputs.append(output)
                last.append(tuple(state))
            x, indices = outputs[0] if len(outputs) == 1 else concatenate(*outputs, axis=-1), None
        return x, tuple(stack(*parts) for parts in zip(*last, strict=True))


class RNN(Recurrent):
    """A plain recurrent network over sequences (Elman, 1990), built from many primitives.

    Parameters are those of `LSTM` without `forget_bias`, `fused` and `proj_size`; `nonlinearity` is "tanh" or
    "relu". The attributes are named as there, with 1 gate.
    """

    gates = 1
    functions = rnn_composed, rnn_composed
    settings = ("nonlinearity",)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = True,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        recurrent_dropout: float = 0.0,
        weight_dropout: float = 0.0,
        rng: Rng = None,
        dtype: DTypeLike = np.float32,
    ):
        check_activation("RNN", nonlinearity)
        self.nonlinearity = nonlinearity
        super().__init__(
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            recurrent_dropout,
            weight_dropout,
            True,
            rng,
            dtype,
        )

    def extra_repr(self) -> str:
        """The sizes, and what differs from one layer of tanh in one direction."""
        return super().extra_repr() + ("" if self.nonlinearity == "tanh" else ", nonlinearity='relu'")

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
        Whether sequences, and indices, are (batch, time, ...); with False they are (time, batch, ...).
    dropout : float
        While training, dropout of the output of each layer but the last.
    bidirectional : bool
        Whether a second LSTM reads each sequence from its end; outputs are concatenated.
    forget_bias : float
        Added to the initial bias of the forget gates (PyTorch's have none).
    recurrent_dropout : float
        While training, dropout of h on its way into the gates of the next step, of the same elements at all steps
        (Gal and Ghahramani, 2016). With it, and with `proj_size`, a layer is built from many primitives.
    weight_dropout : float
        While training, dropout of the elements of weight_hh, the same ones for a whole batch (Merity et al., 2018).
        It is done before the steps, so that a layer stays one primitive, and as quick.
    proj_size : int
        To so many features h is projected behind each step, if not 0 (Sak et al., 2014).
    fused : bool
        Whether a layer is one primitive, or built from many: slower, and simpler to read.
    rng : numpy.random.Generator, int or None
        Draws the initial weights and the dropout.
    dtype : dtype
        Of the weights.

    Attributes
    ----------
    weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0, weight_ih_l0_reverse, ... : Tensor
        The weights of each layer and direction, as in `LSTMCell`; with `proj_size`, weight_hr_l0 ... too,
        (proj_size, hidden_size).
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
        proj_size: int = 0,
        forget_bias: float = 1.0,
        recurrent_dropout: float = 0.0,
        weight_dropout: float = 0.0,
        fused: bool = True,
        rng: Rng = None,
        dtype: DTypeLike = np.float32,
    ):
        super().__init__(
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            recurrent_dropout,
            weight_dropout,
            fused,
            rng,
            dtype,
            proj_size,
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
            (batch, time, input_size), or (time, input_size) of one sequence; then there is no batch in what
            follows either. What lies beyond a sequence's length has no influence.
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

    Parameters are those of `LSTM`, without `forget_bias` and `proj_size`. The attributes are named as there, with 3
    gates, and the two biases are not interchangeable: the reset gate acts on one of them.
    """

    gates = 3
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
        recurrent_dropout: float = 0.0,
        weight_dropout: float = 0.0,
        fused: bool = True,
        rng: Rng = None,
        dtype: DTypeLike = np.float32,
    ):
        super().__init__(
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            recurrent_dropout,
            weight_dropout,
            fused,
            rng,
            dtype,
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
