"""NumPy functions that carry no gradient: their derivative is 0 wherever there is one, or they have none.

They read the arrays of their Tensors and return what NumPy returns: ``t > 0`` is an ndarray of bools.
"""

from __future__ import annotations

import numpy as np

CONSTANT = frozenset(
    {
        *(np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal),
        *(np.logical_and, np.logical_or, np.logical_not, np.logical_xor),
        *(np.isfinite, np.isinf, np.isnan, np.signbit, np.all, np.any, np.count_nonzero),
        *(np.sign, np.floor, np.ceil, np.trunc, np.rint, np.round),
        *(np.argmax, np.argmin, np.argsort, np.nonzero, np.array_equal, np.allclose, np.isclose),
        *(np.shape, np.ndim, np.size, np.result_type),
        *(np.zeros_like, np.ones_like, np.empty_like),
    }
)
