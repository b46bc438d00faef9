"""``winnow export``."""

from __future__ import annotations

from pathlib import Path

import click

from winnow.cli.options import store_option


@click.command()
@click.argument("run", metavar="RUN")
@click.option(
    "--format",
    "form",
    type=click.Choice(["jsonl", "csv", "messages", "dspy"]),
    default="jsonl",
    show_default=True,
    help="jsonl: the whole ledger. csv: the answers. messages, dspy: the adapted context.",
)
@click.option("--output", "-o", type=click.Path(path_type=Path), help="A file; standard output unless given.")
@store_option
def export(run: str, form: str, output: Path | None, store: str | None) -> None:
    """Write RUN in another program's format; docs/ledger.md says what the columns mean.

    \b
    winnow export last -o ledger.jsonl
    winnow export last --format dspy -o demos.json     then: dspy.Predict("query -> answer").load("demos.json")
    """
    from winnow.runs.export import FORMATS
    from winnow.runs.reading import find
    from winnow.runs.store import Store
    from winnow.values.records import write_text

    with Store(store, create=False) as open_store:
        text = FORMATS[form](open_store, find(open_store, run))
    if output is None:
        click.echo(text, nl=False)
    else:
        write_text(output, text)
