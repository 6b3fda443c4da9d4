"""Settings of all tests: hypothesis draws the same examples every time, and has no deadline."""

import os
from collections.abc import Iterator
from unittest import mock

import hypothesis
import numpy as np
import pytest

from tinygrad_np import tape

hypothesis.settings.register_profile("ci", max_examples=60, deadline=None, derandomize=True)
hypothesis.settings.register_profile("thorough", max_examples=1300, deadline=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture
def registries() -> Iterator[None]:
    """What a test declares is forgotten afterwards."""
    with mock.patch.dict(tape.PRIMITIVES), mock.patch.dict(tape.NUMPY):
        yield


@pytest.fixture
def rng() -> np.random.Generator:
    """A seeded generator, new for each test."""
    return np.random.default_rng(0)
