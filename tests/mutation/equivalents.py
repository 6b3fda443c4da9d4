"""The equivalent mutants: which mutants survive, and why their numbers are right all the same."""

from __future__ import annotations

# The target, and why it is no mistake: the lines after the change.
EXPLAINED: dict[tuple[str, str], list[str]] = {
    ("decompositions.eigh", "of a row or a column times the identity the diagonal is the same"): [
        "inside = 0 if g_w is None else np.expand_dims(g_w, -2) * np.eye(w.shape[-1], dtype=w.dtype)"
    ],
    ("decompositions.svd", "of a row or a column times the identity the diagonal is the same"): [
        "inside = 0 if g_s is None else np.expand_dims(g_s, -2) * np.eye(k, dtype=s.dtype)"
    ],
    ("decompositions.cholesky", "the factor has the shape and dtype of the matrix, which is square"): [
        "n, dtype = (x.shape[-1], y.dtype)",
        "n, dtype = (y.shape[-2], y.dtype)",
        "n, dtype = (y.shape[-1], x.dtype)",
    ],
    ("decompositions.slogdet", "the matrix is square"): [
        "regular = np.where(spread(singular), np.eye(x.shape[-2], dtype=x.dtype), x) "
        "if np.any(singular) else x"
    ],
    ("decompositions.cofactors", "the determinant of an orthogonal matrix is 1 or -1"): [
        "result: np.ndarray = spread(np.linalg.det(u) / np.linalg.det(vh)) "
        "* (u * others[..., np.newaxis, :] @ vh)"
    ],
    ("decompositions.turned", "it is only asked where g is 0"): [
        "turns = over_gaps(among - transposed(among), s, -g) / np.where(sums == 0, 1, sums)"
    ],
    ("decompositions.turned", "what is divided is 0 there"): [
        "turns = over_gaps(among - transposed(among), s, g) / np.where(sums == 0, 2, sums)",
        "return (turns, (g - vectors @ among) / np.expand_dims(np.where(zero, 2, s), -2))",
    ],
    ("decompositions.turned", "it is 0, in the shape of g"): ["return (turns, 0 * -g)"],
    ("decompositions.over_gaps", "there is one number for each matrix"): [
        "equal = np.absolute(gaps) <= np.expand_dims(rounding(values), -2)"
    ],
    ("decompositions.over_gaps", "where the values are equal, or the same one, the numerator is 0"): [
        "return numerators / np.where(equal, 2, gaps)"
    ],
    ("reduce.divisible", "what may be divided is right without a division too"): [
        "return bool(np.all((abs(y) > np.finfo(y.dtype).tiny) & (abs(y) < np.inf)))",
        "return bool(np.all((abs(y) >= np.finfo(y.dtype).tiny) & (abs(y) > np.inf)))",
    ],
    ("reduce.merge_axes", "a product is the same in any order of its axes"): [
        "order = [i for i in range(x.ndim) if i not in named] + list(named)[::-1]"
    ],
    ("scan.recur_from_end", "a step as long as the axis reaches nothing"): ["while step <= b.shape[-1]:"],
    ("index.set_at", "the result has the shape of x"): [
        "kept = np.ones(x.shape, bool)",
        "last = np.empty(x.shape, int)",
    ],
    ("conv.sum_windows", "only the order in memory is taken from it"): [
        "first = cols[..., *(0,), *(slice(None),) * axes]",
        "first = cols[..., *(0,) * axes, *(slice(None),)]",
    ],
    ("conv.im2col", "it is only asked what g is"): [
        "back = sum_windows if isinstance(-g, np.ndarray) else col2im"
    ],
    ("conv.col2im", "slices of all that there is, of more axes than have to be cut"): [
        "kernel, places = (shape[-2 * axes:-axes], shape[axes:])"
    ],
    ("conv.col2im", "it is only asked what g is"): [
        "take = take_windows if isinstance(-g, np.ndarray) else im2col"
    ],
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
    ("elementwise.hypot", "where x is 0, it is 0 whatever divides it"): [
        "lambda g: g * (x / mask_poles(x == 0, z))"
    ],
    ("special.bessel_i", "a distance is the same both ways"): [
        "below, above = (computed(bessel_i, special.bessel_i, x, n=m, scaled=scaled) "
        "for m in (abs(1 - n), n + 1))"
    ],
    ("elementwise.step", "minus 0 is 0"): ["lambda g: [np.where(False, -g, 0)] * len(xs)"],
    ("elementwise.exp_difference", "where y is inf and x is not, e^(x - y) is 0 as well"): [
        "infinite = np.isinf(x)"
    ],
    ("elementwise.exp_difference", "where y is infinite it is not chosen, whatever finite number it is"): [
        "finite = np.where(infinite, 1, x) - np.where(infinite, 0, y)",
        "finite = np.where(infinite, 0, x) - np.where(infinite, 1, y)",
    ],
    (
        "elementwise.exp_difference",
        "where y is infinite its exponential, 0 or inf, is not chosen, and the rule of exp sends 0 back",
    ): ["finite = np.where(infinite, 0, x) - y"],
    (
        "elementwise.exp_difference",
        "of two dtypes in logaddexp alone, whose shares 0, 1/2 and 1 are the same in all",
    ): ["return np.where(infinite, shares.astype(y.dtype), np.exp(finite))"],
    ("reduce.mean", "the count is 0 for an empty array, whose gradient is empty"): [
        "lambda g: np.broadcast_to(restore_axes(g, shape, axis) / wide(count(shape, axis) or 2, g), shape)"
    ],
    ("reduce.mean", "wide asks for the dtype of g alone"): [
        "lambda g: np.broadcast_to(restore_axes(g, shape, axis) / wide(count(shape, axis) or 1, -g), shape)"
    ],
    ("reduce.var", "wide asks for the dtype of g alone"): [
        "return restore_axes(g, x.shape, axis) * wide(scale, -g) * (x - np.mean(x, axis=axis, keepdims=True))"
    ],
    ("reduce.split_ties", "wide asks for the dtype of g alone"): [
        "return np.where(chosen, restore_axes(g, x.shape, axis) / wide(many, -g), 0)"
    ],
    ("reduce.split_ties", "float16 divided by the whole numbers of an array is float64 anyway"): [
        "return np.where(chosen, restore_axes(g, x.shape, axis) / many, 0)"
    ],
    (
        "reduce.largest",
        "logsumexp takes 0 instead of either infinity, and softmax has nothing to subtract it from",
    ): ["return np.full(lengths, np.inf, x.dtype)"],
    (
        "reduce.logsumexp",
        "x and y differ in the lengths of the reduced axes, for which restore_axes writes 1",
    ): ["return restore_axes(g, y.shape, axis) * exp_difference(x, y, ties)"],
    ("shape.transpose", "the result has as many axes"): [
        "back = None if axes is None else tuple((int(i) for i in np.argsort([a % y.ndim for a in axes])))"
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
    (
        "backward.without_poles",
        "a gradient that is handed on has no pole where it is 0; it would only be looked at",
    ): ["if part.shape != g.shape or np.isfinite(part).all():"],
    ("backward.without_poles", "where all is finite there is nothing to replace"): [
        "if part is g or part.shape != g.shape:"
    ],
    ("backward.backward_pass", "only decides which warnings of NumPy's are heard"): [
        "if not hushed:",
    ],
    ("backward.backward_pass", "where there never was a hook, no node has one"): [
        "if hasattr(node, 'hooks'):",
    ],
    ("backward.backward_pass", "nothing is in an empty set"): [
        "below = node in selected",
    ],
    ("backward.backward_pass", "without_poles asks only whether g is 0"): ["part = without_poles(part, -g)"],
    ("model.backpropagate", "h has the same length at every step"): ["H = len(steps[0].h)"],
    ("model.backpropagate", "error is a matrix of one number"): [
        "dh, dc = (inputs['W2'].T @ error.T, np.zeros((H, 1)))",
        "gradients = {'W2': error.T @ steps[-1].h.T, 'b2': error}",
    ],
    (
        "model.backpropagate",
        "it takes away the slip of the published version, and the corrected one is on trial",
    ): ["dc = dc * f + through_h * f * (dh if overwritten else dh)"],
}
EQUIVALENT = {(target, line): why for (target, why), lines in EXPLAINED.items() for line in lines}
