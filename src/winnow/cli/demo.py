"""``winnow demo``."""

from __future__ import annotations

from pathlib import Path

import click

from winnow.cli.screen import Screen


@click.command()
@click.option("--seed", type=int, default=0, show_default=True, help="Names the random numbers.")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("out/demo"), show_default=True, help="Where the ledgers go."
)
def demo(seed: int, out: Path) -> None:
    """Watch a language model get better at a task without one label - and watch the same loop ruin it.

    The bundled model answers questions about a world it was trained on by authors of differing reliability. Three loops:
    selected by its own evaluation, selected at random, selected against; each beside what theory predicted from questions
    the loop never saw. Then what else the same tokens could have bought.
    """
    from winnow.demo import RULES, loops, rival_table, rivals_of, verdict
    from winnow.models.load import load
    from winnow.report import write_report
    from winnow.values.records import write_text

    model, runs, pages = load("bundled"), {}, []
    screen = Screen()
    click.echo(f"{RULES['soft']}")
    rules = list(RULES)
    for rule, run in loops(model, seed=seed, observer=screen):
        screen.close()
        run.save(out / rule)
        runs[rule] = run
        pages.append(f"{RULES[rule]}\n{run.table()}")
        following = rules[rules.index(rule) + 1 :]
        screen.begun = False
        if following:
            click.echo(f"\n{RULES[following[0]]}")
    others = rivals_of(model, runs["soft"], seed=seed, num_queries=300)
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
    click.echo(f"report: {page} (opens offline in any browser)")
