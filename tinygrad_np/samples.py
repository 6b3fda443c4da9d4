"""One row for each primitive, layer, loss and optimizer: how to draw a case to try it on.

The tests of all primitives and ``python -m tinygrad_np.gradcheck`` come from these tables. A row of a
primitive draws from a generator and a shape of any number of axes, lengths 0 and 1 among them. It keeps away
from kinks, where there is no derivative to compare with, and from the end of the domain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from tinygrad_np import functional, nn, optim, tape
from tinygrad_np.gradcheck import gradcheck, gradgradcheck
from tinygrad_np.ops.shape import concatenate
from tinygrad_np.tensor import Tensor

Shape: TypeAlias = tuple[int, ...]
Rng: TypeAlias = np.random.Generator
Arguments: TypeAlias = tuple[list[np.ndarray], dict[str, Any]]
FunctionAndPoint: TypeAlias = tuple[Callable[..., Tensor], list[np.ndarray]]


@dataclass(frozen=True)
class Sample:
    """How to try a primitive: `draw` gives arrays and static parameters for it.

    `analytic` says whether its NumPy function continues to complex numbers.
    """

    draw: Callable[[Rng, Shape], Arguments]
    analytic: bool = True


def real(rng: Rng, shape: Shape) -> np.ndarray:
    return rng.standard_normal(shape)


def positive(rng: Rng, shape: Shape) -> np.ndarray:
    return rng.uniform(0.5, 2.0, shape)


def real_or_whole(rng: Rng, shape: Shape) -> np.ndarray:
    """Numbers as `real` gives, or whole ones, 0 among them."""
    x = 2 * rng.standard_normal(shape)
    return np.round(x) if rng.random() < 0.5 else x


def nonzero(rng: Rng, shape: Shape) -> np.ndarray:
    return positive(rng, shape) * (2 * rng.integers(0, 2, shape) - 1)


def distinct(rng: Rng, shape: Shape) -> np.ndarray:
    """Multiples of 1/4, shifted by 1/16 away from 0, no two alike."""
    n = int(np.prod(shape))
    return (rng.permutation(n).reshape(shape) - n // 2) / 4 + 1 / 16


def broadcasts_to(rng: Rng, shape: Shape) -> Shape:
    """A shape that NumPy stretches to this one: some lengths 1, some leading axes missing."""
    stretched = tuple(1 if rng.random() < 0.3 else n for n in shape)
    return stretched[rng.integers(len(shape) + 1) :] if rng.random() < 0.3 else stretched


def filled(shape: Shape, axes: int = 0) -> Shape:
    """The shape with no length 0, and at least so many axes."""
    return (2, 3, 1)[: max(0, axes - len(shape))] + tuple(max(n, 1) for n in shape)


def unary(values: Callable[[Rng, Shape], np.ndarray]) -> Callable[[Rng, Shape], Arguments]:
    return lambda rng, shape: ([values(rng, shape)], {})


def binary(
    left: Callable[[Rng, Shape], np.ndarray], right: Callable[[Rng, Shape], np.ndarray]
) -> Callable[[Rng, Shape], Arguments]:
    def draw(rng: Rng, shape: Shape) -> Arguments:
        return [left(rng, broadcasts_to(rng, shape)), right(rng, broadcasts_to(rng, shape))], {}

    return draw


def between(rng: Rng, shape: Shape) -> np.ndarray:
    """Numbers halfway between those of `distinct`."""
    return distinct(rng, shape) + 1 / 8


def some_axes(rng: Rng, shape: Shape) -> Any:
    """None, one axis counted from the front or from the back, or several."""
    if not shape or rng.random() < 0.3:
        return None
    axes = rng.permutation(len(shape))[: rng.integers(1, len(shape) + 1)]
    signed = tuple(int(a) - (len(shape) if rng.random() < 0.5 else 0) for a in axes)
    return signed[0] if rng.random() < 0.5 else signed


def reduction(
    values: Callable[[Rng, Shape], np.ndarray], full: bool = False, **static: Any
) -> Callable[[Rng, Shape], Arguments]:
    def draw(rng: Rng, shape: Shape) -> Arguments:
        shape = filled(shape) if full else shape
        keepdims = {"keepdims": bool(rng.random() < 0.5)}
        return [values(rng, shape)], {"axis": some_axes(rng, shape), **keepdims, **static}

    return draw


def variance(rng: Rng, shape: Shape) -> Arguments:
    arrays, static = reduction(real, full=True)(rng, tuple(n + 2 for n in shape) or (2,))
    return arrays, {**static, "ddof": float(rng.integers(2))}


def clipped(rng: Rng, shape: Shape) -> Arguments:
    bounds = [{"a_min": -0.5, "a_max": 0.5}, {"a_min": -0.5}, {"a_max": 0.5}]
    return [distinct(rng, shape)], bounds[rng.integers(3)]


def conditional(rng: Rng, shape: Shape) -> Arguments:
    (x, y), _ = binary(real, real)(rng, shape)
    return [rng.random(broadcasts_to(rng, shape)) < 0.5, x, y], {}


def reshaped(rng: Rng, shape: Shape) -> Arguments:
    return [real(rng, shape)], {"shape": shape[::-1] if rng.random() < 0.5 or 0 in shape else -1}


def transposed(rng: Rng, shape: Shape) -> Arguments:
    axes = tuple(int(a) for a in rng.permutation(len(shape)))
    return [real(rng, shape)], {"axes": axes if rng.random() < 0.7 else None}


def expanded(rng: Rng, shape: Shape) -> Arguments:
    return [real(rng, shape)], {"axis": int(rng.integers(-len(shape) - 1, len(shape) + 1))}


def squeezed(rng: Rng, shape: Shape) -> Arguments:
    return [real(rng, (*shape, 1))], {"axis": -1 if rng.random() < 0.5 else None}


def stretched(rng: Rng, shape: Shape) -> Arguments:
    return [real(rng, broadcasts_to(rng, shape))], {"shape": shape}


def concatenated(rng: Rng, shape: Shape) -> Arguments:
    shape = shape or (2,)
    axis = int(rng.integers(-len(shape), len(shape)))
    parts = []
    for _ in range(rng.integers(1, 4)):
        lengths = list(shape)
        lengths[axis] = int(rng.integers(4))
        parts.append(real(rng, tuple(lengths)))
    return parts, {"axis": axis if rng.random() < 0.8 else None}


def cut_up(rng: Rng, shape: Shape) -> Arguments:
    """Into one to three pieces, some of them empty."""
    shape = shape or (2,)
    axis = int(rng.integers(len(shape)))
    places = np.sort(rng.integers(0, shape[axis] + 1, rng.integers(3)))
    return [real(rng, shape)], {"ends": [0, *places.tolist(), shape[axis]], "axis": axis}


def stacked(rng: Rng, shape: Shape) -> Arguments:
    axis = int(rng.integers(-len(shape) - 1, len(shape) + 1))
    return [real(rng, shape) for _ in range(rng.integers(1, 4))], {"axis": axis}


def indexed(rng: Rng, shape: Shape) -> Arguments:
    """Integers, slices, new axes, arrays of indices that repeat, masks."""
    shape = filled(shape, 2)
    several = rng.integers(-shape[0], shape[0], (2, 3))
    choices = [
        int(rng.integers(shape[0])),
        slice(None, None, -1),
        (slice(1, None), None, -1),
        (..., 0),
        several,
        (several[0], rng.integers(shape[1], size=3)),
        (slice(None), [0, 0]),
        rng.random(shape) < 0.5,
    ]
    return [real(rng, shape)], {"index": choices[rng.integers(len(choices))]}


def scattered(rng: Rng, shape: Shape) -> Arguments:
    (x,), static = indexed(rng, shape)
    return [real(rng, x[static["index"]].shape)], {**static, "shape": x.shape}


def matrices(rng: Rng, shape: Shape) -> Arguments:
    """Vectors, matrices, and batches that broadcast."""
    n, k, m = (int(i) for i in rng.integers(0, 4, 3))
    left = (k,) if rng.random() < 0.2 else (*broadcasts_to(rng, shape), n, k)
    right = (
        (k,) if rng.random() < 0.2 else (k, m) if rng.random() < 0.3 else (*broadcasts_to(rng, shape), k, m)
    )
    return [real(rng, left), real(rng, right)], {}


EINSUMS = [
    ("ij,jk->ik", ["ij", "jk"]),
    ("ij,jk", ["ij", "jk"]),
    ("bij,bjk->bik", ["bij", "bjk"]),
    ("...ij,...jk->...ik", ["bij", "jk"]),
    ("i,j->ij", ["i", "j"]),
    ("ij->j", ["ij"]),
    ("ij->", ["ij"]),
    ("ii->i", ["ii"]),
    ("ii", ["ii"]),
    ("iij,jk,i->k", ["iij", "jk", "i"]),
    ("i,i,i->i", ["i", "i", "i"]),
    ("ij->i", ["ij"]),
    ("iijj->ij", ["iijj"]),
    ("...ij", ["bij"]),
    ("...ab,...bc", ["iab", "bc"]),
]


def summed_products(rng: Rng, shape: Shape) -> Arguments:
    subscripts, terms = EINSUMS[rng.integers(len(EINSUMS))]
    length = {c: int(rng.integers(4)) for c in "abcijk"}
    return [real(rng, tuple(length[c] for c in term)) for term in terms], {"subscripts": subscripts}


def sequences(states: int, gates: int) -> Callable[[Rng, Shape], Arguments]:
    """A small recurrent layer: inputs, so many initial states, weights; lengths in any order, or none."""

    def draw(rng: Rng, shape: Shape) -> Arguments:
        batch, time, features = (int(n) for n in rng.integers(0, 4, 3))
        hidden = int(rng.integers(1, 4))
        rows = gates * hidden
        weights = [(rows, features), (rows, hidden), (rows,), (rows,)]
        lengths = rng.integers(0, time + 1, batch) if rng.random() < 0.7 else None
        arrays = [real(rng, s) for s in ((batch, time, features), *[(batch, hidden)] * states, *weights)]
        static = {"lengths": lengths, "reverse": bool(rng.random() < 0.5)}
        if rng.random() < 0.3:
            arrays[0] = real(rng, (5, features))
            static["indices"] = rng.integers(0, 5, (batch, time))
        return arrays, static

    return draw


SAMPLES: dict[str, Sample] = {
    "add": Sample(binary(real, real)),
    "subtract": Sample(binary(real, real)),
    "multiply": Sample(binary(real, real)),
    "divide": Sample(binary(real, nonzero)),
    "negative": Sample(unary(real)),
    "power": Sample(binary(positive, real_or_whole)),
    "square": Sample(unary(real)),
    "sqrt": Sample(unary(positive)),
    "exp": Sample(unary(real)),
    "log": Sample(unary(positive)),
    "logaddexp": Sample(binary(real, real), analytic=False),
    "absolute": Sample(unary(distinct), analytic=False),
    "maximum": Sample(binary(distinct, between)),
    "minimum": Sample(binary(distinct, between)),
    "clip": Sample(clipped, analytic=False),
    "where": Sample(conditional),
    "tanh": Sample(unary(real)),
    "sigmoid": Sample(unary(real)),
    "relu": Sample(unary(distinct)),
    "cast": Sample(lambda rng, shape: ([real(rng, shape)], {"dtype": np.dtype(np.float64)}), analytic=False),
    "identity": Sample(unary(real)),
    "sum": Sample(reduction(real)),
    "mean": Sample(reduction(real, full=True)),
    "var": Sample(variance, analytic=False),
    "max": Sample(reduction(distinct, full=True)),
    "min": Sample(reduction(distinct, full=True)),
    "logsumexp": Sample(reduction(real, full=True)),
    "softmax": Sample(
        lambda rng, shape: ([real(rng, filled(shape, 1))], {"axis": some_axes(rng, filled(shape, 1))})
    ),
    "reshape": Sample(reshaped),
    "transpose": Sample(transposed),
    "expand_dims": Sample(expanded),
    "squeeze": Sample(squeezed),
    "broadcast_to": Sample(stretched),
    "concatenate": Sample(concatenated),
    "stack": Sample(stacked),
    "split_at": Sample(cut_up),
    "getitem": Sample(indexed),
    "scatter": Sample(scattered),
    "matmul": Sample(matrices),
    "einsum": Sample(summed_products),
    "lstm": Sample(sequences(states=2, gates=4)),
    "gru": Sample(sequences(states=1, gates=3)),
}


# --- layers -------------------------------------------------------------------------------------------


def with_weights(layer: nn.Layer, call: Callable[..., Tensor], *inputs: np.ndarray) -> FunctionAndPoint:
    """A layer as a function of inputs and of all of its weights, and a point: the weights that it has."""
    names = list(layer.named_tensors().keys())

    def f(*tensors: Tensor) -> Tensor:
        for name, tensor in zip(names, tensors[len(inputs) :], strict=True):
            *path, attribute = name.split(".")
            owner: Any = layer
            for part in path:
                owner = getattr(owner, part)
            setattr(owner, attribute, tensor)
        return call(*tensors[: len(inputs)])

    return f, [*inputs, *layer.state_dict().values()]


def linear(rng: Rng) -> FunctionAndPoint:
    layer = nn.Linear(3, 2, bias=rng.random() < 0.8, rng=rng, dtype=np.float64)
    return with_weights(layer, layer, real(rng, (*rng.integers(0, 4, rng.integers(0, 3)), 3)))


def embedding(rng: Rng) -> FunctionAndPoint:
    layer = nn.Embedding(4, 3, rng=rng, dtype=np.float64)
    indices = rng.integers(0, 4, (2, 5))
    return with_weights(layer, lambda: layer(indices))


def dropout(rng: Rng) -> FunctionAndPoint:
    layer = nn.Dropout(0.4, rng=rng)
    seed = int(rng.integers(2**32))

    def call(x: Tensor) -> Tensor:
        layer.rng = np.random.default_rng(seed)  # the same mask every time
        dropped: Tensor = layer(x)
        return dropped * x

    return with_weights(layer, call, real(rng, (3, 4)))


def sequential(rng: Rng) -> FunctionAndPoint:
    first, last = (nn.Linear(n, m, rng=rng, dtype=np.float64) for n, m in ((3, 4), (4, 2)))
    layer = nn.Sequential(first, np.tanh, last)
    return with_weights(layer, layer, real(rng, (2, 3)))


def lstm_cell(rng: Rng) -> FunctionAndPoint:
    layer = nn.LSTMCell(3, 2, rng=rng, dtype=np.float64)

    def call(x: Tensor, h: Tensor, c: Tensor) -> Tensor:
        return concatenate(*layer(x, (h, c)))

    return with_weights(layer, call, real(rng, (4, 3)), real(rng, (4, 2)), real(rng, (4, 2)))


def recurrent(kind: type[nn.LSTM] | type[nn.GRU], rng: Rng) -> FunctionAndPoint:
    """Of one or two layers, in one or both directions, fused or not, with lengths from 0."""
    layers, both, fused = int(rng.integers(1, 3)), bool(rng.random() < 0.5), bool(rng.random() < 0.5)
    layer: Any = kind(2, 2, num_layers=layers, bidirectional=both, fused=fused, rng=rng, dtype=np.float64)
    time = int(rng.integers(1, 5))
    lengths = rng.integers(0, time + 1, 3)
    states = [real(rng, (layers * (1 + both), 3, 2)) for _ in range(layer.states)]

    def call(x: Tensor, *initial: Tensor) -> Tensor:
        state: Any = initial if layer.states > 1 else initial[0]
        output, last = layer(x, state, lengths)
        return concatenate_outputs((output, *last) if layer.states > 1 else (output, last))

    return with_weights(layer, call, real(rng, (3, time, 2)), *states)


LAYERS: dict[str, Callable[[Rng], FunctionAndPoint]] = {
    "Linear": linear,
    "Embedding": embedding,
    "Dropout": dropout,
    "Sequential": sequential,
    "LSTMCell": lstm_cell,
    "LSTM": partial(recurrent, nn.LSTM),
    "GRU": partial(recurrent, nn.GRU),
}


# --- losses -------------------------------------------------------------------------------------------


def loss_reduction(rng: Rng) -> functional.Reduction:
    choices: tuple[functional.Reduction, ...] = ("mean", "sum", "none")
    return choices[rng.integers(3)]


def bce(rng: Rng) -> FunctionAndPoint:
    z, y, reduction = 3 * real(rng, (4, 2)), rng.random((4, 2)), loss_reduction(rng)
    return lambda z: functional.binary_cross_entropy_with_logits(z, y, reduction), [z]


def cross_entropy(rng: Rng) -> FunctionAndPoint:
    z, target, reduction = 3 * real(rng, (4, 3)), rng.integers(0, 3, 4), loss_reduction(rng)
    return lambda z: functional.cross_entropy(z, target, reduction), [z]


def mse(rng: Rng) -> FunctionAndPoint:
    x, y, reduction = real(rng, (4, 2)), real(rng, (4, 2)), loss_reduction(rng)
    return lambda x: functional.mse_loss(x, y, reduction), [x]


LOSSES: dict[str, Callable[[Rng], FunctionAndPoint]] = {
    "binary_cross_entropy_with_logits": bce,
    "cross_entropy": cross_entropy,
    "mse_loss": mse,
}


# --- optimizers ---------------------------------------------------------------------------------------


def sgd_rule(p: float, gradients: Sequence[float], lr: float) -> float:
    v = 0.0
    for g in gradients:
        v = 0.9 * v + (g + 0.1 * p)
        p = p - lr * v
    return p


def rmsprop_rule(p: float, gradients: Sequence[float], lr: float) -> float:
    s = 0.0
    for g in gradients:
        s = 0.99 * s + 0.01 * g**2
        p = p - lr * g / (s**0.5 + 1e-8)
    return p


def adam_rule(p: float, gradients: Sequence[float], lr: float) -> float:
    """The published sums, written out: m_t = 0.1 sum 0.9^(t-k) g_k, and s_t likewise."""
    seen: list[float] = []
    for t, g in enumerate(gradients, 1):
        seen.append(g)
        m = sum(0.1 * 0.9 ** (t - k) * g for k, g in enumerate(seen, 1))
        s = sum(0.001 * 0.999 ** (t - k) * g**2 for k, g in enumerate(seen, 1))
        p = p - lr * (m / (1 - 0.9**t)) / ((s / (1 - 0.999**t)) ** 0.5 + 1e-8)
    return p


def adamw_rule(p: float, gradients: Sequence[float], lr: float) -> float:
    for t in range(len(gradients)):
        step = adam_rule(0.0, gradients[: t + 1], lr) - adam_rule(0.0, gradients[:t], lr)
        p = p * (1 - lr * 0.05) + step
    return p


OPTIMIZERS: dict[str, tuple[Callable[..., optim.Optimizer], Callable[..., float]]] = {
    "SGD": (lambda p, lr: optim.SGD(p, lr, momentum=0.9, weight_decay=0.1), sgd_rule),
    "RMSprop": (optim.RMSprop, rmsprop_rule),
    "Adam": (optim.Adam, adam_rule),
    "AdamW": (lambda p, lr: optim.AdamW(p, lr, weight_decay=0.05), adamw_rule),
}


def updates(name: str, rng: Rng) -> float:
    """Some steps of an optimizer against its published rule, number by number; the relative error."""
    make, rule = OPTIMIZERS[name]
    start, lr = real(rng, (3,)), float(rng.uniform(0.001, 0.1))
    gradients = real(rng, (int(rng.integers(1, 6)), 3))
    p = Tensor(start, requires_grad=True)
    optimizer = make([p], lr)
    for g in gradients:
        p.grad = g
        optimizer.step()
    expected = np.array([rule(float(x), gradients[:, i].tolist(), lr) for i, x in enumerate(start)])
    error = float(np.abs(p.data - expected).max() / np.abs(expected).max())
    assert error <= 1e-12, f"the update is {p.data}, and should be {expected}"
    return error


# --- all of them --------------------------------------------------------------------------------------


def concatenate_outputs(out: Tensor | tuple[Tensor, ...]) -> Tensor:
    """Several outputs as one, each flattened; a single one as it is."""
    return concatenate(*(part.reshape(-1) for part in out)) if isinstance(out, tuple) else out


def has_several_outputs(name: str) -> bool:
    arrays, static = SAMPLES[name].draw(np.random.default_rng(0), (2, 3))
    return isinstance(tape.PRIMITIVES[name](*arrays, **static), tuple)


def function_of_floats(
    name: str, arrays: Sequence[np.ndarray], static: dict[str, Any], outputs: slice = slice(None)
) -> FunctionAndPoint:
    """A primitive as a function of its floating-point arrays alone, and those arrays.

    Of several outputs, those in the slice are joined into one.
    """
    is_float = [x.dtype.kind == "f" for x in arrays]

    def f(*floats: Any) -> Tensor:
        rest = iter(floats)
        given = [next(rest) if real else x for real, x in zip(is_float, arrays, strict=True)]
        out: Any = tape.PRIMITIVES[name](*given, **static)
        return concatenate_outputs(out[outputs] if isinstance(out, tuple) else out)

    return f, [x for x, real in zip(arrays, is_float, strict=True) if real]


def trials() -> Iterator[tuple[str, str, Callable[[Rng], float]]]:
    """Kind, name and trial of everything: a trial draws a case, checks it, and returns its relative error."""

    def primitive(name: str, rng: Rng) -> float:
        shape = tuple(int(n) for n in rng.integers(0, 4, rng.integers(0, 4)))
        f, point = function_of_floats(name, *SAMPLES[name].draw(rng, shape))
        return max(gradcheck(f, point, rng, SAMPLES[name].analytic), gradgradcheck(f, point, rng))

    def function(rows: dict[str, Callable[[Rng], FunctionAndPoint]], name: str, rng: Rng) -> float:
        return gradcheck(*rows[name](rng), rng)

    for name in SAMPLES:
        yield "primitive", name, partial(primitive, name)
    for kind, rows in (("layer", LAYERS), ("loss", LOSSES)):
        for name in rows:
            yield kind, name, partial(function, rows, name)
    for name in OPTIMIZERS:
        yield "optimizer", name, partial(updates, name)
