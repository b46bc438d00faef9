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


def heading() -> str:
    """The line above the rounds."""
    return "  ".join(f"{name:>{width}}" for name, width in zip(HEADINGS, WIDTHS, strict=True))


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
    return "  ".join(f"{cell:>{width}}" for cell, width in zip(cells, WIDTHS, strict=True))


def table(records: Sequence[Mapping[str, Any]]) -> str:
    """Heading and rounds."""
    return "\n".join([heading(), *map(row, records)])


def _interval(value: float | None, interval: Sequence[float] | None) -> str:
    return "-" if value is None or interval is None else f"{value:.3f} [{interval[0]:.3f}, {interval[1]:.3f}]"


def _share(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.3f}"
