"""What the tests of LSTM and GRU share: their equations in plain loops, problems to try, and how to compare."""

from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from tinygrad_np import Tensor
from tinygrad_np.check.cases.recurrent import plain_gru, plain_lstm
from tinygrad_np.nn import GRU, LSTM
from tinygrad_np.testing import generators

# each layer both ways
MAKERS = {
    f"{kind.__name__} {'fused' if fused else 'composed'}": partial(kind, fused=fused)
    for kind in (LSTM, GRU)
    for fused in (True, False)
}
every_way = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


# --- the equations, number by number: those of the check's rows ---------------------------------------


def plain_layer(
    layer: LSTM | GRU, x: np.ndarray, states: Any = None, lengths: Any = None
) -> list[np.ndarray]:
    """Output and last states of the whole layer."""
    weights = layer.state_dict()
    primitive = plain_lstm if isinstance(layer, LSTM) else plain_gru
    suffixes = ("", "_reverse") if "weight_ih_l0_reverse" in weights else ("",)
    shape = layer.states, layer.num_layers * len(suffixes), len(x), layer.hidden_size
    last = np.zeros(shape) if states is None else np.array(states)
    k = 0
    for n in range(layer.num_layers):
        outputs = []
        for suffix in suffixes:
            matrices = [weights[f"weight_{part}_l{n}{suffix}"] for part in ("ih", "hh")]
            none = np.zeros(len(matrices[0]))
            biases = [weights.get(f"bias_{part}_l{n}{suffix}", none) for part in ("ih", "hh")]
            out, *last[:, k] = primitive(
                x, *last[:, k], *matrices, *biases, lengths=lengths, reverse=bool(suffix)
            )
            outputs.append(out)
            k += 1
        x = np.concatenate(outputs, axis=-1)
    return [x, *last]


# --- running a layer ----------------------------------------------------------------------------------


def call(layer: LSTM | GRU, x: Tensor, states: Any = None, lengths: Any = None) -> list[Tensor]:
    """Output and last states, in one list for both kinds; `states` is one initial state for each."""
    if isinstance(layer, LSTM):
        out, last = layer(x, None if states is None else tuple(states), lengths)
        return [out, *last]
    return list(layer(x, None if states is None else states[0], lengths))


def run(layer: LSTM | GRU, x: Any, states: Any = None, lengths: Any = None) -> list[np.ndarray]:
    """As `call`, of arrays."""
    given = None if states is None else [Tensor(s) for s in states]
    return [result.data for result in call(layer, Tensor(x), given, lengths)]


def assert_same(results: Any, expected: Any, **tolerance: float) -> None:
    for result, other, name in zip(results, expected, ("output", "h", "c")[: len(expected)], strict=True):
        assert result.shape == other.shape
        np.testing.assert_allclose(
            result, other, err_msg=name, **({"rtol": 1e-11, "atol": 1e-13} | tolerance)
        )


def everything(layer: Any, lengths: Any = None) -> tuple[Any, list[np.ndarray]]:
    """The layer as a function of x, its states and all its weights, all results in one; and the weights.

    For gradient checks. A layer that is no LSTM or GRU, as a cell, takes x and a tuple of states.
    """
    names = list(layer.named_parameters().keys())

    def f(*arrays: Any) -> Tensor:
        given = [a if isinstance(a, Tensor) else Tensor(a) for a in arrays]
        x, *states = given[: len(given) - len(names)]
        mine = {name: getattr(layer, name) for name in names}
        try:
            for name, weight in zip(names, given[len(given) - len(names) :]):
                setattr(layer, name, weight)
            recurrent = isinstance(layer, LSTM | GRU)
            results = call(layer, x, states, lengths) if recurrent else layer(x, tuple(states))
        finally:
            for name, weight in mine.items():
                setattr(layer, name, weight)
        return np.concatenate([np.ravel(r) for r in results])  # type: ignore[return-value]

    return f, [p.data for p in layer.parameters()]


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
def problems(draw: st.DrawFn) -> tuple[LSTM | GRU, np.ndarray, Any, Any]:
    """A small layer in float64, made in any way, inputs, initial states or None, and lengths or None."""
    make = MAKERS[draw(st.sampled_from(list(MAKERS)))]
    rng = draw(generators())
    size = {name: draw(strategy) for name, strategy in SIZES.items()}
    layer = make(
        size["inputs"],
        size["hidden"],
        size["layers"],
        size["bias"],
        bidirectional=size["both"],
        rng=rng,
        dtype=np.float64,
    )
    x = rng.standard_normal((size["batch"], size["time"], size["inputs"]))
    shape = (layer.states, size["layers"] * (1 + size["both"]), size["batch"], size["hidden"])
    states = rng.standard_normal(shape) if size["with_state"] else None
    lengths = rng.integers(0, size["time"] + 1, size["batch"]) if size["with_lengths"] else None
    return layer, x, states, lengths
