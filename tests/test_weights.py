"""Weights on disk: every array comes back bit for bit, and a file is whole or not there."""

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_np.nn import LSTM
from tinygrad_np.testing import generators, laid_out, shapes
from tinygrad_np.weights import load_weights, save_weights

pytest.importorskip(
    "safetensors", reason="weights on disk need safetensors: pip install 'tinygrad_np[weights]'"
)

DTYPES = ["f4", "f8", "f2", "i8", "i4", "u1", "?"]


def assert_same_bits(state: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    assert set(state) == set(other)
    for name, array in state.items():
        assert (other[name].shape, other[name].dtype) == (array.shape, array.dtype), name
        assert other[name].tobytes() == array.tobytes(), name


@given(
    rng=generators(),
    shape=shapes(),
    dtype=st.sampled_from(DTYPES),
    layout=st.sampled_from(["C", "F", "reversed", "strided"]),
)
def test_any_array_goes_round(
    tmp_path_factory: pytest.TempPathFactory, rng: Any, shape: Any, dtype: str, layout: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "array.safetensors"
    array = laid_out((3 * rng.standard_normal(shape)).astype(dtype), layout)
    save_weights(path, {"a": array, "copy": array.copy()})
    assert_same_bits({"a": array, "copy": array}, load_weights(path))


def test_special_numbers_go_round(tmp_path: Path) -> None:
    tiny = np.nextafter(0, 1)
    state = {"x": np.array([np.nan, np.inf, -np.inf, -0.0, tiny, -tiny, 1 / 3]), "empty": np.zeros((0, 3))}
    save_weights(tmp_path / "w", state)
    assert_same_bits(state, load_weights(tmp_path / "w"))


def test_the_comparison_of_bits_can_fail() -> None:
    x = {"a": np.zeros(2)}
    for other in ({"a": -x["a"]}, {"a": np.zeros((2, 1))}, {"a": np.zeros(2, "f4")}, {"b": x["a"]}, {}):
        with pytest.raises(AssertionError):
            assert_same_bits(x, other)


def test_a_layer_goes_round(tmp_path: Path, rng: np.random.Generator) -> None:
    layer, other = (LSTM(2, 3, num_layers=2, bidirectional=True, rng=seed) for seed in (0, 1))
    save_weights(str(tmp_path / "lstm.safetensors"), layer.state_dict())  # a path may be a string
    other.load_state_dict(load_weights(str(tmp_path / "lstm.safetensors")))
    assert_same_bits(layer.state_dict(), other.state_dict())
    loaded = load_weights(tmp_path / "lstm.safetensors")
    for array in loaded.values():
        array += 1  # they are the caller's own


def test_no_weights_go_round(tmp_path: Path) -> None:
    save_weights(tmp_path / "w", {})
    assert load_weights(tmp_path / "w") == {}


# --- files that are not whole -------------------------------------------------------------------------


@pytest.mark.parametrize("kept", [0, 4, 8, 40, -1])
def test_a_file_cut_off_is_refused(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "w"
    save_weights(path, {"a": np.arange(100.0)})
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match="is not a whole safetensors file: ") as error:
        load_weights(path)
    assert str(error.value).startswith(str(path))


def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "w.npy", np.arange(5))
    with pytest.raises(ValueError, match="is not a whole safetensors file: "):
        load_weights(tmp_path / "w.npy")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="missing"):
        load_weights(tmp_path / "missing")
    with pytest.raises(FileNotFoundError, match="missing"):
        save_weights(tmp_path / "missing" / "w", {"a": np.ones(1)})


# --- writing that fails -------------------------------------------------------------------------------


def write_half(path: Path, content: bytes) -> int:
    """What `Path.write_bytes` does on a disk that becomes full."""
    with open(path, "wb") as file:
        file.write(content[: len(content) // 2])
    raise OSError(28, "No space left on device")


def replace_fails(*_: Any) -> None:
    raise PermissionError("the file is in use")


@pytest.mark.parametrize(
    ("where", "what", "failing"), [(Path, "write_bytes", write_half), (os, "replace", replace_fails)]
)
def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: Any, what: str, failing: Any
) -> None:
    old = {"a": np.arange(3.0)}
    save_weights(tmp_path / "w", old)
    with monkeypatch.context() as patch:
        patch.setattr(where, what, failing)
        with pytest.raises(OSError, match=r"No space left|the file is in use"):
            save_weights(tmp_path / "w", {"a": np.arange(1000.0)})
    assert [file.name for file in tmp_path.iterdir()] == ["w"]
    assert_same_bits(old, load_weights(tmp_path / "w"))


def test_an_interrupt_while_writing_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(path: Path, content: bytes) -> int:
        with open(path, "wb") as file:
            file.write(content[:10])
        raise KeyboardInterrupt

    old = {"a": np.arange(3.0)}
    save_weights(tmp_path / "w", old)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", interrupted)
        with pytest.raises(KeyboardInterrupt):
            save_weights(tmp_path / "w", {"a": np.arange(1000.0)})
    assert [file.name for file in tmp_path.iterdir()] == ["w"]
    assert_same_bits(old, load_weights(tmp_path / "w"))


def test_what_cannot_be_stored_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="complex128"):
        save_weights(tmp_path / "w", {"a": np.ones(2, dtype=complex)})
    assert list(tmp_path.iterdir()) == []


# --- without safetensors ------------------------------------------------------------------------------


def test_the_extra_is_named_where_safetensors_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    says = r"safetensors, which is not installed: pip install 'tinygrad_np\[weights\]'"
    for call in (lambda: save_weights(tmp_path / "w", {}), lambda: load_weights(tmp_path / "w")):
        with pytest.raises(ImportError, match=says):
            call()
    assert list(tmp_path.iterdir()) == []
