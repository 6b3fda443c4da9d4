"""Optimizers: what changes weights, given their gradients."""

from tinygrad_np.optim.clipping import clip_grad_norm
from tinygrad_np.optim.optimizers import SGD, Adam, AdamW, Optimizer, RMSprop

__all__ = ["SGD", "Adam", "AdamW", "Optimizer", "RMSprop", "clip_grad_norm"]
