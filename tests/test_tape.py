"""The tape: what it keeps alive and how long, deep graphs, sharing, threads, and primitives of one's own."""

import asyncio
import gc
import subprocess
import sys
import threading
import tracemalloc
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_np import Tensor, backward, grad, no_grad, primitive, tape
from tinygrad_np.backward import unbroadcast
from tinygrad_np.ops.elementwise import sigmoid
from tinygrad_np.tape import Node


def leaf(data: Any, **options: Any) -> Tensor:
    return Tensor(data, requires_grad=True, **options)


@pytest.fixture
def declared() -> Iterator[None]:
    """What a test declares with `primitive` is forgotten after it."""
    primitives, numpy = dict(tape.PRIMITIVES), dict(tape.NUMPY)
    yield
    for table, before in ((tape.PRIMITIVES, primitives), (tape.NUMPY, numpy)):
        table.clear()
        table.update(before)  # type: ignore[arg-type]


# --- nothing stays alive ------------------------------------------------------------------------------


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Without the garbage collector, only reference counting frees."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()
    gc.collect()


def alive() -> int:
    """How many Tensors and Nodes there are. Objects of other packages may warn when asked for `__class__`."""
    return sum(issubclass(type(thing), Tensor | Node) for thing in gc.get_objects())


def recurrent(x: Any, w: Any, u: Any, b: Any) -> Tensor:
    """A small recurrent network over x (batch, time, features), with every kind of op in it."""
    h: Any = np.zeros((x.shape[0], u.shape[0]))
    c: Any = h
    outputs = []
    for t in range(x.shape[1]):
        i, f, g, o = np.split(x[:, t] @ w + h @ u + b, 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = np.where(x[:, t, :1] > 0, sigmoid(o) * np.tanh(c), h)
        outputs.append(h)
    joined = np.concatenate([np.stack(outputs, axis=1), x[:, :, :1] * 2.0], axis=2)
    return np.einsum("bth,bth->b", joined, joined).mean() + np.max(joined) + joined.var()


def weights(rng: np.random.Generator) -> list[np.ndarray]:
    return [rng.standard_normal(shape) / 2 for shape in ((2, 3, 3), (3, 8), (2, 8), (8,))]


@pytest.mark.usefixtures("no_collector")
def test_graphs_die_without_the_garbage_collector(rng: np.random.Generator) -> None:
    data = weights(rng)
    before = alive()
    for i in range(100):
        tensors = [leaf(x) for x in data]
        loss = recurrent(*tensors)
        if i == 0:
            assert alive() - before > 50  # the counter sees a living graph
        if i % 3 == 0:
            loss.backward()
            assert all(np.any(t.grad) for t in tensors)
        elif i % 3 == 1:
            loss.backward(retain_graph=True)
        del tensors, loss
    assert alive() == before


@pytest.mark.usefixtures("no_collector")
def test_graphs_of_higher_derivatives_die_too(rng: np.random.Generator) -> None:
    x, *others = weights(rng)
    inner = grad(lambda x: recurrent(x, *others))
    outer = grad(lambda x: np.sum(np.square(inner(x))))
    before = alive()
    for _ in range(5):
        assert np.any(outer(x).data)
    assert alive() == before


@pytest.mark.usefixtures("no_collector")
def test_a_graph_whose_op_failed_dies_too() -> None:
    before = alive()
    x = leaf(np.ones(3))
    with pytest.raises(ValueError, match="add"):
        np.tanh(x) + np.ones(4)
    del x
    assert alive() == before


@pytest.mark.usefixtures("no_collector")
def test_the_counter_sees_a_cycle() -> None:
    before = alive()
    x = leaf(1.0)
    y = x * 2.0
    assert y.node is not None
    y.node.replay = y  # what the tape must never do
    del x, y
    assert alive() > before
    gc.collect()
    assert alive() == before


class Watched(np.ndarray):
    """An array to which a weak reference can be made, and that makes plain arrays of itself."""


def watched(x: np.ndarray) -> Watched:
    return x.copy().view(Watched)


def outlives(f: Callable[[Tensor, np.ndarray], Tensor]) -> bool:
    """Whether the array of an intermediate Tensor is alive after an op on it, while the result is."""
    x = leaf(np.ones(3))
    middle = Tensor._of(watched(x.data), x.node)
    array = weakref.ref(middle.data)
    result = f(middle, np.full(3, 2.0))
    del middle
    assert result.requires_grad
    return array() is not None


@pytest.mark.parametrize(
    ("f", "keeps"),
    [
        (lambda x, c: x + c, False),
        (lambda x, c: c - x, False),
        (lambda x, c: x * c, False),  # needs c alone
        (lambda x, c: c * x, False),
        (lambda x, c: x / c, False),
        (lambda x, c: x @ c, True),  # both products' rules share one closure
        (lambda x, c: np.tanh(x), False),  # keeps what it returns
        (lambda x, c: np.exp(x), False),
        (lambda x, c: sigmoid(x), False),
        (lambda x, c: x.sum(), False),
        (lambda x, c: x.mean(), False),
        (lambda x, c: np.where(c > 0, x, c), False),
        (lambda x, c: np.square(x), True),  # the check can see one that is kept
        (lambda x, c: x * x, True),
    ],
)
def test_an_array_that_no_rule_needs_dies_at_once(f: Callable[..., Tensor], keeps: bool) -> None:
    assert outlives(f) is keeps


def peak_of(action: Callable[[], object]) -> int:
    """The most memory, in bytes, that was taken while it ran."""
    action()  # what is allocated once only
    gc.collect()
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_chain_of_additions_keeps_no_intermediate() -> None:
    steps, size = 100, 100_000

    def chain() -> Tensor:
        y = leaf(np.zeros(size))
        for _ in range(steps):
            y = y + 1.0
        return y

    def chain_that_keeps() -> Tensor:
        y = leaf(np.zeros(size))
        for _ in range(steps):
            y = np.square(y)
        return y

    assert peak_of(chain) < 5 * size * 8
    assert peak_of(chain_that_keeps) > 0.9 * steps * size * 8  # the measure sees them


def test_slices_of_one_array_send_their_gradients_into_one_buffer(monkeypatch: pytest.MonkeyPatch) -> None:
    steps, size = 100, 1_000
    x = leaf(np.zeros((steps, size)))
    total = x[0].sum()
    for t in range(1, steps):
        total = total + (t + 1.0) * x[t].sum()

    def walk() -> None:
        x.grad = None
        total.backward(retain_graph=True)

    # a dense gradient a slice would take 100 times the array when kept, and 3 times when added up at once
    assert peak_of(walk) < 2.5 * x.data.nbytes
    np.testing.assert_array_equal(x.grad, np.repeat(np.arange(1.0, steps + 1)[:, None], size, axis=1))

    zeros, made = np.zeros, []
    monkeypatch.setattr(np, "zeros", lambda shape, *rest: made.append(shape) or zeros(shape, *rest))  # type: ignore[func-returns-value]
    total.backward()
    assert made == [x.shape]


def test_a_matrix_used_at_every_step_gets_one_product(rng: np.random.Generator) -> None:
    x, start = rng.standard_normal((7, 2, 3)), rng.standard_normal((3, 3))
    w = leaf(start)
    row = np.arange(3.0)

    def loss(w: Any) -> Any:
        h = x[0]
        for step in x:  # twice a step, by a matrix; by a vector and by batches of matrices; and another way
            h = np.tanh(h @ w) + step @ w
        return np.sum(h @ w) + np.sum(row @ w) + np.sum(x @ w) + np.sum(w * w) + w[0, 1]

    loss(w).backward(retain_graph=True)
    step, numeric = 1e-6, np.zeros((3, 3))
    for i in np.ndindex(3, 3):
        moved = np.zeros((3, 3))
        moved[i] = step
        numeric[i] = (loss(start + moved) - loss(start - moved)) / (2 * step)
    np.testing.assert_allclose(w.grad, numeric, rtol=1e-6)
    first = w.grad.copy()
    loss(w).backward()
    np.testing.assert_allclose(w.grad, 2 * first, rtol=1e-13)


def test_products_are_collected_for_the_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = 50
    w = leaf(np.full((4, 4), 0.1, np.float32))
    h: Any = np.ones((2, 4), np.float32)
    for _ in range(steps):
        h = np.tanh(h @ w)
    joined = []
    concatenate = np.concatenate
    monkeypatch.setattr(np, "concatenate", lambda xs: joined.append(len(xs)) or concatenate(xs))  # type: ignore[func-returns-value]
    h.sum().backward()
    assert joined == [steps, steps]  # of all x and of all g, once each: one product
    assert w.grad.dtype == np.float32
    assert w.grad.shape == (4, 4)


# --- deep graphs --------------------------------------------------------------------------------------


def run(program: str) -> str:
    """What a program prints, run in a process of its own, because a stack overflow kills the process."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ended with {done.returncode}: {done.stderr}"
    return done.stdout


def test_a_million_ops_go_backward_without_recursion() -> None:
    printed = run(
        "import gc, numpy as np; from tinygrad_np import Tensor\n"
        "gc.disable()\n"
        "x = Tensor([1.0, 2.0], requires_grad=True); y = x * 3.0\n"
        "for _ in range(1_000_000): y = y + 1.0\n"
        "y.backward(np.array([1.0, 10.0])); print(y.data.tolist(), x.grad.tolist())"
    )
    assert printed == "[1000003.0, 1000006.0] [3.0, 30.0]\n"


def test_a_million_ops_are_dropped_without_recursion() -> None:
    printed = run(
        "import gc, numpy as np; from tinygrad_np import Tensor; from tinygrad_np.tape import Node\n"
        "gc.disable()\n"
        "x = Tensor(1.0, requires_grad=True); y = x\n"
        "for _ in range(1_000_000): y = -y\n"
        "del y; print(sum(isinstance(o, Node) for o in gc.get_objects()))"
    )
    assert printed == "1\n"


def test_a_long_chain_that_keeps_its_inputs_is_differentiated_and_dropped() -> None:
    printed = run(
        "from tinygrad_np import grad\n"
        "def f(x):\n"
        "    y = x * x\n"
        "    for _ in range(100_000): y = y + 1.0\n"
        "    return y\n"
        "print(grad(f)(3.0).item())\n"
        "def g(x):\n"
        "    for _ in range(2_000): x = x + x * x * 0.0\n"
        "    return x * x\n"
        "print(grad(grad(g))(3.0).item())"
    )
    assert printed == "6.0\n2.0\n"


# --- walking back -------------------------------------------------------------------------------------


def test_a_second_backward_raises_and_says_what_to_do() -> None:
    x = leaf([1.0, 2.0])
    y = (x * x).sum()
    y.backward()
    with pytest.raises(RuntimeError, match="retain_graph=True"):
        y.backward()
    np.testing.assert_array_equal(x.grad, [2.0, 4.0])


def test_a_graph_that_is_kept_goes_backward_again_and_gradients_add_up() -> None:
    x = leaf([1.0, 2.0])
    y = (x * x).sum()
    y.backward(retain_graph=True)
    first = x.grad
    assert first is not None
    y.backward(retain_graph=True)
    np.testing.assert_array_equal(x.grad, [4.0, 8.0])
    np.testing.assert_array_equal(first, [2.0, 4.0])  # who looked at the first sum still has it
    y.backward()
    np.testing.assert_array_equal(x.grad, [6.0, 12.0])
    with pytest.raises(RuntimeError, match="retain_graph=True"):
        y.backward()
    (x * 10.0).sum().backward()  # another graph of the same leaf
    np.testing.assert_array_equal(x.grad, [16.0, 22.0])


def test_a_graph_that_is_half_freed_raises_and_changes_no_gradient() -> None:
    x, w = leaf([1.0, 2.0]), leaf([5.0, 7.0])
    shared = x * x
    (shared * 3.0).sum().backward()
    np.testing.assert_array_equal(x.grad, [6.0, 12.0])
    other = (shared * w).sum()
    with pytest.raises(RuntimeError, match="freed by an earlier backward"):
        other.backward()
    np.testing.assert_array_equal(x.grad, [6.0, 12.0])
    assert w.grad is None


def test_shared_results_and_an_argument_used_twice() -> None:
    x = leaf([2.0, 3.0])
    squares = x * x
    left, right = np.exp(squares * 0.1), squares + x
    np.sum(left * right).backward()  # e^(x^2 / 10) (x^2 + x)
    e = np.exp(np.array([0.4, 0.9]))
    expected = e * np.array([0.4, 0.6]) * np.array([6.0, 12.0]) + e * np.array([5.0, 7.0])
    np.testing.assert_allclose(x.grad, expected, rtol=1e-14)

    for f, slope in (
        (lambda x: x + x, [2.0, 2.0]),
        (lambda x: x - x, [0.0, 0.0]),
        (lambda x: x * x * x, [12.0, 27.0]),
        (lambda x: np.concatenate([x, x, x]), [3.0, 3.0]),
        (lambda x: np.where([True, False], x, x), [1.0, 1.0]),
        (lambda x: np.einsum("i,i->i", x, x), [4.0, 6.0]),
        (lambda x: x @ x, [4.0, 6.0]),
        (lambda x: x[[0, 0, 1]], [2.0, 1.0]),
        (lambda x: x + x[0] + x[1], [3.0, 3.0]),
    ):
        x = leaf([2.0, 3.0])
        f(x).sum().backward()
        np.testing.assert_array_equal(x.grad, slope)


def test_a_graph_that_doubles_at_each_step_is_walked_once_a_node() -> None:
    x = leaf(1.0)
    y = x
    for _ in range(60):  # 2^60 paths
        y = y + y
    y.backward()
    assert x.grad == 2.0**60


def test_gradients_are_private() -> None:
    x, y = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    given = np.array([5.0, 6.0])
    (x + y).backward(given)
    assert x.grad is not None
    assert y.grad is not None
    for one, other in ((x.grad, y.grad), (x.grad, given), (y.grad, given)):
        assert not np.shares_memory(one, other)
    x.grad[:] = -1.0
    np.testing.assert_array_equal(y.grad, [5.0, 6.0])
    np.testing.assert_array_equal(given, [5.0, 6.0])

    x.grad = None
    x.backward(given)  # the leaf itself
    assert x.grad is not None
    assert not np.shares_memory(x.grad, given)
    x.grad = None
    np.sum(x).backward()  # its gradient is one number, stretched
    assert x.grad is not None
    x.grad[0] = 7.0
    np.testing.assert_array_equal(x.grad, [7.0, 1.0])


def test_the_array_passed_to_backward_is_not_added_to() -> None:
    x = leaf(np.zeros(2))
    given = np.ones(2)
    (x + (x + (x + x))).backward(given)
    np.testing.assert_array_equal(given, [1.0, 1.0])
    np.testing.assert_array_equal(x.grad, [4.0, 4.0])


@pytest.mark.parametrize("f", [lambda x: x * x, lambda x: x + x, lambda x: x + x * x, lambda x: x[...] + x])
def test_the_gradient_of_a_number_is_an_array(f: Callable[[Tensor], Tensor]) -> None:
    x = leaf(1.0)
    for times in (1, 2, 3):
        f(x).backward()
        assert type(x.grad) is np.ndarray
        assert x.grad == times * grad(f)(1.0).item()


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 100), st.integers(0, 100)), max_size=12))
def test_any_graph_of_sums_and_products_has_the_gradient_of_forward_differentiation(
    steps: list[tuple[int, int, int]],
) -> None:
    x = leaf([0.5, -0.25])
    tensors: list[Tensor] = [x]
    values, slopes = [x.data], [np.ones(2)]  # a value, and its derivative computed on the way forward
    for kind, i, j in steps:
        i, j = i % len(tensors), j % len(tensors)
        a, b, da, db = values[i], values[j], slopes[i], slopes[j]
        new: tuple[Tensor, np.ndarray, np.ndarray] = (
            (tensors[i] + tensors[j], a + b, da + db),
            (tensors[i] * tensors[j], a * b, da * b + a * db),
            (tensors[i] - tensors[j] * 2.0, a - 2 * b, da - 2 * db),
            (np.tanh(tensors[i]), np.tanh(a), da / np.cosh(a) ** 2),
        )[kind]
        for table, entry in zip((tensors, values, slopes), new):
            table.append(entry)  # type: ignore[attr-defined]
    tensors[-1].backward(np.ones(2))
    np.testing.assert_allclose(tensors[-1].data, values[-1], rtol=1e-12)
    np.testing.assert_allclose(x.grad, slopes[-1], rtol=1e-10, atol=1e-12 * np.max(np.abs(slopes)))


# --- recording ----------------------------------------------------------------------------------------


def test_nothing_is_recorded_under_no_grad() -> None:
    x = leaf([1.0, 2.0])
    with no_grad():
        y = x * 3.0
        with no_grad():
            pass
        z = x * 3.0  # the inner block ended, the outer has not
    assert not y.requires_grad
    assert not z.requires_grad
    np.testing.assert_array_equal(np.asarray(y), [3.0, 6.0])
    assert (x * 3.0).requires_grad


def test_no_grad_as_a_decorator() -> None:
    x = leaf(2.0)

    @no_grad()
    def triple(x: Tensor) -> Tensor:
        """Three times."""
        return x * 3.0

    for _ in range(2):  # it can be called again
        assert not triple(x).requires_grad
        assert (x * 3.0).requires_grad
    assert triple.__name__ == "triple"
    assert triple.__doc__ == "Three times."


def test_recording_goes_on_after_an_exception() -> None:
    x = leaf(2.0)
    with pytest.raises(KeyError), no_grad():
        raise KeyError
    assert (x * 3.0).requires_grad

    def fails(x: Tensor) -> Tensor:
        raise KeyError

    with pytest.raises(KeyError):
        grad(fails)(2.0)
    y = x * 3.0
    assert y.node is not None
    assert y.node.replay is None  # inputs are no longer kept


def test_no_grad_holds_on_its_own_thread_only() -> None:
    x = leaf(2.0)
    inside, checked = threading.Event(), threading.Event()
    seen: dict[str, bool] = {}

    def without() -> None:
        with no_grad():
            inside.set()
            assert checked.wait(10)
            seen["under no_grad"] = (x * 3.0).requires_grad

    def beside() -> None:
        assert inside.wait(10)
        seen["beside"] = (x * 3.0).requires_grad
        checked.set()

    threads = [threading.Thread(target=f) for f in (without, beside)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {"under no_grad": False, "beside": True}
    assert (x * 3.0).requires_grad


def test_no_grad_holds_in_its_own_task_only() -> None:
    x = leaf(2.0)
    seen = {}

    async def without() -> None:
        with no_grad():
            await asyncio.sleep(0)
            seen["under no_grad"] = (x * 3.0).requires_grad
            await asyncio.sleep(0)

    async def beside() -> None:
        for i in range(3):
            seen[f"beside {i}"] = (x * 3.0).requires_grad
            await asyncio.sleep(0)

    async def both() -> None:
        await asyncio.gather(without(), beside())

    asyncio.run(both())
    assert seen == {"under no_grad": False, "beside 0": True, "beside 1": True, "beside 2": True}


def test_threads_go_backward_at_the_same_time(rng: np.random.Generator) -> None:
    data = weights(rng)
    parameter = Tensor(data[1])  # one array, read by all
    scales = np.arange(1.0, 5.0)

    def gradients(scale: float) -> list[np.ndarray]:
        own = [leaf(x) for x in data]
        for _ in range(5):
            loss = recurrent(own[0], own[1] * scale + parameter, own[2], own[3])
            loss.backward()
        return [t.grad for t in own if t.grad is not None]

    expected = [gradients(scale) for scale in scales]
    found: dict[float, list[np.ndarray]] = {}
    threads = [threading.Thread(target=lambda s=s: found.update({s: gradients(s)})) for s in scales]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for scale, arrays in zip(scales, expected):
        assert len(arrays) == 4
        for ours, theirs in zip(found[scale], arrays):
            np.testing.assert_array_equal(ours, theirs)


# --- dtypes -------------------------------------------------------------------------------------------


def test_a_gradient_has_the_dtype_of_its_leaf() -> None:
    x, y = leaf([1.0, 2.0], dtype=np.float32), leaf([3.0, 4.0])
    product = x * y * np.array([2.0, 2.0])
    assert product.dtype == np.float64
    product.sum().backward()
    assert x.grad is not None
    assert y.grad is not None
    assert (x.grad.dtype, y.grad.dtype) == (np.float32, np.float64)
    np.testing.assert_array_equal(x.grad, np.array([6.0, 8.0], np.float32))
    x.grad = None
    (x[[0, 0]] * np.array([1.0, 0.5])).sum().backward()  # through a scatter
    assert x.grad is not None
    assert x.grad.dtype == np.float32
    np.testing.assert_array_equal(x.grad, np.array([1.5, 0.0], np.float32))


def test_python_numbers_take_the_dtype_of_what_they_meet() -> None:
    x = leaf([1.0, 2.0], dtype=np.float32)
    for y in (
        x + 1,
        1.5 - x,
        2 * x,
        x / 3,
        1 / x,
        x**2,
        2.0**x,
        np.maximum(x, 0.0),
        np.where([True, False], x, 0.0),
    ):
        assert y.dtype == np.float32
    assert leaf([1.0], dtype=np.float16).mean().dtype == np.float16


def test_integers_and_bools_never_require_a_gradient() -> None:
    for data in (1, [1, 2], True, np.arange(3, dtype=np.uint8), 1j):
        with pytest.raises(TypeError, match="floating-point"):
            leaf(data)
    assert not (Tensor([1, 2]) * 3).requires_grad
    x = leaf([1.0, 2.0])
    (Tensor([1, 2]) * x).sum().backward()
    np.testing.assert_array_equal(x.grad, [1.0, 2.0])
    with pytest.raises(TypeError, match="lose the gradient"):
        x.astype(np.int64)


# --- primitives of one's own --------------------------------------------------------------------------


@pytest.mark.usefixtures("declared")
def test_a_declared_primitive_answers_its_numpy_function() -> None:
    for function in (np.sin, np.cos):  # which have rules already
        del tape.PRIMITIVES[function.__name__], tape.NUMPY[function]

    @primitive(np.sin)
    def sin(x: Any) -> Any:
        """The sine."""
        return np.sin(x), (lambda g: g * np.cos(x),)

    with pytest.raises(TypeError, match="cos"):  # its own rule needs np.cos to be differentiated twice
        grad(grad(lambda x: np.sin(x)))(1.0)

    @primitive(np.cos)
    def cos(x: Any) -> Any:
        """The cosine."""
        return np.cos(x), (lambda g: -g * np.sin(x),)

    assert (sin.__name__, sin.__doc__) == ("sin", "The sine.")
    x = leaf([0.3, 1.1])
    np.sin(x).sum().backward()
    np.testing.assert_allclose(x.grad, np.cos([0.3, 1.1]), rtol=1e-15)
    assert grad(grad(grad(np.sin)))(0.3).item() == pytest.approx(-np.cos(0.3), rel=1e-14)


@pytest.mark.usefixtures("declared")
def test_a_joint_rule_and_static_parameters() -> None:
    calls = []

    @primitive()
    def weighted(x: Any, y: Any, *, scale: float = 1.0) -> Any:
        def vjp(g: Any) -> tuple[Any, Any]:
            calls.append(scale)
            return g * y * scale, g * x * scale

        return x * y * scale, vjp

    x, y = leaf([1.0, 2.0]), leaf([[3.0], [4.0]])
    out = weighted(x, y, scale=10.0)
    np.testing.assert_array_equal(out.data, [[30.0, 60.0], [40.0, 80.0]])
    out.sum().backward()
    assert calls == [10.0]  # once for both
    np.testing.assert_array_equal(x.grad, [70.0, 70.0])
    np.testing.assert_array_equal(y.grad, [[30.0], [30.0]])
    x.grad = None
    weighted(x, 5.0).sum().backward()  # one of them a constant
    np.testing.assert_array_equal(x.grad, [5.0, 5.0])


@pytest.mark.usefixtures("declared")
@pytest.mark.parametrize("joint", [False, True])
def test_none_where_an_argument_has_no_gradient(joint: bool) -> None:
    @primitive()
    def by(x: Any, y: Any) -> Any:
        return x * y, (lambda g: (g * y, None)) if joint else (lambda g: g * y, None)

    @primitive()
    def by_three(x: Any, y: Any, z: Any) -> Any:
        rules = (lambda g: g * y * z, None, lambda g: g * x * y)
        return x * y * z, (lambda g: [rule and rule(g) for rule in rules]) if joint else rules

    x, y, z = leaf(2.0), leaf(3.0), leaf(5.0)
    by(x, y).backward()
    assert (x.grad, y.grad) == (3.0, None)
    by_three(x, y, z).backward()
    assert (x.grad, y.grad, z.grad) == (18.0, None, 6.0)


def sine_and_square(calls: list[list[Any]]) -> Callable[..., Any]:
    """A primitive with two outputs, sin(x) y and x^2 in float32, that notes what its vjp is given."""

    def both(x: Any, y: Any) -> Any:
        def vjp(gs: list[Any]) -> tuple[Any, Any]:
            calls.append(list(gs))
            a, b = (0.0 if g is None else g for g in gs)
            return a * np.cos(x) * y + b * 2.0 * x, a * np.sin(x)

        return (np.sin(x) * y, np.square(x).astype(np.float32)), vjp

    return primitive()(both)


@pytest.mark.usefixtures("declared", "no_collector")
def test_several_outputs_send_their_gradients_back_together() -> None:
    calls: list[list[Any]] = []
    both = sine_and_square(calls)
    before = alive()
    x, y = leaf([0.5, 1.0]), leaf([2.0, 3.0])
    sine, square = both(x, y)
    assert (sine.shape, square.shape, sine.dtype, square.dtype) == ((2,), (2,), np.float64, np.float32)
    loss = (sine * 10.0).sum() + square.sum() + (square * np.array([0.25, 0.5])).sum()
    slope_x = 10.0 * y.data * np.cos(x.data) + 2.0 * x.data * [1.25, 1.5]
    slope_y = 10.0 * np.sin(x.data)
    for times in (1, 2):  # a graph that is kept starts with an empty list again
        loss.backward(retain_graph=True)
        np.testing.assert_allclose(x.grad, times * slope_x, rtol=1e-14)
        np.testing.assert_allclose(y.grad, times * slope_y, rtol=1e-14)
        assert len(calls) == times
        (g_sine, g_square) = calls[-1]
        np.testing.assert_array_equal(g_sine, [10.0, 10.0])
        np.testing.assert_array_equal(g_square, [1.25, 1.5])
        assert g_square.dtype == np.float32  # an output's gradient has the output's dtype
    del x, y, sine, square, loss
    assert alive() == before


@pytest.mark.usefixtures("declared")
def test_an_output_on_which_nothing_depends_sends_back_none() -> None:
    calls: list[list[Any]] = []
    both = sine_and_square(calls)
    x = leaf(3.0)
    sine, square = both(x, 1.0)
    square.backward()
    assert x.grad == 6.0
    assert calls == [[None, 1.0]]
    with pytest.raises(RuntimeError, match="retain_graph=True"):
        square.backward()
    with pytest.raises(RuntimeError, match="retain_graph=True"):
        sine.backward()  # the op that made both was freed
    assert x.grad == 6.0
    for constant in both(2.0, 1.0):
        assert not constant.requires_grad
    with no_grad():
        assert [t.requires_grad for t in both(x, x)] == [False, False]


@pytest.mark.usefixtures("declared")
def test_several_outputs_have_higher_derivatives() -> None:
    def both(x: Any) -> Any:
        def vjp(gs: list[Any]) -> list[Any]:
            a, b = (0.0 if g is None else g for g in gs)
            return [a * 3.0 * np.square(x) + b * 2.0 * x]

        return (x * x * x, np.square(x)), vjp

    declared = primitive()(both)
    assert grad(grad(lambda x: declared(x)[0]))(5.0).item() == 30.0
    assert grad(grad(lambda x: declared(x)[1]))(5.0).item() == 2.0
    assert grad(grad(grad(lambda x: declared(x)[0] * declared(x)[1])))(2.0).item() == 60.0 * 4.0


@pytest.mark.usefixtures("declared")
def test_a_rule_is_told_for_which_arguments_a_gradient_is_wanted() -> None:
    told = []

    def scaled(x: Any, y: Any, *, scale: float = 1.0, needs_input_grad: tuple[bool, ...]) -> Any:
        told.append(needs_input_grad)
        return x * y * scale, lambda g: [
            g * y * scale if needs_input_grad[0] else None,
            g * x * scale if needs_input_grad[1] else None,
        ]

    def total(*xs: Any, needs_input_grad: tuple[bool, ...]) -> Any:
        told.append(needs_input_grad)
        return sum(xs), lambda g: [g if want else None for want in needs_input_grad]

    scaled, total = primitive()(scaled), primitive()(total)
    x, y = leaf(2.0), leaf(3.0)
    scaled(x, y, scale=10.0).backward()
    scaled(x, 5.0).backward()
    scaled(np.ones(1), y)
    with no_grad():
        scaled(x, y)
    scaled(1.0, Tensor(2.0))
    total(1.0, x, y).backward()
    assert told == [(True, True), (True, False), (False, True), *[(False, False)] * 2, (False, True, True)]
    assert (x.grad, y.grad) == (30.0 + 5.0 + 1.0, 20.0 + 1.0)
    assert grad(grad(lambda x: scaled(x, x)))(3.0).item() == 2.0
    with pytest.raises(ValueError, match=r"^scaled\(float64\[2\], float64\[3\], scale=1.0\): "):
        scaled(np.ones(2), np.ones(3), scale=1.0)  # it is the tape's to fill in, and no word about it


@pytest.mark.usefixtures("declared")
def test_a_twin_is_called_where_higher_derivatives_may_be_asked_for() -> None:
    calls = []

    def composed(x: Any, *, scale: float = 1.0) -> Any:
        calls.append("composite")
        return x * x * x * scale

    def fused(x: Any, *, scale: float = 1.0) -> Any:
        calls.append("rule")
        assert isinstance(x, np.ndarray | float)
        return x**3 * scale, (lambda g: g * 3.0 * x**2 * scale,)

    cube = primitive(composite=composed)(fused)
    x = leaf(2.0)
    cube(x, scale=2.0).backward()
    assert x.grad == 24.0
    assert calls == ["rule"]
    calls.clear()
    assert grad(grad(lambda x: cube(x, scale=2.0)))(2.0).item() == 24.0
    assert set(calls) == {"composite"}
    calls.clear()
    assert grad(lambda x: x * cube(2.0))(1.0).item() == 8.0  # nobody asks for a derivative of a constant
    assert calls == ["rule"]


@given(st.data())
def test_unbroadcast_is_the_transpose_of_broadcasting(data: st.DataObject) -> None:
    shape = tuple(data.draw(st.lists(st.sampled_from([0, 1, 1, 2, 3]), max_size=3)))
    wide = tuple(data.draw(st.sampled_from([0, 1, 4])) if n == 1 else n for n in shape)
    wide = (*data.draw(st.lists(st.sampled_from([0, 1, 2]), max_size=2)), *wide)
    rng = np.random.default_rng(0)
    x, g = rng.standard_normal(shape), rng.standard_normal(wide)
    back = unbroadcast(g, shape)
    assert back.shape == shape
    np.testing.assert_allclose(np.sum(np.broadcast_to(x, wide) * g), np.sum(x * back), rtol=1e-9, atol=1e-12)


def test_products_of_one_matrix_do_not_keep_all_gradients_alive(rng: np.random.Generator) -> None:
    w = Tensor(0.05 * rng.standard_normal((64, 64)), requires_grad=True)
    x = rng.standard_normal((backward.DeferredMatmul.ROWS, 64))

    def peak(steps: int) -> int:
        h = Tensor(x)
        for _ in range(steps):
            h = np.tanh(h @ w)
        total = h.sum()
        tracemalloc.start()
        total.backward()
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    assert peak(40) < peak(10) + 2 * x.nbytes  # each step's gradient would be one more


@pytest.mark.parametrize("rows", [1, 400, 3000])
def test_products_add_up_in_one_go_or_in_several(rows: int, rng: np.random.Generator) -> None:
    w = Tensor(rng.standard_normal((3, 2)), requires_grad=True)
    xs = rng.standard_normal((7, rows, 3))
    gs = rng.standard_normal((7, rows, 2))
    total = Tensor(0.0)
    for x, g in zip(xs, gs):
        total = total + ((x @ w) * g).sum()
    (total + (w * 3).sum()).backward()
    np.testing.assert_allclose(w.grad, np.einsum("sri,srj->ij", xs, gs) + 3, rtol=1e-12)
