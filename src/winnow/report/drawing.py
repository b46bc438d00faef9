"""How a plot is written: Vega-Lite as plain data, one look for all plots, and how many marks each layer must show.

Colours are the page's CSS variables, so a plot follows the reader's dark or light setting without being drawn again.
Text that a model wrote enters as values of data only, never as a field, an expression or a title.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from winnow.report.data import RunData

Rows = Sequence[Mapping[str, Any]]

INK, MUTED, FAINT = "var(--ink)", "var(--muted)", "var(--faint)"
THEORY, OTHER = "var(--theory)", "var(--grey)"
KINDS = {"right": "var(--right)", "wrong": "var(--wrong)", "abstained": "var(--grey)", "unknown": "var(--muted)"}
TERMS = {
    "selection": "var(--selection)",
    "transmission": "var(--transmission)",
    "parentless": "var(--grey)",
}
FONT = "ui-sans-serif, system-ui, -apple-system, 'Segoe UI', 'Helvetica Neue', Arial, 'Liberation Sans', sans-serif"

CONFIG: dict[str, Any] = {
    "background": "transparent",
    "font": FONT,
    "padding": {"left": 2, "right": 6, "top": 6, "bottom": 2},
    "view": {"stroke": None},
    "axis": {
        "labelColor": MUTED,
        "titleColor": MUTED,
        "labelFontSize": 11,
        "titleFontSize": 11,
        "titleFontWeight": "normal",
        "labelPadding": 5,
        "titlePadding": 8,
        "domain": False,
        "ticks": False,
        "gridColor": FAINT,
        "gridOpacity": 1,
    },
    "axisX": {"grid": False, "domain": True, "domainColor": MUTED, "ticks": True, "tickColor": MUTED, "tickSize": 4},
    "axisY": {"titleAnchor": "end", "titleAngle": 0, "titleAlign": "left", "titleY": -15, "titleX": -30},
    "text": {"color": MUTED, "fontSize": 11},
}


class Plot(NamedTuple):
    """A Vega-Lite specification, what it says in words, and the number of rows behind each layer that is a mark."""

    spec: dict[str, Any]
    rows: dict[str, int]


def layer(name: str, rows: Rows, mark: Mapping[str, Any], **encoding: Any) -> dict[str, Any]:
    """One layer over rows of its own; its marks can be found by ``name``."""
    return {"name": name, "data": {"values": list(rows)}, "mark": dict(mark), "encoding": encoding}


def plot(description: str, layers: Sequence[Mapping[str, Any]], *, height: int = 220) -> Plot:
    """Layers over one another; empty ones are left out."""
    full = [one for one in layers if one["data"]["values"]]
    spec = {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "description": description,
        "width": "container",
        "height": height,
        "layer": full,
    }
    return Plot(spec, {one["name"]: len(one["data"]["values"]) for one in full})


def x_rounds(last: int, *, field: str = "round", title: str = "round", labels: Mapping[int, str] | None = None) -> Any:
    """The axis of rounds, 0 to ``last``; every round is named while they are few."""
    step = max(1, -(-(last + 1) // 13))
    axis: dict[str, Any] = {"values": list(range(0, last + 1, step)), "format": "d", "title": title}
    if labels:
        named = " : ".join(f"datum.value === {at} ? '{text}'" for at, text in labels.items())
        axis |= {"labelExpr": f"{named} : datum.label"}
    return {
        "field": field,
        "type": "quantitative",
        "axis": axis,
        "scale": {"domain": [-0.45, last + 0.45], "nice": False, "zero": False},
    }


def y(field: str, title: str, domain: Sequence[float] | None = None, **axis: Any) -> Any:
    """A linear axis with a title above it."""
    scale: dict[str, Any] = {"zero": True} if domain is None else {"domain": list(domain), "nice": False}
    return {
        "field": field,
        "type": "quantitative",
        "axis": {"title": title, "tickCount": 5, **axis},
        "scale": scale,
    }


def colour(field: str, palette: Mapping[str, str]) -> Any:
    """Colours by name, without a legend: the page has one of its own above the plots."""
    return {
        "field": field,
        "type": "nominal",
        "legend": None,
        "scale": {"domain": list(palette), "range": list(palette.values())},
    }


def tip(*fields: tuple[str, str] | tuple[str, str, str]) -> list[dict[str, Any]]:
    """What a mark says when pointed at: (field, title) or (field, title, number format)."""
    return [
        {
            "field": field[0],
            "title": field[1],
            **({"format": field[2], "type": "quantitative"} if len(field) > 2 else {}),
        }
        for field in fields
    ]


def bar_width(runs: Sequence[RunData], *, most: int = 30) -> float:
    """Pixels of a bar: narrower where panels stand side by side, and where rounds are many."""
    room = {1: 620, 2: 460}.get(len(runs), 270)
    rounds = max((len(run["rounds"]) for run in runs), default=1)
    return max(1.0, min(most, 0.45 * room / max(rounds, 1)))


def ceiling(values: Sequence[float]) -> float:
    """The next tenth above all values, at most 1."""
    return min(1.0, -(-round(max(values) * 100) // 10) / 10)
