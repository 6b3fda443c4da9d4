"""Measurements: of speed and memory, ``python -m benchmarks``; others are programs of their own."""

import models  # noqa: F401 (pins NumPy to one BLAS thread, before it is imported)
