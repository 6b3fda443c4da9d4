"""A small Transformer over letters, on the synthetic corpus of reviews whose sentiment hangs on word order.

    python -m models.char_transformer

Each word is made of its letters by a convolution (Kim et al., 2016), so that there is no vocabulary, and no unknown
word. One Transformer layer (Vaswani et al., 2017) lets the words look at each other, and the largest value of each
feature over the words decides. The reviews come in twins of the very same words: a count of words is right for half
of them, whatever it learns. The picture has the accuracy by epoch beside that of a count of words, and some twins.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import tinygrad_np.functional as F
from datasets import generate_demo, tokenize
from models.commands import execute, positive, start
from models.report import BLACK, BLUE, ORANGE, new_figure, save
from tinygrad_np import Tensor, nn, optim
from tinygrad_np.data import Batches
from tinygrad_np.training import Training, fit, predict

LETTERS = {letter: i for i, letter in enumerate("abcdefghijklmnopqrstuvwxyz", start=1)}  # 0 is none
WIDTH, LONGEST_WORD, LONGEST_REVIEW = 32, 16, 64
BATCH = 32
LOWEST = -1e4  # of a feature where no word is


def as_letters(reviews: Sequence[str]) -> np.ndarray:
    """The letters of each word by number, (reviews, words, letters); 0 beyond the end of a word and of a review."""
    words = [tokenize(review)[:LONGEST_REVIEW] for review in reviews]
    letters = np.zeros((len(words), max(map(len, words), default=0), LONGEST_WORD), np.int64)
    for i, review in enumerate(words):
        for j, word in enumerate(review):
            numbers = [LETTERS.get(letter, 0) for letter in word[:LONGEST_WORD]]
            letters[i, j, : len(numbers)] = numbers
    return letters


class CharTransformer(nn.Layer):
    """Letters (batch, words, letters) to logits (batch,): above 0 is positive."""

    def __init__(self, rng: np.random.Generator):
        self.letters = nn.Embedding(len(LETTERS) + 1, 16, padding_idx=0, rng=rng)
        self.word = nn.Conv1d(16, WIDTH, 3, padding=1, rng=rng)
        self.place = nn.Embedding(LONGEST_REVIEW, WIDTH, rng=rng)
        self.encoder = nn.TransformerEncoderLayer(WIDTH, 4, 2 * WIDTH, 0.0, norm_first=True, rng=rng)
        self.head = nn.Linear(WIDTH, 1, rng=rng)

    def forward(self, letters: np.ndarray) -> Tensor:
        """See the class."""
        batch, time, length = letters.shape
        embedded = self.letters(letters.reshape(batch * time, length))
        words = self.word(embedded.swapaxes(1, 2)).max(axis=2).reshape(batch, time, WIDTH)
        padding = np.logical_not(letters).all(axis=2)
        seen = self.encoder(words + 0.1 * self.place(np.arange(time)), src_key_padding_mask=padding)
        strongest = F.masked_fill(seen, padding[..., np.newaxis], LOWEST).max(axis=1)
        logits: Tensor = self.head(strongest)
        return logits[:, 0]


def probabilities(model: nn.Layer, letters: np.ndarray) -> np.ndarray:
    """The probability that each review is positive."""
    return F.sigmoid(predict(model, Batches((letters,), 200))).data


def accuracy(logits: Tensor, labels: np.ndarray) -> float:
    """The part of the reviews on the right side of a logit of 0."""
    return float(((logits.data > 0) == labels).mean())


def count_of_words(train: Sequence[str], labels: np.ndarray, test: Sequence[str], right: np.ndarray) -> float:
    """Test accuracy of a linear model on counts of words, for comparison."""
    number = {word: i for i, word in enumerate(sorted({w for review in train for w in tokenize(review)}))}

    def counts(reviews: Sequence[str]) -> Tensor:
        known = [[number[word] for word in tokenize(review) if word in number] for review in reviews]
        return Tensor(np.array([np.bincount(ids, minlength=len(number)) for ids in known], np.float32))

    model, x = nn.Linear(len(number), 1, rng=0), counts(train)
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    for _ in range(100):
        optimizer.zero_grad()
        F.binary_cross_entropy_with_logits(model(x)[:, 0], labels).backward()
        optimizer.step()
    return float(((model(counts(test)).data[:, 0] > 0) == right).mean())


def train(
    letters: np.ndarray, labels: np.ndarray, test: tuple[np.ndarray, np.ndarray], epochs: int, seed: int
) -> Training:
    """Train a model, tested after each epoch."""
    rng = np.random.default_rng(seed)
    model = CharTransformer(rng)
    optimizer = optim.Adam(model.parameters(), lr=0.005)
    batches = Batches((letters, labels), BATCH, shuffle=True, rng=rng)
    return fit(
        model,
        F.binary_cross_entropy_with_logits,
        batches,
        {"test": Batches(test, 200)},
        optimizer,
        epochs=epochs,
        metrics={"accuracy": accuracy},
        max_norm=1.0,
        schedule=optim.schedules.OneCycleLR(optimizer, max_lr=0.005, total_steps=epochs * len(batches)),
    )


def picture(
    history: list[dict[str, Any]], counted: float, twins: Sequence[str], found: np.ndarray, path: Path
) -> None:
    """Accuracy by epoch, and the probabilities of some twins."""
    figure = new_figure(12, 4.2)
    left, right = figure.subplots(1, 2, width_ratios=[2, 3])
    epochs = range(1, len(history) + 1)
    right_answers = [100 * row["test_accuracy"] for row in history]
    left.plot(epochs, right_answers, color=BLUE, marker="o", ms=4, label="Transformer over letters")
    left.axhline(100 * counted, color=BLACK, linestyle=":", label="count of words")
    left.set(xlabel="epoch", ylabel="right answers on test reviews, %")
    left.xaxis.get_major_locator().set_params(integer=True)
    left.legend(loc="upper left", fontsize=9)
    places = np.arange(len(twins))[::-1]
    right.barh(places, found, color=[BLUE if p > 0.5 else ORANGE for p in found])
    right.set_yticks(places, twins, fontsize=8)
    right.axvline(0.5, color="gray", linewidth=0.8)
    right.set(xlim=(0, 1), xlabel="probability that it is positive")
    save(figure, path)


TWINS = (
    "The plot was not good here and the music was really dull to me.",
    "The plot was good here and the music was not really dull to me.",
    "The opening was dull overall but the ending was wonderful to me.",
    "The opening was wonderful overall but the ending was dull to me.",
    "Although the cast was superb at first, the script was clumsy overall.",
    "Although the cast was clumsy at first, the script was superb overall.",
)


def run(args: argparse.Namespace) -> None:
    """Train, and say how it went."""
    tables = generate_demo(args.reviews, seed=1), generate_demo(1000, seed=2)
    reviews, test = (table["review"].tolist() for table in tables)
    labels, right = (table["sentiment"].to_numpy(np.float32) for table in tables)
    counted = count_of_words(reviews, labels, test, right)
    print(
        f"{len(reviews):,} train and {len(test):,} test reviews; a count of words: test {counted:.1%}",
        flush=True,
    )
    trained = train(as_letters(reviews), labels, (as_letters(test), right), args.epochs, args.seed)
    model, history = trained.model, trained.history
    args.out.mkdir(parents=True, exist_ok=True)
    path = args.out / "char-transformer.png"
    picture(history, counted, TWINS, probabilities(model, as_letters(TWINS)), path)
    weights = sum(p.size for p in model.parameters())
    print(
        f"a Transformer of {weights:,} weights over letters: test {history[-1]['test_accuracy']:.1%}; {path}"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m models.char_transformer", description="Train a small Transformer over letters."
    )
    parser.add_argument("--reviews", type=positive, default=8000, help="training reviews to make; even")
    parser.add_argument("--epochs", type=positive, default=18)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs"), help="where the picture goes")
    parser.set_defaults(command=run)
    return execute(parser.parse_args(argv))


if __name__ == "__main__":
    start("models.char_transformer")
