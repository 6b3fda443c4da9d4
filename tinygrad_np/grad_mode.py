"""What is recorded now: nothing, what the way back needs, or what higher derivatives need too; and `no_grad`."""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

# Record nothing; record vjps; and keep the inputs of each node too, for higher derivatives. To the latter two may
# be added: look at every number on the way, see `anomaly`; and keep every call, see `recorded`.
NO_GRAD, GRAD, CREATE_GRAPH, ANOMALY, RECORD = 0, 1, 2, 4, 8
MODE: ContextVar[int] = ContextVar("grad_mode", default=GRAD)
_open_blocks: ContextVar[tuple[set_grad_mode, ...]] = ContextVar("open_blocks", default=())


def grad_mode() -> int:
    """What is recorded now: NO_GRAD, GRAD or CREATE_GRAPH, the latter two perhaps with ANOMALY."""
    return MODE.get()


class set_grad_mode:
    """Record in this mode inside a ``with`` block, or in a function that it decorates, on this thread or task only.

    Blocks may end in any order, as those of generators do that wait for each other: the mode is that of the block
    entered last of those still open. A block in a generator stays open while the generator waits, also for its
    caller, which is how a context manager made of a generator works. A decorated generator or coroutine is in the
    mode while it runs, and not while it waits.
    """

    def __init__(self, mode: int):
        self.mode = mode

    def __enter__(self) -> None:
        _open_blocks.set((*_open_blocks.get(), self))
        MODE.set(self.mode)

    def __exit__(self, *error: object) -> None:
        blocks = list(_open_blocks.get())
        last = max((i for i, block in enumerate(blocks) if block is self), default=None)
        if last is not None:  # else it was entered on another thread, which alone can leave it
            del blocks[last]
        _open_blocks.set(tuple(blocks))
        MODE.set(blocks[-1].mode if blocks else GRAD)

    def __call__(self, function: Callable[P, T]) -> Callable[P, T]:
        """Decorate a function, a generator function or an ``async def``."""
        mode = self.mode

        @functools.wraps(function)
        def inside(*args: P.args, **kwargs: P.kwargs) -> T:
            with set_grad_mode(mode):
                result: Any = function(*args, **kwargs)
            if inspect.isgenerator(result):
                result = _stepped(result, mode)
            elif inspect.iscoroutine(result):
                result = _awaited(result, mode)
            elif inspect.isasyncgen(result):
                result = _async_stepped(result, mode)
            return result  # type: ignore[no-any-return]

        return inside


def _stepped(steps: Any, mode: int) -> Any:
    """A generator, or what a coroutine waits for, each of whose steps is taken in a mode."""
    step, value = steps.send, None
    try:
        while True:
            with set_grad_mode(mode):
                given = step(value)
            try:
                step, value = steps.send, (yield given)
            except GeneratorExit:
                raise
            except BaseException as error:
                step, value = steps.throw, error
    except StopIteration as end:
        return end.value
    finally:
        with set_grad_mode(mode):
            steps.close()


_awaitable: Callable[[Any, int], Any] = types.coroutine(_stepped)


async def _awaited(coroutine: Any, mode: int) -> Any:
    """A coroutine, each of whose steps is taken in a mode."""
    return await _awaitable(coroutine, mode)


async def _async_stepped(steps: Any, mode: int) -> Any:
    """An asynchronous generator, each of whose steps is taken in a mode."""
    step, value = steps.asend, None
    try:
        while True:
            given = await _awaitable(step(value).__await__(), mode)
            try:
                step, value = steps.asend, (yield given)
            except GeneratorExit:
                raise
            except BaseException as error:
                step, value = steps.athrow, error
    except StopAsyncIteration:
        return
    finally:
        await _awaitable(steps.aclose().__await__(), mode)


def no_grad() -> set_grad_mode:
    """A context manager, or with ``@no_grad()`` a decorator, under which nothing is recorded."""
    return set_grad_mode(NO_GRAD)
