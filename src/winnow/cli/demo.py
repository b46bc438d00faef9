"""``winnow demo``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from winnow.cli.options import store_option
from winnow.cli.screen import Screen

if TYPE_CHECKING:
    from winnow.runs.store import Store


@click.command()
@click.option("--seed", type=int, default=0, show_default=True, help="Names the random numbers.")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("out/demo"), show_default=True, help="Where the ledgers go."
)
@store_option
@click.option("--no-store", is_flag=True, help="Keep nothing: an interrupted demonstration is lost.")
@click.option("--fresh", is_flag=True, help="Begin anew although the store holds this very demonstration.")
def demo(seed: int, out: Path, store: str | None, no_store: bool, fresh: bool) -> None:
    """Watch a language model get better at a task without one label - and watch the same loop ruin it.

    The bundled model answers questions about a world it was trained on by authors of differing reliability. Three loops:
    selected by its own evaluation, selected at random, selected against; each beside what theory predicted from questions
    the loop never saw. Then what else the same tokens could have bought.

    Every reply is kept before it is used: the same command again goes on where it stopped, and one that came to its end is
    shown again without asking the model anything.
    """
    from winnow.runs.store import Store
    from winnow.values.errors import Interrupted

    try:
        if no_store:
            watch(seed, out)
        else:
            with Store(store) as open_store:
                watch(seed, out, open_store, fresh=fresh)
    except KeyboardInterrupt:
        raise Interrupted(
            "interrupted; nothing is kept"
            if no_store
            else f"interrupted; every answer so far is kept; go on with: {' '.join(['winnow', *sys.argv[1:]])}"
        ) from None


def watch(seed: int, out: Path, store: Store | None = None, *, fresh: bool = False) -> None:
    """Run the loops, then the rivals, printing as they come; the report in the end."""
    from winnow.demo import RULES, loops, rival_table, rivals_of, verdict
    from winnow.models.load import load
    from winnow.report import write_report
    from winnow.values.records import write_text

    model, runs, pages, rules = load("bundled"), {}, [], list(RULES)
    screen = Screen()
    click.echo(RULES[rules[0]])
    for rule, run in loops(model, seed=seed, observer=screen, store=store, fresh=fresh):
        screen.close()
        run.save(out / rule)
        runs[rule] = run
        pages.append(f"{RULES[rule]}\n{run.table()}")
        screen.begun = False
        if len(runs) < len(rules):
            click.echo(f"\n{RULES[rules[len(runs)]]}")
    others = rivals_of(model, runs["soft"], seed=seed, num_queries=300, store=store)
    pages += [f"what else the tokens of the selected loop buy\n{rival_table(others)}", verdict(runs, others)]
    click.echo(f"\n{pages[-2]}\n\n{pages[-1]}")
    write_text(out / "report.txt", "\n\n".join(pages) + "\n")
    page = write_report(
        [runs[rule] for rule in rules],
        out / "report.html",
        labels=["selected", "at random", "selected against"],
        title="A model selects its own answers, beside two controls",
        lede=pages[-1],
        rivals=others,
    )
    click.echo(f'\nask it: winnow ask --context {out / "soft"} "..."')
    click.echo(f"ledgers: {out}/*/rounds.jsonl    as text: {out / 'report.txt'}")
    if store is not None:
        click.echo(f"kept in {store.name}: {', '.join(f'winnow show {run.id}' for run in runs.values())}")
    click.echo(f"report: {page} (opens offline in any browser)")
