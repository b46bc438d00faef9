"""Plots of answers: scores right against wrong, the lineage of the final context, the rivals, and the tokens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from winnow.report.ancestry import Ancestry
from winnow.report.data import RunData
from winnow.report.drawing import INK, KINDS, MUTED, Plot, bar_width, colour, layer, plot, tip, x_rounds, y

BINS = 20
SIDE = {"right": 1, "unknown": 1, "wrong": -1, "abstained": -1}
QUOTE = (("query", "query"), ("answer", "answer"), ("score", "score", ".3f"), ("kind", "kind"))


def histogram(run: RunData, number: int, domain: Sequence[float]) -> Plot | None:
    """Scores of one round: right answers above the line, wrong and abstaining ones below; without gold all above."""
    counts = score_counts(run, number)
    if not counts:
        return None
    rows, level = [], Counter[tuple[int, int]]()
    for (cell, kind), count in sorted(counts.items(), key=lambda one: (one[0][0], list(KINDS).index(one[0][1]))):
        side = SIDE[kind]
        low = level[cell, side] * side
        level[cell, side] += count
        rows.append(
            {
                "from": cell / BINS,
                "to": (cell + 1) / BINS,
                "kind": kind,
                "low": low,
                "high": low + side * count,
                "count": count,
            }
        )
    axis = y("low", "answers", domain)
    axis["axis"] |= {"labelExpr": "abs(datum.value)", "tickCount": 6, "format": "d"}
    x = {
        "field": "from",
        "type": "quantitative",
        "axis": {"title": "score", "values": [0, 0.2, 0.4, 0.6, 0.8, 1], "labelFlush": False},
        "scale": {"domain": [0, 1], "nice": False},
    }
    words = tip(("kind", "kind"), ("count", "answers"), ("from", "score from", ".2f"), ("to", "to", ".2f"))
    return plot(
        f"Scores of the answers of round {number}",
        [
            layer(
                "bin",
                rows,
                {"type": "rect", "stroke": "var(--paper)", "strokeWidth": 0.75},
                x=x,
                x2={"field": "to"},
                y=axis,
                y2={"field": "high"},
                color=colour("kind", KINDS),
                tooltip=words,
            ),
            layer(
                "zero", [{"zero": 0}], {"type": "rule", "color": MUTED, "strokeWidth": 1}, y={**axis, "field": "zero"}
            ),
        ],
        height=200 if domain[0] < 0 else 150,
    )


def score_counts(run: RunData, number: int) -> Counter[tuple[int, str]]:
    """How many answers of a round fall into each (bin, kind); answers without a score are nowhere."""
    return Counter(
        (min(int(row["score"] * BINS), BINS - 1), row["kind"] or "unknown")
        for row in run["answers"]
        if row["round"] == number and row["score"] is not None
    )


def reach(runs: Sequence[RunData], numbers: Sequence[Sequence[int]]) -> list[float]:
    """How far the histograms of these rounds go down and up, so that all have one scale."""
    ends = [1.0, 0.0]
    for run, wanted in zip(runs, numbers, strict=True):
        for number in wanted:
            level = Counter[tuple[int, int]]()
            for (cell, kind), count in score_counts(run, number).items():
                level[cell, SIDE[kind]] += count
            ends = [max(ends[0], *_side(level, 1)), max(ends[1], *_side(level, -1))]
    return [-1.05 * ends[1], 1.05 * ends[0]]


def _side(level: Mapping[tuple[int, int], int], side: int) -> list[int]:
    return [0, *(count for (_, where), count in level.items() if where == side)]


def lineage(drawing: Ancestry, *, final: int | None) -> Plot:
    """Ancestors of the final context as cells of a column a round, and the strongest edges between them.

    ``final`` is the round all final examples were born in, if there is one.
    """
    last = max(node["round"] for node in drawing.nodes)
    axis = {"title": "share of the ancestry", "format": "%", "tickCount": 4}
    top = max(node["high"] for node in drawing.nodes)
    labels = {} if final is None else {final: "final"}
    cell = {"x": x_rounds(last, labels=labels), "y": y("low", "", [0, top]) | {"axis": axis}, "y2": {"field": "high"}}
    pointed = {
        "name": "pointed",
        "select": {"type": "point", "on": "pointerover", "clear": "pointerout", "fields": ["number"]},
    }
    one = "length(data('pointed_store')) && (datum.child === pointed.number[0] || datum.parent === pointed.number[0])"
    edges = layer(
        "edge",
        drawing.edges,
        {"type": "rule", "strokeWidth": 0.8, "color": MUTED, "interactive": False},
        x=x_rounds(last, field="from"),
        x2={"field": "to"},
        y=y("low", "", [0, top]) | {"axis": axis},
        y2={"field": "high"},
        opacity={"condition": {"test": one, "value": 0.95}, "value": 0.28},
        color={"condition": {"test": one, "value": INK}, "value": MUTED},
    )
    nodes = layer(
        "ancestor",
        drawing.nodes,
        {"type": "bar", "size": 15, "stroke": "var(--paper)"},
        **cell,
        color=colour("kind", KINDS),
        tooltip=tip(("number", "answer no."), ("round", "round"), *QUOTE, ("contribution", "of the ancestry", ".1%")),
    )
    # a gap between cells a pixel high would wash out their colour
    nodes["encoding"]["strokeWidth"] = {"condition": {"test": "datum.contribution > 0.012", "value": 0.8}, "value": 0}
    nodes["params"] = [pointed]
    return plot("Ancestors of the final context, by round", [edges, nodes], height=320)


def rivals(rows: Sequence[Mapping[str, Any]], loop: Mapping[str, Any] | None) -> Plot:
    """Error of each rival with its interval, and of the selected loop's last round."""

    def line(name: str, row: Mapping[str, Any], who: str) -> dict[str, Any]:
        low, high = row["error_interval"]
        return {"name": name, "error": row["error"], "low": low, "high": high, "who": who}

    lines = [line(row["rival"], row, "rival") for row in rows]
    if loop is not None:
        lines.insert(0, line("the loop, last round", loop, "loop"))
    names: dict[str, Any] = {
        "field": "name",
        "type": "nominal",
        "sort": None,
        "axis": {
            "title": None,
            "labelLimit": 220,
            "labelColor": INK,
            "labelFontSize": 12,
            "labelPadding": 12,
            "grid": False,
        },
    }
    x = {
        "type": "quantitative",
        "axis": {"title": "error, with its 95 % interval", "grid": True, "tickCount": 6, "labelFlush": False},
        "scale": {"zero": True, "nice": True},
    }
    hue = colour("who", {"loop": INK, "rival": MUTED})
    words = tip(("name", "rival"), ("error", "error", ".3f"), ("low", "95 % from", ".3f"), ("high", "to", ".3f"))
    return plot(
        "Error of the loop and of its rivals at equal tokens",
        [
            layer(
                "span",
                lines,
                {"type": "rule", "strokeWidth": 1.6},
                x={**x, "field": "low"},
                x2={"field": "high"},
                y=names,
                color=hue,
            ),
            layer(
                "rival",
                lines,
                {"type": "point", "filled": True, "size": 60, "opacity": 1},
                x={**x, "field": "error"},
                y=names,
                color=hue,
                tooltip=words,
            ),
        ],
        height=34 * len(lines),
    )


def tokens(run: RunData, runs: Sequence[RunData]) -> Plot | None:
    """Tokens each round took; what was spent before round 0 ended stands under 0."""
    rows = token_rows(run)
    top = max((row["tokens"] for one in runs for row in token_rows(one)), default=1)
    if not rows:
        return None
    return plot(
        "Tokens by round",
        [
            layer(
                "tokens",
                rows,
                {"type": "bar", "size": bar_width(runs), "color": MUTED},
                x=x_rounds(rows[-1]["round"]),
                y=y("tokens", "tokens", [0, top * 1.05], format=",d"),
                tooltip=tip(("round", "round"), ("prompt", "prompt tokens", ","), ("new", "new tokens", ",")),
            )
        ],
        height=140,
    )


def token_rows(run: RunData) -> list[dict[str, int]]:
    """Prompt and new tokens of each round, from the running totals of the ledger."""
    rows, before = [], {"prompt_tokens": 0, "new_tokens": 0}
    for row in run["rounds"]:
        prompt, new = (row["cost"][key] - before[key] for key in ("prompt_tokens", "new_tokens"))
        rows.append({"round": row["round"], "prompt": prompt, "new": new, "tokens": prompt + new})
        before = row["cost"]
    return rows
