"""``winnow adapt``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from winnow.cli.options import LIMITS, limit_options, say_ending, store_option, take_limits, warnings_in_a_line
from winnow.cli.screen import Screen


@click.command()
@click.argument("task_file", metavar="[TASK.yaml]", required=False, type=click.Path(path_type=Path))
@click.option("--model", help="'bundled', a directory, a hub id, or one with a search: bundled+beam:8.")
@click.option("--queries", type=click.Path(path_type=Path), help="One a line, or .csv / .jsonl with a column 'query'.")
@click.option(
    "--gold",
    type=click.Path(path_type=Path),
    help="Right answers in the order of the queries: to measure, never to pick.",
)
@click.option(
    "--evaluator",
    help="survey | survey digits | verifier numeric | verifier regex=... | verifier module:function | likelihood | person.",
)
@click.option("--select", help="soft | threshold | best | random (control) | inverted (control).")
@click.option("--candidates", type=int, help="Answers to each query in a round. Default: 1; 4 where best selects.")
@click.option("--buffer", help="replaced: one round's accepted answers. appended: all rounds'.")
@click.option("--rounds", type=int, help="Rounds after the start.")
@click.option("--examples", type=int, help="Pairs in a context.")
@click.option("--temperature", type=float, help="Sampling temperature.")
@click.option("--header", help="Fixed text before the pairs.")
@click.option(
    "--audit",
    type=int,
    metavar="N",
    help="Spend N gold labels, over the rounds, on whether the evaluator carries the loop; stop with exit code 4 if not.",
)
@click.option(
    "--response-curve/--no-response-curve",
    default=None,
    help="Hold queries out, measure the response curve on them, and predict every round.",
)
@click.option("--seed", type=int, help="Names the run's random numbers.")
@limit_options
@click.option("--device", default=None, help="Where a local model runs: cpu, cuda, mps.")
@click.option("--batch-size", type=int, default=None, help="Rows a local model takes at once.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a round on stdout, all else on stderr.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Write the ledger and the adapted context here.",
)
@click.option(
    "--track",
    metavar="TRACKER",
    help="Send each round's numbers to mlflow[:URI] or tensorboard[:DIR] (pip install 'winnow-lm[trackers]').",
)
@store_option
@click.option("--no-store", is_flag=True, help="Keep nothing: an interrupted run is lost.")
@click.option("--fresh", is_flag=True, help="Begin anew although the store holds this very run.")
def adapt(task_file: Path | None, **options: Any) -> int:
    """Let a model get better at a recurrent task by selecting its own answers. No labels are needed.

    Each round the model answers queries, the evaluator scores the answers, selection keeps some, and the next round answers
    with the kept ones as examples. Gold labels, where there are any, measure; they never pick.

    Every reply is kept before the loop sees it: the same command again, or winnow resume, goes on where it stopped.

    \b
    winnow adapt examples/facts/task.yaml --response-curve
    winnow adapt --model bundled --queries questions.txt --rounds 4 --out my_run
    winnow adapt --model path/to/model --queries openings.txt --evaluator 'verifier regex="\\bdog\\b"' --json
    """
    from winnow import api
    from winnow.adaption.task_file import load_task, task_from
    from winnow.loading import load
    from winnow.report.trackers import tracked
    from winnow.runs.store import default_url
    from winnow.values.errors import InputError

    as_json, out, fresh = options.pop("as_json"), options.pop("out"), options.pop("fresh")
    store, no_store, track = options.pop("store"), options.pop("no_store"), options.pop("track")
    said_limits = {name: options.pop(name) for name in LIMITS}
    local = {name: value for name in ("device", "batch_size") if (value := options.pop(name)) is not None}
    if task_file is None and options["queries"] is None:
        raise InputError("nothing to ask", where="adapt", remedy="name a TASK.yaml, or give --model and --queries FILE")
    said = load_task(task_file, **options) if task_file is not None else task_from(**options)
    if said.model is None:
        raise InputError("no model is named", where="model", remedy="give --model bundled, a directory or a hub id")
    limits = take_limits(said_limits, said.model)
    screen = Screen(as_json=as_json)
    watch = tracked(screen, track, task=said.task, model=said.model, seed=said.seed or 0)
    with warnings_in_a_line(), watch as observer:
        model = load(said.model, **local)
        try:
            api.evaluator_of(said.task, model)
        except InputError as error:
            raise InputError(str(error), where=said.evaluator_place) from None
        run = api.adapt(
            model,
            said.task,
            seed=said.seed or 0,
            audit=said.audit or 0,
            response=bool(said.response_curve),
            limits=limits,
            observer=observer,
            out=out,
            store=None if no_store else store or default_url(),
            fresh=fresh,
        )
    screen.close()
    return say_ending(run, as_json=as_json, out=out)
