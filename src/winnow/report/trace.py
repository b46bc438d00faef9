"""A search's tree as one page that opens offline, without a script: kept branches in ink, pruned ones faded.

Branches run from left to right and carry their text; a line's width grows with its probability, which is also written under
it. Where many pruned ones leave one branch, the most probable are drawn and the others counted. Text that a model wrote is
escaped.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from typing import NamedTuple

from winnow.report.page import policy
from winnow.search.trace import Branch, Trace

ROW, FADED_ROW, CHARACTER, LONGEST, PRUNED = 30.0, 13.0, 7.3, 64, 6
STYLE = """
:root { --paper: #fcfbf8; --ink: #1c1e21; --muted: #666b73; --faint: #d4d0c6; --best: #0f6cb0; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #16181b; --ink: #e9e7e2; --muted: #a0a4ab; --faint: #3d4147; --best: #5aaee8; }
}
html { background: var(--paper); color: var(--ink); font: 15px/1.5 ui-sans-serif, system-ui, sans-serif; }
body { margin: 2rem; }
h1 { font-size: 1.4rem; margin: 0 0 .3rem; }
p { color: var(--muted); margin: 0 0 1rem; max-width: 60rem; white-space: pre-wrap; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
text { font: 12px ui-monospace, Menlo, Consolas, monospace; fill: var(--ink); white-space: pre; }
.number { font-size: 9px; fill: var(--muted); }
path { fill: none; stroke: var(--ink); }
.best path { stroke: var(--best); } .best text { fill: var(--best); }
.pruned path { stroke: var(--faint); } .pruned text { font-size: 9px; fill: var(--muted); opacity: .75; }
"""


class _Placed(NamedTuple):
    x: float
    width: float
    y: float


class _Shown(NamedTuple):
    """Branches that are drawn: their children, and what stands for those that are not."""

    children: dict[int, list[int]]
    branches: list[Branch]


def trace_page(trace: Trace) -> str:
    """The page of a trace: HTML that holds everything it needs; the same for the same trace."""
    shown = _shown(trace.branches)
    placed, height, width = _layout(shown)
    marks = "\n".join(
        _mark(shown.branches[index], placed[index], placed[shown.branches[index].parent])
        for index in placed
        if shown.branches[index].parent >= 0
    )
    kept = sum(branch.kept for branch in trace.branches)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{html.escape(policy([], STYLE), quote=True)}">
<meta name="viewport" content="width=device-width">
<title>{html.escape(trace.title)}</title>
<style>{STYLE}</style>
</head>
<body>
<h1>{html.escape(trace.title.capitalize())}</h1>
<p>{html.escape(_visible(trace.prompt))}</p>
<p>{trace.num_nodes:,} nodes as {len(trace.branches) - 1:,} branches, {kept - 1:,} kept. {html.escape(trace.key)}</p>
<div class="scroll"><svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" role="img" \
aria-label="{html.escape(trace.title, quote=True)}">
{marks}
</svg></div>
</body>
</html>
""".encode("utf-8", "replace").decode("utf-8")


def _shown(branches: Sequence[Branch]) -> _Shown:
    children: dict[int, list[int]] = {}
    for index, branch in enumerate(branches):
        children.setdefault(branch.parent, []).append(index)
    result = _Shown({}, list(branches))
    stack = [0]
    while stack:
        index = stack.pop()
        mine = children.get(index, [])
        pruned = [one for one in mine if not branches[one].kept]
        more = pruned[PRUNED:]
        shown = [one for one in mine if one not in set(more)]
        result.children[index] = shown
        stack += shown
        if more:
            mass = sum(math.exp(branches[one].logprob) for one in more if not math.isnan(branches[one].logprob))
            logprob = math.log(mass) if mass > 0 else math.nan
            times = sum(branches[one].times for one in more)
            result.children[index] = [*shown, len(result.branches)]
            result.branches.append(Branch(index, f"+ {len(more)} more", logprob, math.nan, times, False, False))
    return result


def _layout(shown: _Shown) -> tuple[dict[int, _Placed], float, float]:
    """Leaves in rows of their own, every other branch in the middle of its first and last child."""
    placed: dict[int, _Placed] = {}
    x: dict[int, float] = {}
    order, stack = [], [0]
    while stack:
        index = stack.pop()
        order.append(index)
        stack += reversed(shown.children.get(index, []))
    widths = {index: _width(shown.branches[index]) for index in order}
    bottom, above_kept, rows = 12.0, False, dict[int, float]()
    for index in order:
        parent = shown.branches[index].parent
        x[index] = 0.0 if parent < 0 else x[parent] + (widths[parent] if parent else 12.0)
        if not shown.children.get(index):
            kept_here = shown.branches[index].kept
            bottom += ROW if kept_here else FADED_ROW + (8.0 if above_kept else 0.0)
            rows[index], above_kept = bottom, kept_here
    for index in reversed(order):
        below = shown.children.get(index, [])
        if below:
            kept = [one for one in below if shown.branches[one].kept] or below
            rows[index] = (rows[kept[0]] + rows[kept[-1]]) / 2
    for index in order:
        placed[index] = _Placed(x[index], widths[index], rows[index])
    return placed, bottom + 24, max(x[index] + widths[index] for index in order) + 24


def _mark(branch: Branch, at: _Placed, above: _Placed) -> str:
    kind = "best" if branch.best else "kept" if branch.kept else "pruned"
    probability = math.exp(min(branch.logprob, 0.0)) if not math.isnan(branch.logprob) else math.nan
    thick = 1.0 if math.isnan(probability) else 0.6 + 3.4 * probability
    start, bend = above.x + (above.width if above.x else 12.0), 14.0
    start = min(start, at.x)
    end, middle = at.x + bend, at.x + bend / 2
    curve = f"M{start:.1f} {above.y:.1f}C{middle:.1f} {above.y:.1f} {at.x:.1f} {at.y:.1f} {end:.1f} {at.y:.1f}"
    line = f'<path d="{curve}H{at.x + at.width:.1f}" stroke-width="{thick:.2f}"/>'
    number = _number(branch)
    below = f'<text class="number" x="{at.x + bend + 2:.1f}" y="{at.y + 10:.1f}">{number}</text>' if branch.kept else ""
    told = f"{_visible(branch.text)}\n{number}"
    told += "" if math.isnan(branch.total) else f"\nlog-probability of all {branch.total:.3f}"
    label = f'<text x="{at.x + bend + 2:.1f}" y="{at.y - 3:.1f}">{html.escape(_label(branch))}</text>'
    return f'<g class="{kind}"><title>{html.escape(told)}</title>{line}{label}{below}</g>'


def _width(branch: Branch) -> float:
    number = 5.6 * len(_number(branch)) if branch.kept else 0.0
    return 26 + max(CHARACTER * len(_label(branch)), number)


def _number(branch: Branch) -> str:
    """Its probability, and how often it was written or visited."""
    probability = "" if math.isnan(branch.logprob) else f"{math.exp(min(branch.logprob, 0.0)):.3g}"
    return f"{probability} ×{branch.times:.0f}" if branch.times > 1 else probability


def _label(branch: Branch) -> str:
    text = _visible(branch.text)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _visible(text: str) -> str:
    """Line ends as signs, other control characters and lone surrogates as their place holders."""
    text = text.replace("\n", "⏎").replace("\t", "⇥").replace(" ", "\u00a0")
    return "".join(c if c.isprintable() or c == "\u00a0" else "\ufffd" for c in text)
