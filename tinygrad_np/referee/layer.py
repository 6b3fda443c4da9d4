"""The referee for a layer, which has outputs and no loss; and an assertion for somebody's test suite."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tinygrad_np.referee.intake.cases import Case, cases
from tinygrad_np.referee.intake.problem import problem_at
from tinygrad_np.referee.trial import referee, try_cases
from tinygrad_np.referee.verdict import RIGHT, Verdict


def referee_layer(
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    make: Callable[..., Any],
    *,
    steps: str = "T",
    rtol: float = 1e-6,
    gates: Sequence[str] = (),
    progress: bool | None = None,
    **sizes: int | tuple[int, int],
) -> Verdict:
    """Try the backward pass of a layer: the usual pair, as it is.

        out, cache = forward(x, params)
        dx, grads = backward(dout, cache)

    The loss is the sum of the outputs times fixed random numbers, which `backward` is given as `dout`.

    Parameters
    ----------
    forward : callable
        A function or method. Returns an output or several, and after them a cache, if it does not leave on its
        object what `backward` needs.
    backward : callable
        Takes the gradients of the outputs (of the first ones, if it takes fewer) and the cache, in any order that
        the names tell: ``dout, cache``, ``dh, dc, cache``, ``cache, dout``. Returns the gradients in the order of
        the arguments of `forward`, by name, nested, or leaves them on its object.
    make : callable
        ``make(rng, T=..., hidden=...)`` with a seeded generator, or without `rng`: the arguments of `forward`, as a
        tuple or by name. With the functions of a class, ``Layer.forward`` and ``Layer.backward``, the layer comes
        first.
    steps : str
        The size that counts time steps.
    rtol : float
        The largest relative error of a gradient that is right.
    gates : sequence of str
        What the blocks of a fused matrix are called, in their order, for the diagnosis.
    progress : bool, optional
        Whether to tell on stderr how far the search is; where that is a terminal unless told.
    **sizes : int or (int, int)
        The sizes that `make` takes: fixed, or from and to; the smallest case that fails is then looked for (extra
        ``test``). Without any, or with fixed ones, one case is tried.

    Raises
    ------
    ValueError, TypeError
        Something does not fit, as in `problem_at`.
    """

    def problem_of(inputs: Any) -> Any:
        return problem_at(forward, backward, inputs, layer=True)

    fixed = {name: size for name, size in sizes.items() if isinstance(size, int)}
    tried = Case(make, fixed) if len(fixed) == len(sizes) else cases(make, **sizes)
    inputs = tried if sizes else tried.inputs
    return try_cases(problem_of, inputs, steps=steps, rtol=rtol, gates=gates, progress=progress)


def assert_gradient(
    forward: Callable[..., Any], hand_gradient: Callable[..., Any], inputs: Any, **options: Any
) -> None:
    """Assert that a gradient is right: `referee` with the same arguments, for a test suite.

        def test_backward():
            assert_gradient(net.loss, net.backward, (x, y))

    Raises
    ------
    AssertionError
        It is wrong, or that cannot be told, or nothing was tested; the text is the whole verdict.
    """
    verdict = referee(forward, hand_gradient, inputs, **options)
    if verdict.outcome != RIGHT:
        raise AssertionError(str(verdict))
