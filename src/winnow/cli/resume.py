"""``winnow resume``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from winnow.cli.options import LIMITS, limit_options, say_ending, store_option, take_limits, warnings_in_a_line
from winnow.cli.screen import Screen


@click.command()
@click.argument("run", metavar="RUN")
@store_option
@limit_options
@click.option("--json", "as_json", is_flag=True, help="One JSON object a round on stdout, all else on stderr.")
@click.option("--out", type=click.Path(path_type=Path), help="Write the ledger and the adapted context here.")
def resume(run: str, store: str | None, as_json: bool, out: Path | None, **options: Any) -> int:
    """Go on with RUN - an id, the beginning of one, or last - where it stopped.

    What was answered is never asked again. When code, input or weights have changed since, it stops at the first request
    that differs (exit code 5).
    """
    from winnow import api
    from winnow.runs.reading import find
    from winnow.runs.store import Store

    with Store(store, create=False) as open_store:
        record = find(open_store, run)
        name = (record.source["load"] or {}).get("name")
        limits = take_limits({key: options[key] for key in LIMITS}, name)
        screen = Screen(as_json=as_json)
        with warnings_in_a_line():
            done = api.resume(record.id, store=open_store, limits=limits, observer=screen, out=out)
        screen.close()
    return say_ending(done, as_json=as_json, out=out)
