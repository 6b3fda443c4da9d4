"""The gradient check: is the gradient that a function sends back the derivative of what it computes?

    python -m tinygrad_np.gradcheck

checks every primitive, layer, loss and optimizer of the installed version. `gradcheck` and `gradgradcheck` check a
function of your own. To try a gradient that somebody derived by hand, see `tinygrad_np.referee`.
"""

from __future__ import annotations

import sys

from tinygrad_np.check.gradient import Disagreement, GradientError, gradcheck, gradgradcheck

__all__ = ["Disagreement", "GradientError", "gradcheck", "gradgradcheck"]

if __name__ == "__main__":
    from tinygrad_np.check.installed import main  # all rows: a check of one function needs none of them

    sys.exit(main())
