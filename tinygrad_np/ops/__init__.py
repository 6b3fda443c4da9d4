"""The primitives, a file a family. Importing this package declares all of them."""

from tinygrad_np.ops import (
    constant,
    conv,
    decompositions,
    elementwise,
    index,
    linalg,
    reduce,
    scan,
    shape,
    special,
    trigonometric,
)

__all__ = [
    "constant",
    "conv",
    "decompositions",
    "elementwise",
    "index",
    "linalg",
    "reduce",
    "scan",
    "shape",
    "special",
    "trigonometric",
]
