"""``winnow lookahead``: the study, and by their names the questions about planning and about words."""

from __future__ import annotations

import importlib
from typing import Any

import click

QUESTIONS = {  # said here, so that help is instant; each in a file of its own, cli/lookahead_NAME.py
    "articles": "Does it plan? The article before a noun that is still open, the line before its rhyme.",
    "words": "Does its left-to-right choice segment unspaced text?",
}


class Lookahead(click.Command):
    """A command whose first word may name another question about looking ahead."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> click.Context:
        if args and args[0] in QUESTIONS:
            name = args[0]
            command = getattr(importlib.import_module(f"winnow.cli.lookahead_{name}"), name)
            assert isinstance(command, click.Command)
            return command.make_context(f"{info_name} {name}", args[1:], parent=parent, **extra)
        return super().make_context(info_name, args, parent=parent, **extra)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Other questions (winnow lookahead NAME --help)"):
            formatter.write_dl([(f"{name} MODEL", text) for name, text in QUESTIONS.items()])


@click.command(cls=Lookahead)
@click.argument("model", metavar="MODEL")
@click.argument("texts", metavar="TEXT...", nargs=-1, required=True)
def lookahead(model: str, texts: tuple[str, ...]) -> int:
    """Does looking ahead raise the plausibility of real text? MODEL reads TEXT, naive and amplified.

    \b
    winnow lookahead bundled text.txt --width 8 --depth 6
    winnow lookahead path/to/model text.txt --json
    """
    from winnow.values.errors import InputError

    raise InputError("is being built", where="lookahead", remedy="come back in an hour")
