"""``winnow retract``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from winnow.cli.options import LIMITS, limit_options, say_ending, store_option, take_limits, warnings_in_a_line
from winnow.cli.screen import Screen


@click.command()
@click.argument("run", metavar="RUN")
@click.argument("item", metavar="ITEM", type=int)
@store_option
@click.option("--apply", is_flag=True, help="Go on without them, as a run of its own.")
@click.option("--why", default="", help="The reason, for the ledger.")
@limit_options
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout, all else on stderr.")
@click.option("--out", type=click.Path(path_type=Path), help="With --apply: the ledger and the adapted context.")
def retract(
    run: str, item: int, store: str | None, apply: bool, why: str, as_json: bool, out: Path | None, **options: Any
) -> int:
    """Name everything in RUN that descends from the accepted ITEM (a number; winnow show RUN --items lists them).

    With --apply a derived run begins in which selection does not keep ITEM. What descends from it is written anew, in
    contexts without it; what neither it nor anything written anew stands behind stays as it was. The ledger says what was
    removed, and why.
    """
    from winnow import api
    from winnow.runs.describe import answer_line
    from winnow.runs.reading import descendants, find, read_individuals
    from winnow.runs.store import Store
    from winnow.values.records import to_json

    with Store(store, create=False) as open_store:
        record = find(open_store, run)
        lost = descendants(open_store, record.id, item)
        if as_json:
            click.echo(to_json({"run": record.id, "item": item, "descendants": lost}))
        else:
            named = {item, *lost}
            for answer in read_individuals(open_store, record.id):
                if answer["number"] in named:
                    click.echo(answer_line(answer))
            accepted = f"{len(lost)} answers descend from item {item}"
            click.echo(f"{accepted}{'' if apply else f'; winnow retract {record.id} {item} --apply goes on without'}")
        if not apply:
            return 0
        limits = take_limits({key: options[key] for key in LIMITS}, (record.source["load"] or {}).get("name"))
        screen = Screen(as_json=as_json)
        with warnings_in_a_line():
            done = api.retract(record.id, [item], why=why, store=open_store, limits=limits, observer=screen, out=out)
        screen.close()
    return say_ending(done, as_json=as_json, out=out)
