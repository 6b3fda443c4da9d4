"""Element-wise functions composed of primitives: NumPy's, and those that only PyTorch has a name for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from tinygrad_np.functional.common import as_tensor, floats
from tinygrad_np.operand import as_array
from tinygrad_np.ops import special
from tinygrad_np.ops.elementwise import (
    absolute,
    add,
    clip,
    divide,
    fmod,
    log,
    log1p,
    minimum,
    multiply,
    sqrt,
    step,
    subtract,
    where,
)
from tinygrad_np.ops.special import erf, erfc, erfcx, erfinv, lgamma
from tinygrad_np.tape import Array, implements
from tinygrad_np.tensor import Tensor, without_tensors
from tinygrad_np.torch_names import torch_named, torch_parameters

__all__ = [
    "addcdiv",
    "addcmul",
    "digamma",
    "div",
    "entr",
    "erf",
    "erfc",
    "erfcx",
    "erfinv",
    "frac",
    "i0e",
    "i1",
    "i1e",
    "lerp",
    "lgamma",
    "log_ndtr",
    "logit",
    "masked_fill",
    "mvlgamma",
    "ndtr",
    "polygamma",
    "rsqrt",
    "xlog1py",
    "xlogy",
]

# --- NumPy's functions ------------------------------------------------------------------------------


@implements(np.where)
def numpy_where(condition: Any, *choices: Any) -> Any:
    """`where`; of a condition alone, the places where it is true, as plain arrays."""
    return where(condition, *choices) if choices else np.nonzero(condition)


@implements(np.select)
def select(condlist: Sequence[Any], choicelist: Sequence[Any], default: Any = 0) -> Array:
    """For each element, the choice whose condition is the first to be true."""
    chosen = default
    for condition, choice in reversed(list(zip(condlist, choicelist, strict=True))):
        if (given := as_array(without_tensors(condition))).dtype.kind != "b":
            raise TypeError(f"select: a condition holds bools, not {given.dtype}")
        chosen = where(condition, choice, chosen)
    return chosen


@implements(np.clip)
def numpy_clip(a: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None) -> Tensor:
    """`clip`, with NumPy's old names and new. A bound that is a Tensor gets a gradient, as of a maximum."""
    low, high = (a_min if min is None else min), (a_max if max is None else max)
    if (low is not a_min and a_min is not None) or (high is not a_max and a_max is not None):
        raise TypeError("a_min and min are one bound, as are a_max and max")
    if isinstance(low, Tensor):
        a, low = np.maximum(a, low), None
    if isinstance(high, Tensor):
        low, a = None, clip(a, a_min=low) if low is not None else a
        return minimum(a, high)
    return clip(a, a_min=low, a_max=high)


for _ufunc in (np.rint, np.floor, np.ceil, np.trunc, np.sign, np.floor_divide):
    implements(_ufunc)(partial(step, function=_ufunc))


@implements(np.round, np.around)
def round(a: Any, decimals: int = 0) -> Tensor:
    """To so many decimals, half to even. The derivative is 0."""
    return step(a, function=partial(np.round, decimals=decimals))


@implements(np.fix)
def fix(x: Any) -> Tensor:
    """Towards 0. The derivative is 0."""
    return step(x, function=np.trunc)


@implements(np.divmod)
def divmod(x1: Any, x2: Any) -> tuple[Array, Array]:
    """floor(x / y), and the remainder."""
    return np.floor_divide(x1, x2), np.remainder(x1, x2)


@implements(np.modf)
def modf(x: Any) -> tuple[Array, Array]:
    """What comes after the point, and what stands before it, both with the sign of x."""
    return np.fmod(np.where(np.isinf(x), 0.0, x), 1.0), np.trunc(x)


@implements(np.frexp)
def frexp(x: Any) -> tuple[Array, np.ndarray]:
    """x as a mantissa from 1/2 to 1, which has the gradient, times 2 to a whole power, a plain array."""
    exponent = np.frexp(x.data)[1]
    half = -exponent // 2  # in two steps, as 2^-exponent overflows where x is subnormal
    one = np.ones(x.shape, x.dtype)
    return x * np.ldexp(one, half) * np.ldexp(one, -exponent - half), exponent


@implements(np.heaviside)
def heaviside(x1: Any, x2: Any) -> Array:
    """0 below 0, 1 above, and at 0 the second argument, which gets the gradient there."""
    return np.where(np.equal(x1, 0), x2, step(x1, 0.0, function=np.heaviside))


@implements(np.reciprocal)
def reciprocal(x: Any) -> Array:
    """1 / x; of whole numbers in whole numbers, as NumPy's."""
    return divide(1, x) if x.dtype.kind in "fc" else Tensor(np.reciprocal(x.data))


@implements(np.fabs)
def fabs(x: Any) -> Any:
    """|x| as floating-point numbers, element-wise. The derivative at 0 is taken as 0."""
    return absolute(floats("fabs", x))


@implements(np.copysign)
def copysign(x1: Any, x2: Any) -> Array:
    """|x| with the sign of y."""
    return np.absolute(x1) * step(1.0, x2, function=np.copysign)


@implements(np.fmax)
def fmax(x1: Any, x2: Any) -> Array:
    """The larger, or the one that is no NaN."""
    return np.where(np.isnan(x1), x2, np.maximum(x1, np.where(np.isnan(x2), x1, x2)))


@implements(np.fmin)
def fmin(x1: Any, x2: Any) -> Array:
    """The smaller, or the one that is no NaN."""
    return np.where(np.isnan(x1), x2, np.minimum(x1, np.where(np.isnan(x2), x1, x2)))


@implements(np.logaddexp2)
def logaddexp2(x1: Any, x2: Any) -> Array:
    """log2(2^x + 2^y), without overflow."""
    return np.logaddexp(np.multiply(x1, math.log(2)), np.multiply(x2, math.log(2))) / math.log(2)


@implements(np.float_power)
def float_power(x1: Any, x2: Any) -> Array:
    """x^y in float64."""
    x1 = as_tensor("float_power", x1)
    return np.power(x1.astype(np.result_type(x1.dtype, np.float64)), x2)


@implements(np.ldexp)
def ldexp(x1: Any, x2: Any) -> Array:
    """x 2^n."""
    x = floats("ldexp", x1)
    return x * np.exp2(floats("ldexp", x2).astype(x.dtype))


@implements(np.deg2rad, np.radians)
def deg2rad(x: Any) -> Array:
    """Degrees to radians."""
    return np.multiply(x, math.pi / 180)


@implements(np.rad2deg, np.degrees)
def rad2deg(x: Any) -> Array:
    """Radians to degrees."""
    return np.multiply(x, 180 / math.pi)


@implements(np.nan_to_num)
def nan_to_num(x: Any, copy: bool = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Array:
    """Numbers instead of NaN and infinities, which get no gradient."""
    x = Tensor(x) if not isinstance(x, Tensor) else x
    return np.where(np.isfinite(x), x, np.nan_to_num(x.data, nan=nan, posinf=posinf, neginf=neginf))


@implements(np.real)
def real(val: Any) -> Array:
    """The real part: of real numbers, themselves."""
    return Tensor(np.real(val.data)) if val.dtype.kind == "c" else val


@implements(np.conjugate)
def conjugate(x: Any) -> Array:
    """The complex conjugate: of real numbers, themselves."""
    return Tensor(np.conjugate(x.data)) if x.dtype.kind == "c" else np.positive(x)


@implements(np.positive)
def positive(x: Any) -> Tensor:
    """+x."""
    return multiply(x, 1)


SINC = [(-1) ** k * math.pi ** (2 * k) / math.factorial(2 * k + 1) for k in range(9)]  # of x^(2 k)


@implements(np.sinc)
def sinc(x: Any) -> Array:
    """sin(pi x) / (pi x), and 1 at 0; near it by its series, as the quotient has few digits of the derivatives."""
    x = floats("sinc", x)
    near = np.absolute(x.data) < 0.25
    small, large = np.where(near, x, 0.0), np.where(near, 1.0, x) * math.pi
    series, square = SINC[-1], small * small
    for coefficient in SINC[-2::-1]:
        series = series * square + coefficient
    return np.where(near, series, np.sin(large) / large)


# --- PyTorch's functions ----------------------------------------------------------------------------

for _function in (erf, erfc, erfinv, lgamma):
    torch_named(_function)


@torch_named
def polygamma(n: int, x: Tensor) -> Tensor:
    """The n-th derivative of digamma."""
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 0:
        raise ValueError(f"polygamma takes a whole number from 0 for n, not {n!r}")
    return special.polygamma(x, n=int(n))


@torch_named
def digamma(x: Tensor) -> Tensor:
    """The derivative of lgamma."""
    return special.polygamma(x, n=0)


@implements(np.i0)
def i0(x: Any) -> Tensor:
    """The modified Bessel function of order 0."""
    return special.bessel_i(x, n=0, scaled=False)


@torch_parameters
def i0e(x: Tensor) -> Tensor:
    """The modified Bessel function of order 0, times e^-|x|."""
    return special.bessel_i(x, n=0, scaled=True)


@torch_parameters
def i1(x: Tensor) -> Tensor:
    """The modified Bessel function of order 1."""
    return special.bessel_i(x, n=1, scaled=False)


@torch_parameters
def i1e(x: Tensor) -> Tensor:
    """The modified Bessel function of order 1, times e^-|x|."""
    return special.bessel_i(x, n=1, scaled=True)


@torch_named
def mvlgamma(x: Tensor, p: int) -> Tensor:
    """The logarithm of the gamma function of p dimensions: a constant and the sum of lgamma(x - j / 2), j < p."""
    x = floats("mvlgamma", x)
    total = lgamma(x) + p * (p - 1) / 4 * math.log(math.pi)
    for j in range(1, p):
        total = total + lgamma(x - j / 2)
    return total


@torch_named
def rsqrt(x: Tensor) -> Tensor:
    """1 / sqrt(x)."""
    return divide(1, sqrt(x))


@torch_named
def frac(x: Tensor) -> Tensor:
    """What comes after the point, with the sign of x."""
    return fmod(x, 1)


@torch_named
def div(x: Any, other: Any, *, rounding_mode: str | None = None) -> Tensor:
    """x / y, rounded towards 0 by "trunc", down by "floor"; then the derivatives are 0."""
    if rounding_mode not in (None, "trunc", "floor"):
        raise ValueError(f"div takes None, 'trunc' or 'floor' for rounding_mode, not {rounding_mode!r}")
    if rounding_mode == "floor":
        return step(x, other, function=np.floor_divide)
    quotient = divide(x, other)
    return step(quotient, function=np.trunc) if rounding_mode else quotient


@torch_named
def lerp(x: Tensor, end: Any, weight: Any) -> Tensor:
    """x + weight (end - x)."""
    return add(x, multiply(weight, subtract(end, x)))


@torch_named
def masked_fill(x: Tensor, mask: Any, value: Any) -> Tensor:
    """The value where the mask is true, x elsewhere."""
    return where(mask, value, x)


@torch_named
def addcmul(x: Tensor, tensor1: Any, tensor2: Any, *, value: float = 1) -> Tensor:
    """x + value tensor1 tensor2."""
    return add(x, multiply(multiply(tensor1, tensor2), value))


@torch_named
def addcdiv(x: Tensor, tensor1: Any, tensor2: Any, *, value: float = 1) -> Tensor:
    """x + value tensor1 / tensor2."""
    return add(x, multiply(divide(tensor1, tensor2), value))


def _living(x: Any, y: Tensor, least: float) -> Tensor:
    """y, where x is 0 and the logarithm of y - least is none, or infinite, with one that has the logarithm 0."""
    return where(np.equal(x, 0) & (np.less_equal(y, least) | np.equal(y, np.inf)), least + 1.0, y)


@torch_named
def xlogy(x: Any, y: Any) -> Tensor:
    """x log y, and 0 where x is 0 and y is no NaN."""
    return multiply(floats("xlogy", x), log(_living(x, floats("xlogy", y), 0)))


@torch_parameters
def xlog1py(x: Any, y: Any) -> Tensor:
    """x log(1 + y), and 0 where x is 0 and y is no NaN."""
    return multiply(floats("xlog1py", x), log1p(_living(x, floats("xlog1py", y), -1)))


@torch_named
def logit(x: Tensor, eps: float | None = None) -> Tensor:
    """log(x / (1 - x)), the inverse of sigmoid; with `eps`, of x held between eps and 1 - eps."""
    x = floats("logit", x)
    x = x if eps is None else clip(x, a_min=eps, a_max=1 - eps)
    return log(x) - log1p(-x)


@torch_parameters
def entr(x: Tensor) -> Tensor:
    """-x log x, 0 at 0, and -inf below."""
    x = floats("entr", x)
    return where(x < 0, -np.inf, -xlogy(x, where(x < 0, 1.0, x)))


@torch_parameters
def ndtr(x: Tensor) -> Tensor:
    """The distribution function of the standard normal distribution, with all digits where it is small."""
    return 0.5 * erfc(-math.sqrt(0.5) * floats("ndtr", x))


@torch_parameters
def log_ndtr(x: Tensor) -> Tensor:
    """The logarithm of ndtr, where that is too small for a number too."""
    x = floats("log_ndtr", x)
    low = x < -1
    a, b = where(low, x, -1.0), where(low, 0.0, x)
    tail = log(erfcx(-math.sqrt(0.5) * a) / 2) - a * a / 2
    return where(low, tail, log1p(-erfc(math.sqrt(0.5) * b) / 2))
