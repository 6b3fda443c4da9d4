"""How recurrent networks, convolutions, pooling, bags of words and attention are said in ONNX."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_np.functional.common import per_axis
from tinygrad_np.onnx.elementwise import promoted, translates
from tinygrad_np.onnx.graph import Graph, Operand, all_equal
from tinygrad_np.onnx.recording import Value, Varying, number
from tinygrad_np.onnx.shapes import added_at, reshaped

# --- recurrent ----------------------------------------------------------------------------------------

ORDER = {"LSTM": [0, 3, 1, 2], "GRU": [1, 0, 2], "RNN": [0]}  # the gates as ONNX has them, i o f c and z r h


def recurrent(
    g: Graph,
    kind: str,
    x: Value,
    states: Sequence[Value],
    weights: Sequence[Value],
    lengths: Value | None,
    reverse: bool,
    indices: Value | None,
    **attributes: Any,
) -> Any:
    """One layer in one direction. ONNX's sequences are time first, and its weights have an axis of directions.

    A length of 0 is told as 1, and what comes out of that sequence replaced: programs differ in what they make of
    it, and old ones read beyond their memory.
    """
    order, hidden = ORDER[kind], states[0].shape[1]
    dtype = g.out.dtype
    w, r, b_w, b_r = (fixed(g, weight) for weight in weights)
    w, r, b_w, b_r = (
        array.reshape(len(order), hidden, *array.shape[1:])[order].reshape(array.shape)
        for array in (w, r, b_w, b_r)
    )
    inputs = (
        g.cast(x, dtype) if indices is None else g.op("Gather", g.cast(x, dtype), g.cast(indices, np.int64))
    )
    names = [f"{weight.name or kind}.{kind}" for weight in weights]
    constants = [
        g.constant(w[np.newaxis].astype(dtype), names[0]),
        g.constant(r[np.newaxis].astype(dtype), names[1]),
        g.constant(np.concatenate([b_w, b_r])[np.newaxis].astype(dtype), names[2]),
    ]
    steps = None if lengths is None else g.op("Max", g.cast(lengths, np.int32), np.int32(1))
    initial = [g.op("Unsqueeze", g.cast(state, dtype), g.axes(0)) for state in states]
    output, *last = g.op(
        kind,
        g.op("Transpose", inputs, perm=[1, 0, 2]),
        *constants,
        steps,
        *initial,
        outputs=1 + len(states),
        hidden_size=int(hidden),
        direction="reverse" if reverse else "forward",
        **attributes,
    )
    output = g.op("Transpose", g.op("Squeeze", output, g.axes(1)), perm=[1, 0, 2])
    last = [g.op("Squeeze", state, g.axes(0)) for state in last]
    if lengths is None:
        return output, *last
    empty = g.op("Unsqueeze", g.op("Equal", g.cast(lengths, np.int32), np.int32(0)), g.axes(1))
    output = g.op("Where", g.op("Unsqueeze", empty, g.axes(2)), np.zeros((), dtype), output)
    return output, *[g.op("Where", empty, g.cast(s, dtype), end) for s, end in zip(states, last, strict=True)]


def fixed(g: Graph, weight: Value) -> np.ndarray:
    """The numbers of a weight."""
    if not all_equal(weight.arrays) or not (weight.constant or not weight.name):
        raise ValueError(f"{g.step.line}: the weights of {g.step.function} are computed from the inputs")
    return weight.arrays[0]


@translates()
def lstm(g: Graph, x: Value, h: Value, c: Value, *weights: Value, **kwargs: Any) -> Any:
    return recurrent(g, "LSTM", x, (h, c), weights, **several(kwargs))


@translates()
def gru(g: Graph, x: Value, h: Value, *weights: Value, **kwargs: Any) -> Any:
    return recurrent(g, "GRU", x, (h,), weights, **several(kwargs), linear_before_reset=1)


@translates()
def rnn_composed(
    g: Graph, x: Value, h: Value, *weights: Value, nonlinearity: str = "tanh", **kwargs: Any
) -> Any:
    return recurrent(g, "RNN", x, (h,), weights, **several(kwargs), activations=[nonlinearity.capitalize()])


def several(kwargs: dict[str, Any]) -> dict[str, Any]:
    """The settings of a recurrent layer, all of them."""
    return {"lengths": None, "reverse": False, "indices": None} | {
        key: value for key, value in kwargs.items() if key != "mask"
    }


# --- windows ------------------------------------------------------------------------------------------


def with_batch(g: Graph, axes: int, x: Value) -> tuple[Operand, bool]:
    """(batch, channels, *lengths), and whether there was no batch."""
    alone = x.ndim == axes + 1
    (y,) = promoted(g, x)
    return (g.op("Unsqueeze", y, g.axes(0)) if alone else y), alone


def without(g: Graph, y: str, alone: bool) -> Any:
    """Without the batch that was added."""
    return g.op("Squeeze", y, g.axes(0)) if alone else y


@translates()
def _convolve(
    g: Graph,
    name: str,
    axes: int,
    input: Value,
    weight: Value,
    bias: Value | None,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
) -> Any:
    x, alone = with_batch(g, axes, input)
    strides, dilations = per_axis(name, axes, 1, stride=stride, dilation=dilation)
    kernel = weight.shape[2:]
    if padding == "same":
        beyond = [d * (k - 1) for k, d in zip(kernel, dilations, strict=True)]
        pads = [n // 2 for n in beyond] + [n - n // 2 for n in beyond]
    else:
        pads = [0] * 2 * axes if padding == "valid" else [*per_axis(name, axes, padding=padding)[0]] * 2
    y = g.op(
        "Conv", x, *promoted(g, weight, *[b for b in (bias,) if b is not None]),
        strides=list(strides), dilations=list(dilations), pads=pads, group=groups, kernel_shape=list(kernel),
    )  # fmt: skip
    return without(g, y, alone)


@translates()
def _transposed(
    g: Graph,
    name: str,
    axes: int,
    input: Value,
    weight: Value,
    bias: Value | None,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: int,
    dilation: Any,
) -> Any:
    x, alone = with_batch(g, axes, input)
    strides, dilations = per_axis(name, axes, 1, stride=stride, dilation=dilation)
    sides, more = per_axis(name, axes, padding=padding, output_padding=output_padding)
    y = g.op(
        "ConvTranspose", x, *promoted(g, weight, *[b for b in (bias,) if b is not None]),
        strides=list(strides), dilations=list(dilations), pads=[*sides, *sides], output_padding=list(more),
        group=groups, kernel_shape=list(weight.shape[2:]),
    )  # fmt: skip
    return without(g, y, alone)


def window(
    g: Graph, name: str, axes: int, kernel: Any, stride: Any, padding: Any, ceil_mode: bool
) -> dict[str, Any]:
    """The settings that pooling has."""
    if ceil_mode:
        raise ValueError(
            f"{g.step.line}: ceil_mode means something else in ONNX; leave it out, or pad the input"
        )
    stride = kernel if stride is None or stride in ([], ()) else stride
    kernels, strides = per_axis(name, axes, 1, kernel_size=kernel, stride=stride)
    (sides,) = per_axis(name, axes, padding=padding)
    return {"kernel_shape": list(kernels), "strides": list(strides), "pads": [*sides, *sides]}


@translates()
def _max_pool(
    g: Graph,
    name: str,
    axes: int,
    input: Value,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
    return_indices: bool,
) -> Any:
    if return_indices:
        raise ValueError(
            f"{g.step.line}: the places of {name} (return_indices) are counted otherwise in ONNX"
        )
    x, alone = with_batch(g, axes, input)
    (dilations,) = per_axis(name, axes, 1, dilation=dilation)
    settings = window(g, name, axes, kernel_size, stride, padding, ceil_mode)
    return without(g, g.op("MaxPool", x, dilations=list(dilations), **settings), alone)


@translates()
def _avg_pool(
    g: Graph,
    name: str,
    axes: int,
    input: Value,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Any:
    x, alone = with_batch(g, axes, input)
    settings = window(g, name, axes, kernel_size, stride, padding, ceil_mode)
    counted = int(count_include_pad or divisor_override is not None)
    y = g.op("AveragePool", x, count_include_pad=counted, **settings)
    if divisor_override is not None:
        y = g.op("Mul", y, np.asarray(math.prod(settings["kernel_shape"]) / divisor_override, g.out.dtype))
    return without(g, y, alone)


@translates()
def im2col(
    g: Graph, x: Value, *, kernel: Any, stride: Any, dilation: Any, padding: Any, fill: float = 0.0
) -> Any:
    """Windows, taken along one axis after the other: each axis becomes two, of a window and of places."""
    axes = len(kernel)
    lead = x.ndim - axes
    if any(isinstance(n, Varying) for pair in padding for n in pair):
        raise ValueError(f"{g.step.line}: a padding that depends on the input's length is not known here")
    pads = [0] * lead + [before for before, _ in padding] + [0] * lead + [after for _, after in padding]
    y = g.op("Pad", x, g.constant(np.array(pads, np.int64)), np.asarray(fill, x.dtype)) if any(pads) else x
    for i in range(axes):
        span, axis = dilation[i] * (kernel[i] - 1) + 1, lead + 2 * i
        room = g.op("Sub", g.op("Shape", y, start=axis, end=axis + 1), np.array([span]))
        places = g.op("Squeeze", g.op("Add", g.op("Div", room, np.array([stride[i]])), np.array([1])))
        starts = g.op("Mul", g.op("Range", np.int64(0), places, np.int64(1)), np.int64(stride[i]))
        within = (np.arange(kernel[i]) * dilation[i]).reshape(-1, 1)
        y = g.op("Gather", y, g.op("Add", within, starts), axis=axis)
    order = [*range(lead), *(lead + 2 * i for i in range(axes)), *(lead + 2 * i + 1 for i in range(axes))]
    return g.op("Transpose", y, perm=order)


@translates()
def col2im(g: Graph, cols: Value, *, lengths: Any, stride: Any, dilation: Any, padding: Any) -> Any:
    axes = len(lengths)
    kernel, places = cols.shape[-2 * axes : -axes], [array.shape[-axes:] for array in cols.arrays]
    columns = number([math.prod(one) for one in places])
    flat = g.op("Reshape", cols, g.shape([-1, math.prod(kernel), columns], cols))
    image = g.op(
        "Col2Im", flat, g.shape(lengths, cols), g.axes(*kernel),
        strides=list(stride), dilations=list(dilation), pads=np.transpose(padding).reshape(-1).tolist(),
    )  # fmt: skip
    return reshaped(g, image, (), g.out.shape, cols)


# --- bags of words, attention -------------------------------------------------------------------------


@translates()
def embedding_bag(
    g: Graph,
    indices: Value,
    weight: Value,
    offsets: Value | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Value | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Any:
    """Rows, each with a factor or hidden, and reduced over axis 1, or added up where offsets say."""
    if max_norm is not None:
        raise ValueError(f"{g.step.line}: max_norm changes the table, and a file does not change")
    dtype = g.out.dtype
    numbers = g.cast(indices, np.int64)
    rows = g.op("Gather", g.cast(weight, dtype), numbers)
    there = None  # (..., 1), 1 for a row that counts
    if padding_idx is not None:
        real = g.op("Not", g.op("Equal", numbers, np.int64(padding_idx % len(weight.arrays[0]))))
        there = g.op("Unsqueeze", g.cast(real, dtype), g.axes(-1))
    if per_sample_weights is not None:
        factors = g.cast(per_sample_weights, dtype)
        one_each = per_sample_weights.ndim == indices.ndim
        rows = g.op("Mul", rows, g.op("Unsqueeze", factors, g.axes(-1)) if one_each else factors)
    ones = g.op(
        "Expand",
        np.ones((1,) * (indices.ndim + 1), dtype),
        g.op("Shape", g.op("Unsqueeze", numbers, g.axes(-1))),
    )
    there = ones if there is None else there
    if mode == "max":
        rows = g.op("Where", g.cast(there, bool), rows, np.asarray(-np.inf, dtype))
    else:
        rows = g.op("Mul", rows, there)
    if offsets is None:
        total = g.op("ReduceMax" if mode == "max" else "ReduceSum", rows, g.axes(1), keepdims=0)
        count = g.op("ReduceSum", there, g.axes(1), keepdims=0)
    else:
        bags, number_of_bags = bags_of(g, numbers, offsets, include_last_offset)
        features = np.array([weight.shape[1]], np.int64)
        shape = g.op("Concat", number_of_bags, features, axis=0)
        total = added_at(g, rows, bags, shape, dtype, "max" if mode == "max" else "add")
        count = added_at(g, there, bags, g.op("Concat", number_of_bags, np.array([1]), axis=0), dtype)
    if mode == "sum":
        return total
    if mode == "max":
        return g.op("Where", g.op("Greater", count, np.zeros((), dtype)), total, np.zeros((), dtype))
    return g.op("Div", total, g.op("Max", count, np.ones((), dtype)))


def bags_of(g: Graph, numbers: Operand, offsets: Value, include_last_offset: bool) -> tuple[str, str]:
    """The bag of each index: how many bags have begun up to there, less 1; and how many bags there are."""
    starts = g.cast(offsets, np.int64)
    if include_last_offset:
        starts = g.op("Slice", starts, g.axes(0), g.axes(-1), g.axes(0))
    length = g.op("Shape", numbers)
    base = g.op(
        "ConstantOfShape",
        g.op("Add", length, np.array([1])),
        value=g.onnx.numpy_helper.from_array(np.array([0])),
    )
    many = g.op("Shape", starts)
    ones = g.op("Expand", np.array([1]), many)
    begun = g.op("ScatterElements", base, starts, ones, axis=0, reduction="add")
    up_to = g.op("Slice", g.op("CumSum", begun, np.int64(0)), g.axes(0), length, g.axes(0))
    return str(g.op("Sub", up_to, np.int64(1))), str(many)


@translates()
def attention_weights(g: Graph, name: str, q: Value, k: Value, mask: Any, scale: float | None) -> Any:
    """softmax(q k^T scale + mask), and 0 of a query that may attend to nothing."""
    dtype = g.out.dtype
    scale = (1 / math.sqrt(q.shape[-1]) if q.shape[-1] else 1.0) if scale is None else scale
    turned = [*range(k.ndim - 2), k.ndim - 1, k.ndim - 2]
    q, keys = g.cast(q, dtype), g.op("Transpose", g.cast(k, dtype), perm=turned)
    scores = g.op("MatMul", g.op("Mul", q, np.asarray(scale, dtype)), keys)
    if mask is None:
        return g.op("Softmax", scores, axis=-1)
    lowest, zero = np.asarray(-np.inf, dtype), np.zeros((), dtype)
    is_bool = mask.dtype == bool
    scores = g.op("Where", mask, scores, lowest) if is_bool else g.op("Add", scores, g.cast(mask, dtype))
    nothing = g.op("Equal", g.op("ReduceMax", scores, g.axes(-1), keepdims=1), lowest)
    weights = g.op("Softmax", g.op("Where", nothing, zero, scores), axis=-1)
    return g.op("Where", nothing, zero, weights)
