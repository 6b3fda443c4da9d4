"""Batches: of any arrays, shuffled, and of sequences, similar lengths together and padded to one array."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tinygrad_np.tensor import Tensor

BATCHES_A_BUCKET = 50  # enough that neighbours are of about one length, few enough that batches keep changing


def pad(sequences: Sequence[ArrayLike], value: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Sequences of whole numbers as one array, the shorter ones filled up at their end.

    Returns
    -------
    array : ndarray of int64
        (sequences, length of the longest).
    lengths : ndarray of int64
        (sequences,).

    Raises
    ------
    ValueError
        An element is something else than a sequence of whole numbers.
    """
    rows = [np.asarray(s) for s in sequences]
    for i, row in enumerate(rows):
        if row.ndim != 1 or (row.size and row.dtype.kind not in "iu"):  # an empty list is an array of floats
            raise ValueError(
                f"pad takes sequences of whole numbers, and number {i} is {row.dtype}{[*row.shape]}"
            )
    lengths = np.array([len(row) for row in rows], dtype=np.int64)
    array = np.full((len(rows), lengths.max(initial=0)), value, dtype=np.int64)
    for padded, row in zip(array, rows, strict=True):
        padded[: len(row)] = row
    return array, lengths


def batches(
    lengths: ArrayLike,
    batch_size: int,
    *,
    shuffle: bool = False,
    rng: np.random.Generator | int | None = None,
) -> list[np.ndarray]:
    """The indices of the sequences of each batch, so that those of one batch are of similar length.

    Parameters
    ----------
    lengths : array_like of int
        Of each sequence.
    batch_size : int
        Sequences a batch; the last batch may have fewer.
    shuffle : bool
        Sort sequences by length within random buckets of 50 batches, and return the batches in random order.
        Without it they come from the shortest to the longest.
    rng : numpy.random.Generator or int, optional
        Shuffles; an int is a seed, and None draws one from the operating system.

    Returns
    -------
    list of ndarray of int64
        Each sequence is in exactly one batch.

    Raises
    ------
    ValueError
        `batch_size` is less than 1, or `rng` is given and there is nothing to shuffle.
    """
    if batch_size < 1:
        raise ValueError(f"a batch has one sequence at least, not {batch_size}")
    if rng is not None and not shuffle:
        raise ValueError("batches takes rng only where it shuffles: add shuffle=True, or leave rng out")
    lengths = np.asarray(lengths)
    if not shuffle:
        order = np.argsort(lengths, kind="stable")
        return [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
    rng = np.random.default_rng(rng)
    order = rng.permutation(len(lengths))
    groups = []
    for start in range(0, len(order), BATCHES_A_BUCKET * batch_size):
        bucket = order[start : start + BATCHES_A_BUCKET * batch_size]
        bucket = bucket[np.argsort(lengths[bucket], kind="stable")]
        groups += [bucket[i : i + batch_size] for i in range(0, len(bucket), batch_size)]
    rng.shuffle(groups)
    return groups


class Batches:
    """An iterator over batches, epoch after epoch, which can be stopped and gone on with at any batch.

    ::

        data = Batches((images, digits), 50, shuffle=True, rng=rng)
        for epoch in range(10):
            for pixels, targets in data:
                ...

    Parameters
    ----------
    source : array, list, tuple of them, or an object with ``__len__`` and ``__getitem__``
        Arrays of as many rows. A list of sequences of whole numbers comes out padded, and followed by the lengths:
        two arrays. Or any object whose ``source[rows]``, with an array of the places of rows, is a batch: a tuple.
    batch_size : int
        Rows a batch; one batch may have fewer.
    shuffle : bool
        Each epoch in another order; otherwise in that of the source or, where there are lengths, from the
        shortest to the longest.
    rng : numpy.random.Generator or int, optional
        Shuffles; an int is a seed, and None draws one from the operating system.
    lengths : array_like of int, optional
        Of each row, so that rows of similar length share a batch, as `batches` does it. Without it
        ``source.lengths`` if there is such a thing, and the lengths of the first list of sequences.
    drop_last : bool
        Leave out the batch that has fewer rows.

    Raises
    ------
    TypeError, ValueError
        The arrays or lengths differ in their number of rows, or something is none of these.
    """

    def __init__(
        self,
        source: Any,
        batch_size: int,
        *,
        shuffle: bool = False,
        rng: np.random.Generator | int | None = None,
        lengths: ArrayLike | None = None,
        drop_last: bool = False,
    ):
        if isinstance(source, tuple | list) or hasattr(source, "__array__"):
            source = Arrays(source if isinstance(source, tuple) else (source,))
        if not (hasattr(source, "__len__") and hasattr(source, "__getitem__")):
            raise TypeError(
                "Batches takes arrays, or an object with __len__ and __getitem__(rows), "
                f"not {type(source).__name__}"
            )
        if batch_size < 1:
            raise ValueError(f"a batch has one row at least, not {batch_size}")
        if rng is not None and not shuffle:
            raise ValueError("Batches takes rng only where it shuffles: add shuffle=True, or leave rng out")
        given = getattr(source, "lengths", None) if lengths is None else lengths
        self.source, self.lengths = source, None if given is None else np.asarray(given)
        if self.lengths is not None and self.lengths.shape != (len(source),):
            raise ValueError(
                f"Batches takes {len(source)} lengths for as many rows, not {[*self.lengths.shape]}"
            )
        self.batch_size, self.shuffle, self.drop_last = batch_size, shuffle, drop_last
        self.rng = np.random.default_rng(rng) if shuffle else None
        self._start: dict[str, Any] | None = None  # of the generator, when this epoch began
        self._given = 0  # batches of this epoch
        self._goes_on = False  # whether the next iteration goes on inside of an epoch

    def __len__(self) -> int:
        """How many batches an epoch has."""
        whole, rest = divmod(len(self.source), self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    @property
    def inside(self) -> bool:
        """Whether it is inside of an epoch: some of its batches were given, and some are left."""
        return 0 < self._given < len(self)

    def __iter__(self) -> Iterator[Any]:
        return (self.source[rows] for rows in self.rows())

    def rows(self) -> Iterator[np.ndarray]:
        """One epoch, of each batch the places of its rows in the source: an array of int64."""
        if self._goes_on:
            now = self._generator_state()
            self._set_generator(self._start)
            groups = self._groups()
            self._set_generator(now)
            self._goes_on = False
        else:
            self._start, self._given = self._generator_state(), 0
            groups = self._groups()
        for group in groups[self._given :]:
            self._given += 1
            yield group
        self._start, self._given = None, 0

    def shard(self, rows: np.ndarray, part: slice) -> Any:
        """A batch of a part of these rows, as one of several workers takes it.

        Where the shape of a batch depends on its rows, such as the length of the longest, a source gives the part
        the shape that it has in the whole batch: it defines ``shard(rows, part)`` too. Of others, this is
        ``source[rows[part]]``.
        """
        if hasattr(self.source, "shard"):
            return self.source.shard(rows, part)
        return self.source[rows[part]]

    def state_dict(self) -> dict[str, Any]:
        """Where it is: the place inside of an epoch, and the states of the generator then and now.

        Inside of a loop over the batches, the batch whose turn it is counts as done.
        """
        return {
            "rows": len(self.source),
            "batch_size": self.batch_size,
            "drop_last": self.drop_last,
            "batches": self._given,
            "epoch_start": self._start,
            "generator": self._generator_state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state_dict`: the next iteration gives the rest of its epoch.

        Raises
        ------
        ValueError
            It is of other data: the number of rows, the settings, or the kind of generator differ.
        """
        own = self.state_dict()
        if problems := [
            f"{name} is {state.get(name)} and should be {own[name]}"
            for name in ("rows", "batch_size", "drop_last")
            if state.get(name) != own[name]
        ]:
            raise ValueError(f"the state does not fit these Batches: {'; '.join(problems)}")
        kinds = [(s or {}).get("bit_generator") for s in (state["generator"], own["generator"])]
        if kinds[0] != kinds[1]:
            raise ValueError(
                f"the state does not fit these Batches: it shuffles by {kinds[0]}, and these by {kinds[1]}"
            )
        self._set_generator(state["generator"])
        self._start, self._given = state["epoch_start"], state["batches"]
        self._goes_on = self._given > 0

    def _groups(self) -> list[np.ndarray]:
        """The rows of each batch of an epoch."""
        size, count = self.batch_size, len(self.source)
        if self.lengths is not None:
            groups = batches(self.lengths, size, shuffle=self.shuffle, rng=self.rng)
        else:
            order = np.arange(count) if self.rng is None else self.rng.permutation(count)
            groups = [order[i : i + size] for i in range(0, count, size)]
        return [group for group in groups if len(group) == size] if self.drop_last else groups

    def _generator_state(self) -> dict[str, Any] | None:
        return None if self.rng is None else dict(self.rng.bit_generator.state)

    def _set_generator(self, state: Mapping[str, Any] | None) -> None:
        if self.rng is not None and state is not None:
            self.rng.bit_generator.state = state


class Arrays:
    """The source that arrays make: their rows. Lists of sequences of whole numbers are padded, batch by batch."""

    def __init__(self, arrays: tuple[Any, ...]):
        self.columns = [_column(array) for array in arrays]
        counts = [len(column) for column in self.columns]
        if not counts or min(counts) < max(counts):
            raise ValueError(f"Batches takes arrays of as many rows, not of {counts}")
        sequences = next((column for column in self.columns if isinstance(column, list)), None)
        self.lengths = None if sequences is None else np.array([len(s) for s in sequences], np.int64)

    def __len__(self) -> int:
        return len(self.columns[0])

    def __getitem__(self, rows: np.ndarray) -> tuple[np.ndarray, ...]:
        return self.shard(rows, slice(None))

    def shard(self, rows: np.ndarray, part: slice) -> tuple[np.ndarray, ...]:
        """The part of a batch, sequences as long as the longest of the whole one."""
        batch: list[np.ndarray] = []
        for column in self.columns:
            if isinstance(column, list):
                batch += [array[part] for array in pad([column[i] for i in rows])]
            else:
                batch.append(column[rows[part]])
        return tuple(batch)


def _column(given: Any) -> np.ndarray | list[np.ndarray]:
    """An array of rows; or a list of sequences of whole numbers, as it is."""
    if isinstance(given, list) and given and np.ndim(given[0]) == 1:
        sequences = [np.asarray(s) for s in given]
        if all(s.ndim == 1 and (s.dtype.kind in "iu" or not s.size) for s in sequences):
            return sequences
    try:
        array = np.asarray(given.data if isinstance(given, Tensor) else given)
    except ValueError as error:
        raise ValueError(f"Batches takes arrays, and lists of sequences of whole numbers: {error}") from error
    if not array.ndim:
        raise ValueError(f"Batches takes arrays with rows, not {given!r}")
    return array
