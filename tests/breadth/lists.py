"""Names alone: the differentiable functions of autograd, MyGrad and PyTorch, and which of them are here.

    python -m tests.breadth.lists [--markdown FILE]

The lists are read from the installed packages. A name is here if `names` finds a function of ours for it; for one
that is not, a table of patterns says why.
"""

from __future__ import annotations

import argparse
import importlib
import re
import sys
import types
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tests.breadth import names, report

NEEDED = ("autograd", "mygrad", "scipy", "torch", "expecttest")

# Other names for the same function; what PyTorch has is called as PyTorch calls it.
SAME = {
    "batchnorm": "nn.functional.batch_norm",
    "conv_nd": "nn.functional.conv2d",
    "expit": "sigmoid",
    "gammaln": "lgamma",
    "hard_tanh": "nn.functional.hardtanh",
    "iv": "bessel_iv",
    "j0": "special.bessel_j0",
    "j1": "special.bessel_j1",
    "logsoftmax": "log_softmax",
    "max_pool": "nn.functional.max_pool2d",
    "multi_matmul": "linalg.multi_dot",
    "multiclass_hinge": "nn.functional.multi_margin_loss",
    "multigammaln": "mvlgamma",
    "negative_log_likelihood": "nn.functional.nll_loss",
    "psi": "digamma",
    "sliding_window_view": "lib.stride_tricks.sliding_window_view",
    "soft_sign": "nn.functional.softsign",
    "softmax_crossentropy": "nn.functional.cross_entropy",
    "y0": "special.bessel_y0",
    "y1": "special.bessel_y1",
}

# Why a name is not here: the first pattern that it matches. What matches none is not there yet.
REASONS = [
    (r"fftshift", "`np.roll`; NumPy's own is in `np.fft`, which importing the package would load"),
    (
        r"fft|complex|polar|(^|\.)(angle|real|imag|conj\w*|real_if_close|eig|eigvals|H|mH|cdouble|cfloat|chalf)$"
        r"|view_as_real|resolve_|stft",
        "complex numbers have no gradient here",
    ),
    (
        r"sparse|to_dense|nested|masked\.|to_padded|jagged|SparseAdam",
        "sparse, nested and masked layouts: an array is dense",
    ),
    (r"[^_]_$", "in place: a Tensor is a value"),
    (
        r"^(_[a-z]|ops\.|torch\.ops)|native_|_backward$|jiterator|cudnn|mkldnn|quantiz",
        "internals of PyTorch",
    ),
    (
        r"_copy$|as_strided|contiguous|resize|storage|empty_permuted|empty_strided|set$",
        "how an array lies in memory, which NumPy decides",
    ),
    (
        r"^(bfloat16|bool|byte|char|double|float|half|int|long|short|to|type|type_as|item)$",
        "casts: `astype`",
    ),
    (
        r"(^|\.)(bernoulli|normal|rand\w*|multinomial|uniform|cauchy|exponential|geometric|log_normal|poisson|rrelu)$",
        "random numbers, which need no gradient: those of `numpy.random.Generator`",
    ),
    (
        r"^(arange|linspace|logspace|geomspace|eye|identity|full|zeros|ones|empty|scalar_tensor|tensor|asarray"
        r"|new_\w+|(zeros|ones|full|empty)_like|tril_indices|triu_indices|signal\..*|\w+_window)$",
        "makes an array: NumPy's own function does",
    ),
    (
        r"^(can_cast|copyto|load|save|isnat|may_share_memory|shares_memory|min_scalar_type|result_type)$",
        "no gradient flows through it: NumPy's own function does",
    ),
    (r"^(add|multiply)_sequence$", "a sum or product of many: `+` and `*`"),
    (
        r"linalg\.(lu|ldl|householder|\w+_ex$)|^(lu|lu_\w+|ormqr|geqrf|triangular_solve|svd|(svd|pca)_lowrank)$",
        "factors of LAPACK that NumPy does not give, and PyTorch's older names of the others",
    ),
    (
        r"^(unsafe_\w+|constant_pad_nd|slice|fill|sum_to_size|bincount|array)$"
        r"|linear_cross_entropy|LinearCrossEntropy",
        "another name of what is here: `split`, `pad`, indexing, `sum`, `index_add`, `np.stack`, `cross_entropy`",
    ),
    (r"[fF]ractional", "pooling of random windows"),
    (r"^(gamma|beta|betaln|convolve|(softmax_)?focal_loss)$", "a line of functions that are here"),
    (r"3d$|3D$", "left out on purpose: no 3-d convolutions"),
    (r"[uU]npool", "left out on purpose: `scatter` puts elements at their places"),
    (r"grid_sampl|affine_grid", "left out on purpose: no grid sampling"),
    (r"ctc|CTC", "connectionist temporal classification is a model of its own"),
    (r"Lazy", "lazy layers: sizes are given"),
    (
        r"(^|\.)(bessel\w*|i0\w*|i1\w*|iv|ive|j[01n]|y[01n]|airy\w*|zeta|\w*modified_bessel\w*|betainc|gammainc\w*"
        r"|igamma\w*|rgamma|gammasgn|\w*polynomial\w*|erfcx|log_ndtr|ndtri|erfcinv)$",
        "special functions of mathematical physics and statistics, which NumPy has not",
    ),
    (r"^(csc|sec|cot|csch|sech|coth|arc(csc|sec|cot)h?)$", "one divided by a function that is here"),
]

Lists = dict[str, list[str]]


def reason(name: str) -> str:
    """Why it is not here."""
    return next((why for pattern, why in REASONS if re.search(pattern, name)), "not there yet")


def is_here(name: str) -> bool:
    """Whether there is one of ours for a name."""
    if name.startswith("nn.") and name.count(".") == 1:
        return names.layer(name.removeprefix("nn.")) is not None
    if name.startswith("optim."):
        return names.optimizer(name.removeprefix("optim.")) is not None
    same = SAME.get(name.rpartition(".")[2], name)
    return any(bool(names.candidates(one)) for one in {name, same})


def of_autograd() -> Lists:
    """autograd's functions with a declared vjp, and those that it composes of them, by module."""
    modules = {"numpy": "", "numpy.linalg": "linalg.", "numpy.fft": "fft.", "scipy.special": ""}
    inside = {module: vars(importlib.import_module(f"autograd.{module}")) for module in modules}
    declared = {getattr(f, "__name__", "") for f in importlib.import_module("autograd.core").primitive_vjps}
    found: Lists = {}
    for module, prefix in modules.items():
        functions = {n: f for n, f in inside[module].items() if isinstance(f, types.FunctionType)}
        composed = {n for n, f in functions.items() if f.__module__ == "autograd.numpy.numpy_wrapper"}
        known = [f"{prefix}{n}" for n in sorted(functions) if n in declared | composed]
        found[f"autograd.{module}"] = [n for n in known if module == "scipy.special" or has(np, n)]
    return found


def of_mygrad() -> Lists:
    """MyGrad's public functions, and those of its `nnet`."""
    mygrad = importlib.import_module("mygrad")
    functions = [
        n
        for n, f in vars(mygrad).items()
        if callable(f) and not isinstance(f, type) and not n.startswith("_") and (has(np, n) or is_op(f))
    ]
    nnet = []
    for part in ("activations", "layers", "losses"):
        nnet += importlib.import_module(f"mygrad.nnet.{part}").__all__
    return {"mygrad": sorted(functions), "mygrad.nnet": sorted(nnet)}


def is_op(function: Any) -> bool:
    """Whether it is one of MyGrad's own, such as its secant."""
    return "ufunc" in type(function).__name__.lower() or getattr(function, "__module__", "").startswith(
        "mygrad.math"
    )


def has(module: Any, name: str) -> bool:
    """Whether a module has this dotted name."""
    for part in name.split("."):
        module = getattr(module, part, None)
    return module is not None


def of_torch() -> Lists:
    """PyTorch's lists of ops that have a gradient, of layers and of optimizers."""
    samples = importlib.import_module("tests.breadth.samples")
    ops = {op.name for op in samples.ops() if op.supports_autograd}
    layers = {info.module_cls.__name__ for info, _ in samples.modules()}
    return {
        "PyTorch's op_db": sorted(ops),
        "PyTorch's module_db": sorted(f"nn.{name}" for name in layers),
        "PyTorch's optim_db": sorted(f"optim.{info.name}" for info in samples.optimizers()),
    }


def missing(listed: Sequence[str]) -> dict[str, list[str]]:
    """The names that are not here, by reason; what is not there yet comes last."""
    found: dict[str, list[str]] = {}
    for name in listed:
        if not is_here(name):
            found.setdefault(reason(name), []).append(name)
    return dict(sorted(found.items(), key=lambda item: (item[0] == "not there yet", -len(item[1]))))


def table(lists: Lists) -> list[list[str]]:
    """A row for each list."""
    rows = [["list", "names", "here", "left out for a reason", "not there yet"]]
    for title, listed in lists.items():
        gone = missing(listed)
        yet = len(gone.get("not there yet", []))
        left = sum(map(len, gone.values())) - yet
        rows.append([title, *(str(n) for n in (len(listed), len(listed) - left - yet, left, yet))])
    return rows


def markdown(lists: Lists) -> str:
    """The table and, of each list, what is missing and why."""
    lines = [*report.as_markdown(table(lists))]
    for title, listed in lists.items():
        lines += ["", f"Missing of {title}:", ""]
        gone = [
            f"- {why}: {', '.join(f'`{name}`' for name in found)}." for why, found in missing(listed).items()
        ]
        lines += gone or ["- nothing."]
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Read the lists, and report; the exit status is 1 if a package is not there."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.breadth.lists", description="Compare names with those of other packages."
    )
    parser.add_argument("--markdown", metavar="FILE", type=Path, help="write the table there, too")
    args = parser.parse_args(argv)
    lists: Lists = {}
    sources: list[Callable[[], Lists]] = [of_mygrad, of_autograd, of_torch]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for source in sources:
                lists |= source()
    except ModuleNotFoundError as error:
        if error.name not in NEEDED:
            raise
        print(
            f"this needs {error.name}, which is not installed: pip install -e '.[breadth]'", file=sys.stderr
        )
        return 1
    print(markdown(lists))
    if args.markdown:
        report.put(args.markdown, "lists", markdown(lists))
    return 0


if __name__ == "__main__":
    sys.exit(main())
