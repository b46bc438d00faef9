"""Floor 7: the command line, one file a command. Commands are imported when they are called, so that help is instant."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

import click

from winnow import __version__
from winnow.values.errors import WinnowError, nearest

COMMANDS = {
    "adapt": "Let a model get better at a task by selecting its own answers; no labels needed.",
    "ask": "Answer a question in a context that adapt has made.",
    "demo": "Watch the loop on the bundled model: selected, random, inverted, and the rivals.",
    "export": "Write a run's ledger as JSON lines or CSV, its context as messages or DSPy demos.",
    "lookahead": "Does looking ahead raise the plausibility of real text? A study on any text.",
    "models": "List models, and show what is known of one.",
    "plan": "Say what a run will ask, take and cost, before anything runs.",
    "report": "Write a page about a run, or several side by side, that opens offline in any browser.",
    "resume": "Go on with a run from the store.",
    "retract": "Name what descends from an accepted item, and go on without it.",
    "runs": "List the runs of the store.",
    "search": "Search for continuations: beam, smc, mcts, evolve, best-of-n, or your own.",
    "show": "Show a run: its rounds, its items, who worked on it and with what.",
    "store": "Check a store: hashes, keys, and that every number recomputes.",
}


class Commands(click.Group):
    """A group whose commands live in files of their own."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = getattr(importlib.import_module(f"winnow.cli.{cmd_name}"), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            raise click.UsageError(f"no command {args[0]!r} ({nearest(args[0], COMMANDS)})", ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="winnow")
def cli() -> None:
    """Winnow applies selection to language models and accounts for what it did.

    A language model proposes, something evaluates, selection decides, and the ledger says what changed.

    \b
    Start here:    winnow demo
    Your own:      winnow adapt --model path/or/hub-id --queries questions.txt --rounds 4
    Exit codes:    0 done   2 bad input   3 a limit was reached   4 the evaluator cannot carry the loop
                   5 a recorded run does not match   6 the model gave no answer   130 interrupted
    """


def main() -> None:
    """Run a command; every error of ours is one line and an exit code, never a traceback."""
    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.Exit as stop:
        code = stop.exit_code
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except WinnowError as error:
        click.echo(f"winnow: {error}", err=True)
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt) as stop:
        kept = stop.__cause__  # click passes every KeyboardInterrupt on as an Abort
        click.echo(f"winnow: {kept if isinstance(kept, WinnowError) else 'interrupted'}", err=True)
        code = 130
    except BrokenPipeError:  # the reader of our output went away, as head does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code if isinstance(code, int) else 0)
