"""The pages of docs that quote the source say what stands there."""

import inspect
import re
from pathlib import Path

import pytest

from benchmarks.plain_loop import plain_backward_pass

ROOT = Path(__file__).parents[1]


def test_the_plain_loop_of_the_page_is_the_one_that_is_tested() -> None:
    page = (ROOT / "docs/way-back.md").read_text(encoding="utf-8")
    assert f"```python\n{inspect.getsource(plain_backward_pass)}```" in page


@pytest.mark.parametrize(
    "page", ["README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
)
def test_every_path_that_a_page_names_is_there(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    paths = re.findall(r"`((?:tinygrad_np|models|datasets|tests|benchmarks|docs)/[\w./-]*)`", text)
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", text)
    for path in paths:
        here = ROOT / path.removesuffix("/__init__")  # a module may be named without its ending
        assert here.exists() or here.with_suffix(".py").exists(), f"{page} names {path}"
    for link in links:
        assert ((ROOT / page).parent / link).exists(), f"{page} links to {link}"
