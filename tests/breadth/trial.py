"""One sample on both sides: value, and the gradient of a random cotangent, or what went wrong."""

from __future__ import annotations

import inspect
import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from tests.breadth.names import candidates, layer, optimizer
from tests.breadth.outcomes import GRADIENT, LEFT_OUT, MISSING, PASS, RAISED, VALUE, Trial
from tests.breadth.samples import (
    SEED,
    Leaf,
    LeftOut,
    Sample,
    call_of,
    family,
    frozen,
    full_name,
    made,
    module_inputs,
    modules,
    of_ours,
    of_torch,
    ops,
    optimizers,
    samples_of,
    seed,
    spread,
)
from tinygrad_np import Tensor

RTOL = 1e-10  # of the largest number of an array
ATOL = 1e-13  # where all numbers are 0 but for rounding
SECONDS = 20
STEPS = 10
IMPLEMENTATION = {
    "foreach",
    "fused",
    "capturable",
    "differentiable",
}  # how PyTorch computes an update, not what


@contextmanager
def patience() -> Iterator[None]:
    """Nothing may take longer than some seconds."""

    def late(*_: Any) -> None:
        raise TimeoutError(f"took more than {SECONDS} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def flat(result: Any) -> list[Any]:
    """The arrays of a result, however it holds them."""
    if isinstance(result, tuple | list):
        return [one for part in result for one in flat(part)]
    if isinstance(result, dict):
        return [one for part in result.values() for one in flat(part)]
    return [] if result is None else [result]


def array(x: Any) -> np.ndarray:
    """The numbers of either side."""
    if isinstance(x, torch.Tensor):
        return x.detach().numpy()
    return x.data if isinstance(x, Tensor) else np.asarray(x)


def difference(ours: np.ndarray, theirs: np.ndarray) -> str | None:
    """How two arrays differ, or None. Where PyTorch has NaN for a gradient, see `compare`."""
    if ours.shape != theirs.shape:
        return f"shape {ours.shape} for {theirs.shape}"
    if ours.dtype.kind not in "biuf":
        return f"an array of {ours.dtype}"
    finite = np.abs(theirs[np.isfinite(theirs)])
    scale = float(finite.max()) if finite.size else 0.0
    if np.allclose(ours, theirs, rtol=0.0, atol=RTOL * scale + ATOL, equal_nan=True):
        return None
    with np.errstate(all="ignore"):
        error = np.abs(ours.astype(float) - theirs.astype(float))
    worst = np.unravel_index(int(np.argmax(np.where(np.isnan(error), np.inf, error))), error.shape)
    return f"{ours[worst]} for {theirs[worst]} at {tuple(map(int, worst))}"


def run_torch(op: Callable[..., Any], sample: Sample) -> tuple[list[Any], list[np.ndarray], list[np.ndarray]]:
    """PyTorch's outputs, cotangents for those that have a gradient, and the gradients of all leaves that do."""
    memo: dict[Leaf, Any] = {}
    args, kwargs = (made(part, of_torch, memo) for part in (sample.args, sample.kwargs))
    outputs = flat(sample.process(op(*args, **kwargs)))
    rng = np.random.default_rng(SEED)
    taught = [out for out in outputs if isinstance(out, torch.Tensor) and out.requires_grad]
    cotangents = [rng.standard_normal(tuple(out.shape)) for out in taught]
    leaves = [leaf for leaf in memo.values() if leaf.requires_grad]
    grads: list[np.ndarray] = []
    if taught and leaves:
        found = torch.autograd.grad(
            taught,
            leaves,
            [torch.tensor(c, dtype=out.dtype) for c, out in zip(cotangents, taught)],
            allow_unused=True,
        )
        grads = [np.zeros(tuple(t.shape)) if g is None else g.numpy() for t, g in zip(leaves, found)]
    return outputs, cotangents, grads


def expected(op: Callable[..., Any], sample: Sample) -> tuple[list[Any], list[np.ndarray], list[np.ndarray]]:
    """What `run_torch` gives, if it is something that can be compared."""
    seed()
    try:
        answer = run_torch(op, sample)
        torch.manual_seed(SEED + 1)
        again = run_torch(op, sample)
    except Exception as error:
        raise LeftOut("PyTorch itself raises") from error
    outputs = answer[0]
    for out in outputs:
        if isinstance(out, torch.Tensor):
            if out.layout is not torch.strided or out.is_nested or out.is_quantized:
                raise LeftOut("sparse, nested and quantised tensors")
            if out.is_complex():
                raise LeftOut("complex numbers")
            if out.dtype in (torch.bfloat16, torch.float16, torch.float32):
                raise LeftOut("dtype, device, layout")
        elif isinstance(out, complex):
            raise LeftOut("complex numbers")
        elif not isinstance(out, int | float):
            raise LeftOut("no numbers in the result")
    for one, two in zip(outputs, again[0]):
        if not np.array_equal(array(one), array(two), equal_nan=True):
            raise LeftOut("random results")
    return answer


def by_chance(op: Callable[..., Any], sample: Sample, outputs: list[Any]) -> bool:
    """Whether PyTorch gives something else with one of several seeds: two may agree in a result of few numbers."""
    for other in range(2, 10):
        torch.manual_seed(SEED + other)
        again = run_torch(op, sample)[0]
        if any(not np.array_equal(array(a), array(b), equal_nan=True) for a, b in zip(outputs, again)):
            return True
    return False


def compare(
    function: Callable[..., Any],
    sample: Sample,
    outputs: list[Any],
    cotangents: list[np.ndarray],
    grads: list[np.ndarray],
) -> tuple[str, str]:
    """One of our functions beside PyTorch's answer: the outcome and its detail."""
    memo: dict[Leaf, Any] = {}
    try:
        with patience():
            args, kwargs = (made(part, of_ours, memo) for part in (sample.args, sample.kwargs))
            ours = flat(sample.process(function(*args, **kwargs)))
    except Exception as error:
        return RAISED, f"{type(error).__name__}: {' '.join(str(error).split())}"
    if len(ours) == 1 and len(outputs) == 2 and array(outputs[1]).dtype.kind == "i":
        outputs = outputs[:1]  # NumPy gives the values alone, and their places by another function
    if len(ours) != len(outputs):
        return VALUE, f"{len(ours)} outputs for {len(outputs)}"
    for i, (mine, theirs) in enumerate(zip(ours, outputs)):
        if why := difference(array(mine), array(theirs)):
            return VALUE, f"output {i}: {why}"
    if not grads:
        return PASS, ""
    taught = [mine for mine, out in zip(ours, outputs) if isinstance(out, torch.Tensor) and out.requires_grad]
    terms = [(t * c).sum() for t, c in zip(taught, cotangents) if isinstance(t, Tensor) and t.requires_grad]
    leaves = [tensor for leaf, tensor in memo.items() if leaf.requires_grad]
    if not terms and any(np.any(g) for g in grads):
        return GRADIENT, "none is recorded"
    try:
        with patience():
            if terms:
                sum(terms[1:], terms[0]).backward()
    except Exception as error:
        return GRADIENT, f"{type(error).__name__}: {' '.join(str(error).split())}"
    for i, (leaf, theirs) in enumerate(zip(leaves, grads)):
        mine = np.zeros(leaf.shape) if leaf.grad is None else leaf.grad
        asked = ~np.isnan(theirs)  # of poles nothing is asked where PyTorch says NaN
        if theirs.shape != mine.shape:
            return GRADIENT, f"of input {i}: shape {mine.shape} for {theirs.shape}"
        if why := difference(np.where(asked, mine, 0), np.where(asked, theirs, 0)):
            return GRADIENT, f"of input {i}: {why}"
    return PASS, ""


def try_sample(
    op: Callable[..., Any], sample: Sample, functions: list[tuple[str, Callable[..., Any]]]
) -> tuple[str, str]:
    """The best that one of our functions makes of it; a wrong gradient of a right value cannot be made good."""
    try:
        answer = expected(op, sample)
    except LeftOut as rule:
        return LEFT_OUT, str(rule)
    if not functions:
        return MISSING, ""
    found = []
    for called, function in functions:
        outcome, detail = compare(function, sample, *answer)
        if outcome in (PASS, GRADIENT):
            return outcome, detail and f"{called}: {detail}"
        found.append((outcome, f"{called}: {detail}"))
    if any(outcome == VALUE for outcome, _ in found) and by_chance(op, sample, answer[0]):
        return LEFT_OUT, "random results"
    return found[0][0], " | ".join(detail for _, detail in found)


@contextmanager
def quiet() -> Iterator[None]:
    """Warnings are what other checks are about."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


def trials_of_op(op: Any, count: int) -> list[Trial]:
    """All trials of one op."""
    name, group = full_name(op), family(op)
    with quiet():
        try:
            kept, rules = samples_of(op)
        except Exception:
            return [Trial(name, group, 0, "", LEFT_OUT, "PyTorch itself raises")]
        trials = [Trial(name, group, -1, "", LEFT_OUT, rule) for rule in rules]
        functions = candidates(op.name, op.variant_test_name)
        for number, sample in spread(kept, count):
            outcome, detail = try_sample(op, sample, functions)
            trials.append(Trial(name, group, number, str(sample), outcome, detail))
    return trials


# --- layers -------------------------------------------------------------------------------------------


def accepts(function: Any, name: str) -> bool:
    """Whether a constructor has a parameter of this name."""
    return name in inspect.signature(function).parameters


def our_layer(cls: Any, args: Any, kwargs: Any) -> Any:
    """Our layer of the same constructor arguments, in float64."""
    more: dict[str, Any] = {"dtype": np.float64} if accepts(cls, "dtype") else {}
    if accepts(cls, "rng"):
        more["rng"] = SEED
    return cls(*args, **kwargs, **more)


def try_layer(info: Any, given: Any, training: bool) -> tuple[str, str, str]:
    """The same weights by name, then output, gradients and the state afterwards: arguments, outcome, detail."""
    memo: dict[int, Any] = {}
    arguments = ""
    try:
        if given.forward_input is None:
            raise LeftOut("no input given")
        build = [
            frozen(part, memo) for part in (given.constructor_input.args, given.constructor_input.kwargs)
        ]
        inputs = [frozen(part, memo) for part in (given.forward_input.args, given.forward_input.kwargs)]
        arguments = f"{call_of(*build)}; {call_of(*inputs)}"
        torch_layer = info.module_cls(*made(build[0], of_torch, {}), **made(build[1], of_torch, {}))
        torch_layer = torch_layer.to(torch.float64).train(training)
        if info.is_lazy:
            torch_layer(*made(inputs[0], of_torch, {}), **made(inputs[1], of_torch, {}))
        state = {key: value.numpy().copy() for key, value in torch_layer.state_dict().items()}
        weights = [name for name, _ in torch_layer.named_parameters()]

        def theirs(values: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
            buffers = {key: torch.tensor(state[key]) for key in state if key not in values}
            everything = {**values, **buffers}
            out = torch.func.functional_call(torch_layer, everything, args, kwargs)
            return out, [buffers[key] for key in sorted(buffers)]

        leaves = {name: frozen(torch.tensor(state[name], requires_grad=True), {}) for name in weights}
        sample = Sample((leaves, *inputs[0]), inputs[1], lambda out: out)
        answer = expected(theirs, sample)
    except LeftOut as rule:
        return arguments, LEFT_OUT, str(rule)
    except Exception:
        return arguments, LEFT_OUT, "PyTorch itself raises"
    if (cls := layer(info.module_cls.__name__)) is None:
        return arguments, MISSING, ""

    def ours(values: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        mine = our_layer(cls, made(build[0], of_ours, {}), made(build[1], of_ours, {})).train(training)
        mine.load_state_dict(state)
        named = dict(mine.named_parameters().items())
        for name, value in values.items():  # the leaves of the trial are the layer's own weights
            value.node, value.data = named[name].node, named[name].data
        out = mine(*args, **kwargs)
        after = mine.state_dict()
        return out, [after[key] for key in sorted(state) if key not in values]

    outcome, detail = compare(ours, sample, *answer)
    if outcome == VALUE and by_chance(theirs, sample, answer[0]):
        outcome, detail = LEFT_OUT, "random results"
    return arguments, outcome, detail


def trials_of_layer(info: Any, training: bool, count: int) -> list[Trial]:
    """All trials of one layer."""
    name = f"nn.{info.module_cls.__name__}{'' if training else ' (eval)'}"
    with quiet():
        try:
            every = module_inputs(info, training)
        except Exception:
            return [Trial(name, "layers", 0, "", LEFT_OUT, "PyTorch itself raises")]
        return [
            Trial(name, "layers", number, *try_layer(info, given, training))
            for number, given in spread(every, count)
        ]


# --- optimizers ---------------------------------------------------------------------------------------


def try_optimizer(info: Any, given: Any) -> tuple[str, str, str]:
    """Some steps on the same small problem: arguments, outcome, detail."""
    settings = {key: value for key, value in given.kwargs.items() if key not in IMPLEMENTATION}
    plain = {
        k: v.item() if isinstance(v, torch.Tensor) else v for k, v in settings.items()
    }  # lr may be a tensor
    try:
        if info.only_supports_sparse_grads:
            raise LeftOut("sparse, nested and quantised tensors")
        settings = frozen(settings, {})
    except LeftOut as rule:
        return call_of((), settings), LEFT_OUT, str(rule)
    rng = np.random.default_rng(SEED)
    shapes = [(4, 3), (3, 2)] if info.name == "Muon" else [(4, 3), (5,), ()]
    starts, wanted, scales = ([rng.standard_normal(shape) for shape in shapes] for _ in range(3))

    def trained(cls: Any, params: list[Any], given: dict[str, Any], array_of: Callable[[Any], Any]) -> Any:
        optim = cls(params, **given)

        def closure() -> Any:
            optim.zero_grad()
            terms = [
                ((p - array_of(w)) ** 2 * array_of(np.abs(s))).sum()
                for p, w, s in zip(params, wanted, scales)
            ]
            loss = sum(terms[1:], terms[0])
            loss.backward()
            return loss

        for _ in range(STEPS):
            if info.step_requires_closure:
                optim.step(closure)
            else:
                closure()
                optim.step()
        return params

    torch.set_default_dtype(torch.float64)  # in which PyTorch keeps the numbers of its schedules
    try:
        theirs = trained(
            info.optim_cls,
            [torch.tensor(start, requires_grad=True) for start in starts],
            made(settings, of_torch, {}),
            torch.tensor,
        )
    except Exception:
        return call_of((), settings), LEFT_OUT, "PyTorch itself raises"
    finally:
        torch.set_default_dtype(torch.float32)
    if (cls := optimizer(info.name)) is None:
        return call_of((), settings), MISSING, ""
    try:
        with patience():
            ours = trained(
                cls,
                [Tensor(start, requires_grad=True) for start in starts],
                plain,
                np.asarray,
            )
    except Exception as error:
        return call_of((), settings), RAISED, f"{type(error).__name__}: {' '.join(str(error).split())}"
    for i, (mine, other) in enumerate(zip(ours, theirs)):
        if why := difference(mine.data, array(other)):
            return call_of((), settings), VALUE, f"parameter {i}: {why}"
    return call_of((), settings), PASS, ""


def trials_of_optimizer(info: Any, count: int) -> list[Trial]:
    """All trials of one optimizer."""
    with quiet():
        return [
            Trial(f"optim.{info.name}", "optimizers", number, *try_optimizer(info, given))
            for number, given in spread(list(info.optim_inputs_func("cpu")), count)
        ]


# --- all ----------------------------------------------------------------------------------------------


def jobs(only: str, count: int) -> list[tuple[str, Callable[[], list[Trial]]]]:
    """What there is to try, by name."""
    found: list[tuple[str, Callable[[], list[Trial]]]] = []
    for op in ops():
        found.append((full_name(op), lambda op=op: trials_of_op(op, count)))
    for info, training in modules():
        name = f"nn.{info.module_cls.__name__}"
        found.append((name, lambda info=info, training=training: trials_of_layer(info, training, count)))
    for info in optimizers():
        found.append((f"optim.{info.name}", lambda info=info: trials_of_optimizer(info, count)))
    return [(name, job) for name, job in found if only in name]
