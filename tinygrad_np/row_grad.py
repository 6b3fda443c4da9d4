"""The gradient of a large table of which few rows were read: those rows alone.

``functional.embedding(indices, table, sparse=True)`` leaves one in ``table.grad``, so that neither the way back nor
an optimizer touches the other rows. Several of them add up; with an array they make an array.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike


def add_rows(table: np.ndarray, rows: np.ndarray, values: np.ndarray) -> None:
    """Add values to rows of a table; a row that is named several times gets the sum.

    ``np.add.at`` does the same, fast for numbers and slowly for rows of several: those are summed here in runs of
    one row, after sorting them where they are not.

    Parameters
    ----------
    table : ndarray
        (n, ...), changed in place.
    rows : ndarray of int
        (k,), from 0 to n - 1.
    values : ndarray
        (k, ...).
    """
    if not values.size:
        return
    is_sorted = bool((rows[1:] >= rows[:-1]).all())
    if not is_sorted and values.size == len(rows) and table.flags.c_contiguous:
        np.add.at(table.reshape(-1), rows, values.reshape(-1))
        return
    if not is_sorted:
        order = np.argsort(rows, kind="stable")
        rows, values = rows[order], values[order]
    starts = np.flatnonzero(np.concatenate([[True], rows[1:] != rows[:-1]]))
    table[rows[starts]] += np.add.reduceat(values, starts, axis=0)


class RowGrad:
    """A gradient that is zero except for some rows.

    Parameters
    ----------
    rows : ndarray of int
        Any shape; a row that is named several times has the sum.
    values : ndarray
        The shape of `rows` followed by that of a row.
    shape : tuple of int
        Of the table.
    """

    __slots__ = {"_each_once": None, "_parts": None, "shape": "That of the table."}  # texts for `help`
    __array_ufunc__ = None  # an array leaves ``array + row_grad`` to it

    def __init__(self, rows: np.ndarray, values: np.ndarray, shape: tuple[int, ...]):
        self.shape = shape
        self._parts = [(np.reshape(rows, -1), np.reshape(values, (np.size(rows), *shape[1:])))]
        self._each_once = False

    def append(self, other: RowGrad) -> None:
        """Add another one to this. What it holds is not copied before it is asked for."""
        self._parts += other._parts
        self._each_once = False

    def coalesce(self) -> RowGrad:
        """Have each row once, in order, in arrays of its own; returns itself."""
        if not self._each_once:
            rows, values = (np.concatenate(parts) for parts in zip(*self._parts, strict=True))
            unique, places = np.unique(rows, return_inverse=True)
            total = np.zeros((len(unique), *self.shape[1:]), values.dtype)
            add_rows(total, places, values)
            self._parts, self._each_once = [(unique, total)], True
        return self

    @property
    def rows(self) -> np.ndarray:
        """The numbers of the rows, from the first to the last, each once."""
        return self.coalesce()._parts[0][0]

    @property
    def values(self) -> np.ndarray:
        """The gradient of each of these rows, which may be written to."""
        return self.coalesce()._parts[0][1]

    @property
    def dtype(self) -> np.dtype[Any]:
        """NumPy's dtype of its values."""
        dtype: np.dtype[Any] = self._parts[0][1].dtype
        return dtype

    def to_dense(self) -> np.ndarray:
        """It as an array of the table's shape."""
        dense = np.zeros(self.shape, self.dtype)
        dense[self.rows] = self.values
        return dense

    def copy(self) -> RowGrad:
        """One with arrays of its own."""
        return RowGrad(self.rows, self.values, self.shape).coalesce()

    def fill(self, value: float) -> None:
        """Make it zero everywhere, as `zero_grad` does."""
        if value:
            raise ValueError(f"a gradient of few rows is filled with 0 only, not {value!r}; use to_dense()")
        self._parts = [(np.zeros(0, np.intp), np.zeros((0, *self.shape[1:]), self.dtype))]

    def __add__(self, other: Any) -> Any:
        if isinstance(other, RowGrad):
            both = RowGrad(self.rows, self.values, self.shape)
            both.append(other)
            return both.coalesce()
        if not isinstance(other, np.ndarray):
            return NotImplemented
        total = other.copy()
        total[self.rows] += self.values
        return total

    __radd__ = __add__

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> np.ndarray:
        return self.to_dense().astype(dtype or self.dtype, copy=False)

    def __repr__(self) -> str:
        return f"RowGrad({len(self.rows)} rows of {self.dtype}{list(self.shape)})"
