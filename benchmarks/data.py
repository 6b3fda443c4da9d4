"""How fast word vectors load and reviews are cut into words: python -m benchmarks.data --data-dir DIR.

The peer is the way textbooks load word vectors: line by line into a dictionary of arrays.
"""

import argparse
import os
import statistics
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from datasets import load_glove, load_imdb, words


def textbook_glove(path: Path) -> dict[str, np.ndarray]:
    """The peer: the same 50-dimensional vectors, a line at a time, as a dictionary."""
    vectors = {}
    with zipfile.ZipFile(path) as archive, archive.open("glove.6B.50d.txt") as file:
        for line in file:
            word, *numbers = line.decode("utf-8").split()
            vectors[word] = np.array(numbers, dtype=np.float32)
    return vectors


def seconds(action: Callable[[], object]) -> float:
    """How long one call takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def first_load(data_dir: Path) -> float:
    """How long GloVe takes when nothing of it is kept yet."""
    with tempfile.TemporaryDirectory() as cache:
        os.environ["TINYGRAD_NP_CACHE"] = cache
        return seconds(lambda: load_glove(data_dir))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", type=Path, required=True, help="holds glove.6B.zip and imdb_*.txt")
    parser.add_argument("--repeats", type=int, default=5, help="runs each median is taken of (default 5)")
    arguments = parser.parse_args()
    data_dir, runs = arguments.data_dir, range(arguments.repeats)
    os.environ["TQDM_DISABLE"] = "1"  # drawing bars is not what is measured

    train, test = load_imdb("train", data_dir), load_imdb("test", data_dir)
    texts = [*train["review"], *test["review"]]
    size = sum(len(text.encode("utf-8")) for text in texts) / 1e6

    peer = statistics.median(seconds(lambda: textbook_glove(data_dir / "glove.6B.zip")) for _ in runs)
    first = statistics.median(first_load(data_dir) for _ in runs)
    with tempfile.TemporaryDirectory() as cache:
        os.environ["TINYGRAD_NP_CACHE"] = cache
        load_glove(data_dir)
        later = statistics.median(seconds(lambda: load_glove(data_dir)) for _ in runs)
    cutting = statistics.median(seconds(lambda: [words(text) for text in texts]) for _ in runs)

    print(f"medians of {arguments.repeats} runs                      seconds  times as fast as the peer")
    print(f"GloVe 50d, dictionary line by line (peer) {peer:7.2f}  {1:10.1f}")
    print(f"GloVe 50d, first load                     {first:7.2f}  {peer / first:10.1f}")
    print(f"GloVe 50d, later load                     {later:7.2f}  {peer / later:10.1f}")
    print(
        f"{len(texts):,} reviews, cleaned and cut to words {cutting:8.2f}  ({size / cutting:.1f} MB a second)"
    )


if __name__ == "__main__":
    main()
