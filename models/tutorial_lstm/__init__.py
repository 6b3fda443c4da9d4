"""A published tutorial's LSTM in plain NumPy, and the gradient that it derives by hand, put on trial.

    python -m models.tutorial_lstm                        the gradient beside the exact one: table and picture
    python -m models.tutorial_lstm diagnose               the referee's diagnosis of it, and of another slip
    python -m models.tutorial_lstm train --as-published   training with it, as the tutorial trains
    python -m models.tutorial_lstm train --corrected      the same with the one wrong term put right

The model reads a review word by word. With z = [h; x], s the logistic function, and h = c = 0 before the
first word, each word x makes

    f = s(Wf z + bf)    i = s(Wi z + bi)    cm = tanh(Wcm z + bcm)    o = s(Wo z + bo)
    c := f c + i cm     h := o tanh(c)

and after the last word the probability that the review is positive is a = s(W2 h + b2).

The model and its hand-derived gradient know nothing of Tensors. The exact gradient, which judges them, is
that of the same `forward` run on Tensors: NumPy's functions record themselves there.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from datasets.glove import load_glove
from datasets.imdb import load_imdb
from datasets.text import words
from models import report
from models.commands import execute, positive
from models.tutorial_slips import SwappedAdam, initial_parameters, word_vectors
from tinygrad_np import Tensor
from tinygrad_np.extras import import_optional
from tinygrad_np.files import atomic_write
from tinygrad_np.referee import Finding, referee

if TYPE_CHECKING:
    import pandas as pd

Array: TypeAlias = Any  # an ndarray; or a Tensor, when the exact gradient is asked for
Arrays: TypeAlias = dict[str, np.ndarray]

PARAMETERS = ("Wf", "bf", "Wi", "bi", "Wcm", "bcm", "Wo", "bo", "W2", "b2")
HIDDEN, DIMENSIONS = 64, 50
EPS = 1e-5  # of the loss
LEARNING_RATE = 0.001
LENGTHS = (1, 2, 3, 10, 60)  # of the sequences in the trial
DRAWS = 20  # of parameters and words, because one draw says little about the size of the error


# --- the model ----------------------------------------------------------------------------------------


class Step(NamedTuple):
    """What one word makes, all columns: z is (H + D, 1), the others are (H, 1)."""

    z: Array
    f: Array
    i: Array
    cm: Array
    o: Array
    c_before: Array
    tc: Array  # tanh of the new c
    h: Array


def sigmoid(x: Array) -> Array:
    """The logistic function, written so that it runs on arrays, complex arrays and Tensors."""
    with np.errstate(over="ignore"):  # an infinite exp(-x) gives 0, as it should
        return 1 / (1 + np.exp(-x))


def unroll(
    x: Array, Wf: Array, bf: Array, Wi: Array, bi: Array, Wcm: Array, bcm: Array, Wo: Array, bo: Array
) -> list[Step]:
    """The steps over a sequence; parameters and x as in `forward`."""
    if not x.shape[0]:
        raise ValueError("a review has one word at least, and this one has none")
    h = c = np.zeros((bf.shape[0], 1))
    steps = []
    for t in range(x.shape[0]):
        z = np.concatenate([h, np.reshape(x[t], (-1, 1))])
        f, i, o = sigmoid(Wf @ z + bf), sigmoid(Wi @ z + bi), sigmoid(Wo @ z + bo)
        cm = np.tanh(Wcm @ z + bcm)
        c_before, c = c, f * c + i * cm
        tc = np.tanh(c)
        h = o * tc
        steps.append(Step(z, f, i, cm, o, c_before, tc, h))
    return steps


def loss_of(logit: Array, y: Array, eps: float) -> Array:
    """-y log(a + eps) - (1 - y) log(1 - a + eps), for a = s(logit).

    1 - a is taken as s(-logit), which is the same number but keeps its digits when a is close to 1. So the
    loss and its derivative stay exact where eps = 0.
    """
    return -y * np.log(sigmoid(logit) + eps) - (1 - y) * np.log(sigmoid(-logit) + eps)


def forward(
    x: Array,
    y: Array,
    Wf: Array,
    bf: Array,
    Wi: Array,
    bi: Array,
    Wcm: Array,
    bcm: Array,
    Wo: Array,
    bo: Array,
    W2: Array,
    b2: Array,
    eps: float = EPS,
) -> Array:
    """The loss of one review.

    Parameters
    ----------
    x : array, shape (T, D)
        A vector for each word; one word at least.
    y : array, shape ()
        1 for a positive review, 0 for a negative one.
    Wf, Wi, Wcm, Wo : array, shape (H, H + D)
    bf, bi, bcm, bo : array, shape (H, 1)
    W2 : array, shape (1, H)
    b2 : array, shape (1, 1)
    eps : float
        Keeps the logarithms finite.

    Returns
    -------
    array, shape ()
        A Tensor if one of the arrays is one.

    Raises
    ------
    ValueError
        There is no word.
    """
    h = unroll(x, Wf, bf, Wi, bi, Wcm, bcm, Wo, bo)[-1].h
    return loss_of(W2 @ h + b2, y, eps)[0, 0]


# --- its gradient, by hand and exact ------------------------------------------------------------------


def backpropagate(inputs: Arrays, overwritten: bool) -> tuple[float, Arrays]:
    """The logit of a review, and the gradient of its loss with eps = 0, by backpropagation through time.

    From the last step to the first, dh and dc are the derivatives of the loss by the h and c that a step
    hands on. A step sends c back to the one before in two ways: along f, and through h = o tanh(c):

        dc_before = dc f + o (1 - tanh(c)^2) f dh

    The dh of this line is the one that came into the step. The published derivation has already put dh of
    the step before in its place (`overwritten`), and that is the one difference.

    Parameters
    ----------
    inputs : dict of str to ndarray
        The arguments of `forward`, but eps.
    overwritten : bool
        Whether to take the dh of the step before, as published.
    """
    parameters = {name: inputs[name] for name in PARAMETERS}
    steps = unroll(inputs["x"], *[parameters[name] for name in PARAMETERS[:8]])
    H = len(steps[-1].h)
    logit = inputs["W2"] @ steps[-1].h + inputs["b2"]
    error = sigmoid(logit) - inputs["y"]

    gates = ("f", "i", "cm", "o")
    ds: dict[str, list[np.ndarray]] = {gate: [] for gate in gates}  # dL / d(a gate's input), last step first
    dh, dc = inputs["W2"].T @ error, np.zeros((H, 1))
    for _, f, i, cm, o, c_before, tc, _ in reversed(steps):
        through_h = o * (1 - tc**2)
        ds["f"].append((dc * c_before + through_h * c_before * dh) * f * (1 - f))
        ds["i"].append((dc * cm + through_h * cm * dh) * i * (1 - i))
        ds["cm"].append((dc * i + through_h * i * dh) * (1 - cm**2))
        ds["o"].append(dh * tc * o * (1 - o))
        dh_before = sum(parameters[f"W{gate}"][:, :H].T @ ds[gate][-1] for gate in gates)
        dc = dc * f + through_h * f * (dh_before if overwritten else dh)
        dh = dh_before

    # The gradient of W is the sum of d z^T over all steps, which is one product of matrices.
    zs = np.hstack([step.z for step in reversed(steps)]).T
    gradients = {"W2": error @ steps[-1].h.T, "b2": error}
    for gate in gates:
        columns = np.hstack(ds[gate])
        gradients[f"W{gate}"] = columns @ zs
        gradients[f"b{gate}"] = columns.sum(axis=1, keepdims=True)
    return logit.item(), {name: gradients[name] for name in PARAMETERS}


def published_gradient(**inputs: np.ndarray) -> Arrays:
    """The tutorial's gradient of ``forward(**inputs)``, by the names of `PARAMETERS`."""
    return backpropagate(inputs, overwritten=True)[1]


def corrected_gradient(**inputs: np.ndarray) -> Arrays:
    """The tutorial's gradient with its one wrong term put right."""
    return backpropagate(inputs, overwritten=False)[1]


def exact_gradient(inputs: Arrays, eps: float) -> Arrays:
    """The gradient of ``forward(**inputs, eps=eps)``, from the same forward run on Tensors."""
    tensors = {name: Tensor(inputs[name], requires_grad=True) for name in PARAMETERS}
    forward(inputs["x"], inputs["y"], **tensors, eps=eps).backward()
    return {name: tensor.grad for name, tensor in tensors.items() if tensor.grad is not None}


# --- the trial ----------------------------------------------------------------------------------------


Verdicts: TypeAlias = dict[str, dict[int, dict[str, Finding]]]  # by version, length and parameter


def trial_inputs(hidden: int, dimensions: int, length: int, rng: np.random.Generator) -> Arrays:
    """The tutorial's initial parameters, and a positive review of random words: x from N(0, 1)."""
    parameters = initial_parameters(hidden, dimensions, rng)
    return {"x": rng.standard_normal((length, dimensions)), "y": np.array(1.0), **parameters}


def make_inputs(rng: np.random.Generator, T: int, hidden: int, inputs: int) -> Arrays:
    """`trial_inputs` of sizes that the referee chooses."""
    return trial_inputs(hidden, inputs, T, rng)


def loss_without_eps(**inputs: Array) -> Array:
    """The loss whose gradient the derivation gives."""
    return forward(**inputs, eps=0.0)


def one_bias_for_three_gates(**inputs: np.ndarray) -> Arrays:
    """A slip of another kind: the gradient of the forget gate's bias is used for all three gates."""
    gradients = corrected_gradient(**inputs)
    return {**gradients, "bi": gradients["bf"], "bo": gradients["bf"]}


def judge(hand_gradient: Callable[..., Arrays], inputs: Arrays) -> dict[str, Finding]:
    """A hand-derived gradient of the loss without eps beside the exact one, by parameter."""
    return referee(loss_without_eps, hand_gradient, inputs).findings


def trial(seed: int) -> Verdicts:
    """Both versions of the hand gradient at all lengths, which are beginnings of one sequence."""
    inputs = trial_inputs(HIDDEN, DIMENSIONS, max(LENGTHS), np.random.default_rng(seed))
    return {
        version: {length: judge(gradient, {**inputs, "x": inputs["x"][:length]}) for length in LENGTHS}
        for version, gradient in (("as published", published_gradient), ("corrected", corrected_gradient))
    }


def draw_trial(found: Verdicts, path: Path) -> None:
    """A heat map of log10 of the relative error for each version."""
    figure = report.new_figure(9, 4.6)
    for axes, (version, by_length) in zip(figure.subplots(1, 2, sharey=True), found.items(), strict=True):
        errors = np.array(
            [[by_length[length][name].relative_error for length in LENGTHS] for name in PARAMETERS]
        )
        image = axes.imshow(
            np.log10(np.maximum(errors, 1e-17)), vmin=-17, vmax=2, aspect="auto", cmap="magma"
        )
        for row, column in np.ndindex(errors.shape):
            error = errors[row, column]
            axes.text(
                column,
                row,
                f"{error:.0e}" if 0 < error < 0.01 else f"{error:.2g}",
                ha="center",
                va="center",
                fontsize=8,
                color="black" if error > 1e-5 else "white",
            )
        axes.set_xticks(range(len(LENGTHS)), LENGTHS)
        axes.set_yticks(range(len(PARAMETERS)), PARAMETERS)
        axes.set_xlabel("steps T")
        axes.set_title(version)
    figure.colorbar(image, ax=figure.axes, label="log10 of the relative error")
    figure.suptitle(f"Hand-derived gradient beside the exact one: |hand − exact| / |exact|, H = {HIDDEN}")
    path.parent.mkdir(parents=True, exist_ok=True)
    report.save(figure, path)


# --- training as the tutorial trains ------------------------------------------------------------------


class Reviews(NamedTuple):
    """Reviews as rows of a table of word vectors, -1 for a word that is not in it, and their labels."""

    numbers: list[np.ndarray]
    labels: np.ndarray

    @classmethod
    def of(cls, table: pd.DataFrame, row: dict[str, int]) -> Reviews:
        numbers = [np.array([row.get(word, -1) for word in words(text)], int) for text in table["review"]]
        return cls(numbers, table["sentiment"].to_numpy(float))


def mean_figures(logits: Iterable[float], labels: np.ndarray) -> tuple[float, float]:
    """Mean loss, and the share of the reviews that are on the right side of 0.5."""
    z = np.fromiter(logits, float, len(labels))
    return float(loss_of(z, labels, EPS).mean()), float(((z >= 0) == labels).mean())


def train_epoch(
    optimizer: SwappedAdam, reviews: Reviews, vectors: np.ndarray, overwritten: bool, rng: np.random.Generator
) -> tuple[float, float]:
    """One update after each review, in their order; mean loss and accuracy, each review before its update."""
    logits = []
    for numbers, label in zip(*reviews, strict=True):
        inputs = {"x": word_vectors(numbers, vectors, rng), "y": label, **optimizer.parameters}
        logit, gradients = backpropagate(inputs, overwritten)
        optimizer.step(gradients)
        logits.append(logit)
    return mean_figures(logits, reviews.labels)


def score(
    parameters: Arrays, reviews: Reviews, vectors: np.ndarray, rng: np.random.Generator
) -> tuple[float, float]:
    """Mean loss and accuracy, parameters left as they are."""
    gates = [parameters[name] for name in PARAMETERS[:8]]
    last = [unroll(word_vectors(numbers, vectors, rng), *gates)[-1].h for numbers in reviews.numbers]
    return mean_figures([(parameters["W2"] @ h + parameters["b2"]).item() for h in last], reviews.labels)


def draw_curves(rows: pd.DataFrame, title: str, path: Path) -> None:
    """Loss and accuracy by epoch, next to what a coin would get."""
    figure = report.new_figure(9, 4)
    left, right = figure.subplots(1, 2)
    for axes, what, coin in ((left, "loss", np.log(2)), (right, "accuracy", 0.5)):
        for name in ("train", "test"):
            color = report.COLORS[name]
            axes.plot(rows["epoch"], rows[f"{name}_{what}"], marker="o", color=color, label=name)
        axes.axhline(coin, color="gray", linestyle=":", label="a coin")
        axes.set_xlabel("epoch")
        axes.set_title(what)
        axes.xaxis.get_major_locator().set_params(integer=True)
    left.legend(fontsize="small")
    right.yaxis.set_major_formatter(lambda y, _: f"{y:.1%}")
    figure.suptitle(title)
    report.save(figure, path)


# --- commands -----------------------------------------------------------------------------------------


def command_trial(args: argparse.Namespace) -> None:
    found = trial(args.seed)
    print(f"relative error and cosine of the hand-derived gradient, H = {HIDDEN}, D = {DIMENSIONS}, N(0, 1)")
    for version, by_length in found.items():
        print(f"\n{version:13}" + "".join(f"{f'T = {length}':>18}" for length in LENGTHS))
        for name in PARAMETERS:
            cells = (by_length[length][name] for length in LENGTHS)
            print(
                f"{name:13}"
                + "".join(
                    f"{'both are 0':>18}"
                    if np.isnan(f.cosine)
                    else f"{f.relative_error:10.2g} {f.cosine:+7.3f}"
                    for f in cells
                )
            )
    draws = [
        judge(published_gradient, trial_inputs(HIDDEN, DIMENSIONS, LENGTHS[-1], np.random.default_rng(seed)))
        for seed in range(DRAWS)
    ]
    gates = [draw[name] for draw in draws for name in PARAMETERS[:8]]
    print(
        f"\nas published, T = {LENGTHS[-1]}, the gates' parameters in {DRAWS} draws (seeds 0 to {DRAWS - 1}):"
    )
    for what in ("relative_error", "cosine"):
        values = [getattr(finding, what) for finding in gates]
        print(
            f"  {what.replace('_', ' ')}: median {np.median(values):.2g}, "
            f"from {min(values):.2g} to {max(values):.2g}"
        )
    out = Path(args.out)
    draw_trial(found, out)
    print(f"picture: {out}")


def command_diagnose(args: argparse.Namespace) -> None:
    import_optional("hypothesis")  # which the next line imports
    from tinygrad_np import testing

    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    cases = testing.cases(make_inputs, T=(1, 6), hidden=(1, 4), inputs=(1, 3))
    for title, gradient in (
        ("as published", published_gradient),
        ("one bias for three gates", one_bias_for_three_gates),
        ("corrected", corrected_gradient),
    ):
        verdict = referee(loss_without_eps, gradient, cases)
        picture = out / f"{title.replace(' ', '-')}.png"
        verdict.plot(picture)
        print(f"{title}: {verdict}\npicture: {picture}\n")


def command_train(args: argparse.Namespace) -> None:
    pd = import_optional("pandas")
    version = "as-published" if args.as_published else "corrected"
    out = Path(args.out or f"runs/tutorial/{version}")
    out.mkdir(parents=True, exist_ok=True)
    weights_rng, train_rng, test_rng = np.random.default_rng(args.seed).spawn(3)

    glove = load_glove(args.data_dir, DIMENSIONS)
    row = {word: number for number, word in enumerate(glove.words)}
    train = Reviews.of(load_imdb("train", args.data_dir, args.train_size, args.seed), row)
    test = Reviews.of(load_imdb("test", args.data_dir, args.test_size, args.seed), row)
    parameters = initial_parameters(HIDDEN, DIMENSIONS, weights_rng)
    optimizer = SwappedAdam(parameters, LEARNING_RATE)
    print(f"{version}: {len(train.labels):,} train reviews, {len(test.labels):,} test reviews")

    rows = []
    start = time.perf_counter()
    for epoch in range(1, args.epochs + 1):
        train_loss, train_accuracy = train_epoch(
            optimizer, train, glove.vectors, args.as_published, train_rng
        )
        test_loss, test_accuracy = score(parameters, test, glove.vectors, test_rng)
        rows.append(
            {
                "epoch": epoch,
                "train_loss": train_loss,
                "train_accuracy": train_accuracy,
                "test_loss": test_loss,
                "test_accuracy": test_accuracy,
            }
        )
        table = pd.DataFrame(rows)
        with atomic_write(out / "metrics.csv") as part:
            table.to_csv(part, index=False)
        print(
            f"epoch {epoch:2}: train {train_loss:.3f} / {train_accuracy:.1%}, "
            f"test {test_loss:.3f} / {test_accuracy:.1%}",
            flush=True,
        )

    metrics = {
        "version": version,
        "seed": args.seed,
        "train_size": args.train_size,
        "test_size": args.test_size,
        **rows[-1],
        "seconds": time.perf_counter() - start,
    }
    with atomic_write(out / "metrics.json") as part:
        part.write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    title = f"The tutorial's LSTM, {version.replace('-', ' ')}: {args.train_size:,} IMDb reviews"
    draw_curves(table, title, out / "loss.png")
    print(
        f"{version}: test accuracy {metrics['test_accuracy']:.1%}, loss {metrics['test_loss']:.3f}; "
        f"the run: {out}"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; the exit status is that of `models.commands.execute`."""
    parser = argparse.ArgumentParser(
        prog="python -m models.tutorial_lstm", description=__doc__.split("\n\n")[0]
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    sub = commands.add_parser("trial", help="the hand-derived gradient beside the exact one (the default)")
    sub.set_defaults(command=command_trial)
    sub.add_argument("--seed", type=int, default=0)
    sub.add_argument("--out", default="runs/tutorial/trial.png", help="the picture")

    sub = commands.add_parser("diagnose", help="let the referee find the smallest case that fails")
    sub.set_defaults(command=command_diagnose)
    sub.add_argument("--out", default="runs/tutorial/diagnosis", help="directory of the pictures")

    sub = commands.add_parser("train", help="train as the tutorial does, with an honest test set")
    sub.set_defaults(command=command_train)
    version = sub.add_mutually_exclusive_group(required=True)
    version.add_argument("--as-published", action="store_true", help="with the published gradient")
    version.add_argument("--corrected", action="store_true", help="with its one wrong term put right")
    sub.add_argument("--data-dir", help="where the files are; without it they are downloaded")
    sub.add_argument("--train-size", type=positive, default=2000, help="reviews to train on")
    sub.add_argument("--test-size", type=positive, default=1000, help="reviews to test with")
    sub.add_argument("--epochs", type=positive, default=10)
    sub.add_argument("--seed", type=int, default=0)
    sub.add_argument("--out", help="directory of the run, runs/tutorial/VERSION unless given")

    given = list(sys.argv[1:] if argv is None else argv)
    if not given or given[0] in ("--seed", "--out"):
        given.insert(0, "trial")
    return execute(parser.parse_args(given))


if __name__ == "__main__":
    sys.exit(main())
