"""``winnow plan``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from winnow.cli.options import store_option


@click.command()
@click.argument("task_file", metavar="TASK.yaml", type=click.Path(path_type=Path))
@click.option("--model", help="'bundled', a directory, a hub id, or one with a search: bundled+beam:8.")
@click.option("--rounds", type=int, help="Rounds after the start.")
@click.option("--examples", type=int, help="Pairs in a context.")
@click.option("--seed", type=int, help="Names the run's random numbers.")
@click.option("--response-curve/--no-response-curve", default=None, help="As in adapt.")
@click.option("--device", default=None, help="Where a local model runs: cpu, cuda, mps.")
@click.option("--batch-size", type=int, default=None, help="Rows a local model takes at once.")
@click.option("--prices", type=click.Path(path_type=Path), help="A price table, for the cost in money.")
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
@store_option
def plan(task_file: Path, prices: Path | None, as_json: bool, store: str | None, **options: Any) -> None:
    """Say what a run of TASK.yaml will ask, how long it will take and what it will cost, before anything runs.

    A few answers are measured; the rest is counted by running the loop over made-up answers like them.
    """
    from winnow import api
    from winnow.adaption.task_file import load_task
    from winnow.loading import load
    from winnow.runs import plan as plans
    from winnow.runs.prices import read_prices
    from winnow.values.errors import InputError
    from winnow.values.records import to_json

    local = {name: value for name in ("device", "batch_size") if (value := options.pop(name)) is not None}
    said = load_task(task_file, **options)
    if said.model is None:
        raise InputError("no model is named", where="model", remedy="give --model bundled, a directory or a hub id")
    table = None if prices is None else read_prices(prices)
    price = None if table is None else table.of(said.model)
    model = load(said.model, **local)
    evaluator = api.evaluator_of(said.task, model)
    settings = api.settings_of(
        model, said.task, evaluator, seed=said.seed or 0, audit=said.audit or 0, response=bool(said.response_curve)
    )
    made = plans.plan(settings, model, evaluator)
    total, known = made.total, made.measured
    money = {} if price is None or table is None else {"money": price.of(total.cost), "currency": table.currency}
    if as_json:
        click.echo(to_json(plans.as_json(made, money), indent=2))
        return
    click.echo(f"{'':<16}{'requests':>10}{'calls':>10}{'prompt tokens':>16}{'new tokens':>13}{'seconds':>10}")
    for part in (*made.parts, total):
        click.echo(
            f"{part.name:<16}{part.requests:>10,}{part.cost.calls:>10,}{part.cost.prompt_tokens:>16,}"
            f"{part.cost.new_tokens:>13,}{part.seconds:>10,.1f}"
        )
    click.echo(
        f"estimated from {len(known.items)} answers measured in {known.seconds:.1f} s; "
        f"at most {made.most_new_tokens:,} new tokens"
    )
    if money:
        click.echo(f"cost: {money['money']:.4g} {money['currency']}".rstrip() + f" by {prices}")
    done = answered(store, settings.id)
    if done:
        click.echo(f"run {settings.id} is in the store with {done:,} requests answered: they will not be asked again")


def answered(store: str | None, run: str) -> int:
    """Requests of a run that a store holds; 0 where there is no such store or run."""
    from winnow.runs.reading import find
    from winnow.runs.store import Store
    from winnow.values.errors import InputError

    try:
        with Store(store, create=False) as open_store:
            return find(open_store, run).num_requests
    except InputError:
        return 0
