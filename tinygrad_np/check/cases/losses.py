"""Rows of the losses, whose references are their formulas, element by element."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_np.check.draw import Rng, Shape, distinct, positive, real
from tinygrad_np.check.rows import Loss, LossCase

# --- what is drawn ------------------------------------------------------------------------------------


def a_reduction(rng: Rng) -> str:
    return str(rng.choice(["mean", "sum", "none"]))


def a_shape(rng: Rng, axes: int = 0) -> Shape:
    """Lengths from 1, of at least so many axes."""
    return tuple(int(n) for n in rng.integers(1, 5, rng.integers(axes, 4)))


def logits(rng: Rng, shape: Shape) -> np.ndarray:
    """From small ones to such as overflow where they are exponents."""
    return float(rng.choice([1, 20, 1000])) * np.asarray(real(rng, shape))


def signs(rng: Rng, shape: Shape) -> np.ndarray:
    return np.asarray(rng.choice([-1, 1], shape))


def maybe(rng: Rng, **settings: Callable[[], Any]) -> dict[str, Any]:
    """Some of these settings."""
    return {name: draw() for name, draw in settings.items() if rng.random() < 0.5}


def inner(rng: Rng, shape: Shape) -> np.ndarray:
    """Probabilities away from 0 and 1."""
    return np.asarray(rng.uniform(0.05, 0.95, shape))


def differing(rng: Rng) -> tuple[np.ndarray, np.ndarray]:
    """Input and target in one shape, whose differences stay away from 0 and from 1, 1/2 and 2."""
    shape = a_shape(rng)
    target = np.asarray(real(rng, shape))
    return target + distinct(rng, shape), target


def differences(weight: bool = False, **more: Callable[[Rng], Any]) -> Callable[[Rng], LossCase]:
    def draw(rng: Rng) -> LossCase:
        x, y = differing(rng)
        settings = maybe(rng, **{name: lambda f=f: f(rng) for name, f in more.items()})
        if weight and rng.random() < 0.5:
            settings["weight"] = np.asarray(positive(rng, x.shape))
        return LossCase([x, y], [], a_reduction(rng), settings)

    return draw


def yes_or_no(
    inputs: Callable[[Rng, Shape], np.ndarray], axes: int = 0, **more: Any
) -> Callable[[Rng], LossCase]:
    """Targets 0, 1 or between, which are constants, or such between that are differentiated."""

    def draw(rng: Rng) -> LossCase:
        shape = a_shape(rng, axes)
        x = inputs(rng, shape)
        stretched = shape[rng.integers(len(shape) + 1) :]
        settings = maybe(
            rng, **{name: lambda: np.asarray(positive(rng, stretched)) for name in ("weight", *more)}
        )
        if rng.random() < 0.5:
            return LossCase([x, inner(rng, shape)], [], a_reduction(rng), settings)
        return LossCase([x], [np.asarray(rng.choice([0.0, 1.0, 0.3], shape))], a_reduction(rng), settings)

    return draw


def of_classes(rng: Rng, inputs: Callable[[Rng, Shape], np.ndarray]) -> LossCase:
    """Logits (N, C, ...) or (C,) and classes, of which one is ignored at times, though never all."""
    shape = a_shape(rng, 1)
    axis = min(len(shape) - 1, 1)
    classes = shape[axis]
    y = np.asarray(rng.integers(0, classes, shape[:axis] + shape[axis + 1 :]))
    settings = maybe(rng, weight=lambda: positive(rng, (classes,)))
    if y.size > 1 and rng.random() < 0.5:
        settings["ignore_index"] = int(rng.choice([-1, classes]))
        y.ravel()[0] = settings["ignore_index"]
    return LossCase([inputs(rng, shape)], [y], a_reduction(rng), settings)


def cross_entropies(rng: Rng) -> LossCase:
    case = of_classes(rng, logits)
    settings = dict(case.settings) | maybe(rng, label_smoothing=lambda: float(rng.choice([0.1, 1.0])))
    if rng.random() < 0.6:
        return LossCase(case.inputs, case.constants, case.reduction, settings)
    settings.pop("ignore_index", None)
    return LossCase([*case.inputs, inner(rng, case.inputs[0].shape)], [], case.reduction, settings)


def divergences(rng: Rng) -> LossCase:
    shape, logarithms = a_shape(rng, 1), bool(rng.random() < 0.5)
    y = inner(rng, shape)
    reduction = "batchmean" if rng.random() < 0.3 else a_reduction(rng)
    x = np.log(inner(rng, shape))
    if not logarithms and rng.random() < 0.3:
        return LossCase([x], [np.round(y)], reduction)
    return LossCase([x, np.log(y) if logarithms else y], [], reduction, {"log_target": logarithms})


def normals(rng: Rng) -> LossCase:
    shape = a_shape(rng, 1)
    like = [shape, (*shape[:-1], 1), shape[:-1]]
    variances = like[rng.integers(3 if len(shape) > 1 else 2)]
    arrays = [
        np.asarray(real(rng, shape)),
        np.asarray(real(rng, like[rng.integers(2)])),
        positive(rng, variances),
    ]
    return LossCase(arrays, [], a_reduction(rng), maybe(rng, full=lambda: True, eps=lambda: 1e-3))


def counts(rng: Rng) -> LossCase:
    shape, logarithm = a_shape(rng), bool(rng.random() < 0.5)
    x = np.asarray(real(rng, shape) if logarithm else positive(rng, shape))
    settings = maybe(rng, full=lambda: True, eps=lambda: 1e-3) | {"log_input": logarithm}
    if rng.random() < 0.5:
        return LossCase([x], [np.asarray(rng.integers(0, 5, shape), float)], a_reduction(rng), settings)
    return LossCase([x, np.asarray(rng.uniform(1.5, 4, shape))], [], a_reduction(rng), settings)


def hinges(rng: Rng) -> LossCase:
    shape = a_shape(rng)
    return LossCase(
        [distinct(rng, shape)], [signs(rng, shape)], a_reduction(rng), maybe(rng, margin=lambda: 0.5)
    )


def soft_margins(rng: Rng) -> LossCase:
    shape = a_shape(rng)
    return LossCase([np.asarray(real(rng, shape))], [signs(rng, shape)], a_reduction(rng))


def angles(rng: Rng) -> LossCase:
    rows = a_shape(rng)[:1]
    pair = [positive(rng, (*rows, 3)), np.asarray(real(rng, (*rows, 3)))]
    return LossCase(pair, [signs(rng, rows)], a_reduction(rng), maybe(rng, margin=lambda: -0.3))


def rankings(rng: Rng) -> LossCase:
    x, y = differing(rng)
    return LossCase([x, y], [signs(rng, x.shape)], a_reduction(rng), maybe(rng, margin=lambda: 0.7))


def several_margins(rng: Rng) -> LossCase:
    shape = a_shape(rng, 1)[:2]
    y = np.asarray(rng.integers(0, shape[-1], shape[:-1]))
    settings = maybe(rng, margin=lambda: 0.6, p=lambda: 2, weight=lambda: positive(rng, shape[-1:]))
    return LossCase([distinct(rng, shape) * 0.9], [y], a_reduction(rng), settings)


def label_lists(rng: Rng) -> LossCase:
    shape = a_shape(rng, 1)[:2]
    return LossCase([distinct(rng, shape) * 0.9], [rng.integers(-1, shape[-1], shape)], a_reduction(rng))


def triplets(*names: str) -> Callable[[Rng], LossCase]:
    settings = {"margin": lambda: 0.7, "swap": lambda: True, "p": lambda: 3.0, "eps": lambda: 1e-3}

    def draw(rng: Rng) -> LossCase:
        shape = a_shape(rng, 1)
        arrays = [np.asarray(real(rng, shape)) for _ in range(3)]
        return LossCase(arrays, [], a_reduction(rng), maybe(rng, **{name: settings[name] for name in names}))

    return draw


# --- what they are ------------------------------------------------------------------------------------


def by_element(formula: Callable[..., float]) -> Callable[..., Any]:
    """A formula of one element, of arrays that broadcast; with `weight`, by which alone the mean is divided too."""

    def reference(*arrays: np.ndarray, **settings: Any) -> Any:
        each: np.ndarray = np.vectorize(lambda *x: formula(*map(float, x), **settings), otypes=[float])(
            *arrays
        )
        return each

    return reference


def weighted(formula: Callable[..., float], mean_of_weights: bool) -> Callable[..., Any]:
    """The same with a weight for each element; whether a mean is divided by the sum of the weights."""

    def reference(*arrays: np.ndarray, weight: Any = None, **settings: Any) -> Any:
        each = by_element(formula)(*arrays, **settings)
        if weight is None:
            return each
        return (each * weight, weight.sum()) if mean_of_weights else each * weight

    return reference


def huber(x: float, y: float, delta: float = 1.0) -> float:
    d = abs(x - y)
    return d**2 / 2 if d <= delta else delta * (d - delta / 2)


def smooth_l1(x: float, y: float, beta: float = 1.0) -> float:
    return huber(x, y, beta) / beta if beta else abs(x - y)


def softplus(z: float) -> float:
    return max(z, 0.0) + math.log1p(math.exp(-abs(z)))


def yes_no(z: float, y: float, pos_weight: float, weight: float) -> float:
    """A term whose factor is 0 is 0, of an infinite logit too."""
    terms = (weight * pos_weight * y, softplus(-z)), (weight * (1 - y), softplus(z))
    return sum(factor * value for factor, value in terms if factor)


def logits_loss(z: np.ndarray, y: np.ndarray, weight: Any = 1.0, pos_weight: Any = 1.0) -> np.ndarray:
    return np.asarray(by_element(yes_no)(z, y, pos_weight, weight))


def rows_of(x: np.ndarray) -> tuple[np.ndarray, Shape]:
    """Logits (N, C, ...) or (C,) as one row an example, and the shape of the examples."""
    last = np.moveaxis(x, min(x.ndim - 1, 1), -1)
    return last.reshape(-1, last.shape[-1]), last.shape[:-1]


def log_softmax(row: np.ndarray) -> np.ndarray:
    top = row.max()
    return np.asarray(row - top - math.log(np.exp(row - top).sum()))


def cross_entropy(
    z: np.ndarray,
    target: np.ndarray,
    weight: Any = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    log: Callable[[np.ndarray], np.ndarray] = log_softmax,
) -> tuple[np.ndarray, float]:
    rows, shape = rows_of(z)
    classes = rows.shape[1]
    w = np.ones(classes) if weight is None else weight
    probable = target.dtype.kind == "f"
    targets = rows_of(target)[0] if probable else target.ravel()
    losses, total = [], 0.0
    for row, y in zip(rows, targets, strict=True):
        if not probable and y == ignore_index:
            losses.append(0.0)
            continue
        wanted = y if probable else np.eye(classes)[y]
        wanted = (1 - label_smoothing) * wanted + label_smoothing / classes
        losses.append(-sum(w[c] * wanted[c] * log(row)[c] for c in range(classes) if wanted[c]))
        total += 1.0 if probable else w[y]
    return np.array(losses).reshape(shape), total


def kl_div(x: float, y: float, log_target: bool = False) -> float:
    y = math.exp(y) if log_target else y
    return y * (math.log(y) - x) if y else 0.0


def gaussian_nll(x: np.ndarray, y: np.ndarray, v: np.ndarray, full: bool = False, eps: float = 1e-6) -> Any:
    v = v[..., np.newaxis] if v.ndim < x.ndim else v
    density = np.exp(-((x - y) ** 2) / (2 * v)) / np.sqrt(2 * math.pi * v)
    return -np.log(density) - (0 if full else math.log(2 * math.pi) / 2)


def poisson_nll(x: float, y: float, log_input: bool = True, full: bool = False, eps: float = 1e-8) -> float:
    loss = math.exp(x) - y * x if log_input else x - y * math.log(x + eps)
    stirling = y * math.log(y) - y + math.log(2 * math.pi * y) / 2 if y > 1 else 0.0
    return loss + stirling if full else loss


def cosine_embedding(x: np.ndarray, other: np.ndarray, y: np.ndarray, margin: float = 0.0) -> np.ndarray:
    lengths = np.sqrt((x**2).sum(axis=-1) + 1e-12), np.sqrt((other**2).sum(axis=-1) + 1e-12)
    cosine = np.einsum("...i,...i", x, other) / (lengths[0] * lengths[1])
    return np.asarray(np.where(y == 1, 1 - cosine, np.maximum(0, cosine - margin)))


def multi_margin(x: np.ndarray, y: np.ndarray, p: int = 1, margin: float = 1.0, weight: Any = None) -> Any:
    losses = []
    for row, k in zip(x.reshape(-1, x.shape[-1]), y.ravel(), strict=True):
        terms = [max(0.0, margin - row[k] + row[j]) ** p for j in range(len(row)) if j != k]
        losses.append(sum(terms) / len(row) * (1.0 if weight is None else weight[k]))
    return np.array(losses).reshape(y.shape)


def multilabel_margin(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    losses = []
    for row, listed in zip(x.reshape(-1, x.shape[-1]), y.reshape(-1, x.shape[-1]).tolist(), strict=True):
        labels = listed[: [*listed, -1].index(-1)]
        others = [j for j in range(len(row)) if j not in labels]
        losses.append(sum(max(0.0, 1 - row[i] + row[j]) for i in labels for j in others) / len(row))
    return np.array(losses).reshape(x.shape[:-1])


def triplet(
    a: np.ndarray,
    p: np.ndarray,
    n: np.ndarray,
    margin: float = 1.0,
    power: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
) -> np.ndarray:
    def distance(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.asarray(np.linalg.norm(x - y + eps, power, axis=-1))

    far = np.minimum(distance(a, n), distance(p, n)) if swap else distance(a, n)
    return np.asarray(np.maximum(0, margin + distance(a, p) - far))


def log_clamped(x: float) -> float:
    return max(math.log(x), -100.0)


LOSSES = {
    "mse_loss": Loss(differences(weight=True), weighted(lambda x, y: (x - y) ** 2, True), "MSELoss"),
    "l1_loss": Loss(differences(weight=True), weighted(lambda x, y: abs(x - y), True), "L1Loss"),
    "smooth_l1_loss": Loss(
        differences(beta=lambda rng: float(rng.choice([0, 0.5, 2]))), by_element(smooth_l1), "SmoothL1Loss"
    ),
    "huber_loss": Loss(
        differences(weight=True, delta=lambda rng: float(rng.choice([0.5, 2]))),
        weighted(huber, False),
        "HuberLoss",
    ),
    "binary_cross_entropy": Loss(
        yes_or_no(inner),
        weighted(lambda p, y: -y * log_clamped(p) - (1 - y) * log_clamped(1 - p), False),
        "BCELoss",
    ),
    "binary_cross_entropy_with_logits": Loss(
        yes_or_no(logits, pos_weight=True), logits_loss, "BCEWithLogitsLoss"
    ),
    "cross_entropy": Loss(cross_entropies, cross_entropy, "CrossEntropyLoss"),
    "nll_loss": Loss(
        lambda rng: of_classes(rng, real),
        lambda x, y, **settings: cross_entropy(x, y, log=lambda row: row, **settings),
        "NLLLoss",
    ),
    "kl_div": Loss(divergences, by_element(kl_div), "KLDivLoss"),
    "gaussian_nll_loss": Loss(normals, gaussian_nll, "GaussianNLLLoss"),
    "poisson_nll_loss": Loss(counts, by_element(poisson_nll), "PoissonNLLLoss"),
    "hinge_embedding_loss": Loss(
        hinges,
        by_element(lambda x, y, margin=1.0: x if y == 1 else max(0.0, margin - x)),
        "HingeEmbeddingLoss",
    ),
    "soft_margin_loss": Loss(
        soft_margins, by_element(lambda x, y: math.log(1 + math.exp(-y * x))), "SoftMarginLoss"
    ),
    "cosine_embedding_loss": Loss(angles, cosine_embedding, "CosineEmbeddingLoss"),
    "margin_ranking_loss": Loss(
        rankings,
        by_element(lambda a, b, y, margin=0.0: max(0.0, -y * (a - b) + margin)),
        "MarginRankingLoss",
    ),
    "multi_margin_loss": Loss(several_margins, multi_margin, "MultiMarginLoss"),
    "multilabel_margin_loss": Loss(label_lists, multilabel_margin, "MultiLabelMarginLoss"),
    "multilabel_soft_margin_loss": Loss(
        yes_or_no(logits, axes=1),
        lambda *arrays, **settings: logits_loss(*arrays, **settings).mean(axis=-1),
        "MultiLabelSoftMarginLoss",
    ),
    "triplet_margin_loss": Loss(
        triplets("margin", "swap", "p", "eps"),
        lambda a, b, c, p=2.0, **settings: triplet(a, b, c, power=p, **settings),
        "TripletMarginLoss",
    ),
    "triplet_margin_with_distance_loss": Loss(
        triplets("margin", "swap"), triplet, "TripletMarginWithDistanceLoss"
    ),
}
