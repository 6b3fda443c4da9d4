"""Methods of a Tensor that are functions elsewhere: what an ndarray or a ``torch.Tensor`` has, one line each.

A method of an ndarray takes what NumPy's function takes; one that only a ``torch.Tensor`` has is the function of
its name in `functional`. Both take PyTorch's ``dim`` and ``keepdim`` too. Methods with more to say are in `tensor`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_np.tape import NUMPY
from tinygrad_np.torch_names import FUNCTIONS, torch_parameters, with_numpy_names


def method(function: Callable[..., Any] | str) -> Callable[..., Any]:
    """The method that calls a function of NumPy as Tensors answer it, or the one of this name in `functional`."""
    name = function if isinstance(function, str) else function.__name__

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        answer = FUNCTIONS[function] if isinstance(function, str) else NUMPY.get(function, function)
        return answer(self, *args, **with_numpy_names(name, kwargs))

    call.__name__ = name
    where = "functional" if isinstance(function, str) else getattr(function, "__module__", None) or "numpy"
    call.__doc__ = f"See `{where}.{name}`."
    return call


def reduction(function: Callable[..., Any]) -> Callable[..., Any]:
    """The method of a reduction: axis and keepdims by position, as PyTorch's; NumPy's has ``out`` between them."""

    def call(self: Any, axis: Any = None, keepdims: bool = False, **more: Any) -> Any:
        return NUMPY.get(function, function)(self, axis=axis, keepdims=keepdims, **more)

    call.__name__ = call.__qualname__ = function.__name__
    call.__doc__ = f"See `numpy.{function.__name__}`."
    return torch_parameters(call)


def method_of_several(function: Callable[..., Any] | str) -> Callable[..., Any]:
    """The same, where the numbers may also come one by one: ``t.flip(0, 1)`` is ``t.flip((0, 1))``."""
    whole = method(function)

    @functools.wraps(whole)
    def call(self: Any, *numbers: Any, **kwargs: Any) -> Any:
        return whole(self, *(numbers if len(numbers) < 2 else (numbers,)), **kwargs)

    return call


class Methods:
    """What `Tensor` inherits."""

    __slots__ = ()

    # An update of elements, as a new Tensor: t.at[index].set(v), .add(v), .multiply(v), .max(v), .min(v).
    at = property(lambda self: FUNCTIONS["at"](self), doc="See `functional.indexing.Update`.")

    all = reduction(np.all)
    amax = reduction(np.amax)
    amin = reduction(np.amin)
    any = reduction(np.any)
    argmax = reduction(np.argmax)
    argmin = reduction(np.argmin)
    count_nonzero = reduction(np.count_nonzero)
    median = reduction(np.median)
    nanmean = reduction(np.nanmean)
    nanmedian = reduction(np.nanmedian)
    nansum = reduction(np.nansum)
    prod = reduction(np.prod)
    ptp = reduction(np.ptp)
    argpartition = method(np.argpartition)
    cumprod = method(np.cumprod)
    cumsum = method(np.cumsum)
    diff = method(np.diff)
    nanquantile = method(np.nanquantile)
    dot = method(np.dot)
    inner = method(np.inner)
    outer = method(np.outer)
    ger = outer
    vdot = method(np.vdot)
    mm = method(np.matmul)
    bmm = mv = mm
    kron = method(np.kron)
    cross = method(np.cross)
    cov = method(np.cov)
    corrcoef = method(np.corrcoef)
    matrix_power = method(np.linalg.matrix_power)
    det = method(np.linalg.det)
    slogdet = method(np.linalg.slogdet)
    inverse = method(np.linalg.inv)
    pinverse = method(np.linalg.pinv)
    cholesky = method(np.linalg.cholesky)
    quantile = method(np.quantile)
    searchsorted = method(np.searchsorted)
    aminmax = method("aminmax")
    cummax = method("cummax")
    cummin = method("cummin")
    kthvalue = method("kthvalue")
    logcumsumexp = method("logcumsumexp")
    mode = method("mode")
    msort = method("msort")
    sort = method("sort")
    topk = method("topk")
    ravel = method(np.ravel)
    swapaxes = method(np.swapaxes)
    addbmm = method("addbmm")
    addmm = method("addmm")
    addmv = method("addmv")
    addr = method("addr")
    baddbmm = method("baddbmm")
    cholesky_inverse = method("cholesky_inverse")
    cholesky_solve = method("cholesky_solve")
    dist = method("dist")
    logdet = method("logdet")
    matrix_exp = method("matrix_exp")
    norm = method("norm")
    renorm = method("renorm")
    log_softmax = method("log_softmax")
    logsumexp = method("logsumexp")
    softmax = method("softmax")

    # one number
    square = method(np.square)
    cbrt = method(np.cbrt)
    reciprocal = method(np.reciprocal)
    exp2 = method(np.exp2)
    expm1 = method(np.expm1)
    log2 = method(np.log2)
    log10 = method(np.log10)
    log1p = method(np.log1p)
    sin = method(np.sin)
    cos = method(np.cos)
    tan = method(np.tan)
    arcsin = method(np.arcsin)
    arccos = method(np.arccos)
    arctan = method(np.arctan)
    sinh = method(np.sinh)
    cosh = method(np.cosh)
    arcsinh = method(np.arcsinh)
    arccosh = method(np.arccosh)
    arctanh = method(np.arctanh)
    sinc = method(np.sinc)
    absolute = method(np.absolute)
    negative = method(np.negative)
    positive = method(np.positive)
    deg2rad = method(np.deg2rad)
    rad2deg = method(np.rad2deg)
    nan_to_num = method(np.nan_to_num)
    floor = method(np.floor)
    ceil = method(np.ceil)
    trunc = method(np.trunc)
    fix = method(np.fix)
    rint = method(np.rint)
    round = method(np.round)
    sign = method(np.sign)
    clip = method(np.clip)
    conj = method(np.conjugate)
    conjugate = method(np.conjugate)

    # two numbers
    multiply = method(np.multiply)
    divide = method(np.divide)
    true_divide = method(np.true_divide)
    floor_divide = method(np.floor_divide)
    power = method(np.power)
    float_power = method(np.float_power)
    fmod = method(np.fmod)
    remainder = method(np.remainder)
    arctan2 = method(np.arctan2)
    hypot = method(np.hypot)
    maximum = method(np.maximum)
    minimum = method(np.minimum)
    fmax = method(np.fmax)
    fmin = method(np.fmin)
    copysign = method(np.copysign)
    heaviside = method(np.heaviside)
    ldexp = method(np.ldexp)
    logaddexp = method(np.logaddexp)
    logaddexp2 = method(np.logaddexp2)

    # these under PyTorch's names
    asin = method(np.arcsin)
    acos = method(np.arccos)
    atan = method(np.arctan)
    asinh = method(np.arcsinh)
    acosh = method(np.arccosh)
    atanh = method(np.arctanh)
    atan2 = method(np.arctan2)
    mul = method(np.multiply)
    pow = method(np.power)
    neg = method(np.negative)
    clamp = method(np.clip)
    sgn = method(np.sign)

    # plain arrays: no gradient
    eq = method(np.equal)
    ne = method(np.not_equal)
    lt = method(np.less)
    le = method(np.less_equal)
    gt = method(np.greater)
    ge = method(np.greater_equal)
    equal = method(np.array_equal)
    not_equal = method(np.not_equal)
    less = method(np.less)
    less_equal = method(np.less_equal)
    greater = method(np.greater)
    greater_equal = method(np.greater_equal)
    logical_and = method(np.logical_and)
    logical_or = method(np.logical_or)
    logical_not = method(np.logical_not)
    logical_xor = method(np.logical_xor)
    bitwise_and = method(np.bitwise_and)
    bitwise_or = method(np.bitwise_or)
    bitwise_xor = method(np.bitwise_xor)
    isfinite = method(np.isfinite)
    isinf = method(np.isinf)
    isnan = method(np.isnan)
    isposinf = method(np.isposinf)
    isneginf = method(np.isneginf)
    signbit = method(np.signbit)
    isclose = method(np.isclose)
    allclose = method(np.allclose)
    bitwise_not = method(np.invert)

    # PyTorch's functions of numbers
    addcdiv = method("addcdiv")
    addcmul = method("addcmul")
    digamma = method("digamma")
    div = method("div")
    erf = method("erf")
    erfc = method("erfc")
    erfinv = method("erfinv")
    frac = method("frac")
    lerp = method("lerp")
    lgamma = method("lgamma")
    logit = method("logit")
    masked_fill = method("masked_fill")
    hardshrink = method("hardshrink")
    prelu = method("prelu")
    mvlgamma = method("mvlgamma")
    rsqrt = method("rsqrt")
    xlogy = method("xlogy")

    def add(self, other: Any, *, alpha: float = 1) -> Any:
        """It + alpha other; see `numpy.add`."""
        return NUMPY[np.add](self, other if alpha == 1 else np.multiply(other, alpha))

    def sub(self, other: Any, *, alpha: float = 1) -> Any:
        """It - alpha other; see `numpy.subtract`."""
        return NUMPY[np.subtract](self, other if alpha == 1 else np.multiply(other, alpha))

    def rsub(self, other: Any, *, alpha: float = 1) -> Any:
        """Other - alpha it; see `numpy.subtract`."""
        return NUMPY[np.subtract](other, self if alpha == 1 else NUMPY[np.multiply](self, alpha))

    subtract = sub

    def clamp_min(self, min: Any) -> Any:
        """It, where it is not below a bound; see `numpy.clip`."""
        return NUMPY[np.clip](self, min=min)

    def clamp_max(self, max: Any) -> Any:
        """It, where it is not above a bound; see `numpy.clip`."""
        return NUMPY[np.clip](self, max=max)

    @torch_parameters
    def argsort(self, axis: Any = -1, kind: Any = None, order: Any = None, **more: Any) -> Any:
        """See `numpy.argsort`, and `functional.argsort` with `descending`, which may stand in place of `kind`."""
        if isinstance(kind, bool) or "descending" in more:
            return FUNCTIONS["argsort"](
                self, axis, **({"descending": kind} if kind is not None else {}), **more
            )
        return NUMPY.get(np.argsort, np.argsort)(self, axis, kind, order, **more)

    def nonzero(self, as_tuple: bool = True) -> Any:
        """See `numpy.nonzero`; one array of places (number, ndim) instead when `as_tuple` is False."""
        x: Any = self
        return np.nonzero(x) if as_tuple else np.argwhere(x)

    def polygamma(self, n: int) -> Any:
        """See `functional.polygamma`, whose order of arguments is the other one."""
        return FUNCTIONS["polygamma"](n, self)

    def where(self, condition: Any, other: Any) -> Any:
        """It where the condition is true, the other elsewhere; see `numpy.where`."""
        return NUMPY[np.where](condition, self, other)

    # Moving elements.
    as_strided = method("as_strided")
    broadcast_to = method_of_several(np.broadcast_to)
    chunk = method("chunk")
    clone = copy = method(np.copy)
    diag = method(np.diag)
    diag_embed = method("diag_embed")
    diagflat = method(np.diagflat)
    diagonal = method(np.diagonal)
    dsplit = method(np.dsplit)
    expand = method("expand")
    expand_as = method("expand_as")
    flatten = method("flatten")
    flip = method_of_several(np.flip)
    fliplr = method(np.fliplr)
    flipud = method(np.flipud)
    hsplit = method(np.hsplit)
    moveaxis = movedim = method(np.moveaxis)
    narrow = method("narrow")
    repeat = method(np.repeat)
    repeat_interleave = method("repeat_interleave")
    roll = method(np.roll)
    rot90 = method(np.rot90)
    select = method("select")
    split = split_with_sizes = method("split")
    swapdims = swapaxes
    t = method(np.transpose)
    tensor_split = method("tensor_split")
    tile = method_of_several(np.tile)
    trace = method(np.trace)
    tril = method(np.tril)
    triu = method(np.triu)
    unbind = method("unbind")
    unflatten = method("unflatten")
    unfold = method("unfold_axis")
    view_as = reshape_as = method("reshape_as")
    vsplit = method(np.vsplit)

    # Taking elements, and writing them into a new Tensor.
    argwhere = method(np.argwhere)
    choose = method(np.choose)
    diagonal_scatter = method("diagonal_scatter")
    gather = method("gather")
    index_add = method("index_add")
    index_copy = method("index_copy")
    index_fill = method("index_fill")
    index_put = method("index_put")
    index_reduce = method("index_reduce")
    index_select = method("index_select")
    masked_scatter = method("masked_scatter")
    masked_select = method("masked_select")
    put = method("put")
    scatter = method("scatter")
    scatter_add = method("scatter_add")
    scatter_reduce = method("scatter_reduce")
    searchsorted = method(np.searchsorted)
    select_scatter = method("select_scatter")
    slice_scatter = method("slice_scatter")
    take = method(np.take)
    take_along_dim = method("take_along_dim")


# PyTorch's casts. They are set here, as in the class their names would hide Python's own types.
CASTS = {
    **{"half": np.float16, "float": np.float32, "double": np.float64, "bool": np.bool_},
    **{"byte": np.uint8, "char": np.int8, "short": np.int16, "int": np.int32, "long": np.int64},
}


def _cast(name: str, dtype: Any) -> Callable[..., Any]:
    def call(self: Any) -> Any:
        return (self if np.dtype(dtype).kind == "f" else self.detach()).astype(dtype)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"It as {np.dtype(dtype)}; with its gradient if that is a floating-point dtype."
    return call


for _name, _dtype in CASTS.items():
    setattr(Methods, _name, _cast(_name, _dtype))
