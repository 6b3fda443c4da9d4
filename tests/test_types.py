"""What mypy makes of programs that use the framework: results have types, and a wrong argument is an error."""

import re
import sys
from pathlib import Path

import pytest

import tinygrad_np

ROOT = Path(tinygrad_np.__file__).parent.parent

HEADER = """
from typing import Any
import numpy as np
import tinygrad_np.functional as F
from tinygrad_np import Tensor, nn, optim
x = Tensor(np.ones((2, 3)))
p = [x]
class Mine(nn.Layer):
    def forward(self, x: Tensor, scale: float = 1.0) -> dict[str, Tensor]:
        return {"y": x * scale}
class Wider(nn.Linear):
    def forward(self, x: Tensor, twice: bool = False) -> Tensor:
        return super().forward(x)
class Untyped(nn.Layer):
    def forward(self, x):  # type: ignore[no-untyped-def]
        return x
"""
TENSOR = "tinygrad_np.tensor.Tensor"
PAIR = f"tuple[{TENSOR}, {TENSOR}]"
REVEALED = {  # an expression and its type
    "nn.Linear(2, 3)(x)": TENSOR,
    "nn.Embedding(2, 3)([1])": TENSOR,
    "nn.Dropout()(x)": TENSOR,
    "nn.LSTM(2, 3)(x)": f"tuple[{TENSOR}, {PAIR}]",
    "nn.LSTM(2, 3, batch_first=True)(x, lengths=[1, 2])": f"tuple[{TENSOR}, {PAIR}]",
    "nn.GRU(2, 3)(x)": PAIR,
    "nn.LSTMCell(2, 3)(x)": PAIR,
    "nn.Sequential(nn.Linear(2, 3), np.tanh, F.relu, lambda x: x)(x)": "Any",
    "nn.Sequential(nn.Linear(2, 3))[:1]": "tinygrad_np.nn.containers.Sequential",
    "Mine()(x)": f"dict[str, {TENSOR}]",
    "Mine()(x, scale=2)": f"dict[str, {TENSOR}]",
    "Wider(2, 3)(x, twice=True)": TENSOR,
    "Untyped()(x)": "Any",
    "Mine().train().eval()(x)": f"dict[str, {TENSOR}]",
    "[name for name, p in Mine().named_parameters()]": "list[str]",
    "dict(Mine().named_parameters())": f"dict[str, {TENSOR}]",
    'Mine().named_parameters()["weight"]': TENSOR,
    "Mine().parameters()": f"list[{TENSOR}]",
    "F.softmax(x)": TENSOR,
    "F.softmax(x, -1)": TENSOR,
    "F.logsumexp(x, 0, True)": TENSOR,
    "F.relu(x)": TENSOR,
    "F.dropout(x, 0.5, True, rng=0)": TENSOR,
    "F.cross_entropy(x, [0, 1])": TENSOR,
    "F.mse_loss(x, x.data)": TENSOR,
    "F.linear(x, x)": TENSOR,
    "x.sum(axis=0).reshape(3).T.matmul(x).abs().tanh()": TENSOR,
    "x.permute(1, 0).view(-1).unsqueeze(0).squeeze()": TENSOR,
    "x @ x + 1 - x * 2 / x ** 2": TENSOR,
    "2 * x": TENSOR,
    "-x[0]": TENSOR,
    "nn.init.orthogonal((2, 3)).ndim": "int",
    "optim.clip_grad_norm(p, 1.0)": "float",
    "optim.clip_grad_norm(Mine().named_parameters(), 1.0)": "float",
    "optim.clip_grad_norm(x, 1.0)": "float",
    "optim.Adam(Mine().parameters())": "tinygrad_np.optim.adam.Adam",
}
ERRORS = {  # a statement and what is wrong with it
    "nn.Linear(2, 3, biass=False)": 'Unexpected keyword argument "biass" for "Linear"',
    "nn.Linear(2, 3)(x, y=1)": 'Unexpected keyword argument "y"',
    "nn.Linear(2, 3)('text')": 'incompatible type "str"; expected "Tensor"',
    "nn.LSTM(2, 3)(x, length=[1])": 'Unexpected keyword argument "length"',
    "nn.LSTM(2, 3)(x).sum()": 'has no attribute "sum"',
    "nn.Dropout(rate=0.5)": 'Unexpected keyword argument "rate"',
    "Mine()(x, factor=2)": 'Unexpected keyword argument "factor"',
    "Mine()()": "Missing positional argument",
    "optim.Adam(p, beta=0.9)": 'Unexpected keyword argument "beta"',
    "optim.Adam(p, 0.1, (0.9, 0.99), 1e-8, 0.0, False, True)": "Too many positional arguments",
    "F.relu(x, wrong=1)": 'Unexpected keyword argument "wrong"',
    "F.softmax(x, dims=0)": 'Unexpected keyword argument "dims"',
    "F.mse_loss(x, x, reduce='sum')": 'Unexpected keyword argument "reduce"',
    "F.mse_loss(x, x, reduction='total')": "incompatible type",
    "F.dropout(x, 0.5, seed=1)": 'Unexpected keyword argument "seed"',
    "x.sum(dim=0)": 'Unexpected keyword argument "dim"',
    "x.backward(keep=True)": 'Unexpected keyword argument "keep"',
    "x.cuda()": 'has no attribute "cuda"',
    "x[0] = 1": "Unsupported target for indexed assignment",
}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[int, str]:
    """What mypy says of each line of a program of all expressions and statements, strictly; one run for all."""
    api = pytest.importorskip("mypy.api", reason="mypy is not installed: pip install -e '.[dev]'")
    directory = tmp_path_factory.mktemp("types")
    lines = [f"reveal_type({expression})" for expression in REVEALED] + list(ERRORS)
    (directory / "program.py").write_text("\n".join([*HEADER.splitlines(), *lines]), encoding="utf-8")
    (directory / "mypy.ini").write_text(
        f"[mypy]\nstrict = true\nmypy_path = {ROOT}\ncache_dir = {directory}\npython_version = "
        f"{sys.version_info[0]}.{sys.version_info[1]}\n",
        encoding="utf-8",
    )
    out, problem, _ = api.run(["--config-file", str(directory / "mypy.ini"), str(directory / "program.py")])
    assert not problem
    said: dict[int, str] = {}
    for number, text in re.findall(r"program\.py:(\d+): (.*)", out):
        said[int(number)] = f"{said.get(int(number), '')}{text}\n"
    assert said, out
    return said


FIRST = len(HEADER.splitlines()) + 1


@pytest.mark.slow
@pytest.mark.parametrize("expression", REVEALED)
def test_a_result_has_its_type(expression: str, report: dict[int, str]) -> None:
    said = report[FIRST + list(REVEALED).index(expression)]
    found = re.fullmatch(r'note: Revealed type is "(.*)"\n', said)
    assert found, said
    assert found[1].replace("builtins.", "") == REVEALED[expression]


@pytest.mark.slow
@pytest.mark.parametrize("statement", ERRORS)
def test_a_wrong_argument_is_an_error(statement: str, report: dict[int, str]) -> None:
    said = report[FIRST + len(REVEALED) + list(ERRORS).index(statement)]
    assert said.startswith("error: ")
    assert ERRORS[statement] in said


@pytest.mark.slow
def test_a_program_that_is_right_has_no_errors(report: dict[int, str]) -> None:
    assert not [line for line in report if line < FIRST]
    assert len(report) == len(REVEALED) + len(ERRORS)
