"""What came of the trials: as text, and as docs/planted-mistakes.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from tests.strangers.trials import FAILED, Outcome, Trial, named
from tinygrad_np.referee.evidence.exact import RECORDED
from tinygrad_np.referee.verdict import RIGHT, UNKNOWN, WRONG

Results: TypeAlias = Sequence[tuple[Trial, Outcome]]


def sound(part: str, trial: Trial, outcome: Outcome) -> bool:
    """Whether there is nothing to complain of."""
    if part == "right":
        return outcome.said == RIGHT and not outcome.pattern
    if part == "broken":
        return outcome.said == WRONG
    return outcome.said == WRONG and named(trial, outcome)


def false(part: str, results: Results) -> bool:
    """Whether the referee said what is not true, or nothing at all."""
    never = {WRONG, FAILED} if part == "right" else {RIGHT, FAILED}
    return any(outcome.said in never or (part == "right" and outcome.pattern) for _, outcome in results)


def complaint(part: str, trial: Trial, outcome: Outcome, whole: bool) -> str:
    text = outcome.text if whole else outcome.text.strip().splitlines()[-1 if outcome.said == FAILED else 0]
    said = f"{outcome.said}, {outcome.seconds:.1f} s" + f"; {outcome.pattern}" * (part == "table")
    return f"[{part}] {trial}: {said}\n    {text}"


def counted(results: Results) -> str:
    said = Counter(outcome.said for _, outcome in results)
    return ", ".join(f"{said[word]} {word}" for word in (RIGHT, WRONG, UNKNOWN, FAILED) if said[word])


def methods(results: Results) -> str:
    by = Counter(outcome.method for _, outcome in results if outcome.method)
    return ", ".join(f"{count} {method}" for method, count in by.most_common())


def text(part: str, results: Results) -> str:
    """A summary, by network."""
    seconds = [outcome.seconds for _, outcome in results]
    lines = [
        f"{part}: {len(results)} networks: {counted(results)}",
        f"  exact gradient: {methods(results)}",
        f"  seconds a call: {sum(seconds) / len(seconds):.1f} on the average, {max(seconds):.1f} at most",
    ]
    if part == "table":
        lines.append(f"  named first: {sum(named(*result) for result in results)} of {len(results)}")
    for name in dict.fromkeys(trial.network for trial, _ in results):
        own = [result for result in results if result[0].network is name]
        seconds = [outcome.seconds for _, outcome in own]
        lines.append(
            f"  {name.family}: {name.name}: {counted(own)} ({methods(own)}; {sum(seconds) / len(own):.1f} s)"
        )
    return "\n".join(lines)


def markdown(results: Mapping[str, Results]) -> str:
    """The page."""
    lines = [INTRODUCTION]
    for part in ("right", "broken"):
        found = results.get(part, ())
        if found:
            lines += [f"## {len(found)} {part} networks", "", WHAT[part], ""]
            lines += ["| network | right | wrong | cannot tell | failed | recorded | seconds a call |"]
            lines += ["|---|---:|---:|---:|---:|---:|---:|"]
            for network in dict.fromkeys(trial.network for trial, _ in found):
                own = [result for result in found if result[0].network is network]
                lines.append(row(f"{network.family}: {network.name}", own))
            lines += [row("**all**", found), ""]
    if found := results.get("table", ()):
        count = sum(named(*result) for result in found)
        lines += [f"## {len(found)} planted mistakes", "", WHAT["table"].format(count, len(found)), ""]
        for family in dict.fromkeys(trial.network.family for trial, _ in found):
            own = [result for result in found if result[0].network.family == family]
            good = sum(named(*result) for result in own)
            lines += [f"### {family}: {good} of {len(own)}", ""]
            lines += ["| network | planted | verdict | first pattern | named |", "|---|---|---|---|---|"]
            for trial, outcome in own:
                assert trial.planted
                cells = (
                    trial.network.name,
                    trial.planted.what,
                    outcome.said,
                    outcome.pattern.partition(": ")[2] or "none",
                    "yes" if named(trial, outcome) else "no",
                )
                lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
            lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def row(name: str, results: Results) -> str:
    """A line of counts."""
    said = Counter(outcome.said for _, outcome in results)
    recorded = sum(outcome.method == RECORDED for _, outcome in results)
    seconds = sum(outcome.seconds for _, outcome in results) / len(results)
    counts = [str(said[word]) for word in (RIGHT, WRONG, UNKNOWN, FAILED)]
    return f"| {name} | {' | '.join(counts)} | {recorded} | {seconds:.1f} |"


INTRODUCTION = """\
# What the referee says of mistakes that were planted

```
python -m tests.strangers --page docs/planted-mistakes.md
```

draws networks in the styles in which people write them (`tests/strangers/`: LSTM, GRU, RNN, attention; buffers, dicts,
lists, classes, layers without a loss, all in our own writing), gives them to the referee without an adapter, and writes
this page, in some minutes on two cores. Whether a network is right or broken does not come from the referee: the hand
gradients are held against extrapolated differences of the forward.

The patterns were written with these networks at hand; in code that nobody has seen fewer will be named.
"""
WHAT = {
    "right": (
        "Sizes and weights at random, with gates saturated by weights twenty times as large, float32 on purpose, an "
        "epsilon\nin the logarithm, and forwards that lose the record on the way (an FFT there and back, bytes). "
        "None may be called wrong,\nand no pattern named."
    ),
    "broken": (
        "The same networks, each with one of its mistakes, where that moves a gradient by more than 1 %. None may "
        "pass for right."
    ),
    "table": (
        "Each is looked for as its author would: a search between bounds of all sizes. The first pattern names the "
        "mistake in\n**{} of {}**."
    ),
}
