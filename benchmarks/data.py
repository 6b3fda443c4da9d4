"""How fast word vectors load, and how fast reviews are cut into words.

The peer is the way textbooks load word vectors: line by line into a dictionary of arrays. Ours does the first
time what takes long, and keeps the result for later times. Counted are the reviews that stand in both files.
"""

from __future__ import annotations

from contextlib import ExitStack

from benchmarks.harness import Contender, Options, Peer, Row, check, measure, per_second, show

GLOVE = {"ours, later load": "glove", "ours, first load": "first_glove", "textbook": "textbook_glove"}
REVIEWS = 5_000  # tokenized in each repeat


def run(options: Options) -> list[Row]:
    if options.data_dir is None:
        print("left out, because --data-dir does not say where glove.6B.zip and imdb_*.txt are")
        return []
    data_dir = str(options.data_dir.resolve())
    turns = max(3, options.repeats // 2)
    with ExitStack() as stack:
        contenders, results = [], []
        for name, job in GLOVE.items():
            peer = stack.enter_context(Peer("files"))
            peer.prepare(job, {}, data_dir=data_dir)
            results.append((name, peer.results()))
            contenders.append(Contender(name, [peer]))
        print(contenders[0].peers[0].about)
        check(results, 0.0, "it is the same text")
        rows = measure("data", "GloVe, 50 numbers a word", contenders, turns, "s", per_call)

        ours = contenders[0].peers[0]
        ours.prepare("tokenized_reviews", {}, data_dir=data_dir)
        what = f"{ours.results()['reviews']:,} reviews, kept as tokens"
        rows += measure("data", what, [Contender("ours", [ours])], turns, "s", per_call)
        ours.prepare("tokenizing", {}, data_dir=data_dir, reviews=REVIEWS)
        tokenizing = Contender("ours", [ours], size=float(ours.results()["megabytes"]))
        rows += measure("data", "tokenizing reviews", [tokenizing], turns, "MB/s", per_second)

        ours.prepare("in_both", {}, data_dir=data_dir)
        both = [float(ours.results()["reviews"])]
        rows.append(Row("data", "test reviews that stand in the training file too", "ours", "reviews", both))
        show(rows[-1:])
    return rows


def per_call(seconds: float, size: float) -> float:
    return seconds
