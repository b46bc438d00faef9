"""The loop against its theory and its rivals on the bundled model, over seeds: what docs/log.md says of adapt.

    python -m benchmarks.adaption [--seeds 5] [--log docs/log.md]

Seeds are 0, 1, 2, ... Every figure has its n, its interval and what it is compared with; nothing is tuned here. Writes the
numbers as JSON lines to stdout and, with --log, as a dated section at the end of a log. Ends non-zero when a row that has
to hold does not.
"""

from __future__ import annotations

import argparse
import datetime
import multiprocessing
import platform
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import mannwhitneyu
from scipy.stats import t as student

from winnow import load
from winnow.adaption.asking import write_answers
from winnow.adaption.audit import draw_sample, judge
from winnow.adaption.labels import RIGHT, kinds_of
from winnow.adaption.loop import gold_of
from winnow.adaption.rivals import BY_HAND
from winnow.api import Run, adapt, evaluator_of
from winnow.demo import RULES, facts_task, rivals_of
from winnow.ports.program import ask, run
from winnow.ports.requests import Evaluate, LanguageModel
from winnow.values.random import Key, permutation, uniforms
from winnow.values.records import to_json

Row = dict[str, Any]


def spread(name: str, values: Sequence[float], **more: Any) -> Row:
    """A row of a quantity measured once a seed: its mean with the 95 % t interval over seeds."""
    data = np.asarray(values, np.float64)
    row: Row = {"row": name, "mean": round(float(data.mean()), 4), "seeds": data.size, **more}
    if data.size > 1:
        half = float(student.ppf(0.975, data.size - 1) * data.std(ddof=1) / np.sqrt(data.size))
        row |= {"low": round(float(data.mean()) - half, 4), "high": round(float(data.mean()) + half, 4)}
    return row


def forecasts(rule: str, runs: Sequence[Run]) -> Iterator[Row]:
    """Coverage and width of the one-step predictive interval, and its error beside "same as last round"."""
    cases = [
        (before["error"], now["error"], now["predicted"])
        for one in runs
        for before, now in zip(one.rounds, one.rounds[1:])
    ]
    inside = [p["one_step"]["interval"][0] <= error <= p["one_step"]["interval"][1] for _, error, p in cases]
    half = [(p["one_step"]["interval"][1] - p["one_step"]["interval"][0]) / 2 for _, _, p in cases]
    yield {
        "row": f"{rule}: rounds inside the one-step 95 % predictive interval",
        "holds": rule != "soft" or bool(np.mean(inside) >= 0.8 and max(half) <= 0.06),
        "share": round(float(np.mean(inside)), 3),
        "n": len(inside),
        "goal": ">= .80",
        "half_width_mean": round(float(np.mean(half)), 3),
        "half_width_max": round(max(half), 3),
        "half_width_goal": "<= .06",
    }
    step = [abs(p["one_step"]["error"] - error) for _, error, p in cases]
    free = [abs(p["free_running"]["error"] - error) for _, error, p in cases]
    same = [abs(before - error) for before, error, _ in cases]
    yield {
        "row": f"{rule}: mean absolute error of prediction",
        "holds": rule != "soft" or bool(np.mean(step) < np.mean(same)),
        "one_step": round(float(np.mean(step)), 4),
        "free_running": round(float(np.mean(free)), 4),
        "same_as_last_round": round(float(np.mean(same)), 4),
        "n": len(cases),
    }


def against_rivals(tables: Sequence[Sequence[Row]]) -> Iterator[Row]:
    """The loop's greedy error minus each rival's at equal tokens, seed by seed; below zero the loop is better."""
    own = tables[0][0]
    yield spread(f"soft: error, {own['rival']}", [table[0]["error"] for table in tables], n_each=own["n"])
    for index, rival in list(enumerate(tables[0]))[1:]:
        gap = [table[0]["error"] - table[index]["error"] for table in tables]
        yield spread(
            f"the loop's context, greedy, minus {rival['rival']}",
            gap,
            rival_error=round(float(np.mean([table[index]["error"] for table in tables])), 4),
            samples=rival["samples"],
            note=rival["note"],
            n_each=rival["n"],
            wins=sum(g < 0 for g in gap),
            holds=rival["rival"] == BY_HAND or bool(np.mean(gap) < 0),
        )


def destinations(rule: str, runs: Sequence[Run]) -> Iterator[Row]:
    """Where a loop starts and where it goes, beside the free-running prediction on the triangle."""
    yield spread(f"{rule}: error at the start", [one.rounds[0]["error"] for one in runs])
    yield spread(f"{rule}: error at the end", [one.rounds[-1]["error"] for one in runs])
    yield spread(f"{rule}: change of error", [one.rounds[-1]["error"] - one.rounds[0]["error"] for one in runs])
    yield spread(f"{rule}: abstentions at the end", [one.rounds[-1]["abstentions"] for one in runs])
    said = [one.rounds[-1]["predicted"]["free_running"]["kinds"].get("abstained", 0.0) for one in runs]
    yield spread(f"{rule}: abstentions predicted from the start", said)
    gap = [one.rounds[-1]["abstentions"] - value for one, value in zip(runs, said)]
    yield spread(f"{rule}: abstentions, measured minus predicted", gap)


def audit_power(model: LanguageModel, *, num_trials: int = 2000) -> Iterator[Row]:
    """How often an audit stops a loop: over s - f and N by simulation, and on the bundled model's own answers."""
    rng = np.random.default_rng(0)
    error, middle = 0.5, 0.5
    for gap in (0.0, 0.1, 0.2, 0.3, 0.4, 0.5):
        s, f = middle + gap / 2, middle - gap / 2
        rate = s * (1 - error) + f * error
        for labels in (20, 40, 80, 160):
            half = labels // 2
            yes = rng.binomial(half, s * (1 - error) / rate, num_trials)
            no = rng.binomial(half, (1 - s) * (1 - error) / (1 - rate), num_trials)
            stopped = [not judge(int(a), half, int(b), half, rate).carries for a, b in zip(yes, no)]
            yield {
                "row": f"audit stops: s - f = {gap:.1f}, N = {labels}",
                "share": round(float(np.mean(stopped)), 3),
                "n": num_trials,
            }
    task = facts_task(rounds=1)
    for rule in RULES:
        first = adapt(model, replace(task, select=rule), seed=0)
        born = [answer for answer in first.answers if answer.round == 0]
        right = kinds_of([answer.item for answer in born], gold_of(task) or {}, task.match, task.abstentions) == RIGHT
        survival = np.array([answer.survival for answer in born])
        for labels in (40, 80):
            stopped = []
            for trial in range(500):
                key = Key(trial).child("audit power")
                kept = uniforms(key, "survive", np.arange(len(born)))[:, 0] < survival
                yes_, no_ = draw_sample(np.flatnonzero(kept), np.flatnonzero(~kept), labels, key)
                stopped.append(
                    not judge(
                        int(right[yes_].sum()), yes_.size, int(right[no_].sum()), no_.size, float(kept.mean())
                    ).carries
                )
            yield {
                "row": f"audit stops the bundled model's {rule} loop, N = {labels}",
                "share": round(float(np.mean(stopped)), 3),
                "n": 500,
            }


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


def one_run(rule: str, seed: int) -> tuple[Run, list[Row]]:
    """A loop of one rule, and for the selected one its rivals."""
    model = load("bundled")
    # what the forecast is held to needs more answers than a control that only has to go somewhere
    size: dict[str, Any] = {"most": None, "queries_per_round": 400, "held_out": 0.15} if rule == "soft" else {}
    done = adapt(model, facts_task(**{**size, "select": rule}), seed=seed, response=True)
    return done, rivals_of(model, done, seed=seed, num_queries=300) if rule == "soft" else []


def measure(num_seeds: int, num_jobs: int) -> Iterator[Row]:
    """Everything, in the order of the log; ``num_jobs`` loops at once, which changes nothing but the time."""
    jobs = [(rule, seed) for seed in range(num_seeds) for rule in RULES if rule != "inverted" or seed == 0]
    runs: dict[str, list[Run]] = {rule: [] for rule in RULES}
    tables = []
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(num_jobs, mp_context=context, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        for (rule, seed), (done, table) in zip(jobs, pool.map(one_run, *zip(*jobs))):
            runs[rule].append(done)
            tables += [table] if table else []
            errors = [round(record["error"], 3) for record in done.rounds]
            print(f"seed {seed} {rule}: {errors}", file=sys.stderr, flush=True)
    for rule in RULES:
        yield from destinations(rule, runs[rule])
        yield from forecasts(rule, runs[rule])
    yield from against_rivals(tables)
    model = load("bundled")
    yield order_of_context(model, runs["soft"][0])
    yield from evaluators(model, runs["soft"][0])
    yield from audit_power(model)


def section(rows: Sequence[Row], command: str) -> str:
    """A dated section of the log: one line a row."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    lines = [f"\n## {datetime.date.today()} adapt on the bundled model\n"]
    lines.append(
        f"`{command}`, commit {commit or 'unknown'}, {platform.machine()}, Python {platform.python_version()}.\n"
    )
    lines += ["| what | figures |", "|---|---|"]
    for row in rows:
        figures = ", ".join(f"{key} {value}" for key, value in row.items() if key != "row" and value != "")
        lines.append(f"| {row['row']} | {figures} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5, help="loops of each rule")
    parser.add_argument("--jobs", type=int, default=2, help="loops at once")
    parser.add_argument("--log", type=Path, help="append a section to this file")
    arguments = parser.parse_args()
    rows = []
    for row in measure(arguments.seeds, arguments.jobs):
        rows.append(row)
        print(to_json(row), flush=True)
    if arguments.log:
        with arguments.log.open("a", encoding="utf-8") as file:
            file.write(section(rows, f"python -m benchmarks.adaption --seeds {arguments.seeds}"))
    missed = [row["row"] for row in rows if not row.get("holds", True)]
    sys.exit(f"does not hold: {'; '.join(missed)}" if missed else 0)


if __name__ == "__main__":
    main()
