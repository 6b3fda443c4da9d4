"""Training: what it is made of."""

from tinygrad_np.training.checkpoints import Checkpoints

__all__ = ["Checkpoints"]
