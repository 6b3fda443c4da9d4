"""Where the published data files lie, for the tests that need them: the variable TINYGRAD_NP_DATA."""

import os

import pytest

DATA_DIR = os.environ.get("TINYGRAD_NP_DATA", "")
needs_data = pytest.mark.skipif(
    not DATA_DIR, reason="set TINYGRAD_NP_DATA to the directory of the published data files to run this"
)
