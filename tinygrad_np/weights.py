"""Weights on disk, as safetensors: numbers and names only, nothing that could be executed; and to PyTorch and back.

Files need the extra ``weights``: ``pip install tinygrad_np[weights]``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_np.extras import import_optional
from tinygrad_np.files import atomic_write
from tinygrad_np.nn.layer import Layer, _walk
from tinygrad_np.tensor import Tensor


def save_weights(
    path: str | os.PathLike[str],
    state: Mapping[str, np.ndarray],
    config: Mapping[str, Any] | None = None,
) -> None:
    """Write a `state_dict` to a file, which appears whole or not at all.

    Parameters
    ----------
    state : mapping of str to ndarray
        ``layer.state_dict()``. ``safetensors.torch.load_file`` reads it as tensors.
    config : mapping, optional
        What the model is made of, such as ``{"hidden": 64}``, for `load_config`: what JSON can hold. It becomes the
        metadata of the file, as text under ``"config"``.

    Raises
    ------
    ImportError
        safetensors is not installed.
    TypeError
        The configuration holds what JSON cannot.
    """
    content = _pack(state, {} if config is None else {"config": json.dumps(dict(config))})
    with atomic_write(path) as part:
        part.write_bytes(content)


def load_weights(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Read a `state_dict` from a file, for ``layer.load_state_dict``.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        It is no safetensors file, or was cut off.
    ImportError
        safetensors is not installed.
    """
    return _read(path)[0]


def load_config(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read the configuration that `save_weights` was given, to make the model anew: ``Model(**load_config(path))``.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        It is no whole safetensors file, or holds no configuration.
    ImportError
        safetensors is not installed.
    """
    metadata = _read(path)[1]
    if "config" not in metadata:
        raise ValueError(
            f"{path} holds weights and no configuration: save it with save_weights(..., config=...)"
        )
    config: dict[str, Any] = json.loads(metadata["config"])
    return config


def _read(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    import_optional("safetensors.numpy")  # if it is missing, that is the first thing to say
    try:
        return _unpack(Path(path).read_bytes())
    except ValueError as error:
        raise ValueError(f"{path} {error}") from error


def _pack(arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> bytes:
    """Arrays, and texts by name, as the content of a safetensors file."""
    numpy_format = import_optional("safetensors.numpy")
    contiguous = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    content: bytes = numpy_format.save(contiguous, dict(metadata) or None)
    return content


def _unpack(content: bytes) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The arrays and texts of `_pack`.

    Raises
    ------
    ValueError
        It is not the whole content of a safetensors file.
    """
    numpy_format = import_optional("safetensors.numpy")
    try:
        arrays: dict[str, np.ndarray] = numpy_format.load(content)
    except Exception as error:  # the library's own error type is not part of its public names
        raise ValueError(f"is not a whole safetensors file: {error}") from error
    size = int.from_bytes(content[:8], "little")  # of the header, which the library checked
    metadata: dict[str, str] = json.loads(content[8 : 8 + size]).get("__metadata__", {})
    return arrays, metadata


# --- PyTorch ------------------------------------------------------------------------------------------


def to_torch(model: Layer) -> dict[str, Any]:
    """The weights of a model as tensors, for ``module.load_state_dict(...)`` of the same model in PyTorch.

    Every layer that PyTorch has is called there as here, and so are its weights, their layouts and gate order: a
    module that is put together in the same way takes them with ``strict=True``. Needs PyTorch.

    Returns
    -------
    dict of str to torch.Tensor
        Copies, in their dtypes. A tied weight stands under each of its names, as PyTorch wants it.

    Raises
    ------
    ImportError
        PyTorch is not installed.
    """
    torch = import_optional("torch")
    tensors = {name: value for name, value in _walk(model, "") if isinstance(value, Tensor)}
    return {name: torch.tensor(tensor.data) for name, tensor in tensors.items()}


def from_torch(model: Layer, state: Mapping[str, Any]) -> None:
    """Give a model the weights of the same model in PyTorch.

    Parameters
    ----------
    state : mapping of str to torch.Tensor
        ``module.state_dict()``: of any device and dtype, bfloat16 too. Each array of the model keeps its own dtype.

    Raises
    ------
    ValueError
        They do not fit: see ``layer.load_state_dict``.
    """
    model.load_state_dict({name: _as_array(tensor) for name, tensor in state.items()})


def _as_array(tensor: Any) -> Any:
    """A torch.Tensor as an array. NumPy has no bfloat16: its numbers are exact in float32."""
    if not hasattr(tensor, "detach"):
        return tensor
    tensor = tensor.detach().cpu()
    return (tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor).numpy()
