"""NumPy's functions on Tensors: called in NumPy's ways they give its values and a gradient, or they raise.

What must never happen is that a gradient is lost in silence. So every public function of NumPy is tried.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from tinygrad_np import Tensor, functional, tape
from tinygrad_np.ops.constant import CONSTANT

RNG = np.random.default_rng(0)
X = RNG.standard_normal((2, 3))
Y = RNG.standard_normal((2, 3))
POSITIVE = RNG.uniform(0.5, 2.0, (2, 3))
CUBE = RNG.standard_normal((2, 3, 4))
INDICES = np.array([[2, 0], [1, 1]])


def leaf(data: Any) -> Tensor:
    return Tensor(data, requires_grad=True)


# --- functions that have a rule are called by their rows: see test_rows.py -------------------------------


def test_constants_take_tensors_and_give_what_numpy_gives() -> None:
    x = leaf([[1.0, -2.5], [np.nan, 0.0]])
    for function in (
        np.isnan,
        np.isfinite,
        np.isinf,
        np.signbit,
        np.isposinf,
        np.isneginf,
    ):
        np.testing.assert_array_equal(function(x), function(x.data))
    for function in (np.argmax, np.argmin, np.argsort, np.all, np.any, np.count_nonzero):
        np.testing.assert_array_equal(function(x, axis=1), function(x.data, axis=1))
    for function in (np.zeros_like, np.ones_like):
        assert type(function(x)) is np.ndarray
        np.testing.assert_array_equal(function(x), function(x.data))
    assert (np.shape(x), np.ndim(x), np.size(x)) == ((2, 2), 2, 4)
    assert np.result_type(x, np.float32) == np.float64
    np.testing.assert_array_equal(np.nonzero(x), np.nonzero(x.data))
    assert np.array_equal(x[0], [1.0, -2.5])
    assert np.allclose(x[0], x.data[0] + 1e-12)
    assert np.isclose(x, 0.0).tolist() == [[False, False], [False, True]]
    np.testing.assert_array_equal(np.logical_and(x, x > 0), [[True, False], [False, False]])
    np.testing.assert_array_equal(np.logical_not(x), [[False, False], [False, True]])


# --- functions that have none -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("fftn", lambda x: np.fft.fftn(x)),
        ("unique", lambda x: np.unique(x)),
        ("unwrap", lambda x: np.unwrap(x)),
        ("fft", lambda x: np.fft.fft(x)),
        ("copyto", lambda x: np.copyto(np.zeros((2, 3)), x)),
        ("copyto", lambda x: np.full_like(X, x[0, 0])),
        ("put_along_axis", lambda x: np.put_along_axis(x, INDICES, 0.0, 1)),
        ("fill_diagonal", lambda x: np.fill_diagonal(x, 0.0)),
        ("order 'C', and not 'F'", lambda x: np.copy(x).flatten("F")),
        ("reflect_type", lambda x: np.pad(x, 1, "reflect", reflect_type="odd")),
        ("add.reduce", lambda x: np.add.reduce(x)),
        ("multiply.outer", lambda x: np.multiply.outer(x, x)),
        ("add.accumulate", lambda x: np.add.accumulate(x)),
        ("add.at", lambda x: np.add.at(np.zeros((2, 3)), 0, x[0])),
        ("add", lambda x: np.add(x, 1, out=np.zeros((2, 3)))),
        ("add", lambda x: np.zeros((2, 3)).__iadd__(x)),
        ("add", lambda x: np.add(x, 1, dtype=np.float32)),
        ("add", lambda x: np.add(x, 1, where=False)),
        ("tanh", lambda x: np.tanh(x, np.zeros((2, 3)))),
        ("tanh", lambda x: np.tanh(x, dtype=np.float32)),
        ("matmul", lambda x: np.matmul(x, x.T, axes=[(0, 1), (0, 1), (0, 1)])),
        ("floor", lambda x: np.floor(x, out=np.zeros((2, 3)))),
        ("sum", lambda x: np.sum(x, out=np.zeros(()))),
        ("sum", lambda x: np.sum(x, dtype=np.float32)),
        ("sum", lambda x: np.sum(x, where=[True, False, True])),
        ("sum", lambda x: np.sum(x, initial=1.0)),
        ("sum", lambda x: np.sum(x, axis=Tensor(0))),
        ("max", lambda x: np.max(x, initial=0.0)),
        ("mean", lambda x: np.mean(x, where=[True, False, True])),
        ("var", lambda x: np.var(x, mean=0.0)),
        ("reshape", lambda x: np.reshape(x, 6, order="F")),
        ("ravel", lambda x: np.ravel(x, order="F")),
        ("clip", lambda x: np.clip(x, 0.0, 1.0, max=2.0)),
        ("clip", lambda x: np.clip(x, 0.0, 1.0, out=np.zeros((2, 3)))),
        ("round", lambda x: np.round(x, out=np.zeros((2, 3)))),
        ("concatenate", lambda x: np.concatenate([x, x], out=np.zeros((4, 3)))),
        ("stack", lambda x: np.stack([x, x], dtype=np.float32, casting="same_kind")),
        ("einsum", lambda x: np.einsum("ij->i", x, out=np.zeros(2))),
        ("take", lambda x: np.take(x, [0], out=np.zeros(1))),
    ],
)
def test_what_has_no_rule_raises_and_is_named(name: str, call: Callable[[Tensor], Any]) -> None:
    with pytest.raises(TypeError, match=name):
        call(leaf(X))


@pytest.mark.parametrize(
    ("message", "call"),
    [
        ("fft", np.fft.fft),
        (r"use \.detach\(\) or \.data", lambda x: np.add.reduce(x)),
        (r"tinygrad_np\.primitive", np.fft.fft),
        (r"with \.detach\(\) or \.data", np.unique),
    ],
)
def test_the_error_says_what_to_do(message: str, call: Callable[[Tensor], Any]) -> None:
    with pytest.raises(TypeError, match=message):
        call(leaf(X))


@pytest.mark.parametrize(
    "convert",
    [
        lambda x: np.asarray(x),
        lambda x: np.array(x),
        lambda x: np.array([x, x]),
        lambda x: np.array([1.0, x]),
        lambda x: np.asarray(x, dtype=np.float32),
        lambda x: x.numpy(),
        lambda x: np.float64(x),
        lambda x: np.full(3, x),
        lambda x: float(x),
        lambda x: complex(x),
        lambda x: math.sqrt(x),
        lambda x: x + [1.0, x],  # noqa: RUF005
        lambda x: Tensor([x, x]),
        lambda x: np.arange(x),
    ],
)
def test_a_conversion_that_would_lose_the_gradient_raises(convert: Callable[[Tensor], Any]) -> None:
    with pytest.raises(RuntimeError, match=r"lose the gradient; use .*\.detach\(\)"):
        convert(leaf(2.0))
    convert(Tensor(2.0))  # of a constant it is allowed


@pytest.mark.parametrize(
    "write", [lambda a, x: a.__setitem__(0, x), lambda a, x: a.fill(x), lambda a, x: np.fromiter([x], float)]
)
def test_a_number_is_not_written_into_an_array_without_its_gradient(write: Callable[..., Any]) -> None:
    array = np.zeros(2)
    with pytest.raises((RuntimeError, ValueError)):  # NumPy puts an error of its own over ours
        write(array, leaf(2.0))
    np.testing.assert_array_equal(array, [0.0, 0.0])
    write(array, Tensor(2.0))


# --- every function of NumPy --------------------------------------------------------------------------

# These read and write files, change settings, or print; and what is in an empty array is not defined.
NOT_TRIED = {
    *("fromfile", "fromregex", "genfromtxt", "load", "loadtxt", "save", "savetxt", "savez"),
    *("savez_compressed", "set_printoptions", "setbufsize", "seterr", "seterrcall"),
    *("get_include", "info", "show_config", "show_runtime", "bench", "test", "empty", "empty_like"),
}

ARGUMENTS: list[Callable[[Callable[[Any], Any]], tuple[Any, ...]]] = [
    lambda t: (t(X),),
    lambda t: (t(POSITIVE[0, 0]),),
    lambda t: (t(X), t(Y)),
    lambda t: (X, t(Y)),
    lambda t: (t(X[0]), 2),
    lambda t: (2.0, t(X[0])),
    lambda t: ([t(X), t(Y)],),
    lambda t: (t(X), 0, 1),
    lambda t: (t(X), (3, 2)),
    lambda t: (t(X), (4, 2, 3)),
    lambda t: ("ij->i", t(X)),
    lambda t: (X > 0, t(X), t(Y)),
    lambda t: (X, X, t(X)),
    lambda t: (t(X @ X.T),),
    lambda t: (t(X[0]), t(Y[0])),
    lambda t: (t(X @ X.T), t(X)),
    lambda t: (t(X @ X.T), 1),
    lambda t: (t(X @ X.T), t(X[0, :2])),
    lambda t: ([t(X), t(Y.T)],),
    lambda t: (t(X), t(Y.T)),
    lambda t: (t(X), INDICES, 1),
    lambda t: ([0, 1, 1], [t(X[0]), t(Y[0])]),
    lambda t: ([X > 0], [t(X)]),
    lambda t: (X[0] > 0, t(X[0])),
    lambda t: (t(CUBE), 1),
]


def public() -> Iterator[Any]:
    """Every public function and ufunc of NumPy, its linear algebra, Fourier transforms and windows."""
    for module in (np, np.linalg, np.fft, np.lib.stride_tricks):
        for name in sorted(dir(module)):
            function = getattr(module, name)
            is_type = isinstance(function, type) and not issubclass(function, np.generic)
            if callable(function) and not is_type and name[0] != "_" and name not in NOT_TRIED:
                yield pytest.param(function, id=f"{module.__name__}.{name}")


def arrays_in(result: Any) -> list[Any]:
    """The floating-point arrays, numbers and Tensors in a result."""
    if isinstance(result, list | tuple):
        return [array for part in result for array in arrays_in(part)]
    return [result] if getattr(getattr(result, "dtype", None), "kind", "") in ("f", "c") else []


def outcome(
    function: Callable[..., Any], arguments: Callable[[Callable[[Any], Any]], tuple[Any, ...]]
) -> str:
    """What becomes of the gradient in a call: "raised", "gradient", "nothing depends", or "LOST"."""
    try:
        results = arrays_in(function(*arguments(leaf)))
        moved = arrays_in(function(*arguments(lambda x: leaf(np.asarray(x) * 1.001 + 0.001))))
    except RecursionError:
        raise
    except Exception:
        return "raised"
    kept = [isinstance(t, Tensor) and t.requires_grad for t in results]
    values, others = ([r.data if isinstance(r, Tensor) else r for r in rs] for rs in (results, moved))
    same = [np.array_equal(a, b, equal_nan=True) for a, b in zip(values, others)]
    if not all(a or b for a, b in zip(kept, same)):
        return "LOST"
    # with nothing kept: such as np.zeros(3, dtype=t); of several results one may depend on a constant alone
    return "gradient" if any(kept) else "nothing depends"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("function", list(public()))
def test_no_function_of_numpy_loses_the_gradient_in_silence(function: Callable[..., Any]) -> None:
    if function in CONSTANT:
        for arguments in ARGUMENTS:
            # a constant function has derivative 0: a small step, away from the jumps, changes nothing
            assert outcome(function, arguments) in ("raised", "nothing depends")
        return
    outcomes = [outcome(function, arguments) for arguments in ARGUMENTS]
    lost = [i for i, what in enumerate(outcomes) if what == "LOST"]
    assert not lost, f"with the arguments {lost}"
    if function in tape.NUMPY:
        assert "gradient" in outcomes
    elif isinstance(function, np.ufunc):
        assert set(outcomes) == {"raised"}


@pytest.mark.parametrize("function", [f for f in np.__dict__.values() if isinstance(f, np.ufunc)])
def test_a_ufunc_without_a_rule_is_named(function: np.ufunc) -> None:
    if function not in tape.NUMPY and function not in CONSTANT:
        with pytest.raises(TypeError, match=rf"^np\.{function.__name__} has no rule for a Tensor"):
            function(*[leaf(1.0)] * function.nin)


@pytest.mark.parametrize(
    "call",
    [
        lambda x: np.lexsort((x, [x[1], 0.0])),
        lambda x: np.ravel_multi_index((x > 1, [x[0] > 1, x[0] > 1]), (9, 9)),
        lambda x: np.isin(x, [x[0], 7.0]),
        lambda x: np.equal([[x[0], x[1]], [x[1], x[1]]], x),
        lambda x: np.searchsorted([x[1], x[0]], x),
        lambda x: np.array_equal(x, [x[0], x[1]]),
    ],
)
def test_constants_look_into_lists_and_tuples(call: Callable[[Any], Any]) -> None:
    x = np.array([2.0, 1.0])
    np.testing.assert_array_equal(call(leaf(x)), call(x))
    whole = Tensor([1, 2])  # np.ravel_multi_index asks the Tensors in its tuple, and no others
    np.testing.assert_array_equal(np.ravel_multi_index((whole, whole), (9, 9)), [10, 20])


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("choose", lambda x: np.choose(x, [x, x])),
        ("pad", lambda x: np.pad(x, x)),
        ("linear", lambda x: functional.linear(x, [[1.0, 2.0, 3.0]])),
        ("cdist", lambda x: functional.cdist(x, 1.0)),
        ("pdist", lambda x: functional.pdist(x[0])),
        (
            "solve_triangular",
            lambda x: functional.solve_triangular(np.eye(2, dtype=np.float16), x, upper=True),
        ),
        ("batch_norm", lambda x: functional.batch_norm(x, {1.0}, None, training=True)),
        ("conv1d", lambda x: functional.conv1d(x, np.ones((1, 1, 1)) * 1j)),
        ("dropout1d", lambda x: functional.dropout1d(x[np.newaxis], rng=1.5)),
    ],
)
def test_what_fails_inside_of_a_function_is_told_of_the_function(
    name: str, call: Callable[[Tensor], Any]
) -> None:
    with pytest.raises((ValueError, TypeError, IndexError, RuntimeError), match=rf"^{name}\b"):
        call(leaf([2.0, 1.0]))


@pytest.mark.parametrize("name", functional.__all__)
def test_every_function_of_functional_names_itself_in_errors(name: str) -> None:
    assert hasattr(getattr(functional, name), "__wrapped__"), "write @names_itself above it"


def test_the_trial_is_broad_and_sees_a_lost_gradient() -> None:
    tried = [parameter.values[0] for parameter in public()]
    assert len(tried) > 350
    assert set(tape.NUMPY) <= set(tried)
    assert set(tried) >= CONSTANT - {np.empty_like}
    one = ARGUMENTS[0]
    assert outcome(lambda x: x.data * 2.0, one) == "LOST"
    assert outcome(lambda x: [x * 2.0, x.data], one) == "LOST"
    assert outcome(lambda x: x.detach(), one) == "LOST"
    assert outcome(lambda x: (x * 2.0, [x]), one) == "gradient"
    assert outcome(lambda x: np.ones(x.shape), one) == "nothing depends"


# --- NumPy's own assertions, and bad input ------------------------------------------------------------


@pytest.mark.parametrize(
    "compare",
    [np.testing.assert_allclose, np.testing.assert_array_equal, np.testing.assert_array_almost_equal],
)
def test_numpys_assertions_compare_constant_tensors(compare: Callable[..., None]) -> None:
    compare(Tensor([1.0, 2.0]), [1.0, 2.0])
    compare([1.0, 2.0], Tensor([1.0, 2.0]))
    for other in ([1.0, 2.5], Tensor([1.0, 2.5])):
        with pytest.raises(AssertionError, match="Mismatched elements: 1 / 2"):
            compare(Tensor([1.0, 2.0]), other)
    with pytest.raises(RuntimeError, match=r"\.detach\(\)"):
        compare(leaf([1.0, 2.0]), [1.0, 2.0])


@pytest.mark.parametrize(
    ("kind", "start", "call"),
    [
        (ValueError, r"add\(float64\[2, 3\], float64\[4\]\): ", lambda x: x + np.ones(4)),
        (ValueError, r"add\(float32\[4\], float64\[2, 3\]\): ", lambda x: np.ones(4, np.float32) + x),
        (ValueError, r"matmul\(float64\[2, 3\], float64\[2, 3\]\): ", lambda x: x @ x),
        (ValueError, r"matmul\(float64\[2, 3\], 3\): ", lambda x: x @ 3),
        (
            ValueError,
            r"where\(bool\[4\], float64\[2, 3\], 0\.0\): ",
            lambda x: np.where(np.ones(4, bool), x, 0.0),
        ),
        (ValueError, r"reshape\(float64\[2, 3\], shape=\(4,\)\): ", lambda x: x.reshape(4)),
        (
            ValueError,
            r"concatenate\(\[float64\[2, 3\], float64\[3\]\]\): ",
            lambda x: np.concatenate([x, x[0]]),
        ),
        (ValueError, r"stack\(\[float64\[2, 3\], float64\[3\]\]\): ", lambda x: np.stack([x, x[0]])),
        (
            ValueError,
            r"broadcast_to\(float64\[2, 3\], shape=\(3, 2\)\): ",
            lambda x: np.broadcast_to(x, (3, 2)),
        ),
        (ValueError, r"squeeze\(float64\[2, 3\], 0\): ", lambda x: x.squeeze(0)),
        (ValueError, r"einsum\('ijk', float64\[2, 3\]\): ", lambda x: np.einsum("ijk", x)),
        (ValueError, r"split: axis 1 of \[2, 3\] is not 2 equal parts", lambda x: np.split(x, 2, axis=1)),
        (ValueError, r"split: the places \[2, 1\] do not rise", lambda x: np.split(x, [2, 1], axis=1)),
        (ValueError, r"moveaxis: 2 axes to 1 places", lambda x: np.moveaxis(x, (0, 1), 0)),
        (
            ValueError,
            r"take_along_axis: indices of shape \(1,\)",
            lambda x: np.take_along_axis(x, np.array([0]), 0),
        ),
        (ValueError, r"max\(float64\[0\]\): ", lambda x: np.max(x[0, :0])),
        (
            TypeError,
            r"add: a Tensor holds numbers, and this has dtype object, made of NoneType; ",
            lambda x: x + None,
        ),
        (IndexError, r"sum\(float64\[2, 3\], axis=2\): ", lambda x: x.sum(axis=2)),
        (IndexError, r"getitem\(float64\[2, 3\], index=5\): ", lambda x: x[5]),
        (IndexError, r"getitem\(float64\[2, 3\], index=\(0, 0, 0\)\): ", lambda x: x[0, 0, 0]),
        (IndexError, r"transpose\(float64\[2, 3\], axes=\(0, 5\)\): ", lambda x: x.transpose(0, 5)),
        (IndexError, r"moveaxis: source: axis 5", lambda x: np.moveaxis(x, 5, 0)),
        (IndexError, r"swapaxes: axis -3", lambda x: np.swapaxes(x, 0, -3)),
        (IndexError, r"take: axis 2", lambda x: np.take(x, [0], axis=2)),
        (IndexError, r"take_along_axis: axis 2", lambda x: np.take_along_axis(x, INDICES, axis=2)),
        (IndexError, r"split: axis 2", lambda x: np.split(x, 1, axis=2)),
    ],
)
def test_bad_input_is_told_in_one_sentence(kind: type, start: str, call: Callable[[Tensor], Any]) -> None:
    for x in (leaf(X), Tensor(X)):
        with pytest.raises(kind, match=f"^{start}") as raised:
            call(x)
        assert "\n" not in str(raised.value)
