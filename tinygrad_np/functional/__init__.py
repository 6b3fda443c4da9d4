"""Functions composed of primitives, a file a family.

Their names are PyTorch's (``torch.nn.functional`` and ``torch``), where NumPy has none, and what differs stands in
docs/differences-from-pytorch.md. An axis is called `axis`, as in NumPy, and ``dim`` is taken too. NumPy's own
functions that are composed of primitives are here as well, and called by NumPy's names: ``np.hstack([t, u])``.
"""

from tinygrad_np.functional import (
    activations,
    attention,
    convolution,
    differences,
    elementwise,
    embeddings,
    indexing,
    layers,
    linalg,
    losses,
    margins,
    matrices,
    normalization,
    pooling,
    reductions,
    shapes,
    statistics,
)
from tinygrad_np.functional.activations import *
from tinygrad_np.functional.attention import *
from tinygrad_np.functional.convolution import *
from tinygrad_np.functional.elementwise import *
from tinygrad_np.functional.embeddings import *
from tinygrad_np.functional.indexing import *
from tinygrad_np.functional.layers import *
from tinygrad_np.functional.linalg import *
from tinygrad_np.functional.losses import *
from tinygrad_np.functional.margins import *
from tinygrad_np.functional.matrices import *
from tinygrad_np.functional.normalization import *
from tinygrad_np.functional.pooling import *
from tinygrad_np.functional.reductions import *
from tinygrad_np.functional.shapes import *

__all__ = [
    *attention.__all__,
    *normalization.__all__,
    *activations.__all__,
    *convolution.__all__,
    *differences.__all__,
    *elementwise.__all__,
    *embeddings.__all__,
    *indexing.__all__,
    *layers.__all__,
    *linalg.__all__,
    *losses.__all__,
    *margins.__all__,
    *matrices.__all__,
    *pooling.__all__,
    *reductions.__all__,
    *shapes.__all__,
    *statistics.__all__,
]

CONSTANT = frozenset(
    {"argsort", "bucketize", "one_hot", "searchsorted"}
)  # they carry no gradient, and give arrays
