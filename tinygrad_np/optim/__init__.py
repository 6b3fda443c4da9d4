"""Optimizers: what changes weights, given their gradients."""

from tinygrad_np.optim.adam import Adam, Adamax, AdamW, NAdam, RAdam
from tinygrad_np.optim.clipping import clip_grad_norm
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
    "Lion",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "Rprop",
    "clip_grad_norm",
]
