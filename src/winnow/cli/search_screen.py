"""What a person sees while a search works: a live table on standard error, nothing where nobody watches."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import Any

import click
import numpy as np

from winnow.ports.program import Limits, Note
from winnow.ports.requests import Cost
from winnow.values.population import ess

COLUMNS = (
    # heading, key of a note, width, digits
    ("step", "step", 5, 0),
    ("best", "best", 10, 3),
    ("value", "value", 7, 3),
    ("fitness", "fitness", 9, 3),
    ("score", "score", 7, 3),
    ("effective", "effective_number", 9, 1),
    ("ESS", "ess", 8, 1),
)


@dataclass(frozen=True, kw_only=True)
class Shared(Limits):
    """The limits of a whole command, of which its earlier searches have used a part."""

    used: Cost = Cost()
    used_requests: int = 0
    used_seconds: float = 0.0

    def met(self, requests: int, cost: Cost, seconds: float) -> str | None:
        return super().met(requests + self.used_requests, cost.plus(self.used), seconds + self.used_seconds)


class SearchScreen:
    """An observer of one search after another: a line a note, the running costs and what the limits leave under them."""

    def __init__(self, limits: Limits) -> None:
        self.limits, self.started, self.requests = limits, time.monotonic(), 0
        self.before, self.cost = Cost(), Cost()  # of the searches before this one, and of this one
        self.live = sys.stderr.isatty()
        self.columns: tuple[Any, ...] = ()

    def begin(self) -> Limits:
        """Another search: what the limits leave to it."""
        self.before, self.cost, self.columns = self.before.plus(self.cost), Cost(), ()
        known = {name: getattr(self.limits, name) for name in Limits.__dataclass_fields__}
        seconds = time.monotonic() - self.started
        return Shared(**known, used=self.before, used_requests=self.requests, used_seconds=seconds)

    def on_note(self, note: Note) -> None:
        if not self.live or "best" not in note.info:  # else it is there for who stops the search
            return
        self._clear()
        info = dict(note.info)
        if note.population is not None and "ess" not in info:
            weight = note.population.log_weight
            info["ess"] = ess(weight) if np.isfinite(weight).any() else 0.0
        columns = tuple(column for column in COLUMNS if column[1] in info)
        if columns != self.columns:
            self.columns = columns
            names = [f"{heading:>{width}}" for heading, _, width, _ in columns]
            click.echo("  ".join([*names, f"{'tokens':>10}", "left"]), err=True)
        cells = [f"{float(info[key]):>{width}.{digits}f}" for _, key, width, digits in self.columns]
        tokens = note.cost.prompt_tokens + note.cost.new_tokens
        click.echo("  ".join([*cells, f"{tokens:>10,}", self._left(note.cost)]), err=True)

    def on_reply(self, done: int, asked: int, cost: Cost) -> None:
        self.requests, self.cost = self.requests + 1, cost
        if self.live:
            text = f"{cost.calls} calls, {cost.prompt_tokens:,} prompt and {cost.new_tokens:,} new tokens"
            click.echo(f"\r\x1b[K{text}", nl=False, err=True)

    def close(self) -> None:
        """Take the running line away."""
        if self.live:
            self._clear()

    def _left(self, cost: Cost) -> str:
        """What the limits still allow."""
        spent, seconds = cost.plus(self.before), time.monotonic() - self.started
        limits, tokens = self.limits, spent.prompt_tokens + spent.new_tokens
        left = [
            f"{limits.max_requests - self.requests} requests" if limits.max_requests is not None else "",
            f"{limits.max_tokens - tokens:,} tokens" if limits.max_tokens is not None else "",
            f"{limits.max_seconds - seconds:.0f} s" if limits.max_seconds is not None else "",
            f"{limits.max_cost - limits.price.of(spent):.4g} money"
            if limits.max_cost is not None and limits.price
            else "",
        ]
        return ", ".join(part for part in left if part) or "-"

    def _clear(self) -> None:
        click.echo("\r\x1b[K", nl=False, err=True)
