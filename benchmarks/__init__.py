"""Measurements: of speed and memory, ``python -m benchmarks``; others are programs of their own."""
