"""The referee: somebody derived a gradient by hand; is it right, and if not, where does it go wrong?

Both sides are plain NumPy, as people write it. The forward is run once more with recording arrays in the place of
NumPy's, so that the exact gradient is known to rounding; where that does not work, its values must do, and the
verdict says what they cannot tell. Given cases of many sizes instead of one point, the referee looks for the
smallest case that fails, tries it at every length of time, finds the time step at which a wrong term enters, and
names the slip that explains the numbers, if one does.

    verdict = referee(forward, hand_gradient, {"x": x, "W": W})
    verdict = referee(forward, hand_gradient, testing.cases(make, T=(1, 6), hidden=(1, 4)))
    print(verdict)

A layer, which has outputs and no loss, goes in as it is: `referee_layer(forward, backward, make, T=(1, 6))`.
"""

from tinygrad_np.referee.intake.cases import Case
from tinygrad_np.referee.layer import assert_gradient, referee_layer
from tinygrad_np.referee.trial import referee
from tinygrad_np.referee.verdict import Finding, Verdict, heat_map

__all__ = ["Case", "Finding", "Verdict", "assert_gradient", "heat_map", "referee", "referee_layer"]
