"""Batches of sequences: which belong together, and one array of those that differ in length."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

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
    lengths: ArrayLike, batch_size: int, rng: np.random.Generator | int | None = None
) -> list[np.ndarray]:
    """The numbers of the sequences of each batch, so that those of one batch are of similar length.

    Parameters
    ----------
    lengths : array_like of int
        Of each sequence.
    batch_size : int
        Sequences a batch; the last batch may have fewer.
    rng : numpy.random.Generator or int, optional
        Shuffles: sequences are sorted by length within random buckets of 50 batches, and the batches come in
        random order. Without it they come from the shortest to the longest.

    Returns
    -------
    list of ndarray of int64
        Each sequence is in exactly one batch.
    """
    if batch_size < 1:
        raise ValueError(f"a batch has one sequence at least, not {batch_size}")
    lengths = np.asarray(lengths)
    if rng is None:
        order = np.argsort(lengths, kind="stable")
    else:
        rng = np.random.default_rng(rng)
        order = rng.permutation(len(lengths))
        bucket = BATCHES_A_BUCKET * batch_size
        parts = [order[i : i + bucket] for i in range(0, len(order), bucket)]
        order = np.concatenate(
            [order[:0], *(part[np.argsort(lengths[part], kind="stable")] for part in parts)]
        )
    groups = [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
    if rng is not None:
        rng.shuffle(groups)
    return groups
