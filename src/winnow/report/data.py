"""What a report is made from, gathered from a run in memory or from the directory that ``winnow adapt --out`` wrote.

One plain mapping a run (``RunData``), so that the page builder knows neither the loop nor the store:

    label                 what the run is called on the page
    task, model, seed     as they were given; ``task`` is the plain form of ``winnow.adaption.task.Task``
    rounds                records of the ledger (``winnow.adaption.ledger`` names their keys)
    answers               everyone who lived: number, round, query, answer, score, survival, accepted, parents, and kind
                          (right, wrong, abstained; None where gold is not at hand)
    context               numbers of the answers that stand in the final context
    stop                  why it ended, in words, or None
    spent                 calls and tokens of everything, and of the rounds alone where that is known
    provenance            whatever is known of where the numbers come from
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, TypedDict

from winnow.adaption.buffer import Answer
from winnow.adaption.labels import KINDS, kinds_of
from winnow.adaption.task import Task
from winnow.api import Run
from winnow.ports.requests import Item
from winnow.values.errors import InputError
from winnow.values.records import read_jsonl, read_text, to_json


class RunData(TypedDict):
    """A run as the page sees it; see the head of this file."""

    label: str
    task: Mapping[str, Any]
    model: str
    seed: int | None
    rounds: Sequence[Mapping[str, Any]]
    answers: Sequence[Mapping[str, Any]]
    context: Sequence[int]
    stop: str | None
    spent: Mapping[str, Mapping[str, int]]
    provenance: Mapping[str, Any]


def from_run(run: Run, *, label: str = "", provenance: Mapping[str, Any] | None = None) -> RunData:
    """The data of a run in memory."""
    task = plain_task(run.task)
    return {
        "label": label or run.task.name,
        "task": task,
        "model": run.model,
        "seed": run.seed,
        "rounds": run.rounds,
        "answers": with_kinds([answer_record(answer) for answer in run.answers], task),
        "context": [answer.number for answer in run.examples],
        "stop": run.stop.message,
        "spent": {"everything": run.cost._asdict(), "the rounds": run.loop_cost._asdict()},
        "provenance": provenance or {},
    }


def from_directory(directory: Path, *, label: str | None = None) -> RunData:
    """The data of a run from its ledger: rounds.jsonl, answers.jsonl, context.json, and run.json where there is one.

    Raises
    ------
    InputError
        When the directory holds no ledger.
    """
    for name in ("rounds.jsonl", "answers.jsonl", "context.json"):
        if not (directory / name).is_file():
            raise InputError(
                f"holds no run: {name} is missing", where=str(directory), remedy="winnow adapt --out DIR writes one"
            )
    rounds, answers = read_jsonl(directory / "rounds.jsonl"), read_jsonl(directory / "answers.jsonl")
    context = _json(directory / "context.json")
    known = _json(directory / "run.json") if (directory / "run.json").is_file() else {}
    task = known.get("task") or {key: context[key] for key in ("pair", "header", "stop") if key in context}
    try:
        examples = _final_context(answers, context["messages"])
        spent = {"everything": rounds[-1]["cost"]} if rounds else {}
        return {
            "label": label or directory.name,
            "task": task,
            "model": context.get("model") or known.get("model", ""),
            "seed": known.get("seed"),
            "rounds": rounds,
            "answers": with_kinds(answers, task),
            "context": examples,
            "stop": None,
            "spent": spent,
            "provenance": {
                "winnow": known.get("winnow") or context.get("made_by", ""),
                "model identity": known.get("model", ""),
                "directory": str(directory.resolve()),
            },
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"is not a ledger of ours: {error!r}", where=str(directory)) from None


def plain_task(task: Task) -> dict[str, Any]:
    """A task as JSON values; an evaluator that is an object of Python stands as its identity."""
    said = {field.name: getattr(task, field.name) for field in fields(task)}
    if not isinstance(task.evaluator, str | Mapping):
        said["evaluator"] = task.evaluator.identity
    return dict(json.loads(to_json(said)))


def answer_record(answer: Answer) -> dict[str, Any]:
    """An individual in the plain form of answers.jsonl."""
    record = answer._asdict()
    item = record.pop("item")
    return {**record, "query": item.query, "answer": item.answer}


def with_kinds(answers: Iterable[Mapping[str, Any]], task: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The answers, each with its kind by the task's gold, or None where the task has none."""
    rows = [dict(row) for row in answers]
    gold = dict(zip(task["queries"], task["gold"], strict=True)) if task.get("gold") else {}
    known = [row for row in rows if row["query"] in gold]
    items = [Item(row["query"], row["answer"]) for row in known]
    kinds = kinds_of(items, gold, task["match"], task["abstentions"]).tolist() if items else []
    for row in rows:
        row["kind"] = None
    for row, kind in zip(known, kinds, strict=True):
        row["kind"] = KINDS[kind]
    return rows


def _final_context(answers: Sequence[Mapping[str, Any]], messages: Sequence[Mapping[str, str]]) -> list[int]:
    """Numbers of the final examples: the youngest accepted answer that reads like each."""
    turns = [turn for turn in messages if turn["role"] != "system"]
    pairs = [(q["content"], a["content"]) for q, a in zip(turns[::2], turns[1::2], strict=True)]
    youngest = {(row["query"], row["answer"]): row["number"] for row in answers if row["accepted"]}
    return [youngest[pair] for pair in pairs if pair in youngest]


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(read_text(path))
    except ValueError as error:
        raise InputError(f"is not JSON: {error}", where=str(path)) from None
    if not isinstance(value, dict):
        raise InputError("is not a JSON object", where=str(path))
    return value
