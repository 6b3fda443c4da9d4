"""Settings of all tests: hypothesis draws the same examples every time, and has no deadline."""

import contextlib
import os
from collections.abc import Iterator
from unittest import mock

import hypothesis
import numpy as np
import pytest

from tinygrad_np import tape
from tinygrad_np.check.cases import LAYERS, LOSSES, OPS, OPTIMIZERS

hypothesis.settings.register_profile("ci", max_examples=60, deadline=None, derandomize=True)
hypothesis.settings.register_profile("thorough", max_examples=1300, deadline=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture
def registries() -> Iterator[None]:
    """What a test declares is forgotten afterwards, and what it took out is back in its place."""
    with contextlib.ExitStack() as stack:
        for registry in (tape.PRIMITIVES, tape.NUMPY, OPS, LAYERS, LOSSES, OPTIMIZERS):
            stack.enter_context(mock.patch.dict(registry))
        yield


@pytest.fixture
def rng() -> np.random.Generator:
    """A seeded generator, new for each test."""
    return np.random.default_rng(0)
