"""What is reported: verdicts by mutation operator and by target, and every survivor with its explanation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence, Set
from typing import TypeAlias

from tests.mutation.equivalents import EQUIVALENT
from tests.mutation.mutate import Mutant
from tests.mutation.verdict import BY_CHECK, BY_ERROR, EQUIVALENCE, SURVIVED

Results: TypeAlias = Sequence[tuple[Mutant, str]]  # mutants and their verdicts

VERDICTS = (BY_CHECK, BY_ERROR, EQUIVALENCE, SURVIVED)


def table(title: str, group: Callable[[Mutant], str], results: Results) -> list[list[str]]:
    """Head, a row for each group of mutants in the order in which they come, and the sums."""
    counts = Counter((group(mutant), verdict) for mutant, verdict in results)
    totals = Counter(group(mutant) for mutant, _ in results)
    sums = Counter(verdict for _, verdict in results)
    return [
        [title, "mutants", *VERDICTS],
        *([key, str(n), *(str(counts[key, verdict]) for verdict in VERDICTS)] for key, n in totals.items()),
        ["all", str(len(results)), *(str(sums[verdict]) for verdict in VERDICTS)],
    ]


def by_operator(results: Results) -> list[list[str]]:
    """The table of mutation operators, those with the most mutants first."""
    head, *rows, sums = table("mutation operator", lambda mutant: mutant.operator, results)
    return [head, *sorted(rows, key=lambda row: (-int(row[1]), row[0])), sums]


def by_target(results: Results) -> list[list[str]]:
    """The table of targets."""
    return table("target", lambda mutant: str(mutant.target), results)


def stale_explanations(results: Results, skipped: Set[str]) -> list[tuple[str, str]]:
    """Target and line of each explanation for which no mutant survives: it is killed now, or there is no such.

    Of the targets that were skipped nothing is known.
    """
    explained = {(str(mutant.target), mutant.after) for mutant, found in results if found == EQUIVALENCE}
    return [key for key in EQUIVALENT if key not in explained and key[0] not in skipped]


def text(results: Results, skipped: Set[str]) -> str:
    """The table of mutation operators, the survivors, and the explanations that explain nothing."""
    lines = [f"{row[0]:22}" + "".join(f"{cell:>20}" for cell in row[1:]) for row in by_operator(results)]
    lines += [f"survived: {mutant}" for mutant, found in results if found == SURVIVED]
    for target, after in stale_explanations(results, skipped):
        lines.append(f"explained, but no such mutant survives: {target}: {after}")
    return "\n".join(lines)


def markdown(results: Results) -> str:
    """The report as a page of the docs. Nothing in it depends on time or machine."""
    lines = [
        "# Proof that the checks can fail",
        "",
        "```",
        "python -m tests.mutation --markdown docs/mutants.md",
        "```",
        "",
        "makes every derivative wrong in many small ways, one at a time, and writes this page. Mutated are",
        "the rules of all primitives, the functions that they share, what the tape does to every gradient,",
        "and the tutorial's hand-derived backpropagation through time (BPTT). Each mutant is tried with the",
        "row of its primitive in `tinygrad_np/check/cases`: by the checks of `python -m",
        "tinygrad_np.gradcheck`, by the values documented for ties, kinks and poles, by the row's fixed",
        "cases, and, if it is no rule, by the ways in which NumPy's functions are called. Further trials are",
        "in `tests/mutation/trials.py`: one argument or one output alone, second derivatives where the",
        "incoming gradient is 0, gradients too small to go on, gradients that have to be refused, counts that",
        "float16 does not hold, poles below a choice between elements, what the tape adds up and keeps, rows",
        "of tables, hooks, and anomalies. The BPTT is compared with the exact gradient. `--only",
        "elementwise.log` tries that target alone.",
        "",
        "A mutant is killed by a check if a trial finds a wrong number, and by an error if trials raise",
        "something else, such as shapes that do not fit, and none finds a wrong number. A mutant that",
        "survives has to be explained as equivalent, or the command fails.",
    ]
    for rows in (by_operator(results), by_target(results)):
        head, *body = rows
        lines += ["", "| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
        lines += ["| " + " | ".join(row) + " |" for row in body]
    for title, wanted in (("Equivalent mutants", EQUIVALENCE), ("Survivors", SURVIVED)):
        lines += ["", f"## {title}", ""]
        chosen = [mutant for mutant, found in results if found == wanted]
        for mutant in chosen:
            why = EQUIVALENT.get((str(mutant.target), mutant.after), "not explained")
            lines += [f"- **{mutant.target}**, {mutant.operator}: {why}.", "", "  ```diff"]
            lines += [f"  - {mutant.before}", f"  + {mutant.after}", "  ```", ""]
        lines += [] if chosen else ["None."]
        lines = lines[:-1] if not lines[-1] else lines
    return "\n".join(lines) + "\n"
