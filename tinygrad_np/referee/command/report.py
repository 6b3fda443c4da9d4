"""The verdict as a page: one file of HTML that opens anywhere, with the user's own code and the wrong lines marked.

It needs no network and no script, has a light and a dark look, fits a phone, and can be printed. Nothing is told by
colour alone: what is wrong has a sign and is bold.
"""

from __future__ import annotations

import html
import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import tinygrad_np
from tinygrad_np.files import atomic_write
from tinygrad_np.referee.source import Piece, gradient_lines, pieces
from tinygrad_np.referee.verdict import RIGHT, UNKNOWN, UNTESTED, WRONG, Finding, Verdict

SIGNS = {RIGHT: "✓", WRONG: "✗", UNKNOWN: "?", UNTESTED: "–"}
# The colours of a cell by the largest relative error that it stands for, from dark to bright: an order that
# colour-blind people see too. Ground and text are those of both looks, light and dark.
HEAT = [
    (1e-9, "#00224e", "#ffffff"),
    (1e-6, "#35456c", "#ffffff"),
    (1e-3, "#6b6d73", "#ffffff"),
    (1e-1, "#b9ac70", "#000000"),
    (np.inf, "#fee838", "#000000"),
]
# name: light, dark
COLOURS = {
    "ground": ("#ffffff", "#15181d"),
    "text": ("#1c1c1c", "#e9e9e9"),
    "quiet": ("#595959", "#a9b0ba"),
    "line": ("#d4d4d4", "#3c424b"),
    "panel": ("#f5f6f8", "#1e2229"),
    "wrong": ("#a83a00", "#ffb070"),
    "right": ("#0b5394", "#8fc7ff"),
    "marked": ("#ffefd9", "#45301a"),
}
BESIDE = 140  # signs that a line and the remark beside it may have, its markup included: else it stands below


class Markup(str):
    """Text that is HTML. Any other string is escaped before it comes into a page."""

    __slots__ = ()


def element(name: str, *content: str, **attributes: str) -> Markup:
    """An HTML element. A trailing underscore of an attribute's name is taken off, as of ``class_``."""
    given = "".join(f' {key.rstrip("_")}="{html.escape(value)}"' for key, value in attributes.items())
    inside = "".join(part if isinstance(part, Markup) else html.escape(part) for part in content)
    return Markup(f"<{name}{given}>{inside}</{name}>")


def write_report(
    verdict: Verdict,
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    path: str | os.PathLike[str],
) -> None:
    """Write the verdict of a forward and its gradient as a page of HTML.

    Raises
    ------
    OSError
        The file could not be written.
    """
    said, why = headline(verdict)
    title = f"{getattr(backward, '__name__', 'gradient')}: {said}"
    parts = [
        element(
            "header",
            element(
                "p", f"{SIGNS[verdict.outcome]} {verdict.outcome}", class_=f"badge {word(verdict.outcome)}"
            ),
            element("h1", said),
            element("p", why),
        ),
        explanation(verdict),
        element("section", element("h2", "Where"), heat_table(verdict), legend(), numbers(verdict)),
        code(verdict, forward, backward),
        tried(verdict),
        element("section", element("h2", "The verdict as text"), element("pre", str(verdict), tabindex="0")),
    ]
    page = (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"{element('title', title)}\n<style>{style()}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(part for part in parts if part)
        + f"\n</main>\n{element('footer', f'python -m tinygrad_np referee, version {tinygrad_np.__version__}')}\n"
        "</body>\n</html>\n"
    )
    with atomic_write(path) as part:
        part.write_text(page, encoding="utf-8", errors="replace")


def word(outcome: str) -> str:
    """An outcome as the name of a class of CSS."""
    return outcome.replace(" ", "-")


def headline(verdict: Verdict) -> tuple[str, str]:
    """The verdict in one sentence, and what it rests on in another."""
    count = len(verdict.findings)
    if verdict.outcome == WRONG:
        said = f"The gradient is wrong in {', '.join(verdict.wrong)}."
    elif verdict.outcome == RIGHT:
        said = "The gradient is right."
    else:
        names = [name for name, f in verdict.findings.items() if not f.right]
        said = f"It cannot be told whether the gradient is right in {', '.join(names)}."
    cases = f"{verdict.tried} cases" if verdict.tried > 1 else "one case"
    why = f"{count} parameter{'s' * (count != 1)} tried in {cases}. The exact gradient is from: {verdict.method}."
    if verdict.case:
        why += f" The smallest case that fails is {verdict.case}."
    return said, why


def explanation(verdict: Verdict) -> Markup:
    """What the mistake is."""
    if verdict.outcome != WRONG:
        return Markup()
    if not verdict.slips:
        items = element("p", "No pattern that is known here explains these numbers.")
    else:
        items = element("ol", *(element("li", str(slip)) for slip in verdict.slips))
    return element("section", element("h2", "What explains it"), items)


# --- the tables ---------------------------------------------------------------------------------------


def heat_table(verdict: Verdict) -> Markup:
    """The relative errors by parameter and length of time."""
    columns: Mapping[str, Mapping[str, Finding]] = {
        f"{verdict.steps}={n}": found for n, found in verdict.by_steps.items()
    } or {"relative error": verdict.findings}
    names = list(dict.fromkeys(name for found in columns.values() for name in found))
    rows = [element("tr", element("td"), *(element("th", label, scope="col") for label in columns))]
    for name in names:
        cells = [cell(found[name]) if name in found else element("td") for found in columns.values()]
        rows.append(element("tr", element("th", name, scope="row"), *cells))
    over_time = " at each length of time" if verdict.by_steps else ""
    caption = element("caption", f"Relative error of each parameter{over_time}")
    table = element("table", caption, *rows, class_="heat")
    return element(
        "div", table, class_="wide", tabindex="0", role="region", **{"aria-label": "relative errors"}
    )


def cell(finding: Finding) -> Markup:
    shown = brief(finding)
    level = "" if finding.outcome == UNTESTED else f" heat{heat(finding)}"
    content = element("b", shown) if finding.outcome == WRONG else shown
    return element("td", content, class_=f"{word(finding.outcome)}{level}", title=str(finding))


def brief(finding: Finding) -> str:
    """A sign, and the relative error or what stands for it."""
    if not np.isnan(finding.relative_error):
        text = f"{finding.relative_error:.2g}"
    elif finding.outcome == WRONG:
        text = finding.outcome if finding.reason else "exact 0"
    else:
        text = finding.outcome
    return f"{SIGNS[finding.outcome]} {text}"


def heat(finding: Finding) -> int:
    """Which of the colours of `HEAT`: of what is wrong without a number the last."""
    error = finding.relative_error
    if np.isnan(error):
        return {WRONG: len(HEAT) - 1, RIGHT: 0}.get(finding.outcome, 2)
    return next(i for i, (largest, _, _) in enumerate(HEAT) if error <= largest)


def legend() -> Markup:
    bounds = [f"to {largest:.0e}" for largest, _, _ in HEAT[:-1]] + ["above"]
    boxes = [element("span", text, class_=f"box heat{i}") for i, text in enumerate(bounds)]
    signs = ", ".join(f"{sign} {outcome}" for outcome, sign in SIGNS.items())
    return element("p", *boxes, f" {signs}", class_="legend")


def numbers(verdict: Verdict) -> Markup:
    """What is known of each parameter, as a table."""
    columns: dict[str, list[str]] = {
        "relative error": [number(f.relative_error, ".2g") for f in verdict.findings.values()],
        "cosine": [number(f.cosine, ".4f") for f in verdict.findings.values()],
        "worst at": ["" if np.isnan(f.hand) else str(list(f.index)) for f in verdict.findings.values()],
        "by hand there": [number(f.hand, ".6g") for f in verdict.findings.values()],
        "exact there": [number(f.exact, ".6g") for f in verdict.findings.values()],
        "remark": [f.reason for f in verdict.findings.values()],
    }
    columns = {head: values for head, values in columns.items() if any(values)}
    heads = [element("th", text, scope="col") for text in ("parameter", "outcome", *columns)]
    rows = [element("tr", *heads)]
    for i, (name, f) in enumerate(verdict.findings.items()):
        sign = f"{SIGNS[f.outcome]} {f.outcome}"
        outcome = element("td", element("b", sign) if f.outcome == WRONG else sign, class_=word(f.outcome))
        rest = [element("td", values[i]) for values in columns.values()]
        rows.append(element("tr", element("th", name, scope="row"), outcome, *rest))
    caption = element("caption", f"At {verdict.case}" if verdict.case else "Each parameter")
    table = element("table", caption, *rows, class_="numbers")
    return element("div", table, class_="wide", tabindex="0", role="region", **{"aria-label": "numbers"})


def number(x: float, form: str) -> str:
    return "" if np.isnan(x) else format(x + 0.0, form)  # and no -0


# --- the code -----------------------------------------------------------------------------------------


def code(verdict: Verdict, forward: Callable[..., Any], backward: Callable[..., Any]) -> Markup:
    """The user's functions, with a remark at each line that computes a wrong gradient."""
    shown = pieces(forward, backward)
    if not shown:
        return element("section", element("h2", "Your code"), element("p", "Its source cannot be read."))
    remarks: dict[tuple[str, int], list[str]] = {}
    lost = []
    own = pieces(backward)
    for slip in verdict.slips:
        file, _, number = slip.where.rpartition(":")
        for piece in shown:
            if piece.name == file and number.isdecimal() and piece.first <= int(number) <= piece.last:
                remarks.setdefault((piece.file, int(number)), []).append(f"what explains it: {slip.text}")
    for name in verdict.wrong:
        lines = gradient_lines(backward, [name]).get(name, [])
        for line in lines:
            remarks.setdefault((own[0].file, line), []).append(remark(name, verdict.findings[name]))
        if not lines:
            lost.append(name)
    blocks = [listing(piece, remarks) for piece in shown]
    if lost:
        text = f"The line that computes the gradient of {', '.join(lost)} was not found: look for d{lost[0]}."
        blocks.append(element("p", text))
    return element("section", element("h2", "Your code"), *blocks)


def remark(name: str, finding: Finding) -> str:
    """What is said beside a line."""
    error = finding.relative_error
    told = f"relative error {error:.2g}" if not np.isnan(error) else finding.reason or "exact is 0"
    return f"{SIGNS[WRONG]} gradient of {name}: wrong, {told}"


def listing(piece: Piece, remarks: Mapping[tuple[str, int], list[str]]) -> Markup:
    rows = []
    for line, text in enumerate(piece.lines, piece.first):
        said = remarks.get((piece.file, line), [])
        parts = [element("span", str(line), class_="no"), element("code", text or " ")]
        kind = "row"
        if said:
            parts[1] = element("mark", parts[1])
            parts.append(element("span", "; ".join(said), class_="remark"))
            kind = "row marked" if len(text) + len(parts[2]) < BESIDE else "row marked below"
        rows.append(element("div", *parts, class_=kind))
    head = element("h3", f"{piece.name}:{piece.first}")
    return element("div", head, element("div", element("div", *rows), class_="code", tabindex="0"))


def tried(verdict: Verdict) -> Markup:
    """What was covered, and what else is to be known."""
    items = [f"{verdict.tried} case{'s' * (verdict.tried != 1)}"]
    items += [
        f"{name} = {low}" if low == high else f"{name} from {low} to {high}"
        for name, (low, high) in verdict.covered.items()
    ]
    if verdict.wrong_steps:
        items.append(f"time steps whose own term is wrong: {', '.join(map(str, verdict.wrong_steps))}")
    items.append(f"the exact gradient is from: {verdict.method}")
    if verdict.why:
        items.append(f"the forward was not recorded: {verdict.why}")
    section = [element("h2", "What was tried"), element("ul", *(element("li", text) for text in items))]
    if verdict.notes:
        section += [element("h2", "Notes"), element("ul", *(element("li", note) for note in verdict.notes))]
    return element("section", *section)


def style() -> str:
    light = "".join(f"--{name}:{colours[0]};" for name, colours in COLOURS.items())
    dark = "".join(f"--{name}:{colours[1]};" for name, colours in COLOURS.items())
    heats = "".join(
        f".heat{i}{{background:{ground};color:{text}}}\n" for i, (_, ground, text) in enumerate(HEAT)
    )
    below = "display:grid;grid-template-columns:3.5em auto"
    remark = (
        "grid-column:1/-1;justify-self:start;left:0;max-width:min(calc(100vw - 4rem),68rem);margin:0;"
        "padding:0 .5rem 0 3.5em;white-space:normal"
    )
    return f"""
:root{{color-scheme:light dark;{light}}}
@media (prefers-color-scheme:dark){{:root{{{dark}}}}}
*{{box-sizing:border-box}}
body{{margin:0;background:var(--ground);color:var(--text);font:16px/1.5 system-ui,sans-serif;
 -webkit-text-size-adjust:100%}}
main,footer{{max-width:72rem;margin:0 auto;padding:1rem}}
footer{{color:var(--quiet);font-size:.875rem}}
h1{{font-size:1.6rem;line-height:1.25;margin:.5rem 0}}
h2{{font-size:1.2rem;margin:2rem 0 .5rem}}
h3{{font:bold .9rem ui-monospace,monospace;margin:1rem 0 .25rem}}
.badge{{display:inline-block;margin:0;padding:.1rem .7rem;border:2px solid;border-radius:1rem;font-weight:bold}}
.wide,.code,pre{{overflow-x:auto}}
pre,.code{{background:var(--panel);border:1px solid var(--line);border-radius:.4rem;padding:.5rem;margin:.25rem 0;
 font:.85rem/1.5 ui-monospace,SFMono-Regular,Consolas,monospace;tab-size:4}}
table{{border-collapse:collapse;margin:.5rem 0}}
caption{{text-align:left;white-space:nowrap;color:var(--quiet);padding:.25rem 0}}
th,td{{padding:.3rem .6rem;border:1px solid var(--line);text-align:left;white-space:nowrap}}
.heat td{{text-align:right;font-variant-numeric:tabular-nums}}
{heats}.badge.wrong,.numbers .wrong{{color:var(--wrong)}}
.badge.right,.numbers .right{{color:var(--right)}}
.legend{{color:var(--quiet);font-size:.875rem}}
.box{{display:inline-block;padding:0 .5rem}}
.code>div{{width:max-content;min-width:100%}}
.row{{display:flex}}
.row code,.row mark{{font:inherit;white-space:pre;background:none;color:inherit}}
.no{{flex:none;width:3.5em;padding-right:1em;text-align:right;color:var(--quiet);user-select:none}}
.marked{{background:var(--marked)}}
.marked code{{font-weight:bold}}
.remark{{position:sticky;right:0;margin-left:auto;padding:0 .5rem 0 2rem;color:var(--wrong);
 background:var(--marked);user-select:none}}
.below{{{below}}}
.below .remark{{{remark}}}
@media (max-width:48rem){{
 .marked{{{below}}}
 .remark{{{remark}}}
}}
@media print{{
 *{{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
 .wide,.code,pre{{overflow:visible}}
 .code>div{{width:auto}}
 .row{{flex-wrap:wrap}}
 .row code,.row mark,pre{{white-space:pre-wrap;overflow-wrap:anywhere}}
 th,td{{white-space:normal;font-size:.8rem}}
 .row mark,.row code{{flex:1}}
 tr,.row{{break-inside:avoid}}
 h2,h3{{break-after:avoid}}
}}
"""
