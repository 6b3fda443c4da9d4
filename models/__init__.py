"""What is built with the framework: models that do a job, each run as ``python -m models.NAME``."""

import os

# The matrices of these models are small: a second BLAS thread gains nothing, waits for the first whenever
# another program needs a core, and rounds differently. OpenBLAS reads this once, when NumPy is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
