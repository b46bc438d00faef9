"""The loop against its theory and its rivals on the bundled model, over seeds: what docs/log.md says of adapt.

    python -m benchmarks.adaption [--seeds 5] [--workers 2] [--out out/adaption] [--log docs/log.md] [--readme]

Seeds are 0, 1, 2, ... Every figure has its n, its interval and what it is compared with; nothing is tuned here. One loop is
one file under --out, written when it is done: the same command goes on where it was killed, and prints at once when
nothing is left. ``--workers`` loops run at a time, one thread each, which changes nothing but the time; ``--plan`` says
how long. Writes JSON lines to stdout, with --log also a dated section at the end of a log, with --readme the table of the
README instead. Ends non-zero when a row that has to hold does not.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import mannwhitneyu

from benchmarks.adaption_rows import Job, Row, readme, rows_of, section
from winnow import load
from winnow.adaption.asking import evaluate, write_answers
from winnow.adaption.labels import RIGHT, kinds_of
from winnow.adaption.loop import gold_of
from winnow.adaption.response import EDGE, STARTS, TRIANGLE
from winnow.api import Run, adapt, evaluator_of
from winnow.demo import RULES, facts_task, rivals_of
from winnow.ports.program import ask, run
from winnow.ports.requests import Evaluate, Item, LanguageModel, Router
from winnow.values.random import Key, permutation
from winnow.values.records import to_json, write_text

NUM_RIVAL_QUERIES = 540
# what the forecast is held to needs more answers than a control that only has to go somewhere
SIZES: dict[str, dict[str, Any]] = {
    "soft": {"most": None, "queries_per_round": 720, "held_out": 0.3},
    "random": {"most": None, "queries_per_round": 400, "held_out": 0.15},
    "inverted": {},
}
SMALL: dict[str, dict[str, Any]] = {rule: {"most": 160, "queries_per_round": 60, "rounds": 2} for rule in RULES}


def order_of_context(model: LanguageModel, one: Run, *, num_shuffles: int = 8) -> Row:
    """How much the order of the examples matters: the same contexts shuffled, and the spread of the error."""
    last = [answer for answer in one.answers if answer.round == one.rounds[-1]["round"]]
    by_number = {answer.number: answer.item for answer in one.answers}
    gold = gold_of(one.task) or {}
    errors = []
    for shuffle in range(num_shuffles):
        contexts = []
        for slot, answer in enumerate(last):
            order = permutation(Key(shuffle).child("shuffle", slot), "order", len(answer.parents))
            contexts.append([by_number[answer.parents[i]] for i in order])
        queries = [answer.item.query for answer in last]
        items, _ = run(write_answers(one.task, contexts, queries, Key(0).child("shuffled"), chat=model.chat), model)
        errors.append(float((kinds_of(items, gold, one.task.match, one.task.abstentions) != RIGHT).mean()))
    mean = float(np.mean(errors))
    return {
        "row": "order of the context: same examples shuffled, same draws",
        "error_mean": round(mean, 4),
        "error_sd": round(float(np.std(errors, ddof=1)), 4),
        "error_min": round(min(errors), 4),
        "error_max": round(max(errors), 4),
        "binomial_sd": round(float(np.sqrt(mean * (1 - mean) / len(last))), 4),
        "shuffles": num_shuffles,
        "n_each": len(last),
    }


def evaluators(model: LanguageModel, one: Run) -> Iterator[Row]:
    """How well each way of asking tells right answers from wrong ones: area under the ROC curve on round 0's answers."""
    born = [answer.item for answer in one.answers if answer.round == 0]
    right = kinds_of(born, gold_of(one.task) or {}, one.task.match, one.task.abstentions) == RIGHT
    for spec in ("survey", "survey digits", "survey calibrate", "likelihood"):
        reply = run(ask(Evaluate(items=tuple(born))), evaluator_of(replace(one.task, evaluator=spec), model))
        better = mannwhitneyu(reply.score[right], reply.score[~right]).statistic / (right.sum() * (~right).sum())
        off_scale = [part["off_scale"] for part in reply.parts if "off_scale" in part]
        row: Row = {"row": f"evaluator {spec}: AUC on own answers", "auc": round(float(better), 3), "n": right.size}
        yield row | ({"off_scale": round(float(np.mean(off_scale)), 3)} if off_scale else {})


def one_job(rule: str, seed: int, file: Path, *, small: bool) -> Job:
    """A loop of one rule, for the selected one its rivals, for seed 0 its order and evaluators; kept in ``file``."""
    model, began = load("bundled"), time.monotonic()
    task = facts_task(**{**(SMALL if small else SIZES)[rule], "select": rule})
    done = adapt(model, task, seed=seed, response=True)
    selected = rule == "soft"
    job = {
        **name_of(model, small),
        "rule": rule,
        "seed": seed,
        "commit": commit(),
        "rounds": done.rounds,
        "tables": tables_of(done),
        "rivals": rivals_of(model, done, seed=seed, num_queries=NUM_RIVAL_QUERIES) if selected else [],
        "extra": [order_of_context(model, done), *evaluators(model, done)] if selected and seed == 0 else [],
        "seconds": round(time.monotonic() - began, 1),
    }
    write_text(file, to_json(job) + "\n")
    return job


def name_of(model: LanguageModel, small: bool) -> Row:
    """What a kept file must agree on to be counted."""
    return {"model": model.identity, "sizes": SMALL if small else SIZES, "rival_queries": NUM_RIVAL_QUERIES}


def tables_of(done: Run) -> list[dict[str, int]]:
    """Accepted and rejected answers of each round, and how many of each are right."""
    gold, tables = gold_of(done.task) or {}, []
    for record in done.rounds:
        born = [answer for answer in done.answers if answer.round == record["round"]]
        right = kinds_of([one.item for one in born], gold, done.task.match, done.task.abstentions) == RIGHT
        kept = np.array([one.accepted for one in born])
        sides = {"accepted": kept, "rejected": ~kept}
        counts = {name: int(side.sum()) for name, side in sides.items()}
        tables.append(counts | {f"right_{name}": int((right & side).sum()) for name, side in sides.items()})
    return tables


def jobs_of(num_seeds: int) -> list[tuple[str, int]]:
    """(rule, seed), the longest first."""
    return [(rule, seed) for rule in RULES for seed in range(num_seeds) if rule != "inverted" or seed == 0]


def kept(file: Path, name: Row) -> Job | None:
    """What a file of an earlier run holds; None where there is none, or it is of another model or other sizes."""
    if not file.exists():
        return None
    job: Job = json.loads(file.read_text(encoding="utf-8"))
    return job if all(job.get(key) == json.loads(json.dumps(value)) for key, value in name.items()) else None


def collect(num_seeds: int, num_workers: int, out: Path, *, small: bool) -> list[Job]:
    """Every loop, from its file or run now."""
    name, began = name_of(load("bundled"), small), time.monotonic()
    files = {(rule, seed): out / f"{rule}-{seed}.json" for rule, seed in jobs_of(num_seeds)}
    found = {which: job for which, file in files.items() if (job := kept(file, name)) is not None}
    missing = [which for which in files if which not in found]
    if missing:
        os.environ["OMP_NUM_THREADS"] = "1"
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(num_workers, context, torch.set_num_threads, (1,)) as pool:
            futures = {pool.submit(one_job, *which, files[which], small=small): which for which in missing}
            for number, future in enumerate(as_completed(futures), 1):
                which = futures[future]
                found[which] = future.result()
                errors = [round(record["error"], 3) for record in found[which]["rounds"]]
                print(
                    f"{which[0]} {which[1]}: {errors}; {number} of {len(missing)} loops, {found[which]['seconds']:.0f} s, "
                    f"{(time.monotonic() - began) / 60:.1f} min in all",
                    file=sys.stderr,
                    flush=True,
                )
    return [found[which] for which in files]


def plan(num_seeds: int, num_workers: int, *, num_queries: int = 64) -> str:
    """How long it will take: a round's worth of answers and evaluations timed, times how many there are."""
    model, task = load("bundled"), facts_task()
    torch.set_num_threads(1)
    gold, queries = gold_of(task) or {}, list(task.queries[:num_queries])
    backend = Router(model, evaluator_of(task, model))
    pool = [Item(query, gold[query]) for query in task.queries[num_queries:]]
    full_contexts = [pool[start : start + task.examples] for start in range(0, num_queries * 8, 8)]
    seconds = []
    no_contexts: list[list[Item]] = [[] for _ in queries]
    for contexts in (no_contexts, full_contexts):
        began = time.process_time()
        items, _ = run(write_answers(task, contexts, queries, Key(0), chat=model.chat), backend)
        run(evaluate(items), backend)
        seconds.append((time.process_time() - began) / num_queries)
    bare, full = seconds
    total = 0.0
    for rule, _ in jobs_of(num_seeds):
        facts = facts_task(**SIZES[rule])
        aside = round(facts.held_out * len(facts.queries))
        total += full * ((len(EDGE) + len(TRIANGLE)) * aside + facts.rounds * facts.batch) + bare * (
            STARTS * aside + facts.batch
        )
        # best of n spends what the loop spent, the vote at most as much
        total += 2 * full * facts.rounds * facts.batch if rule == "soft" else 0.0
    return (
        f"about {total / 60 / num_workers:.0f} minutes for {len(jobs_of(num_seeds))} loops on {num_workers} quiet cores "
        f"({full * 1000:.1f} ms an answer with {task.examples} examples, {bare * 1000:.1f} without)"
    )


def commit() -> str:
    """The commit at hand."""
    said = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return said.stdout.strip() or "unknown"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5, help="loops of each rule")
    parser.add_argument("--workers", type=int, default=2, help="loops at once, one thread each")
    parser.add_argument(
        "--out", type=Path, default=Path("out/adaption"), help="where each loop is kept when it is done"
    )
    parser.add_argument("--log", type=Path, help="append a section to this file")
    parser.add_argument("--readme", action="store_true", help="print the README's table instead of rows")
    parser.add_argument("--plan", action="store_true", help="say how long it will take, and run nothing")
    parser.add_argument(
        "--small", action="store_true", help="a few minutes of it, to see that it works; its figures mean nothing"
    )
    arguments = parser.parse_args()
    if arguments.plan:
        print(plan(arguments.seeds, arguments.workers))
        return
    jobs = collect(arguments.seeds, arguments.workers, arguments.out, small=arguments.small)
    if arguments.readme:
        print(readme(jobs))
        return
    rows = []
    for row in rows_of(jobs, power=not arguments.small):
        rows.append(row)
        print(to_json(row), flush=True)
    if arguments.log:
        command = f"python -m benchmarks.adaption --seeds {arguments.seeds} --workers {arguments.workers}"
        with arguments.log.open("a", encoding="utf-8") as file:
            file.write(section(rows, jobs, command))
    missed = [row["row"] for row in rows if not row.get("holds", True)]
    sys.exit(f"does not hold: {'; '.join(missed)}" if missed else 0)


if __name__ == "__main__":
    main()
