"""``winnow lookahead articles``: does a model plan its articles, and its lines before their rhymes?"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from winnow.cli.options import warnings_in_a_line

if TYPE_CHECKING:
    from winnow.lookahead.articles import Figures
    from winnow.lookahead.clusters import Interval
    from winnow.lookahead.situations import Situation

BUILT_IN = ("english", "world")
LITTLE = 0.02  # probability of the listed openings or endings below which their shares say little


@click.command()
@click.argument("model", metavar="MODEL")
@click.option(
    "--items",
    metavar="FILE",
    help="Situations, a JSON object a line; or 'english', or 'world'. Default: world for the bundled model, else english.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Names the bootstrap's random numbers.")
@click.option("--draws", type=click.IntRange(min=100), default=2000, show_default=True, help="Bootstrap replicates.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a group on stdout, all else on stderr.")
@click.option("--device", default=None, help="Where a local model runs: cpu, cuda, mps.")
@click.option("--batch-size", type=click.IntRange(min=1), default=None, help="Rows a local model takes at once.")
def articles(
    model: str,
    items: str | None,
    seed: int,
    draws: int,
    as_json: bool,
    device: str | None,
    batch_size: int | None,
) -> int:
    """Does MODEL plan? The article before a noun that is still open, the line before its rhyme.

    The index is +1 where the noun to come decides the article (planning), -1 where the article comes by its frequency and
    the noun gives way to it (grammar), 0 where neither follows the other. Nothing is sampled.

    \b
    winnow lookahead articles bundled
    winnow lookahead articles path/to/model --items mine.jsonl --json

    \b
    An item: {"context": "He peeled", "openings": {" a": [" banana", " potato"], " an": [" orange", " onion"]},
    "neutral": [" the", " another"]}; the neutral openings show which ending the model has in mind. Where the context
    itself demands the ending, give "ending" instead: {"context": ..., "openings": ..., "ending": " orange"}. Items of one
    "group" make one row, items of one "cluster" are resampled together.
    """
    from winnow.lookahead.articles import figures, read
    from winnow.lookahead.continuations import check_writable
    from winnow.models.load import load
    from winnow.ports.program import run
    from winnow.values.random import Key
    from winnow.values.records import to_json

    situations = _situations(items, model)
    local: dict[str, Any] = {"device": device, "batch_size": batch_size}
    with warnings_in_a_line():
        loaded = load(model, **{key: value for key, value in local.items() if value is not None})
        if items is not None and items not in BUILT_IN:  # of the built-in ones a model may know less than all
            check_writable(situations, loaded.codec)
        readings = run(read(situations, loaded.codec), loaded)
    found = figures(readings, key=Key(seed).child("lookahead", "articles"), draws=draws)
    if as_json:
        for one in found:
            click.echo(to_json({"model": model, **as_object(one)}))
    else:
        click.echo(table(found))
    say = sys.stderr if as_json else sys.stdout
    for one in found:
        click.echo(f"{one.group}: {one.verdict}", file=say)
    for one in found:
        if min(one.mass, one.coverage) < LITTLE:
            what = "openings" if one.mass < one.coverage else "endings"
            least = min(one.mass, one.coverage)
            click.echo(
                f"winnow: warning: {one.group}: the listed {what} hold {least:.1%} of what the model would write",
                err=True,
            )
    return 0


def _situations(items: str | None, model: str) -> list[Situation]:
    from winnow.lookahead.situations import english, read_situations, world
    from winnow.models.load import BUNDLED

    chosen = items or ("world" if model == BUNDLED else "english")
    if chosen in BUILT_IN:
        source = world if chosen == "world" else english
        return [*source("articles"), *source("rhymes")]
    return read_situations(Path(chosen))


def as_object(one: Figures) -> dict[str, Any]:
    """JSON of a group's figures; an estimate is {value, low, high}."""
    import dataclasses

    row = {field.name: getattr(one, field.name) for field in dataclasses.fields(one)}
    return {
        **{name: value._asdict() if hasattr(value, "_asdict") else value for name, value in row.items()},
        "verdict": one.verdict,
    }


def table(found: list[Figures]) -> str:
    """The figures side by side, a column a group."""

    def shown(one: Interval | None, sign: str = "") -> str:
        return "-" if one is None else f"{one.value:{sign}.2f} ({one.low:{sign}.2f} to {one.high:{sign}.2f})"

    rows: list[tuple[str, list[str]]] = [
        ("", [one.group for one in found]),
        ("situations (clusters)", [f"{one.num} ({one.num_clusters})" for one in found]),
        ("index: grammar -1, planning +1", [shown(one.index, "+") for one in found]),
        ("planning P: opening follows the ending", [shown(one.planning, "+") for one in found]),
        ("grammar G: ending follows the opening", [shown(one.grammar, "+") for one in found]),
        ("right opening the most probable", [shown(one.right) for one in found]),
        ("  by the best constant choice", [f"{one.constant:.2f}" for one in found]),
        ("ending agrees with its opening", [shown(one.agreeing) for one in found]),
        ("right opening, given the ending", [shown(one.given_ending) for one in found]),
        ("right ending after its own opening", [shown(one.after_own) for one in found]),
        ("  after another opening, forced", [shown(one.after_other) for one in found]),
        ("  after one never seen there", [shown(one.after_unseen) for one in found]),
        ("P(listed openings), P(listed endings)", [f"{one.mass:.2f}, {one.coverage:.2f}" for one in found]),
        (
            "neutral openings agree (correlation)",
            ["-" if (r := one.reliability) is None else f"{r:.2f}" for one in found],
        ),
    ]
    first = max(len(name) for name, _ in rows)
    widths = [max(len(cells[i]) for _, cells in rows) for i in range(len(found))]
    return "\n".join(
        "  ".join([name.ljust(first), *(cell.rjust(width) for cell, width in zip(cells, widths, strict=True))]).rstrip()
        for name, cells in rows
    )
