"""The pages of docs that quote the source say what stands there."""

import inspect
from pathlib import Path

from benchmarks.plain_loop import plain_backward_pass

ROOT = Path(__file__).parents[1]


def test_the_plain_loop_of_the_page_is_the_one_that_is_tested() -> None:
    page = (ROOT / "docs/way-back.md").read_text(encoding="utf-8")
    assert f"```python\n{inspect.getsource(plain_backward_pass)}```" in page
