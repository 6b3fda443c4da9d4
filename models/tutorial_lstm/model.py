"""The tutorial's LSTM in plain NumPy, and the gradient that the tutorial derives by hand.

The model reads a review word by word. With z = [h; x], s the logistic function, and h = c = 0 before the
first word, each word x makes

    f = s(Wf z + bf)    i = s(Wi z + bi)    cm = tanh(Wcm z + bcm)    o = s(Wo z + bo)
    c := f c + i cm     h := o tanh(c)

and after the last word the probability that the review is positive is a = s(W2 h + b2).

The model and its hand-derived gradient know nothing of Tensors. The exact gradient, which judges them, is
that of the same `forward` run on Tensors: NumPy's functions record themselves there.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np

from models.tutorial_slips import initial_parameters
from tinygrad_np import Tensor

Array: TypeAlias = Any  # an ndarray; or a Tensor, when the exact gradient is asked for
Arrays: TypeAlias = dict[str, np.ndarray]

PARAMETERS = ("Wf", "bf", "Wi", "bi", "Wcm", "bcm", "Wo", "bo", "W2", "b2")
HIDDEN, DIMENSIONS = 64, 50  # of its training
EPS = 1e-5  # of the loss


# --- the model ----------------------------------------------------------------------------------------


class Step(NamedTuple):
    """What one word makes, all columns: z is (H + D, 1), the others are (H, 1)."""

    z: Array
    f: Array
    i: Array
    cm: Array
    o: Array
    c_before: Array
    tc: Array  # tanh of the new c
    h: Array


def sigmoid(x: Array) -> Array:
    """The logistic function, written so that it runs on arrays, complex arrays and Tensors."""
    with np.errstate(over="ignore"):  # an infinite exp(-x) gives 0, as it should
        return 1 / (1 + np.exp(-x))


def unroll(
    x: Array, Wf: Array, bf: Array, Wi: Array, bi: Array, Wcm: Array, bcm: Array, Wo: Array, bo: Array
) -> list[Step]:
    """The steps over a sequence; parameters and x as in `forward`."""
    if not x.shape[0]:
        raise ValueError("a review has one word at least, and this one has none")
    h = c = np.zeros((bf.shape[0], 1))
    steps = []
    for t in range(x.shape[0]):
        z = np.concatenate([h, np.reshape(x[t], (-1, 1))])
        f, i, o = sigmoid(Wf @ z + bf), sigmoid(Wi @ z + bi), sigmoid(Wo @ z + bo)
        cm = np.tanh(Wcm @ z + bcm)
        c_before, c = c, f * c + i * cm
        tc = np.tanh(c)
        h = o * tc
        steps.append(Step(z, f, i, cm, o, c_before, tc, h))
    return steps


def loss_of(logit: Array, y: Array, eps: float) -> Array:
    """-y log(a + eps) - (1 - y) log(1 - a + eps), for a = s(logit).

    1 - a is taken as s(-logit), which is the same number but keeps its digits when a is close to 1. So the
    loss and its derivative stay exact where eps = 0.
    """
    return -y * np.log(sigmoid(logit) + eps) - (1 - y) * np.log(sigmoid(-logit) + eps)


def forward(
    x: Array,
    y: Array,
    Wf: Array,
    bf: Array,
    Wi: Array,
    bi: Array,
    Wcm: Array,
    bcm: Array,
    Wo: Array,
    bo: Array,
    W2: Array,
    b2: Array,
    eps: float = EPS,
) -> Array:
    """The loss of one review.

    Parameters
    ----------
    x : array, shape (T, D)
        A vector for each word; one word at least.
    y : array, shape ()
        1 for a positive review, 0 for a negative one.
    Wf, Wi, Wcm, Wo : array, shape (H, H + D)
    bf, bi, bcm, bo : array, shape (H, 1)
    W2 : array, shape (1, H)
    b2 : array, shape (1, 1)
    eps : float
        Keeps the logarithms finite.

    Returns
    -------
    array, shape ()
        A Tensor if one of the arrays is one.

    Raises
    ------
    ValueError
        There is no word.
    """
    h = unroll(x, Wf, bf, Wi, bi, Wcm, bcm, Wo, bo)[-1].h
    return loss_of(W2 @ h + b2, y, eps)[0, 0]


# --- its gradient, by hand and exact ------------------------------------------------------------------


def backpropagate(inputs: Arrays, overwritten: bool) -> tuple[float, Arrays]:
    """The logit of a review, and the gradient of its loss with eps = 0, by backpropagation through time.

    From the last step to the first, dh and dc are the derivatives of the loss by the h and c that a step
    hands on. A step sends c back to the one before in two ways: along f, and through h = o tanh(c):

        dc_before = dc f + o (1 - tanh(c)^2) f dh

    The dh of this line is the one that came into the step. The published derivation has already put dh of
    the step before in its place (`overwritten`), and that is the one difference.

    Parameters
    ----------
    inputs : dict of str to ndarray
        The arguments of `forward`, but eps.
    overwritten : bool
        Whether to take the dh of the step before, as published.
    """
    parameters = {name: inputs[name] for name in PARAMETERS}
    steps = unroll(inputs["x"], *[parameters[name] for name in PARAMETERS[:8]])
    H = len(steps[-1].h)
    logit = inputs["W2"] @ steps[-1].h + inputs["b2"]
    error = sigmoid(logit) - inputs["y"]

    gates = ("f", "i", "cm", "o")
    ds: dict[str, list[np.ndarray]] = {gate: [] for gate in gates}  # dL / d(a gate's input), last step first
    dh, dc = inputs["W2"].T @ error, np.zeros((H, 1))
    for _, f, i, cm, o, c_before, tc, _ in reversed(steps):
        through_h = o * (1 - tc**2)
        ds["f"].append((dc * c_before + through_h * c_before * dh) * f * (1 - f))
        ds["i"].append((dc * cm + through_h * cm * dh) * i * (1 - i))
        ds["cm"].append((dc * i + through_h * i * dh) * (1 - cm**2))
        ds["o"].append(dh * tc * o * (1 - o))
        dh_before = sum(parameters[f"W{gate}"][:, :H].T @ ds[gate][-1] for gate in gates)
        dc = dc * f + through_h * f * (dh_before if overwritten else dh)
        dh = dh_before

    # The gradient of W is the sum of d z^T over all steps, which is one product of matrices.
    zs = np.hstack([step.z for step in reversed(steps)]).T
    gradients = {"W2": error @ steps[-1].h.T, "b2": error}
    for gate in gates:
        columns = np.hstack(ds[gate])
        gradients[f"W{gate}"] = columns @ zs
        gradients[f"b{gate}"] = columns.sum(axis=1, keepdims=True)
    return logit.item(), {name: gradients[name] for name in PARAMETERS}


def published_gradient(**inputs: np.ndarray) -> Arrays:
    """The tutorial's gradient of ``forward(**inputs)``, by the names of `PARAMETERS`."""
    return backpropagate(inputs, overwritten=True)[1]


def corrected_gradient(**inputs: np.ndarray) -> Arrays:
    """The tutorial's gradient with its one wrong term put right."""
    return backpropagate(inputs, overwritten=False)[1]


def exact_gradient(inputs: Arrays, eps: float) -> Arrays:
    """The gradient of ``forward(**inputs, eps=eps)``, from the same forward run on Tensors."""
    tensors = {name: Tensor(inputs[name], requires_grad=True) for name in PARAMETERS}
    forward(inputs["x"], inputs["y"], **tensors, eps=eps).backward()
    return {name: tensor.grad for name, tensor in tensors.items() if tensor.grad is not None}


def trial_inputs(hidden: int, dimensions: int, length: int, rng: np.random.Generator) -> Arrays:
    """What to try it on: the tutorial's initial parameters, and a positive review of random words from N(0, 1)."""
    parameters = initial_parameters(hidden, dimensions, rng)
    return {"x": rng.standard_normal((length, dimensions)), "y": np.array(1.0), **parameters}
