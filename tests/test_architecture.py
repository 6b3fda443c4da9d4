"""Imports run one way: docs/architecture.md draws the layers from top to bottom, and this test keeps it true."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")


def drawn_layers() -> list[set[str]]:
    """The modules of each line of the drawing, the highest first."""
    drawing = PAGE.partition("<!-- layers -->")[2].partition("<!-- /layers -->")[0]
    lines = [line for line in drawing.splitlines() if line.startswith("|") and "`" in line]
    return [set(re.findall(r"`([a-z_/]+)`", line.split("|")[1])) for line in lines]


LAYERS = drawn_layers()


def layer_of(module: str) -> int:
    """The number of the layer of a module, counted from the top."""
    parts = ["tinygrad_np", "__init__"] if module == "tinygrad_np" else module.split(".")
    for length in range(len(parts), 0, -1):
        name = "/".join(parts[:length])
        for number, layer in enumerate(LAYERS):
            if name in layer:
                return number
    raise AssertionError(f"{module} stands in no layer of docs/architecture.md")


def modules() -> Iterator[tuple[str, Path]]:
    for package in ("tinygrad_np", "datasets", "models", "benchmarks"):
        for path in sorted((ROOT / package).rglob("*.py")):
            yield ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"), path


def is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def imports_of(path: Path) -> set[str]:
    """Our own modules that a file imports when it is imported itself."""
    found = set()
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    for_types = [n for n in nodes if isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING"]
    skipped = {id(part) for node in for_types for part in node.body}
    for node in nodes:
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                found.add(whole if is_module(whole) else node.module)
    return {
        name
        for name in found
        if name.partition(".")[0] in ("tinygrad_np", "datasets", "models", "benchmarks")
    }


@pytest.mark.parametrize(("module", "path"), list(modules()))
def test_a_module_imports_from_its_own_layer_and_from_those_below(module: str, path: Path) -> None:
    for imported in imports_of(path):
        assert layer_of(module) <= layer_of(imported), f"{module} imports {imported}, which stands above it"


def test_the_test_sees_an_import_that_runs_the_other_way(tmp_path: Path) -> None:
    file = tmp_path / "wrong.py"
    file.write_text("from tinygrad_np.check import cases\nimport models.sentiment.train\n", encoding="utf-8")
    assert imports_of(file) == {"tinygrad_np.check.cases", "models.sentiment.train"}
    assert layer_of("tinygrad_np.ops.elementwise") > layer_of("tinygrad_np.check.cases")
    with pytest.raises(AssertionError, match="stands in no layer"):
        layer_of("elsewhere")


def test_every_file_and_function_that_the_page_names_is_there() -> None:
    named = re.findall(
        r"`((?:tinygrad_np|models|datasets|tests|benchmarks)/[\w/]+\.py)`(?:: `([\w.]+)`)?", PAGE
    )
    assert len(named) > 20
    for path, name in named:
        source = (ROOT / path).read_text(encoding="utf-8")
        if name:
            function = name.rpartition(".")[2]
            assert re.search(rf"(def|class) {function}\b", source), f"{path} has no {name}"


def test_every_package_stands_in_the_table_of_files() -> None:
    for directory in ("tinygrad_np", "tinygrad_np/check", "tinygrad_np/ops", "models/sentiment", "datasets"):
        for path in (ROOT / directory).glob("*.py"):
            assert path.stem in PAGE or path.name in ("__init__.py", "__main__.py"), (
                f"{path.name} is not mentioned"
            )
