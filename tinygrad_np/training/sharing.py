"""What the workers of a training share: rows, random numbers, gradients; and whether they are still alike."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from tinygrad_np.nn import Layer, normalization
from tinygrad_np.optim import Optimizer
from tinygrad_np.parallel import ShardedGenerator, Workers
from tinygrad_np.row_grad import RowGrad
from tinygrad_np.tensor import Tensor

EVERY_SUM = 64  # numbers that a sum has beside the gradients: loss, metrics, hashes


def start_team(team: Workers, model: Layer, optimizer: Optimizer) -> None:
    """Let the workers run, unless they run already.

    Raises
    ------
    ValueError
        A layer takes statistics of the whole batch, of which each worker has a part.
    """
    if team.size > 1:
        for name, layer in model.named_modules():
            running = getattr(layer, "running_mean", None) is not None
            if running or isinstance(layer, normalization.Batches):
                raise ValueError(
                    f"{name} ({type(layer).__name__}) takes statistics of the whole batch, and each of "
                    f"{team.size} workers has a part of it: use one worker, LayerNorm, or GroupNorm"
                )
    if not team.started:
        params = optimizer.params
        dtype = np.result_type(np.float32, *[p.dtype for p in params])
        team.start(sum(p.size for p in params) + 2 * len(params) + EVERY_SUM, dtype)


def share(rows: int, team: Workers) -> tuple[slice, int]:
    """Which rows of a batch of so many this worker computes, and how many of them count.

    A worker without a row, as the batch has fewer of them than there are workers, computes the first one, which
    counts nothing: so its random numbers go on as those of the others.
    """
    own = len(range(rows)[team.shard])
    return (team.shard, own) if own else (slice(0, 1), 0)


def generators_of(thing: object) -> Iterator[tuple[Any, Any, np.random.Generator]]:
    """The random generators set on an object, in lists and dicts of a layer too: each with where it stands."""
    inside: list[Any] = [getattr(thing, "__dict__", {})]
    while inside:
        there = inside.pop(0)
        for key, value in list(there.items() if isinstance(there, dict) else enumerate(there)):
            if isinstance(value, np.random.Generator):
                yield there, key, value
            elif isinstance(thing, Layer) and isinstance(value, dict | list):
                inside.append(value)


@contextmanager
def sharded_generators(owners: Sequence[Any], team: Workers) -> Iterator[list[ShardedGenerator]]:
    """Let the generators of these objects draw for whole batches, of which each worker has its rows."""
    own = [place for thing in owners for place in generators_of(thing)] if team.size > 1 else []
    sharded = [ShardedGenerator(rng, team) for _, _, rng in own]
    try:
        for (there, key, _), new in zip(own, sharded, strict=True):
            there[key] = new
        yield sharded
    finally:
        for there, key, rng in own:
            there[key] = rng


def sum_gradients(team: Workers, params: Sequence[Tensor], totals: np.ndarray) -> None:
    """Sum the gradients of all workers, and the totals.

    A parameter that no worker has a gradient of stays without one. Gradients of few rows become one of the rows
    that some worker has.
    """
    if team.size == 1:
        return
    kinds = np.zeros((2, len(params)))  # how many workers have an array, or rows, for each parameter
    for i, p in enumerate(params):
        if p.grad is not None:
            kinds[int(isinstance(p.grad, RowGrad)), i] = 1
    team.all_reduce([kinds, totals])
    of_rows = {i for i in range(len(params)) if kinds[1, i] and not kinds[0, i]}
    masks = {i: np.zeros(params[i].shape[0], np.float32) for i in of_rows}
    for i, mask in masks.items():
        if isinstance(grad := params[i].grad, RowGrad):
            mask[grad.rows] = 1
    if masks:
        team.all_reduce(list(masks.values()))
    arrays = []
    for i, p in enumerate(params):
        if i in of_rows:
            rows = np.flatnonzero(masks[i])
            values = np.zeros((len(rows), *p.shape[1:]), p.dtype)
            if isinstance(p.grad, RowGrad):
                values[np.searchsorted(rows, p.grad.rows)] = p.grad.values
            p.grad = RowGrad(rows, values, p.shape)  # type: ignore[assignment]
            arrays.append(p.grad.values)  # type: ignore[union-attr]
        elif kinds[:, i].any():
            if p.grad is None:
                p.grad = np.zeros_like(p.data)
            elif isinstance(p.grad, RowGrad):
                p.grad = p.grad.to_dense()
            arrays.append(p.grad)
    team.all_reduce(arrays)


def check_alike(
    team: Workers, model: Layer, optimizer: Optimizer, generators: Sequence[np.random.Generator], when: str
) -> None:
    """Stop unless all workers have the same weights, settings and random numbers, as their sums go on from them.

    Raises
    ------
    RuntimeError
        They differ.
    """
    if team.size == 1:
        return
    weights = 0
    for tensor in [*model.named_tensors().values(), *optimizer.params]:
        weights = zlib.crc32(np.ascontiguousarray(tensor.data).view(np.uint8).reshape(-1).data, weights)
    settings = [[group[name] for name in optimizer.defaults] for group in optimizer.param_groups]
    states = [rng.bit_generator.state for rng in generators]
    hashes = [weights, zlib.crc32(repr(settings).encode()), zlib.crc32(repr(states).encode())]
    own = np.array([[h >> 16, h & 0xFFFF] for h in hashes], np.float64)  # exact in the sum of many in float32
    total = own.copy()
    team.all_reduce([total])
    wrong = (total != team.size * own).any(axis=1)
    if wrong[2]:
        raise RuntimeError(
            f"the workers differ in their random numbers after {when}: something has drawn others for the rows of "
            "one worker than for the whole batch. Where batches are padded, their source defines shard(rows, part)"
        )
    if wrong.any():
        what = " and ".join(np.array(["weights", "settings of the optimizer"])[wrong[:2]])
        raise RuntimeError(
            f"the workers differ in their {what} after {when}: something has changed them in one worker alone, "
            "such as a callback, which runs in the first; use schedule, or one worker"
        )
