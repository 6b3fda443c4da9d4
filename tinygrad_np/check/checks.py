"""What is checked of a row, one function each. A check raises an AssertionError, or returns the error it found.

Those of ops take the row's name, the arrays and static parameters of one case, and a generator; so the command
draws the cases from seeds, and the tests let hypothesis draw them in every memory layout.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias
from unittest import mock

import numpy as np

from tinygrad_np import functional, nn, optim, tape
from tinygrad_np.check.cases import LAYERS, LOSSES, OPS, OPTIMIZERS
from tinygrad_np.check.draw import Rng
from tinygrad_np.check.gradient import gradcheck, gradgradcheck
from tinygrad_np.check.rows import Edge, LayerCase, LossCase
from tinygrad_np.grad_mode import CREATE_GRAPH, GRAD, set_grad_mode
from tinygrad_np.ops.shape import concatenate
from tinygrad_np.tensor import Tensor

Function: TypeAlias = Callable[..., Tensor]
Static: TypeAlias = dict[str, Any]

FORWARD_TOLERANCE = 1e-13  # relative, of a value against its reference


# --- ops ----------------------------------------------------------------------------------------------


def op(name: str) -> Callable[..., Any]:
    """What a row tries: the primitive of its name as it is declared now, or the composed function."""
    function = OPS[name].function
    return tape.PRIMITIVES[name] if function is None else function


def numpy_functions(name: str) -> list[Callable[..., Any]]:
    """NumPy's functions that a row's op answers for with the very same arguments."""
    call = op(name)
    answers = {f: a.args[1] if isinstance(a, partial) else a for f, a in tape.NUMPY.items()}
    return [f for f, answer in answers.items() if call in (f, answer)]


def concatenate_outputs(out: Tensor | Sequence[Tensor]) -> Tensor:
    """Several outputs as one, each flattened; a single one as it is."""
    return out if isinstance(out, Tensor) else concatenate(*(part.reshape(-1) for part in out))


def has_several_outputs(name: str) -> bool:
    arrays, static = OPS[name].draw(np.random.default_rng(0), (2, 3))
    return isinstance(op(name)(*map(Tensor, arrays), **static), tuple)


def function_of_floats(
    name: str, arrays: Sequence[np.ndarray], static: Static, outputs: slice = slice(None)
) -> tuple[Function, list[np.ndarray]]:
    """An op as a function of its floating-point arrays alone, and those arrays.

    Of several outputs, those in the slice are made one.
    """
    is_float = [x.dtype.kind == "f" for x in arrays]

    def f(*floats: Any) -> Tensor:
        rest = iter(floats)
        given: Sequence[Any] = [next(rest) if real else x for real, x in zip(is_float, arrays, strict=True)]
        if (prepare := OPS[name].prepare) is not None:
            given = prepare(*given)
        out: Any = op(name)(*given, **static)
        return concatenate_outputs(out[outputs] if isinstance(out, tuple) else out)

    return f, [x for x, real in zip(arrays, is_float, strict=True) if real]


def check_gradient(name: str, arrays: list[np.ndarray], static: Static, rng: Rng) -> float:
    """The gradient against an independent derivative."""
    return gradcheck(*function_of_floats(name, arrays, static), rng, OPS[name].analytic)


def check_second_order(name: str, arrays: list[np.ndarray], static: Static, rng: Rng) -> float:
    """The derivative of the gradient against differences of it."""
    return gradgradcheck(*function_of_floats(name, arrays, static), rng)


def check_one_output(name: str, arrays: list[np.ndarray], static: Static, rng: Rng) -> float:
    """Of several outputs one alone, where nothing comes back from the others; first and second order."""
    outs = op(name)(*map(Tensor, arrays), **static)
    if not isinstance(outs, tuple):
        return 0.0
    k = int(rng.integers(len(outs)))
    f, floats = function_of_floats(name, arrays, static, slice(k, k + 1))
    return max(gradcheck(f, floats, rng, OPS[name].analytic), gradgradcheck(f, floats, rng))


def check_value(name: str, arrays: list[np.ndarray], static: Static, rng: Rng) -> None:
    """The forward value against the reference."""
    reference = OPS[name].reference or getattr(np, name)
    out = op(name)(*map(Tensor, arrays), **static)
    expected = reference(*arrays, **static)
    pairs = zip(out, expected, strict=True) if isinstance(out, tuple) else [(out, expected)]
    for ours, theirs in pairs:
        assert ours.shape == np.shape(theirs), (
            f"the value has shape {ours.shape}, and should be {np.shape(theirs)}"
        )
        np.testing.assert_allclose(ours.data, theirs, rtol=FORWARD_TOLERANCE, atol=FORWARD_TOLERANCE / 10)


def check_create_graph(name: str, arrays: list[np.ndarray], static: Static, rng: Rng) -> None:
    """Value and gradient are the same where higher derivatives may be asked for; there composites are called."""
    f, floats = function_of_floats(name, arrays, static)
    cotangent = rng.standard_normal(f(*map(Tensor, floats)).shape)
    found = []
    for mode in (CREATE_GRAPH, GRAD):
        tensors = [Tensor(x, requires_grad=True) for x in floats]
        with set_grad_mode(mode):
            out = f(*tensors)
        out.backward(cotangent)
        found.append([out.data, *map(gradient_of, tensors)])
    for with_graph, without in zip(*found, strict=True):
        np.testing.assert_allclose(with_graph, without, rtol=1e-12, atol=1e-13)


def check_float32(name: str, arrays: list[np.ndarray], static: Static, rng: Rng) -> None:
    """float32 stays float32, there and back, and neither inputs nor incoming gradient are written to."""
    if "dtype" in static:
        static = {**static, "dtype": np.dtype(np.float32)}
    arrays = [x.astype(np.float32) if x.dtype == np.float64 else x for x in arrays]
    tensors = [Tensor(x, requires_grad=x.dtype == np.float32) for x in arrays]
    before = [t.data.copy() for t in tensors]
    outs = op(name)(*[t if t.requires_grad else t.data for t in tensors], **static)
    for one in outs if isinstance(outs, tuple) else [outs]:
        assert one.dtype == np.float32, f"float32 became {one.dtype}"
        assert one.requires_grad
    out = concatenate_outputs(outs)
    cotangent = np.ones(out.shape, np.float32)
    for array in (cotangent, *(t.data for t in tensors)):
        array.flags.writeable = False
    out.backward(cotangent)
    for tensor, array in zip(tensors, before, strict=True):
        np.testing.assert_array_equal(tensor.data, array)
        if tensor.requires_grad and tensor.grad is not None:
            assert tensor.grad.dtype == np.float32, f"the gradient of a float32 array is {tensor.grad.dtype}"
            assert tensor.grad.shape == tensor.shape
            assert tensor.grad.flags.writeable


def check_numpy(name: str, arrays: list[np.ndarray], static: Static, rng: Rng) -> None:
    """NumPy's function called with Tensors gives NumPy's value and the gradient, to all and to each argument."""
    prepare = OPS[name].prepare or (lambda *xs: xs)
    for function in numpy_functions(name):
        check_numpy_call(lambda *xs, f=function: f(*prepare(*xs), **static), arrays, rng)


def check_numpy_call(call: Callable[..., Any], arrays: Sequence[np.ndarray], rng: Rng) -> None:
    """One way to call a function of NumPy, on arrays and on Tensors."""
    is_float = [x.dtype.kind == "f" for x in arrays]
    expected = call(*arrays)
    out = call(
        *[Tensor(x, requires_grad=True) if real else x for x, real in zip(arrays, is_float, strict=True)]
    )
    assert type(out) is Tensor, f"Tensors gave {type(out).__name__}"
    assert out.shape == np.shape(expected)
    np.testing.assert_allclose(out.data, expected, rtol=1e-14)
    cotangent = rng.standard_normal(out.shape)
    for i in [i for i, real in enumerate(is_float) if real]:  # to each argument alone, the others constants
        if not (arrays[i].size and out.size):
            continue

        def one(x: Any, i: int = i) -> Tensor:
            return call(*arrays[:i], x, *arrays[i + 1 :])  # type: ignore[no-any-return]

        tensor = Tensor(arrays[i], requires_grad=True)
        part = one(tensor)
        assert part.requires_grad, f"the gradient of argument {i} is lost"
        part.backward(cotangent)
        gradcheck(one, [arrays[i]], rng, False)


def answered(name: str, rng: Rng) -> set[Callable[..., Any]]:
    """NumPy's functions that the calls of a row reach, each checked on the way."""
    reached = set(numpy_functions(name))

    def recorder(function: Callable[..., Any], answer: Callable[..., Any]) -> Callable[..., Any]:
        def record(*args: Any, **kwargs: Any) -> Any:
            reached.add(function)
            return answer(*args, **kwargs)

        return record

    with mock.patch.dict(tape.NUMPY, {f: recorder(f, answer) for f, answer in tape.NUMPY.items()}):
        for call, arrays in OPS[name].calls:
            check_numpy_call(call, arrays, rng)
    return reached


def check_edge(name: str, edge: Edge) -> None:
    """The documented gradients; where they are finite, nothing on the way to them may divide by 0."""
    tensors = [Tensor(np.asarray(x, float), requires_grad=True) for x in edge.arrays]
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the forward, such as the mean of nothing
        out = concatenate_outputs(op(name)(*tensors, **edge.static))
    finite = np.isfinite(np.concatenate([np.ravel(x) for x in edge.expected])).all()
    with np.errstate(all="raise" if finite else "ignore", under="ignore"):
        out.backward(np.asarray(edge.g, float))
    for tensor, expected in zip(tensors, edge.expected, strict=True):
        np.testing.assert_allclose(gradient_of(tensor), np.asarray(expected, float), rtol=1e-12)


def gradient_of(tensor: Tensor) -> np.ndarray:
    """The gradient that arrived; zeros where nothing did."""
    return np.zeros(tensor.shape, tensor.dtype) if tensor.grad is None else tensor.grad


OP_CHECKS: dict[str, Callable[[str, list[np.ndarray], Static, Rng], float | None]] = {
    "gradient": check_gradient,
    "second order": check_second_order,
    "one output": check_one_output,
    "value": check_value,
    "create graph": check_create_graph,
    "float32": check_float32,
    "numpy": check_numpy,
}


# --- layers, losses, optimizers -----------------------------------------------------------------------


def with_weights(case: LayerCase) -> tuple[Function, list[np.ndarray]]:
    """A layer as a function of its floating-point inputs and of all of its weights, and a point to try it at."""
    layer, inputs = case.layer, case.inputs
    weights = layer.named_parameters()
    names, arrays = list(weights.keys()), [p.data for p in weights.values()]
    is_float = [x.dtype.kind == "f" for x in inputs]

    def f(*tensors: Tensor) -> Tensor:
        rest = iter(tensors)
        given = [next(rest) if real else x for real, x in zip(is_float, inputs, strict=True)]
        for name, tensor in zip(names, rest, strict=True):
            *path, attribute = name.split(".")
            owner: Any = layer
            for part in path:
                owner = owner[int(part)] if isinstance(owner, list) else getattr(owner, part)
            setattr(owner, attribute, tensor)
        return concatenate_outputs(case.call(layer, *given))

    floats = [x for x, real in zip(inputs, is_float, strict=True) if real]
    return f, [*floats, *arrays]


def check_layer(name: str, rng: Rng) -> float:
    """The gradient of a layer with respect to inputs and weights."""
    case = LAYERS[name](rng)
    assert type(case.layer) is getattr(nn, name), f"the row tries a {type(case.layer).__name__}"
    return gradcheck(*with_weights(case), rng)


def check_loss(name: str, rng: Rng) -> float:
    """Value, gradient and second derivative of a loss."""
    row = LOSSES[name]
    case = row.draw(rng)
    loss = partial(getattr(functional, name), **case.keywords)
    out = loss(*map(Tensor, case.inputs), *case.constants)
    expected = loss_reduced(row.reference(*case.inputs, *case.constants, **case.settings), case)
    assert out.shape == np.shape(expected), f"the value has shape {out.shape}, not {np.shape(expected)}"
    np.testing.assert_allclose(out.data, expected, rtol=1e-12, atol=1e-13)

    def of_inputs(*inputs: Tensor) -> Tensor:
        whole: Tensor = loss(*inputs, *case.constants)
        return whole

    return max(gradcheck(of_inputs, case.point, rng), gradgradcheck(of_inputs, case.point, rng))


def loss_reduced(expected: Any, case: LossCase) -> np.ndarray:
    """What a reference says, a number an element and perhaps the divisor of the mean, reduced as the case asks."""
    each, total = expected if isinstance(expected, tuple) else (np.asarray(expected), np.size(expected))
    if case.reduction == "batchmean":
        total = len(case.inputs[0])
    return (
        each
        if case.reduction == "none"
        else np.asarray(each.sum() / (1 if case.reduction == "sum" else total))
    )


def check_optimizer(name: str, rng: Rng) -> float:
    """Some steps of an optimizer against its published rule, number by number; the relative error."""
    row = OPTIMIZERS[name]
    settings = dict([{}, *row.settings][rng.integers(len(row.settings) + 1)])
    start = real_parameters(rng)
    gradients = [real_parameters(rng) for _ in range(rng.integers(1, 8))]
    parameters = [Tensor(p, requires_grad=True) for p in start]
    optimizer = getattr(optim, name)(parameters, **settings)
    for step in gradients:
        for p, g in zip(parameters, step, strict=True):
            p.grad = g
        optimizer.step()
        for p, g in zip(parameters, step, strict=True):
            np.testing.assert_array_equal(gradient_of(p), g)  # left as it is
    worst = 0.0
    for k, p in enumerate(parameters):
        for place in np.ndindex(p.shape):
            gs = [float(step[k][place]) for step in gradients]
            expected = row.rule(float(start[k][place]), gs, **settings)
            error = abs(float(p.data[place]) - expected) / max(abs(expected), abs(float(start[k][place])))
            assert error <= 1e-12, f"the update is {p.data[place]}, and should be {expected} ({settings})"
            worst = max(worst, error)
    return worst


def real_parameters(rng: Rng) -> list[np.ndarray]:
    return [np.asarray(rng.standard_normal(shape)) for shape in ((2, 3), (4,), ())]
