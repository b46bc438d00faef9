"""What a person sees while a search works: a live table on standard error, nothing where nobody watches."""

from __future__ import annotations

import sys
import time
from typing import Any

import click

from winnow.ports.program import Limits, Note
from winnow.ports.requests import Cost

COLUMNS = (
    # heading, key of a note, width, digits
    ("step", "step", 5, 0),
    ("best", "best", 10, 3),
    ("value", "value", 7, 3),
    ("effective", "effective_number", 9, 1),
    ("ESS", "ess", 8, 1),
)


class SearchScreen:
    """An observer: a line a note, the running costs and what is left of the limits under them."""

    def __init__(self, limits: Limits) -> None:
        self.limits, self.started, self.requests = limits, time.monotonic(), 0
        self.live = sys.stderr.isatty()
        self.columns: tuple[Any, ...] = ()

    def on_note(self, note: Note) -> None:
        if not self.live:
            return
        self._clear()
        if not self.columns:
            self.columns = tuple(column for column in COLUMNS if column[1] in note.info)
            names = [f"{heading:>{width}}" for heading, _, width, _ in self.columns]
            click.echo("  ".join([*names, f"{'tokens':>10}", "left"]), err=True)
        cells = [f"{float(note.info[key]):>{width}.{digits}f}" for _, key, width, digits in self.columns]
        tokens = note.cost.prompt_tokens + note.cost.new_tokens
        click.echo("  ".join([*cells, f"{tokens:>10,}", self._left(note.cost)]), err=True)

    def on_reply(self, done: int, asked: int, cost: Cost) -> None:
        self.requests += 1
        if self.live:
            text = f"{cost.calls} calls, {cost.prompt_tokens:,} prompt and {cost.new_tokens:,} new tokens"
            click.echo(f"\r\x1b[K{text}", nl=False, err=True)

    def close(self) -> None:
        """Take the running line away."""
        if self.live:
            self._clear()

    def _left(self, cost: Cost) -> str:
        """What the limits still allow."""
        tokens, seconds = cost.prompt_tokens + cost.new_tokens, time.monotonic() - self.started
        left = [
            f"{self.limits.max_requests - self.requests} requests" if self.limits.max_requests is not None else "",
            f"{self.limits.max_tokens - tokens:,} tokens" if self.limits.max_tokens is not None else "",
            f"{self.limits.max_seconds - seconds:.0f} s" if self.limits.max_seconds is not None else "",
        ]
        return ", ".join(part for part in left if part) or "-"

    def _clear(self) -> None:
        click.echo("\r\x1b[K", nl=False, err=True)
