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
    """Try the mutants; the exit status is 1 if one survives unexplained, or an explanation has no survivor."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutation",
        description="Make every derivative wrong, and see which checks notice.",
    )
    extent = parser.add_mutually_exclusive_group()  # the page is of all targets
    extent.add_argument("--markdown", metavar="FILE", type=Path, help="write the report there, too")
    extent.add_argument(
        "--only",
        metavar="NAME",
        action="append",
        default=[],
        help="this target alone, such as elementwise.log",
    )
    args = parser.parse_args(argv)
    targets = all_targets()
    names = [str(target) for target in targets]
    if unknown := [name for name in args.only if name not in names]:
        parser.error(f"no target is named {unknown[0]}; their names are {', '.join(names)}")
    skipped = set(names) - set(args.only) if args.only else set()
    targets = tuple(target for target in targets if str(target) not in skipped)
    progress = import_optional("tqdm").tqdm

    for target in progress(targets, desc="as they are", dynamic_ncols=True):
        if (found := verdict(original(target))) != SURVIVED:
            print(f"{target} fails as it is, {found}: what kills its mutants proves nothing")
            return 1
    mutants = [mutant for target in targets for mutant in mutants_of(target)]
    results = [(mutant, verdict(mutant)) for mutant in progress(mutants, desc="mutants", dynamic_ncols=True)]

    print(report.text(results, skipped))
    if args.markdown:
        args.markdown.write_text(report.markdown(results), encoding="utf-8")
    survived = any(found == SURVIVED for _, found in results)
    return 1 if survived or report.stale_explanations(results, skipped) else 0


if __name__ == "__main__":
    sys.exit(main())
