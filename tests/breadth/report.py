"""What is reported: passed of tried by family, the core, and each failing sample in a line."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.breadth.outcomes import (
    GRADIENT,
    LEFT_OUT,
    MISSING,
    PASS,
    RAISED,
    VALUE,
    WITHOUT_GRADIENT,
    Trial,
)

OUTCOMES = (PASS, MISSING, RAISED, VALUE, GRADIENT)

# What anybody uses, under PyTorch's names.
CORE_NAMES = """
    abs add sub mul div neg pow exp log sqrt sin cos tanh sigmoid maximum minimum clamp where
    sum mean prod var std amax amin max min argmax argmin cumsum sort topk
    matmul mm bmm mv dot outer einsum linalg.norm linalg.solve linalg.inv linalg.det linalg.cholesky
    transpose permute reshape view squeeze unsqueeze flatten cat stack split chunk expand tile flip roll
    gather index_select __getitem__ masked_fill scatter
    softmax log_softmax logsumexp
    nn.functional.pad nn.functional.relu nn.functional.gelu nn.functional.silu nn.functional.softplus
    nn.functional.leaky_relu nn.functional.elu nn.functional.linear nn.functional.embedding
    nn.functional.layer_norm nn.functional.batch_norm nn.functional.group_norm
    nn.functional.conv1d nn.functional.conv2d nn.functional.conv_transpose2d
    nn.functional.max_pool2d nn.functional.avg_pool2d nn.functional.scaled_dot_product_attention
    nn.functional.cross_entropy nn.functional.nll_loss nn.functional.mse_loss nn.functional.l1_loss
    nn.functional.binary_cross_entropy nn.functional.binary_cross_entropy_with_logits
    nn.functional.smooth_l1_loss nn.functional.huber_loss nn.functional.kl_div
    nn.Linear nn.Embedding nn.Conv2d nn.BatchNorm2d nn.LayerNorm nn.LSTM nn.GRU nn.MultiheadAttention
    nn.ReLU nn.CrossEntropyLoss nn.MSELoss
    optim.SGD optim.RMSprop optim.Adam optim.AdamW
"""
CORE = frozenset(CORE_NAMES.split())


def plain(name: str) -> str:
    """A name without its variant."""
    return name.partition(" (")[0]


def tried(trials: Iterable[Trial]) -> list[Trial]:
    """All but what is not about us."""
    return [trial for trial in trials if trial.outcome != LEFT_OUT]


def table(trials: Sequence[Trial]) -> list[list[str]]:
    """Head, a row for each family, the sums, and of these the core."""
    groups = dict.fromkeys(sorted({trial.family for trial in trials}))
    rows: list[tuple[str, list[Trial]]] = [(g, [t for t in trials if t.family == g]) for g in groups]
    learned = [t for t in trials if t.family != WITHOUT_GRADIENT]
    rows += [("all", list(trials)), ("of these with a gradient", learned)]
    rows += [("of these the core", [t for t in trials if plain(t.name) in CORE])]
    lines = [["family", "samples", *OUTCOMES, "names", "names that pass whole"]]
    for title, group in rows:
        counts = Counter(trial.outcome for trial in group)
        names = {trial.name for trial in group}
        failing = {trial.name for trial in group if trial.outcome != PASS}
        lines.append(
            [
                title,
                *(
                    str(n)
                    for n in (len(group), *(counts[o] for o in OUTCOMES), len(names), len(names - failing))
                ),
            ]
        )
    return lines


def rules(trials: Iterable[Trial]) -> list[tuple[str, int]]:
    """Why samples are not about us, the most frequent rule first."""
    return Counter(trial.detail for trial in trials if trial.outcome == LEFT_OUT).most_common()


def text(trials: Sequence[Trial]) -> str:
    """The summary."""
    head, *body = table(tried(trials))
    lines = [f"{head[0]:34}" + "".join(f"{cell:>{len(cell) + 3}}" for cell in head[1:])]
    for row in body:
        lines.append(f"{row[0]:34}" + "".join(f"{cell:>{len(h) + 3}}" for cell, h in zip(row[1:], head[1:])))
    left = rules(trials)
    lines.append(f"not about us: {sum(n for _, n in left)}: " + ", ".join(f"{rule} {n}" for rule, n in left))
    return "\n".join(lines)


def failures(trials: Iterable[Trial]) -> str:
    """A line for each sample that does not pass, by family."""
    failed = [trial for trial in tried(trials) if trial.outcome != PASS]
    return "\n".join(str(trial) for trial in sorted(failed, key=lambda trial: (trial.family, trial.name)))


def as_markdown(rows: Sequence[Sequence[str]]) -> list[str]:
    """A table of head and rows; all but the first column are numbers."""
    head, *body = rows
    return ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)] + [
        "| " + " | ".join(row) + " |" for row in body
    ]


def markdown(trials: Sequence[Trial]) -> str:
    """The table for the page, and what is left out."""
    left = rules(trials)
    lines = [
        *as_markdown(table(tried(trials))),
        "",
        f"Not about this project, by rule, are {sum(n for _, n in left):,} more samples: "
        + "; ".join(f"{rule} ({n:,})" for rule, n in left)
        + ".",
    ]
    return "\n".join(lines)


def put(page: Path, name: str, content: str) -> None:
    """Write a part of the page, between its markers."""
    before = page.read_text(encoding="utf-8")
    marked = re.compile(rf"(<!-- breadth:{name} -->\n).*?(<!-- /breadth -->)", re.DOTALL)
    if not marked.search(before):
        raise ValueError(f"{page} has no place for it: <!-- breadth:{name} --> and <!-- /breadth -->")
    after = marked.sub(lambda found: f"{found[1]}\n{content}\n\n{found[2]}", before)
    page.write_text(after, encoding="utf-8")
