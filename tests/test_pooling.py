"""Largest elements with their places."""

from typing import Any

import numpy as np
import pytest

from tinygrad_np import Tensor, functional


@pytest.mark.parametrize("axes", [1, 2])
@pytest.mark.parametrize("settings", [{}, {"padding": 1, "stride": 1}, {"dilation": 2}, {"ceil_mode": True}])
def test_the_places_of_the_largest_are_where_they_stand(
    axes: int, settings: dict[str, Any], rng: np.random.Generator
) -> None:
    pool = getattr(functional, f"max_pool{axes}d")
    x = Tensor(rng.standard_normal((2, 3, *(5,) * axes)), requires_grad=True)
    values, places = pool(x, 2, return_indices=True, **settings)
    np.testing.assert_array_equal(values.data, pool(x, 2, **settings).data)
    flat = x.data.reshape(2, 3, -1)
    found = np.take_along_axis(flat, places.reshape(2, 3, -1), -1)
    np.testing.assert_array_equal(found, values.data.reshape(2, 3, -1))
    values.sum().backward()
    counts = np.zeros_like(flat)
    for at in np.ndindex(*places.shape):
        counts[(*at[:2], places[at])] += 1
    np.testing.assert_array_equal(x.grad, counts.reshape(x.shape))


def test_of_equal_largest_elements_the_place_of_the_first_is_told() -> None:
    x = Tensor([[[[1.0, 3.0], [3.0, 0.0]]]])
    assert functional.max_pool2d(x, 2, return_indices=True)[1].tolist() == [[[[1]]]]
    assert functional.adaptive_max_pool2d(x, 1, return_indices=True)[1].tolist() == [[[[1]]]]


@pytest.mark.parametrize("axes", [1, 2])
@pytest.mark.parametrize("parts", [2, 3, None])
def test_places_of_the_largest_of_each_part(axes: int, parts: int | None, rng: np.random.Generator) -> None:
    pool = getattr(functional, f"adaptive_max_pool{axes}d")
    x = rng.standard_normal((3, *(4,) * axes))
    values, places = pool(Tensor(x), parts, return_indices=True)
    np.testing.assert_array_equal(values.data, pool(Tensor(x), parts).data)
    found = np.take_along_axis(x.reshape(3, -1), places.reshape(3, -1), -1)
    np.testing.assert_array_equal(found, values.data.reshape(3, -1))
