"""``winnow show``."""

from __future__ import annotations

import click

from winnow.cli.options import store_option


@click.command()
@click.argument("run", metavar="RUN")
@store_option
@click.option("--items", is_flag=True, help="List the accepted items.")
@click.option("--item", type=int, metavar="N", help="Show everything known of one answer.")
@click.option("--json", "as_json", is_flag=True, help="All of it as one JSON object.")
def show(run: str, store: str | None, items: bool, item: int | None, as_json: bool) -> None:
    """Show RUN - an id, the beginning of one, or last: its rounds, who worked on it and with what."""
    from winnow.runs import describe
    from winnow.runs.reading import find
    from winnow.runs.store import Store
    from winnow.values.records import to_json

    with Store(store, create=False) as open_store:
        record = find(open_store, run)
        if as_json:
            click.echo(to_json(describe.everything(open_store, record), indent=2))
        elif item is not None:
            click.echo(describe.item_page(open_store, record, item))
        elif items:
            for line in describe.item_lines(open_store, record):
                click.echo(line)
        else:
            click.echo(describe.page(open_store, record))
