"""Rows of the activations: of the functions, and of the layers, by tables of settings and published formulas."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from tinygrad_np import functional, nn
from tinygrad_np.check.cases.special import by_number
from tinygrad_np.check.draw import Arguments, Rng, Shape, broadcasts_to, distinct, filled, nonzero, real, wave
from tinygrad_np.check.rows import Edge, LayerCase, LayerRow, Op

INF = math.inf


def log1p_exp(x: np.ndarray) -> Any:
    return np.log(1 + np.exp(x))


def logistic(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-1.0 * x))


def normal(x: np.ndarray) -> Any:
    """The normal distribution function."""
    return by_number(math.erfc)(-x / math.sqrt(2)) / 2


def normal_by_tanh(x: np.ndarray) -> Any:
    return (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2


def exponential(x: np.ndarray, alpha: float, scale: float = 1.0) -> Any:
    """x above 0, and below it an exponential that tends to -alpha."""
    return np.where(x > 0, x, alpha * (np.exp(np.minimum(x, 0) * scale) - 1))


SELU = 1.6732632423543772848, 1.0507009873554804934

# of each activation: settings to draw from, its formula, and what is written of its kinks and of far away
FORMULAS: dict[str, tuple[Sequence[dict[str, Any]], Callable[..., Any], Sequence[Edge]]] = {
    "hardtanh": (
        [{}, {"min_val": -0.5, "max_val": 0.25}],
        lambda x, min_val=-1.0, max_val=1.0: np.minimum(np.maximum(x, min_val), max_val),
        [Edge([[-1, 1, 0.5, -2, INF]], [1] * 5, [[0, 0, 1, 0, 0]])],
    ),
    "relu6": (
        [{}],
        lambda x: np.minimum(np.maximum(x, 0), 6),
        [Edge([[0, 6, 5, 7]], [1] * 4, [[0, 0, 1, 0]])],
    ),
    "hardsigmoid": (
        [{}],
        lambda x: np.clip((x + 3) / 6, 0, 1),
        [Edge([[-3, 3, 0, 4]], [6] * 4, [[0, 0, 1, 0]])],
    ),
    "hardswish": (
        [{}],
        lambda x: x * np.clip((x + 3) / 6, 0, 1),
        [Edge([[-3, 3, -INF, INF, 0]], [1] * 5, [[0, 1, 0, 1, 0.5]])],
    ),
    "leaky_relu": (
        [{}, {"negative_slope": 0.2}],
        lambda x, negative_slope=0.01: np.where(x < 0, negative_slope * x, x),
        [Edge([[0, -1, 1]], [1] * 3, [[0.01, 0.01, 1]])],
    ),
    "rrelu": (
        [{}, {"lower": 0.1, "upper": 0.3}],
        lambda x, lower=1 / 8, upper=1 / 3: np.where(x < 0, (lower + upper) / 2 * x, x),
        [],
    ),
    "threshold": (
        [{"threshold": 0.25, "value": 2.0}],
        lambda x, threshold, value: np.where(x <= threshold, value, x),
        [Edge([[1, 0, 2]], [1] * 3, [[0, 0, 1]], {"threshold": 1.0, "value": 1.0})],
    ),
    "elu": (
        [{}, {"alpha": 0.5}],
        lambda x, alpha=1.0: exponential(x, alpha),
        [Edge([[0, -INF, 1e3]], [1] * 3, [[2, 0, 1]], {"alpha": 2.0})],
    ),
    "celu": (
        [{}, {"alpha": 0.5}],
        lambda x, alpha=1.0: exponential(x, alpha, 1 / alpha),
        [Edge([[0, -INF, 1e3]], [1] * 3, [[1, 0, 1]], {"alpha": 2.0})],
    ),
    "selu": (
        [{}],
        lambda x: SELU[1] * exponential(x, SELU[0]),
        [Edge([[0, -INF, 1e3]], [1] * 3, [[SELU[0] * SELU[1], 0, SELU[1]]])],
    ),
    "softplus": (
        [{}, {"beta": 2.0}, {"threshold": 1.0}],
        lambda x, beta=1.0, threshold=20.0: np.where(beta * x > threshold, x, log1p_exp(beta * x) / beta),
        [Edge([[1e3, -1e3, INF, -INF, 0]], [1] * 5, [[1, 0, 1, 0, 0.5]])],
    ),
    "logsigmoid": (
        [{}],
        lambda x: -log1p_exp(-x),
        [Edge([[1e3, -1e3, 0]], [1] * 3, [[0, 1, 0.5]])],
    ),
    "silu": ([{}], lambda x: x * logistic(x), [Edge([[1e3, -1e3, 0]], [1] * 3, [[1, 0, 0.5]])]),
    "mish": ([{}], lambda x: x * np.tanh(log1p_exp(x)), [Edge([[1e3, -1e3, 0]], [1] * 3, [[1, 0, 0.6]])]),
    "gelu": (
        [{}, {"approximate": "tanh"}],
        lambda x, approximate="none": x * (normal_by_tanh if approximate == "tanh" else normal)(x),
        [Edge([[1e3, -1e3, 0]], [1] * 3, [[1, 0, 0.5]], {"approximate": how}) for how in ("none", "tanh")],
    ),
    "softsign": ([{}], lambda x: x / (1 + np.absolute(x)), [Edge([[0, 1e3]], [1] * 2, [[1, 1 / 1001**2]])]),
    "hardshrink": (
        [{}, {"lambd": 0.25}],
        lambda x, lambd=0.5: x * ((x > lambd) | (x < -lambd)),
        [Edge([[0.5, -0.5, 1, 0]], [1] * 4, [[0, 0, 1, 0]])],
    ),
    "softshrink": (
        [{}, {"lambd": 0.25}],
        lambda x, lambd=0.5: np.maximum(x - lambd, 0) + np.minimum(x + lambd, 0),
        [Edge([[0.5, -0.5, 1, 0]], [1] * 4, [[0, 0, 1, 0]])],
    ),
    "tanhshrink": ([{}], lambda x: x - np.tanh(x), []),
}
FAR = np.array([-7.3, -3.2, -0.4, 0.6, 2.9, 3.1, 6.2, 21.0])  # on both sides of every bound


def sixth(torch: Any, x: Any) -> Any:
    """hardsigmoid, with all digits."""
    return torch.nn.functional.relu6(x + 3) / 6


def activation(name: str) -> Op:
    settings, reference, edges = FORMULAS[name]
    return Op(
        lambda rng, shape: ([distinct(rng, shape)], settings[int(rng.integers(len(settings)))]),
        reference=reference,
        # PyTorch's own derivative of hardsigmoid has a sixth in float32
        torch=sixth if name == "hardsigmoid" else f"nn.functional.{name}",
        analytic=False,
        edges=edges,
        more=[([FAR[i : i + 1]], each) for i in range(len(FAR)) for each in settings],
        function=getattr(functional, name),
    )


def with_slopes(rng: Rng, shape: Shape) -> Arguments:
    channels = shape[1] if len(shape) > 1 else 1
    return [distinct(rng, shape), real(rng, (channels if rng.random() < 0.5 else 1,))], {}


def sloped(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """prelu, whose weights stand along axis 1."""
    along = weight.reshape([-1 if i == 1 else 1 for i in range(x.ndim)])
    return np.where(x > 0, x, along * np.minimum(x, 0))


def halved(rng: Rng, shape: Shape) -> Arguments:
    shape = filled(shape, 1)
    axis = int(rng.integers(-len(shape), len(shape)))
    lengths = [2 * n if i == axis % len(shape) else n for i, n in enumerate(shape)]
    return [real(rng, tuple(lengths))], {"axis": axis}


def halves(x: np.ndarray, axis: int) -> Any:
    a, b = np.split(x, 2, axis)
    return a * logistic(b)


def along(rng: Rng, shape: Shape) -> Arguments:
    shape = filled(shape, 1)
    return [real(rng, shape)], {"axis": int(rng.integers(-len(shape), len(shape)))}


def measured(rng: Rng, shape: Shape) -> Arguments:
    shape = filled(shape, 1)
    axis = int(rng.integers(-len(shape), len(shape)))
    return [nonzero(rng, shape)], {"p": [1.0, 2.0, 3.0][rng.integers(3)], "axis": axis}


def compared(rng: Rng, shape: Shape) -> Arguments:
    shape = filled(shape, 1)
    return [nonzero(rng, shape), nonzero(rng, broadcasts_to(rng, shape))], {"axis": -1}


def cosine(x1: np.ndarray, x2: np.ndarray, axis: int = 1) -> np.ndarray:
    x1, x2 = np.broadcast_arrays(x1, x2)

    def lengths(x: np.ndarray) -> Any:
        return np.maximum(np.sqrt(np.sum(x * x, axis, keepdims=True)), 1e-8)

    return np.sum(x1 / lengths(x1) * (x2 / lengths(x2)), axis)  # type: ignore[no-any-return]


ACTIVATIONS = {
    **{name: activation(name) for name in FORMULAS},
    "prelu": Op(
        with_slopes,
        reference=sloped,
        analytic=False,
        function=functional.prelu,
        edges=[Edge([[0, -1, 2], [0.25]], [1] * 3, [[0.25, 0.25, 1], [-1]])],
        more=[([wave(2, 3, 2, 2), wave(3)], {})],
    ),
    "glu": Op(
        halved,
        reference=halves,
        torch=lambda torch, x, axis: torch.nn.functional.glu(x, axis),
        function=functional.glu,
    ),
    "softmin": Op(
        along,
        reference=lambda x, axis: np.exp(-x) / np.sum(np.exp(-x), axis=axis, keepdims=True),
        torch=lambda torch, x, axis: torch.nn.functional.softmin(x, axis),
        function=functional.softmin,
    ),
    "normalize": Op(
        measured,
        reference=lambda x, p, axis: x / np.sum(np.absolute(x) ** p, axis, keepdims=True) ** (1 / p),
        torch=lambda torch, x, p=2.0, axis=1, eps=1e-12: torch.nn.functional.normalize(x, p, axis, eps),
        analytic=False,
        function=functional.normalize,
        edges=[
            Edge([[[0, 0], [3, 4]]], [[1, 1], [1, 1]], [[[1, 1], [0.032, -0.024]]], {"eps": 1.0}),
            Edge([[0, 3, 4]], [1, 1, 2], [[0.5, 0.5, 1]], {"p": 0, "axis": 0}),
        ],
    ),
    "cosine_similarity": Op(
        compared,
        reference=cosine,
        torch=lambda torch, x1, x2, axis=1, eps=1e-8: torch.cosine_similarity(x1, x2, axis, eps),
        analytic=False,
        function=functional.cosine_similarity,
        edges=[Edge([[[0, 0]], [[3, 4]]], [1], [[[0.6, 0.8]], [[0, 0]]], {"eps": 1.0})],
        more=[([wave(2, 3, 1), wave(3, 2)], {})],
    ),
}

SETTINGS: dict[str, Sequence[dict[str, Any]]] = {  # of each layer
    **{name: [{}] for name in ("ReLU", "ReLU6", "SELU", "SiLU", "Mish", "Sigmoid", "LogSigmoid", "Tanh")},
    **{name: [{}] for name in ("Hardsigmoid", "Hardswish", "Tanhshrink", "Softsign", "Softmax2d")},
    **{name: [{}, {"alpha": 0.5}] for name in ("ELU", "CELU")},
    **{name: [{}, {"lambd": 0.25}] for name in ("Hardshrink", "Softshrink")},
    **{name: [{"dim": 1}, {"dim": -1}] for name in ("Softmax", "LogSoftmax", "Softmin")},
    "LeakyReLU": [{}, {"negative_slope": 0.2}],
    "GELU": [{}, {"approximate": "tanh"}],
    "Hardtanh": [{}, {"min_val": -0.5, "max_val": 0.25}],
    "Softplus": [{}, {"beta": 2.0, "threshold": 1.0}],
    "Threshold": [{"threshold": 0.25, "value": 2.0}],
    "GLU": [{}, {"dim": 1}],
    "CosineSimilarity": [{}, {"dim": -1}],
    "PReLU": [{}, {"num_parameters": 2, "init": 0.1}],
}


def activation_layer(name: str, rng: Rng) -> LayerCase:
    settings = SETTINGS[name][int(rng.integers(len(SETTINGS[name])))]
    layer = getattr(nn, name)(**settings, **({"dtype": np.float64} if name == "PReLU" else {}))
    return LayerCase(
        layer,
        [distinct(rng, (3, 2, 1, 4)) for _ in range(1 + (name == "CosineSimilarity"))],
        torch=None if name == "Hardsigmoid" else lambda torch: getattr(torch.nn, name)(**settings),
    )


ACTIVATION_LAYERS: dict[str, LayerRow] = {name: partial(activation_layer, name) for name in SETTINGS}
