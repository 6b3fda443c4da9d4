"""The referee as a command: files as they lie about, notebooks, exit statuses, and the page that it writes."""

import html.parser
import json
import operator
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest

from tinygrad_np import __main__ as commands
from tinygrad_np.referee import Case, Finding, Verdict, referee, trial
from tinygrad_np.referee.command import command, loading
from tinygrad_np.referee.command.report import COLOURS, HEAT, element, write_report
from tinygrad_np.referee.diagnosis.slip import Slip
from tinygrad_np.referee.source import gradient_lines, pieces
from tinygrad_np.referee.verdict import RIGHT, UNKNOWN, UNTESTED, WRONG

NET = """
import numpy as np

W = np.array([[0.5, -1.0], [2.0, 0.3]])
x = np.array([1.0, -2.0])


def loss(x, W):
    return np.sum(np.tanh(W @ x) ** 2)


def gradient(x, W):
    h = np.tanh(W @ x)
    dW = np.outer(2 * h * (1 - h**2), x)
    return {"W": dW}


def slip(x, W):
    h = np.tanh(W @ x)
    dW = np.outer(2 * h * (1 - h), x)
    return {"W": dW}


def too_fine(x, W):
    return {"W": gradient(x, W)["W"] * (1 + 1e-5)}


def raises(x, W):
    return {"W": np.ones(2) / (1 // 0)}


class Net:
    def loss(self, x, W):
        return loss(x, W)

    def gradient(self, x, W):
        return gradient(x, W)

    @staticmethod
    def slip(x, W):
        return slip(x, W)


class Sized:
    def __init__(self, hidden):
        self.hidden = hidden

    def loss(self, x, W):
        return loss(x, W)


net = Net()
"""

MAKE = """
def make(rng, T, hidden=3):
    return {"x": rng.standard_normal(2), "W": rng.standard_normal((hidden, 2))}
"""

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def short_search(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The search itself has tests of its own."""
    monkeypatch.setattr(trial, "EXAMPLES", 5)
    before = hypothesis.settings.get_current_profile_name()
    phases = (hypothesis.Phase.generate, hypothesis.Phase.shrink)
    hypothesis.settings.register_profile("short", hypothesis.settings(), phases=phases)
    hypothesis.settings.load_profile("short")
    yield
    hypothesis.settings.load_profile(before)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command: the exit status, and what it wrote to stdout and to stderr."""

    def call(*argv: Any) -> tuple[int, str, str]:
        before = sys.path.copy(), sys.argv, set(sys.modules)
        status = command.main([str(a) for a in argv])
        assert (sys.path, sys.argv) == before[:2]
        return status, *capsys.readouterr()

    return call


@pytest.fixture
def net(tmp_path: Path) -> Path:
    return written(tmp_path / "net.py", NET)


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


# --- the verdict and its status -----------------------------------------------------------------------


def test_right_is_0_and_wrong_is_1_and_what_cannot_be_told_is_2(run: Run, net: Path) -> None:
    status, out, err = run(f"{net}:loss", f"{net}:gradient")
    assert (status, out.splitlines()[0]) == (0, "agrees in all of 1 parameters (exact gradient: recorded)")
    assert err == "inputs: x, W as they are in net.py\n"
    status, out, _ = run(f"{net}:loss", "slip")
    assert status == 1
    assert out.startswith("disagrees in 1 of 1 parameters: W")
    status, out, _ = run(f"{net}:loss", "too_fine")
    assert status == 2
    assert out.startswith("cannot tell")
    assert run(f"{net}:loss", "too_fine", "--rtol", "1e-4")[0] == 0
    written(
        net,
        "w = b = 0.5\ndef loss(w, b):\n    return w * w + 0 * b\ndef grad(w, b):\n    return dict(w=2 * w, b=0.0)",
    )
    assert run(f"{net}:loss", "grad")[0] == 2


def test_the_command_as_a_process(net: Path) -> None:
    def process(*argv: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "tinygrad_np", *argv], capture_output=True, text=True, check=False
        )

    done = process("referee", f"{net}:loss", f"{net}:slip")
    assert done.returncode == 1
    assert done.stdout.startswith("disagrees in 1 of 1")
    done = process("gradcheck", "--only", "tanh", "--cases", "2")
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 checked in 2 cases, 0 failed" in done.stdout


def test_both_commands_start_without_the_other(capsys: pytest.CaptureFixture[str]) -> None:
    program = (
        "import sys; from tinygrad_np.__main__ import main\n"
        "try: main(['referee', '--help'])\nexcept SystemExit: pass\n"
        "print(sorted(set(sys.modules) & {'tinygrad_np.check.installed', 'hypothesis', 'nbformat', 'matplotlib'}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "python -m tinygrad_np referee mynet.py:net.loss" in done.stdout  # the help has examples
    assert commands.main([]) == 2
    assert "referee    is a gradient that you derived by hand right" in capsys.readouterr().err.replace(
        "\n", " "
    )
    with pytest.raises(SystemExit) as info:
        commands.main(["judge"])
    assert info.value.code == 2


def test_gradcheck_is_the_same_command(capsys: pytest.CaptureFixture[str]) -> None:
    from tinygrad_np.check.installed import main

    argv = ["--only", "tanh", "--cases", "2", "--json"]
    assert commands.main(["gradcheck", *argv]) == main(argv) == 0
    first, second = (json.loads(f"[{part}") for part in capsys.readouterr().out.split("[\n")[1:])
    assert first == second


# --- inputs -------------------------------------------------------------------------------------------


def test_a_make_is_found_and_its_sizes_are_told(run: Run, net: Path) -> None:
    written(net, NET + MAKE)
    status, out, err = run(f"{net}:loss", "gradient")
    assert status == 0
    assert "inputs: make with T=1..6, hidden=1..3" in err
    assert re.search("sizes tried: T=1 to [56], hidden=1 to 3", out)
    _, out, err = run(f"{net}:loss", "gradient", "--sizes", "T=2", "hidden=2:3")
    assert "inputs: make with T=2..2, hidden=2..3" in err
    assert "sizes tried: T=2, hidden=2 to 3" in out
    for sizes, sentence in [
        ("depth=2", "make has no size depth: it has T, hidden"),
        ("T", "--sizes takes T=1:6 or batch=2, and here T"),
        ("T=3:2", "--sizes takes T=1:6 or batch=2, and here T=3:2"),
    ]:
        status, out, err = run(f"{net}:loss", "gradient", "--sizes", sizes)
        assert (status, out) == (2, "")
        assert f"error: {sentence}\n" in err


def test_other_makes(run: Run, net: Path) -> None:
    written(
        net,
        NET
        + """
def draw(seq_len, hidden=2, scale=1.0):
    return {"x": scale * np.random.randn(2), "W": np.random.randn(hidden, 2)}

def nothing():
    return {"x": x, "W": W}
""",
    )
    status, out, err = run(f"{net}:loss", "gradient", "--make", "draw", "--seed", "5")
    assert (status, "inputs: draw with seq_len=1..6, hidden=1..2" in err) == (0, True)
    assert run(f"{net}:loss", "gradient", "--make", "draw", "--seed", "5")[1] == out
    _, out, _ = run(
        f"{net}:loss", "slip", "--make", "draw", "--seed", "5", "--sizes", "hidden=1", "seq_len=1"
    )
    assert "first wrong at seq_len=1" in out
    assert "seed 5" in out
    status, _, err = run(f"{net}:loss", "gradient", "--make", f"{net}:nothing")
    assert (status, "inputs: nothing with no sizes" in err) == (0, True)
    elsewhere = written(net.parent / "elsewhere" / "cases.py", f"import numpy as np\n{MAKE}")
    assert run(f"{net}:loss", "gradient", "--make", f"{elsewhere}:make", "--sizes", "T=1")[0] == 0


def test_the_seed_of_a_verdict_is_the_seed_of_make(run: Run, net: Path) -> None:
    written(net, NET + MAKE)
    _, out, _ = run(f"{net}:loss", "slip", "--sizes", "T=1", "hidden=1")
    namespace: dict[str, Any] = {}
    exec(NET + MAKE, namespace)
    seed = int(re.search(r"seed (\d+)", out)[1])  # type: ignore[index]
    verdict = referee(
        namespace["loss"], namespace["slip"], Case(namespace["make"], {"T": 1, "hidden": 1}, seed)
    )
    assert str(verdict.findings["W"]) in out


def test_without_hypothesis_the_largest_case_is_tried(
    run: Run, net: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(net, NET + MAKE)
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    monkeypatch.setitem(sys.modules, "hypothesis.strategies", None)
    status, out, err = run(f"{net}:loss", "slip")
    assert status == 1
    assert "hypothesis, which is not installed" in err
    assert "T=6, hidden=3, seed 0" in out


def test_without_inputs_a_make_is_shown(run: Run, tmp_path: Path) -> None:
    file = written(
        tmp_path / "net.py", "def loss(x, Wx, bias, target):\n    pass\ndef gradient(x):\n    pass\n"
    )
    status, out, err = run(f"{file}:loss", "gradient")
    assert (status, out) == (2, "")
    assert "error: net.py has no function make and no variables x, Wx, bias, target to try the loss at" in err
    namespace: dict[str, Any] = {}
    exec(err.partition("\n\n")[2], namespace)
    drawn = namespace["make"](np.random.default_rng(0), 4, 5)
    assert {name: np.shape(value) for name, value in drawn.items()} == {
        "x": (4, 3),
        "Wx": (5, 3),
        "bias": (5,),
        "target": (4,),
    }


# --- finding the functions ----------------------------------------------------------------------------


def test_methods(run: Run, net: Path) -> None:
    assert run(f"{net}:net.loss", "net.gradient")[0] == 0
    assert run(f"{net}:Net.loss", "Net.gradient")[0] == 0
    assert run(f"{net}:Net.loss", "Net.slip")[0] == 1
    status, _, err = run(f"{net}:Sized.loss", "Net.gradient")
    assert status == 2
    assert (
        "Sized.loss is a method, and Sized takes hidden: make an object in net.py, such as net = Sized(...)"
        in err
    )


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (
            ["{net}:los", "gradient"],
            "net.py has no los; it has loss, gradient, slip, too_fine, raises, Net, Sized\n",
        ),
        (["{net}:net.los", "gradient"], "net has no los"),
        (["{net}:W", "gradient"], "W in net.py is no function, but ndarray"),
        (
            ["{net}"],
            "which functions of net.py? Name the loss and its gradient, as in net.py:loss net.py:gradient",
        ),
        (["{net}:loss"], "which functions of net.py?"),
        (["{net}", "loss", "gradient", "more"], "which functions of net.py?"),
        (["loss", "gradient"], "loss names no file: write it as mynet.py:loss"),
        (["{net}x:loss", "gradient"], "there is no file {net}x"),
        (["{net}:loss", "{net}x.py:gradient"], "there is no file {net}x.py"),
        (["{net}:loss", "gradient", "--make", "made"], "net.py has no made"),
        (["{net}:loss", "gradient", "--rtol", "0"], "--rtol is more than 0"),
        (["{net}:loss", "gradient", "--html", "{net}/report.html"], "there is no directory {net}"),
    ],
)
def test_bad_usage_is_one_sentence(run: Run, net: Path, argv: list[str], sentence: str) -> None:
    status, _, err = run(*(text.format(net=net) for text in argv))
    assert status == 2
    assert err.splitlines()[-1].startswith("error: ")
    assert sentence.format(net=net) in err


def test_three_words_and_two_files(run: Run, net: Path) -> None:
    assert run(net, "loss", "gradient")[0] == 0
    other = written(net.parent / "b c" / "grads.v2.py", "def gradient(x, W):\n    return {'W': W}\n")
    assert run(f"{net}:loss", f"{other}:gradient")[0] == 1


def test_errors_in_the_users_code_come_with_their_traceback(run: Run, net: Path) -> None:
    status, out, err = run(f"{net}:loss", "raises")
    assert (status, out) == (2, "")
    line = 1 + NET[: NET.index("1 // 0")].count("\n")
    assert f"error: net.py:{line} raises ZeroDivisionError: " in err
    trace = err.partition("Traceback")[2]
    assert re.findall(r'File "(.*)", line', trace) == [str(net)]  # nothing of ours
    written(net, "x = 1\nloss = (1,\n")
    status, _, err = run(f"{net}:loss", "gradient")
    assert status == 2
    assert "error: net.py:2 is no Python: '(' was never closed" in err
    written(net, "import no_such_module\n")
    status, _, err = run(f"{net}:loss", "gradient")
    assert status == 2
    assert "error: net.py:1 raises ModuleNotFoundError: No module named 'no_such_module'" in err


def test_a_fault_of_the_referee_is_shown_whole(run: Run, net: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any, **options: Any) -> Any:
        raise KeyError("inside")

    monkeypatch.setattr(command, "try_cases", broken)
    status, _, err = run(f"{net}:loss", "gradient")
    assert status == 2
    assert "error: the referee itself failed\nTraceback" in err

    def stopped(*args: Any, **options: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "try_cases", stopped)
    assert run(f"{net}:loss", "gradient") == (130, "", "inputs: x, W as they are in net.py\ninterrupted\n")


# --- loading ------------------------------------------------------------------------------------------

LAYERS = "import numpy as np\ndef squash(x):\n    return np.tanh(x)\n"
DERIVED = """
import numpy as np
w = np.array([0.5, -1.0])
def loss(w):
    return np.sum(squash(w))
def gradient(w):
    return {"w": 1 - squash(w) ** 2}
"""


@pytest.mark.parametrize(
    ("where", "statement"),
    [
        ("layers.py", "from layers import squash"),
        ("layers.py", "from .layers import squash"),
        ("sub/layers.py", "from .sub.layers import squash"),
        ("../layers.py", "from ..layers import squash"),
        (
            "../other.part/layers.py",
            "import sys; sys.path.append('nowhere')\nfrom .. import layers; squash = layers.squash",
        ),
    ],
)
def test_neighbours_are_imported(run: Run, tmp_path: Path, where: str, statement: str) -> None:
    directory = tmp_path / "my nets" / "v1.2"
    file = written(directory / "net.py", statement + DERIVED)
    for squash in ("", ".copy() * 2"):  # and the second time as it then is
        written(
            directory / where,
            LAYERS.replace("(x)\n", f"(x){squash}\n").replace("def squash(x).copy() * 2", "def squash(x)"),
        )
        written(directory.parent / "layers.py", (directory / where).read_text(encoding="utf-8"))
        sys.path_importer_cache.clear()
        status, _, err = run(f"{file}:loss", "gradient")
        assert (status, "error" in err) == (0 if not squash else 1, False), err
        assert not {"layers", "net"} & set(sys.modules)


def test_a_package_is_imported_as_one(run: Run, tmp_path: Path) -> None:
    package = tmp_path / "package"
    written(package / "__init__.py", "from .layers import squash\n")
    written(package / "layers.py", LAYERS)
    written(package / "nets" / "__init__.py", "")
    file = written(package / "nets" / "net.py", f"from .other import squash{DERIVED}")
    written(package / "nets" / "other.py", "from .. import layers\nfrom ..layers import squash\n")
    assert run(f"{file}:loss", "gradient")[0] == 0
    assert not any(name.startswith("package") for name in sys.modules)


def test_a_file_may_be_called_like_a_module_of_pythons(run: Run, tmp_path: Path) -> None:
    file = written(tmp_path / "json.py", f"from numpy import tanh as squash{DERIVED}")
    assert run(f"{file}:loss", "gradient")[0] == 0
    assert sys.modules["json"] is json


def test_what_it_does_as_a_program_stays_undone(run: Run, net: Path) -> None:
    program = """
import sys
print("imported", len(sys.argv))
def chatty(x, W):
    print("called")
    return gradient(x, W)
if __name__ == "__main__":
    1 // 0
"""
    written(net, NET + program)
    status, out, err = run(f"{net}:loss", "chatty")
    assert status == 0
    assert out.startswith("agrees")
    assert "imported 1\n" in err
    assert "called" not in out + err
    assert re.search(r"what your functions print is left out \(\d+ lines\)", err)


def test_a_file_that_trains_when_it_is_imported(run: Run, net: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "PATIENCE", 0.01)
    written(net, f"{NET}\nimport time\ntime.sleep(0.3)\nraise KeyboardInterrupt\n")
    status, _, err = run(f"{net}:loss", "gradient")
    assert status == 0
    assert (
        "importing net.py runs it, and that takes long: put the training under if __name__ == '__main__', "
        "or press Ctrl-C once your functions are defined\n"
    ) in err
    line = 3 + NET.count("\n") + 1
    assert f"net.py:{line} raised KeyboardInterrupt: net.py is taken as it was there\n" in err
    monkeypatch.setattr(loading, "PATIENCE", 60.0)
    written(net, f"raise KeyboardInterrupt\n{NET}")
    assert run(f"{net}:loss", "gradient")[0] == 130
    written(net, f"raise SystemExit\n{NET}")
    status, _, err = run(f"{net}:loss", "gradient")
    assert status == 2
    assert "error: importing net.py runs it, and it ends with sys.exit: put the training under" in err
    written(net, f"{NET}\nraise SystemExit(3)\n")
    assert run(f"{net}:loss", "gradient")[0] == 0
    written(net, f"{NET}\n1 // 0\n")  # a module that fails is no module
    assert run(f"{net}:loss", "gradient")[0] == 2


# --- notebooks ----------------------------------------------------------------------------------------


def notebook(path: Path, *cells: str, **metadata: Any) -> Path:
    pytest.importorskip(
        "nbformat", reason="reading notebooks needs nbformat: pip install 'tinygrad_np[notebook]'"
    )
    code = [
        {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None, "source": cell}
        for cell in cells
    ]
    text = {"cell_type": "markdown", "metadata": {}, "source": "# LSTM by *hand*"}
    content = {"nbformat": 4, "nbformat_minor": 4, "metadata": metadata, "cells": [text, *code]}
    return written(path, json.dumps(content))


def test_a_notebook(run: Run, tmp_path: Path) -> None:
    written(tmp_path / "layers.py", LAYERS)
    written(tmp_path / "w.txt", "0.5 -1.0")
    file = notebook(
        tmp_path / "my lstm.ipynb",
        "%matplotlib inline\nimport numpy as np\n!pip install \\\n  numpy\nfrom layers import squash",
        "",
        "%%bash\nrm -rf nothing",
        "%%time\nfor i in range(2):\n    %timeit 1 + 1\nw = np.loadtxt('w.txt')\nnp.tanh?\ndisplay(w)",
        "text = ('%d'\n% 3)\nlines = '''\n%not magic\n'''\nassert text == '3' and lines == '\\n%not magic\\n'",
        "def loss(w):\n    return np.sum(squash(w))",
        "def gradient(w):\n\n    dw = 1 - squash(w)\n    return dict(w=dw)\n"
        "def right(w):\n    return dict(w=1 - squash(w) ** 2)",
        "w = w * 2\nthis_fails()",
        "w = np.zeros(2)",
    )
    status, out, err = run(file, "loss", "gradient", "--html", tmp_path / "report.html")
    assert status == 1, err
    assert out.startswith("disagrees in 1 of 1 parameters: w")
    assert run(f"{file}:loss", f"{file}:right")[0] == 0
    for told in [
        "my lstm.ipynb[1]:1 was left out: %matplotlib inline",
        "my lstm.ipynb[1]:3 was left out: !pip install \\",
        "my lstm.ipynb[2] was left out: %%bash",
        "my lstm.ipynb[3]:3 was left out: %timeit 1 + 1",
        "my lstm.ipynb[3]:5 was left out: np.tanh?",
        "my lstm.ipynb[7]:2 raised NameError: my lstm.ipynb is taken as it was there",
        "inputs: w as they are in my lstm.ipynb",
    ]:
        assert f"{told}\n" in err
    assert "not magic" not in err
    page = Page(tmp_path / "report.html")
    assert "my lstm.ipynb[6]:1" in page.text
    assert page.marked == {"    dw = 1 - squash(w)": "✗ gradient of w: wrong"}


def test_errors_in_a_notebook_have_places(run: Run, tmp_path: Path) -> None:
    cells = ["x = 1.0", "def loss(x):\n    return x * x\n\ndef gradient(x):\n    return 1 // 0"]
    file = notebook(tmp_path / "net.ipynb", *cells)
    status, _, err = run(file, "loss", "gradient")
    assert status == 2
    assert "error: net.ipynb[2]:5 raises ZeroDivisionError" in err
    assert 'File "net.ipynb[2]", line 5, in gradient\n    return 1 // 0' in err
    file = notebook(tmp_path / "net.ipynb", "1 // 0", *cells)
    status, _, err = run(file, "loss", "gradient")
    assert (status, "error: net.ipynb[1]:1 raises ZeroDivisionError" in err) == (2, True)
    file = notebook(tmp_path / "net.ipynb", "x = 1", "def f(:\n    pass", *cells)
    status, _, err = run(file, "loss", "gradient")
    assert (status, "error: net.ipynb[2]:1 is no Python: " in err) == (2, True)


def test_what_is_no_notebook_of_python(run: Run, tmp_path: Path) -> None:
    file = notebook(
        tmp_path / "net.ipynb", "x <- 1", kernelspec={"language": "R", "name": "ir", "display_name": "R"}
    )
    assert (
        "error: net.ipynb is a notebook of R, and the referee reads Python\n"
        in run(file, "loss", "gradient")[2]
    )
    for text in ("", "[]", "{}", '{"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": 3}'):
        written(file, text)
        status, _, err = run(file, "loss", "gradient")
        assert (status, "error: net.ipynb is no notebook that nbformat can read" in err) == (2, True)


def test_a_notebook_without_nbformat(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nbformat", None)
    file = written(tmp_path / "net.ipynb", "{}")
    status, _, err = run(file, "loss", "gradient")
    assert status == 2
    assert "error: this needs nbformat, which is not installed: pip install 'tinygrad_np[notebook]'" in err


def test_pictures_are_not_shown(run: Run, tmp_path: Path) -> None:
    program = (
        "import os, sys\nassert os.environ['MPLBACKEND'] == 'Agg'\nimport numpy as np\nw = np.ones(2)\n"
        "def loss(w): return np.sum(w * w)\ndef gradient(w): return {'w': 2 * w}\n"
    )
    file = written(tmp_path / "net.py", program)
    argv = [sys.executable, "-m", "tinygrad_np", "referee", f"{file}:loss", "gradient"]
    assert subprocess.run(argv, check=False, capture_output=True).returncode == 0


# --- weights that stand in the module -----------------------------------------------------------------

SCRIPT = """
import numpy as np

W = np.array([[0.5, -1.0], [2.0, 0.3]])
U = np.array([[0.1, 0.2], [-0.4, 0.6]])
scale = np.ones(2)
xs = np.array([[1.0, -2.0], [0.5, 0.1], [-1.0, 0.7]])
h0 = np.zeros(2)


def step(x, h):
    return np.tanh(W @ x + U @ h)


def lossfun(xs, h0):
    hs = [h0]
    for x in xs:
        hs.append(step(x, hs[-1]))
    loss = np.sum(scale * hs[-1] ** 2)
    dW, dU = np.zeros_like(W), np.zeros_like(U)
    dh = 2 * hs[-1]
    for t in reversed(range(len(xs))):
        draw = (1 - hs[t + 1] ** 2) * dh
        dW += np.outer(draw, xs[t])
        dU += np.outer(draw, hs[t])
        dh = U.T @ draw
    return loss, dW, dU
"""


def test_weights_that_are_variables_of_the_module(run: Run, tmp_path: Path) -> None:
    file = written(tmp_path / "script.py", SCRIPT)
    status, out, err = run(f"{file}:lossfun", "lossfun")
    assert status == 0, err + out
    assert "agrees in all of 2 parameters" in out
    assert "note: W, U: taken from the global variables that the forward reads" in out
    written(file, SCRIPT.replace("dU += np.outer(draw, hs[t])", "dU += np.outer(draw, hs[t + 1])"))
    status, out, err = run(f"{file}:lossfun", "lossfun", "--html", tmp_path / "report.html")
    assert status == 1, err + out
    assert "disagrees in 1 of 2 parameters: U" in out
    assert list(Page(tmp_path / "report.html").marked) == ["        dU += np.outer(draw, hs[t + 1])"]
    make = "def make(rng, T):\n    return rng.standard_normal((T, 2)), np.zeros(2)\n"
    written(file, SCRIPT.replace("dh = U.T @ draw", "dh = U @ draw") + make)
    status, out, err = run(f"{file}:lossfun", "lossfun")
    assert status == 1
    assert "right at T=1 (U: not tested)\nfirst wrong at T=2" in out


@pytest.mark.parametrize(
    ("change", "to"),
    [
        ("step(x, hs[-1])", "steps['tanh'](x, hs[-1])"),
        ("step(x, hs[-1])", "net.step(x, hs[-1])"),
        ("step(x, hs[-1])", "Net.static(x, hs[-1])"),
        ("step(x, hs[-1])", "part(x, hs[-1])"),
        (
            ", [-1.0, 0.7]])",
            "])",
        ),  # and xs is of the shape of W, so that by their order dW would be that of xs
        ("def step(x, h):", "def step(x, h):\n    global W\n    W = W + 0.0"),
        ("def step(x, h):\n    return", "step = lambda x, h:"),
    ],
)
def test_weights_are_read_wherever_the_loss_calls(run: Run, tmp_path: Path, change: str, to: str) -> None:
    elsewhere = """
import functools
steps = {'tanh': step}
part = functools.partial(step)

class Net:
    def step(self, x, h):
        return np.tanh(W @ x + U @ h)

    @staticmethod
    def static(x, h):
        return np.tanh(W @ x + U @ h)

net = Net()
"""
    file = written(tmp_path / "script.py", SCRIPT.replace(change, to) + elsewhere)
    status, out, _ = run(f"{file}:lossfun", "lossfun")
    assert status == 0, out
    assert "agrees in all of 2 parameters" in out


def test_weights_in_other_cells_of_a_notebook(run: Run, tmp_path: Path) -> None:
    weights, step, rest = re.split(r"\n\n\n(?=def )", SCRIPT)
    file = notebook(tmp_path / "script.ipynb", weights, step.replace("np.tanh", "1 // 0 + np.tanh"), rest)
    status, _, err = run(file, "lossfun", "lossfun")
    assert status == 2
    assert "error: script.ipynb[2]:2 raises ZeroDivisionError" in err
    file = notebook(tmp_path / "script.ipynb", weights, step, rest)
    assert run(file, "lossfun", "lossfun")[0] == 0


# --- layers and objects -------------------------------------------------------------------------------

LAYER = """
import numpy as np

class Dense:
    def __init__(self, rng, n):
        self.W = rng.standard_normal((n, 2))

    def forward(self, x):
        self.x = x
        return np.tanh(x @ self.W.T)

    def backward(self, dout):
        draw = dout * (1 - self.forward(self.x) ** 2)
        self.dW = draw.T @ self.x
        return draw @ self.W

    def slip(self, dout):
        draw = dout * (1 - self.forward(self.x) ** 2)
        self.dW = draw.T @ self.x * 2
        return draw @ self.W


dense = Dense(np.random.default_rng(0), 3)
x = np.ones((4, 2))


def dense_forward(x, W):
    return np.tanh(x @ W.T).sum(), (x, W)

def dense_backward(dout, cache):
    x, W = cache
    draw = dout * (1 - np.tanh(x @ W.T) ** 2)
    return draw @ W, draw.T @ x

W = dense.W
"""


def test_layers_and_objects(run: Run, tmp_path: Path) -> None:
    file = written(tmp_path / "dense.py", LAYER)
    status, out, err = run(f"{file}:dense.forward", "dense.backward")
    assert status == 0, err + out
    assert "agrees in all of 2 parameters" in out
    assert run(f"{file}:dense.forward", "dense.slip")[0] == 1
    assert run(f"{file}:dense_forward", "dense_backward", "--layer")[0] == 0
    make = "\ndef make(rng, n, batch):\n    return Dense(rng, n), rng.standard_normal((batch, 2))\n"
    written(file, LAYER + make)
    status, out, err = run(f"{file}:Dense.forward", "Dense.slip", "--sizes", "n=1:2", "batch=1")
    assert status == 1, err + out
    assert "smallest case that fails: n=1, batch=1" in out
    by_name = make.replace("return Dense(rng, n), rng", "return dict(layer=Dense(rng, n), x=rng").replace(
        "2))\n", "2)))\n"
    )
    written(file, LAYER + by_name)
    status, out, err = run(f"{file}:Dense.forward", "Dense.backward", "--sizes", "n=1:2", "batch=1:2")
    assert status == 0, err + out


# --- the lines that compute a gradient ----------------------------------------------------------------


def found(source: str, tmp_path: Path, *names: str, function: str = "gradient") -> dict[str, list[str]]:
    """The source of the lines that are found."""
    file = written(tmp_path / f"net{abs(hash(source))}.py", source)
    with loading.loaded(file, [], print) as module:
        lines = gradient_lines(operator.attrgetter(function)(module), names or ["W"])
    text = source.split("\n")
    return {name: [text[i - 1].strip() for i in numbers] for name, numbers in lines.items()}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("dW = np.zeros_like(W)\n    for t in x:\n        dW += t\n    return {'W': dW}", ["dW += t"]),
        ("dW, db = np.zeros(2), 0\n    dW[0], db = x, 1\n    return dW, db", ["dW[0], db = x, 1"]),
        ("grads = {}\n    grads['dW'] = x\n    return grads", ["grads['dW'] = x"]),
        ("grads = {k: 0 for k in 'W'}\n    grads['W'] += x\n    return grads", ["grads['W'] += x"]),
        ("params['W'] = x\n    return x", []),
        ("W_grad = x.T\n    return W_grad", ["W_grad = x.T"]),
        ("self.grad_W[:, 1:] = x", ["self.grad_W[:, 1:] = x"]),
        ("self.W.grad += x", ["self.W.grad += x"]),
        ("self.grads.W = x", ["self.grads.W = x"]),
        ("g = x * 2\n    return {'W': g}", ["g = x * 2"]),
        ("return dict(W=x + 1)", ["return dict(W=x + 1)"]),
        ("return loss(x), {\n        'b': 1,\n        'W': x @ x,\n    }", ["'W': x @ x,"]),
        ("return {'W': x}", ["return {'W': x}"]),
        ("np.dot(x, x, out=dW)\n    np.add.at(dW, 0, x)", ["np.dot(x, x, out=dW)", "np.add.at(dW, 0, x)"]),
        ("dL_dW: float = x\n    return dL_dW", ["dL_dW: float = x"]),
        ("if (dW := x) is not None:\n        return dW", ["if (dW := x) is not None:"]),
        ("dW = np.zeros(2)\n    return {'W': dW}", ["dW = np.zeros(2)"]),
        ("def inner():\n        dW = x\n        return dW\n    return inner()", ["dW = x"]),
        ("dWf = x\n    return {'Wf': dWf}", []),
        ("(dh, *dW) = x\n    return dW", ["(dh, *dW) = x"]),
        ("return helper(x)", ["dW = 1"]),
        ("dW, db = helper(x)\n    return dW, db", ["dW = 1"]),
        ("dW = W.backward(x)\n    return dW", ["dW = 2"]),
        ("dW = other(x)\n    return dW", ["dW = other(x)"]),
        ("d = {}\n    d['' + k] = 1\n    d['d' + k] += x\n    d['db' + k] += x", ["d['d' + k] += x"]),
        ("grads[f'{k}'] = x\n    self.grads[f'W{k}'] = x\n    self.a[f'd{k}'] = x", ["self.a[f'd{k}'] = x"]),
        (
            "getattr(self, 'd' + k)[...] += x\n    getattr(self, k)[...] += x",
            ["getattr(self, 'd' + k)[...] += x"],
        ),
        ("dW = [[0.0] * n for n in x]\n    dW[0][1] = x\n    return dW", ["dW[0][1] = x"]),
    ],
)
def test_the_lines_of_a_gradient(tmp_path: Path, body: str, expected: list[str]) -> None:
    helper = "def helper(x):\n    dW = 1\n    return dW\n"
    helper += "class Net:\n    def backward(self, x):\n        dW = 2\n        return dW\n"
    source = f"import numpy as np\n{helper}def gradient(x=1, W=2, *, self=None):\n    {body}\n"
    assert found(source, tmp_path) == ({"W": expected} if expected else {})


def test_the_lines_of_methods_lambdas_and_decorated_functions(tmp_path: Path) -> None:
    source = """
import functools

def logged(f):
    @functools.wraps(f)
    def wrapper(*args):
        return f(*args)
    return wrapper

class Net:
    def step(self, x):
        self.dU = x
        dW = x + 1
        return dW

    @logged
    def backward(self, x):
        self.dV = x
        return self.step(x)

    @functools.lru_cache(maxsize=1)
    def kept(self, x):
        self.dA = x

    def __call__(self, x):
        return {"b": x}

net = Net()
short = lambda x: {"W": x * x}
part = functools.partial(net.backward, 3)
"""
    assert found(source, tmp_path, "U", "layer[0].V", "W", "b", function="net.backward") == {
        "U": ["self.dU = x"],
        "layer[0].V": ["self.dV = x"],
        "W": ["dW = x + 1"],
        "b": ['return {"b": x}'],
    }
    assert found(source, tmp_path, "A", function="net.kept") == {"A": ["self.dA = x"]}
    assert found(source, tmp_path, "V", function="part") == {"V": ["self.dV = x"]}
    assert found(source, tmp_path, "V", function="net") == {"V": ["self.dV = x"]}
    assert found(source, tmp_path, function="short") == {"W": ['short = lambda x: {"W": x * x}']}
    assert gradient_lines(len, ["W"]) == {}
    assert gradient_lines(eval("lambda x: {'W': x}"), ["W"]) == {}


# --- the page -----------------------------------------------------------------------------------------


class Page(html.parser.HTMLParser):
    """A page as a reader has it: its text, its elements, and the remark beside each marked line."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.open: list[tuple[str, str]] = []
        self.tags: set[str] = set()
        self.ids: list[str] = []
        self.text = ""
        self.marked: dict[str, str] = {}
        self.line = ""
        self.source = path.read_bytes().decode("utf-8")
        self.feed(self.source)
        assert not self.open, f"{self.open} are never closed"

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag != "meta":
            self.open.append((tag, dict(attributes).get("class") or ""))
        for name, value in attributes:
            assert not re.match("src|href|style|on", name), (tag, name, value)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        if any(tag == "style" for tag, _ in self.open):
            return
        self.text += data
        if "mark" in [tag for tag, _ in self.open]:
            self.line = data
        if self.open and self.open[-1][1] == "remark":
            self.marked[self.line] = data.partition(",")[0]


def test_the_page(run: Run, net: Path, tmp_path: Path) -> None:
    written(
        net,
        NET.replace("def slip(x, W):", "def slip(x, W):\n    # <script>alert(1)</script> & Ünicode") + MAKE,
    )
    path = tmp_path / "a report.html"
    status, out, err = run(f"{net}:loss", "slip", "--sizes", "T=1:2", "hidden=1:2", "--html", path)
    assert status == 1, err
    assert f"the page is {path}\n" in err
    page = Page(path)
    assert "script" not in page.tags
    assert "<script>alert(1)</script> & Ünicode" in page.text
    assert out.strip() in page.text
    assert "✗ wrong" in page.text
    assert "The gradient is wrong in W." in page.text
    assert page.text.count("def loss(x, W):") == 1
    assert page.marked["    dW = np.outer(2 * h * (1 - h), x)"] == "✗ gradient of W: wrong"
    assert page.marked["    return np.sum(np.tanh(W @ x) ** 2)"].startswith(
        "what explains it: the derivative of tanh"
    )
    assert len(page.marked) == 2
    assert str(tmp_path) not in page.source  # of their disk it says nothing
    assert '<meta name="viewport"' in page.source
    assert "prefers-color-scheme:dark" in page.source
    assert "@media print" in page.source
    assert not re.search(r"https?:|url\(|@import", page.source)


def a_verdict(**options: Any) -> Verdict:
    findings = {
        "W": Finding(WRONG, 0.31, 0.5, 0.9, (1, 2), 2.0, 3.0),
        "b": Finding(RIGHT, 1e-15, 1e-15, 1.0, (0,), 1.0, 1.0),
        "U": Finding(UNKNOWN, 3e-6, reason="agrees to 3e-6 and no closer", nearly=True),
        "V": Finding(UNTESTED, reason="<0 on both sides>"),
        "c": Finding(WRONG, reason="has shape (3,), and its parameter (2,)"),
    }
    return Verdict(findings, "recorded", by_steps={1: findings, 2: findings}, tried=7, **options)


def test_each_outcome_has_a_sign_and_a_number_or_word(tmp_path: Path) -> None:
    def gradient(W: Any) -> dict[str, Any]:
        return {"W": W}

    path = tmp_path / "r.html"
    slip = Slip(
        "sign", "by hand = -1 x exact <everywhere>", f"nowhere.py:{gradient.__code__.co_firstlineno + 1}"
    )
    here = Slip(
        "state", "the state is that of this step", f"{Path(__file__).name}:{gradient.__code__.co_firstlineno}"
    )
    verdict = a_verdict(
        slips=[slip, here], notes=("x was <float32>",), covered={"T": (1, 2), "hidden": (3, 3)}
    )
    write_report(verdict, gradient, gradient, path)
    page = Page(path)
    for cell in ("✗ 0.31", "✓ 1e-15", "? 3e-06", "– not tested", "✗ wrong"):
        assert page.text.count(cell) >= 2
    assert "<b>✗ 0.31</b>" in page.source
    assert "<b>✓ 1e-15</b>" not in page.source
    for text in (
        "by hand = -1 x exact <everywhere> (nowhere.py:",
        "x was <float32>",
        "T from 1 to 2",
        "hidden = 3",
    ):
        assert text in page.text
    assert (
        page.marked["    def gradient(W: Any) -> dict[str, Any]:"]
        == "what explains it: the state is that of this step"
    )
    assert page.marked['        return {"W": W}'] == "✗ gradient of W: wrong"
    assert "The line that computes the gradient of c was not found: look for dc." in page.text
    # where nothing is wrong, no line is
    write_report(Verdict({"W": Finding(RIGHT, 0.0)}, "recorded"), gradient, gradient, path)
    page = Page(path)
    assert "The gradient is right." in page.text
    assert not page.marked
    write_report(Verdict({"W": Finding(UNTESTED)}, "recorded"), len, len, path)
    page = Page(path)
    assert "It cannot be told whether the gradient is right in W." in page.text
    assert "Its source cannot be read." in page.text


def test_all_that_is_no_markup_is_escaped() -> None:
    inner = element("b", "<&>")
    assert element("p", inner, "<i>", class_='a"b') == '<p class="a&quot;b"><b>&lt;&amp;&gt;</b>&lt;i&gt;</p>'


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


def test_colours_can_be_read() -> None:
    assert contrast("#777777", "#ffffff") < 4.5 < contrast("#767676", "#ffffff")  # as published
    for _, ground, text in HEAT:
        assert contrast(ground, text) >= 4.5, (ground, text)
    brightness = [luminance(ground) for _, ground, _ in HEAT]
    assert brightness == sorted(brightness)  # an order without any sense of colour
    for look in (0, 1):
        colours = {name: pair[look] for name, pair in COLOURS.items()}
        for ground in ("ground", "panel", "marked"):
            for text in ("text", "quiet", "wrong", "right"):
                assert contrast(colours[ground], colours[text]) >= 4.5, (look, ground, text)


def test_a_page_that_cannot_be_written_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path / "r.html", "old")
    monkeypatch.setattr(Path, "write_text", lambda *args, **options: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        write_report(a_verdict(), len, len, path)
    assert [p.name for p in tmp_path.iterdir()] == ["r.html"]
    assert path.read_bytes() == b"old"


def test_pieces_are_the_functions_and_what_they_call_once(tmp_path: Path) -> None:
    file = written(tmp_path / "net.py", NET)
    with loading.loaded(file, [], print) as module:
        names = [p.lines[0] for p in pieces(module.net.loss, module.too_fine)]
    assert names == [
        "class Net:",
        "def too_fine(x, W):",
        "def loss(x, W):",
        "def gradient(x, W):",
        "def slip(x, W):",
    ]


def test_each_length_of_time_is_tried_where_the_smallest_case_fails_at_once(run: Run, net: Path) -> None:
    written(net, NET + MAKE)
    _, out, _ = run(f"{net}:loss", "slip", "--html", net.parent / "report.html")
    assert "smallest case that fails: T=1, hidden=1" in out
    assert "sizes tried: T=1 to 6, hidden=1" in out
    assert "T=6" in Page(net.parent / "report.html").text
