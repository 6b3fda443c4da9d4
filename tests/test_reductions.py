"""Reductions, scans and statistics beyond their rows: derivatives of every order where factors are 0, indices,
ways to call, half precision, nothing at all, and what is said of bad input.
"""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinygrad_np import Tensor, functional, grad

RNG = np.random.default_rng(0)
X = RNG.standard_normal((2, 3, 4))
GAPS = np.where(RNG.random(X.shape) < 0.3, np.nan, X)
GAPS[1, 2] = np.nan
DIRECTION = np.array([0.3, 0.7, -1.1, 0.5])


def leaf(x: Any) -> Tensor:
    return Tensor(np.asarray(x, float), requires_grad=True)


def along_direction(f: Callable[[Any], Any], order: int) -> Callable[[Any], Any]:
    """The derivative of this order along a fixed direction."""
    if not order:
        return f
    return lambda x: (grad(along_direction(f, order - 1))(x) * DIRECTION).sum()


@pytest.mark.parametrize("x", [[2, 0, 3, 0], [1, 2, 3, 4], [0, 0, 0, 0], [0, 1, 2, 3], [5, 1, 0, 2]])
@pytest.mark.parametrize("f", [np.prod, lambda t: np.cumprod(t)[-1]], ids=["prod", "cumprod"])
def test_products_are_right_to_every_order_with_any_number_of_zeros(f: Any, x: list[float]) -> None:
    polynomial = np.poly1d([1.0])  # the product along the direction
    for start, step in zip(x, DIRECTION):
        polynomial = polynomial * np.poly1d([step, start])
    for order in range(5):
        found = float(along_direction(f, order)(Tensor(np.asarray(x, float))).item())
        np.testing.assert_allclose(found, np.polyder(polynomial, order)(0), rtol=1e-12, atol=1e-14)


def test_a_running_product_that_overflows_has_a_finite_gradient_where_nothing_depends_on_it() -> None:
    x = leaf([0.5] + [1e200] * 5)
    with np.errstate(over="ignore"):
        np.cumprod(x)[:2].sum().backward()
    np.testing.assert_array_equal(x.grad, [1 + 1e200, 0.5, 0, 0, 0, 0])
    rows = leaf([[2.0, 3.0], [1e200, 1e200]])
    with np.errstate(over="ignore"):
        np.prod(rows, axis=1)[:1].sum().backward()
    np.testing.assert_array_equal(rows.grad, [[3, 2], [0, 0]])


def test_a_scan_is_the_loop_that_it_stands_for() -> None:
    x, g = RNG.standard_normal(37), RNG.standard_normal(37)
    x[[5, 20]] = 0
    t = leaf(x)
    np.cumprod(t).backward(g)
    expected = [
        sum(g[k] * np.prod(np.delete(x[: k + 1], j)) for k in range(j, len(x))) for j in range(len(x))
    ]
    np.testing.assert_allclose(t.grad, expected, rtol=1e-12, atol=1e-15)


# --- called as NumPy's and as PyTorch's -----------------------------------------------------------------


REDUCTIONS = [
    "prod",
    "median",
    "ptp",
    "amax",
    "amin",
    "nansum",
    "nanmean",
    "nanmedian",
    "std",
    "var",
    "any",
    "argmax",
]


@pytest.mark.parametrize("name", REDUCTIONS)
def test_methods_take_axis_and_keepdims(name: str) -> None:
    expected = getattr(np, name)(X, axis=1, keepdims=True)
    method = getattr(leaf(X), name)
    between = [0] if name in ("std", "var") else []  # ddof stands where PyTorch has `unbiased`
    for found in (method(1, *between, True), method(axis=1, keepdims=True), method(dim=1, keepdim=True)):
        np.testing.assert_array_equal(
            getattr(found, "data", found) if isinstance(found, Tensor) else found, expected
        )


@pytest.mark.parametrize("how", [{"ddof": 1}, {"correction": 1}, {"unbiased": True}])
def test_a_variance_is_divided_by_one_less(how: dict[str, Any]) -> None:
    t = leaf(X)
    np.testing.assert_allclose(t.var(1, **how).data, np.var(X, 1, ddof=1), rtol=1e-14)
    np.testing.assert_allclose(t.std(dim=1, **how).data, np.std(X, 1, ddof=1), rtol=1e-14)
    std, mean = functional.std_mean(t, **how)
    np.testing.assert_allclose([std.item(), mean.item()], [np.std(X, ddof=1), np.mean(X)], rtol=1e-14)


def test_spread_and_mean_take_pytorchs_second_form() -> None:
    for unbiased in (False, True):
        var, _ = functional.var_mean(leaf(X), unbiased)
        np.testing.assert_allclose(var.item(), np.var(X, ddof=int(unbiased)), rtol=1e-14)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_falling_order_keeps_the_order_of_equal_elements(axis: int) -> None:
    x = RNG.integers(0, 3, (4, 5)).astype(float)
    x[2, 1] = np.nan
    values, order = leaf(x).sort(axis, True)
    np.testing.assert_array_equal(leaf(x).argsort(axis, descending=True), order)
    np.testing.assert_array_equal(values.data, np.take_along_axis(x, order, axis))
    for column, places in zip(np.moveaxis(x, axis, -1), np.moveaxis(order, axis, -1)):
        keys = [(-np.inf if np.isnan(v) else -v, i) for i, v in enumerate(column)]
        assert [i for _, i in sorted(keys)] == places.tolist()
    np.testing.assert_array_equal(leaf(x).sort(axis).values.data, np.sort(x, axis))
    np.testing.assert_array_equal(leaf(x).argsort(axis, stable=True), np.argsort(x, axis, kind="stable"))


# --- indices --------------------------------------------------------------------------------------------


def test_indices_say_where_the_values_stood() -> None:
    t = leaf(X)
    for found in (
        t.topk(2, 1),
        t.topk(2, 1, largest=False),
        t.cummax(1),
        t.cummin(1),
        functional.topk(t, 3, dim=1),
    ):
        np.testing.assert_array_equal(np.take_along_axis(X, found.indices, 1), found.values.data)
    for found in (t.kthvalue(2, 1), t.mode(1)):
        np.testing.assert_array_equal(
            np.take_along_axis(X, found.indices[:, None], 1)[:, 0], found.values.data
        )
    values, indices = t.kthvalue(3, dim=-1, keepdim=True)
    assert values.shape == indices.shape == (2, 3, 1)


def test_a_number_is_treated_as_if_it_had_an_axis() -> None:
    t = leaf(2.0)
    for values, indices in (t.topk(1), t.kthvalue(1, 0), t.mode(), t.cummax(0), t.cummin(-1)):
        assert values.shape == np.shape(indices) == ()
        assert (values.item(), int(indices)) == (2.0, 0)
    assert t.logcumsumexp(0).item() == t.msort().item() == t.logsumexp((0,)).item() == 2.0
    assert t.logsumexp((0,), True).shape == ()


def test_the_smallest_and_the_largest_have_names() -> None:
    found = leaf(X).aminmax(dim=0)
    np.testing.assert_array_equal(found.min.data, X.min(0))
    np.testing.assert_array_equal(found.max.data, X.max(0))


# --- values ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [None, 1, (0, 2)])
@pytest.mark.parametrize(
    "name", ["nanmedian", "nanmean", "nanvar", "nanstd", "nanmax", "nanmin", "median", "nanprod"]
)
def test_of_nothing_but_nan_the_result_is_nan_and_the_way_back_is_silent(name: str, axis: Any) -> None:
    t = leaf(GAPS)
    out = getattr(np, name)(t, axis=axis)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        np.testing.assert_allclose(out.data, getattr(np, name)(GAPS, axis=axis), rtol=1e-13)
    out.backward(np.ones(out.shape))
    if name not in ("median", "nanmax", "nanmin", "nanmedian"):  # these pick an element, of NaN alone a NaN
        assert not np.any(t.grad[np.isnan(GAPS)])


METHODS = [
    *(
        "inverted_cdf",
        "averaged_inverted_cdf",
        "closest_observation",
        "interpolated_inverted_cdf",
        "hazen",
        "weibull",
    ),
    *("linear", "median_unbiased", "normal_unbiased", "lower", "higher", "midpoint", "nearest"),
]


@pytest.mark.parametrize("method", METHODS)
def test_quantiles_are_numpys_by_all_methods(method: str) -> None:
    for q in (0, 0.3, 1, [0.1, 0.25, 0.9], np.array([[0.5, 0.2], [0.3, 1]])):
        for axis in (None, 0, -1, (2, 0)):
            for keepdims in (False, True):
                how: dict[str, Any] = {"axis": axis, "method": method, "keepdims": keepdims}
                found = np.quantile(leaf(X), q, **how)
                np.testing.assert_allclose(found.data, np.quantile(X, q, **how), rtol=1e-12, atol=1e-15)
                if np.ndim(q) < 2:
                    found = np.nanquantile(leaf(GAPS), q, **how)
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore")
                        expected = np.nanquantile(GAPS, q, **how)
                    np.testing.assert_allclose(found.data, expected, rtol=1e-12, atol=1e-15)


def test_the_median_of_the_largest_numbers_does_not_overflow() -> None:
    np.testing.assert_allclose(np.median(leaf([1.7e308, 1.6e308])).item(), 1.65e308, rtol=1e-15)


@pytest.mark.parametrize("name", ["nanmean", "nanvar", "std", "median", "prod", "cumsum", "logcumsumexp"])
def test_half_precision_stays(name: str) -> None:
    x = np.full(3000, 0.5, np.float16)
    x[::2] = 1
    t = Tensor(x, requires_grad=True)
    out = t.logcumsumexp(0) if name == "logcumsumexp" else getattr(np, name)(t)
    assert out.dtype == np.float16
    with np.errstate(all="ignore"):
        out.backward(np.ones(out.shape))
    assert t.grad.dtype == np.float16
    if name == "nanmean":
        np.testing.assert_allclose(t.grad.astype(float), 1 / 3000, rtol=1e-3)


def test_of_nothing() -> None:
    empty = leaf(np.zeros((0, 3)))
    assert np.prod(empty).item() == 1
    np.testing.assert_array_equal(np.prod(empty, axis=0).data, [1, 1, 1])
    np.testing.assert_array_equal(np.nansum(empty, axis=0).data, [0, 0, 0])
    for same in (np.cumsum, np.cumprod, functional.logcumsumexp, np.sort):
        assert same(empty, axis=0).shape == (0, 3)
    assert np.median(empty, axis=1).shape == (0,)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy warns too
        assert np.isnan(np.median(empty).item())
    assert empty.topk(2).values.shape == (0, 2)


def test_whole_numbers_are_computed_with() -> None:
    for f in (
        np.prod,
        np.cumsum,
        np.cumprod,
        np.sort,
        np.median,
        np.std,
        np.ptp,
        np.nansum,
        np.nanmean,
        np.diff,
    ):
        x = np.array([3, 1, 2])
        found = f(Tensor(x))
        assert not found.requires_grad
        np.testing.assert_array_equal(found, f(x))
        assert found.dtype == f(x).dtype


def test_an_average_gives_the_sum_of_its_weights_too() -> None:
    w = leaf([1.0, 2, 3])
    mean, total = np.average(X, axis=1, weights=w, returned=True)
    expected = np.average(X, axis=1, weights=w.data, returned=True)
    np.testing.assert_allclose(mean.data, expected[0], rtol=1e-14)
    np.testing.assert_allclose(total.data, expected[1], rtol=1e-14)
    (total.sum() + mean.sum()).backward()
    assert w.grad is not None


# --- what is said of bad input --------------------------------------------------------------------------

T = leaf(X[0])


@pytest.mark.parametrize(
    ("message", "call"),
    [
        (r"topk takes a whole number k from 0 to 4, the length of the axis, not 9", lambda: T.topk(9)),
        (r"kthvalue takes a whole number k from 1 to 4", lambda: T.kthvalue(0)),
        (r"topk: axis 7 is out of bounds", lambda: T.topk(1, 7)),
        (r"sort: axis 7 is out of bounds", lambda: T.sort(7, True)),
        (r"cummax: axis 7 is out of bounds", lambda: T.cummax(7)),
        (r"mode of an array of shape \(0, 3\): axis 0 has no", lambda: leaf(np.zeros((0, 3))).mode(0)),
        (r"std\(float64\[3, 4\], .*two names of one number", lambda: np.std(T, ddof=1, correction=1)),
        (r"nanvar\(float64\[3, 4\], .*two names of one number", lambda: np.nanvar(T, ddof=1, correction=1)),
        (r"var: ddof|var\(float64\[3, 4\].*ddof is a number", lambda: np.var(T, ddof="a")),
        (r"quantile\(float64\[3, 4\], 1\.5\): Quantiles must be", lambda: np.quantile(T, 1.5)),
        (r"quantile\(.*of no elements there is no quantile", lambda: np.quantile(leaf([]), 0.5)),
        (r"q gets no gradient here; give q\.detach\(\)", lambda: np.quantile(T, leaf(0.5), method="hazen")),
        (r"q is a number or has one axis here", lambda: np.nanquantile(T, [[0.5]])),
        (r"average\(.*weights of shape \(4,\) .*need an axis", lambda: np.average(T, weights=[1, 2, 3, 4])),
        (r"average\(.*weights of shape \(4,\) for the axes \(0,\)", lambda: np.average(T, 0, [1, 2, 3, 4])),
        (r"average\(.*add up to 0", lambda: np.average(T, 1, [1, -1, 0, 0])),
        (r"diff\(.*0 or more, not -1", lambda: np.diff(T, -1)),
        (r"gradient\(.*2 axes have 2 spacings", lambda: np.gradient(T, 1, 2, 3)),
        (r"gradient\(.*has 3 coordinates", lambda: np.gradient(T, [1, 2], axis=0)),
        (r"gradient\(.*edge_order is 1 or 2", lambda: np.gradient(T, edge_order=3)),
        (r"where", lambda: np.nansum(T, where=[True, False, True, True])),
        (r"median\(float64\[3, 4\], axis=3\): axis 3 is out of bounds", lambda: np.median(T, axis=3)),
    ],
)
def test_bad_input_is_one_sentence(message: str, call: Callable[[], Any]) -> None:
    with pytest.raises((ValueError, TypeError, IndexError), match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(not hasattr(np, "cumulative_sum"), reason="since NumPy 2.1")
def test_a_running_sum_of_several_axes_needs_one() -> None:
    with pytest.raises(
        ValueError, match=r"cumulative_sum\(float64\[3, 4\]\): an array of shape \(3, 4\) needs an axis"
    ):
        np.cumulative_sum(T)
    assert np.cumulative_sum(leaf(2.0)).shape == (1,)


def test_numbers_are_looked_for_among_sorted_ones_row_by_row() -> None:
    rows, wanted = np.sort(RNG.integers(0, 5, (2, 3, 6)), -1), RNG.integers(0, 6, (2, 3, 4))
    for right in (False, True):
        side: Any = "right" if right else "left"
        found = functional.searchsorted(leaf(rows), leaf(wanted), right=right)
        assert found.dtype == np.int64
        for i, j in np.ndindex(2, 3):
            np.testing.assert_array_equal(found[i, j], np.searchsorted(rows[i, j], wanted[i, j], side))
        small = functional.bucketize(leaf(wanted), [1, 3, 4], right=right, out_int32=True)
        assert small.dtype == np.int32
        np.testing.assert_array_equal(small, np.searchsorted([1, 3, 4], wanted, side))
    np.testing.assert_array_equal(functional.searchsorted([3, 1, 2], [2.5], sorter=[1, 2, 0]), [2])
    with pytest.raises(
        ValueError, match=r"searchsorted in rows of shape \(2, 3\) for numbers of shape \(3,\)"
    ):
        functional.searchsorted(np.zeros((2, 3)), np.zeros(3))


# --- what random calls found --------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.uint64])
def test_statistics_of_whole_numbers_are_those_of_numpy(dtype: type) -> None:
    x = np.array([250, 200, 3, 7], dtype)
    calls: list[Any] = [
        lambda x: np.quantile(x, 0.4),
        lambda x: np.quantile(x, [0.1, 0.5], method="hazen"),
        lambda x: np.quantile(x, 0.4, method="lower"),
        lambda x: np.percentile(x, 50),
        np.gradient,
        np.median,
        np.diff,
    ]
    for call in calls:
        found, expected = call(Tensor(x)), call(x)
        np.testing.assert_allclose(found.data, expected)
        assert found.dtype == expected.dtype


def test_infinite_numbers_are_not_left_out_with_those_that_are_nan() -> None:
    x = np.array([[1.0, np.inf, np.nan], [1.0, 2.0, np.nan], [-np.inf, np.nan, 0.0]])
    with np.errstate(invalid="ignore"):
        for function in (np.nanvar, np.nanstd):
            np.testing.assert_array_equal(function(Tensor(x), axis=1).data, function(x, axis=1))
            y = function(Tensor(x, requires_grad=True)[1])
            assert y.item() == function(x[1])


def test_the_average_of_nothing_is_that_of_numpy() -> None:
    with pytest.warns(RuntimeWarning):
        assert np.isnan(np.average(Tensor(np.zeros((3, 0)))).data)


def test_a_subnormal_number_has_a_mantissa() -> None:
    x = np.array([5e-324, 1.5, 0.0, -3e-310, np.inf])
    with np.errstate(over="ignore"):
        for found, expected in zip(np.frexp(Tensor(x)), np.frexp(x), strict=True):
            np.testing.assert_array_equal(found, expected)


def test_unsigned_coordinates_may_fall() -> None:
    y, x = np.array([1.0, 4.0, 2.0, 0.5]), np.array([9, 7, 4, 1], np.uint8)
    np.testing.assert_allclose(np.gradient(Tensor(y), x).data, np.gradient(y, x))


def test_a_place_to_cut_at_is_a_whole_number() -> None:
    with pytest.raises(TypeError, match=r"^array_split"):
        np.array_split(leaf([1.0, 2.0]), [1.5])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^array_split"):
        np.array_split(leaf([1.0, 2.0]), 10**30)
