"""The equivalent mutants: which mutants survive, and why their numbers are right all the same."""

from __future__ import annotations

# The target, and why it is no mistake: the lines after the change.
EXPLAINED: dict[tuple[str, str], list[str]] = {
    ("elementwise.divide", "safe only asks whether g is 0"): [
        "lambda g: g / safe(-g)",
        "lambda g: -g * (x / safe(-g)) / safe(g)",
        "lambda g: -g * (x / safe(g)) / safe(-g)",
    ],
    ("Accumulator.fit", "whenever products are multiplied, their sum is the same"): [
        "if not len(xs) * len(part.x) < DeferredMatmul.ROWS:",
        "if len(xs) * len(part.x) <= DeferredMatmul.ROWS:",
        "if len(xs) * len(part.x) > DeferredMatmul.ROWS:",
        "if len(xs) < DeferredMatmul.ROWS:",
        "if len(part.x) < DeferredMatmul.ROWS:",
        "if len(xs) / len(part.x) < DeferredMatmul.ROWS:",
    ],
    ("Gradients.flush_vanished", "one chunk more is gone through, and all in it is 0"): [
        "return row < self.first_nonzero_row and bool(vanished.all())"
    ],
    (
        "elementwise.power",
        "at x = 0, y = 1 the slope is x^0 = 1 whether x stands there or 1, and so are its own derivatives, 0",
    ): ["pole = (x == 0) & (y <= 1) | (x < 0) & (y != np.floor(y)) | np.isnan(x)"],
    ("elementwise.power", "differs at x = 0 only, which the first condition has already"): [
        "base = mask_poles((x == 0) | np.logical_not(x >= 0) & (g == 0), x)"
    ],
    ("reduce.normalize_axes", "of a single number there is no axis to name, only one that is let pass"): [
        "return [a % (len(shape) or 2) for a in axes]"
    ],
    ("elementwise.sqrt", "sqrt(x) > 0 where x > 0, and nowhere else; it would only keep x in memory"): [
        "lambda g: g / (2 * mask_poles((g == 0) & ~(x > 0), y))"
    ],
    ("elementwise.logaddexp", "where z is -inf so is mine, and e^(-inf - 1) is 0 as well"): [
        "return g * np.exp(mine - np.where(z == -np.inf, 1, z))"
    ],
    ("reduce.mean", "the count is 0 for an empty array, whose gradient is empty"): [
        "lambda g: np.broadcast_to(restore_axes(g, shape, axis) / (count(shape, axis) or 2), shape)"
    ],
    (
        "reduce.logsumexp",
        "x and y differ in the lengths of the reduced axes, for which restore_axes writes 1",
    ): ["return restore_axes(g, y.shape, axis) * np.exp(x - np.where(y == -np.inf, 0, y))"],
    (
        "reduce.logsumexp",
        "where x is -inf the result is e^-inf = 0, whatever is subtracted; and where y is -inf so is x",
    ): ["return restore_axes(g, x.shape, axis) * np.exp(x - np.where(x == -np.inf, 0, y))"],
    ("reduce.logsumexp", "where y is -inf so is x, and e^(-inf - 1) is 0 as well"): [
        "return restore_axes(g, x.shape, axis) * np.exp(x - np.where(y == -np.inf, 1, y))"
    ],
    ("shape.split_at", "there is one array, and so one gradient"): [
        "return [np.concatenate(pieces, axis)][::-1]"
    ],
    ("linalg.einsum", "every letter gets its identity matrix: the same sum"): [
        "if not letter in term[:i]:",
        "if letter in term[i:]:",
    ],
    ("linalg.einsum", "both letters of a tie have the same length"): [
        "eyes = [np.eye(size[tie[1]], dtype=g.dtype) for tie in ties]"
    ],
    ("backward.unbroadcast", "a sum over an axis of length 1 changes nothing"): [
        "repeated = [i + extra for i, n in enumerate(shape) if n == 1]"
    ],
    ("tutorial_lstm.backpropagate", "h has the same length at every step"): ["H = len(steps[0].h)"],
    ("tutorial_lstm.backpropagate", "error is a matrix of one number"): [
        "dh, dc = (inputs['W2'].T @ error.T, np.zeros((H, 1)))",
        "gradients = {'W2': error.T @ steps[-1].h.T, 'b2': error}",
    ],
    (
        "tutorial_lstm.backpropagate",
        "it takes away the slip of the published version, and the corrected one is on trial",
    ): ["dc = dc * f + through_h * f * (dh if overwritten else dh)"],
}
EQUIVALENT = {(target, line): why for (target, why), lines in EXPLAINED.items() for line in lines}
