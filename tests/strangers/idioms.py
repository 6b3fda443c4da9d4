"""Idioms: one short loss each, in the ways in which NumPy is written, to see what is recorded and what is not.

Each takes w (3,), W (4, 3) and x (2, 4), all positive numbers. Its gradient is by extrapolated differences.
"""

import collections
import copy
import functools
import itertools
import math
import operator
from collections import defaultdict, deque, namedtuple
from dataclasses import dataclass, field
from functools import reduce

import numpy
import numpy as np
import numpy.linalg as la
from numpy import dot, exp, newaxis, tanh

from tests.strangers import mathutil
from tests.strangers.mathutil import sigmoid, sigmoid_by_sign, softmax, softmax_

IDIOMS = []
SCALE = np.array([1.0, 2.0, 3.0])
BUFFER = np.zeros(3)
CONFIG = {"act": np.tanh, "init": np.ones((2, 3)), "sizes": [4, 3]}
ACTIVATIONS = {"tanh": np.tanh, "sigmoid": sigmoid, "relu": lambda z: np.maximum(z, 0)}
square = lambda a: a * a
half = functools.partial(np.multiply, 0.5)


def idiom(f):
    IDIOMS.append(f)
    return f


# --- buffers and places ---


@idiom
def rows_of_zeros(w, W, x):
    h = np.zeros((3, 3))
    for t in range(3):
        h[t] = np.tanh(w * (h[t - 1] if t else 1))
    return h.sum()


@idiom
def empty_and_columns(w, W, x):
    h = np.empty((3, 2))
    h[:, 0] = w
    h[:, 1] = w**2
    return (h * h).sum()


@idiom
def zeros_like_a_weight(w, W, x):
    h = np.zeros_like(w)
    h += np.tanh(w)
    h *= w
    h -= 1
    h /= 2
    h **= 2
    return np.sum(h)


@idiom
def elements(w, W, x):
    h = np.zeros(3)
    for i in range(len(w)):
        for j in range(i + 1):
            h[i] += w[i] * w[j]
    return h.sum() * h[1]


@idiom
def ellipsis_and_full(w, W, x):
    h = np.full((2, 3), 0.5)
    h[...] = w
    h[..., 1] = 2 * w[1]
    h[-1, ::2] += w[::2]
    return np.prod(h)


@idiom
def mask_written(w, W, x):
    z = x @ W - 1
    z[z < 0] = 0
    z[z > 1] *= 0.5
    return z.sum() + (z**2).sum()


@idiom
def mask_read(w, W, x):
    z = x @ W
    return z[z > z.mean()].sum()


@idiom
def fancy_written(w, W, x):
    h = np.zeros((5, 3))
    h[[0, 2, 4]] = W[:3]
    h[np.arange(3), [0, 1, 2]] = w
    return (h**3).sum()


@idiom
def view_written(w, W, x):
    h = np.zeros((2, 3))
    first = h[0]
    first[:] = w
    first += 1
    return (h**2).sum()


@idiom
def view_of_reshape(w, W, x):
    h = np.zeros(6)
    grid = h.reshape(2, 3)
    grid[1] = w
    return (h * np.arange(6)).sum() + h[3] ** 2


@idiom
def transposed_view(w, W, x):
    h = np.zeros((3, 2))
    h.T[0] = w
    return (h[:, 0] ** 2).sum()


@idiom
def out_keyword(w, W, x):
    h = np.empty(3)
    np.tanh(w, out=h)
    np.multiply(h, w, out=h)
    np.add(h, 1.0, h)
    return h.sum()


@idiom
def dot_out(w, W, x):
    h = np.empty((2, 3))
    np.dot(x, W, out=h)
    np.matmul(x, W, out=h)
    return np.square(h).sum()


@idiom
def buffer_used_again(w, W, x):
    h = np.zeros(3)
    states = []
    for _ in range(3):
        h[:] = np.tanh(w + h)
        states.append(h.copy())
    return sum((s * s).sum() for s in states)


@idiom
def copyto_and_fill(w, W, x):
    h = np.empty(3)
    h.fill(1.0)
    np.copyto(h, w * h)
    return (h * h).sum()


@idiom
def where_keyword(w, W, x):
    h = np.zeros(3)
    np.divide(1.0, w, out=h, where=w > 0.5)
    return h.sum()


@idiom
def add_at(w, W, x):
    h = np.zeros(2)
    np.add.at(h, [0, 1, 0], w)
    return (h**2).sum()


@idiom
def row_swapped(w, W, x):
    h = W.copy()
    h[[0, 1]] = h[[1, 0]]
    h[2], h[3] = h[3].copy(), h[2].copy()
    return (h * np.arange(12).reshape(4, 3)).sum() + (h[0] ** 2).sum()


@idiom
def sum_into_a_slice(w, W, x):
    h = np.ones((2, 6))
    h[:, :3] += x @ W
    h[:, 3:] -= h[:, :3] * w
    return (h**2).sum()


@idiom
def aliases(w, W, x):
    h = w
    h = h + 0
    g = h
    g *= 2
    return (h * w).sum()


@idiom
def the_input_itself(w, W, x):
    w -= w.max()
    return (np.exp(w) * SCALE).sum()


@idiom
def last_row_is_before_the_first(w, W, x):
    h = np.zeros((4, 3))
    h[-1] = 0.1
    for t in range(3):
        h[t] = np.tanh(h[t - 1] * w + w)
    return h[2].sum()


@idiom
def object_array(w, W, x):
    h = np.empty(3, dtype=object)
    for t in range(3):
        h[t] = w * t
    return sum(v.sum() for v in h)


# --- lists, dicts, tuples and loops ---


@idiom
def dict_from_minus_one(w, W, x):
    h = {-1: np.zeros(3)}
    for t in range(3):
        h[t] = np.tanh(h[t - 1] + w)
    return sum(h[t].sum() for t in range(3))


@idiom
def list_to_array(w, W, x):
    states = [w * k for k in range(3)]
    return (np.array(states) ** 2).sum() + (np.asarray(states)[1]).sum()


@idiom
def array_of_scalars(w, W, x):
    return np.prod(np.array([w[0], w[1] * w[2], 2.0]))


@idiom
def nested_array_of_scalars(w, W, x):
    R = np.array([[np.cos(w[0]), -np.sin(w[0])], [np.sin(w[0]), np.cos(w[0])]])
    return (R @ w[1:]).sum()


@idiom
def default_dict(w, W, x):
    cache = defaultdict(list)
    for t in range(3):
        cache["h"].append(np.tanh(t * w))
    return np.sum(cache["h"])


@idiom
def queue(w, W, x):
    h = deque([w, w], maxlen=2)
    for _ in range(3):
        h.append(h[0] * h[1])
    return h[-1].sum()


@idiom
def named_tuple(w, W, x):
    State = namedtuple("State", "h c")
    s = State(w, w * w)
    s = s._replace(h=s.c * s.h)
    return (s.h + s.c).sum()


@idiom
def zip_enumerate_reversed(w, W, x):
    total = 0
    for i, (a, b) in enumerate(zip(W, reversed(W))):
        total += i * (a * b).sum()
    return total


@idiom
def reduced(w, W, x):
    return reduce(operator.mul, w) + reduce(lambda a, b: a + b.sum(), W, 0.0)


@idiom
def mapped(w, W, x):
    return sum(map(lambda v: v**2, w)) + max(w) * min(w) + abs(-w[0])


@idiom
def sorted_list(w, W, x):
    a, b, c = sorted(w)
    return a + 2 * b + 3 * c


@idiom
def comprehension_of_rows(w, W, x):
    return np.sum([np.dot(row, w) ** 2 for row in W])


@idiom
def accumulated(w, W, x):
    return list(itertools.accumulate(w, lambda a, b: a * b + 1))[-1]


@idiom
def walrus_and_while(w, W, x):
    total, k = 0.0, 0
    while (k := k + 1) < 4:
        total = total * w[0] + w[1]
    return total


@idiom
def star_arguments(w, W, x):
    def add(*parts, **named):
        return sum(parts) + sum(named.values())

    return add(*w, last=w[0] * w[1])


@idiom
def deep_copied(w, W, x):
    p = copy.deepcopy({"w": w, "list": [W]})
    p["w"] = p["w"] * 2
    return (p["list"][0] @ p["w"]).sum()


@idiom
def condition_on_a_value(w, W, x):
    return (w**2).sum() if w[0] > 0 and w.sum() > 0.1 else 0.0 * w.sum()


# --- scalars and plain Python ---


@idiom
def math_functions(w, W, x):
    return math.tanh(w[0]) + math.exp(-w[1]) * math.sqrt(w[2]) + math.log(w[0]) + math.pow(w[1], 2)


@idiom
def to_float(w, W, x):
    return float(w[0]) ** 2 + float(np.sum(w))


@idiom
def items(w, W, x):
    return w[0].item() * w.item(1) + w.sum().item()


@idiom
def to_list(w, W, x):
    return sum(v * v for v in w.tolist()) + W.tolist()[1][2]


@idiom
def loss_of_one_element(w, W, x):
    return (x[:1] @ W @ w[:, None]) ** 2


@idiom
def python_powers(w, W, x):
    return pow(w[0], 3) + w[1] ** 0.5 + 2.0 ** w[2] + (-w[0]) ** 2 + w[0] // 100


@idiom
def added_to_int(w, W, x):
    loss = 0
    for v in w:
        loss += v
    loss /= len(w)
    return loss


@idiom
def printed(w, W, x):
    loss = (w**2).sum()
    text = f"loss {loss:.4f} %g {w}" % loss + str(w) + repr(loss)
    return loss if text else 0


@idiom
def asserted(w, W, x):
    z = x @ W
    assert z.shape == (2, 3)
    assert z.dtype == np.float64
    assert isinstance(z, np.ndarray)
    assert isinstance(z[0, 0], (float, np.floating))
    assert not np.isnan(z).any()
    assert np.isfinite(z).all()
    assert np.issubdtype(z.dtype, np.floating)
    assert z.ndim == 2
    assert z.size == len(z) * z.shape[-1]
    np.testing.assert_array_equal(z, z)
    return z.sum()


@idiom
def warnings_off(w, W, x):
    with np.errstate(divide="ignore", over="ignore"):
        return np.log(w).sum()


@idiom
def shape_of_things(w, W, x):
    n, m = W.shape
    z = np.zeros((n, m), dtype=W.dtype) + np.ones(np.shape(W)) * W
    return z.sum() / np.size(W) / np.ndim(W) * W.shape[0]


# --- shapes ---


@idiom
def stacks(w, W, x):
    v = np.vstack((w, 2 * w))
    h = np.hstack([w, w**2])
    s = np.stack([w, w], axis=1)
    c = np.column_stack([w, w * 3])
    d = np.dstack([W, W])
    return v.sum() + h.prod() + (s * c).sum() + d.sum()


@idiom
def concatenations(w, W, x):
    z = np.concatenate([x, x @ W], axis=1)
    z = np.append(z, z, axis=0)
    return (z**2).sum() + np.append(w, 1.0).prod()


@idiom
def r_and_c(w, W, x):
    return (np.r_[w, 1.0, w] ** 2).sum() + (np.c_[w, w] ** 2).sum()


@idiom
def bias_column(w, W, x):
    ones = np.ones((x.shape[0], 1))
    return (np.hstack((ones, x @ W)) @ np.concatenate(([1.0], w))).sum()


@idiom
def splits(w, W, x):
    a, b = np.split(W, 2)
    c, d, e = np.hsplit(W, 3)
    f, g = np.array_split(w, 2)
    return (a * b).sum() + (c * d * e).sum() + f.sum() * g.sum()


@idiom
def reshapes(w, W, x):
    return (
        (W.reshape(-1, 2).T.ravel() * np.arange(12)).sum()
        + W.flatten()[3]
        + np.reshape(W, (2, 6))[1, 2]
        + W.reshape((3, 4)).squeeze().swapaxes(0, 1).transpose()[0, 0]
    )


@idiom
def new_axes(w, W, x):
    outer = w[:, None] * w[None, :] + w[newaxis].T + np.expand_dims(w, 1) + np.atleast_2d(w)
    return (outer**2).sum()


@idiom
def tiles(w, W, x):
    return (np.tile(w, (2, 2)) ** 2).sum() + np.repeat(w, 2)[1] + np.broadcast_to(w, (4, 3)).sum()


@idiom
def flips_and_rolls(w, W, x):
    return (np.flip(W, 0) * W[::-1, ::-1]).sum() + (np.roll(w, 1) * w).sum() + np.flipud(W)[0, 0]


@idiom
def axes_moved(w, W, x):
    z = np.einsum("ij,jk->ijk", x, W)
    return (
        (np.moveaxis(z, 0, -1)[0, 0] ** 2).sum()
        + np.rollaxis(z, 2)[0].sum()
        + np.transpose(z, (2, 0, 1))[1].sum()
    )


@idiom
def padded(w, W, x):
    return (np.pad(w, (1, 1)) * np.arange(5)).sum() + np.insert(w, 0, 1.0).prod() + np.delete(w, 0).prod()


@idiom
def flat(w, W, x):
    h = np.zeros((2, 2))
    h.flat[1] = w[0]
    return W.flat[3] ** 2 + h.sum()


@idiom
def triangles(w, W, x):
    A = np.outer(w, w)
    return (
        np.tril(A).sum()
        + np.triu(A, 1).sum()
        + np.trace(A)
        + np.diag(A).prod()
        + np.diag(w).sum()
        + np.eye(3)[0] @ w
    )


@idiom
def meshes(w, W, x):
    a, b = np.meshgrid(w, w)
    return (a * b).sum() + W[np.ix_([0, 2], [1, 2])].sum()


# --- functions ---


@idiom
def products(w, W, x):
    return (
        np.dot(x, W).sum()
        + x.dot(W).dot(w).sum()
        + np.inner(w, w)
        + np.vdot(w, w)
        + np.outer(w, w).sum()
        + np.tensordot(x, W, axes=1).sum()
        + np.einsum("ij,jk,k->i", x, W, w).prod()
        + np.matmul(x, W)[0, 0]
        + np.kron(w, w).sum()
        + np.cross(w, SCALE).sum()
        + np.multiply.outer(w, w).sum()
    )


@idiom
def elementwise(w, W, x):
    z = np.exp(-w) + np.log(w) + np.sqrt(w) + np.square(w) + np.abs(w) + np.sin(w) * np.cos(w) + np.sign(w)
    z = (
        z
        + np.log1p(w)
        + np.expm1(w)
        + np.arctan(w)
        + np.sinh(w) / np.cosh(w)
        + np.reciprocal(w)
        + np.power(w, 3)
    )
    return z.sum() + np.logaddexp(w, 1).sum() + np.hypot(w, 1).sum() + np.log2(w).sum() + np.exp2(w).sum()


@idiom
def reductions(w, W, x):
    return (
        W.mean(0).prod()
        + W.max(axis=1).sum()
        + np.min(W)
        + W.std()
        + np.var(W, axis=0).sum()
        + np.cumsum(w)[1]
        + np.linalg.norm(w)
        + la.norm(W)
        + np.median(w)
        + np.average(w, weights=SCALE)
        + np.ptp(w)
        + np.amax(W)
        + np.add.reduce(w)
        + w.dot(w)
    )


@idiom
def choices(w, W, x):
    z = x @ W
    return (
        np.where(z > 1, z, 0.1 * z).sum()
        + np.maximum(0, z).sum()
        + np.clip(z, 0.5, 1.5).sum()
        + np.fmax(z, 1).sum()
        + (z * (z > 1)).sum()
        + z.clip(0).sum()
        + np.select([z > 2, z > 1], [z, z**2], 0.0).sum()
    )


@idiom
def piecewise(w, W, x):
    return np.piecewise(w, [w < 1, w >= 1], [lambda v: v**2, lambda v: v]).sum()


@idiom
def taken(w, W, x):
    labels = np.array([0, 2])
    p = softmax(x @ W)
    return (
        -np.log(p[np.arange(2), labels]).mean()
        - np.log(np.take_along_axis(p, labels[:, None], 1)).sum()
        + W.take([0, 1], axis=0).sum()
    )


@idiom
def largest(w, W, x):
    k = np.argmax(w)
    order = np.argsort(w)
    return (
        w[k] ** 2 + (w[order] * np.arange(3)).sum() + np.sort(w)[0] + W[np.argmax(W, axis=0), [0, 1, 2]].sum()
    )


@idiom
def one_hot_by_eye(w, W, x):
    return (np.eye(3)[[0, 2]] * np.log(softmax(x @ W))).sum() + W[[0, 0, 1]].sum()


@idiom
def sigmoids(w, W, x):
    return (
        sigmoid(w).sum()
        + sigmoid_by_sign(w - 1).sum()
        + mathutil.sigmoid_where(w).sum()
        + mathutil.sigmoid_tanh(w).sum()
    )


@idiom
def softmax_in_place(w, W, x):
    return (softmax_(x @ W) ** 2).sum()


@idiom
def other_names(w, W, x):
    return (
        exp(tanh(w)).sum()
        + dot(w, w)
        + numpy.sin(w).sum()
        + CONFIG["act"](w).sum()
        + half(w).sum()
        + square(w).sum()
    )


@idiom
def activation_by_name(w, W, x):
    return (
        sum(ACTIVATIONS[name](w - 1).sum() for name in ("tanh", "sigmoid", "relu"))
        + getattr(np, "tanh")(w).sum()
    )


@idiom
def vectorized(w, W, x):
    f = np.vectorize(lambda v: v * v if v > 0.5 else v)
    return f(w).sum()


@idiom
def along_axis(w, W, x):
    return np.apply_along_axis(lambda row: row / row.sum(), 1, W)[0, 0]


@idiom
def module_buffer(w, W, x):
    BUFFER[:] = w
    return (BUFFER * BUFFER).sum() + (CONFIG["init"] @ w).sum()


@idiom
def global_counted(w, W, x):
    global CALLS
    CALLS += 1
    return (w * w).sum()


CALLS = 0


@idiom
def solved(w, W, x):
    A = np.outer(w, w) + np.eye(3)
    return np.linalg.solve(A, w).sum() + np.linalg.inv(A)[0, 1] + np.linalg.det(A) + np.trace(A @ A)


@idiom
def differences(w, W, x):
    return (
        (np.diff(W, axis=0) ** 2).sum()
        + np.convolve(w, [0.5, 0.5]).prod()
        + np.correlate(w, w).sum()
        + np.cumprod(w).sum()
    )


@idiom
def seeded_dropout(w, W, x):
    np.random.seed(3)
    mask = np.random.rand(3) < 0.7
    rng = np.random.RandomState(0)
    other = np.random.default_rng(0).random(3)
    return (w * mask * other).sum() + (rng.randn(3) * w).sum()


@idiom
def iterated(w, W, x):
    total = 0.0
    for (i, j), v in np.ndenumerate(W):
        total += v * w[j] ** i
    for i, j in np.ndindex(2, 3):
        total += W[i, j]
    return total


@idiom
def from_iter(w, W, x):
    return np.fromiter((v * v for v in w), dtype=float).sum()


@idiom
def types_of_numbers(w, W, x):
    h = np.zeros(3, dtype=np.float64) + np.array(w, dtype=float) + w.astype(np.float64) + w.astype("float64")
    mask = (w > 1).astype(float) + np.float64(2)
    return (
        (h * mask).sum()
        + np.asarray(w, float).sum()
        + np.ascontiguousarray(W).sum()
        + np.array(w, copy=True, ndmin=2).sum()
    )


@idiom
def infinities(w, W, x):
    s = np.outer(w, w)
    s[np.triu_indices(3, 1)] = -np.inf
    return (softmax(s) ** 2).sum()


@idiom
def nan_sums(w, W, x):
    return np.nansum(w) + np.nan_to_num(w).sum() + np.sum(w, where=w > 0.5)


@idiom
def complex_numbers(w, W, x):
    return np.abs(w[0] + 1j * w[1]) + np.real(np.exp(1j * w[2]))


@idiom
def matrices(w, W, x):
    return np.sum(np.asmatrix(W) * np.asmatrix(w).T)


@idiom
def fourier(w, W, x):
    return np.abs(np.fft.fft(w)[1]) ** 2


@idiom
def bytes_and_back(w, W, x):
    return (np.frombuffer(w.tobytes()) ** 2).sum()


@idiom
def strided(w, W, x):
    windows = np.lib.stride_tricks.sliding_window_view(w, 2)
    return (windows[:, 0] * windows[:, 1]).sum()


# --- functions and classes ---


def make_cell(scale):
    total = np.zeros(3)

    def cell(w, h):
        nonlocal total
        total = total * 0 + h
        return np.tanh(w * scale + total)

    return cell


@idiom
def closure(w, W, x):
    cell = make_cell(0.5)
    h = np.zeros(3)
    for _ in range(3):
        h = cell(w, h)
    return h.sum()


def recursive(w, n):
    return w if n == 0 else np.tanh(w * recursive(w, n - 1))


@idiom
def recursion(w, W, x):
    return recursive(w, 4).sum()


def with_default(w, scale=SCALE, *, power=2):
    return (w * scale) ** power


@idiom
def defaults(w, W, x):
    return with_default(w).sum() + with_default(w, power=3).sum()


@mathutil.counted
def decorated_square(v):
    return v * v


@idiom
def decorated(w, W, x):
    return decorated_square(w).sum()


@functools.lru_cache
def table(n):
    return np.arange(n) + 1.0


@idiom
def cached_table(w, W, x):
    return (table(3) * w).sum()


def generator(w):
    h = np.zeros(3)
    for _ in range(3):
        h = np.tanh(w + h)
        yield h


@idiom
def yields(w, W, x):
    return sum(h.sum() for h in generator(w)) + next(generator(w))[0]


class Base:
    activation = staticmethod(np.tanh)
    bias = np.full(3, 0.1)

    def __init__(self, w):
        self.w = w
        self.history = []

    @property
    def double(self):
        return 2 * self.w

    @classmethod
    def of(cls, w):
        return cls(w)

    def __call__(self, h):
        return self.activation(self.w * h + self.bias)


class Cell(Base):
    def __init__(self, w, steps=2):
        super().__init__(w)
        self.steps = steps

    def __call__(self, h):
        for _ in range(self.steps):
            h = super().__call__(h)
            self.history.append(h)
        self.h = h
        return h

    def __len__(self):
        return self.steps


@idiom
def inheritance(w, W, x):
    cell = Cell(w)
    return cell(np.ones(3)).sum() + Cell.of(w).double.sum() + cell.history[0].sum() + len(cell) * cell.h[0]


@dataclass
class Parameters:
    w: np.ndarray
    cache: dict = field(default_factory=dict)

    def norm(self):
        self.cache["n"] = np.sqrt((self.w**2).sum())
        return self.cache["n"]


@idiom
def data_class(w, W, x):
    return Parameters(w).norm()


class Slotted:
    __slots__ = ("w",)

    def __init__(self, w):
        self.w = w

    def __getitem__(self, i):
        return self.w[i]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None


@idiom
def slots_and_with(w, W, x):
    with Slotted(w) as s:
        return s[0] * s[1]


@idiom
def local_class(w, W, x):
    class Gate:
        def __init__(self, W):
            self.W = W

        def forward(self, x):
            self.out = 1 / (1 + np.exp(-x.dot(self.W)))
            return self.out

    gates = {k: Gate(W * (i + 1)) for i, k in enumerate("ifo")}
    for gate in gates.values():
        gate.forward(x)
    return gates["i"].out.sum() * gates["f"].out.sum() - gates["o"].out.mean()


@idiom
def ordered(w, W, x):
    layers = collections.OrderedDict(a=w, b=2 * w)
    out = 1.0
    for name in layers:
        out = out * layers[name]
    return out.sum()


@idiom
def tried_and_caught(w, W, x):
    try:
        np.linalg.cholesky(-np.outer(w, w))
    except np.linalg.LinAlgError:
        return (w * w).sum()
    return 0.0


@idiom
def attributes_set_by_name(w, W, x):
    class Net:
        pass

    net = Net()
    for name, value in zip("abc", w):
        setattr(net, name, value)
    net.__dict__.update(d=w[0])
    return net.a * net.b + vars(net)["c"] + getattr(net, "d") + (hasattr(net, "e") and 1)


@idiom
def global_state_imported_inside(w, W, x):
    import numpy as inside
    from numpy.linalg import norm

    return inside.tanh(w).sum() + norm(w)
