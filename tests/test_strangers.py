"""The referee measured with networks in the styles in which people write them: see tests/strangers."""

from typing import Any

import numpy as np
import pytest

from tests.strangers import NETWORKS
from tests.strangers.network import Network, broken, slopes


def drawn(network: Network, rng: np.random.Generator, bounds: Any = (), options: Any = ()) -> Any:
    sizes = {
        name: int(rng.integers(low, high + 1))
        for name, (low, high) in {**network.sizes, **dict(bounds)}.items()
    }
    return network.make(rng, **sizes, **dict(options))


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: f"{network.family}: {network.name}")
def test_what_is_called_right_is_right_and_what_is_called_broken_is_broken(network: Network) -> None:
    """Without the referee: by differences of the forward."""
    rng = np.random.default_rng(0)
    for _ in range(3):
        for exact, hand in slopes(network, drawn(network, rng)):
            assert hand == pytest.approx(exact, rel=1e-6, abs=1e-9)
    for planted in network.planted:
        points = [drawn(network, rng, planted.sizes, planted.options) for _ in range(12)]
        at = next((point for point in points if broken(network, point, planted.slip)), None)
        assert at is not None, planted.slip
        apart = [abs(hand - exact) > 1e-3 * abs(exact) for exact, hand in slopes(network, at, planted.slip)]
        assert any(apart), planted.slip
