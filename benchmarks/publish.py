"""The documents' tables and pictures, made from one file of figures: ``python -m benchmarks.publish``.

It reads docs/benchmarks.json, which ``python -m benchmarks --json docs/benchmarks.json`` writes, and puts the
table NAME between the markers

    <!-- benchmarks:NAME -->
    <!-- /benchmarks -->

of README.md and of every page in docs. No number between them is written by hand. The pictures are drawn anew as
docs/benchmarks-*.png.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks import pictures, report
from benchmarks.harness import Row, groups, number
from benchmarks.lstm import BATCHES, T
from benchmarks.pictures import Picture
from benchmarks.report import Measured
from benchmarks.scaling import BATCH, SHARES
from benchmarks.sentiment import RUNS
from models.commands import execute
from tinygrad_np.files import atomic_write

ROOT = Path(__file__).parents[1]
FILE = ROOT / "docs" / "benchmarks.json"
MARKED = re.compile(r"(<!-- benchmarks:([a-z-]+) -->\n)(.*?)(<!-- /benchmarks -->)", re.DOTALL)
TRAININGS = {
    "B=32, last": "B = 32, last state",
    "B=64, last": "B = 64, last state",
    "B=32, mean": "B = 32, mean of outputs",
}
PADDED = ("PyTorch padded", "PyTorch padded, flushed")
PACKED = ("PyTorch packed", "PyTorch packed, flushed")
SAID = {"lstm": "the LSTM layer", "op": "one op", "eager LSTM": "LSTM op by op"}
NETWORKS = {  # assumed: seconds a message takes, bytes a second
    "1 Gbit/s": (50e-6, 125e6),
    "10 Gbit/s": (25e-6, 1.25e9),
}


class Figures:
    """The file of figures, and how to ask it."""

    def __init__(self, cases: Mapping[str, Measured]):
        self.cases = cases
        self.rows = {(row.case, row.what, row.peer): row for m in cases.values() for row in m.rows}

    def row(self, case: str, what: str, *peers: str) -> Row:
        """The row of a contender; of several, the one that is best.

        Raises
        ------
        ValueError
            It was not measured.
        """
        for peer in peers:
            if (case, what, peer) not in self.rows:
                raise ValueError(
                    f"{FILE.name} has no figure of '{case}, {what}, {peer}': measure its case with "
                    "python -m benchmarks CASE --json docs/benchmarks.json, with all peers installed"
                )
        found = [self.rows[case, what, peer] for peer in peers]
        return next(row for row in found if all(row.times_better_than(other) >= 1 for other in found))

    def median(self, case: str, what: str, *peers: str) -> float:
        return self.row(case, what, *peers).median


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]], right: bool = False) -> str:
    """A Markdown table; with `right`, all columns but the first are aligned to the right."""
    rule = ["---"] + ["---:" if right else "---"] * (len(head) - 1)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))


def times(ours: Row, other: Row) -> str:
    """How many times as fast, or as small, ours is."""
    ratio = ours.times_better_than(other)
    return f"{ratio:.0f}" if ratio >= 10 else f"{ratio:.2f}"


def thousands(words: float) -> str:
    """Words a second: nobody's clock is better than that."""
    return f"{round(words, -3):,.0f}"


# --- README -------------------------------------------------------------------------------------------


def environment(figures: Figures) -> str:
    """Where and when: cases that were measured together in one sentence."""
    found: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for name, case in figures.cases.items():
        found.setdefault(tuple(case.about.items()), []).append(name)
    lines = []
    for about, names in found.items():
        said = ", ".join(value if key in ("date", "processor") else f"{key} {value}" for key, value in about)
        lines.append(f"- {', '.join(names)}: {said}")
    return "\n".join(lines)


def sentiment(figures: Figures) -> str:
    rows = []
    for name, said in zip(RUNS, ("the first", "the second", "the third"), strict=True):

        def value(what: str, name: str = name) -> float:
            return figures.median("sentiment", f"{name}, {what}", "ours")

        minutes, seconds = divmod(round(value("training time")), 60)
        rows.append(
            (
                f"{value('training reviews'):,.0f}",
                f"{value('test reviews'):,.0f}",
                f"{value('epochs'):.0f}",
                f"{value('test accuracy'):.1f} %",
                f"{value('test loss'):.3f}",
                f"{minutes} min {seconds} s" if minutes else f"{seconds} s",
                thousands(value("training speed")),
                said,
            )
        )
    head = ("training reviews", "test reviews", "epochs", "test accuracy", "test loss", "training time")
    both = figures.median("data", "test reviews that stand in the training file too", "ours")
    return markdown((*head, "words a second", "command"), rows) + (
        f"\n\nOf all test reviews {both:.0f} stand in the training file too, and were left there; "
        "`python -m benchmarks data --data-dir DIR` counts them."
    )


def lstm(figures: Figures) -> str:
    rows = []
    for other, ours, said in (
        ("PyTorch, 2 threads", "ours, 1 process", "`torch.nn.LSTM`, 2 threads / ours in one process"),
        ("PyTorch, 2 threads", "ours, 2 processes", "the same / ours in two, half of the sequences each"),
        ("PyTorch, 1 thread", "ours, 1 process", "`torch.nn.LSTM`, 1 thread / ours in one process"),
        ("JAX", "ours, 1 process", "JAX, compiled / ours in one process"),
    ):
        cells = [
            times(figures.row("lstm", f"B={b}, last", ours), figures.row("lstm", f"B={b}, last", other))
            if b > 1 or ours != "ours, 2 processes"
            else ""
            for b in BATCHES
        ]
        rows.append((said, *cells))
    head = "the LSTM layer there and back, 120 steps, 50 features, 64 units"
    return markdown((head, *(f"B = {b}" for b in BATCHES)), rows)


def training(figures: Figures) -> str:
    one, two = "ours, 1 worker", "ours, 2 workers"
    rows: list[Sequence[str]] = [
        (name, *(thousands(figures.median("training", what, name)) for what in TRAININGS))
        for name in (one, two)
    ]
    for ours, others, said in (
        (one, PADDED, "PyTorch, padded, same batches, at its best"),
        (two, PADDED, "PyTorch, padded, same batches, at its best"),
        (one, ("PyTorch random batches",), "PyTorch, padded random batches"),
        (one, PACKED, "PyTorch, `pack_padded_sequence`, at its best"),
        (one, ("JAX",), "JAX, padded"),
        (one, ("tutorial",), "the tutorial's code path"),
    ):
        cells = []
        for what in TRAININGS:
            left_out = what.endswith("mean") and (others == PACKED or others == ("tutorial",))
            pair = (
                ()
                if left_out
                else (figures.row("training", what, ours), figures.row("training", what, *others))
            )
            cells.append(times(*pair) if pair else "")
        rows.append((f"{ours} / {said}", *cells))
    return markdown(("training on IMDb's reviews of real length, words a second", *TRAININGS.values()), rows)


def others(figures: Figures) -> str:
    """What else was compared, a pair a line."""
    epoch, data = "`python -m benchmarks epoch --data-dir DIR`", "`python -m benchmarks data --data-dir DIR`"
    tape, memory = "`python -m benchmarks tape`", "`python -m benchmarks memory`"
    glove = "GloVe, 50 numbers a word"
    rows = []
    for case, what, our, other, said, command in (
        (
            "predicting",
            "B=64, mean",
            "ours, 1 worker",
            "PyTorch padded",
            "predicting the test reviews",
            epoch,
        ),
        ("predicting", "B=64, mean", "ours, 1 worker", "JAX", "the same", epoch),
        *(
            ("eager LSTM", f"B={b}", "ours", other, f"LSTM op by op (`fused=False`), B = {b}", tape)
            for b in (1, 32)
            for other in ("PyTorch, 1 thread", "MyGrad", "autograd")
        ),
        *(
            ("op", "x + x, forward", "ours", other, "`x + x` on 4 numbers", tape)
            for other in ("NumPy alone", "PyTorch, 1 thread", "MyGrad", "autograd")
        ),
        ("memory", "T=400", "ours", "PyTorch, 2 threads", "memory of a training process", memory),
        (
            "memory",
            "T=400, without imports",
            "ours",
            "PyTorch, 2 threads",
            "the same without imports",
            memory,
        ),
        ("import", "a fresh process", "ours", "NumPy alone", "importing", "`python -m benchmarks import`"),
        ("data", glove, "ours, first load", "textbook", "GloVe's 400,000 words, first load", data),
        ("data", glove, "ours, later load", "textbook", "the same, later loads", data),
    ):
        ours, beside = figures.row(case, what, our), figures.row(case, what, other)
        unit = ours.unit.replace("tokens", "words")
        rows.append(
            (
                said,
                f"{number(ours.median)} {unit}",
                f"{other} {number(beside.median)}",
                times(ours, beside),
                command,
            )
        )
    return markdown(("what else", "ours", "beside it", "/ ours", "command"), rows)


def slower(figures: Figures) -> str:
    """Whatever was faster, or smaller, than the best of ours; a tape is always slower than NumPy without one."""
    rows = []
    for group in groups(
        [row for name in ("lstm", "tape", "epoch", "memory") for row in figures.cases[name].rows]
    ):
        ours = [row for row in group if row.peer.startswith("ours")]
        rest = [row for row in group if row not in ours and row.peer != "NumPy alone"]
        if group[0].case == "first pass" or not ours or not rest:
            continue
        best = figures.row(group[0].case, group[0].what, *(row.peer for row in ours))
        other = figures.row(group[0].case, group[0].what, *(row.peer for row in rest))
        if best.times_better_than(other) < 1:
            here, there = (f"{row.peer}: {number(row.median)} {row.unit}" for row in (best, other))
            rows.append((f"{SAID.get(best.case, best.case)}: {best.what}", here, there, times(best, other)))
    return markdown(("what", "ours at its best", "the fastest of the others", "/ ours"), rows)


# --- docs/performance.md ------------------------------------------------------------------------------


def results(figures: Figures) -> str:
    """Everything that was measured, but for the profile, which has a table of its own."""
    parts = []
    for name, case in figures.cases.items():
        if name == "profile":
            continue
        abouts = list(dict.fromkeys(row.about for row in case.rows if row.about))
        said = "".join(f"- {about}\n" for about in abouts)
        parts.append(f"### {name}\n\n{said}{chr(10) if said else ''}{report.table(case.rows)}")
    return "\n\n".join(parts)


def profile(figures: Figures) -> str:
    parts = []
    for layer in ("op by op", "fused"):
        milliseconds, calls = (
            figures.median("profile", f"{layer}, {unit}", "a step") for unit in ("ms", "calls")
        )
        rows = [
            (f"{row.median:.0f} %", f"{figures.median('profile', f'{layer}, calls', peer):,.0f}", f"`{peer}`")
            for (case, what, peer), row in figures.rows.items()
            if case == "profile" and what == f"{layer}, %"
        ]
        parts.append(
            f"{layer.capitalize()}: {milliseconds:.0f} ms a step, {calls:,.0f} calls.\n\n"
            + markdown(("share", "calls", "where"), rows)
        )
    return "\n\n".join(parts)


def refinements(figures: Figures) -> str:
    """What is slower when a refinement is switched off."""
    found: dict[str, dict[str, Row]] = {}
    for (case, what, peer), row in figures.rows.items():
        if case == "refinements":
            found.setdefault(what, {})[peer] = row
    rows = [
        (
            what,
            peer,
            f"{number(row.median)} {row.unit}",
            f"{number(on['ours'].median)} {row.unit}",
            times(on["ours"], row),
        )
        for what, on in found.items()
        for peer, row in on.items()
        if peer != "ours"
    ]
    return markdown(("what", "how", "takes", "as it is", "times"), rows)


def aims(figures: Figures) -> str:
    """What was aimed at when it was built, and what was reached."""
    rows: list[Sequence[str]] = []
    for ours, aimed in (("ours, 1 worker", 1.3), ("ours, 2 workers", 2.0)):
        for what, said in TRAININGS.items():
            reached = times(figures.row("training", what, ours), figures.row("training", what, *PADDED))
            rows.append(
                (f"training against PyTorch padded at its best, {ours}, {said}", f"{aimed:g}", reached)
            )
    for others, aimed, said in (
        (PACKED, 10, "packed sequences"),
        (("tutorial",), 40, "the tutorial's code path"),
    ):
        for what in ("B=32, last", "B=64, last"):
            reached = times(
                figures.row("training", what, "ours, 1 worker"), figures.row("training", what, *others)
            )
            rows.append((f"training against {said}, {TRAININGS[what]}", f"{aimed:g}", reached))
    for what, aimed in (("B=1", 3), ("B=32", 1.3)):
        eager, other = (figures.row("eager LSTM", what, peer) for peer in ("ours", "PyTorch, 1 thread"))
        rows.append(
            (f"LSTM op by op against PyTorch on one thread, {what}", f"{aimed:g}", times(eager, other))
        )
    for (case, what, peer), row in figures.rows.items():
        if case == "op" and peer == "NumPy alone":
            cost = row.times_better_than(figures.row(case, what, "ours"))
            rows.append(
                (f"`{what.removesuffix(', forward')}` forward, times NumPy alone", "at most 4", f"{cost:.1f}")
            )
    return markdown(("what", "aimed at", "reached"), rows)


# --- docs/scaling.md ----------------------------------------------------------------------------------


def sums(figures: Figures) -> str:
    rows = []
    for name in ("shared memory", "MPI, one machine"):
        row = figures.row("sum", "over 2 workers", name)
        low, high = row.spread
        rows.append((name, f"{row.median:.0f} µs", f"{low:.0f} to {high:.0f}"))
    return markdown(("sum of the gradients over 2 workers", "median", "quartiles"), rows, right=True)


def share_rates(figures: Figures) -> dict[int, float]:
    """Words a second of a worker, by the rows of its share."""
    return {rows: figures.median("share", f"{rows} rows", "ours") for rows in SHARES}


def shares(figures: Figures) -> str:
    rates = share_rates(figures)
    alone = rates[BATCH]
    free = [f"{BATCH // rows * rate / alone:.1f}" for rows, rate in rates.items()]
    rows = (
        ("words/s of a worker", *(f"{rate:,.0f}" for rate in rates.values())),
        (f"N workers / one, B = {BATCH}, if sums were free", *free),
    )
    return markdown(("rows of a share", *map(str, rates)), rows, right=True)


def two_workers(figures: Figures) -> str:
    rows = []
    for batch in (BATCH, 2 * BATCH):
        one, two = (
            figures.row("epoch", f"B={batch}", name) for name in ("ours, 1 worker", "ours, 2 workers")
        )
        rows.append((f"B = {batch}", f"{one.median:,.0f}", f"{two.median:,.0f}", times(two, one)))
    return markdown(("an epoch, words/s", "1 worker", "2 workers", "times"), rows, right=True)


def machines(figures: Figures) -> str:
    """Reckoned: what N machines would do over assumed networks, in multiples of one worker.

    step = computing a share + 2 (N - 1) messages + 2 (N - 1) / N gradients over the network
    """
    rates = share_rates(figures)
    size = figures.median("job", "gradients of a step", "ours")
    length = figures.median("job", "words of a review, mean", "ours")
    rows = []
    for n in (BATCH // share for share in SHARES[1:]):
        cells = []
        for message, bandwidth in NETWORKS.values():
            ring = 2 * (n - 1) * message + 2 * (n - 1) / n * size / bandwidth
            for share in (BATCH // n, BATCH):
                words = share * length
                cells.append(f"{n * words / (words / rates[share] + ring) / rates[BATCH]:.1f}")
        rows.append((str(n), *cells))
    head = [f"{name}, B = {batch}" for name in NETWORKS for batch in (f"{BATCH}", f"{BATCH} N")]
    return markdown(("machines", *head), rows, right=True)


TABLES: dict[str, Callable[[Figures], str]] = {
    "environment": environment,
    "sentiment": sentiment,
    "lstm": lstm,
    "training": training,
    "others": others,
    "slower": slower,
    "results": results,
    "profile": profile,
    "refinements": refinements,
    "aims": aims,
    "sums": sums,
    "shares": shares,
    "two-workers": two_workers,
    "machines": machines,
}


# --- pictures -----------------------------------------------------------------------------------------


def all_pictures(figures: Figures) -> dict[str, Picture]:
    """Every picture, by the name of its file."""

    def bars(case: str, what: str, names: Mapping[str, tuple[str, ...]]) -> list[tuple[str, float]]:
        return [(said, figures.median(case, what, *peers)) for said, peers in names.items()]

    def rates(b: int) -> list[tuple[str, float]]:
        """Thousand words a second of the layer, there and back; one sequence cannot be shared."""
        names = {said: peers for said, peers in layer.items() if b > 1 or said != "ours, 2 processes"}
        return [(said, b * T / ms) for said, ms in bars("lstm", f"B={b}, last", names)]

    layer = {
        "ours, 1 process": ("ours, 1 process",),
        "ours, 2 processes": ("ours, 2 processes",),
        "PyTorch, 2 threads": ("PyTorch, 2 threads",),
        "JAX": ("JAX",),
    }
    contenders = {
        "ours, 2 workers": ("ours, 2 workers",),
        "ours, 1 worker": ("ours, 1 worker",),
        "PyTorch, same batches": PADDED,
        "JAX, same batches": ("JAX",),
        "PyTorch, random batches": ("PyTorch random batches",),
        "PyTorch, packed": PACKED,
        "a tutorial's code": ("tutorial",),
    }
    tapes = {
        "ours": ("ours",),
        "PyTorch": ("PyTorch, 1 thread",),
        "MyGrad": ("MyGrad",),
        "autograd": ("autograd",),
    }
    alone = {"NumPy without a tape": ("NumPy alone",)}
    processes = {"ours": ("ours",), "PyTorch": ("PyTorch, 2 threads",)}
    return {
        "benchmarks-lstm.png": Picture(
            "How fast is the LSTM layer?",
            "thousand words a second, there and back: longer is better",
            [
                ("one sequence of 120 words", rates(1)),
                *((f"{b} sequences at once", rates(b)) for b in (32, 128)),
            ],
        ),
        "benchmarks-training.png": Picture(
            "How fast is training?",
            "thousand words a second: longer is better",
            [
                (
                    "film reviews of real length, 32 a batch",
                    [(said, words / 1e3) for said, words in bars("training", "B=32, last", contenders)],
                )
            ],
        ),
        "benchmarks-op.png": Picture(
            "What does one op cost?",
            "microseconds forward, 4 numbers: shorter is better",
            [(name, bars("op", f"{name}, forward", alone | tapes)) for name in ("x + x", "x @ matrix")],
        ),
        "benchmarks-memory.png": Picture(
            "How much memory does training take?",
            "megabytes of the process: shorter is better",
            [(f"32 sequences of {t} words", bars("memory", f"T={t}", processes)) for t in (100, 400, 800)],
        ),
    }


# --- writing ------------------------------------------------------------------------------------------


def filled(text: str, figures: Figures) -> str:
    """A document with every table between its markers made anew.

    Raises
    ------
    ValueError
        A marker names no table or has no end, or a figure was not measured.
    """

    def table(match: re.Match[str]) -> str:
        name = match[2]
        if name not in TABLES:
            raise ValueError(
                f"there is no table {name} for <!-- benchmarks:{name} -->; there are {', '.join(TABLES)}"
            )
        return f"{match[1]}\n{TABLES[name](figures)}\n\n{match[4]}"

    if text.count("<!-- benchmarks:") != len(MARKED.findall(text)):
        raise ValueError("a marker <!-- benchmarks:NAME --> has no <!-- /benchmarks --> after it")
    return MARKED.sub(table, text)


def documents() -> list[Path]:
    """What may hold markers."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def command(args: argparse.Namespace) -> None:
    figures = Figures(report.read(FILE))
    for path in documents():
        text = path.read_text(encoding="utf-8")
        try:
            new = filled(text, figures)
        except ValueError as error:
            raise ValueError(f"{path.relative_to(ROOT)}: {error}") from error
        if new != text:
            with atomic_write(path) as part:
                part.write_text(new, encoding="utf-8")
            print(f"written: {path.relative_to(ROOT)}")
    for name, picture in all_pictures(figures).items():
        pictures.draw(picture, FILE.with_name(name))
        print(f"drawn: docs/{name}")


def main(argv: Sequence[str] | None = None) -> int:
    """Make the documents; the exit status is that of `models.commands.execute`."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.publish",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command=command)
    return execute(parser.parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
