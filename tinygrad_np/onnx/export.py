"""Writing a model as an ONNX file: recorded at several sizes, said step by step, and run beside the model."""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tinygrad_np.extras import import_optional
from tinygrad_np.files import atomic_write
from tinygrad_np.grad_mode import no_grad
from tinygrad_np.nn import Layer
from tinygrad_np.onnx import layers, shapes  # noqa: F401 - they fill TRANSLATIONS
from tinygrad_np.onnx.elementwise import TRANSLATIONS
from tinygrad_np.onnx.graph import Graph, all_equal
from tinygrad_np.onnx.recording import (
    Recording,
    Step,
    Value,
    Varying,
    aligned,
    arguments_of,
    arrays_in,
    as_array,
    in_evaluation,
    record,
    told,
)

OPSET = 19  # of ONNX's operators, from 2023
RECORDED = 3  # sizes: two fix a formula of a length, the third contradicts a wrong one
# Of each parameter of an example: three that are recorded, no two parameters in a proportion, so that a length
# tells which size it is; and three that are only run.
USUAL = ((3, 5, 4, 1, 2, 6), (7, 6, 11, 9, 1, 15), (10, 19, 12, 1, 23, 2), (14, 13, 21, 16, 1, 8))
TOLERANCE = 1e-5
LARGEST = 2**31 - 2**20  # bytes of a file


def export_onnx(
    model: Layer,
    path: str | os.PathLike[str],
    example: Callable[..., Any],
    *,
    sizes: Mapping[str, Sequence[int]] | None = None,
    output_names: Sequence[str] = (),
    metadata: Mapping[str, Any] | None = None,
) -> float:
    """Write a model, in evaluation, to an ONNX file that gives what the model gives, at any size.

    The model is run on examples of three sizes, and what it computed is written down: layers, functions, operators
    and those of NumPy, also in layers of your own. Then the file is run by onnxruntime, at these and at other
    sizes, and is written only if all numbers agree.

    Parameters
    ----------
    model : Layer
        What is written. It is left as it was.
    path : path
        The file, which appears whole or not at all.
    example : callable
        Makes inputs, as the model takes them, of given sizes: its parameters are the sizes that may vary, by the
        name that they have in the file, and what is none of them is fixed. It returns an array, a tuple of arrays,
        or a dict of them by the names of the parameters of `forward`, which are the inputs' names in the file.
        Draw the numbers at random, so that each call gives other ones::

            def example(batch, time):
                return rng.integers(0, 1000, (batch, time)), rng.integers(0, time + 1, batch)

    sizes : mapping, optional
        For a parameter of `example` four numbers or more, at which the model is tried, where it does not take the
        usual small ones. The first three are recorded: let them be in no proportion to those of other parameters.
    output_names : sequence of str
        Of the outputs, in their order; unless given the keys of a dict, or "output", or "output_0", "output_1", ...
    metadata : mapping, optional
        What the file says of itself, such as a configuration: numbers, texts, lists, dicts, each written as JSON.

    Returns
    -------
    float
        The largest distance between a number of the file's and of the model's, in parts of the larger of 1 and it.

    Raises
    ------
    ValueError
        The model does something that ONNX has no operator for, or that depends on sizes or values in a way that is
        not followed, or the file would give other numbers: one sentence, with the line of the model.
    ModuleNotFoundError
        onnx or onnxruntime is not installed.
    """
    import_optional("onnx")
    import_optional("onnxruntime")
    tried = choices(example, sizes or {})
    check_drawn(model, example, tried[0])
    recordings = [record(model, example, one) for one in tried[:RECORDED]]
    content, limits = translated(model, recordings, output_names, metadata or {})
    distance = compared(model, example, tried, content, limits)
    with atomic_write(path) as part:
        part.write_bytes(content)
    return distance


def choices(example: Callable[..., Any], sizes: Mapping[str, Sequence[int]]) -> list[dict[str, int]]:
    """The sizes at which the model is tried; at first those that are recorded, where no two sizes are one number.

    Raises
    ------
    ValueError
        Sizes are given of what is no parameter, or too few.
    """
    names = list(inspect.signature(example).parameters)
    if len(names) > len(USUAL) and not set(names) <= set(sizes):
        raise ValueError(
            f"export_onnx knows sizes for {len(USUAL)} parameters of the example, not for {len(names)}"
        )
    several = dict(zip(names, map(list, USUAL), strict=False))
    for name, given in sizes.items():
        if name not in names or len(set(given)) != len(given) or len(given) <= RECORDED:
            raise ValueError(
                f"export_onnx: sizes has for parameters of the example ({', '.join(names) or 'it has none'}) four "
                f"different numbers or more, and not {name}: {list(given)}"
            )
        several[name] = list(given)
    count = max([len(given) for given in several.values()], default=RECORDED + 1)
    return [{name: given[k % len(given)] for name, given in several.items()} for k in range(count)]


def check_drawn(model: Layer, example: Callable[..., Any], sizes: Mapping[str, int]) -> None:
    """Refuse examples that are not drawn: what depends on an input's numbers would pass for a constant.

    Raises
    ------
    ValueError
        An input holds the same numbers each time.
    """
    first, *others = (arguments_of(model, example(**sizes))[0] for _ in range(8))
    for name, x in first.items():
        if all(np.array_equal(as_array(x), as_array(other[name])) for other in others):
            raise ValueError(
                f"export_onnx: the example gives the same numbers for {name} each time; draw them at random, so "
                "that what depends on them is told from what is fixed"
            )


def translated(
    model: Layer, recordings: Sequence[Recording], output_names: Sequence[str], metadata: Mapping[str, Any]
) -> tuple[bytes, list[str]]:
    """The file's bytes, and what it cannot do at larger sizes."""
    steps, output, inputs = aligned(recordings)
    g = Graph(inputs)
    for step in steps:
        translate(g, step)
    g.step = Step("output", None, [], "the model's output")  # type: ignore[arg-type]
    onnx = g.onnx
    outputs = named_outputs(output, output_names)
    if both := [name for name in outputs if name in inputs]:
        raise ValueError(f"export_onnx: {', '.join(both)} names an input and an output; give output_names")
    results = [
        onnx.helper.make_node("Identity", [g.name(value)], [g.new_name(name)], name=name)
        for name, value in outputs.items()
    ]
    read = {name for node in (*g.nodes, *results) for name in node.input}
    if unread := [name for name in inputs if name not in read]:
        raise ValueError(
            f"export_onnx: the output does not depend on {', '.join(unread)} in any example; leave that input out, "
            "or draw examples in which it does, such as sequences that are shorter than others"
        )
    constants = {name: array for name, array in g.constants.items() if name in read}
    if (size := sum(array.nbytes for array in constants.values())) > LARGEST:
        raise ValueError(f"export_onnx: the file would have {size:,} bytes, and ONNX's format ends at 2 GB")
    graph = onnx.helper.make_graph(
        [*g.nodes, *results],
        type(model).__name__,
        [described(onnx, name, value, recordings) for name, value in inputs.items()],
        [
            described(onnx, node.output[0], value, recordings)
            for node, value in zip(results, outputs.values(), strict=True)
        ],
        [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    proto = onnx.helper.make_model(
        graph,
        producer_name="tinygrad_np",
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=9,
    )
    onnx.helper.set_model_props(
        proto,
        {"model": repr(model)}
        | {key: json.dumps(value, ensure_ascii=False) for key, value in metadata.items()},
    )
    onnx.checker.check_model(proto, full_check=True)
    return bytes(proto.SerializeToString()), g.limits


def translate(g: Graph, step: Step) -> None:
    """Say one step, or compute it here and now where nothing in it depends on an input.

    Raises
    ------
    ValueError
        ONNX has no counterpart that is known here.
    """
    g.step = step
    arguments = (*step.arguments.args, *step.arguments.kwargs.values())
    if is_fixed(arguments) and all(all_equal(out.arrays) for out in step.outputs):
        of = [value.name for value in values_in(arguments) if value.name]
        for out in step.outputs:
            out.constant, out.name = True, g.new_name(f"{of[0] if of else 'constant'}.{step.function}")
            g.constants[out.name] = np.ascontiguousarray(out.arrays[0]).reshape(out.arrays[0].shape)
        return
    if step.function not in TRANSLATIONS:
        raise ValueError(f"{step.line}: {step.function} has no counterpart in ONNX that is known here")
    made = TRANSLATIONS[step.function](g, *step.arguments.args, **step.arguments.kwargs)
    for value, name in zip(step.outputs, made if isinstance(made, tuple) else (made,), strict=True):
        value.name = g.name(name)


def values_in(x: Any) -> list[Value]:
    """The values in an argument, in tuples, lists, dicts and slices too."""
    if isinstance(x, Value):
        return [x]
    parts = x.values() if isinstance(x, dict) else (x.start, x.stop, x.step) if isinstance(x, slice) else x
    return (
        [value for part in parts for value in values_in(part)]
        if isinstance(x, tuple | list | dict | slice)
        else []
    )


def is_fixed(x: Any) -> bool:
    """Whether an argument is the same at all sizes and for all inputs."""
    if isinstance(x, Value):
        return x.constant or (not x.name and all_equal(x.arrays))
    if isinstance(x, Varying):
        return False
    parts = x.values() if isinstance(x, dict) else (x.start, x.stop, x.step) if isinstance(x, slice) else x
    return all(map(is_fixed, parts)) if isinstance(x, tuple | list | dict | slice) else True


def named_outputs(output: Any, names: Sequence[str]) -> dict[str, Value]:
    """What the model returns, by name.

    Raises
    ------
    ValueError
        There are as many names as there are no outputs.
    """
    found = dict(leaves(output, ""))
    if not names:
        return found
    if len(names) != len(found) or len(set(names)) != len(names):
        raise ValueError(
            f"export_onnx: the model returns {len(found)} arrays, and output_names are {list(names)}"
        )
    return dict(zip(map(str, names), found.values(), strict=True))


def leaves(output: Any, name: str) -> Iterator[tuple[str, Value]]:
    """The values in what a model returns, each with the keys and numbers that lead to it for a name."""
    if isinstance(output, Value):
        yield name or "output", output
    elif isinstance(output, dict) or hasattr(output, "_fields"):
        for key, part in (output if isinstance(output, dict) else output._asdict()).items():
            yield from leaves(part, f"{name}_{key}" if name else str(key))
    elif isinstance(output, tuple | list):
        for i, part in enumerate(output):
            yield from leaves(part, f"{name or 'output'}_{i}")


def described(onnx: Any, name: str, value: Value, recordings: Sequence[Recording]) -> Any:
    """An input or output as the file declares it: lengths that vary by the names of the sizes."""
    by_values = {tuple([one.sizes[size] for one in recordings]): size for size in recordings[0].sizes}
    lengths: list[Any] = [
        by_values.get(n.values, f"{name}_{axis}") if isinstance(n, Varying) else n
        for axis, n in enumerate(value.shape)
    ]
    kind = onnx.helper.np_dtype_to_tensor_dtype(value.dtype)
    return onnx.helper.make_tensor_value_info(name, kind, lengths)


def compared(
    model: Layer,
    example: Callable[..., Any],
    tried: Sequence[Mapping[str, int]],
    content: bytes,
    limits: Sequence[str],
) -> float:
    """Run the file and the model on new examples; the largest distance.

    Raises
    ------
    ValueError
        onnxruntime cannot run the file, or its numbers are other ones.
    """
    runtime = import_optional("onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    worst = 0.0
    try:
        session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ValueError(f"export_onnx: onnxruntime does not take the file: {error}") from error
    for k, sizes in enumerate(tried):
        try:
            one = plain_run(model, example, sizes)
        except (ValueError, IndexError):
            if k in (0, len(tried) - 1):
                raise
            continue  # the model does not take one that is so small
        wanted = [as_array(x) for x in arrays_in(one.output)]
        try:
            found = session.run(None, one.inputs)
        except Exception as error:
            why = "; ".join([" ".join(str(error).split()), *limits])
            raise ValueError(
                f"export_onnx: at {told(sizes)} onnxruntime cannot run the file: {why}"
            ) from error
        for info, x, y in zip(session.get_outputs(), found, wanted, strict=True):
            distance = apart(x, y)
            if not distance <= TOLERANCE:
                raise ValueError(
                    f"export_onnx: at {told(sizes)} {info.name} of the file is {distance:.1e} off the model's "
                    f"({x.dtype}{list(x.shape)} and {y.dtype}{list(y.shape)}), so nothing was written: something "
                    "in the model depends on sizes or values in a way that is not followed"
                )
            worst = max(worst, distance)
    return worst


def plain_run(model: Layer, example: Callable[..., Any], sizes: Mapping[str, int]) -> Recording:
    """What the model gives for a new example."""
    given, call = arguments_of(model, example(**sizes))
    with in_evaluation(model), no_grad():
        return Recording(sizes, {name: as_array(x) for name, x in given.items()}, call(given), [], {})


def apart(x: np.ndarray, y: np.ndarray) -> float:
    """The largest distance, in parts of the larger of 1 and y; infinite where shapes, dtypes or NaN differ."""
    if x.shape != y.shape or x.dtype != y.dtype:
        return np.inf
    if not x.size:
        return 0.0
    if x.dtype.kind != "f":
        return 0.0 if np.array_equal(x, y) else np.inf
    with np.errstate(invalid="ignore"):
        distances = np.abs(x - y) / np.maximum(1, np.abs(y))
    agree = (x == y) | (np.isnan(x) & np.isnan(y))
    return float(np.where(agree, 0, np.nan_to_num(distances, nan=np.inf)).max())
