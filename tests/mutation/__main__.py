"""The command: try all mutants, and report."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.mutation import report
from tests.mutation.mutate import mutants_of, original
from tests.mutation.targets import all_targets
from tests.mutation.verdict import SURVIVED, verdict
from tinygrad_np.extras import import_optional


def main(argv: Sequence[str] | None = None) -> int:
    """Try all mutants; the exit status is 1 if one survives unexplained, or an explanation has no survivor."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutation",
        description="Make every derivative wrong, and see which checks notice.",
    )
    parser.add_argument("--markdown", metavar="FILE", type=Path, help="write the report there, too")
    args = parser.parse_args(argv)
    progress = import_optional("tqdm").tqdm

    targets = all_targets()
    for target in progress(targets, desc="as they are", dynamic_ncols=True):
        if (found := verdict(original(target))) != SURVIVED:
            print(f"{target} fails as it is, {found}: what kills its mutants proves nothing")
            return 1
    mutants = [mutant for target in targets for mutant in mutants_of(target)]
    results = [(mutant, verdict(mutant)) for mutant in progress(mutants, desc="mutants", dynamic_ncols=True)]

    print(report.text(results))
    if args.markdown:
        args.markdown.write_text(report.markdown(results), encoding="utf-8")
    survived = any(found == SURVIVED for _, found in results)
    return 1 if survived or report.stale_explanations(results) else 0


if __name__ == "__main__":
    sys.exit(main())
