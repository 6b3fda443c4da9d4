"""Small functions that such networks keep in a module of their own: activations, softmax, initial weights."""

import functools

import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def sigmoid_by_sign(x):
    """The form that never overflows, by masks."""
    out = np.empty_like(x)
    positive = x >= 0
    out[positive] = 1.0 / (1.0 + np.exp(-x[positive]))
    small = np.exp(x[~positive])
    out[~positive] = small / (1.0 + small)
    return out


def sigmoid_where(x):
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e))


def sigmoid_tanh(x):
    return 0.5 * (np.tanh(0.5 * x) + 1.0)


def dsigmoid(s):
    """Derivative of the sigmoid, from its output."""
    return s * (1 - s)


def dtanh(y):
    """Derivative of tanh, from its output."""
    return 1 - y * y


def softmax(x, axis=-1):
    e = np.exp(x - np.max(x, axis=axis, keepdims=True))
    return e / np.sum(e, axis=axis, keepdims=True)


def softmax_(x):
    """Softmax over the last axis that overwrites its argument."""
    x -= x.max(axis=-1, keepdims=True)
    np.exp(x, out=x)
    x /= x.sum(axis=-1, keepdims=True)
    return x


def one_hot(k, n):
    v = np.zeros((n, 1))
    v[k] = 1
    return v


def counted(f):
    """A decorator that counts calls."""

    @functools.wraps(f)
    def wrapper(*args, **kwargs):
        wrapper.calls += 1
        return f(*args, **kwargs)

    wrapper.calls = 0
    return wrapper


def weights(rng, *shape, scale=1.0):
    """Normal weights; the last axis is what is summed over."""
    return scale * rng.standard_normal(shape) / np.sqrt(shape[-1])


def detour(x, how=None):
    """The same numbers by a way that no record can follow."""
    if how == "fft":
        return np.fft.irfft(np.fft.rfft(x, axis=0), n=x.shape[0], axis=0)
    if how == "bytes":
        return np.frombuffer(x.tobytes(), dtype="f" if x.dtype == "f" else float).reshape(x.shape)
    return x
