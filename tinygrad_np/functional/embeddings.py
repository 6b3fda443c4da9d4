"""Rows of a table, by number; and sums, means and maxima of some of them, a bag of words for one."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from tinygrad_np.errors import names_itself
from tinygrad_np.functional.common import check_indices, floats
from tinygrad_np.operand import as_array
from tinygrad_np.ops.elementwise import where
from tinygrad_np.ops.index import getitem, zeros_at
from tinygrad_np.tape import whole
from tinygrad_np.tensor import Tensor

__all__ = ["embedding", "embedding_bag"]


@names_itself
def embedding(
    indices: Any,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """The rows of a table.

    Parameters
    ----------
    indices : array_like of int
        Any shape.
    weight : Tensor
        The table, (rows, features).
    padding_idx : int, optional
        A row to which no gradient is sent; below 0 it counts from the end.
    max_norm : float, optional
        Of the rows that are read, the longer ones are scaled to this norm, in the table itself where it is
        trained. Their gradient is that of the scaled row.
    norm_type : float
        Which norm that is.
    scale_grad_by_freq : bool
        Divide the gradient of each row by how often it is read.
    sparse : bool
        Leave a `RowGrad` in ``weight.grad``, if that is a leaf: of the rows that were read, and no others.

    Returns
    -------
    Tensor
        The shape of `indices` followed by the number of features.

    Raises
    ------
    IndexError
        An index, or `padding_idx`, is not a whole number, or not that of a row. Negative indices do not count
        from the end here.
    ValueError
        A table that is the result of an operation is to be scaled.
    """
    weight = _table("embedding", weight)
    indices = check_indices("embedding", indices, len(weight))
    padding_idx = row_of("embedding", padding_idx, len(weight))
    check_norm("embedding", max_norm, norm_type)
    if max_norm is not None:
        weight = _renormalised("embedding", weight, indices, max_norm, norm_type)
    out = _rows(weight, indices, scale_grad_by_freq, sparse)
    if padding_idx is not None and weight.requires_grad:
        out = where((indices == padding_idx)[..., np.newaxis], out.detach(), out)
    return out


@names_itself
@whole
def embedding_bag(
    indices: Any,
    weight: Tensor,
    offsets: Any = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    mode: Literal["sum", "mean", "max"] = "mean",
    sparse: bool = False,
    per_sample_weights: Any = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """The sum, mean or maximum of the rows of each bag; of an empty one it is 0.

    The largest of equal elements is the first, and has the gradient.

    Parameters
    ----------
    indices : array_like of int
        (bags, length), each row a bag; or (N,), all bags one after another.
    weight : Tensor
        The table, (rows, features).
    offsets : array_like of int, optional
        Where each bag starts, (bags,), from 0 on; for the second form.
    max_norm, norm_type, scale_grad_by_freq, sparse
        As `embedding` has them.
    mode : {"mean", "sum", "max"}
        What is made of the rows of a bag.
    per_sample_weights : array_like or Tensor, optional
        Factors of the rows, in the shape of `indices`, for a sum; or of each of their numbers, in that shape
        followed by the number of features. They get a gradient too.
    include_last_offset : bool
        Whether `offsets` has one more: where the last bag ends.
    padding_idx : int, optional
        A row that is in no bag, nor counted; below 0 it counts from the end.

    Returns
    -------
    Tensor
        (bags, features).

    Raises
    ------
    IndexError
        As `embedding`.
    ValueError
        Shapes and offsets that do not fit, an unknown mode, or weights for another one than a sum.
    """
    name = "embedding_bag"
    weight = _table(name, weight)
    indices = check_indices(name, indices, len(weight))
    padding_idx = row_of(name, padding_idx, len(weight))
    check_norm(name, max_norm, norm_type)
    check_mode(name, mode)
    if per_sample_weights is not None:
        per_sample_weights = floats(name, per_sample_weights).astype(weight.dtype)
        if mode != "sum":
            raise ValueError(f"{name} takes per_sample_weights for a sum alone, not for mode {mode!r}")
        each_number = per_sample_weights.shape == indices.shape + weight.shape[1:]
        if not each_number and per_sample_weights.shape != indices.shape:
            raise ValueError(
                f"{name} takes a weight for each index, or for each number of its row, and got indices of shape "
                f"{indices.shape}, rows of shape {weight.shape[1:]} and weights of shape {per_sample_weights.shape}"
            )
        shape = weight.shape[1:] if each_number else (1,) * (weight.ndim - 1)
        per_sample_weights = per_sample_weights.reshape(indices.size, *shape)
    bags, count = _bags(indices, offsets, include_last_offset)
    indices = indices.reshape(-1)
    if padding_idx is not None:
        kept = np.flatnonzero(indices != padding_idx)
        indices, bags = indices[kept], bags[kept]
        per_sample_weights = None if per_sample_weights is None else per_sample_weights[kept]
    if max_norm is not None:
        weight = _renormalised(name, weight, indices, max_norm, norm_type)
    rows = _rows(weight, indices, scale_grad_by_freq and mode != "max", sparse)
    if mode == "max":
        return _largest(rows, bags, count)
    if per_sample_weights is not None:
        rows = rows * per_sample_weights
    total = zeros_at(rows, index=bags, shape=(count, *rows.shape[1:]))
    if mode == "sum":
        return total
    lengths = np.maximum(np.bincount(bags, minlength=count), 1)
    return total / lengths.astype(total.dtype)[:, np.newaxis]


def row_of(name: str, row: Any, rows: int) -> int | None:
    """The number of a row, which may count from the end, or None.

    Raises
    ------
    IndexError
        There is no such row.
    """
    if row is None:
        return None
    if not (isinstance(row, int | np.integer) and -rows <= row < rows):
        raise IndexError(f"{name}: padding_idx {row!r} is not a row of {rows}")
    return int(row) % rows


def check_norm(name: str, max_norm: Any, norm_type: Any) -> None:
    """Refuse what is no norm, or none to scale to."""
    for setting, value in (("max_norm", 1 if max_norm is None else max_norm), ("norm_type", norm_type)):
        if not (isinstance(value, int | float | np.number) and value > 0):
            raise ValueError(f"{name} takes a number above 0 for {setting}, not {value!r}")


def check_mode(name: str, mode: Any) -> None:
    """Refuse an unknown mode."""
    if not isinstance(mode, str) or mode not in ("sum", "mean", "max"):
        raise ValueError(f"{name} takes 'sum', 'mean' or 'max' for mode, not {mode!r}")


def _table(name: str, weight: Any) -> Tensor:
    table = floats(name, weight)
    if not table.ndim:
        raise ValueError(f"{name} takes a table (rows, features), and no single number")
    return table


def _rows(weight: Tensor, indices: np.ndarray, scale_grad_by_freq: bool, sparse: bool) -> Tensor:
    """The rows, with their gradient as it is asked for."""
    out = getitem(weight, index=indices, as_rows=sparse)
    if not (scale_grad_by_freq and out.requires_grad):
        return out
    share: Any = (1 / np.bincount(indices.reshape(-1), minlength=len(weight)).clip(1))[indices].astype(
        out.dtype
    )
    still = out.detach()
    scaled: Tensor = (
        still + (out - still) * share[..., np.newaxis]
    )  # the second term is 0, and has the gradient
    return scaled


def _renormalised(
    name: str, weight: Tensor, indices: np.ndarray, max_norm: float, norm_type: float
) -> Tensor:
    """The table, whose rows that are read are `max_norm` long at most."""
    if not weight.is_leaf:
        raise ValueError(
            f"{name}: max_norm scales rows of the table itself, and this one is the result of an operation"
        )
    read = np.unique(indices)
    norms = np.linalg.norm(weight.data[read], norm_type, axis=1)
    long = norms > max_norm
    if not long.any():
        return weight
    if not weight.requires_grad:
        weight = Tensor(weight.data.copy())  # a constant may be somebody else's array
    factors = max_norm / (norms[long] + 1e-7)
    weight.data[read[long]] *= factors[:, np.newaxis].astype(weight.dtype)
    return weight


def _bags(indices: np.ndarray, offsets: Any, include_last_offset: bool) -> tuple[np.ndarray, int]:
    """The number of the bag that each index is in, in their order, and how many bags there are."""
    name = "embedding_bag"
    if offsets is None:
        if indices.ndim != 2:
            raise ValueError(
                f"{name} takes indices (bags, length), or (N,) and offsets, not of shape {indices.shape} alone"
            )
        return np.repeat(np.arange(len(indices)), indices.shape[1]), len(indices)
    starts = as_array(offsets.data if isinstance(offsets, Tensor) else offsets, name)
    if starts.shape == (0,):
        starts = starts.astype(np.intp)
    if indices.ndim != 1 or starts.ndim != 1 or starts.dtype.kind not in "iu":
        raise ValueError(
            f"{name} takes indices (N,) and whole-number offsets (bags,), not {list(indices.shape)} and "
            f"{starts.dtype}{list(starts.shape)}"
        )
    ends = starts if include_last_offset else np.append(starts, len(indices))
    lengths: np.ndarray = np.diff(ends.astype(np.intp))
    fits = len(ends) > 0 and ends[0] == 0 and ends[-1] == len(indices) and (lengths >= 0).all()
    if not fits and len(indices) + len(starts):
        raise ValueError(
            f"{name} of {len(indices)} indices takes offsets that begin with 0 and never fall"
            f"{', the last of them their number' if include_last_offset else ''}, not {starts.tolist()!s:.80}"
        )
    return np.repeat(np.arange(len(lengths)), lengths), len(lengths)


def _largest(rows: Tensor, bags: np.ndarray, count: int) -> Tensor:
    """The largest of each bag, feature by feature."""
    values, features = rows.data, rows.shape[1]
    peaks = np.full((count, features), -np.inf, rows.dtype)
    np.maximum.at(peaks, bags, values)
    is_peak = (values == peaks[bags]) | np.isnan(values)
    first = np.full((count, features), len(values))
    np.minimum.at(first, bags, np.where(is_peak, np.arange(len(values))[:, np.newaxis], len(values)))
    full = np.bincount(bags, minlength=count) > 0
    found = rows[first[full], np.arange(features)]
    return zeros_at(found, index=np.flatnonzero(full), shape=(count, features))
