"""Where a completion ends: stop strings, matched on text so that it does not matter how tokens cut them."""

from __future__ import annotations

from collections.abc import Sequence


def first_stop(text: str, stop: Sequence[str]) -> int | None:
    """Where the earliest stop string begins in ``text``; None when none occurs.

    >>> first_stop("yes. no", ["no", ". "])
    3
    """
    found = [place for place in (text.find(string) for string in stop) if place >= 0]
    return min(found) if found else None
