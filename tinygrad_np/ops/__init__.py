"""The primitives, a file a family. Importing this package declares all of them."""

from tinygrad_np.ops import constant, elementwise, index, linalg, reduce, shape, special, trigonometric

__all__ = ["constant", "elementwise", "index", "linalg", "reduce", "shape", "special", "trigonometric"]
