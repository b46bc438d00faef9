"""What a person sees while a command works: rounds on stdout, progress on stderr, JSON alone on stdout when asked for."""

from __future__ import annotations

import sys

import click

from winnow.adaption.table import heading, row
from winnow.ports.program import Note
from winnow.ports.requests import Cost
from winnow.values.records import to_json


class Screen:
    """An observer that prints: one line a round, or one JSON object a round; progress only where somebody watches."""

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json, self.begun = as_json, False
        self.live = sys.stderr.isatty()

    def on_note(self, note: Note) -> None:
        self._clear()
        if note.kind == "run":
            click.echo(f"run {note.info['run']}: {note.info['message']}", err=True)
        elif note.kind == "response":
            info = note.info
            self._progress(
                f"response curve: point {info['point']} of {info['of']}, {note.cost.prompt_tokens:,} prompt tokens"
            )
        elif note.kind == "round":
            if self.as_json:
                click.echo(to_json(note.info))
                return
            if not self.begun:
                click.echo(heading(note.info))
            self.begun = True
            click.echo(row(note.info))

    def on_reply(self, done: int, asked: int, cost: Cost) -> None:
        self._progress(f"{cost.calls} calls, {cost.prompt_tokens:,} prompt and {cost.new_tokens:,} new tokens")

    def close(self) -> None:
        """Take the progress line away."""
        self._clear()

    def _progress(self, text: str) -> None:
        if self.live:
            click.echo(f"\r\x1b[K{text}", nl=False, err=True)

    def _clear(self) -> None:
        if self.live:
            click.echo("\r\x1b[K", nl=False, err=True)
