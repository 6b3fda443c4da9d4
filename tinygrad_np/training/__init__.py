"""Training: `fit`, the loop that never loses work, and what it is made of."""

from tinygrad_np.training.checkpoints import Checkpoints
from tinygrad_np.training.evaluation import evaluate, predict
from tinygrad_np.training.loop import fit
from tinygrad_np.training.training import Training

__all__ = ["Checkpoints", "Training", "evaluate", "fit", "predict"]
