"""The state of a training as the content of one file, and back, to the bit.

It is a safetensors file: the arrays under their places in the state, ``/model/encoder.weight``, and as metadata a
JSON text with all the rest and a SHA-256 of the whole file. So any tool for safetensors can look into it, nothing
in it could be executed, and a single bit that was changed is seen.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from tinygrad_np.weights import _pack, _unpack

UNSEALED = "0" * 64  # stands in place of the SHA-256 while it is computed
_SEAL = b'"sha256":"'  # within a text of JSON its quotes would be escaped: this is the key itself
_KNOWN = ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"]  # to safetensors


def pack(state: Mapping[str, Any], about: Any) -> bytes:
    """A state as the content of a file.

    Parameters
    ----------
    state : mapping
        Nested dicts (their keys are strings), lists and tuples of numbers, strings, bools, None and arrays of any
        numbers, texts or times. Whole numbers may be as large as those in a random generator's state.
    about : object
        What else the file says, as JSON can hold it: of which step the state is, for instance.

    Raises
    ------
    TypeError
        Something else is in it: its place is named.
    """
    arrays: dict[str, np.ndarray] = {}
    text = json.dumps(_taken_apart(state, "", arrays))
    content = _pack(arrays, {"state": text, "about": json.dumps(about), "sha256": UNSEALED})
    at = content.index(_SEAL) + len(_SEAL)
    return b"".join([content[:at], _sha256(content, at), content[at + len(UNSEALED) :]])


def unpack(content: bytes) -> tuple[dict[str, Any], Any]:
    """The state and what is said about it, of a content that `pack` made.

    Raises
    ------
    ValueError
        It is not as it was made: cut, or changed somewhere.
    """
    at = content.find(_SEAL) + len(_SEAL)
    if at < len(_SEAL) or content[at : at + len(UNSEALED)] != _sha256(content, at):
        raise ValueError("is not as it was written: it was cut or altered, as its SHA-256 says")
    arrays, metadata = _unpack(content)
    return _put_together(json.loads(metadata["state"]), arrays), json.loads(metadata["about"])


def _sha256(content: bytes, at: int) -> bytes:
    """That of a content whose own SHA-256 stands at a place and does not count."""
    digest = hashlib.sha256(memoryview(content)[:at])
    digest.update(UNSEALED.encode())
    digest.update(memoryview(content)[at + len(UNSEALED) :])
    return digest.hexdigest().encode()


def _taken_apart(value: Any, place: str, arrays: dict[str, np.ndarray]) -> Any:
    """What JSON can hold of a state; its arrays go where they are collected.

    What JSON has no word for is a dict of one key that begins with a dollar sign: arrays, NumPy's numbers, tuples.
    """
    if isinstance(value, np.ndarray | np.generic):
        kind = "$array" if isinstance(value, np.ndarray) else "$number"
        array = np.asarray(value)
        if array.dtype.kind not in "biufcSUmM":
            raise TypeError(f"the state holds an array of {array.dtype} at {place}, which cannot be kept")
        if array.dtype in map(np.dtype, _KNOWN):
            arrays[place] = array
            return {kind: place}
        arrays[place] = np.frombuffer(array.tobytes(), np.uint8)
        return {kind: place, "dtype": array.dtype.str, "shape": array.shape}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        if wrong := [key for key in value if not isinstance(key, str)]:
            raise TypeError(
                f"the state has the key {wrong[0]!r} in {place or '/'}, and keys have to be strings"
            )
        parts = {key: _taken_apart(v, f"{place}/{_escaped(key)}", arrays) for key, v in value.items()}
        return {f"${key}" if key.startswith("$") else key: part for key, part in parts.items()}
    if isinstance(value, list | tuple):
        items = [_taken_apart(v, f"{place}/{i}", arrays) for i, v in enumerate(value)]
        return items if isinstance(value, list) else {"$tuple": items}
    raise TypeError(
        f"the state holds a {type(value).__name__} at {place}: it takes dicts, lists, numbers, strings, bools, "
        "None and arrays (of a Tensor its data, of a Generator its bit_generator.state)"
    )


def _put_together(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    """What `_taken_apart` took apart."""
    if isinstance(value, list):
        return [_put_together(v, arrays) for v in value]
    if not isinstance(value, dict):
        return value
    if "$tuple" in value:
        return tuple([_put_together(v, arrays) for v in value["$tuple"]])
    for kind in ("$array", "$number"):
        if kind in value:
            array = arrays[value[kind]]
            if "dtype" in value:
                array = np.frombuffer(array.tobytes(), value["dtype"]).reshape(value["shape"]).copy()
            return array if kind == "$array" else array[()]
    return {key.removeprefix("$"): _put_together(v, arrays) for key, v in value.items()}


def _escaped(key: str) -> str:
    """A key within a place: no two states give two arrays the same one (RFC 6901, JSON Pointer)."""
    return key.replace("~", "~0").replace("/", "~1")
