"""Weights on disk, as safetensors: numbers and names only, nothing that could be executed.

Needs the extra ``weights``: ``pip install tinygrad_np[weights]``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tinygrad_np.extras import import_optional
from tinygrad_np.files import atomic_write


def save_weights(path: str | os.PathLike[str], state: Mapping[str, np.ndarray]) -> None:
    """Write a `state_dict` to a file, which appears whole or not at all.

    Raises
    ------
    ImportError
        safetensors is not installed.
    """
    numpy_format = import_optional("safetensors.numpy")
    content = numpy_format.save({name: np.asarray(array, order="C") for name, array in state.items()})
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
    numpy_format = import_optional("safetensors.numpy")
    content = Path(path).read_bytes()
    try:
        state: dict[str, np.ndarray] = numpy_format.load(content)
    except Exception as error:  # the library's own error type is not part of its public names
        raise ValueError(f"{path} is not a whole safetensors file: {error}") from error
    return state
