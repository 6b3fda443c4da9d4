"""Rows of windows and what is made of them: convolutions, pooling, interpolation."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Any

import numpy as np

from tinygrad_np import functional
from tinygrad_np.check.draw import Arguments, Draw, Rng, Shape, distinct, filled, real, wave
from tinygrad_np.check.rows import Edge, Op

# --- windows, element by element ----------------------------------------------------------------------


def plain_windows(x: Any, kernel: Any, stride: Any, dilation: Any, padding: Any, fill: float = 0.0) -> Any:
    lead = [(0, 0)] * (x.ndim - len(kernel))
    x = np.pad(x, [*lead, *padding], constant_values=fill)
    lengths = x.shape[len(lead) :]
    places = [
        len(range(0, n - d * (k - 1), s))
        for n, k, s, d in zip(lengths, kernel, stride, dilation, strict=True)
    ]
    out: Any = np.zeros((*x.shape[: len(lead)], *kernel, *places), x.dtype)
    for offset in product(*map(range, kernel)):
        for place in product(*map(range, places)):
            at = [s * i + d * j for s, i, d, j in zip(stride, place, dilation, offset, strict=True)]
            out[(..., *offset, *place)] = x[(..., *at)]
    return out


def plain_sum(cols: Any, lengths: Any, stride: Any, dilation: Any, padding: Any) -> Any:
    axes = len(lengths)
    kernel, places = cols.shape[cols.ndim - 2 * axes : cols.ndim - axes], cols.shape[cols.ndim - axes :]
    totals = [a + n + b for n, (a, b) in zip(lengths, padding, strict=True)]
    out: Any = np.zeros((*cols.shape[: cols.ndim - 2 * axes], *totals), cols.dtype)
    for offset in product(*map(range, kernel)):
        for place in product(*map(range, places)):
            at = [s * i + d * j for s, i, d, j in zip(stride, place, dilation, offset, strict=True)]
            out[(..., *at)] += cols[(..., *offset, *place)]
    return out[(..., *(slice(a, a + n) for n, (a, _) in zip(lengths, padding, strict=True)))]


def windows(rng: Rng, axes: int) -> tuple[dict[str, Any], list[int], list[int]]:
    """Settings of windows over so many axes, the lengths that they slide over, and how many there are."""
    kernel, stride, dilation = (tuple(int(n) for n in rng.integers(1, 4, axes)) for _ in range(3))
    padding = tuple((int(a), int(b)) for a, b in rng.integers(0, 2, (axes, 2)))
    more = rng.integers(0, 3, axes)
    spans = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    lengths = [max(span - a - b + int(m), 1) for span, (a, b), m in zip(spans, padding, more, strict=True)]
    places = [
        (n + a + b - span) // s + 1
        for n, (a, b), span, s in zip(lengths, padding, spans, stride, strict=True)
    ]
    return {"kernel": kernel, "stride": stride, "dilation": dilation, "padding": padding}, lengths, places


def cut(rng: Rng, shape: Shape) -> Arguments:
    settings, lengths, _ = windows(rng, int(rng.integers(1, 3)))
    return [real(rng, (*shape[:2], *lengths))], settings


def added(rng: Rng, shape: Shape) -> Arguments:
    settings, lengths, places = windows(rng, int(rng.integers(1, 3)))
    kernel = settings.pop("kernel")
    return [real(rng, (*shape[:2], *kernel, *places))], {**settings, "lengths": tuple(lengths)}


# --- convolutions -------------------------------------------------------------------------------------


def number_or_several(rng: Rng, axes: int, low: int, high: int) -> Any:
    """One number for all axes, or one for each, below `high`."""
    several = tuple(int(n) for n in rng.integers(low, high, axes))
    return several if rng.random() < 0.5 else several[0]


def spread(setting: Any, axes: int) -> tuple[int, ...]:
    return setting if isinstance(setting, tuple) else (setting,) * axes


def convolved(axes: int) -> Draw:
    """Two channels in a group, with or without batch and bias, every padding."""

    def draw(rng: Rng, shape: Shape) -> Arguments:
        groups, out = int(rng.integers(1, 3)), int(rng.integers(1, 3))
        kernel = tuple(int(n) for n in rng.integers(1, 4, axes))
        dilation, padding = number_or_several(rng, axes, 1, 3), number_or_several(rng, axes, 0, 3)
        stride = number_or_several(rng, axes, 1, 3)
        named = rng.random()
        if named < 0.4:
            padding, stride = ("same", 1) if named < 0.2 else ("valid", stride)
        spans = [d * (k - 1) + 1 for d, k in zip(spread(dilation, axes), kernel, strict=True)]
        lengths = [span + int(n) for span, n in zip(spans, rng.integers(0, 3, axes), strict=True)]
        batch = () if rng.random() < 0.2 else shape[:1] or (2,)
        arrays = [real(rng, (*batch, 2 * groups, *lengths)), real(rng, (out * groups, 2, *kernel))]
        if rng.random() < 0.5:
            arrays.append(real(rng, (out * groups,)))
        return arrays, {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}

    return draw


def plain_convolution(
    axes: int,
    x: Any,
    w: Any,
    b: Any = None,
    *,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
) -> Any:
    """Each result by itself."""
    if x.ndim == axes + 1:
        batch = plain_convolution(
            axes, x[np.newaxis], w, b, stride=stride, padding=padding, dilation=dilation, groups=groups
        )
        return np.asarray(batch[0])
    kernel, stride, dilation = w.shape[2:], spread(stride, axes), spread(dilation, axes)
    if padding == "same":
        beyond = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        pairs = [(n // 2, n - n // 2) for n in beyond]
    else:
        pairs = [(p, p) for p in spread(0 if padding == "valid" else padding, axes)]
    cols = plain_windows(x, kernel, stride, dilation, pairs)
    out: Any = np.zeros((len(x), len(w), *cols.shape[-axes:]))
    inside, outside = w.shape[1], len(w) // groups
    for o in range(len(w)):
        first = o // outside * inside
        for c, *offset in product(range(inside), *map(range, kernel)):
            out[:, o] += w[(o, c, *offset)] * cols[(slice(None), first + c, *offset)]
    return out if b is None else out + np.reshape(b, (-1, *(1,) * axes))


def torch_convolution(name: str) -> Callable[..., Any]:
    def call(torch: Any, *xs: Any, **static: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # where "same" adds more behind than before it makes a copy
            return getattr(torch.nn.functional, name)(*xs, **static)

    return call


def transposed(axes: int) -> Draw:
    def draw(rng: Rng, shape: Shape) -> Arguments:
        groups, inside, out = (int(n) for n in rng.integers(1, 3, 3))
        kernel = tuple(int(n) for n in rng.integers(1, 4, axes))
        strides, dilations = (tuple(int(n) for n in rng.integers(1, 4, axes)) for _ in range(2))
        more = tuple(int(rng.integers(0, max(s, d))) for s, d in zip(strides, dilations, strict=True))
        spans = [d * (k - 1) + 1 for d, k in zip(dilations, kernel, strict=True)]
        lengths = [int(n) for n in rng.integers(1, 4, axes)]
        full = [(n - 1) * s + span for n, s, span in zip(lengths, strides, spans, strict=True)]
        padding = tuple(int(rng.integers(0, min(3, (n + 1) // 2))) for n in full)
        batch = () if rng.random() < 0.2 else shape[:1] or (2,)
        arrays = [real(rng, (*batch, inside * groups, *lengths)), real(rng, (inside * groups, out, *kernel))]
        if rng.random() < 0.5:
            arrays.append(real(rng, (out * groups,)))
        settings = {"stride": strides, "padding": padding, "output_padding": more, "dilation": dilations}
        return arrays, {**settings, "groups": groups}

    return draw


def plain_transposed(
    axes: int,
    x: Any,
    w: Any,
    b: Any = None,
    *,
    stride: Any,
    padding: Any,
    output_padding: Any,
    dilation: Any,
    groups: int,
) -> Any:
    """Each element's window by itself."""
    if x.ndim == axes + 1:
        settings = {"output_padding": output_padding, "dilation": dilation, "groups": groups}
        return np.asarray(
            plain_transposed(axes, x[np.newaxis], w, b, stride=stride, padding=padding, **settings)[0]
        )
    kernel = w.shape[2:]
    totals = [
        (n - 1) * s + d * (k - 1) + 1 + m
        for n, s, d, k, m in zip(x.shape[2:], stride, dilation, kernel, output_padding, strict=True)
    ]
    inside, outside = len(w) // groups, w.shape[1]
    out: Any = np.zeros((len(x), outside * groups, *totals))
    for c, o in product(range(len(w)), range(outside)):
        for offset in product(*map(range, kernel)):
            for place in product(*map(range, x.shape[2:])):
                at = [s * i + d * j for s, i, d, j in zip(stride, place, dilation, offset, strict=True)]
                out[(slice(None), c // inside * outside + o, *at)] += (
                    x[(slice(None), c, *place)] * w[(c, o, *offset)]
                )
    out = out[(..., *(slice(p, n - p) for p, n in zip(padding, totals, strict=True)))]
    return out if b is None else out + np.reshape(b, (-1, *(1,) * axes))


def unfolded(rng: Rng, shape: Shape) -> Arguments:
    settings, lengths, _ = symmetric(rng)
    return [real(rng, (*shape[:1], 2, *lengths))], settings


def folded(rng: Rng, shape: Shape) -> Arguments:
    settings, lengths, places = symmetric(rng)
    rows = 2 * int(np.prod(settings["kernel_size"]))
    return [real(rng, (*shape[:1], rows, int(np.prod(places))))], {**settings, "output_size": tuple(lengths)}


def symmetric(rng: Rng) -> tuple[dict[str, Any], list[int], list[int]]:
    """Settings as `unfold` takes them, with as much padding behind as before."""
    settings, _, _ = windows(rng, 2)
    sides = tuple(a for a, _ in settings["padding"])
    spans = [d * (k - 1) + 1 for d, k in zip(settings["dilation"], settings["kernel"], strict=True)]
    lengths = [max(1, span - 2 * p) + int(rng.integers(3)) for span, p in zip(spans, sides, strict=True)]
    places = [
        (n + 2 * p - span) // s + 1
        for n, p, span, s in zip(lengths, sides, spans, settings["stride"], strict=True)
    ]
    return (
        {
            "kernel_size": settings["kernel"],
            "dilation": settings["dilation"],
            "padding": sides,
            "stride": settings["stride"],
        },
        lengths,
        places,
    )


def plain_unfold(x: Any, kernel_size: Any, dilation: Any, padding: Any, stride: Any) -> Any:
    cols = plain_windows(x, kernel_size, stride, dilation, [(p, p) for p in padding])
    return cols.reshape(*x.shape[:-3], int(np.prod(cols.shape[-5:-2])), int(np.prod(cols.shape[-2:])))


def plain_fold(x: Any, output_size: Any, kernel_size: Any, dilation: Any, padding: Any, stride: Any) -> Any:
    places = [
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, p, d, k, s in zip(output_size, padding, dilation, kernel_size, stride, strict=True)
    ]
    channels = x.shape[-2] // int(np.prod(kernel_size))
    cols = x.reshape(*x.shape[:-2], channels, *kernel_size, *places)
    return plain_sum(cols, output_size, stride, dilation, [(p, p) for p in padding])


# --- pooling ------------------------------------------------------------------------------------------


def pooled(axes: int, values: Any, kind: str) -> Draw:
    def draw(rng: Rng, shape: Shape) -> Arguments:
        kernel = tuple(int(n) for n in rng.integers(1, 4, axes))
        static: dict[str, Any] = {"kernel_size": kernel if axes > 1 and rng.random() < 0.5 else kernel[0]}
        kernel = spread(static["kernel_size"], axes)
        if rng.random() < 0.7:
            static["stride"] = number_or_several(rng, axes, 1, 4)
        static["ceil_mode"] = bool(rng.random() < 0.5)
        dilation = (1,) * axes
        if kind == "max" and rng.random() < 0.5:
            static["dilation"] = dilation = tuple(int(n) for n in rng.integers(1, 3, axes))
        if kind != "lp":
            static["padding"] = tuple(int(rng.integers(0, k // 2 + 1)) for k in kernel)
        if kind == "avg":
            static["count_include_pad"] = bool(rng.random() < 0.5)
            if axes > 1 and rng.random() < 0.3:
                static["divisor_override"] = 3
        if kind == "lp":
            static["norm_type"] = float(rng.integers(1, 4))
        spans = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
        lengths = [span + int(n) for span, n in zip(spans, rng.integers(0, 4, axes), strict=True)]
        batch = () if rng.random() < 0.2 else shape[:1] or (2,)
        return [values(rng, (*batch, 2, *lengths))], static

    return draw


def plain_pool(
    axes: int,
    kind: str,
    x: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: Any = None,
    norm_type: float = 1,
) -> Any:
    """Window by window, of those elements that there are."""
    kernel, padding, dilation = (spread(s, axes) for s in (kernel_size, padding, dilation))
    stride = kernel if stride is None else spread(stride, axes)
    lengths, starts = x.shape[-axes:], []
    for n, k, s, p, d in zip(lengths, kernel, stride, padding, dilation, strict=True):
        last = n + 2 * p - d * (k - 1) - 1
        begin = list(range(-p, last - p + 1, s))
        if ceil_mode and last % s and begin[-1] + s < n:
            begin.append(begin[-1] + s)
        starts.append(begin)
    out: Any = np.zeros((*x.shape[: x.ndim - axes], *map(len, starts)))
    for place in product(*(range(len(begin)) for begin in starts)):
        at = [begin[i] for begin, i in zip(starts, place, strict=True)]
        inside = [
            [i for i in range(a, a + d * (k - 1) + 1, d) if 0 <= i < n]
            for a, k, d, n in zip(at, kernel, dilation, lengths, strict=True)
        ]
        window = x[(..., *np.ix_(*inside))]
        window = window.reshape(*x.shape[: x.ndim - axes], int(np.prod([len(i) for i in inside])))
        with_padding = np.prod(
            [min(a + k, n + p) - a for a, k, n, p in zip(at, kernel, lengths, padding, strict=True)]
        )
        if kind == "max":
            out[(..., *place)] = window.max(axis=-1) if window.size else 0.0
        elif kind == "avg":
            divisor = divisor_override or (with_padding if count_include_pad else window.shape[-1])
            out[(..., *place)] = window.sum(axis=-1) / divisor
        else:
            mean = (window**norm_type).sum(axis=-1) / with_padding
            out[(..., *place)] = (mean * np.prod(kernel)) ** (1 / norm_type)
    return out


def in_parts(axes: int, values: Any) -> Draw:
    def draw(rng: Rng, shape: Shape) -> Arguments:
        lengths = tuple(int(n) for n in rng.integers(1, 5, axes))
        sizes: Any = tuple(None if rng.random() < 0.2 else int(rng.integers(1, 5)) for _ in range(axes))
        if axes == 1 or rng.random() < 0.3:
            sizes = sizes[0] or 2
        batch = () if rng.random() < 0.2 else (int(rng.integers(1, 3)),)
        return [values(rng, (*batch, 2, *lengths))], {"output_size": sizes}

    return draw


def plain_adaptive(axes: int, reduce: Callable[..., Any], x: Any, output_size: Any) -> Any:
    wanted = [n if m is None else m for n, m in zip(x.shape[-axes:], spread(output_size, axes), strict=True)]
    out: Any = np.zeros((*x.shape[: x.ndim - axes], *wanted))
    for place in product(*map(range, wanted)):
        box = [
            slice(int(np.floor(i * n / m)), int(np.ceil((i + 1) * n / m)))
            for i, n, m in zip(place, x.shape[-axes:], wanted, strict=True)
        ]
        out[(..., *place)] = reduce(x[(..., *box)], axis=tuple(range(-axes, 0)))
    return out


def torch_adaptive(name: str) -> Callable[..., Any]:
    return lambda torch, x, output_size: getattr(torch.nn.functional, name)(x, output_size)


# --- interpolation ------------------------------------------------------------------------------------

MODES = {
    1: ["nearest", "nearest-exact", "linear", "area"],
    2: ["nearest", "nearest-exact", "bilinear", "bicubic", "area"],
}


def resized(rng: Rng, shape: Shape) -> Arguments:
    axes = int(rng.integers(1, 3))
    lengths = tuple(int(n) for n in rng.integers(1, 5, axes))
    static: dict[str, Any] = {"mode": MODES[axes][rng.integers(len(MODES[axes]))]}
    if rng.random() < 0.5:
        static["size"] = number_or_several(rng, axes, 1, 7)
    else:
        factors = [float(rng.choice([1.0, 1.5, 2.0, 2.75, 3.0])) for _ in range(axes)]
        static["scale_factor"] = tuple(factors) if rng.random() < 0.5 else factors[0]
        if rng.random() < 0.3:
            static["recompute_scale_factor"] = True
    if "linear" in static["mode"] or static["mode"] == "bicubic":
        static["align_corners"] = bool(rng.random() < 0.5)
    return [real(rng, (int(rng.integers(1, 3)), 2, *lengths))], static


def scaled(rng: Rng, shape: Shape) -> Arguments:
    lengths = tuple(int(n) for n in rng.integers(1, 5, 2))
    return [real(rng, (2, 2, *lengths))], {"scale_factor": float(rng.choice([1.0, 1.5, 2.0, 3.0]))}


def torch_upsample(mode: str, torch: Any, x: Any, scale_factor: float) -> Any:
    """What PyTorch's older names call."""
    corners = True if mode == "bilinear" else None
    return torch.nn.functional.interpolate(x, scale_factor=scale_factor, mode=mode, align_corners=corners)


def plain_interpolate(
    x: Any,
    mode: str,
    size: Any = None,
    scale_factor: Any = None,
    align_corners: bool = False,
    recompute_scale_factor: bool = False,
) -> Any:
    """Axis by axis, result by result."""
    axes = x.ndim - 2
    for axis in range(2, x.ndim):
        n = x.shape[axis]
        scale = None if scale_factor is None else float(np.broadcast_to(scale_factor, axes)[axis - 2])
        m = spread(size, axes)[axis - 2] if scale is None else int(np.floor(n * scale))
        step = n / m if scale is None or recompute_scale_factor else 1 / scale
        parts = []
        for i in range(m):
            if mode == "area":
                parts.append(x.take(range(i * n // m, -(-(i + 1) * n // m)), axis).mean(axis))
                continue
            if mode.startswith("nearest"):
                at = float(np.floor(np.float32(i + 0.5 * (mode == "nearest-exact")) * np.float32(step)))
            else:
                at = i * (n - 1) / (m - 1) if align_corners and m > 1 else (i + 0.5) * step - 0.5
                at = 0.0 if align_corners and m == 1 else at
            if "linear" in mode:
                at = max(at, 0.0)
            kernel = cubic if mode == "bicubic" else hat
            near = range(int(np.floor(at)) - 1, int(np.floor(at)) + 3)
            parts.append(sum(kernel(at - j) * x.take(min(max(j, 0), n - 1), axis) for j in near))
        x = np.stack(parts, axis)
    return x


def hat(d: float) -> float:
    return max(0.0, 1 - abs(d))


def cubic(d: float, a: float = -0.75) -> float:
    """The kernel of cubic convolution (Keys, 1981, eq. 4, with its a)."""
    d = abs(d)
    return (
        (a + 2) * d**3 - (a + 3) * d**2 + 1 if d <= 1 else a * (d**3 - 5 * d**2 + 8 * d - 4) if d < 2 else 0.0
    )


# --- pixels and channels ------------------------------------------------------------------------------


def shuffled(rng: Rng, shape: Shape) -> Arguments:
    r = int(rng.integers(1, 4))
    return [real(rng, (*filled(shape[:2]), 2 * r * r, 2, 3))], {"upscale_factor": r}


def unshuffled(rng: Rng, shape: Shape) -> Arguments:
    r = int(rng.integers(1, 4))
    return [real(rng, (*filled(shape[:2]), 2, 2 * r, 3 * r))], {"downscale_factor": r}


def plain_shuffle(x: Any, upscale_factor: int) -> Any:
    r = upscale_factor
    out: Any = np.zeros((*x.shape[:-3], x.shape[-3] // (r * r), x.shape[-2] * r, x.shape[-1] * r))
    for channel, i, j in np.ndindex(*out.shape[-3:]):
        out[..., channel, i, j] = x[..., (channel * r + i % r) * r + j % r, i // r, j // r]
    return out


def plain_unshuffle(x: Any, downscale_factor: int) -> Any:
    r = downscale_factor
    out: Any = np.zeros((*x.shape[:-3], x.shape[-3] * r * r, x.shape[-2] // r, x.shape[-1] // r))
    for channel, i, j in np.ndindex(*x.shape[-3:]):
        out[..., (channel * r + i % r) * r + j % r, i // r, j // r] = x[..., channel, i, j]
    return out


def in_groups(rng: Rng, shape: Shape) -> Arguments:
    groups = int(rng.integers(1, 4))
    return [real(rng, (int(rng.integers(1, 3)), 2 * groups, *(2, 3)[: rng.integers(1, 3)]))], {
        "groups": groups
    }


def plain_channels(x: Any, groups: int) -> Any:
    size = x.shape[1] // groups
    return x[:, [g * size + i for i in range(size) for g in range(groups)]]


def row(draw: Draw, reference: Callable[..., Any], name: str, **more: Any) -> Op:
    return Op(
        draw,
        reference=reference,
        torch=more.pop("torch", f"nn.functional.{name}"),
        function=getattr(functional, name),
        **more,
    )


TIES = [  # equal largest elements share the gradient, where PyTorch's first one gets it
    Edge([[[1, 3, 3, 0]]], [[3]], [[[0, 1.5, 1.5, 0]]], {"kernel_size": 3, "stride": 2}, "differs")
]
LONG = [  # of a long row, which is laid out in another way
    (
        [wave(2, 4, 23), wave(2, 2, 3), wave(2)],
        {"stride": stride, "padding": 1, "dilation": 2, "groups": 2},
    )
    for stride in (1, 2)
]
POOLS = {
    "max": (distinct, False),
    "avg": (real, True),
    "lp": (lambda rng, shape: rng.uniform(0.5, 2.0, shape), True),
}
CONV: dict[str, Op] = {
    "im2col": Op(
        cut,
        reference=plain_windows,
        torch=None,
        more=[
            (
                [wave(2, 5, 6)],
                {
                    "kernel": (2, 3),
                    "stride": (2, 1),
                    "dilation": (2, 1),
                    "padding": ((1, 0), (0, 2)),
                    "fill": 0.5,
                },
            )
        ],
    ),
    "col2im": Op(
        added,
        reference=plain_sum,
        torch=None,
        more=[
            (  # behind the last place there is room for another
                [wave(2, 2, 1, 2, 3)],
                {"lengths": (6, 3), "stride": (2, 1), "dilation": (1, 1), "padding": ((0, 0), (0, 0))},
            )
        ],
    ),
    **{
        f"conv{n}d": row(
            convolved(n),
            partial(plain_convolution, n),
            f"conv{n}d",
            torch=torch_convolution(f"conv{n}d"),
            more=LONG if n == 1 else (),
        )
        for n in (1, 2)
    },
    **{
        f"conv_transpose{n}d": row(transposed(n), partial(plain_transposed, n), f"conv_transpose{n}d")
        for n in (1, 2)
    },
    "unfold": row(unfolded, plain_unfold, "unfold"),
    "fold": row(folded, plain_fold, "fold"),
    **{
        f"{kind}_pool{n}d": row(
            pooled(n, values, kind),
            partial(plain_pool, n, kind),
            f"{kind}_pool{n}d",
            analytic=analytic,
            edges=TIES if (kind, n) == ("max", 1) else (),
        )
        for n in (1, 2)
        for kind, (values, analytic) in POOLS.items()
    },
    **{
        f"adaptive_{kind}_pool{n}d": row(
            in_parts(n, values),
            partial(plain_adaptive, n, reduce),
            f"adaptive_{kind}_pool{n}d",
            analytic=kind == "avg",
            torch=torch_adaptive(f"adaptive_{kind}_pool{n}d"),
        )
        for n in (1, 2)
        for kind, values, reduce in (("avg", real, np.mean), ("max", distinct, np.max))
    },
    "interpolate": row(resized, plain_interpolate, "interpolate"),
    **{
        f"upsample_{mode}": Op(
            scaled,
            reference=partial(plain_interpolate, mode=mode, align_corners=mode == "bilinear"),
            torch=partial(torch_upsample, mode),
            function=getattr(functional, f"upsample_{mode}"),
        )
        for mode in ("nearest", "bilinear")
    },
    "pixel_shuffle": row(shuffled, plain_shuffle, "pixel_shuffle"),
    "pixel_unshuffle": row(unshuffled, plain_unshuffle, "pixel_unshuffle"),
    "channel_shuffle": row(in_groups, plain_channels, "channel_shuffle"),
}
