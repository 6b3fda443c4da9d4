"""Code of every form that Python has, each a loss of w (3,), a few positive numbers: what has to be recorded."""

import abc
import contextlib
import copy
import dataclasses
import enum
import functools
import itertools
import json
import logging
import math
import operator
import os
import random
import time
import typing
from collections import OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import exp as mexp
from math import sqrt

import numpy
import numpy as np
import numpy.random as npr
import scipy
import scipy.special as sp
from numpy import dot, exp, ones, tanh, zeros
from numpy import linalg as la
from scipy.special import expit
from scipy.special import logsumexp as lse

import tests.strangers.mathutil as activations

CODE = []


SCALE = np.array([1.0, 2.0, 3.0])


def code(f):
    CODE.append(f)
    return f


@code
def with_import_inside(w):
    import numpy as q
    import numpy.linalg as l2
    import scipy.special
    from numpy import tanh as th

    return q.sum(th(w)) + l2.norm(w) + scipy.special.expit(w).sum()


@code
def scipys(w):
    return (
        expit(w).sum()
        + lse(w)
        + sp.softmax(w)[0]
        + sp.erf(w).sum()
        + scipy.special.log_softmax(w)[1]
        + sp.xlogy(w, w).sum()
        + sp.logsumexp(w, axis=0)
    )


@code
def maths(w):
    return (
        sum(
            math.exp(v) + sqrt(v) + math.tanh(v) + math.pow(v, 3) + math.log(v, 2) + math.log(v) + math.erf(v)
            for v in w
        )
        + math.fsum(w)
        + math.prod(w)
        + mexp(w[0])
    )


@code
def floats(w):
    return (
        float(w[0]) * float(w.sum())
        + w[1].item() ** 2
        + float(np.sum(w))
        + np.float64(w[2]) ** 3
        + float("2.5")
    )


@code
def tolist(w):
    return sum((a * b for a, b in zip(w.tolist(), list(w))))


@code
def onearg(w):
    s = 0.0
    for v in w:
        s += v**2
    s2 = s
    s2 += w[0]
    return s * s2


@code
def maxes(w):
    return (
        max(w) * min(w[0], w[1])
        + max(0, w[0])
        + abs(-w[1])
        + sorted(w)[0] * 3
        + np.max(w)
        + w.max()
        + np.maximum(w, 0.5).sum()
        + max(w.tolist())
    )


@code
def fmt(w):
    s = f"{w[0]:.3f} {w} %.2f %s %d" % (w[0], w, w[1])
    str(w)
    repr(w[0])
    "{:.2e}".format(w[0])
    "%f" % w[0]
    return w.sum()


@code
def ifs(w):
    t = 0.0
    if w[0] > 0.5 and w.sum() > 0:
        t = t + w[0]
    if not (w < 0).any():
        t = t * w[1]
    while t < 1:
        t = t + w[2]
    assert (
        isinstance(t, float)
        and isinstance(w, np.ndarray)
        and isinstance(w[0], np.floating)
        and np.isscalar(w[0])
    )
    if (
        w is not None
        and len(w) == 3
        and (w.ndim == 1)
        and (w.shape == (3,))
        and (w.dtype == np.float64)
        and (w.dtype == float)
    ):
        t = t * 2
    if type(w) == np.ndarray:
        t = t * 3
    if type(w[0]) == np.float64:
        t = t * 3
    return t


@code
def hashes(w):
    d = {}
    for i in np.arange(3):
        d[i] = w[i]
    d2 = {("W", 0): w}
    lut = set(np.array([1, 2, 3]))
    return d[0] * d[1] + d2["W", 0].sum() + len(lut) * w[0]


class Layer:
    count = 0
    scale = np.array([1.0, 2.0, 3.0])
    __slots__ = ("a", "b", "cache")

    def __init__(self, a):
        self.a = a
        self.b = np.zeros(3)
        Layer.count += 1
        self.cache = {}

    def __call__(self, x):
        self.b[:] = x * self.scale
        self.cache["x"] = x
        return self.b

    @staticmethod
    def s(x):
        return 1.0 / (1.0 + np.exp(-np.clip(x, -500, 500)))

    @classmethod
    def make(cls, a):
        return cls(a)

    @property
    def total(self):
        return self.b.sum()

    @functools.cached_property
    def foo(self):
        return 3


@code
def layers(w):
    l = Layer.make(2.0)
    y = l(w)
    z = Layer.s(y).sum() + l.total + l.cache["x"][0]
    return z


GL = Layer(1.0)


@code
def global_layer(w):
    GL(w)
    return GL.total + Layer.s(w).sum() + (GL.b**2).sum()


@dataclass
class Params:
    W: np.ndarray
    h: np.ndarray = field(default_factory=lambda: np.zeros(3))
    names: list = field(default_factory=list)


@code
def dataclasses_(w):
    p = Params(w)
    p.h += p.W
    p.names.append("a")
    q = dataclasses.replace(p, W=2 * w)
    return (p.h * q.W).sum()


PP = Params(np.array([1.0, 2.0, 3.0]))


@code
def dataclass_global(w):
    PP.h[:] = w * PP.W
    return (PP.h**2).sum()


class St(typing.NamedTuple):
    h: typing.Any
    c: typing.Any = 0.0


Nt = namedtuple("Nt", "a b")


@code
def nts(w):
    s = St(w, w * 2)
    t = Nt(*s)._replace(b=w**2)
    u, v = t
    return (s.h * t.b).sum() + (u + v).sum()


NTG = Nt(np.ones(3), np.zeros(3))


@code
def nt_global(w):
    NTG.b[1:] = w[1:]
    return (NTG.a * NTG.b * w).sum()


class Base(abc.ABC):
    @abc.abstractmethod
    def f(self, x): ...

    def g(self, x):
        return self.f(x) + 1


class Derived(Base):
    def f(self, x):
        return np.tanh(x)


@code
def abcs(w):
    try:
        Base()
        return 0 * w[0]
    except TypeError:
        d = Derived()
    assert isinstance(d, Base)
    return d.g(w).sum()


class Reg(type):
    reg = {}

    def __new__(m, n, b, d):
        c = super().__new__(m, n, b, d)
        Reg.reg[n] = c
        return c


class WithMeta(metaclass=Reg):
    def f(self, x):
        return np.sin(x)


@code
def metas(w):
    return WithMeta().f(w).sum() + Reg.reg["WithMeta"]().f(w).sum()


class Act(enum.Enum):
    T = 1
    S = 2


@code
def enums(w):
    a = Act.T
    return (np.tanh(w) if a is Act.T else w).sum()


def deco(f):

    @functools.wraps(f)
    def inner(*a, **k):
        return f(*a, **k) * 2

    return inner


@deco
def decorated(x):
    return np.cos(x)


@functools.lru_cache(None)
def table(n):
    return np.arange(n) / 2.0


@contextlib.contextmanager
def ctx(x):
    b = np.zeros(3)
    b[:] = x
    yield b


@code
def decos(w):
    with ctx(w) as b:
        t = b.sum()
    return decorated(w).sum() + (table(3) * w).sum() + t


def rec(x, n):
    return x if n == 0 else np.tanh(rec(x, n - 1) * w0)


w0 = 0.5


@code
def recursion(w):
    return rec(w, 4).sum()


def gen(x):
    for i in range(3):
        yield (x[i] * i)


@code
def gens(w):
    return (
        sum(gen(w))
        + sum(v for v in w)
        + np.sum([v * 2 for v in w])
        + np.sum(np.fromiter((v for v in w), float))
        + np.array(list(gen(w))).sum()
    )


@code
def closures(w):
    n = 0
    buf = np.zeros(3)

    def step(x):
        nonlocal n
        n += 1
        buf[n - 1] = x

        class Inner:
            k = np.tanh(0.5)

            def go(self):
                return np.exp(x) * self.k * w0

        return Inner().go()

    return sum(step(v) for v in w) + (buf**2).sum()


@code
def comps(w):
    return (
        np.sum({k: v for k, v in enumerate(w)}[1])
        + sum([np.sum(w * i) for i in range(3)])
        + functools.reduce(operator.mul, w)
        + functools.reduce(np.add, [w, w, w]).sum()
    )


counter = 0
hist = []


@code
def globals_written(w):
    global counter
    counter += 1
    hist.append(w)
    return counter * hist[-1].sum() + len(hist)


@code
def vecs(w):
    f = np.vectorize(lambda v: v**2 if v > 0.5 else v)
    g = np.vectorize(math.exp)
    return f(w).sum() + g(w).sum() + np.apply_along_axis(lambda r: r / r.sum(), 0, w)[0]


@np.vectorize
def vglob(v, k):
    return v * k if k > 1 else v


@code
def vecglob(w):
    return vglob(w, np.array([1, 2, 3])).sum() + vglob(w[:, None], np.array([1, 2])).sum()


@code
def dtypes(w):
    h = np.zeros(3, dtype="f")
    h[:] = w
    g = np.array(w, dtype=np.float32)
    k = w.astype(np.float32) * np.float32(2)
    m = np.zeros((3,), np.float16)
    m += w
    return (h * g * k * m).sum()


@code
def objarr(w):
    a = np.empty(2, dtype=object)
    a[0] = w
    a[1] = w * 2
    b = np.array([w, w * 3], dtype=object)
    return (a[0] * a[1]).sum()


@code
def dicts(w):
    p = {"W": w, "b": w * 2}
    q = OrderedDict(p)
    d = defaultdict(lambda: np.zeros(3))
    d["x"] += w
    dd = defaultdict(list)
    dd[1].append(w)
    dq = deque(maxlen=2)
    dq.append(w)
    dq.append(w * 2)
    c = {k: v.copy() for k, v in p.items()}
    c["W"] *= 3
    e = copy.deepcopy(p)
    e["W"] += 1
    f = dict(p)
    f.update(z=w)
    return (
        (q["b"] * d["x"]).sum()
        + dd[1][0].sum()
        + dq[0].sum() * dq[1][1]
        + c["W"].sum() * e["W"].sum()
        + f["z"].sum()
        + p["W"].sum()
    )


@code
def mods(w):
    return activations.sigmoid(w).sum() + numpy.tanh(w).sum() + la.norm(w)


@code
def outwhere(w):
    o = np.zeros(3)
    np.divide(w, w.sum(), out=o, where=w > 0.5)
    l = np.log(w, where=w > 0.5, out=np.zeros(3))
    np.exp(w, out=w)
    np.add(o, l, out=o)
    return o.sum() + w.sum()


@code
def ats(w):
    a = np.zeros(4)
    np.add.at(a, [0, 1, 0], w)
    np.subtract.at(a, [3], w[0])
    np.maximum.at(a, [2, 2], w[:2])
    np.multiply.at(a, [0], w[1])
    return (a**2).sum()


@code
def copies(w):
    b = np.empty_like(w)
    np.copyto(b, w)
    c = np.full(3, w[0])
    d = np.full_like(w, w[1])
    e = np.eye(3)
    np.fill_diagonal(e, w)
    f = np.diag(w)
    g = np.zeros(3)
    g.flat[1] = w[1]
    np.put(g, [0], w[0])
    np.copyto(g, w, where=w > 1)
    return (b * c * d).sum() + (e @ w).sum() + f.sum() + (g**2).sum() + np.ones_like(w) @ w


@code
def reduces(w):
    W = np.outer(w, w)
    return (
        np.add.reduce(W, axis=1).sum()
        + np.multiply.reduce(w)
        + np.add.reduce(W)[0]
        + np.maximum.reduce(w)
        + np.add.accumulate(w)[1]
        + np.multiply.accumulate(w)[2]
        + np.maximum.accumulate(w)[1]
        + np.add.outer(w, w).sum()
        + np.multiply.outer(w, W).sum()
        + np.logaddexp.reduce(w)
        + np.subtract.outer(w, w)[0, 1]
    )


@code
def lists_arr(w):
    return (
        np.array([[w[0], w[1]], [1.0, w[2]]]).sum() * np.array([w, w * 2])[1].sum()
        + np.asarray([w, np.ones(3)]).sum()
        + np.stack([w, w]).sum()
        + np.vstack((w, w)).sum()
        + np.concatenate([[w[0]], w, [1.0]]).sum()
        + np.mean([w[0], w[1]])
        + np.dot([w[0], 1.0], [2.0, w[1]])
        + np.hstack([w, w[0]]).sum()
    )


@code
def views(w):
    gates = np.tile(w, 4).reshape(4, 3)
    i, f, o, g = gates
    a, b = np.split(gates, 2)
    a *= 2
    i[:] = w**2
    f += o
    x = gates.T
    x[0] = 1.0
    gates.reshape(-1)[5] *= w[0]
    y = gates[:, None]
    y += 1
    gates.shape = (2, 6)
    return (gates**2).sum() + i.sum()


@code
def inplace_param(w):
    w *= 2
    v = w
    v += 1
    u = w[1:]
    u -= w[0]
    return (w**2).sum()


@code
def softmaxes(w):
    e = np.exp(w - np.max(w, axis=-1, keepdims=True))
    e /= e.sum()
    x = w.copy()
    x -= np.max(x)
    p = np.exp(x) / np.sum(np.exp(x))
    l = -np.log(p[1] + 1e-12)
    return (e**2).sum() + l - np.log(e[[0, 2]]).sum()


@code
def rngs(w):
    rng = np.random.default_rng(0)
    m = rng.random(3) < 0.7
    n = rng.standard_normal(3)
    n[0] = w[0]
    np.random.seed(1)
    k = np.random.randn(3)
    k *= w
    rs = np.random.RandomState(0)
    p = rs.permutation(3)
    u = rs.uniform(size=3)
    u += w
    random.random()
    return (
        (w * m / 0.7).sum()
        + (n * w).sum()
        + k.sum()
        + w[p][0]
        + u.sum()
        + (np.random.binomial(1, 0.5, size=3) * w).sum()
        + rng.choice(3) * w[1]
    )


@code
def bools(w):
    m = (w > 0.5).astype(float)
    m[0] = w[0]
    k = np.where(w > 0.5)[0]
    d = (w > 1) * 1.0
    z = w * (w > 0.5)
    n = np.nonzero(w > 0.5)
    y = (w > 0.5) / 2
    y[1] = w[1]
    q = np.array([1, 0, 1]) * 1.0
    q[1] = w[2]
    return (
        m.sum()
        + w[k].sum()
        + (d * w).sum()
        + z.sum()
        + w[n].sum()
        + y.sum()
        + q.sum()
        + (~(w > 1) * w).sum()
        + ((w > 0.5) & (w < 1)).sum() * w[0]
    )


@code
def onehots(w):
    y = np.array([0, 2])
    P = np.outer(w, w)
    oh = np.zeros((2, 3))
    oh[np.arange(2), y] = 1
    e = np.eye(3)[y]
    return (
        P[np.arange(2), y].sum()
        + (oh * P[:2]).sum()
        + (e @ w).sum()
        + P[y].sum()
        + P[:, y].sum()
        + np.take(w, y).sum()
    )


@code
def attrs(w):
    W = np.outer(w, w)
    return (
        W.T.dot(w).sum()
        + W.mean(axis=0).sum()
        + W.std()
        + W.var(0).sum()
        + W.flatten()[2]
        + W.ravel()[3]
        + W.transpose(1, 0)[0].sum()
        + W.reshape(-1, 1).sum()
        + W.clip(0, 0.5).sum()
        + W.cumsum()[3]
        + W.argmax() * w[0]
        + W.trace()
        + W.diagonal().sum()
        + W.repeat(2, axis=0).sum()
        + W.squeeze().sum()
        + W.prod()
        + W.swapaxes(0, 1)[1].sum()
        + W.min()
        + W.max(axis=1).sum()
        + W.round(0).size * w[0]
    )


@code
def einsums(w):
    W = np.outer(w, w)
    return (
        np.einsum("ij,j->i", W, w).sum()
        + np.einsum("f->", w)
        + np.tensordot(W, W)
        + np.inner(w, w)
        + np.vdot(w, w)
        + np.kron(w, w).sum()
        + np.trace(W)
        + np.linalg.det(W + np.eye(3))
        + np.linalg.solve(W + np.eye(3), w).sum()
        + np.cross(w, w[::-1]).sum()
        + w @ W @ w
    )


@code
def nd(w):
    h = np.zeros((2, 3))
    for idx, v in np.ndenumerate(np.outer(w[:2], w)):
        h[idx] = v**2
    for i in np.ndindex(2, 3):
        h[i] += 1
    t = 0
    for v in np.nditer(h):
        t = t + v
    return h.sum() + t


@code
def bidir(w):
    T = 3
    H = 2
    x = np.outer(w, [1.0, 2.0])
    out = np.zeros((T, 2 * H))
    h = np.zeros(H)
    for t in range(T):
        h = np.tanh(x[t] + h)
        out[t, :H] = h
    h = np.zeros(H)
    for t in reversed(range(T)):
        h = np.tanh(x[t] - h)
        out[t, H:] = h
    return (out**2).sum()


@code
def batch_time(w):
    B, T, H = (2, 3, 3)
    h = np.zeros((B, T + 1, H))
    for t in range(T):
        h[:, t + 1, :] = np.tanh(h[:, t, :] * w + w)
    return (h[:, 1:] ** 2).sum() + h[:, -1, :].sum()


@code
def attr_dict(w):
    a = AttrDict(W=w)
    a.b = w * 2
    return (a.W * a.b).sum()


class AttrDict(dict):
    __getattr__ = dict.__getitem__
    __setattr__ = dict.__setitem__


AG = AttrDict(x=np.ones(3), f=np.tanh)


@code
def attr_dict_g(w):
    AG.x[0] = w[0]
    return AG.f(AG.x * w).sum()


class Sub(list):
    pass


@code
def sublist(w):
    s = Sub()
    s.append(w)
    s.append(w * 2)
    return sum(x.sum() for x in s)


@code
def partials(w):
    return (
        functools.partial(np.power, w)(2).sum()
        + functools.partial(np.sum, axis=0)(w)
        + operator.itemgetter(0)(w)
        + operator.matmul(w, w)
    )


@code
def tanh_written(w):
    return ((np.exp(w) - np.exp(-w)) / (np.exp(w) + np.exp(-w))).sum()


@code
def stable(w):
    z = w - 0.8
    out = np.empty_like(z)
    pos = z >= 0
    out[pos] = 1 / (1 + np.exp(-z[pos]))
    e = np.exp(z[~pos])
    out[~pos] = e / (1 + e)
    return (out * w).sum() + np.where(z > 0, 1 / (1 + np.exp(-z)), np.exp(z) / (1 + np.exp(z))).sum()


@code
def errstate(w):
    with np.errstate(all="ignore"):
        y = np.log(w)
    np.set_printoptions(precision=8)
    try:
        raise MyErr("x")
    except MyErr:
        y = y * 2
    return y.sum()


class MyErr(Exception):
    pass


@code
def matmul_inplace(w):
    A = np.eye(3)
    A[0] = w
    A = A @ A
    A[A < 0] = 0
    A[:, [0, 1]] += w[:, None]
    A[1:, 1:] = A[:-1, :-1]
    A[..., 0] **= 2
    return A.sum()


@code
def linsp(w):
    return (
        np.linspace(0, 1, 3) @ w
        + np.arange(3.0) @ w
        + np.arange(3) @ w
        + np.tri(3)[1] @ w
        + np.identity(3)[0] @ w
        + np.meshgrid(w, w)[0].sum()
        + np.triu(np.outer(w, w)).sum()
    )


@code
def percent(w):
    return (
        np.percentile(w, 50)
        + np.median(w)
        + np.average(w, weights=[1, 2, 3])
        + np.ptp(w)
        + np.cov(w, w)[0, 1]
        + np.sort(w)[0]
        + np.nanmax(w)
    )


@code
def isin(w):
    assert np.isfinite(w).all() and (not np.isnan(w).any()) and np.allclose(w, w) and np.array_equal(w, w)
    np.testing.assert_allclose(w, w)
    np.testing.assert_array_equal(w.shape, (3,))
    assert w[0] in w
    return w.sum() * np.sign(w[0]) * np.count_nonzero(w)


@code
def args_kwargs(w):

    def f(*a, k=np.ones(3), **kw):
        return (a[0] * k).sum() + kw["z"].sum()

    return f(w, z=w) + f(w, **{"z": w}) + f(*[w], k=w, z=w)


@code
def starred(w):
    a, *b = w
    first, *_, last = [w * 1, w * 2, w * 3]
    return a * b[0] + first[0] * last[1]


@code
def walrus(w):
    return (s := w.sum()) * s + (lambda x: x**2)(s)


@code
def kwonly_matmul(w):
    W = np.outer(w, w)
    h = np.zeros((3, 1))
    for t in range(3):
        h = np.tanh(np.dot(W, h) + w.reshape(3, 1))
    return h.T.dot(h)


@code
def loss1x1(w):
    return np.array([[w.sum()]])


@code
def scalars0d(w):
    loss = np.zeros(())
    loss += w.sum()
    l2 = np.array(0.0)
    l2 += w[0]
    l3 = np.zeros(1)
    l3 += w[1]
    a = np.float64(0)
    a += w[0]
    z = np.zeros((1, 1))
    z += w[2]
    t = loss
    t += 1
    B = np.block([[np.outer(w, w), w[:, None]], [w, np.ones(1)]])
    q = w.sum()
    q2 = q
    q2 += 1
    a = a + q + q2 + B.sum() ** 2
    return loss + l2 + l3[0] + a + z.item() + z[0, 0] + float(z[0, 0]) + loss.item()


@code
def str_keys(w):
    names = ["f", "i"]
    P = {"W" + n: w * k for k, n in enumerate(names, 1)}
    G = {k: np.zeros_like(v) for k, v in P.items()}
    for k in P:
        G[k] += P[k]
    return sum(np.sum(v * v) for v in G.values())


class Views:
    """Its last state is a view of its states, made beforehand."""

    def __init__(self):
        self.h = np.zeros((3, 4))
        self.last, self.turned = self.h[-1], self.h.T[::-1]
        self.activation = np.tanh


VIEWS = Views()


@code
def views_made_beforehand(w):
    net = copy.deepcopy(VIEWS)
    VIEWS.h[:, 0] = w
    VIEWS.h[2, 1:] = w**2
    return VIEWS.last.sum() + (VIEWS.turned[-1] ** 3).sum() + net.activation(w).sum()


"second probe: odder forms"


@code
def star_import(w):
    return sum(tanh(w)) + zeros(3) @ w + dot(w, ones(3)) + exp(w).max()


@code
def np_sum_gen(w):
    return (
        np.sum(np.array([x**2 for x in w]))
        + np.array([w]).sum()
        + np.array((w, w)).sum()
        + np.array(w[0]).sum()
    )


class Model:
    def __init__(self, n=3):
        self.params = {"W": np.ones((n, n)) * 0.3, "b": np.zeros(n)}
        for k, v in self.params.items():
            setattr(self, k, v)
        self.act = {"tanh": np.tanh, "sig": self._sig, "relu": lambda x: np.maximum(0, x)}
        self.h = None
        self.hs = []
        self.log = logging.getLogger("x")
        self.rng = np.random.RandomState(0)
        self.fn = self._step

    def _sig(self, x):
        return 0.5 * (1 + np.tanh(0.5 * x))

    def _step(self, x):
        self.h = self.act["tanh"](self.params["W"].dot(x) + self.b)
        self.hs += [self.h]
        return self.act["sig"](self.h) + self.act["relu"](self.h)

    def __getitem__(self, k):
        return self.params[k]

    def __len__(self):
        return 3

    def forward(self, x):
        for _ in range(2):
            x = self.fn(x)
        self.log.debug("x %s", x)
        return x.sum() + np.sum(self.hs[-1] ** 2) + self["b"].sum()


M = Model()


@code
def model(w):
    M.params["W"][0] = w
    return M.forward(w) + M.W.sum()


@code
def model_local(w):
    m = Model()
    m.params["W"] *= w
    m.b += w
    return m.forward(w) + (m.W**2).sum()


@code
def deep(w):
    m = copy.deepcopy(M)
    m.params["b"] = w
    return m.forward(w)


def outer_fn(scale):
    total = [0.0]

    def add(x):
        total[0] = total[0] + x * scale
        return total[0]

    return add


ADD = outer_fn(2.0)


@code
def closure_global(w):
    f = outer_fn(3.0)
    for v in w:
        f(v)
    return f(w[0]) ** 2


class Node:
    def __init__(s, v, children=()):
        s.v = v
        s.children = children
        s.parent = None

    def __add__(s, o):
        return Node(s.v + o.v, (s, o))

    def __mul__(s, o):
        return Node(s.v * o.v, (s, o))

    def __repr__(s):
        return "N"

    def __eq__(s, o):
        return s is o

    __hash__ = object.__hash__


@code
def own_autograd(w):
    a, b, c = [Node(v) for v in w]
    return ((a * b + c) * a).v


@code
def chained_cmp(w):
    r = 0
    for v in w:
        if 0 < v < 1:
            r += v * v
        elif v >= 1:
            r += 3 * v
    return r + (w[0] if w[0] > w[1] else w[1])


@code
def where3(w):
    return (
        np.where(w > 0.5, w, w * 0.01).sum()
        + np.select([w < 0.5, w < 1], [w, w**2], w**3).sum()
        + np.heaviside(w, 0) @ w
        + np.piecewise(w, [w < 1, w >= 1], [lambda x: x**2, lambda x: x]).sum()
    )


@code
def ce(w):
    p = np.exp(w) / np.exp(w).sum()
    y = np.array([0, 1, 0])
    yi = 1
    return (
        -np.sum(y * np.log(p))
        - np.log(p[yi])
        - np.log(p[np.argmax(y)])
        - np.log(p.reshape(1, -1)[range(1), [yi]]).mean()
        - np.sum(np.log(p[y == 1]))
        - (y * np.log(p) + (1 - y) * np.log(1 - p)).mean()
    )


@code
def layernorm(w):
    x = np.outer(w, w)
    mu = x.mean(-1, keepdims=True)
    var = ((x - mu) ** 2).mean(-1, keepdims=True)
    v2 = x.var(axis=-1, keepdims=True)
    s = np.std(x, axis=0)
    return (((x - mu) / np.sqrt(var + 1e-05)) ** 3).sum() + (x / np.sqrt(v2 + 1e-05)).sum() + s.sum()


@code
def attention(w):
    q = np.outer(w, w).reshape(1, 3, 3)
    k = q.transpose(0, 2, 1)
    s = q @ k / np.sqrt(3.0)
    m = np.triu(np.ones((3, 3)), k=1).astype(bool)
    s[:, m] = -1000000000.0
    s2 = np.where(m, -np.inf, q @ k)
    a = np.exp(s2 - s2.max(-1, keepdims=True))
    a /= a.sum(-1, keepdims=True)
    b = np.exp(s - np.max(s, axis=-1, keepdims=True))
    b = b / b.sum(axis=-1)[..., None]
    return (a @ q).sum() + np.einsum("bij,bjk->bik", b, q).sum() + np.matmul(a, q)[0, 1, 2]


@code
def heads(w):
    x = np.outer(w, np.ones(4)).reshape(1, 3, 4) * w[0]
    B, T, D = x.shape
    h = x.reshape(B, T, 2, D // 2).swapaxes(1, 2)
    y = h.transpose(0, 2, 1, 3).reshape(B, T, D)
    ls = np.split(x, 2, axis=-1)
    z = np.concatenate(ls, -1)
    return (y * z).sum() + sum(np.array_split(x, 2, axis=1)[0].ravel())


@code
def gru(w):
    H = 3
    Wz, Wr, Wh = (np.ones((3, 3)) * 0.1 * k for k in (1, 2, 3))
    hs = {-1: np.zeros(H)}
    xs = {0: w, 1: w * 2}
    for t in range(2):
        z = 1 / (1 + np.exp(-(Wz @ xs[t] + hs[t - 1])))
        r = 1 / (1 + np.exp(-(Wr @ xs[t] + hs[t - 1])))
        n = np.tanh(Wh @ xs[t] + r * hs[t - 1])
        hs[t] = (1 - z) * n + z * hs[t - 1]
    return np.sum(hs[1])


@code
def conv(w):
    x = np.outer(w, w)
    k = np.ones((2, 2)) * w[0]
    o = np.zeros((2, 2))
    for i in range(2):
        for j in range(2):
            o[i, j] = np.sum(x[i : i + 2, j : j + 2] * k)
    p = np.zeros((4, 4))
    p[1:-1, 1:-1][:2, :2] = o
    q = np.zeros((2, 2))
    for i in range(2):
        q[i] = p[i : i + 2].max(axis=0)[:2]
    return (o**2).sum() + p.sum() + q.sum()


@code
def intidx(w):
    ids = [0, 2]
    E = np.outer(w, w)
    tok = np.array(ids)
    emb = E[tok]
    emb2 = E[ids]
    e3 = np.zeros((2, 3))
    e3[np.arange(2)] = E[tok, :]
    cnt = np.zeros(3, dtype=int)
    cnt[tok] += 1
    np.add.at(cnt, [0], 2)
    return (emb * emb2).sum() + e3.sum() + (cnt * w).sum() + cnt.sum() * w[0] + len(tok)


@code
def bias_trick(w):
    X = np.c_[np.ones(3), np.arange(3.0)]
    Z = np.hstack((w.reshape(-1, 1), X))
    b = np.ones((1, 3))
    b[0, 1:] = w[1:]
    return (Z.T @ Z).sum() + (b @ Z).sum()


@code
def nested_state(w):
    S = [[None] * 2 for _ in range(2)]
    for l in range(2):
        for t in range(2):
            S[l][t] = np.tanh(w * (l + 1) + (S[l][t - 1] if t else 0))
    H = np.array(S)
    H2 = np.stack([np.stack(r) for r in S])
    H3 = np.asarray(S[1])
    return (H * H2).sum() + H3.sum() + H.shape[0] * w[0]


@code
def arr_none(w):
    c = np.empty((2,), dtype=object)
    c[0] = (w, w * 2)
    c[1] = {"h": w}
    return (c[0][0] * c[1]["h"]).sum()


@code
def time_json(w):
    t0 = time.time()
    os.environ.get("x")
    json.dumps({"a": 1})
    isinstance(w, Sequence)
    print("", end="")
    return w.sum()


@code
def property_set(w):
    p = Prop()
    p.x = w
    p.y = w * 2
    del p.y
    return p.x.sum() + Prop.K.sum() * w[0] + p.double[0]


class Prop:
    K = np.ones(2)

    @property
    def x(self):
        return self._x

    @x.setter
    def x(self, v):
        self._x = v * 2

    def __getattr__(self, n):
        if n == "double":
            return self._x * 2
        raise AttributeError(n)


@code
def class_in_fn(w):

    class A:
        W = np.ones(3)

        def __init__(self):
            self.h = zeros_(3)

        def f(self, x):
            self.h += x * self.W
            return super().__hash__() and self.h

    @functools.wraps(A)
    def mk():
        return A()

    return mk().f(w).sum()


def zeros_(n):
    return np.zeros(n)


@code
def rng_np(w):
    npr.seed(3)
    a = npr.rand(3)
    b = npr.normal(0, 1, 3)
    b *= w
    m = npr.uniform(size=w.shape) > 0.5
    return (
        (a * w).sum() + b.sum() + (w * m).sum() + np.random.default_rng(1).permutation(np.arange(3))[0] * w[0]
    )


@code
def dropout(w):
    r = np.random.RandomState(1)
    mask = (r.rand(*w.shape) < 0.8) / 0.8
    mask2 = r.binomial(1, 0.5, size=3).astype("float32")
    return (w * mask).sum() + (w * mask2)[0]


@code
def scalars(w):
    a = w[0]
    a += 1
    b = a
    b *= 2
    c = np.float64(3)
    c += w[1]
    d = np.array(2.0)
    d *= w[2]
    e = np.sum(w)
    e /= 2
    lst = [0.0] * 3
    lst[0] += w[0]
    tot = 0
    tot += e
    return (
        a * b * c * d * e * lst[0]
        + tot
        + abs(a)
        + a ** (-1)
        + 2**a
        + divmod(a, 10.0)[1]
        + -a
        + +a
        + pow(a, 2)
        + a.real
        + np.square(a)
        + a.item()
        + a.mean()
        + a.sum()
        + a.T
        + a.reshape(1)[0]
        + float(a)
        + a.copy()
        + a.astype(float)
        + a.clip(0, 1)
    )


@code
def nan_empty(w):
    h = np.empty(3)
    h.fill(0)
    h[0] = w[0]
    k = np.empty_like(h)
    k[:] = h
    z = np.zeros_like(w, dtype=float)
    z += k
    o = np.ones(shape=(3,))
    f = np.full(fill_value=2.0, shape=3)
    zz = np.zeros(shape=3, dtype=np.double)
    zz[...] = w
    return z.sum() + (o * f * zz).sum()


@code
def matmul_op(w):
    A = np.outer(w, w)
    A @= np.eye(3)
    A += A.T
    A -= A.mean()
    A /= np.abs(A).max()
    return A[0, 1] * 1.0


@code
def slices(w):
    g = np.concatenate([w * i for i in range(1, 5)])
    i, f, o, c = (g[:3], g[3:6], g[6:9], g[9:])
    s = slice(0, 3)
    H = 3
    zs = [g[k * H : (k + 1) * H] for k in range(4)]
    g2 = g.reshape(4, -1)
    g2[:2] = 1 / (1 + np.exp(-g2[:2]))
    g2[2] = np.tanh(g2[2])
    return (i * f * o * c).sum() + g[s].sum() + np.sum([z.sum() for z in zs])


@code
def opt(w):
    f = lambda x: x @ x
    h = 1.0
    return (f(w + h) - f(w - h)) / (2 * h)


@code
def generic_alias(w):

    def f(x: "np.ndarray", y: list[int] | None = None) -> float:
        return float(x.sum())

    z: dict[str, float] = {}
    z["a"] = f(w)
    return z["a"]


@code
def gen_ctx(w):
    it = iter(w)
    a = next(it)
    rest = list(it)
    z = list(zip(w, w[::-1]))
    e = dict(enumerate(w))
    r = list(reversed(w))
    m = list(map(lambda q: q * 2, w))
    fl = [q for q in filter(lambda q: q > 0.5, w)]
    ch = list(itertools.accumulate(w))
    pr = list(itertools.product(w, [1, 2]))
    return (
        a * rest[0]
        + z[0][0] * z[0][1]
        + e[1]
        + r[0]
        + m[2]
        + sum(fl)
        + ch[-1]
        + pr[0][0]
        + any(w > 1) * w[0]
        + all(w > 0) * w[1]
    )


@code
def tuple_swap(w):
    a, b = (w[:1], w[1:2])
    a, b = (b, a)
    x = np.zeros(3)
    x[0], x[1] = (w[1], w[0])
    x[[0, 1]] = x[[1, 0]]
    return x @ np.arange(3.0) + a[0] * 2


@code
def bigint(w):
    return (
        w.sum() * 10**3
        + np.prod(w.shape) * w[0]
        + w.size * w[1]
        + np.int64(2) * w[0]
        + np.bool_(True) * w[1]
        + w[np.int32(2)]
    )


@code
def unicode_names(w):
    σ = lambda z: 1 / (1 + np.e ** (-z))
    return σ(w).sum() + np.exp(-(w**2) / 2).sum() / np.sqrt(2 * np.pi)


@code
def masked(w):
    m = np.array([1.0, 0.0, 1.0])
    h = w * m + (1 - m) * 0.5
    L = np.array([2, 1])
    M = np.arange(3)[None, :] < L[:, None]
    s = np.outer([1, 2], w)
    s[~M] = 0
    return h.sum() + s.sum() + (s * M).sum() / M.sum() + np.mean(s[M]) + s.sum(1)[L == 2].sum()


@code
def kw(w):
    W = np.outer(w, w)
    X = np.stack([W, W * 2])
    return (
        np.einsum("bij,jk->bik", X, W, optimize=True).sum()
        + np.linalg.norm(W, axis=1, keepdims=True).sum()
        + X.mean(axis=(0, 1)).sum()
        + np.stack([w, w], axis=-1).sum()
        + np.concatenate([w, W], axis=None).sum()
        + np.tensordot(X, W, axes=([2], [0])).sum()
        + np.dot(X, W).sum()
        + np.pad(W, ((1, 0), (0, 1)), mode="constant", constant_values=0).sum()
        + np.repeat(w, 2, axis=0).sum()
        + np.sum(W, 0).sum()
        + np.sum(W, axis=-1, keepdims=True).sum()
        + np.max(W, 1).sum()
        + np.argmax(W, axis=1).sum() * w[0]
        + np.split(W, 3, axis=-1)[0].sum()
        + np.prod(W, axis=0).sum()
        + np.linalg.norm(w)
        + np.linalg.norm(w, 2)
        + np.linalg.norm(W, "fro")
    )


@code
def outs(w):
    a = np.zeros(3)
    np.dot(np.outer(w, w), w, a)
    b = np.zeros(())
    c = np.zeros(3)
    np.clip(w, 0.0, 1.0, c)
    d = np.zeros(3)
    np.sum(np.outer(w, w), 0, None, d)
    e = np.zeros(3)
    np.outer(w, w).sum(axis=0, out=e)
    f = np.zeros(3)
    np.outer(w, w).max(0, f)
    w.clip(0, 1, out=f)
    g = np.empty(3)
    np.cumsum(w, out=g)
    h = np.ones(3)
    np.dot(np.eye(3), np.ones(3), h)
    h[0] = w[0]
    k = np.zeros((2, 3))
    np.concatenate([w[None], w[None]], out=k)
    np.stack([w, w], out=k)
    m = np.zeros(3)
    np.mean(np.outer(w, w), axis=1, out=m)
    np.take(w, [0, 1, 2], out=m)
    return (a * c * d * e * f * g * h * m).sum() + k.sum()


@code
def zero_d(w):
    s = np.where(w[0] > 0, w[0], 0.0)
    t = s
    t += 1
    return s * t


@code
def layouts(w):
    X = np.outer(w, w * 2)
    Y = X.T.copy()
    v = Y.reshape(-1)
    v[0] = w[0] ** 2
    Z = np.ascontiguousarray(X.T)
    Z[0] = 0
    Q = np.asfortranarray(X)
    Q[1] = 0
    R = X.T.reshape(-1)
    R[3] = 5.0
    S = (X.T * 2).ravel()
    S[1] = w[0]
    U = X[:, ::2].copy().reshape(-1)
    U[2] = w[1]
    V = X.flatten()
    V[0] = 9
    F = np.array(X.T, order="C")
    F.reshape(-1)[1] = 7.0
    G = X.T.astype(float)
    G.reshape(-1)[1] = w[2] ** 3
    N = np.nan_to_num(X, copy=False)
    N[2, 2] = 3.0
    X.T[0, 1] = w[0]
    return (X * Y * Q).sum() + Z.sum() + R.sum() + S.sum() + U.sum() + V.sum() + (F * G).sum()


@code
def inplace_funcs(w):
    X = np.outer(w, w) + 1
    X.sort(axis=0)
    X[0].sort()
    Y = X.copy()
    Y[::-1].sort(axis=1)
    np.random.default_rng(0).shuffle(X)
    np.random.RandomState(0).shuffle(Y)
    l = [w, w * 2]
    return (X * Y).sum()


@code
def consts(w):
    c = np.arange(6.0).reshape(2, 3)
    d = c
    d = d[::-1]
    c.sort(axis=0)
    c.T[0] = 9
    e = c.tobytes()
    c.flat[2] = 7
    np.nan_to_num(c, copy=False)
    c[c > 8] = 1
    return (c * w).sum() + (d * w).sum() + len(e) * w[0]


@code
def intbuf(w):
    n = np.zeros(3, int)
    n[:] = [2, 1, 0]
    n += 1
    n[0] -= 3
    k = np.arange(3)
    k = k[::-1]
    idx = np.argsort(w)[::-1]
    r = np.argsort(-w)
    cnt = np.bincount([0, 0, 1], minlength=3)
    u, inv = np.unique([3, 3, 1], return_inverse=True)
    return (
        w[n].sum()
        + w[k] @ w
        + w[idx] @ w[r]
        + (cnt * w).sum()
        + w[inv].sum()
        + w[np.searchsorted([0.0, 1.0], w)].sum()
        + w[n >= 0].sum()
    )


@code
def rollstate(w):
    h = np.zeros((2, 3))
    h[1] = w
    for t in range(3):
        h = np.roll(h, 1, axis=0)
        h[0] += w * t
        h[1] *= 0.5
    buf = np.zeros(4)
    ptr = 0
    for v in w:
        buf[ptr % 4] += v**2
        ptr += 1
    buf[:-1] = buf[1:].copy()
    buf[1:] = buf[:-1]
    return (h**2).sum() + (buf**2).sum()


@code
def ix(w):
    X = np.outer(w, w)
    Y = np.zeros((3, 3))
    Y[np.ix_([0, 2], [1, 2])] = X[:2, :2]
    Y[np.diag_indices(3)] += w
    Y[np.tril_indices(3)] *= 2
    Y[..., None][0] = 1.0
    Y[np.newaxis, 0, 1] = w[0]
    m = np.zeros((3, 3), bool)
    m[0, 1] = True
    m[2] = True
    Y[m] *= w[1]
    Y[m] = Y[m] ** 2
    Y[:, m[2]] += 1
    Y[-1:] = w
    Y[0, [0, 1]] = w[1:]
    return (Y**2).sum()


@code
def a_cached_table_is_written_into(w):
    rows = table(3)
    rows[0] = w[0]
    result = (rows * w).sum()
    table.cache_clear()
    return result
