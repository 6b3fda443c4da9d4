"""Optimizers: what changes weights, given their gradients; schedules, clipping and averages of weights."""

from tinygrad_np.optim import schedules
from tinygrad_np.optim.adam import Adam, Adamax, AdamW, NAdam, RAdam, SparseAdam
from tinygrad_np.optim.averaging import ExponentialMovingAverage
from tinygrad_np.optim.clipping import clip_grad_norm, clip_grad_value
from tinygrad_np.optim.optimizer import Optimizer
from tinygrad_np.optim.optimizers import ASGD, SGD, Adadelta, Adagrad, Lion, RMSprop, Rprop

__all__ = [
    "ASGD",
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "ExponentialMovingAverage",
    "Lion",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "Rprop",
    "SparseAdam",
    "clip_grad_norm",
    "clip_grad_value",
    "schedules",
]
