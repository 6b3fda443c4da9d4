"""The table of a model's layers: what is in it, and that making it changes nothing."""

from typing import Any

import numpy as np
import pytest

from tinygrad_np import Tensor, nn


class Model(nn.Layer):
    """Layers of every kind of output, one called twice, one never; a tied weight, a frozen one, and a count."""

    def __init__(self) -> None:
        self.embedding = nn.Embedding(10, 4, rng=0)
        self.embedding.weight.requires_grad = False
        self.lstm = nn.LSTM(4, 3, rng=0)
        self.head = nn.Sequential(nn.Linear(3, 3, rng=0), np.tanh, nn.Dropout(0.5, rng=0))
        self.tied = nn.Linear(3, 3, bias=False, rng=0)
        self.tied.weight = self.head[0].weight
        self.unused = [nn.Linear(2, 2, rng=0)]
        self.calls = Tensor(np.zeros(1))

    def forward(self, indices: Any) -> Any:
        self.calls.data += 1
        out, _ = self.lstm(self.embedding(indices))
        return {"y": self.tied(self.head(self.head(out)))}


TABLE = """\
layer      class       output                               trained  frozen  weights  output memory
---------------------------------------------------------------------------------------------------
           Model       {y: (2, 5, 3)}                             -       1      8 B          120 B
embedding  Embedding   (2, 5, 4)                                  -      40    160 B          160 B
lstm       LSTM        [(2, 5, 3), [(1, 2, 3), (1, 2, 3)]]      108       -    432 B          168 B
head       Sequential  (2, 5, 3), 2 times                         -       -        -          240 B
head.0     Linear      (2, 5, 3), 2 times                        12       -     48 B          240 B
head.2     Dropout     (2, 5, 3), 2 times                         -       -        -          240 B
tied       Linear      (2, 5, 3)                                  -       -        -          120 B
unused.0   Linear      not called                                 6       -     24 B              -
---------------------------------------------------------------------------------------------------
all                                                             126      41    672 B          928 B"""


def test_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    model = Model()
    assert model.summary(np.zeros((2, 5), int)) == TABLE
    assert capsys.readouterr().out == TABLE + "\n"


def test_nothing_is_changed() -> None:
    model = Model().train()
    dropout = model.head[2]
    before = dropout.rng.bit_generator.state
    model.tied.eval()
    model.summary(np.zeros((2, 5), int))
    assert model.calls.data == 0
    assert dropout.rng.bit_generator.state == before
    assert (dropout.training, model.tied.training) == (True, False)
    assert "forward" not in vars(dropout)
    assert all(p.grad is None for p in model.parameters())


def test_shapes_stand_for_floats_in_the_dtype_of_the_weights(capsys: pytest.CaptureFixture[str]) -> None:
    seen = []

    class Pair(nn.Layer):
        def __init__(self, dtype: Any):
            self.linear = nn.Linear(3, 2, dtype=dtype)

        def forward(self, x: Tensor, state: tuple[Tensor, Tensor]) -> Tensor:
            seen.append((x.shape, x.dtype, type(state)))
            return self.linear(x) + state[0]

    state = Tensor(np.zeros(2)), Tensor(np.zeros(2))
    for dtype in (np.float32, np.float64):
        Pair(dtype).summary((5, 3), state)
    assert seen == [((5, 3), np.float32, tuple), ((5, 3), np.float64, tuple)]
    assert "2 B" in nn.Sequential(lambda x: x.astype(np.float16)).summary((1,))
    with pytest.raises(ValueError, match=r"^Linear takes \(..., 3\), and got an input of shape \(2,\)$"):
        nn.Linear(3, 2).summary((2,))


def test_memory_is_in_the_largest_unit_with_a_digit_before_the_point() -> None:
    text = nn.Linear(3000, 1000, rng=0).summary((1, 3000))
    assert text.splitlines()[-1].split() == ["all", "3,001,000", "0", "12.0", "MB", "4.0", "kB"]
