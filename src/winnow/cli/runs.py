"""``winnow runs``."""

from __future__ import annotations

import click

from winnow.cli.options import store_option


@click.command()
@store_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object a run.")
def runs(store: str | None, as_json: bool) -> None:
    """List the runs of the store, the newest last."""
    from winnow.runs.describe import line_of, summary
    from winnow.runs.reading import list_runs
    from winnow.runs.store import Store
    from winnow.values.records import to_json

    with Store(store, create=False) as open_store:
        found = list_runs(open_store)
        for record in found:
            click.echo(to_json(summary(record)) if as_json else line_of(record))
        if not found and not as_json:
            click.echo(f"no runs in {open_store.name}", err=True)
