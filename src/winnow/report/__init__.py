"""Floor 7: one page a reader can open offline, and trackers a run can be sent to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from winnow.api import Run
from winnow.report.data import RunData, from_run
from winnow.report.page import page
from winnow.runs.provenance import provenance
from winnow.values.records import write_text

__all__ = ["page", "write_report"]


def write_report(
    runs: Sequence[Run | RunData],
    path: str | Path,
    *,
    labels: Sequence[str] | None = None,
    title: str | None = None,
    lede: str | None = None,
    rivals: Sequence[Mapping[str, Any]] = (),
) -> Path:
    """Write the report of one run, or of several side by side, and say where it is.

    Parameters
    ----------
    runs : in memory, or as ``winnow.report.data`` reads them.
    path : the HTML file; its directory is made.
    labels : what each run is called on the page.
    title, lede, rivals : as in ``page``.
    """
    named = [
        from_run(run, label=label, provenance=provenance()) if isinstance(run, Run) else run
        for run, label in zip(runs, labels or [""] * len(runs), strict=True)
    ]
    file = Path(path)
    write_text(file, page(named, title=title, lede=lede, rivals=rivals))
    return file
