"""Plots over rounds: error beside its predictions, acceptance, kinds of answers, how many differ, the Price terms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from winnow.dynamics.recurrence import selected_error_after
from winnow.report.data import RunData
from winnow.report.drawing import (
    INK,
    KINDS,
    MUTED,
    TERMS,
    THEORY,
    Plot,
    Rows,
    bar_width,
    ceiling,
    colour,
    layer,
    plot,
    tip,
    x_rounds,
    y,
)

POINT = {"type": "point", "filled": True, "size": 46, "opacity": 1}
SIGNED = {"format": "+.2f", "labelExpr": "datum.value === 0 ? '0' : datum.label"}


def closed_form(rounds: Sequence[Mapping[str, Any]]) -> list[float] | None:
    """The source's line, odds(e_n) = odds(e_0) (f/s)^n, from the s and f of round 0; None where they are not known.

    A perfect imitator is assumed: the error of an answer is that of its context.
    """
    first = rounds[0] if rounds else {}
    if not all(first.get(key) for key in ("sensitivity", "false_positive_rate")) or first.get("error") is None:
        return None
    return [
        selected_error_after(first["error"], first["sensitivity"], first["false_positive_rate"], row["round"])
        for row in rounds
    ]


def error(run: RunData, runs: Sequence[RunData]) -> Plot | None:
    """Measured error with its interval, the one-step-ahead band, the free-running line and the closed form."""
    rounds = [row for row in run["rounds"] if row["error"] is not None]
    if not rounds:
        return None
    x, title = x_rounds(rounds[-1]["round"]), "share not right"
    domain = [0, ceiling([high for one in runs for high in _highs(one)])]
    at = {"x": x, "y": y("error", title, domain)}
    ends = {"x": x, "y": y("low", title, domain), "y2": {"field": "high"}}
    width = bar_width(runs, most=13)
    measured, band = _measured(rounds), _one_step(rounds)
    closed = zip(rounds, closed_form(rounds) or [], strict=False)
    dots = {"type": "line", "color": MUTED, "strokeWidth": 1.3, "strokeDash": [1, 3], "strokeCap": "round"}
    dashes = {"type": "line", "color": THEORY, "strokeWidth": 1.3, "strokeDash": [5, 3]}
    bar = {"type": "rule", "strokeWidth": width, "color": THEORY, "opacity": 0.25}
    middle = {"type": "tick", "orient": "horizontal", "size": width, "thickness": 1.5, "color": THEORY, "opacity": 1}
    foretold = _ends("expected", "predicted one step ahead", ("2.5 %", "97.5 %"))
    found = _ends("error", "measured error", ("95 % from", "to"))
    return plot(
        "Share of answers that are not right, by round, beside what theory predicted",
        [
            layer("band", band, bar, **ends, tooltip=foretold),
            layer("expected", band, middle, x=x, y=y("expected", title, domain), tooltip=foretold),
            layer("closed", [{"round": row["round"], "error": value} for row, value in closed], dots, **at),
            layer("free", _free_running(rounds), dashes, **at),
            layer("interval", measured, {"type": "rule", "color": INK, "strokeWidth": 1.2}, **ends),
            layer("measured", measured, {**POINT, "color": INK}, **at, tooltip=found),
        ],
        height=260,
    )


def _measured(rounds: Rows) -> list[dict[str, Any]]:
    bounds = [(row["round"], row["error"], *row["error_interval"]) for row in rounds]
    return [{"round": number, "error": share, "low": low, "high": high} for number, share, low, high in bounds]


def _one_step(rounds: Rows) -> list[dict[str, Any]]:
    """What each round was predicted from the one before it."""
    told = [(row["round"], row["predicted"]["one_step"]) for row in rounds if row["predicted"]]
    return [
        {"round": number, "expected": one["error"], "low": one["interval"][0], "high": one["interval"][1]}
        for number, one in told
    ]


def _free_running(rounds: Rows) -> list[dict[str, Any]]:
    """The line that starts from round 0 and is never corrected; empty where nothing was predicted."""
    free = [
        {"round": row["round"], "error": row["predicted"]["free_running"]["error"]}
        for row in rounds
        if row["predicted"]
    ]
    return [{"round": 0, "error": rounds[0]["error"]}, *free] if free and rounds[0]["round"] == 0 else free


def _ends(field: str, title: str, ends: tuple[str, str]) -> list[dict[str, Any]]:
    """A tooltip: the round, a share, and its interval."""
    low, high = ends
    return tip(("round", "round"), (field, title, ".3f"), ("low", low, ".3f"), ("high", high, ".3f"))


def mean_score(run: RunData, runs: Sequence[RunData]) -> Plot | None:
    """The evaluator's mean score, which is all that is known without gold."""
    rows = [{"round": row["round"], "score": row["mean_score"]} for row in run["rounds"]]
    return _line("Mean score of all answers, by round", "score", rows, "mean score", [0, 1], run) if rows else None


def acceptance(run: RunData, runs: Sequence[RunData]) -> Plot | None:
    """Share accepted; with gold, of the right (s) and of the wrong (f)."""
    if not run["rounds"]:
        return None
    x = x_rounds(run["rounds"][-1]["round"])
    layers = []
    for key, name, ink, shape in (
        ("sensitivity", "s", KINDS["right"], "circle"),
        ("false_positive_rate", "f", KINDS["wrong"], "square"),
        ("accepted", "all", INK, "diamond"),
    ):
        rows = [{"round": row["round"], "share": row[key]} for row in run["rounds"] if row[key] is not None]
        at = {"x": x, "y": y("share", "probability of survival", [0, 1])}
        layers += [
            layer(f"{name}_line", rows, {"type": "line", "color": ink, "strokeWidth": 1.4}, **at),
            layer(
                name,
                rows,
                {**POINT, "shape": shape, "color": ink},
                **at,
                tooltip=tip(("round", "round"), ("share", TITLES[key], ".3f")),
            ),
        ]
    return plot("Acceptance by round: all answers, right ones, wrong ones", layers)


TITLES = {
    "sensitivity": "s, of right answers",
    "false_positive_rate": "f, of wrong answers",
    "accepted": "of all answers",
}


def kinds(run: RunData, runs: Sequence[RunData]) -> Plot | None:
    """Right, wrong and abstaining answers, one column a round; without gold the abstentions alone."""
    if not run["rounds"]:
        return None
    rows = []
    for row in run["rounds"]:
        shares = row["kinds"] or {"abstained": row["abstentions"], "unknown": 1 - row["abstentions"]}
        low = 0.0
        for kind, share in shares.items():
            if share > 0:
                rows.append({"round": row["round"], "kind": kind, "share": share, "low": low, "high": low + share})
                low += share
    return plot(
        "What the answers were, by round",
        [
            layer(
                "kind",
                rows,
                {"type": "bar", "size": bar_width(runs), "stroke": "var(--paper)", "strokeWidth": 0.5},
                x=x_rounds(run["rounds"][-1]["round"]),
                y=y("low", "share of answers", [0, 1]),
                y2={"field": "high"},
                color=colour("kind", KINDS),
                tooltip=tip(("round", "round"), ("kind", "kind"), ("share", "share", ".3f")),
            )
        ],
    )


def distinct(run: RunData, runs: Sequence[RunData]) -> Plot | None:
    """How many different answers a round is worth."""
    rows = [{"round": row["round"], "number": row["effective_number"]} for row in run["rounds"]]
    top = max((row["effective_number"] for one in runs for row in one["rounds"]), default=1.0)
    title = "different answers"
    return (
        _line("Effective number of different answers, by round", "number", rows, title, [0, top * 1.08], run, ".1f")
        if rows
        else None
    )


def price(run: RunData, runs: Sequence[RunData], *, trait: str = "correctness") -> Plot | None:
    """Selection, transmission and parentless, stacked from zero each way, and the change they sum to."""
    of = [[row for row in one["rounds"] if (row["price"] or {}).get(trait)] for one in runs]
    rounds = [row for row in run["rounds"] if (row["price"] or {}).get(trait)]
    if not rounds:
        return None
    reach = [part for rows in of for row in rows for part in _reach(row["price"][trait])]
    domain = [min(-0.05, *reach) * 1.1, max(0.05, *reach) * 1.1]
    rows, totals = [], []
    for row in rounds:
        terms, up, down = row["price"][trait], 0.0, 0.0
        for term in TERMS:
            value = terms[term]
            if abs(value) > 1e-9:
                low = up if value > 0 else down
                rows.append({"round": row["round"], "term": term, "value": value, "low": low, "high": low + value})
                up, down = (up + value, down) if value > 0 else (up, down + value)
        totals.append({"round": row["round"], "change": terms["change"]})
    x, axis = x_rounds(run["rounds"][-1]["round"]), f"change of mean {trait}"
    return plot(
        f"Price terms of {trait}, by round",
        [
            layer("zero", [{"zero": 0}], {"type": "rule", "color": MUTED, "strokeWidth": 1}, y=y("zero", axis, domain)),
            layer(
                "term",
                rows,
                {"type": "bar", "size": bar_width(runs)},
                x=x,
                y=y("low", axis, domain, **SIGNED),
                y2={"field": "high"},
                color=colour("term", TERMS),
                tooltip=tip(("round", "round"), ("term", "term"), ("value", "value", "+.4f")),
            ),
            layer(
                "change",
                totals,
                {
                    "type": "tick",
                    "orient": "horizontal",
                    "size": 1.4 * bar_width(runs) + 2,
                    "thickness": 2.5,
                    "color": INK,
                    "opacity": 1,
                },
                x=x,
                y=y("change", axis, domain, **SIGNED),
                tooltip=tip(("round", "round"), ("change", "change", "+.4f")),
            ),
        ],
    )


def _line(
    text: str,
    field: str,
    rows: list[dict[str, Any]],
    title: str,
    domain: Sequence[float],
    run: RunData,
    form: str = ".3f",
) -> Plot:
    at = {"x": x_rounds(run["rounds"][-1]["round"]), "y": y(field, title, domain)}
    return plot(
        text,
        [
            layer(f"{field}_line", rows, {"type": "line", "color": INK, "strokeWidth": 1.4}, **at),
            layer(field, rows, {**POINT, "color": INK}, **at, tooltip=tip(("round", "round"), (field, title, form))),
        ],
    )


def _highs(run: RunData) -> list[float]:
    """Ends of everything the plot of the error shows of a run."""
    found = [0.1, *(closed_form(run["rounds"]) or [])]
    for row in run["rounds"]:
        found += [row["error_interval"][1]] if row["error_interval"] else []
        found += [row["predicted"]["one_step"]["interval"][1]] if row["predicted"] else []
    return found


def _reach(terms: Mapping[str, float]) -> tuple[float, float]:
    values = [terms[term] for term in TERMS]
    return sum(v for v in values if v > 0), sum(v for v in values if v < 0)
