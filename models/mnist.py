"""Handwritten digits: a network of two layers, and a small convolutional one, each trained by plain SGD.

    python -m models.mnist                  784-100-10 with ReLU and dropout, on MNIST
    python -m models.mnist --model cnn      two convolutions and a linear layer
    python -m models.mnist --data digits    scikit-learn's small digits, 8 by 8: nothing to download

Where MNIST cannot be downloaded the small digits stand in, and the program says so. The picture has the accuracy by
epoch, and test images that came out wrong.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import tinygrad_np.functional as F
from datasets import Digits, load_mnist, load_small_digits
from models.commands import execute, positive, start
from models.report import BLUE, ORANGE, new_figure, save
from tinygrad_np import Tensor, nn, optim
from tinygrad_np.data import Batches
from tinygrad_np.training import Training, fit, predict

SHOWN = 18  # wrong answers in the picture
EPOCHS = {"mnist": {"mlp": 10, "cnn": 3}, "digits": {"mlp": 60, "cnn": 40}}


def mlp(side: int, rng: np.random.Generator) -> nn.Sequential:
    """Pixels, 100 hidden units, 10 digits."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(side * side, 100, rng=rng),
        nn.ReLU(),
        nn.Dropout(0.2, rng=rng),
        nn.Linear(100, 10, rng=rng),
    )


def cnn(side: int, rng: np.random.Generator) -> nn.Sequential:
    """Two convolutions, each halving the sides of the image, and a linear layer."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1, rng=rng),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1, rng=rng),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.2, rng=rng),
        nn.Linear(32 * (side // 4) ** 2, 10, rng=rng),
    )


MODELS = {"mlp": mlp, "cnn": cnn}


def answers(model: nn.Layer, images: np.ndarray) -> np.ndarray:
    """The digit that the model sees in each image."""
    digits: np.ndarray = predict(model, Batches((images[:, np.newaxis],), 500)).argmax(axis=1)
    return digits


def accuracy(logits: Tensor, digits: np.ndarray) -> float:
    """The part of the digits that are right."""
    return float((logits.data.argmax(axis=1) == digits).mean())


def train(name: str, data: Digits, epochs: int, seed: int) -> Training:
    """Train a model, in random batches of 50 images, with smaller steps at the end."""
    rng = np.random.default_rng(seed)
    model = MODELS[name](data.train_images.shape[1], rng)
    optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    return fit(
        model,
        F.cross_entropy,
        Batches((data.train_images[:, np.newaxis], data.train_labels), 50, shuffle=True, rng=rng),
        {"test": Batches((data.test_images[:, np.newaxis], data.test_labels), 500)},
        optimizer,
        epochs=epochs,
        metrics={"accuracy": accuracy},
        schedule=optim.schedules.MultiStepLR(optimizer, [epochs * 2 // 3]),
        schedule_every="epoch",
    )


def picture(history: list[dict[str, Any]], data: Digits, found: np.ndarray, path: Path) -> None:
    """Accuracy by epoch, beside test images that came out wrong."""
    figure = new_figure(10, 4)
    left, right = figure.subfigures(1, 2)
    axes = left.subplots()
    for name, label, color, marker in (
        ("train", "train, with dropout", BLUE, "o"),
        ("test", "test", ORANGE, "s"),
    ):
        right_answers = [100 * row[f"{name}_accuracy"] for row in history]
        axes.plot(range(1, len(history) + 1), right_answers, color=color, marker=marker, ms=4, label=label)
    axes.set(xlabel="epoch", ylabel="right answers, %")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(loc="lower right")
    wrong = np.flatnonzero(found != data.test_labels)
    right.suptitle(f"{len(wrong)} of {len(found):,} test images came out wrong: seen / meant", fontsize=10)
    for axes, i in zip(right.subplots(3, SHOWN // 3).flat, [*wrong[:SHOWN], *[-1] * SHOWN], strict=False):
        axes.axis("off")
        if i >= 0:
            axes.imshow(data.test_images[i], cmap="gray_r")
            axes.set_title(f"{found[i]} / {data.test_labels[i]}", fontsize=9)
    save(figure, path)


def run(args: argparse.Namespace) -> None:
    """Train, and say how it went."""
    kind, data = args.data, None
    if kind == "mnist":
        try:
            data = load_mnist(args.data_dir)
        except RuntimeError as error:
            print(f"{error}\nin its place: the small digits of scikit-learn", file=sys.stderr)
            kind = "digits"
    data = data or load_small_digits()
    trained = train(args.model, data, args.epochs or EPOCHS[kind][args.model], args.seed)
    model, history = trained.model, trained.history
    weights = sum(p.size for p in model.parameters())
    args.out.mkdir(parents=True, exist_ok=True)
    path = args.out / f"{kind}-{args.model}.png"
    picture(history, data, answers(model, data.test_images), path)
    right = history[-1]["test_accuracy"]
    print(f"{args.model} of {weights:,} weights on {kind}: {right:.2%} of the test images; {path}")


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m models.mnist", description="Train a network to read digits."
    )
    parser.add_argument("--model", choices=sorted(MODELS), default="mlp")
    parser.add_argument("--data", choices=["mnist", "digits"], default="mnist")
    parser.add_argument("--data-dir", type=Path, help="a directory with MNIST's four files")
    parser.add_argument("--epochs", type=positive, help="passes over the training images")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs"), help="where the picture goes")
    parser.set_defaults(command=run)
    return execute(parser.parse_args(argv))


if __name__ == "__main__":
    start("models.mnist")
