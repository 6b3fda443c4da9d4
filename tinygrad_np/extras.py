"""Optional packages: imported where they are used, and asked for by the name of their extra."""

from __future__ import annotations

import importlib
from typing import Any

EXTRAS = {  # of pyproject.toml
    "pooch": "data",
    "requests": "data",
    "pandas": "data",
    "matplotlib.figure": "plot",
    "matplotlib": "plot",
    "matplotlib.pyplot": "plot",
    "tqdm": "progress",
    "plotly": "tune",
    "sklearn.ensemble": "tune",
    "optuna": "tune",
    "optuna.storages.journal": "tune",
    "optuna.study": "tune",
    "optuna.trial": "tune",
    "optuna.visualization": "tune",
    "optuna.visualization.matplotlib": "tune",
    "safetensors.numpy": "weights",
    "torch": "torch",
    "mpi4py.MPI": "mpi",
    "hypothesis": "test",
    "hypothesis.strategies": "test",
    "graphviz": "graph",
    "nbformat": "notebook",
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "sklearn.datasets": "digits",
    "sklearn.base": "sklearn",
    "sklearn.model_selection": "sklearn",
    "sklearn.utils.metaestimators": "sklearn",
    "sklearn.utils.multiclass": "sklearn",
    "sklearn.utils.validation": "sklearn",
    "sklearn.feature_extraction.text": "sklearn",
    "sklearn.linear_model": "sklearn",
}


def import_optional(module: str) -> Any:
    """Import a module that `tinygrad_np` itself does without.

    Raises
    ------
    ModuleNotFoundError
        Its package is not installed: one sentence that says how to install it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        if error.name not in (module, package):
            raise  # the package is there, but something it needs is not: that is another fault
        raise ModuleNotFoundError(
            f"this needs {package}, which is not installed: pip install 'tinygrad_np[{EXTRAS[module]}]', "
            f"or pip install -e '.[{EXTRAS[module]}]' in a checkout",
            name=package,
        ) from None
