"""An LSTM and a GRU over whole sequences, each one primitive, with backpropagation through time derived by hand.

The equations stand in `lstm` and `gru`; `lstm_composed` and `gru_composed` are the same composed of primitives,
and the tests hold one against the other. What makes the fused ones fast:

- Nothing is computed for padding. Sequences are sorted by length and aligned at their end (`packing`), so that
  those that are active at a step are the first rows of one matrix.
- A step has one matrix product: of u = [h, x, 1], the state before, the input and a one for the bias, with all
  weights. The rows u of all steps are one array, which is an operand of the weights' gradient too.
- Each gate has a matrix of its own, and all that belongs to a step lies together, gate after gate. So a NumPy
  call runs through several gates in one loop, and the products are so small that OpenBLAS copies no operand.
- sigmoid(a) = tanh(a / 2) / 2 + 1 / 2, and the inner half is in the weights: one tanh serves all gates.
- In the backward pass the factors of the gates' gradients do not depend on gradients. They are computed for many
  steps at once, in chunks that stay in the cache; the loop over steps is left with products and sums.
- Memory is reused (`workspace`): fresh megabytes cost more than the arithmetic on them.
- Once all gradients have vanished on their way back (`gradients`), nothing is left to compute.
"""

# From here on `lstm` and `gru` are the functions; their modules have the same names in this package.
from tinygrad_np.ops.recurrent.gru import gru, gru_composed, gru_step
from tinygrad_np.ops.recurrent.lstm import lstm, lstm_composed, lstm_step
from tinygrad_np.ops.recurrent.rnn import rnn_composed

__all__ = ["gru", "gru_composed", "gru_step", "lstm", "lstm_composed", "lstm_step", "rnn_composed"]
