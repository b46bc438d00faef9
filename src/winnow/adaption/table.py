"""The table of a loop: one line a round, the same in a terminal, a log and a notebook."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

HEADINGS = (
    "round",
    "error [95 %]",
    "one step ahead",
    "free",
    "accepted",
    "s",
    "f",
    "abstain",
    "distinct",
    "score",
    "select",
    "transmit",
    "tokens",
)
WIDTHS = (5, 20, 20, 6, 8, 5, 5, 7, 8, 6, 7, 8, 9)
AUDIT, AUDIT_WIDTH = "labels: s, f, s-f >", 24


def heading(record: Mapping[str, Any]) -> str:
    """The line above the rounds; an audited run, as its ``record`` tells, has a column more."""
    line = "  ".join(f"{name:>{width}}" for name, width in zip(HEADINGS, WIDTHS, strict=True))
    return line if record["audit"] is None else f"{line}  {AUDIT:>{AUDIT_WIDTH}}"


def row(record: Mapping[str, Any]) -> str:
    """One round. A dash stands for what is not known."""
    predicted = record["predicted"] or {}
    price = (record["price"] or {}).get("correctness") or (record["price"] or {}).get("score") or {}
    cells = (
        str(record["round"]),
        _interval(record["error"], record["error_interval"]),
        _interval(predicted["one_step"]["error"], predicted["one_step"]["interval"]) if predicted else "-",
        _share(predicted["free_running"]["error"] if predicted else None),
        _share(record["accepted"]),
        _share(record["sensitivity"], 2),
        _share(record["false_positive_rate"], 2),
        _share(record["abstentions"]),
        f"{record['effective_number']:.1f}",
        _share(record["mean_score"]),
        _signed(price.get("selection")),
        _signed(price.get("transmission")),
        f"{record['cost']['prompt_tokens'] + record['cost']['new_tokens']:,}",
    )
    line = "  ".join(f"{cell:>{width}}" for cell, width in zip(cells, WIDTHS, strict=True))
    audit = record["audit"]
    if audit is None:
        return line
    rates = f"{_share(audit['sensitivity'], 2)}, {_share(audit['false_positive_rate'], 2)}"
    shown = f"{audit['labels']}: {rates}, {audit['bound']:+.3f}"
    return f"{line}  {shown:>{AUDIT_WIDTH}}"


def table(records: Sequence[Mapping[str, Any]]) -> str:
    """Heading and rounds; nothing where there are none."""
    return "\n".join([heading(records[0]), *map(row, records)]) if records else ""


def _interval(value: float | None, interval: Sequence[float] | None) -> str:
    return "-" if value is None or interval is None else f"{value:.3f} [{interval[0]:.3f}, {interval[1]:.3f}]"


def _share(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.3f}"
