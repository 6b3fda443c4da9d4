"""The mistakes of people who derive networks by hand, as changes of a recorded way back.

Each function of `STAGES` yields one kind of mistake, at every place of a graph where it can be made. Those in the
gradient of a parameter alone stand in `parameters`.
"""

from tinygrad_np.referee.diagnosis.mistakes.derivatives import (
    derivatives,
    derivatives_elsewhere,
    derivatives_off,
    softmaxes_wrong,
)
from tinygrad_np.referee.diagnosis.mistakes.exchanges import anothers, gates
from tinygrad_np.referee.diagnosis.mistakes.matrices import factors, matrices, signs
from tinygrad_np.referee.diagnosis.mistakes.mistake import Mistake
from tinygrad_np.referee.diagnosis.mistakes.operands import one_step_off, product_factors, wrong_operand
from tinygrad_np.referee.diagnosis.mistakes.parameters import own_mistakes
from tinygrad_np.referee.diagnosis.mistakes.paths import (
    dropped,
    next_step,
    pairs_dropped,
    some_steps,
    steps_left_out,
)
from tinygrad_np.referee.diagnosis.mistakes.reading import Reading

__all__ = ["FIRST", "STAGES", "Mistake", "Reading", "own_mistakes"]

FIRST = (next_step, steps_left_out)  # before those of single parameters: they explain all of them at once
STAGES = (  # the likeliest and most general first, and of those what is quickly tried
    derivatives,
    softmaxes_wrong,
    dropped,
    product_factors,
    matrices,
    one_step_off,
    derivatives_off,
    gates,
    some_steps,
    signs,
    wrong_operand,
    derivatives_elsewhere,
    anothers,
    factors,
    pairs_dropped,
)
