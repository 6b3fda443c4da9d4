"""Code of every form that Python has, each a loss of w (3,), a few positive numbers: what has to be recorded."""

import abc
import contextlib
import copy
import dataclasses
import enum
import functools
import math
import operator
import random
import typing
from collections import OrderedDict, defaultdict, deque, namedtuple
from dataclasses import dataclass, field
from math import exp as mexp
from math import sqrt

import numpy
import numpy as np
import scipy
import scipy.special as sp
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
