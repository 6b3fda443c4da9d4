"""Measurements of speed and accuracy, each a program of its own: python -m benchmarks.NAME."""
