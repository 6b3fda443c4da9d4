"""Tries of what is no single call: layers, optimizers, masks, `backward`, transforms, generators in `no_grad`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

import tinygrad_np
import tinygrad_np.functional as F
from tests.faults import values
from tests.faults.call import Found, faults, plain, quiet, torch
from tests.faults.judge import (
    Fault,
    difference,
    epsilon,
    judge_leaf,
    judge_tensor,
)
from tests.faults.values import Rng, pick, shown_call
from tinygrad_np import Tensor, nn, no_grad, optim
from tinygrad_np.check import checks, oracle
from tinygrad_np.check.cases import LAYERS, OPTIMIZERS

# --- layers and optimizers ----------------------------------------------------------------------------


def layer_trial(rng: Rng) -> str:
    """A layer, checked as its row checks it; or called with what does not fit; or made with wrong settings."""
    name = pick(rng, list(LAYERS))
    way = rng.random()
    seed = int(rng.integers(2**32))
    if way < 0.4:
        what = f"nn.{name}: check_layer, default_rng({seed})"
        with faults(what), quiet():
            checks.check_layer(name, np.random.default_rng(seed))
            if torch() is not None:
                oracle.compare_layer(torch(), name, np.random.default_rng(seed))
        return what
    if way < 0.6:
        kind = getattr(nn, name)
        given = [pick(rng, (2, 3, *values.WRONG_STATIC)) for _ in range(int(rng.integers(1, 4)))]
        what = shown_call(f"nn.{name}", given, {})
        with (
            faults(what, [name, "p", "probability", *nn.__all__, *inspect.signature(kind).parameters]),
            quiet(),
        ):
            layer = kind(*given)
            repr(layer)
            for key, tensor in layer.named_tensors():
                if tensor.data.dtype.kind not in "fiub" or not np.isfinite(tensor.data).all():
                    raise Fault("a layer of no numbers", f"{key} is {tensor.data!r:.100}")
        return what
    case = LAYERS[name](np.random.default_rng(seed))
    inputs = [np.array(x) for x in case.inputs]
    i = int(rng.integers(len(inputs)))
    spoil = int(rng.integers(4))
    if spoil == 0:
        inputs[i] = values.with_nasty_numbers(rng, inputs[i])
    elif spoil == 1:
        inputs[i] = values.of_another_dtype(rng, inputs[i])
    elif spoil == 2:
        inputs[i] = np.asarray(rng.standard_normal(values.a_shape(rng)))
    else:
        inputs[i] = pick(rng, list(values.FOREIGN.values()))(inputs[i])
    what = shown_call(f"nn.{name} of default_rng({seed})", inputs, {})
    names = [name, *LAYER_OPS.get(name, ()), *F.__all__, *nn.__all__, "Tensor", "Tensors", "matmul"]
    with faults(what, names), quiet():
        given = [Tensor(x) if type(x) is np.ndarray and x.dtype.kind == "f" else x for x in inputs]
        if name in ("Linear", "LSTM", "GRU", "LSTMCell", "Sequential", "Dropout"):
            given = [Tensor(x) if not isinstance(x, Tensor) else x for x in given]
        out = checks.concatenate_outputs(case.call(case.layer, *given))
        judge_tensor(out)
        if out.size and out.requires_grad:
            out.backward(np.ones(out.shape))
            for key, p in case.layer.named_parameters():
                judge_leaf(p)
                if p.grad is None:
                    raise Fault("a gradient is lost", f"{key} has none")
    return what


LAYER_OPS = {
    "Embedding": ("embedding",),
    "Dropout": ("dropout",),
    "LSTMCell": ("lstm_step", "lstm"),
    "LSTM": ("lstm",),
    "GRU": ("gru",),
    "Linear": ("linear", "add"),
    "Sequential": ("Linear", "linear", "add"),
}


def optimizer_trial(rng: Rng) -> str:
    """An optimizer against its published rule and PyTorch; or with settings and parameters that do not fit."""
    name = pick(rng, list(OPTIMIZERS))
    seed = int(rng.integers(2**32))
    if rng.random() < 0.4:
        what = f"optim.{name}: check_optimizer, default_rng({seed})"
        with faults(what), quiet():
            checks.check_optimizer(name, np.random.default_rng(seed))
            if torch() is not None and rng.random() < 0.2:
                oracle.compare_optimizer(torch(), name, np.random.default_rng(seed))
        return what
    kind = getattr(optim, name)
    p = Tensor(np.ones((2, 3), pick(rng, values.FLOATS)), requires_grad=True)
    if rng.random() < 0.5:
        key = pick(rng, [k for k in inspect.signature(kind).parameters if k != "params"])
        value = pick(rng, (-1.0, 2.0, (0.9, 1.5), (np.nan, 0.9), "0.1", *values.WRONG_STATIC))
        what = f"{shown_call(f'optim.{name}', ['[p]'], {key: value})}, one step".replace("'[p]'", "[p]")
        with faults(what, [name, key, "learning", "step"]), quiet():
            optimizer = kind([p], **{key: value})
            p.grad = np.full(p.shape, 0.5, p.dtype)
            optimizer.step()
            repr(optimizer)
            if np.isnan(p.data).any() or p.data.dtype.kind != "f" or (value == np.inf) is True:
                raise Fault("parameters become NaN in silence", f"{p.data!r:.80} with {key}={value!r}")
        return what
    other = pick(
        rng, (np.ones((1, 3)), np.ones(6), np.ones((2, 3), np.float32), np.ones((2, 3), int), [1.0], 3.0)
    )
    what = f"optim.{name}([p]); p.data = {values.shown(other)}; p of {p.dtype}[2, 3]; gradient before; step"
    with faults(what, [name, "step", "parameter"]), quiet():
        optimizer = kind([p], lr=0.1)
        p.grad = np.full(p.shape, 0.5, p.dtype)
        p.data = other  # type: ignore[assignment]
        optimizer.step()
        data = p.data
        if type(data) is np.ndarray and (data.shape, data.dtype) == ((2, 3), p.grad.dtype):
            return what
        raise Fault("a replaced array is stepped in silence", f"data {data!r:.60}, gradient {p.grad.dtype}")
    return what


# --- masks, gradients, recording ----------------------------------------------------------------------

MASKED: dict[str, tuple[Callable[[Any], Any], Callable[[np.ndarray], np.ndarray]]] = {
    "x * log(x)": (lambda x: x * np.log(x), lambda x: x > 0),
    "x * sqrt(x)": (lambda x: x * np.sqrt(x), lambda x: x > 0),
    "x / sqrt(x)": (lambda x: x / np.sqrt(x), lambda x: x > 0),
    "log(x) / x": (lambda x: np.log(x) / x, lambda x: x > 0),
    "log(x) ** 2": (lambda x: np.log(x) ** 2, lambda x: x > 0),
    "square(1 / x)": (lambda x: np.square(1 / x), lambda x: x != 0),
    "exp(x) * x": (lambda x: np.exp(x) * x, lambda x: np.abs(x) < 100),
    "exp(1 / x) * x": (lambda x: np.exp(1 / x) * x, lambda x: np.abs(x) > 0.01),
    "tanh(log(x)) * x": (lambda x: np.tanh(np.log(x)) * x, lambda x: x > 0),
    "sqrt(x * x)": (lambda x: np.sqrt(x * x), lambda x: x != 0),
    "x ** 1.5": (lambda x: x**1.5, lambda x: x > 0),
    "x / abs(x)": (lambda x: x / np.abs(x), lambda x: x != 0),
    "x * (1 / x)": (lambda x: x * (1 / x), lambda x: x != 0),
    "sqrt(x) * log(x)": (lambda x: np.sqrt(x) * np.log(x), lambda x: x > 0),
    "log(x) - log(x + 1)": (lambda x: np.log(x) - np.log(x + 1), lambda x: x > 0),
    "sigmoid(log(x)) * log(x)": (lambda x: F.sigmoid(np.log(x)) * np.log(x), lambda x: x > 0),
}
HIDERS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "where(mask, f, 0)": lambda f, mask, x: np.where(mask, f, 0.0),
    "where(~mask, 0, f)": lambda f, mask, x: np.where(~mask, 0.0, f),
    "where(mask, where(mask, f, 1), 0)": lambda f, mask, x: np.where(mask, np.where(mask, f, 1.0), 0.0),
    "where(mask, f * 2 + 1, 0)": lambda f, mask, x: np.where(mask, f * 2 + 1, 0.0),
    "f[mask]": lambda f, mask, x: f[mask],
}


def masked_trial(rng: Rng) -> str:
    """What hides elements sends them a gradient of 0, and leaves the others theirs."""
    name, hider = pick(rng, list(MASKED)), pick(rng, list(HIDERS))
    f, domain = MASKED[name]
    dtype = pick(rng, (np.float64, np.float32))
    x = np.where(
        rng.random(6) < 0.5, rng.choice([0.0, -0.0, -1.5, 800.0, -800.0, 1.0], 6), rng.uniform(0.2, 2, 6)
    )
    x = x.astype(dtype)
    mask = domain(x) & (np.abs(x) < 100)
    what = f"{hider}, f = {name}, x = {values.shown(x)}, mask = {mask.tolist()}"
    with faults(what), quiet():
        leaf, alone = Tensor(x, requires_grad=True), Tensor(x[mask], requires_grad=True)
        np.sum(HIDERS[hider](f(leaf), mask, x)).backward()
        if mask.any():
            np.sum(HIDERS[hider](f(alone), np.ones(alone.shape, bool), x[mask])).backward()
        expected = np.zeros_like(x)
        expected[mask] = checks.gradient_of(alone)
        if wrong := difference(checks.gradient_of(leaf), expected, 64, epsilon(x.dtype)):
            raise Fault("a hidden element spoils the gradient", f"the gradient {wrong}")
    return what


def backward_trial(rng: Rng) -> str:
    """`backward`, `grad` and their setters with what is no gradient; and the transforms."""
    shape = values.a_shape(rng)
    dtype = np.dtype(pick(rng, values.FLOATS))
    x = Tensor(values.laid_out(rng, rng.standard_normal(shape).astype(dtype)), requires_grad=True)
    way = pick(rng, ("backward", "grad", "transform", "Tensor"))
    if way == "Tensor":
        label = pick(rng, list(values.FOREIGN))
        given = values.FOREIGN[label](rng.standard_normal(shape or (2,)))
        what = f"Tensor({values.shown(given)}), {label}"
        with faults(what, ["Tensor", "Tensors"]), quiet():
            t = Tensor(given)
            judge_tensor(t)
            raise Fault("a Tensor of what holds no plain numbers", f"{t!r:.100}")
        return what
    if way == "transform":
        k = int(rng.integers(2**31))
        what = f"grad, hvp, jacobian of sum(tanh(x)^3), x of default_rng({k})"
        point = np.random.default_rng(k).standard_normal(3)
        with faults(what), quiet():

            def f(z: Any) -> Any:
                return np.sum(np.tanh(z) ** 3)

            y = np.tanh(point)
            first = 3 * y**2 * (1 - y**2)
            second = (6 * y - 12 * y**3) * (1 - y**2)
            for label, found, expected in (
                ("grad", tinygrad_np.grad(f)(Tensor(point)), first),
                ("hvp", tinygrad_np.hvp(f)(Tensor(point), np.ones(3)), second),
                ("hessian", tinygrad_np.hessian(f)(Tensor(point)), np.diag(second)),
                ("jacobian", tinygrad_np.jacobian(np.tanh)(Tensor(point)), np.diag(1 - y**2)),
            ):
                if wrong := difference(plain(found), expected, 64, 1e-14):
                    raise Fault(f"a wrong {label}", wrong)
        return what
    given = rng.standard_normal(shape)
    label = "as it should be"
    if rng.random() < 0.7:
        table = pick(
            rng,
            (values.FOREIGN, values.ARRAY_LIKE, values.COMPLEX, {"other shape": lambda g: np.ones((2, 5))}),
        )
        label = pick(rng, list(table))
        given = table[label](given)
    what = f"{way} of {dtype}{list(shape)} given {label}: {values.shown(given)}"
    odd = label in values.FOREIGN or label in values.COMPLEX
    with faults(what, ["backward", "gradient"]), quiet():
        if way == "backward":
            (x * 1).backward(given)
        else:
            x.grad = given
        judge_leaf(x)
        if odd and label != "None":
            raise Fault("takes for a gradient what is none", f"{label} became {x.grad!r:.100}")
    return what


def recording_trial(rng: Rng) -> str:
    """`generators_in_no_grad` on a thread of its own: what it leaves switched off, it leaves to nobody."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(generators_in_no_grad, rng).result()


def generators_in_no_grad(rng: Rng) -> str:
    """Generators that stop inside `no_grad`, in any order: each records as it says, and nothing stays switched off.

    While one waits inside a ``with no_grad()`` of its own, its caller does not record either: that is how a context
    manager made of a generator works. One that is decorated leaves its caller alone.
    """
    actions: list[str] = []
    x = Tensor([1.0, 2.0], requires_grad=True)

    def inside() -> Iterator[bool]:
        with no_grad():
            for _ in range(3):
                yield (x * 2).requires_grad

    def outside() -> Iterator[bool]:
        for _ in range(3):
            yield (x * 2).requires_grad

    @no_grad()
    def decorated() -> Iterator[bool]:
        for _ in range(3):
            yield (x * 2).requires_grad

    made: list[Any] = []
    kinds = {"inside": (inside, False), "outside": (outside, True), "decorated": (decorated, False)}
    refused = "a clear refusal"
    try:
        for _ in range(int(rng.integers(2, 8))):
            waiting = any(
                label == "inside" and inspect.getgeneratorstate(g) == inspect.GEN_SUSPENDED
                for label, g in made
            )
            if made and rng.random() < 0.6:
                label, generator = pick(rng, made)
                if rng.random() < 0.3:
                    actions.append(f"close {label}")
                    generator.close()
                else:
                    actions.append(f"next {label}")
                    recorded = next(generator, None)
                    if recorded not in (None, kinds[label][1]) and not waiting:
                        raise Found(", ".join(actions), "no_grad does not reach a generator", f"{recorded=}")
            else:
                label = pick(rng, list(kinds))
                actions.append(f"make {label}")
                made.append((label, kinds[label][0]()))
            waiting = any(
                label == "inside" and inspect.getgeneratorstate(g) == inspect.GEN_SUSPENDED
                for label, g in made
            )
            if not waiting and not (x * 2).requires_grad:
                raise Found(
                    ", ".join(actions), "a generator switches recording off outside of itself", "no gradient"
                )
    except (TypeError, RuntimeError, ValueError) as error:
        if "generator" not in str(error):
            raise
        refused = str(error)
    finally:
        for _, generator in made:
            generator.close()
        stuck = not (x * 2).requires_grad
    if stuck:
        raise Found(", ".join(actions), "recording stays off for good", "after all generators are closed")
    return f"{', '.join(actions)} ({refused})"
