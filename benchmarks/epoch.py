"""The real job: training on IMDb's film reviews of their real lengths, and predicting, in tokens a second.

Frozen GloVe vectors of 50 numbers, an LSTM of 64 units, a linear layer on its last state ("last", where
gradients vanish on their way back through hundreds of words) or on the mean of its outputs ("mean"), binary
cross-entropy, and a step of Adam a batch. Weights start as PyTorch draws them. A token is a word of a review;
padding does not count.

An epoch sorts the reviews by length within random buckets of 50 batches. What is timed is a sample of such an
epoch: `SAMPLE` reviews in random batches of one bucket, the same for all. Words were cut and numbered, and the
numbers padded, before the clock starts; looking up the vectors is timed.

PyTorch's LSTM is given the same batches padded at their end, the same batches packed, and the same reviews in
random batches; the first two also with subnormal numbers flushed to 0, which one has to know of. JAX's are
padded to one of a few sizes, as it compiles for each. The tutorial's code path, one review and one step at a
time, is so slow that it gets the first batch only. The first pass, in which JAX compiles and PyTorch prepares
for each number of steps that it has not yet met, is a row of its own; the others are timed when all is warm.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from benchmarks.harness import Arrays, Contender, Options, Peer, Row, check, measure, per_second, show, start
from benchmarks.lstm import TOLERANCE, WHY, D, H, flops_a_token, gflops, weights
from datasets import load_glove, load_tokenized_imdb
from tinygrad_np.data import BATCHES_A_BUCKET, batches

SAMPLE = 1_536  # reviews to train on
TEST = 12_480  # reviews to predict: whole batches of 64 of the 12,500 in the test file
WORDS = 100_000  # of GloVe, the most frequent ones; row 0 is padding, row 1 every other word
LR = 1e-3
STEPS = 5  # whose losses are compared


@dataclass(frozen=True)
class Side:
    """A contender: its peer and threads, the cores that it can use at once, and how it trains."""

    module: str
    threads: int
    cores: int
    settings: dict[str, Any] = field(default_factory=dict)
    mixed: bool = False  # reviews in random batches
    part: int = 1  # who is slow gets one batch in so many: it is still words a second
    heads: tuple[str, ...] = ("last", "mean")


LAST = ("last",)  # all that the tutorial knows, and all that packed sequences give without unpacking
SIDES = {
    "ours, 1 worker": Side("ours", 1, 1, {"workers": 1}),
    "ours, 2 workers": Side("ours", 1, 2, {"workers": 2}),
    "PyTorch padded": Side("pytorch", 2, 2, {"packed": False, "flush": False}),
    "PyTorch padded, flushed": Side("pytorch", 2, 2, {"packed": False, "flush": True}),
    "PyTorch random batches": Side("pytorch", 2, 2, {"packed": False, "flush": False}, mixed=True, part=4),
    "PyTorch packed": Side("pytorch", 2, 2, {"packed": True, "flush": False}, heads=LAST, part=4),
    "PyTorch packed, flushed": Side("pytorch", 2, 2, {"packed": True, "flush": True}, heads=LAST, part=4),
    "JAX": Side("jax", 0, 2, part=4),
    "tutorial": Side("tutorial", 1, 1, heads=LAST),
}


def read(data_dir: Path) -> tuple[Arrays, Arrays]:
    """Random reviews to train on, a bucket of batches of 64, and others to predict, all in random order."""
    glove = load_glove(data_dir, D)
    row = {word: i for i, word in enumerate(glove.words[:WORDS], 2)}
    known = glove.vectors[:WORDS]
    vectors = np.concatenate([np.zeros((1, D), np.float32), known.mean(axis=0, keepdims=True), known])
    sets = []
    splits: tuple[tuple[Literal["train", "test"], int], ...] = (
        ("train", BATCHES_A_BUCKET * 64),
        ("test", TEST),
    )
    for split, size in splits:
        reviews, labels = load_tokenized_imdb(split, data_dir)
        number = np.array([row.get(token, 1) for token in reviews.tokens])
        chosen = np.random.default_rng(0).permutation(len(labels))[:size]
        texts = [number[reviews.token_ids[i]] for i in chosen]
        sets.append(
            {
                "vectors": vectors,
                "numbers": np.concatenate(texts),
                "lengths": np.array([len(text) for text in texts]),
                "labels": labels[chosen],
            }
        )
    return sets[0], sets[1]


def training(
    peers: dict[str, Peer], arrays: Arrays, size: int, head: str, limit: float, options: Options
) -> list[Row]:
    """All contenders on the same reviews, in batches of one size."""
    rng = np.random.default_rng(0)
    bucket = np.arange(BATCHES_A_BUCKET * size)
    bucketed = np.stack(batches(arrays["lengths"][bucket], size, shuffle=True, rng=rng)[: SAMPLE // size])
    mixed = rng.permutation(bucketed.ravel()).reshape(bucketed.shape)
    contenders, results, first = [], [], []
    for name, peer in peers.items():
        side = SIDES[name]
        if head not in side.heads:
            continue
        chosen = (mixed if side.mixed else bucketed)[: len(bucketed) // side.part]
        peer.prepare("train", {**arrays, "batches": chosen}, head=head, lr=LR, **side.settings)
        begin = time.perf_counter()
        found = peer.results()
        seconds = time.perf_counter() - begin
        if not side.mixed:  # these are other batches; the code is that of the padded ones
            results.append((name, {key: a[:STEPS] if key == "losses" else a for key, a in found.items()}))
        rows = chosen[0] if name == "tutorial" else chosen
        tokens = float(arrays["lengths"][rows].sum())
        contenders.append(Contender(name, [peer], size=tokens, limit=side.cores * limit))
        first.append(
            Row("first pass", f"B={size}, {head}", name, "tokens/s", [tokens / seconds], about=peer.about)
        )
    check(results, TOLERANCE, WHY)
    if head == "last":  # later the same numbers of steps come again
        show(first)
    else:
        first = []
    turns = max(3, options.repeats // 2)
    return first + measure("training", f"B={size}, {head}", contenders, turns, "tokens/s", per_second)


def predicting(peers: dict[str, Peer], arrays: Arrays, options: Options) -> list[Row]:
    """No tape: the logits of the test reviews, sorted by length into batches of 64."""
    sorted_batches = np.stack(batches(arrays["lengths"], 64))
    contenders, results = [], []
    for name in ("ours, 1 worker", "PyTorch padded", "JAX"):
        if name in peers:
            peers[name].prepare("predict", {**arrays, "batches": sorted_batches}, head="mean")
            results.append((name, peers[name].results()))
            contenders.append(Contender(name, [peers[name]], size=float(arrays["lengths"].sum())))
    check(results, TOLERANCE, WHY)
    turns = max(3, options.repeats // 2)
    return measure("predicting", "B=64, mean", contenders, turns, "tokens/s", per_second)


def run(options: Options) -> list[Row]:
    if options.data_dir is None:
        print("left out, because --data-dir does not say where glove.6B.zip and imdb_*.txt are")
        return []
    rng = np.random.default_rng(0)
    initial = weights(rng) | {
        "head.weight": rng.uniform(-(H**-0.5), H**-0.5, (1, H)).astype(np.float32),
        "head.bias": np.zeros(1, np.float32),
    }
    train, test = read(options.data_dir)
    train, test = {**train, **initial}, {**test, **initial}
    rows = []
    with ExitStack() as stack:
        peers = start(stack, {name: (side.module, side.threads) for name, side in SIDES.items()})
        peak = gflops([peers["ours, 1 worker"]])
        print(
            f"products of matrices: {peak:.0f} GFLOP/s on one core; {flops_a_token(H, D):,} operations a token"
        )
        for size, head in ((32, "last"), (64, "last"), (32, "mean")):
            rows += training(peers, train, size, head, 1e9 * peak / flops_a_token(H, D), options)
        rows += predicting(peers, test, options)
    return rows
