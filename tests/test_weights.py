"""Weights on disk: every array comes back bit for bit, and a file is whole or not there."""

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_np import Tensor, nn
from tinygrad_np.check.cases import LAYERS
from tinygrad_np.nn import LSTM
from tinygrad_np.testing import generators, laid_out, shapes
from tinygrad_np.weights import from_torch, load_config, load_weights, save_weights, to_torch

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


# --- the configuration, beside the weights ------------------------------------------------------------


def test_a_model_is_made_anew_of_its_file_alone(tmp_path: Path) -> None:
    config = {"input_size": 2, "hidden_size": 3, "num_layers": 2, "bidirectional": True}
    layer = LSTM(**config, rng=0)  # type: ignore[arg-type]
    save_weights(tmp_path / "w", layer.state_dict(), config=config)
    assert load_config(tmp_path / "w") == config
    other = LSTM(**load_config(tmp_path / "w"), rng=1)
    other.load_state_dict(load_weights(tmp_path / "w"))
    assert_same_bits(layer.state_dict(), other.state_dict())


@given(
    config=st.dictionaries(
        st.text(), st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
    )
)
def test_any_configuration_goes_round(tmp_path_factory: pytest.TempPathFactory, config: Any) -> None:
    path = tmp_path_factory.getbasetemp() / "config.safetensors"
    save_weights(path, {"a": np.ones(2)}, config)
    assert load_config(path) == config
    assert load_weights(path)["a"].tolist() == [1, 1]


def test_a_file_without_a_configuration_says_so(tmp_path: Path) -> None:
    save_weights(tmp_path / "w", {"a": np.ones(2)})
    with pytest.raises(ValueError, match="w holds weights and no configuration: save it with save_weights"):
        load_config(tmp_path / "w")
    (tmp_path / "w").write_bytes((tmp_path / "w").read_bytes()[:-1])
    with pytest.raises(ValueError, match="w is not a whole safetensors file: "):
        load_config(tmp_path / "w")


def test_a_configuration_that_json_cannot_hold_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        save_weights(tmp_path / "w", {"a": np.ones(2)}, {"rng": np.random.default_rng(0)})
    assert list(tmp_path.iterdir()) == []


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


# --- to PyTorch and back ------------------------------------------------------------------------------


def case_with_torch(name: str, torch: Any) -> Any:
    """A case of the layer's row that PyTorch has too, and its layer there; None where PyTorch has no such layer."""
    for seed in range(20):
        case = LAYERS[name](np.random.default_rng(seed))
        if case.torch is not None:
            return case, case.torch(torch).double()
    return None


def outputs(torch: Any, case: Any, theirs: Any) -> list[np.ndarray]:
    """What both give out, in one array each."""
    given = [Tensor(x) if x.dtype.kind == "f" else x for x in case.inputs]
    ours = case.call(case.layer, *given)
    tensors = [torch.tensor(x) for x in case.inputs]
    other = case.torch_call(torch, theirs, *tensors) if case.torch_call else case.call(theirs, *tensors)
    parts = [out if isinstance(out, tuple | list) else (out,) for out in (ours, other)]
    return [
        np.concatenate([np.ravel(p.detach().numpy()) for p in parts[0]]),
        np.concatenate([p.detach().numpy().ravel() for p in parts[1]]),
    ]


@pytest.mark.oracle
@pytest.mark.parametrize("name", LAYERS)
def test_every_layer_goes_to_pytorch_and_back(name: str) -> None:
    torch = pytest.importorskip("torch")
    if (both := case_with_torch(name, torch)) is None:
        # it draws other numbers there, and has nothing to exchange
        assert not hasattr(torch.nn, name) or not LAYERS[name](np.random.default_rng(0)).layer.state_dict()
        return
    case, theirs = both
    mine = case.layer.state_dict()
    assert all(type(tensor) is torch.Tensor for tensor in to_torch(case.layer).values())
    theirs.load_state_dict(to_torch(case.layer), strict=True)
    np.testing.assert_allclose(*outputs(torch, case, theirs), rtol=1e-10, atol=1e-12)
    with torch.no_grad():
        for tensor in theirs.state_dict().values():
            tensor.add_(1 if not tensor.is_floating_point() else torch.rand_like(tensor))
    from_torch(case.layer, theirs.state_dict())
    np.testing.assert_allclose(*outputs(torch, case, theirs), rtol=1e-10, atol=1e-12)
    changed = case.layer.state_dict()
    assert all(not np.array_equal(mine[key], changed[key]) for key in mine if mine[key].size)


class Tied(nn.Layer):
    """Words in and out by the same table, as in many language models."""

    def __init__(self) -> None:
        self.table = nn.Embedding(5, 3, rng=0)
        self.parts = [nn.LSTM(3, 3, rng=1), nn.Linear(3, 5, bias=False, rng=2)]
        self.parts[1].weight = self.table.weight


@pytest.mark.oracle
def test_tied_weights_have_all_of_their_names_there() -> None:
    torch = pytest.importorskip("torch")

    class Theirs(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.table = torch.nn.Embedding(5, 3)
            self.parts = torch.nn.ModuleList(
                [torch.nn.LSTM(3, 3, batch_first=True), torch.nn.Linear(3, 5, bias=False)]
            )
            self.parts[1].weight = self.table.weight

    mine, theirs = Tied(), Theirs()
    theirs.load_state_dict(to_torch(mine), strict=True)
    assert_same_bits(mine.state_dict() | {"parts.1.weight": mine.table.weight.data}, as_arrays(theirs))
    with torch.no_grad():
        theirs.table.weight.add_(1)
    from_torch(mine, theirs.state_dict())
    assert_same_bits(mine.state_dict() | {"parts.1.weight": mine.table.weight.data}, as_arrays(theirs))
    assert mine.parts[1].weight is mine.table.weight  # they are still tied
    copies = to_torch(mine)
    copies["table.weight"].zero_()
    assert mine.table.weight.data.any()


def as_arrays(theirs: Any) -> dict[str, np.ndarray]:
    return {name: tensor.detach().numpy() for name, tensor in theirs.state_dict().items()}


@pytest.mark.oracle
@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16"])
def test_tensors_of_any_width_are_taken(dtype: str) -> None:
    torch = pytest.importorskip("torch")
    theirs, mine = torch.nn.Linear(3, 2).to(getattr(torch, dtype)), nn.Linear(3, 2, rng=0)
    from_torch(mine, dict(theirs.named_parameters()))  # with gradients, as parameters are
    assert mine.weight.dtype == np.float32
    assert mine.weight.data.tolist() == theirs.weight.float().tolist()
    with pytest.raises(ValueError, match="the state does not fit Linear: missing bias; unexpected other"):
        from_torch(mine, {"weight": theirs.weight, "other": theirs.bias})


@pytest.mark.oracle
def test_pytorchs_own_safetensors_read_our_files_and_we_theirs(tmp_path: Path) -> None:
    torch_format = pytest.importorskip("safetensors.torch")
    torch = pytest.importorskip("torch")
    mine, theirs = nn.GRU(2, 3, rng=0), torch.nn.GRU(2, 3)
    save_weights(tmp_path / "ours", mine.state_dict(), config={"hidden": 3})
    theirs.load_state_dict(torch_format.load_file(tmp_path / "ours"), strict=True)
    assert_same_bits(mine.state_dict(), as_arrays(theirs))
    other = torch.nn.GRU(2, 3)
    torch_format.save_file(other.state_dict(), tmp_path / "theirs", {"config": '{"hidden": 3}'})
    mine.load_state_dict(load_weights(tmp_path / "theirs"))
    assert_same_bits(mine.state_dict(), as_arrays(other))
    assert load_config(tmp_path / "theirs") == {"hidden": 3}


def test_the_extra_is_named_where_pytorch_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(
        ImportError, match=r"torch, which is not installed: pip install 'tinygrad_np\[torch\]'"
    ):
        to_torch(nn.Linear(1, 1, rng=0))
