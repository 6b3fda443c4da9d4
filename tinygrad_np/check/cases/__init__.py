"""One row for each op, layer, loss and optimizer, a file a family: how to try it, and what it is held against.

`OPS` has the primitives and the functions composed of them. What is public and has no row fails the gradient check.
"""

from tinygrad_np.check.cases.activations import ACTIVATIONS
from tinygrad_np.check.cases.attention import ATTENTION
from tinygrad_np.check.cases.composed import COMPOSED
from tinygrad_np.check.cases.conv import CONV
from tinygrad_np.check.cases.decompositions import DECOMPOSITIONS
from tinygrad_np.check.cases.elementwise import ELEMENTWISE
from tinygrad_np.check.cases.index import INDEX
from tinygrad_np.check.cases.layers import LAYERS
from tinygrad_np.check.cases.linalg import LINALG
from tinygrad_np.check.cases.losses import LOSSES
from tinygrad_np.check.cases.normalization import NORMALIZATION
from tinygrad_np.check.cases.optimizers import OPTIMIZERS
from tinygrad_np.check.cases.recurrent import RECURRENT
from tinygrad_np.check.cases.reduce import REDUCE
from tinygrad_np.check.cases.scan import SCAN
from tinygrad_np.check.cases.shape import SHAPE
from tinygrad_np.check.cases.special import SPECIAL
from tinygrad_np.check.cases.statistics import STATISTICS
from tinygrad_np.check.cases.trigonometric import TRIGONOMETRIC
from tinygrad_np.check.rows import Op

FAMILIES: tuple[dict[str, Op], ...] = (
    *(ELEMENTWISE, TRIGONOMETRIC, SPECIAL, ACTIVATIONS, REDUCE, SCAN, STATISTICS, SHAPE),
    *(INDEX, LINALG, DECOMPOSITIONS, COMPOSED, CONV, NORMALIZATION, ATTENTION, RECURRENT),
)
OPS: dict[str, Op] = {name: row for family in FAMILIES for name, row in family.items()}
if len(OPS) < sum(map(len, FAMILIES)):
    raise ValueError("two rows have one name, and one of them would try nothing")

__all__ = ["LAYERS", "LOSSES", "OPS", "OPTIMIZERS"]
