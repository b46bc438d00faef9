"""``winnow report``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("runs", metavar="RUN...", nargs=-1, required=True)
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    default=Path("report.html"),
    show_default=True,
    help="The page to write.",
)
@click.option("--title", help="What stands at the top.")
@click.option("--store", help="URL of the store, or the path of an SQLite file.")
def report(runs: tuple[str, ...], out: Path, title: str | None, store: str | None) -> None:
    """Write a page about a run, or about several side by side, that opens offline in any browser.

    RUN is the id of a run in the store (or "last"), or a directory that winnow adapt --out has written.

    \b
    winnow report last -o report.html
    winnow report out/demo/soft out/demo/random -o report.html
    """
    from winnow.report import write_report
    from winnow.report.data import RunData, from_directory

    data: list[RunData] = []
    for name in runs:
        if Path(name).is_dir():
            data.append(from_directory(Path(name)))
            continue
        from winnow.report.stored import from_store
        from winnow.runs.store import Store

        with Store(store, create=False) as kept:
            data.append(from_store(kept, name))
    click.echo(f"report: {write_report(data, out, title=title)}")
