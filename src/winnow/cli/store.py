"""``winnow store``."""

from __future__ import annotations

import click

from winnow.cli.options import store_option


@click.group()
def store() -> None:
    """Check a store: hashes, keys, and that every number recomputes."""


@store.command()
@store_option
def verify(store: str | None) -> int:
    """Check every hash and key, and recompute every number of every ledger from the stored answers. Needs no model."""
    from winnow.runs.store import Store
    from winnow.runs.verify import verify as check

    with Store(store, create=False) as open_store:
        counts, problems = check(open_store)
        for problem in problems:
            click.echo(problem, err=True)
        checked = ", ".join(f"{number:,} {name}" for name, number in counts.items())
        click.echo(f"{open_store.name}: {checked}: {f'{len(problems)} problems' if problems else 'all is well'}")
    return 1 if problems else 0
