"""The contenders of the benchmarks: a module each, with a function for each job that it can do.

``start(threads)`` is called once, and says versions and threads. A job's function takes arrays and settings,
prepares what is not to be timed, and returns a function without arguments: calling it does the work once, and
returns what it computed, as NumPy arrays by name. Weights have PyTorch's names and layouts; so have gradients.
"""
