"""NumPy functions that carry no gradient: they compare, count, look at bits or places, or make arrays.

They read the arrays of their Tensors and return what NumPy returns: ``t > 0`` is an ndarray of bools. Functions
whose derivative is 0, such as floor, are not among them: they give Tensors, with that gradient.
"""

from __future__ import annotations

import numpy as np

CONSTANT = frozenset(
    {
        *(np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal),
        *(np.logical_and, np.logical_or, np.logical_not, np.logical_xor),
        *(np.bitwise_and, np.bitwise_or, np.bitwise_xor, np.invert, np.left_shift, np.right_shift),
        *(np.gcd, np.lcm, np.bitwise_count),
        *(np.isfinite, np.isinf, np.isnan, np.isposinf, np.isneginf, np.signbit, np.isreal),
        *(np.all, np.any, np.count_nonzero),
        *(np.argpartition, np.argwhere, np.digitize, np.lexsort, np.flatnonzero, np.nanargmax, np.nanargmin),
        *(np.argmax, np.argmin, np.argsort, np.nonzero, np.searchsorted, np.isin, np.unravel_index),
        *(np.ravel_multi_index, np.tril_indices_from, np.triu_indices_from),
        *(np.array_equal, np.allclose, np.isclose),
        *(np.shape, np.ndim, np.size, np.result_type, np.linalg.matrix_rank),
        *(np.zeros_like, np.ones_like, np.empty_like),
    }
)

# They write into their array, which a Tensor does not let them.
IN_PLACE = frozenset({np.put, np.put_along_axis, np.place, np.putmask, np.copyto, np.fill_diagonal})
