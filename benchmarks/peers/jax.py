"""JAX on the CPU: an LSTM by lax.scan, compiled by jit before the clock starts. It chooses its own threads."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.peers.shared import Arrays, Job, part, reviews

GROWTH = 1.5  # from one size that reviews are padded to, to the next: each needs a compilation of its own


def start(threads: int) -> str:
    return f"JAX {jax.__version__} (its own products of matrices, built in; kernel and threads as it chooses)"


def lstm_outputs(weights: dict[str, Any], x: Any) -> Any:
    """The outputs (time, batch, hidden) of an LSTM over x (batch, time, features)."""
    inputs = x.transpose(1, 0, 2) @ weights["weight_ih_l0"].T + weights["bias_ih_l0"] + weights["bias_hh_l0"]
    weight_hh = weights["weight_hh_l0"].T

    def step(state: Any, from_x: Any) -> Any:
        h, c = state
        i, f, g, o = jnp.split(from_x + h @ weight_hh, 4, axis=1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    zeros = jnp.zeros((x.shape[0], weight_hh.shape[0]), x.dtype)
    return jax.lax.scan(step, (zeros, zeros), inputs)[1]


def lstm(arrays: Arrays, head: str) -> Job:
    """Forward, back through time, and the weights' gradients."""
    weights = {name: jnp.asarray(w) for name, w in part(arrays, "lstm.").items()}
    x, cotangent = jnp.asarray(arrays["x"]), jnp.asarray(arrays["cotangent"])

    def loss_of(weights: Any) -> Any:
        outputs = lstm_outputs(weights, x)
        return ((outputs[-1] if head == "last" else outputs.mean(axis=0)) * cotangent).sum()

    step = jax.jit(jax.value_and_grad(loss_of))

    def job() -> Arrays:
        loss, gradients = step(weights)
        return {"loss": np.asarray(loss)} | {name: np.asarray(g) for name, g in gradients.items()}

    return job


def logits_of(weights: dict[str, Any], vectors: Any, numbers: Any, lengths: Any, head: str) -> Any:
    outputs = lstm_outputs(part(weights, "lstm."), vectors[numbers])
    if head == "last":
        seen = outputs[lengths - 1, jnp.arange(len(lengths))]
    else:
        running = jnp.arange(len(outputs))[:, None] < lengths
        seen = (outputs * running[:, :, None]).sum(axis=0) / lengths[:, None]
    return (seen @ weights["head.weight"].T + weights["head.bias"])[:, 0]


def rounded_reviews(arrays: Arrays) -> list[tuple[Any, ...]]:
    """The batches, padded to a few numbers of steps, so that there are few shapes to compile for."""
    batches = reviews(arrays)
    longest = max(numbers.shape[1] for numbers, _, _ in batches)
    rounded = []
    for numbers, lengths, labels in batches:
        steps = longest
        while steps / GROWTH >= numbers.shape[1]:
            steps = int(steps / GROWTH)
        padded = np.pad(numbers, ((0, 0), (0, steps - numbers.shape[1])))
        rounded.append(tuple(jnp.asarray(array) for array in (padded, lengths, labels)))
    return rounded


def trained(arrays: Arrays) -> dict[str, Any]:
    return {name: jnp.asarray(w) for name, w in arrays.items() if name.startswith(("lstm.", "head."))}


def train(arrays: Arrays, head: str, lr: float) -> Job:
    """A step of Adam for each batch, from the initial weights."""
    batches = rounded_reviews(arrays)
    vectors = jnp.asarray(arrays["vectors"])
    initial = trained(arrays)
    zeros = {name: jnp.zeros_like(w) for name, w in initial.items()}

    def loss_of(weights: Any, vectors: Any, numbers: Any, lengths: Any, labels: Any) -> Any:
        logits = logits_of(weights, vectors, numbers, lengths, head)
        return (jnp.logaddexp(0, logits) - labels * logits).mean()

    def step(weights: Any, m: Any, s: Any, t: Any, vectors: Any, batch: Any) -> Any:
        loss, g = jax.value_and_grad(loss_of)(weights, vectors, *batch)
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, g)
        s = jax.tree.map(lambda s, g: 0.999 * s + 0.001 * g * g, s, g)
        weights = jax.tree.map(
            lambda p, m, s: p - lr * m / (1 - 0.9**t) / (jnp.sqrt(s / (1 - 0.999**t)) + 1e-8), weights, m, s
        )
        return loss, g, weights, m, s

    compiled = jax.jit(step)

    def job() -> Arrays:
        weights, m, s = initial, zeros, zeros
        first: Arrays = {}
        losses = []
        for t, batch in enumerate(batches, 1):
            loss, g, weights, m, s = compiled(weights, m, s, jnp.float32(t), vectors, batch)
            first = first or {name: np.asarray(array) for name, array in g.items()}
            losses.append(float(loss))
        return {"loss": np.array(losses[0]), "losses": np.array(losses), **first}

    return job


def predict(arrays: Arrays, head: str) -> Job:
    """The logits of all reviews."""
    batches = rounded_reviews(arrays)
    vectors = jnp.asarray(arrays["vectors"])
    weights = trained(arrays)

    logits = jax.jit(logits_of, static_argnames="head")

    def job() -> Arrays:
        found = [logits(weights, vectors, numbers, lengths, head=head) for numbers, lengths, _ in batches]
        return {"logits": np.concatenate([np.asarray(array) for array in found])}

    return job
