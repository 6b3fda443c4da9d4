"""Is a review good or bad? An LSTM reads it word by word: train it, test it, ask it, let it read speeches.

    python -m models.sentiment train --data demo
    python -m models.sentiment predict --run runs/demo "not good at all"

A run is a directory that holds all of one training: its settings, vocabulary, weights, figures and pictures.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

import tinygrad_np.functional as F
from datasets.demo import generate_demo
from datasets.glove import load_glove
from datasets.imdb import cut_imdb, load_imdb
from datasets.speeches import load_speeches
from datasets.text import CutTexts, Vocabulary, cut, paragraphs, words
from models import report
from models.commands import execute, positive
from tinygrad_np import Tensor, no_grad
from tinygrad_np.data import batches, pad
from tinygrad_np.extras import import_optional
from tinygrad_np.files import atomic_write
from tinygrad_np.nn import LSTM, Dropout, Embedding, Layer, Linear
from tinygrad_np.optim import Adam, clip_grad_norm
from tinygrad_np.parallel import WorkerLost, Workers, workers
from tinygrad_np.weights import load_weights, save_weights

if TYPE_CHECKING:
    import pandas as pd

DIMENSIONS = 50  # of a word's vector
GLOVE_WORDS = 50_000  # the most frequent ones, known even where no training review has them
DROPOUT = 0.3
MAX_NORM = 5.0
PARAGRAPH_WORDS = 60  # of a speech
DEMO_SIZES = {"train": 2000, "test": 500}
DEFAULTS = {  # where the command line says nothing
    "demo": {"embeddings": "learned", "epochs": 14, "hidden": 32, "lr": 1e-2},
    "imdb": {"embeddings": "glove", "epochs": 6, "hidden": 64, "lr": 3e-3},
}


@dataclass(frozen=True)
class Config:
    """The settings of one training, kept in its ``config.json``. A size of None is all there is."""

    data: str
    data_dir: str | None
    embeddings: str
    train_size: int | None
    test_size: int | None
    epochs: int
    hidden: int
    batch_size: int
    lr: float
    seed: int


class SentimentLSTM(Layer):
    """Word vectors, an LSTM over them, and a linear layer on the mean of its outputs.

    The mean over time gives every word a short way to the loss; the last state alone would have to carry the
    first words of a review through hundreds of steps.
    """

    def __init__(self, embedding: Embedding, hidden: int, rng: np.random.Generator):
        self.embedding = embedding
        self.lstm = LSTM(DIMENSIONS, hidden, rng=rng)
        self.dropout = Dropout(DROPOUT, rng=rng)
        self.head = Linear(hidden, 1, rng=rng)

    def forward(self, numbers: np.ndarray, lengths: np.ndarray, share: slice = slice(None)) -> Tensor:
        """Word numbers (batch, time) and lengths (batch,) to logits (batch,): above 0 is positive.

        With a share, only those rows of the batch are computed, and they come out as in the whole batch.
        """
        batch = len(lengths)
        numbers, lengths = numbers[share], lengths[share]
        output, _ = self.lstm(self.embedding.weight, lengths=lengths, indices=numbers)
        # the output beyond a length is 0; a text without words has the mean 0
        mean = output.sum(axis=1) / np.maximum(lengths, 1)[:, np.newaxis].astype(output.dtype)
        # dropout draws for the whole batch, so that each row meets the same luck whoever computes the others
        kept = self.dropout(Tensor(np.ones((batch, mean.shape[1]), mean.dtype)))
        logits: Tensor = self.head(mean * kept[share])
        return logits[:, 0]


@dataclass
class Examples:
    """Texts as word numbers, with their labels, 0 or 1."""

    numbers: list[np.ndarray]
    labels: np.ndarray

    def __post_init__(self) -> None:
        self.lengths = np.array([len(n) for n in self.numbers], dtype=np.int64)

    def batches(
        self, batch_size: int, rng: np.random.Generator | None = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Rows, word numbers (rows, time) and lengths of each batch."""
        for rows in batches(self.lengths, batch_size, shuffle=rng is not None, rng=rng):
            yield rows, *pad([self.numbers[i] for i in rows])


# --- data ---------------------------------------------------------------------------------------------


def load_training(config: Config) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The reviews to train on, and a tenth of `train_size` apart from them for validation."""
    if config.data == "demo":
        # Reviews are made in pairs of the same words and opposite sentiment. A pair cut in two would make
        # validation the opposite of training, so validation is a corpus of its own.
        size = DEMO_SIZES["train"] if config.train_size is None else config.train_size
        n_validation = 2 * max(1, size // 20)
        if size <= n_validation:
            raise ValueError(f"--train-size {size} leaves nothing to train on; take 4 or more")
        return (
            generate_demo(size - n_validation, 3 * config.seed),
            generate_demo(n_validation, 3 * config.seed + 1),
        )
    table = load_imdb("train", config.data_dir, config.train_size, config.seed)
    if len(table) < 2:
        raise ValueError("one review leaves nothing to train on; take 2 or more")
    shuffled = np.random.default_rng(config.seed).permutation(len(table))
    n_validation = max(1, len(table) // 10)
    return table.iloc[shuffled[n_validation:]], table.iloc[shuffled[:n_validation]]


def load_test(config: Config) -> pd.DataFrame:
    """The reviews to test with, from the test file."""
    if config.data == "demo":
        size = DEMO_SIZES["test"] if config.test_size is None else config.test_size
        return generate_demo(size, 3 * config.seed + 2)
    return load_imdb("test", config.data_dir, config.test_size, config.seed)


def cut_reviews(config: Config, split: Literal["train", "test"], table: pd.DataFrame) -> CutTexts:
    """The reviews of a table, which are some of those of a split, as words; those of IMDb are kept so."""
    if config.data == "demo":
        return cut(table["review"])
    known_words, numbers = cut_imdb(split, config.data_dir)
    return CutTexts(known_words, [numbers[i] for i in table.index])


def encoded(reviews: CutTexts, table: pd.DataFrame, vocabulary: Vocabulary) -> Examples:
    """The reviews of a table as word numbers of a vocabulary."""
    number = vocabulary.encode(reviews.words)
    return Examples([number[review] for review in reviews.numbers], table["sentiment"].to_numpy())


def new_embedding(
    config: Config, reviews: CutTexts, rng: np.random.Generator
) -> tuple[Vocabulary, Embedding]:
    """The words to know and their vectors, from the training reviews.

    With GloVe, a word without a vector is unknown, and an unknown word has the mean of all vectors: the same
    text gets the same answer every time.
    """
    counts = np.bincount(np.concatenate(reviews.numbers), minlength=len(reviews.words)).tolist()
    vocabulary = Vocabulary.build(
        dict(zip(reviews.words, counts, strict=True)), min_count=1 if config.embeddings == "glove" else 2
    )
    if config.embeddings == "learned":
        return vocabulary, Embedding(len(vocabulary), DIMENSIONS, padding_idx=0, rng=rng)
    glove = load_glove(config.data_dir, DIMENSIONS)
    row = {word: i for i, word in enumerate(glove.words)}
    known = [word for word in vocabulary.words if word in row]
    known += [word for word in glove.words[:GLOVE_WORDS] if word not in vocabulary]
    vectors = np.concatenate(
        [
            np.zeros((1, DIMENSIONS), np.float32),
            glove.vectors.mean(axis=0, keepdims=True, dtype=np.float64).astype(np.float32),
            glove.vectors[[row[word] for word in known]],
        ]
    )
    return Vocabulary([Vocabulary.PADDING, Vocabulary.UNKNOWN, *known]), Embedding.from_pretrained(
        vectors, padding_idx=0
    )


# --- training and testing -----------------------------------------------------------------------------


def probabilities(model: SentimentLSTM, numbers: list[np.ndarray], batch_size: int = 64) -> np.ndarray:
    """The probability that each text is positive, (texts,), float32."""
    out = np.zeros(len(numbers), np.float32)
    examples = Examples(numbers, np.zeros(len(numbers)))
    model.eval()
    with no_grad():
        for rows, padded, lengths in examples.batches(batch_size):
            out[rows] = F.sigmoid(model(padded, lengths)).data
    return out


def score(model: SentimentLSTM, examples: Examples, batch_size: int, team: Workers) -> tuple[float, float]:
    """Mean loss and accuracy; the workers take turns at the batches."""
    figures = np.zeros(2)
    model.eval()
    with no_grad():
        for rows, padded, lengths in islice(examples.batches(batch_size), team.rank, None, team.size):
            logits = model(padded, lengths)
            labels = examples.labels[rows]
            figures[0] += F.binary_cross_entropy_with_logits(logits, labels, "sum").item()
            figures[1] += ((logits.data >= 0) == labels).sum()
    team.all_reduce([figures])
    loss, accuracy = (figures / len(examples.labels)).tolist()
    return loss, accuracy


def bag_of_words(train: Examples, test: Examples, size: int) -> float:
    """Test accuracy of a linear model on word counts: what the words tell without their order."""

    def counts(examples: Examples) -> np.ndarray:
        return np.stack([np.bincount(n, minlength=size) for n in examples.numbers]).astype(np.float32)

    model = Linear(size, 1, rng=0)
    optimizer = Adam(model.parameters(), lr=0.01)
    x = Tensor(counts(train))
    for _ in range(200):
        optimizer.zero_grad()
        F.binary_cross_entropy_with_logits(model(x)[:, 0], train.labels).backward()
        optimizer.step()
    with no_grad():
        return float(((model(Tensor(counts(test)))[:, 0].data >= 0) == test.labels).mean())


def train_epoch(
    model: SentimentLSTM,
    optimizer: Adam,
    examples: Examples,
    batch_size: int,
    rng: np.random.Generator,
    team: Workers,
    progress: Callable[[int], Any],
) -> tuple[float, float]:
    """One pass over the examples; mean loss and accuracy on the way, with dropout.

    Each worker computes its share of every batch. Its loss is divided by the size of the whole batch, so that
    the gradients add up to those of one worker.
    """
    loss_sum, right = 0.0, 0
    # a batch is sorted by length, so every nth row makes shares that take about the same time
    share = slice(team.rank, None, team.size)
    parameters = model.parameters()
    model.train()
    for i, (rows, padded, lengths) in enumerate(examples.batches(batch_size, rng)):
        optimizer.zero_grad()
        logits = model(padded, lengths, share)
        labels = examples.labels[rows[share]]
        loss = F.binary_cross_entropy_with_logits(logits, labels, "sum") / len(rows)
        loss.backward()
        gradients = []
        for p in parameters:
            if p.grad is None:  # the last batch may have fewer reviews than there are workers
                p.grad = np.zeros_like(p.data)
            gradients.append(p.grad)
        figures = np.array([loss.item(), ((logits.data >= 0) == labels).sum()])
        team.all_reduce([*gradients, figures])
        if not np.isfinite(figures[0]):
            raise ValueError(f"the loss became {figures[0]} in batch {i + 1}: try a smaller --lr")
        clip_grad_norm(model.named_parameters(), MAX_NORM)
        optimizer.step()
        loss_sum += float(figures[0]) * len(rows)
        right += int(figures[1])
        progress(int(lengths.sum()))
    return loss_sum / len(examples.labels), right / len(examples.labels)


def train(config: Config, out: Path, size: int) -> dict[str, Any]:
    """Train as the settings say with so many workers, write the run, and return its closing figures.

    A tenth of the training reviews is kept apart for validation. The weights that are kept are those of the
    epoch with the smallest validation loss; the test reviews have no say in it.

    Raises
    ------
    WorkerLost
        Another worker died. What was written after each epoch stays, and ``last.safetensors`` holds the
        weights after the last step that was whole.
    """
    pd, tqdm = import_optional("pandas"), import_optional("tqdm").tqdm
    tqdm.monitor_interval = 0  # no thread of a bar may hold a lock while the workers are forked
    with workers(size) as team:
        if team.size > config.batch_size:
            raise ValueError(f"{team.size} workers cannot share batches of {config.batch_size} reviews")
        out.mkdir(parents=True, exist_ok=True)
        model_rng, order_rng = np.random.default_rng(config.seed).spawn(2)

        train_table, validation_table = load_training(config)
        test_table = load_test(config)
        config = replace(
            config, train_size=len(train_table) + len(validation_table), test_size=len(test_table)
        )
        tables = {"train": train_table, "validation": validation_table, "test": test_table}
        reviews = {
            name: cut_reviews(config, "test" if name == "test" else "train", table)
            for name, table in tables.items()
        }
        vocabulary, embedding = new_embedding(config, reviews["train"], model_rng)
        sets = {name: encoded(reviews[name], table, vocabulary) for name, table in tables.items()}
        model = SentimentLSTM(embedding, config.hidden, model_rng)
        optimizer = Adam(model.parameters(), lr=config.lr)
        trained = sum(p.size for p in model.parameters())
        tokens_an_epoch = int(sets["train"].lengths.sum())
        if team.rank == 0:
            print(", ".join(f"{len(s.labels):,} {name} reviews" for name, s in sets.items()), end="; ")
            print(f"{len(vocabulary):,} words, {trained:,} parameters to train")
            older = ("weights.safetensors", "last.safetensors", "metrics.csv", "metrics.json", "loss.png")
            for name in older:  # what an older run left would not fit this one
                (out / name).unlink(missing_ok=True)
            with atomic_write(out / "config.json") as part:
                part.write_text(json.dumps(asdict(config), indent=2) + "\n", encoding="utf-8")
            vocabulary.save(out / "vocabulary.txt")

        team.start(trained + 2, model.head.weight.dtype)  # gradients, and beside them loss and right answers
        rows: list[dict[str, float]] = []
        seconds = 0.0
        bar = tqdm(
            total=tokens_an_epoch * config.epochs,
            unit=" words",
            unit_scale=True,
            dynamic_ncols=True,
            disable=team.rank > 0,
        )
        try:
            for epoch in range(1, config.epochs + 1):
                bar.set_description(f"epoch {epoch} of {config.epochs}")
                start = time.perf_counter()
                figures = {
                    "train": train_epoch(
                        model, optimizer, sets["train"], config.batch_size, order_rng, team, bar.update
                    )
                }
                taken = time.perf_counter() - start
                for name in ("validation", "test"):
                    figures[name] = score(model, sets[name], config.batch_size, team)
                if team.rank:
                    continue
                row: dict[str, float] = {"epoch": epoch}
                for name, (loss, accuracy) in figures.items():
                    row |= {f"{name}_loss": loss, f"{name}_accuracy": accuracy}
                if all(row["validation_loss"] < earlier["validation_loss"] for earlier in rows):
                    save_weights(out / "weights.safetensors", model.state_dict())
                rows.append(row)
                seconds += taken
                with atomic_write(out / "metrics.csv") as part:
                    pd.DataFrame(rows).to_csv(part, index=False)
                bar.write(
                    f"epoch {epoch:2}: "
                    + ", ".join(f"{name} {loss:.3f} / {acc:.1%}" for name, (loss, acc) in figures.items())
                )
        except KeyboardInterrupt:
            if not rows:
                raise
            bar.write(f"interrupted: the run is that of {len(rows)} whole epochs")
        except WorkerLost as error:
            save_weights(out / "last.safetensors", model.state_dict())
            raise WorkerLost(
                f"{error}; {out} keeps {len(rows)} whole epochs, and the weights of now as last.safetensors"
            ) from None
        finally:
            bar.close()

    best = min(rows, key=lambda row: row["validation_loss"])
    metrics: dict[str, Any] = {
        "test_accuracy": best["test_accuracy"],
        "test_loss": best["test_loss"],
        "validation_accuracy": best["validation_accuracy"],
        "best_epoch": int(best["epoch"]),
        "epochs": len(rows),
        "train_reviews": len(train_table),
        "validation_reviews": len(validation_table),
        "test_reviews": len(test_table),
        "workers": team.size,
        "tokens_per_second": tokens_an_epoch * len(rows) / seconds,
        "training_seconds": seconds,
    }
    if config.data == "demo":
        metrics["bag_of_words_accuracy"] = bag_of_words(sets["train"], sets["test"], len(vocabulary))
    with atomic_write(out / "metrics.json") as part:
        part.write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    report.learning_curves(pd.DataFrame(rows), config, out / "loss.png")
    return metrics


def load_run(run: Path) -> tuple[Config, Vocabulary, SentimentLSTM]:
    """The settings, vocabulary and model of a run.

    Raises
    ------
    FileNotFoundError
        A file of the run is not there.
    ValueError
        A file is damaged, or the weights are of another shape than the settings say.
    """
    for name in ("config.json", "vocabulary.txt", "weights.safetensors"):
        if not (run / name).is_file():
            raise FileNotFoundError(f"{run} holds no {name}: train into it first, with --out {run}")
    names = {field.name for field in fields(Config)}
    try:
        settings = json.loads((run / "config.json").read_text(encoding="utf-8"))
        config = Config(**{name: settings[name] for name in names})
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{run / 'config.json'} holds no settings of a run: {error!r}") from error
    vocabulary = Vocabulary.load(run / "vocabulary.txt")
    vectors = np.zeros((len(vocabulary), DIMENSIONS), np.float32)
    embedding = Embedding.from_pretrained(vectors, freeze=config.embeddings == "glove", padding_idx=0)
    model = SentimentLSTM(embedding, config.hidden, np.random.default_rng(0))
    path = run / "weights.safetensors"
    state = load_weights(path)
    try:
        model.load_state_dict(state)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return config, vocabulary, model.eval()


def speech_table(model: SentimentLSTM, vocabulary: Vocabulary, speeches: pd.DataFrame) -> pd.DataFrame:
    """What the model says of the paragraphs of each speech.

    Returns
    -------
    pandas.DataFrame
        A row a speech: `speaker`, `paragraphs` (how many), `positive` (the share of them with a probability
        of 0.5 or more), `mean` and `spread` (mean and standard deviation of the probabilities). A speech
        without words has 0 paragraphs, and NaN for the rest.
    """
    pandas = import_optional("pandas")
    rows = []
    for speaker, speech in zip(speeches["speaker"], speeches["speech"], strict=True):
        parts = paragraphs(speech, PARAGRAPH_WORDS)
        p = probabilities(model, [vocabulary.encode(words(part)) for part in parts])
        known = len(p) > 0
        rows.append(
            {
                "speaker": speaker,
                "paragraphs": len(p),
                "positive": float((p >= 0.5).mean()) if known else np.nan,
                "mean": float(p.mean()) if known else np.nan,
                "spread": float(p.std()) if known else np.nan,
            }
        )
    table: pd.DataFrame = pandas.DataFrame(rows)
    return table


# --- commands -----------------------------------------------------------------------------------------


def command_train(args: argparse.Namespace) -> None:
    given = {field.name: getattr(args, field.name) for field in fields(Config)}
    config = Config(**given | {k: v for k, v in DEFAULTS[args.data].items() if given[k] is None})
    out = Path(args.out or f"runs/{args.data}")
    metrics = train(config, out, args.workers)
    if "bag_of_words_accuracy" in metrics:
        print(
            f"test accuracy of a bag of words, which cannot see order: {metrics['bag_of_words_accuracy']:.1%}"
        )
    print(
        f"test accuracy of the LSTM: {metrics['test_accuracy']:.1%}, loss {metrics['test_loss']:.3f} "
        f"(epoch {metrics['best_epoch']}, chosen by validation loss); "
        f"{metrics['tokens_per_second']:,.0f} words/s in training"
    )
    print(f"learning curves: {out / 'loss.png'}; all of the run: {out}")


def command_evaluate(args: argparse.Namespace) -> None:
    config, vocabulary, model = load_run(Path(args.run))
    if args.data_dir:
        config = replace(config, data_dir=args.data_dir)
    table = load_test(config)
    examples = encoded(cut_reviews(config, "test", table), table, vocabulary)
    loss, accuracy = score(model, examples, config.batch_size, Workers())
    print(f"{config.test_size:,} test reviews of {config.data}: accuracy {accuracy:.1%}, loss {loss:.3f}")


def command_predict(args: argparse.Namespace) -> None:
    _, vocabulary, model = load_run(Path(args.run))
    tokens = [words(text) for text in args.text]
    for text, found, p in zip(
        args.text, tokens, probabilities(model, [vocabulary.encode(t) for t in tokens]), strict=True
    ):
        unknown = [token for token in found if token not in vocabulary]
        note = "no words" if not found else f"unknown: {' '.join(unknown)}" if unknown else ""
        print(f"{p:.3f} {'positive' if p >= 0.5 else 'negative'}  {text!r}{f'  ({note})' if note else ''}")


def command_speeches(args: argparse.Namespace) -> None:
    run = Path(args.run)
    config, vocabulary, model = load_run(run)
    table = speech_table(model, vocabulary, load_speeches(args.data_dir or config.data_dir))
    with atomic_write(run / "speeches.csv") as part:
        table.to_csv(part, index=False)
    report.speech_bars(table, run / "speeches.png")
    print(table.to_string(index=False, float_format="{:.2f}".format, na_rep="-"))
    print(f"picture: {run / 'speeches.png'}; table: {run / 'speeches.csv'}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; the exit status is that of `models.commands.execute`."""
    parser = argparse.ArgumentParser(prog="python -m models.sentiment", description=__doc__.split("\n\n")[0])
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    sub = commands.add_parser("train", help="train on reviews and test")
    sub.set_defaults(command=command_train)
    sub.add_argument("--data", choices=("demo", "imdb"), required=True, help="demo is synthetic, and bundled")
    sub.add_argument("--data-dir", help="where the files are; without it they are downloaded")
    sub.add_argument("--embeddings", choices=("glove", "learned"), help="glove for imdb, learned for demo")
    sub.add_argument("--train-size", type=positive, help="a tenth for validation; 2,000 of demo, all of imdb")
    sub.add_argument("--test-size", type=positive, help="500 of demo, all of imdb")
    sub.add_argument("--epochs", type=positive, help="14 for demo, 6 for imdb")
    sub.add_argument("--hidden", type=positive, help="units of the LSTM, 32 for demo, 64 for imdb")
    sub.add_argument("--batch-size", type=positive, default=32)
    sub.add_argument("--lr", type=float, help="learning rate of Adam, 0.01 for demo, 0.003 for imdb")
    sub.add_argument("--seed", type=int, default=0)
    sub.add_argument(
        "--workers", type=positive, default=1, help="processes that share each batch; see docs/scaling.md"
    )
    sub.add_argument("--out", help="directory of the run, runs/demo or runs/imdb unless given")

    sub = commands.add_parser("evaluate", help="test a run again")
    sub.set_defaults(command=command_evaluate)
    sub.add_argument("--run", required=True)
    sub.add_argument("--data-dir")

    sub = commands.add_parser("predict", help="ask a run about texts")
    sub.set_defaults(command=command_predict)
    sub.add_argument("--run", required=True)
    sub.add_argument("text", nargs="+")

    sub = commands.add_parser("speeches", help="let a run read the speeches, by paragraphs")
    sub.set_defaults(command=command_speeches)
    sub.add_argument("--run", required=True)
    sub.add_argument("--data-dir")

    return execute(parser.parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
