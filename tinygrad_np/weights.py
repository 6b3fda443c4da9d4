"""Weights on disk, as safetensors: numbers and names only, nothing that could be executed.

Needs the extra ``weights``: ``pip install tinygrad_np[weights]``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np


def save_weights(path: str | os.PathLike[str], state: Mapping[str, np.ndarray]) -> None:
    """Write a `state_dict` to a file, which appears whole or not at all.

    Raises
    ------
    ImportError
        safetensors is not installed.
    """
    numpy_format = _safetensors()
    path = Path(path)
    beside = path.with_name(path.name + ".part")
    content = numpy_format.save({name: np.asarray(array, order="C") for name, array in state.items()})
    try:
        beside.write_bytes(content)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)  # what a failed write leaves


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
    numpy_format = _safetensors()
    content = Path(path).read_bytes()
    try:
        state: dict[str, np.ndarray] = numpy_format.load(content)
    except Exception as error:  # the library's own error type is not part of its public names
        raise ValueError(f"{path} is not a whole safetensors file: {error}") from error
    return state


def _safetensors() -> Any:
    try:
        import safetensors.numpy
    except ImportError as error:
        raise ImportError(
            "weights are stored with safetensors, which is not installed: pip install 'tinygrad_np[weights]'"
        ) from error
    return safetensors.numpy
