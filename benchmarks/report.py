"""What was measured, as a table and as a file of figures in which each case has its own date and machine."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.harness import NEEDS, Row, groups, number
from tinygrad_np.files import atomic_write


@dataclass(frozen=True)
class Measured:
    """The rows of a case, and what they depend on: date, machine, versions, how often each was repeated."""

    about: dict[str, str]
    rows: list[Row]


def machine() -> dict[str, str]:
    """What the numbers of a run depend on."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        processor = next(line.partition(": ")[2] for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        processor = platform.processor()
    found = {
        "date": date.today().isoformat(),
        "processor": processor,
        "cores": str(os.cpu_count()),
        "system": platform.system(),
        "python": platform.python_version(),
    }
    for package in sorted({package for package, _ in NEEDS.values()}):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def table(rows: Sequence[Row]) -> str:
    """All rows as a Markdown table. The last column but one: above 1 the first row of a group is better."""
    lines = [
        "| case | what | who | median | quartiles | unit | × | of the limit |",
        "| --- | --- | --- | ---: | --- | --- | ---: | ---: |",
    ]
    for group in groups(rows):
        for row in group:
            low, high = row.spread
            part = row.of_the_limit()
            cells = (
                row.case,
                row.what,
                row.peer,
                number(row.median),
                f"{number(low)} to {number(high)}" if len(row.values) > 1 else "once",
                row.unit,
                f"{group[0].times_better_than(row):.2f}" if len(group) > 1 else "",
                "" if part is None else f"{part:.0%}",
            )
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def read(path: Path) -> dict[str, Measured]:
    """The file of figures: what was measured of each case.

    Raises
    ------
    ValueError
        It is no such file.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {
            name: Measured(found["about"], [Row(**row) for row in found["rows"]])
            for name, found in content.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} holds no figures of python -m benchmarks: {error!r}") from error


def merge(measured: Mapping[str, Measured], path: Path) -> None:
    """Write figures into a file, a row a line: cases that were measured replace theirs, others stay."""
    kept = read(path) if path.exists() else {}
    cases = []
    for name, case in {**kept, **{n: m for n, m in measured.items() if m.rows}}.items():
        rows = [
            asdict(row) | {"values": [float(f"{value:.6g}") for value in row.values]} for row in case.rows
        ]
        lines = ",\n".join(f"  {json.dumps(row, ensure_ascii=False)}" for row in rows)
        about = json.dumps(case.about, ensure_ascii=False)
        cases.append(f' {json.dumps(name)}: {{"about": {about}, "rows": [\n{lines}\n ]}}')
    text = "{\n" + ",\n".join(cases) + "\n}\n"
    with atomic_write(path) as part:
        part.write_text(text, encoding="utf-8")
