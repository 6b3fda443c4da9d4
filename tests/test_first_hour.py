"""What somebody who knows PyTorch or NumPy tries in the first hour: it works, or says in a sentence what to do."""

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_np.functional as F
from tinygrad_np import Tensor, nn
from tinygrad_np.data import batches

# --- rng is optional ----------------------------------------------------------------------------------

ONES = Tensor(np.ones((20, 20)))
DRAWS: dict[str, Callable[[Any], np.ndarray]] = {  # everything that draws, as a function of rng
    "Linear": lambda rng: nn.Linear(20, 16, rng=rng).weight.data,
    "Embedding": lambda rng: nn.Embedding(20, 16, rng=rng).weight.data,
    "LSTMCell": lambda rng: nn.LSTMCell(20, 16, rng=rng).weight_ih.data,
    "LSTM": lambda rng: nn.LSTM(20, 16, rng=rng).state_dict()["weight_hh_l0"],
    "GRU": lambda rng: nn.GRU(20, 16, rng=rng).state_dict()["weight_hh_l0"],
    "Dropout": lambda rng: nn.Dropout(rng=rng)(ONES).data,
    "functional.dropout": lambda rng: F.dropout(ONES, rng=rng).data,
    "data.batches": lambda rng: np.concatenate(batches(np.arange(1000), 1, rng=rng)),
    **{
        f"init.{name}": lambda rng, draw=draw: draw((20, 20), rng=rng)
        for name, draw in inspect.getmembers(nn.init, inspect.isfunction)
        if "rng" in inspect.signature(draw).parameters
    },
}


def test_what_draws_is_in_the_table() -> None:
    assert [name for name in DRAWS if name.startswith("init.")] == [
        *("init.kaiming_normal", "init.kaiming_uniform", "init.normal", "init.orthogonal"),
        *("init.uniform", "init.xavier_normal", "init.xavier_uniform"),
    ]
    for module in (nn, F):
        for name in module.__all__:
            thing = getattr(module, name)
            if callable(thing) and "rng" in inspect.signature(thing).parameters:
                assert name in DRAWS or f"functional.{name}" in DRAWS
                assert inspect.signature(thing).parameters["rng"].default is None


@pytest.mark.parametrize("name", DRAWS)
def test_a_seed_or_a_generator_repeats_and_none_does_not(name: str) -> None:
    draw = DRAWS[name]
    np.testing.assert_array_equal(draw(1), draw(np.random.default_rng(1)))
    np.testing.assert_array_equal(draw(np.int64(1)), draw(1))
    assert (draw(1) != draw(2)).any()
    if name != "data.batches":  # there None means sorted
        assert (draw(None) != draw(None)).any()
    generator = np.random.default_rng(1)
    assert (draw(generator) != draw(generator)).any()  # it goes on


@pytest.mark.parametrize("name", DRAWS)
def test_nothing_reads_or_moves_the_global_state(name: str) -> None:
    np.random.seed(0)  # noqa: NPY002
    before = np.random.get_state(legacy=False)["state"]  # type: ignore[call-overload, index]  # noqa: NPY002
    one = DRAWS[name](None)
    after = np.random.get_state(legacy=False)["state"]  # type: ignore[call-overload, index]  # noqa: NPY002
    np.testing.assert_array_equal(before["key"], after["key"])
    assert before["pos"] == after["pos"]
    np.random.seed(0)  # noqa: NPY002
    if name != "data.batches":
        assert (one != DRAWS[name](None)).any()


def test_defaults_of_initialisers_and_dropout() -> None:
    assert nn.init.xavier_uniform((3, 2)).dtype == np.float32
    assert nn.init.orthogonal((3, 2), dtype=np.float64).dtype == np.float64
    uniform, normal = nn.init.uniform((10_000,), rng=0), nn.init.normal((10_000,), rng=0)
    assert 0 <= uniform.min() < 0.01
    assert 0.99 < uniform.max() < 1
    assert abs(normal.mean()) < 0.05
    assert abs(normal.std() - 1) < 0.05
    assert set(np.unique(F.dropout(ONES).data)) == {0.0, 2.0}
    assert F.dropout(ONES, 0.5, False) is ONES
    assert F.dropout(ONES, training=False) is ONES
    assert nn.Linear(2, 16)(Tensor(np.ones((3, 2), np.float32))).shape == (3, 16)
