"""Options and last lines that several commands share: the store, the limits, how a run ended."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from winnow.ports.program import Limits
    from winnow.result import Run

F = TypeVar("F", bound=Callable[..., Any])
EXIT = {"limit": 3, "audit": 4, "off scale": 4}
LIMITS = ("max_requests", "token_limit", "max_seconds", "max_cost", "prices")

store_option = click.option(
    "--store",
    metavar="URL",
    help="Where runs are kept: an SQLite file or a database URL. Default: WINNOW_STORE, or the user's data directory.",
)


def limit_options(command: F) -> F:
    """``--max-requests``, ``--max-tokens``, ``--max-seconds``, ``--max-cost`` and ``--prices``."""
    for option in reversed(
        (
            click.option("--max-requests", type=int, help="Stop after so many requests: exit code 3, everything kept."),
            click.option("--max-tokens", "token_limit", type=int, help="Stop after so many prompt and new tokens."),
            click.option("--max-seconds", type=float, help="Stop after so long."),
            click.option("--max-cost", type=float, help="Stop after so much money; needs --prices."),
            click.option(
                "--prices",
                type=click.Path(path_type=Path),
                help="YAML: models: {NAME: {call: .., prompt: .., new: ..}}, money per call and per million tokens.",
            ),
        )
    ):
        command = option(command)
    return command


def take_limits(options: dict[str, Any], model: str | None) -> Limits:
    """Take the limits out of a command's options."""
    from winnow.ports.program import Limits
    from winnow.runs.prices import read_prices

    prices = options.pop("prices")
    return Limits(
        max_requests=options.pop("max_requests"),
        max_tokens=options.pop("token_limit"),
        max_seconds=options.pop("max_seconds"),
        max_cost=options.pop("max_cost"),
        price=None if prices is None else read_prices(prices).of(model or "*"),
    )


@contextmanager
def warnings_in_a_line() -> Iterator[None]:
    """Within, a warning is one line on standard error."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = lambda message, *rest: click.echo(f"winnow: warning: {message}", err=True)
        yield


def say_ending(run: Run, *, as_json: bool, out: Path | None) -> int:
    """How a run ended, where it is kept, and how to go on; gives the exit code."""
    say = sys.stderr if as_json else sys.stdout
    for line in run.conclusion():
        click.echo(line, file=say)
    if run.id:
        click.echo(
            f"run {run.id}: {run.num_asked} requests asked, {run.num_replayed} answered from the store; "
            f"winnow show {run.id}",
            file=say,
        )
        if run.stop.reason == "limit":
            click.echo(f"go on with a higher limit: winnow resume {run.id}", file=say)
    if out is not None:
        click.echo(
            f'kept in {out}: context.txt (try: winnow ask --context {out} "a question"), rounds.jsonl, answers.jsonl',
            file=say,
        )
    return EXIT.get(run.stop.reason, 0)
