"""The pages of docs that quote the source say what stands there."""

import inspect
import re
from pathlib import Path

import pytest

from benchmarks.plain_loop import plain_backward_pass
from tinygrad_np.__main__ import main

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


def without_rounding(text: str) -> str:
    """The errors that are rounding, and the case where they are worst, are others on other machines."""
    return re.sub(r"\b\d(\.\d)?e-1\d\b(, cosine 1.0000)?|(?<=in )\d+(?= cases)", "some", text)


def test_the_referees_page_says_what_the_referee_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (ROOT / "docs/referee.md").read_text(encoding="utf-8")
    layer, make = re.findall(r"```python\n(.*?)```", page, re.DOTALL)[:2]
    (correction,) = re.findall(r"With `(dc = .*?)`:", page)
    said, said_then = re.findall(r"```\n((?:\$|agrees).*?)```", page, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    source = f"{layer}\n\n{make}"
    Path("lstm.py").write_text(source, encoding="utf-8")
    *command, _, file = said.splitlines()[0].removeprefix("$ python -m tinygrad_np ").split()
    assert main([*command, "--html", file]) == 1
    assert without_rounding(capsys.readouterr().out) == without_rounding(said.partition("\n")[2])
    assert "gradient of W" in Path(file).read_text(encoding="utf-8")
    wrong = next(line for line in source.splitlines() if line.strip().startswith("dc = "))
    Path("lstm.py").write_text(source.replace(wrong.strip(), correction), encoding="utf-8")
    assert main(command) == 0
    assert without_rounding(capsys.readouterr().out) == without_rounding(said_then)
